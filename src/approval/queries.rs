//! Reads of this room.

mod people;
mod standings;

pub use people::{names, people};
pub use standings::{Standing, standings, standings_of_many};

use super::definition::ProcessDocument;
use super::rows::{ActRow, RequestRow, SeatRow, StepRow};
use super::state::State;
use super::subjects::Subjects;
use super::wire::ApprovalRequest;
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::platform::db::Cached;
use crate::platform::records::sql::{Bind, Sql};
use crate::schema::{
    approval_acts, approval_process_versions, approval_requests, approval_seats, approval_steps,
};
use chrono::NaiveDate;
use diesel::sql_types::{Date, Integer, Jsonb, Nullable, Numeric, Text, Uuid as SqlUuid};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryableByName, SelectableHelper, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A connection that only reads.
pub type Conn<'a, 'b> = &'a mut &'b AsyncPgConnection;

/// A request with everything that the rules work on.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub request: RequestRow,
    /// The version that the request froze.
    pub process: ProcessDocument,
    pub state: State,
    /// The highest id within the request; new ones come after it, so that ids are in the order of what was done.
    pub newest: Uuid,
}

/// # Errors
/// `not_found`; database errors.
pub async fn load(conn: Conn<'_, '_>, tenant: Uuid, id: Uuid) -> AppResult<Loaded> {
    let request = approval_requests::table
        .find((tenant, id))
        .select(RequestRow::as_select())
        .first(conn)
        .await
        .optional()?
        .or_not_found()?;
    complete(conn, request).await
}

/// Steps, seats and process of a request.
pub(super) async fn complete(conn: Conn<'_, '_>, request: RequestRow) -> AppResult<Loaded> {
    let (tenant, id) = (request.tenant_id, request.id);
    let document = approval_process_versions::table
        .find((tenant, request.process_version_id))
        .select(approval_process_versions::document)
        .first::<Value>(conn)
        .await?;
    let process = serde_json::from_value(document).map_err(AppError::internal)?;
    let steps = approval_steps::table
        .filter(approval_steps::tenant_id.eq(tenant))
        .filter(approval_steps::request_id.eq(id))
        .order((approval_steps::position, approval_steps::id))
        .select(StepRow::as_select())
        .load(conn)
        .await?;
    let seats = approval_seats::table
        .filter(approval_seats::tenant_id.eq(tenant))
        .filter(approval_seats::request_id.eq(id))
        .order(approval_seats::id)
        .select(SeatRow::as_select())
        .load(conn)
        .await?;
    let last_act = approval_acts::table
        .filter(approval_acts::tenant_id.eq(tenant))
        .filter(approval_acts::request_id.eq(id))
        .order(approval_acts::id.desc())
        .select(approval_acts::id)
        .first::<Uuid>(conn)
        .await
        .optional()?;
    let step_ids = steps.iter().map(|step| step.id);
    let seat_ids = seats.iter().map(|seat| seat.id);
    let newest = step_ids.chain(seat_ids).chain(last_act).max().unwrap_or_default();
    let state = State {
        parties: request.parties(),
        state: request.state()?,
        closed_at: request.closed_at,
        steps: steps.into_iter().map(StepRow::read).collect::<AppResult<_>>()?,
        seats: seats.into_iter().map(SeatRow::read).collect::<AppResult<_>>()?,
    };
    Ok(Loaded {
        request,
        process,
        state,
        newest,
    })
}

/// Everything that was done in a request, in order.
///
/// # Errors
/// Database errors.
pub async fn acts(conn: Conn<'_, '_>, tenant: Uuid, request: Uuid) -> AppResult<Vec<ActRow>> {
    let acts = approval_acts::table
        .filter(approval_acts::tenant_id.eq(tenant))
        .filter(approval_acts::request_id.eq(request))
        .order(approval_acts::id)
        .select(ActRow::as_select())
        .load(conn)
        .await?;
    Ok(acts)
}

#[derive(QueryableByName)]
struct RateRow {
    #[diesel(sql_type = Numeric)]
    rate: Decimal,
}

/// How much of the company's currency one unit of another is worth: the last entry on or before that day.
///
/// # Errors
/// Database errors.
pub async fn exchange_rate(
    conn: Conn<'_, '_>,
    tenant: Uuid,
    currency: &str,
    day: NaiveDate,
) -> AppResult<Option<Decimal>> {
    let row: Option<RateRow> = Cached(
        sql_query(
            "SELECT rate FROM exchange_rates WHERE tenant_id = $1 AND currency = $2 AND rate_on <= $3 ORDER BY rate_on DESC LIMIT 1",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Text, _>(currency)
        .bind::<Date, _>(day),
    )
    .get_result(conn)
    .await
    .optional()?;
    Ok(row.map(|row| row.rate))
}

/// The condition over `t` (a row of `approval_requests`) under which the caller sees a request: they asked, they sit or
/// sat in it, or their `approval.read` reaches whoever asked or owns the subject.
pub(super) fn visible(sql: &mut Sql, ctx: &Ctx) -> String {
    let me = sql.place(Bind::Id(ctx.user));
    let seated = format!(
        "t.id IN (SELECT s.request_id FROM approval_seats s WHERE s.tenant_id = $1 AND s.user_id = {me})"
    );
    match ctx.reach("approval.read") {
        Reach::All => String::from("TRUE"),
        Reach::Nobody => format!("(t.requester_id = {me} OR {seated})"),
        Reach::Owners(owners) => {
            let owners = sql.place(Bind::Ids(owners.to_vec()));
            format!(
                "(t.requester_id = {me} OR t.requester_id = ANY({owners}) OR t.subject_owner_id = ANY({owners}) OR {seated})"
            )
        }
    }
}

/// What a request is about, as needed to lock it.
#[derive(QueryableByName, Debug, Clone)]
pub struct About {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub subject_kind: String,
    #[diesel(sql_type = SqlUuid)]
    pub subject_id: Uuid,
}

/// A request's subject, read without a lock; neither ever changes.
///
/// # Errors
/// `not_found` when there is none, or none that the caller may see.
pub(super) async fn about(conn: Conn<'_, '_>, ctx: &Ctx, id: Uuid) -> AppResult<About> {
    let mut sql = Sql::of(ctx.tenant);
    let visible = visible(&mut sql, ctx);
    let id = sql.place(Bind::Id(id));
    sql.push(&format!(
        "SELECT t.id, t.subject_kind, t.subject_id FROM approval_requests t WHERE t.tenant_id = $1 AND t.id = {id} AND {visible}"
    ));
    sql.query().get_result(conn).await.optional()?.or_not_found()
}

/// The pending requests in which somebody has a seat to be decided.
pub(super) async fn pending_with_seat_of(
    conn: Conn<'_, '_>,
    tenant: Uuid,
    person: Uuid,
) -> AppResult<Vec<About>> {
    let found = Cached(
        sql_query(
            "SELECT t.id, t.subject_kind, t.subject_id FROM approval_requests t WHERE t.tenant_id = $1 AND t.state = 'pending' \
             AND t.id IN (SELECT s.request_id FROM approval_seats s WHERE s.tenant_id = $1 AND s.user_id = $2 \
             AND s.decision IS NULL AND s.replaced_by IS NULL) ORDER BY t.subject_kind, t.subject_id, t.id",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<SqlUuid, _>(person),
    )
    .load(conn)
    .await?;
    Ok(found)
}

/// The pending requests with an open step that may lack people: too few sit there who decided or can, or somebody sits
/// there who cannot. The rules say exactly.
pub(super) async fn pending_that_lack_people(conn: Conn<'_, '_>, tenant: Uuid) -> AppResult<Vec<About>> {
    let found = Cached(
        sql_query(
            "SELECT t.id, t.subject_kind, t.subject_id FROM approval_requests t WHERE t.tenant_id = $1 AND t.state = 'pending' \
             AND EXISTS (SELECT 1 FROM approval_steps st \
                LEFT JOIN approval_seats s ON s.tenant_id = $1 AND s.step_id = st.id AND s.replaced_by IS NULL \
                LEFT JOIN users u ON u.tenant_id = $1 AND u.id = s.user_id AND u.is_active AND u.archived_at IS NULL \
                    AND u.id <> t.requester_id AND u.id IS DISTINCT FROM t.subject_owner_id \
                WHERE st.tenant_id = $1 AND st.request_id = t.id AND st.state = 'open' GROUP BY st.id, st.quorum \
                HAVING count(*) FILTER (WHERE s.decision IS NOT NULL OR u.id IS NOT NULL) < coalesce(st.quorum, 1) \
                    OR count(*) FILTER (WHERE s.id IS NOT NULL AND s.decision IS NULL AND u.id IS NULL) > 0) \
             ORDER BY t.subject_kind, t.subject_id, t.id",
        )
        .bind::<SqlUuid, _>(tenant),
    )
    .load(conn)
    .await?;
    Ok(found)
}

#[derive(QueryableByName)]
struct Heir {
    #[diesel(sql_type = SqlUuid)]
    to_user_id: Uuid,
}

/// Who took everything over last from whoever made a request: of one who was deactivated, the successor named then.
pub(super) async fn heir(conn: Conn<'_, '_>, tenant: Uuid, request: Uuid) -> AppResult<Option<Uuid>> {
    let heir: Option<Heir> = Cached(
        sql_query(
            "SELECT h.to_user_id FROM approval_requests r JOIN handovers h ON h.tenant_id = $1 AND h.from_user_id = r.requester_id \
             WHERE r.tenant_id = $1 AND r.id = $2 ORDER BY h.created_at DESC, h.id DESC LIMIT 1",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<SqlUuid, _>(request),
    )
    .get_result(conn)
    .await
    .optional()?;
    Ok(heir.map(|heir| heir.to_user_id))
}

/// The version of a process that new requests freeze.
#[derive(QueryableByName, Debug, Clone)]
pub(super) struct Published {
    #[diesel(sql_type = SqlUuid)]
    pub process_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub version_id: Uuid,
    #[diesel(sql_type = Jsonb)]
    pub document: Value,
}

/// The published version of a live process, by key or id.
pub(super) async fn published(
    conn: Conn<'_, '_>,
    tenant: Uuid,
    key: Option<&str>,
    id: Option<Uuid>,
) -> AppResult<Option<Published>> {
    let found = Cached(
        sql_query(
            "SELECT p.id AS process_id, v.id AS version_id, v.document FROM approval_processes p \
             JOIN approval_process_versions v ON v.tenant_id = $1 AND v.process_id = p.id AND v.state = 'published' \
             WHERE p.tenant_id = $1 AND p.archived_at IS NULL AND (p.key = $2 OR p.id = $3)",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Nullable<Text>, _>(key)
        .bind::<Nullable<SqlUuid>, _>(id),
    )
    .get_result(conn)
    .await
    .optional()?;
    Ok(found)
}

#[derive(QueryableByName, Debug, Clone)]
pub(super) struct ProcessName {
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Integer)]
    pub number: i32,
}

/// Key, name and number of the version that a request froze.
pub(super) async fn process_name(conn: Conn<'_, '_>, request: &RequestRow) -> AppResult<ProcessName> {
    let found = Cached(
        sql_query(
            "SELECT p.key, v.document->>'name' AS name, v.number FROM approval_process_versions v \
             JOIN approval_processes p ON p.tenant_id = $1 AND p.id = v.process_id WHERE v.tenant_id = $1 AND v.id = $2",
        )
        .bind::<SqlUuid, _>(request.tenant_id)
        .bind::<SqlUuid, _>(request.process_version_id),
    )
    .get_result(conn)
    .await?;
    Ok(found)
}

/// A request with everything in it, as the caller may see it. Whether they see it at all was asked before.
///
/// # Errors
/// `not_found`; database errors.
pub async fn view(conn: Conn<'_, '_>, ctx: &Ctx, subjects: Subjects, id: Uuid) -> AppResult<ApprovalRequest> {
    let loaded = load(conn, ctx.tenant, id).await?;
    let process = process_name(conn, &loaded.request).await?;
    let acts = acts(conn, ctx.tenant, id).await?;
    let request = &loaded.request;
    let seats = loaded
        .state
        .seats
        .iter()
        .flat_map(|seat| [Some(seat.user_id), seat.for_user_id]);
    let people = acts
        .iter()
        .flat_map(|act| [act.actor_id, act.to_user_id, act.for_user_id])
        .chain(seats)
        .chain([Some(request.requester_id), request.subject_owner_id])
        .flatten()
        .collect::<BTreeSet<_>>();
    let names = names(conn, ctx.tenant, people.into_iter().collect()).await?;
    let snapshot = subjects
        .get(request.kind()?)?
        .masked(ctx, request.snapshot.clone());
    ApprovalRequest::of(&loaded, &process, acts, &names, snapshot)
}
