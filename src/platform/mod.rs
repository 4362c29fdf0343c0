//! Everything between the rooms and the outside world: Postgres, HTTP, tokens, the contract, the record store.

pub mod contract;
pub mod db;
pub mod events;
pub mod idempotency;
pub mod input;
pub mod problem;
pub mod reply;
pub mod tokens;
