//! Room 17: timers in the database, the engine that fires them, a sandbox company's clock, and what expires.

pub mod clock;
pub mod engine;
pub mod maintenance;
pub mod timer;

use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area.
pub fn routes(config: &mut ServiceConfig) {
    config.service(clock::get_clock).service(clock::move_clock);
}
