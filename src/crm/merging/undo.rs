//! Taking a merge back: what is still where the merge put it returns, the rest is named.

use super::choices;
use super::service::{claim_all, lock_rows, permission};
use crate::crm::duplicates::subject::{Key, Subject};
use crate::crm::duplicates::{follow, gate};
use crate::crm::pool::releases::without_open_deals;
use crate::crm::pool::{self, Deals};
use crate::crm::resources::{ACCOUNT, LEAD};
use crate::crm::scoring::{self, apply::Occasion};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::merging::{Link, Merging, give_back};
use crate::platform::records::store::{self, For, Locked};
use crate::platform::records::{Resource, entry};
use diesel::sql_types::{Bool, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What undoing a merge did.
pub struct Undone {
    /// The records that live again.
    pub restored: Vec<Uuid>,
    /// Rows that went back, by `table.column`.
    pub returned: BTreeMap<String, i64>,
    /// Rows that are no longer where the merge put them: `table.column` and id.
    pub not_returned: Vec<(String, Uuid)>,
    /// Members of the survivor that were changed since, and stay.
    pub kept_members: Vec<String>,
}

#[derive(QueryableByName)]
struct Noted {
    #[diesel(sql_type = Json)]
    before: Value,
    #[diesel(sql_type = Json)]
    after: Value,
    #[diesel(sql_type = Bool)]
    is_undone: bool,
    #[diesel(sql_type = Nullable<Json>)]
    shared_keys: Option<Value>,
}

impl Noted {
    /// Those of some keys that the records did not share before they were merged. None, where that was not noted.
    fn fresh(&self, keys: Vec<Key>) -> AppResult<Vec<Key>> {
        let Some(shared) = self.shared_keys.clone() else {
            return Ok(Vec::new());
        };
        let shared: Vec<(String, String)> = serde_json::from_value(shared).map_err(AppError::internal)?;
        let is_shared = |key: &Key| {
            let own: &str = key.kind.into();
            shared.iter().any(|(kind, text)| kind == own && *text == key.text)
        };
        Ok(keys.into_iter().filter(|key| !is_shared(key)).collect())
    }
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = Text)]
    link: String,
    #[diesel(sql_type = SqlUuid)]
    row_id: Uuid,
}

#[derive(QueryableByName)]
struct Restored {
    #[diesel(sql_type = Json)]
    record: Value,
}

/// Undoes a merge.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `archived`; `merged` when the survivor was merged itself since; `conflict` when it is
/// undone already; `duplicate` where the company's setting blocks and another record has come to an exact key of one that
/// would live again, or of the survivor as it was; `in_use` when an open deal would then stand on an account of the pool.
pub async fn undo(
    tx: &mut Tx,
    ctx: &Ctx,
    (links, deals): (&[&'static Link], Deals),
    resource: &'static Resource,
    survivor: Uuid,
    merge: Uuid,
) -> AppResult<Undone> {
    let losers = losers(tx, ctx, merge).await?;
    lock_rows(tx, ctx, resource, [vec![survivor], losers].concat()).await?;
    let locked = store::lock(tx, ctx, resource, survivor, For::Action(&permission(resource))).await?;
    let merging = Merging {
        id: merge,
        kind: resource.singular,
        survivor,
    };
    let noted = noted(tx, ctx, merging).await?;
    let restored = self::losers(tx, ctx, merge).await?;
    let mut returned = BTreeMap::new();
    for link in links.iter().filter(|link| link.is_to(resource.singular)) {
        returned.insert(link.name(), give_back(tx, ctx, link, merging).await?);
    }
    remove_supporters(tx, ctx, merging).await?;
    let records = revive(tx, ctx, resource, merging).await?;
    let (after, kept_members) = taken_back(&locked, &noted)?;
    let after = write_survivor(tx, ctx, resource, survivor, &locked, after).await?;
    let before = Subject::of(resource, &locked.record()?);
    let mut lacking = claim_all(tx, ctx, resource, survivor, &after).await?;
    lacking.retain(|key| !before.keys.contains(key));
    let mut clashes = vec![(survivor, &after, lacking)];
    let found_by = restored.iter().zip(&records);
    let found_by = found_by.map(|(id, record)| entry::Entry::of(resource, *id, record, true));
    entry::enter(tx, ctx.tenant, resource, &found_by.collect::<Vec<_>>()).await?;
    for (id, record) in restored.iter().zip(&records) {
        let lacking = claim_all(tx, ctx, resource, *id, record).await?;
        clashes.push((*id, record, lacking));
    }
    for (id, record, lacking) in clashes {
        let lacking = noted.fresh(lacking)?;
        gate::admit_again(tx, ctx, resource, (id, record), &lacking).await?;
    }
    if resource.singular == ACCOUNT.singular {
        let ids = restored.iter().chain([&survivor]);
        let accounts = ids.zip(records.iter().chain([&after]));
        let unowned = accounts.filter(|(_, account)| account.get("owner_id").is_none_or(Value::is_null));
        let unowned = unowned.map(|(id, _)| *id).collect();
        without_open_deals(tx, ctx, deals, unowned).await?;
    }
    follow::unmerged(tx, ctx, merging, &restored).await?;
    let not_returned = left(tx, ctx, merging).await?;
    close(tx, ctx, merging).await?;
    let data = json!({ "merge_id": merge, "restored": restored, "returned": returned });
    tx.record(Event::new(
        format!("{}.unmerged", resource.singular),
        resource.singular,
        survivor,
        data,
    ));
    Ok(Undone {
        restored,
        returned,
        not_returned,
        kept_members,
    })
}

/// The records that a merge ended, in the order of their ids.
async fn losers(tx: &mut Tx, ctx: &Ctx, merge: Uuid) -> AppResult<Vec<Uuid>> {
    let query = sql_query("SELECT record_id AS id FROM merged_records WHERE tenant_id = $1 AND merge_id = $2 ORDER BY record_id")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(merge);
    let rows: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

async fn noted(tx: &mut Tx, ctx: &Ctx, merging: Merging) -> AppResult<Noted> {
    let query = sql_query(
        "SELECT before::json AS before, after::json AS after, undone_at IS NOT NULL AS is_undone, shared_keys::json AS shared_keys FROM merges \
         WHERE tenant_id = $1 AND id = $2 AND record_kind = $3 AND survivor_id = $4 FOR UPDATE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<Text, _>(merging.kind)
    .bind::<SqlUuid, _>(merging.survivor);
    let noted: Noted = Cached(query)
        .get_result(&mut **tx)
        .await
        .optional()?
        .or_not_found()?;
    if noted.is_undone {
        return Err(AppError::refuse(
            Code::Conflict,
            say("It is undone already", "该合并已撤销"),
        ));
    }
    Ok(noted)
}

/// Those whom the merge made supporters of the survivor, because a record of theirs ended, support it no longer.
async fn remove_supporters(tx: &mut Tx, ctx: &Ctx, merging: Merging) -> AppResult<()> {
    let query = sql_query(
        "WITH made AS (DELETE FROM merge_moves WHERE tenant_id = $1 AND merge_id = $2 AND link = 'participants' RETURNING row_id) \
         DELETE FROM participants p USING made WHERE p.tenant_id = $1 AND p.id = made.row_id AND p.record_id = $3",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<SqlUuid, _>(merging.survivor);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// The ended records live again, in the order of their ids.
async fn revive(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    merging: Merging,
) -> AppResult<Vec<Map<String, Value>>> {
    let query = sql_query(format!(
        "WITH gone AS (DELETE FROM merged_records WHERE tenant_id = $1 AND merge_id = $2 RETURNING record_id), \
         back AS (UPDATE {} t SET archived_at = NULL, version = t.version + 1, updated_at = $3 FROM gone \
            WHERE t.tenant_id = $1 AND t.id = gone.record_id RETURNING t.*) \
         SELECT row_to_json(b) AS record FROM back b ORDER BY b.id",
        resource.table
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<Timestamptz, _>(ctx.now);
    let rows: Vec<Restored> = Cached(query).load(&mut **tx).await?;
    let records = rows
        .into_iter()
        .filter_map(|row| row.record.as_object().cloned())
        .collect::<Vec<_>>();
    for record in &records {
        let id = record
            .get("id")
            .and_then(Value::as_str)
            .and_then(|id| Uuid::parse_str(id).ok())
            .unwrap_or_default();
        let data = json!({ "merge_id": merging.id, "survivor_id": merging.survivor });
        let event = Event::new(
            format!("{}.restored", resource.singular),
            resource.singular,
            id,
            data,
        );
        tx.record(event.and_on(merging.kind, Some(merging.survivor)));
        pool::hooks::revived(tx, ctx, resource, id, record).await?;
    }
    Ok(records)
}

/// The survivor with what the merge changed taken back, where nobody changed it since; and what somebody did change.
fn taken_back(locked: &Locked, noted: &Noted) -> AppResult<(Map<String, Value>, Vec<String>)> {
    let mut record = locked.record()?;
    let mut kept = Vec::new();
    for (name, put) in noted.after.as_object().into_iter().flatten() {
        if record.get(name) == Some(put) {
            record.insert(name.clone(), noted.before[name].clone());
        } else {
            kept.push(name.clone());
        }
    }
    Ok((record, kept))
}

async fn write_survivor(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    survivor: Uuid,
    locked: &Locked,
    after: Map<String, Value>,
) -> AppResult<Map<String, Value>> {
    let before = locked.record()?;
    if resource.singular == LEAD.singular && before["status"] == "converted" {
        return Ok(before);
    }
    let (was, _) = choices::difference(resource, &before, &after);
    if !was.is_empty() {
        store::save_as(tx, ctx, resource, survivor, locked, after.clone(), "unmerged").await?;
    } else if resource.singular == LEAD.singular {
        // Whatever it did that went back counts for it no longer.
        let occasion = Occasion::Happened("lead.unmerged");
        scoring::apply::apply(tx, ctx, std::slice::from_ref(&before), occasion).await?;
    }
    Ok(after)
}

/// What could not go back.
async fn left(tx: &mut Tx, ctx: &Ctx, merging: Merging) -> AppResult<Vec<(String, Uuid)>> {
    let query = sql_query(
        "SELECT link, row_id FROM merge_moves WHERE tenant_id = $1 AND merge_id = $2 ORDER BY link, row_id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id);
    let rows: Vec<Left> = Cached(query).load(&mut **tx).await?;
    Ok(rows.into_iter().map(|row| (row.link, row.row_id)).collect())
}

async fn close(tx: &mut Tx, ctx: &Ctx, merging: Merging) -> AppResult<()> {
    let query = sql_query("UPDATE merges SET undone_at = $3, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(merging.id)
        .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}
