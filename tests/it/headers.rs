//! Headers by which a request says what its body is, and which version it is about.

use crate::support::app::{Answer, account, anonymous, company};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_body_in_an_encoding_that_is_not_undone_is_refused() {
    let company = company().await;
    let admin = &company.administrator;
    let send = async |encoding: &str| {
        let request = admin.request(Method::POST, "/v1/accounts").await;
        let request = request.header("content-encoding", encoding);
        Answer::of(request.json(&json!({ "name": "编码" }))).await
    };
    for encoding in ["br", "zstd", "compress", "x-gzip", "gzip, gzip", "gzip, br", ""] {
        let refused = send(encoding).await;
        assert_eq!(refused.refused(415), "unsupported_media_type", "{encoding}");
        assert!(refused.body["detail"].as_str().unwrap().contains("gzip"));
    }
    send("identity").await.expect(201);
    // Nobody has to be signed in for that, nor does the body have to be JSON.
    for path in ["/v1/auth/login", "/v1/intake/none"] {
        let request = anonymous(Method::POST, path).await;
        let request = request.header("content-encoding", "br").json(&json!({}));
        assert_eq!(
            Answer::of(request).await.refused(415),
            "unsupported_media_type",
            "{path}"
        );
    }
}

#[tokio::test]
async fn json_is_taken_in_utf_8_alone() {
    let company = company().await;
    let admin = &company.administrator;
    let send = async |kind: &str| {
        let request = admin.request(Method::POST, "/v1/accounts").await;
        let request = request.header("content-type", kind);
        Answer::of(request.body("{\"name\":\"字符\"}")).await
    };
    for kind in [
        "application/json; charset=gbk",
        "application/json;charset=\"iso-8859-1\"",
        "application/json; profile=x; Charset=utf-16",
    ] {
        assert_eq!(send(kind).await.refused(415), "unsupported_media_type", "{kind}");
    }
    for kind in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json; charset=\"utf-8\"; profile=x",
        "application/json;",
    ] {
        send(kind).await.expect(201);
    }
}

#[tokio::test]
async fn a_weak_tag_is_good_for_reading_again_and_never_for_writing() {
    let company = company().await;
    let admin = &company.administrator;
    let path = format!("/v1/accounts/{}", account(admin, "恒信智联").await);
    assert_eq!(admin.get(&path).await.header("etag"), "\"1\"");
    let change = async |tags: &str| {
        let request = admin.request(Method::PATCH, &path).await.header("if-match", tags);
        Answer::of(request.json(&json!({ "region": "华东" }))).await
    };
    for weak in ["W/\"1\"", "W/\"1\", \"7\""] {
        assert_eq!(change(weak).await.refused(412), "stale", "{weak}");
    }
    for tag in ["\"1\"", "W/\"1\""] {
        let request = admin.request(Method::GET, &path).await;
        let again = Answer::of(request.header("if-none-match", tag)).await;
        assert_eq!(again.status, 304, "{tag}");
    }
    change("W/\"7\", \"1\"").await.expect(200);
}
