//! One record as its reader may see it.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppResult, OrNotFound};
use crate::platform::records::spec::{Access, Resource};
use crate::platform::records::sql::{self, Bind, DocRow, Intent, Sql};
use diesel::sql_types::Uuid as SqlUuid;
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use uuid::Uuid;

/// One record as the caller may see it.
///
/// # Errors
/// `not_found` when there is none, or none that the caller may see.
pub async fn find(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
    parent: Option<Uuid>,
) -> AppResult<DocRow> {
    find_sql(ctx, resource, id, parent)
        .query()
        .get_result(conn)
        .await
        .optional()?
        .or_not_found()
}

fn find_sql(ctx: &Ctx, resource: &Resource, id: Uuid, parent: Option<Uuid>) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let scope = sql::scope(&mut sql, resource, "t", ctx, Intent::Read);
    let id = sql.place(Bind::Id(id));
    let within = match (resource.access, parent) {
        (Access::Part { key, .. }, Some(parent)) => format!(" AND t.{key} = {}", sql.place(Bind::Id(parent))),
        _ => String::new(),
    };
    let document = sql::document(resource, ctx);
    sql.push(&format!("SELECT {document} AS doc, t.version FROM {} t WHERE t.tenant_id = $1 AND t.id = {id}{within} AND {scope}", resource.table));
    sql
}

/// Whether the caller sees a record at all: for lists of its parts.
///
/// # Errors
/// `not_found` when they do not.
pub async fn require_visible(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let scope = sql::scope(&mut sql, resource, "t", ctx, Intent::Read);
    let id = sql.place(Bind::Id(id));
    sql.push(&format!(
        "SELECT t.id FROM {} t WHERE t.tenant_id = $1 AND t.id = {id} AND {scope}",
        resource.table
    ));
    sql.query()
        .get_result::<Seen>(conn)
        .await
        .optional()?
        .or_not_found()
        .map(|_| ())
}

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = SqlUuid)]
    #[expect(dead_code, reason = "that there is a row is all that is asked")]
    id: Uuid,
}

/// Leaves out what the caller may not read.
pub fn visible(resource: &Resource, ctx: &Ctx, mut record: Map<String, Value>) -> Map<String, Value> {
    for member in resource.members {
        if member.sensitive.is_some_and(|permission| !ctx.holds(permission)) {
            record.shift_remove(member.name);
        }
    }
    record
}
