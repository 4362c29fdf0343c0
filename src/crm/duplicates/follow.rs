//! Reviews when records are merged, and when that is undone: what was said of a record goes for the one that it became.

use super::reviews::{settle, wake_on};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::merging::{KINDS, Merging};
use chrono::NaiveDate;
use diesel::sql_types::{Date, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::json;
use uuid::Uuid;

/// A pair that names the survivor now, among what a merge moved.
const MOVED: &str = "duplicate_reviews.record_id";
/// A pair that the merge decided, and what was said of it before.
const SETTLED: &str = "duplicate_reviews.status";

#[derive(QueryableByName)]
struct Pair {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    record_kind: String,
    #[diesel(sql_type = SqlUuid)]
    record_id: Uuid,
    #[diesel(sql_type = Text)]
    other_kind: String,
    #[diesel(sql_type = SqlUuid)]
    other_id: Uuid,
}

impl Pair {
    /// The other one of the pair.
    fn beside(&self, kind: &str, id: Uuid) -> (&'static str, Uuid) {
        if self.record_kind == kind && self.record_id == id {
            (known(&self.other_kind), self.other_id)
        } else {
            (known(&self.record_kind), self.record_id)
        }
    }
}

/// A pair of records by kind and id, as it is stored: in order.
type Both = [(&'static str, Uuid); 2];

/// A kind as it is declared.
fn known(kind: &str) -> &'static str {
    let mut kinds = KINDS.into_iter();
    kinds.find(|known| *known == kind).unwrap_or_default()
}

fn both(one: (&'static str, Uuid), other: (&'static str, Uuid)) -> Both {
    let mut both = [one, other];
    both.sort();
    both
}

/// What was said of a record goes for the one that it was merged into; the pair of the two is decided, and so is one that
/// the survivor has too.
///
/// # Errors
/// Database errors.
pub async fn merged(tx: &mut Tx, ctx: &Ctx, merging: Merging, loser: Uuid) -> AppResult<()> {
    let query = sql_query(
        "SELECT id, record_kind, record_id, other_kind, other_id FROM duplicate_reviews \
         WHERE tenant_id = $1 AND ((record_kind = $2 AND record_id = $3) OR (other_kind = $2 AND other_id = $3)) \
         AND status <> 'merged' ORDER BY id FOR UPDATE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(merging.kind)
    .bind::<SqlUuid, _>(loser);
    let pairs: Vec<Pair> = Cached(query).load(&mut **tx).await?;
    for pair in &pairs {
        let survivor = (merging.kind, merging.survivor);
        let other = pair.beside(merging.kind, loser);
        let has_moved = other != survivor && put(tx, ctx, pair.id, both(survivor, other)).await?;
        if has_moved {
            note_move(tx, ctx, merging, pair.id, loser).await?;
        } else {
            note_decision(tx, ctx, merging, pair.id, loser).await?;
            settle(tx, ctx, pair.id, "merged").await?;
        }
    }
    Ok(())
}

/// Lets a pair be one of these two; false when there is such a pair already.
async fn put(tx: &mut Tx, ctx: &Ctx, id: Uuid, [one, other]: Both) -> AppResult<bool> {
    let query = sql_query(
        "UPDATE duplicate_reviews r SET record_kind = $3, record_id = $4, other_kind = $5, other_id = $6, \
            version = r.version + 1, updated_at = $7 \
         WHERE r.tenant_id = $1 AND r.id = $2 AND NOT EXISTS (SELECT 1 FROM duplicate_reviews o WHERE o.tenant_id = $1 \
            AND o.record_kind = $3 AND o.record_id = $4 AND o.other_kind = $5 AND o.other_id = $6)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(one.0)
    .bind::<SqlUuid, _>(one.1)
    .bind::<Text, _>(other.0)
    .bind::<SqlUuid, _>(other.1)
    .bind::<Timestamptz, _>(ctx.now);
    let is_put = Cached(query).execute(&mut **tx).await? == 1;
    if is_put {
        let data = json!({ "pair": [{ "kind": one.0, "id": one.1 }, { "kind": other.0, "id": other.1 }] });
        let event = Event::new("duplicate_review.repointed", "duplicate_review", id, data);
        tx.record(event.and_on(one.0, Some(one.1)).and_on(other.0, Some(other.1)));
    }
    Ok(is_put)
}

async fn note_move(tx: &mut Tx, ctx: &Ctx, merging: Merging, id: Uuid, loser: Uuid) -> AppResult<()> {
    let query = sql_query(
        "INSERT INTO merge_moves (tenant_id, merge_id, link, row_id, from_id) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<Text, _>(MOVED)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(loser);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

async fn note_decision(tx: &mut Tx, ctx: &Ctx, merging: Merging, id: Uuid, loser: Uuid) -> AppResult<()> {
    let query = sql_query(
        "INSERT INTO merge_moves (tenant_id, merge_id, link, row_id, from_id, was) \
         SELECT $1, $2, $3, r.id, $5, jsonb_build_object('status', r.status, 'later_until', r.later_until, \
            'decided_by', r.decided_by, 'decided_at', r.decided_at) FROM duplicate_reviews r WHERE r.tenant_id = $1 AND r.id = $4",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<Text, _>(SETTLED)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(loser);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// The pairs of a merge that is undone say again what they said before it; of two that were one, that they are two.
///
/// # Errors
/// Database errors.
pub async fn unmerged(tx: &mut Tx, ctx: &Ctx, merging: Merging, restored: &[Uuid]) -> AppResult<()> {
    take_decisions_back(tx, ctx, merging).await?;
    move_back(tx, ctx, merging).await?;
    for loser in restored {
        part(tx, ctx, merging.kind, merging.survivor, *loser).await?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Reopened {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Nullable<Date>)]
    later_until: Option<NaiveDate>,
}

async fn take_decisions_back(tx: &mut Tx, ctx: &Ctx, merging: Merging) -> AppResult<()> {
    let query = sql_query(
        "WITH noted AS (DELETE FROM merge_moves WHERE tenant_id = $1 AND merge_id = $2 AND link = $3 RETURNING row_id, was) \
         UPDATE duplicate_reviews r SET status = n.was ->> 'status', later_until = (n.was ->> 'later_until')::date, \
            decided_by = (n.was ->> 'decided_by')::uuid, decided_at = (n.was ->> 'decided_at')::timestamptz, \
            version = r.version + 1, updated_at = $4 \
         FROM noted n WHERE r.tenant_id = $1 AND r.id = n.row_id AND r.status = 'merged' RETURNING r.id, r.status, r.later_until",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<Text, _>(SETTLED)
    .bind::<Timestamptz, _>(ctx.now);
    let reopened: Vec<Reopened> = Cached(query).load(&mut **tx).await?;
    for pair in reopened {
        let data = json!({ "status": pair.status, "merge_id": merging.id });
        let kind = "duplicate_review.unmerged";
        tx.record(Event::new(kind, "duplicate_review", pair.id, data));
        if let Some(until) = pair.later_until.filter(|_| pair.status == "later") {
            wake_on(tx, ctx, pair.id, until).await?;
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Move {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    from_id: Uuid,
    #[diesel(sql_type = Text)]
    other_kind: String,
    #[diesel(sql_type = SqlUuid)]
    other_id: Uuid,
}

/// A pair that ended since, in another merge, stays where that one put it.
async fn move_back(tx: &mut Tx, ctx: &Ctx, merging: Merging) -> AppResult<()> {
    let query = sql_query(
        "WITH noted AS (DELETE FROM merge_moves WHERE tenant_id = $1 AND merge_id = $2 AND link = $3 RETURNING row_id, from_id) \
         SELECT r.id, n.from_id, \
            CASE WHEN r.record_kind = $4 AND r.record_id = $5 THEN r.other_kind ELSE r.record_kind END AS other_kind, \
            CASE WHEN r.record_kind = $4 AND r.record_id = $5 THEN r.other_id ELSE r.record_id END AS other_id \
         FROM noted n JOIN duplicate_reviews r ON r.tenant_id = $1 AND r.id = n.row_id \
         WHERE r.status <> 'merged' AND ((r.record_kind = $4 AND r.record_id = $5) OR (r.other_kind = $4 AND r.other_id = $5))",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(merging.id)
    .bind::<Text, _>(MOVED)
    .bind::<Text, _>(merging.kind)
    .bind::<SqlUuid, _>(merging.survivor);
    let moves: Vec<Move> = Cached(query).load(&mut **tx).await?;
    for pair in &moves {
        let other = (known(&pair.other_kind), pair.other_id);
        put(tx, ctx, pair.id, both((merging.kind, pair.from_id), other)).await?;
    }
    Ok(())
}

/// Two records whose merge was undone are two.
async fn part(tx: &mut Tx, ctx: &Ctx, kind: &'static str, one: Uuid, other: Uuid) -> AppResult<()> {
    let query = sql_query(
        "SELECT id, record_kind, record_id, other_kind, other_id FROM duplicate_reviews \
         WHERE tenant_id = $1 AND record_kind = $2 AND other_kind = $2 AND record_id = least($3, $4) AND other_id = greatest($3, $4) FOR UPDATE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind)
    .bind::<SqlUuid, _>(one)
    .bind::<SqlUuid, _>(other);
    let pairs: Vec<Pair> = Cached(query).load(&mut **tx).await?;
    for pair in pairs {
        settle(tx, ctx, pair.id, "distinct").await?;
    }
    Ok(())
}
