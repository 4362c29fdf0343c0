//! The document of a process, as it is written, exported, published and frozen into requests.

use crate::time::calendar::Span;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Schema};
use utoipa::openapi::{OneOf, RefOr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// The key of the step that is made when no step of a process takes part; no process may use it.
pub const FALLBACK_STEP: &str = "administrators";

/// What a process decides on.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SubjectKind {
    Opportunity,
    Lead,
    ResultSheet,
}

/// An approval process: who is asked, in what order, and how their decisions count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, from = "Written")]
pub struct ProcessDocument {
    /// Stable through all versions: `[a-z][a-z0-9_]*`, at most 63 characters.
    #[schema(example = "contract_approval", pattern = "^[a-z][a-z0-9_]*$", max_length = 63)]
    pub key: String,
    /// For people.
    #[schema(example = "合同审批", min_length = 1, max_length = 200)]
    pub name: String,
    pub subject_kind: SubjectKind,
    /// The members of the subject that are approved: a change to one of them lapses the approval, a change
    /// elsewhere does not. `lines.quantity` names one member of each line. When not given: `amount`, `currency`,
    /// `account_id` and `lines` of an opportunity; `company`, `need`, `budget_amount` and `currency` of a lead; `agreed_on`,
    /// `terms`, `amount` and `currency` of a result sheet. Whoever names an amount or lines names `currency` too: it is added.
    #[serde(default)]
    #[schema(example = json!(["amount", "currency", "account_id", "lines"]), max_items = 100)]
    pub content: Vec<String>,
    /// Whether the requester may sit in a step; false separates the duties.
    #[serde(default)]
    pub may_requester_decide: bool,
    /// Whether the subject's owner may sit in a step; false separates the duties.
    #[serde(default)]
    pub may_owner_decide: bool,
    /// At least one when it is published. Their order is that of their positions.
    #[schema(max_items = 50)]
    pub steps: Vec<ProcessStep>,
}

/// A process as it is written: what it binds its approvals to may follow from what it decides on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    key: String,
    name: String,
    subject_kind: SubjectKind,
    content: Option<Vec<String>>,
    #[serde(default)]
    may_requester_decide: bool,
    #[serde(default)]
    may_owner_decide: bool,
    steps: Vec<ProcessStep>,
}

impl From<Written> for ProcessDocument {
    fn from(written: Written) -> ProcessDocument {
        let kind = written.subject_kind;
        ProcessDocument {
            key: written.key,
            name: written.name,
            subject_kind: kind,
            content: written.content.unwrap_or_else(|| kind.default_content()),
            may_requester_decide: written.may_requester_decide,
            may_owner_decide: written.may_owner_decide,
            steps: written.steps,
        }
    }
}

impl ProcessDocument {
    /// With the currency, where amounts are approved: without it they say nothing.
    #[must_use]
    pub fn with_currency(&self) -> ProcessDocument {
        let mut document = self.clone();
        let amounts = self.subject_kind.amounts();
        let names = |path: &String| {
            let head = path.split('.').next().unwrap_or_default();
            amounts.contains(&head)
        };
        let currency = String::from("currency");
        if self.content.iter().any(names) && !self.content.contains(&currency) {
            document.content.push(currency);
        }
        document
    }
}

impl SubjectKind {
    /// The members that are sums in the subject's currency, or hold such.
    fn amounts(self) -> &'static [&'static str] {
        match self {
            SubjectKind::Opportunity => &["amount", "lines"],
            SubjectKind::Lead => &["budget_amount"],
            SubjectKind::ResultSheet => &["amount"],
        }
    }

    /// The members that are approved when a process does not say which.
    fn default_content(self) -> Vec<String> {
        let members = match self {
            SubjectKind::Opportunity => ["amount", "currency", "account_id", "lines"],
            SubjectKind::Lead => ["company", "need", "budget_amount", "currency"],
            SubjectKind::ResultSheet => ["agreed_on", "terms", "amount", "currency"],
        };
        members.map(str::to_owned).to_vec()
    }
}

/// One step of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessStep {
    /// Unique in the process: `[a-z][a-z0-9_]*`, at most 63 characters.
    #[schema(example = "legal", pattern = "^[a-z][a-z0-9_]*$", max_length = 63)]
    pub key: String,
    /// For people.
    #[schema(example = "法务审核", min_length = 1, max_length = 200)]
    pub name: String,
    /// Steps with the same position run side by side; the next position opens when all of them are approved.
    #[schema(example = 2, minimum = 1, maximum = 1000)]
    pub position: i32,
    /// Who is asked. A person named in several ways has one seat.
    #[schema(schema_with = approvers_schema)]
    pub approvers: Vec<Approver>,
    #[serde(default)]
    pub mode: Mode,
    /// How many approvals make the step approved; given in the mode `quorum` and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 2, minimum = 1)]
    pub quorum: Option<i32>,
    /// When the step takes part: an expression over the snapshot, with `amount` in the company's currency.
    /// Always, when absent; also when it cannot be told because members that it reads are empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "amount > 200000")]
    pub condition: Option<String>,
    /// How long the step may stay open, in clock seconds. Passing it never approves. Of the three deadlines at most one
    /// is given; each is computed when the step opens, those in working time by the company's calendar as it then is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 172800, minimum = 60, maximum = 31_536_000)]
    pub deadline_seconds: Option<i64>,
    /// The deadline in minutes that are worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 480, minimum = 1, maximum = 525_600)]
    pub deadline_working_minutes: Option<i64>,
    /// The deadline in working days: "three days" over a holiday.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 3, minimum = 1, maximum = 365)]
    pub deadline_working_days: Option<i64>,
    /// How long before the deadline those who have not decided are reminded, in clock seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 14400, minimum = 60)]
    pub reminder_seconds_before: Option<i64>,
    /// The same in minutes that are worked; at most one of the two is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 60, minimum = 1, maximum = 525_600)]
    pub reminder_working_minutes_before: Option<i64>,
    /// Who is asked as well when the deadline has passed; their word alone then decides the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = escalation_schema)]
    pub escalation: Option<Escalation>,
}

/// How the decisions of a step count.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    /// 或签: the first decision, either way, decides.
    #[default]
    Any,
    /// 会签: everybody has to approve; one rejection rejects.
    All,
    /// Approved at `quorum` approvals, rejected once those are out of reach.
    Quorum,
}

/// People, named in one of four ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Approver {
    /// These people.
    Users {
        #[schema(max_items = 100)]
        user_ids: Vec<Uuid>,
    },
    /// Everybody who has this role when the step opens.
    Role {
        /// The role's key.
        #[schema(example = "legal")]
        role: String,
    },
    /// The leader above the requester or the owner.
    Leader {
        #[schema(inline)]
        of: Party,
        /// 1 is the leader of their own team, 2 the leader of the team above it.
        #[schema(example = 1, minimum = 1, maximum = 20)]
        levels_up: u32,
    },
    /// Who leads this team when the step opens.
    HeadOfTeam { team_id: Uuid },
}

/// Whose leader is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Requester,
    /// The subject's owner; the requester when it has none.
    Owner,
}

/// Who is asked as well once the deadline of a step has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Escalation {
    /// The next leader above each person who has not decided.
    Leader {},
    /// Everybody who has this role.
    Role {
        /// The role's key.
        #[schema(example = "sales_director")]
        role: String,
    },
}

fn approvers_schema() -> Schema {
    ArrayBuilder::new()
        .items(closed(
            Approver::schema(),
            "One way to name people who are asked.",
        ))
        .max_items(Some(50))
        .description(Some(
            "Who is asked; somebody, when it is published. A person named in several ways has one seat.",
        ))
        .build()
        .into()
}

fn escalation_schema() -> RefOr<Schema> {
    closed(
        Escalation::schema(),
        "Who is asked as well when the deadline has passed; their word alone then decides the step.",
    )
}

/// A tagged union whose alternatives refuse unknown members, as their reading does; the derive cannot say so.
fn closed(union: RefOr<Schema>, description: &str) -> RefOr<Schema> {
    let RefOr::T(Schema::OneOf(OneOf { items, .. })) = union else {
        return union;
    };
    let mut closed = OneOf::new();
    closed.description = Some(description.to_owned());
    closed.items = items
        .into_iter()
        .map(|item| match item {
            RefOr::T(Schema::Object(mut object)) => {
                let none_other = AdditionalProperties::FreeForm(false);
                object.additional_properties = Some(Box::new(none_other));
                RefOr::T(Schema::Object(object))
            }
            other => other,
        })
        .collect();
    RefOr::T(Schema::OneOf(closed))
}

impl ProcessDocument {
    /// The step with this key; the step of the administrators when the process has none, so that nothing
    /// that was opened is ever left without someone to decide.
    #[must_use]
    pub fn step(&self, key: &str) -> ProcessStep {
        self.steps
            .iter()
            .find(|step| step.key == key)
            .cloned()
            .unwrap_or_else(ProcessStep::fallback)
    }
}

impl ProcessStep {
    /// The step that asks the administrators.
    #[must_use]
    pub fn fallback() -> ProcessStep {
        ProcessStep {
            key: FALLBACK_STEP.to_owned(),
            name: "Administrators".to_owned(),
            position: 1,
            approvers: vec![Approver::Role {
                role: crate::kernel::permission::ADMINISTRATOR.to_owned(),
            }],
            mode: Mode::Any,
            quorum: None,
            condition: None,
            deadline_seconds: None,
            deadline_working_minutes: None,
            deadline_working_days: None,
            reminder_seconds_before: None,
            reminder_working_minutes_before: None,
            escalation: None,
        }
    }

    /// Whether it has a deadline of any kind.
    #[must_use]
    pub fn has_deadline(&self) -> bool {
        self.deadline_seconds.is_some() || self.working_deadline().is_some()
    }

    /// Its deadline in working time, if that is what it has.
    #[must_use]
    pub fn working_deadline(&self) -> Option<Span> {
        let minutes = self.deadline_working_minutes.map(Span::WorkingMinutes);
        minutes.or(self.deadline_working_days.map(Span::WorkingDays))
    }

    /// Its reminder in working time before the deadline, if that is what it has.
    #[must_use]
    pub fn working_reminder(&self) -> Option<Span> {
        self.reminder_working_minutes_before.map(Span::WorkingMinutes)
    }

    /// How many seats it needs at least.
    #[must_use]
    pub fn needed(&self) -> usize {
        match self.mode {
            Mode::Any | Mode::All => 1,
            Mode::Quorum => self
                .quorum
                .and_then(|count| usize::try_from(count).ok())
                .map_or(1, |count| count.max(1)),
        }
    }
}
