//! The rules by which a deal moves. Pure: no clock, no database, no HTTP. Who may skip or override is asked before.

use crate::kernel::error::AppError;
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::{Lang, Say, say};
use crate::pipeline::course::{Course, Step};
use crate::pipeline::gate::{Gate, GateState, Standing, Verdict};
use serde_json::json;
use uuid::Uuid;

/// Whether a deal is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Open,
    Won,
    Lost,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Won => "won",
            Status::Lost => "lost",
        }
    }

    /// Reads the column.
    pub fn parse(text: &str) -> Option<Status> {
        [Status::Open, Status::Won, Status::Lost]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A deal where it is: locked, as read in the same transaction.
#[derive(Debug, Clone, Copy)]
pub struct Deal<'a> {
    pub status: Status,
    pub stage_id: Uuid,
    /// The course of the version the deal is on.
    pub course: &'a Course,
}

/// What a caller wants: out of the stage they saw, to a target or wherever the only edge leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    pub from_stage_id: Uuid,
    pub to_stage_id: Option<Uuid>,
}

/// Where an advance leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Stage(Uuid),
    Win,
}

impl Target {
    /// The stage; none for the win.
    pub fn stage(self) -> Option<Uuid> {
        match self {
            Target::Stage(id) => Some(id),
            Target::Win => None,
        }
    }
}

/// What is done about an advance.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Advance {
        to: Uuid,
        evidence: Verdict,
    },
    Win {
        evidence: Verdict,
    },
    /// Everything else holds and the stage asks by itself: ask for these approvals, and remember the target.
    AskApproval {
        /// Criterion keys, in the order of the gate; at least one.
        criteria: Vec<String>,
        target: Target,
        evidence: Verdict,
    },
}

/// A way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regress {
    pub to: Uuid,
    /// The target and every later stage: their ticks, answers and approvals no longer count, pending requests are withdrawn.
    pub voided: Vec<Uuid>,
}

/// Why a deal does not move.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    AlreadyClosed(Status),
    /// It is in this stage by now.
    StageChanged {
        stage_id: Uuid,
        stage_name: String,
    },
    /// Several edges lead on: these stages, by id and name.
    TargetNeeded(Vec<(Uuid, String)>),
    /// The target is none of the stages allowed here, by id and name.
    TargetNotAllowed(Vec<(Uuid, String)>),
    GateNotMet(Verdict),
    /// It is in the first stage.
    NoEarlierStage,
    /// It is in the last stage.
    NoLaterStage,
    /// The pipeline forbids going back.
    RegressForbidden,
    ReasonNeeded,
    /// The deal's stage is not in its version: the data is broken.
    UnknownStage(Uuid),
}

/// Decides one advance: by one edge, or out of a final stage to the win, if and only if the gate is open.
///
/// # Errors
/// In this order: closed, moved by somebody else, target unclear or not allowed, gate not open.
pub fn decide(deal: &Deal<'_>, gate: &Gate, standing: &Standing, wish: Wish) -> Result<Decision, Refusal> {
    let step = present_step(deal, wish.from_stage_id)?;
    let target = target(deal.course, step, wish.to_stage_id)?;
    let verdict = gate.evaluate(standing);
    match &verdict.state {
        GateState::Open => Ok(moved(target, verdict)),
        GateState::OnlyApprovalMissing { to_ask, .. }
            if step.asks_approval_by_itself && !to_ask.is_empty() =>
        {
            Ok(Decision::AskApproval {
                criteria: to_ask.clone(),
                target,
                evidence: verdict,
            })
        }
        GateState::OnlyApprovalMissing { .. } | GateState::Closed => Err(Refusal::GateNotMet(verdict)),
    }
}

/// Decides, in the transaction of an approval, whether the deal moves on by itself: only out of the stage that was left
/// when it was asked for, if that stage says so, to the target remembered or the only one, and if the whole gate is open.
pub fn after_approval(deal: &Deal<'_>, gate: &Gate, standing: &Standing, asked: Wish) -> Option<Decision> {
    let step = present_step(deal, asked.from_stage_id).ok()?;
    if !step.advances_when_approved {
        return None;
    }
    let target = target(deal.course, step, asked.to_stage_id).ok()?;
    let verdict = gate.evaluate(standing);
    verdict.is_open().then(|| moved(target, verdict))
}

/// Moves along an edge, or wins, whatever the gate says; the verdict is kept as evidence. For who may override.
///
/// # Errors
/// Those of [`decide`] but for the gate, and a missing reason.
pub fn decide_override(
    deal: &Deal<'_>,
    gate: &Gate,
    standing: &Standing,
    wish: Wish,
    reason: &str,
) -> Result<Decision, Refusal> {
    let step = present_step(deal, wish.from_stage_id)?;
    let target = target(deal.course, step, wish.to_stage_id)?;
    needs_reason(reason)?;
    Ok(moved(target, gate.evaluate(standing)))
}

/// Skips to a later stage, edge or not; the stages between get no visit. For who may override.
///
/// # Errors
/// Closed, moved by somebody else, a target that is not a later stage, or no reason.
pub fn decide_skip(
    deal: &Deal<'_>,
    gate: &Gate,
    standing: &Standing,
    from_stage_id: Uuid,
    to_stage_id: Uuid,
    reason: &str,
) -> Result<Decision, Refusal> {
    let step = present_step(deal, from_stage_id)?;
    let later = deal.course.after(step);
    if later.is_empty() {
        return Err(Refusal::NoLaterStage);
    }
    if !later.iter().any(|step| step.id == to_stage_id) {
        return Err(Refusal::TargetNotAllowed(named(later)));
    }
    needs_reason(reason)?;
    Ok(moved(Target::Stage(to_stage_id), gate.evaluate(standing)))
}

/// Takes a deal back to an earlier stage.
///
/// # Errors
/// Closed, moved by somebody else, forbidden by the pipeline, a target that is not an earlier stage, or no reason.
pub fn decide_regress(
    deal: &Deal<'_>,
    from_stage_id: Uuid,
    to_stage_id: Uuid,
    reason: &str,
) -> Result<Regress, Refusal> {
    let step = present_step(deal, from_stage_id)?;
    if !deal.course.is_regress_allowed {
        return Err(Refusal::RegressForbidden);
    }
    let earlier = deal.course.before(step);
    if earlier.is_empty() {
        return Err(Refusal::NoEarlierStage);
    }
    let Some(to) = earlier.iter().find(|step| step.id == to_stage_id) else {
        return Err(Refusal::TargetNotAllowed(named(earlier)));
    };
    needs_reason(reason)?;
    let voided = deal.course.after(to).iter().map(|step| step.id);
    Ok(Regress {
        to: to.id,
        voided: [to.id].into_iter().chain(voided).collect(),
    })
}

/// The stage an open deal is in, if it is the one the caller saw.
fn present_step<'a>(deal: &Deal<'a>, seen: Uuid) -> Result<&'a Step, Refusal> {
    if deal.status != Status::Open {
        return Err(Refusal::AlreadyClosed(deal.status));
    }
    let step = deal
        .course
        .step(deal.stage_id)
        .ok_or(Refusal::UnknownStage(deal.stage_id))?;
    if step.id != seen {
        return Err(Refusal::StageChanged {
            stage_id: step.id,
            stage_name: step.name.clone(),
        });
    }
    Ok(step)
}

fn target(course: &Course, step: &Step, wanted: Option<Uuid>) -> Result<Target, Refusal> {
    let onward = course.onward(step);
    let allowed = || named(onward.iter().copied());
    match (wanted, onward.as_slice()) {
        (None, []) => Ok(Target::Win),
        (None, [only]) => Ok(Target::Stage(only.id)),
        (None, _) => Err(Refusal::TargetNeeded(allowed())),
        (Some(id), edges) if edges.iter().any(|step| step.id == id) => Ok(Target::Stage(id)),
        (Some(_), _) => Err(Refusal::TargetNotAllowed(allowed())),
    }
}

/// Whether a stage that is wished for, if any, is one to which the present one leads.
///
/// # Errors
/// Closed, or a target that is not allowed.
pub fn allowed_target(deal: &Deal<'_>, wanted: Option<Uuid>) -> Result<(), Refusal> {
    let step = present_step(deal, deal.stage_id)?;
    match wanted {
        None => Ok(()),
        Some(_) => target(deal.course, step, wanted).map(|_| ()),
    }
}

fn moved(target: Target, evidence: Verdict) -> Decision {
    match target {
        Target::Stage(to) => Decision::Advance { to, evidence },
        Target::Win => Decision::Win { evidence },
    }
}

fn needs_reason(reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() {
        Err(Refusal::ReasonNeeded)
    } else {
        Ok(())
    }
}

fn named<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<(Uuid, String)> {
    steps
        .into_iter()
        .map(|step| (step.id, step.name.clone()))
        .collect()
}

impl Refusal {
    /// The refusal as an error; `gate` is in the caller's language.
    pub fn into_error(self, lang: Lang) -> AppError {
        match self {
            Refusal::AlreadyClosed(status) => AppError::refuse(
                Code::AlreadyClosed,
                say(
                    format!("The opportunity is {}", status.as_str()),
                    match status {
                        Status::Won => "商机已赢单",
                        Status::Lost => "商机已输单",
                        Status::Open => "商机未在进行",
                    },
                ),
            ),
            Refusal::StageChanged { stage_id, stage_name } => AppError::refuse(
                Code::StageChanged,
                say(
                    format!("It is in the stage \"{stage_name}\" by now"),
                    format!("商机现处于阶段“{stage_name}”"),
                ),
            )
            .with("stage_id", json!(stage_id)),
            Refusal::TargetNeeded(allowed) => invalid_target("required", &allowed),
            Refusal::TargetNotAllowed(allowed) => invalid_target("unknown_value", &allowed),
            Refusal::NoEarlierStage => no_stage(
                "cannot be: it is in the first stage, and there is no earlier one",
                "无法退回：商机处于第一个阶段，没有更早的阶段",
            ),
            Refusal::NoLaterStage => no_stage(
                "cannot be: it is in the last stage, and there is no later one",
                "无法跳过：商机处于最后一个阶段，没有更晚的阶段",
            ),
            Refusal::GateNotMet(verdict) => {
                AppError::refuse(Code::GateNotMet, summary(&verdict)).with("gate", verdict.to_json(lang))
            }
            Refusal::RegressForbidden => AppError::refuse(
                Code::Conflict,
                say(
                    "This pipeline does not allow deals to be taken back",
                    "此销售流程不允许退回",
                ),
            ),
            Refusal::ReasonNeeded => AppError::invalid(vec![Fault::required("/reason")]),
            Refusal::UnknownStage(id) => {
                AppError::internal(format!("stage {id} is not in the version of its opportunity"))
            }
        }
    }
}

fn invalid_target(code: &'static str, allowed: &[(Uuid, String)]) -> AppError {
    let list = |joint: &str| {
        let names = allowed.iter().map(|(id, name)| format!("{id} ({name})"));
        names.collect::<Vec<_>>().join(joint)
    };
    let message = if allowed.is_empty() {
        say(
            "no stage can be named here; leave it out",
            "此处没有可选阶段，请省略",
        )
    } else {
        say(
            format!("must be one of: {}", list(", ")),
            format!("必须是以下之一：{}", list("、")),
        )
    };
    AppError::invalid(vec![Fault::new("/to_stage_id", code, message)])
}

fn no_stage(en: &str, zh: &str) -> AppError {
    AppError::invalid(vec![Fault::new("/to_stage_id", "unknown_value", say(en, zh))])
}

/// What stands in the way, in one sentence.
fn summary(verdict: &Verdict) -> Say {
    let found = verdict.obstacles();
    let list = |of: fn(&Say) -> &str, joint: &str| found.iter().map(of).collect::<Vec<_>>().join(joint);
    let (en, zh) = (list(|it| &it.en, "; "), list(|it| &it.zh, "；"));
    let counted = match found.len() {
        1 => "1 criterion stands in the way".to_owned(),
        more => format!("{more} criteria stand in the way"),
    };
    say(
        format!("{counted}: {en}"),
        format!("有 {} 项条件未满足：{zh}", found.len()),
    )
}

#[cfg(test)]
mod tests;
