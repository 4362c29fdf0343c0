//! Who may act on a criterion that does not hold, and the call that helps.

use super::evaluate::{at_path, is_candidate, over_record};
use super::standing::{ApprovalState, Person, Standing};
use super::verdict::{Call, Evidence, State, Who};
use super::{Condition, Counting, Leaf, Test};
use crate::kernel::expression::Kind;
use crate::pipeline::definition::{Accept, AnswerType};
use crate::pipeline::records::record_kind;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The members of an opportunity that `PATCH` changes; `custom` with all below it.
const OWN_MEMBERS: [&str; 12] = [
    "name",
    "amount",
    "currency",
    "expected_close_on",
    "forecast_category",
    "source_id",
    "next_step",
    "next_step_on",
    "is_as_is_purchase",
    "description",
    "tags",
    "custom",
];

/// The members of an account that `PATCH` does not change.
const FIXED_ACCOUNT_MEMBERS: [&str; 3] = ["owner_id", "created_at", "updated_at"];

/// The members of a record that no request sets.
const FIXED_RECORD_MEMBERS: [&str; 5] = ["created_at", "updated_at", "frozen_at", "today", "now"];

/// Who may act on a criterion that does not hold, and the call that helps; none where no call could.
pub(super) fn for_criterion(
    leaf: &Leaf,
    evidence: &Option<Evidence>,
    standing: &Standing,
) -> (Option<Who>, Option<Call>) {
    match &leaf.test {
        Test::Check { needs_note } => {
            let mut body = json!({ "answer": true });
            if *needs_note {
                body["note"] = "…".into();
            }
            with_permission("opportunity.write", Some(answer_call(leaf, standing, body)))
        }
        Test::Question { answer, accept } => {
            let body = json!({ "answer": satisfying(answer, accept.as_ref()) });
            with_permission("opportunity.write", Some(answer_call(leaf, standing, body)))
        }
        Test::Field(condition) => field(condition, evidence, standing),
        Test::Record(counting) => with_permission("opportunity.write", record(counting, standing)),
        Test::Approval => approval(leaf, evidence, standing),
    }
}

fn with_permission(permission: &'static str, call: Option<Call>) -> (Option<Who>, Option<Call>) {
    (Some(Who::Permission(permission)), call)
}

fn answer_call(leaf: &Leaf, standing: &Standing, body: Value) -> Call {
    Call {
        method: "PUT",
        path: format!(
            "/v1/opportunities/{}/criteria/{}",
            standing.opportunity_id, leaf.key
        ),
        body,
    }
}

/// An answer that satisfies the question.
fn satisfying(answer: &AnswerType, accept: Option<&Accept>) -> Value {
    let accepted = match accept {
        Some(Accept::Values { of }) => of.first().cloned(),
        Some(Accept::Range { min, max }) => min.clone().or_else(|| max.clone()).map(Value::from),
        None => None,
    };
    accepted.unwrap_or_else(|| answer.example())
}

/// Sets the members that are missing, else those that were read: the opportunity's own first, then its account's.
fn field(
    condition: &Condition,
    evidence: &Option<Evidence>,
    standing: &Standing,
) -> (Option<Who>, Option<Call>) {
    let missing = match evidence {
        Some(Evidence::Field { missing, .. }) => missing.as_slice(),
        _ => &[],
    };
    let wanted = |path: &str| missing.is_empty() || missing.iter().any(|name| name == path);
    let paths = || condition.members().filter(|path| wanted(path));
    let own = paths().filter(|path| OWN_MEMBERS.contains(&first(path)));
    let body = body_of(own, condition, &standing.facts, "");
    if !body.is_empty() {
        let path = format!("/v1/opportunities/{}", standing.opportunity_id);
        return with_permission("opportunity.write", Some(patch(path, body)));
    }
    let accounts = paths().filter(|path| {
        path.strip_prefix("account.")
            .is_some_and(|rest| !FIXED_ACCOUNT_MEMBERS.contains(&rest))
    });
    let body = body_of(accounts, condition, &standing.facts, "account.");
    match standing.account_id {
        Some(account_id) if !body.is_empty() => {
            let path = format!("/v1/accounts/{account_id}");
            with_permission("account.write", Some(patch(path, body)))
        }
        _ => with_permission("opportunity.write", None),
    }
}

fn first(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

fn patch(path: String, body: Map<String, Value>) -> Call {
    Call {
        method: "PATCH",
        path,
        body: Value::Object(body),
    }
}

/// An example body that sets these members: their present values, a truth value turned round, and something of the right
/// form where there is none.
fn body_of<'a>(
    paths: impl Iterator<Item = &'a String>,
    condition: &Condition,
    facts: &Value,
    prefix: &str,
) -> Map<String, Value> {
    let mut body = Map::new();
    for path in paths {
        let Some(kind) = condition.kinds.get(path) else {
            continue;
        };
        let present = at_path(facts, path).filter(|value| !value.is_null());
        let Some(value) = example(kind, present) else {
            continue;
        };
        put(&mut body, path.strip_prefix(prefix).unwrap_or(path), value);
    }
    body
}

fn put(body: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            body.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let below = body.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

fn example(kind: &Kind, present: Option<&Value>) -> Option<Value> {
    match (kind, present) {
        (Kind::Bool, present) => Some((present.and_then(Value::as_bool) != Some(true)).into()),
        (Kind::Record(_) | Kind::Records(_), _) => None,
        (_, Some(present)) => Some(present.clone()),
        (Kind::Int, None) => Some(1.into()),
        (Kind::Decimal, None) => Some("1.00".into()),
        (Kind::Text, None) => Some("…".into()),
        (Kind::Day, None) => Some("2024-03-31".into()),
        (Kind::Instant, None) => Some("2024-03-05T02:00:00Z".into()),
        (Kind::Texts, None) => Some(json!(["…"])),
    }
}

/// Completes a record that is there, else adds one.
fn record(counting: &Counting, standing: &Standing) -> Option<Call> {
    let known = record_kind(&counting.of)?;
    let path = format!("/v1/opportunities/{}/{}", standing.opportunity_id, known.path);
    if let Some((id, body)) = to_complete(counting, standing) {
        return Some(patch(format!("{path}/{id}"), body));
    }
    let mut body = known.example();
    if let Value::Object(members) = &mut body {
        for condition in counting.filter.iter().chain(&counting.every) {
            for (name, value) in settable(condition, &Value::Null, |_| true) {
                members.entry(name).or_insert(value);
            }
        }
    }
    Some(Call {
        method: "POST",
        path,
        body,
    })
}

/// A record of which it is not known whether it counts, or that counts and does not fulfil what each must, with the
/// members to set.
fn to_complete(counting: &Counting, standing: &Standing) -> Option<(Uuid, Map<String, Value>)> {
    let records = standing.records.get(&counting.of)?;
    let mut candidates = records
        .iter()
        .filter(|record| is_candidate(record, counting, standing));
    candidates.find_map(|record| {
        let id = record.get("id")?.as_str()?.parse().ok()?;
        let look = |condition: Option<&Condition>| over_record(condition, record, &standing.facts);
        let (counts, missing) = look(counting.filter.as_ref());
        let body = match counts {
            State::Unmet => return None,
            State::Unknown => settable(counting.filter.as_ref()?, record, |name| {
                missing.iter().any(|missing| missing == name)
            }),
            State::Met => match look(counting.every.as_ref()) {
                (State::Met, _) => return None,
                (State::Unmet | State::Unknown, _) => settable(counting.every.as_ref()?, record, |_| true),
            },
        };
        (!body.is_empty()).then_some((id, body))
    })
}

fn settable(condition: &Condition, record: &Value, is_wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
    let paths = condition
        .members()
        .filter(|path| is_wanted(path) && !FIXED_RECORD_MEMBERS.contains(&path.as_str()));
    body_of(paths, condition, record, "")
}

fn approval(leaf: &Leaf, evidence: &Option<Evidence>, standing: &Standing) -> (Option<Who>, Option<Call>) {
    if let Some(Evidence::Approval {
        state: ApprovalState::Pending,
        request_id,
        waiting_for,
    }) = evidence
    {
        return pending(*request_id, waiting_for);
    }
    let call = Call {
        method: "POST",
        path: format!("/v1/opportunities/{}/approvals", standing.opportunity_id),
        body: json!({ "criterion": leaf.key }),
    };
    with_permission("approval.request", Some(call))
}

fn pending(request_id: Option<Uuid>, waiting_for: &[Person]) -> (Option<Who>, Option<Call>) {
    let call = request_id.map(|id| Call {
        method: "POST",
        path: format!("/v1/approval-requests/{id}/approve"),
        body: json!({}),
    });
    (Some(Who::Approvers(waiting_for.to_vec())), call)
}
