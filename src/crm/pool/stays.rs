//! Coming into the pool and leaving it. The record's row lock guards its stay.

use super::{Kind, Why, contacts, schedule, unbound};
use crate::crm::assignment::by_hand;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::records::store::{self, For, Locked, Written};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What the event is called by which somebody takes a record.
pub const CLAIMED: &str = "claimed";
/// What the event is called by which a record comes back to whoever had it last.
pub const RETURNED: &str = "returned";

/// How a stay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Ended {
    Claimed,
    Assigned,
    Undone,
    Archived,
    Merged,
    Converted,
}

/// A stay in the pool.
#[derive(Debug, Clone, QueryableByName)]
pub struct Stay {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub why: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub last_owner_id: Option<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    pub since: DateTime<Utc>,
    /// Whose doing it was; none for what the system did.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub put_by: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub held_since: Option<DateTime<Utc>>,
}

/// On what grounds a record is put into the pool.
#[derive(Debug, Clone, Default)]
pub struct Grounds {
    /// What the releaser said.
    pub reason: Option<String>,
    /// The rule that took it.
    pub rule_id: Option<Uuid>,
}

/// Puts a record into the pool: it loses its owner, and has a stay from now on. Whatever the caller may do; the record is
/// locked here. False, and nothing is changed, when it does not live (archived, converted) or is in the pool already.
/// Whoever asks on behalf of an owner makes sure before that no open deal holds it.
///
/// # Errors
/// `not_found` when there is no such record in the company; database errors.
pub async fn put(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid, why: Why) -> AppResult<bool> {
    let locked = match store::lock(tx, &unbound(ctx), kind.resource(), id, For::Write).await {
        Ok(locked) => locked,
        Err(error) if matches!(error.code(), Code::Archived | Code::Merged) => return Ok(false),
        Err(error) => return Err(error),
    };
    put_locked(tx, ctx, kind, id, &locked, why, &Grounds::default()).await
}

/// [`put`] for a record that is locked already.
///
/// # Errors
/// Database errors.
pub async fn put_locked(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: Kind,
    id: Uuid,
    locked: &Locked,
    why: Why,
    grounds: &Grounds,
) -> AppResult<bool> {
    let mut record = locked.record()?;
    if record.get("status").and_then(Value::as_str) == Some("converted") {
        return Ok(false);
    }
    let owner = owner_of(&record);
    let Some(stay) = begin(tx, ctx, kind, id, owner, why, grounds).await? else {
        return Ok(false);
    };
    let name = kind.name();
    let verb = match why {
        Why::Released => "released",
        Why::Recycled => "recycled",
        Why::NeverOwned | Why::HandedOver => "pooled",
    };
    if let Some(owner) = owner {
        record.insert("owner_id".to_owned(), Value::Null);
        store::save_as(tx, &unbound(ctx), kind.resource(), id, locked, record, verb).await?;
        note_loss(tx, ctx, kind, id, owner, why).await?;
        if kind == Kind::Account {
            contacts::leave(tx, ctx, id, owner).await?;
        }
    }
    let why: &'static str = why.into();
    let mut data = json!({ "pool": { "stay_id": stay, "why": why, "last_owner_id": owner } });
    if let Some(reason) = &grounds.reason {
        data["pool"]["reason"] = json!(reason);
    }
    if let Some(rule) = grounds.rule_id {
        data["pool"]["rule_id"] = json!(rule);
    }
    tx.record(Event::new(format!("{name}.{verb}"), name, id, data).and_on("user", owner));
    Ok(true)
}

/// Who owns a record in wire form.
pub(super) fn owner_of(record: &Map<String, Value>) -> Option<Uuid> {
    record
        .get("owner_id")
        .and_then(Value::as_str)
        .and_then(|id| Uuid::parse_str(id).ok())
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Begins a stay, unless there is one.
pub(super) async fn begin(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: Kind,
    id: Uuid,
    last_owner: Option<Uuid>,
    why: Why,
    grounds: &Grounds,
) -> AppResult<Option<Uuid>> {
    let why: &'static str = why.into();
    let query = sql_query(
        "INSERT INTO pool_stays (tenant_id, id, record_kind, record_id, why, reason, last_owner_id, rule_id, since, put_by, held_since) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
            (SELECT c.owned_since FROM pool_clocks c WHERE c.tenant_id = $1 AND c.record_kind = $3 AND c.record_id = $4 AND c.owner_id = $7)) \
         ON CONFLICT (tenant_id, record_kind, record_id) WHERE ended_at IS NULL DO NOTHING RETURNING id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(why)
    .bind::<Nullable<Text>, _>(grounds.reason.as_deref())
    .bind::<Nullable<SqlUuid>, _>(last_owner)
    .bind::<Nullable<SqlUuid>, _>(grounds.rule_id)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Nullable<SqlUuid>, _>((!ctx.user.is_nil()).then_some(ctx.user));
    let begun: Option<IdRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    Ok(begun.map(|row| row.id))
}

/// Notes that a record which the caller has locked, and from whose owner it was taken by the caller's own statement, is in
/// the pool since nobody could take it. What the event says of it; `None` when it was there.
///
/// # Errors
/// Database errors.
pub async fn entered(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: Kind,
    id: Uuid,
    last_owner: Option<Uuid>,
) -> AppResult<Option<Value>> {
    let why = match last_owner {
        Some(_) => Why::HandedOver,
        None => Why::NeverOwned,
    };
    let Some(stay) = begin(tx, ctx, kind, id, last_owner, why, &Grounds::default()).await? else {
        return Ok(None);
    };
    schedule::reschedule(tx, ctx, kind, &[id]).await?;
    let why: &'static str = why.into();
    Ok(Some(
        json!({ "stay_id": stay, "why": why, "last_owner_id": last_owner }),
    ))
}

/// Notes that somebody lost the record by their own doing: it cools down for them. What was taken over from somebody who
/// left, or came without an owner, cools down for nobody.
async fn note_loss(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid, owner: Uuid, why: Why) -> AppResult<()> {
    if !matches!(why, Why::Released | Why::Recycled) {
        return Ok(());
    }
    let query = sql_query(
        "INSERT INTO pool_cool_downs (tenant_id, record_kind, record_id, user_id, lost_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (tenant_id, record_kind, record_id, user_id) DO UPDATE SET lost_at = EXCLUDED.lost_at",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(owner)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// The present stay of a record, if it is in the pool.
///
/// # Errors
/// Database errors.
pub async fn present(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid) -> AppResult<Option<Stay>> {
    let query = sql_query(
        "SELECT id, why, reason, last_owner_id, since, put_by, held_since FROM pool_stays \
         WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND ended_at IS NULL",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id);
    Ok(Cached(query).get_result(&mut **tx).await.optional()?)
}

/// Whether a record was ever in the pool, and so seen there by whoever may look.
pub(super) async fn was_there(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid) -> AppResult<bool> {
    let query = sql_query(
        "SELECT id FROM pool_stays WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 LIMIT 1",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id);
    let found: Option<IdRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    Ok(found.is_some())
}

/// Whether the last stay of a record ended because the record itself did: archived, or merged into another.
pub(super) async fn left_with_its_end(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid) -> AppResult<bool> {
    let query = sql_query(
        "SELECT l.id FROM (SELECT s.id, s.ended_how FROM pool_stays s WHERE s.tenant_id = $1 AND s.record_kind = $2 AND s.record_id = $3 \
            ORDER BY s.since DESC, s.id DESC LIMIT 1) l WHERE l.ended_how IN ('archived', 'merged')",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id);
    let found: Option<IdRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    Ok(found.is_some())
}

/// Begins the last stay of a record again, when it ended by an assignment to that person: the assignment was undone, and the
/// record is in the pool as if nothing had been. False when it did not.
pub(super) async fn go_on(tx: &mut Tx, ctx: &Ctx, kind: Kind, id: Uuid, taken_by: Uuid) -> AppResult<bool> {
    let query = sql_query(
        "UPDATE pool_stays t SET ended_at = NULL, ended_how = NULL, taken_by = NULL WHERE t.tenant_id = $1 AND t.id = ( \
            SELECT l.id FROM (SELECT s.id, s.ended_how, s.taken_by FROM pool_stays s WHERE s.tenant_id = $1 AND s.record_kind = $2 \
                AND s.record_id = $3 ORDER BY s.since DESC, s.id DESC LIMIT 1) l \
            WHERE l.ended_how = 'assigned' AND l.taken_by = $4)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(taken_by);
    Ok(Cached(query).execute(&mut **tx).await? > 0)
}

/// Ends the present stay, if there is one.
///
/// # Errors
/// Database errors.
pub async fn end(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: Kind,
    id: Uuid,
    how: Ended,
    taken_by: Option<Uuid>,
) -> AppResult<bool> {
    let how: &'static str = how.into();
    let query = sql_query(
        "UPDATE pool_stays SET ended_at = $4, ended_how = $5, taken_by = $6 \
         WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND ended_at IS NULL",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Text, _>(how)
    .bind::<Nullable<SqlUuid>, _>(taken_by);
    Ok(Cached(query).execute(&mut **tx).await? > 0)
}

/// To whom a record of the pool goes, and how.
#[derive(Debug, Clone)]
pub struct Taking {
    pub to: Uuid,
    pub how: Ended,
    /// Why a lead goes to somebody who is full.
    pub override_capacity: Option<Value>,
}

impl Taking {
    pub fn new(to: Uuid, how: Ended) -> Taking {
        Taking {
            to,
            how,
            override_capacity: None,
        }
    }
}

/// Gives a locked record of the pool to somebody: its stay ends. What follows from a new owner is the hooks' affair.
///
/// # Errors
/// As any change of a record: `invalid` at `/owner_id` when there is no such active person; `over_capacity`.
pub async fn give(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: Kind,
    id: Uuid,
    locked: &Locked,
    taking: Taking,
) -> AppResult<Written> {
    end(tx, ctx, kind, id, taking.how, Some(taking.to)).await?;
    let mut record = locked.record()?;
    record.insert("owner_id".to_owned(), json!(taking.to));
    if let Some(told) = taking.override_capacity.filter(|_| kind == Kind::Lead) {
        record.insert(by_hand::OVERRIDE.to_owned(), told);
    }
    let verb = match taking.how {
        Ended::Claimed => CLAIMED,
        Ended::Undone => RETURNED,
        _ => "assigned",
    };
    store::save_as(tx, &unbound(ctx), kind.resource(), id, locked, record, verb).await
}

/// SQL of whether the account of this id is in the pool, or will be as soon as it lives again.
pub fn is_unowned_account(id: &str) -> String {
    format!("EXISTS (SELECT 1 FROM accounts p WHERE p.tenant_id = $1 AND p.id = {id} AND p.owner_id IS NULL)")
}

#[derive(QueryableByName)]
struct Unowned {
    #[diesel(sql_type = Bool)]
    is_unowned: bool,
}

/// Holds an account for what opens a deal with it: it is not in the pool, and does not come there before the commit. Who
/// releases it meanwhile waits, and then finds the deal.
///
/// # Errors
/// `conflict` naming the call that claims it.
pub async fn hold_account(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<()> {
    let query = sql_query(
        "SELECT owner_id IS NULL AS is_unowned FROM accounts WHERE tenant_id = $1 AND id = $2 FOR KEY SHARE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id);
    let found: Option<Unowned> = Cached(query).get_result(&mut **tx).await.optional()?;
    match found {
        Some(account) if account.is_unowned => Err(account_in_pool(id)),
        _ => Ok(()),
    }
}

/// The refusal of an open deal with an account of the pool.
pub fn account_in_pool(id: Uuid) -> AppError {
    let call = format!("POST /v1/pool/accounts/{id}/claim");
    let refusal = AppError::refuse(
        Code::Conflict,
        say(
            format!("The account is in the public pool; claim it first: {call}"),
            format!("该客户在公海中,请先领取:{call}"),
        ),
    );
    refusal.with("claim", json!(call))
}

/// The refusal of what needs a record of the pool.
pub(super) fn not_in_pool() -> AppError {
    AppError::refuse(
        Code::NotInPool,
        say(
            "It is not in the pool, or no longer",
            "该记录不在公海中,或已被他人领取",
        ),
    )
}
