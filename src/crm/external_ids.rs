//! External ids: by what other systems know a record. One name of one system names one record of a kind.

use super::attached;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db};
use crate::platform::events::Event;
use crate::platform::records::Resource;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most external ids of one record.
const MOST: i64 = 100;

/// By what another system knows a record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalIdInput {
    /// The other system.
    #[schema(min_length = 1, max_length = 60, example = "erp")]
    pub system: String,
    /// Its id there.
    #[schema(min_length = 1, max_length = 200, example = "C-10023")]
    pub external_id: String,
}

/// By what another system knows a record.
#[derive(Serialize, ToSchema, QueryableByName)]
pub struct ExternalId {
    /// Id of this entry.
    #[diesel(sql_type = SqlUuid)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    id: Uuid,
    /// The other system.
    #[diesel(sql_type = Text)]
    #[schema(example = "erp")]
    system: String,
    /// Its id there.
    #[diesel(sql_type = Text)]
    #[schema(example = "C-10023")]
    external_id: String,
    /// Since when.
    #[diesel(sql_type = Timestamptz)]
    #[schema(example = "2024-03-05T08:30:00Z")]
    created_at: DateTime<Utc>,
}

/// All external ids of a record.
#[derive(Serialize, ToSchema)]
pub struct ExternalIdList {
    /// The external ids, in the order in which they came; at most a hundred.
    data: Vec<ExternalId>,
    /// Always null: the list has one page.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
}

/// # Errors
/// `not_found` when the caller does not see the record.
pub async fn list(db: &Db, ctx: &Ctx, resource: &'static Resource, id: Uuid) -> AppResult<Reply> {
    let sql = "SELECT id, system, external_id, created_at FROM external_ids WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 ORDER BY id";
    let data = attached::all(db, ctx, resource, id, sql).await?;
    Ok(Reply::ok(&ExternalIdList {
        data,
        next_cursor: None,
    })?
    .with_weak_tag())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Notes another system's id.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`; `duplicate` when that id names a record already; `invalid` beyond a hundred.
pub async fn add(
    db: &Db,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    input: ExternalIdInput,
) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        store::lock(tx, ctx, resource, id, For::Write).await?;
        let count = sql_query(
            "SELECT count(*) AS count FROM external_ids WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Text, _>(resource.singular)
        .bind::<SqlUuid, _>(id);
        if Cached(count).get_result::<Count>(&mut **tx).await?.count >= MOST {
            let message = say("a record has at most 100 external ids", "每条记录最多 100 个外部编号");
            return Err(AppError::invalid(vec![Fault::new("/external_id", "too_many", message)]));
        }
        let query = sql_query(
            "INSERT INTO external_ids (tenant_id, id, record_kind, record_id, system, external_id, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, record_kind, system, external_id) DO NOTHING \
             RETURNING id, system, external_id, created_at",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(Uuid::now_v7())
        .bind::<Text, _>(resource.singular)
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(&input.system)
        .bind::<Text, _>(&input.external_id)
        .bind::<Timestamptz, _>(ctx.now);
        let added: Option<ExternalId> = Cached(query).get_result(&mut **tx).await.optional()?;
        let added = added.ok_or_else(taken)?;
        tx.record(Event::new(
            format!("{}.external_id_added", resource.singular),
            resource.singular,
            id,
            json!({ "system": input.system, "external_id": input.external_id }),
        ));
        Reply::json(201, &added)
    })
    .await
}

fn taken() -> AppError {
    AppError::refuse(
        Code::Duplicate,
        say(
            "A record has this id of that system already",
            "该系统的此编号已对应一条记录",
        ),
    )
    .with_faults(vec![Fault::duplicate("/external_id")])
}

#[derive(QueryableByName)]
struct Removed {
    #[diesel(sql_type = Text)]
    system: String,
    #[diesel(sql_type = Text)]
    external_id: String,
}

/// Forgets another system's id.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`.
pub async fn remove(
    db: &Db,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    entry: Uuid,
) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        store::lock(tx, ctx, resource, id, For::Write).await?;
        let sql = "DELETE FROM external_ids WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND id = $4 RETURNING system, external_id";
        let removed: Removed = attached::take(tx, ctx, resource, id, entry, sql).await?;
        tx.record(Event::new(
            format!("{}.external_id_removed", resource.singular),
            resource.singular,
            id,
            json!({ "system": removed.system, "external_id": removed.external_id }),
        ));
        Ok(Reply::no_content())
    })
    .await
}
