//! The tables `jobs` and `job_errors`.

use super::{JobRun, Progress, RowError};
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::sql::{Bind, Sql};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use uuid::Uuid;

/// A job.
#[derive(Debug, Clone, QueryableByName)]
pub struct JobRow {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub asked_by: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub api_key_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    pub lang: String,
    #[diesel(sql_type = Jsonb)]
    pub params: Value,
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub checkpoint: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub result: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub failure: Option<Value>,
    #[diesel(sql_type = BigInt)]
    pub done_count: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub total_count: Option<i64>,
    #[diesel(sql_type = BigInt)]
    pub error_count: i64,
    #[diesel(sql_type = Bool)]
    pub is_cancel_asked: bool,
    #[diesel(sql_type = BigInt)]
    pub steps: i64,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    pub version: i32,
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub updated_at: DateTime<Utc>,
}

/// The columns of [`JobRow`].
pub const COLUMNS: &str = "j.id, j.kind, j.state, j.asked_by, j.api_key_id, j.lang, j.params, j.checkpoint, j.result, j.failure, \
     j.done_count, j.total_count, j.error_count, j.is_cancel_asked, j.steps, j.attempts, j.started_at, j.ended_at, j.version, \
     j.created_at, j.updated_at";

impl JobRow {
    pub fn run(&self) -> JobRun {
        JobRun {
            id: self.id,
            kind: self.kind.clone(),
            asked_by: self.asked_by,
            params: self.params.clone(),
            checkpoint: self.checkpoint.clone(),
            done: self.done_count,
            total: self.total_count,
            errors: self.error_count,
        }
    }
}

pub struct NewJob {
    pub id: Uuid,
    pub kind: &'static str,
    pub asked_by: Option<Uuid>,
    pub key: Option<Uuid>,
    pub params: Value,
    pub total: Option<i64>,
}

pub async fn insert(tx: &mut Tx, ctx: &Ctx, new: &NewJob) -> AppResult<JobRow> {
    let query = sql_query(format!(
        "INSERT INTO jobs AS j (tenant_id, id, kind, asked_by, api_key_id, lang, params, total_count, due_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9) RETURNING {COLUMNS}"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(new.id)
    .bind::<Text, _>(new.kind)
    .bind::<Nullable<SqlUuid>, _>(new.asked_by)
    .bind::<Nullable<SqlUuid>, _>(new.key)
    .bind::<Text, _>(ctx.lang.tag())
    .bind::<Jsonb, _>(&new.params)
    .bind::<Nullable<BigInt>, _>(new.total)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    Ok(Cached(query).get_result(&mut **tx).await?)
}

/// Which jobs a caller reaches by a permission: their own, and those of the people within its scope.
pub fn within(sql: &mut Sql, ctx: &Ctx, permission: &str) -> String {
    match ctx.reach(permission) {
        Reach::All => String::from("TRUE"),
        Reach::Owners(owners) => {
            let mut owners = owners.to_vec();
            owners.push(ctx.user);
            format!("j.asked_by = ANY({})", sql.place(Bind::Ids(owners)))
        }
        Reach::Nobody => format!("j.asked_by = {}", sql.place(Bind::Id(ctx.user))),
    }
}

/// A job that the caller may see.
pub async fn find(conn: &mut &AsyncPgConnection, ctx: &Ctx, id: Uuid) -> AppResult<Option<JobRow>> {
    let mut sql = Sql::of(ctx.tenant);
    let within = within(&mut sql, ctx, "job.read");
    let id = sql.place(Bind::Id(id));
    sql.push(&format!(
        "SELECT {COLUMNS} FROM jobs j WHERE j.tenant_id = $1 AND j.id = {id} AND {within}"
    ));
    Ok(sql.query().get_result(conn).await.optional()?)
}

/// Locks a job and says whether the caller may change it.
pub async fn lock(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<Option<(JobRow, bool)>> {
    let mut sql = Sql::of(ctx.tenant);
    let within_read = within(&mut sql, ctx, "job.read");
    let place = sql.place(Bind::Id(id));
    sql.push(&format!(
        "SELECT {COLUMNS} FROM jobs j WHERE j.tenant_id = $1 AND j.id = {place} AND {within_read} FOR UPDATE OF j"
    ));
    let row: Option<JobRow> = sql.query().get_result(&mut **tx).await.optional()?;
    Ok(row.map(|row| {
        let may = match (row.asked_by, ctx.reach("job.write")) {
            (_, Reach::All) => true,
            (Some(asker), Reach::Owners(owners)) => asker == ctx.user || owners.contains(&asker),
            (asker, _) => asker == Some(ctx.user),
        };
        (row, may)
    }))
}

/// Notes that a job is to stop; a queued one stops at once.
pub async fn ask_cancel(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<JobRow> {
    let query = sql_query(format!(
        "UPDATE jobs AS j SET is_cancel_asked = true, version = version + 1, updated_at = $3, \
            state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END, \
            ended_at = CASE state WHEN 'queued' THEN $3 ELSE ended_at END \
         WHERE j.tenant_id = $1 AND j.id = $2 RETURNING {COLUMNS}"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    Ok(Cached(query).get_result(&mut **tx).await?)
}

/// Whose a job is: a server's, at a number of committed chunks.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    pub holder: Uuid,
    pub steps: i64,
}

/// Commits a chunk's checkpoint with it and renews the lease. `None` when the job is another server's by now.
pub async fn advance(
    tx: &mut Tx,
    ctx: &Ctx,
    run: &JobRun,
    hold: Hold,
    lease_seconds: i32,
    progress: &Progress,
    checkpoint: &Value,
) -> AppResult<Option<JobRow>> {
    let query = sql_query(format!(
        "UPDATE jobs AS j SET checkpoint = $5, done_count = $6, total_count = $7, error_count = error_count + $8, attempts = 0, \
            steps = steps + 1, due_at = now() + make_interval(secs => $9), updated_at = $10, version = version + 1 \
         WHERE j.tenant_id = $1 AND j.id = $2 AND holder = $3 AND steps = $4 AND state = 'running' RETURNING {COLUMNS}"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(run.id)
    .bind::<SqlUuid, _>(hold.holder)
    .bind::<BigInt, _>(hold.steps)
    .bind::<Jsonb, _>(checkpoint)
    .bind::<BigInt, _>(progress.done)
    .bind::<Nullable<BigInt>, _>(progress.total)
    .bind::<BigInt, _>(count(&progress.errors))
    .bind::<Integer, _>(lease_seconds)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    Ok(Cached(query).get_result(&mut **tx).await.optional()?)
}

/// How a job ends.
pub struct Ending<'a> {
    pub state: &'static str,
    pub progress: Option<&'a Progress>,
    pub result: Option<Value>,
    pub failure: Option<Value>,
}

/// Ends a job. False when it is another server's by now.
pub async fn end(tx: &mut Tx, ctx: &Ctx, run: &JobRun, hold: Hold, ending: &Ending<'_>) -> AppResult<bool> {
    let errors = ending.progress.map_or(0, |progress| count(&progress.errors));
    let query = sql_query(
        "UPDATE jobs SET state = $5, done_count = $6, total_count = $7, error_count = error_count + $8, result = $9, failure = $10, \
            steps = steps + 1, holder = NULL, ended_at = $11, updated_at = $11, version = version + 1 \
         WHERE tenant_id = $1 AND id = $2 AND holder = $3 AND steps = $4 AND state = 'running'",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(run.id)
    .bind::<SqlUuid, _>(hold.holder)
    .bind::<BigInt, _>(hold.steps)
    .bind::<Text, _>(ending.state)
    .bind::<BigInt, _>(ending.progress.map_or(run.done, |progress| progress.done))
    .bind::<Nullable<BigInt>, _>(ending.progress.map_or(run.total, |progress| progress.total))
    .bind::<BigInt, _>(errors)
    .bind::<Nullable<Jsonb>, _>(&ending.result)
    .bind::<Nullable<Jsonb>, _>(&ending.failure)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    Ok(Cached(query).execute(&mut **tx).await? > 0)
}

fn count(errors: &[RowError]) -> i64 {
    i64::try_from(errors.len()).unwrap_or(i64::MAX)
}

const INSERT_ERRORS: &str = "\
INSERT INTO job_errors (tenant_id, job_id, ordinal, row_number, subject_id, pointer, heading, value, code, message_en, message_zh, original, is_warning) \
SELECT $1, $2, $3 + e.ordinality, (e.v->>'row')::bigint, (e.v->>'subject')::uuid, e.v->>'pointer', e.v->>'heading', e.v->>'value', \
    e.v->>'code', e.v->>'en', e.v->>'zh', nullif(e.v->'original', 'null'::jsonb), (e.v->>'warning')::boolean \
FROM jsonb_array_elements($4) WITH ORDINALITY AS e (v, ordinality)";

/// A row as it is kept: the database keeps no order of members, but that of items.
fn cells(original: &Value) -> Value {
    match original {
        Value::Object(cells) => cells
            .iter()
            .map(|(heading, cell)| json!([heading, cell]))
            .collect(),
        other => other.clone(),
    }
}

/// Writes a chunk's errors after those that the job has already.
pub async fn write_errors(tx: &mut Tx, ctx: &Ctx, run: &JobRun, errors: &[RowError]) -> AppResult<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let rows = errors
        .iter()
        .map(|error| {
            json!({
                "row": error.row, "subject": error.subject, "pointer": error.pointer, "heading": error.heading,
                "value": error.value, "code": error.code, "en": error.message.en, "zh": error.message.zh,
                "original": error.original.as_ref().map(cells), "warning": error.is_warning,
            })
        })
        .collect::<Vec<_>>();
    let query = sql_query(INSERT_ERRORS)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(run.id)
        .bind::<BigInt, _>(run.errors)
        .bind::<Jsonb, _>(Value::Array(rows));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// An error of a job.
#[derive(QueryableByName)]
pub struct ErrorRow {
    #[diesel(sql_type = BigInt)]
    pub ordinal: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub row_number: Option<i64>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub subject_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    pub pointer: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub heading: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub value: Option<String>,
    #[diesel(sql_type = Text)]
    pub code: String,
    #[diesel(sql_type = Text)]
    pub message_en: String,
    #[diesel(sql_type = Text)]
    pub message_zh: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub original: Option<Value>,
    #[diesel(sql_type = Bool)]
    pub is_warning: bool,
}

/// Errors of a job after a place among them.
pub async fn errors(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    job: Uuid,
    after: i64,
    limit: i64,
) -> AppResult<Vec<ErrorRow>> {
    let query = sql_query(
        "SELECT ordinal, row_number, subject_id, pointer, heading, value, code, message_en, message_zh, original, is_warning \
         FROM job_errors WHERE tenant_id = $1 AND job_id = $2 AND ordinal > $3 ORDER BY ordinal LIMIT $4",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(job)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit);
    Ok(Cached(query).load(conn).await?)
}
