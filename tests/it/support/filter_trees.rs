//! Random filter trees over accounts, and the plainest reading of what they mean.

use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::HashMap;

pub const WORDS: [&str; 6] = ["科技", "制造", "100%", "a_b", "Solid", "x\\y"];
pub const DAYS: [&str; 4] = ["2024-01-01", "2024-02-29", "2024-03-15", "2024-12-31"];

fn texts(member: &'static str) -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(WORDS.to_vec());
    prop_oneof![
        word().prop_map(move |word| json!({ "member": member, "eq": word })),
        word().prop_map(move |word| json!({ "member": member, "ne": word })),
        prop::collection::vec(word(), 1..4).prop_map(move |words| json!({ "member": member, "in": words })),
        (word(), 0..2_usize).prop_map(move |(word, from)| {
            let part = word.chars().skip(from).collect::<String>().to_uppercase();
            json!({ "member": member, "contains": part })
        }),
        word().prop_map(move |word| {
            let begin = word.chars().take(2).collect::<String>().to_lowercase();
            json!({ "member": member, "starts_with": begin })
        }),
        any::<bool>().prop_map(move |is_empty| json!({ "member": member, "is_empty": is_empty })),
    ]
}

fn ordered(member: &'static str, value: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let operator = prop::sample::select(vec!["eq", "ne", "lt", "lte", "gt", "gte"]);
    prop_oneof![
        3 => (operator, value.clone()).prop_map(move |(operator, value)| json!({ "member": member, (operator): value })),
        1 => (value.clone(), value.clone()).prop_map(move |(from, to)| json!({ "member": member, "between": [from, to] })),
        1 => prop::collection::vec(value, 1..3).prop_map(move |values| json!({ "member": member, "in": values })),
        1 => any::<bool>().prop_map(move |is_empty| json!({ "member": member, "is_empty": is_empty })),
    ]
}

fn tests() -> impl Strategy<Value = Value> {
    let number = || {
        (0..6_i64)
            .prop_map(|number| json!(format!("{number}.50")))
            .boxed()
    };
    let whole = (0..6_i64).prop_map(|number| json!(number)).boxed();
    let day = prop::sample::select(DAYS.to_vec())
        .prop_map(|day| json!(day))
        .boxed();
    prop_oneof![
        texts("name"),
        texts("industry"),
        texts("custom.city"),
        texts("parent.industry"),
        texts("parent.custom.city"),
        ordered("employees", whole),
        ordered("annual_revenue", number()),
        ordered("custom.score", number()),
        ordered("expected_need_on", day),
        prop::sample::select(vec!["a", "b", "c"]).prop_map(|grade| json!({ "member": "grade", "ne": grade })),
        prop::sample::select(WORDS.to_vec()).prop_map(|tag| json!({ "member": "tags", "contains": tag })),
        prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..3)
            .prop_map(|tags| json!({ "member": "tags", "in": tags })),
        any::<bool>().prop_map(|is_empty| json!({ "member": "tags", "is_empty": is_empty })),
        any::<bool>().prop_map(|flag| json!({ "member": "is_grade_by_hand", "eq": flag })),
    ]
}

/// Trees of up to four levels.
pub fn trees() -> impl Strategy<Value = Value> {
    tests().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| json!({ "and": parts })),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| json!({ "or": parts })),
            inner.prop_map(|part| json!({ "not": part })),
        ]
    })
}

/// Whether a tree lets a record through: word for word what the document says.
pub fn holds(tree: &Value, record: &Value, all: &HashMap<String, Value>) -> bool {
    let parts = |word: &str| tree[word].as_array().cloned().unwrap_or_default();
    if tree.get("and").is_some() {
        return parts("and").iter().all(|part| holds(part, record, all));
    }
    if tree.get("or").is_some() {
        return parts("or").iter().any(|part| holds(part, record, all));
    }
    if let Some(part) = tree.get("not") {
        return !holds(part, record, all);
    }
    let value = value_of(tree["member"].as_str().unwrap(), record, all);
    let (operator, operand) = tree
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, _)| *name != "member")
        .unwrap();
    test(&value, operator, operand)
}

fn value_of(name: &str, record: &Value, all: &HashMap<String, Value>) -> Value {
    if let Some(rest) = name.strip_prefix("parent.") {
        let parent = record["parent_id"].as_str().and_then(|id| all.get(id));
        return parent.map_or(Value::Null, |parent| value_of(rest, parent, all));
    }
    match name.strip_prefix("custom.") {
        Some(key) => record["custom"][key].clone(),
        None => record[name].clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
}

fn test(value: &Value, operator: &str, operand: &Value) -> bool {
    let operands = operand.as_array().cloned().unwrap_or_default();
    if let (Some(tags), "contains" | "in") = (value.as_array(), operator) {
        return tags.iter().any(|tag| tag == operand || operands.contains(tag));
    }
    let folded = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let order = |other: &Value| order(value, other);
    match operator {
        "is_empty" => is_empty(value) == operand.as_bool().unwrap(),
        "ne" => is_empty(value) || order(operand) != Some(std::cmp::Ordering::Equal),
        _ if is_empty(value) => false,
        "eq" => order(operand) == Some(std::cmp::Ordering::Equal),
        "in" => operands
            .iter()
            .any(|one| order(one) == Some(std::cmp::Ordering::Equal)),
        "lt" => order(operand).is_some_and(std::cmp::Ordering::is_lt),
        "lte" => order(operand).is_some_and(std::cmp::Ordering::is_le),
        "gt" => order(operand).is_some_and(std::cmp::Ordering::is_gt),
        "gte" => order(operand).is_some_and(std::cmp::Ordering::is_ge),
        "between" => {
            order(&operands[0]).is_some_and(std::cmp::Ordering::is_ge)
                && order(&operands[1]).is_some_and(std::cmp::Ordering::is_le)
        }
        "contains" => folded(value).contains(&folded(operand)),
        "starts_with" => folded(value).starts_with(&folded(operand)),
        other => panic!("{other}"),
    }
}

fn order(one: &Value, other: &Value) -> Option<std::cmp::Ordering> {
    if let (Some(one), Some(other)) = (one.as_i64(), other.as_i64()) {
        return Some(one.cmp(&other));
    }
    if let (Some(one), Some(other)) = (one.as_bool(), other.as_bool()) {
        return Some(one.cmp(&other));
    }
    let (one, other) = (one.as_str()?, other.as_str()?);
    match (one.parse::<Decimal>(), other.parse::<Decimal>()) {
        (Ok(one), Ok(other)) => Some(one.cmp(&other)),
        _ => Some(one.cmp(other)),
    }
}
