//! Room 3: who gets which leads.

use crate::support::app::{Answer, Person, company, id};
use crate::support::make_assignment::{check, lead_with, owned, people, rule, settings};
use crate::support::make_crm::source;
use crate::support::make_deals::{deal_in, plain};
use crate::support::make_transfers::{CSV, counts, import};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn of_thirty_two_leads_that_arrive_at_once_each_of_four_gets_eight() {
    for strategy in ["round_robin", "least_loaded", "weighted"] {
        let company = company().await;
        let admin = &company.administrator;
        let four = people(&company, 4).await;
        rule(&company, &four, json!({ "strategy": strategy })).await;
        let source = source(admin, json!({})).await;
        let bodies = (0..32).map(|number| json!({ "name": format!("王{number}") }));
        let bodies = bodies.collect::<Vec<_>>();
        let ids = (0..32).map(|number| format!("msg-{number}")).collect::<Vec<_>>();
        let deliveries = ids.iter().zip(&bodies).map(|(id, body)| source.deliver(id, body));
        for answer in join_all(deliveries).await {
            answer.expect(201);
        }
        let leads = admin.get("/v1/leads?limit=100").await.expect(200);
        assert_eq!(
            owned(leads["data"].as_array().unwrap(), &four),
            [8, 8, 8, 8],
            "{strategy}"
        );
        check(&company).await;
    }
}

#[tokio::test]
async fn the_first_rule_that_is_met_decides_and_what_is_unknown_is_not_met() {
    let company = company().await;
    let two = people(&company, 2).await;
    let east = json!({ "name": "华东", "condition": "region == \"华东\" && budget_amount >= 100000", "position": 1 });
    rule(&company, &two[..1], east).await;
    rule(&company, &two[1..], json!({ "position": 2 })).await;
    let big = lead_with(&company, json!({ "region": "华东", "budget_amount": "100000" })).await;
    assert_eq!(big["owner_id"], json!(two[0].id));
    let unknown = lead_with(&company, json!({ "region": "华东" })).await;
    assert_eq!(unknown["owner_id"], json!(two[1].id));
    let named = lead_with(
        &company,
        json!({ "region": "华东", "owner_id": company.administrator.id }),
    )
    .await;
    assert_eq!(named["owner_id"], json!(company.administrator.id));
    settings(&company, json!({ "assigns_entered_leads": false })).await;
    let own = lead_with(&company, json!({})).await;
    assert_eq!(own["owner_id"], json!(company.administrator.id));
}

#[tokio::test]
async fn the_absent_and_the_full_are_passed_over_and_the_preview_says_so() {
    let company = company().await;
    let admin = &company.administrator;
    let three = people(&company, 3).await;
    rule(&company, &three, json!({})).await;
    let away = json!({ "owner_id": three[0].id, "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2990-01-01T00:00:00Z" });
    let absence = id(&admin.post("/v1/user-absences", away).await.expect(201));
    admin
        .patch(
            &format!("/v1/users/{}", three[1].id),
            json!({ "lead_capacity": 1 }),
        )
        .await
        .expect(200);
    let mut leads = Vec::new();
    for _ in 0..4 {
        leads.push(lead_with(&company, json!({})).await);
    }
    assert_eq!(owned(&leads, &three), [0, 1, 3]);
    let mine = leads
        .iter()
        .find(|lead| lead["owner_id"] == json!(three[2].id))
        .unwrap();
    let preview = admin
        .get(&format!("/v1/leads/{}/assignment-preview", id(mine)))
        .await
        .expect(200);
    assert_eq!(preview["owner_id"], Value::Null);
    let considered = &preview["considered"][0];
    assert_eq!(considered["outcome"], "has_nobody");
    let standings = considered["candidates"].as_array().unwrap();
    assert_eq!(
        standings.iter().map(|one| &one["standing"]).collect::<Vec<_>>(),
        ["absent", "full", "had_it_before"]
    );
    let refused = admin
        .post(&format!("/v1/leads/{}/assign", id(mine)), json!({}))
        .await;
    assert_eq!(refused.refused(409), "conflict");
    assert_eq!(
        refused.body["considered"][0]["candidates"],
        considered["candidates"]
    );
    admin
        .delete(&format!("/v1/user-absences/{absence}"))
        .await
        .expect(200);
    let given = admin
        .post(&format!("/v1/leads/{}/assign", id(mine)), json!({}))
        .await
        .expect(200);
    assert_eq!(given["owner_id"], json!(three[0].id));
    check(&company).await;
}

#[tokio::test]
async fn a_lead_that_nobody_can_take_belongs_to_nobody_or_goes_by_the_next_rule() {
    let company = company().await;
    let two = people(&company, 2).await;
    settings(&company, json!({ "lead_capacity": 1 })).await;
    let first = rule(
        &company,
        &two[..1],
        json!({ "when_nobody": "next_rule", "position": 1 }),
    )
    .await;
    rule(&company, &two[1..], json!({ "position": 2 })).await;
    let mut leads = Vec::new();
    for _ in 0..3 {
        leads.push(lead_with(&company, json!({})).await);
    }
    assert_eq!(owned(&leads, &two), [1, 1]);
    assert_eq!(leads[2]["owner_id"], Value::Null);
    let admin = &company.administrator;
    admin
        .patch(
            &format!("/v1/assignment-rules/{first}"),
            json!({ "is_enabled": false }),
        )
        .await
        .expect(200);
    check(&company).await;
}

#[tokio::test]
async fn by_hand_a_lead_goes_only_to_people_within_reach_who_are_there_and_not_full() {
    let company = company().await;
    let admin = &company.administrator;
    let team = id(&admin
        .post("/v1/teams", json!({ "name": "一组" }))
        .await
        .expect(201));
    let lead_of_team = company.member("组长", "sales_lead").await;
    let two = people(&company, 2).await;
    for person in [&lead_of_team, &two[0]] {
        admin
            .patch(&format!("/v1/users/{}", person.id), json!({ "team_id": team }))
            .await
            .expect(200);
    }
    let lead = lead_with(&company, json!({ "owner_id": two[0].id })).await;
    let path = format!("/v1/leads/{}/assign", id(&lead));
    let outside = lead_of_team.post(&path, json!({ "owner_id": two[1].id })).await;
    assert_eq!(outside.refused(403), "forbidden");
    let given = lead_of_team
        .post(
            &path,
            json!({ "owner_id": lead_of_team.id, "reason": "熟悉该行业" }),
        )
        .await
        .expect(200);
    assert_eq!(given["owner_id"], json!(lead_of_team.id));
    let representative = two[1].post(&path, json!({ "owner_id": two[1].id })).await;
    assert_eq!(representative.refused(403), "forbidden");

    settings(&company, json!({ "lead_capacity": 0 })).await;
    let full = admin.post(&path, json!({ "owner_id": two[1].id })).await;
    assert_eq!(full.refused(409), "over_capacity");
    assert_eq!(full.body["capacity"]["capacity"], 0);
    let patched = admin
        .patch(
            &format!("/v1/leads/{}", id(&lead)),
            json!({ "owner_id": two[1].id }),
        )
        .await;
    assert_eq!(patched.refused(409), "over_capacity");
    let overridden = admin
        .post(
            &path,
            json!({ "owner_id": two[1].id, "override_capacity": { "reason": "老客户指定" } }),
        )
        .await
        .expect(200);
    assert_eq!(overridden["owner_id"], json!(two[1].id));

    admin
        .post(&format!("/v1/users/{}/deactivate", two[0].id), json!({}))
        .await
        .expect(200);
    let gone = admin.post(&path, json!({ "owner_id": two[0].id })).await;
    assert_eq!(gone.faults(), [("/owner_id".to_owned(), "inactive".to_owned())]);
    check(&company).await;
}

#[tokio::test]
async fn of_two_who_give_somebody_their_last_lead_at_once_one_is_refused() {
    let company = company().await;
    let admin = &company.administrator;
    let one = people(&company, 1).await.remove(0);
    settings(&company, json!({ "lead_capacity": 1 })).await;
    let mut paths = Vec::new();
    for _ in 0..8 {
        let lead = lead_with(&company, json!({})).await;
        paths.push(format!("/v1/leads/{}/assign", id(&lead)));
    }
    let asked = paths
        .iter()
        .map(|path| admin.post(path, json!({ "owner_id": one.id })));
    let answers = join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refused(409), "over_capacity");
    }
}

#[tokio::test]
async fn many_leads_are_given_each_for_itself_or_all_together() {
    let company = company().await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    let mut leads = Vec::new();
    for _ in 0..3 {
        leads.push(id(&lead_with(&company, json!({})).await));
    }
    rule(&company, &two[1..], json!({})).await;
    let nobody = uuid::Uuid::now_v7();
    let items = json!([
        { "id": leads[0], "owner_id": two[0].id },
        { "id": leads[1], "owner_id": two[0].id, "if_match": 9 },
        { "id": leads[2] },
        { "id": nobody, "owner_id": two[0].id },
    ]);
    let path = "/v1/leads/batch-assign";
    let whole = admin
        .post(path, json!({ "mode": "all_or_nothing", "items": items }))
        .await;
    assert_eq!(whole.refused(412), "stale");
    let read = admin.get(&format!("/v1/leads/{}", leads[0])).await.expect(200);
    assert_eq!(read["owner_id"], json!(admin.id));
    let dry = admin
        .request(Method::POST, path)
        .await
        .header("prefer", "dry-run")
        .json(&json!({ "mode": "each", "items": items }));
    assert_eq!(Answer::of(dry).await.expect(200)["succeeded"], 2);
    let each = admin
        .post(
            path,
            json!({ "mode": "each", "items": items, "reason": "区域调整" }),
        )
        .await
        .expect(200);
    assert_eq!((&each["succeeded"], &each["failed"]), (&json!(2), &json!(2)));
    let statuses = each["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["status"]);
    assert_eq!(statuses.collect::<Vec<_>>(), [200, 412, 200, 404]);
    assert_eq!(each["results"][2]["body"]["owner_id"], json!(two[1].id));
    check(&company).await;
}

#[tokio::test]
async fn the_owners_of_a_lead_can_be_read_and_an_assignment_undone_while_nothing_rests_on_it() {
    let company = company().await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    rule(&company, &two[..1], json!({})).await;
    let lead = id(&lead_with(&company, json!({})).await);
    let path = format!("/v1/leads/{lead}");
    admin
        .post(
            &format!("{path}/assign"),
            json!({ "owner_id": two[1].id, "reason": "熟悉该行业" }),
        )
        .await
        .expect(200);
    let undone = admin
        .post(&format!("{path}/unassign"), json!({}))
        .await
        .expect(200);
    assert_eq!(undone["owner_id"], json!(two[0].id));
    let again = admin.post(&format!("{path}/unassign"), json!({})).await;
    assert_eq!(again.refused(409), "conflict");
    admin
        .post(&format!("{path}/assign"), json!({ "owner_id": two[1].id }))
        .await
        .expect(200);
    two[1].post(&format!("{path}/work"), json!({})).await.expect(200);
    let late = admin.post(&format!("{path}/unassign"), json!({})).await;
    assert_eq!(late.refused(409), "conflict");
    let owners = admin.get(&format!("{path}/owners")).await.expect(200);
    let told = owners["data"].as_array().unwrap();
    let told = told
        .iter()
        .map(|one| (one["why"].as_str().unwrap(), one["to_user_id"].clone()));
    let (first, second) = (json!(two[0].id), json!(two[1].id));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("by_hand", second.clone()),
            ("undo", first.clone()),
            ("by_hand", second),
            ("rule", first)
        ]
    );
    assert_eq!(owners["data"][2]["reason"], "熟悉该行业");
    let account = id(&admin
        .post("/v1/accounts", json!({ "name": "科技" }))
        .await
        .expect(201));
    admin
        .patch(
            &format!("/v1/accounts/{account}"),
            json!({ "owner_id": two[0].id }),
        )
        .await
        .expect(200);
    let owners = admin
        .get(&format!("/v1/accounts/{account}/owners?limit=1"))
        .await
        .expect(200);
    assert_eq!(owners["data"][0]["why"], "by_hand");
    assert!(owners["next_cursor"].is_string());
    check(&company).await;
}

#[tokio::test]
async fn imported_leads_go_by_the_rules_all_together() {
    let company = company().await;
    let admin = &company.administrator;
    let three = people(&company, 3).await;
    rule(
        &company,
        &three,
        json!({ "strategy": "weighted", "candidates": [
        { "user_id": three[0].id, "weight": 2 }, { "user_id": three[1].id }, { "user_id": three[2].id } ] }),
    )
    .await;
    let mut file = String::from("姓名,地区\n");
    for number in 0..1200 {
        file.push_str(&format!("王{number},华东\n"));
    }
    let job = import(
        admin,
        CSV,
        file,
        json!({ "resource": "lead", "mapping": { "姓名": "name", "地区": "region" } }),
    )
    .await;
    assert_eq!(counts(&job), [1200, 0, 0, 0]);
    let mut got = Vec::new();
    for person in &three {
        let page = admin
            .get(&format!(
                "/v1/leads?owner_id={}&limit=1&with_total=true",
                person.id
            ))
            .await
            .expect(200);
        got.push(page["total"].as_i64().unwrap());
    }
    assert_eq!(got, [600, 300, 300]);
    check(&company).await;
}

#[tokio::test]
async fn a_qualified_lead_goes_on_by_the_rule_of_that_moment() {
    let company = company().await;
    let three = people(&company, 3).await;
    rule(&company, &three[..1], json!({})).await;
    let sales = json!({ "trigger": "marketing_qualified", "takes_owned": true, "position": 1 });
    rule(&company, &three[1..], sales).await;
    let untouched = json!({ "trigger": "sales_qualified", "takes_owned": false, "position": 1 });
    rule(&company, &three[..1], untouched).await;
    let lead = id(&lead_with(&company, json!({})).await);
    let path = format!("/v1/leads/{lead}");
    three[0]
        .post(&format!("{path}/work"), json!({}))
        .await
        .expect(200);
    let qualified = three[0]
        .post(&format!("{path}/qualify"), json!({ "to": "marketing_qualified" }))
        .await
        .expect(200);
    assert_eq!(qualified["owner_id"], json!(three[1].id));
    let accepted = three[1]
        .post(&format!("{path}/qualify"), json!({ "to": "sales_qualified" }))
        .await
        .expect(200);
    assert_eq!(accepted["owner_id"], json!(three[1].id));
    check(&company).await;
}

#[tokio::test]
async fn a_rule_that_cannot_work_is_refused_with_everything_that_is_wrong() {
    let company = company().await;
    let admin = &company.administrator;
    let nobody = uuid::Uuid::now_v7();
    let body = json!({ "name": "x", "position": 1, "trigger": "created", "strategy": "round_robin",
        "condition": "regoin == \"华东\"", "warning_minutes": 10,
        "candidates": [{ "user_id": admin.id }, { "user_id": admin.id }, { "team_id": nobody }, { "weight": 2 },
            { "user_id": admin.id, "team_id": nobody }] });
    let refused = admin.post("/v1/assignment-rules", body).await;
    let pointers = refused.faults().into_iter().map(|(pointer, _)| pointer);
    assert_eq!(
        pointers.collect::<Vec<_>>(),
        [
            "/candidates/1/user_id",
            "/candidates/2/team_id",
            "/candidates/3/user_id",
            "/candidates/4",
            "/condition",
            "/warning_minutes",
        ]
    );
    let li = company.member("李", "sales_representative").await;
    li.get("/v1/assignment-rules").await.expect(200);
    let write = li
        .patch("/v1/assignment-settings", json!({ "lead_capacity": 1 }))
        .await;
    assert_eq!(write.refused(403), "forbidden");
    let faulty = json!({ "when_missed": "zz", "response_minutes": 10, "warning_minutes": 20 });
    let refused = company
        .administrator
        .patch("/v1/assignment-settings", faulty)
        .await;
    assert_eq!(
        refused.faults(),
        [
            ("/warning_minutes".to_owned(), "out_of_range".to_owned()),
            ("/when_missed".to_owned(), "unknown_value".to_owned()),
        ]
    );
}

#[tokio::test]
async fn one_is_away_by_ones_own_word_or_the_leaders_and_never_twice_at_once() {
    let company = company().await;
    let two = people(&company, 2).await;
    let away = json!({ "starts_at": "2030-05-01T00:00:00Z", "ends_at": "2030-05-05T00:00:00Z" });
    let asked = (0..8).map(|_| two[0].post("/v1/user-absences", away.clone()));
    let answers = join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            answer.faults(),
            [("/starts_at".to_owned(), "overlaps".to_owned())]
        );
    }
    let next = json!({ "starts_at": "2030-05-05T00:00:00Z", "ends_at": "2030-05-06T00:00:00Z" });
    let made = two[0].post("/v1/user-absences", next).await.expect(201);
    let other = two[1].delete(&format!("/v1/user-absences/{}", id(&made))).await;
    assert_eq!(other.refused(404), "not_found");
    let for_other = json!({ "owner_id": two[0].id, "starts_at": "2031-05-05T00:00:00Z", "ends_at": "2031-05-06T00:00:00Z" });
    assert_eq!(
        two[1].post("/v1/user-absences", for_other.clone()).await.status,
        403
    );
    company
        .administrator
        .post("/v1/user-absences", for_other)
        .await
        .expect(201);
    check(&company).await;
}

#[tokio::test]
async fn accounts_contacts_and_deals_are_given_with_a_reason_that_their_owners_tell() {
    let company = company().await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    let account = id(&admin
        .post("/v1/accounts", json!({ "name": "科技" }))
        .await
        .expect(201));
    let contact = json!({ "name": "张总", "account_id": account });
    let contact = id(&admin.post("/v1/contacts", contact).await.expect(201));
    let deal = id(&deal_in(&company, admin, plain()).await);
    for path in [
        format!("/v1/accounts/{account}"),
        format!("/v1/contacts/{contact}"),
        format!("/v1/opportunities/{deal}"),
    ] {
        let assign = format!("{path}/assign");
        let to = |person: &Person| json!({ "owner_id": person.id, "reason": "区域调整" });
        // Who may give deals to nobody at all is told so before it is looked for.
        let unseen = two[0].post(&assign, to(&two[0])).await;
        assert!(matches!(unseen.status, 403 | 404), "{}", unseen.body);
        let given = admin.post(&assign, to(&two[0])).await.expect(200);
        assert_eq!(
            (&given["owner_id"], &given["version"]),
            (&json!(two[0].id), &json!(2))
        );
        let again = admin.post(&assign, to(&two[0])).await.expect(200);
        assert_eq!(again["version"], 2);
        // A representative reaches no further than themselves.
        assert_eq!(two[0].post(&assign, to(&two[1])).await.refused(403), "forbidden");
        let owners = admin.get(&format!("{path}/owners")).await.expect(200);
        let last = &owners["data"][0];
        assert_eq!(
            (&last["why"], &last["reason"]),
            (&json!("by_hand"), &json!("区域调整"))
        );
        assert_eq!(
            (&last["from_user_id"], &last["to_user_id"]),
            (&json!(admin.id), &json!(two[0].id))
        );
        assert_eq!(owners["data"].as_array().unwrap().len(), 2);
    }
    check(&company).await;
}
