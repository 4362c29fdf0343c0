//! What is done in requests. Every command locks the subject, then the request; lets a pure rule say what follows; and
//! writes steps, seats, acts, timers and one event in the same transaction.

use super::content;
use super::definition::SubjectKind;
use super::facts::{Conditions, FrozenAmount, facts};
use super::people::People;
use super::queries::{self, About, Loaded, Published};
use super::rows::{RequestRow, word};
use super::rules::{self, Outcome, Setting};
use super::seating::Parties;
use super::state::{RequestState, State};
use super::subjects::{Ended, Subject, Subjects};
use super::writing::{self, Ids};
use crate::identity::staffing::people_changed;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::schema::approval_requests;
use diesel::{
    BoolExpressionMethods, ExpressionMethods, OptionalExtension, PgExpressionMethods, QueryDsl,
    SelectableHelper,
};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

pub use super::queries::{Standing, standings, standings_of_many};

/// Which process decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    Key(String),
    Id(Uuid),
}

/// An approval to be asked for, by the caller.
#[derive(Debug, Clone)]
pub struct NewRequest {
    pub process: Process,
    pub subject_kind: SubjectKind,
    pub subject_id: Uuid,
    pub owner_id: Option<Uuid>,
    /// The stay in a stage that it is bound to.
    pub visit_id: Option<Uuid>,
    /// The criterion of the gate that it is to satisfy.
    pub criterion_id: Option<Uuid>,
    /// The subject's whole wire JSON, sensitive members too; they are masked for whoever may not read them.
    pub snapshot: Value,
    pub amount: Option<Decimal>,
    /// Of the amount; the company's when absent.
    pub currency: Option<String>,
    /// Whether the subject is to move on by itself when this is granted.
    pub advances_when_granted: bool,
    /// Where to, when the requester named a stage.
    pub advances_to_id: Option<Uuid>,
    pub comment: Option<String>,
}

/// Asks for an approval. The caller holds the lock of the subject and has checked that this person may ask.
///
/// # Errors
/// `approval_pending` (with `approval_request_id`) when one is pending or granted for just this; `conflict` when the process
/// has no published version or a step finds too few people; `invalid` when the process is for another kind of subject.
pub async fn request(tx: &mut Tx, ctx: &Ctx, subjects: Subjects, new: NewRequest) -> AppResult<RequestRow> {
    let subject = subjects.get(new.subject_kind)?;
    let published = published_for(tx, ctx, &new.process).await?;
    let process: super::definition::ProcessDocument =
        serde_json::from_value(published.document.clone()).map_err(AppError::internal)?;
    if process.subject_kind != new.subject_kind {
        let fault = Fault::invalid(
            "/process",
            "decides on another kind of subject",
            "不适用于该类对象",
        );
        return Err(AppError::invalid(vec![fault]));
    }
    let previous = previous(tx, ctx, &new, published.process_id).await?;
    let rate = frozen_rate(tx, ctx, new.currency.as_deref()).await?;
    let people = queries::people(&mut &**tx, ctx).await?;
    let amount = new.amount.map(|amount| FrozenAmount {
        amount,
        exchange_rate: rate,
    });
    let company = &ctx.principal.company;
    let vocabulary = subject.vocabulary(tx, ctx).await?;
    let facts = facts(
        &new.snapshot,
        amount.as_ref(),
        &company.currency,
        ctx.now,
        company.time_zone,
    );
    let ids = Ids::after(Uuid::nil());
    let new_id = || ids.fresh();
    let setting = Setting {
        process: &process,
        people: &people,
        now: ctx.now,
        new_id: &new_id,
    };
    let parties = Parties {
        requester_id: ctx.user,
        owner_id: new.owner_id,
    };
    let conditions = Conditions {
        vocabulary: &vocabulary,
        facts: &facts,
    };
    let id = ids.fresh();
    let outcome = rules::request(setting, parties, conditions, new.comment.clone())?;
    let row = RequestRow {
        tenant_id: ctx.tenant,
        id,
        process_id: published.process_id,
        process_version_id: published.version_id,
        subject_kind: <&'static str>::from(new.subject_kind).to_owned(),
        subject_id: new.subject_id,
        visit_id: new.visit_id,
        criterion_id: new.criterion_id,
        previous_id: previous,
        requester_id: ctx.user,
        subject_owner_id: new.owner_id,
        state: <&'static str>::from(outcome.state.state).to_owned(),
        current_position: outcome.state.current_position(),
        content_hash: content::hash(&process.content, &new.snapshot),
        snapshot: new.snapshot,
        comment: new.comment,
        amount: new.amount,
        currency: new
            .amount
            .and(new.currency.or_else(|| Some(company.currency.clone()))),
        exchange_rate: new.amount.and(rate),
        advances_when_granted: new.advances_when_granted,
        requested_at: ctx.now,
        closed_at: None,
        version: 1,
        created_at: ctx.now,
        updated_at: ctx.now,
        advances_to_id: new.advances_to_id,
    };
    insert(tx, &row).await?;
    let planned = Loaded {
        request: row,
        process,
        state: State::planned(parties, Vec::new()),
        newest: id,
    };
    writing::write(tx, ctx, &planned, &outcome, &ids).await?;
    Ok(planned.request)
}

async fn insert(tx: &mut Tx, row: &RequestRow) -> AppResult<()> {
    let inserted = diesel::insert_into(approval_requests::table)
        .values(row)
        .execute(&mut **tx)
        .await;
    inserted.map(|_| ()).map_err(|error| match AppError::from(error) {
        error if error.code() == Code::Duplicate => pending_already(None),
        error => error,
    })
}

fn pending_already(request: Option<Uuid>) -> AppError {
    AppError::refuse(
        Code::ApprovalPending,
        say(
            "This approval is pending or granted already",
            "该审批正在进行或已获批准",
        ),
    )
    .with("approval_request_id", json!(request))
}

async fn published_for(tx: &mut Tx, ctx: &Ctx, process: &Process) -> AppResult<Published> {
    let (key, id) = match process {
        Process::Key(key) => (Some(key.as_str()), None),
        Process::Id(id) => (None, Some(*id)),
    };
    let found = queries::published(&mut &**tx, ctx.tenant, key, id).await?;
    found.ok_or_else(|| {
        AppError::refuse(
            Code::Conflict,
            say(
                "The approval process has no published version",
                "该审批流程没有已发布的版本",
            ),
        )
    })
}

/// The request that this one follows; none may be live. One that is about what the subject no longer says is none: the
/// gate takes it as lapsed, and here it does.
async fn previous(tx: &mut Tx, ctx: &Ctx, new: &NewRequest, process: Uuid) -> AppResult<Option<Uuid>> {
    use approval_requests as t;
    let kind: &'static str = new.subject_kind.into();
    let last = t::table
        .filter(t::tenant_id.eq(ctx.tenant))
        .filter(t::subject_kind.eq(kind))
        .filter(t::subject_id.eq(new.subject_id))
        .filter(t::process_id.eq(process))
        .filter(t::visit_id.is_not_distinct_from(new.visit_id))
        .filter(t::criterion_id.is_not_distinct_from(new.criterion_id))
        .order((t::requested_at.desc(), t::id.desc()))
        .for_update()
        .select(RequestRow::as_select())
        .first(&mut **tx)
        .await
        .optional()?;
    let Some(last) = last else { return Ok(None) };
    let id = last.id;
    let is_live = match word::<RequestState>(&last.state)? {
        RequestState::Pending | RequestState::Approved => true,
        RequestState::Rejected | RequestState::Returned | RequestState::Withdrawn | RequestState::Lapsed => {
            false
        }
    };
    if is_live && !lapse_unless_same(tx, ctx, last, &new.snapshot).await? {
        return Err(pending_already(Some(id)));
    }
    Ok(Some(id))
}

/// Units of the company's currency for one of this (of its own, where none is named); nothing when no rate is known.
pub(super) async fn frozen_rate(
    tx: &mut Tx,
    ctx: &Ctx,
    currency: Option<&str>,
) -> AppResult<Option<Decimal>> {
    match currency {
        None => Ok(Some(Decimal::ONE)),
        Some(currency) if currency == ctx.currency() => Ok(Some(Decimal::ONE)),
        Some(currency) => queries::exchange_rate(&mut &**tx, ctx.tenant, currency, ctx.today()).await,
    }
}

/// Locks the subject, then the request, and reads it whole.
pub(super) async fn lock(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    about: &About,
) -> AppResult<(&'static Subject, Loaded)> {
    let subject = subjects.get(word(&about.subject_kind)?)?;
    subject.lock(tx, ctx, about.subject_id).await?;
    let request = approval_requests::table
        .find((ctx.tenant, about.id))
        .for_update()
        .select(RequestRow::as_select())
        .first(&mut **tx)
        .await
        .optional()?
        .or_not_found()?;
    Ok((subject, queries::complete(&mut &**tx, request).await?))
}

/// A rule applied to one request.
pub type Rule<'r> = &'r dyn Fn(&Loaded, Setting<'_>) -> AppResult<Outcome>;

/// Carries out what somebody does in a request that they see; answers the state after it.
///
/// # Errors
/// `not_found` when they do not see it, `stale`, and what the rule says.
pub async fn act(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    id: Uuid,
    rule: Rule<'_>,
) -> AppResult<RequestState> {
    let about = queries::about(&mut &**tx, ctx, id).await?;
    let (subject, loaded) = lock(tx, ctx, subjects, &about).await?;
    ctx.if_match(loaded.request.version)?;
    let people = queries::people(&mut &**tx, ctx).await?;
    let outcome = apply(tx, ctx, &people, &loaded, rule).await?;
    let state = outcome.state.state;
    if lacks_people(&loaded, &people, ctx, &outcome) {
        // Whoever became able while this ran could not be seen from here: look again afterwards.
        people_changed(tx, ctx).await?;
    }
    if state != loaded.state.state
        && let Some(decided) = subject.decided
    {
        decided(tx, ctx, &ended(&loaded.request, subject.kind, state)).await?;
    }
    Ok(state)
}

fn lacks_people(loaded: &Loaded, people: &People, ctx: &Ctx, outcome: &Outcome) -> bool {
    let setting = Setting {
        process: &loaded.process,
        people,
        now: ctx.now,
        new_id: &Uuid::now_v7,
    };
    rules::lacks_people(&outcome.state, setting)
}

fn ended(request: &RequestRow, kind: SubjectKind, state: RequestState) -> Ended {
    Ended {
        request_id: request.id,
        process_id: request.process_id,
        subject_kind: kind,
        subject_id: request.subject_id,
        visit_id: request.visit_id,
        criterion_id: request.criterion_id,
        requester_id: request.requester_id,
        state,
        advances_when_granted: request.advances_when_granted,
        advances_to_id: request.advances_to_id,
    }
}

/// Applies a rule to a locked request and writes what follows.
pub(super) async fn apply(
    tx: &mut Tx,
    ctx: &Ctx,
    people: &People,
    loaded: &Loaded,
    rule: Rule<'_>,
) -> AppResult<Outcome> {
    let ids = Ids::after(loaded.newest);
    let new_id = || ids.fresh();
    let setting = Setting {
        process: &loaded.process,
        people,
        now: ctx.now,
        new_id: &new_id,
    };
    let outcome = rule(loaded, setting)?;
    writing::save(tx, ctx, loaded, &outcome, &ids).await?;
    Ok(outcome)
}

/// Lapses the requests of a visit, pending or granted, whose declared content is no longer what was asked about; answers
/// how many. Part of every edit of a subject; the caller holds its lock.
///
/// # Errors
/// Database errors.
pub async fn lapse_if_changed(
    tx: &mut Tx,
    ctx: &Ctx,
    subject_kind: SubjectKind,
    subject_id: Uuid,
    visit_id: Option<Uuid>,
    current_content: &Value,
) -> AppResult<usize> {
    use approval_requests as t;
    let kind: &'static str = subject_kind.into();
    let live = t::table
        .filter(t::tenant_id.eq(ctx.tenant))
        .filter(t::subject_kind.eq(kind))
        .filter(t::subject_id.eq(subject_id))
        .filter(t::visit_id.is_not_distinct_from(visit_id))
        .filter(t::state.eq("pending").or(t::state.eq("approved")))
        .order(t::id)
        .for_update()
        .select(RequestRow::as_select())
        .load(&mut **tx)
        .await?;
    let mut lapsed = 0;
    for request in live {
        lapsed += usize::from(lapse_unless_same(tx, ctx, request, current_content).await?);
    }
    Ok(lapsed)
}

/// Lapses a locked request, pending or granted, unless its subject still says what was asked about; answers whether it did.
async fn lapse_unless_same(
    tx: &mut Tx,
    ctx: &Ctx,
    request: RequestRow,
    current_content: &Value,
) -> AppResult<bool> {
    let loaded = queries::complete(&mut &**tx, request).await?;
    if content::hash(&loaded.process.content, current_content) == loaded.request.content_hash {
        return Ok(false);
    }
    let who = actor(ctx);
    let lapse = |loaded: &Loaded, setting: Setting<'_>| Ok(rules::lapse(&loaded.state, setting, who, None)?);
    apply(tx, ctx, &People::default(), &loaded, &lapse).await?;
    Ok(true)
}

/// Takes back every pending request of subjects that went another way (taken back a stage, lost); answers how many. The
/// caller holds the subjects' locks.
///
/// # Errors
/// Database errors.
pub async fn withdraw_all(
    tx: &mut Tx,
    ctx: &Ctx,
    subject_kind: SubjectKind,
    subjects: &[Uuid],
    reason: &str,
) -> AppResult<usize> {
    use approval_requests as t;
    if subjects.is_empty() {
        return Ok(0);
    }
    let kind: &'static str = subject_kind.into();
    let pending = t::table
        .filter(t::tenant_id.eq(ctx.tenant))
        .filter(t::subject_kind.eq(kind))
        .filter(t::subject_id.eq_any(subjects))
        .filter(t::state.eq("pending"))
        .order(t::id)
        .for_update()
        .select(RequestRow::as_select())
        .load(&mut **tx)
        .await?;
    call_off(tx, ctx, pending, reason).await
}

/// Takes back those of these requests that are pending, when what they were asked for is gone; answers how many. The
/// caller holds the locks of their subjects.
///
/// # Errors
/// Database errors.
pub async fn withdraw(tx: &mut Tx, ctx: &Ctx, requests: &[Uuid], reason: &str) -> AppResult<usize> {
    use approval_requests as t;
    if requests.is_empty() {
        return Ok(0);
    }
    let pending = t::table
        .filter(t::tenant_id.eq(ctx.tenant))
        .filter(t::id.eq_any(requests))
        .filter(t::state.eq("pending"))
        .order(t::id)
        .for_update()
        .select(RequestRow::as_select())
        .load(&mut **tx)
        .await?;
    call_off(tx, ctx, pending, reason).await
}

async fn call_off(tx: &mut Tx, ctx: &Ctx, pending: Vec<RequestRow>, reason: &str) -> AppResult<usize> {
    let count = pending.len();
    let who = actor(ctx);
    let call_off = |loaded: &Loaded, setting: Setting<'_>| {
        Ok(rules::call_off(
            &loaded.state,
            setting,
            who,
            Some(reason.to_owned()),
        )?)
    };
    for request in pending {
        let loaded = queries::complete(&mut &**tx, request).await?;
        apply(tx, ctx, &People::default(), &loaded, &call_off).await?;
    }
    Ok(count)
}

/// Who acts, when it is a person.
fn actor(ctx: &Ctx) -> Option<Uuid> {
    (!ctx.user.is_nil()).then_some(ctx.user)
}
