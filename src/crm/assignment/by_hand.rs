//! Giving a lead to a person by hand: to whom it may go, and how many they may hold.

use super::bench;
use super::settings;
use crate::crm::pool::stays::{CLAIMED, RETURNED};
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::{Act, Change};
use serde_json::{Value, json};
use uuid::Uuid;

/// The member of a write that lets a lead go to somebody who is full.
pub const OVERRIDE: &str = "override_capacity";

/// Whether a write gives a lead to somebody by a person's word. What people make for themselves, what undoes a mistake,
/// and what the system gives is not asked.
fn is_by_hand(ctx: &Ctx, change: &Change) -> bool {
    let is_person = matches!(ctx.actor_kind, ActorKind::User | ActorKind::Key);
    let is_own = change.act == Act::Create && change.id_of("owner_id") == Some(ctx.user);
    let is_undo = matches!(change.verb, Some(super::undo::VERB | RETURNED));
    is_person && matches!(change.act, Act::Create | Act::Update) && !is_own && !is_undo
}

/// Refuses a new owner who is full, unless the write overrides it with a reason; warns of one who is away.
///
/// # Errors
/// `over_capacity`; database errors.
pub async fn admit(tx: &mut Tx, ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    let Some(owner) = change.id_of("owner_id") else {
        return Ok(());
    };
    if !change.changed("owner_id") || !is_by_hand(ctx, change) {
        return Ok(());
    }
    let company = settings::read(&mut &**tx, ctx.tenant).await?.lead_capacity;
    let Some(mut person) = bench::person(&mut &**tx, ctx.tenant, ctx.now, company, owner).await? else {
        return Ok(());
    };
    if person.is_absent {
        change.warnings.push(absent());
    }
    let Some(capacity) = person.capacity.map(i64::from) else {
        return Ok(());
    };
    // Counted again under the lock, so that two who give to the same person at once do not both see the last place.
    let company = settings::lock(tx, ctx).await?.lead_capacity;
    if let Some(now) = bench::person(&mut &**tx, ctx.tenant, ctx.now, company, owner).await? {
        person = now;
    }
    if person.open_leads < capacity {
        return Ok(());
    }
    let told = change.after.get(OVERRIDE).and_then(|told| told.get("reason"));
    match told.and_then(Value::as_str) {
        Some(reason) => {
            let data = json!({ OVERRIDE: { "reason": reason, "open_leads": person.open_leads, "capacity": capacity } });
            tx.record(Event::new("lead.updated", "lead", change.id, data));
            Ok(())
        }
        None => Err(over_capacity(change, owner, person.open_leads, capacity)),
    }
}

fn absent() -> Warning {
    Fault::new(
        "/owner_id",
        "absent",
        say("they are away at present", "该用户当前缺勤"),
    )
}

fn over_capacity(change: &Change, user: Uuid, open_leads: i64, capacity: i64) -> AppError {
    let detail = match change.verb {
        Some(CLAIMED) => say(
            format!("You hold {open_leads} open leads, of at most {capacity}"),
            format!("您已持有 {open_leads} 条未结线索(上限 {capacity})"),
        ),
        _ => say(
            format!(
                "They hold {open_leads} open leads of at most {capacity}; choose somebody else, or send override_capacity with a reason"
            ),
            format!(
                "该用户已持有 {open_leads} 条未结线索(上限 {capacity});请选择他人,或附 override_capacity 说明理由"
            ),
        ),
    };
    let refusal = AppError::refuse(Code::OverCapacity, detail);
    refusal.with(
        "capacity",
        json!({ "user_id": user, "open_leads": open_leads, "capacity": capacity }),
    )
}

/// Refuses somebody who is deactivated, in so many words: whoever may read users may know.
///
/// # Errors
/// `invalid`; database errors.
pub async fn require_active(tx: &mut Tx, ctx: &Ctx, user: Uuid) -> AppResult<()> {
    if !ctx.holds("user.read") {
        return Ok(());
    }
    let found = bench::person(&mut &**tx, ctx.tenant, ctx.now, None, user).await?;
    match found.filter(|person| !person.is_active) {
        None => Ok(()),
        Some(_) => Err(AppError::invalid(vec![Fault::new(
            "/owner_id",
            "inactive",
            say(
                "is deactivated: name an active colleague",
                "该用户已停用,请指定在职同事",
            ),
        )])),
    }
}
