//! From a sender's JSON to a lead: pure.

use super::desk::MemberOrigin;
use crate::crm::resources::LEAD;
use crate::kernel::error::AppError;
use crate::kernel::fault::Fault;
use crate::kernel::text::{Lang, normal_form, say};
use crate::platform::contract;
use crate::platform::input;
use crate::platform::records::custom::Definition;
use crate::platform::records::{Kind, docs};
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Members that a sender does not decide: who gets the lead, and where it came from.
const OURS: [&str; 2] = ["owner_id", "source_id"];
/// `custom.KEY` in a mapping: a field of the company's own.
const CUSTOM: &str = "custom.";

/// The form of a mapping.
pub const SCHEMA_OF_MAPPING: &str = r#"{"type":"object","maxProperties":50,"additionalProperties":{"type":"object","additionalProperties":false,"minProperties":1,"properties":{"pointer":{"type":"string","maxLength":200,"pattern":"^(/([^/~]|~[01])*)+$"},"constant":{"type":"string","maxLength":500},"default":{"type":"string","maxLength":500}}}}"#;

/// Where one member's value comes from.
#[derive(Debug, Clone, Deserialize)]
pub struct Origin {
    #[serde(default)]
    pointer: Option<String>,
    #[serde(default)]
    constant: Option<String>,
    #[serde(default)]
    default: Option<String>,
}

/// How a source's deliveries are read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Member to origin; empty when the sender uses our names.
    pub mapping: BTreeMap<String, Origin>,
    pub required: Vec<String>,
}

impl Reading {
    /// Reads what stands in a source's row, which its own rules have checked.
    ///
    /// # Errors
    /// When it has another form: a bug.
    pub fn new(mapping: Value, required: Value) -> Result<Reading, serde_json::Error> {
        Ok(Reading {
            mapping: serde_json::from_value(mapping)?,
            required: serde_json::from_value(required)?,
        })
    }
}

/// Faults of a mapping and its required members: all must be members that a lead has and a sender may set, and each value
/// comes from one place. `own`: the company's own fields of leads.
pub fn faults(mapping: &Value, required: &Value, own: &[Definition]) -> Vec<Fault> {
    let origins = mapping.as_object().into_iter().flatten();
    let mapped = origins.flat_map(|(name, origin)| {
        let pointer = format!("/mapping/{name}");
        let has = |part: &str| origin.get(part).is_some_and(|part| !part.is_null());
        let is_torn = has("pointer") && has("constant");
        let torn = is_torn.then(|| {
            Fault::invalid(
                pointer.clone(),
                "gives either a `pointer` or a `constant`",
                "只能给出 `pointer` 或 `constant` 之一",
            )
        });
        let unknown = (!is_settable(name, own)).then(|| unknown(pointer));
        unknown.into_iter().chain(torn)
    });
    let names = required.as_array().into_iter().flatten();
    let required = names
        .enumerate()
        .filter(|(_, name)| !name.as_str().is_some_and(|name| is_settable(name, own)))
        .map(|(index, _)| unknown(format!("/required_members/{index}")));
    mapped.chain(required).collect()
}

fn unknown(pointer: String) -> Fault {
    Fault::new(
        pointer,
        "unknown_value",
        say(
            "is no member of a lead that a delivery can set, nor a field of the company's own (`custom.KEY`)",
            "不是可由投递设置的线索字段,也不是已定义的自定义字段(`custom.KEY`)",
        ),
    )
}

fn is_settable(name: &str, own: &[Definition]) -> bool {
    match name.strip_prefix(CUSTOM) {
        Some(key) => own.iter().any(|field| field.key == key),
        None => {
            name != "custom"
                && !OURS.contains(&name)
                && LEAD.member(name).is_some_and(|member| !member.is_read_only)
        }
    }
}

/// The lead that a delivery describes, with all faults that can be seen without the database.
pub fn interpret(reading: &Reading, payload: Value) -> (Map<String, Value>, Vec<Fault>) {
    let lead = if reading.mapping.is_empty() {
        match payload {
            Value::Object(members) => members,
            _ => return (Map::new(), vec![no_object()]),
        }
    } else {
        mapped(&reading.mapping, &payload)
    };
    let value = Value::Object(lead);
    let mut faults = schema_faults(&value);
    let absent = reading.required.iter().filter(|name| is_absent(&value, name));
    faults.extend(absent.map(|name| Fault::required(format!("/{}", name.replace('.', "/")))));
    let mut seen = std::collections::HashSet::new();
    faults.retain(|fault| seen.insert((fault.pointer.clone(), fault.code)));
    let lead = match value {
        Value::Object(lead) => lead,
        _ => Map::new(),
    };
    (lead, faults)
}

fn no_object() -> Fault {
    Fault::new("", "wrong_type", say("must be a JSON object", "必须为 JSON 对象"))
}

fn is_absent(lead: &Value, name: &str) -> bool {
    let value = match name.strip_prefix(CUSTOM) {
        Some(key) => lead.get("custom").and_then(|custom| custom.get(key)),
        None => lead.get(name),
    };
    value.is_none_or(|value| value.is_null() || value == "" || value == &json!([]))
}

fn mapped(mapping: &BTreeMap<String, Origin>, payload: &Value) -> Map<String, Value> {
    let mut lead = Map::new();
    let mut custom = Map::new();
    for (name, origin) in mapping {
        let Some(value) = found(origin, payload) else {
            continue;
        };
        let value = in_text(name, value);
        match name.strip_prefix(CUSTOM) {
            Some(key) => custom.insert(key.to_owned(), value),
            None => lead.insert(name.clone(), value),
        };
    }
    if !custom.is_empty() {
        lead.insert("custom".to_owned(), Value::Object(custom));
    }
    lead
}

fn found(origin: &Origin, payload: &Value) -> Option<Value> {
    if let Some(constant) = &origin.constant {
        return Some(Value::String(constant.clone()));
    }
    let given = given(origin, payload).cloned();
    given.or_else(|| origin.default.clone().map(Value::String))
}

/// What stands where the origin points to, unless that is empty.
fn given<'a>(origin: &Origin, payload: &'a Value) -> Option<&'a Value> {
    let at = payload.pointer(origin.pointer.as_deref()?);
    at.filter(|value| !value.is_null() && *value != "")
}

/// Where the value of each member comes from.
pub fn origins(reading: &Reading, payload: &Value) -> Vec<MemberOrigin> {
    if reading.mapping.is_empty() {
        let names = payload.as_object().into_iter().flat_map(Map::keys);
        let own = names.map(|name| MemberOrigin {
            member: name.clone(),
            from: "sample",
            pointer: Some(format!("/{}", name.replace('~', "~0").replace('/', "~1"))),
        });
        return own.collect();
    }
    let mapped = reading.mapping.iter().filter_map(|(member, origin)| {
        let from = match (&origin.constant, given(origin, payload), &origin.default) {
            (Some(_), _, _) => "constant",
            (None, Some(_), _) => "sample",
            (None, None, Some(_)) => "default",
            (None, None, None) => return None,
        };
        Some(MemberOrigin {
            member: member.clone(),
            from,
            pointer: origin.pointer.clone().filter(|_| from != "constant"),
        })
    });
    mapped.collect()
}

/// Senders write phones and amounts as numbers; our members are texts. One tag may stand alone.
fn in_text(name: &str, value: Value) -> Value {
    let value = match value {
        Value::Number(number) => Value::String(number.to_string()),
        // Of a lead's own members none is a yes or a no; a field of the company's own may well be.
        Value::Bool(flag) if name.starts_with(CUSTOM) => Value::String(flag.to_string()),
        other => other,
    };
    let is_tags = LEAD.member(name).is_some_and(|member| member.kind == Kind::Tags);
    match value {
        Value::String(text) if is_tags => json!([normal_form(&text)]),
        other => other,
    }
}

fn schema_faults(lead: &Value) -> Vec<Fault> {
    let Some(schema) = SCHEMA.as_ref() else {
        return vec![Fault::invalid("", "cannot be checked", "无法校验")];
    };
    match input::check(schema, lead) {
        Ok(()) => Vec::new(),
        Err(AppError::Refused(refusal)) => refusal.faults,
        Err(AppError::Internal(_)) => vec![Fault::invalid("", "cannot be checked", "无法校验")],
    }
}

/// The schema of a new lead as the document has it, without what a sender does not decide.
static SCHEMA: LazyLock<Option<Validator>> = LazyLock::new(|| {
    let mut schemas = docs::schemas(&LEAD);
    let (_, schema) = schemas.iter_mut().find(|(name, _)| name == "LeadInput")?;
    let properties = schema.get_mut("properties")?.as_object_mut()?;
    for name in OURS {
        properties.shift_remove(name);
    }
    contract::compile(schema).ok()
});

/// Faults as an intake keeps them: in both languages.
pub fn kept(faults: &[Fault]) -> Value {
    let rows = faults.iter().map(|fault| {
        let mut row = fault.to_json(Lang::En);
        row["message_zh"] = fault.message.zh.clone().into();
        row
    });
    Value::Array(rows.collect())
}

/// Kept faults in the caller's language.
pub fn told(kept: &Value, lang: Lang) -> Value {
    let mut told = kept.clone();
    for fault in told
        .as_array_mut()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        let chinese = fault.shift_remove("message_zh");
        if let (Lang::Zh, Some(chinese)) = (lang, chinese) {
            fault.insert("message".to_owned(), chinese);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(mapping: Value, required: Value) -> Reading {
        Reading::new(mapping, required).unwrap()
    }

    fn pointers(faults: &[Fault]) -> Vec<(&str, &str)> {
        let mut found = faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.code))
            .collect::<Vec<_>>();
        found.sort_unstable();
        found
    }

    #[test]
    fn pointers_constants_and_defaults_make_a_lead() {
        let reading = reading(
            json!({
                "name": { "pointer": "/person/name" }, "phone": { "pointer": "/person/phones/0" },
                "region": { "constant": "华东" }, "need": { "pointer": "/message", "default": "-" },
                "email": { "pointer": "/mail" }, "tags": { "pointer": "/campaign" },
                "custom.city": { "pointer": "/city" }, "budget_amount": { "pointer": "/budget" }
            }),
            json!([]),
        );
        let payload = json!({
            "person": { "name": "王芳", "phones": [13_900_139_000_u64] }, "message": "", "campaign": "spring", "city": "上海", "budget": 200_000
        });
        let (lead, faults) = interpret(&reading, payload);
        assert!(faults.is_empty(), "{faults:?}");
        let expected = json!({
            "name": "王芳", "phone": "13900139000", "region": "华东", "need": "-", "tags": ["spring"],
            "custom": { "city": "上海" }, "budget_amount": "200000"
        });
        assert_eq!(Value::Object(lead), expected);
    }

    #[test]
    fn each_member_says_where_it_comes_from() {
        let reading = reading(
            json!({
                "name": { "pointer": "/who" }, "region": { "constant": "华东" }, "email": { "pointer": "/mail" },
                "need": { "pointer": "/message", "default": "-" }
            }),
            json!([]),
        );
        let told = |reading: &Reading, payload: Value| {
            let origins = origins(reading, &payload).into_iter();
            origins
                .map(|origin| (origin.member, origin.from, origin.pointer.unwrap_or_default()))
                .collect::<Vec<_>>()
        };
        let line =
            |member: &str, from: &'static str, pointer: &str| (member.to_owned(), from, pointer.to_owned());
        assert_eq!(
            told(&reading, json!({ "who": "王芳", "message": "" })),
            [
                line("name", "sample", "/who"),
                line("need", "default", "/message"),
                line("region", "constant", "")
            ]
        );
        assert_eq!(
            told(&Reading::default(), json!({ "a/b": 1 })),
            [line("a/b", "sample", "/a~1b")]
        );
    }

    #[test]
    fn without_a_mapping_the_sender_uses_our_names() {
        let (lead, faults) = interpret(
            &Reading::default(),
            json!({ "name": "王芳", "company": "制造有限公司" }),
        );
        assert!(faults.is_empty());
        assert_eq!(lead["company"], "制造有限公司");
    }

    #[test]
    fn a_yes_or_a_no_is_no_phone() {
        let mapping = json!({ "name": { "pointer": "/n" }, "phone": { "pointer": "/t" }, "custom.vip": { "pointer": "/v" } });
        let reading = reading(mapping, json!([]));
        let (lead, faults) = interpret(&reading, json!({ "n": "王芳", "t": true, "v": true }));
        assert_eq!(pointers(&faults), [("/phone", "wrong_type")]);
        assert_eq!(lead["custom"]["vip"], "true");
    }

    #[test]
    fn all_faults_of_a_delivery_come_at_once() {
        let reading = reading(json!({}), json!(["phone", "custom.city"]));
        let payload = json!({ "email": "x", "owner_id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a", "status": "converted", "phone": null });
        let (_, faults) = interpret(&reading, payload);
        let expected = [
            ("/custom/city", "required"),
            ("/email", "wrong_format"),
            ("/name", "required"),
            ("/owner_id", "unknown_field"),
            ("/phone", "required"),
            ("/status", "unknown_field"),
        ];
        assert_eq!(pointers(&faults), expected);
        let (_, faults) = interpret(&Reading::default(), json!(["x"]));
        assert_eq!(pointers(&faults), [("", "wrong_type")]);
    }

    #[test]
    fn a_mapping_speaks_only_of_what_a_sender_may_set() {
        let city = Definition {
            key: "city".to_owned(),
            label: "城市".to_owned(),
            kind: "text".to_owned(),
            choices: None,
            is_required: false,
            is_filterable: false,
        };
        let found = faults(
            &json!({ "name": {}, "owner_id": {}, "status": {}, "colour": {}, "custom.city": {}, "custom.town": {}, "custom": {},
                "need": { "pointer": "/need", "constant": "-" } }),
            &json!(["phone", "source_id", "custom.city", "custom.town"]),
            &[city],
        );
        let expected = [
            ("/mapping/colour", "unknown_value"),
            ("/mapping/custom", "unknown_value"),
            ("/mapping/custom.town", "unknown_value"),
            ("/mapping/need", "invalid"),
            ("/mapping/owner_id", "unknown_value"),
            ("/mapping/status", "unknown_value"),
            ("/required_members/1", "unknown_value"),
            ("/required_members/3", "unknown_value"),
        ];
        assert_eq!(pointers(&found), expected);
    }

    #[test]
    fn kept_faults_are_told_in_the_callers_language() {
        let kept = kept(&[Fault::required("/name")]);
        assert_eq!(
            told(&kept, Lang::En),
            json!([{ "pointer": "/name", "code": "required", "message": "is required" }])
        );
        assert_eq!(told(&kept, Lang::Zh)[0]["message"], "为必填项");
    }
}
