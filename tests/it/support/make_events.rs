//! A database of one's own with its company, for what concerns the whole database: duties, history, checks.

use super::db;
use diesel::QueryableByName;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use penstock::identity::bootstrap::{self, NewCompany, NewPerson};
use penstock::kernel::ctx::{ActorKind, Ctx};
use penstock::platform::auth::load_company;
use penstock::platform::db::Db;
use penstock::platform::events::Event;
use penstock::platform::reply::Reply;
use penstock::platform::{clock, migrations};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub struct Own {
    pub url: String,
    pub db: Db,
    pub tenant: Uuid,
    pub administrator: Uuid,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl Own {
    /// `sandbox_now`: where its clock stands, if it is to be a sandbox company.
    pub async fn new(sandbox_now: Option<&str>) -> Own {
        let url = db::own_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
        let db = Db::new(&url, 12).unwrap();
        let (tenant, administrator) = make_company(&db, sandbox_now).await;
        Own {
            url,
            db,
            tenant,
            administrator,
        }
    }

    /// The terms of the system in this company, now.
    pub async fn ctx(&self) -> Ctx {
        let company = Arc::new(load_company(&self.db, self.tenant).await.unwrap().unwrap());
        let now = penstock::platform::auth::business_now(&self.db, self.tenant, &company)
            .await
            .unwrap();
        Ctx::system(company, self.tenant, ActorKind::System, now, clock::real_now())
    }

    /// A command that changes nothing and writes that many events about the company.
    pub async fn write_events(&self, count: usize) {
        let ctx = self.ctx().await;
        let work = self.db.write(&ctx, async |tx| {
            for step in 0..count {
                tx.record(Event::new(
                    "export.made",
                    "export",
                    Uuid::now_v7(),
                    json!({ "step": step, "词": "中文" }),
                ));
            }
            Ok(Reply::no_content())
        });
        work.await.unwrap();
    }

    /// Does something behind the application's back.
    pub async fn tamper(&self, statements: &str) {
        self.db
            .bookkeep(async |conn| Ok(conn.batch_execute(statements).await?))
            .await
            .unwrap();
    }

    /// A statement that selects one `number`.
    pub async fn number(&self, statement: &str) -> i64 {
        self.db
            .read(async |conn| Ok(sql_query(statement).get_result::<Number>(conn).await?.number))
            .await
            .unwrap()
    }

    /// Waits until a statement that selects one `number` gives this one; half a minute at most.
    pub async fn until(&self, statement: &str, expected: i64) {
        for _ in 0..600 {
            if self.number(statement).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.number(statement).await, expected, "{statement}");
    }
}

/// A company of its own, with its administrator.
pub async fn make_company(db: &Db, sandbox_now: Option<&str>) -> (Uuid, Uuid) {
    let slug = format!("t-{}", Uuid::now_v7().simple());
    let new = NewCompany {
        name: "测试企业".to_owned(),
        slug: slug.clone(),
        time_zone: "Asia/Shanghai".to_owned(),
        currency: "CNY".to_owned(),
        locale: "en".to_owned(),
        sandbox_now: sandbox_now.map(|now| now.parse().unwrap()),
        administrator: NewPerson {
            name: "管理员".to_owned(),
            email: format!("admin@{slug}.example"),
            password: "correct horse battery staple".to_owned(),
        },
    };
    let made = bootstrap::make_company(db, &new, penstock::app::SHIPS)
        .await
        .unwrap();
    (made.tenant, made.administrator)
}
