//! The clock of a hand-over: a warning, then the deadline. Both look at what they find under the lead's lock.

use super::record::{self, Begin, End, Handover, Reason};
use crate::crm::assignment::apply::{self, Given, Order};
use crate::crm::assignment::decide::{Asking, Subject, Verdict};
use crate::crm::assignment::pool;
use crate::crm::assignment::rules::Terms;
use crate::crm::assignment::settings::{self, AssignmentSettings};
use crate::crm::lead_states::Status;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::time::timer::Timer;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The hand-over with its locked lead, while somebody still waits for a response.
async fn running(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<Option<(Handover, Subject)>> {
    let Some(found) = record::find(&mut &**tx, ctx.tenant, timer.subject_id).await? else {
        return Ok(None);
    };
    let mut leads = apply::subjects(&mut &**tx, ctx, vec![found.lead_id], true).await?;
    // Read again: it may have ended while the lead's lock was waited for.
    let handover = record::find(&mut &**tx, ctx.tenant, timer.subject_id).await?;
    let Some(handover) = handover.filter(Handover::is_open) else {
        return Ok(None);
    };
    match leads.pop() {
        Some(lead) if lead.status == Status::SalesQualified => Ok(Some((handover, lead))),
        // Archived or merged behind the hooks: nobody waits any more.
        _ => {
            record::end(tx, ctx, &handover, End::Closed, None, Value::Null).await?;
            Ok(None)
        }
    }
}

/// Warns the holder, with a copy to the leader above.
///
/// # Errors
/// Database errors.
pub async fn fire_warning(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    let Some((handover, _)) = running(tx, ctx, timer).await? else {
        return Ok(());
    };
    record::mark(tx, ctx, &handover, false).await?;
    let notify = record::addressees(&mut &**tx, ctx.tenant, handover.to_user_id).await?;
    let mut data = record::about(&handover);
    data.insert("notify".to_owned(), notify);
    record::tell(tx, &handover, "due_soon", data);
    Ok(())
}

/// Who gets a lead whose deadline was missed.
enum Next {
    Person { user: Uuid, terms: Terms, note: Value },
    Pool,
    Nobody,
}

/// The deadline passed: the lead goes on as the company's settings say, never to somebody who had it in this chain.
///
/// # Errors
/// Database errors.
pub async fn fire_deadline(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    let Some((handover, lead)) = running(tx, ctx, timer).await? else {
        return Ok(());
    };
    let settings = settings::read(&mut &**tx, ctx.tenant).await?;
    let holders = record::holders(&mut &**tx, ctx.tenant, handover.chain_id).await?;
    let notify = record::addressees(&mut &**tx, ctx.tenant, handover.to_user_id).await?;
    let barred = holders.into_iter().chain(lead.owner).collect::<BTreeSet<_>>();
    match next(tx, ctx, &settings, &handover, &lead, &barred).await? {
        Next::Person { user, terms, note } => {
            let more = json!({ "outcome": "reassigned", "next_user_id": user, "notify": notify });
            record::end(tx, ctx, &handover, End::Missed, None, more).await?;
            pass(tx, ctx, &handover, &lead, user, terms, note).await
        }
        Next::Pool => {
            let more = json!({ "outcome": "pool", "notify": notify });
            record::end(tx, ctx, &handover, End::Missed, None, more).await?;
            let leaving = pool::Leaving {
                lead: lead.id,
                owner: lead.owner,
                note: json!({ "how": "hand_over", "lead_handover_id": handover.id }),
                is_own_change: true,
            };
            pool::release(tx, ctx, leaving).await
        }
        Next::Nobody => {
            record::mark(tx, ctx, &handover, true).await?;
            let mut data = record::about(&handover);
            data.insert("outcome".to_owned(), json!("kept"));
            data.insert("notify".to_owned(), notify);
            record::tell(tx, &handover, "missed", data);
            Ok(())
        }
    }
}

async fn next(
    tx: &mut Tx,
    ctx: &Ctx,
    settings: &AssignmentSettings,
    handover: &Handover,
    lead: &Subject,
    barred: &BTreeSet<Uuid>,
) -> AppResult<Next> {
    match settings.when_missed.as_str() {
        "pool" => return Ok(Next::Pool),
        "keep" => return Ok(Next::Nobody),
        _ => {}
    }
    let order = Order {
        asking: Asking::Anew,
        ignores_owner: false,
        barred: BTreeMap::from([(lead.id, barred.clone())]),
        is_own_change: true,
        is_written: false,
        how: "hand_over",
    };
    let outcomes = apply::by_rules(tx, ctx, vec![lead.id], &order).await?;
    if let Some(outcome) = outcomes.into_iter().next()
        && let Verdict::Given { user, .. } = outcome.verdict
    {
        return Ok(Next::Person {
            user,
            terms: outcome.terms,
            note: outcome.note,
        });
    }
    match settings.when_nobody_left.as_str() {
        "pool" => Ok(Next::Pool),
        "leader" => {
            let leaders = record::leaders(&mut &**tx, ctx.tenant, handover.to_user_id).await?;
            let leader = leaders.into_iter().find(|leader| !barred.contains(leader));
            Ok(leader.map_or(Next::Nobody, |user| Next::Person {
                user,
                terms: Terms::default(),
                note: json!({ "how": "hand_over", "to": "leader" }),
            }))
        }
        _ => Ok(Next::Nobody),
    }
}

/// Gives the lead to the next one, and the next clock begins.
async fn pass(
    tx: &mut Tx,
    ctx: &Ctx,
    handover: &Handover,
    lead: &Subject,
    to: Uuid,
    terms: Terms,
    mut note: Value,
) -> AppResult<()> {
    note["lead_handover_id"] = json!(handover.id);
    let given = Given {
        lead: lead.id,
        before: lead.owner,
        after: to,
        note,
    };
    apply::give(tx, ctx, &[given], true).await?;
    let goal = terms.goal.clone().or_else(|| handover.goal.clone());
    let beginning = Begin {
        lead: lead.id,
        from: Some(handover.to_user_id),
        to,
        reason: Reason::HandOver,
        terms: Terms { goal, ..terms },
        accepted_at: handover.accepted_at,
        after: Some(handover.clone()),
    };
    record::begin(tx, ctx, beginning).await.map(|_| ())
}
