//! A workbook (XLSX) turned into CSV when it comes in, so that everything behind reads one form. What it would unpack to is
//! measured before anything is parsed, and what its cells say once more while they are written: many may show one text.

use super::files::{PIECE, WINDOW};
use super::text;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use calamine::{DataRef, Reader, Xlsx};
use std::borrow::Cow;
use std::io::{Cursor, Read};

/// Most bytes that the parts of a workbook may unpack to, all together, and that its table may have.
const MOST_UNPACKED: u64 = 256 * 1024 * 1024;
/// Most parts of a workbook.
const MOST_PARTS: usize = 2_000;
/// Most rows and columns of a sheet.
const MOST_ROWS: u32 = 1_048_576;
const MOST_COLUMNS: u32 = 16_384;

fn fault(code: &'static str, en: &str, zh: &str) -> AppError {
    AppError::invalid(vec![Fault::new("", code, say(en, zh))])
}

fn unreadable() -> AppError {
    fault(
        "unreadable_workbook",
        "is no readable XLSX workbook",
        "不是可读取的 XLSX 工作簿",
    )
}

/// How an archive begins, and so a workbook.
const ARCHIVE: &[u8] = b"PK\x03\x04";

/// Refuses text that begins as a workbook does.
///
/// # Errors
/// `invalid`.
pub fn require_text(beginning: &[u8]) -> AppResult<()> {
    if !beginning.starts_with(ARCHIVE) {
        return Ok(());
    }
    Err(fault(
        "wrong_format",
        "is a workbook, or another archive; send a workbook with the content type of one",
        "是工作簿或其他压缩文件；请以工作簿的内容类型发送",
    ))
}

fn too_large() -> AppError {
    fault(
        "zip_bomb",
        "unpacks to more than 256 MiB, or has too many parts",
        "解压后超过 256 MiB,或部件过多",
    )
}

/// Gives the first sheet away as CSV in UTF-8, a piece at a time. Formula cells stand with the value that was kept with
/// them; blank rows are blank lines.
///
/// # Errors
/// `invalid` when it is no workbook, is protected, or unpacks to more than it may; what `give` answers.
pub fn to_csv(bytes: &[u8], give: impl FnMut(Vec<u8>) -> AppResult<()>) -> AppResult<()> {
    measure(bytes)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|_| unreadable())?;
    let sheet = book
        .sheet_names()
        .first()
        .cloned()
        .ok_or_else(|| fault("empty_file", "has no sheet", "没有工作表"))?;
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(|_| unreadable())?;
    let mut table = Table::new(give, MOST_UNPACKED);
    while let Some(cell) = cells.next_cell().map_err(|_| unreadable())? {
        let (row, column) = cell.get_position();
        table.put(row, column, &said(cell.get_value()))?;
    }
    table.finish()
}

/// A table in the making: one row, as wide as the headings, and a piece.
struct Table<G> {
    give: G,
    piece: Vec<u8>,
    /// How many bytes it may still have.
    left: u64,
    /// How many rows are written.
    written: u32,
    row: u32,
    cells: Vec<String>,
    /// Bytes of the row's cells.
    size: usize,
    width: usize,
}

impl<G: FnMut(Vec<u8>) -> AppResult<()>> Table<G> {
    fn new(give: G, most: u64) -> Table<G> {
        Table {
            give,
            piece: Vec::new(),
            left: most,
            written: 0,
            row: 0,
            cells: Vec::new(),
            size: 0,
            width: 0,
        }
    }

    fn put(&mut self, row: u32, column: u32, text: &str) -> AppResult<()> {
        if row >= MOST_ROWS || column >= MOST_COLUMNS {
            return Err(unreadable());
        }
        if row != self.row {
            self.end_row()?;
            self.row = row;
        }
        self.size += text.len();
        if self.size > WINDOW {
            return Err(text::too_long(i64::from(row) + 1));
        }
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if self.cells.len() <= column {
            self.cells.resize(column + 1, String::new());
        }
        if let Some(cell) = self.cells.get_mut(column) {
            *cell = text.replace('\0', "");
        }
        Ok(())
    }

    fn end_row(&mut self) -> AppResult<()> {
        self.size = 0;
        while self.cells.last().is_some_and(|cell| cell.is_empty()) {
            self.cells.pop();
        }
        if self.cells.is_empty() {
            return Ok(());
        }
        if self.width == 0 {
            self.width = self.cells.len();
        } else if self.cells.len() < self.width {
            self.cells.resize(self.width, String::new());
        }
        let blank = self.row.saturating_sub(self.written);
        let mut line = vec![b'\n'; usize::try_from(blank).unwrap_or_default()];
        for (index, cell) in self.cells.drain(..).enumerate() {
            if index > 0 {
                line.push(b',');
            }
            line.extend_from_slice(quoted(&cell).as_bytes());
        }
        line.push(b'\n');
        self.written = self.written.max(self.row) + 1;
        self.write(&line)
    }

    fn write(&mut self, bytes: &[u8]) -> AppResult<()> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(size).ok_or_else(too_large)?;
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < PIECE {
            return Ok(());
        }
        (self.give)(std::mem::take(&mut self.piece))
    }

    fn finish(mut self) -> AppResult<()> {
        self.end_row()?;
        (self.give)(self.piece)
    }
}

fn quoted(cell: &str) -> Cow<'_, str> {
    if cell.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", cell.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(cell)
    }
}

fn said<'a>(cell: &'a DataRef<'_>) -> Cow<'a, str> {
    match cell {
        DataRef::Empty => Cow::Borrowed(""),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            Cow::Borrowed(text)
        }
        DataRef::SharedString(text) => Cow::Borrowed(text),
        DataRef::Int(number) => Cow::Owned(number.to_string()),
        DataRef::Float(number) => Cow::Owned(shown(*number)),
        DataRef::Bool(flag) => Cow::Owned(flag.to_string()),
        DataRef::DateTime(moment) => Cow::Owned(day_or_instant(moment)),
        DataRef::Error(error) => Cow::Owned(error.to_string()),
    }
}

/// A number as spreadsheets show it: to fifteen digits, so that 0.1 + 0.2 is 0.3.
fn shown(number: f64) -> String {
    let rounded = format!("{number:.14e}").parse::<f64>();
    rounded.unwrap_or(number).to_string()
}

fn day_or_instant(moment: &calamine::ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    if (hour, minute, second) == (0, 0, 0) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

/// Unpacks every part into nothing and counts: what the archive says of itself is not believed.
fn measure(bytes: &[u8]) -> AppResult<()> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|_| unreadable())?;
    if archive.len() > MOST_PARTS {
        return Err(too_large());
    }
    let mut left = MOST_UNPACKED;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|_| unreadable())?;
        if part.size() > left {
            return Err(too_large());
        }
        let read = std::io::copy(&mut part.take(left + 1), &mut std::io::sink()).map_err(|_| unreadable())?;
        left = left.checked_sub(read).ok_or_else(too_large)?;
    }
    Ok(())
}

/// The whole table, for tests.
#[cfg(test)]
pub fn whole(bytes: &[u8]) -> AppResult<String> {
    let mut table = Vec::new();
    to_csv(bytes, |piece| {
        table.extend(piece);
        Ok(())
    })?;
    String::from_utf8(table).map_err(AppError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(cells: &[(u32, u32, &str)], most: u64) -> Result<String, &'static str> {
        let mut text = Vec::new();
        let mut table = Table::new(
            |piece| {
                text.extend(piece);
                Ok(())
            },
            most,
        );
        let put = cells
            .iter()
            .try_for_each(|(row, column, text)| table.put(*row, *column, text));
        match put.and_then(|()| table.finish()) {
            Ok(()) => Ok(String::from_utf8(text).unwrap()),
            Err(error) => Err(error.to_refusal().faults[0].code),
        }
    }

    #[test]
    fn a_number_is_the_one_that_is_shown() {
        let numbers = [0.1 + 0.2, 1e15, 220_000.0, -0.05, 13_900_139_000.0, 0.0];
        assert_eq!(
            numbers.map(shown),
            ["0.3", "1000000000000000", "220000", "-0.05", "13900139000", "0"]
        );
    }

    #[test]
    fn a_row_keeps_its_place_whatever_is_blank_above_it() {
        let cells = [
            (1, 0, "a"),
            (1, 1, "b"),
            (2, 1, ""),
            (4, 1, "x,\"y\""),
            (5, 0, "z"),
        ];
        assert_eq!(table(&cells, 100).unwrap(), "\na,b\n\n\n,\"x,\"\"y\"\"\"\nz,\n");
    }

    #[test]
    fn a_text_that_many_cells_show_counts_for_each_of_them() {
        let long = "x".repeat(1024 * 1024);
        let down = (0..4).map(|row| (row, 0, long.as_str())).collect::<Vec<_>>();
        assert_eq!(table(&down, 3 * 1024 * 1024), Err("zip_bomb"));
        let across = (0..3).map(|column| (0, column, long.as_str()));
        assert_eq!(table(&across.collect::<Vec<_>>(), u64::MAX), Err("too_long"));
        assert_eq!(table(&[(MOST_ROWS, 0, "x")], 100), Err("unreadable_workbook"));
    }
}
