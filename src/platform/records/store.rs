//! Reading and writing records by their declaration. Every statement carries the tenant; every read and write the scope.

use super::spec::{Access, Act, Change, Kind, Resource};
use super::sql::{self, Bind, DocRow, Intent, Sql};
use super::{custom, rules};
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::events::Event;
use diesel::sql_types::{Bool, Integer, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
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

/// A record locked for a write, whole, with what the caller may do.
#[derive(QueryableByName)]
pub struct Locked {
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Integer)]
    pub version: i32,
    #[diesel(sql_type = Bool)]
    is_archived: bool,
    #[diesel(sql_type = Bool)]
    is_readable: bool,
    #[diesel(sql_type = Bool)]
    is_allowed: bool,
}

impl Locked {
    /// # Errors
    /// When the row is no JSON object: a bug.
    pub fn record(&self) -> AppResult<Map<String, Value>> {
        serde_json::from_str(&self.doc).map_err(AppError::internal)
    }
}

/// What a lock must allow.
pub enum For<'a> {
    Write,
    /// An action with a permission of its own.
    Action(&'a str),
    /// Giving it to somebody, by that permission: also what nobody owns yet and the caller sees.
    Assignment(&'a str),
}

/// Locks a record: 404 when the caller cannot see it, 403 when they see it but may not act, 412 when stale, 409 when
/// archived.
///
/// # Errors
/// As said.
pub async fn lock(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
    purpose: For<'_>,
) -> AppResult<Locked> {
    lock_on(&mut &**tx, ctx, resource, id, purpose).await
}

/// [`lock`] over a connection that the caller shares with a statement sent right after it, in one flight.
///
/// # Errors
/// As [`lock`].
pub async fn lock_on(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
    purpose: For<'_>,
) -> AppResult<Locked> {
    let locked = lock_even_archived(conn, ctx, resource, id, None, purpose).await?;
    if locked.is_archived {
        Err(archived())
    } else {
        Ok(locked)
    }
}

fn archived() -> AppError {
    AppError::refuse(
        Code::Archived,
        say("It is archived; restore it first", "已归档,请先恢复"),
    )
}

async fn lock_even_archived(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
    parent: Option<Uuid>,
    purpose: For<'_>,
) -> AppResult<Locked> {
    let mut sql = Sql::of(ctx.tenant);
    let readable = sql::scope(&mut sql, resource, "t", ctx, Intent::Read);
    let (allowed, permission) = match purpose {
        For::Write => (
            sql::scope(&mut sql, resource, "t", ctx, Intent::Write),
            resource.write_permission(),
        ),
        For::Action(permission) => (
            sql::action_scope(&mut sql, resource, "t", ctx, permission),
            permission.to_owned(),
        ),
        For::Assignment(permission) => {
            let reach = sql::action_scope(&mut sql, resource, "t", ctx, permission);
            let unowned = if ctx.holds(permission) {
                "t.owner_id IS NULL"
            } else {
                "FALSE"
            };
            (format!("({reach} OR {unowned})"), permission.to_owned())
        }
    };
    let id = sql.place(Bind::Id(id));
    let within = match (resource.access, parent) {
        (Access::Part { key, .. }, Some(parent)) => format!(" AND t.{key} = {}", sql.place(Bind::Id(parent))),
        _ => String::new(),
    };
    let archived = if resource.has_archive() {
        "t.archived_at IS NOT NULL"
    } else {
        "FALSE"
    };
    let document = sql::whole_document(resource);
    sql.push(&format!(
        "SELECT {document} AS doc, t.version, {archived} AS is_archived, coalesce({readable}, FALSE) AS is_readable, coalesce({allowed}, FALSE) AS is_allowed \
         FROM {} t WHERE t.tenant_id = $1 AND t.id = {id}{within} FOR UPDATE OF t",
        resource.table
    ));
    let locked: Locked = sql.query().get_result(conn).await.optional()?.or_not_found()?;
    if !locked.is_readable {
        return Err(AppError::not_found());
    }
    if !locked.is_allowed {
        return Err(AppError::forbidden(&permission));
    }
    ctx.if_match(locked.version)?;
    Ok(locked)
}

/// A record after a write.
pub struct Written {
    pub id: Uuid,
    pub version: i32,
    /// What the caller may see of it.
    pub body: Map<String, Value>,
    pub warnings: Vec<Fault>,
}

/// Makes a record from checked input.
///
/// # Errors
/// `invalid`, `duplicate`, `forbidden`, and for parts what their parent's state says.
pub async fn create(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    parent: Option<Uuid>,
    sent: Map<String, Value>,
) -> AppResult<Written> {
    lock_parent(tx, ctx, resource, parent).await?;
    let forbidden = rules::forbidden(resource, ctx, &sent).collect::<Vec<_>>();
    let mut change = new_change(ctx, resource, parent, sent);
    prepare(tx, ctx, resource, &mut change, forbidden).await?;
    write(tx, ctx, resource, change, None).await
}

pub(super) fn new_change(ctx: &Ctx, resource: &'static Resource, parent: Option<Uuid>, sent: Map<String, Value>) -> Change {
    let mut change = Change {
        act: Act::Create,
        verb: None,
        id: Uuid::now_v7(),
        parent,
        sent: sent.keys().cloned().collect(),
        before: Map::new(),
        after: rules::created(resource, sent),
        warnings: Vec::new(),
        also: Vec::new(),
    };
    if resource.is_owned()
        && change.after.get("owner_id").is_none_or(Value::is_null)
        && ctx.user != Uuid::nil()
        && !is_unowned_intake(ctx)
    {
        change.after.insert("owner_id".to_owned(), json!(ctx.user));
    }
    change
}

/// What arrives through a source belongs to nobody until it is assigned.
fn is_unowned_intake(ctx: &Ctx) -> bool {
    ctx.actor_kind == crate::kernel::ctx::ActorKind::Source
}

/// Applies a merge patch to a record.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `archived`, `invalid`, `duplicate`.
pub async fn update(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    parent: Option<Uuid>,
    id: Uuid,
    patch: Map<String, Value>,
) -> AppResult<Written> {
    lock_parent(tx, ctx, resource, parent).await?;
    let locked = lock_even_archived(&mut &**tx, ctx, resource, id, parent, For::Write).await?;
    if locked.is_archived {
        return Err(archived());
    }
    let forbidden = rules::forbidden(resource, ctx, &patch).collect::<Vec<_>>();
    let before = locked.record()?;
    let change = Change {
        act: Act::Update,
        verb: None,
        id,
        parent,
        sent: patch.keys().cloned().collect(),
        after: rules::patched(&before, &patch),
        before,
        warnings: Vec::new(),
        also: Vec::new(),
    };
    apply(tx, ctx, resource, change, locked.version, forbidden).await
}

/// Writes a record that a command has locked and changed; rules and hooks run as for any change.
///
/// # Errors
/// As `update`.
pub async fn save(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    locked: &Locked,
    after: Map<String, Value>,
) -> AppResult<Written> {
    save_as(tx, ctx, resource, id, locked, after, "updated").await
}

/// Like `save`; the event is called by what the command did: `lead.assigned`.
///
/// # Errors
/// As `update`.
pub async fn save_as(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    locked: &Locked,
    after: Map<String, Value>,
    verb: &'static str,
) -> AppResult<Written> {
    let change = Change {
        act: Act::Update,
        verb: Some(verb),
        id,
        parent: None,
        sent: Vec::new(),
        before: locked.record()?,
        after,
        warnings: Vec::new(),
        also: Vec::new(),
    };
    apply(tx, ctx, resource, change, locked.version, Vec::new()).await
}

async fn apply(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    mut change: Change,
    version: i32,
    forbidden: Vec<Fault>,
) -> AppResult<Written> {
    prepare(tx, ctx, resource, &mut change, forbidden).await?;
    write(tx, ctx, resource, change, Some(version)).await
}

/// Archives (`DELETE`) or restores a record.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `archived`, `not_archived`.
pub async fn archive(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    parent: Option<Uuid>,
    id: Uuid,
    act: Act,
) -> AppResult<Written> {
    lock_parent(tx, ctx, resource, parent).await?;
    let locked = lock_even_archived(&mut &**tx, ctx, resource, id, parent, For::Write).await?;
    match (act, locked.is_archived) {
        (Act::Archive, true) => return Err(archived()),
        (Act::Restore, false) => {
            return Err(AppError::refuse(
                Code::NotArchived,
                say("It is not archived", "未归档"),
            ));
        }
        _ => {}
    }
    let before = locked.record()?;
    let mut change = Change {
        act,
        verb: None,
        id,
        parent,
        sent: Vec::new(),
        after: before.clone(),
        before,
        warnings: Vec::new(),
        also: Vec::new(),
    };
    if let Some(before) = resource.hooks.before {
        before(tx, ctx, &mut change).await?;
    }
    write(tx, ctx, resource, change, Some(locked.version)).await
}

#[derive(QueryableByName)]
struct ParentRow {
    #[diesel(sql_type = Bool)]
    is_readable: bool,
    #[diesel(sql_type = Bool)]
    is_allowed: bool,
    #[diesel(sql_type = Bool)]
    is_closed: bool,
    #[diesel(sql_type = Bool)]
    is_archived: bool,
}

/// Locks the parent of a part first (the lock order's subject), and asks whether its parts may change.
async fn lock_parent(tx: &mut Tx, ctx: &Ctx, resource: &Resource, parent: Option<Uuid>) -> AppResult<()> {
    let Access::Part {
        parent: owner,
        closed_sql,
        ..
    } = resource.access
    else {
        return Ok(());
    };
    let id = parent.or_not_found()?;
    let mut sql = Sql::of(ctx.tenant);
    let readable = sql::scope(&mut sql, owner, "p", ctx, Intent::Read);
    let allowed = sql::scope(&mut sql, owner, "p", ctx, Intent::Write);
    let place = sql.place(Bind::Id(id));
    let closed = closed_sql.unwrap_or("FALSE");
    sql.push(&format!(
        "SELECT coalesce({readable}, FALSE) AS is_readable, coalesce({allowed}, FALSE) AS is_allowed, {closed} AS is_closed, p.archived_at IS NOT NULL AS is_archived \
         FROM {} p WHERE p.tenant_id = $1 AND p.id = {place} FOR UPDATE OF p",
        owner.table
    ));
    let row: ParentRow = sql
        .query()
        .get_result(&mut **tx)
        .await
        .optional()?
        .or_not_found()?;
    match row {
        ParentRow {
            is_readable: false, ..
        } => Err(AppError::not_found()),
        ParentRow {
            is_allowed: false, ..
        } => Err(AppError::forbidden(&owner.write_permission())),
        ParentRow {
            is_archived: true, ..
        } => Err(archived()),
        ParentRow { is_closed: true, .. } => Err(AppError::refuse(
            Code::AlreadyClosed,
            say(
                "It is closed; its parts no longer change",
                "已关闭,其内容不可再更改",
            ),
        )),
        _ => Ok(()),
    }
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

async fn prepare(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    change: &mut Change,
    mut faults: Vec<Fault>,
) -> AppResult<()> {
    let mut after = std::mem::take(&mut change.after);
    faults.extend(rules::normalise(
        resource,
        ctx,
        &change.before,
        &mut after,
        &mut change.warnings,
    ));
    change.after = after;
    faults.extend(reference_faults(tx, ctx, resource, change).await?);
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    if change.changed("owner_id") {
        may_assign(ctx, resource, change)?;
    }
    if resource.member("custom").is_some() && (change.act == Act::Create || change.changed("custom")) {
        custom::check(tx, ctx, resource.singular, change).await?;
    }
    match resource.hooks.before {
        Some(before) => before(tx, ctx, change).await,
        None => Ok(()),
    }
}

/// Giving a record to somebody needs the assigner's reach over both its present and its new owner.
pub(super) fn may_assign(ctx: &Ctx, resource: &Resource, change: &Change) -> AppResult<()> {
    let Access::Owned { assign } = resource.access else {
        return Ok(());
    };
    let new = change.id_of("owner_id");
    let is_own_new = change.act == Act::Create && (new == Some(ctx.user) || new.is_none());
    if is_own_new {
        return Ok(());
    }
    let old = change
        .before
        .get("owner_id")
        .and_then(Value::as_str)
        .and_then(|id| Uuid::parse_str(id).ok());
    let within = match ctx.reach(assign) {
        Reach::All => true,
        Reach::Owners(owners) => [old, new]
            .into_iter()
            .flatten()
            .all(|owner| owners.contains(&owner)),
        Reach::Nobody => false,
    };
    if within {
        Ok(())
    } else {
        Err(AppError::forbidden(assign))
    }
}

#[derive(QueryableByName)]
struct Missing {
    #[diesel(sql_type = Text)]
    name: String,
}

/// References to records that are not there, or that the caller cannot see: the two are not told apart. One statement
/// for all of them.
async fn reference_faults(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    change: &Change,
) -> AppResult<Vec<Fault>> {
    let mut sql = Sql::of(ctx.tenant);
    let mut questions = Vec::new();
    let changed = resource
        .columns()
        .filter(|member| !member.is_read_only && change.changed(member.name));
    for member in changed {
        let (Some(target), Some(id)) = (member.refers, change.id_of(member.name)) else {
            continue;
        };
        // One may refer to oneself without the right to read users.
        let scope = match target.singular == "user" && id == ctx.user {
            true => String::from("TRUE"),
            false => sql::scope(&mut sql, target, "t", ctx, Intent::Read),
        };
        let place = sql.place(Bind::Id(id));
        let live = live_condition(target);
        // The lock that the foreign key takes anyway, taken here, so that what is being archived is waited for.
        questions.push(format!(
            "SELECT '{}' AS name WHERE NOT EXISTS (SELECT 1 FROM {} t \
             WHERE t.tenant_id = $1 AND t.id = {place}{live} AND {scope} FOR KEY SHARE OF t)",
            member.name, target.table
        ));
    }
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    sql.push(&questions.join(" UNION ALL "));
    let missing: Vec<Missing> = sql.query().load(&mut **tx).await?;
    Ok(missing
        .into_iter()
        .map(|missing| Fault::not_found(format!("/{}", missing.name)))
        .collect())
}

/// What can newly be referred to: what is not archived, and who is active.
pub(super) fn live_condition(target: &Resource) -> &'static str {
    match target.singular {
        "user" => " AND t.is_active",
        _ if target.has_archive() => " AND t.archived_at IS NULL",
        _ => "",
    }
}

async fn write(
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
        custom::store(tx, ctx, resource.singular, &change).await?;
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

/// Leaves out what the caller may not read.
pub fn visible(resource: &Resource, ctx: &Ctx, mut record: Map<String, Value>) -> Map<String, Value> {
    for member in resource.members {
        if member.sensitive.is_some_and(|permission| !ctx.holds(permission)) {
            record.shift_remove(member.name);
        }
    }
    record
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
pub(super) fn event(resource: &'static Resource, change: &Change) -> Event {
    let verb = match change.act {
        Act::Create => "created",
        Act::Update => "updated",
        Act::Archive => "archived",
        Act::Restore => "restored",
    };
    let verb = change.verb.unwrap_or(verb);
    let mut changes = Map::new();
    let mut sensitive: Map<String, Value> = Map::new();
    for member in resource.columns() {
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
            .find(|member| expand_name(member.name) == Some(name) && member.refers.is_some())
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

/// `account` for `account_id`.
pub fn expand_name(member: &str) -> Option<&str> {
    member.strip_suffix("_id")
}

/// The names that `expand` takes for a resource.
pub fn expandable(resource: &Resource) -> Vec<&'static str> {
    resource
        .members
        .iter()
        .filter(|member| member.refers.is_some())
        .filter_map(|member| expand_name(member.name))
        .collect()
}
