//! Until when an open deal is expected to stay in its stage: from the beginning of its stay the expected dwell of the stage on
//! its version, the time closed left out. The rule is here; moves write it as SQL, in the statement that makes them.

pub mod fill;

use super::advance::rules::Status;
use chrono::{DateTime, TimeDelta, Utc};

/// What a move makes of the present stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// A closed deal is due for nothing.
    Closed,
    /// It begins with the move.
    Begins,
    /// It goes on.
    GoesOn,
    /// It goes on where it was cut: the deal was closed since the move before.
    Resumes,
}

impl Stay {
    /// Of a move from one status to another.
    pub fn of(from: Status, to: Status, begins_visit: bool) -> Stay {
        match (from, to) {
            (_, Status::Won | Status::Lost) => Stay::Closed,
            (_, Status::Open) if begins_visit => Stay::Begins,
            (Status::Open, Status::Open) => Stay::GoesOn,
            (Status::Won | Status::Lost, Status::Open) => Stay::Resumes,
        }
    }
}

/// The instant after which an open deal is overdue: its stay began at `begun_at` and was interrupted for `closed_for`. None
/// where the stage expects nothing.
pub fn due_at(
    begun_at: DateTime<Utc>,
    closed_for: TimeDelta,
    expected_dwell_seconds: Option<i64>,
) -> Option<DateTime<Utc>> {
    let expected = TimeDelta::try_seconds(expected_dwell_seconds?)?;
    begun_at.checked_add_signed(expected.checked_add(&closed_for)?)
}

/// [`due_at`] as SQL over the stage `s` of the version, of a stay that began at `begun` and was interrupted for so many
/// seconds. In seconds throughout: an interval of days would be as long as the session's time zone has it.
pub fn due_sql(begun: &str, closed_seconds: &str) -> String {
    format!("{begun} + make_interval(secs => (s.expected_dwell_seconds + {closed_seconds})::float8)")
}

/// The due instant after a move of a deal, as SQL over the stage `s` reached; its place of `begun_at` says when the stay
/// began, that of `now` when the move is made.
pub fn after_move(stay: Stay, [deal, visit, begun_at, now]: [&str; 4]) -> String {
    let closed = || closed_seconds("$1", deal, visit);
    match stay {
        Stay::Closed => String::from("NULL::timestamptz"),
        Stay::Begins => due_sql(begun_at, "0"),
        Stay::GoesOn => due_sql(begun_at, &closed()),
        Stay::Resumes => due_sql(begun_at, &format!("({} + {})", closed(), closed_since(deal, now))),
    }
}

/// SQL of the seconds for which a visit was interrupted so far.
pub fn closed_seconds(tenant: &str, deal: &str, visit: &str) -> String {
    format!(
        "coalesce((SELECT sum(extract(epoch FROM again.at - closed.at)) FROM transitions again \
         JOIN transitions closed ON closed.tenant_id = again.tenant_id AND closed.opportunity_id = again.opportunity_id AND closed.ordinal = again.ordinal - 1 \
         WHERE again.tenant_id = {tenant} AND again.opportunity_id = {deal} AND again.kind = 'reopen' AND again.visit_id = {visit}), 0)"
    )
}

/// SQL of the seconds since the last move, which closed the deal.
fn closed_since(deal: &str, now: &str) -> String {
    format!(
        "(SELECT extract(epoch FROM {now} - closing.at) FROM transitions closing \
         WHERE closing.tenant_id = $1 AND closing.opportunity_id = {deal} ORDER BY closing.ordinal DESC LIMIT 1)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_stay_is_due_when_it_has_lasted_as_long_as_expected_while_the_deal_was_open() {
        let begun = at("2024-03-04T01:00:00Z");
        for (closed_hours, expected, due) in [
            (0, Some(86_400), Some("2024-03-05T01:00:00Z")),
            (8, Some(86_400), Some("2024-03-05T09:00:00Z")),
            (0, Some(1), Some("2024-03-04T01:00:01Z")),
            (8, None, None),
            (0, Some(i64::MAX), None),
            (0, Some(i64::MAX / 1000), None),
        ] {
            let due_at = due_at(begun, TimeDelta::hours(closed_hours), expected);
            assert_eq!(due_at, due.map(at), "{closed_hours} {expected:?}");
        }
    }

    #[test]
    fn a_move_ends_begins_keeps_or_resumes_the_stay() {
        use Status::{Lost, Open, Won};
        for (from, to, begins, stay) in [
            (Open, Open, true, Stay::Begins),
            (Open, Open, false, Stay::GoesOn),
            (Open, Won, false, Stay::Closed),
            (Open, Lost, false, Stay::Closed),
            (Lost, Open, true, Stay::Begins),
            (Lost, Open, false, Stay::Resumes),
            (Won, Open, false, Stay::Resumes),
        ] {
            assert_eq!(Stay::of(from, to, begins), stay, "{from:?} {to:?} {begins}");
        }
    }

    #[test]
    fn the_move_that_is_made_most_asks_for_no_other_row() {
        let sql = after_move(Stay::Begins, ["$2", "$3", "$4", "$5"]);
        assert_eq!(
            sql,
            "$4 + make_interval(secs => (s.expected_dwell_seconds + 0)::float8)"
        );
    }
}
