//! `POST …/search`: a list by a filter tree. It only reads, and so neither takes nor keeps an `Idempotency-Key`.

use super::fields::Fields;
use super::http::{self, Place};
use super::query::{self, DEFAULT_LIMIT, ListRequest};
use super::spec::Resource;
use super::store;
use super::tree::{self, Mode, Terms};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::Db;
use crate::platform::events;
use crate::platform::gatekeeper::{Sent, Shared};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What a search asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    filter: Value,
    sort: Vec<String>,
    limit: Option<i64>,
    cursor: Option<String>,
    with_total: bool,
    expand: Vec<String>,
    archived: bool,
}

pub(super) async fn search(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    sent: Sent,
) -> AppResult<Reply> {
    let parent = http::parent_id(resource, &request)?;
    let Sent { ctx, input, faults } = sent;
    if !faults.is_empty() {
        return Err(refused(resource, &db, &ctx, &input, &faults).await);
    }
    let input: Search = serde_json::from_value(Value::Object(input)).map_err(AppError::internal)?;
    let fields = fields_of(&db, &ctx, resource, &input.filter).await?;
    let asked = read(resource, &ctx, &fields, &input)?;
    let secrets = &shared.auth.secrets;
    let position = query::read_cursor(secrets, &ctx, request.path(), &asked).map_err(|_| foreign_cursor())?;
    let place = Place {
        path: request.path(),
        parent,
    };
    let listed = http::listed(resource, &db, &shared, &ctx, place, &asked, position).await?;
    http::page_of(&request, listed.records, listed.next, listed.total).map(Reply::without_link)
}

/// The refusal of a search that is faulty by its form, with what else is wrong with its filter.
async fn refused(
    resource: &'static Resource,
    db: &Db,
    ctx: &Ctx,
    input: &Map<String, Value>,
    faults: &[Fault],
) -> AppError {
    let Some(filter) = input.get("filter").filter(|filter| filter.is_object()) else {
        return AppError::invalid(faults.to_vec());
    };
    let fields = match fields_of(db, ctx, resource, filter).await {
        Ok(fields) => fields,
        Err(error) => return error,
    };
    let terms = Terms {
        ctx,
        fields: &fields,
        mode: Mode::Asked,
    };
    let mut more = Vec::new();
    tree::read(&terms, resource, filter, "/filter", &mut more);
    AppError::invalid(store::joined(faults, more))
}

/// The company's own fields that a tree may name.
///
/// # Errors
/// Database errors.
pub async fn fields_of(db: &Db, ctx: &Ctx, resource: &'static Resource, filter: &Value) -> AppResult<Fields> {
    let resources = tree::with_fields(resource, tree::names(filter).into_iter());
    db.read(async |conn| Fields::of(conn, ctx.tenant, &resources).await)
        .await
}

fn foreign_cursor() -> AppError {
    AppError::invalid(vec![Fault::invalid(
        "/cursor",
        "was altered, or belongs to another list, filter or sort",
        "已被改动,或属于其他列表、筛选或排序",
    )])
}

fn read(resource: &'static Resource, ctx: &Ctx, fields: &Fields, input: &Search) -> AppResult<ListRequest> {
    let mut faults = Vec::new();
    let mut asked = ListRequest::blank();
    asked.limit = input.limit.unwrap_or(DEFAULT_LIMIT);
    asked.cursor.clone_from(&input.cursor);
    asked.with_total = input.with_total;
    asked.archived = input.archived;
    if input.archived && !resource.has_archive() {
        faults.push(Fault::invalid(
            "/archived",
            "is not for these: they cannot be archived",
            "不适用:此类记录不可归档",
        ));
    }
    if !input.filter.is_null() {
        let terms = Terms {
            ctx,
            fields,
            mode: Mode::Asked,
        };
        let filter = tree::read(&terms, resource, &input.filter, "/filter", &mut faults);
        asked.trees.push(filter);
    }
    asked.sort = order(resource, &input.sort, "/sort", &mut faults);
    asked.expand = expansions(resource, &input.expand, &mut faults);
    asked.binding = binding(&input.filter, input.archived);
    if faults.is_empty() {
        Ok(asked)
    } else {
        Err(AppError::invalid(faults))
    }
}

/// The order that these keys make, the resource's own when there are none; every key that is none is named.
pub fn order(resource: &Resource, keys: &[String], at: &str, faults: &mut Vec<Fault>) -> Vec<query::SortKey> {
    let known = query::sort_names(resource);
    let unknown = keys.iter().enumerate().filter(|(_, key)| {
        let name = key.strip_prefix('-').unwrap_or(key);
        !known.contains(&name)
    });
    let allowed = known.join(", ");
    let found = unknown.map(|(index, _)| {
        Fault::new(
            format!("{at}/{index}"),
            "unknown_value",
            say(format!("allowed: {allowed}"), format!("可用值:{allowed}")),
        )
    });
    let before = faults.len();
    faults.extend(found);
    if faults.len() > before {
        return Vec::new();
    }
    let joined = keys.join(",");
    let text = if keys.is_empty() {
        resource.default_sort
    } else {
        joined.as_str()
    };
    query::read_sort(resource, text, at).unwrap_or_else(|fault| {
        faults.push(fault);
        Vec::new()
    })
}

fn expansions(resource: &Resource, names: &[String], faults: &mut Vec<Fault>) -> Vec<String> {
    let known = super::store::expandable(resource);
    let allowed = known.join(", ");
    for (index, name) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            faults.push(Fault::new(
                format!("/expand/{index}"),
                "unknown_value",
                say(format!("allowed: {allowed}"), format!("可用值:{allowed}")),
            ));
        }
    }
    names.to_vec()
}

/// What a cursor of this search is good for besides its order, whatever the order of the members in the request.
fn binding(filter: &Value, is_archived: bool) -> String {
    let asked = json!({ "filter": filter, "archived": is_archived });
    let digest = events::digest(&asked, &Value::Null);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
