//! Approvals of deals and their result sheets: what they are bound to, who may decide, and where they lead.

use crate::support::app::{CREATED, Company, Person, company, id};
use crate::support::make_approvals::waiting;
use crate::support::make_deals::{advance, approved, criterion, deal, gate, moves, path, process, read};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};

struct Cast {
    company: Company,
    seller: Person,
    boss: Person,
}

/// A seller, and the one who approves deals by the process `boss_approval`.
async fn cast() -> Cast {
    let company = company().await;
    let (seller, boss) = (
        company.member("李", "sales_representative").await,
        company.member("总", "general_manager").await,
    );
    process(&company.administrator, "boss_approval", &boss).await;
    Cast {
        company,
        seller,
        boss,
    }
}

/// A first stage behind two approvals that leads to two others, asks by itself, and moves on by itself.
fn forked() -> Value {
    let approval =
        |key: &str| json!({ "kind": "approval", "key": key, "label": "批准", "process": "boss_approval" });
    json!({
        "key": "forked", "name": "分支", "stages": [
            { "key": "need", "name": "需求", "probability": "0.1", "asks_approval_by_itself": true, "advances_when_approved": true,
              "next": ["develop", "propose"], "gate": approval("boss") },
            { "key": "develop", "name": "方案", "probability": "0.3" },
            { "key": "propose", "name": "报价", "probability": "0.6" }
        ]
    })
}

async fn stage(seller: &Person, deal: &Value, key: &str) -> Value {
    let targets = gate(seller, deal).await["targets"].clone();
    let found = targets.as_array().unwrap().iter().find(|to| to["key"] == key);
    found.unwrap()["stage_id"].clone()
}

#[actix_web::test]
async fn an_approved_deal_moves_on_to_the_stage_that_the_advance_named() {
    let cast = cast().await;
    let pipeline = published(&cast.company.administrator, forked()).await;
    for wished in ["propose", "develop"] {
        let deal = deal(&cast.seller, &pipeline, Some("1.00")).await;
        let to = stage(&cast.seller, &deal, wished).await;
        let body = json!({ "from_stage_id": deal["stage_id"], "to_stage_id": to });
        let asked = cast.seller.post(&path(&deal, "advance"), body).await;
        let request = asked.header("location").to_owned();
        asked.expect(202);
        assert_eq!(cast.boss.get(&request).await.expect(200)["advances_to_id"], to);
        cast.boss
            .post(&format!("{request}/approve"), json!({}))
            .await
            .expect(200);
        assert_eq!(read(&cast.seller, &deal).await["stage_id"], to);
        assert_eq!(moves(&cast.seller, &deal).await, ["enter", "advance"]);
    }
}

#[actix_web::test]
async fn an_approval_asked_for_by_hand_may_name_the_stage_too_and_else_moves_nothing() {
    let cast = cast().await;
    let pipeline = published(&cast.company.administrator, forked()).await;
    let ask = async |deal: &Value, body: Value| {
        let asked = cast.seller.post(&path(deal, "approvals"), body).await;
        let request = asked.header("location").to_owned();
        asked.expect(CREATED);
        cast.boss
            .post(&format!("{request}/approve"), json!({}))
            .await
            .expect(200);
        read(&cast.seller, deal).await["stage_id"].clone()
    };
    let first = deal(&cast.seller, &pipeline, Some("1.00")).await;
    let to = stage(&cast.seller, &first, "propose").await;
    let elsewhere = json!({ "criterion": "boss", "to_stage_id": first["stage_id"] });
    let refused = cast.seller.post(&path(&first, "approvals"), elsewhere).await;
    assert_eq!(
        refused.faults(),
        [("/to_stage_id".to_owned(), "unknown_value".to_owned())]
    );
    let named = json!({ "criterion": "boss", "to_stage_id": to });
    assert_eq!(ask(&first, named).await, to);
    let second = deal(&cast.seller, &pipeline, Some("1.00")).await;
    assert_eq!(
        ask(&second, json!({ "criterion": "boss" })).await,
        second["stage_id"]
    );
    let third = deal(&cast.seller, &pipeline, Some("1.00")).await;
    let tree = gate(&cast.seller, &third).await["gate"]["tree"].clone();
    let advised = criterion(&tree, "boss").unwrap()["call"]["body"].clone();
    assert_eq!(
        ask(&third, advised.clone()).await,
        advised["to_stage_id"],
        "the gate names one"
    );
}

/// The process of a deal's approval that is bound to these members alone.
async fn bound_to(cast: &Cast, members: &[&str]) {
    let document = json!({
        "key": "named", "name": "审批", "subject_kind": "opportunity", "content": members,
        "steps": [{ "key": "boss", "name": "总经理", "position": 1, "mode": "any",
            "approvers": [{ "kind": "users", "user_ids": [cast.boss.id] }] }]
    });
    let admin = &cast.company.administrator;
    let made = admin
        .post("/v1/approval-processes", json!({ "document": document }))
        .await;
    let path = format!(
        "/v1/approval-processes/{}/versions/1/publish",
        id(&made.expect(CREATED))
    );
    admin.post(&path, json!({})).await.expect(200);
}

#[actix_web::test]
async fn a_change_of_a_member_that_the_process_names_lapses_it_in_the_same_instant_and_no_other_does() {
    let cast = cast().await;
    bound_to(&cast, &["name", "amount"]).await;
    let pipeline = published(&cast.company.administrator, approved("named")).await;
    for is_granted in [false, true] {
        let deal = deal(&cast.seller, &pipeline, Some("220000.00")).await;
        let asked = cast
            .seller
            .post(&path(&deal, "approvals"), json!({ "criterion": "boss" }))
            .await;
        let request = asked.header("location").to_owned();
        asked.expect(CREATED);
        if is_granted {
            let approve = format!("{request}/approve");
            cast.boss.post(&approve, json!({})).await.expect(200);
        }
        let state = async || cast.boss.get(&request).await.expect(200)["state"].clone();
        let before = state().await;
        let here = format!("/v1/opportunities/{}", id(&deal));
        let line = json!({ "name": "标准版", "quantity": "1", "unit_price": "1" });
        cast.seller
            .post(&path(&deal, "lines"), line)
            .await
            .expect(CREATED);
        for harmless in [
            json!({ "next_step": "签约" }),
            json!({ "expected_close_on": "2030-01-01" }),
            json!({ "amount": "220000" }),
        ] {
            cast.seller.patch(&here, harmless).await.expect(200);
            assert_eq!(state().await, before);
        }
        cast.seller
            .patch(&here, json!({ "name": "采购二期" }))
            .await
            .expect(200);
        assert_eq!(state().await, "lapsed");
        let explained = gate(&cast.seller, &deal).await;
        assert_eq!(
            criterion(&explained["gate"]["tree"], "boss").unwrap()["state"],
            "unmet"
        );
    }
}

#[actix_web::test]
async fn who_comes_to_own_a_deal_no_longer_approves_it_and_others_are_asked() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let pipeline = published(admin, approved("boss_approval")).await;
    let deal = deal(&cast.seller, &pipeline, Some("1.00")).await;
    let asked = cast
        .seller
        .post(&path(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    let request = asked.header("location").to_owned();
    asked.expect(CREATED);
    let assign = json!({ "owner_id": cast.boss.id });
    admin.post(&path(&deal, "assign"), assign).await.expect(200);
    let refused = cast.boss.post(&format!("{request}/approve"), json!({})).await;
    assert_eq!(refused.refused(403), "not_your_decision");
    let away = json!({ "to_user_id": cast.company.member("友", "legal").await.id });
    let refused = cast.boss.post(&format!("{request}/delegate"), away).await;
    assert_eq!(refused.refused(403), "not_your_decision");
    for _ in 0..50 {
        if waiting(&admin.get(&request).await.expect(200)) == [admin.id] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let now = admin.get(&request).await.expect(200);
    assert_eq!(waiting(&now), [admin.id]);
    assert_eq!(now["owner"]["id"], json!(cast.boss.id));
    let granted = admin.post(&format!("{request}/approve"), json!({})).await;
    assert_eq!(granted.expect(200)["state"], "approved");
}

#[actix_web::test]
async fn what_was_approved_of_a_deal_of_just_this_owner_lapses_when_it_is_handed_over() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    bound_to(&cast, &["owner_id"]).await;
    let pipeline = published(admin, approved("named")).await;
    let deal = deal(&cast.seller, &pipeline, Some("1.00")).await;
    let ask = async |person: &Person| {
        let body = json!({ "criterion": "boss" });
        let asked = person.post(&path(&deal, "approvals"), body).await;
        let request = asked.header("location").to_owned();
        asked.expect(CREATED);
        cast.boss
            .post(&format!("{request}/approve"), json!({}))
            .await
            .expect(200);
        request
    };
    let first = ask(&cast.seller).await;
    let successor = cast.company.member("王", "sales_representative").await;
    let hand_over = format!("/v1/users/{}/hand-over", cast.seller.id);
    let to = json!({ "to_user_id": successor.id });
    admin.post(&hand_over, to).await.expect(200);
    assert_eq!(admin.get(&first).await.expect(200)["state"], "lapsed");
    let second = ask(&successor).await;
    assert_eq!(admin.get(&second).await.expect(200)["state"], "approved");
}

#[actix_web::test]
async fn open_deals_are_handed_over_where_they_are_and_keep_all_that_hangs_on_them() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let pipeline = published(admin, approved("boss_approval")).await;
    let open = deal(&cast.seller, &pipeline, Some("1.00")).await;
    cast.seller
        .put(&path(&open, "criteria/agreed"), json!({ "answer": true }))
        .await
        .expect(200);
    let line = json!({ "name": "标准版", "quantity": "2", "unit_price": "3" });
    let line = id(&cast
        .seller
        .post(&path(&open, "lines"), line)
        .await
        .expect(CREATED));
    let asked = cast
        .seller
        .post(&path(&open, "approvals"), json!({ "criterion": "boss" }))
        .await;
    let request = asked.header("location").to_owned();
    asked.expect(CREATED);
    let lost = deal(&cast.seller, &pipeline, Some("1.00")).await;
    admin
        .post("/v1/loss-reasons", json!({ "key": "gone", "name": "客户取消" }))
        .await
        .expect(CREATED);
    let lose = json!({ "loss_reason_key": "gone", "reason": "取消" });
    cast.seller.post(&path(&lost, "lose"), lose).await.expect(200);

    let successor = cast.company.member("王", "sales_representative").await;
    let hand_over = format!("/v1/users/{}/hand-over", cast.seller.id);
    let done = admin
        .post(&hand_over, json!({ "to_user_id": successor.id }))
        .await
        .expect(200);
    assert_eq!(done["counts"], json!({ "accounts": 2, "opportunities": 1 }));
    let now = read(&successor, &open).await;
    assert_eq!(now["owner_id"], json!(successor.id));
    for kept in [
        "stage_id",
        "visit_id",
        "stage_entered_at",
        "status",
        "account_id",
        "cycle",
    ] {
        assert_eq!(now[kept], open[kept], "{kept}");
    }
    assert_eq!(moves(&successor, &open).await, ["enter"]);
    let line = format!("{}/{line}", path(&open, "lines"));
    successor.get(&line).await.expect(200);
    let tree = gate(&successor, &open).await["gate"]["tree"].clone();
    assert_eq!(criterion(&tree, "agreed").unwrap()["state"], "met");
    let pending = admin.get(&request).await.expect(200);
    assert_eq!(
        (&pending["state"], waiting(&pending)),
        (&json!("pending"), vec![cast.boss.id])
    );
    assert_eq!(read(admin, &lost).await["owner_id"], json!(cast.seller.id));
    cast.seller.get("/v1/me").await.expect(200);
}

/// The process by which result sheets are approved.
async fn sheet_review(cast: &Cast) {
    let document = json!({
        "key": "sheet_review", "name": "谈判结果审核", "subject_kind": "result_sheet", "content": ["amount", "terms"],
        "steps": [{ "key": "boss", "name": "总经理", "position": 1, "mode": "any",
            "approvers": [{ "kind": "users", "user_ids": [cast.boss.id] }] }]
    });
    let admin = &cast.company.administrator;
    let made = admin
        .post("/v1/approval-processes", json!({ "document": document }))
        .await;
    let publish = format!(
        "/v1/approval-processes/{}/versions/1/publish",
        id(&made.expect(CREATED))
    );
    admin.post(&publish, json!({})).await.expect(200);
}

#[actix_web::test]
async fn a_result_sheet_changes_until_it_is_approved_and_is_frozen_from_then_on() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    sheet_review(&cast).await;
    let pipeline = published(admin, approved("boss_approval")).await;
    let deal = deal(&cast.seller, &pipeline, Some("220000.00")).await;
    let sheet = json!({ "agreed_on": "2024-03-20", "amount": "220000.00", "terms": [{ "term": "付款方式", "agreed": "分三期" }] });
    let sheet = id(&cast
        .seller
        .post(&path(&deal, "result-sheets"), sheet)
        .await
        .expect(CREATED));
    let sheet = format!("{}/{sheet}", path(&deal, "result-sheets"));
    let ask = async || {
        let body = json!({ "process": "sheet_review", "comment": "请审核" });
        let asked = cast.seller.post(&format!("{sheet}/approvals"), body).await;
        let request = asked.header("location").to_owned();
        asked.expect(CREATED);
        request
    };
    let wrong = json!({ "process": "boss_approval" });
    let wrong = cast.seller.post(&format!("{sheet}/approvals"), wrong).await;
    assert_eq!(wrong.faults(), [("/process".to_owned(), "invalid".to_owned())]);

    let first = ask().await;
    cast.seller
        .patch(&sheet, json!({ "note": "补充说明" }))
        .await
        .expect(200);
    assert_eq!(cast.boss.get(&first).await.expect(200)["state"], "pending");
    cast.seller
        .patch(&sheet, json!({ "amount": "210000" }))
        .await
        .expect(200);
    assert_eq!(cast.boss.get(&first).await.expect(200)["state"], "lapsed");

    let second = ask().await;
    assert_eq!(
        cast.seller
            .post(&format!("{second}/approve"), json!({}))
            .await
            .refused(403),
        "not_your_decision"
    );
    cast.boss
        .post(&format!("{second}/approve"), json!({}))
        .await
        .expect(200);
    assert!(cast.seller.get(&sheet).await.expect(200)["frozen_at"].is_string());
    let late = cast.seller.patch(&sheet, json!({ "note": "再改" })).await;
    assert_eq!(late.refused(409), "frozen");
    assert_eq!(cast.seller.delete(&sheet).await.refused(409), "frozen");
    let again = json!({ "process": "sheet_review" });
    let again = cast.seller.post(&format!("{sheet}/approvals"), again).await;
    assert_eq!(again.refused(409), "frozen");
}

#[actix_web::test]
async fn what_is_asked_about_a_sheet_ends_with_the_deal_and_nothing_is_asked_about_one_of_a_closed_deal() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    sheet_review(&cast).await;
    admin
        .post("/v1/loss-reasons", json!({ "key": "gone", "name": "客户取消" }))
        .await
        .expect(CREATED);
    let pipeline = published(admin, approved("boss_approval")).await;
    for is_archived in [false, true] {
        let deal = deal(&cast.seller, &pipeline, Some("1.00")).await;
        let sheet = json!({ "agreed_on": "2024-03-20", "amount": "1.00" });
        let sheet = id(&cast
            .seller
            .post(&path(&deal, "result-sheets"), sheet)
            .await
            .expect(CREATED));
        let sheet = format!("{}/{sheet}", path(&deal, "result-sheets"));
        let ask = json!({ "process": "sheet_review" });
        let asked = cast.seller.post(&format!("{sheet}/approvals"), ask.clone()).await;
        let request = asked.header("location").to_owned();
        asked.expect(CREATED);
        if is_archived {
            let here = format!("/v1/opportunities/{}", id(&deal));
            cast.seller.delete(&here).await.expect(200);
        } else {
            let lose = json!({ "loss_reason_key": "gone", "reason": "取消" });
            cast.seller.post(&path(&deal, "lose"), lose).await.expect(200);
        }
        assert_eq!(cast.boss.get(&request).await.expect(200)["state"], "withdrawn");
        let late = cast.boss.post(&format!("{request}/approve"), json!({})).await;
        assert_eq!(late.refused(409), "request_closed");
        assert!(cast.seller.get(&sheet).await.expect(200)["frozen_at"].is_null());
        let code = if is_archived { "archived" } else { "already_closed" };
        let again = cast.seller.post(&format!("{sheet}/approvals"), ask).await;
        assert_eq!(again.refused(409), code);
    }
}

#[actix_web::test]
async fn an_archived_deal_is_neither_approved_nor_moved_on() {
    let cast = cast().await;
    let pipeline = published(&cast.company.administrator, approved("boss_approval")).await;
    let deal = deal(&cast.seller, &pipeline, Some("1.00")).await;
    cast.seller
        .put(&path(&deal, "criteria/agreed"), json!({ "answer": true }))
        .await
        .expect(200);
    let asked = advance(&cast.seller, &deal).await;
    let request = asked.header("location").to_owned();
    asked.expect(202);
    let here = format!("/v1/opportunities/{}", id(&deal));
    cast.seller.delete(&here).await.expect(200);
    assert_eq!(cast.boss.get(&request).await.expect(200)["state"], "withdrawn");
    let late = cast.boss.post(&format!("{request}/approve"), json!({})).await;
    assert_eq!(late.refused(409), "request_closed");
    cast.seller
        .post(&path(&deal, "restore"), json!({}))
        .await
        .expect(200);
    assert_eq!(moves(&cast.seller, &deal).await, ["enter"]);
    let again = advance(&cast.seller, &deal).await;
    again.expect(202);
}

#[actix_web::test]
async fn whoever_comes_to_own_a_deal_gives_up_their_seat_in_the_same_step() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let pipeline = published(admin, approved("boss_approval")).await;
    let deal = deal(&cast.seller, &pipeline, Some("1.00")).await;
    let asked = cast
        .seller
        .post(&path(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    let request = asked.header("location").to_owned();
    asked.expect(CREATED);
    let names = async || {
        let tree = gate(admin, &deal).await["gate"]["tree"].clone();
        criterion(&tree, "boss").unwrap().to_string()
    };
    let boss = cast.boss.id.to_string();
    assert!(names().await.contains(&boss));
    let to_boss = json!({ "owner_id": cast.boss.id });
    admin.post(&path(&deal, "assign"), to_boss).await.expect(200);
    let now = names().await;
    assert!(
        !now.contains(&boss) && now.contains(&admin.id.to_string()),
        "{now}"
    );
    assert_eq!(waiting(&admin.get(&request).await.expect(200)), [admin.id]);
    let approve = format!("{request}/approve");
    assert_eq!(cast.boss.post(&approve, json!({})).await.status, 403);
    admin.post(&approve, json!({})).await.expect(200);
}

#[actix_web::test]
async fn whoever_takes_over_a_deal_with_all_else_gives_up_their_seat_in_the_same_step() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let pipeline = published(admin, approved("boss_approval")).await;
    let deal = deal(&cast.seller, &pipeline, Some("1.00")).await;
    let asked = cast
        .seller
        .post(&path(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    let request = asked.header("location").to_owned();
    asked.expect(CREATED);
    assert_eq!(waiting(&admin.get(&request).await.expect(200)), [cast.boss.id]);
    let taker = json!({ "to_user_id": cast.boss.id });
    let hand_over = format!("/v1/users/{}/hand-over", cast.seller.id);
    admin.post(&hand_over, taker).await.expect(200);
    assert_eq!(waiting(&admin.get(&request).await.expect(200)), [admin.id]);
    admin
        .post(&format!("{request}/approve"), json!({}))
        .await
        .expect(200);
}

#[actix_web::test]
async fn an_approved_amount_is_one_of_its_currency() {
    let cast = cast().await;
    bound_to(&cast, &["amount"]).await;
    let admin = &cast.company.administrator;
    let pipeline = published(admin, approved("boss_approval")).await;
    let deal = deal(&cast.seller, &pipeline, Some("1000.00")).await;
    let asked = cast
        .seller
        .post(&path(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    let request = asked.header("location").to_owned();
    asked.expect(CREATED);
    let approve = format!("{request}/approve");
    cast.boss.post(&approve, json!({})).await.expect(200);
    let here = format!("/v1/opportunities/{}", id(&deal));
    let dollars = json!({ "currency": "USD" });
    cast.seller.patch(&here, dollars).await.expect(200);
    assert_eq!(admin.get(&request).await.expect(200)["state"], "lapsed");
}

#[actix_web::test]
async fn whoever_sits_in_two_steps_at_once_is_waited_for_once() {
    let cast = cast().await;
    let admin = &cast.company.administrator;
    let step = |key: &str| {
        json!({ "key": key, "name": key, "position": 1, "mode": "any",
            "approvers": [{ "kind": "users", "user_ids": [cast.boss.id] }] })
    };
    let document = json!({ "key": "twice", "name": "双重", "subject_kind": "opportunity",
        "steps": [step("price"), step("terms")] });
    let made = admin
        .post("/v1/approval-processes", json!({ "document": document }))
        .await;
    let publish = format!(
        "/v1/approval-processes/{}/versions/1/publish",
        id(&made.expect(CREATED))
    );
    admin.post(&publish, json!({})).await.expect(200);
    let pipeline = published(admin, approved("twice")).await;
    let deal = deal(&cast.seller, &pipeline, Some("1.00")).await;
    let asked = cast
        .seller
        .post(&path(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    let request = asked.header("location").to_owned();
    asked.expect(CREATED);
    assert_eq!(waiting(&admin.get(&request).await.expect(200)), [cast.boss.id]);
    let tree = gate(&cast.seller, &deal).await["gate"]["tree"].clone();
    let told = &criterion(&tree, "boss").unwrap()["evidence"]["waiting_for"];
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told[0]["id"], json!(cast.boss.id));
}
