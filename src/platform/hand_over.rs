//! How each area takes part when somebody hands everything over. The areas register their functions in `app.rs`, so that
//! the people's room need not know the rooms that come after it.

use super::db::{Cached, Tx};
use super::events::Event;
use super::records::entry;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use diesel::sql_types::{Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::json;
use uuid::Uuid;

/// Hands what an area keeps for one person over to another, with one event for every changed record, and answers how
/// many records of each kind (plural, as in paths) that were. With both the same person it answers what there is to hand
/// over; whatever it wrote is then rolled back, unless there is nothing.
pub type HandOver =
    for<'a> fn(&'a mut Tx, &'a Ctx, Uuid, Uuid) -> LocalBoxFuture<'a, AppResult<Vec<(&'static str, i64)>>>;

/// Replaces somebody who hands over or leaves wherever a decision waits for them: by the successor where they may decide;
/// else, when they are deactivated, by whom the process finds, so that nothing is ever skipped. Answers how many requests
/// that touched.
pub type LeaveSeats =
    for<'a> fn(&'a mut Tx, &'a Ctx, Uuid, Option<Uuid>) -> LocalBoxFuture<'a, AppResult<i64>>;

/// Records of one table that name a person.
pub struct Holding {
    /// Singular, as in events: `account`.
    pub kind: &'static str,
    /// Plural, as in paths: `accounts`.
    pub plural: &'static str,
    pub table: &'static str,
    pub column: &'static str,
    /// Which rows count, as a condition over the table.
    pub only: &'static str,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Puts another person into each of these records, with one event for each; answers their ids.
///
/// # Errors
/// Database errors.
pub async fn give(tx: &mut Tx, ctx: &Ctx, holding: &Holding, from: Uuid, to: Uuid) -> AppResult<Vec<Uuid>> {
    let Holding {
        table, column, only, ..
    } = holding;
    let sql = format!(
        "UPDATE {table} SET {column} = $3, version = version + 1, updated_at = $4 \
         WHERE tenant_id = $1 AND {column} = $2 AND {only} RETURNING id"
    );
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(from)
        .bind::<SqlUuid, _>(to)
        .bind::<Timestamptz, _>(ctx.now);
    let rows: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    let ids = rows.iter().map(|row| row.id).collect::<Vec<_>>();
    if *column == "owner_id" {
        entry::follow_owners(tx, ctx.tenant, holding.kind, table, &ids).await?;
    }
    for id in &ids {
        let data = json!({ "changes": { *column: { "before": from, "after": to } } });
        tx.record(Event::new(
            format!("{}.handed_over", holding.kind),
            holding.kind,
            *id,
            data,
        ));
    }
    Ok(ids)
}

/// How many records were given.
pub fn counted(given: &[Uuid]) -> i64 {
    i64::try_from(given.len()).unwrap_or(i64::MAX)
}

/// `give` for several tables.
///
/// # Errors
/// Database errors.
pub async fn give_all(
    tx: &mut Tx,
    ctx: &Ctx,
    holdings: &[Holding],
    from: Uuid,
    to: Uuid,
) -> AppResult<Vec<(&'static str, i64)>> {
    let mut counts = Vec::with_capacity(holdings.len());
    for holding in holdings {
        let given = give(tx, ctx, holding, from, to).await?;
        counts.push((holding.plural, counted(&given)));
    }
    Ok(counts)
}

/// Puts what an area ships into a company that is being made, in this language.
pub type Ship = for<'a> fn(&'a mut Tx, &'a Ctx, &'a str) -> LocalBoxFuture<'a, AppResult<()>>;
