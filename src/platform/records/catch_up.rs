//! Enters what is kept beside records (search rows, identity keys) for those that lack it: made before there was any, or
//! behind the service's back. A companion says what it is and how it is entered; the walk over the records is the same.

use super::spec::Resource;
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::leases::Lease;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::LocalBoxFuture;
use serde_json::{Map, Value};
use std::sync::LazyLock;
use std::time::Duration;
use uuid::Uuid;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(3600);
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
        if let Err(error) = round(&db, &lease, &stop, companion, &resources).await {
            tracing::warn!(duty = companion.name, %error, "records could not be entered; trying again");
        }
        stop.pause(INTERVAL).await;
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
struct Looked {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Bool)]
    is_behind: bool,
}

/// Looks at the records after a position, so many at a time that no statement is long, and enters those of one company
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
        let looked = window(conn, companion, resource, after).await?;
        let Some(first) = looked.iter().find(|row| row.is_behind) else {
            return Ok(looked.last().map(|row| (row.tenant_id, row.id)));
        };
        let behind = looked
            .iter()
            .filter(|row| row.is_behind && row.tenant_id == first.tenant_id);
        let ids = behind.map(|row| row.id).take(companion.batch).collect::<Vec<_>>();
        let last = ids.last().copied().unwrap_or(first.id);
        let rows = records(conn, resource, first.tenant_id, ids).await?;
        (companion.enter)(conn, resource, first.tenant_id, &rows).await?;
        Ok(Some((first.tenant_id, last)))
    })
    .await
}

/// The records after a position, and whether they lack their row.
async fn window(
    conn: &mut AsyncPgConnection,
    companion: &Companion,
    resource: &Resource,
    after: Position,
) -> AppResult<Vec<Looked>> {
    let is_current = if companion.form.is_some() {
        "k.form >= $5"
    } else {
        "$5 IS NULL"
    };
    let query = sql_query(format!(
        "SELECT t.tenant_id, t.id, \
            NOT EXISTS (SELECT 1 FROM {} k WHERE k.tenant_id = t.tenant_id AND k.record_kind = $4 AND k.record_id = t.id AND {is_current}) \
            AND NOT EXISTS (SELECT 1 FROM merged_records m WHERE m.tenant_id = t.tenant_id AND m.record_kind = $4 AND m.record_id = t.id) AS is_behind \
         FROM {} t WHERE (t.tenant_id, t.id) > ($1, $2) ORDER BY t.tenant_id, t.id LIMIT $3",
        companion.table, resource.table
    ))
    .bind::<SqlUuid, _>(after.0)
    .bind::<SqlUuid, _>(after.1)
    .bind::<BigInt, _>(companion.window)
    .bind::<Text, _>(resource.singular)
    .bind::<Nullable<Integer>, _>(companion.form);
    Ok(query.load(conn).await?)
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
