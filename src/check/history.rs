//! Invariant 6: every changed record has its event, every event is whole, in its place, and chained.

use super::{Finding, select, select_all};
use crate::app;
use crate::event::chain;
use crate::kernel::error::AppResult;
use crate::platform::records::{Access, Resource};
use diesel::sql_types::{BigInt, Binary, Jsonb, Nullable, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

/// How many events are read at once.
const BATCH: i64 = 2_000;

const STATEMENTS: &[(u8, &str)] = &[
    (6, WITHOUT_PAYLOAD),
    (6, WITHOUT_SUBJECT),
    (6, WITHOUT_PLACE),
    (6, WITH_TWO_PLACES),
    (6, TWICE_IN_A_COMMAND),
];

const WITHOUT_PAYLOAD: &str = "\
SELECT e.tenant_id, 'event ' || e.id AS record, 'it has no payload row' AS sentence FROM events e
WHERE NOT EXISTS (SELECT 1 FROM event_payloads d WHERE d.tenant_id = e.tenant_id AND d.event_id = e.id)";

const WITHOUT_SUBJECT: &str = "\
SELECT e.tenant_id, 'event ' || e.id AS record, 'it is not on the timeline of its own subject' AS sentence FROM events e
WHERE NOT EXISTS (SELECT 1 FROM event_subjects s WHERE s.tenant_id = e.tenant_id AND s.event_id = e.id
    AND s.subject_kind = e.subject_kind AND s.subject_id = e.subject_id)";

const WITHOUT_PLACE: &str = "\
SELECT e.tenant_id, 'event ' || e.id AS record, 'it has no place and does not wait for one' AS sentence FROM events e
WHERE NOT EXISTS (SELECT 1 FROM event_positions p WHERE p.tenant_id = e.tenant_id AND p.event_id = e.id)
    AND NOT EXISTS (SELECT 1 FROM event_queue q WHERE q.tenant_id = e.tenant_id AND q.event_id = e.id)";

const WITH_TWO_PLACES: &str = "\
SELECT q.tenant_id, 'event ' || q.event_id AS record, 'it waits for a place that it has, or is not there' AS sentence
FROM event_queue q
WHERE EXISTS (SELECT 1 FROM event_positions p WHERE p.tenant_id = q.tenant_id AND p.event_id = q.event_id)
    OR NOT EXISTS (SELECT 1 FROM events e WHERE e.tenant_id = q.tenant_id AND e.id = q.event_id)";

/// A job is one command of many transactions, each recorded at its own instant. What it brings in of a deal's past has an
/// event for each move, at the time of that move.
const TWICE_IN_A_COMMAND: &str = "\
SELECT tenant_id, subject_kind || ' ' || subject_id AS record,
    'command ' || command_id || ' has ' || count(*) || ' events of it: ' || string_agg(kind, ', ' ORDER BY id) AS sentence
FROM events WHERE kind <> 'opportunity.imported'
GROUP BY tenant_id, command_id, subject_kind, subject_id, occurred_at, recorded_at HAVING count(*) > 1";

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let mut findings = select_all(conn, STATEMENTS).await?;
    for resource in app::resources() {
        if !matches!(resource.access, Access::Derived) {
            findings.extend(select(conn, 6, &without_event(resource)).await?);
        }
    }
    findings.extend(payloads(conn).await?);
    findings.extend(chains(conn).await?);
    Ok(findings)
}

/// Records of which no event tells.
fn without_event(resource: &Resource) -> String {
    let (kind, table) = (resource.singular, resource.table);
    format!(
        "SELECT t.tenant_id, '{kind} ' || t.id AS record, 'no event tells of it' AS sentence FROM {table} t \
         WHERE NOT EXISTS (SELECT 1 FROM event_subjects s WHERE s.tenant_id = t.tenant_id \
            AND s.subject_kind = '{kind}' AND s.subject_id = t.id)"
    )
}

#[derive(QueryableByName)]
struct PayloadRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Binary)]
    payload_digest: Vec<u8>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    data: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    sensitive: Option<Value>,
}

/// Payloads that are not those digested.
async fn payloads(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut after = (Uuid::nil(), Uuid::nil());
    loop {
        let rows = sql_query(
            "SELECT e.tenant_id, e.id, e.payload_digest, d.data, d.sensitive FROM events e \
             JOIN event_payloads d ON d.tenant_id = e.tenant_id AND d.event_id = e.id \
             WHERE (e.tenant_id, e.id) > ($1, $2) ORDER BY e.tenant_id, e.id LIMIT $3",
        )
        .bind::<SqlUuid, _>(after.0)
        .bind::<SqlUuid, _>(after.1)
        .bind::<BigInt, _>(BATCH)
        .load::<PayloadRow>(conn)
        .await?;
        let Some(last) = rows.last() else {
            return Ok(findings);
        };
        after = (last.tenant_id, last.id);
        let broken = rows.iter().filter(|row| {
            !chain::payload_holds(row.data.as_ref(), row.sensitive.as_ref(), &row.payload_digest)
        });
        findings.extend(broken.map(|row| Finding {
            invariant: 6,
            tenant: row.tenant_id,
            record: format!("event {}", row.id),
            sentence: "its payload is not the one that it was written with".to_owned(),
        }));
    }
}

#[derive(QueryableByName)]
struct Length {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = BigInt)]
    length: i64,
}

/// Chains that break, each at its first break.
async fn chains(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let lengths: Vec<Length> =
        sql_query("SELECT tenant_id, max(seq) AS length FROM event_positions GROUP BY tenant_id")
            .load(conn)
            .await?;
    let mut findings = Vec::new();
    for Length { tenant_id, length } in lengths {
        let mut from = 1;
        while from <= length {
            let to = length.min(from + BATCH - 1);
            let verdict = chain::verify(conn, tenant_id, from, to).await?;
            if let Some(fault) = verdict.fault {
                findings.push(Finding {
                    invariant: 6,
                    tenant: tenant_id,
                    record: format!("position {}", fault.seq),
                    sentence: fault.reason,
                });
                break;
            }
            from = to + 1;
        }
    }
    Ok(findings)
}
