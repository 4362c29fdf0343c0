//! The operations of approval requests.

use super::listing::{self, Parameters};
use super::queries::{self, Loaded};
use super::refusal::Refusal;
use super::rules::{self, Outcome, Setting};
use super::service::{self, Rule};
use super::state::{Decision, State};
use super::subjects::Subjects;
use super::wire::commands::{
    AddApprover, Approve, Comment, Delegate, Reject, Remind, ReturnForChanges, Withdraw,
};
use super::wire::{ApprovalRequest, ApprovalRequestPage};
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, post, web};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(list_approval_requests)
        .service(get_approval_request)
        .service(approve_approval_request)
        .service(reject_approval_request)
        .service(return_approval_request)
        .service(delegate_approval_request)
        .service(withdraw_approval_request)
        .service(add_approver_to_approval_request)
        .service(comment_on_approval_request)
        .service(remind_approval_request);
}

/// Lists approval requests
///
/// Those that you made, those in which you have or had a seat, and those that your `approval.read` reaches by requester
/// or owner. The newest first.
#[utoipa::path(tag = "approvals", operation_id = "list_approval_requests", params(Parameters), security(("bearer" = [])),
    responses((status = 200, description = "A page", body = ApprovalRequestPage)))]
#[get("/v1/approval-requests")]
async fn list_approval_requests(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    listing::list(&request, &db, &shared, &ctx).await
}

/// Reads an approval request
///
/// With its steps, who sits in them, everything that was done, and the subject as it was when it was asked. Seeing a
/// request gives no right to the record that it is about.
#[utoipa::path(tag = "approvals", operation_id = "get_approval_request", security(("bearer" = [])),
    responses((status = 200, description = "The request", body = ApprovalRequest)))]
#[get("/v1/approval-requests/{id}")]
async fn get_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    db.snapshot(async |conn| {
        let conn = &mut &*conn;
        queries::about(conn, &ctx, id.0).await?;
        shown(conn, &ctx, **subjects, id.0).await
    })
    .await
}

/// A request as the caller may see it.
async fn shown(conn: queries::Conn<'_, '_>, ctx: &Ctx, subjects: Subjects, id: Uuid) -> AppResult<Reply> {
    let view = queries::view(conn, ctx, subjects, id).await?;
    let subject = subjects.get(view.summary.subject_kind)?;
    let reply = Reply::ok(&view)?;
    Ok(if subject.is_masked(ctx) {
        reply.with_weak_tag()
    } else {
        reply.with_version(view.summary.version)
    })
}

async fn act(db: &Db, ctx: &Ctx, subjects: Subjects, id: Uuid, rule: Rule<'_>) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        service::act(tx, ctx, subjects, id, rule).await?;
        shown(&mut &**tx, ctx, subjects, id).await
    })
    .await
}

/// As [`act`], for what only people with a seat do. A seat is given to a person: a key that acts for them needs the
/// permission besides, since it reaches no further than its role.
async fn act_from_seat(db: &Db, ctx: &Ctx, subjects: Subjects, id: Uuid, rule: Rule<'_>) -> AppResult<Reply> {
    if ctx.actor_kind == ActorKind::Key {
        ctx.require("approval.decide")?;
    }
    act(db, ctx, subjects, id, rule).await
}

/// The step that a key means.
fn step(state: &State, key: Option<&str>) -> AppResult<Option<Uuid>> {
    let Some(key) = key else { return Ok(None) };
    let found = state.steps.iter().find(|step| step.key == key);
    let found = found.ok_or_else(|| AppError::invalid(vec![Fault::not_found("/step_key")]));
    found.map(|step| Some(step.id))
}

/// Approves
///
/// In the step where you sit; the seat is the right to decide, whatever your roles. When that decides the last step the request is granted, and what waited for it goes on in
/// the same transaction.
#[utoipa::path(tag = "approvals", operation_id = "approve_approval_request", security(("bearer" = [])), request_body = Approve,
    responses((status = 200, description = "The request after it", body = ApprovalRequest)))]
#[post("/v1/approval-requests/{id}/approve")]
async fn approve_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<Approve>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let rule = |loaded: &Loaded, setting: Setting<'_>| {
        let step = step(&loaded.state, input.step_key.as_deref())?;
        let opinion = input.opinion.clone();
        let outcome = rules::decide(&loaded.state, setting, ctx.user, step, Decision::Approve, opinion);
        Ok(outcome?)
    };
    act_from_seat(&db, &ctx, **subjects, id.0, &rule).await
}

/// Rejects
///
/// In the step where you sit; the seat is the right to decide. A rejected step ends the request and closes the steps
/// beside it.
#[utoipa::path(tag = "approvals", operation_id = "reject_approval_request", security(("bearer" = [])), request_body = Reject,
    responses((status = 200, description = "The request after it", body = ApprovalRequest)))]
#[post("/v1/approval-requests/{id}/reject")]
async fn reject_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<Reject>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let rule = |loaded: &Loaded, setting: Setting<'_>| {
        let step = step(&loaded.state, input.step_key.as_deref())?;
        let opinion = said(&input.opinion, "/opinion")?;
        let outcome = rules::decide(
            &loaded.state,
            setting,
            ctx.user,
            step,
            Decision::Reject,
            Some(opinion),
        );
        Ok(outcome?)
    };
    act_from_seat(&db, &ctx, **subjects, id.0, &rule).await
}

/// Words that may not be blank.
fn said(words: &str, pointer: &str) -> AppResult<String> {
    let words = words.trim();
    if words.is_empty() {
        Err(AppError::invalid(vec![Fault::required(pointer)]))
    } else {
        Ok(words.to_owned())
    }
}

/// Returns for changes
///
/// By whoever sits in an open step. Ends the request; what is asked again later is a new request, linked to this one.
#[utoipa::path(tag = "approvals", operation_id = "return_approval_request", security(("bearer" = [])), request_body = ReturnForChanges,
    responses((status = 200, description = "The request after it", body = ApprovalRequest)))]
#[post("/v1/approval-requests/{id}/return")]
async fn return_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<ReturnForChanges>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let rule = |loaded: &Loaded, setting: Setting<'_>| {
        let step = step(&loaded.state, input.step_key.as_deref())?;
        let comment = said(&input.comment, "/comment")?;
        Ok(rules::return_(
            &loaded.state,
            setting,
            ctx.user,
            step,
            Some(comment),
        )?)
    };
    act_from_seat(&db, &ctx, **subjects, id.0, &rule).await
}

/// Hands your seat to somebody else
///
/// They decide in your place, whatever their roles. Whoever requested or owns the subject cannot be named, unless the process says so.
#[utoipa::path(tag = "approvals", operation_id = "delegate_approval_request", security(("bearer" = [])), request_body = Delegate,
    responses((status = 200, description = "The request after it", body = ApprovalRequest)))]
#[post("/v1/approval-requests/{id}/delegate")]
async fn delegate_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<Delegate>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let rule = |loaded: &Loaded, setting: Setting<'_>| {
        let step = step(&loaded.state, input.step_key.as_deref())?;
        let (to, comment) = (input.to_user_id, input.comment.clone());
        about(
            rules::delegate(&loaded.state, setting, ctx.user, step, to, comment),
            "/to_user_id",
        )
    };
    act_from_seat(&db, &ctx, **subjects, id.0, &rule).await
}

fn about(outcome: Result<Outcome, Refusal>, person: &str) -> AppResult<Outcome> {
    outcome.map_err(|refusal| refusal.about(person))
}

/// Asks one more person
///
/// In the step where you have yet to decide; an administrator may do it in any open step of what they neither requested nor
/// own. It never makes a step easier: where all must approve, the added person must too; where a number of approvals is
/// needed, it takes one more for each person added; where anybody's decision is enough, theirs is as well.
#[utoipa::path(tag = "approvals", operation_id = "add_approver_to_approval_request", security(("bearer" = [])), request_body = AddApprover,
    responses((status = 200, description = "The request after it", body = ApprovalRequest)))]
#[post("/v1/approval-requests/{id}/add-approver")]
async fn add_approver_to_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<AddApprover>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let rule = |loaded: &Loaded, setting: Setting<'_>| {
        let step = step(&loaded.state, input.step_key.as_deref())?;
        let (to, comment) = (input.user_id, input.comment.clone());
        about(
            rules::add_approver(&loaded.state, setting, ctx.user, step, to, comment),
            "/user_id",
        )
    };
    act_from_seat(&db, &ctx, **subjects, id.0, &rule).await
}

/// Takes a request back
///
/// Only whoever made it, and only while it is pending. Once they have been deactivated: whoever owns its subject by then,
/// or was named as their successor.
#[utoipa::path(tag = "approvals", operation_id = "withdraw_approval_request", security(("bearer" = ["approval.request"])), request_body = Withdraw,
    responses((status = 200, description = "The request after it", body = ApprovalRequest)))]
#[post("/v1/approval-requests/{id}/withdraw")]
async fn withdraw_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<Withdraw>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let heir = queries::heir(&mut &**tx, ctx.tenant, id.0).await?;
        let rule = |loaded: &Loaded, setting: Setting<'_>| {
            let comment = input.comment.clone();
            Ok(rules::withdraw(&loaded.state, setting, ctx.user, heir, comment)?)
        };
        service::act(tx, &ctx, **subjects, id.0, &rule).await?;
        shown(&mut &**tx, &ctx, **subjects, id.0).await
    })
    .await
}

/// Says something about a request
///
/// Changes nothing else; also after its end. Whoever asked, or has or had a seat, may do it; others who see the request
/// need `approval.request` or `approval.decide`.
#[utoipa::path(tag = "approvals", operation_id = "comment_on_approval_request", security(("bearer" = [])), request_body = Comment,
    responses((status = 200, description = "The request after it", body = ApprovalRequest)))]
#[post("/v1/approval-requests/{id}/comment")]
async fn comment_on_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<Comment>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let rule = |loaded: &Loaded, setting: Setting<'_>| {
        may_comment(&ctx, &loaded.state)?;
        let comment = said(&input.comment, "/comment")?;
        Ok(rules::comment(&loaded.state, setting, ctx.user, comment))
    };
    act(&db, &ctx, **subjects, id.0, &rule).await
}

fn may_comment(ctx: &Ctx, state: &State) -> AppResult<()> {
    let is_party = state.parties.requester_id == ctx.user;
    let is_concerned = is_party || state.seats.iter().any(|seat| seat.user_id == ctx.user);
    if is_concerned && ctx.actor_kind != ActorKind::Key || ctx.holds("approval.decide") {
        return Ok(());
    }
    ctx.require("approval.request")
}

/// Reminds those who have yet to decide
///
/// Recorded for each of them. Whoever sees the request may do it.
#[utoipa::path(tag = "approvals", operation_id = "remind_approval_request", security(("bearer" = ["approval.request"])), request_body = Remind,
    responses((status = 200, description = "The request after it", body = ApprovalRequest)))]
#[post("/v1/approval-requests/{id}/remind")]
async fn remind_approval_request(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<Remind>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let rule = |loaded: &Loaded, setting: Setting<'_>| {
        let step = step(&loaded.state, input.step_key.as_deref())?;
        let comment = input.comment.clone();
        Ok(rules::remind(
            &loaded.state,
            setting,
            Some(ctx.user),
            step,
            comment,
        )?)
    };
    act(&db, &ctx, **subjects, id.0, &rule).await
}
