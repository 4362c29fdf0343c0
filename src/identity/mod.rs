//! Room 1: the company, its people, teams, roles, and how they sign in.

pub mod api_keys;
pub mod bootstrap;
pub mod company;
mod guessable;
pub mod handing;
pub mod hooks;
pub mod leaving;
pub mod me;
pub mod passwords;
pub mod people;
pub mod resources;
pub mod rights;
mod rows;
pub mod sandbox;
pub mod sessions;
pub mod sign_in;
pub mod staffing;
mod territory;

use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[
    &resources::USER,
    &resources::TEAM,
    &resources::ROLE,
    &resources::API_KEY,
];

/// The commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(sign_in::login)
        .service(sign_in::refresh)
        .service(sign_in::logout)
        .service(sign_in::logout_everywhere)
        .service(sign_in::change_password)
        .service(me::get_me)
        .service(me::update_me)
        .service(me::list_permissions)
        .service(people::create_user)
        .service(people::set_user_roles)
        .service(people::set_user_password)
        .service(leaving::deactivate_user)
        .service(leaving::reactivate_user)
        .service(leaving::hand_over_user)
        .service(api_keys::create_api_key)
        .service(api_keys::revoke_api_key)
        .service(company::get_company)
        .service(company::update_company)
        .service(sandbox::create_sandbox);
}
