//! Room 2: how each fact of an account or a contact was verified, by whom, when.

use crate::support::app::{Answer, CREATED, Company, Person, company, id, move_clock, sandbox};
use crate::support::make_deals::{advance, plain};
use crate::support::make_pipelines::published;
use futures::future::join_all;
use penstock::check;
use reqwest::Method;
use serde_json::{Value, json};

async fn make(person: &Person, plural: &str, body: Value) -> String {
    id(&person.post(&format!("/v1/{plural}"), body).await.expect(CREATED))
}

async fn company_account(person: &Person) -> String {
    let body = json!({ "name": "恒信智联有限公司", "tax_number": "91310000MA1K35X", "employees": 200, "annual_revenue": "1000000", "currency": "CNY" });
    make(person, "accounts", body).await
}

async fn verify(person: &Person, account: &str, body: Value) -> Answer {
    person
        .post(&format!("/v1/accounts/{account}/verifications"), body)
        .await
}

fn by_register(member: &str) -> Value {
    json!({ "member": member, "status": "verified", "method": "public_register", "source": "https://www.gsxt.gov.cn" })
}

async fn list(person: &Person, account: &str, query: &str) -> Vec<Value> {
    let path = format!("/v1/accounts/{account}/verifications?{query}");
    person.get(&path).await.expect(200)["data"]
        .as_array()
        .unwrap()
        .clone()
}

fn members(list: &[Value]) -> Vec<&str> {
    let mut members = list
        .iter()
        .map(|verification| verification["member"].as_str().unwrap())
        .collect::<Vec<_>>();
    members.sort_unstable();
    members
}

/// The members whose present value is verified.
async fn verified(person: &Person, plural: &str, id: &str) -> Vec<String> {
    let path = format!("/v1/{plural}/{id}/verifications?status=verified&is_outdated=false");
    let page = person.get(&path).await.expect(200);
    let found = page["data"].as_array().unwrap().clone();
    let members = members(&found).into_iter().map(str::to_owned).collect::<Vec<_>>();
    // What filters ask agrees with it.
    for member in &members {
        let filter = json!({ "and": [{ "member": "id", "eq": id }, { "member": "verified_members", "contains": member }] });
        let found = person
            .post(&format!("/v1/{plural}/search"), json!({ "filter": filter }))
            .await
            .expect(200);
        assert_eq!(found["data"].as_array().unwrap().len(), 1, "{member}");
    }
    members
}

async fn is_clean(company: &Company) {
    let url = &crate::support::app::server().await.url;
    let mut found = check::run(url).await.unwrap();
    found.retain(|finding| finding.tenant == company.tenant);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn a_fact_is_verified_by_somebody_at_an_instant_and_outdated_once_it_changes() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let li = company.member("李", "sales_representative").await;
    let account = company_account(&li).await;
    let made = verify(&li, &account, by_register("tax_number")).await;
    assert_eq!(made.header("etag"), "\"1\"");
    let made = made.expect(201);
    assert_eq!(
        (
            &made["value"],
            &made["verified_by"],
            &made["verified_at"],
            &made["is_outdated"]
        ),
        (
            &json!("91310000MA1K35X"),
            &json!(li.id),
            &json!("2024-03-05T04:00:00.000000Z"),
            &json!(false)
        )
    );
    for member in ["employees", "annual_revenue"] {
        verify(&li, &account, by_register(member)).await.expect(201);
    }
    let known = ["annual_revenue", "employees", "tax_number"];
    assert_eq!(verified(&li, "accounts", &account).await, known);

    let here = format!("/v1/accounts/{account}");
    let other =
        json!({ "tax_number": "91310000MA9XXXX", "currency": "USD", "employees": 200, "region": "华东" });
    let after = li.patch(&here, other).await.expect(200);
    assert_eq!(after.get("verified_members"), None);
    assert_eq!(verified(&li, "accounts", &account).await, ["employees"]);
    let outdated = list(&li, &account, "is_outdated=true").await;
    assert_eq!(members(&outdated), ["annual_revenue", "tax_number"]);
    assert_eq!(
        members(&list(&li, &account, "is_outdated=false").await),
        ["employees"]
    );
    li.patch(&here, json!({ "currency": "CNY" })).await.expect(200);
    assert_eq!(
        members(&list(&li, &account, "is_outdated=true").await),
        ["tax_number"]
    );

    // Verified anew: of the value as it is now.
    move_clock(&company, "2024-03-06T04:00:00Z").await;
    let one = format!("{here}/verifications/{}", id(&made));
    let noted = li.patch(&one, json!({ "note": "旧证" })).await.expect(200);
    assert_eq!(
        (&noted["is_outdated"], &noted["value"]),
        (&json!(true), &made["value"])
    );
    let anew = json!({ "status": "refuted", "method": "phone_call", "source": null });
    let anew = li.patch(&one, anew).await.expect(200);
    assert_eq!(
        (&anew["value"], &anew["is_outdated"], &anew["verified_at"]),
        (
            &json!("91310000MA9XXXX"),
            &json!(false),
            &json!("2024-03-06T04:00:00.000000Z")
        )
    );
    assert_eq!(
        members(&list(&li, &account, "status=refuted&member=tax_number").await),
        ["tax_number"]
    );
    assert_eq!(
        verified(&li, "accounts", &account).await,
        ["annual_revenue", "employees"]
    );
    let timeline = li.get(&format!("{here}/timeline")).await.expect(200);
    let newest = &timeline["data"][0];
    assert_eq!(newest["kind"], "account_verification.updated");
    assert_eq!(
        newest["data"]["changes"]["status"],
        json!({ "before": "verified", "after": "refuted" })
    );
    is_clean(&company).await;
}

#[tokio::test]
async fn what_a_verification_needs_is_named() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let admin = &company.administrator;
    let account = company_account(admin).await;
    let fault = |pointer: &str, code: &str| [(pointer.to_owned(), code.to_owned())];
    let blank = verify(admin, &account, by_register("website")).await;
    assert_eq!(blank.faults(), fault("/member", "invalid"));
    let unknown = verify(admin, &account, by_register("owner_id")).await;
    assert_eq!(unknown.refused(422), "invalid");
    let mut future = by_register("name");
    future["verified_at"] = json!("2024-03-05T04:00:01Z");
    let zh = admin
        .request(Method::POST, &format!("/v1/accounts/{account}/verifications"))
        .await
        .header("accept-language", "zh-CN")
        .json(&future);
    let zh = Answer::of(zh).await;
    assert_eq!(zh.faults(), fault("/verified_at", "out_of_range"));
    assert_eq!(zh.body["errors"][0]["message"], "不能晚于当前时间");
    let empty = verify(admin, &account, json!({})).await;
    assert_eq!(empty.faults().len(), 3);
    let forged = json!({ "member": "name", "status": "verified", "method": "visit", "value": "x", "verified_by": admin.id });
    assert_eq!(verify(admin, &account, forged).await.faults().len(), 2);
    let mut earlier = by_register("name");
    earlier["verified_at"] = json!("2024-03-01T02:00:00Z");
    let made = verify(admin, &account, earlier).await.expect(201);
    assert_eq!(made["verified_at"], "2024-03-01T02:00:00.000000Z");
    let one = format!("/v1/accounts/{account}/verifications/{}", id(&made));
    let member = admin.patch(&one, json!({ "member": "region" })).await;
    assert_eq!(member.faults(), fault("/member", "unknown_field"));
    let stale = admin
        .request(Method::PATCH, &one)
        .await
        .header("if-match", "\"7\"")
        .json(&json!({ "note": "x" }));
    assert_eq!(Answer::of(stale).await.refused(412), "stale");
}

#[tokio::test]
async fn of_many_who_verify_one_fact_at_once_one_is_first_and_the_others_are_told() {
    let company = company().await;
    let admin = &company.administrator;
    let account = company_account(admin).await;
    let answers = join_all((0..8).map(|_| verify(admin, &account, by_register("name")))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.refused(409), "duplicate");
        assert_eq!(answer.faults(), [("/member".to_owned(), "duplicate".to_owned())]);
    }
    // One that was taken away makes room for another, and then does not come back.
    let first = id(&list(admin, &account, "").await[0]);
    let one = format!("/v1/accounts/{account}/verifications/{first}");
    admin.delete(&one).await.expect(200);
    assert_eq!(verified(admin, "accounts", &account).await, Vec::<String>::new());
    verify(admin, &account, by_register("name")).await.expect(201);
    let back = admin.post(&format!("{one}/restore"), json!({})).await;
    assert_eq!(back.refused(409), "duplicate");
}

#[tokio::test]
async fn facts_are_verified_only_by_whoever_may_write_the_account() {
    let (one, other) = (company().await, company().await);
    let li = one.member("李", "sales_representative").await;
    let wang = one.member("王", "sales_representative").await;
    let reader = one.member("读", "read_only").await;
    let account = company_account(&li).await;
    let made = verify(&li, &account, by_register("name")).await.expect(201);
    let many = format!("/v1/accounts/{account}/verifications");
    let single = format!("{many}/{}", id(&made));
    for stranger in [&wang, &other.administrator] {
        assert_eq!(
            verify(stranger, &account, by_register("tax_number"))
                .await
                .refused(404),
            "not_found"
        );
        assert_eq!(stranger.get(&many).await.refused(404), "not_found");
        assert_eq!(stranger.get(&single).await.refused(404), "not_found");
        assert_eq!(
            stranger.patch(&single, json!({ "note": "x" })).await.refused(404),
            "not_found"
        );
        assert_eq!(stranger.delete(&single).await.refused(404), "not_found");
    }
    assert_eq!(
        verify(&reader, &account, by_register("tax_number"))
            .await
            .refused(403),
        "forbidden"
    );
    assert_eq!(
        reader.patch(&single, json!({ "note": "x" })).await.refused(403),
        "forbidden"
    );
    reader.get(&single).await.expect(200);
    let elsewhere = company_account(&li).await;
    let misplaced = li
        .get(&format!("/v1/accounts/{elsewhere}/verifications/{}", id(&made)))
        .await;
    assert_eq!(misplaced.refused(404), "not_found");
    let expanded = li.get(&format!("{single}?expand=verifier")).await.expect(200);
    assert_eq!(expanded["verified_by"], json!(li.id));
}

#[tokio::test]
async fn a_merge_moves_what_the_survivor_lacks_and_undoing_gives_it_back() {
    let company = company().await;
    let admin = &company.administrator;
    let survivor = company_account(admin).await;
    let body = json!({ "name": "恒信智聯", "tax_number": "91310000MA9XXXX", "region": "华东" });
    let loser = make(admin, "accounts", body).await;
    verify(admin, &survivor, by_register("name")).await.expect(201);
    for member in ["name", "tax_number", "region"] {
        verify(admin, &loser, by_register(member)).await.expect(201);
    }
    let merge = format!("/v1/accounts/{survivor}/merge");
    let merged = admin
        .post(&merge, json!({ "loser_ids": [loser] }))
        .await
        .expect(200);
    assert_eq!(merged["moved"]["account_verifications.account_id"], 2);
    let now = list(admin, &survivor, "").await;
    assert_eq!(members(&now), ["name", "region", "tax_number"]);
    // The region came along with its verification; the tax number is another one.
    assert_eq!(
        members(&list(admin, &survivor, "is_outdated=true").await),
        ["tax_number"]
    );
    assert_eq!(verified(admin, "accounts", &survivor).await, ["name", "region"]);
    is_clean(&company).await;

    let undo = format!(
        "/v1/accounts/{survivor}/merges/{}/undo",
        merged["merge_id"].as_str().unwrap()
    );
    let undone = admin.post(&undo, json!({})).await.expect(200);
    assert_eq!(undone["returned"]["account_verifications.account_id"], 2);
    assert_eq!(members(&list(admin, &survivor, "").await), ["name"]);
    assert_eq!(
        members(&list(admin, &loser, "").await),
        ["name", "region", "tax_number"]
    );
    assert_eq!(
        verified(admin, "accounts", &loser).await,
        ["name", "region", "tax_number"]
    );
    is_clean(&company).await;
}

#[tokio::test]
async fn the_facts_of_a_contact_are_verified_likewise() {
    let company = company().await;
    let admin = &company.administrator;
    let contact = make(
        admin,
        "contacts",
        json!({ "name": "王芳", "phone": "13800138000" }),
    )
    .await;
    let many = format!("/v1/contacts/{contact}/verifications");
    let called = json!({ "member": "phone", "status": "verified", "method": "phone_call" });
    let made = admin.post(&many, called.clone()).await.expect(201);
    assert_eq!(
        (&made["contact_id"], &made["value"]),
        (&json!(contact), &json!("13800138000"))
    );
    let secret = json!({ "member": "personal_phone", "status": "verified", "method": "phone_call" });
    assert_eq!(admin.post(&many, secret).await.refused(422), "invalid");
    assert_eq!(verified(admin, "contacts", &contact).await, ["phone"]);
    let here = format!("/v1/contacts/{contact}");
    let after = admin
        .patch(&here, json!({ "phone": "13900139000" }))
        .await
        .expect(200);
    assert_eq!(after["phone"], "13900139000");
    assert_eq!(verified(admin, "contacts", &contact).await, Vec::<String>::new());

    let other = make(
        admin,
        "contacts",
        json!({ "name": "王小芳", "email": "wang@example.com" }),
    )
    .await;
    let mailed = json!({ "member": "email", "status": "verified", "method": "other" });
    admin
        .post(&format!("/v1/contacts/{other}/verifications"), mailed)
        .await
        .expect(201);
    let merged = admin
        .post(&format!("{here}/merge"), json!({ "loser_ids": [other] }))
        .await
        .expect(200);
    assert_eq!(verified(admin, "contacts", &contact).await, ["email"]);
    let undo = format!("{here}/merges/{}/undo", merged["merge_id"].as_str().unwrap());
    admin.post(&undo, json!({})).await.expect(200);
    assert_eq!(verified(admin, "contacts", &contact).await, Vec::<String>::new());
    let timeline = admin.get(&format!("{here}/timeline")).await.expect(200);
    let kinds = timeline["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap());
    assert!(
        kinds
            .into_iter()
            .any(|kind| kind == "contact_verification.created")
    );
    is_clean(&company).await;
}

#[tokio::test]
async fn accounts_are_found_and_gates_held_by_what_is_verified() {
    let company = company().await;
    let admin = &company.administrator;
    let rule = json!({ "kind": "field", "key": "register", "label": "工商核实", "expression": "\"tax_number\" in account.verified_members" });
    let mut document = plain();
    document["stages"][0]["gate"] = rule;
    let pipeline = published(admin, document).await;
    let account = company_account(admin).await;
    let body = json!({ "name": "采购", "account_id": account, "pipeline_id": pipeline });
    let deal = admin.post("/v1/opportunities", body).await.expect(CREATED);
    assert_eq!(advance(admin, &deal).await.refused(409), "gate_not_met");
    verify(admin, &account, by_register("tax_number"))
        .await
        .expect(201);
    let tree = json!({ "filter": { "member": "verified_members", "contains": "tax_number" } });
    let found = admin.post("/v1/accounts/search", tree).await.expect(200);
    assert_eq!(id(&found["data"][0]), account);
    let none = json!({ "filter": { "member": "verified_members", "is_empty": true } });
    let found = admin.post("/v1/accounts/search", none).await.expect(200);
    assert_eq!(found["data"], json!([]));
    admin
        .patch(
            &format!("/v1/accounts/{account}"),
            json!({ "tax_number": "91310000MA9XXXX" }),
        )
        .await
        .expect(200);
    assert_eq!(advance(admin, &deal).await.refused(409), "gate_not_met");
    verify(admin, &account, json!({})).await.refused(422);
    let known = id(&list(admin, &account, "").await[0]);
    let one = format!("/v1/accounts/{account}/verifications/{known}");
    admin
        .patch(&one, json!({ "status": "verified" }))
        .await
        .expect(200);
    advance(admin, &deal).await.expect(200);
}
