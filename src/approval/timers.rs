//! The timers of open steps: a reminder before the deadline, and the deadline.

use super::definition::ProcessDocument;
use super::rules::reminder_at;
use super::state::{State, Step, StepState};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::schema::timers;
use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use serde_json::json;
use uuid::Uuid;

/// The timer that reminds those who have yet to decide in a step.
pub const REMINDER: &str = "approval_reminder";
/// The timer that escalates a step.
pub const DEADLINE: &str = "approval_deadline";
/// What both are about.
pub const SUBJECT: &str = "approval_step";

/// Sets the timers of steps that have opened, and takes away those of steps that have closed.
pub(super) async fn follow(
    tx: &mut Tx,
    ctx: &Ctx,
    process: &ProcessDocument,
    request: Uuid,
    before: &State,
    after: &State,
) -> AppResult<()> {
    let was_open = |step: &Step| {
        before
            .step(step.id)
            .is_some_and(|old| old.state == StepState::Open)
    };
    let is_open = |step: &Step| step.state == StepState::Open;
    for step in after.steps.iter().filter(|step| is_open(step) && !was_open(step)) {
        set(tx, ctx, REMINDER, request, step.id, reminder_at(process, step)).await?;
        set(tx, ctx, DEADLINE, request, step.id, step.due_at).await?;
    }
    let closed = after.steps.iter().filter(|step| was_open(step) && !is_open(step));
    let closed = closed.map(|step| step.id).collect::<Vec<_>>();
    if !closed.is_empty() {
        diesel::delete(
            timers::table
                .filter(timers::tenant_id.eq(ctx.tenant))
                .filter(timers::kind.eq_any([REMINDER, DEADLINE]))
                .filter(timers::subject_kind.eq(SUBJECT))
                .filter(timers::subject_id.eq_any(closed)),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn set(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: &'static str,
    request: Uuid,
    step: Uuid,
    due_at: Option<DateTime<Utc>>,
) -> AppResult<()> {
    let Some(due_at) = due_at else { return Ok(()) };
    diesel::insert_into(timers::table)
        .values((
            timers::tenant_id.eq(ctx.tenant),
            timers::id.eq(Uuid::now_v7()),
            timers::kind.eq(kind),
            timers::subject_kind.eq(SUBJECT),
            timers::subject_id.eq(step),
            timers::due_at.eq(due_at),
            timers::details.eq(json!({ "request_id": request })),
        ))
        .on_conflict((
            timers::tenant_id,
            timers::kind,
            timers::subject_kind,
            timers::subject_id,
        ))
        .do_update()
        .set(timers::due_at.eq(due_at))
        .execute(&mut **tx)
        .await?;
    Ok(())
}
