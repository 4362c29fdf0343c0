//! Files sent in, imports and exports waited for.

use super::app::{Answer, Person};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

pub const CSV: &str = "text/csv";
pub const NDJSON: &str = "application/x-ndjson";
pub const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Sends a file in.
pub async fn send(person: &Person, kind: &str, bytes: impl Into<Vec<u8>>) -> Answer {
    let request = person.request(Method::POST, "/v1/import-files?name=test").await;
    Answer::of(request.header("content-type", kind).body(bytes.into())).await
}

/// Sends a file in that must be taken, and answers its id.
pub async fn sent(person: &Person, kind: &str, bytes: impl Into<Vec<u8>>) -> String {
    let file = send(person, kind, bytes).await.expect(201);
    file["id"].as_str().unwrap().to_owned()
}

/// Waits for the job that an answer names.
pub async fn done(person: &Person, asked: Answer) -> Value {
    let path = asked.header("location").to_owned();
    asked.expect(202);
    for _ in 0..4800 {
        let job = person.get(&path).await.expect(200);
        if !job["ended_at"].is_null() {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} does not end");
}

/// Imports a table with these options.
pub async fn import(person: &Person, kind: &str, bytes: impl Into<Vec<u8>>, mut options: Value) -> Value {
    options["file_id"] = json!(sent(person, kind, bytes).await);
    done(person, person.post("/v1/imports", options).await).await
}

/// The counts of an import: created, updated, unchanged, failed.
#[track_caller]
pub fn counts(job: &Value) -> [i64; 4] {
    assert_eq!(job["state"], "done", "{job}");
    ["created", "updated", "unchanged", "failed"].map(|name| job["result"][name].as_i64().unwrap())
}

/// Pointers and codes of a job's errors, by row.
pub async fn errors(person: &Person, job: &Value) -> Vec<(i64, String, String)> {
    let path = job["links"]["errors"].as_str().unwrap().to_owned();
    let list = person.get(&format!("{path}?limit=200")).await.expect(200);
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    let errors = list["data"].as_array().unwrap().iter();
    errors
        .map(|error| {
            (
                error["row"].as_i64().unwrap(),
                text(error, "pointer"),
                text(error, "code"),
            )
        })
        .collect()
}

/// Everything that a path answers, as bytes.
pub async fn download(person: &Person, path: &str) -> Vec<u8> {
    let response = person.request(Method::GET, path).await.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap().to_vec()
}
