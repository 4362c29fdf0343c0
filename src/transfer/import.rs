//! An import as a job: each chunk reads on where the last one ended, and commits with where it ends itself.

use super::brought::{Brought, is_waiting};
use super::draft::Draft;
use super::files::{self, File, Window};
use super::lookup;
use super::options::{ImportMode, ImportOnError, ImportOptions};
use super::plan::Plan;
use super::records::{self, Did, Done, Outcome};
use super::targets::TransferSubject;
use super::text::{self, Headings, Layout, Row};
use super::told;
use crate::crm::assignment::follow;
use crate::jobs::{JobKind, JobRun, Progress, RowError, Step};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::records::custom;
use diesel_async::AsyncPgConnection;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
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
kind!(LEADS, "lead.import", "lead.write");
kind!(ACCOUNTS, "account.import", "account.write");
kind!(CONTACTS, "contact.import", "contact.write");
kind!(OPPORTUNITIES, "opportunity.import", "opportunity.write");

pub fn kind_of(subject: TransferSubject) -> &'static JobKind {
    match subject {
        TransferSubject::Lead => &LEADS,
        TransferSubject::Account => &ACCOUNTS,
        TransferSubject::Contact => &CONTACTS,
        TransferSubject::Opportunity => &OPPORTUNITIES,
    }
}

/// Most rows that wait for a row of the same file to be there.
const MOST_WAITING: usize = 10_000;

/// A chunk ends after so long: well within a worker's patience, however busy the machine is, and so that nobody who would
/// take away the asker's rights waits longer for the records that it holds.
const ENOUGH: Duration = Duration::from_secs(1);
/// A chunk has no more errors and warnings than so many and those of one more batch.
const MOST_ERRORS: usize = 5_000;

/// How many rows are looked at together.
fn batch_of(plan: &Plan) -> usize {
    if records::is_plain(plan) { 500 } else { 50 }
}

/// A row that names a row further down, and where it stands in the file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Waiting {
    number: i64,
    start: i64,
    length: i64,
}

/// Where an import stands between two chunks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Tally {
    next: i64,
    row: i64,
    is_read: bool,
    headings: Vec<String>,
    created: i64,
    updated: i64,
    unchanged: i64,
    failed: i64,
    /// Rows that were taken with a warning.
    warned: i64,
    stopped_at: Option<i64>,
    waiting: Vec<Waiting>,
    /// How many of them have been tried again since one of them succeeded.
    in_vain: usize,
    /// Of a dry run: what the rows before would have brought.
    brought: Brought,
}

impl Tally {
    fn has_ended(&self) -> bool {
        self.stopped_at.is_some() || (self.is_read && self.waiting.is_empty())
    }

    fn done(&self) -> i64 {
        self.created + self.updated + self.unchanged + self.failed
    }

    fn count(&mut self, did: &Outcome) {
        let Ok(Done { did, warnings }) = did else {
            self.failed += 1;
            return;
        };
        self.warned += i64::from(!warnings.is_empty());
        match did {
            Did::Created => self.created += 1,
            Did::Updated => self.updated += 1,
            Did::Unchanged => self.unchanged += 1,
        }
    }

    fn result(&self, run: &JobRun, plan: &Plan) -> Value {
        json!({
            "created": self.created, "updated": self.updated, "unchanged": self.unchanged, "failed": self.failed,
            "warned": self.warned, "ignored_columns": plan.ignored(&self.headings),
            "stopped_at": self.stopped_at, "dry_run": plan.options.dry_run,
            "links": { "errors_csv": format!("/v1/imports/{}/errors.csv", run.id) },
        })
    }
}

/// How a stored file is laid out.
pub fn layout(file: &File) -> Layout {
    let encoding = file
        .encoding
        .as_deref()
        .and_then(|name| Encoding::for_label(name.as_bytes()))
        // What came so is kept as UTF-8.
        .filter(|encoding| ![UTF_16LE, UTF_16BE].contains(encoding));
    Layout {
        is_csv: file.format == "csv",
        encoding: encoding.unwrap_or(UTF_8),
        delimiter: file
            .delimiter
            .as_deref()
            .and_then(|text| text.bytes().next())
            .unwrap_or(b','),
    }
}

/// The headings of a stored file.
///
/// # Errors
/// `invalid` when it has none, or too many.
pub async fn headings(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    file: &File,
    layout: &Layout,
) -> AppResult<Headings> {
    let window = files::window(conn, tenant, file, 0).await?;
    let collected = file.headings.clone().map(serde_json::from_value).transpose();
    text::headings(layout, &window, collected.map_err(AppError::internal)?)
}

async fn step(tx: &mut Tx, ctx: &Ctx, run: &JobRun) -> AppResult<Step> {
    let options: ImportOptions = serde_json::from_value(run.params.clone()).map_err(AppError::internal)?;
    let file = files::find(&mut &**tx, ctx, "import", options.file_id).await?;
    let layout = layout(&file);
    let mut tally = match &run.checkpoint {
        Some(checkpoint) => serde_json::from_value(checkpoint.clone()).map_err(AppError::internal)?,
        None => begin(tx, ctx, &file, &layout).await?,
    };
    let definitions =
        custom::definitions(&mut &**tx, ctx.tenant, options.resource.resource().singular).await?;
    let (plan, faults) = Plan::new(options, &tally.headings, definitions);
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    let mut reading = Reading {
        file,
        layout,
        window: None,
    };
    let (begun, mut errors) = (Instant::now(), Vec::new());
    while !tally.has_ended() && begun.elapsed() < ENOUGH && errors.len() < MOST_ERRORS {
        let is_retry = tally.is_read;
        let rows = reading.next_rows(tx, ctx, &plan, &mut tally).await?;
        errors.extend(work(tx, ctx, &plan, rows, is_retry, &mut tally).await?);
        if follow::imported(tx, ctx).await? {
            // Others wait for the lock under which it was done.
            break;
        }
    }
    let progress = Progress {
        done: tally.done(),
        total: estimate(&tally, reading.file.size_bytes),
        errors,
    };
    if tally.has_ended() {
        let result = tally.result(run, &plan);
        let progress = Progress {
            total: Some(progress.done),
            ..progress
        };
        return Ok(Step::Done { progress, result });
    }
    let mut checkpoint = serde_json::to_value(&tally).map_err(AppError::internal)?;
    checkpoint["so_far"] = tally.result(run, &plan);
    Ok(Step::More { progress, checkpoint })
}

async fn begin(tx: &mut Tx, ctx: &Ctx, file: &File, layout: &Layout) -> AppResult<Tally> {
    let Headings { names, next, row } = headings(&mut &**tx, ctx.tenant, file, layout).await?;
    Ok(Tally {
        next,
        row,
        headings: names,
        ..Tally::default()
    })
}

/// How many rows there will be, by what has been read of the file.
fn estimate(tally: &Tally, size: i64) -> Option<i64> {
    let rows = tally.done() + i64::try_from(tally.waiting.len()).unwrap_or(0);
    if tally.is_read {
        return Some(rows);
    }
    let all = i128::from(rows) * i128::from(size) / i128::from(tally.next.max(1));
    (tally.next > 0).then(|| i64::try_from(all).unwrap_or(i64::MAX))
}

/// A file that is being read.
struct Reading {
    file: File,
    layout: Layout,
    window: Option<Window>,
}

impl Reading {
    /// The next rows of the file; at its end those that waited for a row further down.
    async fn next_rows(
        &mut self,
        tx: &mut Tx,
        ctx: &Ctx,
        plan: &Plan,
        tally: &mut Tally,
    ) -> AppResult<Vec<Row>> {
        if tally.is_read {
            return self.waiting(tx, ctx, tally).await;
        }
        loop {
            let window = match self.window.take() {
                Some(window) => window,
                None => files::window(&mut &**tx, ctx.tenant, &self.file, tally.next).await?,
            };
            let before = tally.next;
            let found = self.read(&window, plan, tally)?;
            if !found.is_empty() || tally.is_read {
                self.window = Some(window);
                return Ok(found);
            }
            // What is left of the window is no whole row; the next window begins with it.
            if window.start == before && tally.next == before {
                return Err(text::too_long(tally.row));
            }
        }
    }

    fn read(&self, window: &Window, plan: &Plan, tally: &mut Tally) -> AppResult<Vec<Row>> {
        let rest = window.behind(tally.next);
        let most = batch_of(plan);
        let found = text::rows(&self.layout, &rest, &tally.headings, tally.row, most)?;
        tally.next = found.next;
        tally.row = found.number;
        tally.is_read = found.is_end;
        Ok(found.rows)
    }

    async fn waiting(&self, tx: &mut Tx, ctx: &Ctx, tally: &mut Tally) -> AppResult<Vec<Row>> {
        let mut rows = Vec::new();
        let count = tally.waiting.len().min(20);
        for row in tally.waiting.drain(..count).collect::<Vec<_>>() {
            let part = files::stretch(&mut &**tx, ctx.tenant, &self.file, row.start, row.length).await?;
            rows.extend(text::rows(&self.layout, &part, &tally.headings, row.number, 1)?.rows);
        }
        Ok(rows)
    }
}

async fn work(
    tx: &mut Tx,
    ctx: &Ctx,
    plan: &Plan,
    rows: Vec<Row>,
    is_retry: bool,
    tally: &mut Tally,
) -> AppResult<Vec<RowError>> {
    let mut drafts = rows.into_iter().map(|row| plan.draft(row)).collect::<Vec<_>>();
    lookup::resolve(&mut &**tx, ctx, plan, &mut drafts).await?;
    tally.brought.excuse(&mut drafts);
    // Those that still wait when all have been tried again for nothing wait for nothing.
    let has_hope = !is_retry || tally.in_vain < tally.waiting.len() + drafts.len();
    let has_room = tally.waiting.len() + drafts.len() <= MOST_WAITING;
    let (waiting, mut drafts) = drafts
        .into_iter()
        .partition::<Vec<_>, _>(|draft| has_hope && has_room && is_waiting(draft));
    if is_retry {
        tally.in_vain += waiting.len();
    }
    tally.waiting.extend(waiting.iter().map(|draft| Waiting {
        number: draft.row.number,
        start: draft.row.start,
        length: draft.row.length,
    }));
    if plan.options.on_error == ImportOnError::Stop
        && let Some(at) = drafts.iter().position(|draft| !draft.faults.is_empty())
    {
        drafts.truncate(at + 1);
    }
    let dids = perform(tx, ctx, plan, &drafts).await?;
    if dids.iter().any(Result::is_ok) {
        tally.in_vain = 0;
    }
    let mut errors = Vec::new();
    for (draft, did) in drafts.iter().zip(&dids) {
        tally.count(did);
        match did {
            Ok(done) => {
                errors.extend(told::warnings(plan, draft, &done.warnings));
                if plan.options.dry_run {
                    tally.brought.note(plan, draft);
                }
            }
            Err(refusal) => {
                errors.extend(told::errors(plan, draft, refusal));
                if plan.options.on_error == ImportOnError::Stop {
                    tally.stopped_at = Some(draft.row.number);
                    break;
                }
            }
        }
    }
    Ok(errors)
}

/// Does the work; in a dry run does it and takes it back. Where the first fault stops the import, nothing behind it is
/// left: then there are fewer outcomes than drafts, and the last one is the fault.
async fn perform(tx: &mut Tx, ctx: &Ctx, plan: &Plan, drafts: &[Draft]) -> AppResult<Vec<Outcome>> {
    if plan.options.dry_run {
        return Ok(tried(tx, ctx, plan, drafts, |_| false).await?.0);
    }
    if plan.options.on_error == ImportOnError::Continue {
        return records::bring(tx, ctx, plan, drafts).await;
    }
    let (mut dids, mut end) = (Vec::new(), drafts.len());
    while dids.len() < drafts.len() {
        let next = drafts.get(dids.len()..end).unwrap_or_default();
        let stays = |dids: &[Outcome]| dids.iter().rev().skip(1).all(Result::is_ok);
        let (found, has_stayed) = tried(tx, ctx, plan, next, stays).await?;
        let fault = found.iter().position(Result::is_err);
        match fault {
            Some(at) if !has_stayed => end = dids.len() + at + 1,
            Some(_) => {
                dids.extend(found);
                break;
            }
            None => {
                dids.extend(found);
                end = drafts.len();
            }
        }
    }
    Ok(dids)
}

/// Does the work and takes it back unless it is to stay; answers what became of each draft, and whether it stayed.
async fn tried(
    tx: &mut Tx,
    ctx: &Ctx,
    plan: &Plan,
    drafts: &[Draft],
    stays: impl FnOnce(&[Outcome]) -> bool,
) -> AppResult<(Vec<Outcome>, bool)> {
    let mut known = None;
    let done = tx
        .apart(async |tx| {
            let dids = records::bring(tx, ctx, plan, drafts).await?;
            let stays = stays(&dids);
            known = Some(dids);
            if stays {
                Ok(())
            } else {
                Err(AppError::refuse(Code::Conflict, say("a trial", "试运行")))
            }
        })
        .await?;
    let dids = known.ok_or_else(|| AppError::internal("a trial that came to nothing"))?;
    Ok((dids, done.is_ok()))
}

/// What would become of some drafts: tried, and taken back.
///
/// # Errors
/// Database errors.
pub async fn trial(tx: &mut Tx, ctx: &Ctx, plan: &Plan, drafts: &[Draft]) -> AppResult<Vec<Outcome>> {
    Ok(tried(tx, ctx, plan, drafts, |_| false).await?.0)
}

/// Whether a mode changes what is there.
pub fn changes(plan: &Plan) -> bool {
    plan.options.mode == ImportMode::Upsert
}
