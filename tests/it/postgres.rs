//! The private server under bad luck: each test has a server of its own in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use penstock::platform::postgres::{
    Condition, PrivateServer, Purpose, Settings, StartError, missing_extensions,
};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::support::db;

/// A folder that goes with the test; in memory where possible, because making a cluster is slow.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        Folder(base.join(format!("penstock-it-{}", Uuid::now_v7().simple())))
    }

    pub fn settings(&self, purpose: Purpose) -> Settings {
        Settings {
            folder: self.0.join("pg"),
            purpose,
            may_install: true,
        }
    }

    fn has_no_process(&self) -> bool {
        self.processes().is_empty()
    }

    /// The processes whose command line names this folder.
    fn processes(&self) -> Vec<u32> {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let name = self.0.to_string_lossy().into_owned();
        let named = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&name)
        };
        numbers.filter(named).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub async fn start(settings: &Settings) -> PrivateServer {
    PrivateServer::start(settings)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(url: &str, question: &str) -> T {
    connect(url).await.query_one(question, &[]).await.unwrap().get(0)
}

pub fn pid_of(server: &PrivateServer) -> u32 {
    match *server.condition().borrow() {
        Condition::Up { pid, .. } => pid,
        Condition::Down => panic!("the server is down"),
    }
}

pub fn kill_hard(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

pub async fn wait_for(what: &str, mut reached: impl FnMut() -> bool) {
    let since = Instant::now();
    while !reached() {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "waited 30 s in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A process that is no server, under the user that the server runs as.
fn stranger(owned_like: &Path) -> Child {
    use std::os::unix::{fs::MetadataExt, process::CommandExt};
    let owner = fs::metadata(owned_like).unwrap();
    let mut sleep = Command::new("sleep");
    if nix::unistd::Uid::effective().is_root() {
        sleep.gid(owner.gid()).uid(owner.uid());
    }
    sleep.arg("60").spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_comes_back_with_all_that_was_acknowledged() {
    let folder = Folder::new();
    let server = start(&folder.settings(Purpose::Durable)).await;
    assert!(server.is_ours() && server.is_up());
    server.create_database_if_missing("penstock").await.unwrap();
    server.create_database_if_missing("penstock").await.unwrap();
    let client = connect(&server.url("penstock")).await;
    client
        .batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)")
        .await
        .unwrap();

    let killed = pid_of(&server);
    let mut condition = server.condition();
    kill_hard(killed);
    condition.wait_for(|now| *now == Condition::Down).await.unwrap();
    condition.wait_for(|now| *now != Condition::Down).await.unwrap();

    assert_ne!(pid_of(&server), killed);
    assert!(server.is_ours());
    assert_eq!(
        ask::<i64>(&server.url("penstock"), "SELECT count(*) FROM kept").await,
        2
    );
    server.stop().await;
    assert!(folder.has_no_process());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_starter_adopts_the_server_and_leaves_it_running() {
    let folder = Folder::new();
    let settings = folder.settings(Purpose::Durable);
    let first = start(&settings).await;
    let second = start(&settings).await;
    assert!(first.is_ours() && !second.is_ours() && second.is_up());
    assert_eq!(first.url("postgres"), second.url("postgres"));
    assert_eq!(pid_of(&first), pid_of(&second));

    second.stop().await;
    assert!(first.is_up());
    assert_eq!(ask::<i32>(&first.url("postgres"), "SELECT 1").await, 1);
    first.stop().await;
    assert!(folder.has_no_process());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopter_takes_over_when_the_first_starter_stops_the_server() {
    let folder = Folder::new();
    let settings = folder.settings(Purpose::Durable);
    let first = start(&settings).await;
    let second = start(&settings).await;
    first.stop().await;
    wait_for("the second owns the server", || second.is_ours()).await;
    assert_eq!(ask::<i32>(&second.url("postgres"), "SELECT 1").await, 1);
    second.stop().await;
    assert!(folder.has_no_process());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_starters_at_once_one_starts_the_server() {
    let folder = Folder::new();
    let settings = folder.settings(Purpose::Throwaway);
    let starts = std::iter::repeat_with(|| PrivateServer::start(&settings)).take(5);
    let servers: Vec<PrivateServer> = futures::future::try_join_all(starts).await.unwrap();
    let databases = servers
        .iter()
        .map(|server| server.create_database_if_missing("same"));
    futures::future::try_join_all(databases).await.unwrap();

    let (ours, adopted): (Vec<_>, Vec<_>) = servers.into_iter().partition(PrivateServer::is_ours);
    assert_eq!((ours.len(), adopted.len()), (1, 4));
    // The adopters first, or they would start it again.
    for server in adopted.into_iter().chain(ours) {
        server.stop().await;
    }
    assert!(folder.has_no_process());
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_beyond_ascii_are_letters() {
    let folder = Folder::new();
    let server = start(&folder.settings(Purpose::Throwaway)).await;
    let url = server.url("postgres");
    assert!(ask::<bool>(&url, "SELECT lower('ŁÓDŹ') = 'łódź' AND 'ŁÓDŹ' ILIKE 'łód_'").await);
    assert_eq!(ask::<String>(&url, "SHOW listen_addresses").await, "");
    assert_eq!(
        missing_extensions(&url, &["plpgsql", "no_such_extension"])
            .await
            .unwrap(),
        ["no_such_extension"]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_too_deep_for_a_socket_is_no_obstacle() {
    let folder = Folder::new();
    let mut settings = folder.settings(Purpose::Throwaway);
    settings.folder = folder.0.join("d".repeat(100)).join("pg");
    let server = start(&settings).await;
    assert_eq!(ask::<i32>(&server.url("postgres"), "SELECT 1").await, 1);
    let sockets: String = ask(&server.url("postgres"), "SHOW unix_socket_directories").await;
    server.stop().await;
    fs::remove_dir_all(sockets.trim_matches('"')).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pid_file_from_before_a_reboot_does_not_keep_the_server_down() {
    let folder = Folder::new();
    let settings = folder.settings(Purpose::Durable);
    start(&settings).await.stop().await;
    let data = settings.folder.join("data");
    let mut stranger = stranger(&data);
    let pid_file = data.join("postmaster.pid");
    let left = format!(
        "{}\n{}\n1\n5432\n{}\n\n  1  1\nready   \n",
        stranger.id(),
        data.display(),
        settings.folder.display()
    );
    fs::write(&pid_file, left).unwrap();
    std::os::unix::fs::chown(&pid_file, Some(owner(&data)), None).unwrap();

    let server = start(&settings).await;
    assert!(server.is_ours());
    server.stop().await;
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(folder.has_no_process());
}

fn owner(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn spoilt_data_end_the_start_with_the_words_of_postgres_and_throwaway_data_are_made_anew() {
    let folder = Folder::new();
    let durable = folder.settings(Purpose::Durable);
    start(&durable).await.stop().await;
    fs::remove_file(durable.folder.join("data/global/pg_control")).unwrap();

    let refused = PrivateServer::start(&durable).await.unwrap_err();
    assert!(
        matches!(&refused, StartError::Ended { tail, .. } if tail.contains("pg_control")),
        "{refused}"
    );
    assert!(durable.folder.join("data").exists());

    let server = start(&folder.settings(Purpose::Throwaway)).await;
    assert!(server.is_ours());
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_starter_that_is_killed_takes_its_server_along_and_the_next_starts_it_again() {
    let folder = Folder::new();
    let this = std::env::current_exe().unwrap();
    let mut starter = Command::new(this)
        .args(["--exact", "--ignored", "postgres::a_starter_to_be_killed"])
        .env("PENSTOCK_IT_FOLDER", &folder.0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let log = folder.0.join("pg/log");
    let is_ready = || fs::read_to_string(&log).is_ok_and(|log| log.contains("ready to accept connections"));
    wait_for("the starter's server is ready", is_ready).await;
    starter.kill().unwrap();
    starter.wait().unwrap();
    wait_for("the server is gone", || folder.has_no_process()).await;

    let server = start(&folder.settings(Purpose::Durable)).await;
    assert!(server.is_ours());
    server.stop().await;
    assert!(folder.has_no_process());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process for the test above, not a test"]
async fn a_starter_to_be_killed() {
    let Some(folder) = std::env::var_os("PENSTOCK_IT_FOLDER") else {
        return;
    };
    let settings = Settings {
        folder: PathBuf::from(folder).join("pg"),
        purpose: Purpose::Durable,
        may_install: false,
    };
    let _server = start(&settings).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_databases_are_separate_copies_of_a_template_built_once() {
    let template = format!("tpl_it_{}", Uuid::now_v7().simple());
    let built = std::sync::atomic::AtomicU32::new(0);
    let migrate = |url: String| {
        built.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            connect(&url)
                .await
                .batch_execute("CREATE TABLE seen (n int)")
                .await
        }
    };
    let copies = futures::future::join_all((0..4).map(|_| db::copy_of(&template, migrate))).await;
    assert_eq!(built.into_inner(), 1);

    connect(&copies[0])
        .await
        .batch_execute("INSERT INTO seen VALUES (1)")
        .await
        .unwrap();
    assert_eq!(ask::<i64>(&copies[0], "SELECT count(*) FROM seen").await, 1);
    assert_eq!(ask::<i64>(&copies[1], "SELECT count(*) FROM seen").await, 0);
}
