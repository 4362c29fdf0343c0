//! What is known about leads when they are scored: one statement for any number of them.

use super::model::{self, AsOf, Model};
use super::profiles;
use super::rules::{self, Occurrence, Score};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Cached;
use diesel::sql_types::{Array, Jsonb, Nullable, Numeric, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

/// Most occurrences of one lead that count: the latest.
pub const MOST_OCCURRENCES: i64 = 1_000;

/// What is known about one lead.
#[derive(Debug, QueryableByName)]
pub struct Known {
    #[diesel(sql_type = SqlUuid)]
    pub lead_id: Uuid,
    /// The company's published version.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub version_id: Option<Uuid>,
    /// Names the company's profiles as they are.
    #[diesel(sql_type = Nullable<Text>)]
    pub profiles: Option<String>,
    /// The score set by hand.
    #[diesel(sql_type = Nullable<Numeric>)]
    pub by_hand: Option<Decimal>,
    /// The open review.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub review_id: Option<Uuid>,
    /// The score with which it was last rejected.
    #[diesel(sql_type = Nullable<Numeric>)]
    pub rejected: Option<Decimal>,
    #[diesel(sql_type = Jsonb)]
    occurrences: Value,
}

static KNOWN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT l.id AS lead_id, \
            (SELECT v.id FROM scoring_model_versions v WHERE v.tenant_id = $1 AND v.state = 'published') AS version_id, \
            ({stamp}) AS profiles, s.by_hand, r.id AS review_id, \
            (SELECT d.score FROM lead_reviews d WHERE d.tenant_id = $1 AND d.lead_id = l.id AND d.status = 'rejected' \
                ORDER BY d.created_at DESC LIMIT 1) AS rejected, \
            coalesce((SELECT jsonb_agg(jsonb_build_object('id', b.id, 'kind', b.kind, 'occurred_at', b.occurred_at) \
                    ORDER BY b.occurred_at DESC, b.id DESC) \
                FROM (SELECT o.id, o.kind, o.occurred_at FROM lead_behaviours o WHERE o.tenant_id = $1 AND o.lead_id = l.id \
                    ORDER BY o.occurred_at DESC, o.id DESC LIMIT {MOST_OCCURRENCES}) b), '[]') AS occurrences \
         FROM unnest($2) AS l (id) \
         LEFT JOIN lead_scores s ON s.tenant_id = $1 AND s.lead_id = l.id \
         LEFT JOIN lead_reviews r ON r.tenant_id = $1 AND r.lead_id = l.id AND r.status = 'open'",
        stamp = model::STAMP
    )
});

/// What is known about these leads, in no particular order.
///
/// # Errors
/// Database errors.
pub async fn known(conn: &mut &AsyncPgConnection, tenant: Uuid, leads: &[Uuid]) -> AppResult<Vec<Known>> {
    let query = sql_query(KNOWN.as_str())
        .bind::<SqlUuid, _>(tenant)
        .bind::<Array<SqlUuid>, _>(leads);
    Ok(Cached(query).load(conn).await?)
}

impl Known {
    /// What the lead's people did, newest first.
    ///
    /// # Errors
    /// When what is stored has another form: a bug.
    pub fn occurrences(&self) -> AppResult<Vec<Occurrence>> {
        serde_json::from_value(self.occurrences.clone()).map_err(AppError::internal)
    }
}

/// By what leads are scored: a version of a model, and the profiles.
#[derive(Clone)]
pub struct Scorer {
    pub model: Arc<Model>,
    pub profiles: Arc<Vec<profiles::Profile>>,
}

impl Scorer {
    /// # Errors
    /// `not_found` when there is no such version; database errors.
    pub async fn load(
        conn: &mut &AsyncPgConnection,
        tenant: Uuid,
        version_id: Uuid,
        stamp: Option<&str>,
    ) -> AppResult<Scorer> {
        let model = model::model(conn, tenant, version_id).await?;
        let profiles = model::profiles(conn, tenant, stamp).await?;
        Ok(Scorer { model, profiles })
    }

    /// Scores a lead in wire form.
    pub fn score(&self, lead: &Map<String, Value>, occurrences: &[Occurrence], at: AsOf) -> Scored<'_> {
        let best = profiles::best(&self.profiles, &profiles::lead_facts(lead));
        let profile = best.as_ref().map(|best| (best.profile.key.as_str(), best.share));
        let facts = model::facts(lead, occurrences, profile, at);
        Scored {
            score: rules::score(&self.model.rules, &facts, occurrences, at.now),
            best,
        }
    }
}

/// A lead's score with the profile that it fits best.
pub struct Scored<'p> {
    pub score: Score,
    pub best: Option<profiles::Matched<'p>>,
}
