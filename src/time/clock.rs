//! A company's clock, and how a sandbox company's is moved.

use super::engine::terms;
use super::timer::{self, COLUMNS, Handlers, Timer};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::Command;
use crate::platform::reply::Reply;
use actix_web::{get, post, web};
use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Utc};
use diesel::sql_types::{Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// Most timers that one move fires.
const MOST_FIRED: usize = 5_000;
/// The last year to which a clock can be moved.
const LAST_YEAR: i32 = 2999;

/// What timers do, as the service's handlers know it.
pub struct TimerHandlers(pub Handlers);

/// Where a company's clock stands.
#[derive(Serialize, ToSchema)]
pub struct ClockView {
    /// The company's present: deadlines, reminders and rules go by it.
    #[schema(example = "2024-03-15T08:30:00Z")]
    pub now: DateTime<Utc>,
    /// Whether it stands still until it is moved; otherwise it is real time.
    #[schema(example = true)]
    pub is_sandbox: bool,
}

/// Where the clock is to stand.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveClock {
    /// Not before where it stands now; the year 2999 at most.
    #[schema(example = "2024-03-16T08:30:00Z")]
    pub now: DateTime<Utc>,
}

/// What moving the clock did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Moved {
    #[schema(example = "2024-03-16T08:30:00Z")]
    pub now: DateTime<Utc>,
    #[schema(example = true)]
    pub is_sandbox: bool,
    /// How many timers fired.
    #[schema(minimum = 0, example = 2)]
    pub fired_count: usize,
    /// How many failed; they are tried again in the background.
    #[schema(minimum = 0, example = 0)]
    pub failed_count: usize,
}

/// Where the company's clock stands
///
/// Real time, or in a sandbox company the instant to which it was last moved.
#[utoipa::path(tag = "identity", operation_id = "get_clock", security(("bearer" = ["company.read"])), responses((status = 200, body = ClockView)))]
#[get("/v1/company/clock")]
pub async fn get_clock(ctx: Ctx) -> AppResult<Reply> {
    Reply::ok(&ClockView {
        now: ctx.now,
        is_sandbox: ctx.principal.company.is_sandbox,
    })
    .map(Reply::with_weak_tag)
}

/// Moves a sandbox company's clock forward
///
/// Everything that falls due on the way happens in its order, each at its own due time, before this answers: reminders,
/// deadlines, escalations. Only a sandbox company's clock can be moved (`not_sandbox`), and never back (`invalid`).
#[utoipa::path(tag = "identity", operation_id = "move_clock", security(("bearer" = ["sandbox.write"])), request_body = MoveClock, responses((status = 200, body = Moved)))]
#[post("/v1/company/clock")]
pub async fn move_clock(
    db: web::Data<Db>,
    handlers: web::Data<TimerHandlers>,
    command: Command<MoveClock>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        Reply::ok(&advance(tx, &ctx, handlers.0, input.now).await?)
    })
    .await
}

#[derive(QueryableByName)]
struct ClockRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    sandbox_now: Option<DateTime<Utc>>,
}

/// Moves the clock of a sandbox company to `target` and fires what falls due on the way. The company's row stays locked:
/// a second mover waits, and is refused if the first one went further.
///
/// # Errors
/// `not_sandbox` when it lives by real time, `invalid` when the clock would go back or too far, `conflict` when too much would fire.
pub async fn advance(tx: &mut Tx, ctx: &Ctx, handlers: Handlers, target: DateTime<Utc>) -> AppResult<Moved> {
    let target = target.trunc_subsecs(6);
    if target.year() > LAST_YEAR {
        return Err(AppError::invalid(vec![Fault::out_of_range(
            "/now",
            "must be in the year 2999 at most",
            "不能晚于 2999 年",
        )]));
    }
    let before = lock_clock(tx, ctx).await?;
    if target < before {
        let at = before.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        return Err(AppError::invalid(vec![Fault::out_of_range(
            "/now",
            &format!("cannot be before {at}, where the clock stands: it never goes back"),
            &format!("不能早于时钟当前时间 {at}:时钟不能回拨"),
        )]));
    }
    let mut moved = Moved {
        now: target,
        is_sandbox: true,
        fired_count: 0,
        failed_count: 0,
    };
    while let Some(timer) = next_due(tx, ctx, target).await? {
        if moved.fired_count + moved.failed_count >= MOST_FIRED {
            return Err(too_much());
        }
        let now = timer.due_at.max(before);
        let terms = terms(&ctx.principal.company, ctx.tenant, now, &timer);
        match fire_apart(tx, &terms, handlers, &timer).await? {
            Some(true) => moved.fired_count += 1,
            Some(false) => {}
            None => moved.failed_count += 1,
        }
    }
    set_clock(tx, ctx, before, target).await?;
    Ok(moved)
}

/// Fires the next timer that is due where the clock of a sandbox company stands, under the lock with which it is moved.
/// Says whether there was one.
///
/// # Errors
/// `not_sandbox` when it lives by real time; database errors.
pub(super) async fn fire_next(tx: &mut Tx, ctx: &Ctx, handlers: Handlers) -> AppResult<bool> {
    let now = lock_clock(tx, ctx).await?;
    let Some(timer) = next_due(tx, ctx, now).await? else {
        return Ok(false);
    };
    let terms = terms(&ctx.principal.company, ctx.tenant, now, &timer);
    fire_apart(tx, &terms, handlers, &timer).await?;
    Ok(true)
}

fn too_much() -> AppError {
    AppError::refuse(
        Code::Conflict,
        say(
            format!("More than {MOST_FIRED} timers are due until then; move the clock in smaller steps"),
            format!("到该时刻有超过 {MOST_FIRED} 个定时器到期,请分步调整时钟"),
        ),
    )
}

async fn lock_clock(tx: &mut Tx, ctx: &Ctx) -> AppResult<DateTime<Utc>> {
    let row = sql_query("SELECT sandbox_now FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE")
        .bind::<SqlUuid, _>(ctx.tenant)
        .get_result::<ClockRow>(&mut **tx)
        .await
        .optional()?
        .or_not_found()?;
    row.sandbox_now.ok_or_else(|| {
        AppError::refuse(
            Code::NotSandbox,
            say(
                "This company lives by real time; only a sandbox company's clock can be moved",
                "该企业使用真实时间,仅沙盒企业可调整时钟",
            ),
        )
    })
}

/// The next timer up to `target`; not locked, since its handler locks its subject first.
async fn next_due(tx: &mut Tx, ctx: &Ctx, target: DateTime<Utc>) -> AppResult<Option<Timer>> {
    let query = format!(
        "SELECT {COLUMNS} FROM timers WHERE tenant_id = $1 AND due_at <= $2 AND NOT is_real_time \
         AND (retry_at IS NULL OR retry_at <= $3) ORDER BY due_at, id LIMIT 1"
    );
    let found = sql_query(query)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Timestamptz, _>(target)
        .bind::<Timestamptz, _>(ctx.recorded_at)
        .get_result::<Timer>(&mut **tx)
        .await
        .optional()?;
    Ok(found)
}

/// Fires one timer so that its failure undoes nothing else. True when it fired, false when it was another's, none when
/// it failed.
async fn fire_apart(tx: &mut Tx, terms: &Ctx, handlers: Handlers, timer: &Timer) -> AppResult<Option<bool>> {
    tx.forget();
    tx.batch_execute("SAVEPOINT timer").await?;
    let fired = timer::fire(tx, terms, handlers, timer).await;
    if matches!(fired, Ok(true)) {
        tx.flush_events(terms).await?;
        tx.batch_execute("RELEASE SAVEPOINT timer").await?;
        return Ok(Some(true));
    }
    tx.batch_execute("ROLLBACK TO SAVEPOINT timer").await?;
    tx.forget();
    let Err(error) = fired else {
        return Ok(Some(false));
    };
    tracing::error!(kind = %timer.kind, subject = %timer.subject_id, %error, "a timer failed; it is tried again");
    timer::note_attempt(tx, terms, timer).await?;
    Ok(None)
}

async fn set_clock(tx: &mut Tx, ctx: &Ctx, before: DateTime<Utc>, after: DateTime<Utc>) -> AppResult<()> {
    sql_query(
        "UPDATE tenants SET sandbox_now = $2, updated_at = $2, version = version + 1 WHERE tenant_id = $1",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Timestamptz, _>(after)
    .execute(&mut **tx)
    .await?;
    tx.record(Event::new(
        "company.clock_moved",
        "company",
        ctx.tenant,
        json!({ "changes": { "now": { "before": before, "after": after } } }),
    ));
    let then = Ctx {
        now: after,
        ..ctx.clone()
    };
    tx.flush_events(&then).await
}
