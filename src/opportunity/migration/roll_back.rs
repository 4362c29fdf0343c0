//! Taking a migration back, chunk by chunk: each deal on which nothing later rests goes back to where, and to what, it
//! was. What has moved, was ticked or answered, or was decided since stays, and is listed with the reason.

use super::facts::{self, DealFacts};
use super::queries::{self, MigrationRow};
use super::run::{CHUNK, Chunk, migration_of};
use super::setting_out::of_row;
use super::wire::Why;
use super::writing::{self, ANSWERS_HASH, APPROVALS_HASH, End};
use crate::jobs::{JobKind, JobRun, Step};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::opportunity::moves::{Going, MoveKind};
use crate::pipeline::service::Definition;
use crate::platform::db::Tx;
use crate::platform::records::sql::{Bind, Sql};
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Bool, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The job that takes a migration back.
pub static ROLL_BACK: JobKind = JobKind {
    name: "pipeline.roll_back",
    permission: "pipeline.migrate",
    step: |tx, ctx, run| Box::pin(step(tx, ctx, run)),
};

async fn step(tx: &mut Tx, ctx: &Ctx, run: &JobRun) -> AppResult<Step> {
    let id = migration_of(run)?;
    Ok(return_some(tx, ctx, id).await?.into_step(id))
}

/// A moved deal under its lock: where it was, and whether anything rests on its move.
#[derive(Debug, Clone, QueryableByName)]
struct Candidate {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Bool)]
    is_archived: bool,
    #[diesel(sql_type = Bool)]
    has_moved: bool,
    #[diesel(sql_type = Bool)]
    has_new_answers: bool,
    #[diesel(sql_type = Bool)]
    has_new_approvals: bool,
    #[diesel(sql_type = SqlUuid)]
    from_version_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    from_stage_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    from_visit_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    from_entered_at: DateTime<Utc>,
}

impl Candidate {
    /// Why it stays where it is; nothing, when it can go back.
    fn stays(&self) -> Option<Why> {
        if self.status != "open" {
            Some(Why::Closed)
        } else if self.is_archived {
            Some(Why::Archived)
        } else if self.has_moved {
            Some(Why::Moved)
        } else if self.has_new_answers {
            Some(Why::AnswersChanged)
        } else if self.has_new_approvals {
            Some(Why::ApprovalsChanged)
        } else {
            None
        }
    }
}

/// Takes the next chunk of a migration back.
///
/// # Errors
/// Database errors.
pub(super) async fn return_some(tx: &mut Tx, ctx: &Ctx, migration: Uuid) -> AppResult<Chunk> {
    let row = queries::lock(tx, ctx.tenant, migration, None).await?;
    if row.state != "rolling_back" {
        return Ok(ended(&row));
    }
    let deals = queries::next_deals(tx, ctx.tenant, migration, "moved", CHUNK).await?;
    if deals.is_empty() {
        let came_to = json!({ "returned": row.returned, "stayed": row.stayed });
        writing::end(tx, ctx, &row, End::RolledBack, came_to).await?;
        return Ok(ended(&row));
    }
    queries::lock_deals(tx, ctx.tenant, &deals).await?;
    let found = candidates(tx, ctx, migration, &deals).await?;
    if found.is_empty() {
        return Err(AppError::internal(
            "a migration is about deals that are not there",
        ));
    }
    let backs = found.iter().filter(|deal| deal.stays().is_none());
    let backs = backs.map(|deal| (deal.id, deal)).collect::<BTreeMap<_, _>>();
    let moves = go_back(tx, ctx, &row, &backs).await?;
    note(tx, ctx, &row, &found, &moves).await?;
    let returned = i32::try_from(moves.len()).unwrap_or(i32::MAX);
    let stayed = i32::try_from(found.len() - moves.len()).unwrap_or(i32::MAX);
    count(tx, ctx, &row, returned, stayed).await?;
    Ok(Chunk {
        pipeline_id: row.pipeline_id,
        done: row.returned + row.stayed + returned + stayed,
        total: row.moved,
        result: None,
    })
}

fn ended(row: &MigrationRow) -> Chunk {
    Chunk {
        pipeline_id: row.pipeline_id,
        done: row.returned + row.stayed,
        total: row.moved,
        result: Some(json!({ "migration_id": row.id, "returned": row.returned, "stayed": row.stayed })),
    }
}

async fn candidates(tx: &mut Tx, ctx: &Ctx, migration: Uuid, deals: &[Uuid]) -> AppResult<Vec<Candidate>> {
    let mut sql = Sql::of(ctx.tenant);
    let migration = sql.place(Bind::Id(migration));
    let deals = sql.place(Bind::Ids(deals.to_vec()));
    sql.push(&format!(
        "SELECT o.id, o.status, o.archived_at IS NOT NULL AS is_archived, \
             d.transition_id IS DISTINCT FROM (SELECT m.id FROM transitions m WHERE m.tenant_id = $1 AND m.opportunity_id = o.id ORDER BY m.ordinal DESC LIMIT 1) AS has_moved, \
             d.answers_hash IS DISTINCT FROM {ANSWERS_HASH} AS has_new_answers, d.approvals_hash IS DISTINCT FROM {APPROVALS_HASH} AS has_new_approvals, \
             d.from_version_id, d.from_stage_id, d.from_visit_id, d.from_entered_at \
         FROM pipeline_migration_deals d JOIN opportunities o ON o.tenant_id = $1 AND o.id = d.opportunity_id \
         WHERE d.tenant_id = $1 AND d.migration_id = {migration} AND d.opportunity_id = ANY({deals}) ORDER BY o.id"
    ));
    Ok(sql.query().load(&mut **tx).await?)
}

/// Moves deals back; answers their transitions.
async fn go_back(
    tx: &mut Tx,
    ctx: &Ctx,
    row: &MigrationRow,
    backs: &BTreeMap<Uuid, &Candidate>,
) -> AppResult<BTreeMap<Uuid, Uuid>> {
    if backs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids = backs.keys().copied().collect::<Vec<_>>();
    let (course, _) = of_row(&mut &**tx, ctx, row).await?;
    let needs = facts::needs_of(std::iter::once::<&Definition>(&course.to));
    let deals = facts::read(&mut &**tx, ctx, &ids, &needs).await?;
    let mut going = Vec::new();
    for deal in &deals {
        let Some(back) = backs.get(&deal.head.id) else {
            continue;
        };
        going.push(returning(ctx, row, &course.to, deal, back)?);
    }
    let moves = going.iter().map(|going| (going.head.id, going.transition_id));
    let moves = moves.collect();
    writing::put_back(tx, ctx, row.id, &ids).await?;
    writing::move_all(tx, ctx, going).await?;
    Ok(moves)
}

fn returning<'a>(
    ctx: &'a Ctx,
    row: &MigrationRow,
    to: &Definition,
    deal: &'a DealFacts,
    back: &Candidate,
) -> AppResult<Going<'a>> {
    let about = json!({ "id": row.id, "is_roll_back": true });
    Ok(Going {
        ctx,
        kind: MoveKind::Migrate,
        head: &deal.head,
        before: &deal.record,
        version: deal.version,
        transition_id: Uuid::now_v7(),
        to_version_id: back.from_version_id,
        to_stage_id: back.from_stage_id,
        visit_id: back.from_visit_id,
        entered_at: back.from_entered_at,
        reason: row.reason.clone(),
        evidence: deal.gate_before(ctx, to)?.to_evidence(),
        more: Map::from_iter([("migration".to_owned(), about)]),
    })
}

async fn note(
    tx: &mut Tx,
    ctx: &Ctx,
    row: &MigrationRow,
    found: &[Candidate],
    moves: &BTreeMap<Uuid, Uuid>,
) -> AppResult<()> {
    let rows = found.iter().map(|deal| {
        let why: Option<&'static str> = deal.stays().map(Into::into);
        json!({ "id": deal.id, "why": why, "transition_id": moves.get(&deal.id) })
    });
    let mut sql = Sql::of(ctx.tenant);
    let migration = sql.place(Bind::Id(row.id));
    let rows = sql.place(Bind::Json(rows.collect::<Value>()));
    sql.push(&format!(
        "UPDATE pipeline_migration_deals AS d SET outcome = CASE WHEN x.transition_id IS NULL THEN 'stayed' ELSE 'returned' END, \
             why = x.why, back_transition_id = x.transition_id \
         FROM jsonb_to_recordset({rows}) AS x (id uuid, why text, transition_id uuid) \
         WHERE d.tenant_id = $1 AND d.migration_id = {migration} AND d.opportunity_id = x.id"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}

async fn count(tx: &mut Tx, ctx: &Ctx, row: &MigrationRow, returned: i32, stayed: i32) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(row.id));
    let returned = sql.place(Bind::Int(returned));
    let stayed = sql.place(Bind::Int(stayed));
    let now = sql.place(Bind::Instant(ctx.now));
    sql.push(&format!(
        "UPDATE pipeline_migrations SET returned = returned + {returned}, stayed = stayed + {stayed}, version = version + 1, updated_at = {now} \
         WHERE tenant_id = $1 AND id = {id}"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}
