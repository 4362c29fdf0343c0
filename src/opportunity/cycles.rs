//! Cycles: one run of a deal through its pipeline, and what it came to, frozen at its end.

use super::parts::LINE;
use super::standing::Head;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::records::sql::{self, Bind, Sql};
use chrono::{DateTime, NaiveDate, Utc};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// One run of an opportunity through its pipeline. What it came to is frozen at its end and null before.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CycleView {
    /// Counts from 1.
    #[schema(examples(1))]
    pub number: i32,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// `won` or `lost`.
    #[schema(examples("won"))]
    pub outcome: Option<String>,
    /// The stage in which it ended.
    pub stage_id: Option<Uuid>,
    /// Who owned it at its end.
    pub owner_id: Option<Uuid>,
    #[schema(examples("220000.00"))]
    pub amount: Option<String>,
    #[schema(examples("CNY"))]
    pub currency: Option<String>,
    /// Units of the company's currency for one of its own on the day it ended; null when none was known.
    #[schema(examples("1"))]
    pub exchange_rate: Option<String>,
    /// The effective chance of winning just before its end.
    #[schema(examples("0.9000"))]
    pub probability: Option<String>,
    /// The product lines, as they were.
    #[schema(value_type = Option<Vec<Object>>)]
    pub lines: Option<Value>,
    pub loss_reason_id: Option<Uuid>,
    /// Why it was lost, in words.
    #[schema(examples("客户内部决策未通过"))]
    pub reason: Option<String>,
    /// The competitor who won it.
    pub competitor_id: Option<Uuid>,
    /// Day of the debrief.
    pub debrief_on: Option<NaiveDate>,
}

/// SQL of a cycle `c` in wire form, as JSON.
pub const CYCLE: &str = "\
json_build_object('number', c.number, 'started_at', instant_text(c.started_at), 'ended_at', instant_text(c.ended_at), 'outcome', c.outcome, \
'stage_id', c.stage_id, 'owner_id', c.owner_id, 'amount', money_text(c.amount, c.currency), 'currency', c.currency, \
'exchange_rate', trim_scale(c.exchange_rate)::text, 'probability', round(c.probability, 4)::text, 'lines', c.lines, \
'loss_reason_id', c.loss_reason_id, 'reason', c.reason, 'competitor_id', c.competitor_id, 'debrief_on', c.debrief_on)";

/// How a cycle ends.
#[derive(Debug, Clone)]
pub enum End {
    Won,
    Lost {
        loss_reason_id: Uuid,
        reason: String,
        competitor_id: Option<Uuid>,
        debrief_on: Option<NaiveDate>,
    },
}

/// Begins a cycle.
///
/// # Errors
/// Database errors.
pub async fn begin(tx: &mut Tx, ctx: &Ctx, opportunity: Uuid, number: i32) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let deal = sql.place(Bind::Id(opportunity));
    let number = sql.place(Bind::Int(number));
    let now = sql.place(Bind::Instant(ctx.now));
    sql.push(&format!("INSERT INTO cycles (tenant_id, opportunity_id, number, started_at) VALUES ($1, {deal}, {number}, {now})"));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}

/// Freezes the present cycle of a deal that has just been closed (its stage kept).
///
/// # Errors
/// A loss reason or competitor that does not exist; database errors.
pub async fn freeze(tx: &mut Tx, ctx: &Ctx, head: &Head, end: &End) -> AppResult<()> {
    let said = match end {
        End::Won => json!({ "outcome": "won" }),
        End::Lost {
            loss_reason_id,
            reason,
            competitor_id,
            debrief_on,
        } => json!({
            "outcome": "lost", "loss_reason_id": loss_reason_id, "reason": reason,
            "competitor_id": competitor_id, "debrief_on": debrief_on,
        }),
    };
    let mut sql = Sql::of(ctx.tenant);
    let deal = sql.place(Bind::Id(head.id));
    let now = sql.place(Bind::Instant(ctx.now));
    let today = sql.place(Bind::Day(ctx.today()));
    let company_currency = sql.place(Bind::Text(ctx.currency().to_owned()));
    let said = sql.place(Bind::Json(said));
    let lines = sql::whole_document(&LINE);
    sql.push(&format!(
        "UPDATE cycles AS c SET ended_at = {now}, outcome = e.outcome, stage_id = d.stage_id, owner_id = d.owner_id, amount = d.amount, currency = d.currency, \
         exchange_rate = CASE WHEN d.currency = {company_currency} THEN 1 ELSE (SELECT r.rate FROM exchange_rates r \
             WHERE r.tenant_id = $1 AND r.currency = d.currency AND r.rate_on <= {today} ORDER BY r.rate_on DESC LIMIT 1) END, \
         probability = coalesce(d.probability_by_hand, d.probability_calibrated, d.probability_default), \
         lines = (SELECT coalesce(jsonb_agg({lines}::jsonb ORDER BY t.created_at, t.id), '[]') FROM opportunity_lines t \
             WHERE t.tenant_id = $1 AND t.opportunity_id = d.id AND t.archived_at IS NULL), \
         loss_reason_id = e.loss_reason_id, reason = e.reason, competitor_id = e.competitor_id, debrief_on = e.debrief_on \
         FROM opportunities d, jsonb_to_record({said}) AS e (outcome text, loss_reason_id uuid, reason text, competitor_id uuid, debrief_on date) \
         WHERE d.tenant_id = $1 AND d.id = {deal} AND c.tenant_id = $1 AND c.opportunity_id = d.id AND c.number = d.cycle"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}

/// Takes the end of the present cycle back.
///
/// # Errors
/// Database errors.
pub async fn unfreeze(tx: &mut Tx, ctx: &Ctx, head: &Head) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let deal = sql.place(Bind::Id(head.id));
    let number = sql.place(Bind::Int(head.cycle));
    sql.push(&format!(
        "UPDATE cycles SET ended_at = NULL, outcome = NULL, stage_id = NULL, owner_id = NULL, amount = NULL, currency = NULL, exchange_rate = NULL, \
         probability = NULL, lines = NULL, loss_reason_id = NULL, reason = NULL, competitor_id = NULL, debrief_on = NULL \
         WHERE tenant_id = $1 AND opportunity_id = {deal} AND number = {number}"
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}
