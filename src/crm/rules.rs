//! Pure rules of accounts: the grade by time to need, and the form of credit terms.

use chrono::{Days, Months, NaiveDate};

/// Longest term of payment, in days.
const MOST_DAYS: u16 = 365;

/// An account's grade by time to need: `a` within `a_days` days, `b` within `b_months` calendar months, both inclusive,
/// `c` later. A need whose day has passed is due at once: `a`.
pub fn grade(need: NaiveDate, today: NaiveDate, a_days: i32, b_months: i32) -> &'static str {
    let (last_a, last_b) = last_days(today, a_days, b_months);
    if last_a.is_none_or(|last| need <= last) {
        "a"
    } else if last_b.is_none_or(|last| need <= last) {
        "b"
    } else {
        "c"
    }
}

/// The last days of need that make grades `a` and `b`; none where the calendar ends before.
pub fn last_days(today: NaiveDate, a_days: i32, b_months: i32) -> (Option<NaiveDate>, Option<NaiveDate>) {
    let days = u64::try_from(a_days).unwrap_or_default();
    let months = u32::try_from(b_months).unwrap_or_default();
    (
        today.checked_add_days(Days::new(days)),
        today.checked_add_months(Months::new(months)),
    )
}

/// Credit terms in their one spelling: `net N` (N days), `net N eom` (then the month's end), `eom N` (the month's end, then
/// N days), `instalments`. `None` when they have another form, or more than 365 days.
pub fn credit_terms(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let words = lower.split_whitespace().collect::<Vec<_>>();
    match words.as_slice() {
        ["instalments"] => Some(String::from("instalments")),
        ["net", days] => day_count(days).map(|days| format!("net {days}")),
        ["net", days, "eom"] => day_count(days).map(|days| format!("net {days} eom")),
        ["eom", days] => day_count(days).map(|days| format!("eom {days}")),
        _ => None,
    }
}

fn day_count(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|days| is_plain && *days <= MOST_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("2024-03-05", "a")]
    #[case("2024-04-04", "a")]
    #[case("2024-04-05", "b")]
    #[case("2024-09-05", "b")]
    #[case("2024-09-06", "c")]
    #[case("2024-01-01", "a")]
    fn both_limits_of_a_grade_are_inclusive(#[case] need: &str, #[case] expected: &str) {
        assert_eq!(grade(day(need), day("2024-03-05"), 30, 6), expected);
    }

    #[test]
    fn six_months_are_calendar_months_and_end_with_a_shorter_month() {
        assert_eq!(grade(day("2024-02-29"), day("2023-08-31"), 30, 6), "b");
        assert_eq!(grade(day("2024-03-01"), day("2023-08-31"), 30, 6), "c");
    }

    #[test]
    fn the_limits_are_the_companys() {
        assert_eq!(grade(day("2024-03-20"), day("2024-03-05"), 7, 1), "b");
        assert_eq!(grade(day("2024-04-06"), day("2024-03-05"), 7, 1), "c");
    }

    #[rstest]
    #[case("net 30", Some("net 30"))]
    #[case("NET  30", Some("net 30"))]
    #[case("net 0", Some("net 0"))]
    #[case("net 30 eom", Some("net 30 eom"))]
    #[case("eom 60", Some("eom 60"))]
    #[case("instalments", Some("instalments"))]
    #[case("net 366", None)]
    #[case("net -1", None)]
    #[case("net +1", None)]
    #[case("net", None)]
    #[case("30 days", None)]
    #[case("eom 60 eom", None)]
    fn credit_terms_have_four_forms(#[case] typed: &str, #[case] kept: Option<&str>) {
        assert_eq!(credit_terms(typed).as_deref(), kept);
    }
}
