use super::*;
use crate::approval::facts::{self, FrozenAmount};
use crate::approval::preview::preview;
use crate::approval::seating::{Origin, seats};
use rstest::rstest;
use rust_decimal::Decimal;

fn now() -> DateTime<Utc> {
    instant("2024-03-13T09:00:00Z")
}

fn sit(step: &ProcessStep, parties: Parties, people: &People) -> Vec<(Uuid, Origin)> {
    seats(&process(vec![]), step, parties, people, now())
        .into_iter()
        .map(|seat| (seat.user_id, seat.origin))
        .collect()
}

fn by(requester: Uuid, owner: Uuid) -> Parties {
    Parties {
        requester_id: requester,
        owner_id: Some(owner),
    }
}

use Origin::{Delegation, Fallback, Process, Replacement};

#[rstest]
#[case::people(vec![users(&[SUN, WANG])], BY_LI, vec![(SUN, Process), (WANG, Process)])]
#[case::a_role(vec![role("legal")], BY_LI, vec![(SUN, Process), (ZHOU, Process)])]
#[case::the_owners_leader(vec![leader(1)], BY_LI, vec![(ZHAO, Process)])]
#[case::the_leader_two_up(vec![leader(2)], BY_LI, vec![(LIU, Process)])]
#[case::the_requesters_leader(vec![Approver::Leader { of: Party::Requester, levels_up: 1 }], by(SUN, LI), vec![(LIU, Process)])]
#[case::the_head_of_a_team(vec![Approver::HeadOfTeam { team_id: COMPANY }], BY_LI, vec![(LIU, Process)])]
#[case::one_seat_each(vec![users(&[SUN]), role("legal"), users(&[ZHOU])], BY_LI, vec![(SUN, Process), (ZHOU, Process)])]
#[case::not_who_asked(vec![role("legal")], by(SUN, LI), vec![(ZHOU, Process)])]
#[case::not_who_owns(vec![role("legal")], by(LI, SUN), vec![(ZHOU, Process)])]
#[case::a_leader_who_owns_yields_to_the_next(vec![leader(1)], by(ZHAO, ZHAO), vec![(LIU, Fallback)])]
#[case::above_the_last_leader_are_the_administrators(vec![leader(2)], by(LIU, LI), vec![(QIAN, Fallback), (WU, Fallback)])]
#[case::a_lower_leader_never_stands_in(vec![leader(3)], BY_LI, vec![(QIAN, Fallback), (WU, Fallback)])]
#[case::nobody_with_the_role_goes_to_the_owners_leader(vec![role("finance")], by(SUN, LI), vec![(ZHAO, Fallback)])]
fn a_step_seats(
    #[case] approvers: Vec<Approver>,
    #[case] parties: Parties,
    #[case] expected: Vec<(Uuid, Origin)>,
) {
    assert_eq!(sit(&step("s", 1, approvers), parties, &company()), expected);
}

#[test]
fn a_process_may_let_the_requester_decide_but_not_as_the_owner() {
    let mut process = process(vec![]);
    process.may_requester_decide = true;
    let legal = step("s", 1, vec![role("legal")]);
    let sit = |parties| {
        seats(&process, &legal, parties, &company(), now())
            .iter()
            .map(|seat| seat.user_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(sit(by(SUN, LI)), [SUN, ZHOU]);
    assert_eq!(sit(by(SUN, SUN)), [ZHOU]);
}

#[test]
fn nobody_deactivated_is_seated() {
    let people = company_where(SUN, deactivated);
    let legal = step("s", 1, vec![role("legal"), users(&[SUN])]);
    assert_eq!(sit(&legal, BY_LI, &people), [(ZHOU, Process)]);
    let manager = step("s", 1, vec![leader(1)]);
    let people = company_where(ZHAO, deactivated);
    assert_eq!(sit(&manager, BY_LI, &people), [(LIU, Fallback)]);
}

fn left_to(successor: Uuid) -> impl Fn(&mut Person) {
    move |person| {
        person.is_active = false;
        person.successor_id = Some(successor);
    }
}

#[rstest]
#[case::their_successor(left_to(WANG), WANG)]
#[case::not_the_owner_though_they_took_over(left_to(LI), ZHAO)]
#[case::not_one_who_sits_already(left_to(ZHOU), ZHAO)]
#[case::the_leader_of_the_owner_where_nobody_took_over(deactivated, ZHAO)]
fn whoever_left_before_a_step_where_all_decide_opened_is_replaced_never_skipped(
    #[case] leaving: impl Fn(&mut Person),
    #[case] heir: Uuid,
) {
    let people = company_where(SUN, leaving);
    let both = all(step("s", 2, vec![users(&[SUN, ZHOU])]));
    assert_eq!(sit(&both, BY_LI, &people), [(ZHOU, Process), (heir, Replacement)]);
}

#[test]
fn where_one_of_several_decides_a_successor_is_asked_too_and_nobody_else() {
    let any = step("s", 2, vec![users(&[SUN, ZHOU])]);
    let people = company_where(SUN, left_to(WANG));
    assert_eq!(sit(&any, BY_LI, &people), [(ZHOU, Process), (WANG, Replacement)]);
    assert_eq!(
        sit(&any, BY_LI, &company_where(SUN, deactivated)),
        [(ZHOU, Process)]
    );
}

#[test]
fn successors_who_left_as_well_hand_the_seat_on_to_theirs() {
    let mut staff = staff();
    left_to(WANG)(&mut staff[3]);
    let people = changed(staff.clone(), WANG, left_to(LIU));
    let both = all(step("s", 2, vec![users(&[SUN, ZHOU])]));
    assert_eq!(sit(&both, BY_LI, &people), [(ZHOU, Process), (LIU, Replacement)]);
    let circle = changed(staff, WANG, left_to(SUN));
    assert_eq!(sit(&both, BY_LI, &circle), [(ZHOU, Process), (ZHAO, Replacement)]);
}

#[rstest]
#[case::stands_in(away_with(WANG), (WANG, Delegation))]
#[case::not_for_the_owner(away_with(LI), (ZHAO, Process))]
#[case::not_in_a_circle(away_with(ZHAO), (ZHAO, Process))]
#[case::not_a_stranger(away_with(Uuid::from_u128(77)), (ZHAO, Process))]
fn for_an_absent_leader_their_delegate_sits_if_they_may(
    #[case] absence: impl Fn(&mut Person),
    #[case] expected: (Uuid, Origin),
) {
    let people = company_where(ZHAO, absence);
    assert_eq!(sit(&step("s", 1, vec![leader(1)]), BY_LI, &people), [expected]);
}

#[test]
fn a_delegate_who_is_absent_too_passes_the_seat_on_until_somebody_is_there() {
    let mut staff = staff();
    away_with(WANG)(&mut staff[1]);
    let chain = changed(staff.clone(), WANG, away_with(SUN));
    let manager = step("s", 1, vec![leader(1)]);
    let asked = seats(&process(vec![]), &manager, BY_LI, &chain, now());
    assert_eq!((asked[0].user_id, asked[0].for_user_id), (SUN, Some(ZHAO)));
    let circle = changed(staff.clone(), WANG, away_with(ZHAO));
    assert_eq!(sit(&manager, BY_LI, &circle), [(ZHAO, Process)]);
    let through_the_owner = changed(
        {
            let mut staff = staff;
            away_with(LI)(&mut staff[1]);
            staff
        },
        LI,
        away_with(WANG),
    );
    assert_eq!(sit(&manager, BY_LI, &through_the_owner), [(ZHAO, Process)]);
}

#[test]
fn whoever_owns_the_deal_has_no_voice_through_a_delegate_of_theirs() {
    let people = company_where(ZHAO, away_with(WANG));
    let manager = step("s", 1, vec![leader(1)]);
    assert_eq!(sit(&manager, by(ZHAO, ZHAO), &people), [(LIU, Fallback)]);
}

#[test]
fn a_delegate_who_sits_already_has_one_voice() {
    let people = company_where(SUN, away_with(ZHOU));
    let both = all(step("s", 1, vec![users(&[SUN, ZHOU])]));
    assert_eq!(sit(&both, BY_LI, &people), [(ZHOU, Delegation), (ZHAO, Fallback)]);
    let two = quorum(2, both);
    assert_eq!(sit(&two, BY_LI, &people), [(ZHOU, Delegation), (ZHAO, Fallback)]);
}

#[rstest]
#[case::who_stands_in_sits_already(company_where(SUN, away_with(ZHOU)), BY_LI, vec![(ZHOU, Delegation), (ZHAO, Fallback)])]
#[case::who_asked(company(), by(SUN, LI), vec![(ZHOU, Process), (ZHAO, Fallback)])]
#[case::who_owns(company(), by(LI, ZHOU), vec![(SUN, Process), (LIU, Fallback)])]
#[case::both(company(), by(SUN, ZHOU), vec![(LIU, Fallback), (QIAN, Fallback)])]
#[case::one_who_stands_in_for_somebody_else(company_where(SUN, away_with(WANG)), BY_LI, vec![(WANG, Delegation), (ZHOU, Process)])]
fn where_all_decide_each_person_named_is_one_voice_whoever_may_not_sit(
    #[case] people: People,
    #[case] parties: Parties,
    #[case] expected: Vec<(Uuid, Origin)>,
) {
    let both = all(step("s", 1, vec![users(&[SUN]), users(&[ZHOU, SUN])]));
    assert_eq!(sit(&both, parties, &people), expected);
}

#[rstest]
#[case("2024-02-29T23:59:59Z", false)]
#[case("2024-03-01T00:00:00Z", true)]
#[case("2024-03-31T23:59:59Z", true)]
#[case("2024-04-01T00:00:00Z", false)]
fn an_absence_begins_with_its_first_instant_and_ends_before_its_last(
    #[case] at: &str,
    #[case] is_away: bool,
) {
    let people = company_where(ZHAO, away_with(WANG));
    assert_eq!(people.is_away(ZHAO, instant(at)), is_away);
}

#[rstest]
#[case::beyond("220000.00", "CNY", Some("1"), vec!["manager", "legal", "general_manager"])]
#[case::at_the_limit("200000.00", "CNY", Some("1"), vec!["manager", "legal"])]
#[case::dollars_count_in_yuan("30000.00", "USD", Some("7.2"), vec!["manager", "legal", "general_manager"])]
#[case::yen_count_in_yuan("220000", "JPY", Some("0.05"), vec!["manager", "legal"])]
#[case::in_doubt_more_are_asked("10.00", "USD", None, vec!["manager", "legal", "general_manager"])]
fn the_general_manager_is_asked_above_the_limit_in_the_companys_currency(
    #[case] amount: &str,
    #[case] currency: &str,
    #[case] rate: Option<&str>,
    #[case] expected: Vec<&str>,
) {
    let decimal = |text: &str| text.parse::<Decimal>().unwrap();
    let frozen = FrozenAmount {
        amount: decimal(amount),
        exchange_rate: rate.map(decimal),
    };
    let snapshot = json!({ "amount": amount, "currency": currency });
    let facts = facts::facts(&snapshot, Some(&frozen), "CNY", now(), chrono_tz::Asia::Shanghai);
    let case = Case::asked(contract_approval(), company(), &facts).unwrap();
    let asked = case
        .state
        .steps
        .iter()
        .filter(|step| step.state != StepState::Skipped)
        .map(|step| step.key.as_str())
        .collect::<Vec<_>>();
    assert_eq!(asked, expected);
}

#[test]
fn the_day_of_a_request_is_that_of_the_company() {
    let facts = facts::facts(
        &json!({}),
        None,
        "CNY",
        instant("2024-03-13T17:00:00Z"),
        chrono_tz::Asia::Shanghai,
    );
    assert_eq!(facts["today"], "2024-03-14");
    assert_eq!(facts["now"], "2024-03-13T17:00:00+00:00");
}

#[test]
fn a_preview_names_who_is_asked_who_is_away_and_who_stands_in() {
    let mut staff = staff();
    away_with(WANG)(&mut staff[1]);
    let people = changed(staff, SUN, |person| {
        person.away_from = Some(instant("2024-03-01T00:00:00Z"));
    });
    let vocabulary = vocabulary();
    let conditions = Conditions {
        vocabulary: &vocabulary,
        facts: &amount("100.00"),
    };
    let chain = preview(&contract_approval(), BY_LI, conditions, &people, now());
    let told = chain
        .iter()
        .map(|step| {
            let seats = step.seats.iter();
            let seats = seats.map(|seat| (seat.user_id, seat.for_user_id, seat.is_away));
            (step.key.as_str(), step.takes_part, seats.collect())
        })
        .collect::<Vec<(_, _, Vec<_>)>>();
    assert_eq!(
        told,
        [
            ("manager", true, vec![(WANG, Some(ZHAO), false)]),
            ("legal", true, vec![(SUN, None, true), (ZHOU, None, false)]),
            ("general_manager", false, vec![]),
        ]
    );
}

#[test]
fn a_preview_says_which_empty_members_matter() {
    let vocabulary = vocabulary();
    let conditions = Conditions {
        vocabulary: &vocabulary,
        facts: &json!({}),
    };
    let chain = preview(&contract_approval(), BY_LI, conditions, &company(), now());
    assert!(chain[2].takes_part);
    assert_eq!(chain[2].missing, ["amount"]);
}
