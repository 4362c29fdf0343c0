//! The gate of a stage: compiled once from the document, evaluated as a pure function of how a deal stands.
//!
//! `advance`, `GET …/gate`, imports, rules and jobs all ask [`Gate::evaluate`]; there is no second way through.

mod evaluate;
mod help;
mod missing;
mod proposal;
mod standing;
mod verdict;
mod view;

#[cfg(test)]
mod tests;

use super::definition::{Accept, AnswerType, CriterionRef, GateNode, StageDocument};
use super::vocabulary::Known;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::expression::{Expression, Kind, Vocabulary};
use crate::kernel::problem::Code;
use crate::kernel::text::{Say, say};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use standing::{Answer, Approval, ApprovalState, ForeignAmount, Person, Standing};
pub use verdict::{Call, Evidence, Finding, GateState, State, Verdict, Who};
pub use view::{CallView, EvidenceView, GateStateView, GateView, NodeView, WhoView, hide_account};

/// The gate of one stage. Cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Gate {
    compiled: Arc<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    root: Option<Node>,
    needs: Needs,
}

/// What must be loaded before a gate can be evaluated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether ticks and answers are read.
    pub answers: bool,
    /// The kinds of record counted.
    pub records: BTreeSet<String>,
    /// Criterion key to the key of its approval process.
    pub approvals: BTreeMap<String, String>,
    /// Whether conditions read members of the account.
    pub reads_account: bool,
    /// The members of the opportunity's facts that conditions read, as dotted paths.
    pub members: BTreeSet<String>,
}

#[derive(Debug)]
enum Node {
    Group { how: How, of: Vec<Node> },
    Leaf(Box<Leaf>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    All,
    Any,
    AtLeast(u32),
}

#[derive(Debug)]
struct Leaf {
    kind: &'static str,
    key: String,
    label: String,
    is_required: bool,
    help: Option<String>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Check {
        needs_note: bool,
    },
    Question {
        answer: AnswerType,
        accept: Option<Accept>,
    },
    Field(Condition),
    Record(Counting),
    Approval,
}

/// What a `record` criterion counts.
#[derive(Debug)]
struct Counting {
    of: String,
    filter: Option<Condition>,
    every: Option<Condition>,
    at_least: u32,
    since_entry: bool,
}

impl Counting {
    /// What a record must fulfil to count and not to stand in the way.
    fn conditions(&self) -> Vec<&Condition> {
        self.filter.iter().chain(&self.every).collect()
    }
}

/// A condition with the kinds of the members it reads.
#[derive(Debug)]
struct Condition {
    source: String,
    kinds: BTreeMap<String, Kind>,
    /// A condition that does not compile any more, a custom field having gone, is not known to hold.
    compiled: Result<Expression, Say>,
}

impl Gate {
    /// Compiles the gate of a stage. A condition that the company's vocabulary no longer allows does not fail here: its
    /// criterion is never known to hold, and says why.
    ///
    /// # Errors
    /// `unavailable` when the server has no room to check expressions just now.
    pub fn compile(stage: &StageDocument, known: &Known) -> AppResult<Gate> {
        let mut needs = Needs::default();
        let root = match &stage.gate {
            None => None,
            Some(gate) => Some(node(gate, known, &mut needs)?),
        };
        Ok(Gate {
            compiled: Arc::new(Compiled { root, needs }),
        })
    }

    /// What must be loaded before this gate can be evaluated.
    pub fn needs(&self) -> &Needs {
        &self.compiled.needs
    }

    /// Whether the stage demands nothing at all.
    pub fn is_empty(&self) -> bool {
        self.compiled.root.is_none()
    }
}

impl Needs {
    fn read(&mut self, condition: &Condition) {
        for member in condition.members() {
            self.reads_account |= member == "account" || member.starts_with("account.");
            self.members.insert(member.clone());
        }
    }
}

impl Condition {
    fn new(source: &str, vocabulary: &Vocabulary) -> AppResult<Condition> {
        let compiled = match Expression::compile(source, vocabulary) {
            Ok(expression) => Ok(expression),
            Err(faults) => {
                if faults.iter().any(|fault| fault.code == "expression_not_checked") {
                    return Err(no_room());
                }
                let reason = faults.into_iter().next().map(|fault| fault.message);
                Err(reason.unwrap_or_else(|| say("it does not compile", "无法编译")))
            }
        };
        let kinds = compiled
            .iter()
            .flat_map(Expression::members)
            .filter_map(|path| Some((path.clone(), kind_of(path, vocabulary)?)))
            .collect();
        Ok(Condition {
            source: source.to_owned(),
            kinds,
            compiled,
        })
    }

    fn members(&self) -> impl Iterator<Item = &String> {
        self.compiled.iter().flat_map(Expression::members)
    }
}

fn no_room() -> AppError {
    AppError::refuse(
        Code::Unavailable,
        say(
            "The server cannot check expressions just now",
            "服务器暂时无法检查表达式",
        ),
    )
    .retry_after(1)
}

/// The kind of a member named by its dotted path; none for what lies in a list.
fn kind_of(path: &str, vocabulary: &Vocabulary) -> Option<Kind> {
    match path.split_once('.') {
        None => vocabulary.get(path).cloned(),
        Some((first, rest)) => match vocabulary.get(first)? {
            Kind::Record(members) => kind_of(rest, members),
            Kind::Bool
            | Kind::Int
            | Kind::Decimal
            | Kind::Text
            | Kind::Choice(_)
            | Kind::Day
            | Kind::Instant
            | Kind::Texts
            | Kind::Records(_) => None,
        },
    }
}

fn node(from: &GateNode, known: &Known, needs: &mut Needs) -> AppResult<Node> {
    let how = match from {
        GateNode::All { .. } => How::All,
        GateNode::Any { .. } => How::Any,
        GateNode::AtLeast { count, .. } => How::AtLeast(*count),
        GateNode::Check { .. }
        | GateNode::Question { .. }
        | GateNode::Field { .. }
        | GateNode::Record { .. }
        | GateNode::Approval { .. } => How::All,
    };
    if let Some(criterion) = from.as_criterion() {
        return Ok(Node::Leaf(Box::new(leaf(criterion, known, needs)?)));
    }
    let of = from.children().iter().map(|child| node(child, known, needs));
    Ok(Node::Group {
        how,
        of: of.collect::<AppResult<Vec<_>>>()?,
    })
}

fn leaf(from: CriterionRef<'_>, known: &Known, needs: &mut Needs) -> AppResult<Leaf> {
    Ok(Leaf {
        kind: from.kind,
        key: from.key.to_owned(),
        label: from.label.to_owned(),
        is_required: from.is_required,
        help: from.help.map(str::to_owned),
        test: test(from, known, needs)?,
    })
}

fn test(from: CriterionRef<'_>, known: &Known, needs: &mut Needs) -> AppResult<Test> {
    Ok(match from.node {
        GateNode::Check { needs_note, .. } => {
            needs.answers = true;
            Test::Check {
                needs_note: *needs_note,
            }
        }
        GateNode::Question { answer, accept, .. } => {
            needs.answers = true;
            Test::Question {
                answer: answer.clone(),
                accept: accept.clone(),
            }
        }
        GateNode::Field { expression, .. } => {
            let condition = Condition::new(expression, &known.opportunity)?;
            needs.read(&condition);
            Test::Field(condition)
        }
        GateNode::Record {
            of,
            filter,
            every,
            at_least,
            since_entry,
            ..
        } => {
            needs.records.insert(of.clone());
            let none = Vocabulary::new();
            let vocabulary = known.records.get(of).unwrap_or(&none);
            let condition = |source: &Option<String>| {
                source
                    .as_deref()
                    .map(|source| Condition::new(source, vocabulary))
                    .transpose()
            };
            Test::Record(Counting {
                of: of.clone(),
                filter: condition(filter)?,
                every: condition(every)?,
                at_least: *at_least,
                since_entry: *since_entry,
            })
        }
        GateNode::Approval { process, .. } => {
            needs.approvals.insert(from.key.to_owned(), process.clone());
            Test::Approval
        }
        // A group is no criterion; `as_criterion` gives none for it.
        GateNode::All { .. } | GateNode::Any { .. } | GateNode::AtLeast { .. } => {
            return Err(AppError::internal("a group was taken for a criterion"));
        }
    })
}
