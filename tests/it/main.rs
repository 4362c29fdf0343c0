//! The integration tests: the real service over a real Postgres.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod accounts;
mod approval_processes;
mod approvals;
mod architecture;
mod contract;
mod postgres;
mod support;
