//! Pipelines and what they need, made for tests.

use super::app::{CREATED, Person, id};
use serde_json::{Value, json};

/// A document of simple stages with these keys, in order.
pub fn simple(key: &str, stages: &[&str]) -> Value {
    let stages = stages.iter().map(|stage| stage_of(stage)).collect::<Vec<_>>();
    json!({ "key": key, "name": "简单流程", "stages": stages })
}

/// A stage without a gate.
pub fn stage_of(key: &str) -> Value {
    json!({ "key": key, "name": key, "probability": "0.5" })
}

/// A pipeline of that document, made and its first version published; its id.
pub async fn published(person: &Person, document: Value) -> String {
    let made = person
        .post("/v1/pipelines", json!({ "document": document }))
        .await;
    let pipeline = id(&made.expect(CREATED));
    publish(person, &pipeline, 1).await;
    pipeline
}

/// Publishes a version; gives it.
pub async fn publish(person: &Person, pipeline: &str, number: i32) -> Value {
    let path = format!("/v1/pipelines/{pipeline}/versions/{number}/publish");
    person.post(&path, json!({})).await.expect(200)
}
