//! The real service, once for all tests of this process, and a company of its own for each test.

use super::{db, described};
use chrono::{DateTime, Utc};
use penstock::config::Config;
use penstock::identity::bootstrap::{self, NewCompany, NewPerson};
use penstock::platform::clock;
use penstock::platform::db::Db;
use penstock::platform::gatekeeper::Platform;
use penstock::platform::migrations;
use penstock::server;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::sync::OnceCell;
use uuid::Uuid;

pub const SECRET: &str = "tests-only-qwertzuiop-asdfghjkl-yxcvbnm";

pub struct Server {
    pub address: SocketAddr,
    pub url: String,
    pub platform: actix_web::web::Data<Platform>,
}

/// The service on a free port, over this process' database. It lives on threads of its own, since each test has its own
/// runtime, which ends with the test.
pub async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let url = db::shared_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
            let (sender, receiver) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async move {
                    let config = settings();
                    let platform = server::platform(&config, SECRET).unwrap();
                    let running = server::start(&config, &url, platform.clone()).await.unwrap();
                    let _ = sender.send(Server {
                        address: running.address,
                        url,
                        platform,
                    });
                    std::future::pending::<()>().await;
                });
            });
            receiver.await.unwrap()
        })
        .await
}

/// Settings of a test server: a free port, and no rate limit that a test could meet by accident.
pub fn settings() -> Config {
    Config::read(|name| match name {
        "PENSTOCK_LISTEN" => Some("127.0.0.1:0".to_owned()),
        "PENSTOCK_WORKERS" => Some("2".to_owned()),
        "PENSTOCK_CONNECTIONS_PER_WORKER" => Some("16".to_owned()),
        "PENSTOCK_RATE_LIMIT_PER_USER" | "PENSTOCK_RATE_LIMIT_PER_TENANT" => Some("1000000".to_owned()),
        _ => None,
    })
    .unwrap()
}

/// Connections for what a test does behind the API's back.
pub async fn database() -> Db {
    Db::new(&server().await.url, 4).unwrap()
}

/// A company with its administrator.
pub struct Company {
    pub tenant: Uuid,
    pub administrator: Person,
}

/// Somebody who can call the API.
#[derive(Clone)]
pub struct Person {
    pub id: Uuid,
    pub token: String,
    pub email: String,
}

pub const PASSWORD: &str = "correct horse battery staple";

/// A company that lives by real time.
pub async fn company() -> Company {
    company_at(None).await
}

/// A sandbox company whose clock stands at that instant.
pub async fn sandbox(now: &str) -> Company {
    company_at(Some(now.parse().unwrap())).await
}

async fn company_at(sandbox_now: Option<DateTime<Utc>>) -> Company {
    let slug = format!("t-{}", Uuid::now_v7().simple());
    let email = format!("admin@{slug}.example");
    let new = NewCompany {
        name: "测试企业".to_owned(),
        slug,
        time_zone: "Asia/Shanghai".to_owned(),
        currency: "CNY".to_owned(),
        locale: "en".to_owned(),
        sandbox_now,
        administrator: NewPerson {
            name: "管理员".to_owned(),
            email: email.clone(),
            password: PASSWORD.to_owned(),
        },
    };
    let made = bootstrap::make_company(&database().await, &new, penstock::app::SHIPS)
        .await
        .unwrap();
    Company {
        tenant: made.tenant,
        administrator: person(made.tenant, made.administrator, email).await,
    }
}

/// Signs somebody in without spending a password hash.
pub async fn person(tenant: Uuid, id: Uuid, email: String) -> Person {
    let secrets = &server().await.platform.auth.secrets;
    let token = secrets
        .access_token(tenant, id, Uuid::now_v7(), clock::real_now())
        .unwrap();
    Person { id, token, email }
}

impl Company {
    /// Somebody with a shipped role (by key).
    pub async fn member(&self, name: &str, role: &str) -> Person {
        use diesel::sql_types::{Text, Uuid as SqlUuid};
        use diesel_async::RunQueryDsl;
        use penstock::platform::reply::Reply;
        let db = database().await;
        let id = Uuid::now_v7();
        let email = format!("{}@{}.example", id.simple(), self.tenant.simple());
        let company = penstock::platform::auth::load_company(&db, self.tenant)
            .await
            .unwrap()
            .unwrap();
        let now = clock::real_now();
        let ctx = penstock::kernel::ctx::Ctx::system(
            std::sync::Arc::new(company),
            self.tenant,
            penstock::kernel::ctx::ActorKind::System,
            now,
            now,
        );
        db.write(&ctx, async |tx| {
            bootstrap::insert_user(tx, &ctx, id, name, &email, None).await?;
            diesel::sql_query("INSERT INTO user_roles (tenant_id, user_id, role_id) SELECT $1, $2, id FROM roles WHERE tenant_id = $1 AND key = $3")
                .bind::<SqlUuid, _>(self.tenant)
                .bind::<SqlUuid, _>(id)
                .bind::<Text, _>(role)
                .execute(&mut **tx)
                .await?;
            Ok(Reply::no_content())
        })
        .await
        .unwrap();
        person(self.tenant, id, email).await
    }
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Answer {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let method = request.method().clone();
        let response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let path = response.url().path().to_owned();
        let text = response.text().await.unwrap();
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        let answer = Answer {
            status,
            headers,
            body,
        };
        described::check(&method, &path, &answer);
        answer
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The problem code of a refusal that must have this status.
    #[track_caller]
    pub fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        self.body["code"].as_str().unwrap()
    }

    /// Pointers and codes of the faults, sorted.
    pub fn faults(&self) -> Vec<(String, String)> {
        let text = |fault: &Value, member: &str| fault[member].as_str().unwrap().to_owned();
        let errors = self.body["errors"].as_array().into_iter().flatten();
        let mut faults = errors
            .map(|fault| (text(fault, "pointer"), text(fault, "code")))
            .collect::<Vec<_>>();
        faults.sort();
        faults
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Person {
    /// A request as this person; add headers, then `Answer::of`.
    pub async fn request(&self, method: Method, path: &str) -> RequestBuilder {
        anonymous(method, path).await.bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).await).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).await.json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PATCH, path).await.json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).await.json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path).await).await
    }
}

/// A request of nobody in particular.
pub async fn anonymous(method: Method, path: &str) -> RequestBuilder {
    let address = server().await.address;
    reqwest::Client::new().request(method, format!("http://{address}{path}"))
}

/// The id of a body.
#[track_caller]
pub fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

/// A status as a number, for tables of cases.
pub const CREATED: u16 = StatusCode::CREATED.as_u16();

/// An account, made through the API.
pub async fn account(person: &Person, name: &str) -> String {
    id(&person
        .post("/v1/accounts", json!({ "name": name }))
        .await
        .expect(CREATED))
}

/// Moves the sandbox company's clock.
pub async fn move_clock(company: &Company, now: &str) -> Value {
    let moved = company
        .administrator
        .post("/v1/company/clock", json!({ "now": now }))
        .await;
    let moved = moved.expect(200);
    assert_eq!(moved["failed_count"], 0, "{moved}");
    moved
}
