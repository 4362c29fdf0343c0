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
use crate::time::calendar::Calendar;
use crate::time::timer;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// The timer that reminds those who have yet to decide in a step.
pub const REMINDER: &str = "approval_reminder";
/// The timer that escalates a step.
pub const DEADLINE: &str = "approval_deadline";
/// What both are about.
pub const SUBJECT: &str = "approval_step";

/// Steps that open by an outcome.
fn opening<'a>(before: &'a State, after: &'a State) -> impl Iterator<Item = &'a Step> {
    let was_open = |step: &Step| is_open(before, step);
    let open = after.steps.iter().filter(|step| step.state == StepState::Open);
    open.filter(move |step| !was_open(step))
}

fn is_open(state: &State, step: &Step) -> bool {
    state
        .step(step.id)
        .is_some_and(|step| step.state == StepState::Open)
}

/// The company's calendar, when a step that opens goes by it.
pub(super) async fn calendar(
    tx: &mut Tx,
    ctx: &Ctx,
    process: &ProcessDocument,
    before: &State,
    after: &State,
) -> AppResult<Option<Calendar>> {
    let needs_it = opening(before, after).any(|step| {
        let step = process.step(&step.key);
        step.working_deadline().is_some() || step.working_reminder().is_some()
    });
    if !needs_it {
        return Ok(None);
    }
    Calendar::of(&mut &**tx, ctx.tenant).await.map(Some)
}

/// The state with the deadlines in working time of the steps that open. They are kept, since the acts alone do not give
/// them: a calendar that changes later does not move what is set.
pub(super) fn dated(
    process: &ProcessDocument,
    before: &State,
    mut after: State,
    calendar: &Calendar,
) -> State {
    let opening = opening(before, &after).map(|step| step.id).collect::<Vec<_>>();
    let opening = after.steps.iter_mut().filter(|step| opening.contains(&step.id));
    for step in opening {
        let span = process.step(&step.key).working_deadline();
        if let (Some(span), Some(opened)) = (span, step.opened_at) {
            step.due_at = Some(calendar.after(opened, span));
        }
    }
    after
}

/// When those who have yet to decide are reminded; never before the step opened.
fn reminder_at(process: &ProcessDocument, step: &Step, calendar: Option<&Calendar>) -> Option<DateTime<Utc>> {
    let span = process.step(&step.key).working_reminder();
    match (span, calendar, step.due_at) {
        (Some(span), Some(calendar), Some(due)) => {
            let at = calendar.before(due, span);
            Some(step.opened_at.map_or(at, |opened| opened.max(at)))
        }
        _ => rules::reminder_at(process, step),
    }
}

/// Sets the timers of steps that have opened, and takes away those of steps that have closed.
pub(super) async fn follow(
    tx: &mut Tx,
    ctx: &Ctx,
    process: &ProcessDocument,
    request: Uuid,
    (before, after): (&State, &State),
    calendar: Option<&Calendar>,
) -> AppResult<()> {
    for step in opening(before, after) {
        let due = [
            (REMINDER, reminder_at(process, step, calendar)),
            (DEADLINE, step.due_at),
        ];
        for (kind, at) in due {
            if let Some(at) = at {
                let details = json!({ "request_id": request });
                timer::set(tx, ctx, kind, (SUBJECT, step.id), at, details).await?;
            }
        }
    }
    let closed = after.steps.iter().filter(|step| step.state != StepState::Open);
    for step in closed.filter(|step| is_open(before, step)) {
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
    let people = queries::people(&mut &**tx, ctx).await?;
    apply(tx, ctx, &people, &loaded, rule).await?;
    Ok(())
}
