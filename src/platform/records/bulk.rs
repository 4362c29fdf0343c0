//! Making many records at once, by the same rules as one: each is checked for itself, references and custom fields are
//! asked for together, and all rows go in with one statement.

use super::spec::{Change, Kind, Resource, Verdicts};
use super::sql::{self, Bind, Intent, Sql};
use super::{custom, entry, rules, store};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, Refusal};
use crate::kernel::fault::{Fault, Warning};
use crate::platform::db::{Tx, is_outage};
use diesel::QueryableByName;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// What became of one record: its id and of what its author is warned, or why it was refused.
pub type Made = Result<(Uuid, Vec<Warning>), Box<Refusal>>;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    doc: String,
}

/// Makes records from checked input, each by itself: a faulty one leaves the others alone. A refusal of the database
/// (`duplicate`) concerns them all and is answered whole; then they are to be tried one by one.
///
/// # Errors
/// As said; outages.
pub async fn create(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    sent: Vec<Map<String, Value>>,
) -> AppResult<Vec<Made>> {
    let mut changes = Vec::with_capacity(sent.len());
    for sent in sent {
        let mut faults = rules::forbidden(resource, ctx, &sent).collect::<Vec<_>>();
        let mut change = store::new_change(ctx, resource, None, sent);
        let mut after = std::mem::take(&mut change.after);
        faults.extend(rules::normalise(
            resource,
            ctx,
            &change.before,
            &mut after,
            &mut change.warnings,
        ));
        change.after = after;
        changes.push((change, faults));
    }
    references(&mut &**tx, ctx, resource, &mut changes).await?;
    let definitions = match resource.member("custom") {
        Some(_) => custom::definitions(&mut &**tx, ctx.tenant, resource.singular).await?,
        None => Vec::new(),
    };
    let mut outcomes: Vec<Result<Uuid, Box<Refusal>>> = Vec::with_capacity(changes.len());
    let mut good: Vec<Change> = Vec::with_capacity(changes.len());
    let has_custom = resource.member("custom").is_some();
    for (mut change, mut faults) in changes {
        if has_custom {
            faults.extend(custom::check(tx, ctx, &definitions, &mut change).await?);
        }
        outcomes.push(verdict(admissible(ctx, resource, &change, faults))?.map(|()| change.id));
        good.extend(Some(change).filter(|_| outcomes.last().is_some_and(Result::is_ok)));
    }
    let verdicts = judge(tx, ctx, resource, &mut good).await?;
    let refused = good.iter().zip(verdicts);
    let refused = refused.filter_map(|(change, verdict)| Some((change.id, verdict.err()?)));
    let mut refused = refused.collect::<HashMap<_, _>>();
    good.retain(|change| !refused.contains_key(&change.id));
    write(tx, ctx, resource, &mut good).await?;
    let warnings = good.into_iter().map(|change| (change.id, change.warnings));
    let mut warnings = warnings.collect::<HashMap<_, _>>();
    let mut made = |id: Uuid| match refused.remove(&id) {
        Some(refusal) => Err(refusal),
        None => Ok((id, warnings.remove(&id).unwrap_or_default())),
    };
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.and_then(&mut made))
        .collect())
}

/// The outcome of a check as a verdict on one record of many: refused, it leaves the others alone. An outage ends it all.
///
/// # Errors
/// What is no refusal of the record.
pub fn verdict(outcome: AppResult<()>) -> AppResult<Result<(), Box<Refusal>>> {
    match outcome {
        Ok(()) => Ok(Ok(())),
        Err(AppError::Refused(refusal)) if !is_outage(refusal.code) => Ok(Err(refusal)),
        Err(error) => Err(error),
    }
}

fn admissible(ctx: &Ctx, resource: &'static Resource, change: &Change, faults: Vec<Fault>) -> AppResult<()> {
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    if change.changed("owner_id") {
        store::may_assign(ctx, resource, change)?;
    }
    Ok(())
}

async fn judge(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    changes: &mut [Change],
) -> AppResult<Verdicts> {
    if let Some(before) = resource.hooks.before_many {
        return before(tx, ctx, changes).await;
    }
    let Some(before) = resource.hooks.before else {
        return Ok(vec![Ok(()); changes.len()]);
    };
    let mut verdicts = Vec::with_capacity(changes.len());
    for change in changes {
        verdicts.push(verdict(before(tx, ctx, change).await)?);
    }
    Ok(verdicts)
}

/// Notes references to records that are not there, or that the caller cannot see; one statement a member.
async fn references(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &'static Resource,
    changes: &mut [(Change, Vec<Fault>)],
) -> AppResult<()> {
    let mut wanted: BTreeMap<&'static str, BTreeSet<Uuid>> = BTreeMap::new();
    let members = resource
        .columns()
        .filter(|member| !member.is_read_only && member.kind == Kind::Id && member.refers.is_some())
        .collect::<Vec<_>>();
    for member in &members {
        let ids = changes.iter().filter_map(|(change, _)| change.id_of(member.name));
        wanted.insert(member.name, ids.collect());
    }
    for member in members {
        let (Some(target), Some(ids)) = (member.refers, wanted.remove(member.name)) else {
            continue;
        };
        if ids.is_empty() {
            continue;
        }
        let mut sql = Sql::of(ctx.tenant);
        let mut scope = sql::scope(&mut sql, target, "t", ctx, Intent::Read);
        if target.singular == "user" {
            scope = format!("({scope} OR t.id = {})", sql.place(Bind::Id(ctx.user)));
        }
        let place = sql.place(Bind::Ids(ids.into_iter().collect()));
        let live = store::live_condition(target);
        sql.push(&format!(
            "SELECT t.id FROM {} t WHERE t.tenant_id = $1 AND t.id = ANY({place}){live} AND {scope} FOR KEY SHARE OF t",
            target.table
        ));
        let found: Vec<IdRow> = sql.query().load(conn).await?;
        let found = found.into_iter().map(|row| row.id).collect::<BTreeSet<_>>();
        for (change, faults) in changes.iter_mut() {
            if change.id_of(member.name).is_some_and(|id| !found.contains(&id)) {
                faults.push(Fault::not_found(format!("/{}", member.name)));
            }
        }
    }
    Ok(())
}

async fn write(tx: &mut Tx, ctx: &Ctx, resource: &'static Resource, changes: &mut [Change]) -> AppResult<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let written: Vec<Row> = insert(ctx, resource, changes).query().load(&mut **tx).await?;
    let mut written = written
        .into_iter()
        .map(|row| (row.id, row.doc))
        .collect::<BTreeMap<_, _>>();
    for change in &mut *changes {
        let doc = written
            .remove(&change.id)
            .ok_or_else(|| AppError::internal("a row was not written"))?;
        change.after = serde_json::from_str(&doc).map_err(AppError::internal)?;
    }
    if resource.member("custom").is_some() {
        custom::store(tx, ctx, resource.singular, changes).await?;
    }
    for change in &*changes {
        tx.record(store::event(resource, change));
    }
    if let Some(after) = resource.hooks.after_many {
        return after(tx, ctx, changes).await;
    }
    if let Some(after) = resource.hooks.after {
        for change in changes {
            after(tx, ctx, change).await?;
        }
    }
    Ok(())
}

fn insert(ctx: &Ctx, resource: &'static Resource, changes: &[Change]) -> Sql {
    let columns = resource.columns().map(|member| member.name).collect::<Vec<_>>();
    let list = columns.join(", ");
    let from = columns
        .iter()
        .map(|column| format!("r.{column}"))
        .collect::<Vec<_>>()
        .join(", ");
    let rows = changes.iter().map(|change| {
        let mut row = change.after.clone();
        row.retain(|name, _| columns.contains(&name.as_str()));
        row.insert("id".to_owned(), json!(change.id));
        Value::Object(row)
    });
    let mut sql = Sql::of(ctx.tenant);
    let found_by = changes
        .iter()
        .filter_map(|change| entry::Entry::of_change(resource, change));
    let found_by = found_by.collect::<Vec<_>>();
    if !found_by.is_empty() {
        let clause = entry::clause(&mut sql, resource, &found_by);
        sql.push(&format!("WITH entered AS ({clause}) "));
    }
    let rows = sql.place(Bind::Json(Value::Array(rows.collect())));
    let now = sql.place(Bind::Instant(ctx.now));
    let (table, document) = (resource.table, sql::whole_document(resource));
    sql.push(&format!(
        "INSERT INTO {table} AS t (tenant_id, id, created_at, updated_at, {list}) \
         SELECT $1, r.id, {now}, {now}, {from} FROM jsonb_populate_recordset(NULL::{table}, {rows}) r \
         RETURNING t.id, {document} AS doc"
    ));
    sql
}
