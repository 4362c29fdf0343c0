//! Reads that happen at the same moment are answered together, and each as if it were alone.

use crate::support::app::{Person, account, company, id};
use crate::support::make_deals::{gated, plain};
use crate::support::make_pipelines::published;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

async fn deals(owner: &Person, pipeline: &str, names: &str, count: usize) -> Vec<Value> {
    let account_id = account(owner, names).await;
    let make = async |n: usize| {
        let body =
            json!({ "name": format!("{names}{n}"), "account_id": account_id, "pipeline_id": pipeline });
        owner.post("/v1/opportunities", body).await.expect(201)
    };
    join_all((0..count).map(make)).await
}

#[actix_web::test]
async fn each_of_many_readers_gets_the_deal_they_asked_for_and_none_that_they_may_not_see() {
    let company = company().await;
    let pipeline = published(&company.administrator, plain()).await;
    let (li, wang) = (
        company.member("李", "sales_representative").await,
        company.member("王", "sales_representative").await,
    );
    let mut all = deals(&li, &pipeline, "甲", 8).await;
    all.extend(deals(&wang, &pipeline, "乙", 8).await);
    let readers = [&company.administrator, &li, &wang];
    let asked = all
        .iter()
        .flat_map(|deal| readers.map(|reader| (deal, reader)))
        .map(async |(deal, reader)| {
            let answer = reader.get(&format!("/v1/opportunities/{}", id(deal))).await;
            let is_theirs = deal["owner_id"] == json!(reader.id);
            if is_theirs || reader.id == company.administrator.id {
                assert_eq!(answer.expect(200)["name"], deal["name"]);
            } else {
                assert_eq!(answer.refused(404), "not_found");
            }
        });
    join_all(asked).await;
}

#[actix_web::test]
async fn two_who_ask_for_the_same_deal_at_once_both_get_it_and_who_asks_for_none_gets_none() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let deal = deals(admin, &pipeline, "甲", 1).await.remove(0);
    let here = format!("/v1/opportunities/{}", id(&deal));
    let nowhere = format!("/v1/opportunities/{}", Uuid::now_v7());
    let asked = (0..40).map(async |n| {
        if n % 4 == 0 {
            assert_eq!(admin.get(&nowhere).await.refused(404), "not_found");
        } else {
            assert_eq!(admin.get(&here).await.expect(200)["id"], deal["id"]);
        }
    });
    join_all(asked).await;
}

#[actix_web::test]
async fn gates_of_different_shape_explained_at_once_are_each_their_own() {
    let company = company().await;
    let admin = &company.administrator;
    let (open, closed) = (published(admin, plain()).await, published(admin, gated()).await);
    let mut all = deals(admin, &open, "甲", 5).await;
    all.extend(deals(admin, &closed, "乙", 5).await);
    let asked = all.iter().map(async |deal| {
        let gate = admin.get(&format!("/v1/opportunities/{}/gate", id(deal))).await;
        let gate = gate.expect(200);
        assert_eq!(
            (&gate["opportunity_id"], &gate["visit_id"], &gate["stage_id"]),
            (&deal["id"], &deal["visit_id"], &deal["stage_id"])
        );
        let is_open = deal["pipeline_id"] == json!(open);
        assert_eq!(gate["gate"]["state"] == "open", is_open, "{}", gate["gate"]);
    });
    join_all(asked).await;
}
