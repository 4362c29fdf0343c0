//! The statements of pipelines and their versions.

use super::definition::PipelineDocument;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Tx};
use crate::platform::events::content_hash;
use chrono::{DateTime, Utc};
use diesel::sql_types::{
    Array, BigInt, Bool, Bytea, Integer, Jsonb, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The ids of a version's stages and their criteria, by key.
pub type Ids = BTreeMap<String, StageIds>;

/// The ids of one stage and its criteria.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StageIds {
    pub id: Uuid,
    pub criteria: BTreeMap<String, Uuid>,
}

/// A version of a pipeline.
#[derive(Debug, Clone, QueryableByName)]
pub struct Version {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub pipeline_id: Uuid,
    #[diesel(sql_type = Integer)]
    pub number: i32,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Jsonb)]
    pub document: Value,
    #[diesel(sql_type = Bytea)]
    pub document_hash: Vec<u8>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub published_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub published_by: Option<Uuid>,
    #[diesel(sql_type = Integer)]
    pub version: i32,
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub updated_at: DateTime<Utc>,
    /// The ids of all stages that the pipeline ever had, by their keys.
    #[diesel(sql_type = Nullable<Jsonb>)]
    stage_ids: Option<Value>,
}

impl Version {
    pub fn is_draft(&self) -> bool {
        self.state == "draft"
    }

    /// # Errors
    /// When what is stored is no pipeline document: a bug.
    pub fn document(&self) -> AppResult<PipelineDocument> {
        serde_json::from_value(self.document.clone()).map_err(AppError::internal)
    }

    /// The id of the stage of that key; none of one that was never published.
    #[must_use]
    pub fn stage_id(&self, key: &str) -> Option<Uuid> {
        let id = self.stage_ids.as_ref()?.get(key)?.as_str()?;
        id.parse().ok()
    }
}

const COLUMNS: &str = "id, pipeline_id, number, state, document, document_hash, published_at, published_by, version, created_at, updated_at, \
    (SELECT jsonb_object_agg(s.key, s.id) FROM stages s WHERE s.tenant_id = $1 AND s.pipeline_id = pipeline_versions.pipeline_id) AS stage_ids";

/// The version of that number.
pub async fn version(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    pipeline: Uuid,
    number: i32,
) -> AppResult<Option<Version>> {
    let text = format!(
        "SELECT {COLUMNS} FROM pipeline_versions WHERE tenant_id = $1 AND pipeline_id = $2 AND number = $3"
    );
    let query = sql_query(text)
        .bind::<SqlUuid, _>(tenant)
        .bind::<SqlUuid, _>(pipeline)
        .bind::<Integer, _>(number);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// The newest version of a pipeline in that state.
pub async fn version_in(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    pipeline: Uuid,
    state: &str,
) -> AppResult<Option<Version>> {
    let text = format!(
        "SELECT {COLUMNS} FROM pipeline_versions WHERE tenant_id = $1 AND pipeline_id = $2 AND state = $3 ORDER BY number DESC LIMIT 1"
    );
    let query = sql_query(text)
        .bind::<SqlUuid, _>(tenant)
        .bind::<SqlUuid, _>(pipeline)
        .bind::<Text, _>(state);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// The published version, or the draft while there is none.
pub async fn version_to_export(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    pipeline: Uuid,
) -> AppResult<Option<Version>> {
    let text = format!(
        "SELECT {COLUMNS} FROM pipeline_versions WHERE tenant_id = $1 AND pipeline_id = $2 AND state <> 'retired' ORDER BY state = 'published' DESC LIMIT 1"
    );
    let query = sql_query(text)
        .bind::<SqlUuid, _>(tenant)
        .bind::<SqlUuid, _>(pipeline);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// A published or retired version with what its runtime form needs.
#[derive(QueryableByName)]
pub struct PublishedVersion {
    #[diesel(sql_type = SqlUuid)]
    pub pipeline_id: Uuid,
    #[diesel(sql_type = Integer)]
    pub number: i32,
    #[diesel(sql_type = Jsonb)]
    pub document: Value,
    #[diesel(sql_type = Jsonb)]
    pub ids: Value,
    /// Whether the asking transaction itself wrote it.
    #[diesel(sql_type = Bool)]
    pub is_uncommitted: bool,
}

/// A published or retired version; none for a draft.
pub async fn published_version(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    id: Uuid,
) -> AppResult<Option<PublishedVersion>> {
    let query = sql_query(
        "SELECT v.pipeline_id, v.number, v.document, \
            (v.xmin = pg_current_xact_id_if_assigned()::xid) IS TRUE AS is_uncommitted, \
            coalesce((SELECT jsonb_object_agg(s.key, jsonb_build_object('id', s.id, 'criteria', \
                    coalesce((SELECT jsonb_object_agg(c.key, c.id) FROM criteria c WHERE c.tenant_id = $1 AND c.stage_id = s.id), '{}'))) \
                FROM version_stages p JOIN stages s ON s.tenant_id = $1 AND s.id = p.stage_id \
                WHERE p.tenant_id = $1 AND p.version_id = $2), '{}') AS ids \
         FROM pipeline_versions v WHERE v.tenant_id = $1 AND v.id = $2 AND v.state <> 'draft'",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(id);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// Where deals enter: the published version, if there is one.
#[derive(QueryableByName)]
pub struct Entrance {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub published_version_id: Option<Uuid>,
}

/// The live pipeline of that id, or the company's default one.
pub async fn entrance(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    pipeline: Option<Uuid>,
) -> AppResult<Option<Entrance>> {
    let query = sql_query(
        "SELECT published_version_id FROM pipelines \
         WHERE tenant_id = $1 AND archived_at IS NULL AND (id = $2 OR ($2 IS NULL AND is_default))",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Nullable<SqlUuid>, _>(pipeline);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// Whether a statement found something.
#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

/// Whether the company has a pipeline of that key, an archived one too.
pub async fn has_key(tx: &mut Tx, tenant: Uuid, key: &str) -> AppResult<bool> {
    let query = sql_query("SELECT EXISTS (SELECT 1 FROM pipelines WHERE tenant_id = $1 AND key = $2) AS yes")
        .bind::<SqlUuid, _>(tenant)
        .bind::<Text, _>(key);
    Ok(Cached(query).get_result::<Found>(&mut **tx).await?.yes)
}

/// Writes a pipeline without versions. The company's first one becomes its default; the company is locked meanwhile, so
/// that of two first ones only one does.
pub async fn insert_pipeline(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    document: &PipelineDocument,
) -> AppResult<bool> {
    Cached(
        sql_query("SELECT 1 FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE")
            .bind::<SqlUuid, _>(ctx.tenant),
    )
    .execute(&mut **tx)
    .await?;
    let query = sql_query(
        "INSERT INTO pipelines (tenant_id, id, key, name, description, is_default, created_at, updated_at) \
         SELECT $1, $2, $3, $4, $5, NOT EXISTS (SELECT 1 FROM pipelines p WHERE p.tenant_id = $1 AND p.archived_at IS NULL), $6, $6 \
         RETURNING is_default AS yes",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(&document.key)
    .bind::<Text, _>(&document.name)
    .bind::<Nullable<Text>, _>(&document.description)
    .bind::<Timestamptz, _>(ctx.now);
    Ok(Cached(query).get_result::<Found>(&mut **tx).await?.yes)
}

/// Writes a new draft with the next number. The pipeline is locked.
pub async fn insert_draft(
    tx: &mut Tx,
    ctx: &Ctx,
    pipeline: Uuid,
    document: &PipelineDocument,
) -> AppResult<Version> {
    let document = serde_json::to_value(document).map_err(AppError::internal)?;
    let text = format!(
        "INSERT INTO pipeline_versions (tenant_id, id, pipeline_id, number, document, document_hash, created_at, updated_at) \
         SELECT $1, $2, $3, coalesce((SELECT max(v.number) FROM pipeline_versions v WHERE v.tenant_id = $1 AND v.pipeline_id = $3), 0) + 1, $4, $5, $6, $6 \
         RETURNING {COLUMNS}"
    );
    let hash = content_hash(&document);
    let query = sql_query(text)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(Uuid::now_v7())
        .bind::<SqlUuid, _>(pipeline)
        .bind::<Jsonb, _>(document)
        .bind::<Bytea, _>(hash)
        .bind::<Timestamptz, _>(ctx.now);
    Ok(Cached(query).get_result(&mut **tx).await?)
}

/// Replaces the document of a draft. The pipeline is locked.
pub async fn update_draft(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    document: &PipelineDocument,
) -> AppResult<Version> {
    let document = serde_json::to_value(document).map_err(AppError::internal)?;
    let text = format!(
        "UPDATE pipeline_versions SET document = $3, document_hash = $4, version = version + 1, updated_at = $5 \
         WHERE tenant_id = $1 AND id = $2 AND state = 'draft' RETURNING {COLUMNS}"
    );
    let hash = content_hash(&document);
    let query = sql_query(text)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(id)
        .bind::<Jsonb, _>(document)
        .bind::<Bytea, _>(hash)
        .bind::<Timestamptz, _>(ctx.now);
    Ok(Cached(query).get_result(&mut **tx).await?)
}

#[derive(QueryableByName)]
pub struct Retired {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Integer)]
    pub number: i32,
}

/// Retires the published version, if there is one.
pub async fn retire(tx: &mut Tx, ctx: &Ctx, pipeline: Uuid) -> AppResult<Option<Retired>> {
    let query = sql_query(
        "UPDATE pipeline_versions SET state = 'retired', version = version + 1, updated_at = $3 \
         WHERE tenant_id = $1 AND pipeline_id = $2 AND state = 'published' RETURNING id, number",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(pipeline)
    .bind::<Timestamptz, _>(ctx.now);
    Ok(Cached(query).get_result(&mut **tx).await.optional()?)
}

/// Turns a draft into the published version.
pub async fn mark_published(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<Version> {
    let by = Some(ctx.user).filter(|user| !user.is_nil());
    let text = format!(
        "UPDATE pipeline_versions SET state = 'published', published_at = $3, published_by = $4, version = version + 1, updated_at = $3 \
         WHERE tenant_id = $1 AND id = $2 AND state = 'draft' RETURNING {COLUMNS}"
    );
    let query = sql_query(text)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(id)
        .bind::<Timestamptz, _>(ctx.now)
        .bind::<Nullable<SqlUuid>, _>(by);
    Ok(Cached(query).get_result(&mut **tx).await?)
}

/// Points a pipeline to its published version, whose name and description it takes.
pub async fn point_pipeline(
    tx: &mut Tx,
    ctx: &Ctx,
    pipeline: Uuid,
    document: &PipelineDocument,
    published: Uuid,
) -> AppResult<()> {
    let query = sql_query(
        "UPDATE pipelines SET name = $3, description = $4, published_version_id = $5, \
         version = version + 1, updated_at = $6 WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(pipeline)
    .bind::<Text, _>(&document.name)
    .bind::<Nullable<Text>, _>(&document.description)
    .bind::<SqlUuid, _>(published)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    key: String,
}

/// The ids of the pipeline's stages of these keys; what had none gets one for good.
pub async fn stage_ids(
    tx: &mut Tx,
    ctx: &Ctx,
    pipeline: Uuid,
    keys: Vec<&str>,
) -> AppResult<BTreeMap<String, Uuid>> {
    let fresh = keys.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>();
    let insert = sql_query(
        "INSERT INTO stages (tenant_id, id, pipeline_id, key, created_at) \
         SELECT $1, n.id, $2, n.key, $3 FROM unnest($4, $5) AS n (id, key) \
         ON CONFLICT (tenant_id, pipeline_id, key) DO NOTHING",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(pipeline)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Array<SqlUuid>, _>(fresh)
    .bind::<Array<Text>, _>(&keys);
    Cached(insert).execute(&mut **tx).await?;
    let select =
        sql_query("SELECT id, key FROM stages WHERE tenant_id = $1 AND pipeline_id = $2 AND key = ANY($3)")
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<SqlUuid, _>(pipeline)
            .bind::<Array<Text>, _>(&keys);
    let rows: Vec<KeyRow> = Cached(select).load(&mut **tx).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.id)).collect())
}

/// Gives every criterion (by stage id and key) that has no id one for good.
pub async fn insert_criteria(tx: &mut Tx, ctx: &Ctx, criteria: &[(Uuid, &str)]) -> AppResult<()> {
    let fresh = criteria.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>();
    let (stages, keys): (Vec<Uuid>, Vec<&str>) = criteria.iter().copied().unzip();
    let insert = sql_query(
        "INSERT INTO criteria (tenant_id, id, stage_id, key, created_at) \
         SELECT $1, n.id, n.stage_id, n.key, $2 FROM unnest($3, $4, $5) AS n (id, stage_id, key) \
         ON CONFLICT (tenant_id, stage_id, key) DO NOTHING",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Array<SqlUuid>, _>(fresh)
    .bind::<Array<SqlUuid>, _>(stages)
    .bind::<Array<Text>, _>(keys);
    Cached(insert).execute(&mut **tx).await?;
    Ok(())
}

/// Writes the stages of a version, in order, with their ids.
pub async fn insert_version_stages(
    tx: &mut Tx,
    ctx: &Ctx,
    version: Uuid,
    document: &PipelineDocument,
    ids: &[Uuid],
) -> AppResult<()> {
    let stages = &document.stages;
    let names = stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>();
    let shares = stages
        .iter()
        .map(|stage| stage.probability.0)
        .collect::<Vec<Decimal>>();
    let dwells = stages
        .iter()
        .map(|stage| stage.expected_dwell_seconds)
        .collect::<Vec<Option<i64>>>();
    let insert = sql_query(
        "INSERT INTO version_stages (tenant_id, version_id, stage_id, position, name, probability, expected_dwell_seconds) \
         SELECT $1, $2, n.id, n.ordinal - 1, n.name, n.probability, n.dwell \
         FROM unnest($3, $4, $5, $6) WITH ORDINALITY AS n (id, name, probability, dwell, ordinal)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(version)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Text>, _>(names)
    .bind::<Array<Numeric>, _>(shares)
    .bind::<Array<Nullable<BigInt>>, _>(dwells);
    Cached(insert).execute(&mut **tx).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct ContentRow {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Array<Text>)]
    content: Vec<String>,
}

/// What the published versions of these approval processes bind their approvals to, by the processes' keys.
///
/// # Errors
/// Database errors.
pub async fn approved_contents(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    keys: impl IntoIterator<Item = String>,
) -> AppResult<BTreeMap<String, Vec<String>>> {
    let query = sql_query(
        "SELECT p.key, ARRAY(SELECT jsonb_array_elements_text(v.document->'content')) AS content \
         FROM approval_processes p JOIN approval_process_versions v ON v.tenant_id = $1 AND v.process_id = p.id AND v.state = 'published' \
         WHERE p.tenant_id = $1 AND p.key = ANY($2)",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<Text>, _>(keys.into_iter().collect::<Vec<_>>());
    let rows: Vec<ContentRow> = Cached(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.content)).collect())
}
