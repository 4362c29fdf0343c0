//! Grades follow the days: at each local midnight the accounts whose grade a new day changes get it, a batch at a time.

use super::{pool, rules};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::time::timer::{self, Timer};
use chrono::NaiveDate;
use diesel::sql_types::{BigInt, Date, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::json;
use uuid::Uuid;

/// The kind of the timer.
pub const DAILY: &str = "account_grades";
/// Most accounts that one firing changes; what is left is changed by the next one, at once.
const BATCH: usize = 1_000;

/// Sees to it that grades are computed anew from the next midnight on. Once set, the timer sets itself.
///
/// # Errors
/// Database errors.
pub async fn keep_daily(tx: &mut Tx, ctx: &Ctx) -> AppResult<()> {
    timer::ensure(tx, ctx, DAILY, ("company", ctx.tenant), timer::next_midnight(ctx)).await
}

/// Computes the grades of today, and sets the timer to the next midnight, or to now while some are left.
///
/// # Errors
/// Database errors.
pub async fn fire_daily(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    let changed = regrade(tx, ctx).await?;
    let due_at = if changed < BATCH {
        timer::next_midnight(ctx)
    } else {
        ctx.now
    };
    timer::again(tx, ctx, timer, due_at, json!({})).await
}

#[derive(QueryableByName)]
struct Graded {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    before: Option<String>,
    #[diesel(sql_type = Text)]
    grade: String,
}

/// Each line names what an index can seek: accounts of one grade whose need lies where that grade does not reach.
const REGRADE: &str = "\
UPDATE accounts t SET grade = n.grade, version = t.version + 1, updated_at = $4
FROM (SELECT a.id, a.grade AS before,
        CASE WHEN a.expected_need_on <= $2 THEN 'a' WHEN a.expected_need_on <= $3 THEN 'b' ELSE 'c' END AS grade
    FROM accounts a
    WHERE a.tenant_id = $1 AND a.expected_need_on IS NOT NULL AND NOT a.is_grade_by_hand AND a.archived_at IS NULL
        AND ((a.grade = 'a' AND a.expected_need_on > $2)
            OR (a.grade = 'b' AND (a.expected_need_on <= $2 OR a.expected_need_on > $3))
            OR (a.grade = 'c' AND (a.expected_need_on <= $2 OR a.expected_need_on <= $3))
            OR a.grade IS NULL)
    ORDER BY a.id LIMIT $5 FOR NO KEY UPDATE) n
WHERE t.tenant_id = $1 AND t.id = n.id
RETURNING t.id, n.before, t.grade";

/// Changes the grades that today's date changes, one batch of them; answers how many.
async fn regrade(tx: &mut Tx, ctx: &Ctx) -> AppResult<usize> {
    let company = &ctx.principal.company;
    let (last_a, last_b) = rules::last_days(ctx.today(), company.grade_a_days, company.grade_b_months);
    let query = sql_query(REGRADE)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Date, _>(last_a.unwrap_or(NaiveDate::MAX))
        .bind::<Date, _>(last_b.unwrap_or(NaiveDate::MAX))
        .bind::<Timestamptz, _>(ctx.now)
        .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX));
    let graded: Vec<Graded> = Cached(query).load(&mut **tx).await?;
    for account in &graded {
        let change = json!({ "before": account.before, "after": account.grade });
        tx.record(Event::new(
            "account.graded",
            "account",
            account.id,
            json!({ "changes": { "grade": change } }),
        ));
    }
    let ids = graded.iter().map(|account| account.id).collect::<Vec<_>>();
    pool::reschedule(tx, ctx, pool::Kind::Account, &ids).await?;
    Ok(graded.len())
}
