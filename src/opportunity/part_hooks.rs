//! What is particular to some parts of a deal. The deal is locked before any of them is written.

use super::lapse;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::records::spec::Act;
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::records::{Change, Hooks};
use diesel::QueryableByName;
use diesel::sql_types::Numeric;
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use rust_decimal::Decimal;
use serde_json::Value;

type Outcome<'a> = LocalBoxFuture<'a, AppResult<()>>;

pub const LINE: Hooks = Hooks {
    before: Some(line),
    after: Some(line_changed),
    ..Hooks::NONE
};

pub const DECISION_CHAIN_MEMBER: Hooks = Hooks {
    before: Some(decision_chain_member),
    ..Hooks::NONE
};

pub const SOLUTION_CHECKLIST_ITEM: Hooks = Hooks {
    before: Some(solution_checklist_item),
    ..Hooks::NONE
};

pub const CHANGE_REQUEST: Hooks = Hooks {
    before: Some(change_request),
    ..Hooks::NONE
};

fn is_null(change: &Change, member: &str) -> bool {
    change.after.get(member).is_none_or(Value::is_null)
}

fn refuse_if(faults: Vec<Fault>) -> AppResult<()> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

/// A line is of some quantity, and comes to a sum that can be written.
fn line<'a>(_: &'a mut Tx, _: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    Box::pin(async move { refuse_if(line_faults(change).into_iter().collect()) })
}

fn line_faults(change: &Change) -> Option<Fault> {
    let number = |member: &str| change.text(member).and_then(money::parse);
    let quantity = number("quantity")?;
    if quantity <= Decimal::ZERO {
        return Some(Fault::out_of_range("/quantity", "must be above 0", "必须大于 0"));
    }
    let kept = Decimal::ONE - number("discount").unwrap_or_default();
    let price = number("unit_price")?.checked_mul(kept);
    let amount = price.and_then(|price| price.checked_mul(quantity));
    let fits = amount.is_some_and(|amount| amount.abs() < money::BEYOND);
    (!fits).then(|| {
        Fault::out_of_range(
            "/quantity",
            "times the price has too many digits",
            "与单价相乘后位数过多",
        )
    })
}

/// What was approved may have been the lines.
fn line_changed<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    Box::pin(async move {
        match change.parent {
            Some(deal) => lapse::changed(tx, ctx, &[deal]).await,
            None => Ok(()),
        }
    })
}

#[derive(QueryableByName)]
struct Influence {
    #[diesel(sql_type = Numeric)]
    others: Decimal,
}

/// Somebody known by contact or title; all influences of a deal add to at most 1.
fn decision_chain_member<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    Box::pin(async move {
        if change.act == Act::Archive {
            return Ok(());
        }
        let mut faults = Vec::new();
        if is_null(change, "contact_id") && is_null(change, "title") {
            faults.push(Fault::new(
                "/title",
                "required",
                say("is required when there is no contact", "未指定联系人时为必填项"),
            ));
        }
        let own = change
            .text("influence")
            .and_then(money::parse)
            .unwrap_or_default();
        let others = others_influence(tx, ctx, change).await?;
        if own + others > Decimal::ONE {
            let left = money::share_text(Decimal::ONE - others);
            faults.push(Fault::out_of_range(
                "/influence",
                &format!("can be at most {left}: the influences of an opportunity add to at most 1"),
                &format!("最多为 {left}：同一商机的影响力之和不得超过 1"),
            ));
        }
        refuse_if(faults)
    })
}

async fn others_influence(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<Decimal> {
    let Some(deal) = change.parent else {
        return Ok(Decimal::ZERO);
    };
    let mut sql = Sql::of(ctx.tenant);
    let deal = sql.place(Bind::Id(deal));
    let id = sql.place(Bind::Id(change.id));
    sql.push(&format!(
        "SELECT coalesce(sum(m.influence), 0) AS others FROM decision_chain_members m \
         WHERE m.tenant_id = $1 AND m.opportunity_id = {deal} AND m.id <> {id} AND m.archived_at IS NULL"
    ));
    let row: Influence = sql.query().get_result(&mut **tx).await?;
    Ok(row.others)
}

/// A day of completion only for what is done.
fn solution_checklist_item<'a>(_: &'a mut Tx, _: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    Box::pin(async move {
        let is_done = change.after.get("is_done") == Some(&Value::Bool(true));
        let mut faults = Vec::new();
        if !is_done && !is_null(change, "done_on") {
            faults.push(Fault::invalid(
                "/done_on",
                "can be given only when is_done is true",
                "仅当 is_done 为 true 时可填写",
            ));
        }
        refuse_if(faults)
    })
}

/// A refusal is explained.
fn change_request<'a>(_: &'a mut Tx, _: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    Box::pin(async move {
        let explanation = change.text("explanation").map(str::trim);
        let is_explained = explanation.is_some_and(|text| !text.is_empty());
        let mut faults = Vec::new();
        if change.text("state") == Some("refused") && !is_explained {
            faults.push(Fault::new(
                "/explanation",
                "required",
                say("is required for a refusal", "拒绝时须说明原因"),
            ));
        }
        refuse_if(faults)
    })
}
