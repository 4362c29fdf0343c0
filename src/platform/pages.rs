//! Health, signing keys, the document and its browser.

use super::db::Db;
use super::gatekeeper::Shared;
use super::reply::Reply;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use actix_web::{HttpResponse, Responder, get, web};
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use std::time::Duration;
use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(config: &mut ServiceConfig) {
    config.service(live).service(ready).service(jwks);
}

/// What is outside the document: the document itself and the page to try it.
pub fn documentation(config: &mut web::ServiceConfig) {
    config.service(web::resource("/openapi.json").route(web::get().to(openapi)));
    config.service(
        web::resource("/").route(web::get().to(|| async { web::Redirect::to("/docs/").temporary() })),
    );
    config.service(
        web::resource("/docs").route(web::get().to(|| async { web::Redirect::to("/docs/").temporary() })),
    );
    let browser = utoipa_swagger_ui::Config::from("/openapi.json")
        .persist_authorization(true)
        .try_it_out_enabled(true)
        .filter(true)
        .doc_expansion("none");
    config.service(utoipa_swagger_ui::SwaggerUi::new("/docs/{_:.*}").config(browser));
}

async fn openapi(shared: Shared) -> impl Responder {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(shared.contract.text.clone())
}

/// Whether the process lives
///
/// Answers as long as the process can answer at all.
#[utoipa::path(tag = "operations", operation_id = "get_liveness", security(()), responses((status = 200, body = Health)))]
#[get("/health/live")]
async fn live() -> AppResult<Reply> {
    Reply::ok(&Health { status: "live" })
}

/// Whether the server can work
///
/// Answers 200 when the database answers, 503 when it does not.
#[utoipa::path(tag = "operations", operation_id = "get_readiness", security(()), responses((status = 200, body = Health)))]
#[get("/health/ready")]
async fn ready(db: web::Data<Db>) -> AppResult<Reply> {
    let asked = db.read(async |conn| Ok(sql_query("SELECT 1").execute(conn).await?));
    match tokio::time::timeout(Duration::from_secs(2), asked).await {
        Ok(Ok(_)) => Reply::ok(&Health { status: "ready" }),
        _ => Err(AppError::refuse(
            Code::Unavailable,
            say("The database does not answer", "数据库没有响应"),
        )
        .retry_after(1)),
    }
}

/// State of the server.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct Health {
    /// `live` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// The keys that verify access tokens
///
/// The JWK set (RFC 7517) of the present and the previous signing key.
#[utoipa::path(tag = "reference", operation_id = "get_jwks", security(()), responses((status = 200, body = serde_json::Value, example = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": "…"}]}))))]
#[get("/.well-known/jwks.json")]
async fn jwks(shared: Shared) -> AppResult<Reply> {
    Reply::ok(&shared.auth.secrets.jwks())
}
