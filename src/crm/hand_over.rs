//! What somebody keeps in these rooms, for handing it over. Converted leads are history and stay.

use super::handover;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::hand_over::{Holding, counted, give, give_all};
use futures::future::LocalBoxFuture;
use uuid::Uuid;

const LEADS: Holding = Holding {
    kind: "lead",
    plural: "leads",
    table: "leads",
    column: "owner_id",
    only: "status <> 'converted'",
};

const HOLDINGS: &[Holding] = &[
    Holding {
        kind: "account",
        plural: "accounts",
        table: "accounts",
        column: "owner_id",
        only: "TRUE",
    },
    Holding {
        kind: "contact",
        plural: "contacts",
        table: "contacts",
        column: "owner_id",
        only: "TRUE",
    },
    Holding {
        kind: "lead_source",
        plural: "lead-sources",
        table: "lead_sources",
        column: "default_owner_id",
        only: "TRUE",
    },
];

/// Hands accounts, contacts, leads and the ownership of new leads over.
pub fn hand_over<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    from: Uuid,
    to: Uuid,
) -> LocalBoxFuture<'a, AppResult<Vec<(&'static str, i64)>>> {
    Box::pin(async move {
        let mut counts = give_all(tx, ctx, HOLDINGS, from, to).await?;
        let leads = give(tx, ctx, &LEADS, from, to).await?;
        if from != to {
            handover::follow::handed_over(tx, ctx, &leads, from, to).await?;
        }
        counts.push((LEADS.plural, counted(&leads)));
        Ok(counts)
    })
}
