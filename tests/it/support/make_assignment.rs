//! What the tests of assignment and hand-overs have in common.

use super::app::{Company, Person, id};
use serde_json::{Value, json};

/// Several representatives.
pub async fn people(company: &Company, count: usize) -> Vec<Person> {
    let mut people = Vec::new();
    for number in 0..count {
        people.push(
            company
                .member(&format!("销售{number}"), "sales_representative")
                .await,
        );
    }
    people
}

/// A rule over these people, for new leads, in turn; `more` are further members of it. Answers its id.
pub async fn rule(company: &Company, people: &[Person], more: Value) -> String {
    let candidates = people.iter().map(|person| json!({ "user_id": person.id }));
    let mut body = json!({ "name": "规则", "position": 10, "trigger": "created", "strategy": "round_robin",
        "candidates": candidates.collect::<Vec<_>>() });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    id(&company
        .administrator
        .post("/v1/assignment-rules", body)
        .await
        .expect(201))
}

pub async fn settings(company: &Company, patch: Value) -> Value {
    company
        .administrator
        .patch("/v1/assignment-settings", patch)
        .await
        .expect(200)
}

/// A lead with these members, made by the administrator.
pub async fn lead_with(company: &Company, more: Value) -> Value {
    let mut body = json!({ "name": "王芳" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    company.administrator.post("/v1/leads", body).await.expect(201)
}

/// How many of these leads each of the people owns.
pub fn owned(leads: &[Value], people: &[Person]) -> Vec<usize> {
    let of = |person: &Person| {
        leads
            .iter()
            .filter(|lead| lead["owner_id"] == json!(person.id))
            .count()
    };
    people.iter().map(of).collect()
}

/// Nothing breaks an invariant in this company.
pub async fn check(company: &Company) {
    let found = penstock::check::run(&super::app::server().await.url)
        .await
        .unwrap();
    let own = found
        .into_iter()
        .filter(|finding| finding.tenant == company.tenant)
        .map(|finding| finding.to_string());
    assert_eq!(own.collect::<Vec<_>>(), Vec::<String>::new());
}
