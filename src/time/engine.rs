//! Fires what is due. Any number of servers run one: a timer is claimed by whoever comes first, and ends in the
//! transaction of what it did. A handler that fails is tried again, later and later, and holds nothing else up.

use super::clock;
use super::timer::{self, COLUMNS, Handlers, Overtaken, Timer, back_off};
use crate::kernel::ctx::{ActorKind, Company, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::auth::{business_now, load_company};
use crate::platform::clock::real_now;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::reply::Reply;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(200);
/// Most timers of one company that are claimed at once; they fire one after the other, well within the back-off.
const BATCH: i64 = 5;
/// How long one handler may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts an engine beside any others.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(url: &str, handlers: Handlers) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn("timers", url, move |db, stop| run(db, stop, handlers))
}

async fn run(db: Db, mut stop: Stop, handlers: Handlers) {
    while !stop.is_asked() {
        let fired = fire_due(&db, &stop, handlers).await;
        if matches!(fired, Ok(true)) {
            continue;
        }
        if let Err(error) = fired {
            tracing::warn!(%error, "timers could not be looked for; trying again");
        }
        stop.pause(INTERVAL).await;
    }
}

#[derive(QueryableByName)]
struct TenantRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
}

/// Companies in which something is due: by real time ($1), or by where a sandbox company's clock stands.
const WITH_WORK: &str = "\
SELECT DISTINCT t.tenant_id FROM timers t JOIN tenants c ON c.tenant_id = t.tenant_id \
WHERE t.due_at <= $1 AND (c.sandbox_now IS NULL OR t.is_real_time) AND (t.retry_at IS NULL OR t.retry_at <= $1) \
UNION \
SELECT t.tenant_id FROM tenants c JOIN timers t ON t.tenant_id = c.tenant_id AND t.due_at <= c.sandbox_now \
WHERE c.sandbox_now IS NOT NULL AND NOT t.is_real_time AND (t.retry_at IS NULL OR t.retry_at <= $1)";

/// One turn: a batch of each company in which something is due, so that one with much to do holds no other up. Whether there
/// may be more.
async fn fire_due(db: &Db, stop: &Stop, handlers: Handlers) -> AppResult<bool> {
    let now = real_now();
    let tenants: Vec<TenantRow> = db
        .read(async |conn| {
            Ok(sql_query(WITH_WORK)
                .bind::<Timestamptz, _>(now)
                .load(conn)
                .await?)
        })
        .await?;
    let mut has_fired = false;
    for TenantRow { tenant_id } in tenants {
        if stop.is_asked() {
            break;
        }
        match fire_in(db, stop, handlers, tenant_id).await {
            Ok(fired) => has_fired |= fired,
            Err(error) => {
                tracing::warn!(%error, tenant = %tenant_id, "timers of a company could not be claimed");
            }
        }
    }
    Ok(has_fired)
}

/// Fires a batch of what is due in one company, and says whether it found any.
async fn fire_in(db: &Db, stop: &Stop, handlers: Handlers, tenant: Uuid) -> AppResult<bool> {
    let Some(company) = load_company(db, tenant).await? else {
        return Ok(false);
    };
    let company = Arc::new(company);
    let has_caught_up = company.is_sandbox && catch_up(db, stop, handlers, tenant, &company).await?;
    let now = business_now(db, tenant, &company).await?;
    let by_clock = (!company.is_sandbox).then_some(now);
    let claimed = claim(db, tenant, by_clock, BATCH).await?;
    for timer in &claimed {
        fire_claimed(db, handlers, tenant, &company, now, timer).await;
    }
    Ok(has_caught_up || !claimed.is_empty())
}

/// Fires a batch of what is due where a sandbox company's clock stands, one timer a transaction, and says whether there was
/// any. It is done under the lock with which the clock is moved, not by claims: whoever moves it meets no timer that is half
/// fired and passes over none.
async fn catch_up(
    db: &Db,
    stop: &Stop,
    handlers: Handlers,
    tenant: Uuid,
    company: &Arc<Company>,
) -> AppResult<bool> {
    for turn in 0..BATCH {
        let was_any = Cell::new(true);
        let now = business_now(db, tenant, company).await?;
        let ctx = Ctx::system(Arc::clone(company), tenant, ActorKind::Timer, now, real_now());
        let fired = db.write(&ctx, async |tx| {
            was_any.set(clock::fire_next(tx, &ctx, handlers).await?);
            Ok(Reply::no_content())
        });
        match tokio::time::timeout(PATIENCE, fired).await {
            Ok(outcome) => outcome.map(drop)?,
            Err(_) => {
                let late = claim(db, tenant, Some(now), 1).await?;
                let kinds = late.iter().map(|timer| timer.kind.as_str()).collect::<Vec<_>>();
                tracing::error!(?kinds, "a timer took too long; it is tried again");
            }
        }
        if !was_any.get() || stop.is_asked() {
            return Ok(turn > 0);
        }
    }
    Ok(true)
}

/// Claims due timers, so many at most, for the length of the back-off; without the company's present only those that go by
/// real time. Others claim other ones meanwhile.
async fn claim(db: &Db, tenant: Uuid, now: Option<DateTime<Utc>>, most: i64) -> AppResult<Vec<Timer>> {
    let real = real_now();
    // Claimed together, they share the back-off of a first attempt, then of a second, and so on up to the eighth.
    let retries = (1..=8)
        .map(|attempt| real + back_off(attempt))
        .collect::<Vec<_>>();
    let claimed = db
        .bookkeep(async |conn| {
            let query = format!(
                "UPDATE timers SET attempts = attempts + 1, retry_at = ($4::timestamptz[])[least(attempts + 1, $5)] \
                 WHERE tenant_id = $1 AND id IN (SELECT id FROM timers WHERE tenant_id = $1 \
                    AND due_at <= CASE WHEN is_real_time THEN $2 ELSE $3 END AND (retry_at IS NULL OR retry_at <= $2) \
                    ORDER BY due_at, id LIMIT $6 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
            );
            let claimed = sql_query(query)
                .bind::<SqlUuid, _>(tenant)
                .bind::<Timestamptz, _>(real)
                .bind::<Nullable<Timestamptz>, _>(now)
                .bind::<Array<Timestamptz>, _>(&retries)
                .bind::<Integer, _>(8)
                .bind::<BigInt, _>(most)
                .load::<Timer>(conn)
                .await?;
            Ok(claimed)
        })
        .await;
    let mut claimed = claimed?;
    claimed.sort_by_key(|timer| (timer.due_at, timer.id));
    Ok(claimed)
}

/// The terms under which a timer acts.
pub(super) fn terms(company: &Arc<Company>, tenant: Uuid, now: DateTime<Utc>, timer: &Timer) -> Ctx {
    let mut ctx = Ctx::system(Arc::clone(company), tenant, ActorKind::Timer, now, real_now());
    ctx.cause = Some(format!("timer {}", timer.kind));
    ctx
}

async fn fire_claimed(
    db: &Db,
    handlers: Handlers,
    tenant: Uuid,
    company: &Arc<Company>,
    now: DateTime<Utc>,
    timer: &Timer,
) {
    let ctx = terms(company, tenant, now, timer);
    let fired = db.write(&ctx, async |tx| {
        if timer::fire(tx, &ctx, handlers, timer).await? {
            Ok(Reply::no_content())
        } else {
            Err(AppError::internal(Overtaken))
        }
    });
    let outcome = tokio::time::timeout(PATIENCE, fired).await;
    let (kind, subject, attempts) = (&timer.kind, timer.subject_id, timer.attempts);
    match outcome {
        Ok(Ok(_)) => tracing::debug!(%kind, %subject, "timer fired"),
        Ok(Err(AppError::Internal(error))) if error.is::<Overtaken>() => {
            tracing::debug!(%kind, %subject, "timer left to others");
        }
        Ok(Err(error)) => {
            tracing::error!(%kind, %subject, attempts, %error, "a timer failed; it is tried again")
        }
        Err(_) => tracing::error!(%kind, %subject, attempts, "a timer took too long; it is tried again"),
    }
}
