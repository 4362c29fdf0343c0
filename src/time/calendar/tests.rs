//! Working time, told by the calendar of a company in Shanghai around the National Day of 2024: 1 to 7 October were off,
//! the Sunday before and the Saturday after were worked (调休).

use super::*;
use proptest::prelude::*;
use rstest::rstest;

fn shift(begins: u16, ends: u16) -> Shift {
    Shift::new(begins * 60, ends * 60).unwrap()
}

fn office() -> Vec<Shift> {
    vec![shift(9, 12), shift(13, 18)]
}

fn week() -> [Vec<Shift>; 7] {
    let mut week = <[Vec<Shift>; 7]>::default();
    week[..5].fill(office());
    week
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn shanghai() -> Calendar {
    let holidays = (1..=7).map(|of_month| (NaiveDate::from_ymd_opt(2024, 10, of_month).unwrap(), Vec::new()));
    let made_up = ["2024-09-29", "2024-10-12"].map(|text| (day(text), office()));
    Calendar::new(
        chrono_tz::Asia::Shanghai,
        week(),
        holidays.chain(made_up).collect(),
    )
}

fn berlin() -> Calendar {
    let shifts = vec![shift(0, 2), Shift::new(150, 360).unwrap(), shift(22, 24)];
    Calendar::new(
        chrono_tz::Europe::Berlin,
        std::array::from_fn(|_| shifts.clone()),
        BTreeMap::new(),
    )
}

/// An instant by the clock on the wall.
fn at(calendar: &Calendar, local: &str) -> DateTime<Utc> {
    let local = NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M").unwrap();
    calendar.instant(local)
}

fn wall(calendar: &Calendar, instant: DateTime<Utc>) -> String {
    instant
        .with_timezone(&calendar.zone)
        .format("%Y-%m-%d %H:%M")
        .to_string()
}

fn after(start: &str, span: Span) -> String {
    let calendar = shanghai();
    wall(&calendar, calendar.after(at(&calendar, start), span))
}

fn before(end: &str, span: Span) -> String {
    let calendar = shanghai();
    wall(&calendar, calendar.before(at(&calendar, end), span))
}

#[rstest]
#[case::within_a_shift("2024-09-27 10:00", 60, "2024-09-27 11:00")]
#[case::over_lunch("2024-09-27 11:30", 60, "2024-09-27 13:30")]
#[case::to_the_end_of_the_day("2024-09-27 17:00", 60, "2024-09-27 18:00")]
#[case::into_a_sunday_that_is_worked("2024-09-27 17:00", 61, "2024-09-29 09:01")]
#[case::over_the_holiday("2024-09-30 17:00", 120, "2024-10-08 10:00")]
#[case::from_within_the_holiday("2024-10-03 15:00", 30, "2024-10-08 09:30")]
#[case::from_before_the_morning("2024-10-08 07:00", 30, "2024-10-08 09:30")]
#[case::nothing_waits_for_working_time("2024-10-03 15:00", 0, "2024-10-08 09:00")]
#[case::less_than_nothing_is_nothing("2024-10-08 10:00", -5, "2024-10-08 10:00")]
fn working_minutes_count_only_what_is_worked(#[case] start: &str, #[case] minutes: i64, #[case] due: &str) {
    assert_eq!(after(start, Span::WorkingMinutes(minutes)), due);
}

#[rstest]
#[case::from_day_to_day("2024-09-25 10:30", 1, "2024-09-26 10:30")]
#[case::a_make_up_day_counts("2024-09-27 10:30", 1, "2024-09-29 10:30")]
#[case::a_holiday_does_not("2024-09-30 10:30", 1, "2024-10-08 10:30")]
#[case::both("2024-09-27 10:30", 3, "2024-10-08 10:30")]
#[case::three_days_over_a_saturday_that_is_worked("2024-10-10 16:00", 3, "2024-10-14 16:00")]
#[case::from_a_free_day_they_count_from_the_morning("2024-10-05 16:00", 1, "2024-10-09 09:00")]
#[case::in_the_break_they_count_from_its_end("2024-09-25 12:30", 1, "2024-09-26 13:00")]
#[case::the_end_of_a_day_stays_one("2024-09-25 18:00", 1, "2024-09-26 18:00")]
fn working_days_skip_holidays_and_count_make_up_days(
    #[case] start: &str,
    #[case] days: i64,
    #[case] due: &str,
) {
    assert_eq!(after(start, Span::WorkingDays(days)), due);
}

#[test]
fn twenty_four_hours_are_twenty_four_hours_holiday_or_not() {
    assert_eq!(
        after("2024-09-30 17:00", Span::ClockMinutes(1440)),
        "2024-10-01 17:00"
    );
}

#[rstest]
#[case("2024-10-08 10:00", Span::WorkingMinutes(120), "2024-09-30 17:00")]
#[case("2024-10-08 09:00", Span::WorkingMinutes(1), "2024-09-30 17:59")]
#[case("2024-10-08 10:30", Span::WorkingDays(1), "2024-09-30 10:30")]
#[case("2024-10-05 10:30", Span::WorkingDays(1), "2024-09-29 18:00")]
#[case("2024-10-08 10:00", Span::ClockMinutes(60), "2024-10-08 09:00")]
fn a_span_can_be_counted_from_its_end(#[case] end: &str, #[case] span: Span, #[case] start: &str) {
    assert_eq!(before(end, span), start);
}

#[test]
fn a_shorter_day_ends_what_would_have_come_after_it() {
    let days = BTreeMap::from([(day("2024-09-26"), vec![shift(9, 12)])]);
    let calendar = Calendar::new(chrono_tz::Asia::Shanghai, week(), days);
    let due = calendar.after(at(&calendar, "2024-09-25 16:00"), Span::WorkingDays(1));
    assert_eq!(wall(&calendar, due), "2024-09-26 12:00");
}

#[test]
fn the_end_of_a_shift_is_not_working_time_any_more() {
    let calendar = shanghai();
    let is_working = |local| calendar.is_working(at(&calendar, local));
    assert!(
        is_working("2024-09-27 09:00") && is_working("2024-09-27 17:59") && is_working("2024-09-29 10:00")
    );
    assert!(!is_working("2024-09-27 12:00") && !is_working("2024-09-27 18:00"));
    assert!(!is_working("2024-10-01 10:00") && !is_working("2024-09-28 10:00"));
}

#[test]
fn working_minutes_between_leave_out_what_is_not_worked() {
    let calendar = shanghai();
    let (friday, tuesday) = (
        at(&calendar, "2024-09-27 17:00"),
        at(&calendar, "2024-10-08 10:00"),
    );
    assert_eq!(
        calendar.working_minutes_between(friday, tuesday),
        60 + 480 + 480 + 60
    );
    assert_eq!(calendar.working_minutes_between(tuesday, friday), -1080);
    assert_eq!(calendar.working_minutes_between(friday, friday), 0);
}

#[test]
fn a_night_shift_loses_the_hour_that_the_clocks_leave_out_and_gains_the_one_they_repeat() {
    let calendar = berlin();
    let night =
        |from: &str, to: &str| calendar.working_minutes_between(at(&calendar, from), at(&calendar, to));
    // 22–24, 0–2 and 2:30–6 are worked.
    assert_eq!(night("2024-05-04 12:00", "2024-05-05 12:00"), 450);
    // On 31 March 2:00 became 3:00: of 2:30–6 only 3–6 was there.
    assert_eq!(night("2024-03-30 12:00", "2024-03-31 12:00"), 420);
    // On 27 October 3:00 became 2:00: 2:30–6 lasted an hour longer.
    assert_eq!(night("2024-10-26 12:00", "2024-10-27 12:00"), 510);
}

#[test]
fn a_local_time_that_is_left_out_is_the_instant_after_it() {
    let calendar = berlin();
    assert_eq!(
        at(&calendar, "2024-03-31 02:30").to_rfc3339(),
        "2024-03-31T01:00:00+00:00"
    );
    // Samoa left out a whole day.
    let samoa = Calendar::new(chrono_tz::Pacific::Apia, week(), BTreeMap::new());
    assert_eq!(at(&samoa, "2011-12-30 10:00"), at(&samoa, "2011-12-31 00:00"));
    assert!(!samoa.is_worked(day("2011-12-30")), "that Friday never was");
}

#[test]
fn a_calendar_without_working_time_ends_after_a_hundred_years() {
    let calendar = Calendar::new(chrono_tz::UTC, <[Vec<Shift>; 7]>::default(), BTreeMap::new());
    let start = at(&calendar, "2024-09-27 10:00");
    for span in [Span::WorkingMinutes(1), Span::WorkingDays(1)] {
        assert_eq!(calendar.after(start, span), start + HORIZON);
        assert_eq!(calendar.before(start, span), start - HORIZON);
    }
    assert_eq!(
        calendar.working_minutes_between(start, start + TimeDelta::days(900)),
        0
    );
    assert!(!calendar.is_working(start));
}

#[test]
fn spans_beyond_all_measure_end_too() {
    let calendar = shanghai();
    let start = at(&calendar, "2024-09-27 10:00");
    for span in [
        Span::ClockMinutes(i64::MAX),
        Span::WorkingMinutes(i64::MAX),
        Span::WorkingDays(i64::MAX),
    ] {
        assert_eq!(calendar.after(start, span), start + HORIZON);
    }
}

#[test]
fn hours_of_a_day_are_put_in_order_and_never_overlap() {
    let hours = |pairs: &[(&str, &str)]| {
        let hours = pairs.iter().map(|(begins, ends)| Hours {
            begins: (*begins).to_owned(),
            ends: (*ends).to_owned(),
        });
        hours::shifts(&hours.collect::<Vec<_>>(), "/hours")
    };
    assert_eq!(
        hours(&[("13:00", "24:00"), ("09:00", "13:00")]),
        Ok(vec![shift(9, 13), shift(13, 24)])
    );
    let pointers = |found: Result<Vec<Shift>, Vec<crate::kernel::fault::Fault>>| {
        let faults = found.unwrap_err().into_iter();
        faults.map(|fault| fault.pointer).collect::<Vec<_>>()
    };
    assert_eq!(
        pointers(hours(&[
            ("12:00", "12:00"),
            ("09:00", "12:00"),
            ("11:00", "13:00")
        ])),
        ["/hours/0/ends", "/hours/2/begins"]
    );
}

/// Weeks of any shape with something worked, some days off, and a zone with or without summer time.
fn calendars() -> impl Strategy<Value = Calendar> {
    let shifts = proptest::collection::btree_set(0_u16..=96, 0..6).prop_map(|marks| {
        let marks = marks.into_iter().map(|mark| mark * 15).collect::<Vec<_>>();
        let pairs = marks.chunks_exact(2);
        pairs
            .filter_map(|pair| Shift::new(pair[0], pair[1]))
            .collect::<Vec<_>>()
    });
    let zones = prop_oneof![
        Just(chrono_tz::Asia::Shanghai),
        Just(chrono_tz::Europe::Berlin),
        Just(chrono_tz::America::St_Johns),
        Just(chrono_tz::Australia::Lord_Howe),
    ];
    let days = proptest::collection::btree_map(0_u64..400, shifts.clone(), 0..30);
    let week = proptest::array::uniform7(shifts);
    (zones, week, days).prop_map(|(zone, mut week, days)| {
        if week.iter().all(Vec::is_empty) {
            week[0] = office();
        }
        let days = days
            .into_iter()
            .map(|(offset, shifts)| (day("2024-01-01") + chrono::Days::new(offset), shifts));
        Calendar::new(zone, week, days.collect())
    })
}

fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    (0_i64..400 * 24 * 60 * 60)
        .prop_map(|seconds| DateTime::from_timestamp(1_704_067_200 + seconds, 0).unwrap())
}

/// Within working time, or exactly at its end.
fn is_worked_up_to(calendar: &Calendar, instant: DateTime<Utc>) -> bool {
    calendar.is_working(instant) || calendar.is_working(instant - TimeDelta::seconds(1))
}

proptest! {
    #[test]
    fn a_deadline_never_lands_outside_working_time(calendar in calendars(), start in instants(), minutes in 0_i64..20_000, days in 0_i64..40) {
        for span in [Span::WorkingMinutes(minutes), Span::WorkingDays(days)] {
            let due = calendar.after(start, span);
            prop_assert!(due >= start);
            prop_assert!(is_worked_up_to(&calendar, due), "{due}");
            let begun = calendar.before(start, span);
            prop_assert!(begun <= start);
            prop_assert!(is_worked_up_to(&calendar, begun), "{begun}");
        }
    }

    #[test]
    fn working_minutes_add_up(calendar in calendars(), start in instants(), first in 0_i64..9_000, second in 0_i64..9_000) {
        let halfway = calendar.after(start, Span::WorkingMinutes(first));
        let due = calendar.after(start, Span::WorkingMinutes(first + second));
        prop_assert_eq!(calendar.after(halfway, Span::WorkingMinutes(second)), due);
        prop_assert_eq!(calendar.working_minutes_between(start, due), first + second);
        prop_assert_eq!(calendar.working_minutes_between(calendar.before(start, Span::WorkingMinutes(first)), start), first);
    }

    #[test]
    fn more_time_or_a_later_start_never_ends_earlier(calendar in calendars(), start in instants(), later in 0_i64..90_000, minutes in 0_i64..9_000, more in 0_i64..9_000) {
        let due = calendar.after(start, Span::WorkingMinutes(minutes));
        prop_assert!(due <= calendar.after(start, Span::WorkingMinutes(minutes + more)));
        prop_assert!(due <= calendar.after(start + TimeDelta::seconds(later), Span::WorkingMinutes(minutes)));
    }

    #[test]
    fn of_working_days_too(calendar in calendars(), start in instants(), later in 0_i64..900_000, days in 0_i64..30) {
        // Where clocks are put back an hour of the wall comes twice, so that within it the later may be the earlier there.
        let calendar = Calendar { zone: chrono_tz::Asia::Kolkata, ..calendar };
        let due = calendar.after(start, Span::WorkingDays(days));
        prop_assert!(due < calendar.after(start, Span::WorkingDays(days + 1)));
        prop_assert!(due <= calendar.after(start + TimeDelta::seconds(later), Span::WorkingDays(days)));
    }

    #[test]
    fn as_many_working_days_lie_between_as_were_asked_for(calendar in calendars(), start in instants(), days in 0_i64..30) {
        let begins = calendar.day_of(calendar.after(start, Span::WorkingMinutes(0)) - TimeDelta::seconds(1));
        let ends = calendar.day_of(calendar.after(start, Span::WorkingDays(days)) - TimeDelta::seconds(1));
        let between = begins.iter_days().skip(1).take_while(|day| *day <= ends);
        let worked = between.filter(|day| calendar.is_worked(*day)).count();
        // A start within the first second of a day's work makes its day the one before.
        prop_assert!((days..=days + 1).contains(&i64::try_from(worked).unwrap()), "{worked}");
    }
}
