//! Timers, the engine that fires them, a sandbox company's clock, and what expires.

use crate::support::app::{SECRET, company, sandbox};
use crate::support::make_events::{Own, make_company};
use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection;
use futures::future::join_all;
use futures::join;
use penstock::config::Config;
use penstock::kernel::error::{AppError, AppResult};
use penstock::platform::clock::real_now;
use penstock::platform::db::{Db, Tx};
use penstock::platform::events::Event;
use penstock::platform::leases::Lease;
use penstock::platform::reply::Reply;
use penstock::server;
use penstock::time::timer::{self, Handlers, Timer};
use penstock::time::{clock, engine, maintenance};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// `ring` leaves an event; `ring_daily` also sets itself anew a day later, `ring_out` cancels itself; `break` fails;
/// `ring_when_free` waits for whoever holds the lock of [`HOLD`]; `ring_again_when_free` too, and sets itself anew once;
/// `ring_for_ever` always does.
static HANDLERS: Handlers = &[
    ("ring", |tx, _, timer| Box::pin(async move { ring(tx, timer) })),
    ("ring_daily", |tx, ctx, timer| {
        Box::pin(async move {
            ring(tx, timer)?;
            timer::again(tx, ctx, timer, timer.due_at + TimeDelta::days(1), json!({})).await
        })
    }),
    ("ring_out", |tx, ctx, timer| {
        Box::pin(async move {
            ring(tx, timer)?;
            timer::cancel(tx, ctx, &timer.kind, ("note", timer.subject_id)).await
        })
    }),
    ("ring_when_free", |tx, _, timer| {
        Box::pin(async move {
            tx.batch_execute(HOLD).await?;
            ring(tx, timer)
        })
    }),
    ("ring_again_when_free", |tx, ctx, timer| {
        Box::pin(async move {
            BEGUN.lock().unwrap().push(timer.subject_id);
            tx.batch_execute(HOLD).await?;
            ring(tx, timer)?;
            let is_first = timer.details["again"].is_null();
            match is_first {
                true => timer::again(tx, ctx, timer, ctx.now, json!({ "again": true })).await,
                false => Ok(()),
            }
        })
    }),
    ("ring_for_ever", |tx, ctx, timer| {
        Box::pin(async move {
            ring(tx, timer)?;
            timer::again(tx, ctx, timer, ctx.now, json!({})).await
        })
    }),
    ("break", |tx, _, timer| {
        Box::pin(async move {
            ring(tx, timer)?;
            Err(AppError::internal("it always fails"))
        })
    }),
];

/// What `ring_again_when_free` began with, whatever became of it.
static BEGUN: Mutex<Vec<Uuid>> = Mutex::new(Vec::new());

fn ring(tx: &mut Tx, timer: &Timer) -> AppResult<()> {
    tx.record(Event::new(
        "export.made",
        "export",
        timer.subject_id,
        timer.details.clone(),
    ));
    Ok(())
}

async fn set(own: &Own, kind: &str, subject: Uuid, due_at: DateTime<Utc>) {
    let ctx = own.ctx().await;
    let set = own.db.write(&ctx, async |tx| {
        timer::set(tx, &ctx, kind, ("note", subject), due_at, json!({ "词": "响" })).await?;
        Ok(Reply::no_content())
    });
    set.await.unwrap();
}

async fn advance(own: &Own, target: &str) -> AppResult<Value> {
    let (ctx, target) = (own.ctx().await, at(target));
    let moved = own.db.write(&ctx, async |tx| {
        Reply::ok(&clock::advance(tx, &ctx, HANDLERS, target).await?)
    });
    Ok(serde_json::from_slice(&moved.await?.body).unwrap())
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

const HOLD: &str = "SELECT pg_advisory_xact_lock(1)";
const WAITING: &str = "SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
const RANG: &str = "SELECT count(*) AS number FROM events WHERE kind = 'export.made'";
const TIMERS: &str = "SELECT count(*) AS number FROM timers";

#[tokio::test]
async fn with_two_engines_each_timer_fires_once() {
    let own = Own::new(None).await;
    let due = real_now() + TimeDelta::milliseconds(300);
    for _ in 0..60 {
        set(&own, "ring", Uuid::now_v7(), due).await;
    }
    let engines = [
        engine::spawn(&own.url, HANDLERS).unwrap(),
        engine::spawn(&own.url, HANDLERS).unwrap(),
    ];
    own.until(TIMERS, 0).await;
    for engine in engines {
        engine.stop().await;
    }
    assert_eq!(own.number(RANG).await, 60);
    let twice = "SELECT count(*) AS number FROM (SELECT 1 FROM events WHERE kind = 'export.made' GROUP BY subject_id HAVING count(*) > 1) t";
    assert_eq!(own.number(twice).await, 0);
    let by_timer = "SELECT count(*) AS number FROM events WHERE kind = 'export.made' AND actor_kind = 'timer' AND cause = 'timer ring'";
    assert_eq!(own.number(by_timer).await, 60);
}

#[tokio::test]
async fn a_timer_that_fails_is_kept_for_later_leaves_no_trace_and_holds_nothing_up() {
    let own = Own::new(None).await;
    let due = real_now() - TimeDelta::hours(1);
    set(&own, "break", Uuid::now_v7(), due).await;
    set(&own, "unheard_of", Uuid::now_v7(), due).await;
    set(&own, "ring", Uuid::now_v7(), due).await;
    let engine = engine::spawn(&own.url, HANDLERS).unwrap();
    own.until(RANG, 1).await;
    own.until("SELECT count(*) AS number FROM timers WHERE attempts = 1", 2)
        .await;
    engine.stop().await;
    assert_eq!(own.number(TIMERS).await, 2);
    let later = "SELECT count(*) AS number FROM timers WHERE retry_at > now() + interval '20 seconds'";
    assert_eq!(own.number(later).await, 2);
}

#[tokio::test]
async fn a_timer_set_again_is_moved_and_one_cancelled_never_fires() {
    let own = Own::new(Some("2024-03-15T08:00:00Z")).await;
    let (moved, cancelled) = (Uuid::now_v7(), Uuid::now_v7());
    set(&own, "ring", moved, at("2024-03-15T09:00:00Z")).await;
    set(&own, "ring", moved, at("2024-03-15T10:00:00Z")).await;
    set(&own, "ring", cancelled, at("2024-03-15T09:00:00Z")).await;
    let ctx = own.ctx().await;
    let cancel = own.db.write(&ctx, async |tx| {
        timer::cancel(tx, &ctx, "ring", ("note", cancelled)).await?;
        Ok(Reply::no_content())
    });
    cancel.await.unwrap();
    assert_eq!(
        advance(&own, "2024-03-15T09:30:00Z").await.unwrap()["fired_count"],
        0
    );
    assert_eq!(
        advance(&own, "2024-03-15T10:00:00Z").await.unwrap()["fired_count"],
        1
    );
    assert_eq!(own.number(TIMERS).await, 0);
}

#[tokio::test]
async fn a_sandbox_clock_fires_nothing_one_second_before_and_once_at_the_due_time() {
    let own = Own::new(Some("2024-03-15T08:00:00Z")).await;
    let engine = engine::spawn(&own.url, HANDLERS).unwrap();
    set(&own, "ring", Uuid::now_v7(), at("2024-03-16T09:00:00Z")).await;
    let before = advance(&own, "2024-03-16T08:59:59Z").await.unwrap();
    assert_eq!((&before["fired_count"], own.number(RANG).await), (&json!(0), 0));
    let on_time = advance(&own, "2024-03-16T09:00:00Z").await.unwrap();
    assert_eq!((&on_time["fired_count"], own.number(RANG).await), (&json!(1), 1));
    advance(&own, "2024-04-01T00:00:00Z").await.unwrap();
    assert_eq!(own.number(RANG).await, 1);
    engine.stop().await;
}

#[tokio::test]
async fn timers_on_the_way_fire_in_order_each_at_its_own_due_time() {
    let own = Own::new(Some("2024-03-15T08:00:00Z")).await;
    set(&own, "ring", Uuid::now_v7(), at("2024-03-17T12:00:00Z")).await;
    set(&own, "ring_daily", Uuid::now_v7(), at("2024-03-16T09:00:00Z")).await;
    set(&own, "break", Uuid::now_v7(), at("2024-03-16T10:00:00Z")).await;
    set(&own, "ring_out", Uuid::now_v7(), at("2024-03-16T11:00:00Z")).await;
    let moved = advance(&own, "2024-03-18T10:00:00Z").await.unwrap();
    assert_eq!(
        (&moved["fired_count"], &moved["failed_count"]),
        (&json!(5), &json!(1))
    );
    let in_order = "SELECT count(*) AS number FROM (SELECT occurred_at, lag(occurred_at) OVER (ORDER BY id) AS before \
        FROM events WHERE kind = 'export.made') e WHERE before > occurred_at";
    assert_eq!(own.number(in_order).await, 0);
    let at_due = "SELECT count(DISTINCT occurred_at) AS number FROM events WHERE kind = 'export.made' AND occurred_at IN \
        ('2024-03-16T09:00:00Z', '2024-03-16T11:00:00Z', '2024-03-17T09:00:00Z', '2024-03-17T12:00:00Z', '2024-03-18T09:00:00Z')";
    assert_eq!((own.number(RANG).await, own.number(at_due).await), (5, 5));
    assert_eq!(own.number(TIMERS).await, 2);
}

#[tokio::test]
async fn who_moves_the_clock_waits_for_a_timer_that_is_being_fired_and_passes_over_none() {
    let own = Own::new(Some("2024-03-15T08:00:00Z")).await;
    let (first, then) = (Uuid::now_v7(), Uuid::now_v7());
    let (held, is_free) = (Notify::new(), Notify::new());
    let hold = own.db.bookkeep(async |conn| {
        conn.batch_execute(HOLD).await?;
        held.notify_one();
        is_free.notified().await;
        Ok(())
    });
    let play = async {
        held.notified().await;
        set(&own, "ring_when_free", first, at("2024-03-15T08:00:00Z")).await;
        set(&own, "ring", then, at("2024-03-16T09:00:00Z")).await;
        let engine = engine::spawn(&own.url, HANDLERS).unwrap();
        own.until(WAITING, 1).await;
        let release = async {
            own.until(WAITING, 2).await;
            is_free.notify_one();
        };
        let (moved, ()) = join!(advance(&own, "2024-03-17T00:00:00Z"), release);
        engine.stop().await;
        moved.unwrap()
    };
    let (hold, moved) = join!(hold, play);
    hold.unwrap();
    assert_eq!((&moved["fired_count"], own.number(RANG).await), (&json!(1), 2));
    let in_order = format!(
        "SELECT count(*) AS number FROM events a JOIN events b ON b.subject_id = '{then}' AND b.id > a.id WHERE a.subject_id = '{first}'"
    );
    assert_eq!(own.number(&in_order).await, 1);
}

/// A timer is being fired when a command sets it, in the very same terms; how often it began to ring and how often it rang.
async fn set_while_it_fires(own: &Own, due: DateTime<Utc>) -> (usize, i64) {
    let subject = Uuid::now_v7();
    let (held, is_free) = (Notify::new(), Notify::new());
    let hold = own.db.bookkeep(async |conn| {
        conn.batch_execute(HOLD).await?;
        held.notify_one();
        is_free.notified().await;
        Ok(())
    });
    let play = async {
        held.notified().await;
        set(own, "ring_again_when_free", subject, due).await;
        let engine = engine::spawn(&own.url, HANDLERS).unwrap();
        own.until(WAITING, 1).await;
        set(own, "ring_again_when_free", subject, due).await;
        is_free.notify_one();
        own.until(TIMERS, 0).await;
        engine.stop().await;
    };
    join!(hold, play).0.unwrap();
    let begun = BEGUN.lock().unwrap().clone();
    let begun = begun.into_iter().filter(|begun| *begun == subject).count();
    (begun, own.number(RANG).await)
}

#[tokio::test]
async fn what_a_command_sets_while_a_timer_fires_is_not_overwritten_by_the_timer_that_sets_itself_anew() {
    // The first firing counts for nothing; what the command set rings, and once more as the timer then says itself.
    let own = Own::new(None).await;
    let due = real_now() - TimeDelta::hours(1);
    assert_eq!(set_while_it_fires(&own, due).await, (3, 2));
    let own = Own::new(Some("2024-03-15T08:00:00Z")).await;
    assert_eq!(set_while_it_fires(&own, at("2024-03-15T08:00:00Z")).await, (3, 2));
}

#[tokio::test]
async fn a_company_whose_timers_never_end_holds_no_other_company_up() {
    for now in [None, Some("2024-03-15T08:00:00Z")] {
        let busy = Own::new(now).await;
        for _ in 0..6 {
            let due = busy.ctx().await.now - TimeDelta::hours(1);
            set(&busy, "ring_for_ever", Uuid::now_v7(), due).await;
        }
        let engine = engine::spawn(&busy.url, HANDLERS).unwrap();
        let busily = format!(
            "SELECT least(count(*), 10) AS number FROM events WHERE kind = 'export.made' AND tenant_id = '{}'",
            busy.tenant
        );
        busy.until(&busily, 10).await;
        let db = Db::new(&busy.url, 2).unwrap();
        let (tenant, administrator) = make_company(&db, None).await;
        let other = Own {
            url: busy.url.clone(),
            db,
            tenant,
            administrator,
        };
        set(&other, "ring", Uuid::now_v7(), real_now() - TimeDelta::minutes(1)).await;
        let rang = format!("{RANG} AND tenant_id = '{tenant}'");
        other.until(&rang, 1).await;
        engine.stop().await;
    }
}

#[tokio::test]
async fn of_several_who_move_the_clock_at_once_each_timer_still_fires_once() {
    let own = Own::new(Some("2024-03-15T08:00:00Z")).await;
    for day in 16..26 {
        set(
            &own,
            "ring",
            Uuid::now_v7(),
            at(&format!("2024-03-{day}T09:00:00Z")),
        )
        .await;
    }
    let targets = (0..6)
        .map(|step| format!("2024-03-{}T00:00:00Z", 22 + step))
        .collect::<Vec<_>>();
    let moves = join_all(targets.iter().map(|target| advance(&own, target))).await;
    assert!(moves.iter().any(Result::is_ok));
    assert_eq!(own.number(RANG).await, 10);
    let stands = "SELECT count(*) AS number FROM tenants WHERE sandbox_now = '2024-03-27T00:00:00Z'";
    assert_eq!(own.number(stands).await, 1);
}

#[tokio::test]
async fn the_clock_of_a_sandbox_company_is_moved_over_http_and_never_back() {
    let company = sandbox("2024-03-15T08:00:00Z").await;
    let admin = &company.administrator;
    let path = "/v1/company/clock";
    let standing = json!({ "now": "2024-03-15T08:00:00Z", "is_sandbox": true });
    assert_eq!(admin.get(path).await.expect(200), standing);
    let later = json!({ "now": "2024-03-16T08:00:00Z" });
    let dry = admin.request(reqwest::Method::POST, path).await;
    let dry = dry.header("prefer", "dry-run").json(&later);
    crate::support::app::Answer::of(dry).await.expect(200);
    assert_eq!(admin.get(path).await.expect(200), standing);

    admin.post(path, later).await.expect(200);
    assert_eq!(admin.get(path).await.expect(200)["now"], "2024-03-16T08:00:00Z");
    let back = admin.post(path, json!({ "now": "2024-03-16T07:59:59Z" })).await;
    assert_eq!(back.faults(), [("/now".to_owned(), "out_of_range".to_owned())]);
    let far = admin.post(path, json!({ "now": "3000-01-01T00:00:00Z" })).await;
    assert_eq!(far.faults(), [("/now".to_owned(), "out_of_range".to_owned())]);
    let representative = company.member("王芳", "sales_representative").await;
    let refused = representative
        .post(path, json!({ "now": "2024-03-17T08:00:00Z" }))
        .await;
    assert_eq!(refused.refused(403), "forbidden");
}

#[tokio::test]
async fn the_clock_of_a_company_that_lives_by_real_time_is_not_moved() {
    let company = company().await;
    let admin = &company.administrator;
    let refused = admin
        .post("/v1/company/clock", json!({ "now": "2900-01-01T00:00:00Z" }))
        .await;
    assert_eq!(refused.refused(409), "not_sandbox");
    assert_eq!(
        admin.get("/v1/company/clock").await.expect(200)["is_sandbox"],
        false
    );
}

#[tokio::test]
async fn stored_answers_go_after_a_day_and_tokens_a_day_after_their_end() {
    let own = Own::new(None).await;
    let (tenant, user) = (own.tenant, own.administrator);
    own.tamper(&format!(
        "INSERT INTO idempotency_keys (tenant_id, caller_id, operation, key, request_hash, created_at) VALUES \
            ('{tenant}', '{user}', 'POST /x', 'old', '', now() - interval '24 hours 1 minute'), \
            ('{tenant}', '{user}', 'POST /x', 'fresh', '', now() - interval '23 hours'); \
         INSERT INTO refresh_tokens (tenant_id, id, family_id, user_id, issued_at, expires_at) VALUES \
            ('{tenant}', '{user}', '{user}', '{user}', now() - interval '30 days', now() - interval '2 days'), \
            ('{tenant}', '{tenant}', '{user}', '{user}', now(), now() + interval '2 days')"
    ))
    .await;
    maintenance::expire(&own.db).await.unwrap();
    let keys = "SELECT count(*) AS number FROM idempotency_keys";
    let tokens = "SELECT count(*) AS number FROM refresh_tokens";
    assert_eq!((own.number(keys).await, own.number(tokens).await), (1, 1));
}

#[tokio::test]
async fn every_server_forgets_the_callers_who_have_been_quiet_whoever_tidies_the_database() {
    let own = Own::new(None).await;
    let config = Config::read(|name| match name {
        "PENSTOCK_RATE_LIMIT_PER_USER" | "PENSTOCK_RATE_LIMIT_PER_TENANT" => Some("600000".to_owned()),
        _ => None,
    });
    let [first, second] = [0, 1].map(|_| server::platform(config.as_ref().unwrap(), SECRET).unwrap());
    for platform in [&first, &second] {
        platform.limits.take(own.administrator, own.tenant).unwrap();
        assert_eq!(platform.limits.counted(), 2);
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    for platform in [&first, &second] {
        let lease = Lease::new("maintenance", 90);
        maintenance::round(&own.db, platform, &lease).await.unwrap();
        assert_eq!(platform.limits.counted(), 0);
    }
}
