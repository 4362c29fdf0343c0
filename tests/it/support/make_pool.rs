//! The pool, arranged for tests.

use super::app::{Answer, Company, Person, account, id};
use super::make_crm::lead;
use serde_json::{Value, json};

/// Makes a lead of this person's and releases it; answers its id.
pub async fn pooled_lead(person: &Person, name: &str) -> String {
    let lead = lead(person, name).await;
    release(person, "leads", &lead).await.expect(200);
    lead
}

/// Makes an account of this person's and releases it; answers its id.
pub async fn pooled_account(person: &Person, name: &str) -> String {
    let account = account(person, name).await;
    release(person, "accounts", &account).await.expect(200);
    account
}

pub async fn release(person: &Person, plural: &str, record: &str) -> Answer {
    person
        .post(
            &format!("/v1/{plural}/{record}/release"),
            json!({ "reason": "暂无预算" }),
        )
        .await
}

pub async fn claim(person: &Person, plural: &str, record: &str) -> Answer {
    person
        .post(&format!("/v1/pool/{plural}/{record}/claim"), json!({}))
        .await
}

/// Sets the quotas of leads and accounts alike.
pub async fn quotas(company: &Company, held: Option<i32>, daily: Option<i32>, cool_down: i32) {
    let mut leads = json!({ "most_held": held, "most_claimed_daily": daily, "cool_down_days": cool_down });
    let accounts = leads.clone();
    leads["takes_unassigned"] = json!(false);
    let settings = json!({ "accounts": accounts, "leads": leads });
    company
        .administrator
        .put("/v1/pool/settings", settings)
        .await
        .expect(200);
}

/// A rule of recycling; `more` are further members of it.
pub async fn rule(admin: &Person, kind: &str, position: i32, more: Value) -> String {
    let mut body = json!({ "record_kind": kind, "name": format!("规则 {position}"), "position": position });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    id(&admin.post("/v1/pool-rules", body).await.expect(201))
}

/// How a record stands with the pool.
pub async fn standing(person: &Person, plural: &str, record: &str) -> Value {
    person
        .get(&format!("/v1/{plural}/{record}/pool-standing"))
        .await
        .expect(200)
}

/// How often that happened to a record, by its timeline.
pub async fn times(company: &Company, plural: &str, record: &str, kind: &str) -> usize {
    let timeline = company
        .administrator
        .get(&format!("/v1/{plural}/{record}/timeline?limit=200"))
        .await
        .expect(200);
    let events = timeline["data"].as_array().unwrap();
    events.iter().filter(|event| event["kind"] == kind).count()
}
