//! Processes, their versions, and the preview of a chain, as the API shows them.

use super::Someone;
use crate::approval::definition::ProcessDocument;
use crate::approval::preview::StepPreview;
use crate::approval::processes::{VersionRow, read};
use crate::approval::rows::word;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Warning;
use crate::kernel::text::Lang;
use crate::platform::problem::ProblemFault;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// A new process: of a document of your own, or of a shipped one. Exactly one of both.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"template": "contract_approval"}))]
pub struct CreateApprovalProcess {
    /// The first draft.
    pub document: Option<ProcessDocument>,
    /// The key of a shipped process.
    #[schema(example = "contract_approval", max_length = 63)]
    pub template: Option<String>,
}

/// A change of a draft.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateApprovalProcessVersion {
    /// The whole new document.
    pub document: ProcessDocument,
}

/// Where a version of a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ProcessVersionState {
    /// It can be edited.
    Draft,
    /// New requests freeze it.
    Published,
    /// Another one was published since; the requests that froze it keep it.
    Retired,
}

/// A version of an approval process.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalProcessVersion {
    /// Id.
    pub id: Uuid,
    /// The process.
    pub process_id: Uuid,
    /// Counts from 1 within the process.
    #[schema(example = 1)]
    pub number: i32,
    /// Where it stands.
    pub state: ProcessVersionState,
    /// Who is asked, in what order, and how their decisions count.
    pub document: ProcessDocument,
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
    /// Rises with every change.
    #[schema(example = 1)]
    pub version: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// What is doubtful of a version just published; absent when there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<ProblemFault>>, nullable = false)]
    pub warnings: Option<Vec<Value>>,
}

impl ApprovalProcessVersion {
    pub(in crate::approval) fn warn(&mut self, warnings: &[Warning], lang: Lang) {
        let told = warnings.iter().map(|warning| warning.to_json(lang)).collect();
        self.warnings = Some(told).filter(|told: &Vec<_>| !told.is_empty());
    }

    pub(in crate::approval) fn of(row: &VersionRow) -> AppResult<ApprovalProcessVersion> {
        Ok(ApprovalProcessVersion {
            id: row.id,
            process_id: row.process_id,
            number: row.number,
            state: word(&row.state)?,
            document: read(row)?,
            published_at: row.published_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            warnings: None,
        })
    }
}

/// A version in a list.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes in the document what the list's statement renders"
)]
pub struct ApprovalProcessVersionEntry {
    /// Id.
    id: Uuid,
    /// The process.
    process_id: Uuid,
    /// Counts from 1 within the process.
    #[schema(minimum = 1, example = 1)]
    number: i32,
    /// Where it stands.
    state: ProcessVersionState,
    /// When it was published; null for a draft.
    published_at: Option<DateTime<Utc>>,
    /// Rises with every change.
    #[schema(minimum = 1, example = 1)]
    version: i32,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

/// A page of versions, without their documents.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes in the document what the list's statement renders"
)]
pub struct ApprovalProcessVersionPage {
    data: Vec<ApprovalProcessVersionEntry>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
    /// Number of all entries; only with `with_total=true`.
    #[schema(minimum = 0, nullable = false, example = 1)]
    total: Option<i64>,
}

/// A shipped process.
#[derive(Serialize, ToSchema)]
pub struct ApprovalProcessTemplate {
    /// Its key, by which it is made.
    #[schema(example = "contract_approval")]
    pub key: String,
    /// Its name.
    #[schema(example = "合同审批")]
    pub name: String,
    /// Its document.
    pub document: ProcessDocument,
}

/// The shipped processes.
#[derive(Serialize, ToSchema)]
pub struct ApprovalProcessTemplatePage {
    /// All of them.
    pub data: Vec<ApprovalProcessTemplate>,
    /// Always null: there is one page.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

/// A request that might be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": "220000", "currency": "CNY", "facts": {"name": "客户管理系统采购"}}))]
pub struct PreviewApproval {
    /// The version of the process; the published one when not given.
    #[schema(example = 1, minimum = 1)]
    pub number: Option<i32>,
    /// Who would ask; you, when not given.
    #[schema(example = json!(null))]
    pub requester_id: Option<Uuid>,
    /// Who owns the subject; nobody, when not given.
    #[schema(example = json!(null))]
    pub owner_id: Option<Uuid>,
    /// The amount that would be decided on.
    #[schema(example = "220000", max_length = 30, pattern = r"^-?(0|[1-9]\d*)(\.\d+)?$")]
    pub amount: Option<String>,
    /// Its currency; the company's when not given.
    #[schema(example = "CNY", pattern = "^[A-Z]{3}$")]
    pub currency: Option<String>,
    /// The members of the subject that conditions read, as far as they are known.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"name": "客户管理系统采购"}))]
    pub facts: Map<String, Value>,
}

/// The chain that a request would take.
#[derive(Serialize, ToSchema)]
pub struct ApprovalPreview {
    /// The version of the process.
    #[schema(example = 1)]
    pub number: i32,
    /// The amount in the company's currency as conditions read it; null when no rate is known.
    #[schema(example = "220000.00")]
    pub amount_in_company_currency: Option<String>,
    /// The steps by position.
    pub steps: Vec<StepPreview>,
    /// The people named in the steps.
    pub people: Vec<Someone>,
}
