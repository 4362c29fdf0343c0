//! What the conditions of a request read: its frozen snapshot, with its amount in the company's currency.

use super::definition::ProcessStep;
use crate::kernel::expression::{Expression, Truth, Vocabulary};
use crate::kernel::money;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// The amount of a request, frozen with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenAmount {
    pub amount: Decimal,
    /// How much of the company's currency one unit is worth; 1 in the company's own. None when no rate was known.
    pub exchange_rate: Option<Decimal>,
}

impl FrozenAmount {
    /// In the company's currency, rounded to its minor unit as it is shown; none without a rate, and when
    /// the product is beyond 28 digits.
    #[must_use]
    pub fn converted(&self, company_currency: &str) -> Option<Decimal> {
        let converted = self.amount.checked_mul(self.exchange_rate?)?;
        Some(money::rounded(converted, company_currency))
    }
}

/// The facts that the conditions of a request read: the snapshot with `amount` and `currency` in the company's
/// currency, and the instant of the request as `now` and, in the company's time zone, `today`. They do not
/// change while the request runs.
#[must_use]
pub fn facts(
    snapshot: &Value,
    amount: Option<&FrozenAmount>,
    company_currency: &str,
    requested_at: DateTime<Utc>,
    time_zone: Tz,
) -> Value {
    let mut facts = snapshot.as_object().cloned().unwrap_or_default();
    let converted = amount
        .and_then(|amount| amount.converted(company_currency))
        .map(|amount| money::to_text(amount, company_currency));
    facts.insert("amount".to_owned(), json!(converted));
    facts.insert("currency".to_owned(), json!(company_currency));
    let today = requested_at.with_timezone(&time_zone).date_naive();
    facts.insert("today".to_owned(), json!(today.to_string()));
    facts.insert("now".to_owned(), json!(requested_at.to_rfc3339()));
    Value::Object(facts)
}

/// What tells which steps take part.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    pub vocabulary: &'a Vocabulary,
    /// See [`facts`].
    pub facts: &'a Value,
}

impl Conditions<'_> {
    /// Whether a step takes part. Only a condition that is known not to hold keeps it out: where that cannot be
    /// told, its people are asked.
    #[must_use]
    pub fn takes_part(&self, step: &ProcessStep) -> bool {
        self.truth(step) != Truth::Unmet
    }

    pub(super) fn truth(&self, step: &ProcessStep) -> Truth {
        let Some(condition) = &step.condition else {
            return Truth::Met;
        };
        match Expression::compile(condition, self.vocabulary) {
            Ok(expression) => expression.evaluate(self.facts),
            // It compiled when it was published; a field that it reads has gone since.
            Err(faults) => Truth::Failed {
                reason: faults.into_iter().next().map_or_else(
                    || crate::kernel::text::say("does not compile", "无法编译"),
                    |fault| fault.message,
                ),
            },
        }
    }
}
