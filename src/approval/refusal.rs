//! Why an approval rule says no.

use crate::kernel::error::AppError;
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;

/// Why an approval rule says no; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request was decided, returned, withdrawn or lapsed before.
    RequestClosed,
    /// The step is not open.
    StepClosed,
    /// No seat is theirs.
    NotSeated,
    /// They requested or own the subject, perhaps only since they were asked.
    OwnSubject,
    /// They decided in this step already.
    AlreadyDecided,
    /// They sit in several open steps; which one is meant?
    StepRequired,
    /// Only the requester withdraws, or, once they have left, whoever succeeds them.
    NotRequester,
    /// The person named may not sit: they requested or own the subject.
    DutiesSeparated,
    /// The person named sits in this step already.
    AlreadySeated,
    /// The person named does not exist or is deactivated.
    NotActive,
    /// In these steps (keys) fewer people may decide than they need.
    NobodyToAsk { steps: Vec<String> },
    /// The deadline has not passed, or there is none.
    NotDue,
    /// The step was escalated before.
    AlreadyEscalated,
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> AppError {
        refusal.about("/user_id")
    }
}

impl Refusal {
    /// The refusal of a command that names a person at this pointer of its body.
    #[must_use]
    pub fn about(self, person: &str) -> AppError {
        let refuse = |code, en: &str, zh: &str| AppError::refuse(code, say(en, zh));
        let of_person = |en: &str, zh: &str| AppError::invalid(vec![Fault::invalid(person, en, zh)]);
        match self {
            Refusal::RequestClosed => refuse(
                Code::RequestClosed,
                "This approval request is closed",
                "该审批申请已结束",
            ),
            Refusal::StepClosed => refuse(
                Code::RequestClosed,
                "This step of the approval is not open",
                "该审批步骤未处于待审批状态",
            ),
            Refusal::NotSeated => refuse(
                Code::NotYourDecision,
                "You hold no seat in an open step of this request",
                "您不是该申请当前步骤的审批人",
            ),
            Refusal::OwnSubject => refuse(
                Code::NotYourDecision,
                "You requested or own what is decided on, and may neither decide on it nor say who does",
                "您是申请人或该对象现在的负责人,不得参与审批或指定审批人",
            ),
            Refusal::AlreadyDecided => refuse(
                Code::Conflict,
                "You have decided in this step already",
                "您已在该步骤作出决定",
            ),
            Refusal::NotRequester => refuse(
                Code::NotYourDecision,
                "Only whoever made this request can withdraw it; once they have left, the subject's owner or their successor",
                "只有申请人可以撤回该申请;申请人离职后,由对象现负责人或其交接人撤回",
            ),
            Refusal::NotDue => refuse(
                Code::Conflict,
                "The deadline of this step has not passed",
                "该步骤尚未超过期限",
            ),
            Refusal::AlreadyEscalated => refuse(
                Code::Conflict,
                "This step was escalated already",
                "该步骤已升级处理",
            ),
            Refusal::StepRequired => AppError::invalid(vec![Fault::new(
                "/step_key",
                "required",
                say(
                    "is required: you sit in several open steps of this request",
                    "为必填项:您同时是多个待审批步骤的审批人",
                ),
            )]),
            Refusal::DutiesSeparated => of_person(
                "requested or owns the subject, and may not decide on it",
                "是申请人或负责人,不得参与审批",
            ),
            Refusal::AlreadySeated => of_person("is asked in this step already", "已是该步骤的审批人"),
            Refusal::NotActive => of_person("does not exist, or is deactivated", "不存在或已停用"),
            Refusal::NobodyToAsk { steps } => {
                let steps = steps.join(", ");
                AppError::refuse(
                    Code::Conflict,
                    say(
                        format!("Too few people may decide in: {steps}"),
                        format!("以下步骤没有足够的审批人:{steps}"),
                    ),
                )
            }
        }
    }
}
