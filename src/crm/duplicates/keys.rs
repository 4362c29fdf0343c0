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
use std::collections::{HashMap, HashSet};
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
ON CONFLICT DO NOTHING RETURNING record_id";

/// Claims the keys of records that are new, in one order for everybody.
const CLAIM_NEW: &str = "\
WITH named AS (
    INSERT INTO identity_names (tenant_id, record_kind, record_id, core, distinctive)
    SELECT $1, $2, n.* FROM unnest($7::uuid[], $8::text[], $9::text[]) AS n (record_id, core, distinctive)
)
INSERT INTO identity_keys (tenant_id, record_kind, key_kind, key, record_id, standing)
SELECT $1, $2, w.key_kind, w.key, w.record_id, w.standing
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[]) AS w (record_id, key_kind, key, standing)
ORDER BY w.key_kind, w.key, w.record_id
ON CONFLICT DO NOTHING RETURNING record_id";

/// The keys of new records that they do not hold.
const LACKING_OF_NEW: &str = "\
SELECT w.record_id, w.key_kind, w.key FROM unnest($3::uuid[], $4::text[], $5::text[]) AS w (record_id, key_kind, key)
WHERE NOT EXISTS (SELECT 1 FROM identity_keys k WHERE k.tenant_id = $1 AND k.key_kind = w.key_kind AND k.key = w.key
    AND k.record_kind = $2 AND k.record_id = w.record_id)";

/// Those of some records that share a key with a record of these kinds.
const ALIKE: &str = "\
SELECT DISTINCT w.record_id FROM unnest($3::uuid[], $4::text[], $5::text[]) AS w (record_id, key_kind, key)
WHERE EXISTS (SELECT 1 FROM identity_keys k WHERE k.tenant_id = $1 AND k.key_kind = w.key_kind AND k.key = w.key
    AND k.record_kind = ANY($2) AND k.record_id <> w.record_id)";

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

/// A key that was claimed. They are answered, since a cluster miscounts what such a statement wrote.
#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = SqlUuid)]
    #[expect(dead_code, reason = "how many there are is all that is asked")]
    record_id: Uuid,
}

#[derive(QueryableByName)]
struct LackingOf {
    #[diesel(sql_type = SqlUuid)]
    record_id: Uuid,
    #[diesel(embed)]
    lacking: Lacking,
}

#[derive(QueryableByName)]
struct Alike {
    #[diesel(sql_type = SqlUuid)]
    record_id: Uuid,
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

fn standing(key: &Key) -> &'static str {
    if key.is_shared { "shared" } else { "exclusive" }
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
    let claimed: Vec<Claimed> = Cached(query).load(conn).await?;
    if claimed.len() == subject.keys.len() || subject.keys.is_empty() {
        return Ok(Vec::new());
    }
    let query = sql_query(LACKING)
        .bind::<SqlUuid, _>(record.tenant)
        .bind::<Text, _>(record.kind)
        .bind::<SqlUuid, _>(record.id)
        .bind::<Array<Text>, _>(&kinds)
        .bind::<Array<Text>, _>(&texts);
    let lacking: Vec<Lacking> = Cached(query).load(conn).await?;
    Ok(those(&subject.keys, &lacking))
}

fn those(keys: &[Key], lacking: &[Lacking]) -> Vec<Key> {
    let is_lacking = |key: &&Key| {
        let kind: &str = key.kind.into();
        lacking
            .iter()
            .any(|lacking| lacking.key_kind == kind && lacking.key == key.text)
    };
    keys.iter().filter(is_lacking).cloned().collect()
}

/// New records of one kind, each with what it is known by.
#[derive(Clone, Copy)]
pub struct Newcomers<'a> {
    pub tenant: Uuid,
    pub kind: &'static str,
    pub records: &'a [(Uuid, Subject)],
}

impl<'a> Newcomers<'a> {
    /// The keys for which that holds, as columns: whose, of which kind, and the key.
    fn columns(
        self,
        holds: impl Fn(&Key) -> bool,
    ) -> (Vec<Uuid>, Vec<&'static str>, Vec<&'a str>, Vec<&'static str>) {
        let keys = self
            .records
            .iter()
            .flat_map(|(id, subject)| subject.keys.iter().map(|key| (*id, key)));
        let (mut ids, mut kinds, mut texts, mut standings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (id, key) in keys.filter(|(_, key)| holds(key)) {
            ids.push(id);
            kinds.push(key.kind.into());
            texts.push(key.text.as_str());
            standings.push(standing(key));
        }
        (ids, kinds, texts, standings)
    }
}

/// [`claim`] for records that are new: answers the keys that other live records have, by record.
///
/// # Errors
/// Database errors.
pub async fn claim_new(
    conn: &mut AsyncPgConnection,
    new: Newcomers<'_>,
) -> AppResult<HashMap<Uuid, Vec<Key>>> {
    let (ids, kinds, texts, standings) = new.columns(|_| true);
    let companies = new
        .records
        .iter()
        .map(|(id, subject)| (*id, &subject.profile.company));
    let (named, companies): (Vec<_>, Vec<_>) = companies.unzip();
    let cores = companies.iter().map(|company| company.core.as_deref());
    let rare = companies.iter().map(|company| company.distinctive.as_deref());
    let query = sql_query(CLAIM_NEW)
        .bind::<SqlUuid, _>(new.tenant)
        .bind::<Text, _>(new.kind)
        .bind::<Array<SqlUuid>, _>(&ids)
        .bind::<Array<Text>, _>(&kinds)
        .bind::<Array<Text>, _>(&texts)
        .bind::<Array<Text>, _>(standings)
        .bind::<Array<SqlUuid>, _>(named)
        .bind::<Array<Nullable<Text>>, _>(cores.collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(rare.collect::<Vec<_>>());
    let claimed: Vec<Claimed> = Cached(query).load(conn).await?;
    if claimed.len() == ids.len() {
        return Ok(HashMap::new());
    }
    let query = sql_query(LACKING_OF_NEW)
        .bind::<SqlUuid, _>(new.tenant)
        .bind::<Text, _>(new.kind)
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Text>, _>(kinds)
        .bind::<Array<Text>, _>(texts);
    let rows: Vec<LackingOf> = Cached(query).load(conn).await?;
    let mut lacking: HashMap<Uuid, Vec<Lacking>> = HashMap::new();
    for row in rows {
        lacking.entry(row.record_id).or_default().push(row.lacking);
    }
    let of = |(id, subject): &(Uuid, Subject)| Some((*id, those(&subject.keys, lacking.get(id)?)));
    Ok(new.records.iter().filter_map(of).collect())
}

/// [`claim`] for one record that is new.
///
/// # Errors
/// Database errors.
pub async fn claim_first(
    conn: &mut AsyncPgConnection,
    record: Named,
    subject: Subject,
) -> AppResult<Vec<Key>> {
    let records = [(record.id, subject)];
    let new = Newcomers {
        tenant: record.tenant,
        kind: record.kind,
        records: &records,
    };
    let mut lacking = claim_new(conn, new).await?;
    Ok(lacking.remove(&record.id).unwrap_or_default())
}

/// Which of them share a key of one person or company alone with another record of these kinds.
///
/// # Errors
/// Database errors.
pub async fn alike(
    conn: &mut AsyncPgConnection,
    new: Newcomers<'_>,
    kinds: &[String],
) -> AppResult<HashSet<Uuid>> {
    let (ids, key_kinds, texts, _) = new.columns(|key| !key.is_shared);
    let query = sql_query(ALIKE)
        .bind::<SqlUuid, _>(new.tenant)
        .bind::<Array<Text>, _>(kinds)
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Text>, _>(key_kinds)
        .bind::<Array<Text>, _>(texts);
    let rows: Vec<Alike> = Cached(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.record_id).collect())
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

/// The keys that some records have though another live record has them, by kind and text.
///
/// # Errors
/// Database errors.
pub async fn admitted(
    conn: &mut AsyncPgConnection,
    tenant: Uuid,
    kind: &str,
    records: Vec<Uuid>,
) -> AppResult<Vec<(String, String)>> {
    let query = sql_query(
        "SELECT DISTINCT key_kind, key FROM identity_keys \
         WHERE tenant_id = $1 AND record_kind = $2 AND record_id = ANY($3) AND standing = 'admitted'",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Text, _>(kind)
    .bind::<Array<SqlUuid>, _>(records);
    let rows: Vec<Lacking> = Cached(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.key_kind, row.key)).collect())
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
