//! What may be done in a request, and what follows. Pure: no clock, no database. Each rule returns the acts to
//! record and the state after them; [`super::state::changes`] says what to write.

mod draft;
mod upkeep;

pub use upkeep::{escalate, fill, lacks_people, remind, reminder_at, replace};

use super::definition::{ProcessDocument, ProcessStep};
use super::facts::Conditions;
use super::people::People;
use super::refusal::Refusal;
use super::seating::{Bench, Origin, Parties};
use super::state::{Act, ActKind, Decision, RequestState, Seat, State, Step, StepState};
use chrono::{DateTime, Utc};
use draft::Draft;
use uuid::Uuid;

/// Everything that a rule may look at beside the request.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The version of the process that the request froze.
    pub process: &'a ProcessDocument,
    /// The company as it is now.
    pub people: &'a People,
    /// The company's business time.
    pub now: DateTime<Utc>,
    /// Makes the ids of new steps and seats.
    pub new_id: &'a dyn Fn() -> Uuid,
}

/// What a rule did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// To be recorded, in this order.
    pub acts: Vec<Act>,
    pub state: State,
}

/// Asks for an approval: plans the steps, skips those whose conditions do not hold, and opens the first position.
/// If no step takes part, one step asks the administrators.
///
/// # Errors
/// [`Refusal::NobodyToAsk`] with every step that takes part but finds fewer people than it needs.
pub fn request(
    setting: Setting<'_>,
    parties: Parties,
    conditions: Conditions<'_>,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    let process = setting.process;
    let (taking_part, skipped) = participation(process, conditions);
    let bench = Bench::new(process, parties, setting.people, setting.now);
    let unattended = taking_part
        .iter()
        .filter(|step| bench.seats(step).len() < step.needed())
        .map(|step| step.key.clone())
        .collect::<Vec<_>>();
    if !unattended.is_empty() {
        return Err(Refusal::NobodyToAsk { steps: unattended });
    }
    let skipped = plan(&skipped, setting.new_id);
    let skipped_ids = skipped.iter().map(|step| step.id).collect::<Vec<_>>();
    let mut steps = skipped;
    steps.extend(plan(&taking_part, setting.new_id));
    steps.sort_by_key(|step| step.position);
    let mut draft = Draft::of(State::planned(parties, steps), setting);
    draft.record(Act {
        actor_id: Some(parties.requester_id),
        comment,
        ..draft.act(ActKind::Request)
    });
    for step in skipped_ids {
        draft.record(Act {
            step_id: Some(step),
            ..draft.act(ActKind::Skip)
        });
    }
    draft.open_next();
    Ok(draft.done())
}

/// The steps that take part, and those that do not; in place of none, the one of the administrators.
pub(super) fn participation(
    process: &ProcessDocument,
    conditions: Conditions<'_>,
) -> (Vec<ProcessStep>, Vec<ProcessStep>) {
    let (mut taking_part, skipped) = process
        .steps
        .iter()
        .cloned()
        .partition::<Vec<_>, _>(|step| conditions.takes_part(step));
    if taking_part.is_empty() {
        taking_part.push(ProcessStep::fallback());
    }
    (taking_part, skipped)
}

fn plan(steps: &[ProcessStep], new_id: &dyn Fn() -> Uuid) -> Vec<Step> {
    let planned = |step: &ProcessStep| Step {
        id: new_id(),
        key: step.key.clone(),
        name: step.name.clone(),
        position: step.position,
        mode: step.mode,
        quorum: step.quorum,
        state: StepState::Waiting,
        opened_at: None,
        due_at: None,
        closed_at: None,
    };
    steps.iter().map(planned).collect()
}

/// Decides for the seat of `who`: in `step`, which may be left out when they sit in one open step only. What
/// follows (the step, its siblings, the next position, the request) is in the outcome.
///
/// # Errors
/// [`Refusal::RequestClosed`], [`Refusal::StepClosed`], [`Refusal::NotSeated`], [`Refusal::AlreadyDecided`],
/// [`Refusal::StepRequired`], [`Refusal::OwnSubject`].
pub fn decide(
    state: &State,
    setting: Setting<'_>,
    who: Uuid,
    step: Option<Uuid>,
    decision: Decision,
    opinion: Option<String>,
) -> Result<Outcome, Refusal> {
    let seat = own_seat(state, setting, who, step)?.clone();
    let mut draft = Draft::of(state.clone(), setting);
    let kind = match decision {
        Decision::Approve => ActKind::Approve,
        Decision::Reject => ActKind::Reject,
    };
    draft.record(Act {
        actor_id: Some(who),
        comment: opinion,
        ..draft.act_on(kind, &seat)
    });
    draft.open_next();
    Ok(draft.done())
}

/// Returns the request for changes; it ends, and a new one may follow.
///
/// # Errors
/// As [`decide`].
pub fn return_(
    state: &State,
    setting: Setting<'_>,
    who: Uuid,
    step: Option<Uuid>,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    let seat = own_seat(state, setting, who, step)?.clone();
    Ok(Draft::of_one(state, setting, |draft| Act {
        actor_id: Some(who),
        comment,
        ..draft.act_on(ActKind::Return, &seat)
    }))
}

/// The requester takes the request back; once they have left, whoever owns the subject by now, or took over from them
/// (`heir`).
///
/// # Errors
/// [`Refusal::RequestClosed`], [`Refusal::NotRequester`].
pub fn withdraw(
    state: &State,
    setting: Setting<'_>,
    who: Uuid,
    heir: Option<Uuid>,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    let Parties {
        requester_id,
        owner_id,
    } = state.parties;
    let has_left = !setting.people.is_active(requester_id);
    let is_their_successor = has_left && [owner_id, heir].contains(&Some(who));
    if who != requester_id && !is_their_successor {
        return Err(Refusal::NotRequester);
    }
    call_off(state, setting, Some(who), comment)
}

/// Takes a pending request back because its subject went another way (it was taken back a stage, or lost), whoever
/// brought that about.
///
/// # Errors
/// [`Refusal::RequestClosed`].
pub fn call_off(
    state: &State,
    setting: Setting<'_>,
    who: Option<Uuid>,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    pending(state)?;
    Ok(Draft::of_one(state, setting, |draft| Act {
        actor_id: who,
        comment,
        ..draft.act(ActKind::Withdraw)
    }))
}

/// Ends a pending request, or voids a grant, because what is approved changed. `who` changed it.
///
/// # Errors
/// [`Refusal::RequestClosed`] when it is neither pending nor approved.
pub fn lapse(
    state: &State,
    setting: Setting<'_>,
    who: Option<Uuid>,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    match state.state {
        RequestState::Pending | RequestState::Approved => {}
        RequestState::Rejected | RequestState::Returned | RequestState::Withdrawn | RequestState::Lapsed => {
            return Err(Refusal::RequestClosed);
        }
    }
    Ok(Draft::of_one(state, setting, |draft| Act {
        actor_id: who,
        comment,
        ..draft.act(ActKind::Lapse)
    }))
}

/// Hands one's own undecided seat to somebody else.
///
/// # Errors
/// As [`decide`]; [`Refusal::NotActive`], [`Refusal::DutiesSeparated`], [`Refusal::AlreadySeated`] of `to`.
pub fn delegate(
    state: &State,
    setting: Setting<'_>,
    who: Uuid,
    step: Option<Uuid>,
    to: Uuid,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    let seat = own_seat(state, setting, who, step)?.clone();
    newcomer(state, setting, seat.step_id, to)?;
    Ok(Draft::of_one(state, setting, |draft| Act {
        actor_id: Some(who),
        comment,
        to_seat_id: Some((setting.new_id)()),
        to_user_id: Some(to),
        origin: Some(Origin::Delegation),
        ..draft.act_on(ActKind::Delegate, &seat)
    }))
}

/// Asks one more person in an open step. Whoever has yet to decide there may do it; an administrator too, so that
/// a step in which nobody is left can go on, but not about what they requested or own: nobody chooses who decides on that.
///
/// # Errors
/// As [`delegate`].
pub fn add_approver(
    state: &State,
    setting: Setting<'_>,
    who: Uuid,
    step: Option<Uuid>,
    to: Uuid,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    let step_id = match own_seat(state, setting, who, step) {
        Ok(seat) => seat.step_id,
        Err(Refusal::NotSeated | Refusal::AlreadyDecided) if setting.people.is_administrator(who) => {
            if state.parties.excluded(setting.process).contains(&who) {
                return Err(Refusal::OwnSubject);
            }
            only_open_step(state, step)?
        }
        Err(refusal) => return Err(refusal),
    };
    newcomer(state, setting, step_id, to)?;
    Ok(Draft::of_one(state, setting, |draft| Act {
        step_id: Some(step_id),
        actor_id: Some(who),
        comment,
        to_seat_id: Some((setting.new_id)()),
        to_user_id: Some(to),
        origin: Some(Origin::Added),
        ..draft.act(ActKind::AddApprover)
    }))
}

/// Records a comment; the state stays as it is, whatever it is.
#[must_use]
pub fn comment(state: &State, setting: Setting<'_>, who: Uuid, comment: String) -> Outcome {
    Draft::of_one(state, setting, |draft| Act {
        actor_id: Some(who),
        comment: Some(comment),
        ..draft.act(ActKind::Comment)
    })
}

fn pending(state: &State) -> Result<(), Refusal> {
    if state.state == RequestState::Pending {
        Ok(())
    } else {
        Err(Refusal::RequestClosed)
    }
}

/// The undecided seat of a person in an open step. Who came to own the subject after they were asked may do nothing
/// with it any more, not even choose who decides instead.
fn own_seat<'s>(
    state: &'s State,
    setting: Setting<'_>,
    who: Uuid,
    step: Option<Uuid>,
) -> Result<&'s Seat, Refusal> {
    let is_meant = |seat: &&Seat| seat.user_id == who && step.is_none_or(|id| id == seat.step_id);
    let had_seat = || state.seats.iter().filter(|seat| seat.is_live());
    if state.state != RequestState::Pending {
        return Err(Refusal::RequestClosed);
    }
    let mut open = state.waiting_seats().filter(is_meant);
    match (open.next(), open.next()) {
        (Some(_), _) if state.parties.excluded(setting.process).contains(&who) => Err(Refusal::OwnSubject),
        (Some(seat), None) => Ok(seat),
        (Some(_), Some(_)) => Err(Refusal::StepRequired),
        (None, _) => Err(match had_seat().rfind(is_meant) {
            None => Refusal::NotSeated,
            Some(seat) if state.open_steps().any(|step| step.id == seat.step_id) => Refusal::AlreadyDecided,
            Some(_) => Refusal::StepClosed,
        }),
    }
}

fn only_open_step(state: &State, step: Option<Uuid>) -> Result<Uuid, Refusal> {
    let mut open = state
        .open_steps()
        .map(|open| open.id)
        .filter(|open| step.is_none_or(|id| id == *open));
    match (open.next(), open.next()) {
        (Some(step), None) => Ok(step),
        (Some(_), Some(_)) => Err(Refusal::StepRequired),
        (None, _) => Err(Refusal::StepClosed),
    }
}

fn newcomer(state: &State, setting: Setting<'_>, step: Uuid, person: Uuid) -> Result<(), Refusal> {
    if !setting.people.is_active(person) {
        return Err(Refusal::NotActive);
    }
    if state.parties.excluded(setting.process).contains(&person) {
        return Err(Refusal::DutiesSeparated);
    }
    if state.sitting(step).contains(&person) {
        return Err(Refusal::AlreadySeated);
    }
    Ok(())
}
