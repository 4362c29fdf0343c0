//! The timers of open steps: a reminder before the deadline, and the deadline.

use super::definition::ProcessDocument;
use super::queries::{self, Loaded};
use super::refusal::Refusal;
use super::rules::{self, Outcome, Setting};
use super::service::{Rule, apply, lock};
use super::state::{State, Step, StepState};
use super::subjects::Subjects;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Tx;
use crate::time::timer;
use serde_json::{Value, json};
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
        let due = [
            (REMINDER, rules::reminder_at(process, step)),
            (DEADLINE, step.due_at),
        ];
        for (kind, at) in due {
            if let Some(at) = at {
                let details = json!({ "request_id": request });
                timer::set(tx, ctx, kind, (SUBJECT, step.id), at, details).await?;
            }
        }
    }
    let closed = after.steps.iter().filter(|step| was_open(step) && !is_open(step));
    for step in closed {
        timer::cancel(tx, ctx, REMINDER, (SUBJECT, step.id)).await?;
        timer::cancel(tx, ctx, DEADLINE, (SUBJECT, step.id)).await?;
    }
    Ok(())
}

/// The reminder of a step is due: reminds those who have yet to decide. Nothing, when the step has closed.
///
/// # Errors
/// Database errors.
pub async fn fire_reminder(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    step_id: Uuid,
    details: &Value,
) -> AppResult<()> {
    let remind = |loaded: &Loaded, setting: Setting<'_>| {
        harmless(
            loaded,
            rules::remind(&loaded.state, setting, None, Some(step_id), None),
        )
    };
    fire(tx, ctx, subjects, details, &remind).await
}

/// The deadline of a step has passed: asks those above. It never approves.
///
/// # Errors
/// Database errors.
pub async fn fire_deadline(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    step_id: Uuid,
    details: &Value,
) -> AppResult<()> {
    let escalate = |loaded: &Loaded, setting: Setting<'_>| {
        harmless(loaded, rules::escalate(&loaded.state, setting, step_id))
    };
    fire(tx, ctx, subjects, details, &escalate).await
}

/// A timer that finds its step decided has nothing to do.
fn harmless(loaded: &Loaded, outcome: Result<Outcome, Refusal>) -> AppResult<Outcome> {
    Ok(outcome.unwrap_or_else(|_| Outcome {
        acts: Vec::new(),
        state: loaded.state.clone(),
    }))
}

async fn fire(tx: &mut Tx, ctx: &Ctx, subjects: Subjects, details: &Value, rule: Rule<'_>) -> AppResult<()> {
    let id = details["request_id"]
        .as_str()
        .and_then(|id| Uuid::parse_str(id).ok());
    let id = id.ok_or_else(|| AppError::internal("an approval timer without its request"))?;
    let about = queries::about(&mut &**tx, ctx, id).await?;
    let (_, loaded) = lock(tx, ctx, subjects, &about).await?;
    let people = queries::people(&mut &**tx, ctx.tenant).await?;
    apply(tx, ctx, &people, &loaded, rule).await?;
    Ok(())
}
