//! Commands on pipelines and their versions. A version is a draft, then published for good, then retired; a pipeline has
//! at most one draft and at most one published version.

use super::definition::PipelineDocument;
use super::queries::{self, Version};
use super::resources::PIPELINE;
use super::templates;
use super::vocabulary::{Known, Subjects};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::events::{Event, to_hex};
use crate::platform::records::store::For;
use crate::platform::records::versions;
use diesel_async::AsyncPgConnection;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

pub use super::runtime::{Definition, Stage, definition};

/// The version that a new deal enters: the published one of this pipeline, or of the company's default pipeline.
///
/// # Errors
/// `invalid` at `/pipeline_id` when there is no such pipeline, no default one, or nothing of it is published.
pub async fn published(
    conn: &mut &AsyncPgConnection,
    subjects: &Subjects,
    tenant: Uuid,
    pipeline: Option<Uuid>,
) -> AppResult<Arc<Definition>> {
    let at = "/pipeline_id";
    let found = queries::entrance(conn, tenant, pipeline).await?;
    let entrance = match (found, pipeline) {
        (Some(entrance), _) => entrance,
        (None, Some(_)) => return Err(AppError::invalid(vec![Fault::not_found(at)])),
        (None, None) => {
            let reason = say(
                "is required, since the company has no default pipeline",
                "为必填项：企业没有默认销售流程",
            );
            return Err(AppError::invalid(vec![Fault::new(at, "required", reason)]));
        }
    };
    let version = entrance.published_version_id.ok_or_else(|| {
        let reason = say(
            "names a pipeline of which no version is published",
            "该销售流程尚无已发布的版本",
        );
        AppError::invalid(vec![Fault::new(at, "not_published", reason)])
    })?;
    definition(conn, subjects, tenant, version).await
}

/// Makes a pipeline whose first version is a draft of this document. The company's first pipeline becomes its default.
///
/// # Errors
/// `duplicate` when the company has a pipeline of that key; `at` is the member of the body that gave it.
pub async fn create(tx: &mut Tx, ctx: &Ctx, document: &PipelineDocument, at: &str) -> AppResult<Version> {
    ctx.require("pipeline.write")?;
    if queries::has_key(tx, ctx.tenant, &document.key).await? {
        let detail = say(
            format!("There is a pipeline with the key {} already", document.key),
            format!("标识为 {} 的销售流程已存在", document.key),
        );
        return Err(AppError::refuse(Code::Duplicate, detail).with_faults(vec![Fault::duplicate(at)]));
    }
    let id = Uuid::now_v7();
    let is_default = queries::insert_pipeline(tx, ctx, id, document).await?;
    tx.record(Event::new(
        "pipeline.created",
        "pipeline",
        id,
        json!({ "key": document.key, "name": document.name, "is_default": is_default }),
    ));
    add_draft(tx, ctx, id, document).await
}

/// Makes a pipeline from a shipped template.
///
/// # Errors
/// `invalid` at `/template` for an unknown key; `duplicate` when the company has a pipeline of its key already.
pub async fn create_from_template(tx: &mut Tx, ctx: &Ctx, key: &str) -> AppResult<Version> {
    let at = "/template";
    let template = templates::template(key).map_err(|_| AppError::invalid(vec![Fault::not_found(at)]))?;
    create(tx, ctx, &template.document, at).await
}

/// Makes the next draft of a pipeline: this document, or a copy of the version of that number, or of the published one.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`; `conflict` when there is a draft already; `invalid` when the document bears
/// another key or there is no version to copy.
pub async fn new_draft(
    tx: &mut Tx,
    ctx: &Ctx,
    pipeline: Uuid,
    document: Option<PipelineDocument>,
    from_number: Option<i32>,
) -> AppResult<Version> {
    let key = versions::lock_head(tx, ctx, &PIPELINE, pipeline, For::Write).await?;
    let conn = &mut &**tx;
    let draft = queries::version_in(conn, ctx.tenant, pipeline, "draft").await?;
    versions::require_no_draft(draft.map(|draft| draft.number))?;
    let document = match (document, from_number) {
        (Some(document), _) => document,
        (None, Some(number)) => queries::version(conn, ctx.tenant, pipeline, number)
            .await?
            .ok_or_else(|| AppError::invalid(vec![Fault::not_found("/from_number")]))?
            .document()?,
        (None, None) => queries::version_in(conn, ctx.tenant, pipeline, "published")
            .await?
            .ok_or_else(|| AppError::invalid(vec![Fault::required("/from_number")]))?
            .document()?,
    };
    versions::require_key(&key, &document.key)?;
    let draft = add_draft(tx, ctx, pipeline, &document).await?;
    versions::show_draft(tx, ctx, &PIPELINE, pipeline, draft.number).await?;
    Ok(draft)
}

/// Replaces the document of a draft.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`, `stale`; `version_published` when it is no draft; `invalid` when the document
/// bears another key.
pub async fn edit(
    tx: &mut Tx,
    ctx: &Ctx,
    pipeline: Uuid,
    number: i32,
    document: &PipelineDocument,
) -> AppResult<Version> {
    let key = versions::lock_head(tx, ctx, &PIPELINE, pipeline, For::Write).await?;
    let draft = draft(tx, ctx, pipeline, number).await?;
    versions::require_key(&key, &document.key)?;
    let edited = queries::update_draft(tx, ctx, draft.id, document).await?;
    let hashes = json!({ "before": to_hex(&draft.document_hash), "after": to_hex(&edited.document_hash) });
    let changes = json!({ "number": number, "changes": { "document_hash": hashes } });
    tx.record(
        Event::new("pipeline_version.updated", "pipeline_version", edited.id, changes)
            .and_on("pipeline", Some(pipeline)),
    );
    Ok(edited)
}

/// Publishes a draft: from now on it never changes, new deals enter it, and the version published before is retired.
/// Stages and criteria get ids by their keys, the same through all versions of the pipeline.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`, `stale`; `version_published` when it is no draft; `not_publishable` with every
/// fault of the document.
pub async fn publish(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: &Subjects,
    pipeline: Uuid,
    number: i32,
) -> AppResult<(Version, Vec<Warning>)> {
    versions::lock_head(tx, ctx, &PIPELINE, pipeline, For::Action("pipeline.publish")).await?;
    let draft = draft(tx, ctx, pipeline, number).await?;
    let document = draft.document()?;
    Known::hold(tx, subjects, ctx.tenant).await?;
    let known = Known::load(&mut &**tx, subjects, ctx.tenant).await?;
    let faults = document.faults(&known);
    if !faults.is_empty() {
        return Err(not_publishable(faults));
    }
    let contents =
        queries::approved_contents(&mut &**tx, ctx.tenant, known.processes.iter().cloned()).await?;
    let warnings = document.reservations(&known, &contents);
    let retired = queries::retire(tx, ctx, pipeline).await?;
    lay_out(tx, ctx, pipeline, draft.id, &document).await?;
    let version = queries::mark_published(tx, ctx, draft.id).await?;
    queries::point_pipeline(tx, ctx, pipeline, &document, version.id).await?;
    let before = retired.as_ref().map(|retired| retired.id);
    if let Some(retired) = retired {
        tx.record(
            Event::new(
                "pipeline_version.retired",
                "pipeline_version",
                retired.id,
                json!({ "number": retired.number }),
            )
            .and_on("pipeline", Some(pipeline)),
        );
    }
    let hash = to_hex(&version.document_hash);
    tx.record(
        Event::new(
            "pipeline_version.published",
            "pipeline_version",
            version.id,
            json!({ "number": number, "document_hash": hash }),
        )
        .and_on("pipeline", Some(pipeline)),
    );
    let pointed = json!({ "before": before, "after": version.id });
    tx.record(Event::new(
        "pipeline.published",
        "pipeline",
        pipeline,
        json!({ "number": number, "changes": { "published_version_id": pointed } }),
    ));
    Ok((version, warnings))
}

/// Everything that keeps a version's document from being published in this company as it is now.
///
/// # Errors
/// Database errors.
pub async fn faults(
    conn: &mut &AsyncPgConnection,
    subjects: &Subjects,
    tenant: Uuid,
    document: &PipelineDocument,
) -> AppResult<Vec<Fault>> {
    Ok(document.faults(&Known::load(conn, subjects, tenant).await?))
}

fn not_publishable(faults: Vec<Fault>) -> AppError {
    let count = faults.len();
    let detail = say(
        format!("{count} fault(s) in the draft; nothing was changed"),
        format!("草稿有 {count} 处错误，未作任何更改"),
    );
    AppError::refuse(Code::NotPublishable, detail).with_faults(faults)
}

/// The draft of that number, as the caller knows it; its pipeline is locked.
async fn draft(tx: &mut Tx, ctx: &Ctx, pipeline: Uuid, number: i32) -> AppResult<Version> {
    let version = queries::version(&mut &**tx, ctx.tenant, pipeline, number)
        .await?
        .or_not_found()?;
    ctx.if_match(version.version)?;
    versions::require_draft(number, &version.state)?;
    Ok(version)
}

async fn add_draft(
    tx: &mut Tx,
    ctx: &Ctx,
    pipeline: Uuid,
    document: &PipelineDocument,
) -> AppResult<Version> {
    let draft = queries::insert_draft(tx, ctx, pipeline, document).await?;
    let hash = to_hex(&draft.document_hash);
    tx.record(
        Event::new(
            "pipeline_version.created",
            "pipeline_version",
            draft.id,
            json!({ "number": draft.number, "document_hash": hash }),
        )
        .and_on("pipeline", Some(pipeline)),
    );
    Ok(draft)
}

/// Writes the stages and criteria of a version under their lasting ids.
async fn lay_out(
    tx: &mut Tx,
    ctx: &Ctx,
    pipeline: Uuid,
    version: Uuid,
    document: &PipelineDocument,
) -> AppResult<()> {
    let keys = document.stages.iter().map(|stage| stage.key.as_str());
    let known = queries::stage_ids(tx, ctx, pipeline, keys.collect()).await?;
    let ids = document
        .stages
        .iter()
        .map(|stage| known.get(&stage.key).copied())
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| AppError::internal("a stage got no id"))?;
    let criteria = document.stages.iter().zip(&ids).flat_map(|(stage, id)| {
        let criteria = stage.criteria().into_iter();
        criteria.map(|criterion| (*id, criterion.key))
    });
    queries::insert_criteria(tx, ctx, &criteria.collect::<Vec<_>>()).await?;
    queries::insert_version_stages(tx, ctx, version, document, &ids).await
}
