//! Lists: query parameters to SQL, keyset pages, totals.

use super::spec::{Access, Kind, Member, Resource};
use super::sql::{self, Bind, Sql};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::problem::Code;
use crate::kernel::text::{normal_form, say};
use crate::platform::tokens::Secrets;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use uuid::Uuid;

pub const DEFAULT_LIMIT: i64 = 50;
pub const MOST_LIMIT: i64 = 200;
/// Most values of one repeatable filter.
const MOST_REPEATS: usize = 50;

/// One sort key: the SQL over `t`, its type for the cursor, its direction.
#[derive(Debug, Clone)]
pub struct SortKey {
    pub sql: String,
    pub cast: &'static str,
    pub is_descending: bool,
}

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
    conditions: Vec<Condition>,
    /// What the cursor is bound to: everything but the cursor and the limit.
    pub binding: String,
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
pub fn parse(resource: &Resource, query: &str, expandable: &[&str]) -> AppResult<ListRequest> {
    let mut request = ListRequest {
        limit: DEFAULT_LIMIT,
        cursor: None,
        sort: Vec::new(),
        with_total: false,
        expand: Vec::new(),
        archived: false,
        conditions: Vec::new(),
        binding: String::new(),
    };
    let mut faults = Vec::new();
    let mut equal: Vec<(&'static Member, Vec<String>)> = Vec::new();
    let mut tags = Vec::new();
    let mut sort_text = resource.default_sort.to_owned();
    let mut bound = Vec::new();
    for (name, value) in pairs(query, &mut faults) {
        if name != "cursor" && name != "limit" {
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
            "q" if resource.members.iter().any(|member| member.is_search) => match search(resource, &value) {
                Some(found) => request.conditions.push(found),
                None => faults.push(Fault::new(
                    "?q",
                    "too_short",
                    say("needs two to 100 characters", "需要 2 至 100 个字符"),
                )),
            },
            other => match filter(resource, other, &value) {
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
        match equality(member, values) {
            Ok(found) => request.conditions.push(found),
            Err(fault) => faults.push(fault),
        }
    }
    if !tags.is_empty() {
        request
            .conditions
            .push(condition("t.tags @> ", Bind::Texts(tags), ""));
    }
    match read_sort(resource, &sort_text) {
        Ok(sort) => request.sort = sort,
        Err(fault) => faults.push(fault),
    }
    bound.sort();
    request.binding = bound.join("&");
    if faults.is_empty() {
        Ok(request)
    } else {
        Err(bad_parameters(faults))
    }
}

/// `bad_parameter` with these faults.
pub fn bad_parameters(faults: Vec<Fault>) -> AppError {
    let names = faults
        .iter()
        .map(|fault| fault.pointer.trim_start_matches('?'))
        .collect::<Vec<_>>()
        .join(", ");
    AppError::refuse(
        Code::BadParameter,
        say(format!("Look at: {names}"), format!("请检查:{names}")),
    )
    .with_faults(faults)
}

/// The decoded parameters of a query string; NUL and bad encoding are faults.
pub fn pairs(query: &str, faults: &mut Vec<Fault>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match (decode(name), decode(value)) {
            (Some(name), Some(value)) => pairs.push((name, normal_form(&value))),
            _ => faults.push(Fault::new(
                "?",
                "malformed",
                say(
                    "is not percent-encoded UTF-8, or contains NUL",
                    "不是合法的百分号编码 UTF-8,或包含 NUL",
                ),
            )),
        }
    }
    pairs
}

/// Refuses every query parameter: for reads that take none.
///
/// # Errors
/// `bad_parameter` naming each.
pub fn none(query: &str) -> AppResult<()> {
    let mut faults = Vec::new();
    for (name, _) in pairs(query, &mut faults) {
        faults.push(Fault::new(
            format!("?{name}"),
            "unknown_parameter",
            say("is not known here; this takes none", "未知参数;此操作不接受参数"),
        ));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(bad_parameters(faults))
    }
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let mut bytes = Vec::with_capacity(spaced.len());
    let mut rest = spaced.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let pair = tail.get(..2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn read_flag(value: &str, pointer: &str, flag: &mut bool, faults: &mut Vec<Fault>) {
    match value {
        "true" => *flag = true,
        "false" => *flag = false,
        _ => faults.push(Fault::new(
            pointer,
            "wrong_type",
            say("must be true or false", "必须为 true 或 false"),
        )),
    }
}

/// Reads `expand`, a comma-separated list from a closed set.
pub fn read_expand(value: &str, expandable: &[&str], faults: &mut Vec<Fault>) -> Vec<String> {
    let mut names = Vec::new();
    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if expandable.contains(&name) {
            names.push(name.to_owned());
        } else {
            let allowed = expandable.join(", ");
            faults.push(Fault::new(
                "?expand",
                "unknown_value",
                say(format!("allowed: {allowed}"), format!("可用值:{allowed}")),
            ));
        }
    }
    names
}

enum Filter {
    Equal(&'static Member),
    Range(Condition),
}

fn filter(resource: &Resource, name: &str, value: &str) -> Result<Filter, Fault> {
    let members = || resource.members.iter();
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
        return Ok(Filter::Range(condition(
            format!("t.{} {operator} ", member.name),
            value,
            "",
        )));
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
    let allowed = parameter_names(resource).join(", ");
    Err(Fault::new(
        format!("?{name}"),
        "unknown_parameter",
        say(
            format!("is not known here; known are {allowed}"),
            format!("未知参数;可用参数:{allowed}"),
        ),
    ))
}

fn wrong_form(name: &str) -> Fault {
    Fault::new(
        format!("?{name}"),
        "wrong_format",
        say("has the wrong form", "格式不正确"),
    )
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

fn equality(member: &'static Member, values: Vec<String>) -> Result<Condition, Fault> {
    let pointer = format!("?{}", member.name);
    if values.len() > MOST_REPEATS {
        return Err(Fault::new(
            pointer,
            "too_many",
            say("is repeated too often", "重复次数过多"),
        ));
    }
    let column = member.name;
    let wrong = || wrong_form(member.name);
    match member.kind {
        Kind::Id if values == ["none"] => Ok(condition(
            format!("(t.{column} IS NULL) = "),
            Bind::Flag(true),
            "",
        )),
        Kind::Id => {
            let ids = values
                .iter()
                .map(|value| Uuid::parse_str(value).ok())
                .collect::<Option<Vec<_>>>()
                .ok_or_else(wrong)?;
            Ok(one_or_any(
                column,
                ids.as_slice(),
                Bind::Id,
                Bind::Ids(ids.clone()),
            ))
        }
        Kind::Bool => match values.as_slice() {
            [one] if one == "true" || one == "false" => {
                Ok(condition(format!("t.{column} = "), Bind::Flag(one == "true"), ""))
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
                column,
                values.as_slice(),
                Bind::Text,
                Bind::Texts(values.clone()),
            ))
        }
        _ => Ok(one_or_any(
            column,
            values.as_slice(),
            Bind::Text,
            Bind::Texts(values.clone()),
        )),
    }
}

fn one_or_any<T: Clone>(column: &str, values: &[T], one: fn(T) -> Bind, any: Bind) -> Condition {
    match values {
        [value] => condition(format!("t.{column} = "), one(value.clone()), ""),
        _ => condition(format!("t.{column} = ANY("), any, ")"),
    }
}

fn search(resource: &Resource, value: &str) -> Option<Condition> {
    let length = value.chars().count();
    if !(2..=100).contains(&length) {
        return None;
    }
    let escaped = value
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    let columns = resource
        .members
        .iter()
        .filter(|member| member.is_search)
        .map(|member| format!("coalesce(t.{}, '')", member.name));
    let joined = columns.collect::<Vec<_>>().join(" || ' ' || ");
    Some(condition(
        format!("({joined}) ILIKE "),
        Bind::Text(format!("%{escaped}%")),
        "",
    ))
}

fn sort_of(resource: &Resource, name: &str) -> Option<(String, &'static str)> {
    if name == "created_at" || name == "updated_at" {
        return Some((format!("t.{name}"), "timestamptz"));
    }
    let member = resource
        .members
        .iter()
        .find(|member| member.is_sort && member.name == name)?;
    let column = format!("t.{}", member.name);
    Some(match member.kind {
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
        _ => (
            if member.is_nullable() {
                format!("coalesce({column}, '')")
            } else {
                column
            },
            "text",
        ),
    })
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

fn read_sort(resource: &Resource, text: &str) -> Result<Vec<SortKey>, Fault> {
    let mut keys = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (is_descending, name) = part.strip_prefix('-').map_or((false, part), |name| (true, name));
        let Some((sql, cast)) = sort_of(resource, name).filter(|_| keys.len() < 3) else {
            let allowed = sort_names(resource).join(", ");
            return Err(Fault::new(
                "?sort",
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

fn binding(ctx: &Ctx, path: &str, request: &ListRequest) -> Vec<Vec<u8>> {
    vec![
        ctx.tenant.as_bytes().to_vec(),
        ctx.user.as_bytes().to_vec(),
        path.as_bytes().to_vec(),
        request.binding.as_bytes().to_vec(),
    ]
}

/// The position that a cursor names.
///
/// # Errors
/// `bad_parameter` when it was altered or belongs to another list, caller, filter or sort.
pub fn read_cursor(
    secrets: &Secrets,
    ctx: &Ctx,
    path: &str,
    request: &ListRequest,
) -> AppResult<Option<Vec<String>>> {
    let Some(cursor) = &request.cursor else {
        return Ok(None);
    };
    let bound = binding(ctx, path, request);
    let bound = bound.iter().map(Vec::as_slice).collect::<Vec<_>>();
    let position = secrets
        .read_cursor(cursor, &bound)
        .and_then(|position| serde_json::from_value::<Vec<String>>(position).ok());
    let position = position.filter(|position| position.len() == request.sort.len());
    position.map(Some).ok_or_else(|| {
        bad_parameters(vec![Fault::invalid(
            "?cursor",
            "was altered, or belongs to another list, filter or sort",
            "已被改动,或属于其他列表、筛选或排序",
        )])
    })
}

pub fn make_cursor(
    secrets: &Secrets,
    ctx: &Ctx,
    path: &str,
    request: &ListRequest,
    position: &[String],
) -> String {
    let bound = binding(ctx, path, request);
    let bound = bound.iter().map(Vec::as_slice).collect::<Vec<_>>();
    secrets.sign_cursor(&Value::from(position.to_vec()), &bound)
}

/// "Beyond this position": a bound on the leading key that an index can seek, and the exact comparison.
fn beyond(sql: &mut Sql, sort: &[SortKey], position: &[String]) -> String {
    let places = sort
        .iter()
        .zip(position)
        .map(|(key, value)| format!("{}::text::{}", sql.place(Bind::Text(value.clone())), key.cast))
        .collect::<Vec<_>>();
    let all_one_way = sort.iter().all(|key| key.is_descending == sort[0].is_descending);
    let sign = |key: &SortKey| if key.is_descending { "<" } else { ">" };
    if all_one_way {
        let columns = sort
            .iter()
            .map(|key| key.sql.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        return format!("({columns}) {} ({})", sign(&sort[0]), places.join(", "));
    }
    let mut alternatives = Vec::new();
    for (index, key) in sort.iter().enumerate() {
        let mut terms = sort[..index]
            .iter()
            .zip(&places)
            .map(|(equal, place)| format!("{} = {place}", equal.sql))
            .collect::<Vec<_>>();
        terms.push(format!("{} {} {}", key.sql, sign(key), places[index]));
        alternatives.push(format!("({})", terms.join(" AND ")));
    }
    format!(
        "{} {}= {} AND ({})",
        sort[0].sql,
        sign(&sort[0]),
        places[0],
        alternatives.join(" OR ")
    )
}

fn filters(sql: &mut Sql, resource: &Resource, request: &ListRequest, parent: Option<Uuid>) -> String {
    let mut text = String::from("t.tenant_id = $1");
    if resource.has_archive() {
        text.push_str(if request.archived {
            " AND t.archived_at IS NOT NULL"
        } else {
            " AND t.archived_at IS NULL"
        });
    }
    if let (Access::Part { key, .. }, Some(parent)) = (resource.access, parent) {
        text.push_str(&format!(" AND t.{key} = {}", sql.place(Bind::Id(parent))));
    }
    for condition in &request.conditions {
        let place = sql.place(condition.value.clone());
        text.push_str(&format!(" AND {}{place}{}", condition.before, condition.after));
    }
    text
}

/// The statement of one page: each scope arm ordered and limited by its own index, merged. Columns: doc, version, keys.
pub fn page(
    resource: &Resource,
    ctx: &Ctx,
    request: &ListRequest,
    position: Option<&[String]>,
    parent: Option<Uuid>,
) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let mut base = filters(&mut sql, resource, request, parent);
    if let Some(position) = position {
        let beyond = beyond(&mut sql, &request.sort, position);
        base.push_str(&format!(" AND {beyond}"));
    }
    let order = request
        .sort
        .iter()
        .map(|key| format!("{}{}", key.sql, if key.is_descending { " DESC" } else { "" }))
        .collect::<Vec<_>>()
        .join(", ");
    let keys = request
        .sort
        .iter()
        .map(|key| format!("({})::text", key.sql))
        .collect::<Vec<_>>()
        .join(", ");
    let arms = if parent.is_some() {
        vec![String::from("TRUE")]
    } else {
        sql::arms(&mut sql, resource, ctx)
    };
    let limit = request.limit + 1;
    let document = sql::document(resource, ctx);
    let table = resource.table;
    let source = match arms.as_slice() {
        [one] => format!("{table} t WHERE {base} AND {one}"),
        several => {
            let arms = several.iter().map(|arm| {
                format!("(SELECT t.* FROM {table} t WHERE {base} AND {arm} ORDER BY {order} LIMIT {limit})")
            });
            format!("({}) t", arms.collect::<Vec<_>>().join(" UNION ALL "))
        }
    };
    sql.push(&format!("SELECT {document} AS doc, t.version, ARRAY[{keys}] AS keys FROM {source} ORDER BY {order} LIMIT {limit}"));
    sql
}

/// The statement that counts the whole list.
pub fn total(resource: &Resource, ctx: &Ctx, request: &ListRequest, parent: Option<Uuid>) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let base = filters(&mut sql, resource, request, parent);
    let scope = if parent.is_some() {
        String::from("TRUE")
    } else {
        sql::scope(&mut sql, resource, "t", ctx, sql::Intent::Read)
    };
    sql.push(&format!(
        "SELECT count(*) AS total FROM {} t WHERE {base} AND {scope}",
        resource.table
    ));
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_read_strictly() {
        assert_eq!(decode("a%20b+c").as_deref(), Some("a b c"));
        assert_eq!(decode("%E4%BC%81").as_deref(), Some("企"));
        for bad in ["%", "%4", "%zz", "%00", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
