//! The day on which a lead that was set aside returns: whoever owns it is told when that day begins. The lead stays where it
//! is until somebody reopens it: whether there is a budget by now, only people know.

use super::assignment::apply;
use super::lead_states::Status;
use super::pool::clock;
use super::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::{Act, Change};
use crate::time::timer::{self, Timer};
use chrono::NaiveDate;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The timer that fires when the day begins.
pub const RETURN: &str = "lead_nurturing";

/// Until when a lead rests, if it does.
fn rests_until(record: &Map<String, Value>) -> Option<NaiveDate> {
    let text = |member: &str| record.get(member).and_then(Value::as_str);
    text("status").filter(|status| *status == "nurturing")?;
    text("nurture_until")?.parse().ok()
}

/// Sets the timer of a lead that was set aside, and cancels it once the lead goes on or ends.
///
/// # Errors
/// Database errors.
pub async fn written(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    let is_live = |is_live: bool, record| rests_until(record).filter(|_| is_live);
    let before = is_live(change.act != Act::Restore, &change.before);
    let after = is_live(change.act != Act::Archive, &change.after);
    match after {
        _ if before == after => Ok(()),
        Some(until) => set(tx, ctx, change.id, until).await,
        None => timer::cancel(tx, ctx, RETURN, (LEAD.singular, change.id)).await,
    }
}

async fn set(tx: &mut Tx, ctx: &Ctx, lead: Uuid, until: NaiveDate) -> AppResult<()> {
    let at = clock::beginning(until, ctx.principal.company.time_zone);
    timer::set(tx, ctx, RETURN, (LEAD.singular, lead), at, json!({})).await
}

/// The day has begun: says so, unless the lead went on, or ended, behind the hooks.
///
/// # Errors
/// Database errors.
pub async fn fire(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    let mut leads = apply::subjects(&mut &**tx, ctx, vec![timer.subject_id], true).await?;
    let Some(lead) = leads.pop().filter(|lead| lead.status == Status::Nurturing) else {
        return Ok(());
    };
    let Some(until) = lead.facts.as_object().and_then(rests_until) else {
        return Ok(());
    };
    if until > ctx.today() {
        return set(tx, ctx, lead.id, until).await; // The company moved to another time zone meanwhile.
    }
    let data = json!({
        "nurture_until": until, "reopen_status": lead.facts["reopen_status"], "owner_id": lead.owner,
        "notify": { "to": Vec::from_iter(lead.owner), "cc": [] },
    });
    let event = Event::new("lead.return_due", LEAD.singular, lead.id, data);
    tx.record(event.and_on("user", lead.owner));
    Ok(())
}
