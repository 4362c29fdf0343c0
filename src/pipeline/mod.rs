//! Pipelines: what a company's sales process is. The document of a version and its faults, the course of its stages,
//! and the gate of each stage.

pub mod answer;
pub mod course;
pub mod definition;
pub mod faults;
pub mod gate;
mod http;
mod queries;
pub mod records;
pub mod reservations;
pub mod resources;
mod runtime;
pub mod service;
pub mod templates;
pub mod vocabulary;
mod wire;

pub use http::routes;

use crate::platform::records::Resource;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[&resources::PIPELINE];
