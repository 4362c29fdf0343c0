//! Rooms 2 and 3: the public pool. Releasing, looking, claiming, quotas, cooling down.

use crate::support::app::{Answer, Person, account, company, id, move_clock, sandbox};
use crate::support::make_assignment::check;
use crate::support::make_crm::{lead, source};
use crate::support::make_deals::deal;
use crate::support::make_pipelines::published;
use crate::support::make_pool::{claim, pooled_account, pooled_lead, quotas, release, times};
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn of_thirty_two_who_claim_at_once_one_gets_it_and_the_others_are_told() {
    let company = company().await;
    let admin = &company.administrator;
    let account = pooled_account(admin, "恒信智联有限公司").await;
    let people = join_all((0..32).map(|_| company.member("销售", "sales_representative"))).await;
    let answers = join_all(people.iter().map(|person| claim(person, "accounts", &account))).await;
    let winners = people
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.status == 200)
        .map(|(person, _)| person)
        .collect::<Vec<_>>();
    assert_eq!(winners.len(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.refused(409), "not_in_pool");
    }
    let path = format!("/v1/accounts/{account}");
    assert_eq!(
        winners[0].get(&path).await.expect(200)["owner_id"],
        json!(winners[0].id)
    );
    assert_eq!(times(&company, "accounts", &account, "account.claimed").await, 1);
}

#[tokio::test]
async fn whoever_claims_fifty_at_once_with_a_quota_of_ten_gets_ten() {
    let company = company().await;
    let admin = &company.administrator;
    quotas(&company, None, Some(10), 7).await;
    let leads = join_all((0..50).map(|_| pooled_lead(admin, "王芳"))).await;
    let li = company.member("李", "sales_representative").await;
    let answers = join_all(leads.iter().map(|lead| claim(&li, "leads", lead))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 10);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.refused(409), "quota_reached");
        assert_eq!(
            refused.body["quota"],
            json!({ "kind": "claimed_daily", "most": 10 })
        );
    }
    let own = li.get("/v1/leads?with_total=true").await.expect(200);
    assert_eq!(own["total"], 10);
}

#[tokio::test]
async fn whoever_holds_as_many_as_they_may_claims_no_more_however_many_ask_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    quotas(&company, Some(5), None, 7).await;
    let leads = join_all((0..20).map(|_| pooled_lead(admin, "王芳"))).await;
    let li = company.member("李", "sales_representative").await;
    let own = lead(&li, "自己的").await;
    let answers = join_all(leads.iter().map(|lead| claim(&li, "leads", lead))).await;
    let won = |answers: &[Answer]| answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won(&answers), 4);
    release(&li, "leads", &own).await.expect(200);
    let again = join_all(leads.iter().map(|lead| claim(&li, "leads", lead))).await;
    assert_eq!(won(&again), 1);
}

#[tokio::test]
async fn before_it_is_claimed_a_record_is_seen_masked_and_no_other_way() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let made = admin
        .post(
            "/v1/leads",
            json!({ "name": "王小芳", "company": "恒信智联有限公司", "phone": "+86 138 0013 8000", "email": "wang@example.com", "region": "华东", "need": "报价" }),
        )
        .await
        .expect(201);
    let lead = id(&made);
    let path = format!("/v1/leads/{lead}");
    release(admin, "leads", &lead).await.expect(200);
    assert_eq!(li.get(&path).await.refused(404), "not_found");
    assert_eq!(li.get("/v1/leads").await.expect(200)["data"], json!([]));
    for unseen in ["timeline", "pool-standing", "score"] {
        assert_eq!(
            li.get(&format!("{path}/{unseen}")).await.refused(404),
            "not_found",
            "{unseen}"
        );
    }
    let page = li
        .get("/v1/pool/leads?region=华东&with_total=true")
        .await
        .expect(200);
    assert_eq!(page["total"], 1);
    let seen = &page["data"][0];
    assert_eq!(
        (
            &seen["id"],
            &seen["name"],
            &seen["company"],
            &seen["region"],
            &seen["has_phone"],
            &seen["why"]
        ),
        (
            &json!(lead),
            &json!("王***"),
            &json!("恒***"),
            &json!("华东"),
            &json!(true),
            &json!("released")
        )
    );
    assert_eq!(seen["last_owner_id"], json!(admin.id));
    let all = page.to_string()
        + &li
            .get(&format!("/v1/pool/leads/{lead}"))
            .await
            .expect(200)
            .to_string();
    for secret in ["小芳", "智联", "138", "example.com", "报价"] {
        assert!(!all.contains(secret), "{secret}");
    }
    // Nor does a dry run of the claim show more.
    let dry = li
        .request(Method::POST, &format!("/v1/pool/leads/{lead}/claim"))
        .await;
    let dry = Answer::of(dry.header("prefer", "dry-run")).await.expect(200);
    assert!(!dry.to_string().contains("小芳"));
    assert_eq!(li.get(&path).await.refused(404), "not_found");

    claim(&li, "leads", &lead).await.expect(200);
    assert_eq!(li.get(&path).await.expect(200)["phone"], "+86 138 0013 8000");
    assert_eq!(li.get("/v1/pool/leads").await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn the_pool_is_filtered_and_read_page_by_page_in_the_order_asked_for() {
    let company = company().await;
    let admin = &company.administrator;
    for (grade, segment) in [("a", "smb"), ("b", "smb"), ("c", "key"), ("a", "key")] {
        let body = json!({ "name": "客户", "grade": grade, "segment": segment });
        let account = id(&admin.post("/v1/accounts", body).await.expect(201));
        release(admin, "accounts", &account).await.expect(200);
    }
    let li = company.member("李", "sales_representative").await;
    let mut grades = Vec::new();
    let mut path = "/v1/pool/accounts?limit=1&sort=grade,-since".to_owned();
    loop {
        let page = li.get(&path).await.expect(200);
        grades.push(page["data"][0]["grade"].as_str().unwrap().to_owned());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/pool/accounts?limit=1&sort=grade,-since&cursor={cursor}");
    }
    assert_eq!(grades, ["a", "a", "b", "c"]);
    let filtered = li.get("/v1/pool/accounts?grade=a&segment=key").await.expect(200);
    assert_eq!(filtered["data"].as_array().unwrap().len(), 1);
    let searched = li
        .post(
            "/v1/pool/accounts/search",
            json!({ "filter": { "member": "grade", "eq": "b" } }),
        )
        .await
        .expect(200);
    assert_eq!(searched["data"].as_array().unwrap().len(), 1);
    let outsider = crate::support::app::company().await.administrator;
    assert_eq!(
        outsider.get("/v1/pool/accounts").await.expect(200)["data"],
        json!([])
    );
}

#[tokio::test]
async fn whoever_gave_a_record_up_claims_it_again_only_after_the_days_that_the_company_sets() {
    let company = sandbox("2024-03-05T02:00:00Z").await;
    let admin = &company.administrator;
    quotas(&company, None, None, 7).await;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let lead = pooled_lead(&li, "王芳").await;
    let early = claim(&li, "leads", &lead).await;
    assert_eq!(early.refused(409), "cooling_down");
    assert_eq!(early.body["claimable_from"], "2024-03-12T02:00:00Z");
    // Somebody else's turn in between does not end it.
    claim(&wang, "leads", &lead).await.expect(200);
    release(&wang, "leads", &lead).await.expect(200);
    assert_eq!(claim(&li, "leads", &lead).await.refused(409), "cooling_down");
    move_clock(&company, "2024-03-12T01:59:59Z").await;
    assert_eq!(claim(&li, "leads", &lead).await.refused(409), "cooling_down");
    move_clock(&company, "2024-03-12T02:00:00Z").await;
    claim(&li, "leads", &lead).await.expect(200);
    // Claim, release, claim.
    release(&li, "leads", &lead).await.expect(200);
    assert_eq!(claim(&li, "leads", &lead).await.refused(409), "cooling_down");
    let director = company.member("赵", "sales_director").await;
    let given = director
        .post(
            &format!("/v1/pool/leads/{lead}/assign"),
            json!({ "owner_id": li.id }),
        )
        .await
        .expect(200);
    assert_eq!(given["owner_id"], json!(li.id));
    assert_eq!(
        admin.get(&format!("/v1/leads/{lead}")).await.expect(200)["owner_id"],
        json!(li.id)
    );
}

#[tokio::test]
async fn the_daily_quota_begins_anew_at_local_midnight() {
    // 23:59 in Shanghai.
    let company = sandbox("2024-03-05T15:59:00Z").await;
    let admin = &company.administrator;
    quotas(&company, None, Some(1), 0).await;
    let leads = join_all((0..3).map(|_| pooled_lead(admin, "王芳"))).await;
    let li = company.member("李", "sales_representative").await;
    claim(&li, "leads", &leads[0]).await.expect(200);
    assert_eq!(claim(&li, "leads", &leads[1]).await.refused(409), "quota_reached");
    move_clock(&company, "2024-03-05T16:00:00Z").await;
    claim(&li, "leads", &leads[1]).await.expect(200);
    assert_eq!(claim(&li, "leads", &leads[2]).await.refused(409), "quota_reached");
}

#[tokio::test]
async fn a_record_is_released_by_its_owner_and_not_while_a_deal_is_open() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let own = account(&li, "恒信智联").await;
    assert_eq!(release(&wang, "accounts", &own).await.refused(404), "not_found");
    let path = format!("/v1/accounts/{own}/participants");
    li.post(&path, json!({ "user_id": wang.id, "access": "edit" }))
        .await
        .expect(201);
    assert_eq!(release(&wang, "accounts", &own).await.refused(403), "forbidden");
    let emptied = li
        .patch(&format!("/v1/accounts/{own}"), json!({ "owner_id": null }))
        .await;
    assert_eq!(emptied.faults(), [("/owner_id".to_owned(), "invalid".to_owned())]);
    release(&li, "accounts", &own).await.expect(200);
    assert_eq!(release(admin, "accounts", &own).await.refused(409), "conflict");

    let pipeline = published(admin, crate::support::make_deals::plain()).await;
    let deal = deal(admin, &pipeline, None).await;
    let held = deal["account_id"].as_str().unwrap();
    assert_eq!(release(admin, "accounts", held).await.refused(409), "in_use");
    admin
        .delete(&format!("/v1/opportunities/{}", id(&deal)))
        .await
        .expect(200);
    release(admin, "accounts", held).await.expect(200);
}

#[tokio::test]
async fn no_deal_is_opened_on_an_account_of_the_pool_before_somebody_claims_it() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, crate::support::make_deals::plain()).await;
    let reason = json!({ "key": "gone", "name": "客户取消" });
    admin.post("/v1/loss-reasons", reason).await.expect(201);
    let made = deal(admin, &pipeline, None).await;
    let held = made["account_id"].as_str().unwrap();
    let here = format!("/v1/opportunities/{}", id(&made));
    let body = json!({ "name": "采购", "account_id": held, "pipeline_id": pipeline });
    let archived = admin.post("/v1/opportunities", body.clone()).await.expect(201);
    let archived = format!("/v1/opportunities/{}", id(&archived));
    let elsewhere = deal(admin, &pipeline, None).await;
    let elsewhere = format!("/v1/opportunities/{}", id(&elsewhere));
    let lose = json!({ "loss_reason_key": "gone", "reason": "取消" });
    admin.post(&format!("{here}/lose"), lose).await.expect(200);
    admin.delete(&archived).await.expect(200);
    release(admin, "accounts", held).await.expect(200);

    let lead = json!({ "name": "线索" });
    let lead = id(&admin.post("/v1/leads", lead).await.expect(201));
    let convert = json!({ "account_id": held, "opportunity": { "pipeline_id": pipeline } });
    let reopen = json!({ "reason": "误操作" });
    let refused = [
        admin.post("/v1/opportunities", body.clone()).await,
        admin.patch(&elsewhere, json!({ "account_id": held })).await,
        admin.post(&format!("{here}/reopen"), reopen.clone()).await,
        admin.post(&format!("{here}/restart"), json!({})).await,
        admin.post(&format!("{archived}/restore"), json!({})).await,
        admin.post(&format!("/v1/leads/{lead}/convert"), convert).await,
    ];
    let call = format!("POST /v1/pool/accounts/{held}/claim");
    for answer in refused {
        assert_eq!(answer.refused(409), "conflict");
        assert_eq!(answer.body["claim"], json!(call));
    }
    let found = crate::support::make_migrations::findings(&company).await;
    assert_eq!(found, Vec::<String>::new());

    let li = company.member("李", "sales_representative").await;
    claim(&li, "accounts", held).await.expect(200);
    admin.post("/v1/opportunities", body).await.expect(201);
    admin.post(&format!("{here}/reopen"), reopen).await.expect(200);
    admin
        .post(&format!("{archived}/restore"), json!({}))
        .await
        .expect(200);
}

#[tokio::test]
async fn an_account_takes_its_contacts_along() {
    let company = company().await;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let account = account(&li, "恒信智联").await;
    let contact = id(&li
        .post(
            "/v1/contacts",
            json!({ "name": "张总", "account_id": account, "phone": "+86 138 0013 8000" }),
        )
        .await
        .expect(201));
    let path = format!("/v1/contacts/{contact}");
    release(&li, "accounts", &account).await.expect(200);
    assert_eq!(li.get(&path).await.refused(404), "not_found");
    assert_eq!(wang.get(&path).await.refused(404), "not_found");
    claim(&wang, "accounts", &account).await.expect(200);
    assert_eq!(wang.get(&path).await.expect(200)["owner_id"], json!(wang.id));
    // And they are found by whose they are now.
    let found = async |person: &Person| {
        let found = person.get("/v1/search?q=13800138000").await.expect(200);
        found["data"].as_array().unwrap().len()
    };
    assert_eq!((found(&li).await, found(&wang).await), (0, 1));
    check(&company).await;
}

#[tokio::test]
async fn several_are_claimed_each_by_itself() {
    let company = company().await;
    let admin = &company.administrator;
    quotas(&company, None, Some(2), 7).await;
    let leads = join_all((0..3).map(|_| pooled_lead(admin, "王芳"))).await;
    let li = company.member("李", "sales_representative").await;
    let nothing = uuid::Uuid::now_v7().to_string();
    let ids = json!([leads[0], nothing, leads[1], leads[2], leads[0]]);
    let done = li
        .post("/v1/pool/leads/claim", json!({ "ids": ids }))
        .await
        .expect(200);
    let codes = done["results"].as_array().unwrap().iter();
    let codes = codes
        .map(|result| {
            (
                result["status"].as_u64().unwrap(),
                result["problem"]["code"].as_str(),
            )
        })
        .collect::<Vec<_>>();
    assert_eq!(
        codes,
        [
            (200, None),
            (404, Some("not_found")),
            (200, None),
            (409, Some("quota_reached")),
            (409, Some("not_in_pool"))
        ]
    );
    assert_eq!((&done["claimed"], &done["refused"]), (&json!(2), &json!(3)));
    let crossing = join_all((0..8).map(|_| {
        let mut ids = leads.clone();
        ids.reverse();
        let admin = admin.clone();
        async move { admin.post("/v1/pool/leads/claim", json!({ "ids": ids })).await }
    }))
    .await;
    assert!(crossing.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn a_release_is_taken_back_while_it_is_still_there_and_only_by_whoever_may() {
    let company = company().await;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let lead = pooled_lead(&li, "王芳").await;
    let undo = format!("/v1/pool/leads/{lead}/undo");
    assert_eq!(wang.post(&undo, json!({})).await.refused(403), "forbidden");
    li.post(&undo, json!({})).await.expect(200);
    assert_eq!(
        li.get(&format!("/v1/leads/{lead}")).await.expect(200)["owner_id"],
        json!(li.id)
    );
    assert_eq!(li.post(&undo, json!({})).await.refused(409), "not_in_pool");
    release(&li, "leads", &lead).await.expect(200);
    claim(&wang, "leads", &lead).await.expect(200);
    assert_eq!(li.post(&undo, json!({})).await.refused(409), "not_in_pool");
}

#[tokio::test]
async fn what_never_was_in_the_pool_is_not_told_of_and_nothing_crosses_companies() {
    let (one, other) = (company().await, company().await);
    let li = one.member("李", "sales_representative").await;
    let wang = one.member("王", "sales_representative").await;
    let reader = one.member("读", "read_only").await;
    let owned = lead(&li, "王芳").await;
    assert_eq!(claim(&wang, "leads", &owned).await.refused(404), "not_found");
    assert_eq!(claim(&li, "leads", &owned).await.refused(409), "not_in_pool");
    let pooled = pooled_lead(&li, "张伟").await;
    assert_eq!(
        claim(&other.administrator, "leads", &pooled).await.refused(404),
        "not_found"
    );
    assert_eq!(claim(&reader, "leads", &pooled).await.refused(403), "forbidden");
    let assign = format!("/v1/pool/leads/{pooled}/assign");
    let by_representative = wang.post(&assign, json!({ "owner_id": wang.id })).await;
    assert_eq!(by_representative.refused(403), "forbidden");
    let leader = one.member("组长", "sales_lead").await;
    let beyond = leader.post(&assign, json!({ "owner_id": wang.id })).await;
    assert_eq!(beyond.refused(403), "forbidden");
    assert_eq!(
        li.put("/v1/pool/settings", json!({})).await.refused(403),
        "forbidden"
    );
}

#[tokio::test]
async fn what_is_archived_merged_or_converted_is_in_no_pool_and_comes_back_as_it_was() {
    let company = company().await;
    let admin = &company.administrator;
    let count = async || {
        admin.get("/v1/pool/accounts?with_total=true").await.expect(200)["total"]
            .as_i64()
            .unwrap()
    };
    let account = pooled_account(admin, "恒信智联").await;
    let path = format!("/v1/accounts/{account}");
    admin.delete(&path).await.expect(200);
    assert_eq!(count().await, 0);
    assert_eq!(
        claim(admin, "accounts", &account).await.refused(409),
        "not_in_pool"
    );
    admin
        .post(&format!("{path}/restore"), json!({}))
        .await
        .expect(200);
    assert_eq!(count().await, 1);

    let survivor = crate::support::app::account(admin, "恒信").await;
    let merged = admin
        .post(
            &format!("/v1/accounts/{survivor}/merge"),
            json!({ "loser_ids": [account] }),
        )
        .await
        .expect(200);
    assert_eq!(count().await, 0);
    let undo = format!(
        "/v1/accounts/{survivor}/merges/{}/undo",
        merged["merge_id"].as_str().unwrap()
    );
    admin.post(&undo, json!({})).await.expect(200);
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn a_lead_without_an_owner_is_in_the_pool_at_once_where_the_company_says_so() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let website = source(admin, json!({})).await;
    let first = website
        .deliver("d1", &json!({ "name": "张伟" }))
        .await
        .expect(201);
    let first = first["lead_id"].as_str().unwrap();
    assert_eq!(li.get("/v1/pool/leads").await.expect(200)["data"], json!([]));
    assert_eq!(
        li.get(&format!("/v1/leads/{first}")).await.refused(404),
        "not_found"
    );
    assert_eq!(claim(&li, "leads", first).await.refused(404), "not_found");
    let mut settings = admin.get("/v1/pool/settings").await.expect(200);
    settings["leads"]["takes_unassigned"] = json!(true);
    admin.put("/v1/pool/settings", settings).await.expect(200);
    let second = website
        .deliver("d2", &json!({ "name": "赵敏" }))
        .await
        .expect(201);
    let page = li.get("/v1/pool/leads").await.expect(200);
    assert_eq!(
        (&page["data"][0]["id"], &page["data"][0]["why"]),
        (&second["lead_id"], &json!("never_owned"))
    );
}

#[tokio::test]
async fn quotas_that_somebody_else_changed_meanwhile_are_not_overwritten() {
    let company = company().await;
    let admin = &company.administrator;
    let read = admin.get("/v1/pool/settings").await;
    let seen = read.header("etag").to_owned();
    let mut settings = read.expect(200);
    let put = async |tag: &str, settings: &serde_json::Value| {
        let request = admin.request(Method::PUT, "/v1/pool/settings").await;
        Answer::of(request.header("if-match", tag).json(settings)).await
    };
    for stale in ["\"1\"", "\"999\"", &format!("W/{seen}")] {
        assert_eq!(put(stale, &settings).await.refused(412), "stale", "{stale}");
    }
    settings["accounts"]["most_held"] = json!(7);
    let changed = put(&seen, &settings).await;
    let now = changed.header("etag").to_owned();
    changed.expect(200);
    assert_ne!(now, seen);
    assert_eq!(admin.get("/v1/pool/settings").await.header("etag"), now);
    assert_eq!(put(&seen, &settings).await.refused(412), "stale");
    put("*", &settings).await.expect(200);
    admin.put("/v1/pool/settings", settings).await.expect(200);
}
