//! What a gate says: the whole tree, with the state and evidence of every node.

use super::standing::{ApprovalState, Person};
use crate::kernel::text::{Say, say};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// The gate as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub state: GateState,
    /// None for a stage that demands nothing.
    pub root: Option<Box<Finding>>,
    /// See [`super::Standing::hides_account`].
    pub hides_account: bool,
}

/// Whether the gate lets a deal through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateState {
    Open,
    /// Everything else holds; with these approvals the gate would be open. Criterion keys, in the order of the gate; of
    /// alternatives those that need the fewest new requests.
    OnlyApprovalMissing {
        /// Never asked for in this visit, or returned, withdrawn or lapsed: asking (again) is the next thing to do.
        to_ask: Vec<String>,
        pending: Vec<String>,
    },
    Closed,
}

/// The state of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Met,
    Unmet,
    /// Not yet known: a question without an answer, a condition over members that are empty.
    Unknown,
}

/// One node of the tree, evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// `all`, `any`, `at_least`, or the kind of a criterion.
    pub kind: &'static str,
    pub state: State,
    /// Whether the gate can depend on it.
    pub is_required: bool,
    /// Of `at_least`.
    pub count: Option<u32>,
    /// The nodes of a group.
    pub of: Vec<Finding>,
    /// Of a criterion; empty for a group.
    pub key: String,
    /// Of a criterion; empty for a group.
    pub label: String,
    pub help: Option<String>,
    pub evidence: Option<Evidence>,
    /// Why it is not met.
    pub reason: Option<Say>,
    /// Who may act on what is not met.
    pub who: Option<Who>,
    /// The call that helps with what is not met.
    pub call: Option<Call>,
}

/// What the state of a criterion rests on.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    Answer {
        answer: Value,
        note: Option<String>,
        by: Option<Person>,
        at: DateTime<Utc>,
    },
    Field {
        expression: String,
        /// The single values it read, by dotted path.
        values: Map<String, Value>,
        /// The members it needs and that are empty.
        missing: Vec<String>,
    },
    Record {
        of: String,
        /// How many records count.
        count: usize,
        needed: u32,
        /// Those that count, at most 20.
        record_ids: Vec<String>,
        /// Those that count and do not (or not yet known) fulfil `every`, at most 20.
        failing_ids: Vec<String>,
    },
    Approval {
        state: ApprovalState,
        request_id: Option<Uuid>,
        waiting_for: Vec<Person>,
    },
}

/// Who may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Whoever holds this permission over the record.
    Permission(&'static str),
    /// These approvers.
    Approvers(Vec<Person>),
}

/// An API call with an example body.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub body: Value,
}

impl Verdict {
    pub fn is_open(&self) -> bool {
        self.state == GateState::Open
    }

    /// The required criteria that stand in the way, in the order of the gate: not met, and below no group that holds
    /// already.
    pub fn blocking(&self) -> Vec<&Finding> {
        let mut found = Vec::new();
        if let Some(root) = &self.root {
            root.blocking(&mut found);
        }
        found
    }

    /// What stands in the way, as a person counts it: each criterion by its label, and each group of which not all must
    /// hold as one.
    pub fn obstacles(&self) -> Vec<Say> {
        self.root.as_deref().map(Finding::obstacles).unwrap_or_default()
    }

    /// The criterion of that key.
    pub fn criterion(&self, key: &str) -> Option<&Finding> {
        self.root.as_ref().and_then(|root| root.criterion(key))
    }

    /// The compact form, the same in every language, that is stored with a transition: each node with its kind, key,
    /// state and evidence.
    pub fn to_evidence(&self) -> Value {
        json!({
            "state": self.state.as_str(),
            "tree": self.root.as_deref().map(Finding::to_evidence),
        })
    }
}

impl GateState {
    pub fn as_str(&self) -> &'static str {
        match self {
            GateState::Open => "open",
            GateState::OnlyApprovalMissing { .. } => "only_approval_missing",
            GateState::Closed => "closed",
        }
    }
}

impl Finding {
    pub fn is_criterion(&self) -> bool {
        !matches!(self.kind, "all" | "any" | "at_least")
    }

    fn blocking<'a>(&'a self, found: &mut Vec<&'a Finding>) {
        if !self.is_required || self.state == State::Met {
            return;
        }
        if self.is_criterion() {
            found.push(self);
        }
        for child in &self.of {
            child.blocking(found);
        }
    }

    fn obstacles(&self) -> Vec<Say> {
        if !self.is_required || self.state == State::Met {
            return Vec::new();
        }
        if self.is_criterion() {
            return vec![say(self.label.as_str(), self.label.as_str())];
        }
        let found = self.of.iter().flat_map(Finding::obstacles).collect::<Vec<_>>();
        let joined = |of: fn(&Say) -> &str, joint: &str| found.iter().map(of).collect::<Vec<_>>().join(joint);
        let held = self
            .of
            .iter()
            .filter(|child| child.is_required && child.state == State::Met);
        let lacking = (self.count.unwrap_or(1) as usize).saturating_sub(held.count());
        match self.kind {
            "all" => found,
            _ if found.len() == 1 => found,
            _ if lacking == 1 => vec![say(joined(|it| &it.en, " or "), joined(|it| &it.zh, "或"))],
            _ => vec![say(
                format!("{lacking} of ({})", joined(|it| &it.en, ", ")),
                format!("（{}）中的 {lacking} 项", joined(|it| &it.zh, "、")),
            )],
        }
    }

    fn criterion(&self, key: &str) -> Option<&Finding> {
        if self.is_criterion() && self.key == key {
            return Some(self);
        }
        self.of.iter().find_map(|child| child.criterion(key))
    }

    fn to_evidence(&self) -> Value {
        let mut members = Map::new();
        members.insert("kind".to_owned(), self.kind.into());
        members.insert("state".to_owned(), json!(self.state));
        if let Some(count) = self.count {
            members.insert("count".to_owned(), count.into());
        }
        if self.is_criterion() {
            members.insert("key".to_owned(), self.key.as_str().into());
            if !self.is_required {
                members.insert("is_required".to_owned(), false.into());
            }
        } else {
            let of = self.of.iter().map(Finding::to_evidence);
            members.insert("of".to_owned(), of.collect());
        }
        if let Some(evidence) = &self.evidence {
            members.insert("evidence".to_owned(), evidence.to_json());
        }
        Value::Object(members)
    }
}

impl Evidence {
    fn to_json(&self) -> Value {
        json!(super::view::EvidenceView::from(self))
    }
}
