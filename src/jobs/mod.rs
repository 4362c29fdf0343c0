//! Long work. A job is done in chunks: each is one write transaction, which also advances the checkpoint. A server that
//! dies at any moment thereby loses at most the chunk it was at, and no row is ever done twice.
//!
//! An area declares its kind and registers it in `app.rs` (`JOBS`):
//!
//! ```ignore
//! pub static MIGRATE: JobKind = JobKind {
//!     name: "pipeline.migrate",
//!     permission: "pipeline.migrate",
//!     step: |tx, ctx, run| Box::pin(migrate_some(tx, ctx, run)),
//! };
//! ```
//!
//! A command asks for it inside its `Db::write`, so that it has idempotency and dry run like any other:
//! `jobs::enqueue(tx, &ctx, &MIGRATE, params, Some(total)).await?.accepted()` answers 202 with `Location: /v1/jobs/{id}`.
//!
//! `step` does one chunk (a few hundred rows; well under ten seconds), beginning where `run.checkpoint` says (`None` at
//! first), and answers [`Step::More`] or [`Step::Done`]. Its `ctx` has the rights that the asker holds **now**, the actor
//! `job` with the job's id, and `command_id` = the job's id, so that all its events are found together. Rows that may be
//! refused one by one go through [`Tx::apart`]; what was refused is handed back as [`RowError`]s. A refusal that the step
//! itself answers ends the job as failed; an outage or a bug rolls the chunk back and it is tried again, later and later.

pub mod http;
mod rows;
mod stream;
mod view;
pub mod worker;

use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppResult, OrNotFound, Refusal};
use crate::kernel::fault::Fault;
use crate::kernel::text::{Lang, Say, say};
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::reply::Reply;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;
pub use view::{JobErrorView, JobView};

/// Does one chunk in the transaction that also commits its checkpoint. It may run again, so it keeps nothing outside.
pub type Work = for<'a> fn(&'a mut Tx, &'a Ctx, &'a JobRun) -> LocalBoxFuture<'a, AppResult<Step>>;

/// A kind of long work.
pub struct JobKind {
    /// Area and verb: `pipeline.migrate`.
    pub name: &'static str,
    /// What the asker must hold, now and at every chunk; empty: nothing in particular.
    pub permission: &'static str,
    pub step: Work,
}

/// Every kind there is, as a worker knows them; it leaves others alone.
pub type Kinds = &'static [&'static JobKind];

/// Those of the service, as `app.rs` registers them.
pub struct Registered(pub Kinds);

/// A job as its step finds it.
#[derive(Debug, Clone)]
pub struct JobRun {
    pub id: Uuid,
    pub kind: String,
    pub asked_by: Option<Uuid>,
    pub params: Value,
    /// What the last chunk left; `None` before the first.
    pub checkpoint: Option<Value>,
    pub done: i64,
    pub total: Option<i64>,
    pub errors: i64,
}

impl JobRun {
    /// What came of it by its last chunk.
    fn so_far(&self) -> Option<Value> {
        self.checkpoint.as_ref()?.get("so_far").cloned()
    }
}

/// How far a chunk came.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Rows dealt with since the job began, refused ones too.
    pub done: i64,
    /// How many there are in all, where that is known.
    pub total: Option<i64>,
    /// What this chunk could not do.
    pub errors: Vec<RowError>,
}

/// What a chunk answers.
#[derive(Debug, Clone)]
pub enum Step {
    /// There is more to do, from this checkpoint on. Its member `so_far`, where it has one, is the result of a job that is
    /// cancelled or fails before it is done.
    More { progress: Progress, checkpoint: Value },
    /// It is done. `result` is shown to whoever sees the job; its member `links` (name to path) joins the job's links.
    Done { progress: Progress, result: Value },
}

/// A row that a job could not do, or did with a reservation.
#[derive(Debug, Clone)]
pub struct RowError {
    /// Whether the row was taken all the same, and this is only to be known.
    pub is_warning: bool,
    /// In the file, as a spreadsheet counts; `None` for records that come from no file.
    pub row: Option<i64>,
    /// The record that it is about.
    pub subject: Option<Uuid>,
    /// JSON Pointer to the member.
    pub pointer: String,
    pub heading: Option<String>,
    pub value: Option<String>,
    pub code: String,
    pub message: Say,
    /// The row as it came.
    pub original: Option<Value>,
}

impl RowError {
    /// An error about a record.
    pub fn of(subject: Uuid, fault: Fault) -> RowError {
        RowError {
            is_warning: false,
            row: None,
            subject: Some(subject),
            pointer: fault.pointer,
            heading: None,
            value: None,
            code: fault.code.to_owned(),
            message: fault.message,
            original: None,
        }
    }

    /// Why a record was refused: its faults, or the refusal itself where it names none.
    pub fn of_refusal(subject: Uuid, refusal: &Refusal) -> Vec<RowError> {
        let whole = Fault::new("", refusal.code.as_str(), refusal.detail.clone());
        let faults = if refusal.faults.is_empty() {
            vec![whole]
        } else {
            refusal.faults.clone()
        };
        faults
            .into_iter()
            .map(|fault| RowError::of(subject, fault))
            .collect()
    }
}

/// A job just asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    pub id: Uuid,
    view: JobView,
}

impl Asked {
    /// 202 with the job and where it is.
    ///
    /// # Errors
    /// When the answer cannot be written as JSON.
    pub fn accepted(&self) -> AppResult<Reply> {
        Ok(Reply::json(202, &self.view)?.with_location(format!("/v1/jobs/{}", self.id)))
    }
}

/// Asks for long work in the caller's name (nobody's, where the system itself asks). `total`: how many rows it will be, if
/// that is known already.
///
/// # Errors
/// `forbidden` without the kind's permission.
pub async fn enqueue(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: &'static JobKind,
    params: Value,
    total: Option<i64>,
) -> AppResult<Asked> {
    enqueue_as(tx, ctx, kind, Uuid::now_v7(), params, total).await
}

/// Like [`enqueue`], with an id that the caller chose: for work whose material names the job.
///
/// # Errors
/// As [`enqueue`].
pub async fn enqueue_as(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: &'static JobKind,
    id: Uuid,
    params: Value,
    total: Option<i64>,
) -> AppResult<Asked> {
    if !kind.permission.is_empty() {
        ctx.require(kind.permission)?;
    }
    let key = ctx.actor_id.filter(|_| ctx.actor_kind == ActorKind::Key);
    let new = rows::NewJob {
        id,
        kind: kind.name,
        asked_by: Some(ctx.user).filter(|user| *user != Uuid::nil()),
        key,
        params,
        total,
    };
    let row = rows::insert(tx, ctx, &new).await?;
    tx.record(Event::new("job.asked", "job", id, json!({ "kind": kind.name })));
    Ok(Asked {
        id,
        view: row.view(ctx.lang),
    })
}

/// Whether the caller sees a job at all.
///
/// # Errors
/// `not_found` when they do not.
pub async fn require_visible(db: &Db, ctx: &Ctx, id: Uuid) -> AppResult<()> {
    let job = db.read(async |conn| rows::find(conn, ctx, id).await).await?;
    job.or_not_found().map(|_| ())
}

/// Errors of a job after a place among them: each in English, with its message in Chinese beside it.
///
/// # Errors
/// Database errors.
pub async fn errors_after(
    db: &Db,
    tenant: Uuid,
    job: Uuid,
    after: i64,
    limit: i64,
) -> AppResult<Vec<(JobErrorView, String)>> {
    let errors = db
        .read(async |conn| rows::errors(conn, tenant, job, after, limit).await)
        .await?;
    let in_both = |error: rows::ErrorRow| {
        let chinese = error.message_zh.clone();
        (error.view(Lang::En), chinese)
    };
    Ok(errors.into_iter().map(in_both).collect())
}

/// What a caller may know of why a job failed for our own reasons.
fn gave_up() -> Say {
    say(
        "It failed too often for reasons on our side; ask for it again later",
        "因服务端原因多次失败,请稍后重新提交",
    )
}

/// The operations of this area.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(http::list_jobs)
        .service(http::list_job_errors)
        .service(stream::stream_job)
        .service(http::cancel_job)
        .service(http::get_job);
}
