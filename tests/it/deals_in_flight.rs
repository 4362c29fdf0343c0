//! Room 4: deals in flight go to another version of their pipeline when somebody says so, and come back.

use crate::support::app::{company, id};
use crate::support::make_deals::{advance, criterion, deal, gate, moves, path as on, plain, read};
use crate::support::make_migrations::{
    answer_all, ask, dry_run, events, findings, first, migrate, next_version, of, path, preview, renamed,
    results, second, version_of,
};
use crate::support::make_pipelines::published;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
