//! Looking at what would become of files, importing them, and the errors as a file.

use super::brought::Brought;
use super::draft::Draft;
use super::files;
use super::import::{headings, kind_of, layout, trial};
use super::options::ImportOptions;
use super::plan::Plan;
use super::text::{self, Headings};
use super::{csv_out, lookup, told};
use crate::jobs;
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::problem::Code;
use crate::platform::db::{Db, Tx};
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::custom;
use crate::platform::reply::Reply;
use actix_web::{HttpResponse, get, post, web};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Rows that a preview shows.
const SHOWN: usize = 5;

/// What would become of a file.
#[derive(Serialize, ToSchema)]
pub struct ImportPreview {
    #[schema(example = "UTF-8")]
    pub encoding: String,
    /// Each heading of the file, in order, with what it says.
    pub columns: Vec<ImportPreviewColumn>,
    /// The first rows as they would be.
    pub rows: Vec<ImportPreviewRow>,
    /// What an import with these options would be refused for.
    pub faults: Vec<ImportPreviewFault>,
    /// Everything that a column can say.
    #[schema(example = json!(["name", "industry", "external_id"]))]
    pub targets: Vec<String>,
}

/// A column of a file.
#[derive(Serialize, ToSchema)]
pub struct ImportPreviewColumn {
    #[schema(example = "所属行业")]
    pub heading: String,
    /// What it says; null: it is left out.
    #[schema(example = "industry")]
    pub target: Option<String>,
    /// What else it could say: name the heading in `mapping` where that is meant.
    #[schema(example = json!([]))]
    pub alternatives: Vec<String>,
}

/// A row of a file as it would be.
#[derive(Serialize, ToSchema)]
pub struct ImportPreviewRow {
    /// As a spreadsheet counts, blank rows too: the headings are row 1 when nothing stands above them. In NDJSON the line.
    #[schema(minimum = 1, example = 2)]
    pub row: i64,
    /// The members of the record.
    #[schema(value_type = Object, example = json!({ "name": "科技有限公司", "industry": "信息技术" }))]
    pub members: Map<String, Value>,
    /// What the import would refuse it for.
    pub faults: Vec<ImportPreviewFault>,
    /// Of what it would warn, and take it.
    pub warnings: Vec<ImportPreviewFault>,
}

/// A fault in the options or in a row, or a warning of it.
#[derive(Serialize, ToSchema)]
pub struct ImportPreviewFault {
    #[schema(example = "/next_follow_up_on")]
    pub pointer: String,
    #[schema(example = "wrong_format")]
    pub code: String,
    #[schema(example = "is no day of the declared form")]
    pub message: String,
}

/// What would become of a file
///
/// How it was recognised, what each heading says, and the first rows as they would be, with all that the import would say of
/// them: they are brought in for real and taken back. Nothing is stored. A row may name another of those shown; one further
/// down is told as not found, though the import will find it. Where the options themselves are at fault, rows are only read.
/// Send the same options to `POST /v1/imports` when you agree.
#[utoipa::path(tag = "jobs", operation_id = "preview_import", security(("bearer" = [])), request_body = ImportOptions, responses((status = 200, body = ImportPreview)))]
#[post("/v1/imports/preview")]
pub async fn preview_import(db: web::Data<Db>, command: Command<ImportOptions>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    ctx.require(&input.resource.resource().write_permission())?;
    // As the job would do it, and with nothing to be answered again.
    let ctx = Ctx {
        actor_kind: ActorKind::Job,
        idempotency: None,
        ..ctx
    };
    db.write(&ctx, async |tx| {
        let preview = look(tx, &ctx, input.clone()).await?;
        Reply::ok(&preview)
    })
    .await
}

async fn look(tx: &mut Tx, ctx: &Ctx, options: ImportOptions) -> AppResult<ImportPreview> {
    let conn = &mut &**tx;
    let subject = options.resource;
    let file = files::find(conn, ctx, "import", options.file_id).await?;
    let (layout, came_in) = (layout(&file), file.encoding.clone());
    let Headings { names, next, row } = headings(conn, ctx.tenant, &file, &layout).await?;
    let definitions = custom::definitions(conn, ctx.tenant, subject.resource().singular).await?;
    let fields = definitions
        .iter()
        .map(|field| format!("custom.{}", field.key))
        .collect::<Vec<_>>();
    let (plan, faults) = Plan::new(options, &names, definitions);
    let rest = files::window(conn, ctx.tenant, &file, next).await?;
    let found = text::rows(&layout, &rest, &names, row, SHOWN)?;
    let mut drafts = found
        .rows
        .into_iter()
        .map(|row| plan.draft(row))
        .collect::<Vec<_>>();
    lookup::resolve(conn, ctx, &plan, &mut drafts).await?;
    let said = match faults.is_empty() {
        true => tried(tx, ctx, &plan, &mut drafts).await?,
        false => drafts
            .iter()
            .map(|draft| (draft.faults.clone(), Vec::new()))
            .collect(),
    };
    let told = |faults: Vec<Fault>| {
        faults
            .iter()
            .map(|fault| in_words(ctx, fault))
            .collect::<Vec<_>>()
    };
    let columns = names.iter().map(|heading| ImportPreviewColumn {
        heading: heading.clone(),
        target: plan.target(heading).map(str::to_owned),
        alternatives: plan.alternatives(heading),
    });
    let rows = drafts
        .iter()
        .zip(said)
        .map(|(draft, (faults, warnings))| ImportPreviewRow {
            row: draft.row.number,
            members: shown(&plan, draft),
            faults: told(faults),
            warnings: told(warnings),
        });
    Ok(ImportPreview {
        encoding: came_in.unwrap_or_else(|| layout.encoding.name().to_owned()),
        columns: columns.collect(),
        rows: rows.collect(),
        faults: told(faults),
        targets: subject
            .targets()
            .into_iter()
            .map(str::to_owned)
            .chain(fields)
            .collect(),
    })
}

/// What the import would say of some rows: their faults, and what it would warn of.
async fn tried(
    tx: &mut Tx,
    ctx: &Ctx,
    plan: &Plan,
    drafts: &mut [Draft],
) -> AppResult<Vec<(Vec<Fault>, Vec<Warning>)>> {
    let mut brought = Brought::default();
    for draft in drafts.iter() {
        brought.note(plan, draft);
    }
    brought.excuse(drafts);
    let outcomes = trial(tx, ctx, plan, drafts).await?;
    let said = outcomes.into_iter().map(|outcome| match outcome {
        Ok(done) => (Vec::new(), done.warnings),
        Err(refusal) => (told::faults(&refusal), Vec::new()),
    });
    Ok(said.collect())
}

/// The members of a draft, and what it says beside them; days as they would be entered.
fn shown(plan: &Plan, draft: &Draft) -> Map<String, Value> {
    let mut members = draft.members.clone();
    members.retain(|_, value| !value.is_null());
    for (name, text) in &draft.extras {
        let day = plan.day(text).filter(|_| name.ends_with("_on"));
        let value = day.map_or_else(|| json!(text), |day| json!(day));
        members.insert(name.clone(), value);
    }
    members
}

fn in_words(ctx: &Ctx, fault: &Fault) -> ImportPreviewFault {
    ImportPreviewFault {
        pointer: fault.pointer.clone(),
        code: fault.code.to_owned(),
        message: fault.message.in_lang(ctx.lang).to_owned(),
    }
}

/// Import a file
///
/// Answers 202 with the job that does it: row by row, by the same rules, with the same rights and scope as through the
/// API. Faulty rows are noted and left out, or the first one stops it. With `mode: upsert` a row whose external id is known
/// changes that record, so that the same file twice makes nothing twice. `dry_run` goes through all rows and keeps
/// only the errors. What opportunities had behind them elsewhere (`stage`, `entered_on`, `closed_on`) is marked for ever as
/// brought in, and needs `opportunity.import`. A row's reference to a row further down is found.
///
/// The job's `result` counts `created`, `updated`, `unchanged` and `failed` rows, and those taken with a warning (`warned`),
/// and names up to a hundred columns that were read as nothing (`ignored_columns`). Warnings stand among the job's errors,
/// with `severity` `warning` and their code (`possible_duplicate`, `phone_not_readable`).
#[utoipa::path(tag = "jobs", operation_id = "create_import", security(("bearer" = [])), request_body = ImportOptions, responses((status = 202, description = "The job; its path stands in Location.", body = jobs::JobView)))]
#[post("/v1/imports")]
pub async fn create_import(db: web::Data<Db>, command: Command<ImportOptions>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    ctx.require(&input.resource.resource().write_permission())?;
    db.write(&ctx, async |tx| {
        let conn = &mut &**tx;
        let file = files::find(conn, &ctx, "import", input.file_id).await;
        let file = file.map_err(|error| match error.code() {
            Code::NotFound => AppError::invalid(vec![Fault::not_found("/file_id")]),
            _ => error,
        })?;
        let layout = layout(&file);
        let Headings { names, .. } = headings(conn, ctx.tenant, &file, &layout).await?;
        let definitions = custom::definitions(conn, ctx.tenant, input.resource.resource().singular).await?;
        let (plan, faults) = Plan::new(input.clone(), &names, definitions);
        if !faults.is_empty() {
            return Err(AppError::invalid(faults));
        }
        if ["stage", "entered_on", "closed_on"]
            .iter()
            .any(|target| plan.has(target))
        {
            ctx.require("opportunity.import")?;
        }
        let params = serde_json::to_value(&plan.options).map_err(AppError::internal)?;
        jobs::enqueue(tx, &ctx, kind_of(input.resource), params, None)
            .await?
            .accepted()
    })
    .await
}

/// The errors of an import as a file
///
/// Warnings among them, known by their `severity`. CSV in UTF-8: row, heading, value, code, message in English and Chinese, the row as it came and `error` or `warning`, ready to be corrected and
/// sent in again. Cells that a spreadsheet would take for a formula are made harmless.
#[utoipa::path(tag = "jobs", operation_id = "download_import_errors", security(("bearer" = [])), responses((status = 200, body = String, content_type = "text/csv", description = "The errors.", example = json!("row,heading,value,code,message,message_zh,original,severity\r\n"))))]
#[get("/v1/imports/{id}/errors.csv")]
pub async fn download_import_errors(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<HttpResponse> {
    jobs::require_visible(&db, &ctx, id.0).await?;
    let stream = csv_out::errors(db, ctx.tenant, id.0);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("content-disposition", "attachment; filename=\"errors.csv\""))
        .streaming(stream))
}
