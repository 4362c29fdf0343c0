//! Who is calling: from a token or key to a principal, with short caches that any change of rights empties.

use super::clock;
use super::db::{Cached, Db};
use super::tokens::{Claims, Secrets};
use crate::kernel::ctx::{ActorKind, Company, Duplicates, OnArrival, OnDuplicate, Principal};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::permission::{self, Grants};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Binary, Json, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use moka::sync::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a principal is remembered: the bound within which another server feels a change of rights.
const PRINCIPAL_SECONDS: u64 = 3;
const TOKEN_SECONDS: u64 = 60;

/// A caller, authenticated.
#[derive(Clone)]
pub struct Caller {
    pub principal: Arc<Principal>,
    pub actor_kind: ActorKind,
    pub actor_id: Uuid,
    /// The refresh family of a signed-in person.
    pub session: Option<Uuid>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Credential {
    Session { tenant: Uuid, user: Uuid, session: Uuid },
    Key { tenant: Uuid, id: Uuid },
}

/// Verifies credentials for all workers.
pub struct Auth {
    pub secrets: Arc<Secrets>,
    tokens: Cache<[u8; 32], Claims>,
    principals: Cache<Credential, (Arc<Principal>, Vec<u8>)>,
}

impl Auth {
    pub fn new(secrets: Arc<Secrets>) -> Auth {
        Auth {
            secrets,
            tokens: Cache::builder()
                .max_capacity(20_000)
                .time_to_live(Duration::from_secs(TOKEN_SECONDS))
                .build(),
            principals: Cache::builder()
                .max_capacity(20_000)
                .time_to_live(Duration::from_secs(PRINCIPAL_SECONDS))
                .build(),
        }
    }

    /// Forgets every remembered principal. Called after a committed change of users, teams, roles, keys or settings.
    pub fn forget_principals(&self) {
        self.principals.invalidate_all();
    }

    /// # Errors
    /// `unauthenticated` for every bad credential, in the same words.
    pub async fn authenticate(&self, db: &Db, authorization: Option<&str>) -> AppResult<Caller> {
        let token = authorization.and_then(bearer).ok_or_else(unauthenticated)?;
        if token.starts_with("psk_") {
            self.by_key(db, token).await
        } else {
            self.by_token(db, token).await
        }
    }

    async fn by_token(&self, db: &Db, token: &str) -> AppResult<Caller> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let now = clock::real_now();
        let claims = match self.tokens.get(&digest) {
            Some(claims) if claims.exp > now.timestamp() => claims,
            Some(_) => return Err(unauthenticated()),
            None => {
                let claims = self.secrets.verify_access(token).ok_or_else(unauthenticated)?;
                self.tokens.insert(digest, claims.clone());
                claims
            }
        };
        let credential = Credential::Session {
            tenant: claims.tenant,
            user: claims.sub,
            session: claims.sid,
        };
        let principal = match self.principals.get(&credential) {
            Some((principal, _)) => principal,
            None => {
                let loaded = load_principal(db, claims.tenant, claims.sub, Some(claims.sid), None).await?;
                let principal = Arc::new(loaded.ok_or_else(unauthenticated)?);
                self.principals
                    .insert(credential, (Arc::clone(&principal), Vec::new()));
                principal
            }
        };
        if claims.iat < principal.sessions_valid_from.timestamp() {
            return Err(unauthenticated());
        }
        Ok(Caller {
            actor_id: principal.user,
            principal,
            actor_kind: ActorKind::User,
            session: Some(claims.sid),
        })
    }

    async fn by_key(&self, db: &Db, key: &str) -> AppResult<Caller> {
        let (tenant, id, hash) = self.secrets.read_api_key(key).ok_or_else(unauthenticated)?;
        let credential = Credential::Key { tenant, id };
        let (principal, expected) = match self.principals.get(&credential) {
            Some(found) => found,
            None => {
                let found = load_key(db, tenant, id).await?.ok_or_else(unauthenticated)?;
                self.principals.insert(credential, found.clone());
                found
            }
        };
        aws_lc_rs::constant_time::verify_slices_are_equal(&hash, &expected).map_err(|_| unauthenticated())?;
        Ok(Caller {
            principal,
            actor_kind: ActorKind::Key,
            actor_id: id,
            session: None,
        })
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= 4096).then(|| token.trim())
}

/// The one answer to every bad credential.
pub fn unauthenticated() -> AppError {
    AppError::refuse(
        Code::Unauthenticated,
        say(
            "Sign in first: the token is missing, expired or revoked",
            "请先登录:令牌缺失、过期或已撤销",
        ),
    )
}

#[derive(QueryableByName)]
struct JsonRow {
    #[diesel(sql_type = Json)]
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct PrincipalRow {
    id: Uuid,
    name: String,
    email: String,
    team: Option<Uuid>,
    grants: Vec<Grants>,
    team_users: Vec<Uuid>,
    team_tree_users: Vec<Uuid>,
    sessions_valid_from: DateTime<Utc>,
    company: CompanyRow,
}

#[derive(Deserialize)]
pub struct CompanyRow {
    name: String,
    currency: String,
    time_zone: String,
    is_phone_strict: bool,
    grade_a_days: i32,
    grade_b_months: i32,
    is_sandbox: bool,
    account_duplicates: OnDuplicate,
    contact_duplicates: OnDuplicate,
    lead_duplicates: OnDuplicate,
    intake_duplicates: OnArrival,
}

impl From<CompanyRow> for Company {
    fn from(row: CompanyRow) -> Company {
        Company {
            name: row.name,
            currency: row.currency,
            time_zone: row.time_zone.parse().unwrap_or(chrono_tz::UTC),
            is_phone_strict: row.is_phone_strict,
            grade_a_days: row.grade_a_days,
            grade_b_months: row.grade_b_months,
            is_sandbox: row.is_sandbox,
            duplicates: Duplicates {
                accounts: row.account_duplicates,
                contacts: row.contact_duplicates,
                leads: row.lead_duplicates,
                intake: row.intake_duplicates,
            },
        }
    }
}

const COMPANY: &str = "SELECT json_build_object('name', c.name, 'currency', c.currency, 'time_zone', c.time_zone, \
     'is_phone_strict', c.is_phone_strict, 'grade_a_days', c.grade_a_days, 'grade_b_months', c.grade_b_months, \
     'account_duplicates', c.account_duplicates, 'contact_duplicates', c.contact_duplicates, \
     'lead_duplicates', c.lead_duplicates, 'intake_duplicates', c.intake_duplicates, \
     'is_sandbox', c.sandbox_now IS NOT NULL) AS value FROM tenants c WHERE c.tenant_id = $1";

/// $1 tenant, $2 user, $3 session or NULL. The team of a leader counts as theirs, member or not.
fn principal_sql() -> String {
    format!(
        "WITH RECURSIVE roots AS ( \
            SELECT u.team_id AS id FROM users u WHERE u.tenant_id = $1 AND u.id = $2 AND u.team_id IS NOT NULL \
            UNION SELECT t.id FROM teams t WHERE t.tenant_id = $1 AND t.leader_id = $2 AND t.archived_at IS NULL \
         ), tree AS ( \
            SELECT id FROM roots UNION SELECT t.id FROM teams t JOIN tree ON t.parent_id = tree.id WHERE t.tenant_id = $1 \
         ) \
         SELECT json_build_object('id', u.id, 'name', u.name, 'email', u.email, 'team', u.team_id, \
            'sessions_valid_from', u.sessions_valid_from, \
            'grants', coalesce((SELECT json_agg(r.grants) FROM user_roles ur \
                JOIN roles r ON r.tenant_id = $1 AND r.id = ur.role_id AND r.archived_at IS NULL \
                WHERE ur.tenant_id = $1 AND ur.user_id = u.id), '[]'), \
            'team_users', (SELECT json_agg(m.id) FROM users m WHERE m.tenant_id = $1 AND (m.id = u.id OR m.team_id IN (SELECT id FROM roots))), \
            'team_tree_users', (SELECT json_agg(m.id) FROM users m WHERE m.tenant_id = $1 AND (m.id = u.id OR m.team_id IN (SELECT id FROM tree))), \
            'company', ({COMPANY})) AS value \
         FROM users u WHERE u.tenant_id = $1 AND u.id = $2 AND u.is_active AND u.archived_at IS NULL \
            AND NOT EXISTS (SELECT 1 FROM refresh_tokens f WHERE f.tenant_id = $1 AND f.family_id = $3 AND f.revoked_at IS NOT NULL)"
    )
}

/// Loads a principal; `None` when the user is gone, deactivated, or signed out of that session. `limit`: the grants of a
/// key's role, beyond which the key does not reach.
async fn load_principal(
    db: &Db,
    tenant: Uuid,
    user: Uuid,
    session: Option<Uuid>,
    limit: Option<Grants>,
) -> AppResult<Option<Principal>> {
    let sql = principal_sql();
    let row = db
        .read(async |conn| {
            let query = sql_query(&sql)
                .bind::<SqlUuid, _>(tenant)
                .bind::<SqlUuid, _>(user)
                .bind::<Nullable<SqlUuid>, _>(session);
            Ok(Cached(query).get_result::<JsonRow>(conn).await.optional()?)
        })
        .await?;
    let Some(row) = row else { return Ok(None) };
    let row: PrincipalRow = serde_json::from_value(row.value).map_err(AppError::internal)?;
    let mut grants = permission::union(&row.grants);
    if let Some(limit) = limit {
        grants = permission::within(grants, &limit);
    }
    Ok(Some(Principal {
        tenant,
        user,
        name: row.name,
        email: row.email,
        team: row.team,
        grants,
        team_users: row.team_users,
        team_tree_users: row.team_tree_users,
        company: Arc::new(row.company.into()),
        sessions_valid_from: row.sessions_valid_from,
    })
    .filter(|_| row.id == user))
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Binary)]
    secret_hash: Vec<u8>,
    #[diesel(sql_type = Nullable<Json>)]
    grants: Option<serde_json::Value>,
}

async fn load_key(db: &Db, tenant: Uuid, id: Uuid) -> AppResult<Option<(Arc<Principal>, Vec<u8>)>> {
    let now = clock::real_now();
    let row: Option<KeyRow> = db
        .read(async |conn| {
            let query = sql_query(
                "WITH used AS (UPDATE api_keys SET last_used_at = $3 WHERE tenant_id = $1 AND id = $2) \
                 SELECT k.user_id, k.secret_hash, r.grants::json AS grants FROM api_keys k \
                 LEFT JOIN roles r ON r.tenant_id = $1 AND r.id = k.role_id \
                 WHERE k.tenant_id = $1 AND k.id = $2 AND k.archived_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $3)",
            )
            .bind::<SqlUuid, _>(tenant)
            .bind::<SqlUuid, _>(id)
            .bind::<Timestamptz, _>(now);
            Ok(Cached(query).get_result(conn).await.optional()?)
        })
        .await?;
    let Some(row) = row else { return Ok(None) };
    let limit = row
        .grants
        .map(serde_json::from_value::<Grants>)
        .transpose()
        .map_err(AppError::internal)?;
    let principal = load_principal(db, tenant, row.user_id, None, limit).await?;
    Ok(principal.map(|principal| (Arc::new(principal), row.secret_hash)))
}

#[derive(QueryableByName)]
struct KeyGrants {
    #[diesel(sql_type = Nullable<Json>)]
    grants: Option<serde_json::Value>,
}

/// The rights that somebody has now, for work that they asked for earlier, bounded by the key through which they did.
/// `None` when they, or the key, may no longer call.
///
/// # Errors
/// Database errors.
pub async fn principal_of(
    db: &Db,
    tenant: Uuid,
    user: Uuid,
    key: Option<Uuid>,
) -> AppResult<Option<Principal>> {
    let Some(key) = key else {
        return load_principal(db, tenant, user, None, None).await;
    };
    let now = clock::real_now();
    let row: Option<KeyGrants> = db
        .read(async |conn| {
            let query = sql_query(
                "SELECT r.grants::json AS grants FROM api_keys k LEFT JOIN roles r ON r.tenant_id = $1 AND r.id = k.role_id \
                 WHERE k.tenant_id = $1 AND k.id = $2 AND k.user_id = $3 AND k.archived_at IS NULL \
                    AND (k.expires_at IS NULL OR k.expires_at > $4)",
            )
            .bind::<SqlUuid, _>(tenant)
            .bind::<SqlUuid, _>(key)
            .bind::<SqlUuid, _>(user)
            .bind::<Timestamptz, _>(now);
            Ok(Cached(query).get_result(conn).await.optional()?)
        })
        .await?;
    let Some(row) = row else { return Ok(None) };
    let limit = row
        .grants
        .map(serde_json::from_value::<Grants>)
        .transpose()
        .map_err(AppError::internal)?;
    load_principal(db, tenant, user, None, limit).await
}

#[derive(QueryableByName)]
struct NowRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    sandbox_now: Option<DateTime<Utc>>,
}

/// The company's clock: real time, or where a sandbox company's clock stands.
///
/// # Errors
/// Database errors.
pub async fn business_now(db: &Db, tenant: Uuid, company: &Company) -> AppResult<DateTime<Utc>> {
    if !company.is_sandbox {
        return Ok(clock::real_now());
    }
    let row: NowRow = db
        .read(async |conn| {
            let query =
                sql_query("SELECT sandbox_now FROM tenants WHERE tenant_id = $1").bind::<SqlUuid, _>(tenant);
            Ok(Cached(query).get_result(conn).await?)
        })
        .await?;
    Ok(row.sandbox_now.unwrap_or_else(clock::real_now))
}

/// A company's settings, for work that no person asked for.
///
/// # Errors
/// Database errors; `None` when there is no such company.
pub async fn load_company(db: &Db, tenant: Uuid) -> AppResult<Option<Company>> {
    let row = db
        .read(async |conn| {
            Ok(Cached(sql_query(COMPANY).bind::<SqlUuid, _>(tenant))
                .get_result::<JsonRow>(conn)
                .await
                .optional()?)
        })
        .await?;
    let row = row
        .map(|row| serde_json::from_value::<CompanyRow>(row.value))
        .transpose()
        .map_err(AppError::internal)?;
    Ok(row.map(Company::from))
}
