//! Asking for duplicates: of what is about to be entered, and of a record that is there.

use super::lookup;
use super::subject::Subject;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::likeness::Reason;
use crate::platform::db::Db;
use crate::platform::records::{Resource, store};
use crate::platform::reply::Reply;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// A record that may be the same.
#[derive(ToSchema)]
pub struct DuplicateHit {
    /// `account`, `contact` or `lead`.
    #[schema(example = "contact")]
    pub kind: String,
    /// Its id; null when you may not see it.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub id: Option<Uuid>,
    /// Its name; of one that you may not see, how it begins.
    #[schema(example = "王***")]
    pub name: String,
    /// Whether you may not see it.
    #[schema(example = true)]
    pub is_masked: bool,
    /// Whose it is; null for nobody's.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub owner_id: Option<Uuid>,
    /// Their name.
    #[schema(example = "李强")]
    pub owner_name: Option<String>,
    /// Whether it is neither archived nor converted.
    #[schema(example = true)]
    pub is_live: bool,
    /// Whether an exact key says that it is the same.
    #[schema(example = true)]
    pub is_exact: bool,
    /// How sure it is, 0–1; 1 for an exact key alone.
    #[schema(minimum = 0, maximum = 1, example = 0.86)]
    pub score: f64,
    /// Why, rule by rule.
    pub reasons: Vec<Reason>,
}

/// The records that may be the same.
#[derive(ToSchema)]
pub struct DuplicateHits {
    /// The hits, surest first; at most twenty.
    pub data: Vec<DuplicateHit>,
    /// Always null: the list has one page.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

/// # Errors
/// Database errors.
pub async fn of_input(
    db: &Db,
    ctx: &Ctx,
    resource: &'static Resource,
    input: &Map<String, Value>,
) -> AppResult<Reply> {
    answer(db, ctx, resource, None, &Subject::of(resource, input)).await
}

/// # Errors
/// `not_found` when the caller does not see the record.
pub async fn of_record(db: &Db, ctx: &Ctx, resource: &'static Resource, id: Uuid) -> AppResult<Reply> {
    let row = db
        .read(async |conn| store::find(conn, ctx, resource, id, None).await)
        .await?;
    let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let answer = answer(db, ctx, resource, Some(id), &Subject::of(resource, &record)).await;
    answer.map(Reply::with_weak_tag)
}

async fn answer(
    db: &Db,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Option<Uuid>,
    subject: &Subject,
) -> AppResult<Reply> {
    let hits = db
        .read_at_length(async |conn| lookup::hits(conn, ctx, resource, id, subject).await)
        .await?;
    let shown = hits.iter().filter(|hit| hit.shown.is_some());
    let data = shown.map(lookup::Hit::to_json).collect::<Vec<_>>();
    Reply::ok(&json!({ "data": data, "next_cursor": null }))
}
