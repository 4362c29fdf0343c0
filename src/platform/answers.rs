//! What the document says of answers: the headers that they carry, 304, and the refusals that all operations share. Each of
//! these stands in the document once and is referred to.

use crate::kernel::problem::{Code, MEMBERS};
use serde_json::{Map, Value, json};

/// Operations that make what has no address of its own, besides those that add to a record.
const WITHOUT_LOCATION: [&str; 2] = ["create_import_file", "create_sandbox"];
/// What is told twice is there already, and its answer says where.
const LOCATED: &str = "record_lead_behaviour";
/// Operations whose answer has a tag though its members do not tell.
const TAGGED: [&str; 3] = ["create_api_key", "get_pipeline_schema", "replace_pool_settings"];

const PROBLEMS: [(&str, &str, &str, Code); 12] = [
    (
        "400",
        "BadRequest",
        "The body is malformed, or a parameter or header is.",
        Code::BadParameter,
    ),
    ("401", "Unauthenticated", "Not signed in.", Code::Unauthenticated),
    ("403", "Forbidden", "Known, but not permitted.", Code::Forbidden),
    (
        "404",
        "NotFound",
        "Absent, or not visible to you.",
        Code::NotFound,
    ),
    (
        "409",
        "Conflict",
        "The resource's state forbids it.",
        Code::Conflict,
    ),
    ("412", "Stale", "If-Match names an older version.", Code::Stale),
    ("413", "TooLarge", "The body is over the limit.", Code::TooLarge),
    (
        "415",
        "UnsupportedMediaType",
        "The body is not JSON.",
        Code::UnsupportedMediaType,
    ),
    (
        "422",
        "Invalid",
        "Well-formed but invalid; all faults are named.",
        Code::Invalid,
    ),
    (
        "429",
        "TooManyRequests",
        "Slow down; see Retry-After.",
        Code::TooManyRequests,
    ),
    ("500", "Internal", "An error on our side.", Code::Internal),
    (
        "503",
        "Unavailable",
        "Out of reach for a moment; see Retry-After.",
        Code::Unavailable,
    ),
];

/// The name of the shared refusal with this status.
pub(super) fn problem_name(status: &str) -> &'static str {
    let known = PROBLEMS.iter().find(|(known, ..)| *known == status);
    known.map_or("Internal", |(_, name, ..)| name)
}

/// The headers of every refusal, and those by which one says what to do next.
fn problem_headers(status: &str) -> Vec<&'static str> {
    let mut headers = vec!["X-Request-Id", "Content-Language"];
    match status {
        "401" => headers.push("WWW-Authenticate"),
        _ => headers.extend(SHARES),
    }
    if matches!(status, "409" | "429" | "503") {
        headers.push("Retry-After");
    }
    headers
}

/// What is left of the caller's limits.
const SHARES: [&str; 2] = ["RateLimit", "RateLimit-Policy"];

fn references(names: &[&str]) -> Value {
    let each = names.iter().map(|name| {
        let reference = json!({ "$ref": format!("#/components/headers/{name}") });
        ((*name).to_owned(), reference)
    });
    Value::Object(each.collect())
}

/// The answers that operations share.
pub(super) fn responses() -> Value {
    let mut responses = Map::new();
    for (status, name, about, code) in &PROBLEMS {
        let page = code.page();
        let example = json!({
            "type": format!("/problems/{}", code.as_str()), "title": page.title, "status": page.status, "detail": page.meaning,
            "code": code.as_str(), "request_id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"
        });
        let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" }, "example": example } });
        let headers = references(&problem_headers(status));
        let response = json!({ "description": about, "headers": headers, "content": content });
        responses.insert((*name).to_owned(), response);
    }
    let mut headers = vec!["X-Request-Id", "ETag"];
    headers.extend(SHARES);
    let about =
        "You have this answer already: `If-None-Match` names its ETag, weakly compared. Without a body.";
    responses.insert(
        "NotModified".to_owned(),
        json!({ "description": about, "headers": references(&headers) }),
    );
    Value::Object(responses)
}

/// The headers that answers carry.
pub(super) fn headers() -> Value {
    let header = |about: &str, schema: Value| json!({ "description": about, "schema": schema });
    let text = |example: &str| json!({ "type": "string", "examples": [example] });
    json!({
        "X-Request-Id": header("The id under which this request was logged: the one that it was sent with, where that is sane.", text("0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")),
        "ETag": header("Of one record its version, as `If-Match` takes it; of what is more than one plain record a weak tag, for `If-None-Match` alone.", json!({ "type": "string", "pattern": "^(W/)?\"[!#-~]*\"$", "examples": ["\"7\""] })),
        "Location": header("Where to find what was made, or what goes on: a job, an approval request.", json!({ "type": "string", "format": "uri-reference", "examples": ["/v1/accounts/0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"] })),
        "Link": header("The next page (RFC 8288), where there is one.", text("</v1/accounts?cursor=…>; rel=\"next\"")),
        "Idempotent-Replayed": header("`true` where this is the stored answer of an earlier request with the same Idempotency-Key.", json!({ "type": "string", "const": "true" })),
        "Preference-Applied": header("`dry-run` where the request preferred that: nothing was stored.", json!({ "type": "string", "const": "dry-run" })),
        "Content-Disposition": header("That it is a file to be saved, and its name.", text("attachment; filename=\"errors.csv\"")),
        "Content-Language": header("The language of `title`, `detail` and messages.", json!({ "type": "string", "enum": ["en", "zh-CN"] })),
        "WWW-Authenticate": header("How to sign in: by bearer token.", text("Bearer realm=\"penstock\"")),
        "Retry-After": header("Seconds to wait before the next try, where waiting helps.", json!({ "type": "integer", "minimum": 0, "examples": [2] })),
        "RateLimit": header("What is left of each limit, and the seconds until all of it is there again; on every answer to a signed-in caller.", text("\"user\";r=599;t=1, \"company\";r=5999;t=1")),
        "RateLimit-Policy": header("The limits: calls, and the window in seconds.", text("\"user\";q=600;w=60, \"company\";q=6000;w=60"))
    })
}

/// The further members of refusals, as properties of their schema.
pub(super) fn problem_members() -> Map<String, Value> {
    let each = MEMBERS.iter().map(|member| {
        let codes = member.codes.iter().map(|code| format!("`{}`", code.as_str()));
        let codes = codes.collect::<Vec<_>>().join(", ");
        let mut schema: Value = serde_json::from_str(member.schema).unwrap_or_default();
        schema["description"] = json!(format!("With {codes}: {}", member.about));
        (member.name.to_owned(), schema)
    });
    each.collect()
}

/// What kind of operation it is that answers.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) id: &'a str,
    pub(super) is_open: bool,
    pub(super) is_write: bool,
}

/// Describes the headers of an operation's own answers, and 304 where it is given.
pub(super) fn describe(asked: Asked<'_>, answers: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let mut is_tagged = false;
    for (status, answer) in answers.iter_mut() {
        let Some(answer) = answer
            .as_object_mut()
            .filter(|answer| !answer.contains_key("$ref"))
        else {
            continue;
        };
        let names = carried(asked, status, answer, schemas);
        is_tagged |= asked.method == "get" && names.contains(&"ETag");
        answer.insert("headers".to_owned(), references(&names));
    }
    if is_tagged {
        let reference = json!({ "$ref": "#/components/responses/NotModified" });
        answers.insert("304".to_owned(), reference);
    }
}

fn carried(
    asked: Asked<'_>,
    status: &str,
    answer: &Map<String, Value>,
    schemas: &Map<String, Value>,
) -> Vec<&'static str> {
    let content = answer.get("content").and_then(Value::as_object);
    let json = content.and_then(|content| content.get("application/json"));
    let schema = json.and_then(|media| media.get("schema"));
    let shows = |member: &str| schema.is_some_and(|schema| has_member(schema, schemas, member, 0));
    let is_get = asked.method == "get";
    let is_done = status.starts_with('2');
    let mut names = vec!["X-Request-Id"];
    if !asked.is_open {
        names.extend(SHARES);
    }
    let is_read = is_get && !asked.is_open && status == "200" && json.is_some();
    let is_written = asked.is_write && is_done && shows("version");
    if is_read || is_written || (is_done && TAGGED.contains(&asked.id)) {
        names.push("ETag");
    }
    if is_get && shows("next_cursor") {
        names.push("Link");
    }
    let is_elsewhere = matches!(status, "201" | "202" | "308");
    let is_elsewhere = is_elsewhere || (is_done && asked.id == LOCATED);
    let has_none = asked.id.starts_with("add_") || WITHOUT_LOCATION.contains(&asked.id);
    if is_elsewhere && !asked.is_open && !has_none {
        names.push("Location");
    }
    let is_file = |kind: &String| kind != "application/json" && kind != "text/event-stream";
    if is_get && content.is_some_and(|content| content.keys().any(is_file)) {
        names.push("Content-Disposition");
    }
    if asked.is_write && !asked.is_open && is_done {
        names.push("Preference-Applied");
        if asked.method == "post" {
            names.push("Idempotent-Replayed");
        }
    }
    names
}

/// Whether what a schema describes has this member.
fn has_member(schema: &Value, schemas: &Map<String, Value>, member: &str, depth: usize) -> bool {
    if depth > 8 {
        return false;
    }
    let inner = |schema: &Value| has_member(schema, schemas, member, depth + 1);
    let named = schema.get("$ref").and_then(Value::as_str);
    let named = named.and_then(|reference| schemas.get(reference.rsplit('/').next()?));
    schema["properties"].get(member).is_some()
        || named.is_some_and(inner)
        || ["allOf", "oneOf", "anyOf"]
            .iter()
            .filter_map(|word| schema.get(word).and_then(Value::as_array))
            .any(|parts| parts.iter().any(inner))
}
