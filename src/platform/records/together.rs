//! Rows that are asked for by id at the same moment, by the same statement on the same terms, are fetched together: under
//! load one statement answers many requests, and alone a request waits for nobody.

use super::sql::{DocRow, Sql};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::reader::Reader;
use diesel::QueryableByName;
use diesel::sql_types::{Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use uuid::Uuid;

/// Most ids of one statement.
const MOST: usize = 100;

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
type Flight = Shared<LocalBoxFuture<'static, Rc<AppResult<Rows>>>>;

/// Requests that wait for one statement which is not sent yet.
struct Group {
    statement: Sql,
    ids: Rc<RefCell<Vec<Uuid>>>,
    flight: Flight,
}

/// The groups of one worker that still take somebody in.
#[derive(Default)]
pub struct Together(Rc<RefCell<Vec<Group>>>);

impl Together {
    /// The row of an id, by a statement whose last placeholder takes the ids, and whose columns are `id`, `doc` and
    /// `version`. Whoever gives up leaves the others of the group undisturbed.
    ///
    /// # Errors
    /// Database errors, to each of the group.
    pub async fn find(&self, reader: &Rc<Reader>, statement: Sql, id: Uuid) -> AppResult<Option<DocRow>> {
        let outcome = self.board(reader, statement, id).await;
        match &*outcome {
            Ok(rows) => Ok(rows.get(&id).cloned()),
            Err(AppError::Refused(refusal)) => Err(AppError::Refused(refusal.clone())),
            Err(AppError::Internal(error)) => Err(AppError::internal(error.to_string())),
        }
    }

    fn board(&self, reader: &Rc<Reader>, statement: Sql, id: Uuid) -> Flight {
        let mut groups = self.0.borrow_mut();
        let open = groups.iter().find(|group| group.statement == statement);
        if let Some(group) = open.filter(|group| group.ids.borrow().len() < MOST) {
            group.ids.borrow_mut().push(id);
            return group.flight.clone();
        }
        let ids = Rc::new(RefCell::new(vec![id]));
        let flight = fly(
            Rc::clone(reader),
            Rc::downgrade(&self.0),
            statement.clone(),
            Rc::clone(&ids),
        );
        let flight = flight.map(Rc::new).boxed_local().shared();
        groups.push(Group {
            statement,
            ids,
            flight: flight.clone(),
        });
        flight
    }
}

async fn fly(
    reader: Rc<Reader>,
    groups: Weak<RefCell<Vec<Group>>>,
    statement: Sql,
    ids: Rc<RefCell<Vec<Uuid>>>,
) -> AppResult<Rows> {
    // Whoever else asks in this turn of the worker comes along.
    tokio::task::yield_now().await;
    if let Some(groups) = groups.upgrade() {
        groups.borrow_mut().retain(|group| !Rc::ptr_eq(&group.ids, &ids));
    }
    let statement = statement.with_last(ids.take());
    let rows: Vec<Row> = reader
        .read(async |conn| Ok(statement.clone().query().load(conn).await?))
        .await?;
    let rows = rows.into_iter().map(|row| {
        let Row { id, doc, version } = row;
        (id, DocRow { doc, version })
    });
    Ok(rows.collect())
}
