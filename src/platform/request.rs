//! What handlers take from a request: the terms that the front door found, ids from its path, its validated body.

use super::attempt;
use super::contract::Operation;
use super::gatekeeper::{Shared, header};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::future::{Ready, ready};
use uuid::Uuid;

impl FromRequest for Ctx {
    type Error = AppError;
    type Future = Ready<AppResult<Ctx>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let ctx = request.extensions().get::<Ctx>().cloned();
        ready(ctx.ok_or_else(|| {
            AppError::internal("an operation without a documented permission asks for its caller")
        }))
    }
}

/// An id in the path. What is no UUID is not there.
#[derive(Debug, Clone, Copy)]
pub struct Id(pub Uuid);

impl FromRequest for Id {
    type Error = AppError;
    type Future = Ready<AppResult<Id>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(path_id(request, "id").map(Id))
    }
}

/// A named id of the path.
///
/// # Errors
/// `not_found` when it is no UUID.
pub fn path_id(request: &HttpRequest, name: &str) -> AppResult<Uuid> {
    let text = request.match_info().get(name).unwrap_or_default();
    if text.len() != 36 {
        return Err(AppError::not_found());
    }
    Uuid::parse_str(text).map_err(|_| AppError::not_found())
}

/// A number in the path that counts from 1, such as a version's.
///
/// # Errors
/// `not_found` when it is none: what is not written as one is not there.
pub fn path_number(request: &HttpRequest, name: &str) -> AppResult<i32> {
    let text = request.match_info().get(name).unwrap_or_default();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<i32>().ok();
    number
        .filter(|number| is_plain && *number > 0)
        .ok_or_else(AppError::not_found)
}

/// A command with a body: strictly parsed, valid by its operation's schema, decoded; its hash stands in the context. A faulty
/// one comes as an attempt: see `platform::attempt`.
pub struct Command<T> {
    pub ctx: Ctx,
    pub input: T,
}

impl<T: serde::de::DeserializeOwned + 'static> FromRequest for Command<T> {
    type Error = AppError;
    type Future = futures::future::LocalBoxFuture<'static, AppResult<Command<T>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let ctx = Ctx::from_request(request, &mut Payload::None).into_inner();
        let value = body(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let mut ctx = ctx?;
            let body = value.await?;
            note_hash(&mut ctx, &body);
            let value = match body.faults.is_empty() {
                true => body.value,
                false => attempt::begin(&request, operation(&request)?, &mut ctx, body.value, body.faults)?,
            };
            let input = serde_json::from_value(value).map_err(undecodable)?;
            Ok(Command { ctx, input })
        })
    }
}

/// A record as it was sent, be it faulty by its form: who keeps such records then names their own faults beside those.
pub struct Sent {
    pub ctx: Ctx,
    pub input: Map<String, Value>,
    /// By the schema of the operation.
    pub faults: Vec<Fault>,
}

impl FromRequest for Sent {
    type Error = AppError;
    type Future = futures::future::LocalBoxFuture<'static, AppResult<Sent>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let ctx = Ctx::from_request(request, &mut Payload::None).into_inner();
        let value = body(request, payload);
        Box::pin(async move {
            let mut ctx = ctx?;
            let body = value.await?;
            note_hash(&mut ctx, &body);
            match body {
                Body {
                    value: Value::Object(input),
                    faults,
                    ..
                } => Ok(Sent { ctx, input, faults }),
                other => {
                    let input = serde_json::from_value(other.valid()?).map_err(undecodable)?;
                    let faults = Vec::new();
                    Ok(Sent { ctx, input, faults })
                }
            }
        })
    }
}

fn note_hash(ctx: &mut Ctx, body: &Body) {
    if let Some(key) = &mut ctx.idempotency {
        key.request_hash = Sha256::digest(&body.bytes).to_vec();
    }
}

/// A body without a signed-in caller (sign-in itself).
pub struct Input<T>(pub T);

impl<T: serde::de::DeserializeOwned + 'static> FromRequest for Input<T> {
    type Error = AppError;
    type Future = futures::future::LocalBoxFuture<'static, AppResult<Input<T>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let value = body(request, payload);
        Box::pin(async move {
            serde_json::from_value(value.await?.valid()?)
                .map(Input)
                .map_err(undecodable)
        })
    }
}

fn undecodable(error: serde_json::Error) -> AppError {
    tracing::warn!(%error, "a body passed its schema but not its type");
    let fault = Fault::invalid("", "is not of the documented form", "不符合文档规定的格式");
    AppError::invalid(vec![fault])
}

/// A body that was read and looked at.
struct Body {
    value: Value,
    /// What is wrong with it by its operation's schema.
    faults: Vec<Fault>,
    bytes: Bytes,
}

impl Body {
    /// # Errors
    /// `invalid` with all faults.
    fn valid(self) -> AppResult<Value> {
        if self.faults.is_empty() {
            Ok(self.value)
        } else {
            Err(AppError::invalid(self.faults))
        }
    }
}

/// The operation of a request that takes a body.
fn operation(request: &HttpRequest) -> AppResult<&Operation> {
    let platform = request
        .app_data::<Shared>()
        .ok_or_else(|| AppError::internal("no platform"))?;
    let found = platform.contract.find(request.method().as_str(), request.path());
    found.map_err(|_| AppError::internal("an operation outside the document takes a body"))
}

/// Reads, parses and checks a JSON body.
fn body(request: &HttpRequest, payload: &mut Payload) -> impl Future<Output = AppResult<Body>> + 'static {
    let is_json = is_json(request);
    let bytes = Bytes::from_request(request, payload);
    let request = request.clone();
    async move {
        let bytes = bytes.await.map_err(too_large)?;
        let operation = operation(&request)?;
        if bytes.is_empty() && operation.is_body_optional {
            return Ok(Body {
                value: Value::Null,
                faults: Vec::new(),
                bytes,
            });
        }
        if !is_json {
            return Err(AppError::refuse(
                Code::UnsupportedMediaType,
                say(
                    "Send application/json, in UTF-8",
                    "请发送 UTF-8 编码的 application/json",
                ),
            ));
        }
        let (value, faults) = super::input::look(operation.validator()?, &bytes)?;
        Ok(Body { value, faults, bytes })
    }
}

/// A body in an encoding that is not undone here would be taken for something else, or for nothing.
///
/// # Errors
/// `unsupported_media_type` naming the encodings that are.
pub(super) fn require_known_encoding(headers: &HeaderMap) -> AppResult<()> {
    let mut sent = headers.get_all("content-encoding");
    let is_known = |value: &HeaderValue| {
        let known = ["identity", "gzip", "deflate"];
        let value = value.to_str().unwrap_or("?").trim();
        known.iter().any(|known| value.eq_ignore_ascii_case(known))
    };
    let is_one = sent.next().is_none_or(is_known) && sent.next().is_none();
    if is_one {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::UnsupportedMediaType,
        say(
            "Content-Encoding must be one of identity, gzip, deflate, once",
            "Content-Encoding 只能是 identity、gzip、deflate 之一,且仅一次",
        ),
    ))
}

/// Refuses what the body of a request says whose operation documents none.
///
/// # Errors
/// `malformed_body`, `too_large`; `invalid` naming every member.
pub(super) async fn refuse_stray_body(operation: &Operation, request: &mut ServiceRequest) -> AppResult<()> {
    let takes_none = !operation.has_body() && !operation.takes_file && request.method() != Method::GET;
    let headers = request.headers();
    let has_body = headers.contains_key("transfer-encoding")
        || header(headers, "content-length").is_some_and(|length| length != "0");
    if !takes_none || !has_body {
        return Ok(());
    }
    let bytes = request.extract::<Bytes>().await.map_err(too_large)?;
    if bytes.trim_ascii().is_empty() {
        return Ok(());
    }
    super::input::read_nothing(&bytes)
}

fn is_json(request: &HttpRequest) -> bool {
    let kind = header(request.headers(), "content-type").unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let (kind, parameters) = kind.split_once(';').unwrap_or((&kind, ""));
    let is_merge_patch =
        || request.method() == Method::PATCH && kind.trim() == "application/merge-patch+json";
    (kind.trim() == "application/json" || is_merge_patch()) && parameters.split(';').all(is_utf8)
}

/// Whether a parameter of a media type leaves the body in UTF-8, which JSON always is.
fn is_utf8(parameter: &str) -> bool {
    match parameter.trim().strip_prefix("charset=") {
        Some(charset) => ["utf-8", "utf8"].contains(&charset.trim_matches('"')),
        None => true,
    }
}

/// What reading the bytes of a body may fail with.
pub fn too_large(error: actix_web::Error) -> AppError {
    match error.as_response_error().status_code().as_u16() {
        413 => AppError::refuse(
            Code::TooLarge,
            say("The body is over the limit", "请求体超过上限"),
        ),
        415 => AppError::refuse(
            Code::UnsupportedMediaType,
            say("This encoding is not understood", "不支持的编码"),
        ),
        _ => AppError::refuse(
            Code::MalformedBody,
            say("The body cannot be read", "无法读取请求体"),
        ),
    }
}
