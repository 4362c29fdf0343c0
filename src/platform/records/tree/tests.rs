use super::{MOST_DEPTH, Mode, Terms, Tree, beginning, names, read};
use crate::crm::resources::{ACCOUNT, CONTACT};
use crate::kernel::ctx::{ActorKind, Company, Ctx};
use crate::kernel::permission::Grants;
use crate::platform::records::fields::{Field, Fields};
use crate::platform::records::sql::Sql;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

fn ctx() -> Ctx {
    let company = Company {
        name: "测试".to_owned(),
        currency: "CNY".to_owned(),
        time_zone: chrono_tz::Asia::Shanghai,
        is_phone_strict: false,
        grade_a_days: 30,
        grade_b_months: 6,
        is_sandbox: true,
        duplicates: Default::default(),
    };
    let now = "2024-03-15T17:00:00Z".parse().unwrap();
    Ctx::system(Arc::new(company), Uuid::nil(), ActorKind::System, now, now)
}

fn fields() -> Fields {
    let field = |key: &str, is_filterable, is_archived| Field {
        resource: "account".to_owned(),
        key: key.to_owned(),
        kind: "number".to_owned(),
        choices: None,
        is_filterable,
        is_archived,
        is_indexed: true,
    };
    Fields(vec![
        field("score", true, false),
        field("hidden", false, false),
        field("old", true, true),
    ])
}

fn faults_in(ctx: &Ctx, mode: Mode, tree: &Value) -> Vec<(String, &'static str)> {
    let fields = fields();
    let terms = Terms {
        ctx,
        fields: &fields,
        mode,
    };
    let mut faults = Vec::new();
    read(&terms, &ACCOUNT, tree, "/filter", &mut faults);
    faults
        .into_iter()
        .map(|fault| (fault.pointer, fault.code))
        .collect()
}

#[test]
fn every_fault_is_named_at_its_place() {
    let tree = json!({ "or": [
        { "member": "no_such", "eq": "x" },
        { "member": "annual_revenue", "gte": "1e3" },
        { "member": "grade", "in": ["a", "z"] },
        { "member": "name", "lt": "x" },
        { "member": "employees", "between": [1, "x"] },
        { "member": "custom.hidden", "is_empty": true },
        { "member": "custom.old", "is_empty": true },
        { "member": "owner.no_such", "eq": "x" },
        { "and": [] },
        { "member": "name" },
        { "member": "name", "eq": "x", "ne": "y" },
        { "not": { "member": "created_at", "lt": { "days_from_today": 99999 } } },
        { "member": "custom", "is_empty": true }
    ] });
    let found = faults_in(&ctx(), Mode::Asked, &tree);
    let expected = [
        ("/filter/or/0/member", "unknown_value"),
        ("/filter/or/1/gte", "wrong_form"),
        ("/filter/or/2/in/1", "unknown_value"),
        ("/filter/or/3/lt", "unknown_value"),
        ("/filter/or/4/between/1", "wrong_type"),
        ("/filter/or/5/member", "not_filterable"),
        ("/filter/or/6/member", "archived"),
        ("/filter/or/7/member", "unknown_value"),
        ("/filter/or/8/and", "too_short"),
        ("/filter/or/9", "invalid"),
        ("/filter/or/10", "invalid"),
        ("/filter/or/11/not/lt/days_from_today", "out_of_range"),
        ("/filter/or/12/member", "invalid"),
    ];
    let found = found
        .iter()
        .map(|(at, code)| (at.as_str(), *code))
        .collect::<Vec<_>>();
    assert_eq!(found, expected);
}

#[test]
fn what_was_saved_is_read_though_its_field_was_archived_since() {
    let tree =
        json!({ "and": [{ "member": "custom.old", "gt": "1" }, { "member": "custom.hidden", "gt": "1" }] });
    assert_eq!(faults_in(&ctx(), Mode::Saved, &tree), []);
}

#[test]
fn depth_and_size_are_bounded() {
    let leaf = json!({ "member": "name", "eq": "x" });
    let deep = |levels: usize| (1..levels).fold(leaf.clone(), |inner, _| json!({ "not": inner }));
    assert_eq!(faults_in(&ctx(), Mode::Asked, &deep(MOST_DEPTH)), []);
    assert_eq!(
        faults_in(&ctx(), Mode::Asked, &deep(MOST_DEPTH + 1))[0].1,
        "too_deep"
    );
    let wide = |count: usize| json!({ "or": vec![leaf.clone(); count] });
    assert_eq!(faults_in(&ctx(), Mode::Asked, &wide(99)), []);
    assert_eq!(
        faults_in(&ctx(), Mode::Asked, &wide(100)),
        [("/filter".to_owned(), "too_many")]
    );
}

#[test]
fn a_sensitive_member_is_tested_only_with_its_permission() {
    let mut ctx = ctx();
    let tree = json!({ "member": "personal_phone", "is_empty": false });
    let fields = Fields::default();
    let faults_of = |ctx: &Ctx| {
        let mut faults = Vec::new();
        let terms = Terms {
            ctx,
            fields: &fields,
            mode: Mode::Saved,
        };
        read(&terms, &CONTACT, &tree, "", &mut faults);
        faults.into_iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    assert_eq!(faults_of(&ctx), Vec::<&str>::new());
    let mut principal = (*ctx.principal).clone();
    principal.grants = Grants::new();
    ctx.principal = Arc::new(principal);
    assert_eq!(faults_of(&ctx), ["forbidden"]);
}

#[test]
fn no_text_of_the_caller_becomes_sql() {
    let ctx = ctx();
    let fields = fields();
    let terms = Terms {
        ctx: &ctx,
        fields: &fields,
        mode: Mode::Asked,
    };
    let evil = "x'); DROP TABLE accounts; --";
    let tree = json!({ "and": [
        { "member": "name", "contains": evil },
        { "member": "industry", "in": [evil, "y"] },
        { "not": { "member": "owner.name", "eq": evil } },
        { "member": "tags", "contains": evil }
    ] });
    let mut faults = Vec::new();
    let tree = read(&terms, &ACCOUNT, &tree, "", &mut faults);
    assert_eq!(faults, []);
    let mut sql = Sql::of(ctx.tenant);
    let condition = tree.condition(&mut sql, &ctx);
    assert!(!condition.contains("DROP"), "{condition}");
}

#[test]
fn an_empty_object_lets_everything_through_and_names_are_gathered() {
    let terms = Terms {
        ctx: &ctx(),
        fields: &fields(),
        mode: Mode::Asked,
    };
    let mut faults = Vec::new();
    let tree = read(&terms, &ACCOUNT, &json!({}), "", &mut faults);
    assert!(matches!(tree, Tree::All(parts) if parts.is_empty()));
    assert_eq!(faults, []);
    let tree = json!({ "not": { "or": [{ "member": "a", "eq": 1 }, { "and": [{ "member": "b.c" }] }] } });
    assert_eq!(names(&tree), ["a", "b.c"]);
}

#[test]
fn a_day_begins_where_the_company_is() {
    let ctx = ctx();
    // 17:00 in UTC is one o'clock of the next day in Shanghai.
    assert_eq!(ctx.today().to_string(), "2024-03-16");
    assert_eq!(
        beginning(&ctx, ctx.today()).to_rfc3339(),
        "2024-03-15T16:00:00+00:00"
    );
}
