//! Enters records that have no search row, or one of an older form: made before there were any, or behind the service's
//! back.

use super::{Entry, FORM, enter};
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::leases::Lease;
use crate::platform::records::spec::Resource;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Json, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(3600);
const LEASE_SECONDS: i32 = 120;
/// Records looked at by one statement.
const WINDOW: i64 = 2000;
/// Records entered in one transaction.
const BATCH: usize = 500;

/// Starts it beside any others; the lease sees to it that one works at a time.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(
    url: &str,
    resources: Vec<&'static Resource>,
) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn("search-entries", url, |db, stop| run(db, stop, resources))
}

async fn run(db: Db, mut stop: Stop, resources: Vec<&'static Resource>) {
    let lease = Lease::new("search-entries", LEASE_SECONDS);
    while !stop.is_asked() {
        if let Err(error) = round(&db, &lease, &stop, &resources).await {
            tracing::warn!(%error, "records could not be entered for search; trying again");
        }
        stop.pause(INTERVAL).await;
    }
}

/// How far a round has come: company and record.
pub type Position = (Uuid, Uuid);

async fn round(db: &Db, lease: &Lease, stop: &Stop, resources: &[&'static Resource]) -> AppResult<()> {
    for resource in resources {
        let mut position = Some(Position::default());
        while let Some(after) = position {
            let is_ours = db.bookkeep(async |conn| lease.take(conn).await).await?;
            if stop.is_asked() || !is_ours {
                return Ok(());
            }
            position = batch(db, resource, after).await?;
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

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Json)]
    record: Value,
    #[diesel(sql_type = Bool)]
    is_live: bool,
}

/// Looks at the records after a position, so many at a time that no statement is long, and enters those of one company
/// that lack their row; answers the next position, or none at the end.
///
/// # Errors
/// Database errors.
pub async fn batch(db: &Db, resource: &'static Resource, after: Position) -> AppResult<Option<Position>> {
    db.bookkeep(async |conn| {
        let looked = window(conn, resource, after).await?;
        let Some(first) = looked.iter().find(|row| row.is_behind) else {
            return Ok(looked.last().map(|row| (row.tenant_id, row.id)));
        };
        let behind = looked
            .iter()
            .filter(|row| row.is_behind && row.tenant_id == first.tenant_id);
        let ids = behind.map(|row| row.id).take(BATCH).collect::<Vec<_>>();
        let last = ids.last().copied().unwrap_or(first.id);
        let none = Map::new();
        let rows = records(conn, resource, first.tenant_id, ids).await?;
        let entries = rows.iter().map(|row| {
            let record = row.record.as_object().unwrap_or(&none);
            Entry::of(resource, row.id, record, row.is_live)
        });
        enter(conn, first.tenant_id, resource, &entries.collect::<Vec<_>>()).await?;
        Ok(Some((first.tenant_id, last)))
    })
    .await
}

/// The records after a position, and whether they lack their row.
async fn window(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    after: Position,
) -> AppResult<Vec<Looked>> {
    let query = sql_query(format!(
        "SELECT t.tenant_id, t.id, \
            NOT EXISTS (SELECT 1 FROM search_entries s WHERE s.tenant_id = t.tenant_id AND s.record_kind = $4 AND s.record_id = t.id AND s.form >= $5) \
            AND NOT EXISTS (SELECT 1 FROM merged_records m WHERE m.tenant_id = t.tenant_id AND m.record_kind = $4 AND m.record_id = t.id) AS is_behind \
         FROM {} t WHERE (t.tenant_id, t.id) > ($1, $2) ORDER BY t.tenant_id, t.id LIMIT $3",
        resource.table
    ))
    .bind::<SqlUuid, _>(after.0)
    .bind::<SqlUuid, _>(after.1)
    .bind::<BigInt, _>(WINDOW)
    .bind::<Text, _>(resource.singular)
    .bind::<Integer, _>(FORM);
    Ok(query.load(conn).await?)
}

/// The records themselves, locked; one that somebody entered meanwhile is entered the same way again.
async fn records(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    tenant: Uuid,
    ids: Vec<Uuid>,
) -> AppResult<Vec<Row>> {
    let query = sql_query(format!(
        "SELECT t.id, row_to_json(t) AS record, t.archived_at IS NULL AS is_live FROM {} t \
         WHERE t.tenant_id = $1 AND t.id = ANY($2) AND NOT EXISTS (SELECT 1 FROM merged_records m \
            WHERE m.tenant_id = $1 AND m.record_kind = $3 AND m.record_id = t.id) ORDER BY t.id FOR NO KEY UPDATE OF t",
        resource.table
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Text, _>(resource.singular);
    Ok(query.load(conn).await?)
}
