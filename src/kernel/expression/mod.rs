//! The one rule evaluator: conditions in CEL, the Common Expression Language, over the members of
//! a record. Gates, approval steps, scoring, assignment and rules all ask here.
//!
//! The `cel` crate gives the syntax; the meaning is ours. Its interpreter computes with doubles,
//! checks no types, has no budget, and turns a missing member into an error, whereas a gate must
//! tell "no" from "not known yet" and money must stay exact. So its syntax tree is checked against
//! a [`Vocabulary`] and turned into a small typed tree, which a small total evaluator walks: decimals
//! are decimals (a literal is read from the source, never through a double), a null is three-valued,
//! and the cost is bounded by construction: nodes × list length, with a budget of steps above it.
//!
//! What differs from standard CEL: `12.5` is a decimal; whole numbers and decimals mix, exactly;
//! comparing with a null member is *unknown* rather than false or an error, except `x == null`,
//! `x != null` and `has(x)`, which are always known; `has` takes a top-level name too; `!=`, `==` and
//! `in` compare single values; no regular expressions, indexes, maps, messages, byte or raw strings,
//! no conversions; one level of comprehension. Added: `day("2024-03-05")`,
//! `instant("2024-03-05T08:00:00Z")`, `days_between(from, to)`, `today`, `now`.
//!
//! A sum or product is exact up to 28 significant digits; a quotient is rounded there. Two
//! whole numbers divide to a whole number, towards zero, as in CEL. Text orders by code point.
mod check;
mod demands;
mod evaluate;
mod fault;
mod fits;
mod functions;
mod names;
mod operators;
mod parse;
mod scan;
mod tree;
mod value;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::kernel::text::{Say, say};

use evaluate::Evaluation;
use tree::Node;
use value::{Gap, Value};

pub use demands::{Demand, fulfilling};
pub use fault::{Fault, Position};
pub use fits::misfits;
pub use vocabulary::{Kind, Vocabulary, is_name};

/// Faults told of one text.
const MAX_FAULTS: usize = 20;

/// A condition, checked and ready to be evaluated. Cheap to clone, safe to share.
#[derive(Clone, Debug)]
pub struct Expression {
    checked: Arc<Checked>,
}

#[derive(Debug)]
struct Checked {
    source: String,
    root: Node,
    members: BTreeSet<String>,
    doubts: Vec<Fault>,
}

/// What a condition says about the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    Met,
    Unmet,
    /// It depends on members that are null or absent; these, in alphabetical order, each one of
    /// [`Expression::members`], or the entries (`tags[]`) of one.
    Unknown {
        missing: Vec<String>,
    },
    /// It cannot be computed: a number too large, a division by zero, facts of the wrong form, too
    /// much work.
    Failed {
        reason: Say,
    },
}

impl Expression {
    /// Checks a text against the names it may use.
    ///
    /// # Errors
    /// The [`Fault`]s of the text, at most 20, all at once; only what is wrong with the syntax hides
    /// what is wrong with the meaning.
    pub fn compile(source: &str, vocabulary: &Vocabulary) -> Result<Self, Vec<Fault>> {
        let checked = scan::scan(source).and_then(|()| parse::with_room(|| parse::check(source, vocabulary)));
        let sound = checked.map_err(|mut faults| {
            faults.truncate(MAX_FAULTS);
            faults
        })?;
        let source = source.to_owned();
        Ok(Self {
            checked: Arc::new(Checked {
                source,
                root: sound.root,
                members: sound.members,
                doubts: sound.doubts,
            }),
        })
    }

    /// As [`Expression::compile`], for a text that is not in force yet: what can be computed and cannot be meant, a member
    /// compared with a value that it never has, is a fault too. What is in force goes on as it is, also when a choice was
    /// taken away since.
    ///
    /// # Errors
    /// The [`Fault`]s of the text.
    pub fn draft(source: &str, vocabulary: &Vocabulary) -> Result<Self, Vec<Fault>> {
        let compiled = Self::compile(source, vocabulary)?;
        match compiled.checked.doubts.is_empty() {
            true => Ok(compiled),
            false => Err(compiled.checked.doubts.clone()),
        }
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.checked.source
    }

    /// The dotted paths it reads, such as `account.industry`; of a list of records both `lines`
    /// and `lines[].amount`.
    #[must_use]
    pub fn members(&self) -> &BTreeSet<String> {
        &self.checked.members
    }

    /// What it demands of the member at that path by itself: see [`fulfilling`].
    #[must_use]
    pub fn demands(&self, path: &str) -> Vec<Demand> {
        let mut found = Vec::new();
        demands::collect(&self.checked.root, path, &mut found);
        found
    }

    /// Evaluates it over facts of the vocabulary it was compiled with: an object with decimals as
    /// `"12.50"`, days as `"2024-03-05"`, instants by RFC 3339. What is absent counts as null;
    /// an empty object in the place of a single value is there, but what it is is not known.
    #[must_use]
    pub fn evaluate(&self, facts: &Json) -> Truth {
        match Evaluation::new(facts).run(&self.checked.root) {
            Ok(Value::Bool(true)) => Truth::Met,
            Ok(Value::Bool(false)) => Truth::Unmet,
            Ok(_) => Truth::Failed {
                reason: say("it is no condition", "它不是条件"),
            },
            Err(Gap::Unknown(paths)) => Truth::Unknown {
                missing: paths.iter().map(ToString::to_string).collect(),
            },
            Err(Gap::Failed(reason)) => Truth::Failed { reason },
        }
    }
}
