//! Requests as the API shows them.

pub mod commands;
pub mod processes;

use super::definition::{Mode, SubjectKind};
use super::queries::{Loaded, ProcessName};
use super::rows::{ActRow, RequestRow, word};
use super::seating::Origin;
use super::state::{ActKind, Decision, RequestState, Seat, Step, StepState};
use crate::kernel::error::AppResult;
use crate::kernel::money;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// The names of people by id; nobody is forgotten, since users are never deleted.
pub(super) type Names = BTreeMap<Uuid, String>;

/// Somebody, by id and name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Someone {
    /// The user's id.
    pub id: Uuid,
    /// The user's name.
    #[schema(example = "陈经理")]
    pub name: String,
}

/// An approval request in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalRequestSummary {
    /// Id.
    pub id: Uuid,
    /// The process that decides.
    pub process_id: Uuid,
    /// Its key.
    #[schema(example = "contract_approval")]
    pub process_key: String,
    /// Its name in the version that the request froze.
    #[schema(example = "合同审批")]
    pub process_name: String,
    /// The number of that version.
    #[schema(example = 1)]
    pub process_version: i32,
    /// What is decided on.
    pub subject_kind: SubjectKind,
    /// The record that is decided on; seeing the request gives no right to it.
    pub subject_id: Uuid,
    /// The stay in a stage that it is bound to.
    pub visit_id: Option<Uuid>,
    /// The criterion of the gate that it is to satisfy.
    pub criterion_id: Option<Uuid>,
    /// The request that this one follows, after a return for instance.
    pub previous_id: Option<Uuid>,
    /// Who asked.
    pub requester: Someone,
    /// The subject's owner when it was asked; while it is pending, whoever owns the subject now.
    pub owner: Option<Someone>,
    /// Where it stands.
    pub state: RequestState,
    /// The position whose steps are open; null once it has ended.
    #[schema(example = 1)]
    pub current_position: Option<i32>,
    /// The amount that is decided on.
    #[schema(example = "220000.00")]
    pub amount: Option<String>,
    /// Its currency.
    #[schema(example = "CNY")]
    pub currency: Option<String>,
    /// The rate by which conditions read the amount in the company's currency, frozen with the request; null when none was known.
    #[schema(example = "1")]
    pub exchange_rate: Option<String>,
    /// What the requester said.
    #[schema(example = "请审批")]
    pub comment: Option<String>,
    /// Whether the subject moves on by itself when this is granted.
    #[schema(example = true)]
    pub advances_when_granted: bool,
    /// Where to, when the advance that asked named a stage.
    pub advances_to_id: Option<Uuid>,
    /// Who can decide now.
    pub waiting_for: Vec<Someone>,
    /// When it was asked.
    pub requested_at: DateTime<Utc>,
    /// When it ended.
    pub closed_at: Option<DateTime<Utc>>,
    /// Rises with every act.
    #[schema(example = 1)]
    pub version: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When something was last done in it.
    pub updated_at: DateTime<Utc>,
}

/// A page of approval requests.
#[derive(Serialize, ToSchema)]
pub struct ApprovalRequestPage {
    /// The requests, the newest first.
    pub data: Vec<ApprovalRequestSummary>,
    /// Where the next page begins; null on the last.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
    /// How many there are in all, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    pub total: Option<i64>,
}

/// An approval request with everything in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalRequest {
    #[serde(flatten)]
    pub summary: ApprovalRequestSummary,
    /// The subject as it was when it was asked, without members that you may not read.
    #[schema(value_type = Object, example = json!({"name": "客户管理系统采购", "amount": "220000.00", "currency": "CNY"}))]
    pub snapshot: Value,
    /// The steps by position, also those that are skipped or not open yet.
    pub steps: Vec<ApprovalStep>,
    /// Everything that was done, in order.
    pub acts: Vec<ApprovalAct>,
}

/// A step of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalStep {
    /// Id.
    pub id: Uuid,
    /// Its key in the process.
    #[schema(example = "legal")]
    pub key: String,
    /// Its name.
    #[schema(example = "法务审核")]
    pub name: String,
    /// Steps with the same position run side by side.
    #[schema(example = 2)]
    pub position: i32,
    /// How the decisions count.
    pub mode: Mode,
    /// How many approvals the process asks for, in the mode `quorum`.
    #[schema(example = json!(null))]
    pub quorum: Option<i32>,
    /// Where it stands.
    pub state: StepState,
    /// When it opened.
    pub opened_at: Option<DateTime<Utc>>,
    /// Its deadline; passing it never approves.
    pub due_at: Option<DateTime<Utc>>,
    /// When it closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Who decides in it, in the order in which they were asked; none before it opens.
    pub seats: Vec<ApprovalSeat>,
}

/// The seat of one person in a step.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalSeat {
    /// Id.
    pub id: Uuid,
    /// Who sits there.
    pub user: Someone,
    /// Why they were asked.
    pub origin: Origin,
    /// The absent person for whom they stand in.
    pub for_user: Option<Someone>,
    /// The seat that took the place of this one, which then counts no longer.
    pub replaced_by: Option<Uuid>,
    /// What they decided; null until then.
    pub decision: Option<Decision>,
    /// What they said about it.
    #[schema(example = "同意")]
    pub opinion: Option<String>,
    /// When they decided.
    pub decided_at: Option<DateTime<Utc>>,
}

/// Something that was done in a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalAct {
    /// Id; ids are in the order of what was done.
    pub id: Uuid,
    /// What was done.
    pub kind: ActKind,
    /// The step in which it was done.
    #[schema(example = "legal")]
    pub step_key: Option<String>,
    /// The seat that was decided, reminded or given up.
    pub seat_id: Option<Uuid>,
    /// The seat that came to be.
    pub to_seat_id: Option<Uuid>,
    /// Who did it; nobody for the clock and for what followed by itself.
    pub actor: Option<Someone>,
    /// Whom it concerns: the one who was asked or reminded.
    pub to_user: Option<Someone>,
    /// The absent person for whom that one stands in.
    pub for_user: Option<Someone>,
    /// What was said.
    #[schema(example = "条款无异议")]
    pub comment: Option<String>,
    /// When it was done.
    pub acted_at: DateTime<Utc>,
}

fn someone(names: &Names, id: Uuid) -> Someone {
    Someone {
        id,
        name: names.get(&id).cloned().unwrap_or_default(),
    }
}

/// Whoever sits in several steps at once is one person.
fn each_once(people: &[Uuid]) -> impl Iterator<Item = Uuid> {
    let is_new = |(place, id): &(usize, &Uuid)| !people[..*place].contains(id);
    people.iter().enumerate().filter(is_new).map(|(_, id)| *id)
}

impl ApprovalRequestSummary {
    pub(super) fn of(
        row: &RequestRow,
        process: &ProcessName,
        waiting: &[Uuid],
        names: &Names,
    ) -> AppResult<ApprovalRequestSummary> {
        let currency = row.currency.as_deref();
        let amount = row.amount.zip(currency);
        Ok(ApprovalRequestSummary {
            id: row.id,
            process_id: row.process_id,
            process_key: process.key.clone(),
            process_name: process.name.clone(),
            process_version: process.number,
            subject_kind: row.kind()?,
            subject_id: row.subject_id,
            visit_id: row.visit_id,
            criterion_id: row.criterion_id,
            previous_id: row.previous_id,
            requester: someone(names, row.requester_id),
            owner: row.subject_owner_id.map(|id| someone(names, id)),
            state: row.state()?,
            current_position: row.current_position,
            amount: amount.map(|(amount, currency)| money::to_text(amount, currency)),
            currency: row.currency.clone(),
            exchange_rate: row.exchange_rate.map(|rate| rate.normalize().to_string()),
            comment: row.comment.clone(),
            advances_when_granted: row.advances_when_granted,
            advances_to_id: row.advances_to_id,
            waiting_for: each_once(waiting).map(|id| someone(names, id)).collect(),
            requested_at: row.requested_at,
            closed_at: row.closed_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl ApprovalRequest {
    pub(super) fn of(
        loaded: &Loaded,
        process: &ProcessName,
        acts: Vec<ActRow>,
        names: &Names,
        snapshot: Value,
    ) -> AppResult<ApprovalRequest> {
        let state = &loaded.state;
        let waiting = state.waiting_seats().map(|seat| seat.user_id).collect::<Vec<_>>();
        let seats = |step: &Step| {
            let of_step = state.seats.iter().filter(|seat| seat.step_id == step.id);
            of_step.map(|seat| ApprovalSeat::of(seat, names)).collect()
        };
        Ok(ApprovalRequest {
            summary: ApprovalRequestSummary::of(&loaded.request, process, &waiting, names)?,
            snapshot,
            steps: state
                .steps
                .iter()
                .map(|step| ApprovalStep::of(step, seats(step)))
                .collect(),
            acts: acts
                .into_iter()
                .map(|act| ApprovalAct::of(act, loaded, names))
                .collect::<AppResult<_>>()?,
        })
    }
}

impl ApprovalStep {
    fn of(step: &Step, seats: Vec<ApprovalSeat>) -> ApprovalStep {
        ApprovalStep {
            id: step.id,
            key: step.key.clone(),
            name: step.name.clone(),
            position: step.position,
            mode: step.mode,
            quorum: step.quorum,
            state: step.state,
            opened_at: step.opened_at,
            due_at: step.due_at,
            closed_at: step.closed_at,
            seats,
        }
    }
}

impl ApprovalSeat {
    fn of(seat: &Seat, names: &Names) -> ApprovalSeat {
        ApprovalSeat {
            id: seat.id,
            user: someone(names, seat.user_id),
            origin: seat.origin,
            for_user: seat.for_user_id.map(|id| someone(names, id)),
            replaced_by: seat.replaced_by,
            decision: seat.decision,
            opinion: seat.opinion.clone(),
            decided_at: seat.decided_at,
        }
    }
}

impl ApprovalAct {
    fn of(act: ActRow, loaded: &Loaded, names: &Names) -> AppResult<ApprovalAct> {
        let step = act.step_id.and_then(|id| loaded.state.step(id));
        Ok(ApprovalAct {
            id: act.id,
            kind: word(&act.kind)?,
            step_key: step.map(|step| step.key.clone()),
            seat_id: act.seat_id,
            to_seat_id: act.to_seat_id,
            actor: act.actor_id.map(|id| someone(names, id)),
            to_user: act.to_user_id.map(|id| someone(names, id)),
            for_user: act.for_user_id.map(|id| someone(names, id)),
            comment: act.comment,
            acted_at: act.acted_at,
        })
    }
}

pub(super) fn people(names: &Names) -> Vec<Someone> {
    names.keys().map(|id| someone(names, *id)).collect()
}
