//! Tables that read like rooms 4 and 5 of the domain.

use super::*;
use crate::kernel::text::Lang;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

const DEAL: Uuid = Uuid::from_u128(1);
const ACCOUNT: Uuid = Uuid::from_u128(2);
const REQUEST: Uuid = Uuid::from_u128(3);
const RECORD: &str = "00000000-0000-0000-0000-000000000009";

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn known() -> Known {
    let custom = Vocabulary::new().with("budget_confirmed", Kind::Bool);
    Known::new(
        &crate::opportunity::SUBJECTS,
        custom,
        Vocabulary::new(),
        ["p".to_owned()],
    )
}

fn gate(node: Value) -> Gate {
    let stage = json!({ "key": "a", "name": "a", "probability": "0.5", "gate": node });
    Gate::compile(&serde_json::from_value(stage).unwrap(), &known()).unwrap()
}

fn standing() -> Standing {
    let mut standing = Standing::new(DEAL, at("2024-03-05T00:00:00Z"));
    standing.account_id = Some(ACCOUNT);
    standing.facts = json!({
        "amount": "220000.00", "currency": "CNY", "expected_close_on": null, "is_as_is_purchase": false,
        "account": { "industry": null, "employees": 200 }, "custom": { "budget_confirmed": null },
        "today": "2024-03-12", "now": "2024-03-12T08:00:00Z",
    });
    standing
}

fn answered(mut standing: Standing, key: &str, answer: Value, note: Option<&str>) -> Standing {
    let by = Person {
        id: Uuid::from_u128(7),
        name: "李雷".to_owned(),
    };
    standing.answers.insert(
        key.to_owned(),
        Answer {
            answer,
            note: note.map(str::to_owned),
            by: Some(by),
            at: at("2024-03-06T01:00:00Z"),
        },
    );
    standing
}

fn with_approval(mut standing: Standing, key: &str, state: ApprovalState) -> Standing {
    let has_request = state != ApprovalState::NotAsked;
    standing.approvals.insert(
        key.to_owned(),
        Approval {
            state,
            request_id: has_request.then_some(REQUEST),
            waiting_for: Vec::new(),
        },
    );
    standing
}

fn check(key: &str) -> Value {
    json!({ "kind": "check", "key": key, "label": key })
}

fn optional(key: &str) -> Value {
    json!({ "kind": "check", "key": key, "label": key, "is_required": false })
}

fn approval(key: &str) -> Value {
    json!({ "kind": "approval", "key": key, "label": key, "process": "p" })
}

fn all(of: &[Value]) -> Value {
    json!({ "kind": "all", "of": of })
}

fn any_of(of: &[Value]) -> Value {
    json!({ "kind": "any", "of": of })
}

fn field(expression: &str) -> Value {
    json!({ "kind": "field", "key": "f", "label": "f", "expression": expression })
}

fn only(to_ask: &[&str], pending: &[&str]) -> GateState {
    let owned = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
    GateState::OnlyApprovalMissing {
        to_ask: owned(to_ask),
        pending: owned(pending),
    }
}

fn root(node: Value, standing: &Standing) -> Finding {
    *gate(node).evaluate(standing).root.unwrap()
}

#[test]
fn a_stage_without_criteria_is_left_by_the_salespersons_own_judgement() {
    let stage = json!({ "key": "a", "name": "a", "probability": "0.5" });
    let gate = Gate::compile(&serde_json::from_value(stage).unwrap(), &known()).unwrap();
    assert!(gate.is_empty());
    assert!(gate.evaluate(&standing()).is_open());
    assert_eq!(*gate.needs(), Needs::default());
}

#[rstest]
#[case::every_required_one_must_hold(all(&[check("a"), check("b")]), &["a"], false)]
#[case::every_required_one_holds(all(&[check("a"), check("b")]), &["a", "b"], true)]
#[case::one_alternative_suffices(any_of(&[check("a"), check("b")]), &["b"], true)]
#[case::no_alternative_holds(any_of(&[check("a"), check("b")]), &[], false)]
#[case::two_of_three(json!({"kind": "at_least", "count": 2, "of": [check("a"), check("b"), check("c")]}), &["a", "c"], true)]
#[case::one_of_three_is_too_few(json!({"kind": "at_least", "count": 2, "of": [check("a"), check("b"), check("c")]}), &["c"], false)]
#[case::an_optional_one_never_blocks(all(&[check("a"), optional("b")]), &["a"], true)]
#[case::an_optional_one_alone_never_blocks(optional("a"), &[], true)]
#[case::an_optional_one_satisfies_no_choice(any_of(&[check("a"), optional("b")]), &["b"], false)]
#[case::a_group_of_optional_ones_satisfies_no_choice(any_of(&[check("a"), all(&[optional("b")])]), &["b"], false)]
#[case::groups_nest(all(&[check("a"), any_of(&[check("b"), all(&[check("c"), check("d")])])]), &["a", "c", "d"], true)]
fn the_gate_is_an_and_or_tree(#[case] node: Value, #[case] ticked: &[&str], #[case] is_open: bool) {
    let standing = ticked
        .iter()
        .fold(standing(), |it, key| answered(it, key, json!(true), None));
    assert_eq!(gate(node).evaluate(&standing).is_open(), is_open);
}

#[test]
fn a_tick_taken_back_or_without_its_note_does_not_count() {
    let noted = json!({ "kind": "check", "key": "a", "label": "a", "needs_note": true });
    let tick = |answer: bool, note| answered(standing(), "a", json!(answer), note);
    assert_eq!(root(noted.clone(), &tick(true, None)).state, State::Unmet);
    assert_eq!(
        root(noted.clone(), &tick(true, Some("电话确认"))).state,
        State::Met
    );
    assert_eq!(root(noted, &tick(false, Some("x"))).state, State::Unmet);
}

#[rstest]
#[case(None, json!(false), State::Met)]
#[case(None, json!("perhaps"), State::Unmet)]
#[case(Some(json!({"kind": "values", "of": [false]})), json!(false), State::Met)]
#[case(Some(json!({"kind": "values", "of": [true]})), json!(false), State::Unmet)]
fn a_question_is_met_by_any_valid_answer_unless_it_says_which(
    #[case] accept: Option<Value>,
    #[case] answer: Value,
    #[case] state: State,
) {
    let mut node = json!({ "kind": "question", "key": "q", "label": "q", "answer": { "type": "bool" } });
    if let Some(accept) = accept {
        node["accept"] = accept;
    }
    assert_eq!(root(node.clone(), &standing()).state, State::Unknown);
    assert_eq!(root(node, &answered(standing(), "q", answer, None)).state, state);
}

#[rstest]
#[case::holds("amount >= 200000", State::Met, &[])]
#[case::does_not("amount >= 500000", State::Unmet, &[])]
#[case::not_yet_known("expected_close_on > today", State::Unknown, &["expected_close_on"])]
#[case::the_accounts("account.industry == \"制造业\"", State::Unknown, &["account.industry"])]
#[case::custom("custom.budget_confirmed", State::Unknown, &["custom.budget_confirmed"])]
#[case::decided_without_what_is_missing("amount > 1 || account.industry == \"x\"", State::Met, &[])]
#[case::cannot_be_computed("amount / 0 > 1", State::Unknown, &[])]
fn a_field_criterion_is_computed_from_the_data(
    #[case] expression: &str,
    #[case] state: State,
    #[case] absent: &[&str],
) {
    let finding = root(field(expression), &standing());
    assert_eq!(finding.state, state);
    let Some(Evidence::Field { missing, .. }) = finding.evidence else {
        panic!("a field criterion shows what it read");
    };
    assert_eq!(missing, absent);
    assert_eq!(finding.reason.is_none(), state == State::Met);
}

#[test]
fn a_condition_whose_custom_field_has_gone_is_never_known_to_hold_and_says_so() {
    let finding = root(field("custom.gone > 1"), &standing());
    assert_eq!(finding.state, State::Unknown);
    assert!(finding.reason.unwrap().en.contains("no longer"));
}

fn chain(role: &str, influence: &str) -> Value {
    json!({ "id": RECORD, "role": role, "influence": influence, "created_at": "2024-03-04T23:59:59Z" })
}

#[rstest]
#[case::a_decision_maker_with_influence(json!({"where": "role == \"decision_maker\" && influence >= 0.5"}), State::Met)]
#[case::with_more_than_anyone_has(json!({"where": "influence > 0.6"}), State::Unmet)]
#[case::three_are_there(json!({"at_least": 3}), State::Met)]
#[case::four_are_not(json!({"at_least": 4}), State::Unmet)]
#[case::none_since_the_stage_was_entered(json!({"since_entry": true}), State::Unmet)]
#[case::each_has_some_influence(json!({"every": "influence > 0"}), State::Met)]
#[case::not_each_decides(json!({"every": "role == \"decision_maker\""}), State::Unmet)]
#[case::each_user_at_most_a_tenth(json!({"where": "role == \"user\"", "every": "influence <= 0.1"}), State::Met)]
#[case::what_is_not_recorded_is_not_known(json!({"where": "stance == \"supporter\""}), State::Unknown)]
#[case::nor_whether_each_fulfils_it(json!({"every": "stance == \"supporter\""}), State::Unknown)]
fn a_record_criterion_counts_what_is_recorded(#[case] members: Value, #[case] state: State) {
    let mut node = json!({ "kind": "record", "key": "r", "label": "r", "of": "decision_chain_member" });
    for (name, value) in members.as_object().unwrap() {
        node[name] = value.clone();
    }
    let mut standing = standing();
    let members = [
        chain("decision_maker", "0.6000"),
        chain("procurement", "0.3000"),
        chain("user", "0.1000"),
    ];
    standing
        .records
        .insert("decision_chain_member".to_owned(), members.to_vec());
    assert_eq!(root(node, &standing).state, state);
}

#[test]
fn records_count_from_the_instant_of_entry_and_archived_ones_never() {
    let node = json!({ "kind": "record", "key": "r", "label": "r", "of": "line", "since_entry": true });
    let state = |record: Value| {
        let mut standing = standing();
        standing.records.insert("line".to_owned(), vec![record]);
        root(node.clone(), &standing).state
    };
    let made = |at: &str| json!({ "id": RECORD, "created_at": at });
    assert_eq!(state(made("2024-03-05T00:00:00Z")), State::Met);
    assert_eq!(state(made("2024-03-05T08:00:00+08:00")), State::Met);
    assert_eq!(state(made("2024-03-04T23:59:59Z")), State::Unmet);
    let mut archived = made("2024-03-06T00:00:00Z");
    archived["archived_at"] = json!("2024-03-07T00:00:00Z");
    assert_eq!(state(archived), State::Unmet);
}

#[test]
fn if_there_are_objections_each_must_be_resolved() {
    let node = json!({ "kind": "record", "key": "r", "label": "r", "of": "objection", "at_least": 0, "every": "resolved_on != null" });
    let state = |records: Value| {
        let mut standing = standing();
        let records = records.as_array().unwrap().clone();
        standing.records.insert("objection".to_owned(), records);
        root(node.clone(), &standing).state
    };
    assert_eq!(state(json!([])), State::Met);
    assert_eq!(state(json!([{ "resolved_on": "2024-03-12" }])), State::Met);
    assert_eq!(
        state(json!([{ "resolved_on": "2024-03-12" }, { "resolved_on": null }])),
        State::Unmet
    );
}

#[test]
fn a_condition_over_records_may_read_the_time() {
    let node = json!({ "kind": "record", "key": "r", "label": "r", "of": "objection", "where": "resolve_by < today" });
    let mut standing = standing();
    let late = vec![json!({ "id": RECORD, "resolve_by": "2024-03-11" })];
    standing.records.insert("objection".to_owned(), late);
    assert_eq!(root(node, &standing).state, State::Met);
}

#[rstest]
#[case(ApprovalState::NotAsked, only(&["a"], &[]))]
#[case(ApprovalState::Pending, only(&[], &["a"]))]
#[case(ApprovalState::Approved, GateState::Open)]
#[case::a_no_is_asked_again_by_a_person_only(ApprovalState::Rejected, GateState::Closed)]
#[case(ApprovalState::Returned, only(&["a"], &[]))]
#[case(ApprovalState::Withdrawn, only(&["a"], &[]))]
#[case::what_changed_since_is_asked_again(ApprovalState::Lapsed, only(&["a"], &[]))]
fn an_approval_gated_stage_is_left_when_its_process_ended_approved(
    #[case] state: ApprovalState,
    #[case] expected: GateState,
) {
    let verdict = gate(approval("a")).evaluate(&with_approval(standing(), "a", state));
    assert_eq!(verdict.state, expected);
}

#[test]
fn only_approvals_are_missing_when_everything_else_holds() {
    let node = all(&[check("c"), approval("a")]);
    assert_eq!(gate(node.clone()).evaluate(&standing()).state, GateState::Closed);
    let ready = answered(standing(), "c", json!(true), None);
    assert_eq!(gate(node).evaluate(&ready).state, only(&["a"], &[]));
}

#[test]
fn of_alternatives_the_one_that_needs_the_fewest_new_requests_is_asked_for() {
    let node = any_of(&[all(&[approval("a"), approval("b")]), approval("c")]);
    assert_eq!(gate(node.clone()).evaluate(&standing()).state, only(&["c"], &[]));
    let running = with_approval(standing(), "a", ApprovalState::Pending);
    let running = with_approval(running, "b", ApprovalState::Pending);
    assert_eq!(gate(node).evaluate(&running).state, only(&[], &["a", "b"]));
}

#[rstest]
#[case::a_tick(check("c"), "PUT", format!("/v1/opportunities/{DEAL}/criteria/c"), json!({"answer": true}), "opportunity.write")]
#[case::an_answer_that_satisfies(
    json!({"kind": "question", "key": "q", "label": "q", "answer": {"type": "bool"}, "accept": {"kind": "values", "of": [false]}}),
    "PUT", format!("/v1/opportunities/{DEAL}/criteria/q"), json!({"answer": false}), "opportunity.write"
)]
#[case::the_deals_own_member(field("expected_close_on > today"), "PATCH", format!("/v1/opportunities/{DEAL}"), json!({"expected_close_on": "2024-04-11"}), "opportunity.write")]
#[case::a_custom_field(field("custom.budget_confirmed"), "PATCH", format!("/v1/opportunities/{DEAL}"), json!({"custom": {"budget_confirmed": true}}), "opportunity.write")]
#[case::the_accounts_member(field("amount > 1 && account.industry == \"x\""), "PATCH", format!("/v1/accounts/{ACCOUNT}"), json!({"industry": "x"}), "account.write")]
#[case::a_new_record(
    json!({"kind": "record", "key": "r", "label": "r", "of": "need_analysis", "where": "confirmation_sent_at != null"}),
    "POST", format!("/v1/opportunities/{DEAL}/need-analyses"),
    json!({"held_at": "2024-03-12T08:00:00Z", "explicit_needs": "…", "confirmation_sent_at": "2024-03-12T08:00:00Z"}), "opportunity.write"
)]
#[case::the_record_that_fails(
    json!({"kind": "record", "key": "r", "label": "r", "of": "solution_checklist_item", "every": "is_done"}),
    "PATCH", format!("/v1/opportunities/{DEAL}/solution-checklist-items/{RECORD}"), json!({"is_done": true}), "opportunity.write"
)]
#[case::an_approval_to_ask_for(approval("a"), "POST", format!("/v1/opportunities/{DEAL}/approvals"), json!({"criterion": "a"}), "approval.request")]
fn what_is_not_met_names_who_may_act_and_the_call_that_helps(
    #[case] node: Value,
    #[case] method: &str,
    #[case] path: String,
    #[case] body: Value,
    #[case] permission: &'static str,
) {
    let mut standing = standing();
    let item = vec![json!({ "id": RECORD, "is_done": false })];
    standing
        .records
        .insert("solution_checklist_item".to_owned(), item);
    let finding = root(node, &standing);
    let call = finding.call.unwrap();
    assert_eq!((call.method, call.path, call.body), (method, path, body));
    assert_eq!(finding.who, Some(Who::Permission(permission)));
}

#[test]
fn a_pending_approval_names_its_approvers_and_the_call_to_approve() {
    let mut standing = with_approval(standing(), "a", ApprovalState::Pending);
    let manager = Person {
        id: Uuid::from_u128(8),
        name: "赵经理".to_owned(),
    };
    standing.approvals.get_mut("a").unwrap().waiting_for = vec![manager.clone()];
    let finding = root(approval("a"), &standing);
    assert_eq!(finding.who, Some(Who::Approvers(vec![manager])));
    assert_eq!(
        finding.call.unwrap().path,
        format!("/v1/approval-requests/{REQUEST}/approve")
    );
}

#[test]
fn what_blocks_is_told_and_what_a_met_alternative_makes_needless_is_not() {
    let node = all(&[any_of(&[check("a"), check("b")]), check("c"), optional("d")]);
    let verdict = gate(node).evaluate(&answered(standing(), "b", json!(true), None));
    let keys = verdict.blocking().into_iter().map(|it| it.key.clone());
    assert_eq!(keys.collect::<Vec<_>>(), ["c"]);
    assert_eq!(verdict.criterion("b").unwrap().state, State::Met);
}

#[test]
fn a_gate_says_what_must_be_loaded() {
    let needs = gate(all(&[
        check("c"),
        field("account.industry != null && amount > 1"),
        json!({ "kind": "record", "key": "r", "label": "r", "of": "line" }),
        approval("a"),
    ]));
    let needs = needs.needs();
    assert!(needs.answers && needs.reads_account);
    assert_eq!(needs.records.iter().collect::<Vec<_>>(), ["line"]);
    assert_eq!(needs.approvals["a"], "p");
    assert!(!gate(field("amount > 1")).needs().reads_account);
}

#[test]
fn the_answer_is_in_one_language_and_the_stored_evidence_in_none() {
    let node = all(&[check("c"), field("expected_close_on > today && amount > 1")]);
    let verdict = gate(node).evaluate(&answered(standing(), "c", json!(true), Some("已确认")));
    let (en, zh) = (verdict.to_json(Lang::En), verdict.to_json(Lang::Zh));
    assert_eq!(en["state"], "closed");
    assert_eq!(
        en["tree"]["of"][1]["reason"],
        "Not yet known: expected_close_on is empty"
    );
    assert_eq!(zh["tree"]["of"][1]["reason"], "尚不确定：expected_close_on 为空");
    assert_eq!(en["tree"]["of"][0]["evidence"]["by"]["name"], "李雷");
    assert_eq!(
        verdict.to_evidence(),
        json!({
            "state": "closed",
            "tree": { "kind": "all", "state": "unknown", "of": [
                { "kind": "check", "state": "met", "key": "c", "evidence": {
                    "answer": true, "note": "已确认", "at": "2024-03-06T01:00:00Z",
                    "by": { "id": Uuid::from_u128(7), "name": "李雷" },
                } },
                { "kind": "field", "state": "unknown", "key": "f", "evidence": {
                    "expression": "expected_close_on > today && amount > 1",
                    "values": { "amount": "220000.00", "today": "2024-03-12" },
                    "missing": ["expected_close_on"],
                } },
            ] },
        })
    );
}

#[test]
fn gates_are_shared_between_threads() {
    fn shared<T: Clone + Send + Sync>() {}
    shared::<Gate>();
}

/// Any tree over the ticks c0–c5 and the approvals a0–a2, some of them optional; keys may repeat.
fn trees() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0..6u8, any::<bool>()).prop_map(|(index, is_required)| json!({
            "kind": "check", "key": format!("c{index}"), "label": "c", "is_required": is_required
        })),
        (0..3u8, any::<bool>()).prop_map(|(index, is_required)| json!({
            "kind": "approval", "key": format!("a{index}"), "label": "a", "process": "p", "is_required": is_required
        })),
        Just(field("amount > 100000")),
        Just(field("expected_close_on > today")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let of = || proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            of().prop_map(|of| all(&of)),
            of().prop_map(|of| any_of(&of)),
            (0..4u32, of()).prop_map(|(count, of)| json!({ "kind": "at_least", "count": count, "of": of })),
        ]
    })
}

fn states() -> impl Strategy<Value = ApprovalState> {
    prop_oneof![
        Just(ApprovalState::NotAsked),
        Just(ApprovalState::Pending),
        Just(ApprovalState::Approved),
        Just(ApprovalState::Rejected),
        Just(ApprovalState::Returned),
        Just(ApprovalState::Withdrawn),
        Just(ApprovalState::Lapsed),
    ]
}

fn standings() -> impl Strategy<Value = Standing> {
    let ticks = proptest::collection::btree_set(0..6u8, 0..6);
    let approvals = proptest::collection::btree_map(0..3u8, states(), 0..3);
    (ticks, approvals).prop_map(|(ticks, approvals)| {
        let ticked = ticks.into_iter().fold(standing(), |it, index| {
            answered(it, &format!("c{index}"), json!(true), None)
        });
        approvals.into_iter().fold(ticked, |it, (index, state)| {
            with_approval(it, &format!("a{index}"), state)
        })
    })
}

fn rank(state: &GateState) -> u8 {
    match state {
        GateState::Closed => 0,
        GateState::OnlyApprovalMissing { .. } => 1,
        GateState::Open => 2,
    }
}

proptest! {
    #[test]
    fn answering_or_approving_more_never_closes_a_gate(tree in trees(), before in standings(), more in standings()) {
        let gate = gate(tree);
        let mut after = before.clone();
        after.answers.extend(more.answers.clone());
        for (key, approval) in &more.approvals {
            if approval.state == ApprovalState::Approved {
                after.approvals.insert(key.clone(), approval.clone());
            }
        }
        prop_assert!(rank(&gate.evaluate(&before).state) <= rank(&gate.evaluate(&after).state));
    }

    #[test]
    fn a_gate_is_open_if_and_only_if_no_required_criterion_is_in_the_way(tree in trees(), standing in standings()) {
        let verdict = gate(tree).evaluate(&standing);
        let has_empty_choice = verdict.root.as_deref().is_some_and(cannot_hold);
        if !has_empty_choice {
            prop_assert_eq!(verdict.is_open(), verdict.blocking().is_empty());
        }
    }

    #[test]
    fn granting_exactly_the_approvals_that_are_missing_opens_the_gate(tree in trees(), standing in standings()) {
        let gate = gate(tree);
        if let GateState::OnlyApprovalMissing { to_ask, pending } = gate.evaluate(&standing).state {
            prop_assert!(!to_ask.is_empty() || !pending.is_empty());
            let granted = to_ask.iter().chain(&pending).fold(standing, |it, key| with_approval(it, key, ApprovalState::Approved));
            prop_assert!(gate.evaluate(&granted).is_open());
        }
    }

    #[test]
    fn whatever_the_facts_and_answers_evaluation_does_not_panic(tree in trees(), facts in any_json(), answer in any_json(), record in any_json()) {
        let both = all(&[tree, json!({ "kind": "record", "key": "r", "label": "r", "of": "line", "where": "quantity > 1 && today != null", "every": "discount < 0.5", "since_entry": true })]);
        let mut standing = answered(standing(), "c0", answer, None);
        standing.facts = facts;
        standing.records.insert("line".to_owned(), vec![record]);
        let verdict = gate(both).evaluate(&standing);
        let _ = (verdict.to_json(Lang::Zh), verdict.to_evidence());
    }
}

/// A choice of more than it offers: no document with one can be published.
fn cannot_hold(finding: &Finding) -> bool {
    let counting = finding.of.iter().filter(|child| child.is_required).count();
    let asks_too_much = counting > 0 && finding.count.is_some_and(|count| count as usize > counting);
    asks_too_much || finding.of.iter().any(cannot_hold)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[0-9a-z:. -]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let names = "amount|account|custom|today|now|quantity|created_at|id|expected_close_on|discount";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(names, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn what_is_answered_is_what_the_published_schema_describes() {
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(GateView)))]
    struct Published;
    let document = serde_json::to_value(<Published as utoipa::OpenApi>::openapi()).unwrap();
    let schema = crate::platform::contract::compile(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/components/schemas/GateView",
        "components": document["components"],
    }))
    .unwrap();
    let node = all(&[
        check("c"),
        json!({ "kind": "at_least", "count": 1, "of": [field("custom.gone > 1")] }),
        field("expected_close_on > today"),
        json!({ "kind": "record", "key": "r", "label": "r", "of": "line" }),
        approval("a"),
    ]);
    let standing = answered(standing(), "c", json!(true), None);
    let answer = gate(node).evaluate(&standing).to_json(Lang::En);
    let faults = schema.iter_errors(&answer).collect::<Vec<_>>();
    assert!(faults.is_empty(), "{faults:?}");
}

fn line_criterion(every: &str) -> Value {
    json!({ "kind": "record", "key": "r", "label": "r", "of": "line", "every": every })
}

#[test]
fn a_record_that_breaks_the_condition_is_never_proposed_again() {
    let mut standing = standing();
    let line =
        json!({ "id": RECORD, "name": "x", "discount": "0.6000", "created_at": "2024-03-05T00:00:00Z" });
    standing.records.insert("line".to_owned(), vec![line]);
    let call = root(line_criterion("discount < 0.5"), &standing).call.unwrap();
    assert_eq!((call.method, call.body), ("PATCH", json!({ "discount": "0.25" })));
    let finding = root(line_criterion("discount < 0.5 && discount > 0.7"), &standing);
    assert_eq!(finding.call, None, "no value fulfils it");
    assert!(
        finding
            .reason
            .unwrap()
            .en
            .contains("discount < 0.5 && discount > 0.7")
    );
}

/// The body of the call for one more record, of which there are these.
fn one_more(criterion: Value, kind: &str, there: Value) -> Value {
    let mut standing = standing();
    let there = there.as_array().cloned().unwrap_or_default();
    standing.records.insert(kind.to_owned(), there);
    root(criterion, &standing).call.unwrap().body
}

#[test]
fn the_call_for_one_more_member_of_the_chain_leaves_room_for_others() {
    let three =
        json!({"kind": "record", "key": "r", "label": "r", "of": "decision_chain_member", "at_least": 3});
    let influence =
        |there: Value| one_more(three.clone(), "decision_chain_member", there)["influence"].clone();
    assert_eq!(influence(json!([])), "0.6000");
    assert_eq!(influence(json!([{ "influence": "0.6000" }])), "0.2000");
    assert_eq!(
        influence(json!([{ "influence": "0.6000" }, { "influence": "0.2001" }])),
        "0.0999"
    );
}

#[test]
fn a_lines_amount_is_had_by_its_price() {
    let body = root(line_criterion("amount >= 1000"), &standing())
        .call
        .unwrap()
        .body;
    assert_eq!(
        body,
        json!({ "name": "…", "quantity": "1", "unit_price": "1000.00" })
    );
}

#[test]
fn what_is_open_is_answered_with_one_of_the_answers_that_there_are() {
    let answered = json!({"kind": "record", "key": "r", "label": "r", "of": "change_request", "at_least": 0, "every": "state != \"open\""});
    let open = json!([{ "id": RECORD, "state": "open" }]);
    assert_eq!(
        one_more(answered, "change_request", open),
        json!({ "state": "accepted" })
    );
    let refused = json!({"kind": "record", "key": "r", "label": "r", "of": "change_request", "where": "state == \"refused\""});
    let body = one_more(refused, "change_request", json!([]));
    assert_eq!(
        (&body["state"], &body["explanation"]),
        (&json!("refused"), &json!("…"))
    );
}

#[test]
fn a_record_that_cannot_be_told_leaves_the_member_out_of_the_example() {
    let finding = root(line_criterion("quantity * unit_price > 5"), &standing());
    assert_eq!(finding.call.unwrap().body, json!({ "name": "…" }));
    let reason = finding.reason.unwrap();
    assert!(reason.zh.starts_with("需要 1 条产品明细"), "{}", reason.zh);
}

#[test]
fn an_amount_in_another_currency_is_read_in_the_companys() {
    let foreign = |converted: Option<&str>| {
        let amount = ForeignAmount {
            amount: "50000.00".to_owned(),
            currency: "USD".to_owned(),
            company_currency: "CNY".to_owned(),
            converted: converted.map(str::to_owned),
        };
        let mut standing = standing();
        standing.facts["amount"] = amount.as_fact();
        standing.foreign = Some(amount);
        standing
    };
    let limit = || field("amount <= 100000");
    let dear = root(limit(), &foreign(Some("355000.00")));
    assert_eq!((dear.state, dear.call), (State::Unmet, None));
    let untold = root(limit(), &foreign(None));
    assert_eq!(untold.state, State::Unknown);
    assert!(
        untold
            .reason
            .unwrap()
            .en
            .contains("exchange rate of USD into CNY")
    );
    assert_eq!(untold.call.unwrap().path, "/v1/exchange-rates");
    assert_eq!(
        root(field("amount != null"), &foreign(None)).state,
        State::Met,
        "it is there"
    );
}

#[test]
fn obstacles_are_counted_as_people_count() {
    let found = |node: Value| {
        let verdict = gate(node).evaluate(&standing());
        verdict
            .obstacles()
            .into_iter()
            .map(|it| it.en)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(check("a")), ["a"]);
    assert_eq!(found(all(&[check("a"), check("b")])), ["a", "b"]);
    assert_eq!(
        found(all(&[check("a"), any_of(&[check("b"), check("c")])])),
        ["a", "b or c"]
    );
}

proptest! {
    /// Whatever plain comparisons a condition is made of: what is proposed fulfils it.
    #[test]
    fn what_is_proposed_fulfils_the_condition(
        parts in proptest::collection::vec((0usize..5, 0usize..6, -3i64..4, 0u32..2), 1..5),
        amount in proptest::option::of(-3i64..4),
    ) {
        let operators = ["==", "!=", "<", "<=", ">", ">="];
        let part = |&(member, how, number, scale): &(usize, usize, i64, u32)| {
            let decimal = rust_decimal::Decimal::new(number * 5, scale);
            let (name, literal) = match member {
                0 => ("amount", decimal.to_string()),
                1 => ("account.employees", number.to_string()),
                2 => ("account.industry", format!("\"t{number}\"")),
                3 => ("expected_close_on", format!("day(\"2024-03-{:02}\")", number + 10)),
                _ => ("probability", decimal.to_string()),
            };
            format!("{name} {} {literal}", operators[how])
        };
        let source = parts.iter().map(part).collect::<Vec<_>>().join(" && ");
        let condition = super::Condition::new(&source, &known().opportunity).unwrap();
        let mut facts = standing().facts;
        facts["amount"] = json!(amount.map(|amount| format!("{amount}.00")));
        if let Some(proposed) = super::proposal::proposal(&[&condition], &facts, |path| path != "probability") {
            for (path, value) in proposed {
                match path.strip_prefix("account.") {
                    Some(name) => facts["account"][name] = value,
                    None => facts[&path] = value,
                }
            }
            let expression = condition.compiled.as_ref().unwrap();
            prop_assert_eq!(expression.evaluate(&facts), crate::kernel::expression::Truth::Met, "{}", source);
        }
    }
}
