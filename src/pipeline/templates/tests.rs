use super::*;
use crate::kernel::expression::Vocabulary;
use crate::pipeline::vocabulary::Known;
use rstest::rstest;

fn known() -> Known {
    let processes = ["quote_approval", "contract_approval"].map(str::to_owned);
    Known::new(Vocabulary::new(), Vocabulary::new(), processes)
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
