//! The writes: create, patch, archive and restore, and what commands save.

use super::checks::prepare;
use super::find::visible;
use super::lock::{For, Locked, ended, lock_even_archived, lock_parent};
use super::write::{Written, write};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::records::spec::{Act, Change, Resource};
use crate::platform::records::{merged, rules};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Makes a record from checked input.
///
/// # Errors
/// `invalid`, `duplicate`, `forbidden`, and for parts what their parent's state says.
pub async fn create(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    parent: Option<Uuid>,
    sent: Map<String, Value>,
) -> AppResult<Written> {
    lock_parent(tx, ctx, resource, parent).await?;
    let forbidden = rules::forbidden(resource, ctx, &sent).collect::<Vec<_>>();
    let mut change = new_change(ctx, resource, parent, sent);
    prepare(tx, ctx, resource, &mut change, forbidden).await?;
    write(tx, ctx, resource, change, None).await
}

/// A new record on its way: every writable member present, its maker the owner where nobody else is.
pub fn new_change(
    ctx: &Ctx,
    resource: &'static Resource,
    parent: Option<Uuid>,
    sent: Map<String, Value>,
) -> Change {
    let mut change = Change {
        act: Act::Create,
        verb: None,
        id: Uuid::now_v7(),
        parent,
        sent: sent
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, _)| name.clone())
            .collect(),
        before: Map::new(),
        after: rules::created(resource, sent),
        warnings: Vec::new(),
        also: Vec::new(),
    };
    if resource.is_owned()
        && change.after.get("owner_id").is_none_or(Value::is_null)
        && ctx.user != Uuid::nil()
        && !is_unowned_intake(ctx)
    {
        change.after.insert("owner_id".to_owned(), json!(ctx.user));
    }
    change
}

/// What arrives through a source belongs to nobody until it is assigned.
fn is_unowned_intake(ctx: &Ctx) -> bool {
    ctx.actor_kind == crate::kernel::ctx::ActorKind::Source
}

/// Applies a merge patch to a record.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `archived`, `invalid`, `duplicate`.
pub async fn update(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    parent: Option<Uuid>,
    id: Uuid,
    patch: Map<String, Value>,
) -> AppResult<Written> {
    lock_parent(tx, ctx, resource, parent).await?;
    let locked = lock_even_archived(&mut &**tx, ctx, resource, id, parent, For::Write).await?;
    if locked.is_archived {
        return Err(ended(&mut &**tx, ctx, resource, id).await?);
    }
    let forbidden = rules::forbidden(resource, ctx, &patch).collect::<Vec<_>>();
    let change = patch_of(locked.record()?, &patch, parent, id);
    apply(tx, ctx, resource, change, locked.version, forbidden).await
}

/// Like [`update`], of one that may be archived, for what a command has to follow up in all records of its kind.
///
/// # Errors
/// As `update`.
pub async fn update_even_archived(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    parent: Option<Uuid>,
    id: Uuid,
    patch: Map<String, Value>,
) -> AppResult<Written> {
    let locked = lock_even_archived(&mut &**tx, ctx, resource, id, parent, For::Write).await?;
    let change = patch_of(locked.record()?, &patch, parent, id);
    apply(tx, ctx, resource, change, locked.version, Vec::new()).await
}

/// A record with a merge patch applied, on its way.
pub(super) fn patch_of(
    before: Map<String, Value>,
    patch: &Map<String, Value>,
    parent: Option<Uuid>,
    id: Uuid,
) -> Change {
    Change {
        act: Act::Update,
        verb: None,
        id,
        parent,
        sent: patch.keys().cloned().collect(),
        after: rules::patched(&before, patch),
        before,
        warnings: Vec::new(),
        also: Vec::new(),
    }
}

/// Writes a record that a command has locked and changed; rules and hooks run as for any change.
///
/// # Errors
/// As `update`.
pub async fn save(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    locked: &Locked,
    after: Map<String, Value>,
) -> AppResult<Written> {
    save_as(tx, ctx, resource, id, locked, after, "updated").await
}

/// Like `save`; the event is called by what the command did: `lead.assigned`.
///
/// # Errors
/// As `update`.
pub async fn save_as(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    locked: &Locked,
    after: Map<String, Value>,
    verb: &'static str,
) -> AppResult<Written> {
    let change = Change {
        act: Act::Update,
        verb: Some(verb),
        id,
        parent: None,
        sent: Vec::new(),
        before: locked.record()?,
        after,
        warnings: Vec::new(),
        also: Vec::new(),
    };
    apply(tx, ctx, resource, change, locked.version, Vec::new()).await
}

async fn apply(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    mut change: Change,
    version: i32,
    forbidden: Vec<Fault>,
) -> AppResult<Written> {
    prepare(tx, ctx, resource, &mut change, forbidden).await?;
    if is_idle(resource, &change) {
        return Ok(Written {
            id: change.id,
            version,
            body: visible(resource, ctx, change.before),
            warnings: change.warnings,
        });
    }
    write(tx, ctx, resource, change, Some(version)).await
}

/// Whether a plain update leaves everything as it is, and says nothing besides: then there is nothing to write and nothing
/// to tell of.
fn is_idle(resource: &Resource, change: &Change) -> bool {
    let is_told = resource.instructions().any(|member| change.was_sent(member.name));
    let is_plain = change.act == Act::Update && change.verb.is_none() && change.also.is_empty();
    is_plain && !is_told && rules::is_unchanged(resource, &change.before, &change.after)
}

/// Archives (`DELETE`) or restores a record: by the scope of the right to change it, not by taking part in it. `told`:
/// instructions, beside what the record is.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `archived`, `not_archived`.
pub async fn archive(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    parent: Option<Uuid>,
    id: Uuid,
    act: Act,
    told: Map<String, Value>,
) -> AppResult<Written> {
    lock_parent(tx, ctx, resource, parent).await?;
    let locked = lock_even_archived(&mut &**tx, ctx, resource, id, parent, For::Archive).await?;
    match (act, locked.is_archived) {
        (Act::Archive, true) => return Err(ended(&mut &**tx, ctx, resource, id).await?),
        (Act::Restore, true) => {
            if let Some(survivor) = merged::survivor(&mut &**tx, ctx, resource, id).await? {
                return Err(merged::refusal(resource, survivor));
            }
        }
        (Act::Restore, false) => {
            return Err(AppError::refuse(
                Code::NotArchived,
                say("It is not archived", "未归档"),
            ));
        }
        _ => {}
    }
    let before = locked.record()?;
    let mut after = before.clone();
    let sent = told.keys().cloned().collect();
    after.extend(told);
    let mut change = Change {
        act,
        verb: None,
        id,
        parent,
        sent,
        after,
        before,
        warnings: Vec::new(),
        also: Vec::new(),
    };
    if let Some(before) = resource.hooks.before {
        before(tx, ctx, &mut change).await?;
    }
    write(tx, ctx, resource, change, Some(locked.version)).await
}
