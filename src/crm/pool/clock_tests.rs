use super::*;
use proptest::prelude::*;
use rstest::rstest;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn rule(no_follow_up: Option<i32>, no_opportunity: Option<i32>, warning: i32) -> Rule {
    Rule {
        id: Uuid::nil(),
        name: String::new(),
        grade: None,
        segment: None,
        source_id: None,
        no_follow_up_days: no_follow_up,
        no_opportunity_days: no_opportunity,
        warning_days: warning,
    }
}

fn owned(on: &str) -> History {
    History {
        owned_on: day(on),
        followed_up_on: None,
        rests_until: None,
        deal_on: None,
        held_today: None,
    }
}

#[test]
fn it_goes_when_so_many_whole_days_have_gone_by() {
    let due = rule(Some(3), None, 1).due(&owned("2024-03-05"), None).unwrap();
    assert_eq!(
        (due.due_on, due.warn_on),
        (day("2024-03-09"), Some(day("2024-03-08")))
    );
    assert_eq!(due.look_on(), day("2024-03-08"));
    let followed = History {
        followed_up_on: Some(day("2024-03-07")),
        ..owned("2024-03-05")
    };
    assert_eq!(
        rule(Some(3), None, 1).due(&followed, None).unwrap().due_on,
        day("2024-03-11")
    );
}

#[test]
fn a_follow_up_does_not_make_an_opportunity() {
    let followed = History {
        followed_up_on: Some(day("2024-03-20")),
        ..owned("2024-03-05")
    };
    let due = rule(Some(30), Some(10), 0).due(&followed, None).unwrap();
    assert_eq!((due.due_on, due.is_for_opportunity), (day("2024-03-16"), true));
    let dealt = History {
        deal_on: Some(day("2024-03-18")),
        ..followed
    };
    let due = rule(Some(30), Some(10), 0).due(&dealt, None).unwrap();
    assert_eq!((due.due_on, due.is_for_opportunity), (day("2024-03-29"), true));
}

#[test]
fn a_rule_without_days_keeps_what_it_applies_to() {
    assert_eq!(rule(None, None, 0).due(&owned("2000-01-01"), None), None);
}

#[test]
fn what_is_overdue_has_its_whole_warning_first() {
    let rule = rule(Some(30), None, 5);
    let due = rule.due(&owned("2024-01-01"), None).unwrap();
    let today = day("2024-06-10");
    let seen = due.seen(today, 5);
    assert_eq!(
        (seen.warn_on, seen.due_on),
        (Some(day("2024-06-11")), day("2024-06-16"))
    );
    let warned = rule.due(&owned("2024-01-01"), Some(day("2024-06-11"))).unwrap();
    assert_eq!((warned.is_warned, warned.due_on), (true, day("2024-06-16")));
}

#[test]
fn a_warning_of_before_the_last_follow_up_is_void() {
    let followed = History {
        followed_up_on: Some(day("2024-03-20")),
        ..owned("2024-03-01")
    };
    let due = rule(Some(10), None, 3)
        .due(&followed, Some(day("2024-03-09")))
        .unwrap();
    assert_eq!((due.is_warned, due.warn_on), (false, Some(day("2024-03-28"))));
}

#[rstest]
#[case(Some("a"), None, true)]
#[case(Some("b"), None, false)]
#[case(None, Some("smb"), true)]
#[case(None, Some("key"), false)]
#[case(Some("a"), Some("key"), false)]
#[case(None, None, true)]
fn a_rule_is_about_what_has_all_that_it_names(
    #[case] grade: Option<&str>,
    #[case] segment: Option<&str>,
    #[case] expected: bool,
) {
    let traits = Traits {
        grade: Some("a".to_owned()),
        segment: Some("smb".to_owned()),
        source_id: None,
    };
    let rule = Rule {
        grade: grade.map(str::to_owned),
        segment: segment.map(str::to_owned),
        ..rule(Some(1), None, 0)
    };
    assert_eq!(rule.applies(&traits), expected);
}

#[test]
fn the_first_rule_decides_though_a_later_one_is_sooner() {
    let mut key = rule(None, None, 0);
    key.segment = Some("key".to_owned());
    let rules = [key.clone(), rule(Some(1), None, 0)];
    let traits = Traits {
        segment: Some("key".to_owned()),
        ..Traits::default()
    };
    assert_eq!(first(&rules, &traits), Some(&key));
    assert_eq!(first(&rules, &Traits::default()), Some(&rules[1]));
}

#[test]
fn a_day_begins_at_local_midnight_also_when_the_clocks_change() {
    let berlin: Tz = "Europe/Berlin".parse().unwrap();
    let begins = |text: &str| beginning(day(text), berlin).to_rfc3339();
    assert_eq!(begins("2024-03-31"), "2024-03-30T23:00:00+00:00");
    assert_eq!(begins("2024-04-01"), "2024-03-31T22:00:00+00:00");
    // There is no midnight on that day in Cairo.
    let cairo: Tz = "Africa/Cairo".parse().unwrap();
    let gap = beginning(day("2024-04-26"), cairo);
    assert_eq!(gap.to_rfc3339(), "2024-04-25T22:00:00+00:00");
}

#[test]
fn days_later_is_the_same_local_time() {
    let berlin: Tz = "Europe/Berlin".parse().unwrap();
    let at = "2024-03-30T09:00:00Z".parse().unwrap();
    assert_eq!(
        days_later(at, 1, berlin).to_rfc3339(),
        "2024-03-31T08:00:00+00:00"
    );
}

fn any_day() -> impl Strategy<Value = NaiveDate> {
    (0_u64..2_000).prop_map(|days| day("2022-01-01") + Days::new(days))
}

prop_compose! {
    fn any_history()(
        owned_on in any_day(), followed_up_on in proptest::option::of(any_day()), rests_until in proptest::option::of(any_day()),
        deal_on in proptest::option::of(any_day()), held_today in proptest::option::of(any_day()),
    ) -> History {
        History { owned_on, followed_up_on, rests_until, deal_on, held_today }
    }
}

proptest! {
    /// Dates are stored ahead of what may happen: none of it may bring them forward.
    #[test]
    fn whatever_happens_later_never_makes_it_due_sooner(
        history in any_history(), later in any_day(), follow in 1..400_i32, opportunity in 1..400_i32, warning in 0..30_i32,
    ) {
        let rule = rule(Some(follow), Some(opportunity), warning);
        let before = rule.due(&history, None).unwrap();
        for happened in [
            History { followed_up_on: Some(history.followed_up_on.unwrap_or(later).max(later)), ..history },
            History { deal_on: Some(history.deal_on.unwrap_or(later).max(later)), ..history },
            History { held_today: Some(later), deal_on: history.deal_on, ..History { held_today: None, ..history } },
        ] {
            if happened.held_today.is_none() && history.held_today.is_some() { continue; }
            if happened.held_today < history.held_today { continue; }
            let after = rule.due(&happened, None).unwrap();
            prop_assert!(after.due_on >= before.due_on);
            prop_assert!(after.look_on() >= before.look_on());
        }
    }

    #[test]
    fn it_is_never_taken_sooner_than_the_whole_warning_after_the_warning(
        history in any_history(), follow in 31..400_i32, warning in 1..30_i32, delay in 0_u64..500,
    ) {
        let rule = rule(Some(follow), None, warning);
        let unwarned = rule.due(&history, None).unwrap();
        let warned_on = unwarned.look_on() + Days::new(delay);
        let warned = rule.due(&history, Some(warned_on)).unwrap();
        prop_assert!(warned.is_warned);
        prop_assert!(warned.due_on >= warned_on + days(warning));
        prop_assert!(warned.due_on >= unwarned.due_on);
    }
}
