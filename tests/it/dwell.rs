//! How long a stay in a stage lasted.

use crate::support::app::{CREATED, sandbox};
use crate::support::make_deals::{advance, deal, path, plain};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};

#[actix_web::test]
async fn the_time_that_a_deal_was_closed_is_left_out_of_its_stay() {
    let company = sandbox("2024-03-04T01:00:00Z").await;
    let admin = &company.administrator;
    let clock = async |now: &str| {
        let moved = admin.post("/v1/company/clock", json!({ "now": now })).await;
        moved.expect(200);
    };
    admin
        .post("/v1/loss-reasons", json!({ "key": "slip", "name": "误操作" }))
        .await
        .expect(CREATED);
    let pipeline = published(admin, plain()).await;
    let deal = deal(admin, &pipeline, None).await;
    // Open for 2 hours, closed for 8; open for 1 more, closed for 24; then open for 3.
    for (lost, reopened) in [
        ("2024-03-04T03:00:00Z", "2024-03-04T11:00:00Z"),
        ("2024-03-04T12:00:00Z", "2024-03-05T12:00:00Z"),
    ] {
        clock(lost).await;
        let lose = json!({ "loss_reason_key": "slip", "reason": "点错" });
        admin.post(&path(&deal, "lose"), lose).await.expect(200);
        clock(reopened).await;
        let reopen = json!({ "reason": "误操作" });
        admin.post(&path(&deal, "reopen"), reopen).await.expect(200);
    }
    clock("2024-03-05T15:00:00Z").await;
    advance(admin, &deal).await.expect(200);
    let list = admin.get(&path(&deal, "transitions")).await.expect(200);
    let lasted = |kind: &str| {
        let rows = list["data"].as_array().unwrap().iter();
        let of_kind = rows.filter(|row| row["kind"] == kind);
        of_kind
            .map(|row| row["dwell_seconds"].clone())
            .collect::<Vec<Value>>()
    };
    const HOUR: i64 = 3600;
    assert_eq!(lasted("lose"), [json!(2 * HOUR), json!(3 * HOUR)]);
    assert_eq!(lasted("advance"), [json!(6 * HOUR)]);
}
