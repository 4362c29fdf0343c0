//! Moving many deals in a few statements, whatever their number: the moves with their transitions, ticks and answers, what
//! became of each deal; then an event for each.

use super::queries::MigrationRow;
use super::wire::{DealOutcome, Why};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::opportunity::lapse;
use crate::opportunity::moves::{self, Going};
use crate::opportunity::resources::OPPORTUNITY;
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::sql::{self, Bind, Sql};
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Jsonb, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Moves locked deals and notes a transition and an event for each. Approvals lapse that go along and were asked about what
/// the move changed, or what was changed before it in another stay.
///
/// # Errors
/// Database errors; internal when a deal was not moved, which its lock forbids.
pub async fn move_all(tx: &mut Tx, ctx: &Ctx, going: Vec<Going<'_>>) -> AppResult<()> {
    let ids = going.iter().map(|going| going.head.id).collect::<Vec<_>>();
    let document = sql::whole_document(&OPPORTUNITY);
    for (_, event) in moves::make_all(tx, ctx.tenant, &document, going).await? {
        tx.record(event);
    }
    lapse::changed(tx, ctx, &ids).await
}

/// A tick or answer to be taken out of a visit that goes on: visit and criterion.
pub type Dropped = (Uuid, Uuid);

#[derive(QueryableByName)]
struct DroppedRow {
    #[diesel(sql_type = SqlUuid)]
    opportunity_id: Uuid,
    #[diesel(sql_type = Jsonb)]
    rows: Value,
}

/// Takes ticks and answers out of their visits; answers them by deal, as [`put_back`] takes them.
///
/// # Errors
/// Database errors.
pub async fn drop_answers(tx: &mut Tx, ctx: &Ctx, dropped: &[Dropped]) -> AppResult<BTreeMap<Uuid, Value>> {
    if dropped.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = dropped
        .iter()
        .map(|(visit, criterion)| json!({ "visit_id": visit, "criterion_id": criterion }));
    let mut sql = Sql::of(ctx.tenant);
    let rows = sql.place(Bind::Json(rows.collect()));
    sql.push(&format!(
        "WITH gone AS (DELETE FROM criterion_answers AS a USING jsonb_to_recordset({rows}) AS x (visit_id uuid, criterion_id uuid) \
             WHERE a.tenant_id = $1 AND a.visit_id = x.visit_id AND a.criterion_id = x.criterion_id \
             RETURNING a.visit_id, a.criterion_id, a.opportunity_id, a.answer, a.note, a.answered_by, a.answered_at) \
         SELECT g.opportunity_id, jsonb_agg(to_jsonb(g)) AS rows FROM gone g GROUP BY g.opportunity_id"
    ));
    let rows: Vec<DroppedRow> = sql.query().load(&mut **tx).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.opportunity_id, row.rows))
        .collect())
}

/// Puts ticks and answers of deals of a migration back that it had taken out of visits that went on.
///
/// # Errors
/// Database errors.
pub async fn put_back(tx: &mut Tx, ctx: &Ctx, migration: Uuid, deals: &[Uuid]) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let migration = sql.place(Bind::Id(migration));
    let deals = sql.place(Bind::Ids(deals.to_vec()));
    sql.push(&format!(
        "INSERT INTO criterion_answers (tenant_id, visit_id, criterion_id, opportunity_id, answer, note, answered_by, answered_at) \
         SELECT $1, x.visit_id, x.criterion_id, x.opportunity_id, x.answer, x.note, x.answered_by, x.answered_at \
         FROM pipeline_migration_deals d, jsonb_to_recordset(d.dropped) AS x (visit_id uuid, criterion_id uuid, opportunity_id uuid, answer jsonb, note text, answered_by uuid, answered_at timestamptz) \
         WHERE d.tenant_id = $1 AND d.migration_id = {migration} AND d.opportunity_id = ANY({deals}) \
         ON CONFLICT (tenant_id, visit_id, criterion_id) DO NOTHING"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}

/// A tick or answer that goes along to a visit that begins.
pub struct Copied {
    pub from_visit: Uuid,
    pub from_criterion: Uuid,
    pub to_visit: Uuid,
    pub to_criterion: Uuid,
}

/// Copies ticks and answers into visits that begin; those of the visit that was cut stay with it.
///
/// # Errors
/// Database errors.
pub async fn copy_answers(tx: &mut Tx, ctx: &Ctx, copied: &[Copied]) -> AppResult<()> {
    if copied.is_empty() {
        return Ok(());
    }
    let rows = copied.iter().map(|copied| {
        json!({
            "from_visit": copied.from_visit, "from_criterion": copied.from_criterion,
            "to_visit": copied.to_visit, "to_criterion": copied.to_criterion,
        })
    });
    let mut sql = Sql::of(ctx.tenant);
    let rows = sql.place(Bind::Json(rows.collect()));
    sql.push(&format!(
        "INSERT INTO criterion_answers (tenant_id, visit_id, criterion_id, opportunity_id, answer, note, answered_by, answered_at) \
         SELECT $1, x.to_visit, x.to_criterion, a.opportunity_id, a.answer, a.note, a.answered_by, a.answered_at \
         FROM jsonb_to_recordset({rows}) AS x (from_visit uuid, from_criterion uuid, to_visit uuid, to_criterion uuid) \
         JOIN criterion_answers a ON a.tenant_id = $1 AND a.visit_id = x.from_visit AND a.criterion_id = x.from_criterion"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}

/// What became of a deal.
#[derive(Debug, Clone)]
pub struct Fate {
    pub opportunity_id: Uuid,
    pub outcome: DealOutcome,
    pub why: Option<Why>,
    pub plan: Option<Value>,
    pub transition_id: Option<Uuid>,
    /// Version, stage, visit and entry that it left.
    pub left: Option<(Uuid, Uuid, Uuid, DateTime<Utc>)>,
    pub dropped: Value,
}

/// Digest of the ticks and answers of the visit of the deal `o`.
pub const ANSWERS_HASH: &str = "\
(SELECT md5(coalesce(string_agg(concat_ws('|', a.criterion_id, a.answer, a.note, extract(epoch FROM a.answered_at)), ';' ORDER BY a.criterion_id), '')) \
FROM criterion_answers a WHERE a.tenant_id = $1 AND a.visit_id = o.visit_id)";

/// Digest of the approval requests of the deal `o`.
pub const APPROVALS_HASH: &str = "\
(SELECT md5(coalesce(string_agg(concat_ws('|', r.id, r.version, r.state), ';' ORDER BY r.id), '')) \
FROM approval_requests r WHERE r.tenant_id = $1 AND r.subject_kind = 'opportunity' AND r.subject_id = o.id)";

/// Notes what became of deals on their way there, the moves made.
///
/// # Errors
/// Database errors.
pub async fn note_fates(tx: &mut Tx, ctx: &Ctx, migration: Uuid, fates: &[Fate]) -> AppResult<()> {
    if fates.is_empty() {
        return Ok(());
    }
    let rows = fates.iter().map(|fate| {
        let (outcome, why): (&'static str, Option<&'static str>) = (fate.outcome.into(), fate.why.map(Into::into));
        let left = fate.left.map(|(version, stage, visit, entered_at)| (version, stage, visit, instant(entered_at)));
        json!({
            "id": fate.opportunity_id, "outcome": outcome, "why": why, "plan": fate.plan, "transition_id": fate.transition_id,
            "version_id": left.as_ref().map(|it| it.0), "stage_id": left.as_ref().map(|it| it.1),
            "visit_id": left.as_ref().map(|it| it.2), "entered_at": left.as_ref().map(|it| &it.3), "dropped": fate.dropped,
        })
    });
    let mut sql = Sql::of(ctx.tenant);
    let migration = sql.place(Bind::Id(migration));
    let rows = sql.place(Bind::Json(rows.collect()));
    sql.push(&format!(
        "UPDATE pipeline_migration_deals AS d SET outcome = x.outcome, why = x.why, plan = x.plan, transition_id = x.transition_id, \
             from_version_id = x.version_id, from_stage_id = x.stage_id, from_visit_id = x.visit_id, from_entered_at = x.entered_at, dropped = x.dropped, \
             answers_hash = CASE WHEN x.transition_id IS NOT NULL THEN {ANSWERS_HASH} END, \
             approvals_hash = CASE WHEN x.transition_id IS NOT NULL THEN {APPROVALS_HASH} END \
         FROM jsonb_to_recordset({rows}) AS x (id uuid, outcome text, why text, plan jsonb, transition_id uuid, version_id uuid, stage_id uuid, visit_id uuid, \
             entered_at timestamptz, dropped jsonb) \
         JOIN opportunities o ON o.tenant_id = $1 AND o.id = x.id \
         WHERE d.tenant_id = $1 AND d.migration_id = {migration} AND d.opportunity_id = x.id"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}

/// How a migration, or taking it back, ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Done,
    RolledBack,
}

/// Notes that all deals were looked at, and tells what it came to.
///
/// # Errors
/// Database errors.
pub async fn end(tx: &mut Tx, ctx: &Ctx, row: &MigrationRow, end: End, came_to: Value) -> AppResult<()> {
    let (state, since, event) = match end {
        End::Done => ("done", "finished_at", "pipeline_migration.finished"),
        End::RolledBack => ("rolled_back", "rolled_back_at", "pipeline_migration.rolled_back"),
    };
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(row.id));
    let now = sql.place(Bind::Instant(ctx.now));
    sql.push(&format!(
        "UPDATE pipeline_migrations SET state = '{state}', {since} = {now}, version = version + 1, updated_at = {now} \
         WHERE tenant_id = $1 AND id = {id}"
    ));
    sql.query().execute(&mut **tx).await?;
    let event = Event::new(event, "pipeline_migration", row.id, came_to);
    tx.record(event.and_on("pipeline", Some(row.pipeline_id)));
    Ok(())
}
