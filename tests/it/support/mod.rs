//! What all integration tests share.

pub mod app;
pub mod db;
