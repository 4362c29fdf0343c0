//! Everything between the rooms and the outside world: Postgres, HTTP, tokens, the contract, the record store.

pub mod auth;
pub mod clock;
pub mod contract;
pub mod db;
pub mod document;
pub mod duty;
pub mod events;
pub mod gatekeeper;
pub mod grants;
pub mod hand_over;
pub mod idempotency;
pub mod input;
pub mod leases;
pub mod limits;
pub mod merging;
pub mod metrics;
pub mod migrations;
pub mod pages;
pub mod parameters;
pub mod postgres;
pub mod problem;
pub mod reader;
pub mod records;
pub mod reply;
mod request;
pub mod tokens;
