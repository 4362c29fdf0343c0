//! Advances that travel together: of several people of a company, each with their own terms, in one transaction. Decided is
//! each by itself, by the very rule by which it would be decided alone; what is not plain goes alone.

use super::http::{Advance, asked_reply};
use super::rules::{self, Decision, Wish};
use super::service::{self, Advanced};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::opportunity::facts::{Facts, ReadingFacts, likely};
use crate::opportunity::moves::{self, Going, MoveKind};
use crate::opportunity::resources::OPPORTUNITY;
use crate::opportunity::standing::{self, Present};
use crate::opportunity::views::moved_reply;
use crate::pipeline::gate::{Needs, Verdict};
use crate::platform::boarding::{Flight, GATHERING, Gate, Journey, Pace, shared, solo};
use crate::platform::db::{Db, Tx};
use crate::platform::records::sql;
use crate::platform::records::store::{For, Locked, Locking};
use crate::platform::reply::Reply;
use actix_web::web;
use diesel_async::AsyncPgConnection;
use futures::future::try_join_all;
use serde_json::Map;
use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const PERMISSION: &str = "opportunity.advance";
/// One transaction of a company at a time, unless the database is far away.
const PACE: Pace = Pace {
    least: 1,
    work: Duration::from_millis(2),
    seats: 50,
    gathering: GATHERING,
};

/// The advances of one worker that wait for a transaction.
pub struct Convoy(Gate<Company, Passenger, Outcome>);

/// Who travels together: people of one company who see the same members of a deal.
#[derive(Clone, PartialEq)]
struct Company {
    tenant: Uuid,
    document: Arc<str>,
}

/// An advance under way.
pub struct Traveller {
    pub ctx: Ctx,
    /// The deal.
    pub id: Uuid,
    pub input: Advance,
}

impl Traveller {
    fn wish(&self) -> Wish {
        Wish {
            from_stage_id: self.input.from_stage_id,
            to_stage_id: self.input.to_stage_id,
        }
    }

    /// What the gate is likely to need, if this may go with others.
    fn needs(&self) -> Option<Needs> {
        let is_plain = self.ctx.idempotency.is_none() && !self.ctx.is_dry_run;
        let needs = likely(self.ctx.tenant, Some(self.input.from_stage_id)).filter(|_| is_plain)?;
        needs.approvals.is_empty().then_some(needs)
    }
}

/// What became of those who could go together, by command.
type Answers = HashMap<Uuid, AppResult<Reply>>;

/// What came of a journey.
enum Outcome {
    /// There was one passenger, for whom it takes less to do as if there were never more.
    Alone(Flight<Reply>),
    Together(Answers),
}

impl Default for Convoy {
    fn default() -> Convoy {
        Convoy(Gate::apart(PACE))
    }
}

impl Convoy {
    /// Advances a deal, along with whatever else this worker is to advance just now.
    ///
    /// # Errors
    /// Those of `service::advance`, and outages.
    pub async fn advance(&self, db: &web::Data<Db>, traveller: Traveller) -> AppResult<Reply> {
        let traveller = Rc::new(traveller);
        let Some(needs) = traveller.needs() else {
            return alone(db, &traveller).await;
        };
        let ctx = &traveller.ctx;
        let company = Company {
            tenant: ctx.tenant,
            document: sql::document(&OPPORTUNITY, ctx),
        };
        let passenger = Passenger {
            traveller: Rc::downgrade(&traveller),
            needs,
        };
        let outcome = self.0.board(company, passenger, Transaction(db.clone())).await;
        let answers = match shared(&outcome)? {
            Outcome::Alone(flight) => return shared(&*flight.clone().await).cloned(),
            Outcome::Together(answers) => answers,
        };
        match answers.get(&ctx.command_id) {
            Some(answer) => shared(answer).cloned(),
            None => alone(db, &traveller).await,
        }
    }
}

async fn alone(db: &Db, traveller: &Traveller) -> AppResult<Reply> {
    let Traveller { ctx, id, input } = traveller;
    let wish = traveller.wish();
    let (id, seen) = (*id, Some(wish.from_stage_id));
    db.write_after(
        ctx,
        async |conn| standing::lock_on(conn, ctx, id, For::Action(PERMISSION), seen).await,
        async |tx, present| match service::advance(tx, ctx, &present, wish, input.note.clone()).await? {
            Advanced::Moved(moved) => moved_reply(*moved),
            Advanced::Asked { requests, gate } => asked_reply(ctx, requests, &gate),
        },
    )
    .await
}

/// One who waits for the transaction, unless they gave up, with what their gate is likely to need.
struct Passenger {
    traveller: Weak<Traveller>,
    needs: Needs,
}

/// A transaction of several advances.
struct Transaction(web::Data<Db>);

impl Journey<Company, Passenger, Outcome> for Transaction {
    async fn go(&self, company: Company, passengers: Vec<Passenger>) -> AppResult<Outcome> {
        let waiting = passengers.into_iter().filter_map(|passenger| {
            let traveller = passenger.traveller.upgrade()?;
            Some((traveller, passenger.needs))
        });
        let waiting = waiting.collect::<Vec<_>>();
        if let [(traveller, _)] = &*waiting {
            let (db, traveller) = (self.0.clone(), Rc::clone(traveller));
            let work = async move { alone(&db, &traveller).await };
            return Ok(Outcome::Alone(solo(work).await));
        }
        let parties = parties(&waiting);
        let answers = self.0.write_together(
            async |conn| look(conn, &parties).await,
            async |tx, seen| decide(tx, &company, &parties, seen).await,
        );
        Ok(Outcome::Together(answers.await?.unwrap_or_default()))
    }

    fn distance(&self) -> Option<Duration> {
        self.0.distance()
    }
}

/// Those of the passengers who may do the same, and whose gates need the same.
struct Party<'a> {
    locking: Locking,
    reading: ReadingFacts,
    needs: &'a Needs,
    /// By deal: of several who want to advance the same one, the first.
    members: HashMap<Uuid, &'a Traveller>,
}

impl Party<'_> {
    fn deals(&self) -> Vec<Uuid> {
        self.members.keys().copied().collect()
    }
}

fn parties(waiting: &[(Rc<Traveller>, Needs)]) -> Vec<Party<'_>> {
    let mut parties: Vec<Party<'_>> = Vec::new();
    let mut taken = HashSet::new();
    for (traveller, needs) in waiting {
        if !taken.insert(traveller.id) {
            continue;
        }
        let locking = Locking::of(&traveller.ctx, &OPPORTUNITY, PERMISSION);
        let reading = ReadingFacts::of(&traveller.ctx, needs);
        let like = |party: &&mut Party<'_>| {
            party.locking == locking && party.reading == reading && party.needs == needs
        };
        if let Some(party) = parties.iter_mut().find(like) {
            party.members.insert(traveller.id, traveller);
            continue;
        }
        parties.push(Party {
            locking,
            reading,
            needs,
            members: HashMap::from([(traveller.id, &**traveller)]),
        });
    }
    parties
}

/// What was locked of a party's deals, and read with it.
type Seen = (HashMap<Uuid, Locked>, HashMap<Uuid, Facts>);

/// Locks and reads the deals of all parties, in one flight.
async fn look(conn: &mut &AsyncPgConnection, parties: &[Party<'_>]) -> AppResult<Vec<Seen>> {
    let conn = *conn;
    let seen = parties.iter().map(async |party| {
        let (mut first, mut second) = (conn, conn);
        futures::try_join!(
            party.locking.lock(&mut first, party.deals()),
            party.reading.read(&mut second, party.deals()),
        )
    });
    try_join_all(seen).await
}

/// One whose gate is open.
struct Ready<'a> {
    ctx: &'a Ctx,
    input: &'a Advance,
    present: Present,
    to: Uuid,
    evidence: Verdict,
}

impl Ready<'_> {
    fn going(&self) -> Going<'_> {
        let (head, transition_id) = (&self.present.head, Uuid::now_v7());
        Going {
            ctx: self.ctx,
            kind: MoveKind::Advance,
            head,
            before: &self.present.record,
            version: self.present.version,
            transition_id,
            to_version_id: head.pipeline_version_id,
            to_stage_id: self.to,
            visit_id: transition_id,
            entered_at: self.ctx.now,
            reason: self.input.note.clone(),
            evidence: self.evidence.to_evidence(),
            more: Map::new(),
        }
    }
}

/// Decides for each by itself, and moves those whose gates are open.
async fn decide(
    tx: &mut Tx,
    company: &Company,
    parties: &[Party<'_>],
    seen: Vec<Seen>,
) -> AppResult<Answers> {
    let mut answers = Answers::new();
    let mut ready = Vec::new();
    for (party, (locked, mut facts)) in parties.iter().zip(seen) {
        for (id, locked) in locked {
            let (Some(traveller), Some(facts)) = (party.members.get(&id), facts.remove(&id)) else {
                continue;
            };
            let ctx = &traveller.ctx;
            if let Err(refusal) = party.locking.admit(ctx, &locked) {
                answers.insert(ctx.command_id, Err(refusal));
                continue;
            }
            let present = standing::of_facts(&mut &**tx, ctx, &locked, facts, party.needs).await?;
            let Some(present) = present else {
                continue;
            };
            match rules::decide(
                &present.deal()?,
                &present.gate,
                &present.standing,
                traveller.wish(),
            ) {
                Ok(Decision::Advance { to, evidence }) => ready.push(Ready {
                    ctx,
                    input: &traveller.input,
                    present,
                    to,
                    evidence,
                }),
                // What closes the deal or asks for an approval has more to write.
                Ok(Decision::Win { .. } | Decision::AskApproval { .. }) => {}
                Err(refusal) => {
                    answers.insert(ctx.command_id, Err(refusal.into_error(ctx.lang)));
                }
            }
        }
    }
    let going = ready.iter().map(Ready::going).collect();
    let moved = moves::make_all(tx, company.tenant, &company.document, going).await?;
    let mut told = Vec::with_capacity(ready.len());
    for (Ready { ctx, present, .. }, (mut moved, event)) in ready.iter().zip(moved) {
        present.hide(&mut moved);
        answers.insert(ctx.command_id, moved_reply(moved));
        told.push((*ctx, vec![event]));
    }
    tx.write_events(company.tenant, told).await?;
    Ok(answers)
}
