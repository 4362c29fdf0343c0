//! The integration tests: the real service over a real Postgres.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod accounts;
mod architecture;
mod contract;
mod pipelines;
mod postgres;
mod support;
