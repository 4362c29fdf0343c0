//! The integration tests: the real service over a real Postgres.

mod postgres;
mod support;
