//! Whatever is wrong with what was sent is told at once: by its form, by what it refers to, by the company's own fields.

use crate::support::app::{Answer, account, company};
use crate::support::make_crm::lead;
use crate::support::make_deals::{deal_in, moves, path, plain};
use crate::support::make_pipelines::published;
use crate::support::make_transfers::{CSV, errors, import};
use serde_json::json;
use uuid::Uuid;

/// The faults of an answer with what they say, in English.
fn told(answer: &Answer) -> Vec<(&str, &str)> {
    let errors = answer.body["errors"].as_array().unwrap().iter();
    let mut told = errors
        .map(|error| {
            (
                error["pointer"].as_str().unwrap(),
                error["message"].as_str().unwrap(),
            )
        })
        .collect::<Vec<_>>();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn faults_of_form_of_references_and_of_own_fields_come_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let known = format!("/v1/accounts/{}", account(admin, "科技").await);
    for (key, kind, is_required) in [("city", "text", true), ("limit", "money", false)] {
        let field = json!({ "resource": "account", "key": key, "label": "x", "kind": kind, "is_required": is_required });
        admin.post("/v1/field-definitions", field).await.expect(201);
    }
    let nobody = Uuid::now_v7();
    let custom = json!({ "cty": "上海", "Wrong key": "x", "limit": 7 });
    let new = json!({ "nme": "x", "employees": -1, "owner_id": nobody, "custom": custom });
    let faults = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned()));
        pairs.collect::<Vec<_>>()
    };
    let refused = admin.post("/v1/accounts", new).await;
    let expected = faults(&[
        ("/custom/Wrong key", "unknown_field"),
        ("/custom/city", "required"),
        ("/custom/cty", "unknown_field"),
        ("/custom/limit", "wrong_type"),
        ("/employees", "out_of_range"),
        ("/name", "required"),
        ("/nme", "unknown_field"),
        ("/owner_id", "not_found"),
    ]);
    assert_eq!(refused.faults(), expected);
    let told = told(&refused);
    assert!(told[0].1.ends_with("there are: city, limit"), "{told:?}");
    assert!(told[2].1.ends_with("did you mean city?"), "{told:?}");

    let patch = json!({ "employees": -1, "custom": { "cty": "上海" } });
    let refused = admin.patch(&known, patch.clone()).await;
    let expected = faults(&[
        ("/custom/city", "required"),
        ("/custom/cty", "unknown_field"),
        ("/employees", "out_of_range"),
    ]);
    assert_eq!(refused.faults(), expected);
    let of_form = faults(&[("/employees", "out_of_range")]);
    let stranger = company.member("新人", "sales_representative").await;
    assert_eq!(stranger.patch(&known, patch).await.faults(), of_form);
    assert_eq!(admin.get(&known).await.expect(200)["version"], 1);
}

#[tokio::test]
async fn what_a_deal_s_own_rules_say_comes_with_everything_else() {
    let company = company().await;
    let admin = &company.administrator;
    published(admin, plain()).await;
    let nobody = Uuid::now_v7();
    let deal =
        json!({ "name": "采购", "account_id": nobody, "pipeline_id": nobody, "probability_by_hand": "0.5" });
    let by_the_store = [
        ("/account_id", "not_found"),
        ("/pipeline_id", "not_found"),
        ("/probability_reason", "required"),
    ]
    .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
    let refused = admin.post("/v1/opportunities", deal.clone()).await;
    assert_eq!(refused.faults(), by_the_store);
    let mut worse = deal;
    worse["amunt"] = json!("5");
    let refused = admin.post("/v1/opportunities", worse).await.faults();
    assert_eq!(refused.len(), 4);
    assert!(
        by_the_store.iter().all(|fault| refused.contains(fault)),
        "{refused:?}"
    );
    assert_eq!(
        admin.get("/v1/opportunities").await.expect(200)["data"],
        json!([])
    );
}

#[tokio::test]
async fn what_is_sound_in_a_faulty_document_is_looked_at_too() {
    let company = company().await;
    let admin = &company.administrator;
    let faults = |refused: &Answer| {
        let told = refused.faults().into_iter();
        told.map(|(pointer, _)| pointer).collect::<Vec<_>>()
    };
    let tree =
        json!({ "and": [{ "member": "bogus", "eq": 1 }, { "member": "status", "eq": "zz" }, { "x": 1 }] });
    let refused = admin.post("/v1/leads/search", json!({ "filter": tree })).await;
    assert_eq!(
        faults(&refused),
        ["/filter/and/0/member", "/filter/and/1/eq", "/filter/and/2/x"]
    );

    let items = json!([
        { "method": "create", "body": { "name": "" } },
        { "method": "update", "version": 99 },
        { "method": "create", "body": { "name": "王芳" } }
    ]);
    let refused = admin
        .post(
            "/v1/leads/batch",
            json!({ "mode": "all_or_nothing", "items": items }),
        )
        .await;
    assert_eq!(faults(&refused), ["/items/0/body/name", "/items/1/version"]);

    let mapping = json!({ "name": { "pointer": "/p" }, "bogus": { "pointer": "/x" }, "email": { "constant": 5 }, "phone": { "pointer": "/a~2" } });
    let new = json!({ "key": "site", "name": "官网", "mapping": mapping, "required_members": ["nope"] });
    let refused = admin.post("/v1/lead-sources", new).await;
    assert_eq!(
        faults(&refused),
        [
            "/mapping/bogus",
            "/mapping/email/constant",
            "/mapping/phone/pointer",
            "/required_members/0"
        ]
    );

    // What holds something faulty is not said to be absent.
    let candidates = json!([{ "user_id": admin.id }, {}]);
    let rule = json!({ "name": "q", "position": 5, "trigger": "created", "strategy": "weighted", "candidates": candidates });
    let refused = admin.post("/v1/assignment-rules", rule).await;
    assert_eq!(faults(&refused), ["/candidates/1"]);

    let (one, other) = (lead(admin, "王芳").await, lead(admin, "李强").await);
    let choices = json!({ "bogus": other, "custom.zz": other, "name": Uuid::now_v7() });
    let merge = json!({ "loser_ids": [other, Uuid::now_v7()], "choices": choices });
    let refused = admin.post(&format!("/v1/leads/{one}/merge"), merge).await;
    assert_eq!(
        faults(&refused),
        [
            "/choices/bogus",
            "/choices/custom.zz",
            "/choices/name",
            "/loser_ids/1"
        ]
    );
}

#[tokio::test]
async fn the_faults_of_a_batch_s_items_come_at_once_too() {
    let company = company().await;
    let admin = &company.administrator;
    let known = account(admin, "科技").await;
    let field = json!({ "resource": "account", "key": "city", "label": "城市", "kind": "text" });
    admin.post("/v1/field-definitions", field).await.expect(201);
    let items = json!([
        { "method": "create", "body": { "nme": "x", "custom": { "cty": "上海" } } },
        { "method": "update", "id": known, "body": { "employees": -1, "custom": { "cty": "上海" } } },
        { "method": "update", "body": { "employees": -1 } }
    ]);
    let refused = admin
        .post(
            "/v1/accounts/batch",
            json!({ "mode": "all_or_nothing", "items": items }),
        )
        .await;
    let pointers = refused.faults().into_iter().map(|(pointer, _)| pointer);
    let expected = [
        "/items/0/body/custom/cty",
        "/items/0/body/name",
        "/items/0/body/nme",
        "/items/1/body/custom/cty",
        "/items/1/body/employees",
        "/items/2/body/employees",
        "/items/2/id",
    ];
    assert_eq!(pointers.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_faults_of_a_row_come_at_once_too() {
    let company = company().await;
    let admin = &company.administrator;
    for (key, kind, is_required) in [("city", "text", true), ("grade_note", "choice", false)] {
        let mut field = json!({ "resource": "account", "key": key, "label": key, "kind": kind, "is_required": is_required });
        if kind == "choice" {
            field["choices"] = json!(["x"]);
        }
        admin.post("/v1/field-definitions", field).await.expect(201);
    }
    let table = format!("name,region,custom.grade_note\r\n科技,{},y\r\n", "x".repeat(101));
    let job = import(admin, CSV, table, json!({ "resource": "account" })).await;
    let errors = errors(admin, &job)
        .await
        .into_iter()
        .map(|(_, pointer, _)| pointer);
    let mut pointers = errors.collect::<Vec<_>>();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/custom/city", "/custom/grade_note", "/region"]);
}

#[tokio::test]
async fn the_faults_of_a_command_come_at_once_whatever_their_kind_and_it_changes_nothing() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    let nobody = Uuid::now_v7();
    let lose = json!({ "reason": "", "loss_reason_key": "zz", "competitor_id": nobody, "zz": 1 });
    let refused = admin.post(&path(&deal, "lose"), lose).await;
    let expected = pairs(&[
        ("/competitor_id", "not_found"),
        ("/loss_reason_key", "not_found"),
        ("/reason", "too_short"),
        ("/zz", "unknown_field"),
    ]);
    assert_eq!(refused.faults(), expected);
    let nothing = admin.post(&path(&deal, "lose"), json!({})).await;
    assert_eq!(
        nothing.faults(),
        pairs(&[("/loss_reason_id", "required"), ("/reason", "required")])
    );
    let user = json!({ "name": "新", "email": "no address", "password": "short", "team_id": nobody, "role_keys": ["zz"] });
    let refused = admin.post("/v1/users", user).await;
    let pointers = refused.faults().into_iter().map(|(pointer, _)| pointer);
    assert_eq!(
        pointers.collect::<Vec<_>>(),
        ["/email", "/password", "/role_keys/0", "/team_id"],
        "{}",
        refused.body
    );
    // All that is sound would lose the deal; what is not keeps it as it is.
    let reason = json!({ "key": "price", "name": "价格" });
    admin.post("/v1/loss-reasons", reason).await.expect(201);
    let lose = json!({ "reason": "价格", "loss_reason_key": "price", "zz": 1 });
    let refused = admin.post(&path(&deal, "lose"), lose).await;
    assert_eq!(refused.faults(), pairs(&[("/zz", "unknown_field")]));
    assert_eq!(moves(admin, &deal).await, ["enter"]);
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs
        .iter()
        .map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned()));
    pairs.collect()
}
