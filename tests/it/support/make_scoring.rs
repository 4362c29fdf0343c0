//! Scoring models, leads and behaviour, made for tests.

use super::app::{Person, id};
use serde_json::{Value, json};

/// A model's document of these rules, limits 30 and 60.
pub fn document(key: &str, rules: Value) -> Value {
    json!({ "key": key, "name": key, "name_zh": "评分", "rules": rules,
        "limits": { "marketing_qualified": "30", "sales_qualified": "60" } })
}

pub fn when(key: &str, points: &str, condition: &str) -> Value {
    json!({ "key": key, "name": key, "dimension": "fit", "points": points, "condition": condition })
}

pub fn each(key: &str, kind: &str, points: &str, more: Value) -> Value {
    let mut behaviour = json!({ "kind": kind });
    for (name, value) in more.as_object().unwrap() {
        behaviour[name] = value.clone();
    }
    json!({ "key": key, "name": key, "dimension": "behavioural", "points": points, "behaviour": behaviour })
}

/// Makes and publishes a model; answers its path.
pub async fn publish(admin: &Person, document: Value) -> String {
    let made = admin
        .post("/v1/scoring-models", json!({ "document": document }))
        .await
        .expect(201);
    let path = format!("/v1/scoring-models/{}", id(&made));
    admin
        .post(&format!("{path}/versions/1/publish"), json!({}))
        .await
        .expect(200);
    path
}

pub async fn lead(person: &Person, more: Value) -> Value {
    let mut body = json!({ "name": "王芳" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    person.post("/v1/leads", body).await.expect(201)
}

pub async fn did(person: &Person, lead: &Value, kind: &str) -> Value {
    let path = format!("/v1/leads/{}/behaviours", id(lead));
    person.post(&path, json!({ "kind": kind })).await.expect(201)
}

pub async fn read(person: &Person, lead: &Value) -> Value {
    person.get(&format!("/v1/leads/{}", id(lead))).await.expect(200)
}

pub async fn score(person: &Person, lead: &Value) -> Value {
    person
        .get(&format!("/v1/leads/{}/score", id(lead)))
        .await
        .expect(200)
}

pub fn points(text: &Value) -> i64 {
    let text = text.as_str().unwrap();
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{places:0<4}").parse().unwrap()
}

/// Scores all leads anew and waits for the job's result.
pub async fn rescore(admin: &Person, version: &str, is_preview: bool) -> Value {
    let asked = admin
        .post(&format!("{version}/rescore"), json!({ "is_preview": is_preview }))
        .await
        .expect(202);
    for _ in 0..200 {
        let job = admin.get(&format!("/v1/jobs/{}", id(&asked))).await.expect(200);
        match job["state"].as_str().unwrap() {
            "done" => return job["result"].clone(),
            "queued" | "running" => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            other => panic!("{other}: {job}"),
        }
    }
    panic!("the job does not end")
}
