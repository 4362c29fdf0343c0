//! What a merge that is undone, and records that end, do to scores and to the queues of reviews.

use crate::support::app::{Company, Person, account, company, id, move_clock, sandbox};
use crate::support::make_scoring::{did, document, each, lead, publish, read};
use crate::support::make_transfers::{CSV, counts, import};
use penstock::check;
use serde_json::{Value, json};

async fn merge(person: &Person, resource: &str, survivor: &str, loser: &str) -> String {
    let path = format!("/v1/{resource}/{survivor}/merge");
    let merged = person.post(&path, json!({ "loser_ids": [loser] })).await;
    let merged = merged.expect(200);
    format!(
        "/v1/{resource}/{survivor}/merges/{}/undo",
        merged["merge_id"].as_str().unwrap()
    )
}

async fn queueing(company: &Company) -> &Person {
    let admin = &company.administrator;
    let settings = json!({ "account_duplicates": "queue" });
    admin.patch("/v1/company", settings).await.expect(200);
    admin
}

async fn reviews(person: &Person, status: &str) -> Vec<Value> {
    let path = format!("/v1/duplicate-reviews?status={status}");
    let page = person.get(&path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

fn names(review: &Value, id: &str) -> bool {
    review["record_id"] == id || review["other_id"] == id
}

async fn is_clean(company: &Company) {
    let url = &crate::support::app::server().await.url;
    let mut found = check::run(url).await.unwrap();
    found.retain(|finding| finding.tenant == company.tenant);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn a_lead_whose_merge_is_undone_has_the_score_of_its_own_behaviour() {
    let company = company().await;
    let admin = &company.administrator;
    let rules = json!([each("d", "demo_requested", "20", json!({}))]);
    publish(admin, document("m", rules)).await;
    let (survivor, loser) = (lead(admin, json!({})).await, lead(admin, json!({})).await);
    did(admin, &loser, "demo_requested").await;
    let before = read(admin, &survivor).await["score"].clone();
    let undo = merge(admin, "leads", &id(&survivor), &id(&loser)).await;
    assert_eq!(read(admin, &survivor).await["score"], "20");
    admin.post(&undo, json!({})).await.expect(200);
    assert_eq!(read(admin, &survivor).await["score"], before);
    assert_eq!(read(admin, &loser).await["score"], "20");
}

#[tokio::test]
async fn the_pairs_of_a_record_go_with_it_when_it_is_merged_and_come_back() {
    let company = company().await;
    let admin = queueing(&company).await;
    let loser = account(admin, "恒信智联有限公司").await;
    let alike = account(admin, "恒信智聯科技有限公司").await;
    let survivor = account(admin, "瑞丰天泽有限公司").await;
    assert_eq!(reviews(admin, "open").await.len(), 1);
    let undo = merge(admin, "accounts", &survivor, &loser).await;
    let open = reviews(admin, "open").await;
    assert!(
        open.len() == 1 && names(&open[0], &survivor) && names(&open[0], &alike),
        "{open:?}"
    );
    is_clean(&company).await;
    let undone = admin.post(&undo, json!({})).await.expect(200);
    assert_eq!(undone["not_returned"], json!([]));
    let open = reviews(admin, "open").await;
    assert!(
        open.len() == 1 && names(&open[0], &loser) && names(&open[0], &alike),
        "{open:?}"
    );
    assert_eq!(reviews(admin, "merged").await, Vec::<Value>::new());
    is_clean(&company).await;
}

#[tokio::test]
async fn what_was_said_of_a_pair_that_both_had_is_said_again_after_the_merge_is_undone() {
    let company = company().await;
    let admin = queueing(&company).await;
    let survivor = account(admin, "恒信智联有限公司").await;
    let loser = account(admin, "恒信智联科技有限公司").await;
    let alike = account(admin, "恒信智聯股份有限公司").await;
    let pair = reviews(admin, "open").await;
    let pair = pair
        .iter()
        .find(|pair| names(pair, &loser) && names(pair, &alike));
    let path = format!("/v1/duplicate-reviews/{}", pair.unwrap()["id"].as_str().unwrap());
    let distinct = admin
        .post(&format!("{path}/decide"), json!({ "decision": "distinct" }))
        .await
        .expect(200);
    let undo = merge(admin, "accounts", &survivor, &loser).await;
    assert_eq!(admin.get(&path).await.expect(200)["status"], "merged");
    admin.post(&undo, json!({})).await.expect(200);
    let again = admin.get(&path).await.expect(200);
    for member in ["status", "decided_by", "decided_at", "record_id", "other_id"] {
        assert_eq!(again[member], distinct[member], "{member}");
    }
    // The two themselves are two.
    let two = reviews(admin, "distinct").await;
    assert!(
        two.iter()
            .any(|pair| names(pair, &survivor) && names(pair, &loser))
    );
    is_clean(&company).await;
}

#[tokio::test]
async fn a_pair_that_is_set_aside_until_a_day_is_open_again_when_it_begins() {
    let company = sandbox("2034-05-30T08:00:00Z").await;
    let admin = queueing(&company).await;
    account(admin, "恒信智联有限公司").await;
    account(admin, "恒信智聯科技有限公司").await;
    let review = reviews(admin, "open").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/duplicate-reviews/{review}/decide");
    let later = json!({ "decision": "later", "until": "2034-06-01" });
    admin.post(&path, later).await.expect(200);
    // In Shanghai it is the last of May still.
    move_clock(&company, "2034-05-31T15:59:00Z").await;
    assert_eq!(reviews(admin, "open").await, Vec::<Value>::new());
    move_clock(&company, "2034-05-31T16:00:00Z").await;
    let open = reviews(admin, "open").await;
    assert_eq!(
        (&open[0]["id"], &open[0]["later_until"], &open[0]["decided_by"]),
        (&json!(review), &Value::Null, &Value::Null)
    );
    is_clean(&company).await;
}

#[tokio::test]
async fn reviews_of_leads_that_ended_wait_out_of_sight() {
    let company = company().await;
    let admin = &company.administrator;
    let rules = json!([each("p", "price_asked", "70", json!({}))]);
    publish(admin, document("m", rules)).await;
    let made = lead(admin, json!({})).await;
    did(admin, &made, "price_asked").await;
    let waiting = async || {
        let path = "/v1/lead-reviews?status=open&with_total=true";
        let page = admin.get(path).await.expect(200);
        (
            page["data"].as_array().unwrap().len(),
            page["total"].as_i64().unwrap(),
        )
    };
    assert_eq!(waiting().await, (1, 1));
    let path = format!("/v1/leads/{}", id(&made));
    admin.delete(&path).await.expect(200);
    assert_eq!(waiting().await, (0, 0));
    admin
        .post(&format!("{path}/restore"), json!({}))
        .await
        .expect(200);
    assert_eq!(waiting().await, (1, 1));
}

#[tokio::test]
async fn a_merge_is_not_undone_while_another_record_has_come_to_an_exact_key() {
    let company = company().await;
    let admin = &company.administrator;
    let settings = json!({ "contact_duplicates": "block" });
    admin.patch("/v1/company", settings).await.expect(200);
    let contact = async |name: &str, phone: &str| {
        let body = json!({ "name": name, "phone": phone });
        id(&admin.post("/v1/contacts", body).await.expect(201))
    };
    let (survivor, loser) = (
        contact("王芳", "13900139000").await,
        contact("王女士", "13700137000").await,
    );
    let path = format!("/v1/contacts/{survivor}");
    let undo = merge(admin, "contacts", &survivor, &loser).await;
    let taken = json!({ "phone": "13700137000" });
    admin.patch(&path, taken).await.expect(200);
    let refused = admin.post(&undo, json!({})).await;
    assert_eq!(refused.refused(409), "duplicate");
    assert_eq!(refused.faults()[0].0, "/phone");
    assert_eq!(refused.body["duplicates"][0]["id"], json!(survivor));
    assert!(
        refused.body["detail"].as_str().unwrap().contains("王芳"),
        "{}",
        refused.body
    );
    is_clean(&company).await;
    let own = json!({ "phone": "13900139000" });
    admin.patch(&path, own).await.expect(200);
    let third = contact("赵敏", "13700137000").await;
    let refused = admin.post(&undo, json!({})).await;
    assert_eq!(refused.refused(409), "duplicate");
    assert_eq!(refused.body["duplicates"][0]["id"], json!(third));
    admin.delete(&format!("/v1/contacts/{third}")).await.expect(200);
    admin.post(&undo, json!({})).await.expect(200);
    is_clean(&company).await;
}

#[tokio::test]
async fn records_that_had_one_key_before_their_merge_have_it_again_after_it_is_undone() {
    let company = company().await;
    let admin = &company.administrator;
    let mut ids = Vec::new();
    for (name, setting) in [("王芳", "warn"), ("王女士", "block")] {
        let body = json!({ "name": name, "phone": "13900139000" });
        ids.push(id(&admin.post("/v1/contacts", body).await.expect(201)));
        let settings = json!({ "contact_duplicates": setting });
        admin.patch("/v1/company", settings).await.expect(200);
    }
    for (survivor, loser) in [(0, 1), (1, 0)] {
        let undo = merge(admin, "contacts", &ids[survivor], &ids[loser]).await;
        is_clean(&company).await;
        admin.post(&undo, json!({})).await.expect(200);
        is_clean(&company).await;
    }
}

#[tokio::test]
async fn a_switchboard_of_many_hides_nobodys_own_key() {
    let company = company().await;
    let admin = &company.administrator;
    let settings = json!({ "contact_duplicates": "block" });
    admin.patch("/v1/company", settings).await.expect(200);
    let mut table = String::from("name,phone,email\n");
    for number in 0..120 {
        table.push_str(&format!("客户{number},021-68888888,c{number}@x.example\n"));
    }
    let job = import(admin, CSV, table, json!({ "resource": "contact" })).await;
    assert_eq!(counts(&job), [120, 0, 0, 0]);
    for number in [0, 60, 119] {
        let body = json!({ "name": "x", "phone": "021-68888888", "email": format!("c{number}@x.example") });
        let refused = admin.post("/v1/contacts", body).await;
        assert_eq!(refused.refused(409), "duplicate");
        assert_eq!(refused.body["duplicates"][0]["is_exact"], true);
    }
}
