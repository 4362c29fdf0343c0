//! Scoring models over HTTP, beside what their declaration gives.

use super::document::ScoringDocument;
use super::resources::{SCORING_MODEL, SCORING_VERSION};
use super::versions::{self, Version};
use super::wire::{
    EditedScoringVersion, NewScoringModel, NewScoringVersion, ScoringModelTemplate, ScoringModelTemplatePage,
    ScoringModelVersion, ScoringModelVersionPage,
};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::http as records;
use crate::platform::records::store;
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, post, put, web};
use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(create_scoring_model)
        .service(list_scoring_model_templates)
        .service(list_scoring_model_versions)
        .service(get_scoring_model_version)
        .service(create_scoring_model_version)
        .service(replace_scoring_model_version)
        .service(publish_scoring_model_version);
}

const TEMPLATES: [(&str, &str); 1] = [("b2b", include_str!("templates/b2b.json"))];

fn read(text: &str) -> AppResult<ScoringDocument> {
    serde_json::from_str(text).map_err(AppError::internal)
}

/// The version number in the path. What is no number is not there.
pub(super) fn number(request: &HttpRequest) -> AppResult<i32> {
    let text = request.match_info().get("number").unwrap_or_default();
    let number = text.parse::<i32>().ok().filter(|number| *number > 0);
    number.or_not_found()
}

fn reply(status: u16, version: &Version) -> AppResult<Reply> {
    Ok(Reply::json(status, &ScoringModelVersion::of(version)?)?.with_version(version.version))
}

/// Makes a scoring model
///
/// From a document or a shipped template; version 1 is then a draft. Conditions are checked when it is saved, all faults
/// at once.
#[utoipa::path(tag = "scoring", operation_id = "create_scoring_model", security(("bearer" = ["scoring.write"])), request_body = NewScoringModel,
    responses((status = 201, description = "Made", body = ref("#/components/schemas/ScoringModel"))))]
#[post("/v1/scoring-models")]
async fn create_scoring_model(db: web::Data<Db>, command: Command<NewScoringModel>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let (document, at) = match (&input.document, &input.template) {
        (Some(document), None) => (document.clone(), "/document"),
        (None, Some(template)) => {
            let known = TEMPLATES.iter().find(|(key, _)| key == template);
            let unknown = || AppError::invalid(vec![Fault::not_found("/template")]);
            (read(known.ok_or_else(unknown)?.1)?, "")
        }
        (None, None) => return Err(AppError::invalid(vec![Fault::required("/document")])),
        (Some(_), Some(_)) => {
            return Err(AppError::invalid(vec![Fault::invalid(
                "/template",
                "cannot be given beside document",
                "不能与 document 同时提供",
            )]));
        }
    };
    db.write(&ctx, async |tx| {
        let version = versions::create(tx, &ctx, &document, at).await?;
        let row = store::find(&mut &**tx, &ctx, &SCORING_MODEL, version.model_id, None).await?;
        Ok(Reply::raw(201, row.doc)
            .with_version(row.version)
            .with_location(format!("/v1/scoring-models/{}", version.model_id)))
    })
    .await
}

/// Lists the shipped scoring models
///
/// The templates that a company can start from, with their documents.
#[utoipa::path(tag = "scoring", operation_id = "list_scoring_model_templates", security(("bearer" = ["scoring.read"])),
    responses((status = 200, description = "The templates", body = ScoringModelTemplatePage)))]
#[get("/v1/scoring-model-templates")]
async fn list_scoring_model_templates() -> AppResult<Reply> {
    let data = TEMPLATES.iter().map(|(key, text)| {
        Ok(ScoringModelTemplate {
            key,
            document: read(text)?,
        })
    });
    Ok(Reply::ok(&ScoringModelTemplatePage {
        data: data.collect::<AppResult<_>>()?,
        next_cursor: None,
    })?
    .with_weak_tag())
}

/// Lists the versions of a scoring model
///
/// Newest first, without their documents.
#[utoipa::path(tag = "scoring", operation_id = "list_scoring_model_versions", security(("bearer" = ["scoring.read"])),
    params(
        ("limit" = Option<i64>, Query, description = "Most entries of the page.", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("sort" = Option<String>, Query, description = "Order: `number`, `created_at` or `updated_at`, `-` before it for descending.", pattern = "^-?(number|created_at|updated_at)$", example = "-number"),
        ("with_total" = Option<bool>, Query, description = "Whether to count all entries.", example = false),
        ("state" = Option<super::wire::ScoringVersionState>, Query, description = "Only those in this state.", example = "retired"),
    ),
    responses((status = 200, description = "A page", body = ScoringModelVersionPage)))]
#[get("/v1/scoring-models/{id}/versions")]
async fn list_scoring_model_versions(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    records::list(&SCORING_VERSION, request, db, shared, ctx).await
}

/// Reads a version of a scoring model
///
/// With its document.
#[utoipa::path(tag = "scoring", operation_id = "get_scoring_model_version", security(("bearer" = ["scoring.read"])),
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "The version", body = ScoringModelVersion)))]
#[get("/v1/scoring-models/{id}/versions/{number}")]
async fn get_scoring_model_version(
    request: HttpRequest,
    db: web::Data<Db>,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let number = number(&request)?;
    let version = db
        .read(async |conn| versions::version(conn, ctx.tenant, id.0, number).await)
        .await?
        .or_not_found()?;
    reply(200, &version)
}

/// Makes a draft version of a scoring model
///
/// From a document, or as a copy of a version, by default of the newest. A model has one draft at a time. Conditions are
/// checked when it is saved, all faults at once.
#[utoipa::path(tag = "scoring", operation_id = "create_scoring_model_version", security(("bearer" = ["scoring.write"])), request_body = NewScoringVersion,
    responses((status = 201, description = "Made", body = ScoringModelVersion)))]
#[post("/v1/scoring-models/{id}/versions")]
async fn create_scoring_model_version(
    db: web::Data<Db>,
    id: Id,
    command: Command<NewScoringVersion>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    if input.document.is_some() && input.from_number.is_some() {
        return Err(AppError::invalid(vec![Fault::invalid(
            "/from_number",
            "cannot be given beside document",
            "不能与 document 同时提供",
        )]));
    }
    db.write(&ctx, async |tx| {
        let NewScoringVersion {
            document,
            from_number,
        } = input.clone();
        let draft = versions::new_draft(tx, &ctx, id.0, document, from_number).await?;
        let location = format!("/v1/scoring-models/{}/versions/{}", id.0, draft.number);
        Ok(reply(201, &draft)?.with_location(location))
    })
    .await
}

/// Replaces the document of a draft of a scoring model
///
/// Drafts only: a published version never changes. Conditions are checked when it is saved, all faults at once.
#[utoipa::path(tag = "scoring", operation_id = "replace_scoring_model_version", security(("bearer" = ["scoring.write"])), request_body = EditedScoringVersion,
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "The draft", body = ScoringModelVersion)))]
#[put("/v1/scoring-models/{id}/versions/{number}")]
async fn replace_scoring_model_version(
    request: HttpRequest,
    db: web::Data<Db>,
    id: Id,
    command: Command<EditedScoringVersion>,
) -> AppResult<Reply> {
    let number = number(&request)?;
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let draft = versions::edit(tx, &ctx, id.0, number, &input.document).await?;
        reply(200, &draft)
    })
    .await
}

/// Publishes a draft of a scoring model
///
/// It never changes from now on, leads are scored by it, and the version published before, of whichever model, is
/// retired: a company scores by one. Leads keep their scores until they change, or are scored anew.
#[utoipa::path(tag = "scoring", operation_id = "publish_scoring_model_version", security(("bearer" = ["scoring.publish"])),
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "The published version", body = ScoringModelVersion)))]
#[post("/v1/scoring-models/{id}/versions/{number}/publish")]
async fn publish_scoring_model_version(
    request: HttpRequest,
    db: web::Data<Db>,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let number = number(&request)?;
    db.write(&ctx, async |tx| {
        let version = versions::publish(tx, &ctx, id.0, number).await?;
        reply(200, &version)
    })
    .await
}
