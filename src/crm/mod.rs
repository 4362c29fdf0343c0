//! Rooms 2 and 3: accounts, contacts, leads, their sources, and the company's own fields.

pub mod external_ids;
pub mod field_index;
pub mod hand_over;
pub mod hooks;
pub mod intake;
pub mod lead_states;
pub mod leads;
pub mod participants;
pub mod resources;
pub mod rules;
pub mod sharing;
pub mod timelines;
pub mod tree;

use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[
    &resources::ACCOUNT,
    &resources::CONTACT,
    &resources::LEAD,
    &resources::LEAD_SOURCE,
    &resources::INTAKE,
    &resources::FIELD_DEFINITION,
];

/// The commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    sharing::accounts::routes(config);
    sharing::contacts::routes(config);
    sharing::leads::routes(config);
    leads::routes(config);
    intake::routes(config);
    config
        .service(timelines::list_account_timeline)
        .service(timelines::list_contact_timeline)
        .service(timelines::list_lead_timeline);
}
