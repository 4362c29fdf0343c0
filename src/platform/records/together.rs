//! What several ask for at the same moment is read together: rows by their ids, by the same statement on the same terms, and
//! pages of lists that are wholly the same. A worker sends only as many such statements at a time as keep the database
//! busy, and whoever comes while they are under way boards the next one: under load one statement answers many requests,
//! and alone a request waits for nobody.

use super::paging::PageRow;
use super::sql::{DocRow, Sql};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::reader::Reader;
use diesel::QueryableByName;
use diesel::sql_types::{Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared, WeakShared};
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

/// Most ids of one statement.
const MOST: usize = 100;
/// Most statements of a kind that a worker has under way while it does not know how far the database is.
const MOST_UNDER_WAY: usize = 32;
/// Fewest: one is worked on, the next is there when it is done.
const LEAST_UNDER_WAY: usize = 2;
/// How long the database works on a row by its id, and on a page of a list. As many more of them may be under way as it could
/// do while an answer travels; beyond that they would only wait for each other there, where nobody can board them.
const ROW: Duration = Duration::from_micros(50);
const PAGE: Duration = Duration::from_micros(200);

/// The SQL of "is one of these ids". They come as the rows of a subquery, of which the planner expects always the same
/// number: seeing few in an array it would plan every statement anew, at several times the price of the rows.
pub fn one_of(column: &str, ids: &str) -> String {
    format!("{column} = ANY(ARRAY(SELECT unnest({ids})))")
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Integer)]
    version: i32,
}

type Rows = HashMap<Uuid, DocRow>;
type Flight<T> = Shared<LocalBoxFuture<'static, Rc<AppResult<T>>>>;

/// Requests that wait for one statement which is not sent yet. They keep it alive: when all of them have given up, it is
/// not sent.
struct Group<T> {
    statement: Sql,
    /// What is asked for by id.
    ids: Rc<RefCell<Vec<Uuid>>>,
    flight: WeakShared<LocalBoxFuture<'static, Rc<AppResult<T>>>>,
}

/// The statements of a kind that still take somebody in, and those that may be sent.
struct Gate<T> {
    waiting: Rc<RefCell<Vec<Group<T>>>>,
    slots: Rc<Slots>,
}

/// How many statements may be under way.
struct Slots {
    free: Semaphore,
    most: Cell<usize>,
    /// How long the database works on one of them.
    work: Duration,
}

impl Slots {
    async fn take(&self) -> AppResult<SemaphorePermit<'_>> {
        self.free.acquire().await.map_err(AppError::internal)
    }

    /// Gives a slot back, unless there are more than a database of this distance needs; makes one where there are fewer.
    fn give_back(&self, slot: SemaphorePermit<'_>, distance: Option<Duration>) {
        let most = self.most.get();
        let enough = distance.map_or(most, |distance| {
            let more = distance.as_micros() / self.work.as_micros();
            usize::try_from(more).map_or(MOST_UNDER_WAY, |more| LEAST_UNDER_WAY.saturating_add(more))
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

impl<T> Gate<T> {
    /// For statements on which the database works so long.
    fn of(work: Duration) -> Gate<T> {
        Gate {
            waiting: Rc::default(),
            slots: Rc::new(Slots {
                free: Semaphore::new(MOST_UNDER_WAY),
                most: Cell::new(MOST_UNDER_WAY),
                work,
            }),
        }
    }
}

impl<T: 'static> Gate<T> {
    /// Boards the statement that waits on the same terms, or one of its own. `ids`: what of it is asked for.
    fn board(&self, statement: Sql, id: Option<Uuid>, reader: impl Reading<T> + 'static) -> Flight<T> {
        let mut waiting = self.waiting.borrow_mut();
        let open = waiting.iter().find_map(|group| {
            let is_open = group.statement == statement && group.ids.borrow().len() < MOST;
            let flight = group.flight.upgrade().filter(|_| is_open)?;
            group.ids.borrow_mut().extend(id);
            Some(flight)
        });
        if let Some(flight) = open {
            return flight;
        }
        let ids = Rc::new(RefCell::new(id.into_iter().collect::<Vec<_>>()));
        let (listed, slots) = (Rc::downgrade(&self.waiting), Rc::clone(&self.slots));
        let (sent, asked) = (statement.clone(), Rc::clone(&ids));
        let flight = async move {
            let slot = slots.take().await?;
            // Whoever else asks in this turn of the worker comes along.
            tokio::task::yield_now().await;
            leave(&listed, &asked);
            let found = reader.read(sent, asked.take()).await;
            slots.give_back(slot, reader.distance());
            found
        };
        let flight = flight.map(Rc::new).boxed_local().shared();
        waiting.retain(|group| group.flight.upgrade().is_some());
        waiting.extend(flight.downgrade().map(|flight| Group {
            statement,
            ids,
            flight,
        }));
        flight
    }
}

/// Takes the group of these ids off the list, so that nobody else boards it.
fn leave<T>(waiting: &Weak<RefCell<Vec<Group<T>>>>, ids: &Rc<RefCell<Vec<Uuid>>>) {
    if let Some(waiting) = waiting.upgrade() {
        waiting.borrow_mut().retain(|group| !Rc::ptr_eq(&group.ids, ids));
    }
}

/// The database, as what is read together needs it.
trait Reading<T> {
    async fn read(&self, statement: Sql, ids: Vec<Uuid>) -> AppResult<T>;

    /// How long an answer takes for which there is nothing to do, where that is known.
    fn distance(&self) -> Option<Duration>;
}

impl Reading<Rows> for Rc<Reader> {
    async fn read(&self, statement: Sql, ids: Vec<Uuid>) -> AppResult<Rows> {
        let statement = statement.with_last(ids);
        let reader: &Reader = self;
        let rows: Vec<Row> = reader
            .read(async |conn| Ok(statement.clone().query().load(conn).await?))
            .await?;
        let rows = rows.into_iter().map(|row| {
            let Row { id, doc, version } = row;
            (id, DocRow { doc, version })
        });
        Ok(rows.collect())
    }

    fn distance(&self) -> Option<Duration> {
        Reader::distance(self)
    }
}

impl Reading<Vec<PageRow>> for Rc<Reader> {
    async fn read(&self, statement: Sql, _: Vec<Uuid>) -> AppResult<Vec<PageRow>> {
        let reader: &Reader = self;
        reader
            .read(async |conn| Ok(statement.clone().query().load(conn).await?))
            .await
    }

    fn distance(&self) -> Option<Duration> {
        Reader::distance(self)
    }
}

/// The statements of one worker that still take somebody in.
pub struct Together {
    rows: Gate<Rows>,
    pages: Gate<Vec<PageRow>>,
}

impl Default for Together {
    fn default() -> Together {
        Together {
            rows: Gate::of(ROW),
            pages: Gate::of(PAGE),
        }
    }
}

impl Together {
    /// The row of an id, by a statement whose last placeholder takes the ids, and whose columns are `id`, `doc` and
    /// `version`. Whoever gives up leaves the others of the group undisturbed.
    ///
    /// # Errors
    /// Database errors, to each of the group.
    pub async fn find(&self, reader: &Rc<Reader>, statement: Sql, id: Uuid) -> AppResult<Option<DocRow>> {
        let outcome = self.rows.board(statement, Some(id), Rc::clone(reader)).await;
        shared(&outcome).map(|rows: &Rows| rows.get(&id).cloned())
    }

    /// The rows of a list's page, to all who ask for it while it waits.
    ///
    /// # Errors
    /// Database errors, to each of them.
    pub async fn page(&self, reader: &Rc<Reader>, statement: Sql) -> AppResult<Page> {
        let outcome = self.pages.board(statement, None, Rc::clone(reader)).await;
        shared(&outcome)?;
        Ok(Page(outcome))
    }
}

/// A page that others may look at too.
pub struct Page(Rc<AppResult<Vec<PageRow>>>);

impl Page {
    pub(super) fn of(rows: Vec<PageRow>) -> Page {
        Page(Rc::new(Ok(rows)))
    }

    pub(super) fn rows(&self) -> &[PageRow] {
        (*self.0).as_deref().unwrap_or_default()
    }
}

/// What each of a group is told.
fn shared<T>(outcome: &AppResult<T>) -> AppResult<&T> {
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
    use std::cell::Cell;
    use tokio::sync::Semaphore;

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
        fn ask(self: &Rc<Database>, gate: &Gate<Vec<Uuid>>, statement: &Sql, id: Uuid) -> Flight<Vec<Uuid>> {
            gate.board(statement.clone(), Some(id), Rc::clone(self))
        }
    }

    impl Reading<Vec<Uuid>> for Rc<Database> {
        async fn read(&self, _: Sql, ids: Vec<Uuid>) -> AppResult<Vec<Uuid>> {
            self.sent.set(self.sent.get() + 1);
            self.answers.acquire().await.map_err(AppError::internal)?.forget();
            Ok(ids)
        }

        fn distance(&self) -> Option<Duration> {
            Some(Duration::ZERO)
        }
    }

    /// A gate that knows already how near the database is.
    async fn gate() -> Gate<Vec<Uuid>> {
        let gate = Gate::of(ROW);
        settled(&gate.slots, Duration::ZERO).await;
        gate
    }

    async fn settled(slots: &Slots, distance: Duration) -> usize {
        for _ in 0..100 {
            let slot = slots.take().await.unwrap();
            slots.give_back(slot, Some(distance));
        }
        assert_eq!(slots.free.available_permits(), slots.most.get());
        slots.most.get()
    }

    fn statement(text: &str) -> Sql {
        let mut sql = Sql::of(Uuid::nil());
        sql.push(text);
        sql
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
        let (database, gate) = (Database::new(), gate().await);
        let (one, other) = (statement("one"), statement("other"));
        database.answers.add_permits(2);
        let same = (0..3).map(|_| database.ask(&gate, &one, Uuid::now_v7()));
        let same = same.collect::<Vec<_>>();
        let apart = database.ask(&gate, &other, Uuid::now_v7());
        let (same, apart) = futures::join!(join_all(same), apart);
        assert!(same.iter().all(|outcome| found(outcome) == 3));
        assert_eq!((found(&apart), database.sent.get()), (1, 2));
        assert!(gate.waiting.borrow().is_empty());
    }

    #[tokio::test]
    async fn who_comes_while_enough_are_under_way_boards_the_next() {
        let (database, gate) = (Database::new(), gate().await);
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let of = |text: &str| database.ask(&gate, &statement(text), Uuid::now_v7());
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
        let (database, gate) = (Database::new(), gate().await);
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let of = |text: &str| database.ask(&gate, &statement(text), Uuid::now_v7());
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
        for (work, distance, expected) in [
            (ROW, micros(60), 3),
            (ROW, micros(500), 12),
            (PAGE, micros(60), 2),
            (PAGE, micros(500), 4),
            (PAGE, Duration::MAX, MOST_UNDER_WAY),
        ] {
            assert_eq!(settled(&Gate::<()>::of(work).slots, distance).await, expected);
        }
        // It has moved away, and come nearer again.
        let slots = Gate::<()>::of(ROW).slots;
        for (distance, expected) in [(0, 2), (1000, 22), (100, 4)] {
            assert_eq!(settled(&slots, micros(distance)).await, expected);
        }
    }
}
