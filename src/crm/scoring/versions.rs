//! Commands on scoring models and their versions. A version is a draft, then published for good, then retired; a model
//! has at most one draft, a company at most one published version.

use super::document::ScoringDocument;
use super::model;
use super::refresh;
use super::resources::SCORING_MODEL;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::{Event, content_hash, to_hex};
use crate::platform::records::store::For;
use crate::platform::records::{Act, Change, custom, versions};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Bytea, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

/// A version of a scoring model.
#[derive(Debug, Clone, QueryableByName)]
pub struct Version {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub model_id: Uuid,
    #[diesel(sql_type = Integer)]
    pub number: i32,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Jsonb)]
    document: Value,
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
}

impl Version {
    /// # Errors
    /// When what is stored is no scoring document: a bug.
    pub fn document(&self) -> AppResult<ScoringDocument> {
        serde_json::from_value(self.document.clone()).map_err(AppError::internal)
    }

    pub fn is_draft(&self) -> bool {
        self.state == "draft"
    }
}

const COLUMNS: &str = "id, model_id, number, state, document, document_hash, published_at, published_by, version, created_at, updated_at";

/// The version of that number.
///
/// # Errors
/// Database errors.
pub async fn version(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    model: Uuid,
    number: i32,
) -> AppResult<Option<Version>> {
    let query = sql_query(format!(
        "SELECT {COLUMNS} FROM scoring_model_versions WHERE tenant_id = $1 AND model_id = $2 AND number = $3"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(model)
    .bind::<Integer, _>(number);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

async fn newest(conn: &mut &AsyncPgConnection, tenant: Uuid, model: Uuid) -> AppResult<Option<Version>> {
    let query = sql_query(format!(
        "SELECT {COLUMNS} FROM scoring_model_versions WHERE tenant_id = $1 AND model_id = $2 ORDER BY number DESC LIMIT 1"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(model);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

/// Everything that is wrong with a document, with pointers below `at`, as `invalid`.
async fn check(tx: &mut Tx, ctx: &Ctx, document: &ScoringDocument, at: &str) -> AppResult<Vec<Fault>> {
    let known = model::known(&mut &**tx, ctx.tenant).await?;
    Ok(document.faults(at, &known))
}

async fn require_sound(tx: &mut Tx, ctx: &Ctx, document: &ScoringDocument, at: &str) -> AppResult<()> {
    let faults = check(tx, ctx, document, at).await?;
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

/// Makes a model whose first version is a draft of this document.
///
/// # Errors
/// `invalid` with every fault of the document; `duplicate` when the company has a model of that key.
pub async fn create(tx: &mut Tx, ctx: &Ctx, document: &ScoringDocument, at: &str) -> AppResult<Version> {
    require_sound(tx, ctx, document, at).await?;
    let query = sql_query(
        "INSERT INTO scoring_models (tenant_id, id, key, name, name_zh, description, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (tenant_id, key) DO NOTHING RETURNING id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Text, _>(&document.key)
    .bind::<Text, _>(&document.name)
    .bind::<Nullable<Text>, _>(&document.name_zh)
    .bind::<Nullable<Text>, _>(&document.description)
    .bind::<Timestamptz, _>(ctx.now);
    let made: Option<IdRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    let Some(IdRow { id }) = made else {
        let detail = say(
            format!("There is a scoring model with the key {} already", document.key),
            format!("标识为 {} 的评分模型已存在", document.key),
        );
        let fault = Fault::duplicate(if at.is_empty() {
            "/template".to_owned()
        } else {
            format!("{at}/key")
        });
        return Err(AppError::refuse(Code::Duplicate, detail).with_faults(vec![fault]));
    };
    tx.record(Event::new(
        "scoring_model.created",
        "scoring_model",
        id,
        json!({ "key": document.key, "name": document.name }),
    ));
    add_draft(tx, ctx, id, document).await
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

async fn add_draft(tx: &mut Tx, ctx: &Ctx, model: Uuid, document: &ScoringDocument) -> AppResult<Version> {
    let document = serde_json::to_value(document).map_err(AppError::internal)?;
    let hash = content_hash(&document);
    let query = sql_query(format!(
        "INSERT INTO scoring_model_versions (tenant_id, id, model_id, number, document, document_hash, created_at, updated_at) \
         SELECT $1, $2, $3, coalesce((SELECT max(v.number) FROM scoring_model_versions v WHERE v.tenant_id = $1 AND v.model_id = $3), 0) + 1, \
            $4, $5, $6, $6 RETURNING {COLUMNS}"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<SqlUuid, _>(model)
    .bind::<Jsonb, _>(document)
    .bind::<Bytea, _>(hash)
    .bind::<Timestamptz, _>(ctx.now);
    let draft: Version = Cached(query).get_result(&mut **tx).await?;
    record(
        tx,
        "created",
        &draft,
        json!({ "number": draft.number, "document_hash": to_hex(&draft.document_hash) }),
    );
    Ok(draft)
}

fn record(tx: &mut Tx, verb: &str, version: &Version, data: Value) {
    tx.record(
        Event::new(
            format!("scoring_model_version.{verb}"),
            "scoring_model_version",
            version.id,
            data,
        )
        .and_on("scoring_model", Some(version.model_id)),
    );
}

/// Makes the next draft of a model: this document, or a copy of the version of that number, or of the newest.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`; `conflict` when there is a draft already; `invalid` with every fault of the
/// document, when it bears another key, or there is no version to copy.
pub async fn new_draft(
    tx: &mut Tx,
    ctx: &Ctx,
    model: Uuid,
    document: Option<ScoringDocument>,
    from_number: Option<i32>,
) -> AppResult<Version> {
    let key = versions::lock_head(tx, ctx, &SCORING_MODEL, model, For::Write).await?;
    let latest = newest(&mut &**tx, ctx.tenant, model).await?;
    let draft = latest.as_ref().filter(|latest| latest.is_draft());
    versions::require_no_draft(draft.map(|draft| draft.number))?;
    let document = match (document, from_number) {
        (Some(document), _) => document,
        (None, Some(number)) => version(&mut &**tx, ctx.tenant, model, number)
            .await?
            .ok_or_else(|| AppError::invalid(vec![Fault::not_found("/from_number")]))?
            .document()?,
        (None, None) => latest.or_not_found()?.document()?,
    };
    versions::require_key(&key, &document.key)?;
    require_sound(tx, ctx, &document, "/document").await?;
    let draft = add_draft(tx, ctx, model, &document).await?;
    versions::show_draft(tx, ctx, &SCORING_MODEL, model, draft.number).await?;
    Ok(draft)
}

/// Replaces the document of a draft.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`, `stale`; `version_published` when it is no draft; `invalid` with every fault of
/// the document.
pub async fn edit(
    tx: &mut Tx,
    ctx: &Ctx,
    model: Uuid,
    number: i32,
    document: &ScoringDocument,
) -> AppResult<Version> {
    let key = versions::lock_head(tx, ctx, &SCORING_MODEL, model, For::Write).await?;
    let draft = draft(tx, ctx, model, number).await?;
    versions::require_key(&key, &document.key)?;
    require_sound(tx, ctx, document, "/document").await?;
    let document = serde_json::to_value(document).map_err(AppError::internal)?;
    let hash = content_hash(&document);
    let query = sql_query(format!(
        "UPDATE scoring_model_versions SET document = $3, document_hash = $4, updated_at = $5, version = version + 1 \
         WHERE tenant_id = $1 AND id = $2 RETURNING {COLUMNS}"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(draft.id)
    .bind::<Jsonb, _>(document)
    .bind::<Bytea, _>(hash)
    .bind::<Timestamptz, _>(ctx.now);
    let edited: Version = Cached(query).get_result(&mut **tx).await?;
    let hashes = json!({ "before": to_hex(&draft.document_hash), "after": to_hex(&edited.document_hash) });
    record(
        tx,
        "updated",
        &edited,
        json!({ "number": number, "changes": { "document_hash": hashes } }),
    );
    Ok(edited)
}

/// Publishes a draft: from now on it never changes, leads are scored by it, and what was published before, of whichever
/// model, is retired. Leads keep their scores until they change, or are scored anew.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`, `stale`; `version_published` when it is no draft; `not_publishable` with every
/// fault of the document.
pub async fn publish(tx: &mut Tx, ctx: &Ctx, model: Uuid, number: i32) -> AppResult<Version> {
    // One at a time in a company, whichever models they publish.
    Cached(
        sql_query("SELECT 1 FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE")
            .bind::<SqlUuid, _>(ctx.tenant),
    )
    .execute(&mut **tx)
    .await?;
    versions::lock_head(tx, ctx, &SCORING_MODEL, model, For::Action("scoring.publish")).await?;
    let draft = draft(tx, ctx, model, number).await?;
    custom::hold(tx, ctx.tenant, &[LEAD.singular]).await?;
    let faults = check(tx, ctx, &draft.document()?, "").await?;
    if !faults.is_empty() {
        let count = faults.len();
        let detail = say(
            format!("{count} fault(s) in the draft; nothing was changed"),
            format!("草稿有 {count} 处错误，未作任何更改"),
        );
        return Err(AppError::refuse(Code::NotPublishable, detail).with_faults(faults));
    }
    let retired = retire(tx, ctx).await?;
    let query = sql_query(format!(
        "UPDATE scoring_model_versions SET state = 'published', published_at = $3, published_by = $4, updated_at = $3, \
         version = version + 1 WHERE tenant_id = $1 AND id = $2 RETURNING {COLUMNS}"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(draft.id)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Nullable<SqlUuid>, _>((!ctx.user.is_nil()).then_some(ctx.user));
    let published: Version = Cached(query).get_result(&mut **tx).await?;
    point(tx, ctx, &published, retired.as_ref()).await?;
    let hash = to_hex(&published.document_hash);
    record(
        tx,
        "published",
        &published,
        json!({ "number": number, "document_hash": hash }),
    );
    refresh::keep_daily(tx, ctx).await?;
    Ok(published)
}

/// Retires what the company has published.
async fn retire(tx: &mut Tx, ctx: &Ctx) -> AppResult<Option<Version>> {
    let query = sql_query(format!(
        "UPDATE scoring_model_versions SET state = 'retired', updated_at = $2, version = version + 1 \
         WHERE tenant_id = $1 AND state = 'published' RETURNING {COLUMNS}"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Timestamptz, _>(ctx.now);
    let retired: Option<Version> = Cached(query).get_result(&mut **tx).await.optional()?;
    if let Some(retired) = &retired {
        record(tx, "retired", retired, json!({ "number": retired.number }));
    }
    Ok(retired)
}

/// Points the model at its published version, and the model published before at none.
async fn point(tx: &mut Tx, ctx: &Ctx, published: &Version, retired: Option<&Version>) -> AppResult<()> {
    let document = published.document()?;
    let query = sql_query(
        "UPDATE scoring_models SET published_version_id = CASE WHEN id = $2 THEN $3::uuid END, \
            name = CASE WHEN id = $2 THEN $4 ELSE name END, name_zh = CASE WHEN id = $2 THEN $5 ELSE name_zh END, \
            description = CASE WHEN id = $2 THEN $6 ELSE description END, updated_at = $7, version = version + 1 \
         WHERE tenant_id = $1 AND (id = $2 OR published_version_id IS NOT NULL)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(published.model_id)
    .bind::<SqlUuid, _>(published.id)
    .bind::<Text, _>(&document.name)
    .bind::<Nullable<Text>, _>(&document.name_zh)
    .bind::<Nullable<Text>, _>(&document.description)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let former = retired.filter(|retired| retired.model_id != published.model_id);
    if let Some(former) = former {
        let changes = json!({ "published_version_id": { "before": former.id, "after": null } });
        tx.record(Event::new(
            "scoring_model.updated",
            "scoring_model",
            former.model_id,
            json!({ "changes": changes }),
        ));
    }
    let before = retired.filter(|_| former.is_none()).map(|retired| retired.id);
    let changes = json!({ "published_version_id": { "before": before, "after": published.id } });
    tx.record(Event::new(
        "scoring_model.published",
        "scoring_model",
        published.model_id,
        json!({ "number": published.number, "changes": changes }),
    ));
    Ok(())
}

/// The draft of that number, as the caller knows it; its model is locked.
async fn draft(tx: &mut Tx, ctx: &Ctx, model: Uuid, number: i32) -> AppResult<Version> {
    let version = version(&mut &**tx, ctx.tenant, model, number)
        .await?
        .or_not_found()?;
    ctx.if_match(version.version)?;
    versions::require_draft(number, &version.state)?;
    Ok(version)
}

/// The model by which leads are scored is not archived.
pub fn keep_the_published_one<'a>(
    _: &'a mut Tx,
    _: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    let is_published = change
        .before
        .get("published_version_id")
        .is_some_and(|id| !id.is_null());
    let outcome = if change.act == Act::Archive && is_published {
        Err(AppError::refuse(
            Code::InUse,
            say(
                "Leads are scored by it; publish another model first",
                "线索正按此模型评分，请先发布其他模型",
            ),
        ))
    } else {
        Ok(())
    };
    Box::pin(std::future::ready(outcome))
}
