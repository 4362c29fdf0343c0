//! Room 3: somebody who is known inquires again. Nothing of it is lost, and it reaches whoever has their lead.

use crate::support::app::{Person, company, id};
use crate::support::make_crm::source;
use futures::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

async fn lead(person: &Person, lead: &Value) -> Value {
    let path = format!("/v1/leads/{}", lead.as_str().unwrap());
    person.get(&path).await.expect(200)
}

/// The events of a lead that are of that kind, the newest first.
async fn told(person: &Person, lead: &Value, kind: &str) -> Vec<Value> {
    let path = format!("/v1/leads/{}/timeline?limit=200", lead.as_str().unwrap());
    let page = person.get(&path).await.expect(200);
    let events = page["data"].as_array().unwrap().iter();
    events.filter(|event| event["kind"] == kind).cloned().collect()
}

#[tokio::test]
async fn a_second_inquiry_fills_what_is_empty_and_is_told_to_the_owner() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let website = source(admin, json!({ "default_owner_id": li.id })).await;
    let first = json!({ "name": "王芳", "phone": "139 0013 9000", "region": "华东" });
    let made = website.deliver("d1", &first).await.expect(201);
    let before = lead(&li, &made["lead_id"]).await;
    let second = json!({
        "name": "王女士", "phone": "+86 13900139000", "region": "华东", "need": "现在要买二百套", "company": "制造有限公司"
    });
    let answer = website.deliver("d2", &second).await.expect(200);
    assert_eq!(
        (&answer["lead_id"], &answer["warnings"][0]["code"]),
        (&made["lead_id"], &json!("attached"))
    );
    let after = lead(&li, &made["lead_id"]).await;
    assert_eq!(
        (&after["name"], &after["need"], &after["company"]),
        (&json!("王芳"), &json!("现在要买二百套"), &json!("制造有限公司"))
    );
    assert!(after["version"].as_i64() > before["version"].as_i64(), "{after}");
    let last = json!({
        "intake_id": answer["intake_id"], "source_id": website.id,
        "said": { "name": "王女士", "need": "现在要买二百套", "company": "制造有限公司" },
    });
    assert_eq!(after["last_inquiry"], last);
    // Who inquired again is a list; nobody else stands in it.
    li.post("/v1/leads", json!({ "name": "赵" })).await.expect(201);
    let again = "/v1/leads?last_inquired_at_after=2020-01-01T00:00:00Z";
    let again = li.get(again).await.expect(200);
    assert_eq!(again["data"].as_array().unwrap().len(), 1);
    assert_eq!(again["data"][0]["id"], made["lead_id"]);
    assert_eq!(
        (&before["last_inquired_at"], &before["last_inquiry"]),
        (&Value::Null, &Value::Null)
    );
    let touches = told(&li, &made["lead_id"], "lead.touched").await;
    assert_eq!(touches.len(), 1);
    let data = &touches[0]["data"];
    assert_eq!(
        data["said"],
        json!({ "name": "王女士", "need": "现在要买二百套", "company": "制造有限公司" })
    );
    assert_eq!(data["notify"], json!({ "to": [li.id], "cc": [] }));
    assert_eq!(data["changes"]["need"]["after"], "现在要买二百套");
    assert_eq!(data["intake_id"], answer["intake_id"]);
    let found = li.get("/v1/search?q=%E4%BA%8C%E7%99%BE").await.expect(200); // 二百
    assert_eq!(found["data"][0]["id"], made["lead_id"]);
    // What stands is not overwritten; it is said, and the owner told, all the same.
    let third = json!({ "name": "王芳", "phone": "13900139000", "need": "三百套" });
    website.deliver("d3", &third).await.expect(200);
    assert_eq!(lead(&li, &made["lead_id"]).await["need"], json!("现在要买二百套"));
    let touches = told(&li, &made["lead_id"], "lead.touched").await;
    assert_eq!(
        (touches.len(), &touches[0]["data"]["said"]),
        (2, &json!({ "need": "三百套" }))
    );
}

#[rstest]
#[case("nurture", json!({ "until": "2040-06-01" }), "nurturing", "lead.return_due", "a nurtured lead")]
#[case("disqualify", json!({ "reason": "没有预算" }), "disqualified", "lead.touched", "a disqualified lead")]
#[tokio::test]
async fn a_lead_that_was_set_aside_is_told_of_truly(
    #[case] verb: &str,
    #[case] body: Value,
    #[case] status: &str,
    #[case] kind: &str,
    #[case] words: &str,
) {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let website = source(admin, json!({ "default_owner_id": li.id })).await;
    let first = json!({ "name": "王芳", "phone": "13900139000" });
    let made = website.deliver("d1", &first).await.expect(201);
    let path = format!("/v1/leads/{}/{verb}", made["lead_id"].as_str().unwrap());
    li.post(&path, body).await.expect(200);
    let second = json!({ "name": "王芳", "phone": "13900139000", "need": "预算批下来了" });
    let answer = website.deliver("d2", &second).await.expect(200);
    let message = answer["warnings"][0]["message"].as_str().unwrap();
    assert!(message.starts_with(words), "{message}");
    let after = lead(&li, &made["lead_id"]).await;
    assert_eq!(
        (&after["status"], &after["need"]),
        (&json!(status), &json!("预算批下来了"))
    );
    let events = told(&li, &made["lead_id"], kind).await;
    assert_eq!(events.len(), 1);
    let data = &events[0]["data"];
    assert_eq!(data["notify"]["to"], json!([li.id]));
    assert_eq!(data["said"], json!({ "need": "预算批下来了" }));
}

#[tokio::test]
async fn of_inquiries_at_once_each_is_told_and_the_first_fills() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let first = json!({ "name": "王芳", "phone": "13900139000" });
    let made = website.deliver("d0", &first).await.expect(201);
    let bodies = (1..=8).map(|n| {
        json!({ "name": "王芳", "phone": "13900139000", "need": format!("第{n}次"), "email": format!("w{}@x.example", n % 3) })
    });
    let bodies = bodies.collect::<Vec<_>>();
    let ids = (1..=8).map(|n| format!("d{n}")).collect::<Vec<_>>();
    let pairs = ids.iter().zip(&bodies);
    let answers = join_all(pairs.map(|(id, body)| website.deliver(id, body))).await;
    for answer in &answers {
        assert_eq!(
            (answer.status, &answer.body["lead_id"]),
            (200, &made["lead_id"]),
            "{}",
            answer.body
        );
    }
    let after = lead(admin, &made["lead_id"]).await;
    let touches = told(admin, &made["lead_id"], "lead.touched").await;
    assert_eq!(touches.len(), 8);
    let filled = touches
        .iter()
        .filter(|touch| touch["data"]["changes"]["need"]["after"] == after["need"]);
    assert_eq!(filled.count(), 1);
}

#[tokio::test]
async fn what_does_not_go_with_the_lead_is_said_and_the_rest_taken_over() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let there = json!({ "name": "王芳", "phone": "13900139000", "decision_until": "2034-01-31" });
    let there = id(&admin.post("/v1/leads", there).await.expect(201));
    let other = json!({ "name": "李强", "email": "li@x.example" });
    admin.post("/v1/leads", other).await.expect(201);
    let second = json!({
        "name": "王芳", "phone": "13900139000", "decision_from": "2035-01-01", "need": "二百套", "email": "li@x.example"
    });
    let answer = website.deliver("d1", &second).await.expect(200);
    assert_eq!(answer["lead_id"], json!(there));
    let after = lead(admin, &answer["lead_id"]).await;
    assert_eq!(
        (&after["need"], &after["decision_from"], &after["email"]),
        (&json!("二百套"), &json!(null), &json!("li@x.example"))
    );
    let said = told(admin, &answer["lead_id"], "lead.touched").await[0]["data"]["said"].clone();
    assert_eq!(said["decision_from"], "2035-01-01");
}
