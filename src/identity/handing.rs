//! Handing everything over from one person to another, leaving or not.

use super::rows::IdRow;
use super::territory;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::Platform;
use crate::platform::hand_over::{HandOver, Holding, give_all};
use diesel::sql_types::{Jsonb, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// How many records of each kind, by the plural noun of their path.
pub type Counts = BTreeMap<&'static str, i64>;

/// What was handed over.
#[derive(Debug, Serialize, ToSchema)]
pub struct HandOverView {
    /// Id of the hand-over.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub id: Uuid,
    /// Who handed over.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub from_user_id: Uuid,
    /// Who took over.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    pub to_user_id: Uuid,
    /// How many records of each kind.
    #[schema(value_type = BTreeMap<String, i64>, example = json!({"accounts": 12, "opportunities": 3}))]
    pub counts: Counts,
}

/// What approvals are called in the counts.
const APPROVALS: &str = "approval-requests";

const LEADERSHIP: &[Holding] = &[Holding {
    kind: "team",
    plural: "teams",
    table: "teams",
    column: "leader_id",
    only: "archived_at IS NULL",
}];

/// Hands the leadership of teams over.
pub fn teams<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    from: Uuid,
    to: Uuid,
) -> LocalBoxFuture<'a, AppResult<Vec<(&'static str, i64)>>> {
    Box::pin(give_all(tx, ctx, LEADERSHIP, from, to))
}

/// Hands everything over, with the approvals waiting for them, in the caller's transaction, and keeps a note of it.
///
/// # Errors
/// `invalid` at `pointer` when the successor is the same person or not active; `own_roles` when the caller would come to
/// lead a team by it.
pub async fn hand_over(
    tx: &mut Tx,
    ctx: &Ctx,
    platform: &Platform,
    from: Uuid,
    to: Uuid,
    pointer: &'static str,
) -> AppResult<HandOverView> {
    if from == to {
        let fault = Fault::invalid(pointer, "must be somebody else", "必须是其他人");
        return Err(AppError::invalid(vec![fault]));
    }
    require_active(tx, ctx, to, pointer).await?;
    territory::require_lead_kept(tx, ctx, from, to).await?;
    let mut counts = counted(tx, ctx, &platform.hand_overs, from, to).await?;
    // What they own goes first: the successor may not decide on what they own by then.
    let seats = (platform.leave_seats)(tx, ctx, from, Some(to)).await?;
    if seats > 0 {
        counts.insert(APPROVALS, seats);
    }
    note(tx, ctx, from, to, counts).await
}

/// Lets somebody go who is deactivated by now: everything goes to the successor. Without one nothing may be left but
/// approvals waiting for them, which go to whomever their processes find.
///
/// # Errors
/// `successor_required` with the counts; those of [`hand_over`].
pub async fn leave(
    tx: &mut Tx,
    ctx: &Ctx,
    platform: &Platform,
    user: Uuid,
    successor: Option<Uuid>,
) -> AppResult<()> {
    if let Some(to) = successor {
        hand_over(tx, ctx, platform, user, to, "/successor_id").await?;
        return Ok(());
    }
    require_nothing_left(tx, ctx, &platform.hand_overs, user).await?;
    (platform.leave_seats)(tx, ctx, user, None).await?;
    Ok(())
}

/// Refuses when something is left that a successor would have to take.
async fn require_nothing_left(tx: &mut Tx, ctx: &Ctx, areas: &[HandOver], user: Uuid) -> AppResult<()> {
    let left = counted(tx, ctx, areas, user, user).await?;
    if left.is_empty() {
        return Ok(());
    }
    let list = left
        .iter()
        .map(|(kind, count)| format!("{kind}: {count}"))
        .collect::<Vec<_>>()
        .join(", ");
    let refusal = AppError::refuse(
        Code::SuccessorRequired,
        say(
            format!("They still hold records ({list}); name a successor_id"),
            format!("该用户名下仍有记录({list}),请指定 successor_id"),
        ),
    );
    Err(refusal.with("counts", json!(left)))
}

async fn counted(tx: &mut Tx, ctx: &Ctx, areas: &[HandOver], from: Uuid, to: Uuid) -> AppResult<Counts> {
    let mut counts = Counts::new();
    for area in areas {
        for (kind, count) in area(tx, ctx, from, to).await? {
            if count > 0 {
                *counts.entry(kind).or_default() += count;
            }
        }
    }
    Ok(counts)
}

async fn require_active(tx: &mut Tx, ctx: &Ctx, user: Uuid, pointer: &'static str) -> AppResult<()> {
    let query = sql_query(
        "SELECT id FROM users WHERE tenant_id = $1 AND id = $2 AND is_active AND archived_at IS NULL FOR KEY SHARE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(user);
    let found: Option<IdRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    match found {
        Some(_) => Ok(()),
        None => Err(AppError::invalid(vec![Fault::not_found(pointer)])),
    }
}

async fn note(tx: &mut Tx, ctx: &Ctx, from: Uuid, to: Uuid, counts: Counts) -> AppResult<HandOverView> {
    let id = Uuid::now_v7();
    let query = sql_query(
        "INSERT INTO handovers (tenant_id, id, from_user_id, to_user_id, counts, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(from)
    .bind::<SqlUuid, _>(to)
    .bind::<Jsonb, _>(json!(counts))
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let data = json!({ "hand_over_id": id, "to_user_id": to, "counts": counts });
    tx.record(Event::new("user.handed_over", "user", from, data).and_on("user", Some(to)));
    Ok(HandOverView {
        id,
        from_user_id: from,
        to_user_id: to,
        counts,
    })
}
