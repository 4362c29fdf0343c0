//! The one edge through which bodies come in: strict JSON, then the operation's own schema, so that all faults come at once.

use super::alternatives;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::{Say, normal_form, say};
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fmt;

/// Deepest nesting of a body.
pub const MOST_LEVELS: usize = 32;
/// Below this every integer is exact as a binary float.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
/// Members whose text is taken as it is: trimming a secret would change it.
const VERBATIM: &[&str] = &["password", "current_password", "new_password"];

/// Parses a body strictly: no repeated member, at most 32 levels, no NUL. Texts come out trimmed and in NFC.
///
/// # Errors
/// `malformed_body` with the place where reading stopped.
pub fn parse(body: &[u8]) -> AppResult<Value> {
    parse_as(body, Texts::Normal(&Cell::new(false)))
}

/// Parses a body and finds what is wrong with it by its schema: as it is after trimming, and for lengths also as it was sent,
/// since the document knows nothing of trimming.
///
/// # Errors
/// `malformed_body`.
pub fn look(schema: &Validator, body: &[u8]) -> AppResult<(Value, Vec<Fault>)> {
    let is_changed = Cell::new(false);
    let value = parse_as(body, Texts::Normal(&is_changed))?;
    let mut faults = faults(schema, &value);
    if is_changed.get() {
        let sent = parse_as(body, Texts::AsSent)?;
        faults.extend(too_long(schema, &sent, &faults));
    }
    Ok((value, faults))
}

/// Reads a body where none is taken: what it says would be dropped without a word. An object without members says nothing.
///
/// # Errors
/// `malformed_body`, or `invalid` with every member that it has.
pub fn read_nothing(body: &[u8]) -> AppResult<()> {
    let faults = match parse(body)? {
        Value::Object(members) => (members.keys())
            .map(|name| Fault::unknown_field(format!("/{}", escaped(name))))
            .collect(),
        _ => vec![Fault::invalid("", "takes no body", "不接受请求体")],
    };
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

/// The texts that are too long as they were sent, those named already left out.
fn too_long(schema: &Validator, sent: &Value, named: &[Fault]) -> Vec<Fault> {
    let mut faults = self::faults(schema, sent);
    faults.retain(|fault| {
        let is_named = |known: &Fault| known.pointer == fault.pointer && known.code == fault.code;
        fault.code == "too_long" && !named.iter().any(is_named)
    });
    faults
}

fn parse_as(body: &[u8], texts: Texts<'_>) -> AppResult<Value> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed = Strict {
        level: 0,
        is_verbatim: false,
        texts,
    }
    .deserialize(&mut reader)
    .and_then(|value| reader.end().map(|()| value));
    parsed.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = reason_of(&error);
        AppError::refuse(
            Code::MalformedBody,
            say(
                format!(
                    "The body is not well-formed JSON: {} (line {line}, column {column})",
                    reason.en
                ),
                format!("请求体不是合法的 JSON(第 {line} 行第 {column} 列):{}", reason.zh),
            ),
        )
    })
}

/// The parser's reason without the caller's text in it.
fn reason_of(error: &serde_json::Error) -> Say {
    let text = error.to_string();
    let known = [
        ("repeated member", "成员重复"),
        ("nested too deeply", "嵌套过深"),
        ("NUL character", "包含 NUL 字符"),
    ];
    if let Some((en, zh)) = known.iter().find(|(reason, _)| text.starts_with(reason)) {
        return say(*en, *zh);
    }
    match error.classify() {
        serde_json::error::Category::Eof => say("it ends too early", "内容提前结束"),
        _ => say("unexpected content", "存在无法识别的内容"),
    }
}

/// How texts come out.
#[derive(Clone, Copy)]
enum Texts<'a> {
    AsSent,
    /// Trimmed and in NFC; notes whether that changed any.
    Normal(&'a Cell<bool>),
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    level: usize,
    is_verbatim: bool,
    texts: Texts<'a>,
}

impl<'a> Strict<'a> {
    fn text<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        if text.contains('\0') {
            return Err(E::custom("NUL character"));
        }
        Ok(Value::String(match self.texts {
            Texts::Normal(is_changed) if !self.is_verbatim => {
                let normal = normal_form(text);
                if normal != text {
                    is_changed.set(true);
                }
                normal
            }
            _ => text.to_owned(),
        }))
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Strict<'a>, E> {
        if self.level >= MOST_LEVELS {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Strict {
            level: self.level + 1,
            is_verbatim: false,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// `2.0` is the integer 2, to JSON Schema and therefore to us.
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let is_integer = value.fract() == 0.0 && value.abs() < LARGEST_EXACT;
        let integer = Some(format!("{value:.0}")).filter(|_| is_integer);
        let integer = integer.and_then(|text| text.parse::<i64>().ok());
        Ok(integer.map_or_else(|| value.into(), Value::from))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.text(value)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name.contains('\0') {
                return Err(A::Error::custom("NUL character"));
            }
            let is_verbatim = VERBATIM.contains(&name.as_str());
            let value = members.next_value_seed(Strict { is_verbatim, ..inner })?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("repeated member"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// Checks a body against its schema and names every fault.
///
/// # Errors
/// `invalid` with all faults.
pub fn check(schema: &Validator, body: &Value) -> AppResult<()> {
    let faults = faults(schema, body);
    if faults.is_empty() {
        return Ok(());
    }
    Err(AppError::invalid(faults))
}

/// Everything that is wrong with a value by its schema.
pub fn faults(schema: &Validator, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for error in schema.iter_errors(value) {
        faults_of(&error, &mut faults);
    }
    faults.dedup();
    without_lengths(&mut faults);
    faults
}

/// How long a text is tells nothing where its whole form is wrong.
fn without_lengths(faults: &mut Vec<Fault>) {
    let misshapen = faults.iter().filter(|fault| fault.code == "wrong_format");
    let misshapen = misshapen.map(|fault| fault.pointer.clone()).collect::<Vec<_>>();
    faults.retain(|fault| {
        !(["too_short", "too_long"].contains(&fault.code) && misshapen.contains(&fault.pointer))
    });
}

pub(super) fn faults_of(error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
    let at = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            faults.extend(
                unexpected
                    .iter()
                    .map(|name| Fault::unknown_field(format!("{at}/{}", escaped(name)))),
            );
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            faults.push(Fault::required(format!("{at}/{}", escaped(name))));
        }
        ValidationErrorKind::Type { kind } => faults.push(wrong_type(at, error.instance(), kind)),
        ValidationErrorKind::Enum { options } => {
            let allowed = options
                .as_array()
                .map(|all| all.iter().map(plain).collect::<Vec<_>>().join(", "))
                .unwrap_or_default();
            faults.push(Fault::new(
                at,
                "unknown_value",
                say(
                    format!("must be one of: {allowed}"),
                    format!("必须是以下之一:{allowed}"),
                ),
            ));
        }
        ValidationErrorKind::MaxLength { limit } => {
            faults.push(Fault::new(
                at,
                "too_long",
                say(
                    format!("has more than {limit} characters"),
                    format!("超过 {limit} 个字符"),
                ),
            ));
        }
        ValidationErrorKind::MinLength { limit } => {
            faults.push(Fault::new(
                at,
                "too_short",
                say(
                    format!("needs at least {limit} character(s)"),
                    format!("至少需要 {limit} 个字符"),
                ),
            ));
        }
        ValidationErrorKind::Maximum { limit } | ValidationErrorKind::ExclusiveMaximum { limit } => {
            faults.push(Fault::out_of_range(
                at,
                &format!("must be at most {limit}"),
                &format!("不得大于 {limit}"),
            ));
        }
        ValidationErrorKind::Minimum { limit } | ValidationErrorKind::ExclusiveMinimum { limit } => {
            faults.push(Fault::out_of_range(
                at,
                &format!("must be at least {limit}"),
                &format!("不得小于 {limit}"),
            ));
        }
        ValidationErrorKind::MaxItems { limit } => {
            faults.push(Fault::new(
                at,
                "too_many",
                say(format!("has more than {limit} items"), format!("超过 {limit} 项")),
            ));
        }
        ValidationErrorKind::MinItems { limit } => {
            faults.push(Fault::new(
                at,
                "too_few",
                say(
                    format!("needs at least {limit} item(s)"),
                    format!("至少需要 {limit} 项"),
                ),
            ));
        }
        ValidationErrorKind::MaxProperties { limit } => {
            faults.push(Fault::new(
                at,
                "too_many",
                say(
                    format!("has more than {limit} members"),
                    format!("超过 {limit} 个成员"),
                ),
            ));
        }
        ValidationErrorKind::UniqueItems => {
            faults.push(Fault::new(
                at,
                "repeated",
                say("contains an item twice", "包含重复项"),
            ));
        }
        ValidationErrorKind::PropertyNames { error } => {
            let at = format!("{at}/{}", escaped(&plain(error.instance())));
            let mut of_name = Vec::new();
            faults_of(error, &mut of_name);
            faults.extend(of_name.into_iter().map(|fault| Fault {
                pointer: at.clone(),
                ..fault
            }));
        }
        ValidationErrorKind::Format { format } => faults.push(wrong_format(at, format)),
        ValidationErrorKind::Pattern { pattern } => {
            faults.push(Fault::new(
                at,
                "wrong_form",
                say(
                    format!("does not have the form {pattern}"),
                    format!("格式不符:{pattern}"),
                ),
            ));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            alternatives::faults(context, &at, error.instance(), faults);
        }
        _ => faults.push(Fault::invalid(at, "is not valid here", "在此处无效")),
    }
}

fn wrong_type(at: String, found: &Value, expected: &TypeKind) -> Fault {
    let expected = match expected {
        TypeKind::Single(kind) => vec![kind.to_string()],
        TypeKind::Multiple(kinds) => kinds.iter().map(|kind| kind.to_string()).collect(),
    };
    type_fault(at, found, expected)
}

pub(super) fn type_fault(at: String, found: &Value, expected: Vec<String>) -> Fault {
    if found.is_null() {
        return Fault::new(at, "not_nullable", say("cannot be null", "不能为 null"));
    }
    let expected = expected.join(" / ");
    Fault::new(
        at,
        "wrong_type",
        say(
            format!("must be of type {expected}"),
            format!("类型必须为 {expected}"),
        ),
    )
}

fn wrong_format(at: String, format: &str) -> Fault {
    let (en, zh) = match format {
        "uuid" => ("is not a UUID", "不是有效的 UUID"),
        "date" => ("is not a day (YYYY-MM-DD)", "不是有效日期(YYYY-MM-DD)"),
        "date-time" => ("is not an RFC 3339 time", "不是有效的 RFC 3339 时间"),
        "email" => ("is not an e-mail address", "不是有效的电子邮件地址"),
        "decimal" => (
            "is not a decimal number within range, such as \"12.50\"",
            "不是范围内的十进制数,例如 \"12.50\"",
        ),
        _ => ("has the wrong format", "格式不正确"),
    };
    Fault::new(at, "wrong_format", say(en, zh))
}

pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A member's name as a step of a JSON Pointer.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(r#"{"a":1,"a":2}"#)]
    #[case(r#"{"a":"x\u0000y"}"#)]
    #[case(r#"{"a\u0000":1}"#)]
    #[case(r#"{"a":"\ud800"}"#)]
    #[case(r#"{"a":1e400}"#)]
    #[case(r#"{"a":1} x"#)]
    #[case("")]
    #[case("{")]
    fn what_is_not_well_formed_is_refused(#[case] body: &str) {
        assert_eq!(parse(body.as_bytes()).unwrap_err().code(), Code::MalformedBody);
    }

    #[test]
    fn thirty_two_levels_are_read_and_thirty_three_are_not() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(32).as_bytes()).is_ok());
        assert!(parse(nested(33).as_bytes()).is_err());
        assert!(parse(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_number_without_a_fraction_is_an_integer_however_it_is_written() {
        let parsed = parse(br#"[2, 2.0, -0.0, 1e3, 2.5, 1e30]"#).unwrap();
        assert_eq!(parsed, json!([2, 2, 0, 1000, 2.5, 1e30]));
    }

    #[test]
    fn texts_are_trimmed_but_passwords_are_not() {
        let parsed = parse(br#"{"name":"  x ","password":" secret "}"#).unwrap();
        assert_eq!(parsed, json!({"name": "x", "password": " secret "}));
    }

    #[test]
    fn a_text_is_too_long_by_what_was_sent_and_too_short_by_what_is_left() {
        let schema = jsonschema::validator_for(&json!({
            "properties": { "name": { "type": "string", "minLength": 1, "maxLength": 3 } }
        }))
        .unwrap();
        let faults = |body: &str| {
            let (_, faults) = look(&schema, body.as_bytes()).unwrap();
            faults.iter().map(|fault| fault.code).collect::<Vec<_>>()
        };
        let (value, none) = look(&schema, br#"{"name":" x "}"#).unwrap();
        assert_eq!((value, none), (json!({ "name": "x" }), Vec::new()));
        assert_eq!(faults(r#"{"name":"  x "}"#), ["too_long"]);
        assert_eq!(faults(r#"{"name":"  "}"#), ["too_short"]);
        assert_eq!(faults(r#"{"name":"wxyz "}"#), ["too_long"]);
    }

    #[test]
    fn what_is_no_id_at_all_is_not_also_too_short() {
        let schema =
            json!({ "properties": { "id": { "type": "string", "format": "uuid", "minLength": 36 } } });
        let options = jsonschema::options().should_validate_formats(true);
        let schema = options.build(&schema).unwrap();
        let codes = |id: &str| {
            let faults = faults(&schema, &json!({ "id": id }));
            faults.iter().map(|fault| fault.code).collect::<Vec<_>>()
        };
        assert_eq!(codes("nope"), ["wrong_format"]);
        assert_eq!(codes("01a20778e008-73ed-b227-3fd686cae281"), ["wrong_format"]);
        assert!(codes("01a20778-e008-73ed-b227-3fd686cae281").is_empty());
    }

    #[test]
    fn all_faults_come_at_once_with_their_pointers() {
        let schema = jsonschema::validator_for(&json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "maximum": 9}}
        }))
        .unwrap();
        let AppError::Refused(refusal) = check(&schema, &json!({"age": 12, "x/y": 1})).unwrap_err() else {
            panic!()
        };
        let mut found = refusal
            .faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.code))
            .collect::<Vec<_>>();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("/age", "out_of_range"),
                ("/name", "required"),
                ("/x~1y", "unknown_field")
            ]
        );
    }

    #[test]
    fn a_name_of_the_wrong_form_is_named_itself() {
        let schema = json!({ "propertyNames": { "pattern": "^[a-z]+$" } });
        let schema = jsonschema::validator_for(&schema).unwrap();
        let found = super::faults(&schema, &json!({ "ok": 1, "No/t": 2, "Nor": 3 }));
        let found = found.iter().map(|fault| (fault.pointer.as_str(), fault.code));
        let expected = [("/No~1t", "wrong_form"), ("/Nor", "wrong_form")];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }
    }
}
