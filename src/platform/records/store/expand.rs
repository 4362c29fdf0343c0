//! Records that a page refers to, embedded.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::records::spec::{Member, Resource};
use crate::platform::records::sql::{self, Bind, DocRow, Intent, Sql};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Fetches the records that a page refers to, one query a relation, whatever the page's size.
///
/// # Errors
/// Database errors.
pub async fn expand(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    names: &[String],
    records: &mut [Map<String, Value>],
) -> AppResult<()> {
    for name in names {
        let Some(member) = resource
            .members
            .iter()
            .find(|member| expand_name(member) == Some(name) && member.refers.is_some())
        else {
            continue;
        };
        let Some(target) = member.refers else { continue };
        let id_in = |record: &Map<String, Value>| {
            record
                .get(member.name)
                .and_then(Value::as_str)
                .and_then(|id| Uuid::parse_str(id).ok())
        };
        let ids = records.iter().filter_map(id_in).collect::<BTreeSet<_>>();
        let mut sql = Sql::of(ctx.tenant);
        let scope = sql::scope(&mut sql, target, "t", ctx, Intent::Read);
        let place = sql.place(Bind::Ids(ids.into_iter().collect()));
        let document = sql::document(target, ctx);
        sql.push(&format!("SELECT {document} AS doc, t.version FROM {} t WHERE t.tenant_id = $1 AND t.id = ANY({place}) AND {scope}", target.table));
        let rows: Vec<DocRow> = sql.query().load(conn).await?;
        let mut found = HashMap::new();
        for row in rows {
            let record: Value = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
            found.insert(record["id"].as_str().unwrap_or_default().to_owned(), record);
        }
        for record in records.iter_mut() {
            let id = record
                .get(member.name)
                .and_then(Value::as_str)
                .unwrap_or_default();
            let embedded = found.get(id).cloned().unwrap_or(Value::Null);
            record.insert(name.clone(), embedded);
        }
    }
    Ok(())
}

/// `account` for `account_id`, unless the member says otherwise.
pub fn expand_name(member: &Member) -> Option<&'static str> {
    member.embed_as.or_else(|| member.name.strip_suffix("_id"))
}

/// What `expand` embeds under this name.
pub fn related(resource: &Resource, name: &str) -> Option<&'static Resource> {
    let mut members = resource.members.iter();
    let member = members.find(|member| member.refers.is_some() && expand_name(member) == Some(name))?;
    member.refers
}

/// The names that `expand` takes for a resource.
pub fn expandable(resource: &Resource) -> Vec<&'static str> {
    resource
        .members
        .iter()
        .filter(|member| member.refers.is_some())
        .filter_map(expand_name)
        .collect()
}

/// The names that `expand` takes on reading one record: its relations, what is found out about it alone, and its parts.
pub fn expandable_singly(resource: &Resource) -> Vec<String> {
    let relations = expandable(resource).into_iter().map(str::to_owned);
    let embeds = resource.hooks.embeds.iter().map(|embed| embed.name.to_owned());
    let parts = (resource.hooks.parts)().iter().map(|part| part.embedded_name());
    relations.chain(embeds).chain(parts).collect()
}

/// Finds out what was asked for about one record that the caller may see, and puts it in.
///
/// # Errors
/// What finding it out answers.
pub async fn embed(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    names: &[String],
    id: Uuid,
    record: &mut Map<String, Value>,
) -> AppResult<()> {
    let asked = resource.hooks.embeds.iter();
    for embed in asked.filter(|embed| names.iter().any(|name| name == embed.name)) {
        let found = (embed.load)(conn, ctx, id).await?;
        record.insert(embed.name.to_owned(), found);
    }
    Ok(())
}
