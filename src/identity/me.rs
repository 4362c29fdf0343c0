//! Who one is, and what one may do.

use super::resources::USER;
use super::rows::JsonRow;
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::permission::{PERMISSIONS, Scope};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db};
use crate::platform::gatekeeper::{Command, Shared};
use crate::platform::records::store;
use crate::platform::reply::{Reply, add_warnings};
use actix_web::{get, patch, web};
use chrono::{DateTime, Utc};
use diesel::sql_query;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// The caller, with everything that decides what they may do.
#[derive(Serialize, ToSchema)]
pub struct Me {
    #[serde(flatten)]
    person: Myself,
    /// Permission to data scope: what all roles grant together, within the key's role for an API key.
    #[schema(example = json!({"opportunity.read": "own", "pool.read": "all"}))]
    permissions: BTreeMap<String, Scope>,
    /// The API key that is calling; null for a signed-in person.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    api_key_id: Option<Uuid>,
}

/// The person.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Myself {
    /// Id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// Name.
    #[schema(example = "李伟")]
    name: String,
    /// Sign-in name.
    #[schema(example = "li@example.com")]
    email: String,
    /// Job title.
    #[schema(example = "销售代表")]
    job_title: Option<String>,
    /// Office phone.
    #[schema(example = "+86 10 6552 9988")]
    phone: Option<String>,
    /// Language of what is sent to you.
    #[schema(example = "zh-CN")]
    locale: Option<String>,
    /// Start of an absence.
    #[schema(example = "2024-03-15T08:30:00Z")]
    away_from: Option<DateTime<Utc>>,
    /// End of an absence.
    #[schema(example = "2024-03-22T08:30:00Z")]
    away_until: Option<DateTime<Utc>>,
    /// Who decides approvals for you while you are away.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    delegate_id: Option<Uuid>,
    /// Version of your user record, for If-Match.
    #[schema(example = 1)]
    version: i32,
    /// Your company.
    company: MyCompany,
    /// Your team.
    team: Option<MyTeam>,
    /// Your roles.
    roles: Vec<MyRole>,
}

/// The company one works for.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MyCompany {
    /// Id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// Name.
    #[schema(example = "示例科技有限公司")]
    name: String,
    /// Short name for sign-in.
    #[schema(example = "acme")]
    slug: String,
    /// ISO 4217 code.
    #[schema(example = "CNY")]
    currency: String,
    /// IANA time zone.
    #[schema(example = "Asia/Shanghai")]
    time_zone: String,
    /// Whether it is a sandbox with a clock of its own.
    #[schema(example = false)]
    is_sandbox: bool,
}

/// The team one belongs to.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MyTeam {
    /// Id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// Name.
    #[schema(example = "华东销售一组")]
    name: String,
}

/// A role one has.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MyRole {
    /// Id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// Stable key.
    #[schema(example = "sales_representative")]
    key: String,
    /// Name.
    #[schema(example = "销售代表")]
    name: String,
}

/// Changes to oneself: a missing member is left alone, null clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema alone is used: a merge patch stays a map")]
pub struct MePatch {
    /// Name.
    #[schema(max_length = 100, min_length = 1, nullable = false, example = "李伟")]
    name: Option<String>,
    /// Office phone.
    #[schema(max_length = 50, min_length = 1, example = "+86 10 6552 9988")]
    phone: Option<String>,
    /// Language of what is sent to you.
    #[schema(pattern = "^(en|zh-CN|ru)$", example = "zh-CN")]
    locale: Option<String>,
    /// Start of an absence.
    #[schema(example = "2024-03-15T08:30:00Z")]
    away_from: Option<DateTime<Utc>>,
    /// End of an absence.
    #[schema(example = "2024-03-22T08:30:00Z")]
    away_until: Option<DateTime<Utc>>,
    /// An active colleague who decides approvals for you while you are away.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    delegate_id: Option<Uuid>,
}

const SELECT: &str = "SELECT json_build_object('id', u.id, 'name', u.name, 'email', u.email, 'job_title', u.job_title, \
     'phone', u.phone, 'locale', u.locale, 'away_from', instant_text(u.away_from), 'away_until', instant_text(u.away_until), \
     'delegate_id', u.delegate_id, 'version', u.version, \
     'company', (SELECT json_build_object('id', c.tenant_id, 'name', c.name, 'slug', c.slug, 'currency', c.currency, \
        'time_zone', c.time_zone, 'is_sandbox', c.sandbox_now IS NOT NULL) FROM tenants c WHERE c.tenant_id = $1), \
     'team', (SELECT json_build_object('id', t.id, 'name', t.name) FROM teams t WHERE t.tenant_id = $1 AND t.id = u.team_id), \
     'roles', (SELECT coalesce(json_agg(json_build_object('id', r.id, 'key', r.key, 'name', r.name) ORDER BY r.key), '[]'::json) \
        FROM user_roles ur JOIN roles r ON r.tenant_id = $1 AND r.id = ur.role_id AND r.archived_at IS NULL \
        WHERE ur.tenant_id = $1 AND ur.user_id = u.id)) AS value \
     FROM users u WHERE u.tenant_id = $1 AND u.id = $2";

async fn load(conn: &mut &AsyncPgConnection, ctx: &Ctx) -> AppResult<Me> {
    let query = sql_query(SELECT)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(ctx.user);
    let row: JsonRow = Cached(query).get_result(conn).await?;
    Ok(Me {
        person: serde_json::from_value(row.value).map_err(AppError::internal)?,
        permissions: ctx.principal.grants.clone(),
        api_key_id: ctx.actor_id.filter(|_| ctx.actor_kind == ActorKind::Key),
    })
}

/// Who am I
///
/// The caller with company, team, roles, and every permission with its data scope.
#[utoipa::path(tag = "identity", operation_id = "get_me", security(("bearer" = [])), responses((status = 200, body = Me)))]
#[get("/v1/me")]
pub async fn get_me(db: web::Data<Db>, ctx: Ctx) -> AppResult<Reply> {
    let me = db.read(async |conn| load(conn, &ctx).await).await?;
    Ok(Reply::ok(&me)?.with_weak_tag())
}

/// Change oneself
///
/// Name, phone, language, absence and stand-in. Everything else about a user is an administrator's to change. Only the
/// person themselves, signed in: an API key is refused with 409, whatever its role, since by absence and stand-in it would
/// send their approvals to somebody else.
#[utoipa::path(tag = "identity", operation_id = "update_me", security(("bearer" = [])), request_body = MePatch, responses((status = 200, body = Me)))]
#[patch("/v1/me")]
pub async fn update_me(
    db: web::Data<Db>,
    shared: Shared,
    command: Command<Map<String, Value>>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    if ctx.actor_kind == ActorKind::Key {
        return Err(AppError::refuse(
            Code::Conflict,
            say(
                "A key changes nothing of the person it acts for; sign in as a person",
                "API 密钥不能更改其所属用户的个人信息,请以个人身份登录",
            ),
        ));
    }
    let over_oneself = over_oneself(&ctx);
    let reply = db
        .write(&ctx, async |tx| {
            let written = store::update(tx, &over_oneself, &USER, None, ctx.user, input.clone()).await?;
            let mut conn: &AsyncPgConnection = tx;
            let me = load(&mut conn, &ctx).await?;
            let mut body = match serde_json::to_value(&me).map_err(AppError::internal)? {
                Value::Object(body) => body,
                _ => Map::new(),
            };
            add_warnings(&mut body, &written.warnings, ctx.lang);
            Ok(Reply::ok(&body)?.with_weak_tag())
        })
        .await?;
    shared.auth.forget_principals();
    Ok(reply)
}

/// The same terms with the right to change users; only ever used on the caller's own record.
fn over_oneself(ctx: &Ctx) -> Ctx {
    let mut principal = (*ctx.principal).clone();
    for permission in [USER.read_permission(), USER.write_permission()] {
        principal.grants.insert(permission, Scope::All);
    }
    Ctx {
        principal: Arc::new(principal),
        ..ctx.clone()
    }
}

/// A permission that roles can grant.
#[derive(Serialize, ToSchema)]
pub struct PermissionView {
    /// `resource.action`.
    #[schema(example = "opportunity.advance")]
    permission: &'static str,
    /// What it allows.
    #[schema(example = "Advance opportunities and take them back")]
    meaning: &'static str,
    /// The data scopes in which a role can grant it: of what nobody owns `all` alone.
    #[schema(example = json!(["own", "team", "team_tree", "all"]))]
    scopes: &'static [Scope],
}

/// Permissions
///
/// Lists every permission that a role can grant, with what it allows and over what.
#[utoipa::path(tag = "reference", operation_id = "list_permissions", security(("bearer" = [])), responses((status = 200, body = Vec<PermissionView>)))]
#[get("/v1/permissions")]
pub async fn list_permissions(_ctx: Ctx) -> AppResult<Reply> {
    let all = PERMISSIONS
        .iter()
        .map(|known| PermissionView {
            permission: known.name,
            meaning: known.meaning,
            scopes: known.scopes(),
        })
        .collect::<Vec<_>>();
    Ok(Reply::ok(&all)?.with_weak_tag())
}
