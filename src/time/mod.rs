//! Room 17: timers in the database, the engine that fires them, a sandbox company's clock, the working calendar, and what
//! expires.

pub mod calendar;
pub mod clock;
pub mod engine;
pub mod maintenance;
pub mod timer;

use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// The resources of this area.
pub const RESOURCES: &[&Resource] = &[&calendar::resources::CALENDAR_DAY];

/// The operations of this area.
pub fn routes(config: &mut ServiceConfig) {
    config.service(clock::get_clock).service(clock::move_clock);
    calendar::http::routes(config);
}
