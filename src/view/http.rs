//! What a view shows and who belongs to a segment: found out now, over what the reader may see.

use super::resources::{SAVED_VIEW, SEGMENT};
use super::subject;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Db;
use crate::platform::events;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::records::http::{Place, listed, page_of};
use crate::platform::records::query::{self, ListRequest, bad_parameters, unknown_parameter};
use crate::platform::records::tree::{self, Mode, Terms};
use crate::platform::records::{Resource, search, store};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The parameters of both lists.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what is read by hand")]
struct Parameters {
    /// Size of the page.
    #[param(minimum = 1, maximum = 200, default = 50, example = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before; good only for the same filter and sort.
    #[param(min_length = 1)]
    cursor: Option<String>,
    /// Up to three keys joined by commas, as the collection's list takes them; a leading - for descending.
    #[param(example = "-created_at")]
    sort: Option<String>,
    /// Adds `total`.
    #[param(example = false)]
    with_total: Option<bool>,
    /// Relations to embed, joined by commas, as the collection's list takes them.
    #[param(example = "owner")]
    expand: Option<String>,
}

/// One page of records of the kind that the view or segment is about.
#[derive(Serialize, ToSchema)]
struct RecordPage {
    /// The records, as the collection's list shows them.
    data: Vec<Map<String, Value>>,
    /// Cursor of the next page; null on the last.
    #[schema(example = "eyJrIjpbXX0")]
    next_cursor: Option<String>,
    /// Size of the whole list, with `with_total=true`.
    #[schema(example = 12)]
    total: Option<i64>,
}

/// What is kept.
#[derive(Deserialize)]
struct Saved {
    resource: String,
    filter: Value,
    #[serde(default)]
    sort: Vec<String>,
    #[serde(default)]
    columns: Vec<String>,
}

impl Saved {
    /// The relations of which its columns show something.
    fn relations(&self, resource: &'static Resource) -> Vec<String> {
        let named = self.columns.iter().filter_map(|column| column.split_once('.'));
        let known = named.filter(|(relation, _)| store::related(resource, relation).is_some());
        known.map(|(relation, _)| relation.to_owned()).collect()
    }
}

/// Show what a view shows
///
/// The records that the view's filter lets through, in the view's order unless `sort` is given, of those that you may
/// see. What its columns show of relations is embedded, besides what `expand` asks for. Needs the permission to read the
/// collection too.
#[utoipa::path(tag = "views", operation_id = "list_view_records", security(("bearer" = ["view.read"])), params(Parameters),
    responses((status = 200, description = "The page", body = RecordPage)))]
#[get("/v1/views/{id}/records")]
pub async fn list_view_records(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    run(&SAVED_VIEW, request, &db, &shared, &ctx, id.0).await
}

/// List who belongs to a segment
///
/// Membership is live: the records that the segment's filter lets through now, of those that you may see. Needs the
/// permission to read the collection too.
#[utoipa::path(tag = "views", operation_id = "list_segment_members", security(("bearer" = ["view.read"])), params(Parameters),
    responses((status = 200, description = "The page", body = RecordPage)))]
#[get("/v1/segments/{id}/members")]
pub async fn list_segment_members(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    run(&SEGMENT, request, &db, &shared, &ctx, id.0).await
}

async fn run(
    kept: &'static Resource,
    request: HttpRequest,
    db: &Db,
    shared: &Shared,
    ctx: &Ctx,
    id: Uuid,
) -> AppResult<Reply> {
    only_known(request.query_string())?;
    let row = db
        .read(async |conn| store::find(conn, ctx, kept, id, None).await)
        .await?;
    let saved: Saved = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let resource = subject(&saved.resource).or_not_found()?;
    ctx.require(&resource.read_permission())?;
    let asked = asked(resource, db, ctx, &saved, request.query_string()).await?;
    let position = query::read_cursor(&shared.auth.secrets, ctx, request.path(), &asked)?;
    let place = Place {
        path: request.path(),
        parent: None,
    };
    let listed = listed(resource, db, shared, ctx, place, &asked, position).await?;
    Ok(page_of(&request, listed.records, listed.next, listed.total)?.with_weak_tag())
}

const KNOWN: [&str; 5] = ["limit", "cursor", "sort", "with_total", "expand"];

fn only_known(query: &str) -> AppResult<()> {
    let mut faults = Vec::new();
    let known = KNOWN.map(str::to_owned);
    let sent = query::pairs(query, &mut faults);
    let unknown = sent.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    faults.extend(unknown.map(|(name, _)| unknown_parameter(name, &known)));
    if faults.is_empty() {
        Ok(())
    } else {
        Err(bad_parameters(faults))
    }
}

/// The list that was saved, as it is asked for now.
async fn asked(
    resource: &'static Resource,
    db: &Db,
    ctx: &Ctx,
    saved: &Saved,
    query: &str,
) -> AppResult<ListRequest> {
    let fields = search::fields_of(db, ctx, resource, &saved.filter).await?;
    let terms = Terms {
        ctx,
        fields: &fields,
        mode: Mode::Saved,
    };
    let mut asked = query::parse(&terms, resource, query, &store::expandable(resource))?;
    asked.expand.extend(saved.relations(resource));
    asked.expand.sort();
    asked.expand.dedup();
    let mut faults = Vec::new();
    let filter = tree::read(&terms, resource, &saved.filter, "/filter", &mut faults);
    asked.trees.push(filter);
    let sorts = query::pairs(query, &mut Vec::new())
        .iter()
        .any(|(name, _)| name == "sort");
    if !sorts && !saved.sort.is_empty() {
        asked.sort = search::order(resource, &saved.sort, "/sort", &mut faults);
    }
    if !faults.is_empty() {
        return Err(cannot_run(faults));
    }
    // A cursor does not outlive a change of what is kept.
    let digest = events::digest(&saved.filter, &Value::from(saved.sort.clone()));
    let digest = digest.iter().map(|byte| format!("{byte:02x}"));
    asked.binding.push_str(&digest.collect::<String>());
    Ok(asked)
}

/// It was kept by somebody who may read more, or fitted an earlier form of the collection.
fn cannot_run(faults: Vec<Fault>) -> AppError {
    let is_denied = faults.iter().any(|fault| fault.code == "forbidden");
    let code = if is_denied {
        Code::Forbidden
    } else {
        Code::Conflict
    };
    AppError::refuse(
        code,
        say(
            "It tests what you may not read, or what is no more",
            "其条件涉及您无权读取或已不存在的内容",
        ),
    )
    .with_faults(faults)
}
