//! The statements of migrations.

use super::wire::AnswerRule;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::platform::db::{Cached, Tx};
use crate::platform::records::sql::{Bind, Sql};
use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Numeric, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A version of the pipeline, with how many open deals are on it.
#[derive(Debug, Clone, QueryableByName)]
pub struct VersionRow {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Integer)]
    pub number: i32,
    #[diesel(sql_type = Text)]
    pub state: String,
}

/// All versions of a pipeline, by number.
pub async fn versions(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    pipeline: Uuid,
) -> AppResult<Vec<VersionRow>> {
    let query = sql_query(
        "SELECT v.id, v.number, v.state FROM pipeline_versions v WHERE v.tenant_id = $1 AND v.pipeline_id = $2 ORDER BY v.number",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(pipeline);
    Ok(Cached(query).load(conn).await?)
}

/// How many open deals are in a stage of a version.
#[derive(Debug, Clone, QueryableByName)]
pub struct OpenRow {
    #[diesel(sql_type = SqlUuid)]
    pub version_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub stage_id: Uuid,
    #[diesel(sql_type = BigInt)]
    pub open: i64,
}

/// The open deals of a pipeline, counted by version and stage.
pub async fn open_deals(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    pipeline: Uuid,
) -> AppResult<Vec<OpenRow>> {
    let query = sql_query(
        "SELECT t.pipeline_version_id AS version_id, t.stage_id, count(*) AS open FROM opportunities t \
         WHERE t.tenant_id = $1 AND t.pipeline_id = $2 AND t.status = 'open' AND t.archived_at IS NULL GROUP BY 1, 2",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(pipeline);
    Ok(Cached(query).load(conn).await?)
}

#[derive(QueryableByName)]
struct ChanceRow {
    #[diesel(sql_type = SqlUuid)]
    stage_id: Uuid,
    #[diesel(sql_type = Numeric)]
    chance: Decimal,
}

/// What each stage of a version gives: its calibrated chance of winning, else its default one.
pub async fn chances(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    version: Uuid,
) -> AppResult<BTreeMap<Uuid, Decimal>> {
    let query = sql_query(
        "SELECT s.stage_id, coalesce(s.probability_calibrated, s.probability) AS chance FROM version_stages s \
         WHERE s.tenant_id = $1 AND s.version_id = $2",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(version);
    let rows: Vec<ChanceRow> = Cached(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.stage_id, row.chance)).collect())
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

fn ids(rows: Vec<IdRow>) -> Vec<Uuid> {
    rows.into_iter().map(|row| row.id).collect()
}

/// Which deals a migration is about: the open ones on these versions.
pub fn is_open_on(versions: &str) -> String {
    format!(
        "t.tenant_id = $1 AND t.pipeline_version_id = ANY({versions}) AND t.status = 'open' AND t.archived_at IS NULL"
    )
}

/// Ids of the deals in question, after one of them, in order.
pub async fn deals_after(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    versions: &[Uuid],
    after: Uuid,
    limit: i64,
) -> AppResult<Vec<Uuid>> {
    let mut sql = Sql::of(tenant);
    let versions = sql.place(Bind::Ids(versions.to_vec()));
    let after = sql.place(Bind::Id(after));
    let limit = sql.place(Bind::Long(limit));
    let about = is_open_on(&versions);
    sql.push(&format!(
        "SELECT t.id FROM opportunities t WHERE {about} AND t.id > {after} ORDER BY t.id LIMIT {limit}"
    ));
    Ok(ids(sql.query().load(conn).await?))
}

/// Marks migrations of a locked pipeline as stopped whose job has ended without them.
pub async fn stop_orphans(tx: &mut Tx, ctx: &Ctx, pipeline: Uuid) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let pipeline = sql.place(Bind::Id(pipeline));
    let now = sql.place(Bind::Instant(ctx.now));
    sql.push(&format!(
        "UPDATE pipeline_migrations AS t SET state = 'stopped', finished_at = coalesce(t.finished_at, {now}), version = t.version + 1, updated_at = {now} \
         WHERE t.tenant_id = $1 AND t.pipeline_id = {pipeline} AND t.state IN ('running', 'rolling_back') \
         AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.tenant_id = $1 AND j.state IN ('queued', 'running') \
             AND j.id = CASE t.state WHEN 'running' THEN t.job_id ELSE t.roll_back_job_id END)"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}

/// The migration of a pipeline that is under way.
pub async fn under_way(tx: &mut Tx, tenant: Uuid, pipeline: Uuid) -> AppResult<Option<Uuid>> {
    let query = sql_query(
        "SELECT t.id FROM pipeline_migrations t WHERE t.tenant_id = $1 AND t.pipeline_id = $2 AND t.state IN ('running', 'rolling_back')",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(pipeline);
    let row: Option<IdRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    Ok(row.map(|row| row.id))
}

/// A migration as it is written at its start.
pub struct NewMigration<'a> {
    pub id: Uuid,
    pub pipeline_id: Uuid,
    pub from_version_ids: &'a [Uuid],
    pub to_version_id: Uuid,
    pub stages: &'a BTreeMap<String, String>,
    pub answers: AnswerRule,
    pub reason: Option<&'a str>,
    pub job_id: Uuid,
}

/// Writes a migration with the deals that it is about; answers how many.
pub async fn insert(tx: &mut Tx, ctx: &Ctx, new: &NewMigration<'_>) -> AppResult<i32> {
    let mut sql = Sql::of(ctx.tenant);
    let versions = sql.place(Bind::Ids(new.from_version_ids.to_vec()));
    let id = sql.place(Bind::Id(new.id));
    let pipeline = sql.place(Bind::Id(new.pipeline_id));
    let to = sql.place(Bind::Id(new.to_version_id));
    let job = sql.place(Bind::Id(new.job_id));
    let now = sql.place(Bind::Instant(ctx.now));
    let answers: &'static str = new.answers.into();
    let by = (!ctx.user.is_nil()).then_some(ctx.user);
    let said = sql.place(Bind::Json(json!({
        "stages": new.stages, "answers": answers, "reason": new.reason, "by": by,
    })));
    sql.push(&format!(
        "INSERT INTO pipeline_migrations (tenant_id, id, pipeline_id, from_version_ids, to_version_id, stage_map, answers, reason, planned, requested_by, job_id, created_at, updated_at) \
         SELECT $1, {id}, {pipeline}, {versions}, {to}, s.said->'stages', s.said->>'answers', s.said->>'reason', \
             0, (s.said->>'by')::uuid, {job}, {now}, {now} FROM (SELECT {said}::jsonb AS said) s"
    ));
    sql.query().execute(&mut **tx).await?;
    let mut sql = Sql::of(ctx.tenant);
    let versions = sql.place(Bind::Ids(new.from_version_ids.to_vec()));
    let about = is_open_on(&versions);
    let id = sql.place(Bind::Id(new.id));
    sql.push(&format!(
        "WITH d AS (INSERT INTO pipeline_migration_deals (tenant_id, migration_id, opportunity_id) \
             SELECT $1, {id}, t.id FROM opportunities t WHERE {about} RETURNING 1), \
         n AS (SELECT count(*)::integer AS planned FROM d) \
         UPDATE pipeline_migrations AS m SET planned = n.planned FROM n WHERE m.tenant_id = $1 AND m.id = {id} RETURNING m.planned"
    ));
    let row: PlannedRow = sql.query().get_result(&mut **tx).await?;
    Ok(row.planned)
}

#[derive(QueryableByName)]
struct PlannedRow {
    #[diesel(sql_type = Integer)]
    planned: i32,
}

/// A migration as its jobs find it, locked.
#[derive(Debug, Clone, QueryableByName)]
pub struct MigrationRow {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub pipeline_id: Uuid,
    #[diesel(sql_type = Array<SqlUuid>)]
    pub from_version_ids: Vec<Uuid>,
    #[diesel(sql_type = SqlUuid)]
    pub to_version_id: Uuid,
    #[diesel(sql_type = Jsonb)]
    stage_map: Value,
    #[diesel(sql_type = Text)]
    answers: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Integer)]
    pub planned: i32,
    #[diesel(sql_type = Integer)]
    pub moved: i32,
    #[diesel(sql_type = Integer)]
    pub skipped: i32,
    #[diesel(sql_type = Integer)]
    pub returned: i32,
    #[diesel(sql_type = Integer)]
    pub stayed: i32,
    #[diesel(sql_type = Integer)]
    pub version: i32,
}

impl MigrationRow {
    /// # Errors
    /// When what is stored is no mapping: a bug.
    pub fn stages(&self) -> AppResult<BTreeMap<String, String>> {
        serde_json::from_value(self.stage_map.clone()).map_err(AppError::internal)
    }

    /// # Errors
    /// When what is stored is no rule: a bug.
    pub fn answers(&self) -> AppResult<AnswerRule> {
        self.answers.parse().map_err(AppError::internal)
    }
}

/// Locks a migration of this pipeline, or of any.
///
/// # Errors
/// `not_found`.
pub async fn lock(tx: &mut Tx, tenant: Uuid, id: Uuid, pipeline: Option<Uuid>) -> AppResult<MigrationRow> {
    let query = sql_query(
        "SELECT t.id, t.pipeline_id, t.from_version_ids, t.to_version_id, t.stage_map, t.answers, t.reason, t.state, \
             t.planned, t.moved, t.skipped, t.returned, t.stayed, t.version \
         FROM pipeline_migrations t WHERE t.tenant_id = $1 AND t.id = $2 AND ($3 IS NULL OR t.pipeline_id = $3) FOR UPDATE",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Nullable<SqlUuid>, _>(pipeline);
    Cached(query)
        .get_result(&mut **tx)
        .await
        .optional()?
        .or_not_found()
}

/// Notes that a locked migration is being taken back, and by which job.
pub async fn begin_roll_back(tx: &mut Tx, ctx: &Ctx, migration: Uuid, job: Uuid) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(migration));
    let job = sql.place(Bind::Id(job));
    let now = sql.place(Bind::Instant(ctx.now));
    sql.push(&format!(
        "UPDATE pipeline_migrations SET state = 'rolling_back', roll_back_job_id = {job}, version = version + 1, updated_at = {now} \
         WHERE tenant_id = $1 AND id = {id}"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}

/// The next deals of a migration with this outcome, in the order of their ids.
pub async fn next_deals(
    tx: &mut Tx,
    tenant: Uuid,
    migration: Uuid,
    outcome: &str,
    limit: i64,
) -> AppResult<Vec<Uuid>> {
    let query = sql_query(
        "SELECT d.opportunity_id AS id FROM pipeline_migration_deals d \
         WHERE d.tenant_id = $1 AND d.migration_id = $2 AND d.outcome = $3 ORDER BY d.opportunity_id LIMIT $4",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(migration)
    .bind::<Text, _>(outcome)
    .bind::<BigInt, _>(limit);
    Ok(ids(Cached(query).load(&mut **tx).await?))
}

/// Locks deals, in the order of their ids.
pub async fn lock_deals(tx: &mut Tx, tenant: Uuid, deals: &[Uuid]) -> AppResult<()> {
    let query = sql_query(
        "SELECT t.id FROM opportunities t WHERE t.tenant_id = $1 AND t.id = ANY($2) ORDER BY t.id FOR UPDATE",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<SqlUuid>, _>(deals);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}
