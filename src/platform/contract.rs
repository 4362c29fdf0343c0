//! The contract at run time: the OpenAPI document's operations, by which the front door finds the permission and the
//! body schema of each request. What is documented is thereby what is enforced.

use crate::kernel::error::{AppError, AppResult};
use crate::kernel::money;
use crate::platform::parameters::{self, Parameter};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::OnceLock;

/// One operation of the document.
pub struct Operation {
    pub id: String,
    pub method: String,
    pub template: String,
    segments: Vec<String>,
    /// `None`: anybody; `Some("")`: whoever is signed in; else the permission.
    pub permission: Option<String>,
    parameters: Vec<Parameter>,
    body_schema: Option<Value>,
    /// Whether the body may be left out.
    pub is_body_optional: bool,
    validator: OnceLock<Option<Validator>>,
}

/// All operations of a document.
pub struct Contract {
    pub document: Value,
    pub text: String,
    operations: Vec<Operation>,
    by_length: HashMap<usize, Vec<usize>>,
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

impl Contract {
    pub fn new(document: Value) -> Contract {
        let mut operations = Vec::new();
        let components = document.get("components").cloned().unwrap_or(Value::Null);
        let paths = document
            .get("paths")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        for (template, item) in &paths {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    operations.push(Operation::new(template, method, operation, &components));
                }
            }
        }
        let mut by_length: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, operation) in operations.iter().enumerate() {
            by_length.entry(operation.segments.len()).or_default().push(index);
        }
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        Contract {
            document,
            text,
            operations,
            by_length,
        }
    }

    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation of a request, and else the methods that its path knows.
    pub fn find(&self, method: &str, path: &str) -> Result<&Operation, Vec<&str>> {
        let segments = path.trim_start_matches('/').split('/').collect::<Vec<_>>();
        let mut others = Vec::new();
        let mut best: Option<&Operation> = None;
        for index in self
            .by_length
            .get(&segments.len())
            .map(Vec::as_slice)
            .unwrap_or_default()
        {
            let operation = &self.operations[*index];
            if !operation.matches(&segments) {
                continue;
            }
            if operation.method == method {
                // A literal segment wins over a parameter.
                best = Some(
                    best.filter(|found| found.literals() >= operation.literals())
                        .unwrap_or(operation),
                );
            } else {
                others.push(operation.method.as_str());
            }
        }
        best.ok_or(others)
    }
}

impl Operation {
    fn new(template: &str, method: &str, operation: &Value, components: &Value) -> Operation {
        let permission = operation
            .get("x-permission")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let content = operation.get("requestBody").and_then(|body| body.get("content"));
        let body_schema = content
            .and_then(|content| content.get("application/json"))
            .and_then(|media| media.get("schema"))
            .map(|schema| parameters::whole(schema, components));
        Operation {
            id: operation
                .get("operationId")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            method: method.to_uppercase(),
            template: template.to_owned(),
            segments: template
                .trim_start_matches('/')
                .split('/')
                .map(str::to_owned)
                .collect(),
            permission,
            parameters: Parameter::all(operation, components),
            body_schema,
            is_body_optional: operation
                .get("requestBody")
                .is_some_and(|body| body.get("required") != Some(&json!(true))),
            validator: OnceLock::new(),
        }
    }

    fn matches(&self, segments: &[&str]) -> bool {
        self.segments.iter().zip(segments).all(|(ours, theirs)| {
            if ours.starts_with('{') {
                !theirs.is_empty()
            } else {
                ours == theirs
            }
        })
    }

    fn literals(&self) -> usize {
        self.segments
            .iter()
            .filter(|segment| !segment.starts_with('{'))
            .count()
    }

    /// Refuses any query parameter that the document does not describe: a misspelt one must never look like success.
    ///
    /// # Errors
    /// `bad_parameter` with all faults.
    pub fn check_query(&self, query: &str) -> AppResult<()> {
        parameters::check(&self.parameters, query)
    }

    pub fn has_body(&self) -> bool {
        self.body_schema.is_some()
    }

    /// The validator of this operation's body, compiled on first use.
    ///
    /// # Errors
    /// When the document has no schema for it: a bug that the contract tests catch.
    pub fn validator(&self) -> AppResult<&Validator> {
        let compiled = self
            .validator
            .get_or_init(|| self.body_schema.as_ref().and_then(|schema| compile(schema).ok()));
        compiled
            .as_ref()
            .ok_or_else(|| AppError::internal(format!("{} has no body schema that compiles", self.id)))
    }
}

/// Compiles a schema with our formats switched on.
///
/// # Errors
/// When it is no valid JSON Schema.
pub fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .should_validate_formats(true)
        .with_format("decimal", |text: &str| {
            money::parse(text).is_some_and(|number| number.scale() <= 10)
        })
        .build(schema)
        .map_err(|error| error.to_string())
}

/// The JSON Schema of a decimal with at most `whole` digits before and `places` after the point.
pub fn decimal_schema(whole: u32, places: u32, signed: bool) -> Map<String, Value> {
    let sign = if signed { "-?" } else { "" };
    let fraction = if places == 0 {
        String::new()
    } else {
        format!("(\\.\\d{{1,{places}}})?")
    };
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("string"));
    schema.insert(
        "pattern".to_owned(),
        json!(format!("^{sign}(0|[1-9]\\d{{0,{}}}){fraction}$", whole - 1)),
    );
    schema
}
