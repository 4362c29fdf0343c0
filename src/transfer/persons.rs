//! The person of an account in an export, in the columns that an import brings one in with: their first contact.

use super::targets::TransferSubject;
use crate::crm::resources::{ACCOUNT, CONTACT};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::records::Resource;
use crate::platform::records::sql::{self, Bind, DocRow, Intent, Sql};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// Under which name it stands in an account.
const PERSON: &str = "contact";

/// Whether a column of accounts is about their person.
pub fn is_column(resource: &Resource, column: &str) -> bool {
    let has_person = resource.singular == ACCOUNT.singular && column.starts_with(PERSON);
    has_person && TransferSubject::Account.extras().contains(&column)
}

/// Adds to each account the first live contact of it that the caller sees, as they see it.
///
/// # Errors
/// Database errors.
pub async fn embed(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    accounts: &mut [Map<String, Value>],
) -> AppResult<()> {
    let ids = accounts
        .iter()
        .filter_map(|account| account.get("id")?.as_str())
        .filter_map(|id| Uuid::parse_str(id).ok())
        .collect();
    let mut sql = Sql::of(ctx.tenant);
    let scope = sql::scope(&mut sql, &CONTACT, "t", ctx, Intent::Read);
    let place = sql.place(Bind::Ids(ids));
    let document = sql::document(&CONTACT, ctx);
    // Ids grow with time.
    sql.push(&format!(
        "SELECT DISTINCT ON (t.account_id) {document} AS doc, t.version FROM contacts t \
         WHERE t.tenant_id = $1 AND t.account_id = ANY({place}) AND t.archived_at IS NULL AND {scope} ORDER BY t.account_id, t.id"
    ));
    let rows: Vec<DocRow> = sql.query().load(conn).await?;
    let mut persons = HashMap::new();
    for row in rows {
        let person: Value = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
        persons.insert(person["account_id"].clone().to_string(), person);
    }
    for account in accounts {
        let id = account.get("id").map(Value::to_string).unwrap_or_default();
        let person = persons.remove(&id).unwrap_or_default();
        account.insert(PERSON.to_owned(), person);
    }
    Ok(())
}
