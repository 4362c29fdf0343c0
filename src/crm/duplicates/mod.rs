//! Duplicates of accounts, contacts and leads: exact keys, which the database keeps apart, near matches by name, and what
//! the company does about either. DOMAIN.md, room 2.

mod catch_up;
pub mod follow;
pub mod gate;
pub mod http;
pub mod keys;
pub mod lookup;
pub mod operations;
pub mod reviews;
pub mod subject;

pub use catch_up::{IDENTITY_KEYS, RESOURCES};
