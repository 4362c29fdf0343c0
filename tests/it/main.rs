//! The integration tests: the real service over a real Postgres.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod accounts;
mod advance;
mod api_keys;
mod approval_processes;
mod approvals;
mod architecture;
mod batch;
mod check;
mod company;
mod contract;
mod convert;
mod crm;
mod events;
mod intake;
mod jobs;
mod leads;
mod opportunities;
mod pipelines;
mod platform;
mod postgres;
mod roles;
mod search;
mod sign_in;
mod snapshot;
mod support;
mod timers;
mod users;
mod views;
