//! A score set by hand, kept beside the computed one.

use super::apply::{self, Occasion};
use super::document::Points;
use super::explain::{self, LeadScore};
use crate::crm::assignment;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use diesel::sql_query;
use diesel::sql_types::{Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// A score set by hand.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "score": "85", "reason": "展会上与总经理面谈" }))]
pub struct OverrideScore {
    /// The score that is to count; `null` returns to the computed one.
    #[schema(required = true)]
    pub score: Option<Points>,
    /// Why.
    #[schema(min_length = 1, max_length = 500, example = "展会上与总经理面谈")]
    pub reason: String,
}

/// Set a lead's score by hand
///
/// It counts in place of the computed one, which is kept and kept up to date beside it, until `null` returns to that. The
/// limits hold for it as for any score. It leaves the reason in the lead's history.
#[utoipa::path(tag = "scoring", operation_id = "override_lead_score", security(("bearer" = ["lead.override_score"])), request_body = OverrideScore,
    responses((status = 200, description = "The score as it now is", body = LeadScore)))]
#[post("/v1/leads/{id}/override-score")]
pub async fn override_lead_score(
    db: web::Data<Db>,
    id: Id,
    command: Command<OverrideScore>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let locked = store::lock(tx, &ctx, &LEAD, id.0, For::Action("lead.override_score")).await?;
        let lead = locked.record()?;
        if lead["status"] == "converted" {
            return Err(crate::crm::hooks::already_converted());
        }
        keep(tx, &ctx, id.0, &input).await?;
        let score = input.score.map(|score| super::rules::points_text(score.0));
        tx.record(Event::new(
            "lead.score_overridden",
            LEAD.singular,
            id.0,
            json!({ "by_hand": score, "reason": input.reason }),
        ));
        apply::apply(tx, &ctx, &[lead], Occasion::Happened("lead.score_overridden")).await?;
        let (_, lead) = assignment::apply::record(&mut &**tx, &ctx, id.0).await?;
        let lead = serde_json::to_string(&lead).map_err(AppError::internal)?;
        Reply::ok(&explain::explain(&mut &**tx, &ctx, &lead).await?)
    })
    .await
}

async fn keep(tx: &mut Tx, ctx: &Ctx, lead: Uuid, input: &OverrideScore) -> AppResult<()> {
    let score = input.score.map(|score| score.0);
    let query = sql_query(
        "INSERT INTO lead_scores AS s (tenant_id, lead_id, by_hand, by_hand_reason, by_hand_by, by_hand_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, lead_id) DO UPDATE SET by_hand = EXCLUDED.by_hand, \
         by_hand_reason = EXCLUDED.by_hand_reason, by_hand_by = EXCLUDED.by_hand_by, by_hand_at = EXCLUDED.by_hand_at",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(lead)
    .bind::<Nullable<Numeric>, _>(score)
    .bind::<Nullable<Text>, _>(score.map(|_| input.reason.clone()))
    .bind::<Nullable<SqlUuid>, _>(score.filter(|_| !ctx.user.is_nil()).map(|_| ctx.user))
    .bind::<Nullable<Timestamptz>, _>(score.map(|_| ctx.now));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}
