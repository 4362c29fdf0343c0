//! Row forms that several commands of this room read.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Json, Uuid as SqlUuid};
use uuid::Uuid;

#[derive(QueryableByName)]
pub struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
}

#[derive(QueryableByName)]
pub struct CountRow {
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

#[derive(QueryableByName)]
pub struct JsonRow {
    #[diesel(sql_type = Json)]
    pub value: serde_json::Value,
}
