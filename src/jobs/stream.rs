//! A job's progress as server-sent events.

use super::rows;
use super::view::{JobState, JobView};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Id, Shared};
use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use futures::stream;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(300);
/// After so long without news it says that it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// How long one connection is served; the client comes back, and proves itself anew, when it ends.
const LONGEST: Duration = Duration::from_secs(300);

/// A client that follows a job.
struct Follower {
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
    /// The version that the client has.
    seen: Option<i32>,
    begun: Instant,
    spoken: Instant,
    has_ended: bool,
}

/// One of the events.
#[derive(ToSchema)]
#[schema(example = json!({ "event": "progress", "id": "2", "retry": 1000, "data": "{}" }))]
#[expect(dead_code, reason = "it describes lines of text to a reader of the document")]
struct JobEvent {
    /// `progress`, or `end` for the last one.
    event: String,
    /// The job's version.
    id: String,
    /// After how many milliseconds to connect again.
    retry: i32,
    /// The job as JSON text, of the shape that `GET /v1/jobs/{id}` answers.
    data: String,
}

/// Follows a job
///
/// Server-sent events: `progress` with the job as `GET /v1/jobs/{id}` shows it, each time that it has moved, and `end` with
/// its last state, after which the stream ends. After a break of the connection send `Last-Event-ID`: the stream goes on
/// from there; where the job has ended and you have seen it, the answer is 204, which tells a browser to stop asking.
#[utoipa::path(tag = "jobs", operation_id = "stream_job", params(
    ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that you have seen; one that we never gave is as none.", example = "3")
), security(("bearer" = [])), responses(
    (status = 200, body = JobEvent, content_type = "text/event-stream", description = "The events, one after the other, each of this shape."),
    (status = 204, description = "It has ended, and you have seen that.")
))]
#[get("/v1/jobs/{id}/events")]
pub async fn stream_job(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<HttpResponse> {
    let job = db
        .read(async |conn| rows::find(conn, &ctx, id.0).await)
        .await?
        .or_not_found()?;
    let seen = request.headers().get("last-event-id");
    let seen = seen.and_then(|id| id.to_str().ok()?.trim().parse().ok());
    if JobState::read(&job.state).has_ended() && seen == Some(job.version) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let follower = Follower {
        db,
        shared,
        ctx,
        id,
        seen,
        begun: Instant::now(),
        spoken: Instant::now(),
        has_ended: false,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .streaming(stream::unfold(follower, |follower| async {
            follower.next().await.transpose().map(|spoken| match spoken {
                Ok((bytes, follower)) => (Ok::<Bytes, AppError>(bytes), follower),
                Err((error, follower)) => (Err(error), follower),
            })
        })))
}

type Spoken = (Bytes, Follower);

impl Follower {
    /// The next event, or a sign of life; `None` when there is nothing more to say.
    async fn next(mut self) -> Result<Option<Spoken>, (AppError, Follower)> {
        while !self.has_ended && self.begun.elapsed() < LONGEST && !self.shared.is_stopping() {
            let job = match self.look().await {
                Ok(job) => job,
                Err(error) => {
                    self.has_ended = true;
                    return Err((error, self));
                }
            };
            if self.seen != Some(job.version) {
                self.seen = Some(job.version);
                self.has_ended = job.state.has_ended();
                self.spoken = Instant::now();
                return Ok(Some((event(&job), self)));
            }
            if self.spoken.elapsed() > SIGN_OF_LIFE {
                self.spoken = Instant::now();
                return Ok(Some((Bytes::from_static(b": still there\n\n"), self)));
            }
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(None)
    }

    async fn look(&self) -> AppResult<JobView> {
        let job = self
            .db
            .read(async |conn| rows::find(conn, &self.ctx, self.id.0).await)
            .await?
            .or_not_found()?;
        Ok(job.view(self.ctx.lang))
    }
}

fn event(job: &JobView) -> Bytes {
    let name = if job.state.has_ended() { "end" } else { "progress" };
    let data = serde_json::to_string(job).unwrap_or_default();
    Bytes::from(format!(
        "event: {name}\nid: {}\nretry: 1000\ndata: {data}\n\n",
        job.version
    ))
}
