//! API keys.

use crate::support::app::{company, id, server};
use crate::support::make_identity::{behind_its_back, role, role_id, text, with_token};
use serde_json::json;

#[tokio::test]
async fn a_key_is_shown_once_acts_within_its_role_and_is_void_once_revoked() {
    let company = company().await;
    let admin = &company.administrator;
    let reader = role_id(&company, "read_only").await;
    let made = admin
        .post("/v1/api-keys", json!({ "name": "官网", "role_id": reader }))
        .await
        .expect(201);
    let key = text(&made, "key");
    let program = with_token(admin, &key);
    let me = program.get("/v1/me").await.expect(200);
    assert_eq!(me["api_key_id"], made["id"]);
    assert!(me["permissions"].get("account.write").is_none());
    program.get("/v1/accounts").await.expect(200);
    assert_eq!(
        program
            .post("/v1/accounts", json!({ "name": "x" }))
            .await
            .refused(403),
        "forbidden"
    );
    let path = format!("/v1/api-keys/{}", id(&made));
    let read = admin.get(&path).await.expect(200);
    assert_eq!(read["prefix"], key[..12]);
    assert!(read["last_used_at"].is_string() && read["revoked_at"].is_null());
    assert!(!read.to_string().contains(&key[12..]));
    assert!(admin.delete(&path).await.expect(200)["revoked_at"].is_string());
    assert_eq!(program.get("/v1/me").await.refused(401), "unauthenticated");
    assert_eq!(admin.delete(&path).await.refused(409), "conflict");
}

#[tokio::test]
async fn a_key_reaches_no_further_than_its_maker_and_makes_no_keys() {
    let company = company().await;
    let admin = &company.administrator;
    role(
        &company,
        "maker",
        json!({ "key.read": "all", "key.write": "all" }),
    )
    .await;
    let maker = company.member("员", "maker").await;
    let wide = json!({ "name": "x", "role_id": role_id(&company, "administrator").await });
    assert_eq!(
        maker.post("/v1/api-keys", wide).await.refused(403),
        "grant_exceeds_own"
    );
    let past = json!({ "name": "x", "expires_at": "2020-01-01T00:00:00Z", "role_id": uuid::Uuid::now_v7() });
    assert_eq!(maker.post("/v1/api-keys", past).await.faults().len(), 2);
    let key = maker
        .post("/v1/api-keys", json!({ "name": "x" }))
        .await
        .expect(201);
    let program = with_token(&maker, &text(&key, "key"));
    assert_eq!(program.get("/v1/accounts").await.refused(403), "forbidden");
    assert_eq!(
        program
            .post("/v1/api-keys", json!({ "name": "y" }))
            .await
            .refused(403),
        "forbidden"
    );
    assert_eq!(
        program.post("/v1/auth/logout", json!({})).await.refused(409),
        "conflict"
    );
    let used = format!(
        "/v1/roles/{}",
        role(&company, "small", json!({ "lead.read": "own" })).await
    );
    let small = json!({ "name": "z", "role_id": used.rsplit('/').next().unwrap() });
    admin.post("/v1/api-keys", small).await.expect(201);
    assert_eq!(admin.delete(&used).await.refused(409), "in_use");
}

#[tokio::test]
async fn altered_expired_and_foreign_keys_are_refused() {
    let (one, other) = (company().await, company().await);
    let admin = &one.administrator;
    let ahead = json!({ "name": "x", "expires_at": "2999-01-01T00:00:00Z" });
    let made = admin.post("/v1/api-keys", ahead).await.expect(201);
    let key = text(&made, "key");
    let altered = format!("{}AAAA", &key[..key.len() - 4]);
    assert_eq!(
        with_token(admin, &altered).get("/v1/me").await.refused(401),
        "unauthenticated"
    );
    assert_eq!(
        with_token(admin, &key[..20]).get("/v1/me").await.refused(401),
        "unauthenticated"
    );
    behind_its_back(format!(
        "UPDATE api_keys SET expires_at = created_at WHERE tenant_id = '{}'",
        one.tenant
    ))
    .await;
    server().await.platform.auth.forget_principals();
    assert_eq!(
        with_token(admin, &key).get("/v1/me").await.refused(401),
        "unauthenticated"
    );
    let path = format!("/v1/api-keys/{}", id(&made));
    assert_eq!(other.administrator.get(&path).await.refused(404), "not_found");
    assert_eq!(other.administrator.delete(&path).await.refused(404), "not_found");
}
