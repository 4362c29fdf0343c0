//! What a change must satisfy before its row is written.

use super::{faulty, require_visible};
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::records::spec::{Access, Act, Change, Resource};
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use crate::platform::records::{custom, merged, rules};
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::OptionFuture;
use serde_json::Value;
use uuid::Uuid;

pub(super) async fn prepare(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    change: &mut Change,
    mut faults: Vec<Fault>,
) -> AppResult<()> {
    faults.extend(self::faults(tx, ctx, resource, change).await?);
    if !faults.is_empty() {
        let more = particular_faults(tx, ctx, resource, change).await;
        return Err(AppError::invalid(faulty::joined(&faults, more)));
    }
    if change.changed("owner_id") {
        may_assign(ctx, resource, change)?;
    }
    match resource.hooks.before {
        Some(before) => before(tx, ctx, change).await,
        None => Ok(()),
    }
}

/// What the resource's own rules find wrong with a change that is refused anyway, and rolled back. Whatever else they meet
/// may well follow from what is wrong already.
pub(super) async fn particular_faults(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    change: &mut Change,
) -> Vec<Fault> {
    let Some(before) = resource.hooks.before else {
        return Vec::new();
    };
    match before(tx, ctx, change).await {
        Err(AppError::Refused(refusal)) if refusal.code == Code::Invalid => refusal.faults,
        _ => Vec::new(),
    }
}

/// What is wrong with a change by its declaration, by what it refers to and by the company's own fields; its members come
/// out in their normal form.
///
/// # Errors
/// Database errors.
pub(super) async fn faults(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    change: &mut Change,
) -> AppResult<Vec<Fault>> {
    let mut after = std::mem::take(&mut change.after);
    let mut faults = rules::normalise(resource, ctx, &change.before, &mut after, &mut change.warnings);
    change.after = after;
    let has_custom = resource.member("custom").is_some() && custom::is_concerned(ctx, change);
    let (mut conn, mut also): (&AsyncPgConnection, &AsyncPgConnection) = (tx, tx);
    let definitions = has_custom.then(|| custom::definitions(&mut also, ctx.tenant, resource.singular));
    let (references, definitions) = futures::join!(
        reference_faults(&mut conn, ctx, resource, change),
        OptionFuture::from(definitions),
    );
    faults.extend(references?);
    if let Some(definitions) = definitions.transpose()? {
        faults.extend(custom::check(tx, ctx, &definitions, change).await?);
    }
    Ok(faults)
}

/// Giving a record to somebody needs the assigner's reach over both its present and its new owner; where nobody owns it,
/// over the new one, by a right to give. The right to change records is none: with it whoever may edit the record, as one
/// who takes part in it, would take it for themselves, past the pool. It gives what nobody owns only where it reaches
/// everything.
pub fn may_assign(ctx: &Ctx, resource: &Resource, change: &Change) -> AppResult<()> {
    let Access::Owned { assign, unowned, .. } = resource.access else {
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
    let is_unowned = change.act != Act::Create && old.is_none();
    let permission = if is_unowned { unowned } else { assign };
    let within = match ctx.reach(permission) {
        Reach::All => true,
        Reach::Owners(_) if is_unowned && permission == resource.write_permission() => false,
        Reach::Owners(owners) => [old, new]
            .into_iter()
            .flatten()
            .all(|owner| owners.contains(&owner)),
        Reach::Nobody => false,
    };
    if within {
        Ok(())
    } else {
        Err(AppError::forbidden(permission))
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
    conn: &mut &AsyncPgConnection,
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
    let missing: Vec<Missing> = sql.query().load(conn).await?;
    let mut faults = Vec::new();
    for missing in missing {
        let member = resource.columns().find(|member| member.name == missing.name);
        let gone = member.and_then(|member| member.refers.zip(change.id_of(member.name)));
        let survivor = match gone {
            Some((target, id)) => visible_survivor(conn, ctx, target, id).await?,
            None => None,
        };
        let pointer = format!("/{}", missing.name);
        faults.push(match survivor {
            Some(survivor) => Fault::new(
                pointer,
                "merged",
                say(
                    format!("was merged into {survivor}: name that one"),
                    format!("已合并到 {survivor}，请使用该记录"),
                ),
            ),
            None => Fault::not_found(pointer),
        });
    }
    Ok(faults)
}

/// The record that goes on for one that was merged, where the caller sees it.
async fn visible_survivor(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    target: &'static Resource,
    id: Uuid,
) -> AppResult<Option<Uuid>> {
    let Some(survivor) = merged::survivor(conn, ctx, target, id).await? else {
        return Ok(None);
    };
    match require_visible(conn, ctx, target, survivor).await {
        Ok(()) => Ok(Some(survivor)),
        Err(error) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What can newly be referred to: what is not archived, and who is active.
pub fn live_condition(target: &Resource) -> &'static str {
    match target.singular {
        "user" => " AND t.is_active",
        _ if target.has_archive() => " AND t.archived_at IS NULL",
        _ => "",
    }
}
