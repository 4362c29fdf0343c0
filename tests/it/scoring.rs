//! Room 3: scoring: models, behaviour, limits and reviews, the score by hand; room 2: ideal customers.

use crate::support::app::{company, id, move_clock, sandbox};
use crate::support::make_scoring::{did, document, each, lead, points, publish, read, score, when};
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test]
async fn a_lead_is_scored_as_it_is_written_and_the_score_explains_itself() {
    let company = company().await;
    let admin = &company.administrator;
    let rules = json!([
        when("south", "10.5", "region == \"华南\""),
        when("budget", "15", "budget_amount >= 100000"),
        when("unnamed", "-2.25", "company == null"),
        each(
            "visits",
            "visit",
            "2",
            json!({ "half_life_days": 7, "most": "5" })
        ),
    ]);
    publish(admin, document("m", rules)).await;
    let made = lead(admin, json!({ "region": "华南" })).await;
    assert_eq!((&made["score"], &made["status"]), (&json!("8.25"), &json!("new")));
    for _ in 0..3 {
        did(admin, &made, "visit").await;
    }
    let told = score(admin, &made).await;
    assert_eq!(
        (&told["score"], &told["by_hand"]),
        (&json!("13.25"), &Value::Null)
    );
    assert_eq!(told["dimensions"]["behavioural"], "5");
    let rules = told["rules"].as_array().unwrap();
    assert_eq!(
        rules.iter().map(|rule| points(&rule["points"])).sum::<i64>(),
        points(&told["computed"])
    );
    assert_eq!(
        (&rules[1]["outcome"], &rules[1]["missing"]),
        (&json!("unknown"), &json!(["budget_amount"]))
    );
    assert_eq!(
        (
            &rules[3]["is_capped"],
            rules[3]["occurrences"].as_array().unwrap().len()
        ),
        (&json!(true), 3)
    );
    let patched = admin
        .patch(
            &format!("/v1/leads/{}", id(&made)),
            json!({ "budget_amount": "100000", "company": "甲" }),
        )
        .await
        .expect(200);
    assert_eq!(
        (&patched["score"], &patched["status"]),
        (&json!("30.5"), &json!("marketing_qualified"))
    );
    assert_eq!(read(admin, &made).await["version"], patched["version"]);
}

#[tokio::test]
async fn behaviour_counts_half_after_its_half_life_and_decay_never_moves_a_lead_back() {
    let company = sandbox("2024-03-15T08:00:00Z").await;
    let admin = &company.administrator;
    let rules = json!([each(
        "demos",
        "demo_requested",
        "40",
        json!({ "half_life_days": 1 })
    )]);
    publish(admin, document("m", rules)).await;
    let made = lead(admin, json!({})).await;
    did(admin, &made, "demo_requested").await;
    let fresh = read(admin, &made).await;
    assert_eq!(
        (&fresh["score"], &fresh["status"]),
        (&json!("40"), &json!("marketing_qualified"))
    );
    // Midnight in Shanghai is 16:00 UTC: the daily refresh, a third of a half-life later.
    move_clock(&company, "2024-03-15T15:59:59Z").await;
    assert_eq!(read(admin, &made).await["score"], "40");
    move_clock(&company, "2024-03-15T16:00:00Z").await;
    let refreshed = read(admin, &made).await;
    assert_eq!(refreshed["score"], "31.748");
    assert_eq!(refreshed["version"], fresh["version"]);
    move_clock(&company, "2024-03-16T08:00:00Z").await;
    assert_eq!(score(admin, &made).await["computed"], "20");
    assert_eq!(read(admin, &made).await["score"], "31.748");
    move_clock(&company, "2024-03-20T08:00:00Z").await;
    let later = read(admin, &made).await;
    assert!(points(&later["score"]) < 30_000, "{later}");
    assert_eq!(later["status"], "marketing_qualified");
}

#[tokio::test]
async fn time_alone_can_carry_a_lead_over_a_limit() {
    let company = sandbox("2024-03-15T08:00:00Z").await;
    let admin = &company.administrator;
    publish(
        admin,
        document(
            "m",
            json!([when("near", "35", "days_between(today, expected_need_on) <= 30")]),
        ),
    )
    .await;
    let made = lead(admin, json!({ "expected_need_on": "2024-04-20" })).await;
    assert_eq!((&made["score"], &made["status"]), (&json!("0"), &json!("new")));
    move_clock(&company, "2024-03-20T15:00:00Z").await;
    assert_eq!(read(admin, &made).await["status"], "new");
    move_clock(&company, "2024-03-20T16:00:00Z").await;
    let near = read(admin, &made).await;
    assert_eq!(
        (&near["score"], &near["status"]),
        (&json!("35"), &json!("marketing_qualified"))
    );
    assert_eq!(near["version"], 2);
    let timeline = admin
        .get(&format!("/v1/leads/{}/timeline", id(&made)))
        .await
        .expect(200);
    let event = &timeline["data"][0];
    assert_eq!(event["kind"], "lead.marketing_qualified", "{event}");
    assert_eq!(event["data"]["scoring"]["computed"], "35", "{event}");
}

#[tokio::test]
async fn a_candidate_is_reviewed_by_who_may() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let director = company.member("赵", "sales_director").await;
    let rules = json!([
        each("p", "price_asked", "35", json!({})),
        each("d", "demo_requested", "5", json!({}))
    ]);
    publish(admin, document("m", rules)).await;
    let made = lead(&li, json!({})).await;
    let path = format!("/v1/leads/{}", id(&made));
    let early = director.post(&format!("{path}/accept"), json!({})).await;
    assert_eq!(early.refused(409), "conflict");
    did(&li, &made, "price_asked").await;
    assert_eq!(read(&li, &made).await["status"], "marketing_qualified");
    did(&li, &made, "price_asked").await;
    let queue = director.get("/v1/lead-reviews?status=open").await.expect(200);
    assert_eq!(queue["data"][0]["lead_name"], made["name"]);
    assert!(queue["data"][0]["owner_name"].is_string());
    let review = &queue["data"][0];
    assert_eq!(
        (&review["lead_id"], &review["score"]),
        (&made["id"], &json!("70"))
    );
    assert_eq!(
        review["evidence"]["rules"],
        json!([{ "key": "p", "points": "70" }])
    );
    assert_eq!(
        li.get("/v1/lead-reviews").await.expect(200)["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let own = li.post(&format!("{path}/accept"), json!({})).await;
    assert_eq!(own.refused(403), "forbidden");
    let nameless = director
        .post(&format!("{path}/reject"), json!({ "reason": " " }))
        .await;
    assert_eq!(
        nameless.faults(),
        [("/reason".to_owned(), "too_short".to_owned())]
    );
    let rejected = director
        .post(&format!("{path}/reject"), json!({ "reason": "预算未确认" }))
        .await
        .expect(200);
    assert_eq!(
        (&rejected["status"], &rejected["decided_by"]),
        (&json!("rejected"), &json!(director.id))
    );
    let again = director
        .post(&format!("{path}/reject"), json!({ "reason": "x" }))
        .await;
    assert_eq!(again.refused(409), "conflict");

    // The same score is no news; a higher one is.
    li.patch(&path, json!({ "region": "华东" })).await.expect(200);
    assert_eq!(
        director.get("/v1/lead-reviews?status=open").await.expect(200)["data"],
        json!([])
    );
    did(&li, &made, "demo_requested").await;
    let accepted = director
        .post(&format!("{path}/accept"), json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&accepted["status"], &accepted["score"]),
        (&json!("sales_qualified"), &json!("75"))
    );
    let reviews = li
        .get(&format!("{path}/reviews?sort=created_at"))
        .await
        .expect(200);
    let states = reviews["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|review| &review["status"]);
    assert_eq!(states.collect::<Vec<_>>(), ["rejected", "accepted"]);
}

#[tokio::test]
async fn of_many_decisions_at_once_one_counts() {
    let company = company().await;
    let admin = &company.administrator;
    publish(admin, document("m", json!([when("all", "60", "name != null")]))).await;
    let made = lead(admin, json!({})).await;
    let path = format!("/v1/leads/{}", id(&made));
    let answers = join_all((0..8).map(async |step| {
        if step % 2 == 0 {
            admin.post(&format!("{path}/accept"), json!({})).await
        } else {
            admin
                .post(&format!("{path}/reject"), json!({ "reason": "x" }))
                .await
        }
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 || answer.refused(409) == "conflict")
    );
}

#[tokio::test]
async fn a_review_goes_with_its_candidate() {
    let company = company().await;
    let admin = &company.administrator;
    publish(admin, document("m", json!([when("all", "60", "name != null")]))).await;
    let made = lead(admin, json!({})).await;
    let path = format!("/v1/leads/{}", id(&made));
    admin
        .post(&format!("{path}/disqualify"), json!({ "reason": "假线索" }))
        .await
        .expect(200);
    let reviews = admin.get(&format!("{path}/reviews")).await.expect(200);
    assert_eq!(reviews["data"][0]["status"], "withdrawn");
    let reopened = admin.post(&format!("{path}/reopen"), json!({})).await.expect(200);
    assert_eq!(reopened["status"], "marketing_qualified");
    let queue = admin
        .get("/v1/lead-reviews?status=open&with_total=true")
        .await
        .expect(200);
    assert_eq!(queue["total"], 1);
}

#[tokio::test]
async fn candidates_pass_by_themselves_where_the_model_says_so() {
    let company = company().await;
    let admin = &company.administrator;
    let mut model = document("m", json!([when("all", "60", "name != null")]));
    model["limits"]["passes_automatically"] = json!(true);
    publish(admin, model).await;
    let made = lead(admin, json!({})).await;
    assert_eq!(
        (&made["status"], &made["score"]),
        (&json!("sales_qualified"), &json!("60"))
    );
    assert_eq!(admin.get("/v1/lead-reviews").await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn a_score_set_by_hand_counts_and_the_computed_one_is_kept_beside_it() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    publish(
        admin,
        document("m", json!([when("south", "10", "region == \"华南\"")])),
    )
    .await;
    let made = lead(&li, json!({})).await;
    let path = format!("/v1/leads/{}", id(&made));
    let by_hand = json!({ "score": "45.5", "reason": "展会上与总经理面谈" });
    let refused = li.post(&format!("{path}/override-score"), by_hand.clone()).await;
    assert_eq!(refused.refused(403), "forbidden");
    let set = admin
        .post(&format!("{path}/override-score"), by_hand)
        .await
        .expect(200);
    assert_eq!(
        (&set["score"], &set["computed"], &set["by_hand"]["reason"]),
        (&json!("45.5"), &json!("0"), &json!("展会上与总经理面谈"))
    );
    let patched = li.patch(&path, json!({ "region": "华南" })).await.expect(200);
    assert_eq!(
        (&patched["score"], &patched["status"]),
        (&json!("45.5"), &json!("marketing_qualified"))
    );
    assert_eq!(score(&li, &made).await["computed"], "10");
    let returned = admin
        .post(
            &format!("{path}/override-score"),
            json!({ "score": null, "reason": "误填" }),
        )
        .await
        .expect(200);
    assert_eq!(
        (&returned["score"], &returned["by_hand"]),
        (&json!("10"), &Value::Null)
    );
    let now = read(&li, &made).await;
    assert_eq!(
        (&now["score"], &now["status"]),
        (&json!("10"), &json!("marketing_qualified"))
    );
    let wrong = admin
        .post(
            &format!("{path}/override-score"),
            json!({ "score": "1e3", "reason": "" }),
        )
        .await;
    assert_eq!(wrong.faults().len(), 2, "{}", wrong.body);
}

#[tokio::test]
async fn of_behaviour_that_arrives_at_once_all_counts_and_what_is_sent_twice_counts_once() {
    let company = company().await;
    let admin = &company.administrator;
    publish(
        admin,
        document("m", json!([each("v", "visit", "0.5", json!({}))])),
    )
    .await;
    let made = lead(admin, json!({})).await;
    let path = format!("/v1/leads/{}/behaviours", id(&made));
    let answers = join_all((0..32).map(|_| admin.post(&path, json!({ "kind": "visit" })))).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    assert_eq!(read(admin, &made).await["score"], "16");

    let same = json!({ "kind": "visit", "external_id": "evt-1" });
    let answers = join_all((0..16).map(|_| admin.post(&path, same.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.body["id"] == answers[0].body["id"])
    );
    assert_eq!(read(admin, &made).await["score"], "16.5");
    let listed = admin
        .get(&format!("{path}?with_total=true&kind=visit"))
        .await
        .expect(200);
    assert_eq!(listed["total"], 33);
}

#[tokio::test]
async fn behaviour_lies_behind_us_and_belongs_to_a_lead_that_one_may_write() {
    let (one, other) = (company().await, company().await);
    let li = one.member("李", "sales_representative").await;
    let reader = one.member("读", "read_only").await;
    let made = lead(&li, json!({})).await;
    let path = format!("/v1/leads/{}/behaviours", id(&made));
    let ahead = li
        .post(
            &path,
            json!({ "kind": "visit", "occurred_at": "2999-01-01T00:00:00Z" }),
        )
        .await;
    assert_eq!(
        ahead.faults(),
        [("/occurred_at".to_owned(), "out_of_range".to_owned())]
    );
    let unknown = li.post(&path, json!({ "kind": "visitt" })).await;
    assert_eq!(unknown.status, 422, "{}", unknown.body);
    let visit = json!({ "kind": "visit" });
    assert_eq!(reader.post(&path, visit.clone()).await.refused(403), "forbidden");
    assert_eq!(
        other.administrator.post(&path, visit.clone()).await.refused(404),
        "not_found"
    );
    for part in ["score", "behaviours", "reviews", "profile-match"] {
        let foreign = other
            .administrator
            .get(&format!("/v1/leads/{}/{part}", id(&made)))
            .await;
        assert_eq!(foreign.refused(404), "not_found", "{part}");
    }
    for verb in ["accept", "reject", "override-score"] {
        let body = match verb {
            "reject" => json!({ "reason": "x" }),
            "override-score" => json!({ "score": "1", "reason": "x" }),
            _ => json!({}),
        };
        let foreign = other
            .administrator
            .post(&format!("/v1/leads/{}/{verb}", id(&made)), body)
            .await;
        assert_eq!(foreign.refused(404), "not_found", "{verb}");
    }
    // Without a model there is no score, and nothing moves.
    li.post(&path, visit).await.expect(201);
    let bare = score(&li, &made).await;
    assert_eq!(
        (&bare["score"], &bare["model"], &bare["rules"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
}

#[tokio::test]
async fn lists_sort_and_filter_by_what_counts() {
    let company = company().await;
    let admin = &company.administrator;
    let rules = json!([
        when("south", "10", "region == \"华南\""),
        when("east", "-5", "region == \"华东\"")
    ]);
    publish(admin, document("m", rules)).await;
    for region in ["华南", "华东", "华北"] {
        lead(admin, json!({ "name": region, "region": region })).await;
    }
    let names = |page: Value| {
        let data = page["data"].as_array().unwrap().clone();
        data.iter()
            .map(|lead| lead["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let page = admin.get("/v1/leads?sort=-score").await.expect(200);
    assert_eq!(names(page), ["华南", "华北", "华东"]);
    let page = admin.get("/v1/leads?sort=score&score_min=0").await.expect(200);
    assert_eq!(names(page), ["华北", "华南"]);
    let first = admin.get("/v1/leads?sort=-score&limit=1").await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = admin
        .get(&format!("/v1/leads?sort=-score&limit=5&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(names(rest), ["华北", "华东"]);
}

#[tokio::test]
async fn grades_follow_the_days_at_local_midnight() {
    let company = sandbox("2024-03-05T08:00:00Z").await;
    let admin = &company.administrator;
    let mut ids = Vec::new();
    for (name, need) in [
        ("b→a", "2024-04-06"),
        ("c→b", "2024-09-07"),
        ("stays", "2024-07-01"),
    ] {
        let body = json!({ "name": name, "expected_need_on": need });
        ids.push(id(&admin.post("/v1/accounts", body).await.expect(201)));
    }
    let by_hand = json!({ "name": "by hand", "expected_need_on": "2024-04-06", "grade": "c" });
    ids.push(id(&admin.post("/v1/accounts", by_hand).await.expect(201)));
    let grades = async || {
        let mut grades = Vec::new();
        for id in &ids {
            let account = admin.get(&format!("/v1/accounts/{id}")).await.expect(200);
            grades.push(account["grade"].as_str().unwrap().to_owned());
        }
        grades
    };
    assert_eq!(grades().await, ["b", "c", "b", "c"]);
    // The needs come within 30 days, and within six months, on 7 March in Shanghai: from 16:00 UTC of the 6th.
    move_clock(&company, "2024-03-06T15:59:59Z").await;
    assert_eq!(grades().await, ["b", "c", "b", "c"]);
    move_clock(&company, "2024-03-06T16:00:00Z").await;
    assert_eq!(grades().await, ["a", "b", "b", "c"]);
    let timeline = admin
        .get(&format!("/v1/accounts/{}/timeline", ids[0]))
        .await
        .expect(200);
    let event = &timeline["data"][0];
    assert_eq!(event["kind"], "account.graded", "{event}");
    assert_eq!(
        event["data"]["changes"]["grade"],
        json!({ "before": "b", "after": "a" }),
        "{event}"
    );
    let untouched = admin.get(&format!("/v1/accounts/{}", ids[2])).await.expect(200);
    assert_eq!(untouched["version"], 1);
}
