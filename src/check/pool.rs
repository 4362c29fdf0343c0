//! Invariant 9: what is in the pool lives, once, and has no owner; a live account without an owner is in the pool; no open deal
//! stands on one; days run only for what somebody owns.

use super::{Finding, select_all};
use crate::kernel::error::AppResult;
use diesel_async::AsyncPgConnection;

const STATEMENTS: &[(u8, &str)] = &[
    (9, ACCOUNTS),
    (9, LEADS),
    (9, OUTSIDE),
    (9, TWICE),
    (9, DEALS),
    (9, ACCOUNT_CLOCKS),
    (9, LEAD_CLOCKS),
];

const ACCOUNTS: &str = "\
SELECT s.tenant_id, 'account ' || s.record_id AS record, 'it is in the pool, but has an owner, is archived or is not there' AS sentence
FROM pool_stays s WHERE s.record_kind = 'account' AND s.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM accounts t
    WHERE t.tenant_id = s.tenant_id AND t.id = s.record_id AND t.owner_id IS NULL AND t.archived_at IS NULL)";

const LEADS: &str = "\
SELECT s.tenant_id, 'lead ' || s.record_id AS record, 'it is in the pool, but has an owner, is archived, converted or is not there' AS sentence
FROM pool_stays s WHERE s.record_kind = 'lead' AND s.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM leads t
    WHERE t.tenant_id = s.tenant_id AND t.id = s.record_id AND t.owner_id IS NULL AND t.archived_at IS NULL AND t.status <> 'converted')";

const OUTSIDE: &str = "\
SELECT t.tenant_id, 'account ' || t.id AS record, 'nobody owns it, but it is not in the pool' AS sentence
FROM accounts t WHERE t.owner_id IS NULL AND t.archived_at IS NULL AND NOT EXISTS (SELECT 1 FROM pool_stays s
    WHERE s.tenant_id = t.tenant_id AND s.record_kind = 'account' AND s.record_id = t.id AND s.ended_at IS NULL)";

/// Holds while the unique index does.
const TWICE: &str = "\
SELECT tenant_id, record_kind || ' ' || record_id AS record, 'it is in the pool ' || count(*) || ' times' AS sentence
FROM pool_stays WHERE ended_at IS NULL GROUP BY tenant_id, record_kind, record_id HAVING count(*) > 1";

const DEALS: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record, 'it is open, but its account is in the pool' AS sentence
FROM opportunities o JOIN pool_stays s ON s.tenant_id = o.tenant_id AND s.record_kind = 'account' AND s.record_id = o.account_id AND s.ended_at IS NULL
WHERE o.status = 'open' AND o.archived_at IS NULL";

const ACCOUNT_CLOCKS: &str = "\
SELECT c.tenant_id, 'account ' || c.record_id AS record, 'its days run, but nobody owns it or it does not live' AS sentence
FROM pool_clocks c WHERE c.record_kind = 'account' AND c.due_on IS NOT NULL AND NOT EXISTS (SELECT 1 FROM accounts t
    WHERE t.tenant_id = c.tenant_id AND t.id = c.record_id AND t.owner_id = c.owner_id AND t.archived_at IS NULL)";

const LEAD_CLOCKS: &str = "\
SELECT c.tenant_id, 'lead ' || c.record_id AS record, 'its days run, but nobody owns it or it does not live' AS sentence
FROM pool_clocks c WHERE c.record_kind = 'lead' AND c.due_on IS NOT NULL AND NOT EXISTS (SELECT 1 FROM leads t
    WHERE t.tenant_id = c.tenant_id AND t.id = c.record_id AND t.owner_id = c.owner_id AND t.archived_at IS NULL AND t.status <> 'converted')";

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    select_all(conn, STATEMENTS).await
}
