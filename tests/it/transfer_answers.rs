//! What imports and exports say: warnings, what was left out, all faults at once, trials that foretell.

use crate::support::app::{Person, account, company, id};
use crate::support::make_pipelines::published;
use crate::support::make_transfers::{
    CSV, NDJSON, WORKBOOK, counts, done, download, errors, import, send, sent,
};
use serde_json::{Value, json};

async fn all(person: &Person, path: &str) -> Vec<Value> {
    let page = person.get(path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

async fn set(admin: &Person, settings: Value) {
    admin.patch("/v1/company", settings).await.expect(200);
}

fn told(row: i64, pointer: &str, code: &str) -> (i64, String, String) {
    (row, pointer.to_owned(), code.to_owned())
}

async fn preview(person: &Person, file: &str, mut options: Value) -> Value {
    options["file_id"] = json!(file);
    person.post("/v1/imports/preview", options).await.expect(200)
}

#[tokio::test]
async fn rows_that_are_taken_with_a_warning_are_told_and_counted_apart() {
    let company = company().await;
    let admin = &company.administrator;
    set(
        admin,
        json!({ "lead_duplicates": "warn", "account_duplicates": "warn", "contact_duplicates": "warn" }),
    )
    .await;
    let there = json!({ "name": "王芳", "phone": "13900139000" });
    admin.post("/v1/leads", there).await.expect(201);
    let table = "name,phone\n王女士,+86 139 0013 9000\n李强,1385\n赵敏,13700137000\n赵,13700137000\n";
    let trial = json!({ "resource": "lead", "dry_run": true });
    for options in [trial, json!({ "resource": "lead" })] {
        let job = import(admin, CSV, table, options).await;
        assert_eq!(
            (counts(&job), &job["result"]["warned"]),
            ([4, 0, 0, 0], &json!(3))
        );
        let mut found = errors(admin, &job).await;
        found.sort();
        found.dedup();
        assert_eq!(
            found,
            [
                told(2, "/phone", "possible_duplicate"),
                told(3, "/phone", "phone_not_readable"),
                told(5, "/phone", "possible_duplicate"),
            ]
        );
        let path = job["links"]["errors_csv"].as_str().unwrap();
        let text = String::from_utf8(download(admin, path).await).unwrap();
        let mut lines = text.lines().skip(1);
        assert!(lines.all(|line| line.ends_with(",warning")), "{text}");
        assert!(!text.contains("warning:") && !text.contains("警告"), "{text}");
        let path = job["links"]["errors"].as_str().unwrap();
        let listed = all(admin, path).await;
        assert!(
            listed.iter().all(|error| error["severity"] == "warning"),
            "{listed:?}"
        );
    }
    // Beside an error.
    let table = "name,phone,email\n李强,1385,\n王,13600136000,x\n";
    let job = import(admin, CSV, table, json!({ "resource": "lead" })).await;
    let listed = all(admin, job["links"]["errors"].as_str().unwrap()).await;
    let severities = listed
        .iter()
        .map(|error| {
            (
                error["code"].as_str().unwrap(),
                error["severity"].as_str().unwrap(),
            )
        })
        .collect::<Vec<_>>();
    assert_eq!(
        severities,
        [("phone_not_readable", "warning"), ("wrong_format", "error")]
    );
    // One by one, the person of an account too.
    let table = "客户名称,联系人,联系方式\n科技有限公司,张总,139\n";
    let job = import(admin, CSV, table, json!({ "resource": "account" })).await;
    assert_eq!(
        (counts(&job), &job["result"]["warned"]),
        ([1, 0, 0, 0], &json!(1))
    );
    let expected = told(2, "/contact/phone", "phone_not_readable");
    assert_eq!(errors(admin, &job).await, [expected]);
}

#[tokio::test]
async fn fields_of_the_companys_own_are_known_by_their_labels_and_what_is_not_known_is_told() {
    let company = company().await;
    let admin = &company.administrator;
    let fleet = json!({ "resource": "lead", "key": "fleet", "label": "车队", "kind": "number" });
    admin.post("/v1/field-definitions", fleet).await.expect(201);
    let table = "姓名,车队,心情,左右\n王芳,7,好,x\n";
    let options = json!({ "resource": "lead", "mapping": { "左右": null } });
    let job = import(admin, CSV, table, options).await;
    assert_eq!(counts(&job), [1, 0, 0, 0]);
    assert_eq!(job["result"]["ignored_columns"], json!(["心情"]));
    let line = "{\"name\":\"李强\",\"custom\":{\"fleet\":\"8\"}}\n";
    let job = import(admin, NDJSON, line, json!({ "resource": "lead" })).await;
    assert_eq!(counts(&job), [1, 0, 0, 0]);
    let leads = all(admin, "/v1/leads").await;
    let fleet = |name: &str| &leads.iter().find(|lead| lead["name"] == name).unwrap()["custom"]["fleet"];
    let number = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    assert_eq!(
        (number(fleet("王芳")), number(fleet("李强"))),
        ("7".to_owned(), "8".to_owned())
    );
}

#[tokio::test]
async fn errors_of_a_spreadsheet_are_no_data_and_what_an_export_made_harmless_comes_back_as_it_was() {
    let company = company().await;
    let admin = &company.administrator;
    let table = "name,company,phone\n王芳,#N/A,\n#NAME?,x,\n'=SUM(1),'n,'+86 139 0013 9000\n";
    let job = import(admin, CSV, table, json!({ "resource": "lead" })).await;
    assert_eq!(counts(&job), [1, 0, 0, 2]);
    let expected = [
        told(2, "/company", "spreadsheet_error"),
        told(3, "/name", "spreadsheet_error"),
    ];
    assert_eq!(errors(admin, &job).await, expected);
    let lead = &all(admin, "/v1/leads").await[0];
    assert_eq!(
        (&lead["name"], &lead["company"], &lead["phone"]),
        (&json!("=SUM(1)"), &json!("'n"), &json!("+86 139 0013 9000"))
    );
}

#[tokio::test]
async fn a_preview_and_an_import_tell_all_that_is_wrong_with_a_deal_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let stage = |key: &str| json!({ "key": key, "name": key, "probability": "0.3", "gate": { "kind": "check", "key": format!("{key}_ok"), "label": "确认" } });
    published(
        admin,
        json!({ "key": "p", "name": "流程", "stages": [stage("need"), stage("offer"), stage("contract")] }),
    )
    .await;
    account(admin, "Isdom").await;
    let table = "name,account,amount,stage,entered_on,closed_on,product\n\
        甲,Isdom,many,won,2020-03-01,2020-02-01,\n\
        乙,Isdom,5,nowhere,soon,,Nothing\n\
        ,Isdom,5,lost,,,\n\
        丁,Isdom,5,offer,2020年3月1日,,\n";
    let options = json!({ "resource": "opportunity" });
    let mut expected = vec![
        told(2, "/amount", "wrong_format"),
        told(2, "/closed_on", "out_of_range"),
        told(3, "/entered_on", "wrong_format"),
        told(3, "/product", "not_found"),
        told(3, "/stage", "unknown_value"),
        told(4, "/loss_reason", "required"),
        told(4, "/name", "required"),
    ];
    expected.sort();
    let file = sent(admin, CSV, table).await;
    let seen = preview(admin, &file, options.clone()).await;
    let mut found = Vec::new();
    for row in seen["rows"].as_array().unwrap() {
        for fault in row["faults"].as_array().unwrap() {
            let text = |name: &str| fault[name].as_str().unwrap();
            found.push(told(row["row"].as_i64().unwrap(), text("pointer"), text("code")));
        }
    }
    found.sort();
    assert_eq!(found, expected, "{seen}");
    assert_eq!(seen["rows"][3]["members"]["entered_on"], "2020-03-01");
    assert!(all(admin, "/v1/opportunities").await.is_empty());
    let job = import(admin, CSV, table, options).await;
    assert_eq!(counts(&job), [1, 0, 0, 3]);
    let mut found = errors(admin, &job).await;
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_trial_lets_rows_name_what_the_file_itself_brings() {
    let company = company().await;
    let admin = &company.administrator;
    let table =
        "account id,account,subsidiary_of\nA1,子公司,母公司\nA2,母公司,\nA3,孙公司,a1\nA4,孤儿,没有的公司\n";
    for is_trial in [true, false] {
        let options = json!({ "resource": "account", "system": "old", "dry_run": is_trial });
        let job = import(admin, CSV, table, options).await;
        assert_eq!(counts(&job), [3, 0, 0, 1], "{job}");
        assert_eq!(errors(admin, &job).await, [told(5, "/parent_id", "not_found")]);
        let expected = if is_trial { 0 } else { 3 };
        assert_eq!(all(admin, "/v1/accounts").await.len(), expected);
    }
}

#[tokio::test]
async fn an_export_speaks_the_headings_that_it_is_asked_for_and_holds_no_instructions() {
    let company = company().await;
    let rep = company.member("王芳", "sales_representative").await;
    let made = json!({ "name": "科技有限公司", "industry": "信息技术" });
    let made = id(&rep.post("/v1/accounts", made).await.expect(201));
    let ask = async |columns: Value| {
        let body = json!({ "resource": "account", "format": "csv", "columns": columns });
        let job = done(&rep, rep.post("/v1/exports", body).await).await;
        let path = job["links"]["file"].as_str().unwrap().to_owned();
        String::from_utf8(download(&rep, &path).await).unwrap()
    };
    assert_eq!(
        ask(json!(["id", "客户名称", "所属行业", "负责人"])).await,
        format!("\u{feff}id,客户名称,所属行业,负责人\r\n{made},科技有限公司,信息技术,王芳\r\n")
    );
    let whole = ask(json!([])).await;
    assert!(
        whole.contains("industry") && !whole.contains("override_duplicates"),
        "{whole}"
    );
    let body = json!({ "resource": "account", "format": "csv", "columns": ["心情", "contact.mood"] });
    let refused = rep.post("/v1/exports", body).await.faults();
    let pointers = refused.into_iter().map(|fault| fault.0).collect::<Vec<_>>();
    assert_eq!(pointers, ["/columns/0", "/columns/1"]);
    let body = json!({ "resource": "account", "format": "xlsx", "columns": ["name"] });
    let job = done(&rep, rep.post("/v1/exports", body).await).await;
    let book = download(&rep, job["links"]["file"].as_str().unwrap()).await;
    let size = book.len();
    let file = send(&rep, WORKBOOK, book).await.expect(201);
    assert_eq!(
        (&file["format"], &file["size_bytes"]),
        (&json!("xlsx"), &json!(size))
    );
}
