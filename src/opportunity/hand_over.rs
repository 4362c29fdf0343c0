//! What somebody drives, for handing it over. Closed opportunities are history and stay with who closed them.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::hand_over::{Holding, give_all};
use futures::future::LocalBoxFuture;
use uuid::Uuid;

const HOLDINGS: &[Holding] = &[Holding {
    kind: "opportunity",
    plural: "opportunities",
    table: "opportunities",
    column: "owner_id",
    only: "status = 'open'",
}];

/// Hands open opportunities over.
pub fn hand_over<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    from: Uuid,
    to: Uuid,
) -> LocalBoxFuture<'a, AppResult<Vec<(&'static str, i64)>>> {
    Box::pin(give_all(tx, ctx, HOLDINGS, from, to))
}
