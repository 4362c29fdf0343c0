//! How each recorded act changes a state.

use super::{Act, ActKind, Decision, RequestState, Seat, State, Step, StepState};
use crate::approval::definition::{Mode, ProcessDocument};
use crate::approval::seating::Origin;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

impl State {
    /// Applies one recorded act. An act that does not fit (a second decision of one seat, anything on what is
    /// closed) changes nothing: the first one counts.
    pub fn apply(&mut self, process: &ProcessDocument, act: &Act) {
        if act.kind == ActKind::Lapse {
            let may_lapse = matches!(self.state, RequestState::Pending | RequestState::Approved);
            if may_lapse {
                self.close(RequestState::Lapsed, act.acted_at);
            }
            return;
        }
        if self.state != RequestState::Pending {
            return;
        }
        match act.kind {
            ActKind::Request | ActKind::Comment | ActKind::Remind | ActKind::Lapse => {}
            ActKind::Skip => self.skip(act),
            ActKind::Open => self.open(process, act),
            ActKind::Seat
            | ActKind::Delegate
            | ActKind::AddApprover
            | ActKind::Escalate
            | ActKind::Replace => self.take_seat(act),
            ActKind::Approve => self.set_decision(act, Decision::Approve),
            ActKind::Reject => self.set_decision(act, Decision::Reject),
            ActKind::Return => self.close(RequestState::Returned, act.acted_at),
            ActKind::Withdraw => self.close(RequestState::Withdrawn, act.acted_at),
        }
    }

    fn step_in(&mut self, id: Option<Uuid>, state: StepState) -> Option<&mut Step> {
        self.steps
            .iter_mut()
            .find(|step| Some(step.id) == id && step.state == state)
    }

    fn skip(&mut self, act: &Act) {
        if let Some(step) = self.step_in(act.step_id, StepState::Waiting) {
            step.state = StepState::Skipped;
            step.closed_at = Some(act.acted_at);
        }
    }

    fn open(&mut self, process: &ProcessDocument, act: &Act) {
        if let Some(step) = self.step_in(act.step_id, StepState::Waiting) {
            let deadline = process.step(&step.key).deadline_seconds;
            step.state = StepState::Open;
            step.opened_at = Some(act.acted_at);
            step.due_at = deadline
                .and_then(TimeDelta::try_seconds)
                .and_then(|span| act.acted_at.checked_add_signed(span));
        }
    }

    fn take_seat(&mut self, act: &Act) {
        let (Some(id), Some(user_id), Some(origin)) = (act.to_seat_id, act.to_user_id, act.origin) else {
            return;
        };
        let Some(step_id) = self.step_in(act.step_id, StepState::Open).map(|step| step.id) else {
            return;
        };
        if self.sitting(step_id).contains(&user_id) {
            return;
        }
        if let Some(given_up) = act.seat_id {
            let Some(old) = self
                .seats
                .iter_mut()
                .find(|seat| seat.id == given_up && seat.step_id == step_id && seat.is_undecided())
            else {
                return;
            };
            old.replaced_by = Some(id);
        }
        self.seats.push(Seat {
            id,
            step_id,
            user_id,
            origin,
            for_user_id: act.for_user_id,
            replaced_by: None,
            decision: None,
            opinion: None,
            decided_at: None,
            decided_by: None,
        });
    }

    fn set_decision(&mut self, act: &Act, decision: Decision) {
        let Some(at) = self.seats.iter().position(|seat| {
            Some(seat.id) == act.seat_id
                && seat.is_undecided()
                && self
                    .step(seat.step_id)
                    .is_some_and(|step| step.state == StepState::Open)
        }) else {
            return;
        };
        let seat = &mut self.seats[at];
        seat.decision = Some(decision);
        seat.opinion.clone_from(&act.comment);
        seat.decided_at = Some(act.acted_at);
        seat.decided_by = act.actor_id;
        let step_id = seat.step_id;
        match self.verdict(step_id) {
            None => {}
            Some(Decision::Approve) => self.close_approved(step_id, act.acted_at),
            Some(Decision::Reject) => {
                self.set_closed(step_id, StepState::Rejected, act.acted_at);
                self.close(RequestState::Rejected, act.acted_at);
            }
        }
    }

    fn close_approved(&mut self, step_id: Uuid, at: DateTime<Utc>) {
        self.set_closed(step_id, StepState::Approved, at);
        let is_last = !self
            .steps
            .iter()
            .any(|step| matches!(step.state, StepState::Waiting | StepState::Open));
        if is_last {
            self.close(RequestState::Approved, at);
        }
    }

    fn set_closed(&mut self, step_id: Uuid, state: StepState, at: DateTime<Utc>) {
        if let Some(step) = self.step_in(Some(step_id), StepState::Open) {
            step.state = state;
            step.closed_at = Some(at);
        }
    }

    fn close(&mut self, state: RequestState, at: DateTime<Utc>) {
        for step in &mut self.steps {
            if matches!(step.state, StepState::Waiting | StepState::Open) {
                step.state = StepState::Closed;
                step.closed_at = Some(at);
            }
        }
        self.state = state;
        self.closed_at = Some(at);
    }

    /// What the decisions in a step come to; nothing while that is open.
    fn verdict(&self, step_id: Uuid) -> Option<Decision> {
        let step = self.step(step_id)?;
        let seats = self.live_seats(step_id).collect::<Vec<_>>();
        let from_above = seats
            .iter()
            .filter(|seat| self.first_origin(seat) == Origin::Escalation)
            .find_map(|seat| seat.decision);
        if from_above.is_some() {
            return from_above;
        }
        let count = |decision| {
            seats
                .iter()
                .filter(|seat| seat.decision == Some(decision))
                .count()
        };
        let (approvals, rejections) = (count(Decision::Approve), count(Decision::Reject));
        match step.mode {
            Mode::Any => seats.iter().find_map(|seat| seat.decision),
            Mode::All if rejections > 0 => Some(Decision::Reject),
            Mode::All => (approvals == seats.len() && approvals > 0).then_some(Decision::Approve),
            Mode::Quorum => {
                let needed = self.quorum(step);
                if approvals >= needed {
                    Some(Decision::Approve)
                } else {
                    let is_out_of_reach = seats.len() - rejections < needed;
                    (rejections > 0 && is_out_of_reach).then_some(Decision::Reject)
                }
            }
        }
    }
}
