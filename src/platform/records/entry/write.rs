//! The SQL that keeps search rows in step with their records.

use super::{Entry, FORM};
use crate::kernel::error::AppResult;
use crate::platform::db::Cached;
use crate::platform::records::spec::Resource;
use crate::platform::records::sql::{Bind, Sql};
use diesel::sql_query;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// A statement that enters these rows, to stand in a `WITH` beside the one that writes their records; `$1` is the tenant.
pub fn clause(sql: &mut Sql, resource: &Resource, entries: &[Entry]) -> String {
    let rows = sql.place(Bind::Json(serde_json::to_value(entries).unwrap_or_default()));
    format!(
        "INSERT INTO search_entries (tenant_id, record_kind, record_id, owner_id, is_live, form, names, terms, digest) \
         SELECT $1, '{}', x.record_id, x.owner_id, x.is_live, {FORM}, x.names, x.terms::tsvector, decode(x.digest, 'hex') \
         FROM jsonb_to_recordset({rows}) AS x (record_id uuid, owner_id uuid, is_live boolean, names text, terms text, digest text) \
         ON CONFLICT (tenant_id, record_kind, record_id) DO UPDATE SET owner_id = EXCLUDED.owner_id, is_live = EXCLUDED.is_live, \
            form = EXCLUDED.form, names = EXCLUDED.names, terms = EXCLUDED.terms, digest = EXCLUDED.digest",
        resource.singular
    )
}

/// Enters rows of records that are written by other ways than the store; the caller holds the records' locks.
///
/// # Errors
/// Database errors.
pub async fn enter(
    conn: &mut AsyncPgConnection,
    tenant: Uuid,
    resource: &Resource,
    entries: &[Entry],
) -> AppResult<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::of(tenant);
    let clause = clause(&mut sql, resource, entries);
    sql.push(&clause);
    sql.query().execute(conn).await?;
    Ok(())
}

/// Takes a record out of search: it was merged, or it is no more.
///
/// # Errors
/// Database errors.
pub async fn forget(conn: &mut AsyncPgConnection, tenant: Uuid, kind: &str, id: Uuid) -> AppResult<()> {
    let query =
        sql_query("DELETE FROM search_entries WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3")
            .bind::<SqlUuid, _>(tenant)
            .bind::<Text, _>(kind)
            .bind::<SqlUuid, _>(id);
    Cached(query).execute(conn).await?;
    Ok(())
}

/// Brings the owners in these search rows in step with their records, after a statement that gave records of `table` to
/// somebody else without the store.
///
/// # Errors
/// Database errors.
pub async fn follow_owners(
    conn: &mut AsyncPgConnection,
    tenant: Uuid,
    kind: &str,
    table: &'static str,
    ids: &[Uuid],
) -> AppResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let query = sql_query(format!(
        "UPDATE search_entries s SET owner_id = coalesce(t.owner_id, $4) FROM {table} t \
         WHERE s.tenant_id = $1 AND s.record_kind = $2 AND s.record_id = ANY($3) AND t.tenant_id = $1 AND t.id = s.record_id \
         AND s.owner_id <> coalesce(t.owner_id, $4)"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Text, _>(kind)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<SqlUuid, _>(Uuid::nil());
    Cached(query).execute(conn).await?;
    Ok(())
}
