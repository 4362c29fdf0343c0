//! What is said in commands on requests.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Approves.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// What you say about it.
    #[schema(example = "同意", max_length = 2000)]
    pub opinion: Option<String>,
    /// The step that you mean; needed when you sit in several open ones.
    #[schema(example = "legal", max_length = 63)]
    pub step_key: Option<String>,
}

/// Rejects.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// Why.
    #[schema(example = "付款条件不可接受", min_length = 1, max_length = 2000)]
    pub opinion: String,
    /// The step that you mean; needed when you sit in several open ones.
    #[schema(example = "legal", max_length = 63)]
    pub step_key: Option<String>,
}

/// Returns for changes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnForChanges {
    /// What has to change.
    #[schema(example = "请补充违约条款", min_length = 1, max_length = 2000)]
    pub comment: String,
    /// The step that you mean; needed when you sit in several open ones.
    #[schema(example = "legal", max_length = 63)]
    pub step_key: Option<String>,
}

/// Hands one's seat to somebody else.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// Who decides in your place.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub to_user_id: Uuid,
    /// What you say about it.
    #[schema(example = "请代为审批", max_length = 2000)]
    pub comment: Option<String>,
    /// The step that you mean; needed when you sit in several open ones.
    #[schema(example = "legal", max_length = 63)]
    pub step_key: Option<String>,
}

/// Asks one more person.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddApprover {
    /// Who is asked as well.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub user_id: Uuid,
    /// What you say about it.
    #[schema(example = "请财务一并审核", max_length = 2000)]
    pub comment: Option<String>,
    /// The step that you mean; needed when several could be meant.
    #[schema(example = "legal", max_length = 63)]
    pub step_key: Option<String>,
}

/// Takes a request back.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// Why.
    #[schema(example = "客户要求修改", max_length = 2000)]
    pub comment: Option<String>,
}

/// Says something.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// What you say.
    #[schema(example = "合同附件已更新", min_length = 1, max_length = 2000)]
    pub comment: String,
}

/// Reminds those who have yet to decide.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Remind {
    /// What you say to them.
    #[schema(example = "请尽快审批", max_length = 2000)]
    pub comment: Option<String>,
    /// Only those of this step.
    #[schema(example = "legal", max_length = 63)]
    pub step_key: Option<String>,
}
