//! Writes what a rule did: steps, seats, acts, timers, the request's head, and one event.

use super::queries::Loaded;
use super::rows::{ActRow, SeatRow, StepRow};
use super::rules::Outcome;
use super::state::{Act, ActKind, Change, Seat, Step, changes};
use super::timers;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::schema::{approval_acts, approval_requests, approval_seats, approval_steps, users};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use std::cell::Cell;
use uuid::Uuid;

/// Makes ids that follow each other and all that the request has, even where another server's clock was ahead: seats
/// and acts are read in the order of their ids.
pub(super) struct Ids(Cell<Uuid>);

impl Ids {
    pub(super) fn after(newest: Uuid) -> Ids {
        Ids(Cell::new(newest))
    }

    pub(super) fn fresh(&self) -> Uuid {
        let last = self.0.get();
        let fresh = Uuid::now_v7().max(Uuid::from_u128(last.as_u128().wrapping_add(1)));
        self.0.set(fresh);
        fresh
    }
}

/// Writes an outcome with the request's new version; nothing, when nothing was done.
pub(super) async fn save(
    tx: &mut Tx,
    ctx: &Ctx,
    loaded: &Loaded,
    outcome: &Outcome,
    ids: &Ids,
) -> AppResult<()> {
    if outcome.acts.is_empty() {
        return Ok(());
    }
    let state: &'static str = outcome.state.state.into();
    diesel::update(approval_requests::table.find((ctx.tenant, loaded.request.id)))
        .set((
            approval_requests::state.eq(state),
            approval_requests::closed_at.eq(outcome.state.closed_at),
            approval_requests::current_position.eq(outcome.state.current_position()),
            approval_requests::version.eq(loaded.request.version + 1),
            approval_requests::updated_at.eq(ctx.now),
        ))
        .execute(&mut **tx)
        .await?;
    write(tx, ctx, loaded, outcome, ids).await
}

/// Writes an outcome below a request whose own row is up to date.
pub(super) async fn write(
    tx: &mut Tx,
    ctx: &Ctx,
    loaded: &Loaded,
    outcome: &Outcome,
    ids: &Ids,
) -> AppResult<()> {
    let (request, process) = (loaded.request.id, &loaded.process);
    let calendar = timers::calendar(tx, ctx, process, &loaded.state, &outcome.state).await?;
    let after = match &calendar {
        Some(calendar) => &timers::dated(process, &loaded.state, outcome.state.clone(), calendar),
        None => &outcome.state,
    };
    let mut asked = Vec::new();
    for change in changes(&loaded.state, after) {
        match change {
            Change::AddStep(step) => add_step(tx, ctx, request, &step).await?,
            Change::SetStep(step) => set_step(tx, ctx, &step).await?,
            Change::SetSeat(seat) => set_seat(tx, ctx, &seat).await?,
            Change::AddSeat(seat) => {
                add_seat(tx, ctx, request, &seat).await?;
                asked.push(seat.user_id);
            }
            Change::SetRequest { .. } => {}
        }
    }
    hold(tx, ctx, asked).await?;
    let acts = outcome
        .acts
        .iter()
        .map(|act| ActRow::of(ctx.tenant, ids.fresh(), request, act))
        .collect::<Vec<_>>();
    diesel::insert_into(approval_acts::table)
        .values(&acts)
        .execute(&mut **tx)
        .await?;
    timers::follow(
        tx,
        ctx,
        process,
        request,
        (&loaded.state, after),
        calendar.as_ref(),
    )
    .await?;
    tx.record(event(loaded, outcome));
    Ok(())
}

async fn add_step(tx: &mut Tx, ctx: &Ctx, request: Uuid, step: &Step) -> AppResult<()> {
    diesel::insert_into(approval_steps::table)
        .values(StepRow::of(ctx.tenant, request, step))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn set_step(tx: &mut Tx, ctx: &Ctx, step: &Step) -> AppResult<()> {
    let state: &'static str = step.state.into();
    diesel::update(approval_steps::table.find((ctx.tenant, step.id)))
        .set((
            approval_steps::state.eq(state),
            approval_steps::opened_at.eq(step.opened_at),
            approval_steps::due_at.eq(step.due_at),
            approval_steps::closed_at.eq(step.closed_at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn add_seat(tx: &mut Tx, ctx: &Ctx, request: Uuid, seat: &Seat) -> AppResult<()> {
    diesel::insert_into(approval_seats::table)
        .values(SeatRow::of(ctx.tenant, request, seat))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn set_seat(tx: &mut Tx, ctx: &Ctx, seat: &Seat) -> AppResult<()> {
    let decision = seat.decision.map(<&'static str>::from);
    diesel::update(approval_seats::table.find((ctx.tenant, seat.id)))
        .set((
            approval_seats::replaced_by.eq(seat.replaced_by),
            approval_seats::decision.eq(decision),
            approval_seats::opinion.eq(seat.opinion.as_deref()),
            approval_seats::decided_at.eq(seat.decided_at),
            approval_seats::decided_by.eq(seat.decided_by),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Holds those who were just asked until this commits, so that nobody leaves between being asked and being replaced: who
/// deactivates them waits for this, and then finds the seat. When one has left meanwhile, everything runs again.
async fn hold(tx: &mut Tx, ctx: &Ctx, mut asked: Vec<Uuid>) -> AppResult<()> {
    asked.sort_unstable();
    asked.dedup();
    if asked.is_empty() {
        return Ok(());
    }
    let present = users::table
        .filter(users::tenant_id.eq(ctx.tenant))
        .filter(users::id.eq_any(&asked))
        .order(users::id)
        .for_share()
        .select(users::is_active)
        .load::<bool>(&mut **tx)
        .await?;
    if present.len() == asked.len() && present.iter().all(|is_active| *is_active) {
        return Ok(());
    }
    let left = Box::new("somebody who was asked has left meanwhile".to_owned());
    Err(AppError::from(DieselError::DatabaseError(
        DatabaseErrorKind::SerializationFailure,
        left,
    )))
}

fn event(loaded: &Loaded, outcome: &Outcome) -> Event {
    let request = &loaded.request;
    let after = outcome.state.state;
    let first = outcome.acts.as_slice().first().map(|act| act.kind);
    let state: &'static str = after.into();
    let kind = if after == loaded.state.state {
        first.map_or("updated", happened)
    } else {
        state
    };
    let acts = outcome
        .acts
        .iter()
        .map(|act| told(act, outcome))
        .collect::<Vec<Value>>();
    let data = json!({
        "process_key": loaded.process.key,
        "subject_kind": request.subject_kind,
        "subject_id": request.subject_id,
        "criterion_id": request.criterion_id,
        "state": state,
        "acts": acts,
    });
    let on: &'static str = loaded.process.subject_kind.into();
    Event::new(
        format!("approval_request.{kind}"),
        "approval_request",
        request.id,
        data,
    )
    .and_on(on, Some(request.subject_id))
}

/// What an act that leaves the request's state alone is called in its event.
fn happened(kind: ActKind) -> &'static str {
    match kind {
        ActKind::Request => "requested",
        ActKind::Approve | ActKind::Reject => "decided",
        ActKind::Delegate => "delegated",
        ActKind::AddApprover => "approver_added",
        ActKind::Comment => "commented",
        ActKind::Remind => "reminded",
        ActKind::Escalate => "escalated",
        ActKind::Seat | ActKind::Replace => "restaffed",
        ActKind::Skip | ActKind::Open | ActKind::Return | ActKind::Withdraw | ActKind::Lapse => "updated",
    }
}

fn told(act: &Act, outcome: &Outcome) -> Value {
    let kind: &'static str = act.kind.into();
    let step = act.step_id.and_then(|id| outcome.state.step(id));
    json!({
        "kind": kind,
        "step_key": step.map(|step| step.key.as_str()),
        "actor_id": act.actor_id,
        "to_user_id": act.to_user_id,
        "origin": act.origin,
        "for_user_id": act.for_user_id,
        "comment": act.comment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_on_after_those_of_a_server_whose_clock_was_ahead() {
        let ahead = Uuid::from_u128(u128::MAX - 10);
        let ids = Ids::after(ahead);
        let (one, two) = (ids.fresh(), ids.fresh());
        assert!(ahead < one && one < two);
    }
}
