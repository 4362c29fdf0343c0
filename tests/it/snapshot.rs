//! Room 15: what is in a pipeline adds up.

use crate::support::app::{CREATED, company, id};
use crate::support::make_deals::{advance, deal, plain};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};

fn stage<'a>(snapshot: &'a Value, key: &str) -> &'a Value {
    let stages = snapshot["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["stage_key"] == key).unwrap()
}

#[actix_web::test]
async fn each_deal_is_converted_weighted_rounded_and_then_summed() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let first = deal(admin, &pipeline, Some("100000.00")).await;
    advance(admin, &first).await.expect(200);
    // 0.05 × 0.1 is 0.005, rounded away from zero to 0.01: twice, and then summed.
    deal(admin, &pipeline, Some("0.05")).await;
    deal(admin, &pipeline, Some("0.05")).await;
    deal(admin, &pipeline, None).await;
    let abroad = |currency: &str| json!({ "amount": "1000.00", "currency": currency });
    for currency in ["USD", "CHF"] {
        let made = deal(admin, &pipeline, None).await;
        admin
            .patch(&format!("/v1/opportunities/{}", id(&made)), abroad(currency))
            .await
            .expect(200);
    }
    for (day, rate) in [("2020-01-01", "7"), ("2020-01-02", "7.1")] {
        let body = json!({ "currency": "USD", "rate_on": day, "rate": rate });
        admin.post("/v1/exchange-rates", body).await.expect(CREATED);
    }
    let snapshot = admin
        .get(&format!("/v1/pipelines/{pipeline}/snapshot"))
        .await
        .expect(200);
    let one = stage(&snapshot, "one");
    assert_eq!((&one["count"], &one["without_amount"]), (&json!(5), &json!(1)));
    assert_eq!(
        (&one["amount"], &one["weighted_amount"]),
        (&json!("7100.10"), &json!("710.02"))
    );
    let two = stage(&snapshot, "two");
    assert_eq!(
        (&two["amount"], &two["weighted_amount"]),
        (&json!("100000.00"), &json!("60000.00"))
    );
    assert_eq!(stage(&snapshot, "three")["count"], 0);
    assert_eq!(
        snapshot["total"],
        json!({ "count": 6, "amount": "107100.10", "weighted_amount": "60710.02", "without_amount": 1 })
    );
    assert_eq!(snapshot["missing_rates"], json!(["CHF"]));
}

#[actix_web::test]
async fn it_counts_what_one_may_see_and_nothing_of_another_company() {
    let (ours, theirs) = (company().await, company().await);
    let admin = &ours.administrator;
    let seller = ours.member("李", "sales_representative").await;
    let pipeline = published(admin, plain()).await;
    deal(admin, &pipeline, Some("10.00")).await;
    deal(&seller, &pipeline, Some("5.00")).await;
    let here = format!("/v1/pipelines/{pipeline}/snapshot");
    assert_eq!(admin.get(&here).await.expect(200)["total"]["amount"], "15.00");
    assert_eq!(seller.get(&here).await.expect(200)["total"]["amount"], "5.00");
    assert_eq!(theirs.administrator.get(&here).await.refused(404), "not_found");
}
