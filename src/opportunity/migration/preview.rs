//! What a migration would do, without doing it: a page of deals, and totals by stage over all of them.

use super::facts::{self, DealFacts};
use super::queries;
use super::setting_out::SettingOut;
use super::wire::{DealPlan, PlanTotals, StageTotals, VisitView};
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
const BATCH: i64 = 500;
/// Most deals whose gates are looked at for the totals: so many take a second.
const MOST_LOOKED_AT: i64 = 10_000;
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
    let mut each = match out.total > MOST_LOOKED_AT {
        true => None,
        false => Some(sums(conn, ctx, out).await?),
    };
    let mut totals = Vec::new();
    for version in &out.course.left {
        for step in version.course.steps() {
            let place = (version.number, step.id);
            let Some(count) = out.open.get(&place) else {
                continue;
            };
            let target = out.terms.mapping.target(step.id);
            let to = target
                .map(|stage| facts::placed(&out.course.to, stage))
                .transpose()?;
            totals.push(StageTotals {
                from: facts::placed(version, step.id)?,
                to,
                visit: target.map(|target| match target == step.id {
                    true => VisitView::Kept,
                    false => VisitView::Begun,
                }),
                count: *count,
                of_each: each.as_mut().map(|each| each.remove(&place).unwrap_or_default()),
            });
        }
    }
    Ok(totals)
}

/// Version and stage left.
type Place = (i32, Uuid);

async fn sums(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    out: &SettingOut,
) -> AppResult<BTreeMap<Place, PlanTotals>> {
    let mut sums: BTreeMap<Place, PlanTotals> = BTreeMap::new();
    let mut after = Uuid::nil();
    loop {
        let ids = queries::deals_after(conn, ctx.tenant, &out.from_version_ids, after, BATCH).await?;
        let Some(last) = ids.last() else {
            return Ok(sums);
        };
        after = *last;
        for plan in planned(conn, ctx, out, &ids).await? {
            let place = (plan.from.version, plan.from.stage_id);
            sums.entry(place).or_default().add(&plan);
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

impl PlanTotals {
    fn add(&mut self, plan: &DealPlan) {
        let many = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.answers_carried += many(plan.answers_carried.len());
        self.answers_dropped += many(plan.answers_dropped.len());
        self.approvals_withdrawn += many(plan.approvals_withdrawn.len());
        self.grants_lost += many(plan.grants_lost.len());
        self.gates_open_before += i64::from(plan.gate_before == GateStateView::Open);
        self.gates_open_after += i64::from(plan.gate_after == Some(GateStateView::Open));
    }
}
