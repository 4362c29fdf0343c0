//! Ideal customers: weighted conditions that a lead or an account meets or not, and the match that follows.

use super::document::expression_faults;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::expression::{Expression, Kind, Truth, Vocabulary};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::{Lang, say};
use crate::platform::db::Tx;
use crate::platform::records::{Act, Change};
use futures::future::LocalBoxFuture;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use utoipa::ToSchema;
use uuid::Uuid;

/// What conditions of a profile read, of leads and accounts alike.
static READABLE: LazyLock<Vocabulary> = LazyLock::new(|| {
    Vocabulary::new()
        .with("name", Kind::Text)
        .with("industry", Kind::Text)
        .with("region", Kind::Text)
        .with("segment", Kind::Text)
        .with("employees", Kind::Int)
        .with("annual_revenue", Kind::Decimal)
        .with("budget_amount", Kind::Decimal)
        .with("currency", Kind::Text)
        .with("need", Kind::Text)
        .with("tags", Kind::Texts)
});

/// One criterion as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CriterionDocument {
    key: String,
    name: String,
    #[serde(default)]
    name_zh: Option<String>,
    weight: String,
    condition: String,
}

#[derive(Debug)]
struct Criterion {
    key: String,
    name: String,
    name_zh: Option<String>,
    weight: Decimal,
    condition: Option<Expression>,
}

/// A profile, ready to be matched.
#[derive(Debug)]
pub struct Profile {
    pub id: Uuid,
    pub key: String,
    pub name: String,
    criteria: Vec<Criterion>,
}

/// How far something matches a profile, and why.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProfileMatch {
    /// The profile.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub profile_id: Uuid,
    /// Its key.
    #[schema(example = "manufacturer")]
    pub key: String,
    /// Its name.
    #[schema(example = "中大型制造企业")]
    pub name: String,
    /// The weights of what is met, divided by all weights: a share 0–1.
    #[serde(rename = "match")]
    #[schema(pattern = r"^(0\.\d{4}|1\.0000)$", example = "0.7500")]
    pub share: String,
    /// Each criterion and how it came out.
    pub criteria: Vec<CriterionMatch>,
}

/// How one criterion came out.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CriterionMatch {
    /// Its key.
    #[schema(example = "industry")]
    pub key: String,
    /// Its name, in the language asked for.
    #[schema(example = "制造业")]
    pub name: String,
    /// Its weight.
    #[schema(example = "3")]
    pub weight: String,
    pub outcome: super::rules::Outcome,
    /// Members that are not known, on which it depends.
    #[schema(example = json!([]))]
    pub missing: Vec<String>,
}

/// The match of something with a profile.
#[derive(Debug)]
pub struct Matched<'p> {
    pub profile: &'p Profile,
    /// A share 0–1, four places.
    pub share: Decimal,
    truths: Vec<Truth>,
}

impl Profile {
    /// # Errors
    /// When what is stored is no list of criteria: a bug.
    pub fn new(id: Uuid, key: String, name: String, criteria: Value) -> AppResult<Profile> {
        let documents: Vec<CriterionDocument> =
            serde_json::from_value(criteria).map_err(AppError::internal)?;
        let criteria = documents.into_iter().map(|document| Criterion {
            weight: money::parse(&document.weight).unwrap_or_default(),
            condition: Expression::compile(&document.condition, &READABLE).ok(),
            key: document.key,
            name: document.name,
            name_zh: document.name_zh,
        });
        Ok(Profile {
            id,
            key,
            name,
            criteria: criteria.collect(),
        })
    }

    pub fn matched(&self, facts: &Value) -> Matched<'_> {
        let truths = self
            .criteria
            .iter()
            .map(|criterion| match &criterion.condition {
                Some(condition) => condition.evaluate(facts),
                None => Truth::Failed {
                    reason: say("it cannot be read", "无法读取"),
                },
            })
            .collect::<Vec<_>>();
        let all = self.criteria.iter().map(|criterion| criterion.weight);
        let both = self.criteria.iter().zip(&truths);
        let met = both
            .filter(|(_, truth)| **truth == Truth::Met)
            .map(|(criterion, _)| criterion.weight);
        let all: Decimal = all.sum();
        let share = met
            .sum::<Decimal>()
            .checked_div(all)
            .unwrap_or_default()
            .round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero);
        Matched {
            profile: self,
            share,
            truths,
        }
    }
}

impl Matched<'_> {
    pub fn view(&self, lang: Lang) -> ProfileMatch {
        let criteria = self.profile.criteria.iter().zip(&self.truths);
        ProfileMatch {
            profile_id: self.profile.id,
            key: self.profile.key.clone(),
            name: self.profile.name.clone(),
            share: money::share_text(self.share),
            criteria: criteria
                .map(|(criterion, truth)| criterion.view(truth, lang))
                .collect(),
        }
    }
}

impl Criterion {
    fn view(&self, truth: &Truth, lang: Lang) -> CriterionMatch {
        use super::rules::Outcome;
        let name_zh = self.name_zh.clone().unwrap_or_else(|| self.name.clone());
        let (outcome, missing) = match truth {
            Truth::Met => (Outcome::Met, Vec::new()),
            Truth::Unmet => (Outcome::Unmet, Vec::new()),
            Truth::Unknown { missing } => (Outcome::Unknown, missing.clone()),
            Truth::Failed { .. } => (Outcome::Failed, Vec::new()),
        };
        CriterionMatch {
            key: self.key.clone(),
            name: say(self.name.clone(), name_zh).in_lang(lang).to_owned(),
            weight: super::rules::points_text(self.weight),
            outcome,
            missing,
        }
    }
}

/// The best match first; of equal ones the older profile.
pub fn ranked<'p>(profiles: &'p [Profile], facts: &Value) -> Vec<Matched<'p>> {
    let mut matches = profiles
        .iter()
        .map(|profile| profile.matched(facts))
        .collect::<Vec<_>>();
    matches.sort_by(|one, other| {
        other
            .share
            .cmp(&one.share)
            .then(one.profile.id.cmp(&other.profile.id))
    });
    matches
}

/// The match that counts: the best one above nothing.
pub fn best<'p>(profiles: &'p [Profile], facts: &Value) -> Option<Matched<'p>> {
    ranked(profiles, facts)
        .into_iter()
        .next()
        .filter(|best| !best.share.is_zero())
}

/// What profiles read of a lead in wire form.
pub fn lead_facts(lead: &Map<String, Value>) -> Value {
    let of = |member: &str| lead.get(member).cloned().unwrap_or(Value::Null);
    json!({
        "name": of("company"), "industry": of("industry"), "region": of("region"), "need": of("need"),
        "budget_amount": of("budget_amount"), "currency": of("currency"), "tags": of("tags"),
    })
}

/// What profiles read of an account in wire form; its notes tell of its need.
pub fn account_facts(account: &Map<String, Value>) -> Value {
    let mut facts = account.clone();
    facts.insert(
        "need".to_owned(),
        account.get("description").cloned().unwrap_or(Value::Null),
    );
    Value::Object(facts)
}

/// The JSON Schema of `criteria`.
pub const CRITERIA: &str = r#"{"type":"array","minItems":1,"maxItems":50,"items":{"type":"object","required":["key","name","weight","condition"],"additionalProperties":false,"properties":{"key":{"type":"string","maxLength":63,"pattern":"^[a-z][a-z0-9_]*$","description":"Key, once in the profile.","examples":["industry"]},"name":{"type":"string","minLength":1,"maxLength":200,"description":"Name.","examples":["Manufacturing"]},"name_zh":{"type":["string","null"],"minLength":1,"maxLength":200,"description":"Name in Chinese.","examples":["制造业"]},"weight":{"type":"string","pattern":"^(0|[1-9]\\d{0,3})(\\.\\d{1,2})?$","description":"Weight, above 0.","examples":["3"]},"condition":{"type":"string","minLength":1,"maxLength":4000,"description":"CEL condition over `name`, `industry`, `region`, `segment`, `employees`, `annual_revenue`, `budget_amount`, `currency`, `need`, `tags`.","examples":["industry in [\"制造业\", \"汽车\"]"]}}}}"#;

/// Profiles: each criterion once, with a weight above nothing and a condition that can be read.
pub fn before<'a>(_: &'a mut Tx, _: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    let faults = if matches!(change.act, Act::Archive | Act::Restore) {
        Vec::new()
    } else {
        faults(change)
    };
    let outcome = if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    };
    Box::pin(std::future::ready(outcome))
}

fn faults(change: &Change) -> Vec<Fault> {
    let criteria = change.after.get("criteria").cloned().unwrap_or(Value::Null);
    let Ok(criteria) = serde_json::from_value::<Vec<CriterionDocument>>(criteria) else {
        return vec![Fault::required("/criteria")];
    };
    if criteria.is_empty() {
        return vec![Fault::required("/criteria")];
    }
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for (position, criterion) in criteria.iter().enumerate() {
        let at = format!("/criteria/{position}");
        if !seen.insert(criterion.key.as_str()) {
            faults.push(Fault::duplicate(format!("{at}/key")));
        }
        if money::parse(&criterion.weight).is_none_or(|weight| weight <= Decimal::ZERO) {
            faults.push(Fault::out_of_range(
                format!("{at}/weight"),
                "must be above 0",
                "必须大于 0",
            ));
        }
        faults.extend(expression_faults(
            &format!("{at}/condition"),
            &criterion.condition,
            &READABLE,
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal_macros::dec;

    fn profile(criteria: Value) -> Profile {
        Profile::new(Uuid::now_v7(), "p".to_owned(), "P".to_owned(), criteria).unwrap()
    }

    #[test]
    fn the_match_is_the_weight_of_what_is_met_and_what_is_unknown_is_not_met() {
        let profile = profile(json!([
            { "key": "industry", "name": "i", "weight": "3", "condition": "industry in [\"制造业\"]" },
            { "key": "size", "name": "s", "weight": "1", "condition": "employees >= 200" },
        ]));
        let matched = profile.matched(&json!({ "industry": "制造业" }));
        assert_eq!(matched.share, dec!(0.75));
        assert_eq!(matched.view(Lang::En).criteria[1].missing, ["employees"]);
        assert_eq!(
            profile
                .matched(&json!({ "industry": "制造业", "employees": 200 }))
                .share,
            Decimal::ONE
        );
    }

    #[test]
    fn the_best_profile_counts_and_none_where_nothing_matches() {
        let one = profile(
            json!([{ "key": "a", "name": "a", "weight": "1", "condition": "region == \"华东\"" },
            { "key": "b", "name": "b", "weight": "1", "condition": "industry == \"x\"" }]),
        );
        let other =
            profile(json!([{ "key": "a", "name": "a", "weight": "1", "condition": "region == \"华东\"" }]));
        let profiles = [one, other];
        let best_of = |facts: Value| best(&profiles, &facts).map(|best| (best.profile.id, best.share));
        assert_eq!(
            best_of(json!({ "region": "华东" })),
            Some((profiles[1].id, Decimal::ONE))
        );
        assert_eq!(best_of(json!({ "region": "华北" })), None);
    }
}
