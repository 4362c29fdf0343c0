//! Penstock: the backend of a company's sales process.

pub mod app;
pub mod approval;
pub mod catalog;
pub mod check;
pub mod config;
pub mod crm;
pub mod demo;
pub mod event;
pub mod identity;
pub mod insight;
pub mod jobs;
pub mod kernel;
pub mod opportunity;
pub mod pipeline;
pub mod platform;
pub mod run;
pub mod schema;
pub mod search;
pub mod server;
pub mod time;
pub mod transfer;
pub mod view;
