//! The timers of open steps: a reminder before the deadline, and the deadline.

use super::definition::ProcessDocument;
use super::rules::reminder_at;
use super::state::{State, Step, StepState};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::time::timer;
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
        let due = [(REMINDER, reminder_at(process, step)), (DEADLINE, step.due_at)];
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
