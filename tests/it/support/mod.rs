//! What all integration tests share.

pub mod db;
