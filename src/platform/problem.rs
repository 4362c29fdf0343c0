//! Refusals as problem documents (RFC 9457), and the page of each code.

use super::reply::Reply;
use crate::kernel::error::{AppError, Refusal};
use crate::kernel::problem::Code;
use crate::kernel::text::{Lang, say};
use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, get, web};
use serde_json::{Value, json};
use std::sync::Arc;
use strum::IntoEnumIterator;

/// What every problem document needs to know of its request; the front door puts it into the request's extensions.
#[derive(Clone)]
pub struct Asked {
    pub request_id: Arc<str>,
    pub lang: Lang,
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The bare form; the front door renders it with the request's id and language.
    fn error_response(&self) -> HttpResponse {
        let asked = Asked {
            request_id: Arc::from(""),
            lang: Lang::En,
        };
        let mut response = render(self, &asked);
        response
            .extensions_mut()
            .insert(Bare(Arc::new(self.to_refusal())));
        response
    }
}

/// Marks a response that still lacks its request's id and language.
pub struct Bare(pub Arc<Refusal>);

impl AppError {
    /// What may be shown of it. An internal error is logged here, once, and shows nothing.
    pub fn to_refusal(&self) -> Refusal {
        match self {
            AppError::Refused(refusal) => (**refusal).clone(),
            AppError::Internal(source) => {
                tracing::error!(error = %source, "internal error");
                Refusal {
                    code: Code::Internal,
                    detail: say(
                        "Something broke on our side; it was logged under this request id",
                        "服务器发生错误,已按此请求编号记录",
                    ),
                    faults: Vec::new(),
                    more: serde_json::Map::new(),
                    retry_after_seconds: None,
                }
            }
        }
    }
}

/// Renders an error for its request.
pub fn render(error: &AppError, asked: &Asked) -> HttpResponse {
    render_refusal(&error.to_refusal(), asked)
}

pub fn render_refusal(refusal: &Refusal, asked: &Asked) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.content_type("application/problem+json");
    response.insert_header(("content-language", asked.lang.tag()));
    if let Some(seconds) = refusal.retry_after_seconds {
        response.insert_header(("retry-after", seconds.to_string()));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header(("www-authenticate", "Bearer realm=\"penstock\""));
    }
    for (header, member) in [
        ("allow", "allow"),
        ("ratelimit", "rate_limit"),
        ("ratelimit-policy", "rate_limit_policy"),
    ] {
        if let Some(value) = refusal.more.get(member).and_then(Value::as_str) {
            response.insert_header((header, value));
        }
    }
    response.body(document(refusal, asked).to_string())
}

/// The problem document of a refusal.
pub fn document(refusal: &Refusal, asked: &Asked) -> Value {
    let page = refusal.code.page();
    let title = match asked.lang {
        Lang::En => page.title,
        Lang::Zh => page.title_zh,
    };
    let mut document = json!({
        "type": format!("/problems/{}", refusal.code.as_str()),
        "title": title,
        "status": page.status,
        "detail": refusal.detail.in_lang(asked.lang),
        "code": refusal.code.as_str(),
        "request_id": &*asked.request_id,
    });
    if !refusal.faults.is_empty() {
        document["errors"] = refusal
            .faults
            .iter()
            .map(|fault| fault.to_json(asked.lang))
            .collect();
    }
    for (member, value) in &refusal.more {
        document[member] = value.clone();
    }
    document
}

/// What the front door noted of this request.
pub fn asked(request: &HttpRequest) -> Asked {
    let noted = request.extensions().get::<Asked>().cloned();
    noted.unwrap_or_else(|| Asked {
        request_id: Arc::from(""),
        lang: Lang::En,
    })
}

/// Problem codes
///
/// Lists every problem code with its status, meaning and remedy.
#[utoipa::path(tag = "reference", operation_id = "list_problems", security(()), responses((status = 200, body = Vec<ProblemPage>)))]
#[get("/problems")]
pub async fn list_problems() -> Result<Reply, AppError> {
    Reply::ok(&Code::iter().map(ProblemPage::of).collect::<Vec<_>>())
}

/// The page of a problem code
///
/// Explains one code for people (HTML) or programs (JSON, by `Accept`).
#[utoipa::path(tag = "reference", operation_id = "get_problem", security(()), params(("code" = String, Path, description = "The problem code", example = "gate_not_met")),
    responses((status = 200, body = ProblemPage, content_type = "application/json")))]
#[get("/problems/{code}")]
pub async fn get_problem(request: HttpRequest, code: web::Path<String>) -> Result<HttpResponse, AppError> {
    let found = Code::iter()
        .find(|known| known.as_str() == *code)
        .ok_or_else(AppError::not_found)?;
    let page = ProblemPage::of(found);
    let accept = request
        .headers()
        .get("accept")
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    if !accept.contains("text/html") {
        return Ok(HttpResponse::Ok().json(page));
    }
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{code} – Penstock</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}}code{{background:#eee;padding:0 .2em}}</style>\
         <p><a href=\"/docs/\">Penstock API</a> · problem codes</p><h1>{title}</h1><p lang=\"zh-CN\">{title_zh}</p>\
         <p><code>{code}</code> · HTTP {status}</p><h2>When it happens</h2><p>{meaning}</p><h2>What to do</h2><p>{remedy}</p>\
         <section lang=\"zh-CN\"><h2>何时发生</h2><p>{meaning_zh}</p><h2>如何处理</h2><p>{remedy_zh}</p></section></html>",
        code = page.code,
        title = page.title,
        title_zh = page.title_zh,
        status = page.status,
        meaning = with_code(page.meaning),
        meaning_zh = with_code(page.meaning_zh),
        remedy = with_code(page.remedy),
        remedy_zh = with_code(page.remedy_zh),
    );
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// One of our texts as HTML: what stands between backticks is code.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(place, part)| match place % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    });
    parts.collect()
}

/// What a problem code means.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct ProblemPage {
    /// The stable code.
    #[schema(example = "gate_not_met")]
    code: &'static str,
    /// Its HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// Title in English.
    title: &'static str,
    /// Title in Chinese.
    title_zh: &'static str,
    /// When it happens.
    meaning: &'static str,
    /// When it happens, in Chinese.
    meaning_zh: &'static str,
    /// What the caller can do.
    remedy: &'static str,
    /// What the caller can do, in Chinese.
    remedy_zh: &'static str,
}

impl ProblemPage {
    fn of(code: Code) -> ProblemPage {
        let page = code.page();
        ProblemPage {
            code: code.as_str(),
            status: page.status,
            title: page.title,
            title_zh: page.title_zh,
            meaning: page.meaning,
            meaning_zh: page.meaning_zh,
            remedy: page.remedy,
            remedy_zh: page.remedy_zh,
        }
    }
}

/// The form of every refusal (RFC 9457).
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Address of the page that explains the code.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    kind: String,
    /// What the code means, in a few words.
    #[schema(example = "The body is well-formed but not valid")]
    title: String,
    /// HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What happened this time, in the language of Accept-Language.
    #[schema(example = "1 fault(s) in the body; nothing was changed")]
    detail: String,
    /// Stable code; clients may branch on it.
    #[schema(example = "invalid")]
    code: String,
    /// The id under which this request was logged.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    request_id: String,
    /// Every fault of the input, where it was the input's fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<Vec<ProblemFault>>,
}

/// One fault of an input, or a warning beside a success.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct ProblemFault {
    /// JSON Pointer of the member; `?name` for a query parameter.
    #[schema(example = "/amount")]
    pointer: String,
    /// Stable code of the fault.
    #[schema(example = "wrong_format")]
    code: String,
    /// The fault in words.
    #[schema(example = "is not a decimal number within range, such as \"12.50\"")]
    message: String,
}
