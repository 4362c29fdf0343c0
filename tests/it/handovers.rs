//! Room 3: the hand-over clock, by the working hours 9–12 and 13–18 in Shanghai. 2024-03-15 is a Friday.

use crate::support::app::{Company, Person, id, move_clock, sandbox};
use crate::support::make_assignment::{check, lead_with, people, rule, settings};
use crate::support::make_pool::{claim, release};
use serde_json::{Value, json};

/// Friday, 9:00.
const FRIDAY: &str = "2024-03-15T01:00:00Z";

/// A lead of that person that becomes sales-qualified by the administrator.
async fn handed_over(company: &Company, to: &Person) -> String {
    let admin = &company.administrator;
    let lead = id(&lead_with(company, json!({ "owner_id": to.id })).await);
    let path = format!("/v1/leads/{lead}");
    admin.post(&format!("{path}/work"), json!({})).await.expect(200);
    for qualification in ["marketing_qualified", "sales_qualified"] {
        admin
            .post(&format!("{path}/qualify"), json!({ "to": qualification }))
            .await
            .expect(200);
    }
    lead
}

async fn owner(company: &Company, lead: &str) -> Value {
    let admin = &company.administrator;
    admin.get(&format!("/v1/leads/{lead}")).await.expect(200)["owner_id"].clone()
}

/// The lead's hand-overs, the first first.
async fn handovers(company: &Company, lead: &str) -> Vec<Value> {
    let path = format!("/v1/leads/{lead}/handovers?sort=started_at");
    let page = company.administrator.get(&path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

/// The events about a hand-over, the first first.
async fn told(company: &Company, lead: &str, handover: &Value) -> Vec<Value> {
    let path = format!("/v1/leads/{lead}/timeline?limit=200");
    let page = company.administrator.get(&path).await.expect(200);
    let mut events = page["data"].as_array().unwrap().clone();
    events.retain(|event| event["subject_id"] == handover["id"]);
    events.reverse();
    events
}

#[tokio::test]
async fn a_missed_response_is_warned_of_and_goes_on_to_whoever_has_not_had_it_until_nobody_is_left() {
    let company = sandbox(FRIDAY).await;
    let admin = &company.administrator;
    let three = people(&company, 3).await;
    let boss = company.member("组长", "sales_lead").await;
    let team = json!({ "name": "一组", "leader_id": boss.id });
    let team = id(&admin.post("/v1/teams", team).await.expect(201));
    for person in &three {
        admin
            .patch(&format!("/v1/users/{}", person.id), json!({ "team_id": team }))
            .await
            .expect(200);
    }
    settings(
        &company,
        json!({ "response_minutes": 240, "warning_minutes": 30, "when_nobody_left": "leader" }),
    )
    .await;
    let sales = json!({ "trigger": "sales_qualified", "goal": "约定首次会议" });
    rule(&company, &three[..2], sales).await;
    let lead = handed_over(&company, &three[0]).await;
    let first = handovers(&company, &lead).await.remove(0);
    // Three hours before lunch, one after.
    assert_eq!(first["due_at"], "2024-03-15T06:00:00.000000Z");
    assert_eq!(first["warn_at"], "2024-03-15T05:30:00.000000Z");
    assert_eq!(first["accepted_at"], "2024-03-15T01:00:00.000000Z");

    move_clock(&company, "2024-03-15T05:29:59Z").await;
    assert_eq!(told(&company, &lead, &first).await.len(), 1);
    move_clock(&company, "2024-03-15T05:30:00Z").await;
    let events = told(&company, &lead, &first).await;
    assert_eq!(
        (events.len(), &events[1]["kind"]),
        (2, &json!("lead_handover.due_soon"))
    );
    let notify = &events[1]["data"]["notify"];
    assert_eq!(notify, &json!({ "to": [three[0].id], "cc": [boss.id] }));

    move_clock(&company, "2024-03-15T05:59:59Z").await;
    assert_eq!(told(&company, &lead, &first).await.len(), 2);
    assert_eq!(owner(&company, &lead).await, json!(three[0].id));
    move_clock(&company, "2024-03-15T06:00:00Z").await;
    let events = told(&company, &lead, &first).await;
    assert_eq!(
        (events.len(), &events[2]["kind"]),
        (3, &json!("lead_handover.missed"))
    );
    assert_eq!(owner(&company, &lead).await, json!(three[1].id));
    check(&company).await;

    // The second of them misses it too: nobody is left by rule, so it is the leader's, and then it stays.
    let second = handovers(&company, &lead).await.remove(1);
    assert_eq!(second["due_at"], "2024-03-15T10:00:00.000000Z");
    assert_eq!(
        (&second["goal"], &second["reason"]),
        (&json!("约定首次会议"), &json!("hand_over"))
    );
    move_clock(&company, "2024-03-15T10:00:00Z").await;
    assert_eq!(owner(&company, &lead).await, json!(boss.id));
    move_clock(&company, "2024-03-20T10:00:00Z").await;
    assert_eq!(owner(&company, &lead).await, json!(boss.id));
    let all = handovers(&company, &lead).await;
    let states = all
        .iter()
        .map(|one| (one["status"].as_str().unwrap(), one["is_overdue"] == true));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [("missed", true), ("missed", true), ("open", true)]
    );
    assert_eq!(all[2]["chain_id"], first["id"]);
    let overdue = admin
        .get("/v1/handovers?status=open&is_overdue=true")
        .await
        .expect(200);
    assert_eq!(overdue["data"].as_array().unwrap().len(), 1);
    let figure = admin
        .get("/v1/figures/speed-to-lead?from_on=2024-03-15")
        .await
        .expect(200);
    assert_eq!(figure["total"]["missed"], 3);
    let mut missed = figure["by_owner"].as_array().unwrap().iter();
    assert!(missed.any(|one| one["owner_id"] == json!(boss.id) && one["missed"] == 1));
    let owners = admin.get(&format!("/v1/leads/{lead}/owners")).await.expect(200);
    assert_eq!(owners["data"][0]["why"], "hand_over");
    check(&company).await;
}

#[tokio::test]
async fn a_response_stops_the_clock_and_is_counted_in_working_minutes() {
    let company = sandbox("2024-03-15T09:00:00Z").await;
    let admin = &company.administrator;
    let li = people(&company, 1).await.remove(0);
    let lead = handed_over(&company, &li).await;
    // Friday 17:00; seven hours into Monday.
    let handover = handovers(&company, &lead).await.remove(0);
    assert_eq!(handover["due_at"], "2024-03-18T09:00:00.000000Z");
    let open = li.get("/v1/handovers?status=open").await.expect(200);
    assert_eq!(open["data"][0]["lead_id"], json!(lead));
    move_clock(&company, "2024-03-18T01:30:00Z").await;
    let path = format!("/v1/leads/{lead}/respond");
    let responded = li
        .post(&path, json!({ "kind": "call", "note": "已约会议" }))
        .await
        .expect(200);
    assert_eq!(responded["status"], "responded");
    assert_eq!(responded["responded_after_minutes"], 90);
    assert_eq!(
        li.post(&path, json!({ "kind": "call" })).await.refused(409),
        "conflict"
    );
    move_clock(&company, "2024-03-25T01:30:00Z").await;
    assert_eq!(owner(&company, &lead).await, json!(li.id));
    let undo = admin.post(&format!("/v1/leads/{lead}/unassign"), json!({})).await;
    assert_eq!(undo.refused(409), "conflict");
    check(&company).await;

    let speed = async |person: &Person, days: &str| {
        let path = format!("/v1/figures/speed-to-lead{days}");
        person.get(&path).await.expect(200)
    };
    let that_day = "?from_on=2024-03-18&until_on=2024-03-18";
    for person in [admin, &li] {
        let found = speed(person, that_day).await;
        assert_eq!(
            found["total"],
            json!({ "responded": 1, "responded_late": 0, "missed": 0, "median_minutes": 90, "p90_minutes": 90, "mean_minutes": 90 })
        );
        assert_eq!(found["by_owner"][0]["owner_id"], json!(li.id));
        assert_eq!(found["by_source"][0]["source_id"], json!(null));
    }
    let other = company.member("王", "sales_representative").await;
    assert_eq!(speed(&other, that_day).await["total"]["responded"], 0);
    let before = speed(admin, "?from_on=2024-03-01&until_on=2024-03-17").await;
    assert_eq!(
        (&before["total"]["responded"], &before["by_owner"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(speed(admin, "").await["from_on"], "2024-02-25");
    let backwards = admin
        .get("/v1/figures/speed-to-lead?from_on=2024-03-18&until_on=2024-03-17")
        .await;
    assert_eq!(backwards.refused(400), "bad_parameter");
}

#[tokio::test]
async fn a_deadline_that_nobody_met_is_missed_whatever_comes_after() {
    let company = sandbox(FRIDAY).await;
    let admin = &company.administrator;
    let li = people(&company, 1).await.remove(0);
    settings(
        &company,
        json!({ "when_missed": "keep", "response_minutes": 60, "warning_minutes": null }),
    )
    .await;
    let lead = handed_over(&company, &li).await;
    let speed = async || {
        let path = "/v1/figures/speed-to-lead?from_on=2024-03-15&until_on=2024-03-20";
        let total = admin.get(path).await.expect(200)["total"].clone();
        ["responded", "responded_late", "missed"].map(|name| total[name].as_i64().unwrap())
    };
    assert_eq!(speed().await, [0, 0, 0]);
    move_clock(&company, "2024-03-18T02:00:00Z").await;
    assert_eq!(handovers(&company, &lead).await[0]["is_overdue"], true);
    assert_eq!(speed().await, [0, 0, 1]);
    let path = format!("/v1/leads/{lead}/respond");
    li.post(&path, json!({ "kind": "call" })).await.expect(200);
    assert_eq!(speed().await, [1, 1, 1]);
    check(&company).await;
}

#[tokio::test]
async fn moving_the_lead_on_is_a_response_of_its_owner_and_ends_it_for_anybody_else() {
    let company = sandbox(FRIDAY).await;
    let li = people(&company, 1).await.remove(0);
    for (who, expected) in [(&li, "responded"), (&company.administrator, "closed")] {
        let lead = handed_over(&company, &li).await;
        let path = format!("/v1/leads/{lead}/disqualify");
        who.post(&path, json!({ "reason": "没有预算" })).await.expect(200);
        let ended = handovers(&company, &lead).await.remove(0);
        assert_eq!(ended["status"], expected);
    }
    let own = id(&li.post("/v1/leads", json!({ "name": "王" })).await.expect(201));
    li.post(&format!("/v1/leads/{own}/work"), json!({}))
        .await
        .expect(200);
    for to in ["marketing_qualified", "sales_qualified"] {
        li.post(&format!("/v1/leads/{own}/qualify"), json!({ "to": to }))
            .await
            .expect(200);
    }
    assert_eq!(handovers(&company, &own).await.len(), 0);
    check(&company).await;
}

#[tokio::test]
async fn an_undone_assignment_lets_the_clock_before_it_run_on() {
    let company = sandbox(FRIDAY).await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    let lead = handed_over(&company, &two[0]).await;
    move_clock(&company, "2024-03-15T02:00:00Z").await;
    let path = format!("/v1/leads/{lead}");
    admin
        .post(&format!("{path}/assign"), json!({ "owner_id": two[1].id }))
        .await
        .expect(200);
    let both = handovers(&company, &lead).await;
    assert_eq!(
        (&both[0]["status"], &both[1]["status"]),
        (&json!("superseded"), &json!("open"))
    );
    admin
        .post(&format!("{path}/unassign"), json!({}))
        .await
        .expect(200);
    let both = handovers(&company, &lead).await;
    assert_eq!(
        (&both[0]["status"], &both[1]["status"]),
        (&json!("open"), &json!("withdrawn"))
    );
    check(&company).await;
    // Nobody else is there to take it, and it stays, overdue.
    move_clock(&company, "2024-03-15T10:00:00Z").await;
    assert_eq!(handovers(&company, &lead).await[0]["is_overdue"], true);
    check(&company).await;
}

#[tokio::test]
async fn a_missed_lead_goes_to_the_pool_where_the_company_wants_it_so() {
    let company = sandbox(FRIDAY).await;
    let li = people(&company, 1).await.remove(0);
    settings(
        &company,
        json!({ "when_missed": "pool", "response_minutes": 60, "warning_minutes": null }),
    )
    .await;
    let lead = handed_over(&company, &li).await;
    move_clock(&company, "2024-03-15T02:00:00Z").await;
    assert_eq!(owner(&company, &lead).await, Value::Null);
    assert_eq!(handovers(&company, &lead).await[0]["status"], "missed");
    let owners = company
        .administrator
        .get(&format!("/v1/leads/{lead}/owners"))
        .await
        .expect(200);
    assert_eq!(owners["data"][0]["why"], "recycle");
    check(&company).await;
}

#[tokio::test]
async fn who_leaves_hands_the_running_clocks_over_too() {
    let company = sandbox(FRIDAY).await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    let lead = handed_over(&company, &two[0]).await;
    admin
        .post(
            &format!("/v1/users/{}/deactivate", two[0].id),
            json!({ "successor_id": two[1].id }),
        )
        .await
        .expect(200);
    let both = handovers(&company, &lead).await;
    assert_eq!(
        (&both[0]["status"], &both[1]["reason"], &both[1]["to_user_id"]),
        (&json!("superseded"), &json!("leaver"), &json!(two[1].id))
    );
    let owners = admin.get(&format!("/v1/leads/{lead}/owners")).await.expect(200);
    assert_eq!(owners["data"][0]["why"], "leaver");
    check(&company).await;
}

#[tokio::test]
async fn giving_a_lead_up_and_having_it_back_wins_no_time_and_whoever_claims_it_goes_on_in_its_chain() {
    let company = sandbox(FRIDAY).await;
    let two = people(&company, 2).await;
    let lead = handed_over(&company, &two[0]).await;
    let before = handovers(&company, &lead).await.remove(0);
    move_clock(&company, "2024-03-15T03:00:00Z").await;
    release(&two[0], "leads", &lead).await.expect(200);
    assert_eq!(handovers(&company, &lead).await[0]["status"], "superseded");
    two[0]
        .post(&format!("/v1/pool/leads/{lead}/undo"), json!({}))
        .await
        .expect(200);
    let all = handovers(&company, &lead).await;
    assert_eq!(
        (all.len(), &all[0]["status"], &all[0]["due_at"]),
        (1, &json!("open"), &before["due_at"])
    );
    check(&company).await;

    release(&two[0], "leads", &lead).await.expect(200);
    claim(&two[1], "leads", &lead).await.expect(200);
    let all = handovers(&company, &lead).await;
    assert_eq!(
        (
            all.len(),
            &all[1]["chain_id"],
            &all[1]["reason"],
            &all[1]["status"]
        ),
        (2, &before["id"], &json!("claim"), &json!("open"))
    );
    assert_eq!(all[1]["accepted_at"], before["accepted_at"]);
    check(&company).await;
}

#[tokio::test]
async fn whom_a_rule_gave_a_new_lead_has_its_goal_and_its_time_once_it_is_qualified() {
    let company = sandbox(FRIDAY).await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    settings(
        &company,
        json!({ "response_minutes": 480, "assigns_entered_leads": true }),
    )
    .await;
    let given = json!({ "goal": "约定首次会议", "response_minutes": 60, "warning_minutes": 15 });
    let first = rule(&company, &two[..1], given).await;
    // A rule of the moment itself that has nothing to say about this lead.
    let other = json!({ "trigger": "sales_qualified", "condition": "region == \"华东\"", "goal": "别的" });
    rule(&company, &two[1..], other).await;
    let lead = id(&lead_with(&company, json!({})).await);
    assert_eq!(owner(&company, &lead).await, json!(two[0].id));
    let path = format!("/v1/leads/{lead}");
    admin.patch(&path, json!({ "need": "二百套" })).await.expect(200);
    admin.post(&format!("{path}/work"), json!({})).await.expect(200);
    for qualification in ["marketing_qualified", "sales_qualified"] {
        let to = json!({ "to": qualification });
        admin.post(&format!("{path}/qualify"), to).await.expect(200);
    }
    let handover = handovers(&company, &lead).await.remove(0);
    assert_eq!(
        (&handover["reason"], &handover["goal"], &handover["rule_id"]),
        (&json!("qualified"), &json!("约定首次会议"), &json!(first))
    );
    assert_eq!(handover["due_at"], "2024-03-15T02:00:00.000000Z");

    // Given by hand since, it is nobody's gift but theirs.
    let second = id(&lead_with(&company, json!({})).await);
    let path = format!("/v1/leads/{second}");
    let to = json!({ "owner_id": two[1].id });
    admin.post(&format!("{path}/assign"), to).await.expect(200);
    admin.post(&format!("{path}/work"), json!({})).await.expect(200);
    for qualification in ["marketing_qualified", "sales_qualified"] {
        let to = json!({ "to": qualification });
        admin.post(&format!("{path}/qualify"), to).await.expect(200);
    }
    let handover = handovers(&company, &second).await.remove(0);
    assert_eq!(
        (&handover["goal"], &handover["response_minutes"]),
        (&Value::Null, &json!(480))
    );
    check(&company).await;
}

#[tokio::test]
async fn a_list_of_hand_overs_says_whom_and_whose_it_is_and_is_asked_by_lead() {
    let company = sandbox(FRIDAY).await;
    let admin = &company.administrator;
    let two = people(&company, 2).await;
    let lead = handed_over(&company, &two[0]).await;
    handed_over(&company, &two[1]).await;
    let list = admin
        .get(&format!("/v1/handovers?lead_id={lead}"))
        .await
        .expect(200);
    let found = list["data"].as_array().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (
            &found[0]["lead_id"],
            &found[0]["lead_name"],
            &found[0]["to_user_name"]
        ),
        (&json!(lead), &json!("王芳"), &json!("销售0"))
    );
    admin.get("/v1/handovers?lead_id=none").await.expect(400);
    let path = format!("/v1/leads/{lead}/participants");
    let guest = json!({ "user_id": two[1].id, "access": "read" });
    let added = admin.post(&path, guest).await.expect(201);
    assert_eq!(added["user_name"], "销售1");
    let all = admin.get(&path).await.expect(200);
    assert_eq!(all["data"][0]["user_name"], "销售1");
}
