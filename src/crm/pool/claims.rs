//! Claiming from the pool, one record or several, and giving from it by hand. The answers hold nothing of the record itself:
//! a dry run of a claim shows no more than the pool does.

use super::stays::{self, Ended, Taking, not_in_pool};
use super::{Kind, quotas, unbound};
use crate::crm::assignment::http::CapacityOverride;
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::problem;
use crate::platform::records::store::{self, For, Locked};
use crate::platform::reply::Reply;
use diesel::sql_query;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Who has a record now that left the pool.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PoolTaken {
    /// The record.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub id: Uuid,
    /// What it is.
    pub kind: Kind,
    /// Its owner from now on.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub owner_id: Uuid,
    /// Where it can be read.
    #[schema(example = "/v1/leads/0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub path: String,
}

/// Records to claim.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimMany {
    /// Their ids, each once; claimed in this order for as long as the quota lasts.
    #[schema(min_items = 1, max_items = 100, example = json!(["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]))]
    pub ids: Vec<Uuid>,
}

/// What became of one of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClaimOutcome {
    /// The record.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub id: Uuid,
    /// The status that claiming it alone would have answered.
    #[schema(example = 200)]
    pub status: u16,
    /// Why it was not claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!(null))]
    pub problem: Option<Value>,
}

/// What became of each.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClaimedMany {
    /// How many were claimed.
    #[schema(minimum = 0, example = 1)]
    pub claimed: usize,
    /// How many were not.
    #[schema(minimum = 0, example = 0)]
    pub refused: usize,
    /// One entry for each, in the order asked for.
    pub results: Vec<ClaimOutcome>,
}

/// To whom a record of the pool is given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolAssign {
    /// The new owner, within the reach of your permission.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub owner_id: Uuid,
    /// Gives a lead although its new owner is full; means nothing for an account.
    #[serde(default)]
    pub override_capacity: Option<CapacityOverride>,
}

impl PoolTaken {
    pub fn new(kind: Kind, id: Uuid, owner_id: Uuid) -> PoolTaken {
        PoolTaken {
            id,
            kind,
            owner_id,
            path: format!("/v1/{}/{id}", kind.resource().plural),
        }
    }
}

/// Locks a record that is in the pool. Whoever never could see it there is told nothing.
pub(super) async fn lock(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid) -> AppResult<Locked> {
    let resource = kind.resource();
    let locked = match store::lock(tx, &unbound(ctx), resource, id, For::Write).await {
        Ok(locked) => Some(locked),
        Err(error) if matches!(error.code(), Code::Archived | Code::Merged) => None,
        Err(error) => return Err(error),
    };
    if let Some(locked) = locked
        && stays::present(tx, ctx, kind, id).await?.is_some()
    {
        return Ok(locked);
    }
    if !stays::was_there(tx, ctx, kind, id).await? {
        store::require_visible(&mut &**tx, ctx, resource, id).await?;
    }
    Err(not_in_pool())
}

async fn take(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid) -> AppResult<PoolTaken> {
    let locked = lock(tx, ctx, kind, id).await?;
    quotas::claim(tx, ctx, kind, id).await?;
    stays::give(tx, ctx, kind, id, &locked, Taking::new(ctx.user, Ended::Claimed)).await?;
    Ok(PoolTaken::new(kind, id, ctx.user))
}

/// Claims a record for the caller.
///
/// # Errors
/// `not_found`, `not_in_pool`, `cooling_down`, `quota_reached`; `over_capacity` for a lead.
pub(super) async fn claim(db: &Db, ctx: &Ctx, kind: Kind, id: Uuid) -> AppResult<Reply> {
    db.write(ctx, async |tx| Reply::ok(&take(tx, ctx, kind, id).await?))
        .await
}

/// Claims several, each by itself.
///
/// # Errors
/// Outages: what is refused is told of each.
pub(super) async fn claim_many(db: &Db, ctx: &Ctx, kind: Kind, ids: &[Uuid]) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        lock_in_order(tx, ctx, kind, ids).await?;
        let asked = problem::Asked {
            request_id: ctx.request_id.clone(),
            lang: ctx.lang,
        };
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let outcome = tx.apart(async |tx| take(tx, ctx, kind, *id).await).await?;
            let refusal = outcome.err();
            results.push(ClaimOutcome {
                id: *id,
                status: refusal.as_ref().map_or(200, |refusal| refusal.code.status()),
                problem: refusal.map(|refusal| problem::document(&refusal, &asked)),
            });
        }
        let claimed = results.iter().filter(|result| result.problem.is_none()).count();
        Reply::ok(&ClaimedMany {
            claimed,
            refused: results.len() - claimed,
            results,
        })
    })
    .await
}

/// All rows before the claimant's own, in the order of their ids: batches that cross wait for each other, and a batch never
/// waits for a record that a claim of the same person has locked while that one waits for the count.
async fn lock_in_order(tx: &mut Tx, ctx: &Ctx, kind: Kind, ids: &[Uuid]) -> AppResult<()> {
    let sql = match kind {
        Kind::Account => {
            "SELECT id FROM accounts WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE"
        }
        Kind::Lead => "SELECT id FROM leads WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE",
    };
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Array<SqlUuid>, _>(ids);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Gives a record of the pool to somebody, which is no claim: neither quota nor cool-down stand in the way.
///
/// # Errors
/// `not_found`, `not_in_pool`; `forbidden` when the new owner is beyond the caller's reach; `over_capacity` for a lead.
pub(super) async fn assign(db: &Db, ctx: &Ctx, kind: Kind, id: Uuid, input: &PoolAssign) -> AppResult<Reply> {
    require_reach(ctx, input.owner_id)?;
    let told = input.override_capacity.as_ref().map(serde_json::to_value);
    let taking = Taking {
        override_capacity: told.transpose().map_err(AppError::internal)?,
        ..Taking::new(input.owner_id, Ended::Assigned)
    };
    db.write(ctx, async |tx| {
        let locked = lock(tx, ctx, kind, id).await?;
        stays::give(tx, ctx, kind, id, &locked, taking.clone()).await?;
        Reply::ok(&PoolTaken::new(kind, id, input.owner_id))
    })
    .await
}

/// # Errors
/// `forbidden` when the caller may not assign to this person.
pub(super) fn require_reach(ctx: &Ctx, owner: Uuid) -> AppResult<()> {
    let within = match ctx.reach("pool.assign") {
        Reach::All => true,
        Reach::Owners(owners) => owners.contains(&owner),
        Reach::Nobody => false,
    };
    if within {
        Ok(())
    } else {
        Err(AppError::forbidden("pool.assign"))
    }
}
