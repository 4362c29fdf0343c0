//! The gate as answers show it: the `gate` member of problems and of `GET …/gate`, in one language.

use super::standing::{ApprovalState, Person};
use super::verdict::{Call, Evidence, Finding, GateState, State, Verdict, Who};
use crate::kernel::text::Lang;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// The gate of the present stage: whether a deal may leave it, and why.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GateView {
    pub state: GateStateView,
    /// With `only_approval_missing`: the keys of the approval criteria to ask for (again).
    pub to_ask: Vec<String>,
    /// With `only_approval_missing`: the keys of the approval criteria that are being decided.
    pub pending: Vec<String>,
    /// The whole tree; null for a stage that demands nothing.
    pub tree: Option<NodeView>,
}

/// Whether the gate lets a deal through. `only_approval_missing`: everything else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateStateView {
    Open,
    OnlyApprovalMissing,
    Closed,
}

/// One node: a group of nodes, or a criterion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NodeView {
    /// `all`, `any`, `at_least`; or `check`, `question`, `field`, `record`, `approval`.
    #[schema(examples("check"))]
    pub kind: &'static str,
    pub state: State,
    /// Whether the gate can depend on it; an optional criterion informs only.
    pub is_required: bool,
    /// Of `at_least`: how many nodes must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The nodes of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub of: Option<Vec<NodeView>>,
    /// The key of a criterion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("intent_confirmed"))]
    pub key: Option<String>,
    /// What a criterion demands, in the company's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("客户确认购买意向"))]
    pub label: Option<String>,
    /// How to satisfy it, in the company's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What the state rests on; absent when there is nothing yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceView>,
    /// Why it is not met, in the language asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who may act on what is not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<WhoView>,
    /// The call that helps with what is not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallView>,
}

/// What the state of a criterion rests on, by its kind.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EvidenceView {
    /// Of `check` and `question`.
    Answer {
        answer: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// None when given by the system.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
        at: DateTime<Utc>,
    },
    /// Of `field`.
    Field {
        /// The condition.
        expression: String,
        /// The values it read, by member.
        values: Map<String, Value>,
        /// The members it needs and that are empty.
        missing: Vec<String>,
    },
    /// Of `record`.
    Record {
        /// The kind of record.
        of: String,
        /// How many count.
        record_count: usize,
        /// How many must count.
        needed: u32,
        /// Those that count, at most 20.
        record_ids: Vec<String>,
        /// Those that count and do not fulfil `every`, at most 20.
        failing_ids: Vec<String>,
    },
    /// Of `approval`.
    Approval {
        approval_state: ApprovalState,
        request_id: Option<Uuid>,
        /// Those who may decide now.
        waiting_for: Vec<Person>,
    },
}

/// Who may act: whoever holds a permission over the record, or the named approvers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WhoView {
    #[schema(examples("opportunity.write"))]
    pub permission: Option<&'static str>,
    pub approvers: Vec<Person>,
}

/// An API call that helps. The body is an example: put your own values in.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallView {
    #[schema(examples("PUT"))]
    pub method: &'static str,
    #[schema(examples("/v1/opportunities/0190c4e0-0000-7000-8000-000000000001/criteria/intent_confirmed"))]
    pub path: String,
    #[schema(examples(json!({ "answer": true })))]
    pub body: Value,
}

impl Verdict {
    /// The gate in one language.
    pub fn view(&self, lang: Lang) -> GateView {
        let (state, to_ask, pending) = match &self.state {
            GateState::Open => (GateStateView::Open, Vec::new(), Vec::new()),
            GateState::OnlyApprovalMissing { to_ask, pending } => (
                GateStateView::OnlyApprovalMissing,
                to_ask.clone(),
                pending.clone(),
            ),
            GateState::Closed => (GateStateView::Closed, Vec::new(), Vec::new()),
        };
        let mut tree = self.root.as_deref().map(|root| NodeView::new(root, lang));
        if self.hides_account {
            tree.iter_mut().for_each(NodeView::hide_account);
        }
        GateView {
            state,
            to_ask,
            pending,
            tree,
        }
    }

    /// The `gate` member of an answer.
    pub fn to_json(&self, lang: Lang) -> Value {
        serde_json::json!(self.view(lang))
    }
}

/// Takes what conditions read of the account out of evidence that is kept.
pub fn hide_account(evidence: &mut Value) {
    match evidence {
        Value::Object(members) => {
            if let Some(Value::Object(values)) = members.get_mut("values") {
                values.retain(|name, _| !is_of_account(name));
            }
            members.values_mut().for_each(hide_account);
        }
        Value::Array(items) => items.iter_mut().for_each(hide_account),
        _ => {}
    }
}

fn is_of_account(name: &str) -> bool {
    name.split('.').next() == Some("account")
}

impl NodeView {
    fn hide_account(&mut self) {
        if let Some(EvidenceView::Field { values, .. }) = &mut self.evidence {
            values.retain(|name, _| !is_of_account(name));
        }
        self.of.iter_mut().flatten().for_each(NodeView::hide_account);
    }

    fn new(from: &Finding, lang: Lang) -> NodeView {
        let is_criterion = from.is_criterion();
        let of = || from.of.iter().map(|child| NodeView::new(child, lang));
        NodeView {
            kind: from.kind,
            state: from.state,
            is_required: from.is_required,
            count: from.count,
            of: (!is_criterion).then(|| of().collect()),
            key: is_criterion.then(|| from.key.clone()),
            label: is_criterion.then(|| from.label.clone()),
            help: from.help.clone(),
            evidence: from.evidence.as_ref().map(EvidenceView::from),
            reason: from.reason.as_ref().map(|reason| reason.in_lang(lang).to_owned()),
            who: from.who.as_ref().map(WhoView::from),
            call: from.call.as_ref().map(CallView::from),
        }
    }
}

impl From<&Evidence> for EvidenceView {
    fn from(from: &Evidence) -> EvidenceView {
        match from.clone() {
            Evidence::Answer { answer, note, by, at } => EvidenceView::Answer { answer, note, by, at },
            Evidence::Field {
                expression,
                values,
                missing,
            } => EvidenceView::Field {
                expression,
                values,
                missing,
            },
            Evidence::Record {
                of,
                count,
                needed,
                record_ids,
                failing_ids,
            } => EvidenceView::Record {
                of,
                record_count: count,
                needed,
                record_ids,
                failing_ids,
            },
            Evidence::Approval {
                state,
                request_id,
                waiting_for,
            } => EvidenceView::Approval {
                approval_state: state,
                request_id,
                waiting_for,
            },
        }
    }
}

impl From<&Who> for WhoView {
    fn from(from: &Who) -> WhoView {
        match from {
            Who::Permission(permission) => WhoView {
                permission: Some(permission),
                approvers: Vec::new(),
            },
            Who::Approvers(people) => WhoView {
                permission: None,
                approvers: people.clone(),
            },
        }
    }
}

impl From<&Call> for CallView {
    fn from(from: &Call) -> CallView {
        CallView {
            method: from.method,
            path: from.path.clone(),
            body: from.body.clone(),
        }
    }
}
