//! One search over names, phones, e-mails and notes.

use crate::support::app::{Company, Person, account, company, database, id};
use crate::support::make_crm::lead;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl;
use penstock::check;
use penstock::crm::resources::ACCOUNT;
use penstock::platform::records::catch_up;
use penstock::platform::records::entry::SEARCH_ENTRIES;
use rstest::rstest;
use serde_json::{Value, json};

async fn find(person: &Person, q: &str) -> Value {
    let path = format!("/v1/search?q={}", encoded(q));
    person.get(&path).await.expect(200)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn names(hits: &Value) -> Vec<&str> {
    let hits = hits["data"].as_array().unwrap().iter();
    hits.map(|hit| hit["name"].as_str().unwrap()).collect()
}

async fn listed(person: &Person, path: &str, q: &str) -> i64 {
    let page = person
        .get(&format!("{path}?with_total=true&q={}", encoded(q)))
        .await
        .expect(200);
    assert_eq!(page["data"].as_array().unwrap().len() as i64, page["total"]);
    page["total"].as_i64().unwrap()
}

/// What `check` finds about this company's search rows.
async fn breaches(company: &Company) -> Vec<String> {
    let url = &crate::support::app::server().await.url;
    let found = check::run(url).await.unwrap();
    let own = found.into_iter().filter(|finding| {
        finding.tenant == company.tenant
            && (finding.sentence.contains("search") || finding.sentence.contains("entered for"))
    });
    own.map(|finding| finding.to_string()).collect()
}

#[rstest]
#[case("恒信")]
#[case("恆信")]
#[case("信科")]
#[case("公司")]
#[case("上海恒信科技有限公司")]
#[tokio::test]
async fn a_chinese_name_is_found_by_any_two_of_its_characters(#[case] q: &str) {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "上海恒信科技有限公司").await;
    account(admin, "Other Ltd").await;
    let found = find(admin, q).await;
    assert_eq!(names(&found), ["上海恒信科技有限公司"]);
    assert_eq!(found["data"][0]["member"], "name");
    assert_eq!(listed(admin, "/v1/accounts", q).await, 1);
}

#[rstest]
#[case("heng")]
#[case("HENGXIN tech")]
#[case("Прогр")]
#[case("прогресс hengxin")]
#[tokio::test]
async fn words_are_found_by_their_beginnings(#[case] q: &str) {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "Hengxin Technology ООО «Прогресс»").await;
    assert_eq!(find(admin, q).await["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed(admin, "/v1/accounts", q).await, 1);
    assert_eq!(listed(admin, "/v1/accounts", "nology").await, 0);
}

#[rstest]
#[case("hengxn")]
#[case("hengixn technology")]
#[case("Тhенгсин")]
#[case("прогрес")]
#[tokio::test]
async fn a_slip_in_a_word_is_forgiven(#[case] q: &str) {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "Hengxin Technology").await;
    account(admin, "ООО Прогресс").await;
    let found = find(admin, q).await;
    if q.starts_with('Т') {
        return assert_eq!(names(&found), [""; 0]);
    }
    assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");
}

#[rstest]
#[case("王晓芳", 1)]
#[case("恒兴科技", 1)]
#[case("恒信信科技", 1)]
#[case("恒科技", 1)]
#[case("大地集团", 0)]
#[tokio::test]
async fn a_slip_in_a_chinese_name_is_forgiven(#[case] q: &str, #[case] hits: usize) {
    let company = company().await;
    let admin = &company.administrator;
    lead(admin, "王小芳").await;
    account(admin, "上海恒信科技有限公司").await;
    let found = find(admin, q).await;
    assert_eq!(found["data"].as_array().unwrap().len(), hits, "{found}");
    if hits > 0 {
        assert_eq!(found["data"][0]["is_alike"], true);
    }
}

#[rstest]
#[case("13800138000")]
#[case("+86 138-0013-8000")]
#[case("0086 138 0013 8000")]
#[case("１３８００１３８０００")]
#[case("8000")]
#[case("1380013")]
#[case("li.wei@hengxin.example")]
#[case("hengxin.example")]
#[case("wei@heng")]
#[tokio::test]
async fn phones_are_found_in_any_spelling_and_mails_by_their_parts(#[case] q: &str) {
    let company = company().await;
    let admin = &company.administrator;
    let lead = json!({ "name": "李伟", "phone": "138 0013 8000", "email": "Li.Wei@hengxin.example" });
    admin.post("/v1/leads", lead).await.expect(201);
    let found = find(admin, q).await;
    assert_eq!(names(&found), ["李伟"], "{q}");
    let member = &found["data"][0]["member"];
    assert!(member == "phone" || member == "email", "{found}");
    assert_eq!(listed(admin, "/v1/leads", q).await, 1);
}

#[tokio::test]
async fn better_hits_come_first_and_show_where_they_are() {
    let company = company().await;
    let admin = &company.administrator;
    for name in ["北京恒信", "恒信", "恒信科技"] {
        account(admin, name).await;
    }
    let noted = json!({ "name": "大地集团", "description": "曾与恒信合作" });
    admin.post("/v1/accounts", noted).await.expect(201);
    let found = find(admin, "恒信").await;
    assert_eq!(names(&found), ["恒信", "恒信科技", "北京恒信", "大地集团"]);
    let last = &found["data"][3];
    assert_eq!(last["member"], "description");
    assert_eq!(
        last["piece"],
        json!({ "before": "曾与", "matched": "恒信", "after": "合作" })
    );
    assert_eq!(last["owner_id"], json!(admin.id));
    let two = admin
        .get("/v1/search?q=%E6%81%92%E4%BF%A1&limit=2")
        .await
        .expect(200);
    assert_eq!((names(&two).len(), &two["has_more"]), (2, &json!(true)));
}

#[tokio::test]
async fn all_kinds_are_searched_or_those_that_are_asked_for() {
    let company = company().await;
    let admin = &company.administrator;
    let of = account(admin, "晨光制造").await;
    lead(admin, "晨光").await;
    let contact = json!({ "name": "晨光先生", "account_id": of });
    admin.post("/v1/contacts", contact).await.expect(201);
    let found = find(admin, "晨光").await;
    assert_eq!(found["data"].as_array().unwrap().len(), 3);
    let two = admin
        .get(&format!(
            "/v1/search?kind=lead&kind=contact&q={}",
            encoded("晨光")
        ))
        .await
        .expect(200);
    assert_eq!(names(&two), ["晨光", "晨光先生"]);
}

#[tokio::test]
async fn nobody_finds_what_they_may_not_see() {
    let company = company().await;
    let admin = &company.administrator;
    let rep = company.member("销售甲", "sales_representative").await;
    let other = company.member("销售乙", "sales_representative").await;
    let stranger = crate::support::app::company().await;
    let mine = account(&rep, "青鸟甲公司").await;
    let theirs = account(&other, "青鸟乙公司").await;
    assert_eq!(names(&find(&rep, "青鸟").await), ["青鸟甲公司"]);
    assert_eq!(names(&find(&other, "青鸟").await), ["青鸟乙公司"]);
    assert_eq!(names(&find(admin, "青鸟").await).len(), 2);
    assert_eq!(names(&find(&stranger.administrator, "青鸟").await).len(), 0);
    assert_eq!(listed(&rep, "/v1/accounts", "青鸟").await, 1);
    // Slips do not lead around the scope.
    assert_eq!(names(&find(&rep, "青乌乙公司").await).len(), 0);
    // Whoever takes part finds it, as long as they do.
    let people = format!("/v1/accounts/{theirs}/participants");
    let part = json!({ "user_id": rep.id, "access": "read" });
    let part = id(&other.post(&people, part).await.expect(201));
    assert_eq!(names(&find(&rep, "青鸟").await).len(), 2);
    other.delete(&format!("{people}/{part}")).await.expect(204);
    assert_eq!(names(&find(&rep, "青鸟").await).len(), 1);
    // After another owner it is theirs.
    let given = json!({ "owner_id": other.id });
    admin
        .patch(&format!("/v1/accounts/{mine}"), given)
        .await
        .expect(200);
    assert_eq!(names(&find(&rep, "青鸟").await).len(), 0);
    assert_eq!(names(&find(&other, "青鸟").await).len(), 2);
    assert_eq!(breaches(&company).await, [""; 0]);
}

#[tokio::test]
async fn what_is_in_the_pool_is_found_by_who_sees_all_and_by_who_claims_it() {
    let company = company().await;
    let admin = &company.administrator;
    let rep = company.member("销售甲", "sales_representative").await;
    let pooled = lead(admin, "无主线索").await;
    let release = json!({ "reason": "无人跟进" });
    admin
        .post(&format!("/v1/leads/{pooled}/release"), release)
        .await
        .expect(200);
    assert_eq!(names(&find(admin, "无主").await), ["无主线索"]);
    assert_eq!(names(&find(&rep, "无主").await).len(), 0);
    rep.post(&format!("/v1/pool/leads/{pooled}/claim"), json!({}))
        .await
        .expect(200);
    assert_eq!(names(&find(&rep, "无主").await), ["无主线索"]);
    assert_eq!(breaches(&company).await, [""; 0]);
}

#[tokio::test]
async fn a_personal_phone_is_found_only_by_whoever_may_read_it() {
    let company = company().await;
    let admin = &company.administrator;
    let reader = company.member("审计", "read_only").await;
    let contact = json!({ "name": "张总", "personal_phone": "13911112222" });
    admin.post("/v1/contacts", contact).await.expect(201);
    let found = find(admin, "1391111").await;
    assert_eq!(found["data"][0]["member"], "personal_phone");
    assert_eq!(names(&find(&reader, "1391111").await).len(), 0);
    assert_eq!(listed(&reader, "/v1/contacts", "1391111").await, 0);
    assert_eq!(listed(admin, "/v1/contacts", "1391111").await, 1);
}

#[tokio::test]
async fn the_zeros_of_a_phone_fragment_count_and_an_address_is_found_by_any_beginning() {
    let company = company().await;
    let admin = &company.administrator;
    for (name, phone, email) in [
        ("甲", "13800005000", "u5000@ex0.example"),
        ("乙", "13912345000", "u5001@ex0.example"),
        ("丙", "13950001234", "u5002@ex0.example"),
    ] {
        let body = json!({ "name": name, "phone": phone, "email": email });
        admin.post("/v1/leads", body).await.expect(201);
    }
    assert_eq!(names(&find(admin, "00005000").await), ["甲"]);
    assert_eq!(names(&find(admin, "0086 138 0000").await), ["甲"]);
    assert_eq!(names(&find(admin, "+86 138 0000 5000").await), ["甲"]);
    for q in [
        "u5000",
        "u5000@",
        "u5000@e",
        "u5000@ex",
        "u5000@ex0",
        "u5000@ex0.exa",
    ] {
        assert_eq!(names(&find(admin, q).await), ["甲"], "{q}");
    }
}

#[tokio::test]
async fn a_record_is_found_by_what_it_says_now() {
    let company = company().await;
    let admin = &company.administrator;
    let path = format!("/v1/accounts/{}", account(admin, "旧名字公司").await);
    admin
        .patch(&path, json!({ "name": "新名称公司" }))
        .await
        .expect(200);
    assert_eq!(names(&find(admin, "旧名").await).len(), 0);
    assert_eq!(names(&find(admin, "新名称").await), ["新名称公司"]);
    admin.delete(&path).await.expect(200);
    assert_eq!(names(&find(admin, "新名称").await).len(), 0);
    let archived = format!("/v1/search?archived=true&q={}", encoded("新名称"));
    assert_eq!(names(&admin.get(&archived).await.expect(200)).len(), 1);
    admin
        .post(&format!("{path}/restore"), json!({}))
        .await
        .expect(200);
    assert_eq!(names(&find(admin, "新名称").await).len(), 1);
    assert_eq!(breaches(&company).await, [""; 0]);
}

#[tokio::test]
async fn a_merged_record_is_found_no_more_and_again_when_that_is_undone() {
    let company = company().await;
    let admin = &company.administrator;
    let survivor = account(admin, "蓝天实业").await;
    let loser = account(admin, "蓝天工厂").await;
    let merged = admin
        .post(
            &format!("/v1/accounts/{survivor}/merge"),
            json!({ "loser_ids": [loser] }),
        )
        .await
        .expect(200);
    assert_eq!(names(&find(admin, "蓝天").await), ["蓝天实业"]);
    let archived = format!("/v1/search?archived=true&q={}", encoded("蓝天"));
    assert_eq!(names(&admin.get(&archived).await.expect(200)).len(), 0);
    assert_eq!(breaches(&company).await, [""; 0]);
    let merge = merged["merge_id"].as_str().unwrap();
    admin
        .post(&format!("/v1/accounts/{survivor}/merges/{merge}/undo"), json!({}))
        .await
        .expect(200);
    assert_eq!(names(&find(admin, "蓝天").await).len(), 2);
    assert_eq!(breaches(&company).await, [""; 0]);
}

#[tokio::test]
async fn what_is_handed_over_is_found_by_its_new_owner() {
    let company = company().await;
    let admin = &company.administrator;
    let (rep, other) = (
        company.member("销售甲", "sales_representative").await,
        company.member("销售乙", "sales_representative").await,
    );
    account(&rep, "交接公司").await;
    lead(&rep, "交接线索").await;
    let path = format!("/v1/users/{}/hand-over", rep.id);
    admin
        .post(&path, json!({ "to_user_id": other.id }))
        .await
        .expect(200);
    assert_eq!(names(&find(&rep, "交接").await).len(), 0);
    assert_eq!(names(&find(&other, "交接").await).len(), 2);
    assert_eq!(breaches(&company).await, [""; 0]);
}

#[rstest]
#[case("", 400)]
#[case("a", 400)]
#[case("王", 400)]
#[case("%%", 400)]
#[case("__", 400)]
#[case("... !!", 400)]
#[case("' | !", 400)]
#[case("a\0b", 400)]
#[case("a b c d e f g h i j k l m n o p q r s t u v", 400)]
#[case("'; DROP TABLE accounts; --", 200)]
#[case("x' | 'y:*", 200)]
#[case("ab & !cd <-> (ef)", 200)]
#[case("\\ab\\", 200)]
#[case("10%", 200)]
#[tokio::test]
async fn a_hostile_text_gets_a_clear_answer(#[case] q: &str, #[case] status: u16) {
    let company = company().await;
    let admin = &company.administrator;
    for path in ["/v1/search", "/v1/accounts"] {
        let path = format!("{path}?q={}", encoded(q));
        let answer = admin.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        if status == 400 {
            assert_eq!(answer.refused(400), "bad_parameter");
        }
    }
    let long = format!("/v1/search?q={}", "a".repeat(200));
    assert_eq!(admin.get(&long).await.refused(400), "bad_parameter");
    let none = admin.get("/v1/search").await;
    assert_eq!(none.faults(), [("?q".to_owned(), "required".to_owned())]);
}

#[tokio::test]
async fn a_text_that_nearly_all_records_contain_is_answered_with_the_best_and_newest() {
    let company = company().await;
    let admin = &company.administrator;
    let rep = company.member("销售甲", "sales_representative").await;
    account(admin, "有限公司").await;
    let allow = json!({ "account_duplicates": "allow" });
    admin.patch("/v1/company", allow).await.expect(200);
    for batch in 0..7 {
        let items = (0..100).map(|n| {
            let owner = if n == 7 { rep.id } else { admin.id };
            let name = format!("第{}号有限公司", batch * 100 + n);
            json!({ "method": "create", "body": { "name": name, "owner_id": owner } })
        });
        let body = json!({ "mode": "all_or_nothing", "items": items.collect::<Vec<_>>() });
        admin.post("/v1/accounts/batch", body).await.expect(200);
    }
    let found = find(admin, "有限公司").await;
    assert_eq!(names(&found)[0], "有限公司");
    assert_eq!((names(&found).len(), &found["has_more"]), (20, &json!(true)));
    assert_eq!(names(&find(&rep, "有限公司").await).len(), 7);
    assert_eq!(listed(&rep, "/v1/accounts", "有限公司").await, 7);
    // One old record among many is found by the index.
    assert_eq!(names(&find(admin, "第3号").await), ["第3号有限公司"]);
    assert_eq!(names(&find(&rep, "第7号").await), ["第7号有限公司"]);
    assert_eq!(names(&find(&rep, "第8号").await).len(), 0);
}

#[tokio::test]
async fn records_that_were_never_entered_are_entered_by_and_by() {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "补录公司").await;
    let db = database().await;
    db.bookkeep(async |conn| {
        let forget = diesel::sql_query("DELETE FROM search_entries WHERE tenant_id = $1");
        forget.bind::<SqlUuid, _>(company.tenant).execute(conn).await?;
        let age = diesel::sql_query(
            "UPDATE accounts SET created_at = now() - interval '3 hours' WHERE tenant_id = $1",
        );
        age.bind::<SqlUuid, _>(company.tenant).execute(conn).await?;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(names(&find(admin, "补录").await).len(), 0);
    assert_eq!(breaches(&company).await.len(), 1);
    let mut position = Some((company.tenant, uuid::Uuid::nil()));
    while let Some(after) = position.filter(|(tenant, _)| *tenant == company.tenant) {
        position = catch_up::batch(&db, &SEARCH_ENTRIES, &ACCOUNT, after)
            .await
            .unwrap();
    }
    assert_eq!(names(&find(admin, "补录").await), ["补录公司"]);
    assert_eq!(breaches(&company).await, [""; 0]);
}

#[tokio::test]
async fn check_names_a_row_that_says_something_else() {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "检查公司").await;
    let db = database().await;
    db.bookkeep(async |conn| {
        let rename = diesel::sql_query("UPDATE accounts SET name = '别名' WHERE tenant_id = $1");
        rename.bind::<SqlUuid, _>(company.tenant).execute(conn).await?;
        Ok(())
    })
    .await
    .unwrap();
    let found = breaches(&company).await;
    assert!(
        found.len() == 1 && found[0].ends_with("search knows it by what it said before"),
        "{found:?}"
    );
}

#[tokio::test]
async fn people_of_one_name_are_told_apart_by_their_company_as_far_as_one_sees_it() {
    let company = company().await;
    let admin = &company.administrator;
    let rep = company.member("李", "sales_representative").await;
    let theirs = account(admin, "上海恒信").await;
    let own = json!({ "name": "张总", "account_id": theirs, "owner_id": rep.id });
    admin.post("/v1/contacts", own).await.expect(201);
    let lead = json!({ "name": "张总", "company": "北京远大", "owner_id": rep.id });
    admin.post("/v1/leads", lead).await.expect(201);
    let companies = |hits: Value| {
        let hits = hits["data"].as_array().unwrap().iter();
        let mut told = hits
            .map(|hit| (hit["kind"].as_str().unwrap().to_owned(), hit["company"].clone()))
            .collect::<Vec<_>>();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        told
    };
    let told = |contact: Value| {
        vec![
            ("contact".to_owned(), contact),
            ("lead".to_owned(), json!("北京远大")),
        ]
    };
    assert_eq!(companies(find(admin, "张总").await), told(json!("上海恒信")));
    assert_eq!(companies(find(&rep, "张总").await), told(json!(null)));
}

#[tokio::test]
async fn an_account_comes_before_people_of_its_name() {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "恒信科技").await;
    for name in ["恒信科技", "恒信科技采购部"] {
        admin.post("/v1/leads", json!({ "name": name })).await.expect(201);
    }
    for q in ["恒信科技", "恒信"] {
        assert_eq!(find(admin, q).await["data"][0]["kind"], "account", "{q}");
    }
}
