//! What the rules say about a lead: pure. Giving and explaining ask the same function.

use super::bench::Bench;
use super::choose::{Candidate, choose};
use super::rules::{Rule, Trigger, WhenNobody};
use crate::crm::lead_states::Status;
use crate::kernel::expression::Truth;
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A lead about which the rules are asked.
#[derive(Debug, Clone)]
pub struct Subject {
    pub id: Uuid,
    pub version: i32,
    pub status: Status,
    pub owner: Option<Uuid>,
    /// What conditions read.
    pub facts: Value,
}

/// On what terms the rules are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// The lead reached a moment: the rules of that moment, and an owner stays unless a rule takes owned leads too.
    Reached(Trigger),
    /// It is to be given to somebody else: the rules of all moments that it has reached.
    Anew,
}

/// What the rules decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The rule at that place gives it to this person.
    Given { rule: usize, user: Uuid },
    /// Its owner is one of the rule's candidates, and keeps it.
    Kept { rule: usize },
    /// The rule is met, and nobody can take it.
    Nobody { rule: usize },
    /// No rule is met, or all that are passed it on.
    NoRule,
}

/// How one rule was looked at.
#[derive(Debug)]
pub struct Considered {
    /// Its place among the rules.
    pub rule: usize,
    /// None: it leaves alone what has an owner.
    pub truth: Option<Truth>,
    /// Its candidates, when it was met.
    pub candidates: Vec<Candidate>,
}

/// A decision and the way to it. Rules behind the one that decided are not looked at.
#[derive(Debug)]
pub struct Decision {
    pub verdict: Verdict,
    pub considered: Vec<Considered>,
}

impl Asking {
    fn asks(self, rule: &Rule, lead: &Subject) -> bool {
        match self {
            Asking::Reached(trigger) => rule.trigger == trigger,
            Asking::Anew => Trigger::up_to(lead.status).contains(&rule.trigger),
        }
    }

    fn leaves_alone(self, rule: &Rule, lead: &Subject) -> bool {
        matches!(self, Asking::Reached(_)) && lead.owner.is_some() && !rule.takes_owned
    }
}

/// Asks the rules, in their order. `barred`: who is not to get it.
pub fn decide(
    rules: &[Rule],
    lead: &Subject,
    bench: &Bench,
    asking: Asking,
    barred: &BTreeSet<Uuid>,
) -> Decision {
    let mut considered = Vec::new();
    let asked = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| asking.asks(rule, lead));
    for (place, rule) in asked {
        if asking.leaves_alone(rule, lead) {
            considered.push(Considered {
                rule: place,
                truth: None,
                candidates: Vec::new(),
            });
            continue;
        }
        let truth = rule.condition.evaluate(&lead.facts);
        let is_met = truth == Truth::Met;
        let candidates = match is_met {
            true => bench.candidates(rule, barred),
            false => Vec::new(),
        };
        let verdict = is_met
            .then(|| verdict(place, rule, lead, asking, &candidates))
            .flatten();
        considered.push(Considered {
            rule: place,
            truth: Some(truth),
            candidates,
        });
        if let Some(verdict) = verdict {
            return Decision { verdict, considered };
        }
    }
    Decision {
        verdict: Verdict::NoRule,
        considered,
    }
}

/// What a rule that is met says; none: it passes the lead on.
fn verdict(
    place: usize,
    rule: &Rule,
    lead: &Subject,
    asking: Asking,
    candidates: &[Candidate],
) -> Option<Verdict> {
    let is_owner = |one: &Candidate| Some(one.user_id) == lead.owner && one.is_active;
    if matches!(asking, Asking::Reached(_)) && candidates.iter().any(is_owner) {
        return Some(Verdict::Kept { rule: place });
    }
    let chosen = choose(rule.strategy, candidates).and_then(|chosen| candidates.get(chosen));
    match (chosen, rule.when_nobody) {
        (Some(one), _) => Some(Verdict::Given {
            rule: place,
            user: one.user_id,
        }),
        (None, WhenNobody::Pool) => Some(Verdict::Nobody { rule: place }),
        (None, WhenNobody::NextRule) => None,
    }
}
