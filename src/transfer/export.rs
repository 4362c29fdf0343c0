//! Exports: a list as a file, made page by page in the caller's scope.

use super::csv_out::{MARK, cell, line};
use super::files::{self, Whole};
use super::persons;
use super::rights::Rights;
use super::targets::TransferSubject;
use super::words::{OwnField, recognise};
use super::xlsx_out::{self, Archive, has_room};
use crate::jobs::{self, JobKind, JobRun, Progress, Step};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::fields::Fields;
use crate::platform::records::tree::{Mode, Terms};
use crate::platform::records::{Kind, Resource, custom, query, sql::is_masked, store};
use crate::platform::reply::Reply;
use actix_web::{HttpResponse, get, post, web};
use bytes::Bytes;
use diesel::QueryableByName;
use diesel::sql_types::{Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! kind {
    ($name:ident, $text:literal, $permission:literal) => {
        pub static $name: JobKind = JobKind {
            name: $text,
            permission: $permission,
            step: |tx, ctx, run| Box::pin(step(tx, ctx, run)),
        };
    };
}
kind!(LEADS, "lead.export", "lead.read");
kind!(ACCOUNTS, "account.export", "account.read");
kind!(CONTACTS, "contact.export", "contact.read");
kind!(OPPORTUNITIES, "opportunity.export", "opportunity.read");

fn kind_of(subject: TransferSubject) -> &'static JobKind {
    match subject {
        TransferSubject::Lead => &LEADS,
        TransferSubject::Account => &ACCOUNTS,
        TransferSubject::Contact => &CONTACTS,
        TransferSubject::Opportunity => &OPPORTUNITIES,
    }
}

/// Records of one chunk.
const PAGE: i64 = 1_000;

/// In which form a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    Csv,
    Xlsx,
    Ndjson,
}

impl ExportFormat {
    fn name(self) -> &'static str {
        match self {
            ExportFormat::Csv => "csv",
            ExportFormat::Xlsx => "xlsx",
            ExportFormat::Ndjson => "ndjson",
        }
    }
}

/// What is to be exported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportOptions {
    pub resource: TransferSubject,
    pub format: ExportFormat,
    /// Filters and sort as in the query of the list.
    #[serde(default)]
    #[schema(max_length = 4000, example = "status=new&sort=-created_at")]
    pub filter: String,
    /// Members, `custom.KEY`, or a member of something referred to (`owner.name`); all members when none is named. A heading
    /// that an import would recognise (`客户名称`, the label of a field of your own) stands for what it says, of something
    /// referred to for its name, and is written as given. Of accounts also `contact.name`, `contact.job_title`,
    /// `contact.phone` and `contact.email`: their first contact, as far as you may read it.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["id", "name", "owner.name"]))]
    pub columns: Vec<String>,
}

/// Where an export stands between two chunks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Tally {
    /// Set when it begins: what the headings say, every row says.
    columns: Vec<String>,
    /// What they are called, where that is something else.
    headings: Vec<String>,
    rights: Rights,
    position: Option<Vec<String>>,
    size: i64,
    rows: i64,
}

#[derive(QueryableByName)]
struct PageRow {
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Array<Text>)]
    keys: Vec<String>,
}

/// The columns as asked for, or all that the caller may see.
fn columns(ctx: &Ctx, options: &ExportOptions, fields: &[OwnField]) -> Vec<String> {
    if !options.columns.is_empty() {
        let named = options.columns.iter();
        return named
            .map(|column| meant(options.resource, column, fields).unwrap_or_else(|| column.clone()))
            .collect();
    }
    let resource = options.resource.resource();
    let seen = resource
        .members
        .iter()
        .filter(|member| !member.is_instruction && !member.is_asked_only)
        .filter(|member| member.sensitive.is_none_or(|permission| ctx.holds(permission)));
    let mut columns = vec!["id".to_owned()];
    for member in seen {
        // In a table each field of the company's own has a column, under the heading that an import knows.
        if member.kind == Kind::Custom && options.format != ExportFormat::Ndjson {
            columns.extend(fields.iter().map(|field| format!("custom.{}", field.key)));
        } else {
            columns.push(member.name.to_owned());
        }
    }
    columns.extend(["created_at", "updated_at"].map(str::to_owned));
    columns
}

fn is_column(resource: &Resource, column: &str) -> bool {
    let standing = ["id", "version", "created_at", "updated_at", "archived_at"];
    match column.split_once('.') {
        Some(("custom", _)) => true,
        Some((relation, _)) => {
            store::expandable(resource).contains(&relation) || persons::is_column(resource, column)
        }
        None => {
            let member = resource.member(column);
            standing.contains(&column) || member.is_some_and(|member| !member.is_asked_only)
        }
    }
}

/// What a column that is asked for stands for: itself, or what a heading of that name says.
fn meant(subject: TransferSubject, column: &str, fields: &[OwnField]) -> Option<String> {
    let resource = subject.resource();
    if is_column(resource, column) {
        return Some(column.to_owned());
    }
    let target = recognise(subject, column, fields)?;
    let relation = resource.member(&target).and_then(store::expand_name);
    let named = relation.map(|relation| format!("{relation}.name"));
    let named = named.filter(|column| is_column(resource, column));
    Some(named.unwrap_or(target)).filter(|column| is_column(resource, column))
}

async fn own_fields(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    options: &ExportOptions,
) -> AppResult<Vec<OwnField>> {
    let resource = options.resource.resource().singular;
    let definitions = custom::definitions(conn, ctx.tenant, resource).await?;
    Ok(OwnField::all(&definitions))
}

fn faults(options: &ExportOptions, fields: &[OwnField]) -> Vec<Fault> {
    let columns = options.columns.iter().enumerate();
    columns
        .filter(|(_, column)| meant(options.resource, column, fields).is_none())
        .map(|(index, column)| {
            let message = say(format!("{column} is no column"), format!("没有列 {column}"));
            Fault::new(format!("/columns/{index}"), "unknown_value", message)
        })
        .collect()
}

async fn step(tx: &mut Tx, ctx: &Ctx, run: &JobRun) -> AppResult<Step> {
    let options: ExportOptions = serde_json::from_value(run.params.clone()).map_err(AppError::internal)?;
    let mut tally: Tally = match &run.checkpoint {
        Some(checkpoint) => serde_json::from_value(checkpoint.clone()).map_err(AppError::internal)?,
        None => Tally::default(),
    };
    if tally.columns.is_empty() {
        let fields = own_fields(&mut &**tx, ctx, &options).await?;
        tally.columns = columns(ctx, &options, &fields);
        tally.headings.clone_from(&options.columns);
    }
    let columns = tally.columns.clone();
    let headings = match tally.headings.is_empty() {
        true => columns.clone(),
        false => tally.headings.clone(),
    };
    tally.rights.note(ctx, options.resource, &columns);
    let mut bytes = Vec::new();
    if run.checkpoint.is_none() {
        let name = format!("{}.{}", options.resource.resource().plural, options.format.name());
        files::begin(tx, ctx, run.id, "export", &name, options.format.name()).await?;
        bytes.extend(head(options.format, &headings)?);
    }
    let position = tally.position.as_deref();
    let page = tx.report(async |conn| page(conn, ctx, &options, &columns, position).await);
    let (records, last) = page.await?;
    let is_end = last.is_none();
    tally.position = last.or(tally.position);
    for record in &records {
        bytes.extend(written(options.format, &columns, &headings, record)?);
    }
    tally.rows += i64::try_from(records.len()).unwrap_or(0);
    files::put(tx, ctx.tenant, run.id, tally.size, &bytes).await?;
    tally.size += i64::try_from(bytes.len()).unwrap_or(0);
    if options.format == ExportFormat::Xlsx && !has_room(tally.rows + 1, tally.size) {
        let message = say(
            "A sheet has 1,048,576 rows and 4 GiB at most; take csv",
            "工作表最多 1,048,576 行、4 GiB,请使用 csv",
        );
        return Err(AppError::refuse(Code::TooLarge, message));
    }
    let progress = Progress {
        done: tally.rows,
        total: is_end.then_some(tally.rows),
        errors: Vec::new(),
    };
    if !is_end {
        let checkpoint = serde_json::to_value(&tally).map_err(AppError::internal)?;
        return Ok(Step::More { progress, checkpoint });
    }
    let whole = Whole {
        size: tally.size,
        digest: &[],
        encoding: Some("UTF-8"),
        delimiter: None,
        headings: None,
        rights: Some(serde_json::to_value(&tally.rights).map_err(AppError::internal)?),
    };
    files::complete(tx, ctx.tenant, run.id, &whole).await?;
    let said = json!({
        "resource": options.resource, "format": options.format, "filter": options.filter, "columns": columns, "rows": tally.rows,
        "is_masked": is_masked(options.resource.resource(), ctx),
    });
    tx.record(Event::new("export.made", "export", run.id, said));
    let result = json!({ "rows": tally.rows, "links": { "file": format!("/v1/exports/{}/file", run.id) } });
    Ok(Step::Done { progress, result })
}

/// What filters may name.
fn terms<'a>(ctx: &'a Ctx, fields: &'a Fields) -> Terms<'a> {
    let mode = Mode::Asked;
    Terms { ctx, fields, mode }
}

/// The next records, with what was asked of the records that they refer to; and where there are more, the last one's place.
async fn page(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    options: &ExportOptions,
    columns: &[String],
    position: Option<&[String]>,
) -> AppResult<(Vec<Map<String, Value>>, Option<Vec<String>>)> {
    let resource = options.resource.resource();
    let fields = Fields::of(conn, ctx.tenant, &[resource.singular]).await?;
    let mut asked = query::parse(&terms(ctx, &fields), resource, &options.filter, &[])?;
    asked.limit = PAGE;
    let sql = query::page(resource, ctx, &asked, position, None);
    let mut rows: Vec<PageRow> = sql.query().load(conn).await?;
    let size = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let has_more = rows.len() > size;
    rows.truncate(size);
    let last = rows.last().map(|row| row.keys.clone()).filter(|_| has_more);
    let mut records = rows
        .iter()
        .map(|row| serde_json::from_str(&row.doc).map_err(AppError::internal))
        .collect::<AppResult<Vec<Map<String, Value>>>>()?;
    let mut relations = columns
        .iter()
        .filter_map(|column| Some(column.split_once('.')?.0.to_owned()))
        .filter(|relation| relation != "custom")
        .collect::<Vec<_>>();
    relations.sort();
    relations.dedup();
    store::expand(conn, ctx, resource, &relations, &mut records).await?;
    if columns.iter().any(|column| persons::is_column(resource, column)) {
        persons::embed(conn, ctx, &mut records).await?;
    }
    Ok((records, last))
}

fn value<'a>(record: &'a Map<String, Value>, column: &str) -> &'a Value {
    let found = match column.split_once('.') {
        Some((outer, inner)) => record.get(outer).and_then(|outer| outer.get(inner)),
        None => record.get(column),
    };
    found.unwrap_or(&Value::Null)
}

fn head(format: ExportFormat, columns: &[String]) -> AppResult<Vec<u8>> {
    match format {
        ExportFormat::Csv => {
            let mut bytes = MARK.to_vec();
            bytes.extend(line(columns.iter().map(String::as_str))?);
            Ok(bytes)
        }
        ExportFormat::Xlsx => Ok(xlsx_out::row(columns)),
        ExportFormat::Ndjson => Ok(Vec::new()),
    }
}

fn written(
    format: ExportFormat,
    columns: &[String],
    headings: &[String],
    record: &Map<String, Value>,
) -> AppResult<Vec<u8>> {
    if format == ExportFormat::Ndjson {
        let columns = headings.iter().zip(columns);
        let said = columns.map(|(heading, column)| (heading.clone(), value(record, column).clone()));
        let mut bytes = serde_json::to_vec(&said.collect::<Map<_, _>>()).map_err(AppError::internal)?;
        bytes.push(b'\n');
        return Ok(bytes);
    }
    let cells = columns
        .iter()
        .map(|column| cell(value(record, column)))
        .collect::<Vec<_>>();
    match format {
        ExportFormat::Xlsx => Ok(xlsx_out::row(&cells)),
        _ => line(cells.iter().map(String::as_str)),
    }
}

/// A file has no pages: what a list asks of them would be dropped without a word.
fn of_pages(filter: &str) -> Vec<Fault> {
    let said = query::pairs(filter, &mut Vec::new());
    let said = said
        .into_iter()
        .filter(|(name, _)| ["limit", "cursor", "with_total"].contains(&name.as_str()));
    said.map(|(name, _)| {
        let message = say(
            format!("{name} is no filter: a file has no pages"),
            format!("{name} 不是筛选条件：文件不分页"),
        );
        Fault::new("/filter", "unknown_member", message)
    })
    .collect()
}

/// Export a list as a file
///
/// Answers 202 with the job that writes it: the records that the list would show you with these filters, in the same order,
/// sensitive members as there. When it is done, `file` among its links is where to fetch it, for seven days, by you alone.
/// Cells that a spreadsheet would take for a formula are made harmless. Needs the read permission of what is exported;
/// each export leaves an event.
#[utoipa::path(tag = "jobs", operation_id = "create_export", security(("bearer" = [])), request_body = ExportOptions, responses((status = 202, description = "The job; its path stands in Location.", body = jobs::JobView)))]
#[post("/v1/exports")]
pub async fn create_export(db: web::Data<Db>, command: Command<ExportOptions>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    ctx.require(&input.resource.resource().read_permission())?;
    let own = db.read(async |conn| own_fields(conn, &ctx, &input).await);
    let mut wrong = faults(&input, &own.await?);
    let resource = input.resource.resource();
    let fields = db.read(async |conn| Fields::of(conn, ctx.tenant, &[resource.singular]).await);
    let fields = fields.await?;
    if let Err(AppError::Refused(refusal)) = query::parse(&terms(&ctx, &fields), resource, &input.filter, &[])
    {
        wrong.extend(refusal.faults.into_iter().map(|fault| Fault {
            pointer: "/filter".to_owned(),
            ..fault
        }));
    }
    wrong.extend(of_pages(&input.filter));
    if !wrong.is_empty() {
        return Err(AppError::invalid(wrong));
    }
    let params = serde_json::to_value(&input).map_err(AppError::internal)?;
    db.write(&ctx, async |tx| {
        jobs::enqueue(tx, &ctx, kind_of(input.resource), params.clone(), None)
            .await?
            .accepted()
    })
    .await
}

/// Fetch an exported file
///
/// Streamed; yours alone, as long as you may still read what it holds: `forbidden` when your permissions have become
/// narrower than those that it was made with, or your team is another.
#[utoipa::path(tag = "jobs", operation_id = "download_export", security(("bearer" = [])), responses((status = 200, description = "The file.", content(
    (String = "text/csv", example = json!("id,name\r\n")),
    (String = "application/x-ndjson", example = json!("{\"name\":\"王芳\"}\n")),
    (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", example = json!("the bytes of the workbook")),
))))]
#[get("/v1/exports/{id}/file")]
pub async fn download_export(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<HttpResponse> {
    let file = db
        .read(async |conn| files::find(conn, &ctx, "export", id.0).await)
        .await?;
    let subject = TransferSubject::ALL
        .into_iter()
        .find(|subject| file.name.starts_with(subject.resource().plural));
    if let Some(subject) = subject {
        ctx.require(&subject.resource().read_permission())?;
    }
    if let Some(rights) = file.rights {
        let rights: Rights = serde_json::from_value(rights).map_err(AppError::internal)?;
        rights.require(&ctx)?;
    }
    let kind = match file.format.as_str() {
        "csv" => "text/csv; charset=utf-8",
        "ndjson" => "application/x-ndjson",
        _ => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    };
    let archive = (file.format == "xlsx").then(Archive::default);
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((
            "content-disposition",
            format!("attachment; filename=\"{}\"", file.name),
        ))
        .streaming(pieces(db, ctx.tenant, file.id, archive)))
}

/// Where a download stands.
enum At {
    Head,
    Piece(i64),
    End,
}

fn pieces(
    db: web::Data<Db>,
    tenant: Uuid,
    file: Uuid,
    archive: Option<Archive>,
) -> impl Stream<Item = AppResult<Bytes>> {
    stream::try_unfold((db, archive, At::Head), move |(db, mut archive, at)| async move {
        let from = match at {
            At::End => return Ok(None),
            At::Head => {
                if let Some(archive_) = &mut archive {
                    let head = archive_.head();
                    return Ok(Some((Bytes::from(head), (db, archive, At::Piece(0)))));
                }
                0
            }
            At::Piece(from) => from,
        };
        let found = db
            .read(async |conn| files::piece(conn, tenant, file, from).await)
            .await?;
        let Some((start, bytes)) = found else {
            let foot = archive.as_mut().map(Archive::foot).unwrap_or_default();
            return Ok(Some((Bytes::from(foot), (db, archive, At::End))));
        };
        let next = start + i64::try_from(bytes.len()).unwrap_or(1).max(1);
        let bytes = match &mut archive {
            Some(archive) => archive.rows(&bytes),
            None => bytes,
        };
        Ok(Some((Bytes::from(bytes), (db, archive, At::Piece(next)))))
    })
}
