//! The timeline of an opportunity: its events, each move with the gate as it stood.

use super::facts::sees_account;
use super::resources::OPPORTUNITY;
use crate::event::timeline::page;
use crate::event::view::EventView;
use crate::event::window::WindowParameters;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::pipeline::gate::hide_account;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::records::http::page_reply;
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};
use diesel::QueryableByName;
use diesel::sql_types::{Jsonb, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// An event on an opportunity's timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEntry {
    #[serde(flatten)]
    event: EventView,
    /// Of a move past a gate: the gate as it stood, the state of every criterion and on what it rested. Else null.
    #[schema(value_type = Option<Object>, example = json!({ "state": "open", "tree": { "kind": "check", "key": "intent_confirmed", "state": "met", "is_required": true } }))]
    evidence: Option<Value>,
}

/// A page of an opportunity's timeline.
#[derive(Serialize, ToSchema)]
pub struct TimelinePage {
    pub data: Vec<TimelineEntry>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

#[derive(QueryableByName)]
struct Stood {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Jsonb)]
    evidence: Value,
}

/// The transition that an event tells of.
fn transition_of(event: &EventView) -> Option<Uuid> {
    let id = event.data.as_ref()?.get("transition")?.get("id")?.as_str()?;
    id.parse().ok()
}

/// What the gates showed at the moves among these events, by transition: one query, however many.
async fn evidence(db: &Db, ctx: &Ctx, deal: Uuid, events: &[EventView]) -> AppResult<HashMap<Uuid, Value>> {
    let moves: Vec<Uuid> = events.iter().filter_map(transition_of).collect();
    if moves.is_empty() {
        return Ok(HashMap::new());
    }
    let mut sql = Sql::of(ctx.tenant);
    let deal = sql.place(Bind::Id(deal));
    let moves = sql.place(Bind::Ids(moves));
    sql.push(&format!(
        "SELECT id, evidence FROM transitions WHERE tenant_id = $1 AND id = ANY({moves}) AND opportunity_id = {deal} \
         AND evidence IS NOT NULL"
    ));
    let stood: Vec<Stood> = db
        .read_at_length(async |conn| Ok(sql.clone().query().load(conn).await?))
        .await?;
    Ok(stood
        .into_iter()
        .map(|stood| (stood.id, stood.evidence))
        .collect())
}

/// What happened around an opportunity
///
/// Newest first: its own changes and moves, each move with the gate as it stood; its parts, its approvals.
#[utoipa::path(tag = "opportunities", operation_id = "list_opportunity_timeline", params(WindowParameters), security(("bearer" = ["opportunity.read"])), responses((status = 200, body = TimelinePage)))]
#[get("/v1/opportunities/{id}/timeline")]
pub async fn list_opportunity_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    let page = page(&request, &db, &shared, &ctx, &OPPORTUNITY, id.0).await?;
    let mut stood = evidence(&db, &ctx, id.0, &page.events).await?;
    if !stood.is_empty() && !db.read(async |conn| sees_account(conn, &ctx, id.0).await).await? {
        stood.values_mut().for_each(hide_account);
    }
    let entries = page.events.into_iter().map(|event| TimelineEntry {
        evidence: transition_of(&event).and_then(|id| stood.remove(&id)),
        event,
    });
    Ok(page_reply(&request, entries.collect(), page.next, None)?.with_weak_tag())
}
