//! What somebody keeps in these rooms, for handing it over. Converted leads are history and stay.

use super::handover;
use super::pool::{self, Kind};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::hand_over::{Holding, counted, give};
use futures::future::LocalBoxFuture;
use uuid::Uuid;

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
        kind: "lead",
        plural: "leads",
        table: "leads",
        column: "owner_id",
        only: "status <> 'converted'",
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
        let mut counts = Vec::with_capacity(HOLDINGS.len());
        for holding in HOLDINGS {
            let given = give(tx, ctx, holding, from, to).await?;
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == holding.kind);
            if let Some(kind) = kind {
                pool::reschedule(tx, ctx, kind, &given).await?;
            }
            if kind == Some(Kind::Lead) && from != to {
                handover::follow::handed_over(tx, ctx, &given, from, to).await?;
            }
            counts.push((holding.plural, counted(&given)));
        }
        Ok(counts)
    })
}
