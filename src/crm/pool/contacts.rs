//! The contacts of an account in the pool: those whom its owner tended come and go with it, so that nobody keeps the phones
//! of a customer that they gave up, and whoever claims it can call.

use crate::crm::resources::CONTACT;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::records::entry;
use diesel::sql_types::{Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::json;
use uuid::Uuid;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// The account's contacts of its former owner belong to nobody.
pub(super) async fn leave(tx: &mut Tx, ctx: &Ctx, account: Uuid, owner: Uuid) -> AppResult<()> {
    hand(tx, ctx, account, Some(owner), None, "pooled").await
}

/// The account's contacts that belong to nobody are its new owner's.
pub(super) async fn join(tx: &mut Tx, ctx: &Ctx, account: Uuid, owner: Uuid) -> AppResult<()> {
    hand(tx, ctx, account, None, Some(owner), "assigned").await
}

async fn hand(
    tx: &mut Tx,
    ctx: &Ctx,
    account: Uuid,
    from: Option<Uuid>,
    to: Option<Uuid>,
    verb: &str,
) -> AppResult<()> {
    let query = sql_query(
        "UPDATE contacts SET owner_id = $4, version = version + 1, updated_at = $5 \
         WHERE tenant_id = $1 AND account_id = $2 AND owner_id IS NOT DISTINCT FROM $3 AND archived_at IS NULL RETURNING id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(account)
    .bind::<Nullable<SqlUuid>, _>(from)
    .bind::<Nullable<SqlUuid>, _>(to)
    .bind::<Timestamptz, _>(ctx.now);
    let moved: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    let ids = moved.iter().map(|row| row.id).collect::<Vec<_>>();
    entry::follow_owners(tx, ctx.tenant, CONTACT.singular, CONTACT.table, &ids).await?;
    for row in moved {
        let data = json!({ "changes": { "owner_id": { "before": from, "after": to } } });
        let event = Event::new(format!("contact.{verb}"), "contact", row.id, data);
        tx.record(event.and_on("account", Some(account)));
    }
    Ok(())
}
