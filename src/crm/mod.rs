//! Rooms 2 and 3: accounts, contacts, leads, their sources, and the company's own fields.

pub mod hand_over;
pub mod resources;

use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[
    &resources::ACCOUNT,
    &resources::CONTACT,
    &resources::LEAD,
    &resources::LEAD_SOURCE,
    &resources::FIELD_DEFINITION,
];

/// The commands of this area.
pub fn routes(_config: &mut ServiceConfig) {}
