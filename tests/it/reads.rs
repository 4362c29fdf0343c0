//! The worker's shared connection for reads under bad luck. Where a backend is frozen the test has a Postgres of its own:
//! one that stands still holds others up too.

use crate::postgres::{Folder, start};
use crate::support::app::server;
use diesel::QueryableByName;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use penstock::kernel::error::AppResult;
use penstock::kernel::problem::Code;
use penstock::platform::db::Db;
use penstock::platform::postgres::Purpose;
use std::cell::Cell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

async fn number(db: &Db, sql: &str) -> AppResult<i64> {
    db.read(async |conn| Ok(sql_query(sql).get_result::<Number>(conn).await?.number))
        .await
}

const BACKEND: &str = "SELECT pg_backend_pid()::bigint AS number";

#[tokio::test]
async fn a_frozen_backend_costs_the_reads_under_way_and_not_those_that_follow() {
    let folder = Folder::new();
    let postgres = start(&folder.settings(Purpose::Throwaway)).await;
    let db = Db::new(&postgres.url("postgres"), 1).unwrap();
    let frozen = number(&db, BACKEND).await.unwrap();
    let pid = Pid::from_raw(i32::try_from(frozen).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();

    let begun = Instant::now();
    let under_way = join_all((0..5).map(|_| number(&db, BACKEND))).await;
    let waited = begun.elapsed();
    let next = join_all((0..5).map(|_| number(&db, BACKEND))).await;
    let recovered = begun.elapsed() - waited;

    kill(pid, Signal::SIGCONT).unwrap();
    for outcome in under_way {
        assert_eq!(outcome.unwrap_err().code(), Code::Unavailable);
    }
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    let fresh = next.into_iter().map(Result::unwrap).collect::<HashSet<_>>();
    assert_eq!(fresh.len(), 1, "all who follow share one new connection");
    assert!(!fresh.contains(&frozen));
    assert!(recovered < Duration::from_secs(3), "{recovered:?}");
    postgres.stop().await;
}

#[tokio::test]
async fn many_whose_connection_was_ended_are_all_answered_over_one_new_connection() {
    let db = Db::new(&server().await.url, 1).unwrap();
    let first = number(&db, BACKEND).await.unwrap();
    let ending = "SELECT pg_terminate_backend(pg_backend_pid())::int::bigint AS number, pg_sleep(2)";
    let unhurried = "SELECT pg_backend_pid()::bigint AS number FROM pg_sleep(0.05)";
    let others = join_all((0..10).map(|_| number(&db, unhurried)));
    let (_, others) = futures::join!(
        db.bookkeep(async |conn| {
            let sql = format!("SELECT pg_terminate_backend({first})::int::bigint AS number");
            Ok(sql_query(sql).get_result::<Number>(conn).await?.number)
        }),
        others
    );
    let later = join_all((0..10).map(|_| number(&db, BACKEND))).await;
    let backends = later.into_iter().map(Result::unwrap).collect::<HashSet<_>>();
    assert_eq!(backends.len(), 1);
    assert!(!backends.contains(&first));
    for backend in others.into_iter().map(Result::unwrap) {
        assert!(backend == first || backends.contains(&backend));
    }
    // Who ends the connection from within is tried once more, and no oftener.
    assert_eq!(number(&db, ending).await.unwrap_err().code(), Code::Unavailable);
    number(&db, BACKEND).await.unwrap();
}

#[tokio::test]
async fn a_statement_that_runs_out_of_time_runs_once_and_disturbs_nobody_else() {
    let db = Db::new(&server().await.url, 1).unwrap();
    let limit = "SELECT length(set_config('statement_timeout', '200ms', false))::bigint AS number";
    number(&db, limit).await.unwrap();
    let before = number(&db, BACKEND).await.unwrap();
    let runs = Cell::new(0);
    let slow = db.read(async |conn| {
        runs.set(runs.get() + 1);
        Ok(sql_query("SELECT pg_sleep(3)").execute(conn).await?)
    });
    let (slow, beside) = futures::join!(slow, number(&db, BACKEND));
    assert_eq!(slow.unwrap_err().code(), Code::Unavailable);
    assert_eq!((runs.get(), beside.unwrap()), (1, before));
    assert_eq!(number(&db, BACKEND).await.unwrap(), before);
}

#[tokio::test]
async fn whoever_reads_a_record_waits_for_no_list() {
    let db = Db::new(&server().await.url, 1).unwrap();
    number(&db, BACKEND).await.unwrap();
    let is_listed = Cell::new(false);
    let list = async {
        let listed =
            db.read_at_length(async |conn| Ok(sql_query("SELECT pg_sleep(1)").execute(conn).await?));
        assert!(listed.await.is_ok());
        is_listed.set(true);
    };
    let record = async {
        number(&db, BACKEND).await.unwrap();
        assert!(!is_listed.get());
    };
    futures::join!(list, record);
}

#[tokio::test]
async fn reads_behind_slow_ones_of_others_wait_for_their_turn() {
    let db = Db::new(&server().await.url, 1).unwrap();
    let before = number(&db, BACKEND).await.unwrap();
    let slow = "SELECT length(pg_sleep(3.5)::text)::bigint AS number";
    let (first, second, third) = futures::join!(number(&db, slow), number(&db, slow), number(&db, BACKEND));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(third.unwrap(), before);
}
