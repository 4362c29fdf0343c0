//! Filter trees that are kept: saved views and segments.

use crate::support::app::{Company, Person, account, company, id};
use serde_json::{Value, json};

async fn segment(person: &Person, more: Value) -> Value {
    let mut body = json!({ "name": "大客户", "resource": "account" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    person.post("/v1/segments", body).await.expect(201)
}

async fn members(person: &Person, segment: &Value) -> Vec<String> {
    let path = format!("/v1/segments/{}/members?with_total=true", id(segment));
    let page = person.get(&path).await.expect(200);
    let records = page["data"].as_array().unwrap();
    assert_eq!(page["total"], records.len());
    let mut names = records
        .iter()
        .map(|record| record["name"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>();
    names.sort();
    names
}

async fn team(company: &Company, people: &[&Person]) {
    let admin = &company.administrator;
    let team = id(&admin
        .post("/v1/teams", json!({ "name": "一组" }))
        .await
        .expect(201));
    for person in people {
        let path = format!("/v1/users/{}", person.id);
        admin.patch(&path, json!({ "team_id": team })).await.expect(200);
    }
}

#[tokio::test]
async fn membership_is_live_and_as_far_as_its_reader_sees() {
    let company = company().await;
    let admin = &company.administrator;
    let representative = company.member("李伟", "sales_representative").await;
    for (person, name, revenue) in [
        (admin, "甲", "900"),
        (&representative, "乙", "900"),
        (admin, "丙", "1"),
    ] {
        let body = json!({ "name": name, "annual_revenue": revenue });
        person.post("/v1/accounts", body).await.expect(201);
    }
    let large = segment(
        admin,
        json!({ "sharing": "all", "filter": { "member": "annual_revenue", "gte": "100" } }),
    )
    .await;
    assert_eq!(members(admin, &large).await, ["乙", "甲"]);
    assert_eq!(members(&representative, &large).await, ["乙"]);
    let body = json!({ "name": "丁", "annual_revenue": "5000" });
    representative.post("/v1/accounts", body).await.expect(201);
    assert_eq!(members(&representative, &large).await, ["丁", "乙"]);
    // Whoever may not read accounts learns nothing of them from a segment.
    let path = format!("/v1/segments/{}/members", id(&large));
    let integrator = company.member("旁人", "no-such-role").await;
    assert_eq!(integrator.get(&path).await.refused(403), "forbidden");
}

#[tokio::test]
async fn what_is_kept_is_shared_with_nobody_the_team_or_all() {
    let company = company().await;
    let owner = company.member("李伟", "sales_representative").await;
    let colleague = company.member("王芳", "sales_representative").await;
    let stranger = company.member("赵敏", "sales_representative").await;
    team(&company, &[&owner, &colleague]).await;
    let made = segment(&owner, json!({})).await;
    let path = format!("/v1/segments/{}", id(&made));
    let seen_by = async |person: &Person| person.get(&path).await.status;
    for (sharing, colleague_sees, stranger_sees) in
        [("nobody", 404, 404), ("team", 200, 404), ("all", 200, 200)]
    {
        owner
            .patch(&path, json!({ "sharing": sharing }))
            .await
            .expect(200);
        assert_eq!(seen_by(&colleague).await, colleague_sees, "{sharing}");
        assert_eq!(seen_by(&stranger).await, stranger_sees, "{sharing}");
    }
    // It is read by all, and changed by its owner, or by whose rights reach the owner.
    assert_eq!(
        colleague.patch(&path, json!({ "name": "x" })).await.refused(403),
        "forbidden"
    );
    let director = company.member("总监", "sales_director").await;
    director.patch(&path, json!({ "name": "y" })).await.expect(200);
    owner
        .patch(&path, json!({ "sharing": "nobody" }))
        .await
        .expect(200);
    assert_eq!(director.get(&path).await.refused(404), "not_found");
    assert_eq!(
        director.get(&format!("{path}/members")).await.refused(404),
        "not_found"
    );
}

#[tokio::test]
async fn a_tree_that_does_not_fit_is_not_kept() {
    let company = company().await;
    let admin = &company.administrator;
    let body = json!({
        "name": "x", "resource": "account", "sort": ["-nme", "name"], "columns": ["name", "nme", "custom.none"],
        "filter": { "or": [{ "member": "nme", "eq": "x" }, { "member": "grade", "eq": "z" }] }
    });
    let refused = admin.post("/v1/views", body).await;
    assert_eq!(refused.refused(422), "invalid");
    let expected = [
        ("/columns/1", "unknown_value"),
        ("/columns/2", "unknown_value"),
        ("/filter/or/0/member", "unknown_value"),
        ("/filter/or/1/eq", "unknown_value"),
        ("/sort/0", "unknown_value"),
    ];
    let expected = expected.map(|(at, code)| (at.to_owned(), code.to_owned()));
    assert_eq!(refused.faults(), expected);
    assert_eq!(admin.get("/v1/views").await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn a_view_shows_its_records_in_its_order() {
    let company = company().await;
    let admin = &company.administrator;
    for (name, employees) in [("甲", 5), ("乙", 50), ("丙", 500)] {
        let body = json!({ "name": name, "employees": employees });
        admin.post("/v1/accounts", body).await.expect(201);
    }
    let body = json!({
        "name": "人多的", "resource": "account", "sort": ["-employees"], "columns": ["name", "employees"],
        "filter": { "member": "employees", "gte": 50 }
    });
    let view = admin.post("/v1/views", body).await.expect(201);
    let names = async |query: &str| {
        let path = format!("/v1/views/{}/records{query}", id(&view));
        let page = admin.get(&path).await.expect(200);
        let records = page["data"].as_array().unwrap().iter();
        records
            .map(|record| record["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["丙", "乙"]);
    assert_eq!(names("?sort=employees").await, ["乙", "丙"]);
    let unknown = admin
        .get(&format!("/v1/views/{}/records?name=x", id(&view)))
        .await;
    assert_eq!(unknown.refused(400), "bad_parameter");
}

#[tokio::test]
async fn a_view_s_columns_may_show_something_of_what_its_records_name() {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "甲").await;
    let view = async |columns: Value| {
        let body = json!({ "name": "负责人", "resource": "account", "columns": columns });
        admin.post("/v1/views", body).await
    };
    let wrong = view(json!(["owner.name", "owner.nme", "ownr.name", "region.name"])).await;
    let expected = ["/columns/1", "/columns/2", "/columns/3"].map(str::to_owned);
    let pointers = wrong.faults().into_iter().map(|(pointer, _)| pointer);
    assert_eq!(pointers.collect::<Vec<_>>(), expected);
    let kept = view(json!(["name", "owner.name"])).await.expect(201);
    let path = format!("/v1/views/{}/records", id(&kept));
    let page = admin.get(&path).await.expect(200);
    assert_eq!(page["data"][0]["owner"]["id"], json!(admin.id));
    assert!(page["data"][0]["owner"]["name"].is_string());
}

#[tokio::test]
async fn an_archived_field_is_reported_and_the_segment_still_runs() {
    let company = company().await;
    let admin = &company.administrator;
    let body = json!({ "resource": "account", "key": "tier", "label": "级别", "kind": "text", "is_filterable": true });
    let field = id(&admin.post("/v1/field-definitions", body).await.expect(201));
    let gold = json!({ "name": "甲", "custom": { "tier": "gold" } });
    admin.post("/v1/accounts", gold).await.expect(201);
    let made = segment(
        admin,
        json!({ "filter": { "member": "custom.tier", "eq": "gold" } }),
    )
    .await;
    assert_eq!(made["custom_fields"], json!(["account.tier"]));
    assert_eq!(made["archived_fields"], json!([]));
    admin
        .delete(&format!("/v1/field-definitions/{field}"))
        .await
        .expect(200);
    let path = format!("/v1/segments/{}", id(&made));
    assert_eq!(
        admin.get(&path).await.expect(200)["archived_fields"],
        json!(["account.tier"])
    );
    assert_eq!(members(admin, &made).await, ["甲"]);
    admin
        .patch(&path, json!({ "name": "仍可改名" }))
        .await
        .expect(200);
    let again = json!({ "filter": { "member": "custom.tier", "eq": "silver" } });
    let refused = admin.patch(&path, again).await;
    assert_eq!(
        refused.faults(),
        [("/filter/member".to_owned(), "archived".to_owned())]
    );
}

#[tokio::test]
async fn nothing_that_another_company_kept_can_be_seen_or_run() {
    let (one, other) = (company().await, company().await);
    let theirs = segment(&other.administrator, json!({ "sharing": "all" })).await;
    let path = format!("/v1/segments/{}", id(&theirs));
    assert_eq!(one.administrator.get(&path).await.refused(404), "not_found");
    assert_eq!(
        one.administrator
            .get(&format!("{path}/members"))
            .await
            .refused(404),
        "not_found"
    );
}

#[tokio::test]
async fn a_segment_over_what_one_may_not_read_is_refused_to_its_reader() {
    let company = company().await;
    let admin = &company.administrator;
    let reader = company.member("看客", "read_only").await;
    let body = json!({ "resource": "contact", "sharing": "all", "filter": { "member": "personal_phone", "is_empty": false } });
    let made = segment(admin, body).await;
    let path = format!("/v1/segments/{}/members", id(&made));
    admin.get(&path).await.expect(200);
    assert_eq!(reader.get(&path).await.refused(403), "forbidden");
}
