//! The query of each operation, checked at the front door against the document, as bodies are: every unknown, misspelt or
//! ill-formed parameter is named at once.

use super::contract::Schema;
use super::input;
use super::records::query;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use serde_json::{Value, json};
use std::sync::Arc;

/// What the text of a parameter stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Integer,
    Flag,
}

/// One query parameter of the document.
pub struct Parameter {
    name: String,
    form: Form,
    is_list: bool,
    /// Times may carry a `+` that arrives as a space when it was not encoded.
    is_instant: bool,
    /// For a list from a closed set: the names it takes.
    choices: Option<String>,
    schema: Schema,
}

impl Parameter {
    /// The query parameters of an operation of the document. `components` are the document's.
    pub fn all(operation: &Value, components: &Arc<Value>) -> Vec<Parameter> {
        let listed = operation.get("parameters").and_then(Value::as_array);
        let inside = listed.into_iter().flatten().filter(|one| one["in"] == "query");
        inside.map(|one| Parameter::new(one, components)).collect()
    }

    fn new(parameter: &Value, components: &Arc<Value>) -> Parameter {
        let (name, schema) = (&parameter["name"], &parameter["schema"]);
        let is_list = is(schema, "array");
        let single = if is_list { &schema["items"] } else { schema };
        let form = match () {
            () if is(single, "integer") => Form::Integer,
            () if is(single, "boolean") => Form::Flag,
            () => Form::Text,
        };
        let name = name.as_str().unwrap_or_default().to_owned();
        let pattern = single["pattern"]
            .as_str()
            .filter(|_| name == "sort" || name == "expand");
        Parameter {
            form,
            is_list,
            is_instant: single["format"] == "date-time",
            choices: pattern.and_then(choices_of),
            schema: Schema::new(schema, components),
            name,
        }
    }

    fn check(&self, values: &[&str], faults: &mut Vec<Fault>) {
        let typed = values.iter().map(|value| self.typed(value));
        let Some(validator) = self.schema.validator() else {
            return;
        };
        let sent = if self.is_list {
            vec![Value::Array(typed.collect())]
        } else {
            typed.collect()
        };
        let at = format!("?{}", self.name);
        // Which of them is meant would be anybody's guess.
        if !self.is_list && values.len() > 1 {
            faults.push(Fault::new(
                at.as_str(),
                "repeated",
                say("is given more than once", "不能重复给出"),
            ));
        }
        let found = sent.iter().flat_map(|value| input::faults(validator, value));
        faults.extend(found.map(|fault| self.placed(&at, fault)));
    }

    /// The value as its schema wants it; text that is no such value stays text, and is then of the wrong type.
    fn typed(&self, value: &str) -> Value {
        let number = || {
            value
                .parse::<i64>()
                .ok()
                .filter(|number| number.to_string() == value)
        };
        match (self.form, value) {
            (Form::Flag, "true") => json!(true),
            (Form::Flag, "false") => json!(false),
            (Form::Integer, _) => number().map_or_else(|| json!(value), |number| json!(number)),
            _ if self.is_instant => json!(value.replace(' ', "+")),
            _ => json!(value),
        }
    }

    fn placed(&self, at: &str, fault: Fault) -> Fault {
        match &self.choices {
            Some(choices) => Fault::new(
                at.to_owned(),
                "unknown_value",
                say(
                    format!("takes these, joined by commas: {choices}"),
                    format!("可用值(以逗号分隔):{choices}"),
                ),
            ),
            None => Fault {
                pointer: at.to_owned(),
                ..fault
            },
        }
    }
}

fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|known| known == kind),
        known => known == kind,
    }
}

/// The alternatives of the first group of a pattern such as `^-?(name|amount)(,-?(name|amount)){0,2}$`.
fn choices_of(pattern: &str) -> Option<String> {
    let (_, rest) = pattern.split_once('(')?;
    let (names, _) = rest.split_once(')')?;
    Some(names.replace('|', ", "))
}

/// Checks a query against the parameters that its operation takes.
///
/// # Errors
/// `bad_parameter` with all faults.
pub fn check(parameters: &[Parameter], takes_own_fields: bool, query: &str) -> AppResult<()> {
    if query.is_empty() {
        return Ok(());
    }
    let mut faults = Vec::new();
    let sent = query::pairs(query, &mut faults);
    let is_own_field = |name: &str| takes_own_fields && name.starts_with("custom.");
    let is_known = |name: &str| is_own_field(name) || parameters.iter().any(|known| known.name == name);
    if sent.iter().any(|(name, _)| !is_known(name)) {
        let known = parameters
            .iter()
            .map(|known| known.name.clone())
            .collect::<Vec<_>>();
        let unknown = sent.iter().filter(|(name, _)| !is_known(name));
        faults.extend(unknown.map(|(name, _)| query::unknown_parameter(name, &known)));
    }
    for parameter in parameters {
        let named = sent.iter().filter(|(name, _)| *name == parameter.name);
        let values = named.map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        if !values.is_empty() {
            parameter.check(&values, &mut faults);
        }
    }
    faults.dedup();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(query::bad_parameters(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::error::AppError;
    use rstest::rstest;

    fn parameters() -> Vec<Parameter> {
        let operation = json!({ "parameters": [
            { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 200 } },
            { "name": "archived", "in": "query", "schema": { "type": "boolean" } },
            { "name": "stage_id", "in": "query", "schema": { "type": "array", "maxItems": 2, "items": { "type": "string", "format": "uuid" } } },
            { "name": "since", "in": "query", "schema": { "type": "string", "format": "date-time" } },
            { "name": "sort", "in": "query", "schema": { "type": "string", "pattern": "^-?(name|amount)(,-?(name|amount)){0,2}$" } },
            { "name": "If-Match", "in": "header", "schema": { "type": "string" } }
        ]});
        Parameter::all(&operation, &Arc::new(Value::Null))
    }

    fn faults(query: &str) -> Vec<(String, String)> {
        match check(&parameters(), false, query) {
            Ok(()) => Vec::new(),
            Err(AppError::Refused(refusal)) => {
                let faults = refusal.faults.iter();
                faults
                    .map(|fault| (fault.pointer.clone(), fault.code.to_owned()))
                    .collect()
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[rstest]
    #[case("")]
    #[case("limit=200&archived=false&sort=-amount,name")]
    #[case("stage_id=0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a&stage_id=0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    #[case("since=2024-03-15T08:30:00Z")]
    #[case("since=2024-03-15T08:30:00+08:00")]
    fn what_the_document_describes_passes(#[case] query: &str) {
        assert_eq!(faults(query), []);
    }

    #[rstest]
    #[case("limit=201", "?limit", "out_of_range")]
    #[case("limit=%2B5", "?limit", "wrong_type")]
    #[case("limit=007", "?limit", "wrong_type")]
    #[case("limit=", "?limit", "wrong_type")]
    #[case("limit=1&limit=2", "?limit", "repeated")]
    #[case("archived=yes", "?archived", "wrong_type")]
    #[case("stage_id=x", "?stage_id", "wrong_format")]
    #[case("since=yesterday", "?since", "wrong_format")]
    #[case("sort=", "?sort", "unknown_value")]
    #[case("sort=name,,amount", "?sort", "unknown_value")]
    #[case("if-match=1", "?if-match", "unknown_parameter")]
    fn what_it_does_not_is_named(#[case] query: &str, #[case] pointer: &str, #[case] code: &str) {
        assert_eq!(faults(query), [(pointer.to_owned(), code.to_owned())]);
    }

    #[test]
    fn all_faults_of_a_query_come_at_once_and_a_wrong_sort_names_the_right_ones() {
        let found = faults("limit=0&bogus=1&sort=size&stage_id=x");
        let pointers = found
            .iter()
            .map(|(pointer, _)| pointer.as_str())
            .collect::<Vec<_>>();
        assert_eq!(pointers, ["?bogus", "?limit", "?stage_id", "?sort"]);
        let Err(AppError::Refused(refusal)) = check(&parameters(), false, "sort=size") else {
            panic!()
        };
        assert!(refusal.faults[0].message.en.contains("name, amount"));
    }
}
