//! `check`: clean on a database as the service leaves it, and one finding for each breach that is planted.

use crate::support::make_events::{Own, make_company};
use penstock::check::{self, Finding};
use penstock::event::sequencer;

#[tokio::test]
async fn placeholder_compiles() {
    let own = Own::new(None).await;
    let s = sequencer::spawn(&own.url).unwrap();
    s.stop().await;
    let _ = make_company(&own.db, None).await;
    let found: Vec<Finding> = check::run(&own.url).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}
