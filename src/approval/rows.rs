//! The rows of requests, and how they become the state that the rules work on.

use super::definition::{Mode, SubjectKind};
use super::seating::{Origin, Parties};
use super::state::{Act, ActKind, Decision, RequestState, Seat, Step, StepState};
use crate::kernel::error::{AppError, AppResult};
use crate::schema::{approval_acts, approval_requests, approval_seats, approval_steps};
use chrono::{DateTime, Utc};
use diesel::{Insertable, Queryable, Selectable};
use rust_decimal::Decimal;
use serde_json::Value;
use std::str::FromStr;
use uuid::Uuid;

/// A row of `approval_requests`.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = approval_requests, check_for_backend(diesel::pg::Pg))]
pub struct RequestRow {
    pub tenant_id: Uuid,
    pub id: Uuid,
    pub process_id: Uuid,
    pub process_version_id: Uuid,
    pub subject_kind: String,
    pub subject_id: Uuid,
    pub visit_id: Option<Uuid>,
    pub criterion_id: Option<Uuid>,
    pub previous_id: Option<Uuid>,
    pub requester_id: Uuid,
    pub subject_owner_id: Option<Uuid>,
    pub state: String,
    pub current_position: Option<i32>,
    pub snapshot: Value,
    pub content_hash: Vec<u8>,
    pub comment: Option<String>,
    pub amount: Option<Decimal>,
    pub currency: Option<String>,
    pub exchange_rate: Option<Decimal>,
    pub advances_when_granted: bool,
    pub requested_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub advances_to_id: Option<Uuid>,
}

/// A row of `approval_steps`.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = approval_steps, check_for_backend(diesel::pg::Pg))]
pub struct StepRow {
    pub tenant_id: Uuid,
    pub id: Uuid,
    pub request_id: Uuid,
    pub position: i32,
    pub key: String,
    pub name: String,
    pub mode: String,
    pub quorum: Option<i32>,
    pub state: String,
    pub opened_at: Option<DateTime<Utc>>,
    pub due_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
}

/// A row of `approval_seats`.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = approval_seats, check_for_backend(diesel::pg::Pg))]
pub struct SeatRow {
    pub tenant_id: Uuid,
    pub id: Uuid,
    pub request_id: Uuid,
    pub step_id: Uuid,
    pub user_id: Uuid,
    pub origin: String,
    pub for_user_id: Option<Uuid>,
    pub replaced_by: Option<Uuid>,
    pub decision: Option<String>,
    pub opinion: Option<String>,
    pub decided_at: Option<DateTime<Utc>>,
    pub decided_by: Option<Uuid>,
}

/// A row of `approval_acts`.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = approval_acts, check_for_backend(diesel::pg::Pg))]
pub struct ActRow {
    pub tenant_id: Uuid,
    pub id: Uuid,
    pub request_id: Uuid,
    pub step_id: Option<Uuid>,
    pub seat_id: Option<Uuid>,
    pub to_seat_id: Option<Uuid>,
    pub kind: String,
    pub actor_id: Option<Uuid>,
    pub to_user_id: Option<Uuid>,
    pub origin: Option<String>,
    pub for_user_id: Option<Uuid>,
    pub comment: Option<String>,
    pub acted_at: DateTime<Utc>,
}

/// Reads a word that a CHECK of the table allows.
pub(super) fn word<T: FromStr>(text: &str) -> AppResult<T> {
    T::from_str(text).map_err(|_| AppError::internal("the database holds a word that the code does not know"))
}

fn text(word: impl Into<&'static str>) -> String {
    let word: &'static str = word.into();
    word.to_owned()
}

impl RequestRow {
    /// # Errors
    /// When the row holds an unknown word: a bug.
    pub fn state(&self) -> AppResult<RequestState> {
        word(&self.state)
    }

    /// # Errors
    /// As [`RequestRow::state`].
    pub fn kind(&self) -> AppResult<SubjectKind> {
        word(&self.subject_kind)
    }

    #[must_use]
    pub fn parties(&self) -> Parties {
        Parties {
            requester_id: self.requester_id,
            owner_id: self.subject_owner_id,
        }
    }
}

impl StepRow {
    pub(super) fn of(tenant: Uuid, request: Uuid, step: &Step) -> StepRow {
        StepRow {
            tenant_id: tenant,
            id: step.id,
            request_id: request,
            position: step.position,
            key: step.key.clone(),
            name: step.name.clone(),
            mode: text(step.mode),
            quorum: step.quorum,
            state: text(step.state),
            opened_at: step.opened_at,
            due_at: step.due_at,
            closed_at: step.closed_at,
        }
    }

    pub(super) fn read(self) -> AppResult<Step> {
        Ok(Step {
            id: self.id,
            mode: word::<Mode>(&self.mode)?,
            state: word::<StepState>(&self.state)?,
            key: self.key,
            name: self.name,
            position: self.position,
            quorum: self.quorum,
            opened_at: self.opened_at,
            due_at: self.due_at,
            closed_at: self.closed_at,
        })
    }
}

impl SeatRow {
    pub(super) fn of(tenant: Uuid, request: Uuid, seat: &Seat) -> SeatRow {
        SeatRow {
            tenant_id: tenant,
            id: seat.id,
            request_id: request,
            step_id: seat.step_id,
            user_id: seat.user_id,
            origin: text(seat.origin),
            for_user_id: seat.for_user_id,
            replaced_by: seat.replaced_by,
            decision: seat.decision.map(text),
            opinion: seat.opinion.clone(),
            decided_at: seat.decided_at,
            decided_by: seat.decided_by,
        }
    }

    pub(super) fn read(self) -> AppResult<Seat> {
        Ok(Seat {
            id: self.id,
            step_id: self.step_id,
            user_id: self.user_id,
            origin: word::<Origin>(&self.origin)?,
            for_user_id: self.for_user_id,
            replaced_by: self.replaced_by,
            decision: self.decision.as_deref().map(word::<Decision>).transpose()?,
            opinion: self.opinion,
            decided_at: self.decided_at,
            decided_by: self.decided_by,
        })
    }
}

impl ActRow {
    pub(super) fn of(tenant: Uuid, id: Uuid, request: Uuid, act: &Act) -> ActRow {
        ActRow {
            tenant_id: tenant,
            id,
            request_id: request,
            step_id: act.step_id,
            seat_id: act.seat_id,
            to_seat_id: act.to_seat_id,
            kind: text(act.kind),
            actor_id: act.actor_id,
            to_user_id: act.to_user_id,
            origin: act.origin.map(text),
            for_user_id: act.for_user_id,
            comment: act.comment.clone(),
            acted_at: act.acted_at,
        }
    }

    /// # Errors
    /// When the row holds an unknown word: a bug.
    pub fn read(self) -> AppResult<Act> {
        Ok(Act {
            kind: word::<ActKind>(&self.kind)?,
            step_id: self.step_id,
            seat_id: self.seat_id,
            to_seat_id: self.to_seat_id,
            actor_id: self.actor_id,
            to_user_id: self.to_user_id,
            origin: self.origin.as_deref().map(word::<Origin>).transpose()?,
            for_user_id: self.for_user_id,
            comment: self.comment,
            acted_at: self.acted_at,
        })
    }
}
