//! The verbs of a lead. Conversion stands with what it makes, in the opportunities' area.

use super::lead_states::{LeadState, Qualification, Step};
use super::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::http::written_reply;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(work)
        .service(qualify)
        .service(nurture)
        .service(disqualify)
        .service(reopen);
}

/// How far a lead is qualified.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QualifyLead {
    /// The next qualification: a working lead becomes `marketing_qualified`, that one `sales_qualified`.
    #[schema(example = "marketing_qualified")]
    to: Qualification,
}

/// Until when a lead rests.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NurtureLead {
    /// The day on which nurturing ends; after today.
    #[schema(example = "2034-06-01")]
    until: NaiveDate,
    /// Why it rests.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, example = "需求明确,今年没有预算")]
    reason: Option<String>,
}

/// Why a lead is given up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DisqualifyLead {
    /// The reason.
    #[schema(min_length = 1, max_length = 500, example = "没有预算")]
    reason: String,
}

/// Begin to work a lead
///
/// A new lead becomes `working`.
#[utoipa::path(tag = "leads", operation_id = "work_lead", security(("bearer" = ["lead.write"])), responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/work")]
async fn work(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    take(&db, &ctx, id.0, Step::Work, "worked").await
}

/// Qualify a lead
///
/// One qualification at a time: `working` to `marketing_qualified` to `sales_qualified`.
#[utoipa::path(tag = "leads", operation_id = "qualify_lead", security(("bearer" = ["lead.write"])), request_body = QualifyLead, responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/qualify")]
async fn qualify(db: web::Data<Db>, id: Id, command: Command<QualifyLead>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    take(&db, &ctx, id.0, Step::Qualify(input.to), "qualified").await
}

/// Set a lead aside for a while
///
/// For a need without the ability to pay: it rests until a day, and reopening returns it to the state it leaves. When that
/// day begins its owner is told by the event `lead.return_due`. Until then it is found by `status=nurturing`, together with
/// what `confirm_lead_signals` found (`is_need_confirmed=true&ability_to_pay=none`).
#[utoipa::path(tag = "leads", operation_id = "nurture_lead", security(("bearer" = ["lead.write"])), request_body = NurtureLead, responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/nurture")]
async fn nurture(db: web::Data<Db>, id: Id, command: Command<NurtureLead>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let step = Step::Nurture {
        until: input.until,
        reason: input.reason,
    };
    take(&db, &ctx, id.0, step, "nurtured").await
}

/// Give a lead up
///
/// Needs a reason; reopening returns the lead to the state it leaves.
#[utoipa::path(tag = "leads", operation_id = "disqualify_lead", security(("bearer" = ["lead.write"])), request_body = DisqualifyLead, responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/disqualify")]
async fn disqualify(db: web::Data<Db>, id: Id, command: Command<DisqualifyLead>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let step = Step::Disqualify { reason: input.reason };
    take(&db, &ctx, id.0, step, "disqualified").await
}

/// Reopen a lead
///
/// A nurtured or disqualified lead returns to the state that it left.
#[utoipa::path(tag = "leads", operation_id = "reopen_lead", security(("bearer" = ["lead.write"])), responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/reopen")]
async fn reopen(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    take(&db, &ctx, id.0, Step::Reopen, "reopened").await
}

/// Takes one step with a lead.
async fn take(db: &Db, ctx: &Ctx, id: Uuid, step: Step, verb: &'static str) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        let locked = store::lock(tx, ctx, &LEAD, id, For::Write).await?;
        let mut lead = locked.record()?;
        let state =
            serde_json::from_value::<LeadState>(Value::Object(lead.clone())).map_err(AppError::internal)?;
        let state = serde_json::to_value(state.after(&step, ctx.today())?).map_err(AppError::internal)?;
        lead.extend(state.as_object().cloned().unwrap_or_default());
        let written = store::save_as(tx, ctx, &LEAD, id, &locked, lead, verb).await?;
        written_reply(&LEAD, ctx, 200, written)
    })
    .await
}
