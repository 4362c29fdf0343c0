//! What there may be only once is there only once, however many ask for it at the same time.

use crate::support::app::{Answer, Company, company};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// Of sixteen who ask for the same at once, one gets it and the others are told what is taken.
async fn one_of_sixteen(company: &Company, path: &str, body: &Value, pointer: &str) {
    let answers = join_all((0..16).map(|_| company.administrator.post(path, body.clone()))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1, "{path}");
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(refused.refused(409), "duplicate", "{path}");
        let faults = refused.faults();
        assert_eq!(faults[0].1, "duplicate", "{path}");
        assert!(faults[0].0.ends_with(pointer), "{path}: {faults:?}");
    }
}

#[actix_web::test]
async fn of_sixteen_who_ask_for_the_same_at_once_one_gets_it() {
    let company = company().await;
    let simple =
        json!({ "key": "p", "name": "P", "stages": [{ "key": "a", "name": "A", "probability": "0.5" }] });
    let steps = json!([{ "key": "s", "name": "S", "position": 1, "approvers": [{ "kind": "role", "role": "legal" }] }]);
    let process = json!({ "key": "a", "name": "A", "subject_kind": "opportunity", "steps": steps });
    let cases = [
        (
            "/v1/users",
            json!({ "name": "王", "email": "Wang@Example.com" }),
            "/email",
        ),
        (
            "/v1/roles",
            json!({ "key": "auditor", "name": "审计", "grants": {} }),
            "/key",
        ),
        (
            "/v1/lead-sources",
            json!({ "key": "web", "name": "官网", "channel": "web" }),
            "/key",
        ),
        (
            "/v1/products",
            json!({ "code": "P-1", "name": "标准版" }),
            "/code",
        ),
        ("/v1/competitors", json!({ "name": "某竞品" }), "/name"),
        (
            "/v1/loss-reasons",
            json!({ "key": "dear", "name": "价格过高" }),
            "/key",
        ),
        (
            "/v1/exchange-rates",
            json!({ "currency": "USD", "rate_on": "2024-03-01", "rate": "7.1" }),
            "",
        ),
        (
            "/v1/field-definitions",
            json!({ "resource": "account", "key": "size", "label": "规模", "kind": "text" }),
            "/key",
        ),
        ("/v1/pipelines", json!({ "document": simple }), "/key"),
        ("/v1/approval-processes", json!({ "document": process }), "/key"),
    ];
    for (path, body, pointer) in cases {
        one_of_sixteen(&company, path, &body, pointer).await;
    }
}

#[actix_web::test]
async fn two_companies_never_share_a_short_name() {
    let company = company().await;
    let slug = format!("s-{}", uuid::Uuid::now_v7().simple());
    let body = json!({
        "name": "演练", "slug": slug, "now": "2024-03-05T00:30:00Z",
        "administrator": { "name": "员", "email": "a@example.com", "password": "correct horse battery staple" }
    });
    one_of_sixteen(&company, "/v1/sandboxes", &body, "/slug").await;
    let mut other = body.clone();
    other["slug"] = json!(format!("{slug}-2"));
    let dry = company.administrator.request(Method::POST, "/v1/sandboxes").await;
    let dry = dry.header("prefer", "dry-run").json(&other);
    Answer::of(dry).await.expect(201);
    company
        .administrator
        .post("/v1/sandboxes", other)
        .await
        .expect(201);
}
