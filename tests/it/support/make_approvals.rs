//! Approval processes and requests for tests: processes through the API, requests as a subject's room asks for them.

use super::app::{Answer, Company, Person, database, id};
use penstock::app::SUBJECTS;
use penstock::approval::definition::SubjectKind;
use penstock::approval::service::{self, NewRequest, Process};
use penstock::kernel::ctx::{ActorKind, Ctx};
use penstock::kernel::error::AppResult;
use penstock::platform::reply::Reply;
use penstock::platform::{auth, clock};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// A document for subjects of the kind `lead`, bound to amount and need.
pub fn process(key: &str, steps: Value) -> Value {
    json!({ "key": key, "name": "审批", "subject_kind": "lead", "content": ["amount", "currency", "need"], "steps": steps })
}

/// A step that asks these people.
pub fn step(key: &str, position: i32, mode: &str, people: &[&Person]) -> Value {
    let people = people.iter().map(|person| person.id).collect::<Vec<_>>();
    json!({ "key": key, "name": key, "position": position, "mode": mode, "approvers": [{ "kind": "users", "user_ids": people }] })
}

/// Makes a process and publishes it; answers its id.
pub async fn published(company: &Company, document: Value) -> String {
    let admin = &company.administrator;
    let made = admin
        .post("/v1/approval-processes", json!({ "document": document }))
        .await
        .expect(201);
    let process = id(&made);
    admin
        .post(
            &format!("/v1/approval-processes/{process}/versions/1/publish"),
            json!({}),
        )
        .await
        .expect(200);
    process
}

/// What is asked about.
#[derive(Clone)]
pub struct Ask {
    pub process: &'static str,
    pub subject: Uuid,
    pub visit: Option<Uuid>,
    pub owner: Option<Uuid>,
    pub amount: &'static str,
    pub currency: Option<&'static str>,
}

impl Ask {
    /// A new subject worth 100,000 of the company's currency.
    pub fn of(process: &'static str) -> Ask {
        Ask {
            process,
            subject: Uuid::now_v7(),
            visit: Some(Uuid::now_v7()),
            owner: None,
            amount: "100000",
            currency: None,
        }
    }

    pub fn snapshot(&self) -> Value {
        json!({ "name": "王芳", "need": "设备监控", "amount": self.amount, "currency": self.currency.unwrap_or("CNY") })
    }
}

/// The terms under which somebody acts, at the company's present instant.
pub async fn terms(company: &Company, user: Uuid) -> Ctx {
    let db = database().await;
    let settings = auth::load_company(&db, company.tenant).await.unwrap().unwrap();
    let now = auth::business_now(&db, company.tenant, &settings).await.unwrap();
    let system = Ctx::system(
        Arc::new(settings),
        company.tenant,
        ActorKind::User,
        now,
        clock::real_now(),
    );
    Ctx {
        user,
        actor_id: Some(user),
        ..system
    }
}

/// Asks as the room of the subject does; answers the request's id.
pub async fn try_ask(company: &Company, requester: &Person, ask: &Ask) -> AppResult<String> {
    let ctx = terms(company, requester.id).await;
    let reply = database()
        .await
        .write(&ctx, async |tx| {
            let new = NewRequest {
                process: Process::Key(ask.process.to_owned()),
                subject_kind: SubjectKind::Lead,
                subject_id: ask.subject,
                owner_id: ask.owner,
                visit_id: ask.visit,
                criterion_id: None,
                snapshot: ask.snapshot(),
                amount: Some(ask.amount.parse::<Decimal>().unwrap()),
                currency: ask.currency.map(str::to_owned),
                advances_when_granted: false,
                advances_to_id: None,
                comment: Some("请审批".to_owned()),
            };
            let row = service::request(tx, &ctx, SUBJECTS, new).await?;
            Reply::ok(&json!({ "id": row.id }))
        })
        .await?;
    Ok(id(&serde_json::from_slice(&reply.body).unwrap()))
}

/// As [`try_ask`]; it must succeed.
pub async fn ask(company: &Company, requester: &Person, ask: &Ask) -> String {
    try_ask(company, requester, ask).await.unwrap()
}

impl Person {
    /// Does something in a request.
    pub async fn act(&self, request: &str, verb: &str, body: Value) -> Answer {
        self.post(&format!("/v1/approval-requests/{request}/{verb}"), body)
            .await
    }

    /// Approves with a word.
    pub async fn approve(&self, request: &str) -> Answer {
        self.act(request, "approve", json!({ "opinion": "同意" })).await
    }

    /// A request as this person sees it.
    pub async fn sees(&self, request: &str) -> Value {
        self.get(&format!("/v1/approval-requests/{request}"))
            .await
            .expect(200)
    }
}

/// The keys and states of the steps of a request.
pub fn steps(request: &Value) -> Vec<(String, String)> {
    let text = |step: &Value, member: &str| step[member].as_str().unwrap().to_owned();
    let steps = request["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| (text(step, "key"), text(step, "state")))
        .collect()
}

/// Who can decide now, sorted.
pub fn waiting(request: &Value) -> Vec<Uuid> {
    let people = request["waiting_for"].as_array().unwrap();
    let mut ids = people
        .iter()
        .map(|person| person["id"].as_str().unwrap().parse().unwrap())
        .collect::<Vec<Uuid>>();
    ids.sort();
    ids
}
