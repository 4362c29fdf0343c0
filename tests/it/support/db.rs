//! Databases for tests, on one throwaway server that all test processes of a user share.
//!
//! The server is started by the first process that needs it and stays for the next run; with
//! `TEST_DATABASE_URL` that server is used instead. A database is a copy of a template, which is
//! migrated once for each state of the migration files.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::unistd::Uid;
use penstock::platform::postgres::{PrivateServer, Purpose, Settings};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// Advisory locks on the maintenance database: who builds or copies templates, and who tidies up.
const TEMPLATES: i64 = 0x7065_6e73_0001;
const TIDYING: i64 = 0x7065_6e73_0002;
const UNUSED_DATABASE: Duration = Duration::from_secs(60 * 60);
const UNUSED_TEMPLATE: Duration = Duration::from_secs(24 * 60 * 60);
/// Dropping takes up to 65 ms each; the rest can wait for the next run.
const DROPPED_AT_ONCE: usize = 50;

/// The URL of the one database that this process' tests share, each with a tenant of its own.
/// `migrate` is given the URL of an empty database when the template has to be built.
pub async fn shared_database<M, F, E>(migrate: M) -> String
where
    M: FnOnce(String) -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    static SHARED: OnceCell<String> = OnceCell::const_new();
    SHARED.get_or_init(|| own_database(migrate)).await.clone()
}

/// The URL of a database of the test's own: for migrations, DDL and work across tenants.
pub async fn own_database<M, F, E>(migrate: M) -> String
where
    M: FnOnce(String) -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    copy_of(&format!("tpl_{}", hash_of(&migrations)), migrate).await
}

/// The URL of a copy of the template, which is built when it is missing.
pub async fn copy_of<M, F, E>(template: &str, migrate: M) -> String
where
    M: FnOnce(String) -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    let server = server().await;
    let admin = server.admin().await;
    if !is_built(&admin, template).await {
        build(server, &admin, template, migrate).await;
    }
    let name = format!("t_{}", Uuid::now_v7().simple());
    // Shared among copies, but nobody drops or rebuilds the template meanwhile.
    lock(&admin, "pg_advisory_lock_shared", TEMPLATES).await;
    let strategy = server.strategy;
    execute(
        &admin,
        &format!("CREATE DATABASE {name} TEMPLATE {template} {strategy}"),
    )
    .await;
    server.url(&name)
}

struct Server {
    /// Keeps the server alive; `None` when it is somebody else's.
    keeper: Option<PrivateServer>,
    /// URL of the maintenance database.
    maintenance: String,
    /// How to copy a database fastest.
    strategy: &'static str,
}

impl Server {
    fn url(&self, database: &str) -> String {
        match &self.keeper {
            Some(keeper) => keeper.url(database),
            None => with_database(&self.maintenance, database),
        }
    }

    /// A connection for the current test: tests have a runtime each, so none can be kept.
    async fn admin(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.maintenance, NoTls)
            .await
            .expect("the test server takes connections");
        tokio::spawn(connection);
        client
    }
}

async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let server = find_server().await;
            tidy(&server.admin().await).await;
            server
        })
        .await
}

async fn find_server() -> Server {
    if let Ok(maintenance) = std::env::var("TEST_DATABASE_URL") {
        return Server {
            keeper: None,
            maintenance,
            strategy: "",
        };
    }
    let place = place();
    let in_memory = place.starts_with("/dev/shm");
    let settings = Settings {
        folder: place.join("pg"),
        purpose: Purpose::Throwaway,
        may_install: true,
    };
    let keeper = PrivateServer::start(&settings)
        .await
        .unwrap_or_else(|e| panic!("no test server: {e}"));
    let strategy = if in_memory {
        "STRATEGY file_copy"
    } else {
        "STRATEGY wal_log"
    };
    Server {
        maintenance: keeper.url("postgres"),
        keeper: Some(keeper),
        strategy,
    }
}

/// In memory when there is room, else below the build folder, unless the user that Postgres runs
/// as under root could not get there.
fn place() -> PathBuf {
    let uid = Uid::effective();
    let name = format!("penstock-test-{uid}");
    let memory = Path::new("/dev/shm").join(&name);
    let is_ours =
        fs::symlink_metadata(&memory).map_or(true, |found| found.is_dir() && found.uid() == uid.as_raw());
    let is_in_use = memory.join("pg/data").is_dir();
    let room = room_in("/dev/shm");
    if is_ours && (is_in_use || room >= 1 << 30) {
        return memory;
    }
    let build = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let is_open = build
        .ancestors()
        .all(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0));
    if !uid.is_root() || is_open {
        build.join("postgres")
    } else {
        std::env::temp_dir().join(name)
    }
}

/// Bytes that are free for us; 0 where there is no such place.
#[cfg_attr(
    target_os = "linux",
    expect(
        clippy::unnecessary_cast,
        reason = "the numbers are narrower on other systems"
    )
)]
fn room_in(place: &str) -> u64 {
    statvfs(place).map_or(0, |fs| fs.blocks_available() as u64 * fs.fragment_size() as u64)
}

/// A template counts as built only once it is marked as one.
async fn is_built(admin: &Client, template: &str) -> bool {
    let built = "SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate";
    admin
        .query_opt(built, &[&template])
        .await
        .expect("the catalog can be read")
        .is_some()
}

async fn build<M, F, E>(server: &Server, admin: &Client, template: &str, migrate: M)
where
    M: FnOnce(String) -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    lock(admin, "pg_advisory_lock", TEMPLATES).await;
    if !is_built(admin, template).await {
        // What an interrupted build left.
        execute(admin, &format!("DROP DATABASE IF EXISTS {template} WITH (FORCE)")).await;
        execute(admin, &format!("CREATE DATABASE {template} TEMPLATE template0")).await;
        let migrated = migrate(server.url(template)).await;
        migrated.unwrap_or_else(|e| panic!("the migrations of the test template failed: {e}"));
        finish(admin, template).await;
    }
    lock(admin, "pg_advisory_unlock", TEMPLATES).await;
}

/// Nobody may be connected to a template while it is copied: not even a pool that lingers.
async fn finish(admin: &Client, template: &str) {
    execute(
        admin,
        &format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false"),
    )
    .await;
    let hang_up = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
    admin
        .query(hang_up, &[&template])
        .await
        .expect("connections can be ended");
    execute(
        admin,
        &format!("COMMENT ON DATABASE {template} IS 'built {}'", now().as_secs()),
    )
    .await;
    execute(admin, &format!("ALTER DATABASE {template} IS_TEMPLATE true")).await;
}

/// Drops what runs of long ago left behind. One process does it; the others go on.
async fn tidy(admin: &Client) {
    let alone = admin
        .query_one("SELECT pg_try_advisory_lock($1)", &[&TIDYING])
        .await;
    if !alone.expect("locks can be asked for").get::<_, bool>(0) {
        return;
    }
    for database in idle_databases(admin).await.iter().take(DROPPED_AT_ONCE) {
        // It fails when somebody has connected since, who may then keep it.
        let _ = admin
            .batch_execute(&format!("DROP DATABASE IF EXISTS {database}"))
            .await;
    }
    lock(admin, "pg_advisory_lock", TEMPLATES).await;
    for template in old_templates(admin).await {
        execute(admin, &format!("ALTER DATABASE {template} IS_TEMPLATE false")).await;
        execute(admin, &format!("DROP DATABASE {template}")).await;
    }
    lock(admin, "pg_advisory_unlock", TEMPLATES).await;
    lock(admin, "pg_advisory_unlock", TIDYING).await;
}

async fn idle_databases(admin: &Client) -> Vec<String> {
    let idle = r"SELECT datname::text FROM pg_database d WHERE datname LIKE 't\_%' AND NOT EXISTS
        (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid) ORDER BY datname";
    let rows = admin.query(idle, &[]).await.expect("the catalog can be read");
    let is_old = |name: &String| age_by_name(name).is_some_and(|age| age > UNUSED_DATABASE);
    rows.iter().map(|row| row.get(0)).filter(is_old).collect()
}

async fn old_templates(admin: &Client) -> Vec<String> {
    let old = r"SELECT datname::text FROM pg_database WHERE datname LIKE 'tpl\_%' AND datistemplate
        AND substring(shobj_description(oid, 'pg_database') FROM '^built (\d+)$')::bigint < $1";
    let limit = (now() - UNUSED_TEMPLATE).as_secs() as i64;
    let rows = admin
        .query(old, &[&limit])
        .await
        .expect("the catalog can be read");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The name holds the time of its making.
fn age_by_name(name: &str) -> Option<Duration> {
    let made = Uuid::try_parse(name.strip_prefix("t_")?)
        .ok()?
        .get_timestamp()?
        .to_unix()
        .0;
    Some(now().saturating_sub(Duration::from_secs(made)))
}

fn now() -> Duration {
    Duration::from_secs(penstock::platform::clock::real_now().timestamp().unsigned_abs())
}

/// Changes with the name or content of any file below the folder.
fn hash_of(folder: &Path) -> String {
    let mut hash = Sha256::new();
    for file in files_below(folder) {
        let name = file.strip_prefix(folder).unwrap_or(&file);
        let content = fs::read(&file).expect("a migration can be read");
        for part in [name.as_os_str().as_encoded_bytes(), &content] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let within = |path: PathBuf| {
        if path.is_dir() {
            files_below(&path)
        } else {
            vec![path]
        }
    };
    let mut files: Vec<PathBuf> = entries.flat_map(within).collect();
    files.sort();
    files
}

/// The URL with another database in its path.
fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url
        .split_once('?')
        .map_or((url, None), |(address, query)| (address, Some(query)));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..]
        .find('/')
        .map_or(address.len(), |at| authority + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &address[..end])
}

async fn lock(admin: &Client, function: &str, key: i64) {
    admin
        .query_one(&format!("SELECT {function}({key})"), &[])
        .await
        .expect("locks can be taken");
}

async fn execute(admin: &Client, statement: &str) {
    admin
        .batch_execute(statement)
        .await
        .unwrap_or_else(|e| panic!("{statement}: {e:?}"));
}

#[test]
fn another_database_of_a_server_is_named_in_the_path_of_its_url() {
    assert_eq!(
        with_database("postgres://u:p@h:5432/a?sslmode=disable", "b"),
        "postgres://u:p@h:5432/b?sslmode=disable"
    );
    assert_eq!(with_database("postgres://h", "b"), "postgres://h/b");
    assert_eq!(
        with_database("postgres://u@%2Frun%2Fpg/a", "b"),
        "postgres://u@%2Frun%2Fpg/b"
    );
}

#[test]
fn the_age_of_a_database_is_read_from_its_name() {
    let fresh = format!("t_{}", Uuid::now_v7().simple());
    assert!(age_by_name(&fresh).unwrap() < Duration::from_secs(60));
    assert_eq!(age_by_name("tpl_0011223344556677"), None);
    assert_eq!(age_by_name("t_by_hand"), None);
}

#[test]
fn a_changed_or_renamed_migration_asks_for_another_template() {
    let folder = std::env::temp_dir().join(format!("penstock-it-{}", Uuid::now_v7().simple()));
    fs::create_dir_all(folder.join("1_first")).unwrap();
    fs::write(folder.join("1_first/up.sql"), "CREATE TABLE a ()").unwrap();
    let before = hash_of(&folder);
    assert_eq!(before, hash_of(&folder));
    fs::write(folder.join("1_first/up.sql"), "CREATE TABLE b ()").unwrap();
    let changed = hash_of(&folder);
    fs::rename(folder.join("1_first"), folder.join("2_first")).unwrap();
    assert!(before != changed && changed != hash_of(&folder));
    fs::remove_dir_all(&folder).unwrap();
}
