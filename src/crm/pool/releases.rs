//! Giving a record up to the pool, and taking that back while it is still there.

use super::stays::{self, Ended, Grounds, Taking, owner_of};
use super::{Deals, Kind, Why, claims, schedule};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use chrono::{DateTime, Utc};
use diesel::sql_query;
use diesel::sql_types::{Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a record is given up.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The reason; whoever looks into the pool sees it only in the record's history once they have claimed it.
    #[schema(min_length = 1, max_length = 500, example = "客户暂无预算")]
    pub reason: String,
}

/// A record that is in the pool now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PoolRelease)]
pub struct Released {
    /// The record.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// What it is.
    kind: Kind,
    /// Since when it is in the pool.
    #[schema(example = "2024-03-05T08:30:00Z")]
    since: DateTime<Utc>,
    /// Who had it last.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    last_owner_id: Uuid,
}

/// Gives a record up to the pool.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `archived`; `conflict` when nobody owns it; `already_converted`; `in_use` while an
/// open opportunity holds the account.
pub(super) async fn release(
    db: &Db,
    ctx: &Ctx,
    deals: Deals,
    kind: Kind,
    id: Uuid,
    input: &Release,
) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        let purpose = For::Action(kind.write_permission());
        let locked = store::lock(tx, ctx, kind.resource(), id, purpose).await?;
        let record = locked.record()?;
        if record.get("status").and_then(Value::as_str) == Some("converted") {
            return Err(crate::crm::hooks::already_converted());
        }
        let Some(owner) = owner_of(&record) else {
            return Err(AppError::refuse(
                Code::Conflict,
                say("Nobody owns it", "该记录没有负责人"),
            ));
        };
        if kind == Kind::Account {
            without_open_deals(tx, ctx, deals, vec![id]).await?;
        }
        let grounds = Grounds {
            reason: Some(input.reason.clone()),
            rule_id: None,
        };
        stays::put_locked(tx, ctx, kind, id, &locked, Why::Released, &grounds).await?;
        Reply::ok(&Released {
            id,
            kind,
            since: ctx.now,
            last_owner_id: owner,
        })
    })
    .await
}

/// Nothing with an open deal comes into the pool.
///
/// # Errors
/// `in_use` when one of these accounts has one.
pub(in crate::crm) async fn without_open_deals(
    tx: &mut Tx,
    ctx: &Ctx,
    deals: Deals,
    accounts: Vec<Uuid>,
) -> AppResult<()> {
    let known = (deals.0)(&mut &**tx, ctx, accounts).await?;
    if known.iter().any(|known| known.has_open) {
        return Err(AppError::refuse(
            Code::InUse,
            say(
                "An open opportunity is with this account; close it or hand it over first",
                "该客户有进行中的销售机会,请先关闭或移交",
            ),
        ));
    }
    Ok(())
}

/// Gives a record back to whoever had it last, while it is still in the pool: their own release by themselves, anything
/// else by whoever may assign to them. Their cool-down goes too, and taking a release back does not begin the days without
/// a follow-up anew.
///
/// # Errors
/// `not_found`, `not_in_pool`, `forbidden`; `conflict` when nobody had it before.
pub(super) async fn undo(db: &Db, ctx: &Ctx, kind: Kind, id: Uuid) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        let locked = claims::lock(tx, ctx, kind, id).await?;
        let stay = stays::present(tx, ctx, kind, id)
            .await?
            .ok_or_else(stays::not_in_pool)?;
        let Some(owner) = stay.last_owner_id else {
            return Err(AppError::refuse(
                Code::Conflict,
                say("Nobody had it before", "该记录此前没有负责人"),
            ));
        };
        let released: &'static str = Why::Released.into();
        let is_own_release = stay.why == released && owner == ctx.user && stay.put_by == Some(ctx.user);
        if !is_own_release {
            claims::require_reach(ctx, owner)?;
        }
        stays::give(tx, ctx, kind, id, &locked, Taking::new(owner, Ended::Undone)).await?;
        forget_loss(tx, ctx, kind, id, owner, stay.since).await?;
        if let Some(held_since) = stay.held_since.filter(|_| stay.why == released) {
            go_on(tx, ctx, kind, id, held_since).await?;
        }
        Reply::ok(&claims::PoolTaken::new(kind, id, owner))
    })
    .await
}

async fn forget_loss(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: Kind,
    id: Uuid,
    owner: Uuid,
    lost_at: DateTime<Utc>,
) -> AppResult<()> {
    let query = sql_query(
        "DELETE FROM pool_cool_downs WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND user_id = $4 AND lost_at = $5",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(owner)
    .bind::<Timestamptz, _>(lost_at);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

async fn go_on(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid, held_since: DateTime<Utc>) -> AppResult<()> {
    let query = sql_query(
        "UPDATE pool_clocks SET owned_since = $4 WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND owner_id IS NOT NULL",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(held_since);
    Cached(query).execute(&mut **tx).await?;
    schedule::reschedule(tx, ctx, kind, &[id]).await
}
