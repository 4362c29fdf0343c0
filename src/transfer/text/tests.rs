//! Files as they come.

use super::*;
use encoding_rs::UTF_8;

fn sniffed(bytes: &[u8]) -> (Sniffer, Vec<u8>) {
    let mut sniffer = Sniffer::default();
    let mut kept = Vec::new();
    for piece in bytes.chunks(2) {
        sniffer.take(piece, false, &mut kept);
    }
    sniffer.take(&[], true, &mut kept);
    (sniffer, kept)
}

fn read(bytes: &[u8]) -> (Layout, Vec<u8>) {
    let (sniffer, kept) = sniffed(bytes);
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
    let Headings { names, next, row } = headings(&layout, &window, None).unwrap();
    let rest = window.behind(next);
    let rows = rows(&layout, &rest, &names, row, 100).unwrap();
    assert!(rows.is_end);
    (names, rows.rows)
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
    let names = ["UTF-8", "UTF-8", "gb18030", "UTF-16BE", "UTF-16LE"];
    for (bytes, name) in spellings.into_iter().zip(names) {
        assert_eq!(sniffed(&bytes).0.came_in().name(), name);
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
fn a_quote_that_is_never_closed_is_told_and_no_other() {
    let codes = |text: &str| {
        let (_, rows) = table(text.as_bytes());
        let codes = rows.iter().map(|row| row.fault.as_ref().map(|fault| fault.code));
        codes.collect::<Vec<_>>()
    };
    assert_eq!(codes("a,b\n1,2\n\"x,3\n4,5\n"), [None, Some("unclosed_quote")]);
    assert_eq!(codes("a,b\n1,2\n\"x\n\",3\n"), [None, None]);
    assert_eq!(codes("a,b\n1,5\" pipe\n"), [None]);
    assert_eq!(codes("a,b\n1,n\0l\n"), [Some("invalid")]);
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
    assert_eq!(numbers(&found), [1, 3, 4]);
}

fn numbers(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| row.number).collect()
}

#[test]
fn rows_are_counted_as_a_spreadsheet_does_blank_ones_too() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "\n\na,b\n\n1,\"x\n\ny\"\n\n\n2,z\n\n".replace('\n', end);
        let (headings, rows) = table(text.as_bytes());
        assert_eq!(headings, ["a", "b"]);
        assert_eq!(numbers(&rows), [5, 8], "{end:?}");
        let told = rows.iter().map(|row| {
            let start = usize::try_from(row.start).unwrap();
            &text[start..start + usize::try_from(row.length).unwrap()]
        });
        let told = told.map(str::trim_end).collect::<Vec<_>>();
        assert_eq!(told, [format!("1,\"x{end}{end}y\""), "2,z".to_owned()]);
    }
}

#[test]
fn blank_rows_are_counted_once_wherever_windows_end() {
    let layout = Layout {
        is_csv: true,
        encoding: UTF_8,
        delimiter: b',',
    };
    let headings = ["a".to_owned()];
    let all = "1\r\n\r\n\r\n4\r\n\r\n6";
    for cut in 0..all.len() {
        let window = |from: usize, to: usize, is_end: bool| Window {
            bytes: all.as_bytes()[from..to].to_vec().into(),
            start: i64::try_from(from).unwrap(),
            is_end,
        };
        let one = rows(&layout, &window(0, cut, false), &headings, 1, 10).unwrap();
        let from = usize::try_from(one.next).unwrap();
        let two = rows(&layout, &window(from, all.len(), true), &headings, one.number, 10).unwrap();
        let found = [numbers(&one.rows), numbers(&two.rows)].concat();
        assert_eq!(found, [1, 4, 6], "{cut}");
    }
}

#[test]
fn a_slip_in_a_row_leaves_the_file_the_encoding_that_it_has() {
    let mut text = "姓名,备注\n王芳,第一行\n李强,".as_bytes().to_vec();
    text.extend([0xE9, b'\n']);
    text.extend("赵敏,第三行".as_bytes());
    let marked = [&[0xEF, 0xBB, 0xBF], text.as_slice()].concat();
    for bytes in [text, marked] {
        let (headings, rows) = table(&bytes);
        assert_eq!(headings, ["姓名", "备注"]);
        assert_eq!(rows[2].cells["姓名"], "赵敏");
        let codes = rows.iter().map(|row| row.fault.as_ref().map(|fault| fault.code));
        assert_eq!(codes.collect::<Vec<_>>(), [None, Some("bad_encoding"), None]);
    }
    let mark_alone = [&[0xEF, 0xBB, 0xBF][..], b"caf\xE9,b\nx,y"].concat();
    assert_eq!(read(&mark_alone).0.encoding, UTF_8);
    assert_ne!(read(b"caf\xE9,b\nx,y").0.encoding, UTF_8);
}

#[test]
fn thousands_of_headings_are_refused_and_equal_ones_told_apart() {
    let code = |bytes: &[u8]| {
        let window = Window {
            bytes: bytes.to_vec().into(),
            start: 0,
            is_end: true,
        };
        let layout = read(bytes).0;
        match headings(&layout, &window, None) {
            Ok(headings) => Ok(headings.names),
            Err(error) => Err(error.to_refusal().faults[0].code),
        }
    };
    let equal = |count: usize| vec!["a"; count].join(",");
    assert_eq!(code(equal(1_001).as_bytes()), Err("too_many"));
    let names = code(equal(1_000).as_bytes()).unwrap();
    assert_eq!((names[0].as_str(), names[999].as_str()), ("a", "a (1000)"));
    assert_eq!(
        code(b"a,a (2),a,,").unwrap(),
        ["a", "a (2)", "a (3)", "column 4", "column 5"]
    );
}

#[test]
fn members_of_lines_are_collected_however_late_they_come() {
    let mut lines = "{\"name\":\"x\"}\n".repeat(200);
    lines
        .push_str("{\"phone\":\"1\",\"custom\":{\"city\":\"y\"}}\nnothing\n{\"name\":\"z\",\"email\":\"m\"}");
    let mut keys = Keys::default();
    for piece in lines.as_bytes().chunks(5) {
        keys.take(piece).unwrap();
    }
    assert_eq!(keys.finish().unwrap(), ["name", "phone", "custom.city", "email"]);
    let many = (0..1_001).map(|number| format!("{{\"k{number}\":1}}\n"));
    let refused = Keys::default().take(many.collect::<String>().as_bytes());
    assert_eq!(refused.unwrap_err().to_refusal().faults[0].code, "too_many");
}
