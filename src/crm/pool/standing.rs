//! How a record stands with the pool: which rule decides about it, what it goes by, how many days are left.

use super::clock;
use super::schedule::tended;
use super::{Deals, DealsOf, Kind, Why, rules};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::platform::db::{Cached, Db};
use crate::platform::records::store;
use crate::platform::reply::Reply;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// How a record stands with the pool.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolStanding {
    /// The record.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// What it is.
    kind: Kind,
    /// Its present stay in the pool; null while somebody owns it.
    stay: Option<PoolStay>,
    /// The rule that decides about it: the first active one that applies; null when none does.
    rule: Option<PoolRuleView>,
    /// Since when its owner has it.
    #[schema(example = "2024-03-01T08:30:00Z")]
    owned_since: Option<DateTime<Utc>>,
    /// The last follow-up known.
    #[schema(example = "2024-03-05T08:30:00Z")]
    last_follow_up_at: Option<DateTime<Utc>>,
    /// When its last opportunity was made or closed.
    #[schema(example = json!(null))]
    last_opportunity_at: Option<DateTime<Utc>>,
    /// Whether an open opportunity keeps it out of the pool: nothing is due then.
    #[schema(example = false)]
    is_held_by_deal: bool,
    /// What it will be taken for.
    because: Option<RecyclingReason>,
    /// The local day at whose beginning it goes to the pool if nothing happens.
    #[schema(example = "2024-04-05")]
    pool_due_on: Option<NaiveDate>,
    /// The instant at which that day begins in the company's time zone.
    #[schema(example = "2024-04-04T16:00:00Z")]
    pool_due_at: Option<DateTime<Utc>>,
    /// Local days until then: 1 means that it goes at the coming midnight.
    #[schema(example = 20)]
    days_left: Option<i64>,
    /// The local day at whose beginning its owner is warned, or was.
    #[schema(example = "2024-03-29")]
    warn_on: Option<NaiveDate>,
    /// Whether its owner was warned.
    #[schema(example = false)]
    is_warned: bool,
    /// What puts the day off.
    reset_by: Vec<ResetBy>,
}

/// A stay in the pool.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolStay {
    /// Since when.
    #[schema(example = "2024-03-05T08:30:00Z")]
    since: DateTime<Utc>,
    /// Why it is there.
    why: Why,
    /// What the releaser said.
    #[schema(example = "客户暂无预算")]
    reason: Option<String>,
    /// Who had it last.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    last_owner_id: Option<Uuid>,
}

/// The rule that decides.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolRuleView {
    /// Its id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    id: Uuid,
    /// Its name.
    #[schema(example = "B 类客户 30 天未跟进")]
    name: String,
    /// Whole local days without a follow-up after which it takes a record.
    #[schema(example = 30)]
    no_follow_up_days: Option<i32>,
    /// Whole local days without an opportunity after which it takes an account.
    #[schema(example = json!(null))]
    no_opportunity_days: Option<i32>,
    /// How many days before the owner is warned.
    #[schema(example = 7)]
    warning_days: i32,
}

/// What a record is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecyclingReason {
    NoFollowUp,
    NoOpportunity,
}

/// What puts off the day on which a record is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetBy {
    /// A follow-up noted, or its owner's change of follow-up status, next follow-up or state.
    FollowUp,
    /// An opportunity made or closed; an open one keeps it out of the pool.
    Opportunity,
    /// A new owner.
    NewOwner,
    /// For a lead: setting it aside until a day.
    Nurturing,
}

#[derive(QueryableByName)]
struct StayRow {
    #[diesel(sql_type = Timestamptz)]
    since: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    why: String,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    last_owner_id: Option<Uuid>,
}

async fn stay(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    kind: Kind,
    id: Uuid,
) -> AppResult<Option<PoolStay>> {
    let query = sql_query(
        "SELECT since, why, reason, last_owner_id FROM pool_stays \
         WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND ended_at IS NULL",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id);
    let found: Option<StayRow> = Cached(query).get_result(conn).await.optional()?;
    let stay = found.map(|row| {
        Ok(PoolStay {
            since: row.since,
            why: row.why.parse().map_err(AppError::internal)?,
            reason: row.reason,
            last_owner_id: row.last_owner_id,
        })
    });
    stay.transpose()
}

fn resets(kind: Kind) -> Vec<ResetBy> {
    match kind {
        Kind::Account => vec![ResetBy::FollowUp, ResetBy::Opportunity, ResetBy::NewOwner],
        Kind::Lead => vec![ResetBy::FollowUp, ResetBy::Nurturing, ResetBy::NewOwner],
    }
}

/// How a record stands now, whoever asks.
///
/// # Errors
/// `not_found` when there is no such record in the company.
pub(super) async fn find(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    deals: Deals,
    kind: Kind,
    id: Uuid,
) -> AppResult<PoolStanding> {
    let found = tended(conn, ctx.tenant, kind, &[id]).await?;
    let record = found.into_iter().next().or_not_found()?;
    let rules = rules::active(conn, ctx.tenant, kind).await?;
    let known = match kind {
        Kind::Account => (deals.0)(conn, ctx, vec![id]).await?.into_iter().next(),
        Kind::Lead => None,
    };
    let judged = record.judged(ctx, &rules, known.as_ref());
    let is_held = known.is_some_and(|known: DealsOf| known.has_open);
    let due = judged.and_then(|(rule, due)| due.map(|due| due.seen(ctx.today(), rule.warning_days)));
    let due = due.filter(|_| !is_held);
    let zone = ctx.principal.company.time_zone;
    Ok(PoolStanding {
        id,
        kind,
        stay: stay(conn, ctx.tenant, kind, id).await?,
        rule: judged.map(|(rule, _)| PoolRuleView {
            id: rule.id,
            name: rule.name.clone(),
            no_follow_up_days: rule.no_follow_up_days,
            no_opportunity_days: rule.no_opportunity_days,
            warning_days: rule.warning_days,
        }),
        owned_since: record.owner_id.map(|_| record.owned_since()),
        last_follow_up_at: record.followed_up_at,
        last_opportunity_at: known.and_then(|known| known.last_at),
        is_held_by_deal: is_held,
        because: due.map(|due| match due.is_for_opportunity {
            true => RecyclingReason::NoOpportunity,
            false => RecyclingReason::NoFollowUp,
        }),
        pool_due_on: due.map(|due| due.due_on),
        pool_due_at: due.map(|due| clock::beginning(due.due_on, zone)),
        days_left: due.map(|due| (due.due_on - ctx.today()).num_days()),
        warn_on: due.and_then(|due| due.warn_on),
        is_warned: due.is_some_and(|due| due.is_warned),
        reset_by: resets(kind),
    })
}

/// How a record that the caller sees stands with the pool.
///
/// # Errors
/// `not_found`.
pub(super) async fn read(db: &Db, ctx: &Ctx, deals: Deals, kind: Kind, id: Uuid) -> AppResult<Reply> {
    let found = db
        .read(async |conn| {
            store::require_visible(conn, ctx, kind.resource(), id).await?;
            find(conn, ctx, deals, kind, id).await
        })
        .await?;
    Ok(Reply::ok(&found)?.with_weak_tag())
}
