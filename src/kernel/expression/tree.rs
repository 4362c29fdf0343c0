//! A checked expression: every node well typed, every member known.
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

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
            (Self::Text, Self::Text) => Some(Self::Text),
            (Self::Day, Self::Day) => Some(Self::Day),
            (Self::Instant, Self::Instant) => Some(Self::Instant),
            _ => None,
        }
    }

    /// As said in a sentence: "`amount` is …".
    pub(super) fn described(&self) -> &'static str {
        match self {
            Self::Faulty => "faulty",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Decimal => "a decimal",
            Self::Text => "text",
            Self::Day => "a day",
            Self::Instant => "an instant",
            Self::List(of) if matches!(**of, Self::Text) => "a list of texts",
            Self::List(of) if matches!(**of, Self::Record(_)) => "a list of records",
            Self::List(_) => "a list",
            Self::Record(_) => "a record",
        }
    }

    /// What it may be compared with.
    pub(super) fn partners(&self) -> &'static str {
        match self {
            Self::Faulty | Self::Null => "a member",
            Self::Bool => "true or false",
            Self::Int | Self::Decimal => "numbers such as 12.50",
            Self::Text => "text such as \"A\"",
            Self::Day => "days such as day(\"2024-03-05\")",
            Self::Instant => "instants such as instant(\"2024-03-05T08:00:00Z\")",
            Self::List(_) => "null only; look into it with `in`, size, exists or all",
            Self::Record(_) => "null only; name one of its members",
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
