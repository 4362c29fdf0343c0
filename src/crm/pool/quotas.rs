//! What a person may claim: quotas and the cool-down. Counted under the lock of the claimant's own row, so that fifty claims
//! of one person at once are counted one after the other. That row goes after the record's in the order of locks.

use super::Kind;
use super::clock;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Date, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use uuid::Uuid;

/// What a company lets people claim of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Quotas {
    /// Most records of the kind that a person holds, however they got them, and can still claim; `None`: no limit.
    #[diesel(sql_type = Nullable<Integer>)]
    pub most_held: Option<i32>,
    /// Most that a person claims on one local day; `None`: no limit.
    #[diesel(sql_type = Nullable<Integer>)]
    pub most_claimed_daily: Option<i32>,
    /// For how many days whoever lost a record cannot claim it.
    #[diesel(sql_type = Integer)]
    pub cool_down_days: i32,
    /// Whether a lead that comes without an owner is in the pool at once.
    #[diesel(sql_type = Bool)]
    pub takes_unassigned: bool,
}

/// What holds until the company says otherwise.
impl Default for Quotas {
    fn default() -> Quotas {
        Quotas {
            most_held: None,
            most_claimed_daily: Some(50),
            cool_down_days: 7,
            takes_unassigned: false,
        }
    }
}

/// The company's quotas of a kind.
///
/// # Errors
/// Database errors.
pub async fn of(conn: &mut &AsyncPgConnection, tenant: Uuid, kind: Kind) -> AppResult<Quotas> {
    let query = sql_query(
        "SELECT most_held, most_claimed_daily, cool_down_days, takes_unassigned FROM pool_settings \
         WHERE tenant_id = $1 AND record_kind = $2",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Text, _>(kind.name());
    let found: Option<Quotas> = Cached(query).get_result(conn).await.optional()?;
    Ok(found.unwrap_or_default())
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Lost {
    #[diesel(sql_type = Timestamptz)]
    lost_at: DateTime<Utc>,
}

/// Counts one more claim of the caller.
///
/// # Errors
/// `cooling_down` when they lost this record lately, `quota_reached`.
pub(super) async fn claim(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid) -> AppResult<()> {
    let quotas = of(&mut &**tx, ctx.tenant, kind).await?;
    cooled_down(tx, ctx, kind, id, quotas.cool_down_days).await?;
    count(tx, ctx, kind, quotas.most_claimed_daily).await?;
    match quotas.most_held {
        Some(most) => room(tx, ctx, kind, most).await,
        None => Ok(()),
    }
}

async fn cooled_down(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid, days: i32) -> AppResult<()> {
    let query = sql_query(
        "SELECT lost_at FROM pool_cool_downs WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND user_id = $4",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(ctx.user);
    let lost: Option<Lost> = Cached(query).get_result(&mut **tx).await.optional()?;
    let Some(lost) = lost else { return Ok(()) };
    let zone = ctx.principal.company.time_zone;
    let from = clock::days_later(lost.lost_at, days, zone);
    if ctx.now >= from {
        return Ok(());
    }
    let refusal = AppError::refuse(
        Code::CoolingDown,
        say(
            format!("You had it until lately; you can claim it again from {from}"),
            format!("您曾负责该记录,冷却期至 {from},届时方可再次领取"),
        ),
    );
    Err(refusal.with("claimable_from", json!(from)))
}

/// One more claim today, unless that would be more than the company allows.
async fn count(tx: &mut Tx, ctx: &Ctx, kind: Kind, most: Option<i32>) -> AppResult<()> {
    let query = sql_query(
        "INSERT INTO pool_claimants AS p (tenant_id, user_id, record_kind, claimed_on, claimed_count) \
         SELECT $1, $2, $3, $4, 1 WHERE $5::integer IS NULL OR $5 > 0 \
         ON CONFLICT (tenant_id, user_id, record_kind) DO UPDATE SET \
            claimed_count = CASE WHEN p.claimed_on < EXCLUDED.claimed_on THEN 1 ELSE p.claimed_count + 1 END, \
            claimed_on = greatest(p.claimed_on, EXCLUDED.claimed_on) \
         WHERE $5::integer IS NULL OR p.claimed_on < EXCLUDED.claimed_on OR p.claimed_count < $5",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(ctx.user)
    .bind::<Text, _>(kind.name())
    .bind::<Date, _>(ctx.today())
    .bind::<Nullable<Integer>, _>(most);
    if Cached(query).execute(&mut **tx).await? > 0 {
        return Ok(());
    }
    let most = most.unwrap_or_default();
    Err(reached(
        "claimed_daily",
        most,
        format!("You claimed {most} today, which is as many as a person may"),
        format!("您今日已领取 {most} 条,达到每日上限"),
    ))
}

/// Whether the caller may hold one more.
async fn room(tx: &mut Tx, ctx: &Ctx, kind: Kind, most: i32) -> AppResult<()> {
    let held = match kind {
        Kind::Account => {
            "SELECT count(*) AS number FROM (SELECT 1 FROM accounts t WHERE t.tenant_id = $1 AND t.owner_id = $2 \
                AND t.archived_at IS NULL LIMIT $3) t"
        }
        Kind::Lead => {
            "SELECT count(*) AS number FROM (SELECT 1 FROM leads t WHERE t.tenant_id = $1 AND t.owner_id = $2 \
                AND t.archived_at IS NULL AND t.status <> 'converted' LIMIT $3) t"
        }
    };
    let query = sql_query(held)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(ctx.user)
        .bind::<BigInt, _>(i64::from(most));
    let held: Counted = Cached(query).get_result(&mut **tx).await?;
    if held.number < i64::from(most) {
        return Ok(());
    }
    Err(reached(
        "held",
        most,
        format!("You hold {most}, which is as many as a person may"),
        format!("您已持有 {most} 条,达到持有上限"),
    ))
}

fn reached(kind: &str, most: i32, en: String, zh: String) -> AppError {
    AppError::refuse(Code::QuotaReached, say(en, zh)).with("quota", json!({ "kind": kind, "most": most }))
}
