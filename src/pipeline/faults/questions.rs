//! Faults of questions: ranges, choices, and what they accept.

use super::{Found, repeated};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::pipeline::answer::day;
use crate::pipeline::definition::{Accept, AnswerType};
use std::collections::BTreeSet;

/// The least and the greatest value of a range, each where there is one.
type Ends<'a> = (&'a Option<String>, &'a Option<String>);

impl Found<'_> {
    pub(super) fn question(&mut self, at: &str, answer: &AnswerType, accept: Option<&Accept>) {
        let before = self.faults.len();
        let at_answer = format!("{at}/answer");
        match answer {
            AnswerType::Text { max_length } => {
                if max_length.is_some_and(|most| most == 0) {
                    self.add(
                        format!("{at_answer}/max_length"),
                        "out_of_range",
                        "must be at least 1",
                        "不得小于 1",
                    );
                }
            }
            AnswerType::Number { min, max } => self.bounds(&at_answer, min, max, money::parse),
            AnswerType::Day { min, max } => self.bounds(&at_answer, min, max, day),
            AnswerType::Choice { choices } => self.choices(&format!("{at_answer}/choices"), choices),
            AnswerType::Bool {} => {}
        }
        // Of a type that cannot be read nothing can be said; a choice that stands twice is one all the same.
        let is_readable = match answer {
            AnswerType::Choice { choices } => !choices.is_empty(),
            _ => self.faults.len() == before,
        };
        if let Some(accept) = accept
            && is_readable
        {
            self.accept(&format!("{at}/accept"), answer, accept);
        }
    }

    fn choices(&mut self, at: &str, choices: &[String]) {
        if choices.is_empty() {
            self.add(at, "too_few", "needs at least one choice", "至少需要一个选项");
        }
        let mut seen = BTreeSet::new();
        for (index, choice) in choices.iter().enumerate() {
            self.words(&format!("{at}/{index}"), choice);
            if !seen.insert(choice) {
                self.faults.push(repeated(format!("{at}/{index}")));
            }
        }
    }

    fn bounds<T: PartialOrd>(
        &mut self,
        at: &str,
        min: &Option<String>,
        max: &Option<String>,
        read: fn(&str) -> Option<T>,
    ) {
        let mut bound = |name: &str, text: &Option<String>| {
            let text = text.as_deref()?;
            let value = read(text);
            if value.is_none() {
                self.add(
                    format!("{at}/{name}"),
                    "invalid",
                    "is not a value of the answer's type",
                    "不是该回答类型的值",
                );
            }
            value
        };
        if let (Some(min), Some(max)) = (bound("min", min), bound("max", max))
            && min > max
        {
            self.add(
                format!("{at}/max"),
                "out_of_range",
                "must not be below min",
                "不得小于 min",
            );
        }
    }

    fn accept(&mut self, at: &str, answer: &AnswerType, accept: &Accept) {
        match accept {
            Accept::Values { of } => {
                if of.is_empty() {
                    self.add(
                        format!("{at}/of"),
                        "too_few",
                        "needs at least one value; no answer could satisfy",
                        "至少需要一个值，否则任何回答都不满足",
                    );
                }
                for (index, value) in of.iter().enumerate() {
                    if let Err(reason) = answer.read(value) {
                        self.faults
                            .push(Fault::new(format!("{at}/of/{index}"), "invalid", reason));
                    }
                }
            }
            Accept::Range { min, max } => match answer {
                AnswerType::Number {
                    min: least,
                    max: most,
                } => {
                    self.within_reach(at, (min, max), (least, most), money::parse);
                }
                AnswerType::Day {
                    min: first,
                    max: last,
                } => {
                    self.within_reach(at, (min, max), (first, last), day);
                }
                AnswerType::Text { .. } | AnswerType::Bool {} | AnswerType::Choice { .. } => self.add(
                    at,
                    "invalid",
                    "a range is for numbers and days; list the values",
                    "范围仅适用于数字和日期，请列出各值",
                ),
            },
        }
    }

    /// A range is of values, and some valid answer lies in it.
    fn within_reach<T: PartialOrd>(
        &mut self,
        at: &str,
        (min, max): Ends<'_>,
        (least, most): Ends<'_>,
        read: fn(&str) -> Option<T>,
    ) {
        let before = self.faults.len();
        self.bounds(at, min, max, read);
        if self.faults.len() > before {
            return;
        }
        let value = |end: &Option<String>| end.as_deref().and_then(read);
        let is_above =
            |end, limit| matches!((value(end), value(limit)), (Some(end), Some(limit)) if end > limit);
        if is_above(min, most) {
            self.add(
                format!("{at}/min"),
                "out_of_range",
                "is above the answer's max; no answer could satisfy",
                "大于该回答的 max，任何回答都不满足",
            );
        }
        if is_above(least, max) {
            self.add(
                format!("{at}/max"),
                "out_of_range",
                "is below the answer's min; no answer could satisfy",
                "小于该回答的 min，任何回答都不满足",
            );
        }
    }
}
