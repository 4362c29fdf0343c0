//! Whom the rules would give a lead to, and why each rule and each person was passed over. Writes nothing.

use super::apply;
use super::bench::{Bench, Count};
use super::choose::{Candidate, Standing};
use super::decide::{Asking, Considered, Verdict, decide};
use super::rules::{Rule, Trigger};
use super::settings;
use crate::crm::handover::record;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppResult, OrNotFound};
use crate::kernel::expression::Truth;
use crate::platform::db::Db;
use crate::platform::gatekeeper::Id;
use crate::platform::records::store;
use crate::platform::reply::Reply;
use actix_web::{get, web};
use diesel_async::AsyncPgConnection;
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;

/// Whom the rules would give a lead to.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssignmentPreview {
    /// Who would get it; null: nobody.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub owner_id: Option<Uuid>,
    /// The rule that decides; null: none does.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub rule_id: Option<Uuid>,
    /// The rules in the order in which they are asked, up to the one that decides.
    pub considered: Vec<ConsideredRule>,
}

/// How a rule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "decides")]
pub enum RuleOutcome {
    /// It is met, and has somebody.
    Decides,
    /// It is met and has nobody, and that is its last word.
    HasNobody,
    /// It is met and has nobody, and passes the lead on.
    PassesOn,
    Unmet,
    /// It depends on something unknown.
    Unknown,
    /// It cannot be computed.
    Failed,
}

/// A rule that was asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsideredRule {
    /// The rule.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub rule_id: Uuid,
    /// Its name.
    #[schema(example = "华东制造业")]
    pub name: String,
    pub trigger: Trigger,
    pub outcome: RuleOutcome,
    /// Members that are not known, on which it depends; or why it cannot be computed.
    #[schema(example = json!([]))]
    pub because: Vec<String>,
    /// Its people in the order in which it names them, when it is met.
    pub candidates: Vec<ConsideredPerson>,
}

/// Somebody whom a rule names.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsideredPerson {
    /// Who.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub user_id: Uuid,
    /// Their name.
    #[schema(example = "李伟")]
    pub name: String,
    /// Whether it would be them.
    #[schema(example = true)]
    pub is_chosen: bool,
    pub standing: Standing,
    /// Open leads that they hold.
    #[schema(minimum = 0, example = 12)]
    pub open_leads: i64,
    /// Most open leads that they may hold; null: any number.
    #[schema(minimum = 0, example = 50)]
    pub capacity: Option<i64>,
    /// Their weight at this rule.
    #[schema(minimum = 1, example = 1)]
    pub weight: i64,
    /// Number of the rule's turn at which they last got a lead; 0: never.
    #[schema(minimum = 0, example = 7)]
    pub last_turn: i64,
}

/// Preview the assignment of a lead
///
/// Whom `POST …/assign` without an owner would give it to at this moment, and for each rule and each person why, or why not.
#[utoipa::path(tag = "leads", operation_id = "get_assignment_preview", security(("bearer" = ["lead.assign"])),
    responses((status = 200, description = "What the rules say", body = AssignmentPreview)))]
#[get("/v1/leads/{id}/assignment-preview")]
pub async fn get_assignment_preview(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    let told = db
        .snapshot(async |conn| {
            let conn = &mut &*conn;
            store::require_visible(conn, &ctx, &LEAD, id.0).await?;
            let barred = barred(conn, &ctx, id.0).await?;
            explain(conn, &ctx, id.0, &barred).await
        })
        .await?;
    Ok(Reply::ok(&told)?.with_weak_tag())
}

/// Who is not to get a lead anew: its owner, and whoever had it in the hand-over that runs.
///
/// # Errors
/// Database errors.
pub async fn barred(conn: &mut &AsyncPgConnection, ctx: &Ctx, lead: Uuid) -> AppResult<BTreeSet<Uuid>> {
    let subjects = apply::subjects(conn, ctx, vec![lead], false).await?;
    let mut barred = subjects
        .iter()
        .filter_map(|subject| subject.owner)
        .collect::<BTreeSet<_>>();
    if let Some(open) = record::open_of(conn, ctx.tenant, lead).await? {
        barred.extend(record::holders(conn, ctx.tenant, open.chain_id).await?);
    }
    Ok(barred)
}

/// What the rules say about a lead that is to be given anew.
///
/// # Errors
/// `not_found` when it is archived or converted; database errors.
pub async fn explain(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    lead: Uuid,
    barred: &BTreeSet<Uuid>,
) -> AppResult<AssignmentPreview> {
    let rules = apply::rules_for(conn, ctx.tenant, Asking::Anew).await?;
    let subjects = apply::subjects(conn, ctx, vec![lead], false).await?;
    let met = apply::met(&rules, &subjects);
    let subject = subjects.as_slice().first().or_not_found()?;
    let settings = settings::read(conn, ctx.tenant).await?;
    let bench = Bench::load(
        conn,
        ctx.tenant,
        ctx.now,
        settings.lead_capacity,
        &met,
        Count::All,
    )
    .await?;
    let decision = decide(&rules, subject, &bench, Asking::Anew, barred);
    let (owner_id, deciding) = match decision.verdict {
        Verdict::Given { rule, user } => (Some(user), Some(rule)),
        Verdict::Nobody { rule } => (None, Some(rule)),
        Verdict::Kept { .. } | Verdict::NoRule => (None, None),
    };
    let told = decision.considered.into_iter().filter_map(|considered| {
        let rule = rules.get(considered.rule)?;
        let decides = (deciding == Some(considered.rule)).then_some(owner_id);
        Some(told_rule(ctx, rule, considered, decides, &bench))
    });
    Ok(AssignmentPreview {
        owner_id,
        rule_id: deciding.and_then(|rule| rules.get(rule)).map(|rule| rule.id),
        considered: told.collect(),
    })
}

/// `decides`: it is this rule, with whom it chose.
fn told_rule(
    ctx: &Ctx,
    rule: &Rule,
    considered: Considered,
    decides: Option<Option<Uuid>>,
    bench: &Bench,
) -> ConsideredRule {
    let (outcome, because) = match (considered.truth, decides) {
        (_, Some(Some(_))) => (RuleOutcome::Decides, Vec::new()),
        (_, Some(None)) => (RuleOutcome::HasNobody, Vec::new()),
        (Some(Truth::Met), None) => (RuleOutcome::PassesOn, Vec::new()),
        (Some(Truth::Unknown { missing }), None) => (RuleOutcome::Unknown, missing),
        (Some(Truth::Failed { reason }), None) => {
            (RuleOutcome::Failed, vec![reason.in_lang(ctx.lang).to_owned()])
        }
        (Some(Truth::Unmet) | None, None) => (RuleOutcome::Unmet, Vec::new()),
    };
    let chosen = decides.flatten();
    ConsideredRule {
        rule_id: rule.id,
        name: rule.name.clone(),
        trigger: rule.trigger,
        outcome,
        because,
        candidates: considered
            .candidates
            .iter()
            .map(|one| told_person(one, chosen, bench))
            .collect(),
    }
}

fn told_person(one: &Candidate, chosen: Option<Uuid>, bench: &Bench) -> ConsideredPerson {
    ConsideredPerson {
        user_id: one.user_id,
        name: bench.name(one.user_id).unwrap_or_default().to_owned(),
        is_chosen: chosen == Some(one.user_id),
        standing: one.standing(),
        open_leads: one.open_leads,
        capacity: one.capacity,
        weight: one.weight,
        last_turn: one.last_turn,
    }
}
