//! A scoring model as a document: what is written, stored and shown, and what may be wrong with it.

use super::rules::{BehaviourKind, Dimension, Limits, Rule, Test};
use crate::kernel::expression::{self, Expression, Vocabulary};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::{Say, say};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::collections::BTreeSet;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Points: up to ±100,000 with at most two places; in JSON a decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Points(pub Decimal);

impl Serialize for Points {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::rules::points_text(self.0))
    }
}

impl<'de> Deserialize<'de> for Points {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Points, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        money::parse(&text)
            .map(Points)
            .ok_or_else(|| de::Error::custom("points are a decimal text"))
    }
}

impl PartialSchema for Points {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .description(Some(
                "Points: a decimal with at most two places, up to 100,000 either way.",
            ))
            .pattern(Some(r"^-?(0|[1-9]\d{0,5})(\.\d{1,2})?$"))
            .examples(["15"])
            .into()
    }
}

impl ToSchema for Points {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ScorePoints")
    }
}

/// How leads are scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoringDocument {
    /// Stable key of the model: lower-case letters, digits and `_`.
    #[schema(pattern = "^[a-z][a-z0-9_]*$", max_length = 63, example = "b2b")]
    pub key: String,
    /// Name.
    #[schema(min_length = 1, max_length = 200, example = "B2B lead scoring")]
    pub name: String,
    /// Name in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, example = "B2B 线索评分")]
    pub name_zh: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 5000, example = "For long sales to companies")]
    pub description: Option<String>,
    /// The rules; each gives its points by itself, whatever their order.
    #[schema(min_items = 1, max_items = 100)]
    pub rules: Vec<RuleDocument>,
    pub limits: LimitsDocument,
}

/// One rule: a condition, or a kind of behaviour; exactly one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "key": "large_budget", "name": "Large budget", "name_zh": "预算充足", "dimension": "demographic", "points": "15", "condition": "budget_amount >= 200000" }))]
pub struct RuleDocument {
    /// Key, once in the model.
    #[schema(pattern = "^[a-z][a-z0-9_]*$", max_length = 63, example = "large_budget")]
    pub key: String,
    /// Name.
    #[schema(min_length = 1, max_length = 200, example = "Large budget")]
    pub name: String,
    /// Name in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, example = "预算充足")]
    pub name_zh: Option<String>,
    pub dimension: Dimension,
    /// What it adds when it is met, or for one fresh occurrence; may be negative.
    pub points: Points,
    /// A CEL condition over the lead's members, `custom`, `behaviours` (records with `kind` and `occurred_at`, newest
    /// first), `profile` (`match` and `key` of the ideal customer profile that fits best), `today` and `now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4000, example = "budget_amount >= 200000")]
    pub condition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behaviour: Option<BehaviourDocument>,
}

/// Points for what somebody did: p · 2^(−age ÷ half-life) for each occurrence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "download", "half_life_days": 30, "most": "20" }))]
pub struct BehaviourDocument {
    pub kind: BehaviourKind,
    /// After so many days an occurrence counts half; not beside `half_life_seconds`. Without either nothing decays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3650, example = 30)]
    pub half_life_days: Option<i64>,
    /// After so many seconds an occurrence counts half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 315_360_000, example = 2_592_000)]
    pub half_life_seconds: Option<i64>,
    /// Most that all occurrences give together, either way; above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<Points>,
}

/// From which score on a lead is what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "marketing_qualified": "40", "sales_qualified": "70", "passes_automatically": false }))]
pub struct LimitsDocument {
    /// From here on a lead is `marketing_qualified`.
    pub marketing_qualified: Points,
    /// From here on it is a candidate for `sales_qualified`.
    pub sales_qualified: Points,
    /// Whether a candidate passes without a review.
    #[serde(default)]
    #[schema(example = false)]
    pub passes_automatically: bool,
}

impl BehaviourDocument {
    fn half_life(&self) -> Option<i64> {
        self.half_life_seconds
            .or_else(|| self.half_life_days.map(|days| days * 86_400))
    }
}

impl ScoringDocument {
    pub fn limits(&self) -> Limits {
        Limits {
            marketing_qualified: self.limits.marketing_qualified.0,
            sales_qualified: self.limits.sales_qualified.0,
            passes_automatically: self.limits.passes_automatically,
        }
    }

    /// The rules, ready to be applied. A condition that no longer compiles stays as one that fails.
    pub fn rules(&self, vocabulary: &Vocabulary) -> Vec<Rule> {
        let rules = self.rules.iter().map(|rule| Rule {
            key: rule.key.clone(),
            dimension: rule.dimension,
            points: rule.points.0,
            test: match &rule.behaviour {
                Some(behaviour) => Test::Behaviour {
                    kind: behaviour.kind,
                    half_life_seconds: behaviour.half_life(),
                    most: behaviour.most.map(|most| most.0),
                },
                None => {
                    let source = rule.condition.as_deref().unwrap_or_default();
                    Test::Condition(Expression::compile(source, vocabulary).ok())
                }
            },
        });
        rules.collect()
    }

    /// Everything that is wrong with it, with pointers below `at`; empty when it may be published.
    pub fn faults(&self, at: &str, vocabulary: &Vocabulary) -> Vec<Fault> {
        let mut faults = Vec::new();
        let limits = &self.limits;
        if limits.sales_qualified < limits.marketing_qualified {
            faults.push(Fault::out_of_range(
                format!("{at}/limits/sales_qualified"),
                "must not be below the limit of marketing qualification",
                "不能低于市场合格的分数线",
            ));
        }
        let mut seen = BTreeSet::new();
        for (position, rule) in self.rules.iter().enumerate() {
            let at = format!("{at}/rules/{position}");
            if !seen.insert(rule.key.as_str()) {
                faults.push(Fault::new(
                    format!("{at}/key"),
                    "duplicate",
                    say("is used already", "已被使用"),
                ));
            }
            faults.extend(rule.faults(&at, vocabulary));
        }
        faults
    }
}

impl RuleDocument {
    fn faults(&self, at: &str, vocabulary: &Vocabulary) -> Vec<Fault> {
        match (&self.condition, &self.behaviour) {
            (Some(condition), None) => expression_faults(&format!("{at}/condition"), condition, vocabulary),
            (None, Some(behaviour)) => behaviour.faults(&format!("{at}/behaviour")),
            (Some(_), Some(_)) => vec![Fault::invalid(
                format!("{at}/behaviour"),
                "cannot be given beside a condition",
                "不能与 condition 同时提供",
            )],
            (None, None) => vec![Fault::required(format!("{at}/condition"))],
        }
    }
}

impl BehaviourDocument {
    fn faults(&self, at: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.half_life_days.is_some() && self.half_life_seconds.is_some() {
            faults.push(Fault::invalid(
                format!("{at}/half_life_seconds"),
                "cannot be given beside half_life_days",
                "不能与 half_life_days 同时提供",
            ));
        }
        if self.most.is_some_and(|most| most.0 <= Decimal::ZERO) {
            faults.push(Fault::out_of_range(
                format!("{at}/most"),
                "must be above 0",
                "必须大于 0",
            ));
        }
        faults
    }
}

/// What is wrong with a condition, each fault with its place in the text.
pub fn expression_faults(at: &str, source: &str, vocabulary: &Vocabulary) -> Vec<Fault> {
    let Err(faults) = Expression::draft(source, vocabulary) else {
        return Vec::new();
    };
    let placed = faults
        .iter()
        .map(|fault| Fault::new(at, fault.code, placed(fault)));
    placed.collect()
}

fn placed(fault: &expression::Fault) -> Say {
    let Some(place) = fault.position else {
        return fault.message.clone();
    };
    let (line, column) = (place.line, place.column);
    say(
        format!("line {line}, column {column}: {}", fault.message.en),
        format!("第 {line} 行第 {column} 列：{}", fault.message.zh),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(rules: serde_json::Value, limits: serde_json::Value) -> ScoringDocument {
        serde_json::from_value(json!({ "key": "m", "name": "M", "rules": rules, "limits": limits })).unwrap()
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let vocabulary = Vocabulary::new().with("region", expression::Kind::Text);
        let document = document(
            json!([
                { "key": "a", "name": "A", "dimension": "fit", "points": "1", "condition": "regio == \"x\"" },
                { "key": "a", "name": "B", "dimension": "fit", "points": "1" },
                { "key": "c", "name": "C", "dimension": "fit", "points": "1", "condition": "true",
                  "behaviour": { "kind": "visit" } },
                { "key": "d", "name": "D", "dimension": "behavioural", "points": "1",
                  "behaviour": { "kind": "visit", "half_life_days": 1, "half_life_seconds": 1, "most": "0" } },
            ]),
            json!({ "marketing_qualified": "50", "sales_qualified": "40" }),
        );
        let faults = document.faults("/document", &vocabulary);
        let mut told = faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.code))
            .collect::<Vec<_>>();
        told.sort_unstable();
        assert_eq!(
            told,
            [
                ("/document/limits/sales_qualified", "out_of_range"),
                ("/document/rules/0/condition", "unknown_member"),
                ("/document/rules/1/condition", "required"),
                ("/document/rules/1/key", "duplicate"),
                ("/document/rules/2/behaviour", "invalid"),
                ("/document/rules/3/behaviour/half_life_seconds", "invalid"),
                ("/document/rules/3/behaviour/most", "out_of_range"),
            ]
        );
    }

    #[test]
    fn a_document_is_written_as_it_was_read() {
        let text = include_str!("templates/b2b.json");
        let document: ScoringDocument = serde_json::from_str(text).unwrap();
        let written = serde_json::to_value(&document).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
}
