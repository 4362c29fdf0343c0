//! A workbook (XLSX) turned into CSV when it comes in, so that everything behind reads one form. What it would unpack to is
//! measured before anything is parsed.

use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use calamine::{Data, Reader, Xlsx};
use std::io::{Cursor, Read};

/// Most bytes that the parts of a workbook may unpack to, all together.
const MOST_UNPACKED: u64 = 256 * 1024 * 1024;
/// Most parts of a workbook.
const MOST_PARTS: usize = 2_000;

fn fault(code: &'static str, en: &str, zh: &str) -> AppError {
    AppError::invalid(vec![Fault::new("", code, say(en, zh))])
}

/// The first sheet as CSV in UTF-8. Formula cells stand with the value that was kept with them.
///
/// # Errors
/// `invalid` when it is no workbook, is protected, or unpacks to more than it may.
pub fn to_csv(bytes: &[u8]) -> AppResult<Vec<u8>> {
    measure(bytes)?;
    let unreadable = || {
        fault(
            "unreadable_workbook",
            "is no readable XLSX workbook",
            "不是可读取的 XLSX 工作簿",
        )
    };
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|_| unreadable())?;
    let sheet = book
        .sheet_names()
        .first()
        .cloned()
        .ok_or_else(|| fault("empty_file", "has no sheet", "没有工作表"))?;
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(|_| unreadable())?;
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let mut line = Line::default();
    while let Some(cell) = cells.next_cell().map_err(|_| unreadable())? {
        let (row, column) = cell.get_position();
        line.move_to(row, &mut writer)?;
        line.put(column, text(&Data::from(cell.get_value().clone())));
    }
    line.flush(&mut writer)?;
    writer
        .into_inner()
        .map_err(|error| AppError::internal(error.to_string()))
}

/// A row in the making, as wide as the headings.
#[derive(Default)]
struct Line {
    row: u32,
    cells: Vec<String>,
    width: usize,
}

impl Line {
    fn move_to(&mut self, row: u32, writer: &mut csv::Writer<Vec<u8>>) -> AppResult<()> {
        if row != self.row {
            self.flush(writer)?;
            self.row = row;
        }
        Ok(())
    }

    fn put(&mut self, column: u32, text: String) {
        let column = usize::try_from(column).unwrap_or(usize::MAX).min(16_383);
        if self.cells.len() <= column {
            self.cells.resize(column + 1, String::new());
        }
        if let Some(cell) = self.cells.get_mut(column) {
            *cell = text;
        }
    }

    fn flush(&mut self, writer: &mut csv::Writer<Vec<u8>>) -> AppResult<()> {
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
        writer.write_record(&self.cells).map_err(AppError::internal)?;
        self.cells.clear();
        Ok(())
    }
}

fn text(cell: &Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text.replace('\0', ""),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => number.to_string(),
        Data::Bool(flag) => flag.to_string(),
        Data::DateTime(moment) => day_or_instant(moment),
        other => other.to_string(),
    }
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
    let unreadable = || {
        fault(
            "unreadable_workbook",
            "is no readable XLSX workbook",
            "不是可读取的 XLSX 工作簿",
        )
    };
    let too_large = || {
        fault(
            "zip_bomb",
            "unpacks to more than 256 MiB, or has too many parts",
            "解压后超过 256 MiB,或部件过多",
        )
    };
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
