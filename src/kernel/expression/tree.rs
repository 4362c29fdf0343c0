//! A checked expression: every node well typed, every member known.
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use crate::kernel::text::{Say, say};

use super::vocabulary::{Kind, Vocabulary};

/// The type of a node.
#[derive(Clone, Debug)]
pub(super) enum Type {
    /// Of something already found faulty; agrees with everything, so that one fault is told once.
    Faulty,
    Null,
    Bool,
    Int,
    Decimal,
    Text,
    Choice(Arc<[String]>),
    Day,
    Instant,
    List(Box<Type>),
    Record(Arc<Vocabulary>),
}

impl Type {
    pub(super) fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool,
            Kind::Int => Self::Int,
            Kind::Decimal => Self::Decimal,
            Kind::Text => Self::Text,
            Kind::Choice(choices) => Self::Choice(choices.clone()),
            Kind::Day => Self::Day,
            Kind::Instant => Self::Instant,
            Kind::Texts => Self::List(Box::new(Self::Text)),
            Kind::Records(members) => Self::List(Box::new(Self::Record(members.clone()))),
            Kind::Record(members) => Self::Record(members.clone()),
        }
    }

    pub(super) fn is_faulty(&self) -> bool {
        matches!(self, Self::Faulty)
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Decimal | Self::Faulty)
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text | Self::Choice(_))
    }

    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Record(_) | Self::Null)
    }

    /// The type that values of both have in common, if they can be told equal or not.
    pub(super) fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Faulty, same) | (same, Self::Faulty) => Some(same.clone()),
            (Self::Bool, Self::Bool) => Some(Self::Bool),
            (Self::Int, Self::Int) => Some(Self::Int),
            (Self::Int | Self::Decimal, Self::Int | Self::Decimal) => Some(Self::Decimal),
            (Self::Text | Self::Choice(_), Self::Text | Self::Choice(_)) => Some(Self::Text),
            (Self::Day, Self::Day) => Some(Self::Day),
            (Self::Instant, Self::Instant) => Some(Self::Instant),
            _ => None,
        }
    }

    /// As said in a sentence: "`amount` is …".
    pub(super) fn described(&self) -> Say {
        match self {
            Self::Faulty => say("faulty", "错误"),
            Self::Null => say("null", "空值"),
            Self::Bool => say("true or false", "真假值"),
            Self::Int => say("a whole number", "整数"),
            Self::Decimal => say("a decimal", "小数"),
            Self::Text | Self::Choice(_) => say("text", "文本"),
            Self::Day => say("a day", "日期"),
            Self::Instant => say("an instant", "时间"),
            Self::List(of) if matches!(**of, Self::Text) => say("a list of texts", "文本列表"),
            Self::List(of) if matches!(**of, Self::Record(_)) => say("a list of records", "记录列表"),
            Self::List(_) => say("a list", "列表"),
            Self::Record(_) => say("a record", "记录"),
        }
    }

    /// What it may be compared with.
    pub(super) fn partners(&self) -> Say {
        match self {
            Self::Faulty | Self::Null => say("a member", "字段"),
            Self::Bool => say("true or false", "真假值"),
            Self::Int | Self::Decimal => say("numbers such as 12.50", "数字（如 12.50）"),
            Self::Text => say("text such as \"A\"", "文本（如 \"A\"）"),
            Self::Choice(choices) => {
                let choices = choices.join(", ");
                say(
                    format!("text that is one of: {choices}"),
                    format!("以下文本之一：{choices}"),
                )
            }
            Self::Day => say(
                "days such as day(\"2024-03-05\")",
                "日期（如 day(\"2024-03-05\")）",
            ),
            Self::Instant => say(
                "instants such as instant(\"2024-03-05T08:00:00Z\")",
                "时间（如 instant(\"2024-03-05T08:00:00Z\")）",
            ),
            Self::List(_) => say(
                "null only; look into it with `in`, size, exists or all",
                "null（查看内容请用 `in`、size、exists 或 all）",
            ),
            Self::Record(_) => say("null only; name one of its members", "null（请写出它的字段）"),
        }
    }
}

/// A value written in the source.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    Text(Box<str>),
    Day(NaiveDate),
    Instant(DateTime<Utc>),
}

/// A member of the facts, or of the record at hand in a comprehension.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Whether the names start at the element at hand rather than at the facts.
    pub in_element: bool,
    /// The way down; empty for the element itself.
    pub names: Vec<String>,
    /// As `Expression::members` names it.
    pub path: Arc<str>,
    pub shape: Type,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Search {
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comprehension {
    Exists,
    All,
    ExistsOne,
    Filter,
    Map,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Constant),
    Member(Member),
    /// Whether a member is there and not null; always known.
    Present(Member),
    List(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    /// Condition, then, else.
    Choose(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    Calculate(Operation, Box<[Node; 2]>),
    /// Element, list.
    In(Box<[Node; 2]>),
    Search(Search, Box<[Node; 2]>),
    /// Whole days from the first to the second.
    DaysBetween(Box<[Node; 2]>),
    Size(Box<Node>),
    /// List, body.
    Comprehension(Comprehension, Box<[Node; 2]>),
}

impl Node {
    /// What stands in for a node that was refused; never evaluated.
    pub(super) fn refused() -> Self {
        Self::Constant(Constant::Bool(false))
    }
}
