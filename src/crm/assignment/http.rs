//! Giving leads to people: by hand or by rule, one or many.

use super::apply::{self, Order};
use super::by_hand;
use super::decide::{Asking, Verdict};
use super::follow::step_of;
use super::preview;
use crate::crm::handover;
use crate::crm::hooks::already_converted;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::{Ctx, IfMatch};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::batch::{self, Mode};
use crate::platform::records::http::written_reply;
use crate::platform::records::store::{self, For, Locked, Written};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why somebody gets more leads than they may hold.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CapacityOverride {
    /// The reason; kept with the event.
    #[schema(min_length = 1, max_length = 500, example = "老客户指定")]
    reason: String,
}

/// To whom a lead is given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "owner_id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a" }))]
pub struct AssignLead {
    /// The new owner, within your reach; whom the rules say, when not given.
    #[serde(default)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub owner_id: Option<Uuid>,
    /// Why it is given; kept with the event.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, example = "熟悉该行业")]
    pub reason: Option<String>,
    /// Gives it although its new owner is full.
    #[serde(default)]
    pub override_capacity: Option<CapacityOverride>,
}

/// Several leads to be given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchAssignLeads {
    pub mode: Mode,
    /// The leads; of one named twice the last word counts.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<BatchAssignment>,
    /// Why they are given; kept with each event.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, example = "区域调整")]
    pub reason: Option<String>,
    /// Gives them although a new owner is full.
    #[serde(default)]
    pub override_capacity: Option<CapacityOverride>,
}

/// One lead of a batch.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b", "owner_id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a" }))]
pub struct BatchAssignment {
    /// The lead.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub id: Uuid,
    /// Its new owner; whom the rules say, when not given.
    #[serde(default)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub owner_id: Option<Uuid>,
    /// The version that you read; another one is refused as stale.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2_147_483_647, example = 1)]
    pub if_match: Option<i32>,
}

/// Give a lead to somebody
///
/// With `owner_id` by hand: both its present and its new owner must be within the reach of your permission; a lead that
/// nobody owns can be given by whoever sees it. Who is deactivated is refused, who is away is warned of, and who holds as
/// many open leads as they may is refused with `over_capacity` unless `override_capacity` says why. Without `owner_id` by
/// the rules of the moments that the lead has reached, the latest first, to somebody who does not have it: `conflict` with
/// `considered` when they have nobody for it.
#[utoipa::path(tag = "leads", operation_id = "assign_lead", security(("bearer" = ["lead.assign"])), request_body = AssignLead, responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/assign")]
pub async fn assign_lead(db: web::Data<Db>, id: Id, command: Command<AssignLead>) -> AppResult<Reply> {
    let (Command { ctx, input }, Id(id)) = (command, id);
    db.write(&ctx, async |tx| {
        let written = assign(tx, &ctx, id, &input).await?;
        written_reply(&LEAD, &ctx, 200, written)
    })
    .await
}

/// Give several leads to people
///
/// Up to 1,000, each as a request of its own would be: by hand with `owner_id`, by the rules without. With `each` it
/// answers 200 and for every item its own status; with `all_or_nothing` one refusal is the answer to the whole and nothing
/// changes. What cannot be done within 15 seconds is undone whole (503): send less at once.
#[utoipa::path(tag = "leads", operation_id = "batch_assign_leads", security(("bearer" = ["lead.assign"])), request_body = BatchAssignLeads, responses((status = 200, description = "What became of each item", body = ref("#/components/schemas/BatchAnswer"))))]
#[post("/v1/leads/batch-assign")]
pub async fn batch_assign_leads(db: web::Data<Db>, command: Command<BatchAssignLeads>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    batch::refuse_if_match(&ctx)?;
    db.write(&ctx, async |tx| assign_many(tx, &ctx, &input).await)
        .await
}

async fn assign_many(tx: &mut Tx, ctx: &Ctx, input: &BatchAssignLeads) -> AppResult<Reply> {
    let mut ids = input.items.iter().map(|item| item.id).collect::<Vec<_>>();
    ids.sort_unstable();
    ids.dedup();
    // Locked in the order of their ids, and all before the lock of the settings, so that no two batches wait in a circle.
    apply::subjects(&mut &**tx, ctx, ids, true).await?;
    let mut done = Vec::with_capacity(input.items.len());
    for (index, item) in input.items.iter().enumerate() {
        let mut ctx = ctx.clone();
        ctx.if_match = item.if_match.map(|version| IfMatch::Versions(vec![version]));
        let one = AssignLead {
            owner_id: item.owner_id,
            reason: input.reason.clone(),
            override_capacity: input.override_capacity.clone(),
        };
        let outcome = tx.apart(async |tx| assign(tx, &ctx, item.id, &one).await).await?;
        let outcome = outcome.map(|written| (200, written));
        done.push(outcome.map_err(|refusal| batch::at_item(*refusal, index)));
    }
    let ids = input.items.iter().map(|item| Some(item.id)).collect::<Vec<_>>();
    batch::reply(ctx, input.mode, &ids, done)
}

async fn assign(tx: &mut Tx, ctx: &Ctx, id: Uuid, input: &AssignLead) -> AppResult<Written> {
    let locked = store::lock(tx, ctx, &LEAD, id, For::Assignment("lead.assign")).await?;
    let lead = locked.record()?;
    if lead.get("status").and_then(Value::as_str) == Some("converted") {
        return Err(already_converted());
    }
    match input.owner_id {
        Some(owner) => to_person(tx, ctx, id, &locked, lead, owner, input).await,
        None => by_rules(tx, ctx, id, input.reason.as_deref()).await,
    }
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

/// Asks the rules for somebody who does not have the lead.
async fn by_rules(tx: &mut Tx, ctx: &Ctx, id: Uuid, reason: Option<&str>) -> AppResult<Written> {
    let barred = barred(tx, ctx, id).await?;
    let order = Order {
        asking: Asking::Anew,
        ignores_owner: false,
        barred: BTreeMap::from([(id, barred.clone())]),
        is_own_change: true,
        is_written: true,
        how: "rule",
    };
    let outcomes = apply::by_rules(tx, ctx, vec![id], &order).await?;
    let outcome = outcomes
        .into_iter()
        .next()
        .filter(|outcome| matches!(outcome.verdict, Verdict::Given { .. }));
    let Some(outcome) = outcome else {
        return Err(nobody(tx, ctx, id, &barred).await?);
    };
    if let Some(reason) = reason {
        note(tx, id, json!({ "reason": reason }));
    }
    let status = outcome.lead.status;
    handover::follow::follow(tx, ctx, &step_of(outcome, Some(status))).await?;
    let (version, body) = apply::record(&mut &**tx, ctx, id).await?;
    Ok(Written {
        id,
        version,
        body: store::visible(&LEAD, ctx, body),
        warnings: Vec::new(),
    })
}

/// Who is not to get a lead anew: its owner, and whoever had it in the hand-over that runs.
///
/// # Errors
/// Database errors.
pub async fn barred(tx: &mut Tx, ctx: &Ctx, lead: Uuid) -> AppResult<BTreeSet<Uuid>> {
    preview::barred(&mut &**tx, ctx, lead).await
}

async fn nobody(tx: &mut Tx, ctx: &Ctx, lead: Uuid, barred: &BTreeSet<Uuid>) -> AppResult<AppError> {
    let told = preview::explain(&mut &**tx, ctx, lead, barred).await?;
    let refusal = AppError::refuse(
        Code::Conflict,
        say(
            "No rule has anybody who can take this lead",
            "没有规则能为该线索找到可接手的人员",
        ),
    );
    Ok(refusal.with(
        "considered",
        serde_json::to_value(told.considered).map_err(AppError::internal)?,
    ))
}
