//! What a lead's score is, and where it carries the lead. Pure: no clock, no database, no HTTP.

use crate::crm::lead_states::{LeadState, Qualification, Status, Step};
use crate::kernel::error::AppResult;
use crate::kernel::expression::{Expression, Truth};
use crate::kernel::text::{Say, say};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Places to which what one rule or one occurrence contributes is rounded; sums are exact from there on.
const PLACES: u32 = 4;

/// What a rule tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[schema(example = "fit")]
pub enum Dimension {
    /// Size, industry, region, budget.
    Demographic,
    /// What they did.
    Behavioural,
    /// How well the need fits what we have.
    Fit,
    /// How much they want it: a price or a demo asked for, a day named.
    Intent,
}

/// What somebody did that tells of interest.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(example = "demo_requested")]
pub enum BehaviourKind {
    Visit,
    Download,
    MailOpened,
    MailClicked,
    FormSubmitted,
    EventAttended,
    TrialStarted,
    CallAnswered,
    PriceAsked,
    DemoRequested,
    DayNamed,
    Other,
}

/// One rule, ready to be applied.
#[derive(Debug, Clone)]
pub struct Rule {
    pub key: String,
    pub dimension: Dimension,
    /// Points when it is met, or of one fresh occurrence.
    pub points: Decimal,
    pub test: Test,
}

/// When a rule gives its points.
#[derive(Debug, Clone)]
pub enum Test {
    /// When this holds; none for one that no longer compiles, say because a field that it reads is gone.
    Condition(Option<Expression>),
    /// For each occurrence, halved with every half-life of its age; together `most` points at most, either way.
    Behaviour {
        kind: BehaviourKind,
        half_life_seconds: Option<i64>,
        most: Option<Decimal>,
    },
}

/// Something somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    pub id: Uuid,
    pub kind: String,
    pub occurred_at: DateTime<Utc>,
}

/// How a rule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "met")]
pub enum Outcome {
    Met,
    Unmet,
    /// It depends on what is not known yet; no points.
    Unknown,
    /// It cannot be computed; no points.
    Failed,
}

/// What one rule gave, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub points: Decimal,
    pub outcome: Outcome,
    /// The members whose absence leaves it open.
    pub missing: Vec<String>,
    /// Why it cannot be computed.
    pub reason: Option<Say>,
    pub occurrences: Vec<Counted>,
    /// Whether the occurrences would give more than the rule allows.
    pub is_capped: bool,
}

/// What one occurrence gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub id: Uuid,
    pub occurred_at: DateTime<Utc>,
    pub age_seconds: i64,
    /// What is left of a fresh one, a share 0–1.
    pub remaining: Decimal,
    pub points: Decimal,
}

/// A score with what it is made of; the findings stand in the order of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    pub total: Decimal,
    pub demographic: Decimal,
    pub behavioural: Decimal,
    pub fit: Decimal,
    pub intent: Decimal,
    pub findings: Vec<Finding>,
    /// Whether time alone will change it: something with a half-life is part of it.
    pub is_decaying: bool,
}

/// What is left of an occurrence of this age: 2^(−age ÷ half-life), a share 0–1. What lies ahead counts whole.
pub fn remaining(age_seconds: i64, half_life_seconds: Option<i64>) -> Decimal {
    let (Some(half_life), true) = (half_life_seconds.filter(|seconds| *seconds > 0), age_seconds > 0) else {
        return Decimal::ONE;
    };
    let (Some(age), Some(half_life)) = (age_seconds.to_f64(), half_life.to_f64()) else {
        return Decimal::ZERO;
    };
    let share = (-age / half_life).exp2();
    Decimal::from_f64(share).map_or(Decimal::ZERO, |share| share.round_dp(8))
}

fn rounded(points: Decimal) -> Decimal {
    points.round_dp_with_strategy(PLACES, RoundingStrategy::MidpointAwayFromZero)
}

/// Scores a lead: each rule by itself, in any order; the total is the exact sum of what the rules gave.
pub fn score(rules: &[Rule], facts: &Value, occurrences: &[Occurrence], now: DateTime<Utc>) -> Score {
    let findings = rules
        .iter()
        .map(|rule| find(rule, facts, occurrences, now))
        .collect::<Vec<_>>();
    let of = |dimension| {
        let both = rules.iter().zip(&findings);
        both.filter(|(rule, _)| rule.dimension == dimension)
            .map(|(_, finding)| finding.points)
            .sum::<Decimal>()
    };
    let is_decaying = rules.iter().zip(&findings).any(|(rule, finding)| {
        let has_half_life = matches!(
            rule.test,
            Test::Behaviour {
                half_life_seconds: Some(_),
                ..
            }
        );
        has_half_life && finding.occurrences.iter().any(|one| !one.points.is_zero())
    });
    Score {
        total: findings.iter().map(|finding| finding.points).sum(),
        demographic: of(Dimension::Demographic),
        behavioural: of(Dimension::Behavioural),
        fit: of(Dimension::Fit),
        intent: of(Dimension::Intent),
        findings,
        is_decaying,
    }
}

fn find(rule: &Rule, facts: &Value, occurrences: &[Occurrence], now: DateTime<Utc>) -> Finding {
    match &rule.test {
        Test::Condition(condition) => conditional(rule.points, condition.as_ref(), facts),
        Test::Behaviour {
            kind,
            half_life_seconds,
            most,
        } => {
            let kind: &'static str = kind.into();
            let these = occurrences.iter().filter(|one| one.kind == kind);
            let counted = these.map(|one| count(rule.points, *half_life_seconds, one, now));
            behavioural(counted.collect(), *most)
        }
    }
}

fn conditional(points: Decimal, condition: Option<&Expression>, facts: &Value) -> Finding {
    let gone = || Truth::Failed {
        reason: say(
            "it reads something that the company no longer has",
            "它引用的字段已不存在",
        ),
    };
    let mut finding = Finding {
        points: Decimal::ZERO,
        outcome: Outcome::Unmet,
        missing: Vec::new(),
        reason: None,
        occurrences: Vec::new(),
        is_capped: false,
    };
    match condition.map_or_else(gone, |condition| condition.evaluate(facts)) {
        Truth::Met => {
            finding.outcome = Outcome::Met;
            finding.points = points;
        }
        Truth::Unmet => {}
        Truth::Unknown { missing } => {
            finding.outcome = Outcome::Unknown;
            finding.missing = missing;
        }
        Truth::Failed { reason } => {
            finding.outcome = Outcome::Failed;
            finding.reason = Some(reason);
        }
    }
    finding
}

fn count(points: Decimal, half_life: Option<i64>, one: &Occurrence, now: DateTime<Utc>) -> Counted {
    let age_seconds = (now - one.occurred_at).num_seconds().max(0);
    let remaining = remaining(age_seconds, half_life);
    Counted {
        id: one.id,
        occurred_at: one.occurred_at,
        age_seconds,
        remaining,
        points: rounded(points * remaining),
    }
}

fn behavioural(occurrences: Vec<Counted>, most: Option<Decimal>) -> Finding {
    let sum = occurrences.iter().map(|one| one.points).sum::<Decimal>();
    let capped = most.map_or(sum, |most| sum.clamp(-most, most));
    let outcome = if occurrences.is_empty() {
        Outcome::Unmet
    } else {
        Outcome::Met
    };
    Finding {
        points: capped,
        outcome,
        missing: Vec::new(),
        reason: None,
        occurrences,
        is_capped: capped != sum,
    }
}

/// From which score on a lead is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub marketing_qualified: Decimal,
    pub sales_qualified: Decimal,
    /// Whether who reaches the second limit passes without a review.
    pub passes_automatically: bool,
}

/// Where a lead stands before its score is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    /// The score that counted until now.
    pub score: Option<Decimal>,
    pub has_open_review: bool,
    /// The score with which it was last rejected.
    pub rejected: Option<Decimal>,
}

/// Where its score carries a lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    pub status: Status,
    pub opens_review: bool,
    /// The open review has lost its object: the lead is no longer a candidate.
    pub withdraws_review: bool,
}

/// Carries a lead as far as its score reaches, by the steps that people would take; never back. Who reaches the second
/// limit is put to review, or passes where the limits say so. Who was rejected is put to review again only when the score
/// rises above the one that was rejected, or reaches the limit anew.
///
/// # Errors
/// None for the states it steps from; what the rules of the states would refuse.
pub fn pass(
    limits: &Limits,
    standing: Standing,
    score: Option<Decimal>,
    today: NaiveDate,
) -> AppResult<Passage> {
    let reaches = |limit: Decimal| score.is_some_and(|score| score >= limit);
    let mut status = standing.status;
    if reaches(limits.marketing_qualified) && status == Status::New {
        status = step(status, &Step::Work, today)?;
    }
    if reaches(limits.marketing_qualified) && status == Status::Working {
        status = step(status, &Step::Qualify(Qualification::MarketingQualified), today)?;
    }
    let is_candidate = status == Status::MarketingQualified && reaches(limits.sales_qualified);
    if is_candidate && limits.passes_automatically {
        status = step(status, &Step::Qualify(Qualification::SalesQualified), today)?;
    }
    let is_candidate = is_candidate && status == Status::MarketingQualified;
    let is_news = standing.rejected.is_none_or(|rejected| {
        let was_below = standing
            .score
            .is_none_or(|before| before < limits.sales_qualified);
        was_below || score.is_some_and(|score| score > rejected)
    });
    Ok(Passage {
        status,
        opens_review: is_candidate && !standing.has_open_review && is_news,
        withdraws_review: standing.has_open_review && status != Status::MarketingQualified,
    })
}

fn step(status: Status, step: &Step, today: NaiveDate) -> AppResult<Status> {
    let plain = LeadState {
        status,
        reopen_status: None,
        disqualified_reason: None,
        nurture_until: None,
        nurture_reason: None,
    };
    Ok(plain.after(step, today)?.status)
}

/// Points as JSON text: without needless zeros.
pub fn points_text(points: Decimal) -> String {
    points.normalize().to_string()
}

#[cfg(test)]
mod tests;
