//! Which record's value each member of the survivor gets: pure.

use crate::crm::resources::{ACCOUNT, LEAD};
use crate::crm::signals::rules::{self as signals, Signal};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::input::escaped;
use crate::platform::records::custom::Definition;
use crate::platform::records::{Kind, Resource};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Members that mean nothing without another of the same record.
const PAIRS: &[(&str, &str)] = &[
    ("annual_revenue", "currency"),
    ("budget_amount", "currency"),
    ("grade", "is_grade_by_hand"),
    ("phone", "phone_e164"),
];

/// One record of a merge, in wire form.
#[derive(Debug, Clone)]
pub struct Side {
    pub id: Uuid,
    pub record: Map<String, Value>,
}

/// The survivor as the merge leaves it: where a choice names a record, that one's value; else its own; else, where it has
/// none, that of the first of the others that has one. Tags are united; the company's own fields are filled one by one.
///
/// # Errors
/// Choices that cannot be; those that [`unfit`] finds are known not to be among them.
pub fn chosen(
    resource: &Resource,
    survivor: &Side,
    losers: &[Side],
    choices: &BTreeMap<String, Uuid>,
) -> Result<Map<String, Value>, Vec<Fault>> {
    let given_up = choices
        .iter()
        .filter(|(name, id)| is_given_up(resource, survivor, losers, name, **id));
    let faults = given_up.map(|(name, _)| no_owner(name)).collect::<Vec<_>>();
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut after = survivor.record.clone();
    for member in resource.kept().filter(|member| !member.is_read_only) {
        match member.kind {
            Kind::Tags => unite(&mut after, member.name, losers),
            Kind::Custom => fill_custom(&mut after, member.name, losers),
            Kind::Currency => {}
            _ if is_blank(after.get(member.name)) => {
                if let Some(loser) = losers
                    .iter()
                    .find(|loser| !is_blank(loser.record.get(member.name)))
                {
                    take(&mut after, member.name, loser);
                }
            }
            _ => {}
        }
    }
    let sides = || std::iter::once(survivor).chain(losers);
    for (name, id) in choices {
        let Some(side) = sides().find(|side| side.id == *id) else {
            continue;
        };
        match name.split_once('.') {
            Some((_, key)) => take_custom(&mut after, key, side),
            None => take(&mut after, name, side),
        }
    }
    if resource.singular == LEAD.singular {
        unite_signals(&mut after, survivor, losers, choices);
    }
    Ok(after)
}

/// The window in which they decide is that of one record, never half of one and half of another; and what was confirmed of
/// the values that go on stays confirmed.
fn unite_signals(
    after: &mut Map<String, Value>,
    survivor: &Side,
    losers: &[Side],
    choices: &BTreeMap<String, Uuid>,
) {
    let sides = || std::iter::once(survivor).chain(losers);
    let whole = sides().find(|side| Signal::DecisionWindow.has_value(&side.record));
    let chosen = |name: &str| {
        let id = choices.get(name)?;
        sides().find(|side| side.id == *id)
    };
    for (name, other) in [
        ("decision_from", "decision_until"),
        ("decision_until", "decision_from"),
    ] {
        let side = chosen(name).or(chosen(other)).or(whole);
        let value = side.and_then(|side| side.record.get(name));
        after.insert(name.to_owned(), value.cloned().unwrap_or(Value::Null));
    }
    let known = signals::among(after, sides().map(|side| &side.record));
    after.insert("confirmations".to_owned(), known);
}

/// The faults of choices that name no member whose value can be chosen, or none of the records of the merge. `own`: the
/// company's own fields of such records.
pub fn unfit(
    resource: &Resource,
    records: &[Uuid],
    choices: &BTreeMap<String, Uuid>,
    own: &[Definition],
) -> Vec<Fault> {
    let can_be = |name: &str| match name.strip_prefix("custom.") {
        Some(key) => own.iter().any(|field| field.key == key),
        None => resource.kept().any(|member| {
            member.name == name && !member.is_read_only && !matches!(member.kind, Kind::Custom | Kind::Tags)
        }),
    };
    let mut faults = Vec::new();
    for (name, id) in choices {
        let pointer = format!("/choices/{}", escaped(name));
        if !can_be(name) {
            let message = say("is no member whose value can be chosen", "不是可选择取值的成员");
            faults.push(Fault::new(pointer, "unknown_field", message));
        } else if !records.contains(id) {
            let message = say("is not a record of this merge", "不是本次合并的记录");
            faults.push(Fault::new(pointer, "unknown_value", message));
        }
    }
    faults
}

fn no_owner(name: &str) -> Fault {
    let message = say(
        "has no owner; release the account to the pool instead",
        "没有负责人；请将客户释放到公海",
    );
    Fault::new(format!("/choices/{name}"), "invalid", message)
}

/// An account with an owner comes into the pool by a release, which asks about its open deals, not by a choice.
fn is_given_up(resource: &Resource, survivor: &Side, losers: &[Side], name: &str, id: Uuid) -> bool {
    let has_owner = |side: &Side| !is_blank(side.record.get("owner_id"));
    let mut sides = std::iter::once(survivor).chain(losers);
    resource.singular == ACCOUNT.singular
        && name == "owner_id"
        && sides.clone().any(has_owner)
        && sides.any(|side| side.id == id && !has_owner(side))
}

fn is_blank(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.is_null() || value.as_str() == Some(""))
}

/// Takes a member from a record, with what it means nothing without.
fn take(after: &mut Map<String, Value>, name: &str, from: &Side) {
    let paired = PAIRS
        .iter()
        .filter(|(one, _)| *one == name)
        .map(|(_, other)| *other);
    for member in std::iter::once(name).chain(paired) {
        if let Some(value) = from.record.get(member) {
            after.insert(member.to_owned(), value.clone());
        }
    }
}

fn unite(after: &mut Map<String, Value>, name: &str, losers: &[Side]) {
    let mut tags = after
        .get(name)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let others = losers
        .iter()
        .filter_map(|loser| loser.record.get(name).and_then(Value::as_array))
        .flatten();
    for tag in others {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    after.insert(name.to_owned(), json!(tags));
}

fn fill_custom(after: &mut Map<String, Value>, name: &str, losers: &[Side]) {
    let Some(values) = after.get_mut(name).and_then(Value::as_object_mut) else {
        return;
    };
    let others = losers
        .iter()
        .filter_map(|loser| loser.record.get(name).and_then(Value::as_object))
        .flatten();
    for (key, value) in others {
        if is_blank(values.get(key)) {
            values.insert(key.clone(), value.clone());
        }
    }
}

fn take_custom(after: &mut Map<String, Value>, key: &str, from: &Side) {
    let value = from
        .record
        .get("custom")
        .and_then(|custom| custom.get(key))
        .cloned();
    if let Some(values) = after.get_mut("custom").and_then(Value::as_object_mut) {
        match value {
            Some(value) => values.insert(key.to_owned(), value),
            None => values.shift_remove(key),
        };
    }
}

/// The members that two states of a record differ in: as they were, and as they are.
pub fn difference(
    resource: &Resource,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let mut was = Map::new();
    let mut is = Map::new();
    for member in resource.kept() {
        let (old, new) = (before.get(member.name), after.get(member.name));
        if old != new {
            was.insert(member.name.to_owned(), old.cloned().unwrap_or(Value::Null));
            is.insert(member.name.to_owned(), new.cloned().unwrap_or(Value::Null));
        }
    }
    (was, is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(record: Value) -> Side {
        Side {
            id: Uuid::now_v7(),
            record: record.as_object().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn no_choice_takes_the_owner_of_an_account_away() {
        let survivor = side(json!({ "name": "甲", "owner_id": Uuid::now_v7() }));
        let pooled = side(json!({ "name": "乙", "owner_id": null }));
        let choices = BTreeMap::from([("owner_id".to_owned(), pooled.id)]);
        let faults = chosen(&ACCOUNT, &survivor, &[pooled], &choices).unwrap_err();
        assert_eq!(faults[0].pointer, "/choices/owner_id");
        let (one, other) = (
            side(json!({ "name": "甲", "owner_id": null })),
            side(json!({ "name": "乙", "owner_id": null })),
        );
        let choices = BTreeMap::from([("owner_id".to_owned(), other.id)]);
        assert!(chosen(&ACCOUNT, &one, &[other], &choices).is_ok());
    }

    #[test]
    fn what_the_survivor_lacks_comes_from_the_first_that_has_it() {
        let survivor = side(json!({ "name": "甲", "region": null, "tags": ["a"], "custom": { "x": "1" } }));
        let one = side(
            json!({ "name": "乙", "region": "华东", "tags": ["b", "a"], "custom": { "x": "2", "y": "3" } }),
        );
        let other =
            side(json!({ "name": "丙", "region": "华南", "industry": "制造", "tags": [], "custom": {} }));
        let after = chosen(&ACCOUNT, &survivor, &[one, other], &BTreeMap::new()).unwrap();
        assert_eq!(
            (&after["name"], &after["region"], &after["industry"]),
            (&json!("甲"), &json!("华东"), &json!("制造"))
        );
        assert_eq!(
            (&after["tags"], &after["custom"]),
            (&json!(["a", "b"]), &json!({ "x": "1", "y": "3" }))
        );
    }

    #[test]
    fn a_chosen_amount_brings_its_currency() {
        let survivor = side(json!({ "name": "甲", "annual_revenue": "1.00", "currency": "CNY" }));
        let loser = side(json!({ "name": "乙", "annual_revenue": "2.00", "currency": "USD" }));
        let choices = BTreeMap::from([("annual_revenue".to_owned(), loser.id)]);
        let after = chosen(&ACCOUNT, &survivor, &[loser], &choices).unwrap();
        assert_eq!(
            (&after["annual_revenue"], &after["currency"]),
            (&json!("2.00"), &json!("USD"))
        );
    }

    #[test]
    fn a_choice_names_a_member_and_a_record_of_the_merge() {
        let records = [Uuid::now_v7(), Uuid::now_v7()];
        let choices = BTreeMap::from([
            ("version".to_owned(), records[1]),
            ("custom.nothing".to_owned(), records[1]),
            ("name".to_owned(), Uuid::now_v7()),
            ("region".to_owned(), records[0]),
        ]);
        let faults = unfit(&ACCOUNT, &records, &choices, &[]);
        let told = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("/choices/custom.nothing", "unknown_field"),
                ("/choices/name", "unknown_value"),
                ("/choices/version", "unknown_field"),
            ]
        );
    }
}
