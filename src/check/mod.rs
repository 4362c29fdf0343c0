//! Checks the invariants of the domain over a whole database, all companies, and names what breaks them.
//!
//! 1 nothing of one company is linked to another's; 2 a deal stands where its last transition says, and its
//! amount, lines and answers are those that its events and frozen cycles tell; 3 nothing left a gated
//! stage with its gate closed, and what was published is as it was then; 4 an approval's outcome follows from its acts, and its hash from its snapshot; 6 every changed record has its event, and
//! the history is whole; 8 no two live records of a kind have one exact key, and what was merged is named by nothing;
//! 9 what is in the pool has no owner, and an account without one is there; scores are what their models give; a running
//! hand-over is of whoever has the lead; search knows every record by what it says now; what is confirmed of a lead, it says;
//! sources stand in a tree, what waits at them is whole, every week has working time. Those of rooms that are not there yet (5: contracts, receivables,
//! payments) have nothing to check; 7 is shown by the others holding after a crash.

mod approvals;
mod assignment;
mod deals;
mod duplicates;
mod history;
mod links;
mod pool;
mod scores;
mod search;
mod signals;
mod sources;
mod versions;

use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::Serialize;
use std::fmt;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Something that breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its number in DOMAIN.md.
    pub invariant: u8,
    pub tenant: Uuid,
    /// Kind and id, e.g. `opportunity 0197c9a0-…`.
    pub record: String,
    /// What is wrong, in a sentence without a full stop.
    pub sentence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            invariant,
            tenant,
            record,
            sentence,
        } = self;
        write!(
            to,
            "invariant {invariant}, company {tenant}, {record}: {sentence}"
        )
    }
}

/// Checks everything, as of one instant; work may go on meanwhile. Long, but it blocks nobody.
///
/// # Errors
/// When the database cannot be read.
pub async fn run(url: &str) -> Result<Vec<Finding>, Failure> {
    let db = Db::new(url, 1)?;
    let found = db
        .snapshot(async |conn| {
            conn.batch_execute(
                "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
                 SET LOCAL max_parallel_workers_per_gather = 2; SET LOCAL jit = on",
            )
            .await?;
            let mut findings = links::check(conn).await?;
            findings.extend(deals::check(conn).await?);
            findings.extend(versions::check(conn).await?);
            findings.extend(duplicates::check(conn).await?);
            findings.extend(approvals::check(conn).await?);
            findings.extend(scores::check(conn).await?);
            findings.extend(sources::check(conn).await?);
            findings.extend(pool::check(conn).await?);
            findings.extend(signals::check(conn).await?);
            findings.extend(search::check(conn).await?);
            findings.extend(assignment::check(conn).await?);
            findings.extend(history::check(conn).await?);
            Ok(findings)
        })
        .await?;
    Ok(found)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = Text)]
    record: String,
    #[diesel(sql_type = Text)]
    sentence: String,
}

/// Findings of a statement that selects `tenant_id`, `record` and `sentence` of each breach.
async fn select(conn: &mut AsyncPgConnection, invariant: u8, statement: &str) -> AppResult<Vec<Finding>> {
    let rows: Vec<Row> = sql_query(statement).load(conn).await?;
    let findings = rows.into_iter().map(|row| Finding {
        invariant,
        tenant: row.tenant_id,
        record: row.record,
        sentence: row.sentence,
    });
    Ok(findings.collect())
}

/// Findings of several such statements.
async fn select_all(conn: &mut AsyncPgConnection, statements: &[(u8, &str)]) -> AppResult<Vec<Finding>> {
    let mut findings = Vec::new();
    for (invariant, statement) in statements {
        findings.extend(select(conn, *invariant, statement).await?);
    }
    Ok(findings)
}
