//! Assignment and hand-overs: a running hand-over is of whoever has the lead, its clock runs, and nobody gets a lead back in
//! a circle; of one person no two absences overlap; turns add up; the history knows every owner.

use super::{Finding, select_all};
use crate::kernel::error::AppResult;
use diesel_async::AsyncPgConnection;

const STATEMENTS: &[(u8, &str)] = &[
    (6, NOT_ITS_OWNER),
    (6, WITHOUT_A_CLOCK),
    (6, IN_A_CIRCLE),
    (6, OVERLAPPING),
    (6, CREDITS),
    (6, UNTOLD_OWNER),
];

const NOT_ITS_OWNER: &str = "\
SELECT h.tenant_id, 'lead_handover ' || h.id AS record,
    'it is open for ' || h.to_user_id || ', and its lead is ' || t.status || ' with owner ' || coalesce(t.owner_id::text, 'none') AS sentence
FROM lead_handovers h JOIN leads t ON t.tenant_id = h.tenant_id AND t.id = h.lead_id
WHERE h.status = 'open' AND t.archived_at IS NULL
    AND (t.status <> 'sales_qualified' OR t.owner_id IS DISTINCT FROM h.to_user_id)";

const WITHOUT_A_CLOCK: &str = "\
SELECT h.tenant_id, 'lead_handover ' || h.id AS record, 'it is due at ' || h.due_at || ', and no timer waits for that' AS sentence
FROM lead_handovers h
WHERE h.status = 'open' AND h.due_at IS NOT NULL AND NOT h.is_overdue AND NOT EXISTS (SELECT 1 FROM timers t
    WHERE t.tenant_id = h.tenant_id AND t.kind = 'lead_response_deadline' AND t.subject_kind = 'lead_handover' AND t.subject_id = h.id)";

const IN_A_CIRCLE: &str = "\
SELECT h.tenant_id, 'lead_handover ' || h.id AS record, 'it went by rule to ' || h.to_user_id || ', who had the lead in this chain before' AS sentence
FROM lead_handovers h
WHERE h.reason = 'hand_over' AND EXISTS (SELECT 1 FROM lead_handovers b WHERE b.tenant_id = h.tenant_id AND b.chain_id = h.chain_id
    AND b.attempt < h.attempt AND b.to_user_id = h.to_user_id AND b.status <> 'withdrawn')";

const OVERLAPPING: &str = "\
SELECT a.tenant_id, 'user_absence ' || a.id AS record, 'it overlaps the absence ' || b.id AS sentence
FROM user_absences a JOIN user_absences b ON b.tenant_id = a.tenant_id AND b.owner_id = a.owner_id AND b.id > a.id
    AND b.starts_at < a.ends_at AND b.ends_at > a.starts_at
WHERE a.archived_at IS NULL AND b.archived_at IS NULL";

const CREDITS: &str = "\
SELECT t.tenant_id, 'assignment_rule ' || t.rule_id AS record, 'the credits of its people add up to ' || sum(t.credit) AS sentence
FROM assignment_turns t GROUP BY t.tenant_id, t.rule_id HAVING sum(t.credit) <> 0";

/// Only leads whose history tells of an owner at all: others were entered behind the service's back.
const UNTOLD_OWNER: &str = "\
SELECT l.tenant_id, 'lead ' || l.id AS record,
    'its owner is ' || coalesce(l.owner_id::text, 'nobody') || ', the last one told of ' || coalesce(o.owner, 'nobody') AS sentence
FROM leads l CROSS JOIN LATERAL (
    SELECT d.data #>> '{changes,owner_id,after}' AS owner
    FROM events e JOIN event_payloads d ON d.tenant_id = e.tenant_id AND d.event_id = e.id
    WHERE e.tenant_id = l.tenant_id AND e.subject_kind = 'lead' AND e.subject_id = l.id AND d.data #> '{changes,owner_id}' IS NOT NULL
    ORDER BY e.id DESC LIMIT 1
) o WHERE o.owner IS DISTINCT FROM l.owner_id::text";

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    select_all(conn, STATEMENTS).await
}
