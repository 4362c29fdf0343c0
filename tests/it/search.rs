//! Lists by filter trees, and by the company's own fields.

use crate::support::app::{Answer, Company, Person, account, company, database, id, sandbox};
use crate::support::filter_trees::{DAYS, WORDS, holds, trees};
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use penstock::crm::field_index;
use penstock::kernel::ctx::{ActorKind, Ctx};
use penstock::platform::auth::load_company;
use penstock::platform::clock;
use penstock::platform::reply::Reply;
use penstock::time::timer::Timer;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

async fn field(admin: &Person, resource: &str, key: &str, kind: &str, more: Value) -> String {
    let mut body = json!({ "resource": resource, "key": key, "label": key, "kind": kind });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    id(&admin.post("/v1/field-definitions", body).await.expect(201))
}

async fn filterable(admin: &Person, resource: &str, key: &str, kind: &str) -> String {
    field(admin, resource, key, kind, json!({ "is_filterable": true })).await
}

fn names(answer: &Value) -> Vec<&str> {
    let records = answer["data"].as_array().unwrap().iter();
    let mut names = records
        .map(|record| record["name"].as_str().unwrap())
        .collect::<Vec<_>>();
    names.sort_unstable();
    names
}

async fn found(person: &Person, path: &str, filter: Value) -> Value {
    person
        .post(&format!("{path}/search"), json!({ "filter": filter }))
        .await
        .expect(200)
}

async fn make(person: &Person, path: &str, bodies: Vec<Value>) -> Vec<Value> {
    let items = bodies
        .into_iter()
        .map(|body| json!({ "method": "create", "body": body }));
    let body = json!({ "mode": "all_or_nothing", "items": items.collect::<Vec<_>>() });
    let made = person.post(&format!("{path}/batch"), body).await.expect(200);
    let results = made["results"].as_array().unwrap().iter();
    results.map(|result| result["body"].clone()).collect()
}

#[tokio::test]
async fn a_tree_finds_what_all_its_parts_say() {
    let company = sandbox("2024-03-15T02:00:00Z").await;
    let admin = &company.administrator;
    make(admin, "/v1/accounts", vec![
        json!({ "name": "大科技", "industry": "信息技术", "annual_revenue": "500", "tags": ["vip"] }),
        json!({ "name": "小科技", "industry": "信息技术", "annual_revenue": "5" }),
        json!({ "name": "大制造", "industry": "制造业", "annual_revenue": "900", "tags": ["vip", "old"] }),
        json!({ "name": "无营收", "industry": "信息技术" }),
    ])
    .await;
    let tree = json!({ "and": [
        { "member": "industry", "eq": "信息技术" },
        { "or": [{ "member": "annual_revenue", "gt": "100" }, { "member": "annual_revenue", "is_empty": true }] },
        { "member": "created_at", "last_days": 1 }
    ] });
    assert_eq!(
        names(&found(admin, "/v1/accounts", tree).await),
        ["大科技", "无营收"]
    );
    let not = json!({ "not": { "member": "tags", "contains": "vip" } });
    assert_eq!(
        names(&found(admin, "/v1/accounts", not).await),
        ["小科技", "无营收"]
    );
    let mine = json!({ "member": "owner_id", "eq": "me" });
    assert_eq!(
        found(admin, "/v1/accounts", mine).await["data"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let old = json!({ "member": "created_at", "lt": { "days_from_today": 0 } });
    assert_eq!(
        names(&found(admin, "/v1/accounts", old).await),
        Vec::<&str>::new()
    );
    let all = admin.post("/v1/accounts/search", json!({})).await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_relation_is_followed_one_step_and_only_as_far_as_one_sees() {
    let company = company().await;
    let admin = &company.administrator;
    let representative = company.member("李伟", "sales_representative").await;
    let hidden = id(&admin
        .post("/v1/accounts", json!({ "name": "甲", "industry": "制造业" }))
        .await
        .expect(201));
    let own = id(&representative
        .post("/v1/accounts", json!({ "name": "乙", "industry": "制造业" }))
        .await
        .expect(201));
    for (name, account) in [("张", &hidden), ("王", &own)] {
        let body = json!({ "name": name, "account_id": account, "owner_id": representative.id });
        admin.post("/v1/contacts", body).await.expect(201);
    }
    let tree = json!({ "member": "account.industry", "eq": "制造业" });
    assert_eq!(
        names(&found(admin, "/v1/contacts", tree.clone()).await),
        ["张", "王"]
    );
    assert_eq!(names(&found(&representative, "/v1/contacts", tree).await), ["王"]);
    // What one cannot see counts as empty, so that nothing can be found out about it.
    let empty = json!({ "member": "account.industry", "is_empty": true });
    assert_eq!(
        names(&found(&representative, "/v1/contacts", empty).await),
        ["张"]
    );
}

#[tokio::test]
async fn every_fault_of_a_search_is_named_at_once() {
    let company = company().await;
    let body = json!({
        "filter": { "and": [{ "member": "nme", "eq": "x" }, { "member": "employees", "gt": "many" }] },
        "sort": ["-nme"], "expand": ["nobody"]
    });
    let refused = company.administrator.post("/v1/accounts/search", body).await;
    assert_eq!(refused.refused(422), "invalid");
    let expected = [
        ("/expand/0", "unknown_value"),
        ("/filter/and/0/member", "unknown_value"),
        ("/filter/and/1/gt", "wrong_type"),
        ("/sort/0", "unknown_value"),
    ];
    let expected = expected.map(|(at, code)| (at.to_owned(), code.to_owned()));
    assert_eq!(refused.faults(), expected);
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_and_a_cursor_is_good_for_its_own_search_only() {
    let company = company().await;
    let admin = &company.administrator;
    let bodies =
        (0..25).map(|n| json!({ "name": format!("客户{n:02}"), "annual_revenue": format!("{}", n % 4) }));
    make(admin, "/v1/accounts", bodies.collect()).await;
    let search = |cursor: Option<String>, least: &str| json!({ "filter": { "member": "annual_revenue", "gte": least }, "sort": ["-annual_revenue", "name"], "limit": 7, "with_total": true, "cursor": cursor });
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = admin
            .post("/v1/accounts/search", search(cursor.clone(), "1"))
            .await
            .expect(200);
        assert_eq!(page["total"], 18);
        seen.extend(page["data"].as_array().unwrap().iter().map(|record| {
            (
                record["annual_revenue"].as_str().unwrap().to_owned(),
                record["name"].as_str().unwrap().to_owned(),
            )
        }));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    let mut sorted = seen.clone();
    sorted.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    assert_eq!(seen, sorted);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 18);

    let other_filter = admin
        .post("/v1/accounts/search", search(cursor.clone(), "2"))
        .await;
    assert_eq!(
        other_filter.faults(),
        [("/cursor".to_owned(), "invalid".to_owned())]
    );
    let colleague = company.member("王", "sales_director").await;
    let other_caller = colleague.post("/v1/accounts/search", search(cursor, "1")).await;
    assert_eq!(other_caller.refused(422), "invalid");
}

#[tokio::test]
async fn a_search_shows_nothing_beyond_ones_scope_nor_of_another_company() {
    let (one, other) = (company().await, company().await);
    account(&other.administrator, "外人").await;
    account(&one.administrator, "主管的").await;
    let representative = one.member("李伟", "sales_representative").await;
    account(&representative, "自己的").await;
    let everything =
        json!({ "or": [{ "member": "name", "is_empty": false }, { "member": "name", "is_empty": true }] });
    assert_eq!(
        names(&found(&representative, "/v1/accounts", everything.clone()).await),
        ["自己的"]
    );
    assert_eq!(
        names(&found(&one.administrator, "/v1/accounts", everything.clone()).await),
        ["主管的", "自己的"]
    );
    let nobody = one.member("无", "no-such-role").await;
    let refused = nobody
        .post("/v1/accounts/search", json!({ "filter": everything }))
        .await;
    assert_eq!(refused.refused(403), "forbidden");
}

#[tokio::test]
async fn what_one_may_not_read_cannot_be_found_out_by_searching_or_filtering() {
    let company = company().await;
    let admin = &company.administrator;
    admin
        .post(
            "/v1/products",
            json!({ "code": "p1", "name": "标准版", "cost": "10.00" }),
        )
        .await
        .expect(201);
    let reader = company.member("看客", "read_only").await;
    let tree = json!({ "filter": { "member": "cost", "gt": "5" } });
    let refused = reader.post("/v1/products/search", tree.clone()).await;
    assert_eq!(
        refused.faults(),
        [("/filter/member".to_owned(), "forbidden".to_owned())]
    );
    assert_eq!(
        reader.get("/v1/products?cost_min=5").await.refused(400),
        "bad_parameter"
    );
    assert_eq!(
        admin.get("/v1/products?cost_min=5").await.expect(200)["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let found = admin.post("/v1/products/search", tree).await.expect(200);
    assert_eq!(names(&found), ["标准版"]);
}

#[tokio::test]
async fn a_search_keeps_no_idempotency_key_and_get_finds_no_record_called_search() {
    let company = company().await;
    let admin = &company.administrator;
    for filter in [json!({ "member": "name", "eq": "x" }), json!({})] {
        let request = admin.request(Method::POST, "/v1/accounts/search").await;
        let request = request
            .header("idempotency-key", "same")
            .json(&json!({ "filter": filter }));
        let answer = Answer::of(request).await;
        assert_eq!(answer.header("idempotent-replayed"), "");
        answer.expect(200);
    }
    assert_eq!(
        admin.get("/v1/accounts/search").await.refused(405),
        "method_not_allowed"
    );
}

#[tokio::test]
async fn lists_filter_by_the_companys_own_fields() {
    let company = company().await;
    let admin = &company.administrator;
    filterable(admin, "account", "score", "number").await;
    filterable(admin, "account", "since", "date").await;
    filterable(admin, "account", "city", "text").await;
    field(admin, "account", "secret_note", "text", json!({})).await;
    make(
        admin,
        "/v1/accounts",
        vec![
            json!({ "name": "一", "custom": { "score": "5", "city": "上海", "since": "2024-01-01" } }),
            json!({ "name": "二", "custom": { "score": "7.5", "city": "北京" } }),
            json!({ "name": "三" }),
        ],
    )
    .await;
    let list = async |query: &str| {
        let answer = admin.get(&format!("/v1/accounts?{query}")).await.expect(200);
        names(&answer).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(list("custom.city=上海").await, ["一"]);
    assert_eq!(list("custom.city=上海&custom.city=北京").await, ["一", "二"]);
    assert_eq!(list("custom.score_min=6").await, ["二"]);
    assert_eq!(list("custom.score_min=5&custom.score_max=7").await, ["一"]);
    assert_eq!(list("custom.since_before=2024-01-02").await, ["一"]);
    assert_eq!(list("custom.since_after=2024-01-02").await, Vec::<String>::new());

    let refused = admin
        .get("/v1/accounts?custom.secret_note=x&custom.none=1&custom.score_min=much&custom.city_min=1")
        .await;
    assert_eq!(refused.refused(400), "bad_parameter");
    let expected = [
        ("?custom.city_min", "unknown_parameter"),
        ("?custom.none", "unknown_parameter"),
        ("?custom.score_min", "wrong_form"),
        ("?custom.secret_note", "not_filterable"),
    ];
    let expected = expected.map(|(at, code)| (at.to_owned(), code.to_owned()));
    assert_eq!(refused.faults(), expected);
}

/// Does what the engine would do with this company's timers of this kind, until none is left.
async fn work_through(company: &Company) {
    let db = database().await;
    let now = clock::real_now();
    let settings = load_company(&db, company.tenant).await.unwrap().unwrap();
    let ctx = Ctx::system(Arc::new(settings), company.tenant, ActorKind::Timer, now, now);
    for _ in 0..500 {
        let due: Vec<Timer> = db
            .read(async |conn| {
                let query = diesel::sql_query("SELECT * FROM timers WHERE tenant_id = $1 AND kind = $2");
                let query = query.bind::<SqlUuid, _>(company.tenant);
                Ok(query.bind::<Text, _>(field_index::TIMER).load(conn).await?)
            })
            .await
            .unwrap();
        let Some(timer) = due.into_iter().next() else {
            return;
        };
        let fired = db.write(&ctx, async |tx| {
            field_index::fire(tx, &ctx, &timer).await?;
            if !tx.has_touched(timer.id) {
                let query = diesel::sql_query("DELETE FROM timers WHERE tenant_id = $1 AND id = $2");
                let query = query.bind::<SqlUuid, _>(company.tenant);
                query.bind::<SqlUuid, _>(timer.id).execute(&mut **tx).await?;
            }
            Ok(Reply::no_content())
        });
        // The server's own engine fires it too; who finds that it is no longer theirs leaves it.
        if let Err(error) = fired.await {
            assert!(error.to_string().contains("by another meanwhile"), "{error}");
        }
    }
    panic!("the field is not done with");
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

async fn copied(company: &Company) -> i64 {
    database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query("SELECT count(*) AS count FROM custom_values WHERE tenant_id = $1");
            Ok(query
                .bind::<SqlUuid, _>(company.tenant)
                .get_result::<Count>(conn)
                .await?
                .count)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_field_that_becomes_filterable_finds_old_records_at_once_and_is_copied_soon() {
    let company = company().await;
    let admin = &company.administrator;
    let score = field(admin, "account", "score", "number", json!({})).await;
    let bodies =
        (0..30).map(|n| json!({ "name": format!("客户{n:02}"), "custom": { "score": n.to_string() } }));
    let made = make(admin, "/v1/accounts", bodies.collect()).await;
    assert_eq!(copied(&company).await, 0);
    let path = format!("/v1/field-definitions/{score}");
    let changed = admin
        .patch(&path, json!({ "is_filterable": true }))
        .await
        .expect(200);
    assert_eq!(changed["is_indexed"], false);
    let many = async || {
        let page = admin
            .get("/v1/accounts?custom.score_min=20&with_total=true")
            .await
            .expect(200);
        page["total"].as_i64().unwrap()
    };
    assert_eq!(many().await, 10);

    work_through(&company).await;
    assert_eq!(admin.get(&path).await.expect(200)["is_indexed"], true);
    assert_eq!((many().await, copied(&company).await), (10, 30));
    // From now on each writer copies its own.
    let one = format!("/v1/accounts/{}", made[0]["id"].as_str().unwrap());
    admin
        .patch(&one, json!({ "custom": { "score": "99" } }))
        .await
        .expect(200);
    admin
        .patch(
            &one.replace(made[0]["id"].as_str().unwrap(), made[29]["id"].as_str().unwrap()),
            json!({ "custom": { "score": null } }),
        )
        .await
        .expect(200);
    assert_eq!((many().await, copied(&company).await), (10, 29));

    let off = admin
        .patch(&path, json!({ "is_filterable": false }))
        .await
        .expect(200);
    assert_eq!(off["is_indexed"], false);
    work_through(&company).await;
    assert_eq!(copied(&company).await, 0);
}

#[tokio::test]
async fn a_tree_and_its_sql_agree_on_whatever_records_there_are() {
    let company = company().await;
    let admin = &company.administrator;
    filterable(admin, "account", "score", "number").await;
    filterable(admin, "account", "city", "text").await;
    let mut runner = TestRunner::deterministic();
    let mut made = Vec::new();
    for round in 0..2 {
        let parents = made
            .iter()
            .map(|record: &Value| record["id"].clone())
            .collect::<Vec<_>>();
        let bodies = (0..40).map(|_| random_account(&mut runner, &parents)).collect();
        made.extend(make(admin, "/v1/accounts", bodies).await);
        assert_eq!(made.len(), (round + 1) * 40);
    }
    let all = made
        .iter()
        .map(|record| (id(record), record.clone()))
        .collect::<HashMap<_, _>>();
    let strategy = trees();
    for _ in 0..150 {
        let tree = strategy.new_tree(&mut runner).unwrap().current();
        let body = json!({ "filter": tree, "limit": 200 });
        let answer = admin.post("/v1/accounts/search", body).await;
        let found = answer.expect(200)["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(id)
            .collect::<BTreeSet<_>>();
        let expected = made
            .iter()
            .filter(|record| holds(&tree, record, &all))
            .map(id)
            .collect::<BTreeSet<_>>();
        assert_eq!(found, expected, "{tree}");
    }
}

fn random_account(runner: &mut TestRunner, parents: &[Value]) -> Value {
    let mut pick = |most: usize| (0..most).new_tree(runner).unwrap().current();
    let mut body = json!({ "name": WORDS[pick(6)], "custom": {} });
    if pick(3) > 0 {
        body["industry"] = json!(WORDS[pick(6)]);
    }
    if pick(3) > 0 {
        body["employees"] = json!(pick(6));
    }
    if pick(3) > 0 {
        body["annual_revenue"] = json!(format!("{}.5", pick(6)));
    }
    if pick(3) > 0 {
        body["custom"]["score"] = json!(format!("{}.5", pick(6)));
    }
    if pick(3) > 0 {
        body["custom"]["city"] = json!(WORDS[pick(6)]);
    }
    if pick(3) > 0 {
        body["expected_need_on"] = json!(DAYS[pick(4)]);
    }
    if pick(2) > 0 {
        body["tags"] = json!([WORDS[pick(6)]]);
    }
    if !parents.is_empty() && pick(2) > 0 {
        body["parent_id"] = parents[pick(parents.len())].clone();
    }
    body
}

#[tokio::test]
async fn a_deal_is_read_with_its_gate_when_that_is_asked_for() {
    use crate::support::make_deals::{deal, gated};
    use crate::support::make_pipelines::published;
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, gated()).await;
    let path = format!(
        "/v1/opportunities/{}",
        id(&deal(admin, &pipeline, Some("5")).await)
    );
    let gate = admin.get(&format!("{path}/gate")).await.expect(200);
    let with_gate = admin.get(&format!("{path}?expand=gate,owner")).await.expect(200);
    assert_eq!(with_gate["gate"], gate);
    assert_eq!(with_gate["owner"]["id"], json!(admin.id));
    // Its evidence is loaded deal by deal, so lists do not take it.
    let list = admin.get("/v1/opportunities?expand=gate").await;
    assert_eq!(
        list.faults(),
        [("?expand".to_owned(), "unknown_value".to_owned())]
    );
}
