//! Reading and cancelling jobs.

use super::rows::{self, COLUMNS, ErrorRow, JobRow};
use super::view::{JobErrorPage, JobPage, JobState, JobView};
use super::{Kinds, Registered};
use crate::event::window::{Cursors, read_limit, unknown_parameter};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::kernel::nearest::nearest;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Db;
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::records::http::page_reply;
use crate::platform::records::query::{DEFAULT_LIMIT, bad_parameters, pairs};
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, post, web};
use diesel_async::RunQueryDsl;
use serde_json::json;
use std::str::FromStr;
use utoipa::IntoParams;
use uuid::Uuid;

/// The parameters of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what is read by hand")]
struct JobParameters {
    /// Size of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// Where the page before ended; opaque, good only for the same filters.
    #[param(min_length = 1)]
    cursor: Option<String>,
    /// Only in this state.
    #[param(inline)]
    state: Option<JobState>,
    /// Only of this kind; another than there are is refused, and the refusal names those.
    #[param(max_length = 100, example = "lead.import")]
    kind: Option<String>,
}

/// The parameters of the errors.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what is read by hand")]
struct ErrorParameters {
    /// Size of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// Where the page before ended; opaque, good only for the same job.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

const STATES: [&str; 5] = ["queued", "running", "done", "failed", "cancelled"];

/// A list as asked for.
#[derive(Default)]
struct Wanted {
    limit: i64,
    cursor: Option<String>,
    states: Vec<String>,
    kinds: Vec<String>,
    filters: String,
}

impl Wanted {
    fn read(query: &str, known: &str, kinds: Kinds) -> AppResult<Wanted> {
        let mut faults = Vec::new();
        let mut wanted = Wanted {
            limit: DEFAULT_LIMIT,
            ..Wanted::default()
        };
        let mut bound = Vec::new();
        for (name, value) in pairs(query, &mut faults) {
            if !known.split(", ").any(|known| known == name) {
                faults.push(unknown_parameter(&name, known));
                continue;
            }
            match name.as_str() {
                "limit" => wanted.limit = read_limit(&value, &mut faults),
                "cursor" => wanted.cursor = Some(value),
                _ => {
                    bound.push(format!("{name}={value}"));
                    wanted.take(&name, value, kinds, &mut faults);
                }
            }
        }
        bound.sort();
        wanted.filters = bound.join("&");
        if faults.is_empty() {
            Ok(wanted)
        } else {
            Err(bad_parameters(faults))
        }
    }

    fn take(&mut self, name: &str, value: String, kinds: Kinds, faults: &mut Vec<Fault>) {
        if name == "kind" {
            faults.extend(unknown_kind(kinds, &value));
            self.kinds.push(value);
        } else if STATES.contains(&value.as_str()) {
            self.states.push(value);
        } else {
            let allowed = STATES.join(", ");
            faults.push(Fault::invalid(
                "?state",
                format!("must be one of {allowed}"),
                format!("必须是以下之一:{allowed}"),
            ));
        }
    }

    /// Where the page before ended.
    fn after<T: FromStr>(&self, cursors: &Cursors<'_>) -> AppResult<Option<T>> {
        self.cursor
            .as_ref()
            .map(|cursor| cursors.open::<T>(cursor))
            .transpose()
    }

    fn jobs(&self, ctx: &Ctx, before: Option<Uuid>) -> Sql {
        let mut sql = Sql::of(ctx.tenant);
        let within = rows::within(&mut sql, ctx, "job.read");
        sql.push(&format!(
            "SELECT {COLUMNS} FROM jobs j WHERE j.tenant_id = $1 AND {within}"
        ));
        if !self.states.is_empty() {
            sql.push(" AND j.state = ANY(")
                .bind(Bind::Texts(self.states.clone()))
                .push(")");
        }
        if !self.kinds.is_empty() {
            sql.push(" AND j.kind = ANY(")
                .bind(Bind::Texts(self.kinds.clone()))
                .push(")");
        }
        if let Some(before) = before {
            sql.push(" AND j.id < ").bind(Bind::Id(before));
        }
        sql.push(" ORDER BY j.id DESC LIMIT ")
            .bind(Bind::Long(self.limit + 1));
        sql
    }
}

/// The fault of a kind that there is not; it names those that there are, and the nearest one.
fn unknown_kind(kinds: Kinds, kind: &str) -> Option<Fault> {
    let known = kinds.iter().map(|known| known.name);
    if known.clone().any(|known| known == kind) {
        return None;
    }
    let near = nearest(kind, known.clone());
    let known = known.collect::<Vec<_>>();
    let (en, zh) = (known.join(", "), known.join("、"));
    let message = match near {
        Some(near) => say(
            format!("is no kind of job; did you mean {near}? There are: {en}"),
            format!("不是任务类型；您是否想用 {near}？可用类型：{zh}"),
        ),
        None => say(
            format!("is no kind of job; there are: {en}"),
            format!("不是任务类型；可用类型：{zh}"),
        ),
    };
    Some(Fault::new("?kind", "unknown_value", message))
}

/// Cuts off what only shows that there is more.
fn cut<T>(rows: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more
}

/// Long work under way and done
///
/// Your own, newest first; with the permission `job.read` also that of the people within its scope.
#[utoipa::path(tag = "jobs", operation_id = "list_jobs", params(JobParameters), security(("bearer" = [])), responses((status = 200, body = JobPage)))]
#[get("/v1/jobs")]
pub async fn list_jobs(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    kinds: web::Data<Registered>,
    ctx: Ctx,
) -> AppResult<Reply> {
    let wanted = Wanted::read(request.query_string(), "limit, cursor, state, kind", kinds.0)?;
    let cursors = Cursors {
        secrets: &shared.auth.secrets,
        ctx: &ctx,
        path: request.path(),
        filters: &wanted.filters,
    };
    let sql = wanted.jobs(&ctx, wanted.after(&cursors)?);
    let mut rows: Vec<JobRow> = db
        .read_at_length(async |conn| Ok(sql.clone().query().load(conn).await?))
        .await?;
    let has_more = cut(&mut rows, wanted.limit);
    let last = rows.last().filter(|_| has_more);
    let next = last.map(|last| cursors.sign(&last.id.to_string()));
    let views = rows.iter().map(|row| row.view(ctx.lang)).collect();
    Ok(page_reply(&request, views, next, None)?.with_weak_tag())
}

/// One piece of long work
///
/// Its state, how far it is and how fast, what came of it and where to find that. Ask again until `state` is `done`,
/// `failed` or `cancelled`, or follow `events`. It survives a restart of the server.
#[utoipa::path(tag = "jobs", operation_id = "get_job", security(("bearer" = [])), responses((status = 200, body = JobView)))]
#[get("/v1/jobs/{id}")]
pub async fn get_job(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    let job = db
        .read(async |conn| rows::find(conn, &ctx, id.0).await)
        .await?
        .or_not_found()?;
    Ok(Reply::ok(&job.view(ctx.lang))?.with_version(job.version))
}

/// What a job could not do
///
/// Row by row, in the order in which it met them; warnings of rows that were taken stand among them, known by
/// their `severity`. The job goes on past them, unless it was told to stop at the first.
#[utoipa::path(tag = "jobs", operation_id = "list_job_errors", params(ErrorParameters), security(("bearer" = [])), responses((status = 200, body = JobErrorPage)))]
#[get("/v1/jobs/{id}/errors")]
pub async fn list_job_errors(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    let wanted = Wanted::read(request.query_string(), "limit, cursor", &[])?;
    let cursors = Cursors {
        secrets: &shared.auth.secrets,
        ctx: &ctx,
        path: request.path(),
        filters: "",
    };
    let after = wanted.after(&cursors)?.unwrap_or(0);
    db.read(async |conn| rows::find(conn, &ctx, id.0).await)
        .await?
        .or_not_found()?;
    let mut errors: Vec<ErrorRow> = db
        .read(async |conn| rows::errors(conn, ctx.tenant, id.0, after, wanted.limit + 1).await)
        .await?;
    let has_more = cut(&mut errors, wanted.limit);
    let last = errors.last().filter(|_| has_more);
    let next = last.map(|last| cursors.sign(&last.ordinal.to_string()));
    let views = errors.into_iter().map(|error| error.view(ctx.lang)).collect();
    Ok(page_reply(&request, views, next, None)?.with_weak_tag())
}

/// Stops a job
///
/// One that waits is cancelled at once, one that runs after the chunk that it is at. What it did until then stays done.
/// Your own; with the permission `job.write` also those of the people within its scope. One that has ended is refused
/// (`conflict`), unless it was cancelled already.
#[utoipa::path(tag = "jobs", operation_id = "cancel_job", security(("bearer" = [])), responses((status = 200, body = JobView)))]
#[post("/v1/jobs/{id}/cancel")]
pub async fn cancel_job(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    db.write(&ctx, async |tx| {
        let (mut job, may) = rows::lock(tx, &ctx, id.0).await?.or_not_found()?;
        if !may {
            return Err(AppError::forbidden("job.write"));
        }
        ctx.if_match(job.version)?;
        let state = JobState::read(&job.state);
        if state.has_ended() && state != JobState::Cancelled {
            return Err(AppError::refuse(
                Code::Conflict,
                say("It has ended already", "任务已结束"),
            ));
        }
        if !job.is_cancel_asked {
            job = rows::ask_cancel(tx, &ctx, id.0).await?;
            let data = json!({ "kind": job.kind });
            tx.record(Event::new("job.cancel_asked", "job", job.id, data));
        }
        Ok(Reply::ok(&job.view(ctx.lang))?.with_version(job.version))
    })
    .await
}
