//! What is particular to the records of these rooms, beyond their declaration.

use super::assignment::{by_hand, follow};
use super::campaigns::{self, Naming};
use super::duplicates::gate;
use super::intake::mapping;
use super::resources::{ACCOUNT, CONTACT, LEAD};
use super::signals::keep;
use super::{field_uses, grading, nurturing, pool, rules, scoring, tree};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, Refusal};
use crate::kernel::expression;
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::records::{Act, Change, Verdicts, bulk, custom};
use futures::future::LocalBoxFuture;
use serde_json::Value;
use std::slice::{from_mut, from_ref};

fn none_or_invalid(faults: Vec<Fault>) -> AppResult<()> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

/// The verdict on a record of several whose faults are known.
fn verdict(faults: Vec<Fault>) -> AppResult<Result<(), Box<Refusal>>> {
    bulk::verdict(none_or_invalid(faults))
}

/// Accounts: the grade follows the expected need unless set by hand; credit terms have a form; no circle of parents.
pub fn account<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if change.act != Act::Archive {
            grade(ctx, change);
        }
        if matches!(change.act, Act::Create | Act::Update) {
            let mut faults = Vec::new();
            faults.extend(credit_terms(change));
            faults.extend(abandonment(change));
            faults.extend(tree::cycle(tx, ctx, "accounts", change).await?);
            if change.changed("expected_need_on") && change.text("grade").is_some() {
                grading::keep_daily(tx, ctx).await?;
            }
            none_or_invalid(faults)?;
        }
        gate::admit(tx, ctx, &ACCOUNT, change).await
    })
}

/// [`account`] for accounts that are made together.
pub fn new_accounts<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    changes: &'a mut [Change],
) -> LocalBoxFuture<'a, AppResult<Verdicts>> {
    Box::pin(async move {
        let mut verdicts = Verdicts::new();
        for change in &mut *changes {
            grade(ctx, change);
            verdicts.push(verdict(credit_terms(change).into_iter().collect())?);
        }
        let is_graded =
            |change: &Change| change.changed("expected_need_on") && change.text("grade").is_some();
        if changes.iter().any(is_graded) {
            grading::keep_daily(tx, ctx).await?;
        }
        gate::admit_new(tx, ctx, &ACCOUNT, changes, &mut verdicts).await?;
        Ok(verdicts)
    })
}

/// Nobody is rid of a record by a plain change: releasing it asks what that needs.
fn abandonment(change: &Change) -> Option<Fault> {
    let had_owner = change
        .before
        .get("owner_id")
        .is_some_and(|owner| !owner.is_null());
    let has_owner = change.after.get("owner_id").is_some_and(|owner| !owner.is_null());
    let is_plain = change.act == Act::Update && change.verb.is_none();
    (is_plain && had_owner && !has_owner).then(|| {
        Fault::invalid(
            "/owner_id",
            "cannot be emptied; release the record to the pool instead",
            "不能清空;请将记录释放到公海",
        )
    })
}

/// Accounts after they were written: the pool.
pub fn after_account<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(pool::hooks::written(tx, ctx, pool::Kind::Account, change))
}

/// [`after_account`] for accounts that were made together.
pub fn after_new_accounts<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    changes: &'a mut [Change],
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        gate::queue_new(tx, ctx, &ACCOUNT, changes).await?;
        pool::hooks::made(tx, ctx, pool::Kind::Account, changes).await
    })
}

/// Contacts: none twice.
pub fn contact<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(gate::admit(tx, ctx, &CONTACT, change))
}

/// [`contact`] for contacts that are made together.
pub fn new_contacts<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    changes: &'a mut [Change],
) -> LocalBoxFuture<'a, AppResult<Verdicts>> {
    Box::pin(async move {
        let mut verdicts = vec![Ok(()); changes.len()];
        gate::admit_new(tx, ctx, &CONTACT, changes, &mut verdicts).await?;
        Ok(verdicts)
    })
}

/// Contacts that were made together: pairs that may be one.
pub fn after_new_contacts<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    changes: &'a mut [Change],
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(gate::queue_new(tx, ctx, &CONTACT, changes))
}

fn credit_terms(change: &mut Change) -> Option<Fault> {
    let typed = change.text("credit_terms")?;
    match rules::credit_terms(typed) {
        Some(terms) => {
            change.after.insert("credit_terms".to_owned(), terms.into());
            None
        }
        None => Some(Fault::invalid(
            "/credit_terms",
            "must be `net N`, `net N eom`, `eom N` (N from 0 to 365 days) or `instalments`",
            "必须为 `net N`、`net N eom`、`eom N`(N 为 0 至 365 天)或 `instalments`",
        )),
    }
}

fn grade(ctx: &Ctx, change: &mut Change) {
    if change.was_sent("grade") {
        let is_by_hand = change.text("grade").is_some();
        change
            .after
            .insert("is_grade_by_hand".to_owned(), is_by_hand.into());
    }
    if change.after.get("is_grade_by_hand") == Some(&Value::Bool(true)) {
        return;
    }
    let company = &ctx.principal.company;
    let need = change.text("expected_need_on").and_then(|day| day.parse().ok());
    let computed =
        need.map(|need| rules::grade(need, ctx.today(), company.grade_a_days, company.grade_b_months));
    change.after.insert("grade".to_owned(), computed.into());
}

/// Leads: a converted one is history; none twice.
pub fn lead<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        let was_converted = change.before.get("status").and_then(Value::as_str) == Some("converted");
        if was_converted && change.act == Act::Update {
            return Err(already_converted());
        }
        let mut faults = Vec::from_iter(abandonment(change));
        faults.extend(keep::weigh(change));
        none_or_invalid(faults)?;
        // Whatever may refuse the lead comes before what is noted for it.
        let campaign = campaigns::named(tx, ctx, from_ref(change)).await?;
        let campaign = campaign.into_iter().collect::<AppResult<Vec<_>>>()?;
        gate::admit(tx, ctx, &LEAD, change).await?;
        // Its keys come before the company's loads in the order of locks.
        by_hand::admit(tx, ctx, change).await?;
        campaigns::note(tx, ctx, from_mut(change), &campaign).await?;
        keep::note(tx, ctx, [&*change]).await
    })
}

/// [`lead`] for leads that are made together.
pub fn new_leads<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    changes: &'a mut [Change],
) -> LocalBoxFuture<'a, AppResult<Verdicts>> {
    Box::pin(async move {
        let (mut verdicts, mut said) = (Verdicts::new(), Vec::new());
        let campaigns_named = campaigns::named(tx, ctx, changes).await?;
        for (change, campaign) in changes.iter_mut().zip(campaigns_named) {
            said.push(campaign.as_ref().map_or(Naming::Nothing, |naming| *naming));
            let weighed = none_or_invalid(Vec::from_iter(keep::weigh(change)));
            verdicts.push(bulk::verdict(weighed.and(campaign.map(|_| ())))?);
        }
        gate::admit_new(tx, ctx, &LEAD, changes, &mut verdicts).await?;
        for (change, verdict) in changes.iter_mut().zip(&mut verdicts) {
            if verdict.is_ok() {
                *verdict = bulk::verdict(by_hand::admit(tx, ctx, change).await)?;
                if verdict.is_err() {
                    gate::withdraw(tx, ctx, &LEAD, change.id).await?;
                }
            }
        }
        for (naming, _) in said
            .iter_mut()
            .zip(&verdicts)
            .filter(|(_, verdict)| verdict.is_err())
        {
            *naming = Naming::Nothing;
        }
        campaigns::note(tx, ctx, changes, &said).await?;
        let made = changes
            .iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| verdict.is_ok());
        keep::note(tx, ctx, made.map(|(change, _)| change)).await?;
        Ok(verdicts)
    })
}

/// Leads once written: scored first, since rules of assignment read the score; then whether the pool has them.
pub fn after_lead<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        scoring::after_lead(tx, ctx, change).await?;
        follow::after_lead(tx, ctx, change).await?;
        nurturing::written(tx, ctx, change).await?;
        pool::hooks::written(tx, ctx, pool::Kind::Lead, change).await
    })
}

/// [`after_lead`] for leads that were made together.
pub fn after_new_leads<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    changes: &'a mut [Change],
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        gate::queue_new(tx, ctx, &LEAD, changes).await?;
        scoring::after_leads(tx, ctx, changes).await?;
        for change in &mut *changes {
            follow::after_lead(tx, ctx, change).await?;
            nurturing::written(tx, ctx, change).await?;
        }
        pool::hooks::made(tx, ctx, pool::Kind::Lead, changes).await
    })
}

/// The refusal of whatever would change a converted lead.
pub fn already_converted() -> AppError {
    AppError::refuse(
        Code::AlreadyConverted,
        say("It is converted; it no longer changes", "线索已转化,不可再更改"),
    )
}

/// A source is of its channel's kind unless it was given another.
fn kind_of_channel(change: &mut Change) {
    let before = change.before.get("channel").and_then(Value::as_str);
    let was_given = change.before.get("kind").and_then(Value::as_str) != before.map(kind_of);
    let is_kept = change.was_sent("kind") || was_given;
    if change.text("kind").is_none() || (change.act == Act::Update && !is_kept) {
        let kind = kind_of(change.text("channel").unwrap_or_default());
        change.after.insert("kind".to_owned(), kind.into());
    }
}

fn kind_of(channel: &str) -> &'static str {
    match channel {
        "web" | "seo" | "ads" | "social" | "mail" | "webinar" => "online",
        "existing_customer" | "cross_sell" | "service_desk" => "internal",
        _ => "offline",
    }
}

/// Lead sources: the mapping speaks of members that a lead has; no circle of parents.
pub fn lead_source<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if matches!(change.act, Act::Archive | Act::Restore) {
            return Ok(());
        }
        kind_of_channel(change);
        let mut faults = Vec::new();
        // A field that was archived since takes nothing from what else is changed.
        if change.changed("mapping") || change.changed("required_members") {
            let own = custom::definitions(&mut &**tx, ctx.tenant, LEAD.singular).await?;
            let after = |member| change.after.get(member).unwrap_or(&Value::Null);
            faults.extend(mapping::faults(after("mapping"), after("required_members"), &own));
        }
        faults.extend(tree::cycle(tx, ctx, "lead_sources", change).await?);
        none_or_invalid(faults)
    })
}

/// Field definitions: choices exactly for `choice`, none taken away that records have, and a key that expressions can name.
pub fn field_definition<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        match change.act {
            Act::Archive => field_uses::require_unused(tx, ctx, change).await,
            Act::Restore => Ok(()),
            Act::Create => none_or_invalid(definition_faults(change)),
            Act::Update => {
                none_or_invalid(definition_faults(change))?;
                field_uses::require_choices_kept(tx, ctx, change).await
            }
        }
    })
}

fn definition_faults(change: &Change) -> Vec<Fault> {
    let mut faults = Vec::new();
    let has_choices = change.after.get("choices").is_some_and(Value::is_array);
    match (change.text("kind") == Some("choice"), has_choices) {
        (true, false) => faults.push(Fault::required("/choices")),
        (false, true) => faults.push(Fault::invalid(
            "/choices",
            "is only for fields of kind choice",
            "仅适用于 choice 类型的字段",
        )),
        _ => {}
    }
    if !change.text("key").is_some_and(expression::is_name) {
        faults.push(Fault::invalid(
            "/key",
            "is a reserved word, or no name that a condition could use",
            "为保留字,或不能在条件中使用",
        ));
    }
    faults
}
