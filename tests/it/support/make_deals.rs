//! Deals, their pipelines and people, made for tests.

use super::app::{Answer, CREATED, Company, Person, account, database, id};
use super::make_pipelines::published;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

/// Two stages: the first behind three sub-goals (a tick, a field, a record), the second simple and final.
pub fn gated() -> Value {
    json!({
        "key": "gated", "name": "三项条件", "stages": [
            { "key": "qualify", "name": "资格审查", "probability": "0.1000", "gate": { "kind": "all", "of": [
                { "kind": "check", "key": "intent", "label": "客户确认意向" },
                { "kind": "field", "key": "amount_known", "label": "已填写金额", "expression": "amount > 0" },
                { "kind": "record", "key": "decider", "label": "已找到决策人", "of": "decision_chain_member", "where": "role == \"decision_maker\"" }
            ] } },
            { "key": "close", "name": "成交", "probability": "0.9000" }
        ]
    })
}

/// Three stages without gates.
pub fn plain() -> Value {
    let stage = |key: &str, probability: &str| json!({ "key": key, "name": key, "probability": probability });
    json!({ "key": "plain", "name": "简单", "stages": [stage("one", "0.1"), stage("two", "0.6"), stage("three", "0.9")] })
}

/// A stage that asks for one approval by itself and moves on with it, then a simple one.
pub fn approved(process: &str) -> Value {
    json!({
        "key": "approved", "name": "审批", "stages": [
            { "key": "contract", "name": "合同", "probability": "0.9", "asks_approval_by_itself": true, "advances_when_approved": true,
              "gate": { "kind": "all", "of": [
                { "kind": "check", "key": "agreed", "label": "条款已确认" },
                { "kind": "approval", "key": "boss", "label": "总经理批准", "process": process }
              ] } },
            { "key": "sign", "name": "签约", "probability": "0.95" }
        ]
    })
}

/// A published approval process in which one person decides.
pub async fn process(admin: &Person, key: &str, approver: &Person) {
    let document = json!({
        "key": key, "name": "审批", "subject_kind": "opportunity",
        "steps": [{ "key": "boss", "name": "总经理", "position": 1, "mode": "any", "approvers": [{ "kind": "users", "user_ids": [approver.id] }] }]
    });
    let made = admin
        .post("/v1/approval-processes", json!({ "document": document }))
        .await;
    let process = id(&made.expect(CREATED));
    let path = format!("/v1/approval-processes/{process}/versions/1/publish");
    admin.post(&path, json!({})).await.expect(200);
}

/// A deal of an amount, owned by this person.
pub async fn deal(person: &Person, pipeline: &str, amount: Option<&str>) -> Value {
    let account_id = account(person, "示例科技").await;
    let body = json!({ "name": "采购", "account_id": account_id, "pipeline_id": pipeline, "amount": amount });
    person.post("/v1/opportunities", body).await.expect(CREATED)
}

/// A deal in a new pipeline of that document.
pub async fn deal_in(company: &Company, person: &Person, document: Value) -> Value {
    let pipeline = published(&company.administrator, document).await;
    deal(person, &pipeline, None).await
}

pub fn path(deal: &Value, verb: &str) -> String {
    format!("/v1/opportunities/{}/{verb}", id(deal))
}

/// Advances out of the stage that `seen` shows.
pub async fn advance(person: &Person, seen: &Value) -> Answer {
    person
        .post(
            &path(seen, "advance"),
            json!({ "from_stage_id": seen["stage_id"] }),
        )
        .await
}

pub async fn read(person: &Person, deal: &Value) -> Value {
    person
        .get(&format!("/v1/opportunities/{}", id(deal)))
        .await
        .expect(200)
}

pub async fn gate(person: &Person, deal: &Value) -> Value {
    person.get(&path(deal, "gate")).await.expect(200)
}

/// The criterion of that key, wherever it stands in a tree.
pub fn criterion<'a>(tree: &'a Value, key: &str) -> Option<&'a Value> {
    if tree["key"] == key {
        return Some(tree);
    }
    let nodes = tree["of"].as_array()?;
    nodes.iter().find_map(|node| criterion(node, key))
}

/// Kinds of the moves of a deal, in order.
pub async fn moves(person: &Person, deal: &Value) -> Vec<String> {
    let list = person.get(&path(deal, "transitions")).await.expect(200);
    let kind = |row: &Value| row["kind"].as_str().unwrap().to_owned();
    list["data"].as_array().unwrap().iter().map(kind).collect()
}

/// Makes somebody a participant of a deal.
pub async fn invite(company: &Company, deal: &Value, person: &Person, access: &str) {
    let deal: uuid::Uuid = id(deal).parse().unwrap();
    database()
        .await
        .read(async |conn| {
            diesel::sql_query(
                "INSERT INTO participants (tenant_id, id, record_kind, record_id, user_id, access, created_at, updated_at) \
                 VALUES ($1, gen_random_uuid(), 'opportunity', $2, $3, $4, now(), now())",
            )
            .bind::<SqlUuid, _>(company.tenant)
            .bind::<SqlUuid, _>(deal)
            .bind::<SqlUuid, _>(person.id)
            .bind::<Text, _>(access)
            .execute(conn)
            .await?;
            Ok(())
        })
        .await
        .unwrap();
}
