//! What a migration means for a deal, case by case, and what holds for all.

use super::*;
use crate::pipeline::vocabulary::Known;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// The id that a stage or criterion of that name has in every version.
fn id(name: &str) -> Uuid {
    let bytes = name.bytes().fold(0u128, |all, byte| all << 8 | u128::from(byte));
    Uuid::from_u128(bytes)
}

fn check(key: &str) -> Value {
    json!({ "kind": "check", "key": key, "label": key })
}

fn question(key: &str, of: &str) -> Value {
    json!({ "kind": "question", "key": key, "label": key, "answer": { "type": of } })
}

fn approval(key: &str, process: &str) -> Value {
    json!({ "kind": "approval", "key": key, "label": key, "process": process })
}

fn version(number: i32, stages: &[(&str, Vec<Value>)]) -> Definition {
    let mut ids = serde_json::Map::new();
    let documents = stages.iter().map(|(key, criteria)| {
        let criteria_ids = criteria.iter().map(|criterion| {
            let criterion = criterion["key"].as_str().unwrap();
            (criterion.to_owned(), json!(id(&format!("{key}.{criterion}"))))
        });
        let criteria_ids = criteria_ids.collect::<serde_json::Map<_, _>>();
        ids.insert(
            (*key).to_owned(),
            json!({ "id": id(key), "criteria": criteria_ids }),
        );
        let mut stage = json!({ "key": key, "name": key, "probability": "0.5" });
        if !criteria.is_empty() {
            stage["gate"] = json!({ "kind": "all", "of": criteria });
        }
        stage
    });
    let document = json!({ "key": "p", "name": "p", "stages": documents.collect::<Vec<_>>() });
    Definition::new(
        id("pipeline"),
        Uuid::from_u128(u128::from(number.unsigned_abs())),
        number,
        serde_json::from_value(document).unwrap(),
        &serde_json::from_value(Value::Object(ids)).unwrap(),
        &Known::default(),
    )
    .unwrap()
}

fn plain(number: i32, keys: &[&str]) -> Definition {
    let stages = keys.iter().map(|key| (*key, Vec::new())).collect::<Vec<_>>();
    version(number, &stages)
}

fn left<'a>(definition: &'a Definition, open: &[(&str, i64)]) -> Left<'a> {
    Left {
        definition,
        open: open.iter().map(|(key, count)| (id(key), *count)).collect(),
    }
}

fn names(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs
        .iter()
        .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
    pairs.collect()
}

fn deal(stage: &str, answered: &[&str], requests: Vec<Request>) -> Deal {
    Deal {
        stage_id: id(stage),
        answered: answered.iter().map(|name| id(name)).collect(),
        requests,
    }
}

#[test]
fn a_stage_goes_to_that_of_the_same_key_unless_it_is_named() {
    let (one, two) = (plain(1, &["a", "b"]), plain(2, &["a", "c"]));
    let open = [left(&one, &[("a", 1), ("b", 2)])];
    let mapping = Mapping::resolve(&open, &two, &names(&[("b", "c")])).unwrap();
    assert_eq!(mapping.keys(&open, &two), names(&[("a", "a"), ("b", "c")]));
    assert_eq!(
        Mapping::of_keys(&[&one], &two, &mapping.keys(&open, &two)),
        mapping
    );
}

#[test]
fn a_stage_without_open_deals_may_go_nowhere() {
    let (one, two) = (plain(1, &["a", "b"]), plain(2, &["a"]));
    let open = [left(&one, &[("a", 1)])];
    let mapping = Mapping::resolve(&open, &two, &BTreeMap::new()).unwrap();
    assert_eq!(mapping.target(id("b")), None);
    let deal = deal("b", &[], Vec::new());
    assert_eq!(plan(&deal, &one, &two, &mapping, AnswerRule::ByCriterion), None);
}

#[test]
fn all_faults_of_a_mapping_are_named() {
    let (one, two) = (plain(1, &["a", "b", "c"]), plain(2, &["d"]));
    let open = [left(&one, &[("a", 1), ("b", 2)])];
    let faults = Mapping::resolve(&open, &two, &names(&[("b", "x"), ("y/z", "d")])).unwrap_err();
    let mut found = faults
        .iter()
        .map(|fault| (fault.pointer.as_str(), fault.code))
        .collect::<Vec<_>>();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("/stages/a", "required"),
            ("/stages/b", "unknown_value"),
            ("/stages/y~1z", "unknown_value")
        ]
    );
}

#[rstest]
#[case(check("k"), check("k"), true)]
#[case(check("k"), question("k", "bool"), false)]
#[case(question("k", "number"), question("k", "number"), true)]
#[case(question("k", "number"), question("k", "text"), false)]
#[case(check("k"), check("other"), false)]
fn an_answer_goes_along_where_criterion_and_kind_agree(
    #[case] before: Value,
    #[case] after: Value,
    #[case] goes: bool,
) {
    let (one, two) = (
        version(1, &[("a", vec![before])]),
        version(2, &[("a", vec![after])]),
    );
    let open = [left(&one, &[("a", 1)])];
    let mapping = Mapping::resolve(&open, &two, &BTreeMap::new()).unwrap();
    let made = plan(
        &deal("a", &["a.k"], Vec::new()),
        &one,
        &two,
        &mapping,
        AnswerRule::ByCriterion,
    )
    .unwrap();
    assert_eq!(
        (made.carried.len(), made.dropped.len()),
        if goes { (1, 0) } else { (0, 1) }
    );
}

#[rstest]
#[case(AnswerRule::ByCriterion, 0)]
#[case(AnswerRule::ByKey, 1)]
#[case(AnswerRule::Drop, 0)]
fn to_another_stage_answers_go_along_by_key_only_if_asked(#[case] rule: AnswerRule, #[case] carried: usize) {
    let one = version(1, &[("a", vec![check("k"), check("gone")])]);
    let two = version(2, &[("b", vec![check("k")])]);
    let open = [left(&one, &[("a", 1)])];
    let mapping = Mapping::resolve(&open, &two, &names(&[("a", "b")])).unwrap();
    let made = plan(
        &deal("a", &["a.k", "a.gone"], Vec::new()),
        &one,
        &two,
        &mapping,
        rule,
    )
    .unwrap();
    assert_eq!((made.visit, made.carried.len()), (Visit::Begun, carried));
    assert!(made.carried.iter().all(|it| it.to == id("b.k")));
}

#[rstest]
#[case("a", "p", RequestStanding::Pending, (0, 0))]
#[case("a", "q", RequestStanding::Pending, (1, 0))]
#[case("a", "q", RequestStanding::Granted, (0, 1))]
#[case("b", "p", RequestStanding::Pending, (1, 0))]
#[case("b", "p", RequestStanding::Granted, (0, 1))]
#[case("b", "p", RequestStanding::Void, (0, 0))]
fn an_approval_counts_on_only_in_the_same_visit_for_the_same_process(
    #[case] stage: &str,
    #[case] process: &str,
    #[case] standing: RequestStanding,
    #[case] lost: (usize, usize),
) {
    let one = version(1, &[("a", vec![approval("boss", "p")])]);
    let two = version(2, &[(stage, vec![approval("boss", process)])]);
    let open = [left(&one, &[("a", 1)])];
    let mapping = Mapping::resolve(&open, &two, &names(&[("a", stage)])).unwrap();
    let request = Request {
        id: id("request"),
        criterion_id: Some(id("a.boss")),
        process_key: "p".to_owned(),
        standing,
    };
    let made = plan(
        &deal("a", &[], vec![request]),
        &one,
        &two,
        &mapping,
        AnswerRule::ByCriterion,
    )
    .unwrap();
    assert_eq!((made.withdrawn.len(), made.lost.len()), lost);
}

fn any_criterion() -> impl Strategy<Value = Value> {
    let key = proptest::sample::select(KEYS.to_vec());
    key.prop_flat_map(|key| {
        prop_oneof![
            Just(check(key)),
            Just(question(key, "bool")),
            Just(question(key, "text"))
        ]
    })
}

fn any_version(number: i32) -> impl Strategy<Value = Definition> {
    let criteria = proptest::collection::vec(any_criterion(), 0..4).prop_map(|mut criteria| {
        criteria.sort_by_key(|it| it["key"].to_string());
        criteria.dedup_by_key(|it| it["key"].to_string());
        criteria
    });
    let stages = proptest::collection::btree_map(proptest::sample::select(KEYS.to_vec()), criteria, 1..5);
    stages.prop_map(move |stages| version(number, &stages.into_iter().collect::<Vec<_>>()))
}

proptest! {
    /// Whatever the versions, the mapping and the rule: an open deal goes somewhere or is left alone; a kept visit never
    /// changes its stage; each answer goes along or does not, to a criterion of the stage entered.
    #[test]
    fn every_deal_has_one_plan_and_every_answer_one_fate(
        one in any_version(1),
        two in any_version(2),
        named in proptest::collection::btree_map(proptest::sample::select(KEYS.to_vec()), proptest::sample::select(KEYS.to_vec()), 0..4),
        rule in proptest::sample::select(vec![AnswerRule::ByCriterion, AnswerRule::ByKey, AnswerRule::Drop]),
    ) {
        let named = named.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
        let open = one.course.steps().iter().map(|step| (step.id, 1)).collect();
        let left = [Left { definition: &one, open }];
        let Ok(mapping) = Mapping::resolve(&left, &two, &named) else {
            return Ok(());
        };
        for step in one.course.steps() {
            let answered = one.stage(step.id).unwrap().criteria.values().copied().collect::<Vec<_>>();
            let deal = Deal { stage_id: step.id, answered: answered.clone(), requests: Vec::new() };
            let made = plan(&deal, &one, &two, &mapping, rule);
            // A mapping without faults leaves no stage with open deals out.
            let made = made.unwrap();
            prop_assert!(two.step(made.to_stage_id).is_some());
            prop_assert_eq!(made.visit == Visit::Kept, made.to_stage_id == step.id);
            let mut fates = made.carried.iter().map(|it| it.from).chain(made.dropped.iter().map(|it| it.0)).collect::<Vec<_>>();
            fates.sort_unstable();
            let mut answered = answered;
            answered.sort_unstable();
            prop_assert_eq!(fates, answered);
            let entered = &two.stage(made.to_stage_id).unwrap().criteria;
            for carried in &made.carried {
                prop_assert!(rule != AnswerRule::Drop);
                prop_assert_eq!(entered.get(&carried.key), Some(&carried.to));
                prop_assert!(made.visit == Visit::Begun || carried.from == carried.to);
            }
        }
    }
}
