//! Room 5: advances that happen at the same moment travel in one transaction, and each is decided as if it were alone.

use crate::support::app::{Answer, CREATED, Company, Person, account, company, database, id};
use crate::support::make_deals::{advance, deal, gated, invite, moves, path, plain, read};
use crate::support::make_pipelines::published;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures::future::join_all;
use penstock::kernel::error::AppError;
use penstock::platform::reply::Reply;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::sync::oneshot;
use uuid::Uuid;

async fn deals(owner: &Person, pipeline: &str, count: usize) -> Vec<Value> {
    let account_id = account(owner, "示例科技").await;
    let make = async |n: usize| {
        let body = json!({ "name": format!("采购{n}"), "account_id": account_id, "pipeline_id": pipeline, "amount": "10.00" });
        owner.post("/v1/opportunities", body).await.expect(CREATED)
    };
    join_all((0..count).map(make)).await
}

/// The server has seen what the gate of the first stage needs.
async fn known(owner: &Person, pipeline: &str) {
    let seen = deal(owner, pipeline, Some("10.00")).await;
    advance(owner, &seen).await;
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// In how many transactions deals of the company were advanced.
async fn transactions(company: &Company) -> i64 {
    let tenant = company.tenant;
    let count = "SELECT count(DISTINCT xmin::text) AS number FROM transitions WHERE tenant_id = $1 AND kind = 'advance'";
    let found = database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query(count).bind::<SqlUuid, _>(tenant);
            Ok(query.get_result::<Number>(conn).await?)
        })
        .await;
    found.unwrap().number
}

#[actix_web::test]
async fn advances_of_many_deals_at_once_share_a_commit_and_each_is_its_own_command() {
    let company = company().await;
    let (li, wang) = (
        company.member("李", "sales_representative").await,
        company.member("王", "sales_representative").await,
    );
    let pipeline = published(&company.administrator, plain()).await;
    known(&li, &pipeline).await;
    let (of_li, of_wang) = futures::join!(deals(&li, &pipeline, 16), deals(&wang, &pipeline, 16));
    let mine = of_li.iter().map(|deal| (&li, deal));
    let all = mine
        .chain(of_wang.iter().map(|deal| (&wang, deal)))
        .collect::<Vec<_>>();
    let moved = join_all(all.iter().map(async |(owner, deal)| {
        let note = json!({ "from_stage_id": deal["stage_id"], "note": deal["name"] });
        owner.post(&path(deal, "advance"), note).await.expect(200)
    }))
    .await;
    let mut commands = BTreeSet::new();
    for ((owner, before), after) in all.iter().zip(&moved) {
        assert_eq!(
            (&after["id"], &after["version"], &after["probability_default"]),
            (&before["id"], &json!(2), &json!("0.6000"))
        );
        let transition = &after["transition"];
        assert_eq!(
            (&transition["actor_id"], &transition["reason"], &after["visit_id"]),
            (&json!(owner.id), &before["name"], &transition["id"])
        );
        assert_eq!(moves(owner, before).await, ["enter", "advance"]);
        let timeline = owner.get(&path(before, "timeline")).await.expect(200);
        let told = timeline["data"].as_array().unwrap();
        let told = told
            .iter()
            .find(|entry| entry["kind"] == "opportunity.advanced")
            .unwrap();
        assert_eq!(told["actor_id"], json!(owner.id), "{told}");
        commands.insert(told["command_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(commands.len(), all.len());
    let transactions = transactions(&company).await;
    assert!(transactions < 33, "{transactions} transactions for 33 advances");
}

async fn with(person: &Person, deal: &Value, name: &'static str, value: &str) -> Answer {
    let request = person.request(Method::POST, &path(deal, "advance")).await;
    let body = json!({ "from_stage_id": deal["stage_id"] });
    Answer::of(request.header(name, value).json(&body)).await
}

#[actix_web::test]
async fn each_of_many_at_once_is_refused_for_its_own_reason_and_the_others_move() {
    let company = company().await;
    let admin = &company.administrator;
    let (li, wang) = (
        company.member("李", "sales_representative").await,
        company.member("王", "sales_representative").await,
    );
    let (simple, strict) = futures::join!(published(admin, plain()), published(admin, gated()));
    known(&li, &simple).await;
    known(&li, &strict).await;
    let (open, closed, stale, foreign, shared, last) = futures::join!(
        deals(&li, &simple, 6),
        deals(&li, &strict, 6),
        deals(&li, &simple, 6),
        deals(&wang, &simple, 6),
        deals(&wang, &simple, 3),
        deals(&li, &simple, 2),
    );
    for deal in &shared {
        invite(&company, deal, &li, "edit").await;
    }
    let mut final_ones = Vec::new();
    for deal in &last {
        let deal = advance(&li, deal).await.expect(200);
        final_ones.push(advance(&li, &deal).await.expect(200));
    }
    let opened = join_all(open.iter().map(async |deal| {
        assert_eq!(advance(&li, deal).await.expect(200)["version"], 2);
    }));
    let gates = join_all(closed.iter().map(async |deal| {
        let refused = with(&li, deal, "accept-language", "zh").await;
        assert_eq!(refused.refused(409), "gate_not_met");
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains("项条件未满足"), "{detail}");
    }));
    let stales = join_all(stale.iter().map(async |deal| {
        assert_eq!(with(&li, deal, "if-match", "\"9\"").await.refused(412), "stale");
    }));
    let foreigners = join_all(foreign.iter().map(async |deal| {
        assert_eq!(advance(&li, deal).await.refused(404), "not_found");
    }));
    let not_theirs = join_all(shared.iter().map(async |deal| {
        assert_eq!(advance(&li, deal).await.refused(403), "forbidden");
    }));
    let won = join_all(final_ones.iter().map(async |deal| {
        assert_eq!(advance(&li, deal).await.expect(200)["status"], "won");
    }));
    futures::join!(opened, gates, stales, foreigners, not_theirs, won);
    for deal in closed.iter().chain(&stale) {
        assert_eq!(moves(&li, deal).await, ["enter"]);
    }
    for deal in foreign.iter().chain(&shared) {
        assert_eq!(moves(&wang, deal).await, ["enter"]);
    }
}

#[actix_web::test]
async fn a_deal_that_somebody_holds_keeps_no_other_waiting() {
    let company = company().await;
    let li = company.member("李", "sales_representative").await;
    let pipeline = published(&company.administrator, plain()).await;
    known(&li, &pipeline).await;
    let all = deals(&li, &pipeline, 12).await;
    let (held, others) = all.split_first().unwrap();
    let held_id: Uuid = id(held).parse().unwrap();
    let (locked, is_locked) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let holder = async {
        let db = database().await;
        let held = db.bookkeep(async |conn| {
            let lock = format!(
                "SELECT pg_backend_pid()::bigint AS number FROM opportunities WHERE id = '{held_id}' FOR UPDATE"
            );
            let holder: Number = diesel::sql_query(lock).get_result(conn).await?;
            locked.send(holder.number).unwrap();
            released.await.map_err(AppError::internal)?;
            Ok(Reply::no_content())
        });
        held.await.unwrap();
    };
    let movers = async {
        let holder = is_locked.await.unwrap();
        let at_once = async {
            until_somebody_waits_for(holder).await;
            for moved in join_all(others.iter().map(|deal| advance(&li, deal))).await {
                moved.expect(200);
            }
            // All others are through while it is still held.
            assert_eq!(read(&li, held).await["version"], 1);
            release.send(()).unwrap();
        };
        let (waited, ()) = futures::join!(advance(&li, held), at_once);
        assert_eq!(waited.expect(200)["version"], 2);
    };
    futures::join!(holder, movers);
}

async fn until_somebody_waits_for(holder: i64) {
    let waiting = format!(
        "SELECT count(*) AS number FROM pg_stat_activity WHERE {holder} = ANY(pg_blocking_pids(pid)::bigint[])"
    );
    let db = database().await;
    loop {
        let found = db
            .read(async |conn| Ok(diesel::sql_query(&waiting).get_result::<Number>(conn).await?))
            .await;
        if found.unwrap().number > 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}
