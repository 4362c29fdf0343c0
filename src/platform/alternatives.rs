//! Which of several allowed forms a value was meant to have, so that its faults are told by that form alone.

use super::input::{faults_of, plain, type_fault};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

/// What one form has against a value.
type Against = Vec<ValidationError<'static>>;

/// The faults of a value that has none of these forms: by the member that tells them apart (`kind`) those of the form that
/// it names, else those of the form with the fewest.
pub(super) fn faults(forms: &[Against], at: &str, found: &Value, faults: &mut Vec<Fault>) {
    let meant = forms.iter().filter(|form| !is_of_other_type(form, at));
    let mut meant = meant.collect::<Vec<_>>();
    if meant.is_empty() && !forms.is_empty() {
        faults.push(type_fault(at.to_owned(), found, types(forms, at)));
        return;
    }
    if let Some(tag) = tag_of(&meant, at) {
        meant.retain(|form| wanted_at(form, &tag).is_none());
        if meant.is_empty() {
            faults.push(unknown_kind(forms, tag));
            return;
        }
    }
    match meant.into_iter().min_by_key(|form| form.len()) {
        Some(form) if !form.is_empty() => form.iter().for_each(|error| faults_of(error, faults)),
        _ => faults.push(Fault::invalid(
            at,
            "matches none of the allowed forms",
            "不符合任何允许的形式",
        )),
    }
}

fn type_at<'e>(form: &'e Against, at: &str) -> Option<&'e TypeKind> {
    form.iter().find_map(|error| match error.kind() {
        ValidationErrorKind::Type { kind } if error.instance_path().to_string() == at => Some(kind),
        _ => None,
    })
}

fn is_of_other_type(form: &Against, at: &str) -> bool {
    type_at(form, at).is_some()
}

/// The types that are allowed, each once.
fn types(forms: &[Against], at: &str) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for kind in forms.iter().filter_map(|form| type_at(form, at)) {
        let named = match kind {
            TypeKind::Single(kind) => vec![kind.to_string()],
            TypeKind::Multiple(kinds) => kinds.iter().map(|kind| kind.to_string()).collect(),
        };
        for name in named {
            if name != "null" && !types.contains(&name) {
                types.push(name);
            }
        }
    }
    types
}

/// The one value that a form wants at this place, where the value has another one.
fn wanted_at<'e>(form: &'e Against, place: &str) -> Option<&'e Value> {
    form.iter().find_map(|error| {
        if error.instance_path().to_string() != place {
            return None;
        }
        match error.kind() {
            ValidationErrorKind::Enum { options } => match options.as_array().map(Vec::as_slice) {
                Some([only]) => Some(only),
                _ => None,
            },
            ValidationErrorKind::Constant { expected_value } => Some(expected_value),
            _ => None,
        }
    })
}

/// The place of the member that tells forms apart: all of them, or all but one, want another single value there.
fn tag_of(forms: &[&Against], at: &str) -> Option<String> {
    let mut places = forms
        .iter()
        .flat_map(|form| form.iter())
        .map(|error| error.instance_path().to_string())
        .filter(|place| {
            let member = place.strip_prefix(at).and_then(|rest| rest.strip_prefix('/'));
            member.is_some_and(|member| !member.contains('/'))
        })
        .collect::<Vec<_>>();
    places.sort_unstable();
    places.dedup();
    let others = |place: &String| {
        let wanting = forms.iter().filter(|form| wanted_at(form, place).is_some());
        wanting.count()
    };
    let tag = places.into_iter().max_by_key(others)?;
    let others = others(&tag);
    (others > 1 && others + 1 >= forms.len()).then_some(tag)
}

fn unknown_kind(forms: &[Against], tag: String) -> Fault {
    let wanted = forms.iter().filter_map(|form| wanted_at(form, &tag));
    let allowed = wanted.map(plain).collect::<Vec<_>>().join(", ");
    Fault::new(
        tag,
        "unknown_value",
        say(
            format!("must be one of: {allowed}"),
            format!("必须是以下之一:{allowed}"),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::input;
    use jsonschema::Validator;
    use serde_json::{Value, json};

    fn gate() -> Validator {
        let form = |kind: &str, member: &str| {
            json!({ "type": "object", "required": ["kind", member], "additionalProperties": false,
                "properties": { "kind": { "type": "string", "enum": [kind] }, member: { "type": "integer" } } })
        };
        jsonschema::validator_for(&json!({ "type": "object", "properties": {
            "gate": { "oneOf": [form("all", "of"), form("at_least", "count"), form("check", "key")] },
            "answer": { "anyOf": [{ "type": "boolean" }, { "type": "string" }, { "type": "null" }] }
        } }))
        .unwrap()
    }

    fn told(value: Value) -> Vec<(String, String)> {
        let faults = input::faults(&gate(), &value);
        let told = faults.into_iter().map(|fault| (fault.pointer, fault.message.en));
        let mut told = told.collect::<Vec<_>>();
        told.sort_unstable();
        told
    }

    #[test]
    fn a_form_is_judged_by_the_kind_that_it_names() {
        let told = told(json!({ "gate": { "kind": "at_least", "k": 2 } }));
        let pointers = told.iter().map(|(pointer, _)| pointer.as_str());
        assert_eq!(pointers.collect::<Vec<_>>(), ["/gate/count", "/gate/k"]);
    }

    #[test]
    fn an_unknown_kind_is_told_all_that_there_are() {
        assert_eq!(
            told(json!({ "gate": { "kind": "nope" } })),
            [(
                "/gate/kind".to_owned(),
                "must be one of: all, at_least, check".to_owned()
            )]
        );
    }

    #[test]
    fn a_value_of_no_possible_type_is_told_all_types() {
        assert_eq!(
            told(json!({ "answer": 5.5 })),
            [(
                "/answer".to_owned(),
                "must be of type boolean / string".to_owned()
            )]
        );
    }
}
