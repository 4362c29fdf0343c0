//! `POST …/advance` and the ways past, back and around.

use super::rules::{self, Wish};
use super::service;
use super::together::{Convoy, Traveller};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::opportunity::lapse;
use crate::opportunity::moves::{Move, MoveKind, make};
use crate::opportunity::standing;
use crate::opportunity::views::{MovedView, moved_reply};
use crate::pipeline::gate::GateView;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::store::For;
use crate::platform::reply::Reply;
use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An advance.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Advance {
    /// The stage in which you see the opportunity; if it is elsewhere by now, nothing moves.
    #[schema(examples("0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"))]
    pub from_stage_id: Uuid,
    /// Where to; needed where the stage leads to several.
    #[serde(default)]
    pub to_stage_id: Option<Uuid>,
    /// Kept with the transition; the comment of an approval that is asked for.
    #[serde(default)]
    #[schema(max_length = 2000, examples("客户已书面确认"))]
    pub note: Option<String>,
}

/// An advance that asked for approval: everything else holds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApprovalAskedView {
    /// The requests made, in the order of the gate.
    pub approval_request_ids: Vec<Uuid>,
    /// The gate with these requests made.
    pub gate: GateView,
}

/// Advance an opportunity
///
/// Moves it along an edge to a later stage, or wins it out of the last one, if and only if the gate of its stage is open at
/// this instant. Of any number of simultaneous calls exactly one moves it. With nothing but approvals missing, a stage
/// may ask for them by itself: then the answer is 202, and `Location` is the (first) approval request.
#[utoipa::path(tag = "opportunities", operation_id = "advance_opportunity", security(("bearer" = ["opportunity.advance"])), request_body = Advance,
    responses((status = 200, description = "The opportunity after the move", body = MovedView), (status = 202, body = ApprovalAskedView, description = "Approval asked; `Location` is the request")))]
#[post("/v1/opportunities/{id}/advance")]
pub async fn advance_opportunity(
    db: web::Data<Db>,
    convoy: web::Data<Convoy>,
    id: Id,
    command: Command<Advance>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let traveller = Traveller { ctx, id: id.0, input };
    convoy.advance(&db, traveller).await
}

pub(super) fn asked_reply(
    ctx: &Ctx,
    requests: Vec<Uuid>,
    gate: &crate::pipeline::gate::Verdict,
) -> AppResult<Reply> {
    let first = requests.first().copied().unwrap_or_default();
    let view = ApprovalAskedView {
        approval_request_ids: requests,
        gate: gate.view(ctx.lang),
    };
    Ok(Reply::json(202, &view)?.with_location(format!("/v1/approval-requests/{first}")))
}

/// A way back, or past the gate.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveTo {
    /// The stage in which you see the opportunity; checked when given.
    #[serde(default)]
    pub from_stage_id: Option<Uuid>,
    /// The stage to go to.
    #[schema(examples("0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"))]
    pub to_stage_id: Uuid,
    /// Why.
    #[schema(min_length = 1, max_length = 2000, examples("客户需求变化，需重新调研"))]
    pub reason: String,
}

/// A move along an edge, whatever the gate says.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideGate {
    /// The stage in which you see the opportunity; checked when given.
    #[serde(default)]
    pub from_stage_id: Option<Uuid>,
    /// Where to; needed where the stage leads to several.
    #[serde(default)]
    pub to_stage_id: Option<Uuid>,
    /// Why.
    #[schema(min_length = 1, max_length = 2000, examples("总经理特批"))]
    pub reason: String,
}

/// Take an opportunity back
///
/// To an earlier stage, with a reason, unless the pipeline forbids it. It begins a new stay there: ticks, answers and
/// approvals of that stage and every later one count no longer, and pending requests are withdrawn.
#[utoipa::path(tag = "opportunities", operation_id = "regress_opportunity", security(("bearer" = ["opportunity.advance"])), request_body = MoveTo,
    responses((status = 200, description = "The opportunity after the move", body = MovedView)))]
#[post("/v1/opportunities/{id}/regress")]
pub async fn regress_opportunity(db: web::Data<Db>, id: Id, command: Command<MoveTo>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let present = standing::lock(tx, &ctx, id.0, For::Action("opportunity.advance"), None).await?;
        let from = input.from_stage_id.unwrap_or(present.head.stage_id);
        let decision = rules::decide_regress(&present.deal()?, from, input.to_stage_id, &input.reason);
        let regress = decision.map_err(|refusal| refusal.into_error(ctx.lang))?;
        lapse::call_off(tx, &ctx, id.0, service::LEFT).await?;
        let mut step = Move::of(MoveKind::Regress, &present.head)?;
        step.to_stage_id = regress.to;
        step.begins_visit = true;
        step.reason = Some(input.reason.clone());
        step.evidence = Some(present.gate.evaluate(&present.standing).to_evidence());
        let mut moved = make(tx, &ctx, &present.head, &present.record, present.version, step).await?;
        present.hide(&mut moved);
        moved_reply(moved)
    })
    .await
}

/// Skip stages
///
/// Moves the opportunity to a later stage whatever the gate says; the stages between get no stay. Marked for ever.
#[utoipa::path(tag = "opportunities", operation_id = "skip_opportunity_stages", security(("bearer" = ["opportunity.override"])), request_body = MoveTo,
    responses((status = 200, description = "The opportunity after the move", body = MovedView)))]
#[post("/v1/opportunities/{id}/skip")]
pub async fn skip_opportunity_stages(
    db: web::Data<Db>,
    id: Id,
    command: Command<MoveTo>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let present = standing::lock(tx, &ctx, id.0, For::Action("opportunity.override"), None).await?;
        let from = input.from_stage_id.unwrap_or(present.head.stage_id);
        let decision = rules::decide_skip(
            &present.deal()?,
            &present.gate,
            &present.standing,
            from,
            input.to_stage_id,
            &input.reason,
        );
        let decision = decision.map_err(|refusal| refusal.into_error(ctx.lang))?;
        let reason = Some(input.reason.clone());
        let moved = service::carry_out(tx, &ctx, &present, MoveKind::Skip, decision, reason).await?;
        moved_reply(moved)
    })
    .await
}

/// Override a gate
///
/// Moves the opportunity along an edge, or wins it out of the last stage, whatever the gate says. Marked for ever.
#[utoipa::path(tag = "opportunities", operation_id = "override_opportunity_gate", security(("bearer" = ["opportunity.override"])), request_body = OverrideGate,
    responses((status = 200, description = "The opportunity after the move", body = MovedView)))]
#[post("/v1/opportunities/{id}/override")]
pub async fn override_opportunity_gate(
    db: web::Data<Db>,
    id: Id,
    command: Command<OverrideGate>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let present = standing::lock(tx, &ctx, id.0, For::Action("opportunity.override"), None).await?;
        let wish = Wish {
            from_stage_id: input.from_stage_id.unwrap_or(present.head.stage_id),
            to_stage_id: input.to_stage_id,
        };
        let decision = rules::decide_override(
            &present.deal()?,
            &present.gate,
            &present.standing,
            wish,
            &input.reason,
        );
        let decision = decision.map_err(|refusal| refusal.into_error(ctx.lang))?;
        let reason = Some(input.reason.clone());
        let moved = service::carry_out(tx, &ctx, &present, MoveKind::Override, decision, reason).await?;
        moved_reply(moved)
    })
    .await
}

/// An approval to be asked for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskApproval {
    /// Key of an approval in the gate of the present stage.
    #[schema(min_length = 1, max_length = 63, examples("contract_approved"))]
    pub criterion: String,
    /// Where to move on when it is granted, if the stage moves on by itself. Where it leads to several and nobody named one
    /// for this stay, the opportunity stays there, its gate open.
    #[serde(default)]
    pub to_stage_id: Option<Uuid>,
    /// For those who decide.
    #[serde(default)]
    #[schema(max_length = 2000, examples("客户已接受报价，请审批"))]
    pub comment: Option<String>,
}

/// Approval asked for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AskedView {
    /// The request; read it at `/v1/approval-requests/{id}`.
    pub approval_request_id: Uuid,
}

/// Ask for an approval of the present stage
///
/// Makes a request of the process that the gate names, bound to the present stay and to what the opportunity now says.
#[utoipa::path(tag = "opportunities", operation_id = "ask_opportunity_approval", security(("bearer" = ["approval.request"])), request_body = AskApproval,
    responses((status = 201, body = AskedView, description = "Asked; `Location` is the request")))]
#[post("/v1/opportunities/{id}/approvals")]
pub async fn ask_opportunity_approval(
    db: web::Data<Db>,
    id: Id,
    command: Command<AskApproval>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let present = standing::lock(tx, &ctx, id.0, For::Action("approval.request"), None).await?;
        let (criterion, to) = (&input.criterion, input.to_stage_id);
        rules::allowed_target(&present.deal()?, to).map_err(|refusal| refusal.into_error(ctx.lang))?;
        let request = service::ask(tx, &ctx, &present, criterion, to, input.comment.clone()).await?;
        let view = AskedView {
            approval_request_id: request,
        };
        let reply = Reply::json(201, &view)?;
        Ok::<_, AppError>(reply.with_location(format!("/v1/approval-requests/{request}")))
    })
    .await
}
