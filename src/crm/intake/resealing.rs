//! While the server still knows its previous secret, what that one sealed is sealed anew with the present one, so that the
//! previous one can be dropped.

use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Db;
use crate::platform::duty::{Duty, Stop};
use crate::platform::tokens::Secrets;
use diesel::sql_types::{BigInt, Binary, Nullable, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often it looks: a server that does not know the new secret yet may seal with the old one meanwhile.
const INTERVAL: Duration = Duration::from_secs(300);
/// Sources that one transaction looks at.
const BATCH: i64 = 500;

/// Starts it beside any others; two at once do no harm.
///
/// # Errors
/// When its thread or connections cannot be set up.
pub fn spawn(url: &str, secrets: Arc<Secrets>) -> Result<Duty, Box<dyn std::error::Error + Send + Sync>> {
    Duty::spawn("resealing", url, move |db, stop| run(db, secrets, stop))
}

async fn run(db: Db, secrets: Arc<Secrets>, mut stop: Stop) {
    while !stop.is_asked() {
        match reseal(&db, &secrets).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(
                count,
                "secrets of sources were sealed anew with the present secret"
            ),
            Err(error) => tracing::warn!(%error, "secrets could not be sealed anew; trying again"),
        }
        stop.pause(INTERVAL).await;
    }
}

#[derive(QueryableByName)]
struct Sealed {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<Binary>)]
    sealed_secret: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    sealed_previous_secret: Option<Vec<u8>>,
}

/// Seals anew what the previous secret sealed; answers of how many sources.
///
/// # Errors
/// Database errors.
pub async fn reseal(db: &Db, secrets: &Secrets) -> AppResult<usize> {
    let (mut after, mut count) = ((Uuid::nil(), Uuid::nil()), 0);
    loop {
        let (resealed, last) = db
            .bookkeep(async |conn| reseal_batch(conn, secrets, after).await)
            .await?;
        count += resealed;
        match last {
            Some(last) => after = last,
            None => return Ok(count),
        }
    }
}

/// One batch: how many it sealed anew, and where the next begins if there may be more.
async fn reseal_batch(
    conn: &mut AsyncPgConnection,
    secrets: &Secrets,
    after: (Uuid, Uuid),
) -> AppResult<(usize, Option<(Uuid, Uuid)>)> {
    let sources: Vec<Sealed> = sql_query(
        "SELECT tenant_id, id, sealed_secret, sealed_previous_secret FROM lead_sources \
         WHERE (tenant_id, id) > ($1, $2) AND (sealed_secret IS NOT NULL OR sealed_previous_secret IS NOT NULL) \
         ORDER BY tenant_id, id LIMIT $3",
    )
    .bind::<SqlUuid, _>(after.0)
    .bind::<SqlUuid, _>(after.1)
    .bind::<BigInt, _>(BATCH)
    .load(conn)
    .await?;
    let mut count = 0;
    for source in &sources {
        count += usize::from(replace(conn, secrets, source).await?);
    }
    let is_full = i64::try_from(sources.len()).unwrap_or(i64::MAX) == BATCH;
    let last = sources.last().filter(|_| is_full);
    Ok((count, last.map(|source| (source.tenant_id, source.id))))
}

/// Whether it sealed anything of this source anew. What a rotation replaced meanwhile stays as that left it; the version
/// stays too, since the secrets themselves are the same.
async fn replace(conn: &mut AsyncPgConnection, secrets: &Secrets, source: &Sealed) -> AppResult<bool> {
    let secret = anew(secrets, source.id, source.sealed_secret.as_deref())?;
    let previous = anew(secrets, source.id, source.sealed_previous_secret.as_deref())?;
    if secret.is_none() && previous.is_none() {
        return Ok(false);
    }
    let replaced = sql_query(
        "UPDATE lead_sources SET sealed_secret = coalesce($3, sealed_secret), \
            sealed_previous_secret = coalesce($4, sealed_previous_secret) \
         WHERE tenant_id = $1 AND id = $2 AND sealed_secret IS NOT DISTINCT FROM $5 \
            AND sealed_previous_secret IS NOT DISTINCT FROM $6",
    )
    .bind::<SqlUuid, _>(source.tenant_id)
    .bind::<SqlUuid, _>(source.id)
    .bind::<Nullable<Binary>, _>(secret)
    .bind::<Nullable<Binary>, _>(previous)
    .bind::<Nullable<Binary>, _>(source.sealed_secret.as_deref())
    .bind::<Nullable<Binary>, _>(source.sealed_previous_secret.as_deref())
    .execute(conn)
    .await?;
    Ok(replaced > 0)
}

/// The same, sealed with the present secret; none when it is already, or when no secret opens it.
fn anew(secrets: &Secrets, source: Uuid, sealed: Option<&[u8]>) -> AppResult<Option<Vec<u8>>> {
    let Some(sealed) = sealed else {
        return Ok(None);
    };
    let Some(opened) = secrets.unseal(source.as_bytes(), sealed) else {
        tracing::warn!(%source, "a source's secret does not open with either of the server's secrets");
        return Ok(None);
    };
    if !opened.is_by_previous {
        return Ok(None);
    }
    let sealed = secrets.seal(source.as_bytes(), &opened.plain);
    sealed.map(Some).map_err(AppError::internal)
}
