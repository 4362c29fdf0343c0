//! Advancing a deal: lock and look in one flight, decide by the pure rule, write in one statement.

use super::rules::{self, Decision, Status, Wish};
use crate::approval::definition::SubjectKind;
use crate::approval::service::{self as approvals, NewRequest, Process};
use crate::approval::state::RequestState;
use crate::approval::subjects::Ended;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::say;
use crate::opportunity::cycles::{self, End};
use crate::opportunity::lapse;
use crate::opportunity::moves::{self, Move, MoveKind, Moved};
use crate::opportunity::standing::{self, Present};
use crate::pipeline::definition::GateNode;
use crate::pipeline::gate::{ApprovalState, Verdict};
use crate::platform::db::{Cached, Tx};
use diesel::sql_types::{Nullable, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::Value;
use uuid::Uuid;

/// What became of an advance.
pub enum Advanced {
    Moved(Box<Moved>),
    /// Everything else holds and the stage asks by itself: these requests were made.
    Asked {
        requests: Vec<Uuid>,
        gate: Verdict,
    },
}

/// Advances a deal, locked, if and only if its gate is open now.
///
/// # Errors
/// Those of `rules::decide`.
pub async fn advance(
    tx: &mut Tx,
    ctx: &Ctx,
    present: &Present,
    wish: Wish,
    note: Option<String>,
) -> AppResult<Advanced> {
    let decision = rules::decide(&present.deal()?, &present.gate, &present.standing, wish);
    match decision.map_err(|refusal| refusal.into_error(ctx.lang))? {
        Decision::AskApproval {
            criteria,
            target,
            evidence: _,
        } => {
            let mut requests = Vec::new();
            for key in &criteria {
                requests.push(ask(tx, ctx, present, key, target.stage(), note.clone()).await?);
            }
            let gate = standing::after_asking(tx, ctx, present).await?;
            Ok(Advanced::Asked { requests, gate })
        }
        decision => {
            let moved = carry_out(tx, ctx, present, MoveKind::Advance, decision, note).await?;
            Ok(Advanced::Moved(Box::new(moved)))
        }
    }
}

/// Moves a deal as was decided. `kind` is that of a move within the pipeline; an advance that leaves it is a win.
///
/// # Errors
/// Database errors.
pub async fn carry_out(
    tx: &mut Tx,
    ctx: &Ctx,
    present: &Present,
    kind: MoveKind,
    decision: Decision,
    reason: Option<String>,
) -> AppResult<Moved> {
    let head = &present.head;
    let mut step = Move::of(kind, head)?;
    step.reason = reason;
    let evidence = match decision {
        Decision::Advance { to, evidence } => {
            step.to_stage_id = to;
            step.begins_visit = true;
            evidence
        }
        Decision::Win { evidence } => {
            step.to_status = Status::Won;
            if kind == MoveKind::Advance {
                step.kind = MoveKind::Win;
            }
            evidence
        }
        Decision::AskApproval { .. } => return Err(AppError::internal("asking is not a move")),
    };
    step.evidence = Some(evidence.to_evidence());
    let is_win = step.to_status == Status::Won;
    if is_win {
        lapse::call_off(tx, ctx, head.id, LEFT).await?;
    } else {
        withdraw_pending(tx, ctx, present).await?;
    }
    let mut moved = moves::make(tx, ctx, head, &present.record, present.version, step).await?;
    present.hide(&mut moved);
    if is_win {
        cycles::freeze(tx, ctx, head, &End::Won).await?;
    }
    Ok(moved)
}

/// Why requests are withdrawn of a deal that is moved or closed.
pub const LEFT: &str = "The opportunity left the stage for which this was asked";

/// What is still pending in a visit that ends is withdrawn; what is asked about a result sheet goes on.
async fn withdraw_pending(tx: &mut Tx, ctx: &Ctx, present: &Present) -> AppResult<()> {
    let is_pending = |approval: &crate::pipeline::gate::Approval| {
        matches!(approval.state, ApprovalState::Pending | ApprovalState::Lapsed)
    };
    if present.standing.approvals.values().any(is_pending) {
        let deal = [present.head.id];
        approvals::withdraw_all(tx, ctx, SubjectKind::Opportunity, &deal, LEFT).await?;
    }
    Ok(())
}

/// Asks for the approval of one criterion of the present stage, by key; `to` is the stage that was wished for, if any.
///
/// # Errors
/// A fault at `/criterion` when the present stage has no approval of that key; those of `approval::service::request`.
pub async fn ask(
    tx: &mut Tx,
    ctx: &Ctx,
    present: &Present,
    key: &str,
    to: Option<Uuid>,
    comment: Option<String>,
) -> AppResult<Uuid> {
    let head = &present.head;
    let deal = present.deal()?;
    if deal.status != Status::Open {
        return Err(rules::Refusal::AlreadyClosed(deal.status).into_error(ctx.lang));
    }
    let document = present.definition.stage_document(head.stage_id);
    let criterion = document.and_then(|stage| stage.criterion(key));
    let process = criterion.and_then(|criterion| criterion.node.process());
    let stage = present.definition.stage(head.stage_id);
    let criterion_id = stage.and_then(|stage| stage.criteria.get(key)).copied();
    let (Some(process), Some(criterion_id)) = (process, criterion_id) else {
        return Err(no_approval(
            document
                .map(|stage| stage.criteria())
                .unwrap_or_default()
                .iter()
                .filter_map(|criterion| {
                    matches!(criterion.node, GateNode::Approval { .. }).then_some(criterion.key)
                }),
        ));
    };
    let text = |name: &str| present.record.get(name).and_then(Value::as_str);
    let step = present.definition.step(head.stage_id);
    let new = NewRequest {
        process: Process::Key(process.to_owned()),
        subject_kind: SubjectKind::Opportunity,
        subject_id: head.id,
        owner_id: head.owner_id,
        visit_id: Some(head.visit_id),
        criterion_id: Some(criterion_id),
        snapshot: standing::subject(&present.record, &present.standing.records),
        amount: text("amount").and_then(money::parse),
        currency: text("currency").map(str::to_owned),
        advances_when_granted: step.is_some_and(|step| step.advances_when_approved),
        advances_to_id: to,
        comment,
    };
    let request = approvals::request(tx, ctx, crate::opportunity::APPROVAL_SUBJECTS, new).await?;
    Ok(request.id)
}

fn no_approval<'a>(known: impl Iterator<Item = &'a str>) -> AppError {
    let known = known.collect::<Vec<_>>();
    let message = if known.is_empty() {
        say("the present stage demands no approval", "当前阶段不需要审批")
    } else {
        say(
            format!(
                "is no approval of the present stage; there is: {}",
                known.join(", ")
            ),
            format!("不是当前阶段的审批；可选：{}", known.join("、")),
        )
    };
    AppError::invalid(vec![Fault::new("/criterion", "unknown_value", message)])
}

/// Moves a deal on in the transaction of its last approval, if its stage says so and its whole gate is open then. One that
/// was archived or left the stage meanwhile stays as it is.
pub fn decided<'a>(tx: &'a mut Tx, ctx: &'a Ctx, ended: &'a Ended) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if ended.state != RequestState::Approved || !ended.advances_when_granted {
            return Ok(());
        }
        let present = standing::of_locked(tx, ctx, ended.subject_id).await?;
        if present.is_archived() || ended.visit_id != Some(present.head.visit_id) {
            return Ok(());
        }
        let asked = Wish {
            from_stage_id: present.head.stage_id,
            to_stage_id: wished_stage(tx, ctx, ended).await?,
        };
        let decision = rules::after_approval(&present.deal()?, &present.gate, &present.standing, asked);
        if let Some(decision) = decision {
            carry_out(tx, ctx, &present, MoveKind::Advance, decision, None).await?;
        }
        Ok(())
    })
}

#[derive(QueryableByName)]
struct Wished {
    #[diesel(sql_type = SqlUuid)]
    stage_id: Uuid,
}

/// Where the advance that asked was to lead. An approval that was asked for by itself named no stage: then the advance
/// says it that asked for the others of this stay, the latest one if there are several.
async fn wished_stage(tx: &mut Tx, ctx: &Ctx, ended: &Ended) -> AppResult<Option<Uuid>> {
    if ended.advances_to_id.is_some() {
        return Ok(ended.advances_to_id);
    }
    let query = sql_query(
        "SELECT advances_to_id AS stage_id FROM approval_requests WHERE tenant_id = $1 AND subject_kind = 'opportunity' \
         AND subject_id = $2 AND visit_id = $3 AND advances_to_id IS NOT NULL ORDER BY requested_at DESC, id DESC LIMIT 1",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(ended.subject_id)
    .bind::<Nullable<SqlUuid>, _>(ended.visit_id);
    let wished: Option<Wished> = Cached(query).get_result(&mut **tx).await.optional()?;
    Ok(wished.map(|wished| wished.stage_id))
}
