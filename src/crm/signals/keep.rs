//! Keeping what stands beside a lead's row.

use super::rules;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Act, Change};
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// What a row of `lead_signals` holds.
const VALUES: [&str; 4] = [
    "decision_from",
    "decision_until",
    "nurture_reason",
    "confirmations",
];

/// Takes the confirmations of what changes back; answers what is wrong with the signals.
pub fn weigh(change: &mut Change) -> Option<Fault> {
    if !matches!(change.act, Act::Create | Act::Update) {
        return None;
    }
    let left = rules::left(&change.before, &change.after);
    change.after.insert("confirmations".to_owned(), left);
    rules::window_fault(&change.after)
}

/// Writes what changed. Once this was done the lead must be written: the row names it.
///
/// # Errors
/// Database errors.
pub async fn note(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    if !VALUES.iter().any(|member| change.changed(member)) {
        return Ok(());
    }
    let row = VALUES.iter().filter_map(|member| {
        let value = change.after.get(*member)?;
        Some(((*member).to_owned(), value.clone()))
    });
    let query = sql_query(
        "INSERT INTO lead_signals (tenant_id, lead_id, decision_from, decision_until, nurture_reason, confirmations) \
         SELECT $1, $2, r.decision_from, r.decision_until, r.nurture_reason, nullif(r.confirmations, 'null') \
         FROM jsonb_populate_record(NULL::lead_signals, $3) r \
         ON CONFLICT (tenant_id, lead_id) DO UPDATE SET decision_from = EXCLUDED.decision_from, \
            decision_until = EXCLUDED.decision_until, nurture_reason = EXCLUDED.nurture_reason, confirmations = EXCLUDED.confirmations",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(change.id)
    .bind::<Jsonb, _>(Value::Object(row.collect()));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}
