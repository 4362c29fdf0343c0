//! Gives every committed event its place in the company's order. Ids and sequences do not follow commit order, so places
//! are given after commit, by one holder of a lease: the event's row in `event_queue` commits with it and is deleted in
//! the transaction that appends its position. Nothing can be left out, placed twice, or placed before it is committed.

use super::chain::{GENESIS, LINK_COLUMNS, Link};
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::events::COMMITTED;
use crate::platform::leases::Lease;
use diesel::sql_types::{Array, BigInt, Binary, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::time::Duration;
use uuid::Uuid;

/// Most events that one transaction places.
const BATCH: i64 = 500;
/// How long it waits, at most, before it looks again.
const PATIENCE: Duration = Duration::from_millis(150);
/// How long it lets a batch gather after it was told of a commit.
const GATHERING: Duration = Duration::from_millis(20);
const LEASE_SECONDS: i32 = 5;

/// Starts a sequencer beside any others; the lease sees to it that one works at a time.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(url: &str) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn("sequencer", url, run)
}

async fn run(db: Db, mut stop: Stop) {
    let lease = Lease::new("sequencer", LEASE_SECONDS);
    while !stop.is_asked() {
        let outcome = sequence(&db, &lease, &stop).await;
        if let Err(error) = outcome {
            tracing::warn!(%error, "events could not be placed; trying again");
            stop.pause(PATIENCE).await;
        }
        stop.pause_or(PATIENCE, &COMMITTED).await;
        stop.pause(GATHERING).await;
    }
    let given_back = db.bookkeep(async |conn| lease.give_back(conn).await).await;
    if let Err(error) = given_back {
        tracing::debug!(%error, "the sequencer's lease runs out by itself");
    }
}

#[derive(QueryableByName)]
struct TenantRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
}

/// Places everything that waits, if the lease is ours.
async fn sequence(db: &Db, lease: &Lease, stop: &Stop) -> AppResult<()> {
    if !db.bookkeep(async |conn| lease.take(conn).await).await? {
        return Ok(());
    }
    let waiting: Vec<TenantRow> = db
        .read(async |conn| {
            let query = "SELECT DISTINCT tenant_id FROM event_queue";
            Ok(sql_query(query).load(conn).await?)
        })
        .await?;
    for TenantRow { tenant_id } in waiting {
        while !stop.is_asked() {
            let placed = db
                .bookkeep(async |conn| place(conn, lease, tenant_id).await)
                .await?;
            if placed < BATCH {
                break;
            }
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
}

/// SQL of the oldest waiting events of company `$1`, at most `$2`. Each by its key: joined freely, a plan that was made for a
/// short queue reads the whole history up to its end.
pub fn waiting() -> String {
    format!(
        "SELECT {LINK_COLUMNS} FROM (SELECT event_id FROM event_queue WHERE tenant_id = $1 ORDER BY event_id LIMIT $2) q \
         CROSS JOIN LATERAL (SELECT * FROM events WHERE tenant_id = $1 AND id = q.event_id LIMIT 1) e ORDER BY e.id"
    )
}

/// Places the oldest waiting events of one company; answers how many. Renewing the lease first keeps its row locked
/// until the commit, so that a holder who was overtaken places nothing.
async fn place(conn: &mut AsyncPgConnection, lease: &Lease, tenant: Uuid) -> AppResult<i64> {
    if !lease.take(conn).await? {
        return Ok(0);
    }
    let links = sql_query(waiting())
        .bind::<SqlUuid, _>(tenant)
        .bind::<BigInt, _>(BATCH)
        .load::<Link>(conn)
        .await?;
    if links.is_empty() {
        return Ok(0);
    }
    let last =
        sql_query("SELECT seq, hash FROM event_positions WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1")
            .bind::<SqlUuid, _>(tenant)
            .get_result::<Last>(conn)
            .await
            .optional()?;
    let (mut seq, mut hash) = last.map_or((0, GENESIS.to_vec()), |last| (last.seq, last.hash));
    let (mut seqs, mut ids, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for link in &links {
        seq += 1;
        hash = link.hash(&hash);
        seqs.push(seq);
        ids.push(link.id);
        hashes.push(hash.clone());
    }
    sql_query(
        // Joined, since a plan that was kept compares each waiting event with every element of an array, one by one.
        "WITH placed AS (DELETE FROM event_queue q USING unnest($3) AS n (event_id) \
         WHERE q.tenant_id = $1 AND q.event_id = n.event_id) \
         INSERT INTO event_positions (tenant_id, seq, event_id, hash) \
         SELECT $1, n.seq, n.event_id, n.hash FROM unnest($2, $3, $4) AS n (seq, event_id, hash)",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<BigInt>, _>(&seqs)
    .bind::<Array<SqlUuid>, _>(&ids)
    .bind::<Array<Binary>, _>(&hashes)
    .execute(conn)
    .await?;
    Ok(i64::try_from(links.len()).unwrap_or(BATCH))
}
