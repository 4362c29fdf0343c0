//! Accounts: the journey that every declared resource makes, told on one.

use crate::support::app::{Answer, anonymous, company, id};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn an_account_is_made_read_changed_archived_and_restored() {
    let company = company().await;
    let admin = &company.administrator;
    let made = admin.post("/v1/accounts", json!({ "name": " 科技有限公司 ", "industry": "信息技术", "annual_revenue": "100000000", "tags": ["vip", "vip"] })).await;
    assert_eq!(made.header("etag"), "\"1\"");
    let location = made.header("location").to_owned();
    let body = made.expect(201);
    assert_eq!(location, format!("/v1/accounts/{}", id(&body)));
    assert_eq!(body["name"], "科技有限公司");
    assert_eq!(body["annual_revenue"], "100000000.00");
    assert_eq!(body["currency"], "CNY");
    assert_eq!(body["tags"], json!(["vip"]));
    assert_eq!(body["owner_id"], json!(admin.id));

    let read = admin.get(&location).await;
    assert_eq!(read.header("etag"), "\"1\"");
    assert_eq!(read.expect(200), body);

    let changed = admin
        .patch(&location, json!({ "industry": null, "employees": 200 }))
        .await
        .expect(200);
    assert_eq!(
        (
            changed["industry"].clone(),
            changed["employees"].clone(),
            changed["version"].clone()
        ),
        (json!(null), json!(200), json!(2))
    );

    let stale = admin
        .request(Method::PATCH, &location)
        .await
        .header("if-match", "\"1\"")
        .json(&json!({ "region": "华东" }));
    assert_eq!(Answer::of(stale).await.refused(412), "stale");

    admin.delete(&location).await.expect(200);
    assert_eq!(admin.get("/v1/accounts").await.expect(200)["data"], json!([]));
    assert_eq!(
        admin.get("/v1/accounts?archived=true").await.expect(200)["data"][0]["id"],
        body["id"]
    );
    assert_eq!(
        admin
            .patch(&location, json!({ "region": "x" }))
            .await
            .refused(409),
        "archived"
    );
    admin
        .post(&format!("{location}/restore"), json!({}))
        .await
        .expect(200);
    assert_eq!(
        admin.get("/v1/accounts").await.expect(200)["data"][0]["id"],
        body["id"]
    );
}

#[tokio::test]
async fn every_fault_of_an_input_is_named_at_once_and_nothing_is_stored() {
    let company = company().await;
    let admin = &company.administrator;
    let refused = admin
        .post(
            "/v1/accounts",
            json!({ "nme": "x", "employees": -1, "annual_revenue": "1e3", "grade": "z", "source_id": "x" }),
        )
        .await;
    assert_eq!(refused.refused(422), "invalid");
    let expected = [
        ("/annual_revenue", "wrong_form"),
        ("/employees", "out_of_range"),
        ("/grade", "unknown_value"),
        ("/name", "required"),
        ("/nme", "unknown_field"),
        ("/source_id", "wrong_format"),
    ];
    let found = refused.faults();
    assert_eq!(
        found
            .iter()
            .map(|(pointer, code)| (pointer.as_str(), code.as_str()))
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(
        admin.get("/v1/accounts?with_total=true").await.expect(200)["total"],
        0
    );
}

#[tokio::test]
async fn nothing_of_another_company_can_be_seen_linked_or_told_from_nothing() {
    let (one, other) = (company().await, company().await);
    let theirs = crate::support::app::account(&other.administrator, "制造有限公司").await;
    let missing = one
        .administrator
        .get(&format!("/v1/accounts/{}", uuid::Uuid::now_v7()))
        .await;
    let foreign = one.administrator.get(&format!("/v1/accounts/{theirs}")).await;
    assert_eq!(missing.refused(404), foreign.refused(404));
    assert_eq!(missing.body["detail"], foreign.body["detail"]);
    let linked = one
        .administrator
        .post("/v1/contacts", json!({ "name": "王", "account_id": theirs }))
        .await;
    assert_eq!(
        linked.faults(),
        [("/account_id".to_owned(), "not_found".to_owned())]
    );
}

#[tokio::test]
async fn paging_while_rows_arrive_repeats_none_and_skips_none() {
    let company = company().await;
    let admin = &company.administrator;
    let mut there = Vec::new();
    for number in 0..7 {
        there.push(crate::support::app::account(admin, &format!("客户{number}")).await);
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/accounts?limit=2&sort=name".to_owned());
    loop {
        let page = admin.get(&path).await;
        let link = page.header("link").to_owned();
        let body = page.expect(200);
        seen.extend(body["data"].as_array().unwrap().iter().map(id));
        crate::support::app::account(admin, "客户0新").await;
        if body["next_cursor"].is_null() {
            break;
        }
        assert!(link.ends_with("rel=\"next\""));
        path = link[1..link.find('>').unwrap()].to_owned();
    }
    for id in there {
        assert_eq!(seen.iter().filter(|seen| **seen == id).count(), 1);
    }
    let altered = admin.get("/v1/accounts?limit=2&cursor=AAAA").await;
    assert_eq!(altered.refused(400), "bad_parameter");
}

#[tokio::test]
async fn a_cursor_goes_on_with_the_same_filters_and_order_however_the_answer_is_shaped() {
    let company = company().await;
    let admin = &company.administrator;
    for number in 0..3 {
        crate::support::app::account(admin, &format!("客户{number}")).await;
    }
    let first = admin
        .get("/v1/accounts?limit=1&with_total=true&expand=owner")
        .await
        .expect(200);
    let next = first["next_cursor"].as_str().unwrap();
    for again in [
        "",
        "&archived=false",
        "&sort=-created_at",
        "&expand=owner&limit=2",
    ] {
        let page = admin
            .get(&format!("/v1/accounts?cursor={next}{again}"))
            .await
            .expect(200);
        assert_ne!(page["data"][0]["id"], first["data"][0]["id"], "{again}");
    }
    for other in ["&sort=created_at", "&sort=name", "&archived=true", "&owner_id=me"] {
        let page = admin.get(&format!("/v1/accounts?cursor={next}{other}")).await;
        assert_eq!(page.refused(400), "bad_parameter", "{other}");
    }
}

#[tokio::test]
async fn a_list_is_asked_for_what_is_ones_own() {
    let company = company().await;
    let admin = &company.administrator;
    let leader = company.member("组长", "sales_representative").await;
    let mine = crate::support::app::account(admin, "我的客户").await;
    let theirs = crate::support::app::account(&leader, "别人的客户").await;
    let ids = async |query: &str| {
        let page = admin
            .get(&format!("/v1/accounts?sort=created_at&{query}"))
            .await
            .expect(200);
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("owner_id=me").await, std::slice::from_ref(&mine));
    assert_eq!(
        ids(&format!("owner_id=me&owner_id={}", leader.id)).await,
        [mine, theirs]
    );
    let parent = admin.get("/v1/accounts?parent_id=me").await;
    assert_eq!(parent.refused(400), "bad_parameter");
}

#[tokio::test]
async fn a_representative_sees_their_own_and_what_they_take_part_in() {
    let company = company().await;
    let (li, wang) = (
        company.member("李", "sales_representative").await,
        company.member("王", "sales_representative").await,
    );
    let mine = crate::support::app::account(&li, "科技有限公司").await;
    assert_eq!(
        wang.get(&format!("/v1/accounts/{mine}")).await.refused(404),
        "not_found"
    );
    assert_eq!(wang.get("/v1/accounts").await.expect(200)["data"], json!([]));
    assert_eq!(
        li.get("/v1/accounts").await.expect(200)["data"][0]["id"],
        json!(mine)
    );
    assert_eq!(
        company.administrator.get("/v1/accounts").await.expect(200)["data"][0]["id"],
        json!(mine)
    );
}

#[tokio::test]
async fn a_key_sent_twice_at_once_makes_one_account() {
    let company = company().await;
    let admin = &company.administrator;
    let send = || async {
        let request = admin
            .request(Method::POST, "/v1/accounts")
            .await
            .header("idempotency-key", "k1")
            .json(&json!({ "name": "一次" }));
        Answer::of(request).await
    };
    let answers = futures::future::join_all((0..8).map(|_| send())).await;
    let made = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect::<Vec<_>>();
    assert!(made.iter().all(|answer| answer.body["id"] == made[0].body["id"]));
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 201 || answer.body["code"] == "request_in_progress")
    );
    assert_eq!(
        admin.get("/v1/accounts?with_total=true").await.expect(200)["total"],
        1
    );
    assert_eq!(send().await.header("idempotent-replayed"), "true");
    let reused = admin
        .request(Method::POST, "/v1/accounts")
        .await
        .header("idempotency-key", "k1")
        .json(&json!({ "name": "另一个" }));
    assert_eq!(Answer::of(reused).await.refused(422), "idempotency_key_reused");
}

#[tokio::test]
async fn a_dry_run_answers_as_the_real_thing_and_stores_nothing() {
    let company = company().await;
    let admin = &company.administrator;
    for preference in ["dry-run", "respond-async, Dry-Run=true"] {
        let request = admin
            .request(Method::POST, "/v1/accounts")
            .await
            .header("prefer", preference)
            .json(&json!({ "name": "试" }));
        let answer = Answer::of(request).await;
        assert_eq!(answer.header("preference-applied"), "dry-run");
        assert_eq!(answer.expect(201)["name"], "试");
    }
    assert_eq!(
        admin.get("/v1/accounts?with_total=true").await.expect(200)["total"],
        0
    );
}

#[tokio::test]
async fn refusals_follow_the_kernel_of_the_conventions() {
    let company = company().await;
    let admin = &company.administrator;
    assert_eq!(
        Answer::of(anonymous(Method::GET, "/v1/accounts").await)
            .await
            .refused(401),
        "unauthenticated"
    );
    assert_eq!(admin.get("/v1/nothing").await.refused(404), "not_found");
    let wrong = admin.put("/v1/accounts", json!({})).await;
    assert_eq!(wrong.refused(405), "method_not_allowed");
    assert_eq!(wrong.header("allow"), "GET, HEAD, POST");
    assert_eq!(
        admin.get("/v1/accounts?limit=0&colour=red").await.faults().len(),
        2
    );
    assert_eq!(
        admin.get("/v1/accounts/not-an-id").await.refused(404),
        "not_found"
    );
    let broken = admin
        .request(Method::POST, "/v1/accounts")
        .await
        .header("content-type", "application/json")
        .body("{\"name\":\"a\",\"name\":\"b\"}");
    assert_eq!(Answer::of(broken).await.refused(400), "malformed_body");
    let typed = admin
        .request(Method::POST, "/v1/accounts")
        .await
        .header("content-type", "text/plain")
        .body("{}");
    assert_eq!(Answer::of(typed).await.refused(415), "unsupported_media_type");
    let large = admin
        .request(Method::POST, "/v1/accounts")
        .await
        .header("content-type", "application/json")
        .body(" ".repeat(1_100_000));
    assert_eq!(Answer::of(large).await.refused(413), "too_large");
    let chinese = admin
        .request(Method::GET, "/v1/nothing")
        .await
        .header("accept-language", "zh-CN")
        .header("x-request-id", "abc-1");
    let chinese = Answer::of(chinese).await;
    assert_eq!(
        (
            chinese.header("x-request-id"),
            chinese.body["request_id"].as_str().unwrap()
        ),
        ("abc-1", "abc-1")
    );
    assert!(chinese.body["detail"].as_str().unwrap().contains("没有"));
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let company = company().await;
    let admin = &company.administrator;
    let path = format!(
        "/v1/accounts/{}",
        crate::support::app::account(admin, "科技").await
    );
    let again = admin
        .request(Method::GET, &path)
        .await
        .header("if-none-match", "\"1\"");
    assert_eq!(Answer::of(again).await.status, 304);
    let head = Answer::of(admin.request(Method::HEAD, &path).await).await;
    assert_eq!((head.status, head.header("etag")), (200, "\"1\""));
}
