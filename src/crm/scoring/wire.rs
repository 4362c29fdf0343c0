//! Requests and answers about scoring models.

use super::document::ScoringDocument;
use super::versions::Version;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::events::to_hex;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a new scoring model is made of: a document, or a shipped template by its key; exactly one of them.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "template": "b2b" }))]
pub struct NewScoringModel {
    /// The model, e.g. as read elsewhere.
    #[serde(default)]
    pub document: Option<ScoringDocument>,
    /// Key of a shipped template.
    #[serde(default)]
    #[schema(max_length = 63, example = "b2b")]
    pub template: Option<String>,
}

/// What a new draft starts from: a document, or a copy of a version; the newest one when neither is given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from_number": 1 }))]
pub struct NewScoringVersion {
    /// The model as it is to be; its key is the model's.
    #[serde(default)]
    pub document: Option<ScoringDocument>,
    /// Number of the version to copy.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000, example = 1)]
    pub from_number: Option<i32>,
}

/// A draft's new document.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditedScoringVersion {
    /// The model as it is to be; its key is the model's.
    pub document: ScoringDocument,
}

/// State of a version of a scoring model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(example = "draft")]
pub enum ScoringVersionState {
    Draft,
    Published,
    Retired,
}

/// A version of a scoring model with its document.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScoringModelVersion {
    /// Id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// The model.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    model_id: Uuid,
    /// Counts from 1.
    #[schema(minimum = 1, example = 1)]
    number: i32,
    state: ScoringVersionState,
    document: ScoringDocument,
    /// SHA-256 over the document with its members in alphabetical order, in hex.
    #[schema(example = "5f2b1c9d6f6a4f3c0e7d9a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f")]
    document_hash: String,
    /// When it was published; null for a draft.
    #[schema(example = "2024-03-01T01:00:00Z")]
    published_at: Option<DateTime<Utc>>,
    /// Who published it; null for a draft.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    published_by: Option<Uuid>,
    /// Counts its changes; the ETag.
    #[schema(minimum = 1, example = 1)]
    version: i32,
    /// When it was made.
    #[schema(example = "2024-02-28T01:00:00Z")]
    created_at: DateTime<Utc>,
    /// When it last changed.
    #[schema(example = "2024-02-28T01:00:00Z")]
    updated_at: DateTime<Utc>,
}

impl ScoringModelVersion {
    /// # Errors
    /// When what is stored is no scoring document: a bug.
    pub fn of(version: &Version) -> AppResult<ScoringModelVersion> {
        Ok(ScoringModelVersion {
            id: version.id,
            model_id: version.model_id,
            number: version.number,
            state: version.state.parse().map_err(AppError::internal)?,
            document: version.document()?,
            document_hash: to_hex(&version.document_hash),
            published_at: version.published_at,
            published_by: version.published_by,
            version: version.version,
            created_at: version.created_at,
            updated_at: version.updated_at,
        })
    }
}

/// A version in a list.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes in the document what the list's statement renders"
)]
pub struct ScoringModelVersionEntry {
    /// Id.
    id: Uuid,
    /// The model.
    model_id: Uuid,
    /// Counts from 1.
    #[schema(minimum = 1, example = 1)]
    number: i32,
    state: ScoringVersionState,
    /// SHA-256 over the document, in hex.
    #[schema(example = "5f2b1c9d6f6a4f3c0e7d9a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f")]
    document_hash: String,
    /// When it was published; null for a draft.
    published_at: Option<DateTime<Utc>>,
    /// Who published it; null for a draft.
    published_by: Option<Uuid>,
    /// Counts its changes.
    #[schema(minimum = 1, example = 1)]
    version: i32,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

/// A page of versions, without their documents.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes in the document what the list's statement renders"
)]
pub struct ScoringModelVersionPage {
    data: Vec<ScoringModelVersionEntry>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
    /// Number of all entries; only with `with_total=true`.
    #[schema(minimum = 0, nullable = false, example = 1)]
    total: Option<i64>,
}

/// A shipped scoring model that a company can start from.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScoringModelTemplate {
    /// What `template` of a new model takes.
    #[schema(example = "b2b")]
    pub key: &'static str,
    pub document: ScoringDocument,
}

/// All shipped scoring models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScoringModelTemplatePage {
    pub data: Vec<ScoringModelTemplate>,
    /// Always null: there is one page.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}
