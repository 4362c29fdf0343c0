//! Rows from bytes: CSV in whatever encoding, and NDJSON. Pure; a window at a time, so that a file of any size is read in
//! constant memory and from any row on.

mod csv_rows;
mod headings;
mod json_rows;
mod sniffer;
#[cfg(test)]
mod tests;

pub use headings::{Headings, Keys, headings};
pub use sniffer::Sniffer;

use super::files::Window;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use encoding_rs::Encoding;
use serde_json::{Map, Value};

/// Most columns of a table, and most members of the objects of an NDJSON file.
pub const MOST_COLUMNS: usize = 1_000;

/// How a file's text is laid out.
#[derive(Debug, Clone)]
pub struct Layout {
    pub is_csv: bool,
    pub encoding: &'static Encoding,
    pub delimiter: u8,
}

/// One row of a file.
#[derive(Debug, Clone)]
pub struct Row {
    /// As a spreadsheet counts, blank rows too: the headings are row 1 when nothing stands above them. In NDJSON the line.
    pub number: i64,
    /// Where it begins in the file.
    pub start: i64,
    /// How many bytes it has there.
    pub length: i64,
    /// By heading.
    pub cells: Map<String, Value>,
    /// What is wrong with the row as such.
    pub fault: Option<Fault>,
}

/// Some rows, and where the next one begins.
#[derive(Debug)]
pub struct Rows {
    pub rows: Vec<Row>,
    pub next: i64,
    /// The number of whatever stands at `next`.
    pub number: i64,
    pub is_end: bool,
}

/// The rows of a window, at most so many, counted from `first`. A row that the window cuts off is left for the next one.
///
/// # Errors
/// `invalid` when the file cannot be read.
pub fn rows(
    layout: &Layout,
    window: &Window,
    headings: &[String],
    first: i64,
    most: usize,
) -> AppResult<Rows> {
    if layout.is_csv {
        csv_rows::rows(layout, window, headings, first, most)
    } else {
        Ok(json_rows::rows(window, first, most))
    }
}

/// The refusal of a row that no window holds.
pub fn too_long(row: i64) -> AppError {
    AppError::invalid(vec![Fault::new(
        "/file_id",
        "too_long",
        say(
            format!("has a row longer than 2 MiB: row {row}"),
            format!("第 {row} 行超过 2 MiB"),
        ),
    )])
}

fn bad_encoding(encoding: &'static Encoding) -> Fault {
    let name = encoding.name();
    Fault::new(
        "",
        "bad_encoding",
        say(
            format!("holds bytes that are no {name}"),
            format!("含有不符合 {name} 编码的字节"),
        ),
    )
}

/// A place in memory as a place in a file.
fn place(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
