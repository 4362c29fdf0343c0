//! Enters what is kept beside records (search rows, identity keys) for those that lack it: made before there was any, or
//! behind the service's back. A companion says what it is and how it is entered; the walk over the records is the same.

use super::spec::Resource;
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::leases::Lease;
use diesel::sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::LocalBoxFuture;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;
use uuid::Uuid;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(3600);
/// How soon it tries again what failed.
const PATIENCE: Duration = Duration::from_secs(30);
const LEASE_SECONDS: i32 = 120;

/// Enters the rows of these records of one company; one that somebody entered meanwhile is entered the same way again.
pub type Enter = for<'a> fn(
    &'a mut AsyncPgConnection,
    &'static Resource,
    Uuid,
    &'a [Row],
) -> LocalBoxFuture<'a, AppResult<()>>;

/// What is kept beside records, in a table with `record_kind` and `record_id`.
pub struct Companion {
    /// Of the duty and its lease.
    pub name: &'static str,
    pub table: &'static str,
    /// The `form` that a row has at least, where rows have one: older ones are made anew.
    pub form: Option<i32>,
    /// Records looked at by one statement.
    pub window: i64,
    /// Records entered in one transaction.
    pub batch: usize,
    pub enter: Enter,
}

/// A record that lacks its companion, locked.
#[derive(QueryableByName)]
pub struct Row {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Json)]
    record: Value,
}

impl Row {
    /// The record in wire form.
    pub fn record(&self) -> &Map<String, Value> {
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.record.as_object().unwrap_or(&NONE)
    }

    pub fn is_archived(&self) -> bool {
        self.record
            .get("archived_at")
            .is_some_and(|archived| !archived.is_null())
    }
}

/// Starts it for these resources, beside any others; the lease sees to it that one works at a time.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(
    url: &str,
    companion: &'static Companion,
    resources: Vec<&'static Resource>,
) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn(companion.name, url, move |db, stop| {
        run(db, stop, companion, resources)
    })
}

async fn run(db: Db, mut stop: Stop, companion: &'static Companion, resources: Vec<&'static Resource>) {
    let lease = Lease::new(companion.name, LEASE_SECONDS);
    while !stop.is_asked() {
        let outcome = round(&db, &lease, &stop, companion, &resources).await;
        if let Err(error) = &outcome {
            tracing::warn!(duty = companion.name, %error, "records could not be entered; trying again");
        }
        stop.pause(if outcome.is_ok() { INTERVAL } else { PATIENCE })
            .await;
    }
    let given_back = db.bookkeep(async |conn| lease.give_back(conn).await).await;
    if let Err(error) = given_back {
        tracing::debug!(duty = companion.name, %error, "the lease was not given back; it runs out by itself");
    }
}

/// How far a round has come: company and record.
pub type Position = (Uuid, Uuid);

async fn round(
    db: &Db,
    lease: &Lease,
    stop: &Stop,
    companion: &Companion,
    resources: &[&'static Resource],
) -> AppResult<()> {
    for resource in resources {
        let mut position = Some(Position::default());
        while let Some(after) = position {
            let is_ours = db.bookkeep(async |conn| lease.take(conn).await).await?;
            if stop.is_asked() || !is_ours {
                return Ok(());
            }
            position = batch(db, companion, resource, after).await?;
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = SqlUuid)]
    record_id: Uuid,
}

/// Looks at the records of one company after a position, so many at a time that no statement is long, and enters those
/// that lack their row; answers the next position, or none at the end.
///
/// # Errors
/// Database errors.
pub async fn batch(
    db: &Db,
    companion: &Companion,
    resource: &'static Resource,
    after: Position,
) -> AppResult<Option<Position>> {
    db.bookkeep(async |conn| {
        let places = window(conn, companion, resource, after).await?;
        let Some(tenant) = places.iter().map(|place| place.tenant_id).next() else {
            return Ok(None);
        };
        let of_one = places.iter().filter(|place| place.tenant_id == tenant);
        let looked: Vec<Uuid> = of_one.map(|place| place.id).collect();
        let known = known(conn, companion, resource, tenant, &looked).await?;
        let lacking = looked.iter().filter(|id| !known.contains(id)).copied();
        let lacking: Vec<Uuid> = lacking.take(companion.batch).collect();
        let is_full = lacking.len() == companion.batch;
        let last = if is_full { lacking.last() } else { looked.last() };
        let next = last.map(|id| (tenant, *id));
        if !lacking.is_empty() {
            let rows = records(conn, resource, tenant, lacking).await?;
            (companion.enter)(conn, resource, tenant, &rows).await?;
        }
        Ok(next)
    })
    .await
}

/// The next records after a position.
async fn window(
    conn: &mut AsyncPgConnection,
    companion: &Companion,
    resource: &Resource,
    after: Position,
) -> AppResult<Vec<Place>> {
    let query = sql_query(format!(
        "SELECT t.tenant_id, t.id FROM {} t WHERE (t.tenant_id, t.id) > ($1, $2) ORDER BY t.tenant_id, t.id LIMIT $3",
        resource.table
    ))
    .bind::<SqlUuid, _>(after.0)
    .bind::<SqlUuid, _>(after.1)
    .bind::<BigInt, _>(companion.window);
    Ok(query.load(conn).await?)
}

/// Which of them have their row, or are merged away and need none. Asked for by their ids: a join would be planned by what
/// the companion's table held when it was last analysed, which was nothing while it is being filled.
async fn known(
    conn: &mut AsyncPgConnection,
    companion: &Companion,
    resource: &Resource,
    tenant: Uuid,
    ids: &[Uuid],
) -> AppResult<HashSet<Uuid>> {
    let is_current = if companion.form.is_some() {
        "form >= $4"
    } else {
        "$4 IS NULL"
    };
    let query = sql_query(format!(
        "SELECT record_id FROM {} WHERE tenant_id = $1 AND record_kind = $2 AND record_id = ANY($3) AND {is_current} \
         UNION ALL SELECT record_id FROM merged_records WHERE tenant_id = $1 AND record_kind = $2 AND record_id = ANY($3)",
        companion.table
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Text, _>(resource.singular)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Nullable<Integer>, _>(companion.form);
    let known: Vec<Known> = query.load(conn).await?;
    Ok(known.into_iter().map(|known| known.record_id).collect())
}

/// The records themselves, locked.
async fn records(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    tenant: Uuid,
    ids: Vec<Uuid>,
) -> AppResult<Vec<Row>> {
    let query = sql_query(format!(
        "SELECT t.id, row_to_json(t) AS record FROM {} t \
         WHERE t.tenant_id = $1 AND t.id = ANY($2) AND NOT EXISTS (SELECT 1 FROM merged_records m \
            WHERE m.tenant_id = $1 AND m.record_kind = $3 AND m.record_id = t.id) ORDER BY t.id FOR NO KEY UPDATE OF t",
        resource.table
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Text, _>(resource.singular);
    Ok(query.load(conn).await?)
}
