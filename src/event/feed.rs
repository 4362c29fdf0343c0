//! The public feed of everything that happened in a company, in its one order, and the proof of that order.

use super::chain;
use super::view::{COLUMNS, EventPage, EventRow};
use super::window::{Cursors, read_limit, unknown_parameter};
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db};
use crate::platform::event_kinds;
use crate::platform::events::to_hex;
use crate::platform::gatekeeper::Shared;
use crate::platform::records::http::page_reply;
use crate::platform::records::query::{DEFAULT_LIMIT, bad_parameters, pairs};
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use std::str::FromStr;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Most positions that one request proves.
const MOST_PROVED: i64 = 10_000;

/// Most positions that one request with filters looks through.
const MOST_LOOKED_THROUGH: i64 = 50_000;

/// # Errors
/// `forbidden` unless the whole company's events may be read.
fn require_all(ctx: &Ctx) -> AppResult<()> {
    match ctx.reach("event.read") {
        Reach::All => Ok(()),
        _ => Err(AppError::forbidden("event.read")),
    }
}

/// Reads one parameter, or notes what is wrong with it.
pub fn read<T: FromStr>(name: &str, value: &str, faults: &mut Vec<Fault>) -> Option<T> {
    let parsed = value.parse().ok();
    if parsed.is_none() {
        faults.push(Fault::new(
            format!("?{name}"),
            "wrong_format",
            say("has the wrong form", "格式不正确"),
        ));
    }
    parsed
}

/// The parameters of the feed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "the document's description of what `Asked::read` reads by hand"
)]
struct FeedParameters {
    /// Size of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// Where the page before ended; opaque, good only for the same filters.
    #[param(min_length = 1)]
    cursor: Option<String>,
    /// Only events after this `seq`: how a reader that has seen everything so far goes on later.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Only of this kind; one that there is not is refused.
    #[param(max_length = 100, example = "opportunity.updated")]
    kind: Option<String>,
    /// Only about this kind of record.
    #[param(max_length = 100, example = "opportunity")]
    subject_kind: Option<String>,
    /// Only about this record.
    subject_id: Option<Uuid>,
    /// Only what this user, key or source did.
    actor_id: Option<Uuid>,
    /// Only of this command.
    command_id: Option<Uuid>,
    /// Only later than this, by the company's clock.
    occurred_at_after: Option<DateTime<Utc>>,
    /// Only earlier than this, by the company's clock.
    occurred_at_before: Option<DateTime<Utc>>,
}

const KNOWN: &str = "limit, cursor, after, kind, subject_kind, subject_id, actor_id, command_id, occurred_at_after, \
     occurred_at_before";

/// The feed as asked for.
#[derive(Default)]
struct Asked {
    limit: i64,
    cursor: Option<String>,
    after: i64,
    kinds: Vec<String>,
    conditions: Vec<(&'static str, Bind)>,
    filters: String,
}

impl Asked {
    fn read(query: &str) -> AppResult<Asked> {
        let mut faults = Vec::new();
        let mut asked = Asked {
            limit: DEFAULT_LIMIT,
            ..Asked::default()
        };
        let mut bound = Vec::new();
        for (name, value) in pairs(query, &mut faults) {
            if name != "cursor" && name != "limit" {
                bound.push(format!("{name}={value}"));
            }
            asked.take(&name, value, &mut faults);
        }
        bound.sort();
        asked.filters = bound.join("&");
        if faults.is_empty() {
            Ok(asked)
        } else {
            Err(bad_parameters(faults))
        }
    }

    fn take(&mut self, name: &str, value: String, faults: &mut Vec<Fault>) {
        let id = |faults: &mut Vec<Fault>| read::<Uuid>(name, &value, faults).map(Bind::Id);
        // A `+` of an offset arrives as a space when it was not encoded.
        let instant = |faults: &mut Vec<Fault>| {
            read::<DateTime<Utc>>(name, &value.replace(' ', "+"), faults).map(Bind::Instant)
        };
        let condition = match name {
            "limit" => return self.limit = read_limit(&value, faults),
            "cursor" => return self.cursor = Some(value),
            "kind" => {
                faults.extend(event_kinds::fault("?kind", &value));
                return self.kinds.push(value);
            }
            "after" => {
                let after = read::<i64>(name, &value, faults).filter(|after| *after >= 0);
                match after {
                    Some(after) => self.after = after,
                    None if faults.is_empty() => {
                        faults.push(Fault::out_of_range("?after", "must be 0 or more", "不能小于 0"))
                    }
                    None => {}
                }
                return;
            }
            "subject_kind" => ("e.subject_kind = ", Some(Bind::Text(value))),
            "subject_id" => ("e.subject_id = ", id(faults)),
            "actor_id" => ("e.actor_id = ", id(faults)),
            "command_id" => ("e.command_id = ", id(faults)),
            "occurred_at_after" => ("e.occurred_at > ", instant(faults)),
            "occurred_at_before" => ("e.occurred_at < ", instant(faults)),
            _ => return faults.push(unknown_parameter(name, KNOWN)),
        };
        if let (sql, Some(value)) = condition {
            self.conditions.push((sql, value));
        }
    }

    /// Whether events may be passed over. Without filters a page is full, or the last.
    fn is_filtered(&self) -> bool {
        !self.kinds.is_empty() || !self.conditions.is_empty()
    }

    fn sql(&self, ctx: &Ctx, after: i64, until: Option<i64>) -> Sql {
        let mut sql = Sql::of(ctx.tenant);
        // Place by place: joined freely, what is rare is looked for in the whole history.
        sql.push(&format!(
            "SELECT {COLUMNS} FROM (SELECT seq, event_id, hash FROM event_positions WHERE tenant_id = $1 AND seq > "
        ));
        sql.bind(Bind::Long(after));
        if let Some(until) = until {
            sql.push(" AND seq <= ").bind(Bind::Long(until));
        }
        sql.push(
            " ORDER BY seq) p CROSS JOIN LATERAL (SELECT * FROM events WHERE tenant_id = $1 AND id = p.event_id LIMIT 1) e \
             LEFT JOIN LATERAL (SELECT * FROM event_payloads WHERE tenant_id = $1 AND event_id = e.id LIMIT 1) d ON TRUE WHERE TRUE",
        );
        if !self.kinds.is_empty() {
            sql.push(" AND e.kind = ANY(")
                .bind(Bind::Texts(self.kinds.clone()))
                .push(")");
        }
        for (condition, value) in &self.conditions {
            sql.push(" AND ").push(condition).bind(value.clone());
        }
        sql.push(" ORDER BY p.seq LIMIT ")
            .bind(Bind::Long(self.limit + 1));
        sql
    }
}

/// Everything that happened
///
/// One event for every changed record of every committed command, in the company's one order (`seq`, from 1 without a
/// gap). To go on where you stopped, follow `next_cursor`, or ask for `after` the last `seq` you have seen; an event
/// appears here within a moment of its commit, and none ever appears before one that you have seen already. With filters
/// one request looks through 50,000 positions at most: a page may hold fewer events than `limit`, or none, and still have a
/// `next_cursor`; only a page without one is the last. Needs the permission over the whole company; whoever has less reads
/// the timelines.
#[utoipa::path(tag = "events", operation_id = "list_events", params(FeedParameters), security(("bearer" = ["event.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/events")]
pub async fn list_events(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    require_all(&ctx)?;
    let asked = Asked::read(request.query_string())?;
    let cursors = Cursors {
        secrets: &shared.auth.secrets,
        ctx: &ctx,
        path: request.path(),
        filters: &asked.filters,
    };
    let after = match &asked.cursor {
        Some(cursor) => cursors.open(cursor)?,
        None => asked.after,
    };
    let until = match asked.is_filtered() {
        true => end_of_stretch(&db, &ctx, after).await?,
        false => None,
    };
    let sql = asked.sql(&ctx, after, until);
    let mut rows: Vec<EventRow> = db
        .read_at_length(async |conn| Ok(sql.clone().query().load(conn).await?))
        .await?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more).and_then(|last| last.seq);
    let next = last.or(until).map(|seq| cursors.sign(&seq.to_string()));
    let views = rows.into_iter().map(|row| row.view(&ctx)).collect();
    Ok(page_reply(&request, views, next, None)?.with_weak_tag())
}

/// Where a request that passes events over stops looking; none when there is nothing behind that. Asked for before the events
/// are, so that all up to there have their places by then.
async fn end_of_stretch(db: &Db, ctx: &Ctx, after: i64) -> AppResult<Option<i64>> {
    let end = after.saturating_add(MOST_LOOKED_THROUGH);
    let length = db.read(async |conn| length(conn, ctx.tenant).await).await?;
    Ok((length > end).then_some(end))
}

async fn length(conn: &mut &AsyncPgConnection, tenant: Uuid) -> AppResult<i64> {
    let query = sql_query("SELECT coalesce(max(seq), 0) AS length FROM event_positions WHERE tenant_id = $1")
        .bind::<SqlUuid, _>(tenant);
    Ok(Cached(query).get_result::<Length>(conn).await?.length)
}

/// The parameters of the proof.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "the document's description of what `stretch` reads by hand"
)]
struct ChainParameters {
    /// First position to prove; by default so that the last 10,000 are proved.
    #[param(minimum = 1)]
    from: Option<i64>,
    /// Last position to prove, at most 9,999 after `from`; by default the last there is.
    #[param(minimum = 1)]
    to: Option<i64>,
}

/// Whether a stretch of the history is whole.
#[derive(Serialize, ToSchema)]
pub struct ChainView {
    /// How many events have a place.
    #[schema(minimum = 0, example = 42)]
    pub length: i64,
    /// The hash of the last of them, in hexadecimal; 64 zeros when there is none. Whoever keeps it can tell later whether anything before it was altered.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub last_hash: String,
    /// The first position proved.
    #[schema(minimum = 1, example = 1)]
    pub from: i64,
    /// The last position proved; one less than `from` when there was nothing to prove.
    #[schema(minimum = 0, example = 42)]
    pub to: i64,
    /// Whether every position is there, follows from the one before and from its event, and has the payload it was made with.
    #[schema(example = true)]
    pub holds: bool,
    /// The first position at which it does not hold.
    #[schema(example = json!(null))]
    pub broken_at: Option<i64>,
    /// What is wrong there.
    #[schema(example = json!(null))]
    pub reason: Option<String>,
}

#[derive(QueryableByName)]
struct Length {
    #[diesel(sql_type = BigInt)]
    length: i64,
}

/// The positions to prove, of so many.
fn stretch(query: &str, length: i64) -> AppResult<(i64, i64)> {
    let mut faults = Vec::new();
    let (mut from, mut to) = (None, None);
    for (name, value) in pairs(query, &mut faults) {
        let asked = match name.as_str() {
            "from" => &mut from,
            "to" => &mut to,
            _ => {
                faults.push(unknown_parameter(&name, "from, to"));
                continue;
            }
        };
        *asked = read::<i64>(&name, &value, &mut faults);
        if asked.is_some_and(|seq| seq < 1) {
            faults.push(Fault::out_of_range(
                format!("?{name}"),
                "must be 1 or more",
                "不能小于 1",
            ));
        }
    }
    if !faults.is_empty() {
        return Err(bad_parameters(faults));
    }
    let to =
        to.unwrap_or_else(|| from.map_or(length, |from| length.min(from.saturating_add(MOST_PROVED - 1))));
    let from = from.unwrap_or_else(|| (to - MOST_PROVED + 1).max(1));
    if to - from >= MOST_PROVED {
        return Err(bad_parameters(vec![Fault::out_of_range(
            "?to",
            "must be at most 9,999 after from",
            "与 from 的差不能超过 9,999",
        )]));
    }
    Ok((from, to.min(length).max(from.min(length + 1) - 1)))
}

/// Whether the history is whole
///
/// Proves a stretch of at most 10,000 events: that every position is there, that each hash follows from the event and
/// the hash before it, and that each payload is the one it was made with (those emptied, because they held personal
/// data, cannot be told any more). Needs the permission over the whole company.
#[utoipa::path(tag = "events", operation_id = "get_event_chain", params(ChainParameters), security(("bearer" = ["event.read"])), responses((status = 200, body = ChainView)))]
#[get("/v1/events/chain")]
pub async fn get_event_chain(request: HttpRequest, db: web::Data<Db>, ctx: Ctx) -> AppResult<Reply> {
    require_all(&ctx)?;
    let query = request.query_string();
    let view = db
        .snapshot(async |conn| {
            let length = length(&mut &*conn, ctx.tenant).await?;
            let (from, to) = stretch(query, length)?;
            let last_hash = chain::hash_at(conn, ctx.tenant, length).await?;
            let from = from.min(length + 1);
            let fault = chain::verify(conn, ctx.tenant, from, to).await?.fault;
            Ok(ChainView {
                length,
                last_hash: to_hex(&last_hash.unwrap_or_default()),
                from,
                to,
                holds: fault.is_none(),
                broken_at: fault.as_ref().map(|fault| fault.seq),
                reason: fault.map(|fault| fault.reason),
            })
        })
        .await?;
    Ok(Reply::ok(&view)?.with_weak_tag())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_bounded_and_within_the_chain() {
        assert_eq!(stretch("", 42).ok(), Some((1, 42)));
        assert_eq!(stretch("", 25_000).ok(), Some((15_001, 25_000)));
        assert_eq!(stretch("from=3", 42).ok(), Some((3, 42)));
        assert_eq!(stretch("from=1", 25_000).ok(), Some((1, 10_000)));
        assert_eq!(stretch("from=50&to=60", 42).ok(), Some((50, 42)));
        assert_eq!(stretch("", 0).ok(), Some((1, 0)));
        for bad in ["from=0", "to=x", "from=1&to=10001", "until=3"] {
            assert!(stretch(bad, 42).is_err(), "{bad}");
        }
    }
}
