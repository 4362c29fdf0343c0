//! Long work: chunks, leases, rights, cancelling, and its progress as it is told.

use crate::support::app::{Company, Person, company, database};
use crate::support::make_events::Own;
use crate::support::make_identity::behind_its_back;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl;
use penstock::app;
use penstock::jobs::{self, JobKind, JobRun, Kinds, Progress, RowError, Step, worker};
use penstock::kernel::ctx::Ctx;
use penstock::kernel::error::{AppError, AppResult};
use penstock::kernel::fault::Fault;
use penstock::kernel::problem::Code;
use penstock::kernel::text::say;
use penstock::platform::db::Tx;
use penstock::platform::events::Event;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Notes one row in each chunk, slowly, so that a test can come in between. Every tenth row is refused.
static COUNT: JobKind = JobKind {
    name: "test.count",
    permission: "",
    step: |tx, ctx, run| Box::pin(count(tx, ctx, run)),
};
/// Needs a right; fails by itself at row 3.
static GUARDED: JobKind = JobKind {
    name: "test.guarded",
    permission: "lead.write",
    step: |tx, ctx, run| {
        Box::pin(async move {
            if run.done >= 3 {
                return Err(AppError::refuse(
                    Code::Conflict,
                    say("Three are enough", "三行足够"),
                ));
            }
            count(tx, ctx, run).await
        })
    },
};
static KINDS: Kinds = &[&COUNT, &GUARDED];

async fn count(tx: &mut Tx, ctx: &Ctx, run: &JobRun) -> AppResult<Step> {
    let row = run.checkpoint.as_ref().map_or(1, |next| next.as_i64().unwrap());
    let total = run.params["rows"].as_i64().unwrap();
    let pause = run.params["pause"].as_u64().unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(pause)).await;
    let noted = tx
        .apart(async |tx| {
            tx.record(Event::new(
                "export.made",
                "export",
                Uuid::now_v7(),
                json!({ "row": row }),
            ));
            if row % 10 == 0 {
                return Err(AppError::invalid(vec![Fault::duplicate("/row")]));
            }
            Ok(())
        })
        .await?;
    let errors = match noted {
        Ok(()) => Vec::new(),
        Err(refusal) => RowError::of_refusal(run.id, &refusal),
    };
    assert_eq!(ctx.command_id, run.id);
    let progress = Progress {
        done: row,
        total: Some(total),
        errors,
    };
    Ok(if row >= total {
        let result = json!({ "rows": row, "links": { "notes": "/v1/events" } });
        Step::Done { progress, result }
    } else {
        let checkpoint = json!(row + 1);
        Step::More { progress, checkpoint }
    })
}

async fn ask(own: &Own, rows: i64, pause: u64) -> Uuid {
    let ctx = own.ctx().await;
    let asked = own.db.write(&ctx, async |tx| {
        let params = json!({ "rows": rows, "pause": pause });
        jobs::enqueue(tx, &ctx, &COUNT, params, None).await?.accepted()
    });
    let reply = asked.await.unwrap();
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    body["id"].as_str().unwrap().parse().unwrap()
}

/// The same in a company of the running service, in somebody's name.
async fn ask_as(company: &Company, person: &Person, kind: &'static JobKind, rows: i64, pause: u64) -> String {
    ask_for(company, person, kind, (rows, pause), "now()").await
}

/// A job that no worker, of this test or another, begins before `wake` was called.
async fn ask_asleep(company: &Company, person: &Person, kind: &'static JobKind) -> String {
    ask_for(company, person, kind, (2, 0), "now() + interval '1 hour'").await
}

async fn wake(company: &Company) {
    let tenant = company.tenant;
    behind_its_back(format!(
        "UPDATE jobs SET due_at = now() WHERE tenant_id = '{tenant}' AND state = 'queued'"
    ))
    .await;
}

async fn ask_for(
    company: &Company,
    person: &Person,
    kind: &'static JobKind,
    (rows, pause): (i64, u64),
    due_at: &str,
) -> String {
    let db = database().await;
    let terms = penstock::platform::auth::load_company(&db, company.tenant);
    let terms = Arc::new(terms.await.unwrap().unwrap());
    let now = penstock::platform::clock::real_now();
    let mut ctx = Ctx::system(
        terms,
        company.tenant,
        penstock::kernel::ctx::ActorKind::User,
        now,
        now,
    );
    ctx.user = person.id;
    ctx.actor_id = Some(person.id);
    let asked = db.write(&ctx, async |tx| {
        let params = json!({ "rows": rows, "pause": pause });
        let job = jobs::enqueue(tx, &ctx, kind, params, Some(rows)).await?;
        let due = format!("UPDATE jobs SET due_at = {due_at} WHERE tenant_id = $1 AND id = $2");
        let due = diesel::sql_query(due).bind::<SqlUuid, _>(ctx.tenant);
        due.bind::<SqlUuid, _>(job.id).execute(&mut **tx).await?;
        job.accepted()
    });
    let reply = asked.await.unwrap();
    assert_eq!(reply.status, 202);
    let location = reply.headers.iter().find(|(name, _)| name == "location");
    location.unwrap().1.clone()
}

async fn ended(person: &Person, path: &str) -> Value {
    for _ in 0..600 {
        let job = person.get(path).await.expect(200);
        if !job["ended_at"].is_null() {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} does not end");
}

async fn worker_of_the_service() -> penstock::platform::duty::Duty {
    worker::spawn(crate::support::app::server().await.url.as_str(), KINDS).unwrap()
}

const DONE: &str = "SELECT count(*) AS number FROM jobs WHERE state = 'done'";
const NOTES: &str = "SELECT count(*) AS number FROM events WHERE kind = 'export.made'";
const NOTED_TWICE: &str = "SELECT count(*) AS number FROM (SELECT 1 FROM events e JOIN event_payloads p ON p.event_id = e.id \
     WHERE e.kind = 'export.made' GROUP BY e.command_id, p.data HAVING count(*) > 1) t";

#[tokio::test]
async fn a_job_outlives_its_servers_and_does_each_row_once() {
    let own = Own::new(None).await;
    let job = ask(&own, 60, 20).await;
    for part in [10, 30] {
        let worker = worker::spawn(own.url.as_str(), KINDS).unwrap();
        let far = format!("SELECT count(*) AS number FROM jobs WHERE done_count >= {part}");
        own.until(&far, 1).await;
        worker.stop().await;
        assert_eq!(own.number(DONE).await, 0);
    }
    // The third finds a job whose holder died: it waits until the lease has run out, not longer.
    own.tamper("UPDATE jobs SET holder = '00000000-0000-7000-8000-000000000001', due_at = now() + interval '1 second'")
        .await;
    let worker = worker::spawn(own.url.as_str(), KINDS).unwrap();
    own.until(DONE, 1).await;
    worker.stop().await;
    assert_eq!(own.number(NOTES).await, 54);
    assert_eq!(own.number(NOTED_TWICE).await, 0);
    let errors = format!("SELECT count(*) AS number FROM job_errors WHERE job_id = '{job}' AND ordinal <= 6");
    assert_eq!(own.number(&errors).await, 6);
    let by_job = format!(
        "SELECT count(*) AS number FROM events WHERE kind = 'export.made' AND actor_kind = 'job' AND actor_id = '{job}' AND cause = 'job test.count'"
    );
    assert_eq!(own.number(&by_job).await, 54);
}

#[tokio::test]
async fn two_servers_never_work_at_one_job_at_once() {
    let own = Own::new(None).await;
    for _ in 0..6 {
        ask(&own, 15, 5).await;
    }
    let workers = [
        worker::spawn(own.url.as_str(), KINDS).unwrap(),
        worker::spawn(own.url.as_str(), KINDS).unwrap(),
        worker::spawn(own.url.as_str(), KINDS).unwrap(),
    ];
    own.until(DONE, 6).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(own.number(NOTES).await, 6 * 14);
    assert_eq!(own.number(NOTED_TWICE).await, 0);
}

#[tokio::test]
async fn a_server_that_slept_through_its_lease_undoes_its_own_chunk() {
    let own = Own::new(None).await;
    ask(&own, 3, 700).await;
    let sleeper = worker::spawn(own.url.as_str(), KINDS).unwrap();
    own.until("SELECT count(*) AS number FROM jobs WHERE state = 'running'", 1)
        .await;
    // Another server took over and is done with the first chunk meanwhile.
    own.tamper("UPDATE jobs SET holder = '00000000-0000-7000-8000-000000000001', steps = steps + 1, due_at = now() + interval '1 minute'")
        .await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    sleeper.stop().await;
    assert_eq!(own.number(NOTES).await, 0);
    assert_eq!(
        own.number("SELECT count(*) AS number FROM jobs WHERE done_count = 0 AND steps = 1")
            .await,
        1
    );
}

#[tokio::test]
async fn a_kind_of_job_that_there_is_not_is_refused_and_those_that_there_are_are_named() {
    let company = company().await;
    let admin = &company.administrator;
    for (kind, nearest) in [
        ("pipeline.migrat", Some("did you mean pipeline.migrate?")),
        ("nonsense", None),
    ] {
        let refused = admin.get(&format!("/v1/jobs?kind={kind}")).await;
        assert_eq!(refused.refused(400), "bad_parameter");
        let unknown = ("?kind".to_owned(), "unknown_value".to_owned());
        assert_eq!(refused.faults(), [unknown]);
        let told = refused.body["errors"][0]["message"].as_str().unwrap();
        assert!(nearest.is_none_or(|nearest| told.contains(nearest)), "{told}");
        for known in app::JOBS {
            assert!(told.contains(known.name), "{told}");
        }
    }
    for known in app::JOBS {
        let list = admin
            .get(&format!("/v1/jobs?kind={}", known.name))
            .await
            .expect(200);
        assert_eq!(list["data"], json!([]));
    }
}

#[tokio::test]
async fn a_job_is_seen_by_who_asked_for_it_and_by_nobody_else() {
    let company = company().await;
    let (asker, stranger) = (
        company.member("王芳", "sales_representative").await,
        company.member("李强", "sales_representative").await,
    );
    let worker = worker_of_the_service().await;
    let path = ask_as(&company, &asker, &COUNT, 12, 0).await;
    let job = ended(&asker, &path).await;
    assert_eq!(
        (&job["state"], &job["done"], &job["total"]),
        (&json!("done"), &json!(12), &json!(12))
    );
    assert_eq!(
        (&job["error_count"], &job["result"]["rows"]),
        (&json!(1), &json!(12))
    );
    assert_eq!(job["links"]["notes"], "/v1/events");
    assert!(job["rate"].as_f64().unwrap() > 0.0);
    let errors = asker.get(&format!("{path}/errors")).await.expect(200);
    assert_eq!(
        (&errors["data"][0]["code"], &errors["data"][0]["pointer"]),
        (&json!("duplicate"), &json!("/row"))
    );
    assert_eq!(
        asker.get("/v1/jobs?state=done").await.expect(200)["data"][0]["id"],
        job["id"]
    );
    for path in [path.clone(), format!("{path}/errors"), format!("{path}/events")] {
        assert_eq!(stranger.get(&path).await.refused(404), "not_found");
    }
    assert_eq!(
        stranger
            .post(&format!("{path}/cancel"), json!({}))
            .await
            .refused(404),
        "not_found"
    );
    assert_eq!(stranger.get("/v1/jobs").await.expect(200)["data"], json!([]));
    assert_eq!(
        company.administrator.get(&path).await.expect(200)["id"],
        job["id"]
    );
    assert_eq!(
        asker.get("/v1/jobs?state=asleep").await.refused(400),
        "bad_parameter"
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_job_is_cancelled_after_the_chunk_that_it_is_at_and_a_waiting_one_at_once() {
    let company = company().await;
    let asker = company.member("王芳", "sales_representative").await;
    let path = ask_as(&company, &asker, &COUNT, 1000, 30).await;
    let waiting = ask_as(&company, &asker, &COUNT, 5, 0).await;
    let cancelled = asker
        .post(&format!("{waiting}/cancel"), json!({}))
        .await
        .expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    let worker = worker_of_the_service().await;
    while asker.get(&path).await.expect(200)["done"].as_i64().unwrap() < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asker.post(&format!("{path}/cancel"), json!({})).await.expect(200);
    let job = ended(&asker, &path).await;
    assert_eq!(job["state"], "cancelled");
    assert!(job["done"].as_i64().unwrap() < 1000);
    let again = asker.post(&format!("{path}/cancel"), json!({})).await.expect(200);
    assert_eq!(again["state"], "cancelled");
    let other = ask_as(&company, &asker, &COUNT, 1, 0).await;
    ended(&asker, &other).await;
    assert_eq!(
        asker
            .post(&format!("{other}/cancel"), json!({}))
            .await
            .refused(409),
        "conflict"
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_job_acts_with_the_rights_that_its_asker_has_now() {
    let company = company().await;
    let asker = company.member("王芳", "sales_representative").await;
    let refused = ask_as(&company, &asker, &GUARDED, 100, 0).await;
    let worker = worker_of_the_service().await;
    let job = ended(&asker, &refused).await;
    assert_eq!(
        (&job["state"], &job["failure"]["code"], &job["done"]),
        (&json!("failed"), &json!("conflict"), &json!(3))
    );
    worker.stop().await;

    let left = ask_asleep(&company, &asker, &GUARDED).await;
    let reader = company.member("赵敏", "read_only").await;
    let forbidden = ask_asleep(&company, &reader, &GUARDED).await;
    let gone = company
        .administrator
        .post(
            &format!("/v1/users/{}/deactivate", asker.id),
            json!({ "successor_id": company.administrator.id }),
        )
        .await;
    assert!(gone.status < 300, "{}", gone.body);
    wake(&company).await;
    let worker = worker_of_the_service().await;
    for path in [left, forbidden] {
        let job = ended(&company.administrator, &path).await;
        assert_eq!(
            (&job["state"], &job["failure"]["code"]),
            (&json!("failed"), &json!("forbidden"))
        );
        assert_eq!(job["done"], 0);
    }
    worker.stop().await;
}

/// Everything that the stream says until it ends.
async fn follow(person: &Person, path: &str, last: Option<&str>) -> (u16, String) {
    let mut request = person.request(Method::GET, &format!("{path}/events")).await;
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    if status == 200 {
        assert!(
            response.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/event-stream")
        );
    }
    (status, response.text().await.unwrap())
}

#[tokio::test]
async fn a_follower_hears_every_move_until_the_end_and_again_after_a_break() {
    let company = company().await;
    let asker = company.member("王芳", "sales_representative").await;
    let path = ask_as(&company, &asker, &COUNT, 12, 120).await;
    let worker = worker_of_the_service().await;
    let (_, told) = follow(&asker, &path, None).await;
    assert!(told.matches("event: progress").count() >= 2, "{told}");
    assert_eq!(told.matches("event: end").count(), 1, "{told}");
    let last = told
        .rsplit("id: ")
        .next()
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    assert!(told.ends_with("\n\n") && told.contains("\"state\":\"done\""));
    let (status, again) = follow(&asker, &path, Some("1")).await;
    assert_eq!((status, again.matches("event: ").count()), (200, 1), "{again}");
    assert_eq!(follow(&asker, &path, Some(&last)).await, (204, String::new()));
    worker.stop().await;
}
