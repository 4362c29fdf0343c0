//! Signing in: passwords, tokens, sessions.

use crate::support::app::{Answer, PASSWORD, SECRET, anonymous, company, server};
use crate::support::make_identity::{
    behind_its_back, counted, open_post, refresh, sign_in, signed_in, text, with_token,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashSet;
use uuid::Uuid;

#[tokio::test]
async fn a_password_opens_a_session_that_answers_who_one_is() {
    let company = company().await;
    let admin = &company.administrator;
    let tokens = sign_in(&admin.email.to_uppercase(), PASSWORD).await.expect(200);
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in_seconds"], 600);
    assert_eq!(tokens["refresh_expires_in_seconds"], 30 * 24 * 3600);
    let me = with_token(admin, &text(&tokens, "access_token"))
        .get("/v1/me")
        .await
        .expect(200);
    assert_eq!(me["id"], json!(admin.id));
    assert_eq!(me["company"]["id"], json!(company.tenant));
    assert_eq!(me["roles"][0]["key"], "administrator");
    assert_eq!(me["permissions"]["user.write"], "all");
}

#[tokio::test]
async fn an_unknown_email_and_a_wrong_password_are_refused_in_the_same_words() {
    let company = company().await;
    let wrong = sign_in(&company.administrator.email, "not the right password").await;
    let unknown = sign_in(
        &format!("{}@example.com", Uuid::now_v7().simple()),
        "not the right password",
    )
    .await;
    assert_eq!(wrong.refused(401), unknown.refused(401));
    assert_eq!(wrong.body["detail"], unknown.body["detail"]);
}

#[tokio::test]
async fn ten_failures_slow_an_account_down_even_for_the_right_password() {
    let company = company().await;
    let person = signed_in(&company, "李", "read_only").await;
    let tries = (0..14).map(|_| sign_in(&person.email, "a wrong password, surely"));
    let mut statuses = join_all(tries)
        .await
        .iter()
        .map(|answer| answer.status)
        .collect::<Vec<_>>();
    statuses.sort_unstable();
    assert_eq!(statuses, [[401; 10].as_slice(), [429; 4].as_slice()].concat());
    let slowed = sign_in(&person.email, PASSWORD).await;
    assert_eq!(slowed.refused(429), "too_many_requests");
    assert!(slowed.header("retry-after").parse::<u64>().unwrap() <= 16);
    sign_in(&company.administrator.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_email_of_two_companies_asks_for_the_company_only_after_the_password_was_right() {
    let (one, other) = (company().await, company().await);
    let email = format!("{}@example.com", Uuid::now_v7().simple());
    for company in [&one, &other] {
        let body = json!({ "name": "王", "email": email, "password": PASSWORD });
        company.administrator.post("/v1/users", body).await.expect(201);
    }
    assert_eq!(
        sign_in(&email, "not the right password").await.refused(401),
        "unauthenticated"
    );
    let asked = sign_in(&email, PASSWORD).await;
    assert_eq!(asked.refused(422), "invalid");
    assert_eq!(asked.faults(), [("/tenant".to_owned(), "required".to_owned())]);
    let body = json!({ "email": email, "password": PASSWORD, "tenant": other.tenant });
    let tokens = open_post("/v1/auth/login", body).await.expect(200);
    let me = with_token(&one.administrator, &text(&tokens, "access_token"))
        .get("/v1/me")
        .await
        .expect(200);
    assert_eq!(me["company"]["id"], json!(other.tenant));
}

#[tokio::test]
async fn thirty_two_parallel_refreshes_leave_one_family_with_one_successor() {
    let company = company().await;
    let tokens = sign_in(&company.administrator.email, PASSWORD).await.expect(200);
    let first = text(&tokens, "refresh_token");
    let answers = join_all((0..32).map(|_| refresh(&first))).await;
    let successors = answers
        .into_iter()
        .map(|answer| text(&answer.expect(200), "refresh_token"))
        .collect::<HashSet<_>>();
    assert_eq!(successors.len(), 1);
    let rows = format!(
        "SELECT count(*) AS count FROM refresh_tokens WHERE tenant_id = '{}'",
        company.tenant
    );
    assert_eq!(counted(rows).await, 2);
}

#[tokio::test]
async fn reuse_of_an_older_refresh_token_ends_the_whole_session() {
    let company = company().await;
    let admin = &company.administrator;
    let first = text(
        &sign_in(&admin.email, PASSWORD).await.expect(200),
        "refresh_token",
    );
    let second = text(&refresh(&first).await.expect(200), "refresh_token");
    let third = refresh(&second).await.expect(200);
    let holder = with_token(admin, &text(&third, "access_token"));
    holder.get("/v1/me").await.expect(200);
    assert_eq!(refresh(&first).await.refused(401), "unauthenticated");
    assert_eq!(
        refresh(&text(&third, "refresh_token")).await.refused(401),
        "unauthenticated"
    );
    assert_eq!(holder.get("/v1/me").await.refused(401), "unauthenticated");
}

#[tokio::test]
async fn a_retry_after_ten_seconds_counts_as_theft() {
    let company = company().await;
    let first = text(
        &sign_in(&company.administrator.email, PASSWORD).await.expect(200),
        "refresh_token",
    );
    let second = text(&refresh(&first).await.expect(200), "refresh_token");
    behind_its_back(format!(
        "UPDATE refresh_tokens SET spent_at = spent_at - interval '11 seconds' WHERE tenant_id = '{}' AND spent_at IS NOT NULL",
        company.tenant
    ))
    .await;
    assert_eq!(refresh(&first).await.refused(401), "unauthenticated");
    assert_eq!(refresh(&second).await.refused(401), "unauthenticated");
}

#[tokio::test]
async fn signing_out_ends_this_session_and_everywhere_ends_all() {
    let company = company().await;
    let admin = &company.administrator;
    let sessions = [
        sign_in(&admin.email, PASSWORD).await.expect(200),
        sign_in(&admin.email, PASSWORD).await.expect(200),
    ];
    let [one, other] = sessions
        .each_ref()
        .map(|tokens| with_token(admin, &text(tokens, "access_token")));
    let out = Answer::of(one.request(Method::POST, "/v1/auth/logout").await).await;
    out.expect(204);
    assert_eq!(one.get("/v1/me").await.refused(401), "unauthenticated");
    assert_eq!(
        refresh(&text(&sessions[0], "refresh_token")).await.refused(401),
        "unauthenticated"
    );
    other.get("/v1/me").await.expect(200);
    Answer::of(other.request(Method::POST, "/v1/auth/logout-everywhere").await)
        .await
        .expect(204);
    assert_eq!(other.get("/v1/me").await.refused(401), "unauthenticated");
    assert_eq!(
        refresh(&text(&sessions[1], "refresh_token")).await.refused(401),
        "unauthenticated"
    );
}

#[tokio::test]
async fn changing_ones_password_needs_the_present_one_and_ends_every_other_session() {
    let company = company().await;
    let person = signed_in(&company, "李", "read_only").await;
    let path = "/v1/auth/change-password";
    let wrong =
        json!({ "current_password": "not the present one", "new_password": "a wholly new passphrase" });
    assert_eq!(
        person.post(path, wrong).await.faults(),
        [("/current_password".to_owned(), "invalid".to_owned())]
    );
    let weak = json!({ "current_password": PASSWORD, "new_password": "passwordpassword" });
    assert_eq!(
        person.post(path, weak).await.faults(),
        [("/new_password".to_owned(), "weak_password".to_owned())]
    );
    let same = json!({ "current_password": PASSWORD, "new_password": PASSWORD });
    assert_eq!(
        person.post(path, same).await.faults(),
        [("/new_password".to_owned(), "invalid".to_owned())]
    );
    let good = json!({ "current_password": PASSWORD, "new_password": "a wholly new passphrase" });
    let tokens = person.post(path, good).await.expect(200);
    assert_eq!(person.get("/v1/me").await.refused(401), "unauthenticated");
    with_token(&person, &text(&tokens, "access_token"))
        .get("/v1/me")
        .await
        .expect(200);
    assert_eq!(
        sign_in(&person.email, PASSWORD).await.refused(401),
        "unauthenticated"
    );
    sign_in(&person.email, "a wholly new passphrase")
        .await
        .expect(200);
}

/// A token with this header and claims, signed with `signature`.
fn forged(header: &Value, claims: &Value, signature: impl Fn(&str) -> Vec<u8>) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(signature(&signed));
    format!("{signed}.{signature}")
}

fn hs256(key: &[u8], signed: &str) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(signed.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[tokio::test]
async fn forged_stale_and_misused_tokens_are_refused_alike() {
    let company = company().await;
    let admin = &company.administrator;
    let parts = admin.token.split('.').collect::<Vec<_>>();
    let decode =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let (header, claims) = (decode(parts[0]), decode(parts[1]));
    let jwks = Answer::of(anonymous(Method::GET, "/.well-known/jwks.json").await)
        .await
        .expect(200);
    let public = URL_SAFE_NO_PAD.decode(text(&jwks["keys"][0], "x")).unwrap();
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    let claiming = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let own = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    let tokens = sign_in(&admin.email, PASSWORD).await.expect(200);
    let secrets = penstock::platform::tokens::Secrets::new(SECRET, None).unwrap();
    let old = penstock::platform::clock::real_now() - chrono::TimeDelta::seconds(601);
    let foreign =
        penstock::platform::tokens::Secrets::new("another-secret-asdfghjkl-yxcvbnm-qwertz", None).unwrap();
    let now = penstock::platform::clock::real_now();
    let cases = [
        (
            "alg none",
            forged(&with("alg", json!("none")), &claims, |_| Vec::new()),
        ),
        (
            "alg None",
            forged(&with("alg", json!("None")), &claims, |_| Vec::new()),
        ),
        (
            "HS256 with the public key",
            forged(&with("alg", json!("HS256")), &claims, |text| hs256(&public, text)),
        ),
        (
            "another kid",
            forged(&with("kid", json!("../../dev/null")), &claims, |_| own.clone()),
        ),
        (
            "no kid",
            forged(&with("kid", json!(null)), &claims, |_| own.clone()),
        ),
        (
            "another tenant's claim",
            forged(&header, &claiming("tenant", json!(Uuid::now_v7())), |_| {
                own.clone()
            }),
        ),
        (
            "a later end",
            forged(&header, &claiming("exp", json!(9_999_999_999_i64)), |_| {
                own.clone()
            }),
        ),
        ("a refresh token", text(&tokens, "refresh_token")),
        (
            "expired",
            secrets
                .access_token(company.tenant, admin.id, Uuid::now_v7(), old)
                .unwrap(),
        ),
        (
            "another server's",
            foreign
                .access_token(company.tenant, admin.id, Uuid::now_v7(), now)
                .unwrap(),
        ),
        (
            "another company's user",
            secrets
                .access_token(Uuid::now_v7(), admin.id, Uuid::now_v7(), now)
                .unwrap(),
        ),
        ("empty", String::new()),
    ];
    for (case, token) in cases {
        let answer = with_token(admin, &token).get("/v1/me").await;
        assert_eq!(answer.status, 401, "{case}");
        assert_eq!(answer.body["code"], "unauthenticated", "{case}");
    }
    admin.get("/v1/me").await.expect(200);
    assert_eq!(refresh(&admin.token).await.refused(401), "unauthenticated");
    assert!(
        server()
            .await
            .platform
            .auth
            .secrets
            .verify_access(&admin.token)
            .is_some()
    );
}
