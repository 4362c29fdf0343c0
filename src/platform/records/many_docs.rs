//! The document of what every collection takes besides single records: search and batch. The schemas are shared by all.

use super::batch::MOST_ITEMS;
use super::docs::example;
use super::http::collection;
use super::query::{DEFAULT_LIMIT, MOST_LIMIT};
use super::spec::{Kind, Resource};
use super::tree::{MOST_DAYS, MOST_NODES, MOST_VALUES};
use serde_json::{Map, Value, json};

const EXAMPLE_ID: &str = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a";

/// Schemas of filter trees, searches and batches.
pub fn schemas() -> Vec<(String, Value)> {
    [
        ("FilterTree", filter_tree()),
        ("FilterValue", filter_value()),
        ("SearchRequest", search_request()),
        ("BatchRequest", batch_request()),
        ("BatchItem", batch_item()),
        ("BatchAnswer", batch_answer()),
        ("BatchResult", batch_result()),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
    .to_vec()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn described(name: &str, text: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}"), "description": text })
}

fn filter_tree() -> Value {
    let nodes = |text: &str| json!({ "type": "array", "minItems": 1, "maxItems": MOST_NODES, "items": reference("FilterTree"), "description": text });
    let days = |text: &str| json!({ "type": "integer", "minimum": 1, "maximum": MOST_DAYS, "description": text, "examples": [30] });
    let part = |text: &str| json!({ "type": "string", "minLength": 1, "maxLength": 200, "description": text, "examples": ["科技"] });
    json!({
        "type": "object",
        "description": "A filter: one of `and`, `or`, `not`; or a `member` with exactly one operator. `{}` lets everything through. A test of an empty member is false, and `not` turns exactly that round. At most 8 levels and 100 nodes.\n\n\
            Texts take `eq`, `ne`, `in`, `contains`, `starts_with`, `is_empty`; choices and ids `eq`, `ne`, `in`, `is_empty`; numbers and amounts (compared as numbers, whatever their currency) also `lt`, `lte`, `gt`, `gte`, `between`; days and times also `last_days`, `next_days`; flags `eq`, `ne`; tags `contains`, `in` (any of), `is_empty`.",
        "additionalProperties": false,
        "properties": {
            "and": nodes("All of these hold."),
            "or": nodes("At least one of these holds."),
            "not": described("FilterTree", "This does not hold."),
            "member": { "type": "string", "minLength": 1, "maxLength": 200, "description": "A member of the record, `custom.KEY` for a filterable field of the company, or either behind the name of a relation, one step away: `account.industry`, `account.custom.tier`. What you cannot see of a relation counts as empty.", "examples": ["amount"] },
            "eq": described("FilterValue", "Is this. Texts are compared exactly."),
            "ne": described("FilterValue", "Is not this, or is empty."),
            "in": { "type": "array", "minItems": 1, "maxItems": MOST_VALUES, "items": reference("FilterValue"), "description": "Is one of these." },
            "lt": described("FilterValue", "Is below this."),
            "lte": described("FilterValue", "Is at most this."),
            "gt": described("FilterValue", "Is above this."),
            "gte": described("FilterValue", "Is at least this."),
            "between": { "type": "array", "minItems": 2, "maxItems": 2, "items": reference("FilterValue"), "description": "Is between these two, both included." },
            "contains": part("Has this in it, in capitals or not; of tags: has this one."),
            "starts_with": part("Begins with this, in capitals or not."),
            "is_empty": { "type": "boolean", "description": "Has no value; with `false`: has one.", "examples": [true] },
            "last_days": days("Lies within so many days that end today, where the company is."),
            "next_days": days("Lies within so many days that begin today, where the company is.")
        },
        "examples": [{ "and": [{ "member": "created_at", "last_days": 30 }, { "not": { "member": "id", "eq": EXAMPLE_ID } }] }]
    })
}

fn filter_value() -> Value {
    json!({
        "type": ["string", "integer", "boolean", "object"],
        "description": "A value of the member's form: text, id (`me` for yourself, where it is a user), whole number, decimal string, flag, day, instant; or a day counted from today, for instants the beginning of that day where the company is.",
        "maxLength": 2000,
        "properties": { "days_from_today": { "type": "integer", "minimum": -MOST_DAYS, "maximum": MOST_DAYS, "description": "Days from today, negative for the past.", "examples": [-14] } },
        "required": ["days_from_today"],
        "additionalProperties": false,
        "examples": ["100000.00"]
    })
}

fn search_request() -> Value {
    json!({
        "type": "object",
        "description": "A list by a filter tree.",
        "additionalProperties": false,
        "properties": {
            "filter": described("FilterTree", "What to find; everything when it is not given."),
            "sort": { "type": "array", "maxItems": 3, "items": { "type": "string", "minLength": 1, "maxLength": 100 }, "description": "Up to three keys, as the list's `sort` takes them; a leading - for descending. The id breaks ties.", "examples": [["-created_at"]] },
            "limit": { "type": "integer", "minimum": 1, "maximum": MOST_LIMIT, "default": DEFAULT_LIMIT, "description": "Size of the page.", "examples": [50] },
            "cursor": { "type": ["string", "null"], "minLength": 1, "description": "`next_cursor` of the page before; good only for the same filter and sort." },
            "with_total": { "type": "boolean", "default": false, "description": "Adds `total`.", "examples": [false] },
            "expand": { "type": "array", "maxItems": 20, "items": { "type": "string", "minLength": 1, "maxLength": 60 }, "description": "Relations to embed, as the list's `expand` takes them." },
            "archived": { "type": "boolean", "default": false, "description": "Finds archived records instead of live ones." }
        }
    })
}

fn batch_request() -> Value {
    json!({
        "type": "object",
        "description": "Several writes to one collection.",
        "required": ["mode", "items"],
        "additionalProperties": false,
        "properties": {
            "mode": { "type": "string", "enum": ["all_or_nothing", "each"], "description": "`all_or_nothing`: one refusal undoes and refuses everything. `each`: every item stands or falls by itself.", "examples": ["each"] },
            "items": { "type": "array", "minItems": 1, "maxItems": MOST_ITEMS, "items": reference("BatchItem"), "description": "What is to be done, in this order." }
        }
    })
}

fn batch_item() -> Value {
    json!({
        "type": "object",
        "description": "One write: checked, permitted and recorded as a request of its own would be.",
        "required": ["method"],
        "additionalProperties": false,
        "properties": {
            "method": { "type": "string", "enum": ["create", "update", "archive", "restore"], "description": "What to do; only what the collection offers singly.", "examples": ["archive"] },
            "id": { "type": "string", "format": "uuid", "minLength": 36, "maxLength": 36, "description": "The record; not for `create`.", "examples": [EXAMPLE_ID] },
            "body": { "type": "object", "description": "For `create` what the collection's POST takes, for `update` what PATCH takes, for `restore` what restoring one takes, if anything." },
            "if_match": { "type": "integer", "minimum": 1, "maximum": 2_147_483_647, "description": "The version that you read; another one is refused as stale." }
        }
    })
}

fn batch_answer() -> Value {
    json!({
        "type": "object",
        "description": "What became of each item.",
        "required": ["succeeded", "failed", "results"],
        "properties": {
            "succeeded": { "type": "integer", "minimum": 0, "description": "How many were done.", "examples": [1] },
            "failed": { "type": "integer", "minimum": 0, "description": "How many were refused; 0 with `all_or_nothing`.", "examples": [0] },
            "results": { "type": "array", "items": reference("BatchResult"), "description": "One for each item, in order." }
        }
    })
}

fn batch_result() -> Value {
    json!({
        "type": "object",
        "description": "What became of one item: its `body`, or the `problem` for which it was refused.",
        "required": ["status"],
        "properties": {
            "status": { "type": "integer", "minimum": 200, "maximum": 499, "description": "What a request of its own would have answered.", "examples": [200] },
            "id": { "type": "string", "format": "uuid", "description": "The record; absent where none was made.", "examples": [EXAMPLE_ID] },
            "body": { "type": "object", "description": "The record as it now is." },
            "problem": described("Problem", "Why it was refused; pointers begin at the request's body: `/items/3/body/name`.")
        }
    })
}

/// The two operations of a collection; `prefix` stands before the noun of parts.
pub fn operations(resource: &Resource, prefix: &str, page: &Value) -> Vec<(String, Value)> {
    let many = collection(resource);
    let noun = resource.plural.replace(['-', '/'], "_");
    let words = resource.words();
    let mut operations = vec![(
        format!("{many}/search"),
        json!({ "post": {
            "operationId": format!("search_{prefix}{noun}"),
            "tags": [resource.tag],
            "summary": format!("Search {words}"),
            "description": format!("Lists the {words} that you can see and that a filter tree lets through, with the paging of the list. It reads only, so an Idempotency-Key means nothing to it.\n\nPermission: `{}`.", resource.read_permission()),
            "security": [{ "bearer": [resource.read_permission()] }],
            "x-reads-only": true,
            "requestBody": body("SearchRequest", search_example(resource)),
            "responses": { "200": { "description": "The page", "content": { "application/json": { "schema": page } } } }
        }}),
    )];
    if resource.has_writes() {
        operations.push((
            format!("{many}/batch"),
            json!({ "post": {
                "operationId": format!("batch_{prefix}{noun}"),
                "tags": [resource.tag],
                "summary": format!("Write several {words}"),
                "description": format!("Makes, changes, archives and restores up to 1,000 {words}, in order. With `each` it answers 200 and for every item its own status, whether it was done or refused; with `all_or_nothing` one refusal is the answer to the whole (the first item's code, the faults of all) and nothing changes. A record that is not there and one that you cannot see are the same `not_found`. What cannot be done within 15 seconds is undone whole (503): send less at once.\n\nPermission: `{}`.", resource.write_permission()),
                "security": [{ "bearer": [resource.write_permission()] }],
                "requestBody": body("BatchRequest", batch_example(resource)),
                "responses": { "200": { "description": "What became of each item", "content": { "application/json": { "schema": reference("BatchAnswer") } } } }
            }}),
        ));
    }
    operations
}

fn body(schema: &str, example: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": reference(schema), "example": example } } })
}

/// A search by something that such records are told apart by.
fn search_example(resource: &Resource) -> Value {
    let telling = resource
        .members
        .iter()
        .find(|member| member.sensitive.is_none() && member.kind == Kind::Choice && member.example != "null");
    let recent = json!({ "member": "created_at", "last_days": 30 });
    let filter = match telling {
        Some(member) => json!({ "and": [{ "member": member.name, "eq": example(member) }, recent] }),
        None => recent,
    };
    json!({ "filter": filter, "sort": ["-created_at"], "limit": 50 })
}

fn batch_example(resource: &Resource) -> Value {
    let verbs = resource.verbs;
    let item = if verbs.create {
        let required = resource
            .columns()
            .filter(|member| member.is_required && !member.is_read_only);
        let body = required.map(|member| (member.name.to_owned(), example(member)));
        json!({ "method": "create", "body": body.collect::<Map<_, _>>() })
    } else if verbs.archive {
        json!({ "method": "archive", "id": EXAMPLE_ID, "if_match": 1 })
    } else {
        json!({ "method": "update", "id": EXAMPLE_ID, "body": {}, "if_match": 1 })
    };
    json!({ "mode": "each", "items": [item] })
}
