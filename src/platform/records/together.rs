//! Reading together what is asked for together: rows by their ids, by one statement on the same terms, and pages of lists
//! that are wholly the same. See [`Gate`] for who travels with whom.

use super::paging::PageRow;
use super::sql::{DocRow, Sql};
use crate::kernel::error::AppResult;
use crate::platform::boarding::{Gate, Journey, Pace, shared};
use crate::platform::reader::Reader;
use diesel::QueryableByName;
use diesel::sql_types::{Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use uuid::Uuid;

/// Rows by their ids, and pages of lists: one statement is worked on, the next is there when it is done.
const ROWS: Pace = Pace {
    least: 2,
    work: Duration::from_micros(50),
    seats: 100,
    gathering: Duration::ZERO,
};
const PAGES: Pace = Pace {
    least: 2,
    work: Duration::from_micros(200),
    seats: usize::MAX,
    gathering: Duration::ZERO,
};

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

impl Journey<Sql, Uuid, Rows> for Rc<Reader> {
    async fn go(&self, statement: Sql, ids: Vec<Uuid>) -> AppResult<Rows> {
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

impl Journey<Sql, (), Vec<PageRow>> for Rc<Reader> {
    async fn go(&self, statement: Sql, _: Vec<()>) -> AppResult<Vec<PageRow>> {
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
    rows: Gate<Sql, Uuid, Rows>,
    pages: Gate<Sql, (), Vec<PageRow>>,
}

impl Default for Together {
    fn default() -> Together {
        Together {
            rows: Gate::shared(ROWS),
            pages: Gate::shared(PAGES),
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
        let outcome = self.rows.board(statement, id, Rc::clone(reader)).await;
        shared(&outcome).map(|rows: &Rows| rows.get(&id).cloned())
    }

    /// The rows of a list's page, to all who ask for it while it waits.
    ///
    /// # Errors
    /// Database errors, to each of them.
    pub async fn page(&self, reader: &Rc<Reader>, statement: Sql) -> AppResult<Page> {
        let outcome = self.pages.board(statement, (), Rc::clone(reader)).await;
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
