//! What is written to leads brings the rules in: an arrival without an owner, a step to a qualification. And a new owner
//! brings a hand-over.

use super::apply::{self, Order, Outcome};
use super::decide::{Asking, Verdict};
use super::rules::{Terms, Trigger};
use super::settings;
use crate::crm::handover::follow::{Step, archived, follow};
use crate::crm::handover::record::Reason;
use crate::crm::lead_states::Status;
use crate::crm::pool;
use crate::crm::pool::stays::{CLAIMED, RETURNED};
use crate::crm::scoring::apply::Moved;
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Act, Change};
use diesel::sql_types::{Array, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// A lead was written and scored.
pub fn after_lead<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        match change.act {
            Act::Archive => archived(tx, ctx, change.id).await,
            Act::Restore => Ok(()),
            Act::Create | Act::Update => written(tx, ctx, change).await,
        }
    })
}

fn status(record: &Map<String, Value>) -> AppResult<Option<Status>> {
    match record.get("status") {
        None | Some(Value::Null) => Ok(None),
        Some(status) => serde_json::from_value(status.clone()).map_err(AppError::internal),
    }
}

fn owner(record: &Map<String, Value>) -> Option<Uuid> {
    let id = record.get("owner_id").and_then(Value::as_str)?;
    Uuid::parse_str(id).ok()
}

async fn written(tx: &mut Tx, ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    let statuses = (
        status(&change.before)?,
        status(&change.after)?.unwrap_or(Status::New),
    );
    let before = owner(&change.before);
    let mut after = owner(&change.after);
    let (mut reason, mut terms) = (reason_of(change, before != after), Terms::default());
    let triggers = triggers(tx, ctx, change, statuses).await?;
    if tx.is_of_many() && !triggers.is_empty() {
        leave(tx, change, &triggers);
        return Ok(());
    }
    for (trigger, ignores_owner) in triggers {
        let order = Order::reached(trigger, ignores_owner);
        let outcomes = apply::by_rules(tx, ctx, vec![change.id], &order).await?;
        if let Some(outcome) = outcomes.into_iter().next() {
            terms = outcome.terms.or(terms);
            if outcome.after != after {
                (after, reason) = (outcome.after, Reason::Rule);
            }
        }
    }
    change.after.insert("owner_id".to_owned(), json!(after));
    let step = Step {
        lead: change.id,
        status: statuses,
        owner: (before, after),
        reason,
        terms,
    };
    follow(tx, ctx, &step).await
}

/// What the history calls a change of owner that no rule made.
fn reason_of(change: &Change, has_new_owner: bool) -> Reason {
    match change.verb {
        _ if !has_new_owner || change.act == Act::Create => Reason::Qualified,
        Some(CLAIMED) => Reason::Claim,
        Some(super::undo::VERB | RETURNED) => Reason::Undo,
        _ => Reason::ByHand,
    }
}

/// The moments that the lead reached by this write, and whether the owner that it has is its maker only.
async fn triggers(
    tx: &mut Tx,
    ctx: &Ctx,
    change: &Change,
    statuses: (Option<Status>, Status),
) -> AppResult<Vec<(Trigger, bool)>> {
    let mut triggers = Vec::new();
    if change.act == Act::Create && is_taken_up(tx, ctx, change).await? {
        triggers.push((Trigger::Created, true));
    }
    let is_imported = change.act == Act::Create && ctx.actor_kind == ActorKind::Job;
    if statuses.0 != Some(statuses.1) && !is_imported {
        triggers.extend(Trigger::reached(statuses.1).map(|trigger| (trigger, false)));
    }
    Ok(triggers)
}

/// Whether a new lead goes by the rules: whoever made it named no owner, and the company wants it so. What an import
/// brings is taken up together: see [`imported`].
async fn is_taken_up(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<bool> {
    let has_named = change.was_sent("owner_id") && owner(&change.after).is_some();
    Ok(match ctx.actor_kind {
        _ if has_named => false,
        ActorKind::Source => true,
        ActorKind::Job => {
            tx.leave_for_later(IMPORTED, change.id);
            false
        }
        _ => {
            settings::read(&mut &**tx, ctx.tenant)
                .await?
                .assigns_entered_leads
        }
    })
}

/// Leads that took a step by their score, or by something that happened to them, outside a write of their record.
///
/// # Errors
/// Database errors.
pub async fn stepped(tx: &mut Tx, ctx: &Ctx, moved: &[Moved]) -> AppResult<()> {
    for trigger in [Trigger::MarketingQualified, Trigger::SalesQualified] {
        let reached = moved
            .iter()
            .filter(|one| one.status != one.status_before && Trigger::reached(one.status) == Some(trigger))
            .collect::<Vec<_>>();
        if reached.is_empty() {
            continue;
        }
        let leads = reached.iter().map(|one| one.lead_id).collect::<Vec<_>>();
        let order = Order {
            asking: Asking::Reached(trigger),
            ignores_owner: false,
            barred: BTreeMap::new(),
            is_own_change: true,
            is_written: true,
            how: "rule",
        };
        let outcomes = apply::by_rules(tx, ctx, leads.clone(), &order).await?;
        let mut outcomes = outcomes
            .into_iter()
            .map(|outcome| (outcome.lead.id, outcome))
            .collect::<BTreeMap<_, _>>();
        if trigger != Trigger::SalesQualified {
            continue;
        }
        let missing = leads.iter().any(|lead| !outcomes.contains_key(lead));
        let subjects = match missing {
            true => apply::subjects(&mut &**tx, ctx, leads, true).await?,
            false => Vec::new(),
        };
        let owners = subjects.into_iter().map(|subject| (subject.id, subject.owner));
        let owners = owners.collect::<BTreeMap<_, _>>();
        for one in reached {
            let step = match outcomes.remove(&one.lead_id) {
                Some(outcome) => step_of(outcome, Some(one.status_before)),
                None => {
                    let owner = owners.get(&one.lead_id).copied().flatten();
                    Step {
                        lead: one.lead_id,
                        status: (Some(one.status_before), one.status),
                        owner: (owner, owner),
                        reason: Reason::Qualified,
                        terms: Terms::default(),
                    }
                }
            };
            follow(tx, ctx, &step).await?;
        }
    }
    Ok(())
}

/// The step of a lead about which the rules were asked; it had that status before.
pub fn step_of(outcome: Outcome, before: Option<Status>) -> Step {
    let has_new_owner = outcome.before != outcome.after;
    Step {
        lead: outcome.lead.id,
        status: (before, outcome.lead.status),
        owner: (outcome.before, outcome.after),
        reason: if has_new_owner {
            Reason::Rule
        } else {
            Reason::Qualified
        },
        terms: outcome.terms,
    }
}

/// What one of several writes leaves for later: that rules are asked about a new lead, that a new lead is qualified, and
/// that one was qualified that was there before.
const MADE: &str = "leads made, to be assigned";
const MADE_QUALIFIED: &str = "leads made that are qualified";
const QUALIFIED: &str = "leads that were qualified";

/// Each moment at which rules are asked, and whether the owner that a lead has then is its maker only.
const MOMENTS: [(Trigger, bool); 3] = [
    (Trigger::Created, true),
    (Trigger::MarketingQualified, false),
    (Trigger::SalesQualified, false),
];

fn leave(tx: &mut Tx, change: &Change, triggers: &[(Trigger, bool)]) {
    for (trigger, _) in triggers {
        let step = match (trigger, change.act) {
            (Trigger::Created, _) => MADE,
            (_, Act::Create) => MADE_QUALIFIED,
            _ => QUALIFIED,
        };
        tx.leave_for_later(step, change.id);
    }
}

/// Whether rules are still to be asked about a new lead, so that nobody knows whose it will be.
pub fn is_left(tx: &Tx, lead: Uuid) -> bool {
    tx.has_left(MADE, lead)
}

/// Takes up the leads of several writes, all together: the rules are asked once for each moment, and the company's loads are
/// locked only then, after the keys of all leads.
pub fn gathered<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
) -> LocalBoxFuture<'a, AppResult<HashMap<Uuid, Map<String, Value>>>> {
    Box::pin(async move {
        let made = tx.take_for(MADE);
        let made_qualified = tx.take_for(MADE_QUALIFIED);
        let qualified = tx.take_for(QUALIFIED);
        let new = made
            .iter()
            .chain(&made_qualified)
            .copied()
            .collect::<BTreeSet<_>>();
        let reached = made_qualified.iter().chain(&qualified).copied();
        let reached = reached.collect::<BTreeSet<_>>();
        let mut steps = steps(tx, ctx, &new, &reached).await?;
        for (trigger, ignores_owner) in MOMENTS {
            let leads = steps.values().filter(|step| match trigger {
                Trigger::Created => made.contains(&step.lead),
                _ => reached.contains(&step.lead) && Trigger::reached(step.status.1) == Some(trigger),
            });
            let leads = leads.map(|step| step.lead).collect::<Vec<_>>();
            let order = Order::reached(trigger, ignores_owner);
            for outcome in apply::by_rules(tx, ctx, leads, &order).await? {
                if let Some(step) = steps.get_mut(&outcome.lead.id) {
                    take(step, outcome);
                }
            }
        }
        for step in steps.values().filter(|step| reached.contains(&step.lead)) {
            follow(tx, ctx, step).await?;
        }
        let unowned = steps
            .values()
            .filter(|step| new.contains(&step.lead) && step.owner.1.is_none());
        let unowned = unowned.map(|step| step.lead).collect::<Vec<_>>();
        pool::hooks::arrived_unowned(tx, ctx, &unowned).await?;
        let owner = |step: Step| {
            let owner = json!(step.owner.1);
            (step.lead, Map::from_iter([("owner_id".to_owned(), owner)]))
        };
        Ok(steps.into_values().map(owner).collect())
    })
}

/// The steps that leads took which this transaction wrote, as far as is known before the rules were asked.
async fn steps(
    tx: &mut Tx,
    ctx: &Ctx,
    new: &BTreeSet<Uuid>,
    reached: &BTreeSet<Uuid>,
) -> AppResult<BTreeMap<Uuid, Step>> {
    let leads = new.union(reached).copied().collect::<Vec<_>>();
    if leads.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = at(tx, ctx, &leads).await?.into_iter();
    let step = |At { id, status, owner_id }| {
        let step = Step {
            lead: id,
            // Whatever it was before, it has only now become this.
            status: (None, status_of(status)?),
            owner: (owner_id.filter(|_| !new.contains(&id)), owner_id),
            reason: Reason::Qualified,
            terms: Terms::default(),
        };
        Ok((id, step))
    };
    found.map(step).collect()
}

fn take(step: &mut Step, outcome: Outcome) {
    step.terms = outcome.terms.or(std::mem::take(&mut step.terms));
    if outcome.after != step.owner.1 {
        step.owner.1 = outcome.after;
        step.reason = Reason::Rule;
    }
}

/// What an import leaves for later.
const IMPORTED: &str = "leads to be assigned";

/// Takes up the leads that this transaction's import made without naming owners, all together, if the company wants it so.
/// True when any rule had a say: the company's loads are then locked until the transaction ends.
///
/// # Errors
/// Database errors.
pub async fn imported(tx: &mut Tx, ctx: &Ctx) -> AppResult<bool> {
    let leads = tx.take_for(IMPORTED);
    if leads.is_empty()
        || !settings::read(&mut &**tx, ctx.tenant)
            .await?
            .assigns_imported_leads
    {
        return Ok(false);
    }
    let mut has_assigned = false;
    for (trigger, ignores_owner) in MOMENTS {
        let order = Order::reached(trigger, ignores_owner);
        let reached = reached(tx, ctx, &leads, trigger).await?;
        let outcomes = apply::by_rules(tx, ctx, reached, &order).await?;
        has_assigned |= outcomes.iter().any(|outcome| outcome.verdict != Verdict::NoRule);
        for outcome in outcomes
            .into_iter()
            .filter(|_| trigger == Trigger::SalesQualified)
        {
            follow(tx, ctx, &step_of(outcome, None)).await?;
        }
    }
    Ok(has_assigned)
}

#[derive(QueryableByName)]
struct At {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    owner_id: Option<Uuid>,
}

fn status_of(text: String) -> AppResult<Status> {
    serde_json::from_value(text.into()).map_err(AppError::internal)
}

/// Where those of these leads stand that can still move.
async fn at(tx: &mut Tx, ctx: &Ctx, leads: &[Uuid]) -> AppResult<Vec<At>> {
    let query = sql_query(
        "SELECT l.id, l.status, l.owner_id FROM unnest($2::uuid[]) AS w (id) CROSS JOIN LATERAL (SELECT * FROM leads t WHERE t.tenant_id = $1 AND t.id = w.id LIMIT 1) l \
         WHERE l.archived_at IS NULL AND l.status <> 'converted' ORDER BY l.id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Array<SqlUuid>, _>(leads);
    Ok(Cached(query).load(&mut **tx).await?)
}

/// Those of new leads, which nobody else sees yet, that are at a moment.
async fn reached(tx: &mut Tx, ctx: &Ctx, leads: &[Uuid], trigger: Trigger) -> AppResult<Vec<Uuid>> {
    if trigger == Trigger::Created {
        return Ok(leads.to_vec());
    }
    let mut reached = Vec::new();
    for At { id, status, .. } in at(tx, ctx, leads).await? {
        if Trigger::reached(status_of(status)?) == Some(trigger) {
            reached.push(id);
        }
    }
    Ok(reached)
}
