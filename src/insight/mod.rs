//! Room 15: figures about running and closed deals.

pub mod snapshot;

use utoipa_actix_web::service_config::ServiceConfig;

/// The reports.
pub fn routes(config: &mut ServiceConfig) {
    config.service(snapshot::get_pipeline_snapshot);
}
