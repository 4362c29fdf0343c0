//! The merge itself, in one transaction: rows locked in the order of their ids, so that merges that cross wait for each
//! other.

use super::choices::{self, Side};
use crate::crm::duplicates::follow;
use crate::crm::duplicates::keys::{self, Named};
use crate::crm::duplicates::subject::{Key, Subject};
use crate::crm::pool;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::merging::{Link, Merging, repoint};
use crate::platform::records::custom;
use crate::platform::records::store::{self, For, Locked};
use crate::platform::records::{Resource, entry};
use diesel::sql_query;
use diesel::sql_types::{Array, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a key of two live records is admitted.
pub(super) const REASON: &str = "merge";

/// What is merged into a record.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeInput {
    /// The records that end, each once; where the one that goes on lacks a value, the first that has one gives it.
    #[schema(min_items = 1, max_items = 10, example = json!(["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"]))]
    pub loser_ids: Vec<Uuid>,
    /// Member (`custom.KEY` for the company's own fields) to the id of the record whose value goes on.
    #[serde(default)]
    #[schema(example = json!({"name": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"}))]
    pub choices: BTreeMap<String, Uuid>,
}

/// What a merge did.
pub struct Merged {
    pub id: Uuid,
    /// Rows moved, by `table.column`.
    pub moved: BTreeMap<String, i64>,
    pub survivor: Map<String, Value>,
}

/// The permission to merge records of a kind.
pub fn permission(resource: &Resource) -> String {
    format!("{}.merge", resource.permission)
}

/// Merges records into one.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `archived`, `merged`, `already_converted` for a converted lead that would end, and
/// `invalid` with all faults of the input.
pub async fn merge(
    tx: &mut Tx,
    ctx: &Ctx,
    links: &[&'static Link],
    resource: &'static Resource,
    survivor: Uuid,
    input: &MergeInput,
) -> AppResult<Merged> {
    let mut ids = input.loser_ids.clone();
    ids.push(survivor);
    let own_fields = match input.choices.keys().any(|name| name.starts_with("custom.")) {
        true => custom::definitions(&mut &**tx, ctx.tenant, resource.singular).await?,
        false => Vec::new(),
    };
    let mut faults = repeated(survivor, input);
    faults.extend(choices::unfit(resource, &ids, &input.choices, &own_fields));
    lock_rows(tx, ctx, resource, ids).await?;
    let permission = permission(resource);
    let locked = store::lock(tx, ctx, resource, survivor, For::Action(&permission)).await?;
    let losers = lock_losers(tx, ctx, resource, &input.loser_ids, faults).await?;
    let own = Side {
        id: survivor,
        record: locked.record()?,
    };
    let mut after = choices::chosen(resource, &own, &losers, &input.choices).map_err(AppError::invalid)?;
    take_place_in_tree(tx, ctx, &own, &losers, &mut after).await?;
    let merging = Merging {
        id: Uuid::now_v7(),
        kind: resource.singular,
        survivor,
    };
    let (was, is) = choices::difference(resource, &own.record, &after);
    let ids = losers.iter().map(|loser| loser.id).chain([survivor]).collect();
    let shared = keys::admitted(tx, ctx.tenant, resource.singular, ids).await?;
    note(tx, ctx, merging, &was, &is, shared).await?;
    for loser in &losers {
        end(tx, ctx, resource, merging, loser).await?;
    }
    let mut moved = BTreeMap::new();
    for loser in &losers {
        for link in links.iter().filter(|link| link.is_to(resource.singular)) {
            let count = repoint(tx, ctx, link, merging, loser.id).await?;
            *moved.entry(link.name()).or_insert(0) += count;
        }
        keep_owner(tx, ctx, merging, loser, &after).await?;
        follow::merged(tx, ctx, merging, loser.id).await?;
    }
    // Now that it has all that the others had: a lead's score counts their behaviour too.
    let body = go_on(tx, ctx, resource, merging, &locked, own.record, after.clone()).await?;
    claim_all(tx, ctx, resource, survivor, &after).await?;
    let ended = losers.iter().map(|loser| loser.id).collect::<Vec<_>>();
    let data = json!({ "merge_id": merging.id, "merged": ended, "moved": moved });
    tx.record(Event::new(
        format!("{}.merged", resource.singular),
        resource.singular,
        survivor,
        data,
    ));
    Ok(Merged {
        id: merging.id,
        moved,
        survivor: body,
    })
}

fn repeated(survivor: Uuid, input: &MergeInput) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, id) in input.loser_ids.iter().enumerate() {
        let pointer = format!("/loser_ids/{index}");
        if *id == survivor {
            faults.push(Fault::invalid(
                pointer,
                "is the record that goes on",
                "即为保留的记录",
            ));
        } else if input.loser_ids[..index].contains(id) {
            faults.push(Fault::new(
                pointer,
                "repeated",
                say("contains an item twice", "包含重复项"),
            ));
        }
    }
    faults
}

/// Locks rows in the order of their ids, whatever their state.
pub(super) async fn lock_rows(tx: &mut Tx, ctx: &Ctx, resource: &Resource, ids: Vec<Uuid>) -> AppResult<()> {
    let query = sql_query(format!(
        "SELECT id FROM {} WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE",
        resource.table
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Array<SqlUuid>, _>(ids);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Locks the records that end. `faults`: what is wrong with the request otherwise, told with those that are not there.
async fn lock_losers(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    ids: &[Uuid],
    mut faults: Vec<Fault>,
) -> AppResult<Vec<Side>> {
    // If-Match speaks of the record that goes on.
    let terms = Ctx {
        if_match: None,
        ..ctx.clone()
    };
    let mut losers = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        match store::lock(tx, &terms, resource, *id, For::Action(&permission(resource))).await {
            Ok(locked) => losers.push(Side {
                id: *id,
                record: locked.record()?,
            }),
            Err(error) if error.code() == Code::NotFound => {
                faults.push(Fault::not_found(format!("/loser_ids/{index}")))
            }
            Err(error) => return Err(error),
        }
    }
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    let is_converted =
        |side: &Side| resource.singular == LEAD.singular && side.record["status"] == "converted";
    if losers.iter().any(is_converted) {
        return Err(crate::crm::hooks::already_converted());
    }
    Ok(losers)
}

#[derive(diesel::QueryableByName)]
struct Above {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    parent_id: Option<Uuid>,
}

/// A survivor that stands below one of the others takes that one's place, so that no circle closes.
async fn take_place_in_tree(
    tx: &mut Tx,
    ctx: &Ctx,
    own: &Side,
    losers: &[Side],
    after: &mut Map<String, Value>,
) -> AppResult<()> {
    let Some(parent) = after.get("parent_id") else {
        return Ok(());
    };
    let Some(mut parent) = parent.as_str().and_then(|id| Uuid::parse_str(id).ok()) else {
        return Ok(());
    };
    let query = sql_query(
        "WITH RECURSIVE up AS ( \
            SELECT id, parent_id, 0 AS step FROM accounts WHERE tenant_id = $1 AND id = $2 \
            UNION ALL SELECT t.id, t.parent_id, up.step + 1 FROM accounts t JOIN up ON t.id = up.parent_id WHERE t.tenant_id = $1 AND up.step < 1000 \
         ) SELECT id, parent_id FROM up ORDER BY step",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(parent);
    let above: Vec<Above> = Cached(query).load(&mut **tx).await?;
    let ends = |id: Uuid| id == own.id || losers.iter().any(|loser| loser.id == id);
    if let Some(topmost) = above.iter().rev().find(|row| ends(row.id)) {
        match topmost.parent_id {
            Some(next) => parent = next,
            None => {
                after.insert("parent_id".to_owned(), Value::Null);
                return Ok(());
            }
        }
    }
    after.insert("parent_id".to_owned(), json!(parent));
    Ok(())
}

async fn note(
    tx: &mut Tx,
    ctx: &Ctx,
    merging: Merging,
    was: &Map<String, Value>,
    is: &Map<String, Value>,
    shared: Vec<(String, String)>,
) -> AppResult<()> {
    let by = (ctx.user != Uuid::nil()).then_some(ctx.user);
    let query = sql_query(
        "INSERT INTO merges (tenant_id, id, record_kind, survivor_id, before, after, merged_by, created_at, updated_at, shared_keys) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<Text, _>(merging.kind)
    .bind::<SqlUuid, _>(merging.survivor)
    .bind::<Jsonb, _>(Value::Object(was.clone()))
    .bind::<Jsonb, _>(Value::Object(is.clone()))
    .bind::<Nullable<SqlUuid>, _>(by)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Jsonb, _>(json!(shared));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Ends a record: archived, its keys given to the survivor to be found by, and a redirect left.
async fn end(tx: &mut Tx, ctx: &Ctx, resource: &Resource, merging: Merging, loser: &Side) -> AppResult<()> {
    let query = sql_query(format!(
        "UPDATE {} SET archived_at = $3, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2",
        resource.table
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(loser.id)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let query = sql_query(
        "INSERT INTO merged_records (tenant_id, record_kind, record_id, survivor_id, merge_id) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(merging.kind)
    .bind::<SqlUuid, _>(loser.id)
    .bind::<SqlUuid, _>(merging.survivor)
    .bind::<SqlUuid, _>(merging.id);
    Cached(query).execute(&mut **tx).await?;
    keys::forget(tx, Named::new(ctx, resource, loser.id)).await?;
    pool::hooks::merged(tx, ctx, resource, loser.id).await?;
    entry::forget(tx, ctx.tenant, resource.singular, loser.id).await?;
    tx.touch(loser.id);
    let data = json!({ "merge_id": merging.id, "survivor_id": merging.survivor });
    let event = Event::new(
        format!("{}.merged_into", resource.singular),
        resource.singular,
        loser.id,
        data,
    );
    tx.record(event.and_on(merging.kind, Some(merging.survivor)));
    Ok(())
}

/// Writes the survivor. A converted lead is history: it takes in what belonged to the others and stays as it is.
async fn go_on(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    merging: Merging,
    locked: &Locked,
    before: Map<String, Value>,
    after: Map<String, Value>,
) -> AppResult<Map<String, Value>> {
    if resource.singular == LEAD.singular && before["status"] == "converted" {
        return Ok(store::visible(resource, ctx, before));
    }
    let written = store::save_as(tx, ctx, resource, merging.survivor, locked, after, "merged").await?;
    Ok(written.body)
}

/// Whoever had a record that ended does not lose sight of it: they support the survivor.
async fn keep_owner(
    tx: &mut Tx,
    ctx: &Ctx,
    merging: Merging,
    loser: &Side,
    after: &Map<String, Value>,
) -> AppResult<()> {
    let owner = |record: &Map<String, Value>| {
        record
            .get("owner_id")
            .and_then(Value::as_str)
            .and_then(|id| Uuid::parse_str(id).ok())
    };
    let Some(former) = owner(&loser.record).filter(|former| Some(*former) != owner(after)) else {
        return Ok(());
    };
    let query = sql_query(
        "WITH joined AS (INSERT INTO participants (tenant_id, id, record_kind, record_id, user_id, access, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, 'edit', $6, $6) ON CONFLICT (tenant_id, record_kind, record_id, user_id) DO NOTHING RETURNING id) \
         INSERT INTO merge_moves (tenant_id, merge_id, link, row_id, from_id) SELECT $1, $7, 'participants', j.id, $8 FROM joined j",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Text, _>(merging.kind)
    .bind::<SqlUuid, _>(merging.survivor)
    .bind::<SqlUuid, _>(former)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<SqlUuid, _>(loser.id);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Gives a live record all its keys anew, for itself where nobody else has them, and those of what was merged into it to
/// be found by. Answers those that another live record has: it is admitted to them.
pub(super) async fn claim_all(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    record: &Map<String, Value>,
) -> AppResult<Vec<Key>> {
    let named = Named::new(ctx, resource, id);
    let subject = Subject::of(resource, record);
    keys::forget(tx, named).await?;
    let lacking = keys::claim(tx, named, &subject).await?;
    keys::admit(tx, named, &lacking, REASON).await?;
    let is_converted = record.get("status").is_some_and(|status| status == "converted");
    if is_converted {
        keys::retire(tx, named).await?;
    }
    inherit(tx, ctx, resource, named).await?;
    Ok(if is_converted { Vec::new() } else { lacking })
}

#[derive(diesel::QueryableByName)]
struct Ended {
    #[diesel(sql_type = diesel::sql_types::Json)]
    record: Value,
}

async fn inherit(tx: &mut Tx, ctx: &Ctx, resource: &'static Resource, survivor: Named) -> AppResult<()> {
    let query = sql_query(format!(
        "WITH RECURSIVE down AS ( \
            SELECT m.record_id FROM merged_records m WHERE m.tenant_id = $1 AND m.record_kind = $2 AND m.survivor_id = $3 \
            UNION SELECT m.record_id FROM merged_records m JOIN down ON m.survivor_id = down.record_id WHERE m.tenant_id = $1 AND m.record_kind = $2 \
         ) SELECT row_to_json(t) AS record FROM down JOIN {} t ON t.tenant_id = $1 AND t.id = down.record_id",
        resource.table
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(survivor.kind)
    .bind::<SqlUuid, _>(survivor.id);
    let ended: Vec<Ended> = Cached(query).load(&mut **tx).await?;
    let none = Map::new();
    for ended in &ended {
        let subject = Subject::of(resource, ended.record.as_object().unwrap_or(&none));
        keys::inherit(tx, survivor, &subject.keys).await?;
    }
    Ok(())
}
