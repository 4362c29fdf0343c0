//! Undoing an assignment while nothing later rests on it.

use super::giving::masked;
use super::http::AssignedLead;
use crate::crm::handover::record;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::Id;
use crate::platform::records::http::written_reply;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use diesel::sql_types::{Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use uuid::Uuid;

/// What its event is called.
pub const VERB: &str = "unassigned";

/// Events of a lead on which nothing rests.
const HARMLESS: [&str; 4] = [
    "lead.touched",
    "lead.return_due",
    "lead.scored",
    "lead.score_overridden",
];

#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    data: Option<Value>,
}

/// Undo the assignment of a lead
///
/// Gives the lead back to whom it had before, or to nobody, while nothing later rests on the assignment: no change of the
/// lead since, no first response; else `conflict`. A hand-over that the assignment began is withdrawn, and the one that it
/// took over goes on as if nothing had been.
#[utoipa::path(tag = "leads", operation_id = "unassign_lead", security(("bearer" = ["lead.assign"])), responses((status = 200, description = "The lead", body = AssignedLead)))]
#[post("/v1/leads/{id}/unassign")]
pub async fn unassign_lead(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    db.write(&ctx, async |tx| unassign(tx, &ctx, id.0).await).await
}

async fn unassign(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<Reply> {
    let locked = store::lock(tx, ctx, &LEAD, id, For::Assignment("lead.assign")).await?;
    let mut lead = locked.record()?;
    let present = lead.get("owner_id").cloned().unwrap_or(Value::Null);
    let (event, before) = last_assignment(tx, ctx, id, &present).await?;
    let newest = record::newest_of(&mut &**tx, ctx.tenant, id).await?;
    if newest.is_some_and(|newest| newest.status == "responded" && json!(newest.to_user_id) == present) {
        return Err(rests());
    }
    let former = before.as_str().and_then(|id| Uuid::parse_str(id).ok());
    lead.insert("owner_id".to_owned(), before);
    let mut written = store::save_as(tx, ctx, &LEAD, id, &locked, lead, VERB).await?;
    if let Some(former) = former.filter(|_| locked.is_masked) {
        written = masked(id, former, written.version)?;
    }
    let data = json!({ "assignment": { "how": "undo", "event_id": event } });
    tx.record(Event::new("lead.unassigned", LEAD.singular, id, data));
    written_reply(&LEAD, ctx, 200, written)
}

/// The assignment by which the present owner has the lead, with whom it had before.
async fn last_assignment(tx: &mut Tx, ctx: &Ctx, lead: Uuid, present: &Value) -> AppResult<(Uuid, Value)> {
    let query = sql_query(
        "SELECT e.id, e.kind, d.data FROM events e LEFT JOIN event_payloads d ON d.tenant_id = $1 AND d.event_id = e.id \
         WHERE e.tenant_id = $1 AND e.subject_kind = 'lead' AND e.subject_id = $2 ORDER BY e.id DESC LIMIT 50",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(lead);
    let events: Vec<EventRow> = Cached(query).load(&mut **tx).await?;
    let newest = events
        .into_iter()
        .find(|event| !HARMLESS.contains(&event.kind.as_str()));
    let newest = newest.ok_or_else(nothing)?;
    let data = newest.data.unwrap_or(Value::Null);
    let change = &data["changes"]["owner_id"];
    let is_assignment = data["assignment"].is_object() && newest.kind != "lead.unassigned";
    match is_assignment && change.is_object() {
        true if change["after"] == *present => Ok((newest.id, change["before"].clone())),
        true => Err(rests()),
        false if newest.kind == "lead.created" => Err(nothing()),
        false => Err(rests()),
    }
}

fn nothing() -> AppError {
    AppError::refuse(
        Code::Conflict,
        say("There is no assignment to be undone", "没有可撤销的分配"),
    )
}

fn rests() -> AppError {
    AppError::refuse(
        Code::Conflict,
        say(
            "Something later rests on the assignment, or the last change was none",
            "分配之后已有其他操作,或最近一次变更不是分配",
        ),
    )
}
