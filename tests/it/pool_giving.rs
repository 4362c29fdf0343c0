//! Rooms 2 and 3: what goes from the pool to people by a word or by the rules, and comes back.

use crate::support::app::{Answer, Person, company, id, server};
use crate::support::make_assignment::{check, lead_with, people, rule, settings};
use crate::support::make_crm::{lead, source};
use crate::support::make_pool::{claim, pooled_lead, release};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

async fn dry_run(person: &Person, path: &str, body: &Value) -> Answer {
    let request = person.request(Method::POST, path).await;
    Answer::of(request.header("prefer", "dry-run").json(body)).await
}

/// The members of a record, in the order of their names.
fn members(body: &Value) -> Vec<&str> {
    let mut names = body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect::<Vec<_>>();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn whoever_gives_a_lead_away_that_they_see_only_masked_reads_no_more_of_it() {
    let company = company().await;
    let admin = &company.administrator;
    let boss = company.member("组长", "sales_lead").await;
    let wang = json!({ "phone": "+86 138 0013 8000", "email": "wang@example.com" });
    let pooled = id(&lead_with(&company, wang).await);
    release(admin, "leads", &pooled).await.expect(200);
    let website = source(admin, json!({})).await;
    let unseen = website
        .deliver("d1", &json!({ "name": "张伟" }))
        .await
        .expect(201);
    let unseen = unseen["lead_id"].as_str().unwrap();
    rule(&company, std::slice::from_ref(&boss), json!({})).await;

    let shown = ["id", "kind", "owner_id", "path"];
    let path = format!("/v1/leads/{pooled}/assign");
    let by_word = json!({ "owner_id": boss.id });
    for body in [&by_word, &json!({})] {
        let dry = dry_run(&boss, &path, body).await.expect(200);
        assert_eq!(members(&dry), shown);
        assert_eq!(dry["owner_id"], json!(boss.id));
    }
    let items = json!([{ "id": pooled, "owner_id": boss.id }, { "id": unseen, "owner_id": boss.id }, { "id": unseen }]);
    let many = dry_run(
        &boss,
        "/v1/leads/batch-assign",
        &json!({ "mode": "each", "items": items }),
    )
    .await
    .expect(200);
    assert_eq!(members(&many["results"][0]["body"]), shown);
    assert_eq!(
        (&many["results"][1]["status"], &many["results"][2]["status"]),
        (&json!(404), &json!(404))
    );
    // What never was in the pool is marketing's: seen, and given, by those whose scope is everything.
    let unseen = format!("/v1/leads/{unseen}/assign");
    assert_eq!(
        boss.post(&unseen, by_word.clone()).await.refused(404),
        "not_found"
    );
    let given = admin.post(&unseen, by_word.clone()).await.expect(200);
    assert_eq!(given["name"], "张伟");

    assert_eq!(members(&boss.post(&path, by_word).await.expect(200)), shown);
    let read = boss.get(&format!("/v1/leads/{pooled}")).await.expect(200);
    assert_eq!(read["email"], "wang@example.com");
    check(&company).await;
}

#[tokio::test]
async fn what_somebody_else_released_its_owner_does_not_take_back() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let lead = lead(&li, "王芳").await;
    let undo = format!("/v1/pool/leads/{lead}/undo");
    release(admin, "leads", &lead).await.expect(200);
    assert_eq!(li.post(&undo, json!({})).await.refused(403), "forbidden");
    admin.post(&undo, json!({})).await.expect(200);
    release(&li, "leads", &lead).await.expect(200);
    li.post(&undo, json!({})).await.expect(200);
    check(&company).await;
}

#[tokio::test]
async fn whoever_is_full_gets_their_own_release_back_and_nothing_else_without_a_reason() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    settings(&company, json!({ "lead_capacity": 1 })).await;
    let own = pooled_lead(&li, "王芳").await;
    lead_with(&company, json!({ "owner_id": li.id })).await;
    li.post(&format!("/v1/pool/leads/{own}/undo"), json!({}))
        .await
        .expect(200);
    let more = pooled_lead(admin, "张伟").await;
    let claimed = claim(&li, "leads", &more).await;
    assert_eq!(claimed.refused(409), "over_capacity");
    assert!(!claimed.body.to_string().contains("override_capacity with"));
    let assign = format!("/v1/pool/leads/{more}/assign");
    let mut body = json!({ "owner_id": li.id });
    assert_eq!(
        admin.post(&assign, body.clone()).await.refused(409),
        "over_capacity"
    );
    body["override_capacity"] = json!({ "reason": "老客户指定" });
    admin.post(&assign, body).await.expect(200);
    check(&company).await;
}

#[tokio::test]
async fn an_undone_assignment_returns_a_lead_to_the_pool_that_it_came_from() {
    let company = company().await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    let lead = pooled_lead(&two[0], "王芳").await;
    let seen = two[1].get("/v1/pool/leads").await.expect(200)["data"][0].clone();
    let path = format!("/v1/leads/{lead}");
    admin
        .post(&format!("{path}/assign"), json!({ "owner_id": two[1].id }))
        .await
        .expect(200);
    assert_eq!(two[1].get("/v1/pool/leads").await.expect(200)["data"], json!([]));
    let undone = admin
        .post(&format!("{path}/unassign"), json!({}))
        .await
        .expect(200);
    assert_eq!(undone["owner_id"], json!(null));
    let again = two[1].get("/v1/pool/leads").await.expect(200)["data"][0].clone();
    let kept = |seen: &Value| ["id", "since", "why", "last_owner_id"].map(|member| seen[member].clone());
    assert_eq!(kept(&again), kept(&seen));
    claim(&two[1], "leads", &lead).await.expect(200);
    check(&company).await;
}

#[tokio::test]
async fn leads_of_a_batch_go_by_the_rules_once_all_are_made() {
    let company = company().await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    rule(&company, &two, json!({})).await;
    let website = source(admin, json!({})).await;
    let fair = source(admin, json!({ "key": "fair", "is_intake_open": false })).await;
    let create = |body: Value| json!({ "method": "create", "body": body });
    let batch = |items: Vec<Value>| json!({ "mode": "each", "items": items });
    let four = (0..4).map(|_| create(json!({ "name": "王芳" }))).collect();
    let made = admin.post("/v1/leads/batch", batch(four)).await.expect(200);
    let owners = made["results"].as_array().unwrap().iter();
    let owners = owners
        .map(|one| one["body"]["owner_id"].clone())
        .collect::<Vec<_>>();
    for person in &two {
        assert_eq!(
            owners.iter().filter(|owner| **owner == json!(person.id)).count(),
            2
        );
    }
    let read = admin
        .get(&format!("/v1/leads/{}", id(&made["results"][0]["body"])))
        .await
        .expect(200);
    assert_eq!((&read["owner_id"], &read["version"]), (&owners[0], &json!(1)));

    // While a batch waits for something of its second lead, deliveries go on.
    let mut other = AsyncPgConnection::establish(&server().await.url).await.unwrap();
    let hold = format!(
        "BEGIN; SELECT id FROM lead_sources WHERE id = '{}' FOR UPDATE",
        fair.id
    );
    other.batch_execute(&hold).await.unwrap();
    let items = vec![
        create(json!({ "name": "张伟" })),
        create(json!({ "name": "赵敏", "source_id": fair.id })),
    ];
    let (person, body) = (admin.clone(), batch(items));
    let waiting = tokio::spawn(async move { person.post("/v1/leads/batch", body).await });
    tokio::time::sleep(Duration::from_millis(400)).await;
    website
        .deliver("d1", &json!({ "name": "孙丽" }))
        .await
        .expect(201);
    assert!(!waiting.is_finished());
    other.batch_execute("ROLLBACK").await.unwrap();
    waiting.await.unwrap();
    check(&company).await;
}

#[tokio::test]
async fn deliveries_replayed_together_go_by_the_rules_together() {
    let company = company().await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    rule(&company, &two, json!({})).await;
    let website = source(admin, json!({})).await;
    for number in 0..4 {
        let body = json!({ "who": format!("王{number}") });
        website.deliver(&format!("d{number}"), &body).await.expect(202);
    }
    let mapping = json!({ "mapping": { "name": { "pointer": "/who" } } });
    admin
        .patch(&format!("/v1/lead-sources/{}", website.id), mapping)
        .await
        .expect(200);
    let replayed = admin
        .post("/v1/intakes/replay", json!({ "filter": {} }))
        .await
        .expect(200);
    assert_eq!(replayed["succeeded"], 4);
    for person in &two {
        let path = format!("/v1/leads?owner_id={}&with_total=true", person.id);
        assert_eq!(admin.get(&path).await.expect(200)["total"], 2);
    }
    check(&company).await;
}
