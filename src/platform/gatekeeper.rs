//! The front door of every request: id, language, operation, caller, permission, rate limit, then the handler under a
//! time limit, then headers, conditional answers and the access log. An operation that the document does not know does
//! not get in; the permission that it documents is the one enforced.

use super::attempt;
use super::auth::{self, Auth};
use super::boarding::unless_it_panics;
use super::clock;
use super::contract::{Contract, Operation};
use super::db::Db;
use super::hand_over::{HandOver, LeaveSeats, Ship};
use super::limits::{Allowance, Limits, SignIns};
use super::metrics::Metrics;
use super::problem::{Asked, Bare, render_refusal};
use crate::kernel::ctx::{Ctx, IdempotencyKey, IfMatch};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::{Lang, say};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

pub use super::request::{Command, Id, Input, Sent, path_id, path_number, too_large};
use super::request::{refuse_stray_body, require_known_encoding};

/// How long a request may take in all, in seconds.
pub const REQUEST_SECONDS: u64 = 15;
/// How long a request may take whose body is a file.
const FILE_SECONDS: u64 = 600;
/// Largest JSON body, in bytes.
pub const MOST_BODY: usize = 1024 * 1024;

/// What all workers share.
pub struct Platform {
    pub auth: Auth,
    pub contract: Contract,
    pub limits: Limits,
    pub sign_ins: SignIns,
    /// What each area does when somebody hands everything over.
    pub hand_overs: Vec<HandOver>,
    pub leave_seats: LeaveSeats,
    /// What the areas put into a new company.
    pub ships: Vec<Ship>,
    pub metrics: Metrics,
    pub stopping: AtomicBool,
    /// Largest file that is taken in for an import, in bytes.
    pub import_max_bytes: usize,
}

impl Platform {
    /// Tells what would go on for long that the server is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// The shared platform as handlers take it.
pub type Shared = web::Data<Platform>;

/// Everything in front of the handlers.
///
/// # Errors
/// Never: refusals become problem documents here.
pub async fn front_door(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let begun = Instant::now();
    let asked = asked(request.headers());
    request.extensions_mut().insert(asked.clone());
    let Some(platform) = request.app_data::<Shared>().cloned() else {
        return Err(AppError::internal("the platform is not set up").into());
    };
    let method = request.method().clone();
    if method == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    let visit = Visit {
        begun,
        asked: asked.clone(),
        method: method.clone(),
        path: request.path().to_owned(),
    };
    let conditions = request.headers().get("if-none-match").cloned();
    let accepts_gzip =
        header(request.headers(), "accept-encoding").is_some_and(|accept| accept.contains("gzip"));
    let admitted = unless_it_panics(admit(&platform, &mut request, &asked)).await;
    let (pattern, admitted) = admitted.unwrap_or_else(|error| (String::from("other"), Err(error)));
    let response = match admitted {
        Ok(()) => {
            let limit = Duration::from_secs(seconds_for(&platform, &request));
            match within(limit, next.call(request)).await {
                Ok(Ok(response)) => attempt::end(response.map_into_boxed_body()),
                Ok(Err(error)) => {
                    visit.note(&platform, &pattern, error.as_response_error().status_code());
                    return Err(error);
                }
                Err(error) => {
                    let answer = alone(&error, &asked);
                    visit.note(&platform, &pattern, answer.status());
                    return Err(InternalError::from_response("given up", answer).into());
                }
            }
        }
        Err(error) => {
            let response = render_refusal(&error.to_refusal(), &asked);
            request.into_response(response)
        }
    };
    let mut response = finish(response, &asked);
    if let Some(tags) = conditions.filter(|_| method == Method::GET || method == Method::HEAD) {
        response = not_modified(response, &tags);
    }
    visit.note(&platform, &pattern, response.status());
    Ok(if accepts_gzip { zipped(response) } else { response })
}

/// In front of what answers the preflights of browsers, and so of the front door itself: a preflight that is refused gets a
/// problem document like any other request.
///
/// # Errors
/// Those of what comes after it.
pub async fn preflights(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let asked = (request.method() == Method::OPTIONS).then(|| asked(request.headers()));
    let mut response = next.call(request).await?.map_into_boxed_body();
    let is_problem = |response: &ServiceResponse<BoxBody>| {
        let kind = header(response.headers(), "content-type");
        kind == Some("application/problem+json")
    };
    match asked {
        Some(asked) if response.status().is_client_error() && !is_problem(&response) => {
            let refusal = AppError::refuse(
                Code::BadHeader,
                say(
                    "Pages of this origin may not call with this method and these headers",
                    "不允许该来源的网页以此方法和这些请求头调用",
                ),
            );
            let bare = Bare(Arc::new(refusal.to_refusal()));
            response.response_mut().extensions_mut().insert(bare);
            Ok(finish(response, &asked))
        }
        _ => Ok(response),
    }
}

/// A request as figures and access log know it.
struct Visit {
    begun: Instant,
    asked: Asked,
    method: Method,
    path: String,
}

impl Visit {
    fn note(&self, platform: &Platform, pattern: &str, status: StatusCode) {
        let (status, took) = (status.as_u16(), self.begun.elapsed());
        platform.metrics.observe(&self.method, pattern, status, took);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(target: "access", request_id = %self.asked.request_id, method = %self.method, path = %self.path, status, micros);
    }
}

/// What becomes of a request within its time; else, or when its handler panics, why it has no answer of its own.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> AppResult<T> {
    let done = tokio::time::timeout(limit, unless_it_panics(work)).await;
    done.unwrap_or_else(|_| {
        Err(AppError::refuse(Code::Unavailable, say("It took too long", "处理超时")).retry_after(1))
    })
}

/// The answer to a request that was given up. The request itself went with its handler, so the answer travels alone.
fn alone(error: &AppError, asked: &Asked) -> HttpResponse {
    let mut response = render_refusal(&error.to_refusal(), asked);
    stand(response.headers_mut(), asked);
    response
}

fn seconds_for(platform: &Shared, request: &ServiceRequest) -> u64 {
    let found = platform.contract.find(request.method().as_str(), request.path());
    if found.is_ok_and(|operation| operation.takes_file) {
        FILE_SECONDS
    } else {
        REQUEST_SECONDS
    }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn asked(headers: &HeaderMap) -> Asked {
    let sane = |id: &&str| {
        !id.is_empty()
            && id.len() <= 64
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let request_id = header(headers, "x-request-id")
        .filter(sane)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let lang = header(headers, "accept-language")
        .map(Lang::from_accept_language)
        .unwrap_or_default();
    Asked {
        request_id: Arc::from(request_id),
        lang,
    }
}

/// Paths outside the document: the documentation itself.
fn is_open_page(path: &str) -> bool {
    path == "/docs" || path.starts_with("/docs/") || path == "/openapi.json" || path == "/"
}

async fn admit(platform: &Shared, request: &mut ServiceRequest, asked: &Asked) -> (String, AppResult<()>) {
    if is_open_page(request.path()) {
        return (String::from("other"), Ok(()));
    }
    match platform.contract.find(request.method().as_str(), request.path()) {
        Ok(operation) => {
            let mut admitted = admit_to(platform, operation, request, asked).await;
            if admitted.is_ok() {
                admitted = require_known_encoding(request.headers());
            }
            if admitted.is_ok() {
                let limit = Duration::from_secs(REQUEST_SECONDS);
                let read = within(limit, refuse_stray_body(operation, request)).await;
                admitted = read.and_then(|read| read);
            }
            (operation.template.clone(), admitted)
        }
        Err(others) if others.is_empty() => (String::from("unknown"), Err(AppError::not_found())),
        Err(others) => (String::from("unknown"), Err(wrong_method(&others))),
    }
}

fn wrong_method(others: &[&str]) -> AppError {
    let mut allow = others.to_vec();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.sort_unstable();
    allow.dedup();
    let allow = allow.join(", ");
    AppError::refuse(
        Code::MethodNotAllowed,
        say(format!("This path takes {allow}"), format!("此路径支持 {allow}")),
    )
    .with("allow", json!(allow))
}

async fn admit_to(
    platform: &Shared,
    operation: &Operation,
    request: &ServiceRequest,
    asked: &Asked,
) -> AppResult<()> {
    let Some(permission) = &operation.permission else {
        return operation.check_query(request.query_string());
    };
    let db = request
        .app_data::<web::Data<Db>>()
        .ok_or_else(|| AppError::internal("no database"))?;
    let caller = platform
        .auth
        .authenticate(db, header(request.headers(), "authorization"))
        .await?;
    let allowance = platform
        .limits
        .take(caller.principal.user, caller.principal.tenant)?;
    request.extensions_mut().insert(allowance);
    if !permission.is_empty() && !caller.principal.grants.contains_key(permission) {
        return Err(AppError::forbidden(permission));
    }
    operation.check_query(request.query_string())?;
    let now = auth::business_now(db, caller.principal.tenant, &caller.principal.company).await?;
    let headers = request.headers();
    let ctx = Ctx {
        tenant: caller.principal.tenant,
        user: caller.principal.user,
        principal: Arc::clone(&caller.principal),
        actor_kind: caller.actor_kind,
        actor_id: Some(caller.actor_id),
        now,
        recorded_at: clock::real_now(),
        lang: asked.lang,
        request_id: Arc::clone(&asked.request_id),
        command_id: Uuid::now_v7(),
        cause: None,
        if_match: if_match(headers)?,
        idempotency: idempotency_key(headers, request.method().as_str(), request.path())?,
        is_dry_run: header(headers, "prefer").is_some_and(prefers_dry_run),
    };
    request.extensions_mut().insert(ctx);
    request.extensions_mut().insert(caller);
    Ok(())
}

/// A preference may have a value (RFC 7240), which says nothing here: whoever names this one wants nothing to be written.
fn prefers_dry_run(prefer: &str) -> bool {
    prefer
        .split([',', ';'])
        .filter_map(|preference| preference.split('=').next())
        .any(|name| name.trim().eq_ignore_ascii_case("dry-run"))
}

/// A condition that cannot be read is refused: ignoring it could overwrite what the caller has not seen.
fn if_match(headers: &HeaderMap) -> AppResult<Option<IfMatch>> {
    let Some(value) = headers.get("if-match") else {
        return Ok(None);
    };
    let header = value.to_str().unwrap_or_default();
    if header.trim() == "*" {
        return Ok(Some(IfMatch::Any));
    }
    let tags = entity_tags(header).ok_or_else(|| {
        AppError::refuse(
            Code::BadHeader,
            say(
                "If-Match must be \"*\" or quoted entity tags",
                "If-Match 必须是 \"*\" 或带引号的实体标签",
            ),
        )
    })?;
    // Compared strongly: a weak tag promises no more than that the answers say much the same.
    let strong = tags.iter().filter(|(is_weak, _)| !is_weak);
    let strong = strong.map(|(_, tag)| (*tag).to_owned());
    Ok(Some(IfMatch::Tags(strong.collect())))
}

/// Of each tag of a list whether it is weak, and what stands between its quotes (RFC 9110, 8.8.3).
fn entity_tags(header: &str) -> Option<Vec<(bool, &str)>> {
    let mut tags = Vec::new();
    let mut rest = header.trim();
    loop {
        let opaque = rest.strip_prefix("W/");
        let quoted = opaque.unwrap_or(rest).strip_prefix('"')?;
        let (tag, after) = quoted.split_once('"')?;
        tags.push((opaque.is_some(), tag));
        if !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        rest = after.trim_start_matches(' ');
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start_matches(' ');
    }
}

fn idempotency_key(headers: &HeaderMap, method: &str, path: &str) -> AppResult<Option<IdempotencyKey>> {
    let Some(value) = headers.get("idempotency-key").filter(|_| method == "POST") else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > 255 || !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(AppError::refuse(
            Code::BadHeader,
            say(
                "Idempotency-Key takes 1 to 255 printable characters",
                "Idempotency-Key 须为 1 至 255 个可打印字符",
            ),
        ));
    }
    Ok(Some(IdempotencyKey {
        key: key.to_owned(),
        operation: format!("{method} {path}"),
        request_hash: Vec::new(),
    }))
}

/// Gives refusals their request's id and language, and every answer its standing headers.
fn finish(mut response: ServiceResponse<BoxBody>, asked: &Asked) -> ServiceResponse<BoxBody> {
    let bare = response.response_mut().extensions_mut().remove::<Bare>();
    let status = response.status();
    let is_problem = response
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind == "application/problem+json");
    let mut response = match bare {
        Some(Bare(refusal)) => {
            let (request, _) = response.into_parts();
            ServiceResponse::new(request, render_refusal(&refusal, asked))
        }
        // What actix itself refuses before our handlers see it.
        None if (status.is_client_error() || status.is_server_error()) && !is_problem => {
            let (request, _) = response.into_parts();
            ServiceResponse::new(
                request,
                render_refusal(&stray(status.as_u16()).to_refusal(), asked),
            )
        }
        None => response,
    };
    let allowance = response.request().extensions().get::<Allowance>().cloned();
    let headers = response.headers_mut();
    if let Some(Allowance { left, policy }) = allowance {
        headers.insert(HeaderName::from_static("ratelimit"), left);
        headers.insert(HeaderName::from_static("ratelimit-policy"), policy);
    }
    stand(headers, asked);
    response
}

/// The headers that every answer has.
fn stand(headers: &mut HeaderMap, asked: &Asked) {
    let standing = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("strict-transport-security", "max-age=31536000"),
    ];
    for (name, value) in standing {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key("cache-control") {
        headers.insert(
            HeaderName::from_static("cache-control"),
            HeaderValue::from_static("no-store"),
        );
    }
    if let Ok(id) = HeaderValue::from_str(&asked.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

fn stray(status: u16) -> AppError {
    let code = match status {
        400 => Code::BadParameter,
        404 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        413 => Code::TooLarge,
        415 => Code::UnsupportedMediaType,
        500..=599 => Code::Internal,
        _ => Code::Invalid,
    };
    let page = code.page();
    AppError::refuse(code, say(page.title, page.title_zh))
}

/// 304 where the caller has the same answer already. `no-store` answers revalidate all the same: the tag is the caller's own.
fn not_modified(response: ServiceResponse<BoxBody>, tags: &HeaderValue) -> ServiceResponse<BoxBody> {
    let own = response
        .headers()
        .get("etag")
        .and_then(|tag| tag.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let has_it = tags
        .to_str()
        .is_ok_and(|tags| tags.trim() == "*" || tags.split(',').any(|tag| weak(tag) == weak(&own)));
    if response.status() != 200 || own.is_empty() || !has_it {
        return response;
    }
    let (request, old) = response.into_parts();
    let mut fresh = HttpResponse::NotModified().finish();
    for name in [
        "etag",
        "x-request-id",
        "cache-control",
        "x-content-type-options",
        "vary",
        "ratelimit",
        "ratelimit-policy",
    ] {
        if let Some(value) = old.headers().get(name) {
            fresh
                .headers_mut()
                .insert(HeaderName::from_static(name), value.clone());
        }
    }
    ServiceResponse::new(request, fresh)
}

/// Compresses bodies for which it pays.
fn zipped(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let is_large = matches!(response.response().body().size(), BodySize::Sized(size) if size >= 1024);
    if !is_large || response.headers().contains_key("content-encoding") {
        return response;
    }
    response.map_body(|head, body| {
        actix_http::encoding::Encoder::response(actix_http::ContentEncoding::Gzip, head, body).boxed()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_handler_that_panics_is_answered_as_any_other_bug_and_one_that_is_slow_is_not_waited_for() {
        let limit = Duration::from_millis(50);
        assert_eq!(within(limit, async { 7 }).await.ok(), Some(7));
        let panicking = async { Vec::<i32>::new()[std::hint::black_box(3)] };
        let error = within(limit, panicking).await.unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        let asked = asked(&HeaderMap::new());
        let answer = alone(&error, &asked);
        assert_eq!(answer.status(), 500);
        assert_eq!(
            answer.headers().get("content-type").unwrap(),
            "application/problem+json"
        );
        assert_eq!(answer.headers().get("x-content-type-options").unwrap(), "nosniff");
        let slow = within(limit, std::future::pending::<()>()).await;
        assert_eq!(slow.unwrap_err().code(), Code::Unavailable);
    }

    #[test]
    fn entity_tags_are_read_as_the_standard_writes_them() {
        assert_eq!(entity_tags("\"7\""), Some(vec![(false, "7")]));
        let read = vec![(true, "7"), (false, "a,b"), (false, "")];
        assert_eq!(entity_tags("W/\"7\" , \"a,b\",\"\""), Some(read));
        for bad in ["7", "", "\"7", "\"7\",", "\"7\" \"8\"", "\"a b\"", "w/\"7\""] {
            assert_eq!(entity_tags(bad), None, "{bad}");
        }
    }
}
