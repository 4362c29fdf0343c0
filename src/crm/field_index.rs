//! Keeps the typed copy of a custom field complete. While it is not, filters read the records themselves; so what is
//! found is right at any time, and only slower.
//!
//! A field that becomes filterable is copied by a timer, one batch at each firing. First it waits until every transaction
//! is over that may still have taken the field for not filterable: after that, each writer copies its own record.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Tx;
use crate::platform::records::spec::{Act, Change};
use crate::time::timer::{self, Timer};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The kind of its timers.
pub const TIMER: &str = "field_index";
const SUBJECT: &str = "field_definition";
/// Records that one firing copies, and rows that one removes.
const BATCH: i64 = 500;
/// After how long it is looked again whether the transactions of before are over.
const PAUSE: TimeDelta = TimeDelta::seconds(1);

/// The tables that have custom fields.
pub const TABLES: [(&str, &str); 4] = [
    ("account", "accounts"),
    ("contact", "contacts"),
    ("lead", "leads"),
    ("opportunity", "opportunities"),
];

/// Where the copying stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
enum Step {
    /// Notes the next transaction's number.
    #[default]
    Begin,
    /// Waits until all before that number are over.
    Wait { barrier: String },
    /// Removes what an earlier time left.
    Clear,
    /// Copies the records after this one.
    Copy { after: Uuid },
}

/// After a definition was written.
pub fn after<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(follow(tx, ctx, change))
}

async fn follow(tx: &mut Tx, ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    let is_on = |record: &serde_json::Map<String, Value>| {
        record.get("is_filterable") == Some(&Value::Bool(true))
            && record.get("archived_at").is_none_or(Value::is_null)
    };
    let (was, is) = (is_on(&change.before), is_on(&change.after));
    if was == is {
        return Ok(());
    }
    // No record can have a value of a field that is made only now.
    let indexed_at = (change.act == Act::Create).then_some(ctx.now);
    note(tx, ctx, change.id, indexed_at).await?;
    change
        .after
        .insert("is_indexed".to_owned(), Value::Bool(indexed_at.is_some()));
    if change.act == Act::Create {
        return Ok(());
    }
    let details = serde_json::to_value(Step::Begin).map_err(AppError::internal)?;
    timer::set_by_real_time(tx, ctx, TIMER, (SUBJECT, change.id), ctx.recorded_at, details).await
}

async fn note(tx: &mut Tx, ctx: &Ctx, id: Uuid, indexed_at: Option<DateTime<Utc>>) -> AppResult<()> {
    sql_query("UPDATE field_definitions SET indexed_at = $3 WHERE tenant_id = $1 AND id = $2")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(id)
        .bind::<Nullable<Timestamptz>, _>(indexed_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn again(tx: &mut Tx, ctx: &Ctx, timer: &Timer, due_at: DateTime<Utc>, step: &Step) -> AppResult<()> {
    let details = serde_json::to_value(step).map_err(AppError::internal)?;
    timer::again(tx, ctx, timer, due_at, details).await
}

#[derive(QueryableByName)]
struct Definition {
    #[diesel(sql_type = Text)]
    resource: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    is_on: bool,
}

/// Goes one step on.
///
/// # Errors
/// Database errors; the timer then tries again later.
pub async fn fire(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    let id = timer.subject_id;
    let step = serde_json::from_value(timer.details.clone()).unwrap_or_default();
    if let Step::Wait { barrier } = &step
        && !is_past(tx, barrier).await?
    {
        return again(tx, ctx, timer, ctx.recorded_at + PAUSE, &step).await;
    }
    let definition = sql_query(
        "SELECT resource, key, kind, is_filterable AND archived_at IS NULL AS is_on FROM field_definitions \
         WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .get_result::<Definition>(&mut **tx)
    .await
    .optional()?;
    let Some(definition) = definition else {
        return Ok(());
    };
    let next = match step {
        Step::Begin => Some(Step::Wait {
            barrier: barrier(tx).await?,
        }),
        Step::Wait { .. } => Some(Step::Clear),
        Step::Clear if clear(tx, ctx, &definition).await? => Some(Step::Clear),
        Step::Clear if definition.is_on => Some(Step::Copy { after: Uuid::nil() }),
        Step::Clear => None,
        Step::Copy { after } => {
            let last = copy(tx, ctx, &definition, after).await?;
            if last.is_none() {
                note(tx, ctx, id, Some(ctx.now)).await?;
            }
            last.map(|after| Step::Copy { after })
        }
    };
    match next {
        Some(step) => again(tx, ctx, timer, ctx.recorded_at, &step).await,
        None => Ok(()),
    }
}

#[derive(QueryableByName)]
struct Barrier {
    #[diesel(sql_type = Text)]
    barrier: String,
}

async fn barrier(tx: &mut Tx) -> AppResult<String> {
    let query = sql_query("SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS barrier");
    Ok(query.get_result::<Barrier>(&mut **tx).await?.barrier)
}

#[derive(QueryableByName)]
struct Past {
    #[diesel(sql_type = Bool)]
    is_past: bool,
}

async fn is_past(tx: &mut Tx, barrier: &str) -> AppResult<bool> {
    let query = sql_query("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 AS is_past");
    let past = query
        .bind::<Text, _>(barrier)
        .get_result::<Past>(&mut **tx)
        .await?;
    Ok(past.is_past)
}

/// Removes one batch; whether there may be more.
async fn clear(tx: &mut Tx, ctx: &Ctx, definition: &Definition) -> AppResult<bool> {
    let removed = sql_query(
        "DELETE FROM custom_values WHERE (tenant_id, record_kind, record_id, field_key) IN \
         (SELECT tenant_id, record_kind, record_id, field_key FROM custom_values \
          WHERE tenant_id = $1 AND record_kind = $2 AND field_key = $3 LIMIT $4)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(&definition.resource)
    .bind::<Text, _>(&definition.key)
    .bind::<BigInt, _>(BATCH)
    .execute(&mut **tx)
    .await?;
    Ok(i64::try_from(removed).unwrap_or(BATCH) >= BATCH)
}

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    last: Option<Uuid>,
}

/// Copies one batch; the last record of it, none when there was no more. The lock makes it wait for whoever writes one of
/// them just now, and sees what they wrote.
async fn copy(tx: &mut Tx, ctx: &Ctx, definition: &Definition, after: Uuid) -> AppResult<Option<Uuid>> {
    let table = TABLES
        .iter()
        .find_map(|(resource, table)| (*resource == definition.resource).then_some(*table))
        .ok_or_else(|| AppError::internal("a field of a resource that has none"))?;
    let (column, cast) = match definition.kind.as_str() {
        "number" | "money" => ("number_value", "::numeric"),
        "date" => ("day_value", "::date"),
        _ => ("text_value", ""),
    };
    let copied = sql_query(format!(
        "WITH page AS (SELECT t.id, t.custom->>$3 AS value FROM {table} t WHERE t.tenant_id = $1 AND t.id > $4 \
            ORDER BY t.id LIMIT $5 FOR SHARE OF t), \
         copied AS (INSERT INTO custom_values (tenant_id, record_kind, field_key, record_id, {column}) \
            SELECT $1, $2, $3, page.id, page.value{cast} FROM page WHERE page.value IS NOT NULL \
            ON CONFLICT (tenant_id, record_kind, record_id, field_key) DO NOTHING) \
         SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(&definition.resource)
    .bind::<Text, _>(&definition.key)
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(BATCH)
    .get_result::<Last>(&mut **tx)
    .await?;
    Ok(copied.last)
}
