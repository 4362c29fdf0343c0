//! Approval processes and their versions: drafts are edited, a published version never changes.

use super::definition::{ProcessDocument, SubjectKind};
use super::publishing::{Known, faults, reservations};
use super::resources::APPROVAL_PROCESS;
use super::subjects::Subjects;
use super::{queries, shipped};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::{custom, versions};
use crate::schema::{approval_process_versions, approval_processes, roles, teams};
use chrono::{DateTime, Utc};
use diesel::dsl::max;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use uuid::Uuid;

/// A row of `approval_process_versions`.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = approval_process_versions, check_for_backend(diesel::pg::Pg))]
pub struct VersionRow {
    pub id: Uuid,
    pub process_id: Uuid,
    pub number: i32,
    pub state: String,
    pub document: Value,
    pub published_at: Option<DateTime<Utc>>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Makes a process with its first draft.
///
/// # Errors
/// `duplicate` when the company has a process with this key.
pub async fn create(tx: &mut Tx, ctx: &Ctx, document: &ProcessDocument) -> AppResult<VersionRow> {
    let id = Uuid::now_v7();
    let subject_kind: &'static str = document.subject_kind.into();
    diesel::insert_into(approval_processes::table)
        .values((
            approval_processes::tenant_id.eq(ctx.tenant),
            approval_processes::id.eq(id),
            approval_processes::key.eq(&document.key),
            approval_processes::name.eq(&document.name),
            approval_processes::subject_kind.eq(subject_kind),
            approval_processes::created_at.eq(ctx.now),
            approval_processes::updated_at.eq(ctx.now),
        ))
        .execute(&mut **tx)
        .await?;
    tx.record(Event::new(
        "approval_process.created",
        APPROVAL_PROCESS.singular,
        id,
        json!({ "key": document.key, "name": document.name, "subject_kind": subject_kind }),
    ));
    insert_version(tx, ctx, id, 1, document).await
}

/// The shipped process with this key.
///
/// # Errors
/// `invalid` when none has it.
pub fn template(key: &str) -> AppResult<ProcessDocument> {
    let all = shipped::processes().map_err(AppError::internal)?;
    let found = all.into_iter().find(|process| process.key == key);
    found.ok_or_else(|| AppError::invalid(vec![Fault::not_found("/template")]))
}

async fn insert_version(
    tx: &mut Tx,
    ctx: &Ctx,
    process: Uuid,
    number: i32,
    document: &ProcessDocument,
) -> AppResult<VersionRow> {
    let stored = serde_json::to_value(document.with_currency()).map_err(AppError::internal)?;
    let row = diesel::insert_into(approval_process_versions::table)
        .values((
            approval_process_versions::tenant_id.eq(ctx.tenant),
            approval_process_versions::id.eq(Uuid::now_v7()),
            approval_process_versions::process_id.eq(process),
            approval_process_versions::number.eq(number),
            approval_process_versions::document.eq(stored),
            approval_process_versions::created_at.eq(ctx.now),
            approval_process_versions::updated_at.eq(ctx.now),
        ))
        .returning(VersionRow::as_returning())
        .get_result(&mut **tx)
        .await?;
    record(tx, "created", &row, json!({ "number": number }));
    Ok(row)
}

fn record(tx: &mut Tx, what: &str, version: &VersionRow, data: Value) {
    let event = Event::new(
        format!("approval_process_version.{what}"),
        "approval_process_version",
        version.id,
        data,
    );
    tx.record(event.and_on(APPROVAL_PROCESS.singular, Some(version.process_id)));
}

/// The newest version of a process in that state.
///
/// # Errors
/// Database errors.
pub async fn version_in(
    conn: queries::Conn<'_, '_>,
    tenant: Uuid,
    process: Uuid,
    state: &str,
) -> AppResult<Option<VersionRow>> {
    let found = approval_process_versions::table
        .filter(approval_process_versions::tenant_id.eq(tenant))
        .filter(approval_process_versions::process_id.eq(process))
        .filter(approval_process_versions::state.eq(state))
        .order(approval_process_versions::number.desc())
        .select(VersionRow::as_select())
        .first(conn)
        .await;
    Ok(found.optional()?)
}

/// The number after all that a locked process has.
async fn next_number(tx: &mut Tx, ctx: &Ctx, process: Uuid) -> AppResult<i32> {
    let newest = approval_process_versions::table
        .filter(approval_process_versions::tenant_id.eq(ctx.tenant))
        .filter(approval_process_versions::process_id.eq(process))
        .select(max(approval_process_versions::number))
        .first::<Option<i32>>(&mut **tx)
        .await?;
    Ok(newest.unwrap_or(0) + 1)
}

/// One version of a process.
///
/// # Errors
/// `not_found`.
pub async fn version(
    conn: queries::Conn<'_, '_>,
    tenant: Uuid,
    process: Uuid,
    number: i32,
) -> AppResult<VersionRow> {
    approval_process_versions::table
        .filter(approval_process_versions::tenant_id.eq(tenant))
        .filter(approval_process_versions::process_id.eq(process))
        .filter(approval_process_versions::number.eq(number))
        .select(VersionRow::as_select())
        .first(conn)
        .await
        .optional()?
        .or_not_found()
}

struct Head {
    key: String,
    subject_kind: String,
    name: String,
    published_number: Option<i32>,
    version: i32,
}

/// Key, subject kind, name, published number, version, and when it was archived.
type HeadRow = (String, String, String, Option<i32>, i32, Option<DateTime<Utc>>);

/// Locks a process for a change of its versions.
async fn lock(tx: &mut Tx, ctx: &Ctx, process: Uuid) -> AppResult<Head> {
    use approval_processes as t;
    let found: Option<HeadRow> = t::table
        .find((ctx.tenant, process))
        .for_update()
        .select((
            t::key,
            t::subject_kind,
            t::name,
            t::published_number,
            t::version,
            t::archived_at,
        ))
        .first(&mut **tx)
        .await
        .optional()?;
    let (key, subject_kind, name, published_number, version, archived_at) = found.or_not_found()?;
    if archived_at.is_some() {
        let detail = say("It is archived; restore it first", "已归档,请先恢复");
        return Err(AppError::refuse(Code::Archived, detail));
    }
    Ok(Head {
        key,
        subject_kind,
        name,
        published_number,
        version,
    })
}

/// Begins a new draft: a copy of what is published. A process has one draft at a time.
///
/// # Errors
/// `not_found`, `archived`; `conflict` when there is a draft already.
pub async fn new_draft(tx: &mut Tx, ctx: &Ctx, process: Uuid) -> AppResult<VersionRow> {
    lock(tx, ctx, process).await?;
    let draft = version_in(&mut &**tx, ctx.tenant, process, "draft").await?;
    versions::require_no_draft(draft.map(|draft| draft.number))?;
    let published = version_in(&mut &**tx, ctx.tenant, process, "published").await?;
    let document = read(&published.or_not_found()?)?;
    let number = next_number(tx, ctx, process).await?;
    insert_version(tx, ctx, process, number, &document).await
}

/// # Errors
/// When the stored document cannot be read: a bug.
pub fn read(version: &VersionRow) -> AppResult<ProcessDocument> {
    serde_json::from_value(version.document.clone()).map_err(AppError::internal)
}

/// Replaces the document of a draft. Key and kind of subject stay those of the process.
///
/// # Errors
/// `not_found`, `archived`, `version_published`, `stale`, `invalid`.
pub async fn edit(
    tx: &mut Tx,
    ctx: &Ctx,
    process: Uuid,
    number: i32,
    document: &ProcessDocument,
) -> AppResult<VersionRow> {
    let head = lock(tx, ctx, process).await?;
    let before = draft(tx, ctx, process, number).await?;
    ctx.if_match(before.version)?;
    stays(&head, document)?;
    let stored = serde_json::to_value(document.with_currency()).map_err(AppError::internal)?;
    let row = diesel::update(approval_process_versions::table.find((ctx.tenant, before.id)))
        .set((
            approval_process_versions::document.eq(stored),
            approval_process_versions::version.eq(before.version + 1),
            approval_process_versions::updated_at.eq(ctx.now),
        ))
        .returning(VersionRow::as_returning())
        .get_result(&mut **tx)
        .await?;
    let changes = json!({ "document": { "before": before.document, "after": row.document } });
    record(
        tx,
        "updated",
        &row,
        json!({ "number": number, "changes": changes }),
    );
    Ok(row)
}

fn stays(head: &Head, document: &ProcessDocument) -> AppResult<()> {
    let kind: &'static str = document.subject_kind.into();
    let fault = |pointer: &str| {
        Fault::invalid(
            pointer,
            "stays as it was when the process was made",
            "流程创建后不可更改",
        )
    };
    let mut faults = Vec::new();
    if document.key != head.key {
        faults.push(fault("/document/key"));
    }
    if kind != head.subject_kind {
        faults.push(fault("/document/subject_kind"));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

/// A version that is still a draft.
async fn draft(tx: &mut Tx, ctx: &Ctx, process: Uuid, number: i32) -> AppResult<VersionRow> {
    let found = version(&mut &**tx, ctx.tenant, process, number).await?;
    versions::require_draft(number, &found.state)?;
    Ok(found)
}

/// Publishes a draft: from now on new requests freeze it, those that run keep theirs. What is doubtful of it is told.
///
/// # Errors
/// `not_publishable` with every fault; else as [`edit`].
pub async fn publish(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    process: Uuid,
    number: i32,
) -> AppResult<(VersionRow, Vec<Warning>)> {
    use approval_process_versions as v;
    let head = lock(tx, ctx, process).await?;
    let found = draft(tx, ctx, process, number).await?;
    ctx.if_match(found.version)?;
    let document = read(&found)?;
    custom::hold(tx, ctx.tenant, &[document.subject_kind.into()]).await?;
    let warnings = check(tx, ctx, subjects, &document).await?;
    diesel::update(
        v::table
            .filter(v::tenant_id.eq(ctx.tenant))
            .filter(v::process_id.eq(process))
            .filter(v::state.eq("published")),
    )
    .set((v::state.eq("retired"), v::updated_at.eq(ctx.now)))
    .execute(&mut **tx)
    .await?;
    let row = diesel::update(v::table.find((ctx.tenant, found.id)))
        .set((
            v::state.eq("published"),
            v::published_at.eq(ctx.now),
            v::version.eq(found.version + 1),
            v::updated_at.eq(ctx.now),
        ))
        .returning(VersionRow::as_returning())
        .get_result(&mut **tx)
        .await?;
    head_follows(tx, ctx, process, &head, &document, number).await?;
    record(tx, "published", &row, json!({ "number": number }));
    Ok((row, warnings))
}

async fn head_follows(
    tx: &mut Tx,
    ctx: &Ctx,
    process: Uuid,
    head: &Head,
    document: &ProcessDocument,
    number: i32,
) -> AppResult<()> {
    diesel::update(approval_processes::table.find((ctx.tenant, process)))
        .set((
            approval_processes::name.eq(&document.name),
            approval_processes::published_number.eq(number),
            approval_processes::version.eq(head.version + 1),
            approval_processes::updated_at.eq(ctx.now),
        ))
        .execute(&mut **tx)
        .await?;
    let changes = json!({
        "name": { "before": head.name, "after": document.name },
        "published_number": { "before": head.published_number, "after": number },
    });
    tx.record(Event::new(
        "approval_process.published",
        APPROVAL_PROCESS.singular,
        process,
        json!({ "changes": changes }),
    ));
    Ok(())
}

/// Refuses with everything that keeps a document from being published; answers what is doubtful of it. Pointers begin with
/// `/document`.
async fn check(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    document: &ProcessDocument,
) -> AppResult<Vec<Warning>> {
    let known = known(tx, ctx, subjects, document.subject_kind).await?;
    let placed = |mut found: Vec<Fault>| {
        for fault in &mut found {
            fault.pointer = format!("/document{}", fault.pointer);
        }
        found
    };
    let found = placed(faults(document, &known));
    if found.is_empty() {
        return Ok(placed(reservations(document, &known)));
    }
    let count = found.len();
    let detail = say(
        format!("{count} fault(s) in the draft; nothing was published"),
        format!("草稿中有 {count} 处错误,未发布"),
    );
    Err(AppError::refuse(Code::NotPublishable, detail).with_faults(found))
}

async fn known(tx: &mut Tx, ctx: &Ctx, subjects: Subjects, kind: SubjectKind) -> AppResult<Known> {
    let subject = subjects.get(kind)?;
    let people = queries::people(&mut &**tx, ctx).await?;
    let role_keys = roles::table
        .filter(roles::tenant_id.eq(ctx.tenant))
        .filter(roles::archived_at.is_null())
        .select(roles::key)
        .load::<String>(&mut **tx)
        .await?;
    let team_ids = teams::table
        .filter(teams::tenant_id.eq(ctx.tenant))
        .filter(teams::archived_at.is_null())
        .select(teams::id)
        .load::<Uuid>(&mut **tx)
        .await?;
    let staffed = role_keys.iter().filter(|role| !people.with_role(role).is_empty());
    Ok(Known {
        users: people.active().collect(),
        staffed_roles: staffed.cloned().collect(),
        roles: role_keys.into_iter().collect(),
        teams: team_ids.into_iter().collect(),
        members: subject.members(tx, ctx).await?,
        vocabulary: subject.vocabulary(tx, ctx).await?,
    })
}
