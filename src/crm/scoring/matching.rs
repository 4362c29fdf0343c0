//! How far leads and accounts match the ideal customers.

use super::model;
use super::profiles::{self, ProfileMatch};
use crate::crm::resources::{ACCOUNT, LEAD};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Db};
use crate::platform::gatekeeper::Id;
use crate::platform::records::{Resource, store};
use crate::platform::reply::Reply;
use actix_web::{get, web};
use diesel::sql_types::{Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::LazyLock;
use utoipa::ToSchema;

/// How far something matches each ideal customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfileMatches {
    /// The profile that it matches best; null when it matches none.
    pub best: Option<ProfileMatch>,
    /// All profiles, the best match first.
    pub data: Vec<ProfileMatch>,
}

/// Match a lead with the ideal customers
///
/// Each profile with its criteria and how they came out, as of now.
#[utoipa::path(tag = "scoring", operation_id = "get_lead_profile_match", security(("bearer" = ["lead.read"])),
    responses((status = 200, description = "The matches", body = ProfileMatches)))]
#[get("/v1/leads/{id}/profile-match")]
pub async fn get_lead_profile_match(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    matches(&db, &ctx, &LEAD, id, profiles::lead_facts).await
}

/// Match an account with the ideal customers
///
/// Each profile with its criteria and how they came out, as of now.
#[utoipa::path(tag = "scoring", operation_id = "get_account_profile_match", security(("bearer" = ["account.read"])),
    responses((status = 200, description = "The matches", body = ProfileMatches)))]
#[get("/v1/accounts/{id}/profile-match")]
pub async fn get_account_profile_match(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    matches(&db, &ctx, &ACCOUNT, id, profiles::account_facts).await
}

#[derive(QueryableByName)]
struct StampRow {
    #[diesel(sql_type = Nullable<Text>)]
    stamp: Option<String>,
}

static STAMP: LazyLock<String> = LazyLock::new(|| format!("SELECT ({}) AS stamp", model::STAMP));

async fn matches(
    db: &Db,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Id,
    facts: fn(&Map<String, Value>) -> Value,
) -> AppResult<Reply> {
    let (record, profiles) = db
        .snapshot(async |conn| {
            let conn = &mut &*conn;
            let row = store::find(conn, ctx, resource, id.0, None).await?;
            let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
            let query = sql_query(STAMP.as_str()).bind::<SqlUuid, _>(ctx.tenant);
            let stamp: StampRow = Cached(query).get_result(conn).await?;
            let profiles = model::profiles(conn, ctx.tenant, stamp.stamp.as_deref()).await?;
            Ok((record, profiles))
        })
        .await?;
    let ranked = profiles::ranked(&profiles, &facts(&record));
    let data = ranked
        .iter()
        .map(|matched| matched.view(ctx.lang))
        .collect::<Vec<_>>();
    let best = ranked.as_slice().first().filter(|best| !best.share.is_zero());
    Ok(Reply::ok(&ProfileMatches {
        best: best.map(|best| best.view(ctx.lang)),
        data,
    })?
    .with_weak_tag())
}
