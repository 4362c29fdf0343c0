//! What the beginning of a local day does: owners are warned, and what nobody tended goes to the pool. One timer of the
//! company fires at midnight and works through what is due, a batch at a time, so that its work is as large as what is due.

use super::clock::{Due, Rule};
use super::schedule::{self, Tended, entry, tended};
use super::stays::{self, Grounds};
use super::{Deals, DealsOf, Kind, Why, rules, unbound};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::records::store::{self, For};
use crate::time::timer::{self, Timer};
use chrono::Days;
use diesel::sql_types::{Array, BigInt, Bool, Date, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

/// The kind of the timer that fires when a day begins.
pub const DAILY: &str = "pool_recycling";
/// The kind of the timer that looks at all records anew after a rule changed.
pub const RULES: &str = "pool_rules";

/// Most records that one firing takes or warns of; what is left is done by the next one, at once.
const BATCH: i64 = 50;
/// Most records that one firing finds new days for.
const CHUNK: i64 = 500;

/// How far a look at all records has come.
#[derive(Default, Serialize, Deserialize)]
struct Round {
    after: Option<Uuid>,
}

fn all_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Account => "pool_accounts",
        Kind::Lead => "pool_leads",
    }
}

/// Has all records of a kind looked at anew, from the first one on, and every day begin with a look at what is due.
///
/// # Errors
/// Database errors.
pub async fn look_anew(tx: &mut Tx, ctx: &Ctx, kind: Kind) -> AppResult<()> {
    let round = json!(Round::default());
    timer::set(tx, ctx, RULES, (all_of(kind), ctx.tenant), ctx.now, round).await?;
    timer::ensure(tx, ctx, DAILY, ("company", ctx.tenant), timer::next_midnight(ctx)).await
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Finds new days for the next records, and sets itself again while there are more.
///
/// # Errors
/// Database errors.
pub async fn fire_rules(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    let kind = if timer.subject_kind == all_of(Kind::Account) {
        Kind::Account
    } else {
        Kind::Lead
    };
    let round: Round = serde_json::from_value(timer.details.clone()).map_err(AppError::internal)?;
    let sql = match kind {
        Kind::Account => {
            "SELECT id FROM accounts WHERE tenant_id = $1 AND id > $2 AND owner_id IS NOT NULL AND archived_at IS NULL \
                ORDER BY id LIMIT $3 FOR NO KEY UPDATE"
        }
        Kind::Lead => {
            "SELECT id FROM leads WHERE tenant_id = $1 AND id > $2 AND owner_id IS NOT NULL AND archived_at IS NULL \
                ORDER BY id LIMIT $3 FOR NO KEY UPDATE"
        }
    };
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(round.after.unwrap_or_default())
        .bind::<BigInt, _>(CHUNK);
    let rows: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    let ids = rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    let rules = rules::active(&mut &**tx, ctx.tenant, kind).await?;
    schedule::schedule(tx, ctx, kind, &ids, &rules).await?;
    let is_full = i64::try_from(ids.len()).unwrap_or(i64::MAX) == CHUNK;
    let Some(last) = ids.last().copied().filter(|_| is_full) else {
        return Ok(());
    };
    timer::again(tx, ctx, timer, ctx.now, json!(Round { after: Some(last) })).await
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Text)]
    record_kind: String,
    #[diesel(sql_type = SqlUuid)]
    record_id: Uuid,
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

/// Warns of and takes what is due today, a batch of it; sets itself to now while some are left, else to the next midnight,
/// unless there is nothing that could ever be due.
///
/// # Errors
/// Database errors.
pub async fn fire_daily(tx: &mut Tx, ctx: &Ctx, timer: &Timer, deals: Deals) -> AppResult<()> {
    let query = sql_query(
        "SELECT record_kind, record_id FROM pool_clocks WHERE tenant_id = $1 AND look_on <= $2 \
         ORDER BY look_on, record_kind, record_id LIMIT $3",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Date, _>(ctx.today())
    .bind::<BigInt, _>(BATCH);
    let due: Vec<DueRow> = Cached(query).load(&mut **tx).await?;
    for kind in Kind::ALL {
        let of_kind = due.iter().filter(|row| row.record_kind == kind.name());
        let mut ids = of_kind.map(|row| row.record_id).collect::<Vec<_>>();
        ids.sort();
        if !ids.is_empty() {
            look_at(tx, ctx, kind, &ids, deals).await?;
        }
    }
    let is_full = i64::try_from(due.len()).unwrap_or(i64::MAX) == BATCH;
    let due_at = if is_full {
        ctx.now
    } else if goes_on(tx, ctx).await? {
        timer::next_midnight(ctx)
    } else {
        return Ok(());
    };
    timer::again(tx, ctx, timer, due_at, json!({})).await
}

async fn goes_on(tx: &mut Tx, ctx: &Ctx) -> AppResult<bool> {
    let query = sql_query(
        "SELECT EXISTS (SELECT 1 FROM pool_clocks WHERE tenant_id = $1 AND look_on IS NOT NULL) \
            OR EXISTS (SELECT 1 FROM pool_rules WHERE tenant_id = $1 AND is_active AND archived_at IS NULL) AS flag",
    )
    .bind::<SqlUuid, _>(ctx.tenant);
    let row: Flag = Cached(query).get_result(&mut **tx).await?;
    Ok(row.flag)
}

/// Looks at records of a kind whose day has come, as they are now.
async fn look_at(tx: &mut Tx, ctx: &Ctx, kind: Kind, ids: &[Uuid], deals: Deals) -> AppResult<()> {
    lock(tx, ctx, kind, ids).await?;
    put_off(tx, ctx, kind, ids).await?;
    let rules = rules::active(&mut &**tx, ctx.tenant, kind).await?;
    let records = tended(&mut &**tx, ctx.tenant, kind, ids).await?;
    let deals = match kind {
        Kind::Account => (deals.0)(&mut &**tx, ctx, ids.to_vec()).await?,
        Kind::Lead => Vec::new(),
    };
    let deals = deals
        .iter()
        .map(|deals| (deals.account_id, deals))
        .collect::<HashMap<_, _>>();
    let mut kept = Vec::new();
    for mut record in records {
        let known: Option<&DealsOf> = deals.get(&record.id).copied();
        let judged = record.judged(ctx, &rules, known);
        let Some((rule, Some(due))) = judged else {
            kept.push(entry(&record, judged));
            continue;
        };
        let today = ctx.today();
        if !due.is_warned && due.warn_on.is_some_and(|warn_on| warn_on <= today) {
            record.warned_on = Some(today);
            let judged = record.judged(ctx, &rules, known);
            if let Some((rule, Some(due))) = judged {
                warn(tx, ctx, kind, &record, rule, &due);
            }
            kept.push(entry(&record, judged));
        } else if due.due_on <= today {
            take(tx, ctx, kind, record.id, rule).await?;
        } else {
            kept.push(entry(&record, judged));
        }
    }
    schedule::write(tx, ctx, kind, kept).await
}

async fn lock(tx: &mut Tx, ctx: &Ctx, kind: Kind, ids: &[Uuid]) -> AppResult<()> {
    let sql = match kind {
        Kind::Account => {
            "SELECT id FROM accounts WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE"
        }
        Kind::Lead => "SELECT id FROM leads WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE",
    };
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Array<SqlUuid>, _>(ids);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// What cannot be done today, for whatever reason, does not keep the rest from its turn.
async fn put_off(tx: &mut Tx, ctx: &Ctx, kind: Kind, ids: &[Uuid]) -> AppResult<()> {
    let query = sql_query(
        "UPDATE pool_clocks SET look_on = $4 WHERE tenant_id = $1 AND record_kind = $2 AND record_id = ANY($3)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Date, _>(ctx.today() + Days::new(1));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Tells the owner how many days are left.
fn warn(tx: &mut Tx, ctx: &Ctx, kind: Kind, record: &Tended, rule: &Rule, due: &Due) {
    let days_left = (due.due_on - ctx.today()).num_days();
    let data = json!({ "pool": { "rule_id": rule.id, "due_on": due.due_on, "days_left": days_left, "owner_id": record.owner_id } });
    let name = kind.name();
    let event = Event::new(format!("{name}.recycling_near"), name, record.id, data);
    tx.record(event.and_on("user", record.owner_id));
}

/// Takes a record that nobody tended.
async fn take(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid, rule: &Rule) -> AppResult<()> {
    let grounds = Grounds {
        reason: None,
        rule_id: Some(rule.id),
    };
    let outcome = tx
        .apart(async |tx| {
            let locked = store::lock(tx, &unbound(ctx), kind.resource(), id, For::Write).await?;
            stays::put_locked(tx, ctx, kind, id, &locked, Why::Recycled, &grounds).await
        })
        .await?;
    if let Err(refusal) = outcome {
        tracing::warn!(kind = kind.name(), %id, code = refusal.code.as_str(), "a record could not be recycled; it is tried again tomorrow");
    }
    Ok(())
}
