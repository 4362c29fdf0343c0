//! Room 4: what goes along with deals that are migrated, how they come back, and races around it.

use crate::support::app::{Company, Person, company, id};
use crate::support::make_approvals;
use crate::support::make_deals::{
    advance, approved, criterion, deal, gate, moves, path as on, plain, process, read,
};
use crate::support::make_migrations::{
    answer, answer_all, ask, events, findings, finished, first, migrate, next_version, of, path, preview,
    renamed, results, roll_back, second, standing, version_of,
};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};

#[actix_web::test]
async fn an_approval_goes_along_only_where_the_same_process_is_asked_for() {
    let company = company().await;
    let admin = &company.administrator;
    let boss = company.member("王总", "general_manager").await;
    process(admin, "old_approval", &boss).await;
    process(admin, "new_approval", &boss).await;
    let pipeline = published(admin, approved("old_approval")).await;
    let (pending, granted) = (
        deal(admin, &pipeline, None).await,
        deal(admin, &pipeline, None).await,
    );
    let mut requests = Vec::new();
    for made in [&pending, &granted] {
        let asked = admin
            .post(&on(made, "approvals"), json!({ "criterion": "boss" }))
            .await
            .expect(201);
        requests.push(asked["approval_request_id"].as_str().unwrap().to_owned());
    }
    let decide = format!("/v1/approval-requests/{}/approve", requests[1]);
    boss.post(&decide, json!({})).await.expect(200);
    next_version(admin, &pipeline, approved("old_approval")).await;
    let same = preview(admin, &pipeline, json!({})).await.expect(200);
    for row in same["data"].as_array().unwrap() {
        assert_eq!(
            (&row["approvals_withdrawn"], &row["grants_lost"]),
            (&json!([]), &json!([]))
        );
    }
    next_version(admin, &pipeline, approved("new_approval")).await;
    let other = preview(admin, &pipeline, json!({})).await.expect(200);
    let rows = other["data"].as_array().unwrap();
    assert_eq!(of(rows, &pending)["approvals_withdrawn"], json!([requests[0]]));
    assert_eq!(of(rows, &granted)["grants_lost"], json!([requests[1]]));
    let done = migrate(admin, &pipeline, json!({})).await;
    let withdrawn = admin
        .get(&format!("/v1/approval-requests/{}", requests[0]))
        .await
        .expect(200);
    assert_eq!(withdrawn["state"], "withdrawn");
    answer(admin, &granted, "agreed", json!(true)).await;
    let explained = gate(admin, &granted).await;
    assert_eq!(
        explained["gate"]["state"], "only_approval_missing",
        "another process's grant opens nothing"
    );
    admin.delete(&on(&granted, "criteria/agreed")).await.expect(204);
    let back = roll_back(admin, &done).await;
    assert_eq!(
        (&back["state"], &back["returned"]),
        (&json!("rolled_back"), &json!(2))
    );
    let tree = gate(admin, &granted).await["gate"]["tree"].clone();
    assert_eq!(
        criterion(&tree, "boss").unwrap()["state"],
        "met",
        "back where it was asked for, the grant counts again"
    );
    assert_eq!(findings(&company).await, Vec::<String>::new());
}

/// A process bound to these members of a deal, and a deal granted by it in the first stage of a pipeline that asks for it.
async fn granted(company: &Company, boss: &Person, members: &[&str]) -> (String, Value, String) {
    let admin = &company.administrator;
    let document = json!({
        "key": "narrow", "name": "审批", "subject_kind": "opportunity", "content": members,
        "steps": [{ "key": "boss", "name": "总经理", "position": 1, "mode": "any", "approvers": [{ "kind": "users", "user_ids": [boss.id] }] }]
    });
    make_approvals::published(company, document).await;
    let pipeline = published(admin, approved("narrow")).await;
    let deal = deal(admin, &pipeline, Some("1.00")).await;
    let asked = admin
        .post(&on(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await
        .expect(201);
    let request = asked["approval_request_id"].as_str().unwrap().to_owned();
    boss.approve(&request).await.expect(200);
    (pipeline, deal, request)
}

#[actix_web::test]
async fn a_grant_lapses_with_the_move_that_changes_what_it_was_about_and_is_asked_for_anew() {
    let company = company().await;
    let admin = &company.administrator;
    let boss = company.member("王总", "general_manager").await;
    let (pipeline, deal, request) = granted(&company, &boss, &["probability"]).await;
    let mut likelier = approved("narrow");
    likelier["stages"][0]["probability"] = json!("0.92");
    next_version(admin, &pipeline, likelier).await;
    migrate(admin, &pipeline, json!({})).await;
    assert_eq!(admin.sees(&request).await["state"], "lapsed");
    let again = admin
        .post(&on(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    again.expect(201);
    assert_eq!(findings(&company).await, Vec::<String>::new());
}

#[actix_web::test]
async fn a_grant_does_not_come_back_with_a_deal_that_has_changed_meanwhile() {
    let company = company().await;
    let admin = &company.administrator;
    let boss = company.member("王总", "general_manager").await;
    let (pipeline, deal, request) = granted(&company, &boss, &["amount"]).await;
    let mut renamed = approved("narrow");
    renamed["stages"][0]["key"] = json!("paper");
    next_version(admin, &pipeline, renamed).await;
    let body = json!({ "stages": { "contract": "paper" } });
    let done = migrate(admin, &pipeline, body).await;
    let here = format!("/v1/opportunities/{}", id(&deal));
    admin.patch(&here, json!({ "amount": "2.00" })).await.expect(200);
    let back = roll_back(admin, &done).await;
    assert_eq!(back["returned"], 1);
    assert_eq!(admin.sees(&request).await["state"], "lapsed");
    let again = admin
        .post(&on(&deal, "approvals"), json!({ "criterion": "boss" }))
        .await;
    again.expect(201);
    assert_eq!(findings(&company).await, Vec::<String>::new());
}

#[actix_web::test]
async fn a_roll_back_brings_every_deal_back_to_where_and_what_it_was() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    let (kept, cut) = (
        deal(admin, &pipeline, None).await,
        deal(admin, &pipeline, None).await,
    );
    answer_all(admin, &kept).await;
    answer_all(admin, &cut).await;
    advance(admin, &kept).await.expect(200);
    let before = [read(admin, &kept).await, read(admin, &cut).await];
    let gates = [gate(admin, &kept).await, gate(admin, &cut).await];
    next_version(admin, &pipeline, renamed()).await;
    let body = json!({ "stages": { "contact": "qualify" }, "answers": "by_key" });
    let done = migrate(admin, &pipeline, body).await;
    let back = roll_back(admin, &done).await;
    assert_eq!((&back["returned"], &back["stayed"]), (&json!(2), &json!(0)));
    for (before, gated) in before.iter().zip(&gates) {
        assert_eq!(standing(&read(admin, before).await), standing(before));
        assert_eq!(&gate(admin, before).await, gated, "every tick and answer is back");
    }
    assert_eq!(moves(admin, &cut).await, ["enter", "migrate", "migrate"]);
    assert_eq!(events(&company, &cut, "opportunity.migrated").await, 2);
    let again = admin.post(&path(&done, "/roll-back"), json!({})).await;
    assert_eq!(again.refused(409), "conflict");
    assert_eq!(findings(&company).await, Vec::<String>::new());
}

#[actix_web::test]
async fn a_roll_back_in_a_visit_that_went_on_puts_dropped_answers_back() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    let made = deal(admin, &pipeline, None).await;
    answer_all(admin, &made).await;
    let before = gate(admin, &made).await;
    next_version(admin, &pipeline, second()).await;
    let done = migrate(admin, &pipeline, json!({ "answers": "drop" })).await;
    let tree = gate(admin, &made).await["gate"]["tree"].clone();
    assert_eq!(criterion(&tree, "met").unwrap()["state"], "unmet");
    roll_back(admin, &done).await;
    assert_eq!(gate(admin, &made).await, before, "with the same people and times");
}

#[actix_web::test]
async fn what_later_rests_on_stays_and_is_listed_with_the_reason() {
    let company = company().await;
    let admin = &company.administrator;
    let boss = company.member("王总", "general_manager").await;
    process(admin, "boss_approval", &boss).await;
    let pipeline = published(admin, approved("boss_approval")).await;
    let mut deals = Vec::new();
    for _ in 0..5 {
        deals.push(deal(admin, &pipeline, None).await);
    }
    next_version(admin, &pipeline, approved("boss_approval")).await;
    let done = migrate(admin, &pipeline, json!({})).await;
    let [untouched, ticked, asked, moved, lost] = &deals[..] else {
        unreachable!()
    };
    answer(admin, ticked, "agreed", json!(true)).await;
    admin
        .post(&on(asked, "approvals"), json!({ "criterion": "boss" }))
        .await
        .expect(201);
    let to = gate(admin, moved).await["targets"][0]["stage_id"].clone();
    let skip = json!({ "to_stage_id": to, "reason": "特批" });
    admin.post(&on(moved, "skip"), skip).await.expect(200);
    let reason = json!({ "key": "too_dear", "name": "价格" });
    admin.post("/v1/loss-reasons", reason).await.expect(201);
    let lose = json!({ "loss_reason_key": "too_dear", "reason": "价格" });
    admin.post(&on(lost, "lose"), lose).await.expect(200);
    let back = roll_back(admin, &done).await;
    assert_eq!((&back["returned"], &back["stayed"]), (&json!(1), &json!(4)));
    let rows = results(admin, &done).await;
    assert_eq!(of(&rows, untouched)["outcome"], "returned");
    let whys = [
        (ticked, "answers_changed"),
        (asked, "approvals_changed"),
        (moved, "moved"),
        (lost, "closed"),
    ];
    for (deal, why) in whys {
        let row = of(&rows, deal);
        assert_eq!((&row["outcome"], &row["why"]), (&json!("stayed"), &json!(why)));
        assert_ne!(version_of(&read(admin, deal).await), version_of(deal));
    }
    let stayed = admin
        .get(&path(&done, "/deals?outcome=stayed&with_total=true&limit=1"))
        .await
        .expect(200);
    assert_eq!(
        (&stayed["total"], stayed["data"].as_array().unwrap().len()),
        (&json!(4), 1)
    );
    assert_eq!(findings(&company).await, Vec::<String>::new());
}

#[actix_web::test]
async fn of_eight_simultaneous_migrations_of_a_pipeline_one_is_made() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    for _ in 0..3 {
        deal(admin, &pipeline, None).await;
    }
    next_version(admin, &pipeline, second()).await;
    let answers = futures::future::join_all((0..8).map(|_| ask(admin, &pipeline, json!({})))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!(made.len(), 1);
    for refused in &refused {
        assert_eq!(refused.refused(409), "conflict");
    }
    let done = finished(admin, made.into_iter().next().unwrap()).await;
    assert_eq!(done["moved"], 3);
    let list = admin
        .get(&format!("/v1/pipelines/{pipeline}/migrations?with_total=true"))
        .await
        .expect(200);
    assert_eq!((&list["total"], &list["data"][0]), (&json!(1), &done));
}

#[actix_web::test]
async fn advances_and_a_migration_at_once_leave_each_deal_in_one_consistent_place() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let mut deals = Vec::new();
    for _ in 0..12 {
        deals.push(deal(admin, &pipeline, None).await);
    }
    let mut next = plain();
    next["stages"][0]["key"] = json!("start");
    next_version(admin, &pipeline, next).await;
    let body = json!({ "stages": { "one": "start" } });
    let advances = futures::future::join_all(deals.iter().map(|deal| advance(admin, deal)));
    let (asked, advances) = futures::join!(ask(admin, &pipeline, body), advances);
    let done = finished(admin, asked).await;
    assert_eq!((&done["planned"], &done["moved"]), (&json!(12), &json!(12)));
    let rows = results(admin, &done).await;
    for (deal, advanced) in deals.iter().zip(&advances) {
        let course = moves(admin, deal).await;
        let plan = &of(&rows, deal)["plan"];
        // Whichever was first decides where the other finds it.
        match advanced.status {
            200 => {
                assert_eq!(course, ["enter", "advance", "migrate"]);
                assert_eq!(plan["visit"], "kept");
            }
            _ => {
                assert_eq!(advanced.refused(409), "stage_changed");
                assert_eq!(course, ["enter", "migrate"]);
                assert_eq!(plan["to"]["stage_key"], "start");
            }
        }
        assert_ne!(version_of(&read(admin, deal).await), version_of(deal));
    }
    assert_eq!(findings(&company).await, Vec::<String>::new());
}
