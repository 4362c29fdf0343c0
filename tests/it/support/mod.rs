//! What all integration tests share.

pub mod app;
pub mod db;
pub mod make_pipelines;
pub mod make_identity;
