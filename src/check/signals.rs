//! Buying signals: what is confirmed of a lead, it says, and somebody of its company confirmed it. Only of a budget can it be
//! confirmed that there is none.

use super::{Finding, select_all};
use crate::kernel::error::AppResult;
use diesel_async::AsyncPgConnection;

const STATEMENTS: &[(u8, &str)] = &[(6, OF_NOTHING), (1, BY_NOBODY)];

const OF_NOTHING: &str = "\
SELECT s.tenant_id, 'lead ' || s.lead_id AS record, 'its need is confirmed, but it says nothing of it' AS sentence
FROM lead_signals s JOIN leads t ON t.tenant_id = s.tenant_id AND t.id = s.lead_id
WHERE s.is_need_confirmed AND coalesce(t.need, '') = ''
UNION ALL
SELECT s.tenant_id, 'lead ' || s.lead_id AS record, 'its decision window is confirmed, but it says nothing of it' AS sentence
FROM lead_signals s WHERE s.is_decision_window_confirmed AND s.decision_from IS NULL AND s.decision_until IS NULL";

const BY_NOBODY: &str = "\
SELECT s.tenant_id, 'lead ' || s.lead_id AS record, 'its ' || c.key || ' is confirmed by ' || (c.value->>'confirmed_by') || ', who is not of its company' AS sentence
FROM lead_signals s, jsonb_each(s.confirmations) c
WHERE c.value->>'confirmed_by' IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users u
    WHERE u.tenant_id = s.tenant_id AND u.id = (c.value->>'confirmed_by')::uuid)";

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    select_all(conn, STATEMENTS).await
}
