//! CSV on its way out: cells made harmless, a page of rows at a time.

use crate::jobs::{self, JobErrorView};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Db;
use actix_web::web;
use bytes::Bytes;
use futures::stream::{self, Stream};
use serde_json::Value;
use uuid::Uuid;

/// The mark by which spreadsheets know UTF-8.
pub const MARK: &[u8] = b"\xEF\xBB\xBF";
/// Errors read at once.
const PAGE: i64 = 500;

/// With what a cell begins that a spreadsheet may take for a formula.
const RISKY: [char; 10] = [
    '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// A cell that no spreadsheet takes for a formula. A plain number may begin with its sign; a cell that looks as if it had
/// been made harmless gets a mark too, so that each comes in again as it was.
pub fn harmless(cell: &str) -> String {
    let is_number = cell.parse::<rust_decimal::Decimal>().is_ok();
    if is_risky(cell) && !is_number {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

/// A cell as it was before it was made harmless.
pub fn as_meant(cell: String) -> String {
    match cell.strip_prefix('\'') {
        Some(meant) if is_risky(meant) => meant.to_owned(),
        _ => cell,
    }
}

fn is_risky(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(RISKY)
}

/// One line.
///
/// # Errors
/// When memory runs out.
pub fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> AppResult<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let cells = cells.into_iter().map(harmless).collect::<Vec<_>>();
    writer.write_record(&cells).map_err(AppError::internal)?;
    writer
        .into_inner()
        .map_err(|error| AppError::internal(error.to_string()))
}

/// What separates the tags of a cell on its way in.
pub const SEPARATORS: [char; 6] = [',', ';', '、', '\u{ff0c}', '\u{ff1b}', '|'];

/// A value as a cell. Tags of which one holds what separates them are written as JSON, so that they come in again as they were.
pub fn cell(value: &Value) -> String {
    let is_split = |item: &Value| item.as_str().is_some_and(|text| text.contains(SEPARATORS));
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().any(is_split) => value.to_string(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The errors of a job as a stream of CSV.
pub fn errors(db: web::Data<Db>, tenant: Uuid, job: Uuid) -> impl Stream<Item = AppResult<Bytes>> {
    stream::try_unfold((db, Some(-1_i64)), move |(db, at)| async move {
        let Some(at) = at else {
            return Ok(None);
        };
        if at < 0 {
            let mut head = MARK.to_vec();
            head.extend(line([
                "row",
                "heading",
                "value",
                "code",
                "message",
                "message_zh",
                "original",
                "severity",
            ])?);
            return Ok(Some((Bytes::from(head), (db, Some(0)))));
        }
        let page = jobs::errors_after(&db, tenant, job, at, PAGE).await?;
        let Some(last) = page.last().map(|(english, _)| english.ordinal) else {
            return Ok(None);
        };
        let mut lines = Vec::new();
        for (english, chinese) in &page {
            lines.extend(error_line(english, chinese)?);
        }
        Ok(Some((Bytes::from(lines), (db, Some(last)))))
    })
}

fn error_line(english: &JobErrorView, chinese: &str) -> AppResult<Vec<u8>> {
    let row = english.row.map(|row| row.to_string()).unwrap_or_default();
    let original = english
        .original
        .as_ref()
        .map(Value::to_string)
        .unwrap_or_default();
    line([
        row.as_str(),
        english.heading.as_deref().unwrap_or(&english.pointer),
        english.value.as_deref().unwrap_or_default(),
        english.code.as_str(),
        english.message.as_str(),
        chinese,
        original.as_str(),
        english.severity.into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_made_harmless() {
        for cell in [
            "=1+1",
            "+cmd|' /C calc'!A0",
            "-1+2",
            "@SUM(A1)",
            "\tx",
            "\rx",
            "=1",
        ] {
            assert!(harmless(cell).starts_with('\''), "{cell}");
        }
        for cell in ["-12.50", "+3", "科技", "1=1", "", "'quoted'"] {
            assert_eq!(harmless(cell), cell);
        }
    }

    #[test]
    fn a_cell_comes_in_again_as_it_was() {
        for cell in ["=1", "'=1", "''=1", "-5", "'-5", "'", "'quoted'", "＝1", "科技"] {
            assert_eq!(as_meant(harmless(cell)), cell);
        }
    }
}
