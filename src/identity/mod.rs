//! Room 1: the company, its people, teams, roles, and how they sign in.

pub mod bootstrap;
pub mod passwords;
pub mod resources;

use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[&resources::USER, &resources::TEAM, &resources::ROLE];

/// The commands of this area.
pub fn routes(_config: &mut ServiceConfig) {}
