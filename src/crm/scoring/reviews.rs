//! Reviews of candidates: the queue, and a person's word.

use super::resources::LEAD_REVIEW;
use crate::crm::lead_states::{LeadState, Qualification, Step};
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::http::{self as records, written_reply};
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, post, web};
use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a candidate is rejected.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectLead {
    /// The reason.
    #[schema(min_length = 1, max_length = 500, example = "预算未确认")]
    reason: String,
}

/// Lists the reviews of candidates
///
/// Of the leads that you see, who has waited longest first; `status=open` is the queue. Reviews of archived and merged leads
/// are left out until the lead is back.
#[utoipa::path(tag = "scoring", operation_id = "list_review_queue", security(("bearer" = ["lead.read"])),
    params(
        ("limit" = Option<i64>, Query, description = "Most entries of the page.", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("sort" = Option<String>, Query, description = "Order: `created_at`, `updated_at` or `score`, `-` before it for descending.", pattern = "^-?(created_at|updated_at|score)$", example = "created_at"),
        ("with_total" = Option<bool>, Query, description = "Whether to count all entries.", example = false),
        ("status" = Option<String>, Query, description = "Only those in this state.", pattern = "^(open|accepted|rejected|withdrawn)$", example = "open"),
        ("lead_id" = Option<Uuid>, Query, description = "Only those of this lead.", example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"),
    ),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/LeadReviewPage"))))]
#[get("/v1/lead-reviews")]
pub async fn list_review_queue(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    records::list_of_live(&LEAD_REVIEW, request, db, shared, ctx).await
}

/// Accept a candidate
///
/// The open review ends, and the lead is `sales_qualified`. Without an open review: `conflict`.
#[utoipa::path(tag = "scoring", operation_id = "accept_lead", security(("bearer" = ["lead.review"])),
    responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/accept")]
pub async fn accept_lead(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    db.write(&ctx, async |tx| {
        let locked = store::lock(tx, &ctx, &LEAD, id.0, For::Action("lead.review")).await?;
        let mut lead = locked.record()?;
        decide(tx, &ctx, id.0, "accepted", None).await?;
        let state =
            serde_json::from_value::<LeadState>(Value::Object(lead.clone())).map_err(AppError::internal)?;
        let step = Step::Qualify(Qualification::SalesQualified);
        let state = serde_json::to_value(state.after(&step, ctx.today())?).map_err(AppError::internal)?;
        lead.extend(state.as_object().cloned().unwrap_or_default());
        let written = store::save_as(tx, &ctx, &LEAD, id.0, &locked, lead, "accepted").await?;
        written_reply(&LEAD, &ctx, 200, written)
    })
    .await
}

/// Reject a candidate
///
/// The open review ends with a reason; the lead stays `marketing_qualified`, and is put to review again when its score
/// rises above the one that was rejected, or reaches the limit anew. Without an open review: `conflict`.
#[utoipa::path(tag = "scoring", operation_id = "reject_lead", security(("bearer" = ["lead.review"])), request_body = RejectLead,
    responses((status = 200, description = "The review", body = ref("#/components/schemas/LeadReview"))))]
#[post("/v1/leads/{id}/reject")]
pub async fn reject_lead(db: web::Data<Db>, id: Id, command: Command<RejectLead>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        store::lock(tx, &ctx, &LEAD, id.0, For::Action("lead.review")).await?;
        let review = decide(tx, &ctx, id.0, "rejected", Some(&input.reason)).await?;
        let row = store::find(&mut &**tx, &ctx, &LEAD_REVIEW, review, Some(id.0)).await?;
        Ok(Reply::raw(200, row.doc).with_version(row.version))
    })
    .await
}

/// The open review is withdrawn: its lead has gone on without it.
///
/// # Errors
/// Database errors.
pub async fn withdraw(tx: &mut Tx, ctx: &Ctx, lead: Uuid) -> AppResult<()> {
    end(tx, ctx, lead, "withdrawn", None).await.map(|_| ())
}

/// Ends the open review of a locked lead.
async fn decide(
    tx: &mut Tx,
    ctx: &Ctx,
    lead: Uuid,
    status: &'static str,
    reason: Option<&str>,
) -> AppResult<Uuid> {
    end(tx, ctx, lead, status, reason).await?.ok_or_else(|| {
        AppError::refuse(
            Code::Conflict,
            say(
                "The lead is no candidate that waits for a decision",
                "该线索没有待处理的评审",
            ),
        )
    })
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

async fn end(
    tx: &mut Tx,
    ctx: &Ctx,
    lead: Uuid,
    status: &'static str,
    reason: Option<&str>,
) -> AppResult<Option<Uuid>> {
    let query = sql_query(
        "UPDATE lead_reviews r SET status = $3, reason = $4, decided_by = $5, decided_at = $6, updated_at = $6, \
         version = r.version + 1 WHERE r.tenant_id = $1 AND r.lead_id = $2 AND r.status = 'open' RETURNING r.id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(lead)
    .bind::<Text, _>(status)
    .bind::<Nullable<Text>, _>(reason)
    .bind::<Nullable<SqlUuid>, _>((!ctx.user.is_nil()).then_some(ctx.user))
    .bind::<Timestamptz, _>(ctx.now);
    let ended: Option<IdRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    let Some(IdRow { id }) = ended else {
        return Ok(None);
    };
    let changes = json!({ "status": { "before": "open", "after": status } });
    tx.record(
        Event::new(
            format!("lead_review.{status}"),
            LEAD_REVIEW.singular,
            id,
            json!({ "changes": changes, "reason": reason }),
        )
        .and_on("lead", Some(lead)),
    );
    Ok(Some(id))
}
