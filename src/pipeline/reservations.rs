//! What does not keep a pipeline document from being published, and is worth knowing all the same.

use super::definition::{GateNode, PipelineDocument};
use super::vocabulary::Known;
use crate::approval::coverage::uncovered;
use crate::kernel::expression::Expression;
use crate::kernel::fault::Warning;
use crate::kernel::text::say;
use std::collections::{BTreeMap, BTreeSet};

impl PipelineDocument {
    /// Approvals of a stage that stay as they are when a member changes that the stage's required conditions read, with
    /// pointers into the document. `contents`: what each process binds its approvals to, by its key.
    ///
    /// Codes: `not_covered`.
    pub fn reservations(&self, known: &Known, contents: &BTreeMap<String, Vec<String>>) -> Vec<Warning> {
        let stages = self.stages.iter().enumerate();
        let gates = stages.filter_map(|(position, stage)| Some((position, stage.gate.as_ref()?)));
        gates
            .flat_map(|(position, gate)| {
                let mut found = Looked::default();
                found.node(&format!("/stages/{position}/gate"), gate, known);
                found.told(contents)
            })
            .collect()
    }
}

/// What one gate names.
#[derive(Default)]
struct Looked<'a> {
    read: BTreeSet<String>,
    /// Pointers and keys of the processes.
    processes: Vec<(String, &'a str)>,
}

impl<'a> Looked<'a> {
    fn node(&mut self, at: &str, node: &'a GateNode, known: &Known) {
        match node {
            GateNode::Field {
                expression,
                is_required: true,
                ..
            } => {
                let compiled = Expression::compile(expression, &known.opportunity);
                self.read
                    .extend(compiled.iter().flat_map(|it| it.members().iter().cloned()));
            }
            GateNode::Approval { process, .. } => self.processes.push((format!("{at}/process"), process)),
            GateNode::Field { .. }
            | GateNode::Check { .. }
            | GateNode::Question { .. }
            | GateNode::Record { .. }
            | GateNode::All { .. }
            | GateNode::Any { .. }
            | GateNode::AtLeast { .. } => {}
        }
        for (index, child) in node.children().iter().enumerate() {
            self.node(&format!("{at}/of/{index}"), child, known);
        }
    }

    fn told(self, contents: &BTreeMap<String, Vec<String>>) -> Vec<Warning> {
        let bound = self.processes.iter();
        let bound = bound.filter_map(|(at, key)| Some((at, contents.get(*key)?)));
        bound
            .filter_map(|(at, content)| {
                let lacking = uncovered(&self.read, content);
                (!lacking.is_empty()).then(|| not_covered(at, &lacking))
            })
            .collect()
    }
}

fn not_covered(at: &str, lacking: &[String]) -> Warning {
    let (en, zh) = (lacking.join(", "), lacking.join("、"));
    let message = say(
        format!(
            "is not bound to {en}, which conditions of this stage read: a change there leaves the approval as it is"
        ),
        format!("未绑定此阶段条件所读取的成员 {zh}：这些成员变更后审批仍然有效"),
    );
    Warning::new(at, "not_covered", message)
}
