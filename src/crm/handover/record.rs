//! Hand-overs as they are kept, and the few things that happen to one: it begins, it is warned of, it ends.

use crate::crm::assignment::rules::Terms;
use crate::crm::assignment::settings::{self, AssignmentSettings};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::time::calendar::{Calendar, Span};
use crate::time::timer;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The timer that warns before a deadline.
pub const WARNING: &str = "lead_response_warning";
/// The timer of the deadline itself.
pub const DEADLINE: &str = "lead_response_deadline";
/// What both are about, and what its events are about.
pub const SUBJECT: &str = "lead_handover";

/// Why somebody got a lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// Their lead became sales-qualified.
    Qualified,
    ByHand,
    Rule,
    /// Somebody before them missed the deadline.
    HandOver,
    Claim,
    /// Somebody before them left, or handed everything over.
    Leaver,
    Undo,
}

/// How a hand-over ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum End {
    Responded,
    Missed,
    /// The lead went to somebody else, or to nobody, before a response.
    Superseded,
    /// The assignment that it began with was undone.
    Withdrawn,
    /// The lead ended, or was set aside, by somebody else.
    Closed,
}

/// A hand-over as it stands.
#[derive(Debug, Clone, QueryableByName)]
pub struct Handover {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub lead_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub chain_id: Uuid,
    #[diesel(sql_type = Integer)]
    pub attempt: i32,
    #[diesel(sql_type = SqlUuid)]
    pub to_user_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub rule_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub goal: Option<String>,
    #[diesel(sql_type = Text)]
    pub status: String,
    #[diesel(sql_type = Bool)]
    pub is_overdue: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub accepted_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    pub started_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub chain_started_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub warn_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub warned_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub due_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "h.id, h.lead_id, h.chain_id, h.attempt, h.to_user_id, h.rule_id, h.goal, h.status, h.is_overdue, \
     h.accepted_at, h.started_at, h.chain_started_at, h.warn_at, h.warned_at, h.due_at";

impl Handover {
    pub fn is_open(&self) -> bool {
        self.status == "open"
    }
}

/// The open hand-over of a lead, which the caller has locked.
///
/// # Errors
/// Database errors.
pub async fn open_of(conn: &mut &AsyncPgConnection, tenant: Uuid, lead: Uuid) -> AppResult<Option<Handover>> {
    let query = sql_query(format!(
        "SELECT {COLUMNS} FROM lead_handovers h WHERE h.tenant_id = $1 AND h.lead_id = $2 AND h.status = 'open'"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(lead);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// The open hand-overs of these leads, which the caller has locked, in the order of the leads.
///
/// # Errors
/// Database errors.
pub async fn open_of_all(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    leads: &[Uuid],
) -> AppResult<Vec<Handover>> {
    let query = sql_query(format!(
        "SELECT {COLUMNS} FROM lead_handovers h WHERE h.tenant_id = $1 AND h.lead_id = ANY($2) AND h.status = 'open' \
         ORDER BY h.lead_id"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<SqlUuid>, _>(leads);
    Ok(Cached(query).load(conn).await?)
}

/// The newest hand-over of a lead, ended or not.
///
/// # Errors
/// Database errors.
pub async fn newest_of(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    lead: Uuid,
) -> AppResult<Option<Handover>> {
    let query = sql_query(format!(
        "SELECT {COLUMNS} FROM lead_handovers h WHERE h.tenant_id = $1 AND h.lead_id = $2 \
         ORDER BY h.started_at DESC, h.id DESC LIMIT 1"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(lead);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// The newest hand-over of a lead that counts (an assignment that was undone does not), when it ended without a response:
/// the lead went to the pool, or nobody could take it.
///
/// # Errors
/// Database errors.
pub async fn unanswered_of(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    lead: Uuid,
) -> AppResult<Option<Handover>> {
    let query = sql_query(format!(
        "SELECT {COLUMNS} FROM lead_handovers h WHERE h.tenant_id = $1 AND h.lead_id = $2 AND h.status <> 'withdrawn' \
         ORDER BY h.started_at DESC, h.id DESC LIMIT 1"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(lead);
    let newest: Option<Handover> = Cached(query).get_result(conn).await.optional()?;
    Ok(newest.filter(|newest| matches!(newest.status.as_str(), "superseded" | "missed")))
}

/// The hand-over of that id.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut &AsyncPgConnection, tenant: Uuid, id: Uuid) -> AppResult<Option<Handover>> {
    let query = sql_query(format!(
        "SELECT {COLUMNS} FROM lead_handovers h WHERE h.tenant_id = $1 AND h.id = $2"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(id);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// The one before in the same chain, which was taken over by this one.
///
/// # Errors
/// Database errors.
pub async fn before(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    handover: &Handover,
) -> AppResult<Option<Handover>> {
    let query = sql_query(format!(
        "SELECT {COLUMNS} FROM lead_handovers h WHERE h.tenant_id = $1 AND h.chain_id = $2 AND h.attempt < $3 \
         AND h.status = 'superseded' ORDER BY h.attempt DESC LIMIT 1"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(handover.chain_id)
    .bind::<Integer, _>(handover.attempt);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Everybody who had the lead in this chain; an assignment that was undone does not count.
///
/// # Errors
/// Database errors.
pub async fn holders(conn: &mut &AsyncPgConnection, tenant: Uuid, chain: Uuid) -> AppResult<Vec<Uuid>> {
    let query = sql_query(
        "SELECT DISTINCT h.to_user_id AS id FROM lead_handovers h WHERE h.tenant_id = $1 AND h.chain_id = $2 \
         AND h.status <> 'withdrawn'",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(chain);
    let rows: Vec<IdRow> = Cached(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// The active leaders above somebody, the nearest first.
///
/// # Errors
/// Database errors.
pub async fn leaders(conn: &mut &AsyncPgConnection, tenant: Uuid, user: Uuid) -> AppResult<Vec<Uuid>> {
    let query = sql_query(
        "WITH RECURSIVE above AS ( \
            SELECT t.parent_id, t.leader_id, 0 AS depth FROM users u JOIN teams t ON t.tenant_id = $1 AND t.id = u.team_id \
                WHERE u.tenant_id = $1 AND u.id = $2 \
            UNION ALL SELECT t.parent_id, t.leader_id, a.depth + 1 FROM above a JOIN teams t ON t.tenant_id = $1 AND t.id = a.parent_id \
                WHERE a.depth < 50 \
         ) SELECT l.id FROM above a JOIN users l ON l.tenant_id = $1 AND l.id = a.leader_id AND l.is_active AND l.id <> $2 \
         ORDER BY a.depth",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(user);
    let rows: Vec<IdRow> = Cached(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Whom an event of a hand-over is for: its holder, and the nearest leader above as a copy.
///
/// # Errors
/// Database errors.
pub async fn addressees(conn: &mut &AsyncPgConnection, tenant: Uuid, holder: Uuid) -> AppResult<Value> {
    let leaders = leaders(conn, tenant, holder).await?;
    Ok(json!({ "to": [holder], "cc": leaders.into_iter().take(1).collect::<Vec<_>>() }))
}

/// A hand-over that is to begin.
#[derive(Debug, Clone)]
pub struct Begin {
    pub lead: Uuid,
    pub from: Option<Uuid>,
    pub to: Uuid,
    pub reason: Reason,
    pub terms: Terms,
    /// The one that it goes on from: the same chain.
    pub after: Option<Handover>,
    /// When the lead became sales-qualified, if that is known.
    pub accepted_at: Option<DateTime<Utc>>,
}

/// How long somebody has, in working minutes: the rule's word counts before the company's.
fn limits(settings: &AssignmentSettings, terms: &Terms) -> (Option<i32>, Option<i32>) {
    match terms.response_minutes {
        Some(response) => (Some(response), terms.warning_minutes),
        None => (settings.response_minutes, settings.warning_minutes),
    }
}

/// Begins a hand-over and its clock.
///
/// # Errors
/// Database errors.
pub async fn begin(tx: &mut Tx, ctx: &Ctx, begin: Begin) -> AppResult<Uuid> {
    let settings = settings::read(&mut &**tx, ctx.tenant).await?;
    let (response, warning) = limits(&settings, &begin.terms);
    let (mut due_at, mut warn_at) = (None, None);
    if let Some(response) = response {
        let calendar = Calendar::of(&mut &**tx, ctx.tenant).await?;
        let after = |minutes: i32| calendar.after(ctx.now, Span::WorkingMinutes(i64::from(minutes)));
        due_at = Some(after(response));
        warn_at = warning.map(|warning| after(response - warning));
    }
    let id = Uuid::now_v7();
    insert(tx, ctx, id, &begin, response, warn_at, due_at).await?;
    set_timers(tx, ctx, id, warn_at, due_at).await?;
    let notify = addressees(&mut &**tx, ctx.tenant, begin.to).await?;
    let reason: &'static str = begin.reason.into();
    let data = json!({
        "lead_id": begin.lead, "from_user_id": begin.from, "to_user_id": begin.to, "reason": reason,
        "goal": begin.terms.goal, "due_at": due_at, "notify": notify,
    });
    tx.record(Event::new("lead_handover.started", SUBJECT, id, data).and_on("lead", Some(begin.lead)));
    Ok(id)
}

async fn insert(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    begin: &Begin,
    response: Option<i32>,
    warn_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
) -> AppResult<()> {
    let after = begin.after.as_ref();
    let reason: &'static str = begin.reason.into();
    let query = sql_query(
        "INSERT INTO lead_handovers (tenant_id, id, lead_id, chain_id, attempt, from_user_id, to_user_id, rule_id, reason, goal, \
            accepted_at, started_at, chain_started_at, response_minutes, warn_at, due_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, (SELECT coalesce(max(h.attempt), 0) + 1 FROM lead_handovers h WHERE h.tenant_id = $1 AND h.chain_id = $4), \
            $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $11, $11)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(begin.lead)
    .bind::<SqlUuid, _>(after.map_or(id, |after| after.chain_id))
    .bind::<Nullable<SqlUuid>, _>(begin.from)
    .bind::<SqlUuid, _>(begin.to)
    .bind::<Nullable<SqlUuid>, _>(begin.terms.rule_id)
    .bind::<Text, _>(reason)
    .bind::<Nullable<Text>, _>(begin.terms.goal.as_deref())
    .bind::<Nullable<Timestamptz>, _>(begin.accepted_at)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Timestamptz, _>(after.map_or(ctx.now, |after| after.chain_started_at))
    .bind::<Nullable<Integer>, _>(response)
    .bind::<Nullable<Timestamptz>, _>(warn_at)
    .bind::<Nullable<Timestamptz>, _>(due_at);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Sets the timers of an open hand-over.
///
/// # Errors
/// Database errors.
pub async fn set_timers(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    warn_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
) -> AppResult<()> {
    for (kind, at) in [(WARNING, warn_at), (DEADLINE, due_at)] {
        if let Some(at) = at {
            timer::set(tx, ctx, kind, (SUBJECT, id), at, json!({})).await?;
        }
    }
    Ok(())
}

async fn cancel_timers(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<()> {
    timer::cancel(tx, ctx, WARNING, (SUBJECT, id)).await?;
    timer::cancel(tx, ctx, DEADLINE, (SUBJECT, id)).await
}

/// A first response.
#[derive(Debug, Clone)]
pub struct Response {
    pub kind: &'static str,
    pub note: Option<String>,
}

/// Ends an open hand-over and stops its clock. A response counts the working minutes until now.
///
/// # Errors
/// Database errors.
pub async fn end(
    tx: &mut Tx,
    ctx: &Ctx,
    handover: &Handover,
    end: End,
    response: Option<&Response>,
    more: Value,
) -> AppResult<()> {
    let (mut own, mut waited) = (None, None);
    if response.is_some() {
        let calendar = Calendar::of(&mut &**tx, ctx.tenant).await?;
        own = Some(calendar.working_minutes_between(handover.started_at, ctx.now));
        waited = Some(calendar.working_minutes_between(handover.chain_started_at, ctx.now));
    }
    let status: &'static str = end.into();
    let is_overdue = handover.is_overdue || end == End::Missed;
    let query = sql_query(
        "UPDATE lead_handovers SET status = $3, is_overdue = $4, ended_at = $5, first_response_at = $6, first_response_kind = $7, \
            first_response_note = $8, responded_after_minutes = $9, waited_minutes = $10, version = version + 1, updated_at = $5 \
         WHERE tenant_id = $1 AND id = $2 AND status = 'open'",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(handover.id)
    .bind::<Text, _>(status)
    .bind::<Bool, _>(is_overdue)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Nullable<Timestamptz>, _>(response.map(|_| ctx.now))
    .bind::<Nullable<Text>, _>(response.map(|response| response.kind))
    .bind::<Nullable<Text>, _>(response.and_then(|response| response.note.as_deref()))
    .bind::<Nullable<BigInt>, _>(own)
    .bind::<Nullable<BigInt>, _>(waited);
    Cached(query).execute(&mut **tx).await?;
    cancel_timers(tx, ctx, handover.id).await?;
    let mut data = about(handover);
    data.insert(
        "changes".to_owned(),
        json!({ "status": { "before": "open", "after": status } }),
    );
    if let Some(response) = response {
        data.insert(
            "response".to_owned(),
            json!({ "kind": response.kind, "after_minutes": own }),
        );
    }
    data.extend(more.as_object().cloned().unwrap_or_default());
    tell(tx, handover, status, data);
    Ok(())
}

/// What every event of a hand-over says.
pub fn about(handover: &Handover) -> Map<String, Value> {
    let about =
        json!({ "lead_id": handover.lead_id, "to_user_id": handover.to_user_id, "due_at": handover.due_at });
    about.as_object().cloned().unwrap_or_default()
}

/// The event of a hand-over, on its lead's timeline too.
pub fn tell(tx: &mut Tx, handover: &Handover, verb: &str, data: Map<String, Value>) {
    let event = Event::new(
        format!("lead_handover.{verb}"),
        SUBJECT,
        handover.id,
        Value::Object(data),
    );
    tx.record(event.and_on("lead", Some(handover.lead_id)));
}

/// Notes on an open hand-over that its holder was warned, or that its deadline passed and it stays all the same.
///
/// # Errors
/// Database errors.
pub async fn mark(tx: &mut Tx, ctx: &Ctx, handover: &Handover, is_overdue: bool) -> AppResult<()> {
    let query = sql_query(
        "UPDATE lead_handovers SET warned_at = CASE WHEN $3 THEN warned_at ELSE $4 END, is_overdue = is_overdue OR $3, \
            version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(handover.id)
    .bind::<Bool, _>(is_overdue)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Opens a hand-over again that was taken over: what took it over was undone. Its clock runs as if nothing had been.
///
/// # Errors
/// Database errors.
pub async fn reopen(tx: &mut Tx, ctx: &Ctx, handover: &Handover) -> AppResult<()> {
    let query = sql_query(
        "UPDATE lead_handovers SET status = 'open', ended_at = NULL, version = version + 1, updated_at = $3 \
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(handover.id)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let warn_at = handover.warn_at.filter(|_| handover.warned_at.is_none());
    let due_at = handover.due_at.filter(|_| !handover.is_overdue);
    set_timers(tx, ctx, handover.id, warn_at, due_at).await?;
    let mut data = about(handover);
    data.insert(
        "changes".to_owned(),
        json!({ "status": { "before": handover.status, "after": "open" } }),
    );
    tell(tx, handover, "reopened", data);
    Ok(())
}
