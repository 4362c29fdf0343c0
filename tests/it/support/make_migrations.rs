//! Versions of pipelines, and migrations of deals between them, made for tests.

use super::app::{Answer, CREATED, Person, id};
use super::make_pipelines::publish;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Publishes this document as the next version of a pipeline; the key is the pipeline's.
pub async fn next_version(admin: &Person, pipeline: &str, document: Value) -> Value {
    let made = admin
        .post(
            &format!("/v1/pipelines/{pipeline}/versions"),
            json!({ "document": document }),
        )
        .await
        .expect(CREATED);
    let number = i32::try_from(made["number"].as_i64().unwrap()).unwrap();
    publish(admin, pipeline, number).await
}

pub async fn preview(person: &Person, pipeline: &str, body: Value) -> Answer {
    person
        .post(&format!("/v1/pipelines/{pipeline}/migrations/preview"), body)
        .await
}

pub async fn ask(person: &Person, pipeline: &str, body: Value) -> Answer {
    person
        .post(&format!("/v1/pipelines/{pipeline}/migrations"), body)
        .await
}

pub async fn dry_run(person: &Person, path: &str, body: &Value) -> Answer {
    let request = person.request(Method::POST, path).await;
    Answer::of(request.header("prefer", "dry-run").json(body)).await
}

/// Follows the job that an answer names to its end; gives the migration then.
pub async fn finished(person: &Person, asked: Answer) -> Value {
    let location = asked.header("location").to_owned();
    let migration = asked.expect(202);
    for _ in 0..600 {
        let job = person.get(&location).await.expect(200);
        match job["state"].as_str().unwrap() {
            "queued" | "running" => tokio::time::sleep(Duration::from_millis(50)).await,
            "done" => return person.get(&path(&migration, "")).await.expect(200),
            _ => panic!("{job}"),
        }
    }
    panic!("the job does not end");
}

/// Migrates, and waits for its end.
pub async fn migrate(person: &Person, pipeline: &str, body: Value) -> Value {
    finished(person, ask(person, pipeline, body).await).await
}

/// Takes a migration back, and waits for its end.
pub async fn roll_back(person: &Person, migration: &Value) -> Value {
    let asked = person.post(&path(migration, "/roll-back"), json!({})).await;
    finished(person, asked).await
}

pub fn path(migration: &Value, rest: &str) -> String {
    let pipeline = migration["pipeline_id"].as_str().unwrap();
    format!("/v1/pipelines/{pipeline}/migrations/{}{rest}", id(migration))
}

/// What became of the deals of a migration, on one page.
pub async fn results(person: &Person, migration: &Value) -> Vec<Value> {
    let page = person.get(&path(migration, "/deals?limit=200")).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

/// The row of a deal among rows that name opportunities.
#[track_caller]
pub fn of<'a>(rows: &'a [Value], deal: &Value) -> &'a Value {
    let mut rows = rows.iter();
    rows.find(|row| row["opportunity_id"] == deal["id"]).unwrap()
}
