//! Timelines: what happened around one record, newest first.

use super::feed::{Cursors, read_limit, unknown_parameter};
use super::view::{COLUMNS, EventPage, EventRow, EventView};
use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::AppResult;
use crate::opportunity::resources::OPPORTUNITY;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::records::http::page_reply;
use crate::platform::records::query::{DEFAULT_LIMIT, bad_parameters, pairs};
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use crate::platform::records::{Resource, store};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};
use diesel_async::RunQueryDsl;
use utoipa::IntoParams;
use uuid::Uuid;

/// The records that have owners, and timelines.
const OWNED: [&Resource; 4] = [&ACCOUNT, &CONTACT, &LEAD, &OPPORTUNITY];

/// A page of a timeline.
pub struct Page {
    pub events: Vec<EventView>,
    pub next: Option<String>,
}

/// The parameters of a timeline.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what `page` reads by hand")]
pub struct TimelineParameters {
    /// Size of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// Where the page before ended; opaque, good only for the same timeline.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// The condition under which an event `e` on a record's timeline is shown: its own subject must be visible to the
/// caller; where the subject has no owner of its own (a decision, an answer), the deals that it is about must be.
fn shown(sql: &mut Sql, ctx: &Ctx, resource: &Resource, id: &str) -> String {
    let sees_all = OWNED
        .iter()
        .all(|owned| ctx.reach(&owned.read_permission()) == Reach::All);
    if sees_all {
        return String::from("TRUE");
    }
    let mut arms = String::new();
    let mut deals = String::new();
    for owned in OWNED {
        let scope = sql::scope(sql, owned, "t", ctx, Intent::Read);
        let (kind, table) = (owned.singular, owned.table);
        arms.push_str(&format!(
            "WHEN '{kind}' THEN EXISTS (SELECT 1 FROM {table} t WHERE t.tenant_id = $1 AND t.id = e.subject_id AND {scope}) "
        ));
        if owned.singular == OPPORTUNITY.singular {
            deals = format!(
                "NOT EXISTS (SELECT 1 FROM event_subjects o WHERE o.tenant_id = $1 AND o.event_id = e.id \
                 AND o.subject_kind = '{kind}' AND o.subject_id <> {id} \
                 AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t.tenant_id = $1 AND t.id = o.subject_id AND {scope}))"
            );
        }
    }
    format!(
        "((e.subject_kind = '{}' AND e.subject_id = {id}) OR CASE e.subject_kind {arms}ELSE {deals} END)",
        resource.singular
    )
}

/// Reads a page of a record's timeline, as the request's `limit` and `cursor` ask: every event that names the record,
/// newest first, as far as the caller may see what it is about.
///
/// # Errors
/// `not_found` unless the caller sees the record, `bad_parameter`.
pub async fn page(
    request: &HttpRequest,
    db: &Db,
    shared: &Shared,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
) -> AppResult<Page> {
    let mut faults = Vec::new();
    let (mut limit, mut cursor) = (DEFAULT_LIMIT, None);
    for (name, value) in pairs(request.query_string(), &mut faults) {
        match name.as_str() {
            "limit" => limit = read_limit(&value, &mut faults),
            "cursor" => cursor = Some(value),
            _ => faults.push(unknown_parameter(&name, "limit, cursor")),
        }
    }
    if !faults.is_empty() {
        return Err(bad_parameters(faults));
    }
    let cursors = Cursors {
        secrets: &shared.auth.secrets,
        ctx,
        path: request.path(),
        filters: "",
    };
    let before = cursor.map(|cursor| cursors.open::<Uuid>(&cursor)).transpose()?;
    db.read(async |conn| store::require_visible(conn, ctx, resource, id).await)
        .await?;
    let sql = statement(ctx, resource, id, before, limit);
    let mut rows: Vec<EventRow> = db
        .read(async |conn| Ok(sql.clone().query().load(conn).await?))
        .await?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > size;
    rows.truncate(size);
    let next = rows
        .last()
        .filter(|_| has_more)
        .map(|last| cursors.sign(&last.id.to_string()));
    Ok(Page {
        events: rows.into_iter().map(|row| row.view(ctx)).collect(),
        next,
    })
}

fn statement(ctx: &Ctx, resource: &Resource, id: Uuid, before: Option<Uuid>, limit: i64) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(id));
    let shown = shown(&mut sql, ctx, resource, &id);
    sql.push(&format!(
        "SELECT {COLUMNS} FROM event_subjects s JOIN events e ON e.tenant_id = $1 AND e.id = s.event_id \
         LEFT JOIN event_positions p ON p.tenant_id = $1 AND p.event_id = e.id \
         LEFT JOIN event_payloads d ON d.tenant_id = $1 AND d.event_id = e.id \
         WHERE s.tenant_id = $1 AND s.subject_kind = '{}' AND s.subject_id = {id} AND {shown}",
        resource.singular
    ));
    if let Some(before) = before {
        sql.push(" AND s.event_id < ").bind(Bind::Id(before));
    }
    sql.push(" ORDER BY s.event_id DESC LIMIT ")
        .bind(Bind::Long(limit + 1));
    sql
}

async fn answer(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Uuid,
) -> AppResult<Reply> {
    let page = page(&request, &db, &shared, &ctx, resource, id).await?;
    Ok(page_reply(&request, page.events, page.next, None)?.with_weak_tag())
}

/// What happened around an account
///
/// Newest first: its own changes, and those of its contacts, opportunities and their parts that you may see.
#[utoipa::path(tag = "accounts", operation_id = "list_account_timeline", params(TimelineParameters), security(("bearer" = ["account.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/accounts/{id}/timeline")]
pub async fn list_account_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&ACCOUNT, request, db, shared, ctx, id.0).await
}

/// What happened around a contact
///
/// Newest first: the contact's own changes, and what else names the contact that you may see.
#[utoipa::path(tag = "accounts", operation_id = "list_contact_timeline", params(TimelineParameters), security(("bearer" = ["contact.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/contacts/{id}/timeline")]
pub async fn list_contact_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&CONTACT, request, db, shared, ctx, id.0).await
}

/// What happened around a lead
///
/// Newest first: from its arrival to its conversion.
#[utoipa::path(tag = "leads", operation_id = "list_lead_timeline", params(TimelineParameters), security(("bearer" = ["lead.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/leads/{id}/timeline")]
pub async fn list_lead_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&LEAD, request, db, shared, ctx, id.0).await
}

/// What happened around an opportunity
///
/// Newest first: its own changes and moves, its parts, its approvals.
#[utoipa::path(tag = "opportunities", operation_id = "list_opportunity_timeline", params(TimelineParameters), security(("bearer" = ["opportunity.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/opportunities/{id}/timeline")]
pub async fn list_opportunity_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&OPPORTUNITY, request, db, shared, ctx, id.0).await
}
