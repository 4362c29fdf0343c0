//! Absences: they end after they begin, and of one person no two overlap.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Act, Change};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use uuid::Uuid;

pub fn before<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if change.act == Act::Archive {
            return Ok(());
        }
        let Some(owner) = change.id_of("owner_id") else {
            return Err(AppError::invalid(vec![Fault::required("/owner_id")]));
        };
        let (Some(starts), Some(ends)) = (instant(change, "starts_at"), instant(change, "ends_at")) else {
            return Ok(());
        };
        if ends <= starts {
            return Err(AppError::invalid(vec![Fault::out_of_range(
                "/ends_at",
                "must be after starts_at",
                "必须晚于 starts_at",
            )]));
        }
        require_no_overlap(tx, ctx, change.id, owner, starts, ends).await
    })
}

fn instant(change: &Change, member: &str) -> Option<DateTime<Utc>> {
    let parsed = DateTime::parse_from_rfc3339(change.text(member)?).ok()?;
    Some(parsed.with_timezone(&Utc))
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Timestamptz)]
    starts_at: DateTime<Utc>,
}

/// The person's row is locked first, so that of two that overlap, entered at once, the second sees the first.
async fn require_no_overlap(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    owner: Uuid,
    starts: DateTime<Utc>,
    ends: DateTime<Utc>,
) -> AppResult<()> {
    let query = sql_query("SELECT id FROM users WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(owner);
    Cached(query).execute(&mut **tx).await?;
    let query = sql_query(
        "SELECT a.starts_at FROM user_absences a WHERE a.tenant_id = $1 AND a.owner_id = $2 AND a.id <> $3 \
         AND a.archived_at IS NULL AND a.starts_at < $5 AND a.ends_at > $4 ORDER BY a.starts_at LIMIT 1",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(owner)
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(starts)
    .bind::<Timestamptz, _>(ends);
    let found: Option<Found> = Cached(query).get_result(&mut **tx).await.optional()?;
    match found {
        None => Ok(()),
        Some(Found { starts_at }) => Err(AppError::invalid(vec![Fault::new(
            "/starts_at",
            "overlaps",
            say(
                format!("overlaps the absence that begins at {starts_at}"),
                format!("与 {starts_at} 开始的缺勤重叠"),
            ),
        )])),
    }
}
