//! The query string itself: decoding, flags, closed sets, and how its faults read.

use crate::kernel::error::AppError;
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::{normal_form, say};

/// `bad_parameter` with these faults.
pub fn bad_parameters(faults: Vec<Fault>) -> AppError {
    let names = faults
        .iter()
        .map(|fault| fault.pointer.trim_start_matches('?'))
        .collect::<Vec<_>>()
        .join(", ");
    let detail = match names.is_empty() {
        false => say(format!("Look at: {names}"), format!("请检查:{names}")),
        true => say(
            "The query string is not percent-encoded UTF-8, or contains NUL",
            "查询字符串不是合法的百分号编码 UTF-8,或包含 NUL",
        ),
    };
    AppError::refuse(Code::BadParameter, detail).with_faults(faults)
}

/// The decoded parameters of a query string; NUL and bad encoding are faults.
pub fn pairs(query: &str, faults: &mut Vec<Fault>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match (decode(name), decode(value)) {
            (Some(name), Some(value)) => pairs.push((name, normal_form(&value))),
            (name, _) => faults.push(Fault::new(
                format!("?{}", name.unwrap_or_default()),
                "malformed",
                say(
                    "is not percent-encoded UTF-8, or contains NUL",
                    "不是合法的百分号编码 UTF-8,或包含 NUL",
                ),
            )),
        }
    }
    pairs
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let mut bytes = Vec::with_capacity(spaced.len());
    let mut rest = spaced.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let pair = tail.get(..2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

pub(super) fn read_flag(value: &str, pointer: &str, flag: &mut bool, faults: &mut Vec<Fault>) {
    match value {
        "true" => *flag = true,
        "false" => *flag = false,
        _ => faults.push(Fault::new(
            pointer,
            "wrong_type",
            say("must be true or false", "必须为 true 或 false"),
        )),
    }
}

/// Reads `expand`, a comma-separated list from a closed set.
pub fn read_expand(value: &str, expandable: &[&str], faults: &mut Vec<Fault>) -> Vec<String> {
    let mut names = Vec::new();
    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if expandable.contains(&name) {
            names.push(name.to_owned());
        } else {
            let allowed = expandable.join(", ");
            faults.push(Fault::new(
                "?expand",
                "unknown_value",
                say(format!("allowed: {allowed}"), format!("可用值:{allowed}")),
            ));
        }
    }
    names
}

/// The fault of a parameter that an operation does not know.
pub fn unknown_parameter(name: &str, known: &[String]) -> Fault {
    let allowed = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    Fault::new(
        format!("?{name}"),
        "unknown_parameter",
        say(
            format!("is not known here; known: {allowed}"),
            format!("未知参数;可用参数:{allowed}"),
        ),
    )
}

pub(super) fn wrong_form(name: &str) -> Fault {
    Fault::new(
        format!("?{name}"),
        "wrong_format",
        say("has the wrong form", "格式不正确"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_read_strictly() {
        assert_eq!(decode("a%20b+c").as_deref(), Some("a b c"));
        assert_eq!(decode("%E4%BC%81").as_deref(), Some("企"));
        for bad in ["%", "%4", "%zz", "%00", "%ff"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
