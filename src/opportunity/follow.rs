//! A deal that was brought in follows its file as long as nobody has moved it here: its line while it is open. What is frozen
//! is never written again; a row that says otherwise is told so.

use super::advance::rules::Status;
use super::bring_in::{Past, Wanted, want};
use super::parts::LINE;
use super::standing::Head;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::store;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::sql_types::{Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What of a deal's past is written for good.
#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Timestamptz)]
    entered_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    loss_reason_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

const KEPT: &str = "\
SELECT (SELECT min(m.at) FROM transitions m WHERE m.tenant_id = $1 AND m.opportunity_id = $2) AS entered_at, \
    c.ended_at, c.loss_reason_id, c.reason \
FROM cycles c WHERE c.tenant_id = $1 AND c.opportunity_id = $2 AND c.number = $3";

/// A line of a deal, archived ones too.
#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    product_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    unit_price: String,
    #[diesel(sql_type = Bool)]
    is_archived: bool,
    /// Whether anything but an import wrote it.
    #[diesel(sql_type = Bool)]
    is_edited: bool,
}

const LINES: &str = "\
SELECT l.id, l.product_id, l.unit_price::text AS unit_price, l.archived_at IS NOT NULL AS is_archived, \
    EXISTS (SELECT FROM events e WHERE e.tenant_id = $1 AND e.subject_kind = 'line' AND e.subject_id = l.id AND e.actor_kind <> 'job') AS is_edited \
FROM opportunity_lines l WHERE l.tenant_id = $1 AND l.opportunity_id = $2";

async fn lines(tx: &mut Tx, ctx: &Ctx, deal: Uuid) -> AppResult<Vec<Line>> {
    let query = sql_query(LINES)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(deal);
    Ok(Cached(query).load(&mut **tx).await?)
}

fn is_about(lines: &[Line], wanted: &Wanted) -> bool {
    let mut present = lines.iter().filter(|line| !line.is_archived);
    present.any(|line| line.product_id == Some(wanted.product_id))
}

fn kept_as_it_was(pointer: &str) -> Fault {
    Fault::invalid(
        pointer,
        "differs from what was brought in, and history is never written again",
        "与已导入的内容不一致；历史记录不可改写",
    )
}

/// What a row says otherwise of a deal that was brought in, where that cannot be followed any more: its days, and of a closed
/// one why it was lost and what it was about. Whether its outcome is another is not looked at here.
pub(super) async fn differences(
    tx: &mut Tx,
    ctx: &Ctx,
    head: &Head,
    status: Status,
    past: &Past,
) -> AppResult<Vec<Fault>> {
    let query = sql_query(KEPT)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(head.id)
        .bind::<Integer, _>(head.cycle);
    let kept: Kept = Cached(query).get_result(&mut **tx).await?;
    let zone = ctx.principal.company.time_zone;
    let is_other = |said: Option<NaiveDate>, kept: DateTime<Utc>| {
        said.is_some_and(|said| said != kept.with_timezone(&zone).date_naive())
    };
    let mut faults = Vec::new();
    if is_other(past.entered_on, kept.entered_at) {
        faults.push(kept_as_it_was("/entered_on"));
    }
    if status == Status::Open {
        return Ok(faults);
    }
    if kept.ended_at.is_some_and(|ended| is_other(past.closed_on, ended)) {
        faults.push(kept_as_it_was("/closed_on"));
    }
    if status == Status::Lost {
        if past.loss_reason_id.is_some() && past.loss_reason_id != kept.loss_reason_id {
            faults.push(kept_as_it_was("/loss_reason"));
        }
        if past.lost_because.is_some() && past.lost_because != kept.reason {
            faults.push(kept_as_it_was("/lost_because"));
        }
    }
    if let Some(wanted) = &past.product
        && !is_about(&lines(tx, ctx, head.id).await?, wanted)
    {
        faults.push(kept_as_it_was("/product"));
    }
    Ok(faults)
}

/// Lets the line of an open deal follow its file; answers whether it was another. `record`: the deal as it is by now.
///
/// # Errors
/// `invalid` when it is about another product, and its lines were edited here.
pub(super) async fn line(
    tx: &mut Tx,
    ctx: &Ctx,
    deal: Uuid,
    record: &Map<String, Value>,
    members: &Map<String, Value>,
    wanted: &Wanted,
) -> AppResult<bool> {
    let lines = lines(tx, ctx, deal).await?;
    let line = match lines.as_slice() {
        [] => {
            want(tx, ctx, deal, record, wanted).await?;
            return Ok(true);
        }
        [line] if !line.is_edited && !line.is_archived => line,
        _ if is_about(&lines, wanted) => return Ok(false),
        _ => {
            return Err(AppError::invalid(vec![Fault::invalid(
                "/product",
                "differs from what the deal is about here, and its lines were edited here",
                "与此商机的产品不一致，且其产品行已在本系统修改",
            )]));
        }
    };
    let mut patch = Map::new();
    if line.product_id != Some(wanted.product_id) {
        patch.insert("product_id".to_owned(), json!(wanted.product_id));
        patch.insert("name".to_owned(), json!(wanted.name));
    }
    let price = record.get("amount").and_then(Value::as_str).unwrap_or("0");
    if members.contains_key("amount") && money::parse(price) != money::parse(&line.unit_price) {
        patch.insert("unit_price".to_owned(), json!(price));
    }
    if patch.is_empty() {
        return Ok(false);
    }
    store::update(tx, ctx, &LINE, Some(deal), line.id, patch).await?;
    Ok(true)
}
