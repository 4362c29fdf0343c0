//! The state of a request, and how each recorded act changes it. [`State::apply`] is the only place where a
//! state changes, so that the outcome follows from the acts alone.

mod fold;

use super::definition::{Mode, ProcessDocument};
use super::seating::{Origin, Parties};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a request stands: `pending → approved | rejected | returned | withdrawn | lapsed`, and
/// `approved → lapsed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::IntoStaticStr, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RequestState {
    Pending,
    Approved,
    Rejected,
    Returned,
    Withdrawn,
    Lapsed,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::IntoStaticStr, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepState {
    /// An earlier position is not approved yet.
    Waiting,
    Open,
    Approved,
    Rejected,
    /// Its condition does not hold.
    Skipped,
    /// The request ended before it did.
    Closed,
}

/// What somebody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::IntoStaticStr, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Decision {
    Approve,
    Reject,
}

/// What was done in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::IntoStaticStr, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ActKind {
    Request,
    /// A step does not take part.
    Skip,
    /// A step opens; the acts `seat` after it say who is asked.
    Open,
    /// Somebody is asked.
    Seat,
    Approve,
    Reject,
    Return,
    Withdraw,
    Delegate,
    AddApprover,
    Comment,
    Remind,
    Escalate,
    Replace,
    Lapse,
}

/// A row of `approval_steps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub id: Uuid,
    pub key: String,
    pub name: String,
    pub position: i32,
    pub mode: Mode,
    pub quorum: Option<i32>,
    pub state: StepState,
    pub opened_at: Option<DateTime<Utc>>,
    pub due_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
}

/// A row of `approval_seats`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub id: Uuid,
    pub step_id: Uuid,
    pub user_id: Uuid,
    pub origin: Origin,
    /// The absent person for whom they stand in.
    pub for_user_id: Option<Uuid>,
    /// The seat that took the place of this one, which then counts no longer.
    pub replaced_by: Option<Uuid>,
    pub decision: Option<Decision>,
    pub opinion: Option<String>,
    pub decided_at: Option<DateTime<Utc>>,
    pub decided_by: Option<Uuid>,
}

impl Seat {
    /// Whether it still counts.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.replaced_by.is_none()
    }

    /// Whether its holder has yet to decide.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.is_live() && self.decision.is_none()
    }
}

/// A row of `approval_acts`, but for its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub kind: ActKind,
    pub step_id: Option<Uuid>,
    /// The seat that was decided, reminded, or given up.
    pub seat_id: Option<Uuid>,
    /// The seat that came to be.
    pub to_seat_id: Option<Uuid>,
    /// Who did it; nobody for the clock and for consequences of what others did.
    pub actor_id: Option<Uuid>,
    /// Whom it concerns: the holder of the new seat, the one reminded.
    pub to_user_id: Option<Uuid>,
    /// Why the new seat came to be.
    pub origin: Option<Origin>,
    /// The absent person for whom its holder stands in.
    pub for_user_id: Option<Uuid>,
    pub comment: Option<String>,
    pub acted_at: DateTime<Utc>,
}

impl Act {
    #[must_use]
    pub fn new(kind: ActKind, acted_at: DateTime<Utc>) -> Act {
        Act {
            kind,
            step_id: None,
            seat_id: None,
            to_seat_id: None,
            actor_id: None,
            to_user_id: None,
            origin: None,
            for_user_id: None,
            comment: None,
            acted_at,
        }
    }
}

/// A request with its steps and seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub parties: Parties,
    pub state: RequestState,
    pub closed_at: Option<DateTime<Utc>>,
    pub steps: Vec<Step>,
    /// In the order in which they came to be.
    pub seats: Vec<Seat>,
}

/// What the service writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    AddStep(Step),
    /// State, `opened_at`, `due_at` and `closed_at` of a step that is there.
    SetStep(Step),
    AddSeat(Seat),
    /// Decision or replacement of a seat that is there.
    SetSeat(Seat),
    /// State, `closed_at` and `current_position` of the request.
    SetRequest {
        state: RequestState,
        closed_at: Option<DateTime<Utc>>,
        current_position: Option<i32>,
    },
}

/// What has to be written to get from one state to the next; steps before the seats that need them.
#[must_use]
pub fn changes(before: &State, after: &State) -> Vec<Change> {
    let mut changes = Vec::new();
    for step in &after.steps {
        match before.step(step.id) {
            None => changes.push(Change::AddStep(step.clone())),
            Some(old) if old != step => changes.push(Change::SetStep(step.clone())),
            Some(_) => {}
        }
    }
    // Seats given up come first: at no moment may one person hold two live ones.
    for seat in &after.seats {
        if before.seat(seat.id).is_some_and(|old| old != seat) {
            changes.push(Change::SetSeat(seat.clone()));
        }
    }
    for seat in &after.seats {
        if before.seat(seat.id).is_none() {
            changes.push(Change::AddSeat(seat.clone()));
        }
    }
    let head = |state: &State| (state.state, state.closed_at, state.current_position());
    if head(before) != head(after) {
        changes.push(Change::SetRequest {
            state: after.state,
            closed_at: after.closed_at,
            current_position: after.current_position(),
        });
    }
    changes
}

/// The state that follows from a request's recorded acts, in their order. Of `planned` only what never changes
/// is read (id, key, name, position, mode, quorum), so the stored steps will do.
#[must_use]
pub fn replay(process: &ProcessDocument, parties: Parties, planned: &[Step], acts: &[Act]) -> State {
    let mut state = State::planned(parties, planned.to_vec());
    for act in acts {
        state.apply(process, act);
    }
    state
}

impl State {
    /// Nothing has happened yet.
    #[must_use]
    pub fn planned(parties: Parties, mut steps: Vec<Step>) -> State {
        for step in &mut steps {
            step.state = StepState::Waiting;
            step.opened_at = None;
            step.due_at = None;
            step.closed_at = None;
        }
        State {
            parties,
            state: RequestState::Pending,
            closed_at: None,
            steps,
            seats: Vec::new(),
        }
    }

    #[must_use]
    pub fn step(&self, id: Uuid) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    #[must_use]
    pub fn seat(&self, id: Uuid) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.id == id)
    }

    pub fn open_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.state == StepState::Open)
    }

    /// The seats of a step that count.
    pub fn live_seats(&self, step: Uuid) -> impl Iterator<Item = &Seat> {
        self.seats
            .iter()
            .filter(move |seat| seat.step_id == step && seat.is_live())
    }

    /// Who sits in a step.
    #[must_use]
    pub fn sitting(&self, step: Uuid) -> BTreeSet<Uuid> {
        self.live_seats(step).map(|seat| seat.user_id).collect()
    }

    /// The seats that can be decided now.
    pub fn waiting_seats(&self) -> impl Iterator<Item = &Seat> {
        self.open_steps()
            .flat_map(|step| self.live_seats(step.id))
            .filter(|seat| seat.is_undecided())
    }

    /// The position whose steps are open; none when nothing is.
    #[must_use]
    pub fn current_position(&self) -> Option<i32> {
        self.open_steps().map(|step| step.position).min()
    }

    /// How many approvals a quorum takes. Each person whom an approver added raises it by one, so that nobody
    /// reaches it by adding friends.
    #[must_use]
    pub fn quorum(&self, step: &Step) -> usize {
        let added = self
            .seats
            .iter()
            .filter(|seat| seat.step_id == step.id && seat.origin == Origin::Added)
            .count();
        let own = step
            .quorum
            .and_then(|count| usize::try_from(count).ok())
            .map_or(1, |count| count.max(1));
        own + added
    }

    /// Why the seat came to be from which this one was handed on.
    #[must_use]
    pub fn first_origin(&self, seat: &Seat) -> Origin {
        let mut first = seat;
        // Each seat takes the place of an earlier one, so this ends.
        while let Some(earlier) = self
            .seats
            .iter()
            .take_while(|other| other.id != first.id)
            .find(|other| other.replaced_by == Some(first.id))
        {
            first = earlier;
        }
        first.origin
    }
}
