//! Rows of NDJSON: a line each.

use super::{Row, Rows, bad_encoding, place};
use crate::kernel::error::AppError;
use crate::kernel::fault::Fault;
use crate::kernel::text::{Say, say};
use crate::platform::input;
use crate::transfer::files::Window;
use encoding_rs::UTF_8;
use serde_json::{Map, Value};

pub(super) fn rows(window: &Window, first: i64, most: usize) -> Rows {
    let mut rows = Vec::new();
    let bytes = window.bytes.as_ref();
    let (mut at, mut number) = (0, first);
    while rows.len() < most && at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        if end.is_none() && !window.is_end {
            break;
        }
        let length = end.unwrap_or(rest.len());
        let line = rest.get(..length).unwrap_or_default();
        if !line.trim_ascii().is_empty() {
            let (mut cells, fault) = read(line);
            if fault.is_some() {
                // The line as it came: what cannot be read can still be corrected.
                let text = String::from_utf8_lossy(line).replace('\0', "");
                cells.insert("line".to_owned(), Value::String(text));
            }
            rows.push(Row {
                number,
                start: window.start + place(at),
                length: place(length),
                cells,
                fault,
            });
        }
        at += length + usize::from(end.is_some());
        number += 1;
    }
    Rows {
        rows,
        next: window.start + place(at),
        number,
        is_end: window.is_end && at >= bytes.len(),
    }
}

/// The members of a line, or what is wrong with it.
pub(super) fn read(line: &[u8]) -> (Map<String, Value>, Option<Fault>) {
    let fault = match input::parse(line.trim_ascii()) {
        Ok(Value::Object(members)) => return (flat(members), None),
        Ok(_) => Fault::new("", "wrong_type", say("must be a JSON object", "必须为 JSON 对象")),
        Err(_) if std::str::from_utf8(line).is_err() => bad_encoding(UTF_8),
        Err(error) => Fault::new("", "malformed_row", told(error)),
    };
    (Map::new(), Some(fault))
}

/// Why a line cannot be read: of its JSON, not of a body.
fn told(error: AppError) -> Say {
    let refusal = error.to_refusal();
    let about = |text: &str, from: &str, to: &str| text.replacen(from, to, 1);
    say(
        about(
            &refusal.detail.en,
            "The body is not well-formed JSON",
            "is no JSON that can be taken",
        ),
        about(&refusal.detail.zh, "请求体不是合法的 JSON", "不是可接受的 JSON"),
    )
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
