//! Writing events: one for each changed record of a command, in the command's transaction, in one statement.

use super::db::{Cached, Tx};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use uuid::Uuid;

/// Told after each commit that wrote events, so that the sequencer of this process need not wait for its next look.
/// A hint only: nothing depends on its arrival.
pub static COMMITTED: Notify = Notify::const_new();

/// One changed record.
#[derive(Debug, Clone)]
pub struct Event {
    /// `account.updated`, `opportunity.advanced` …
    pub kind: String,
    pub subject_kind: &'static str,
    pub subject_id: Uuid,
    /// What happened: for a plain change `{"changes": {member: {"before", "after"}}}`.
    pub data: Value,
    /// Members that need a permission of their own, keyed by that permission.
    pub sensitive: Map<String, Value>,
    /// Further records on whose timelines this belongs.
    pub also: Vec<(&'static str, Uuid)>,
}

impl Event {
    pub fn new(kind: impl Into<String>, subject_kind: &'static str, subject_id: Uuid, data: Value) -> Event {
        Event {
            kind: kind.into(),
            subject_kind,
            subject_id,
            data,
            sensitive: Map::new(),
            also: Vec::new(),
        }
    }

    /// Puts the event on another record's timeline too.
    #[must_use]
    pub fn and_on(mut self, kind: &'static str, id: Option<Uuid>) -> Event {
        if let Some(id) = id {
            self.also.push((kind, id));
        }
        self
    }
}

const FLUSH: &str = "\
WITH e AS (
    SELECT (x.value->>'id')::uuid AS id, x.value AS v FROM jsonb_array_elements($2) AS x (value)
), written AS (
    INSERT INTO events (tenant_id, id, command_id, kind, subject_kind, subject_id, actor_kind, actor_id, cause, occurred_at, recorded_at, payload_digest)
    SELECT $1, e.id, $3, e.v->>'kind', e.v->>'subject_kind', (e.v->>'subject_id')::uuid, $4, $5, $6, $7, $8, decode(e.v->>'digest', 'hex') FROM e
), payloads AS (
    INSERT INTO event_payloads (tenant_id, event_id, data, sensitive)
    SELECT $1, e.id, e.v->'data', nullif(e.v->'sensitive', '{}'::jsonb) FROM e
), queued AS (
    INSERT INTO event_queue (tenant_id, event_id) SELECT $1, e.id FROM e
)
INSERT INTO event_subjects (tenant_id, subject_kind, subject_id, event_id)
SELECT DISTINCT $1, s.value->>0, (s.value->>1)::uuid, e.id FROM e, jsonb_array_elements(e.v->'subjects') AS s (value)";

/// Digest of a payload: SHA-256 over its JSON with members in alphabetical order, as the hash chain needs it.
pub fn digest(data: &Value, sensitive: &Value) -> Vec<u8> {
    let mut hasher = Sha256::new();
    canonical(data, &mut hasher);
    canonical(sensitive, &mut hasher);
    hasher.finalize().to_vec()
}

fn canonical(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Object(members) => {
            let mut names = members.keys().collect::<Vec<_>>();
            names.sort();
            hasher.update(b"{");
            for name in names {
                hasher.update(Value::from(name.as_str()).to_string());
                hasher.update(b":");
                canonical(&members[name], hasher);
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                canonical(item, hasher);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        // The database keeps no sign of zero.
        Value::Number(number) if number.as_f64() == Some(0.0) && number.is_f64() => hasher.update("0.0"),
        plain => hasher.update(plain.to_string()),
    }
}

/// SHA-256 over the canonical form (members in alphabetical order) of a JSON value.
pub fn content_hash(value: &Value) -> Vec<u8> {
    let mut hasher = Sha256::new();
    canonical(value, &mut hasher);
    hasher.finalize().to_vec()
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the events of a command.
///
/// # Errors
/// Database errors.
pub async fn flush(tx: &mut Tx, ctx: &Ctx, events: Vec<Event>) -> AppResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    let rows = events
        .into_iter()
        .map(|event| {
            let sensitive = Value::Object(event.sensitive);
            let mut subjects = vec![json!([event.subject_kind, event.subject_id])];
            subjects.extend(event.also.iter().map(|(kind, id)| json!([kind, id])));
            json!({
                "id": Uuid::now_v7(),
                "kind": event.kind,
                "subject_kind": event.subject_kind,
                "subject_id": event.subject_id,
                "digest": to_hex(&digest(&event.data, &sensitive)),
                "data": event.data,
                "sensitive": sensitive,
                "subjects": subjects,
            })
        })
        .collect::<Vec<_>>();
    let actor_kind: &'static str = ctx.actor_kind.into();
    Cached(
        sql_query(FLUSH)
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<Jsonb, _>(Value::Array(rows))
            .bind::<SqlUuid, _>(ctx.command_id)
            .bind::<Text, _>(actor_kind)
            .bind::<Nullable<SqlUuid>, _>(ctx.actor_id)
            .bind::<Nullable<Text>, _>(ctx.cause.as_deref())
            .bind::<Timestamptz, _>(ctx.now)
            .bind::<Timestamptz, _>(ctx.recorded_at),
    )
    .execute(&mut **tx)
    .await
    .map_err(AppError::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_members_does_not_change_a_digest() {
        let one = json!({"a": 1, "b": {"c": [1, 2], "d": null}});
        let other = json!({"b": {"d": null, "c": [1, 2]}, "a": 1});
        assert_eq!(content_hash(&one), content_hash(&other));
        assert_ne!(
            content_hash(&one),
            content_hash(&json!({"a": 1, "b": {"c": [2, 1], "d": null}}))
        );
    }
}
