//! Lists: query parameters to SQL, keyset pages, totals.

mod filters;
mod own_fields;
mod page;
mod parameters;
mod sort;

pub use filters::parameter_names;
pub use page::{make_cursor, page, read_cursor, total};
pub use parameters::{bad_parameters, pairs, read_expand, unknown_parameter};
pub use sort::{SortKey, in_order_of_names, read_sort, sort_names};

use super::spec::{Access, Member, Resource};
use super::sql::Bind;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::platform::records::tree::{Terms, Tree};
use filters::{Filter, equality, filter, text};
use own_fields::OwnFields;
use parameters::read_flag;
use uuid::Uuid;

pub const DEFAULT_LIMIT: i64 = 50;

pub const MOST_LIMIT: i64 = 200;

/// Parameters that say nothing of what is in a list; `sort` and `archived` are bound to its cursors as they are read.
const SHAPING: [&str; 6] = ["cursor", "limit", "sort", "with_total", "expand", "archived"];

/// A list as asked for.
#[derive(Debug, Clone)]
pub struct ListRequest {
    pub limit: i64,
    pub cursor: Option<String>,
    pub sort: Vec<SortKey>,
    pub with_total: bool,
    pub expand: Vec<String>,
    /// Only archived ones, or only live ones.
    pub archived: bool,
    /// Of parts: only those whose parent is live.
    pub is_of_live: bool,
    conditions: Vec<Condition>,
    /// Whether a text is looked for: how common it is decides how the list is best read.
    pub is_searched: bool,
    /// Filter trees that must hold too.
    pub trees: Vec<Tree>,
    /// What the cursor is bound to besides the order: the filters, and nothing that only shapes the answer.
    pub binding: String,
}

impl ListRequest {
    /// A list without conditions or order.
    pub fn blank() -> ListRequest {
        ListRequest {
            limit: DEFAULT_LIMIT,
            cursor: None,
            sort: Vec::new(),
            with_total: false,
            expand: Vec::new(),
            archived: false,
            is_of_live: false,
            conditions: Vec::new(),
            is_searched: false,
            trees: Vec::new(),
            binding: String::new(),
        }
    }
}

/// Whether a parameter is the id of the record whose parts are listed, where those of all are.
fn is_key(resource: &Resource, name: &str) -> bool {
    matches!(resource.access, Access::Part { key, .. } if key == name)
}

/// A condition whose placeholders are filled when the statement is made.
#[derive(Debug, Clone)]
struct Condition {
    before: String,
    value: Bind,
    after: String,
}

fn condition(before: impl Into<String>, value: Bind, after: impl Into<String>) -> Condition {
    Condition {
        before: before.into(),
        value,
        after: after.into(),
    }
}

/// Reads the query string of a list. Every unknown or malformed parameter is named.
///
/// # Errors
/// `bad_parameter` with all faults.
pub fn parse(
    terms: &Terms<'_>,
    resource: &'static Resource,
    query: &str,
    expandable: &[&str],
) -> AppResult<ListRequest> {
    let mut request = ListRequest::blank();
    let mut faults = Vec::new();
    let mut equal: Vec<(&'static Member, Vec<String>)> = Vec::new();
    let mut tags = Vec::new();
    let mut own = OwnFields::new(terms, resource);
    let mut sort_text = resource.default_sort.to_owned();
    let mut bound = Vec::new();
    for (name, value) in pairs(query, &mut faults) {
        if !SHAPING.contains(&name.as_str()) {
            bound.push(format!("{name}={value}"));
        }
        match name.as_str() {
            "limit" => match value.parse::<i64>() {
                Ok(limit) if (1..=MOST_LIMIT).contains(&limit) => request.limit = limit,
                _ => faults.push(Fault::out_of_range(
                    "?limit",
                    "must be a number from 1 to 200",
                    "必须是 1 到 200 的整数",
                )),
            },
            "cursor" => request.cursor = Some(value),
            "sort" => sort_text = value,
            "with_total" => read_flag(&value, "?with_total", &mut request.with_total, &mut faults),
            "archived" if resource.has_archive() => {
                read_flag(&value, "?archived", &mut request.archived, &mut faults)
            }
            "expand" => request.expand = read_expand(&value, expandable, &mut faults),
            "tag" if resource.member("tags").is_some() => tags.push(value),
            "q" if resource.members.iter().any(|member| member.is_search) => {
                request.is_searched = true;
                match text(terms.ctx, resource, &value) {
                    Ok(found) => request.conditions.push(found),
                    Err(fault) => faults.push(fault),
                }
            }
            other if other.starts_with("custom.") => {
                request.trees.extend(own.read(other, value, &mut faults));
            }
            other if is_key(resource, other) => match Uuid::parse_str(&value) {
                Ok(parent) => {
                    let column = format!("t.{other} = ");
                    request.conditions.push(condition(column, Bind::Id(parent), ""));
                }
                Err(_) => faults.push(Fault::invalid(format!("?{other}"), "must be an id", "必须是 ID")),
            },
            other => match filter(terms.ctx, resource, other, &value) {
                Ok(Filter::Equal(member)) => {
                    match equal.iter_mut().find(|(known, _)| known.name == member.name) {
                        Some((_, values)) => values.push(value),
                        None => equal.push((member, vec![value])),
                    }
                }
                Ok(Filter::Range(found)) => request.conditions.push(found),
                Err(fault) => faults.push(fault),
            },
        }
    }
    for (member, values) in equal {
        match equality(terms.ctx, member, values) {
            Ok(found) => request.conditions.push(found),
            Err(fault) => faults.push(fault),
        }
    }
    request.trees.extend(own.finish(&mut faults));
    if !tags.is_empty() {
        request
            .conditions
            .push(condition("t.tags @> ", Bind::Texts(tags), ""));
    }
    match read_sort(resource, &sort_text, "?sort") {
        Ok(sort) => request.sort = sort,
        Err(fault) => faults.push(fault),
    }
    bound.push(format!("archived={}", request.archived));
    bound.sort();
    request.binding = bound.join("&");
    if faults.is_empty() {
        Ok(request)
    } else {
        Err(bad_parameters(faults))
    }
}
