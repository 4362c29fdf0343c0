//! Saved views and segments: filter trees that are kept. Whoever reads them runs them over what they themselves may see.

pub mod hooks;
pub mod http;
pub mod resources;

use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::opportunity::resources::OPPORTUNITY;
use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

pub const RESOURCES: &[&Resource] = &[&resources::SAVED_VIEW, &resources::SEGMENT];

/// What can be looked at.
const SUBJECTS: [&Resource; 4] = [&ACCOUNT, &CONTACT, &LEAD, &OPPORTUNITY];

/// The resource of that name.
pub fn subject(name: &str) -> Option<&'static Resource> {
    SUBJECTS.into_iter().find(|resource| resource.singular == name)
}

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(http::list_view_records)
        .service(http::list_segment_members);
}
