//! Whatever happens to a request, in whatever order, these hold.

use super::*;
use crate::approval::preview::preview;
use crate::approval::state::ActKind;
use proptest::collection::vec;
use proptest::prelude::*;

const EVERYBODY: [Uuid; 8] = [LI, ZHAO, LIU, SUN, ZHOU, WANG, QIAN, WU];

fn anybody() -> impl Strategy<Value = Uuid> {
    proptest::sample::select(EVERYBODY.to_vec())
}

fn any_approver() -> impl Strategy<Value = Approver> {
    prop_oneof![
        vec(anybody(), 1..4).prop_map(|ids| users(&ids)),
        proptest::sample::select(vec!["legal", "general_manager", "finance", "administrator"]).prop_map(role),
        (1u32..4).prop_map(leader),
        (1u32..3).prop_map(|levels_up| Approver::Leader {
            of: Party::Requester,
            levels_up
        }),
        Just(Approver::HeadOfTeam { team_id: SALES }),
    ]
}

fn any_step() -> impl Strategy<Value = ProcessStep> {
    let mode = prop_oneof![
        Just((Mode::Any, None)),
        Just((Mode::All, None)),
        (1i32..4).prop_map(|count| (Mode::Quorum, Some(count))),
    ];
    let condition = proptest::option::of(proptest::sample::select(vec![
        "amount > 100",
        "amount <= 100",
        "kind == \"new\"",
    ]));
    let escalation = proptest::option::of(prop_oneof![
        Just(Escalation::Leader {}),
        Just(Escalation::Role {
            role: "general_manager".to_owned()
        }),
    ]);
    (1i32..4, vec(any_approver(), 1..3), mode, condition, escalation).prop_map(
        |(position, approvers, (mode, quorum), condition, escalation)| ProcessStep {
            mode,
            quorum,
            condition: condition.map(str::to_owned),
            deadline_seconds: Some(3_600),
            escalation,
            ..step("s", position, approvers)
        },
    )
}

fn any_process() -> impl Strategy<Value = ProcessDocument> {
    (vec(any_step(), 1..5), any::<bool>(), any::<bool>()).prop_map(|(steps, requester, owner)| {
        let mut process = process(steps);
        for (index, step) in process.steps.iter_mut().enumerate() {
            step.key = format!("s{index}");
        }
        process.may_requester_decide = requester;
        process.may_owner_decide = owner;
        process
    })
}

fn any_staff() -> impl Strategy<Value = Vec<Person>> {
    let fate = (
        proptest::bool::weighted(0.1),
        proptest::option::weighted(0.3, anybody()),
    );
    vec(fate, EVERYBODY.len()).prop_map(|fates| {
        let mut staff = staff();
        for (person, (has_left, delegate)) in staff.iter_mut().zip(fates) {
            person.is_active = !has_left;
            if let Some(delegate) = delegate {
                away_with(delegate)(person);
            }
        }
        staff
    })
}

fn any_parties() -> impl Strategy<Value = Parties> {
    (anybody(), proptest::option::of(anybody())).prop_map(|(requester_id, owner_id)| Parties {
        requester_id,
        owner_id,
    })
}

#[derive(Debug, Clone)]
enum Move {
    /// Whoever can decide, the n-th of them, does.
    Decide(usize, Decision),
    /// Anybody tries to, in any step.
    Try(Uuid, usize, Decision),
    Delegate(usize, Uuid),
    Add(usize, Uuid),
    Leave(Uuid, Option<Uuid>),
    Escalate(usize),
    Return(usize),
    Withdraw(Uuid),
    Lapse,
}

fn any_move() -> impl Strategy<Value = Move> {
    let decision = || {
        prop_oneof![
            5 => Just(Decision::Approve),
            1 => Just(Decision::Reject),
        ]
    };
    prop_oneof![
        12 => (0usize..6, decision()).prop_map(|(who, how)| Move::Decide(who, how)),
        3 => (anybody(), 0usize..5, decision()).prop_map(|(who, at, how)| Move::Try(who, at, how)),
        3 => (0usize..6, anybody()).prop_map(|(who, to)| Move::Delegate(who, to)),
        2 => (0usize..6, anybody()).prop_map(|(who, to)| Move::Add(who, to)),
        2 => (anybody(), proptest::option::of(anybody())).prop_map(|(who, to)| Move::Leave(who, to)),
        2 => (0usize..5).prop_map(Move::Escalate),
        1 => (0usize..40).prop_map(Move::Return),
        1 => anybody().prop_map(Move::Withdraw),
        1 => Just(Move::Lapse),
    ]
}

impl Case {
    /// Makes a move if the rules allow it; [`Case::run`] compares the state with its replay.
    fn make(&mut self, one: &Move, staff: &mut [Person]) {
        let waiting = self
            .state
            .waiting_seats()
            .map(|seat| (seat.user_id, Some(seat.step_id)))
            .collect::<Vec<_>>();
        let steps = self.state.steps.iter().map(|step| step.id);
        let steps = steps.collect::<Vec<_>>();
        let holder = |at: usize| waiting.get(at % waiting.len().max(1)).copied();
        let done = match one.clone() {
            Move::Decide(at, how) => holder(at).map(|(who, step)| {
                self.run(|state, setting| rules::decide(state, setting, who, step, how, None))
            }),
            Move::Try(who, at, how) => {
                let step = Some(steps[at % steps.len()]);
                Some(self.run(|state, setting| rules::decide(state, setting, who, step, how, None)))
            }
            Move::Delegate(at, to) => holder(at).map(|(who, step)| {
                self.run(|state, setting| rules::delegate(state, setting, who, step, to, None))
            }),
            Move::Add(at, to) => holder(at).map(|(who, step)| {
                self.run(|state, setting| rules::add_approver(state, setting, who, step, to, None))
            }),
            Move::Leave(who, successor) => {
                let leaving = staff.iter_mut().filter(|person| person.id == who);
                leaving.for_each(deactivated);
                self.people = company_of(staff.to_vec());
                Some(self.run(|state, setting| Ok(rules::replace(state, setting, who, successor))))
            }
            Move::Escalate(at) => {
                self.later(4_000);
                let step = steps[at % steps.len()];
                Some(self.run(|state, setting| rules::escalate(state, setting, step)))
            }
            Move::Return(at) => (at < waiting.len()).then(|| {
                let (who, step) = waiting[at];
                self.run(|state, setting| rules::return_(state, setting, who, step, None))
            }),
            Move::Withdraw(who) => {
                Some(self.run(|state, setting| rules::withdraw(state, setting, who, None, None)))
            }
            Move::Lapse => Some(self.run(|state, setting| rules::lapse(state, setting, None, None))),
        };
        // A refusal changes nothing, which `run` made sure of.
        drop(done);
    }
}

fn is_allowed(from: RequestState, to: RequestState) -> bool {
    use RequestState::{Approved, Lapsed, Pending};
    from == to || from == Pending || (from == Approved && to == Lapsed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_request_keeps_its_rules_whatever_happens(
        process in any_process(),
        mut staff in any_staff(),
        parties in any_parties(),
        moves in vec(any_move(), 0..25),
    ) {
        let excluded = parties.excluded(&process);
        let facts = json!({ "amount": "100.01" });
        let case = Case::asked_by(parties, process, company_of(staff.clone()), &facts);
        prop_assume!(case.is_ok());
        let mut case = case.unwrap();
        for one in &moves {
            let before = case.state.clone();
            case.make(one, &mut staff);
            prop_assert!(is_allowed(before.state, case.state.state));
            for seat in &case.state.seats {
                // Nobody kept out ever sits; nobody is seated after they left.
                prop_assert!(!excluded.contains(&seat.user_id));
                let is_new = before.seat(seat.id).is_none();
                prop_assert!(!is_new || case.people.is_active(seat.user_id));
                // A decision is final.
                let old = before.seat(seat.id).and_then(|old| old.decision);
                prop_assert!(old.is_none() || old == seat.decision);
            }
            for step in &case.state.steps {
                let live = case.state.live_seats(step.id).count();
                prop_assert_eq!(case.state.sitting(step.id).len(), live, "one person, one seat");
            }
            let is_pending = case.state.state == RequestState::Pending;
            prop_assert_eq!(is_pending, case.state.closed_at.is_none());
            prop_assert_eq!(is_pending, case.state.open_steps().next().is_some());
            // Only one position is open, and no later one was opened before it was approved.
            let positions = case.state.open_steps().map(|step| step.position);
            let positions = positions.collect::<std::collections::BTreeSet<_>>();
            prop_assert!(positions.len() <= 1);
        }
        // Each decision counts once: as many decided seats as decisions recorded.
        let decisions = case.acts.iter();
        let decisions = decisions.filter(|act| matches!(act.kind, ActKind::Approve | ActKind::Reject));
        let decided = case.state.seats.iter().filter(|seat| seat.decision.is_some());
        prop_assert_eq!(decisions.count(), decided.count());
        if case.state.state == RequestState::Approved {
            for step in &case.state.steps {
                let mut seats = case.state.live_seats(step.id);
                let is_approved = step.state == StepState::Approved
                    && seats.any(|seat| seat.decision == Some(Decision::Approve));
                prop_assert!(step.state == StepState::Skipped || is_approved);
            }
        }
    }

    #[test]
    fn the_order_of_decisions_in_an_all_step_is_of_no_account(
        decisions in vec(prop_oneof![4 => Just(Decision::Approve), 1 => Just(Decision::Reject)], 4),
        order in Just([ZHAO, SUN, ZHOU, LIU].to_vec()).prop_shuffle(),
    ) {
        let voters = [ZHAO, SUN, ZHOU, LIU];
        let outcome = |order: &[Uuid]| {
            let mut case = Case::of(vec![all(step("s", 1, vec![users(&voters)]))]);
            for who in order {
                let at = voters.iter().position(|voter| voter == who).unwrap();
                // Those who come after a rejection are told that it is closed.
                drop(case.decide(*who, decisions[at]));
            }
            case.request_state()
        };
        prop_assert_eq!(outcome(&voters), outcome(&order));
    }

    #[test]
    fn the_chain_that_is_previewed_is_the_chain_that_is_asked(
        process in any_process(),
        staff in any_staff(),
        parties in any_parties(),
        amount in prop_oneof![Just(json!("100")), Just(json!("100.01")), Just(Value::Null)],
    ) {
        let people = company_of(staff);
        let facts = json!({ "amount": amount });
        let vocabulary = vocabulary();
        let conditions = Conditions { vocabulary: &vocabulary, facts: &facts };
        let now = instant("2024-03-13T09:00:00Z");
        let chain = preview(&process, parties, conditions, &people, now);
        let case = Case::asked_by(parties, process, people, &facts);
        prop_assert_eq!(chain.iter().any(|step| step.lacks_people), case.is_err());
        prop_assume!(case.is_ok());
        let mut case = case.unwrap();
        let mut asked = std::collections::BTreeMap::new();
        while case.request_state() == RequestState::Pending {
            for seat in case.state.waiting_seats() {
                let key = case.state.step(seat.step_id).unwrap().key.clone();
                let seats: &mut Vec<_> = asked.entry((key, seat.step_id)).or_default();
                if !seats.contains(&(seat.user_id, seat.origin)) {
                    seats.push((seat.user_id, seat.origin));
                }
            }
            let first = case.state.waiting_seats().next().unwrap();
            let (who, step) = (first.user_id, Some(first.step_id));
            case.run(|state, setting| {
                rules::decide(state, setting, who, step, Decision::Approve, None)
            }).unwrap();
        }
        let asked = asked
            .into_iter()
            .map(|((key, _), mut seats)| { seats.sort_by_key(|(user, _)| *user); (key, seats) })
            .collect::<std::collections::BTreeMap<_, _>>();
        let previewed = chain
            .into_iter()
            .filter(|step| step.takes_part)
            .map(|step| {
                let seats = step.seats.iter().map(|seat| (seat.user_id, seat.origin));
                let mut seats = seats.collect::<Vec<_>>();
                seats.sort_by_key(|(user, _)| *user);
                (step.key, seats)
            })
            .collect::<std::collections::BTreeMap<_, _>>();
        prop_assert_eq!(asked, previewed);
    }
}
