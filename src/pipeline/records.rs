//! The parts of an opportunity that `record` criteria count: their kinds, addresses, and smallest request bodies.

use serde_json::{Value, json};

/// A kind of record, as criteria name it.
pub struct RecordKind {
    pub kind: &'static str,
    /// What it is called in Chinese.
    pub name_zh: &'static str,
    /// Its collection below `/v1/opportunities/{id}/`.
    pub path: &'static str,
    example: fn() -> Value,
}

impl RecordKind {
    /// A body that its `POST` takes, with examples for the members it requires.
    pub fn example(&self) -> Value {
        (self.example)()
    }
}

/// The kind of that name, if there is one.
pub fn record_kind(kind: &str) -> Option<&'static RecordKind> {
    RECORD_KINDS.iter().find(|known| known.kind == kind)
}

const fn kind(
    kind: &'static str,
    name_zh: &'static str,
    path: &'static str,
    example: fn() -> Value,
) -> RecordKind {
    RecordKind {
        kind,
        name_zh,
        path,
        example,
    }
}

/// Every kind of record.
pub static RECORD_KINDS: [RecordKind; 13] = [
    kind(
        "line",
        "产品明细",
        "lines",
        || json!({ "name": "…", "quantity": "1", "unit_price": "0.00" }),
    ),
    kind(
        "decision_chain_member",
        "决策链成员",
        "decision-chain-members",
        || json!({ "title": "…", "role": "decision_maker", "influence": "0.6000" }),
    ),
    kind(
        "need_analysis",
        "需求分析",
        "need-analyses",
        || json!({ "held_at": "2024-03-05T02:00:00Z", "explicit_needs": "…" }),
    ),
    kind(
        "solution_checklist_item",
        "方案清单项",
        "solution-checklist-items",
        || json!({ "module": "…", "is_done": true }),
    ),
    kind(
        "objection",
        "异议",
        "objections",
        || json!({ "raised_on": "2024-03-09", "content": "…" }),
    ),
    kind(
        "negotiation_record",
        "谈判记录",
        "negotiation-records",
        || json!({ "held_at": "2024-03-12T02:00:00Z" }),
    ),
    kind(
        "competitor_met",
        "遇到的竞争对手",
        "competitors-met",
        || json!({ "competitor_id": "<id of a competitor>" }),
    ),
    kind("value_line", "价值项", "value-lines", || json!({ "metric": "…" })),
    kind("risk_line", "风险项", "risk-lines", || json!({ "risk": "…" })),
    kind(
        "change_request",
        "变更请求",
        "change-requests",
        || json!({ "requested_on": "2024-03-11", "content": "…" }),
    ),
    kind(
        "negotiation_plan",
        "谈判方案",
        "negotiation-plans",
        || json!({ "floor_discount": "0.1200" }),
    ),
    kind(
        "negotiation_team_member",
        "谈判小组成员",
        "negotiation-team-members",
        || json!({ "user_id": "<id of a user>", "role": "signatory" }),
    ),
    kind(
        "result_sheet",
        "成果单",
        "result-sheets",
        || json!({ "agreed_on": "2024-03-12", "terms": [] }),
    ),
];
