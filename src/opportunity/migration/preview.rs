//! What a migration would do, without doing it: a page of deals, and totals by stage over all of them.

use super::facts::{self, DealFacts};
use super::queries;
use super::setting_out::SettingOut;
use super::wire::{DealPlan, StageTotals};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::opportunity::resources::OPPORTUNITY;
use crate::pipeline::gate::GateStateView;
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use diesel::QueryableByName;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::collections::BTreeMap;
use uuid::Uuid;

/// How many deals are looked at in one go.
const BATCH: i64 = 2_000;
/// After how many gates others on this thread have their turn.
const TURN: usize = 100;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// The deals that the caller sees, after one of them: at most `limit`, and whether there are more.
pub async fn page(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    out: &SettingOut,
    after: Uuid,
    limit: i64,
) -> AppResult<(Vec<DealPlan>, bool)> {
    let mut sql = Sql::of(ctx.tenant);
    let versions = sql.place(Bind::Ids(out.from_version_ids.clone()));
    let after = sql.place(Bind::Id(after));
    let most = sql.place(Bind::Long(limit + 1));
    let about = queries::is_open_on(&versions);
    let seen = sql::scope(&mut sql, &OPPORTUNITY, "t", ctx, Intent::Read);
    sql.push(&format!(
        "SELECT t.id FROM opportunities t WHERE {about} AND t.id > {after} AND {seen} ORDER BY t.id LIMIT {most}"
    ));
    let rows: Vec<IdRow> = sql.query().load(conn).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    let ids = rows.into_iter().take(limit).map(|row| row.id);
    let plans = planned(conn, ctx, out, &ids.collect::<Vec<_>>()).await?;
    Ok((plans, has_more))
}

/// Totals over all deals, by version and stage left, in the order of the pipeline.
pub async fn totals(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    out: &SettingOut,
) -> AppResult<Vec<StageTotals>> {
    let mut totals: BTreeMap<(i32, usize), StageTotals> = BTreeMap::new();
    let mut after = Uuid::nil();
    loop {
        let ids = queries::deals_after(conn, ctx.tenant, &out.from_version_ids, after, BATCH).await?;
        let Some(last) = ids.last() else {
            return Ok(totals.into_values().collect());
        };
        after = *last;
        for plan in planned(conn, ctx, out, &ids).await? {
            let version = out.course.left.iter().find(|it| it.number == plan.from.version);
            let step = version.and_then(|version| version.step(plan.from.stage_id));
            let place = (plan.from.version, step.map_or(usize::MAX, |step| step.position));
            totals.entry(place).or_insert_with(|| none_of(&plan)).add(&plan);
        }
    }
}

/// What it means for each of these deals.
async fn planned(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    out: &SettingOut,
    ids: &[Uuid],
) -> AppResult<Vec<DealPlan>> {
    let needs = facts::needs_of(out.course.definitions());
    let deals: Vec<DealFacts> = facts::read(conn, ctx, ids, &needs).await?;
    let mut plans = Vec::with_capacity(deals.len());
    for deals in deals.chunks(TURN) {
        for deal in deals {
            plans.push(deal.planned(ctx, &out.course, &out.terms)?.view);
        }
        tokio::task::yield_now().await;
    }
    Ok(plans)
}

fn none_of(plan: &DealPlan) -> StageTotals {
    StageTotals {
        from: plan.from.clone(),
        to: plan.to.clone(),
        visit: plan.visit,
        count: 0,
        answers_carried: 0,
        answers_dropped: 0,
        approvals_withdrawn: 0,
        grants_lost: 0,
        gates_open_before: 0,
        gates_open_after: 0,
    }
}

impl StageTotals {
    fn add(&mut self, plan: &DealPlan) {
        let many = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.count += 1;
        self.answers_carried += many(plan.answers_carried.len());
        self.answers_dropped += many(plan.answers_dropped.len());
        self.approvals_withdrawn += many(plan.approvals_withdrawn.len());
        self.grants_lost += many(plan.grants_lost.len());
        self.gates_open_before += i64::from(plan.gate_before == GateStateView::Open);
        self.gates_open_after += i64::from(plan.gate_after == Some(GateStateView::Open));
    }
}
