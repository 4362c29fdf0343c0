//! Enters when deals are due that were moved before there was such a thing, and puts right what servers of before wrote
//! meanwhile. It goes over all deals in batches, by the hour, until a round has found nothing to mend; then `fills` says so,
//! and it is over for good.

use super::{closed_seconds, due_sql};
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::leases::Lease;
use diesel::sql_types::{Array, BigInt, Bool, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::time::Duration;
use uuid::Uuid;

/// Of the duty, its lease and its row of `fills`.
pub const NAME: &str = "stage_due_at";
/// How long after a round it looks again for what servers of before wrote.
const INTERVAL: Duration = Duration::from_secs(3600);
/// How soon it tries again what failed.
const PATIENCE: Duration = Duration::from_secs(30);
const LEASE_SECONDS: i32 = 120;
/// Deals that one transaction looks at, and of which it holds those that it mends.
const BATCH: i64 = 500;

/// How far a round has come: company and deal.
type Position = (Uuid, Uuid);

/// Starts it beside any others; the lease sees to it that one works at a time.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(url: &str) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn(NAME, url, run)
}

async fn run(db: Db, mut stop: Stop) {
    let lease = Lease::new(NAME, LEASE_SECONDS);
    let mut has_been_round = false;
    while !stop.is_asked() {
        let outcome = look(&db, &lease, &stop, has_been_round).await;
        let pause = match outcome {
            Ok(Looked::Complete) => break,
            Ok(Looked::Through) => {
                has_been_round = true;
                INTERVAL
            }
            Ok(Looked::NotOurs) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "when deals are due could not be entered; trying again");
                PATIENCE
            }
        };
        stop.pause(pause).await;
    }
    let given_back = db.bookkeep(async |conn| lease.give_back(conn).await).await;
    if let Err(error) = given_back {
        tracing::debug!(%error, "the lease was not given back; it runs out by itself");
    }
}

enum Looked {
    /// There is nothing left to do, now or later.
    Complete,
    /// All deals were looked at.
    Through,
    /// Somebody else is at it, or it is to stop.
    NotOurs,
}

async fn look(db: &Db, lease: &Lease, stop: &Stop, has_been_round: bool) -> AppResult<Looked> {
    if db.bookkeep(is_complete).await? {
        return Ok(Looked::Complete);
    }
    let (mut position, mut mended) = (Some(Position::default()), 0);
    while let Some(after) = position {
        let is_ours = db.bookkeep(async |conn| lease.take(conn).await).await?;
        if stop.is_asked() || !is_ours {
            return Ok(Looked::NotOurs);
        }
        let (more, next) = batch(db, after).await?;
        mended += more;
        position = next;
    }
    if mended > 0 {
        tracing::info!(mended, "it was entered when deals are due in their stages");
    }
    if mended > 0 || !has_been_round {
        return Ok(Looked::Through);
    }
    db.bookkeep(complete).await?;
    Ok(Looked::Complete)
}

#[derive(QueryableByName)]
struct Complete {
    #[diesel(sql_type = Bool)]
    is_complete: bool,
}

async fn is_complete(conn: &mut AsyncPgConnection) -> AppResult<bool> {
    let query = sql_query("SELECT EXISTS (SELECT 1 FROM fills WHERE name = $1) AS is_complete");
    let found: Complete = query.bind::<Text, _>(NAME).get_result(conn).await?;
    Ok(found.is_complete)
}

/// Notes that all deals say when they are due.
///
/// # Errors
/// Database errors.
pub async fn complete(conn: &mut AsyncPgConnection) -> AppResult<()> {
    sql_query("INSERT INTO fills (name, completed_at) VALUES ($1, now()) ON CONFLICT (name) DO NOTHING")
        .bind::<Text, _>(NAME)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Looks at the next deals of one company and mends those that are wrong; answers how many, and the next position, none at
/// the end. No version and no event: what the deal is did not change.
///
/// # Errors
/// Database errors.
pub async fn batch(db: &Db, after: Position) -> AppResult<(usize, Option<Position>)> {
    db.bookkeep(async |conn| {
        let places: Vec<Place> = sql_query(
            "SELECT tenant_id, id FROM opportunities WHERE (tenant_id, id) > ($1, $2) ORDER BY tenant_id, id LIMIT $3",
        )
        .bind::<SqlUuid, _>(after.0)
        .bind::<SqlUuid, _>(after.1)
        .bind::<BigInt, _>(BATCH)
        .load(conn)
        .await?;
        let Some(tenant) = places.iter().map(|place| place.tenant_id).next() else {
            return Ok((0, None));
        };
        let of_one = places.iter().filter(|place| place.tenant_id == tenant);
        let ids: Vec<Uuid> = of_one.map(|place| place.id).collect();
        let next = ids.last().map(|id| (tenant, *id));
        let wrong = lock_wrong(conn, tenant, ids).await?;
        let mended = if wrong.is_empty() { 0 } else { mend(conn, tenant, wrong).await? };
        Ok((mended, next))
    })
    .await
}

/// When the deal `t` is due in the stage `s`, as SQL.
fn due() -> String {
    let due = due_sql(
        "t.stage_entered_at",
        &closed_seconds("t.tenant_id", "t.id", "t.visit_id"),
    );
    format!("CASE WHEN t.status = 'open' AND s.expected_dwell_seconds IS NOT NULL THEN {due} END")
}

const STAGE: &str =
    "s.tenant_id = t.tenant_id AND s.version_id = t.pipeline_version_id AND s.stage_id = t.stage_id";

/// Locks those of these deals that say something else.
async fn lock_wrong(conn: &mut AsyncPgConnection, tenant: Uuid, ids: Vec<Uuid>) -> AppResult<Vec<Uuid>> {
    let due = due();
    let wrong: Vec<Place> = sql_query(format!(
        "SELECT t.tenant_id, t.id FROM opportunities t JOIN version_stages s ON {STAGE} \
         WHERE t.tenant_id = $1 AND t.id = ANY($2) AND t.stage_due_at IS DISTINCT FROM {due} ORDER BY t.id FOR NO KEY UPDATE OF t"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<SqlUuid>, _>(ids)
    .load(conn)
    .await?;
    Ok(wrong.into_iter().map(|place| place.id).collect())
}

/// Mends locked deals: in a statement of its own, which sees the moves for which the locks waited.
async fn mend(conn: &mut AsyncPgConnection, tenant: Uuid, ids: Vec<Uuid>) -> AppResult<usize> {
    let due = due();
    let mended = sql_query(format!(
        "UPDATE opportunities AS t SET stage_due_at = {due} FROM version_stages s \
         WHERE t.tenant_id = $1 AND t.id = ANY($2) AND {STAGE} AND t.stage_due_at IS DISTINCT FROM {due}"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<SqlUuid>, _>(ids)
    .execute(conn)
    .await?;
    Ok(mended)
}
