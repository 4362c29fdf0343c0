//! Evaluation: total, pure, and the same for everyone who asks.

use super::help;
use super::missing::gate_state;
use super::standing::{Answer, Approval, ApprovalState, ForeignAmount, Standing};
use super::verdict::{Evidence, Finding, State, Verdict};
use super::{Condition, Counting, Gate, How, Leaf, Node, Test};
use crate::kernel::expression::Truth;
use crate::kernel::text::{Say, say};
use crate::pipeline::definition::{Accept, AnswerType};
use crate::pipeline::records::record_kind;
use chrono::DateTime;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The amount in the company's currency, as evidence names it.
pub(super) const CONVERTED: &str = "amount_in_company_currency";
/// Most records named in evidence.
const MOST_IDS: usize = 20;
/// Most characters of a text shown in evidence.
const MOST_CHARACTERS: usize = 200;

impl Gate {
    /// Evaluates the whole tree. Pure: no clock but `facts.now`, no database.
    pub fn evaluate(&self, standing: &Standing) -> Verdict {
        let root = self.compiled.root.as_ref().map(|root| finding(root, standing));
        Verdict {
            state: gate_state(root.as_ref()),
            root: root.map(Box::new),
            hides_account: standing.hides_account,
        }
    }
}

fn finding(node: &Node, standing: &Standing) -> Finding {
    match node {
        Node::Group { how, of } => group(*how, of.iter().map(|child| finding(child, standing)).collect()),
        Node::Leaf(leaf) => criterion(leaf, standing),
    }
}

fn group(how: How, of: Vec<Finding>) -> Finding {
    let count = |state: State| {
        of.iter()
            .filter(|child| child.is_required && child.state == state)
            .count()
    };
    let (met, unknown) = (count(State::Met), count(State::Unknown));
    let counting = of.iter().filter(|child| child.is_required).count();
    let (kind, needed, at_least) = match how {
        How::All => ("all", counting, None),
        How::Any => ("any", counting.min(1), None),
        How::AtLeast(count) => ("at_least", count as usize, Some(count)),
    };
    let state = if met >= needed || counting == 0 {
        State::Met
    } else if met + unknown >= needed {
        State::Unknown
    } else {
        State::Unmet
    };
    let reason = (state != State::Met).then(|| {
        say(
            format!("{needed} of these {counting} must hold; {met} do"),
            format!("这 {counting} 项中须满足 {needed} 项，已满足 {met} 项"),
        )
    });
    Finding {
        kind,
        state,
        is_required: counting > 0,
        count: at_least,
        of,
        key: String::new(),
        label: String::new(),
        help: None,
        evidence: None,
        reason,
        who: None,
        call: None,
    }
}

/// What one criterion came to.
struct Outcome {
    state: State,
    evidence: Option<Evidence>,
    /// None when it is met.
    reason: Option<Say>,
}

fn criterion(leaf: &Leaf, standing: &Standing) -> Finding {
    let answer = standing.answers.get(&leaf.key);
    let outcome = match &leaf.test {
        Test::Check { needs_note } => check(*needs_note, answer),
        Test::Question { answer: of, accept } => question(of, accept.as_ref(), answer),
        Test::Field(condition) => field(condition, standing),
        Test::Record(counting) => record(counting, standing),
        Test::Approval => approval(standing.approvals.get(&leaf.key)),
    };
    let (who, call) = match outcome.state {
        State::Met => (None, None),
        State::Unmet | State::Unknown => help::for_criterion(leaf, &outcome.evidence, standing),
    };
    Finding {
        kind: leaf.kind,
        state: outcome.state,
        is_required: leaf.is_required,
        count: None,
        of: Vec::new(),
        key: leaf.key.clone(),
        label: leaf.label.clone(),
        help: leaf.help.clone(),
        evidence: outcome.evidence,
        reason: outcome.reason,
        who,
        call,
    }
}

fn met(evidence: Evidence) -> Outcome {
    Outcome {
        state: State::Met,
        evidence: Some(evidence),
        reason: None,
    }
}

fn not_met(state: State, evidence: Option<Evidence>, reason: Say) -> Outcome {
    Outcome {
        state,
        evidence,
        reason: Some(reason),
    }
}

fn given(answer: &Answer) -> Evidence {
    Evidence::Answer {
        answer: answer.answer.clone(),
        note: answer.note.clone(),
        by: answer.by.clone(),
        at: answer.at,
    }
}

fn check(needs_note: bool, answer: Option<&Answer>) -> Outcome {
    let Some(answer) = answer else {
        return not_met(State::Unmet, None, say("It is not ticked", "尚未勾选"));
    };
    let evidence = given(answer);
    let has_note = answer.note.as_deref().is_some_and(|note| !note.trim().is_empty());
    if answer.answer.as_bool() != Some(true) {
        not_met(State::Unmet, Some(evidence), say("It is not ticked", "尚未勾选"))
    } else if needs_note && !has_note {
        not_met(
            State::Unmet,
            Some(evidence),
            say("The tick needs a note", "勾选时须填写备注"),
        )
    } else {
        met(evidence)
    }
}

fn question(of: &AnswerType, accept: Option<&Accept>, answer: Option<&Answer>) -> Outcome {
    let Some(answer) = answer else {
        return not_met(State::Unknown, None, say("It is not answered", "尚未回答"));
    };
    let evidence = given(answer);
    match (of.read(&answer.answer), accept) {
        (Err(wanted), _) => not_met(
            State::Unmet,
            Some(evidence),
            say(format!("The answer {}", wanted.en), format!("回答{}", wanted.zh)),
        ),
        (Ok(answered), Some(accept)) if !accept.takes(&answered, of) => {
            let wanted = accept.described();
            not_met(
                State::Unmet,
                Some(evidence),
                say(
                    format!("The answer does not satisfy; what does: {}", wanted.en),
                    format!("该回答不满足要求；可接受：{}", wanted.zh),
                ),
            )
        }
        (Ok(_), _) => met(evidence),
    }
}

/// What a condition says, as a state, with the members it misses and why it does not hold.
fn truth(condition: &Condition, facts: &Value) -> (State, Vec<String>, Option<Say>) {
    let expression = match &condition.compiled {
        Ok(expression) => expression,
        Err(reason) => {
            let why = say(
                format!(
                    "The condition can no longer be computed: {}. Its pipeline needs a new version",
                    reason.en
                ),
                format!("条件已无法计算：{}。需要新的流程版本", reason.zh),
            );
            return (State::Unknown, Vec::new(), Some(why));
        }
    };
    match expression.evaluate(facts) {
        Truth::Met => (State::Met, Vec::new(), None),
        Truth::Unmet => (
            State::Unmet,
            Vec::new(),
            Some(say(
                format!("The condition does not hold: {}", condition.source),
                format!("条件不成立：{}", condition.source),
            )),
        ),
        Truth::Unknown { missing } => {
            let why = say(
                format!("Not yet known: {} is empty", missing.join(", ")),
                format!("尚不确定：{} 为空", missing.join("、")),
            );
            (State::Unknown, missing, Some(why))
        }
        Truth::Failed { reason } => {
            let why = say(
                format!("The condition cannot be computed: {}", reason.en),
                format!("条件无法计算：{}", reason.zh),
            );
            (State::Unknown, Vec::new(), Some(why))
        }
    }
}

fn field(condition: &Condition, standing: &Standing) -> Outcome {
    let (state, mut missing, mut reason) = truth(condition, &standing.facts);
    let mut values = values(condition, &standing.facts);
    if let Some(foreign) = &standing.foreign
        && condition.members().any(|member| member == "amount")
    {
        values.insert("amount".to_owned(), foreign.amount.as_str().into());
        values.insert("currency".to_owned(), foreign.currency.as_str().into());
        values.insert(CONVERTED.to_owned(), foreign.converted.clone().into());
        if let Some(at) = missing.iter().position(|name| name == "amount") {
            missing[at] = CONVERTED.to_owned();
            reason = Some(no_rate(foreign));
        }
    }
    Outcome {
        state,
        evidence: Some(Evidence::Field {
            expression: condition.source.clone(),
            values,
            missing,
        }),
        reason,
    }
}

fn no_rate(foreign: &ForeignAmount) -> Say {
    let (from, to) = (&foreign.currency, &foreign.company_currency);
    say(
        format!("Not yet known: there is no exchange rate of {from} into {to} for today"),
        format!("尚不确定：缺少今日 {from} 对 {to} 的汇率"),
    )
}

/// The single values and short lists that a condition read.
fn values(condition: &Condition, facts: &Value) -> Map<String, Value> {
    condition
        .members()
        .filter_map(|path| Some((path.clone(), shown(at_path(facts, path)?)?)))
        .collect()
}

/// The value at a dotted path.
pub(super) fn at_path<'a>(facts: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(facts, |at, name| at.get(name))
}

fn shown(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Bool(_) | Value::Number(_) => Some(value.clone()),
        Value::String(text) => Some(text.chars().take(MOST_CHARACTERS).collect::<String>().into()),
        Value::Array(items) => items
            .iter()
            .take(MOST_IDS)
            .map(|item| item.is_string().then(|| shown(item)).flatten())
            .collect(),
    }
}

fn record(counting: &Counting, standing: &Standing) -> Outcome {
    let mut tally = Tally::default();
    let records = standing.records.get(&counting.of);
    for record in records.into_iter().flatten() {
        if is_candidate(record, counting, standing) {
            tally.count(record, counting, &standing.facts);
        }
    }
    let needed = counting.at_least as usize;
    let state = tally.state(needed);
    let reason = match state {
        State::Met => None,
        State::Unmet | State::Unknown => Some(tally.reason(counting)),
    };
    Outcome {
        state,
        evidence: Some(Evidence::Record {
            of: counting.of.clone(),
            count: tally.counted.len(),
            needed: counting.at_least,
            record_ids: ids(&tally.counted),
            failing_ids: ids(&tally.failing),
        }),
        reason,
    }
}

/// Whether a record is live and, where that is asked for, made since the stage was entered.
pub(super) fn is_candidate(record: &Value, counting: &Counting, standing: &Standing) -> bool {
    let is_archived = record.get("archived_at").is_some_and(|at| !at.is_null());
    let made_at = || {
        let text = record.get("created_at")?.as_str()?;
        DateTime::parse_from_rfc3339(text).ok()
    };
    !is_archived && (!counting.since_entry || made_at().is_some_and(|at| at >= standing.entered_at))
}

/// The state of a condition over one record.
pub(super) fn over_record(
    condition: Option<&Condition>,
    record: &Value,
    facts: &Value,
) -> (State, Vec<String>) {
    let Some(condition) = condition else {
        return (State::Met, Vec::new());
    };
    let (state, missing, _) = truth(condition, &timed(condition, record, facts));
    (state, missing)
}

/// The record with the time of the facts, where the condition reads it.
fn timed<'a>(condition: &Condition, record: &'a Value, facts: &Value) -> Cow<'a, Value> {
    let mut record = Cow::Borrowed(record);
    for name in ["today", "now"] {
        if condition.members().any(|member| member == name)
            && let Some(time) = facts.get(name)
            && let Value::Object(members) = record.to_mut()
        {
            members.insert(name.to_owned(), time.clone());
        }
    }
    record
}

#[derive(Default)]
struct Tally<'a> {
    counted: Vec<&'a Value>,
    /// Of which it is not yet known whether they count.
    perhaps: usize,
    /// Those counted, or perhaps counted, that are not known to fulfil `every`.
    failing: Vec<&'a Value>,
    has_unmet: bool,
}

impl<'a> Tally<'a> {
    fn count(&mut self, record: &'a Value, counting: &Counting, facts: &Value) {
        let (counts, _) = over_record(counting.filter.as_ref(), record, facts);
        match counts {
            State::Unmet => return,
            State::Met => self.counted.push(record),
            State::Unknown => self.perhaps += 1,
        }
        let (fulfils, _) = over_record(counting.every.as_ref(), record, facts);
        if fulfils != State::Met {
            self.failing.push(record);
            self.has_unmet |= fulfils == State::Unmet && counts == State::Met;
        }
    }

    fn state(&self, needed: usize) -> State {
        if self.has_unmet || self.counted.len() + self.perhaps < needed {
            State::Unmet
        } else if self.counted.len() < needed || !self.failing.is_empty() {
            State::Unknown
        } else {
            State::Met
        }
    }

    fn reason(&self, counting: &Counting) -> Say {
        let (count, needed, of) = (self.counted.len(), counting.at_least, &counting.of);
        let of_zh = record_kind(of).map_or(of.as_str(), |kind| kind.name_zh);
        let source = |condition: &Option<Condition>| condition.as_ref().map(|it| it.source.clone());
        let (counts, each) = (source(&counting.filter), source(&counting.every));
        let counts_en = counts
            .as_ref()
            .map(|it| format!("; it counts where {it}"))
            .unwrap_or_default();
        let counts_zh = counts.map(|it| format!("；计入条件：{it}")).unwrap_or_default();
        let each_en = each.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
        let each_zh = each.map(|it| format!("：{it}")).unwrap_or_default();
        if count < needed as usize {
            let (since_en, since_zh) = if counting.since_entry {
                (" made since the stage was entered", "（进入本阶段后新建）")
            } else {
                ("", "")
            };
            let (more_en, more_zh) = if self.perhaps > 0 {
                (
                    format!("; of {} more it is not yet known", self.perhaps),
                    format!("；另有 {} 条尚不确定", self.perhaps),
                )
            } else {
                (String::new(), String::new())
            };
            return say(
                format!("{needed} {of} needed{since_en}, {count} count{more_en}{counts_en}"),
                format!("需要 {needed} 条{of_zh}{since_zh}，符合的有 {count} 条{more_zh}{counts_zh}"),
            );
        }
        let failing = self.failing.len();
        say(
            format!("{failing} {of} not known to fulfil the condition for each{each_en}"),
            format!("有 {failing} 条{of_zh}未满足逐条条件{each_zh}"),
        )
    }
}

fn ids(records: &[&Value]) -> Vec<String> {
    let ids = records.iter().filter_map(|record| record.get("id")?.as_str());
    ids.take(MOST_IDS).map(str::to_owned).collect()
}

fn approval(approval: Option<&Approval>) -> Outcome {
    let approval = approval.cloned().unwrap_or_default();
    let state = approval.state;
    let evidence = Evidence::Approval {
        state,
        request_id: approval.request_id,
        waiting_for: approval.waiting_for,
    };
    let reason = match state {
        ApprovalState::Approved => return met(evidence),
        ApprovalState::NotAsked => say("The approval was not asked for", "尚未提交审批"),
        ApprovalState::Pending => say("The approval is being decided", "审批进行中"),
        ApprovalState::Rejected => say("The approval was rejected", "审批被驳回"),
        ApprovalState::Returned => say("The approval was returned for changes", "审批被退回修改"),
        ApprovalState::Withdrawn => say("The approval was withdrawn", "审批已撤回"),
        ApprovalState::Lapsed => say(
            "The approval lapsed: what was approved changed since",
            "审批已失效：审批内容之后发生了变化",
        ),
    };
    not_met(State::Unmet, Some(evidence), reason)
}
