//! Works at jobs. Any number of servers run one: a job is claimed by whoever comes first, for as long as its lease holds;
//! each chunk renews it, and commits only onto the number of chunks that it began with, so that a server which slept
//! through its lease undoes its own work and nobody else's.

use super::rows::{self, COLUMNS, Ending, Hold, JobRow};
use super::{JobKind, JobRun, Kinds, Progress, Step, gave_up};
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult, Refusal};
use crate::kernel::problem::Code;
use crate::kernel::text::{Lang, say};
use crate::platform::auth::{business_now, load_company, principal_of};
use crate::platform::clock::real_now;
use crate::platform::db::{Db, Tx, is_outage};
use crate::platform::duty::{Duty, Stop};
use crate::platform::events::Event;
use crate::platform::replica::Place;
use crate::platform::reply::Reply;
use diesel::sql_types::{Array, Integer, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::json;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(200);
/// For how long a claim, and each chunk, holds the job.
const LEASE_SECONDS: i32 = 30;
/// How long a chunk may take: it ends while the lease holds.
const PATIENCE: Duration = Duration::from_secs(20);
/// After so long other jobs have their turn.
const TURN: Duration = Duration::from_secs(1);
/// Claims without a committed chunk after which a job has failed.
const MOST_ATTEMPTS: i32 = 8;

/// Starts a worker beside any others.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(
    place: impl Into<Place>,
    kinds: Kinds,
) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn("jobs", place, move |db, stop| run(db, stop, kinds))
}

async fn run(db: Db, mut stop: Stop, kinds: Kinds) {
    let worker = Worker {
        db,
        kinds,
        names: kinds.iter().map(|kind| kind.name.to_owned()).collect(),
        holder: Uuid::now_v7(),
    };
    while !stop.is_asked() {
        let has_worked = worker.round(&stop).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "jobs could not be looked for; trying again");
            false
        });
        if !has_worked {
            stop.pause(INTERVAL).await;
        }
    }
}

struct Worker {
    db: Db,
    kinds: Kinds,
    names: Vec<String>,
    holder: Uuid,
}

#[derive(QueryableByName)]
struct TenantRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
}

/// Companies with a job that anybody may claim, who has waited longest first.
const WITH_WORK: &str = "SELECT tenant_id FROM jobs WHERE state IN ('queued', 'running') AND due_at <= $1 AND kind = ANY($2) \
     GROUP BY tenant_id ORDER BY min(due_at) LIMIT 50";

/// What came of a chunk.
enum Outcome {
    More(Box<JobRow>),
    Ended,
    /// The job is another server's by now.
    Overtaken,
}

/// Marks a transaction that is rolled back because the job is another server's by now.
#[derive(Debug, thiserror::Error)]
#[error("the job was taken over by another server")]
struct Overtaken;

impl Worker {
    /// Gives each company that has work one turn; answers whether there was any.
    async fn round(&self, stop: &Stop) -> AppResult<bool> {
        let now = real_now();
        let tenants: Vec<TenantRow> = self
            .db
            .read(async |conn| {
                Ok(sql_query(WITH_WORK)
                    .bind::<Timestamptz, _>(now)
                    .bind::<Array<Text>, _>(&self.names)
                    .load(conn)
                    .await?)
            })
            .await?;
        let mut has_worked = false;
        for TenantRow { tenant_id } in tenants {
            if stop.is_asked() {
                break;
            }
            let Some(job) = self.claim(tenant_id).await? else {
                continue;
            };
            has_worked = true;
            let id = job.id;
            if let Err(error) = self.turn(stop, tenant_id, job).await {
                tracing::warn!(%error, job = %id, "a job could not be worked at; its lease runs out");
            }
        }
        Ok(has_worked)
    }

    /// The one that has waited longest; one that has not begun goes before those which began, but for those that have waited
    /// five seconds longer: so short ones are soon done, and long ones go on however many come.
    async fn claim(&self, tenant: Uuid) -> AppResult<Option<JobRow>> {
        self.db
            .bookkeep(async |conn| {
                let query = sql_query(format!(
                    "UPDATE jobs AS j SET state = 'running', holder = $2, attempts = attempts + 1, \
                        due_at = now() + make_interval(secs => $3), started_at = coalesce(started_at, $4), version = version + 1 \
                     WHERE j.tenant_id = $1 AND j.id = (SELECT q.id FROM jobs q WHERE q.tenant_id = $1 \
                        AND q.state IN ('queued', 'running') AND q.due_at <= $4 AND q.kind = ANY($5) \
                        ORDER BY q.due_at - CASE WHEN q.steps = 0 THEN interval '5 seconds' ELSE interval '0' END, q.id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
                ))
                .bind::<SqlUuid, _>(tenant)
                .bind::<SqlUuid, _>(self.holder)
                .bind::<Integer, _>(LEASE_SECONDS)
                .bind::<Timestamptz, _>(real_now())
                .bind::<Array<Text>, _>(&self.names);
                Ok(query.get_result(conn).await.optional()?)
            })
            .await
    }

    /// Works at a claimed job until its turn is over.
    async fn turn(&self, stop: &Stop, tenant: Uuid, mut job: JobRow) -> AppResult<()> {
        let begun = Instant::now();
        loop {
            let attempts = job.attempts;
            let (id, steps) = (job.id, job.steps);
            match self.chunk(tenant, &job).await {
                Ok(Outcome::More(next)) => job = *next,
                Ok(Outcome::Ended | Outcome::Overtaken) => return Ok(()),
                Err(error) => {
                    tracing::error!(job = %id, kind = %job.kind, attempts, %error, "a chunk failed; it is tried again");
                    return self.give_back(tenant, id, steps, back_off(attempts)).await;
                }
            }
            if stop.is_asked() || begun.elapsed() > TURN {
                return self.give_back(tenant, id, job.steps, 0).await;
            }
        }
    }

    /// Lets others claim the job, after so many seconds.
    async fn give_back(&self, tenant: Uuid, id: Uuid, steps: i64, seconds: i32) -> AppResult<()> {
        self.db
            .bookkeep(async |conn| {
                sql_query(
                    "UPDATE jobs SET holder = NULL, due_at = now() + make_interval(secs => $5) \
                     WHERE tenant_id = $1 AND id = $2 AND holder = $3 AND steps = $4 AND state = 'running'",
                )
                .bind::<SqlUuid, _>(tenant)
                .bind::<SqlUuid, _>(id)
                .bind::<SqlUuid, _>(self.holder)
                .bind::<diesel::sql_types::BigInt, _>(steps)
                .bind::<Integer, _>(seconds)
                .execute(conn)
                .await?;
                Ok(())
            })
            .await
    }

    /// Does one chunk, or ends the job where there is none to do.
    async fn chunk(&self, tenant: Uuid, job: &JobRow) -> AppResult<Outcome> {
        let (run, hold) = (
            job.run(),
            Hold {
                holder: self.holder,
                steps: job.steps,
            },
        );
        let Some(mut ctx) = self.system_terms(tenant, job).await? else {
            return Ok(Outcome::Overtaken);
        };
        if job.is_cancel_asked {
            return self.end(&ctx, &run, hold, "cancelled", None).await;
        }
        if job.attempts > MOST_ATTEMPTS {
            let failure = Refusal::clone(&refusal(AppError::refuse(Code::Internal, gave_up())));
            return self.end(&ctx, &run, hold, "failed", Some(&failure)).await;
        }
        let Some(kind) = self.kinds.iter().find(|kind| kind.name == job.kind) else {
            return Err(AppError::internal(format!("no job kind {}", job.kind)));
        };
        let worked = match self.take_rights(&mut ctx, kind, job).await {
            Ok(()) => self.work(&ctx, kind, &run, hold).await,
            Err(error) => Err(error),
        };
        match worked {
            Err(AppError::Refused(refusal)) if !is_outage(refusal.code) => {
                self.end(&ctx, &run, hold, "failed", Some(&refusal)).await
            }
            other => other,
        }
    }

    /// The system's terms for this job; those of its asker are put in by [`Worker::take_rights`].
    async fn system_terms(&self, tenant: Uuid, job: &JobRow) -> AppResult<Option<Ctx>> {
        let Some(company) = load_company(&self.db, tenant).await? else {
            return Ok(None);
        };
        let company = Arc::new(company);
        let now = business_now(&self.db, tenant, &company).await?;
        let mut ctx = Ctx::system(company, tenant, ActorKind::Job, now, real_now());
        ctx.actor_id = Some(job.id);
        ctx.command_id = job.id;
        ctx.request_id = Arc::from(job.id.to_string());
        ctx.lang = Lang::from_accept_language(&job.lang);
        ctx.cause = Some(match job.asked_by {
            Some(user) => format!("job {}, asked for by user {user}", job.kind),
            None => format!("job {}", job.kind),
        });
        Ok(Some(ctx))
    }

    /// The asker's rights as they are now.
    async fn take_rights(&self, ctx: &mut Ctx, kind: &JobKind, job: &JobRow) -> AppResult<()> {
        let Some(user) = job.asked_by else { return Ok(()) };
        let principal = principal_of(&self.db, ctx.tenant, user, job.api_key_id).await?;
        let principal = principal.ok_or_else(|| {
            AppError::refuse(
                Code::Forbidden,
                say(
                    "Whoever asked for it may no longer sign in",
                    "提交此任务的人已无法登录",
                ),
            )
        })?;
        ctx.user = user;
        ctx.principal = Arc::new(principal);
        if kind.permission.is_empty() {
            return Ok(());
        }
        ctx.require(kind.permission)
    }

    async fn work(&self, ctx: &Ctx, kind: &JobKind, run: &JobRun, hold: Hold) -> AppResult<Outcome> {
        let outcome = RefCell::new(Outcome::Ended);
        let written = self.db.write(ctx, async |tx| {
            let done = (kind.step)(tx, ctx, run).await?;
            let now = Ctx {
                recorded_at: real_now(),
                ..ctx.clone()
            };
            *outcome.borrow_mut() = commit(tx, &now, run, hold, done).await?;
            Ok(Reply::no_content())
        });
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(_)) => Ok(outcome.into_inner()),
            Ok(Err(AppError::Internal(error))) if error.is::<Overtaken>() => Ok(Outcome::Overtaken),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(AppError::internal("a chunk took too long")),
        }
    }

    async fn end(
        &self,
        ctx: &Ctx,
        run: &JobRun,
        hold: Hold,
        state: &'static str,
        failure: Option<&Refusal>,
    ) -> AppResult<Outcome> {
        let failure = failure.map(|refusal| {
            json!({ "code": refusal.code.as_str(), "en": refusal.detail.en, "zh": refusal.detail.zh })
        });
        let ending = Ending {
            state,
            progress: None,
            result: run.so_far(),
            failure,
        };
        let ended = self.db.write(ctx, async |tx| {
            if !rows::end(tx, ctx, run, hold, &ending).await? {
                return Err(AppError::internal(Overtaken));
            }
            record_end(tx, run, state);
            Ok(Reply::no_content())
        });
        match ended.await {
            Ok(_) => Ok(Outcome::Ended),
            Err(AppError::Internal(error)) if error.is::<Overtaken>() => Ok(Outcome::Overtaken),
            Err(error) => Err(error),
        }
    }
}

fn refusal(error: AppError) -> Box<Refusal> {
    Box::new(error.to_refusal())
}

/// Writes what a chunk leaves, in its transaction.
async fn commit(tx: &mut Tx, ctx: &Ctx, run: &JobRun, hold: Hold, step: Step) -> AppResult<Outcome> {
    match step {
        Step::More { progress, checkpoint } => {
            let next = rows::advance(tx, ctx, run, hold, LEASE_SECONDS, &progress, &checkpoint).await?;
            let next = next.ok_or_else(|| AppError::internal(Overtaken))?;
            rows::write_errors(tx, ctx, run, &progress.errors).await?;
            Ok(Outcome::More(Box::new(next)))
        }
        Step::Done { progress, result } => {
            finish(tx, ctx, run, hold, &progress, result).await?;
            Ok(Outcome::Ended)
        }
    }
}

async fn finish(
    tx: &mut Tx,
    ctx: &Ctx,
    run: &JobRun,
    hold: Hold,
    progress: &Progress,
    result: serde_json::Value,
) -> AppResult<()> {
    let ending = Ending {
        state: "done",
        progress: Some(progress),
        result: Some(result),
        failure: None,
    };
    if !rows::end(tx, ctx, run, hold, &ending).await? {
        return Err(AppError::internal(Overtaken));
    }
    rows::write_errors(tx, ctx, run, &progress.errors).await?;
    record_end(tx, run, "done");
    Ok(())
}

fn record_end(tx: &mut Tx, run: &JobRun, state: &str) {
    let data = json!({ "kind": run.kind });
    tx.record(Event::new(format!("job.{state}"), "job", run.id, data));
}

/// Seconds before a job is tried again after its n-th claim without a committed chunk: doubling from 2, 256 at most.
fn back_off(attempts: i32) -> i32 {
    2 << attempts.saturating_sub(1).clamp(0, 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_and_is_bounded() {
        assert_eq!([1, 2, 3, 8, i32::MAX].map(back_off), [2, 4, 8, 256, 256]);
    }
}
