//! Doing a migration, chunk by chunk. A chunk locks its deals, plans each anew, and moves them in a few statements.

use super::facts::{self, DealFacts};
use super::plan::{Plan, Visit};
use super::queries::{self, MigrationRow};
use super::setting_out::of_row;
use super::wire::{DealOutcome, Why};
use super::writing::{self, Copied, End, Fate};
use super::{Course, Terms};
use crate::approval::service as approvals;
use crate::jobs::{JobKind, JobRun, Progress, Step};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::opportunity::advance::rules::Status;
use crate::opportunity::moves::{Going, MoveKind};
use crate::platform::db::Tx;
use crate::platform::records::sql::{Bind, Sql};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Most deals of a chunk: so long are they held.
pub(super) const CHUNK: i64 = 200;

/// The job that moves deals.
pub static MIGRATE: JobKind = JobKind {
    name: "pipeline.migrate",
    permission: "pipeline.migrate",
    step: |tx, ctx, run| Box::pin(step(tx, ctx, run)),
};

async fn step(tx: &mut Tx, ctx: &Ctx, run: &JobRun) -> AppResult<Step> {
    let id = migration_of(run)?;
    Ok(migrate_some(tx, ctx, id).await?.into_step(id))
}

/// The migration that a job is about.
pub(super) fn migration_of(run: &JobRun) -> AppResult<Uuid> {
    let id = run.params["migration_id"].as_str();
    id.and_then(|id| id.parse().ok())
        .ok_or_else(|| AppError::internal("a migration job without its migration"))
}

/// How far a migration is after a chunk.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub pipeline_id: Uuid,
    pub done: i32,
    pub total: i32,
    /// What it came to, at its end.
    pub result: Option<Value>,
}

impl Chunk {
    pub fn into_step(self, migration: Uuid) -> Step {
        let progress = Progress {
            done: i64::from(self.done),
            total: Some(i64::from(self.total)),
            errors: Vec::new(),
        };
        match self.result {
            None => Step::More {
                progress,
                checkpoint: Value::Null,
            },
            Some(mut result) => {
                let path = format!("/v1/pipelines/{}/migrations/{migration}", self.pipeline_id);
                result["links"] = json!({ "migration": path, "deals": format!("{path}/deals") });
                Step::Done { progress, result }
            }
        }
    }
}

/// Does the next chunk of a migration.
///
/// # Errors
/// Database errors.
pub(super) async fn migrate_some(tx: &mut Tx, ctx: &Ctx, migration: Uuid) -> AppResult<Chunk> {
    let row = queries::lock(tx, ctx.tenant, migration, None).await?;
    if row.state != "running" {
        return Ok(ended(&row, row.moved, row.skipped));
    }
    let deals = queries::next_deals(tx, ctx.tenant, migration, "planned", CHUNK).await?;
    let (mut moved, mut skipped) = (row.moved, row.skipped);
    if deals.is_empty() {
        let came_to = json!({ "moved": row.moved, "skipped": row.skipped });
        writing::end(tx, ctx, &row, End::Done, came_to).await?;
        return Ok(ended(&row, moved, skipped));
    }
    let fates = migrate(tx, ctx, &row, &deals).await?;
    if fates.is_empty() {
        return Err(AppError::internal(
            "a migration is about deals that are not there",
        ));
    }
    for fate in fates {
        match fate.outcome {
            DealOutcome::Moved => moved += 1,
            _ => skipped += 1,
        }
    }
    count(tx, ctx, migration, moved, skipped).await?;
    Ok(Chunk {
        pipeline_id: row.pipeline_id,
        done: moved + skipped,
        total: row.planned,
        result: None,
    })
}

fn ended(row: &MigrationRow, moved: i32, skipped: i32) -> Chunk {
    Chunk {
        pipeline_id: row.pipeline_id,
        done: moved + skipped,
        total: row.planned,
        result: Some(json!({ "migration_id": row.id, "moved": moved, "skipped": skipped })),
    }
}

/// Locks, plans and moves these deals.
async fn migrate(tx: &mut Tx, ctx: &Ctx, row: &MigrationRow, deals: &[Uuid]) -> AppResult<Vec<Fate>> {
    queries::lock_deals(tx, ctx.tenant, deals).await?;
    let (course, terms) = of_row(&mut &**tx, ctx, row).await?;
    let needs = facts::needs_of(course.definitions());
    let found = facts::read(&mut &**tx, ctx, deals, &needs).await?;
    let mut done = Done::default();
    for deal in &found {
        done.take(ctx, row, &course, &terms, deal)?;
    }
    let reason = "The opportunity went to a version of its pipeline that does not ask for this";
    approvals::withdraw(tx, ctx, &done.withdrawn, reason).await?;
    let mut dropped = writing::drop_answers(tx, ctx, &done.dropped).await?;
    writing::copy_answers(tx, ctx, &done.copied).await?;
    writing::move_all(tx, ctx, done.going).await?;
    let mut fates = done.fates;
    for fate in &mut fates {
        if let Some(rows) = dropped.remove(&fate.opportunity_id) {
            fate.dropped = rows;
        }
    }
    writing::note_fates(tx, ctx, row.id, &fates).await?;
    Ok(fates)
}

/// What is to be written for a chunk.
#[derive(Default)]
struct Done<'a> {
    going: Vec<Going<'a>>,
    fates: Vec<Fate>,
    withdrawn: Vec<Uuid>,
    dropped: Vec<writing::Dropped>,
    copied: Vec<Copied>,
}

impl<'a> Done<'a> {
    fn take(
        &mut self,
        ctx: &'a Ctx,
        row: &MigrationRow,
        course: &Course,
        terms: &Terms,
        deal: &'a DealFacts,
    ) -> AppResult<()> {
        let head = &deal.head;
        let mut fate = Fate {
            opportunity_id: head.id,
            outcome: DealOutcome::Skipped,
            why: None,
            plan: None,
            transition_id: None,
            left: None,
            dropped: json!([]),
        };
        fate.why = match head.status()? {
            Status::Won | Status::Lost => Some(Why::Closed),
            Status::Open if deal.is_archived() => Some(Why::Archived),
            Status::Open if course.left(head.pipeline_version_id).is_none() => Some(Why::OnOtherVersion),
            Status::Open => None,
        };
        if fate.why.is_none() {
            let planned = deal.planned(ctx, course, terms)?;
            fate.plan = Some(serde_json::to_value(&planned.view).map_err(AppError::internal)?);
            match planned.plan {
                None => fate.why = Some(Why::StageNotMapped),
                Some(plan) => {
                    fate.outcome = DealOutcome::Moved;
                    self.go(ctx, row, &mut fate, deal, plan, planned.before.to_evidence());
                }
            }
        }
        self.fates.push(fate);
        Ok(())
    }

    fn go(
        &mut self,
        ctx: &'a Ctx,
        row: &MigrationRow,
        fate: &mut Fate,
        deal: &'a DealFacts,
        plan: Plan,
        evidence: Value,
    ) {
        let head = &deal.head;
        let transition_id = Uuid::now_v7();
        fate.transition_id = Some(transition_id);
        fate.left = Some((
            head.pipeline_version_id,
            head.stage_id,
            head.visit_id,
            head.stage_entered_at,
        ));
        let (visit_id, entered_at) = match plan.visit {
            Visit::Kept => (head.visit_id, head.stage_entered_at),
            Visit::Begun => (transition_id, ctx.now),
        };
        match plan.visit {
            Visit::Kept => {
                let dropped = plan
                    .dropped
                    .iter()
                    .map(|(criterion, _)| (head.visit_id, *criterion));
                self.dropped.extend(dropped);
            }
            Visit::Begun => self.copied.extend(plan.carried.iter().map(|carried| Copied {
                from_visit: head.visit_id,
                from_criterion: carried.from,
                to_visit: transition_id,
                to_criterion: carried.to,
            })),
        }
        self.withdrawn.extend(&plan.withdrawn);
        self.going.push(Going {
            ctx,
            kind: MoveKind::Migrate,
            head,
            before: &deal.record,
            version: deal.version,
            transition_id,
            to_version_id: row.to_version_id,
            to_stage_id: plan.to_stage_id,
            visit_id,
            entered_at,
            reason: row.reason.clone(),
            evidence,
            more: told(row.id, &plan),
        });
    }
}

/// What the event of a move says beside the move.
fn told(migration: Uuid, plan: &Plan) -> Map<String, Value> {
    let carried = plan.carried.iter().map(|carried| &carried.key);
    let dropped = plan.dropped.iter().map(|(_, key)| key);
    let about = json!({
        "id": migration,
        "visit": match plan.visit { Visit::Kept => "kept", Visit::Begun => "begun" },
        "answers_carried": carried.collect::<Vec<_>>(),
        "answers_dropped": dropped.collect::<Vec<_>>(),
        "approvals_withdrawn": plan.withdrawn,
        "grants_lost": plan.lost,
    });
    Map::from_iter([("migration".to_owned(), about)])
}

async fn count(tx: &mut Tx, ctx: &Ctx, migration: Uuid, moved: i32, skipped: i32) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(migration));
    let moved = sql.place(Bind::Int(moved));
    let skipped = sql.place(Bind::Int(skipped));
    let now = sql.place(Bind::Instant(ctx.now));
    sql.push(&format!(
        "UPDATE pipeline_migrations SET moved = {moved}, skipped = {skipped}, version = version + 1, updated_at = {now} \
         WHERE tenant_id = $1 AND id = {id}"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}
