//! Time moves scores: once a day, at local midnight, the stored ones are brought up to date, a batch at a time.

use super::apply::{self, Occasion};
use super::model;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Tx};
use crate::time::timer::{self, Timer};
use diesel::sql_types::{BigInt, Nullable, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// The kind of the timer.
pub const DAILY: &str = "lead_scores";
/// Most leads that one firing looks at; what is left is looked at by the next one, at once.
const BATCH: usize = 200;

/// Sees to it that scores are brought up to date from the next midnight on. Once set, the timer sets itself.
///
/// # Errors
/// Database errors.
pub async fn keep_daily(tx: &mut Tx, ctx: &Ctx) -> AppResult<()> {
    let due_at = timer::next_midnight(ctx);
    timer::ensure(tx, ctx, DAILY, ("company", ctx.tenant), due_at).await
}

/// How far a day's round has come.
#[derive(Default, Serialize, Deserialize)]
struct Round {
    after: Option<Uuid>,
}

/// Scores one batch anew, and sets the timer to now while some are left, else to the next midnight.
///
/// # Errors
/// Database errors.
pub async fn fire_daily(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    let round: Round = serde_json::from_value(timer.details.clone()).map_err(AppError::internal)?;
    let leads = moving(&mut &**tx, ctx.tenant, round.after).await?;
    let last = leads.last().copied().filter(|_| leads.len() == BATCH);
    let locked = apply::lock(tx, ctx.tenant, leads).await?;
    apply::apply(tx, ctx, &locked, Occasion::Refreshed).await?;
    let due_at = match last {
        Some(_) => ctx.now,
        None => timer::next_midnight(ctx),
    };
    let details = json!(Round { after: last });
    timer::again(tx, ctx, timer, due_at, details).await
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// What behaviour with a half-life is part of.
const DECAYING: &str = "SELECT s.lead_id AS id FROM lead_scores s WHERE s.tenant_id = $1 AND s.is_decaying \
     AND ($2::uuid IS NULL OR s.lead_id > $2) ORDER BY s.lead_id LIMIT $3";

/// Everything that can still move.
const OPEN: &str = "SELECT t.id FROM leads t WHERE t.tenant_id = $1 AND ($2::uuid IS NULL OR t.id > $2) \
     AND t.archived_at IS NULL AND t.status NOT IN ('converted', 'disqualified') ORDER BY t.id LIMIT $3";

/// The next leads whose score time moves, in the order of their ids.
async fn moving(conn: &mut &AsyncPgConnection, tenant: Uuid, after: Option<Uuid>) -> AppResult<Vec<Uuid>> {
    let query = sql_query(
        "SELECT v.id FROM scoring_model_versions v WHERE v.tenant_id = $1 AND v.state = 'published'",
    )
    .bind::<SqlUuid, _>(tenant);
    let published: Option<IdRow> = Cached(query).get_result(conn).await.optional()?;
    let Some(published) = published else {
        return Ok(Vec::new());
    };
    let model = model::model(conn, tenant, published.id).await?;
    let query = sql_query(if model.is_restless { OPEN } else { DECAYING })
        .bind::<SqlUuid, _>(tenant)
        .bind::<Nullable<SqlUuid>, _>(after)
        .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX));
    let rows: Vec<IdRow> = Cached(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
