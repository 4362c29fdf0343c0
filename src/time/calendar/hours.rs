//! Working hours of a day, as they are written and as they are counted.

use crate::kernel::fault::Fault;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Uninterrupted working hours of a day, in local time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// From this minute on, `HH:MM`.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "09:00")]
    pub begins: String,
    /// Up to this minute, `HH:MM`; `24:00` is midnight. A shift over midnight is entered as two.
    #[schema(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", example = "18:00")]
    pub ends: String,
}

/// The same in minutes after local midnight; it ends after it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shift {
    begins: u16,
    ends: u16,
}

impl Shift {
    /// None, when it does not end after it begins, or after the day.
    #[must_use]
    pub fn new(begins: u16, ends: u16) -> Option<Shift> {
        (begins < ends && ends <= DAY).then_some(Shift { begins, ends })
    }

    pub(super) fn begins(self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.begins))
    }

    pub(super) fn ends(self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.ends))
    }
}

impl From<Shift> for Hours {
    fn from(shift: Shift) -> Hours {
        Hours {
            begins: written(shift.begins),
            ends: written(shift.ends),
        }
    }
}

fn written(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn read(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let hour = hour.parse::<u16>().ok().filter(|hour| *hour <= 24)?;
    let minute = minute.parse::<u16>().ok().filter(|minute| *minute < 60)?;
    Some(hour * 60 + minute)
}

/// The shifts of a day in order, or everything that is wrong with them, below `pointer`.
///
/// # Errors
/// A shift that does not end after it begins; two that overlap.
pub fn shifts(hours: &[Hours], pointer: &str) -> Result<Vec<Shift>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut read_so_far = Vec::<(usize, Shift)>::new();
    for (at, hours) in hours.iter().enumerate() {
        let minutes = read(&hours.begins).zip(read(&hours.ends));
        match minutes.and_then(|(begins, ends)| Shift::new(begins, ends)) {
            Some(shift) => read_so_far.push((at, shift)),
            None => faults.push(Fault::invalid(
                format!("{pointer}/{at}/ends"),
                "must be later than it begins, on the same day",
                "须晚于开始时间,且在同一天",
            )),
        }
    }
    read_so_far.sort_by_key(|(_, shift)| *shift);
    for pair in read_so_far.windows(2) {
        if pair[1].1.begins < pair[0].1.ends {
            faults.push(Fault::invalid(
                format!("{pointer}/{}/begins", pair[1].0),
                "overlaps other hours of the day",
                "与当天的其他时段重叠",
            ));
        }
    }
    if faults.is_empty() {
        Ok(read_so_far.into_iter().map(|(_, shift)| shift).collect())
    } else {
        Err(faults)
    }
}
