//! The chain that a request made now would take: who would be asked, why, and who stands in for whom.

use super::definition::{Mode, ProcessDocument};
use super::facts::Conditions;
use super::people::People;
use super::rules::participation;
use super::seating::{Asked, Bench, Origin, Parties};
use crate::kernel::expression::Truth;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// One step of the chain that a request made now would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StepPreview {
    pub key: String,
    pub name: String,
    /// Steps with the same position run side by side.
    pub position: i32,
    pub mode: Mode,
    pub quorum: Option<i32>,
    /// Its condition; null when it has none.
    pub condition: Option<String>,
    /// False when its condition does not hold.
    pub takes_part: bool,
    /// The members, still empty, that the condition depends on; the step takes part until they say otherwise.
    pub missing: Vec<String>,
    /// Who would be asked; of steps that take part.
    pub seats: Vec<SeatPreview>,
    /// Fewer people may decide than the step needs: the request would be refused.
    pub lacks_people: bool,
}

/// Somebody who would be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SeatPreview {
    pub user_id: Uuid,
    pub origin: Origin,
    /// The absent person for whom they stand in.
    pub for_user_id: Option<Uuid>,
    /// They are absent themselves and nobody can stand in: this may take until they are back.
    pub is_away: bool,
}

/// The chain of a draft, by position. It is what [`super::rules::request`] opens, as long as nobody comes or goes.
#[must_use]
pub fn preview(
    process: &ProcessDocument,
    parties: Parties,
    conditions: Conditions<'_>,
    people: &People,
    now: DateTime<Utc>,
) -> Vec<StepPreview> {
    let bench = Bench::new(process, parties, people, now);
    let (taking_part, skipped) = participation(process, conditions);
    let all = taking_part
        .iter()
        .map(|step| (step, true))
        .chain(skipped.iter().map(|step| (step, false)));
    let mut chain = all
        .map(|(step, takes_part)| {
            let asked = if takes_part { bench.seats(step) } else { Vec::new() };
            StepPreview {
                key: step.key.clone(),
                name: step.name.clone(),
                position: step.position,
                mode: step.mode,
                quorum: step.quorum,
                condition: step.condition.clone(),
                takes_part,
                missing: match conditions.truth(step) {
                    Truth::Unknown { missing } => missing,
                    Truth::Met | Truth::Unmet | Truth::Failed { .. } => Vec::new(),
                },
                lacks_people: takes_part && asked.len() < step.needed(),
                seats: asked
                    .into_iter()
                    .map(|seat| seat_preview(seat, people, now))
                    .collect(),
            }
        })
        .collect::<Vec<_>>();
    chain.sort_by_key(|step| step.position);
    chain
}

fn seat_preview(seat: Asked, people: &People, now: DateTime<Utc>) -> SeatPreview {
    SeatPreview {
        user_id: seat.user_id,
        origin: seat.origin,
        for_user_id: seat.for_user_id,
        is_away: people.is_away(seat.user_id, now),
    }
}
