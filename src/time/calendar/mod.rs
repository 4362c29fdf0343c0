//! A company's working time: its week, its holidays and make-up days, and what a deadline comes to by them. Pure but for
//! [`Calendar::of`]; everything is bounded, also for a calendar without any working time.
//!
//! A deadline is computed when it is set: a calendar that changes afterwards does not move it.

mod hours;
pub mod http;
mod load;
pub mod resources;
#[cfg(test)]
mod tests;

pub use hours::{Hours, Shift};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// How far a span is followed, in days. Beyond it the calendar is taken to have no more working time.
const MOST_DAYS: usize = 36_600;
/// The same as a span of time.
const HORIZON: TimeDelta = TimeDelta::days(36_600);

/// How long something may take. Nothing below zero: a negative span counts as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Time by the clock, holidays or not: "24 h" are `ClockMinutes(1440)`.
    ClockMinutes(i64),
    /// Time that is worked: whatever lies outside working hours does not count.
    WorkingMinutes(i64),
    /// Days that are worked, to the same local time on the last of them: "three days".
    WorkingDays(i64),
}

/// When a company works.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: Tz,
    /// Monday first; a day without shifts is not worked.
    week: [Vec<Shift>; 7],
    /// Days that are not as the week says; a holiday has no shifts.
    days: BTreeMap<NaiveDate, Vec<Shift>>,
}

/// Uninterrupted working time: from `begin` up to `end`, which is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    /// The local day that it belongs to.
    day: NaiveDate,
    begin: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Calendar {
    /// A calendar of a week (Monday first) and of days that differ from it. The shifts of a day are in order and do not
    /// overlap.
    #[must_use]
    pub fn new(zone: Tz, week: [Vec<Shift>; 7], days: BTreeMap<NaiveDate, Vec<Shift>>) -> Calendar {
        Calendar { zone, week, days }
    }

    /// When a span that begins at `start` is over. Spans of working time begin to count with the first working time from
    /// `start` on, and end within working time or exactly where it ends. A day that is shorter than the hour asked for
    /// ends the span with its last shift; one that has a break then, after the break. Where a hundred years do not hold
    /// enough working time, it is over a hundred years from `start`.
    #[must_use]
    pub fn after(&self, start: DateTime<Utc>, span: Span) -> DateTime<Utc> {
        let found = match span {
            Span::ClockMinutes(minutes) => start.checked_add_signed(clock(minutes)),
            Span::WorkingMinutes(minutes) => self.minutes_after(start, clock(minutes)),
            Span::WorkingDays(days) => self.days_after(start, count(days)),
        };
        found
            .or_else(|| start.checked_add_signed(HORIZON))
            .unwrap_or(start)
    }

    /// When a span that is over at `end` has begun at the latest: [`Calendar::after`] looked at from its end.
    #[must_use]
    pub fn before(&self, end: DateTime<Utc>, span: Span) -> DateTime<Utc> {
        let found = match span {
            Span::ClockMinutes(minutes) => end.checked_sub_signed(clock(minutes)),
            Span::WorkingMinutes(minutes) => self.minutes_before(end, clock(minutes)),
            Span::WorkingDays(days) => self.days_before(end, count(days)),
        };
        found.or_else(|| end.checked_sub_signed(HORIZON)).unwrap_or(end)
    }

    /// Whole minutes of working time between two instants; negative when `b` is the earlier. A hundred years at most.
    #[must_use]
    pub fn working_minutes_between(&self, a: DateTime<Utc>, b: DateTime<Utc>) -> i64 {
        if b < a {
            return -self.working_minutes_between(b, a);
        }
        self.ahead(a)
            .take_while(|stretch| stretch.begin < b)
            .map(|stretch| stretch.end.min(b) - stretch.begin.max(a))
            .sum::<TimeDelta>()
            .num_minutes()
    }

    /// Whether it is working time at this instant; not any more at the end of a shift.
    #[must_use]
    pub fn is_working(&self, instant: DateTime<Utc>) -> bool {
        let mut near = self.ahead(instant).take_while(|stretch| stretch.begin <= instant);
        near.any(|stretch| instant < stretch.end)
    }

    /// Whether anything is worked on this local day.
    #[must_use]
    pub fn is_worked(&self, day: NaiveDate) -> bool {
        !self.on(day).is_empty()
    }

    fn minutes_after(&self, start: DateTime<Utc>, span: TimeDelta) -> Option<DateTime<Utc>> {
        let mut left = span;
        for stretch in self.ahead(start) {
            let from = stretch.begin.max(start);
            if stretch.end - from >= left {
                return Some(from + left);
            }
            left -= stretch.end - from;
        }
        None
    }

    fn minutes_before(&self, end: DateTime<Utc>, span: TimeDelta) -> Option<DateTime<Utc>> {
        let mut left = span;
        for stretch in self.back(end) {
            let to = stretch.end.min(end);
            if to - stretch.begin >= left {
                return Some(to - left);
            }
            left -= to - stretch.begin;
        }
        None
    }

    fn days_after(&self, start: DateTime<Utc>, count: usize) -> Option<DateTime<Utc>> {
        let first = self.ahead(start).next()?;
        let hour = self.hour_of(first.day, first.begin.max(start));
        let days = first.day.iter_days().take(MOST_DAYS);
        let day = days.filter(|day| self.is_worked(*day)).nth(count)?;
        let wanted = self.at(day, hour);
        let stretches = self.on(day);
        let reached = stretches.iter().find(|stretch| wanted <= stretch.end);
        reached
            .map(|stretch| stretch.begin.max(wanted))
            .or_else(|| stretches.last().map(|stretch| stretch.end))
    }

    fn days_before(&self, end: DateTime<Utc>, count: usize) -> Option<DateTime<Utc>> {
        let last = self.back(end).next()?;
        let hour = self.hour_of(last.day, last.end.min(end));
        let days = backwards(last.day).filter(|day| self.is_worked(*day));
        let day = { days }.nth(count)?;
        let wanted = self.at(day, hour);
        let stretches = self.on(day);
        let reached = stretches.iter().rfind(|stretch| stretch.begin <= wanted);
        reached
            .map(|stretch| stretch.end.min(wanted))
            .or_else(|| stretches.first().map(|stretch| stretch.begin))
    }

    /// How long after the local midnight of a day an instant is, by the clock on the wall.
    fn hour_of(&self, day: NaiveDate, instant: DateTime<Utc>) -> TimeDelta {
        instant.with_timezone(&self.zone).naive_local() - day.and_time(NaiveTime::MIN)
    }

    /// The instant at which the clock on the wall has gone so far since a day's midnight.
    fn at(&self, day: NaiveDate, hour: TimeDelta) -> DateTime<Utc> {
        let midnight = day.and_time(NaiveTime::MIN);
        self.instant(midnight.checked_add_signed(hour).unwrap_or(midnight))
    }

    /// Working time from `start` on, in order, beginning with what is going on or ends then.
    fn ahead(&self, start: DateTime<Utc>) -> impl Iterator<Item = Stretch> {
        // The day before, since clocks that are put back over midnight begin a day twice.
        let day = self.day_of(start);
        let days = day.pred_opt().unwrap_or(day).iter_days().take(MOST_DAYS);
        days.flat_map(move |day| self.on(day))
            .skip_while(move |stretch| stretch.end < start)
    }

    /// Working time up to `end`, the latest first, beginning with what is going on or begins then.
    fn back(&self, end: DateTime<Utc>) -> impl Iterator<Item = Stretch> {
        let day = self.day_of(end);
        let days = backwards(day.succ_opt().unwrap_or(day));
        days.flat_map(move |day| self.on(day).into_iter().rev())
            .skip_while(move |stretch| end < stretch.begin)
    }

    fn day_of(&self, instant: DateTime<Utc>) -> NaiveDate {
        instant.with_timezone(&self.zone).date_naive()
    }

    /// The working time of a local day, in order. What clocks that are put forward leave out is not worked.
    fn on(&self, day: NaiveDate) -> Vec<Stretch> {
        let shifts = self.days.get(&day).unwrap_or_else(|| self.of_week(day));
        let stretch = |shift: &Shift| Stretch {
            day,
            begin: self.at(day, shift.begins()),
            end: self.at(day, shift.ends()),
        };
        let stretches = shifts.iter().map(stretch);
        stretches.filter(|stretch| stretch.begin < stretch.end).collect()
    }

    fn of_week(&self, day: NaiveDate) -> &Vec<Shift> {
        use chrono::Datelike;
        &self.week[day.weekday().num_days_from_monday() as usize]
    }

    /// The instant of a local time: the first of two where clocks are put back, the one to which they are put forward where
    /// they leave it out. Later local times never come to earlier instants, so shifts that do not overlap never do.
    fn instant(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let found = self.zone.from_local_datetime(&local).earliest();
        found.map_or_else(|| self.after_gap(local), |found| found.with_timezone(&Utc))
    }

    /// The first instant whose local time is not before one that is left out.
    fn after_gap(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let is_reached = |seconds: i64| {
            let instant = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            instant.with_timezone(&self.zone).naive_local() >= local
        };
        // No zone is further than this from universal time, whole days left out included.
        const FAR: i64 = 50 * 3600;
        let middle = local.and_utc().timestamp();
        let (mut before, mut reached) = (middle - FAR, middle + FAR);
        while reached - before > 1 {
            let between = i64::midpoint(before, reached);
            if is_reached(between) {
                reached = between;
            } else {
                before = between;
            }
        }
        DateTime::from_timestamp(reached, 0).unwrap_or_else(|| local.and_utc())
    }
}

fn backwards(from: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    std::iter::successors(Some(from), NaiveDate::pred_opt).take(MOST_DAYS)
}

fn clock(minutes: i64) -> TimeDelta {
    TimeDelta::try_minutes(minutes.max(0))
        .unwrap_or(TimeDelta::MAX)
        .min(HORIZON)
}

fn count(days: i64) -> usize {
    usize::try_from(days.max(0)).unwrap_or(usize::MAX)
}
