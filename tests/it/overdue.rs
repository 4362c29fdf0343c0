//! Until when a deal is expected to stay in its stage.

use crate::support::app::{CREATED, Company, Person, account, id, move_clock, sandbox};
use crate::support::make_deals::{advance, deal, gate, path, read};
use crate::support::make_events::Own;
use crate::support::make_migrations::{
    events, findings, first, migrate, next_version, renamed, roll_back, second,
};
use crate::support::make_pipelines::published;
use crate::support::make_transfers::{CSV, counts, done, download, import};
use diesel_async::SimpleAsyncConnection;
use penstock::check;
use penstock::opportunity::overdue::fill;
use serde_json::{Value, json};
use uuid::Uuid;

const MONDAY: &str = "2024-03-04T01:00:00Z";
const NEVER: Value = Value::Null;

/// A day, two days, as long as it takes.
fn timed() -> Value {
    let stage = |key: &str, more: Value| {
        let mut stage = json!({ "key": key, "name": key, "probability": "0.5" });
        stage["expected_dwell_seconds"] = more;
        stage
    };
    let stages = [
        stage("one", json!(86_400)),
        stage("two", json!(172_800)),
        stage("three", NEVER),
    ];
    json!({ "key": "timed", "name": "有期限", "stages": stages })
}

/// As members say an instant.
fn at(text: &str) -> Value {
    json!(text.replace('Z', ".000000Z"))
}

async fn close(person: &Person, deal: &Value) -> Value {
    let lose = json!({ "loss_reason_key": "slip", "reason": "点错" });
    person.post(&path(deal, "lose"), lose).await.expect(200)
}

async fn reopen(person: &Person, deal: &Value) -> Value {
    let reopen = json!({ "reason": "误操作" });
    person.post(&path(deal, "reopen"), reopen).await.expect(200)
}

/// A sandbox company on a Monday morning.
async fn on_monday() -> Company {
    let company = sandbox(MONDAY).await;
    let reason = json!({ "key": "slip", "name": "误操作" });
    let made = company.administrator.post("/v1/loss-reasons", reason).await;
    made.expect(CREATED);
    company
}

#[actix_web::test]
async fn every_move_says_anew_until_when_the_deal_is_expected_to_stay() {
    let company = on_monday().await;
    let admin = &company.administrator;
    let pipeline = published(admin, timed()).await;
    let made = deal(admin, &pipeline, None).await;
    assert_eq!(made["stage_due_at"], at("2024-03-05T01:00:00Z"));
    assert_eq!(gate(admin, &made).await["stage_due_at"], "2024-03-05T01:00:00Z");
    move_clock(&company, "2024-03-04T05:00:00Z").await;
    let second = advance(admin, &made).await.expect(200);
    assert_eq!(second["stage_due_at"], at("2024-03-06T05:00:00Z"));
    move_clock(&company, "2024-03-04T06:00:00Z").await;
    let back = json!({ "to_stage_id": made["stage_id"], "reason": "需求变了" });
    let back = admin.post(&path(&made, "regress"), back).await.expect(200);
    assert_eq!(back["stage_due_at"], at("2024-03-05T06:00:00Z"));
    let second = advance(admin, &back).await.expect(200);
    let third = advance(admin, &second).await.expect(200);
    assert_eq!(third["stage_due_at"], NEVER);
    let won = advance(admin, &third).await.expect(200);
    assert_eq!((&won["status"], &won["stage_due_at"]), (&json!("won"), &NEVER));
    assert_eq!(events(&company, &made, "opportunity.advanced").await, 3);
    assert_eq!(events(&company, &made, "opportunity.updated").await, 0);
    assert_eq!(findings(&company).await, [""; 0]);

    let feed = format!("/v1/opportunities/{}/timeline", id(&made));
    let told = admin.get(&feed).await.expect(200);
    let regressed = told["data"].as_array().unwrap().iter();
    let regressed = regressed.filter(|event| event["kind"] == "opportunity.regressed");
    let regressed = regressed.collect::<Vec<_>>();
    let change = json!({ "before": at("2024-03-06T05:00:00Z"), "after": at("2024-03-05T06:00:00Z") });
    assert_eq!(regressed.len(), 1);
    assert_eq!(regressed[0]["data"]["changes"]["stage_due_at"], change);
}

#[actix_web::test]
async fn the_time_that_a_deal_was_closed_puts_off_when_it_is_due() {
    let company = on_monday().await;
    let admin = &company.administrator;
    let pipeline = published(admin, timed()).await;
    let made = deal(admin, &pipeline, None).await;
    // Open for 2 hours, closed for 8; open for 1 more, closed for 24.
    for (lost, reopened, due) in [
        (
            "2024-03-04T03:00:00Z",
            "2024-03-04T11:00:00Z",
            "2024-03-05T09:00:00Z",
        ),
        (
            "2024-03-04T12:00:00Z",
            "2024-03-05T12:00:00Z",
            "2024-03-06T09:00:00Z",
        ),
    ] {
        move_clock(&company, lost).await;
        assert_eq!(close(admin, &made).await["stage_due_at"], NEVER);
        assert_eq!(read(admin, &made).await["stage_due_at"], NEVER);
        move_clock(&company, reopened).await;
        assert_eq!(reopen(admin, &made).await["stage_due_at"], at(due));
        assert_eq!(findings(&company).await, [""; 0]);
    }
    close(admin, &made).await;
    let again = json!({ "reason": "客户恢复了预算" });
    let again = admin.post(&path(&made, "restart"), again).await.expect(200);
    assert_eq!(again["stage_due_at"], at("2024-03-06T12:00:00Z"), "a new cycle");
    assert_eq!(findings(&company).await, [""; 0]);
}

#[actix_web::test]
async fn lists_show_what_is_overdue_the_longest_first_within_scope() {
    let company = on_monday().await;
    let admin = &company.administrator;
    let [li, wang] = [
        company.member("李", "sales_representative").await,
        company.member("王", "sales_representative").await,
    ];
    let pipeline = published(admin, timed()).await;
    let theirs = deal(&wang, &pipeline, None).await;
    move_clock(&company, "2024-03-04T02:00:00Z").await;
    let early = deal(&li, &pipeline, None).await;
    move_clock(&company, "2024-03-04T03:00:00Z").await;
    let late = deal(&li, &pipeline, None).await;
    let lost = deal(&li, &pipeline, None).await;
    close(&li, &lost).await;
    let patient = advance(&li, &deal(&li, &pipeline, None).await).await.expect(200);
    let timeless = advance(
        &li,
        &advance(&li, &deal(&li, &pipeline, None).await).await.expect(200),
    )
    .await;
    let timeless = timeless.expect(200);
    assert_eq!(timeless["stage_due_at"], NEVER);

    let overdue = async |person: &Person, now: &str| {
        let query = format!("status=open&stage_due_at_before={now}&sort=stage_due_at&with_total=true");
        let list = person
            .get(&format!("/v1/opportunities?{query}"))
            .await
            .expect(200);
        let rows = list["data"].as_array().unwrap().clone();
        assert_eq!(list["total"], json!(rows.len()));
        rows.iter().map(id).collect::<Vec<_>>()
    };
    let ids = |deals: &[&Value]| deals.iter().map(|deal| id(deal)).collect::<Vec<_>>();
    assert_eq!(overdue(&li, "2024-03-04T03:00:00Z").await, ids(&[]));
    let now = "2024-03-05T02:00:01Z";
    move_clock(&company, now).await;
    assert_eq!(overdue(&li, now).await, ids(&[&early]));
    assert_eq!(overdue(admin, now).await, ids(&[&theirs, &early]));
    let now = "2024-03-06T00:00:00Z";
    move_clock(&company, now).await;
    assert_eq!(overdue(&li, now).await, ids(&[&early, &late]));
    assert_eq!(overdue(admin, now).await, ids(&[&theirs, &early, &late]));
    let waiting = format!("/v1/opportunities?stage_due_at_after={now}");
    let waiting = li.get(&waiting).await.expect(200);
    assert_eq!(waiting["data"][0]["id"], patient["id"]);
    assert_eq!(waiting["data"].as_array().unwrap().len(), 1);
    // By pages of one, those without any come last.
    let (mut seen, mut query) = (Vec::new(), "sort=stage_due_at&limit=1".to_owned());
    loop {
        let page = li.get(&format!("/v1/opportunities?{query}")).await.expect(200);
        seen.push(id(&page["data"][0]));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("sort=stage_due_at&limit=1&cursor={cursor}");
    }
    assert_eq!(seen, ids(&[&early, &late, &patient, &lost, &timeless]));

    let tree = json!({ "member": "stage_due_at", "lt": now });
    let body = json!({ "filter": tree, "sort": ["-stage_due_at"] });
    let found = li.post("/v1/opportunities/search", body).await.expect(200);
    let found = found["data"].as_array().unwrap().clone();
    assert_eq!(found.iter().map(id).collect::<Vec<_>>(), ids(&[&late, &early]));
    let view = json!({ "name": "超期", "resource": "opportunity", "filter": tree, "sort": ["stage_due_at"] });
    let view = li.post("/v1/views", view).await.expect(CREATED);
    let records = li
        .get(&format!("/v1/views/{}/records", id(&view)))
        .await
        .expect(200);
    let records = records["data"].as_array().unwrap().clone();
    assert_eq!(records.iter().map(id).collect::<Vec<_>>(), ids(&[&early, &late]));
    let filter = format!("stage_due_at_before={now}&sort=stage_due_at");
    let columns = json!(["id", "stage_due_at"]);
    let body = json!({ "resource": "opportunity", "format": "csv", "filter": filter, "columns": columns });
    let job = done(&li, li.post("/v1/exports", body).await).await;
    let file = job["links"]["file"].as_str().unwrap_or_else(|| panic!("{job}"));
    let file = String::from_utf8(download(&li, file).await).unwrap();
    let rows = file
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().to_owned());
    assert_eq!(rows.collect::<Vec<_>>(), ids(&[&early, &late]), "{file}");
}

#[actix_web::test]
async fn a_migration_makes_a_stay_due_by_the_version_that_it_leads_to_and_a_roll_back_as_before() {
    let company = on_monday().await;
    let admin = &company.administrator;
    let pipeline = published(admin, first()).await;
    let [kept, other] = [
        deal(admin, &pipeline, None).await,
        deal(admin, &pipeline, None).await,
    ];
    assert_eq!(kept["stage_due_at"], at("2024-03-04T01:16:40Z"));
    move_clock(&company, "2024-03-04T01:05:00Z").await;
    close(admin, &kept).await;
    move_clock(&company, "2024-03-04T02:05:00Z").await;
    let reopened = reopen(admin, &kept).await;
    assert_eq!(
        reopened["stage_due_at"],
        at("2024-03-04T02:16:40Z"),
        "an hour later"
    );
    next_version(admin, &pipeline, second()).await;
    let done = migrate(admin, &pipeline, json!({})).await;
    assert_eq!(
        read(admin, &kept).await["stage_due_at"],
        at("2024-03-04T02:33:20Z")
    );
    assert_eq!(
        read(admin, &other).await["stage_due_at"],
        at("2024-03-04T01:33:20Z")
    );
    assert_eq!(findings(&company).await, [""; 0]);
    roll_back(admin, &done).await;
    assert_eq!(read(admin, &kept).await["stage_due_at"], reopened["stage_due_at"]);
    assert_eq!(read(admin, &other).await["stage_due_at"], other["stage_due_at"]);
    assert_eq!(findings(&company).await, [""; 0]);
    next_version(admin, &pipeline, renamed()).await;
    migrate(admin, &pipeline, json!({ "stages": { "contact": "qualify" } })).await;
    let begun = read(admin, &kept).await;
    assert_eq!(begun["stage_due_at"], at("2024-03-04T02:38:20Z"), "a stay begins");
    assert_eq!(findings(&company).await, [""; 0]);
}

#[actix_web::test]
async fn a_deal_that_is_brought_in_is_due_by_the_day_on_which_its_stage_was_entered() {
    let company = on_monday().await;
    let admin = &company.administrator;
    published(admin, timed()).await;
    account(admin, "恒信").await;
    let table = "name,account,amount,stage,entered_on,closed_on\n甲,恒信,1,one,2024-03-01,\n乙,恒信,1,two,2024-03-01,\n丙,恒信,1,won,2024-03-01,2024-03-02\n";
    let options = json!({ "resource": "opportunity" });
    let job = import(admin, CSV, table, options).await;
    assert_eq!(counts(&job), [3, 0, 0, 0], "{job}");
    let list = admin.get("/v1/opportunities?sort=name").await.expect(200);
    let due = |name: &str| {
        let mut rows = list["data"].as_array().unwrap().iter();
        rows.find(|row| row["name"] == name).unwrap()["stage_due_at"].clone()
    };
    assert_eq!(
        due("甲"),
        at("2024-03-01T16:00:00Z"),
        "midnight in Shanghai and a day"
    );
    assert_eq!(due("乙"), at("2024-03-02T16:00:00Z"));
    assert_eq!(due("丙"), NEVER);
    assert_eq!(findings(&company).await, [""; 0]);
}

#[tokio::test]
async fn older_deals_are_entered_in_batches_and_check_is_silent_until_that_is_done() {
    let own = Own::new(None).await;
    let (tenant, version, stage) = (own.tenant, Uuid::now_v7(), Uuid::now_v7());
    let (pipeline, account) = (Uuid::now_v7(), Uuid::now_v7());
    let user = own.administrator;
    own.tamper(&format!(
        "INSERT INTO accounts (tenant_id, id, name, owner_id, currency, created_at, updated_at) VALUES ('{tenant}', '{account}', '甲', '{user}', 'CNY', now(), now()); \
         INSERT INTO pipelines (tenant_id, id, key, name, created_at, updated_at) VALUES ('{tenant}', '{pipeline}', 'p', 'p', now(), now()); \
         INSERT INTO pipeline_versions (tenant_id, id, pipeline_id, number, state, document, document_hash, published_at, created_at, updated_at) \
            VALUES ('{tenant}', '{version}', '{pipeline}', 1, 'published', '{{}}', '', now(), now(), now()); \
         INSERT INTO stages (tenant_id, id, pipeline_id, key, created_at) VALUES ('{tenant}', '{stage}', '{pipeline}', 'one', now()); \
         INSERT INTO version_stages (tenant_id, version_id, stage_id, position, name, probability, expected_dwell_seconds) VALUES ('{tenant}', '{version}', '{stage}', 1, 'one', 0.1, 86400); \
         INSERT INTO opportunities (tenant_id, id, name, account_id, owner_id, pipeline_id, pipeline_version_id, stage_id, visit_id, stage_entered_at, status, currency, probability_default, created_at, updated_at) \
            SELECT '{tenant}', gen_random_uuid(), '甲', '{account}', '{user}', '{pipeline}', '{version}', '{stage}', gen_random_uuid(), now() - n * interval '1 minute', \
            CASE WHEN n % 3 = 0 THEN 'lost' ELSE 'open' END, 'CNY', 0.1, now(), now() FROM generate_series(1, 1200) n; \
         INSERT INTO transitions (tenant_id, id, opportunity_id, cycle, ordinal, kind, pipeline_version_id, to_stage_id, to_status, visit_id, actor_kind, at, recorded_at) \
            SELECT tenant_id, visit_id, id, 1, 1, 'enter', pipeline_version_id, stage_id, 'open', visit_id, 'user', stage_entered_at, now() FROM opportunities"
    ))
    .await;
    let said = async || {
        let found = check::run(&own.url).await.unwrap();
        let about = found
            .iter()
            .filter(|finding| finding.sentence.contains("due in its stage"));
        about.count()
    };
    assert_eq!(said().await, 800, "a new database has nothing to enter");
    own.tamper("DELETE FROM fills").await;
    assert_eq!(said().await, 0);
    // What a server of before left when it closed a deal.
    own.tamper("UPDATE opportunities SET stage_due_at = now() WHERE status = 'lost'")
        .await;
    let (mut position, mut mended) = (Some((Uuid::nil(), Uuid::nil())), 0);
    while let Some(after) = position {
        let (more, next) = fill::batch(&own.db, after).await.unwrap();
        mended += more;
        position = next;
    }
    assert_eq!(mended, 1200);
    let right = "SELECT count(*) AS number FROM opportunities WHERE CASE status WHEN 'open' THEN stage_due_at = stage_entered_at + interval '1 day' ELSE stage_due_at IS NULL END";
    assert_eq!(own.number(right).await, 1200);
    let untouched = "SELECT count(*) AS number FROM opportunities WHERE version = 1";
    assert_eq!(own.number(untouched).await, 1200);
    own.db.bookkeep(fill::complete).await.unwrap();
    assert_eq!(said().await, 0);
    own.db
        .bookkeep(async |conn| Ok(conn.batch_execute("UPDATE opportunities SET stage_due_at = stage_due_at + interval '1 second' WHERE id = (SELECT max(id::text)::uuid FROM opportunities WHERE status = 'open')").await?))
        .await
        .unwrap();
    assert_eq!(said().await, 1);
}
