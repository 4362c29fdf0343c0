//! Deliveries that arrive together: the leads of one source that come at the same moment are made in one transaction, as rows
//! of a file are. What is not simply a new lead (a known person, a twin, anything refused) goes alone.

use super::delivery::{Delivery, Keeping, Setback, keep};
use super::source::Source;
use crate::crm::assignment::follow;
use crate::crm::duplicates::subject::Subject;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Warning;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::boarding::{Flight, GATHERING, Gate, Journey, Pace, shared, solo};
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::records::bulk;
use crate::platform::reply::Reply;
use actix_web::web;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// One transaction of a source at a time, unless the database is far away.
const PACE: Pace = Pace {
    least: 1,
    work: Duration::from_millis(5),
    seats: 50,
    gathering: GATHERING,
};

/// The deliveries of one worker that wait for a transaction.
pub struct Convoy(Gate<Place, Weak<Arriving>, Outcome>);

/// Where deliveries go that arrive together: a source as it was read, and in a sandbox the time by its clock.
#[derive(Clone)]
struct Place {
    source: Arc<Source>,
    sandbox_now: Option<DateTime<Utc>>,
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.sandbox_now == other.sandbox_now
    }
}

/// A delivery that can be read, and its lead.
pub(super) struct Arriving {
    pub delivery: Rc<Delivery>,
    pub ctx: Ctx,
    pub lead: Map<String, Value>,
}

type Accepted = Result<Reply, Setback>;

/// What became of those that could go together, by command.
type Answers = HashMap<Uuid, AppResult<Accepted>>;

/// What came of a journey.
enum Outcome {
    /// There was one delivery, for which it takes less to do as if there were never more.
    Alone(Flight<Accepted>),
    Together(Answers),
}

impl Default for Convoy {
    fn default() -> Convoy {
        Convoy(Gate::apart(PACE))
    }
}

impl Convoy {
    /// Keeps a delivery and makes its lead, along with whatever else arrives just now.
    ///
    /// # Errors
    /// As making a lead; outages.
    pub(super) async fn accept(&self, db: &web::Data<Db>, arriving: Arriving) -> AppResult<Accepted> {
        let arriving = Rc::new(arriving);
        let is_sandbox = arriving.ctx.principal.company.is_sandbox;
        let place = Place {
            source: Arc::clone(&arriving.delivery.source),
            sandbox_now: is_sandbox.then_some(arriving.ctx.now),
        };
        let waiting = Rc::downgrade(&arriving);
        let outcome = self.0.board(place, waiting, Transaction(db.clone()));
        let outcome = outcome.await;
        let answers = match shared(&outcome)? {
            Outcome::Alone(flight) => return shared(&*flight.clone().await).cloned(),
            Outcome::Together(answers) => answers,
        };
        match answers.get(&arriving.ctx.command_id) {
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

impl Journey<Place, Weak<Arriving>, Outcome> for Transaction {
    async fn go(&self, place: Place, waiting: Vec<Weak<Arriving>>) -> AppResult<Outcome> {
        let waiting = waiting.iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        if let [arriving] = &*waiting {
            let (db, arriving) = (self.0.clone(), Rc::clone(arriving));
            let work = async move { arriving.alone(&db).await };
            return Ok(Outcome::Alone(solo(work).await));
        }
        let first = first_of_each(&waiting);
        let answers = self.0.write_together(
            async |conn| known(conn, &place.source, &first).await,
            async |tx, known| {
                let new = first.iter().filter(|one| !known.contains(&one.delivery.id));
                make(tx, &place.source, &new.copied().collect::<Vec<_>>()).await
            },
        );
        Ok(Outcome::Together(answers.await?.unwrap_or_default()))
    }

    fn distance(&self) -> Option<Duration> {
        self.0.distance()
    }
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    delivery_id: String,
}

/// Which of these ids the source has delivered before.
async fn known(
    conn: &mut &AsyncPgConnection,
    source: &Source,
    arriving: &[&Arriving],
) -> AppResult<HashSet<String>> {
    let ids = arriving
        .iter()
        .map(|one| one.delivery.id.as_str())
        .collect::<Vec<_>>();
    // Each kept by an index of its own, and looked for by its key whatever a plan thinks of the table.
    let query = sql_query(
        "SELECT w.delivery_id FROM unnest($3::text[]) AS w (delivery_id) CROSS JOIN LATERAL \
         ((SELECT TRUE FROM intakes i WHERE i.tenant_id = $1 AND i.source_id = $2 AND i.delivery_id = w.delivery_id AND i.is_remembered LIMIT 1) \
         UNION ALL (SELECT TRUE FROM intakes i WHERE i.tenant_id = $1 AND i.source_id = $2 AND i.delivery_id = w.delivery_id AND NOT i.is_remembered LIMIT 1)) k",
    )
    .bind::<SqlUuid, _>(source.address.tenant)
    .bind::<SqlUuid, _>(source.address.id)
    .bind::<Array<Text>, _>(ids);
    let known: Vec<Known> = Cached(query).load(conn).await?;
    Ok(known.into_iter().map(|known| known.delivery_id).collect())
}

/// Those that have neither an id nor a key of one before them, which has to be there first.
fn first_of_each(arriving: &[Rc<Arriving>]) -> Vec<&Arriving> {
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    let first = arriving.iter().map(|one| &**one).filter(|one| {
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
    /// The delivery's terms, at the instant at which all of them were made leads.
    ctx: Ctx,
    intake: Uuid,
    lead: Uuid,
    warnings: Vec<Warning>,
}

async fn make(tx: &mut Tx, source: &Source, arriving: &[&Arriving]) -> AppResult<Answers> {
    let last = arriving.iter().max_by_key(|one| one.ctx.now);
    let Some(ctx) = last.map(|last| &last.ctx) else {
        return Ok(Answers::new());
    };
    let leads = arriving.iter().map(|one| one.lead.clone()).collect();
    tx.set_of_many(true);
    let made = bulk::create(tx, ctx, &LEAD, leads).await?;
    tx.set_of_many(false);
    follow::gathered(tx, ctx).await?;
    let made = arriving.iter().zip(made).filter_map(|(arriving, made)| {
        let (lead, warnings) = made.ok()?;
        let now = ctx.now;
        Some(Made {
            arriving,
            ctx: Ctx {
                now,
                ..arriving.ctx.clone()
            },
            intake: Uuid::now_v7(),
            lead,
            warnings,
        })
    });
    let made = made.collect::<Vec<_>>();
    let kept = made.iter().map(|made| Keeping {
        delivery: &made.arriving.delivery,
        ctx: &made.ctx,
        intake: made.intake,
        lead: Some(made.lead),
        faults: &[],
    });
    let kept = kept.collect::<Vec<_>>();
    if keep(tx, source, &kept).await? != kept.len() {
        // A twin was kept meanwhile, or the source changed: a lead is there that must not stay.
        return Err(AppError::refuse(
            Code::RequestInProgress,
            say("A delivery is being taken", "投递正在处理"),
        ));
    }
    kept.iter().for_each(|kept| tx.record(kept.event()));
    tell(tx, ctx, &made).await?;
    let answer = |made: Made<'_>| {
        let (delivery, command) = (&made.arriving.delivery, made.ctx.command_id);
        let answer = delivery.accepted(201, made.intake, made.lead, made.warnings);
        (command, answer.map(Ok))
    };
    Ok(made.into_iter().map(answer).collect())
}

/// Writes what was recorded, each under the terms of the delivery about whose lead it is.
async fn tell(tx: &mut Tx, ctx: &Ctx, made: &[Made<'_>]) -> AppResult<()> {
    let places = made.iter().enumerate().map(|(place, made)| (made.lead, place));
    let places = places.collect::<HashMap<_, _>>();
    let commands = made.iter().map(|made| (&made.ctx, Vec::new()));
    let mut commands = commands.collect::<Vec<_>>();
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
