//! Room 3 and 5: a lead becomes an account, a contact and an opportunity, all or nothing.

use crate::support::app::{CREATED, Person, account, company, id};
use crate::support::make_deals::plain;
use crate::support::make_pipelines::published;
use futures::future::join_all;
use serde_json::{Value, json};

async fn lead(person: &Person) -> String {
    let body = json!({ "name": "王芳", "company": "制造有限公司", "phone": "13800138000", "email": "wang@example.com", "budget_amount": "80000.00", "need": "统一客户管理" });
    id(&person.post("/v1/leads", body).await.expect(CREATED))
}

async fn one(person: &Person, path: &str, body: &Value, member: &str) -> Value {
    let id = body[member].as_str().unwrap();
    person.get(&format!("/v1/{path}/{id}")).await.expect(200)
}

#[actix_web::test]
async fn what_the_lead_says_goes_into_account_contact_and_opportunity() {
    let company = company().await;
    let admin = &company.administrator;
    published(admin, plain()).await;
    let lead = lead(admin).await;
    let here = format!("/v1/leads/{lead}/convert");
    let body = json!({ "account": { "name": "制造集团" }, "opportunity": { "name": "客户管理系统" } });
    let done = admin.post(&here, body.clone()).await.expect(200);
    let account = one(admin, "accounts", &done, "account_id").await;
    let contact = one(admin, "contacts", &done, "contact_id").await;
    let deal = one(admin, "opportunities", &done, "opportunity_id").await;
    assert_eq!(account["name"], "制造集团");
    assert_eq!(
        (&contact["name"], &contact["account_id"]),
        (&json!("王芳"), &account["id"])
    );
    assert_eq!(
        (&deal["name"], &deal["amount"]),
        (&json!("客户管理系统"), &json!("80000.00"))
    );
    assert_eq!(deal["account_id"], account["id"]);
    let after = admin.get(&format!("/v1/leads/{lead}")).await.expect(200);
    assert_eq!(
        (&after["status"], &after["converted_opportunity_id"]),
        (&json!("converted"), &deal["id"])
    );
    assert_eq!(
        admin.post(&here, body).await.expect(200),
        done,
        "a second call answers the first result"
    );
}

#[actix_web::test]
async fn parallel_calls_convert_once() {
    let company = company().await;
    let admin = &company.administrator;
    published(admin, plain()).await;
    let here = format!("/v1/leads/{}/convert", lead(admin).await);
    let answers = join_all((0..8).map(|_| admin.post(&here, json!({ "opportunity": {} })))).await;
    let first = answers[0].body.clone();
    for answer in answers {
        assert_eq!(answer.expect(200), first);
    }
    let deals = admin.get("/v1/opportunities?with_total=true").await.expect(200);
    assert_eq!(deals["total"], 1);
}

#[actix_web::test]
async fn a_fault_in_any_part_makes_nothing() {
    let company = company().await;
    let admin = &company.administrator;
    let lead = lead(admin).await;
    let here = format!("/v1/leads/{lead}/convert");
    let refused = admin.post(&here, json!({ "opportunity": {} })).await;
    assert_eq!(
        refused.faults(),
        [("/opportunity/pipeline_id".to_owned(), "required".to_owned())]
    );
    assert_eq!(
        admin.get("/v1/accounts?with_total=true").await.expect(200)["total"],
        0
    );
    let misspelt = admin
        .post(&here, json!({ "account": { "nmae": "x" }, "opportunity": {} }))
        .await;
    assert!(
        misspelt
            .faults()
            .contains(&("/account/nmae".to_owned(), "unknown_field".to_owned()))
    );
}

#[actix_web::test]
async fn an_account_that_is_there_is_linked_if_one_may_see_it() {
    let (ours, theirs) = (company().await, company().await);
    let admin = &ours.administrator;
    published(admin, plain()).await;
    let here = format!("/v1/leads/{}/convert", lead(admin).await);
    let foreign = account(&theirs.administrator, "别家").await;
    let refused = admin
        .post(&here, json!({ "account_id": foreign, "opportunity": {} }))
        .await;
    assert_eq!(
        refused.faults(),
        [("/account_id".to_owned(), "not_found".to_owned())]
    );
    let own = account(admin, "老客户").await;
    let both = json!({ "account_id": own, "account": { "name": "新" }, "opportunity": {} });
    assert_eq!(admin.post(&here, both).await.faults()[0].0, "/account");
    let done = admin
        .post(&here, json!({ "account_id": own, "opportunity": {} }))
        .await
        .expect(200);
    assert_eq!(done["account_id"], json!(own));
}
