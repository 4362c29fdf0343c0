//! Approvals: processes in which named people decide (room 6).
//!
//! The pure part knows neither database nor HTTP: the process document and what may be published, who is asked,
//! what a decision does, the preview of a chain, and the hash that binds a grant to what was granted. Around it,
//! `processes` keeps the documents and `service` carries out what is done in requests.
//!
//! A request is the fold of its recorded [`state::Act`]s over its planned steps: every rule in [`rules`]
//! returns the acts that it adds and the state after them, and [`state::replay`] comes to the same.

pub mod content;
pub mod coverage;
pub mod definition;
pub mod facts;
mod http;
mod listing;
pub mod people;
pub mod preview;
mod process_http;
pub mod processes;
pub mod publishing;
pub mod queries;
pub mod refusal;
pub mod resources;
pub mod rows;
pub mod rules;
pub mod seating;
pub mod service;
pub mod shipped;
pub mod staffing;
pub mod state;
pub mod subjects;
pub mod timers;
mod uses;
pub mod wire;
mod writing;

use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[&resources::APPROVAL_PROCESS];

/// The commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    process_http::routes(config);
    http::routes(config);
}

#[cfg(test)]
mod tests;
