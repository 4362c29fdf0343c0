//! What keeps an open step going: reminders, the deadline, and people for those who left, may no longer decide, or were
//! never found.

use super::draft::Draft;
use super::{Outcome, Setting, only_open_step, pending};
use crate::approval::definition::ProcessDocument;
use crate::approval::refusal::Refusal;
use crate::approval::seating::Origin;
use crate::approval::state::{Act, ActKind, Seat, State, Step};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// Reminds everybody who has yet to decide, one act each: in one step, or in all that are open. `who` is nobody
/// when the clock does it.
///
/// # Errors
/// [`Refusal::RequestClosed`], [`Refusal::StepClosed`].
pub fn remind(
    state: &State,
    setting: Setting<'_>,
    who: Option<Uuid>,
    step: Option<Uuid>,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    pending(state)?;
    if let Some(step) = step {
        only_open_step(state, Some(step))?;
    }
    let mut draft = Draft::of(state.clone(), setting);
    for seat in state.waiting_seats() {
        if step.is_none_or(|step| step == seat.step_id) {
            draft.record(Act {
                actor_id: who,
                to_user_id: Some(seat.user_id),
                comment: comment.clone(),
                ..draft.act_on(ActKind::Remind, seat)
            });
        }
    }
    Ok(draft.done())
}

/// When those who have yet to decide in an open step are reminded; never before it opened.
#[must_use]
pub fn reminder_at(process: &ProcessDocument, step: &Step) -> Option<DateTime<Utc>> {
    let before = process.step(&step.key).reminder_seconds_before?;
    let due = step.due_at?;
    due.checked_sub_signed(TimeDelta::try_seconds(before)?)
        .map(|at| step.opened_at.map_or(at, |opened| opened.max(at)))
}

/// The deadline of a step has passed: asks those above, whose word alone then decides it. The seats there are stay.
/// Nothing is ever approved by it. Without an escalation in the process only the act is recorded.
///
/// # Errors
/// [`Refusal::RequestClosed`], [`Refusal::StepClosed`], [`Refusal::NotDue`], [`Refusal::AlreadyEscalated`].
pub fn escalate(state: &State, setting: Setting<'_>, step: Uuid) -> Result<Outcome, Refusal> {
    pending(state)?;
    only_open_step(state, Some(step))?;
    let open = state.step(step).ok_or(Refusal::StepClosed)?;
    if open.due_at.is_none_or(|due| setting.now < due) {
        return Err(Refusal::NotDue);
    }
    let is_escalated = |seat: &Seat| seat.step_id == step && seat.origin == Origin::Escalation;
    if state.seats.iter().any(is_escalated) {
        return Err(Refusal::AlreadyEscalated);
    }
    let late = state
        .live_seats(step)
        .filter(|seat| seat.is_undecided())
        .map(|seat| seat.user_id)
        .collect::<Vec<_>>();
    let mut draft = Draft::of(state.clone(), setting);
    let asked = setting
        .process
        .step(&open.key)
        .escalation
        .map(|to| draft.bench().escalation(&to, &late, &state.sitting(step)))
        .unwrap_or_default();
    for person in &asked {
        draft.ask(ActKind::Escalate, step, None, *person);
    }
    if asked.is_empty() {
        draft.record(Act {
            step_id: Some(step),
            ..draft.act(ActKind::Escalate)
        });
    }
    Ok(draft.done())
}

/// Somebody hands over or was deactivated: each of their undecided seats in open steps goes to their successor – never
/// to one who may not decide or sits there already. Where the successor cannot take it, the seat of one who is still
/// here stays theirs; that of one deactivated goes to whoever the process names now, the next leader up, an
/// administrator, and stays and holds the step up when nobody can take it. What they decided stands. Then as [`fill`].
/// Acts may be none.
#[must_use]
pub fn replace(state: &State, setting: Setting<'_>, giver: Uuid, successor: Option<Uuid>) -> Outcome {
    let mut draft = Draft::of(state.clone(), setting);
    draft.replace(|person| person == giver, successor);
    draft.fill();
    draft.done()
}

/// Gives open steps the people that they lack, and hands on the seats of those who were deactivated, or who own the
/// subject by now, where nobody could take them before: as after an administrator was appointed. Acts may be none.
#[must_use]
pub fn fill(state: &State, setting: Setting<'_>) -> Outcome {
    let mut draft = Draft::of(state.clone(), setting);
    draft.fill();
    draft.done()
}

/// Whether an open step has fewer people than it needs, or somebody sits there who may not decide.
#[must_use]
pub fn lacks_people(state: &State, setting: Setting<'_>) -> bool {
    let draft = Draft::of(state.clone(), setting);
    let bench = draft.bench();
    let cannot = |seat: &Seat| seat.is_undecided() && !bench.may_sit(seat.user_id);
    let lacks = |step: &Step| {
        let counting = state.live_seats(step.id).filter(|seat| !cannot(seat)).count();
        counting < draft.definition(step.id).needed() || state.live_seats(step.id).any(cannot)
    };
    state.open_steps().any(lacks)
}
