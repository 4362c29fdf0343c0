//! The public pool (公海): leads and accounts that nobody owns and whoever may can claim.
//!
//! A record is in the pool while it has a stay without an end (`pool_stays`), which says since when and why, and who had it
//! last. Such a record has no owner. Conversely every live account without an owner is in the pool; a lead without one is
//! there only once it was put there (by its owner, by a rule, by assignment), or at once where the company's setting says
//! so: until then it is marketing's, seen by those whose scope is everything.
//!
//! Before it is claimed it is seen masked, through the views `pool_leads` and `pool_accounts`; the record itself stays out of
//! sight for whoever's scope does not reach it.

pub mod claims;
pub(in crate::crm) mod clock;
mod contacts;
pub mod follow_ups;
pub mod hooks;
mod http;
pub mod quotas;
pub mod recycling;
pub mod releases;
pub mod resources;
pub mod rules;
mod schedule;
pub mod settings;
pub mod standing;
pub mod stays;

pub use follow_ups::followed_up;
pub use schedule::reschedule;
pub use stays::{account_in_pool, hold_account, is_unowned_account, put};

use crate::crm::resources::{ACCOUNT, LEAD};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::permission::{PERMISSIONS, Scope};
use crate::platform::records::Resource;
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use futures::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// The kinds of record that can be in the pool.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = PoolRecordKind)]
pub enum Kind {
    Account,
    Lead,
}

/// Why a record came into the pool.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = PoolReason)]
pub enum Why {
    /// Its owner gave it up.
    Released,
    /// A rule took it, since nobody tended it.
    Recycled,
    /// It came without an owner.
    NeverOwned,
    /// Nobody could take it over.
    HandedOver,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Account, Kind::Lead];

    pub fn resource(self) -> &'static Resource {
        match self {
            Kind::Account => &ACCOUNT,
            Kind::Lead => &LEAD,
        }
    }

    /// `account`, as in events.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The permission to change records of the kind.
    pub fn write_permission(self) -> &'static str {
        match self {
            Kind::Account => "account.write",
            Kind::Lead => "lead.write",
        }
    }
}

/// What deals say about an account: they hold it, and its having had one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DealsOf {
    pub account_id: Uuid,
    pub has_open: bool,
    /// When the last of them was made or closed.
    pub last_at: Option<DateTime<Utc>>,
}

/// Finds out about the deals of accounts, as the opportunities' room registers it in `app.rs`. Accounts that never had one
/// may be missing from the answer.
#[derive(Clone, Copy)]
pub struct Deals(pub for<'a> fn(&'a mut &AsyncPgConnection, &'a Ctx, Vec<Uuid>) -> FoundDeals<'a>);

type FoundDeals<'a> = LocalBoxFuture<'a, AppResult<Vec<DealsOf>>>;

/// The same command with every right and without preconditions: what follows from it is not asked of the caller again.
fn unbound(ctx: &Ctx) -> Ctx {
    let mut principal = (*ctx.principal).clone();
    let all = PERMISSIONS.iter();
    principal.grants = all.map(|known| (known.name.to_owned(), Scope::All)).collect();
    Ctx {
        principal: Arc::new(principal),
        if_match: None,
        ..ctx.clone()
    }
}

/// The commands of the pool.
pub fn routes(config: &mut ServiceConfig) {
    http::leads::routes(config);
    http::accounts::routes(config);
    config
        .service(settings::get_pool_settings)
        .service(settings::replace_pool_settings);
}
