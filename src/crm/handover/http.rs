//! Hand-overs over HTTP, beside what their declaration gives.

use super::record::{self, End, Response};
use super::resources::LEAD_HANDOVER;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::http as records;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, post, web};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig) {
    config.service(list_handovers).service(respond_to_lead);
}

/// How somebody was contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(example = "call")]
pub enum ResponseKind {
    Call,
    Email,
    Message,
    Meeting,
    Other,
}

/// A first response to a lead.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "call", "note": "已约周三上午会议" }))]
pub struct RespondToLead {
    pub kind: ResponseKind,
    /// What came of it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1000, example = "已约周三上午会议")]
    pub note: Option<String>,
}

/// Lists hand-overs
///
/// Of the leads that you see, the latest first, each with its clock. `status=open` are those that wait for a response,
/// `is_overdue=true` those whose deadline passed, `due_at_before` those that are due until then; `to_user_id` whose they are.
#[utoipa::path(tag = "assignment", operation_id = "list_handovers", security(("bearer" = ["lead.read"])),
    params(
        ("limit" = Option<i64>, Query, description = "Most entries of the page.", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("sort" = Option<String>, Query, description = "Order: `started_at`, `created_at` or `updated_at`, `-` before it for descending.", pattern = "^-?(started_at|created_at|updated_at)$", example = "-started_at"),
        ("with_total" = Option<bool>, Query, description = "Whether to count all entries.", example = false),
        ("status" = Option<String>, Query, description = "Only those in this state.", pattern = "^(open|responded|missed|superseded|withdrawn|closed)$", example = "open"),
        ("is_overdue" = Option<bool>, Query, description = "Only those whose deadline passed without a response, or only the others.", example = true),
        ("lead_id" = Option<Uuid>, Query, description = "Only those of this lead.", example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"),
        ("to_user_id" = Option<Uuid>, Query, description = "Only those of this person.", example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"),
        ("rule_id" = Option<Uuid>, Query, description = "Only those by this rule.", example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"),
        ("due_at_before" = Option<String>, Query, description = "Only those due before this instant.", example = "2024-03-15T08:30:00Z"),
        ("due_at_after" = Option<String>, Query, description = "Only those due after this instant.", example = "2024-03-15T08:30:00Z"),
        ("started_at_before" = Option<String>, Query, description = "Only those begun before this instant.", example = "2024-03-15T08:30:00Z"),
        ("started_at_after" = Option<String>, Query, description = "Only those begun after this instant.", example = "2024-03-15T08:30:00Z"),
    ),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/LeadHandoverPage"))))]
#[get("/v1/handovers")]
async fn list_handovers(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    records::list_of_all(&LEAD_HANDOVER, request, db, shared, ctx).await
}

/// Record the first response to a lead
///
/// Stops the clock of the lead's open hand-over, and says how many working minutes it took. A hand-over that is overdue
/// takes one too. Without an open one: `conflict`.
#[utoipa::path(tag = "assignment", operation_id = "respond_to_lead", security(("bearer" = ["lead.write"])), request_body = RespondToLead,
    responses((status = 200, description = "The hand-over", body = ref("#/components/schemas/LeadHandover"))))]
#[post("/v1/leads/{id}/respond")]
async fn respond_to_lead(db: web::Data<Db>, id: Id, command: Command<RespondToLead>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| respond(tx, &ctx, id.0, &input).await)
        .await
}

async fn respond(tx: &mut Tx, ctx: &Ctx, lead: Uuid, input: &RespondToLead) -> AppResult<Reply> {
    store::lock(tx, ctx, &LEAD, lead, For::Write).await?;
    let open = record::open_of(&mut &**tx, ctx.tenant, lead).await?;
    let open = open.ok_or_else(|| {
        AppError::refuse(
            Code::Conflict,
            say(
                "The lead waits for no first response",
                "该线索没有等待首次响应的交接",
            ),
        )
    })?;
    let response = Response {
        kind: input.kind.into(),
        note: input.note.clone(),
    };
    record::end(tx, ctx, &open, End::Responded, Some(&response), json!({})).await?;
    let row = store::find(&mut &**tx, ctx, &LEAD_HANDOVER, open.id, Some(lead)).await?;
    Ok(Reply::raw(200, row.doc).with_version(row.version))
}
