//! Penstock: the backend of a company's sales process.

pub mod kernel;
pub mod opportunity;
pub mod pipeline;
pub mod platform;
pub mod schema;
