//! Room 3: need, budget and decision window of a lead, each confirmed or not.

use crate::support::app::{Answer, Company, Person, company, id};
use crate::support::make_assignment::rule;
use crate::support::make_crm::lead;
use crate::support::make_deals::plain;
use crate::support::make_pipelines::published;
use crate::support::make_scoring::{document, publish, when};
use futures::future::join_all;
use penstock::check;
use reqwest::Method;
use serde_json::{Value, json};
use std::slice::from_ref;

async fn make(person: &Person, body: Value) -> String {
    id(&person.post("/v1/leads", body).await.expect(201))
}

async fn read(person: &Person, lead: &str) -> Value {
    person.get(&format!("/v1/leads/{lead}")).await.expect(200)
}

async fn patch(person: &Person, lead: &str, body: Value) -> Answer {
    person.patch(&format!("/v1/leads/{lead}"), body).await
}

async fn step(person: &Person, lead: &str, verb: &str, body: Value) -> Answer {
    person.post(&format!("/v1/leads/{lead}/{verb}"), body).await
}

/// The changes that the newest event of a lead tells of.
async fn told(person: &Person, lead: &str) -> (String, Value) {
    let timeline = person
        .get(&format!("/v1/leads/{lead}/timeline?limit=1"))
        .await
        .expect(200);
    let event = &timeline["data"][0];
    let kind = event["kind"].as_str().unwrap().to_owned();
    (kind, event["data"]["changes"].clone())
}

async fn is_clean(company: &Company) {
    let url = &crate::support::app::server().await.url;
    let mut found = check::run(url).await.unwrap();
    found.retain(|finding| finding.tenant == company.tenant);
    assert!(found.is_empty(), "{found:#?}");
}

/// A lead that says everything, everything confirmed.
async fn confirmed(person: &Person) -> String {
    let said = json!({ "name": "王芳", "need": "设备监控", "budget_amount": "220000", "decision_from": "2034-05-01", "decision_until": "2034-06-30" });
    let lead = make(person, said).await;
    let body = json!({ "need": { "method": "phone_call", "note": "王总电话确认" }, "budget": { "ability_to_pay": "sufficient" }, "decision_window": {} });
    step(person, &lead, "confirm", body).await.expect(200);
    lead
}

#[tokio::test]
async fn each_signal_is_confirmed_by_somebody_at_an_instant_and_the_lead_shows_it() {
    let company = company().await;
    let li = company.member("李", "sales_representative").await;
    let lead = confirmed(&li).await;
    let read = read(&li, &lead).await;
    for flag in [
        "is_need_confirmed",
        "is_budget_confirmed",
        "is_decision_window_confirmed",
    ] {
        assert_eq!(read[flag], true, "{flag}");
    }
    assert_eq!(read["ability_to_pay"], "sufficient");
    assert_eq!(
        (&read["decision_from"], &read["decision_until"]),
        (&json!("2034-05-01"), &json!("2034-06-30"))
    );
    let need = &read["confirmations"]["need"];
    assert_eq!(
        (&need["confirmed_by"], &need["method"], &need["note"]),
        (&json!(li.id), &json!("phone_call"), &json!("王总电话确认"))
    );
    assert_eq!(need["confirmed_at"], read["updated_at"]);
    let (kind, changes) = told(&li, &lead).await;
    assert_eq!(kind, "lead.signals_confirmed");
    assert_eq!(changes["confirmations"]["before"], Value::Null);
    assert_eq!(changes["confirmations"]["after"], read["confirmations"]);
}

#[tokio::test]
async fn what_was_confirmed_of_a_value_goes_with_the_value_and_the_event_says_so() {
    let company = company().await;
    let admin = &company.administrator;
    let lead = confirmed(admin).await;
    let untouched = patch(
        admin,
        &lead,
        json!({ "budget_amount": "220000.00", "region": "华东" }),
    )
    .await
    .expect(200);
    assert_eq!(untouched["is_budget_confirmed"], true);
    let changed = patch(admin, &lead, json!({ "budget_amount": "80000" }))
        .await
        .expect(200);
    assert_eq!(
        (&changed["is_budget_confirmed"], &changed["ability_to_pay"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(
        (
            &changed["is_need_confirmed"],
            &changed["is_decision_window_confirmed"]
        ),
        (&json!(true), &json!(true))
    );
    let (kind, changes) = told(admin, &lead).await;
    assert_eq!(kind, "lead.updated");
    let confirmations = &changes["confirmations"];
    assert_eq!(confirmations["before"]["budget"]["ability_to_pay"], "sufficient");
    assert_eq!(confirmations["after"].get("budget"), None);

    let later = patch(
        admin,
        &lead,
        json!({ "decision_until": "2034-07-31", "need": null }),
    )
    .await
    .expect(200);
    assert_eq!(later["confirmations"], Value::Null);
    assert_eq!(later["decision_from"], "2034-05-01");
    is_clean(&company).await;
}

#[tokio::test]
async fn confirming_again_takes_the_place_and_taking_back_leaves_the_value() {
    let company = company().await;
    let admin = &company.administrator;
    let lead = confirmed(admin).await;
    let again = json!({ "budget": { "ability_to_pay": "insufficient", "note": "预算明年才批" } });
    let again = step(admin, &lead, "confirm", again).await.expect(200);
    assert_eq!(again["ability_to_pay"], "insufficient");
    assert_eq!(again["confirmations"]["need"]["note"], "王总电话确认");
    let body = json!({ "signals": ["budget", "need"] });
    let left = step(admin, &lead, "unconfirm", body.clone()).await.expect(200);
    assert_eq!(
        (&left["is_need_confirmed"], &left["need"], &left["ability_to_pay"]),
        (&json!(false), &json!("设备监控"), &Value::Null)
    );
    assert_eq!(left["is_decision_window_confirmed"], true);
    assert_eq!(told(admin, &lead).await.0, "lead.signals_unconfirmed");
    assert_eq!(
        step(admin, &lead, "unconfirm", body).await.refused(409),
        "conflict"
    );
}

#[tokio::test]
async fn what_a_confirmation_needs_is_named() {
    let company = company().await;
    let admin = &company.administrator;
    let bare = lead(admin, "王芳").await;
    let refused = step(
        admin,
        &bare,
        "confirm",
        json!({ "need": {}, "decision_window": {} }),
    )
    .await;
    assert_eq!(refused.refused(422), "invalid");
    assert_eq!(
        refused.faults(),
        [
            ("/decision_window".to_owned(), "invalid".to_owned()),
            ("/need".to_owned(), "invalid".to_owned())
        ]
    );
    let chinese = admin
        .request(Method::POST, &format!("/v1/leads/{bare}/confirm"))
        .await
        .header("accept-language", "zh-CN")
        .json(&json!({ "need": {} }));
    let chinese = Answer::of(chinese).await;
    assert_eq!(
        chinese.body["errors"][0]["message"],
        "无法确认:线索尚未填写该信息"
    );
    assert_eq!(
        step(admin, &bare, "confirm", json!({})).await.faults(),
        [(String::new(), "required".to_owned())]
    );
    let without = step(
        admin,
        &bare,
        "confirm",
        json!({ "budget": { "method": "guess" } }),
    )
    .await;
    assert_eq!(without.refused(422), "invalid");
    assert_eq!(without.faults().len(), 2);
    let read_only = patch(
        admin,
        &bare,
        json!({ "is_need_confirmed": true, "confirmations": {} }),
    )
    .await;
    assert_eq!(read_only.faults().len(), 2);
    let window = json!({ "decision_from": "2034-05-02", "decision_until": "2034-05-01" });
    assert_eq!(
        patch(admin, &bare, window.clone()).await.faults(),
        [("/decision_until".to_owned(), "out_of_range".to_owned())]
    );
    let mut made = window;
    made["name"] = json!("李雷");
    assert_eq!(
        admin.post("/v1/leads", made).await.faults(),
        [("/decision_until".to_owned(), "out_of_range".to_owned())]
    );
    let stale = admin
        .request(Method::POST, &format!("/v1/leads/{bare}/confirm"))
        .await
        .header("if-match", "\"7\"")
        .json(&json!({ "budget": { "ability_to_pay": "none" } }));
    assert_eq!(Answer::of(stale).await.refused(412), "stale");
    assert_eq!(read(admin, &bare).await["version"], 1);
}

#[tokio::test]
async fn signals_are_confirmed_only_by_whoever_may_write_the_lead() {
    let (one, other) = (company().await, company().await);
    let li = one.member("李", "sales_representative").await;
    let wang = one.member("王", "sales_representative").await;
    let reader = one.member("读", "read_only").await;
    let lead = confirmed(&li).await;
    let (budget, need) = (
        json!({ "budget": { "ability_to_pay": "none" } }),
        json!({ "signals": ["need"] }),
    );
    for stranger in [&wang, &other.administrator] {
        assert_eq!(
            step(stranger, &lead, "confirm", budget.clone())
                .await
                .refused(404),
            "not_found"
        );
        assert_eq!(
            step(stranger, &lead, "unconfirm", need.clone())
                .await
                .refused(404),
            "not_found"
        );
    }
    assert_eq!(
        step(&reader, &lead, "confirm", budget).await.refused(403),
        "forbidden"
    );
    assert_eq!(
        step(&reader, &lead, "unconfirm", need).await.refused(403),
        "forbidden"
    );
    assert_eq!(read(&reader, &lead).await["is_need_confirmed"], true);
}

#[tokio::test]
async fn a_need_without_budget_rests_for_a_reason_and_is_found_again() {
    let company = company().await;
    let admin = &company.administrator;
    let poor = make(admin, json!({ "name": "王芳", "need": "设备监控" })).await;
    let rich = confirmed(admin).await;
    let unasked = make(admin, json!({ "name": "李雷", "need": "设备监控" })).await;
    let found = json!({ "need": {}, "budget": { "ability_to_pay": "none" } });
    step(admin, &poor, "confirm", found).await.expect(200);
    let until = json!({ "until": "2099-06-01", "reason": "今年没有预算" });
    let rests = step(admin, &poor, "nurture", until).await.expect(200);
    assert_eq!(
        (
            &rests["status"],
            &rests["nurture_until"],
            &rests["nurture_reason"]
        ),
        (&json!("nurturing"), &json!("2099-06-01"), &json!("今年没有预算"))
    );
    assert_eq!(
        told(admin, &poor).await.1["nurture_reason"]["after"],
        "今年没有预算"
    );

    let listed = async |query: &str| {
        let page = admin
            .get(&format!("/v1/leads?sort=created_at&{query}"))
            .await
            .expect(200);
        let leads = page["data"].as_array().unwrap().clone();
        leads.iter().map(id).collect::<Vec<_>>()
    };
    let broke = "status=nurturing&is_need_confirmed=true&ability_to_pay=none&ability_to_pay=insufficient";
    assert_eq!(listed(broke).await, from_ref(&poor));
    assert_eq!(
        listed("is_budget_confirmed=true").await,
        [poor.clone(), rich.clone()]
    );
    assert_eq!(listed("is_budget_confirmed=false").await, from_ref(&unasked));
    assert_eq!(listed("decision_until_before=2034-07-01").await, from_ref(&rich));
    let tree = json!({ "filter": { "and": [
        { "member": "is_need_confirmed", "eq": true }, { "member": "ability_to_pay", "in": ["none", "insufficient"] } ] } });
    let searched = admin.post("/v1/leads/search", tree).await.expect(200);
    assert_eq!(searched["data"].as_array().unwrap().len(), 1);
    let unknown = json!({ "filter": { "member": "ability_to_pay", "is_empty": true } });
    let searched = admin.post("/v1/leads/search", unknown).await.expect(200);
    assert_eq!(id(&searched["data"][0]), unasked);
    let wrong = admin.get("/v1/leads?ability_to_pay=much").await;
    assert_eq!(wrong.refused(400), "bad_parameter");

    let empty = step(
        admin,
        &unasked,
        "nurture",
        json!({ "until": "2099-06-01", "reason": " " }),
    )
    .await;
    assert_eq!(empty.faults(), [("/reason".to_owned(), "too_short".to_owned())]);
    let given_up = step(admin, &poor, "disqualify", json!({ "reason": "没有预算" }))
        .await
        .expect(200);
    assert_eq!(given_up["nurture_reason"], Value::Null);
    assert_eq!(
        listed("status=disqualified&ability_to_pay=none").await,
        from_ref(&poor)
    );
    let reopened = step(admin, &poor, "reopen", json!({})).await.expect(200);
    assert_eq!(reopened["ability_to_pay"], "none");
}

#[tokio::test]
async fn a_confirmation_and_a_change_of_its_value_at_once_leave_none_of_another_value() {
    let company = company().await;
    let admin = &company.administrator;
    for round in 0..12 {
        let lead = make(admin, json!({ "name": "王芳", "need": "设备监控" })).await;
        let need = json!({ "need": {}, "budget": { "ability_to_pay": "none" } });
        let (confirmed, changed) = futures::join!(
            step(admin, &lead, "confirm", need),
            patch(admin, &lead, json!({ "need": "仓储" })),
        );
        confirmed.expect(200);
        let version = changed.expect(200)["version"].clone();
        let read = read(admin, &lead).await;
        // Whoever came second settles it: the change takes the confirmation back, or the new need was confirmed.
        assert_eq!(
            read["is_need_confirmed"],
            json!(version == 2),
            "round {round}: {read}"
        );
        assert_eq!(read["ability_to_pay"], "none");
        assert_eq!(read["need"], "仓储");
    }
}

#[tokio::test]
async fn several_who_confirm_different_signals_at_once_all_have_their_say() {
    let company = company().await;
    let admin = &company.administrator;
    let said = json!({ "name": "王芳", "need": "设备监控", "decision_from": "2034-05-01" });
    let lead = make(admin, said).await;
    let bodies = [
        json!({ "need": {} }),
        json!({ "budget": { "ability_to_pay": "insufficient" } }),
        json!({ "decision_window": {} }),
    ];
    let answers = join_all(bodies.map(|body| step(admin, &lead, "confirm", body))).await;
    for answer in answers {
        answer.expect(200);
    }
    let after = patch(admin, &lead, json!({ "region": "华东" })).await.expect(200);
    assert_eq!(after["confirmations"].as_object().unwrap().len(), 3);
    assert_eq!(after["version"], 5);
}

#[tokio::test]
async fn merging_keeps_what_was_confirmed_of_the_values_that_go_on_and_undoing_gives_it_back() {
    let company = company().await;
    let admin = &company.administrator;
    let survivor = make(
        admin,
        json!({ "name": "王芳", "budget_amount": "5000", "decision_until": "2034-03-01" }),
    )
    .await;
    let none = json!({ "budget": { "ability_to_pay": "insufficient" } });
    step(admin, &survivor, "confirm", none).await.expect(200);
    let before = read(admin, &survivor).await;
    let loser = confirmed(admin).await;
    let of_loser = read(admin, &loser).await;
    let body = json!({ "loser_ids": [loser] });
    let merged = step(admin, &survivor, "merge", body).await.expect(200);
    let after = read(admin, &survivor).await;
    assert_eq!(
        (&after["need"], &after["budget_amount"]),
        (&json!("设备监控"), &json!("5000.00"))
    );
    // The window of one, whole: not the beginning of one and the end of the other.
    assert_eq!(
        (
            &after["decision_from"],
            &after["decision_until"],
            &after["is_decision_window_confirmed"]
        ),
        (&Value::Null, &json!("2034-03-01"), &json!(false))
    );
    assert_eq!(after["confirmations"]["need"], of_loser["confirmations"]["need"]);
    assert_eq!(after["ability_to_pay"], "insufficient");
    is_clean(&company).await;

    let undo = format!("merges/{}/undo", merged["merge_id"].as_str().unwrap());
    step(admin, &survivor, &undo, json!({})).await.expect(200);
    let (back, revived) = (read(admin, &survivor).await, read(admin, &loser).await);
    for member in [
        "need",
        "decision_from",
        "decision_until",
        "confirmations",
        "ability_to_pay",
    ] {
        assert_eq!(back[member], before[member], "{member}");
        assert_eq!(revived[member], of_loser[member], "{member}");
    }
    is_clean(&company).await;
}

#[tokio::test]
async fn a_chosen_window_comes_whole_and_with_its_confirmation() {
    let company = company().await;
    let admin = &company.administrator;
    let survivor = make(admin, json!({ "name": "王芳", "decision_from": "2035-01-01" })).await;
    let loser = confirmed(admin).await;
    let body = json!({ "loser_ids": [loser], "choices": { "decision_until": loser } });
    let merged = step(admin, &survivor, "merge", body).await.expect(200);
    let after = &merged["survivor"];
    assert_eq!(
        (
            &after["decision_from"],
            &after["decision_until"],
            &after["is_decision_window_confirmed"]
        ),
        (&json!("2034-05-01"), &json!("2034-06-30"), &json!(true))
    );
    // A value that was changed since the merge stays, and no confirmation of another one with it.
    patch(admin, &survivor, json!({ "need": "仓储" }))
        .await
        .expect(200);
    let undo = format!("merges/{}/undo", merged["merge_id"].as_str().unwrap());
    let undone = step(admin, &survivor, &undo, json!({})).await.expect(200);
    assert_eq!(undone["kept_members"], json!(["need", "confirmations"]));
    let back = read(admin, &survivor).await;
    assert_eq!(
        (&back["need"], &back["is_need_confirmed"]),
        (&json!("仓储"), &json!(false))
    );
    assert_eq!(
        (&back["decision_from"], &back["is_decision_window_confirmed"]),
        (&json!("2035-01-01"), &json!(false))
    );
    is_clean(&company).await;
}

#[tokio::test]
async fn a_converted_lead_hands_its_signals_on_and_is_confirmed_no_more() {
    let company = company().await;
    let admin = &company.administrator;
    published(admin, plain()).await;
    let lead = confirmed(admin).await;
    let done = step(admin, &lead, "convert", json!({ "opportunity": {} }))
        .await
        .expect(200);
    let deal = format!("/v1/opportunities/{}", done["opportunity_id"].as_str().unwrap());
    let deal = admin.get(&deal).await.expect(200);
    assert_eq!(
        (&deal["amount"], &deal["description"], &deal["expected_close_on"]),
        (&json!("220000.00"), &json!("设备监控"), &json!("2034-06-30"))
    );
    assert_eq!(read(admin, &lead).await["is_need_confirmed"], true);
    for (verb, body) in [
        ("confirm", json!({ "budget": { "ability_to_pay": "none" } })),
        ("unconfirm", json!({ "signals": ["need"] })),
    ] {
        assert_eq!(
            step(admin, &lead, verb, body).await.refused(409),
            "already_converted"
        );
    }
}

#[tokio::test]
async fn scores_and_assignment_rules_read_what_is_confirmed() {
    let company = company().await;
    let admin = &company.administrator;
    let rules = json!([
        when("need", "20", "is_need_confirmed"),
        when("money", "15", "ability_to_pay == \"sufficient\""),
    ]);
    publish(admin, document("m", rules)).await;
    let li = company.member("李", "sales_representative").await;
    let when =
        json!({ "trigger": "marketing_qualified", "condition": "is_budget_confirmed", "takes_owned": true });
    rule(&company, std::slice::from_ref(&li), when).await;
    let lead = make(admin, json!({ "name": "王芳", "need": "设备监控" })).await;
    assert_eq!(read(admin, &lead).await["score"], "0");
    let need = step(admin, &lead, "confirm", json!({ "need": {} }))
        .await
        .expect(200);
    assert_eq!(
        (&need["score"], &need["owner_id"]),
        (&json!("20"), &json!(admin.id))
    );
    let budget = json!({ "budget": { "ability_to_pay": "sufficient" } });
    let budget = step(admin, &lead, "confirm", budget).await.expect(200);
    assert_eq!(
        (&budget["score"], &budget["status"], &budget["owner_id"]),
        (&json!("35"), &json!("marketing_qualified"), &json!(li.id))
    );
    let back = step(admin, &lead, "unconfirm", json!({ "signals": ["need"] }))
        .await
        .expect(200);
    assert_eq!(back["score"], "15");
    is_clean(&company).await;
}

#[tokio::test]
async fn a_confirmation_that_nothing_stands_behind_is_named_by_the_check() {
    let company = company().await;
    let admin = &company.administrator;
    let lead = confirmed(admin).await;
    is_clean(&company).await;
    let planted = "UPDATE lead_signals SET decision_from = NULL, decision_until = NULL WHERE tenant_id = $1 AND lead_id = $2::uuid";
    crate::support::cast::execute(&company, planted, &lead).await;
    let found = check::run(&crate::support::app::server().await.url)
        .await
        .unwrap();
    let own = found.iter().filter(|finding| finding.tenant == company.tenant);
    let sentences = own.map(|finding| finding.sentence.as_str()).collect::<Vec<_>>();
    assert_eq!(
        sentences,
        ["its decision window is confirmed, but it says nothing of it"]
    );
    let back =
        "UPDATE lead_signals SET decision_from = '2034-05-01' WHERE tenant_id = $1 AND lead_id = $2::uuid";
    crate::support::cast::execute(&company, back, &lead).await;
}
