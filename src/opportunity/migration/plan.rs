//! What a migration means for a deal. Pure: no clock, no database, no HTTP. The preview, the run and the tests ask the
//! same functions.

use super::wire::AnswerRule;
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::pipeline::definition::{AnswerType, GateNode};
use crate::pipeline::service::Definition;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use uuid::Uuid;

/// A version that deals leave, with how many open ones are in each of its stages.
pub struct Left<'a> {
    pub definition: &'a Definition,
    pub open: BTreeMap<Uuid, i64>,
}

/// Stage left to stage entered. Stages keep their ids through versions, so one mapping serves all versions left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping(BTreeMap<Uuid, Uuid>);

impl Mapping {
    /// Reads a mapping of stage keys: what it does not name goes to the stage of the same key.
    ///
    /// # Errors
    /// Every fault at `/stages/{key}`: a stage that no version left has, a target that the version entered lacks, a stage
    /// with open deals that goes nowhere.
    pub fn resolve(
        left: &[Left<'_>],
        to: &Definition,
        named: &BTreeMap<String, String>,
    ) -> Result<Mapping, Vec<Fault>> {
        let mut faults = unknown_stages(left, to, named);
        let mut mapping = Mapping::default();
        let mut lacking: BTreeMap<&str, i64> = BTreeMap::new();
        for version in left {
            for step in version.definition.course.steps() {
                let key = named.get(&step.key).unwrap_or(&step.key);
                match to.step_by_key(key) {
                    Some(target) => {
                        mapping.0.insert(step.id, target.id);
                    }
                    None if named.contains_key(&step.key) => {}
                    None => {
                        let open = version.open.get(&step.id).copied().unwrap_or_default();
                        *lacking.entry(&step.key).or_default() += open;
                    }
                }
            }
        }
        let lacking = lacking.into_iter().filter(|(_, open)| *open > 0);
        faults.extend(lacking.map(|(key, open)| goes_nowhere(key, open)));
        if faults.is_empty() {
            Ok(mapping)
        } else {
            Err(faults)
        }
    }

    /// A mapping as it was kept: of what both sides still have.
    pub fn of_keys(left: &[&Definition], to: &Definition, keys: &BTreeMap<String, String>) -> Mapping {
        let steps = left.iter().flat_map(|version| version.course.steps());
        let pairs = steps.filter_map(|step| {
            let target = to.step_by_key(keys.get(&step.key)?)?;
            Some((step.id, target.id))
        });
        Mapping(pairs.collect())
    }

    /// The mapping by keys, as it is shown and kept.
    pub fn keys(&self, left: &[Left<'_>], to: &Definition) -> BTreeMap<String, String> {
        let steps = left.iter().flat_map(|version| version.definition.course.steps());
        let pairs = steps.filter_map(|step| {
            let target = to.step(self.target(step.id)?)?;
            Some((step.key.clone(), target.key.clone()))
        });
        pairs.collect()
    }

    pub fn target(&self, stage: Uuid) -> Option<Uuid> {
        self.0.get(&stage).copied()
    }
}

fn at(key: &str) -> String {
    format!("/stages/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn unknown_stages(left: &[Left<'_>], to: &Definition, named: &BTreeMap<String, String>) -> Vec<Fault> {
    let known = left
        .iter()
        .flat_map(|version| version.definition.course.steps())
        .map(|step| step.key.as_str())
        .collect::<BTreeSet<_>>();
    let mut faults = Vec::new();
    for (from, target) in named {
        if !known.contains(from.as_str()) {
            let message = say(
                format!("{from} is no stage of a version that is left"),
                format!("{from} 不是被迁出版本的阶段"),
            );
            faults.push(Fault::new(at(from), "unknown_value", message));
        }
        if to.step_by_key(target).is_none() {
            let keys = to.course.steps().iter().map(|step| step.key.as_str());
            let keys = keys.collect::<Vec<_>>();
            let message = say(
                format!(
                    "{target} is no stage of version {}; there is: {}",
                    to.number,
                    keys.join(", ")
                ),
                format!(
                    "{target} 不是版本 {} 的阶段；可选：{}",
                    to.number,
                    keys.join("、")
                ),
            );
            faults.push(Fault::new(at(from), "unknown_value", message));
        }
    }
    faults
}

fn goes_nowhere(key: &str, open: i64) -> Fault {
    let message = say(
        format!(
            "is required: {open} open opportunity(ies) are in this stage, and the version entered has none of that key"
        ),
        format!("为必填项：该阶段有 {open} 个进行中的商机，而目标版本没有同名阶段"),
    );
    Fault::new(at(key), "required", message)
}

/// A deal as far as a migration asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Deal {
    pub stage_id: Uuid,
    /// The criteria ticked or answered in its visit.
    pub answered: Vec<Uuid>,
    pub requests: Vec<Request>,
}

/// An approval request of the visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub id: Uuid,
    pub criterion_id: Option<Uuid>,
    pub process_key: String,
    pub standing: RequestStanding,
}

/// What would be lost with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestStanding {
    Pending,
    /// Granted, and still about what the deal says.
    Granted,
    /// Nothing that counts.
    Void,
}

/// Whether a deal stays in its visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    Kept,
    Begun,
}

/// A tick or answer that goes along: from criterion to criterion, the same one in a visit that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    pub key: String,
    pub from: Uuid,
    pub to: Uuid,
}

/// What becomes of a deal.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub to_stage_id: Uuid,
    pub visit: Visit,
    pub carried: Vec<Carried>,
    /// Criterion ids with their keys.
    pub dropped: Vec<(Uuid, String)>,
    /// Pending requests that nothing asks for any more.
    pub withdrawn: Vec<Uuid>,
    /// Grants that count no longer. They come back to force when the move is taken back.
    pub lost: Vec<Uuid>,
}

/// Plans one open deal; `None` when its stage goes nowhere.
pub fn plan(
    deal: &Deal,
    from: &Definition,
    to: &Definition,
    mapping: &Mapping,
    rule: AnswerRule,
) -> Option<Plan> {
    let to_stage_id = mapping.target(deal.stage_id)?;
    let visit = match to_stage_id == deal.stage_id {
        true => Visit::Kept,
        false => Visit::Begun,
    };
    let mut plan = Plan {
        to_stage_id,
        visit,
        carried: Vec::new(),
        dropped: Vec::new(),
        withdrawn: Vec::new(),
        lost: Vec::new(),
    };
    for answered in &deal.answered {
        let key = key_of(from, deal.stage_id, *answered).or_else(|| key_of(to, to_stage_id, *answered));
        let key = key.unwrap_or_default();
        match criterion_to(&key, *answered, deal.stage_id, from, to_stage_id, to, rule) {
            Some(criterion) => plan.carried.push(Carried {
                key,
                from: *answered,
                to: criterion,
            }),
            None => plan.dropped.push((*answered, key)),
        }
    }
    for request in &deal.requests {
        if visit == Visit::Kept && is_asked_for(request, to, to_stage_id) {
            continue;
        }
        match request.standing {
            RequestStanding::Pending => plan.withdrawn.push(request.id),
            RequestStanding::Granted => plan.lost.push(request.id),
            RequestStanding::Void => {}
        }
    }
    Some(plan)
}

fn key_of(definition: &Definition, stage: Uuid, criterion: Uuid) -> Option<String> {
    let criteria = &definition.stage(stage)?.criteria;
    criteria
        .iter()
        .find_map(|(key, id)| (*id == criterion).then(|| key.clone()))
}

/// The criterion to which a tick or answer goes, if it goes along.
fn criterion_to(
    key: &str,
    criterion: Uuid,
    from_stage: Uuid,
    from: &Definition,
    to_stage: Uuid,
    to: &Definition,
    rule: AnswerRule,
) -> Option<Uuid> {
    let left = from.stage_document(from_stage)?.criterion(key)?;
    let entered = to.stage_document(to_stage)?.criterion(key)?;
    let id = *to.stage(to_stage)?.criteria.get(key)?;
    let is_meant = match rule {
        AnswerRule::ByCriterion => id == criterion,
        AnswerRule::ByKey => true,
        AnswerRule::Drop => false,
    };
    (is_meant && agree(left.node, entered.node)).then_some(id)
}

/// Whether an answer to the one is an answer to the other: the same kind of criterion, of a question the same type. Whether
/// it then satisfies is the gate's business.
fn agree(left: &GateNode, entered: &GateNode) -> bool {
    match (left, entered) {
        (GateNode::Check { .. }, GateNode::Check { .. }) => true,
        (GateNode::Question { answer: one, .. }, GateNode::Question { answer: other, .. }) => {
            same_type(one, other)
        }
        _ => false,
    }
}

fn same_type(one: &AnswerType, other: &AnswerType) -> bool {
    discriminant(one) == discriminant(other)
}

/// Whether the gate of the stage entered asks for this very approval.
fn is_asked_for(request: &Request, to: &Definition, stage: Uuid) -> bool {
    let asked = || {
        let key = key_of(to, stage, request.criterion_id?)?;
        let process = to.stage_document(stage)?.criterion(&key)?.node.process()?;
        Some(process == request.process_key)
    };
    asked().unwrap_or(false)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
