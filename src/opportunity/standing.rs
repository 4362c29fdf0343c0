//! How a deal stands, as the database has it: its row, and whatever the gate of its stage looks at.

use super::SUBJECTS;
use super::advance::rules::{Deal, Status};
use super::facts::{Facts, GivenAnswer, LINES, expect_needs, find_facts, likely, of_visit, read_facts};
use super::moves::Moved;
use super::resources::OPPORTUNITY;
use crate::approval::definition::SubjectKind;
use crate::approval::facts::FrozenAmount;
use crate::approval::service as approvals;
use crate::approval::state::RequestState;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::money;
use crate::pipeline::gate::{
    Approval, ApprovalState, ForeignAmount, Gate, Needs, Person, Standing, Verdict, hide_account,
};
use crate::pipeline::service::{Definition, definition};
use crate::platform::db::{Db, Tx};
use crate::platform::records::store::{self, For, Locked};
use chrono::{DateTime, SecondsFormat, Utc};
use diesel_async::AsyncPgConnection;
use futures::future::OptionFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
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
    pub stage_due_at: Option<DateTime<Utc>>,
}

impl Head {
    /// # Errors
    /// When the record is no opportunity's: a bug.
    fn of(record: &Map<String, Value>) -> AppResult<Head> {
        Head::deserialize(record).map_err(AppError::internal)
    }

    /// # Errors
    /// When the column holds a status that is none: a bug.
    pub fn status(&self) -> AppResult<Status> {
        Status::parse(&self.status).ok_or_else(|| AppError::internal("an unknown status"))
    }
}

impl Present {
    /// Whether it was archived; what locks it for a command of the caller's refuses that by itself.
    pub fn is_archived(&self) -> bool {
        self.record.get("archived_at").is_some_and(|at| !at.is_null())
    }

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
    lock_on(&mut &**tx, ctx, id, purpose, seen).await
}

/// [`lock`] on the connection of a transaction that is just beginning.
///
/// # Errors
/// As `store::lock`.
pub async fn lock_on(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    id: Uuid,
    purpose: For<'_>,
    seen: Option<Uuid>,
) -> AppResult<Present> {
    let conn = *conn;
    let likely = seen.and_then(|stage| likely(ctx.tenant, Some(stage)));
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
    let record = locked.record()?;
    let head = Head::of(&record)?;
    complete(&mut &*conn, ctx, head, record, locked.version, likely, facts).await
}

/// Locks a deal without a look at its gate.
///
/// # Errors
/// As `store::lock`.
pub async fn lock_head(tx: &mut Tx, ctx: &Ctx, id: Uuid, purpose: For<'_>) -> AppResult<(Head, Locked)> {
    let locked = store::lock(tx, ctx, &OPPORTUNITY, id, purpose).await?;
    Ok((Head::of(&locked.record()?)?, locked))
}

/// Reads how a deal stands without locking it.
///
/// # Errors
/// `not_found` when there is none that the caller sees.
pub async fn read(db: &Db, ctx: &Ctx, id: Uuid) -> AppResult<Present> {
    // Record and facts go in one flight, since most gates of a company need the same.
    let guess = likely(ctx.tenant, None);
    let guessed = guess.as_ref().map(|needs| find_facts(db, ctx, id, needs));
    let (row, guessed) = futures::join!(
        store::read(db, ctx, &OPPORTUNITY, id, None),
        OptionFuture::from(guessed),
    );
    let row = row?;
    let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let head = Head::of(&record)?;
    let (tenant, version) = (ctx.tenant, head.pipeline_version_id);
    let definition = db
        .read(async |conn| definition(conn, &SUBJECTS, tenant, version).await)
        .await?;
    let gate = gate_of(&definition, &head)?;
    let facts = match guessed.transpose()?.flatten() {
        Some(facts) if guess.as_ref() == Some(gate.needs()) && facts.visit_id == head.visit_id => facts,
        _ => of_visit(find_facts(db, ctx, id, gate.needs()).await?, &head)?,
    };
    expect_needs(ctx.tenant, None, gate.needs());
    let mut present = Present::new(ctx, head, record, row.version, definition, gate, facts);
    if present.needs_approvals() {
        let approvals = db.read(async |conn| approvals_of(conn, ctx, &present).await);
        present.standing.approvals = approvals.await?;
    }
    Ok(present)
}

/// [`read`] over a connection of the caller's.
///
/// # Errors
/// As [`read`].
pub async fn read_on(conn: &mut &AsyncPgConnection, ctx: &Ctx, id: Uuid) -> AppResult<Present> {
    let row = store::find(conn, ctx, &OPPORTUNITY, id, None).await?;
    let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let head = Head::of(&record)?;
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
    let head = Head::of(&record)?;
    complete(conn, &all, head, record, row.version, None, None).await
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
    let gate = gate_of(&definition, &head)?;
    let facts = match facts {
        Some(facts) if likely.as_ref() == Some(gate.needs()) && facts.visit_id == head.visit_id => facts,
        _ => of_visit(read_facts(conn, ctx, head.id, gate.needs()).await?, &head)?,
    };
    expect_needs(ctx.tenant, Some(head.stage_id), gate.needs());
    let mut present = Present::new(ctx, head, record, version, definition, gate, facts);
    if present.needs_approvals() {
        present.standing.approvals = approvals_of(conn, ctx, &present).await?;
    }
    Ok(present)
}

/// How a deal stands that was locked along with others, by what was read along with it; none when its gate needs anything
/// else than these facts.
///
/// # Errors
/// Database errors.
pub(super) async fn of_facts(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    locked: &Locked,
    facts: Facts,
    needs: &Needs,
) -> AppResult<Option<Present>> {
    let record = locked.record()?;
    let head = Head::of(&record)?;
    let definition = definition(conn, &SUBJECTS, ctx.tenant, head.pipeline_version_id).await?;
    let gate = gate_of(&definition, &head)?;
    let is_all = gate.needs() == needs && needs.approvals.is_empty();
    if !is_all || !facts.is_under_lock || facts.visit_id != head.visit_id {
        return Ok(None);
    }
    let version = locked.version;
    Ok(Some(Present::new(
        ctx, head, record, version, definition, gate, facts,
    )))
}

fn gate_of(definition: &Definition, head: &Head) -> AppResult<Gate> {
    let stage = definition.stage(head.stage_id);
    let stage = stage.ok_or_else(|| AppError::internal("a stage that is not in its version"))?;
    Ok(stage.gate.clone())
}

impl Present {
    fn new(
        ctx: &Ctx,
        head: Head,
        record: Map<String, Value>,
        version: i32,
        definition: Arc<Definition>,
        gate: Gate,
        facts: Facts,
    ) -> Present {
        let foreign = foreign_amount(ctx, &record, facts.rate.as_deref());
        let standing = Standing {
            opportunity_id: head.id,
            account_id: Some(head.account_id),
            hides_account: !facts.sees_account,
            approval_target: approval_target(&definition, head.stage_id),
            facts: members(
                ctx,
                head.stage_id,
                &record,
                &definition,
                facts.account,
                foreign.as_ref(),
            ),
            foreign,
            entered_at: head.stage_entered_at,
            answers: facts.answers.into_iter().map(GivenAnswer::given).collect(),
            records: facts.records,
            approvals: BTreeMap::new(),
        };
        Present {
            head,
            record,
            version,
            definition,
            gate,
            standing,
        }
    }

    /// Keeps from the caller what the evidence of a move says of an account that they do not see.
    pub fn hide(&self, moved: &mut Moved) {
        if self.standing.hides_account {
            moved.transition.evidence.iter_mut().for_each(hide_account);
        }
    }

    fn needs_approvals(&self) -> bool {
        !self.gate.needs().approvals.is_empty()
    }
}

fn approval_target(definition: &Definition, stage: Uuid) -> Option<Uuid> {
    let step = definition
        .step(stage)
        .filter(|step| step.advances_when_approved)?;
    match definition.course.onward(step).as_slice() {
        [first, _, ..] => Some(first.id),
        _ => None,
    }
}

/// The amount of a deal that is not in the company's currency, converted as the conditions of approvals have it.
pub(super) fn foreign_amount(
    ctx: &Ctx,
    record: &Map<String, Value>,
    rate: Option<&str>,
) -> Option<ForeignAmount> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let (amount, currency) = (text("amount")?, text("currency")?);
    if currency == ctx.currency() {
        return None;
    }
    let frozen = FrozenAmount {
        amount: money::parse(amount)?,
        exchange_rate: rate.and_then(|rate| rate.parse().ok()),
    };
    let converted = frozen.converted(ctx.currency());
    Some(ForeignAmount {
        amount: amount.to_owned(),
        currency: currency.to_owned(),
        company_currency: ctx.currency().to_owned(),
        converted: converted.map(|amount| money::to_text(amount, ctx.currency())),
    })
}

/// The record as conditions read it in a stage: with its account, the effective forecast category, the time, and its
/// amount in the company's currency.
pub(super) fn members(
    ctx: &Ctx,
    stage_id: Uuid,
    record: &Map<String, Value>,
    definition: &Definition,
    account: Value,
    foreign: Option<&ForeignAmount>,
) -> Value {
    let mut members = record.clone();
    if let Some(foreign) = foreign {
        members.insert("amount".to_owned(), foreign.as_fact());
    }
    if members.get("forecast_category").is_none_or(Value::is_null) {
        let category = definition.course.step(stage_id);
        let category = category.map(|step| step.forecast_category.as_str());
        members.insert("forecast_category".to_owned(), json!(category));
    }
    members.insert("account".to_owned(), account);
    members.insert("today".to_owned(), json!(ctx.today()));
    let now = ctx.now.to_rfc3339_opts(SecondsFormat::Micros, true);
    members.insert("now".to_owned(), Value::from(now));
    Value::Object(members)
}

/// What the gate says once more after approvals of the present stay were asked for, in the same transaction.
///
/// # Errors
/// Database errors.
pub async fn after_asking(tx: &mut Tx, ctx: &Ctx, present: &Present) -> AppResult<Verdict> {
    let mut standing = present.standing.clone();
    standing.approvals = approvals_of(&mut &**tx, ctx, present).await?;
    Ok(present.gate.evaluate(&standing))
}

/// The deal as approvals see it: its record with those of its live parts that are lines.
pub fn subject(record: &Map<String, Value>, parts: &BTreeMap<String, Vec<Value>>) -> Value {
    let mut subject = record.clone();
    let lines = parts.get(LINES).cloned().unwrap_or_default();
    subject.insert("lines".to_owned(), Value::Array(lines));
    Value::Object(subject)
}

/// How the approvals of the present visit stand, by criterion key. What was approved and is no longer what it was counts
/// as lapsed.
async fn approvals_of(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    present: &Present,
) -> AppResult<BTreeMap<String, Approval>> {
    let head = &present.head;
    let subject = subject(&present.record, &present.standing.records);
    let found =
        approvals::standings(conn, ctx.tenant, SubjectKind::Opportunity, head.id, head.visit_id).await?;
    let stage = present.definition.stage(head.stage_id);
    let criteria = stage.map(|stage| &stage.criteria);
    let key_of = |id: Uuid| {
        criteria?
            .iter()
            .find_map(|(key, known)| (*known == id).then(|| key.clone()))
    };
    // What another process decided, before the deal came to this version, does not count.
    let needed = &present.gate.needs().approvals;
    let asked = found.into_iter().filter_map(|found| {
        let key = key_of(found.criterion_id?)?;
        let is_of_process = needed.get(&key) == Some(&found.process_key);
        is_of_process.then(|| (key, approval(found, &subject)))
    });
    Ok(asked.collect())
}

/// How an approval stands, of a deal that now says this.
pub(super) fn approval(found: approvals::Standing, subject: &Value) -> Approval {
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
    Approval {
        state,
        request_id: Some(found.request_id),
        waiting_for: waiting.map(|(id, name)| Person { id, name }).collect(),
    }
}
