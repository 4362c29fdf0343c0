//! When a record that nobody tends goes to the pool: pure rules, in local days. `no follow-up for N days` means N whole days
//! of the company's time zone: followed up on the 5th with N = 3, it goes when the 9th begins. Days are stored, not instants,
//! so that neither daylight saving nor another time zone moves them.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

/// A rule, ready to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: Uuid,
    pub name: String,
    pub grade: Option<String>,
    pub segment: Option<String>,
    pub source_id: Option<Uuid>,
    pub no_follow_up_days: Option<i32>,
    pub no_opportunity_days: Option<i32>,
    pub warning_days: i32,
}

/// What of a record rules ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traits {
    pub grade: Option<String>,
    pub segment: Option<String>,
    pub source_id: Option<Uuid>,
}

/// What happened to a record, in local days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    pub owned_on: NaiveDate,
    pub followed_up_on: Option<NaiveDate>,
    /// Until when it is set aside on purpose.
    pub rests_until: Option<NaiveDate>,
    /// When the last deal was made or closed.
    pub deal_on: Option<NaiveDate>,
    /// Whether a deal holds it now, and what day it is then.
    pub held_today: Option<NaiveDate>,
}

/// When it goes, and when its owner is warned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// It goes when this day begins, not before.
    pub due_on: NaiveDate,
    /// The owner is warned, or was, when this day begins; `None`: without a warning.
    pub warn_on: Option<NaiveDate>,
    pub is_warned: bool,
    /// Whether it is for want of an opportunity; else of a follow-up.
    pub is_for_opportunity: bool,
}

impl Due {
    /// The day at whose beginning something is to be done.
    pub fn look_on(&self) -> NaiveDate {
        match self.warn_on {
            Some(warn_on) if !self.is_warned => warn_on,
            _ => self.due_on,
        }
    }
}

impl Rule {
    /// Whether the rule is about such a record.
    pub fn applies(&self, traits: &Traits) -> bool {
        fn fits<T: PartialEq>(wanted: &Option<T>, found: &Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        fits(&self.grade, &traits.grade)
            && fits(&self.segment, &traits.segment)
            && fits(&self.source_id, &traits.source_id)
    }

    /// When it takes a record with this history; `None` when it keeps what it applies to. `warned_on`: the day of the last
    /// warning, which counts as long as it was not before the time. A record is never taken sooner than the whole warning
    /// after it: what is overdue when a rule is made is warned of first.
    pub fn due(&self, history: &History, warned_on: Option<NaiveDate>) -> Option<Due> {
        let base = history.base();
        let tended = base.max(history.followed_up_on.unwrap_or(base));
        let of_follow_up = self.no_follow_up_days.map(|days| after(tended, days));
        let of_opportunity = self.no_opportunity_days.map(|days| after(base, days));
        let natural = of_follow_up.into_iter().chain(of_opportunity).min()?;
        let is_for_opportunity = of_opportunity == Some(natural) && of_follow_up != Some(natural);
        let span = days(self.warning_days);
        let warn_on = (self.warning_days > 0).then(|| natural - span);
        let warned_on = warned_on.filter(|warned| warn_on.is_some_and(|warn_on| *warned >= warn_on));
        Some(Due {
            due_on: warned_on.map_or(natural, |warned| natural.max(warned + span)),
            warn_on: warned_on.or(warn_on),
            is_warned: warned_on.is_some(),
            is_for_opportunity,
        })
    }
}

impl Due {
    /// The same as it will come, seen from within `today`: what should have happened already happens when the next day
    /// begins.
    pub fn seen(&self, today: NaiveDate, warning_days: i32) -> Due {
        let tomorrow = today + Days::new(1);
        let mut seen = *self;
        if let Some(warn_on) = self.warn_on.filter(|_| !self.is_warned) {
            let warn_on = if warn_on > today { warn_on } else { tomorrow };
            seen.warn_on = Some(warn_on);
            seen.due_on = self.due_on.max(warn_on + days(warning_days));
        } else if self.due_on <= today {
            seen.due_on = tomorrow;
        }
        seen
    }
}

impl History {
    /// The day from which on all counts.
    fn base(&self) -> NaiveDate {
        let others = [self.rests_until, self.deal_on, self.held_today];
        others.into_iter().flatten().fold(self.owned_on, NaiveDate::max)
    }
}

/// The first rule that is about such a record; rules come in their order.
pub fn first<'r>(rules: &'r [Rule], traits: &Traits) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.applies(traits))
}

fn days(count: i32) -> Days {
    Days::new(u64::try_from(count).unwrap_or_default())
}

/// The day that begins once so many whole days have gone by after a day.
fn after(day: NaiveDate, count: i32) -> NaiveDate {
    day + days(count) + Days::new(1)
}

/// The day that it is in a time zone.
pub fn day_of(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// When a day begins in a time zone.
pub fn beginning(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    instant(day.and_time(NaiveTime::MIN), zone)
}

/// The same local time so many days later.
pub fn days_later(at: DateTime<Utc>, count: i32, zone: Tz) -> DateTime<Utc> {
    instant(at.with_timezone(&zone).naive_local() + days(count), zone)
}

/// A local time as an instant; one that the clocks leave out is the next that there is.
fn instant(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let found = (0..6).find_map(|step| {
        let local = local + TimeDelta::minutes(30 * step);
        zone.from_local_datetime(&local).earliest()
    });
    found.map_or_else(|| local.and_utc(), |instant| instant.with_timezone(&Utc))
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
