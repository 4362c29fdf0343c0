//! Buying signals: what is confirmed of a lead, it says; only of a budget can it be confirmed that there is none.

use super::{Finding, select_all};
use crate::kernel::error::AppResult;
use diesel_async::AsyncPgConnection;

const STATEMENTS: &[(u8, &str)] = &[(6, OF_NOTHING)];

const OF_NOTHING: &str = "\
SELECT c.tenant_id, 'lead ' || c.lead_id AS record, 'its ' || c.signal || ' is confirmed, but it says nothing of it' AS sentence
FROM lead_confirmations c JOIN leads t ON t.tenant_id = c.tenant_id AND t.id = c.lead_id
LEFT JOIN lead_signals s ON s.tenant_id = c.tenant_id AND s.lead_id = c.lead_id
WHERE (c.signal = 'need' AND coalesce(t.need, '') = '')
    OR (c.signal = 'decision_window' AND s.decision_from IS NULL AND s.decision_until IS NULL)";

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    select_all(conn, STATEMENTS).await
}
