//! A worker's shared, pipelined connection for single reads. Whatever befalls it, a lost server, a frozen one, a network
//! that swallows packets, costs the reads under way and not the ones after them.

use super::connect::Target;
use super::db::unavailable;
use crate::kernel::error::AppResult;
use crate::kernel::problem::Code;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

/// How long connecting may take, the server's greeting included.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long a connection that owes answers may give none: a little more than the server lets one statement run. Reads
/// wait behind each other, so it counts from the last answer to anybody.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often, and how long each time, it is waited for the end of a connection whose server took leave.
const LEAVE_TAKING: (u32, Duration) = (10, Duration::from_millis(5));

/// How often it is measured how far the server is.
const PINGS: usize = 3;

/// A worker's shared connection, which opens when it is first needed and again when it is lost.
pub struct Reader {
    target: Target,
    state: RefCell<State>,
}

/// All who need the connection wait for one attempt to open it.
type Opening = Shared<LocalBoxFuture<'static, Result<Rc<Line>, Rc<str>>>>;

enum State {
    Closed,
    Opening(Opening),
    Open(Rc<Line>),
}

/// An open connection.
struct Line {
    connection: AsyncPgConnection,
    driver: Driver,
    /// How long an answer takes for which there is nothing to do.
    distance: Duration,
    /// When it last gave anybody an answer.
    answered: Cell<Instant>,
}

/// What moves the bytes: ends with the connection, and the connection with it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reader {
    /// A connection to this database; opened when first needed.
    pub fn new(target: Target) -> Reader {
        Reader {
            target,
            state: RefCell::new(State::Closed),
        }
    }

    /// Runs one read. When the connection turns out to be lost, a fresh one is tried once; a server that ran out of time
    /// over the statement is not asked a second time.
    ///
    /// # Errors
    /// What the closure answers, and outages.
    pub async fn read<T>(&self, work: impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>) -> AppResult<T> {
        let line = self.line().await?;
        match self.read_on(&line, &work).await {
            Err(error) if error.code() == Code::Unavailable && line.is_over().await => {
                let fresh = self.line().await?;
                self.read_on(&fresh, &work).await
            }
            outcome => outcome,
        }
    }

    async fn read_on<T>(
        &self,
        line: &Rc<Line>,
        work: &impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>,
    ) -> AppResult<T> {
        match line.answer(work).await {
            Some(outcome) => outcome,
            None => {
                self.leave(line);
                Err(unavailable("the connection fell silent".into()))
            }
        }
    }

    /// How long an answer takes for which the server has nothing to do; none while there is no connection.
    pub fn distance(&self) -> Option<Duration> {
        match &*self.state.borrow() {
            State::Open(line) => Some(line.distance),
            State::Closed | State::Opening(_) => None,
        }
    }

    /// The open connection.
    async fn line(&self) -> AppResult<Rc<Line>> {
        if let State::Open(line) = &*self.state.borrow()
            && !line.is_closed()
        {
            return Ok(Rc::clone(line));
        }
        self.opened().await
    }

    async fn opened(&self) -> AppResult<Rc<Line>> {
        let opening = self.opening();
        let outcome = opening.clone().await;
        let mut state = self.state.borrow_mut();
        if matches!(&*state, State::Opening(current) if current.ptr_eq(&opening)) {
            *state = match &outcome {
                Ok(line) => State::Open(Rc::clone(line)),
                Err(_) => State::Closed,
            };
        }
        outcome.map_err(|reason| unavailable((*reason).into()))
    }

    /// The attempt that is under way, or a new one.
    fn opening(&self) -> Opening {
        let mut state = self.state.borrow_mut();
        if let State::Opening(opening) = &*state {
            return opening.clone();
        }
        let opening = open(self.target.clone()).boxed_local().shared();
        *state = State::Opening(opening.clone());
        opening
    }

    /// Uses this connection no longer; one that took its place meanwhile stays.
    fn leave(&self, line: &Rc<Line>) {
        let mut state = self.state.borrow_mut();
        if matches!(&*state, State::Open(current) if Rc::ptr_eq(current, line)) {
            *state = State::Closed;
        }
    }
}

async fn open(target: Target) -> Result<Rc<Line>, Rc<str>> {
    match timeout(CONNECTING, connect(&target)).await {
        Ok(Ok(line)) => Ok(Rc::new(line)),
        Ok(Err(error)) => Err(error.to_string().into()),
        Err(_) => Err("connecting took too long".into()),
    }
}

async fn connect(target: &Target) -> Result<Line, Box<dyn std::error::Error + Send + Sync>> {
    let (client, connection) = target.connect().await?;
    let driver = Driver(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "the connection for reads was lost");
        }
    }));
    let mut connection = AsyncPgConnection::try_from(client).await?;
    let distance = distance(&mut connection).await?;
    Ok(Line {
        connection,
        driver,
        distance,
        answered: Cell::new(Instant::now()),
    })
}

/// The shortest of a few answers to nothing.
async fn distance(connection: &mut AsyncPgConnection) -> diesel::QueryResult<Duration> {
    let mut shortest = Duration::MAX;
    for _ in 0..PINGS {
        let begun = Instant::now();
        connection.batch_execute("").await?;
        shortest = shortest.min(begun.elapsed());
    }
    Ok(shortest)
}

impl Line {
    fn is_closed(&self) -> bool {
        self.driver.0.is_finished()
    }

    /// Whether it is closed, or about to be: a server that takes leave says so just before.
    async fn is_over(&self) -> bool {
        let (times, pause) = LEAVE_TAKING;
        for _ in 0..times {
            if self.is_closed() {
                return true;
            }
            tokio::time::sleep(pause).await;
        }
        self.is_closed()
    }

    /// The outcome of a read; none when the connection gave nobody an answer for too long.
    async fn answer<T>(
        &self,
        work: &impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>,
    ) -> Option<AppResult<T>> {
        let begun = Instant::now();
        let mut connection = &self.connection;
        let mut work = pin!(work(&mut connection));
        loop {
            let since = begun.max(self.answered.get());
            match timeout_at(since + PATIENCE, work.as_mut()).await {
                Ok(outcome) => {
                    self.answered.set(Instant::now());
                    return Some(outcome);
                }
                Err(_) if self.answered.get() > since => {}
                Err(_) => return None,
            }
        }
    }
}
