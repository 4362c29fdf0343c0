//! The order of events, the feed, the timelines, the chain.

use crate::support::app::{Company, Person, account, company};
use crate::support::cast::execute;
use crate::support::make_deals::plain;
use crate::support::make_events::Own;
use crate::support::make_pipelines::published;
use futures::future::join_all;
use penstock::event::sequencer;
use serde_json::{Value, json};
use std::time::Duration;

const WAITING: &str = "SELECT count(*) AS number FROM event_queue";

#[tokio::test]
async fn with_eight_writers_and_two_sequencers_every_event_gets_one_place_without_a_gap() {
    let own = Own::new(None).await;
    let (one, other) = (
        sequencer::spawn(&own.url).unwrap(),
        sequencer::spawn(&own.url).unwrap(),
    );
    let writer = async || {
        for count in 1..=25 {
            own.write_events(count % 4 + 1).await;
        }
    };
    join_all((0..8).map(|_| writer())).await;
    own.until(WAITING, 0).await;
    let events = own.number("SELECT count(*) AS number FROM events").await;
    assert!(events >= 8 * 25);
    let positions = "SELECT count(*) AS number FROM event_positions";
    assert_eq!(own.number(positions).await, events);
    let highest = "SELECT max(seq) AS number FROM event_positions";
    assert_eq!(own.number(highest).await, events);
    let unplaced = "SELECT count(*) AS number FROM events e WHERE NOT EXISTS \
        (SELECT 1 FROM event_positions p WHERE p.tenant_id = e.tenant_id AND p.event_id = e.id)";
    assert_eq!(own.number(unplaced).await, 0);
    one.stop().await;
    other.stop().await;
    assert_eq!(penstock::check::run(&own.url).await.unwrap(), []);
}

#[tokio::test]
async fn what_waits_is_never_joined_with_the_whole_history() {
    let own = Own::new(None).await;
    let (client, connection) = tokio_postgres::connect(&own.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    // Free joins would now be planned as what they become when tables grow.
    client.batch_execute("SET enable_nestloop = off").await.unwrap();
    let sql = sequencer::waiting();
    let sql = sql
        .replace("$1", &format!("'{}'", uuid::Uuid::nil()))
        .replace("$2", "500");
    let plan = client.query(&format!("EXPLAIN {sql}"), &[]).await.unwrap();
    let plan = plan.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>();
    let plan = plan.join("\n");
    assert!(
        !plan.contains("Merge Join") && !plan.contains("Hash Join"),
        "{plan}"
    );
}

#[tokio::test]
async fn a_sequencer_that_stops_hands_over_to_the_next_at_once() {
    let own = Own::new(None).await;
    let first = sequencer::spawn(&own.url).unwrap();
    own.until(WAITING, 0).await;
    first.stop().await;
    own.write_events(3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(own.number(WAITING).await, 3);
    let second = sequencer::spawn(&own.url).unwrap();
    own.until(WAITING, 0).await;
    second.stop().await;
}

/// The feed once it tells of this record.
async fn feed_with(person: &Person, subject: &str) -> Value {
    for _ in 0..100 {
        let page = person
            .get(&format!("/v1/events?subject_id={subject}"))
            .await
            .expect(200);
        if page["data"] != json!([]) {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the feed never told of {subject}");
}

#[tokio::test]
async fn the_feed_tells_before_and_after_in_order_and_goes_on_where_one_stopped() {
    let company = company().await;
    let admin = &company.administrator;
    let id = account(admin, "科技有限公司").await;
    admin
        .patch(&format!("/v1/accounts/{id}"), json!({ "region": "华东" }))
        .await
        .expect(200);
    let last = account(admin, "末").await;
    feed_with(admin, &last).await;

    let told = feed_with(admin, &id).await["data"].as_array().unwrap().clone();
    let kinds = told
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(kinds, ["account.created", "account.updated"]);
    assert_eq!(
        told[1]["data"]["changes"],
        json!({ "region": { "before": null, "after": "华东" } })
    );
    assert_eq!(told[1]["actor_id"], json!(admin.id));
    assert_eq!(told[1]["hash"].as_str().unwrap().len(), 64);

    let mut seqs = Vec::new();
    let mut path = "/v1/events?limit=3".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        seqs.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["seq"].as_i64().unwrap()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/v1/events?limit=3&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seqs, (1..=i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());

    let seen = told[0]["seq"].as_i64().unwrap();
    let after = admin
        .get(&format!("/v1/events?after={seen}&kind=account.updated"))
        .await
        .expect(200);
    assert_eq!(after["data"], json!([told[1]]));
}

#[tokio::test]
async fn a_rare_kind_is_found_beyond_the_stretch_that_one_request_looks_through() {
    let company = company().await;
    let admin = &company.administrator;
    let id = account(admin, "甲").await;
    feed_with(admin, &id).await;
    let far = "UPDATE event_positions SET seq = seq + 120000 WHERE tenant_id = $1 AND event_id IN \
        (SELECT id FROM events WHERE tenant_id = $1 AND kind = $2)";
    execute(&company, far, "account.created").await;
    let mut pages = Vec::new();
    let mut path = "/v1/events?kind=account.created".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        pages.push(page["data"].as_array().unwrap().len());
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/v1/events?kind=account.created&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, [0, 0, 1]);
    let all = admin.get("/v1/events?limit=200").await.expect(200);
    assert_eq!(
        all["next_cursor"],
        json!(null),
        "what passes nothing over has one page"
    );
}

#[tokio::test]
async fn a_cursor_that_was_altered_or_belongs_to_other_filters_is_refused() {
    let company = company().await;
    let admin = &company.administrator;
    let id = account(admin, "甲").await;
    feed_with(admin, &id).await;
    let page = admin.get("/v1/events?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    for query in [
        format!("kind=account.created&cursor={cursor}"),
        format!("cursor={cursor}x"),
        "after=-1".to_owned(),
        "subject_id=7".to_owned(),
        "sort=seq".to_owned(),
    ] {
        let refused = admin.get(&format!("/v1/events?{query}")).await;
        assert_eq!(refused.refused(400), "bad_parameter", "{query}");
    }
}

#[tokio::test]
async fn the_feed_needs_the_permission_over_the_whole_company() {
    let company = company().await;
    let representative = company.member("王芳", "sales_representative").await;
    for path in ["/v1/events", "/v1/events/chain"] {
        assert_eq!(representative.get(path).await.refused(403), "forbidden");
        company.administrator.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn nothing_of_one_company_is_in_the_feed_of_another() {
    let (one, other) = (company().await, company().await);
    let id = account(&one.administrator, "甲").await;
    feed_with(&one.administrator, &id).await;
    let foreign = other
        .administrator
        .get(&format!("/v1/events?subject_id={id}"))
        .await
        .expect(200);
    assert_eq!(foreign["data"], json!([]));
    let timeline = other
        .administrator
        .get(&format!("/v1/accounts/{id}/timeline"))
        .await;
    assert_eq!(timeline.refused(404), "not_found");
}

#[tokio::test]
async fn the_chain_holds_until_an_event_is_tampered_with() {
    let company = company().await;
    let admin = &company.administrator;
    let id = account(admin, "甲").await;
    let event = feed_with(admin, &id).await["data"][0].clone();
    let whole = admin.get("/v1/events/chain").await.expect(200);
    assert_eq!(
        (&whole["holds"], &whole["broken_at"]),
        (&json!(true), &json!(null))
    );
    assert_eq!(whole["length"], whole["to"]);

    tamper(&company, &event, "UPDATE events SET actor_id = NULL").await;
    let broken = admin.get("/v1/events/chain").await.expect(200);
    assert_eq!(
        (&broken["holds"], &broken["broken_at"]),
        (&json!(false), &event["seq"])
    );
    let seq = event["seq"].as_i64().unwrap();
    let before = admin
        .get(&format!("/v1/events/chain?to={}", seq - 1))
        .await
        .expect(200);
    assert_eq!(before["holds"], json!(true));
}

async fn tamper(company: &Company, event: &Value, statement: &str) {
    use diesel_async::SimpleAsyncConnection;
    let (tenant, id) = (company.tenant, event["id"].as_str().unwrap());
    let statement = format!("{statement} WHERE tenant_id = '{tenant}' AND id = '{id}'");
    crate::support::app::database()
        .await
        .bookkeep(async |conn| Ok(conn.batch_execute(&statement).await?))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_timeline_tells_newest_first_page_by_page() {
    let company = company().await;
    let admin = &company.administrator;
    let id = account(admin, "甲").await;
    let path = format!("/v1/accounts/{id}");
    for region in ["华东", "华南"] {
        admin.patch(&path, json!({ "region": region })).await.expect(200);
    }
    admin
        .post("/v1/contacts", json!({ "account_id": id, "name": "王芳" }))
        .await
        .expect(201);
    let mut kinds = Vec::new();
    let mut query = "limit=1".to_owned();
    loop {
        let page = admin.get(&format!("{path}/timeline?{query}")).await.expect(200);
        kinds.push(page["data"][0]["kind"].as_str().unwrap().to_owned());
        match page["next_cursor"].as_str() {
            Some(next) => query = format!("limit=1&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(
        kinds,
        [
            "contact.created",
            "account.updated",
            "account.updated",
            "account.created"
        ]
    );
}

#[tokio::test]
async fn a_timeline_is_there_for_those_who_see_the_record_and_hides_what_they_may_not_see() {
    let company = company().await;
    let admin = &company.administrator;
    let representative = company.member("王芳", "sales_representative").await;
    let foreign = account(admin, "甲").await;
    let refused = representative
        .get(&format!("/v1/accounts/{foreign}/timeline"))
        .await;
    assert_eq!(refused.refused(404), "not_found");

    let own = account(&representative, "乙").await;
    published(admin, plain()).await;
    admin
        .post("/v1/opportunities", json!({ "account_id": own, "name": "采购" }))
        .await
        .expect(201);
    let kinds = async |person: &Person| {
        let page = person
            .get(&format!("/v1/accounts/{own}/timeline"))
            .await
            .expect(200);
        let kinds = page["data"].as_array().unwrap().iter();
        kinds
            .map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(admin).await, ["opportunity.created", "account.created"]);
    assert_eq!(kinds(&representative).await, ["account.created"]);
}

#[tokio::test]
async fn what_needs_a_permission_of_its_own_is_told_only_to_those_who_hold_it() {
    let company = company().await;
    let admin = &company.administrator;
    let representative = company.member("王芳", "sales_representative").await;
    let made = representative
        .post("/v1/contacts", json!({ "account_id": account(&representative, "甲").await, "name": "李雷", "personal_phone": "13800138000" }))
        .await
        .expect(201);
    let path = format!("/v1/contacts/{}/timeline", made["id"].as_str().unwrap());
    let told = admin.get(&path).await.expect(200);
    let parts = told["data"][0]["sensitive"].as_object().unwrap();
    assert!(parts.contains_key("contact.read_personal"), "{told}");
    let reader = company.member("只读", "read_only").await;
    let told = reader.get(&path).await.expect(200);
    assert_eq!(told["data"][0]["sensitive"], json!({}));
    assert!(!told.to_string().contains("13800138000"));
}

#[tokio::test]
async fn a_kind_of_event_that_there_is_not_is_refused_and_the_nearest_one_named() {
    let company = company().await;
    let admin = &company.administrator;
    account(admin, "科技").await;
    let refused = admin.get("/v1/events?kind=account.create").await;
    assert_eq!(refused.refused(400), "bad_parameter");
    let unknown = ("?kind".to_owned(), "unknown_value".to_owned());
    assert_eq!(refused.faults(), [unknown]);
    let told = refused.body["errors"][0]["message"].as_str().unwrap();
    assert!(told.ends_with("did you mean account.created?"), "{told}");
    let document = penstock::app::document();
    let listed = &document["paths"]["/v1/events"]["get"]["description"];
    assert!(listed.as_str().unwrap().contains("- `account.`"), "{listed}");
    assert_eq!(admin.get("/v1/events?kind=nonsense").await.status, 400);
    for known in ["opportunity.won", "account.created"] {
        admin.get(&format!("/v1/events?kind={known}")).await.expect(200);
    }
}
