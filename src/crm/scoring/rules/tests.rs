use super::*;
use crate::kernel::expression::{Kind, Vocabulary};
use chrono::TimeDelta;
use proptest::prelude::*;
use rstest::rstest;
use rust_decimal_macros::dec;
use serde_json::json;

fn now() -> DateTime<Utc> {
    "2024-03-15T08:00:00Z".parse().unwrap()
}

fn today() -> NaiveDate {
    "2024-03-15".parse().unwrap()
}

fn when(points: Decimal, condition: &str) -> Rule {
    let vocabulary = Vocabulary::new()
        .with("region", Kind::Text)
        .with("budget_amount", Kind::Decimal);
    Rule {
        key: "r".to_owned(),
        dimension: Dimension::Demographic,
        points,
        test: Test::Condition(Some(Expression::compile(condition, &vocabulary).unwrap())),
    }
}

fn each(points: Decimal, half_life_seconds: Option<i64>, most: Option<Decimal>) -> Rule {
    Rule {
        key: "b".to_owned(),
        dimension: Dimension::Behavioural,
        points,
        test: Test::Behaviour {
            kind: BehaviourKind::Visit,
            half_life_seconds,
            most,
        },
    }
}

fn visit(age_seconds: i64) -> Occurrence {
    Occurrence {
        id: Uuid::now_v7(),
        kind: "visit".to_owned(),
        occurred_at: now() - TimeDelta::seconds(age_seconds),
    }
}

const WEEK: i64 = 7 * 86_400;

#[rstest]
#[case(0, dec!(10))]
#[case(WEEK, dec!(5))]
#[case(2 * WEEK, dec!(2.5))]
#[case(3 * WEEK, dec!(1.25))]
#[case(40 * WEEK, dec!(0))]
#[case(-60, dec!(10))]
fn behaviour_counts_half_after_each_half_life(#[case] age: i64, #[case] points: Decimal) {
    let scored = score(
        &[each(dec!(10), Some(WEEK), None)],
        &json!({}),
        &[visit(age)],
        now(),
    );
    assert_eq!(scored.total, points);
    assert_eq!(scored.behavioural, points);
    assert_eq!(scored.is_decaying, !points.is_zero());
}

#[test]
fn without_a_half_life_nothing_decays() {
    let scored = score(
        &[each(dec!(3), None, None)],
        &json!({}),
        &[visit(500 * WEEK)],
        now(),
    );
    assert_eq!((scored.total, scored.is_decaying), (dec!(3), false));
}

#[rstest]
#[case(dec!(5), dec!(12))]
#[case(dec!(-5), dec!(-12))]
fn a_rule_gives_no_more_than_its_cap_either_way(#[case] points: Decimal, #[case] sum: Decimal) {
    let visits = [visit(0), visit(0), visit(0)];
    let scored = score(&[each(points, None, Some(dec!(12)))], &json!({}), &visits, now());
    assert_eq!((scored.total, scored.findings[0].is_capped), (sum, true));
}

#[test]
fn other_kinds_of_behaviour_do_not_count() {
    let download = Occurrence {
        kind: "download".to_owned(),
        ..visit(0)
    };
    let scored = score(&[each(dec!(5), None, None)], &json!({}), &[download], now());
    assert_eq!(scored.total, Decimal::ZERO);
    assert_eq!(scored.findings[0].outcome, Outcome::Unmet);
}

#[test]
fn what_is_not_known_gives_no_points_and_names_what_is_missing() {
    let rules = [
        when(dec!(10), "budget_amount >= 100000"),
        when(dec!(-4), "region == \"华南\""),
    ];
    let scored = score(&rules, &json!({ "region": "华南" }), &[], now());
    assert_eq!(scored.total, dec!(-4));
    assert_eq!(scored.findings[0].outcome, Outcome::Unknown);
    assert_eq!(scored.findings[0].missing, ["budget_amount"]);
}

#[test]
fn a_condition_that_no_longer_compiles_gives_nothing_and_says_so() {
    let rule = Rule {
        test: Test::Condition(None),
        ..when(dec!(9), "true || region == \"x\"")
    };
    let scored = score(&[rule], &json!({}), &[], now());
    assert_eq!(
        (scored.total, scored.findings[0].outcome),
        (Decimal::ZERO, Outcome::Failed)
    );
}

proptest! {
    #[test]
    fn the_total_is_the_sum_of_the_rules_and_of_the_dimensions(
        ages in prop::collection::vec(0_i64..100 * WEEK, 0..12),
        points in prop::collection::vec(-10_000_i64..10_000, 1..6),
        half_life in prop::option::of(1_i64..20 * WEEK),
    ) {
        let visits = ages.iter().copied().map(visit).collect::<Vec<_>>();
        let mut rules = points.iter().map(|p| each(Decimal::new(*p, 2), half_life, None)).collect::<Vec<_>>();
        rules.push(when(dec!(7.25), "region == \"华南\""));
        let scored = score(&rules, &json!({ "region": "华南" }), &visits, now());
        prop_assert_eq!(scored.total, scored.findings.iter().map(|finding| finding.points).sum::<Decimal>());
        prop_assert_eq!(scored.total, scored.demographic + scored.behavioural + scored.fit + scored.intent);
        for finding in &scored.findings[..points.len()] {
            prop_assert_eq!(finding.points, finding.occurrences.iter().map(|one| one.points).sum::<Decimal>());
        }
    }

    #[test]
    fn the_order_of_rules_and_of_behaviour_does_not_matter(
        ages in prop::collection::vec(0_i64..100 * WEEK, 0..12),
        points in prop::collection::vec(-10_000_i64..10_000, 1..6),
    ) {
        let visits = ages.iter().copied().map(visit).collect::<Vec<_>>();
        let rules = points.iter().map(|p| each(Decimal::new(*p, 2), Some(WEEK), Some(dec!(20)))).collect::<Vec<_>>();
        let (mut other_rules, mut other_visits) = (rules.clone(), visits.clone());
        other_rules.reverse();
        other_visits.reverse();
        prop_assert_eq!(
            score(&rules, &json!({}), &visits, now()).total,
            score(&other_rules, &json!({}), &other_visits, now()).total
        );
    }

    #[test]
    fn what_has_positive_points_only_falls_with_time(age in 0_i64..50 * WEEK, later in 1_i64..50 * WEEK) {
        let rules = [each(dec!(10), Some(WEEK), None)];
        let scored = |age| score(&rules, &json!({}), &[visit(age)], now()).total;
        prop_assert!(scored(age + later) <= scored(age));
    }
}

const LIMITS: Limits = Limits {
    marketing_qualified: dec!(30),
    sales_qualified: dec!(60),
    passes_automatically: false,
};

fn at(status: Status) -> Standing {
    Standing {
        status,
        score: None,
        has_open_review: false,
        rejected: None,
    }
}

fn passed(limits: &Limits, standing: Standing, score: Decimal) -> Passage {
    pass(limits, standing, Some(score), today()).unwrap()
}

#[rstest]
#[case(Status::New, dec!(29.9999), Status::New, false)]
#[case(Status::New, dec!(30), Status::MarketingQualified, false)]
#[case(Status::Working, dec!(59), Status::MarketingQualified, false)]
#[case(Status::Working, dec!(60), Status::MarketingQualified, true)]
#[case(Status::MarketingQualified, dec!(0), Status::MarketingQualified, false)]
#[case(Status::SalesQualified, dec!(0), Status::SalesQualified, false)]
#[case(Status::SalesQualified, dec!(99), Status::SalesQualified, false)]
#[case(Status::Nurturing, dec!(99), Status::Nurturing, false)]
#[case(Status::Disqualified, dec!(99), Status::Disqualified, false)]
fn a_lead_goes_as_far_as_its_score_reaches_and_never_back(
    #[case] from: Status,
    #[case] score: Decimal,
    #[case] to: Status,
    #[case] is_reviewed: bool,
) {
    let passage = passed(&LIMITS, at(from), score);
    assert_eq!((passage.status, passage.opens_review), (to, is_reviewed));
}

#[test]
fn a_candidate_passes_without_review_where_the_company_says_so() {
    let limits = Limits {
        passes_automatically: true,
        ..LIMITS
    };
    let passage = passed(&limits, at(Status::New), dec!(60));
    assert_eq!(
        (passage.status, passage.opens_review),
        (Status::SalesQualified, false)
    );
}

#[test]
fn there_is_one_review_at_a_time_and_it_goes_with_the_candidate() {
    let waiting = Standing {
        has_open_review: true,
        ..at(Status::MarketingQualified)
    };
    assert!(!passed(&LIMITS, waiting, dec!(80)).opens_review);
    assert!(!passed(&LIMITS, waiting, dec!(1)).withdraws_review);
    let gone = Standing {
        status: Status::Disqualified,
        ..waiting
    };
    assert!(passed(&LIMITS, gone, dec!(80)).withdraws_review);
}

#[test]
fn who_was_rejected_is_a_candidate_again_only_with_more_or_anew() {
    let rejected = Standing {
        score: Some(dec!(65)),
        rejected: Some(dec!(65)),
        ..at(Status::MarketingQualified)
    };
    assert!(!passed(&LIMITS, rejected, dec!(65)).opens_review);
    assert!(!passed(&LIMITS, rejected, dec!(61)).opens_review);
    assert!(passed(&LIMITS, rejected, dec!(65.0001)).opens_review);
    let fell = Standing {
        score: Some(dec!(40)),
        ..rejected
    };
    assert!(passed(&LIMITS, fell, dec!(60)).opens_review);
}

#[test]
fn without_a_score_nothing_moves() {
    let passage = pass(&LIMITS, at(Status::New), None, today()).unwrap();
    assert_eq!(
        passage,
        Passage {
            status: Status::New,
            opens_review: false,
            withdraws_review: false
        }
    );
}
