//! One page as a statement, where it begins, and the count of the whole.

use super::ListRequest;
use super::parameters::bad_parameters;
use super::sort::SortKey;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::platform::records::spec::{Access, Resource};
use crate::platform::records::sql::{self, Bind, Sql};
use crate::platform::tokens::Secrets;
use serde_json::Value;
use uuid::Uuid;

fn binding(ctx: &Ctx, path: &str, request: &ListRequest) -> Vec<Vec<u8>> {
    let sort = request.sort.iter().map(|key| {
        let way = if key.is_descending { "DESC" } else { "ASC" };
        format!("{} {way}", key.sql)
    });
    vec![
        ctx.tenant.as_bytes().to_vec(),
        ctx.user.as_bytes().to_vec(),
        path.as_bytes().to_vec(),
        request.binding.as_bytes().to_vec(),
        sort.collect::<Vec<_>>().join(", ").into_bytes(),
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

fn filters(
    sql: &mut Sql,
    resource: &Resource,
    ctx: &Ctx,
    request: &ListRequest,
    parent: Option<Uuid>,
) -> String {
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
    if let (Access::Part { parent, key, .. }, true) = (resource.access, request.is_of_live) {
        text.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM {} v WHERE v.tenant_id = $1 AND v.id = t.{key} AND v.archived_at IS NULL)",
            parent.table
        ));
    }
    for condition in &request.conditions {
        let place = sql.place(condition.value.clone());
        text.push_str(&format!(" AND {}{place}{}", condition.before, condition.after));
    }
    for tree in &request.trees {
        let condition = tree.condition(sql, ctx);
        text.push_str(&format!(" AND {condition}"));
    }
    text
}

/// The statement of one page: each scope arm ordered and limited by its own index, merged. Columns: doc, keys.
pub fn page(
    resource: &Resource,
    ctx: &Ctx,
    request: &ListRequest,
    position: Option<&[String]>,
    parent: Option<Uuid>,
) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let mut base = filters(&mut sql, resource, ctx, request, parent);
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
    let arms = arms(&mut sql, resource, ctx, parent);
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
    sql.push(&format!(
        "SELECT {document} AS doc, ARRAY[{keys}] AS keys FROM {source} ORDER BY {order} LIMIT {limit}"
    ));
    sql
}

/// The statement that counts the whole list: each scope arm by its own index, as the page is read.
pub fn total(resource: &Resource, ctx: &Ctx, request: &ListRequest, parent: Option<Uuid>) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let base = filters(&mut sql, resource, ctx, request, parent);
    let arms = arms(&mut sql, resource, ctx, parent);
    let counts = arms.iter().map(|arm| {
        format!(
            "(SELECT count(*) FROM {} t WHERE {base} AND {arm})",
            resource.table
        )
    });
    sql.push(&format!(
        "SELECT {} AS total",
        counts.collect::<Vec<_>>().join(" + ")
    ));
    sql
}

/// The arms of the caller's scope. Parts are seen with their parent, which is looked at before.
fn arms(sql: &mut Sql, resource: &Resource, ctx: &Ctx, parent: Option<Uuid>) -> Vec<String> {
    match parent {
        Some(_) => vec![String::from("TRUE")],
        None => sql::arms(sql, resource, ctx),
    }
}
