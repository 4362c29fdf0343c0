//! Reads of this room.

use super::definition::ProcessDocument;
use super::people::{People, Person, Team};
use super::rows::{ActRow, RequestRow, SeatRow, StepRow, word};
use super::state::{RequestState, State};
use super::subjects::Subjects;
use super::wire::ApprovalRequest;
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::platform::db::Cached;
use crate::platform::records::sql::{Bind, Sql};
use crate::schema::{
    approval_acts, approval_process_versions, approval_requests, approval_seats, approval_steps,
};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::sql_types::{
    Array, Binary, Bool, Date, Integer, Jsonb, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryableByName, SelectableHelper, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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
struct PersonRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Bool)]
    is_active: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    team_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    away_from: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    away_until: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    delegate_id: Option<Uuid>,
    #[diesel(sql_type = Array<Text>)]
    roles: Vec<String>,
}

#[derive(QueryableByName)]
struct TeamRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    parent_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    leader_id: Option<Uuid>,
}

/// The company as it is now. An archived team keeps its place in the tree, but asks nobody.
///
/// # Errors
/// Database errors.
pub async fn people(conn: Conn<'_, '_>, tenant: Uuid) -> AppResult<People> {
    let persons: Vec<PersonRow> = Cached(
        sql_query(
            "SELECT u.id, (u.is_active AND u.archived_at IS NULL) AS is_active, u.team_id, u.away_from, u.away_until, u.delegate_id, \
             ARRAY(SELECT r.key FROM user_roles ur JOIN roles r ON r.tenant_id = ur.tenant_id AND r.id = ur.role_id \
             WHERE ur.tenant_id = $1 AND ur.user_id = u.id AND r.archived_at IS NULL) AS roles \
             FROM users u WHERE u.tenant_id = $1",
        )
        .bind::<SqlUuid, _>(tenant),
    )
    .load(conn)
    .await?;
    let teams: Vec<TeamRow> = Cached(
        sql_query(
            "SELECT id, parent_id, CASE WHEN archived_at IS NULL THEN leader_id END AS leader_id FROM teams WHERE tenant_id = $1",
        )
        .bind::<SqlUuid, _>(tenant),
    )
    .load(conn)
    .await?;
    let persons = persons.into_iter().map(|row| Person {
        id: row.id,
        is_active: row.is_active,
        team_id: row.team_id,
        roles: row.roles.into_iter().collect(),
        away_from: row.away_from,
        away_until: row.away_until,
        delegate_id: row.delegate_id,
    });
    let teams = teams.into_iter().map(|row| Team {
        id: row.id,
        parent_id: row.parent_id,
        leader_id: row.leader_id,
    });
    Ok(People::new(persons, teams))
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    name: String,
}

/// The names of people.
///
/// # Errors
/// Database errors.
pub async fn names(conn: Conn<'_, '_>, tenant: Uuid, people: Vec<Uuid>) -> AppResult<BTreeMap<Uuid, String>> {
    let rows: Vec<NameRow> = Cached(
        sql_query("SELECT id, name FROM users WHERE tenant_id = $1 AND id = ANY($2)")
            .bind::<SqlUuid, _>(tenant)
            .bind::<Array<SqlUuid>, _>(people),
    )
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
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
pub(super) struct About {
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

/// The pending requests in which somebody has a seat to be decided; of everybody, without one.
pub(super) async fn pending_of(
    conn: Conn<'_, '_>,
    tenant: Uuid,
    person: Option<Uuid>,
) -> AppResult<Vec<About>> {
    let found = Cached(
        sql_query(
            "SELECT t.id, t.subject_kind, t.subject_id FROM approval_requests t WHERE t.tenant_id = $1 AND t.state = 'pending' \
             AND ($2::uuid IS NULL OR t.id IN (SELECT s.request_id FROM approval_seats s WHERE s.tenant_id = $1 AND s.user_id = $2 \
             AND s.decision IS NULL AND s.replaced_by IS NULL)) ORDER BY t.subject_kind, t.subject_id, t.id",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Nullable<SqlUuid>, _>(person),
    )
    .load(conn)
    .await?;
    Ok(found)
}

/// What the gate needs to know of the approvals of one stay in a stage, by criterion.
#[derive(Debug, Clone)]
pub struct Standing {
    pub criterion_id: Option<Uuid>,
    pub request_id: Uuid,
    pub process_id: Uuid,
    pub process_key: String,
    pub state: RequestState,
    /// Who has yet to decide now: id and name.
    pub waiting_for: Vec<(Uuid, String)>,
    content: Vec<String>,
    content_hash: Vec<u8>,
}

impl Standing {
    /// Whether the subject, in its wire JSON, is still what was asked about; a grant holds only then.
    #[must_use]
    pub fn covers(&self, subject: &Value) -> bool {
        super::content::hash(&self.content, subject) == self.content_hash
    }
}

#[derive(QueryableByName)]
struct StandingRow {
    #[diesel(sql_type = SqlUuid)]
    subject_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    criterion_id: Option<Uuid>,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    process_id: Uuid,
    #[diesel(sql_type = Text)]
    process_key: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Binary)]
    content_hash: Vec<u8>,
    #[diesel(sql_type = Jsonb)]
    content: Value,
    #[diesel(sql_type = Jsonb)]
    waiting_for: Value,
}

impl StandingRow {
    fn read(self) -> AppResult<Standing> {
        Ok(Standing {
            criterion_id: self.criterion_id,
            request_id: self.id,
            process_id: self.process_id,
            process_key: self.process_key,
            state: word(&self.state)?,
            waiting_for: serde_json::from_value(self.waiting_for).map_err(AppError::internal)?,
            content: serde_json::from_value(self.content).map_err(AppError::internal)?,
            content_hash: self.content_hash,
        })
    }
}

/// The latest request for each criterion and process of one visit ($3, $4) or, where these are arrays, of many.
macro_rules! standings {
    ($about:literal) => {
        concat!("\
SELECT DISTINCT ON (t.subject_id, t.visit_id, t.criterion_id, t.process_id) t.subject_id, t.criterion_id, t.id, t.process_id, p.key AS process_key, t.state, t.content_hash, \
    coalesce(v.document->'content', '[]'::jsonb) AS content, \
    coalesce((SELECT jsonb_agg(jsonb_build_array(u.id, u.name) ORDER BY s.id) FROM approval_seats s \
        JOIN approval_steps st ON st.tenant_id = $1 AND st.id = s.step_id AND st.state = 'open' \
        JOIN users u ON u.tenant_id = $1 AND u.id = s.user_id \
        WHERE s.tenant_id = $1 AND s.request_id = t.id AND s.decision IS NULL AND s.replaced_by IS NULL), '[]'::jsonb) AS waiting_for \
FROM approval_requests t \
JOIN approval_processes p ON p.tenant_id = $1 AND p.id = t.process_id \
JOIN approval_process_versions v ON v.tenant_id = $1 AND v.id = t.process_version_id \
WHERE t.tenant_id = $1 AND t.subject_kind = $2 AND ", $about, " \
ORDER BY t.subject_id, t.visit_id, t.criterion_id, t.process_id, t.requested_at DESC, t.id DESC")
    };
}

const STANDINGS: &str = standings!("t.subject_id = $3 AND t.visit_id = $4");
const STANDINGS_OF_MANY: &str = standings!(
    "(t.subject_id, t.visit_id) IN (SELECT v.subject_id, v.visit_id FROM unnest($3, $4) AS v (subject_id, visit_id))"
);

/// The latest request for each criterion and process of a visit.
///
/// # Errors
/// Database errors.
pub async fn standings(
    conn: Conn<'_, '_>,
    tenant: Uuid,
    subject_kind: super::definition::SubjectKind,
    subject_id: Uuid,
    visit_id: Uuid,
) -> AppResult<Vec<Standing>> {
    let kind: &'static str = subject_kind.into();
    let rows: Vec<StandingRow> = Cached(
        sql_query(STANDINGS)
            .bind::<SqlUuid, _>(tenant)
            .bind::<Text, _>(kind)
            .bind::<SqlUuid, _>(subject_id)
            .bind::<SqlUuid, _>(visit_id),
    )
    .load(conn)
    .await?;
    rows.into_iter().map(StandingRow::read).collect()
}

/// [`standings`] of many subjects, each with its visit, by subject.
///
/// # Errors
/// Database errors.
pub async fn standings_of_many(
    conn: Conn<'_, '_>,
    tenant: Uuid,
    subject_kind: super::definition::SubjectKind,
    visits: &[(Uuid, Uuid)],
) -> AppResult<BTreeMap<Uuid, Vec<Standing>>> {
    let kind: &'static str = subject_kind.into();
    let (subjects, visits): (Vec<Uuid>, Vec<Uuid>) = visits.iter().copied().unzip();
    let rows: Vec<StandingRow> = Cached(
        sql_query(STANDINGS_OF_MANY)
            .bind::<SqlUuid, _>(tenant)
            .bind::<Text, _>(kind)
            .bind::<Array<SqlUuid>, _>(subjects)
            .bind::<Array<SqlUuid>, _>(visits),
    )
    .load(conn)
    .await?;
    let mut found: BTreeMap<Uuid, Vec<Standing>> = BTreeMap::new();
    for row in rows {
        found.entry(row.subject_id).or_default().push(row.read()?);
    }
    Ok(found)
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
