//! Penstock: the backend of a company's sales process.

pub mod approval;
pub mod kernel;
pub mod platform;
pub mod schema;
