//! Approval processes: drafts, what keeps them from being published, and the chain that they give.

use crate::support::app::{company, id};
use crate::support::make_approvals::{Ask, ask, process, published, step, waiting};
use crate::support::make_deals::deal_in;
use crate::support::make_pipelines::simple;
use serde_json::{Value, json};

#[tokio::test]
async fn the_shipped_contract_approval_can_be_published_as_it_is() {
    let company = company().await;
    let admin = &company.administrator;
    let shipped = admin.get("/v1/approval-process-templates").await.expect(200);
    assert_eq!(shipped["data"][0]["key"], "contract_approval");
    let made = admin
        .post(
            "/v1/approval-processes",
            json!({ "template": "contract_approval" }),
        )
        .await;
    let location = made.header("location").to_owned();
    let body = made.expect(201);
    assert_eq!(location, format!("/v1/approval-processes/{}", id(&body)));
    assert_eq!(
        (body["key"].clone(), body["published_number"].clone()),
        (json!("contract_approval"), Value::Null)
    );
    let version = admin
        .post(&format!("{location}/versions/1/publish"), json!({}))
        .await
        .expect(200);
    assert_eq!(version["state"], "published");
    assert_eq!(admin.get(&location).await.expect(200)["published_number"], 1);
    let again = admin
        .post(&format!("{location}/versions/1/publish"), json!({}))
        .await;
    assert_eq!(again.refused(409), "version_published");
    let twice = admin
        .post(
            "/v1/approval-processes",
            json!({ "template": "contract_approval" }),
        )
        .await;
    assert_eq!(twice.refused(409), "duplicate");
}

#[tokio::test]
async fn a_process_without_approvers_is_not_published_and_every_fault_is_named() {
    let company = company().await;
    let admin = &company.administrator;
    let faulty = process(
        "faulty",
        json!([
            { "key": "nobody", "name": "无人", "position": 1, "approvers": [] },
            { "key": "strangers", "name": "未知", "position": 2, "condition": "amont > 1",
              "approvers": [{ "kind": "role", "role": "nothing" }], "escalation": { "kind": "leader" } },
        ]),
    );
    let made = admin
        .post("/v1/approval-processes", json!({ "document": faulty }))
        .await
        .expect(201);
    let path = format!("/v1/approval-processes/{}/versions/1", id(&made));
    let refused = admin.post(&format!("{path}/publish"), json!({})).await;
    assert_eq!(refused.refused(422), "not_publishable");
    let pointers = refused
        .faults()
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect::<Vec<_>>();
    assert_eq!(
        pointers,
        [
            "/document/steps/0/approvers",
            "/document/steps/1/approvers/0/role",
            "/document/steps/1/condition",
            "/document/steps/1/escalation",
        ]
    );
    let mended = process("faulty", json!([step("one", 1, "any", &[admin])]));
    admin
        .patch(&path, json!({ "document": mended }))
        .await
        .expect(200);
    admin
        .post(&format!("{path}/publish"), json!({}))
        .await
        .expect(200);
    let late = admin.patch(&path, json!({ "document": mended })).await;
    assert_eq!(late.refused(409), "version_published");
}

#[tokio::test]
async fn a_running_request_keeps_the_version_that_it_froze() {
    let company = company().await;
    let admin = &company.administrator;
    let seller = company.member("李销售", "sales_representative").await;
    let legal = company.member("周法务", "legal").await;
    let finance = company.member("孙财务", "finance").await;
    let first = process("frozen", json!([step("one", 1, "any", &[&legal])]));
    let path = format!("/v1/approval-processes/{}", published(&company, first).await);
    let before = ask(&company, &seller, &Ask::of("frozen")).await;

    let draft = admin
        .post(&format!("{path}/versions"), json!({}))
        .await
        .expect(201);
    assert_eq!(
        (draft["number"].clone(), draft["state"].clone()),
        (json!(2), json!("draft"))
    );
    let second = process(
        "frozen",
        json!([
            step("one", 1, "any", &[&finance]),
            step("two", 2, "any", &[&legal])
        ]),
    );
    let renamed = process("other", second["steps"].clone());
    let refused = admin
        .patch(&format!("{path}/versions/2"), json!({ "document": renamed }))
        .await;
    assert_eq!(
        refused.faults(),
        [("/document/key".to_owned(), "invalid".to_owned())]
    );
    admin
        .patch(&format!("{path}/versions/2"), json!({ "document": second }))
        .await
        .expect(200);
    admin
        .post(&format!("{path}/versions/2/publish"), json!({}))
        .await
        .expect(200);
    let states = admin.get(&format!("{path}/versions")).await.expect(200)["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["state"].clone())
        .collect::<Vec<_>>();
    assert_eq!(states, ["published", "retired"]);

    let after = ask(&company, &seller, &Ask::of("frozen")).await;
    assert_eq!(waiting(&seller.sees(&before).await), [legal.id]);
    assert_eq!(waiting(&seller.sees(&after).await), [finance.id]);
    assert_eq!(legal.approve(&before).await.expect(200)["state"], "approved");
}

#[tokio::test]
async fn a_process_has_one_draft_at_a_time_and_its_versions_are_listed_by_pages() {
    let company = company().await;
    let admin = &company.administrator;
    let document = process("paged", json!([step("one", 1, "any", &[admin])]));
    let made = admin
        .post("/v1/approval-processes", json!({ "document": document }))
        .await
        .expect(201);
    let path = format!("/v1/approval-processes/{}", id(&made));
    let versions = format!("{path}/versions");
    let early = admin.post(&versions, json!({})).await;
    assert_eq!(early.refused(409), "conflict");
    let unpublished = admin.post(&format!("{path}/preview"), json!({})).await;
    assert_eq!(unpublished.refused(409), "conflict");
    let nothing = format!("/v1/approval-processes/{}/preview", uuid::Uuid::now_v7());
    assert_eq!(admin.post(&nothing, json!({})).await.refused(404), "not_found");
    for number in 1..=3 {
        if number > 1 {
            let draft = admin.post(&versions, json!({})).await.expect(201);
            assert_eq!(draft["number"], number);
        }
        let publish = format!("{versions}/{number}/publish");
        admin.post(&publish, json!({})).await.expect(200);
    }
    admin.post(&versions, json!({})).await.expect(201);
    let second = admin.post(&versions, json!({})).await;
    assert_eq!(second.refused(409), "conflict");

    let first = admin
        .get(&format!("{versions}?limit=3&with_total=true"))
        .await
        .expect(200);
    let numbers = |page: &Value| {
        let versions = page["data"].as_array().unwrap();
        versions
            .iter()
            .map(|version| version["number"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!((numbers(&first), &first["total"]), (vec![4, 3, 2], &json!(4)));
    assert_eq!(first["data"][0].get("document"), None);
    let next = first["next_cursor"].as_str().unwrap();
    let rest = admin
        .get(&format!("{versions}?limit=3&with_total=true&cursor={next}"))
        .await
        .expect(200);
    assert_eq!((numbers(&rest), &rest["next_cursor"]), (vec![1], &Value::Null));
    let published = admin
        .get(&format!("{versions}?state=published"))
        .await
        .expect(200);
    assert_eq!(numbers(&published), [3]);
    let nothing = format!("/v1/approval-processes/{}/versions", uuid::Uuid::now_v7());
    assert_eq!(admin.get(&nothing).await.refused(404), "not_found");
}

#[tokio::test]
async fn a_preview_shows_the_chain_with_whoever_stands_in_for_the_absent() {
    let company = company().await;
    let admin = &company.administrator;
    let legal = company.member("周法务", "legal").await;
    let deputy = company.member("郑法务", "legal").await;
    let head = company.member("吴总", "general_manager").await;
    admin
        .patch(
            &format!("/v1/users/{}", legal.id),
            json!({ "away_from": "2020-01-01T00:00:00Z", "delegate_id": deputy.id }),
        )
        .await
        .expect(200);
    let mut above = step("head", 2, "any", &[&head]);
    above["condition"] = json!("amount > 200000");
    let steps = json!([step("legal", 1, "any", &[&legal]), above]);
    let path = format!(
        "/v1/approval-processes/{}/preview",
        published(&company, process("chain", steps)).await
    );
    let small = admin.post(&path, json!({ "amount": "100000" })).await.expect(200);
    let seat = &small["steps"][0]["seats"][0];
    assert_eq!(
        (
            seat["user_id"].clone(),
            seat["for_user_id"].clone(),
            seat["origin"].clone()
        ),
        (json!(deputy.id), json!(legal.id), json!("delegation"))
    );
    assert_eq!(small["steps"][1]["takes_part"], false);
    let large = admin.post(&path, json!({ "amount": "220000" })).await.expect(200);
    assert_eq!(large["amount_in_company_currency"], "220000.00");
    assert_eq!(large["steps"][1]["seats"][0]["user_id"], json!(head.id));
    let unknown = admin.post(&path, json!({})).await.expect(200);
    assert_eq!(unknown["steps"][1]["missing"], json!(["amount"]));
    let misspelt = json!({ "amount": "1", "facts": { "zz": 1, "name": "采购", "version": 3 } });
    assert_eq!(
        admin.post(&path, misspelt).await.faults(),
        [("/facts/zz".to_owned(), "unknown_field".to_owned())]
    );
    let seller = company.member("李销售", "sales_representative").await;
    seller.post(&path, json!({})).await.expect(200);
    let refused = seller
        .post(
            "/v1/approval-processes",
            json!({ "template": "contract_approval" }),
        )
        .await;
    assert_eq!(refused.refused(403), "forbidden");
}

#[tokio::test]
async fn a_preview_takes_a_deal_as_it_was_read_and_names_all_that_it_could_not_read() {
    let company = company().await;
    let admin = &company.administrator;
    let mut document = process("deals", json!([step("boss", 1, "any", &[admin])]));
    document["subject_kind"] = json!("opportunity");
    document["content"] = json!(["amount", "currency"]);
    let path = format!(
        "/v1/approval-processes/{}/preview",
        published(&company, document).await
    );
    let deal = deal_in(&company, admin, simple("p", &["a", "b"])).await;
    let as_read = json!({ "amount": "220000", "facts": deal });
    admin.post(&path, as_read).await.expect(200);
    let facts = json!({ "probability": true, "expected_close_on": "soon", "zz": 1, "next_step": null });
    let misread = json!({ "requester_id": uuid::Uuid::now_v7(), "currency": "QQQ", "facts": facts });
    let faults = admin.post(&path, misread).await.faults();
    let faults = faults.iter().map(|(at, code)| (at.as_str(), code.as_str()));
    let expected = [
        ("/currency", "unknown_value"),
        ("/facts/expected_close_on", "wrong_type"),
        ("/facts/probability", "wrong_type"),
        ("/facts/zz", "unknown_field"),
        ("/requester_id", "not_found"),
    ];
    assert_eq!(faults.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_process_for_leads_or_result_sheets_is_published_without_saying_what_it_binds() {
    let company = company().await;
    let admin = &company.administrator;
    for kind in ["lead", "result_sheet"] {
        let document = json!({ "key": kind, "name": "审批", "subject_kind": kind, "steps": [
            { "key": "boss", "name": "总经理", "position": 1, "approvers": [{ "kind": "users", "user_ids": [admin.id] }] }
        ] });
        let made = admin
            .post("/v1/approval-processes", json!({ "document": document }))
            .await;
        let publish = format!(
            "/v1/approval-processes/{}/versions/1/publish",
            id(&made.expect(201))
        );
        let version = admin.post(&publish, json!({})).await.expect(200);
        assert_eq!(version["state"], "published");
        assert_eq!(version["document"]["content"].as_array().unwrap().len(), 4);
        assert_eq!(version.get("warnings"), None);
    }
}

#[tokio::test]
async fn publishing_warns_of_roles_that_nobody_has_and_of_conditions_that_outlive_a_change() {
    let company = company().await;
    let admin = &company.administrator;
    let doubtful = json!({ "key": "doubtful", "name": "审批", "subject_kind": "opportunity", "steps": [
        { "key": "legal", "name": "法务", "position": 1, "condition": "next_step != null",
          "approvers": [{ "kind": "role", "role": "legal" }] },
    ] });
    let made = admin
        .post("/v1/approval-processes", json!({ "document": doubtful }))
        .await;
    let path = format!("/v1/approval-processes/{}/versions", id(&made.expect(201)));
    let version = admin
        .post(&format!("{path}/1/publish"), json!({}))
        .await
        .expect(200);
    let told = |version: &Value| {
        let warnings = version["warnings"].as_array().cloned().unwrap_or_default();
        let pair = |one: Value| (one["pointer"].clone(), one["code"].clone());
        warnings.into_iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&version),
        [
            (json!("/document/steps/0/approvers/0/role"), json!("nobody")),
            (json!("/document/steps/0/condition"), json!("not_covered"))
        ]
    );
    company.member("法", "legal").await;
    admin.post(&path, json!({})).await.expect(201);
    let again = admin
        .post(&format!("{path}/2/publish"), json!({}))
        .await
        .expect(200);
    assert_eq!(told(&again).len(), 1);

    let gate = json!({ "kind": "all", "of": [
        { "kind": "field", "key": "day", "label": "day", "expression": "expected_close_on != null" },
        { "kind": "approval", "key": "legal", "label": "legal", "process": "doubtful" }
    ] });
    let stage = json!({ "key": "a", "name": "a", "probability": "0.5", "gate": gate });
    let document = json!({ "key": "p", "name": "p", "stages": [stage] });
    let made = admin.post("/v1/pipelines", json!({ "document": document })).await;
    let publish = format!("/v1/pipelines/{}/versions/1/publish", id(&made.expect(201)));
    let version = admin.post(&publish, json!({})).await.expect(200);
    assert_eq!(
        told(&version),
        [(json!("/stages/0/gate/of/1/process"), json!("not_covered"))]
    );
    let message = version["warnings"][0]["message"].as_str().unwrap();
    assert!(message.contains("expected_close_on"), "{message}");
}
