//! The integration tests: the real service over a real Postgres.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod accounts;
mod advance;
mod api_keys;
mod approval_course;
mod approval_people;
mod approval_processes;
mod approval_reading;
mod approvals;
mod architecture;
mod assignment;
mod batch;
mod calendar;
mod check;
mod check_command;
mod closed_deals;
mod company;
mod contract;
mod convert;
mod crash;
mod crm;
mod database_roles;
mod deal_approvals;
mod deal_history;
mod deals_in_flight;
mod deals_taken_back;
mod documents;
mod duplicates;
mod dwell;
mod events;
mod finding;
mod gate_help;
mod handovers;
mod headers;
mod intake;
mod jobs;
mod kept_answers;
mod leads;
mod merge;
mod money;
mod new_secret;
mod opportunities;
mod own_reach;
mod pipelines;
mod platform;
mod pool;
mod pool_giving;
mod pool_recycling;
mod postgres;
mod postgres_tls;
mod reach;
mod reads;
mod roles;
mod scoring;
mod scoring_models;
mod search;
mod sign_in;
mod signals;
mod snapshot;
mod sources;
mod support;
mod timers;
mod together;
mod transfer_answers;
mod transfer_limits;
mod transfers;
mod uniqueness;
mod unmerging;
mod users;
mod verifications;
mod views;
