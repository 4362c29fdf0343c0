//! The company's own fields as filters need them: archived ones too, and whether their typed copy is complete.

use crate::kernel::error::AppResult;
use crate::platform::db::Cached;
use diesel::sql_types::{Array, Bool, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// One of the company's own fields.
#[derive(Debug, Clone, QueryableByName)]
pub struct Field {
    /// The resource that has it.
    #[diesel(sql_type = Text)]
    pub resource: String,
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    pub choices: Option<Vec<String>>,
    #[diesel(sql_type = Bool)]
    pub is_filterable: bool,
    #[diesel(sql_type = Bool)]
    pub is_archived: bool,
    /// Whether every record's value stands in the typed copy.
    #[diesel(sql_type = Bool)]
    pub is_indexed: bool,
}

/// The fields of some resources.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub Vec<Field>);

impl Fields {
    pub fn find(&self, resource: &str, key: &str) -> Option<&Field> {
        self.0
            .iter()
            .find(|field| field.resource == resource && field.key == key)
    }

    /// The fields of these resources; nothing is asked when there are none.
    ///
    /// # Errors
    /// Database errors.
    pub async fn of(conn: &mut &AsyncPgConnection, tenant: Uuid, resources: &[&str]) -> AppResult<Fields> {
        if resources.is_empty() {
            return Ok(Fields::default());
        }
        let query = sql_query(
            "SELECT resource, key, kind, choices, is_filterable, archived_at IS NOT NULL AS is_archived, \
             is_filterable AND indexed_at IS NOT NULL AS is_indexed FROM field_definitions \
             WHERE tenant_id = $1 AND resource = ANY($2)",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Array<Text>, _>(resources.to_vec());
        Ok(Fields(Cached(query).load(conn).await?))
    }
}
