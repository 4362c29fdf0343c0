//! What holds for the whole service: migrations, limits, headers, compressed bodies, abandoned requests.

use crate::support::app::{Answer, SECRET, anonymous, company, person};
use crate::support::db;
use crate::support::make_identity::execute_at;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service, try_call_service};
use actix_web::{App, HttpResponse, web};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use penstock::config::Config;
use penstock::identity::bootstrap::{self, NewCompany, NewPerson};
use penstock::platform::db::Db;
use penstock::platform::gatekeeper::front_door;
use penstock::platform::migrations;
use penstock::server;
use reqwest::Method;
use serde_json::Value;
use std::io::Write;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn count(db: &Db, sql: &str) -> i64 {
    db.read(async |conn| Ok(diesel::sql_query(sql).get_result::<Count>(conn).await?.count))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_servers_migrate_one_database_at_once_and_each_migration_runs_once() {
    let url = db::own_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
    let reverted = migrations::revert_all(&url).await.unwrap();
    assert_eq!(reverted, migrations::ALL.len());
    let ran = futures::future::join_all((0..4).map(|_| migrations::run(&url))).await;
    let ran = ran.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(ran.iter().sum::<usize>(), migrations::ALL.len(), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_every_migration_back_leaves_nothing_behind() {
    let url = db::own_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
    migrations::revert_all(&url).await.unwrap();
    let db = Db::new(&url, 1).unwrap();
    let left = "SELECT count(*) AS count FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_diesel%'";
    assert_eq!(count(&db, left).await, 0);
}

#[tokio::test]
async fn what_an_interrupted_run_left_of_an_index_is_built_anew() {
    let url = db::own_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
    let db = Db::new(&url, 1).unwrap();
    let index = "indexrelid = 'contacts_owner_name_idx'::regclass";
    for statement in [
        format!("UPDATE pg_index SET indisvalid = false WHERE {index}"),
        "DELETE FROM __diesel_schema_migrations WHERE version = '20261123000058'".to_owned(),
    ] {
        execute_at(&url, &statement).await;
    }
    assert_eq!(migrations::run(&url).await.unwrap(), 1);
    let valid = format!("SELECT count(*) AS count FROM pg_index WHERE {index} AND indisvalid");
    assert_eq!(count(&db, &valid).await, 1);
}

#[tokio::test]
async fn a_write_given_up_half_way_changes_nothing_and_its_connection_is_not_used_again() {
    let db = Db::new(&crate::support::app::server().await.url, 1).unwrap();
    let company = company().await;
    let settings = penstock::platform::auth::load_company(&db, company.tenant)
        .await
        .unwrap()
        .unwrap();
    let now = penstock::platform::clock::real_now();
    let ctx = penstock::kernel::ctx::Ctx::system(
        settings.into(),
        company.tenant,
        penstock::kernel::ctx::ActorKind::System,
        now,
        now,
    );
    let backend = async |tx: &mut penstock::platform::db::Tx| {
        diesel::sql_query("SELECT pg_backend_pid()::bigint AS count")
            .get_result::<Count>(&mut **tx)
            .await
            .unwrap()
            .count
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = std::cell::RefCell::new(Some(sender));
    let endless = db.write(&ctx, async |tx| {
        diesel::sql_query("UPDATE tenants SET name = 'half' WHERE tenant_id = $1")
            .bind::<diesel::sql_types::Uuid, _>(company.tenant)
            .execute(&mut **tx)
            .await?;
        let pid = backend(tx).await;
        if let Some(sender) = sender.borrow_mut().take() {
            let _ = sender.send(pid);
        }
        std::future::pending().await
    });
    let first = tokio::select! {
        _ = endless => unreachable!("it never ends"),
        pid = receiver => pid.unwrap(),
    };
    let second = std::cell::Cell::new(0);
    db.write(&ctx, async |tx| {
        second.set(backend(tx).await);
        Ok(penstock::platform::reply::Reply::no_content())
    })
    .await
    .unwrap();
    assert_ne!(first, second.get());
    let settings = penstock::platform::auth::load_company(&db, company.tenant)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(settings.name, "测试企业");
}

async fn panicking() -> HttpResponse {
    panic!("on purpose")
}

#[actix_web::test]
async fn a_handler_that_panics_answers_a_problem_document_and_is_counted() {
    let platform = crate::support::app::server().await.platform.clone();
    let app = App::new()
        .app_data(platform.clone())
        .wrap(from_fn(front_door))
        .route("/docs/panic", web::get().to(panicking));
    let app = init_service(app).await;
    let request = TestRequest::get().uri("/docs/panic").to_request();
    let answer = try_call_service(&app, request)
        .await
        .unwrap_err()
        .error_response();
    assert_eq!(answer.status(), 500);
    assert_eq!(
        answer.headers().get("content-type").unwrap(),
        "application/problem+json"
    );
    assert!(answer.headers().contains_key("x-request-id"));
    let figures = String::from_utf8(platform.metrics.text()).unwrap();
    assert!(figures.contains("route=\"other\",status=\"500\""), "{figures}");
}

#[tokio::test]
async fn a_compressed_body_is_read_and_a_bomb_is_refused() {
    let company = company().await;
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let send = async |body: Vec<u8>| {
        let request = company.administrator.request(Method::POST, "/v1/accounts").await;
        Answer::of(
            request
                .header("content-type", "application/json")
                .header("content-encoding", "gzip")
                .body(body),
        )
        .await
    };
    assert_eq!(
        send(gzip("{\"name\":\"压缩\"}".as_bytes())).await.expect(201)["name"],
        "压缩"
    );
    assert_eq!(
        send(gzip(&vec![b' '; 50_000_000])).await.refused(413),
        "too_large"
    );
}

#[tokio::test]
async fn every_answer_carries_the_standing_headers() {
    let answer = Answer::of(anonymous(Method::GET, "/v1/accounts").await).await;
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"penstock\"");
    assert!(!answer.header("x-request-id").is_empty());
}

/// A server of the test's own, with settings of its own.
async fn own_server(setting: (&'static str, &'static str)) -> (server::Running, String) {
    let url = db::own_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
    let config = Config::read(|name| match name {
        "PENSTOCK_LISTEN" => Some("127.0.0.1:0".to_owned()),
        "PENSTOCK_WORKERS" => Some("1".to_owned()),
        name => (name == setting.0).then(|| setting.1.to_owned()),
    })
    .unwrap();
    let platform = server::platform(&config, SECRET).unwrap();
    (server::start(&config, &url, platform).await.unwrap(), url)
}

#[tokio::test]
async fn the_figures_tell_of_connections_and_of_what_waits() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let listen: &'static str = port.to_string().leak();
    let (running, url) = own_server(("PENSTOCK_METRICS_LISTEN", listen)).await;
    let db = Db::new(&url, 1).unwrap();
    for job in ["queued", "queued", "running"] {
        let made = format!(
            "INSERT INTO jobs (tenant_id, id, kind, state, lang, due_at, created_at, updated_at) \
             VALUES (gen_random_uuid(), gen_random_uuid(), 'nothing', '{job}', 'en', now() + interval '1 day', now(), now()) \
             RETURNING 1::bigint AS count"
        );
        count(&db, &made).await;
    }
    let text = reqwest::get(format!("http://{listen}/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for figure in [
        "penstock_database_connections{state=\"in_use\"} 0",
        "penstock_database_connections{state=\"waiting\"} 0",
        "penstock_events_unsequenced 0",
        "penstock_timers_due 0",
        "penstock_jobs{kind=\"nothing\",state=\"queued\"} 2",
        "penstock_jobs{kind=\"nothing\",state=\"running\"} 1",
    ] {
        assert!(text.lines().any(|line| line == figure), "{figure} in {text}");
    }
    running.stop().await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let (running, url) = own_server(("PENSTOCK_RATE_LIMIT_PER_USER", "3")).await;
    let new = NewCompany {
        name: "限流".to_owned(),
        slug: "limits".to_owned(),
        time_zone: "Asia/Shanghai".to_owned(),
        currency: "CNY".to_owned(),
        locale: "en".to_owned(),
        sandbox_now: None,
        administrator: NewPerson {
            name: "a".to_owned(),
            email: "a@limits.example".to_owned(),
            password: "correct horse battery".to_owned(),
        },
    };
    let made = bootstrap::make_company(&Db::new(&url, 1).unwrap(), &new, penstock::app::SHIPS)
        .await
        .unwrap();
    let admin = person(made.tenant, made.administrator, new.administrator.email).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        let request = reqwest::Client::new()
            .get(format!("http://{}/v1/accounts", running.address))
            .bearer_auth(&admin.token);
        answers.push(Answer::of(request).await);
    }
    assert_eq!(answers[0].status, 200);
    assert_eq!(
        answers[0].header("ratelimit"),
        "\"user\";r=2;t=20, \"company\";r=5999;t=1"
    );
    assert_eq!(
        answers[0].header("ratelimit-policy"),
        "\"user\";q=3;w=60, \"company\";q=6000;w=60"
    );
    assert_eq!(answers[4].refused(429), "too_many_requests");
    assert_eq!(answers[4].header("ratelimit-policy"), "\"user\";q=3;w=60");
    assert!(answers[4].header("retry-after").parse::<u64>().unwrap() > 0);
    running.stop().await;
}

#[tokio::test]
async fn only_the_named_origins_may_call_from_a_browser() {
    let (running, _) = own_server(("PENSTOCK_CORS_ORIGINS", "https://app.example")).await;
    let preflight = |origin: &'static str| {
        let request = reqwest::Client::new()
            .request(Method::OPTIONS, format!("http://{}/v1/accounts", running.address));
        Answer::of(
            request
                .header("origin", origin)
                .header("access-control-request-method", "GET"),
        )
    };
    assert_eq!(
        preflight("https://app.example")
            .await
            .header("access-control-allow-origin"),
        "https://app.example"
    );
    let refused = preflight("https://evil.example").await;
    assert_eq!(refused.header("access-control-allow-origin"), "");
    assert_eq!(refused.refused(400), "bad_header");
    assert_eq!(refused.body["request_id"], refused.header("x-request-id"));
    running.stop().await;
}

#[tokio::test]
async fn every_problem_code_has_its_page() {
    let list = Answer::of(anonymous(Method::GET, "/problems").await)
        .await
        .expect(200);
    for page in list.as_array().unwrap() {
        let path = format!("/problems/{}", page["code"].as_str().unwrap());
        let html = Answer::of(anonymous(Method::GET, &path).await.header("accept", "text/html")).await;
        assert_eq!(html.status, 200);
        let Value::String(text) = &html.body else {
            panic!("the page is HTML")
        };
        assert!(text.contains(page["title_zh"].as_str().unwrap()));
        assert!(text.contains("如何处理") && !text.contains('`'), "{text}");
        assert!(!page["meaning_zh"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_documentation_comes_from_the_binary() {
    let page = Answer::of(anonymous(Method::GET, "/docs/").await).await;
    assert_eq!(page.status, 200);
    let Value::String(text) = &page.body else {
        panic!("the page is HTML")
    };
    assert!(!text.contains("https://"), "no asset comes from elsewhere");
    assert_eq!(
        Answer::of(anonymous(Method::GET, "/openapi.json").await)
            .await
            .expect(200)["openapi"],
        "3.1.0"
    );
}
