//! Requests that travel together: whoever comes while enough journeys to the database are under way boards the next one. A
//! worker lets only as many set out at a time as keep the database busy: under load one journey serves many requests, and
//! alone a request waits for nobody.

use crate::kernel::error::{AppError, AppResult};
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared, WeakShared};
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::panic::AssertUnwindSafe;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

/// Most journeys that a worker has under way for one slot's sake, however far the database is.
const MOST_UNDER_WAY: usize = 32;

/// In which time who was answered asks again, if at once: about what it takes an answer and a request to go through.
pub const GATHERING: Duration = Duration::from_micros(300);

/// What came of a journey, to all who were on it.
pub type Flight<T> = Shared<LocalBoxFuture<'static, Rc<AppResult<T>>>>;

/// The journey itself, of all who want the same.
pub trait Journey<K, I, T> {
    fn go(&self, key: K, passengers: Vec<I>) -> impl Future<Output = AppResult<T>>;

    /// How long an answer takes for which there is nothing to do, where that is known.
    fn distance(&self) -> Option<Duration>;
}

/// Requests that wait for one journey which has not set out yet. They keep it alive: when all of them have given up, it does
/// not.
struct Group<K, I, T> {
    key: K,
    passengers: Rc<RefCell<Vec<I>>>,
    flight: WeakShared<LocalBoxFuture<'static, Rc<AppResult<T>>>>,
}

type Waiting<K, I, T> = RefCell<Vec<Group<K, I, T>>>;

/// The journeys of a kind that still take somebody in, and those that may set out. Who has the same key travels together.
pub struct Gate<K, I, T> {
    waiting: Rc<Waiting<K, I, T>>,
    lanes: Lanes<K>,
    pace: Pace,
}

/// Who waits for whose slots.
enum Lanes<K> {
    /// All for the same.
    One(Rc<Slots>),
    /// Only those of one key for each other; of a key that nobody travels with nothing is kept for long.
    EachKey(RefCell<Vec<(K, Rc<Slots>)>>),
}

impl<K: Clone + PartialEq> Lanes<K> {
    fn of(&self, key: &K, pace: Pace) -> Rc<Slots> {
        let lanes = match self {
            Lanes::One(slots) => return Rc::clone(slots),
            Lanes::EachKey(lanes) => lanes,
        };
        let mut lanes = lanes.borrow_mut();
        lanes.retain(|(_, slots)| Rc::strong_count(slots) > 1 || slots.expected().is_some());
        if let Some((_, slots)) = lanes.iter().find(|(known, _)| known == key) {
            return Rc::clone(slots);
        }
        let slots = Rc::new(Slots::of(pace));
        lanes.push((key.clone(), Rc::clone(&slots)));
        slots
    }
}

/// How long those behind somebody who travels alone wait for them: so long as a journey of several waits for a lock.
const PATIENCE: Duration = Duration::from_millis(100);

/// The journey of one who is to travel alone, by themselves as if there were nobody else. It comes back when it is over, or
/// has taken so long that those behind need not wait any more.
pub async fn solo<T: 'static>(work: impl Future<Output = AppResult<T>> + 'static) -> Flight<T> {
    let task = tokio::task::spawn_local(unless_it_panics(work));
    let outcome = async move {
        let ended = task.await.map_err(AppError::internal);
        Rc::new(ended.and_then(|ended| ended).and_then(|ended| ended))
    };
    let flight = outcome.boxed_local().shared();
    let _ = timeout(PATIENCE, flight.clone()).await;
    flight
}

/// How many journeys may be under way.
struct Slots {
    free: Semaphore,
    most: Cell<usize>,
    pace: Pace,
    /// When the last journey ended, and how many may be aboard the next one soon.
    expected: Cell<Option<(Instant, usize)>>,
}

/// How many journeys of a kind a worker lets set out.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// So many, however near the database is.
    pub least: usize,
    /// How long the database works on one of them. While an answer travels, it could do some more: as many more may be under
    /// way. Beyond that they would only wait for each other there, where nobody can board them.
    pub work: Duration,
    /// Most passengers of one.
    pub seats: usize,
    /// For how long after one journey the next waits until as many are aboard as were answered and left behind then: who has
    /// been answered often asks again at once.
    pub gathering: Duration,
}

impl Slots {
    fn of(pace: Pace) -> Slots {
        Slots {
            free: Semaphore::new(pace.least),
            most: Cell::new(pace.least),
            pace,
            expected: Cell::new(None),
        }
    }

    async fn take(&self) -> AppResult<SemaphorePermit<'_>> {
        self.free.acquire().await.map_err(AppError::internal)
    }

    /// Waits for whoever is likely to come at once.
    async fn gather<I>(&self, aboard: &RefCell<Vec<I>>) {
        while self
            .expected()
            .is_some_and(|expected| aboard.borrow().len() < expected)
        {
            tokio::task::yield_now().await;
        }
    }

    fn expect(&self, passengers: usize) {
        let expected = passengers.min(self.pace.seats);
        self.expected.set(Some((Instant::now(), expected)));
    }

    /// How many may be aboard the next journey, where the last one has just ended.
    fn expected(&self) -> Option<usize> {
        let (since, expected) = self.expected.get()?;
        (since.elapsed() < self.pace.gathering).then_some(expected)
    }

    /// Gives a slot back, unless there are more than a database of this distance needs; makes one where there are fewer.
    fn give_back(&self, slot: SemaphorePermit<'_>, distance: Option<Duration>) {
        let most = self.most.get();
        let enough = distance.map_or(most, |distance| {
            let Pace { least, work, .. } = self.pace;
            let more = distance.as_micros() / work.as_micros();
            usize::try_from(more).map_or(MOST_UNDER_WAY, |more| least.saturating_add(more))
        });
        match most.cmp(&enough.min(MOST_UNDER_WAY)) {
            Ordering::Greater => {
                self.most.set(most - 1);
                slot.forget();
            }
            Ordering::Less => {
                self.most.set(most + 1);
                self.free.add_permits(1);
            }
            Ordering::Equal => {}
        }
    }
}

impl<K, I, T> Gate<K, I, T> {
    /// For journeys that take a part of the database's time each, whatever they are for.
    pub fn shared(pace: Pace) -> Gate<K, I, T> {
        Gate {
            waiting: Rc::default(),
            lanes: Lanes::One(Rc::new(Slots::of(pace))),
            pace,
        }
    }

    /// For journeys that may have to wait for others in the database: nobody waits for those of another key.
    pub fn apart(pace: Pace) -> Gate<K, I, T> {
        Gate {
            waiting: Rc::default(),
            lanes: Lanes::EachKey(RefCell::default()),
            pace,
        }
    }
}

impl<K: Clone + PartialEq + 'static, I: 'static, T: 'static> Gate<K, I, T> {
    /// Boards the journey that waits for whoever wants the same, or one of its own.
    pub fn board(&self, key: K, passenger: I, journey: impl Journey<K, I, T> + 'static) -> Flight<T> {
        let mut waiting = self.waiting.borrow_mut();
        let open = waiting.iter().find_map(|group| {
            let is_open = group.key == key && group.passengers.borrow().len() < self.pace.seats;
            let flight = group.flight.upgrade().filter(|_| is_open)?;
            Some((flight, Rc::clone(&group.passengers)))
        });
        if let Some((flight, passengers)) = open {
            passengers.borrow_mut().push(passenger);
            return flight;
        }
        let passengers = Rc::new(RefCell::new(vec![passenger]));
        let (listed, slots) = (Rc::downgrade(&self.waiting), self.lanes.of(&key, self.pace));
        let (wanted, aboard) = (key.clone(), Rc::clone(&passengers));
        let flight = async move {
            let slot = slots.take().await?;
            // Whoever else asks in this turn of the worker comes along.
            tokio::task::yield_now().await;
            slots.gather(&aboard).await;
            leave(&listed, &aboard);
            let passengers = aboard.take();
            let answered = passengers.len();
            let outcome = unless_it_panics(journey.go(wanted.clone(), passengers)).await;
            let outcome = outcome.and_then(|outcome| outcome);
            slots.expect(answered.saturating_add(left_behind(&listed, &wanted)));
            slots.give_back(slot, journey.distance());
            outcome
        };
        let flight = flight.map(Rc::new).boxed_local().shared();
        waiting.retain(|group| group.flight.upgrade().is_some());
        waiting.extend(flight.downgrade().map(|flight| Group {
            key,
            passengers,
            flight,
        }));
        flight
    }
}

/// Takes the group of these passengers off the list, so that nobody else boards it.
fn leave<K, I, T>(waiting: &Weak<Waiting<K, I, T>>, passengers: &Rc<RefCell<Vec<I>>>) {
    if let Some(waiting) = waiting.upgrade() {
        waiting
            .borrow_mut()
            .retain(|group| !Rc::ptr_eq(&group.passengers, passengers));
    }
}

/// How many wait for the next journey of this key.
fn left_behind<K: PartialEq, I, T>(waiting: &Weak<Waiting<K, I, T>>, key: &K) -> usize {
    let waiting = waiting.upgrade();
    let groups = waiting.as_ref().map(|waiting| waiting.borrow());
    let groups = groups.iter().flat_map(|groups| groups.iter());
    let of_key = groups.filter(|group| group.key == *key);
    of_key.map(|group| group.passengers.borrow().len()).sum()
}

/// A panic is a bug of ours: nobody is to wait for what it left undone, and the log has what it said.
///
/// # Errors
/// Internal, when it panicked.
pub async fn unless_it_panics<T>(work: impl Future<Output = T>) -> AppResult<T> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let said = panic.downcast_ref::<&str>().copied();
        let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        AppError::internal(format!("a panic: {}", said.unwrap_or("without a word")))
    })
}

/// What each of those who travelled together is told.
///
/// # Errors
/// As the journey ended.
pub fn shared<T>(outcome: &AppResult<T>) -> AppResult<&T> {
    match outcome {
        Ok(found) => Ok(found),
        Err(AppError::Refused(refusal)) => Err(AppError::Refused(refusal.clone())),
        Err(AppError::Internal(error)) => Err(AppError::internal(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use uuid::Uuid;

    const ROW: Pace = Pace {
        least: 2,
        work: Duration::from_micros(50),
        seats: 100,
        gathering: Duration::ZERO,
    };
    const PAGE: Pace = Pace {
        least: 2,
        work: Duration::from_micros(200),
        seats: 100,
        gathering: Duration::ZERO,
    };

    type Reads = Gate<&'static str, Uuid, Vec<Uuid>>;

    /// A database next door that answers as often as it is let.
    struct Database {
        sent: Cell<usize>,
        answers: Semaphore,
    }

    impl Database {
        fn new() -> Rc<Database> {
            Rc::new(Database {
                sent: Cell::new(0),
                answers: Semaphore::new(0),
            })
        }

        /// Asks for this id; answered are those of the whole group.
        fn ask(self: &Rc<Database>, gate: &Reads, statement: &'static str, id: Uuid) -> Flight<Vec<Uuid>> {
            gate.board(statement, id, Rc::clone(self))
        }
    }

    impl Journey<&'static str, Uuid, Vec<Uuid>> for Rc<Database> {
        async fn go(&self, _: &'static str, ids: Vec<Uuid>) -> AppResult<Vec<Uuid>> {
            self.sent.set(self.sent.get() + 1);
            self.answers.acquire().await.map_err(AppError::internal)?.forget();
            Ok(ids)
        }

        fn distance(&self) -> Option<Duration> {
            Some(Duration::ZERO)
        }
    }

    fn gate() -> Reads {
        Gate::shared(ROW)
    }

    async fn settled(slots: &Slots, distance: Duration) -> usize {
        for _ in 0..100 {
            let slot = slots.take().await.unwrap();
            slots.give_back(slot, Some(distance));
        }
        assert_eq!(slots.free.available_permits(), slots.most.get());
        slots.most.get()
    }

    /// So long that everything that can go on has gone on.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn found(outcome: &AppResult<Vec<Uuid>>) -> usize {
        outcome.as_ref().map_or(0, Vec::len)
    }

    #[tokio::test]
    async fn who_asks_in_one_turn_is_answered_by_one_statement_on_the_same_terms() {
        let (database, gate) = (Database::new(), gate());
        let (one, other) = ("one", "other");
        database.answers.add_permits(2);
        let same = (0..3).map(|_| database.ask(&gate, one, Uuid::now_v7()));
        let same = same.collect::<Vec<_>>();
        let apart = database.ask(&gate, other, Uuid::now_v7());
        let (same, apart) = futures::join!(join_all(same), apart);
        assert!(same.iter().all(|outcome| found(outcome) == 3));
        assert_eq!((found(&apart), database.sent.get()), (1, 2));
        assert!(gate.waiting.borrow().is_empty());
    }

    #[tokio::test]
    async fn who_comes_while_enough_are_under_way_boards_the_next() {
        let (database, gate) = (Database::new(), gate());
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let of = |text: &'static str| database.ask(&gate, text, Uuid::now_v7());
                let first = [of("a"), of("b")].map(tokio::task::spawn_local);
                settle().await;
                assert_eq!(database.sent.get(), 2);
                let late = (0..10).map(|_| {
                    let flight = of("a");
                    tokio::task::spawn_local(async move { found(&*flight.await) })
                });
                let late = late.collect::<Vec<_>>();
                settle().await;
                assert_eq!(database.sent.get(), 2);
                database.answers.add_permits(3);
                for answered in join_all(late).await {
                    assert_eq!(answered.unwrap(), 10);
                }
                assert!(join_all(first).await.into_iter().all(|first| first.is_ok()));
                assert_eq!(database.sent.get(), 3);
            })
            .await;
    }

    #[tokio::test]
    async fn what_all_have_given_up_is_not_sent_and_keeps_nobody_waiting() {
        let (database, gate) = (Database::new(), gate());
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let of = |text: &'static str| database.ask(&gate, text, Uuid::now_v7());
                let first = [of("a"), of("b")].map(tokio::task::spawn_local);
                settle().await;
                let waiting = tokio::task::spawn_local(of("c"));
                settle().await;
                waiting.abort();
                settle().await;
                let next = tokio::task::spawn_local(of("c"));
                let last = tokio::task::spawn_local(of("d"));
                database.answers.add_permits(4);
                let asked = next.await.map(|outcome| found(&outcome));
                assert_eq!(asked.unwrap(), 1, "only who still waits is asked for");
                assert!(last.await.is_ok());
                assert!(join_all(first).await.into_iter().all(|first| first.is_ok()));
                assert_eq!(database.sent.get(), 4);
            })
            .await;
    }

    #[tokio::test]
    async fn as_many_are_under_way_as_keep_a_database_of_that_distance_busy() {
        let micros = Duration::from_micros;
        for (pace, distance, expected) in [
            (ROW, micros(60), 3),
            (ROW, micros(500), 12),
            (PAGE, micros(60), 2),
            (PAGE, micros(500), 4),
            (PAGE, Duration::MAX, MOST_UNDER_WAY),
        ] {
            assert_eq!(settled(&Slots::of(pace), distance).await, expected);
        }
        // It has moved away, and come nearer again.
        let slots = Slots::of(ROW);
        for (distance, expected) in [(0, 2), (1000, 22), (100, 4)] {
            assert_eq!(settled(&slots, micros(distance)).await, expected);
        }
    }

    #[tokio::test]
    async fn who_travels_apart_waits_for_nobody_of_another_key_and_one_at_a_time_of_their_own() {
        let (database, least) = (Database::new(), Pace { least: 1, ..ROW });
        let gate: Reads = Gate::apart(least);
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let of = |text: &'static str| database.ask(&gate, text, Uuid::now_v7());
                let first = ["a", "b"].map(|key| tokio::task::spawn_local(of(key)));
                settle().await;
                let late = [of("a"), of("b"), of("a")].map(tokio::task::spawn_local);
                settle().await;
                assert_eq!(database.sent.get(), 2, "one of each key is under way");
                database.answers.add_permits(4);
                assert!(join_all(first).await.into_iter().all(|first| first.is_ok()));
                let found = join_all(late).await.into_iter().map(|late| found(&late.unwrap()));
                assert_eq!(found.collect::<Vec<_>>(), [2, 1, 2]);
                assert_eq!(database.sent.get(), 4);
            })
            .await;
        drop(database.ask(&gate, "c", Uuid::now_v7()));
        let Lanes::EachKey(lanes) = &gate.lanes else {
            panic!()
        };
        assert_eq!(
            lanes.borrow().len(),
            1,
            "of a key that nobody travels with nothing is kept"
        );
    }

    /// Of two who come while one is under way: how many travel with them when that one asks again, or does not.
    async fn gathered(gathering: Duration, asks_again: bool) -> usize {
        let database = Database::new();
        let gate: Reads = Gate::apart(Pace {
            least: 1,
            gathering,
            ..ROW
        });
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let of = || tokio::task::spawn_local(database.ask(&gate, "a", Uuid::now_v7()));
                let first = of();
                settle().await;
                let late = of();
                of();
                settle().await;
                database.answers.add_permits(2);
                assert!(first.await.is_ok());
                settle().await;
                if asks_again {
                    assert_eq!(database.sent.get(), 1, "who was answered is waited for");
                    of();
                }
                let outcome = late.await;
                assert_eq!(database.sent.get(), 2);
                found(&outcome.unwrap())
            })
            .await
    }

    #[tokio::test]
    async fn who_was_just_answered_is_waited_for_but_for_a_moment_only() {
        let (long, short) = (Duration::from_secs(60), Duration::from_millis(1));
        assert_eq!(gathered(long, true).await, 3);
        assert_eq!(gathered(short, false).await, 2);
        assert_eq!(gathered(Duration::ZERO, false).await, 2);
    }

    #[tokio::test]
    async fn who_travels_alone_for_long_keeps_nobody_waiting_and_arrives_all_the_same() {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let (arrive, arrival) = tokio::sync::oneshot::channel::<u8>();
                let long = solo(async { arrival.await.map_err(AppError::internal) }).await;
                assert!(long.peek().is_none(), "it is under way when it comes back");
                arrive.send(7).unwrap();
                assert!(matches!(&*long.await, Ok(7)));
                let short = solo(async { Ok(8) }).await;
                assert!(matches!(short.peek().map(|outcome| &**outcome), Some(Ok(8))));
                let broken = solo(async { Ok(Vec::<u8>::new()[0]) }).await;
                assert!(matches!(&*broken.await, Err(AppError::Internal(_))));
            })
            .await;
    }

    /// A database of ours with a bug.
    struct Broken;

    impl Journey<&'static str, Uuid, Vec<Uuid>> for Broken {
        async fn go(&self, _: &'static str, ids: Vec<Uuid>) -> AppResult<Vec<Uuid>> {
            Ok(vec![ids[ids.len()]])
        }

        fn distance(&self) -> Option<Duration> {
            None
        }
    }

    #[tokio::test]
    async fn a_journey_that_panics_keeps_nobody_waiting() {
        let gate: Reads = Gate::apart(Pace { least: 1, ..ROW });
        let both = [(); 2].map(|()| gate.board("a", Uuid::now_v7(), Broken));
        for outcome in join_all(both).await {
            assert!(matches!(&*outcome, Err(AppError::Internal(_))));
        }
        let database = Database::new();
        database.answers.add_permits(1);
        assert_eq!(found(&*database.ask(&gate, "a", Uuid::now_v7()).await), 1);
    }
}
