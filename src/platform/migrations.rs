//! The schema's migrations, embedded. Statement by statement in one transaction (as a cluster needs it), under one
//! advisory lock, so that any number of servers may start at once. What builds or drops an index `CONCURRENTLY`, so that
//! nobody waits for it, stands alone in its file and runs without a transaction.

use super::connect::Target;
use super::postgres::missing_extensions;
use diesel::migration::{Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::MigrationHarness;
use std::fmt;
use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Key of the advisory lock around a run.
const LOCK: i64 = 7_366_825_001;

/// No statement keeps the live service waiting for long.
const TIMEOUTS: &str = "SET lock_timeout = '2s'; SET statement_timeout = '10min'; SET idle_in_transaction_session_timeout = '10min'";

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(Embedded {
            name: $name,
            up: include_str!(concat!("../../migrations/", $name, "/up.sql")),
            down: include_str!(concat!("../../migrations/", $name, "/down.sql")),
        }),*]
    };
}

/// One migration: its folder's name and its two files.
#[derive(Clone, Copy)]
pub struct Embedded {
    pub name: &'static str,
    pub up: &'static str,
    pub down: &'static str,
}

/// All migrations in order. A test compares this list with the folder.
pub const ALL: &[Embedded] = embedded![
    "2026-11-22-000001_foundation",
    "2026-11-22-000002_events",
    "2026-11-22-000003_identity",
    "2026-11-22-000004_crm",
    "2026-11-22-000005_approvals",
    "2026-11-22-000006_pipelines",
    "2026-11-22-000007_opportunities",
    "2026-11-22-000008_opportunity_parts",
    "2026-11-22-000010_jobs",
    "2026-11-22-000011_deals_in_flight",
    "2026-11-22-000012_approval_edges",
    "2026-11-22-000013_views",
    "2026-11-22-000014_scoring",
    "2026-11-22-000015_duplicates",
    "2026-11-22-000016_transfers",
    "2026-11-22-000017_policies_checked",
    "2026-11-22-000018_calendar",
    "2026-11-22-000019_assignment",
    "2026-11-22-000020_public_pool",
    "2026-11-22-000021_search",
    "2026-11-22-000022_sources",
    "2026-11-22-000026_transfer_rights",
    "2026-11-22-000027_names_found",
    "2026-11-22-000030_gin_at_once",
    "2026-11-22-000031_lead_signals",
    "2026-11-22-000032_verifications",
    "2026-11-22-000036_near_names_planned",
    "2026-11-22-000037_warnings_apart",
    "2026-11-22-000038_keys_shared_before_a_merge",
    "2026-11-22-000039_search_index_pending",
    "2026-11-22-000043_raw_bytes",
    "2026-11-22-000044_inquiries_again",
    "2026-11-23-000050_stages_due",
    "2026-11-23-000051_due_listed",
    "2026-11-23-000052_due_listed_by_owner",
    "2026-11-23-000053_names_sorted",
    "2026-11-23-000054_accounts_by_name",
    "2026-11-23-000055_contacts_by_name",
    "2026-11-23-000056_accounts_by_code_point",
    "2026-11-23-000057_accounts_by_owner_and_name",
    "2026-11-23-000058_contacts_by_owner_and_name",
    "2026-11-23-000065_letters_of",
    "2026-11-23-000066_names_by_letters",
];

/// The extensions that the schema uses; all come with Postgres' own contrib package.
pub const EXTENSIONS: &[&str] = &["pg_trgm", "btree_gin"];

impl fmt::Display for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl MigrationName for Embedded {
    fn version(&self) -> MigrationVersion<'_> {
        // As diesel's own tools count it: the part before the underscore, without dashes.
        MigrationVersion::from(self.name.split('_').next().unwrap_or_default().replace('-', ""))
    }
}

/// Whether a migration runs in a transaction.
struct InTransaction(bool);

impl MigrationMetadata for InTransaction {
    fn run_in_transaction(&self) -> bool {
        self.0
    }
}

impl Embedded {
    /// Whether it builds or drops an index while writes go on; only outside a transaction can that be done.
    pub fn is_concurrent(&self) -> bool {
        self.up.contains(" INDEX CONCURRENTLY ")
    }

    /// The index that it builds while writes go on.
    fn builds(&self) -> Option<&'static str> {
        let (_, rest) = self.up.split_once("CREATE INDEX CONCURRENTLY IF NOT EXISTS ")?;
        rest.split_whitespace().next()
    }
}

impl Migration<Pg> for Embedded {
    fn run(&self, conn: &mut dyn diesel::connection::BoxableConnection<Pg>) -> diesel::migration::Result<()> {
        if !self.is_concurrent() {
            return run_pieces(conn, self.up);
        }
        if let Some(index) = self.builds() {
            drop_left_over(conn, index)?;
        }
        run_patiently(conn, self.up)
    }

    fn revert(
        &self,
        conn: &mut dyn diesel::connection::BoxableConnection<Pg>,
    ) -> diesel::migration::Result<()> {
        match self.is_concurrent() {
            true => Ok(conn.batch_execute(self.down)?),
            false => run_pieces(conn, self.down),
        }
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        match self.is_concurrent() {
            true => &InTransaction(false),
            false => &InTransaction(true),
        }
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

fn run_pieces(
    conn: &mut dyn diesel::connection::BoxableConnection<Pg>,
    text: &str,
) -> diesel::migration::Result<()> {
    conn.batch_execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")?;
    for piece in pieces(text) {
        conn.batch_execute(piece)?;
    }
    Ok(())
}

/// What an interrupted run left of an index is no use to anybody, and would be taken for it.
fn drop_left_over(
    conn: &mut dyn diesel::connection::BoxableConnection<Pg>,
    index: &str,
) -> diesel::migration::Result<()> {
    Ok(conn.batch_execute(&format!(
        "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('{index}') AND NOT indisvalid) \
         THEN DROP INDEX {index}; END IF; END $$"
    ))?)
}

/// What goes on beside writes may take as long as it takes, and as the transactions last for which it waits.
fn run_patiently(
    conn: &mut dyn diesel::connection::BoxableConnection<Pg>,
    text: &str,
) -> diesel::migration::Result<()> {
    conn.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0")?;
    let done = conn.batch_execute(text);
    conn.batch_execute(TIMEOUTS)?;
    Ok(done?)
}

struct Source;

impl MigrationSource<Pg> for Source {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        Ok(ALL
            .iter()
            .map(|migration| Box::new(*migration) as Box<dyn Migration<Pg>>)
            .collect())
    }
}

/// Cuts a file at its top-level semicolons, aware of quotes, dollar quotes and comments.
pub fn pieces(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b';' => {
                pieces.push(text[start..at].trim());
                at += 1;
                start = at;
            }
            b'\'' | b'"' => at = after(text, at + 1, &text[at..=at]),
            b'-' if text[at..].starts_with("--") => at = after(text, at, "\n"),
            b'/' if text[at..].starts_with("/*") => at = after(text, at, "*/"),
            b'$' => match text[at + 1..].find('$').map(|end| &text[at..at + end + 2]) {
                Some(tag)
                    if tag[1..tag.len() - 1]
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
                {
                    at = after(text, at + tag.len(), tag);
                }
                _ => at += 1,
            },
            _ => at += 1,
        }
    }
    pieces.push(text[start..].trim());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn after(text: &str, from: usize, end: &str) -> usize {
    text[from..]
        .find(end)
        .map_or(text.len(), |found| from + found + end.len())
}

#[derive(QueryableByName)]
struct Got {
    #[diesel(sql_type = Bool)]
    got: bool,
}

/// Brings the database at `url` to the present schema. Safe to call from any number of servers at once: one works, the
/// others wait and find nothing left to do. Answers how many migrations ran. Where nothing is left to do, a role that may
/// only read which ones ran will do.
///
/// # Errors
/// When the database is out of reach or a migration fails; what ran before it stays.
pub async fn run(url: &str) -> Result<usize, Failure> {
    if missing(url).await?.is_empty() {
        return Ok(0);
    }
    let missing = missing_extensions(url, EXTENSIONS).await?;
    if !missing.is_empty() {
        let names = missing.join(", ");
        return Err(format!("the Postgres server lacks {names}: install its contrib package").into());
    }
    let conn = locked(url).await?;
    tokio::task::spawn_blocking(move || {
        on_own_runtime(conn, |harness| Ok(harness.run_pending_migrations(Source)?.len()))
    })
    .await?
}

#[derive(QueryableByName)]
struct Ran {
    #[diesel(sql_type = Text)]
    version: String,
}

/// The migrations that have not run, in order.
///
/// # Errors
/// When the database is out of reach.
pub async fn missing(url: &str) -> Result<Vec<&'static Embedded>, Failure> {
    let mut conn = Target::new(url)?.establish().await?;
    let is_there = sql_query("SELECT to_regclass('public.__diesel_schema_migrations') IS NOT NULL AS got");
    if !is_there.get_result::<Got>(&mut conn).await?.got {
        return Ok(ALL.iter().collect());
    }
    let ran = sql_query("SELECT version FROM public.__diesel_schema_migrations")
        .load::<Ran>(&mut conn)
        .await?;
    let has_run = |migration: &Embedded| {
        let version = migration.version().to_string();
        ran.iter().any(|known| known.version == version)
    };
    Ok(ALL.iter().filter(|migration| !has_run(migration)).collect())
}

/// Takes every migration back. For development and CI: live databases only go forward.
///
/// # Errors
/// When the database is out of reach or a migration fails.
pub async fn revert_all(url: &str) -> Result<usize, Failure> {
    let conn = locked(url).await?;
    tokio::task::spawn_blocking(move || {
        on_own_runtime(conn, |harness| Ok(harness.revert_all_migrations(Source)?.len()))
    })
    .await?
}

fn on_own_runtime(
    conn: AsyncPgConnection,
    work: impl FnOnce(&mut AsyncMigrationHarness<AsyncPgConnection>) -> Result<usize, Failure>,
) -> Result<usize, Failure> {
    let mut harness = AsyncMigrationHarness::new(conn);
    work(&mut harness)
}

/// A connection that holds the migration lock until it closes. Polls with the try form: a session waiting inside the
/// blocking form would itself hold up `CREATE INDEX CONCURRENTLY`.
pub(super) async fn locked(url: &str) -> Result<AsyncPgConnection, Failure> {
    let mut conn = Target::new(url)?.establish().await?;
    conn.batch_execute(TIMEOUTS).await?;
    for _ in 0..1200 {
        let got: Got = sql_query("SELECT pg_try_advisory_lock($1) AS got")
            .bind::<diesel::sql_types::BigInt, _>(LOCK)
            .get_result(&mut conn)
            .await?;
        if got.got {
            return Ok(conn);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("another server has been migrating this database for two minutes".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_at_its_statements_only() {
        let text = "SELECT ';'; -- a; b\nDO $$ BEGIN; END $$;\n/* ; */ SELECT \"a;b\"";
        assert_eq!(
            pieces(text),
            [
                "SELECT ';'",
                "-- a; b\nDO $$ BEGIN; END $$",
                "/* ; */ SELECT \"a;b\""
            ]
        );
    }

    #[test]
    fn what_works_on_an_index_beside_writes_stands_alone_and_runs_without_a_transaction() {
        for migration in ALL {
            let is_concurrent = migration.is_concurrent();
            let creates = migration.up.contains("CREATE INDEX CONCURRENTLY");
            assert_eq!(migration.builds().is_some(), creates, "{migration}");
            assert!(!is_concurrent || pieces(migration.up).len() == 1, "{migration}");
            assert_eq!(
                migration.metadata().run_in_transaction(),
                !is_concurrent,
                "{migration}"
            );
            let folder = format!("{}/migrations/{migration}", env!("CARGO_MANIFEST_DIR"));
            let told = std::fs::read_to_string(format!("{folder}/metadata.toml"));
            let told = told.is_ok_and(|text| text.trim() == "run_in_transaction = false");
            assert_eq!(
                told, is_concurrent,
                "{migration}: diesel's own tools read its metadata.toml"
            );
        }
    }

    #[test]
    fn every_folder_is_embedded_in_order() {
        let mut folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        folders.sort();
        assert_eq!(
            ALL.iter().map(|migration| migration.name).collect::<Vec<_>>(),
            folders
        );
    }
}
