//! Lists by name, in the order in which their readers look for them.

use crate::support::app::{CREATED, Company, Person, account, company, id};
use crate::support::make_deals::plain;
use crate::support::make_events::Own;
use crate::support::make_pipelines::published;
use diesel_async::SimpleAsyncConnection;
use penstock::check;
use penstock::platform::migrations;
use serde_json::{Value, json};

/// Chinese by pinyin, then Latin, then Cyrillic; numbers by what they count.
const IN_ORDER: [&str; 17] = [
    "安徽恒信",
    "北京远大",
    "第9期采购",
    "第10期采购",
    "上海恒信",
    "张总",
    "alpha",
    "Ärzte",
    "beta",
    "Beta",
    "Deal 9",
    "Deal 10",
    "zeta",
    "Апельсин",
    "ёлка",
    "ель",
    "яблоко",
];

/// Not in order, and some of them twice.
fn mixed() -> Vec<&'static str> {
    let mut names = IN_ORDER.to_vec();
    names.sort_by_key(|name| name.bytes().rev().collect::<Vec<_>>());
    names.extend(["张总", "beta"]);
    names
}

fn in_order_with_doubles() -> Vec<&'static str> {
    let doubled = |name: &&'static str| if ["张总", "beta"].contains(name) { 2 } else { 1 };
    IN_ORDER
        .iter()
        .flat_map(|name| vec![*name; doubled(name)])
        .collect()
}

/// A path page by page, every record with its name.
async fn walked(person: &Person, path: &str, query: &str) -> Vec<(String, String)> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = person.get(&format!("{path}?{query}{cursor}")).await.expect(200);
        let rows = page["data"].as_array().unwrap().iter();
        seen.extend(rows.map(|row| (row["name"].as_str().unwrap().to_owned(), id(row))));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

fn names(walked: &[(String, String)]) -> Vec<&str> {
    walked.iter().map(|(name, _)| name.as_str()).collect()
}

/// Makes a record of each of these names.
async fn furnish(company: &Company, path: &str, more: Value) {
    for name in mixed() {
        let mut body = more.clone();
        body["name"] = json!(name);
        company.administrator.post(path, body).await.expect(CREATED);
    }
}

async fn stands_in_order(company: &Company, path: &str) {
    let admin = &company.administrator;
    let whole = walked(admin, path, "sort=name&limit=200").await;
    assert_eq!(names(&whole), in_order_with_doubles(), "{path}");
    assert_eq!(walked(admin, path, "sort=name&limit=2").await, whole, "{path}");
    let mut back = walked(admin, path, "sort=-name&limit=2").await;
    back.reverse();
    assert_eq!(back, whole, "{path}");
    let by_age = walked(admin, path, "sort=name,-created_at&limit=1").await;
    assert_eq!(names(&by_age), in_order_with_doubles(), "{path}");
    let mut ids = by_age.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    let mut all = whole.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    ids.sort();
    all.sort();
    assert_eq!(ids, all, "{path}: each once");
}

#[actix_web::test]
async fn accounts_and_contacts_stand_as_in_an_address_book_whatever_the_script() {
    let company = company().await;
    for path in ["/v1/accounts", "/v1/contacts"] {
        furnish(&company, path, json!({})).await;
        stands_in_order(&company, path).await;
    }
}

#[actix_web::test]
async fn leads_and_opportunities_are_listed_in_the_same_order() {
    let company = company().await;
    let admin = &company.administrator;
    furnish(&company, "/v1/leads", json!({ "company": "某厂" })).await;
    stands_in_order(&company, "/v1/leads").await;
    let pipeline = published(admin, plain()).await;
    let account_id = account(admin, "恒信").await;
    let more = json!({ "account_id": account_id, "pipeline_id": pipeline });
    furnish(&company, "/v1/opportunities", more).await;
    stands_in_order(&company, "/v1/opportunities").await;
}

#[actix_web::test]
async fn somebody_who_sees_some_walks_those_in_order() {
    let company = company().await;
    let seller = company.member("李", "sales_representative").await;
    furnish(&company, "/v1/accounts", json!({})).await;
    furnish(&company, "/v1/accounts", json!({ "owner_id": seller.id })).await;
    let seen = walked(&seller, "/v1/accounts", "sort=name&limit=2").await;
    assert_eq!(names(&seen), in_order_with_doubles());
}

#[actix_web::test]
async fn a_page_goes_on_where_it_ended_while_names_come_and_go() {
    let company = company().await;
    let admin = &company.administrator;
    for name in ["安", "北", "陈"] {
        account(admin, name).await;
    }
    let first = admin.get("/v1/accounts?sort=name&limit=2").await.expect(200);
    account(admin, "安二").await;
    account(admin, "北京").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = admin
        .get(&format!("/v1/accounts?sort=name&limit=2&cursor={cursor}"))
        .await
        .expect(200);
    let rows = next["data"].as_array().unwrap().iter();
    assert_eq!(
        rows.map(|row| row["name"].clone()).collect::<Vec<_>>(),
        ["北京", "陈"]
    );
}

#[actix_web::test]
async fn a_filter_by_a_name_means_that_name_and_no_other() {
    let company = company().await;
    let admin = &company.administrator;
    furnish(&company, "/v1/accounts", json!({})).await;
    for (test, found) in [
        (json!({ "member": "name", "eq": "Beta" }), vec!["Beta"]),
        (
            json!({ "member": "name", "in": ["beta", "zeta", "елка"] }),
            vec!["beta", "beta", "zeta"],
        ),
        (json!({ "not": { "member": "name", "ne": "ёлка" } }), vec!["ёлка"]),
    ] {
        let body = json!({ "filter": test, "sort": ["name"] });
        let list = admin.post("/v1/accounts/search", body).await.expect(200);
        let rows = list["data"].as_array().unwrap().iter();
        assert_eq!(
            rows.map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>(),
            found
        );
    }
}

#[tokio::test]
async fn a_server_that_knows_no_orders_of_names_lists_them_in_its_own() {
    let own = Own::new(None).await;
    let is_of = |provider: &str| {
        format!(
            "SELECT count(*) AS number FROM pg_collation WHERE collname = 'names' AND collprovider = '{provider}'"
        )
    };
    assert_eq!(own.number(&is_of("i")).await, 1);
    migrations::revert_all(&own.url).await.unwrap();
    let forget = "SET allow_system_table_mods = on; DELETE FROM pg_collation WHERE collprovider = 'i'";
    own.db
        .bookkeep(async |conn| Ok(conn.batch_execute(forget).await?))
        .await
        .unwrap();
    migrations::run(&own.url).await.unwrap();
    assert_eq!(own.number(&is_of("c")).await, 1);
    let listed = "SELECT count(*) AS number FROM (SELECT name FROM accounts ORDER BY name COLLATE names, id LIMIT 1) t";
    assert_eq!(own.number(listed).await, 0);
    assert_eq!(check::run(&own.url).await.unwrap(), []);
}
