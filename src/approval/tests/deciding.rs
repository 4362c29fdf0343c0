use super::*;
use crate::approval::seating::Origin;
use crate::approval::state::{ActKind, Change, changes};
use rstest::rstest;

use Decision::{Approve, Reject};
use RequestState::{Approved, Lapsed, Pending, Rejected, Returned, Withdrawn};

#[test]
fn the_contract_of_220000_is_decided_by_manager_legal_and_general_manager_in_turn() {
    let mut case = Case::asked(contract_approval(), company(), &amount("220000.00")).unwrap();
    assert_eq!(case.waiting_for(), [ZHAO]);
    let sign = |case: &mut Case, who, opinion: &str| {
        case.run(|state, setting| {
            rules::decide(state, setting, who, None, Approve, Some(opinion.to_owned()))
        })
        .unwrap();
    };
    sign(&mut case, ZHAO, "同意,按条款执行");
    assert_eq!(case.waiting_for(), [SUN, ZHOU]);
    case.now = instant("2024-03-14T09:00:00Z");
    sign(&mut case, SUN, "合同条款完整,无法律风险");
    assert_eq!(case.waiting_for(), [LIU]);
    assert_eq!(case.request_state(), Pending);
    sign(&mut case, LIU, "同意签约");
    assert_eq!(case.request_state(), Approved);
    let opinions = case
        .state
        .seats
        .iter()
        .filter_map(|seat| Some((seat.user_id, seat.opinion.as_deref()?)))
        .collect::<Vec<_>>();
    assert_eq!(
        opinions,
        [
            (ZHAO, "同意,按条款执行"),
            (SUN, "合同条款完整,无法律风险"),
            (LIU, "同意签约")
        ]
    );
}

#[rstest]
#[case::any_first_approves(Mode::Any, None, &[(SUN, Approve)], Approved)]
#[case::any_first_rejects(Mode::Any, None, &[(SUN, Reject)], Rejected)]
#[case::all_one_is_not_enough(Mode::All, None, &[(SUN, Approve), (ZHOU, Approve)], Pending)]
#[case::all_approve(Mode::All, None, &[(SUN, Approve), (ZHOU, Approve), (LIU, Approve)], Approved)]
#[case::all_one_rejection(Mode::All, None, &[(SUN, Approve), (ZHOU, Reject)], Rejected)]
#[case::quorum_reached(Mode::Quorum, Some(2), &[(SUN, Reject), (ZHOU, Approve), (LIU, Approve)], Approved)]
#[case::quorum_early(Mode::Quorum, Some(2), &[(SUN, Approve), (ZHOU, Approve)], Approved)]
#[case::quorum_open(Mode::Quorum, Some(2), &[(SUN, Approve), (ZHOU, Reject)], Pending)]
#[case::quorum_out_of_reach(Mode::Quorum, Some(2), &[(SUN, Reject), (ZHOU, Reject)], Rejected)]
fn decisions_count_by_the_mode_of_the_step(
    #[case] mode: Mode,
    #[case] quorum: Option<i32>,
    #[case] decisions: &[(Uuid, Decision)],
    #[case] outcome: RequestState,
) {
    let mut case = Case::of(vec![ProcessStep {
        mode,
        quorum,
        ..step("s", 1, vec![users(&[SUN, ZHOU, LIU])])
    }]);
    for (who, decision) in decisions {
        case.decide(*who, *decision).unwrap();
    }
    assert_eq!(case.request_state(), outcome);
}

#[test]
fn the_next_position_opens_when_all_of_the_previous_are_approved() {
    let mut case = Case::of(vec![
        step("manager", 1, vec![leader(1)]),
        step("legal", 1, vec![users(&[SUN])]),
        step("general", 5, vec![users(&[LIU])]),
    ]);
    assert_eq!(case.waiting_for(), [ZHAO, SUN]);
    case.approve(SUN).unwrap();
    assert_eq!(case.step_state("general"), StepState::Waiting);
    case.approve(ZHAO).unwrap();
    assert_eq!(case.step_state("general"), StepState::Open);
    assert_eq!(case.state.current_position(), Some(5));
}

#[test]
fn a_rejected_step_ends_the_request_and_closes_its_siblings() {
    let mut case = Case::of(vec![
        step("manager", 1, vec![leader(1)]),
        step("legal", 1, vec![users(&[SUN])]),
        step("general", 2, vec![users(&[LIU])]),
    ]);
    case.reject(SUN).unwrap();
    assert_eq!(case.request_state(), Rejected);
    let states = ["manager", "legal", "general"].map(|key| case.step_state(key));
    assert_eq!(
        states,
        [StepState::Closed, StepState::Rejected, StepState::Closed]
    );
    assert_eq!(case.approve(ZHAO), Err(Refusal::RequestClosed));
}

#[test]
fn a_decision_on_a_closed_step_is_refused_and_nobody_decides_twice() {
    let mut case = Case::of(vec![
        step("legal", 1, vec![role("legal")]),
        all(step("both", 2, vec![users(&[SUN, LIU])])),
    ]);
    case.approve(ZHOU).unwrap();
    assert_eq!(case.approve(ZHOU), Err(Refusal::StepClosed));
    assert_eq!(case.decide_in("legal", SUN, Reject), Err(Refusal::StepClosed));
    case.approve(SUN).unwrap();
    assert_eq!(case.reject(SUN), Err(Refusal::AlreadyDecided));
    assert_eq!(case.approve(WANG), Err(Refusal::NotSeated));
    assert_eq!(case.approve(LI), Err(Refusal::NotSeated));
}

#[test]
fn whoever_sits_in_two_open_steps_says_which_one_they_mean() {
    let mut case = Case::of(vec![
        step("a", 1, vec![users(&[SUN])]),
        step("b", 1, vec![users(&[SUN])]),
    ]);
    assert_eq!(case.approve(SUN), Err(Refusal::StepRequired));
    case.decide_in("b", SUN, Approve).unwrap();
    case.approve(SUN).unwrap();
    assert_eq!(case.request_state(), Approved);
}

#[test]
fn if_no_step_takes_part_the_administrators_decide() {
    let mut case = Case::asked(
        process(vec![when("amount > 5", step("s", 3, vec![role("legal")]))]),
        company(),
        &amount("1.00"),
    )
    .unwrap();
    assert_eq!(case.step_state("s"), StepState::Skipped);
    assert_eq!(case.waiting_for(), [QIAN, WU]);
    case.approve(WU).unwrap();
    assert_eq!(case.request_state(), Approved);
}

#[test]
fn a_request_that_nobody_may_decide_is_refused_with_every_such_step() {
    let alone = People::new([person(QIAN, COMPANY, &["administrator"])], []);
    let parties = Parties {
        requester_id: QIAN,
        owner_id: None,
    };
    let steps = vec![
        step("a", 1, vec![role("legal")]),
        when("amount > 5", step("b", 2, vec![leader(1)])),
        quorum(2, step("c", 3, vec![leader(1)])),
    ];
    let refused = Case::asked_by(parties, process(steps), alone, &amount("1.00")).err();
    let steps = vec!["a".to_owned(), "c".to_owned()];
    assert_eq!(refused, Some(Refusal::NobodyToAsk { steps }));
}

#[test]
fn return_ends_the_request() {
    let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN])])]);
    let sent_back = |who| {
        move |state: &State, setting: Setting<'_>| {
            rules::return_(state, setting, who, None, Some("补充附件".to_owned()))
        }
    };
    assert_eq!(case.run(sent_back(LI)), Err(Refusal::NotSeated));
    case.run(sent_back(SUN)).unwrap();
    assert_eq!(case.request_state(), Returned);
    assert_eq!(case.step_state("s"), StepState::Closed);
}

#[test]
fn only_the_requester_withdraws_and_only_while_it_is_pending() {
    let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN])])]);
    let taken_back =
        |who| move |state: &State, setting: Setting<'_>| rules::withdraw(state, setting, who, None, None);
    assert_eq!(case.run(taken_back(SUN)), Err(Refusal::NotRequester));
    case.run(taken_back(LI)).unwrap();
    assert_eq!(case.request_state(), Withdrawn);
    assert_eq!(case.run(taken_back(LI)), Err(Refusal::RequestClosed));
    assert_eq!(case.approve(SUN), Err(Refusal::RequestClosed));
}

#[rstest]
#[case(Some(Approve), Ok(()), Lapsed)]
#[case(None, Ok(()), Lapsed)]
#[case(Some(Reject), Err(Refusal::RequestClosed), Rejected)]
fn a_change_lapses_what_is_pending_or_approved_and_nothing_else(
    #[case] decision: Option<Decision>,
    #[case] answer: Result<(), Refusal>,
    #[case] outcome: RequestState,
) {
    let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN])])]);
    if let Some(decision) = decision {
        case.decide(SUN, decision).unwrap();
    }
    let lapse = |state: &State, setting: Setting<'_>| rules::lapse(state, setting, Some(LI), None);
    assert_eq!(case.run(lapse), answer);
    assert_eq!(case.request_state(), outcome);
}

#[test]
fn of_recorded_decisions_of_one_seat_the_first_counts() {
    let mut case = Case::of(vec![all(step("s", 1, vec![users(&[SUN, ZHOU])]))]);
    case.approve(SUN).unwrap();
    let mut again = case.acts.last().unwrap().clone();
    again.kind = ActKind::Reject;
    case.acts.push(again);
    assert_eq!(case.replayed(), case.state);
}

#[test]
fn what_is_to_be_written_is_what_changed() {
    let mut case = Case::of(vec![
        step("a", 1, vec![users(&[SUN])]),
        step("b", 2, vec![users(&[LIU])]),
    ]);
    let before = case.state.clone();
    case.approve(SUN).unwrap();
    let changes = changes(&before, &case.state);
    assert_eq!(changes.len(), 5);
    assert!(matches!(&changes[0], Change::SetStep(step) if step.state == StepState::Approved));
    assert!(matches!(&changes[1], Change::SetStep(step) if step.state == StepState::Open));
    assert!(matches!(&changes[2], Change::SetSeat(seat) if seat.decided_by == Some(SUN)));
    assert!(matches!(&changes[3], Change::AddSeat(seat) if seat.origin == Origin::Process));
    assert!(matches!(
        changes[4],
        Change::SetRequest {
            state: Pending,
            current_position: Some(2),
            closed_at: None
        }
    ));
}
