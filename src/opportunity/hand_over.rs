//! What somebody drives, for handing it over. Closed opportunities are history and stay with who closed them.

use super::lapse;
use crate::approval::staffing;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::hand_over::{Holding, counted, give};
use futures::future::LocalBoxFuture;
use uuid::Uuid;

const OPEN: Holding = Holding {
    kind: "opportunity",
    plural: "opportunities",
    table: "opportunities",
    column: "owner_id",
    only: "status = 'open'",
};

/// Hands open opportunities over. Whoever takes them may then not approve what is asked about them, and what was asked about
/// deals of just this owner lapses.
pub fn hand_over<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    from: Uuid,
    to: Uuid,
) -> LocalBoxFuture<'a, AppResult<Vec<(&'static str, i64)>>> {
    Box::pin(async move {
        let given = give(tx, ctx, &OPEN, from, to).await?;
        lapse::changed(tx, ctx, &given).await?;
        let told = lapse::owner_changed(tx, ctx, &given, Some(to)).await?;
        staffing::separate(tx, ctx, super::APPROVAL_SUBJECTS, &told).await?;
        Ok(vec![(OPEN.plural, counted(&given))])
    })
}
