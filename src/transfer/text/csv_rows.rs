//! Rows of CSV.

use super::{Layout, MOST_COLUMNS, Row, Rows, bad_encoding, place};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::transfer::csv_out::as_meant;
use crate::transfer::files::Window;
use csv::ByteRecord;
use serde_json::{Map, Value};

/// A window read record by record, blank lines counted.
pub(super) struct Reader<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    /// Where the next record begins, or the blank lines before it.
    pub(super) at: usize,
    /// The number of what stands there.
    pub(super) number: i64,
    pub(super) record: ByteRecord,
}

/// Where a record stands in its window.
pub(super) struct Standing {
    pub(super) number: i64,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn of(layout: &'a Layout, window: &'a Window, first: i64) -> Reader<'a> {
        let bytes = window.bytes.as_ref();
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(layout.delimiter)
            .from_reader(bytes);
        Reader {
            layout,
            bytes,
            reader,
            at: 0,
            number: first,
            record: ByteRecord::new(),
        }
    }

    /// Reads the next record into `record`; the place behind it is for the caller to take.
    pub(super) fn read(&mut self) -> AppResult<Option<Standing>> {
        if !self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(unreadable)?
        {
            return Ok(None);
        }
        let (lines, length) = blank_lines(self.bytes.get(self.at..).unwrap_or_default());
        Ok(Some(Standing {
            number: self.number + lines,
            start: self.at + length,
            end: self.behind(),
        }))
    }

    /// Goes on behind a record.
    pub(super) fn pass(&mut self, standing: &Standing) {
        self.at = standing.end;
        self.number = standing.number + 1;
    }

    /// Where the record ends, with all of its line end: the reader leaves the second half of one for later.
    fn behind(&self) -> usize {
        let position = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        let is_halved = position
            .checked_sub(1)
            .is_some_and(|last| self.bytes.get(last) == Some(&b'\r'))
            && self.bytes.get(position) == Some(&b'\n');
        position + usize::from(is_halved)
    }

    /// Whether a record runs on to the end over several lines, in quotes that nobody closes.
    fn is_unclosed(&self, standing: &Standing) -> bool {
        let record = self.bytes.get(standing.start..standing.end).unwrap_or_default();
        let quotes = record.iter().filter(|byte| **byte == b'"').count();
        let lines = record.trim_ascii_end().contains(&b'\n');
        standing.end >= self.bytes.len() && quotes % 2 == 1 && lines
    }

    /// The cells as text, and the fault of those that are none.
    pub(super) fn texts(&self) -> (Vec<String>, Option<Fault>) {
        let mut fault = None;
        let cells = self.record.iter().take(MOST_COLUMNS + 1).map(|cell| {
            let (text, had_errors) = self.layout.encoding.decode_without_bom_handling(cell);
            if had_errors {
                fault = Some(bad_encoding(self.layout.encoding));
            } else if text.contains('\0') {
                fault = Some(Fault::invalid("", "holds a NUL character", "包含 NUL 字符"));
            }
            text.replace('\0', "")
        });
        (cells.collect(), fault)
    }
}

/// How many blank lines stand at the beginning, and in how many bytes.
fn blank_lines(bytes: &[u8]) -> (i64, usize) {
    let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    let length = bytes.iter().take_while(is_end).count();
    let ends = bytes.get(..length).unwrap_or_default();
    let pairs = ends.windows(2).filter(|pair| *pair == b"\r\n").count();
    (place(length - pairs), length)
}

pub(super) fn rows(
    layout: &Layout,
    window: &Window,
    headings: &[String],
    first: i64,
    most: usize,
) -> AppResult<Rows> {
    let mut reader = Reader::of(layout, window, first);
    let length = window.bytes.len();
    let mut rows = Vec::new();
    while rows.len() < most {
        let Some(standing) = reader.read()? else {
            if window.is_end {
                reader.at = length;
            }
            break;
        };
        if !window.is_end && standing.end >= length {
            break;
        }
        let start = window.start + place(standing.start);
        // A row of empty cells is a blank one, as in a spreadsheet.
        if reader.record.iter().any(|cell| !cell.trim_ascii().is_empty()) {
            rows.push(row(&reader, headings, &standing, start));
        }
        reader.pass(&standing);
    }
    Ok(Rows {
        rows,
        next: window.start + place(reader.at),
        number: reader.number,
        is_end: window.is_end && reader.at >= length,
    })
}

fn row(reader: &Reader<'_>, headings: &[String], standing: &Standing, start: i64) -> Row {
    let (texts, mut fault) = reader.texts();
    let mut cells = Map::new();
    for (index, text) in texts.into_iter().enumerate() {
        let text = as_meant(text);
        let heading = headings.get(index).cloned();
        let heading = heading.unwrap_or_else(|| format!("column {}", index + 1));
        cells.insert(heading, Value::String(text));
    }
    let (has, wants) = (reader.record.len(), headings.len());
    if reader.is_unclosed(standing) {
        fault = Some(Fault::new(
            "",
            "unclosed_quote",
            say(
                "begins with a quote that is never closed: everything behind it is taken for one cell",
                "有未闭合的引号，其后的全部内容都被视为同一单元格",
            ),
        ));
    } else if has != wants {
        fault = Some(Fault::new(
            "",
            "ragged_row",
            say(
                format!("has {has} cells where the headings are {wants}"),
                format!("有 {has} 个单元格,而表头有 {wants} 列"),
            ),
        ));
    }
    Row {
        number: standing.number,
        start,
        length: place(standing.end - standing.start),
        cells,
        fault,
    }
}

fn unreadable(error: csv::Error) -> AppError {
    AppError::refuse(
        Code::Invalid,
        say(
            format!("The file cannot be read: {error}"),
            format!("无法读取文件:{error}"),
        ),
    )
}
