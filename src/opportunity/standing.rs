//! How a deal stands, as the database has it: its row, and whatever the gate of its stage looks at.

use super::advance::rules::{Deal, Status};
use super::resources::OPPORTUNITY;
use super::{RESOURCES, SUBJECTS};
use crate::approval::definition::SubjectKind;
use crate::approval::service as approvals;
use crate::approval::state::RequestState;
use crate::crm::resources::ACCOUNT;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::text::say;
use crate::pipeline::gate::{Answer, Approval, ApprovalState, Gate, Needs, Person, Standing};
use crate::pipeline::service::{Definition, definition};
use crate::platform::db::{Db, Tx};
use crate::platform::records::sql::{self, Bind, Sql};
use crate::platform::records::store::{self, For, Locked};
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::sql_types::{Bool, Nullable, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use uuid::Uuid;

/// A deal as it is now, with its process and everything its gate looks at.
pub struct Present {
    pub head: Head,
    /// The whole record in wire form.
    pub record: Map<String, Value>,
    pub version: i32,
    pub definition: Arc<Definition>,
    pub gate: Gate,
    pub standing: Standing,
}

/// The members of a deal that moves ask for.
#[derive(Debug, Clone, Deserialize)]
pub struct Head {
    pub id: Uuid,
    pub account_id: Uuid,
    pub owner_id: Option<Uuid>,
    pub pipeline_id: Uuid,
    pub pipeline_version_id: Uuid,
    pub stage_id: Uuid,
    pub status: String,
    pub cycle: i32,
    pub visit_id: Uuid,
    pub stage_entered_at: DateTime<Utc>,
}

impl Head {
    /// # Errors
    /// When the column holds a status that is none: a bug.
    pub fn status(&self) -> AppResult<Status> {
        Status::parse(&self.status).ok_or_else(|| AppError::internal("an unknown status"))
    }
}

impl Present {
    /// The deal as the rules take it.
    ///
    /// # Errors
    /// As [`Head::status`].
    pub fn deal(&self) -> AppResult<Deal<'_>> {
        Ok(Deal {
            status: self.head.status()?,
            stage_id: self.head.stage_id,
            course: &self.definition.course,
        })
    }
}

/// Locks a deal and reads what its gate needs. With the stage in which the caller takes it to be, both go in one flight.
///
/// # Errors
/// As `store::lock`.
pub async fn lock(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    purpose: For<'_>,
    seen: Option<Uuid>,
) -> AppResult<Present> {
    let conn: &AsyncPgConnection = tx;
    let likely = seen.and_then(|stage| likely(ctx.tenant, stage));
    let (locked, facts) = match &likely {
        None => {
            let locked = store::lock_on(&mut &*conn, ctx, &OPPORTUNITY, id, purpose).await?;
            (locked, None)
        }
        Some(needs) => {
            let (mut first, mut second) = (conn, conn);
            let (locked, facts) = futures::join!(
                store::lock_on(&mut first, ctx, &OPPORTUNITY, id, purpose),
                read_facts(&mut second, ctx, id, needs),
            );
            let locked = locked?;
            // What was read before the lock was held (its statement overtook the lock's) does not count.
            (locked, facts?.filter(|facts| facts.is_under_lock))
        }
    };
    let (record, version) = (locked.record()?, locked.version);
    let head = head(&locked)?;
    complete(&mut &*conn, ctx, head, record, version, likely, facts).await
}

/// Locks a deal without a look at its gate.
///
/// # Errors
/// As `store::lock`.
pub async fn lock_head(tx: &mut Tx, ctx: &Ctx, id: Uuid, purpose: For<'_>) -> AppResult<(Head, Locked)> {
    let locked = store::lock(tx, ctx, &OPPORTUNITY, id, purpose).await?;
    Ok((head(&locked)?, locked))
}

/// Reads how a deal stands without locking it.
///
/// # Errors
/// `not_found` when there is none that the caller sees.
pub async fn read(db: &Db, ctx: &Ctx, id: Uuid) -> AppResult<Present> {
    db.read(async |conn| read_on(conn, ctx, id).await).await
}

/// [`read`] over a connection of the caller's.
///
/// # Errors
/// As [`read`].
pub async fn read_on(conn: &mut &AsyncPgConnection, ctx: &Ctx, id: Uuid) -> AppResult<Present> {
    let row = store::find(conn, ctx, &OPPORTUNITY, id, None).await?;
    let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let head: Head = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    complete(conn, ctx, head, record, row.version, None, None).await
}

/// How a deal stands that this transaction holds the lock of already, whoever asks: for what follows by itself.
///
/// # Errors
/// Database errors.
pub async fn of_locked(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<Present> {
    let company = Arc::clone(&ctx.principal.company);
    let all = Ctx::system(company, ctx.tenant, ctx.actor_kind, ctx.now, ctx.recorded_at);
    let conn = &mut &**tx;
    let row = store::find(conn, &all, &OPPORTUNITY, id, None).await?;
    let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let head: Head = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    complete(conn, &all, head, record, row.version, None, None).await
}

fn head(locked: &Locked) -> AppResult<Head> {
    serde_json::from_value(Value::Object(locked.record()?)).map_err(AppError::internal)
}

async fn complete(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    head: Head,
    record: Map<String, Value>,
    version: i32,
    likely: Option<Needs>,
    facts: Option<Facts>,
) -> AppResult<Present> {
    let definition = definition(conn, &SUBJECTS, ctx.tenant, head.pipeline_version_id).await?;
    let gate = definition
        .stage(head.stage_id)
        .ok_or_else(|| AppError::internal("a stage that is not in its version"))?
        .gate
        .clone();
    let facts = match facts {
        Some(facts) if likely.as_ref() == Some(gate.needs()) && facts.visit_id == head.visit_id => facts,
        _ => read_visit(conn, ctx, &head, gate.needs()).await?,
    };
    expect_needs(ctx.tenant, head.stage_id, gate.needs());
    let mut standing = standing(ctx, &head, &record, &definition, facts)?;
    if !gate.needs().approvals.is_empty() {
        standing.approvals =
            approvals_of(conn, ctx, &head, &definition, &subject(&record, &standing)).await?;
    }
    Ok(Present {
        head,
        record,
        version,
        definition,
        gate,
        standing,
    })
}

/// What was read beside the deal's row.
#[derive(QueryableByName)]
struct Facts {
    #[diesel(sql_type = SqlUuid)]
    visit_id: Uuid,
    #[diesel(sql_type = Bool)]
    is_under_lock: bool,
    #[diesel(sql_type = Nullable<Text>)]
    account: Option<String>,
    #[diesel(sql_type = Text)]
    answers: String,
    #[diesel(sql_type = Text)]
    records: String,
}

async fn read_visit(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    head: &Head,
    needs: &Needs,
) -> AppResult<Facts> {
    let facts = read_facts(conn, ctx, head.id, needs).await?;
    facts
        .filter(|facts| facts.visit_id == head.visit_id)
        .ok_or_else(|| {
            // Only without a lock: it moved between two reads.
            AppError::refuse(
                crate::kernel::problem::Code::StageChanged,
                say("It moved just now; ask again", "商机刚刚发生变动，请重试"),
            )
        })
}

const ANSWERS: &str = "\
(SELECT coalesce(json_agg(json_build_object('key', c.key, 'answer', a.answer, 'note', a.note, 'by', a.answered_by, 'name', u.name, 'at', instant_text(a.answered_at)))::text, '[]')
FROM criterion_answers a
JOIN criteria c ON c.tenant_id = a.tenant_id AND c.id = a.criterion_id
LEFT JOIN users u ON u.tenant_id = a.tenant_id AND u.id = a.answered_by
WHERE a.tenant_id = $1 AND a.visit_id = o.visit_id)";

/// Whether this statement sees the row as our own transaction locked it.
const IS_UNDER_LOCK: &str =
    "coalesce(o.xmax::text::bigint = (pg_current_xact_id_if_assigned()::text::bigint & 4294967295), FALSE)";

/// One statement, whatever the gate needs.
async fn read_facts(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    id: Uuid,
    needs: &Needs,
) -> AppResult<Option<Facts>> {
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(id));
    let account = match needs.reads_account {
        true => format!(
            "(SELECT {} FROM accounts t WHERE t.tenant_id = $1 AND t.id = o.account_id)",
            sql::whole_document(&ACCOUNT)
        ),
        false => String::from("NULL::text"),
    };
    let answers = if needs.answers { ANSWERS } else { "'[]'" };
    let records = records_sql(needs);
    sql.push(&format!(
        "SELECT o.visit_id, {IS_UNDER_LOCK} AS is_under_lock, {account} AS account, {answers} AS answers, {records} AS records \
         FROM opportunities o WHERE o.tenant_id = $1 AND o.id = {id}"
    ));
    Ok(sql.query().get_result(conn).await.optional()?)
}

/// What approvals look at beside the deal itself.
const LINES: &str = "line";

fn records_sql(needs: &Needs) -> String {
    let kinds = RESOURCES.iter().filter(|part| {
        needs.records.contains(part.singular) || (part.singular == LINES && !needs.approvals.is_empty())
    });
    let members = kinds.map(|part| {
        format!(
            "'{}', (SELECT coalesce(json_agg({}::json ORDER BY t.created_at, t.id), '[]') FROM {} t \
             WHERE t.tenant_id = $1 AND t.opportunity_id = o.id AND t.archived_at IS NULL)",
            part.singular,
            sql::whole_document(part),
            part.table
        )
    });
    format!(
        "json_build_object({})::text",
        members.collect::<Vec<_>>().join(", ")
    )
}

#[derive(Deserialize)]
struct GivenAnswer {
    key: String,
    answer: Value,
    note: Option<String>,
    by: Option<Uuid>,
    name: Option<String>,
    at: DateTime<Utc>,
}

fn standing(
    ctx: &Ctx,
    head: &Head,
    record: &Map<String, Value>,
    definition: &Definition,
    facts: Facts,
) -> AppResult<Standing> {
    let answers: Vec<GivenAnswer> = serde_json::from_str(&facts.answers).map_err(AppError::internal)?;
    let records: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(&facts.records).map_err(AppError::internal)?;
    let account = match facts.account {
        Some(text) => serde_json::from_str(&text).map_err(AppError::internal)?,
        None => Value::Null,
    };
    Ok(Standing {
        opportunity_id: head.id,
        account_id: Some(head.account_id),
        facts: members(ctx, head, record, definition, account),
        entered_at: head.stage_entered_at,
        answers: answers.into_iter().map(given).collect(),
        records,
        approvals: BTreeMap::new(),
    })
}

/// The record as conditions read it: with its account, the effective forecast category, and the time.
fn members(
    ctx: &Ctx,
    head: &Head,
    record: &Map<String, Value>,
    definition: &Definition,
    account: Value,
) -> Value {
    let mut members = record.clone();
    if members.get("forecast_category").is_none_or(Value::is_null) {
        let category = definition.course.step(head.stage_id);
        let category = category.map(|step| step.forecast_category.as_str());
        members.insert("forecast_category".to_owned(), json!(category));
    }
    members.insert("account".to_owned(), account);
    members.insert("today".to_owned(), json!(ctx.today()));
    let now = ctx.now.to_rfc3339_opts(SecondsFormat::Micros, true);
    members.insert("now".to_owned(), Value::from(now));
    Value::Object(members)
}

fn given(row: GivenAnswer) -> (String, Answer) {
    let by = row.by.zip(row.name).map(|(id, name)| Person { id, name });
    let answer = Answer {
        answer: row.answer,
        note: row.note,
        by,
        at: row.at,
    };
    (row.key, answer)
}

/// The deal as approvals see it: its record with its lines.
pub fn subject(record: &Map<String, Value>, standing: &Standing) -> Value {
    let mut subject = record.clone();
    let lines = standing.records.get(LINES).cloned().unwrap_or_default();
    subject.insert("lines".to_owned(), Value::Array(lines));
    Value::Object(subject)
}

/// How the approvals of the present visit stand, by criterion key. What was approved and is no longer what it was counts
/// as lapsed.
async fn approvals_of(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    head: &Head,
    definition: &Definition,
    subject: &Value,
) -> AppResult<BTreeMap<String, Approval>> {
    let found =
        approvals::standings(conn, ctx.tenant, SubjectKind::Opportunity, head.id, head.visit_id).await?;
    let criteria = definition.stage(head.stage_id).map(|stage| &stage.criteria);
    let key_of = |id: Uuid| {
        criteria?
            .iter()
            .find_map(|(key, known)| (*known == id).then(|| key.clone()))
    };
    let asked = found.into_iter().filter_map(|found| {
        let key = key_of(found.criterion_id?)?;
        let state = match found.state {
            RequestState::Pending | RequestState::Approved if !found.covers(subject) => ApprovalState::Lapsed,
            RequestState::Pending => ApprovalState::Pending,
            RequestState::Approved => ApprovalState::Approved,
            RequestState::Rejected => ApprovalState::Rejected,
            RequestState::Returned => ApprovalState::Returned,
            RequestState::Withdrawn => ApprovalState::Withdrawn,
            RequestState::Lapsed => ApprovalState::Lapsed,
        };
        let waiting = found.waiting_for.into_iter();
        let approval = Approval {
            state,
            request_id: Some(found.request_id),
            waiting_for: waiting.map(|(id, name)| Person { id, name }).collect(),
        };
        Some((key, approval))
    });
    Ok(asked.collect())
}

/// What the gate of a stage needed when it was last looked at, so that lock and facts can be asked for in one flight. A
/// guess: what does not fit is read again.
type Guesses = Mutex<HashMap<(Uuid, Uuid), Needs>>;

/// Most stages guessed about; then it starts anew.
const MOST_GUESSES: usize = 10_000;

fn guesses() -> &'static Guesses {
    static GUESSES: OnceLock<Guesses> = OnceLock::new();
    GUESSES.get_or_init(Guesses::default)
}

fn likely(tenant: Uuid, stage: Uuid) -> Option<Needs> {
    let guesses = guesses().lock().unwrap_or_else(PoisonError::into_inner);
    guesses.get(&(tenant, stage)).cloned()
}

fn expect_needs(tenant: Uuid, stage: Uuid, needs: &Needs) {
    let mut guesses = guesses().lock().unwrap_or_else(PoisonError::into_inner);
    if guesses.get(&(tenant, stage)) == Some(needs) {
        return;
    }
    if guesses.len() >= MOST_GUESSES {
        guesses.clear();
    }
    guesses.insert((tenant, stage), needs.clone());
}
