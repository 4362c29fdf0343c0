//! Penstock: the backend of a company's sales process.

pub mod platform;
