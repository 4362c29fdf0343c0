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
    /// Whether its list is also filtered by the company's own fields, `custom.KEY`.
    takes_own_fields: bool,
    body_schema: Option<Value>,
    /// Whether its body is a file: anything but JSON.
    pub takes_file: bool,
    /// Whether the body may be left out.
    pub is_body_optional: bool,
    validator: OnceLock<Option<Validator>>,
}

/// All operations of a document.
pub struct Contract {
    pub document: Value,
    pub text: String,
    operations: Vec<Operation>,
    /// Places of the operations by the start of their paths, then by the count of their segments.
    by_start: HashMap<String, Vec<Vec<usize>>>,
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
        let mut by_start: HashMap<String, Vec<Vec<usize>>> = HashMap::new();
        for (index, operation) in operations.iter().enumerate() {
            let by_length = by_start.entry(start(&operation.segments).to_owned()).or_default();
            let length = operation.segments.len();
            by_length.resize_with(by_length.len().max(length + 1), Vec::new);
            by_length[length].push(index);
        }
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        Contract {
            document,
            text,
            operations,
            by_start,
        }
    }

    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation of a request, and else the methods that its path knows.
    pub fn find(&self, method: &str, path: &str) -> Result<&Operation, Vec<&str>> {
        let segments = path.trim_start_matches('/').split('/').collect::<Vec<_>>();
        let by_length = self.by_start.get(start(&segments));
        let candidates = by_length.and_then(|by_length| by_length.get(segments.len()));
        let candidates = candidates
            .into_iter()
            .flatten()
            .map(|index| &self.operations[*index]);
        let matching = candidates.filter(|operation| operation.matches(&segments));
        // A literal segment wins over a parameter: `/v1/leads/search` is no lead's address, whatever the method.
        let (mut most, mut found, mut others) = (0, None, Vec::new());
        for operation in matching {
            let literals = operation.literals();
            if literals < most {
                continue;
            }
            if literals > most {
                (most, found, others) = (literals, None, Vec::new());
            }
            if operation.method == method {
                found = Some(operation);
            } else {
                others.push(operation.method.as_str());
            }
        }
        found.ok_or(others)
    }
}

/// The segment by which operations are told apart first: `opportunities` of `/v1/opportunities/{id}`. It is never a
/// parameter.
fn start<T: AsRef<str>>(segments: &[T]) -> &str {
    let segment = |place: usize| segments.get(place).map_or("", AsRef::as_ref);
    match segment(0) {
        "v1" => segment(1),
        other => other,
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
            takes_own_fields: operation.get("x-own-fields").is_some(),
            takes_file: content.is_some() && body_schema.is_none(),
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
        parameters::check(&self.parameters, self.takes_own_fields, query)
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
