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
use serde_json::{Map, Value, json};

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

/// Writes what changed, for any number of leads at once. Once this was done they must be written: the rows name them.
///
/// # Errors
/// Database errors.
pub async fn note(tx: &mut Tx, ctx: &Ctx, changes: impl IntoIterator<Item = &Change>) -> AppResult<()> {
    let changed = changes
        .into_iter()
        .filter(|change| VALUES.iter().any(|member| change.changed(member)));
    let rows = changed.map(row).collect::<Vec<_>>();
    if rows.is_empty() {
        return Ok(());
    }
    let query = sql_query(
        "INSERT INTO lead_signals (tenant_id, lead_id, decision_from, decision_until, nurture_reason, confirmations) \
         SELECT $1, r.lead_id, r.decision_from, r.decision_until, r.nurture_reason, nullif(r.confirmations, 'null') \
         FROM jsonb_populate_recordset(NULL::lead_signals, $2) r \
         ON CONFLICT (tenant_id, lead_id) DO UPDATE SET decision_from = EXCLUDED.decision_from, \
            decision_until = EXCLUDED.decision_until, nurture_reason = EXCLUDED.nurture_reason, confirmations = EXCLUDED.confirmations",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Jsonb, _>(Value::Array(rows));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

fn row(change: &Change) -> Value {
    let values = VALUES.iter().filter_map(|member| {
        let value = change.after.get(*member)?;
        Some(((*member).to_owned(), value.clone()))
    });
    let mut row = values.collect::<Map<_, _>>();
    row.insert("lead_id".to_owned(), json!(change.id));
    Value::Object(row)
}
