//! A score that explains itself, rule by rule, as of now.

use super::document::{LimitsDocument, RuleDocument};
use super::model::AsOf;
use super::profiles::ProfileMatch;
use super::rules::{BehaviourKind, Dimension, Finding, Outcome, Score, points_text};
use super::standing::{self, Scored, Scorer};
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::money;
use crate::kernel::text::{Lang, say};
use crate::platform::db::{Cached, Db};
use crate::platform::gatekeeper::Id;
use crate::platform::records::store;
use crate::platform::reply::Reply;
use actix_web::{get, web};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// A lead's score, with what it is made of.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeadScore {
    /// The lead.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    lead_id: Uuid,
    /// The score that counts as of now: the one set by hand, else the computed one; null without either.
    #[schema(example = "72.5")]
    score: Option<String>,
    /// The computed score as of now: the sum of what the rules give; null while no model is published.
    #[schema(example = "72.5")]
    computed: Option<String>,
    /// The sums of the four dimensions; null while no model is published.
    dimensions: Option<Dimensions>,
    /// The version by which it is scored; null while none is published.
    model: Option<ScoringVersion>,
    /// As of when it is computed, by the company's clock.
    #[schema(example = "2024-03-15T08:30:00Z")]
    computed_at: DateTime<Utc>,
    /// The score set by hand; null when none is.
    by_hand: Option<ScoreByHand>,
    /// What is stored, and sorts lists; brought up to date daily and with each change of the lead. Null before the first.
    stored: Option<StoredScore>,
    /// The ideal customer that the lead matches best; null when it matches none.
    profile: Option<ProfileMatch>,
    /// Each rule of the model and what it gave; they sum to `computed`.
    rules: Vec<RuleScore>,
}

/// Sums of the four dimensions.
#[derive(Debug, Serialize, ToSchema)]
struct Dimensions {
    #[schema(example = "25")]
    demographic: String,
    #[schema(example = "7.5")]
    behavioural: String,
    #[schema(example = "10")]
    fit: String,
    #[schema(example = "30")]
    intent: String,
}

/// The version of a scoring model by which a lead is scored.
#[derive(Debug, Serialize, ToSchema)]
struct ScoringVersion {
    /// The model.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    model_id: Uuid,
    /// The version.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    version_id: Uuid,
    /// Its number.
    #[schema(minimum = 1, example = 1)]
    number: i32,
    /// Key of the model.
    #[schema(example = "b2b")]
    key: String,
    /// Name of the model, in the language asked for.
    #[schema(example = "B2B lead scoring")]
    name: String,
    limits: LimitsDocument,
}

/// A score set by hand.
#[derive(Debug, Serialize, ToSchema)]
struct ScoreByHand {
    #[schema(example = "85")]
    score: String,
    /// Why.
    #[schema(example = "展会上与总经理面谈")]
    reason: String,
    /// Who set it.
    set_by: Option<Uuid>,
    /// When.
    #[schema(example = "2024-03-15T08:30:00Z")]
    set_at: Option<DateTime<Utc>>,
}

/// The computed score as it is stored.
#[derive(Debug, Serialize, ToSchema)]
struct StoredScore {
    #[schema(example = "73.1")]
    computed: String,
    /// The version by which it was computed.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    version_id: Uuid,
    /// As of when.
    #[schema(example = "2024-03-15T00:00:00Z")]
    computed_at: DateTime<Utc>,
}

/// What one rule gave.
#[derive(Debug, Serialize, ToSchema)]
struct RuleScore {
    /// Its key.
    #[schema(example = "price_asked")]
    key: String,
    /// Its name, in the language asked for.
    #[schema(example = "Asked for a price")]
    name: String,
    dimension: Dimension,
    /// What it gave.
    #[schema(example = "20")]
    points: String,
    outcome: Outcome,
    /// Members that are not known, on which the condition depends.
    #[schema(example = json!([]))]
    missing: Vec<String>,
    /// Why it cannot be computed.
    #[schema(example = json!(null))]
    reason: Option<String>,
    /// The condition, of a rule that has one.
    #[schema(example = json!(null))]
    condition: Option<String>,
    /// The kind of behaviour, of a rule about behaviour.
    #[schema(value_type = Option<BehaviourKind>)]
    behaviour: Option<BehaviourKind>,
    /// The occurrences that count, newest first.
    occurrences: Vec<OccurrenceScore>,
    /// Whether the occurrences would give more than the rule allows.
    #[schema(example = false)]
    is_capped: bool,
}

/// What one occurrence gave.
#[derive(Debug, Serialize, ToSchema)]
struct OccurrenceScore {
    /// The recorded behaviour.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2d")]
    behaviour_id: Uuid,
    /// When it was.
    #[schema(example = "2024-03-15T08:30:00Z")]
    occurred_at: DateTime<Utc>,
    /// How long ago.
    #[schema(minimum = 0, example = 86400)]
    age_seconds: i64,
    /// What is left of a fresh one: 2^(−age ÷ half-life), a share 0–1.
    #[schema(example = "0.9772")]
    remaining: String,
    /// What it gave.
    #[schema(example = "19.544")]
    points: String,
}

/// Explain a lead's score
///
/// Computed as of now by the company's clock, rule by rule, with the evidence; behaviour with its age and what is left of
/// it. What is stored, and what was set by hand, stand beside it.
#[utoipa::path(tag = "scoring", operation_id = "get_lead_score", security(("bearer" = ["lead.read"])),
    responses((status = 200, description = "The score", body = LeadScore)))]
#[get("/v1/leads/{id}/score")]
pub async fn get_lead_score(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    let view = db
        .snapshot(async |conn| {
            let conn = &mut &*conn;
            let row = store::find(conn, &ctx, &LEAD, id.0, None).await?;
            explain(conn, &ctx, &row.doc).await
        })
        .await?;
    Ok(Reply::ok(&view)?.with_weak_tag())
}

#[derive(QueryableByName)]
struct KeptRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    model_version_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Numeric>)]
    total: Option<Decimal>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    computed_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Numeric>)]
    by_hand: Option<Decimal>,
    #[diesel(sql_type = Nullable<Text>)]
    by_hand_reason: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    by_hand_by: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    by_hand_at: Option<DateTime<Utc>>,
}

/// The score of a lead that the caller sees, explained. `lead`: its JSON text.
///
/// # Errors
/// Database errors.
pub async fn explain(conn: &mut &AsyncPgConnection, ctx: &Ctx, lead: &str) -> AppResult<LeadScore> {
    let lead: Map<String, Value> = serde_json::from_str(lead).map_err(AppError::internal)?;
    let id = lead.get("id").and_then(Value::as_str).unwrap_or_default();
    let id = Uuid::parse_str(id).map_err(AppError::internal)?;
    let known = standing::known(conn, ctx.tenant, &[id]).await?;
    let known = known.as_slice().first().ok_or_else(AppError::not_found)?;
    let kept = kept(conn, ctx.tenant, id).await?;
    let mut view = LeadScore::bare(id, ctx, kept);
    if let Some(version) = known.version_id {
        let scorer = Scorer::load(conn, ctx.tenant, version, known.profiles.as_deref()).await?;
        let scored = scorer.score(&lead, &known.occurrences()?, AsOf::of(ctx));
        view.explained(&scorer, &scored, ctx.lang);
    }
    Ok(view)
}

async fn kept(conn: &mut &AsyncPgConnection, tenant: Uuid, lead: Uuid) -> AppResult<Option<KeptRow>> {
    let query = sql_query(
        "SELECT s.model_version_id, s.total, s.computed_at, s.by_hand, s.by_hand_reason, s.by_hand_by, s.by_hand_at \
         FROM lead_scores s WHERE s.tenant_id = $1 AND s.lead_id = $2",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(lead);
    Ok(Cached(query).get_result(conn).await.optional()?)
}

fn named(name: &str, name_zh: Option<&str>, lang: Lang) -> String {
    say(name, name_zh.unwrap_or(name)).in_lang(lang).to_owned()
}

impl LeadScore {
    /// What is stored, without an explanation.
    fn bare(lead_id: Uuid, ctx: &Ctx, kept: Option<KeptRow>) -> LeadScore {
        let stored = kept.as_ref().and_then(|kept| {
            Some(StoredScore {
                computed: points_text(kept.total?),
                version_id: kept.model_version_id?,
                computed_at: kept.computed_at?,
            })
        });
        let by_hand = kept.and_then(|kept| {
            Some(ScoreByHand {
                score: points_text(kept.by_hand?),
                reason: kept.by_hand_reason?,
                set_by: kept.by_hand_by,
                set_at: kept.by_hand_at,
            })
        });
        LeadScore {
            lead_id,
            score: by_hand.as_ref().map(|by_hand| by_hand.score.clone()),
            computed: None,
            dimensions: None,
            model: None,
            computed_at: ctx.now,
            by_hand,
            stored,
            profile: None,
            rules: Vec::new(),
        }
    }

    fn explained(&mut self, scorer: &Scorer, scored: &Scored<'_>, lang: Lang) {
        let (model, score) = (&scorer.model, &scored.score);
        self.computed = Some(points_text(score.total));
        if self.score.is_none() {
            self.score.clone_from(&self.computed);
        }
        self.dimensions = Some(Dimensions::of(score));
        self.model = Some(ScoringVersion {
            model_id: model.model_id,
            version_id: model.version_id,
            number: model.number,
            key: model.document.key.clone(),
            name: named(&model.document.name, model.document.name_zh.as_deref(), lang),
            limits: model.document.limits.clone(),
        });
        self.profile = scored.best.as_ref().map(|best| best.view(lang));
        let both = model.document.rules.iter().zip(&score.findings);
        self.rules = both
            .map(|(rule, finding)| RuleScore::of(rule, finding, lang))
            .collect();
    }
}

impl Dimensions {
    fn of(score: &Score) -> Dimensions {
        Dimensions {
            demographic: points_text(score.demographic),
            behavioural: points_text(score.behavioural),
            fit: points_text(score.fit),
            intent: points_text(score.intent),
        }
    }
}

impl RuleScore {
    fn of(rule: &RuleDocument, finding: &Finding, lang: Lang) -> RuleScore {
        let occurrences = finding.occurrences.iter().map(|one| OccurrenceScore {
            behaviour_id: one.id,
            occurred_at: one.occurred_at,
            age_seconds: one.age_seconds,
            remaining: money::share_text(one.remaining),
            points: points_text(one.points),
        });
        let reason = finding.reason.as_ref();
        RuleScore {
            key: rule.key.clone(),
            name: named(&rule.name, rule.name_zh.as_deref(), lang),
            dimension: rule.dimension,
            points: points_text(finding.points),
            outcome: finding.outcome,
            missing: finding.missing.clone(),
            reason: reason.map(|reason| reason.in_lang(lang).to_owned()),
            condition: rule.condition.clone(),
            behaviour: rule.behaviour.as_ref().map(|behaviour| behaviour.kind),
            occurrences: occurrences.collect(),
            is_capped: finding.is_capped,
        }
    }
}
