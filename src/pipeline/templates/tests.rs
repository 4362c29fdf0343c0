use super::*;
use crate::kernel::expression::Vocabulary;
use crate::pipeline::gate::{Answer, Gate, Standing};
use crate::pipeline::vocabulary::Known;
use rstest::rstest;
use serde_json::json;

fn known() -> Known {
    let processes = ["quote_approval", "contract_approval"].map(str::to_owned);
    Known::new(
        &crate::opportunity::SUBJECTS,
        Vocabulary::new(),
        Vocabulary::new(),
        processes,
    )
}

#[test]
fn each_template_can_be_published_as_it_is() {
    for template in templates().unwrap() {
        assert_eq!(
            template.document.faults(&known()),
            [],
            "the template {} has faults",
            template.key
        );
        assert_eq!(template.document.key, template.key);
        assert!(!template.description.is_empty());
        assert!(template.processes.contains(&"contract_approval".to_owned()));
    }
}

#[rstest]
#[case("five_stage_b2b", &[("identify", "0.1000"), ("demonstrate", "0.3000"), ("answer_doubts", "0.5000"), ("quote", "0.7000"), ("contract", "0.9000")])]
#[case("eight_step_funnel", &[("need", "0.0500"), ("ability_to_pay", "0.1000"), ("develop", "0.3000"), ("propose", "0.6000"), ("evaluate", "0.6500"), ("negotiate", "0.7000"), ("contract", "0.9000")])]
#[case("lead_to_delivery", &[("discover", "0.2000"), ("tailor", "0.3500"), ("present", "0.5000"), ("negotiate", "0.7000"), ("contract", "0.9000")])]
#[case("six_phase", &[("need_analysis", "0.2000"), ("solution", "0.4000"), ("negotiation", "0.6000"), ("contract", "0.9000")])]
fn the_stages_of_a_template_end_at_the_win_and_carry_its_probabilities(
    #[case] key: &str,
    #[case] expected: &[(&str, &str)],
) {
    let document = template(key).unwrap().document;
    let found = document
        .stages
        .iter()
        .map(|stage| (stage.key.as_str(), stage.probability.0.to_string()));
    let expected = expected.iter().map(|(key, share)| (*key, (*share).to_owned()));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let last = document.stages.len() - 1;
    assert!(document.edges(last).is_empty());
}

#[test]
fn a_proposal_may_come_before_the_solution_is_developed() {
    let document = template("eight_step_funnel").unwrap().document;
    let targets = document.edges(1);
    let keys = targets.iter().map(|to| document.stages[*to].key.as_str());
    assert_eq!(keys.collect::<Vec<_>>(), ["develop", "propose"]);
}

#[test]
fn the_six_phases_use_every_kind_of_criterion_and_approve_by_the_contract_process() {
    let template = template("six_phase").unwrap();
    let mut kinds = template
        .document
        .stages
        .iter()
        .flat_map(|stage| stage.criteria())
        .map(|criterion| criterion.kind)
        .collect::<Vec<_>>();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["approval", "check", "field", "question", "record"]);
    assert_eq!(template.processes, ["contract_approval"]);
}

#[test]
fn a_stage_without_criteria_is_left_to_the_salespersons_judgement() {
    let template = template("five_stage_b2b").unwrap();
    assert!(template.document.stage("answer_doubts").unwrap().gate.is_none());
}

#[test]
fn an_unknown_template_is_not_found() {
    assert_eq!(
        super::template("nine_steps").unwrap_err().code(),
        crate::kernel::problem::Code::NotFound
    );
}

/// The worked example: what was recorded of the software deal in March 2024, stage by stage.
#[test]
fn the_worked_example_passes_the_gates_of_the_six_phases() {
    let mut standing = Standing::new(uuid::Uuid::from_u128(1), chrono::DateTime::UNIX_EPOCH);
    standing.facts = json!({ "amount": "220000.00", "currency": "CNY", "today": "2024-03-14" });
    let mut records = |kind: &str, rows: serde_json::Value| {
        let rows = rows.as_array().unwrap().clone();
        standing.records.insert(kind.to_owned(), rows);
    };
    records(
        "need_analysis",
        json!([{ "explicit_needs": "统一的客户管理平台", "confirmation_sent_at": "2024-03-06T01:00:00Z" }]),
    );
    records(
        "decision_chain_member",
        json!([
            { "role": "decision_maker", "influence": "0.6000" },
            { "role": "procurement", "influence": "0.3000" },
            { "role": "user", "influence": "0.1000" },
        ]),
    );
    records(
        "solution_checklist_item",
        json!(vec![json!({ "is_done": true }); 6]),
    );
    records("objection", json!([{ "resolved_on": "2024-03-12" }]));
    records("negotiation_record", json!([{ "way": "客户会议室" }]));
    let answers = [
        ("customer_feedback", json!("认可")),
        ("result_reviewed", json!(true)),
        ("terms_match", json!(true)),
    ];
    for (key, answer) in answers {
        let answer = Answer {
            answer,
            note: Some("已核对".to_owned()),
            by: None,
            at: chrono::DateTime::UNIX_EPOCH,
        };
        standing.answers.insert(key.to_owned(), answer);
    }
    let document = template("six_phase").unwrap().document;
    let states = document.stages.iter().map(|stage| {
        let gate = Gate::compile(stage, &known()).unwrap();
        gate.evaluate(&standing).state.as_str()
    });
    let expected = ["open", "open", "open", "only_approval_missing"];
    assert_eq!(states.collect::<Vec<_>>(), expected);
}
