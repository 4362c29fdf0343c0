//! Room 4: pipelines, their versions, and what may be published.

use crate::support::app::{Answer, Company, Person, company, database, id};
use crate::support::make_pipelines::{publish, published, simple, stage_of};
use diesel::QueryableByName;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures::future::join_all;
use penstock::opportunity::SUBJECTS;
use penstock::pipeline::service;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

const TEMPLATES: [&str; 4] = [
    "five_stage_b2b",
    "eight_step_funnel",
    "lead_to_delivery",
    "six_phase",
];

fn uuid(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}

fn version_path(pipeline: &str, number: i32) -> String {
    format!("/v1/pipelines/{pipeline}/versions/{number}")
}

/// The lasting ids of a pipeline's stages (`stage`) and criteria (`stage.criterion`).
async fn ids(company: &Company, pipeline: &str) -> BTreeMap<String, Uuid> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Text)]
        key: String,
    }
    let rows: Vec<Row> = database()
        .await
        .read(async |conn| {
            let query = diesel::sql_query(
                "SELECT id, key FROM stages WHERE tenant_id = $1 AND pipeline_id = $2 \
                 UNION ALL SELECT c.id, s.key || '.' || c.key FROM criteria c JOIN stages s ON s.tenant_id = c.tenant_id AND s.id = c.stage_id \
                 WHERE s.tenant_id = $1 AND s.pipeline_id = $2",
            );
            Ok(query
                .bind::<SqlUuid, _>(company.tenant)
                .bind::<SqlUuid, _>(pipeline.parse::<Uuid>().unwrap())
                .load(conn)
                .await?)
        })
        .await
        .unwrap();
    rows.into_iter().map(|row| (row.key, row.id)).collect()
}

#[tokio::test]
async fn each_shipped_template_is_created_and_published_and_the_first_pipeline_is_the_default() {
    let company = company().await;
    let admin = &company.administrator;
    let listed = admin.get("/v1/pipeline-templates").await.expect(200);
    let templates = listed["data"].as_array().unwrap();
    let keys = templates.iter().map(|template| template["key"].as_str().unwrap());
    assert_eq!(keys.collect::<Vec<_>>(), TEMPLATES);
    let processes = admin.get("/v1/approval-process-templates").await.expect(200);
    for shipped in processes["data"].as_array().unwrap() {
        let process = json!({ "template": shipped["key"] });
        let made = admin.post("/v1/approval-processes", process).await.expect(201);
        let path = format!("/v1/approval-processes/{}/versions/1/publish", id(&made));
        admin.post(&path, json!({})).await.expect(200);
    }
    for (place, template) in templates.iter().enumerate() {
        let made = admin
            .post("/v1/pipelines", json!({ "template": template["key"] }))
            .await;
        let location = made.header("location").to_owned();
        let pipeline = made.expect(201);
        assert_eq!(pipeline["warnings"], json!(null));
        assert_eq!(pipeline["is_default"], json!(place == 0));
        assert_eq!(
            (&pipeline["published_number"], &pipeline["draft_number"]),
            (&json!(null), &json!(1))
        );
        let version = publish(admin, &id(&pipeline), 1).await;
        assert_eq!(version["state"], "published");
        let now = admin.get(&location).await.expect(200);
        assert_eq!(
            (&now["published_number"], &now["draft_number"]),
            (&json!(1), &json!(null))
        );
        assert_eq!(now["published_version_id"], version["id"]);
    }
    let again = admin
        .post("/v1/pipelines", json!({ "template": "six_phase" }))
        .await;
    assert_eq!(again.refused(409), "duplicate");
    assert_eq!(again.faults(), [("/template".to_owned(), "duplicate".to_owned())]);
}

#[rstest]
#[case(json!({}), "/document", "required")]
#[case(json!({ "template": "seven_phase" }), "/template", "not_found")]
#[case(json!({ "template": "six_phase", "document": simple("x", &["a"]) }), "/template", "invalid")]
#[case(json!({ "document": { "key": "Ä", "name": "x", "stages": [] } }), "/document/key", "wrong_form")]
#[case(json!({ "document": { "key": "x", "name": "x", "stages": [{ "key": "a", "name": "a", "probability": "2" }] } }), "/document/stages/0/probability", "wrong_form")]
#[tokio::test]
async fn a_pipeline_is_made_of_a_document_or_a_template(
    #[case] body: Value,
    #[case] pointer: &str,
    #[case] code: &str,
) {
    let company = company().await;
    let refused = company.administrator.post("/v1/pipelines", body).await;
    assert_eq!(refused.refused(422), "invalid");
    assert_eq!(refused.faults(), [(pointer.to_owned(), code.to_owned())]);
}

fn faulty() -> Value {
    let mut document = simple("faulty", &["a", "b", "c"]);
    document["stages"][0]["next"] = json!(["c"]);
    document["stages"][1]["gate"] =
        json!({ "kind": "approval", "key": "a", "label": "审批", "process": "nobody" });
    document["stages"][2]["next"] = json!(["a"]);
    document["stages"][2]["gate"] = json!({ "kind": "all", "of": [
        { "kind": "field", "key": "f", "label": "金额", "expression": "amont > 1" },
        { "kind": "record", "key": "r", "label": "底线", "of": "negotiation_record", "where": "our_floor != null" },
    ] });
    document
}

#[tokio::test]
async fn everything_that_keeps_a_draft_from_being_published_is_named_at_once() {
    let company = company().await;
    let admin = &company.administrator;
    let made = admin.post("/v1/pipelines", json!({ "document": faulty() })).await;
    let pipeline = made.expect(201);
    let expected = [
        ("/stages", "no_final_stage"),
        ("/stages/1", "unreachable"),
        ("/stages/1/gate/process", "unknown_process"),
        ("/stages/2/gate/of/0/expression", "unknown_member"),
        ("/stages/2/gate/of/1/where", "unknown_member"),
        ("/stages/2/next/0", "backward_edge"),
    ]
    .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
    let path = version_path(&id(&pipeline), 1);
    let refused = admin.post(&format!("{path}/publish"), json!({})).await;
    assert_eq!(refused.refused(422), "not_publishable");
    assert_eq!(refused.faults(), expected);
    let named = |found: &Value| {
        let text = |fault: &Value, member: &str| fault[member].as_str().unwrap().to_owned();
        let mut found = found
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| (text(fault, "pointer"), text(fault, "code")))
            .collect::<Vec<_>>();
        found.sort();
        found
    };
    assert_eq!(named(&pipeline["warnings"]), expected);
    let checked = admin.post(&format!("{path}/check"), json!({})).await.expect(200);
    assert_eq!(checked["is_publishable"], false);
    assert_eq!(named(&checked["faults"]), expected);
    let read = admin.get(&format!("{path}?expand=faults")).await.expect(200);
    assert_eq!(named(&read["faults"]), expected);
    assert_eq!(admin.get(&path).await.expect(200)["state"], "draft");
}

#[tokio::test]
async fn a_condition_may_read_the_custom_fields_of_the_deal_and_its_account() {
    let company = company().await;
    let admin = &company.administrator;
    let mut document = simple("fields", &["a"]);
    document["stages"][0]["gate"] = json!({ "kind": "field", "key": "f", "label": "f", "expression": "custom.users > 10 && account.custom.rank == \"A\"" });
    let made = admin.post("/v1/pipelines", json!({ "document": document })).await;
    let pipeline = id(&made.expect(201));
    let path = format!("{}/publish", version_path(&pipeline, 1));
    assert_eq!(admin.post(&path, json!({})).await.refused(422), "not_publishable");
    for (resource, key, kind) in [("opportunity", "users", "number"), ("account", "rank", "text")] {
        let field = json!({ "resource": resource, "key": key, "label": key, "kind": kind });
        admin.post("/v1/field-definitions", field).await.expect(201);
    }
    publish(admin, &pipeline, 1).await;
}

#[tokio::test]
async fn a_pipeline_that_has_a_draft_now_is_not_what_a_caller_read_before() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, simple("p", &["a", "b"])).await;
    let path = format!("/v1/pipelines/{pipeline}");
    let tag = admin.get(&path).await.header("etag").to_owned();
    let known = async || {
        let request = admin.request(Method::GET, &path).await;
        Answer::of(request.header("if-none-match", &tag)).await
    };
    assert_eq!(known().await.status, 304);
    let begun = admin.post(&format!("{path}/versions"), json!({})).await;
    begun.expect(201);
    assert_eq!(known().await.expect(200)["draft_number"], 2);
}

#[tokio::test]
async fn a_published_version_never_changes_and_a_new_draft_begins_as_its_copy() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, simple("p", &["a", "b"])).await;
    let first = version_path(&pipeline, 1);
    let before = admin.get(&first).await.expect(200);
    let other = json!({ "document": simple("p", &["a", "b", "c"]) });
    assert_eq!(
        admin.put(&first, other.clone()).await.refused(409),
        "version_published"
    );
    let again = admin.post(&format!("{first}/publish"), json!({})).await;
    assert_eq!(again.refused(409), "version_published");
    assert_eq!(admin.get(&first).await.expect(200), before);

    let versions = format!("/v1/pipelines/{pipeline}/versions");
    let draft = admin.post(&versions, json!({})).await;
    assert_eq!(draft.header("location"), version_path(&pipeline, 2));
    let draft = draft.expect(201);
    assert_eq!(draft["document"], before["document"]);
    // A stage is the same through all versions.
    let keys = before["document"]["stages"].as_array().unwrap().iter();
    let keys = keys.map(|stage| stage["key"].as_str().unwrap());
    assert!(keys.clone().all(|key| before["stage_ids"][key].is_string()));
    assert_eq!(before["stage_ids"].as_object().unwrap().len(), keys.count());
    assert_eq!(draft["stage_ids"], before["stage_ids"]);
    assert_eq!(admin.post(&versions, json!({})).await.refused(409), "conflict");
    let renamed = json!({ "document": simple("q", &["a"]) });
    let refused = admin.put(&version_path(&pipeline, 2), renamed).await;
    assert_eq!(
        refused.faults(),
        [("/document/key".to_owned(), "invalid".to_owned())]
    );
    let edited = admin.put(&version_path(&pipeline, 2), other.clone()).await;
    assert_eq!(edited.header("etag"), "\"2\"");
    let stale = admin
        .request(Method::PUT, &version_path(&pipeline, 2))
        .await
        .header("if-match", "\"1\"")
        .json(&other);
    assert_eq!(Answer::of(stale).await.refused(412), "stale");

    publish(admin, &pipeline, 2).await;
    let retired = admin.get(&first).await.expect(200);
    assert_eq!(retired["state"], "retired");
    assert_eq!(
        (&retired["document"], &retired["document_hash"]),
        (&before["document"], &before["document_hash"])
    );
    let listed = admin
        .get(&format!("{versions}?with_total=true&limit=1"))
        .await
        .expect(200);
    assert_eq!(
        (&listed["data"][0]["number"], &listed["total"]),
        (&json!(2), &json!(2))
    );
    let older = admin.get(&format!("{versions}?state=retired")).await.expect(200);
    assert_eq!(older["data"][0]["document_hash"], before["document_hash"]);
    let copy = admin
        .post(&versions, json!({ "from_number": 1 }))
        .await
        .expect(201);
    assert_eq!(
        (&copy["number"], &copy["document"]),
        (&json!(3), &before["document"])
    );
}

#[tokio::test]
async fn a_stage_and_a_criterion_keep_their_ids_through_all_versions() {
    let company = company().await;
    let admin = &company.administrator;
    let gate = |key: &str| json!({ "kind": "check", "key": key, "label": key });
    let mut document = simple("stable", &["a", "b"]);
    document["stages"][0]["gate"] = gate("agreed");
    let pipeline = published(admin, document.clone()).await;
    let before = ids(&company, &pipeline).await;
    assert_eq!(before.keys().collect::<Vec<_>>(), ["a", "a.agreed", "b"]);

    document["stages"] = json!([stage_of("new"), document["stages"][0], document["stages"][1]]);
    document["stages"][2]["gate"] = gate("signed");
    let versions = format!("/v1/pipelines/{pipeline}/versions");
    admin
        .post(&versions, json!({ "document": document }))
        .await
        .expect(201);
    let second = publish(admin, &pipeline, 2).await;
    let after = ids(&company, &pipeline).await;
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        ["a", "a.agreed", "b", "b.signed", "new"]
    );
    assert!(before.iter().all(|(key, id)| after[key] == *id));

    let definition = database()
        .await
        .read(async |conn| service::definition(conn, &SUBJECTS, company.tenant, uuid(&second["id"])).await)
        .await
        .unwrap();
    let steps = definition.course.steps();
    let laid_out = steps.iter().map(|step| (step.key.as_str(), step.id));
    assert_eq!(
        laid_out.collect::<Vec<_>>(),
        ["new", "a", "b"].map(|key| (key, after[key]))
    );
    let stage = definition.stage(after["a"]).unwrap();
    assert_eq!(stage.criteria["agreed"], after["a.agreed"]);
    assert!(!stage.gate.is_empty());
}

#[tokio::test]
async fn deals_enter_the_published_version_of_the_pipeline_named_or_of_the_default_one() {
    let company = company().await;
    let admin = &company.administrator;
    let entered = async |pipeline: Option<&str>| {
        let pipeline = pipeline.map(|id| id.parse().unwrap());
        let db = database().await;
        let found = db
            .read(async |conn| service::published(conn, &SUBJECTS, company.tenant, pipeline).await)
            .await;
        match found {
            Ok(definition) => Ok((definition.document.key.clone(), definition.number)),
            Err(error) => Err(error.to_refusal().faults[0].code),
        }
    };
    assert_eq!(entered(None).await, Err("required"));
    assert_eq!(entered(Some(&Uuid::now_v7().to_string())).await, Err("not_found"));
    let made = admin
        .post("/v1/pipelines", json!({ "document": simple("one", &["a"]) }))
        .await;
    let one = id(&made.expect(201));
    assert_eq!(entered(None).await, Err("not_published"));
    publish(admin, &one, 1).await;
    let two = published(admin, simple("two", &["a"])).await;
    assert_eq!(entered(None).await, Ok(("one".to_owned(), 1)));
    assert_eq!(entered(Some(&two)).await, Ok(("two".to_owned(), 1)));

    let becomes_default = json!({ "is_default": true });
    admin
        .patch(&format!("/v1/pipelines/{two}"), becomes_default)
        .await
        .expect(200);
    assert_eq!(entered(None).await, Ok(("two".to_owned(), 1)));
    let former = admin.get(&format!("/v1/pipelines/{one}")).await.expect(200);
    assert_eq!(former["is_default"], false);
    let default = admin.delete(&format!("/v1/pipelines/{two}")).await;
    assert_eq!(
        default.refused(409),
        "in_use",
        "another is to be the default first"
    );
    admin
        .patch(&format!("/v1/pipelines/{two}"), json!({ "is_default": false }))
        .await
        .expect(200);
    admin.delete(&format!("/v1/pipelines/{two}")).await.expect(200);
    assert_eq!(entered(None).await, Err("required"));
    // What the company has no default of, no later one becomes unasked, nor one that deals cannot enter.
    let three = json!({ "document": simple("three", &["a"]) });
    let three = id(&admin.post("/v1/pipelines", three).await.expect(201));
    assert_eq!(entered(None).await, Err("required"));
    let early = json!({ "is_default": true });
    let early = admin.patch(&format!("/v1/pipelines/{three}"), early).await;
    assert_eq!(
        early.faults(),
        [("/is_default".to_owned(), "not_published".to_owned())]
    );
    let archived = admin
        .post(&format!("/v1/pipelines/{two}/versions"), json!({}))
        .await;
    assert_eq!(archived.refused(409), "archived");
}

#[tokio::test]
async fn what_was_exported_is_imported_equal_and_is_valid_by_the_published_schema() {
    let (one, other) = (company().await, company().await);
    let schema = one.administrator.get("/v1/schemas/pipeline").await.expect(200);
    let schema = penstock::platform::contract::compile(&schema).unwrap();
    for template in TEMPLATES {
        let made = one
            .administrator
            .post("/v1/pipelines", json!({ "template": template }))
            .await;
        let path = format!("/v1/pipelines/{}/export", id(&made.expect(201)));
        let exported = one.administrator.get(&path).await.expect(200);
        assert!(schema.is_valid(&exported), "{template}");
        let made = other
            .administrator
            .post("/v1/pipelines", json!({ "document": exported }))
            .await;
        let path = format!("/v1/pipelines/{}/export", id(&made.expect(201)));
        assert_eq!(other.administrator.get(&path).await.expect(200), exported);
    }
    assert!(!schema.is_valid(&json!({ "key": "x", "name": "x", "stages": [], "more": 1 })));
}

#[tokio::test]
async fn of_several_publishes_at_once_one_wins_and_one_version_is_published() {
    let company = company().await;
    let admin = &company.administrator;
    let pipeline = published(admin, simple("race", &["a"])).await;
    let versions = format!("/v1/pipelines/{pipeline}/versions");
    let drafts = join_all((0..8).map(|_| admin.post(&versions, json!({})))).await;
    let made = drafts.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    assert!(
        drafts
            .iter()
            .filter(|answer| answer.status != 201)
            .all(|answer| answer.refused(409) == "conflict")
    );
    let path = format!("{}/publish", version_path(&pipeline, 2));
    let answers = join_all((0..8).map(|_| admin.post(&path, json!({})))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let refused = answers.iter().filter(|answer| answer.status != 200);
    assert!(
        refused
            .into_iter()
            .all(|answer| answer.refused(409) == "version_published")
    );
    let listed = admin
        .get(&format!("{versions}?state=published"))
        .await
        .expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn of_several_first_pipelines_at_once_one_is_the_default() {
    let company = company().await;
    let admin = &company.administrator;
    let bodies = (0..6).map(|place| json!({ "document": simple(&format!("p{place}"), &["a"]) }));
    let made = join_all(bodies.map(|body| admin.post("/v1/pipelines", body))).await;
    let defaults = made
        .into_iter()
        .filter(|answer| answer.status == 201 && answer.body["is_default"] == true)
        .count();
    assert_eq!(defaults, 1);
    let listed = admin.get("/v1/pipelines?is_default=true").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_dry_run_publishes_nothing_and_leaves_nothing_behind() {
    let company = company().await;
    let admin = &company.administrator;
    let made = admin
        .post("/v1/pipelines", json!({ "document": simple("dry", &["a"]) }))
        .await;
    let pipeline = id(&made.expect(201));
    let path = format!("{}/publish", version_path(&pipeline, 1));
    let dry = admin
        .request(Method::POST, &path)
        .await
        .header("prefer", "dry-run");
    assert_eq!(Answer::of(dry).await.expect(200)["state"], "published");
    assert_eq!(
        admin.get(&version_path(&pipeline, 1)).await.expect(200)["state"],
        "draft"
    );
    assert!(ids(&company, &pipeline).await.is_empty());
}

#[tokio::test]
async fn a_salesperson_reads_pipelines_but_neither_edits_nor_publishes_them() {
    let company = company().await;
    let admin = &company.administrator;
    let seller = company.member("销售李", "sales_representative").await;
    let made = admin
        .post("/v1/pipelines", json!({ "document": simple("p", &["a"]) }))
        .await;
    let pipeline = id(&made.expect(201));
    let path = version_path(&pipeline, 1);
    seller.get(&path).await.expect(200);
    seller
        .get(&format!("/v1/pipelines/{pipeline}/export"))
        .await
        .expect(200);
    let document = simple("p", &["a", "b"]);
    let refusals = [
        seller
            .post("/v1/pipelines", json!({ "template": "six_phase" }))
            .await,
        seller
            .post(&format!("/v1/pipelines/{pipeline}/versions"), json!({}))
            .await,
        seller.put(&path, json!({ "document": document })).await,
        seller.post(&format!("{path}/publish"), json!({})).await,
        seller
            .patch(
                &format!("/v1/pipelines/{pipeline}"),
                json!({ "is_default": false }),
            )
            .await,
    ];
    for refused in refusals {
        assert_eq!(refused.refused(403), "forbidden");
    }
}

#[tokio::test]
async fn nothing_of_a_pipeline_is_visible_to_another_company() {
    let (company, stranger) = (company().await, company().await);
    let pipeline = published(&company.administrator, simple("p", &["a"])).await;
    let stranger: &Person = &stranger.administrator;
    let path = version_path(&pipeline, 1);
    let collection = format!("/v1/pipelines/{pipeline}");
    let answers = [
        stranger.get(&collection).await,
        stranger.get(&path).await,
        stranger.get(&format!("{collection}/versions")).await,
        stranger.get(&format!("{collection}/export")).await,
        stranger
            .put(&path, json!({ "document": simple("p", &["a"]) }))
            .await,
        stranger.post(&format!("{path}/check"), json!({})).await,
        stranger.post(&format!("{path}/publish"), json!({})).await,
        stranger.post(&format!("{collection}/versions"), json!({})).await,
    ];
    for answer in answers {
        assert_eq!(answer.refused(404), "not_found");
    }
    assert_eq!(stranger.get("/v1/pipelines").await.expect(200)["data"], json!([]));
}
