//! Losing a deal, and what may follow a win or a loss: a new cycle, or taking a mistake back.

use super::advance::rules::{Refusal, Status};
use super::advance::service::LEFT;
use super::cycles::{self, End};
use super::hooks::{entrance, is_active};
use super::lapse::call_off;
use super::moves::{Move, MoveKind, Moved, make};
use super::resources::OPPORTUNITY;
use super::standing::{self, Present};
use super::views::{MovedView, moved_reply};
use crate::catalog::resources::COMPETITOR;
use crate::crm::owners::{Assign, give};
use crate::crm::pool;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::http::written_reply;
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use crate::platform::records::store::{For, live_condition};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use chrono::NaiveDate;
use diesel::sql_types::Uuid as SqlUuid;
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

const CLOSE: For<'static> = For::Action("opportunity.close");

/// Why a deal is lost.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lose {
    /// A loss reason of the company, by id; or give its key.
    #[serde(default)]
    pub loss_reason_id: Option<Uuid>,
    /// A loss reason of the company, by key; or give its id.
    #[serde(default)]
    #[schema(max_length = 60, examples("no_fit"))]
    pub loss_reason_key: Option<String>,
    /// Why, in words.
    #[schema(min_length = 1, max_length = 2000, examples("客户选择了价格更低的方案"))]
    pub reason: String,
    /// The competitor who won it.
    #[serde(default)]
    pub competitor_id: Option<Uuid>,
    /// Day of the debrief.
    #[serde(default)]
    pub debrief_on: Option<NaiveDate>,
}

/// Why a closing is taken back.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reopen {
    /// Why.
    #[schema(min_length = 1, max_length = 2000, examples("误操作"))]
    pub reason: String,
}

/// Why a lost deal goes on.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Why, in words; kept with the transition.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000, examples("客户恢复了预算"))]
    pub reason: Option<String>,
}

/// Lose an opportunity
///
/// Ends its cycle at its present stage, with a reason from the company's list and one in words. What it was worth is
/// frozen with the cycle; pending approvals are withdrawn.
#[utoipa::path(tag = "opportunities", operation_id = "lose_opportunity", security(("bearer" = ["opportunity.close"])), request_body = Lose,
    responses((status = 200, description = "The opportunity after the move", body = MovedView)))]
#[post("/v1/opportunities/{id}/lose")]
pub async fn lose_opportunity(db: web::Data<Db>, id: Id, command: Command<Lose>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let present = standing::lock(tx, &ctx, id.0, CLOSE, None).await?;
        let head = &present.head;
        let status = head.status()?;
        if status != Status::Open {
            return Err(Refusal::AlreadyClosed(status).into_error(ctx.lang));
        }
        let end = how_lost(tx, &ctx, &input).await?;
        call_off(tx, &ctx, head.id, LEFT).await?;
        let mut step = Move::of(MoveKind::Lose, head)?;
        step.to_status = Status::Lost;
        step.reason = Some(input.reason.clone());
        if let End::Lost {
            loss_reason_id,
            competitor_id,
            debrief_on,
            ..
        } = &end
        {
            step.more
                .insert("loss_reason_id".to_owned(), json!(loss_reason_id));
            step.more.insert("competitor_id".to_owned(), json!(competitor_id));
            step.more.insert("debrief_on".to_owned(), json!(debrief_on));
        }
        let moved = leave(tx, &ctx, &present, step).await?;
        cycles::freeze(tx, &ctx, head, &end).await?;
        moved_reply(moved)
    })
    .await
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Checks reason and competitor, both at once.
async fn how_lost(tx: &mut Tx, ctx: &Ctx, input: &Lose) -> AppResult<End> {
    let mut faults = Vec::new();
    let reason = loss_reason(tx, ctx, input, &mut faults).await?;
    if let Some(competitor) = input.competitor_id
        && !is_live_competitor(tx, ctx, competitor).await?
    {
        faults.push(Fault::not_found("/competitor_id"));
    }
    if input.reason.trim().is_empty() {
        faults.push(Fault::required("/reason"));
    }
    match reason {
        Some(loss_reason_id) if faults.is_empty() => Ok(End::Lost {
            loss_reason_id,
            reason: input.reason.clone(),
            competitor_id: input.competitor_id,
            debrief_on: input.debrief_on,
        }),
        _ => Err(AppError::invalid(faults)),
    }
}

/// Whether the caller sees the competitor, and it can still be named.
async fn is_live_competitor(tx: &mut Tx, ctx: &Ctx, competitor: Uuid) -> AppResult<bool> {
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(competitor));
    let (live, seen) = (
        live_condition(&COMPETITOR),
        sql::scope(&mut sql, &COMPETITOR, "t", ctx, Intent::Read),
    );
    let table = COMPETITOR.table;
    sql.push(&format!(
        "SELECT t.id FROM {table} t WHERE t.tenant_id = $1 AND t.id = {id}{live} AND {seen} FOR KEY SHARE OF t"
    ));
    let found: Option<Found> = sql.query().get_result(&mut **tx).await.optional()?;
    Ok(found.is_some())
}

async fn loss_reason(
    tx: &mut Tx,
    ctx: &Ctx,
    input: &Lose,
    faults: &mut Vec<Fault>,
) -> AppResult<Option<Uuid>> {
    let mut sql = Sql::of(ctx.tenant);
    let (wanted, pointer) = match (input.loss_reason_id, &input.loss_reason_key) {
        (Some(id), None) => (format!("l.id = {}", sql.place(Bind::Id(id))), "/loss_reason_id"),
        (None, Some(key)) => (
            format!("l.key = {}", sql.place(Bind::Text(key.clone()))),
            "/loss_reason_key",
        ),
        (None, None) => {
            faults.push(Fault::required("/loss_reason_id"));
            return Ok(None);
        }
        (Some(_), Some(_)) => {
            faults.push(Fault::invalid(
                "/loss_reason_key",
                "cannot stand beside loss_reason_id",
                "不能与 loss_reason_id 同时给出",
            ));
            return Ok(None);
        }
    };
    sql.push(&format!(
        "SELECT l.id FROM loss_reasons l WHERE l.tenant_id = $1 AND l.archived_at IS NULL AND {wanted}"
    ));
    let found: Option<Found> = sql.query().get_result(&mut **tx).await.optional()?;
    if found.is_none() {
        faults.push(Fault::not_found(pointer));
    }
    Ok(found.map(|found| found.id))
}

/// A closed deal that can go on, locked: an open one has somebody who drives it.
async fn lock_closed(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<Present> {
    let present = standing::lock(tx, ctx, id, CLOSE, None).await?;
    if present.head.status()? == Status::Open {
        return Err(AppError::refuse(
            Code::NotClosed,
            say("The opportunity is open", "商机正在进行中"),
        ));
    }
    if let Some(owner) = present.head.owner_id
        && !is_active(tx, ctx, owner).await?
    {
        return Err(AppError::refuse(
            Code::Conflict,
            say(
                "Its owner has left; give it to somebody first, with POST /v1/opportunities/{id}/assign",
                "商机负责人已离职;请先用 POST /v1/opportunities/{id}/assign 将其分配给他人",
            ),
        ));
    }
    Ok(present)
}

/// Makes a move out of the present status, with the gate of the stage as it stood.
async fn leave(tx: &mut Tx, ctx: &Ctx, present: &Present, mut step: Move) -> AppResult<Moved> {
    step.evidence = Some(present.gate.evaluate(&present.standing).to_evidence());
    let mut moved = make(tx, ctx, &present.head, &present.record, present.version, step).await?;
    present.hide(&mut moved);
    Ok(moved)
}

/// Restart an opportunity
///
/// A customer came back: a new cycle begins in the first stage of the version now published. A probability set by hand,
/// ticks, answers and approvals do not carry; the old cycle stays as it ended. Refused while the account is in the pool, and
/// where its owner has left until it is given to somebody else.
#[utoipa::path(tag = "opportunities", operation_id = "restart_opportunity", security(("bearer" = ["opportunity.close"])), request_body = Option<Restart>,
    responses((status = 200, description = "The opportunity after the move", body = MovedView)))]
#[post("/v1/opportunities/{id}/restart")]
pub async fn restart_opportunity(
    db: web::Data<Db>,
    id: Id,
    command: Command<Option<Restart>>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let reason = input.and_then(|input| input.reason);
    db.write(&ctx, async |tx| {
        let present = lock_closed(tx, &ctx, id.0).await?;
        let head = &present.head;
        if head.status()? == Status::Won {
            return Err(AppError::refuse(
                Code::Conflict,
                say(
                    "It is won; a repurchase is a new opportunity",
                    "商机已赢单；复购请新建商机",
                ),
            ));
        }
        pool::hold_account(tx, &ctx, head.account_id).await?;
        let entrance = entrance(tx, &ctx, Some(head.pipeline_id)).await;
        let entrance = entrance.map_err(no_entrance)?;
        let mut step = Move::of(MoveKind::Restart, head)?;
        step.to_version_id = entrance.version_id;
        step.to_stage_id = entrance.stage_id;
        step.to_status = Status::Open;
        step.cycle = head.cycle + 1;
        step.reason = reason.clone();
        step.begins_visit = true;
        let moved = leave(tx, &ctx, &present, step).await?;
        cycles::begin(tx, &ctx, head.id, head.cycle + 1).await?;
        moved_reply(moved)
    })
    .await
}

/// Nobody named the pipeline here, so no member is to blame.
fn no_entrance(error: AppError) -> AppError {
    if error.code() != Code::Invalid {
        return error;
    }
    AppError::refuse(
        Code::Conflict,
        say(
            "Its pipeline is archived or has no published version; restore or publish it first",
            "其销售流程已归档或没有已发布的版本；请先恢复或发布",
        ),
    )
}

/// Reopen an opportunity
///
/// Takes a mistaken win or loss back: the same cycle and the same stay go on where they were cut, ticks and approvals as
/// they were. The time it was closed does not count. Refused while the account is in the pool, and where its owner has left
/// until it is given to somebody else.
#[utoipa::path(tag = "opportunities", operation_id = "reopen_opportunity", security(("bearer" = ["opportunity.close"])), request_body = Reopen,
    responses((status = 200, description = "The opportunity after the move", body = MovedView)))]
#[post("/v1/opportunities/{id}/reopen")]
pub async fn reopen_opportunity(db: web::Data<Db>, id: Id, command: Command<Reopen>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let present = lock_closed(tx, &ctx, id.0).await?;
        let head = &present.head;
        if input.reason.trim().is_empty() {
            return Err(Refusal::ReasonNeeded.into_error(ctx.lang));
        }
        pool::hold_account(tx, &ctx, head.account_id).await?;
        let mut step = Move::of(MoveKind::Reopen, head)?;
        step.to_status = Status::Open;
        step.reason = Some(input.reason.clone());
        let moved = leave(tx, &ctx, &present, step).await?;
        cycles::unfreeze(tx, &ctx, head).await?;
        moved_reply(moved)
    })
    .await
}

/// Give an opportunity to somebody
///
/// Changes its owner and nothing else: stage, ticks and approvals stay. A `reason` is told among its owners. Who was asked to approve it and owns it now is
/// replaced at once; where nobody can take that seat it stays, and holds the step up. A closed one is given to somebody
/// only where its owner has left.
#[utoipa::path(tag = "opportunities", operation_id = "assign_opportunity", security(("bearer" = ["opportunity.assign"])), request_body = Assign,
    responses((status = 200, description = "The opportunity", body = ref("#/components/schemas/Opportunity"))))]
#[post("/v1/opportunities/{id}/assign")]
pub async fn assign_opportunity(db: web::Data<Db>, id: Id, command: Command<Assign>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let written = give(tx, &ctx, &OPPORTUNITY, "opportunity.assign", id.0, &input).await?;
        written_reply(&OPPORTUNITY, &ctx, 200, written)
    })
    .await
}
