use super::*;
use rstest::rstest;
use serde_json::{Value, json};

fn known() -> Known {
    Known::new(
        &crate::opportunity::SUBJECTS,
        Vocabulary::new(),
        Vocabulary::new(),
        ["p".to_owned()],
    )
}

fn faults(document: Value) -> Vec<(String, &'static str)> {
    let document: PipelineDocument = serde_json::from_value(document).unwrap();
    let faults = document.faults(&known());
    faults.into_iter().map(|it| (it.pointer, it.code)).collect()
}

fn stage(key: &str) -> Value {
    json!({ "key": key, "name": key, "probability": "0.5" })
}

fn with_gate(gate: Value) -> Value {
    let mut stage = stage("a");
    stage["gate"] = gate;
    json!({ "key": "k", "name": "n", "stages": [stage] })
}

fn check(key: &str) -> Value {
    json!({ "kind": "check", "key": key, "label": key })
}

fn expect(document: Value, expected: &[(&str, &str)]) {
    let found = faults(document);
    let found = found
        .iter()
        .map(|(pointer, code)| (pointer.as_str(), *code))
        .collect::<Vec<_>>();
    assert_eq!(found, expected);
}

#[test]
fn every_fault_is_named_at_once_with_its_place() {
    let mut first = stage("a");
    first["next"] = json!(["c", "c", "x", "a"]);
    first["probability"] = json!("1.2");
    first["asks_approval_by_itself"] = json!(true);
    let mut last = stage("c");
    last["next"] = json!(["a"]);
    last["gate"] = json!({ "kind": "all", "of": [
        check("same"),
        { "kind": "field", "key": "same", "label": " ", "expression": "amont > 1 && nope" },
        { "kind": "record", "key": "r", "label": "r", "of": "unicorn" },
        { "kind": "approval", "key": "s", "label": "s", "process": "p" },
        { "kind": "approval", "key": "t", "label": "t", "process": "p" },
        { "kind": "approval", "key": "u", "label": "u", "process": "q" },
    ] });
    expect(
        json!({ "key": "K", "name": " ", "stages": [first, stage("a"), last] }),
        &[
            ("/key", "wrong_form"),
            ("/name", "required"),
            ("/stages/0/next/1", "duplicate"),
            ("/stages/0/next/2", "unknown_stage"),
            ("/stages/0/next/3", "backward_edge"),
            ("/stages/1/key", "duplicate"),
            ("/stages/2/next/0", "backward_edge"),
            ("/stages", "no_final_stage"),
            ("/stages/1", "unreachable"),
            ("/stages/0/probability", "out_of_range"),
            ("/stages/0/asks_approval_by_itself", "no_approval"),
            ("/stages/2/gate/of/1/label", "required"),
            ("/stages/2/gate/of/1/expression", "unknown_member"),
            ("/stages/2/gate/of/1/expression", "unknown_member"),
            ("/stages/2/gate/of/2/of", "unknown_record_kind"),
            ("/stages/2/gate/of/5/process", "unknown_process"),
            ("/stages/2/gate/of/1/key", "duplicate"),
            ("/stages/2/gate/of/4/process", "repeated_process"),
        ],
    );
}

#[rstest]
#[case::an_empty_group(json!({"kind": "all", "of": []}), &[("/stages/0/gate/of", "empty_group")])]
#[case::more_than_there_are(json!({"kind": "at_least", "count": 3, "of": [check("a"), check("b")]}), &[("/stages/0/gate/count", "out_of_range")])]
#[case::none_at_all(json!({"kind": "at_least", "count": 0, "of": [check("a")]}), &[("/stages/0/gate/count", "out_of_range")])]
#[case::an_optional_alternative(
    json!({"kind": "any", "of": [check("a"), {"kind": "check", "key": "b", "label": "b", "is_required": false}]}),
    &[("/stages/0/gate/of/1", "demands_nothing")]
)]
#[case::a_condition_that_does_not_parse(json!({"kind": "field", "key": "a", "label": "a", "expression": "amount >"}), &[("/stages/0/gate/expression", "expression_syntax")])]
#[case::a_condition_that_is_none(json!({"kind": "field", "key": "a", "label": "a", "expression": "amount"}), &[("/stages/0/gate/expression", "not_a_condition")])]
#[case::conditions_over_a_record(
    json!({"kind": "record", "key": "a", "label": "a", "of": "line", "where": "nope > 1", "every": "neither > 1"}),
    &[("/stages/0/gate/where", "unknown_member"), ("/stages/0/gate/every", "unknown_member")]
)]
#[case::a_count_of_nothing(json!({"kind": "record", "key": "a", "label": "a", "of": "line", "at_least": 0}), &[("/stages/0/gate/at_least", "always_met")])]
#[case::our_limits_are_not_to_be_asked(json!({"kind": "record", "key": "a", "label": "a", "of": "negotiation_plan", "where": "floor_discount > 0.1"}), &[("/stages/0/gate/where", "unknown_member")])]
#[case::a_range_upside_down(json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "number", "min": "2", "max": "1"}}), &[("/stages/0/gate/answer/max", "out_of_range")])]
#[case::no_day(json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "day", "min": "2024-02-30"}}), &[("/stages/0/gate/answer/min", "invalid")])]
#[case::a_choice_twice(json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "choice", "choices": ["是", "是"]}}), &[("/stages/0/gate/answer/choices/1", "duplicate")])]
#[case::a_choice_twice_hides_no_unknown_answer(
    json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "choice", "choices": ["是", "是"]}, "accept": {"kind": "values", "of": ["否"]}}),
    &[("/stages/0/gate/answer/choices/1", "duplicate"), ("/stages/0/gate/accept/of/0", "invalid")])]
#[case::an_accepted_answer_that_cannot_be_given(
    json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "choice", "choices": ["是"]}, "accept": {"kind": "values", "of": ["否"]}}),
    &[("/stages/0/gate/accept/of/0", "invalid")]
)]
#[case::a_range_of_truth(json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "bool"}, "accept": {"kind": "range", "min": "1"}}), &[("/stages/0/gate/accept", "invalid")])]
#[case::numbers_above_every_answer(
    json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "number", "max": "10"}, "accept": {"kind": "range", "min": "10.5"}}),
    &[("/stages/0/gate/accept/min", "out_of_range")]
)]
#[case::numbers_below_every_answer(
    json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "number", "min": "1", "max": "10"}, "accept": {"kind": "range", "min": "-5", "max": "0.9"}}),
    &[("/stages/0/gate/accept/max", "out_of_range")]
)]
#[case::days_after_every_answer(
    json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "day", "max": "2024-12-31"}, "accept": {"kind": "range", "min": "2025-01-01"}}),
    &[("/stages/0/gate/accept/min", "out_of_range")]
)]
#[case::a_range_that_some_answers_reach(
    json!({"kind": "question", "key": "a", "label": "a", "answer": {"type": "number", "min": "1", "max": "10"}, "accept": {"kind": "range", "min": "10", "max": "50"}}),
    &[]
)]
fn a_gate_that_cannot_work_is_refused(#[case] gate: Value, #[case] expected: &[(&str, &str)]) {
    expect(with_gate(gate), expected);
}

#[test]
fn an_approval_that_outlives_a_change_of_what_its_stage_reads_is_told() {
    let field = |key: &str, expression: &str, is_required: bool| json!({ "kind": "field", "key": key, "label": key, "expression": expression, "is_required": is_required });
    let document: PipelineDocument = serde_json::from_value(with_gate(json!({ "kind": "all", "of": [
        field("a", "amount > 1 && next_step != null", true),
        field("b", "description != null", false),
        { "kind": "any", "of": [{ "kind": "approval", "key": "s", "label": "s", "process": "p" }] },
    ] })))
    .unwrap();
    assert_eq!(document.faults(&known()), []);
    let bound_to = |content: &[&str]| {
        let content = content.iter().map(|path| (*path).to_owned()).collect();
        document.reservations(&known(), &[("p".to_owned(), content)].into())
    };
    assert_eq!(bound_to(&["amount", "next_step"]), []);
    let told = bound_to(&["amount"]);
    assert_eq!(
        (told[0].pointer.as_str(), told[0].code),
        ("/stages/0/gate/of/2/of/0/process", "not_covered")
    );
    assert!(told[0].message.en.contains("next_step") && !told[0].message.en.contains("amount"));
    assert_eq!(told.len(), 1);
}

#[test]
fn the_published_limits_hold() {
    let nested =
        |levels: usize| (1..levels).fold(check("a"), |inner, _| json!({"kind": "all", "of": [inner]}));
    assert_eq!(faults(with_gate(nested(8))), []);
    let deep = faults(with_gate(nested(9)));
    assert_eq!(deep.iter().map(|it| it.1).collect::<Vec<_>>(), ["too_deep"]);

    let wide = |count: usize| {
        let of = (0..count).map(|index| check(&format!("c{index}")));
        with_gate(json!({"kind": "all", "of": of.collect::<Vec<_>>()}))
    };
    assert_eq!(faults(wide(100)), []);
    assert_eq!(faults(wide(101)), [("/stages/0/gate".to_owned(), "too_many")]);

    let long = |count: usize| {
        let stages = (0..count).map(|index| stage(&format!("s{index}")));
        json!({ "key": "k", "name": "n", "stages": stages.collect::<Vec<_>>() })
    };
    assert_eq!(faults(long(50)), []);
    assert_eq!(faults(long(51)), [("/stages".to_owned(), "too_many")]);
    assert_eq!(faults(long(0)), [("/stages".to_owned(), "too_few")]);
}

#[test]
fn a_stage_that_every_edge_passes_by_is_unreachable() {
    let mut first = stage("a");
    first["next"] = json!(["c"]);
    expect(
        json!({ "key": "k", "name": "n", "stages": [first, stage("b"), stage("c")] }),
        &[("/stages/1", "unreachable")],
    );
}

#[test]
fn a_fault_of_an_expression_says_where_in_it() {
    let document: PipelineDocument = serde_json::from_value(with_gate(
        json!({"kind": "field", "key": "a", "label": "a", "expression": "amount > 1 && nope"}),
    ))
    .unwrap();
    let faults = document.faults(&known());
    assert!(
        faults[0].message.en.starts_with("line 1, column 15: "),
        "{faults:?}"
    );
    assert!(faults[0].message.zh.starts_with("第 1 行第 15 列："));
}
