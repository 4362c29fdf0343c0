//! Room 3: scoring models and their versions, scoring anew; room 2: ideal customers.

use crate::support::app::{company, id};
use crate::support::make_events::Own;
use crate::support::make_scoring::{did, document, each, lead, publish, read, rescore, score, when};
use futures::future::join_all;
use penstock::check;
use penstock::crm::resources::LEAD;
use penstock::crm::scoring::document::ScoringDocument;
use penstock::crm::scoring::versions;
use penstock::platform::records::store;
use penstock::platform::reply::Reply;
use serde_json::{Value, json};

#[tokio::test]
async fn a_model_is_checked_when_it_is_saved_all_faults_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let bad = json!({ "key": "m", "name": "m",
        "rules": [when("a", "1", "regio == \"x\""), when("a", "1", "budget_amount > \"x\""), when("c", "1", "score > 1")],
        "limits": { "marketing_qualified": "50", "sales_qualified": "40" } });
    let refused = admin.post("/v1/scoring-models", json!({ "document": bad })).await;
    assert_eq!(refused.refused(422), "invalid");
    let pointers = refused
        .faults()
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect::<Vec<_>>();
    assert_eq!(
        pointers,
        [
            "/document/limits/sales_qualified",
            "/document/rules/0/condition",
            "/document/rules/1/condition",
            "/document/rules/1/key",
            "/document/rules/2/condition",
        ]
    );
    let both = admin
        .post(
            "/v1/scoring-models",
            json!({ "document": document("m", json!([when("a", "1", "true == true")])), "template": "b2b" }),
        )
        .await;
    assert_eq!(both.faults(), [("/template".to_owned(), "invalid".to_owned())]);
    let unknown = admin
        .post("/v1/scoring-models", json!({ "template": "none" }))
        .await;
    assert_eq!(
        unknown.faults(),
        [("/template".to_owned(), "not_found".to_owned())]
    );
    let neither = admin.post("/v1/scoring-models", json!({})).await;
    assert_eq!(
        neither.faults(),
        [("/document".to_owned(), "required".to_owned())]
    );
}

#[tokio::test]
async fn a_published_version_never_changes_and_a_company_scores_by_one() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let rules = json!([when("a", "1", "name != null")]);
    let one = publish(admin, document("one", rules.clone())).await;
    let edit = json!({ "document": document("one", json!([when("a", "2", "name != null")])) });
    assert_eq!(
        admin
            .put(&format!("{one}/versions/1"), edit.clone())
            .await
            .refused(409),
        "version_published"
    );
    let draft = admin
        .post(&format!("{one}/versions"), json!({}))
        .await
        .expect(201);
    assert_eq!((&draft["number"], &draft["state"]), (&json!(2), &json!("draft")));
    assert_eq!(
        admin
            .post(&format!("{one}/versions"), json!({}))
            .await
            .refused(409),
        "conflict"
    );
    let edited = admin.put(&format!("{one}/versions/2"), edit).await.expect(200);
    assert_eq!(edited["document"]["rules"][0]["points"], "2");
    let other_key = json!({ "document": document("other", rules.clone()) });
    assert_eq!(
        admin.put(&format!("{one}/versions/2"), other_key).await.faults()[0].0,
        "/document/key"
    );
    assert_eq!(
        li.post(&format!("{one}/versions/2/publish"), json!({}))
            .await
            .refused(403),
        "forbidden"
    );

    let two = publish(admin, document("two", rules)).await;
    let versions = admin
        .get(&format!("{one}/versions?state=retired"))
        .await
        .expect(200);
    assert_eq!(versions["data"][0]["number"], 1);
    assert_eq!(admin.get(&one).await.expect(200)["published_number"], Value::Null);
    assert_eq!(admin.get(&two).await.expect(200)["published_number"], 1);
    assert_eq!(admin.delete(&two).await.refused(409), "in_use");
    admin.delete(&one).await.expect(200);
    let duplicate = json!({ "document": document("two", json!([when("a", "1", "name != null")])) });
    assert_eq!(
        admin.post("/v1/scoring-models", duplicate).await.refused(409),
        "duplicate"
    );
    let made = lead(&li, json!({})).await;
    assert_eq!(made["score"], "1");
}

#[tokio::test]
async fn of_many_models_published_at_once_one_stays_published() {
    let company = company().await;
    let admin = &company.administrator;
    let mut paths = Vec::new();
    for key in ["a", "b", "c", "d"] {
        let body = json!({ "document": document(key, json!([when("r", "1", "name != null")])) });
        let made = admin.post("/v1/scoring-models", body).await.expect(201);
        paths.push(format!("/v1/scoring-models/{}/versions/1/publish", id(&made)));
    }
    let answers = join_all(paths.iter().map(|path| admin.post(path, json!({})))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let models = admin.get("/v1/scoring-models").await.expect(200);
    let models = models["data"].as_array().unwrap();
    assert_eq!(
        models
            .iter()
            .filter(|model| !model["published_number"].is_null())
            .count(),
        1
    );
}

#[tokio::test]
async fn the_shipped_model_works_as_it_is() {
    let company = company().await;
    let admin = &company.administrator;
    let templates = admin.get("/v1/scoring-model-templates").await.expect(200);
    assert_eq!(templates["data"][0]["key"], "b2b");
    let made = admin
        .post("/v1/scoring-models", json!({ "template": "b2b" }))
        .await
        .expect(201);
    admin
        .post(
            &format!("/v1/scoring-models/{}/versions/1/publish", id(&made)),
            json!({}),
        )
        .await
        .expect(200);
    let made = lead(
        admin,
        json!({ "company": "制造有限公司", "email": "wang@example.com", "budget_amount": "220000", "need": "设备监控" }),
    )
    .await;
    assert_eq!((&made["score"], &made["status"]), (&json!("35"), &json!("new")));
    did(admin, &made, "price_asked").await;
    did(admin, &made, "demo_requested").await;
    let hot = read(admin, &made).await;
    assert_eq!(
        (&hot["score"], &hot["status"]),
        (&json!("80"), &json!("marketing_qualified"))
    );
    assert_eq!(
        admin.get("/v1/lead-reviews?status=open").await.expect(200)["data"][0]["lead_id"],
        hot["id"]
    );
}

#[tokio::test]
async fn leads_and_accounts_match_ideal_customers_more_or_less() {
    let (one, other) = (company().await, company().await);
    let admin = &one.administrator;
    let criteria = json!([
        { "key": "industry", "name": "Manufacturing", "name_zh": "制造业", "weight": "3", "condition": "industry == \"制造业\"" },
        { "key": "size", "name": "From 200 people", "weight": "1", "condition": "employees >= 200" },
    ]);
    let body = json!({ "key": "manufacturer", "name": "Manufacturers", "criteria": criteria });
    let profile = admin
        .post("/v1/customer-profiles", body.clone())
        .await
        .expect(201);
    let mut wrong = body;
    wrong["key"] = json!("x");
    wrong["criteria"][0]["condition"] = json!("branch == 1");
    wrong["criteria"][1]["key"] = json!("industry");
    wrong["criteria"][1]["weight"] = json!("0");
    let refused = admin.post("/v1/customer-profiles", wrong).await;
    let pointers = refused
        .faults()
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect::<Vec<_>>();
    assert_eq!(
        pointers,
        ["/criteria/0/condition", "/criteria/1/key", "/criteria/1/weight"]
    );

    let account = json!({ "name": "甲", "industry": "制造业", "employees": 500 });
    let account = id(&admin.post("/v1/accounts", account).await.expect(201));
    let matched = admin
        .get(&format!("/v1/accounts/{account}/profile-match"))
        .await
        .expect(200);
    assert_eq!(
        (&matched["best"]["match"], &matched["best"]["profile_id"]),
        (&json!("1.0000"), &profile["id"])
    );
    let foreign = other
        .administrator
        .get(&format!("/v1/accounts/{account}/profile-match"))
        .await;
    assert_eq!(foreign.refused(404), "not_found");

    publish(
        admin,
        document(
            "m",
            json!([when(
                "ideal",
                "20",
                "profile.match >= 0.75 && profile.key == \"manufacturer\""
            )]),
        ),
    )
    .await;
    let made = lead(admin, json!({ "industry": "制造业" })).await;
    assert_eq!(made["score"], "20");
    let matched = admin
        .get(&format!("/v1/leads/{}/profile-match", id(&made)))
        .await
        .expect(200);
    assert_eq!(matched["best"]["match"], "0.7500");
    assert_eq!(matched["best"]["criteria"][1]["outcome"], "unknown");
    admin
        .delete(&format!("/v1/customer-profiles/{}", id(&profile)))
        .await
        .expect(200);
    let told = score(admin, &made).await;
    assert_eq!((&told["computed"], &told["profile"]), (&json!("0"), &Value::Null));
}

#[tokio::test]
async fn check_finds_scores_that_are_not_what_the_model_gives_and_leads_behind_their_limits() {
    let own = Own::new(None).await;
    let ctx = own.ctx().await;
    let model: ScoringDocument = serde_json::from_value(document(
        "m",
        json!([
            when("south", "40", "region == \"华南\""),
            each("v", "visit", "5", json!({ "half_life_days": 3 }))
        ]),
    ))
    .unwrap();
    let made = own.db.write(&ctx, async |tx| {
        let version = versions::create(tx, &ctx, &model, "/document").await?;
        versions::publish(tx, &ctx, version.model_id, 1).await?;
        for region in ["华南", "华北"] {
            let lead = json!({ "name": region, "region": region });
            store::create(tx, &ctx, &LEAD, None, lead.as_object().unwrap().clone()).await?;
        }
        Ok(Reply::no_content())
    });
    made.await.unwrap();
    assert_eq!(found(&own).await, Vec::<String>::new());
    own.tamper("UPDATE lead_scores SET total = 41, fit = 41 WHERE total = 40; UPDATE leads SET score = 41 WHERE score = 40").await;
    assert_eq!(found(&own).await, ["its stored score of 41 is not the 40"]);
    own.tamper("UPDATE lead_scores SET total = 40, fit = 40 WHERE total = 41; UPDATE leads SET score = 12 WHERE score = 41").await;
    assert_eq!(found(&own).await, ["its score is 12, the one kept for it 40"]);
    own.tamper("UPDATE leads SET score = 40, status = 'working' WHERE score = 12")
        .await;
    assert_eq!(
        found(&own).await,
        ["its score of 40 reaches the limit of marketing qualification, and it is working"]
    );
}

/// The beginnings of what `check` finds about scores.
async fn found(own: &Own) -> Vec<String> {
    let findings = check::run(&own.url).await.unwrap();
    let sentences = findings.into_iter().map(|finding| finding.sentence);
    sentences
        .map(|sentence| sentence.split(" that the model").next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn after_a_change_of_the_model_leads_are_scored_anew_first_to_see_then_in_earnest() {
    let company = company().await;
    let admin = &company.administrator;
    let li = company.member("李", "sales_representative").await;
    let model = publish(
        admin,
        document("m", json!([when("south", "10", "region == \"华南\"")])),
    )
    .await;
    let south = lead(admin, json!({ "region": "华南" })).await;
    let north = lead(admin, json!({ "region": "华北" })).await;
    let draft = json!({ "document": document("m", json!([when("south", "65", "region == \"华南\"")])) });
    admin.post(&format!("{model}/versions"), draft).await.expect(201);
    let version = format!("{model}/versions/2");
    let refused = li
        .post(&format!("{version}/rescore"), json!({ "is_preview": true }))
        .await;
    assert_eq!(refused.refused(403), "forbidden");
    let early = admin
        .post(&format!("{version}/rescore"), json!({ "is_preview": false }))
        .await;
    assert_eq!(early.refused(409), "conflict");

    let preview = rescore(admin, &version, true).await;
    let report = &preview["report"];
    assert_eq!(
        (&report["leads"], &report["changed"]),
        (&json!(2), &json!(1)),
        "{preview}"
    );
    assert_eq!(
        report["crossings"]["sales_qualified"],
        json!({ "rose": 1, "fell": 0 })
    );
    assert_eq!(report["steps"]["put_to_review"], 1);
    assert_eq!(
        report["movers"],
        json!([{ "lead_id": south["id"], "before": "10", "after": "65" }])
    );
    assert_eq!(read(admin, &south).await["score"], "10");

    admin
        .post(&format!("{version}/publish"), json!({}))
        .await
        .expect(200);
    assert_eq!(read(admin, &south).await["score"], "10");
    let done = rescore(admin, &version, false).await;
    assert_eq!(done["report"], preview["report"]);
    let now = read(admin, &south).await;
    assert_eq!(
        (&now["score"], &now["status"]),
        (&json!("65"), &json!("marketing_qualified"))
    );
    let unmoved = read(admin, &north).await;
    assert_eq!(
        (&unmoved["score"], &unmoved["version"]),
        (&json!("0"), &north["version"])
    );
    let queue = admin.get("/v1/lead-reviews?status=open").await.expect(200);
    assert_eq!(queue["data"][0]["lead_id"], south["id"]);
}
