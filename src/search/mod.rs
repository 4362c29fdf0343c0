//! One search over accounts, contacts, leads and opportunities: what is found, where it stands in the record, best first.

mod hits;
mod http;
mod lookup;

use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::opportunity::resources::OPPORTUNITY;
use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// What is searched.
pub const RESOURCES: [&Resource; 4] = [&ACCOUNT, &CONTACT, &LEAD, &OPPORTUNITY];

pub fn routes(config: &mut ServiceConfig) {
    config.service(http::search_records);
}
