//! Values with which conditions hold, for the example body of a call. What is proposed was evaluated: where none of the
//! values tried makes the conditions hold, nothing is proposed.

use super::Condition;
use super::evaluate::at_path;
use super::help::put;
use crate::kernel::expression::{Kind, Truth, fulfilling};
use chrono::{DateTime, Days, NaiveDate};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most values tried for a member.
const MOST_TRIED: usize = 4;

/// The members to set, by dotted path, so that all conditions hold over the facts; what is right as it is is left out.
/// None where that cannot be told.
pub(super) fn proposal(
    conditions: &[&Condition],
    facts: &Value,
    is_settable: impl Fn(&str) -> bool,
) -> Option<BTreeMap<String, Value>> {
    let paths = conditions.iter().flat_map(|condition| condition.members());
    let options = paths
        .filter(|path| is_settable(path))
        .filter_map(|path| Some((path.clone(), options(conditions, path, facts)?)))
        .collect::<BTreeMap<_, _>>();
    (0..MOST_TRIED).find_map(|turn| {
        let chosen = options.iter().filter_map(|(path, values)| {
            let value = values.get(turn).or(values.last())?;
            Some((path.clone(), value.clone()))
        });
        let chosen = chosen.collect::<BTreeMap<_, _>>();
        let mut then = facts.clone();
        if let Value::Object(members) = &mut then {
            chosen
                .iter()
                .for_each(|(path, value)| put(members, path, value.clone()));
        }
        let hold = conditions.iter().all(|condition| condition.holds(&then));
        hold.then(|| {
            let mut chosen = chosen;
            chosen.retain(|path, value| at_path(facts, path) != Some(value));
            chosen
        })
    })
}

/// The values to try for a member, the likeliest first.
fn options(conditions: &[&Condition], path: &str, facts: &Value) -> Option<Vec<Value>> {
    let kind = conditions
        .iter()
        .find_map(|condition| condition.kinds.get(path))?;
    let demands = conditions
        .iter()
        .filter_map(|condition| condition.compiled.as_ref().ok())
        .flat_map(|expression| expression.demands(path))
        .collect::<Vec<_>>();
    let present = at_path(facts, path).filter(|value| !value.is_null());
    let told = fulfilling(&demands, kind);
    let fits = |value: &&Value| {
        let alone = conditions
            .iter()
            .all(|condition| !condition.fails_over(path, value));
        demands.is_empty() || alone
    };
    let present = present.filter(fits).cloned();
    let untold = if demands.is_empty() {
        examples(kind, facts)
    } else {
        Default::default()
    };
    Some(present.into_iter().chain(told).chain(untold).collect())
}

/// Something of the right form; days and instants of the present.
fn examples(kind: &Kind, facts: &Value) -> Vec<Value> {
    let day = |later: u64| {
        let today = NaiveDate::parse_from_str(facts.get("today")?.as_str()?, "%Y-%m-%d").ok()?;
        Some(json!(today.checked_add_days(Days::new(later))?))
    };
    match kind {
        Kind::Bool => vec![true.into(), false.into()],
        Kind::Record(_) | Kind::Records(_) => Vec::new(),
        Kind::Int => vec![1.into()],
        Kind::Decimal => vec!["1.00".into()],
        Kind::Text => vec!["…".into()],
        Kind::Choice(choices) => choices.iter().map(|choice| json!(choice)).collect(),
        Kind::Day => [day(0), day(30)].into_iter().flatten().collect(),
        Kind::Instant => facts.get("now").cloned().into_iter().collect(),
        Kind::Texts => vec![json!(["…"])],
    }
}

/// An example body with the present in the place of its days and instants.
pub(super) fn at_present(mut body: Value, facts: &Value) -> Value {
    if let Value::String(text) = &body {
        let (is_day, is_instant) = (
            NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok(),
            DateTime::parse_from_rfc3339(text).is_ok(),
        );
        let present = match (is_day, is_instant) {
            (true, _) => facts.get("today"),
            (_, true) => facts.get("now"),
            _ => None,
        };
        return present.cloned().unwrap_or(body);
    }
    if let Value::Object(members) = &mut body {
        for value in members.values_mut() {
            *value = at_present(value.take(), facts);
        }
    }
    body
}

impl Condition {
    /// Whether it holds over these facts.
    fn holds(&self, facts: &Value) -> bool {
        self.compiled
            .as_ref()
            .is_ok_and(|expression| expression.evaluate(facts) == Truth::Met)
    }

    /// Whether a member with this value makes it fail whatever the others are.
    fn fails_over(&self, path: &str, value: &Value) -> bool {
        let mut alone = serde_json::Map::new();
        put(&mut alone, path, value.clone());
        let facts = Value::Object(alone);
        self.compiled
            .as_ref()
            .is_ok_and(|expression| expression.evaluate(&facts) == Truth::Unmet)
    }
}
