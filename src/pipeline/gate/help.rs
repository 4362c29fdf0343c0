//! Who may act on a criterion that does not hold, and the call that helps.

use super::evaluate::{CONVERTED, is_candidate, over_record};
use super::proposal::{at_present, proposal};
use super::standing::{ApprovalState, Person, Standing};
use super::verdict::{Call, Evidence, State, Who};
use super::{Condition, Counting, Leaf, Test};
use crate::kernel::money;
use crate::pipeline::definition::{Accept, AnswerType};
use crate::pipeline::records::record_kind;
use rust_decimal::{Decimal, RoundingStrategy};
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
const CHAIN_MEMBER: &str = "decision_chain_member";
const CHANGE_REQUEST: &str = "change_request";
const LINE: &str = "line";

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
            let body = json!({ "answer": satisfying(answer, accept.as_ref(), &standing.facts) });
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
fn satisfying(answer: &AnswerType, accept: Option<&Accept>, facts: &Value) -> Value {
    let accepted = match accept {
        Some(Accept::Values { of }) => of.first().cloned(),
        Some(Accept::Range { min, max }) => min.clone().or_else(|| max.clone()).map(Value::from),
        None => None,
    };
    accepted.unwrap_or_else(|| match answer {
        AnswerType::Day { min: None, max: None } => at_present(answer.example(), facts),
        _ => answer.example(),
    })
}

/// Sets the members with which the condition holds: the opportunity's own first, then its account's. No call, where no
/// such values can be told.
fn field(
    condition: &Condition,
    evidence: &Option<Evidence>,
    standing: &Standing,
) -> (Option<Who>, Option<Call>) {
    if let Some(Evidence::Field { missing, .. }) = evidence
        && let Some(foreign) = &standing.foreign
        && missing.iter().any(|name| name == CONVERTED)
    {
        let body = json!({ "currency": foreign.currency, "rate_on": standing.facts["today"], "rate": "…" });
        let call = Call {
            method: "POST",
            path: "/v1/exchange-rates".to_owned(),
            body,
        };
        return with_permission("catalog.write", Some(call));
    }
    let is_own = |path: &str| {
        let is_converted = path == "amount" && standing.foreign.is_some();
        OWN_MEMBERS.contains(&first(path)) && !is_converted
    };
    let of_account = |path: &str| {
        path.strip_prefix("account.")
            .is_some_and(|rest| standing.account_id.is_some() && !FIXED_ACCOUNT_MEMBERS.contains(&rest))
    };
    let proposed = proposal(&[condition], &standing.facts, |path| {
        is_own(path) || of_account(path)
    });
    let proposed = proposed.unwrap_or_default();
    let body = body_of(proposed.iter().filter(|(path, _)| is_own(path)), "");
    if !body.is_empty() {
        let path = format!("/v1/opportunities/{}", standing.opportunity_id);
        return with_permission("opportunity.write", Some(patch(path, body)));
    }
    let body = body_of(proposed.iter(), "account.");
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

/// A body that sets these members.
fn body_of<'a>(values: impl Iterator<Item = (&'a String, &'a Value)>, prefix: &str) -> Map<String, Value> {
    let mut body = Map::new();
    for (path, value) in values {
        put(
            &mut body,
            path.strip_prefix(prefix).unwrap_or(path),
            value.clone(),
        );
    }
    body
}

pub(super) fn put(body: &mut Map<String, Value>, path: &str, value: Value) {
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

/// Completes a record that is there, else adds one. No call, where the records that are there stand in the way and it
/// cannot be told how to change them.
fn record(counting: &Counting, standing: &Standing) -> Option<Call> {
    let known = record_kind(&counting.of)?;
    let path = format!("/v1/opportunities/{}/{}", standing.opportunity_id, known.path);
    match to_complete(counting, standing) {
        Completing::Set(id, body) => return Some(patch(format!("{path}/{id}"), body)),
        Completing::NotTold => return None,
        Completing::NoneThere => {}
    }
    let mut body = at_present(known.example(), &standing.facts);
    if known.kind == CHAIN_MEMBER {
        body["influence"] = influence_left(standing).into();
    }
    let conditions = counting.conditions();
    let proposed = proposal(&conditions, &with_time(&body, standing), is_settable);
    if let Value::Object(members) = &mut body {
        match proposed {
            Some(proposed) => proposed
                .iter()
                .for_each(|(path, value)| put(members, path, value.clone())),
            // Rather nothing than what breaks the condition; the reason says which one it is.
            None => {
                members.retain(|name, _| !conditions.iter().any(|it| it.members().any(|path| path == name)))
            }
        }
    }
    if let Value::Object(members) = &mut body {
        completed(known.kind, members);
    }
    Some(Call {
        method: "POST",
        path,
        body,
    })
}

/// What the server asks for besides, or computes itself.
fn completed(kind: &str, body: &mut Map<String, Value>) {
    if kind == LINE
        && let Some(amount) = body.remove("amount")
    {
        body.insert("quantity".to_owned(), "1".into());
        body.insert("unit_price".to_owned(), amount);
    }
    if kind == CHANGE_REQUEST && body.get("state") == Some(&Value::from("refused")) {
        body.entry("explanation").or_insert("…".into());
    }
}

/// What can be done with the records that are there.
enum Completing {
    /// These members set, this one counts and fulfils what each must.
    Set(Uuid, Map<String, Value>),
    /// Enough count, and it cannot be told what those lack.
    NotTold,
    NoneThere,
}

/// A record of which it is not known whether it counts, or that counts and does not fulfil what each must, with the
/// members to set.
fn to_complete(counting: &Counting, standing: &Standing) -> Completing {
    let records = standing.records.get(&counting.of).into_iter().flatten();
    let conditions = counting.conditions();
    let (mut counted, mut failing) = (0, 0);
    for record in records.filter(|record| is_candidate(record, counting, standing)) {
        let look = |condition: Option<&Condition>| over_record(condition, record, &standing.facts).0;
        let counts = look(counting.filter.as_ref());
        if counts == State::Unmet {
            continue;
        }
        counted += u32::from(counts == State::Met);
        if counts == State::Met && look(counting.every.as_ref()) == State::Met {
            continue;
        }
        failing += 1;
        let id = record.get("id").and_then(Value::as_str);
        let is_settable = |path: &str| is_settable(path) && !(counting.of == LINE && path == "amount");
        let proposed = proposal(&conditions, &with_time(record, standing), is_settable);
        let mut body = body_of(proposed.unwrap_or_default().iter(), "");
        completed(&counting.of, &mut body);
        if let Some(id) = id.and_then(|id| id.parse().ok())
            && !body.is_empty()
        {
            return Completing::Set(id, body);
        }
    }
    match failing > 0 && counted >= counting.at_least {
        true => Completing::NotTold,
        false => Completing::NoneThere,
    }
}

fn is_settable(path: &str) -> bool {
    !FIXED_RECORD_MEMBERS.contains(&path)
}

/// A share that the decision chain has room for: a good part of what is left, so that there is room for more.
fn influence_left(standing: &Standing) -> String {
    let members = standing.records.get(CHAIN_MEMBER).into_iter().flatten();
    let shares = members.filter_map(|member| money::parse(member.get("influence")?.as_str()?));
    let left = Decimal::ONE - shares.sum::<Decimal>();
    let share = match left == Decimal::ONE {
        true => Decimal::new(6, 1),
        false => (left / Decimal::TWO).round_dp_with_strategy(4, RoundingStrategy::ToZero),
    };
    money::share_text(share)
}

/// The record with the time of the facts, as conditions read it.
fn with_time(record: &Value, standing: &Standing) -> Value {
    let mut record = record.clone();
    for name in ["today", "now"] {
        if let Some(time) = standing.facts.get(name) {
            record[name] = time.clone();
        }
    }
    record
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
    let mut body = json!({ "criterion": leaf.key });
    if let Some(target) = standing.approval_target {
        body["to_stage_id"] = json!(target);
    }
    let call = Call {
        method: "POST",
        path: format!("/v1/opportunities/{}/approvals", standing.opportunity_id),
        body,
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
