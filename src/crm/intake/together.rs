//! Deliveries that arrive together: the leads of one source that come at the same moment are made in one transaction, as rows
//! of a file are. What is not simply a new lead (a known person, a twin, anything refused) goes alone.

use super::delivery::{Delivery, Keeping, Setback, keep};
use super::source::Address;
use crate::crm::assignment::follow;
use crate::crm::duplicates::subject::Subject;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Warning;
use crate::platform::boarding::{Gate, Journey, Pace, shared};
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::records::bulk;
use crate::platform::reply::Reply;
use actix_web::web;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use uuid::Uuid;

/// One transaction of a worker at a time, unless the database is far away.
const PACE: Pace = Pace {
    least: 1,
    work: Duration::from_millis(5),
    seats: 50,
};

/// The deliveries of one worker that wait for a transaction.
pub struct Convoy(Gate<Place, Arriving, Answers>);

/// Where deliveries go that arrive together: a source as it was read.
type Place = (Address, i32);

/// A delivery that can be read, and its lead.
#[derive(Clone)]
pub(super) struct Arriving {
    pub delivery: Rc<Delivery>,
    pub ctx: Rc<Ctx>,
    pub lead: Rc<Map<String, Value>>,
}

type Accepted = Result<Reply, Setback>;

/// What became of those that could go together, by command.
type Answers = HashMap<Uuid, AppResult<Accepted>>;

impl Default for Convoy {
    fn default() -> Convoy {
        Convoy(Gate::of(PACE))
    }
}

impl Convoy {
    /// Keeps a delivery and makes its lead, along with whatever else arrives just now.
    ///
    /// # Errors
    /// As making a lead; outages.
    pub(super) async fn accept(&self, db: &web::Data<Db>, arriving: Arriving) -> AppResult<Accepted> {
        let source = &arriving.delivery.source;
        let place = (source.address, source.version);
        let outcome = self.0.board(place, arriving.clone(), Transaction(db.clone()));
        match shared(&*outcome.await)?.get(&arriving.ctx.command_id) {
            Some(answer) => shared(answer).cloned(),
            None => arriving.alone(db).await,
        }
    }
}

impl Arriving {
    async fn alone(&self, db: &Db) -> AppResult<Accepted> {
        self.delivery.accept(db, &self.ctx, &self.lead).await
    }
}

/// A transaction of several deliveries.
struct Transaction(web::Data<Db>);

impl Journey<Place, Arriving, Answers> for Transaction {
    async fn go(&self, _: Place, arriving: Vec<Arriving>) -> AppResult<Answers> {
        if let [only] = arriving.as_slice() {
            let answer = only.alone(&self.0).await;
            return Ok(HashMap::from([(only.ctx.command_id, answer)]));
        }
        let new = first_of_each(&arriving);
        let answers = self
            .0
            .write_together(async |_| Ok(()), async |tx, ()| make(tx, &new).await);
        Ok(answers.await?.unwrap_or_default())
    }

    fn distance(&self) -> Option<Duration> {
        self.0.distance()
    }
}

/// Those that have neither an id nor a key of one before them, which has to be there first.
fn first_of_each(arriving: &[Arriving]) -> Vec<&Arriving> {
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    let first = arriving.iter().filter(|one| {
        let own = Subject::of(&LEAD, &one.lead).keys.into_iter();
        let own = own.filter(|key| !key.is_shared).collect::<Vec<_>>();
        let is_first = own.iter().all(|key| !keys.contains(key)) && ids.insert(&one.delivery.id);
        keys.extend(own);
        is_first
    });
    first.collect()
}

/// A lead that was made.
struct Made<'a> {
    arriving: &'a Arriving,
    intake: Uuid,
    lead: Uuid,
    warnings: Vec<Warning>,
}

async fn make(tx: &mut Tx, arriving: &[&Arriving]) -> AppResult<Answers> {
    let Some(first) = arriving.first() else {
        return Ok(Answers::new());
    };
    let (ctx, source) = (&*first.ctx, &first.delivery.source);
    let leads = arriving.iter().map(|one| (*one.lead).clone()).collect();
    tx.set_of_many(true);
    let made = bulk::create(tx, ctx, &LEAD, leads).await?;
    tx.set_of_many(false);
    follow::gathered(tx, ctx).await?;
    let made = arriving.iter().zip(made).filter_map(|(arriving, made)| {
        let (lead, warnings) = made.ok()?;
        let intake = Uuid::now_v7();
        Some(Made {
            arriving,
            intake,
            lead,
            warnings,
        })
    });
    let made = made.collect::<Vec<_>>();
    let kept = made.iter().map(|made| Keeping {
        delivery: &made.arriving.delivery,
        ctx: &made.arriving.ctx,
        intake: made.intake,
        lead: Some(made.lead),
        faults: &[],
    });
    let kept = kept.collect::<Vec<_>>();
    if keep(tx, source, &kept).await? != kept.len() {
        // One of them was delivered before, or the source changed: its lead must not stay.
        return Err(AppError::internal("a delivery is not taken"));
    }
    kept.iter().for_each(|kept| tx.record(kept.event()));
    tell(tx, ctx, &made).await?;
    let answer = |Made {
                      arriving,
                      intake,
                      lead,
                      warnings,
                  }: Made<'_>| {
        let answer = arriving.delivery.accepted(201, intake, lead, warnings);
        (arriving.ctx.command_id, answer.map(Ok))
    };
    Ok(made.into_iter().map(answer).collect())
}

/// Writes what was recorded, each under the terms of the delivery about whose lead it is.
async fn tell(tx: &mut Tx, ctx: &Ctx, made: &[Made<'_>]) -> AppResult<()> {
    let places = made.iter().enumerate().map(|(place, made)| (made.lead, place));
    let places = places.collect::<HashMap<_, _>>();
    let mut commands = made
        .iter()
        .map(|made| (&*made.arriving.ctx, Vec::new()))
        .collect::<Vec<_>>();
    for event in tx.take_events() {
        let place = subjects(&event).find_map(|id| places.get(&id).copied());
        match place.and_then(|place| commands.get_mut(place)) {
            Some((_, events)) => events.push(event),
            None => commands.push((ctx, vec![event])),
        }
    }
    tx.write_events(ctx.tenant, commands).await
}

/// The records on whose timelines an event belongs.
fn subjects(event: &Event) -> impl Iterator<Item = Uuid> {
    std::iter::once(event.subject_id).chain(event.also.iter().map(|(_, id)| *id))
}
