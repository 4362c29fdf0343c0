//! A record and its parent locked for a write, and what the caller may do with them.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::records::spec::{Access, Resource};
use crate::platform::records::sql::{self, Bind, DocRow, Intent, Sql};
use crate::platform::records::{merged, together};
use diesel::sql_types::{Bool, Integer, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// A record locked for a write, whole, with what the caller may do.
#[derive(QueryableByName)]
pub struct Locked {
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Integer)]
    pub version: i32,
    #[diesel(sql_type = Bool)]
    pub(super) is_archived: bool,
    #[diesel(sql_type = Bool)]
    is_readable: bool,
    #[diesel(sql_type = Bool)]
    is_allowed: bool,
    /// Whether the caller sees it masked in the pool and no other way: nothing of it is shown to them.
    #[diesel(sql_type = Bool)]
    pub is_masked: bool,
    /// Whether somebody wrote it while its lock was waited for: what stands beside it was then read before that.
    #[diesel(sql_type = Bool)]
    was_waited_for: bool,
}

impl Locked {
    /// # Errors
    /// When the row is no JSON object: a bug.
    pub fn record(&self) -> AppResult<Map<String, Value>> {
        serde_json::from_str(&self.doc).map_err(AppError::internal)
    }

    fn admit(&self, ctx: &Ctx, permission: &str) -> AppResult<()> {
        if !self.is_readable {
            return Err(AppError::not_found());
        }
        if !self.is_allowed {
            return Err(AppError::forbidden(permission));
        }
        ctx.if_match(self.version)
    }
}

/// What a lock must allow.
pub enum For<'a> {
    Write,
    /// An action with a permission of its own.
    Action(&'a str),
    /// Archiving or restoring it: what taking part in it, even with `edit`, does not give. Parts go with their record.
    Archive,
    /// Giving it to somebody, by that permission: also what nobody owns, when the caller sees it, or sees it masked in the
    /// pool.
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
        Err(ended(conn, ctx, resource, id).await?)
    } else {
        Ok(locked)
    }
}

/// Why an archived record is not written: it was merged, or it is archived and no more.
pub(super) async fn ended(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
) -> AppResult<AppError> {
    let survivor = merged::survivor(conn, ctx, resource, id).await?;
    Ok(survivor.map_or_else(archived, |survivor| merged::refusal(resource, survivor)))
}

fn archived() -> AppError {
    AppError::refuse(
        Code::Archived,
        say("It is archived; restore it first", "已归档,请先恢复"),
    )
}

pub(super) async fn lock_even_archived(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
    parent: Option<Uuid>,
    purpose: For<'_>,
) -> AppResult<Locked> {
    let mut sql = Sql::of(ctx.tenant);
    let Asked { columns, permission } = asked(&mut sql, ctx, resource, purpose);
    let the_id = id;
    let id = sql.place(Bind::Id(id));
    let within = match (resource.access, parent) {
        (Access::Part { key, .. }, Some(parent)) => format!(" AND t.{key} = {}", sql.place(Bind::Id(parent))),
        _ => String::new(),
    };
    sql.push(&format!(
        "SELECT {columns} FROM {} t WHERE t.tenant_id = $1 AND t.id = {id}{within} FOR UPDATE OF t",
        resource.table
    ));
    let mut locked: Locked = sql.query().get_result(conn).await.optional()?.or_not_found()?;
    if locked.was_waited_for {
        locked.doc = document_of(conn, ctx, resource, the_id).await?;
    }
    locked.admit(ctx, &permission)?;
    Ok(locked)
}

/// What is asked of a record that is locked.
struct Asked {
    /// Those of [`Locked`].
    columns: String,
    /// What it takes to act.
    permission: String,
}

fn asked(sql: &mut Sql, ctx: &Ctx, resource: &Resource, purpose: For<'_>) -> Asked {
    let seen = sql::scope(sql, resource, "t", ctx, Intent::Read);
    let mut readable = seen.clone();
    let (allowed, permission) = match purpose {
        For::Archive if resource.is_owned() => (
            sql::action_scope(sql, resource, "t", ctx, &resource.write_permission()),
            resource.write_permission(),
        ),
        For::Write | For::Archive => (
            sql::scope(sql, resource, "t", ctx, Intent::Write),
            resource.write_permission(),
        ),
        For::Action(permission) => (
            sql::action_scope(sql, resource, "t", ctx, permission),
            permission.to_owned(),
        ),
        For::Assignment(permission) => {
            let reach = sql::action_scope(sql, resource, "t", ctx, permission);
            let unowned = if ctx.holds(permission) {
                "t.owner_id IS NULL"
            } else {
                "FALSE"
            };
            if ctx.holds("pool.read") {
                readable = format!("({seen} OR ({unowned} AND {}))", in_pool(resource));
            }
            (format!("({reach} OR {unowned})"), permission.to_owned())
        }
    };
    let archived = if resource.has_archive() {
        "t.archived_at IS NOT NULL"
    } else {
        "FALSE"
    };
    let document = sql::whole_document(resource);
    let waited = was_waited_for(resource);
    let columns = format!(
        "{document} AS doc, t.version, {waited} AS was_waited_for, {archived} AS is_archived, coalesce({readable}, FALSE) AS is_readable, \
         coalesce({allowed}, FALSE) AS is_allowed, NOT coalesce({seen}, FALSE) AS is_masked"
    );
    Asked { columns, permission }
}

/// A statement that locks records for an action of a caller, as many as are given to it.
#[derive(PartialEq)]
pub struct Locking {
    sql: Sql,
    permission: String,
}

#[derive(QueryableByName)]
struct LockedOf {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(embed)]
    locked: Locked,
}

impl Locking {
    pub fn of(ctx: &Ctx, resource: &Resource, permission: &str) -> Locking {
        let mut sql = Sql::of(ctx.tenant);
        let Asked { columns, permission } = asked(&mut sql, ctx, resource, For::Action(permission));
        let sought = together::one_of("t.id", &sql.place(Bind::Ids(Vec::new())));
        sql.push(&format!(
            "SELECT t.id, {columns} FROM {} t WHERE t.tenant_id = $1 AND {sought} FOR UPDATE OF t SKIP LOCKED",
            resource.table
        ));
        Locking { sql, permission }
    }

    /// Locks those of these records that are live and that nobody holds or has just written, whatever the caller may do with
    /// them: [`Locking::admit`] says that.
    ///
    /// # Errors
    /// Database errors.
    pub async fn lock(
        &self,
        conn: &mut &AsyncPgConnection,
        ids: Vec<Uuid>,
    ) -> AppResult<HashMap<Uuid, Locked>> {
        let rows: Vec<LockedOf> = self.sql.clone().with_last(ids).query().load(conn).await?;
        let rows = rows.into_iter().map(|LockedOf { id, locked }| (id, locked));
        let as_it_stands = |(_, locked): &(Uuid, Locked)| !locked.was_waited_for && !locked.is_archived;
        Ok(rows.filter(as_it_stands).collect())
    }

    /// # Errors
    /// 404 when the caller cannot see the record, 403 when they see it but may not act, 412 when stale.
    pub fn admit(&self, ctx: &Ctx, locked: &Locked) -> AppResult<()> {
        locked.admit(ctx, &self.permission)
    }
}

/// Whether the row `t` is another than the statement began with. A statement that waits for a row's lock goes on with the row
/// as it is then, but sees everything else as it was before, also what stands beside that row.
fn was_waited_for(resource: &Resource) -> String {
    if resource.members.iter().any(|member| member.beside.is_some()) {
        format!(
            "t.version <> (SELECT b.version FROM {} b WHERE b.tenant_id = t.tenant_id AND b.id = t.id)",
            resource.table
        )
    } else {
        String::from("FALSE")
    }
}

/// The whole document of a record that is locked.
async fn document_of(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    resource: &Resource,
    id: Uuid,
) -> AppResult<String> {
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(id));
    let document = sql::whole_document(resource);
    sql.push(&format!(
        "SELECT {document} AS doc, t.version FROM {} t WHERE t.tenant_id = $1 AND t.id = {id}",
        resource.table
    ));
    let row: DocRow = sql.query().get_result(conn).await?;
    Ok(row.doc)
}

/// The condition that the record `t` is in the public pool, and so seen masked by whoever may look there.
fn in_pool(resource: &Resource) -> String {
    format!(
        "EXISTS (SELECT 1 FROM pool_stays s WHERE s.tenant_id = $1 AND s.record_kind = '{}' AND s.record_id = t.id \
         AND s.ended_at IS NULL)",
        resource.singular
    )
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
pub(super) async fn lock_parent(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    parent: Option<Uuid>,
) -> AppResult<()> {
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

/// Locks those of these records that the caller may write, in the order of their ids: before several are written in the
/// caller's order.
///
/// # Errors
/// Database errors; what cannot be locked is left to the write itself.
pub async fn lock_many(tx: &mut Tx, ctx: &Ctx, resource: &Resource, ids: Vec<Uuid>) -> AppResult<()> {
    let mut sql = Sql::of(ctx.tenant);
    let scope = sql::scope(&mut sql, resource, "t", ctx, Intent::Write);
    let ids = sql.place(Bind::Ids(ids));
    sql.push(&format!(
        "SELECT t.id FROM {} t WHERE t.tenant_id = $1 AND t.id = ANY({ids}) AND {scope} ORDER BY t.id FOR UPDATE OF t",
        resource.table
    ));
    sql.query().execute(&mut **tx).await?;
    Ok(())
}
