//! Arrangement for the people's room.

use super::app::{Answer, Company, PASSWORD, Person, anonymous, database, id};
use diesel_async::RunQueryDsl;
use reqwest::Method;
use serde_json::{Value, json};

/// A call without a token.
pub async fn open_post(path: &str, body: Value) -> Answer {
    Answer::of(anonymous(Method::POST, path).await.json(&body)).await
}

pub async fn sign_in(email: &str, password: &str) -> Answer {
    open_post("/v1/auth/login", json!({ "email": email, "password": password })).await
}

pub async fn refresh(token: &str) -> Answer {
    open_post("/v1/auth/refresh", json!({ "refresh_token": token })).await
}

/// A body's text member.
#[track_caller]
pub fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap().to_owned()
}

/// The same person under another token.
pub fn with_token(person: &Person, token: &str) -> Person {
    Person {
        token: token.to_owned(),
        ..person.clone()
    }
}

/// Somebody made through the API who signed in with a password.
pub async fn signed_in(company: &Company, name: &str, role: &str) -> Person {
    let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
    let made = company
        .administrator
        .post(
            "/v1/users",
            json!({ "name": name, "email": email, "password": PASSWORD, "role_keys": [role] }),
        )
        .await
        .expect(201);
    let tokens = sign_in(&email, PASSWORD).await.expect(200);
    Person {
        id: id(&made).parse().unwrap(),
        token: text(&tokens, "access_token"),
        email,
    }
}

/// The id of a role by key.
pub async fn role_id(company: &Company, key: &str) -> String {
    let page = company
        .administrator
        .get(&format!("/v1/roles?key={key}"))
        .await
        .expect(200);
    id(&page["data"][0])
}

/// A role made through the API.
pub async fn role(company: &Company, key: &str, grants: Value) -> String {
    let body = json!({ "key": key, "name": key, "grants": grants });
    id(&company.administrator.post("/v1/roles", body).await.expect(201))
}

/// Runs a statement behind the API's back.
pub async fn behind_its_back(sql: String) {
    database()
        .await
        .read(async |conn| Ok(diesel::sql_query(sql.as_str()).execute(conn).await?))
        .await
        .unwrap();
}

/// How many rows a query counts.
pub async fn counted(sql: String) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    database()
        .await
        .read(async |conn| Ok(diesel::sql_query(sql.as_str()).get_result::<Row>(conn).await?))
        .await
        .unwrap()
        .count
}

/// Runs a statement in a database of the test's own.
pub async fn execute_at(url: &str, sql: &str) {
    let db = penstock::platform::db::Db::new(url, 1).unwrap();
    db.read(async |conn| Ok(diesel::sql_query(sql).execute(conn).await?))
        .await
        .unwrap();
}
