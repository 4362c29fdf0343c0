//! A workbook as it streams out: a ZIP archive of deflated parts whose one sheet is written row by row. Nothing is held but
//! the part in hand; sizes and check sums follow each part, as the format allows.

use super::csv_out::harmless;
use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;

/// Most rows that a sheet may have, its headings included.
pub const MOST_ROWS: i64 = 1_048_576;
/// Most bytes of all rows: sizes and places have 32 bits in an archive of this kind, and what stands around the rows is
/// far less than what is left of that.
pub const MOST_BYTES: i64 = u32::MAX as i64 - 1024 * 1024;

/// How hard it is packed: what tables repeat is found at once, and more would only take longer.
const LEVEL: u32 = 3;

/// Whether a sheet can have so many rows, its headings included, of so many bytes.
pub fn has_room(rows: i64, bytes: i64) -> bool {
    rows <= MOST_ROWS && bytes <= MOST_BYTES
}

const PARTS: [(&str, &str); 4] = [
    (
        "[Content_Types].xml",
        r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#,
    ),
    (
        "_rels/.rels",
        r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
    ),
    (
        "xl/workbook.xml",
        r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Export" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
    ),
    (
        "xl/_rels/workbook.xml.rels",
        r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#,
    ),
];

const SHEET: &str = "xl/worksheets/sheet1.xml";
const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>"#;
const FOOT: &str = "</sheetData></worksheet>";

/// One row of the sheet, all cells as text.
pub fn row(cells: &[String]) -> Vec<u8> {
    let mut xml = String::from("<row>");
    for cell in cells {
        xml.push_str(r#"<c t="inlineStr"><is><t xml:space="preserve">"#);
        escape(&harmless(cell), &mut xml);
        xml.push_str("</t></is></c>");
    }
    xml.push_str("</row>");
    xml.into_bytes()
}

fn escape(text: &str, xml: &mut String) {
    for (at, letter) in text.char_indices() {
        match letter {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            // What XML cannot hold, or would make a plain line end of; and what spreadsheets would take for it.
            '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => xml.push_str(&coded(letter)),
            '_' if is_code(&text[at..]) => xml.push_str(&coded(letter)),
            other => xml.push(other),
        }
    }
}

/// A letter as workbooks write what XML does not take.
fn coded(letter: char) -> String {
    format!("_x{:04X}_", u32::from(letter))
}

fn is_code(text: &str) -> bool {
    let code = text.strip_prefix("_x").and_then(|rest| rest.split_once('_'));
    code.is_some_and(|(hex, _)| hex.len() == 4 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// An archive in the making.
#[derive(Default)]
pub struct Archive {
    written: u32,
    central: Vec<u8>,
    count: u16,
    part: Option<Part>,
}

struct Part {
    name: &'static str,
    start: u32,
    size: u32,
    packed: u32,
    sum: Hasher,
    packer: DeflateEncoder<Vec<u8>>,
}

impl Archive {
    /// Everything before the rows.
    pub fn head(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, text) in PARTS {
            self.open(name, &mut bytes);
            self.put(text.as_bytes(), &mut bytes);
            self.close(&mut bytes);
        }
        self.open(SHEET, &mut bytes);
        self.put(HEAD.as_bytes(), &mut bytes);
        bytes
    }

    /// Some rows.
    pub fn rows(&mut self, rows: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(rows.len());
        self.put(rows, &mut bytes);
        bytes
    }

    /// Everything behind the rows.
    pub fn foot(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.put(FOOT.as_bytes(), &mut bytes);
        self.close(&mut bytes);
        let (start, size) = (self.written, length(&self.central));
        bytes.extend_from_slice(&self.central);
        let count = self.count.to_le_bytes();
        bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        bytes.extend_from_slice(&count);
        bytes.extend_from_slice(&count);
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&start.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes
    }

    fn say(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.written = self.written.saturating_add(length(bytes));
        out.extend_from_slice(bytes);
    }

    /// Version 2.0; bit 3: sizes follow the part; bit 11: names in UTF-8; deflated; the first day that the format knows.
    const TRAITS: [u8; 10] = [20, 0, 0x08, 0x08, 8, 0, 0, 0, 0x21, 0];

    fn open(&mut self, name: &'static str, out: &mut Vec<u8>) {
        let start = self.written;
        let mut header = b"PK\x03\x04".to_vec();
        header.extend_from_slice(&Archive::TRAITS);
        header.extend_from_slice(&[0; 12]);
        header.extend_from_slice(&short(name).to_le_bytes());
        header.extend_from_slice(&[0, 0]);
        header.extend_from_slice(name.as_bytes());
        self.say(&header, out);
        self.part = Some(Part {
            name,
            start,
            size: 0,
            packed: 0,
            sum: Hasher::new(),
            packer: DeflateEncoder::new(Vec::new(), Compression::new(LEVEL)),
        });
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(part) = &mut self.part else { return };
        part.sum.update(bytes);
        part.size = part.size.saturating_add(length(bytes));
        // Writing to memory does not fail.
        let _ = part.packer.write_all(bytes);
        let packed = std::mem::take(part.packer.get_mut());
        part.packed = part.packed.saturating_add(length(&packed));
        self.say(&packed, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(Part {
            name,
            start,
            size,
            packed,
            sum,
            packer,
        }) = self.part.take()
        else {
            return;
        };
        let rest = packer.finish().unwrap_or_default();
        let packed = packed.saturating_add(length(&rest));
        self.say(&rest, out);
        let mut sizes = sum.finalize().to_le_bytes().to_vec();
        sizes.extend_from_slice(&packed.to_le_bytes());
        sizes.extend_from_slice(&size.to_le_bytes());
        let mut descriptor = b"PK\x07\x08".to_vec();
        descriptor.extend_from_slice(&sizes);
        self.say(&descriptor, out);
        self.central.extend_from_slice(b"PK\x01\x02\x14\0");
        self.central.extend_from_slice(&Archive::TRAITS);
        self.central.extend_from_slice(&sizes);
        self.central.extend_from_slice(&short(name).to_le_bytes());
        self.central.extend_from_slice(&[0; 12]);
        self.central.extend_from_slice(&start.to_le_bytes());
        self.central.extend_from_slice(name.as_bytes());
        self.count += 1;
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn short(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_ends_where_its_rows_or_its_bytes_do() {
        assert!(has_room(MOST_ROWS, MOST_BYTES));
        assert!(!has_room(MOST_ROWS + 1, 0));
        assert!(!has_room(1, i64::from(u32::MAX)));
    }

    #[test]
    fn what_streams_out_reads_back_in() {
        let mut archive = Archive::default();
        let mut book = archive.head();
        for cells in [
            ["客户名称", "金额"],
            ["甲<乙>&", "=1+1"],
            ["", "-5"],
            ["一\r\n二\u{b}", "_x000D_ _x_"],
        ] {
            let row = row(&cells.map(str::to_owned));
            book.extend(archive.rows(&row));
        }
        book.extend(archive.foot());
        assert!(book.len() < 2_400, "{} bytes are not packed", book.len());
        let text = crate::transfer::workbook::whole(&book).unwrap();
        assert_eq!(
            text,
            "客户名称,金额\n甲<乙>&,'=1+1\n,-5\n\"一\r\n二\u{b}\",_x000D_ _x_\n"
        );
    }
}
