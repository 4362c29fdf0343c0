//! Search rows follow from their records: whatever is there is found by what it says now, by whom it belongs to now, and by
//! nobody once it is no more.

use super::{Finding, select};
use crate::kernel::error::AppResult;
use crate::platform::records::{Resource, entry};
use crate::search::RESOURCES;
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let mut findings = Vec::new();
    for resource in RESOURCES {
        findings.extend(select(conn, 6, &behind(resource)).await?);
        findings.extend(select(conn, 6, &left_over(resource)).await?);
    }
    Ok(findings)
}

/// For so long a record may wait for its row, which the store writes with it, and else a duty by the hour.
const WAITING: &str = "2 hours";

/// Records that have had no row for long, or have one that says something else.
fn behind(resource: &Resource) -> String {
    let (kind, table, digest) = (resource.singular, resource.table, entry::digest_sql(resource));
    let nobody = Uuid::nil();
    format!(
        "SELECT t.tenant_id, '{kind} ' || t.id AS record, CASE WHEN s.record_id IS NULL THEN 'it is not entered for search' \
            WHEN s.owner_id <> coalesce(t.owner_id, '{nobody}') THEN 'search takes it for somebody else''s' \
            WHEN s.is_live <> (t.archived_at IS NULL) THEN 'search takes it for what it is not, live or archived' \
            ELSE 'search knows it by what it said before' END AS sentence \
         FROM {table} t LEFT JOIN search_entries s ON s.tenant_id = t.tenant_id AND s.record_kind = '{kind}' AND s.record_id = t.id \
         WHERE NOT EXISTS (SELECT 1 FROM merged_records m WHERE m.tenant_id = t.tenant_id AND m.record_kind = '{kind}' AND m.record_id = t.id) \
         AND ((s.record_id IS NULL AND t.created_at < now() - interval '{WAITING}') OR s.owner_id <> coalesce(t.owner_id, '{nobody}') OR s.is_live <> (t.archived_at IS NULL) OR s.digest <> {digest})"
    )
}

/// Rows of records that are not there, or were merged.
fn left_over(resource: &Resource) -> String {
    let (kind, table) = (resource.singular, resource.table);
    format!(
        "SELECT s.tenant_id, '{kind} ' || s.record_id AS record, 'search knows it, but it is no more' AS sentence FROM search_entries s \
         WHERE s.record_kind = '{kind}' AND (NOT EXISTS (SELECT 1 FROM {table} t WHERE t.tenant_id = s.tenant_id AND t.id = s.record_id) \
         OR EXISTS (SELECT 1 FROM merged_records m WHERE m.tenant_id = s.tenant_id AND m.record_kind = '{kind}' AND m.record_id = s.record_id))"
    )
}
