//! Invariant 8: of one kind, no two live records have one exact key unless the second was let in for a reason; a merged
//! record is archived, leads to another, and nothing names it any more.

use super::{Finding, select, select_all};
use crate::app;
use crate::kernel::error::AppResult;
use crate::platform::merging::{KINDS, Link};
use diesel_async::AsyncPgConnection;

const STATEMENTS: &[(u8, &str)] = &[(8, HELD_TWICE), (8, CIRCLE)];

/// Holds while the unique index does.
const HELD_TWICE: &str = "\
SELECT tenant_id, record_kind || ' ' || (array_agg(record_id))[1] AS record,
    count(*) || ' records have the ' || key_kind || ' ' || key || ' for themselves' AS sentence
FROM identity_keys WHERE standing = 'exclusive' GROUP BY tenant_id, record_kind, key_kind, key HAVING count(*) > 1";

const CIRCLE: &str = "\
SELECT m.tenant_id, m.record_kind || ' ' || m.record_id AS record, 'it was merged into itself in the end' AS sentence
FROM merged_records m WHERE EXISTS (
    WITH RECURSIVE up AS (
        SELECT m.survivor_id AS id UNION SELECT n.survivor_id FROM merged_records n JOIN up ON n.record_id = up.id
        WHERE n.tenant_id = m.tenant_id AND n.record_kind = m.record_kind
    ) SELECT 1 FROM up WHERE up.id = m.record_id)";

/// Kind, key kind, and the member in the form of the key.
const KEYED: &[(&str, &str, &str)] = &[
    ("contact", "phone", "t.phone_e164"),
    ("contact", "email", "lower(t.email)"),
    ("lead", "phone", "t.phone_e164"),
    ("lead", "email", "lower(t.email)"),
];

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let mut findings = select_all(conn, STATEMENTS).await?;
    for (kind, key_kind, member) in KEYED {
        findings.extend(select(conn, 8, &without_key(kind, key_kind, member)).await?);
    }
    for kind in KINDS {
        findings.extend(select(conn, 8, &dead_holder(kind)).await?);
        findings.extend(select(conn, 8, &not_ended(kind)).await?);
        for link in app::links() {
            if link.is_to(kind) && link.record.is_some() && !link.leaves_twins {
                findings.extend(select(conn, 8, &left_behind(kind, link)).await?);
            }
        }
    }
    Ok(findings)
}

/// Live records whose key is not entered: another could have it unseen. Those that wait to be entered at all apart.
fn without_key(kind: &str, key_kind: &str, member: &str) -> String {
    let is_open = if kind == "lead" {
        " AND t.status <> 'converted'"
    } else {
        ""
    };
    format!(
        "SELECT t.tenant_id, '{kind} ' || t.id AS record, 'its {key_kind} is not among its keys' AS sentence FROM {kind}s t \
         JOIN identity_names n ON n.tenant_id = t.tenant_id AND n.record_kind = '{kind}' AND n.record_id = t.id \
         WHERE t.archived_at IS NULL AND {member} IS NOT NULL{is_open} AND NOT EXISTS (SELECT 1 FROM identity_keys k \
            WHERE k.tenant_id = t.tenant_id AND k.record_kind = '{kind}' AND k.record_id = t.id AND k.key_kind = '{key_kind}' \
            AND k.key = {member} AND k.standing <> 'retired')"
    )
}

/// Keys kept for records that do not live.
fn dead_holder(kind: &str) -> String {
    format!(
        "SELECT k.tenant_id, '{kind} ' || k.record_id AS record, 'it does not live, but keeps the ' || k.key_kind || ' ' || k.key AS sentence \
         FROM identity_keys k WHERE k.record_kind = '{kind}' AND k.standing IN ('exclusive', 'admitted') \
         AND NOT EXISTS (SELECT 1 FROM {kind}s t WHERE t.tenant_id = k.tenant_id AND t.id = k.record_id AND t.archived_at IS NULL)"
    )
}

/// Merged records that live, or whose survivor is not there.
fn not_ended(kind: &str) -> String {
    format!(
        "SELECT m.tenant_id, '{kind} ' || m.record_id AS record, 'it was merged, but it or what goes on for it is not as it should be' AS sentence \
         FROM merged_records m WHERE m.record_kind = '{kind}' AND NOT EXISTS (SELECT 1 FROM {kind}s t, {kind}s s \
            WHERE t.tenant_id = m.tenant_id AND t.id = m.record_id AND t.archived_at IS NOT NULL \
            AND s.tenant_id = m.tenant_id AND s.id = m.survivor_id)"
    )
}

/// Records that still name a merged one.
fn left_behind(kind: &str, link: &Link) -> String {
    let Link { table, column, .. } = link;
    format!(
        "SELECT t.tenant_id, '{table} ' || t.id AS record, '{column} names {kind} ' || t.{column} || ', which was merged' AS sentence \
         FROM {table} t JOIN merged_records m ON m.tenant_id = t.tenant_id AND m.record_kind = '{kind}' AND m.record_id = t.{column}"
    )
}
