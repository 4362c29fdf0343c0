//! A finished answer: status, headers, bytes. Rendered inside the transaction, so that it commits with the work.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Warning;
use crate::kernel::text::Lang;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use twox_hash::XxHash3_128;

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Whether the body shows a fresh secret, so that it is not to be kept as it is.
    pub has_secret: bool,
}

impl Reply {
    /// # Errors
    /// When the body cannot be written as JSON.
    pub fn json(status: u16, body: &impl Serialize) -> AppResult<Reply> {
        let body = serde_json::to_vec(body).map_err(AppError::internal)?;
        Ok(Reply::raw(status, body))
    }

    /// A body that is JSON text already.
    pub fn raw(status: u16, body: impl Into<Bytes>) -> Reply {
        Reply {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
            has_secret: false,
        }
    }

    /// # Errors
    /// When the body cannot be written as JSON.
    pub fn ok(body: &impl Serialize) -> AppResult<Reply> {
        Reply::json(200, body)
    }

    #[must_use]
    pub fn without_link(mut self) -> Reply {
        self.headers.retain(|(name, _)| name != "link");
        self
    }

    pub fn no_content() -> Reply {
        Reply {
            status: 204,
            headers: Vec::new(),
            body: Bytes::new(),
            has_secret: false,
        }
    }

    /// Marks an answer that shows a fresh secret (a key, a token): where it is kept for repetitions, it is sealed.
    #[must_use]
    pub fn with_secret(mut self) -> Reply {
        self.has_secret = true;
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Strong ETag of a plain resource: its version.
    #[must_use]
    pub fn with_version(self, version: i32) -> Reply {
        self.with_header("etag", format!("\"{version}\""))
    }

    #[must_use]
    pub fn with_location(self, path: impl Into<String>) -> Reply {
        self.with_header("location", path)
    }

    /// Strong ETag over the bytes, for a plain resource that counts no versions: settings that are replaced whole.
    #[must_use]
    pub fn with_content_tag(self) -> Reply {
        let tag = self.content_tag();
        self.with_header("etag", format!("\"{tag}\""))
    }

    /// Refuses a change of what this answer shows as it stands, unless the caller has seen it so. To be asked under a lock
    /// that keeps everybody else from changing it.
    ///
    /// # Errors
    /// `stale` when the caller sent If-Match and it does not name the tag of this answer.
    pub fn require_match(&self, ctx: &Ctx) -> AppResult<()> {
        ctx.if_match_tag(&self.content_tag())
    }

    fn content_tag(&self) -> String {
        format!("{:032x}", XxHash3_128::oneshot(&self.body))
    }

    /// Weak ETag over the bytes, for answers that are more than one plain resource. It tells versions of one answer apart
    /// and keeps no secret, so a fast hash does.
    #[must_use]
    pub fn with_weak_tag(self) -> Reply {
        let tag = self.content_tag();
        self.with_header("etag", format!("W/\"{tag}\""))
    }
}

/// Adds `warnings` to a body, where there are any.
pub fn add_warnings(body: &mut Map<String, Value>, warnings: &[Warning], lang: Lang) {
    if !warnings.is_empty() {
        let warnings = warnings.iter().map(|warning| warning.to_json(lang)).collect();
        body.insert("warnings".to_owned(), Value::Array(warnings));
    }
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value))
            {
                response.insert_header((name, value));
            }
        }
        response.body(self.body)
    }
}
