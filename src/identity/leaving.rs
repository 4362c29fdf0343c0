//! Commands on people who leave, come back, or hand everything over. Lock order: the queue, the user, what is handed over.

use super::handing::{self, HandOverView};
use super::people::{UserBody, is_active, on_person, user_reply};
use super::rows::IdRow;
use super::staffing::people_changed;
use super::{rights, sessions};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use diesel::sql_query;
use diesel::sql_types::{Bool, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// How somebody leaves.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// Who takes everything over; needed when there is something.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    successor_id: Option<Uuid>,
}

/// Who takes over.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandingOver {
    /// An active colleague.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    to_user_id: Uuid,
}

/// Deactivate a user
///
/// They are signed out at once and their API keys are revoked. What they own goes to the successor in the same
/// transaction; without a successor it is refused as long as there is something. Approvals that wait for them go to the
/// successor, or, where that one may not decide or there is none, to whomever the process finds. The last active
/// administrator stays. Refused over somebody who holds more than you.
#[utoipa::path(tag = "identity", operation_id = "deactivate_user", security(("bearer" = ["user.write"])), request_body = Leaving, responses((status = 200, body = UserBody)))]
#[post("/v1/users/{id}/deactivate")]
pub async fn deactivate_user(
    id: Id,
    db: web::Data<Db>,
    shared: Shared,
    command: Command<Leaving>,
) -> AppResult<Reply> {
    let Id(id) = id;
    let Command { ctx, input } = command;
    on_person(&db, &shared, &ctx, id, async |tx, locked| {
        if !is_active(&locked.record()?) {
            return Err(conflict("They are deactivated already", "该用户已停用"));
        }
        set_active(tx, &ctx, id, false).await?;
        rights::require_an_administrator(tx, &ctx).await?;
        handing::leave(tx, &ctx, &shared, id, input.successor_id).await?;
        sessions::revoke_all(tx, &ctx, id).await?;
        revoke_keys(tx, &ctx, id).await?;
        release_delegations(tx, &ctx, id).await?;
        people_changed(tx, &ctx).await?;
        user_reply(tx, &ctx, 200, id, &[]).await
    })
    .await
}

fn conflict(en: &str, zh: &str) -> AppError {
    AppError::refuse(Code::Conflict, say(en, zh))
}

async fn set_active(tx: &mut Tx, ctx: &Ctx, user: Uuid, is_active: bool) -> AppResult<()> {
    let query = sql_query(
        "UPDATE users SET is_active = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(user)
    .bind::<Bool, _>(is_active)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let kind = if is_active {
        "user.reactivated"
    } else {
        "user.deactivated"
    };
    let changes = json!({ "changes": { "is_active": { "before": !is_active, "after": is_active } } });
    tx.record(Event::new(kind, "user", user, changes));
    Ok(())
}

async fn revoke_keys(tx: &mut Tx, ctx: &Ctx, user: Uuid) -> AppResult<()> {
    let query = sql_query(
        "UPDATE api_keys SET archived_at = $3, version = version + 1, updated_at = $3 \
         WHERE tenant_id = $1 AND user_id = $2 AND archived_at IS NULL RETURNING id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(user)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    let revoked: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    for key in revoked {
        let data = json!({ "reason": "user_deactivated" });
        tx.record(Event::new("api_key.revoked", "api_key", key.id, data).and_on("user", Some(user)));
    }
    Ok(())
}

/// Who is gone decides for nobody.
async fn release_delegations(tx: &mut Tx, ctx: &Ctx, user: Uuid) -> AppResult<()> {
    let query = sql_query(
        "UPDATE users SET delegate_id = NULL, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND delegate_id = $2 RETURNING id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(user)
    .bind::<Timestamptz, _>(ctx.now);
    let released: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    for row in released {
        let changes = json!({ "changes": { "delegate_id": { "before": user, "after": null } } });
        tx.record(Event::new("user.updated", "user", row.id, changes));
    }
    Ok(())
}

/// Reactivate a user
///
/// They can sign in again with their password and roles; revoked keys stay revoked. Refused over somebody who holds more
/// than you.
#[utoipa::path(tag = "identity", operation_id = "reactivate_user", security(("bearer" = ["user.write"])), responses((status = 200, body = UserBody)))]
#[post("/v1/users/{id}/reactivate")]
pub async fn reactivate_user(id: Id, db: web::Data<Db>, shared: Shared, ctx: Ctx) -> AppResult<Reply> {
    let Id(id) = id;
    on_person(&db, &shared, &ctx, id, async |tx, locked| {
        if is_active(&locked.record()?) {
            return Err(conflict("They are active already", "该用户已处于启用状态"));
        }
        set_active(tx, &ctx, id, true).await?;
        people_changed(tx, &ctx).await?;
        user_reply(tx, &ctx, 200, id, &[]).await
    })
    .await
}

/// Hand everything over
///
/// Gives a user's accounts, contacts, leads, open opportunities, lead sources, teams and waiting approvals to a
/// colleague in one transaction. An approval that the colleague may not decide stays. `Prefer: dry-run` answers what it
/// would be. Refused over somebody who holds more than you.
#[utoipa::path(tag = "identity", operation_id = "hand_over_user", security(("bearer" = ["user.write"])), request_body = HandingOver, responses((status = 200, body = HandOverView)))]
#[post("/v1/users/{id}/hand-over")]
pub async fn hand_over_user(
    id: Id,
    db: web::Data<Db>,
    shared: Shared,
    command: Command<HandingOver>,
) -> AppResult<Reply> {
    let Id(id) = id;
    let Command { ctx, input } = command;
    on_person(&db, &shared, &ctx, id, async |tx, _| {
        let done = handing::hand_over(tx, &ctx, &shared, id, input.to_user_id, "/to_user_id").await?;
        people_changed(tx, &ctx).await?;
        Reply::ok(&done)
    })
    .await
}
