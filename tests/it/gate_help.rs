//! What a gate advises, and what keeps its advice good.

use crate::support::app::{CREATED, Person, account, company, id};
use crate::support::make_deals::{
    advance, approved, criterion, deal, deal_in, gate, invite, path as on, plain, process, read,
};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};

#[actix_web::test]
async fn an_advance_that_asks_for_approval_shows_the_gate_with_it_pending() {
    let company = company().await;
    let admin = &company.administrator;
    process(admin, "boss_approval", admin).await;
    let pipeline = published(admin, approved("boss_approval")).await;
    let seller = company.member("王芳", "sales_representative").await;
    let deal = deal(&seller, &pipeline, Some("100.00")).await;
    seller
        .put(&on(&deal, "criteria/agreed"), json!({ "answer": true }))
        .await
        .expect(200);
    let asked = advance(&seller, &deal).await.expect(202);
    assert_eq!(
        (&asked["gate"]["to_ask"], &asked["gate"]["pending"]),
        (&json!([]), &json!(["boss"]))
    );
    let boss = criterion(&asked["gate"]["tree"], "boss").unwrap();
    assert_eq!(boss["evidence"]["approval_state"], "pending");
    assert_eq!(boss["evidence"]["request_id"], asked["approval_request_ids"][0]);
    assert_eq!(
        asked["gate"],
        gate(&seller, &deal).await["gate"],
        "as it stands now"
    );
}

async fn follow(admin: &Person, call: &Value) {
    let (path, body) = (call["path"].as_str().unwrap(), call["body"].clone());
    let answer = match call["method"].as_str().unwrap() {
        "POST" => admin.post(path, body).await.expect(CREATED),
        "PATCH" => admin.patch(path, body).await.expect(200),
        other => panic!("{other}"),
    };
    drop(answer);
}

#[actix_web::test]
async fn the_calls_of_a_gate_open_it_when_they_are_followed() {
    let company = company().await;
    let admin = &company.administrator;
    let document = json!({ "key": "helped", "name": "帮助", "stages": [
        { "key": "a", "name": "甲", "probability": "0.5", "gate": { "kind": "all", "of": [
            { "kind": "field", "key": "amount", "label": "金额", "expression": "amount > 1000" },
            { "kind": "field", "key": "trade", "label": "行业", "expression": "account.industry == \"制造\"" },
            { "kind": "record", "key": "lines", "label": "明细", "of": "line", "every": "discount < 0.5" },
            { "kind": "record", "key": "chain", "label": "决策人", "of": "decision_chain_member", "where": "role == \"decision_maker\" && influence >= 0.7" }
        ] } },
        { "key": "b", "name": "乙", "probability": "0.9" }
    ] });
    let pipeline = published(admin, document).await;
    let deal = deal(admin, &pipeline, Some("900.00")).await;
    let line = json!({ "name": "软件", "quantity": "1", "unit_price": "10", "discount": "0.6" });
    admin.post(&on(&deal, "lines"), line).await.expect(CREATED);
    for key in ["amount", "trade", "lines", "chain"] {
        let closed = gate(admin, &deal).await;
        let asked = criterion(&closed["gate"]["tree"], key).unwrap();
        assert_ne!(asked["state"], "met", "{key}");
        follow(admin, &asked["call"]).await;
        let then = gate(admin, &deal).await;
        assert_eq!(
            criterion(&then["gate"]["tree"], key).unwrap()["state"],
            "met",
            "{key}: {asked}"
        );
    }
    let deal = read(admin, &deal).await;
    advance(admin, &deal).await.expect(200);
}

#[actix_web::test]
async fn what_a_gate_in_force_names_is_not_archived() {
    let company = company().await;
    let admin = &company.administrator;
    process(admin, "boss_approval", admin).await;
    let field = json!({ "resource": "opportunity", "key": "score", "label": "评分", "kind": "number" });
    let field = admin.post("/v1/field-definitions", field).await.expect(CREATED);
    let other = json!({ "resource": "account", "key": "score", "label": "评分", "kind": "number" });
    let other = admin.post("/v1/field-definitions", other).await.expect(CREATED);
    let document = json!({ "key": "named", "name": "引用", "stages": [
        { "key": "a", "name": "甲", "probability": "0.5", "gate": { "kind": "all", "of": [
            { "kind": "field", "key": "score", "label": "评分", "expression": "custom.score > 5" },
            { "kind": "approval", "key": "boss", "label": "批准", "process": "boss_approval" }
        ] } }
    ] });
    let pipeline = published(admin, document).await;
    let all = admin
        .get("/v1/approval-processes?key=boss_approval")
        .await
        .expect(200);
    let boss = format!("/v1/approval-processes/{}", id(&all["data"][0]));
    let score = format!("/v1/field-definitions/{}", id(&field));
    for path in [&boss, &score] {
        let refused = admin.delete(path).await;
        assert_eq!(refused.refused(409), "in_use", "{path}");
        assert!(
            refused.body["detail"]
                .as_str()
                .unwrap()
                .contains("named, version 1"),
            "{}",
            refused.body
        );
    }
    admin
        .delete(&format!("/v1/field-definitions/{}", id(&other)))
        .await
        .expect(200);

    let running = deal(admin, &pipeline, None).await;
    let pipeline = format!("/v1/pipelines/{pipeline}");
    assert_eq!(
        admin.delete(&pipeline).await.refused(409),
        "in_use",
        "it is the default"
    );
    admin
        .patch(&pipeline, json!({ "is_default": false }))
        .await
        .expect(200);
    admin.delete(&pipeline).await.expect(200);
    assert_eq!(
        admin.delete(&boss).await.refused(409),
        "in_use",
        "a deal is on it"
    );
    admin
        .delete(&format!("/v1/opportunities/{}", id(&running)))
        .await
        .expect(200);
    admin.delete(&boss).await.expect(200);
    admin.delete(&score).await.expect(200);
}

#[actix_web::test]
async fn a_field_that_an_assignment_rule_reads_is_not_archived() {
    let company = company().await;
    let admin = &company.administrator;
    let field = json!({ "resource": "lead", "key": "area", "label": "区域", "kind": "text" });
    let field = admin.post("/v1/field-definitions", field).await.expect(CREATED);
    let rule = json!({
        "name": "华东", "position": 10, "trigger": "created", "condition": "custom.area == \"华东\"", "strategy": "round_robin",
        "candidates": [{ "user_id": admin.id }]
    });
    let rule = admin.post("/v1/assignment-rules", rule).await.expect(CREATED);
    let path = format!("/v1/field-definitions/{}", id(&field));
    assert_eq!(admin.delete(&path).await.refused(409), "in_use");
    admin
        .delete(&format!("/v1/assignment-rules/{}", id(&rule)))
        .await
        .expect(200);
    admin.delete(&path).await.expect(200);
}

#[actix_web::test]
async fn a_change_that_changes_nothing_is_no_change() {
    let company = company().await;
    let admin = &company.administrator;
    let account = account(admin, "示例").await;
    let path = format!("/v1/accounts/{account}");
    let before = admin.get(&path).await;
    let events = async || {
        let all = admin
            .get(&format!("/v1/accounts/{account}/timeline"))
            .await
            .expect(200);
        all["data"].as_array().unwrap().len()
    };
    let told = events().await;
    for body in [json!({}), json!({ "name": "示例" })] {
        let same = admin.patch(&path, body).await;
        assert_eq!(same.header("etag"), before.header("etag"));
        assert_eq!(same.expect(200), before.body);
    }
    let items = json!({ "mode": "each", "items": [{ "method": "update", "id": account, "body": { "name": "示例" } }] });
    let batch = admin.post("/v1/accounts/batch", items).await.expect(200);
    assert_eq!(batch["results"][0]["body"], before.body);
    assert_eq!(events().await, told);
    let changed = admin.patch(&path, json!({ "name": "示例二" })).await.expect(200);
    assert_eq!(
        changed["version"],
        json!(before.body["version"].as_i64().unwrap() + 1)
    );
}

#[actix_web::test]
async fn refusals_say_what_is_the_matter() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    let back = json!({ "to_stage_id": uuid::Uuid::nil(), "reason": "x" });
    let first = admin.post(&on(&deal, "regress"), back).await;
    assert!(
        first.body["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("no earlier"),
        "{}",
        first.body
    );

    let early = admin
        .patch(
            &format!("/v1/opportunities/{}", id(&deal)),
            json!({ "expected_close_on": "0000-01-01" }),
        )
        .await;
    assert_eq!(
        early.faults(),
        [("/expected_close_on".to_owned(), "out_of_range".to_owned())]
    );

    let garbled = admin.get("/v1/accounts?q=%FF").await;
    assert_eq!(garbled.body["detail"], "Look at: q");
    assert_eq!(garbled.faults(), [("?q".to_owned(), "malformed".to_owned())]);

    let cut = admin.request(reqwest::Method::POST, "/v1/accounts").await;
    let cut = cut
        .header("accept-language", "zh-CN")
        .header("content-type", "application/json")
        .body(r#"{"name":"x","name":"y"}"#);
    let cut = crate::support::app::Answer::of(cut).await;
    assert_eq!(cut.refused(400), "malformed_body");
    assert!(
        cut.body["detail"].as_str().unwrap().ends_with("成员重复"),
        "{}",
        cut.body
    );

    let reason = json!({ "key": "gone", "name": "客户取消" });
    admin.post("/v1/loss-reasons", reason).await.expect(CREATED);
    let lost = json!({ "loss_reason_key": "gone", "reason": "取消" });
    admin.post(&on(&deal, "lose"), lost).await.expect(200);
    let pipeline = format!("/v1/pipelines/{}", deal["pipeline_id"].as_str().unwrap());
    admin
        .patch(&pipeline, json!({ "is_default": false }))
        .await
        .expect(200);
    admin.delete(&pipeline).await.expect(200);
    let again = admin.post(&on(&deal, "restart"), json!({})).await;
    assert_eq!((again.refused(409), again.faults().len()), ("conflict", 0));
}

#[actix_web::test]
async fn what_a_gate_reads_of_an_account_is_kept_from_whoever_does_not_see_it() {
    let company = company().await;
    let owner = company.member("王芳", "sales_representative").await;
    let guest = company.member("李强", "sales_representative").await;
    let document = json!({ "key": "nosy", "name": "客户条件", "stages": [
        { "key": "a", "name": "甲", "probability": "0.5", "gate": { "kind": "field", "key": "known", "label": "客户", "expression": "account.name != \"x\" && name != \"x\"" } },
        { "key": "b", "name": "乙", "probability": "0.9", "gate": { "kind": "field", "key": "trade", "label": "行业", "expression": "account.name == \"x\"" } }
    ] });
    let deal = deal_in(&company, &owner, document).await;
    invite(&company, &deal, &guest, "edit").await;
    let shown = |answer: &Value| answer.to_string().contains("示例科技");
    for (person, sees) in [(&owner, true), (&guest, false)] {
        let gate = gate(person, &deal).await;
        assert_eq!(gate["gate"]["state"], "open");
        assert_eq!(shown(&gate), sees, "{gate}");
        assert!(
            gate.to_string().contains("采购"),
            "of the deal itself everything is shown"
        );
        let read = person
            .get(&format!("/v1/opportunities/{}?expand=gate", id(&deal)))
            .await;
        assert_eq!(shown(&read.expect(200)["gate"]), sees);
    }
    let moved = advance(&owner, &deal).await.expect(200);
    assert!(shown(&moved["transition"]), "{moved}");
    for list in ["transitions", "timeline"] {
        for (person, sees) in [(&owner, true), (&guest, false)] {
            let told = person.get(&on(&deal, list)).await.expect(200);
            let evidence = told["data"].as_array().unwrap().iter();
            let evidence = evidence.map(|entry| entry["evidence"].clone()).collect::<Value>();
            assert_eq!(shown(&evidence), sees, "{list}: {evidence}");
        }
    }
}
