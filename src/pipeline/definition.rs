//! The pipeline document: what is exported, imported, edited as a draft and stored with each version.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

mod closed;
mod share;

pub use share::Share;

type ClosedGateNode = closed::Closed<GateNode>;
type ClosedAnswerType = closed::Closed<AnswerType>;
type ClosedAccept = closed::Closed<Accept>;

/// Most stages of a pipeline.
pub const MOST_STAGES: usize = 50;
/// Most criteria of a stage.
pub const MOST_CRITERIA: usize = 100;
/// Deepest nesting of a gate; a criterion on its own has depth 1.
pub const MOST_GATE_LEVELS: usize = 8;

/// A sales process as one document. Its stages end at the win: out of a final stage (one with no edge out) an advance
/// wins the deal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(example))]
pub struct PipelineDocument {
    /// Stable name of the pipeline in the company: `[a-z][a-z0-9_]*`.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$", examples("b2b"))]
    pub key: String,
    /// What people call it.
    #[schema(min_length = 1, max_length = 200, examples("标准销售流程"))]
    pub name: String,
    /// Whom it is for and when to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 5000)]
    pub description: Option<String>,
    /// Whether deals may be taken back to an earlier stage.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub is_regress_allowed: bool,
    /// The stages in order; a deal enters the first.
    #[schema(max_items = 50)]
    pub stages: Vec<StageDocument>,
}

/// One step of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StageDocument {
    /// Stable through all versions of the pipeline; figures group by it. `[a-z][a-z0-9_]*`.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$", examples("propose"))]
    pub key: String,
    #[schema(min_length = 1, max_length = 200, examples("提出方案"))]
    pub name: String,
    /// Chance of finally winning from here, a share 0–1; never multiplied along the way.
    pub probability: Share,
    /// The forecast category of deals in this stage, unless a deal says otherwise.
    #[serde(default)]
    #[schema(default = "pipeline")]
    pub forecast_category: ForecastCategory,
    /// How long a deal is expected to stay; overdue afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 315_360_000, examples(1_209_600))]
    pub expected_dwell_seconds: Option<i64>,
    /// Method and advice to show to whoever works in this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 20000)]
    pub guidance: Option<String>,
    /// The keys of the later stages an advance may lead to. Absent: the following stage only. Present: exactly these;
    /// with several, `advance` must name its target, and an empty list makes the stage final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 49, examples(json!(["develop", "propose"])))]
    pub next: Option<Vec<String>>,
    /// Whether `advance`, with nothing but approvals missing, asks for them by itself.
    #[serde(default)]
    #[schema(default = false)]
    pub asks_approval_by_itself: bool,
    /// Whether the last approval moves the deal on in its own transaction, if the whole gate is open then.
    #[serde(default)]
    #[schema(default = false)]
    pub advances_when_approved: bool,
    /// What must hold before the stage is left; absent: the salesperson's own judgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ClosedGateNode>)]
    pub gate: Option<GateNode>,
}

/// How sure a deal is in the forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForecastCategory {
    Omitted,
    #[default]
    Pipeline,
    BestCase,
    Commit,
}

impl ForecastCategory {
    pub fn as_str(self) -> &'static str {
        match self {
            ForecastCategory::Omitted => "omitted",
            ForecastCategory::Pipeline => "pipeline",
            ForecastCategory::BestCase => "best_case",
            ForecastCategory::Commit => "commit",
        }
    }
}

/// A gate is a tree: groups of further nodes, and criteria as its leaves. A criterion with `is_required: false` informs:
/// it is evaluated and shown, and counts for nothing in the gate, whatever group it stands in. So each alternative of an
/// `any` or `at_least` must require something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GateNode {
    /// Every node must hold.
    All {
        #[schema(no_recursion, value_type = Vec<ClosedGateNode>, min_items = 1, max_items = 100)]
        of: Vec<GateNode>,
    },
    /// One of the nodes suffices.
    Any {
        #[schema(no_recursion, value_type = Vec<ClosedGateNode>, min_items = 1, max_items = 100)]
        of: Vec<GateNode>,
    },
    /// `count` of the nodes must hold.
    AtLeast {
        #[schema(minimum = 1, maximum = 100)]
        count: u32,
        #[schema(no_recursion, value_type = Vec<ClosedGateNode>, min_items = 1, max_items = 100)]
        of: Vec<GateNode>,
    },
    /// Ticked by a person.
    Check {
        /// Unique in the stage and stable through versions.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$", examples("intent_confirmed"))]
        key: String,
        /// What must be true, in the company's words.
        #[schema(min_length = 1, max_length = 200, examples("客户确认购买意向"))]
        label: String,
        /// Optional criteria inform and never block.
        #[serde(default = "yes")]
        #[schema(default = true)]
        is_required: bool,
        /// How to satisfy it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 2000)]
        help: Option<String>,
        /// Whether the tick needs a note that says why.
        #[serde(default)]
        #[schema(default = false)]
        needs_note: bool,
    },
    /// Answered by a person.
    Question {
        /// Unique in the stage and stable through versions.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$", examples("seats"))]
        key: String,
        /// The question.
        #[schema(min_length = 1, max_length = 200, examples("需要多少个用户账号？"))]
        label: String,
        /// Optional criteria inform and never block.
        #[serde(default = "yes")]
        #[schema(default = true)]
        is_required: bool,
        /// How to find out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 2000)]
        help: Option<String>,
        /// What is a valid answer.
        #[schema(value_type = ClosedAnswerType)]
        answer: AnswerType,
        /// Which valid answers satisfy the gate; absent: every one, a "no" too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<ClosedAccept>)]
        accept: Option<Accept>,
    },
    /// Computed: a condition over the opportunity, its account and custom fields.
    Field {
        /// Unique in the stage and stable through versions.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$", examples("amount_known"))]
        key: String,
        /// What must be true, in the company's words.
        #[schema(min_length = 1, max_length = 200, examples("已填写预计金额"))]
        label: String,
        /// Optional criteria inform and never block.
        #[serde(default = "yes")]
        #[schema(default = true)]
        is_required: bool,
        /// How to satisfy it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 2000)]
        help: Option<String>,
        /// The condition, in CEL; what it reads and is null leaves it not yet known.
        #[schema(
            min_length = 1,
            max_length = 4000,
            examples("amount >= 100000 && account.industry != null")
        )]
        expression: String,
    },
    /// Computed: something recorded on the opportunity. Archived records do not count.
    Record {
        /// Unique in the stage and stable through versions.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$", examples("decider_known"))]
        key: String,
        /// What must be there, in the company's words.
        #[schema(min_length = 1, max_length = 200, examples("已找到决策人"))]
        label: String,
        /// Optional criteria inform and never block.
        #[serde(default = "yes")]
        #[schema(default = true)]
        is_required: bool,
        /// How to satisfy it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 2000)]
        help: Option<String>,
        /// The kind of record: `line`, `decision_chain_member`, `need_analysis`, `solution_checklist_item`, `objection`,
        /// `negotiation_record`, `competitor_met`, `value_line`, `risk_line`, `change_request`, `negotiation_plan`,
        /// `negotiation_team_member`, `result_sheet`.
        #[schema(min_length = 1, max_length = 63, examples("decision_chain_member"))]
        of: String,
        /// Which records count, as a condition in CEL over the record; absent: all.
        #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
        #[schema(
            min_length = 1,
            max_length = 4000,
            examples("role == \"decision_maker\" && influence >= 0.5")
        )]
        filter: Option<String>,
        /// What each record that counts must fulfil, as a condition in CEL over the record; absent: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(min_length = 1, max_length = 4000, examples("resolved_on != null"))]
        every: Option<String>,
        /// How many must count. 0 makes sense with `every` only: "if there are any, then each …".
        #[serde(default = "one")]
        #[schema(default = 1, minimum = 0, maximum = 1000)]
        at_least: u32,
        /// Whether only records made since the stage was entered count.
        #[serde(default)]
        #[schema(default = false)]
        since_entry: bool,
    },
    /// An approval process that must have ended approved.
    Approval {
        /// Unique in the stage and stable through versions.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$", examples("contract_approved"))]
        key: String,
        /// What is approved, in the company's words.
        #[schema(min_length = 1, max_length = 200, examples("合同审批通过"))]
        label: String,
        /// Optional criteria inform and never block.
        #[serde(default = "yes")]
        #[schema(default = true)]
        is_required: bool,
        /// What the approvers look at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 2000)]
        help: Option<String>,
        /// The key of the approval process.
        #[schema(pattern = "^[a-z][a-z0-9_]{0,62}$", examples("contract_approval"))]
        process: String,
    },
}

/// The type and range of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AnswerType {
    /// A JSON string that is not blank.
    Text {
        /// Most characters; 2000 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 2000)]
        max_length: Option<u32>,
    },
    /// A decimal as a JSON string (`"12.50"`), or a whole JSON number.
    Number {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(format = "decimal", examples("0"))]
        min: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(format = "decimal", examples("100"))]
        max: Option<String>,
    },
    /// `true` or `false`.
    Bool {},
    /// One of the choices, as a JSON string.
    Choice {
        #[schema(min_items = 1, max_items = 100, examples(json!(["一个月内", "半年内", "更晚"])))]
        choices: Vec<String>,
    },
    /// A day, `"2024-03-05"`; both ends are included.
    Day {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(format = "date", examples("2024-01-01"))]
        min: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(format = "date", examples("2024-12-31"))]
        max: Option<String>,
    },
}

/// Which valid answers satisfy a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Accept {
    /// One of these answers.
    Values {
        #[schema(min_items = 1, max_items = 100, examples(json!([true])))]
        of: Vec<Value>,
    },
    /// A number or day between these, both included.
    Range {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 30, examples("10"))]
        min: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 30, examples("500"))]
        max: Option<String>,
    },
}

/// A criterion's common members.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CriterionRef<'a> {
    pub kind: &'static str,
    pub key: &'a str,
    pub label: &'a str,
    pub is_required: bool,
    pub help: Option<&'a str>,
    /// The node itself, never a group.
    pub node: &'a GateNode,
}

impl PipelineDocument {
    pub fn stage(&self, key: &str) -> Option<&StageDocument> {
        self.stages.iter().find(|stage| stage.key == key)
    }

    /// The positions of the stages an advance out of the stage at `position` may lead to, in the order in which they are
    /// declared; unknown keys are left out (they are faults). Empty for a final stage.
    pub fn edges(&self, position: usize) -> Vec<usize> {
        let Some(stage) = self.stages.get(position) else {
            return Vec::new();
        };
        match &stage.next {
            None if position + 1 < self.stages.len() => vec![position + 1],
            None => Vec::new(),
            Some(keys) => keys
                .iter()
                .filter_map(|key| self.stages.iter().position(|stage| stage.key == *key))
                .collect(),
        }
    }
}

impl StageDocument {
    /// All criteria of the gate, in the order of the document.
    pub fn criteria(&self) -> Vec<CriterionRef<'_>> {
        let mut found = Vec::new();
        if let Some(gate) = &self.gate {
            gate.collect(&mut found);
        }
        found
    }

    pub fn criterion(&self, key: &str) -> Option<CriterionRef<'_>> {
        self.criteria().into_iter().find(|criterion| criterion.key == key)
    }
}

impl GateNode {
    /// The `kind` of this node.
    pub fn kind(&self) -> &'static str {
        match self {
            GateNode::All { .. } => "all",
            GateNode::Any { .. } => "any",
            GateNode::AtLeast { .. } => "at_least",
            GateNode::Check { .. } => "check",
            GateNode::Question { .. } => "question",
            GateNode::Field { .. } => "field",
            GateNode::Record { .. } => "record",
            GateNode::Approval { .. } => "approval",
        }
    }

    /// The nodes of a group; empty for a criterion.
    pub fn children(&self) -> &[GateNode] {
        match self {
            GateNode::All { of } | GateNode::Any { of } | GateNode::AtLeast { of, .. } => of,
            GateNode::Check { .. }
            | GateNode::Question { .. }
            | GateNode::Field { .. }
            | GateNode::Record { .. }
            | GateNode::Approval { .. } => &[],
        }
    }

    /// The common members of a criterion; `None` for a group.
    pub fn as_criterion(&self) -> Option<CriterionRef<'_>> {
        match self {
            GateNode::All { .. } | GateNode::Any { .. } | GateNode::AtLeast { .. } => None,
            GateNode::Check {
                key,
                label,
                is_required,
                help,
                ..
            }
            | GateNode::Question {
                key,
                label,
                is_required,
                help,
                ..
            }
            | GateNode::Field {
                key,
                label,
                is_required,
                help,
                ..
            }
            | GateNode::Record {
                key,
                label,
                is_required,
                help,
                ..
            }
            | GateNode::Approval {
                key,
                label,
                is_required,
                help,
                ..
            } => Some(CriterionRef {
                kind: self.kind(),
                key,
                label,
                is_required: *is_required,
                help: help.as_deref(),
                node: self,
            }),
        }
    }

    /// The key of the approval process that an `approval` names.
    pub fn process(&self) -> Option<&str> {
        match self {
            GateNode::Approval { process, .. } => Some(process),
            GateNode::All { .. }
            | GateNode::Any { .. }
            | GateNode::AtLeast { .. }
            | GateNode::Check { .. }
            | GateNode::Question { .. }
            | GateNode::Field { .. }
            | GateNode::Record { .. } => None,
        }
    }

    /// Whether the gate can depend on this node: a required criterion, or a group that contains one.
    pub fn counts(&self) -> bool {
        match self.as_criterion() {
            Some(criterion) => criterion.is_required,
            None => self.children().iter().any(GateNode::counts),
        }
    }

    fn collect<'a>(&'a self, found: &mut Vec<CriterionRef<'a>>) {
        found.extend(self.as_criterion());
        for child in self.children() {
            child.collect(found);
        }
    }
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn example() -> Value {
    serde_json::json!({
        "key": "b2b", "name": "标准销售流程", "is_regress_allowed": true,
        "stages": [
            {
                "key": "qualify", "name": "资格审查", "probability": "0.1000", "forecast_category": "pipeline",
                "expected_dwell_seconds": 604_800,
                "gate": { "kind": "all", "of": [
                    { "kind": "check", "key": "intent_confirmed", "label": "客户确认购买意向" },
                    { "kind": "field", "key": "amount_known", "label": "已填写预计金额", "expression": "amount > 0" }
                ] }
            },
            {
                "key": "contract", "name": "合同", "probability": "0.9000", "forecast_category": "commit",
                "asks_approval_by_itself": true,
                "gate": { "kind": "approval", "key": "contract_approved", "label": "合同审批通过", "process": "contract_approval" }
            }
        ]
    })
}

#[cfg(test)]
mod tests;
