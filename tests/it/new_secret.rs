//! The server's secret is changed for a new one, and what the old one made stays good until that is dropped.

use crate::support::app::{Answer, PASSWORD, SECRET};
use crate::support::db;
use crate::support::make_crm::Source;
use crate::support::make_events::make_company;
use penstock::config::Config;
use penstock::platform::db::Db;
use penstock::platform::migrations;
use penstock::server::{self, Running};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

const NEW: &str = "the-new-one-asdfghjkl-yxcvbnm-qwertzuiop";

/// A server over this database that knows these secrets.
struct At(Running);

impl At {
    async fn start(url: &str, secret: &str, previous: Option<&str>) -> At {
        let config = Config::read(|name| match name {
            "PENSTOCK_LISTEN" => Some("127.0.0.1:0".to_owned()),
            "PENSTOCK_WORKERS" => Some("1".to_owned()),
            "PENSTOCK_SECRET_PREVIOUS" => previous.map(str::to_owned),
            _ => None,
        });
        let config = config.unwrap();
        let platform = server::platform(&config, secret).unwrap();
        At(server::start(&config, url, platform).await.unwrap())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        Client::new().request(method, format!("http://{}{path}", self.0.address))
    }

    async fn call(&self, token: &Value, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, path).bearer_auth(token.as_str().unwrap());
        Answer::of(match body {
            Value::Null => request,
            body => request.json(&body),
        })
        .await
    }

    async fn sign_in(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD });
        Answer::of(self.request(Method::POST, "/v1/auth/login").json(&body))
            .await
            .expect(200)
    }

    async fn refresh(&self, tokens: &Value) -> Answer {
        let body = json!({ "refresh_token": tokens["refresh_token"] });
        Answer::of(self.request(Method::POST, "/v1/auth/refresh").json(&body)).await
    }

    async fn deliver(&self, source: &Source, id: &str) -> Answer {
        let delivery = source.delivery(id, &json!({ "name": "王芳" }));
        Answer::of(delivery.put_into(self.request(Method::POST, &source.path))).await
    }

    async fn rotate(&self, token: &Value, id: &str) -> Source {
        let path = format!("/v1/lead-sources/{id}/rotate-secret");
        let rotated = self.call(token, Method::POST, &path, json!({})).await.expect(200);
        Source {
            id: id.to_owned(),
            path: rotated["intake_path"].as_str().unwrap().to_owned(),
            secret: rotated["secret"].as_str().unwrap().to_owned(),
        }
    }
}

async fn sealed(db: &Db) -> Vec<Option<Vec<u8>>> {
    use diesel_async::RunQueryDsl;
    use penstock::schema::lead_sources::dsl::{lead_sources, sealed_previous_secret, sealed_secret};
    let row: (Option<Vec<u8>>, Option<Vec<u8>>) = db
        .read(async |conn| {
            use diesel::QueryDsl;
            let query = lead_sources.select((sealed_secret, sealed_previous_secret));
            Ok(query.first(conn).await?)
        })
        .await
        .unwrap();
    vec![row.0, row.1]
}

#[tokio::test]
async fn sessions_cursors_and_sources_outlive_the_secret_that_made_them() {
    let url = db::own_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
    let db = Db::new(&url, 2).unwrap();
    let (tenant, administrator) = make_company(&db, None).await;
    let email = email_of(&db, tenant, administrator).await;

    let old = At::start(&url, SECRET, None).await;
    let tokens = old.sign_in(&email).await;
    let access = &tokens["access_token"];
    for name in ["甲", "乙"] {
        old.call(access, Method::POST, "/v1/accounts", json!({ "name": name }))
            .await
            .expect(201);
    }
    let page = old
        .call(access, Method::GET, "/v1/accounts?limit=1", Value::Null)
        .await;
    let cursor = page.expect(200)["next_cursor"].as_str().unwrap().to_owned();
    let body = json!({ "key": "website", "name": "官网表单", "channel": "web", "is_intake_open": true });
    let source = old.call(access, Method::POST, "/v1/lead-sources", body).await;
    let source = source.expect(201)["id"].as_str().unwrap().to_owned();
    let first = old.rotate(access, &source).await;
    let second = old.rotate(access, &source).await;
    let before = sealed(&db).await;
    old.0.stop().await;

    let both = At::start(&url, NEW, Some(SECRET)).await;
    let next = format!("/v1/accounts?limit=1&cursor={cursor}");
    let next = both.call(access, Method::GET, &next, Value::Null).await;
    assert_eq!(next.expect(200)["data"].as_array().unwrap().len(), 1);
    let fresh = both.refresh(&tokens).await.expect(200);
    both.deliver(&first, "d1").await.expect(201);
    both.deliver(&second, "d2").await.expect(201);
    for _ in 0..100 {
        if sealed(&db)
            .await
            .iter()
            .zip(&before)
            .all(|(now, before)| now != before)
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    both.0.stop().await;

    let new = At::start(&url, NEW, None).await;
    new.deliver(&first, "d3").await.expect(201);
    new.deliver(&second, "d4").await.expect(201);
    new.refresh(&fresh).await.expect(200);
    let refused = new.refresh(&tokens).await;
    assert_eq!(refused.refused(401), "unauthenticated");
    new.0.stop().await;
}

async fn email_of(db: &Db, tenant: uuid::Uuid, user: uuid::Uuid) -> String {
    use diesel::QueryDsl;
    use diesel_async::RunQueryDsl;
    use penstock::schema::users::dsl::{email, users};
    db.read(async |conn| Ok(users.find((tenant, user)).select(email).first(conn).await?))
        .await
        .unwrap()
}

#[test]
fn a_server_with_a_weak_previous_secret_does_not_start() {
    let config = Config::read(|name| (name == "PENSTOCK_SECRET_PREVIOUS").then(|| "changeme".to_owned()));
    let refused = server::platform(&config.unwrap(), NEW).err().unwrap();
    assert!(
        refused.to_string().starts_with("PENSTOCK_SECRET_PREVIOUS "),
        "{refused}"
    );
}
