//! What a condition demands of single members, as far as that can be read off it: its parts joined by `&&` that compare
//! a member with a literal. From these follow values to propose; whether a proposal fulfils the whole condition is told
//! by evaluating it.

use super::tree::{Comparison, Constant, Node};
use super::vocabulary::Kind;
use chrono::{SecondsFormat, TimeDelta};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use std::cmp::Ordering;

/// A comparison of a member with a literal that must hold.
#[derive(Clone, Debug)]
pub struct Demand {
    how: Comparison,
    literal: Constant,
}

/// Adds what this node demands of the member at that path.
pub(super) fn collect(node: &Node, path: &str, found: &mut Vec<Demand>) {
    match node {
        Node::And(parts) => parts.iter().for_each(|part| collect(part, path, found)),
        Node::Member(member) if *member.path == *path => found.push(equal(true)),
        Node::Not(of) => {
            if let Node::Member(member) = &**of
                && *member.path == *path
            {
                found.push(equal(false));
            }
        }
        Node::Compare(how, parts) => found.extend(compared(*how, parts, path)),
        _ => {}
    }
}

fn equal(value: bool) -> Demand {
    Demand {
        how: Comparison::Equal,
        literal: Constant::Bool(value),
    }
}

fn compared(how: Comparison, parts: &[Node; 2], path: &str) -> Option<Demand> {
    let is_it =
        |node: &Node| matches!(node, Node::Member(member) if !member.in_element && *member.path == *path);
    let [left, right] = parts;
    let (how, literal) = if is_it(left) {
        (how, literal(right)?)
    } else if is_it(right) {
        (turned(how), literal(left)?)
    } else {
        return None;
    };
    Some(Demand { how, literal })
}

fn literal(node: &Node) -> Option<Constant> {
    match node {
        Node::Constant(constant) => Some(constant.clone()),
        Node::Negate(of) => match literal(of)? {
            Constant::Int(number) => Some(Constant::Int(number.checked_neg()?)),
            Constant::Decimal(number) => Some(Constant::Decimal(-number)),
            _ => None,
        },
        _ => None,
    }
}

/// `5 < x` is `x > 5`.
fn turned(how: Comparison) -> Comparison {
    match how {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        Comparison::Equal | Comparison::NotEqual => how,
    }
}

/// Values of a member of this kind that fulfil all demands: those written in them, and what lies next to these and
/// between them.
#[must_use]
pub fn fulfilling(demands: &[Demand], kind: &Kind) -> Vec<Json> {
    let literals = demands.iter().map(|demand| &demand.literal);
    let near = literals.clone().flat_map(near);
    let between = literals
        .clone()
        .flat_map(|one| literals.clone().filter_map(|other| middle(one, other)));
    let choices = match kind {
        Kind::Choice(choices) => choices.iter(),
        _ => [].iter(),
    };
    let choices = choices.map(|choice| Constant::Text(choice.as_str().into()));
    near.chain(between)
        .chain(choices)
        .filter(|value| demands.iter().all(|demand| demand.holds(value)))
        .filter_map(|value| to_json(&value, kind))
        .collect()
}

impl Demand {
    fn holds(&self, value: &Constant) -> bool {
        let Some(order) = order(value, &self.literal) else {
            return false;
        };
        match self.how {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::NotEqual => order != Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

fn number(of: &Constant) -> Option<Decimal> {
    match of {
        Constant::Int(number) => Some(Decimal::from(*number)),
        Constant::Decimal(number) => Some(*number),
        _ => None,
    }
}

fn order(one: &Constant, other: &Constant) -> Option<Ordering> {
    match (one, other) {
        (Constant::Bool(one), Constant::Bool(other)) => Some(one.cmp(other)),
        (Constant::Text(one), Constant::Text(other)) => Some(one.cmp(other)),
        (Constant::Day(one), Constant::Day(other)) => Some(one.cmp(other)),
        (Constant::Instant(one), Constant::Instant(other)) => Some(one.cmp(other)),
        _ => Some(number(one)?.cmp(&number(other)?)),
    }
}

/// The literal itself, then something above and below it.
fn near(literal: &Constant) -> Vec<Constant> {
    let more = match literal {
        Constant::Bool(value) => vec![Constant::Bool(!value)],
        Constant::Text(_) => vec![Constant::Text("…".into())],
        Constant::Day(day) => [day.succ_opt(), day.pred_opt()]
            .into_iter()
            .flatten()
            .map(Constant::Day)
            .collect(),
        Constant::Instant(at) => [TimeDelta::hours(1), TimeDelta::hours(-1)]
            .into_iter()
            .filter_map(|step| at.checked_add_signed(step))
            .map(Constant::Instant)
            .collect(),
        Constant::Int(number) => [number.checked_add(1), number.checked_sub(1)]
            .into_iter()
            .flatten()
            .map(Constant::Int)
            .collect(),
        Constant::Decimal(number) => around(*number).into_iter().map(Constant::Decimal).collect(),
    };
    [literal.clone()].into_iter().chain(more).collect()
}

/// The next whole numbers; within 0 and 1, where shares lie, halfway to these.
fn around(number: Decimal) -> Vec<Decimal> {
    let is_share = number > Decimal::ZERO && number < Decimal::ONE;
    let two = Decimal::TWO;
    if is_share {
        return [number.checked_add(Decimal::ONE), Some(number)]
            .into_iter()
            .flatten()
            .map(|sum| sum / two)
            .collect();
    }
    [
        number.floor().checked_add(Decimal::ONE),
        number.ceil().checked_sub(Decimal::ONE),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn middle(one: &Constant, other: &Constant) -> Option<Constant> {
    match (one, other) {
        (Constant::Day(one), Constant::Day(other)) => {
            let half = other.signed_duration_since(*one) / 2;
            Some(Constant::Day(one.checked_add_signed(half)?))
        }
        (Constant::Instant(one), Constant::Instant(other)) => {
            let half = other.signed_duration_since(*one) / 2;
            Some(Constant::Instant(one.checked_add_signed(half)?))
        }
        _ => {
            let sum = number(one)?.checked_add(number(other)?)?;
            Some(Constant::Decimal(sum / Decimal::TWO))
        }
    }
}

/// The value in the wire form of its member; none where a member of that kind has no such value.
fn to_json(value: &Constant, kind: &Kind) -> Option<Json> {
    match (kind, value) {
        (Kind::Bool, Constant::Bool(value)) => Some(json!(value)),
        (Kind::Text, Constant::Text(text)) => Some(json!(&**text)),
        (Kind::Choice(choices), Constant::Text(text)) => {
            (choices.iter().any(|choice| **choice == **text)).then(|| json!(&**text))
        }
        (Kind::Day, Constant::Day(day)) => Some(json!(day)),
        (Kind::Instant, Constant::Instant(at)) => {
            Some(json!(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
        }
        (Kind::Int, value) => {
            let number = number(value)?.normalize();
            let whole = (number.scale() == 0).then(|| number.to_string().parse::<i64>());
            Some(json!(whole?.ok()?))
        }
        (Kind::Decimal, value) => {
            let mut number = number(value)?.normalize();
            number.rescale(number.scale().max(2));
            Some(json!(number.to_string()))
        }
        _ => None,
    }
}
