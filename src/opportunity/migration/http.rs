//! Migrations over HTTP.

use super::listing::{self, DealParameters, Wanted};
use super::preview;
use super::queries::{self, NewMigration};
use super::resource::MIGRATION;
use super::roll_back::ROLL_BACK;
use super::run::MIGRATE;
use super::setting_out::{self, SettingOut};
use super::wire::{
    MigrateDeals, MigratedDealPage, MigrationPreview, PipelineMigration, PipelineMigrationPage,
};
use crate::event::window::Cursors;
use crate::jobs;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::pipeline::resources::PIPELINE;
use crate::platform::db::{Db, Tx};
use crate::platform::events::{Event, content_hash, to_hex};
use crate::platform::gatekeeper::{Command, Id, Shared, path_id};
use crate::platform::records::http as records;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, post, web};
use serde_json::json;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// The operations of migrations.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(preview_pipeline_migration)
        .service(create_pipeline_migration)
        .service(list_pipeline_migrations)
        .service(list_migrated_opportunities)
        .service(roll_back_pipeline_migration)
        .service(get_pipeline_migration);
}

/// Previews a migration of opportunities in flight
///
/// What it would mean for each open opportunity on the versions left: its stage, its visit, its ticks and answers, its
/// approvals, its probability and expected dwell, its gate. Changes nothing. `data` has those that you can see, the totals
/// (on the first page) are over all.
#[utoipa::path(tag = "pipelines", operation_id = "preview_pipeline_migration", security(("bearer" = ["pipeline.migrate"])), request_body = MigrateDeals,
    params(
        ("limit" = Option<i64>, Query, description = "Size of the page.", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before; good only for the same body.", min_length = 1),
    ),
    responses((status = 200, description = "What it would do", body = MigrationPreview)))]
#[post("/v1/pipelines/{id}/migrations/preview")]
async fn preview_pipeline_migration(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    id: Id,
    command: Command<MigrateDeals>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let wanted = Wanted::read(request.query_string(), "limit, cursor")?;
    let body = serde_json::to_value(&input).map_err(AppError::internal)?;
    let cursors = Cursors {
        secrets: &shared.auth.secrets,
        ctx: &ctx,
        path: request.path(),
        filters: &to_hex(&content_hash(&body)),
    };
    let after = wanted.cursor.as_ref();
    let after = after.map(|cursor| cursors.open::<Uuid>(cursor)).transpose()?;
    let view = db.snapshot(async |conn| {
        let conn = &mut &*conn;
        store::require_visible(conn, &ctx, &PIPELINE, id.0).await?;
        let out = setting_out::read(conn, &ctx, id.0, &input).await?;
        let from = after.unwrap_or_default();
        let (data, has_more) = preview::page(conn, &ctx, &out, from, wanted.limit).await?;
        let totals = match after {
            None => Some(preview::totals(conn, &ctx, &out).await?),
            Some(_) => None,
        };
        let last = data.last().filter(|_| has_more);
        Ok(MigrationPreview {
            from_versions: out.from_versions,
            to_version: out.course.to.number,
            stages: out.stages,
            total: out.total,
            totals,
            next_cursor: last.map(|last| cursors.sign(&last.opportunity_id.to_string())),
            data,
        })
    });
    Reply::ok(&view.await?)
}

/// Migrates opportunities in flight
///
/// Moves the open opportunities on the versions left to the published one, as a job: `Location` is the job. Which they are
/// is fixed now; each is planned anew when it is reached, under its lock. Mapped to the same stage an opportunity keeps its
/// visit, mapped to another it begins a new one. Of one pipeline, one migration or roll-back is under way at a time.
#[utoipa::path(tag = "pipelines", operation_id = "create_pipeline_migration", security(("bearer" = ["pipeline.migrate"])), request_body = MigrateDeals,
    responses((status = 202, description = "Under way; `Location` is the job", body = PipelineMigration)))]
#[post("/v1/pipelines/{id}/migrations")]
async fn create_pipeline_migration(
    db: web::Data<Db>,
    id: Id,
    command: Command<MigrateDeals>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        lock_pipeline(tx, &ctx, id.0).await?;
        let out = setting_out::read(&mut &**tx, &ctx, id.0, &input).await?;
        if out.total == 0 {
            return Err(AppError::refuse(
                Code::Conflict,
                say(
                    "No open opportunity is on a version that would be left",
                    "没有进行中的商机处于被迁出的版本",
                ),
            ));
        }
        let (migration, job) = start(tx, &ctx, id.0, &out).await?;
        accepted(tx, &ctx, id.0, migration, job).await
    })
    .await
}

/// Locks a pipeline of which nothing is under way.
async fn lock_pipeline(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<()> {
    let ctx_of_pipeline = Ctx {
        if_match: None,
        ..ctx.clone()
    };
    store::lock(
        tx,
        &ctx_of_pipeline,
        &PIPELINE,
        id,
        For::Action("pipeline.migrate"),
    )
    .await?;
    queries::stop_orphans(tx, ctx, id).await?;
    match queries::under_way(tx, ctx.tenant, id).await? {
        None => Ok(()),
        Some(other) => Err(AppError::refuse(
            Code::Conflict,
            say(
                "A migration of this pipeline, or its roll-back, is under way",
                "该销售流程的迁移或回滚正在进行",
            ),
        )
        .with("migration_id", json!(other))),
    }
}

async fn start(tx: &mut Tx, ctx: &Ctx, pipeline: Uuid, out: &SettingOut) -> AppResult<(Uuid, Uuid)> {
    let (id, job) = (Uuid::now_v7(), Uuid::now_v7());
    let new = NewMigration {
        id,
        pipeline_id: pipeline,
        from_version_ids: &out.from_version_ids,
        to_version_id: out.course.to.version_id,
        stages: &out.stages,
        answers: out.terms.answers,
        reason: out.terms.reason.as_deref(),
        job_id: job,
    };
    let planned = queries::insert(tx, ctx, &new).await?;
    let params = json!({ "migration_id": id });
    jobs::enqueue_as(tx, ctx, &MIGRATE, job, params, Some(i64::from(planned))).await?;
    let about = json!({
        "from_versions": out.from_versions, "to_version": out.course.to.number, "stages": out.stages,
        "answers": out.terms.answers, "reason": out.terms.reason, "planned": planned,
    });
    let event = Event::new("pipeline_migration.started", "pipeline_migration", id, about);
    tx.record(event.and_on("pipeline", Some(pipeline)));
    Ok((id, job))
}

/// 202 with the migration, and where its job is; of a dry run there is none.
async fn accepted(tx: &mut Tx, ctx: &Ctx, pipeline: Uuid, id: Uuid, job: Uuid) -> AppResult<Reply> {
    let row = store::find(&mut &**tx, ctx, &MIGRATION, id, Some(pipeline)).await?;
    let reply = Reply::raw(202, row.doc);
    Ok(match ctx.is_dry_run {
        true => reply,
        false => reply.with_location(format!("/v1/jobs/{job}")),
    })
}

/// Lists the migrations of a pipeline
///
/// Newest first.
#[utoipa::path(tag = "pipelines", operation_id = "list_pipeline_migrations", security(("bearer" = ["pipeline.read"])),
    params(
        ("limit" = Option<i64>, Query, description = "Most entries of the page.", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("sort" = Option<String>, Query, description = "Order: `created_at` or `updated_at`, `-` before it for descending.", pattern = "^-?(created_at|updated_at)$", example = "-created_at"),
        ("with_total" = Option<bool>, Query, description = "Whether to count all entries.", example = false),
    ),
    responses((status = 200, description = "A page", body = PipelineMigrationPage)))]
#[get("/v1/pipelines/{id}/migrations")]
async fn list_pipeline_migrations(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    records::list(&MIGRATION, request, db, shared, ctx).await
}

/// Reads a migration
///
/// Where it is, and what it came to so far.
#[utoipa::path(tag = "pipelines", operation_id = "get_pipeline_migration", security(("bearer" = ["pipeline.read"])),
    responses((status = 200, description = "The migration", body = PipelineMigration)))]
#[get("/v1/pipelines/{id}/migrations/{migration_id}")]
async fn get_pipeline_migration(
    request: HttpRequest,
    db: web::Data<Db>,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let migration = path_id(&request, "migration_id")?;
    let row = db
        .read(async |conn| store::find(conn, &ctx, &MIGRATION, migration, Some(id.0)).await)
        .await?;
    // Its state follows from its job too, so the version alone does not tell whether it changed.
    Ok(Reply::raw(200, row.doc).with_weak_tag())
}

/// Lists the opportunities of a migration
///
/// Those that you can see, in the order of their ids, each with what was planned for it and what became of it.
#[utoipa::path(tag = "pipelines", operation_id = "list_migrated_opportunities", security(("bearer" = ["pipeline.migrate"])), params(DealParameters),
    responses((status = 200, description = "A page", body = MigratedDealPage)))]
#[get("/v1/pipelines/{id}/migrations/{migration_id}/deals")]
async fn list_migrated_opportunities(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let migration = path_id(&request, "migration_id")?;
    listing::list(&request, &db, &shared, &ctx, id.0, migration).await
}

/// Rolls a migration back
///
/// As a job: `Location` is the job. Every opportunity that it moved goes back to its version, stage and visit, with the
/// ticks and answers that it had, by a move of its own; except those that have moved, been ticked or answered, asked about
/// or decided since, or are closed or archived: they stay, and are listed with the reason. Requests that the migration
/// withdrew stay withdrawn.
#[utoipa::path(tag = "pipelines", operation_id = "roll_back_pipeline_migration", security(("bearer" = ["pipeline.migrate"])),
    responses((status = 202, description = "Under way; `Location` is the job", body = PipelineMigration)))]
#[post("/v1/pipelines/{id}/migrations/{migration_id}/roll-back")]
async fn roll_back_pipeline_migration(
    request: HttpRequest,
    db: web::Data<Db>,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let migration = path_id(&request, "migration_id")?;
    db.write(&ctx, async |tx| {
        lock_pipeline(tx, &ctx, id.0).await?;
        let row = queries::lock(tx, ctx.tenant, migration, Some(id.0)).await?;
        ctx.if_match(row.version)?;
        if row.state == "rolled_back" {
            return Err(AppError::refuse(
                Code::Conflict,
                say("It was rolled back already", "该迁移已回滚"),
            ));
        }
        let job = Uuid::now_v7();
        queries::begin_roll_back(tx, &ctx, migration, job).await?;
        let params = json!({ "migration_id": migration });
        jobs::enqueue_as(tx, &ctx, &ROLL_BACK, job, params, Some(i64::from(row.moved))).await?;
        let event = Event::new(
            "pipeline_migration.roll_back_started",
            "pipeline_migration",
            migration,
            json!({}),
        );
        tx.record(event.and_on("pipeline", Some(id.0)));
        accepted(tx, &ctx, id.0, migration, job).await
    })
    .await
}
