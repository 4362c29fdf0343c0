//! Room 4: deals in flight go to another version of their pipeline when somebody says so, and come back.

use crate::support::app::{Company, Person, company, database, id, server};
use crate::support::make_deals::{
    advance, approved, criterion, deal, gate, moves, path as on, plain, process, read,
};
use crate::support::make_migrations::{
    ask, dry_run, finished, migrate, next_version, of, path, preview, results, roll_back,
};
use crate::support::make_pipelines::published;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use penstock::check;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Two stages: the first asks for two ticks and a number, the second for nothing.
fn first() -> Value {
    json!({ "key": "sales", "name": "一版", "stages": [
        { "key": "contact", "name": "接触", "probability": "0.1", "expected_dwell_seconds": 1000, "gate": { "kind": "all", "of": [
            { "kind": "check", "key": "met", "label": "已见面" },
            { "kind": "check", "key": "liked", "label": "有好感" },
            { "kind": "question", "key": "seats", "label": "席位", "answer": { "type": "number" } }
        ] } },
        { "key": "offer", "name": "报价", "probability": "0.5" }
    ] })
}

/// The next version: of the first stage's criteria one is the same, one is of another kind, one is gone.
fn second() -> Value {
    json!({ "key": "sales", "name": "二版", "stages": [
        { "key": "contact", "name": "接触", "probability": "0.2", "expected_dwell_seconds": 2000, "gate": { "kind": "all", "of": [
            { "kind": "check", "key": "met", "label": "已见面" },
            { "kind": "question", "key": "liked", "label": "好感", "answer": { "type": "bool" } }
        ] } },
        { "key": "offer", "name": "报价", "probability": "0.6" }
    ] })
}

/// Like the second, the first stage under another key.
fn renamed() -> Value {
    let mut document = second();
    document["stages"][0]["key"] = json!("qualify");
    document
}

async fn answer(person: &Person, deal: &Value, key: &str, answer: Value) {
    let body = json!({ "answer": answer });
    person
        .put(&on(deal, &format!("criteria/{key}")), body)
        .await
        .expect(200);
}

async fn answer_all(person: &Person, deal: &Value) {
    answer(person, deal, "met", json!(true)).await;
    answer(person, deal, "liked", json!(true)).await;
    answer(person, deal, "seats", json!("12")).await;
}

/// What of a deal a roll-back must bring back.
fn standing(deal: &Value) -> Value {
    let members = [
        "pipeline_version_id",
        "stage_id",
        "visit_id",
        "stage_entered_at",
        "probability",
        "status",
        "cycle",
    ];
    members.iter().map(|name| deal[*name].clone()).collect()
}

fn version_of(view: &Value) -> &Value {
    &view["pipeline_version_id"]
}

/// Everything that `check` finds in this company.
async fn findings(company: &Company) -> Vec<String> {
    let found = check::run(&server().await.url).await.unwrap();
    let found = found.iter().filter(|finding| finding.tenant == company.tenant);
    found.map(ToString::to_string).collect()
}

/// How many events of this kind a deal has.
async fn events(company: &Company, deal: &Value, kind: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let (tenant, deal) = (company.tenant, id(deal).parse::<uuid::Uuid>().unwrap());
    let kind = kind.to_owned();
    let count: Count = database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query(
                "SELECT count(*) AS count FROM events WHERE tenant_id = $1 AND subject_id = $2 AND kind = $3",
            );
            let query = query.bind::<SqlUuid, _>(tenant).bind::<SqlUuid, _>(deal);
            Ok(query
                .bind::<diesel::sql_types::Text, _>(kind.clone())
                .get_result(conn)
                .await?)
        })
        .await
        .unwrap();
    count.count
}

#[actix_web::test]
async fn a_deal_on_an_older_version_still_counts_under_its_stage_key() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    let old = deal(admin, &pipeline, Some("100.00")).await;
    next_version(admin, &pipeline, second()).await;
    let new = deal(admin, &pipeline, Some("10.00")).await;
    assert_ne!(version_of(&old), version_of(&new));
    let snapshot = admin
        .get(&format!("/v1/pipelines/{pipeline}/snapshot"))
        .await
        .expect(200);
    let contact = &snapshot["stages"][0];
    assert_eq!(
        (&contact["stage_key"], &contact["count"]),
        (&json!("contact"), &json!(2))
    );
    assert_eq!(contact["amount"], "110.00");
    assert_eq!(
        contact["weighted_amount"], "12.00",
        "each by its own version's chance"
    );
    next_version(admin, &pipeline, renamed()).await;
    let snapshot = admin
        .get(&format!("/v1/pipelines/{pipeline}/snapshot"))
        .await
        .expect(200);
    let last = snapshot["stages"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["stage_key"], &last["count"]),
        (&json!("contact"), &json!(2))
    );
}

#[actix_web::test]
async fn the_preview_lists_what_would_happen_to_each_and_the_migration_does_exactly_that() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    let ready = deal(admin, &pipeline, None).await;
    answer_all(admin, &ready).await;
    let fresh = deal(admin, &pipeline, None).await;
    let offered = deal(admin, &pipeline, None).await;
    answer_all(admin, &offered).await;
    advance(admin, &offered).await.expect(200);
    next_version(admin, &pipeline, second()).await;
    deal(admin, &pipeline, None).await;

    let seen = preview(admin, &pipeline, json!({})).await.expect(200);
    assert_eq!(
        (&seen["from_versions"], &seen["to_version"]),
        (&json!([1]), &json!(2))
    );
    assert_eq!(seen["stages"], json!({ "contact": "contact", "offer": "offer" }));
    let rows = seen["data"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &seen["total"]),
        (3, &json!(3)),
        "not the one on the version entered"
    );
    let row = of(rows, &ready);
    assert_eq!(
        (&row["visit"], &row["from"]["version"], &row["to"]["version"]),
        (&json!("kept"), &json!(1), &json!(2))
    );
    assert_eq!(row["answers_carried"], json!(["met"]));
    let dropped = row["answers_dropped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap());
    assert_eq!(
        dropped.collect::<BTreeSet<_>>(),
        BTreeSet::from(["liked", "seats"])
    );
    assert_eq!(
        (&row["probability_before"], &row["probability_after"]),
        (&json!("0.1000"), &json!("0.2000"))
    );
    assert_eq!(
        (
            &row["from"]["expected_dwell_seconds"],
            &row["to"]["expected_dwell_seconds"]
        ),
        (&json!(1000), &json!(2000))
    );
    assert_eq!(
        (&row["gate_before"], &row["gate_after"]),
        (&json!("open"), &json!("closed"))
    );
    assert_eq!(of(rows, &offered)["gate_after"], "open");
    let contact = &seen["totals"][0];
    assert_eq!(
        (&contact["from"]["stage_key"], &contact["count"]),
        (&json!("contact"), &json!(2))
    );
    assert_eq!(
        (
            &contact["of_each"]["answers_carried"],
            &contact["of_each"]["answers_dropped"]
        ),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (
            &contact["of_each"]["gates_open_before"],
            &contact["of_each"]["gates_open_after"]
        ),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        read(admin, &ready).await,
        admin
            .get(&format!("/v1/opportunities/{}", id(&ready)))
            .await
            .expect(200)
    );
    assert_eq!(
        read(admin, &ready).await["version"],
        ready["version"],
        "a preview changes nothing"
    );

    let done = migrate(admin, &pipeline, json!({ "reason": "新流程" })).await;
    assert_eq!(
        (&done["state"], &done["planned"], &done["moved"], &done["skipped"]),
        (&json!("done"), &json!(3), &json!(3), &json!(0))
    );
    let results = results(admin, &done).await;
    for planned in rows {
        let result = of(&results, &json!({ "id": planned["opportunity_id"] }));
        assert_eq!((&result["outcome"], &result["plan"]), (&json!("moved"), planned));
    }
    let after = read(admin, &ready).await;
    assert_eq!(
        (&after["visit_id"], &after["stage_entered_at"]),
        (&ready["visit_id"], &ready["stage_entered_at"])
    );
    assert_eq!(after["probability"], "0.2000");
    let tree = gate(admin, &ready).await["gate"]["tree"].clone();
    assert_eq!(criterion(&tree, "met").unwrap()["state"], "met", "it goes along");
    assert_eq!(
        criterion(&tree, "liked").unwrap()["state"],
        "unknown",
        "a tick answers no question"
    );
    assert_eq!(moves(admin, &ready).await, ["enter", "migrate"]);
    let transitions = admin.get(&on(&ready, "transitions")).await.expect(200);
    let moved = &transitions["data"][1];
    assert_eq!(
        (&moved["reason"], &moved["visit_id"]),
        (&json!("新流程"), &ready["visit_id"])
    );
    assert_eq!(
        (&moved["actor_kind"], &moved["evidence"]["state"]),
        (&json!("job"), &json!("open"))
    );
    assert_eq!(events(&company, &fresh, "opportunity.migrated").await, 1);
    assert_eq!(preview(admin, &pipeline, json!({})).await.expect(200)["total"], 0);
    assert_eq!(ask(admin, &pipeline, json!({})).await.refused(409), "conflict");
    assert_eq!(findings(&company).await, Vec::<String>::new());
}

#[actix_web::test]
async fn a_preview_is_paged_and_shows_only_what_one_sees() {
    let company = company().await;
    let admin = &company.administrator;
    let seller = company.member("李", "sales_representative").await;
    let pipeline = published(admin, first()).await;
    for _ in 0..5 {
        deal(admin, &pipeline, None).await;
    }
    deal(&seller, &pipeline, None).await;
    next_version(admin, &pipeline, second()).await;
    let path = format!("/v1/pipelines/{pipeline}/migrations/preview?limit=4");
    let one = admin.post(&path, json!({})).await.expect(200);
    let cursor = one["next_cursor"].as_str().unwrap();
    let two = admin
        .post(&format!("{path}&cursor={cursor}"), json!({}))
        .await
        .expect(200);
    assert_eq!(
        (two["next_cursor"].clone(), two.get("totals")),
        (Value::Null, None)
    );
    let ids = [&one, &two]
        .map(|page| page["data"].as_array().unwrap().clone())
        .concat();
    let ids = ids.iter().map(|row| id(&json!({ "id": row["opportunity_id"] })));
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 6);
    let other = admin
        .post(&format!("{path}&cursor={cursor}"), json!({ "answers": "drop" }))
        .await;
    assert_eq!(
        other.refused(400),
        "bad_parameter",
        "a cursor is good for its body only"
    );
    assert_eq!(
        admin
            .post(&format!("{path}&sort=name"), json!({}))
            .await
            .refused(400),
        "bad_parameter"
    );
}

#[actix_web::test]
async fn every_fault_of_a_mapping_comes_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    let made = deal(admin, &pipeline, None).await;
    next_version(admin, &pipeline, renamed()).await;
    let wrong = json!({ "to_version": 1, "from_versions": [7, 1], "stages": { "nothing": "qualify" } });
    let refused = preview(admin, &pipeline, wrong).await;
    assert_eq!(
        refused.faults(),
        [
            ("/from_versions/0".to_owned(), "not_found".to_owned()),
            ("/to_version".to_owned(), "not_published".to_owned())
        ]
    );
    let wrong = json!({ "stages": { "nothing": "qualify", "offer": "nowhere" } });
    for refused in [
        preview(admin, &pipeline, wrong.clone()).await,
        ask(admin, &pipeline, wrong).await,
    ] {
        assert_eq!(
            refused.faults(),
            [
                ("/stages/contact".to_owned(), "required".to_owned()),
                ("/stages/nothing".to_owned(), "unknown_value".to_owned()),
                ("/stages/offer".to_owned(), "unknown_value".to_owned()),
            ]
        );
    }
    let same = preview(admin, &pipeline, json!({ "from_versions": [2] })).await;
    assert_eq!(
        same.faults(),
        [("/from_versions/0".to_owned(), "invalid".to_owned())]
    );
    assert_eq!(moves(admin, &made).await, ["enter"]);
}

#[actix_web::test]
async fn mapped_to_another_stage_the_visit_is_cut_and_answers_go_along_by_key_if_asked() {
    let company = company().await;
    let admin = &company.administrator;
    for (rule, carried) in [("by_criterion", "unmet"), ("by_key", "met"), ("drop", "unmet")] {
        let mut document = first();
        document["key"] = json!(format!("sales_{rule}"));
        let pipeline = published(admin, document.clone()).await;
        let made = deal(admin, &pipeline, None).await;
        answer_all(admin, &made).await;
        let mut next = renamed();
        next["key"] = document["key"].clone();
        next_version(admin, &pipeline, next).await;
        let body = json!({ "stages": { "contact": "qualify" }, "answers": rule });
        let done = migrate(admin, &pipeline, body).await;
        assert_eq!(done["stages"]["contact"], "qualify");
        let after = read(admin, &made).await;
        assert_ne!(after["visit_id"], made["visit_id"], "{rule}");
        let transitions = admin.get(&on(&made, "transitions")).await.expect(200);
        let moved = &transitions["data"][1];
        assert_eq!(
            (&moved["kind"], &moved["id"]),
            (&json!("migrate"), &after["visit_id"])
        );
        assert!(
            moved["dwell_seconds"].is_i64(),
            "the time spent in the visit that was cut"
        );
        let tree = gate(admin, &made).await["gate"]["tree"].clone();
        assert_eq!(criterion(&tree, "met").unwrap()["state"], carried, "{rule}");
    }
    assert_eq!(findings(&company).await, Vec::<String>::new());
}

#[actix_web::test]
async fn a_probability_set_by_hand_stays() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    let made = deal(admin, &pipeline, None).await;
    let by_hand = json!({ "probability_by_hand": "0.9", "probability_reason": "客户已口头承诺" });
    admin
        .patch(&format!("/v1/opportunities/{}", id(&made)), by_hand)
        .await
        .expect(200);
    next_version(admin, &pipeline, second()).await;
    let seen = preview(admin, &pipeline, json!({})).await.expect(200);
    let row = of(seen["data"].as_array().unwrap(), &made).clone();
    assert_eq!(
        (&row["probability_after"], &row["is_probability_by_hand"]),
        (&json!("0.9000"), &json!(true))
    );
    migrate(admin, &pipeline, json!({})).await;
    let after = read(admin, &made).await;
    assert_eq!(
        (&after["probability"], &after["probability_default"]),
        (&json!("0.9000"), &json!("0.2000"))
    );
}

#[actix_web::test]
async fn closed_and_archived_deals_stay_on_their_version() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, plain()).await;
    let [open, archived, won] = [0; 3].map(|_| deal(admin, &pipeline, None));
    let (open, archived, mut won) = (open.await, archived.await, won.await);
    for _ in 0..3 {
        won = advance(admin, &won).await.expect(200);
    }
    admin
        .delete(&format!("/v1/opportunities/{}", id(&archived)))
        .await
        .expect(200);
    let mut next = plain();
    next["stages"][0]["probability"] = json!("0.2");
    next_version(admin, &pipeline, next).await;
    let done = migrate(admin, &pipeline, json!({})).await;
    assert_eq!((&done["planned"], &done["moved"]), (&json!(1), &json!(1)));
    assert_eq!(version_of(&read(admin, &won).await), version_of(&open));
    assert_eq!(version_of(&read(admin, &archived).await), version_of(&open));
    assert_ne!(version_of(&read(admin, &open).await), version_of(&open));
}

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

#[actix_web::test]
async fn a_dry_run_answers_as_the_migration_would_and_stores_nothing() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    let made = deal(admin, &pipeline, None).await;
    next_version(admin, &pipeline, second()).await;
    let path = format!("/v1/pipelines/{pipeline}/migrations");
    let tried = dry_run(admin, &path, &json!({})).await;
    assert_eq!(
        (tried.header("preference-applied"), tried.header("location")),
        ("dry-run", "")
    );
    let tried = tried.expect(202);
    assert_eq!(
        (&tried["planned"], &tried["from_versions"]),
        (&json!(1), &json!([1]))
    );
    assert_eq!(admin.get(&path).await.expect(200)["data"], json!([]));
    assert_eq!(moves(admin, &made).await, ["enter"]);
}

#[actix_web::test]
async fn only_who_may_migrates_and_nobody_of_another_company() {
    let (company, other) = (company().await, company().await);
    let admin = &company.administrator;
    let director = company.member("赵", "sales_director").await;
    let lead = company.member("钱", "sales_lead").await;
    let pipeline = published(admin, first()).await;
    deal(admin, &pipeline, None).await;
    next_version(admin, &pipeline, second()).await;
    assert_eq!(ask(&lead, &pipeline, json!({})).await.refused(403), "forbidden");
    assert_eq!(
        preview(&lead, &pipeline, json!({})).await.refused(403),
        "forbidden"
    );
    let stranger = &other.administrator;
    assert_eq!(
        ask(stranger, &pipeline, json!({})).await.refused(404),
        "not_found"
    );
    assert_eq!(
        preview(stranger, &pipeline, json!({})).await.refused(404),
        "not_found"
    );
    let done = migrate(&director, &pipeline, json!({})).await;
    assert_eq!(done["requested_by"], json!(director.id));
    for rest in ["", "/deals"] {
        assert_eq!(stranger.get(&path(&done, rest)).await.refused(404), "not_found");
    }
    let back = stranger.post(&path(&done, "/roll-back"), json!({})).await;
    assert_eq!(back.refused(404), "not_found");
    let back = lead.post(&path(&done, "/roll-back"), json!({})).await;
    assert_eq!(back.refused(403), "forbidden");
    assert_eq!(lead.get(&path(&done, "")).await.expect(200), done);
}
