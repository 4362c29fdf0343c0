//! Making a move: one statement that moves the deal, or many of them, and notes the transitions; then an event for each.

use super::advance::rules::Status;
use super::overdue::{self, Stay};
use super::resources::OPPORTUNITY;
use super::standing::Head;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::sql::{self, Bind, Sql};
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use strum::IntoStaticStr;
use utoipa::ToSchema;
use uuid::Uuid;

/// What kind of move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MoveKind {
    /// The deal was made.
    Enter,
    /// Forward along an edge, the gate open.
    Advance,
    /// Out of a final stage, the gate open.
    Win,
    Lose,
    /// Back to an earlier stage.
    Regress,
    /// To a later stage, past the gate.
    Skip,
    /// Along an edge or out of a final stage, past the gate.
    Override,
    /// A new cycle.
    Restart,
    /// A mistaken win or loss undone.
    Reopen,
    /// To another version of the pipeline.
    Migrate,
    /// History brought in from elsewhere.
    Import,
}

impl MoveKind {
    fn event(self) -> &'static str {
        match self {
            MoveKind::Enter => "opportunity.entered",
            MoveKind::Advance => "opportunity.advanced",
            MoveKind::Win => "opportunity.won",
            MoveKind::Lose => "opportunity.lost",
            MoveKind::Regress => "opportunity.regressed",
            MoveKind::Skip => "opportunity.skipped",
            MoveKind::Override => "opportunity.overridden",
            MoveKind::Restart => "opportunity.restarted",
            MoveKind::Reopen => "opportunity.reopened",
            MoveKind::Migrate => "opportunity.migrated",
            MoveKind::Import => "opportunity.imported",
        }
    }
}

/// A move of a locked deal.
pub struct Move {
    pub kind: MoveKind,
    pub to_version_id: Uuid,
    pub to_stage_id: Uuid,
    pub to_status: Status,
    pub cycle: i32,
    /// Whether it begins a visit; else the present one goes on (or, of a closed deal, is continued).
    pub begins_visit: bool,
    pub reason: Option<String>,
    /// The gate as it stood.
    pub evidence: Option<Value>,
    /// What else the event says.
    pub more: Map<String, Value>,
}

impl Move {
    /// A move of this kind that so far leaves everything as it is.
    pub fn of(kind: MoveKind, head: &Head) -> AppResult<Move> {
        Ok(Move {
            kind,
            to_version_id: head.pipeline_version_id,
            to_stage_id: head.stage_id,
            to_status: head.status()?,
            cycle: head.cycle,
            begins_visit: false,
            reason: None,
            evidence: None,
            more: Map::new(),
        })
    }
}

/// One move of an opportunity, append-only.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TransitionView {
    pub id: Uuid,
    /// Counts the moves of the opportunity from 1.
    #[schema(examples(3))]
    pub ordinal: i32,
    /// The cycle it belongs to.
    #[schema(examples(1))]
    pub cycle: i32,
    pub kind: MoveKind,
    /// The version on which the opportunity is after it.
    pub pipeline_version_id: Uuid,
    pub from_stage_id: Option<Uuid>,
    pub to_stage_id: Uuid,
    #[schema(examples("open"))]
    pub from_status: Option<String>,
    #[schema(examples("open"))]
    pub to_status: String,
    /// The stay in the stage in which the opportunity is after it; the transition's own id where it began one.
    pub visit_id: Uuid,
    /// `user`, `key`, `timer`, `job` or `system`.
    #[schema(examples("user"))]
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    /// When, by the company's clock.
    pub at: DateTime<Utc>,
    /// When, in real time.
    pub recorded_at: DateTime<Utc>,
    /// How long the stay had lasted, time closed left out.
    #[schema(examples(86400))]
    pub dwell_seconds: Option<i64>,
    #[schema(examples("客户预算推迟"))]
    pub reason: Option<String>,
    /// The gate as it stood: the state of every criterion, and on what it rested.
    #[schema(value_type = Option<Object>)]
    pub evidence: Option<Value>,
}

/// SQL of a transition `m` in wire form, as JSON text.
pub const TRANSITION: &str = "\
json_build_object('id', m.id, 'ordinal', m.ordinal, 'cycle', m.cycle, 'kind', m.kind, 'pipeline_version_id', m.pipeline_version_id, \
'from_stage_id', m.from_stage_id, 'to_stage_id', m.to_stage_id, 'from_status', m.from_status, 'to_status', m.to_status, \
'visit_id', m.visit_id, 'actor_kind', m.actor_kind, 'actor_id', m.actor_id, 'at', instant_text(m.at), \
'recorded_at', instant_text(m.recorded_at), 'dwell_seconds', m.dwell_seconds, 'reason', m.reason, 'evidence', m.evidence)";

/// A deal after a move.
pub struct Moved {
    /// In wire form.
    pub record: Map<String, Value>,
    pub version: i32,
    pub transition: TransitionView,
}

#[derive(QueryableByName)]
struct MovedRow {
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Text)]
    transition: String,
}

impl MovedRow {
    fn moved(&self) -> AppResult<Moved> {
        Ok(Moved {
            record: serde_json::from_str(&self.doc).map_err(AppError::internal)?,
            version: self.version,
            transition: serde_json::from_str(&self.transition).map_err(AppError::internal)?,
        })
    }
}

/// SQL of the seconds of the present visit spent open: since its beginning, less the time it was closed.
fn dwell() -> String {
    let closed = overdue::closed_seconds("$1", "b.id", "b.visit_id");
    format!("floor(extract(epoch FROM b.at - b.entered_at) - {closed})::bigint")
}

/// Moves a locked deal and notes the transition and its event.
///
/// # Errors
/// Database errors.
pub async fn make(
    tx: &mut Tx,
    ctx: &Ctx,
    head: &Head,
    before: &Map<String, Value>,
    version: i32,
    step: Move,
) -> AppResult<Moved> {
    let id = Uuid::now_v7();
    let row: MovedRow = move_sql(ctx, head, version, &step, id)?
        .query()
        .get_result(&mut **tx)
        .await?;
    let moved = row.moved()?;
    let told = Told {
        id,
        kind: step.kind,
        cycle: moved.transition.cycle,
        reason: moved.transition.reason.as_deref(),
        to_stage_id: moved.transition.to_stage_id,
    };
    tx.record(event(head, before, &moved.record, &told, step.more));
    Ok(moved)
}

fn move_sql(ctx: &Ctx, head: &Head, version: i32, step: &Move, id: Uuid) -> AppResult<Sql> {
    let mut sql = Sql::of(ctx.tenant);
    let was = head.status()?;
    let stay = Stay::of(was, step.to_status, step.begins_visit);
    let (visit, entered_at) = match step.begins_visit {
        true => (id, ctx.now),
        false => (head.visit_id, head.stage_entered_at),
    };
    let actor: &'static str = ctx.actor_kind.into();
    let kind: &'static str = step.kind.into();
    let deal = sql.place(Bind::Id(head.id));
    let version = sql.place(Bind::Int(version));
    let to_version = sql.place(Bind::Id(step.to_version_id));
    let to_stage = sql.place(Bind::Id(step.to_stage_id));
    let from_stage = sql.place(Bind::Id(head.stage_id));
    let from_status = sql.place(Bind::Text(head.status.clone()));
    let to_status = sql.place(Bind::Text(step.to_status.as_str().to_owned()));
    let cycle = sql.place(Bind::Int(step.cycle));
    let visit = sql.place(Bind::Id(visit));
    let entered_at = sql.place(Bind::Instant(entered_at));
    let left_visit = sql.place(Bind::Id(head.visit_id));
    let left_at = sql.place(Bind::Instant(head.stage_entered_at));
    let now = sql.place(Bind::Instant(ctx.now));
    let recorded_at = sql.place(Bind::Instant(ctx.recorded_at));
    let transition = sql.place(Bind::Id(id));
    let kind_place = sql.place(Bind::Text(kind.to_owned()));
    let actor = sql.place(Bind::Text(actor.to_owned()));
    let said = sql.place(Bind::Json(json!({
        "actor_id": ctx.actor_id, "reason": step.reason, "evidence": step.evidence,
    })));
    let cleared = match step.kind {
        MoveKind::Restart => {
            ", probability_by_hand = NULL, probability_reason = NULL, forecast_category = NULL"
        }
        _ => "",
    };
    let dwell = match was {
        Status::Open => dwell(),
        Status::Won | Status::Lost => String::from("NULL::bigint"),
    };
    let due_at = overdue::after_move(stay, [&deal, &visit, &entered_at, &now]);
    let document = sql::document(&OPPORTUNITY, ctx);
    sql.push(&format!(
        "WITH b AS (SELECT {deal}::uuid AS id, {left_visit}::uuid AS visit_id, {left_at}::timestamptz AS entered_at, {now}::timestamptz AS at, {said}::jsonb AS said), \
         moved AS (UPDATE opportunities AS t SET pipeline_version_id = {to_version}, stage_id = {to_stage}, status = {to_status}, cycle = {cycle}, \
             visit_id = {visit}, stage_entered_at = {entered_at}, stage_due_at = {due_at}, probability_default = s.probability, probability_calibrated = s.probability_calibrated, \
             version = t.version + 1, updated_at = {now}{cleared} \
             FROM version_stages s \
             WHERE t.tenant_id = $1 AND t.id = {deal} AND t.version = {version} AND s.tenant_id = $1 AND s.version_id = {to_version} AND s.stage_id = {to_stage} \
             RETURNING {document} AS doc, t.version), \
         m AS (INSERT INTO transitions (tenant_id, id, opportunity_id, cycle, ordinal, kind, pipeline_version_id, from_stage_id, to_stage_id, from_status, to_status, \
             visit_id, actor_kind, actor_id, at, recorded_at, dwell_seconds, reason, evidence) \
             SELECT $1, {transition}, b.id, {cycle}, (SELECT coalesce(max(p.ordinal), 0) + 1 FROM transitions p WHERE p.tenant_id = $1 AND p.opportunity_id = b.id), \
             {kind_place}, {to_version}, {from_stage}, {to_stage}, {from_status}, {to_status}, {visit}, {actor}, (b.said->>'actor_id')::uuid, {now}, {recorded_at}, {dwell}, \
             b.said->>'reason', nullif(b.said->'evidence', 'null'::jsonb) FROM b RETURNING *) \
         SELECT moved.doc, moved.version, {TRANSITION}::text AS transition FROM moved, m"
    ));
    Ok(sql)
}

/// A move of one of many locked deals, which is open before it and after it.
pub struct Going<'a> {
    /// Who moves it, and when.
    pub ctx: &'a Ctx,
    pub kind: MoveKind,
    pub head: &'a Head,
    /// In wire form.
    pub before: &'a Map<String, Value>,
    pub version: i32,
    pub transition_id: Uuid,
    pub to_version_id: Uuid,
    pub to_stage_id: Uuid,
    /// The stay in which it is afterwards, and since when.
    pub visit_id: Uuid,
    pub entered_at: DateTime<Utc>,
    pub reason: Option<String>,
    /// The gate of the stage that it leaves, as it stood.
    pub evidence: Value,
    /// What else the event says.
    pub more: Map<String, Value>,
}

#[derive(QueryableByName)]
struct MovedOf {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(embed)]
    row: MovedRow,
}

/// Moves locked deals in one statement and notes a transition for each, the document in this form; answers each deal after
/// its move with the event that tells of it, in their order. The events are left to the caller.
///
/// # Errors
/// Database errors; internal when a deal was not moved, which its lock forbids.
pub async fn make_all(
    tx: &mut Tx,
    tenant: Uuid,
    document: &str,
    going: Vec<Going<'_>>,
) -> AppResult<Vec<(Moved, Event)>> {
    if going.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<MovedOf> = moves_sql(tenant, document, &going)
        .query()
        .load(&mut **tx)
        .await?;
    let rows = rows.into_iter().map(|MovedOf { id, row }| (id, row));
    let mut rows = rows.collect::<HashMap<_, _>>();
    let told = going.into_iter().map(|going| {
        let row = rows.remove(&going.head.id);
        let row = row.ok_or_else(|| AppError::internal("a locked deal was not moved"))?;
        let moved = row.moved()?;
        let told = Told {
            id: going.transition_id,
            kind: going.kind,
            cycle: going.head.cycle,
            reason: going.reason.as_deref(),
            to_stage_id: going.to_stage_id,
        };
        let event = event(going.head, going.before, &moved.record, &told, going.more);
        Ok((moved, event))
    });
    told.collect()
}

fn moves_sql(tenant: Uuid, document: &str, going: &[Going<'_>]) -> Sql {
    let rows = going.iter().map(|going| {
        let Going { ctx, head, .. } = going;
        let (kind, actor): (&'static str, &'static str) = (going.kind.into(), ctx.actor_kind.into());
        json!({
            "id": head.id, "version": going.version, "cycle": head.cycle, "status": head.status, "kind": kind,
            "from_stage_id": head.stage_id, "left_visit_id": head.visit_id, "left_entered_at": instant(head.stage_entered_at),
            "transition_id": going.transition_id, "to_version_id": going.to_version_id, "to_stage_id": going.to_stage_id,
            "to_visit_id": going.visit_id, "to_entered_at": instant(going.entered_at), "evidence": going.evidence,
            "reason": going.reason, "actor_kind": actor, "actor_id": ctx.actor_id, "at": instant(ctx.now), "recorded_at": instant(ctx.recorded_at),
        })
    });
    let mut sql = Sql::of(tenant);
    let rows = sql.place(Bind::Json(rows.collect()));
    let dwell = dwell();
    // A visit that begins was never interrupted.
    let closed = overdue::closed_seconds("$1", "b.id", "b.to_visit_id");
    let due_at = overdue::due_sql(
        "b.to_entered_at",
        &format!("CASE WHEN b.to_visit_id = b.transition_id THEN 0 ELSE {closed} END"),
    );
    sql.push(&format!(
        "WITH b AS (SELECT x.*, x.left_visit_id AS visit_id, x.left_entered_at AS entered_at \
             FROM jsonb_to_recordset({rows}) AS x (id uuid, version integer, cycle integer, status text, kind text, from_stage_id uuid, left_visit_id uuid, \
             left_entered_at timestamptz, transition_id uuid, to_version_id uuid, to_stage_id uuid, to_visit_id uuid, to_entered_at timestamptz, evidence jsonb, \
             reason text, actor_kind text, actor_id uuid, at timestamptz, recorded_at timestamptz)), \
         moved AS (UPDATE opportunities AS t SET pipeline_version_id = b.to_version_id, stage_id = b.to_stage_id, visit_id = b.to_visit_id, \
             stage_entered_at = b.to_entered_at, stage_due_at = {due_at}, probability_default = s.probability, probability_calibrated = s.probability_calibrated, \
             version = t.version + 1, updated_at = b.at \
             FROM b JOIN version_stages s ON s.tenant_id = $1 AND s.version_id = b.to_version_id AND s.stage_id = b.to_stage_id \
             WHERE t.tenant_id = $1 AND t.id = b.id AND t.version = b.version \
             RETURNING t.id, {document} AS doc, t.version), \
         m AS (INSERT INTO transitions (tenant_id, id, opportunity_id, cycle, ordinal, kind, pipeline_version_id, from_stage_id, to_stage_id, from_status, to_status, \
             visit_id, actor_kind, actor_id, at, recorded_at, dwell_seconds, reason, evidence) \
             SELECT $1, b.transition_id, b.id, b.cycle, (SELECT coalesce(max(p.ordinal), 0) + 1 FROM transitions p WHERE p.tenant_id = $1 AND p.opportunity_id = b.id), \
             b.kind, b.to_version_id, b.from_stage_id, b.to_stage_id, b.status, b.status, b.to_visit_id, b.actor_kind, b.actor_id, b.at, b.recorded_at, \
             {dwell}, b.reason, b.evidence FROM b RETURNING *) \
         SELECT moved.id, moved.doc, moved.version, {TRANSITION}::text AS transition FROM moved JOIN m ON m.opportunity_id = moved.id"
    ));
    sql
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A transition, as far as its event tells of it.
struct Told<'a> {
    id: Uuid,
    kind: MoveKind,
    cycle: i32,
    reason: Option<&'a str>,
    to_stage_id: Uuid,
}

/// The event of a move, on the timelines of the deal and its account.
fn event(
    head: &Head,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    transition: &Told<'_>,
    more: Map<String, Value>,
) -> Event {
    let changed = OPPORTUNITY.columns().filter_map(|member| {
        let (old, new) = (before.get(member.name)?, after.get(member.name)?);
        (old != new).then(|| (member.name.to_owned(), json!({ "before": old, "after": new })))
    });
    let mut data = Map::new();
    data.insert("changes".to_owned(), Value::Object(changed.collect()));
    data.insert(
        "transition".to_owned(),
        json!({
            "id": transition.id, "kind": transition.kind, "cycle": transition.cycle, "reason": transition.reason,
            "from_stage_id": head.stage_id, "to_stage_id": transition.to_stage_id,
        }),
    );
    data.extend(more);
    Event::new(
        transition.kind.event(),
        "opportunity",
        head.id,
        Value::Object(data),
    )
    .and_on("account", Some(head.account_id))
}
