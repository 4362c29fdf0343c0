//! The operators that fit a form, and their operands as bound values.

use super::{Form, Is, MOST_DAYS, MOST_VALUES, Tree};
use crate::kernel::ctx::Ctx;
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::say;
use crate::platform::records::sql::Bind;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Every operator.
pub(super) const OPERATORS: [&str; 13] = [
    "eq",
    "ne",
    "in",
    "lt",
    "lte",
    "gt",
    "gte",
    "between",
    "contains",
    "starts_with",
    "is_empty",
    "last_days",
    "next_days",
];

/// The operators that fit.
fn fitting(form: Form) -> &'static [&'static str] {
    match form {
        Form::Text => &["eq", "ne", "in", "contains", "starts_with", "is_empty"],
        Form::Choice | Form::Id => &["eq", "ne", "in", "is_empty"],
        Form::Int | Form::Number => &["eq", "ne", "in", "lt", "lte", "gt", "gte", "between", "is_empty"],
        Form::Flag => &["eq", "ne"],
        Form::Day => &[
            "eq",
            "ne",
            "in",
            "lt",
            "lte",
            "gt",
            "gte",
            "between",
            "is_empty",
            "last_days",
            "next_days",
        ],
        Form::Instant => &[
            "lt",
            "lte",
            "gt",
            "gte",
            "between",
            "is_empty",
            "last_days",
            "next_days",
        ],
        Form::Texts => &["contains", "in", "is_empty"],
    }
}

/// What a member takes.
pub(super) struct Taking<'a> {
    pub ctx: &'a Ctx,
    pub form: Form,
    /// The allowed values; none when any will do.
    pub choices: Option<Vec<String>>,
    /// Whether `me` is a value of it.
    pub is_user: bool,
    /// Whether it is kept in lower case.
    pub is_lower: bool,
}

/// What an operator with its operand asks; the flag turns it round. Every fault is named at its place.
pub(super) fn asked(
    taking: &Taking<'_>,
    operator: &str,
    value: &Value,
    at: &str,
    faults: &mut Vec<Fault>,
) -> Option<(Is, bool)> {
    let fitting = fitting(taking.form);
    if !fitting.contains(&operator) {
        let allowed = fitting.join(", ");
        faults.push(Fault::new(
            at,
            "unknown_value",
            say(
                format!("does not fit this member; allowed: {allowed}"),
                format!("不适用于该成员;可用运算:{allowed}"),
            ),
        ));
        return None;
    }
    let is = |is| Some((is, false));
    match operator {
        "eq" => is(Is::Equal(taking.one(value, at, faults)?)),
        "ne" => Some((Is::Equal(taking.one(value, at, faults)?), true)),
        "in" => is(taking.among(value, at, faults)?),
        "lt" => is(Is::Compared("<", taking.one(value, at, faults)?)),
        "lte" => is(Is::Compared("<=", taking.one(value, at, faults)?)),
        "gt" => is(Is::Compared(">", taking.one(value, at, faults)?)),
        "gte" => is(Is::Compared(">=", taking.one(value, at, faults)?)),
        "between" => is(taking.between(value, at, faults)?),
        "contains" if taking.form == Form::Texts => {
            is(Is::Overlapping(vec![text(value, at, faults)?.to_owned()]))
        }
        "contains" => is(Is::Like(format!("%{}%", pattern(value, at, faults)?))),
        "starts_with" => is(Is::Like(format!("{}%", pattern(value, at, faults)?))),
        "is_empty" => match value.as_bool() {
            Some(is_empty) => Some((Is::Empty, !is_empty)),
            None => none(
                faults,
                wrong_type(at, "must be true or false", "必须为 true 或 false"),
            ),
        },
        "last_days" => is(taking.within(-days(value, at, faults)? + 1, 1, at, faults)?),
        _ => is(taking.within(0, days(value, at, faults)?, at, faults)?),
    }
}

fn none<T>(faults: &mut Vec<Fault>, fault: Fault) -> Option<T> {
    faults.push(fault);
    None
}

fn wrong_type(at: &str, en: &str, zh: &str) -> Fault {
    Fault::new(at, "wrong_type", say(en, zh))
}

fn wrong_form(at: &str, en: &str, zh: &str) -> Fault {
    Fault::new(at, "wrong_form", say(en, zh))
}

fn text<'v>(value: &'v Value, at: &str, faults: &mut Vec<Fault>) -> Option<&'v str> {
    match value.as_str() {
        Some(text) => Some(text),
        None => none(faults, wrong_type(at, "must be a text", "必须是文本")),
    }
}

/// A text as ILIKE takes it literally.
fn pattern(value: &Value, at: &str, faults: &mut Vec<Fault>) -> Option<String> {
    let text = text(value, at, faults)?;
    if text.is_empty() {
        let empty = Fault::new(at, "too_short", say("cannot be empty", "不能为空"));
        return none(faults, empty);
    }
    Some(literally(text))
}

/// Escapes what LIKE takes as a wildcard.
pub fn literally(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn days(value: &Value, at: &str, faults: &mut Vec<Fault>) -> Option<i64> {
    match value.as_i64().filter(|days| (1..=MOST_DAYS).contains(days)) {
        Some(days) => Some(days),
        None => none(
            faults,
            Fault::out_of_range(
                at,
                "must be a whole number from 1 to 36500",
                "必须是 1 到 36500 的整数",
            ),
        ),
    }
}

/// The instant at which a day begins where the company is.
pub fn beginning(ctx: &Ctx, day: NaiveDate) -> DateTime<Utc> {
    let zone = ctx.principal.company.time_zone;
    let midnight = day.and_time(NaiveTime::MIN);
    // Where the clock is put forward at midnight, the day begins an hour later.
    let local = zone.from_local_datetime(&midnight).earliest();
    local
        .or_else(|| {
            zone.from_local_datetime(&(midnight + chrono::TimeDelta::hours(1)))
                .earliest()
        })
        .map_or_else(|| midnight.and_utc(), |at| at.with_timezone(&Utc))
}

fn day_from(ctx: &Ctx, days: i64) -> Option<NaiveDate> {
    let distance = Days::new(days.unsigned_abs());
    if days < 0 {
        ctx.today().checked_sub_days(distance)
    } else {
        ctx.today().checked_add_days(distance)
    }
}

impl Taking<'_> {
    /// A day, or the beginning of one, so many days from today.
    fn days_on(&self, days: i64, at: &str, faults: &mut Vec<Fault>) -> Option<Bind> {
        let day = day_from(self.ctx, days);
        match day {
            Some(day) if self.form == Form::Day => Some(Bind::Day(day)),
            Some(day) => Some(Bind::Instant(beginning(self.ctx, day))),
            None => none(
                faults,
                Fault::out_of_range(at, "is no day of the calendar", "超出日历范围"),
            ),
        }
    }

    fn within(&self, from: i64, until: i64, at: &str, faults: &mut Vec<Fault>) -> Option<Is> {
        let from = self.days_on(from, at, faults)?;
        Some(Is::Within(from, self.days_on(until, at, faults)?))
    }

    fn among(&self, value: &Value, at: &str, faults: &mut Vec<Fault>) -> Option<Is> {
        let Some(values) = value.as_array() else {
            return none(faults, wrong_type(at, "must be a list", "必须是列表"));
        };
        if values.is_empty() || values.len() > MOST_VALUES {
            let count = Fault::out_of_range(at, "takes 1 to 100 values", "须有 1 至 100 个值");
            return none(faults, count);
        }
        let each = values
            .iter()
            .enumerate()
            .map(|(index, value)| (format!("{at}/{index}"), value));
        if self.form == Form::Texts {
            let texts = each.map(|(at, value)| text(value, &at, faults).map(str::to_owned));
            return all(texts.collect()).map(Is::Overlapping);
        }
        let values = each.map(|(at, value)| self.one(value, &at, faults));
        all(values.collect()).map(Is::Among)
    }

    fn between(&self, value: &Value, at: &str, faults: &mut Vec<Fault>) -> Option<Is> {
        let Some([from, to]) = value.as_array().map(Vec::as_slice) else {
            return none(
                faults,
                wrong_type(at, "must be a list of two values", "必须是两个值的列表"),
            );
        };
        let from = self.one(from, &format!("{at}/0"), faults);
        let to = self.one(to, &format!("{at}/1"), faults);
        Some(Is::Between(from?, to?))
    }

    /// One value of the member's form.
    fn one(&self, value: &Value, at: &str, faults: &mut Vec<Fault>) -> Option<Bind> {
        match self.form {
            Form::Text | Form::Choice | Form::Texts => self.text(value, at, faults),
            Form::Id => self.id(value, at, faults),
            Form::Flag => match value.as_bool() {
                Some(flag) => Some(Bind::Flag(flag)),
                None => none(
                    faults,
                    wrong_type(at, "must be true or false", "必须为 true 或 false"),
                ),
            },
            Form::Int => match value.as_i64().and_then(|number| i32::try_from(number).ok()) {
                Some(number) => Some(Bind::Int(number)),
                None => none(faults, wrong_type(at, "must be a whole number", "必须是整数")),
            },
            Form::Number => match value.as_str().and_then(money::parse) {
                Some(number) => Some(Bind::Number(number)),
                None => none(
                    faults,
                    wrong_form(at, "must be a decimal string", "必须是十进制字符串"),
                ),
            },
            Form::Day | Form::Instant => self.time(value, at, faults),
        }
    }

    fn text(&self, value: &Value, at: &str, faults: &mut Vec<Fault>) -> Option<Bind> {
        let text = text(value, at, faults)?;
        let is_known = |choices: &Vec<String>| choices.iter().any(|choice| choice == text);
        if let Some(choices) = self.choices.as_ref().filter(|choices| !is_known(choices)) {
            let allowed = choices.join(", ");
            let unknown = Fault::new(
                at,
                "unknown_value",
                say(format!("allowed: {allowed}"), format!("可用值:{allowed}")),
            );
            return none(faults, unknown);
        }
        if self.is_user {
            // An own field of kind user keeps the id as text.
            return match self.id(value, at, faults)? {
                Bind::Id(id) => Some(Bind::Text(id.to_string())),
                other => Some(other),
            };
        }
        Some(Bind::Text(if self.is_lower {
            text.to_lowercase()
        } else {
            text.to_owned()
        }))
    }

    fn id(&self, value: &Value, at: &str, faults: &mut Vec<Fault>) -> Option<Bind> {
        let text = text(value, at, faults)?;
        if self.is_user && text == "me" {
            return Some(Bind::Id(self.ctx.user));
        }
        match Uuid::parse_str(text).ok().filter(|_| text.len() == 36) {
            Some(id) => Some(Bind::Id(id)),
            None if self.is_user => none(
                faults,
                wrong_form(at, "must be the id of a user, or me", "必须是用户 id 或 me"),
            ),
            None => none(faults, wrong_form(at, "must be an id", "必须是 id")),
        }
    }

    fn time(&self, value: &Value, at: &str, faults: &mut Vec<Fault>) -> Option<Bind> {
        if let Some(days) = value.get("days_from_today") {
            let days = days.as_i64().filter(|days| days.abs() <= MOST_DAYS);
            let at = format!("{at}/days_from_today");
            return match days {
                Some(days) => self.days_on(days, &at, faults),
                None => none(
                    faults,
                    Fault::out_of_range(
                        at,
                        "must be a whole number from -36500 to 36500",
                        "必须是 -36500 到 36500 的整数",
                    ),
                ),
            };
        }
        let text = value.as_str().unwrap_or_default();
        if self.form == Form::Day {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
            return match day.filter(|_| text.len() == 10) {
                Some(day) => Some(Bind::Day(day)),
                None => none(
                    faults,
                    wrong_form(
                        at,
                        "must be a day (YYYY-MM-DD), or days_from_today",
                        "必须是日期(YYYY-MM-DD)或 days_from_today",
                    ),
                ),
            };
        }
        match DateTime::parse_from_rfc3339(text) {
            Ok(instant) => Some(Bind::Instant(instant.with_timezone(&Utc))),
            Err(_) => none(
                faults,
                wrong_form(
                    at,
                    "must be an instant (RFC 3339), or days_from_today",
                    "必须是时间(RFC 3339)或 days_from_today",
                ),
            ),
        }
    }
}

/// All of them, unless one is missing: its fault is named already.
fn all<T>(values: Vec<Option<T>>) -> Option<Vec<T>> {
    values.into_iter().collect()
}

/// The test, turned round where the operator says so.
pub(super) fn turned(tree: Tree, is_turned: bool) -> Tree {
    if is_turned {
        Tree::Not(Box::new(tree))
    } else {
        tree
    }
}
