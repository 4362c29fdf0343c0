//! What keeps a pipeline document from being published, all of it at once.

use super::definition::{
    GateNode, MOST_CRITERIA, MOST_GATE_LEVELS, MOST_STAGES, PipelineDocument, StageDocument,
};
use super::vocabulary::Known;
use crate::kernel::expression::{self, Expression, Vocabulary};
use crate::kernel::fault::Fault;
use crate::kernel::text::{Say, say};
use rust_decimal::Decimal;
use std::collections::BTreeSet;

mod questions;

/// Whether a text is a key: `[a-z][a-z0-9_]*`, at most 63 characters.
pub fn is_key(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

impl PipelineDocument {
    /// Everything that keeps this document from being published, with pointers into it; empty when it may be.
    ///
    /// Codes: `wrong_form`, `required`, `duplicate`, `too_few`, `too_many`, `too_deep`, `out_of_range`, `unknown_stage`,
    /// `backward_edge`, `unreachable`, `no_final_stage`, `no_approval`, `empty_group`, `demands_nothing`, `always_met`,
    /// `unknown_record_kind`, `unknown_process`, `repeated_process`, `invalid`, and those of expressions.
    pub fn faults(&self, known: &Known) -> Vec<Fault> {
        let mut found = Found {
            known,
            faults: Vec::new(),
        };
        found.key("/key", &self.key);
        found.words("/name", &self.name);
        found.stages(self);
        for (position, stage) in self.stages.iter().enumerate() {
            found.stage(&format!("/stages/{position}"), stage);
        }
        found.faults
    }
}

struct Found<'a> {
    known: &'a Known,
    faults: Vec<Fault>,
}

impl Found<'_> {
    fn add(&mut self, at: impl Into<String>, code: &'static str, en: &str, zh: &str) {
        self.faults.push(Fault::new(at, code, say(en, zh)));
    }

    fn key(&mut self, at: &str, key: &str) {
        if !is_key(key) {
            self.add(
                at,
                "wrong_form",
                "must be lower-case letters, digits and _, beginning with a letter, at most 63",
                "只能用小写字母、数字和下划线，以字母开头，最多 63 个字符",
            );
        }
    }

    fn words(&mut self, at: &str, words: &str) {
        if words.trim().is_empty() {
            self.faults.push(Fault::required(at));
        }
    }

    fn stages(&mut self, document: &PipelineDocument) {
        let stages = &document.stages;
        if stages.is_empty() {
            self.add(
                "/stages",
                "too_few",
                "a pipeline has at least one stage",
                "销售流程至少要有一个阶段",
            );
            return;
        }
        if stages.len() > MOST_STAGES {
            self.add(
                "/stages",
                "too_many",
                &format!("a pipeline has at most {MOST_STAGES} stages"),
                &format!("销售流程最多 {MOST_STAGES} 个阶段"),
            );
        }
        let mut seen = BTreeSet::new();
        for (position, stage) in stages.iter().enumerate() {
            if !seen.insert(&stage.key) {
                self.faults.push(repeated(format!("/stages/{position}/key")));
            }
            self.edges(document, position);
        }
        self.way_to_the_win(document);
    }

    fn edges(&mut self, document: &PipelineDocument, from: usize) {
        let Some(next) = &document.stages[from].next else {
            return;
        };
        let mut seen = BTreeSet::new();
        for (index, key) in next.iter().enumerate() {
            let at = format!("/stages/{from}/next/{index}");
            if !seen.insert(key) {
                self.faults.push(repeated(at.clone()));
            }
            match document.stages.iter().position(|stage| stage.key == *key) {
                None => self.add(at, "unknown_stage", "no stage has this key", "没有此标识的阶段"),
                Some(to) if to == from => self.add(
                    at,
                    "backward_edge",
                    "an edge leads to a later stage, not to itself",
                    "只能指向后面的阶段，不能指向自身",
                ),
                Some(to) if to < from => self.add(
                    at,
                    "backward_edge",
                    "an edge leads to a later stage; going back is a regress",
                    "只能指向后面的阶段；返回请用退回",
                ),
                Some(_) => {}
            }
        }
    }

    fn way_to_the_win(&mut self, document: &PipelineDocument) {
        let count = document.stages.len();
        let is_final = |position: usize| match &document.stages[position].next {
            None => position + 1 == count,
            Some(next) => next.is_empty(),
        };
        if !(0..count).any(is_final) {
            self.add(
                "/stages",
                "no_final_stage",
                "some stage must have no edge out, so that a deal can be won",
                "至少要有一个没有后续的阶段，商机才能赢单",
            );
        }
        let mut reached = BTreeSet::from([0]);
        for position in 0..count {
            if reached.contains(&position) {
                reached.extend(document.edges(position).into_iter().filter(|to| *to > position));
            }
        }
        for position in (0..count).filter(|position| !reached.contains(position)) {
            self.add(
                format!("/stages/{position}"),
                "unreachable",
                "no way leads from the first stage to this one",
                "从第一个阶段无法到达此阶段",
            );
        }
    }

    fn stage(&mut self, at: &str, stage: &StageDocument) {
        self.key(&format!("{at}/key"), &stage.key);
        self.words(&format!("{at}/name"), &stage.name);
        if stage.probability.0 < Decimal::ZERO || stage.probability.0 > Decimal::ONE {
            self.add(
                format!("{at}/probability"),
                "out_of_range",
                "a probability is a share from 0 to 1",
                "概率必须在 0 到 1 之间",
            );
        }
        if stage.expected_dwell_seconds.is_some_and(|dwell| dwell < 1) {
            self.add(
                format!("{at}/expected_dwell_seconds"),
                "out_of_range",
                "must be at least 1",
                "不得小于 1",
            );
        }
        self.approvals(at, stage);
        let Some(gate) = &stage.gate else { return };
        let at = format!("{at}/gate");
        if stage.criteria().len() > MOST_CRITERIA {
            self.add(
                at.as_str(),
                "too_many",
                &format!("a stage has at most {MOST_CRITERIA} criteria"),
                &format!("一个阶段最多 {MOST_CRITERIA} 个条件"),
            );
        }
        self.node(&at, gate, 1);
        self.repetitions(&at, gate, &mut Seen::default());
    }

    fn approvals(&mut self, at: &str, stage: &StageDocument) {
        let has_approval = stage
            .criteria()
            .iter()
            .any(|criterion| criterion.is_required && criterion.kind == "approval");
        if has_approval {
            return;
        }
        let flags = [
            ("asks_approval_by_itself", stage.asks_approval_by_itself),
            ("advances_when_approved", stage.advances_when_approved),
        ];
        for (flag, _) in flags.iter().filter(|(_, is_set)| *is_set) {
            self.add(
                format!("{at}/{flag}"),
                "no_approval",
                "the stage has no required approval for this to mean anything",
                "此阶段没有必需的审批条件，此设置无意义",
            );
        }
    }

    fn repetitions<'n>(&mut self, at: &str, node: &'n GateNode, seen: &mut Seen<'n>) {
        if let Some(criterion) = node.as_criterion()
            && !seen.keys.insert(criterion.key)
        {
            self.faults.push(repeated(format!("{at}/key")));
        }
        if let GateNode::Approval { process, .. } = node
            && !seen.processes.insert(process)
        {
            self.add(
                format!("{at}/process"),
                "repeated_process",
                "another criterion of this stage asks for the same approval process",
                "此阶段的另一个条件已使用同一审批流程",
            );
        }
        for (index, child) in node.children().iter().enumerate() {
            self.repetitions(&format!("{at}/of/{index}"), child, seen);
        }
    }

    fn node(&mut self, at: &str, node: &GateNode, level: usize) {
        if level > MOST_GATE_LEVELS {
            self.add(
                at,
                "too_deep",
                &format!("a gate has at most {MOST_GATE_LEVELS} levels"),
                &format!("条件最多嵌套 {MOST_GATE_LEVELS} 层"),
            );
            return;
        }
        match node {
            GateNode::All { of } => self.group(at, of, level),
            GateNode::Any { of } => {
                self.group(at, of, level);
                self.alternatives(at, of);
            }
            GateNode::AtLeast { count, of } => {
                self.group(at, of, level);
                self.alternatives(at, of);
                if *count < 1 || *count as usize > of.len() {
                    self.add(
                        format!("{at}/count"),
                        "out_of_range",
                        &format!("must be from 1 to the number of nodes, {}", of.len()),
                        &format!("必须在 1 到节点数 {} 之间", of.len()),
                    );
                }
            }
            GateNode::Check { .. }
            | GateNode::Question { .. }
            | GateNode::Field { .. }
            | GateNode::Record { .. }
            | GateNode::Approval { .. } => self.criterion(at, node),
        }
    }

    fn group(&mut self, at: &str, of: &[GateNode], level: usize) {
        if of.is_empty() {
            self.add(
                format!("{at}/of"),
                "empty_group",
                "a group has at least one node",
                "条件组至少要有一个节点",
            );
        }
        for (index, child) in of.iter().enumerate() {
            self.node(&format!("{at}/of/{index}"), child, level + 1);
        }
    }

    /// An alternative that demands nothing would make the choice pointless, or never count.
    fn alternatives(&mut self, at: &str, of: &[GateNode]) {
        for (index, child) in of.iter().enumerate() {
            if !child.counts() {
                self.add(
                    format!("{at}/of/{index}"),
                    "demands_nothing",
                    "an alternative must require something; optional criteria count for nothing",
                    "可选分支必须有必需条件；非必需条件不计入",
                );
            }
        }
    }

    fn criterion(&mut self, at: &str, node: &GateNode) {
        if let Some(criterion) = node.as_criterion() {
            self.key(&format!("{at}/key"), criterion.key);
            self.words(&format!("{at}/label"), criterion.label);
        }
        match node {
            GateNode::Question { answer, accept, .. } => self.question(at, answer, accept.as_ref()),
            GateNode::Field { expression, .. } => {
                let known = self.known;
                self.expression(&format!("{at}/expression"), expression, &known.opportunity);
            }
            GateNode::Record { .. } => self.record(at, node),
            GateNode::Approval { process, .. } => {
                if !self.known.processes.contains(process) {
                    self.add(
                        format!("{at}/process"),
                        "unknown_process",
                        "no published approval process has this key",
                        "没有此标识的已发布审批流程",
                    );
                }
            }
            GateNode::Check { .. }
            | GateNode::All { .. }
            | GateNode::Any { .. }
            | GateNode::AtLeast { .. } => {}
        }
    }

    fn record(&mut self, at: &str, node: &GateNode) {
        let GateNode::Record {
            of,
            filter,
            every,
            at_least,
            ..
        } = node
        else {
            return;
        };
        if *at_least == 0 && every.is_none() {
            self.add(
                format!("{at}/at_least"),
                "always_met",
                "0 records without `every` would always hold",
                "未设 every 时数量为 0 将恒成立",
            );
        }
        let known = self.known;
        let Some(vocabulary) = known.records.get(of) else {
            let kinds = known.records.keys().map(String::as_str);
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            self.add(
                format!("{at}/of"),
                "unknown_record_kind",
                &format!("must be one of: {kinds}"),
                &format!("必须是以下之一：{kinds}"),
            );
            return;
        };
        for (member, condition) in [("where", filter), ("every", every)] {
            if let Some(condition) = condition {
                self.expression(&format!("{at}/{member}"), condition, vocabulary);
            }
        }
    }

    fn expression(&mut self, at: &str, source: &str, vocabulary: &Vocabulary) {
        if let Err(faults) = Expression::draft(source, vocabulary) {
            self.faults.extend(
                faults
                    .iter()
                    .map(|fault| Fault::new(at, fault.code, placed(fault))),
            );
        }
    }
}

#[derive(Default)]
struct Seen<'n> {
    keys: BTreeSet<&'n str>,
    processes: BTreeSet<&'n str>,
}

fn repeated(at: String) -> Fault {
    Fault::new(at, "duplicate", say("is used already", "已被使用"))
}

/// What is wrong with an expression, with the place in it.
fn placed(fault: &expression::Fault) -> Say {
    match fault.position {
        None => fault.message.clone(),
        Some(place) => say(
            format!(
                "line {}, column {}: {}",
                place.line, place.column, fault.message.en
            ),
            format!("第 {} 行第 {} 列：{}", place.line, place.column, fault.message.zh),
        ),
    }
}

#[cfg(test)]
mod tests;
