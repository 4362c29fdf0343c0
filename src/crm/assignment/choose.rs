//! Who of a rule's candidates gets the next lead: pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// How a rule chooses among those who can take a lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, strum::VariantNames, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Strategy {
    /// Whoever has waited longest since their last one.
    RoundRobin,
    /// Whoever has the fewest open leads; of those, whoever has waited longest.
    LeastLoaded,
    /// In proportion to the weights, spread evenly.
    Weighted,
}

/// Whether somebody can take a lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "available")]
pub enum Standing {
    Available,
    /// They are deactivated.
    Inactive,
    Absent,
    /// They hold as many open leads as they may.
    Full,
    /// They own it, or had it in this hand-over already.
    HadItBefore,
}

/// Somebody whom a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub user_id: Uuid,
    pub weight: i64,
    pub is_active: bool,
    pub is_absent: bool,
    /// Open leads that they hold.
    pub open_leads: i64,
    /// Most open leads that they may hold; none: any number.
    pub capacity: Option<i64>,
    pub had_it_before: bool,
    /// Number of the rule's turn at which they last got one; 0: never.
    pub last_turn: i64,
    /// What they have to their credit where leads go by weight.
    pub credit: i64,
}

impl Candidate {
    pub fn standing(&self) -> Standing {
        if !self.is_active {
            Standing::Inactive
        } else if self.had_it_before {
            Standing::HadItBefore
        } else if self.is_absent {
            Standing::Absent
        } else if self.capacity.is_some_and(|most| self.open_leads >= most) {
            Standing::Full
        } else {
            Standing::Available
        }
    }
}

/// Who gets the lead, as a place in the list; ties go to whoever stands first in it. None: nobody can take it.
pub fn choose(strategy: Strategy, candidates: &[Candidate]) -> Option<usize> {
    let able = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.standing() == Standing::Available);
    let chosen = match strategy {
        Strategy::RoundRobin => able.min_by_key(|(place, one)| (one.last_turn, *place)),
        Strategy::LeastLoaded => able.min_by_key(|(place, one)| (one.open_leads, one.last_turn, *place)),
        Strategy::Weighted => {
            able.min_by_key(|(place, one)| (-(one.credit.saturating_add(one.weight)), *place))
        }
    };
    chosen.map(|(place, _)| place)
}

/// Notes that the chosen one gets the lead. By weight everybody who could have taken it gains their weight, and the chosen
/// one pays the sum, so that credits always add up to what they added up to before.
pub fn give(strategy: Strategy, candidates: &mut [Candidate], chosen: usize) {
    if strategy == Strategy::Weighted {
        let mut sum = 0;
        for one in candidates
            .iter_mut()
            .filter(|one| one.standing() == Standing::Available)
        {
            one.credit += one.weight;
            sum += one.weight;
        }
        if let Some(one) = candidates.get_mut(chosen) {
            one.credit -= sum;
        }
    }
    let turn = candidates.iter().map(|one| one.last_turn).max().unwrap_or(0) + 1;
    if let Some(one) = candidates.get_mut(chosen) {
        one.last_turn = turn;
        one.open_leads += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::Strategy;
    use super::*;
    use proptest::prelude::*;

    fn candidate(number: u128) -> Candidate {
        Candidate {
            user_id: Uuid::from_u128(number),
            weight: 1,
            is_active: true,
            is_absent: false,
            open_leads: 0,
            capacity: None,
            had_it_before: false,
            last_turn: 0,
            credit: 0,
        }
    }

    fn several(count: u128) -> Vec<Candidate> {
        (1..=count).map(candidate).collect()
    }

    /// How many of so many leads each gets.
    fn dealt(strategy: Strategy, candidates: &mut [Candidate], leads: usize) -> Vec<usize> {
        let mut got = vec![0; candidates.len()];
        for _ in 0..leads {
            if let Some(chosen) = choose(strategy, candidates) {
                give(strategy, candidates, chosen);
                got[chosen] += 1;
            }
        }
        got
    }

    #[test]
    fn thirty_two_leads_on_four_people_give_eight_each() {
        for strategy in [Strategy::RoundRobin, Strategy::LeastLoaded, Strategy::Weighted] {
            assert_eq!(dealt(strategy, &mut several(4), 32), [8, 8, 8, 8], "{strategy:?}");
        }
    }

    #[test]
    fn whoever_comes_back_takes_their_turn_once_and_not_all_they_missed() {
        let mut people = several(3);
        people[2].is_absent = true;
        assert_eq!(dealt(Strategy::RoundRobin, &mut people, 10), [5, 5, 0]);
        people[2].is_absent = false;
        assert_eq!(dealt(Strategy::RoundRobin, &mut people, 6), [2, 2, 2]);
    }

    #[test]
    fn the_least_loaded_catches_up_with_the_others() {
        let mut people = several(2);
        people[0].open_leads = 3;
        assert_eq!(dealt(Strategy::LeastLoaded, &mut people, 5), [1, 4]);
    }

    #[test]
    fn weights_are_kept_and_spread() {
        let mut people = several(3);
        people[0].weight = 5;
        let mut order = Vec::new();
        for _ in 0..7 {
            let chosen = choose(Strategy::Weighted, &people).unwrap();
            give(Strategy::Weighted, &mut people, chosen);
            order.push(chosen);
        }
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    fn anybody() -> impl Strategy_<Value = Candidate> {
        (
            1..9_i64,
            any::<bool>(),
            any::<bool>(),
            0..6_i64,
            proptest::option::of(0..9_i64),
            any::<bool>(),
            0..20_i64,
        )
            .prop_map(
                |(weight, is_active, is_absent, open_leads, capacity, had_it_before, last_turn)| Candidate {
                    weight,
                    is_active,
                    is_absent,
                    open_leads,
                    capacity,
                    had_it_before,
                    last_turn,
                    ..candidate(0)
                },
            )
    }

    use proptest::strategy::Strategy as Strategy_;

    fn any_strategy() -> impl Strategy_<Value = Strategy> {
        prop_oneof![
            Just(Strategy::RoundRobin),
            Just(Strategy::LeastLoaded),
            Just(Strategy::Weighted)
        ]
    }

    proptest! {
        #[test]
        fn nobody_is_chosen_who_cannot_take_it_and_somebody_whenever_one_can(
            strategy in any_strategy(),
            mut people in proptest::collection::vec(anybody(), 0..8),
            leads in 0..40_usize,
        ) {
            for _ in 0..leads {
                let chosen = choose(strategy, &people);
                let able = people.iter().any(|one| one.standing() == Standing::Available);
                prop_assert_eq!(chosen.is_some(), able);
                let Some(chosen) = chosen else { break };
                let one = &people[chosen];
                prop_assert!(one.is_active && !one.is_absent && !one.had_it_before);
                prop_assert!(one.capacity.is_none_or(|most| one.open_leads < most));
                give(strategy, &mut people, chosen);
            }
            for one in &people {
                prop_assert!(one.capacity.is_none_or(|most| one.open_leads <= most.max(6)));
            }
        }

        #[test]
        fn in_turn_nobody_is_ever_more_than_one_ahead(count in 1..9_u128, leads in 0..60_usize) {
            for strategy in [Strategy::RoundRobin, Strategy::LeastLoaded, Strategy::Weighted] {
                let got = dealt(strategy, &mut several(count), leads);
                let (least, most) = (got.iter().min(), got.iter().max());
                prop_assert!(most.unwrap() - least.unwrap() <= 1);
                prop_assert_eq!(got.iter().sum::<usize>(), leads);
            }
        }

        #[test]
        fn by_weight_each_gets_their_share_to_within_one_round(
            weights in proptest::collection::vec(1..9_i64, 1..7),
            rounds in 1..5_usize,
        ) {
            let mut people = several(weights.len() as u128);
            for (one, weight) in people.iter_mut().zip(&weights) {
                one.weight = *weight;
            }
            let sum: i64 = weights.iter().sum();
            let got = dealt(Strategy::Weighted, &mut people, sum as usize * rounds);
            let due = weights.iter().map(|weight| *weight as usize * rounds).collect::<Vec<_>>();
            prop_assert_eq!(got, due);
            prop_assert_eq!(people.iter().map(|one| one.credit).sum::<i64>(), 0);
        }
    }
}
