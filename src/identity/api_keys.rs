//! API keys: they act as who made them, limited to a role when one is named; shown once, revoked at once.

use super::resources::API_KEY;
use super::rights;
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{delete, post, web};
use chrono::{DateTime, Utc};
use diesel::sql_query;
use diesel::sql_types::{Binary, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// A key to be made.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What it is for.
    #[schema(max_length = 100, min_length = 1, example = "官网表单")]
    name: String,
    /// The role beyond which it does not reach; without one it reaches as far as you.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    role_id: Option<Uuid>,
    /// When it ends, by real time.
    #[schema(example = "2030-01-01T00:00:00Z")]
    expires_at: Option<DateTime<Utc>>,
}

/// A fresh key. This is the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct FreshApiKey {
    /// Id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// What it is for.
    #[schema(example = "官网表单")]
    name: String,
    /// The key itself, for `Authorization: Bearer …`. Keep it: it is not shown again.
    #[schema(example = "psk_AZfJoF0-fBGeYQxqHI5LKgGXyaBdPnwRnmEMahyOSys")]
    key: String,
    /// Its visible beginning.
    #[schema(example = "psk_AZfJoF0-")]
    prefix: String,
    /// The role beyond which it does not reach.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    role_id: Option<Uuid>,
    /// When it ends.
    #[schema(example = "2030-01-01T00:00:00Z")]
    expires_at: Option<DateTime<Utc>>,
}

/// Stands for the declared schema `ApiKey` in the document.
#[derive(ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyBody {}

/// Make an API key
///
/// The key acts as you, limited to a role when one is named. It is shown in this answer only. What
/// a dry run shows is kept by nobody and opens nothing.
#[utoipa::path(tag = "sign-in", operation_id = "create_api_key", security(("bearer" = ["key.write"])), request_body = NewApiKey, responses((status = 201, body = FreshApiKey)))]
#[post("/v1/api-keys")]
pub async fn create_api_key(
    db: web::Data<Db>,
    shared: Shared,
    command: Command<NewApiKey>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    if ctx.actor_kind == ActorKind::Key {
        return Err(AppError::refuse(
            Code::Forbidden,
            say(
                "A key makes no keys; sign in as a person",
                "API 密钥不能创建密钥,请以个人身份登录",
            ),
        ));
    }
    let id = Uuid::now_v7();
    let (key, prefix, hash) = shared
        .auth
        .secrets
        .new_api_key(ctx.tenant, id)
        .map_err(AppError::internal)?;
    db.write(&ctx, async |tx| {
        check(tx, &ctx, &input).await?;
        insert(tx, &ctx, id, &input, &prefix, &hash).await?;
        let fresh = FreshApiKey {
            id,
            name: input.name.clone(),
            key: key.clone(),
            prefix: prefix.clone(),
            role_id: input.role_id,
            expires_at: input.expires_at,
        };
        Ok(Reply::json(201, &fresh)?
            .with_secret()
            .with_version(1)
            .with_location(format!("/v1/api-keys/{id}")))
    })
    .await
}

async fn check(tx: &mut Tx, ctx: &Ctx, input: &NewApiKey) -> AppResult<()> {
    let mut faults = Vec::new();
    if input.expires_at.is_some_and(|at| at <= ctx.recorded_at) {
        faults.push(Fault::out_of_range(
            "/expires_at",
            "must lie ahead",
            "必须晚于当前时间",
        ));
    }
    let wanted = input.role_id.into_iter().collect::<Vec<_>>();
    let roles = rights::hold_roles(tx, ctx, &wanted, &[]).await?;
    if roles.len() < wanted.len() {
        faults.push(Fault::not_found("/role_id"));
    }
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    for role in &roles {
        rights::require_within_own(ctx, &role.grants()?)?;
    }
    Ok(())
}

async fn insert(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    input: &NewApiKey,
    prefix: &str,
    hash: &[u8],
) -> AppResult<()> {
    let query = sql_query(
        "INSERT INTO api_keys (tenant_id, id, name, user_id, role_id, prefix, secret_hash, expires_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(&input.name)
    .bind::<SqlUuid, _>(ctx.user)
    .bind::<Nullable<SqlUuid>, _>(input.role_id)
    .bind::<Text, _>(prefix)
    .bind::<Binary, _>(hash)
    .bind::<Nullable<Timestamptz>, _>(input.expires_at)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    Cached(query).execute(&mut **tx).await?;
    let data = json!({ "name": input.name, "prefix": prefix, "role_id": input.role_id });
    tx.record(Event::new("api_key.created", "api_key", id, data).and_on("user", Some(ctx.user)));
    Ok(())
}

/// Revoke an API key
///
/// It is void from the next request on, for good.
#[utoipa::path(tag = "sign-in", operation_id = "revoke_api_key", security(("bearer" = ["key.write"])), responses((status = 200, body = ApiKeyBody)))]
#[delete("/v1/api-keys/{id}")]
pub async fn revoke_api_key(id: Id, db: web::Data<Db>, shared: Shared, ctx: Ctx) -> AppResult<Reply> {
    let Id(id) = id;
    let reply = db
        .write(&ctx, async |tx| {
            let locked = store::lock(tx, &ctx, &API_KEY, id, For::Write).await?;
            if locked.record()?.get("revoked_at").is_some_and(|at| !at.is_null()) {
                return Err(AppError::refuse(
                    Code::Conflict,
                    say("It is revoked already", "该密钥已被撤销"),
                ));
            }
            revoke(tx, &ctx, id).await?;
            let mut conn: &AsyncPgConnection = tx;
            let row = store::find(&mut conn, &ctx, &API_KEY, id, None).await?;
            Ok(Reply::raw(200, row.doc).with_version(row.version))
        })
        .await?;
    shared.auth.forget_principals();
    Ok(reply)
}

async fn revoke(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<()> {
    let query = sql_query(
        "UPDATE api_keys SET archived_at = $3, version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    Cached(query).execute(&mut **tx).await?;
    tx.record(Event::new(
        "api_key.revoked",
        "api_key",
        id,
        json!({ "reason": "revoked" }),
    ));
    Ok(())
}
