//! Rooms 2 and 3: nothing that arrives is entered twice.

use crate::support::app::{Company, Person, account, company, id};
use crate::support::make_crm::source;
use futures::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

async fn set(admin: &Person, settings: Value) {
    admin.patch("/v1/company", settings).await.expect(200);
}

async fn total(person: &Person, path: &str) -> i64 {
    let joint = if path.contains('?') { '&' } else { '?' };
    let page = person
        .get(&format!("{path}{joint}with_total=true"))
        .await
        .expect(200);
    page["total"].as_i64().unwrap()
}

fn kinds(hits: &Value) -> Vec<String> {
    let hits = hits["data"].as_array().unwrap();
    hits.iter()
        .map(|hit| hit["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn codes(body: &Value) -> Vec<&str> {
    let warnings = body["warnings"].as_array().into_iter().flatten();
    warnings
        .map(|warning| warning["code"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn sixteen_pushes_at_once_make_one_lead_however_the_phone_is_spelt() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let spellings = [
        "13900139000",
        "+86 139 0013 9000",
        "0086-139-0013-9000",
        "１３９００１３９０００",
    ];
    let bodies =
        (0..16).map(|n| json!({ "name": "王芳", "phone": spellings[n % 4], "need": format!("第{n}次") }));
    let bodies = bodies.collect::<Vec<_>>();
    let ids = (0..16).map(|n| format!("d{n}")).collect::<Vec<_>>();
    let answers = join_all(
        ids.iter()
            .zip(&bodies)
            .map(|(id, body)| website.deliver(id, body)),
    )
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let lead = &answers[0].body["lead_id"];
    for answer in &answers {
        assert!(answer.status == 201 || answer.status == 200, "{}", answer.body);
        assert_eq!(&answer.body["lead_id"], lead);
    }
    assert_eq!(total(admin, "/v1/leads").await, 1);
    assert_eq!(total(admin, "/v1/intakes").await, 16);
    // Nothing is lost: each push stands on the lead's timeline.
    let path = format!("/v1/leads/{}/timeline?limit=200", lead.as_str().unwrap());
    let timeline = admin.get(&path).await.expect(200);
    let touches = timeline["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "lead.touched");
    assert_eq!(touches.count(), 15);
    // The same delivery again is answered as before.
    let again = website.deliver("d3", &bodies[3]).await.expect(200);
    assert_eq!(&again["lead_id"], lead);
}

#[tokio::test]
async fn a_customer_who_comes_back_after_conversion_makes_a_new_lead_that_waits_for_review() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let contact = json!({ "name": "王芳", "phone": "13900139000" });
    let contact = id(&admin.post("/v1/contacts", contact).await.expect(201));
    let body = json!({ "name": "王芳", "phone": "139-0013-9000" });
    let made = website.deliver("d1", &body).await.expect(201);
    let reviews = admin.get("/v1/duplicate-reviews?status=open").await.expect(200);
    let review = &reviews["data"][0];
    assert_eq!(
        (&review["record_kind"], &review["record_id"]),
        (&json!("contact"), &json!(contact))
    );
    assert_eq!(
        (&review["other_kind"], &review["other_id"]),
        (&json!("lead"), &made["lead_id"])
    );
    assert_eq!(review["reasons"][0]["rule"], "phone");
    let path = format!("/v1/duplicate-reviews/{}/decide", review["id"].as_str().unwrap());
    let merge = json!({ "decision": "merge", "survivor_id": contact });
    assert_eq!(admin.post(&path, merge).await.refused(409), "conflict");
    let distinct = admin
        .post(&path, json!({ "decision": "distinct" }))
        .await
        .expect(200);
    assert_eq!(
        (&distinct["status"], &distinct["decided_by"]),
        (&json!("distinct"), &json!(admin.id))
    );
}

#[tokio::test]
async fn a_setting_lets_deliveries_make_leads_that_wait_for_review() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "intake_duplicates": "queue" })).await;
    let website = source(admin, json!({})).await;
    let body = json!({ "name": "王芳", "email": "Wang@hengxin.example" });
    website.deliver("d1", &body).await.expect(201);
    website.deliver("d2", &body).await.expect(201);
    assert_eq!(total(admin, "/v1/leads").await, 2);
    assert_eq!(total(admin, "/v1/duplicate-reviews?status=open").await, 1);
}

#[tokio::test]
async fn a_rejected_delivery_that_is_replayed_goes_to_the_open_lead_too() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let first = website
        .deliver("d1", &json!({ "name": "王芳", "phone": "13900139000" }))
        .await
        .expect(201);
    let rejected = website
        .deliver("d2", &json!({ "phone": "13900139000" }))
        .await
        .expect(202);
    let path = format!("/v1/intakes/{}/replay", rejected["intake_id"].as_str().unwrap());
    let corrected = json!({ "body": { "name": "王女士", "phone": "139 0013 9000" } });
    let replayed = admin.post(&path, corrected).await.expect(200);
    assert_eq!(replayed["lead_id"], first["lead_id"]);
    let sample = json!({ "sample": { "name": "王芳", "phone": "13900139000" } });
    let tried = admin
        .post(&format!("/v1/lead-sources/{}/try-mapping", website.id), sample)
        .await
        .expect(200);
    assert_eq!(
        (&tried["errors"], &tried["warnings"][0]["code"]),
        (&json!([]), &json!("attached"))
    );
    assert_eq!(total(admin, "/v1/leads").await, 1);
}

#[tokio::test]
async fn a_personal_phone_says_whose_it_is_only_to_whoever_may_read_it() {
    let company = company().await;
    let admin = &company.administrator;
    let reader = company.member("审计", "read_only").await;
    let contact = json!({ "name": "张总", "phone": "13900139000", "personal_phone": "13911112222" });
    admin.post("/v1/contacts", contact).await.expect(201);
    let asked = async |person: &Person, path: &str, phone: &str| {
        let body = json!({ "name": "zz", "phone": phone });
        kinds(&person.post(path, body).await.expect(200))
    };
    for path in ["/v1/contacts/duplicates", "/v1/leads/duplicates"] {
        assert_eq!(asked(admin, path, "139 1111 2222").await, ["contact"], "{path}");
        assert_eq!(asked(&reader, path, "139 1111 2222").await, [""; 0], "{path}");
        assert_eq!(asked(&reader, path, "139 0013 9000").await, ["contact"], "{path}");
    }
}

#[tokio::test]
async fn a_personal_phone_is_not_taken_twice_and_does_not_tell_by_whom() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "contact_duplicates": "block" })).await;
    crate::support::make_identity::role(
        &company,
        "caller",
        json!({ "contact.read": "all", "contact.write": "all" }),
    )
    .await;
    let caller = company.member("话务", "caller").await;
    let contact = json!({ "name": "张总", "phone": "13900139000", "personal_phone": "13911112222" });
    admin.post("/v1/contacts", contact).await.expect(201);
    let message = |refused: &crate::support::app::Answer| refused.body["errors"][0]["message"].clone();
    let hidden = json!({ "name": "zz", "phone": "13911112222" });
    let refused = caller.post("/v1/contacts", hidden).await;
    assert_eq!(refused.refused(409), "duplicate");
    assert_eq!(
        (&refused.body["duplicates"], message(&refused)),
        (&json!([]), json!("is taken already"))
    );
    let open = json!({ "name": "zz", "phone": "13900139000" });
    let refused = caller.post("/v1/contacts", open).await;
    assert_eq!(refused.body["duplicates"][0]["name"], "张总");
    let said = message(&refused);
    assert!(
        said.as_str()
            .unwrap()
            .contains("taken already by the contact 张总"),
        "{said}"
    );
}

#[rstest]
#[case("accounts", json!({ "name": "甲", "tax_number": "91310000ma1k35x" }), json!({ "name": "乙", "tax_number": "9131 0000-MA1K35X" }), "/tax_number")]
#[case("contacts", json!({ "name": "王芳", "phone": "13900139000" }), json!({ "name": "李强", "personal_phone": "+86 139 0013 9000" }), "/phone")]
#[case("leads", json!({ "name": "王芳", "email": "Wang@Hengxin.example" }), json!({ "name": "W", "email": "wang@hengxin.EXAMPLE" }), "/email")]
#[tokio::test]
async fn the_setting_blocks_what_is_there_and_an_override_needs_a_reason(
    #[case] resource: &str,
    #[case] first: Value,
    #[case] second: Value,
    #[case] pointer: &str,
) {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_lead").await;
    set(
        admin,
        json!({ "account_duplicates": "block", "contact_duplicates": "block", "lead_duplicates": "block" }),
    )
    .await;
    let path = format!("/v1/{resource}");
    let there = id(&li.post(&path, first).await.expect(201));
    let refused = admin.post(&path, second.clone()).await;
    assert_eq!(refused.refused(409), "duplicate");
    assert_eq!(refused.faults(), [(pointer.to_owned(), "duplicate".to_owned())]);
    let hit = &refused.body["duplicates"][0];
    assert_eq!(
        (&hit["id"], &hit["is_exact"], &hit["score"]),
        (&json!(there), &json!(true), &json!(1.0))
    );
    let mut forced = second;
    forced["override_duplicates"] = json!({ "reason": "两人共用" });
    assert_eq!(li.post(&path, forced.clone()).await.refused(403), "forbidden");
    let made = admin.post(&path, forced).await.expect(201);
    assert!(made.get("override_duplicates").is_none());
    let timeline = admin
        .get(&format!("{path}/{}/timeline", id(&made)))
        .await
        .expect(200);
    let told = &timeline["data"][0];
    assert!(told["kind"].as_str().unwrap().ends_with(".created"), "{told}");
    assert_eq!(told["data"]["overridden_duplicates"]["reason"], "两人共用");
    // Archived, the first gives its key up; restoring it meets the second.
    admin.delete(&format!("{path}/{there}")).await.expect(200);
    let restore = format!("{path}/{there}/restore");
    for nothing in [json!({}), Value::Null] {
        assert_eq!(admin.post(&restore, nothing).await.refused(409), "duplicate");
    }
    let unknown = admin.post(&restore, json!({ "override": {} })).await;
    assert_eq!(
        unknown.faults(),
        [("/override".to_owned(), "unknown_field".to_owned())]
    );
    // In a batch the same: without a reason nothing, with one it is there again.
    let batch = async |body: Value| {
        let items = json!({ "mode": "each", "items": [{ "method": "restore", "id": there, "body": body }] });
        let done = admin.post(&format!("{path}/batch"), items).await.expect(200);
        done["results"][0].clone()
    };
    assert_eq!(batch(json!({})).await["problem"]["code"], "duplicate");
    let faulty = batch(json!({ "override": {} })).await;
    assert_eq!(
        faulty["problem"]["errors"][0]["pointer"],
        "/items/0/body/override"
    );
    let reason = json!({ "override_duplicates": { "reason": "归档有误" } });
    assert_eq!(li.post(&restore, reason.clone()).await.refused(403), "forbidden");
    let back = admin.post(&restore, reason.clone()).await.expect(200);
    assert!(back["archived_at"].is_null() && back.get("override_duplicates").is_none());
    let timeline = admin.get(&format!("{path}/{there}/timeline")).await.expect(200);
    let told = &timeline["data"][0];
    assert!(told["kind"].as_str().unwrap().ends_with(".restored"), "{told}");
    assert_eq!(told["data"]["overridden_duplicates"]["reason"], "归档有误");
    admin.delete(&format!("{path}/{there}")).await.expect(200);
    assert_eq!(batch(reason).await["status"], 200);
}

#[tokio::test]
async fn of_sixteen_who_enter_one_contact_at_once_one_succeeds() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "contact_duplicates": "block" })).await;
    let body = json!({ "name": "王芳", "phone": "13900139000", "email": "wang@hengxin.example" });
    let answers = join_all((0..16).map(|_| admin.post("/v1/contacts", body.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 201 || answer.refused(409) == "duplicate")
    );
    assert_eq!(total(admin, "/v1/contacts").await, 1);
}

#[tokio::test]
async fn a_patch_that_makes_a_duplicate_is_met_by_the_setting_and_others_are_not() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "contact_duplicates": "block" })).await;
    admin
        .post("/v1/contacts", json!({ "name": "王芳", "phone": "13900139000" }))
        .await
        .expect(201);
    let other = id(&admin
        .post("/v1/contacts", json!({ "name": "李强" }))
        .await
        .expect(201));
    let path = format!("/v1/contacts/{other}");
    assert_eq!(
        admin
            .patch(&path, json!({ "phone": "139 0013 9000" }))
            .await
            .refused(409),
        "duplicate"
    );
    let forced = json!({ "phone": "13900139000", "override_duplicates": { "reason": "夫妻" } });
    admin.patch(&path, forced).await.expect(200);
    // What does not touch the key is not asked again.
    admin
        .patch(&path, json!({ "job_title": "经理", "phone": "139-0013-9000" }))
        .await
        .expect(200);
    admin.patch(&path, json!({ "phone": null })).await.expect(200);
    admin
        .post(
            "/v1/contacts",
            json!({ "name": "李小强", "phone": "13900139001" }),
        )
        .await
        .expect(201);
}

#[tokio::test]
async fn switchboards_and_role_addresses_only_warn() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "contact_duplicates": "block" })).await;
    let body = json!({ "name": "王芳", "phone": "021-6888 8888", "email": "info@hengxin.example" });
    admin.post("/v1/contacts", body).await.expect(201);
    let other = json!({ "name": "李强", "phone": "+86 21 6888 8888", "email": "INFO@hengxin.example" });
    let made = admin.post("/v1/contacts", other).await.expect(201);
    assert_eq!(codes(&made), ["possible_duplicate"]);
}

#[rstest]
#[case("华为技术有限公司", "華為技術股份有限公司")]
#[case("上海恒信智联科技有限公司", "恒信智联信息技术（上海）有限责任公司")]
#[case("Acme Machine Tools Ltd.", "ＡＣＭＥ Tools Machine, Inc")]
#[case("ООО «Ромашка Сервис»", "Ромашка-сервис ООО")]
#[tokio::test]
async fn accounts_that_are_spelt_differently_are_warned_of_with_reasons(
    #[case] one: &str,
    #[case] other: &str,
) {
    let company = company().await;
    let admin = &company.administrator;
    let there = account(admin, one).await;
    let made = admin
        .post("/v1/accounts", json!({ "name": other }))
        .await
        .expect(201);
    assert_eq!(codes(&made), ["possible_duplicate"]);
    assert_eq!(made["warnings"][0]["pointer"], "/name");
    let found = admin
        .get(&format!("/v1/accounts/{}/duplicates", id(&made)))
        .await
        .expect(200);
    let hit = &found["data"][0];
    assert_eq!((&hit["id"], &hit["is_exact"]), (&json!(there), &json!(false)));
    assert!(hit["score"].as_f64().unwrap() > 0.9, "{hit}");
    assert_eq!(hit["reasons"][0]["rule"], "company_name");
    let lead = json!({ "name": "王芳", "company": other });
    let before_saving = admin.post("/v1/leads/duplicates", lead).await.expect(200);
    assert_eq!(kinds(&before_saving), ["account", "account"]);
}

#[tokio::test]
async fn chinese_names_whose_words_stand_in_another_order_are_near() {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "華東精密機械製造有限公司").await;
    account(admin, "滨海5046电子元件有限公司").await;
    let hits = async |name: &str| {
        let asked = json!({ "name": name });
        let hits = admin.post("/v1/accounts/duplicates", asked).await.expect(200);
        let hits = hits["data"].as_array().unwrap().iter();
        hits.map(|hit| (hit["name"].clone(), hit["score"].clone()))
            .collect::<Vec<_>>()
    };
    let near = [(json!("華東精密機械製造有限公司"), json!(0.85))];
    assert_eq!(hits("精密机械华东制造股份有限公司").await, near);
    // Numbers are no words: in another order they name something else.
    let other = hits("滨海4560电子元件有限公司").await;
    assert!(
        other.iter().all(|(_, score)| score.as_f64().unwrap() < 0.85),
        "{other:?}"
    );
}

#[tokio::test]
async fn a_name_that_is_only_legal_form_is_like_nothing() {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "科技有限公司").await;
    let made = admin
        .post("/v1/accounts", json!({ "name": "科技有限公司" }))
        .await
        .expect(201);
    assert_eq!(codes(&made), [""; 0]);
}

#[tokio::test]
async fn leads_are_compared_with_contacts_and_with_what_is_archived() {
    let company = company().await;
    let admin = &company.administrator;
    let phone = json!({ "name": "王芳", "phone": "13900139000" });
    let lead = id(&admin.post("/v1/leads", phone.clone()).await.expect(201));
    admin.post("/v1/contacts", phone.clone()).await.expect(201);
    admin.delete(&format!("/v1/leads/{lead}")).await.expect(200);
    let hits = admin
        .post("/v1/leads/duplicates", phone.clone())
        .await
        .expect(200);
    let mut found = kinds(&hits);
    found.sort();
    assert_eq!(found, ["contact", "lead"]);
    let archived = hits["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|hit| hit["kind"] == "lead")
        .unwrap();
    assert_eq!(archived["is_live"], false);
    // Contacts are compared with contacts.
    let hits = admin.post("/v1/contacts/duplicates", phone).await.expect(200);
    assert_eq!(kinds(&hits), ["contact"]);
}

#[tokio::test]
async fn of_a_hit_outside_ones_scope_one_learns_its_owner_and_how_its_name_begins() {
    let company = company().await;
    let (li, chen) = (
        company.member("李", "sales_representative").await,
        company.member("陈", "sales_representative").await,
    );
    let body = json!({ "name": "王芳", "phone": "13900139000" });
    li.post("/v1/contacts", body.clone()).await.expect(201);
    let hits = chen
        .post("/v1/contacts/duplicates", body.clone())
        .await
        .expect(200);
    let hit = &hits["data"][0];
    assert_eq!(
        (&hit["id"], &hit["name"], &hit["is_masked"]),
        (&Value::Null, &json!("王***"), &json!(true))
    );
    assert_eq!(
        (&hit["owner_id"], &hit["owner_name"]),
        (&json!(li.id), &json!("李"))
    );
    let seen = li.post("/v1/contacts/duplicates", body.clone()).await.expect(200);
    assert_eq!(
        (&seen["data"][0]["name"], &seen["data"][0]["is_masked"]),
        (&json!("王芳"), &json!(false))
    );
    let warned = chen.post("/v1/contacts", body).await.expect(201);
    assert!(
        !warned["warnings"].to_string().contains("王芳"),
        "{}",
        warned["warnings"]
    );
}

#[tokio::test]
async fn another_company_is_never_compared_with() {
    let (one, other): (Company, Company) = (company().await, company().await);
    let body = json!({ "name": "恒信智联有限公司", "tax_number": "91310000MA1K35X" });
    one.administrator
        .post("/v1/accounts", body.clone())
        .await
        .expect(201);
    let hits = other
        .administrator
        .post("/v1/accounts/duplicates", body.clone())
        .await
        .expect(200);
    assert_eq!(hits["data"], json!([]));
    set(&other.administrator, json!({ "account_duplicates": "block" })).await;
    other.administrator.post("/v1/accounts", body).await.expect(201);
}

#[tokio::test]
async fn a_queued_pair_is_asked_once_and_what_was_said_is_remembered() {
    let company = company().await;
    let admin = &company.administrator;
    set(admin, json!({ "account_duplicates": "queue" })).await;
    let one = account(admin, "恒信智联有限公司").await;
    let other = account(admin, "恒信智聯科技有限公司").await;
    let open = "/v1/duplicate-reviews?status=open";
    let reviews = admin.get(open).await.expect(200);
    let review = &reviews["data"][0];
    assert_eq!(
        (&review["record_id"], &review["other_id"]),
        (&json!(one), &json!(other))
    );
    let path = format!("/v1/duplicate-reviews/{}/decide", review["id"].as_str().unwrap());
    let later = admin
        .post(&path, json!({ "decision": "later", "until": "2034-06-01" }))
        .await
        .expect(200);
    assert_eq!(
        (&later["status"], &later["later_until"]),
        (&json!("later"), &json!("2034-06-01"))
    );
    admin
        .post(&path, json!({ "decision": "distinct" }))
        .await
        .expect(200);
    admin
        .patch(&format!("/v1/accounts/{other}"), json!({ "name": "恒信智联" }))
        .await
        .expect(200);
    assert_eq!(total(admin, open).await, 0);
    let li = company.member("李", "sales_representative").await;
    assert_eq!(li.get(open).await.refused(403), "forbidden");
}

#[tokio::test]
async fn records_entered_behind_the_services_back_get_their_keys_in_time() {
    use diesel_async::SimpleAsyncConnection;
    use penstock::crm::duplicates::IDENTITY_KEYS;
    use penstock::crm::resources::CONTACT;
    use penstock::platform::records::catch_up;
    let company = company().await;
    let admin = &company.administrator;
    let made = id(&admin
        .post("/v1/contacts", json!({ "name": "王芳", "phone": "13900139000" }))
        .await
        .expect(201));
    let db = crate::support::app::database().await;
    let forget = format!(
        "DELETE FROM identity_names WHERE record_id = '{made}'; DELETE FROM identity_keys WHERE record_id = '{made}'"
    );
    db.bookkeep(async |conn| Ok(conn.batch_execute(&forget).await?))
        .await
        .unwrap();
    let body = json!({ "name": "王芳", "phone": "13900139000" });
    assert_eq!(
        admin
            .post("/v1/contacts/duplicates", body.clone())
            .await
            .expect(200)["data"],
        json!([])
    );
    let mut position = Some(catch_up::Position::default());
    while let Some(after) = position {
        position = catch_up::batch(&db, &IDENTITY_KEYS, &CONTACT, after)
            .await
            .unwrap();
    }
    assert_eq!(
        kinds(&admin.post("/v1/contacts/duplicates", body).await.expect(200)),
        ["contact"]
    );
}

#[tokio::test]
async fn check_names_a_live_record_whose_key_another_could_take() {
    use diesel_async::SimpleAsyncConnection;
    let company = company().await;
    let body = json!({ "name": "王芳", "phone": "13900139000" });
    let made = id(&company.administrator.post("/v1/contacts", body).await.expect(201));
    let own = async || {
        let found = penstock::check::run(&crate::support::app::server().await.url)
            .await
            .unwrap();
        let own = found
            .into_iter()
            .filter(|finding| finding.tenant == company.tenant);
        own.map(|finding| (finding.invariant, finding.record))
            .collect::<Vec<_>>()
    };
    assert_eq!(own().await, []);
    let db = crate::support::app::database().await;
    let plant = format!("DELETE FROM identity_keys WHERE record_id = '{made}'");
    db.bookkeep(async |conn| Ok(conn.batch_execute(&plant).await?))
        .await
        .unwrap();
    assert_eq!(own().await, [(8, format!("contact {made}"))]);
}

#[tokio::test]
async fn a_pair_that_waits_says_of_a_personal_phone_only_to_whoever_may_read_it() {
    let company = company().await;
    let admin = &company.administrator;
    crate::support::make_identity::role(&company, "auditor", json!({ "duplicate.read": "all" })).await;
    let auditor = company.member("审计", "auditor").await;
    let website = source(admin, json!({})).await;
    let contact = json!({ "name": "张总", "phone": "13900139000", "personal_phone": "13911112222" });
    admin.post("/v1/contacts", contact).await.expect(201);
    for (id, phone, seen) in [("d1", "139 1111 2222", false), ("d2", "139 0013 9000", true)] {
        let body = json!({ "name": "zz", "phone": phone });
        let lead = website.deliver(id, &body).await.expect(201)["lead_id"].clone();
        let review = async |person: &Person| {
            let all = person.get("/v1/duplicate-reviews").await.expect(200);
            let mut all = all["data"].as_array().unwrap().iter();
            all.find(|review| review["other_id"] == lead).unwrap().clone()
        };
        let is_phone = |reasons: &Value| {
            let mut reasons = reasons.as_array().unwrap().iter();
            reasons.any(|reason| reason["rule"] == "phone")
        };
        let (open, whole) = (review(&auditor).await, review(admin).await);
        assert_eq!(is_phone(&open["reasons"]), seen, "{open}");
        assert_eq!(open.get("reasons_in_full"), None);
        assert!(is_phone(&whole["reasons_in_full"]), "{whole}");
    }
}
