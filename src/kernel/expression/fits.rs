//! Whether facts that somebody wrote down have the form in which expressions read them.

use super::tree::Type;
use super::value::Value;
use super::vocabulary::{Kind, Vocabulary};
use crate::kernel::text::{Say, say};
use serde_json::Value as Json;

/// JSON Pointers to the facts that are not of their member's kind, and what they must be. Null is of every kind; names
/// that are no members are left out.
#[must_use]
pub fn misfits(vocabulary: &Vocabulary, facts: &Json) -> Vec<(String, Say)> {
    let mut found = Vec::new();
    look(vocabulary, facts, "", &mut found);
    found
}

fn look(vocabulary: &Vocabulary, facts: &Json, at: &str, found: &mut Vec<(String, Say)>) {
    let members = facts.as_object().into_iter().flatten();
    for (name, fact) in members.filter(|(_, fact)| !fact.is_null()) {
        if let Some(kind) = vocabulary.get(name) {
            look_at(kind, fact, &format!("{at}/{name}"), found);
        }
    }
}

fn look_at(kind: &Kind, fact: &Json, at: &str, found: &mut Vec<(String, Say)>) {
    let fits = match (kind, fact) {
        (Kind::Record(members), Json::Object(_)) => return look(members, fact, at, found),
        (Kind::Records(members), Json::Array(records)) => {
            for (index, record) in records.iter().enumerate() {
                look_at(
                    &Kind::Record(members.clone()),
                    record,
                    &format!("{at}/{index}"),
                    found,
                );
            }
            return;
        }
        (Kind::Texts, Json::Array(texts)) => texts.iter().all(Json::is_string),
        (Kind::Texts | Kind::Records(_), _) => false,
        (kind, fact) => Value::read(&Type::of(kind), fact).is_some(),
    };
    if !fits {
        found.push((at.to_owned(), must_be(kind)));
    }
}

fn must_be(kind: &Kind) -> Say {
    let (en, zh) = match kind {
        Kind::Bool => ("must be true or false", "必须是 true 或 false"),
        Kind::Int => ("must be a whole number", "必须是整数"),
        Kind::Decimal => (
            "must be a decimal as text, such as \"12.50\"",
            "必须是文本形式的小数，例如 \"12.50\"",
        ),
        Kind::Text | Kind::Choice(_) => ("must be text", "必须是文本"),
        Kind::Day => (
            "must be a day such as \"2024-03-05\"",
            "必须是日期，例如 \"2024-03-05\"",
        ),
        Kind::Instant => (
            "must be an instant such as \"2024-03-05T08:00:00Z\"",
            "必须是时间点，例如 \"2024-03-05T08:00:00Z\"",
        ),
        Kind::Texts => ("must be a list of texts", "必须是文本列表"),
        Kind::Records(_) => ("must be a list of objects", "必须是对象列表"),
        Kind::Record(_) => ("must be an object", "必须是对象"),
    };
    say(en, zh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fact_that_no_expression_could_read_is_named_by_its_place() {
        let line = Vocabulary::new().with("quantity", Kind::Decimal);
        let vocabulary = Vocabulary::new()
            .with("amount", Kind::Decimal)
            .with("count", Kind::Int)
            .with("is_urgent", Kind::Bool)
            .with("name", Kind::Text)
            .with("closes_on", Kind::Day)
            .with("tags", Kind::Texts)
            .with_records("lines", line.clone())
            .with_record("first", line);
        let places = |facts| {
            let found = misfits(&vocabulary, &facts);
            found.into_iter().map(|(at, _)| at).collect::<Vec<_>>()
        };
        let sound = json!({ "amount": "12.50", "count": 3, "is_urgent": true, "name": "甲", "closes_on": "2024-03-05",
            "tags": ["a"], "lines": [{ "quantity": "1" }, { "quantity": null }], "first": { "quantity": 2 }, "other": {} });
        assert!(places(sound).is_empty());
        assert!(places(json!({ "amount": null, "lines": null })).is_empty());
        let faulty = json!({ "amount": "12,50", "count": "3", "is_urgent": "yes", "name": 1, "closes_on": "2024-02-30",
            "tags": ["a", 1], "lines": [{ "quantity": "1" }, 7, { "quantity": true }], "first": { "quantity": 0.5 } });
        let mut expected = ["/amount", "/closes_on", "/count", "/is_urgent", "/name", "/tags"]
            .map(str::to_owned)
            .to_vec();
        expected.extend(["/first/quantity", "/lines/1", "/lines/2/quantity"].map(str::to_owned));
        expected.sort();
        let mut found = places(faulty);
        found.sort();
        assert_eq!(found, expected);
        assert_eq!(places(json!({ "lines": {}, "first": [] })).len(), 2);
    }
}
