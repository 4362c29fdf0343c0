//! Room 16's spine: the order of events, the feed, the timelines, and the proof that the history is whole.

pub mod chain;
pub mod feed;
pub mod owners;
pub mod sequencer;
pub mod timeline;
pub mod view;
pub mod window;

use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area.
pub fn routes(config: &mut ServiceConfig) {
    config.service(feed::list_events).service(feed::get_event_chain);
}
