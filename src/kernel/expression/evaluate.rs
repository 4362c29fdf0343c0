//! Evaluation of a checked expression: total, without recursion beyond the tree's depth, and with
//! a budget of steps.
use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::kernel::text::say;

use super::tree::{Comparison, Comprehension, Member, Node, Operation, Search, Type};
use super::value::{Gap, Outcome, Value};

/// Elements of one list of the facts.
pub(super) const MAX_ELEMENTS: usize = 1_000;
/// Nodes visited, list elements read, and 64 bytes of text searched, count one each. One
/// comprehension over a full list stays below, whatever its body, unless the body itself goes
/// through lists.
pub(super) const MAX_STEPS: usize = 250_000;

/// An empty object in the place of a single value: it is there, but what it is is not known.
fn is_unknown(json: &Json) -> bool {
    json.as_object().is_some_and(serde_json::Map::is_empty)
}

/// One evaluation.
pub(super) struct Evaluation<'a> {
    facts: &'a Json,
    steps: Cell<usize>,
}

type Element<'e, 'a> = Option<&'e Outcome<'a>>;

impl<'a> Evaluation<'a> {
    pub(super) fn new(facts: &'a Json) -> Self {
        Self {
            facts,
            steps: Cell::new(0),
        }
    }

    /// Steps taken so far.
    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.steps.get()
    }

    pub(super) fn run(&self, node: &'a Node) -> Outcome<'a> {
        self.node(node, None)
    }

    fn node(&self, node: &'a Node, element: Element<'_, 'a>) -> Outcome<'a> {
        self.spend(1)?;
        match node {
            Node::Constant(constant) => Ok(Value::constant(constant)),
            Node::Member(member) => self.read(member, element),
            Node::Present(member) => self.present(member, element),
            Node::List(items) => Ok(Value::List(
                items.iter().map(|item| self.node(item, element)).collect(),
            )),
            Node::Not(of) => negation(self.node(of, element)),
            Node::Negate(of) => negated(self.node(of, element)?),
            Node::And(parts) => decide(false, parts.iter().map(|part| self.node(part, element))),
            Node::Or(parts) => decide(true, parts.iter().map(|part| self.node(part, element))),
            Node::Choose(parts) => self.choose(parts, element),
            Node::Compare(how, parts) => compare(*how, &self.both(parts, element)?),
            Node::Calculate(how, parts) => calculate(*how, self.both(parts, element)?),
            Node::In(parts) => self.contained(parts, element),
            Node::Search(how, parts) => self.search(*how, parts, element),
            Node::DaysBetween(parts) => days_between(&self.both(parts, element)?),
            Node::Size(of) => self.size(of, element),
            Node::Comprehension(how, parts) => self.comprehend(*how, parts, element),
        }
    }

    fn spend(&self, steps: usize) -> Result<(), Gap> {
        let spent = self.steps.get().saturating_add(steps);
        if spent > MAX_STEPS {
            return Err(Gap::Failed(say(
                format!("it takes more than {MAX_STEPS} steps"),
                format!("计算超过 {MAX_STEPS} 步"),
            )));
        }
        self.steps.set(spent);
        Ok(())
    }

    fn both(&self, parts: &'a [Node; 2], element: Element<'_, 'a>) -> Result<(Value<'a>, Value<'a>), Gap> {
        match (self.node(&parts[0], element), self.node(&parts[1], element)) {
            (Ok(left), Ok(right)) => Ok((left, right)),
            (Err(left), Err(right)) => Err(left.and(right)),
            (Err(gap), Ok(_)) | (Ok(_), Err(gap)) => Err(gap),
        }
    }

    /// The JSON a member names; `None` when it is null or absent.
    fn find(&self, member: &'a Member, element: Element<'_, 'a>) -> Result<Option<&'a Json>, Gap> {
        let mut at = match (member.in_element, element) {
            (false, _) => self.facts,
            (true, Some(Ok(Value::Record(record)))) => record,
            (true, Some(Err(Gap::Unknown(_)))) => return Ok(None),
            (true, Some(Err(failed))) => return Err(failed.clone()),
            (true, _) => return Err(mismatch(member)),
        };
        for name in &member.names {
            match at {
                Json::Object(members) => match members.get(name) {
                    Some(Json::Null) | None => return Ok(None),
                    Some(found) => at = found,
                },
                _ => return Err(mismatch(member)),
            }
        }
        Ok(Some(at))
    }

    fn present(&self, member: &'a Member, element: Element<'_, 'a>) -> Outcome<'a> {
        if member.in_element && member.names.is_empty() {
            return match element {
                Some(Err(failed @ Gap::Failed(_))) => Err(failed.clone()),
                other => Ok(Value::Bool(matches!(other, Some(Ok(_))))),
            };
        }
        Ok(Value::Bool(self.find(member, element)?.is_some()))
    }

    fn read(&self, member: &'a Member, element: Element<'_, 'a>) -> Outcome<'a> {
        if member.in_element && member.names.is_empty() {
            return element.cloned().unwrap_or_else(|| Err(mismatch(member)));
        }
        let Some(json) = self.find(member, element)? else {
            return Err(Gap::unknown(&member.path));
        };
        match &member.shape {
            Type::List(of) => self.read_list(member, of, json),
            shape if shape.is_scalar() && is_unknown(json) => Err(Gap::unknown(&member.path)),
            shape => Value::read(shape, json).ok_or_else(|| mismatch(member)),
        }
    }

    fn read_list(&self, member: &Member, of: &Type, json: &'a Json) -> Outcome<'a> {
        let items = json.as_array().ok_or_else(|| mismatch(member))?;
        if items.len() > MAX_ELEMENTS {
            return Err(Gap::Failed(say(
                format!("`{}` has more than {MAX_ELEMENTS} entries", member.path),
                format!("`{}` 超过 {MAX_ELEMENTS} 项", member.path),
            )));
        }
        self.spend(items.len())?;
        let path: Arc<str> = format!("{}[]", member.path).into();
        let read = |item: &'a Json| match item {
            Json::Null => Err(Gap::unknown(&path)),
            _ => Value::read(of, item).ok_or_else(|| mismatch(member)),
        };
        Ok(Value::List(items.iter().map(read).collect()))
    }

    fn choose(&self, parts: &'a [Node; 3], element: Element<'_, 'a>) -> Outcome<'a> {
        let chosen = if truth(&self.node(&parts[0], element)?)? {
            &parts[1]
        } else {
            &parts[2]
        };
        self.node(chosen, element)
    }

    fn list(&self, node: &'a Node, element: Element<'_, 'a>) -> Result<Vec<Outcome<'a>>, Gap> {
        match self.node(node, element)? {
            Value::List(items) => Ok(items),
            _ => Err(ill_typed()),
        }
    }

    fn contained(&self, parts: &'a [Node; 2], element: Element<'_, 'a>) -> Outcome<'a> {
        let (sought, items) = match (self.node(&parts[0], element), self.list(&parts[1], element)) {
            (Ok(sought), Ok(items)) => (sought, items),
            // In an empty list there is nothing, whatever is sought.
            (Err(Gap::Unknown(_)), Ok(items)) if items.is_empty() => return Ok(Value::Bool(false)),
            (Err(one), Err(other)) => return Err(one.and(other)),
            (Err(gap), Ok(_)) | (Ok(_), Err(gap)) => return Err(gap),
        };
        decide(
            true,
            items
                .into_iter()
                .map(|item| Ok(Value::Bool(sought.compare(&item?) == Some(Ordering::Equal)))),
        )
    }

    fn search(&self, how: Search, parts: &'a [Node; 2], element: Element<'_, 'a>) -> Outcome<'a> {
        let (Value::Text(text), Value::Text(sought)) = self.both(parts, element)? else {
            return Err(ill_typed());
        };
        self.spend(text.len() / 64)?;
        Ok(Value::Bool(match how {
            Search::StartsWith => text.starts_with(sought),
            Search::EndsWith => text.ends_with(sought),
            Search::Contains => text.contains(sought),
        }))
    }

    fn size(&self, of: &'a Node, element: Element<'_, 'a>) -> Outcome<'a> {
        let size = match self.node(of, element)? {
            Value::List(items) => items.len(),
            Value::Text(text) => {
                self.spend(text.len() / 64)?;
                text.chars().count()
            }
            _ => return Err(ill_typed()),
        };
        i64::try_from(size).map(Value::Int).map_err(|_| ill_typed())
    }

    fn comprehend(&self, how: Comprehension, parts: &'a [Node; 2], element: Element<'_, 'a>) -> Outcome<'a> {
        let items = self.list(&parts[0], element)?;
        let body = &parts[1];
        let mut results = items.iter().map(|item| self.node(body, Some(item)));
        match how {
            Comprehension::Exists => decide(true, results),
            Comprehension::All => decide(false, results),
            Comprehension::ExistsOne => exactly_one(results),
            Comprehension::Map => Ok(Value::List(results.collect())),
            Comprehension::Filter => {
                let kept = results.try_fold(Vec::new(), |mut kept, result| {
                    kept.push(truth(&result?)?);
                    Ok(kept)
                })?;
                let chosen = items
                    .iter()
                    .zip(kept)
                    .filter(|(_, keep)| *keep)
                    .map(|(item, _)| item.clone());
                Ok(Value::List(chosen.collect()))
            }
        }
    }
}

/// Three-valued `||` (`decisive` true) or `&&` (false) over any number of parts: one decisive part
/// decides, whatever the others are.
fn decide<'a>(decisive: bool, parts: impl Iterator<Item = Outcome<'a>>) -> Outcome<'a> {
    let mut gap: Option<Gap> = None;
    for part in parts {
        match part.and_then(|value| truth(&value)) {
            Ok(met) if met == decisive => return Ok(Value::Bool(decisive)),
            Ok(_) => {}
            Err(other) => gap = Some(gap.map_or_else(|| other.clone(), |gap| gap.or(other.clone()))),
        }
    }
    gap.map_or(Ok(Value::Bool(!decisive)), Err)
}

fn exactly_one<'a>(results: impl Iterator<Item = Outcome<'a>>) -> Outcome<'a> {
    let mut met = 0;
    let mut gap: Option<Gap> = None;
    for result in results {
        match result.and_then(|value| truth(&value)) {
            Ok(is_met) => met += usize::from(is_met),
            Err(other) => gap = Some(gap.map_or_else(|| other.clone(), |gap| gap.or(other.clone()))),
        }
        if met > 1 {
            return Ok(Value::Bool(false));
        }
    }
    gap.map_or(Ok(Value::Bool(met == 1)), Err)
}

fn truth(value: &Value<'_>) -> Result<bool, Gap> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        _ => Err(ill_typed()),
    }
}

fn negation(outcome: Outcome<'_>) -> Outcome<'_> {
    Ok(Value::Bool(!truth(&outcome?)?))
}

fn negated(value: Value<'_>) -> Outcome<'_> {
    match value {
        Value::Int(whole) => whole.checked_neg().map(Value::Int).ok_or_else(overflow),
        Value::Decimal(decimal) => Ok(Value::Decimal(-decimal)),
        _ => Err(ill_typed()),
    }
}

fn compare<'a>(how: Comparison, (left, right): &(Value<'a>, Value<'a>)) -> Outcome<'a> {
    let order = left.compare(right).ok_or_else(ill_typed)?;
    Ok(Value::Bool(match how {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }))
}

fn calculate<'a>(how: Operation, operands: (Value<'a>, Value<'a>)) -> Outcome<'a> {
    if let (Value::Int(left), Value::Int(right)) = operands {
        return whole(how, left, right).map(Value::Int);
    }
    let (Some(left), Some(right)) = (operands.0.decimal(), operands.1.decimal()) else {
        return Err(ill_typed());
    };
    exact(how, left, right).map(Value::Decimal)
}

fn whole(how: Operation, left: i64, right: i64) -> Result<i64, Gap> {
    if right == 0 && matches!(how, Operation::Divide | Operation::Remainder) {
        return Err(division_by_zero());
    }
    let result = match how {
        Operation::Add => left.checked_add(right),
        Operation::Subtract => left.checked_sub(right),
        Operation::Multiply => left.checked_mul(right),
        Operation::Divide => left.checked_div(right),
        Operation::Remainder => left.checked_rem(right),
    };
    result.ok_or_else(overflow)
}

fn exact(how: Operation, left: Decimal, right: Decimal) -> Result<Decimal, Gap> {
    if right.is_zero() && matches!(how, Operation::Divide | Operation::Remainder) {
        return Err(division_by_zero());
    }
    let result = match how {
        Operation::Add => left.checked_add(right),
        Operation::Subtract => left.checked_sub(right),
        Operation::Multiply => left.checked_mul(right),
        Operation::Divide => left.checked_div(right),
        Operation::Remainder => left.checked_rem(right),
    };
    result.ok_or_else(overflow)
}

fn days_between<'a>((from, to): &(Value<'a>, Value<'a>)) -> Outcome<'a> {
    match (from, to) {
        (Value::Day(from), Value::Day(to)) => Ok(Value::Int((*to - *from).num_days())),
        _ => Err(ill_typed()),
    }
}

fn division_by_zero() -> Gap {
    Gap::Failed(say("division by zero", "除数为零"))
}

fn overflow() -> Gap {
    Gap::Failed(say("a number grows too large", "数字过大"))
}

fn mismatch(member: &Member) -> Gap {
    let what = member.shape.described();
    Gap::Failed(say(
        format!("`{}` has not the form of {}", member.path, what.en),
        format!("`{}` 的格式不是{}", member.path, what.zh),
    ))
}

/// The check rules this out.
fn ill_typed() -> Gap {
    Gap::Failed(say("the expression was not checked", "表达式未经检查"))
}
