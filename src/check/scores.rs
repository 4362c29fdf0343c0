//! Invariant 6 of leads' scores: what is stored is what the model gives as of when it was computed, it is what counts on the
//! lead, and no lead stays behind the limits that it reached.

use super::{Finding, select_all};
use crate::crm::resources::LEAD;
use crate::crm::scoring::model::{self, AsOf, Model};
use crate::crm::scoring::rules::{self, Occurrence};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::records::sql;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// How many scores are computed at once.
const BATCH: i64 = 500;

const STATEMENTS: &[(u8, &str)] = &[
    (6, NOT_WHAT_COUNTS),
    (6, BEHIND_ITS_LIMITS),
    (6, REVIEW_OF_NO_CANDIDATE),
];

const NOT_WHAT_COUNTS: &str = "\
SELECT t.tenant_id, 'lead ' || t.id AS record,
    'its score is ' || coalesce(trim_scale(t.score)::text, 'none') || ', the one kept for it '
    || coalesce(trim_scale(coalesce(s.by_hand, s.total))::text, 'none') AS sentence
FROM leads t LEFT JOIN lead_scores s ON s.tenant_id = t.tenant_id AND s.lead_id = t.id
WHERE t.score IS DISTINCT FROM coalesce(s.by_hand, s.total)";

/// Only leads scored by what is published now: others wait to be scored anew.
const BEHIND_ITS_LIMITS: &str = "\
SELECT t.tenant_id, 'lead ' || t.id AS record, 'its score of ' || trim_scale(t.score) || ' reaches the limit of '
    || CASE WHEN t.status = 'marketing_qualified' THEN 'sales' ELSE 'marketing' END || ' qualification, and it is ' || t.status AS sentence
FROM scoring_model_versions v
JOIN lead_scores s ON s.tenant_id = v.tenant_id AND s.model_version_id = v.id
JOIN leads t ON t.tenant_id = s.tenant_id AND t.id = s.lead_id
WHERE v.state = 'published' AND t.archived_at IS NULL
    AND ((t.status IN ('new', 'working') AND t.score >= (v.document #>> '{limits,marketing_qualified}')::numeric)
        OR (t.status = 'marketing_qualified' AND t.score >= (v.document #>> '{limits,sales_qualified}')::numeric
            AND ((v.document #>> '{limits,passes_automatically}')::boolean
                OR NOT EXISTS (SELECT 1 FROM lead_reviews r WHERE r.tenant_id = t.tenant_id AND r.lead_id = t.id))))";

const REVIEW_OF_NO_CANDIDATE: &str = "\
SELECT r.tenant_id, 'lead_review ' || r.id AS record, 'it is open, and its lead is ' || t.status AS sentence
FROM lead_reviews r JOIN leads t ON t.tenant_id = r.tenant_id AND t.id = r.lead_id
WHERE r.status = 'open' AND t.status <> 'marketing_qualified'";

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let mut findings = select_all(conn, STATEMENTS).await?;
    let tenants: Vec<TenantRow> = sql_query(
        "SELECT c.tenant_id, c.time_zone FROM tenants c WHERE EXISTS (SELECT 1 FROM lead_scores s \
         WHERE s.tenant_id = c.tenant_id AND s.model_version_id IS NOT NULL) ORDER BY c.tenant_id",
    )
    .load(conn)
    .await?;
    for tenant in tenants {
        findings.extend(of_tenant(conn, &tenant).await?);
    }
    Ok(findings)
}

#[derive(QueryableByName)]
struct TenantRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = Text)]
    time_zone: String,
}

#[derive(QueryableByName)]
struct ScoreRow {
    #[diesel(sql_type = SqlUuid)]
    lead_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    model_version_id: Uuid,
    #[diesel(sql_type = Numeric)]
    total: Decimal,
    #[diesel(sql_type = Array<Numeric>)]
    dimensions: Vec<Decimal>,
    #[diesel(sql_type = Timestamptz)]
    computed_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    profile_key: Option<String>,
    #[diesel(sql_type = Nullable<Numeric>)]
    profile_match: Option<Decimal>,
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Jsonb)]
    occurrences: Value,
}

/// Computes every score of a company once more.
async fn of_tenant(conn: &mut AsyncPgConnection, tenant: &TenantRow) -> AppResult<Vec<Finding>> {
    let zone: chrono_tz::Tz = tenant.time_zone.parse().map_err(AppError::internal)?;
    let document = sql::whole_document(&LEAD);
    let statement = format!(
        "SELECT s.lead_id, s.model_version_id, s.total, ARRAY[s.demographic, s.behavioural, s.fit, s.intent] AS dimensions, \
            s.computed_at, p.key AS profile_key, s.profile_match, {document} AS doc, \
            coalesce((SELECT jsonb_agg(jsonb_build_object('id', b.id, 'kind', b.kind, 'occurred_at', b.occurred_at) \
                    ORDER BY b.occurred_at DESC, b.id DESC) \
                FROM (SELECT o.id, o.kind, o.occurred_at FROM lead_behaviours o WHERE o.tenant_id = $1 AND o.lead_id = t.id \
                    ORDER BY o.occurred_at DESC, o.id DESC LIMIT {most}) b), '[]') AS occurrences \
         FROM lead_scores s JOIN leads t ON t.tenant_id = $1 AND t.id = s.lead_id \
         LEFT JOIN customer_profiles p ON p.tenant_id = $1 AND p.id = s.profile_id \
         WHERE s.tenant_id = $1 AND s.model_version_id IS NOT NULL AND t.status <> 'converted' AND t.archived_at IS NULL \
            AND s.lead_id > $2 ORDER BY s.lead_id LIMIT $3",
        most = crate::crm::scoring::standing::MOST_OCCURRENCES
    );
    let mut models: HashMap<Uuid, Arc<Model>> = HashMap::new();
    let mut findings = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let rows: Vec<ScoreRow> = sql_query(statement.as_str())
            .bind::<SqlUuid, _>(tenant.tenant_id)
            .bind::<SqlUuid, _>(after)
            .bind::<BigInt, _>(BATCH)
            .load(conn)
            .await?;
        let Some(last) = rows.as_slice().last() else {
            return Ok(findings);
        };
        after = last.lead_id;
        for row in rows {
            let model = match models.get(&row.model_version_id) {
                Some(model) => Arc::clone(model),
                None => model::model(&mut &*conn, tenant.tenant_id, row.model_version_id).await?,
            };
            models.insert(row.model_version_id, Arc::clone(&model));
            if let Some(sentence) = difference(&model, &row, zone)? {
                findings.push(Finding {
                    invariant: 6,
                    tenant: tenant.tenant_id,
                    record: format!("lead {}", row.lead_id),
                    sentence,
                });
            }
        }
    }
}

/// What differs between what is stored and what the model gives.
fn difference(model: &Model, row: &ScoreRow, zone: chrono_tz::Tz) -> AppResult<Option<String>> {
    let lead: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let occurrences: Vec<Occurrence> =
        serde_json::from_value(row.occurrences.clone()).map_err(AppError::internal)?;
    let at = AsOf {
        now: row.computed_at,
        today: row.computed_at.with_timezone(&zone).date_naive(),
    };
    let profile = row.profile_key.as_deref().zip(row.profile_match);
    let facts = model::facts(&lead, &occurrences, profile, at);
    let score = rules::score(&model.rules, &facts, &occurrences, at.now);
    let stored = row.dimensions.as_slice();
    let computed = [score.demographic, score.behavioural, score.fit, score.intent];
    if score.total == row.total && stored == computed {
        return Ok(None);
    }
    let (stored, computed) = (rules::points_text(row.total), rules::points_text(score.total));
    Ok(Some(format!(
        "its stored score of {stored} is not the {computed} that the model gives as of {}",
        row.computed_at
    )))
}
