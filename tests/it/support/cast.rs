//! The people of approvals, and what a test does behind the API's back.

use super::app::{Company, Person, company, database};
use super::make_approvals::{process, published, step, terms};
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use penstock::approval::{queries, state};
use penstock::kernel::error::AppResult;
use penstock::platform::db::{Db, Tx};
use penstock::platform::reply::Reply;
use serde_json::{Value, json};
use uuid::Uuid;

/// Runs a statement over the company (`$1`) with a text (`$2`).
pub async fn execute(company: &Company, statement: &str, text: &str) {
    let db = database().await;
    let ctx = terms(company, company.administrator.id).await;
    db.write(&ctx, async |tx| {
        diesel::sql_query(statement)
            .bind::<SqlUuid, _>(company.tenant)
            .bind::<Text, _>(text)
            .execute(&mut **tx)
            .await?;
        Ok(Reply::no_content())
    })
    .await
    .unwrap();
}

/// Does something in the company's name, in one transaction.
pub async fn as_system(
    company: &Company,
    work: impl AsyncFn(&mut Tx, &penstock::kernel::ctx::Ctx) -> AppResult<Value>,
) -> Value {
    let db: Db = database().await;
    let ctx = terms(company, Uuid::nil()).await;
    let reply = db
        .write(&ctx, async |tx| {
            let value = work(tx, &ctx).await?;
            Reply::ok(&value)
        })
        .await
        .unwrap();
    serde_json::from_slice(&reply.body).unwrap()
}

/// What is stored must be what follows from the recorded acts alone.
pub async fn follows_from_its_acts(company: &Company, request: &str) {
    let db = database().await;
    let id = request.parse().unwrap();
    let (loaded, acts) = db
        .snapshot(async |conn| {
            let conn = &mut &*conn;
            let loaded = queries::load(conn, company.tenant, id).await?;
            Ok((loaded, queries::acts(conn, company.tenant, id).await?))
        })
        .await
        .unwrap();
    let acts = acts
        .into_iter()
        .map(|act| act.read().unwrap())
        .collect::<Vec<_>>();
    let replayed = state::replay(&loaded.process, loaded.state.parties, &loaded.state.steps, &acts);
    assert_eq!(replayed, loaded.state);
}

/// A seller, and the three who decide.
pub struct Cast {
    pub company: Company,
    pub seller: Person,
    pub manager: Person,
    pub legal: Person,
    pub head: Person,
}

pub async fn cast() -> Cast {
    let company = company().await;
    Cast {
        seller: company.member("李销售", "sales_representative").await,
        manager: company.member("陈经理", "sales_lead").await,
        legal: company.member("周法务", "legal").await,
        head: company.member("吴总", "general_manager").await,
        company,
    }
}

impl Cast {
    pub async fn three_in_turn(&self) {
        let steps = json!([
            step("manager", 1, "any", &[&self.manager]),
            step("legal", 2, "any", &[&self.legal]),
            step("head", 3, "any", &[&self.head]),
        ]);
        published(&self.company, process("in_turn", steps)).await;
    }

    /// A process of one step that asks manager, legal and head.
    pub async fn together(&self, mode: &str, quorum: Option<i32>) {
        let mut only = step("all", 1, mode, &[&self.manager, &self.legal, &self.head]);
        only["quorum"] = json!(quorum);
        published(&self.company, process("together", json!([only]))).await;
    }
}
