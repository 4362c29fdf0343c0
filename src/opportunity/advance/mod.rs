//! Moving a deal along its pipeline.

pub mod rules;
