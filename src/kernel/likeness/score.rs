//! The score of a pair, rule by rule.

use super::fold::{self, CompanyName};
use super::likeness;
use serde::Serialize;
use utoipa::ToSchema;

/// From this score on a pair is worth a person's look.
const WORTH_A_LOOK: f64 = 0.75;
/// The same region, or the same domain, adds so much.
const BONUS: f64 = 0.05;
/// Two names of one core in different places are rather two branches.
const OTHER_PLACE: f64 = 0.8;
/// Of two people's records, how much the company counts; the person counts the rest.
const COMPANY_SHARE: f64 = 0.5;
/// Names of the same Chinese characters in another order: transposed words, or another company.
const TRANSPOSED: f64 = 0.85;
/// Two short names that are equal say less than long ones.
const SHORT_AND_EQUAL: f64 = 0.9;

/// What two records have in common.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    ToSchema,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Rule {
    /// The same phone, in any spelling.
    Phone,
    /// The same e-mail.
    Email,
    /// The same tax number.
    TaxNumber,
    /// A phone or e-mail that many share: a switchboard, `info@`.
    SharedKey,
    /// The company's whole name, letter for letter once folded.
    SameName,
    /// Likeness of the companies' names: slips, and words in another order, Chinese ones too.
    CompanyName,
    /// Likeness of the people's names.
    PersonName,
    /// The names say different places.
    OtherPlace,
    /// The same account.
    Account,
    /// The same region.
    Region,
    /// The same domain of e-mail or web site.
    Domain,
}

/// One reason of a score.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Reason {
    /// Which rule.
    #[schema(example = "company_name")]
    pub rule: Rule,
    /// What the rule found, 0–1.
    #[schema(minimum = 0, maximum = 1, example = 0.86)]
    pub value: f64,
}

/// What a record is compared by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    pub company: CompanyName,
    /// The person's name, folded; empty for companies.
    pub person: String,
    pub account: Option<uuid::Uuid>,
    pub region: Option<String>,
    /// Of e-mail or web site; none for public mail.
    pub domain: Option<String>,
}

/// How surely two records are one.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// 0–1.
    pub value: f64,
    /// Most telling first.
    pub reasons: Vec<Reason>,
}

impl Score {
    pub fn is_exact(&self) -> bool {
        let exact = [Rule::Phone, Rule::Email, Rule::TaxNumber];
        self.reasons.iter().any(|reason| exact.contains(&reason.rule))
    }

    pub fn is_worth_a_look(&self) -> bool {
        self.value >= WORTH_A_LOOK
    }
}

/// Scores a pair. `keys`: the exact rules that hold. An exact key decides alone; else the names do, and region, domain and
/// place move the score.
pub fn score(one: &Profile, other: &Profile, keys: &[Rule]) -> Score {
    let mut reasons = keys
        .iter()
        .map(|rule| Reason {
            rule: *rule,
            value: 1.0,
        })
        .collect::<Vec<_>>();
    let is_decided = keys
        .iter()
        .any(|rule| matches!(rule, Rule::Phone | Rule::Email | Rule::TaxNumber));
    let named = by_name(one, other, keys, &mut reasons);
    let helped = by_circumstance(one, other, named, &mut reasons);
    let value = if is_decided { 1.0 } else { helped.min(0.99) };
    Score {
        value: rounded(value),
        reasons,
    }
}

fn by_name(one: &Profile, other: &Profile, keys: &[Rule], reasons: &mut Vec<Reason>) -> f64 {
    let company = company_likeness(one, other, keys, reasons);
    let is_both_people = !one.person.is_empty() && !other.person.is_empty();
    if !is_both_people {
        return company;
    }
    let person = person_likeness(&one.person, &other.person);
    if person > 0.0 {
        reasons.push(Reason {
            rule: Rule::PersonName,
            value: rounded(person),
        });
    }
    if one.account.is_some() && one.account == other.account {
        reasons.push(Reason {
            rule: Rule::Account,
            value: 1.0,
        });
        return person;
    }
    // Somebody of one company and somebody else there are two people.
    let has_shared_key = keys.contains(&Rule::SharedKey);
    if has_shared_key && company == 0.0 {
        person
    } else {
        company * COMPANY_SHARE + person * (1.0 - COMPANY_SHARE)
    }
}

fn company_likeness(one: &Profile, other: &Profile, keys: &[Rule], reasons: &mut Vec<Reason>) -> f64 {
    let alike = match (&one.company.core, &other.company.core) {
        (Some(one), Some(other)) if is_transposed(one, other) => {
            likeness(one, other).unwrap_or(0.0).max(TRANSPOSED)
        }
        (Some(one), Some(other)) => likeness(one, other).unwrap_or(0.0),
        _ => 0.0,
    };
    let is_same = keys.contains(&Rule::SameName);
    let alike = if is_same {
        alike.max(SHORT_AND_EQUAL)
    } else {
        alike
    };
    if alike == 0.0 {
        return 0.0;
    }
    reasons.push(Reason {
        rule: Rule::CompanyName,
        value: rounded(alike),
    });
    let is_elsewhere =
        matches!((&one.company.place, &other.company.place), (Some(one), Some(other)) if one != other);
    if is_elsewhere {
        reasons.push(Reason {
            rule: Rule::OtherPlace,
            value: OTHER_PLACE,
        });
        return alike * OTHER_PLACE;
    }
    alike
}

fn is_transposed(one: &str, other: &str) -> bool {
    fold::letters(one).is_some_and(|letters| Some(letters) == fold::letters(other))
}

/// Short names are equal or not; likeness between them would mean nothing.
fn person_likeness(one: &str, other: &str) -> f64 {
    match likeness(one, other) {
        Some(alike) => alike,
        None if one == other => SHORT_AND_EQUAL,
        None => 0.0,
    }
}

fn by_circumstance(one: &Profile, other: &Profile, named: f64, reasons: &mut Vec<Reason>) -> f64 {
    if named == 0.0 {
        return 0.0;
    }
    let mut value = named;
    let alike = [
        (Rule::Region, &one.region, &other.region),
        (Rule::Domain, &one.domain, &other.domain),
    ];
    for (rule, one, other) in alike {
        if one
            .as_ref()
            .is_some_and(|text| !text.is_empty() && other.as_ref() == Some(text))
        {
            reasons.push(Reason { rule, value: BONUS });
            value += BONUS;
        }
    }
    value
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
