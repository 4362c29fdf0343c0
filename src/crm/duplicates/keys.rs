//! The exact keys of records as the database holds them. Of one kind, one live record has a key: a unique index says so,
//! whatever runs at once.

use super::subject::{Key, Subject};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Cached;
use crate::platform::records::Resource;
use diesel::sql_types::{Array, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// Takes the keys away that the record no longer has, then claims those that it has, in one order for everybody. A twin
/// that is about to claim one of them is waited for.
const CLAIM: &str = "\
WITH wanted AS (
    SELECT * FROM unnest($4::text[], $5::text[], $6::text[]) AS w (key_kind, key, standing)
), gone AS (
    DELETE FROM identity_keys k WHERE k.tenant_id = $1 AND k.record_kind = $2 AND k.record_id = $3
    AND k.standing <> 'retired' AND NOT EXISTS (SELECT 1 FROM wanted w WHERE w.key_kind = k.key_kind AND w.key = k.key)
), named AS (
    INSERT INTO identity_names AS n (tenant_id, record_kind, record_id, core, distinctive) VALUES ($1, $2, $3, $7, $8)
    ON CONFLICT (tenant_id, record_kind, record_id) DO UPDATE SET core = EXCLUDED.core, distinctive = EXCLUDED.distinctive
    WHERE (n.core, n.distinctive) IS DISTINCT FROM (EXCLUDED.core, EXCLUDED.distinctive)
)
INSERT INTO identity_keys (tenant_id, record_kind, key_kind, key, record_id, standing)
SELECT $1, $2, w.key_kind, w.key, $3, w.standing FROM wanted w ORDER BY w.key_kind, w.key
ON CONFLICT DO NOTHING";

/// The keys of a record that it does not hold.
const LACKING: &str = "\
SELECT w.key_kind, w.key FROM unnest($4::text[], $5::text[]) AS w (key_kind, key)
WHERE NOT EXISTS (SELECT 1 FROM identity_keys k WHERE k.tenant_id = $1 AND k.key_kind = w.key_kind AND k.key = w.key
    AND k.record_kind = $2 AND k.record_id = $3)";

#[derive(QueryableByName)]
struct Lacking {
    #[diesel(sql_type = Text)]
    key_kind: String,
    #[diesel(sql_type = Text)]
    key: String,
}

/// Which record is meant.
#[derive(Clone, Copy)]
pub struct Named {
    pub tenant: Uuid,
    pub kind: &'static str,
    pub id: Uuid,
}

impl Named {
    pub fn new(ctx: &Ctx, resource: &Resource, id: Uuid) -> Named {
        Named {
            tenant: ctx.tenant,
            kind: resource.singular,
            id,
        }
    }
}

fn columns(keys: &[Key]) -> (Vec<&'static str>, Vec<&str>) {
    keys.iter()
        .map(|key| (<&'static str>::from(key.kind), key.text.as_str()))
        .unzip()
}

/// Enters what a record is known by, and answers those of its keys that another live record has.
///
/// # Errors
/// Database errors.
pub async fn claim(conn: &mut AsyncPgConnection, record: Named, subject: &Subject) -> AppResult<Vec<Key>> {
    let (kinds, texts) = columns(&subject.keys);
    let standing = |key: &Key| if key.is_shared { "shared" } else { "exclusive" };
    let standings = subject.keys.iter().map(standing).collect::<Vec<_>>();
    let query = sql_query(CLAIM)
        .bind::<SqlUuid, _>(record.tenant)
        .bind::<Text, _>(record.kind)
        .bind::<SqlUuid, _>(record.id)
        .bind::<Array<Text>, _>(&kinds)
        .bind::<Array<Text>, _>(&texts)
        .bind::<Array<Text>, _>(standings)
        .bind::<Nullable<Text>, _>(subject.profile.company.core.as_deref())
        .bind::<Nullable<Text>, _>(subject.profile.company.distinctive.as_deref());
    let claimed = Cached(query).execute(conn).await?;
    if claimed == subject.keys.len() || subject.keys.is_empty() {
        return Ok(Vec::new());
    }
    let query = sql_query(LACKING)
        .bind::<SqlUuid, _>(record.tenant)
        .bind::<Text, _>(record.kind)
        .bind::<SqlUuid, _>(record.id)
        .bind::<Array<Text>, _>(&kinds)
        .bind::<Array<Text>, _>(&texts);
    let lacking: Vec<Lacking> = Cached(query).load(conn).await?;
    let is_lacking = |key: &&Key| {
        let kind: &str = key.kind.into();
        lacking
            .iter()
            .any(|lacking| lacking.key_kind == kind && lacking.key == key.text)
    };
    Ok(subject.keys.iter().filter(is_lacking).cloned().collect())
}

/// Lets a record have keys that another one has, and says why.
///
/// # Errors
/// Database errors.
pub async fn admit(conn: &mut AsyncPgConnection, record: Named, keys: &[Key], reason: &str) -> AppResult<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let (kinds, texts) = columns(keys);
    let query = sql_query(
        "INSERT INTO identity_keys (tenant_id, record_kind, key_kind, key, record_id, standing, reason) \
         SELECT $1, $2, w.key_kind, w.key, $3, 'admitted', $6 FROM unnest($4::text[], $5::text[]) AS w (key_kind, key) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(record.tenant)
    .bind::<Text, _>(record.kind)
    .bind::<SqlUuid, _>(record.id)
    .bind::<Array<Text>, _>(&kinds)
    .bind::<Array<Text>, _>(&texts)
    .bind::<Text, _>(reason);
    Cached(query).execute(conn).await?;
    Ok(())
}

/// A record that no longer lives keeps its keys to be found by, but not for itself.
///
/// # Errors
/// Database errors.
pub async fn retire(conn: &mut AsyncPgConnection, record: Named) -> AppResult<()> {
    let query = sql_query(
        "UPDATE identity_keys SET standing = 'retired', reason = NULL \
         WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND standing IN ('exclusive', 'admitted')",
    )
    .bind::<SqlUuid, _>(record.tenant)
    .bind::<Text, _>(record.kind)
    .bind::<SqlUuid, _>(record.id);
    Cached(query).execute(conn).await?;
    Ok(())
}

/// Forgets what a record is known by.
///
/// # Errors
/// Database errors.
pub async fn forget(conn: &mut AsyncPgConnection, record: Named) -> AppResult<()> {
    let query = sql_query(
        "WITH names AS (DELETE FROM identity_names WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3) \
         DELETE FROM identity_keys WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3",
    )
    .bind::<SqlUuid, _>(record.tenant)
    .bind::<Text, _>(record.kind)
    .bind::<SqlUuid, _>(record.id);
    Cached(query).execute(conn).await?;
    Ok(())
}

/// Lets a record be found by the keys of one that was merged into it.
///
/// # Errors
/// Database errors.
pub async fn inherit(conn: &mut AsyncPgConnection, record: Named, keys: &[Key]) -> AppResult<()> {
    let (kinds, texts) = columns(keys);
    let query = sql_query(
        "INSERT INTO identity_keys (tenant_id, record_kind, key_kind, key, record_id, standing) \
         SELECT $1, $2, w.key_kind, w.key, $3, 'retired' FROM unnest($4::text[], $5::text[]) AS w (key_kind, key) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(record.tenant)
    .bind::<Text, _>(record.kind)
    .bind::<SqlUuid, _>(record.id)
    .bind::<Array<Text>, _>(&kinds)
    .bind::<Array<Text>, _>(&texts);
    Cached(query).execute(conn).await?;
    Ok(())
}

/// Takes keys from a record, to be claimed anew.
///
/// # Errors
/// Database errors.
pub async fn release(conn: &mut AsyncPgConnection, record: Named, keys: &[Key]) -> AppResult<()> {
    let (kinds, texts) = columns(keys);
    let query = sql_query(
        "DELETE FROM identity_keys k USING unnest($4::text[], $5::text[]) AS w (key_kind, key) \
         WHERE k.tenant_id = $1 AND k.record_kind = $2 AND k.record_id = $3 AND k.key_kind = w.key_kind AND k.key = w.key",
    )
    .bind::<SqlUuid, _>(record.tenant)
    .bind::<Text, _>(record.kind)
    .bind::<SqlUuid, _>(record.id)
    .bind::<Array<Text>, _>(&kinds)
    .bind::<Array<Text>, _>(&texts);
    Cached(query).execute(conn).await?;
    Ok(())
}
