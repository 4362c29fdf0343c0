//! The states of a lead: pure rules.

use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a lead stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    New,
    Working,
    MarketingQualified,
    SalesQualified,
    Nurturing,
    Disqualified,
    Converted,
}

/// How far a lead is qualified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Qualification {
    MarketingQualified,
    SalesQualified,
}

/// The members of a lead that its state consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadState {
    pub status: Status,
    pub reopen_status: Option<Status>,
    pub disqualified_reason: Option<String>,
    pub nurture_until: Option<NaiveDate>,
    pub nurture_reason: Option<String>,
}

/// What is asked of a lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Work,
    Qualify(Qualification),
    Nurture {
        until: NaiveDate,
        reason: Option<String>,
    },
    Disqualify {
        reason: String,
    },
    Reopen,
}

impl LeadState {
    /// The state after a step. Qualifying goes `new → working → marketing_qualified → sales_qualified`, one at a time; any
    /// lead that is not converted can be set aside (nurtured or disqualified), and reopening returns to the state left.
    ///
    /// # Errors
    /// `already_converted`, `conflict` when the step does not lead on from here, `invalid` when nurturing would end today
    /// or before.
    pub fn after(self, step: &Step, today: NaiveDate) -> AppResult<LeadState> {
        match (self.status, step) {
            (Status::Converted, _) => Err(super::hooks::already_converted()),
            (Status::New, Step::Work) => Ok(LeadState::plain(Status::Working)),
            (Status::Working, Step::Qualify(Qualification::MarketingQualified)) => {
                Ok(LeadState::plain(Status::MarketingQualified))
            }
            (Status::MarketingQualified, Step::Qualify(Qualification::SalesQualified)) => {
                Ok(LeadState::plain(Status::SalesQualified))
            }
            (_, Step::Nurture { until, .. }) if *until <= today => {
                Err(AppError::invalid(vec![Fault::out_of_range(
                    "/until",
                    "must be after today",
                    "必须晚于今天",
                )]))
            }
            (_, Step::Nurture { until, reason }) => Ok(LeadState {
                status: Status::Nurturing,
                reopen_status: Some(self.left()),
                disqualified_reason: None,
                nurture_until: Some(*until),
                nurture_reason: reason.clone(),
            }),
            (status, Step::Disqualify { reason }) if status != Status::Disqualified => Ok(LeadState {
                status: Status::Disqualified,
                reopen_status: Some(self.left()),
                disqualified_reason: Some(reason.clone()),
                nurture_until: None,
                nurture_reason: None,
            }),
            (Status::Nurturing | Status::Disqualified, Step::Reopen) => Ok(LeadState::plain(self.left())),
            (status, _) => Err(not_from(status)),
        }
    }

    fn plain(status: Status) -> LeadState {
        LeadState {
            status,
            reopen_status: None,
            disqualified_reason: None,
            nurture_until: None,
            nurture_reason: None,
        }
    }

    /// The state to which reopening returns: the one left, however often it was set aside since.
    fn left(&self) -> Status {
        match self.status {
            Status::Nurturing | Status::Disqualified => self.reopen_status.unwrap_or(Status::New),
            open => open,
        }
    }
}

fn not_from(status: Status) -> AppError {
    let status: &'static str = status.into();
    AppError::refuse(
        Code::Conflict,
        say(
            format!("The lead is {status}; this step does not lead on from there"),
            format!("线索状态为 {status},不能执行此步骤"),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ALL: [Status; 7] = [
        Status::New,
        Status::Working,
        Status::MarketingQualified,
        Status::SalesQualified,
        Status::Nurturing,
        Status::Disqualified,
        Status::Converted,
    ];

    fn today() -> NaiveDate {
        "2024-03-05".parse().unwrap()
    }

    fn later() -> NaiveDate {
        "2024-06-01".parse().unwrap()
    }

    fn nurture(until: NaiveDate) -> Step {
        Step::Nurture {
            until,
            reason: Some("no budget yet".to_owned()),
        }
    }

    fn disqualify() -> Step {
        Step::Disqualify {
            reason: "no budget".to_owned(),
        }
    }

    #[rstest]
    #[case(Step::Work, Status::New, Status::Working)]
    #[case(
        Step::Qualify(Qualification::MarketingQualified),
        Status::Working,
        Status::MarketingQualified
    )]
    #[case(
        Step::Qualify(Qualification::SalesQualified),
        Status::MarketingQualified,
        Status::SalesQualified
    )]
    fn qualifying_goes_one_state_at_a_time_and_from_nowhere_else(
        #[case] step: Step,
        #[case] from: Status,
        #[case] to: Status,
    ) {
        for status in ALL {
            let outcome = LeadState::plain(status).after(&step, today());
            match (status == from, outcome) {
                (true, Ok(state)) => assert_eq!(state, LeadState::plain(to)),
                (false, Err(_)) => {}
                (_, other) => panic!("{status:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_unconverted_lead_can_be_set_aside_and_returns_to_the_state_it_left() {
        for status in [
            Status::New,
            Status::Working,
            Status::MarketingQualified,
            Status::SalesQualified,
        ] {
            let nurtured = LeadState::plain(status)
                .after(&nurture(later()), today())
                .unwrap();
            assert_eq!(nurtured.nurture_until, Some(later()));
            assert_eq!(nurtured.nurture_reason.as_deref(), Some("no budget yet"));
            let disqualified = nurtured.after(&disqualify(), today()).unwrap();
            assert_eq!(
                (
                    disqualified.nurture_until,
                    disqualified.nurture_reason.as_deref(),
                    disqualified.disqualified_reason.as_deref()
                ),
                (None, None, Some("no budget"))
            );
            assert_eq!(
                disqualified.after(&Step::Reopen, today()).unwrap(),
                LeadState::plain(status)
            );
        }
    }

    #[test]
    fn nurturing_ends_after_today() {
        let outcome = LeadState::plain(Status::New).after(&nurture(today()), today());
        assert_eq!(outcome.unwrap_err().code(), Code::Invalid);
    }

    #[test]
    fn a_disqualified_lead_is_not_disqualified_again_and_an_open_one_not_reopened() {
        let disqualified = LeadState::plain(Status::New)
            .after(&disqualify(), today())
            .unwrap();
        assert_eq!(
            disqualified.after(&disqualify(), today()).unwrap_err().code(),
            Code::Conflict
        );
        assert_eq!(
            LeadState::plain(Status::Working)
                .after(&Step::Reopen, today())
                .unwrap_err()
                .code(),
            Code::Conflict
        );
    }

    #[test]
    fn a_converted_lead_takes_no_step() {
        for step in [Step::Work, Step::Reopen, disqualify(), nurture(later())] {
            let outcome = LeadState::plain(Status::Converted).after(&step, today());
            assert_eq!(outcome.unwrap_err().code(), Code::AlreadyConverted);
        }
    }
}
