//! Ticks and answers: what is valid, and what satisfies.

use super::definition::{Accept, AnswerType, GateNode};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::{Say, say};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::Value;

/// Most characters of a text answer, unless the question says fewer.
pub const MOST_CHARACTERS: u32 = 2000;

/// A valid answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    Text(String),
    Number(Decimal),
    Bool(bool),
    Day(NaiveDate),
}

impl Answered {
    /// The form in which it is stored: numbers as decimal text.
    pub fn to_json(&self) -> Value {
        match self {
            Answered::Text(text) => text.as_str().into(),
            Answered::Number(number) => number.to_string().into(),
            Answered::Bool(truth) => (*truth).into(),
            Answered::Day(day) => day.to_string().into(),
        }
    }
}

/// Reads a calendar day, `2024-03-05`.
pub(super) fn day(text: &str) -> Option<NaiveDate> {
    let is_plain = text.len() == 10
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_plain { text.parse().ok() } else { None }
}

impl AnswerType {
    /// Reads an answer of this type and range.
    ///
    /// # Errors
    /// What is wanted instead, as a sentence without subject.
    pub fn read(&self, answer: &Value) -> Result<Answered, Say> {
        match self {
            AnswerType::Text { max_length } => {
                read_text(answer, max_length.unwrap_or(MOST_CHARACTERS))
            }
            AnswerType::Number { min, max } => {
                let number = number(answer).ok_or_else(|| {
                    say(
                        "must be a decimal such as \"12.50\"",
                        "必须是十进制数，例如 \"12.50\"",
                    )
                })?;
                let bound = |text: &Option<String>| text.as_deref().and_then(money::parse);
                within(number, bound(min), bound(max)).map(Answered::Number)
            }
            AnswerType::Bool {} => answer
                .as_bool()
                .map(Answered::Bool)
                .ok_or_else(|| say("must be true or false", "必须为 true 或 false")),
            AnswerType::Choice { choices } => choices
                .iter()
                .find(|choice| answer.as_str() == Some(choice))
                .map(|choice| Answered::Text(choice.clone()))
                .ok_or_else(|| {
                    let (en, zh) = (choices.join(", "), choices.join("、"));
                    say(
                        format!("must be one of: {en}"),
                        format!("必须是以下之一：{zh}"),
                    )
                }),
            AnswerType::Day { min, max } => {
                let found = answer.as_str().and_then(day).ok_or_else(|| {
                    say(
                        "must be a day such as \"2024-03-05\"",
                        "必须是日期，例如 \"2024-03-05\"",
                    )
                })?;
                let bound = |text: &Option<String>| text.as_deref().and_then(day);
                within(found, bound(min), bound(max)).map(Answered::Day)
            }
        }
    }

    /// A valid answer, to show the form.
    pub fn example(&self) -> Value {
        match self {
            AnswerType::Text { .. } => "…".into(),
            AnswerType::Number { min, max } => min
                .as_deref()
                .or(max.as_deref())
                .filter(|bound| money::parse(bound).is_some())
                .unwrap_or("1")
                .into(),
            AnswerType::Bool {} => true.into(),
            AnswerType::Choice { choices } => {
                choices.first().map_or(Value::Null, |it| it.clone().into())
            }
            AnswerType::Day { min, max } => min
                .as_deref()
                .or(max.as_deref())
                .unwrap_or("2024-03-05")
                .into(),
        }
    }
}

fn read_text(answer: &Value, most: u32) -> Result<Answered, Say> {
    let text = answer
        .as_str()
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| say("must be a text that is not blank", "必须是非空文本"))?;
    if text.chars().count() > most as usize {
        return Err(say(
            format!("has more than {most} characters"),
            format!("超过 {most} 个字符"),
        ));
    }
    Ok(Answered::Text(text.to_owned()))
}

fn number(answer: &Value) -> Option<Decimal> {
    match answer {
        Value::String(text) => money::parse(text),
        Value::Number(whole) => whole.as_i64().map(Decimal::from),
        _ => None,
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    found: T,
    min: Option<T>,
    max: Option<T>,
) -> Result<T, Say> {
    if let Some(min) = min.filter(|min| found < *min) {
        return Err(say(
            format!("must be at least {min}"),
            format!("不得小于 {min}"),
        ));
    }
    if let Some(max) = max.filter(|max| found > *max) {
        return Err(say(
            format!("must be at most {max}"),
            format!("不得大于 {max}"),
        ));
    }
    Ok(found)
}

impl Accept {
    /// Whether a valid answer satisfies.
    pub fn takes(&self, answer: &Answered, of: &AnswerType) -> bool {
        match self {
            Accept::Values { of: values } => values
                .iter()
                .any(|value| of.read(value).is_ok_and(|accepted| accepted == *answer)),
            Accept::Range { min, max } => match answer {
                Answered::Number(number) => {
                    let bound = |text: &Option<String>| text.as_deref().and_then(money::parse);
                    within(*number, bound(min), bound(max)).is_ok()
                }
                Answered::Day(found) => {
                    let bound = |text: &Option<String>| text.as_deref().and_then(day);
                    within(*found, bound(min), bound(max)).is_ok()
                }
                Answered::Text(_) | Answered::Bool(_) => false,
            },
        }
    }

    /// The answers that satisfy, in words.
    pub fn described(&self) -> Say {
        match self {
            Accept::Values { of } => {
                let words = of.iter().map(plain).collect::<Vec<_>>();
                say(words.join(", "), words.join("、"))
            }
            Accept::Range { min, max } => match (min, max) {
                (Some(min), Some(max)) => say(format!("{min} to {max}"), format!("{min} 至 {max}")),
                (Some(min), None) => say(format!("at least {min}"), format!("不小于 {min}")),
                (None, Some(max)) => say(format!("at most {max}"), format!("不大于 {max}")),
                (None, None) => say("any answer", "任意回答"),
            },
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Checks the body `{"answer", "note"}` by which a person ticks or answers a criterion, and gives the answer in the form
/// in which it is stored.
///
/// # Errors
/// Faults at `/answer` (`not_answerable` for a criterion that is computed or approved) and `/note`.
pub fn check_answer(
    node: &GateNode,
    answer: &Value,
    note: Option<&str>,
) -> Result<Value, Vec<Fault>> {
    match node {
        GateNode::Check { needs_note, .. } => {
            let has_note = note.is_some_and(|note| !note.trim().is_empty());
            let mut faults = Vec::new();
            if !answer.is_boolean() {
                faults.push(wrong(say("must be true or false", "必须为 true 或 false")));
            }
            if *needs_note && !has_note && answer.as_bool() != Some(false) {
                faults.push(Fault::required("/note"));
            }
            if faults.is_empty() {
                Ok(answer.clone())
            } else {
                Err(faults)
            }
        }
        GateNode::Question { answer: of, .. } => of
            .read(answer)
            .map(|it| it.to_json())
            .map_err(|reason| vec![wrong(reason)]),
        GateNode::Field { .. }
        | GateNode::Record { .. }
        | GateNode::Approval { .. }
        | GateNode::All { .. }
        | GateNode::Any { .. }
        | GateNode::AtLeast { .. } => Err(vec![Fault::new(
            "/answer",
            "not_answerable",
            say(
                format!(
                    "this criterion is of the kind {}; it follows from the data and is never ticked",
                    node.kind()
                ),
                format!("此条件的类型为 {}，由数据得出，不能手工勾选", node.kind()),
            ),
        )]),
    }
}

fn wrong(reason: Say) -> Fault {
    Fault::new("/answer", "invalid", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!({"type": "bool"}), json!(false), Some(json!(false)))]
    #[case(json!({"type": "bool"}), json!("no"), None)]
    #[case(json!({"type": "number", "min": "0", "max": "100"}), json!(20), Some(json!("20")))]
    #[case(json!({"type": "number", "min": "0", "max": "100"}), json!("100.01"), None)]
    #[case(json!({"type": "number"}), json!("1e3"), None)]
    #[case(json!({"type": "number"}), json!(1.5), None)]
    #[case(json!({"type": "choice", "choices": ["是", "否"]}), json!("否"), Some(json!("否")))]
    #[case(json!({"type": "choice", "choices": ["是", "否"]}), json!("也许"), None)]
    #[case(json!({"type": "text", "max_length": 3}), json!(" 三个字 "), Some(json!("三个字")))]
    #[case(json!({"type": "text", "max_length": 3}), json!("四个汉字"), None)]
    #[case(json!({"type": "text"}), json!("  "), None)]
    #[case(json!({"type": "day", "min": "2024-03-01"}), json!("2024-03-01"), Some(json!("2024-03-01")))]
    #[case(json!({"type": "day", "min": "2024-03-01"}), json!("2024-02-29"), None)]
    #[case(json!({"type": "day"}), json!("2023-02-29"), None)]
    fn an_answer_is_of_the_declared_type_and_range(
        #[case] of: Value,
        #[case] answer: Value,
        #[case] stored: Option<Value>,
    ) {
        let of: AnswerType = serde_json::from_value(of).unwrap();
        assert_eq!(of.read(&answer).ok().map(|it| it.to_json()), stored);
    }

    #[rstest]
    #[case(json!({"type": "bool"}), json!({"kind": "values", "of": [false]}), json!(false), true)]
    #[case(json!({"type": "bool"}), json!({"kind": "values", "of": [false]}), json!(true), false)]
    #[case(json!({"type": "number"}), json!({"kind": "values", "of": ["5.0"]}), json!(5), true)]
    #[case(json!({"type": "number"}), json!({"kind": "range", "min": "10"}), json!("10"), true)]
    #[case(json!({"type": "number"}), json!({"kind": "range", "min": "10"}), json!("9.99"), false)]
    #[case(json!({"type": "day"}), json!({"kind": "range", "max": "2024-06-30"}), json!("2024-07-01"), false)]
    fn a_question_says_which_answers_satisfy_and_a_no_may(
        #[case] of: Value,
        #[case] accept: Value,
        #[case] answer: Value,
        #[case] is_taken: bool,
    ) {
        let of: AnswerType = serde_json::from_value(of).unwrap();
        let accept: Accept = serde_json::from_value(accept).unwrap();
        assert_eq!(accept.takes(&of.read(&answer).unwrap(), &of), is_taken);
    }

    #[test]
    fn a_tick_that_needs_a_note_is_refused_without_one_and_a_computed_criterion_is_never_ticked() {
        let node = |json: Value| serde_json::from_value::<GateNode>(json).unwrap();
        let check = node(json!({"kind": "check", "key": "a", "label": "a", "needs_note": true}));
        let faults = check_answer(&check, &json!("yes"), Some(" ")).unwrap_err();
        let found = faults.iter().map(|it| it.pointer.as_str());
        assert_eq!(found.collect::<Vec<_>>(), ["/answer", "/note"]);
        assert_eq!(
            check_answer(&check, &json!(true), Some("电话确认")),
            Ok(json!(true))
        );
        assert_eq!(check_answer(&check, &json!(false), None), Ok(json!(false)));
        let field = node(json!({"kind": "field", "key": "a", "label": "a", "expression": "true"}));
        let faults = check_answer(&field, &json!(true), None).unwrap_err();
        assert_eq!(faults[0].code, "not_answerable");
    }
}
