//! Invariants 2 and 3: deals, their transitions, visits and cycles, what their events and frozen cycles say of them, migrations between versions; and what intakes and leads became.

use super::{Finding, select_all};
use crate::kernel::error::AppResult;
use diesel_async::AsyncPgConnection;

const STATEMENTS: &[(u8, &str)] = &[
    (2, WITHOUT_TRANSITION),
    (2, NOT_AS_LAST_TRANSITION),
    (2, ORDINAL_GAP),
    (2, BROKEN_COURSE),
    (2, FOREIGN_VISIT),
    (2, VISIT_ASTRAY),
    (2, VERSION_CHANGED),
    (2, MIGRATED_CLOSED),
    (2, MIGRATION_UNFINISHED),
    (2, MIGRATION_WITHOUT_MOVE),
    (2, CYCLE_MISSING),
    (2, CYCLE_NOT_AS_STATUS),
    (2, EARLIER_CYCLE_OPEN),
    (2, AMOUNT_UNTOLD),
    (2, FROZEN_OTHERWISE),
    (2, LINES_FROZEN_OTHERWISE),
    (2, ANSWER_UNTOLD),
    (2, DUE_OTHERWISE),
    (3, GATE_NOT_OPEN),
    (3, REGRESS_FORWARD),
    (6, CONVERTED_TO_NOTHING),
    (6, ACCEPTED_WITHOUT_LEAD),
];

const WITHOUT_TRANSITION: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record, 'it has no transition' AS sentence FROM opportunities o
WHERE NOT EXISTS (SELECT 1 FROM transitions t WHERE t.tenant_id = o.tenant_id AND t.opportunity_id = o.id)";

const NOT_AS_LAST_TRANSITION: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record,
    'its ' || concat_ws(', ',
        CASE WHEN o.stage_id <> t.to_stage_id THEN 'stage' END,
        CASE WHEN o.status <> t.to_status THEN 'status' END,
        CASE WHEN o.visit_id <> t.visit_id THEN 'visit' END,
        CASE WHEN o.cycle <> t.cycle THEN 'cycle' END,
        CASE WHEN o.pipeline_version_id <> t.pipeline_version_id THEN 'pipeline version' END)
    || ' is not what its last transition ' || t.id || ' names' AS sentence
FROM opportunities o
JOIN (SELECT DISTINCT ON (tenant_id, opportunity_id) * FROM transitions ORDER BY tenant_id, opportunity_id, ordinal DESC) t
    ON t.tenant_id = o.tenant_id AND t.opportunity_id = o.id
WHERE (o.stage_id, o.status, o.visit_id, o.cycle, o.pipeline_version_id)
    IS DISTINCT FROM (t.to_stage_id, t.to_status, t.visit_id, t.cycle, t.pipeline_version_id)";

const ORDINAL_GAP: &str = "\
SELECT tenant_id, 'opportunity ' || opportunity_id AS record,
    'its ' || count(*) || ' transitions are numbered ' || min(ordinal) || ' to ' || max(ordinal) AS sentence
FROM transitions GROUP BY tenant_id, opportunity_id HAVING min(ordinal) <> 1 OR max(ordinal) <> count(*)";

const BROKEN_COURSE: &str = "\
SELECT tenant_id, 'opportunity ' || opportunity_id AS record,
    'transition ' || id || ' leaves another stage or status than the one before it reached' AS sentence
FROM (SELECT t.*, lag(to_stage_id) OVER w AS stage_before, lag(to_status) OVER w AS status_before FROM transitions t
    WINDOW w AS (PARTITION BY tenant_id, opportunity_id ORDER BY ordinal)) t
WHERE ordinal > 1 AND kind NOT IN ('restart', 'import')
    AND (from_stage_id <> stage_before OR from_status <> status_before)";

const FOREIGN_VISIT: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record,
    'its visit ' || o.visit_id || ' began with a transition of another opportunity' AS sentence
FROM opportunities o JOIN transitions v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id WHERE v.opportunity_id <> o.id";

/// A visit is one stay in one stage: what keeps or continues it stays there.
const VISIT_ASTRAY: &str = "\
SELECT t.tenant_id, 'opportunity ' || t.opportunity_id AS record,
    'transition ' || t.id || ' (' || t.kind || ') names the visit ' || t.visit_id || ', which is no stay of it in that stage' AS sentence
FROM transitions t JOIN transitions v ON v.tenant_id = t.tenant_id AND v.id = t.visit_id
WHERE t.kind <> 'import' AND (v.opportunity_id, v.to_stage_id, v.visit_id) IS DISTINCT FROM (t.opportunity_id, t.to_stage_id, v.id)";

const VERSION_CHANGED: &str = "\
SELECT tenant_id, 'opportunity ' || opportunity_id AS record,
    'transition ' || id || ' (' || kind || ') ' || CASE kind WHEN 'migrate' THEN 'stays on its pipeline version' ELSE 'changes its pipeline version' END AS sentence
FROM (SELECT t.*, lag(pipeline_version_id) OVER (PARTITION BY tenant_id, opportunity_id ORDER BY ordinal) AS version_before FROM transitions t) t
WHERE ordinal > 1 AND kind NOT IN ('restart', 'import') AND (pipeline_version_id <> version_before) <> (kind = 'migrate')";

const MIGRATED_CLOSED: &str = "\
SELECT tenant_id, 'opportunity ' || opportunity_id AS record, 'transition ' || id || ' migrates it while it is ' || from_status AS sentence
FROM transitions WHERE kind = 'migrate' AND (from_status, to_status) IS DISTINCT FROM ('open', 'open')";

const MIGRATION_UNFINISHED: &str = "\
SELECT m.tenant_id, 'pipeline_migration ' || m.id AS record,
    'it is ' || m.state || ' and opportunity ' || d.opportunity_id || ' is ' || d.outcome AS sentence
FROM pipeline_migrations m JOIN pipeline_migration_deals d ON d.tenant_id = m.tenant_id AND d.migration_id = m.id
WHERE (m.state = 'done' AND d.outcome NOT IN ('moved', 'skipped')) OR (m.state = 'rolled_back' AND d.outcome = 'moved')";

const MIGRATION_WITHOUT_MOVE: &str = "\
SELECT d.tenant_id, 'pipeline_migration ' || d.migration_id AS record,
    'transition ' || t.id || ' is no migration of opportunity ' || d.opportunity_id AS sentence
FROM pipeline_migration_deals d JOIN transitions t ON t.tenant_id = d.tenant_id AND t.id IN (d.transition_id, d.back_transition_id)
WHERE t.kind <> 'migrate' OR t.opportunity_id <> d.opportunity_id";

const CYCLE_MISSING: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record, 'its cycle ' || o.cycle || ' has no row' AS sentence
FROM opportunities o WHERE NOT EXISTS
    (SELECT 1 FROM cycles c WHERE c.tenant_id = o.tenant_id AND c.opportunity_id = o.id AND c.number = o.cycle)";

const CYCLE_NOT_AS_STATUS: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record,
    'it is ' || o.status || ', its cycle ' || o.cycle || ' is ' || coalesce(c.outcome, 'open') AS sentence
FROM opportunities o JOIN cycles c ON c.tenant_id = o.tenant_id AND c.opportunity_id = o.id AND c.number = o.cycle
WHERE o.status <> coalesce(c.outcome, 'open') OR (o.status = 'open') <> (c.ended_at IS NULL)";

const EARLIER_CYCLE_OPEN: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record,
    'cycle ' || c.number || CASE WHEN c.number > o.cycle THEN ' is later than its present one' ELSE ' never ended' END AS sentence
FROM opportunities o JOIN cycles c ON c.tenant_id = o.tenant_id AND c.opportunity_id = o.id
WHERE c.number > o.cycle OR (c.number < o.cycle AND c.ended_at IS NULL)";

/// Some event of a deal says its amount. Which one is the last is not asked: servers' clocks may differ. One that was
/// emptied may have said it.
const AMOUNT_UNTOLD: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record, 'its amount ' || trim_scale(o.amount) || ' is told by none of its events' AS sentence
FROM opportunities o WHERE o.amount IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM events e JOIN event_payloads d ON d.tenant_id = e.tenant_id AND d.event_id = e.id
    WHERE e.tenant_id = o.tenant_id AND e.subject_kind = 'opportunity' AND e.subject_id = o.id
        AND (d.data IS NULL OR CASE WHEN jsonb_typeof(d.data #> '{changes,amount,after}') = 'string'
            THEN (d.data #>> '{changes,amount,after}')::numeric = o.amount END))";

/// What a closed deal came to was frozen as it closed, and a closed deal does not change.
const FROZEN_OTHERWISE: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record,
    'its amount is ' || coalesce(trim_scale(o.amount)::text, 'empty') || ' ' || o.currency || ', its cycle ' || o.cycle || ' ended with '
    || coalesce(trim_scale(c.amount)::text, 'none') || ' ' || coalesce(c.currency, '') AS sentence
FROM opportunities o JOIN cycles c ON c.tenant_id = o.tenant_id AND c.opportunity_id = o.id AND c.number = o.cycle
WHERE o.status <> 'open' AND c.ended_at IS NOT NULL AND (o.amount, o.currency) IS DISTINCT FROM (c.amount, c.currency)";

const LINES_FROZEN_OTHERWISE: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record,
    'its ' || coalesce(l.number, 0) || ' lines are not the ' || f.number || ' that its cycle ' || o.cycle || ' ended with' AS sentence
FROM opportunities o JOIN cycles c ON c.tenant_id = o.tenant_id AND c.opportunity_id = o.id AND c.number = o.cycle
CROSS JOIN LATERAL (SELECT count(*) AS number,
    coalesce(sum((x->>'quantity')::numeric * (x->>'unit_price')::numeric * (1 - (x->>'discount')::numeric)), 0) AS total
    FROM jsonb_array_elements(c.lines) AS x) f
LEFT JOIN (SELECT tenant_id, opportunity_id, count(*) AS number, sum(quantity * unit_price * (1 - discount)) AS total
    FROM opportunity_lines WHERE archived_at IS NULL GROUP BY tenant_id, opportunity_id) l
    ON l.tenant_id = o.tenant_id AND l.opportunity_id = o.id
WHERE o.status <> 'open' AND c.lines IS NOT NULL AND (coalesce(l.number, 0), coalesce(l.total, 0)) IS DISTINCT FROM (f.number, f.total)";

/// Where events tell of an answer in its visit, one of them says it. One that came with a migration has none there; of deals
/// with an emptied event nothing is said.
const ANSWER_UNTOLD: &str = "\
WITH told AS (
    SELECT e.tenant_id, d.data->>'visit_id' AS visit, d.data->>'criterion_id' AS criterion, d.data #> '{after,answer}' AS answer
    FROM events e JOIN event_payloads d ON d.tenant_id = e.tenant_id AND d.event_id = e.id
    WHERE e.kind IN ('criterion.answered', 'criterion.unanswered')
), emptied AS (
    SELECT DISTINCT e.tenant_id, e.subject_id FROM events e
    JOIN event_payloads d ON d.tenant_id = e.tenant_id AND d.event_id = e.id
    WHERE e.subject_kind = 'opportunity' AND d.data IS NULL
)
SELECT a.tenant_id, 'opportunity ' || a.opportunity_id AS record,
    'the answer to criterion ' || a.criterion_id || ' is not one that its events tell' AS sentence
FROM criterion_answers a
JOIN told t ON t.tenant_id = a.tenant_id AND t.visit = a.visit_id::text AND t.criterion = a.criterion_id::text
WHERE NOT EXISTS (SELECT 1 FROM emptied x WHERE x.tenant_id = a.tenant_id AND x.subject_id = a.opportunity_id)
GROUP BY a.tenant_id, a.opportunity_id, a.visit_id, a.criterion_id, a.answer
HAVING NOT coalesce(bool_or(t.answer = a.answer), false)";

/// When an open deal is due follows from the beginning of its visit, how long that was interrupted, and what its version
/// expects of the stage. Until those of older deals are entered, nothing is said.
const DUE_OTHERWISE: &str = "\
SELECT o.tenant_id, 'opportunity ' || o.id AS record,
    'it is due in its stage ' || coalesce('at ' || instant_text(o.stage_due_at), 'never') || ', by its transitions and version '
    || coalesce('at ' || instant_text(d.due_at), 'never') AS sentence
FROM opportunities o
JOIN transitions v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
JOIN version_stages s ON s.tenant_id = o.tenant_id AND s.version_id = o.pipeline_version_id AND s.stage_id = o.stage_id
LEFT JOIN (SELECT again.tenant_id, again.visit_id, sum(extract(epoch FROM again.at - closed.at)) AS seconds FROM transitions again
    JOIN transitions closed ON closed.tenant_id = again.tenant_id AND closed.opportunity_id = again.opportunity_id
        AND closed.ordinal = again.ordinal - 1
    WHERE again.kind = 'reopen' GROUP BY again.tenant_id, again.visit_id) c ON c.tenant_id = o.tenant_id AND c.visit_id = o.visit_id
CROSS JOIN LATERAL (SELECT CASE WHEN o.status = 'open'
    THEN v.at + make_interval(secs => (s.expected_dwell_seconds + coalesce(c.seconds, 0))::float8) END AS due_at) d
WHERE o.stage_due_at IS DISTINCT FROM d.due_at AND EXISTS (SELECT 1 FROM fills WHERE name = 'stage_due_at')";

/// A stage is gated when the definition under which the deal left it has a gate.
const GATE_NOT_OPEN: &str = "\
SELECT t.tenant_id, 'opportunity ' || t.opportunity_id AS record,
    'transition ' || t.id || ' (' || t.kind || ') left the gated stage ' || s.key || ' with its gate '
    || coalesce(t.evidence->>'state', 'not on record') AS sentence
FROM transitions t
JOIN stages s ON s.tenant_id = t.tenant_id AND s.id = t.from_stage_id
JOIN pipeline_versions v ON v.tenant_id = t.tenant_id AND v.id = t.pipeline_version_id
WHERE t.kind IN ('advance', 'win') AND t.evidence->>'state' IS DISTINCT FROM 'open'
    AND (t.evidence->>'state' IS NOT NULL OR EXISTS (
        SELECT 1 FROM jsonb_array_elements(v.document->'stages') AS d (stage)
        WHERE d.stage->>'key' = s.key AND jsonb_typeof(d.stage->'gate') = 'object'))";

const REGRESS_FORWARD: &str = "\
SELECT t.tenant_id, 'opportunity ' || t.opportunity_id AS record,
    'transition ' || t.id || ' is a regress that does not lead back' AS sentence
FROM transitions t
JOIN version_stages a ON a.tenant_id = t.tenant_id AND a.version_id = t.pipeline_version_id AND a.stage_id = t.from_stage_id
JOIN version_stages b ON b.tenant_id = t.tenant_id AND b.version_id = t.pipeline_version_id AND b.stage_id = t.to_stage_id
WHERE t.kind = 'regress' AND b.position >= a.position";

const CONVERTED_TO_NOTHING: &str = "\
SELECT tenant_id, 'lead ' || id AS record, 'it is converted and names no account' AS sentence
FROM leads WHERE status = 'converted' AND converted_account_id IS NULL
UNION ALL
SELECT tenant_id, 'lead ' || id AS record, 'it names what it was converted to and is ' || status AS sentence
FROM leads WHERE status <> 'converted'
    AND coalesce(converted_account_id, converted_contact_id, converted_opportunity_id) IS NOT NULL";

const ACCEPTED_WITHOUT_LEAD: &str = "\
SELECT tenant_id, 'intake ' || id AS record,
    'it is ' || status || CASE WHEN lead_id IS NULL THEN ' and has no lead' ELSE ' and has a lead' END AS sentence
FROM intakes WHERE (status = 'accepted') <> (lead_id IS NOT NULL)";

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    select_all(conn, STATEMENTS).await
}
