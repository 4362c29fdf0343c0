//! Versions of pipelines, and migrations of deals between them, made for tests.

use super::app::{Answer, CREATED, Company, Person, database, id, server};
use super::make_deals::path as on;
use super::make_pipelines::publish;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use penstock::check;
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

/// Two stages: the first asks for two ticks and a number, the second for nothing.
pub fn first() -> Value {
    json!({ "key": "sales", "name": "一版", "stages": [
        { "key": "contact", "name": "接触", "probability": "0.1", "expected_dwell_seconds": 1000, "gate": { "kind": "all", "of": [
            { "kind": "check", "key": "met", "label": "已见面" },
            { "kind": "check", "key": "liked", "label": "有好感" },
            { "kind": "question", "key": "seats", "label": "席位", "answer": { "type": "number" } }
        ] } },
        { "key": "offer", "name": "报价", "probability": "0.5" }
    ] })
}

/// The next version: of the first stage's criteria one is the same, one is of another kind, one is gone.
pub fn second() -> Value {
    json!({ "key": "sales", "name": "二版", "stages": [
        { "key": "contact", "name": "接触", "probability": "0.2", "expected_dwell_seconds": 2000, "gate": { "kind": "all", "of": [
            { "kind": "check", "key": "met", "label": "已见面" },
            { "kind": "question", "key": "liked", "label": "好感", "answer": { "type": "bool" } }
        ] } },
        { "key": "offer", "name": "报价", "probability": "0.6" }
    ] })
}

/// Like the second, the first stage under another key.
pub fn renamed() -> Value {
    let mut document = second();
    document["stages"][0]["key"] = json!("qualify");
    document
}

pub async fn answer(person: &Person, deal: &Value, key: &str, answer: Value) {
    let body = json!({ "answer": answer });
    person
        .put(&on(deal, &format!("criteria/{key}")), body)
        .await
        .expect(200);
}

pub async fn answer_all(person: &Person, deal: &Value) {
    answer(person, deal, "met", json!(true)).await;
    answer(person, deal, "liked", json!(true)).await;
    answer(person, deal, "seats", json!("12")).await;
}

/// What of a deal a roll-back must bring back.
pub fn standing(deal: &Value) -> Value {
    let members = [
        "pipeline_version_id",
        "stage_id",
        "visit_id",
        "stage_entered_at",
        "probability",
        "status",
        "cycle",
    ];
    members.iter().map(|name| deal[*name].clone()).collect()
}

pub fn version_of(view: &Value) -> &Value {
    &view["pipeline_version_id"]
}

/// Everything that `check` finds in this company.
pub async fn findings(company: &Company) -> Vec<String> {
    let found = check::run(&server().await.url).await.unwrap();
    let found = found.iter().filter(|finding| finding.tenant == company.tenant);
    found.map(ToString::to_string).collect()
}

/// How many events of this kind a deal has.
pub async fn events(company: &Company, deal: &Value, kind: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let (tenant, deal) = (company.tenant, id(deal).parse::<uuid::Uuid>().unwrap());
    let kind = kind.to_owned();
    let count: Count = database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query(
                "SELECT count(*) AS count FROM events WHERE tenant_id = $1 AND subject_id = $2 AND kind = $3",
            );
            let query = query.bind::<SqlUuid, _>(tenant).bind::<SqlUuid, _>(deal);
            Ok(query
                .bind::<diesel::sql_types::Text, _>(kind.clone())
                .get_result(conn)
                .await?)
        })
        .await
        .unwrap();
    count.count
}
