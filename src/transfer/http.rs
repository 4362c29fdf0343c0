//! Sending files in, looking at what would become of them, importing them, and the errors as a file.

use super::files::{self, PIECE, Whole};
use super::import::{kind_of, layout};
use super::plan::{ImportOptions, Plan};
use super::text::{self, Sniffer};
use super::{csv_out, lookup, workbook};
use crate::jobs;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::custom;
use crate::platform::records::query::{bad_parameters, pairs};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use futures::StreamExt;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Rows that a preview shows.
const SHOWN: usize = 5;

/// The parameters of a file that is sent in.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what is read by hand")]
struct FileParameters {
    /// Its name, for whoever reads the list of imports later.
    #[param(max_length = 200, example = "客户信息收集表.xlsx")]
    name: Option<String>,
}

/// A file that was taken in.
#[derive(Serialize, ToSchema)]
pub struct ImportFile {
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub id: Uuid,
    #[schema(example = "客户信息收集表.xlsx")]
    pub name: String,
    /// How it is kept: `csv` or `ndjson`; of a workbook the first sheet is kept as `csv`.
    #[schema(example = "csv")]
    pub format: String,
    /// In which encoding its text was recognised to be.
    #[schema(example = "gb18030")]
    pub encoding: String,
    #[schema(minimum = 0, example = 730457)]
    pub size_bytes: i64,
}

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
}

/// A row of a file as it would be.
#[derive(Serialize, ToSchema)]
pub struct ImportPreviewRow {
    /// As a spreadsheet counts: the headings are row 1.
    #[schema(minimum = 1, example = 2)]
    pub row: i64,
    /// The members of the record.
    #[schema(value_type = Object, example = json!({ "name": "科技有限公司", "industry": "信息技术" }))]
    pub members: Map<String, Value>,
    pub faults: Vec<ImportPreviewFault>,
}

/// A fault in the options or in a row.
#[derive(Serialize, ToSchema)]
pub struct ImportPreviewFault {
    #[schema(example = "/next_follow_up_on")]
    pub pointer: String,
    #[schema(example = "wrong_format")]
    pub code: String,
    #[schema(example = "is no day of the declared form")]
    pub message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Csv,
    Ndjson,
    Workbook,
}

fn sent(request: &HttpRequest) -> AppResult<Sent> {
    let kind = request
        .headers()
        .get("content-type")
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match kind.as_str() {
        "text/csv" => Ok(Sent::Csv),
        "application/x-ndjson" | "application/jsonl" => Ok(Sent::Ndjson),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => Ok(Sent::Workbook),
        _ => Err(AppError::refuse(
            Code::UnsupportedMediaType,
            say(
                "Send text/csv, application/x-ndjson or an XLSX workbook, with its content type",
                "请以对应的内容类型发送 text/csv、application/x-ndjson 或 XLSX 工作簿",
            ),
        )),
    }
}

fn too_large(most: usize) -> AppError {
    let most = most / 1024 / 1024;
    AppError::refuse(
        Code::TooLarge,
        say(
            format!("The file is larger than {most} MiB"),
            format!("文件超过 {most} MiB"),
        ),
    )
}

/// Send in a file to import
///
/// The bytes as they are, with their content type: `text/csv` in any usual encoding (UTF-8, UTF-16 with a byte order mark,
/// GBK and GB 18030 are recognised), `application/x-ndjson`, or an XLSX workbook. It is kept for seven days and read only
/// by you: preview and import it by its id, as often as you like.
#[utoipa::path(tag = "jobs", operation_id = "create_import_file", params(FileParameters), security(("bearer" = [])),
    request_body(description = "The file.", content(
        (String = "text/csv", example = "客户名称,所属行业\n科技有限公司,信息技术\n"),
        (String = "application/x-ndjson", example = "{\"name\":\"王芳\"}\n"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", example = "the bytes of the workbook"),
    )),
    responses((status = 201, body = ImportFile)))]
#[post("/v1/import-files")]
pub async fn create_import_file(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    mut payload: web::Payload,
) -> AppResult<Reply> {
    let sent = sent(&request)?;
    let name = name_of(&request)?;
    let most = shared.import_max_bytes;
    let id = Uuid::now_v7();
    let format = if sent == Sent::Ndjson { "ndjson" } else { "csv" };
    let mut taker = Taker {
        db: &db,
        ctx: &ctx,
        id,
        sniffer: Sniffer::default(),
        size: 0,
        buffer: Vec::new(),
    };
    db.bookkeep(async |conn| files::begin(conn, &ctx, id, "import", &name, format).await)
        .await?;
    let (mut digest, mut arrived, mut book) = (Sha256::new(), 0_usize, Vec::new());
    while let Some(bytes) = payload.next().await {
        let bytes = bytes.map_err(|_| {
            AppError::refuse(
                Code::MalformedBody,
                say("The body ended too early", "请求体不完整"),
            )
        })?;
        arrived += bytes.len();
        if arrived > most {
            db.bookkeep(async |conn| files::forget(conn, ctx.tenant, id).await)
                .await?;
            return Err(too_large(most));
        }
        digest.update(&bytes);
        match sent {
            Sent::Workbook => book.extend_from_slice(&bytes),
            Sent::Csv | Sent::Ndjson => taker.take(&bytes, false).await?,
        }
    }
    if sent == Sent::Workbook {
        let table = tokio::task::spawn_blocking(move || workbook::to_csv(&book)).await;
        match table.map_err(AppError::internal)? {
            Ok(table) => taker.take(&table, false).await?,
            Err(error) => {
                db.bookkeep(async |conn| files::forget(conn, ctx.tenant, id).await)
                    .await?;
                return Err(error);
            }
        }
    }
    taker.take(&[], true).await?;
    let digest = digest.finalize().to_vec();
    let (encoding, delimiter) = (
        taker.sniffer.encoding().name(),
        char::from(taker.sniffer.delimiter()).to_string(),
    );
    let view = ImportFile {
        id,
        name,
        format: format.to_owned(),
        encoding: encoding.to_owned(),
        size_bytes: taker.size,
    };
    let mut ctx = ctx.clone();
    if let Some(key) = &mut ctx.idempotency {
        key.request_hash.clone_from(&digest);
    }
    db.write(&ctx, async |tx| {
        let whole = Whole {
            size: view.size_bytes,
            digest: &digest,
            encoding: Some(encoding),
            delimiter: Some(&delimiter),
        };
        files::complete(tx, ctx.tenant, id, &whole).await?;
        Reply::json(201, &view)
    })
    .await
}

fn name_of(request: &HttpRequest) -> AppResult<String> {
    let mut faults = Vec::new();
    let mut name = String::from("import");
    for (parameter, value) in pairs(request.query_string(), &mut faults) {
        if parameter != "name" {
            faults.push(crate::event::window::unknown_parameter(&parameter, "name"));
        } else if value.chars().count() > 200 {
            faults.push(Fault::new(
                "?name",
                "too_long",
                say("has more than 200 characters", "超过 200 个字符"),
            ));
        } else {
            name = value;
        }
    }
    if faults.is_empty() {
        Ok(name)
    } else {
        Err(bad_parameters(faults))
    }
}

/// Puts what arrives into pieces of one size.
struct Taker<'a> {
    db: &'a Db,
    ctx: &'a Ctx,
    id: Uuid,
    sniffer: Sniffer,
    size: i64,
    buffer: Vec<u8>,
}

impl Taker<'_> {
    async fn take(&mut self, bytes: &[u8], is_last: bool) -> AppResult<()> {
        let kept = self.sniffer.take(bytes, is_last);
        self.buffer.extend(kept);
        while self.buffer.len() >= PIECE || (is_last && !self.buffer.is_empty()) {
            let length = PIECE.min(self.buffer.len());
            let piece = self.buffer.drain(..length).collect::<Vec<_>>();
            let (id, tenant, start) = (self.id, self.ctx.tenant, self.size);
            self.db
                .bookkeep(async |conn| files::put(conn, tenant, id, start, &piece).await)
                .await?;
            self.size += i64::try_from(piece.len()).unwrap_or(0);
        }
        Ok(())
    }
}

/// What would become of a file
///
/// How it was recognised, what each heading says, and the first rows as they would be, with all that is wrong with them.
/// Nothing is stored. Send the same options to `POST /v1/imports` when you agree.
#[utoipa::path(tag = "jobs", operation_id = "preview_import", security(("bearer" = [])), request_body = ImportOptions, responses((status = 200, body = ImportPreview)))]
#[post("/v1/imports/preview")]
pub async fn preview_import(db: web::Data<Db>, command: Command<ImportOptions>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    ctx.require(&input.resource.resource().write_permission())?;
    let preview = db
        .snapshot(async |conn| look(&mut &*conn, &ctx, input).await)
        .await?;
    Reply::ok(&preview)
}

async fn look(
    conn: &mut &diesel_async::AsyncPgConnection,
    ctx: &Ctx,
    options: ImportOptions,
) -> AppResult<ImportPreview> {
    let subject = options.resource;
    let file = files::find(conn, ctx, "import", options.file_id).await?;
    let layout = layout(&file);
    let window = files::window(conn, ctx.tenant, &file, 0).await?;
    let (headings, start) = text::headings(&layout, &window)?;
    let definitions = custom::definitions(conn, ctx.tenant, subject.resource().singular).await?;
    let fields = definitions
        .iter()
        .map(|field| format!("custom.{}", field.key))
        .collect::<Vec<_>>();
    let (plan, faults) = Plan::new(options, &headings, definitions);
    let rest = files::window(conn, ctx.tenant, &file, start).await?;
    let first = if layout.is_csv { 2 } else { 1 };
    let found = text::rows(&layout, &rest, &headings, first, SHOWN)?;
    let mut drafts = found
        .rows
        .into_iter()
        .map(|row| plan.draft(row))
        .collect::<Vec<_>>();
    lookup::resolve(conn, ctx, &plan, &mut drafts).await?;
    let told = |faults: Vec<Fault>| faults.iter().map(|fault| told(ctx, fault)).collect::<Vec<_>>();
    let columns = headings.iter().map(|heading| ImportPreviewColumn {
        heading: heading.clone(),
        target: plan.target(heading).map(str::to_owned),
    });
    let rows = drafts.into_iter().map(|draft| {
        let mut members = draft.members;
        members.retain(|_, value| !value.is_null());
        members.extend(
            draft
                .extras
                .into_iter()
                .map(|(name, text)| (name, Value::String(text))),
        );
        ImportPreviewRow {
            row: draft.row.number,
            members,
            faults: told(draft.faults),
        }
    });
    Ok(ImportPreview {
        encoding: layout.encoding.name().to_owned(),
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

fn told(ctx: &Ctx, fault: &Fault) -> ImportPreviewFault {
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
/// brought in, and needs `opportunity.import`. A row's reference to a row further down is found; in a dry run it is not.
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
        let window = files::window(conn, ctx.tenant, &file, 0).await?;
        let (headings, _) = text::headings(&layout, &window)?;
        let definitions = custom::definitions(conn, ctx.tenant, input.resource.resource().singular).await?;
        let (plan, faults) = Plan::new(input.clone(), &headings, definitions);
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
/// CSV in UTF-8: row, heading, value, code, message in English and Chinese, and the row as it came, ready to be corrected and
/// sent in again. Cells that a spreadsheet would take for a formula are made harmless.
#[utoipa::path(tag = "jobs", operation_id = "download_import_errors", security(("bearer" = [])), responses((status = 200, body = String, content_type = "text/csv", description = "The errors.", example = json!("row,heading,value,code,message,message_zh,original\r\n"))))]
#[get("/v1/imports/{id}/errors.csv")]
pub async fn download_import_errors(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<HttpResponse> {
    jobs::require_visible(&db, &ctx, id.0).await?;
    let stream = csv_out::errors(db, ctx.tenant, id.0);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("content-disposition", "attachment; filename=\"errors.csv\""))
        .streaming(stream))
}
