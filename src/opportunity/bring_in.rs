//! Deals brought in from elsewhere: with the history that they had there, back-dated and marked (transitions of kind
//! `import`). Needs a permission of its own, and is never a way around a live gate: what was brought in says so for ever.

use super::SUBJECTS;
use super::advance::rules::Status;
use super::advance::service::LEFT;
use super::cycles::{self, End};
use super::follow;
use super::lapse::call_off;
use super::moves::{Move, MoveKind, make};
use super::parts::LINE;
use super::resources::OPPORTUNITY;
use super::standing::lock_head;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::text::say;
use crate::pipeline::course::{Course, Step};
use crate::pipeline::service::{definition, published};
use crate::platform::db::{Cached, Tx, is_outage};
use crate::platform::records::store::{self, For, Written};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use diesel::sql_types::{Bool, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const IMPORT: &str = "opportunity.import";

/// A product that a deal is about.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub product_id: Uuid,
    pub name: String,
}

/// What a deal had behind it where it comes from.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Key or name of a stage, or `won` or `lost`.
    pub stage: Option<String>,
    pub entered_on: Option<NaiveDate>,
    pub closed_on: Option<NaiveDate>,
    pub loss_reason_id: Option<Uuid>,
    pub lost_because: Option<String>,
    pub product: Option<Wanted>,
}

impl Past {
    fn is_nothing(&self) -> bool {
        self.stage.is_none() && self.entered_on.is_none() && self.closed_on.is_none()
    }
}

/// Where a deal is to be.
struct Goal {
    stage_id: Uuid,
    status: Status,
}

/// Makes a deal, with its past. `beside` is done as soon as it is there, so that its event tells of that too.
///
/// # Errors
/// As `store::create`; `forbidden` when it has a past and the caller may not bring such in.
pub async fn create(
    tx: &mut Tx,
    ctx: &Ctx,
    members: Map<String, Value>,
    past: &Past,
    beside: impl AsyncFnOnce(&mut Tx, Uuid) -> AppResult<()>,
) -> AppResult<Written> {
    if past.is_nothing() {
        let made = store::create(tx, ctx, &OPPORTUNITY, None, members.clone()).await?;
        if let Some(wanted) = &past.product {
            want(tx, ctx, made.id, &members, wanted).await?;
        }
        beside(tx, made.id).await?;
        return Ok(made);
    }
    ctx.require(IMPORT)?;
    let definition = published(&mut &**tx, &SUBJECTS, ctx.tenant, pipeline_of(&members)).await?;
    let wrong = wrongs(ctx, &definition.course, past);
    if !wrong.is_empty() {
        return Err(AppError::invalid(wrong));
    }
    let goal = goal(&definition.course, past, None)?;
    let (entered, closed) = instants(ctx, past, goal.status)?;
    let at = then(ctx, entered);
    let mut made = store::create(tx, &at, &OPPORTUNITY, None, members.clone()).await?;
    if let Some(wanted) = &past.product {
        want(tx, &at, made.id, &members, wanted).await?;
    }
    beside(tx, made.id).await?;
    tx.flush_events(&at).await?;
    reach(tx, ctx, made.id, &goal, past, (entered, closed)).await?;
    made.warnings.extend(doubt(past, goal.status));
    Ok(made)
}

/// What a row says of its end that is not what somebody would expect.
fn doubt(past: &Past, status: Status) -> Option<Warning> {
    match (status, past.closed_on) {
        (Status::Open, Some(_)) => Some(Fault::new(
            "/closed_on",
            "not_kept",
            say(
                "is not kept: the deal is in an open stage",
                "未保存：商机处于未关闭的阶段",
            ),
        )),
        (Status::Won | Status::Lost, None) => Some(Fault::new(
            "/closed_on",
            "closed_today",
            say(
                "is not said, so the deal was closed today",
                "未填写，按今日关闭处理",
            ),
        )),
        _ => None,
    }
}

fn pipeline_of(members: &Map<String, Value>) -> Option<Uuid> {
    let id = members.get("pipeline_id").and_then(Value::as_str)?;
    Uuid::parse_str(id).ok()
}

/// What is wrong with the past of a deal that is to be made, for a row that will be refused anyway: nothing where its
/// pipeline cannot be told.
///
/// # Errors
/// Database errors.
pub async fn faults(
    tx: &mut Tx,
    ctx: &Ctx,
    members: &Map<String, Value>,
    past: &Past,
) -> AppResult<Vec<Fault>> {
    if past.is_nothing() {
        return Ok(Vec::new());
    }
    match published(&mut &**tx, &SUBJECTS, ctx.tenant, pipeline_of(members)).await {
        Ok(definition) => Ok(wrongs(ctx, &definition.course, past)),
        Err(AppError::Refused(refusal)) if !is_outage(refusal.code) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// All that is wrong with the past of a deal that is to be made. Where its stage is unknown, its days are looked at as
/// those of a deal that is closed.
fn wrongs(ctx: &Ctx, course: &Course, past: &Past) -> Vec<Fault> {
    let goal = goal(course, past, None);
    let status = goal.as_ref().map_or(Status::Won, |goal| goal.status);
    let days = instants(ctx, past, status);
    let end = match status {
        Status::Lost => ending(status, past).err(),
        _ => None,
    };
    let refusals = [goal.err(), days.err(), end].into_iter().flatten();
    refusals.flat_map(|error| error.to_refusal().faults).collect()
}

/// What became of a deal that is here already.
#[derive(Debug, Default)]
pub struct Settled {
    pub has_changed: bool,
    pub warnings: Vec<Warning>,
}

/// Lets a deal follow its row: its line, and its stage where it is open here. Only one that was brought in and has made no
/// move here since: the others go through their gates. `members`: what else the row says, which the deal says already.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`.
pub async fn settle(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    members: &Map<String, Value>,
    past: &Past,
) -> AppResult<Settled> {
    let mut settled = Settled::default();
    if past.is_nothing() && past.product.is_none() {
        return Ok(settled);
    }
    let purpose = match past.is_nothing() {
        true => For::Write,
        false => For::Action(IMPORT),
    };
    let (head, locked) = lock_head(tx, ctx, id, purpose).await?;
    let status = head.status()?;
    let trail = trail(tx, ctx, id).await?;
    if trail.is_brought_in {
        let wrong = follow::differences(tx, ctx, &head, status, past).await?;
        if !wrong.is_empty() {
            return Err(AppError::invalid(wrong));
        }
        if let Some(wanted) = past.product.as_ref().filter(|_| status == Status::Open) {
            settled.has_changed = follow::line(tx, ctx, id, &locked.record()?, members, wanted).await?;
        }
    }
    if past.stage.is_none() {
        settled
            .warnings
            .extend(doubt(past, status).filter(|_| status == Status::Open));
        return Ok(settled);
    }
    let definition = definition(&mut &**tx, &SUBJECTS, ctx.tenant, head.pipeline_version_id).await?;
    let goal = goal(&definition.course, past, Some(head.stage_id))?;
    let is_there = status == goal.status && (goal.status != Status::Open || head.stage_id == goal.stage_id);
    if is_there {
        settled
            .warnings
            .extend(doubt(past, status).filter(|_| status == Status::Open));
        return Ok(settled);
    }
    if status != Status::Open && trail.is_brought_in {
        return Err(AppError::invalid(vec![Fault::invalid(
            "/stage",
            "differs from how the deal was brought in as closed; reopen it here to correct that",
            "与导入时已关闭的结果不一致；请在本系统重新打开后更正",
        )]));
    }
    if status != Status::Open {
        return Err(AppError::invalid(vec![Fault::invalid(
            "/stage",
            "differs from how the deal was closed here",
            "与此商机已关闭的结果不一致",
        )]));
    }
    if !trail.is_brought_in {
        return Err(AppError::invalid(vec![Fault::invalid(
            "/stage",
            "differs from its stage here, and a deal that was made or has moved here goes on by its gates only",
            "与此商机在本系统的阶段不同；在本系统创建或推进过的商机只能按其关卡推进",
        )]));
    }
    let closed = closing(ctx, past, goal.status, trail.last_at)?;
    call_off(tx, ctx, id, LEFT).await?;
    reach(tx, ctx, id, &goal, past, (closed, closed)).await?;
    settled.has_changed = true;
    settled.warnings.extend(doubt(past, goal.status));
    Ok(settled)
}

/// What a deal has behind it here.
#[derive(QueryableByName)]
struct Trail {
    /// Whether every move of it was brought in.
    #[diesel(sql_type = Bool)]
    is_brought_in: bool,
    /// When it moved last.
    #[diesel(sql_type = Timestamptz)]
    last_at: DateTime<Utc>,
}

/// An import runs as a job, and nothing else that does makes deals.
async fn trail(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<Trail> {
    let query = sql_query(
        "SELECT bool_and(m.kind = 'import' OR (m.kind = 'enter' AND m.actor_kind = 'job')) AS is_brought_in, max(m.at) AS last_at \
         FROM transitions m WHERE m.tenant_id = $1 AND m.opportunity_id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id);
    Ok(Cached(query).get_result(&mut **tx).await?)
}

/// When a deal that is here already reached its goal: now, or on the day on which it was closed, which is none before its
/// last move. On the day of that move it was closed right after it.
fn closing(ctx: &Ctx, past: &Past, status: Status, last_at: DateTime<Utc>) -> AppResult<DateTime<Utc>> {
    let (_, closed) = instants(ctx, past, status)?;
    if closed >= last_at {
        return Ok(closed);
    }
    let zone = ctx.principal.company.time_zone;
    if closed.with_timezone(&zone).date_naive() == last_at.with_timezone(&zone).date_naive() {
        return Ok(last_at);
    }
    Err(AppError::invalid(vec![Fault::out_of_range(
        "/closed_on",
        "is before the day of its last move here",
        "早于此商机在本系统的最后一次变动",
    )]))
}

/// The line of the product that it is about.
pub(super) async fn want(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    members: &Map<String, Value>,
    wanted: &Wanted,
) -> AppResult<()> {
    let price = members.get("amount").and_then(Value::as_str).unwrap_or("0");
    let line =
        json!({ "product_id": wanted.product_id, "name": wanted.name, "quantity": "1", "unit_price": price });
    let line = line.as_object().cloned().unwrap_or_default();
    store::create(tx, ctx, &LINE, Some(id), line).await?;
    Ok(())
}

fn goal(course: &Course, past: &Past, present: Option<Uuid>) -> AppResult<Goal> {
    let first = course.first().map(|step| step.id);
    let first = first.ok_or_else(|| AppError::internal("a published version without stages"))?;
    let Some(text) = past.stage.as_deref().map(str::to_lowercase) else {
        return Ok(Goal {
            stage_id: first,
            status: Status::Open,
        });
    };
    let last = || {
        course
            .steps()
            .iter()
            .rev()
            .find(|step| step.is_final())
            .map_or(first, |step| step.id)
    };
    match text.as_str() {
        "won" | "closed won" | "赢单" | "成交" => Ok(Goal {
            stage_id: last(),
            status: Status::Won,
        }),
        "lost" | "closed lost" | "丢单" | "输单" => Ok(Goal {
            stage_id: present.unwrap_or(first),
            status: Status::Lost,
        }),
        _ => {
            let named = |step: &&Step| {
                [
                    step.key.to_lowercase(),
                    step.name.to_lowercase(),
                    step.id.to_string(),
                ]
                .contains(&text)
            };
            let step = course.steps().iter().find(named).ok_or_else(|| {
                AppError::invalid(vec![Fault::new(
                    "/stage",
                    "unknown_value",
                    say("is no stage of the pipeline", "不是该流程的阶段"),
                )])
            })?;
            Ok(Goal {
                stage_id: step.id,
                status: Status::Open,
            })
        }
    }
}

/// When it was entered and closed; a closed deal without a day was closed when it was entered, or now.
fn instants(ctx: &Ctx, past: &Past, status: Status) -> AppResult<(DateTime<Utc>, DateTime<Utc>)> {
    let at = |day: NaiveDate| {
        let zone = ctx.principal.company.time_zone;
        let local = zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
        local.map_or(ctx.now, |local| local.with_timezone(&Utc))
    };
    let closed = past.closed_on.filter(|_| status != Status::Open).map(at);
    let entered = past.entered_on.map(at).or(closed).unwrap_or(ctx.now);
    let closed = closed.unwrap_or(ctx.now);
    let mut faults = Vec::new();
    if entered > ctx.now {
        faults.push(Fault::out_of_range(
            "/entered_on",
            "lies in the future",
            "晚于当前时间",
        ));
    }
    if closed > ctx.now {
        faults.push(Fault::out_of_range(
            "/closed_on",
            "lies in the future",
            "晚于当前时间",
        ));
    }
    if closed < entered {
        faults.push(Fault::out_of_range(
            "/closed_on",
            "is before entered_on",
            "早于 entered_on",
        ));
    }
    if faults.is_empty() {
        Ok((entered, closed))
    } else {
        Err(AppError::invalid(faults))
    }
}

/// The terms as they would have been at an instant.
fn then(ctx: &Ctx, now: DateTime<Utc>) -> Ctx {
    Ctx { now, ..ctx.clone() }
}

/// Moves a deal to its goal by transitions of kind `import`, each at its own time.
async fn reach(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    goal: &Goal,
    past: &Past,
    (entered, closed): (DateTime<Utc>, DateTime<Utc>),
) -> AppResult<()> {
    let at = then(ctx, entered);
    let (head, locked) = lock_head(tx, &at, id, For::Action(IMPORT)).await?;
    if head.stage_id != goal.stage_id || goal.status == Status::Open {
        let mut step = Move::of(MoveKind::Import, &head)?;
        step.begins_visit = head.stage_id != goal.stage_id;
        step.to_stage_id = goal.stage_id;
        make(tx, &at, &head, &locked.record()?, locked.version, step).await?;
        tx.flush_events(&at).await?;
    }
    if goal.status == Status::Open {
        return Ok(());
    }
    let at = then(ctx, closed);
    let (head, locked) = lock_head(tx, &at, id, For::Action(IMPORT)).await?;
    let end = ending(goal.status, past)?;
    let mut step = Move::of(MoveKind::Import, &head)?;
    step.to_status = goal.status;
    step.reason = past.lost_because.clone();
    make(tx, &at, &head, &locked.record()?, locked.version, step).await?;
    cycles::freeze(tx, &at, &head, &end).await?;
    tx.flush_events(&at).await
}

fn ending(status: Status, past: &Past) -> AppResult<End> {
    if status == Status::Won {
        return Ok(End::Won);
    }
    let Some(loss_reason_id) = past.loss_reason_id else {
        return Err(AppError::invalid(vec![Fault::required("/loss_reason")]));
    };
    Ok(End::Lost {
        loss_reason_id,
        reason: past.lost_because.clone().unwrap_or_else(|| "—".to_owned()),
        competitor_id: None,
        debrief_on: None,
    })
}
