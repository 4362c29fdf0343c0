use super::*;
use crate::approval::seating::Origin;
use crate::approval::state::ActKind;
use rstest::rstest;

use Decision::Approve;
use RequestState::{Approved, Pending, Rejected};

#[test]
fn a_seat_that_is_handed_on_is_decided_by_its_new_holder_alone() {
    let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN])])]);
    case.delegate(SUN, WANG).unwrap();
    assert_eq!(case.waiting_for(), [WANG]);
    assert_eq!(case.approve(SUN), Err(Refusal::NotSeated));
    case.approve(WANG).unwrap();
    assert_eq!(case.request_state(), Approved);
}

#[test]
fn a_seat_may_be_handed_back() {
    let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN])])]);
    case.delegate(SUN, WANG).unwrap();
    case.delegate(WANG, SUN).unwrap();
    assert_eq!(case.waiting_for(), [SUN]);
}

#[rstest]
#[case::to_the_owner(LI, Refusal::DutiesSeparated)]
#[case::to_someone_who_sits(ZHOU, Refusal::AlreadySeated)]
#[case::to_oneself(SUN, Refusal::AlreadySeated)]
#[case::to_someone_who_left(LIU, Refusal::NotActive)]
#[case::to_nobody(Uuid::nil(), Refusal::NotActive)]
fn a_seat_is_not_handed_to_one_who_may_not_sit(#[case] to: Uuid, #[case] refusal: Refusal) {
    let mut case = Case::of(vec![all(step("s", 1, vec![role("legal")]))]);
    case.people = company_where(LIU, deactivated);
    assert_eq!(case.delegate(SUN, to), Err(refusal.clone()));
    assert_eq!(case.add(SUN, to), Err(refusal));
}

#[test]
fn an_approver_may_ask_one_more_and_others_may_not() {
    let mut case = Case::of(vec![all(step("s", 1, vec![users(&[SUN])]))]);
    assert_eq!(case.add(LI, WANG), Err(Refusal::NotSeated));
    case.add(SUN, WANG).unwrap();
    case.approve(SUN).unwrap();
    assert_eq!(case.request_state(), Pending);
    case.approve(WANG).unwrap();
    assert_eq!(case.request_state(), Approved);
}

#[test]
fn nobody_reaches_a_quorum_by_adding_friends() {
    let mut case = Case::of(vec![quorum(2, step("s", 1, vec![users(&[SUN, ZHOU, LIU])]))]);
    case.add(SUN, WANG).unwrap();
    case.delegate(WANG, QIAN).unwrap();
    case.approve(SUN).unwrap();
    case.approve(QIAN).unwrap();
    assert_eq!(case.request_state(), Pending);
    case.approve(ZHOU).unwrap();
    assert_eq!(case.request_state(), Approved);
}

#[test]
fn where_anybody_decides_so_does_whoever_was_added() {
    let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN, ZHOU])])]);
    case.add(SUN, WANG).unwrap();
    assert_eq!(case.request_state(), Pending);
    case.approve(WANG).unwrap();
    assert_eq!(case.request_state(), Approved);
}

#[test]
fn where_all_must_approve_whoever_was_added_alone_is_not_enough() {
    let mut case = Case::of(vec![all(step("s", 1, vec![users(&[SUN, ZHOU])]))]);
    case.add(SUN, WANG).unwrap();
    case.approve(WANG).unwrap();
    case.approve(SUN).unwrap();
    assert_eq!(case.request_state(), Pending);
    case.approve(ZHOU).unwrap();
    assert_eq!(case.request_state(), Approved);
}

#[test]
fn a_deactivated_approver_is_replaced_never_skipped() {
    let mut case = Case::of(vec![all(step("s", 1, vec![users(&[SUN, ZHOU])]))]);
    case.approve(SUN).unwrap();
    case.people = company_where(ZHOU, deactivated);
    case.replace(ZHOU, None);
    assert_eq!(case.request_state(), Pending);
    assert_eq!(case.waiting_for(), [ZHAO]);
    case.approve(ZHAO).unwrap();
    assert_eq!(case.request_state(), Approved);
}

#[rstest]
#[case::the_successor(Some(WANG), WANG)]
#[case::not_one_who_owns_it(Some(LI), LIU)]
#[case::the_next_leader_up(None, LIU)]
fn a_leaders_seat_goes_to(#[case] successor: Option<Uuid>, #[case] heir: Uuid) {
    let mut case = Case::of(vec![step("s", 1, vec![leader(1)])]);
    case.people = company_where(ZHAO, deactivated);
    case.replace(ZHAO, successor);
    assert_eq!(case.waiting_for(), [heir]);
    assert_eq!(case.state.seats[1].origin, Origin::Replacement);
}

#[test]
fn what_somebody_decided_before_they_left_stands() {
    let mut case = Case::of(vec![all(step("s", 1, vec![users(&[SUN, ZHOU])]))]);
    case.approve(SUN).unwrap();
    case.people = company_where(SUN, deactivated);
    case.replace(SUN, None);
    assert_eq!(case.waiting_for(), [ZHOU]);
}

#[test]
fn a_seat_that_nobody_can_take_holds_the_step_up_until_somebody_can() {
    let tiny = |is_active, more: Option<Person>| {
        let mut sun = person(SUN, COMPANY, &["legal"]);
        sun.is_active = is_active;
        People::new([person(LI, SALES, &[]), sun].into_iter().chain(more), [])
    };
    let process = process(vec![all(step("s", 1, vec![role("legal")]))]);
    let mut case = Case::asked(process, tiny(true, None), &amount("1.00")).unwrap();
    case.people = tiny(false, None);
    case.replace(SUN, None);
    assert_eq!(case.waiting_for(), [SUN]);
    case.people = tiny(false, Some(person(QIAN, COMPANY, &["administrator"])));
    case.run(|state, setting| Ok(rules::fill(state, setting)))
        .unwrap();
    assert_eq!(case.waiting_for(), [QIAN]);
}

#[test]
fn an_administrator_may_add_an_approver_where_nobody_is_left() {
    let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN])])]);
    case.add(QIAN, WANG).unwrap();
    assert_eq!(case.waiting_for(), [SUN, WANG]);
}

#[test]
fn an_administrator_says_nothing_about_who_decides_on_what_they_requested_or_own() {
    for (requester_id, owner_id) in [(QIAN, None), (LI, Some(QIAN))] {
        let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN])])]);
        case.state.parties = Parties {
            requester_id,
            owner_id,
        };
        case.parties = case.state.parties;
        assert_eq!(case.add(QIAN, WANG), Err(Refusal::OwnSubject));
        case.add(WU, WANG).unwrap();
    }
}

fn timed(escalation: Option<Escalation>, step: ProcessStep) -> ProcessStep {
    ProcessStep {
        deadline_seconds: Some(3_600),
        reminder_seconds_before: Some(600),
        escalation,
        ..step
    }
}

#[test]
fn a_deadline_never_approves() {
    let mut case = Case::of(vec![timed(None, step("s", 1, vec![users(&[SUN])]))]);
    assert_eq!(case.escalate("s"), Err(Refusal::NotDue));
    case.later(3_600);
    case.escalate("s").unwrap();
    assert_eq!(case.request_state(), Pending);
    assert_eq!(case.waiting_for(), [SUN]);
}

#[test]
fn after_the_deadline_the_leader_above_is_asked_as_well_and_decides_alone() {
    let step = timed(
        Some(Escalation::Leader {}),
        all(step("s", 1, vec![users(&[ZHAO, WANG])])),
    );
    let asked = || {
        let mut case = Case::of(vec![step.clone()]);
        case.later(3_600);
        case.escalate("s").unwrap();
        case
    };
    let mut case = asked();
    assert_eq!(case.waiting_for(), [ZHAO, WANG, LIU]);
    assert_eq!(case.escalate("s"), Err(Refusal::AlreadyEscalated));
    case.approve(LIU).unwrap();
    assert_eq!(case.request_state(), Approved);

    let mut case = asked();
    case.delegate(LIU, SUN).unwrap();
    case.reject(SUN).unwrap();
    assert_eq!(case.request_state(), Rejected);

    let mut case = asked();
    case.approve(ZHAO).unwrap();
    case.approve(WANG).unwrap();
    assert_eq!(case.request_state(), Pending, "the one above was asked too");
}

#[rstest]
#[case::a_role(Escalation::Role { role: "general_manager".to_owned() }, SUN, vec![SUN, LIU])]
#[case::a_role_of_nobody(Escalation::Role { role: "finance".to_owned() }, SUN, vec![SUN, QIAN, WU])]
#[case::above_the_top(Escalation::Leader {}, LIU, vec![LIU, QIAN, WU])]
fn it_escalates_to(#[case] escalation: Escalation, #[case] approver: Uuid, #[case] asked: Vec<Uuid>) {
    let step = timed(Some(escalation), step("s", 1, vec![users(&[approver])]));
    let mut case = Case::of(vec![step]);
    case.later(7_200);
    case.escalate("s").unwrap();
    assert_eq!(case.waiting_for(), asked);
}

#[test]
fn reminders_go_to_those_who_have_not_decided() {
    let step = timed(None, all(step("s", 1, vec![role("legal")])));
    let mut case = Case::of(vec![step]);
    case.approve(SUN).unwrap();
    case.run(|state, setting| rules::remind(state, setting, None, None, None))
        .unwrap();
    let reminded = case
        .acts
        .iter()
        .filter(|act| act.kind == ActKind::Remind)
        .filter_map(|act| act.to_user_id)
        .collect::<Vec<_>>();
    assert_eq!(reminded, [ZHOU]);
    let step = case.step("s");
    assert_eq!(
        rules::reminder_at(&case.process, step),
        Some(case.now + TimeDelta::seconds(3_000))
    );
}

#[test]
fn a_comment_changes_nothing() {
    let mut case = Case::of(vec![step("s", 1, vec![users(&[SUN])])]);
    case.decide(SUN, Approve).unwrap();
    case.run(|state, setting| Ok(rules::comment(state, setting, LI, "谢谢".to_owned())))
        .unwrap();
    assert_eq!(case.request_state(), Approved);
}
