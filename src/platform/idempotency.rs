//! The stored first answer of a POST. The row is claimed first, so that a twin waits on the unique index; it commits with the
//! work. The body of an answer that shows a secret is stored sealed.

use super::db::{Cached, Tx};
use super::reply::Reply;
use super::tokens::Secrets;
use crate::kernel::ctx::{Ctx, IdempotencyKey};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use diesel::sql_types::{Binary, Jsonb, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use std::borrow::Cow;

/// What a sealed body begins with; JSON never does.
const SEALED: u8 = 0;

/// Where a body is sealed: it opens nowhere else.
fn place(ctx: &Ctx, key: &IdempotencyKey) -> Vec<u8> {
    let caller = ctx.actor_id.unwrap_or(ctx.user);
    let parts: [&[u8]; 5] = [
        ctx.tenant.as_bytes(),
        caller.as_bytes(),
        key.operation.as_bytes(),
        &[0],
        key.key.as_bytes(),
    ];
    parts.concat()
}

fn kept<'a>(
    ctx: &Ctx,
    key: &IdempotencyKey,
    secrets: Option<&Secrets>,
    reply: &'a Reply,
) -> AppResult<Cow<'a, [u8]>> {
    if !reply.has_secret {
        return Ok(Cow::Borrowed(reply.body.as_ref()));
    }
    let secrets =
        secrets.ok_or_else(|| AppError::internal("a secret is answered where nothing can seal it"))?;
    let sealed = secrets.seal(&place(ctx, key), &reply.body);
    let mut body = sealed.map_err(AppError::internal)?;
    body.insert(0, SEALED);
    Ok(Cow::Owned(body))
}

/// The body as it was answered, and whether it shows a secret.
fn opened(
    ctx: &Ctx,
    key: &IdempotencyKey,
    secrets: Option<&Secrets>,
    body: Vec<u8>,
) -> AppResult<(Vec<u8>, bool)> {
    let Some((&SEALED, sealed)) = body.split_first() else {
        return Ok((body, false));
    };
    let opened = secrets.and_then(|secrets| secrets.unseal(&place(ctx, key), sealed));
    let opened = opened.ok_or_else(|| {
        AppError::internal("a stored answer does not open: was the server's secret changed?")
    })?;
    Ok((opened.plain, true))
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Binary)]
    request_hash: Vec<u8>,
    #[diesel(sql_type = SmallInt)]
    status: i16,
    #[diesel(sql_type = Jsonb)]
    headers: Value,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

/// Claims the key. `None`: it is ours, do the work. `Some`: replay this answer.
///
/// # Errors
/// `idempotency_key_reused` when the key was used for another body; `request_in_progress` when its twin still runs.
pub async fn claim(
    conn: &mut AsyncPgConnection,
    ctx: &Ctx,
    key: &IdempotencyKey,
    secrets: Option<&Secrets>,
) -> AppResult<Option<Reply>> {
    let claimed = Cached(
        sql_query(
            "INSERT INTO idempotency_keys (tenant_id, caller_id, operation, key, request_hash, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, caller_id, operation, key) DO NOTHING",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(ctx.actor_id.unwrap_or(ctx.user))
        .bind::<Text, _>(&key.operation)
        .bind::<Text, _>(&key.key)
        .bind::<Binary, _>(&key.request_hash)
        .bind::<Timestamptz, _>(ctx.recorded_at),
    )
    .execute(conn)
    .await?;
    if claimed == 1 {
        return Ok(None);
    }
    let stored: Option<Stored> = Cached(
        sql_query(
            "SELECT request_hash, status, headers, body FROM idempotency_keys \
             WHERE tenant_id = $1 AND caller_id = $2 AND operation = $3 AND key = $4 AND status IS NOT NULL",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(ctx.actor_id.unwrap_or(ctx.user))
        .bind::<Text, _>(&key.operation)
        .bind::<Text, _>(&key.key),
    )
    .get_result(conn)
    .await
    .optional()?;
    let Some(stored) = stored else {
        return Err(AppError::refuse(
            Code::RequestInProgress,
            say(
                "The first request with this key is still running",
                "使用该幂等键的首个请求仍在处理",
            ),
        )
        .retry_after(1));
    };
    if stored.request_hash != key.request_hash {
        return Err(AppError::refuse(
            Code::IdempotencyKeyReused,
            say(
                "This key was sent before with another body",
                "该幂等键此前已用于不同的请求内容",
            ),
        ));
    }
    let headers =
        serde_json::from_value::<Vec<(String, String)>>(stored.headers).map_err(AppError::internal)?;
    let status = u16::try_from(stored.status).map_err(AppError::internal)?;
    let (body, has_secret) = opened(ctx, key, secrets, stored.body)?;
    let reply = Reply {
        status,
        headers,
        body: body.into(),
        has_secret,
    };
    Ok(Some(reply.with_header("idempotent-replayed", "true")))
}

/// Keeps the answer beside its key. Only 2xx get here: refusals roll the claim back.
///
/// # Errors
/// Database errors.
pub async fn store(
    tx: &mut Tx,
    ctx: &Ctx,
    key: &IdempotencyKey,
    secrets: Option<&Secrets>,
    reply: &Reply,
) -> AppResult<()> {
    let body = kept(ctx, key, secrets, reply)?;
    let status = i16::try_from(reply.status).map_err(AppError::internal)?;
    let headers = serde_json::to_value(&reply.headers).map_err(AppError::internal)?;
    Cached(
        sql_query(
            "UPDATE idempotency_keys SET status = $5, headers = $6, body = $7 \
             WHERE tenant_id = $1 AND caller_id = $2 AND operation = $3 AND key = $4",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(ctx.actor_id.unwrap_or(ctx.user))
        .bind::<Text, _>(&key.operation)
        .bind::<Text, _>(&key.key)
        .bind::<SmallInt, _>(status)
        .bind::<Jsonb, _>(headers)
        .bind::<Binary, _>(body.as_ref()),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
