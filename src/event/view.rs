//! An event as answers show it.

use crate::kernel::ctx::Ctx;
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// One changed record of a committed command.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub id: Uuid,
    /// Its place in the company's order, from 1 without a gap; null for the moment until it has one.
    #[schema(minimum = 1, example = 42)]
    pub seq: Option<i64>,
    /// What happened to which kind of record.
    #[schema(example = "opportunity.updated")]
    pub kind: String,
    #[schema(example = "opportunity")]
    pub subject_kind: String,
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub subject_id: Uuid,
    /// `user`, `key`, `source`, `rule`, `timer`, `job` or `system`.
    #[schema(example = "user")]
    pub actor_kind: String,
    /// The user, key or source; null where the system acted.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    pub actor_id: Option<Uuid>,
    /// What made the system act, e.g. the timer that fired.
    #[schema(example = "timer approval_deadline")]
    pub cause: Option<String>,
    /// Shared by all events of one command.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2d")]
    pub command_id: Uuid,
    /// By the company's clock.
    #[schema(example = "2024-03-15T08:30:00Z")]
    pub occurred_at: DateTime<Utc>,
    /// By real time.
    #[schema(example = "2024-03-15T08:30:00Z")]
    pub recorded_at: DateTime<Utc>,
    /// What happened. A plain change has `changes`: each member with `before` and `after`. Null once emptied, because it
    /// held personal data.
    #[schema(value_type = Option<Object>, example = json!({ "changes": { "amount": { "before": "100000.00", "after": "120000.00" } } }))]
    pub data: Option<Value>,
    /// What needs a permission of its own, by that permission; only those that you hold.
    #[schema(value_type = Object, example = json!({ "catalog.read_cost": { "cost": { "before": null, "after": "80.00" } } }))]
    pub sensitive: Map<String, Value>,
    /// Its link in the hash chain, SHA-256 in hexadecimal; null for the moment until it has a place.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub hash: Option<String>,
}

/// An event as it is read.
#[derive(QueryableByName)]
pub(super) struct EventRow {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub seq: Option<i64>,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    subject_kind: String,
    #[diesel(sql_type = SqlUuid)]
    subject_id: Uuid,
    #[diesel(sql_type = Text)]
    actor_kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    actor_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    cause: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    command_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    recorded_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    data: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    sensitive: Option<Value>,
    #[diesel(sql_type = Nullable<Binary>)]
    hash: Option<Vec<u8>>,
}

/// The columns of [`EventRow`] over the aliases `e`, `p` (position) and `d` (payload).
pub(super) const COLUMNS: &str = "e.id, p.seq, e.kind, e.subject_kind, e.subject_id, e.actor_kind, e.actor_id, e.cause, \
     e.command_id, e.occurred_at, e.recorded_at, d.data, d.sensitive, p.hash";

impl EventRow {
    /// What this caller may see of it.
    pub(super) fn view(self, ctx: &Ctx) -> EventView {
        let sensitive = match self.sensitive {
            Some(Value::Object(parts)) => parts,
            _ => Map::new(),
        };
        EventView {
            id: self.id,
            seq: self.seq,
            kind: self.kind,
            subject_kind: self.subject_kind,
            subject_id: self.subject_id,
            actor_kind: self.actor_kind,
            actor_id: self.actor_id,
            cause: self.cause,
            command_id: self.command_id,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
            data: self.data,
            sensitive: sensitive
                .into_iter()
                .filter(|(permission, _)| ctx.holds(permission))
                .collect(),
            hash: self.hash.map(|hash| crate::platform::events::to_hex(&hash)),
        }
    }
}

/// A page of events.
#[derive(Serialize, ToSchema)]
pub struct EventPage {
    pub data: Vec<EventView>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}
