//! Writing events: one for each changed record of a command, in the command's transaction, in one statement.

use super::db::{Cached, Tx};
use super::event_kinds;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
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

    /// Takes in what the same command did to the same record afterwards: a command leaves one event for each record. The
    /// more telling kind stays; of a member changed twice, the first `before` and the last `after`.
    pub fn absorb(&mut self, later: Event) {
        if self.kind.ends_with(".updated") {
            self.kind = later.kind;
        }
        merge(&mut self.data, later.data);
        for (permission, part) in later.sensitive {
            merge(
                self.sensitive.entry(permission).or_insert_with(|| json!({})),
                part,
            );
        }
        self.also.extend(later.also);
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

fn merge(earlier: &mut Value, later: Value) {
    match (earlier, later) {
        (Value::Object(earlier), Value::Object(later)) => {
            if earlier.contains_key("before") && later.contains_key("before") {
                return follow(earlier, later);
            }
            for (name, value) in later {
                match earlier.get_mut(&name) {
                    Some(known) => merge(known, value),
                    None => {
                        earlier.insert(name, value);
                    }
                }
            }
        }
        (earlier, later) => *earlier = later,
    }
}

/// A member changed again: what it was before all stays, and what it is now takes the place of what it was in between, whole,
/// since what was taken out of an object in the second step is no longer in it.
fn follow(earlier: &mut Map<String, Value>, later: Map<String, Value>) {
    let later = later.into_iter().filter(|(name, _)| name != "before");
    earlier.extend(later);
}

/// What a transaction has noted and not yet written: one event a record, in the order of their first mention.
#[derive(Default)]
pub struct Noted {
    events: Vec<Event>,
    /// Where the event of a record stands.
    places: HashMap<(&'static str, Uuid), usize>,
}

impl Noted {
    /// Notes what happened to a record, in the event that it may have already.
    pub fn note(&mut self, event: Event) {
        match self.places.entry((event.subject_kind, event.subject_id)) {
            Entry::Occupied(place) => {
                if let Some(known) = self.events.get_mut(*place.get()) {
                    known.absorb(event);
                }
            }
            Entry::Vacant(place) => {
                place.insert(self.events.len());
                self.events.push(event);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn clear(&mut self) {
        self.events.clear();
        self.places.clear();
    }

    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}

const FLUSH: &str = "\
WITH e AS (
    SELECT (x.value->>'id')::uuid AS id, x.value AS v, $3::jsonb->(x.value->>'terms')::int AS t FROM jsonb_array_elements($2) AS x (value)
), written AS (
    INSERT INTO events (tenant_id, id, command_id, kind, subject_kind, subject_id, actor_kind, actor_id, cause, occurred_at, recorded_at, payload_digest)
    SELECT $1, e.id, (e.t->>'command_id')::uuid, e.v->>'kind', e.v->>'subject_kind', (e.v->>'subject_id')::uuid, e.t->>'actor_kind', (e.t->>'actor_id')::uuid,
        e.t->>'cause', (e.t->>'occurred_at')::timestamptz, (e.t->>'recorded_at')::timestamptz, decode(e.v->>'digest', 'hex') FROM e
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

/// Writes the events of commands of one company, each with the terms of its command.
///
/// # Errors
/// Database errors.
pub async fn flush(tx: &mut Tx, tenant: Uuid, commands: Vec<(&Ctx, Vec<Event>)>) -> AppResult<()> {
    let (mut terms, mut rows) = (Vec::new(), Vec::new());
    for (ctx, events) in commands {
        rows.extend(events.into_iter().map(|event| row(event, terms.len())));
        terms.push(terms_of(ctx));
    }
    if rows.is_empty() {
        return Ok(());
    }
    Cached(
        sql_query(FLUSH)
            .bind::<SqlUuid, _>(tenant)
            .bind::<Jsonb, _>(Value::Array(rows))
            .bind::<Jsonb, _>(Value::Array(terms)),
    )
    .execute(&mut **tx)
    .await
    .map_err(AppError::from)?;
    Ok(())
}

fn terms_of(ctx: &Ctx) -> Value {
    let actor_kind: &'static str = ctx.actor_kind.into();
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({
        "command_id": ctx.command_id, "actor_kind": actor_kind, "actor_id": ctx.actor_id, "cause": ctx.cause,
        "occurred_at": instant(ctx.now), "recorded_at": instant(ctx.recorded_at),
    })
}

fn row(event: Event, terms: usize) -> Value {
    debug_assert!(event_kinds::is_known(&event.kind), "{} is in no list", event.kind);
    let sensitive = Value::Object(event.sensitive);
    let mut subjects = vec![json!([event.subject_kind, event.subject_id])];
    subjects.extend(event.also.iter().map(|(kind, id)| json!([kind, id])));
    json!({
        "id": Uuid::now_v7(),
        "terms": terms,
        "kind": event.kind,
        "subject_kind": event.subject_kind,
        "subject_id": event.subject_id,
        "digest": to_hex(&digest(&event.data, &sensitive)),
        "data": event.data,
        "sensitive": sensitive,
        "subjects": subjects,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_changed_twice_in_a_command_has_one_event_from_first_to_last() {
        let id = Uuid::now_v7();
        let step = |kind: &str, before: i32, after: i32| {
            Event::new(
                kind,
                "user",
                id,
                json!({ "changes": { "level": { "before": before, "after": after } } }),
            )
        };
        let mut event = step("user.updated", 1, 2);
        event.absorb(step("user.promoted", 2, 3));
        assert_eq!(event.kind, "user.promoted");
        assert_eq!(
            event.data,
            json!({ "changes": { "level": { "before": 1, "after": 3 } } })
        );
    }

    #[test]
    fn what_the_second_of_two_changes_took_out_of_an_object_is_not_told_as_still_in_it() {
        let id = Uuid::now_v7();
        let step = |before: Value, after: Value| {
            let changes = json!({ "changes": { "custom": { "before": before, "after": after } } });
            let mut event = Event::new("account.updated", "account", id, changes.clone());
            event.sensitive.insert("x.read".to_owned(), changes);
            event
        };
        let (first, second, third) = (
            json!({ "size": 1 }),
            json!({ "size": 1, "fleet": { "vans": 2 } }),
            json!({ "fleet": {} }),
        );
        let mut event = step(first.clone(), second.clone());
        event.absorb(step(second, third.clone()));
        let expected = json!({ "changes": { "custom": { "before": first, "after": third } } });
        assert_eq!((&event.data, &event.sensitive["x.read"]), (&expected, &expected));
    }

    #[test]
    fn each_record_of_a_command_has_one_event_in_the_order_of_their_first_mention() {
        let ids = [Uuid::now_v7(), Uuid::now_v7()];
        let mut noted = Noted::default();
        for (kind, id) in [("a", ids[0]), ("b", ids[0]), ("a", ids[1]), ("a", ids[0])] {
            noted.note(Event::new(format!("{kind}.updated"), kind, id, json!({})));
        }
        let events = noted.into_events();
        let told = events.iter().map(|event| (event.subject_kind, event.subject_id));
        let expected = [("a", ids[0]), ("b", ids[0]), ("a", ids[1])];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

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
