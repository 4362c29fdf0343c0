//! The sources that deliveries name: found by the address, remembered for moments.

use super::mapping::Reading;
use super::signature::{self, Signed};
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::platform::auth;
use crate::platform::clock;
use crate::platform::db::{Cached, Db};
use crate::platform::tokens::Secrets;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Binary, Integer, Json, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use moka::sync::Cache;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a source is remembered. A stale memory does no harm: the delivery's own statement asks for its version.
const SECONDS: u64 = 3;
/// A memory older than this is refreshed before a signature is refused: another server may have changed the secret.
const REFRESH: Duration = Duration::from_secs(1);

/// A company's source by its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    pub tenant: Uuid,
    pub id: Uuid,
}

impl Address {
    /// Reads `{tenant}.{source}`, each 32 hexadecimal digits, as `intake_path` shows it.
    pub fn parse(text: &str) -> Option<Address> {
        let (tenant, id) = text.split_once('.')?;
        let simple = |text: &str| Uuid::parse_str(text).ok().filter(|_| text.len() == 32);
        Some(Address {
            tenant: simple(tenant)?,
            id: simple(id)?,
        })
    }
}

/// What a delivery needs to know of its source.
pub struct Source {
    pub address: Address,
    pub version: i32,
    pub key: Vec<u8>,
    /// The key before a rotation, and until when it is good, by real time.
    previous: Option<(Vec<u8>, DateTime<Utc>)>,
    pub reading: Reading,
    pub default_owner: Option<Uuid>,
    terms: Ctx,
    loaded: Instant,
}

/// The secret that made a delivery's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    Current,
    /// The one before, which is good until then.
    Previous(DateTime<Utc>),
}

static REMEMBERED: LazyLock<Cache<Address, Arc<Source>>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(10_000)
        .time_to_live(Duration::from_secs(SECONDS))
        .build()
});

impl Source {
    /// The open source at an address.
    ///
    /// # Errors
    /// `not_found` when there is none, it is closed or archived, or it never got a secret.
    pub async fn at(db: &Db, secrets: &Secrets, address: Address) -> AppResult<Arc<Source>> {
        match REMEMBERED.get(&address) {
            Some(source) => Ok(source),
            None => Source::fresh(db, secrets, address).await,
        }
    }

    /// Like `at`, from the database.
    ///
    /// # Errors
    /// As `at`.
    pub async fn fresh(db: &Db, secrets: &Secrets, address: Address) -> AppResult<Arc<Source>> {
        forget(address);
        let source = Arc::new(load(db, secrets, address).await?);
        REMEMBERED.insert(address, Arc::clone(&source));
        Ok(source)
    }

    /// By which of its secrets a delivery is signed, if by one that is good at this instant of real time.
    pub fn signed_by(&self, signed: Signed<'_>, body: &[u8], now: DateTime<Utc>) -> Option<SignedBy> {
        let is_genuine = |key: &[u8]| signature::is_genuine(key, signed, body, now.timestamp());
        if is_genuine(&self.key) {
            return Some(SignedBy::Current);
        }
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        previous
            .filter(|(key, _)| is_genuine(key))
            .map(|(_, until)| SignedBy::Previous(*until))
    }

    /// Whether the secret may have changed since this was read.
    pub fn is_old(&self) -> bool {
        self.loaded.elapsed() > REFRESH
    }

    /// The terms on which this delivery acts: the source is the actor.
    ///
    /// # Errors
    /// Database errors, for a sandbox company's clock.
    pub async fn terms(&self, db: &Db) -> AppResult<Ctx> {
        let company = &self.terms.principal.company;
        let now = auth::business_now(db, self.address.tenant, company).await?;
        Ok(Ctx {
            now,
            recorded_at: clock::real_now(),
            command_id: Uuid::now_v7(),
            ..self.terms.clone()
        })
    }
}

/// Forgets a source whose secret changed.
pub fn forget(address: Address) {
    REMEMBERED.invalidate(&address);
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Json)]
    mapping: serde_json::Value,
    #[diesel(sql_type = Json)]
    required_members: serde_json::Value,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    default_owner_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Binary>)]
    sealed_secret: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    sealed_previous_secret: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    previous_secret_until: Option<DateTime<Utc>>,
}

async fn load(db: &Db, secrets: &Secrets, address: Address) -> AppResult<Source> {
    let row: Option<Row> = db
        .read(async |conn| {
            let query = sql_query(
                "SELECT version, mapping::json AS mapping, to_json(required_members) AS required_members, default_owner_id, sealed_secret, \
                 sealed_previous_secret, previous_secret_until \
                 FROM lead_sources WHERE tenant_id = $1 AND id = $2 AND is_intake_open AND archived_at IS NULL",
            )
            .bind::<SqlUuid, _>(address.tenant)
            .bind::<SqlUuid, _>(address.id);
            Ok(Cached(query).get_result(conn).await.optional()?)
        })
        .await?;
    let row = row.or_not_found()?;
    let sealed = row.sealed_secret.or_not_found()?;
    let open = |sealed: &[u8]| {
        let secret = secrets.unseal(address.id.as_bytes(), sealed);
        let secret = secret.and_then(|secret| String::from_utf8(secret.plain).ok());
        secret.and_then(|secret| signature::key(&secret)).ok_or_else(|| {
            AppError::internal("a source's secret does not open: was the server's secret changed?")
        })
    };
    let key = open(&sealed)?;
    let previous = row.sealed_previous_secret.as_deref().map(open).transpose()?;
    let company = auth::load_company(db, address.tenant).await?.or_not_found()?;
    let now = clock::real_now();
    let mut terms = Ctx::system(Arc::new(company), address.tenant, ActorKind::Source, now, now);
    terms.actor_id = Some(address.id);
    Ok(Source {
        address,
        version: row.version,
        key,
        previous: previous.zip(row.previous_secret_until),
        reading: Reading::new(row.mapping, row.required_members).map_err(AppError::internal)?,
        default_owner: row.default_owner_id,
        terms,
        loaded: Instant::now(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_two_ids_in_hexadecimal_digits() {
        let (tenant, id) = (Uuid::now_v7(), Uuid::now_v7());
        let text = format!("{}.{}", tenant.simple(), id.simple());
        assert_eq!(Address::parse(&text), Some(Address { tenant, id }));
        for bad in [
            "",
            ".",
            "x.y",
            &format!("{tenant}.{id}"),
            &tenant.simple().to_string(),
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }
}
