//! One filter parameter, typed by the declaration, as a condition.

use super::parameters::{unknown_parameter, wrong_form};
use super::sort::sorted;
use super::{Condition, condition};
use crate::kernel::ctx::Ctx;
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::say;
use crate::platform::records::entry;
use crate::platform::records::spec::{Kind, Member, Resource};
use crate::platform::records::sql::Bind;
use crate::platform::records::tree::literally;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

/// Most values of one repeatable filter.
const MOST_REPEATS: usize = 50;

pub(super) enum Filter {
    Equal(&'static Member),
    Range(Condition),
}

pub(super) fn filter(ctx: &Ctx, resource: &Resource, name: &str, value: &str) -> Result<Filter, Fault> {
    // What the caller may not read cannot be found out by filtering either.
    let may_read = |member: &&Member| member.sensitive.is_none_or(|permission| ctx.holds(permission));
    let members = || resource.members.iter().filter(may_read);
    if let Some(member) = members().find(|member| member.is_filter && member.name == name) {
        return Ok(Filter::Equal(member));
    }
    for member in members().filter(|member| member.is_range) {
        let Some(suffix) = name.strip_prefix(member.name) else {
            continue;
        };
        let operator = match (suffix, member.kind) {
            ("_min", Kind::Money | Kind::Int | Kind::Decimal(_)) => ">=",
            ("_max", Kind::Money | Kind::Int | Kind::Decimal(_)) => "<=",
            ("_after", Kind::Day | Kind::Instant) => ">",
            ("_before", Kind::Day | Kind::Instant) => "<",
            _ => continue,
        };
        let value = typed(member.kind, value).ok_or_else(|| wrong_form(name))?;
        return Ok(Filter::Range(ranged(member, operator, value)));
    }
    for (standing, suffix, operator) in [
        ("created_at", "_after", ">"),
        ("created_at", "_before", "<"),
        ("updated_at", "_after", ">"),
        ("updated_at", "_before", "<"),
    ] {
        if name.strip_prefix(standing) == Some(suffix) {
            let value = typed(Kind::Instant, value).ok_or_else(|| wrong_form(name))?;
            return Ok(Filter::Range(condition(
                format!("t.{standing} {operator} "),
                value,
                "",
            )));
        }
    }
    Err(unknown_parameter(name, &parameter_names(resource)))
}

/// A range condition. Where what is empty lies outside anyway, it is over the expression by which lists sort, so that one
/// index serves both.
fn ranged(member: &Member, operator: &str, value: Bind) -> Condition {
    let leaves_empty_out = match (operator, &value) {
        (">=", Bind::Number(least)) => *least > Decimal::ZERO,
        ("<=", Bind::Number(most)) => *most < Decimal::ZERO,
        // What has no time sorts behind all times.
        ("<", Bind::Instant(_)) => member.is_nullable() && member.sql.is_none(),
        _ => false,
    };
    if !member.is_sort || !leaves_empty_out {
        return condition(format!("{} {operator} ", member.expression()), value, "");
    }
    let after = match &value {
        // Said once more, for indexes that leave out what has none.
        Bind::Instant(_) => format!(" AND t.{} IS NOT NULL", member.name),
        _ => String::new(),
    };
    condition(format!("{} {operator} ", sorted(member).0), value, after)
}

fn typed(kind: Kind, value: &str) -> Option<Bind> {
    match kind {
        Kind::Money | Kind::Decimal(_) | Kind::Share => money::parse(value).map(Bind::Number),
        Kind::Int => value.parse().ok().map(Bind::Int),
        Kind::Day => NaiveDate::parse_from_str(value, "%Y-%m-%d")
            .ok()
            .filter(|_| value.len() == 10)
            .map(Bind::Day),
        // A `+` of an offset arrives as a space when it was not encoded.
        Kind::Instant => DateTime::parse_from_rfc3339(&value.replace(' ', "+"))
            .ok()
            .map(|at| Bind::Instant(at.with_timezone(&Utc))),
        _ => None,
    }
}

pub(super) fn equality(ctx: &Ctx, member: &'static Member, values: Vec<String>) -> Result<Condition, Fault> {
    let pointer = format!("?{}", member.name);
    if values.len() > MOST_REPEATS {
        return Err(Fault::new(
            pointer,
            "too_many",
            say("is repeated too often", "重复次数过多"),
        ));
    }
    let column = member.expression();
    let wrong = || wrong_form(member.name);
    match member.kind {
        Kind::Id if values == ["none"] => {
            Ok(condition(format!("({column} IS NULL) = "), Bind::Flag(true), ""))
        }
        Kind::Id => {
            let ids = values
                .iter()
                .map(|value| match value.as_str() {
                    "me" if member.is_user() => Some(ctx.user),
                    id => Uuid::parse_str(id).ok(),
                })
                .collect::<Option<Vec<_>>>()
                .ok_or_else(wrong)?;
            if let Some(found_in) = member.found_in {
                let before = format!("t.id IN ({found_in} = ANY(");
                return Ok(condition(before, Bind::Ids(ids), "))"));
            }
            Ok(one_or_any(
                &column,
                ids.as_slice(),
                Bind::Id,
                Bind::Ids(ids.clone()),
            ))
        }
        Kind::Bool => match values.as_slice() {
            [one] if one == "true" || one == "false" => {
                Ok(condition(format!("{column} = "), Bind::Flag(one == "true"), ""))
            }
            _ => Err(wrong()),
        },
        Kind::Choice => {
            if values
                .iter()
                .any(|value| !member.choices.contains(&value.as_str()))
            {
                let allowed = member.choices.join(", ");
                return Err(Fault::new(
                    pointer,
                    "unknown_value",
                    say(format!("allowed: {allowed}"), format!("可用值:{allowed}")),
                ));
            }
            Ok(one_or_any(
                &column,
                values.as_slice(),
                Bind::Text,
                Bind::Texts(values.clone()),
            ))
        }
        _ => Ok(one_or_any(
            &column,
            values.as_slice(),
            Bind::Text,
            Bind::Texts(values.clone()),
        )),
    }
}

fn one_or_any<T: Clone>(column: &str, values: &[T], one: fn(T) -> Bind, any: Bind) -> Condition {
    match values {
        [value] => condition(format!("{column} = "), one(value.clone()), ""),
        _ => condition(format!("{column} = ANY("), any, ")"),
    }
}

/// The condition that a text is found: by search rows where the resource has them, else anywhere in its members.
pub(super) fn text(ctx: &Ctx, resource: &Resource, value: &str) -> Result<Condition, Fault> {
    let length = value.chars().count();
    if !(2..=100).contains(&length) {
        return Err(Fault::new(
            "?q",
            "too_short",
            say("needs two to 100 characters", "需要 2 至 100 个字符"),
        ));
    }
    if !entry::is_searched(resource) {
        return Ok(contained(resource, value));
    }
    let query = entry::read(value).map_err(|unfit| entry::fault("?q", unfit))?;
    let (before, value, after) = entry::condition(resource, ctx, &query);
    Ok(condition(before, value, after))
}

fn contained(resource: &Resource, value: &str) -> Condition {
    let escaped = literally(value);
    let columns = resource
        .members
        .iter()
        .filter(|member| member.is_search)
        .map(|member| format!("coalesce(t.{}, '')", member.name));
    let joined = columns.collect::<Vec<_>>().join(" || ' ' || ");
    condition(
        format!("({joined}) ILIKE "),
        Bind::Text(format!("%{escaped}%")),
        "",
    )
}

/// All parameters of a list, for the document and for refusals.
pub fn parameter_names(resource: &Resource) -> Vec<String> {
    let mut names = ["limit", "cursor", "sort", "with_total", "expand"]
        .map(str::to_owned)
        .to_vec();
    if resource.has_archive() {
        names.push("archived".to_owned());
    }
    if resource.members.iter().any(|member| member.is_search) {
        names.push("q".to_owned());
    }
    if resource.member("tags").is_some() {
        names.push("tag".to_owned());
    }
    for member in resource.members {
        if member.is_filter {
            names.push(member.name.to_owned());
        }
        if member.is_range {
            let suffixes = if matches!(member.kind, Kind::Day | Kind::Instant) {
                ["_after", "_before"]
            } else {
                ["_min", "_max"]
            };
            names.extend(suffixes.map(|suffix| format!("{}{suffix}", member.name)));
        }
    }
    names.extend(
        [
            "created_at_after",
            "created_at_before",
            "updated_at_after",
            "updated_at_before",
        ]
        .map(str::to_owned),
    );
    names
}
