//! Setting, cancelling and firing timers. A timer fires once: the row goes in the transaction of what it does.
//!
//! A handler locks its subject first and the timer's row goes last, so that a command which holds the subject and sets or
//! cancels its timers never waits for the engine while the engine waits for it.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Tx};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use diesel::sql_types::{Bool, Integer, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::Value;
use uuid::Uuid;

/// What a timer does: called in the transaction that ends the timer. `ctx.now` is the company's clock; while a sandbox
/// company's clock is moved past the timer, its due time. It must look at the state it finds, under the lock that commands
/// on the subject take. It sets its own timer anew by [`again`] only, never by [`set`], and may [`cancel`] it.
pub type Fire = for<'a> fn(&'a mut Tx, &'a Ctx, &'a Timer) -> LocalBoxFuture<'a, AppResult<()>>;

/// What each kind of timer does.
pub type Handlers = &'static [(&'static str, Fire)];

/// A timer that is firing.
#[derive(Debug, Clone, QueryableByName)]
pub struct Timer {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub subject_kind: String,
    #[diesel(sql_type = SqlUuid)]
    pub subject_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub due_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    pub is_real_time: bool,
    #[diesel(sql_type = Jsonb)]
    pub details: Value,
    /// How often it was claimed, this time included.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
}

/// The columns of [`Timer`].
pub(super) const COLUMNS: &str =
    "id, kind, subject_kind, subject_id, due_at, is_real_time, details, attempts";

/// How long nobody claims a timer again after its n-th claim: longer than a handler may take, then doubling, an hour at
/// most.
pub(super) fn back_off(attempts: i32) -> TimeDelta {
    let doubled = 30_i64 << attempts.saturating_sub(1).clamp(0, 7);
    TimeDelta::seconds(doubled.min(3600))
}

/// Sets the timer of this kind for this subject, by the company's clock; one that is set already is moved, and is another
/// timer from then on: whoever is just firing it finds that it is no longer theirs.
///
/// # Errors
/// Database errors.
pub async fn set(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: &str,
    subject: (&str, Uuid),
    due_at: DateTime<Utc>,
    details: Value,
) -> AppResult<()> {
    put(tx, ctx, (kind, subject), due_at, false, details).await
}

/// Like [`set`], by real time: for the server's own work, which a standing clock does not hold up.
///
/// # Errors
/// Database errors.
pub async fn set_by_real_time(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: &str,
    subject: (&str, Uuid),
    due_at: DateTime<Utc>,
    details: Value,
) -> AppResult<()> {
    put(tx, ctx, (kind, subject), due_at, true, details).await
}

async fn put(
    tx: &mut Tx,
    ctx: &Ctx,
    (kind, subject): (&str, (&str, Uuid)),
    due_at: DateTime<Utc>,
    is_real_time: bool,
    details: Value,
) -> AppResult<()> {
    sql_query(
        "INSERT INTO timers (tenant_id, id, kind, subject_kind, subject_id, due_at, details, is_real_time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (tenant_id, kind, subject_kind, subject_id) DO UPDATE SET id = EXCLUDED.id, due_at = EXCLUDED.due_at, \
         is_real_time = EXCLUDED.is_real_time, details = EXCLUDED.details, attempts = EXCLUDED.attempts, \
         retry_at = EXCLUDED.retry_at",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Text, _>(kind)
    .bind::<Text, _>(subject.0)
    .bind::<SqlUuid, _>(subject.1)
    .bind::<Timestamptz, _>(due_at)
    .bind::<Jsonb, _>(details)
    .bind::<Bool, _>(is_real_time)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Sets the timer that is firing anew, by the same clock. Fails, so that everything its handler did is rolled back, when the
/// timer was set, cancelled or claimed by another meanwhile: what they said stands.
///
/// # Errors
/// That it is no longer theirs; database errors.
pub async fn again(
    tx: &mut Tx,
    ctx: &Ctx,
    timer: &Timer,
    due_at: DateTime<Utc>,
    details: Value,
) -> AppResult<()> {
    let query = sql_query(
        "UPDATE timers SET id = $5, due_at = $6, details = $7, attempts = 0, retry_at = NULL \
         WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND due_at = $4",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(timer.id)
    .bind::<Integer, _>(timer.attempts)
    .bind::<Timestamptz, _>(timer.due_at)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Timestamptz, _>(due_at)
    .bind::<Jsonb, _>(details);
    if Cached(query).execute(&mut **tx).await? == 0 {
        return Err(AppError::internal(Overtaken));
    }
    tx.touch(timer.id);
    Ok(())
}

/// Why what a timer did is rolled back when it was no longer its to fire.
#[derive(Debug, thiserror::Error)]
#[error("the timer was cancelled, moved or claimed by another meanwhile")]
pub(super) struct Overtaken;

/// Sets the timer of this kind for this subject unless it is set already; whenever that one is due, it stays so.
///
/// # Errors
/// Database errors.
pub async fn ensure(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: &str,
    subject: (&str, Uuid),
    due_at: DateTime<Utc>,
) -> AppResult<()> {
    let query = sql_query(
        "INSERT INTO timers (tenant_id, id, kind, subject_kind, subject_id, due_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (tenant_id, kind, subject_kind, subject_id) DO NOTHING",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Text, _>(kind)
    .bind::<Text, _>(subject.0)
    .bind::<SqlUuid, _>(subject.1)
    .bind::<Timestamptz, _>(due_at);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// When the company's next day begins.
pub fn next_midnight(ctx: &Ctx) -> DateTime<Utc> {
    midnight(ctx, ctx.today().succ_opt().unwrap_or(NaiveDate::MAX))
}

/// When a day of the company begins: its local midnight, or the first instant after it where the clocks are put forward
/// over midnight.
pub fn midnight(ctx: &Ctx, day: NaiveDate) -> DateTime<Utc> {
    let zone = ctx.principal.company.time_zone;
    let begins = (0..4).find_map(|quarter| {
        let local = day.and_time(NaiveTime::MIN) + TimeDelta::minutes(30 * quarter);
        zone.from_local_datetime(&local).earliest()
    });
    begins.map_or(ctx.now + TimeDelta::days(1), |instant| {
        instant.with_timezone(&Utc)
    })
}

/// Cancels the timer of this kind for this subject, if there is one: once this commits, it does not fire.
///
/// # Errors
/// Database errors.
pub async fn cancel(tx: &mut Tx, ctx: &Ctx, kind: &str, subject: (&str, Uuid)) -> AppResult<()> {
    let cancelled = sql_query(
        "DELETE FROM timers WHERE tenant_id = $1 AND kind = $2 AND subject_kind = $3 AND subject_id = $4 RETURNING id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind)
    .bind::<Text, _>(subject.0)
    .bind::<SqlUuid, _>(subject.1)
    .get_result::<TimerId>(&mut **tx)
    .await
    .optional()?;
    if let Some(cancelled) = cancelled {
        tx.touch(cancelled.id);
    }
    Ok(())
}

#[derive(QueryableByName)]
struct TimerId {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Does what the timer says and ends it. False, and everything is to be rolled back, when it was cancelled, moved or
/// claimed by another meanwhile. A handler may set its timer [`again`], or cancel it; so it then is.
///
/// # Errors
/// What the handler answers; when there is none for its kind.
pub(super) async fn fire(tx: &mut Tx, ctx: &Ctx, handlers: Handlers, timer: &Timer) -> AppResult<bool> {
    let handler = handlers.iter().find(|(kind, _)| *kind == timer.kind);
    let Some((_, handler)) = handler else {
        return Err(AppError::internal(format!(
            "nothing handles timers of kind {}",
            timer.kind
        )));
    };
    match handler(tx, ctx, timer).await {
        Err(AppError::Internal(error)) if error.is::<Overtaken>() => return Ok(false),
        outcome => outcome?,
    }
    // The handler itself ended it: it set it again, which looked for others, or cancelled it for good.
    if tx.has_touched(timer.id) {
        return Ok(true);
    }
    let ended =
        sql_query("DELETE FROM timers WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND due_at = $4")
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<SqlUuid, _>(timer.id)
            .bind::<Integer, _>(timer.attempts)
            .bind::<Timestamptz, _>(timer.due_at)
            .execute(&mut **tx)
            .await?;
    Ok(ended > 0)
}

/// Notes on the timer that it was claimed, so that nobody does again before the back-off is over.
///
/// # Errors
/// Database errors.
pub(super) async fn note_attempt(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    sql_query(
        "UPDATE timers SET attempts = attempts + 1, retry_at = $3 WHERE tenant_id = $1 AND id = $2 AND attempts = $4",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(timer.id)
    .bind::<Timestamptz, _>(ctx.recorded_at + back_off(timer.attempts + 1))
    .bind::<Integer, _>(timer.attempts)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_from_half_a_minute_to_an_hour() {
        let seconds = [1, 2, 3, 8, 50, i32::MAX].map(|attempts| back_off(attempts).num_seconds());
        assert_eq!(seconds, [30, 60, 120, 3600, 3600, 3600]);
    }
}
