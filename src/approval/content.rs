//! The hash that binds a grant to what was granted.
//!
//! Taken over the members that the process declares, so that a change elsewhere (a next step, a note) voids
//! nothing. Two contents are the same when a person would call them so: `"22"` and `"22.00"`; an absent member and
//! a null one; the same lines in another order. What only says where and when a record was kept (`version`,
//! `created_at`, `updated_at`, `position`) is left out below the top; the `id` of a line counts.

use crate::platform::events::content_hash;
use serde_json::{Map, Number, Value};

const BOOKKEEPING: [&str; 4] = ["version", "created_at", "updated_at", "position"];

/// SHA-256 over the declared members of a subject's wire JSON. A path such as `lines.quantity` reads one member of
/// a record, or of each record of a list.
#[must_use]
pub fn hash(declared: &[String], subject: &Value) -> Vec<u8> {
    content_hash(&content(declared, subject))
}

/// The declared members in their canonical form.
#[must_use]
pub fn content(declared: &[String], subject: &Value) -> Value {
    let mut content = Map::new();
    for path in declared {
        let value = canonical(&select(subject, path));
        if !value.is_null() {
            content.insert(path.clone(), value);
        }
    }
    Value::Object(content)
}

/// What a dotted path reads: of a list of records, the list of what it reads in each.
fn select(value: &Value, path: &str) -> Value {
    let (head, rest) = path
        .split_once('.')
        .map_or((path, None), |(head, rest)| (head, Some(rest)));
    match value {
        Value::Array(items) => items.iter().map(|item| select(item, path)).collect(),
        Value::Object(members) => match (members.get(head), rest) {
            (None, _) => Value::Null,
            (Some(member), None) => member.clone(),
            (Some(member), Some(rest)) => select(member, rest),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(number) => canonical_number(number),
        Value::String(text) => Value::from(shortest_decimal(text)),
        Value::Array(items) => canonical_list(items),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !BOOKKEEPING.contains(&name.as_str()))
            .map(|(name, member)| (name.clone(), canonical(member)))
            .filter(|(_, member)| !member.is_null())
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// 5 and 5.0 are one number.
fn canonical_number(number: &Number) -> Value {
    let text = number.to_string();
    match text.strip_suffix(".0").map(str::parse::<i64>) {
        Some(Ok(whole)) => Value::from(whole),
        Some(Err(_)) | None => Value::Number(number.clone()),
    }
}

/// The order of records is of no account; that of single values is.
fn canonical_list(items: &[Value]) -> Value {
    let mut items = items.iter().map(canonical).collect::<Vec<_>>();
    if items.iter().all(Value::is_object) {
        items.sort_by_cached_key(content_hash);
    }
    Value::Array(items)
}

/// A decimal without needless zeros; any other text as it is.
fn shortest_decimal(text: &str) -> &str {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_decimal = is_digits(whole) && is_digits(fraction) && (whole == "0" || !whole.starts_with('0'));
    if !is_decimal {
        return text;
    }
    let short = if digits.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    };
    if short == "-0" { "0" } else { short }
}
