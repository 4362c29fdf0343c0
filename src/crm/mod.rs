//! Rooms 2 and 3: accounts, contacts, leads, their sources, and the company's own fields.

pub mod assignment;
mod attached;
pub mod campaigns;
pub mod duplicates;
pub mod external_ids;
pub mod field_index;
mod field_uses;
pub mod grading;
pub mod hand_over;
pub mod handover;
pub mod hooks;
pub mod intake;
pub mod lead_states;
pub mod leads;
pub mod merging;
pub mod nurturing;
pub mod owners;
pub mod participants;
pub mod pool;
pub mod resources;
pub mod rules;
pub mod scoring;
pub mod sharing;
pub mod signals;
pub mod timelines;
pub mod tree;
pub mod verifications;

use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[
    &resources::ACCOUNT,
    &resources::CONTACT,
    &verifications::ACCOUNT_VERIFICATION,
    &verifications::CONTACT_VERIFICATION,
    &resources::LEAD,
    &resources::LEAD_SOURCE,
    &campaigns::CAMPAIGN,
    &campaigns::CAMPAIGN_COST,
    &duplicates::reviews::DUPLICATE_REVIEW,
    &intake::resources::INTAKE,
    &resources::FIELD_DEFINITION,
    &scoring::resources::SCORING_MODEL,
    &scoring::resources::CUSTOMER_PROFILE,
    &scoring::resources::LEAD_BEHAVIOUR,
    &scoring::resources::LEAD_REVIEW,
    &pool::resources::POOL_LEAD,
    &pool::resources::POOL_ACCOUNT,
    &pool::resources::POOL_RULE,
    &assignment::resources::ASSIGNMENT_RULE,
    &assignment::resources::USER_ABSENCE,
    &handover::resources::LEAD_HANDOVER,
];

/// The commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    sharing::accounts::routes(config);
    sharing::contacts::routes(config);
    sharing::leads::routes(config);
    leads::routes(config);
    signals::http::routes(config);
    intake::routes(config);
    scoring::routes(config);
    pool::routes(config);
    assignment::routes(config);
    handover::http::routes(config);
    duplicates::reviews::routes(config);
    merging::http::accounts::routes(config);
    merging::http::contacts::routes(config);
    merging::http::leads::routes(config);
    duplicates::operations::accounts::routes(config);
    duplicates::operations::contacts::routes(config);
    duplicates::operations::leads::routes(config);
    config
        .service(timelines::list_account_timeline)
        .service(timelines::list_contact_timeline)
        .service(timelines::list_lead_timeline)
        .service(owners::list_account_owners)
        .service(owners::list_contact_owners)
        .service(owners::assign_account)
        .service(owners::assign_contact)
        .service(owners::list_lead_owners);
}
