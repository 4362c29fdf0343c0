//! Requests and answers about pipelines.

use super::definition::PipelineDocument;
use super::queries::Version;
use super::templates::Template;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::Lang;
use crate::platform::events::to_hex;
use crate::platform::problem::ProblemFault;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a new pipeline is made of: a document, or a shipped template by its key; exactly one of them.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "template": "six_phase" }))]
pub struct NewPipeline {
    /// The process, e.g. as exported elsewhere.
    #[serde(default)]
    pub document: Option<PipelineDocument>,
    /// Key of a shipped template.
    #[serde(default)]
    #[schema(max_length = 63, example = "six_phase")]
    pub template: Option<String>,
}

/// What a new draft starts from: a document, or a copy of a version; the published one when neither is given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from_number": 1 }))]
pub struct NewVersion {
    /// The process as it is to be; its key is the pipeline's.
    #[serde(default)]
    pub document: Option<PipelineDocument>,
    /// Number of the version to copy.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000, example = 1)]
    pub from_number: Option<i32>,
}

/// A draft's new document.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditedVersion {
    /// The process as it is to be; its key is the pipeline's.
    pub document: PipelineDocument,
}

/// State of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum VersionState {
    Draft,
    Published,
    Retired,
}

/// A version of a pipeline with its document.
#[derive(Debug, Serialize, ToSchema)]
pub struct PipelineVersion {
    /// Id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// The pipeline.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pipeline_id: Uuid,
    /// Counts from 1.
    #[schema(minimum = 1, example = 1)]
    number: i32,
    #[schema(example = "draft")]
    state: VersionState,
    document: PipelineDocument,
    /// The ids of its stages by their keys: what `stage_id` of a deal is, and what `from_stage_id` and `to_stage_id` of an
    /// advance take. A stage keeps its id through all versions; one that was never published has none yet.
    #[schema(example = json!({ "qualification": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2d" }))]
    stage_ids: BTreeMap<String, Uuid>,
    /// SHA-256 over the document with its members in alphabetical order, in hex.
    #[schema(example = "5f2b1c9d6f6a4f3c0e7d9a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f")]
    document_hash: String,
    /// When it was published; null for a draft.
    #[schema(format = "date-time", example = "2024-03-01T01:00:00Z")]
    published_at: Option<String>,
    /// Who published it; null for a draft.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    published_by: Option<Uuid>,
    /// Counts its changes; the ETag.
    #[schema(minimum = 1, example = 1)]
    version: i32,
    /// When it was made.
    #[schema(format = "date-time", example = "2024-02-28T01:00:00Z")]
    created_at: String,
    /// When it last changed.
    #[schema(format = "date-time", example = "2024-02-28T01:00:00Z")]
    updated_at: String,
    /// What keeps a draft from being published; only with `expand=faults`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<ProblemFault>>, nullable = false)]
    pub faults: Option<Vec<Value>>,
    /// What keeps a draft just written from being published, and what is doubtful of a version just published; absent when
    /// there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<ProblemFault>>, nullable = false)]
    pub warnings: Option<Vec<Value>>,
}

impl PipelineVersion {
    /// # Errors
    /// When what is stored is no pipeline document: a bug.
    pub fn of(version: &Version) -> AppResult<PipelineVersion> {
        let document = version.document()?;
        let stages = document.stages.iter().map(|stage| &stage.key);
        let stage_ids = stages.filter_map(|key| Some((key.clone(), version.stage_id(key)?)));
        Ok(PipelineVersion {
            id: version.id,
            pipeline_id: version.pipeline_id,
            number: version.number,
            state: version.state.parse().map_err(AppError::internal)?,
            stage_ids: stage_ids.collect(),
            document,
            document_hash: to_hex(&version.document_hash),
            published_at: version.published_at.map(instant),
            published_by: version.published_by,
            version: version.version,
            created_at: instant(version.created_at),
            updated_at: instant(version.updated_at),
            faults: None,
            warnings: None,
        })
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Faults in one language.
pub fn told(faults: &[Fault], lang: Lang) -> Vec<Value> {
    faults.iter().map(|fault| fault.to_json(lang)).collect()
}

/// What a check found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Checked {
    /// Whether it can be published as it stands.
    #[schema(example = true)]
    pub is_publishable: bool,
    /// Every fault, with its place in the document.
    #[schema(value_type = Vec<ProblemFault>)]
    pub faults: Vec<Value>,
}

/// A version in a list.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes in the document what the list's statement renders"
)]
pub struct PipelineVersionEntry {
    /// Id.
    id: Uuid,
    /// The pipeline.
    pipeline_id: Uuid,
    /// Counts from 1.
    #[schema(minimum = 1, example = 1)]
    number: i32,
    #[schema(example = "published")]
    state: VersionState,
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
pub struct PipelineVersionPage {
    data: Vec<PipelineVersionEntry>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
    /// Number of all entries; only with `with_total=true`.
    #[schema(minimum = 0, nullable = false, example = 1)]
    total: Option<i64>,
}

/// A shipped pipeline that a company can start from.
#[derive(Debug, Serialize, ToSchema)]
pub struct PipelineTemplate {
    /// What `template` of a new pipeline takes.
    #[schema(example = "six_phase")]
    key: &'static str,
    /// Name.
    #[schema(example = "六阶段销售流程")]
    name: String,
    /// Whom it is for.
    #[schema(example = "适合复杂方案型销售")]
    description: String,
    /// Keys of the approval processes that must be published before it can be.
    #[schema(example = json!(["contract_approval"]))]
    processes: Vec<String>,
    document: PipelineDocument,
}

impl From<Template> for PipelineTemplate {
    fn from(template: Template) -> PipelineTemplate {
        PipelineTemplate {
            key: template.key,
            name: template.name,
            description: template.description,
            processes: template.processes,
            document: template.document,
        }
    }
}

/// All shipped pipelines.
#[derive(Debug, Serialize, ToSchema)]
pub struct PipelineTemplatePage {
    pub data: Vec<PipelineTemplate>,
    /// Always null: there is one page.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}
