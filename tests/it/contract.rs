//! The contract, driven by the generated document, so that a new operation is covered before anyone writes a test for it.

use crate::support::app::{Answer, Company, Person, anonymous, company};
use futures::StreamExt;
use penstock::kernel::permission;
use penstock::platform::contract::Contract;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn document() -> Value {
    penstock::app::document()
}

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    spec: Value,
}

impl Operation {
    fn id(&self) -> &str {
        self.spec["operationId"].as_str().unwrap_or_default()
    }

    /// `None`: open to everybody; empty: whoever is signed in.
    fn permission(&self) -> Option<String> {
        self.spec["x-permission"].as_str().map(str::to_owned)
    }

    fn has_body(&self) -> bool {
        self.spec["requestBody"]["content"]
            .get("application/json")
            .is_some()
    }

    /// The path with an example of each parameter that it cannot do without.
    fn answerable(&self) -> String {
        let parameters = self.spec["parameters"].as_array().into_iter().flatten();
        let needed = parameters.filter(|one| one["in"] == "query" && one["required"] == true);
        let query = needed.map(|one| {
            let example = one["example"].as_str().or(one["schema"]["example"].as_str());
            format!(
                "{}={}",
                one["name"].as_str().unwrap(),
                example.unwrap_or("example")
            )
        });
        let query = query.collect::<Vec<_>>().join("&");
        format!("{}?{query}", self.path)
    }

    /// The path with fresh ids, so that nothing is there.
    fn somewhere(&self) -> String {
        let segment = |segment: &str| {
            if segment.starts_with('{') {
                if segment == "{n}" {
                    "1".to_owned()
                } else {
                    Uuid::now_v7().to_string()
                }
            } else {
                segment.to_owned()
            }
        };
        self.path.split('/').map(segment).collect::<Vec<_>>().join("/")
    }
}

fn operations() -> Vec<Operation> {
    let document = document();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(spec) = item.get(method) {
                operations.push(Operation {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                    spec: spec.clone(),
                });
            }
        }
    }
    operations
}

/// Sends each chosen operation and collects what is not as expected, so that one run names all.
async fn each(
    operations: impl Iterator<Item = Operation>,
    send: impl AsyncFn(&Operation) -> Answer,
    expected: impl Fn(&Operation, &Answer) -> bool,
) -> Vec<String> {
    futures::stream::iter(operations)
        .map(|operation| {
            let send = &send;
            async move { (send(&operation).await, operation) }
        })
        .buffer_unordered(8)
        .filter_map(|(answer, operation)| {
            let wrong = (!expected(&operation, &answer)).then(|| {
                format!(
                    "{} {}: {} {}",
                    operation.method, operation.path, answer.status, answer.body
                )
            });
            async move { wrong }
        })
        .collect()
        .await
}

async fn nobody_special(company: &Company) -> Person {
    company.member("无权限者", "no-such-role").await
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"))
        .unwrap_or_default();
    assert!(
        committed == Contract::new(&document()).text,
        "openapi/openapi.json is behind: cargo run -- openapi > openapi/openapi.json"
    );
}

#[test]
fn every_operation_says_what_it_is_for_and_how_it_fails() {
    let mut ids = BTreeMap::new();
    for operation in operations() {
        let (id, spec) = (operation.id().to_owned(), &operation.spec);
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
                && id.contains('_'),
            "{id}"
        );
        assert_eq!(
            ids.insert(id.clone(), operation.path.clone()),
            None,
            "{id} is used twice"
        );
        assert_eq!(
            spec["tags"].as_array().map(Vec::len),
            Some(1),
            "{id} needs one tag"
        );
        assert!(
            spec["summary"]
                .as_str()
                .is_some_and(|summary| !summary.is_empty()),
            "{id} has no summary"
        );
        let description = spec["description"].as_str().unwrap_or_default();
        assert!(
            description.contains("Permission:") || description.contains("Open to everybody."),
            "{id} does not name its permission"
        );
        let responses = spec["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{id} has no success"
        );
        assert!(
            responses.contains_key("400") && responses.contains_key("500"),
            "{id} does not say how it fails"
        );
        if operation.has_body() {
            assert!(
                spec["requestBody"]["content"]["application/json"]
                    .get("example")
                    .is_some(),
                "{id} has no example"
            );
        }
    }
}

#[test]
fn every_permission_of_the_document_exists_and_every_one_that_exists_is_used() {
    let used = operations()
        .iter()
        .filter_map(Operation::permission)
        .filter(|name| !name.is_empty())
        .collect::<BTreeSet<_>>();
    for name in &used {
        assert!(permission::find(name).is_some(), "{name} is not a permission");
    }
}

#[test]
fn every_example_of_a_body_is_valid_by_its_own_schema() {
    let document = document();
    let mut wrong = Vec::new();
    for operation in operations().iter().filter(|operation| operation.has_body()) {
        let media = &operation.spec["requestBody"]["content"]["application/json"];
        let schema = json!({ "allOf": [media["schema"]], "components": document["components"] });
        let validator = penstock::platform::contract::compile(&schema).unwrap();
        wrong.extend(
            validator
                .iter_errors(&media["example"])
                .map(|error| format!("{}: {error} at {}", operation.id(), error.instance_path())),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn nobody_gets_in_without_a_token() {
    let secured = operations()
        .into_iter()
        .filter(|operation| operation.permission().is_some());
    let wrong = each(
        secured,
        async |operation| Answer::of(anonymous(operation.method.clone(), &operation.somewhere()).await).await,
        |_, answer| answer.status == 401,
    )
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn whoever_lacks_the_permission_is_refused_before_anything_is_read() {
    let company = company().await;
    let person = nobody_special(&company).await;
    let guarded = operations()
        .into_iter()
        .filter(|operation| operation.permission().is_some_and(|name| !name.is_empty()));
    let wrong = each(
        guarded,
        async |operation| {
            Answer::of(
                person
                    .request(operation.method.clone(), &operation.somewhere())
                    .await,
            )
            .await
        },
        |_, answer| answer.status == 403,
    )
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let company = company().await;
    let admin = &company.administrator;
    let reads = operations().into_iter().filter(|operation| {
        operation.method == Method::GET && operation.path.starts_with("/v1/") && operation.path.contains('{')
    });
    let wrong = each(
        reads,
        async |operation| admin.get(&operation.somewhere()).await,
        |_, answer| answer.status == 404,
    )
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    let no_ids = operations()
        .into_iter()
        .filter(|operation| operation.method == Method::GET && operation.path.contains("{id}"));
    let wrong = each(
        no_ids,
        async |operation| admin.get(&operation.somewhere().replace('-', "")).await,
        |_, answer| answer.status == 404,
    )
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn broken_json_is_400_and_unknown_members_are_422_everywhere() {
    let company = company().await;
    let admin = &company.administrator;
    let with_body = || {
        operations()
            .into_iter()
            .filter(|operation| operation.has_body() && operation.permission().is_some())
    };
    let broken = each(
        with_body(),
        async |operation| {
            Answer::of(
                admin
                    .request(operation.method.clone(), &operation.somewhere())
                    .await
                    .header("content-type", "application/json")
                    .body("{\"a\":"),
            )
            .await
        },
        |_, answer| answer.status == 400,
    )
    .await;
    assert!(broken.is_empty(), "{broken:#?}");
    let unknown = each(
        with_body(),
        async |operation| {
            Answer::of(
                admin
                    .request(operation.method.clone(), &operation.somewhere())
                    .await
                    .json(&json!({ "no_such_member": 1 })),
            )
            .await
        },
        |_, answer| {
            answer.status == 422
                && answer
                    .faults()
                    .iter()
                    .any(|(pointer, code)| pointer == "/no_such_member" && code == "unknown_field")
        },
    )
    .await;
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[tokio::test]
async fn what_a_body_says_where_none_is_taken_is_refused_everywhere() {
    let company = company().await;
    let admin = &company.administrator;
    let send = async |operation: &Operation, body: &'static str| {
        let request = admin
            .request(operation.method.clone(), &operation.somewhere())
            .await;
        Answer::of(request.header("content-type", "application/json").body(body)).await
    };
    for (body, status, fault) in [
        ("{\"no_such_member\":1}", 422, Some("/no_such_member")),
        ("[]", 422, Some("")),
        ("{\"a\":", 400, None),
    ] {
        let without_body = operations().into_iter().filter(|operation| {
            let is_write = operation.method != Method::GET && operation.permission().is_some();
            is_write && operation.spec.get("requestBody").is_none()
        });
        let wrong = each(
            without_body,
            async |operation| send(operation, body).await,
            |_, answer| {
                let is_named = |pointer| answer.faults().iter().any(|(at, _)| at == pointer);
                answer.status == status && fault.is_none_or(is_named)
            },
        )
        .await;
        assert!(wrong.is_empty(), "{body}: {wrong:#?}");
    }
}

#[tokio::test]
async fn nul_in_a_query_or_a_path_is_refused_everywhere() {
    let company = company().await;
    let admin = &company.administrator;
    let reads = operations()
        .into_iter()
        .filter(|operation| operation.method == Method::GET && operation.path.starts_with("/v1/"));
    let wrong = each(
        reads,
        async |operation| admin.get(&format!("{}?x%00=%00", operation.somewhere())).await,
        |_, answer| answer.status == 400 || answer.status == 404,
    )
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn nul_and_lone_surrogates_in_a_body_are_refused_everywhere() {
    let company = company().await;
    let admin = &company.administrator;
    for text in ["\\u0000", "\\ud800"] {
        let with_body = operations()
            .into_iter()
            .filter(|operation| operation.has_body() && operation.permission().is_some());
        let wrong = each(
            with_body,
            async |operation| {
                let path = operation.somewhere();
                let request = admin.request(operation.method.clone(), &path).await;
                let request = request.header("content-type", "application/json");
                Answer::of(request.body(format!("{{\"name\":\"a{text}b\"}}"))).await
            },
            |_, answer| answer.status == 400 && answer.body["code"] == "malformed_body",
        )
        .await;
        assert!(wrong.is_empty(), "{text}: {wrong:#?}");
    }
}

#[tokio::test]
async fn head_answers_wherever_get_does_and_without_a_body() {
    let company = company().await;
    let admin = &company.administrator;
    let lists = operations()
        .into_iter()
        .filter(|operation| operation.method == Method::GET && !operation.path.contains('{'));
    let wrong = each(
        lists,
        async |operation| {
            let path = operation.answerable();
            let got = admin.get(&path).await;
            let mut head = Answer::of(admin.request(Method::HEAD, &path).await).await;
            if got.status != head.status {
                head.body = json!(format!("GET answers {}", got.status));
            }
            head
        },
        |_, answer| answer.body == Value::Null && (200..300).contains(&answer.status),
    )
    .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_told_which_it_knows() {
    let company = company().await;
    let admin = &company.administrator;
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for operation in operations() {
        known
            .entry(operation.path.clone())
            .or_default()
            .insert(operation.method.to_string());
    }
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    for operation in operations() {
        let known = &known[&operation.path];
        for method in methods.iter().filter(|method| !known.contains(**method)) {
            let method: Method = method.parse().unwrap();
            let answer = Answer::of(admin.request(method, &operation.somewhere()).await).await;
            let allowed = answer
                .header("allow")
                .split(", ")
                .map(str::to_owned)
                .collect::<BTreeSet<_>>();
            assert_eq!(answer.refused(405), "method_not_allowed", "{}", operation.path);
            assert!(allowed.is_superset(known), "{}: {allowed:?}", operation.path);
            assert_eq!(
                allowed.contains("HEAD"),
                known.contains("GET"),
                "{}",
                operation.path
            );
        }
    }
}

#[tokio::test]
async fn refusals_speak_chinese_to_whoever_asks_for_it() {
    let answer = anonymous(Method::GET, "/v1/accounts").await;
    let answer = Answer::of(answer.header("accept-language", "zh")).await;
    assert_eq!(answer.header("content-language"), "zh-CN");
    let title = answer.body["title"].as_str().unwrap();
    assert!(!title.is_ascii(), "{title}");
}

#[tokio::test]
async fn every_list_answers_in_every_order_and_with_a_total() {
    let company = company().await;
    let admin = &company.administrator;
    for resource in penstock::app::resources() {
        let path = penstock::platform::records::http::collection(resource);
        if path.contains('{') {
            continue;
        }
        for sort in penstock::platform::records::query::sort_names(resource) {
            admin
                .get(&format!("{path}?sort=-{sort}&with_total=true&limit=1"))
                .await
                .expect(200);
        }
    }
}

#[tokio::test]
async fn every_answer_of_the_document_is_what_the_server_serves() {
    let served = Answer::of(anonymous(Method::GET, "/openapi.json").await)
        .await
        .expect(200);
    assert_eq!(served, document());
}

#[test]
fn what_is_embedded_never_takes_the_place_of_a_member() {
    for resource in penstock::app::resources() {
        for name in penstock::platform::records::store::expandable_singly(resource) {
            let is_member = resource.members.iter().any(|member| member.name == name);
            assert!(!is_member, "{}: {name}", resource.singular);
        }
    }
}
