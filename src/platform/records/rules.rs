//! Pure rules of every record: defaults, merge patch, normal forms, what may be set.

use super::spec::{Kind, Member, Resource};
use crate::kernel::ctx::Ctx;
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::money;
use crate::kernel::text::say;
use chrono::DateTime;
use serde_json::{Map, Value};
use std::str::FromStr;

/// A new record from what was sent: every writable member present, defaults filled in.
pub fn created(resource: &Resource, sent: Map<String, Value>) -> Map<String, Value> {
    let mut record = Map::new();
    for member in resource.kept() {
        let default = member
            .default
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or(Value::Null);
        let given = sent
            .get(member.name)
            .filter(|value| !(value.is_null() && member.default.is_some()));
        record.insert(member.name.to_owned(), given.cloned().unwrap_or(default));
    }
    for member in resource.instructions() {
        if let Some(told) = sent.get(member.name) {
            record.insert(member.name.to_owned(), told.clone());
        }
    }
    record
}

/// Applies a merge patch (RFC 7396) to a record.
pub fn patched(before: &Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
    let mut after = before.clone();
    for (name, change) in patch {
        match (after.get_mut(name), change) {
            (Some(Value::Object(inner)), Value::Object(change)) if name == "custom" => {
                *inner = merged(inner, change)
            }
            _ => {
                after.insert(name.clone(), change.clone());
            }
        }
    }
    after
}

fn merged(target: &Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
    let mut target = target.clone();
    for (name, change) in patch {
        if change.is_null() {
            target.remove(name);
        } else {
            target.insert(name.clone(), change.clone());
        }
    }
    target
}

/// Members that the caller sets without the permission that they need.
pub fn forbidden<'a>(
    resource: &'a Resource,
    ctx: &'a Ctx,
    sent: &'a Map<String, Value>,
) -> impl Iterator<Item = Fault> + 'a {
    resource.members.iter().filter_map(|member| {
        let permission = member.sensitive?;
        let is_set = sent.contains_key(member.name) && !ctx.holds(permission);
        is_set.then(|| {
            Fault::new(
                format!("/{}", member.name),
                "forbidden",
                say(
                    format!("needs the permission {permission}"),
                    format!("需要权限 {permission}"),
                ),
            )
        })
    })
}

/// Brings members into their normal form; what cannot be is a fault, what is doubtful a warning.
pub fn normalise(
    resource: &Resource,
    ctx: &Ctx,
    before: &Map<String, Value>,
    after: &mut Map<String, Value>,
    warnings: &mut Vec<Warning>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    default_currency(resource, ctx, after);
    let currency = currency_of(ctx, after).to_owned();
    // An amount that stays is rounded to its currency when it is shown; in another one it could become another amount, unless
    // it is converted.
    let keeps_amounts = currency == currency_of(ctx, before)
        || resource.instructions().any(|told| {
            let said = after.get(told.name).and_then(Value::as_str);
            told.converts_money.is_some() && said == told.converts_money
        });
    for member in resource.kept().filter(|member| !member.is_read_only) {
        let Some(value) = after.get(member.name).cloned().filter(|value| !value.is_null()) else {
            clear_derived(resource, member, after);
            continue;
        };
        let pointer = format!("/{}", member.name);
        let is_new = before.get(member.name) != Some(&value);
        match member.kind {
            Kind::Text if member.is_required && value.as_str() == Some("") => {
                faults.push(Fault::new(
                    pointer,
                    "too_short",
                    say("cannot be empty", "不能为空"),
                ));
            }
            Kind::Email => {
                let email = value.as_str().unwrap_or_default().to_lowercase();
                after.insert(member.name.to_owned(), email.into());
            }
            Kind::Phone if is_new => phone(resource, ctx, member, &value, after, &mut faults, warnings),
            Kind::Money
                if (is_new || !keeps_amounts)
                    && money::is_too_precise(value.as_str().unwrap_or_default(), &currency) =>
            {
                faults.push(money::too_precise(pointer, &currency));
            }
            Kind::Currency if is_new && currency != ctx.currency() && !money::is_currency(&currency) => {
                faults.push(money::unknown_currency(pointer));
            }
            Kind::Day | Kind::Instant
                if is_new && value.as_str().is_some_and(|day| day.starts_with("0000")) =>
            {
                faults.push(Fault::out_of_range(
                    pointer,
                    "must be in the year 1 at least",
                    "不能早于公元 1 年",
                ));
            }
            Kind::Tags => {
                let mut tags = value.as_array().cloned().unwrap_or_default();
                let mut seen = std::collections::HashSet::new();
                tags.retain(|tag| seen.insert(tag.as_str().unwrap_or_default().to_owned()));
                after.insert(member.name.to_owned(), Value::Array(tags));
            }
            _ => {}
        }
    }
    faults
}

/// The currency of a record's money: its own, or the company's.
pub fn currency_of<'a>(ctx: &'a Ctx, record: &'a Map<String, Value>) -> &'a str {
    let own = record.get("currency").and_then(Value::as_str);
    own.unwrap_or(ctx.currency())
}

/// Whether a write would leave every member that is stored as it is.
pub fn is_unchanged(resource: &Resource, before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let value = |record: &Map<String, Value>, name: &str| record.get(name).cloned().unwrap_or_default();
    resource.kept().all(|member| {
        is_same(
            member.kind,
            &value(before, member.name),
            &value(after, member.name),
        )
    })
}

/// An amount without a currency is in the company's.
fn default_currency(resource: &Resource, ctx: &Ctx, after: &mut Map<String, Value>) {
    let has_currency = resource.columns().any(|member| member.kind == Kind::Currency);
    let has_amount = resource.columns().any(|member| {
        member.kind == Kind::Money && after.get(member.name).is_some_and(|value| !value.is_null())
    });
    if has_currency && has_amount && after.get("currency").is_none_or(Value::is_null) {
        after.insert("currency".to_owned(), ctx.currency().into());
    }
}

fn clear_derived(resource: &Resource, member: &Member, after: &mut Map<String, Value>) {
    if member.kind == Kind::Phone {
        let normal = format!("{}_e164", member.name);
        if resource.member(&normal).is_some() {
            after.insert(normal, Value::Null);
        }
    }
}

fn phone(
    resource: &Resource,
    ctx: &Ctx,
    member: &Member,
    value: &Value,
    after: &mut Map<String, Value>,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Warning>,
) {
    let e164 = e164(value.as_str().unwrap_or_default());
    if e164.is_none() {
        let unreadable = |said| Fault::new(format!("/{}", member.name), "phone_not_readable", said);
        if ctx.principal.company.is_phone_strict {
            faults.push(unreadable(say(
                "is no complete phone number",
                "不是完整的电话号码",
            )));
        } else {
            warnings.push(unreadable(say(
                "is kept as typed: it is no complete phone number",
                "按原样保存:不是完整的电话号码",
            )));
        }
    }
    let normal = format!("{}_e164", member.name);
    if resource.member(&normal).is_some() {
        after.insert(normal, e164.map_or(Value::Null, Value::from));
    }
}

/// A phone number in E.164; numbers without a country code are read as Chinese ones.
pub fn e164(text: &str) -> Option<String> {
    let ascii: String = unicode_normalization::UnicodeNormalization::nfkc(text).collect();
    let number = phonenumber::parse(Some(phonenumber::country::Id::CN), &ascii).ok()?;
    phonenumber::is_valid(&number).then(|| number.format().mode(phonenumber::Mode::E164).to_string())
}

/// Whether a number in E.164 can be a person's own. Where a country's numbers do not tell, it can.
pub fn is_mobile(e164: &str) -> bool {
    use phonenumber::Type;
    phonenumber::parse(None, e164).is_ok_and(|number| {
        let kind = number.number_type(&phonenumber::metadata::DATABASE);
        matches!(
            kind,
            Type::Mobile | Type::FixedLineOrMobile | Type::PersonalNumber
        )
    })
}

/// Whether two wire values say the same: `"22"` and `"22.0000"` do, and so do two spellings of one instant.
pub fn is_same(kind: Kind, one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    let (Some(one), Some(other)) = (one.as_str(), other.as_str()) else {
        return false;
    };
    match kind {
        Kind::Money | Kind::Decimal(_) | Kind::Share => {
            let number = |text: &str| rust_decimal::Decimal::from_str(text).ok();
            number(one).is_some() && number(one) == number(other)
        }
        Kind::Instant => {
            let at = |text: &str| DateTime::parse_from_rfc3339(text).ok();
            at(one).is_some() && at(one) == at(other)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("13800138000", Some("+8613800138000"))]
    #[case("+86 138-0013-8000", Some("+8613800138000"))]
    #[case("１３８００１３８０００", Some("+8613800138000"))]
    #[case("+7 495 123-45-67", Some("+74951234567"))]
    #[case("1385678", None)]
    #[case("139", None)]
    #[case("", None)]
    fn phones_are_read_in_any_spelling(#[case] typed: &str, #[case] normal: Option<&str>) {
        assert_eq!(e164(typed).as_deref(), normal);
    }

    #[test]
    fn a_patch_leaves_missing_members_alone_and_null_clears() {
        let before = json!({"name": "x", "note": "y", "custom": {"a": 1, "b": 2}});
        let patch = json!({"note": null, "custom": {"a": null, "c": 3}});
        let after = patched(before.as_object().unwrap(), patch.as_object().unwrap());
        assert_eq!(
            Value::Object(after),
            json!({"name": "x", "note": null, "custom": {"b": 2, "c": 3}})
        );
    }

    #[test]
    fn an_amount_written_with_more_zeros_is_the_same_amount() {
        assert!(is_same(Kind::Money, &json!("22"), &json!("22.0000")));
        assert!(!is_same(Kind::Money, &json!("22"), &json!("22.01")));
    }
}
