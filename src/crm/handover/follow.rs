//! What a lead's steps and new owners do to its hand-over.

use super::record::{self, Begin, End, Handover, Reason, Response};
use crate::crm::assignment::rules::{self, Terms};
use crate::crm::lead_states::Status;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use serde_json::{Value, json};
use uuid::Uuid;

/// What happened to a lead.
#[derive(Debug, Clone)]
pub struct Step {
    pub lead: Uuid,
    /// Before and after; none before a lead that is new.
    pub status: (Option<Status>, Status),
    pub owner: (Option<Uuid>, Option<Uuid>),
    pub reason: Reason,
    pub terms: Terms,
}

/// What follows for the hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    Nothing,
    /// The owner moved the lead on: that is a response.
    Response,
    Close,
    /// It goes on to the new owner, or ends where there is none.
    PassOn,
    TakeBack,
    Begin,
    /// It was nobody's, or is given back: what ended without a response goes on.
    Resume,
}

fn follows(open: bool, step: &Step, actor: Uuid) -> Follows {
    let is_sql = step.status.1 == Status::SalesQualified;
    let has_become_sql = is_sql && step.status.0 != Some(Status::SalesQualified);
    let has_new_owner = step.owner.0 != step.owner.1;
    if open && !is_sql {
        return match step.owner.0 == Some(actor) {
            true => Follows::Response,
            false => Follows::Close,
        };
    }
    match (open, has_new_owner) {
        (true, true) if step.reason == Reason::Undo => Follows::TakeBack,
        (true, true) => Follows::PassOn,
        (true, false) => Follows::Nothing,
        (false, _) if !is_sql || step.owner.1.is_none() => Follows::Nothing,
        // Who qualifies their own lead is at work on it already.
        (false, false) if has_become_sql && step.owner.1 == Some(actor) => Follows::Nothing,
        (false, false) if !has_become_sql => Follows::Nothing,
        (false, true) if !has_become_sql => Follows::Resume,
        (false, _) => Follows::Begin,
    }
}

/// Follows a step of a locked lead.
///
/// # Errors
/// Database errors.
pub async fn follow(tx: &mut Tx, ctx: &Ctx, step: &Step) -> AppResult<()> {
    let was_sql = step.status.0 == Some(Status::SalesQualified);
    let is_sql = step.status.1 == Status::SalesQualified;
    let is_about_it = (was_sql && (!is_sql || step.owner.0 != step.owner.1)) || (is_sql && !was_sql);
    if !is_about_it {
        return Ok(());
    }
    let open = match was_sql {
        true => record::open_of(&mut &**tx, ctx.tenant, step.lead).await?,
        false => None,
    };
    let follows = follows(open.is_some(), step, ctx.user);
    match (follows, open) {
        (Follows::Response, Some(open)) => {
            let response = Response {
                kind: "moved_on",
                note: None,
            };
            record::end(tx, ctx, &open, End::Responded, Some(&response), json!({})).await
        }
        (Follows::Close, Some(open)) => record::end(tx, ctx, &open, End::Closed, None, Value::Null).await,
        (Follows::PassOn, Some(open)) => pass_on(tx, ctx, step, open).await,
        (Follows::TakeBack, Some(open)) => take_back(tx, ctx, step, &open).await,
        (Follows::Begin, None) => begin(tx, ctx, step, None).await,
        (Follows::Resume, None) => resume(tx, ctx, step).await,
        _ => Ok(()),
    }
}

async fn pass_on(tx: &mut Tx, ctx: &Ctx, step: &Step, open: Handover) -> AppResult<()> {
    record::end(tx, ctx, &open, End::Superseded, None, Value::Null).await?;
    begin(tx, ctx, step, Some(open)).await
}

async fn begin(tx: &mut Tx, ctx: &Ctx, step: &Step, after: Option<Handover>) -> AppResult<()> {
    let Some(to) = step.owner.1 else {
        return Ok(());
    };
    let actor = (!ctx.user.is_nil()).then_some(ctx.user);
    let from = step.owner.0.filter(|from| *from != to).or(actor);
    let has_become_sql = step.status.0 != Some(Status::SalesQualified);
    let accepted_at = match (&after, has_become_sql) {
        (Some(after), _) => after.accepted_at,
        (None, true) => Some(ctx.now),
        // Once accepted, nobody had it since.
        (None, false) => {
            let newest = record::newest_of(&mut &**tx, ctx.tenant, step.lead).await?;
            newest.and_then(|newest| newest.accepted_at)
        }
    };
    let mut terms = step.terms.clone();
    // Whom a rule gave a lead that was not qualified yet, that rule gave their time for it too.
    if terms.rule_id.is_none() && step.owner.0 == Some(to) {
        let given = rules::terms_of_gift(&mut &**tx, ctx.tenant, step.lead, to).await?;
        terms = given.unwrap_or(terms);
    }
    let beginning = Begin {
        lead: step.lead,
        from,
        to,
        reason: step.reason,
        terms,
        after,
        accepted_at,
    };
    record::begin(tx, ctx, beginning).await.map(|_| ())
}

/// Somebody has a lead again that was accepted before, and for which nobody waits. Whoever gave it up, or lost it, and has it
/// back goes on by the clock that ran for them; anybody else has one of their own in the same chain. A lead that was
/// answered begins anew, unless it is only given back.
async fn resume(tx: &mut Tx, ctx: &Ctx, step: &Step) -> AppResult<()> {
    let unanswered = record::unanswered_of(&mut &**tx, ctx.tenant, step.lead).await?;
    let is_own = |before: &Handover| before.status == "superseded" && Some(before.to_user_id) == step.owner.1;
    match unanswered {
        Some(before) if is_own(&before) && matches!(step.reason, Reason::Undo | Reason::Claim) => {
            record::reopen(tx, ctx, &before).await
        }
        None if step.reason == Reason::Undo => Ok(()),
        unanswered => begin(tx, ctx, step, unanswered).await,
    }
}

/// The assignment was undone: what it took over goes on where it stood.
async fn take_back(tx: &mut Tx, ctx: &Ctx, step: &Step, open: &Handover) -> AppResult<()> {
    record::end(tx, ctx, open, End::Withdrawn, None, Value::Null).await?;
    let before = record::before(&mut &**tx, ctx.tenant, open).await?;
    match before.filter(|before| Some(before.to_user_id) == step.owner.1) {
        Some(before) => record::reopen(tx, ctx, &before).await,
        None => Ok(()),
    }
}

/// Somebody who leaves, or hands everything over, handed these leads to somebody else: their clocks begin anew.
///
/// # Errors
/// Database errors.
pub async fn handed_over(tx: &mut Tx, ctx: &Ctx, leads: &[Uuid], from: Uuid, to: Uuid) -> AppResult<()> {
    for open in record::open_of_all(&mut &**tx, ctx.tenant, leads).await? {
        let step = Step {
            lead: open.lead_id,
            status: (Some(Status::SalesQualified), Status::SalesQualified),
            owner: (Some(from), Some(to)),
            reason: Reason::Leaver,
            terms: Terms {
                goal: open.goal.clone(),
                rule_id: open.rule_id,
                ..Terms::default()
            },
        };
        pass_on(tx, ctx, &step, open).await?;
    }
    Ok(())
}

/// The lead is archived: nobody waits for a response any more.
///
/// # Errors
/// Database errors.
pub async fn archived(tx: &mut Tx, ctx: &Ctx, lead: Uuid) -> AppResult<()> {
    match record::open_of(&mut &**tx, ctx.tenant, lead).await? {
        Some(open) => record::end(tx, ctx, &open, End::Closed, None, Value::Null).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Converted, Disqualified, MarketingQualified, SalesQualified};

    fn user(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn step(status: (Status, Status), owner: (Option<u128>, Option<u128>), reason: Reason) -> Step {
        Step {
            lead: user(9),
            status: (Some(status.0), status.1),
            owner: (owner.0.map(user), owner.1.map(user)),
            reason,
            terms: Terms::default(),
        }
    }

    #[test]
    fn a_lead_that_becomes_sales_qualified_is_handed_over_unless_its_owner_did_that() {
        let accepted = step(
            (MarketingQualified, SalesQualified),
            (Some(1), Some(1)),
            Reason::Qualified,
        );
        assert_eq!(follows(false, &accepted, user(2)), Follows::Begin);
        assert_eq!(follows(false, &accepted, user(1)), Follows::Nothing);
        let unowned = step(
            (MarketingQualified, SalesQualified),
            (None, None),
            Reason::Qualified,
        );
        assert_eq!(follows(false, &unowned, user(2)), Follows::Nothing);
        let ruled = step(
            (MarketingQualified, SalesQualified),
            (Some(1), Some(3)),
            Reason::Rule,
        );
        assert_eq!(follows(false, &ruled, user(1)), Follows::Begin);
    }

    #[test]
    fn the_owner_who_moves_it_on_has_responded_and_anybody_else_has_closed_it() {
        for to in [Converted, Disqualified] {
            let moved = step((SalesQualified, to), (Some(1), Some(1)), Reason::Qualified);
            assert_eq!(follows(true, &moved, user(1)), Follows::Response);
            assert_eq!(follows(true, &moved, user(2)), Follows::Close);
        }
    }

    #[test]
    fn a_new_owner_takes_it_over_and_an_undone_one_gives_it_back() {
        let given = step(
            (SalesQualified, SalesQualified),
            (Some(1), Some(2)),
            Reason::ByHand,
        );
        assert_eq!(follows(true, &given, user(3)), Follows::PassOn);
        assert_eq!(follows(false, &given, user(3)), Follows::Resume);
        let undone = step((SalesQualified, SalesQualified), (Some(2), Some(1)), Reason::Undo);
        assert_eq!(follows(true, &undone, user(3)), Follows::TakeBack);
        assert_eq!(follows(false, &undone, user(3)), Follows::Resume);
    }
}
