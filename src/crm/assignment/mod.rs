//! Assignment: who gets which leads. By the company's rules when a lead arrives or is qualified, by hand, or to whoever is
//! next when a first response was missed.
//!
//! What a rule decides is a pure function of the lead and of the people's loads and turns ([`decide`], [`choose`]). Loads
//! are counted and turns taken under one lock of the company ([`settings::lock`]), which comes after the leads' own locks
//! and only where a rule is met, or somebody's capacity is at stake.

pub mod absences;
pub mod apply;
pub mod bench;
pub mod by_hand;
pub mod choose;
pub mod decide;
pub mod follow;
mod giving;
pub mod http;
pub mod pool;
pub mod preview;
pub mod resources;
pub mod rules;
pub mod settings;
pub mod undo;

use utoipa_actix_web::service_config::ServiceConfig;

/// The commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(settings::get_assignment_settings)
        .service(settings::update_assignment_settings)
        .service(http::assign_lead)
        .service(http::batch_assign_leads)
        .service(undo::unassign_lead)
        .service(preview::get_assignment_preview);
}
