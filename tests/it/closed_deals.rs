//! What may follow the end of a deal, and what may be said of it.

use crate::support::app::{CREATED, Company, Person, company, id};
use crate::support::make_deals::{deal_in, path, plain, read};
use serde_json::{Value, json};

/// A deal that somebody lost who has left since.
async fn left_behind(company: &Company, leaver: &Person) -> Value {
    let admin = &company.administrator;
    let deal = deal_in(company, leaver, plain()).await;
    let reason = json!({ "key": "gone", "name": "客户取消" });
    admin.post("/v1/loss-reasons", reason).await.expect(CREATED);
    let lose = json!({ "loss_reason_key": "gone", "reason": "取消" });
    leaver.post(&path(&deal, "lose"), lose).await.expect(200);
    deal
}

#[tokio::test]
async fn a_lost_deal_of_somebody_who_left_goes_on_only_with_another_owner() {
    let company = company().await;
    let admin = &company.administrator;
    let leaver = company.member("李", "sales_representative").await;
    let heir = company.member("王", "sales_representative").await;
    let deal = left_behind(&company, &leaver).await;
    let to_heir = json!({ "owner_id": heir.id });
    let early = admin.post(&path(&deal, "assign"), to_heir.clone()).await;
    assert_eq!(early.refused(409), "already_closed");
    let leaves = format!("/v1/users/{}/deactivate", leaver.id);
    admin
        .post(&leaves, json!({ "successor_id": heir.id }))
        .await
        .expect(200);

    let on = [("restart", json!({})), ("reopen", json!({ "reason": "误操作" }))];
    for (verb, body) in &on {
        let refused = admin.post(&path(&deal, verb), body.clone()).await;
        assert_eq!(refused.refused(409), "conflict");
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains("/v1/opportunities/{id}/assign"), "{detail}");
    }
    let more = json!({ "owner_id": heir.id, "name": "另一名称" });
    let here = format!("/v1/opportunities/{}", id(&deal));
    assert_eq!(admin.patch(&here, more).await.refused(409), "already_closed");
    let again = json!({ "owner_id": admin.id });
    admin.post(&path(&deal, "assign"), to_heir).await.expect(200);
    let again = admin.post(&path(&deal, "assign"), again).await;
    assert_eq!(again.refused(409), "already_closed");
    let restarted = heir.post(&path(&deal, "restart"), json!({})).await.expect(200);
    assert_eq!(restarted["status"], "open");
    assert_eq!(read(&heir, &deal).await["owner_id"], json!(heir.id));
}

#[tokio::test]
async fn a_deal_is_not_lost_to_a_competitor_that_is_archived() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    let reason = json!({ "key": "price", "name": "价格" });
    admin.post("/v1/loss-reasons", reason).await.expect(CREATED);
    let competitor = json!({ "name": "某竞品" });
    let competitor = id(&admin.post("/v1/competitors", competitor).await.expect(CREATED));
    let here = format!("/v1/competitors/{competitor}");
    admin.delete(&here).await.expect(200);
    let lose = json!({ "loss_reason_key": "price", "reason": "价格", "competitor_id": competitor });
    let refused = admin.post(&path(&deal, "lose"), lose.clone()).await;
    assert_eq!(
        refused.faults(),
        [("/competitor_id".to_owned(), "not_found".to_owned())]
    );
    admin
        .post(&format!("{here}/restore"), json!({}))
        .await
        .expect(200);
    admin.post(&path(&deal, "lose"), lose).await.expect(200);
}
