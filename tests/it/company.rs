//! The company's settings, and sandbox companies.

use crate::support::app::{Answer, PASSWORD, company};
use crate::support::make_identity::{open_post, text, with_token};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn settings_are_read_changed_and_felt_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let read = admin.get("/v1/company").await;
    assert_eq!(read.header("etag"), "\"1\"");
    assert_eq!(read.expect(200)["working_days"], json!([1, 2, 3, 4, 5]));
    let patch = json!({ "working_days": [6, 1, 2], "week_start": 7, "is_phone_strict": true, "time_zone": "Europe/Moscow" });
    let changed = admin.patch("/v1/company", patch).await.expect(200);
    assert_eq!(changed["working_days"], json!([1, 2, 6]));
    assert_eq!(changed["version"], 2);
    assert_eq!(admin.get("/v1/company").await.expect(200), changed);
    let unreadable = admin
        .post("/v1/contacts", json!({ "name": "王", "phone": "139" }))
        .await;
    assert_eq!(unreadable.status, 422, "{}", unreadable.body);
    let stale = admin
        .request(Method::PATCH, "/v1/company")
        .await
        .header("if-match", "\"1\"")
        .json(&json!({ "name": "x" }));
    assert_eq!(Answer::of(stale).await.refused(412), "stale");
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_and_so_is_whoever_may_not() {
    let company = company().await;
    let admin = &company.administrator;
    let cases = [
        (json!({ "time_zone": "Mars/Olympus" }), "/time_zone"),
        (json!({ "working_days": [] }), "/working_days"),
        (json!({ "working_days": [1, 1] }), "/working_days"),
        (json!({ "working_days": [8] }), "/working_days/0"),
        (json!({ "week_start": 0 }), "/week_start"),
        (json!({ "name": null }), "/name"),
        (json!({ "currency": "USD" }), "/currency"),
        (json!({ "slug": "x" }), "/slug"),
    ];
    for (body, pointer) in cases {
        let answer = admin.patch("/v1/company", body.clone()).await;
        assert_eq!(answer.status, 422, "{body} {}", answer.body);
        assert_eq!(answer.faults()[0].0, pointer, "{body}");
    }
    let rep = company.member("李", "sales_representative").await;
    rep.get("/v1/company").await.expect(200);
    assert_eq!(
        rep.patch("/v1/company", json!({ "name": "x" }))
            .await
            .refused(403),
        "forbidden"
    );
    assert_eq!(
        rep.post("/v1/sandboxes", json!({})).await.refused(403),
        "forbidden"
    );
}

#[tokio::test]
async fn a_sandbox_is_a_company_of_its_own_whose_clock_stands_where_it_was_told() {
    let company = company().await;
    let admin = &company.administrator;
    let slug = format!("s-{}", uuid::Uuid::now_v7().simple());
    let body = json!({ "name": "演练企业", "slug": slug, "now": "2024-03-05T00:30:00Z",
        "administrator": { "name": "李", "email": admin.email, "password": PASSWORD } });
    let dry = admin
        .request(Method::POST, "/v1/sandboxes")
        .await
        .header("prefer", "dry-run")
        .json(&body);
    Answer::of(dry).await.expect(201);
    let request = async || {
        let request = admin.request(Method::POST, "/v1/sandboxes").await;
        Answer::of(request.header("idempotency-key", "once").json(&body)).await
    };
    let made = request().await.expect(201);
    assert_eq!(request().await.expect(201), made);
    let signed = json!({ "email": admin.email, "password": PASSWORD, "tenant": slug });
    let tokens = open_post("/v1/auth/login", signed).await.expect(200);
    let there = with_token(admin, &text(&tokens, "access_token"));
    let me = there.get("/v1/me").await.expect(200);
    assert_eq!(me["id"], made["administrator_id"]);
    assert_eq!(me["company"]["is_sandbox"], true);
    let account = there
        .post("/v1/accounts", json!({ "name": "甲公司" }))
        .await
        .expect(201);
    assert_eq!(account["created_at"], "2024-03-05T00:30:00.000000Z");
    assert_eq!(admin.get("/v1/accounts").await.expect(200)["data"], json!([]));
    let again = admin.post("/v1/sandboxes", body.clone()).await;
    assert_eq!(again.refused(409), "duplicate");
    let mut weak = body.clone();
    weak["administrator"]["password"] = json!("short");
    assert_eq!(
        admin.post("/v1/sandboxes", weak).await.faults()[0].0,
        "/administrator/password"
    );
}

#[tokio::test]
async fn a_new_company_can_lose_a_deal_for_a_shipped_reason_in_its_own_language() {
    let company = company().await;
    let reasons = company.administrator.get("/v1/loss-reasons").await.expect(200);
    let reasons = reasons["data"].as_array().unwrap().iter();
    let mut names = reasons
        .map(|reason| (text(reason, "key"), text(reason, "name")))
        .collect::<Vec<_>>();
    names.sort();
    assert_eq!(names.len(), 6);
    assert!(names.contains(&(
        "misleading_information".to_owned(),
        "Misleading information".to_owned()
    )));
}
