//! Enters the keys and names of records that were made without: before there were any, or behind the service's back.

use super::keys::{self, Named};
use super::subject::Subject;
use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::leases::Lease;
use crate::platform::records::Resource;
use diesel::sql_types::{Array, BigInt, Bool, Json, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(3600);
const LEASE_SECONDS: i32 = 120;
/// Records looked at by one statement.
const WINDOW: i64 = 1000;
/// Records entered in one transaction.
const BATCH: usize = 200;
/// Why a second record keeps a key that was not kept apart then.
const REASON: &str = "entered before its key was kept";

/// Starts it beside any others; the lease sees to it that one works at a time.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(url: &str) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn("identity-keys", url, run)
}

async fn run(db: Db, mut stop: Stop) {
    let lease = Lease::new("identity-keys", LEASE_SECONDS);
    while !stop.is_asked() {
        if let Err(error) = round(&db, &lease, &stop).await {
            tracing::warn!(%error, "keys could not be entered; trying again");
        }
        stop.pause(INTERVAL).await;
    }
}

/// How far a round has come: company and record.
pub type Position = (Uuid, Uuid);

async fn round(db: &Db, lease: &Lease, stop: &Stop) -> AppResult<()> {
    for resource in [&ACCOUNT, &CONTACT, &LEAD] {
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
/// of which nothing is known; answers the next position, or none at the end.
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
        for row in &records(conn, resource, first.tenant_id, ids).await? {
            enter(conn, resource, first.tenant_id, row).await?;
        }
        Ok(Some((first.tenant_id, last)))
    })
    .await
}

/// The records after a position, and whether nothing is known of them that should be.
async fn window(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    after: Position,
) -> AppResult<Vec<Looked>> {
    let (table, kind) = (resource.table, resource.singular);
    let query = sql_query(format!(
        "SELECT t.tenant_id, t.id, \
            NOT EXISTS (SELECT 1 FROM identity_names n WHERE n.tenant_id = t.tenant_id AND n.record_kind = '{kind}' AND n.record_id = t.id) \
            AND NOT EXISTS (SELECT 1 FROM merged_records m WHERE m.tenant_id = t.tenant_id AND m.record_kind = '{kind}' AND m.record_id = t.id) AS is_behind \
         FROM {table} t WHERE (t.tenant_id, t.id) > ($1, $2) ORDER BY t.tenant_id, t.id LIMIT $3"
    ))
    .bind::<SqlUuid, _>(after.0)
    .bind::<SqlUuid, _>(after.1)
    .bind::<BigInt, _>(WINDOW);
    Ok(query.load(conn).await?)
}

/// The records themselves, locked; those that somebody entered meanwhile are entered the same way again.
async fn records(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    tenant: Uuid,
    ids: Vec<Uuid>,
) -> AppResult<Vec<Row>> {
    let (table, kind) = (resource.table, resource.singular);
    let converted = if kind == LEAD.singular {
        " AND t.status <> 'converted'"
    } else {
        ""
    };
    let query = sql_query(format!(
        "SELECT t.id, row_to_json(t) AS record, t.archived_at IS NULL{converted} AS is_live FROM {table} t \
         WHERE t.tenant_id = $1 AND t.id = ANY($2) AND NOT EXISTS (SELECT 1 FROM merged_records m \
            WHERE m.tenant_id = $1 AND m.record_kind = '{kind}' AND m.record_id = t.id) ORDER BY t.id FOR UPDATE OF t"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<SqlUuid>, _>(ids);
    Ok(query.load(conn).await?)
}

async fn enter(conn: &mut AsyncPgConnection, resource: &Resource, tenant: Uuid, row: &Row) -> AppResult<()> {
    let record = Named {
        tenant,
        kind: resource.singular,
        id: row.id,
    };
    let none = Map::new();
    let subject = Subject::of(resource, row.record.as_object().unwrap_or(&none));
    let lacking = keys::claim(conn, record, &subject).await?;
    keys::admit(conn, record, &lacking, REASON).await?;
    if row.is_live {
        Ok(())
    } else {
        keys::retire(conn, record).await
    }
}
