//! Sessions: a family of refresh tokens, of which one at a time is good. Lock order: the user, the family's first token.

use super::rows::IdRow;
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::auth::{self, unauthenticated};
use crate::platform::clock;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::tokens::{ACCESS_SECONDS, REFRESH_SECONDS, Secrets};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::{Bool, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// Within this time a spent token still answers with its successor, for a client whose answer was lost.
const RETRY_SECONDS: i64 = 10;

/// A fresh pair of tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    #[schema(example = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.e30.c2ln")]
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Life of the access token, in seconds.
    #[schema(example = 600)]
    pub expires_in_seconds: i64,
    /// Good for one refresh.
    #[schema(example = "psr_AZfJoF0-fBGeYQxqHI5LKgGXyaBdPnwRnmEMahyOSys")]
    pub refresh_token: String,
    /// Life of the refresh token, in seconds.
    #[schema(example = 2_592_000)]
    pub refresh_expires_in_seconds: i64,
}

/// The terms under which somebody acts who is just being recognised; `None` when their company is gone.
///
/// # Errors
/// Database errors.
pub async fn terms_of(db: &Db, tenant: Uuid, user: Uuid) -> AppResult<Option<Ctx>> {
    let Some(company) = auth::load_company(db, tenant).await? else {
        return Ok(None);
    };
    let now = auth::business_now(db, tenant, &company).await?;
    let ctx = Ctx::system(Arc::new(company), tenant, ActorKind::User, now, clock::real_now());
    Ok(Some(Ctx {
        user,
        actor_id: Some(user),
        ..ctx
    }))
}

/// Opens a session for the context's user.
///
/// # Errors
/// Database errors.
pub async fn open(tx: &mut Tx, ctx: &Ctx, secrets: &Secrets) -> AppResult<Tokens> {
    let id = Uuid::now_v7();
    let expires_at = insert(tx, ctx, id, id).await?;
    tx.record(Event::new(
        "user.signed_in",
        "user",
        ctx.user,
        json!({ "session_id": id }),
    ));
    tokens(ctx, secrets, id, id, expires_at)
}

async fn insert(tx: &mut Tx, ctx: &Ctx, id: Uuid, family: Uuid) -> AppResult<DateTime<Utc>> {
    let expires_at = ctx.recorded_at + TimeDelta::seconds(REFRESH_SECONDS);
    let query = sql_query(
        "INSERT INTO refresh_tokens (tenant_id, id, family_id, user_id, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(family)
    .bind::<SqlUuid, _>(ctx.user)
    .bind::<Timestamptz, _>(ctx.recorded_at)
    .bind::<Timestamptz, _>(expires_at);
    Cached(query).execute(&mut **tx).await?;
    Ok(expires_at)
}

fn tokens(
    ctx: &Ctx,
    secrets: &Secrets,
    family: Uuid,
    id: Uuid,
    expires_at: DateTime<Utc>,
) -> AppResult<Tokens> {
    let access_token = secrets
        .access_token(ctx.tenant, ctx.user, family, ctx.recorded_at)
        .map_err(AppError::internal)?;
    Ok(Tokens {
        access_token,
        token_type: "Bearer",
        expires_in_seconds: ACCESS_SECONDS,
        refresh_token: secrets.refresh_token(ctx.tenant, id),
        refresh_expires_in_seconds: (expires_at - ctx.recorded_at).num_seconds(),
    })
}

/// Whose a refresh token is.
#[derive(QueryableByName, Clone, Copy)]
pub struct Holder {
    #[diesel(sql_type = SqlUuid)]
    pub user_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub family_id: Uuid,
}

/// # Errors
/// `unauthenticated` when there is no such token.
pub async fn holder(db: &Db, tenant: Uuid, id: Uuid) -> AppResult<Holder> {
    db.read(async |conn| {
        let query =
            sql_query("SELECT user_id, family_id FROM refresh_tokens WHERE tenant_id = $1 AND id = $2")
                .bind::<SqlUuid, _>(tenant)
                .bind::<SqlUuid, _>(id);
        let found = Cached(query).get_result(conn).await.optional()?;
        found.ok_or_else(unauthenticated)
    })
    .await
}

#[derive(QueryableByName, Clone, Copy)]
struct Presented {
    #[diesel(sql_type = Timestamptz)]
    issued_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    spent_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    successor_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    successor_expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Bool)]
    is_successor_spent: bool,
    #[diesel(sql_type = Bool)]
    is_revoked: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Rotate,
    /// The same successor once more, good until then.
    Repeat(Uuid, DateTime<Utc>),
    Refuse,
    /// A token came back that its successor had replaced: one of the two holders is not the person.
    Revoke,
}

fn judge(presented: &Presented, valid_from: DateTime<Utc>, now: DateTime<Utc>) -> Verdict {
    let is_void = presented.is_revoked || presented.expires_at <= now || presented.issued_at < valid_from;
    if is_void {
        return Verdict::Refuse;
    }
    let Some(spent_at) = presented.spent_at else {
        return Verdict::Rotate;
    };
    let is_retry = now - spent_at <= TimeDelta::seconds(RETRY_SECONDS) && !presented.is_successor_spent;
    match (presented.successor_id, presented.successor_expires_at) {
        (Some(successor), Some(expires_at)) if is_retry => Verdict::Repeat(successor, expires_at),
        _ => Verdict::Revoke,
    }
}

#[derive(QueryableByName)]
struct ValidFrom {
    #[diesel(sql_type = Timestamptz)]
    sessions_valid_from: DateTime<Utc>,
}

/// Spends a refresh token for its successor. `None`: it is not good, or was used before, and then the whole family is
/// revoked, which must commit.
///
/// # Errors
/// Database errors.
pub async fn rotate(
    tx: &mut Tx,
    ctx: &Ctx,
    secrets: &Secrets,
    family: Uuid,
    id: Uuid,
) -> AppResult<Option<Tokens>> {
    let Some(valid_from) = lock_user(tx, ctx).await? else {
        return Ok(None);
    };
    lock_family(tx, ctx, family).await?;
    let presented = present(tx, ctx, family, id).await?;
    match judge(&presented, valid_from, ctx.recorded_at) {
        Verdict::Refuse => Ok(None),
        Verdict::Repeat(successor, expires_at) => {
            tokens(ctx, secrets, family, successor, expires_at).map(Some)
        }
        Verdict::Revoke => {
            revoke_family(tx, ctx, family, "refresh_token_reused").await?;
            Ok(None)
        }
        Verdict::Rotate => {
            let successor = Uuid::now_v7();
            let expires_at = insert(tx, ctx, successor, family).await?;
            spend(tx, ctx, id, successor).await?;
            tokens(ctx, secrets, family, successor, expires_at).map(Some)
        }
    }
}

/// Holds off a deactivation or change of password for the rest of the transaction; `None` when the user is gone.
async fn lock_user(tx: &mut Tx, ctx: &Ctx) -> AppResult<Option<DateTime<Utc>>> {
    let query = sql_query(
        "SELECT sessions_valid_from FROM users WHERE tenant_id = $1 AND id = $2 AND is_active AND archived_at IS NULL FOR SHARE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(ctx.user);
    let row: Option<ValidFrom> = Cached(query).get_result(&mut **tx).await.optional()?;
    Ok(row.map(|row| row.sessions_valid_from))
}

/// A family's first token bears the family's id.
async fn lock_family(tx: &mut Tx, ctx: &Ctx, family: Uuid) -> AppResult<()> {
    let query = sql_query("SELECT id FROM refresh_tokens WHERE tenant_id = $1 AND id = $2 FOR UPDATE")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(family);
    Cached(query).get_result::<IdRow>(&mut **tx).await.optional()?;
    Ok(())
}

async fn present(tx: &mut Tx, ctx: &Ctx, family: Uuid, id: Uuid) -> AppResult<Presented> {
    let query = sql_query(
        "SELECT t.issued_at, t.expires_at, t.spent_at, t.successor_id, s.expires_at AS successor_expires_at, \
            s.spent_at IS NOT NULL AS is_successor_spent, \
            EXISTS (SELECT 1 FROM refresh_tokens f WHERE f.tenant_id = $1 AND f.family_id = $2 AND f.revoked_at IS NOT NULL) AS is_revoked \
         FROM refresh_tokens t LEFT JOIN refresh_tokens s ON s.tenant_id = $1 AND s.id = t.successor_id \
         WHERE t.tenant_id = $1 AND t.family_id = $2 AND t.id = $3",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(family)
    .bind::<SqlUuid, _>(id);
    let presented: Option<Presented> = Cached(query).get_result(&mut **tx).await.optional()?;
    presented.ok_or_else(unauthenticated)
}

async fn spend(tx: &mut Tx, ctx: &Ctx, id: Uuid, successor: Uuid) -> AppResult<()> {
    let query = sql_query(
        "UPDATE refresh_tokens SET spent_at = $3, successor_id = $4 WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(ctx.recorded_at)
    .bind::<SqlUuid, _>(successor);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// Ends one session.
///
/// # Errors
/// Database errors.
pub async fn revoke_family(tx: &mut Tx, ctx: &Ctx, family: Uuid, reason: &'static str) -> AppResult<()> {
    lock_family(tx, ctx, family).await?;
    let query = sql_query(
        "UPDATE refresh_tokens SET revoked_at = $3 WHERE tenant_id = $1 AND family_id = $2 AND user_id = $4 AND revoked_at IS NULL",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(family)
    .bind::<Timestamptz, _>(ctx.recorded_at)
    .bind::<SqlUuid, _>(ctx.user);
    if Cached(query).execute(&mut **tx).await? > 0 {
        let data = json!({ "session_id": family, "reason": reason });
        tx.record(Event::new("user.signed_out", "user", ctx.user, data));
    }
    Ok(())
}

/// Ends every session of a user, whose row the transaction holds or takes here.
///
/// # Errors
/// Database errors.
pub async fn revoke_all(tx: &mut Tx, ctx: &Ctx, user: Uuid) -> AppResult<()> {
    let from = sql_query("UPDATE users SET sessions_valid_from = $3 WHERE tenant_id = $1 AND id = $2")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(user)
        .bind::<Timestamptz, _>(ctx.recorded_at);
    Cached(from).execute(&mut **tx).await?;
    let revoke = sql_query(
        "UPDATE refresh_tokens SET revoked_at = $3 WHERE tenant_id = $1 AND user_id = $2 AND revoked_at IS NULL",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(user)
    .bind::<Timestamptz, _>(ctx.recorded_at);
    Cached(revoke).execute(&mut **tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    fn token(spent: Option<i64>, is_successor_spent: bool) -> Presented {
        Presented {
            issued_at: at(0),
            expires_at: at(10_000),
            spent_at: spent.map(at),
            successor_id: spent.map(|_| Uuid::nil()),
            successor_expires_at: spent.map(|_| at(20_000)),
            is_successor_spent,
            is_revoked: false,
        }
    }

    #[rstest]
    #[case::fresh(token(None, false), 100, Verdict::Rotate)]
    #[case::a_retry(token(Some(100), false), 110, Verdict::Repeat(Uuid::nil(), at(20_000)))]
    #[case::a_late_retry(token(Some(100), false), 111, Verdict::Revoke)]
    #[case::a_grandparent(token(Some(100), true), 101, Verdict::Revoke)]
    #[case::expired(token(None, false), 10_000, Verdict::Refuse)]
    #[case::revoked(Presented { is_revoked: true, ..token(None, false) }, 100, Verdict::Refuse)]
    #[case::issued_before_a_sign_out(Presented { issued_at: at(-60), ..token(None, false) }, 100, Verdict::Refuse)]
    fn a_refresh_token_is_good_once_and_its_retry_for_ten_seconds(
        #[case] presented: Presented,
        #[case] now: i64,
        #[case] verdict: Verdict,
    ) {
        assert_eq!(judge(&presented, at(-10), at(now)), verdict);
    }
}
