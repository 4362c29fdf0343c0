//! Moving a deal along its pipeline.

pub mod http;
pub mod rules;
pub mod service;
pub mod together;
