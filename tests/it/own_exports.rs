//! What was exported comes in again: recognised without a word about its columns, and unchanged.

use crate::support::app::{Company, account, company, id};
use crate::support::make_deals::deal_in;
use crate::support::make_transfers::{CSV, counts, done, download, errors, import};
use rstest::rstest;
use serde_json::{Value, json};

/// A company with fields of its own, and one record of each kind.
async fn with_records() -> Company {
    let company = company().await;
    let admin = &company.administrator;
    for resource in ["lead", "account", "contact", "opportunity"] {
        for (key, kind) in [
            ("fleet", "number"),
            ("city", "text"),
            ("since", "date"),
            ("helper", "user"),
        ] {
            let field = json!({ "resource": resource, "key": key, "label": key, "kind": kind });
            admin.post("/v1/field-definitions", field).await.expect(201);
        }
    }
    let own = json!({ "fleet": "7.5", "city": "上海,浦东", "since": "2020-01-31", "helper": admin.id });
    let tags = json!(["vip", "展会,上海"]);
    let holder = account(admin, "科技有限公司").await;
    let patch = json!({ "custom": own, "tags": tags, "description": "=1+1", "employees": 120 });
    admin
        .patch(&format!("/v1/accounts/{holder}"), patch)
        .await
        .expect(200);
    let lead = json!({
        "name": "王芳", "phone": "13900139000", "custom": own, "tags": tags, "budget_amount": "200000", "currency": "CNY"
    });
    admin.post("/v1/leads", lead).await.expect(201);
    let contact = json!({
        "name": "张总", "account_id": holder, "phone": "+86 138 0013 8000", "custom": own, "tags": tags
    });
    admin.post("/v1/contacts", contact).await.expect(201);
    let stage = json!({ "key": "need", "name": "需求", "probability": "0.3",
        "gate": { "kind": "check", "key": "ok", "label": "确认" } });
    let document = json!({ "key": "plain", "name": "销售", "stages": [stage] });
    let deal = deal_in(&company, admin, document).await;
    let patch = json!({ "custom": own, "amount": "100000", "currency": "CNY" });
    admin
        .patch(&format!("/v1/opportunities/{}", id(&deal)), patch)
        .await
        .expect(200);
    company
}

#[rstest]
#[case("lead")]
#[case("account")]
#[case("contact")]
#[case("opportunity")]
#[tokio::test]
async fn an_export_comes_in_again_as_it_went_out_and_changes_nothing(#[case] resource: &str) {
    let company = with_records().await;
    let admin = &company.administrator;
    let ask = async |columns: Value| {
        let body = json!({ "resource": resource, "format": "csv", "columns": columns });
        let job = done(admin, admin.post("/v1/exports", body).await).await;
        let path = job["links"]["file"].as_str().unwrap().to_owned();
        String::from_utf8(download(admin, &path).await).unwrap()
    };
    let named = json!(["id", "name", "owner.email", "custom.fleet", "custom.helper"]);
    for columns in [json!([]), named] {
        let table = ask(columns).await;
        assert!(table.contains("custom.fleet"), "{table}");
        let rows = i64::try_from(table.lines().count()).unwrap() - 1;
        for dry_run in [true, false] {
            let options =
                json!({ "resource": resource, "system": "penstock", "mode": "upsert", "dry_run": dry_run });
            let job = import(admin, CSV, table.clone(), options).await;
            let told = errors(admin, &job).await;
            assert!(told.is_empty(), "{told:?} {table}");
            assert_eq!(counts(&job), [0, 0, rows, 0], "{table}");
        }
    }
}
