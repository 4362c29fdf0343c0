//! Whether an answer is one that the document describes: asked of every answer that a test gets.

use super::app::Answer;
use penstock::platform::contract::Contract;
use reqwest::Method;
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(penstock::app::document);
static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::new(&DOCUMENT));

/// Headers that are there whenever they are described, in an answer to somebody signed in.
const CERTAIN: [&str; 2] = ["X-Request-Id", "Location"];

/// Fails where the document says otherwise.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let Ok(operation) = CONTRACT.find(method.as_str(), path) else {
        return;
    };
    let spec = &DOCUMENT["paths"][&operation.template][method.as_str().to_lowercase()];
    let described = resolved(&spec["responses"][answer.status.to_string()]);
    let at = format!("{method} {path}: {}", answer.status);
    assert!(described.is_object(), "{at} is not described");
    let headers = described["headers"].as_object();
    let is_described = |name: &str| headers.is_some_and(|headers| headers.contains_key(name));
    for name in DOCUMENT["components"]["headers"].as_object().unwrap().keys() {
        let is_there = answer.headers.contains_key(name.as_str());
        assert!(!is_there || is_described(name), "{at} carries {name} undescribed");
        let is_read = name == "ETag" && method == Method::GET;
        let is_dry = answer.headers.contains_key("preference-applied");
        let is_certain = !is_dry && (is_read || CERTAIN.contains(&name.as_str()));
        assert!(
            !is_certain || is_there || !is_described(name),
            "{at} lacks {name}, which is described"
        );
    }
    let is_problem = answer
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "application/problem+json");
    if let (true, Some(members)) = (is_problem, answer.body.as_object()) {
        let known = &DOCUMENT["components"]["schemas"]["Problem"]["properties"];
        for member in members.keys() {
            assert!(known.get(member).is_some(), "{at} says {member} undescribed");
        }
    }
}

fn resolved(spec: &Value) -> &Value {
    match spec["$ref"].as_str() {
        Some(reference) => DOCUMENT
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or(&Value::Null),
        None => spec,
    }
}
