//! Several writes in one request: each as good as a request of its own, together or one by one.

use crate::support::app::{Answer, account, company, database, id};
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

fn batch(mode: &str, items: Value) -> Value {
    json!({ "mode": mode, "items": items })
}

fn statuses(answer: &Value) -> Vec<i64> {
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|result| result["status"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn each_item_is_done_or_refused_by_itself_in_order() {
    let company = company().await;
    let admin = &company.administrator;
    let (one, other) = (account(admin, "一").await, account(admin, "二").await);
    let items = json!([
        { "method": "create", "body": { "name": "三", "annual_revenue": "1" } },
        { "method": "create", "body": { "nme": "x", "employees": -1 } },
        { "method": "update", "id": one, "body": { "region": "华东" }, "if_match": 1 },
        { "method": "update", "id": one, "body": { "region": "华南" }, "if_match": 1 },
        { "method": "archive", "id": other },
        { "method": "update", "id": other, "body": { "region": "华南" } },
        { "method": "restore", "id": other },
        { "method": "update", "id": Uuid::now_v7(), "body": { "region": "x" } },
        { "method": "update", "body": {} }
    ]);
    let answer = admin
        .post("/v1/accounts/batch", batch("each", items))
        .await
        .expect(200);
    assert_eq!(statuses(&answer), [201, 422, 200, 412, 200, 409, 200, 404, 422]);
    assert_eq!((&answer["succeeded"], &answer["failed"]), (&json!(4), &json!(5)));
    let results = &answer["results"];
    assert_eq!(results[0]["body"]["annual_revenue"], "1.00");
    assert_eq!(results[2]["body"]["version"], 2);
    let pointers = |index: usize| {
        let errors = results[index]["problem"]["errors"].as_array().unwrap().iter();
        let mut pointers = errors
            .map(|error| error["pointer"].as_str().unwrap())
            .collect::<Vec<_>>();
        pointers.sort_unstable();
        pointers
    };
    assert_eq!(
        pointers(1),
        [
            "/items/1/body/employees",
            "/items/1/body/name",
            "/items/1/body/nme"
        ]
    );
    assert_eq!(pointers(8), ["/items/8/id"]);
    assert_eq!(results[3]["problem"]["code"], "stale");
    assert_eq!(
        admin.get(&format!("/v1/accounts/{one}")).await.expect(200)["region"],
        "华东"
    );
    assert_eq!(
        admin.get("/v1/accounts?with_total=true").await.expect(200)["total"],
        3
    );
}

#[tokio::test]
async fn all_or_nothing_names_every_fault_and_changes_nothing() {
    let company = company().await;
    let admin = &company.administrator;
    let one = account(admin, "一").await;
    let items = json!([
        { "method": "create", "body": { "name": "二" } },
        { "method": "update", "id": one, "body": { "grade": "z" } },
        { "method": "update", "id": one, "body": { "owner_id": Uuid::now_v7() } },
        { "method": "archive", "id": Uuid::now_v7() }
    ]);
    let refused = admin
        .post("/v1/accounts/batch", batch("all_or_nothing", items))
        .await;
    assert_eq!(refused.refused(422), "invalid");
    let expected = [
        ("/items/1/body/grade", "unknown_value"),
        ("/items/2/body/owner_id", "not_found"),
        ("/items/3", "not_found"),
    ];
    let expected = expected.map(|(at, code)| (at.to_owned(), code.to_owned()));
    assert_eq!(refused.faults(), expected);
    let accounts = admin.get("/v1/accounts").await.expect(200);
    assert_eq!(accounts["data"].as_array().unwrap().len(), 1);
    assert_eq!(accounts["data"][0]["version"], 1);
}

#[tokio::test]
async fn a_foreign_record_is_refused_like_one_that_is_missing() {
    let (one, other) = (company().await, company().await);
    let theirs = account(&other.administrator, "外人").await;
    let representative = one.member("李伟", "sales_representative").await;
    let bosses = account(&one.administrator, "主管的").await;
    let items =
        [theirs, bosses, Uuid::now_v7().to_string()].map(|id| json!({ "method": "archive", "id": id }));
    let answer = representative
        .post("/v1/accounts/batch", batch("each", json!(items)))
        .await
        .expect(200);
    assert_eq!(statuses(&answer), [404, 404, 404]);
    let problems = (0..3).map(|index| {
        let mut problem = answer["results"][index]["problem"].clone();
        problem["request_id"] = json!("");
        problem
    });
    let problems = problems.collect::<Vec<_>>();
    assert!(
        problems.iter().all(|problem| *problem == problems[0]),
        "{problems:?}"
    );
}

#[tokio::test]
async fn an_item_needs_the_same_permissions_as_a_request_of_its_own() {
    let company = company().await;
    let admin = &company.administrator;
    let reader = company.member("看客", "read_only").await;
    let items = json!([{ "method": "create", "body": { "name": "x" } }]);
    let refused = reader.post("/v1/accounts/batch", batch("each", items)).await;
    assert_eq!(refused.refused(403), "forbidden");
    // Giving it to somebody beyond one's reach is refused in a batch too.
    let representative = company.member("李伟", "sales_representative").await;
    let items = json!([{ "method": "create", "body": { "name": "x", "owner_id": admin.id } }]);
    let answer = representative
        .post("/v1/accounts/batch", batch("each", items))
        .await
        .expect(200);
    assert_eq!(statuses(&answer), [403]);
}

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    number: i64,
}

async fn count(tenant: Uuid, sql: &'static str, kind: &str) -> i64 {
    database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query(sql).bind::<SqlUuid, _>(tenant);
            Ok(query
                .bind::<Text, _>(kind)
                .get_result::<Number>(conn)
                .await?
                .number)
        })
        .await
        .unwrap()
}

const EVENTS: &str = "SELECT count(*) AS number FROM events WHERE tenant_id = $1 AND kind = $2";

#[tokio::test]
async fn what_items_did_is_in_the_events_and_nothing_of_what_was_refused() {
    let company = company().await;
    let admin = &company.administrator;
    let one = account(admin, "一").await;
    let items = json!([
        { "method": "update", "id": one, "body": { "region": "甲" } },
        { "method": "update", "id": one, "body": { "region": "乙", "source_id": Uuid::now_v7() } },
        { "method": "update", "id": one, "body": { "region": "丙" } }
    ]);
    admin
        .post("/v1/accounts/batch", batch("each", items))
        .await
        .expect(200);
    // One command leaves one event for each record, whatever it did to it.
    assert_eq!(count(company.tenant, EVENTS, "account.updated").await, 1);
    let now = admin.get(&format!("/v1/accounts/{one}")).await.expect(200);
    assert_eq!((&now["region"], &now["version"]), (&json!("丙"), &json!(3)));
}

#[tokio::test]
async fn a_batch_repeated_with_its_key_is_done_once_and_a_dry_run_not_at_all() {
    let company = company().await;
    let admin = &company.administrator;
    let body = batch(
        "each",
        json!([{ "method": "create", "body": { "name": "x" } }, { "method": "create", "body": {} }]),
    );
    let send = async |header: &str, value: &str| {
        let request = admin.request(Method::POST, "/v1/accounts/batch").await;
        Answer::of(request.header(header, value).json(&body)).await
    };
    let rehearsed = send("prefer", "dry-run").await;
    assert_eq!(rehearsed.header("preference-applied"), "dry-run");
    let first = send("idempotency-key", "batch-1").await;
    let again = send("idempotency-key", "batch-1").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(first.expect(200), again.expect(200));
    assert_eq!(
        admin.get("/v1/accounts?with_total=true").await.expect(200)["total"],
        1
    );
    let stale = send("if-match", "\"1\"").await;
    assert_eq!(stale.refused(400), "bad_header");
}

#[tokio::test]
async fn parts_go_in_batches_too_while_their_record_is_visible() {
    use crate::support::make_deals::{deal, plain};
    use crate::support::make_pipelines::published;
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let deal = id(&deal(admin, &pipeline, None).await);
    let line = |name: &str| json!({ "method": "create", "body": { "name": name, "quantity": "1", "unit_price": "5" } });
    let path = format!("/v1/opportunities/{deal}/lines");
    let body = batch("all_or_nothing", json!([line("甲"), line("乙")]));
    admin
        .post(&format!("{path}/batch"), body.clone())
        .await
        .expect(200);
    let tree = json!({ "filter": { "and": [{ "member": "amount", "gte": "5" }, { "member": "opportunity_id", "eq": deal }] } });
    let found = admin.post(&format!("{path}/search"), tree).await.expect(200);
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    let representative = company.member("李伟", "sales_representative").await;
    let unseen = representative.post(&format!("{path}/batch"), body).await;
    assert_eq!(unseen.refused(404), "not_found");
}

#[tokio::test]
async fn two_batches_over_the_same_records_in_opposite_order_both_end() {
    let company = company().await;
    let admin = &company.administrator;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(account(admin, &format!("客户{n}")).await);
    }
    let update = |ids: Vec<String>, region: &str| {
        let items = ids
            .into_iter()
            .map(|id| json!({ "method": "update", "id": id, "body": { "region": region } }));
        let body = batch("all_or_nothing", items.collect());
        async move { admin.post("/v1/accounts/batch", body).await.status }
    };
    let back = ids.iter().rev().cloned().collect::<Vec<_>>();
    let both = futures::future::join(update(ids.clone(), "甲"), update(back, "乙")).await;
    assert_eq!(both, (200, 200));
    let regions = admin.get("/v1/accounts").await.expect(200)["data"].clone();
    let regions = regions
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["region"].clone());
    let regions = regions.collect::<Vec<_>>();
    assert!(regions.iter().all(|region| *region == regions[0]), "{regions:?}");
}

#[tokio::test]
async fn what_a_collection_does_not_offer_singly_it_does_not_offer_in_batches() {
    let company = company().await;
    let admin = &company.administrator;
    let items = json!([{ "method": "create", "body": { "name": "x", "email": "x@example.com" } }]);
    let answer = admin
        .post("/v1/users/batch", batch("each", items))
        .await
        .expect(200);
    assert_eq!(
        answer["results"][0]["problem"]["errors"][0]["pointer"],
        "/items/0/method"
    );
    assert_eq!(
        admin.post("/v1/intakes/batch", json!({})).await.refused(405),
        "method_not_allowed"
    );
    let many = (0..1001).map(|_| json!({ "method": "create", "body": { "name": "x" } }));
    let refused = admin
        .post("/v1/accounts/batch", batch("each", many.collect()))
        .await;
    assert_eq!(refused.refused(422), "invalid");
}
