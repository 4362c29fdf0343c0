//! What giving leads does: by a person's word or by the rules, one lead or many.

use super::apply::{self, Given, Order, Outcome};
use super::by_hand;
use super::decide::{Asking, Verdict};
use super::follow::step_of;
use super::http::{AssignLead, BatchAssignLeads};
use super::preview;
use crate::crm::handover;
use crate::crm::hooks::already_converted;
use crate::crm::pool::Kind;
use crate::crm::pool::claims::PoolTaken;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::{Ctx, IfMatch};
use crate::kernel::error::{AppError, AppResult, Refusal};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::batch::{self, Done};
use crate::platform::records::store::{self, For, Locked, Written};
use crate::platform::reply::Reply;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Gives several leads, each by itself; those for which the rules are asked last and together.
///
/// # Errors
/// With `all_or_nothing` the refusal of the whole; database errors.
pub(super) async fn assign_many(tx: &mut Tx, ctx: &Ctx, input: &BatchAssignLeads) -> AppResult<Reply> {
    let mut ids = input.items.iter().map(|item| item.id).collect::<Vec<_>>();
    ids.sort_unstable();
    ids.dedup();
    // Locked in the order of their ids, and all before the lock of the settings, so that no two batches wait in a circle.
    apply::subjects(&mut &**tx, ctx, ids, true).await?;
    let mut round = Round::default();
    for (index, item) in input.items.iter().enumerate() {
        if round.waits(item.id) {
            round.ask(tx, ctx, input).await?;
        }
        let mut ctx = ctx.clone();
        ctx.if_match = item.if_match.map(|version| IfMatch::Versions(vec![version]));
        let one = AssignLead {
            owner_id: item.owner_id,
            reason: input.reason.clone(),
            override_capacity: input.override_capacity.clone(),
        };
        let outcome = tx
            .apart(async |tx| by_word(tx, &ctx, item.id, &one).await)
            .await?;
        match outcome {
            Ok(Word::Given(written)) => round.given(index, *written),
            Ok(Word::Rules(asked)) => round.waiting.push((index, asked)),
            Err(refusal) => round.refused(index, *refusal),
        }
    }
    round.ask(tx, ctx, input).await?;
    let ids = input.items.iter().map(|item| Some(item.id)).collect::<Vec<_>>();
    batch::reply(ctx, input.mode, &ids, round.done.into_values().collect())
}

/// What has become of a batch so far.
#[derive(Default)]
struct Round {
    /// By the item's place.
    done: BTreeMap<usize, Done>,
    /// Leads for which the rules are asked together, so that the company's loads are locked once, at the end.
    waiting: Vec<(usize, Asked)>,
}

impl Round {
    fn waits(&self, lead: Uuid) -> bool {
        self.waiting.iter().any(|(_, asked)| asked.lead == lead)
    }

    fn given(&mut self, index: usize, written: Written) {
        self.done.insert(index, Ok((200, written)));
    }

    fn refused(&mut self, index: usize, refusal: Refusal) {
        self.done.insert(index, Err(batch::at_item(refusal, index)));
    }

    async fn ask(&mut self, tx: &mut Tx, ctx: &Ctx, input: &BatchAssignLeads) -> AppResult<()> {
        let (places, asked): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().unzip();
        let outcomes = by_rules(tx, ctx, &asked, input.reason.as_deref()).await?;
        for (index, outcome) in places.into_iter().zip(outcomes) {
            match outcome {
                Ok(written) => self.given(index, written),
                Err(refusal) => self.refused(index, refusal.to_refusal()),
            }
        }
        Ok(())
    }
}

/// A locked lead for which the rules are asked.
struct Asked {
    lead: Uuid,
    /// Whether the caller saw it masked in the pool and no other way.
    is_masked: bool,
}

/// What a word about one lead comes to.
enum Word {
    Given(Box<Written>),
    Rules(Asked),
}

/// Gives one lead, by the caller's word or by the rules.
///
/// # Errors
/// As the operation says; database errors.
pub(super) async fn assign(tx: &mut Tx, ctx: &Ctx, id: Uuid, input: &AssignLead) -> AppResult<Written> {
    match by_word(tx, ctx, id, input).await? {
        Word::Given(written) => Ok(*written),
        Word::Rules(asked) => {
            let outcomes = by_rules(tx, ctx, &[asked], input.reason.as_deref()).await?;
            let outcome = outcomes.into_iter().next();
            outcome.unwrap_or_else(|| Err(AppError::internal("the rules said nothing")))
        }
    }
}

/// Locks a lead, and gives it to the person whom the caller names, if they name one.
async fn by_word(tx: &mut Tx, ctx: &Ctx, id: Uuid, input: &AssignLead) -> AppResult<Word> {
    let locked = store::lock(tx, ctx, &LEAD, id, For::Assignment("lead.assign")).await?;
    let lead = locked.record()?;
    if lead.get("status").and_then(Value::as_str) == Some("converted") {
        return Err(already_converted());
    }
    let Some(owner) = input.owner_id else {
        return Ok(Word::Rules(Asked {
            lead: id,
            is_masked: locked.is_masked,
        }));
    };
    let mut written = to_person(tx, ctx, id, &locked, lead, owner, input).await?;
    if locked.is_masked {
        written = masked(id, owner, written.version)?;
    }
    Ok(Word::Given(Box::new(written)))
}

/// No more of a lead than the pool shows: who gave it away unseen, or only tried what that would do, has not read it.
pub(super) fn masked(id: Uuid, owner: Uuid, version: i32) -> AppResult<Written> {
    let taken = serde_json::to_value(PoolTaken::new(Kind::Lead, id, owner)).map_err(AppError::internal)?;
    Ok(Written {
        id,
        version,
        body: taken.as_object().cloned().unwrap_or_default(),
        warnings: Vec::new(),
    })
}

async fn to_person(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    locked: &Locked,
    mut lead: Map<String, Value>,
    owner: Uuid,
    input: &AssignLead,
) -> AppResult<Written> {
    by_hand::require_active(tx, ctx, owner).await?;
    if lead.get("owner_id") == Some(&json!(owner)) {
        return Ok(Written {
            id,
            version: locked.version,
            body: store::visible(&LEAD, ctx, lead),
            warnings: Vec::new(),
        });
    }
    lead.insert("owner_id".to_owned(), json!(owner));
    if let Some(told) = &input.override_capacity {
        lead.insert(by_hand::OVERRIDE.to_owned(), json!(told));
    }
    let written = store::save_as(tx, ctx, &LEAD, id, locked, lead, "assigned").await?;
    note(tx, id, json!({ "how": "by_hand", "reason": input.reason }));
    Ok(written)
}

/// What the lead's event says about its assignment.
fn note(tx: &mut Tx, lead: Uuid, note: Value) {
    let data = json!({ "assignment": note });
    tx.record(Event::new("lead.assigned", LEAD.singular, lead, data));
}

/// Asks the rules for somebody who does not have these locked leads, all together; what became of each, in their order.
async fn by_rules(
    tx: &mut Tx,
    ctx: &Ctx,
    asked: &[Asked],
    reason: Option<&str>,
) -> AppResult<Vec<AppResult<Written>>> {
    let mut barred = BTreeMap::new();
    for one in asked {
        barred.insert(one.lead, self::barred(tx, ctx, one.lead).await?);
    }
    let order = Order {
        asking: Asking::Anew,
        ignores_owner: false,
        barred,
        is_own_change: true,
        // Nobody for it means a refusal here: an unowned lead stays where it is.
        is_written: false,
        how: "rule",
    };
    let leads = asked.iter().map(|one| one.lead).collect();
    let outcomes = apply::by_rules(tx, ctx, leads, &order).await?;
    let mut outcomes = outcomes
        .into_iter()
        .filter(|outcome| matches!(outcome.verdict, Verdict::Given { .. }))
        .map(|outcome| (outcome.lead.id, outcome))
        .collect::<BTreeMap<_, _>>();
    let given = outcomes.values().filter_map(given).collect::<Vec<_>>();
    apply::give(tx, ctx, &given, true).await?;
    let nobody_barred = BTreeSet::new();
    let mut written = Vec::with_capacity(asked.len());
    for one in asked {
        let barred = order.barred.get(&one.lead).unwrap_or(&nobody_barred);
        written.push(match outcomes.remove(&one.lead) {
            Some(outcome) => Ok(taken_over(tx, ctx, one, outcome, reason).await?),
            None => Err(nobody(tx, ctx, one, barred).await?),
        });
    }
    Ok(written)
}

fn given(outcome: &Outcome) -> Option<Given> {
    Some(Given {
        lead: outcome.lead.id,
        before: outcome.before,
        after: outcome.after?,
        note: outcome.note.clone(),
    })
}

/// What follows once a rule gave a lead to somebody, and how it stands then.
async fn taken_over(
    tx: &mut Tx,
    ctx: &Ctx,
    asked: &Asked,
    outcome: Outcome,
    reason: Option<&str>,
) -> AppResult<Written> {
    let id = asked.lead;
    if let Some(reason) = reason {
        note(tx, id, json!({ "reason": reason }));
    }
    let (status, owner) = (outcome.lead.status, outcome.after);
    handover::follow::follow(tx, ctx, &step_of(outcome, Some(status))).await?;
    let (version, body) = apply::record(&mut &**tx, ctx, id).await?;
    match owner.filter(|_| asked.is_masked) {
        Some(owner) => masked(id, owner, version),
        None => Ok(Written {
            id,
            version,
            body: store::visible(&LEAD, ctx, body),
            warnings: Vec::new(),
        }),
    }
}

/// Who is not to get a lead anew: its owner, and whoever had it in the hand-over that runs.
///
/// # Errors
/// Database errors.
pub async fn barred(tx: &mut Tx, ctx: &Ctx, lead: Uuid) -> AppResult<BTreeSet<Uuid>> {
    preview::barred(&mut &**tx, ctx, lead).await
}

async fn nobody(tx: &mut Tx, ctx: &Ctx, asked: &Asked, barred: &BTreeSet<Uuid>) -> AppResult<AppError> {
    let refusal = AppError::refuse(
        Code::Conflict,
        say(
            "No rule has anybody who can take this lead",
            "没有规则能为该线索找到可接手的人员",
        ),
    );
    // Which conditions a lead meets says what it holds.
    if asked.is_masked {
        return Ok(refusal);
    }
    let told = preview::explain(&mut &**tx, ctx, asked.lead, barred).await?;
    Ok(refusal.with(
        "considered",
        serde_json::to_value(told.considered).map_err(AppError::internal)?,
    ))
}
