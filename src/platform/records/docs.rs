//! The document of declared resources: schemas and operations from the declaration.

use super::entry;
use super::http::{collection, id_name};
use super::many_docs;
use super::merged;
use super::query;
use super::spec::{Access, Kind, Member, Resource};
use super::store;
use crate::platform::contract::decimal_schema;
use serde_json::{Map, Value, json};

pub(super) fn example(member: &Member) -> Value {
    serde_json::from_str(member.example).unwrap_or(Value::Null)
}

/// The JSON Schema of a member's values, `null` apart.
fn value_schema(member: &Member) -> Map<String, Value> {
    let schema = match member.kind {
        Kind::Text => {
            json!({ "type": "string", "maxLength": member.most, "minLength": i32::from(member.is_required) })
        }
        Kind::Phone => json!({ "type": "string", "maxLength": member.most, "minLength": 1 }),
        Kind::Email => json!({ "type": "string", "format": "email", "maxLength": member.most }),
        Kind::Key => json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]*$", "maxLength": member.most }),
        Kind::Id => json!({ "type": "string", "format": "uuid" }),
        Kind::Int => json!({ "type": "integer", "minimum": member.least, "maximum": member.most }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Day => json!({ "type": "string", "format": "date" }),
        Kind::Instant => json!({ "type": "string", "format": "date-time" }),
        Kind::Money => Value::Object(decimal_schema(15, 4, false)),
        Kind::Decimal(places) => Value::Object(decimal_schema(
            if places > 4 { 10 } else { 15 },
            places,
            member.least < 0,
        )),
        Kind::Share => json!({ "type": "string", "pattern": "^(0(\\.\\d{1,4})?|1(\\.0{1,4})?)$" }),
        Kind::Currency => json!({ "type": "string", "pattern": "^[A-Z]{3}$" }),
        Kind::Choice => json!({ "type": "string", "enum": member.choices }),
        Kind::Tags => {
            json!({ "type": "array", "maxItems": 50, "items": { "type": "string", "minLength": 1, "maxLength": 50 } })
        }
        Kind::Custom => {
            json!({ "type": "object", "maxProperties": 200, "additionalProperties": { "type": ["string", "null"] }, "propertyNames": { "pattern": "^[a-z][a-z0-9_]*$" } })
        }
        Kind::Json => member
            .schema
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_else(|| json!({})),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn nullable(mut schema: Map<String, Value>) -> Map<String, Value> {
    if let Some(kind) = schema.get("type").cloned() {
        schema.insert("type".to_owned(), json!([kind, "null"]));
    }
    if let Some(Value::Array(options)) = schema.get_mut("enum") {
        options.push(Value::Null);
    }
    schema
}

fn property(member: &Member, is_nullable: bool) -> Value {
    let schema = value_schema(member);
    let mut schema = if is_nullable { nullable(schema) } else { schema };
    let mut doc = member.doc.to_owned();
    if let Some(permission) = member.sensitive {
        doc.push_str(&format!(" Sensitive: shown and set only with `{permission}`."));
    }
    schema.insert("description".to_owned(), json!(doc));
    if member.example != "null" {
        schema.insert("examples".to_owned(), json!([example(member)]));
    }
    Value::Object(schema)
}

/// Component schemas that all resources share.
pub fn shared_schemas() -> Vec<(String, Value)> {
    many_docs::schemas()
}

/// Component schemas of a resource: the record, its input, its patch, its page.
pub fn schemas(resource: &Resource) -> Vec<(String, Value)> {
    let name = resource.schema_name();
    let mut schemas = vec![
        (name.clone(), view(resource)),
        (format!("{name}Page"), page(&name, resource)),
    ];
    if resource.verbs.create {
        schemas.push((format!("{name}Input"), input(resource, false)));
    }
    if resource.verbs.update {
        schemas.push((format!("{name}Patch"), input(resource, true)));
    }
    if resource.is_restore_told() {
        schemas.push((format!("{name}Restore"), restore(resource)));
    }
    schemas
}

fn view(resource: &Resource) -> Value {
    let mut properties = Map::new();
    properties.insert("id".to_owned(), json!({ "type": "string", "format": "uuid", "description": "Id (UUIDv7).", "examples": ["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"] }));
    if let Access::Part { key, parent, .. } = resource.access {
        properties.insert(key.to_owned(), json!({ "type": "string", "format": "uuid", "description": format!("The {} it belongs to.", parent.word()), "examples": ["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"] }));
    }
    let mut required = properties.keys().cloned().collect::<Vec<_>>();
    let shown = |member: &&Member| !member.is_instruction && !member.is_asked_only;
    for member in resource.members.iter().filter(shown) {
        properties.insert(member.name.to_owned(), property(member, member.is_nullable()));
        if member.sensitive.is_none() {
            required.push(member.name.to_owned());
        }
    }
    properties.insert("version".to_owned(), json!({ "type": "integer", "minimum": 1, "description": "Counts the changes; the ETag.", "examples": [1] }));
    for (name, doc) in [
        ("created_at", "When it was made (the company's clock, UTC)."),
        ("updated_at", "When it last changed."),
    ] {
        properties.insert(name.to_owned(), json!({ "type": "string", "format": "date-time", "description": doc, "examples": ["2024-03-05T08:30:00.000000Z"] }));
    }
    required.extend(["version", "created_at", "updated_at"].map(str::to_owned));
    if resource.has_archive() {
        properties.insert("archived_at".to_owned(), json!({ "type": ["string", "null"], "format": "date-time", "description": "When it was archived; null while it lives." }));
        required.push("archived_at".to_owned());
    }
    for name in store::expandable(resource) {
        properties.insert(name.to_owned(), json!({ "type": ["object", "null"], "description": format!("Embedded by `expand={name}`; null when there is none that you can see.") }));
    }
    for embed in resource.hooks.embeds {
        properties.insert(embed.name.to_owned(), json!({ "$ref": format!("#/components/schemas/{}", embed.schema), "description": format!("Embedded by `expand={}` on reading one: {}.", embed.name, embed.about) }));
    }
    for part in (resource.hooks.parts)() {
        let name = part.embedded_name();
        let about = format!(
            "Embedded by `expand={name}` on reading one: the first page of its {}.",
            part.words()
        );
        properties.insert(name, json!({ "$ref": format!("#/components/schemas/{}Page", part.schema_name()), "description": about }));
    }
    properties.insert("warnings".to_owned(), json!({ "type": "array", "items": { "$ref": "#/components/schemas/ProblemFault" }, "description": "Reservations about the write; absent when there are none." }));
    json!({ "type": "object", "description": resource.about, "properties": properties, "required": required })
}

fn page(name: &str, resource: &Resource) -> Value {
    json!({
        "type": "object",
        "description": format!("One page of {}.", resource.words()),
        "required": ["data", "next_cursor"],
        "properties": {
            "data": { "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } },
            "next_cursor": { "type": ["string", "null"], "description": "Cursor of the next page; null on the last." },
            "total": { "type": "integer", "description": "Size of the whole list, with `with_total=true`." }
        }
    })
}

fn input(resource: &Resource, is_patch: bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let writable = resource
        .kept()
        .chain(resource.instructions())
        .filter(|member| !(member.is_read_only || is_patch && member.is_fixed));
    for member in writable {
        properties.insert(member.name.to_owned(), property(member, member.is_nullable()));
        if member.is_required && !is_patch {
            required.push(member.name);
        }
    }
    let mut schema = json!({
        "type": "object",
        "description": if is_patch { format!("Changes to a {}: a missing member is left alone, null clears.", resource.word()) } else { format!("A new {}.", resource.word()) },
        "properties": properties,
        "additionalProperties": false
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn restore(resource: &Resource) -> Value {
    let told = resource.restore_instructions();
    let properties = told.map(|member| (member.name.to_owned(), property(member, true)));
    json!({
        "type": ["object", "null"],
        "description": "What the restoring may be told.",
        "properties": properties.collect::<Map<_, _>>(),
        "additionalProperties": false
    })
}

/// Paths of a resource's operations.
pub fn paths(resource: &Resource) -> Vec<(String, Value)> {
    let name = resource.schema_name();
    let many = collection(resource);
    let one = format!("{many}/{{{}}}", id_name(resource));
    let snake_many = resource.plural.replace(['-', '/'], "_");
    let snake = resource.singular;
    let words = resource.words();
    let word = resource.word();
    let read = resource.read_permission();
    let write = resource.write_permission();
    let page = json!({ "$ref": format!("#/components/schemas/{name}Page") });
    let view = json!({ "$ref": format!("#/components/schemas/{name}") });
    let prefix = match resource.access {
        Access::Part { parent, .. } => format!("{}_", parent.singular),
        _ => String::new(),
    };
    let operation = |verb: &str,
                     noun: &str,
                     summary: String,
                     about: String,
                     permission: &str,
                     status: &str,
                     schema: &Value| {
        json!({
            "operationId": format!("{verb}_{prefix}{noun}"),
            "tags": [resource.tag],
            "summary": summary,
            "description": format!("{about}\n\nPermission: `{permission}`."),
            "security": [{ "bearer": [permission] }],
            "responses": { (status): { "description": summary_of(status), "content": { "application/json": { "schema": schema } } } }
        })
    };
    let mut list = operation(
        "list",
        &snake_many,
        format!("List {words}"),
        format!(
            "Lists the {words} that you can see, by keyset pages. {}",
            resource.about
        ),
        &read,
        "200",
        &page,
    );
    list["parameters"] = Value::Array(parameters(resource, true));
    if resource.member("custom").is_some() {
        // No document can name what each company names itself.
        list["x-own-fields"] = json!(true);
    }
    let mut many_item = json!({ "get": list });
    if resource.verbs.create {
        let mut create = operation(
            "create",
            snake,
            format!("Make a {word}"),
            resource.about.to_owned(),
            &write,
            "201",
            &view,
        );
        create["requestBody"] = body(&format!("{name}Input"));
        many_item["post"] = create;
    }
    let mut get = operation(
        "get",
        snake,
        format!("Read a {word}"),
        resource.about.to_owned(),
        &read,
        "200",
        &view,
    );
    let embeddable = store::expandable_singly(resource);
    let embeddable = embeddable.iter().map(String::as_str).collect::<Vec<_>>();
    get["parameters"] = json!([expand_parameter(&embeddable)]);
    if merged::is_mergeable(resource) {
        get["responses"]["308"] = merged_response(word.as_str());
    }
    let mut one_item = json!({ "get": get });
    if resource.verbs.update {
        let mut update = operation(
            "update",
            snake,
            format!("Change a {word}"),
            format!("Applies a JSON Merge Patch (RFC 7396) to a {word}."),
            &write,
            "200",
            &view,
        );
        update["requestBody"] = body(&format!("{name}Patch"));
        one_item["patch"] = update;
    }
    let mut paths = Vec::new();
    if resource.has_archive() {
        one_item["delete"] = operation(
            "delete",
            snake,
            format!("Archive a {word}"),
            format!("Archives a {word}; it leaves every list and can be restored."),
            &write,
            "200",
            &view,
        );
        let mut restore = operation(
            "restore",
            snake,
            format!("Restore a {word}"),
            format!("Brings an archived {word} back."),
            &write,
            "200",
            &view,
        );
        if resource.is_restore_told() {
            restore["requestBody"] = body(&format!("{name}Restore"));
            restore["requestBody"]["required"] = json!(false);
        }
        paths.push((format!("{one}/restore"), json!({ "post": restore })));
    }
    paths.extend(many_docs::operations(resource, &prefix, &page));
    paths.push((many, many_item));
    paths.push((one, one_item));
    if !resource.has_archive() || store::expandable(resource).is_empty() {
        drop_empty_expand(&mut paths, resource);
    }
    paths
}

fn drop_empty_expand(paths: &mut [(String, Value)], resource: &Resource) {
    if !store::expandable(resource).is_empty() {
        return;
    }
    for (_, item) in paths {
        if let Some(get) = item.get_mut("get").filter(|get| {
            get["operationId"]
                .as_str()
                .is_some_and(|id| id.starts_with("get_"))
        }) {
            get["parameters"] = json!([]);
        }
    }
}

fn summary_of(status: &str) -> &'static str {
    if status == "201" { "Made" } else { "The answer" }
}

/// Where a merged record went.
fn merged_response(word: &str) -> Value {
    json!({
        "description": format!("The {word} was merged into another one, which goes on; undoing the merge brings it back."),
        "headers": { "Location": { "description": "The record that goes on.", "schema": { "type": "string", "format": "uri-reference" } } },
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["survivor_id"],
            "properties": { "survivor_id": { "type": "string", "format": "uuid", "description": "The record that goes on.", "examples": ["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"] } }
        } } }
    })
}

fn body(schema: &str) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } } })
}

fn expand_parameter(names: &[&str]) -> Value {
    let (listed, choices) = (names.join(", "), names.join("|"));
    json!({ "name": "expand", "in": "query", "required": false, "description": format!("What to embed, joined by commas: {listed}."), "schema": { "type": "string", "pattern": format!("^({choices})(,({choices}))*$") } })
}

/// The query parameters of a list, as the parser knows them.
fn parameters(resource: &Resource, _is_list: bool) -> Vec<Value> {
    let mut parameters = Vec::new();
    for name in query::parameter_names(resource) {
        let (schema, doc) = match name.as_str() {
            "limit" => (
                json!({ "type": "integer", "minimum": 1, "maximum": query::MOST_LIMIT, "default": query::DEFAULT_LIMIT }),
                "Size of the page.".to_owned(),
            ),
            "cursor" => (
                json!({ "type": "string", "minLength": 1 }),
                "Where the page before ended; opaque, good only for the same list, filters and sort."
                    .to_owned(),
            ),
            "sort" => {
                let names = query::sort_names(resource).join("|");
                (
                    json!({ "type": "string", "default": resource.default_sort, "pattern": format!("^-?({names})(,-?({names})){{0,2}}$") }),
                    "Up to three keys joined by commas; a leading - for descending. The id breaks ties."
                        .to_owned(),
                )
            }
            "with_total" => (
                json!({ "type": "boolean", "default": false }),
                "Adds `total`.".to_owned(),
            ),
            "archived" => (
                json!({ "type": "boolean", "default": false }),
                "Lists archived records instead of live ones.".to_owned(),
            ),
            "expand" => {
                if store::expandable(resource).is_empty() {
                    continue;
                }
                parameters.push(expand_parameter(&store::expandable(resource)));
                continue;
            }
            "q" => (
                json!({ "type": "string", "minLength": 2, "maxLength": 100 }),
                if entry::is_searched(resource) {
                    "Has this in its names, phones, e-mail or notes: Chinese anywhere, other words by their beginnings, any part of a phone of four or more digits; all words must be there. Two characters suffice.".to_owned()
                } else {
                    "Text search, two characters suffice.".to_owned()
                },
            ),
            "tag" => (
                json!({ "type": "array", "items": { "type": "string", "minLength": 1, "maxLength": 50 } }),
                "Has all these tags; repeatable.".to_owned(),
            ),
            other => filter_parameter(resource, other),
        };
        let mut parameter =
            json!({ "name": name, "in": "query", "required": false, "description": doc, "schema": schema });
        if parameter["schema"]["type"] == "array" {
            parameter["style"] = json!("form");
            parameter["explode"] = json!(true);
        }
        parameters.push(parameter);
    }
    parameters
}

/// What a range may end at: anything of the member's kind, also beyond what the member itself may be.
fn bound_schema(member: &Member) -> Map<String, Value> {
    match member.kind {
        Kind::Money => decimal_schema(15, 4, true),
        Kind::Int => {
            let mut schema = Map::new();
            schema.insert("type".to_owned(), json!("integer"));
            schema.insert("minimum".to_owned(), json!(i32::MIN));
            schema.insert("maximum".to_owned(), json!(i32::MAX));
            schema
        }
        _ => value_schema(member),
    }
}

fn filter_parameter(resource: &Resource, name: &str) -> (Value, String) {
    if let Some(member) = resource
        .members
        .iter()
        .find(|member| member.is_filter && member.name == name)
    {
        let mut item = Value::Object(value_schema(member));
        if member.kind == Kind::Bool {
            return (item, format!("Only those with this `{name}`."));
        }
        if member.kind == Kind::Id {
            item = json!({ "type": "string", "anyOf": [{ "format": "uuid", "minLength": 36, "maxLength": 36 }, { "const": "none" }] });
            let mut doc = format!(
                "Only those with one of these `{name}`; a single `none` for those without. Repeatable."
            );
            if let Some(forms) = item["anyOf"].as_array_mut().filter(|_| member.is_user()) {
                forms.push(json!({ "const": "me" }));
                doc.push_str(" `me` is the caller.");
            }
            return (json!({ "type": "array", "maxItems": 50, "items": item }), doc);
        }
        if let Some(schema) = item.as_object_mut().filter(|_| member.kind == Kind::Text) {
            schema.insert("minLength".to_owned(), json!(1));
        }
        return (
            json!({ "type": "array", "maxItems": 50, "items": item }),
            format!("Only those with one of these `{name}`. Repeatable."),
        );
    }
    let (stem, suffix) = name.rsplit_once('_').unwrap_or((name, ""));
    let schema = match resource.member(stem) {
        Some(member) => Value::Object(bound_schema(member)),
        None => json!({ "type": "string", "format": "date-time" }),
    };
    let doc = match suffix {
        "min" => format!("`{stem}` is at least this."),
        "max" => format!("`{stem}` is at most this."),
        "after" => format!("`{stem}` is after this."),
        _ => format!("`{stem}` is before this."),
    };
    (schema, doc)
}
