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
use serde_json::{Map, Value};

/// What a row of `lead_signals` holds.
const VALUES: [&str; 3] = ["decision_from", "decision_until", "nurture_reason"];

/// Takes the confirmations of what changes back; answers what is wrong with the signals.
pub fn weigh(change: &mut Change) -> Option<Fault> {
    if !matches!(change.act, Act::Create | Act::Update) {
        return None;
    }
    let left = rules::left(&change.before, &change.after);
    change.after.insert("confirmations".to_owned(), left);
    rules::window_fault(&change.after)
}

/// Writes what changed. Once this was done the lead must be written: the rows name it.
///
/// # Errors
/// Database errors.
pub async fn note(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    if VALUES.iter().any(|member| change.changed(member)) {
        values(tx, ctx, change).await?;
    }
    if change.changed("confirmations") {
        confirmations(tx, ctx, change).await?;
    }
    Ok(())
}

async fn values(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    let row = VALUES.iter().filter_map(|member| {
        let value = change.after.get(*member)?;
        Some(((*member).to_owned(), value.clone()))
    });
    let query = sql_query(
        "INSERT INTO lead_signals (tenant_id, lead_id, decision_from, decision_until, nurture_reason) \
         SELECT $1, $2, r.decision_from, r.decision_until, r.nurture_reason FROM jsonb_populate_record(NULL::lead_signals, $3) r \
         ON CONFLICT (tenant_id, lead_id) DO UPDATE SET \
            decision_from = EXCLUDED.decision_from, decision_until = EXCLUDED.decision_until, nurture_reason = EXCLUDED.nurture_reason",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(change.id)
    .bind::<Jsonb, _>(Value::Object(row.collect()));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

async fn confirmations(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    let known = change.after.get("confirmations").and_then(Value::as_object);
    let known = known.cloned().unwrap_or_else(Map::new);
    let query = sql_query(
        "WITH known AS (SELECT k.key AS signal, r.* FROM jsonb_each($3) k, \
            jsonb_to_record(k.value) AS r (ability_to_pay text, method text, note text, confirmed_by uuid, confirmed_at timestamptz)), \
         gone AS (DELETE FROM lead_confirmations c WHERE c.tenant_id = $1 AND c.lead_id = $2 \
            AND NOT EXISTS (SELECT 1 FROM known k WHERE k.signal = c.signal)) \
         INSERT INTO lead_confirmations (tenant_id, lead_id, signal, ability_to_pay, method, note, confirmed_by, confirmed_at) \
         SELECT $1, $2, k.signal, k.ability_to_pay, k.method, k.note, k.confirmed_by, k.confirmed_at FROM known k \
         ON CONFLICT (tenant_id, lead_id, signal) DO UPDATE SET ability_to_pay = EXCLUDED.ability_to_pay, method = EXCLUDED.method, \
            note = EXCLUDED.note, confirmed_by = EXCLUDED.confirmed_by, confirmed_at = EXCLUDED.confirmed_at",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(change.id)
    .bind::<Jsonb, _>(Value::Object(known));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}
