//! The list of approval requests: filters, visibility, pages.

use super::queries::{ProcessName, names, visible};
use super::rows::RequestRow;
use super::state::RequestState;
use super::wire::ApprovalRequestSummary;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::Db;
use crate::platform::gatekeeper::Shared;
use crate::platform::records::http::page_reply;
use crate::platform::records::query::{DEFAULT_LIMIT, MOST_LIMIT, bad_parameters, pairs};
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::reply::Reply;
use crate::schema::approval_requests;
use actix_web::HttpRequest;
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{ExpressionMethods, QueryDsl, QueryableByName, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use utoipa::IntoParams;
use uuid::Uuid;

const KNOWN: &str =
    "limit, cursor, with_total, state, subject_kind, subject_id, process_id, requester_id, waiting_for_me";

/// The parameters of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "the document's description of what `Asked::read` reads by hand"
)]
pub(super) struct Parameters {
    /// Size of the page.
    #[param(minimum = 1, maximum = 200, default = 50, example = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before; good only for the same filters.
    #[param(min_length = 1)]
    cursor: Option<String>,
    /// Whether to count all that match.
    #[param(example = false)]
    with_total: Option<bool>,
    /// Only those in this state; repeat for several.
    #[param(inline, example = json!(["pending"]))]
    state: Option<Vec<RequestState>>,
    /// Only those about this kind of record; repeat for several.
    #[param(inline, example = json!(["opportunity"]))]
    subject_kind: Option<Vec<super::definition::SubjectKind>>,
    /// Only those about this record; repeat for several.
    subject_id: Option<Vec<Uuid>>,
    /// Only those of this process; repeat for several.
    process_id: Option<Vec<Uuid>>,
    /// Only those that this person made; repeat for several.
    requester_id: Option<Vec<Uuid>>,
    /// Only those that you can decide now.
    #[param(example = true)]
    waiting_for_me: Option<bool>,
}

fn unknown(name: &str, known: &str) -> Fault {
    let message = if known.is_empty() {
        say(
            "is not known here; no parameter is",
            "未知参数;此处不支持任何参数",
        )
    } else {
        say(
            format!("is not known here; known are {known}"),
            format!("未知参数;可用参数:{known}"),
        )
    };
    Fault::new(format!("?{name}"), "unknown_parameter", message)
}

/// What a column may have.
enum Values {
    Texts(Vec<String>),
    Ids(Vec<Uuid>),
}

impl Values {
    /// With those of the same parameter given again.
    fn and(&mut self, more: Values) {
        match (self, more) {
            (Values::Texts(known), Values::Texts(more)) => known.extend(more),
            (Values::Ids(known), Values::Ids(more)) => known.extend(more),
            (Values::Texts(_), Values::Ids(_)) | (Values::Ids(_), Values::Texts(_)) => {}
        }
    }

    fn bind(&self) -> Bind {
        match self {
            Values::Texts(texts) => Bind::Texts(texts.clone()),
            Values::Ids(ids) => Bind::Ids(ids.clone()),
        }
    }
}

/// The list as asked for.
struct Asked {
    limit: i64,
    cursor: Option<String>,
    with_total: bool,
    is_waiting: bool,
    /// By column, the values of which it has one.
    conditions: BTreeMap<&'static str, Values>,
    filters: String,
}

impl Asked {
    fn read(query: &str) -> AppResult<Asked> {
        let mut faults = Vec::new();
        let mut asked = Asked {
            limit: DEFAULT_LIMIT,
            cursor: None,
            with_total: false,
            is_waiting: false,
            conditions: BTreeMap::new(),
            filters: String::new(),
        };
        let mut bound = Vec::new();
        for (name, value) in pairs(query, &mut faults) {
            if !["cursor", "limit", "with_total"].contains(&name.as_str()) {
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
        let condition = match name {
            "cursor" => return self.cursor = Some(value),
            "limit" => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MOST_LIMIT).contains(limit));
                return match limit {
                    Some(limit) => self.limit = limit,
                    None => faults.push(Fault::out_of_range(
                        "?limit",
                        "must be 1 to 200",
                        "必须在 1 到 200 之间",
                    )),
                };
            }
            "with_total" => return self.with_total = parsed(name, &value, faults).unwrap_or(false),
            "waiting_for_me" => return self.is_waiting = parsed(name, &value, faults).unwrap_or(false),
            "state" => (
                "t.state",
                parsed::<RequestState>(name, &value, faults).map(|_| Values::Texts(vec![value])),
            ),
            "subject_kind" => (
                "t.subject_kind",
                parsed::<super::definition::SubjectKind>(name, &value, faults)
                    .map(|_| Values::Texts(vec![value])),
            ),
            "subject_id" => ("t.subject_id", id(name, &value, faults)),
            "process_id" => ("t.process_id", id(name, &value, faults)),
            "requester_id" => ("t.requester_id", id(name, &value, faults)),
            _ => return faults.push(unknown(name, KNOWN)),
        };
        let (column, Some(value)) = condition else {
            return;
        };
        match self.conditions.entry(column) {
            Entry::Occupied(mut known) => known.get_mut().and(value),
            Entry::Vacant(place) => {
                place.insert(value);
            }
        }
    }

    /// The conditions under which a request is in this list.
    fn matching(&self, sql: &mut Sql, ctx: &Ctx) -> String {
        let mut text = format!("t.tenant_id = $1 AND {}", visible(sql, ctx));
        for (column, values) in &self.conditions {
            let place = sql.place(values.bind());
            text.push_str(&format!(" AND {column} = ANY({place})"));
        }
        if self.is_waiting {
            let me = sql.place(Bind::Id(ctx.user));
            text.push_str(&format!(
                " AND t.state = 'pending' AND t.id IN (SELECT s.request_id FROM approval_seats s \
                 JOIN approval_steps st ON st.tenant_id = $1 AND st.id = s.step_id AND st.state = 'open' \
                 WHERE s.tenant_id = $1 AND s.user_id = {me} AND s.decision IS NULL AND s.replaced_by IS NULL)"
            ));
        }
        text
    }

    fn page(&self, ctx: &Ctx, beyond: Option<(DateTime<Utc>, Uuid)>) -> Sql {
        let mut sql = Sql::of(ctx.tenant);
        let mut matching = self.matching(&mut sql, ctx);
        if let Some((at, id)) = beyond {
            let at = sql.place(Bind::Instant(at));
            let id = sql.place(Bind::Id(id));
            matching.push_str(&format!(" AND (t.requested_at, t.id) < ({at}, {id})"));
        }
        let limit = sql.place(Bind::Long(self.limit + 1));
        sql.push(&format!(
            "SELECT t.id, t.requested_at FROM approval_requests t WHERE {matching} ORDER BY t.requested_at DESC, t.id DESC LIMIT {limit}"
        ));
        sql
    }

    fn total(&self, ctx: &Ctx) -> Sql {
        let mut sql = Sql::of(ctx.tenant);
        let matching = self.matching(&mut sql, ctx);
        sql.push(&format!(
            "SELECT count(*) AS total FROM approval_requests t WHERE {matching}"
        ));
        sql
    }
}

fn id(name: &str, value: &str, faults: &mut Vec<Fault>) -> Option<Values> {
    parsed(name, value, faults).map(|id| Values::Ids(vec![id]))
}

fn parsed<T: FromStr>(name: &str, value: &str, faults: &mut Vec<Fault>) -> Option<T> {
    let parsed = value.parse().ok();
    if parsed.is_none() {
        faults.push(Fault::new(
            format!("?{name}"),
            "wrong_format",
            say("is not a value of this parameter", "不是该参数的有效值"),
        ));
    }
    parsed
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    requested_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// One page of the list.
///
/// # Errors
/// `bad_parameter`.
pub(super) async fn list(request: &HttpRequest, db: &Db, shared: &Shared, ctx: &Ctx) -> AppResult<Reply> {
    let asked = Asked::read(request.query_string())?;
    let bound: [&[u8]; 4] = [
        ctx.tenant.as_bytes(),
        ctx.user.as_bytes(),
        request.path().as_bytes(),
        asked.filters.as_bytes(),
    ];
    let secrets = &shared.auth.secrets;
    let beyond = match &asked.cursor {
        None => None,
        Some(cursor) => {
            let position = secrets.read_cursor(cursor, &bound);
            let position = position.and_then(|position| serde_json::from_value(position).ok());
            Some(position.ok_or_else(altered)?)
        }
    };
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let (data, next, total) = db
        .snapshot(async |conn| {
            let conn = &mut &*conn;
            let mut places: Vec<Place> = asked.page(ctx, beyond).query().load(conn).await?;
            let has_more = places.len() > limit;
            places.truncate(limit);
            let last = places.last().filter(|_| has_more);
            let next = last.map(|last| {
                let at = last.requested_at.to_rfc3339_opts(SecondsFormat::Micros, true);
                secrets.sign_cursor(&json!([at, last.id]), &bound)
            });
            let total = if asked.with_total {
                let total: Total = asked.total(ctx).query().get_result(conn).await?;
                Some(total.total)
            } else {
                None
            };
            Ok((summaries(conn, ctx, &places).await?, next, total))
        })
        .await?;
    Ok(page_reply(request, data, next, total)?.with_weak_tag())
}

fn altered() -> crate::kernel::error::AppError {
    bad_parameters(vec![Fault::invalid(
        "?cursor",
        "was altered, or belongs to another list, filter or sort",
        "已被改动,或属于其他列表、筛选或排序",
    )])
}

#[derive(QueryableByName)]
struct Head {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Array<SqlUuid>)]
    waiting: Vec<Uuid>,
}

const HEADS: &str = "\
SELECT t.id, p.key, v.document->>'name' AS name, v.number, \
    ARRAY(SELECT s.user_id FROM approval_seats s \
        JOIN approval_steps st ON st.tenant_id = $1 AND st.id = s.step_id AND st.state = 'open' \
        WHERE s.tenant_id = $1 AND s.request_id = t.id AND s.decision IS NULL AND s.replaced_by IS NULL ORDER BY s.id) AS waiting \
FROM approval_requests t \
JOIN approval_processes p ON p.tenant_id = $1 AND p.id = t.process_id \
JOIN approval_process_versions v ON v.tenant_id = $1 AND v.id = t.process_version_id \
WHERE t.tenant_id = $1 AND t.id = ANY(";

/// The requests at these places, in their order.
async fn summaries(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    places: &[Place],
) -> AppResult<Vec<ApprovalRequestSummary>> {
    let ids = places.iter().map(|place| place.id).collect::<Vec<_>>();
    let mut sql = Sql::of(ctx.tenant);
    sql.push(HEADS).bind(Bind::Ids(ids.clone())).push(")");
    let heads: Vec<Head> = sql.query().load(conn).await?;
    let rows = approval_requests::table
        .filter(approval_requests::tenant_id.eq(ctx.tenant))
        .filter(approval_requests::id.eq_any(&ids))
        .select(RequestRow::as_select())
        .load(conn)
        .await?;
    let mut people = rows
        .iter()
        .flat_map(|row| [Some(row.requester_id), row.subject_owner_id])
        .flatten()
        .collect::<Vec<_>>();
    people.extend(heads.iter().flat_map(|head| head.waiting.iter().copied()));
    let names = names(conn, ctx.tenant, people).await?;
    let rows = rows
        .into_iter()
        .map(|row| (row.id, row))
        .collect::<HashMap<_, _>>();
    let heads = heads
        .into_iter()
        .map(|head| (head.id, head))
        .collect::<HashMap<_, _>>();
    let known = ids.iter().filter_map(|id| rows.get(id).zip(heads.get(id)));
    known
        .map(|(row, head)| {
            let process = ProcessName {
                key: head.key.clone(),
                name: head.name.clone(),
                number: head.number,
            };
            ApprovalRequestSummary::of(row, &process, &head.waiting, &names)
        })
        .collect()
}
