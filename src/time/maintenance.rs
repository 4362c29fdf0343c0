//! Removes what has expired by real time, or forgets it: rows in small batches, on one server at a time; what a server remembers of its
//! callers, on each.

use crate::kernel::error::AppResult;
use crate::platform::clock::real_now;
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::gatekeeper::Shared;
use crate::platform::leases::Lease;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_query;
use diesel::sql_types::{BigInt, Timestamptz};
use diesel_async::RunQueryDsl;
use std::time::Duration;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(60);
/// Most rows that one transaction removes.
const BATCH: usize = 1000;
/// Most transactions of one kind in a round, so that a stopping server need not wait long.
const MOST_BATCHES: usize = 50;
const LEASE_SECONDS: i32 = 90;
/// How long an answer is kept for its repetitions.
const KEY_HOURS: i64 = 24;
/// How long files that were sent in or made are kept.
const FILE_HOURS: i64 = 7 * 24;
/// How long a delivery's id alone tells its repetitions.
const DELIVERY_HOURS: i64 = 7 * 24;
/// What has an end of its own: each source's old secret, each company's raw deliveries.
const AT_ONCE: i64 = 0;
/// Refresh tokens stay past their end while an access token of a revoked family could still be about.
const TOKEN_HOURS: i64 = 24;

/// Starts the maintenance beside any others; the lease sees to it that one at a time works on the database.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(url: &str, platform: Shared) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn("maintenance", url, move |db, stop| run(db, platform, stop))
}

async fn run(db: Db, platform: Shared, mut stop: Stop) {
    let lease = Lease::new("maintenance", LEASE_SECONDS);
    while !stop.is_asked() {
        if let Err(error) = round(&db, &platform, &lease).await {
            tracing::warn!(%error, "expired rows could not be removed; trying again");
        }
        stop.pause(INTERVAL).await;
    }
}

/// What is done each time. The counts of calls are this server's own, whoever holds the lease.
///
/// # Errors
/// Database errors.
pub async fn round(db: &Db, platform: &Shared, lease: &Lease) -> AppResult<()> {
    platform.limits.sweep();
    if db.bookkeep(async |conn| lease.take(conn).await).await? {
        expire(db).await?;
    }
    Ok(())
}

const EXPIRY: [(&str, i64); 6] = [
    (
        "DELETE FROM idempotency_keys WHERE (tenant_id, caller_id, operation, key) IN \
         (SELECT tenant_id, caller_id, operation, key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        KEY_HOURS,
    ),
    (
        "DELETE FROM refresh_tokens WHERE (tenant_id, id) IN \
         (SELECT tenant_id, id FROM refresh_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        TOKEN_HOURS,
    ),
    (
        "DELETE FROM transfer_files WHERE (tenant_id, id) IN \
         (SELECT tenant_id, id FROM transfer_files WHERE created_at < $1 ORDER BY created_at LIMIT least($2, 20))",
        FILE_HOURS,
    ),
    (
        "UPDATE intakes SET is_remembered = false WHERE (tenant_id, id) IN \
         (SELECT tenant_id, id FROM intakes WHERE is_remembered AND status = 'accepted' AND received_at < $1 ORDER BY received_at LIMIT $2)",
        DELIVERY_HOURS,
    ),
    (
        "UPDATE intakes SET body = '', raw = NULL, corrected_body = NULL, raw_expired_at = $1 WHERE (tenant_id, id) IN \
         (SELECT i.tenant_id, i.id FROM tenants c JOIN intakes i ON i.tenant_id = c.tenant_id WHERE i.raw_expired_at IS NULL \
          AND i.status = 'accepted' AND i.received_at < $1 - make_interval(days => c.raw_intake_days) LIMIT $2)",
        AT_ONCE,
    ),
    (
        "UPDATE lead_sources SET sealed_previous_secret = NULL, previous_secret_until = NULL WHERE (tenant_id, id) IN \
         (SELECT tenant_id, id FROM lead_sources WHERE previous_secret_until < $1 ORDER BY previous_secret_until LIMIT $2)",
        AT_ONCE,
    ),
];

/// Removes what has expired, as much as one round may. Two at once do no harm; the lease only spares the work.
///
/// # Errors
/// Database errors.
pub async fn expire(db: &Db) -> AppResult<()> {
    let now = real_now();
    for (statement, hours) in EXPIRY {
        let limit = now - TimeDelta::hours(hours);
        for _ in 0..MOST_BATCHES {
            if remove(db, statement, limit).await? < BATCH {
                break;
            }
        }
    }
    Ok(())
}

/// Removes one batch; answers how many rows.
async fn remove(db: &Db, statement: &'static str, limit: DateTime<Utc>) -> AppResult<usize> {
    db.bookkeep(async |conn| {
        let query = sql_query(statement)
            .bind::<Timestamptz, _>(limit)
            .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX));
        Ok(query.execute(conn).await?)
    })
    .await
}
