//! Imports and exports as jobs, over HTTP.

use crate::support::app::{Company, Person, account, company, id};
use crate::support::make_identity::role;
use crate::support::make_pipelines::published;
use crate::support::make_transfers::{
    CSV, NDJSON, WORKBOOK, counts, done, download, errors, import, send, sent,
};
use serde_json::{Value, json};
use std::io::Write;

/// Table 1 of the customer information sheet, as it stands.
const SHEET: &str = "客户名称,所属行业,企业规模(员工人数/年营收),联系人,职务,联系方式,初步需求描述,信息来源,跟进人,跟进状态,下次跟进时间\r\n\
科技有限公司,信息技术,200人/1亿,张*,总经理,1385678,需要客户管理系统,行业展会,李*,B类,2024-03-15\r\n\
制造有限公司,制造业,500人/5亿,王*,采购总监,139,生产线设备数据监控,客户转介绍,李*,A类,2024-03-10\r\n";

async fn all(person: &Person, path: &str) -> Vec<Value> {
    person.get(path).await.expect(200)["data"]
        .as_array()
        .unwrap()
        .clone()
}

async fn with_sources(company: &Company) -> Person {
    for (key, name) in [("expo", "行业展会"), ("referral", "客户转介绍")] {
        let body = json!({ "key": key, "name": name });
        company
            .administrator
            .post("/v1/lead-sources", body)
            .await
            .expect(201);
    }
    company.member("李*", "sales_representative").await
}

#[tokio::test]
async fn the_customer_information_sheet_is_imported_as_it_stands() {
    let company = company().await;
    let rep = with_sources(&company).await;
    let bytes = encoding_rs::GBK.encode(SHEET).0.into_owned();
    let file = sent(&rep, CSV, bytes).await;
    let preview = rep
        .post(
            "/v1/imports/preview",
            json!({ "file_id": file, "resource": "account" }),
        )
        .await
        .expect(200);
    assert_eq!(preview["encoding"], "gb18030");
    assert_eq!(preview["faults"], json!([]), "{preview}");
    assert_eq!(
        preview["columns"][2],
        json!({ "heading": "企业规模(员工人数/年营收)", "target": "size_note", "alternatives": [] })
    );
    assert_eq!(preview["rows"][0]["members"]["contact.name"], "张*", "{preview}");
    assert_eq!(preview["rows"][0]["members"]["owner_id"], json!(rep.id));
    assert!(all(&rep, "/v1/accounts").await.is_empty());

    let asked = rep
        .post("/v1/imports", json!({ "file_id": file, "resource": "account" }))
        .await;
    let job = done(&rep, asked).await;
    assert_eq!(counts(&job), [2, 0, 0, 0]);
    let accounts = all(&rep, "/v1/accounts?sort=name&expand=source").await;
    let maker = &accounts[1];
    assert_eq!(
        (&maker["name"], &maker["industry"], &maker["size_note"]),
        (&json!("制造有限公司"), &json!("制造业"), &json!("500人/5亿"))
    );
    assert_eq!(
        (&maker["source"]["name"], &maker["follow_up_status"]),
        (&json!("客户转介绍"), &json!("A类"))
    );
    assert_eq!(
        (&maker["next_follow_up_on"], &maker["owner_id"]),
        (&json!("2024-03-10"), &json!(rep.id))
    );
    let contacts = all(&rep, &format!("/v1/contacts?account_id={}", id(maker))).await;
    assert_eq!(
        (
            &contacts[0]["name"],
            &contacts[0]["job_title"],
            &contacts[0]["phone"]
        ),
        (&json!("王*"), &json!("采购总监"), &json!("139"))
    );
    let event = &company
        .administrator
        .get(&format!("/v1/accounts/{}/timeline", id(maker)))
        .await
        .expect(200)["data"][0];
    assert_eq!(
        (&event["actor_kind"], &event["command_id"]),
        (&json!("job"), &job["id"])
    );
}

#[tokio::test]
async fn the_customer_information_sheet_goes_out_as_it_came_in_and_in_again() {
    let headings = SHEET.lines().next().unwrap().split(',').collect::<Vec<_>>();
    let export = json!({ "resource": "account", "format": "csv", "filter": "sort=-next_follow_up_on", "columns": headings });
    let mut table = SHEET.to_owned();
    for _ in 0..2 {
        let company = company().await;
        let rep = with_sources(&company).await;
        let job = import(&rep, CSV, table, json!({ "resource": "account" })).await;
        assert_eq!(counts(&job), [2, 0, 0, 0]);
        let job = done(&rep, rep.post("/v1/exports", export.clone()).await).await;
        let file = download(&rep, job["links"]["file"].as_str().unwrap()).await;
        table = String::from_utf8(file).unwrap();
        assert_eq!(table.trim_start_matches('\u{feff}'), SHEET);
    }
}

#[tokio::test]
async fn an_export_holds_no_person_whom_its_maker_does_not_see() {
    let company = company().await;
    let grants = json!({ "account.read": "all", "contact.read": "own" });
    role(&company, "clerk", grants).await;
    let rep = company.member("李", "sales_representative").await;
    let clerk = company.member("王", "clerk").await;
    let account = json!({ "name": "科技有限公司" });
    let account = id(&rep.post("/v1/accounts", account).await.expect(201));
    let admin = &company.administrator;
    for (name, owner) in [("张总", &rep), ("赵总", &clerk)] {
        let body = json!({ "name": name, "account_id": account, "owner_id": owner.id });
        admin.post("/v1/contacts", body).await.expect(201);
    }
    let export = json!({ "resource": "account", "format": "csv", "columns": ["客户名称", "联系人"] });
    for (person, seen) in [(admin, "张总"), (&clerk, "赵总")] {
        let job = done(person, person.post("/v1/exports", export.clone()).await).await;
        let file = download(person, job["links"]["file"].as_str().unwrap()).await;
        let expected = format!("\u{feff}客户名称,联系人\r\n科技有限公司,{seen}\r\n");
        assert_eq!(String::from_utf8(file).unwrap(), expected);
    }
}

#[tokio::test]
async fn the_same_file_twice_changes_nothing_and_a_corrected_one_changes_what_it_says() {
    let company = company().await;
    let rep = with_sources(&company).await;
    let options = json!({ "resource": "lead", "system": "old", "mode": "upsert" });
    let table =
        |phone: &str| format!("编号,姓名,手机,标签\nL1,王芳,{phone},vip;展会\nL2,李强,13900139000,\n");
    let first = import(&rep, CSV, table("13800138000"), options.clone()).await;
    assert_eq!(counts(&first), [2, 0, 0, 0]);
    let again = import(&rep, CSV, table("13800138000"), options.clone()).await;
    assert_eq!(counts(&again), [0, 0, 2, 0]);
    let corrected = import(&rep, CSV, table("13700137000"), options.clone()).await;
    assert_eq!(counts(&corrected), [0, 1, 1, 0]);
    let leads = all(&rep, "/v1/leads?sort=name").await;
    assert_eq!(leads.len(), 2);
    let wang = leads.iter().find(|lead| lead["name"] == "王芳").unwrap();
    assert_eq!(
        (&wang["phone_e164"], &wang["version"], &wang["tags"]),
        (&json!("+8613700137000"), &json!(2), &json!(["vip", "展会"]))
    );
    let create = json!({ "resource": "lead", "system": "old" });
    let refused = import(&rep, CSV, table("13700137000"), create).await;
    assert_eq!(counts(&refused), [0, 0, 0, 2]);
    // A row that stands twice in one file is one record.
    let twice = "external_id,name\nL3,甲\nL3,乙\n";
    assert_eq!(counts(&import(&rep, CSV, twice, options).await), [1, 1, 0, 0]);
}

#[tokio::test]
async fn faulty_rows_are_told_one_by_one_and_leave_the_others_alone() {
    let company = company().await;
    let rep = with_sources(&company).await;
    let table = "\u{feff}姓名,邮箱,预计需求日期,负责人,来源,预算\r\n\
        王芳,wang@example.com,15-03-24,李*,行业展会,\"¥12,000.50\"\r\n\
        ,bad@,31-02-24,没有此人,没有此来源,很多\n\
        少了\r=cmd(),x@example.com,15-03-24,,,\n多了,a@example.com,15-03-24,,,1,2";
    let options = json!({ "resource": "lead", "date_format": "DD-MM-YY" });
    let job = import(&rep, CSV, table, options.clone()).await;
    assert_eq!(counts(&job), [2, 0, 0, 3]);
    let told = errors(&rep, &job).await;
    let of = |row: i64| {
        told.iter()
            .filter(|error| error.0 == row)
            .map(|error| (error.1.as_str(), error.2.as_str()))
            .collect::<Vec<_>>()
    };
    for fault in [
        ("/name", "required"),
        ("/expected_need_on", "wrong_format"),
        ("/owner_id", "not_found"),
        ("/source_id", "not_found"),
        ("/budget_amount", "wrong_format"),
    ] {
        assert!(of(3).contains(&fault), "{fault:?} in {:?}", of(3));
    }
    assert_eq!(
        (of(4), of(6)),
        (vec![("", "ragged_row")], vec![("", "ragged_row")])
    );
    let leads = all(&rep, "/v1/leads?sort=name").await;
    let wang = leads.iter().find(|lead| lead["name"] == "王芳").unwrap();
    assert_eq!(
        (&wang["budget_amount"], &wang["expected_need_on"]),
        (&json!("12000.50"), &json!("2024-03-15"))
    );
    assert!(leads.iter().any(|lead| lead["name"] == "=cmd()"));

    let file = download(&rep, job["links"]["errors_csv"].as_str().unwrap()).await;
    let mut reader = csv::Reader::from_reader(&file[3..]);
    assert_eq!(&file[..3], b"\xEF\xBB\xBF");
    let rows = reader.records().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(rows.len(), told.len());
    let email = rows.iter().find(|row| &row[1] == "邮箱").unwrap();
    assert_eq!((&email[0], &email[2]), ("3", "bad@"));
    assert!(!email[5].is_ascii() && email[6].contains("没有此人"));

    let mut stop = options;
    stop["on_error"] = json!("stop");
    let job = import(&rep, CSV, table, stop).await;
    assert_eq!(
        (counts(&job), &job["result"]["stopped_at"]),
        ([1, 0, 0, 1], &json!(3))
    );
}

#[tokio::test]
async fn a_dry_run_goes_through_all_rows_and_keeps_nothing() {
    let company = company().await;
    let rep = with_sources(&company).await;
    let table = "{\"name\":\"王芳\",\"tags\":[\"a\"]}\n{\"name\":\"\"}\n{\"name\":\"李强\",\"nonsense\":1}\nnothing\n";
    let options = json!({ "resource": "lead", "dry_run": true });
    let job = import(&rep, NDJSON, table, options).await;
    assert_eq!(counts(&job), [2, 0, 0, 2]);
    assert!(all(&rep, "/v1/leads").await.is_empty());
    let real = import(&rep, NDJSON, table, json!({ "resource": "lead" })).await;
    assert_eq!(counts(&real), [2, 0, 0, 2]);
    assert_eq!(all(&rep, "/v1/leads").await.len(), 2);
}

#[tokio::test]
async fn options_that_do_not_fit_the_file_are_refused_with_all_their_faults() {
    let company = company().await;
    let rep = with_sources(&company).await;
    let stranger = company.member("赵敏", "sales_representative").await;
    let file = sent(&rep, CSV, "a,编号\n1,2\n").await;
    let options = json!({ "file_id": file, "resource": "lead", "mapping": { "a": "nonsense", "b": "name" }, "values": { "c": {} }, "mode": "upsert" });
    let refused = rep.post("/v1/imports", options.clone()).await;
    let expected = [
        ("/mapping/a", "unknown_value"),
        ("/mapping/b", "unknown_value"),
        ("/mapping/name", "required"),
        ("/system", "required"),
        ("/values/c", "unknown_value"),
    ];
    assert_eq!(refused.refused(422), "invalid");
    assert_eq!(
        refused.faults(),
        expected.map(|(one, other)| (one.to_owned(), other.to_owned()))
    );
    assert_eq!(
        stranger
            .post("/v1/imports/preview", options.clone())
            .await
            .refused(404),
        "not_found"
    );
    assert_eq!(
        stranger.post("/v1/imports", options).await.faults(),
        [("/file_id".to_owned(), "not_found".to_owned())]
    );
    let reader = company.member("读者", "read_only").await;
    let body = json!({ "file_id": file, "resource": "lead" });
    assert_eq!(reader.post("/v1/imports", body).await.refused(403), "forbidden");
}

fn zipped(name: &str, size: usize) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive
        .start_file(name, zip::write::SimpleFileOptions::default())
        .unwrap();
    let zeros = vec![b' '; 1024 * 1024];
    for _ in 0..size {
        archive.write_all(&zeros).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[tokio::test]
async fn what_is_no_table_is_refused_at_the_door() {
    let company = company().await;
    let rep = &company.administrator;
    let bomb = zipped("xl/worksheets/sheet1.xml", 300);
    assert!(bomb.len() < 1024 * 1024);
    let code = |answer: &crate::support::app::Answer| answer.faults()[0].1.clone();
    assert_eq!(code(&send(rep, CSV, bomb.clone()).await), "wrong_format");
    assert_eq!(code(&send(rep, WORKBOOK, bomb).await), "zip_bomb");
    assert_eq!(code(&send(rep, WORKBOOK, "no zip").await), "unreadable_workbook");
    assert_eq!(
        code(&send(rep, WORKBOOK, zipped("nothing.txt", 1)).await),
        "unreadable_workbook"
    );
    assert_eq!(
        send(rep, "application/pdf", "x").await.refused(415),
        "unsupported_media_type"
    );
    let empty = sent(rep, CSV, "").await;
    let refused = rep
        .post("/v1/imports", json!({ "file_id": empty, "resource": "lead" }))
        .await;
    assert_eq!(code(&refused), "empty_file");
}

#[tokio::test]
async fn references_are_found_by_name_mail_or_the_other_systems_id_also_further_down() {
    let company = company().await;
    let admin = &company.administrator;
    let rep = company.member("王芳", "sales_representative").await;
    let table = format!(
        "account id,account,subsidiary_of,owner\nA1,子公司,母公司,{}\nA2,母公司,,王芳\nA3,孙公司,子公司,\nA4,孤儿,没有的公司,\n",
        rep.email
    );
    let options = json!({ "resource": "account", "system": "old", "mode": "upsert" });
    let job = import(admin, CSV, table.clone(), options.clone()).await;
    assert_eq!(counts(&job), [3, 0, 0, 1]);
    assert_eq!(
        errors(admin, &job).await,
        [(5, "/parent_id".to_owned(), "not_found".to_owned())]
    );
    assert_eq!(counts(&import(admin, CSV, table, options).await), [0, 0, 3, 1]);
    let accounts = all(admin, "/v1/accounts").await;
    let named = |name: &str| accounts.iter().find(|account| account["name"] == name).unwrap();
    assert_eq!(named("孙公司")["parent_id"], named("子公司")["id"]);
    assert_eq!(named("子公司")["parent_id"], named("母公司")["id"]);
    assert_eq!(
        (&named("子公司")["owner_id"], &named("孙公司")["owner_id"]),
        (&json!(rep.id), &json!(admin.id))
    );
    let contacts = "name,customer\n张总,A2\n李总,母公司\n";
    let options = json!({ "resource": "contact", "system": "old" });
    assert_eq!(counts(&import(admin, CSV, contacts, options).await), [2, 0, 0, 0]);
    let at_mother = format!("/v1/contacts?account_id={}", id(named("母公司")));
    assert_eq!(all(admin, &at_mother).await.len(), 2);
}

/// A small piece of the public table set of sales opportunities, slips included.
const DEALS: &str = "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n\
D1,Moses Frase,GTX Plus Basic,Cancity,Won,20-10-16,01-03-17,1054\n\
D2,Moses Frase,GTXPro,Isdom,Won,25-10-16,11-03-17,4514\n\
D3,Moses Frase,GTXPro,,Engaging,25-10-16,,\n\
D4,Moses Frase,GTX Plus Basic,Cancity,Prospecting,,,\n\
D5,Moses Frase,GTX Plus Basic,Isdom,Lost,01-11-16,20-12-16,0\n\
D6,Moses Frase,MG Special,Isdom,Won,01-11-16,20-10-16,55\n";

#[tokio::test]
async fn deals_come_in_with_the_history_that_they_had() {
    let company = company().await;
    let admin = &company.administrator;
    let agent = company.member("Moses Frase", "sales_representative").await;
    let stage = |key: &str| json!({ "key": key, "name": key, "probability": "0.3", "gate": { "kind": "check", "key": format!("{key}_ok"), "label": "确认" } });
    published(admin, json!({ "key": "hardware", "name": "硬件", "stages": [stage("prospecting"), stage("engaging"), stage("closing")] })).await;
    for name in ["Cancity", "Isdom", "Unknown"] {
        account(admin, name).await;
    }
    for code in ["GTX Plus Basic", "GTX Pro", "MG Special"] {
        admin
            .post("/v1/products", json!({ "code": code, "name": code }))
            .await
            .expect(201);
    }
    let reason = json!({ "key": "elsewhere", "name": "外部导入" });
    admin.post("/v1/loss-reasons", reason).await.expect(201);
    let options = json!({
        "resource": "opportunity", "system": "maven", "mode": "upsert", "date_format": "DD-MM-YY",
        "mapping": { "close_value": "amount", "deal_stage": "stage" },
        "values": { "product": { "GTXPro": "GTX Pro" } },
        "defaults": { "name": "{product} · {account}", "account_id": "Unknown", "loss_reason": "elsewhere" },
    });
    let job = import(admin, CSV, DEALS, options.clone()).await;
    assert_eq!(counts(&job), [5, 0, 0, 1], "{:?}", errors(admin, &job).await);
    assert_eq!(
        errors(admin, &job).await,
        [(7, "/closed_on".to_owned(), "out_of_range".to_owned())]
    );
    assert_eq!(
        counts(&import(admin, CSV, DEALS, options.clone()).await),
        [0, 0, 5, 1]
    );

    let deals = all(admin, "/v1/opportunities?expand=account").await;
    let named = |name: &str| deals.iter().find(|deal| deal["name"] == name).unwrap();
    let won = named("GTX Pro · Isdom");
    assert_eq!(
        (&won["status"], &won["amount"], &won["owner_id"]),
        (&json!("won"), &json!("4514.00"), &json!(agent.id))
    );
    let moves = all(admin, &format!("/v1/opportunities/{}/transitions", id(won))).await;
    let told = moves
        .iter()
        .map(|step| {
            (
                step["kind"].as_str().unwrap(),
                step["to_status"].as_str().unwrap(),
                &step["at"].as_str().unwrap()[..10],
            )
        })
        .collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            ("enter", "open", "2016-10-24"),
            ("import", "open", "2016-10-24"),
            ("import", "won", "2017-03-10")
        ]
    );
    let lines = all(admin, &format!("/v1/opportunities/{}/lines", id(won))).await;
    assert_eq!(
        (&lines[0]["name"], &lines[0]["amount"]),
        (&json!("GTX Pro"), &json!("4514.00"))
    );
    let open = named("GTX Pro · Unknown");
    assert_eq!(
        (&open["status"], &open["account"]["name"]),
        (&json!("open"), &json!("Unknown"))
    );
    assert_eq!(named("GTX Plus Basic · Isdom")["status"], "lost");
    // Its making and its id elsewhere are one event, each move brought in is another, and the history is whole.
    let url = &crate::support::app::server().await.url;
    let mut found = penstock::check::run(url).await.unwrap();
    found.retain(|finding| finding.tenant == company.tenant);
    assert!(found.is_empty(), "{found:#?}");
    let events = all(admin, &format!("/v1/opportunities/{}/timeline", id(won))).await;
    let kinds = events.iter().filter_map(|event| event["kind"].as_str());
    let of_it = kinds.filter(|kind| kind.starts_with("opportunity."));
    let mut of_it = of_it.collect::<Vec<_>>();
    of_it.sort_unstable();
    let (made, moved) = ("opportunity.created", "opportunity.imported");
    assert_eq!(of_it, [made, moved, moved]);
    // Bringing history in needs a permission of its own.
    account(&agent, "Own").await;
    let mut own = options;
    own["file_id"] = json!(sent(&agent, CSV, DEALS).await);
    assert_eq!(agent.post("/v1/imports", own).await.refused(403), "forbidden");
}

#[tokio::test]
async fn a_file_closes_a_deal_only_while_nothing_has_moved_it_here_and_never_before_its_last_move() {
    let company = company().await;
    let admin = &company.administrator;
    let stage = |key: &str| json!({ "key": key, "name": key, "probability": "0.3", "gate": { "kind": "check", "key": format!("{key}_ok"), "label": "确认" } });
    published(
        admin,
        json!({ "key": "live", "name": "在途", "stages": [stage("need"), stage("offer"), stage("contract")] }),
    )
    .await;
    account(admin, "Isdom").await;
    let options = json!({ "resource": "opportunity", "system": "old", "mode": "upsert", "defaults": { "account_id": "Isdom" } });
    let head = "external_id,name,stage,closed_on\n";
    let bring = async |rows: &str| {
        let job = import(admin, CSV, format!("{head}{rows}"), options.clone()).await;
        (counts(&job), errors(admin, &job).await)
    };
    bring("D1,甲,offer,\nD2,乙,offer,\nD3,丙,,\n").await;
    let deals = all(admin, "/v1/opportunities").await;
    let path = |name: &str| {
        let deal = deals.iter().find(|deal| deal["name"] == name).unwrap();
        format!("/v1/opportunities/{}", id(deal))
    };
    let past = json!({ "reason": "特批" });
    let moved = admin.post(&format!("{}/override", path("甲")), past).await;
    moved.expect(200);

    let (did, told) = bring("D1,甲改,won,\nD2,乙,won,2020-01-01\nD3,丙,need,\n").await;
    assert_eq!(did, [0, 0, 1, 2], "{told:?}");
    let fault = |row: i64, at: &str, code: &str| (row, at.to_owned(), code.to_owned());
    assert_eq!(
        told,
        [
            fault(2, "/stage", "invalid"),
            fault(3, "/closed_on", "out_of_range")
        ]
    );
    let gated = admin.get(&path("甲")).await.expect(200);
    assert_eq!((&gated["status"], &gated["name"]), (&json!("open"), &json!("甲")));

    let (did, told) = bring("D2,乙,won,\nD3,丙,contract,\n").await;
    assert_eq!(did, [0, 2, 0, 0], "{told:?}");
    assert_eq!(admin.get(&path("乙")).await.expect(200)["status"], "won");
    for name in ["甲", "乙", "丙"] {
        let moves = all(admin, &format!("{}/transitions", path(name))).await;
        let dwells = moves.iter().filter_map(|step| step["dwell_seconds"].as_i64());
        assert!(dwells.into_iter().all(|dwell| dwell >= 0), "{moves:?}");
        assert!(
            moves
                .windows(2)
                .all(|two| two[0]["at"].as_str() <= two[1]["at"].as_str()),
            "{moves:?}"
        );
    }
}

#[tokio::test]
async fn an_export_holds_what_the_list_shows_its_maker_harmless_and_on_record() {
    let company = company().await;
    let (rep, other) = (
        company.member("王芳", "sales_representative").await,
        company.member("李强", "sales_representative").await,
    );
    for (person, name) in [(&rep, "=HYPERLINK(1)"), (&rep, "甲<乙>,\"丙\""), (&other, "他人")] {
        person
            .post("/v1/leads", json!({ "name": name, "tags": ["vip"] }))
            .await
            .expect(201);
    }
    let ask = async |format: &str| {
        let body = json!({ "resource": "lead", "format": format, "filter": "tag=vip&sort=name", "columns": ["name", "owner.name", "tags"] });
        let job = done(&rep, rep.post("/v1/exports", body).await).await;
        assert_eq!(
            (&job["state"], &job["result"]["rows"]),
            (&json!("done"), &json!(2)),
            "{job}"
        );
        let path = job["links"]["file"].as_str().unwrap().to_owned();
        assert_eq!(other.get(&path).await.refused(404), "not_found");
        (path.clone(), download(&rep, &path).await)
    };
    let (_, file) = ask("csv").await;
    let text = String::from_utf8(file).unwrap();
    assert_eq!(
        text,
        "\u{feff}name,owner.name,tags\r\n'=HYPERLINK(1),王芳,vip\r\n\"甲<乙>,\"\"丙\"\"\",王芳,vip\r\n"
    );
    let (_, lines) = ask("ndjson").await;
    let first: Value = serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({ "name": "=HYPERLINK(1)", "owner.name": "王芳", "tags": ["vip"] })
    );
    let (_, book) = ask("xlsx").await;
    let back = import(
        &rep,
        WORKBOOK,
        book,
        json!({ "resource": "lead", "mapping": { "owner.name": "owner_id" } }),
    )
    .await;
    assert_eq!(counts(&back), [2, 0, 0, 0]);
    let made = all(&company.administrator, "/v1/events?kind=export.made&limit=10").await;
    assert_eq!(made.len(), 3);
    assert_eq!(
        (&made[0]["data"]["rows"], &made[0]["data"]["resource"]),
        (&json!(2), &json!("lead"))
    );
    let refused = rep
        .post(
            "/v1/exports",
            json!({ "resource": "lead", "format": "csv", "filter": "nonsense=1", "columns": ["x"] }),
        )
        .await;
    assert_eq!(
        refused
            .faults()
            .into_iter()
            .map(|fault| fault.0)
            .collect::<Vec<_>>(),
        ["/columns/0", "/filter"]
    );
}

#[tokio::test]
async fn thousands_of_rows_come_in_by_chunks_each_once() {
    let company = company().await;
    let rep = &company.administrator;
    let mut table = String::from("id,name,phone,email\n");
    for row in 0..5_000 {
        table.push_str(&format!("L{row},客户{row},138{row:08},c{row}@example.com\n"));
    }
    let options = json!({ "resource": "lead", "system": "old", "mode": "upsert" });
    let job = import(rep, CSV, table.clone(), options.clone()).await;
    assert_eq!(counts(&job), [5_000, 0, 0, 0]);
    assert_eq!((&job["done"], &job["total"]), (&json!(5_000), &json!(5_000)));
    let total = rep.get("/v1/leads?with_total=true&limit=1").await.expect(200);
    assert_eq!(total["total"], 5_000);
}

#[tokio::test]
async fn headings_in_traditional_characters_are_recognised_for_leads_too() {
    let company = company().await;
    let admin = &company.administrator;
    let file = sent(
        admin,
        CSV,
        "公司名稱,聯系人,聯絡電話,所屬行業,初步需求描述,企業規模\n甲,王芳,13900139000,制造业,x,500人\n",
    )
    .await;
    let preview = admin
        .post(
            "/v1/imports/preview",
            json!({ "file_id": file, "resource": "lead" }),
        )
        .await
        .expect(200);
    let columns = preview["columns"].as_array().unwrap().iter();
    let targets = columns.map(|column| column["target"].clone());
    assert_eq!(
        targets.collect::<Value>(),
        json!(["company", "name", "phone", "industry", "need", null])
    );
}

#[tokio::test]
async fn what_else_a_heading_could_say_stands_beside_it_and_a_label_of_two_fields_needs_the_mapping() {
    let company = company().await;
    let admin = &company.administrator;
    let define = async |key: &str, label: &str| {
        let field = json!({ "resource": "lead", "key": key, "label": label, "kind": "text" });
        admin.post("/v1/field-definitions", field).await.expect(201);
    };
    define("private", "手机").await;
    define("first_tier", "级别").await;
    define("second_tier", "级别").await;
    let file = sent(admin, CSV, "name,手机,级别\n王芳,13900139000,A\n").await;
    let looked = async |mapping: Value| {
        let options = json!({ "file_id": file, "resource": "lead", "mapping": mapping });
        admin.post("/v1/imports/preview", options).await.expect(200)["columns"].clone()
    };
    let column = |heading: &str, target: Value, alternatives: Value| json!({ "heading": heading, "target": target, "alternatives": alternatives });
    assert_eq!(
        looked(json!({})).await,
        json!([
            column("name", json!("name"), json!([])),
            column("手机", json!("custom.private"), json!(["phone"])),
            column(
                "级别",
                Value::Null,
                json!(["custom.first_tier", "custom.second_tier"])
            ),
        ])
    );
    assert_eq!(
        looked(json!({ "手机": "phone", "级别": "custom.second_tier" })).await,
        json!([
            column("name", json!("name"), json!([])),
            column("手机", json!("phone"), json!([])),
            column("级别", json!("custom.second_tier"), json!([])),
        ])
    );
}
