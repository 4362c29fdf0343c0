//! Sources and calendars: a tree without circles, raw deliveries that wait are there, hours that fit a day.

use super::{Finding, select_all};
use crate::kernel::error::AppResult;
use diesel_async::AsyncPgConnection;

const STATEMENTS: &[(u8, &str)] = &[
    (1, CIRCLE),
    (6, WAITS_EMPTY),
    (6, HALF_ROTATED),
    (6, WEEK_WITHOUT_WORK),
];

const CIRCLE: &str = "\
SELECT s.tenant_id, 'lead_source ' || s.id AS record, 'it stands below itself' AS sentence
FROM lead_sources s WHERE s.parent_id IS NOT NULL AND EXISTS (
    WITH RECURSIVE up AS (
        SELECT s.parent_id AS id UNION SELECT o.parent_id FROM lead_sources o JOIN up ON o.id = up.id
        WHERE o.tenant_id = s.tenant_id AND o.parent_id IS NOT NULL
    ) SELECT 1 FROM up WHERE up.id = s.id)";

const WAITS_EMPTY: &str = "\
SELECT tenant_id, 'intake ' || id AS record, 'it waits to be replayed and its raw delivery is gone' AS sentence
FROM intakes WHERE status = 'rejected' AND raw_expired_at IS NOT NULL
UNION ALL
SELECT tenant_id, 'intake ' || id AS record, 'it waits to be replayed and its delivery id is forgotten' AS sentence
FROM intakes WHERE status = 'rejected' AND NOT is_remembered";

const HALF_ROTATED: &str = "\
SELECT tenant_id, 'lead_source ' || id AS record, 'its previous secret has no end, or an end and no secret' AS sentence
FROM lead_sources WHERE (sealed_previous_secret IS NULL) <> (previous_secret_until IS NULL)";

/// Every day that is worked has hours: its own, or the standard ones.
const WEEK_WITHOUT_WORK: &str = "\
SELECT c.tenant_id, 'company ' || c.tenant_id AS record, 'nothing is worked in its week' AS sentence
FROM tenants c WHERE cardinality(c.working_days) = 0 OR jsonb_array_length(c.standard_hours) = 0
    OR EXISTS (SELECT 1 FROM jsonb_each(c.working_hours) d WHERE d.value = '[]')";

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    select_all(conn, STATEMENTS).await
}
