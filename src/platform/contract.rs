//! The contract at run time: the OpenAPI document's operations, by which the front door finds the permission and the
//! body schema of each request. What is documented is thereby what is enforced.

use crate::kernel::error::{AppError, AppResult};
use crate::kernel::money;
use crate::platform::parameters::{self, Parameter};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

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
    body: Option<Schema>,
    /// Whether its body is a file: anything but JSON.
    pub takes_file: bool,
    /// Whether the body may be left out.
    pub is_body_optional: bool,
    /// An example of each member that the body must have.
    stand_ins: Vec<(String, Value)>,
}

/// A schema of the document whose validator is compiled on first use. What it refers to is kept once for all.
pub struct Schema {
    /// Without descriptions and examples.
    own: Value,
    /// The document's component schemas, likewise.
    components: Arc<Value>,
    validator: OnceLock<Option<Validator>>,
}

impl Schema {
    /// `components`: the document's, without their descriptions and examples too.
    pub fn new(schema: &Value, components: &Arc<Value>) -> Schema {
        Schema {
            own: bare(schema),
            components: Arc::clone(components),
            validator: OnceLock::new(),
        }
    }

    /// `None` when it does not compile: a bug that the contract tests catch.
    pub fn validator(&self) -> Option<&Validator> {
        let compiled = self
            .validator
            .get_or_init(|| compile(&whole(&self.own, &self.components)).ok());
        compiled.as_ref()
    }
}

/// A schema as far as it says what is valid: what it tells its reader is most of its size.
fn bare(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return match schema {
            Value::Array(items) => Value::Array(items.iter().map(bare).collect()),
            other => other.clone(),
        };
    };
    let says = |name: &&String| !["description", "title", "example", "examples"].contains(&name.as_str());
    let kept = members.iter().filter(|(name, _)| says(name));
    let kept = kept.map(|(name, member)| {
        let member = match (name.as_str(), member) {
            ("properties" | "patternProperties" | "$defs", Value::Object(named)) => each_bare(named),
            ("enum" | "const" | "default", literal) => literal.clone(),
            (_, member) => bare(member),
        };
        (name.clone(), member)
    });
    Value::Object(kept.collect())
}

/// Schemas by name: a name is never one of the words of a schema.
fn each_bare(named: &Map<String, Value>) -> Value {
    let each = named.iter().map(|(name, schema)| (name.clone(), bare(schema)));
    Value::Object(each.collect())
}

/// A schema that stands by itself, with the components it refers to.
fn whole(schema: &Value, components: &Value) -> Value {
    let mut schemas = Map::new();
    gather(schema, components, &mut schemas);
    json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema], "components": { "schemas": schemas } })
}

/// Collects the component schemas that a schema refers to, theirs too, and no others: a validator keeps a copy.
fn gather(schema: &Value, known: &Value, found: &mut Map<String, Value>) {
    match schema {
        Value::Object(members) => {
            let name = members
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.rsplit('/').next());
            if let Some((name, target)) = name.and_then(|name| Some((name, known.get(name)?)))
                && !found.contains_key(name)
            {
                found.insert(name.to_owned(), target.clone());
                gather(target, known, found);
            }
            members.values().for_each(|member| gather(member, known, found));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, known, found)),
        _ => {}
    }
}

/// The members that an object must have, as far as the document gives an example or a choice of them.
fn stand_ins(schema: &Value, known: &Value) -> Vec<(String, Value)> {
    let schema = resolved(schema, known);
    let required = schema["required"].as_array().into_iter().flatten();
    let required = required.filter_map(Value::as_str);
    let found = required.filter_map(|name| {
        let member = &schema["properties"][name];
        let example = example(member).or_else(|| example(resolved(member, known)))?;
        Some((name.to_owned(), example.clone()))
    });
    found.collect()
}

fn example(schema: &Value) -> Option<&Value> {
    let first = |name: &str| schema.get(name)?.as_array()?.first();
    schema
        .get("example")
        .or_else(|| first("examples"))
        .or_else(|| first("enum"))
}

/// The schema that this one refers to, if it does.
fn resolved<'a>(schema: &'a Value, known: &'a Value) -> &'a Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next());
    name.and_then(|name| known.get(name)).unwrap_or(schema)
}

/// All operations of a document.
pub struct Contract {
    pub text: String,
    operations: Vec<Operation>,
    /// Places of the operations by the start of their paths, then by the count of their segments.
    by_start: HashMap<String, Vec<Vec<usize>>>,
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

impl Contract {
    pub fn new(document: &Value) -> Contract {
        let mut operations = Vec::new();
        let described = &document["components"]["schemas"];
        let components = Arc::new(described.as_object().map_or(Value::Null, each_bare));
        let paths = document["paths"].as_object();
        for (template, item) in paths.into_iter().flatten() {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    operations.push(Operation::new(
                        template,
                        method,
                        operation,
                        &components,
                        described,
                    ));
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
        let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
        text.push('\n');
        Contract {
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
    fn new(
        template: &str,
        method: &str,
        operation: &Value,
        components: &Arc<Value>,
        described: &Value,
    ) -> Operation {
        let permission = operation
            .get("x-permission")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let content = operation.get("requestBody").and_then(|body| body.get("content"));
        let schema = content
            .and_then(|content| content.get("application/json"))
            .and_then(|media| media.get("schema"));
        let body = schema.map(|schema| Schema::new(schema, components));
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
            takes_file: content.is_some() && body.is_none(),
            body,
            stand_ins: schema.map_or_else(Vec::new, |schema| stand_ins(schema, described)),
            is_body_optional: operation
                .get("requestBody")
                .is_some_and(|body| body.get("required") != Some(&json!(true))),
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

    /// What could stand for the members that its body must have.
    pub fn stand_ins(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.stand_ins
            .iter()
            .map(|(name, example)| (name.as_str(), example))
    }

    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// The validator of this operation's body, compiled on first use.
    ///
    /// # Errors
    /// When the document has no schema for it: a bug that the contract tests catch.
    pub fn validator(&self) -> AppResult<&Validator> {
        let validator = self.body.as_ref().and_then(Schema::validator);
        validator.ok_or_else(|| AppError::internal(format!("{} has no body schema that compiles", self.id)))
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
