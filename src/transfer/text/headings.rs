//! What the columns of a file are called.

use super::csv_rows::Reader;
use super::{Layout, MOST_COLUMNS, json_rows};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::transfer::files::{WINDOW, Window};
use std::collections::{HashMap, HashSet};

/// Most bytes of all names of members together.
const MOST_NAMED: usize = 256 * 1024;

/// The headings of a file, and where its first row begins.
pub struct Headings {
    pub names: Vec<String>,
    pub next: i64,
    /// The number of what stands there.
    pub row: i64,
}

/// The headings of a file, by its first window; of NDJSON those that were collected while it came in.
///
/// # Errors
/// `invalid` when there are none, or more than [`MOST_COLUMNS`].
pub fn headings(layout: &Layout, window: &Window, collected: Option<Vec<String>>) -> AppResult<Headings> {
    if !layout.is_csv {
        let names = match collected {
            Some(names) => names,
            None => {
                let mut keys = Keys::default();
                keys.take(&window.bytes)?;
                keys.finish()?
            }
        };
        return named(Headings {
            names,
            next: 0,
            row: 1,
        });
    }
    let mut reader = Reader::of(layout, window, 1);
    let Some(standing) = reader.read()? else {
        return Err(nothing());
    };
    if reader.record.iter().all(<[u8]>::is_empty) {
        return Err(nothing());
    }
    if reader.record.len() > MOST_COLUMNS {
        return Err(too_many());
    }
    let (texts, _) = reader.texts();
    reader.pass(&standing);
    named(Headings {
        names: numbered(texts),
        next: window.start + super::place(reader.at),
        row: reader.number,
    })
}

fn named(headings: Headings) -> AppResult<Headings> {
    if headings.names.is_empty() {
        Err(nothing())
    } else {
        Ok(headings)
    }
}

/// Headings that stand twice are told apart by a number, empty ones are called by their column.
fn numbered(headings: Vec<String>) -> Vec<String> {
    let mut known = HashSet::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut name_of = |(index, heading): (usize, String)| {
        let heading = heading.trim();
        let base = match heading.is_empty() {
            true => format!("column {}", index + 1),
            false => heading.to_owned(),
        };
        let count = counts.entry(base.clone()).or_insert(1);
        let mut name = base.clone();
        while !known.insert(name.clone()) {
            *count += 1;
            name = format!("{base} ({count})");
        }
        name
    };
    headings.into_iter().enumerate().map(&mut name_of).collect()
}

/// The members of all lines of an NDJSON file, collected while it streams past.
#[derive(Default)]
pub struct Keys {
    line: Vec<u8>,
    is_skipping: bool,
    names: Vec<String>,
    known: HashSet<String>,
    size: usize,
}

impl Keys {
    /// Takes in the next bytes.
    ///
    /// # Errors
    /// `invalid` when there are more members than a table may have columns.
    pub fn take(&mut self, bytes: &[u8]) -> AppResult<()> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            // No row is that long: importing it says so.
            self.is_skipping |= self.line.len() + part.len() > WINDOW;
            if self.is_skipping {
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(())
    }

    /// The names, in the order in which they first occurred.
    ///
    /// # Errors
    /// As [`Keys::take`].
    pub fn finish(mut self) -> AppResult<Vec<String>> {
        self.end_line()?;
        Ok(self.names)
    }

    fn end_line(&mut self) -> AppResult<()> {
        self.is_skipping = false;
        let (members, _) = json_rows::read(&self.line);
        self.line.clear();
        for name in members.keys().filter(|name| !self.known.contains(*name)) {
            self.size += name.len();
            self.names.push(name.clone());
        }
        self.known.extend(members.keys().cloned());
        if self.names.len() > MOST_COLUMNS || self.size > MOST_NAMED {
            return Err(too_many());
        }
        Ok(())
    }
}

fn nothing() -> AppError {
    AppError::invalid(vec![Fault::new(
        "/file_id",
        "empty_file",
        say("has no headings", "没有表头"),
    )])
}

fn too_many() -> AppError {
    AppError::invalid(vec![Fault::new(
        "/file_id",
        "too_many",
        say(
            format!("has more than {MOST_COLUMNS} columns"),
            format!("列数超过 {MOST_COLUMNS}"),
        ),
    )])
}
