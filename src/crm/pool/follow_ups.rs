//! Follow-ups: what keeps a record out of the pool.

use super::{Deals, Kind, schedule, standing};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use chrono::{DateTime, Utc};
use diesel::sql_query;
use diesel::sql_types::{Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// A follow-up to note.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowUp {
    /// What was done or said.
    #[schema(min_length = 1, max_length = 5000, example = "电话沟通,客户下周确定预算")]
    pub note: String,
    /// When it was; now, when not given, and never later than that.
    #[schema(example = "2024-03-05T08:30:00Z")]
    pub at: Option<DateTime<Utc>>,
}

/// Notes that a record was followed up at an instant: the days without a follow-up count from there. One earlier than what
/// is known changes nothing. The caller has the record locked.
///
/// # Errors
/// Database errors.
pub async fn followed_up(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid, at: DateTime<Utc>) -> AppResult<()> {
    let query = sql_query(
        "INSERT INTO pool_clocks AS c (tenant_id, record_kind, record_id, followed_up_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant_id, record_kind, record_id) DO UPDATE SET followed_up_at = greatest(c.followed_up_at, EXCLUDED.followed_up_at)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(at);
    Cached(query).execute(&mut **tx).await?;
    schedule::reschedule(tx, ctx, kind, &[id]).await
}

/// Notes a follow-up on the record's timeline, and answers how the record stands then.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`; `already_converted` for a converted lead; `invalid` when it lies ahead.
pub(super) async fn note(
    db: &Db,
    ctx: &Ctx,
    deals: Deals,
    kind: Kind,
    id: Uuid,
    input: &FollowUp,
) -> AppResult<Reply> {
    let at = input.at.unwrap_or(ctx.now);
    if at > ctx.now {
        return Err(AppError::invalid(vec![Fault::out_of_range(
            "/at",
            "must not lie ahead",
            "不能晚于当前时间",
        )]));
    }
    db.write(ctx, async |tx| {
        let resource = kind.resource();
        let locked = store::lock(tx, ctx, resource, id, For::Write).await?;
        let record = locked.record()?;
        if record.get("status").is_some_and(|status| status == "converted") {
            return Err(crate::crm::hooks::already_converted());
        }
        followed_up(tx, ctx, kind, id, at).await?;
        let name = kind.name();
        let data = json!({ "note": input.note, "at": at });
        tx.record(Event::new(format!("{name}.followed_up"), name, id, data));
        let found = standing::find(&mut &**tx, ctx, deals, kind, id).await?;
        Reply::ok(&found)
    })
    .await
}
