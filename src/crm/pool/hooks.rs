//! What a change of a record means for the pool, whoever makes it and how.

use super::stays::{self, Ended, Grounds, owner_of};
use super::{Kind, Why, contacts, follow_ups, quotas, schedule};
use crate::crm::assignment::{follow, undo};
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::records::{Act, Change, Resource};
use serde_json::{Map, Value};
use std::slice::from_ref;
use uuid::Uuid;

/// Members by which the record's day changes.
const TELLING: [&str; 6] = [
    "owner_id",
    "grade",
    "segment",
    "source_id",
    "status",
    "nurture_until",
];
/// Members by whose change an owner shows that they tend the record.
const FOLLOW_UPS: [&str; 3] = ["follow_up_status", "next_follow_up_on", "status"];

/// Keeps stays and clocks true after a record was written.
///
/// # Errors
/// Database errors.
pub async fn written(tx: &mut Tx, ctx: &Ctx, kind: Kind, change: &Change) -> AppResult<()> {
    let owner = owner_of(&change.after);
    let is_converted = change.text("status") == Some("converted");
    if change.act == Act::Archive || is_converted {
        let how = if is_converted {
            Ended::Converted
        } else {
            Ended::Archived
        };
        if owner.is_none() {
            stays::end(tx, ctx, kind, change.id, how, None).await?;
        }
        return schedule::reschedule(tx, ctx, kind, &[change.id]).await;
    }
    if change.act == Act::Create {
        return made(tx, ctx, kind, from_ref(change)).await;
    }
    match owner {
        None => unowned(tx, ctx, kind, change).await?,
        Some(owner) if change.changed("owner_id") => {
            if owner_of(&change.before).is_none() {
                stays::end(tx, ctx, kind, change.id, Ended::Assigned, Some(owner)).await?;
                if kind == Kind::Account {
                    contacts::join(tx, ctx, change.id, owner).await?;
                }
            }
        }
        Some(_) => {}
    }
    if is_follow_up(ctx, change, owner) {
        return follow_ups::followed_up(tx, ctx, kind, change.id, ctx.now).await;
    }
    if change.act == Act::Restore || TELLING.iter().any(|member| change.changed(member)) {
        schedule::reschedule(tx, ctx, kind, &[change.id]).await?;
    }
    Ok(())
}

/// [`written`] for records that were made together.
///
/// # Errors
/// Database errors.
pub async fn made(tx: &mut Tx, ctx: &Ctx, kind: Kind, changes: &[Change]) -> AppResult<()> {
    for change in changes.iter().filter(|change| owner_of(&change.after).is_none()) {
        unowned(tx, ctx, kind, change).await?;
    }
    let ids = changes.iter().map(|change| change.id).collect::<Vec<_>>();
    schedule::begin(tx, ctx, kind, &ids).await
}

/// An account without an owner is in the pool; a lead is where the company's setting says so, or when it was there before
/// it was archived.
async fn unowned(tx: &mut Tx, ctx: &Ctx, kind: Kind, change: &Change) -> AppResult<()> {
    let is_news = change.act != Act::Update || change.changed("owner_id");
    if !is_news {
        return Ok(());
    }
    let former = owner_of(&change.before).filter(|_| change.act == Act::Update);
    if let Some(former) = former.filter(|_| change.verb == Some(undo::VERB))
        && stays::go_on(tx, ctx, kind, change.id, former).await?
    {
        return Ok(());
    }
    let is_pools = match (kind, change.act) {
        (Kind::Account, _) => true,
        (Kind::Lead, Act::Restore) => stays::left_with_its_end(tx, ctx, kind, change.id).await?,
        (Kind::Lead, _) if follow::is_left(tx, change.id) => false,
        (Kind::Lead, _) => quotas::of(&mut &**tx, ctx.tenant, kind).await?.takes_unassigned,
    };
    if !is_pools {
        return Ok(());
    }
    let why = match former {
        Some(_) => Why::HandedOver,
        None => Why::NeverOwned,
    };
    stays::begin(tx, ctx, kind, change.id, former, why, &Grounds::default()).await?;
    Ok(())
}

/// New leads that the rules left without an owner are in the pool where the company's setting says so.
///
/// # Errors
/// Database errors.
pub async fn arrived_unowned(tx: &mut Tx, ctx: &Ctx, leads: &[Uuid]) -> AppResult<()> {
    if leads.is_empty()
        || !quotas::of(&mut &**tx, ctx.tenant, Kind::Lead)
            .await?
            .takes_unassigned
    {
        return Ok(());
    }
    for lead in leads {
        let grounds = Grounds::default();
        stays::begin(tx, ctx, Kind::Lead, *lead, None, Why::NeverOwned, &grounds).await?;
    }
    Ok(())
}

fn kind_of(resource: &Resource) -> Option<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == resource.singular)
}

/// A record that was merged into another is in no pool.
///
/// # Errors
/// Database errors.
pub async fn merged(tx: &mut Tx, ctx: &Ctx, resource: &Resource, id: Uuid) -> AppResult<()> {
    let Some(kind) = kind_of(resource) else {
        return Ok(());
    };
    stays::end(tx, ctx, kind, id, Ended::Merged, None).await?;
    schedule::reschedule(tx, ctx, kind, &[id]).await
}

/// A record that lives again after its merge was undone is where it was: in the pool when nobody owns it and the merge took
/// it from there. `record`: its row.
///
/// # Errors
/// Database errors.
pub async fn revived(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
    record: &Map<String, Value>,
) -> AppResult<()> {
    let Some(kind) = kind_of(resource) else {
        return Ok(());
    };
    if owner_of(record).is_none()
        && (kind == Kind::Account || stays::left_with_its_end(tx, ctx, kind, id).await?)
    {
        let grounds = Grounds::default();
        stays::begin(tx, ctx, kind, id, None, Why::NeverOwned, &grounds).await?;
    }
    schedule::reschedule(tx, ctx, kind, &[id]).await
}

/// Whether the owner showed by this change that they tend the record.
fn is_follow_up(ctx: &Ctx, change: &Change, owner: Option<Uuid>) -> bool {
    let by_owner = owner == Some(ctx.user) && matches!(ctx.actor_kind, ActorKind::User | ActorKind::Key);
    let is_owners = !change.changed("owner_id") && change.act == Act::Update;
    let has_value = |member: &str| change.after.get(member).is_some_and(|value| !value.is_null());
    let tends = |member: &str| change.changed(member) && has_value(member);
    by_owner && is_owners && FOLLOW_UPS.iter().any(|member| tends(member))
}
