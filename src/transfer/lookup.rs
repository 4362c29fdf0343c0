//! Finds the records that a file names by name, code, e-mail or another system's id: one query a target for a whole chunk.

use super::draft::Draft;
use super::plan::Plan;
use super::targets::{EXTERNAL_ID, TransferSubject};
use crate::catalog::resources::{LOSS_REASON, PRODUCT};
use crate::crm::resources::{ACCOUNT, LEAD_SOURCE};
use crate::identity::resources::USER;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::Cached;
use crate::platform::records::Resource;
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    named: String,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// By which columns records of a table are found, lower-cased.
fn names_of(resource: &Resource) -> &'static [&'static str] {
    match resource.singular {
        "user" => &["t.name", "t.email"],
        "product" => &["t.code", "t.name"],
        "account" | "contact" | "lead" | "opportunity" | "competitor" => &["t.name"],
        _ => &["t.key", "t.name"],
    }
}

/// What a target refers to.
fn resource_of(subject: TransferSubject, target: &str) -> Option<&'static Resource> {
    match target {
        "product" => Some(&PRODUCT),
        "loss_reason" => Some(&LOSS_REASON),
        "source_id" => Some(&LEAD_SOURCE),
        "account_id" => Some(&ACCOUNT),
        _ if target.starts_with("custom.") => Some(&USER),
        other => subject.resource().member(other)?.refers,
    }
}

/// Puts the records that the drafts name into them, and a fault where there is none, or more than one.
pub async fn resolve(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    plan: &Plan,
    drafts: &mut [Draft],
) -> AppResult<()> {
    let mut wanted: HashMap<String, BTreeSet<String>> = HashMap::new();
    for sought in drafts.iter().flat_map(|draft| &draft.sought) {
        wanted
            .entry(sought.target.clone())
            .or_default()
            .insert(sought.text.to_lowercase());
    }
    let mut found: HashMap<(String, String), BTreeSet<Uuid>> = HashMap::new();
    for (target, names) in wanted {
        for row in rows(conn, ctx, plan, &target, names.into_iter().collect()).await? {
            found
                .entry((target.clone(), row.named))
                .or_default()
                .insert(row.id);
        }
    }
    for draft in drafts {
        for sought in std::mem::take(&mut draft.sought) {
            let key = (sought.target.clone(), sought.text.to_lowercase());
            match found.get(&key).map(|ids| (ids.len(), ids.first())) {
                Some((1, Some(id))) => put(draft, &sought.target, *id),
                Some(_) => draft.faults.push(ambiguous(&sought.target)),
                None => {
                    draft.faults.push(Fault::not_found(pointer(&sought.target)));
                    draft.missing.push(sought);
                }
            }
        }
    }
    Ok(())
}

fn put(draft: &mut Draft, target: &str, id: Uuid) {
    match target.strip_prefix("custom.") {
        Some(key) => {
            let custom = draft.members.entry("custom").or_insert_with(|| json!({}));
            custom[key] = json!(id);
        }
        None => {
            draft.members.insert(target.to_owned(), json!(id));
        }
    }
}

fn pointer(target: &str) -> String {
    format!("/{}", target.replace('.', "/"))
}

fn ambiguous(target: &str) -> Fault {
    Fault::new(
        pointer(target),
        "ambiguous",
        say("names more than one record", "对应多条记录"),
    )
}

async fn rows(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    plan: &Plan,
    target: &str,
    names: Vec<String>,
) -> AppResult<Vec<Found>> {
    let mut sql = Sql::of(ctx.tenant);
    if target == "pipeline_id" {
        let live = "t.archived_at IS NULL";
        let query = by_names(sql, "pipelines", &["t.key", "t.name"], live, &names);
        return Ok(query.query().load(conn).await?);
    }
    let Some(resource) = resource_of(plan.options.resource, target) else {
        return Ok(Vec::new());
    };
    // One may refer to oneself without the right to read users.
    let scope = sql::scope(&mut sql, resource, "t", ctx, Intent::Read);
    let scope = match resource.singular {
        "user" => format!(
            "t.is_active AND (t.id = {} OR {scope})",
            sql.place(Bind::Id(ctx.user))
        ),
        _ if resource.has_archive() => format!("t.archived_at IS NULL AND {scope}"),
        _ => scope,
    };
    let sql = by_names(sql, resource.table, names_of(resource), &scope, &names);
    let mut found: Vec<Found> = sql.query().load(conn).await?;
    let missing = names
        .into_iter()
        .filter(|name| !found.iter().any(|row| row.named == *name))
        .collect::<Vec<_>>();
    found.extend(by_other_id(conn, ctx, plan, resource, missing).await?);
    Ok(found)
}

/// The records of a table that have one of these ids, or, lower-cased, one of these names: an arm for each, so that each has
/// an index where the table is large.
fn by_names(mut sql: Sql, table: &str, columns: &[&str], condition: &str, names: &[String]) -> Sql {
    let ids = names.iter().filter_map(|name| {
        let id = Uuid::parse_str(name).ok()?;
        (id.to_string() == *name).then_some(id)
    });
    let ids = sql.place(Bind::Ids(ids.collect()));
    let wanted = sql.place(Bind::Texts(names.to_vec()));
    let mut arms = vec![format!(
        "SELECT t.id::text AS named, t.id FROM {table} t WHERE t.tenant_id = $1 AND t.id = ANY({ids}) AND {condition}"
    )];
    arms.extend(columns.iter().map(|column| {
        format!(
            "SELECT lower({column}) AS named, t.id FROM {table} t \
             WHERE t.tenant_id = $1 AND lower({column}) = ANY({wanted}) AND {condition}"
        )
    }));
    sql.push(&arms.join(" UNION "));
    sql
}

/// Accounts and their like may also stand with the id that the file's own system has for them.
async fn by_other_id(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    plan: &Plan,
    resource: &'static Resource,
    names: Vec<String>,
) -> AppResult<Vec<Found>> {
    let Some(system) = plan
        .options
        .system
        .as_ref()
        .filter(|_| resource.is_owned() && !names.is_empty())
    else {
        return Ok(Vec::new());
    };
    let mut sql = Sql::of(ctx.tenant);
    let scope = sql::scope(&mut sql, resource, "t", ctx, Intent::Read);
    let names = sql.place(Bind::Texts(names));
    let system = sql.place(Bind::Text(system.clone()));
    let kind = sql.place(Bind::Text(resource.singular.to_owned()));
    sql.push(&format!(
        "SELECT lower(x.external_id) AS named, t.id FROM external_ids x JOIN {} t ON t.tenant_id = $1 AND t.id = x.record_id \
         WHERE x.tenant_id = $1 AND x.record_kind = {kind} AND x.system = {system} AND lower(x.external_id) = ANY({names}) AND {scope}",
        resource.table
    ));
    Ok(sql.query().load(conn).await?)
}

/// One thing named by key or name: a loss reason, a product.
pub async fn one(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    plan: &Plan,
    target: &str,
    text: &str,
) -> AppResult<Result<Uuid, Fault>> {
    let found = rows(conn, ctx, plan, target, vec![text.to_lowercase()]).await?;
    let ids = found.iter().map(|found| found.id).collect::<BTreeSet<_>>();
    Ok(match (ids.len(), ids.iter().next()) {
        (1, Some(id)) => Ok(*id),
        (0, _) => Err(Fault::not_found(pointer(target))),
        _ => Err(ambiguous(target)),
    })
}

/// Which records have these ids of the file's system already, or are of that id here, as our own exports name them.
pub async fn existing(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    plan: &Plan,
    drafts: &[Draft],
) -> AppResult<HashMap<String, Uuid>> {
    let Some(system) = &plan.options.system else {
        return Ok(HashMap::new());
    };
    let ids = drafts
        .iter()
        .filter_map(|draft| draft.extras.get(EXTERNAL_ID).cloned())
        .collect::<Vec<_>>();
    let own = ids
        .iter()
        .filter_map(|id| Uuid::parse_str(id).ok().filter(|own| own.to_string() == *id));
    let own = own.collect::<Vec<_>>();
    let query = sql_query(format!(
        "SELECT t.id::text AS named, t.id FROM {} t WHERE t.tenant_id = $1 AND t.id = ANY($5) \
         UNION ALL SELECT external_id AS named, record_id AS id FROM external_ids \
         WHERE tenant_id = $1 AND record_kind = $2 AND system = $3 AND external_id = ANY($4)",
        plan.options.resource.resource().table
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(plan.options.resource.resource().singular)
    .bind::<Text, _>(system)
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<SqlUuid>, _>(own);
    let found: Vec<Found> = Cached(query).load(conn).await?;
    // What the file's system says of an id counts before what it is here.
    Ok(found.into_iter().map(|found| (found.named, found.id)).collect())
}
