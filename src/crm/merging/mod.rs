//! Merging accounts, contacts and leads: one record goes on with everything that the others had, and it can be undone.

pub mod choices;
pub mod http;
pub mod links;
pub mod service;
pub mod undo;
