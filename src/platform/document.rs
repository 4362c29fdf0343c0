//! Puts the OpenAPI 3.1 document together: what the handlers' annotations and the declared resources say, and what holds
//! for every operation (errors, headers, examples), added here once so that none can lack it.

use super::answers;
use super::event_kinds;
use super::records::{Resource, docs};
use crate::kernel::error::{AppError, AppResult};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

/// A tag of the document: its name and what it holds.
pub type Tag = (&'static str, &'static str);

const ABOUT: &str = "Penstock is the backend of a company's sales process: leads come in by signed webhook, opportunities are pushed stage by stage through gates that the company itself defines, approvals are decided by named people, and every step keeps its evidence.\n\n\
Sign in with `POST /v1/auth/login` and send `Authorization: Bearer …`, or use an API key the same way. Money is a decimal string beside its ISO 4217 currency, times are RFC 3339 in UTC, days `YYYY-MM-DD`, ids UUIDv7. \
Refusals are problem documents (RFC 9457); each code has its page under `/problems/{code}`. Every `POST` that writes takes `Idempotency-Key`; changes take `If-Match`; `Prefer: dry-run` runs a write to its end and stores nothing.";

/// The whole document.
pub fn assemble(annotated: OpenApi, resources: &[&Resource], tags: &[Tag]) -> Value {
    let mut document = serde_json::to_value(annotated).unwrap_or_default();
    let mut schemas = document["components"]["schemas"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let mut paths = document["paths"].as_object().cloned().unwrap_or_default();
    schemas.extend(docs::shared_schemas());
    for resource in resources {
        schemas.extend(docs::schemas(resource));
        for (path, item) in docs::paths(resource) {
            let known = paths.entry(path).or_insert_with(|| json!({}));
            if let (Some(known), Value::Object(item)) = (known.as_object_mut(), item) {
                known.extend(item);
            }
        }
    }
    schemas.values_mut().for_each(lift_array_examples);
    schemas
        .values_mut()
        .chain(paths.values_mut())
        .for_each(list_choices);
    if let Some(feed) = paths.get_mut("/v1/events").and_then(|item| item.get_mut("get")) {
        let about = feed["description"].as_str().unwrap_or_default();
        let kinds = event_kinds::listed(resources);
        feed["description"] = json!(format!("{about}\n\nThe kinds of events:\n\n{kinds}"));
    }
    if let Some(problem) = schemas.get_mut("Problem") {
        let known = problem.get_mut("properties").and_then(Value::as_object_mut);
        known
            .into_iter()
            .for_each(|known| known.extend(answers::problem_members()));
    }
    for (path, item) in &mut paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                complete(path, method, operation, &schemas);
            }
        }
    }
    sort(&mut paths);
    sort(&mut schemas);
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Penstock",
        "summary": "The backend of a company's sales process",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        "contact": { "name": "Penstock maintainers", "url": "https://penstock.example/" }
    });
    document["servers"] = json!([{ "url": "/", "description": "This server" }]);
    document["tags"] = tags
        .iter()
        .map(|(name, about)| json!({ "name": name, "description": about }))
        .collect();
    document["components"] = json!({
        "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "description": "An access token from `/v1/auth/login`, or an API key (`psk_…`)." } },
        "responses": answers::responses(),
        "headers": answers::headers(),
        "parameters": shared_parameters(),
        "schemas": schemas
    });
    document["paths"] = Value::Object(paths);
    document
}

/// A component's schema as a JSON Schema (2020-12) that stands by itself.
///
/// # Errors
/// When the components cannot be written as JSON.
pub fn standalone(components: &OpenApi, name: &str) -> AppResult<Value> {
    let mut document = serde_json::to_value(components).map_err(AppError::internal)?;
    let mut schemas = document["components"]["schemas"].take();
    point_inside(&mut schemas);
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "$ref": format!("#/$defs/{name}"),
        "$defs": schemas,
    }))
}

fn point_inside(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                *reference = reference.replacen("#/components/schemas/", "#/$defs/", 1);
            }
            members.values_mut().for_each(point_inside);
        }
        Value::Array(items) => items.iter_mut().for_each(point_inside),
        _ => {}
    }
}

/// The annotations put the example of a list on its items; it belongs to the list.
fn lift_array_examples(schema: &mut Value) {
    let is_misplaced = |items: &Value| items["type"] != "array" && items["examples"][0].is_array();
    if schema.get("items").is_some_and(is_misplaced)
        && let Some(examples) = schema["items"]
            .as_object_mut()
            .and_then(|items| items.shift_remove("examples"))
    {
        schema["examples"] = examples;
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(lift_array_examples),
        Value::Array(items) => items.iter_mut().for_each(lift_array_examples),
        _ => {}
    }
}

/// The annotations can say the words that a text may be by a pattern alone; what has choices says so.
fn list_choices(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(choices) = choices_of(members) {
                members.shift_remove("pattern");
                members.insert("enum".to_owned(), Value::Array(choices));
            }
            members.values_mut().for_each(list_choices);
        }
        Value::Array(items) => items.iter_mut().for_each(list_choices),
        _ => {}
    }
}

/// The words of a pattern that lists some, and null where that is allowed too.
fn choices_of(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    let pattern = schema.get("pattern")?.as_str()?;
    let words = pattern.strip_prefix("^(")?.strip_suffix(")$")?.split('|');
    let is_word = |word: &str| {
        let mut letters = word.bytes();
        letters.all(|letter| letter.is_ascii_alphanumeric() || b"_-".contains(&letter))
    };
    if !words.clone().all(is_word) {
        return None;
    }
    let mut choices = words.map(|word| json!(word)).collect::<Vec<_>>();
    let kinds = schema.get("type").and_then(Value::as_array);
    if kinds.is_some_and(|kinds| kinds.contains(&json!("null"))) {
        choices.push(Value::Null);
    }
    Some(choices)
}

fn sort(members: &mut Map<String, Value>) {
    let mut sorted = std::mem::take(members).into_iter().collect::<Vec<_>>();
    sorted.sort_by(|one, other| one.0.cmp(&other.0));
    members.extend(sorted);
}

/// One entity tag or several (RFC 9110), as `If-Match` takes them.
const ENTITY_TAGS: &str = r#"^(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*$"#;

/// None has an example: the documentation's pages would send it with every call that is tried there.
fn shared_parameters() -> Value {
    json!({
        "IdempotencyKey": { "name": "Idempotency-Key", "in": "header", "required": false, "description": "Makes a repetition of this request answer as the first did (kept 24 h).", "schema": { "type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$" } },
        "IfMatch": { "name": "If-Match", "in": "header", "required": false, "description": "The ETag of the version you read; a stale one is refused with 412, and so is a weak one (`W/…`), which never matches.", "schema": { "type": "string", "anyOf": [{ "const": "*" }, { "pattern": ENTITY_TAGS }] } },
        "Prefer": { "name": "Prefer", "in": "header", "required": false, "description": "`dry-run` runs the write to its end and stores nothing.", "schema": { "type": "string" } }
    })
}

fn complete(path: &str, method: &str, operation: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let is_open = operation.get("security").is_none_or(|security| {
        security
            .as_array()
            .is_none_or(|schemes| !schemes.iter().any(|scheme| scheme.get("bearer").is_some()))
    });
    if is_open {
        operation.insert("security".to_owned(), json!([]));
    }
    say_permission(operation);
    lift_permission(operation);
    path_parameters(path, operation);
    // A search is a POST for its body's sake; it changes nothing.
    let is_search = operation.get("x-reads-only").is_some();
    let is_write = method != "get" && !is_search;
    if is_write && !is_open {
        header_parameters(method, path, operation);
    }
    let mut statuses = vec!["400", "404", "429", "500", "503"];
    if !is_open {
        statuses.extend(["401", "403"]);
    }
    if is_write {
        statuses.extend(["401", "409", "412", "413", "415", "422"]);
    }
    if is_search {
        statuses.extend(["413", "415", "422"]);
    }
    statuses.sort_unstable();
    statuses.dedup();
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    for status in statuses {
        let name = answers::problem_name(status);
        responses[status] = json!({ "$ref": format!("#/components/responses/{name}") });
    }
    if let Some(content) = operation
        .get_mut("requestBody")
        .and_then(|body| body.get_mut("content"))
        .and_then(Value::as_object_mut)
    {
        for media in content.values_mut() {
            add_example(media, schemas);
        }
        if let (true, Some(media)) = (method == "patch", content.get("application/json").cloned()) {
            content.insert("application/merge-patch+json".to_owned(), media);
        }
    }
    let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
    for answer in answers
        .into_iter()
        .flat_map(|all| all.values_mut())
        .filter_map(Value::as_object_mut)
    {
        let is_described = answer.get("description").is_some_and(|text| text != "");
        if !answer.contains_key("$ref") && !is_described {
            answer.insert("description".to_owned(), json!("The answer"));
        }
    }
    let id = operation.get("operationId").and_then(Value::as_str);
    let id = id.unwrap_or_default().to_owned();
    let asked = answers::Asked {
        method,
        id: &id,
        is_open,
        is_write,
    };
    if let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        answers::describe(asked, answers, schemas);
    }
    let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
    for content in answers
        .into_iter()
        .flat_map(|all| all.values_mut())
        .filter_map(|answer| answer.get_mut("content"))
    {
        for media in content
            .as_object_mut()
            .into_iter()
            .flat_map(|content| content.values_mut())
        {
            add_example(media, schemas);
        }
    }
}

/// Every operation's description names its permission.
fn say_permission(operation: &mut Map<String, Value>) {
    let permission = operation["security"]
        .as_array()
        .and_then(|schemes| schemes.first())
        .and_then(|scheme| scheme.get("bearer"));
    let line = match permission.map(|permissions| permissions.get(0).and_then(Value::as_str)) {
        None => "Open to everybody.".to_owned(),
        Some(None) => "Permission: whoever is signed in.".to_owned(),
        Some(Some(permission)) => format!("Permission: `{permission}`."),
    };
    let description = operation
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !description.contains("Permission:") && !description.contains("Open to everybody.") {
        let description = format!("{description}\n\n{line}").trim().to_owned();
        operation.insert("description".to_owned(), json!(description));
    }
}

/// An HTTP bearer scheme has no scopes of its own: the permission stands in `x-permission` (empty: whoever is signed in).
fn lift_permission(operation: &mut Map<String, Value>) {
    let scopes = operation["security"]
        .as_array()
        .and_then(|schemes| schemes.iter().find_map(|scheme| scheme.get("bearer")));
    let Some(permission) = scopes.map(|scopes| scopes.get(0).cloned().unwrap_or(json!(""))) else {
        return;
    };
    operation.insert("security".to_owned(), json!([{ "bearer": [] }]));
    operation.insert("x-permission".to_owned(), permission);
}

fn path_parameters(path: &str, operation: &mut Map<String, Value>) {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let Some(parameters) = parameters.as_array_mut() else {
        return;
    };
    let names = path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    for (index, name) in names.enumerate() {
        let is_known = parameters
            .iter()
            .any(|parameter| parameter["name"] == name && parameter["in"] == "path");
        if !is_known {
            let schema = json!({ "type": "string", "format": "uuid" });
            let parameter = json!({ "name": name, "in": "path", "required": true, "description": "The id.", "schema": schema, "example": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a" });
            parameters.insert(index.min(parameters.len()), parameter);
        }
    }
    if parameters.is_empty() {
        operation.remove("parameters");
    }
}

fn header_parameters(method: &str, path: &str, operation: &mut Map<String, Value>) {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let Some(parameters) = parameters.as_array_mut() else {
        return;
    };
    let mut names = vec!["Prefer"];
    names.push(if method == "post" {
        "IdempotencyKey"
    } else {
        "IfMatch"
    });
    let has_subject = parameters.iter().any(|parameter| parameter["in"] == "path");
    // Each item of a batch names the version that it is about.
    if method == "post" && has_subject && !path.ends_with("/batch") {
        names.push("IfMatch");
    }
    for name in names {
        parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
    }
}

fn add_example(media: &mut Value, schemas: &Map<String, Value>) {
    if media.get("example").is_some() || media.get("examples").is_some() {
        return;
    }
    if let Some(schema) = media.get("schema").cloned() {
        media["example"] = example_of(&schema, schemas, 0);
    }
}

/// An example of a schema: the one it gives itself, else one made of its parts.
fn example_of(schema: &Value, schemas: &Map<String, Value>, depth: usize) -> Value {
    if let Some(example) = schema
        .get("example")
        .or_else(|| schema.get("examples").and_then(|examples| examples.get(0)))
    {
        return example.clone();
    }
    if depth > 16 {
        return Value::Null;
    }
    if let Some(name) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.rsplit('/').next())
    {
        return schemas
            .get(name)
            .map_or(Value::Null, |schema| example_of(schema, schemas, depth + 1));
    }
    for word in ["const", "default"] {
        if let Some(value) = schema.get(word) {
            return value.clone();
        }
    }
    if let Some(first) = schema.get("enum").and_then(|options| options.get(0)) {
        return first.clone();
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        return whole_of(parts, schemas, depth);
    }
    for word in ["oneOf", "anyOf"] {
        let options = schema.get(word).and_then(Value::as_array).into_iter().flatten();
        if let Some(option) = options.into_iter().find(|option| option["type"] != "null") {
            return example_of(option, schemas, depth + 1);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds
            .iter()
            .find(|kind| *kind != "null")
            .cloned()
            .unwrap_or(Value::Null),
        kind => kind.clone(),
    };
    match kind.as_str() {
        Some("object") => {
            let required = schema
                .get("required")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let properties = schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            let shown = properties.filter(|(name, property)| {
                required.iter().any(|known| known == *name)
                    || property.get("examples").is_some()
                    || property.get("example").is_some()
            });
            Value::Object(
                shown
                    .map(|(name, property)| (name.clone(), example_of(property, schemas, depth + 1)))
                    .collect(),
            )
        }
        Some("array") => schema.get("items").filter(|items| items.is_object()).map_or_else(
            || json!([]),
            |items| json!([example_of(items, schemas, depth + 1)]),
        ),
        Some("integer") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("number") => json!(1),
        Some("boolean") => json!(true),
        Some("string") => match schema.get("format").and_then(Value::as_str) {
            Some("uuid") => json!("0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"),
            Some("date") => json!("2024-03-15"),
            Some("date-time") => json!("2024-03-15T08:30:00Z"),
            Some("email") => json!("zhang@example.com"),
            _ if schema
                .get("pattern")
                .and_then(Value::as_str)
                .is_some_and(|pattern| pattern.contains("\\d")) =>
            {
                json!("0.5")
            }
            _ => json!("text"),
        },
        _ => Value::Null,
    }
}

/// An example of all parts at once: what flattened members make.
fn whole_of(parts: &[Value], schemas: &Map<String, Value>, depth: usize) -> Value {
    let mut whole = Map::new();
    for part in parts {
        match example_of(part, schemas, depth + 1) {
            Value::Object(members) => whole.extend(members),
            other => return other,
        }
    }
    Value::Object(whole)
}
