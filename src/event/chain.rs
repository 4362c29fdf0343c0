//! The hash chain over a company's events: what each link is made of, and whether a stretch of it holds.
//!
//! The hash of an event is SHA-256 over the hash of the event before it (32 zero bytes before the first) and the event's
//! columns in the order of [`Link`], each as one byte (0 absent, 1 present), its length as four bytes, most significant
//! first, and its bytes: ids as their 16 bytes, texts in UTF-8, instants as microseconds since 1970 in eight bytes, most
//! significant first. Payloads enter by their digest, so that personal data in them can be emptied.

use crate::kernel::error::AppResult;
use crate::platform::events::{digest, to_hex};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What the first event's hash is chained to.
pub const GENESIS: [u8; 32] = [0; 32];

/// The columns of an event that its hash covers.
#[derive(Debug, Clone, QueryableByName)]
pub struct Link {
    #[diesel(sql_type = SqlUuid)]
    pub tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub command_id: Uuid,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub subject_kind: String,
    #[diesel(sql_type = SqlUuid)]
    pub subject_id: Uuid,
    #[diesel(sql_type = Text)]
    pub actor_kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub actor_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub cause: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub occurred_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub recorded_at: DateTime<Utc>,
    #[diesel(sql_type = Binary)]
    pub payload_digest: Vec<u8>,
}

/// The columns of [`Link`] over the alias `e`.
pub const LINK_COLUMNS: &str = "e.tenant_id, e.id, e.command_id, e.kind, e.subject_kind, e.subject_id, e.actor_kind, \
     e.actor_id, e.cause, e.occurred_at, e.recorded_at, e.payload_digest";

impl Link {
    /// The hash of this event after the one with that hash.
    pub fn hash(&self, before: &[u8]) -> Vec<u8> {
        let mut hasher = Sha256::new();
        hasher.update(before);
        let instant = |at: DateTime<Utc>| at.timestamp_micros().to_be_bytes();
        let parts: [Option<&[u8]>; 12] = [
            Some(self.tenant_id.as_bytes()),
            Some(self.id.as_bytes()),
            Some(self.command_id.as_bytes()),
            Some(self.kind.as_bytes()),
            Some(self.subject_kind.as_bytes()),
            Some(self.subject_id.as_bytes()),
            Some(self.actor_kind.as_bytes()),
            self.actor_id.as_ref().map(|id| &id.as_bytes()[..]),
            self.cause.as_deref().map(str::as_bytes),
            Some(&instant(self.occurred_at)),
            Some(&instant(self.recorded_at)),
            Some(&self.payload_digest),
        ];
        for part in parts {
            hasher.update([u8::from(part.is_some())]);
            let bytes = part.unwrap_or_default();
            hasher.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            hasher.update(bytes);
        }
        hasher.finalize().to_vec()
    }
}

/// Where a chain is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    pub seq: i64,
    /// A sentence without a full stop.
    pub reason: String,
}

/// What a stretch of a chain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The first thing wrong in it.
    pub fault: Option<Break>,
    /// The hash with which it ends; that of the position before it when it is empty.
    pub last_hash: Vec<u8>,
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    position: Position,
    #[diesel(embed)]
    link: Link,
    #[diesel(sql_type = Bool)]
    has_payload: bool,
    #[diesel(sql_type = Nullable<Jsonb>)]
    data: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    sensitive: Option<Value>,
}

/// The hash at a position; zero before the first.
pub(super) async fn hash_at(
    conn: &mut AsyncPgConnection,
    tenant: Uuid,
    seq: i64,
) -> AppResult<Option<Vec<u8>>> {
    if seq == 0 {
        return Ok(Some(GENESIS.to_vec()));
    }
    let found = sql_query("SELECT seq, hash FROM event_positions WHERE tenant_id = $1 AND seq = $2")
        .bind::<SqlUuid, _>(tenant)
        .bind::<BigInt, _>(seq)
        .get_result::<Position>(conn)
        .await
        .optional()?;
    Ok(found.map(|position| position.hash))
}

/// Whether the positions `from..=to` are there without a gap, each with the hash that follows from the one before it
/// and from its event, and each payload that was not emptied with its digest.
///
/// # Errors
/// Database errors.
pub async fn verify(conn: &mut AsyncPgConnection, tenant: Uuid, from: i64, to: i64) -> AppResult<Verdict> {
    let Some(mut before) = hash_at(conn, tenant, from - 1).await? else {
        return Ok(Verdict {
            fault: Some(missing(from - 1)),
            last_hash: Vec::new(),
        });
    };
    let rows = sql_query(format!(
        "SELECT p.seq, p.hash, {LINK_COLUMNS}, d.event_id IS NOT NULL AS has_payload, d.data, d.sensitive \
         FROM event_positions p JOIN events e ON e.tenant_id = $1 AND e.id = p.event_id \
         LEFT JOIN event_payloads d ON d.tenant_id = $1 AND d.event_id = e.id \
         WHERE p.tenant_id = $1 AND p.seq BETWEEN $2 AND $3 ORDER BY p.seq"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<BigInt, _>(from)
    .bind::<BigInt, _>(to)
    .load::<Row>(conn)
    .await?;
    let mut expected = from;
    for row in rows {
        if let Some(fault) = fault_of(&row, expected, &before) {
            return Ok(Verdict {
                fault: Some(fault),
                last_hash: before,
            });
        }
        before = row.position.hash;
        expected += 1;
    }
    Ok(Verdict {
        fault: (expected <= to).then(|| missing(expected)),
        last_hash: before,
    })
}

fn missing(seq: i64) -> Break {
    Break {
        seq,
        reason: format!("position {seq} is missing"),
    }
}

fn fault_of(row: &Row, expected: i64, before: &[u8]) -> Option<Break> {
    if row.position.seq != expected {
        return Some(missing(expected));
    }
    let id = row.link.id;
    let broken = |reason: String| {
        Some(Break {
            seq: expected,
            reason,
        })
    };
    if row.link.hash(before) != row.position.hash {
        return broken(format!(
            "the hash of event {id} does not follow from it and the one before"
        ));
    }
    if !row.has_payload {
        return broken(format!("the payload row of event {id} is gone"));
    }
    let is_whole = payload_holds(
        row.data.as_ref(),
        row.sensitive.as_ref(),
        &row.link.payload_digest,
    );
    if !is_whole {
        let digest = to_hex(&row.link.payload_digest);
        return broken(format!(
            "the payload of event {id} is not that of digest {digest}"
        ));
    }
    None
}

/// Whether a payload is the one digested. An emptied one (`data` NULL) cannot be told any more, and holds.
pub fn payload_holds(data: Option<&Value>, sensitive: Option<&Value>, expected: &[u8]) -> bool {
    let none = json!({});
    data.is_none_or(|data| digest(data, sensitive.unwrap_or(&none)) == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            tenant_id: Uuid::nil(),
            id: Uuid::nil(),
            command_id: Uuid::nil(),
            kind: "lead.updated".to_owned(),
            subject_kind: "lead".to_owned(),
            subject_id: Uuid::nil(),
            actor_kind: "user".to_owned(),
            actor_id: None,
            cause: None,
            occurred_at: DateTime::UNIX_EPOCH,
            recorded_at: DateTime::UNIX_EPOCH,
            payload_digest: vec![1; 32],
        }
    }

    #[test]
    fn every_column_and_the_event_before_it_enter_the_hash() {
        let hash = link().hash(&GENESIS);
        let variants = [
            Link {
                kind: "lead.create".to_owned(),
                ..link()
            },
            Link {
                cause: Some(String::new()),
                ..link()
            },
            Link {
                actor_id: Some(Uuid::nil()),
                ..link()
            },
            Link {
                payload_digest: vec![2; 32],
                ..link()
            },
            Link {
                recorded_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::microseconds(1),
                ..link()
            },
        ];
        assert!(variants.iter().all(|variant| variant.hash(&GENESIS) != hash));
        assert_ne!(link().hash(&hash), hash);
    }

    #[test]
    fn what_moves_from_one_column_to_the_next_changes_the_hash() {
        let one = Link {
            kind: "ab".to_owned(),
            subject_kind: "c".to_owned(),
            ..link()
        };
        let other = Link {
            kind: "a".to_owned(),
            subject_kind: "bc".to_owned(),
            ..link()
        };
        assert_ne!(one.hash(&GENESIS), other.hash(&GENESIS));
    }

    #[test]
    fn an_emptied_payload_holds_and_an_altered_one_does_not() {
        let (data, none) = (json!({"a": 1}), json!({}));
        let expected = digest(&data, &none);
        assert!(payload_holds(Some(&data), None, &expected));
        assert!(payload_holds(None, None, &expected));
        assert!(!payload_holds(Some(&json!({"a": 2})), None, &expected));
        assert!(!payload_holds(Some(&data), Some(&json!({"p": 1})), &expected));
    }
}
