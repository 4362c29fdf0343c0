//! A replica for what reads much (figures, exports, searches). It is asked only when it has everything that was committed
//! before the question, so that nobody misses what they just wrote, on whichever server; else the main database is.

use super::db::{Cached, Db};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use diesel::sql_types::{Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long it may take a replica to receive what was committed just before.
const CATCHING_UP: Duration = Duration::from_millis(200);
const LOOKING_AGAIN: Duration = Duration::from_millis(10);
/// How long a replica may take to say how far it is.
const ANSWERING: Duration = Duration::from_secs(1);
/// For how long one that is behind or out of reach is not asked again.
const REST: Duration = Duration::from_secs(5);
/// What fails sooner than this is asked of the main database; what ran out of time there would do so here.
const SOON: Duration = Duration::from_secs(2);

/// Where a server's data are.
#[derive(Clone)]
pub struct Place {
    pub url: String,
    /// Of a streaming replica.
    pub read_url: Option<String>,
}

impl From<&str> for Place {
    fn from(url: &str) -> Place {
        Place {
            url: url.to_owned(),
            read_url: None,
        }
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Place {
        place.clone()
    }
}

impl Place {
    /// Connections there; as many again to the replica, which open when they are first needed.
    ///
    /// # Errors
    /// As [`Db::new`].
    pub fn connections(&self, connections: usize) -> Result<Db, Failure> {
        let db = Db::new(&self.url, connections)?;
        let Some(read_url) = &self.read_url else {
            return Ok(db);
        };
        Ok(db.reading_from(Replica {
            db: Db::new(read_url, connections)?,
            rests_until: Cell::new(None),
        }))
    }
}

/// One worker's connections to the replica.
pub struct Replica {
    db: Db,
    rests_until: Cell<Option<Instant>>,
}

/// Up to where the main database has written its log, and of which data that is.
#[derive(QueryableByName)]
pub struct Position {
    #[diesel(sql_type = Text)]
    position: String,
    #[diesel(sql_type = Text)]
    data: String,
}

/// SQL of which data a server has: those of a cluster, which its replicas share, and of one database in it.
pub const DATA: &str = "concat((SELECT system_identifier FROM pg_control_system()), '/', current_database())";

/// Where the log ends that a commit before this question was written to.
///
/// # Errors
/// Database errors.
pub async fn committed(conn: &mut &AsyncPgConnection) -> AppResult<Position> {
    let asked = sql_query(format!(
        "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text AS position, \
         {DATA} AS data"
    ));
    Ok(Cached(asked).get_result(conn).await?)
}

#[derive(QueryableByName)]
struct Standing {
    #[diesel(sql_type = Nullable<Text>)]
    doubt: Option<String>,
}

impl Replica {
    /// This one, unless it rests.
    pub fn awake(self: &Rc<Self>) -> Option<Rc<Self>> {
        let is_resting = self.rests_until.get().is_some_and(|until| Instant::now() < until);
        (!is_resting).then(|| Rc::clone(self))
    }

    /// The outcome of reads here; none when the main database is to be asked.
    pub async fn read<T>(
        &self,
        committed: &Position,
        work: impl AsyncFn(&Db) -> AppResult<T>,
    ) -> Option<AppResult<T>> {
        match timeout(ANSWERING, self.doubt(committed)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(doubt))) => return self.rest(doubt),
            Ok(Err(error)) => return self.rest(error),
            Err(_) => return self.rest("it does not answer"),
        }
        let begun = Instant::now();
        match work(&self.db).await {
            Err(error) if is_outage(&error) && begun.elapsed() < SOON => self.rest(error),
            outcome => Some(outcome),
        }
    }

    /// Why it is not to be asked, unless it has everything up to a position, or soon has.
    async fn doubt(&self, committed: &Position) -> AppResult<Option<String>> {
        let begun = Instant::now();
        loop {
            let doubt = self.db.read(async |conn| doubt(conn, committed).await).await?;
            if doubt.is_none() || begun.elapsed() > CATCHING_UP {
                return Ok(doubt);
            }
            tokio::time::sleep(LOOKING_AGAIN).await;
        }
    }

    fn rest<T>(&self, reason: impl std::fmt::Display) -> Option<T> {
        tracing::warn!(%reason, "the replica is not read from for a while; the main database is");
        self.rests_until.set(Some(Instant::now() + REST));
        None
    }
}

/// One that was promoted goes its own way: how far its log is says nothing.
async fn doubt(conn: &mut &AsyncPgConnection, committed: &Position) -> AppResult<Option<String>> {
    let asked = sql_query(format!(
        "SELECT CASE WHEN {DATA} <> $2 THEN 'it holds other data' \
         WHEN NOT pg_is_in_recovery() THEN 'it follows no server' \
         WHEN pg_last_wal_replay_lsn() >= $1::pg_lsn THEN NULL ELSE 'it is behind' END AS doubt"
    ));
    let asked = asked
        .bind::<Text, _>(&committed.position)
        .bind::<Text, _>(&committed.data);
    let standing: Standing = Cached(asked).get_result(conn).await?;
    Ok(standing.doubt)
}

/// Whether it is about the database rather than about what was asked: a replica cancels statements that are in the way of
/// what it receives, too.
fn is_outage(error: &AppError) -> bool {
    matches!(error.code(), Code::Unavailable | Code::Internal)
}
