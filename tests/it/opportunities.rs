//! Room 5: deals and their parts as records.

use crate::support::app::{CREATED, account, company, id};
use crate::support::make_deals::{advance, deal, deal_in, moves, path, plain, read};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};

#[actix_web::test]
async fn a_new_deal_enters_the_first_stage_of_the_version_now_published() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    assert_eq!(deal["status"], "open");
    assert_eq!(deal["cycle"], 1);
    assert_eq!(deal["currency"], "CNY");
    assert_eq!(deal["probability_default"], "0.1000");
    assert_eq!(deal["probability"], "0.1000");
    let transitions = admin.get(&path(&deal, "transitions")).await.expect(200);
    let entered = &transitions["data"][0];
    assert_eq!(
        (&entered["kind"], &entered["ordinal"]),
        (&json!("enter"), &json!(1))
    );
    assert_eq!(entered["id"], deal["visit_id"]);
    assert_eq!(entered["to_stage_id"], deal["stage_id"]);
    let cycles = admin.get(&path(&deal, "cycles")).await.expect(200);
    assert_eq!(cycles["data"][0]["number"], 1);
}

#[actix_web::test]
async fn a_pipeline_that_is_not_published_takes_no_deals() {
    let company = company().await;
    let admin = &company.administrator;
    let account_id = account(admin, "示例科技").await;
    let draft = admin
        .post("/v1/pipelines", json!({ "document": plain() }))
        .await
        .expect(CREATED);
    let body = json!({ "name": "采购", "account_id": account_id, "pipeline_id": id(&draft) });
    let refused = admin.post("/v1/opportunities", body).await;
    assert_eq!(refused.refused(422), "invalid");
    assert_eq!(refused.faults()[0].0, "/pipeline_id");
}

#[actix_web::test]
async fn a_probability_by_hand_needs_a_reason_and_the_permission() {
    let company = company().await;
    let seller = company.member("李", "sales_representative").await;
    let pipeline = published(&company.administrator, plain()).await;
    let made = deal(&seller, &pipeline, Some("100000.00")).await;
    let here = format!("/v1/opportunities/{}", id(&made));
    let by_hand = json!({ "probability_by_hand": "0.5000", "probability_reason": "客户已口头同意" });
    assert_eq!(
        seller.patch(&here, by_hand.clone()).await.refused(403),
        "forbidden"
    );
    let admin = &company.administrator;
    let without = admin
        .patch(&here, json!({ "probability_by_hand": "0.5000" }))
        .await;
    assert_eq!(
        without.faults(),
        [("/probability_reason".to_owned(), "required".to_owned())]
    );
    let reason_alone = admin.patch(&here, json!({ "probability_reason": "熟客" })).await;
    assert_eq!(
        reason_alone.faults(),
        [("/probability_by_hand".to_owned(), "required".to_owned())]
    );
    let set = admin.patch(&here, by_hand).await.expect(200);
    assert_eq!(
        (&set["probability"], &set["probability_default"]),
        (&json!("0.5000"), &json!("0.1000"))
    );
    let moved = advance(&seller, &set).await.expect(200);
    assert_eq!(
        moved["probability_by_hand"], "0.5000",
        "a stage change never overwrites it silently"
    );
    assert_eq!(moved["probability_default"], "0.6000");
}

#[actix_web::test]
async fn of_a_closed_deal_only_the_tags_change() {
    let company = company().await;
    let admin = &company.administrator;
    let made = deal_in(&company, admin, plain()).await;
    let reason = admin
        .post(
            "/v1/loss-reasons",
            json!({ "key": "no_fit_here", "name": "需求不符" }),
        )
        .await
        .expect(CREATED);
    let lose = json!({ "loss_reason_id": id(&reason), "reason": "需求不符" });
    admin.post(&path(&made, "lose"), lose).await.expect(200);
    let here = format!("/v1/opportunities/{}", id(&made));
    assert_eq!(
        admin.patch(&here, json!({ "amount": "1.00" })).await.refused(409),
        "already_closed"
    );
    assert_eq!(
        admin.patch(&here, json!({ "tags": ["回访"] })).await.expect(200)["tags"],
        json!(["回访"])
    );
    let line = json!({ "name": "版", "quantity": "1", "unit_price": "1" });
    assert_eq!(
        admin.post(&path(&made, "lines"), line).await.refused(409),
        "already_closed"
    );
}

#[actix_web::test]
async fn the_influences_of_a_decision_chain_add_to_at_most_one() {
    let company = company().await;
    let admin = &company.administrator;
    let made = deal_in(&company, admin, plain()).await;
    let member = |title: &str, role: &str, influence: &str| json!({ "title": title, "role": role, "influence": influence });
    let here = path(&made, "decision-chain-members");
    admin
        .post(&here, member("总经理", "decision_maker", "0.6"))
        .await
        .expect(CREATED);
    let second = admin
        .post(&here, member("部门经理", "user", "0.3"))
        .await
        .expect(CREATED);
    let too_much = admin.post(&here, member("采购", "procurement", "0.2")).await;
    assert_eq!(
        too_much.faults(),
        [("/influence".to_owned(), "out_of_range".to_owned())]
    );
    admin
        .post(&here, member("采购", "procurement", "0.1"))
        .await
        .expect(CREATED);
    let one = format!("{here}/{}", id(&second));
    let raised = admin.patch(&one, json!({ "influence": "0.3001" })).await;
    assert_eq!(raised.refused(422), "invalid");
    let nobody = admin.patch(&one, json!({ "title": null })).await;
    assert_eq!(nobody.faults(), [("/title".to_owned(), "required".to_owned())]);
}

#[actix_web::test]
async fn influences_written_at_once_never_exceed_one() {
    let company = company().await;
    let admin = &company.administrator;
    let made = deal_in(&company, admin, plain()).await;
    let here = path(&made, "decision-chain-members");
    let body = json!({ "title": "经理", "role": "user", "influence": "0.3" });
    let answers = futures::future::join_all((0..8).map(|_| admin.post(&here, body.clone()))).await;
    let made = answers.iter().filter(|answer| answer.status == CREATED).count();
    assert_eq!(made, 3);
}

#[actix_web::test]
async fn parts_keep_their_own_rules() {
    let company = company().await;
    let admin = &company.administrator;
    let made = deal_in(&company, admin, plain()).await;
    let line = json!({ "name": "标准版", "quantity": "3", "unit_price": "33.335", "discount": "0.1" });
    let line = admin.post(&path(&made, "lines"), line).await.expect(CREATED);
    assert_eq!(line["amount"], "90.00");
    let item = json!({ "module": "数据导出", "is_done": false, "done_on": "2024-03-05" });
    let undone = admin.post(&path(&made, "solution-checklist-items"), item).await;
    assert_eq!(undone.faults()[0].0, "/done_on");
    let request = json!({ "requested_on": "2024-03-11", "content": "改界面", "state": "refused" });
    let unexplained = admin.post(&path(&made, "change-requests"), request).await;
    assert_eq!(
        unexplained.faults(),
        [("/explanation".to_owned(), "required".to_owned())]
    );
}

#[tokio::test]
async fn a_deal_is_read_with_all_its_parts_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    for n in 1..=51 {
        let line = json!({ "name": format!("模块{n}"), "quantity": "1", "unit_price": "100" });
        admin.post(&path(&deal, "lines"), line).await.expect(201);
    }
    let plan = json!({ "floor_discount": "0.1000" });
    admin
        .post(&path(&deal, "negotiation-plans"), plan)
        .await
        .expect(201);
    let whole = format!(
        "/v1/opportunities/{}?expand=owner,lines,negotiation_plans,objections",
        id(&deal)
    );
    let whole = admin.get(&whole).await.expect(200);
    assert_eq!(whole["owner"]["id"], json!(admin.id));
    assert_eq!(whole["objections"], json!({ "data": [], "next_cursor": null }));
    assert_eq!(whole["negotiation_plans"]["data"][0]["floor_discount"], "0.1000");
    // What does not fit goes on in the list, by the cursor.
    let lines = &whole["lines"];
    assert_eq!(lines["data"].as_array().unwrap().len(), 50);
    assert_eq!(lines["data"][0]["name"], "模块1");
    let rest = format!("lines?cursor={}", lines["next_cursor"].as_str().unwrap());
    let rest = admin.get(&path(&deal, &rest)).await.expect(200);
    assert_eq!(rest["data"].as_array().unwrap().len(), 1);
    assert_eq!(rest["data"][0]["name"], "模块51");

    // What is sensitive stays so, and lists of deals embed no parts.
    let reader = company.member("读", "read_only").await;
    let plans = format!("/v1/opportunities/{}?expand=negotiation_plans", id(&deal));
    let plan = &reader.get(&plans).await.expect(200)["negotiation_plans"]["data"][0];
    assert!(plan.get("floor_discount").is_none_or(Value::is_null), "{plan}");
    let listed = admin.get("/v1/opportunities?expand=lines").await;
    assert_eq!(listed.refused(400), "bad_parameter");
}

#[actix_web::test]
async fn assigning_changes_the_owner_and_nothing_else() {
    let company = company().await;
    let admin = &company.administrator;
    let (li, wang) = (
        company.member("李", "sales_representative").await,
        company.member("王", "sales_representative").await,
    );
    let pipeline = published(admin, plain()).await;
    let before = deal(&li, &pipeline, Some("10.00")).await;
    let to_wang = json!({ "owner_id": wang.id });
    assert_eq!(
        li.post(&path(&before, "assign"), to_wang.clone())
            .await
            .refused(403),
        "forbidden"
    );
    let after = admin.post(&path(&before, "assign"), to_wang).await.expect(200);
    assert_eq!(after["owner_id"], json!(wang.id));
    for member in ["stage_id", "visit_id", "account_id", "stage_entered_at"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(moves(&wang, &before).await, ["enter"]);
    assert_eq!(read(&wang, &before).await["id"], before["id"]);
    assert_eq!(
        li.get(&format!("/v1/opportunities/{}", id(&before)))
            .await
            .refused(404),
        "not_found"
    );
}

#[actix_web::test]
async fn another_company_sees_and_moves_nothing() {
    let (ours, theirs) = (company().await, company().await);
    let made = deal_in(&ours, &ours.administrator, plain()).await;
    let stranger = &theirs.administrator;
    for verb in ["gate", "transitions", "cycles"] {
        assert_eq!(stranger.get(&path(&made, verb)).await.refused(404), "not_found");
    }
    assert_eq!(advance(stranger, &made).await.refused(404), "not_found");
    let tick = json!({ "answer": true });
    assert_eq!(
        stranger
            .put(&path(&made, "criteria/intent"), tick)
            .await
            .refused(404),
        "not_found"
    );
    let account_id = account(stranger, "别家").await;
    let body = json!({ "name": "采购", "account_id": account_id, "pipeline_id": made["pipeline_id"] });
    assert_eq!(
        stranger.post("/v1/opportunities", body).await.faults()[0].0,
        "/pipeline_id"
    );
}
