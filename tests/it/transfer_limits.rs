//! What imports and exports do not let through: doubles within a file, rows behind a fault, files past their limits, and
//! rights that ended meanwhile.

use crate::support::app::{Person, account, company, id};
use crate::support::make_crm::source;
use crate::support::make_identity::role;
use crate::support::make_pool::{rule, standing};
use crate::support::make_scoring::{document, publish, when};
use crate::support::make_transfers::{CSV, NDJSON, counts, done, download, errors, import, send, sent};
use serde_json::{Value, json};

async fn set(admin: &Person, settings: Value) {
    admin.patch("/v1/company", settings).await.expect(200);
}

async fn all(person: &Person, path: &str) -> Vec<Value> {
    let page = person.get(path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

async fn total(person: &Person, path: &str) -> i64 {
    let joint = if path.contains('?') { '&' } else { '?' };
    let page = person.get(&format!("{path}{joint}with_total=true")).await;
    page.expect(200)["total"].as_i64().unwrap()
}

async fn is_clean(tenant: uuid::Uuid) {
    let url = &crate::support::app::server().await.url;
    let mut found = penstock::check::run(url).await.unwrap();
    found.retain(|finding| finding.tenant == tenant);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn of_the_rows_with_one_phone_a_file_makes_one_record_where_doubles_are_blocked() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "lead_duplicates": "block" })).await;
    let table = "name,phone,email\n王芳,13900139000,\n王女士,+86 139 0013 9000,\n李强,,Li@x.example\n李,,li@x.example\n赵敏,,\n";
    let job = import(admin, CSV, table, json!({ "resource": "lead" })).await;
    assert_eq!(counts(&job), [3, 0, 0, 2]);
    assert_eq!(
        errors(admin, &job).await,
        [
            (3, "/phone".to_owned(), "duplicate".to_owned()),
            (5, "/email".to_owned(), "duplicate".to_owned())
        ]
    );
    is_clean(company.tenant).await;
}

#[tokio::test]
async fn rows_of_a_file_that_may_be_one_wait_for_review_where_doubles_are_queued() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "account_duplicates": "queue" })).await;
    let table = "name\n恒信智联有限公司\n瑞丰天泽有限公司\n恒信智聯科技有限公司\n";
    let job = import(admin, CSV, table, json!({ "resource": "account" })).await;
    assert_eq!(counts(&job), [3, 0, 0, 0]);
    assert_eq!(total(admin, "/v1/duplicate-reviews?status=open").await, 1);
}

#[tokio::test]
async fn a_row_that_is_blocked_leaves_none_of_its_keys_behind() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "contact_duplicates": "block" })).await;
    let there = json!({ "name": "王芳", "phone": "13900139000" });
    admin.post("/v1/contacts", there).await.expect(201);
    let table = "name,phone,email\n王女士,13900139000,wang@x.example\n";
    let job = import(admin, CSV, table, json!({ "resource": "contact" })).await;
    assert_eq!(counts(&job), [0, 0, 0, 1]);
    // The row says by whom, as entering it would.
    let path = job["links"]["errors"].as_str().unwrap();
    let said = admin.get(path).await.expect(200)["data"][0]["message"].clone();
    assert!(
        said.as_str()
            .unwrap()
            .contains("taken already by the contact 王芳"),
        "{said}"
    );
    is_clean(company.tenant).await;
    // The e-mail is nobody's: the next one has it for itself, and the one after that is refused.
    let next = json!({ "name": "李强", "email": "wang@x.example" });
    admin.post("/v1/contacts", next.clone()).await.expect(201);
    assert_eq!(admin.post("/v1/contacts", next).await.refused(409), "duplicate");
}

#[tokio::test]
async fn an_import_that_stops_keeps_nothing_behind_the_fault() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "lead_duplicates": "block" })).await;
    // One fault is seen in the row alone, the other only when it is brought in.
    for (first, faulty) in [("a", ",13900139001"), ("b", "李,+86-139-0013-9000")] {
        let table = format!("name,phone\n{first},\n王芳,13900139000\n{faulty}\nx,\ny,\n");
        let options = json!({ "resource": "lead", "on_error": "stop" });
        let job = import(admin, CSV, table, options).await;
        let expected = if first == "a" { [2, 0, 0, 1] } else { [1, 0, 0, 1] };
        assert_eq!(counts(&job), expected, "{job}");
        let stopped_at = if first == "a" { 4 } else { 3 };
        assert_eq!(job["result"]["stopped_at"], stopped_at);
    }
    let mut names = all(admin, "/v1/leads").await;
    names.sort_by_key(|lead| lead["name"].to_string());
    let names = names.iter().map(|lead| lead["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b", "王芳"]);
}

#[tokio::test]
async fn sending_a_file_in_needs_the_right_to_write_what_can_be_imported() {
    let company = company().await;
    let reader = company.member("读者", "read_only").await;
    assert_eq!(send(&reader, CSV, "name\nx\n").await.refused(403), "forbidden");
    role(&company, "caller", json!({ "contact.write": "own" })).await;
    let caller = company.member("话务", "caller").await;
    sent(&caller, CSV, "name\nx\n").await;
}

#[tokio::test]
async fn a_table_of_thousands_of_columns_is_refused() {
    let company = company().await;
    let admin = &company.administrator;
    let file = sent(admin, CSV, vec!["a"; 20_000].join(",")).await;
    let options = json!({ "file_id": file, "resource": "lead" });
    for path in ["/v1/imports/preview", "/v1/imports"] {
        let refused = admin.post(path, options.clone()).await;
        assert_eq!(
            refused.faults(),
            [("/file_id".to_owned(), "too_many".to_owned())],
            "{path}"
        );
    }
    let lines = (0..1_001).map(|number| format!("{{\"k{number}\":1}}\n"));
    let refused = send(admin, NDJSON, lines.collect::<String>()).await;
    assert_eq!(refused.faults()[0].1, "too_many");
}

#[tokio::test]
async fn what_only_a_late_line_says_is_brought_in_too() {
    let company = company().await;
    let admin = &company.administrator;
    let mut lines = (0..120)
        .map(|number| format!("{{\"name\":\"客户{number}\"}}\n"))
        .collect::<String>();
    lines.push_str("{\"name\":\"王芳\",\"phone\":\"13900139000\"}\n");
    let job = import(admin, NDJSON, lines, json!({ "resource": "lead" })).await;
    assert_eq!(counts(&job), [121, 0, 0, 0]);
    let leads = all(admin, "/v1/leads?q=王芳").await;
    assert_eq!(leads[0]["phone_e164"], "+8613900139000");
}

#[tokio::test]
async fn errors_name_rows_as_a_spreadsheet_counts_them() {
    let company = company().await;
    let admin = &company.administrator;
    let table = "\r\nname,email\r\n\r\n\r\n甲,a@x.example\r\n\r\n乙,bad@\r\n";
    let job = import(admin, CSV, table, json!({ "resource": "lead" })).await;
    assert_eq!(errors(admin, &job).await[0].0, 7);
    let lines = "\n{\"name\":\"丙\"}\n\n{\"name\":\"\"}\n";
    let job = import(admin, NDJSON, lines, json!({ "resource": "lead" })).await;
    assert_eq!(errors(admin, &job).await[0].0, 4);
}

#[tokio::test]
async fn an_export_is_not_handed_out_to_who_may_no_longer_read_all_of_it() {
    let company = company().await;
    let admin = &company.administrator;
    admin
        .post(
            "/v1/contacts",
            json!({ "name": "王芳", "personal_phone": "13900139000" }),
        )
        .await
        .expect(201);
    let wide = json!({ "contact.read": "all", "contact.read_personal": "all" });
    let own = role(&company, "reader", wide.clone()).await;
    let reader = company.member("读者", "reader").await;
    let ask = async |columns: Value| {
        let body = json!({ "resource": "contact", "format": "csv", "columns": columns });
        let job = done(&reader, reader.post("/v1/exports", body).await).await;
        job["links"]["file"].as_str().unwrap().to_owned()
    };
    let (whole, names) = (
        ask(json!(["name", "personal_phone"])).await,
        ask(json!(["name"])).await,
    );
    let grant = async |grants: Value| {
        let path = format!("/v1/roles/{own}");
        admin.patch(&path, json!({ "grants": grants })).await.expect(200);
    };
    let text = String::from_utf8(download(&reader, &whole).await).unwrap();
    assert!(text.contains("13900139000"), "{text}");
    grant(json!({ "contact.read": "all" })).await;
    assert_eq!(reader.get(&whole).await.refused(403), "forbidden");
    download(&reader, &names).await;
    grant(json!({ "contact.read": "own", "contact.read_personal": "all" })).await;
    assert_eq!(reader.get(&whole).await.refused(403), "forbidden");
    assert_eq!(reader.get(&names).await.refused(403), "forbidden");
    grant(wide).await;
    download(&reader, &whole).await;
}

#[tokio::test]
async fn a_record_is_found_by_its_id_its_name_or_the_other_systems_id_in_any_case() {
    let company = company().await;
    let admin = &company.administrator;
    let there = account(admin, "Acme Tools").await;
    let external = json!({ "system": "erp", "external_id": "C-1" });
    admin
        .post(&format!("/v1/accounts/{there}/external-ids"), external)
        .await
        .expect(201);
    let table = format!(
        "name,customer\n甲,{}\n乙,ACME tools\n丙,c-1\n丁,Acme\n",
        there.to_uppercase()
    );
    let options = json!({ "resource": "contact", "system": "erp" });
    let job = import(admin, CSV, table, options).await;
    assert_eq!(counts(&job), [3, 0, 0, 1]);
    let path = format!("/v1/contacts?account_id={there}");
    assert_eq!(all(admin, &path).await.len(), 3);
}

#[tokio::test]
async fn what_a_file_brings_is_what_entering_it_would_have_made() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "lead_duplicates": "block" })).await;
    let points = when("machines", "35", "industry == '制造业'");
    publish(admin, document("b2b", json!([points]))).await;
    rule(admin, "lead", 1, json!({ "no_follow_up_days": 30 })).await;
    let website = source(admin, json!({ "mapping": { "name": { "pointer": "/who" } } })).await;
    let spring = json!({ "key": "spring_2024", "name": "春季", "source_id": website.id });
    let spring = id(&admin.post("/v1/campaigns", spring).await.expect(201));
    let vans = json!({ "resource": "lead", "key": "vans", "label": "车辆", "kind": "number", "is_filterable": true });
    admin.post("/v1/field-definitions", vans).await.expect(201);
    let known = json!({ "name": "李强", "email": "li@x.example" });
    admin.post("/v1/contacts", known).await.expect(201);

    let table = "name,phone,email,industry,custom.vans,campaign_key\n\
        王芳,13900139000,,制造业,12,spring_2024\n\
        赵敏,,zhao@x.example,教育,3,\n\
        李强,,LI@x.example,教育,,\n\
        周涛,13700137000,,教育,,no_such\n\
        陈晨,13600136000,,制造业,,\n";
    let job = import(admin, CSV, table, json!({ "resource": "lead" })).await;
    assert_eq!(
        errors(admin, &job).await,
        [
            (4, "/email".to_owned(), "duplicate".to_owned()),
            (5, "/campaign_key".to_owned(), "not_found".to_owned())
        ]
    );
    assert_eq!(counts(&job), [3, 0, 0, 2]);
    let imported = &all(admin, "/v1/leads?custom.vans_min=12").await[0];
    let entered = json!({ "name": "王芳", "phone": "13900139001", "industry": "制造业",
        "custom": { "vans": "12" }, "campaign_key": "spring_2024" });
    let entered = admin.post("/v1/leads", entered).await.expect(201);
    for member in [
        "name",
        "industry",
        "custom",
        "campaign_id",
        "score",
        "status",
        "owner_id",
        "version",
    ] {
        assert_eq!(imported[member], entered[member], "{member}");
    }
    assert_eq!(
        (&imported["campaign_id"], &imported["status"]),
        (&json!(spring), &json!("marketing_qualified"))
    );
    for lead in [imported, &entered] {
        let standing = standing(admin, "leads", &id(lead)).await;
        assert!(standing["pool_due_on"].is_string(), "{standing}");
    }
    // The campaign's row of a refused lead, and its keys, are not there.
    let next = json!({ "name": "周涛", "phone": "13700137000" });
    admin.post("/v1/leads", next).await.expect(201);
    is_clean(company.tenant).await;
}

#[tokio::test]
async fn a_file_names_the_campaigns_that_won_its_leads_twice_with_the_same_result() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({ "mapping": { "name": { "pointer": "/who" } } })).await;
    for key in ["spring_2024", "autumn_2024"] {
        let campaign = json!({ "key": key, "name": key, "source_id": website.id });
        admin.post("/v1/campaigns", campaign).await.expect(201);
    }
    let options = json!({ "resource": "lead", "system": "old", "mode": "upsert" });
    let table = |first: &str| format!("编号,姓名,市场活动\nL1,王芳,{first}\nL2,李强,\n");
    for (campaign, expected) in [
        ("spring_2024", [2, 0, 0, 0]),
        ("spring_2024", [0, 0, 2, 0]),
        ("autumn_2024", [0, 1, 1, 0]),
        ("no_such", [0, 0, 1, 1]),
        ("", [0, 1, 1, 0]),
    ] {
        let job = import(admin, CSV, table(campaign), options.clone()).await;
        assert_eq!(counts(&job), expected, "{campaign}");
    }
}
