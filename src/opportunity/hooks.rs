//! What is particular to making and changing a deal as a record.

use super::criteria;
use super::cycles;
use super::moves::MoveKind;
use super::overdue;
use super::{APPROVAL_SUBJECTS, SUBJECTS, lapse, repricing};
use crate::approval::staffing;
use crate::crm::pool;
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::pipeline::course::Course;
use crate::pipeline::service::published;
use crate::platform::db::Tx;
use crate::platform::records::spec::{Act, Embed};
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::records::{Change, Hooks};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use diesel::sql_types::{Bool, Nullable, Numeric};
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

pub const HOOKS: Hooks = Hooks {
    before: Some(before),
    after: Some(after),
    embeds: &[Embed {
        name: "gate",
        about: "the explanation of its gate, as `GET /v1/opportunities/{id}/gate` gives it",
        schema: "OpportunityGateView",
        load: criteria::embed_gate,
    }],
    parts: || super::PARTS,
    ..Hooks::NONE
};

fn before<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        match change.act {
            Act::Create => {
                let entered = enter(tx, ctx, change).await;
                AppError::of_both(entered, probability(ctx, change))
            }
            Act::Update => {
                may_change(tx, ctx, change).await?;
                if change.changed("account_id") {
                    hold_account(tx, ctx, change).await?;
                }
                let repriced = match change.changed("currency") {
                    true => repricing::follow(tx, ctx, change).await,
                    false => repricing::refuse_idle(change),
                };
                AppError::of_both(repriced, probability(ctx, change))
            }
            Act::Restore if change.text("status") == Some("open") => hold_account(tx, ctx, change).await,
            Act::Archive | Act::Restore => Ok(()),
        }
    })
}

fn after<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        match change.act {
            Act::Create => note_entry(tx, ctx, change).await,
            Act::Update => {
                // Any member may be one that an approval process names.
                lapse::changed(tx, ctx, &[change.id]).await?;
                if change.changed("owner_id") {
                    let owner = change.id_of("owner_id");
                    let asked = lapse::owner_changed(tx, ctx, &[change.id], owner).await?;
                    staffing::separate(tx, ctx, APPROVAL_SUBJECTS, &asked).await?;
                }
                Ok(())
            }
            Act::Archive => lapse::call_off(tx, ctx, change.id, "The opportunity was archived").await,
            Act::Restore => Ok(()),
        }
    })
}

/// No open deal stands on an account of the pool, which anyone may claim.
async fn hold_account(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    match change.id_of("account_id") {
        Some(account) => pool::hold_account(tx, ctx, account).await,
        None => Ok(()),
    }
}

/// What the stage entered gives, and whether the account is in the pool.
#[derive(QueryableByName)]
struct Chances {
    #[diesel(sql_type = Nullable<Numeric>)]
    calibrated: Option<Decimal>,
    #[diesel(sql_type = Bool)]
    is_in_pool: bool,
}

/// Where a cycle begins: the version now published and its first stage.
pub struct Entrance {
    pub pipeline_id: Uuid,
    pub version_id: Uuid,
    pub stage_id: Uuid,
    probability: Decimal,
    expected_dwell_seconds: Option<i64>,
}

/// The entrance of a pipeline, or of the company's default one.
///
/// # Errors
/// A fault at `/pipeline_id` when there is none.
pub async fn entrance(tx: &mut Tx, ctx: &Ctx, pipeline: Option<Uuid>) -> AppResult<Entrance> {
    let definition = published(&mut &**tx, &SUBJECTS, ctx.tenant, pipeline).await?;
    let first = Course::first(&definition.course)
        .ok_or_else(|| AppError::internal("a published version without stages"))?;
    Ok(Entrance {
        pipeline_id: definition.pipeline_id,
        version_id: definition.version_id,
        stage_id: first.id,
        probability: first.probability,
        expected_dwell_seconds: first.expected_dwell_seconds,
    })
}

/// The calibrated chance of the stage entered. The account, which is held already since the deal refers to it, must not be
/// in the pool.
async fn calibrated(
    tx: &mut Tx,
    ctx: &Ctx,
    entrance: &Entrance,
    account: Uuid,
) -> AppResult<Option<Decimal>> {
    let mut sql = Sql::of(ctx.tenant);
    let version = sql.place(Bind::Id(entrance.version_id));
    let stage = sql.place(Bind::Id(entrance.stage_id));
    let is_in_pool = pool::is_unowned_account(&sql.place(Bind::Id(account)));
    sql.push(&format!(
        "SELECT s.probability_calibrated AS calibrated, {is_in_pool} AS is_in_pool FROM version_stages s \
         WHERE s.tenant_id = $1 AND s.version_id = {version} AND s.stage_id = {stage}"
    ));
    let row: Chances = sql.query().get_result(&mut **tx).await?;
    if row.is_in_pool {
        return Err(pool::account_in_pool(account));
    }
    Ok(row.calibrated)
}

async fn enter(tx: &mut Tx, ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    let entrance = entrance(tx, ctx, change.id_of("pipeline_id")).await?;
    let account = change.id_of("account_id");
    let account = account.ok_or_else(|| AppError::invalid(vec![Fault::required("/account_id")]))?;
    let calibrated = calibrated(tx, ctx, &entrance, account).await?;
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let due_at = overdue::due_at(ctx.now, TimeDelta::zero(), entrance.expected_dwell_seconds);
    let members = [
        ("pipeline_id", json!(entrance.pipeline_id)),
        ("pipeline_version_id", json!(entrance.version_id)),
        ("stage_id", json!(entrance.stage_id)),
        ("status", json!("open")),
        ("cycle", json!(1)),
        ("visit_id", json!(Uuid::now_v7())),
        ("stage_entered_at", json!(text(ctx.now))),
        ("stage_due_at", json!(due_at.map(text))),
        (
            "probability_default",
            json!(money::share_text(entrance.probability)),
        ),
        ("probability_calibrated", json!(calibrated.map(money::share_text))),
    ];
    for (name, value) in members {
        change.after.insert(name.to_owned(), value);
    }
    // A deal has a currency before it has an amount: its lines are priced in it.
    if change.after.get("currency").is_none_or(Value::is_null) {
        change.after.insert("currency".to_owned(), json!(ctx.currency()));
    }
    Ok(())
}

/// Notes the transition and the cycle that a new deal begins with.
async fn note_entry(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    let kind: &'static str = MoveKind::Enter.into();
    let actor: &'static str = ctx.actor_kind.into();
    let mut sql = Sql::of(ctx.tenant);
    let deal = sql.place(Bind::Id(change.id));
    let kind = sql.place(Bind::Text(kind.to_owned()));
    let actor = sql.place(Bind::Text(actor.to_owned()));
    let said = sql.place(Bind::Json(json!({ "actor_id": ctx.actor_id })));
    let now = sql.place(Bind::Instant(ctx.now));
    let recorded_at = sql.place(Bind::Instant(ctx.recorded_at));
    sql.push(&format!(
        "INSERT INTO transitions (tenant_id, id, opportunity_id, cycle, ordinal, kind, pipeline_version_id, to_stage_id, to_status, visit_id, actor_kind, actor_id, at, recorded_at) \
         SELECT $1, o.visit_id, o.id, o.cycle, 1, {kind}, o.pipeline_version_id, o.stage_id, o.status, o.visit_id, {actor}, ({said}::jsonb->>'actor_id')::uuid, {now}, {recorded_at} \
         FROM opportunities o WHERE o.tenant_id = $1 AND o.id = {deal}"
    ));
    sql.query().execute(&mut **tx).await?;
    cycles::begin(tx, ctx, change.id, 1).await
}

/// Of a closed deal only the tags change, and the owner of one whose owner has left.
async fn may_change(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    if change.before.get("status").and_then(Value::as_str) == Some("open") {
        return Ok(());
    }
    let members = change.after.keys().map(String::as_str);
    let more = members.filter(|member| *member != "tags" && change.changed(member));
    let more = more.collect::<Vec<_>>();
    let was_left = match owner_before(change) {
        Some(owner) if more == ["owner_id"] => !is_active(tx, ctx, owner).await?,
        _ => false,
    };
    if !more.is_empty() && !was_left {
        return Err(AppError::refuse(
            Code::AlreadyClosed,
            say(
                "It is closed; nothing but its tags can be changed",
                "已关闭，仅可更改标签",
            ),
        ));
    }
    Ok(())
}

/// Whether somebody still works here. They do until the transaction ends: whoever deactivates them waits for it.
///
/// # Errors
/// Database errors.
pub async fn is_active(tx: &mut Tx, ctx: &Ctx, user: Uuid) -> AppResult<bool> {
    let mut sql = Sql::of(ctx.tenant);
    sql.push("SELECT t.is_active FROM users t WHERE t.tenant_id = $1 AND t.id = ")
        .bind(Bind::Id(user))
        .push(" FOR KEY SHARE OF t");
    let found: Option<Active> = sql.query().get_result(&mut **tx).await.optional()?;
    Ok(found.is_some_and(|found| found.is_active))
}

#[derive(QueryableByName)]
struct Active {
    #[diesel(sql_type = Bool)]
    is_active: bool,
}

/// A probability set by hand needs a permission over the deal, and a reason; without one there is no reason either.
fn probability(ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    let is_set = change
        .after
        .get("probability_by_hand")
        .is_some_and(|share| !share.is_null());
    if !is_set {
        let has_reason = change
            .after
            .get("probability_reason")
            .is_some_and(|reason| !reason.is_null());
        if has_reason && (change.act == Act::Create || change.was_sent("probability_reason")) {
            return Err(AppError::invalid(vec![Fault::required("/probability_by_hand")]));
        }
        change.after.insert("probability_reason".to_owned(), Value::Null);
    }
    if change.changed("probability_by_hand") || change.changed("probability_reason") {
        let owner = match change.act {
            Act::Create => change.id_of("owner_id"),
            Act::Update | Act::Archive | Act::Restore => owner_before(change),
        };
        may_set_probability(ctx, owner)?;
    }
    let reason = change.text("probability_reason").map(str::trim);
    if is_set && reason.is_none_or(str::is_empty) {
        return Err(AppError::invalid(vec![Fault::required("/probability_reason")]));
    }
    Ok(())
}

fn owner_before(change: &Change) -> Option<Uuid> {
    change.before.get("owner_id")?.as_str()?.parse().ok()
}

fn may_set_probability(ctx: &Ctx, owner: Option<Uuid>) -> AppResult<()> {
    let permission = "opportunity.set_probability";
    let within = match ctx.reach(permission) {
        Reach::All => true,
        Reach::Owners(owners) => owner.is_some_and(|owner| owners.contains(&owner)),
        Reach::Nobody => false,
    };
    if within {
        Ok(())
    } else {
        Err(AppError::forbidden(permission))
    }
}
