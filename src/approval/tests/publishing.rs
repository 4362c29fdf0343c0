use super::*;
use crate::approval::publishing::{Known, Within, faults, reservations};
use rstest::rstest;

fn known() -> Known {
    Known {
        users: [LI, ZHAO, SUN].into(),
        roles: ["legal", "general_manager", "administrator"]
            .map(str::to_owned)
            .into(),
        staffed_roles: ["legal", "administrator"].map(str::to_owned).into(),
        teams: [COMPANY, SALES].into(),
        members: [
            ("amount", Within::Nothing),
            ("currency", Within::Nothing),
            ("account_id", Within::Nothing),
            ("lines", Within::Members(["quantity".to_owned()].into())),
            ("custom", Within::Members(["tier".to_owned()].into())),
            ("terms", Within::Anything),
        ]
        .map(|(name, within)| (name.to_owned(), within))
        .into(),
        vocabulary: vocabulary(),
    }
}

fn found(process: &ProcessDocument) -> Vec<(String, &'static str)> {
    faults(process, &known())
        .into_iter()
        .map(|fault| (fault.pointer, fault.code))
        .collect()
}

#[test]
fn the_shipped_process_can_be_published() {
    assert_eq!(found(&contract_approval()), []);
}

fn one(change: impl FnOnce(&mut ProcessStep)) -> ProcessDocument {
    let mut only = step("legal", 1, vec![role("legal")]);
    change(&mut only);
    process(vec![only])
}

#[rstest]
#[case::no_steps(process(vec![]), "/steps", "invalid")]
#[case::no_approvers(one(|step| step.approvers.clear()), "/steps/0/approvers", "invalid")]
#[case::no_person(one(|step| step.approvers = vec![users(&[])]), "/steps/0/approvers/0/user_ids", "invalid")]
#[case::unknown_person(one(|step| step.approvers = vec![users(&[LI, WU])]), "/steps/0/approvers/0/user_ids/1", "not_found")]
#[case::person_twice(one(|step| step.approvers = vec![users(&[LI, LI])]), "/steps/0/approvers/0/user_ids/1", "duplicate")]
#[case::unknown_role(one(|step| step.approvers = vec![role("pope")]), "/steps/0/approvers/0/role", "not_found")]
#[case::unknown_team(one(|step| step.approvers = vec![Approver::HeadOfTeam { team_id: LI }]), "/steps/0/approvers/0/team_id", "not_found")]
#[case::own_level(one(|step| step.approvers = vec![leader(0)]), "/steps/0/approvers/0/levels_up", "out_of_range")]
#[case::no_quorum(one(|step| step.mode = Mode::Quorum), "/steps/0/quorum", "required")]
#[case::quorum_of_none(one(|step| *step = quorum(0, step.clone())), "/steps/0/quorum", "out_of_range")]
#[case::quorum_in_any(one(|step| step.quorum = Some(1)), "/steps/0/quorum", "invalid")]
#[case::quorum_beyond(one(|s| *s = quorum(3, step("legal", 1, vec![users(&[LI, SUN]), users(&[SUN])]))), "/steps/0/quorum", "out_of_range")]
#[case::unknown_member(one(|step| step.condition = Some("price > 5".to_owned())), "/steps/0/condition", "unknown_member")]
#[case::no_condition(one(|step| step.condition = Some("amount".to_owned())), "/steps/0/condition", "not_a_condition")]
#[case::bad_key(one(|step| step.key = "Legal!".to_owned()), "/steps/0/key", "invalid")]
#[case::reserved_key(one(|step| step.key = "administrators".to_owned()), "/steps/0/key", "invalid")]
#[case::no_name(one(|step| step.name = " ".to_owned()), "/steps/0/name", "required")]
#[case::position(one(|step| step.position = 0), "/steps/0/position", "out_of_range")]
#[case::short_deadline(one(|step| step.deadline_seconds = Some(59)), "/steps/0/deadline_seconds", "out_of_range")]
#[case::reminder_alone(one(|step| step.reminder_seconds_before = Some(60)), "/steps/0/reminder_seconds_before", "invalid")]
#[case::reminder_too_early(one(|step| { step.deadline_seconds = Some(60); step.reminder_seconds_before = Some(60); }), "/steps/0/reminder_seconds_before", "out_of_range")]
#[case::two_deadlines(one(|step| { step.deadline_seconds = Some(60); step.deadline_working_days = Some(3); }), "/steps/0/deadline_working_days", "invalid")]
#[case::no_working_day(one(|step| step.deadline_working_days = Some(0)), "/steps/0/deadline_working_days", "out_of_range")]
#[case::too_many_minutes(one(|step| step.deadline_working_minutes = Some(525_601)), "/steps/0/deadline_working_minutes", "out_of_range")]
#[case::working_reminder_alone(one(|step| step.reminder_working_minutes_before = Some(60)), "/steps/0/reminder_working_minutes_before", "invalid")]
#[case::working_reminder_too_early(one(|step| { step.deadline_working_minutes = Some(60); step.reminder_working_minutes_before = Some(60); }), "/steps/0/reminder_working_minutes_before", "out_of_range")]
#[case::two_reminders(one(|step| { step.deadline_working_days = Some(1); step.reminder_seconds_before = Some(60); step.reminder_working_minutes_before = Some(60); }), "/steps/0/reminder_working_minutes_before", "invalid")]
#[case::escalation_alone(one(|step| step.escalation = Some(Escalation::Leader {})), "/steps/0/escalation", "invalid")]
#[case::escalation_to_nobody(one(|step| { step.deadline_seconds = Some(60); step.escalation = Some(Escalation::Role { role: "pope".to_owned() }); }), "/steps/0/escalation/role", "not_found")]
#[case::same_key(process(vec![step("legal", 1, vec![role("legal")]), step("legal", 2, vec![role("legal")])]), "/steps/1/key", "duplicate")]
fn a_faulty_process_cannot_be_published(
    #[case] process: ProcessDocument,
    #[case] pointer: &str,
    #[case] code: &'static str,
) {
    assert_eq!(found(&process), [(pointer.to_owned(), code)]);
}

#[rstest]
#[case::nothing(&[], "/content", "invalid")]
#[case::unknown(&["amount", "colour"], "/content/1", "not_found")]
#[case::malformed(&["lines..x"], "/content/0", "not_found")]
#[case::misspelt_within(&["lines.quantity", "terms.price.unit", "custom.tier", "lines.qantity"], "/content/3", "not_found")]
#[case::no_such_own_field(&["custom.zz"], "/content/0", "not_found")]
#[case::nothing_within(&["amount.x"], "/content/0", "not_found")]
#[case::too_deep(&["lines.quantity.x"], "/content/0", "not_found")]
#[case::twice(&["amount", "amount"], "/content/1", "duplicate")]
fn what_is_approved_must_be_named(
    #[case] content: &[&str],
    #[case] pointer: &str,
    #[case] code: &'static str,
) {
    let mut process = one(|_| {});
    process.content = content.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(found(&process), [(pointer.to_owned(), code)]);
}

#[rstest]
#[case::an_amount(&["amount"], &["amount", "currency"])]
#[case::prices(&["lines.quantity", "account_id"], &["lines.quantity", "account_id", "currency"])]
#[case::named_already(&["currency", "amount"], &["currency", "amount"])]
#[case::no_sum(&["account_id"], &["account_id"])]
fn whoever_approves_a_sum_approves_its_currency(#[case] named: &[&str], #[case] bound: &[&str]) {
    let mut process = one(|_| {});
    process.content = named.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(process.with_currency().content, bound);
}

#[test]
fn all_faults_are_told_at_once() {
    let mut process = process(vec![
        when("price > 5", step("legal", 1, vec![])),
        quorum(2, step("", 0, vec![leader(1)])),
    ]);
    process.key = "1".to_owned();
    process.content.clear();
    let pointers = found(&process)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect::<Vec<_>>();
    assert_eq!(
        pointers,
        [
            "/key",
            "/content",
            "/steps/0/approvers",
            "/steps/0/condition",
            "/steps/1/key",
            "/steps/1/name",
            "/steps/1/position",
            "/steps/1/quorum"
        ]
    );
}

#[rstest]
#[case::process(json!({ "colour": 1 }))]
#[case::approver(json!({ "steps": [{ "key": "a", "name": "A", "position": 1, "approvers": [{ "kind": "role", "role": "legal", "colour": 1 }] }] }))]
#[case::kind(json!({ "steps": [{ "key": "a", "name": "A", "position": 1, "approvers": [{ "kind": "oracle" }] }] }))]
#[case::escalation(json!({ "steps": [{ "key": "a", "name": "A", "position": 1, "approvers": [], "escalation": { "kind": "leader", "role": "legal" } }] }))]
fn unknown_members_are_refused(#[case] odd: Value) {
    let mut document = json!({ "key": "deal", "name": "Deal", "subject_kind": "opportunity", "steps": [] });
    assert!(serde_json::from_value::<ProcessDocument>(document.clone()).is_ok());
    let members = odd.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(members);
    assert!(serde_json::from_value::<ProcessDocument>(document).is_err());
}

#[test]
fn duties_are_separated_and_the_commercial_members_count_unless_the_document_says_otherwise() {
    let document = json!({ "key": "deal", "name": "Deal", "subject_kind": "opportunity", "steps": [] });
    let process = serde_json::from_value::<ProcessDocument>(document).unwrap();
    assert!(!process.may_requester_decide && !process.may_owner_decide);
    assert_eq!(process.content, ["amount", "currency", "account_id", "lines"]);
}

#[rstest]
#[case::lead("lead", "company")]
#[case::result_sheet("result_sheet", "terms")]
fn what_is_not_said_to_be_approved_follows_from_what_is_decided_on(#[case] kind: &str, #[case] member: &str) {
    let document = json!({ "key": "k", "name": "K", "subject_kind": kind, "steps": [] });
    let process = serde_json::from_value::<ProcessDocument>(document.clone()).unwrap();
    assert!(process.content.iter().any(|path| path == member));
    let mut said = document;
    said["content"] = json!([]);
    let process = serde_json::from_value::<ProcessDocument>(said).unwrap();
    assert!(process.content.is_empty());
}

#[test]
fn what_is_doubtful_of_a_process_is_told_without_keeping_it_back() {
    let mut first = step("first", 1, vec![role("legal"), role("general_manager")]);
    first.condition = Some("amount > 5 && kind == \"new\"".to_owned());
    first.deadline_seconds = Some(60);
    first.escalation = Some(Escalation::Role {
        role: "general_manager".to_owned(),
    });
    let process = process(vec![first]);
    assert_eq!(found(&process), []);
    let told = reservations(&process, &known());
    let told = told.iter().map(|it| (it.pointer.as_str(), it.code));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("/steps/0/approvers/1/role", "nobody"),
            ("/steps/0/escalation/role", "nobody"),
            ("/steps/0/condition", "not_covered")
        ]
    );
}

#[test]
fn a_document_is_written_as_it_is_read() {
    let process = contract_approval();
    let written = serde_json::to_value(&process).unwrap();
    assert_eq!(
        serde_json::from_value::<ProcessDocument>(written).unwrap(),
        process
    );
}

#[test]
fn the_schema_takes_and_refuses_what_the_reading_does() {
    use utoipa::{PartialSchema, ToSchema};
    let mut components = Vec::new();
    ProcessDocument::schemas(&mut components);
    let components = components
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap()))
        .collect::<serde_json::Map<_, _>>();
    let mut schema = serde_json::to_value(ProcessDocument::schema()).unwrap();
    schema["components"] = json!({ "schemas": components });
    let validator = jsonschema::validator_for(&schema).unwrap();
    let shipped = serde_json::to_value(contract_approval()).unwrap();
    assert!(validator.is_valid(&shipped));
    for (place, odd) in [
        ("/steps/0/approvers/0", json!({ "kind": "oracle" })),
        ("/steps/0/approvers/0", json!({ "kind": "role" })),
        (
            "/steps/0/approvers/0",
            json!({ "kind": "role", "role": "legal", "levels_up": 1 }),
        ),
        (
            "/steps/0/escalation",
            json!({ "kind": "leader", "role": "legal" }),
        ),
        ("/steps/0/mode", json!("most")),
        ("/subject_kind", json!("moon")),
    ] {
        let mut document = shipped.clone();
        *document.pointer_mut(place).unwrap() = odd;
        assert!(!validator.is_valid(&document), "{document}");
        assert!(serde_json::from_value::<ProcessDocument>(document).is_err());
    }
}
