//! Room 5: a deal moves if and only if its gate is open.

use crate::support::app::{CREATED, Person, company, id};
use crate::support::make_deals::{
    advance, approved, criterion, deal, deal_in, gate, gated, invite, moves, path, plain, process, read,
};
use crate::support::make_pipelines::published;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[actix_web::test]
async fn a_simple_stage_is_left_by_judgement_and_the_last_one_wins() {
    let company = company().await;
    let admin = &company.administrator;
    let mut deal = deal_in(&company, admin, plain()).await;
    for stage in ["0.6000", "0.9000"] {
        deal = advance(admin, &deal).await.expect(200);
        assert_eq!(deal["probability_default"], stage);
        assert_eq!(deal["transition"]["kind"], "advance");
        assert_eq!(deal["visit_id"], deal["transition"]["id"]);
    }
    let won = advance(admin, &deal).await.expect(200);
    assert_eq!(
        (&won["status"], &won["stage_id"]),
        (&json!("won"), &deal["stage_id"])
    );
    assert_eq!(advance(admin, &won).await.refused(409), "already_closed");
    assert_eq!(moves(admin, &deal).await, ["enter", "advance", "advance", "win"]);
}

#[actix_web::test]
async fn a_won_cycle_freezes_what_it_came_to() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let mut deal = deal(admin, &pipeline, Some("220000.00")).await;
    let line = json!({ "name": "标准版", "quantity": "1", "unit_price": "220000" });
    admin.post(&path(&deal, "lines"), line).await.expect(CREATED);
    for _ in 0..3 {
        deal = advance(admin, &deal).await.expect(200);
    }
    let cycles = admin.get(&path(&deal, "cycles")).await.expect(200);
    let cycle = &cycles["data"][0];
    assert_eq!(cycle["outcome"], "won");
    assert_eq!(
        (&cycle["amount"], &cycle["currency"]),
        (&json!("220000.00"), &json!("CNY"))
    );
    assert_eq!(
        (&cycle["exchange_rate"], &cycle["probability"]),
        (&json!("1"), &json!("0.9000"))
    );
    assert_eq!(cycle["owner_id"], json!(admin.id));
    assert_eq!(cycle["lines"][0]["amount"], "220000.00");
}

#[actix_web::test]
async fn of_32_simultaneous_advances_one_moves_the_deal_by_one_stage() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    let answers = futures::future::join_all((0..32).map(|_| advance(admin, &deal))).await;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for answer in &answers {
        *statuses.entry(answer.status).or_default() += 1;
        if answer.status != 200 {
            assert_eq!(answer.refused(409), "stage_changed");
        }
    }
    assert_eq!(statuses, BTreeMap::from([(200, 1), (409, 31)]));
    assert_eq!(moves(admin, &deal).await, ["enter", "advance"]);
    let now = read(admin, &deal).await;
    assert_eq!(now["probability_default"], "0.6000");
    assert_eq!(now["version"], 2);
}

#[actix_web::test]
async fn an_advance_sees_no_tick_that_was_taken_back_before_it() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, gated()).await;
    let ticked = json!({ "answer": true });
    for _ in 0..6 {
        let deal = deal(admin, &pipeline, Some("10.00")).await;
        let member = json!({ "title": "总经理", "role": "decision_maker", "influence": "1" });
        admin
            .post(&path(&deal, "decision-chain-members"), member)
            .await
            .expect(CREATED);
        let tick = path(&deal, "criteria/intent");
        admin.put(&tick, ticked.clone()).await.expect(200);
        let (untick, moved) = futures::join!(admin.delete(&tick), advance(admin, &deal));
        // Whichever was first: never both of "untick" and "moved by that tick".
        match (untick.status, moved.status) {
            (204, 409) | (404, 200) => {}
            other => panic!("{other:?}: {} {}", untick.body, moved.body),
        }
    }
}

/// Does exactly what a criterion's `call` says, with the ticks and values it proposes.
async fn follow(person: &Person, call: &Value) {
    let method: Method = call["method"].as_str().unwrap().parse().unwrap();
    let request = person.request(method, call["path"].as_str().unwrap()).await;
    let response = request.json(&call["body"]).send().await.unwrap();
    assert!(
        response.status().is_success(),
        "{call}: {}",
        response.text().await.unwrap()
    );
}

#[actix_web::test]
async fn a_refusal_names_each_unmet_sub_goal_and_the_call_that_satisfies_it() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, gated()).await;
    let refused = advance(admin, &deal).await;
    assert_eq!(refused.refused(409), "gate_not_met");
    let tree = refused.body["gate"]["tree"].clone();
    assert_eq!(
        gate(admin, &deal).await["gate"],
        refused.body["gate"],
        "both ask the same function"
    );
    for key in ["intent", "amount_known", "decider"] {
        let unmet = criterion(&tree, key).unwrap();
        assert_ne!(unmet["state"], "met", "{key}");
        assert!(unmet["reason"].is_string(), "{key}: {unmet}");
        assert!(unmet["who"]["permission"].is_string(), "{key}: {unmet}");
    }
    follow(admin, &criterion(&tree, "intent").unwrap()["call"]).await;
    let amount = criterion(&tree, "amount_known").unwrap()["call"].clone();
    assert_eq!(
        (&amount["method"], amount["body"]["amount"].is_string()),
        (&json!("PATCH"), true),
        "{amount}"
    );
    let here = amount["path"].as_str().unwrap();
    admin
        .patch(here, json!({ "amount": "220000.00" }))
        .await
        .expect(200);
    let member = criterion(&tree, "decider").unwrap()["call"].clone();
    assert_eq!(member["method"], "POST");
    follow(admin, &member).await;
    let open = gate(admin, &deal).await;
    assert_eq!(open["gate"]["state"], "open", "{open}");
    let moved = advance(admin, &deal).await.expect(200);
    let evidence = &moved["transition"]["evidence"];
    assert_eq!(evidence["state"], "open");
    let intent = criterion(&evidence["tree"], "intent").unwrap();
    assert_eq!(intent["evidence"]["by"]["id"], json!(admin.id));
}

#[actix_web::test]
async fn an_answer_must_be_of_the_declared_type_and_of_the_present_stage() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, gated()).await;
    let wrong = admin
        .put(&path(&deal, "criteria/intent"), json!({ "answer": "yes" }))
        .await;
    assert_eq!(wrong.faults()[0].0, "/answer");
    let computed = admin
        .put(&path(&deal, "criteria/amount_known"), json!({ "answer": true }))
        .await;
    assert_eq!(
        computed.faults(),
        [("/answer".to_owned(), "not_answerable".to_owned())]
    );
    let unknown = admin
        .put(&path(&deal, "criteria/nothing"), json!({ "answer": true }))
        .await;
    assert_eq!(unknown.refused(404), "not_found");
    let never = admin.delete(&path(&deal, "criteria/intent")).await;
    assert_eq!(never.refused(404), "not_found");
}

#[actix_web::test]
async fn a_stale_advance_changes_nothing() {
    let company = company().await;
    let admin = &company.administrator;
    let deal = deal_in(&company, admin, plain()).await;
    let request = admin.request(Method::POST, &path(&deal, "advance")).await;
    let body = json!({ "from_stage_id": deal["stage_id"] });
    let stale = crate::support::app::Answer::of(request.header("if-match", "\"7\"").json(&body)).await;
    assert_eq!(stale.refused(412), "stale");
    let missing = admin.post(&path(&deal, "advance"), json!({})).await;
    assert_eq!(
        missing.faults(),
        [("/from_stage_id".to_owned(), "required".to_owned())]
    );
    assert_eq!(moves(admin, &deal).await, ["enter"]);
}

#[actix_web::test]
async fn several_edges_need_a_target() {
    let company = company().await;
    let admin = &company.administrator;
    let mut document = plain();
    document["stages"][0]["next"] = json!(["two", "three"]);
    let deal = deal_in(&company, admin, document).await;
    assert_eq!(
        advance(admin, &deal).await.faults(),
        [("/to_stage_id".to_owned(), "required".to_owned())]
    );
    let explained = gate(admin, &deal).await;
    let three = &explained["targets"][1];
    assert_eq!(three["key"], "three");
    let body = json!({ "from_stage_id": deal["stage_id"], "to_stage_id": three["stage_id"] });
    let moved = admin.post(&path(&deal, "advance"), body).await.expect(200);
    assert_eq!(moved["stage_id"], three["stage_id"]);
}

#[actix_web::test]
async fn regress_voids_ticks_and_needs_a_reason() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, gated()).await;
    let made = deal(admin, &pipeline, Some("10.00")).await;
    let member = json!({ "title": "总经理", "role": "decision_maker", "influence": "1" });
    admin
        .post(&path(&made, "decision-chain-members"), member)
        .await
        .expect(CREATED);
    admin
        .put(&path(&made, "criteria/intent"), json!({ "answer": true }))
        .await
        .expect(200);
    let moved = advance(admin, &made).await.expect(200);
    let back = json!({ "to_stage_id": made["stage_id"] });
    assert_eq!(
        admin.post(&path(&made, "regress"), back).await.refused(422),
        "invalid"
    );
    let back = json!({ "to_stage_id": made["stage_id"], "reason": "需求变化" });
    let regressed = admin.post(&path(&made, "regress"), back).await.expect(200);
    assert_ne!(regressed["visit_id"], made["visit_id"]);
    assert_eq!(regressed["transition"]["from_stage_id"], moved["stage_id"]);
    let explained = gate(admin, &made).await;
    let tree = &explained["gate"]["tree"];
    assert_eq!(criterion(tree, "intent").unwrap()["state"], "unmet");
    assert_eq!(
        criterion(tree, "decider").unwrap()["state"],
        "met",
        "records stay"
    );
    assert_eq!(advance(admin, &regressed).await.refused(409), "gate_not_met");
}

#[actix_web::test]
async fn skip_and_override_pass_the_gate_for_who_may_and_are_marked() {
    let company = company().await;
    let admin = &company.administrator;
    let seller = company.member("李", "sales_representative").await;
    let pipeline = published(admin, gated()).await;
    let deal = deal(&seller, &pipeline, None).await;
    let special = json!({ "reason": "总经理特批" });
    assert_eq!(
        seller
            .post(&path(&deal, "override"), special.clone())
            .await
            .refused(403),
        "forbidden"
    );
    let moved = admin.post(&path(&deal, "override"), special).await.expect(200);
    assert_eq!(moved["transition"]["kind"], "override");
    assert_eq!(
        moved["transition"]["evidence"]["state"], "closed",
        "what was passed is on record"
    );
    let back = json!({ "to_stage_id": deal["stage_id"], "reason": "补资料" });
    seller.post(&path(&deal, "regress"), back).await.expect(200);
    let skip = json!({ "to_stage_id": moved["stage_id"], "reason": "老客户" });
    admin.post(&path(&deal, "skip"), skip).await.expect(200);
    assert_eq!(
        moves(admin, &deal).await,
        ["enter", "override", "regress", "skip"]
    );
}

/// How a criterion of the stage stood when the deal was moved.
fn state_left(moved: &Value, key: &str) -> Value {
    let tree = &moved["transition"]["evidence"]["tree"];
    criterion(tree, key).unwrap_or_else(|| panic!("{moved}"))["state"].clone()
}

#[actix_web::test]
async fn a_lost_deal_restarts_fresh_in_a_new_cycle() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, gated()).await;
    let made = deal(admin, &pipeline, Some("10.00")).await;
    admin
        .put(&path(&made, "criteria/intent"), json!({ "answer": true }))
        .await
        .expect(200);
    let here = format!("/v1/opportunities/{}", id(&made));
    let by_hand = json!({ "probability_by_hand": "0.5", "probability_reason": "熟客" });
    admin.patch(&here, by_hand).await.expect(200);
    let nothing = admin
        .post(&path(&made, "lose"), json!({ "reason": "价格" }))
        .await;
    assert_eq!(
        nothing.faults(),
        [("/loss_reason_id".to_owned(), "required".to_owned())]
    );
    admin
        .post(
            "/v1/loss-reasons",
            json!({ "key": "too_dear", "name": "价格过高" }),
        )
        .await
        .expect(CREATED);
    let lose = json!({ "loss_reason_key": "too_dear", "reason": "预算不足", "debrief_on": "2024-04-01" });
    assert_eq!(
        admin.post(&path(&made, "restart"), json!({})).await.refused(409),
        "not_closed"
    );
    let lost = admin.post(&path(&made, "lose"), lose).await.expect(200);
    assert_eq!(
        (&lost["status"], &lost["stage_id"]),
        (&json!("lost"), &made["stage_id"])
    );
    let fresh = admin.post(&path(&made, "restart"), json!({})).await.expect(200);
    assert_eq!((&fresh["status"], &fresh["cycle"]), (&json!("open"), &json!(2)));
    assert!(fresh["probability_by_hand"].is_null());
    for closing in [&lost, &fresh] {
        assert_eq!(state_left(closing, "intent"), "met");
        assert_ne!(state_left(closing, "decider"), "met");
    }
    assert_eq!(
        criterion(&gate(admin, &made).await["gate"]["tree"], "intent").unwrap()["state"],
        "unmet"
    );
    let cycles = admin.get(&path(&made, "cycles")).await.expect(200);
    let (old, new) = (&cycles["data"][0], &cycles["data"][1]);
    assert_eq!(
        (&old["outcome"], &old["reason"]),
        (&json!("lost"), &json!("预算不足"))
    );
    assert_eq!(
        (&old["probability"], &old["debrief_on"]),
        (&json!("0.5000"), &json!("2024-04-01"))
    );
    assert!(new["outcome"].is_null());
}

#[actix_web::test]
async fn reopening_continues_the_stay_that_was_cut() {
    let company = company().await;
    let admin = &company.administrator;
    let made = deal_in(&company, admin, gated()).await;
    admin
        .put(&path(&made, "criteria/intent"), json!({ "answer": true }))
        .await
        .expect(200);
    admin
        .post("/v1/loss-reasons", json!({ "key": "slip", "name": "误操作" }))
        .await
        .expect(CREATED);
    let lose = json!({ "loss_reason_key": "slip", "reason": "点错" });
    admin.post(&path(&made, "lose"), lose).await.expect(200);
    let reopened = admin
        .post(&path(&made, "reopen"), json!({ "reason": "误操作" }))
        .await
        .expect(200);
    assert_eq!(
        (&reopened["status"], &reopened["cycle"]),
        (&json!("open"), &json!(1))
    );
    assert_eq!(state_left(&reopened, "intent"), "met");
    assert_eq!(reopened["visit_id"], made["visit_id"]);
    assert_eq!(reopened["stage_entered_at"], made["stage_entered_at"]);
    assert_eq!(
        criterion(&gate(admin, &made).await["gate"]["tree"], "intent").unwrap()["state"],
        "met"
    );
    let cycles = admin.get(&path(&made, "cycles")).await.expect(200);
    assert!(cycles["data"][0]["outcome"].is_null());
    assert_eq!(
        admin
            .post(&path(&made, "reopen"), json!({ "reason": "再次" }))
            .await
            .refused(409),
        "not_closed"
    );
}

#[actix_web::test]
async fn a_participant_who_may_edit_ticks_but_does_not_advance() {
    let company = company().await;
    let admin = &company.administrator;
    let (owner, helper) = (
        company.member("李", "sales_representative").await,
        company.member("王", "sales_representative").await,
    );
    let pipeline = published(admin, gated()).await;
    let deal = deal(&owner, &pipeline, None).await;
    let tick = path(&deal, "criteria/intent");
    assert_eq!(
        helper.put(&tick, json!({ "answer": true })).await.refused(404),
        "not_found"
    );
    invite(&company, &deal, &helper, "edit").await;
    helper.put(&tick, json!({ "answer": true })).await.expect(200);
    assert_eq!(advance(&helper, &deal).await.refused(403), "forbidden");
    let onlooker = company.member("赵", "sales_representative").await;
    invite(&company, &deal, &onlooker, "read").await;
    assert_eq!(
        onlooker.put(&tick, json!({ "answer": true })).await.refused(403),
        "forbidden"
    );
    assert_eq!(gate(&onlooker, &deal).await["status"], "open");
}

#[actix_web::test]
async fn an_approval_is_asked_for_by_itself_and_the_last_one_moves_the_deal() {
    let company = company().await;
    let admin = &company.administrator;
    let (seller, boss) = (
        company.member("李", "sales_representative").await,
        company.member("总", "general_manager").await,
    );
    process(admin, "boss_approval", &boss).await;
    let pipeline = published(admin, approved("boss_approval")).await;
    let deal = deal(&seller, &pipeline, Some("220000.00")).await;
    assert_eq!(advance(&seller, &deal).await.refused(409), "gate_not_met");
    seller
        .put(&path(&deal, "criteria/agreed"), json!({ "answer": true }))
        .await
        .expect(200);
    let asked = advance(&seller, &deal).await;
    let request = asked.header("location").to_owned();
    let body = asked.expect(202);
    assert_eq!(
        request,
        format!(
            "/v1/approval-requests/{}",
            body["approval_request_ids"][0].as_str().unwrap()
        )
    );
    let again = advance(&seller, &deal).await;
    assert_eq!(again.refused(409), "gate_not_met");
    let pending = criterion(&again.body["gate"]["tree"], "boss").unwrap();
    assert_eq!(pending["who"]["approvers"][0]["id"], json!(boss.id));
    boss.post(&format!("{request}/approve"), json!({}))
        .await
        .expect(200);
    let now = read(&seller, &deal).await;
    assert_ne!(now["stage_id"], deal["stage_id"]);
    assert_eq!(moves(&seller, &deal).await, ["enter", "advance"]);
}

#[actix_web::test]
async fn editing_what_was_approved_closes_the_gate_again() {
    let company = company().await;
    let admin = &company.administrator;
    let (seller, boss) = (
        company.member("李", "sales_representative").await,
        company.member("总", "general_manager").await,
    );
    process(admin, "boss_approval", &boss).await;
    let pipeline = published(admin, approved("boss_approval")).await;
    let deal = deal(&seller, &pipeline, Some("220000.00")).await;
    let asked = seller
        .post(&path(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    let request = asked.header("location").to_owned();
    asked.expect(201);
    boss.post(&format!("{request}/approve"), json!({}))
        .await
        .expect(200);
    let state = |explained: &Value| criterion(&explained["gate"]["tree"], "boss").unwrap()["state"].clone();
    assert_eq!(state(&gate(&seller, &deal).await), "met");
    let here = format!("/v1/opportunities/{}", id(&deal));
    seller
        .patch(&here, json!({ "next_step": "签约" }))
        .await
        .expect(200);
    assert_eq!(
        state(&gate(&seller, &deal).await),
        "met",
        "a next step voids nothing"
    );
    let line = json!({ "name": "标准版", "quantity": "1", "unit_price": "1" });
    seller.post(&path(&deal, "lines"), line).await.expect(CREATED);
    let explained = gate(&seller, &deal).await;
    assert_eq!(state(&explained), "unmet");
    let evidence = &criterion(&explained["gate"]["tree"], "boss").unwrap()["evidence"];
    assert_eq!(evidence["approval_state"], "lapsed");
    assert_eq!(admin.get(&request).await.expect(200)["state"], "lapsed");
    let unknown = seller
        .post(&path(&deal, "approvals"), json!({ "criterion": "agreed" }))
        .await;
    assert_eq!(
        unknown.faults(),
        [("/criterion".to_owned(), "unknown_value".to_owned())]
    );
}

#[actix_web::test]
async fn losing_withdraws_what_is_pending() {
    let company = company().await;
    let admin = &company.administrator;
    let boss = company.member("总", "general_manager").await;
    process(admin, "boss_approval", &boss).await;
    let pipeline = published(admin, approved("boss_approval")).await;
    let deal = deal(admin, &pipeline, Some("1.00")).await;
    let asked = admin
        .post(&path(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    let request = asked.header("location").to_owned();
    asked.expect(201);
    admin
        .post("/v1/loss-reasons", json!({ "key": "gone", "name": "客户取消" }))
        .await
        .expect(CREATED);
    admin
        .post(
            &path(&deal, "lose"),
            json!({ "loss_reason_key": "gone", "reason": "取消" }),
        )
        .await
        .expect(200);
    assert_eq!(admin.get(&request).await.expect(200)["state"], "withdrawn");
}
