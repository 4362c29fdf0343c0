//! Files that come again corrected, beside other work, and cut short.

use crate::support::app::{Company, Person, account, company, id};
use crate::support::make_pipelines::published;
use crate::support::make_transfers::{
    CSV, NDJSON, WORKBOOK, counts, done, download, errors, import, send, sent,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

async fn all(person: &Person, path: &str) -> Vec<Value> {
    let list = person.get(path).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

fn options() -> Value {
    json!({
        "resource": "opportunity", "system": "old", "mode": "upsert",
        "defaults": { "account_id": "Isdom", "loss_reason": "elsewhere" },
    })
}

async fn with_deals() -> Company {
    let company = company().await;
    let admin = &company.administrator;
    let stage = |key: &str| json!({ "key": key, "name": key, "probability": "0.3", "gate": { "kind": "check", "key": format!("{key}_ok"), "label": "确认" } });
    published(
        admin,
        json!({ "key": "live", "name": "在途", "stages": [stage("need"), stage("offer")] }),
    )
    .await;
    account(admin, "Isdom").await;
    for code in ["GTX Pro", "MG Special"] {
        let product = admin.post("/v1/products", json!({ "code": code, "name": code }));
        product.await.expect(201);
    }
    let reason = json!({ "key": "elsewhere", "name": "外部导入" });
    admin.post("/v1/loss-reasons", reason).await.expect(201);
    company
}

async fn is_clean(company: &Company) {
    let url = &crate::support::app::server().await.url;
    let mut found = penstock::check::run(url).await.unwrap();
    found.retain(|finding| finding.tenant == company.tenant);
    assert!(found.is_empty(), "{found:#?}");
}

/// A table of so many leads.
fn leads(count: usize) -> String {
    let rows = (0..count).map(|row| format!("客户{row},c{row}@example.com\n"));
    format!("name,email\n{}", rows.collect::<String>())
}

async fn asked(person: &Person, table: String) -> String {
    let file = sent(person, CSV, table).await;
    let body = json!({ "file_id": file, "resource": "lead" });
    let job = person.post("/v1/imports", body).await.expect(202);
    format!("/v1/jobs/{}", id(&job))
}

/// Waits until a job has done something.
async fn going(person: &Person, path: &str) {
    for _ in 0..2_000 {
        let job = person.get(path).await.expect(200);
        if job["done"].as_i64().unwrap() > 0 {
            assert!(job["ended_at"].is_null(), "it was too short: {job}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} does not begin");
}

#[tokio::test]
async fn the_line_of_an_open_deal_that_was_brought_in_follows_its_file() {
    let company = with_deals().await;
    let admin = &company.administrator;
    let head = "external_id,name,stage,entered_on,product,amount\n";
    let bring = async |row: &str| import(admin, CSV, format!("{head}{row}\n"), options()).await;
    let row = "D1,甲,offer,2017-01-05,GTX Pro,100";
    assert_eq!(counts(&bring(row).await), [1, 0, 0, 0]);
    assert_eq!(counts(&bring(row).await), [0, 0, 1, 0]);
    let deal = id(&all(admin, "/v1/opportunities").await[0]);
    let path = format!("/v1/opportunities/{deal}/lines");
    let line = async || {
        let lines = all(admin, &path).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        let said = ["name", "amount"].map(|name| lines[0][name].as_str().unwrap().to_owned());
        (said, id(&lines[0]))
    };
    for (row, said) in [
        ("D1,甲,offer,2017-01-05,MG Special,100", ["MG Special", "100.00"]),
        ("D1,甲,offer,2017-01-05,GTX Pro,300", ["GTX Pro", "300.00"]),
    ] {
        assert_eq!(counts(&bring(row).await), [0, 1, 0, 0], "{row}");
        assert_eq!(line().await.0, said);
        assert_eq!(counts(&bring(row).await), [0, 0, 1, 0], "{row}");
    }
    // Its days are history by now.
    let later = bring("D1,甲,offer,2017-02-05,GTX Pro,300").await;
    assert_eq!(counts(&later), [0, 0, 0, 1]);
    let fault = |at: &str| [(2, at.to_owned(), "invalid".to_owned())];
    assert_eq!(errors(admin, &later).await, fault("/entered_on"));
    // A line that was edited here is ours.
    let own = format!("{path}/{}", line().await.1);
    admin.patch(&own, json!({ "quantity": "2" })).await.expect(200);
    let refused = bring("D1,甲,offer,2017-01-05,MG Special,300").await;
    assert_eq!(errors(admin, &refused).await, fault("/product"));
    is_clean(&company).await;
}

#[tokio::test]
async fn a_row_that_says_otherwise_of_a_closed_deal_is_told_never_unchanged() {
    let company = with_deals().await;
    let admin = &company.administrator;
    let head = "external_id,name,stage,entered_on,closed_on,product,amount\n";
    let bring = async |row: &str| import(admin, CSV, format!("{head}{row}\n"), options()).await;
    let row = "D1,甲,Won,2017-01-05,2017-03-01,GTX Pro,100";
    assert_eq!(counts(&bring(row).await), [1, 0, 0, 0]);
    assert_eq!(counts(&bring(row).await), [0, 0, 1, 0]);
    for (row, at) in [
        ("D1,甲,Won,2017-01-05,2017-03-02,GTX Pro,100", "/closed_on"),
        ("D1,甲,Won,2017-01-06,2017-03-01,GTX Pro,100", "/entered_on"),
        ("D1,甲,Won,2017-01-05,2017-03-01,MG Special,100", "/product"),
        ("D1,甲,Lost,2017-01-05,2017-03-01,GTX Pro,100", "/stage"),
    ] {
        let job = bring(row).await;
        assert_eq!(counts(&job), [0, 0, 0, 1], "{row}");
        assert_eq!(
            errors(admin, &job).await,
            [(2, at.to_owned(), "invalid".to_owned())]
        );
    }
    let job = bring("D1,甲,Lost,2017-01-05,2017-03-01,GTX Pro,100").await;
    let path = job["links"]["errors_csv"].as_str().unwrap().to_owned();
    let told = String::from_utf8(download(admin, &path).await).unwrap();
    assert!(told.contains("brought in as closed"), "{told}");
    is_clean(&company).await;
}

#[tokio::test]
async fn a_closing_day_beside_an_open_stage_and_an_end_without_a_day_are_told() {
    let company = with_deals().await;
    let admin = &company.administrator;
    let table =
        "external_id,name,stage,closed_on\nD1,甲,offer,2017-03-01\nD2,乙,Won,\nD3,丙,Won,2017-03-01\n";
    let job = import(admin, CSV, table, options()).await;
    assert_eq!(counts(&job), [3, 0, 0, 0]);
    assert_eq!(job["result"]["warned"], 2, "{job}");
    let path = job["links"]["errors_csv"].as_str().unwrap().to_owned();
    let told = String::from_utf8(download(admin, &path).await).unwrap();
    assert!(
        told.contains("not_kept") && told.contains("closed_today"),
        "{told}"
    );
}

#[tokio::test]
async fn one_column_of_known_records_can_be_brought_up_to_date() {
    let company = with_deals().await;
    let admin = &company.administrator;
    let plain = json!({ "resource": "opportunity", "system": "old", "mode": "upsert" });
    import(admin, CSV, "external_id,name,amount\nD1,甲,100\n", options()).await;
    let job = import(admin, CSV, "external_id,amount\nD1,250\nD2,300\n", plain).await;
    assert_eq!(counts(&job), [0, 1, 0, 1]);
    let told = errors(admin, &job).await;
    assert!(
        told.contains(&(3, "/name".to_owned(), "required".to_owned())),
        "{told:?}"
    );
    assert_eq!(all(admin, "/v1/opportunities").await[0]["amount"], "250.00");
}

#[tokio::test]
async fn rows_of_empty_cells_are_blank() {
    let company = company().await;
    let admin = &company.administrator;
    let table = "name,email,phone\n甲,a@x.example,\n,,\n \t,,\n乙,bad@,\n,,\n";
    let job = import(admin, CSV, table, json!({ "resource": "lead" })).await;
    assert_eq!(counts(&job), [1, 0, 0, 1]);
    assert_eq!(errors(admin, &job).await[0].0, 5);
}

#[tokio::test]
async fn somebody_whose_import_runs_can_be_demoted_and_deactivated_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    for path in ["roles", "deactivate"] {
        let rep = company.member("李伟", "sales_representative").await;
        let job = asked(&rep, leads(30_000)).await;
        going(&rep, &job).await;
        let answer = match path {
            "roles" => {
                let roles = json!({ "role_ids": [] });
                admin.put(&format!("/v1/users/{}/roles", rep.id), roles).await
            }
            _ => {
                let leaving = json!({ "successor_id": admin.id });
                admin
                    .post(&format!("/v1/users/{}/deactivate", rep.id), leaving)
                    .await
            }
        };
        answer.expect(200);
        let ended = ended(admin, &job).await;
        assert_eq!(ended["state"], "failed", "{ended}");
        let of = |count: &str| ended["result"][count].as_u64().unwrap();
        assert_eq!(json!(of("created") + of("failed")), ended["done"], "{ended}");
        assert!(ended["links"]["errors_csv"].is_string(), "{ended}");
    }
}

async fn ended(person: &Person, path: &str) -> Value {
    for _ in 0..4_800 {
        let job = person.get(path).await.expect(200);
        if !job["ended_at"].is_null() {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} does not end");
}

#[tokio::test]
async fn a_short_job_is_done_while_a_long_one_of_its_company_goes_on_and_a_cancelled_one_says_what_it_did() {
    let company = company().await;
    let (admin, rep) = (
        &company.administrator,
        company.member("李伟", "sales_representative").await,
    );
    let long = asked(&rep, leads(60_000)).await;
    going(&rep, &long).await;
    let short = import(admin, CSV, leads(2), json!({ "resource": "lead" })).await;
    assert_eq!(counts(&short), [2, 0, 0, 0]);
    let still = rep.get(&long).await.expect(200);
    assert_eq!(still["state"], "running", "{still}");
    rep.post(&format!("{long}/cancel"), json!({})).await;
    let cancelled = ended(&rep, &long).await;
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    assert_eq!(cancelled["result"]["created"], cancelled["done"], "{cancelled}");
    assert!(cancelled["links"]["errors_csv"].is_string(), "{cancelled}");
}

#[tokio::test]
async fn a_workbook_that_goes_out_is_packed_and_comes_in_again() {
    let company = company().await;
    let admin = &company.administrator;
    import(admin, CSV, leads(3_000), json!({ "resource": "lead" })).await;
    let wanted = |format: &str| json!({ "resource": "lead", "format": format, "columns": ["name", "email", "status"] });
    let mut sizes = Vec::new();
    for format in ["csv", "xlsx"] {
        let job = done(admin, admin.post("/v1/exports", wanted(format)).await).await;
        let bytes = download(admin, job["links"]["file"].as_str().unwrap()).await;
        sizes.push(bytes.len());
        if format == "xlsx" {
            let job = import(
                admin,
                WORKBOOK,
                bytes,
                json!({ "resource": "lead", "dry_run": true }),
            )
            .await;
            assert_eq!(job["done"], 3_000, "{job}");
        }
    }
    assert!(sizes[1] < sizes[0], "{sizes:?}");
    for filter in ["limit=1", "cursor=abc", "with_total=true"] {
        let mut options = wanted("csv");
        options["filter"] = json!(filter);
        assert_eq!(
            admin.post("/v1/exports", options).await.refused(422),
            "invalid",
            "{filter}"
        );
    }
}

#[tokio::test]
async fn the_encoding_of_a_file_can_be_named() {
    let company = company().await;
    let admin = &company.administrator;
    let bytes = encoding_rs::WINDOWS_1252
        .encode("name,email\nMüller,m@example.com\n")
        .0;
    let send_as = async |label: &str| {
        let path = format!("/v1/import-files?name=test&encoding={label}");
        let request = admin.request(Method::POST, &path).await;
        let request = request.header("content-type", CSV).body(bytes.to_vec());
        crate::support::app::Answer::of(request).await
    };
    let file = send_as("latin1").await.expect(201);
    assert_eq!(file["encoding"], "windows-1252");
    let body = json!({ "file_id": file["id"], "resource": "lead" });
    let job = done(admin, admin.post("/v1/imports", body).await).await;
    assert_eq!(counts(&job), [1, 0, 0, 0]);
    assert_eq!(all(admin, "/v1/leads").await[0]["name"], "Müller");
    assert_eq!(send_as("klingon").await.refused(422), "invalid");
    assert_eq!(
        send(admin, CSV, "name\n甲\n").await.expect(201)["encoding"],
        "UTF-8"
    );
}

#[tokio::test]
async fn an_error_keeps_its_row_as_it_came_in_its_order() {
    let company = company().await;
    let admin = &company.administrator;
    let lines = "{\"name\":\"甲\"\n{\"name\":\"甲\",\"name\":\"乙\"}\n{\"name\":\"丙\"}\n";
    let job = import(admin, NDJSON, lines, json!({ "resource": "lead" })).await;
    let path = job["links"]["errors"].as_str().unwrap().to_owned();
    let told = all(admin, &path).await;
    assert_eq!(told[0]["original"]["line"], "{\"name\":\"甲\"");
    assert!(
        told[1]["message"].as_str().unwrap().contains("repeated member"),
        "{told:?}"
    );
    let job = import(
        admin,
        CSV,
        "phone,name,email\n,甲,bad@\n",
        json!({ "resource": "lead" }),
    )
    .await;
    let path = job["links"]["errors_csv"].as_str().unwrap().to_owned();
    let file = String::from_utf8(download(admin, &path).await).unwrap();
    let cells = r#"{""phone"":"""",""name"":""甲"",""email"":""bad@""}"#;
    assert!(file.contains(cells), "{file}");
}
