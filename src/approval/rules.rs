//! What may be done in a request, and what follows. Pure: no clock, no database. Each rule returns the acts to
//! record and the state after them; [`super::state::changes`] says what to write.

use super::definition::{ProcessDocument, ProcessStep};
use super::facts::Conditions;
use super::people::People;
use super::refusal::Refusal;
use super::seating::{Asked, Bench, Origin, Parties};
use super::state::{Act, ActKind, Decision, RequestState, Seat, State, Step, StepState};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;
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
/// [`Refusal::StepRequired`].
pub fn decide(
    state: &State,
    setting: Setting<'_>,
    who: Uuid,
    step: Option<Uuid>,
    decision: Decision,
    opinion: Option<String>,
) -> Result<Outcome, Refusal> {
    let seat = own_seat(state, who, step)?.clone();
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
    let seat = own_seat(state, who, step)?.clone();
    let mut draft = Draft::of(state.clone(), setting);
    draft.record(Act {
        actor_id: Some(who),
        comment,
        ..draft.act_on(ActKind::Return, &seat)
    });
    Ok(draft.done())
}

/// The requester takes the request back.
///
/// # Errors
/// [`Refusal::RequestClosed`], [`Refusal::NotRequester`].
pub fn withdraw(
    state: &State,
    setting: Setting<'_>,
    who: Uuid,
    comment: Option<String>,
) -> Result<Outcome, Refusal> {
    if who != state.parties.requester_id {
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
    let mut draft = Draft::of(state.clone(), setting);
    draft.record(Act {
        actor_id: who,
        comment,
        ..draft.act(ActKind::Withdraw)
    });
    Ok(draft.done())
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
    let mut draft = Draft::of(state.clone(), setting);
    draft.record(Act {
        actor_id: who,
        comment,
        ..draft.act(ActKind::Lapse)
    });
    Ok(draft.done())
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
    let seat = own_seat(state, who, step)?.clone();
    newcomer(state, setting, seat.step_id, to)?;
    let mut draft = Draft::of(state.clone(), setting);
    draft.record(Act {
        actor_id: Some(who),
        comment,
        to_seat_id: Some((setting.new_id)()),
        to_user_id: Some(to),
        origin: Some(Origin::Delegation),
        ..draft.act_on(ActKind::Delegate, &seat)
    });
    Ok(draft.done())
}

/// Asks one more person in an open step. Whoever has yet to decide there may do it; an administrator too, so that
/// a step in which nobody is left can go on.
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
    let step_id = match own_seat(state, who, step) {
        Ok(seat) => seat.step_id,
        Err(Refusal::NotSeated | Refusal::AlreadyDecided) if setting.people.is_administrator(who) => {
            only_open_step(state, step)?
        }
        Err(refusal) => return Err(refusal),
    };
    newcomer(state, setting, step_id, to)?;
    let mut draft = Draft::of(state.clone(), setting);
    draft.record(Act {
        step_id: Some(step_id),
        actor_id: Some(who),
        comment,
        to_seat_id: Some((setting.new_id)()),
        to_user_id: Some(to),
        origin: Some(Origin::Added),
        ..draft.act(ActKind::AddApprover)
    });
    Ok(draft.done())
}

/// Records a comment; the state stays as it is, whatever it is.
#[must_use]
pub fn comment(state: &State, setting: Setting<'_>, who: Uuid, comment: String) -> Outcome {
    let mut draft = Draft::of(state.clone(), setting);
    draft.record(Act {
        actor_id: Some(who),
        comment: Some(comment),
        ..draft.act(ActKind::Comment)
    });
    draft.done()
}

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

/// Somebody was deactivated: each of their undecided seats in open steps goes to their successor, or to whoever the
/// process names now, the next leader up, an administrator – never to one who may not decide or sits there already.
/// A seat that nobody can take stays and holds the step up. What they decided stands. Then as [`fill`]. Acts may be
/// none.
#[must_use]
pub fn replace(state: &State, setting: Setting<'_>, gone: Uuid, successor: Option<Uuid>) -> Outcome {
    let mut draft = Draft::of(state.clone(), setting);
    draft.replace(|person| person == gone, successor);
    draft.fill();
    draft.done()
}

/// Gives open steps the people that they lack, and hands on the seats of people deactivated where nobody could take
/// them before: as after an administrator was appointed. Acts may be none.
#[must_use]
pub fn fill(state: &State, setting: Setting<'_>) -> Outcome {
    let mut draft = Draft::of(state.clone(), setting);
    draft.fill();
    draft.done()
}

fn pending(state: &State) -> Result<(), Refusal> {
    if state.state == RequestState::Pending {
        Ok(())
    } else {
        Err(Refusal::RequestClosed)
    }
}

/// The undecided seat of a person in an open step.
fn own_seat(state: &State, who: Uuid, step: Option<Uuid>) -> Result<&Seat, Refusal> {
    let is_meant = |seat: &&Seat| seat.user_id == who && step.is_none_or(|id| id == seat.step_id);
    let had_seat = || state.seats.iter().filter(|seat| seat.is_live());
    if state.state != RequestState::Pending {
        return Err(Refusal::RequestClosed);
    }
    let mut open = state.waiting_seats().filter(is_meant);
    match (open.next(), open.next()) {
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

/// A state in the making, with the acts that make it.
struct Draft<'a> {
    setting: Setting<'a>,
    state: State,
    acts: Vec<Act>,
}

impl<'a> Draft<'a> {
    fn of(state: State, setting: Setting<'a>) -> Draft<'a> {
        Draft {
            setting,
            state,
            acts: Vec::new(),
        }
    }

    fn done(self) -> Outcome {
        Outcome {
            acts: self.acts,
            state: self.state,
        }
    }

    fn act(&self, kind: ActKind) -> Act {
        Act::new(kind, self.setting.now)
    }

    fn act_on(&self, kind: ActKind, seat: &Seat) -> Act {
        Act {
            step_id: Some(seat.step_id),
            seat_id: Some(seat.id),
            ..self.act(kind)
        }
    }

    fn record(&mut self, act: Act) {
        self.state.apply(self.setting.process, &act);
        self.acts.push(act);
    }

    fn bench(&self) -> Bench<'a> {
        let Setting {
            process, people, now, ..
        } = self.setting;
        Bench::new(process, self.state.parties, people, now)
    }

    fn definition(&self, step: Uuid) -> ProcessStep {
        self.state
            .step(step)
            .map_or_else(ProcessStep::fallback, |step| self.setting.process.step(&step.key))
    }

    fn ask(&mut self, kind: ActKind, step: Uuid, in_place_of: Option<Uuid>, asked: Asked) {
        self.record(Act {
            step_id: Some(step),
            seat_id: in_place_of,
            to_seat_id: Some((self.setting.new_id)()),
            to_user_id: Some(asked.user_id),
            origin: Some(asked.origin),
            for_user_id: asked.for_user_id,
            ..self.act(kind)
        });
    }

    /// Opens the next position when nothing is open and something waits.
    fn open_next(&mut self) {
        let is_idle = self.state.state == RequestState::Pending && self.state.open_steps().next().is_none();
        let waiting = |step: &&Step| is_idle && step.state == StepState::Waiting;
        let steps = self.state.steps.iter();
        let Some(next) = steps.filter(waiting).map(|step| step.position).min() else {
            return;
        };
        let opening = self.state.steps.iter().filter(waiting);
        let opening = opening
            .filter(|step| step.position == next)
            .map(|step| step.id)
            .collect::<Vec<_>>();
        for step in opening {
            self.record(Act {
                step_id: Some(step),
                ..self.act(ActKind::Open)
            });
            for person in self.bench().seats(&self.definition(step)) {
                self.ask(ActKind::Seat, step, None, person);
            }
        }
    }

    /// Hands the undecided seats of some people to others, one for one, so that nobody's voice is lost.
    fn replace(&mut self, is_gone: impl Fn(Uuid) -> bool, successor: Option<Uuid>) {
        let waiting = self.state.waiting_seats();
        let seats = waiting
            .filter(|seat| is_gone(seat.user_id))
            .cloned()
            .collect::<Vec<_>>();
        for seat in seats {
            let step = self.definition(seat.step_id);
            let taken = self.state.sitting(seat.step_id);
            if let Some(newcomer) = self.bench().replacement(&step, &taken, successor) {
                self.ask(ActKind::Replace, seat.step_id, Some(seat.id), newcomer);
            }
        }
    }

    fn fill(&mut self) {
        let people = self.setting.people;
        self.replace(|person| !people.is_active(person), None);
        let open = self.state.open_steps().map(|step| step.id);
        for step in open.collect::<Vec<_>>() {
            let mut asked = Vec::new();
            let mut taken = self.state.sitting(step);
            // Whoever has gone without a decision is no help; a decision that was made counts.
            let decided = self.state.live_seats(step).filter(|seat| seat.decision.is_some());
            let decided = decided.map(|seat| seat.user_id).collect::<BTreeSet<_>>();
            taken.retain(|person| people.is_active(*person) || decided.contains(person));
            self.bench().top_up(&self.definition(step), &mut asked, &taken);
            for person in asked {
                self.ask(ActKind::Seat, step, None, person);
            }
        }
    }
}
