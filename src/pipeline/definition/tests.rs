use super::*;
use crate::platform::contract;
use rstest::rstest;
use serde_json::json;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(components(schemas(PipelineDocument)))]
struct Published;

/// The published JSON Schema of the document, with everything it refers to.
fn schema() -> Value {
    let document = serde_json::to_value(Published::openapi()).unwrap();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/components/schemas/PipelineDocument",
        "components": document["components"],
    })
}

fn every_kind() -> Value {
    let mut document = example();
    document["stages"][0]["next"] = json!(["contract"]);
    document["stages"][0]["gate"] = json!({ "kind": "all", "of": [
        { "kind": "check", "key": "a", "label": "甲", "is_required": false, "help": "乙", "needs_note": true },
        { "kind": "any", "of": [
            { "kind": "question", "key": "b", "label": "b", "answer": { "type": "bool" }, "accept": { "kind": "values", "of": [false] } },
            { "kind": "question", "key": "c", "label": "c", "answer": { "type": "number", "min": "0", "max": "9.5" }, "accept": { "kind": "range", "min": "3" } },
            { "kind": "question", "key": "d", "label": "d", "answer": { "type": "choice", "choices": ["x", "y"] } },
            { "kind": "question", "key": "e", "label": "e", "answer": { "type": "text", "max_length": 5 } },
            { "kind": "question", "key": "f", "label": "f", "answer": { "type": "day", "min": "2024-01-01" } },
        ] },
        { "kind": "at_least", "count": 1, "of": [
            { "kind": "field", "key": "g", "label": "g", "expression": "amount > 1" },
            { "kind": "record", "key": "h", "label": "h", "of": "objection", "where": "resolved_on == null", "every": "raised_on != null", "at_least": 2, "since_entry": true },
            { "kind": "approval", "key": "i", "label": "i", "process": "p" },
        ] },
    ] });
    document
}

#[test]
fn a_document_of_every_kind_of_criterion_is_valid_by_the_published_schema_and_is_read_back_equal() {
    let schema = contract::compile(&schema()).unwrap();
    for document in [example(), every_kind()] {
        assert!(
            schema.is_valid(&document),
            "{:?}",
            schema.iter_errors(&document).collect::<Vec<_>>()
        );
        let read: PipelineDocument = serde_json::from_value(document).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert!(schema.is_valid(&written));
        assert_eq!(serde_json::from_value::<PipelineDocument>(written).unwrap(), read);
    }
}

#[rstest]
#[case("/stages/0/gate/of/0/hint", json!("x"))]
#[case("/stages/0/gate/of/1/of/0/answer/max", json!("1"))]
#[case("/stages/0/gate/of/1/of/0/accept/min", json!("1"))]
#[case("/stages/0/colour", json!("red"))]
#[case("/colour", json!("red"))]
#[case("/stages/0/probability", json!("1.5"))]
#[case("/stages/0/probability", json!("0.12345"))]
#[case("/stages/0/gate/of/2/kind", json!("form"))]
fn a_misspelt_member_or_loose_value_is_refused_by_the_schema(#[case] pointer: &str, #[case] value: Value) {
    let mut document = every_kind();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = value;
    assert!(!contract::compile(&schema()).unwrap().is_valid(&document));
}

#[rstest]
#[case("/stages/0/gate/of/0/hint")]
#[case("/stages/0/gate/of/1/of/0/answer/max")]
#[case("/stages/0/colour")]
fn a_misspelt_member_is_refused_by_the_reader_too(#[case] pointer: &str) {
    let mut document = every_kind();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = json!("x");
    assert!(serde_json::from_value::<PipelineDocument>(document).is_err());
}

#[test]
fn the_following_stage_is_the_only_edge_unless_next_lists_others() {
    let mut document: PipelineDocument = serde_json::from_value(json!({
        "key": "p", "name": "p", "stages": [
            { "key": "a", "name": "a", "probability": "0.1" },
            { "key": "b", "name": "b", "probability": "0.2", "next": ["d", "c"] },
            { "key": "c", "name": "c", "probability": "0.3", "next": [] },
            { "key": "d", "name": "d", "probability": "0.4" },
        ]
    }))
    .unwrap();
    let edges = |document: &PipelineDocument| {
        (0..4)
            .map(|position| document.edges(position))
            .collect::<Vec<_>>()
    };
    assert_eq!(edges(&document), [vec![1], vec![3, 2], vec![], vec![]]);
    document.stages[1].next = None;
    assert_eq!(edges(&document), [vec![1], vec![2], vec![], vec![]]);
    assert!(document.is_regress_allowed);
}

#[test]
fn an_optional_criterion_does_not_make_its_group_count() {
    let node = |json: Value| serde_json::from_value::<GateNode>(json).unwrap();
    let optional = json!({ "kind": "check", "key": "a", "label": "a", "is_required": false });
    let required = json!({ "kind": "check", "key": "b", "label": "b" });
    assert!(!node(json!({ "kind": "all", "of": [optional] })).counts());
    assert!(node(json!({ "kind": "all", "of": [optional, required] })).counts());
}
