//! The order of a list, from a closed set of keys.

use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::records::spec::{Kind, Member, Resource};

/// One sort key: the SQL over `t`, its type for the cursor, its direction.
#[derive(Debug, Clone)]
pub struct SortKey {
    pub sql: String,
    pub cast: &'static str,
    pub is_descending: bool,
}

fn sort_of(resource: &Resource, name: &str) -> Option<(String, &'static str)> {
    if name == "created_at" || name == "updated_at" {
        return Some((format!("t.{name}"), "timestamptz"));
    }
    let member = resource
        .members
        .iter()
        .find(|member| member.is_sort && member.name == name)?;
    Some(sorted(member))
}

/// The expression over `t` by which lists sort by a member, and its type.
pub(super) fn sorted(member: &Member) -> (String, &'static str) {
    let column = format!("t.{}", member.name);
    match member.kind {
        Kind::Money | Kind::Decimal(_) | Kind::Share => (format!("coalesce({column}, 0)"), "numeric"),
        Kind::Int => (
            if member.is_nullable() {
                format!("coalesce({column}, 0)")
            } else {
                column
            },
            "integer",
        ),
        Kind::Day => (
            if member.is_nullable() {
                format!("coalesce({column}, 'infinity'::date)")
            } else {
                column
            },
            "date",
        ),
        Kind::Instant => (
            if member.is_nullable() {
                format!("coalesce({column}, 'infinity'::timestamptz)")
            } else {
                column
            },
            "timestamptz",
        ),
        Kind::Text => (in_order_of_names(&or_nothing(member, column)), "text"),
        _ => (or_nothing(member, column), "text"),
    }
}

fn or_nothing(member: &Member, column: String) -> String {
    match member.is_nullable() {
        true => format!("coalesce({column}, '')"),
        false => column,
    }
}

/// A text as lists are ordered by it: `names` is the collation that the migrations make. It takes no two different texts for
/// equal, so a place in a list is exact, and an index by it finds an exact text too.
pub fn in_order_of_names(text: &str) -> String {
    format!("{text} COLLATE names")
}

/// The names that `sort` takes for a resource.
pub fn sort_names(resource: &Resource) -> Vec<&'static str> {
    let mut names = vec!["created_at", "updated_at"];
    names.extend(
        resource
            .members
            .iter()
            .filter(|member| member.is_sort)
            .map(|member| member.name),
    );
    names
}

/// The keys that a text names, at most three, and the id.
///
/// # Errors
/// The fault of a key that is none, at `at`.
pub fn read_sort(resource: &Resource, text: &str, at: &str) -> Result<Vec<SortKey>, Fault> {
    let mut keys = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (is_descending, name) = part.strip_prefix('-').map_or((false, part), |name| (true, name));
        let Some((sql, cast)) = sort_of(resource, name).filter(|_| keys.len() < 3) else {
            let allowed = sort_names(resource).join(", ");
            return Err(Fault::new(
                at,
                "unknown_value",
                say(
                    format!("up to three of: {allowed}; a leading - for descending"),
                    format!("最多三个:{allowed};前缀 - 表示降序"),
                ),
            ));
        };
        keys.push(SortKey {
            sql,
            cast,
            is_descending,
        });
    }
    // The id breaks ties, in the direction of the first key.
    let is_descending = keys.first().is_some_and(|key: &SortKey| key.is_descending);
    keys.push(SortKey {
        sql: String::from("t.id"),
        cast: "uuid",
        is_descending,
    });
    Ok(keys)
}
