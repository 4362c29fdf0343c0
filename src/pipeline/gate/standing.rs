//! How a deal stands: everything a gate looks at, as plain data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// How a deal stands in its present stage.
#[derive(Debug, Clone)]
pub struct Standing {
    pub opportunity_id: Uuid,
    pub account_id: Option<Uuid>,
    /// Whether the caller may not see the account: what conditions read of it is then kept from them.
    pub hides_account: bool,
    /// The stage that a request for an approval is to name: of several to which the present one leads, where the last
    /// approval moves the deal on.
    pub approval_target: Option<Uuid>,
    /// The opportunity in wire form, with `account`, `custom`, `today` and `now`.
    pub facts: Value,
    /// Of a deal in another currency than the company's: its amount, which conditions read converted.
    pub foreign: Option<ForeignAmount>,
    /// When the present visit began.
    pub entered_at: DateTime<Utc>,
    /// The ticks and answers given in this visit, by criterion key.
    pub answers: BTreeMap<String, Answer>,
    /// The live records of each kind, in wire form with `id` and `created_at`.
    pub records: BTreeMap<String, Vec<Value>>,
    /// The approvals of this visit, by criterion key; what is absent was not asked for.
    pub approvals: BTreeMap<String, Approval>,
}

/// The amount of a deal that is not in the company's currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignAmount {
    /// In the deal's own currency.
    pub amount: String,
    pub currency: String,
    pub company_currency: String,
    /// In the company's currency by the rate of the day; none without a rate.
    pub converted: Option<String>,
}

impl ForeignAmount {
    /// The amount as conditions read it: there, but not known, where there is no rate.
    pub fn as_fact(&self) -> Value {
        match &self.converted {
            Some(converted) => Value::from(converted.as_str()),
            None => Value::Object(serde_json::Map::new()),
        }
    }
}

/// A tick or an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// In the form in which `check_answer` gave it.
    pub answer: Value,
    pub note: Option<String>,
    pub by: Option<Person>,
    pub at: DateTime<Utc>,
}

/// A user, by id and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    pub id: Uuid,
    #[schema(examples("李雷"))]
    pub name: String,
}

/// How the approval of a criterion stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approval {
    pub state: ApprovalState,
    /// The latest request of this visit.
    pub request_id: Option<Uuid>,
    /// Those who hold an undecided seat in an open step.
    pub waiting_for: Vec<Person>,
}

/// The state of an approval in this visit. An approval whose subject changed in what was approved is `lapsed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    #[default]
    NotAsked,
    Pending,
    Approved,
    Rejected,
    Returned,
    Withdrawn,
    Lapsed,
}

impl Standing {
    /// A deal of which nothing but its ids and entry time is known.
    pub fn new(opportunity_id: Uuid, entered_at: DateTime<Utc>) -> Standing {
        Standing {
            opportunity_id,
            account_id: None,
            hides_account: false,
            approval_target: None,
            facts: Value::Object(serde_json::Map::new()),
            foreign: None,
            entered_at,
            answers: BTreeMap::new(),
            records: BTreeMap::new(),
            approvals: BTreeMap::new(),
        }
    }
}
