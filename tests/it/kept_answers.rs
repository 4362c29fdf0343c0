//! Answers that are kept for their repetitions: those that show a secret are kept sealed.

use crate::support::app::{Answer, Company, PASSWORD, Person, company, database};
use crate::support::make_crm::source;
use crate::support::make_identity::signed_in;
use diesel::sql_types::{Bool, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Bool)]
    is_plain: bool,
}

/// Whether any answer that this company's server keeps shows the text.
async fn is_kept_plain(company: &Company, text: &str) -> bool {
    let sql = "SELECT coalesce(bool_or(position($2::bytea IN body) > 0), false) AS is_plain \
        FROM idempotency_keys WHERE tenant_id = $1";
    let kept: Kept = database()
        .await
        .read(async |conn| {
            let query = sql_query(sql)
                .bind::<SqlUuid, _>(company.tenant)
                .bind::<diesel::sql_types::Binary, _>(text.as_bytes());
            Ok(query.get_result(conn).await?)
        })
        .await
        .unwrap();
    kept.is_plain
}

async fn twice(person: &Person, path: &str, body: &Value) -> [Answer; 2] {
    let key = Uuid::now_v7().to_string();
    let send = async || {
        let request = person.request(Method::POST, path).await;
        Answer::of(request.header("idempotency-key", &key).json(body)).await
    };
    [send().await, send().await]
}

#[tokio::test]
async fn a_repeated_request_shows_the_same_secret_which_is_kept_sealed_meanwhile() {
    let company = company().await;
    let admin = &company.administrator;
    let website = source(admin, json!({})).await;
    let rotation = format!("/v1/lead-sources/{}/rotate-secret", website.id);
    for (path, body, member) in [
        ("/v1/api-keys", json!({ "name": "表单" }), "key"),
        (rotation.as_str(), json!({}), "secret"),
    ] {
        let [first, again] = twice(admin, path, &body).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.header("etag"), first.header("etag"));
        let shown = first.body[member].as_str().unwrap().to_owned();
        assert_eq!((again.status, again.body), (first.status, first.body));
        assert!(!is_kept_plain(&company, &shown).await, "{path}");
    }
    let [plain, again] = twice(admin, "/v1/accounts", &json!({ "name": "江南纺织" })).await;
    assert_eq!(plain.body, again.body);
    assert!(
        is_kept_plain(&company, "江南纺织").await,
        "what shows no secret is kept as it is"
    );
}

#[tokio::test]
async fn the_tokens_that_a_change_of_password_answers_are_kept_sealed() {
    let company = company().await;
    let person = signed_in(&company, "王芳", "sales_representative").await;
    let body = json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" });
    let key = Uuid::now_v7().to_string();
    let request = person.request(Method::POST, "/v1/auth/change-password").await;
    let tokens = Answer::of(request.header("idempotency-key", &key).json(&body)).await;
    let tokens = tokens.expect(200);
    for member in ["access_token", "refresh_token"] {
        assert!(!is_kept_plain(&company, tokens[member].as_str().unwrap()).await);
    }
}

#[tokio::test]
async fn an_answer_that_was_kept_before_any_were_sealed_is_repeated_as_it_is() {
    let company = company().await;
    let admin = &company.administrator;
    let key = Uuid::now_v7().to_string();
    let send = async || {
        let request = admin.request(Method::POST, "/v1/api-keys").await;
        let request = request.header("idempotency-key", &key);
        Answer::of(request.json(&json!({ "name": "表单" }))).await
    };
    send().await.expect(201);
    let sql = "UPDATE idempotency_keys SET body = convert_to($2, 'UTF8') WHERE tenant_id = $1";
    crate::support::cast::execute(&company, sql, "{\"key\":\"psk_old\"}").await;
    assert_eq!(send().await.expect(201), json!({ "key": "psk_old" }));
}
