//! Rooms 2 and 13 in their plain form: grades, terms, trees, the company's own fields, participants, external ids.

use crate::support::app::{Person, account, company, id, sandbox};
use crate::support::make_crm::lead;
use crate::support::make_identity::text;
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn an_accounts_grade_follows_the_expected_need_until_it_is_set_by_hand() {
    let company = sandbox("2024-03-05T02:00:00Z").await;
    let admin = &company.administrator;
    let grade_of = |need: &str| {
        let body = json!({ "name": "科技有限公司", "expected_need_on": need });
        async move { admin.post("/v1/accounts", body).await.expect(201)["grade"].clone() }
    };
    assert_eq!(grade_of("2024-04-04").await, "a");
    assert_eq!(grade_of("2024-04-05").await, "b");
    assert_eq!(grade_of("2024-09-05").await, "b");
    assert_eq!(grade_of("2024-09-06").await, "c");

    let path = format!("/v1/accounts/{}", account(admin, "制造有限公司").await);
    assert_eq!(admin.get(&path).await.expect(200)["grade"], json!(null));
    let by_hand = admin.patch(&path, json!({ "grade": "c" })).await.expect(200);
    assert_eq!(by_hand["is_grade_by_hand"], true);
    let kept = admin
        .patch(&path, json!({ "expected_need_on": "2024-03-06" }))
        .await
        .expect(200);
    assert_eq!(kept["grade"], "c");
    let computed = admin.patch(&path, json!({ "grade": null })).await.expect(200);
    assert_eq!(
        (&computed["grade"], &computed["is_grade_by_hand"]),
        (&json!("a"), &json!(false))
    );
    let pinned = admin.patch(&path, json!({ "grade": "a" })).await.expect(200);
    assert_eq!(pinned["is_grade_by_hand"], true);
}

#[tokio::test]
async fn credit_terms_have_four_forms_and_one_spelling() {
    let company = company().await;
    let admin = &company.administrator;
    let made = admin
        .post(
            "/v1/accounts",
            json!({ "name": "科技", "credit_terms": "NET 30  EOM" }),
        )
        .await;
    assert_eq!(made.expect(201)["credit_terms"], "net 30 eom");
    let refused = admin
        .post("/v1/accounts", json!({ "name": "科技", "credit_terms": "later" }))
        .await;
    assert_eq!(refused.refused(422), "invalid");
    assert_eq!(
        refused.faults(),
        [("/credit_terms".to_owned(), "invalid".to_owned())]
    );
}

#[tokio::test]
async fn no_account_stands_above_itself_not_even_by_two_moves_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let (one, other) = (account(admin, "集团").await, account(admin, "子公司").await);
    let under = |child: &str, parent: &str| {
        let (path, body) = (format!("/v1/accounts/{child}"), json!({ "parent_id": parent }));
        async move { admin.patch(&path, body).await }
    };
    assert_eq!(
        under(&one, &one).await.faults(),
        [("/parent_id".to_owned(), "invalid".to_owned())]
    );
    let answers = futures::future::join(under(&one, &other), under(&other, &one)).await;
    let mut statuses = [answers.0.status, answers.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 422]);
}

#[tokio::test]
async fn choices_belong_to_choice_fields_and_a_key_is_a_name() {
    let company = company().await;
    let admin = &company.administrator;
    let define = |body: serde_json::Value| async move { admin.post("/v1/field-definitions", body).await };
    let field =
        |key: &str, kind: &str| json!({ "resource": "account", "key": key, "label": "x", "kind": kind });
    let missing = define(field("city", "choice")).await;
    assert_eq!(missing.faults(), [("/choices".to_owned(), "required".to_owned())]);
    let mut needless = field("in", "text");
    needless["choices"] = json!(["a"]);
    let both = [
        ("/choices".to_owned(), "invalid".to_owned()),
        ("/key".to_owned(), "invalid".to_owned()),
    ];
    assert_eq!(define(needless).await.faults(), both);
    let mut good = field("city", "choice");
    good["choices"] = json!(["上海", "北京"]);
    define(good).await.expect(201);

    let wrong = admin
        .post(
            "/v1/accounts",
            json!({ "name": "科技", "custom": { "city": "巴黎", "other": "x" } }),
        )
        .await;
    let faults = [
        ("/custom/city".to_owned(), "invalid".to_owned()),
        ("/custom/other".to_owned(), "unknown_field".to_owned()),
    ];
    assert_eq!(wrong.faults(), faults);
    admin
        .post(
            "/v1/accounts",
            json!({ "name": "科技", "custom": { "city": "上海" } }),
        )
        .await
        .expect(201);
}

#[tokio::test]
async fn a_choice_that_records_have_stays_and_what_they_have_never_blocks_another_change() {
    let company = company().await;
    let admin = &company.administrator;
    let field = json!({ "resource": "account", "key": "city", "label": "城市", "kind": "choice", "choices": ["上海", "北京", "广州"] });
    let field = id(&admin.post("/v1/field-definitions", field).await.expect(201));
    let account = json!({ "name": "华信科技", "custom": { "city": "上海" } });
    let account = id(&admin.post("/v1/accounts", account).await.expect(201));
    let definition = format!("/v1/field-definitions/{field}");
    let without = |choices: serde_json::Value| {
        let path = definition.clone();
        async move { admin.patch(&path, json!({ "choices": choices })).await }
    };

    let refused = without(json!(["广州"])).await.expect(409);
    assert_eq!(refused["code"], "in_use");
    assert!(refused["detail"].as_str().unwrap().ends_with(": 上海"));
    without(json!(["上海", "广州"])).await.expect(200);

    let account = format!("/v1/accounts/{account}");
    admin.delete(&account).await.expect(200);
    without(json!(["广州"])).await.expect(200);
    admin
        .post(&format!("{account}/restore"), json!({}))
        .await
        .expect(200);
    let other = json!({ "resource": "account", "key": "note", "label": "备注", "kind": "text" });
    admin.post("/v1/field-definitions", other).await.expect(201);
    let changed = admin
        .patch(&account, json!({ "custom": { "note": "老客户" } }))
        .await
        .expect(200);
    assert_eq!(changed["custom"], json!({ "city": "上海", "note": "老客户" }));
}

#[tokio::test]
async fn a_field_that_becomes_required_is_asked_for_at_the_next_write() {
    let company = company().await;
    let admin = &company.administrator;
    let path = format!("/v1/accounts/{}", account(admin, "科技").await);
    let field =
        json!({ "resource": "account", "key": "city", "label": "城市", "kind": "text", "is_required": true });
    admin.post("/v1/field-definitions", field).await.expect(201);
    let refused = admin.post("/v1/accounts", json!({ "name": "制造" })).await;
    assert_eq!(
        refused.faults(),
        [("/custom/city".to_owned(), "required".to_owned())]
    );
    for blank in ["", "   ", "\u{3000}"] {
        let named = json!({ "name": "制造", "custom": { "city": blank } });
        let too_short = [("/custom/city".to_owned(), "too_short".to_owned())];
        assert_eq!(
            admin.post("/v1/accounts", named.clone()).await.faults(),
            too_short
        );
        assert_eq!(admin.patch(&path, named).await.faults(), too_short);
    }
    admin
        .patch(&path, json!({ "custom": { "city": "上海" } }))
        .await
        .expect(200);
}

#[tokio::test]
async fn whoever_owns_an_account_or_takes_part_in_it_meets_its_people() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let account = account(&li, "恒信智联").await;
    let contact = |name: &str| json!({ "account_id": account, "name": name });
    // Entered by others, and theirs: the office's, and one of the account's owner.
    let office = id(&admin.post("/v1/contacts", contact("张总")).await.expect(201));
    let own = id(&li.post("/v1/contacts", contact("陈工")).await.expect(201));
    admin
        .post("/v1/contacts", json!({ "name": "张总监" }))
        .await
        .expect(201);

    let seen = async |person: &Person| {
        let listed = person
            .get("/v1/contacts?with_total=true&sort=name")
            .await
            .expect(200);
        let names = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| text(row, "name"));
        let names = names.collect::<BTreeSet<_>>();
        assert_eq!(listed["total"], json!(names.len()));
        let found = person.get("/v1/search?q=张总").await.expect(200);
        assert_eq!(
            found["data"].as_array().unwrap().len(),
            usize::from(names.contains("张总"))
        );
        names
    };
    let both = BTreeSet::from(["张总".to_owned(), "陈工".to_owned()]);
    assert_eq!(seen(&li).await, both);
    assert_eq!(seen(&wang).await, BTreeSet::new());
    let here = format!("/v1/contacts/{office}");
    li.patch(&here, json!({ "job_title": "总经理" }))
        .await
        .expect(200);
    // To see somebody is not to give them away.
    assert_eq!(
        li.patch(&here, json!({ "owner_id": li.id })).await.refused(403),
        "forbidden"
    );
    assert_eq!(li.delete(&here).await.refused(403), "forbidden");

    let people = format!("/v1/accounts/{account}/participants");
    let joined = json!({ "user_id": wang.id, "access": "read" });
    let part = id(&li.post(&people, joined).await.expect(201));
    assert_eq!(seen(&wang).await, both);
    assert_eq!(
        wang.patch(&here, json!({ "job_title": "董事长" }))
            .await
            .refused(403),
        "forbidden"
    );
    // Invited to both, one sees them once.
    let twice = json!({ "user_id": wang.id, "access": "edit" });
    li.post(&format!("/v1/contacts/{own}/participants"), twice)
        .await
        .expect(201);
    assert_eq!(seen(&wang).await, both);
    li.delete(&format!("{people}/{part}")).await.expect(204);
    assert_eq!(seen(&wang).await, BTreeSet::from(["陈工".to_owned()]));
    assert_eq!(wang.get(&here).await.refused(404), "not_found");
}

#[tokio::test]
async fn participants_see_or_edit_a_record_at_once_and_not_after_they_are_removed() {
    let company = company().await;
    let li = company.member("李", "sales_representative").await;
    let wang = company.member("王", "sales_representative").await;
    let path = format!("/v1/accounts/{}", account(&li, "科技有限公司").await);
    let people = format!("{path}/participants");
    assert_eq!(wang.get(&path).await.refused(404), "not_found");
    assert_eq!(wang.get(&people).await.refused(404), "not_found");

    let added = li
        .post(&people, json!({ "user_id": wang.id, "access": "read" }))
        .await
        .expect(201);
    wang.get(&path).await.expect(200);
    assert_eq!(
        wang.get("/v1/accounts").await.expect(200)["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        wang.patch(&path, json!({ "region": "华东" })).await.refused(403),
        "forbidden"
    );

    li.post(&people, json!({ "user_id": wang.id, "access": "edit" }))
        .await
        .expect(200);
    wang.patch(&path, json!({ "region": "华东" })).await.expect(200);
    let invited = wang
        .post(
            &people,
            json!({ "user_id": company.administrator.id, "access": "read" }),
        )
        .await;
    assert_eq!(invited.refused(403), "forbidden");
    let listed = wang.get(&people).await.expect(200);
    assert_eq!(
        (&listed["data"][0]["access"], &listed["data"][0]["id"]),
        (&json!("edit"), &added["id"])
    );

    let filtered = wang.get(&format!("{people}?access=read")).await;
    assert_eq!(filtered.refused(400), "bad_parameter");

    let one = format!("{people}/{}", id(&added));
    assert_eq!(li.delete(&one).await.status, 204);
    assert_eq!(wang.get(&path).await.refused(404), "not_found");
    assert_eq!(li.delete(&one).await.refused(404), "not_found");
}

#[tokio::test]
async fn only_people_of_the_company_can_take_part() {
    let (one, other) = (company().await, company().await);
    let admin = &one.administrator;
    let people = format!("/v1/leads/{}/participants", lead(admin, "王芳").await);
    let foreign = admin
        .post(
            &people,
            json!({ "user_id": other.administrator.id, "access": "read" }),
        )
        .await;
    assert_eq!(
        foreign.faults(),
        [("/user_id".to_owned(), "not_found".to_owned())]
    );
    let theirs = other
        .administrator
        .post(
            &people,
            json!({ "user_id": other.administrator.id, "access": "read" }),
        )
        .await;
    assert_eq!(theirs.refused(404), "not_found");
}

#[tokio::test]
async fn one_id_of_another_system_names_one_record_also_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let mut paths = Vec::new();
    for number in 0..4 {
        paths.push(format!(
            "/v1/accounts/{}/external-ids",
            account(admin, &format!("客户{number}")).await
        ));
    }
    let body = json!({ "system": "erp", "external_id": "C-1" });
    let answers = futures::future::join_all(paths.iter().map(|path| admin.post(path, body.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.refused(409), "duplicate");
        assert_eq!(
            answer.faults(),
            [("/external_id".to_owned(), "duplicate".to_owned())]
        );
    }
    let winner = answers.iter().position(|answer| answer.status == 201).unwrap();
    let one = format!("{}/{}", paths[winner], id(&answers[winner].body));
    assert_eq!(admin.delete(&one).await.status, 204);
    admin
        .post(&paths[(winner + 1) % 4], body.clone())
        .await
        .expect(201);
    // Another kind of record may have the same id there.
    let lead = lead(admin, "王芳").await;
    admin
        .post(&format!("/v1/leads/{lead}/external-ids"), body)
        .await
        .expect(201);
}

#[tokio::test]
async fn both_customers_of_the_toolkits_first_table_are_entered_and_read_back_whole() {
    let company = sandbox("2024-03-01T02:00:00Z").await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let mut sources = Vec::new();
    for (key, name, channel) in [
        ("exhibition", "行业展会", "exhibition"),
        ("referral", "客户转介绍", "referral"),
    ] {
        let source = admin
            .post(
                "/v1/lead-sources",
                json!({ "key": key, "name": name, "channel": channel }),
            )
            .await;
        sources.push(id(&source.expect(201)));
    }
    let rows = [
        (
            "科技有限公司",
            "信息技术",
            200,
            "100000000.00",
            "200人/1亿",
            "张*",
            "总经理",
            "1385678",
            "需要客户管理系统",
            0,
            "B类",
            "2024-03-15",
        ),
        (
            "制造有限公司",
            "制造业",
            500,
            "500000000.00",
            "500人/5亿",
            "王*",
            "采购总监",
            "139",
            "生产线设备数据监控",
            1,
            "A类",
            "2024-03-10",
        ),
    ];
    for (name, industry, employees, revenue, size, person, title, phone, need, source, status, next) in rows {
        let account = json!({
            "name": name, "industry": industry, "employees": employees, "annual_revenue": revenue, "size_note": size,
            "description": need, "source_id": sources[source], "follow_up_status": status, "next_follow_up_on": next
        });
        let made = li.post("/v1/accounts", account.clone()).await.expect(201);
        let read = li.get(&format!("/v1/accounts/{}", id(&made))).await.expect(200);
        for (member, value) in account.as_object().unwrap() {
            assert_eq!(&read[member], value, "{member}");
        }
        assert_eq!(
            (&read["owner_id"], &read["currency"]),
            (&json!(li.id), &json!("CNY"))
        );
        let contact = json!({ "account_id": made["id"], "name": person, "job_title": title, "phone": phone });
        let made = li.post("/v1/contacts", contact.clone()).await.expect(201);
        assert_eq!(made["warnings"][0]["code"], "phone_not_readable");
        let read = li.get(&format!("/v1/contacts/{}", id(&made))).await.expect(200);
        for (member, value) in contact.as_object().unwrap() {
            assert_eq!(&read[member], value, "{member}");
        }
        assert_eq!(read["phone_e164"], json!(null));
    }
}
