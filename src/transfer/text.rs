//! Rows from bytes: CSV in whatever encoding, and NDJSON. Pure; a window at a time, so that a file of any size is read in
//! constant memory and from any row on.

use super::files::Window;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use serde_json::{Map, Value};

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
    /// As a spreadsheet counts: the headings are row 1.
    pub number: i64,
    /// Where it begins in the file.
    pub start: i64,
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
    pub is_end: bool,
}

/// Finds out how text is written while it streams past. UTF-16 is recognised by its byte order mark and turned into UTF-8
/// at once; everything else is kept as it came.
pub struct Sniffer {
    detector: EncodingDetector,
    utf8: Decoder,
    is_utf8: bool,
    wide: Option<Decoder>,
    has_begun: bool,
    head: Vec<u8>,
}

impl Default for Sniffer {
    fn default() -> Sniffer {
        Sniffer {
            detector: EncodingDetector::new(Iso2022JpDetection::Deny),
            utf8: UTF_8.new_decoder_without_bom_handling(),
            is_utf8: true,
            wide: None,
            has_begun: false,
            head: Vec::new(),
        }
    }
}

impl Sniffer {
    /// Takes in the next bytes and answers what is to be kept of them.
    pub fn take(&mut self, bytes: &[u8], is_last: bool) -> Vec<u8> {
        let mut bytes = bytes;
        if !self.has_begun && !bytes.is_empty() {
            self.has_begun = true;
            if let Some((encoding, length)) = Encoding::for_bom(bytes) {
                bytes = bytes.get(length..).unwrap_or_default();
                if encoding == UTF_16LE || encoding == UTF_16BE {
                    self.wide = Some(encoding.new_decoder_without_bom_handling());
                }
            }
        }
        if let Some(decoder) = &mut self.wide {
            let room = decoder
                .max_utf8_buffer_length(bytes.len())
                .unwrap_or(bytes.len() * 4);
            let mut text = String::with_capacity(room);
            let _ = decoder.decode_to_string(bytes, &mut text, is_last);
            self.note(text.as_bytes());
            return text.into_bytes();
        }
        self.detector.feed(bytes, is_last);
        self.is_utf8 = self.is_utf8 && self.goes_on_as_utf8(bytes, is_last);
        self.note(bytes);
        bytes.to_vec()
    }

    fn goes_on_as_utf8(&mut self, bytes: &[u8], is_last: bool) -> bool {
        let room = self
            .utf8
            .max_utf8_buffer_length(bytes.len())
            .unwrap_or(bytes.len() * 4);
        let mut text = String::with_capacity(room);
        let (result, _, had_errors) = self.utf8.decode_to_string(bytes, &mut text, is_last);
        !had_errors && result == CoderResult::InputEmpty
    }

    /// Keeps the first line, to find the delimiter in.
    fn note(&mut self, bytes: &[u8]) {
        if self.head.len() < 65_536 {
            self.head
                .extend_from_slice(bytes.get(..65_536.min(bytes.len())).unwrap_or_default());
        }
    }

    pub fn encoding(&self) -> &'static Encoding {
        if self.is_utf8 {
            return UTF_8;
        }
        let guess = self.detector.guess(Some(b"cn"), Utf8Detection::Deny);
        // GB 18030 contains GBK.
        if guess == encoding_rs::GBK {
            encoding_rs::GB18030
        } else {
            guess
        }
    }

    /// The most frequent of comma, semicolon and tab in the first line, outside quotes.
    pub fn delimiter(&self) -> u8 {
        let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
        let mut is_quoted = false;
        for byte in &self.head {
            match byte {
                b'"' => is_quoted = !is_quoted,
                b'\n' | b'\r' if !is_quoted => break,
                _ if is_quoted => {}
                other => {
                    if let Some((_, count)) = counts.iter_mut().find(|(known, _)| known == other) {
                        *count += 1;
                    }
                }
            }
        }
        let best = counts.iter().rev().max_by_key(|(_, count)| *count);
        best.filter(|(_, count)| *count > 0)
            .map_or(b',', |(byte, _)| *byte)
    }
}

/// The headings of a file and where its first row begins.
///
/// # Errors
/// `invalid` when there are none.
pub fn headings(layout: &Layout, window: &Window) -> AppResult<(Vec<String>, i64)> {
    if !layout.is_csv {
        return Ok((keys(layout, window)?, 0));
    }
    let mut reader = reader(layout, window);
    let mut record = csv::ByteRecord::new();
    let found = reader.read_byte_record(&mut record).map_err(unreadable)?;
    if !found || record.iter().all(<[u8]>::is_empty) {
        return Err(nothing());
    }
    let headings = record
        .iter()
        .map(|cell| {
            layout
                .encoding
                .decode_without_bom_handling(cell)
                .0
                .trim()
                .to_owned()
        })
        .collect::<Vec<_>>();
    let next = i64::try_from(reader.position().byte()).unwrap_or(i64::MAX);
    Ok((numbered(headings), window.start + next))
}

/// Headings that stand twice are told apart by a number, empty ones are called by their column.
fn numbered(headings: Vec<String>) -> Vec<String> {
    let mut known: Vec<String> = Vec::with_capacity(headings.len());
    for (index, heading) in headings.into_iter().enumerate() {
        let base = if heading.is_empty() {
            format!("column {}", index + 1)
        } else {
            heading
        };
        let mut name = base.clone();
        let mut count = 1;
        while known.contains(&name) {
            count += 1;
            name = format!("{base} ({count})");
        }
        known.push(name);
    }
    known
}

/// The members of the first lines of an NDJSON file.
fn keys(layout: &Layout, window: &Window) -> AppResult<Vec<String>> {
    let found = rows(layout, window, &[], 1, 100)?;
    let mut keys: Vec<String> = Vec::new();
    for key in found.rows.iter().flat_map(|row| row.cells.keys()) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    if keys.is_empty() { Err(nothing()) } else { Ok(keys) }
}

/// The rows of a window, at most so many. A row that the window cuts off is left for the next one.
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
        csv_rows(layout, window, headings, first, most)
    } else {
        Ok(json_rows(window, first, most))
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

fn reader<'a>(layout: &Layout, window: &'a Window) -> csv::Reader<&'a [u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(layout.delimiter)
        .from_reader(window.bytes.as_ref())
}

fn csv_rows(
    layout: &Layout,
    window: &Window,
    headings: &[String],
    first: i64,
    most: usize,
) -> AppResult<Rows> {
    let mut reader = reader(layout, window);
    let mut record = csv::ByteRecord::new();
    let mut rows = Vec::new();
    let at = |reader: &csv::Reader<&[u8]>| i64::try_from(reader.position().byte()).unwrap_or(i64::MAX);
    let length = i64::try_from(window.bytes.len()).unwrap_or(i64::MAX);
    let mut next = 0;
    while rows.len() < most {
        let start = at(&reader);
        if !reader.read_byte_record(&mut record).map_err(unreadable)? {
            return Ok(Rows {
                rows,
                next: window.start + if window.is_end { length } else { start },
                is_end: window.is_end,
            });
        }
        if !window.is_end && at(&reader) >= length {
            return Ok(Rows {
                rows,
                next: window.start + start,
                is_end: false,
            });
        }
        next = at(&reader);
        let number = first + i64::try_from(rows.len()).unwrap_or(0);
        rows.push(csv_row(layout, headings, &record, number, window.start + start));
    }
    Ok(Rows {
        rows,
        next: window.start + next,
        is_end: window.is_end && next >= length,
    })
}

fn csv_row(layout: &Layout, headings: &[String], record: &csv::ByteRecord, number: i64, start: i64) -> Row {
    let mut cells = Map::new();
    let mut fault = None;
    for (index, cell) in record.iter().enumerate() {
        let (text, had_errors) = layout.encoding.decode_without_bom_handling(cell);
        if had_errors || text.contains('\0') {
            fault = Some(Fault::new(
                "",
                "bad_encoding",
                say(
                    format!("holds bytes that are no {}", layout.encoding.name()),
                    format!("含有不符合 {} 编码的字节", layout.encoding.name()),
                ),
            ));
        }
        let heading = headings
            .get(index)
            .cloned()
            .unwrap_or_else(|| format!("column {}", index + 1));
        cells.insert(heading, Value::String(text.replace('\0', "")));
    }
    let (has, wants) = (record.len(), headings.len());
    if has != wants {
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
        number,
        start,
        cells,
        fault,
    }
}

fn json_rows(window: &Window, first: i64, most: usize) -> Rows {
    let mut rows = Vec::new();
    let bytes = window.bytes.as_ref();
    let mut at = 0;
    while rows.len() < most && at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        if end.is_none() && !window.is_end {
            break;
        }
        let length = end.unwrap_or(rest.len());
        let line = rest.get(..length).unwrap_or_default();
        let number = first + i64::try_from(rows.len()).unwrap_or(0);
        let start = window.start + i64::try_from(at).unwrap_or(0);
        at += length + usize::from(end.is_some());
        if !line.trim_ascii().is_empty() {
            rows.push(json_row(line, number, start));
        }
    }
    Rows {
        rows,
        next: window.start + i64::try_from(at).unwrap_or(0),
        is_end: window.is_end && at >= bytes.len(),
    }
}

fn json_row(line: &[u8], number: i64, start: i64) -> Row {
    let parsed = crate::platform::input::parse(line.trim_ascii());
    let (cells, fault) = match parsed {
        Ok(Value::Object(members)) => (flat(members), None),
        Ok(_) => (
            Map::new(),
            Some(Fault::new(
                "",
                "wrong_type",
                say("must be a JSON object", "必须为 JSON 对象"),
            )),
        ),
        Err(_) => (
            Map::new(),
            Some(Fault::new(
                "",
                "malformed_row",
                say("is no JSON", "不是有效的 JSON"),
            )),
        ),
    };
    Row {
        number,
        start,
        cells,
        fault,
    }
}

/// `{"custom": {"city": 1}}` as `{"custom.city": 1}`.
fn flat(members: Map<String, Value>) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in members {
        match value {
            Value::Object(inner) => {
                flat.extend(
                    inner
                        .into_iter()
                        .map(|(key, value)| (format!("{name}.{key}"), value)),
                );
            }
            other => {
                flat.insert(name, other);
            }
        }
    }
    flat
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

fn nothing() -> AppError {
    AppError::invalid(vec![Fault::new(
        "/file_id",
        "empty_file",
        say("has no headings", "没有表头"),
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Layout, Vec<u8>) {
        let mut sniffer = Sniffer::default();
        let mut kept = Vec::new();
        for piece in bytes.chunks(7) {
            kept.extend(sniffer.take(piece, false));
        }
        kept.extend(sniffer.take(&[], true));
        let layout = Layout {
            is_csv: true,
            encoding: sniffer.encoding(),
            delimiter: sniffer.delimiter(),
        };
        (layout, kept)
    }

    fn table(bytes: &[u8]) -> (Vec<String>, Vec<Row>) {
        let (layout, bytes) = read(bytes);
        let window = Window {
            bytes: bytes.into(),
            start: 0,
            is_end: true,
        };
        let (headings, start) = headings(&layout, &window).unwrap();
        let rest = window.behind(start);
        let rows = rows(&layout, &rest, &headings, 2, 100).unwrap();
        assert!(rows.is_end);
        (headings, rows.rows)
    }

    #[test]
    fn the_same_table_reads_the_same_in_every_encoding() {
        let text = "客户名称;联系人\r\n科技有限公司;张总\n\"制造\n有限公司\";王总监\r末行公司;李";
        let utf16 = |big: bool| {
            let mut bytes = if big { vec![0xFE, 0xFF] } else { vec![0xFF, 0xFE] };
            for unit in text.encode_utf16() {
                bytes.extend(if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                });
            }
            bytes
        };
        let mut marked = vec![0xEF, 0xBB, 0xBF];
        marked.extend(text.as_bytes());
        let spellings = [
            text.as_bytes().to_vec(),
            marked,
            encoding_rs::GBK.encode(text).0.into_owned(),
            utf16(true),
            utf16(false),
        ];
        for bytes in spellings {
            let (headings, rows) = table(&bytes);
            assert_eq!(headings, ["客户名称", "联系人"]);
            assert_eq!(rows.len(), 3);
            assert_eq!(rows[1].cells["客户名称"], "制造\n有限公司");
            assert_eq!(
                (rows[2].number, &rows[2].cells["联系人"]),
                (4, &Value::from("李"))
            );
            assert!(rows.iter().all(|row| row.fault.is_none()));
        }
    }

    #[test]
    fn a_ragged_row_is_told_and_keeps_what_it_has() {
        let (_, rows) = table("a,b\n1\n1,2,3\n1,2\n".as_bytes());
        let codes = rows
            .iter()
            .map(|row| row.fault.as_ref().map(|fault| fault.code))
            .collect::<Vec<_>>();
        assert_eq!(codes, [Some("ragged_row"), Some("ragged_row"), None]);
        assert_eq!(rows[1].cells["column 3"], "3");
    }

    #[test]
    fn a_row_that_a_window_cuts_off_is_left_for_the_next() {
        let layout = Layout {
            is_csv: true,
            encoding: UTF_8,
            delimiter: b',',
        };
        let headings = ["a".to_owned(), "b".to_owned()];
        let all = "1,\"x\ny\"\n2,zz\n3,end";
        for cut in 0..all.len() {
            let window = Window {
                bytes: all.as_bytes()[..cut].to_vec().into(),
                start: 0,
                is_end: false,
            };
            let found = rows(&layout, &window, &headings, 2, 10);
            let next = found.map_or(0, |found| usize::try_from(found.next).unwrap());
            let rest = Window {
                bytes: all.as_bytes()[next..].to_vec().into(),
                start: 0,
                is_end: true,
            };
            let rest = rows(&layout, &rest, &headings, 2, 10).unwrap();
            assert_eq!(rest.rows.last().unwrap().cells["b"], "end");
            assert!([0, 8, 13].contains(&next), "{cut}: {next}");
        }
    }

    #[test]
    fn nested_members_of_a_line_have_dotted_names() {
        let layout = Layout {
            is_csv: false,
            encoding: UTF_8,
            delimiter: b',',
        };
        let bytes = b"{\"name\":\"x\",\"custom\":{\"city\":\"y\"}}\n\n[1]\n{\"a\":1,\"a\":2}\n".to_vec();
        let window = Window {
            bytes: bytes.into(),
            start: 0,
            is_end: true,
        };
        let found = rows(&layout, &window, &[], 1, 10).unwrap().rows;
        assert_eq!(found[0].cells["custom.city"], "y");
        let codes = found
            .iter()
            .map(|row| row.fault.as_ref().map(|fault| fault.code))
            .collect::<Vec<_>>();
        assert_eq!(codes, [None, Some("wrong_type"), Some("malformed_row")]);
    }
}
