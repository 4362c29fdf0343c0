//! Merging: one record goes on with everything that the others had, and it can be undone.

use crate::support::app::{Answer, Person, account, company, id};
use crate::support::make_crm::source;
use crate::support::make_deals::plain;
use crate::support::make_pipelines::published;
use crate::support::make_pool::pooled_account;
use futures::future::join_all;
use penstock::check;
use reqwest::Method;
use serde_json::{Value, json};

async fn make(person: &Person, resource: &str, body: Value) -> String {
    id(&person.post(&format!("/v1/{resource}"), body).await.expect(201))
}

async fn get(person: &Person, resource: &str, id: &str) -> Value {
    person.get(&format!("/v1/{resource}/{id}")).await.expect(200)
}

async fn merge(person: &Person, resource: &str, survivor: &str, loser: &str) -> Answer {
    let body = json!({ "loser_ids": [loser] });
    person
        .post(&format!("/v1/{resource}/{survivor}/merge"), body)
        .await
}

/// Reads without following where it leads.
async fn bare(person: &Person, path: &str) -> (u16, String) {
    let address = crate::support::app::server().await.address;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let request = client
        .get(format!("http://{address}{path}"))
        .bearer_auth(&person.token);
    let answer = request.send().await.unwrap();
    let location = answer
        .headers()
        .get("location")
        .map_or("", |to| to.to_str().unwrap());
    (answer.status().as_u16(), location.to_owned())
}

async fn clean(tenant: uuid::Uuid) {
    let url = &crate::support::app::server().await.url;
    let found = check::run(url).await.unwrap();
    let own = found
        .iter()
        .filter(|finding| finding.tenant == tenant)
        .collect::<Vec<_>>();
    assert!(own.is_empty(), "{own:#?}");
}

#[tokio::test]
async fn an_account_goes_on_with_every_child_of_the_other_and_gives_them_back() {
    let company = company().await;
    let admin = &company.administrator;
    published(admin, plain()).await;
    let li = company.member("李", "sales_representative").await;
    let survivor = account(admin, "恒信智联有限公司").await;
    let loser = json!({ "name": "恒信智聯", "region": "华东", "tags": ["vip"], "owner_id": li.id, "tax_number": "91310000MA1K35X" });
    let loser = make(admin, "accounts", loser).await;
    let child = make(
        admin,
        "accounts",
        json!({ "name": "分公司之一", "parent_id": loser }),
    )
    .await;
    let contact = make(admin, "contacts", json!({ "name": "王芳", "account_id": loser })).await;
    let deal = make(
        admin,
        "opportunities",
        json!({ "name": "采购", "account_id": loser }),
    )
    .await;
    let external = json!({ "system": "erp", "external_id": "C-1" });
    admin
        .post(&format!("/v1/accounts/{loser}/external-ids"), external)
        .await
        .expect(201);
    let before = get(admin, "accounts", &survivor).await;

    let merged = merge(admin, "accounts", &survivor, &loser).await.expect(200);
    assert_eq!(merged["moved"]["contacts.account_id"], 1);
    let after = get(admin, "accounts", &survivor).await;
    assert_eq!(
        (&after["name"], &after["region"], &after["tags"]),
        (&json!("恒信智联有限公司"), &json!("华东"), &json!(["vip"]))
    );
    for (resource, id, member) in [
        ("contacts", &contact, "account_id"),
        ("opportunities", &deal, "account_id"),
        ("accounts", &child, "parent_id"),
    ] {
        assert_eq!(
            get(admin, resource, id).await[member],
            json!(survivor),
            "{resource}"
        );
    }
    let ids = admin
        .get(&format!("/v1/accounts/{survivor}/external-ids"))
        .await
        .expect(200);
    assert_eq!(ids["data"][0]["external_id"], "C-1");
    // Who had it does not lose sight of it.
    li.get(&format!("/v1/accounts/{survivor}")).await.expect(200);
    // Its old id leads on, and takes no command.
    let old = format!("/v1/accounts/{loser}");
    assert_eq!(bare(admin, &old).await, (308, format!("/v1/accounts/{survivor}")));
    let of_the_old = json!({ "name": "张总", "account_id": loser });
    let told = admin.post("/v1/contacts", of_the_old).await;
    assert_eq!(told.faults(), [("/account_id".to_owned(), "merged".to_owned())]);
    assert!(
        told.body["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains(&survivor)
    );
    assert_eq!(get(admin, "accounts", &loser).await["id"], json!(survivor));
    for refused in [
        admin.patch(&old, json!({ "name": "x" })).await,
        admin.delete(&old).await,
        admin.post(&format!("{old}/restore"), json!({})).await,
        merge(admin, "accounts", &survivor, &loser).await,
    ] {
        assert_eq!(refused.refused(409), "merged");
        assert_eq!(refused.body["survivor_id"], json!(survivor));
    }
    // It is found by the other's tax number, and tells what happened to both.
    let hits = admin
        .post(
            "/v1/accounts/duplicates",
            json!({ "name": "别的", "tax_number": "91310000MA1K35X" }),
        )
        .await
        .expect(200);
    assert_eq!(hits["data"][0]["id"], json!(survivor));
    let timeline = admin
        .get(&format!("/v1/accounts/{survivor}/timeline?limit=200"))
        .await
        .expect(200);
    let told = |kind: &str, id: &str| {
        let events = timeline["data"].as_array().unwrap();
        events
            .iter()
            .filter(|event| event["kind"] == kind && event["subject_id"] == id)
            .count()
    };
    assert_eq!(
        (
            told("account.created", &loser),
            told("account.merged", &survivor),
            told("contact.repointed", &contact)
        ),
        (1, 1, 1)
    );
    clean(company.tenant).await;

    // One child goes elsewhere; the others go back.
    let elsewhere = account(admin, "瑞丰天泽有限公司").await;
    admin
        .patch(
            &format!("/v1/contacts/{contact}"),
            json!({ "account_id": elsewhere }),
        )
        .await
        .expect(200);
    let undo = format!(
        "/v1/accounts/{survivor}/merges/{}/undo",
        merged["merge_id"].as_str().unwrap()
    );
    let undone = admin.post(&undo, json!({})).await.expect(200);
    assert_eq!(undone["restored_ids"], json!([loser]));
    assert_eq!(
        undone["not_returned"],
        json!([{ "link": "contacts.account_id", "id": contact }])
    );
    assert_eq!(undone["kept_members"], json!([]));
    for (resource, id, member) in [
        ("opportunities", &deal, "account_id"),
        ("accounts", &child, "parent_id"),
    ] {
        assert_eq!(get(admin, resource, id).await[member], json!(loser), "{resource}");
    }
    assert_eq!(
        get(admin, "contacts", &contact).await["account_id"],
        json!(elsewhere)
    );
    let again = get(admin, "accounts", &survivor).await;
    for member in ["name", "region", "tags", "tax_number"] {
        assert_eq!(again[member], before[member]);
    }
    assert_eq!(
        get(admin, "accounts", &loser).await["tax_number"],
        "91310000MA1K35X"
    );
    assert_eq!(
        li.get(&format!("/v1/accounts/{survivor}")).await.refused(404),
        "not_found"
    );
    assert_eq!(admin.post(&undo, json!({})).await.refused(409), "conflict");
    clean(company.tenant).await;
}

#[tokio::test]
async fn choices_say_member_by_member_whose_value_goes_on() {
    let company = company().await;
    let admin = &company.administrator;
    let survivor = make(
        admin,
        "contacts",
        json!({ "name": "王芳", "job_title": "经理", "email": "a@hengxin.example" }),
    )
    .await;
    let loser = make(
        admin,
        "contacts",
        json!({ "name": "王小芳", "job_title": "总监", "phone": "13900139000" }),
    )
    .await;
    let path = format!("/v1/contacts/{survivor}/merge");
    let body = json!({ "loser_ids": [loser], "choices": { "job_title": loser } });
    let preview = admin
        .request(Method::POST, &path)
        .await
        .header("prefer", "dry-run")
        .json(&body);
    let preview = Answer::of(preview).await.expect(200);
    assert_eq!(preview["survivor"]["job_title"], "总监");
    assert_eq!(get(admin, "contacts", &survivor).await["job_title"], "经理");
    admin.post(&path, body).await.expect(200);
    let after = get(admin, "contacts", &survivor).await;
    assert_eq!(
        (
            &after["name"],
            &after["job_title"],
            &after["phone_e164"],
            &after["email"]
        ),
        (
            &json!("王芳"),
            &json!("总监"),
            &json!("+8613900139000"),
            &json!("a@hengxin.example")
        )
    );
    let wrong = json!({ "loser_ids": [survivor, survivor], "choices": {} });
    let wrong = admin.post(&path, wrong).await;
    assert_eq!(wrong.faults().len(), 2);
    let other = make(admin, "contacts", json!({ "name": "李强" })).await;
    let wrong = json!({ "loser_ids": [other], "choices": { "version": other, "name": admin.id } });
    assert_eq!(
        admin.post(&path, wrong).await.faults(),
        [
            ("/choices/name".to_owned(), "unknown_value".to_owned()),
            ("/choices/version".to_owned(), "unknown_field".to_owned())
        ]
    );
    clean(company.tenant).await;
}

#[tokio::test]
async fn leads_merge_with_their_intakes_and_a_converted_one_does_not_end() {
    let company = company().await;
    let admin = &company.administrator;
    published(admin, plain()).await;
    let website = source(admin, json!({})).await;
    let survivor = make(admin, "leads", json!({ "name": "王芳", "company": "恒信智联" })).await;
    let body = json!({ "name": "王芳", "phone": "13900139000" });
    let delivered = website.deliver("d1", &body).await.expect(201);
    let loser = delivered["lead_id"].as_str().unwrap().to_owned();
    merge(admin, "leads", &survivor, &loser).await.expect(200);
    // The sender's retry, and a new push with that phone, are about the one that goes on.
    assert_eq!(
        website.deliver("d1", &body).await.expect(200)["lead_id"],
        json!(survivor)
    );
    assert_eq!(
        website.deliver("d2", &body).await.expect(200)["lead_id"],
        json!(survivor)
    );
    let convert = json!({ "opportunity": {} });
    admin
        .post(&format!("/v1/leads/{survivor}/convert"), convert)
        .await
        .expect(200);
    let fresh = make(admin, "leads", json!({ "name": "王芳" })).await;
    assert_eq!(
        merge(admin, "leads", &fresh, &survivor).await.refused(409),
        "already_converted"
    );
    merge(admin, "leads", &survivor, &fresh).await.expect(200);
    clean(company.tenant).await;
}

#[tokio::test]
async fn merges_that_cross_leave_each_record_live_or_merged_once() {
    let company = company().await;
    let admin = &company.administrator;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(make(admin, "accounts", json!({ "name": format!("恒信智联{n}") })).await);
    }
    let edit = |id: &String| format!("/v1/accounts/{id}");
    let pairs = (0..4)
        .flat_map(|one| (0..4).map(move |other| (one, other)))
        .filter(|(one, other)| one != other);
    let merges = join_all(pairs.map(|(one, other)| merge(admin, "accounts", &ids[one], &ids[other])));
    let edits = join_all(ids.iter().map(|id| {
        let path = edit(id);
        async move { admin.patch(&path, json!({ "region": "华东" })).await }
    }));
    let contacts = join_all(
        ids.iter()
            .map(|id| admin.post("/v1/contacts", json!({ "name": "王芳", "account_id": id }))),
    );
    let (merges, edits, contacts) = futures::join!(merges, edits, contacts);
    // On a slow day somebody waits too long for a row, and is told so.
    let merged = merges.iter().filter(|answer| answer.status == 200).count();
    assert!(merged > 0);
    for answer in merges.iter().filter(|answer| answer.status != 200) {
        let is_about_the_loser = answer.status == 409
            && ["merged", "request_in_progress"].contains(&answer.body["code"].as_str().unwrap());
        assert!(is_about_the_loser, "{}", answer.body);
    }
    assert!(
        edits
            .iter()
            .all(|answer| answer.status == 200 || answer.status == 409)
    );
    let live = admin.get("/v1/accounts").await.expect(200);
    let live = live["data"].as_array().unwrap();
    assert_eq!(live.len(), 4 - merged);
    for answer in contacts.iter().filter(|answer| answer.status == 201) {
        let contact = get(admin, "contacts", &id(&answer.body)).await;
        assert!(live.iter().any(|account| account["id"] == contact["account_id"]));
    }
    clean(company.tenant).await;
}

#[tokio::test]
async fn a_chain_of_merges_leads_to_its_end_and_is_undone_from_there() {
    let company = company().await;
    let admin = &company.administrator;
    let (a, b, c) = (
        account(admin, "甲").await,
        account(admin, "乙").await,
        account(admin, "丙").await,
    );
    let contact = make(admin, "contacts", json!({ "name": "王芳", "account_id": a })).await;
    let first = merge(admin, "accounts", &b, &a).await.expect(200);
    let second = merge(admin, "accounts", &c, &b).await.expect(200);
    assert_eq!(
        bare(admin, &format!("/v1/accounts/{a}")).await.1,
        format!("/v1/accounts/{c}")
    );
    let undo = |survivor: &str, merge: &Value| {
        format!(
            "/v1/accounts/{survivor}/merges/{}/undo",
            merge["merge_id"].as_str().unwrap()
        )
    };
    assert_eq!(
        admin.post(&undo(&b, &first), json!({})).await.refused(409),
        "merged"
    );
    admin.post(&undo(&c, &second), json!({})).await.expect(200);
    assert_eq!(get(admin, "contacts", &contact).await["account_id"], json!(b));
    admin.post(&undo(&b, &first), json!({})).await.expect(200);
    assert_eq!(get(admin, "contacts", &contact).await["account_id"], json!(a));
    clean(company.tenant).await;
}

#[tokio::test]
async fn an_account_below_the_one_that_ends_takes_its_place_in_the_tree() {
    let company = company().await;
    let admin = &company.administrator;
    let top = account(admin, "顶").await;
    let loser = make(admin, "accounts", json!({ "name": "上", "parent_id": top })).await;
    let between = make(admin, "accounts", json!({ "name": "中", "parent_id": loser })).await;
    let survivor = make(admin, "accounts", json!({ "name": "下", "parent_id": between })).await;
    merge(admin, "accounts", &survivor, &loser).await.expect(200);
    assert_eq!(get(admin, "accounts", &survivor).await["parent_id"], json!(top));
    assert_eq!(
        get(admin, "accounts", &between).await["parent_id"],
        json!(survivor)
    );
}

#[tokio::test]
async fn merging_needs_its_permission_over_both_and_stays_within_the_company() {
    let (one, other) = (company().await, company().await);
    let admin = &one.administrator;
    let li = one.member("李", "sales_representative").await;
    let (mine, mine_too) = (
        make(&li, "contacts", json!({ "name": "甲" })).await,
        make(&li, "contacts", json!({ "name": "乙" })).await,
    );
    assert_eq!(
        merge(&li, "contacts", &mine, &mine_too).await.refused(403),
        "forbidden"
    );
    let foreign = make(&other.administrator, "contacts", json!({ "name": "丙" })).await;
    assert_eq!(
        merge(admin, "contacts", &mine, &foreign).await.faults(),
        [("/loser_ids/0".to_owned(), "not_found".to_owned())]
    );
    assert_eq!(
        merge(&other.administrator, "contacts", &mine, &foreign)
            .await
            .refused(404),
        "not_found"
    );
    let path = format!("/v1/contacts/{mine}/merge");
    let stale = admin
        .request(Method::POST, &path)
        .await
        .header("if-match", "\"7\"")
        .json(&json!({ "loser_ids": [mine_too] }));
    assert_eq!(Answer::of(stale).await.refused(412), "stale");
    let merged = merge(admin, "contacts", &mine, &mine_too).await.expect(200);
    let undo = format!(
        "/v1/contacts/{mine}/merges/{}/undo",
        merged["merge_id"].as_str().unwrap()
    );
    assert_eq!(
        other.administrator.post(&undo, json!({})).await.refused(404),
        "not_found"
    );
    let notes = admin
        .get(&format!("/v1/contacts/{mine}/merges"))
        .await
        .expect(200);
    assert_eq!(notes["data"][0]["merged_ids"], json!([mine_too]));
}

#[tokio::test]
async fn a_review_can_be_decided_by_merging() {
    let company = company().await;
    let admin = &company.administrator;
    admin
        .patch("/v1/company", json!({ "account_duplicates": "queue" }))
        .await
        .expect(200);
    let (one, other) = (
        account(admin, "恒信智联有限公司").await,
        account(admin, "恒信智联科技").await,
    );
    let reviews = admin.get("/v1/duplicate-reviews").await.expect(200);
    let path = format!(
        "/v1/duplicate-reviews/{}/decide",
        reviews["data"][0]["id"].as_str().unwrap()
    );
    let decided = admin
        .post(&path, json!({ "decision": "merge", "survivor_id": other }))
        .await
        .expect(200);
    assert_eq!(decided["status"], "merged");
    assert_eq!(get(admin, "accounts", &one).await["id"], json!(other));
    clean(company.tenant).await;
}

#[derive(diesel::QueryableByName)]
struct Column {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

#[tokio::test]
async fn whatever_names_a_record_that_can_be_merged_is_a_declared_link() {
    use diesel_async::RunQueryDsl;
    let db = crate::support::app::database().await;
    let statement = "\
        SELECT c.conrelid::regclass || '.' || a.attname AS name FROM pg_constraint c \
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[array_length(c.conkey, 1)] \
        WHERE c.contype = 'f' AND c.confrelid IN ('accounts'::regclass, 'contacts'::regclass, 'leads'::regclass) \
        UNION SELECT table_name || '.record_id' FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'record_kind'";
    let named: Vec<Column> = db
        .read(async |conn| Ok(diesel::sql_query(statement).load(conn).await?))
        .await
        .unwrap();
    // A record's own values, and what the merge itself writes.
    let apart = [
        "custom_values",
        "lead_scores",
        "lead_campaigns",
        "lead_signals",
        "identity_keys",
        "identity_names",
        "search_entries",
        "pool_claimants",
        "pool_clocks",
        "pool_cool_downs",
        "pool_rules",
        "pool_settings",
        "pool_stays",
        "merges",
        "merged_records",
        "duplicate_reviews",
    ];
    let links = penstock::app::links()
        .iter()
        .map(|link| link.name())
        .collect::<Vec<_>>();
    let forgotten = named.iter().map(|column| &column.name).filter(|name| {
        let table = name.split('.').next().unwrap();
        !apart.contains(&table) && !links.contains(name)
    });
    assert_eq!(forgotten.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn undoing_a_merge_brings_no_account_back_to_the_pool_that_has_an_open_deal_by_now() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let survivor = pooled_account(admin, "恒信智联有限公司").await;
    let loser = account(admin, "瑞丰天泽有限公司").await;
    let merged = merge(admin, "accounts", &survivor, &loser).await.expect(200);
    let undo = format!(
        "/v1/accounts/{survivor}/merges/{}/undo",
        merged["merge_id"].as_str().unwrap()
    );
    let deal = json!({ "name": "采购", "account_id": survivor, "pipeline_id": pipeline });
    let deal = make(admin, "opportunities", deal).await;
    assert_eq!(admin.post(&undo, json!({})).await.refused(409), "in_use");
    let deal = format!("/v1/opportunities/{deal}");
    admin.delete(&deal).await.expect(200);
    admin.post(&undo, json!({})).await.expect(200);
    assert_eq!(get(admin, "accounts", &survivor).await["owner_id"], Value::Null);
    let restored = admin.post(&format!("{deal}/restore"), json!({})).await;
    assert_eq!(restored.refused(409), "conflict");
    clean(company.tenant).await;
}
