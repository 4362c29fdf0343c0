//! Invariant 4: each request, its steps and its seats are what follows from its recorded acts alone, and its grant is bound to
//! the snapshot that was decided on.

use super::Finding;
use crate::approval::content;
use crate::approval::definition::ProcessDocument;
use crate::approval::seating::Parties;
use crate::approval::state::{Act, Step, StepState, replay};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::events::to_hex;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Json, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::str::FromStr;
use uuid::Uuid;

/// How many requests are read at once.
const BATCH: i64 = 500;

/// A request with everything that belongs to it, in one document; acts in the order in which they were recorded.
const REQUESTS: &str = "\
SELECT r.tenant_id, r.id, json_build_object(
    'requester_id', r.requester_id, 'owner_id', r.subject_owner_id, 'state', r.state, 'process', v.document,
    'snapshot', r.snapshot, 'content_hash', encode(r.content_hash, 'hex'),
    'steps', coalesce((SELECT json_agg(s ORDER BY s.position, s.id) FROM approval_steps s
        WHERE s.tenant_id = r.tenant_id AND s.request_id = r.id), '[]'),
    'seats', coalesce((SELECT json_agg(s ORDER BY s.id) FROM approval_seats s
        WHERE s.tenant_id = r.tenant_id AND s.request_id = r.id), '[]'),
    'acts', coalesce((SELECT json_agg(a ORDER BY a.id) FROM approval_acts a
        WHERE a.tenant_id = r.tenant_id AND a.request_id = r.id), '[]')) AS document
FROM approval_requests r
JOIN approval_process_versions v ON v.tenant_id = r.tenant_id AND v.id = r.process_version_id
WHERE (r.tenant_id, r.id) > ($1, $2) ORDER BY r.tenant_id, r.id LIMIT $3";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Json)]
    document: Value,
}

#[derive(Deserialize)]
struct Request {
    requester_id: Uuid,
    owner_id: Option<Uuid>,
    state: String,
    process: ProcessDocument,
    snapshot: Value,
    content_hash: String,
    steps: Vec<StepRow>,
    seats: Vec<SeatRow>,
    acts: Vec<ActRow>,
}

#[derive(Deserialize)]
struct StepRow {
    id: Uuid,
    key: String,
    name: String,
    position: i32,
    mode: String,
    quorum: Option<i32>,
    state: String,
}

#[derive(Deserialize)]
struct SeatRow {
    id: Uuid,
    user_id: Uuid,
    replaced_by: Option<Uuid>,
    decision: Option<String>,
}

#[derive(Deserialize)]
struct ActRow {
    kind: String,
    step_id: Option<Uuid>,
    seat_id: Option<Uuid>,
    to_seat_id: Option<Uuid>,
    actor_id: Option<Uuid>,
    to_user_id: Option<Uuid>,
    origin: Option<String>,
    for_user_id: Option<Uuid>,
    comment: Option<String>,
    acted_at: DateTime<Utc>,
}

fn word<T: FromStr>(text: &str) -> AppResult<T> {
    text.parse()
        .map_err(|_| AppError::internal(format!("{text} is not a word of approvals")))
}

impl StepRow {
    fn plan(&self) -> AppResult<Step> {
        Ok(Step {
            id: self.id,
            key: self.key.clone(),
            name: self.name.clone(),
            position: self.position,
            mode: word(&self.mode)?,
            quorum: self.quorum,
            state: StepState::Waiting,
            opened_at: None,
            due_at: None,
            closed_at: None,
        })
    }
}

impl ActRow {
    fn act(&self) -> AppResult<Act> {
        Ok(Act {
            kind: word(&self.kind)?,
            step_id: self.step_id,
            seat_id: self.seat_id,
            to_seat_id: self.to_seat_id,
            actor_id: self.actor_id,
            to_user_id: self.to_user_id,
            origin: self.origin.as_deref().map(word).transpose()?,
            for_user_id: self.for_user_id,
            comment: self.comment.clone(),
            acted_at: self.acted_at,
        })
    }
}

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut after = (Uuid::nil(), Uuid::nil());
    loop {
        let rows = sql_query(REQUESTS)
            .bind::<SqlUuid, _>(after.0)
            .bind::<SqlUuid, _>(after.1)
            .bind::<BigInt, _>(BATCH)
            .load::<Row>(conn)
            .await?;
        let Some(last) = rows.last() else {
            return Ok(findings);
        };
        after = (last.tenant_id, last.id);
        for row in rows {
            let sentences = faults(row.document)
                .unwrap_or_else(|error| vec![format!("its acts cannot be replayed: {error}")]);
            findings.extend(sentences.into_iter().map(|sentence| Finding {
                invariant: 4,
                tenant: row.tenant_id,
                record: format!("approval_request {}", row.id),
                sentence,
            }));
        }
    }
}

/// Where the stored request differs from what its acts come to.
fn faults(document: Value) -> AppResult<Vec<String>> {
    let request: Request = serde_json::from_value(document).map_err(AppError::internal)?;
    let plan = request
        .steps
        .iter()
        .map(StepRow::plan)
        .collect::<AppResult<Vec<_>>>()?;
    let acts = request
        .acts
        .iter()
        .map(ActRow::act)
        .collect::<AppResult<Vec<_>>>()?;
    let parties = Parties {
        requester_id: request.requester_id,
        owner_id: request.owner_id,
    };
    let replayed = replay(&request.process, parties, &plan, &acts);
    let mut faults = Vec::new();
    if to_hex(&content::hash(&request.process.content, &request.snapshot)) != request.content_hash {
        faults.push("its snapshot is not the one that its hash was taken of".to_owned());
    }
    let follows: &'static str = replayed.state.into();
    if follows != request.state {
        faults.push(format!(
            "it is {}, but {follows} follows from its acts",
            request.state
        ));
    }
    for stored in &request.steps {
        let follows: &'static str = replayed
            .step(stored.id)
            .map_or("absent", |step| step.state.into());
        if follows != stored.state {
            let (key, state) = (&stored.key, &stored.state);
            faults.push(format!(
                "its step {key} is {state}, but {follows} follows from its acts"
            ));
        }
    }
    let stored = request
        .seats
        .iter()
        .map(|seat| {
            (
                seat.id,
                (seat.user_id, seat.replaced_by, seat.decision.as_deref()),
            )
        })
        .collect::<BTreeMap<_, _>>();
    let follows = replayed
        .seats
        .iter()
        .map(|seat| {
            (
                seat.id,
                (seat.user_id, seat.replaced_by, seat.decision.map(Into::into)),
            )
        })
        .collect::<BTreeMap<_, _>>();
    for id in stored.keys().chain(follows.keys()) {
        if stored.get(id) != follows.get(id) {
            faults.push(format!("its seat {id} is not what follows from its acts"));
        }
    }
    faults.dedup();
    Ok(faults)
}
