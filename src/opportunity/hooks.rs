//! What is particular to making and changing a deal as a record.

use super::cycles;
use super::moves::MoveKind;
use super::lapse;
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::records::{Act, Change, Hooks};
use crate::platform::records::sql::{Bind, Sql};
use chrono::SecondsFormat;
use diesel::sql_types::{Nullable, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

pub const HOOKS: Hooks = Hooks {
    before: Some(before),
    after: Some(after),
};

fn before<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        match change.act {
            Act::Create => enter(tx, ctx, change).await?,
            Act::Update => may_change(change)?,
            Act::Archive | Act::Restore => return Ok(()),
        }
        probability(ctx, change)
    })
}

fn after<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        match change.act {
            Act::Create => note_entry(tx, ctx, change).await,
            Act::Update if ["amount", "currency", "account_id"].iter().any(|name| change.changed(name)) => {
                lapse::changed(tx, ctx, change.id).await
            }
            Act::Update | Act::Archive | Act::Restore => Ok(()),
        }
    })
}

#[derive(QueryableByName)]
struct FirstStage {
    #[diesel(sql_type = SqlUuid)]
    pipeline_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    version_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    stage_id: Uuid,
    #[diesel(sql_type = Text)]
    probability: String,
    #[diesel(sql_type = Nullable<Text>)]
    probability_calibrated: Option<String>,
}

/// The first stage of the version now published: of the pipeline named, else of the company's default one.
async fn first_stage(tx: &mut Tx, ctx: &Ctx, pipeline: Option<Uuid>) -> AppResult<Option<FirstStage>> {
    let mut sql = Sql::of(ctx.tenant);
    let wanted = match pipeline {
        Some(id) => format!("p.id = {}", sql.place(Bind::Id(id))),
        None => String::from("p.is_default"),
    };
    sql.push(&format!(
        "SELECT p.id AS pipeline_id, s.version_id, s.stage_id, s.probability::text AS probability, s.probability_calibrated::text AS probability_calibrated \
         FROM pipelines p JOIN version_stages s ON s.tenant_id = p.tenant_id AND s.version_id = p.published_version_id \
         WHERE p.tenant_id = $1 AND p.archived_at IS NULL AND {wanted} ORDER BY s.position LIMIT 1"
    ));
    Ok(sql.query().get_result(&mut **tx).await.optional()?)
}

/// Where a new cycle of a deal of this pipeline begins: the version now published and its first stage.
///
/// # Errors
/// `conflict` when the pipeline is archived or has nothing published.
pub async fn entrance(tx: &mut Tx, ctx: &Ctx, pipeline: Uuid) -> AppResult<(Uuid, Uuid)> {
    let first = first_stage(tx, ctx, Some(pipeline)).await?;
    first
        .map(|first| (first.version_id, first.stage_id))
        .ok_or_else(|| {
            AppError::refuse(
                Code::Conflict,
                say(
                    "Its pipeline has no published version any more",
                    "其销售流程已没有已发布的版本",
                ),
            )
        })
}

async fn enter(tx: &mut Tx, ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    let pipeline = change.id_of("pipeline_id");
    let Some(first) = first_stage(tx, ctx, pipeline).await? else {
        let fault = match pipeline {
            Some(_) => Fault::new(
                "/pipeline_id",
                "not_found",
                say(
                    "is no pipeline with a published version",
                    "不是具有已发布版本的销售流程",
                ),
            ),
            None => Fault::new(
                "/pipeline_id",
                "required",
                say(
                    "is required: the company has no published default pipeline",
                    "为必填项：企业没有已发布的默认销售流程",
                ),
            ),
        };
        return Err(AppError::invalid(vec![fault]));
    };
    let now = ctx.now.to_rfc3339_opts(SecondsFormat::Micros, true);
    let members = [
        ("pipeline_id", json!(first.pipeline_id)),
        ("pipeline_version_id", json!(first.version_id)),
        ("stage_id", json!(first.stage_id)),
        ("status", json!("open")),
        ("cycle", json!(1)),
        ("visit_id", json!(Uuid::now_v7())),
        ("stage_entered_at", json!(now)),
        ("probability_default", json!(first.probability)),
        ("probability_calibrated", json!(first.probability_calibrated)),
    ];
    for (name, value) in members {
        change.after.insert(name.to_owned(), value);
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

/// Of a closed deal only the tags change.
fn may_change(change: &Change) -> AppResult<()> {
    let status = change.before.get("status").and_then(Value::as_str);
    let is_closed = status != Some("open");
    let changes_more = change
        .after
        .keys()
        .any(|member| member != "tags" && change.changed(member));
    if is_closed && changes_more {
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

/// A probability set by hand needs a permission over the deal, and a reason; without one there is no reason either.
fn probability(ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    let is_set = change.after.get("probability_by_hand").is_some_and(|share| !share.is_null());
    if !is_set {
        let has_reason = change.after.get("probability_reason").is_some_and(|reason| !reason.is_null());
        if has_reason && change.act == Act::Create {
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
