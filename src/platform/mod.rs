//! What the service stands on: database, clock, keys, wire form.

pub mod postgres;
