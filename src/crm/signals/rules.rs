//! What a confirmation is worth: it is of a value, and goes when the value does. Pure.

use crate::kernel::fault::Fault;
use crate::platform::records::{Kind, rules};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

type Record = Map<String, Value>;

/// What tells whether somebody is going to buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(example = "need")]
pub enum Signal {
    /// What they need: `need`.
    Need,
    /// What they can pay: `budget_amount` with `currency`.
    Budget,
    /// When they decide: `decision_from` and `decision_until`.
    DecisionWindow,
}

impl Signal {
    pub const ALL: [Signal; 3] = [Signal::Need, Signal::Budget, Signal::DecisionWindow];

    /// Its name in requests and answers.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the lead says something of it.
    pub fn has_value(self, lead: &Record) -> bool {
        let has = |member: &str| !is_blank(lead.get(member));
        match self {
            Signal::Need => has("need"),
            Signal::Budget => has("budget_amount"),
            Signal::DecisionWindow => has("decision_from") || has("decision_until"),
        }
    }

    /// Whether two states of a lead, or two leads, say the same of it. A currency without an amount says nothing.
    pub fn is_same(self, one: &Record, other: &Record) -> bool {
        let same = |member: &str, kind: Kind| {
            let value = |record: &Record| record.get(member).cloned().unwrap_or(Value::Null);
            rules::is_same(kind, &value(one), &value(other))
        };
        match self {
            Signal::Need => same("need", Kind::Text),
            Signal::Budget => {
                let has_none = !self.has_value(one) && !self.has_value(other);
                has_none || (same("budget_amount", Kind::Money) && same("currency", Kind::Currency))
            }
            Signal::DecisionWindow => same("decision_from", Kind::Day) && same("decision_until", Kind::Day),
        }
    }

    /// Its confirmation, if it is confirmed.
    pub fn confirmation(self, lead: &Record) -> Option<&Value> {
        lead.get("confirmations")?.get(self.name())
    }
}

fn is_blank(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.is_null() || value.as_str() == Some(""))
}

/// `confirmations` as the lead has them: null when there are none.
pub fn together(found: impl Iterator<Item = (Signal, Value)>) -> Value {
    let found = found.map(|(signal, confirmation)| (signal.name().to_owned(), confirmation));
    let found = found.collect::<Record>();
    if found.is_empty() {
        Value::Null
    } else {
        Value::Object(found)
    }
}

/// The confirmations that are left after a change: those of values that stayed, and those that came with their values.
pub fn left(before: &Record, after: &Record) -> Value {
    let holds = |signal: Signal| {
        signal.is_same(before, after) || signal.confirmation(before) != signal.confirmation(after)
    };
    let kept = Signal::ALL.into_iter().filter(|signal| holds(*signal));
    together(kept.filter_map(|signal| Some((signal, signal.confirmation(after)?.clone()))))
}

/// The confirmations of one lead out of several that became one: of each value that it has, that of the first record which
/// says the same and has it confirmed.
pub fn among<'a>(lead: &Record, records: impl Iterator<Item = &'a Record> + Clone) -> Value {
    let known = |signal: Signal| {
        let can_be = signal == Signal::Budget || signal.has_value(lead);
        let mut saying = records
            .clone()
            .filter(|record| can_be && signal.is_same(lead, record));
        saying.find_map(|record| signal.confirmation(record).cloned())
    };
    together(
        Signal::ALL
            .into_iter()
            .filter_map(|signal| Some((signal, known(signal)?))),
    )
}

/// A window ends on or after the day on which it begins.
pub fn window_fault(lead: &Record) -> Option<Fault> {
    let day = |member: &str| {
        lead.get(member)
            .and_then(Value::as_str)
            .and_then(|day| day.parse::<NaiveDate>().ok())
    };
    let ends_early = day("decision_from")
        .zip(day("decision_until"))
        .is_some_and(|(from, until)| until < from);
    ends_early.then(|| {
        Fault::out_of_range(
            "/decision_until",
            "must not be before decision_from",
            "不能早于 decision_from",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn lead(value: Value) -> Record {
        value.as_object().unwrap().clone()
    }

    fn confirmed() -> Record {
        lead(json!({
            "need": "监控", "budget_amount": "1000.00", "currency": "CNY", "decision_from": "2024-05-01", "decision_until": null,
            "confirmations": { "need": { "note": "n" }, "budget": { "note": "b" }, "decision_window": { "note": "w" } },
        }))
    }

    #[rstest]
    #[case(json!({ "need": "仓储" }), &["budget", "decision_window"])]
    #[case(json!({ "need": null }), &["budget", "decision_window"])]
    #[case(json!({ "budget_amount": "900" }), &["need", "decision_window"])]
    #[case(json!({ "currency": "USD" }), &["need", "decision_window"])]
    #[case(json!({ "decision_until": "2024-06-01" }), &["need", "budget"])]
    #[case(json!({ "budget_amount": "1000.0000", "region": "华东" }), &["need", "budget", "decision_window"])]
    fn a_changed_value_takes_its_own_confirmation_back_and_no_other(
        #[case] change: Value,
        #[case] kept: &[&str],
    ) {
        let before = confirmed();
        let mut after = before.clone();
        after.extend(lead(change));
        let left = left(&before, &after);
        let mut names = left.as_object().unwrap().keys().collect::<Vec<_>>();
        names.sort_by_key(|name| {
            ["need", "budget", "decision_window"]
                .iter()
                .position(|of| of == name)
        });
        assert_eq!(names, kept);
    }

    #[test]
    fn a_confirmation_that_comes_with_its_value_stays() {
        let before = confirmed();
        let mut after = before.clone();
        after.insert("need".to_owned(), json!("仓储"));
        after["confirmations"]["need"] = json!({ "note": "other" });
        assert_eq!(left(&before, &after), after["confirmations"]);
    }

    #[test]
    fn where_nothing_is_confirmed_there_is_nothing() {
        let bare = lead(json!({ "need": "监控", "confirmations": null }));
        assert_eq!(left(&bare, &bare), Value::Null);
        assert_eq!(left(&Record::new(), &bare), Value::Null);
    }

    #[test]
    fn leads_that_become_one_keep_the_confirmations_of_the_values_that_go_on() {
        let one =
            lead(json!({ "need": "监控", "budget_amount": null, "currency": null, "confirmations": null }));
        let other = lead(json!({
            "need": "监控", "budget_amount": null, "currency": "CNY",
            "confirmations": { "need": { "note": "n" }, "budget": { "ability_to_pay": "none" } },
        }));
        let third = lead(
            json!({ "need": "仓储", "budget_amount": "5", "currency": "CNY", "confirmations": { "budget": { "note": "x" } } }),
        );
        let all = [&one, &other, &third];
        assert_eq!(among(&one, all.into_iter()), other["confirmations"]);
        assert_eq!(
            among(&third, [&third, &other].into_iter()),
            third["confirmations"]
        );
        assert_eq!(among(&one, [&one, &third].into_iter()), Value::Null);
    }

    #[rstest]
    #[case(json!("2024-05-01"), json!("2024-05-01"), false)]
    #[case(json!("2024-05-02"), json!("2024-05-01"), true)]
    #[case(json!(null), json!("2024-05-01"), false)]
    fn a_window_ends_when_it_began_or_later(
        #[case] from: Value,
        #[case] until: Value,
        #[case] is_fault: bool,
    ) {
        let window = lead(json!({ "decision_from": from, "decision_until": until }));
        assert_eq!(window_fault(&window).is_some(), is_fault);
    }
}
