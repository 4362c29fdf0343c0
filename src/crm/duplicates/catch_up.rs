//! Enters the keys and names of records that were made without: before there were any, or behind the service's back.

use super::keys::{self, Named};
use super::subject::Subject;
use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::leases::Lease;
use crate::platform::records::Resource;
use diesel::sql_types::{BigInt, Bool, Json, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(600);
const LEASE_SECONDS: i32 = 120;
/// Records of one transaction.
const BATCH: i64 = 200;
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
struct Behind {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
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

/// Enters one batch of one company, in the order of ids after a position; answers the next one, or none at the end.
///
/// # Errors
/// Database errors.
pub async fn batch(db: &Db, resource: &'static Resource, after: Position) -> AppResult<Option<Position>> {
    db.bookkeep(async |conn| {
        let Some(next) = next_behind(conn, resource, after).await? else {
            return Ok(None);
        };
        let rows = records_behind(conn, resource, &next).await?;
        for row in &rows {
            enter(conn, resource, next.tenant_id, row).await?;
        }
        let last = rows.last().map_or(next.id, |row| row.id);
        Ok(Some((next.tenant_id, last)))
    })
    .await
}

/// That nothing is known of the record `t` yet, and something should be.
fn is_behind(resource: &Resource) -> String {
    let kind = resource.singular;
    format!(
        "NOT EXISTS (SELECT 1 FROM identity_names n WHERE n.tenant_id = t.tenant_id AND n.record_kind = '{kind}' AND n.record_id = t.id) \
         AND NOT EXISTS (SELECT 1 FROM merged_records m WHERE m.tenant_id = t.tenant_id AND m.record_kind = '{kind}' AND m.record_id = t.id)"
    )
}

async fn next_behind(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    after: Position,
) -> AppResult<Option<Behind>> {
    let (table, is_behind) = (resource.table, is_behind(resource));
    let query = sql_query(format!(
        "SELECT t.tenant_id, t.id FROM {table} t WHERE (t.tenant_id, t.id) > ($1, $2) AND {is_behind} ORDER BY t.tenant_id, t.id LIMIT 1"
    ))
    .bind::<SqlUuid, _>(after.0)
    .bind::<SqlUuid, _>(after.1);
    Ok(query.get_result(conn).await.optional()?)
}

async fn records_behind(
    conn: &mut AsyncPgConnection,
    resource: &Resource,
    from: &Behind,
) -> AppResult<Vec<Row>> {
    let (table, is_behind) = (resource.table, is_behind(resource));
    let converted = if resource.singular == LEAD.singular {
        " AND t.status <> 'converted'"
    } else {
        ""
    };
    let query = sql_query(format!(
        "SELECT t.id, row_to_json(t) AS record, t.archived_at IS NULL{converted} AS is_live FROM {table} t \
         WHERE t.tenant_id = $1 AND t.id >= $3 AND {is_behind} ORDER BY t.id LIMIT $2 FOR UPDATE OF t"
    ))
    .bind::<SqlUuid, _>(from.tenant_id)
    .bind::<BigInt, _>(BATCH)
    .bind::<SqlUuid, _>(from.id);
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
