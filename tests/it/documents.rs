//! Records as the database writes them.

use crate::support::app::{CREATED, company, database};
use crate::support::make_crm::source;
use crate::support::make_deals::{deal_in, plain};
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use penstock::app;
use penstock::platform::db::Db;
use penstock::platform::records::{Access, Kind, Resource, sql};
use serde_json::json;
use uuid::Uuid;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Records of which Postgres' own rendering says something else, of how many.
async fn differing(db: &Db, tenant: Uuid, resource: &'static Resource) -> (i64, i64) {
    let (text, whole) = (sql::whole_document(resource), sql::whole_json(resource));
    let count = async |condition: &str| {
        let statement = format!(
            "SELECT count(*) AS number FROM {} t WHERE t.tenant_id = $1 AND {condition}",
            resource.table
        );
        let found = db.read(async |conn| {
            let query = sql_query(&statement).bind::<SqlUuid, _>(tenant);
            Ok(query.get_result::<Number>(conn).await?.number)
        });
        found
            .await
            .unwrap_or_else(|error| panic!("{}: {error:?}", resource.singular))
    };
    // What only conditions ask for stands in the larger document alone.
    let asked = resource.members.iter().filter(|member| member.is_asked_only);
    let asked = asked.map(|member| member.name).collect::<Vec<_>>().join(",");
    let condition = match asked.as_str() {
        "" => format!("{text} IS DISTINCT FROM {whole}::text"),
        asked => format!("{text}::jsonb IS DISTINCT FROM {whole}::jsonb - '{{{asked}}}'::text[]"),
    };
    (count(&condition).await, count("TRUE").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_written_as_postgres_itself_would_write_it() {
    let firm = company().await;
    let admin = &firm.administrator;
    let odd = "\"引号\" \\ back\\slash, tab\t, line\nbreak, bell\u{7}, \u{1F600}, /, é";
    let account = json!({ "name": odd, "tags": ["a \"b\"", "逗号,", "null"] });
    admin.post("/v1/accounts", account).await.expect(CREATED);
    let lead = json!({ "name": odd, "need": odd, "email": "a@example.com", "budget_amount": "12.50", "expected_need_on": "2024-03-15" });
    admin.post("/v1/leads", lead).await.expect(CREATED);
    deal_in(&firm, admin, plain()).await;
    source(admin, json!({ "required_members": ["phone", "company"] })).await;

    let db = database().await;
    let mut seen = Vec::new();
    for resource in app::resources() {
        let (differing, all) = differing(&db, firm.tenant, resource).await;
        assert_eq!(differing, 0, "{}", resource.singular);
        if all > 0 {
            seen.push(resource.singular);
        }
    }
    for needed in ["account", "lead", "lead_source", "opportunity", "user", "role"] {
        assert!(seen.contains(&needed), "no {needed} among {seen:?}");
    }
}

/// What a document writes without asking whether it is there must be there.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_never_null_stands_in_a_column_that_is_never_null() {
    let db = database().await;
    let mut nullable = Vec::new();
    for resource in app::resources() {
        if matches!(resource.access, Access::Derived) {
            continue;
        }
        // Of free JSON it is asked.
        let members = resource.columns().filter(|member| member.kind != Kind::Json);
        for member in members.filter(|member| !member.is_nullable()) {
            let found = db.read(async |conn| {
                let query = sql_query(
                    "SELECT count(*) AS number FROM pg_attribute \
                     WHERE attrelid = $1::text::regclass AND attname = $2 AND attnotnull",
                );
                let query = query.bind::<Text, _>(resource.table).bind::<Text, _>(member.name);
                Ok(query.get_result::<Number>(conn).await?.number)
            });
            if found.await.unwrap() != 1 {
                nullable.push(format!("{}.{}", resource.table, member.name));
            }
        }
    }
    assert!(nullable.is_empty(), "{nullable:?}");
}
