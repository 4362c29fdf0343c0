//! What a row says of a deal's past.

use super::draft::{Draft, no_day};
use super::lookup;
use super::plan::Plan;
use super::targets::TransferSubject;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::opportunity::bring_in::{Past, Wanted};
use crate::platform::db::Tx;

/// What a row says of a deal's past, and all that is wrong with it; of other records nothing.
pub async fn read(tx: &mut Tx, ctx: &Ctx, plan: &Plan, draft: &Draft) -> AppResult<(Past, Vec<Fault>)> {
    let mut faults = Vec::new();
    if plan.options.resource != TransferSubject::Opportunity {
        return Ok((Past::default(), faults));
    }
    let mut day = |target: &str| {
        let text = draft.extras.get(target)?;
        let day = plan.day(text);
        if day.is_none() {
            faults.push(no_day(&format!("/{target}")));
        }
        day
    };
    let (entered_on, closed_on) = (day("entered_on"), day("closed_on"));
    let mut past = Past {
        stage: draft.extras.get("stage").cloned(),
        entered_on,
        closed_on,
        lost_because: draft.extras.get("lost_because").cloned(),
        ..Past::default()
    };
    if let Some(text) = draft.extras.get("loss_reason") {
        match lookup::one(&mut &**tx, ctx, plan, "loss_reason", text).await? {
            Ok(id) => past.loss_reason_id = Some(id),
            Err(fault) => faults.push(fault),
        }
    }
    if let Some(text) = draft.extras.get("product") {
        match lookup::one(&mut &**tx, ctx, plan, "product", text).await? {
            Ok(product_id) => {
                past.product = Some(Wanted {
                    product_id,
                    name: text.clone(),
                })
            }
            Err(fault) => faults.push(fault),
        }
    }
    Ok((past, faults))
}
