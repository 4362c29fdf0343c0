//! Money: amounts and their currencies, wherever they come in.

use crate::support::app::{CREATED, account, company, id};
use crate::support::make_deals::{advance, criterion, deal, deal_in, gate, path, plain};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};

fn too_precise(pointer: &str) -> [(String, String); 1] {
    [(pointer.to_owned(), "too_precise".to_owned())]
}

#[actix_web::test]
async fn a_gate_reads_the_amount_in_the_companys_currency() {
    let company = company().await;
    let admin = &company.administrator;
    let document = json!({ "key": "limit", "name": "限额", "stages": [
        { "key": "a", "name": "甲", "probability": "0.5", "gate": { "kind": "all", "of": [
            { "kind": "field", "key": "small", "label": "小额", "expression": "amount <= 100000" }
        ] } },
        { "key": "b", "name": "乙", "probability": "0.9" }
    ] });
    let pipeline = published(admin, document).await;
    let account_id = account(admin, "示例").await;
    let body = json!({ "name": "出口", "account_id": account_id, "pipeline_id": pipeline, "amount": "50000", "currency": "USD" });
    let deal = admin.post("/v1/opportunities", body).await.expect(CREATED);

    let untold = gate(admin, &deal).await;
    let small = criterion(&untold["gate"]["tree"], "small").unwrap();
    assert_eq!(small["state"], "unknown");
    assert!(small["reason"].as_str().unwrap().contains("USD"), "{small}");
    assert_eq!(small["call"]["path"], "/v1/exchange-rates");
    assert_eq!(advance(admin, &deal).await.refused(409), "gate_not_met");

    let rate = json!({ "currency": "USD", "rate_on": "2020-01-01", "rate": "7.1" });
    let rate = admin.post("/v1/exchange-rates", rate).await.expect(CREATED);
    let dear = gate(admin, &deal).await;
    let small = criterion(&dear["gate"]["tree"], "small").unwrap();
    assert_eq!(small["state"], "unmet");
    let values = &small["evidence"]["values"];
    assert_eq!(
        *values,
        json!({ "amount": "50000.00", "currency": "USD", "amount_in_company_currency": "355000.00" })
    );
    let path = format!("/v1/exchange-rates/{}", id(&rate));
    admin.patch(&path, json!({ "rate": "1.5" })).await.expect(200);
    advance(admin, &deal).await.expect(200);
}

#[actix_web::test]
async fn another_currency_never_rounds_an_amount_that_stays() {
    let company = company().await;
    let admin = &company.administrator;
    let body = json!({ "code": "P", "name": "品", "price": "5.55", "cost": "1.25", "currency": "CNY" });
    let product = admin.post("/v1/products", body).await.expect(CREATED);
    let path = format!("/v1/products/{}", id(&product));
    let refused = admin
        .patch(&path, json!({ "currency": "JPY", "price": "6" }))
        .await;
    assert_eq!(refused.faults(), too_precise("/cost"));
    let whole = json!({ "currency": "JPY", "price": "6", "cost": "1" });
    assert_eq!(admin.patch(&path, whole).await.expect(200)["price"], "6");
    let back = admin.patch(&path, json!({ "currency": "CNY" })).await.expect(200);
    assert_eq!(back["price"], "6.00");
}

#[actix_web::test]
async fn amounts_in_own_fields_follow_the_currency_of_their_record() {
    let company = company().await;
    let admin = &company.administrator;
    let field = json!({ "resource": "account", "key": "limit", "label": "额度", "kind": "money" });
    admin.post("/v1/field-definitions", field).await.expect(CREATED);
    let refused =
        json!({ "name": "甲", "owner_id": uuid::Uuid::nil(), "custom": { "limit": "12.3456", "none": "5" } });
    let mut faults = admin.post("/v1/accounts", refused).await.faults();
    faults.sort();
    let expected = [
        ("/custom/limit", "too_precise"),
        ("/custom/none", "unknown_field"),
        ("/owner_id", "not_found"),
    ];
    assert_eq!(
        faults,
        expected.map(|(at, code)| (at.to_owned(), code.to_owned()))
    );
    let wrong = json!({ "name": "甲", "custom": { "limit": 5 } });
    let wrong = admin.post("/v1/accounts", wrong).await.faults();
    assert_eq!(wrong, [("/custom/limit".to_owned(), "wrong_type".to_owned())]);
    let body = json!({ "name": "甲", "custom": { "limit": "12.5" } });
    let made = admin.post("/v1/accounts", body).await.expect(CREATED);
    assert_eq!(made["custom"]["limit"], "12.50");
}

#[actix_web::test]
async fn only_currencies_of_iso_4217_are_taken_and_rates_only_of_foreign_ones() {
    let company = company().await;
    let admin = &company.administrator;
    let rate =
        |currency: &str, rate: &str| json!({ "currency": currency, "rate_on": "2024-01-01", "rate": rate });
    let cases: [(&str, Value, &str, &str); 5] = [
        (
            "/v1/products",
            json!({ "code": "P", "name": "品", "price": "1", "currency": "ZZZ" }),
            "/currency",
            "unknown_value",
        ),
        (
            "/v1/exchange-rates",
            rate("ZZZ", "1"),
            "/currency",
            "unknown_value",
        ),
        ("/v1/exchange-rates", rate("CNY", "1"), "/currency", "invalid"),
        ("/v1/exchange-rates", rate("USD", "0"), "/rate", "out_of_range"),
        (
            "/v1/accounts",
            json!({ "name": "甲", "custom": { "x": "1" } }),
            "/custom/x",
            "unknown_field",
        ),
    ];
    for (path, body, pointer, code) in cases {
        let faults = admin.post(path, body.clone()).await.faults();
        assert_eq!(faults, [(pointer.to_owned(), code.to_owned())], "{path} {body}");
    }
    let settings = admin.patch("/v1/company", json!({ "currency": "ZZZ" })).await;
    assert_eq!(settings.status, 422);
}

#[actix_web::test]
async fn a_line_is_of_some_quantity_at_a_price_finer_than_the_currency() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    let lines = path(&deal, "lines");
    let line =
        |quantity: &str, price: &str| json!({ "name": "短信", "quantity": quantity, "unit_price": price });
    for quantity in ["0", "0.0000"] {
        let refused = admin.post(&lines, line(quantity, "1")).await;
        assert_eq!(
            refused.faults(),
            [("/quantity".to_owned(), "out_of_range".to_owned())]
        );
        let message = refused.body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("above 0"), "{message}");
    }
    // What is sold by the thousand costs less than the minor unit apiece.
    let made = admin.post(&lines, line("1000", "0.0455")).await.expect(CREATED);
    assert_eq!(
        (&made["unit_price"], &made["amount"]),
        (&json!("0.0455"), &json!("45.50"))
    );
}

#[actix_web::test]
async fn whoever_changes_the_currency_of_a_priced_deal_says_what_becomes_of_its_prices() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let deal = deal(admin, &pipeline, Some("1000.00")).await;
    let here = format!("/v1/opportunities/{}", id(&deal));
    let free = json!({ "name": "培训", "quantity": "1", "unit_price": "0" });
    admin.post(&path(&deal, "lines"), free).await.expect(CREATED);
    let euro = admin.patch(&here, json!({ "currency": "EUR" })).await.expect(200);
    assert_eq!(euro["amount"], "1000.00");
    admin.patch(&here, json!({ "currency": "CNY" })).await.expect(200);
    let line = json!({ "name": "标准版", "quantity": "2", "unit_price": "500" });
    let line = admin.post(&path(&deal, "lines"), line).await.expect(CREATED);
    let price = async || {
        let lines = admin.get(&path(&deal, "lines")).await.expect(200);
        let lines = lines["data"].as_array().unwrap().clone();
        let line = lines.into_iter().find(|found| found["id"] == line["id"]);
        line.unwrap()["unit_price"].clone()
    };

    let unsaid = admin.patch(&here, json!({ "currency": "EUR" })).await;
    assert_eq!(unsaid.faults(), [("/prices".to_owned(), "required".to_owned())]);
    let message = unsaid.body["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("标准版") && !message.contains("培训"),
        "{message}"
    );
    let convert = |currency: &str| json!({ "currency": currency, "prices": "convert" });
    let no_rate = admin.patch(&here, convert("EUR")).await;
    assert_eq!(no_rate.faults(), [("/prices".to_owned(), "no_rate".to_owned())]);
    assert_eq!(price().await, "500");

    let kept = admin
        .patch(&here, json!({ "currency": "EUR", "prices": "keep" }))
        .await
        .expect(200);
    assert_eq!(
        (&kept["amount"], price().await),
        (&json!("1000.00"), json!("500"))
    );
    assert_eq!(kept.get("prices"), None);
    for (currency, rate) in [("EUR", "8"), ("JPY", "0.05")] {
        let rate = json!({ "currency": currency, "rate_on": "2020-01-01", "rate": rate });
        admin.post("/v1/exchange-rates", rate).await.expect(CREATED);
    }
    let yen = admin.patch(&here, convert("JPY")).await.expect(200);
    assert_eq!(
        (&yen["amount"], price().await),
        (&json!("160000"), json!("80000"))
    );
    let mut said = convert("CNY");
    said["amount"] = json!("7999.99");
    let back = admin.patch(&here, said).await.expect(200);
    assert_eq!(
        (&back["amount"], price().await),
        (&json!("7999.99"), json!("4000"))
    );

    // What is archived comes back in the currency that the deal has then.
    let line = path(&deal, &format!("lines/{}", id(&line)));
    admin.delete(&line).await.expect(200);
    admin.patch(&here, convert("JPY")).await.expect(200);
    admin
        .post(&format!("{line}/restore"), json!({}))
        .await
        .expect(200);
    assert_eq!(price().await, "80000");
    let tiny = json!({ "name": "短信", "quantity": "1", "unit_price": "0.0001" });
    admin.post(&path(&deal, "lines"), tiny).await.expect(CREATED);
    let nothing = admin.patch(&here, convert("EUR")).await;
    assert_eq!(
        nothing.faults(),
        [("/prices".to_owned(), "out_of_range".to_owned())]
    );
    let idle = admin.patch(&here, json!({ "prices": "keep" })).await;
    assert_eq!(idle.faults(), [("/currency".to_owned(), "required".to_owned())]);
}

#[actix_web::test]
async fn no_conversion_and_no_line_comes_to_more_digits_than_can_be_written() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let deal = deal(admin, &pipeline, Some("99999999999999")).await;
    let here = format!("/v1/opportunities/{}", id(&deal));
    for (currency, rate) in [("JPY", "0.05"), ("USD", "7.1")] {
        let rate = json!({ "currency": currency, "rate_on": "2020-01-01", "rate": rate });
        admin.post("/v1/exchange-rates", rate).await.expect(CREATED);
    }
    let convert = |currency: &str| json!({ "currency": currency, "prices": "convert" });
    let too_large = admin.patch(&here, convert("JPY")).await;
    assert_eq!(
        too_large.faults(),
        [("/prices".to_owned(), "out_of_range".to_owned())]
    );
    let line =
        |quantity: &str, price: &str| json!({ "name": "短信", "quantity": quantity, "unit_price": price });
    let huge = admin
        .post(&path(&deal, "lines"), line("99999999999999", "99999999999999"))
        .await;
    assert_eq!(
        huge.faults(),
        [("/quantity".to_owned(), "out_of_range".to_owned())]
    );
    // A small price that rounding changes much is told of.
    let small = line("1000000", "0.0004");
    admin.post(&path(&deal, "lines"), small).await.expect(CREATED);
    let dollars = admin.patch(&here, convert("USD")).await.expect(200);
    assert_eq!(dollars["warnings"][0]["code"], "rounded");
}
