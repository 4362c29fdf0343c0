//! Values while an expression is evaluated, and how the facts' JSON becomes them.
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::kernel::text::Say;

use super::tree::{Constant, Type};

/// A value; text and records are borrowed from the facts or the source.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    Text(&'a str),
    Day(NaiveDate),
    Instant(DateTime<Utc>),
    List(Vec<Outcome<'a>>),
    Record(&'a Json),
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// These members were null or absent.
    Unknown(BTreeSet<Arc<str>>),
    /// It cannot be computed: overflow, division by zero, facts of the wrong form, too much work.
    Failed(Say),
}

pub(super) type Outcome<'a> = Result<Value<'a>, Gap>;

impl Gap {
    pub(super) fn unknown(path: &Arc<str>) -> Self {
        Self::Unknown(BTreeSet::from([path.clone()]))
    }

    /// Of two operands that are both needed: what fails, fails whatever the unknown turns out to be.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown(mut these), Self::Unknown(those)) => {
                these.extend(those);
                Self::Unknown(these)
            }
            (Self::Failed(reason), _) | (_, Self::Failed(reason)) => Self::Failed(reason),
        }
    }

    /// Of two parts of `&&` or `||`: the unknown one may yet decide without the one that failed.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed(_), unknown @ Self::Unknown(_)) | (unknown @ Self::Unknown(_), Self::Failed(_)) => {
                unknown
            }
            (this, that) => this.and(that),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn constant(constant: &'a Constant) -> Self {
        match constant {
            Constant::Bool(it) => Self::Bool(*it),
            Constant::Int(it) => Self::Int(*it),
            Constant::Decimal(it) => Self::Decimal(*it),
            Constant::Text(it) => Self::Text(it),
            Constant::Day(it) => Self::Day(*it),
            Constant::Instant(it) => Self::Instant(*it),
        }
    }

    /// A single value of the facts, neither null nor a list. `None`: it has not the form its kind asks for.
    pub(super) fn read(shape: &Type, json: &'a Json) -> Option<Self> {
        match shape {
            Type::Bool => json.as_bool().map(Self::Bool),
            Type::Int => json.as_i64().map(Self::Int),
            Type::Decimal => decimal(json).map(Self::Decimal),
            Type::Text | Type::Choice(_) => json.as_str().map(Self::Text),
            Type::Day => json.as_str().and_then(day).map(Self::Day),
            Type::Instant => json.as_str().and_then(instant).map(Self::Instant),
            Type::Record(_) => json.is_object().then_some(Self::Record(json)),
            Type::List(_) | Type::Null | Type::Faulty => None,
        }
    }

    /// `None` for values of different types, which the check rules out.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Day(a), Self::Day(b)) => Some(a.cmp(b)),
            (Self::Instant(a), Self::Instant(b)) => Some(a.cmp(b)),
            _ => Some(self.decimal()?.cmp(&other.decimal()?)),
        }
    }

    /// A number as a decimal; every whole number of 64 bits is one, exactly.
    pub(super) fn decimal(&self) -> Option<Decimal> {
        match self {
            Self::Int(whole) => Some(Decimal::from(*whole)),
            Self::Decimal(decimal) => Some(*decimal),
            _ => None,
        }
    }
}

fn decimal(json: &Json) -> Option<Decimal> {
    match json {
        Json::String(text) => plain_decimal(text),
        // Only whole numbers: what has a fraction went through a double already.
        Json::Number(number) => number.as_i64().map(Decimal::from),
        _ => None,
    }
}

/// Digits with an optional minus and fraction, kept exactly; no exponents, no separators.
pub(super) fn plain_decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    Decimal::from_str_exact(text).ok()
}

/// A calendar day, `2024-03-05`.
pub(super) fn day(text: &str) -> Option<NaiveDate> {
    let is_plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_plain { text.parse().ok() } else { None }
}

/// A point in time, by RFC 3339.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|it| it.to_utc())
}

/// A number as the source may write it, with an exponent if need be.
pub(super) fn scientific_decimal(digits: &str) -> Option<Decimal> {
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else {
        return plain_decimal(&with_whole_part(digits));
    };
    let exponent: i32 = exponent.parse().ok()?;
    let mantissa = plain_decimal(&with_whole_part(mantissa))?;
    let steps = usize::try_from(exponent.unsigned_abs())
        .ok()
        .filter(|steps| *steps <= 28)?;
    let ten = Decimal::TEN;
    if exponent >= 0 {
        return (0..steps).try_fold(mantissa, |it, _| it.checked_mul(ten));
    }
    let scale = mantissa.scale().checked_add(exponent.unsigned_abs())?;
    Decimal::try_from_i128_with_scale(mantissa.mantissa(), scale).ok()
}

/// `.5` as `0.5`.
fn with_whole_part(digits: &str) -> String {
    if digits.starts_with('.') {
        format!("0{digits}")
    } else {
        digits.to_owned()
    }
}
