//! Pipelines over HTTP, beside what their declaration gives.

use super::definition::PipelineDocument;
use super::queries::{self, Version};
use super::resources::{PIPELINE, VERSION};
use super::vocabulary::Subjects;
use super::wire::{
    Checked, EditedVersion, NewPipeline, NewVersion, PipelineTemplate, PipelineTemplatePage, PipelineVersion,
    PipelineVersionPage, told,
};
use super::{service, templates};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::platform::db::{Db, Tx};
use crate::platform::document;
use crate::platform::gatekeeper::{Command, Id, Shared, path_number};
use crate::platform::records::http as records;
use crate::platform::records::store;
use crate::platform::reply::{Reply, add_warnings};
use actix_web::{HttpRequest, get, post, put, web};
use diesel_async::AsyncPgConnection;
use serde_json::{Map, Value};
use utoipa::OpenApi;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// The commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(create_pipeline)
        .service(list_pipeline_templates)
        .service(list_pipeline_versions)
        .service(get_pipeline_version)
        .service(create_pipeline_version)
        .service(replace_pipeline_version)
        .service(check_pipeline_version)
        .service(publish_pipeline_version)
        .service(export_pipeline)
        .service(get_pipeline_schema);
}

type SharedSubjects = web::Data<Subjects>;

async fn find(conn: &mut &AsyncPgConnection, ctx: &Ctx, pipeline: Uuid, number: i32) -> AppResult<Version> {
    queries::version(conn, ctx.tenant, pipeline, number)
        .await?
        .or_not_found()
}

/// Makes a pipeline
///
/// From a document (an import) or a shipped template; version 1 is then a draft. The company's first pipeline becomes its
/// default. `warnings` names what keeps the draft from being published.
#[utoipa::path(tag = "pipelines", operation_id = "create_pipeline", security(("bearer" = ["pipeline.write"])), request_body = NewPipeline,
    responses((status = 201, description = "Made", body = ref("#/components/schemas/Pipeline"))))]
#[post("/v1/pipelines")]
async fn create_pipeline(
    db: web::Data<Db>,
    subjects: SharedSubjects,
    command: Command<NewPipeline>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let version = match (&input.document, &input.template) {
            (Some(document), None) => service::create(tx, &ctx, document, "/document/key").await?,
            (None, Some(template)) => service::create_from_template(tx, &ctx, template).await?,
            (None, None) => return Err(AppError::invalid(vec![Fault::required("/document")])),
            (Some(_), Some(_)) => return Err(either_or("/template", "document")),
        };
        let faults = faults(tx, &ctx, &subjects, &version).await?;
        let row = store::find(&mut &**tx, &ctx, &PIPELINE, version.pipeline_id, None).await?;
        let mut body: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
        add_warnings(&mut body, &faults, ctx.lang);
        let location = format!("/v1/pipelines/{}", version.pipeline_id);
        Ok(Reply::json(201, &body)?
            .with_version(row.version)
            .with_location(location))
    })
    .await
}

fn either_or(at: &str, other: &str) -> AppError {
    AppError::invalid(vec![Fault::invalid(
        at,
        format!("cannot be given beside {other}"),
        format!("不能与 {other} 同时提供"),
    )])
}

/// The faults of a draft, placed in its document.
async fn faults(tx: &mut Tx, ctx: &Ctx, subjects: &Subjects, version: &Version) -> AppResult<Vec<Fault>> {
    service::faults(&mut &**tx, subjects, ctx.tenant, &version.document()?).await
}

/// Lists the shipped pipelines
///
/// The templates that a company can start from, with their documents and the approval processes they name.
#[utoipa::path(tag = "pipelines", operation_id = "list_pipeline_templates", security(("bearer" = ["pipeline.read"])), responses((status = 200, description = "The templates", body = PipelineTemplatePage)))]
#[get("/v1/pipeline-templates")]
async fn list_pipeline_templates() -> AppResult<Reply> {
    let data = templates::templates()?.into_iter().map(PipelineTemplate::from);
    Ok(Reply::ok(&PipelineTemplatePage {
        data: data.collect(),
        next_cursor: None,
    })?
    .with_weak_tag())
}

/// Lists the versions of a pipeline
///
/// Newest first, without their documents.
#[utoipa::path(tag = "pipelines", operation_id = "list_pipeline_versions", security(("bearer" = ["pipeline.read"])),
    params(
        ("limit" = Option<i64>, Query, description = "Most entries of the page.", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("sort" = Option<String>, Query, description = "Order: `number`, `created_at` or `updated_at`, `-` before it for descending.", pattern = "^-?(number|created_at|updated_at)$", example = "-number"),
        ("with_total" = Option<bool>, Query, description = "Whether to count all entries.", example = false),
        ("state" = Option<super::wire::VersionState>, Query, description = "Only those in this state.", example = "retired"),
    ),
    responses((status = 200, description = "A page", body = PipelineVersionPage)))]
#[get("/v1/pipelines/{id}/versions")]
async fn list_pipeline_versions(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    records::list(&VERSION, request, db, shared, ctx).await
}

/// Reads a version of a pipeline
///
/// With its document. `expand=faults` adds what keeps a draft from being published just now.
#[utoipa::path(tag = "pipelines", operation_id = "get_pipeline_version", security(("bearer" = ["pipeline.read"])),
    params(
        ("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1),
        ("expand" = Option<String>, Query, description = "`faults`: add what keeps a draft from being published.", pattern = "^faults$", example = "faults"),
    ),
    responses((status = 200, description = "The version", body = PipelineVersion)))]
#[get("/v1/pipelines/{id}/versions/{number}")]
async fn get_pipeline_version(
    request: HttpRequest,
    db: web::Data<Db>,
    subjects: SharedSubjects,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let with_faults = !records::expand_among(&["faults"], &request)?.is_empty();
    let number = path_number(&request, "number")?;
    let version = db.read(async |conn| find(conn, &ctx, id.0, number).await).await?;
    let mut view = PipelineVersion::of(&version)?;
    if !with_faults {
        return Ok(Reply::ok(&view)?.with_version(version.version));
    }
    let faults = check(&db, &ctx, &subjects, &version).await?;
    view.faults = Some(told(&faults, ctx.lang));
    Ok(Reply::ok(&view)?.with_weak_tag())
}

/// What keeps a version from being published just now; what is published has passed.
async fn check(db: &Db, ctx: &Ctx, subjects: &Subjects, version: &Version) -> AppResult<Vec<Fault>> {
    if !version.is_draft() {
        return Ok(Vec::new());
    }
    let document = version.document()?;
    db.snapshot(async |conn| service::faults(&mut &*conn, subjects, ctx.tenant, &document).await)
        .await
}

/// Makes a draft version
///
/// From a document, or as a copy of a version, by default of the published one. A pipeline has one draft at a time.
/// `warnings` names what keeps it from being published.
#[utoipa::path(tag = "pipelines", operation_id = "create_pipeline_version", security(("bearer" = ["pipeline.write"])), request_body = NewVersion,
    responses((status = 201, description = "Made", body = PipelineVersion)))]
#[post("/v1/pipelines/{id}/versions")]
async fn create_pipeline_version(
    db: web::Data<Db>,
    subjects: SharedSubjects,
    id: Id,
    command: Command<NewVersion>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    if input.document.is_some() && input.from_number.is_some() {
        return Err(either_or("/from_number", "document"));
    }
    db.write(&ctx, async |tx| {
        let NewVersion {
            document,
            from_number,
        } = input.clone();
        let draft = service::new_draft(tx, &ctx, id.0, document, from_number).await?;
        let location = format!("/v1/pipelines/{}/versions/{}", id.0, draft.number);
        Ok(written(tx, &ctx, &subjects, 201, &draft)
            .await?
            .with_location(location))
    })
    .await
}

/// The answer to a write of a draft, with what keeps it from being published.
async fn written(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: &Subjects,
    status: u16,
    draft: &Version,
) -> AppResult<Reply> {
    let faults = faults(tx, ctx, subjects, draft).await?;
    let mut view = PipelineVersion::of(draft)?;
    view.warnings = Some(told(&faults, ctx.lang)).filter(|warnings| !warnings.is_empty());
    Ok(Reply::json(status, &view)?.with_version(draft.version))
}

/// Replaces a draft's document
///
/// Drafts only: a published version never changes. `warnings` names what keeps it from being published.
#[utoipa::path(tag = "pipelines", operation_id = "replace_pipeline_version", security(("bearer" = ["pipeline.write"])), request_body = EditedVersion,
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "The draft", body = PipelineVersion)))]
#[put("/v1/pipelines/{id}/versions/{number}")]
async fn replace_pipeline_version(
    request: HttpRequest,
    db: web::Data<Db>,
    subjects: SharedSubjects,
    id: Id,
    command: Command<EditedVersion>,
) -> AppResult<Reply> {
    let number = path_number(&request, "number")?;
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let draft = service::edit(tx, &ctx, id.0, number, &input.document).await?;
        written(tx, &ctx, &subjects, 200, &draft).await
    })
    .await
}

/// Checks a version
///
/// Names everything that keeps it from being published just now, with places in its document. Changes nothing.
#[utoipa::path(tag = "pipelines", operation_id = "check_pipeline_version", security(("bearer" = ["pipeline.read"])),
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "What was found", body = Checked)))]
#[post("/v1/pipelines/{id}/versions/{number}/check")]
async fn check_pipeline_version(
    request: HttpRequest,
    db: web::Data<Db>,
    subjects: SharedSubjects,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let number = path_number(&request, "number")?;
    let version = db.read(async |conn| find(conn, &ctx, id.0, number).await).await?;
    let faults = check(&db, &ctx, &subjects, &version).await?;
    Reply::ok(&Checked {
        is_publishable: version.is_draft() && faults.is_empty(),
        faults: told(&faults, ctx.lang),
    })
}

/// Publishes a draft version
///
/// It never changes from now on, new deals enter it, and the version published before is retired; deals in flight stay on
/// theirs. Refused with every fault of its document. `warnings` names approvals that are not bound to what the conditions of
/// their stage read: such a change leaves them as they are.
#[utoipa::path(tag = "pipelines", operation_id = "publish_pipeline_version", security(("bearer" = ["pipeline.publish"])),
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "The published version", body = PipelineVersion)))]
#[post("/v1/pipelines/{id}/versions/{number}/publish")]
async fn publish_pipeline_version(
    request: HttpRequest,
    db: web::Data<Db>,
    subjects: SharedSubjects,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let number = path_number(&request, "number")?;
    db.write(&ctx, async |tx| {
        let (version, warnings) = service::publish(tx, &ctx, &subjects, id.0, number).await?;
        let mut view = PipelineVersion::of(&version)?;
        view.warnings = Some(told(&warnings, ctx.lang)).filter(|warnings| !warnings.is_empty());
        Ok(Reply::ok(&view)?.with_version(version.version))
    })
    .await
}

/// Exports a pipeline
///
/// The document of its published version, of its draft while none is published; `POST /v1/pipelines` takes it elsewhere.
#[utoipa::path(tag = "pipelines", operation_id = "export_pipeline", security(("bearer" = ["pipeline.read"])),
    responses((status = 200, description = "The document", body = PipelineDocument)))]
#[get("/v1/pipelines/{id}/export")]
async fn export_pipeline(db: web::Data<Db>, id: Id, ctx: Ctx) -> AppResult<Reply> {
    let version = db
        .read(async |conn| queries::version_to_export(conn, ctx.tenant, id.0).await)
        .await?
        .or_not_found()?;
    Ok(Reply::ok(&version.document()?)?.with_weak_tag())
}

/// The schema of pipeline documents
///
/// JSON Schema (2020-12) of what is exported and imported; it stands by itself.
#[utoipa::path(tag = "reference", operation_id = "get_pipeline_schema", security(()),
    responses((status = 200, description = "The schema", body = Value, example = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "PipelineDocument", "type": "object" }))))]
#[get("/v1/schemas/pipeline")]
async fn get_pipeline_schema() -> AppResult<Reply> {
    #[derive(OpenApi)]
    #[openapi(components(schemas(PipelineDocument)))]
    struct Published;
    let schema = document::standalone(&Published::openapi(), "PipelineDocument")?;
    Ok(Reply::ok(&schema)?.with_weak_tag())
}
