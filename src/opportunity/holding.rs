//! What deals say about their accounts: an open one keeps an account out of the pool, and having had one counts.

use crate::crm::pool::{Deals, DealsOf};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Cached;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Bool, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::LocalBoxFuture;
use uuid::Uuid;

/// As the pool asks for it.
pub const DEALS: Deals = Deals(of_accounts);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    account_id: Uuid,
    #[diesel(sql_type = Bool)]
    has_open: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_at: Option<DateTime<Utc>>,
}

fn of_accounts<'a>(
    conn: &'a mut &AsyncPgConnection,
    ctx: &'a Ctx,
    accounts: Vec<Uuid>,
) -> LocalBoxFuture<'a, AppResult<Vec<DealsOf>>> {
    Box::pin(async move {
        let query = sql_query(
            "SELECT o.account_id, bool_or(o.status = 'open' AND o.archived_at IS NULL) AS has_open, \
                max(greatest(o.created_at, o.archived_at, c.ended_at)) AS last_at \
             FROM opportunities o LEFT JOIN cycles c ON c.tenant_id = $1 AND c.opportunity_id = o.id AND c.number = o.cycle \
             WHERE o.tenant_id = $1 AND o.account_id = ANY($2) GROUP BY o.account_id",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Array<SqlUuid>, _>(accounts);
        let rows: Vec<Row> = Cached(query).load(conn).await?;
        let known = rows.into_iter().map(|row| DealsOf {
            account_id: row.account_id,
            has_open: row.has_open,
            last_at: row.last_at,
        });
        Ok(known.collect())
    })
}
