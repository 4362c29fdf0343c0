//! Room 15: figures about leads, and about running and closed deals.

pub mod snapshot;
pub mod speed;

use utoipa_actix_web::service_config::ServiceConfig;

/// The reports.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(snapshot::get_pipeline_snapshot)
        .service(speed::get_speed_to_lead);
}
