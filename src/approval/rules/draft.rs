//! A state in the making: each rule drafts the acts to record, and the state follows from them.

use super::{Outcome, Setting};
use crate::approval::definition::ProcessStep;
use crate::approval::seating::{Asked, Bench};
use crate::approval::state::{Act, ActKind, RequestState, Seat, State, Step, StepState};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A state in the making, with the acts that make it.
pub(super) struct Draft<'a> {
    pub(super) setting: Setting<'a>,
    pub(super) state: State,
    acts: Vec<Act>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(state: State, setting: Setting<'a>) -> Draft<'a> {
        Draft {
            setting,
            state,
            acts: Vec::new(),
        }
    }

    /// What one act comes to by itself.
    pub(super) fn of_one(
        state: &State,
        setting: Setting<'a>,
        act: impl FnOnce(&Draft<'a>) -> Act,
    ) -> Outcome {
        let mut draft = Draft::of(state.clone(), setting);
        let act = act(&draft);
        draft.record(act);
        draft.done()
    }

    pub(super) fn done(self) -> Outcome {
        Outcome {
            acts: self.acts,
            state: self.state,
        }
    }

    pub(super) fn act(&self, kind: ActKind) -> Act {
        Act::new(kind, self.setting.now)
    }

    pub(super) fn act_on(&self, kind: ActKind, seat: &Seat) -> Act {
        Act {
            step_id: Some(seat.step_id),
            seat_id: Some(seat.id),
            ..self.act(kind)
        }
    }

    pub(super) fn record(&mut self, act: Act) {
        self.state.apply(self.setting.process, &act);
        self.acts.push(act);
    }

    pub(super) fn bench(&self) -> Bench<'a> {
        let Setting {
            process, people, now, ..
        } = self.setting;
        Bench::new(process, self.state.parties, people, now)
    }

    pub(super) fn definition(&self, step: Uuid) -> ProcessStep {
        self.state
            .step(step)
            .map_or_else(ProcessStep::fallback, |step| self.setting.process.step(&step.key))
    }

    pub(super) fn ask(&mut self, kind: ActKind, step: Uuid, in_place_of: Option<Uuid>, asked: Asked) {
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
    pub(super) fn open_next(&mut self) {
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

    /// Hands the undecided seats of some people to others, one for one, so that nobody's voice is lost. The seat of one
    /// who may still decide goes to the successor or stays.
    pub(super) fn replace(&mut self, gives_up: impl Fn(Uuid) -> bool, successor: Option<Uuid>) {
        let waiting = self.state.waiting_seats();
        let seats = waiting
            .filter(|seat| gives_up(seat.user_id))
            .cloned()
            .collect::<Vec<_>>();
        for seat in seats {
            let step = self.definition(seat.step_id);
            let taken = self.state.sitting(seat.step_id);
            let bench = self.bench();
            let newcomer = if bench.may_sit(seat.user_id) {
                successor.and_then(|successor| bench.successor(&taken, successor))
            } else {
                bench.replacement(&step, &taken, successor)
            };
            if let Some(newcomer) = newcomer {
                self.ask(ActKind::Replace, seat.step_id, Some(seat.id), newcomer);
            }
        }
    }

    /// Finds people for open steps that have too few, and for the seats of those who may no longer decide.
    pub(super) fn fill(&mut self) {
        let bench = self.bench();
        self.replace(|person| !bench.may_sit(person), None);
        let open = self.state.open_steps().map(|step| step.id);
        for step in open.collect::<Vec<_>>() {
            // Whoever may not decide is no help; a decision that was made counts.
            let live = self.state.live_seats(step);
            let counting = live.filter(|seat| seat.decision.is_some() || bench.may_sit(seat.user_id));
            let taken = counting.map(|seat| seat.user_id).collect::<BTreeSet<_>>();
            for person in bench.missing(&self.definition(step), &taken) {
                self.ask(ActKind::Seat, step, None, person);
            }
        }
    }
}
