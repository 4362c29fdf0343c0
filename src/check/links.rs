//! Invariant 1: no row names a row of another company, or one that is not there.

use super::{Finding, select};
use crate::app;
use crate::kernel::error::AppResult;
use diesel_async::AsyncPgConnection;
use std::collections::BTreeSet;

/// References that no foreign key holds, or that one can be dropped from: table, its key, column, table referred to.
const REFERENCES: &[(&str, &str, &str, &str)] = &[
    ("opportunities", "id", "visit_id", "transitions"),
    ("opportunities", "id", "stage_id", "stages"),
    ("cycles", "opportunity_id", "stage_id", "stages"),
    ("cycles", "opportunity_id", "owner_id", "users"),
    ("transitions", "id", "from_stage_id", "stages"),
    ("transitions", "id", "to_stage_id", "stages"),
    ("transitions", "id", "pipeline_version_id", "pipeline_versions"),
    ("transitions", "id", "visit_id", "transitions"),
    ("criterion_answers", "opportunity_id", "visit_id", "transitions"),
    ("criterion_answers", "opportunity_id", "answered_by", "users"),
    (
        "pipeline_migration_deals",
        "migration_id",
        "opportunity_id",
        "opportunities",
    ),
    (
        "pipeline_migration_deals",
        "migration_id",
        "transition_id",
        "transitions",
    ),
    (
        "pipeline_migration_deals",
        "migration_id",
        "back_transition_id",
        "transitions",
    ),
    (
        "pipeline_migration_deals",
        "migration_id",
        "from_version_id",
        "pipeline_versions",
    ),
    (
        "pipeline_migration_deals",
        "migration_id",
        "from_stage_id",
        "stages",
    ),
    (
        "pipeline_migration_deals",
        "migration_id",
        "from_visit_id",
        "transitions",
    ),
    ("participants", "record_id", "user_id", "users"),
    ("leads", "id", "converted_account_id", "accounts"),
    ("leads", "id", "converted_contact_id", "contacts"),
    ("leads", "id", "converted_opportunity_id", "opportunities"),
    ("intakes", "id", "lead_id", "leads"),
    ("lead_campaigns", "lead_id", "lead_id", "leads"),
    ("lead_campaigns", "lead_id", "campaign_id", "campaigns"),
    ("approval_requests", "id", "visit_id", "transitions"),
    ("approval_requests", "id", "criterion_id", "criteria"),
    ("approval_requests", "id", "subject_owner_id", "users"),
    ("approval_seats", "request_id", "for_user_id", "users"),
    ("approval_seats", "request_id", "decided_by", "users"),
    ("approval_acts", "request_id", "step_id", "approval_steps"),
    ("approval_acts", "request_id", "seat_id", "approval_seats"),
    ("approval_acts", "request_id", "to_seat_id", "approval_seats"),
    ("approval_acts", "request_id", "actor_id", "users"),
    ("approval_acts", "request_id", "to_user_id", "users"),
];

/// Tables that name records of several kinds: table, its key, column of the kind, column of the id.
const NAMED: &[(&str, &str, &str, &str)] = &[
    ("event_subjects", "event_id", "subject_kind", "subject_id"),
    ("events", "id", "subject_kind", "subject_id"),
    ("timers", "id", "subject_kind", "subject_id"),
    ("participants", "user_id", "record_kind", "record_id"),
    ("approval_requests", "id", "subject_kind", "subject_id"),
    ("identity_keys", "key", "record_kind", "record_id"),
    ("identity_names", "record_id", "record_kind", "record_id"),
    ("search_entries", "record_id", "record_kind", "record_id"),
    ("merges", "id", "record_kind", "survivor_id"),
    ("merged_records", "record_id", "record_kind", "survivor_id"),
    ("duplicate_reviews", "id", "record_kind", "record_id"),
    ("duplicate_reviews", "id", "other_kind", "other_id"),
    ("pool_stays", "id", "record_kind", "record_id"),
    ("pool_clocks", "record_id", "record_kind", "record_id"),
    ("pool_cool_downs", "user_id", "record_kind", "record_id"),
];

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let mut findings = Vec::new();
    for statement in statements() {
        findings.extend(select(conn, 1, &statement).await?);
    }
    Ok(findings)
}

fn statements() -> Vec<String> {
    let mut references = REFERENCES.iter().copied().collect::<BTreeSet<_>>();
    let mut statements = Vec::new();
    for resource in app::resources() {
        for member in resource.columns() {
            if let Some(target) = member.refers {
                references.insert((resource.table, "id", member.name, target.table));
            }
        }
        for (table, key, kind, id) in NAMED {
            statements.push(named(table, key, kind, id, resource.singular, resource.table));
        }
    }
    statements.extend(
        references
            .into_iter()
            .map(|(table, key, column, target)| reference(table, key, column, target)),
    );
    statements
}

/// A reference to nothing in its company.
fn reference(table: &str, key: &str, column: &str, target: &str) -> String {
    format!(
        "SELECT t.tenant_id, '{table} ' || t.{key} AS record, \
            '{column} names ' || t.{column} || ', which is not among the {target} of its company' AS sentence \
         FROM {table} t WHERE t.{column} IS NOT NULL \
            AND NOT EXISTS (SELECT 1 FROM {target} o WHERE o.tenant_id = t.tenant_id AND o.id = t.{column})"
    )
}

/// A record named by kind and id that is another company's.
fn named(table: &str, key: &str, kind: &str, id: &str, singular: &str, target: &str) -> String {
    format!(
        "SELECT t.tenant_id, '{table} ' || t.{key} AS record, \
            'it names {singular} ' || t.{id} || ', which is of company ' || o.tenant_id AS sentence \
         FROM {table} t JOIN {target} o ON o.id = t.{id} AND o.tenant_id <> t.tenant_id \
         WHERE t.{kind} = '{singular}' \
            AND NOT EXISTS (SELECT 1 FROM {target} s WHERE s.tenant_id = t.tenant_id AND s.id = t.{id})"
    )
}
