//! What was merged answers with where it went.

use super::spec::Resource;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Cached;
use crate::platform::merging::KINDS;
use crate::platform::reply::Reply;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use uuid::Uuid;

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = SqlUuid)]
    survivor_id: Uuid,
}

pub fn is_mergeable(resource: &Resource) -> bool {
    KINDS.contains(&resource.singular)
}

/// The record that goes on for one that was merged, through however many merges.
///
/// # Errors
/// Database errors.
pub async fn survivor(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
) -> AppResult<Option<Uuid>> {
    if !is_mergeable(resource) {
        return Ok(None);
    }
    let query = sql_query(
        "WITH RECURSIVE up AS ( \
            SELECT m.survivor_id, 1 AS step FROM merged_records m WHERE m.tenant_id = $1 AND m.record_kind = $2 AND m.record_id = $3 \
            UNION ALL SELECT m.survivor_id, up.step + 1 FROM merged_records m JOIN up ON m.record_id = up.survivor_id \
            WHERE m.tenant_id = $1 AND m.record_kind = $2 AND up.step < 100 \
         ) SELECT survivor_id FROM up ORDER BY step DESC LIMIT 1",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(resource.singular)
    .bind::<SqlUuid, _>(id);
    let found: Option<Found> = Cached(query).get_result(conn).await.optional()?;
    Ok(found.map(|found| found.survivor_id))
}

/// The records that went into one, through however many merges.
///
/// # Errors
/// Database errors.
pub async fn absorbed(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
) -> AppResult<Vec<Uuid>> {
    if !is_mergeable(resource) {
        return Ok(Vec::new());
    }
    let query = sql_query(
        "WITH RECURSIVE down AS ( \
            SELECT m.record_id FROM merged_records m WHERE m.tenant_id = $1 AND m.record_kind = $2 AND m.survivor_id = $3 \
            UNION SELECT m.record_id FROM merged_records m JOIN down ON m.survivor_id = down.record_id WHERE m.tenant_id = $1 AND m.record_kind = $2 \
         ) SELECT record_id AS survivor_id FROM down",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(resource.singular)
    .bind::<SqlUuid, _>(id);
    let found: Vec<Found> = Cached(query).load(conn).await?;
    Ok(found.into_iter().map(|found| found.survivor_id).collect())
}

/// The refusal of a command on a record that was merged.
pub fn refusal(resource: &Resource, survivor: Uuid) -> AppError {
    AppError::refuse(
        Code::Merged,
        say(
            "It was merged into another record; use that one",
            "已合并到另一记录,请使用该记录",
        ),
    )
    .with("survivor_id", json!(survivor))
    .with("location", json!(path(resource, survivor)))
}

/// Sends whoever reads a merged record to the one that goes on.
pub fn redirect(resource: &Resource, survivor: Uuid) -> AppResult<Reply> {
    let body = json!({ "survivor_id": survivor });
    Ok(Reply::json(308, &body)?.with_location(path(resource, survivor)))
}

fn path(resource: &Resource, id: Uuid) -> String {
    format!("/v1/{}/{id}", resource.plural)
}
