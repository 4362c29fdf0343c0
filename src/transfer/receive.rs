//! Taking files in: as a stream, in constant memory but for workbooks, which have to be whole to be unpacked.

use super::files::{self, PIECE, Whole};
use super::targets::TransferSubject;
use super::text::{Keys, Sniffer};
use super::workbook;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Db;
use crate::platform::gatekeeper::Shared;
use crate::platform::records::query::{bad_parameters, pairs};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, post, web};
use encoding_rs::{Encoding, UTF_8};
use futures::StreamExt;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The parameters of a file that is sent in.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what is read by hand")]
struct FileParameters {
    /// Its name, for whoever reads the list of imports later.
    #[param(max_length = 200, example = "客户信息收集表.xlsx")]
    name: Option<String>,
    /// In which encoding the text of a CSV file is, by its label in the Encoding Standard; recognised where it is not said.
    /// Not for files of other kinds.
    #[param(max_length = 40, example = "windows-1252")]
    encoding: Option<String>,
}

/// A file that was taken in.
#[derive(Serialize, ToSchema)]
pub struct ImportFile {
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub id: Uuid,
    #[schema(example = "客户信息收集表.xlsx")]
    pub name: String,
    /// As what it was sent: `csv`, `ndjson` or `xlsx`.
    #[schema(example = "csv")]
    pub format: String,
    /// In which encoding its text is: as was said, or as it was recognised. Look at it: what has few letters beyond ASCII may
    /// be taken for something else, and `encoding` says it for sure.
    #[schema(example = "gb18030")]
    pub encoding: String,
    /// Of the file as it was sent.
    #[schema(minimum = 0, example = 730457)]
    pub size_bytes: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Csv,
    Ndjson,
    Workbook,
}

impl Sent {
    fn name(self) -> &'static str {
        match self {
            Sent::Csv => "csv",
            Sent::Ndjson => "ndjson",
            Sent::Workbook => "xlsx",
        }
    }

    /// As what it is kept: of a workbook the first sheet, as CSV.
    fn format(self) -> &'static str {
        match self {
            Sent::Ndjson => "ndjson",
            Sent::Csv | Sent::Workbook => "csv",
        }
    }
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

/// Whoever sends a file in may import something.
fn may_import(ctx: &Ctx) -> AppResult<()> {
    let permissions = TransferSubject::ALL.map(|subject| subject.resource().write_permission());
    if permissions.iter().any(|permission| ctx.holds(permission)) {
        return Ok(());
    }
    let (en, zh) = (permissions.join(" or "), permissions.join(" 或 "));
    Err(AppError::refuse(
        Code::Forbidden,
        say(
            format!("This needs the permission {en}"),
            format!("此操作需要权限 {zh}"),
        ),
    ))
}

/// Send in a file to import
///
/// The bytes as they are, with their content type: `text/csv` in any usual encoding (UTF-8, UTF-16 with a byte order mark,
/// GBK and GB 18030 are recognised), `application/x-ndjson`, or an XLSX workbook. It is kept for seven days and read only
/// by you: preview and import it by its id, as often as you like. At most 1,000 columns, rows of at most 2 MiB, workbooks of
/// at most 256 MiB when unpacked.
///
/// Permission: any one of `lead.write`, `account.write`, `contact.write` and `opportunity.write`.
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
    may_import(&ctx)?;
    let sent = sent(&request)?;
    let (name, encoding) = said_of(&request, sent)?;
    let id = Uuid::now_v7();
    db.bookkeep(async |conn| files::begin(conn, &ctx, id, "import", &name, sent.format()).await)
        .await?;
    let taker = Taker::new(&db, &ctx, id, sent, encoding);
    match taker.receive(&mut payload, shared.import_max_bytes).await {
        Ok(taken) => store(&db, &ctx, id, name, sent, taken).await,
        Err(error) => {
            db.bookkeep(async |conn| files::forget(conn, ctx.tenant, id).await)
                .await?;
            Err(error)
        }
    }
}

/// What was found out about a file while it came in.
struct Taken {
    digest: Vec<u8>,
    /// How many bytes were sent.
    arrived: i64,
    /// How many are kept.
    size: i64,
    encoding: &'static str,
    delimiter: String,
    headings: Option<Vec<String>>,
}

/// Notes that a file is whole.
async fn store(db: &Db, ctx: &Ctx, id: Uuid, name: String, sent: Sent, taken: Taken) -> AppResult<Reply> {
    let view = ImportFile {
        id,
        name,
        format: sent.name().to_owned(),
        encoding: taken.encoding.to_owned(),
        size_bytes: taken.arrived,
    };
    let mut ctx = ctx.clone();
    if let Some(key) = &mut ctx.idempotency {
        key.request_hash.clone_from(&taken.digest);
    }
    db.write(&ctx, async |tx| {
        let whole = Whole {
            size: taken.size,
            digest: &taken.digest,
            encoding: Some(taken.encoding),
            delimiter: Some(&taken.delimiter),
            headings: taken.headings.as_ref().map(|names| json!(names)),
            rights: None,
        };
        files::complete(tx, ctx.tenant, id, &whole).await?;
        Reply::json(201, &view)
    })
    .await
}

/// The name of a file, and in which encoding it is, where that is said.
fn said_of(request: &HttpRequest, sent: Sent) -> AppResult<(String, Option<&'static Encoding>)> {
    let (mut faults, mut unfit) = (Vec::new(), None);
    let mut name = String::from("import");
    let mut encoding = None;
    for (parameter, value) in pairs(request.query_string(), &mut faults) {
        if parameter == "encoding" {
            encoding = Encoding::for_label_no_replacement(value.as_bytes()).filter(|_| sent == Sent::Csv);
            unfit = encoding.is_none().then(|| {
                Fault::new(
                    "?encoding",
                    "unknown_value",
                    say(
                        "is no label of the Encoding Standard, or the file is no CSV",
                        "不是 Encoding Standard 中的编码名称,或文件不是 CSV",
                    ),
                )
            });
        } else if parameter != "name" {
            let known = "name, encoding";
            faults.push(crate::event::window::unknown_parameter(&parameter, known));
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
    match unfit {
        _ if !faults.is_empty() => Err(bad_parameters(faults.into_iter().chain(unfit).collect())),
        Some(unfit) => Err(AppError::invalid(vec![unfit])),
        None => Ok((name, encoding)),
    }
}

/// Puts what arrives into pieces of one size, and finds out how it is written.
struct Taker<'a> {
    db: &'a Db,
    ctx: &'a Ctx,
    id: Uuid,
    sent: Sent,
    sniffer: Sniffer,
    keys: Keys,
    size: i64,
    buffer: Vec<u8>,
}

impl<'a> Taker<'a> {
    fn new(db: &'a Db, ctx: &'a Ctx, id: Uuid, sent: Sent, encoding: Option<&'static Encoding>) -> Taker<'a> {
        Taker {
            db,
            ctx,
            id,
            sent,
            sniffer: Sniffer::named(encoding),
            keys: Keys::default(),
            size: 0,
            buffer: Vec::new(),
        }
    }

    /// Takes a whole body in.
    async fn receive(mut self, payload: &mut web::Payload, most: usize) -> AppResult<Taken> {
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
                return Err(too_large(most));
            }
            digest.update(&bytes);
            if arrived == bytes.len() && self.sent != Sent::Workbook {
                workbook::require_text(&bytes)?;
            }
            match self.sent {
                Sent::Workbook => book.extend_from_slice(&bytes),
                Sent::Csv | Sent::Ndjson => self.take(&bytes, false).await?,
            }
        }
        if self.sent == Sent::Workbook {
            self.unpack(book).await?;
        }
        self.take(&[], true).await?;
        self.taken(digest.finalize().to_vec(), arrived)
    }

    /// Takes the table of a workbook in, as fast as it is stored.
    async fn unpack(&mut self, book: Vec<u8>) -> AppResult<()> {
        let (give, mut pieces) = mpsc::channel(2);
        let unpacked = tokio::task::spawn_blocking(move || {
            workbook::to_csv(&book, |piece| {
                give.blocking_send(piece).map_err(AppError::internal)
            })
        });
        while let Some(piece) = pieces.recv().await {
            self.take(&piece, false).await?;
        }
        unpacked.await.map_err(AppError::internal)?
    }

    async fn take(&mut self, bytes: &[u8], is_last: bool) -> AppResult<()> {
        let before = self.buffer.len();
        match self.sent {
            Sent::Workbook => self.buffer.extend_from_slice(bytes),
            Sent::Csv | Sent::Ndjson => self.sniffer.take(bytes, is_last, &mut self.buffer),
        }
        if self.sent == Sent::Ndjson {
            self.keys.take(self.buffer.get(before..).unwrap_or_default())?;
        }
        let mut stored = 0;
        let is_due = |left: usize| left >= PIECE || (is_last && left > 0);
        while is_due(self.buffer.len() - stored) {
            let rest = self.buffer.get(stored..).unwrap_or_default();
            let piece = rest.get(..PIECE.min(rest.len())).unwrap_or_default();
            let (id, tenant, start) = (self.id, self.ctx.tenant, self.size);
            self.db
                .bookkeep(async |conn| files::put(conn, tenant, id, start, piece).await)
                .await?;
            self.size += i64::try_from(piece.len()).unwrap_or(0);
            stored += piece.len();
        }
        self.buffer.drain(..stored);
        Ok(())
    }

    fn taken(self, digest: Vec<u8>, arrived: usize) -> AppResult<Taken> {
        // What a workbook was turned into is known.
        let (encoding, delimiter) = match self.sent {
            Sent::Workbook => (UTF_8, b','),
            Sent::Csv | Sent::Ndjson => (self.sniffer.came_in(), self.sniffer.delimiter()),
        };
        let headings = match self.sent {
            Sent::Ndjson => Some(self.keys.finish()?),
            Sent::Csv | Sent::Workbook => None,
        };
        Ok(Taken {
            digest,
            arrived: i64::try_from(arrived).unwrap_or(i64::MAX),
            size: self.size,
            encoding: encoding.name(),
            delimiter: char::from(delimiter).to_string(),
            headings,
        })
    }
}
