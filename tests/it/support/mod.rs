//! What all integration tests share.

pub mod app;
pub mod cast;
pub mod db;
pub mod described;
pub mod filter_trees;
pub mod make_approvals;
pub mod make_assignment;
pub mod make_crm;
pub mod make_deals;
pub mod make_events;
pub mod make_identity;
pub mod make_migrations;
pub mod make_pipelines;
pub mod make_pool;
pub mod make_scoring;
pub mod make_transfers;
