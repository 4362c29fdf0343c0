//! What is put in force while something that it names is archived: one of the two sees the other.

use crate::support::app::{Answer, Company, Person, company, id, server};
use crate::support::make_deals::process;
use crate::support::make_scoring;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use serde_json::{Value, json};
use std::time::Duration;

async fn field(admin: &Person, resource: &str, key: &str) -> String {
    let body = json!({ "resource": resource, "key": key, "label": key, "kind": "number" });
    id(&admin.post("/v1/field-definitions", body).await.expect(201))
}

fn rule(admin: &Person, key: &str) -> Value {
    json!({
        "name": key, "position": 10, "trigger": "created", "condition": format!("custom.{key} > 5"), "strategy": "round_robin",
        "candidates": [{ "user_id": admin.id }]
    })
}

fn scoring(key: &str) -> Value {
    let condition = format!("custom.{key} > 5");
    make_scoring::document(key, json!([make_scoring::when("r", "5", &condition)]))
}

fn gated(key: &str, gate: Value) -> Value {
    json!({ "key": key, "name": "流程", "stages": [
        { "key": "a", "name": "甲", "probability": "0.5", "gate": gate },
        { "key": "b", "name": "乙", "probability": "0.9" }
    ] })
}

fn reading(key: &str) -> Value {
    let expression = format!("custom.{key} > 5");
    gated(
        key,
        json!({ "kind": "field", "key": "f", "label": "字段", "expression": expression }),
    )
}

fn asking(key: &str, process: &str) -> Value {
    gated(
        key,
        json!({ "kind": "approval", "key": "boss", "label": "批准", "process": process }),
    )
}

/// An approval process one of whose steps reads a field.
fn conditional(admin: &Person, key: &str) -> Value {
    json!({ "key": key, "name": "审批", "subject_kind": "opportunity", "steps": [{
        "key": "boss", "name": "总经理", "position": 1, "mode": "any", "condition": format!("custom.{key} > 5"),
        "approvers": [{ "kind": "users", "user_ids": [admin.id] }]
    }] })
}

/// A draft; the path to publish it.
async fn draft(admin: &Person, resource: &str, document: Value) -> String {
    let path = format!("/v1/{resource}");
    let made = admin.post(&path, json!({ "document": document })).await;
    format!("{path}/{}/versions/1/publish", id(&made.expect(201)))
}

async fn process_of(admin: &Person, key: &str) -> String {
    process(admin, key, admin).await;
    let path = format!("/v1/approval-processes?key={key}");
    id(&admin.get(&path).await.expect(200)["data"][0])
}

/// Asks for that while a row is being archived; the answer comes once it is.
async fn while_archived(table: &str, row: &str, admin: &Person, path: &str, body: Value) -> Answer {
    let mut other = AsyncPgConnection::establish(&server().await.url).await.unwrap();
    let lock = format!("BEGIN; SELECT id FROM {table} WHERE id = '{row}' FOR UPDATE");
    other.batch_execute(&lock).await.unwrap();
    let archive = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let archive = format!("UPDATE {table} SET archived_at = now() WHERE id = '{row}'; COMMIT");
        other.batch_execute(&archive).await.unwrap();
    };
    tokio::join!(admin.post(path, body), archive).0
}

#[tokio::test]
async fn what_is_published_waits_for_the_archiving_of_what_it_names_and_is_then_refused() {
    let company = company().await;
    let admin = &company.administrator;
    let fields = "field_definitions";
    let area = field(admin, "lead", "area").await;
    let refused = while_archived(fields, &area, admin, "/v1/assignment-rules", rule(admin, "area")).await;
    assert_eq!(refused.refused(422), "invalid");

    let fit = field(admin, "lead", "fit").await;
    let path = draft(admin, "scoring-models", scoring("fit")).await;
    let refused = while_archived(fields, &fit, admin, &path, json!({})).await;
    assert_eq!(refused.refused(422), "not_publishable");

    let score = field(admin, "opportunity", "score").await;
    let path = draft(admin, "pipelines", reading("score")).await;
    let refused = while_archived(fields, &score, admin, &path, json!({})).await;
    assert_eq!(refused.refused(422), "not_publishable");

    let risk = field(admin, "opportunity", "risk").await;
    let path = draft(admin, "approval-processes", conditional(admin, "risk")).await;
    let refused = while_archived(fields, &risk, admin, &path, json!({})).await;
    assert_eq!(refused.refused(422), "not_publishable");

    let boss = process_of(admin, "boss").await;
    let path = draft(admin, "pipelines", asking("asking", "boss")).await;
    let refused = while_archived("approval_processes", &boss, admin, &path, json!({})).await;
    assert_eq!(refused.refused(422), "not_publishable");
}

/// Both at once: never both succeed, and one of them does.
async fn only_one(company: &Company, archived: &str, path: &str, body: Value) {
    let (one, other) = (company.administrator.clone(), company.administrator.clone());
    let (archived, path) = (archived.to_owned(), path.to_owned());
    let archive = tokio::spawn(async move { one.delete(&archived).await });
    let put = tokio::spawn(async move { other.post(&path, body).await });
    let (archive, put) = (archive.await.unwrap(), put.await.unwrap());
    match put.status {
        200 | 201 => assert_eq!(archive.refused(409), "in_use"),
        _ => {
            assert_eq!(put.status, 422, "{}", put.body);
            archive.expect(200);
        }
    }
}

#[tokio::test]
async fn of_archiving_and_publishing_at_once_one_succeeds() {
    let company = company().await;
    let admin = &company.administrator;
    for round in 0..6 {
        let key = format!("k{round}");
        let path = format!("/v1/field-definitions/{}", field(admin, "lead", &key).await);
        only_one(&company, &path, "/v1/assignment-rules", rule(admin, &key)).await;

        let key = format!("s{round}");
        let path = format!("/v1/field-definitions/{}", field(admin, "lead", &key).await);
        let publish = draft(admin, "scoring-models", scoring(&key)).await;
        only_one(&company, &path, &publish, json!({})).await;

        let key = format!("p{round}");
        let path = format!(
            "/v1/field-definitions/{}",
            field(admin, "opportunity", &key).await
        );
        let publish = draft(admin, "pipelines", reading(&key)).await;
        only_one(&company, &path, &publish, json!({})).await;

        let (key, boss) = (format!("q{round}"), format!("boss{round}"));
        let path = format!("/v1/approval-processes/{}", process_of(admin, &boss).await);
        let publish = draft(admin, "pipelines", asking(&key, &boss)).await;
        only_one(&company, &path, &publish, json!({})).await;
    }
}
