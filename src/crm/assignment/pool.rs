//! The one way from here into the public pool.

use crate::crm::pool::{self, Kind};
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::records::entry;
use diesel::sql_query;
use diesel::sql_types::{Integer, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use uuid::Uuid;

/// A locked lead that goes to the pool.
pub struct Leaving {
    pub lead: Uuid,
    /// Who has it so far.
    pub owner: Option<Uuid>,
    /// What the history says of it.
    pub note: Value,
    /// Whether it is a change of the lead in its own right; else it is part of the write that is going on.
    pub is_own_change: bool,
}

/// Puts a locked lead into the public pool, from its owner where it has one.
///
/// # Errors
/// Database errors.
pub async fn release(tx: &mut Tx, ctx: &Ctx, leaving: Leaving) -> AppResult<()> {
    if leaving.owner.is_some() {
        take(tx, ctx, &leaving).await?;
    }
    let Some(stay) = pool::stays::entered(tx, ctx, Kind::Lead, leaving.lead, leaving.owner).await? else {
        return Ok(());
    };
    let mut data = json!({ "assignment": leaving.note, "pool": stay });
    if leaving.owner.is_some() {
        data["changes"] = json!({ "owner_id": { "before": leaving.owner, "after": null } });
    }
    let event = Event::new("lead.pooled", LEAD.singular, leaving.lead, data);
    tx.record(event.and_on("user", leaving.owner));
    Ok(())
}

async fn take(tx: &mut Tx, ctx: &Ctx, leaving: &Leaving) -> AppResult<()> {
    let query = sql_query(
        "UPDATE leads SET owner_id = NULL, version = version + $3, \
            updated_at = CASE WHEN $3 > 0 THEN $4 ELSE updated_at END WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(leaving.lead)
    .bind::<Integer, _>(i32::from(leaving.is_own_change))
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    entry::follow_owners(tx, ctx.tenant, LEAD.singular, LEAD.table, &[leaving.lead]).await
}
