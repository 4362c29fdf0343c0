//! The funnel as it stands now: what is in each stage, and what it weighs.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::money;
use crate::opportunity::resources::OPPORTUNITY;
use crate::pipeline::resources::PIPELINE;
use crate::platform::db::Db;
use crate::platform::gatekeeper::Id;
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use crate::platform::records::store;
use crate::platform::reply::Reply;
use actix_web::{get, web};
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Numeric, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;

/// The open opportunities of a pipeline, stage by stage, in the company's currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SnapshotView {
    pub pipeline_id: Uuid,
    /// The company's currency: that of every amount here.
    #[schema(examples("CNY"))]
    pub currency: String,
    /// The instant it shows, by the company's clock.
    pub as_of: DateTime<Utc>,
    /// The stages of the version now published, in order; then those of older versions that still hold opportunities.
    pub stages: Vec<StageFigures>,
    pub total: Figures,
    /// Currencies of opportunities counted here for which no exchange rate is known; their amounts count as nothing.
    #[schema(examples(json!([])))]
    pub missing_rates: Vec<String>,
}

/// What is in one stage.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StageFigures {
    pub stage_id: Uuid,
    #[schema(examples("propose"))]
    pub stage_key: String,
    #[schema(examples("提出方案"))]
    pub name: String,
    #[serde(flatten)]
    pub figures: Figures,
}

/// A count and two amounts, which are the sums of what each opportunity counts for, rounded one by one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Figures {
    #[schema(examples(3))]
    pub count: i64,
    #[schema(examples("100000.00"))]
    pub amount: String,
    /// Amount × effective probability.
    #[schema(examples("60000.00"))]
    pub weighted_amount: String,
    /// How many of them have no amount.
    #[schema(examples(0))]
    pub without_amount: i64,
}

#[derive(QueryableByName)]
struct StageRow {
    #[diesel(sql_type = SqlUuid)]
    stage_id: Uuid,
    #[diesel(sql_type = Text)]
    stage_key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Numeric)]
    amount: Decimal,
    #[diesel(sql_type = Numeric)]
    weighted_amount: Decimal,
    #[diesel(sql_type = BigInt)]
    without_amount: i64,
    #[diesel(sql_type = Array<Text>)]
    missing: Vec<String>,
}

/// Show what is in a pipeline
///
/// Count, amount and weighted amount of the open opportunities in each stage that you can see. Each is converted at the
/// rate of the day, weighted by its effective probability (set by hand, else calibrated, else the stage's), and then
/// rounded; the totals are the sums of the rounded.
#[utoipa::path(tag = "figures", operation_id = "get_pipeline_snapshot", security(("bearer" = ["report.read"])),
    responses((status = 200, description = "The pipeline as it stands", body = SnapshotView)))]
#[get("/v1/pipelines/{id}/snapshot")]
pub async fn get_pipeline_snapshot(db: web::Data<Db>, id: Id, ctx: Ctx) -> AppResult<Reply> {
    let rows: Vec<StageRow> = db
        .report(async |db| {
            db.snapshot(async |conn| {
                let conn = &mut &*conn;
                store::find(conn, &ctx, &PIPELINE, id.0, None).await?;
                Ok(stages_sql(&ctx, id.0).query().load(conn).await?)
            })
            .await
        })
        .await?;
    let sum = |of: fn(&StageRow) -> Decimal| rows.iter().map(of).sum::<Decimal>();
    let total = Figures {
        count: rows.iter().map(|row| row.count).sum(),
        amount: money::to_text(sum(|row| row.amount), ctx.currency()),
        weighted_amount: money::to_text(sum(|row| row.weighted_amount), ctx.currency()),
        without_amount: rows.iter().map(|row| row.without_amount).sum(),
    };
    let missing = rows.iter().flat_map(|row| row.missing.iter().cloned());
    let view = SnapshotView {
        pipeline_id: id.0,
        currency: ctx.currency().to_owned(),
        as_of: ctx.now,
        missing_rates: missing.collect::<BTreeSet<_>>().into_iter().collect(),
        total,
        stages: rows.into_iter().map(|row| figures(row, ctx.currency())).collect(),
    };
    Ok::<_, AppError>(Reply::ok(&view)?.with_weak_tag())
}

fn figures(row: StageRow, currency: &str) -> StageFigures {
    StageFigures {
        stage_id: row.stage_id,
        stage_key: row.stage_key,
        name: row.name,
        figures: Figures {
            count: row.count,
            amount: money::to_text(row.amount, currency),
            weighted_amount: money::to_text(row.weighted_amount, currency),
            without_amount: row.without_amount,
        },
    }
}

/// One row a stage: every one of the published version, and those of older versions that hold deals. Stages keep their
/// ids through versions, so deals on older ones count where the stage still stands.
fn stages_sql(ctx: &Ctx, pipeline: Uuid) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let seen = sql::scope(&mut sql, &OPPORTUNITY, "t", ctx, Intent::Read);
    let reported = sql::action_scope(&mut sql, &OPPORTUNITY, "t", ctx, "report.read");
    let pipeline = sql.place(Bind::Id(pipeline));
    let currency = sql.place(Bind::Text(ctx.currency().to_owned()));
    let today = sql.place(Bind::Day(ctx.today()));
    sql.push(&format!(
        "WITH deals AS ( \
             SELECT t.stage_id, t.pipeline_version_id, t.amount, t.currency, coalesce(t.probability_by_hand, t.probability_calibrated, t.probability_default) AS share, \
                 CASE WHEN t.currency = {currency} THEN 1 ELSE r.rate END AS rate \
             FROM opportunities t \
             LEFT JOIN LATERAL (SELECT x.rate FROM exchange_rates x WHERE x.tenant_id = $1 AND x.currency = t.currency AND x.rate_on <= {today} \
                 ORDER BY x.rate_on DESC LIMIT 1) r ON t.currency <> {currency} \
             WHERE t.tenant_id = $1 AND t.pipeline_id = {pipeline} AND t.status = 'open' AND t.archived_at IS NULL AND {seen} AND {reported} \
         ), sums AS ( \
             SELECT d.stage_id, count(*) AS count, \
                 coalesce(sum(round(d.amount * d.rate, minor_unit({currency}))), 0) AS amount, \
                 coalesce(sum(round(d.amount * d.rate * d.share, minor_unit({currency}))), 0) AS weighted_amount, \
                 count(*) FILTER (WHERE d.amount IS NULL) AS without_amount, \
                 coalesce(array_agg(DISTINCT d.currency) FILTER (WHERE d.amount IS NOT NULL AND d.rate IS NULL), '{{}}') AS missing \
             FROM deals d GROUP BY d.stage_id \
         ), places AS ( \
             SELECT DISTINCT ON (v.stage_id) v.stage_id, v.name, v.position, (v.version_id <> p.published_version_id) IS NOT FALSE AS is_old \
             FROM pipelines p JOIN pipeline_versions pv ON pv.tenant_id = p.tenant_id AND pv.pipeline_id = p.id AND pv.state <> 'draft' \
             JOIN version_stages v ON v.tenant_id = pv.tenant_id AND v.version_id = pv.id \
             WHERE p.tenant_id = $1 AND p.id = {pipeline} \
             ORDER BY v.stage_id, is_old, pv.number DESC \
         ) \
         SELECT l.stage_id, s.key AS stage_key, l.name, coalesce(u.count, 0) AS count, coalesce(u.amount, 0) AS amount, \
             coalesce(u.weighted_amount, 0) AS weighted_amount, coalesce(u.without_amount, 0) AS without_amount, coalesce(u.missing, '{{}}') AS missing \
         FROM places l JOIN stages s ON s.tenant_id = $1 AND s.id = l.stage_id LEFT JOIN sums u ON u.stage_id = l.stage_id \
         WHERE NOT l.is_old OR u.count > 0 ORDER BY l.is_old, l.position, l.stage_id"
    ));
    sql
}
