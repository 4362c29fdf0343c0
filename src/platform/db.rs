//! The only door to Postgres: `read` (one statement), `snapshot` (several that must agree), `write` (one transaction
//! that holds the idempotency key, the work, its events and the stored answer, retried whole when the database asks).

use super::boarding::unless_it_panics;
use super::connect::{ConnectError, Target};
use super::events::{self, Noted};
use super::idempotency;
use super::metrics::Connections;
use super::reader::Reader;
use super::records::sql::{DocRow, Sql};
use super::records::together::{Page, Together};
use super::replica::{self, Replica};
use super::reply::Reply;
use super::tokens::Secrets;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, Refusal};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{ConnectionError, QueryResult};
use diesel_async::pooled_connection::deadpool::{Hook, HookError, Object, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures::FutureExt;
use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often a transaction is tried again after a serialization failure or a deadlock.
const MOST_TRIES: u32 = 5;

/// Begins a transaction of several callers, of whom none is to wait for a lock that another needs.
const IMPATIENT: &str = "BEGIN; SET LOCAL lock_timeout = '100ms'";

/// A query whose prepared statement is kept by SQL text. Only for SQL of bounded variety.
pub struct Cached<Q>(pub Q);

impl<Q> QueryId for Cached<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Cached<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q: Query> Query for Cached<Q> {
    type SqlType = Q::SqlType;
}

/// One worker's connections. Cheap to make; connections open when first needed and live on the worker's own runtime.
pub struct Db {
    pool: Pool<AsyncPgConnection>,
    reader: Rc<Reader>,
    /// For what takes longer than a row by its key.
    lister: Rc<Reader>,
    together: Together,
    replica: Option<Rc<Replica>>,
    secrets: Option<Arc<Secrets>>,
}

impl Db {
    /// # Errors
    /// When the URL, a file that it names or the pool's settings cannot be used.
    pub fn new(url: &str, connections: usize) -> Result<Db, Box<dyn std::error::Error + Send + Sync>> {
        let target = Target::new(url)?;
        let pool = Pool::builder(manager(target.clone()))
            .max_size(connections)
            .wait_timeout(Some(Duration::from_secs(5)))
            .create_timeout(Some(Duration::from_secs(5)))
            .runtime(deadpool_runtime())
            .post_recycle(Hook::async_fn(|connection, metrics| {
                plan_anew(connection, metrics.recycle_count).boxed()
            }))
            .build()?;
        Ok(Db {
            pool,
            reader: Rc::new(Reader::new(target.clone())),
            lister: Rc::new(Reader::new(target)),
            together: Together::default(),
            replica: None,
            secrets: None,
        })
    }

    /// The same, able to seal answers that show a secret where they are kept for repetitions.
    #[must_use]
    pub fn sealing_with(mut self, secrets: Arc<Secrets>) -> Db {
        self.secrets = Some(secrets);
        self
    }

    /// The same, with a replica for [`Db::report`].
    #[must_use]
    pub fn reading_from(mut self, replica: Replica) -> Db {
        self.replica = Some(Rc::new(replica));
        self
    }

    /// How many connections there are and are used, whenever that is asked, from any thread.
    pub fn connections(&self) -> impl Fn() -> Connections + Send + Sync + 'static {
        let pool = self.pool.clone();
        move || {
            let status = pool.status();
            Connections {
                open: status.size,
                in_use: status.size.saturating_sub(status.available),
                waiting: status.waiting,
            }
        }
    }

    async fn connection(&self) -> AppResult<Object<AsyncPgConnection>> {
        self.pool.get().await.map_err(|error| unavailable(error.into()))
    }

    /// Runs one read-only statement in autocommit on this worker's shared, pipelined connection. When that connection
    /// turns out to be lost, a fresh one is tried once: see [`Reader`].
    ///
    /// # Errors
    /// What the closure answers, and outages.
    pub async fn read<T>(&self, work: impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>) -> AppResult<T> {
        self.reader.read(work).await
    }

    /// Like [`Db::read`], for a statement that may take longer than rows by their keys do: on a shared connection of such
    /// ones, so that those never wait behind it.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub async fn read_at_length<T>(
        &self,
        work: impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>,
    ) -> AppResult<T> {
        self.lister.read(work).await
    }

    /// Reads one row by its id, together with whoever else asks the same of other ids at this moment: see
    /// [`Together::find`] for what the statement looks like.
    ///
    /// # Errors
    /// Database errors, and outages.
    pub async fn find(&self, statement: Sql, id: Uuid) -> AppResult<Option<DocRow>> {
        self.together.find(&self.reader, statement, id).await
    }

    /// Runs a list's statement, once for all who ask wholly the same at this moment; see [`Db::read_at_length`].
    ///
    /// # Errors
    /// Database errors, and outages.
    pub async fn page(&self, statement: Sql) -> AppResult<Page> {
        self.together.page(&self.lister, statement).await
    }

    /// Runs several reads that must agree, in one repeatable-read transaction.
    ///
    /// # Errors
    /// What the closure answers, and outages.
    pub async fn snapshot<T>(
        &self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> AppResult<T>,
    ) -> AppResult<T> {
        let mut open = Open::of(self.connection().await?);
        open.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let outcome = work(open.connection()?).await;
        open.end("ROLLBACK").await?;
        outcome
    }

    /// Runs reads that go over many records: on the replica, where there is one that has everything that was committed before,
    /// else here.
    ///
    /// # Errors
    /// What the closure answers, and outages.
    pub async fn report<T>(&self, work: impl AsyncFn(&Db) -> AppResult<T>) -> AppResult<T> {
        if let Some(replica) = self.replica.as_ref().and_then(Replica::awake) {
            let committed = self.read(replica::committed).await?;
            if let Some(outcome) = replica.read(&committed, &work).await {
                return outcome;
            }
        }
        work(self).await
    }

    /// Runs one command: its work, its events, its idempotency key and its stored answer commit together or not at all.
    /// A dry run does everything and then rolls back.
    ///
    /// # Errors
    /// What the closure answers (nothing is then changed), `request_in_progress`, `idempotency_key_reused`, and outages.
    pub async fn write(
        &self,
        ctx: &Ctx,
        work: impl AsyncFn(&mut Tx) -> AppResult<Reply>,
    ) -> AppResult<Reply> {
        self.write_after(ctx, async |_| Ok(()), async |tx, ()| work(tx).await)
            .await
    }

    /// Like [`Db::write`], with a look that goes in one flight with the beginning of the transaction. It may read and lock,
    /// never write: it is sent before it is known that the transaction has begun.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write_after<T>(
        &self,
        ctx: &Ctx,
        look: impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>,
        work: impl AsyncFn(&mut Tx, T) -> AppResult<Reply>,
    ) -> AppResult<Reply> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_write(ctx, &look, &work).await {
                Err(AppError::Internal(error)) if tries < MOST_TRIES && is_retryable(error.as_ref()) => {
                    tokio::time::sleep(Duration::from_millis(u64::from(tries * tries) * 3)).await;
                }
                Err(AppError::Internal(error)) if is_retryable(error.as_ref()) => {
                    return Err(unavailable(error));
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_write<T>(
        &self,
        ctx: &Ctx,
        look: &impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>,
        work: &impl AsyncFn(&mut Tx, T) -> AppResult<Reply>,
    ) -> AppResult<Reply> {
        let mut open = Open::of(self.connection().await?);
        let key = ctx.idempotency.as_ref().filter(|_| !ctx.is_dry_run);
        let seen = match key {
            None => open.begin_and("BEGIN", look).await?,
            Some(key) => {
                open.begin("BEGIN").await?;
                match idempotency::claim(open.connection()?, ctx, key, self.secrets.as_deref()).await {
                    Ok(None) => look(&mut &*open.connection()?).await,
                    Ok(Some(replay)) => {
                        open.end("ROLLBACK").await?;
                        return Ok(replay);
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => return Err(open.abandon(error).await),
        };
        let mut tx = Tx::of(open, self.replica.clone());
        let reply = match work(&mut tx, seen).await {
            Ok(reply) => reply,
            Err(error) => return Err(tx.open.abandon(error).await),
        };
        let finished = async {
            tx.flush_events(ctx).await?;
            if let Some(key) = key {
                idempotency::store(&mut tx, ctx, key, self.secrets.as_deref(), &reply).await?;
            }
            AppResult::Ok(())
        }
        .await;
        if let Err(error) = finished {
            return Err(tx.open.abandon(error).await);
        }
        if ctx.is_dry_run {
            tx.open.end("ROLLBACK").await?;
            return Ok(reply.with_header("preference-applied", "dry-run"));
        }
        tx.open.end("COMMIT").await?;
        if tx.wrote_events {
            events::COMMITTED.notify_one();
        }
        Ok(reply)
    }

    /// Runs commands of several callers in one transaction, with a look as [`Db::write_after`] has it; the work writes their
    /// events itself. It waits for nobody's lock longer than a moment. None: nothing of it happened, and each is to be run by
    /// itself.
    ///
    /// # Errors
    /// Outages.
    pub async fn write_together<T, O>(
        &self,
        look: impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>,
        work: impl AsyncFnOnce(&mut Tx, T) -> AppResult<O>,
    ) -> AppResult<Option<O>> {
        let mut open = Open::of(self.connection().await?);
        let seen = match open.begin_and(IMPATIENT, look).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => return undone(open.abandon(error).await),
            // It has not begun: a connection that was lost unnoticed, say.
            Err(error) => return undone(error).or(Ok(None)),
        };
        let mut tx = Tx::of(open, self.replica.clone());
        let done = unless_it_panics(work(&mut tx, seen)).await.and_then(|done| done);
        let done = match done {
            Ok(done) if tx.events.is_empty() => done,
            Ok(_) => return undone(tx.open.abandon(AppError::internal("events are left over")).await),
            Err(error) => return undone(tx.open.abandon(error).await),
        };
        tx.open.end("COMMIT").await?;
        if tx.wrote_events {
            events::COMMITTED.notify_one();
        }
        Ok(Some(done))
    }

    /// How long the database takes for an answer for which there is nothing to do; none where that is not known.
    pub fn distance(&self) -> Option<Duration> {
        self.reader.distance()
    }

    /// Runs the system's own bookkeeping (leases, positions, expiry) in one transaction: no events, no idempotency key,
    /// no repetition.
    ///
    /// # Errors
    /// What the closure answers (nothing is then changed), and outages.
    pub async fn bookkeep<T>(
        &self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> AppResult<T>,
    ) -> AppResult<T> {
        let mut open = Open::of(self.connection().await?);
        open.begin("BEGIN").await?;
        match work(open.connection()?).await {
            Ok(done) => {
                open.end("COMMIT").await?;
                Ok(done)
            }
            Err(error) => Err(open.abandon(error).await),
        }
    }
}

/// What a transaction of several commands comes to that was rolled back.
fn undone<O>(error: AppError) -> AppResult<Option<O>> {
    match error {
        AppError::Refused(refusal) if refusal.code == Code::Unavailable => Err(AppError::Refused(refusal)),
        AppError::Internal(error) if !is_retryable(error.as_ref()) => {
            tracing::warn!(%error, "commands that travelled together are run one by one");
            Ok(None)
        }
        error => {
            tracing::debug!(%error, "commands that travelled together are run one by one");
            Ok(None)
        }
    }
}

/// Opens the pool's connections like all others; the manager itself needs no URL then.
fn manager(target: Target) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let target = target.clone();
        async move { target.establish().await.map_err(bad_connection) }.boxed()
    });
    AsyncDieselConnectionManager::new_with_config("", config)
}

/// Forgets a session's plans after 4, 16, 64, … uses. Those that were made while tables were empty take any index for as good
/// as the right one, above all the ones behind foreign keys, which Postgres makes once and keeps until it has counted the
/// rows: the first import of a new company would read all that it wrote before, for each row.
async fn plan_anew(connection: &mut AsyncPgConnection, uses: usize) -> Result<(), HookError> {
    if uses < 4 || !uses.is_power_of_two() || uses.trailing_zeros() % 2 == 1 {
        return Ok(());
    }
    let done = connection.batch_execute("DISCARD PLANS").await;
    done.map_err(|error| HookError::Backend(PoolError::QueryError(error)))
}

fn bad_connection(error: ConnectError) -> ConnectionError {
    ConnectionError::BadConnection(error.to_string())
}

fn deadpool_runtime() -> deadpool::Runtime {
    deadpool::Runtime::Tokio1
}

/// A connection inside a transaction. Dropped before its end (a request given up half way), it never goes back to the pool.
struct Open {
    connection: Option<Object<AsyncPgConnection>>,
}

impl Open {
    fn of(connection: Object<AsyncPgConnection>) -> Open {
        Open {
            connection: Some(connection),
        }
    }

    async fn begin(&mut self, statement: &str) -> AppResult<()> {
        Ok(self.connection()?.batch_execute(statement).await?)
    }

    /// Begins and looks, in one flight. The outer error: it has not begun.
    async fn begin_and<T>(
        &mut self,
        begin: &str,
        look: impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>,
    ) -> AppResult<AppResult<T>> {
        let conn: &AsyncPgConnection = self.connection()?;
        let (mut first, mut second) = (conn, conn);
        let (begun, seen) = futures::join!(first.batch_execute(begin), look(&mut second));
        begun?;
        Ok(seen)
    }

    fn connection(&mut self) -> AppResult<&mut AsyncPgConnection> {
        self.connection
            .as_deref_mut()
            .ok_or_else(|| AppError::internal("the transaction has ended"))
    }

    async fn end(&mut self, statement: &str) -> AppResult<()> {
        self.connection()?.batch_execute(statement).await?;
        drop(self.connection.take());
        Ok(())
    }

    /// Rolls back and hands the error on; a failing rollback costs only the connection.
    async fn abandon(&mut self, error: AppError) -> AppError {
        if let Err(rollback) = self.end("ROLLBACK").await {
            tracing::debug!(error = %rollback, "rollback failed; the connection is dropped");
        }
        error
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

/// One write transaction. Dereferences to its connection.
pub struct Tx {
    open: Open,
    events: Noted,
    wrote_events: bool,
    touched: BTreeSet<Uuid>,
    later: Vec<(&'static str, Uuid)>,
    is_of_many: bool,
    replica: Option<Rc<Replica>>,
}

impl Tx {
    fn of(open: Open, replica: Option<Rc<Replica>>) -> Tx {
        Tx {
            open,
            replica,
            events: Noted::default(),
            wrote_events: false,
            touched: BTreeSet::new(),
            later: Vec::new(),
            is_of_many: false,
        }
    }

    /// Runs one or more reads that go over many records and need nothing that this transaction wrote: see [`Db::report`].
    ///
    /// # Errors
    /// What the closure answers, and outages.
    pub async fn report<T>(
        &self,
        work: impl AsyncFn(&mut &AsyncPgConnection) -> AppResult<T>,
    ) -> AppResult<T> {
        let mut own: &AsyncPgConnection = self;
        if let Some(replica) = self.replica.as_ref().and_then(Replica::awake) {
            let committed = replica::committed(&mut own).await?;
            let there = async |db: &Db| db.snapshot(async |conn| work(&mut &*conn).await).await;
            if let Some(outcome) = replica.read(&committed, there).await {
                return outcome;
            }
        }
        work(&mut own).await
    }

    /// Notes that a record changed; written with the transaction, one event a record.
    pub fn record(&mut self, event: events::Event) {
        self.events.note(event);
    }

    /// Writes what was recorded so far under these terms: for a transaction that does more than one command's work, each
    /// with its own actor and instant. What is recorded afterwards goes under the terms of the transaction as ever.
    ///
    /// # Errors
    /// Database errors.
    pub async fn flush_events(&mut self, ctx: &Ctx) -> AppResult<()> {
        let recorded = self.take_events();
        self.write_events(ctx.tenant, vec![(ctx, recorded)]).await
    }

    /// Takes what was recorded and not yet written, to be written under other terms: see [`Tx::write_events`].
    pub fn take_events(&mut self) -> Vec<events::Event> {
        std::mem::take(&mut self.events).into_events()
    }

    /// Writes events of several commands at once, each under its own terms: one statement, however many there are.
    ///
    /// # Errors
    /// Database errors.
    pub async fn write_events(
        &mut self,
        tenant: Uuid,
        commands: Vec<(&Ctx, Vec<events::Event>)>,
    ) -> AppResult<()> {
        self.wrote_events |= commands.iter().any(|(_, events)| !events.is_empty());
        events::flush(self, tenant, commands).await
    }

    /// Notes that this transaction itself changed or deleted a row, for a later step of it that would otherwise take the
    /// row's new state for somebody else's doing.
    pub fn touch(&mut self, id: Uuid) {
        self.touched.insert(id);
    }

    pub fn has_touched(&self, id: Uuid) -> bool {
        self.touched.contains(&id)
    }

    /// Notes a record for a later step of this transaction, which takes all of that name at once.
    pub fn leave_for_later(&mut self, step: &'static str, id: Uuid) {
        self.later.push((step, id));
    }

    /// Whether this record was noted for this step, which nobody took since.
    pub fn has_left(&self, step: &'static str, id: Uuid) -> bool {
        self.later.contains(&(step, id))
    }

    /// Says that several records are written one after the other, or that this has ended: meanwhile, what is done for all
    /// of them together is left for later.
    pub fn set_of_many(&mut self, is_of_many: bool) {
        self.is_of_many = is_of_many;
    }

    /// Whether the present write is one of several.
    pub fn is_of_many(&self) -> bool {
        self.is_of_many
    }

    /// What was noted for this step so far, each once noted, once taken.
    pub fn take_for(&mut self, step: &'static str) -> Vec<Uuid> {
        let taken = self.later.extract_if(.., |(name, _)| *name == step);
        taken.map(|(_, id)| id).collect()
    }

    /// Runs a part of the work that may be refused without undoing the rest: the inner error is its refusal, and nothing of
    /// it is left; the outer one (an outage, a bug) ends the transaction.
    ///
    /// # Errors
    /// As said.
    pub async fn apart<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Tx) -> AppResult<T>,
    ) -> AppResult<Result<T, Box<Refusal>>> {
        let events = std::mem::take(&mut self.events);
        let touched = self.touched.clone();
        let later = self.later.clone();
        self.batch_execute("SAVEPOINT apart").await?;
        match work(self).await {
            Ok(done) => {
                self.batch_execute("RELEASE SAVEPOINT apart").await?;
                let later = std::mem::replace(&mut self.events, events);
                if self.events.is_empty() {
                    self.events = later;
                } else {
                    later
                        .into_events()
                        .into_iter()
                        .for_each(|event| self.record(event));
                }
                Ok(Ok(done))
            }
            Err(AppError::Refused(refusal)) if !is_outage(refusal.code) => {
                self.batch_execute("ROLLBACK TO SAVEPOINT apart; RELEASE SAVEPOINT apart")
                    .await?;
                self.events = events;
                self.touched = touched;
                self.later = later;
                Ok(Err(refusal))
            }
            Err(error) => Err(error),
        }
    }

    /// Forgets what was recorded and not yet written, and what was touched: its work was rolled back to a savepoint.
    pub fn forget(&mut self) {
        self.events.clear();
        self.touched.clear();
        self.later.clear();
    }
}

impl Deref for Tx {
    type Target = AsyncPgConnection;

    #[expect(
        clippy::expect_used,
        reason = "a Tx exists only while its transaction is open; only `try_write` ends it"
    )]
    fn deref(&self) -> &AsyncPgConnection {
        self.open
            .connection
            .as_ref()
            .expect("an open transaction has a connection")
    }
}

impl DerefMut for Tx {
    #[expect(
        clippy::expect_used,
        reason = "a Tx exists only while its transaction is open; only `try_write` ends it"
    )]
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.open
            .connection
            .as_mut()
            .expect("an open transaction has a connection")
    }
}

/// Refusals that say nothing about the work itself: it is to be tried again whole.
pub fn is_outage(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::RequestInProgress)
}

/// The refusal of whatever the database could not do just now; logged with its source.
pub(super) fn unavailable(source: Box<dyn std::error::Error + Send + Sync>) -> AppError {
    tracing::error!(error = %source, "the database is not available");
    AppError::refuse(
        Code::Unavailable,
        say("The database does not answer", "数据库没有响应"),
    )
    .retry_after(1)
}

fn is_retryable(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        error.downcast_ref::<DieselError>(),
        Some(DieselError::DatabaseError(
            DatabaseErrorKind::SerializationFailure,
            _
        ))
    ) || error.to_string().contains("deadlock detected")
}

/// The constraint's name; on a Citus shard it carries a suffix, or stands in the message alone.
fn constraint_of(info: &(dyn diesel::result::DatabaseErrorInformation + Send + Sync)) -> String {
    let named = info.constraint_name().map(str::to_owned);
    let name = named.or_else(|| {
        let (_, rest) = info.message().split_once("constraint \"")?;
        rest.split_once('"').map(|(name, _)| name.to_owned())
    });
    let name = name.unwrap_or_default();
    match name.rsplit_once('_') {
        Some((stem, shard)) if shard.len() >= 6 && shard.bytes().all(|byte| byte.is_ascii_digit()) => {
            stem.to_owned()
        }
        _ => name,
    }
}

/// The member that a constraint is about, by our naming: `{table}_{member}_{key|fkey|check}`.
fn member_of(constraint: &str, table: Option<&str>, suffix: &str) -> String {
    let stem = constraint.strip_suffix(suffix).unwrap_or(constraint);
    let stem = table.and_then(|table| stem.strip_prefix(table)).unwrap_or(stem);
    stem.trim_start_matches('_').to_owned()
}

impl From<DieselError> for AppError {
    fn from(error: DieselError) -> AppError {
        let DieselError::DatabaseError(kind, info) = &error else {
            return match error {
                DieselError::NotFound => AppError::not_found(),
                other => AppError::internal(other),
            };
        };
        let constraint = constraint_of(info.as_ref());
        let table = info.table_name();
        match kind {
            DatabaseErrorKind::UniqueViolation => {
                let pointer = format!("/{}", member_of(&constraint, table, "_key"));
                AppError::refuse(
                    Code::Duplicate,
                    say(
                        "A record with this value exists already",
                        "已存在具有相同值的记录",
                    ),
                )
                .with_faults(vec![Fault::duplicate(pointer)])
            }
            DatabaseErrorKind::ForeignKeyViolation => AppError::invalid(vec![Fault::not_found(format!(
                "/{}_id",
                member_of(&constraint, table, "_fkey")
            ))]),
            DatabaseErrorKind::CheckViolation => {
                let pointer = format!("/{}", member_of(&constraint, table, "_check"));
                let told = RULES.iter().find(|(name, ..)| *name == constraint);
                let (en, zh) = told.map_or(
                    ("breaks a rule of this record", "违反此记录的规则"),
                    |(_, en, zh)| (*en, *zh),
                );
                AppError::invalid(vec![Fault::invalid(pointer, en, zh)])
            }
            DatabaseErrorKind::ClosedConnection => unavailable(Box::new(error)),
            _ => by_message(error),
        }
    }
}

/// What constraints ask for that a caller meets, said in words.
const RULES: [(&str, &str, &str); 5] = [
    (
        "need_analyses_confirmation_sent_at_check",
        "must not be before held_at",
        "不得早于 held_at",
    ),
    (
        "need_analyses_confirmed_at_check",
        "must not be before held_at",
        "不得早于 held_at",
    ),
    (
        "objections_resolved_on_check",
        "must not be before raised_on",
        "不得早于 raised_on",
    ),
    (
        "change_requests_answered_on_check",
        "must not be before requested_on",
        "不得早于 requested_on",
    ),
    (
        "campaigns_ends_on_check",
        "must not be before starts_on",
        "不得早于 starts_on",
    ),
];

/// Errors that diesel does not classify, by what Postgres says: it does not hand on their codes. In English, therefore;
/// `fitness::doubts` says so where the server speaks another language.
fn by_message(error: DieselError) -> AppError {
    let message = error.to_string();
    let says = |part: &str| message.contains(part);
    if says("lock timeout") {
        return AppError::refuse(
            Code::RequestInProgress,
            say("Another request holds this record", "另一请求正在占用该记录"),
        )
        .retry_after(1);
    }
    if says("statement timeout")
        || says("No space left")
        || says("could not extend file")
        || says("terminating connection")
        || says("the database system is")
        || says("connection closed")
        || says("error communicating with the server")
        || says("read-only transaction")
    {
        return unavailable(Box::new(error));
    }
    if says("numeric field overflow") || says("out of range") {
        return AppError::invalid(vec![Fault::out_of_range(
            "",
            "a number is out of range",
            "数值超出范围",
        )]);
    }
    AppError::internal(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_breaks_is_an_outage_whoever_hears_of_it_first() {
        for heard in ["connection closed", "error communicating with the server"] {
            let kind = DatabaseErrorKind::UnableToSendCommand;
            let broken = DieselError::DatabaseError(kind, Box::new(heard.to_owned()));
            assert_eq!(AppError::from(broken).code(), Code::Unavailable, "{heard}");
        }
    }
}
