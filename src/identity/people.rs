//! Commands on people: making them, their roles and passwords. Lock order: the queue, the user, roles.
//!
//! `on_person` is the frame of every command on somebody who is there already, and the one place where such a command is
//! refused over people who hold more than the caller; what is changed of their record is refused by the hook of users.

use super::passwords;
use super::resources::USER;
use super::rights;
use super::sign_in::{company_words, require_strong, store_hash, usable_hash};
use super::staffing::people_changed;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, all_of};
use crate::kernel::fault::Fault;
use crate::kernel::permission::INTEGRATOR;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::store::{self, For, Locked};
use crate::platform::reply::{Reply, add_warnings};
use actix_web::{post, put, web};
use diesel::sql_query;
use diesel::sql_types::{Array, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// Stands for the declared schema `User` in the document.
#[derive(ToSchema)]
#[schema(as = User)]
pub struct UserBody {}

/// Somebody who joins.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Name.
    #[schema(max_length = 100, min_length = 1, example = "李伟")]
    name: String,
    /// Sign-in name, unique in the company.
    #[schema(max_length = 254, format = "email", example = "li@example.com")]
    email: String,
    /// First password, at least 15 characters; without one they cannot sign in yet.
    #[schema(
        max_length = 256,
        min_length = 1,
        format = "password",
        example = "correct horse battery staple"
    )]
    password: Option<String>,
    /// Job title.
    #[schema(max_length = 100, example = "销售代表")]
    job_title: Option<String>,
    /// Office phone.
    #[schema(max_length = 50, min_length = 1, example = "+86 10 6552 9988")]
    phone: Option<String>,
    /// The team they belong to.
    team_id: Option<Uuid>,
    /// Language of what is sent to them.
    #[schema(pattern = "^(en|zh-CN|ru)$", example = "zh-CN")]
    locale: Option<String>,
    /// Roles by id.
    #[serde(default)]
    #[schema(max_items = 50)]
    role_ids: Vec<Uuid>,
    /// Roles by key; the two lists add up.
    #[serde(default)]
    #[schema(max_items = 50, example = json!(["sales_representative"]))]
    role_keys: Vec<String>,
}

/// The roles that somebody is to have.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleSet {
    /// All of them; what is not named is taken away.
    #[schema(max_items = 50)]
    role_ids: Vec<Uuid>,
}

/// A password for somebody else.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// At least 15 characters, none of the common ones.
    #[schema(
        max_length = 256,
        min_length = 1,
        format = "password",
        example = "another horse battery staple"
    )]
    password: String,
}

/// Runs a command on somebody: queued, with their record locked, refused over who holds more than the caller. Whatever the
/// server remembers of people's rights is forgotten afterwards.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `grant_exceeds_own`, and those of `work`.
pub(super) async fn on_person(
    db: &Db,
    shared: &Shared,
    ctx: &Ctx,
    id: Uuid,
    work: impl AsyncFn(&mut Tx, &Locked) -> AppResult<Reply>,
) -> AppResult<Reply> {
    let reply = db
        .write(ctx, async |tx| {
            be_patient(tx).await?;
            rights::queue(tx, ctx).await?;
            let locked = store::lock(tx, ctx, &USER, id, For::Write).await?;
            rights::require_reach(tx, ctx, id).await?;
            work(tx, &locked).await
        })
        .await?;
    shared.auth.forget_principals();
    Ok(reply)
}

/// Waits longer for its locks than others: long work in somebody's name holds their record for as long as a chunk takes,
/// and begins the next one at once. Whoever takes rights away waits for the end of that chunk and is then first.
async fn be_patient(tx: &mut Tx) -> AppResult<()> {
    for setting in [
        "SET LOCAL lock_timeout = '10s'",
        "SET LOCAL statement_timeout = '12s'",
    ] {
        sql_query(setting).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Make a user
///
/// Nobody gives a role that grants more than they hold themselves, nor `integrator`, which is for API keys.
#[utoipa::path(tag = "identity", operation_id = "create_user", security(("bearer" = ["user.write"])), request_body = NewUser, responses((status = 201, body = UserBody)))]
#[post("/v1/users")]
pub async fn create_user(db: web::Data<Db>, shared: Shared, command: Command<NewUser>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let company = company_words(&db, &ctx).await?;
    let about = [&*input.email, &input.name, &company.name, &company.slug];
    let is_strong = || match &input.password {
        Some(password) => require_strong("/password", password, &about),
        None => Ok(()),
    };
    let hash = match &input.password {
        Some(password) if is_strong().is_ok() => Some(passwords::hash(password).await?),
        _ => None,
    };
    let reply = db
        .write(&ctx, async |tx| {
            let (mut written, mut roles) = (None, Vec::new());
            let given = roles_to_give(tx, &ctx, &input.role_ids, &input.role_keys).await;
            let given = given.map(|given| roles = given);
            let made = store::create(tx, &ctx, &USER, None, members_of(&input)).await;
            let made = made.map(|made| written = Some(made));
            all_of([is_strong(), given, made])?;
            let written = written.ok_or_else(|| AppError::internal("a user was not made"))?;
            replace_roles(tx, &ctx, written.id, &[], &roles).await?;
            if let Some(hash) = &hash {
                set_first_password(tx, &ctx, written.id, hash).await?;
            }
            people_changed(tx, &ctx).await?;
            let reply = user_reply(tx, &ctx, 201, written.id, &written.warnings).await?;
            Ok(reply.with_location(format!("/v1/users/{}", written.id)))
        })
        .await?;
    shared.auth.forget_principals();
    Ok(reply)
}

fn members_of(input: &NewUser) -> Map<String, Value> {
    let members = json!({
        "name": input.name,
        "email": input.email,
        "job_title": input.job_title,
        "phone": input.phone,
        "team_id": input.team_id,
        "locale": input.locale,
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

async fn set_first_password(tx: &mut Tx, ctx: &Ctx, user: Uuid, hash: &str) -> AppResult<()> {
    let query = sql_query("UPDATE users SET password_hash = $3 WHERE tenant_id = $1 AND id = $2")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(user)
        .bind::<Text, _>(hash);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// The answer with a user as they now are.
pub(super) async fn user_reply(
    tx: &mut Tx,
    ctx: &Ctx,
    status: u16,
    id: Uuid,
    warnings: &[Fault],
) -> AppResult<Reply> {
    let mut conn: &AsyncPgConnection = tx;
    let row = store::find(&mut conn, ctx, &USER, id, None).await?;
    let mut record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    add_warnings(&mut record, warnings, ctx.lang);
    Ok(Reply::json(status, &record)?.with_version(row.version))
}

fn only_for_keys(pointer: String) -> Fault {
    Fault::invalid(
        pointer,
        "is a role for API keys only; no person has it",
        "该角色仅用于 API 密钥,不能授予用户",
    )
}

/// The roles named, each of which the caller may give; all that cannot be found, or are for API keys, are named at once.
async fn roles_to_give(
    tx: &mut Tx,
    ctx: &Ctx,
    ids: &[Uuid],
    keys: &[String],
) -> AppResult<Vec<rights::Role>> {
    let roles = rights::hold_roles(tx, ctx, ids, keys).await?;
    let unknown_ids = ids
        .iter()
        .enumerate()
        .filter(|(_, id)| !roles.iter().any(|role| role.id == **id))
        .map(|(index, _)| Fault::not_found(format!("/role_ids/{index}")));
    let unknown_keys = keys
        .iter()
        .enumerate()
        .filter(|(_, key)| !roles.iter().any(|role| role.key == **key))
        .map(|(index, _)| Fault::not_found(format!("/role_keys/{index}")));
    let is_for_keys = |role: &rights::Role| role.key == INTEGRATOR;
    let of_keys = |id: &Uuid| roles.iter().any(|role| role.id == *id && is_for_keys(role));
    let ids_of_keys = ids.iter().enumerate().filter(|(_, id)| of_keys(id));
    let keys_of_keys = keys.iter().enumerate().filter(|(_, key)| *key == INTEGRATOR);
    let of_keys = (ids_of_keys.map(|(index, _)| format!("/role_ids/{index}")))
        .chain(keys_of_keys.map(|(index, _)| format!("/role_keys/{index}")));
    let faults = unknown_ids
        .chain(unknown_keys)
        .chain(of_keys.map(only_for_keys))
        .collect::<Vec<_>>();
    if faults.is_empty() {
        Ok(roles)
    } else {
        Err(AppError::invalid(faults))
    }
}

/// Gives exactly these roles; those that are new must lie within the caller's own rights.
async fn replace_roles(
    tx: &mut Tx,
    ctx: &Ctx,
    user: Uuid,
    before: &[Uuid],
    roles: &[rights::Role],
) -> AppResult<()> {
    for role in roles.iter().filter(|role| !before.contains(&role.id)) {
        rights::require_within_own(ctx, &role.grants()?)?;
    }
    let ids = roles.iter().map(|role| role.id).collect::<Vec<_>>();
    if ids == before {
        return Ok(());
    }
    let take =
        sql_query("DELETE FROM user_roles WHERE tenant_id = $1 AND user_id = $2 AND role_id <> ALL($3)")
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<SqlUuid, _>(user)
            .bind::<Array<SqlUuid>, _>(ids.clone());
    Cached(take).execute(&mut **tx).await?;
    let give = sql_query(
        "INSERT INTO user_roles (tenant_id, user_id, role_id) SELECT $1, $2, unnest($3) ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(user)
    .bind::<Array<SqlUuid>, _>(ids.clone());
    Cached(give).execute(&mut **tx).await?;
    let changes = json!({ "changes": { "role_ids": { "before": before, "after": ids } } });
    tx.record(Event::new("user.roles_changed", "user", user, changes));
    Ok(())
}

/// The roles of a locked user, sorted by id.
fn role_ids(record: &Map<String, Value>) -> Vec<Uuid> {
    let ids = record.get("role_ids").and_then(Value::as_array);
    ids.into_iter()
        .flatten()
        .filter_map(|id| Uuid::parse_str(id.as_str()?).ok())
        .collect()
}

pub(super) fn is_active(record: &Map<String, Value>) -> bool {
    record.get("is_active") == Some(&Value::Bool(true))
}

async fn touch(tx: &mut Tx, ctx: &Ctx, user: Uuid) -> AppResult<()> {
    let query =
        sql_query("UPDATE users SET version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2")
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<SqlUuid, _>(user)
            .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Set somebody's roles
///
/// Replaces all roles of a user. Nobody changes their own or those of somebody who holds more, nobody gives more than they
/// hold, and the last active administrator stays one. `integrator` is for API keys and given to nobody. Felt on the user's
/// next request.
#[utoipa::path(tag = "identity", operation_id = "set_user_roles", security(("bearer" = ["user.write"])), request_body = RoleSet, responses((status = 200, body = UserBody)))]
#[put("/v1/users/{id}/roles")]
pub async fn set_user_roles(
    id: Id,
    db: web::Data<Db>,
    shared: Shared,
    command: Command<RoleSet>,
) -> AppResult<Reply> {
    let Id(id) = id;
    let Command { ctx, input } = command;
    on_person(&db, &shared, &ctx, id, async |tx, locked| {
        if id == ctx.user {
            return Err(own_roles());
        }
        let before = role_ids(&locked.record()?);
        let roles = roles_to_give(tx, &ctx, &input.role_ids, &[]).await?;
        replace_roles(tx, &ctx, id, &before, &roles).await?;
        rights::require_an_administrator(tx, &ctx).await?;
        touch(tx, &ctx, id).await?;
        people_changed(tx, &ctx).await?;
        user_reply(tx, &ctx, 200, id, &[]).await
    })
    .await
}

fn own_roles() -> AppError {
    AppError::refuse(
        Code::OwnRoles,
        say("These are your own roles", "这是您自己的角色"),
    )
}

/// Set somebody's password
///
/// For a colleague who lost theirs; ends all their sessions. Refused over somebody who holds more than you: with their
/// password you would hold it too.
#[utoipa::path(tag = "identity", operation_id = "set_user_password", security(("bearer" = ["user.write"])), request_body = NewPassword, responses((status = 200, body = UserBody)))]
#[post("/v1/users/{id}/set-password")]
pub async fn set_user_password(
    id: Id,
    db: web::Data<Db>,
    shared: Shared,
    command: Command<NewPassword>,
) -> AppResult<Reply> {
    let Id(id) = id;
    let Command { ctx, input } = command;
    let company = company_words(&db, &ctx).await?;
    let hash = usable_hash("/password", &input.password, &[&company.name, &company.slug]).await?;
    on_person(&db, &shared, &ctx, id, async |tx, locked| {
        if id == ctx.user {
            return Err(AppError::refuse(
                Code::Conflict,
                say(
                    "Change your own password with /v1/auth/change-password",
                    "请使用 /v1/auth/change-password 修改自己的密码",
                ),
            ));
        }
        let person = locked.record()?;
        let said = ["email", "name"].map(|member| person.get(member).and_then(Value::as_str));
        let about = said.into_iter().flatten().collect::<Vec<_>>();
        require_strong("/password", &input.password, &about)?;
        store_hash(tx, &ctx, id, &hash).await?;
        user_reply(tx, &ctx, 200, id, &[]).await
    })
    .await
}
