//! The row itself and the event of its change.

use super::find::visible;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::spec::{Access, Act, Change, Kind, Resource};
use crate::platform::records::sql::{self, Bind, DocRow, Sql};
use crate::platform::records::{custom, entry, rules};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use std::slice::from_ref;
use uuid::Uuid;

/// A record after a write.
pub struct Written {
    pub id: Uuid,
    pub version: i32,
    /// What the caller may see of it.
    pub body: Map<String, Value>,
    pub warnings: Vec<Fault>,
}

pub(super) async fn write(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    mut change: Change,
    version: Option<i32>,
) -> AppResult<Written> {
    let row: DocRow = write_sql(ctx, resource, &change, version)?
        .query()
        .get_result(&mut **tx)
        .await?;
    let written: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    change.after = written;
    if resource.member("custom").is_some() {
        custom::store(tx, ctx, resource.singular, from_ref(&change)).await?;
    }
    tx.record(event(resource, &change));
    if let Some(after) = resource.hooks.after {
        after(tx, ctx, &mut change).await?;
    }
    let body = visible(resource, ctx, change.after);
    Ok(Written {
        id: change.id,
        version: row.version,
        body,
        warnings: change.warnings,
    })
}

fn write_sql(ctx: &Ctx, resource: &Resource, change: &Change, version: Option<i32>) -> AppResult<Sql> {
    let columns = resource.columns().map(|member| member.name).collect::<Vec<_>>();
    let list = columns.join(", ");
    let from = columns
        .iter()
        .map(|column| format!("r.{column}"))
        .collect::<Vec<_>>()
        .join(", ");
    let table = resource.table;
    let document = sql::whole_document(resource);
    let mut row = change.after.clone();
    row.retain(|name, _| columns.contains(&name.as_str()));
    let mut sql = Sql::of(ctx.tenant);
    // What it is found by goes in one flight with it.
    if let Some(found_by) = entry::Entry::of_change(resource, change) {
        let clause = entry::clause(&mut sql, resource, &[found_by]);
        sql.push(&format!("WITH entered AS ({clause}) "));
    }
    let row = sql.place(Bind::Json(Value::Object(row)));
    let id = sql.place(Bind::Id(change.id));
    let now = sql.place(Bind::Instant(ctx.now));
    match version {
        None => {
            let (key, parent) = match (resource.access, change.parent) {
                (Access::Part { key, .. }, Some(parent)) => {
                    (format!(", {key}"), format!(", {}", sql.place(Bind::Id(parent))))
                }
                _ => (String::new(), String::new()),
            };
            sql.push(&format!(
                "INSERT INTO {table} AS t (tenant_id, id{key}, created_at, updated_at, {list}) \
                 SELECT $1, {id}{parent}, {now}, {now}, {from} FROM jsonb_populate_record(NULL::{table}, {row}) r \
                 RETURNING {document} AS doc, t.version"
            ));
        }
        Some(version) => {
            let version = sql.place(Bind::Int(version));
            let archived = match change.act {
                Act::Archive => format!(", archived_at = {now}"),
                Act::Restore => String::from(", archived_at = NULL"),
                Act::Create | Act::Update => String::new(),
            };
            sql.push(&format!(
                "UPDATE {table} AS t SET ({list}) = (SELECT {from} FROM jsonb_populate_record(NULL::{table}, {row}) r), \
                 version = t.version + 1, updated_at = {now}{archived} \
                 WHERE t.tenant_id = $1 AND t.id = {id} AND t.version = {version} RETURNING {document} AS doc, t.version"
            ));
        }
    }
    Ok(sql)
}

/// The event of a change: before and after of each changed member, sensitive ones apart.
pub fn event(resource: &'static Resource, change: &Change) -> Event {
    let verb = match change.act {
        Act::Create => "created",
        Act::Update => "updated",
        Act::Archive => "archived",
        Act::Restore => "restored",
    };
    let verb = change.verb.unwrap_or(verb);
    let mut changes = Map::new();
    let mut sensitive: Map<String, Value> = Map::new();
    for member in resource.kept() {
        let before = change.before.get(member.name).unwrap_or(&Value::Null);
        let after = change.after.get(member.name).unwrap_or(&Value::Null);
        if rules::is_same(member.kind, before, after) {
            continue;
        }
        let entry = json!({ "before": before, "after": after });
        match member.sensitive {
            None => {
                changes.insert(member.name.to_owned(), entry);
            }
            Some(permission) => {
                let part = sensitive
                    .entry(permission.to_owned())
                    .or_insert_with(|| json!({}));
                part[member.name] = entry;
            }
        }
    }
    let mut event = Event::new(
        format!("{}.{verb}", resource.singular),
        resource.singular,
        change.id,
        json!({ "changes": changes }),
    );
    event.sensitive = sensitive;
    event.also = change.also.clone();
    if let (Access::Part { parent, .. }, Some(id)) = (resource.access, change.parent) {
        event.also.push((parent.singular, id));
    }
    for member in resource.columns().filter(|member| member.kind == Kind::Id) {
        let is_main = member.refers.is_some_and(|target| target.is_owned());
        if let Some(id) = change.id_of(member.name).filter(|_| is_main) {
            event
                .also
                .extend(member.refers.map(|target| (target.singular, id)));
        }
    }
    event
}
