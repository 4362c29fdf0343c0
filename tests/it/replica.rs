//! Reports, exports and searches from a streaming replica: a pair of servers of the test's own.

use crate::postgres::{Folder, kill_hard, pid_of, start, wait_for};
use crate::support::app::{Answer, PASSWORD, SECRET, person, settings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use penstock::identity::bootstrap::{self, NewCompany, NewPerson};
use penstock::platform::connect::Target;
use penstock::platform::db::Db;
use penstock::platform::fitness;
use penstock::platform::migrations;
use penstock::platform::postgres::{PrivateServer, Purpose};
use penstock::server::{self, Running};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a statement of the service begins with that searches everywhere.
const SEARCHES: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock' \
     AND pid <> pg_backend_pid() AND query LIKE '%search_entries%'";

/// A replica, which ends with the test.
struct Standby {
    process: Child,
    url: String,
}

impl Drop for Standby {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        let _ = kill(pid, Signal::SIGQUIT);
        self.process.wait().unwrap();
    }
}

impl Standby {
    /// Of the data that a stopped server left, to follow it as soon as it is up again.
    async fn of(program: &Path, data: &Path, port: &str, sockets: &Path) -> Standby {
        let own = sockets.join("replica");
        let copied = Command::new("cp").arg("-a").arg(data).arg(&own).status();
        assert!(copied.unwrap().success());
        fs::write(own.join("standby.signal"), "").unwrap();
        let owner = fs::metadata(data).unwrap();
        let mut postgres = Command::new(program);
        if nix::unistd::Uid::effective().is_root() {
            postgres.gid(owner.gid()).uid(owner.uid());
        }
        let conninfo = format!(
            "primary_conninfo=host={} port={port} user=postgres",
            sockets.display()
        );
        let folder = format!("unix_socket_directories={}", own.display());
        for setting in [
            conninfo.as_str(),
            &folder,
            "max_connections=100",
            "listen_addresses=",
            "wal_retrieve_retry_interval=50ms",
        ] {
            postgres.arg("-c").arg(setting);
        }
        let log = fs::File::create(sockets.join("replica.log")).unwrap();
        let postgres = postgres.arg("-D").arg(&own).stdout(Stdio::null()).stderr(log);
        let process = postgres.spawn().unwrap();
        let folder = own.display().to_string().replace('/', "%2F");
        let standby = Standby {
            process,
            url: format!("postgres://postgres@{folder}:{port}/penstock"),
        };
        let pid_file = own.join("postmaster.pid");
        wait_for("the replica is ready", || {
            fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready"))
        })
        .await;
        standby
    }
}

async fn asked(url: &str, question: &str) -> i64 {
    let (client, line) = Target::new(url).unwrap().connect().await.unwrap();
    let line = tokio::spawn(line);
    let answer = client.query_one(question, &[]).await.unwrap().get(0);
    line.abort();
    answer
}

async fn told(url: &str, statement: &str) {
    let (client, line) = Target::new(url).unwrap().connect().await.unwrap();
    let line = tokio::spawn(line);
    client.batch_execute(statement).await.unwrap();
    line.abort();
}

/// The same database, under which its sessions bear this name.
fn named(url: &str, name: &str) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}application_name={name}")
}

/// A service over a pair of servers, and who may call it.
struct Pair {
    standby: Standby,
    primary: PrivateServer,
    url: String,
    running: Running,
    token: String,
    _folder: Folder,
}

impl Pair {
    async fn new() -> Pair {
        let folder = Folder::new();
        let chosen = folder.settings(Purpose::Durable);
        let primary = start(&chosen).await;
        primary.create_database_if_missing("penstock").await.unwrap();
        let url = primary.url("penstock");
        migrations::run(&url).await.unwrap();
        let made = company(&url).await;
        let program = fs::read_link(format!("/proc/{}/exe", pid_of(&primary))).unwrap();
        let (port, sockets) = place(&chosen.folder.join("data"));
        primary.stop().await;
        let standby = Standby::of(&program, &chosen.folder.join("data"), &port, &sockets).await;
        let primary = start(&chosen).await;
        while asked(
            &url,
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
        )
        .await
            == 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut config = settings();
        config.database_read_url = Some(standby.url.clone());
        config.database_coordinator_url = Some(named(&url, "coordinator"));
        let platform = server::platform(&config, SECRET).unwrap();
        let running = server::start(&config, &url, platform).await.unwrap();
        let token = person(made.tenant, made.administrator, String::new()).await.token;
        Pair {
            standby,
            primary,
            url,
            running,
            token,
            _folder: folder,
        }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("http://{}{path}", self.running.address);
        let request = reqwest::Client::new()
            .request(method, url)
            .bearer_auth(&self.token);
        Answer::of(request.json(&body)).await
    }

    async fn make_account(&self, name: &str) {
        let made = self
            .call(Method::POST, "/v1/accounts", json!({ "name": name }))
            .await;
        made.expect(201);
    }

    async fn finds(&self, name: &str) -> bool {
        let path = format!("/v1/search?q={name}");
        let hits = self.call(Method::GET, &path, Value::Null).await.expect(200);
        hits["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|hit| hit["name"] == name)
    }

    /// Rows of an export of all accounts.
    async fn exports(&self) -> i64 {
        let wanted = json!({ "resource": "account", "format": "csv" });
        let job = self.call(Method::POST, "/v1/exports", wanted).await.expect(202);
        let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
        for _ in 0..150 {
            let job = self.call(Method::GET, &path, Value::Null).await.expect(200);
            if job["state"] == "done" {
                return job["result"]["rows"].as_i64().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the export did not end");
    }

    async fn stop(self) {
        self.running.stop().await;
        self.primary.stop().await;
    }
}

/// Port and socket folder of the server that these data are of.
fn place(data: &Path) -> (String, PathBuf) {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let mut lines = text.lines().skip(3).map(str::to_owned);
    let port = lines.next().unwrap();
    (port, PathBuf::from(lines.next().unwrap()))
}

async fn company(url: &str) -> bootstrap::Made {
    let new = NewCompany {
        name: "副本".to_owned(),
        slug: "replica".to_owned(),
        time_zone: "Asia/Shanghai".to_owned(),
        currency: "CNY".to_owned(),
        locale: "en".to_owned(),
        sandbox_now: None,
        administrator: NewPerson {
            name: "员".to_owned(),
            email: "a@replica.example".to_owned(),
            password: PASSWORD.to_owned(),
        },
    };
    let db = Db::new(url, 1).unwrap();
    tokio::task::LocalSet::new()
        .run_until(bootstrap::make_company(&db, &new, penstock::app::SHIPS))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_written_is_found_whether_or_not_the_replica_has_it_yet() {
    let mut pair = Pair::new().await;
    fitness::require_replica(&pair.url, &pair.standby.url)
        .await
        .unwrap();
    for number in 0..20 {
        let name = format!("Anton{number}");
        pair.make_account(&name).await;
        assert!(pair.finds(&name).await, "{name}");
    }
    assert_eq!(pair.exports().await, 20);
    assert!(
        asked(&pair.standby.url, SEARCHES).await > 0,
        "the replica was searched"
    );
    let speed = pair.call(Method::GET, "/v1/figures/speed-to-lead", Value::Null);
    speed.await.expect(200);

    told(&pair.standby.url, "SELECT pg_wal_replay_pause()").await;
    for name in ["Berta", "Caesar"] {
        pair.make_account(name).await;
        assert!(pair.finds(name).await, "a replica that is behind is not asked");
    }
    assert_eq!(pair.exports().await, 22);

    kill_hard(pair.standby.process.id());
    pair.standby.process.wait().unwrap();
    pair.make_account("Dora").await;
    assert!(
        pair.finds("Dora").await,
        "a replica that is gone is missed by nobody"
    );

    let leases = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coordinator'";
    assert!(asked(&pair.url, leases).await > 0);
    let elsewhere = "SELECT count(*) FROM pg_stat_activity WHERE application_name <> 'coordinator' \
         AND pid <> pg_backend_pid() AND query LIKE '%UPDATE leases%'";
    assert_eq!(asked(&pair.url, elsewhere).await, 0);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_promoted_is_asked_no_more() {
    let pair = Pair::new().await;
    pair.make_account("Anton").await;
    assert!(pair.finds("Anton").await);
    let standby = &pair.standby.url;
    told(standby, "SELECT pg_promote()").await;
    told(standby, "DELETE FROM search_entries").await;
    let before = asked(standby, SEARCHES).await;
    assert!(before > 0, "it was searched while it was a replica");
    assert!(pair.finds("Anton").await, "it has gone its own way");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_other_data_is_no_replica() {
    let folder = Folder::new();
    let other = start(&folder.settings(Purpose::Throwaway)).await;
    let url = &crate::support::app::server().await.url;
    let refused = fitness::require_replica(url, &other.url("postgres")).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("DATABASE_READ_URL"), "{refused}");
    other.stop().await;
    let gone = fitness::require_replica(url, &other_url(&folder)).await;
    assert!(gone.is_ok(), "{gone:?}");
}

fn other_url(folder: &Folder) -> String {
    let sockets = folder.settings(Purpose::Throwaway).folder;
    let sockets = sockets.display().to_string().replace('/', "%2F");
    format!("postgres://postgres@{sockets}/postgres")
}
