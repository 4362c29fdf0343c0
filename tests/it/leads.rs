//! Room 3: the states of a lead, and who gives it to whom.

use crate::support::app::{Answer, Person, company, move_clock, sandbox};
use crate::support::make_crm::{lead, source};
use crate::support::make_pool::times;
use reqwest::Method;
use serde_json::{Value, json};

async fn step(person: &Person, lead: &str, verb: &str, body: Value) -> Answer {
    person.post(&format!("/v1/leads/{lead}/{verb}"), body).await
}

#[tokio::test]
async fn a_lead_is_worked_qualified_set_aside_and_reopened_where_it_was() {
    let company = company().await;
    let li = company.member("李", "sales_representative").await;
    let lead = lead(&li, "王芳").await;
    let early = step(&li, &lead, "qualify", json!({ "to": "sales_qualified" })).await;
    assert_eq!(early.refused(409), "conflict");
    assert_eq!(
        step(&li, &lead, "work", json!({})).await.expect(200)["status"],
        "working"
    );
    for to in ["marketing_qualified", "sales_qualified"] {
        assert_eq!(
            step(&li, &lead, "qualify", json!({ "to": to })).await.expect(200)["status"],
            to
        );
    }
    let nurtured = step(&li, &lead, "nurture", json!({ "until": "2099-06-01" }))
        .await
        .expect(200);
    assert_eq!(
        (
            &nurtured["status"],
            &nurtured["nurture_until"],
            &nurtured["reopen_status"]
        ),
        (
            &json!("nurturing"),
            &json!("2099-06-01"),
            &json!("sales_qualified")
        )
    );
    let given_up = step(&li, &lead, "disqualify", json!({ "reason": "没有预算" }))
        .await
        .expect(200);
    assert_eq!(
        (&given_up["disqualified_reason"], &given_up["nurture_until"]),
        (&json!("没有预算"), &json!(null))
    );
    assert_eq!(
        step(&li, &lead, "disqualify", json!({ "reason": "x" }))
            .await
            .refused(409),
        "conflict"
    );
    let reopened = step(&li, &lead, "reopen", json!({})).await.expect(200);
    assert_eq!(
        (
            &reopened["status"],
            &reopened["disqualified_reason"],
            &reopened["reopen_status"]
        ),
        (&json!("sales_qualified"), &json!(null), &json!(null))
    );
}

#[tokio::test]
async fn what_a_step_needs_is_named() {
    let company = company().await;
    let admin = &company.administrator;
    let lead = lead(admin, "王芳").await;
    let past = step(admin, &lead, "nurture", json!({ "until": "2020-01-01" })).await;
    assert_eq!(past.faults(), [("/until".to_owned(), "out_of_range".to_owned())]);
    let empty = step(admin, &lead, "disqualify", json!({ "reason": " " })).await;
    assert_eq!(empty.faults(), [("/reason".to_owned(), "too_short".to_owned())]);
    let unknown = step(admin, &lead, "qualify", json!({ "to": "converted", "by": "x" })).await;
    assert_eq!(unknown.faults().len(), 2);
    let patched = admin
        .patch(&format!("/v1/leads/{lead}"), json!({ "status": "converted" }))
        .await;
    assert_eq!(
        patched.faults(),
        [("/status".to_owned(), "unknown_field".to_owned())]
    );
    let stale = admin
        .request(Method::POST, &format!("/v1/leads/{lead}/work"))
        .await
        .header("if-match", "\"7\"");
    assert_eq!(Answer::of(stale).await.refused(412), "stale");
}

#[tokio::test]
async fn of_many_steps_at_once_one_is_taken() {
    let company = company().await;
    let admin = &company.administrator;
    let lead = lead(admin, "王芳").await;
    let answers = futures::future::join_all((0..8).map(|_| step(admin, &lead, "work", json!({})))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 || answer.refused(409) == "conflict")
    );
}

#[tokio::test]
async fn a_lead_is_stepped_only_by_whoever_may_write_it() {
    let (one, other) = (company().await, company().await);
    let li = one.member("李", "sales_representative").await;
    let wang = one.member("王", "sales_representative").await;
    let reader = one.member("读", "read_only").await;
    let lead = lead(&li, "王芳").await;
    assert_eq!(
        step(&wang, &lead, "work", json!({})).await.refused(404),
        "not_found"
    );
    assert_eq!(
        step(&other.administrator, &lead, "work", json!({}))
            .await
            .refused(404),
        "not_found"
    );
    assert_eq!(
        step(&reader, &lead, "work", json!({})).await.refused(403),
        "forbidden"
    );
    let assigned = step(&li, &lead, "assign", json!({ "owner_id": wang.id })).await;
    assert_eq!(assigned.refused(403), "forbidden");
}

#[tokio::test]
async fn a_director_gives_leads_away_also_those_that_nobody_owns() {
    let company = company().await;
    let director = company.member("赵", "sales_director").await;
    let lead_of_team = company.member("组长", "sales_lead").await;
    let li = company.member("李", "sales_representative").await;
    let owned = lead(&li, "王芳").await;
    let given = step(&director, &owned, "assign", json!({ "owner_id": director.id }))
        .await
        .expect(200);
    assert_eq!(given["owner_id"], json!(director.id));
    assert_eq!(
        li.get(&format!("/v1/leads/{owned}")).await.refused(404),
        "not_found"
    );

    let admin = &company.administrator;
    let mut settings = admin.get("/v1/pool/settings").await.expect(200);
    settings["leads"]["takes_unassigned"] = json!(true);
    admin.put("/v1/pool/settings", settings).await.expect(200);
    let website = source(admin, json!({})).await;
    let arrived = website
        .deliver("d1", &json!({ "name": "张伟" }))
        .await
        .expect(201);
    let arrived = arrived["lead_id"].as_str().unwrap();
    // Out of reach: the leader's tree holds nobody but the leader.
    let beyond = step(&lead_of_team, arrived, "assign", json!({ "owner_id": li.id })).await;
    assert_eq!(beyond.refused(403), "forbidden");
    let own = step(
        &lead_of_team,
        arrived,
        "assign",
        json!({ "owner_id": lead_of_team.id }),
    )
    .await
    .expect(200);
    assert_eq!(own["owner_id"], json!(lead_of_team.id));
    let nobody = uuid::Uuid::now_v7();
    let unknown = step(&director, arrived, "assign", json!({ "owner_id": nobody })).await;
    assert_eq!(
        unknown.faults(),
        [("/owner_id".to_owned(), "not_found".to_owned())]
    );
}

#[tokio::test]
async fn a_converted_lead_no_longer_changes() {
    use diesel::sql_types::Uuid as SqlUuid;
    use diesel_async::RunQueryDsl;
    let company = company().await;
    let admin = &company.administrator;
    let lead = lead(admin, "王芳").await;
    let (tenant, id) = (company.tenant, lead.parse::<uuid::Uuid>().unwrap());
    crate::support::app::database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query(
                "UPDATE leads SET status = 'converted', converted_at = now() WHERE tenant_id = $1 AND id = $2",
            );
            Ok(query.bind::<SqlUuid, _>(tenant).bind::<SqlUuid, _>(id).execute(conn).await?)
        })
        .await
        .unwrap();
    let patched = admin
        .patch(&format!("/v1/leads/{lead}"), json!({ "region": "华东" }))
        .await;
    assert_eq!(patched.refused(409), "already_converted");
    for (verb, body) in [
        ("work", json!({})),
        ("reopen", json!({})),
        ("disqualify", json!({ "reason": "x" })),
        ("assign", json!({ "owner_id": admin.id })),
    ] {
        assert_eq!(
            step(admin, &lead, verb, body).await.refused(409),
            "already_converted",
            "{verb}"
        );
    }
}

#[tokio::test]
async fn the_owner_of_a_nurtured_lead_is_told_when_its_day_begins() {
    let company = sandbox("2024-03-05T04:00:00Z").await;
    let li = company.member("李", "sales_representative").await;
    let (resting, reopened) = (lead(&li, "王芳").await, lead(&li, "张伟").await);
    for lead in [&resting, &reopened] {
        step(&li, lead, "nurture", json!({ "until": "2024-03-10" }))
            .await
            .expect(200);
    }
    step(&li, &reopened, "reopen", json!({})).await.expect(200);
    let told = async |lead: &str| times(&company, "leads", lead, "lead.return_due").await;
    move_clock(&company, "2024-03-09T15:59:59Z").await;
    assert_eq!(told(&resting).await, 0);
    move_clock(&company, "2024-03-09T16:00:00Z").await;
    assert_eq!(told(&resting).await, 1);
    move_clock(&company, "2024-03-20T16:00:00Z").await;
    assert_eq!((told(&resting).await, told(&reopened).await), (1, 0));
    let timeline = li.get(&format!("/v1/leads/{resting}/timeline")).await.expect(200);
    let events = timeline["data"].as_array().unwrap().iter();
    let due = events
        .filter(|event| event["kind"] == "lead.return_due")
        .collect::<Vec<_>>();
    assert_eq!(due[0]["data"]["notify"], json!({ "to": [li.id], "cc": [] }));
    let read = li.get(&format!("/v1/leads/{resting}")).await.expect(200);
    assert_eq!(read["status"], "nurturing");
}
