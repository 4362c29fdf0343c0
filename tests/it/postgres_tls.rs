//! TLS to Postgres: a server of each test's own, with certificates made for it, that lets hosts in by TLS only.

use crate::postgres::{Folder, kill_hard, pid_of, start, wait_for};
use crate::support::app::{SECRET, settings};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use penstock::kernel::problem::Code;
use penstock::platform::connect::Target;
use penstock::platform::db::Db;
use penstock::platform::migrations;
use penstock::platform::postgres::Purpose;
use penstock::server;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, SigningKey,
    date_time_ymd,
};
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::BitString;
use x509_cert::der::{Decode, Encode};

const PASSWORD: &str = "only-for-this-test";

/// Sockets and, by network, `postgres` with TLS only, `app` with a password over TLS, `plain` without TLS only.
const WHO_MAY: &str = "\
local all all trust
hostssl all postgres 127.0.0.1/32 trust
hostssl all app 127.0.0.1/32 scram-sha-256
hostnossl all plain 127.0.0.1/32 trust
";

/// An authority of one test.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Authority {
        Authority::named("Authority of a test")
    }

    fn named(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Authority { params, key }
    }

    fn pem(&self) -> String {
        self.params.self_signed(&self.key).unwrap().pem()
    }

    fn certify(&self, name: &str) -> Shown {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).unwrap().pem(), key)
    }
}

/// What a server shows: its certificate in PEM, and the key to it.
type Shown = (String, KeyPair);

/// Signed by itself, as `openssl req -x509` makes them, and good until that year.
fn by_itself(until: i32) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(until, 1, 1);
    (params.self_signed(&key).unwrap(), key)
}

/// Without extensions, as `openssl x509 -req` makes them where nothing else is said.
fn of_version_1() -> Shown {
    let (certificate, key) = by_itself(2090);
    let mut old = x509_cert::Certificate::from_der(certificate.der()).unwrap();
    old.tbs_certificate.version = Version::V1;
    old.tbs_certificate.extensions = None;
    let signature = key.sign(&old.tbs_certificate.to_der().unwrap()).unwrap();
    old.signature = BitString::from_bytes(&signature).unwrap();
    let text = STANDARD.encode(old.to_der().unwrap());
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines = lines.collect::<Vec<_>>().join("\n");
    (
        format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"),
        key,
    )
}

/// A Postgres that is reached by network; it ends with the test.
struct Server {
    _folder: Folder,
    sockets: PathBuf,
    port: u16,
    postgres: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.postgres.id()).unwrap());
        kill(pid, Signal::SIGQUIT).unwrap();
        self.postgres.wait().unwrap();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Writes a file that Postgres takes for its own.
fn write_for(owner: &Path, path: &Path, text: &str) {
    let owner = fs::metadata(owner).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

impl Server {
    async fn presenting(certificate: &Shown) -> Server {
        let folder = Folder::new();
        let settings = folder.settings(Purpose::Throwaway);
        let private = start(&settings).await;
        let program = fs::read_link(format!("/proc/{}/exe", pid_of(&private))).unwrap();
        private.stop().await;

        let (sockets, port) = (settings.folder.clone(), free_port());
        let data = sockets.join("data");
        write_for(&data, &data.join("pg_hba.conf"), WHO_MAY);
        write_certificate(&data, certificate);
        let mut postgres = Command::new(program);
        if nix::unistd::Uid::effective().is_root() {
            let owner = fs::metadata(&data).unwrap();
            postgres.gid(owner.gid()).uid(owner.uid());
        }
        for setting in [
            &format!("unix_socket_directories={}", sockets.display()),
            &format!("port={port}"),
            "listen_addresses=127.0.0.1",
            "ssl=on",
        ] {
            postgres.arg("-c").arg(setting);
        }
        let log = fs::File::create(sockets.join("tls.log")).unwrap();
        let postgres = postgres
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Server {
            _folder: folder,
            sockets,
            port,
            postgres,
        };
        let pid_file = data.join("postmaster.pid");
        wait_for("the server with TLS is ready", || {
            fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready"))
        })
        .await;
        server
    }

    /// From now on it shows another certificate.
    async fn present(&self, certificate: &Shown) {
        write_certificate(&self.sockets.join("data"), certificate);
        self.by_socket("SELECT pg_reload_conf()").await;
        // The postmaster is told by a signal.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    fn socket_url(&self) -> String {
        let folder = self.sockets.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}:{}/postgres", self.port)
    }

    async fn by_socket(&self, statement: &str) {
        let (client, line) = connected(&self.socket_url()).await;
        client.batch_execute(statement).await.unwrap();
        line.abort();
    }

    fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        let port = self.port;
        format!("postgres://{user}:{PASSWORD}@{host}:{port}/postgres?{parameters}")
    }

    /// Whether a connection with these parameters speaks TLS, or why there is none.
    async fn try_with(&self, user: &str, host: &str, parameters: &str) -> Result<bool, String> {
        let url = self.url(user, host, parameters);
        let target = Target::new(&url).map_err(|error| error.to_string())?;
        let (client, line) = target.connect().await.map_err(|error| error.to_string())?;
        let line = tokio::spawn(line);
        let row = client.query_one(IS_ENCRYPTED, &[]).await.unwrap();
        line.abort();
        Ok(row.get::<_, String>(0) == "true")
    }

    /// A file with these roots.
    fn roots(&self, name: &str, pem: &str) -> String {
        let path = self.sockets.join(name);
        fs::write(&path, pem).unwrap();
        path.display().to_string()
    }
}

fn write_certificate(data: &Path, (certificate, key): &Shown) {
    write_for(data, &data.join("server.crt"), certificate);
    write_for(data, &data.join("server.key"), &key.serialize_pem());
}

const IS_ENCRYPTED: &str = "SELECT ssl::text AS said FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

async fn connected(url: &str) -> (tokio_postgres::Client, tokio::task::JoinHandle<()>) {
    let (client, line) = Target::new(url).unwrap().connect().await.unwrap();
    let line = tokio::spawn(async move { line.await.unwrap_or_default() });
    (client, line)
}

#[derive(diesel::QueryableByName)]
struct Said {
    #[diesel(sql_type = diesel::sql_types::Text)]
    said: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lets_nobody_in_without_tls_is_migrated_and_served() {
    let authority = Authority::new();
    let postgres = Server::presenting(&authority.certify("localhost")).await;
    let roots = postgres.roots("root.pem", &authority.pem());
    for parameters in [
        "sslmode=require".to_owned(),
        format!("sslmode=verify-full&sslrootcert={roots}"),
    ] {
        let url = postgres.url("postgres", "localhost", &parameters);
        migrations::run(&url).await.unwrap();
        let db = Db::new(&url, 1).unwrap();
        let by_reader = async |conn: &mut &diesel_async::AsyncPgConnection| {
            let asked = sql_query(IS_ENCRYPTED);
            Ok(asked.get_result::<Said>(conn).await?.said)
        };
        assert_eq!(db.read(by_reader).await.unwrap(), "true");
        let by_pool = async |conn: &mut diesel_async::AsyncPgConnection| {
            let asked = sql_query(IS_ENCRYPTED);
            Ok(asked.get_result::<Said>(conn).await?.said)
        };
        assert_eq!(db.bookkeep(by_pool).await.unwrap(), "true");
    }

    let url = postgres.url("postgres", "localhost", "sslmode=require");
    let config = settings();
    let platform = server::platform(&config, SECRET).unwrap();
    let running = server::start(&config, &url, platform).await.unwrap();
    let ready = reqwest::get(format!("http://{}/health/ready", running.address)).await;
    assert_eq!(ready.unwrap().status(), 200);
    let (client, line) = connected(&postgres.socket_url()).await;
    let counted = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) \
                   FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL";
    let row = client.query_one(counted, &[]).await.unwrap();
    let (encrypted, plain): (i64, i64) = (row.get(0), row.get(1));
    assert!(
        encrypted > 1 && plain == 0,
        "{encrypted} with TLS, {plain} without"
    );
    line.abort();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_killed_over_tls_is_an_outage_and_no_fault_of_ours() {
    let postgres = Server::presenting(&Authority::new().certify("localhost")).await;
    let db = Db::new(&postgres.url("postgres", "localhost", "sslmode=require"), 1).unwrap();
    let killed_at_work = async |conn: &mut diesel_async::AsyncPgConnection| {
        let whom = sql_query("SELECT pg_backend_pid()::text AS said");
        let whom = whom.get_result::<Said>(conn).await?.said;
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            kill_hard(whom.parse().unwrap());
        });
        let work = sql_query("SELECT pg_sleep(3)::text AS said");
        Ok(work.get_result::<Said>(conn).await?.said)
    };
    let outage = db.bookkeep(killed_at_work).await.unwrap_err();
    assert_eq!(outage.code(), Code::Unavailable, "{outage:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_verified_as_far_as_sslmode_says() {
    let authority = Authority::new();
    let postgres = Server::presenting(&authority.certify("localhost")).await;
    let right = postgres.roots("right.pem", &authority.pem());
    let wrong = postgres.roots("wrong.pem", &Authority::named("Another").pem());
    let namesake = postgres.roots("namesake.pem", &Authority::new().pem());
    let both = postgres.roots("both.pem", &(Authority::new().pem() + &authority.pem()));
    let with = async |host: &str, parameters: String| postgres.try_with("postgres", host, &parameters).await;
    let refused = async |host: &str, parameters: String, reason: &str| {
        let refused = with(host, parameters).await.unwrap_err();
        assert!(refused.contains(reason), "{refused}");
        assert!(!refused.contains(PASSWORD), "{refused}");
    };

    for parameters in [
        format!("sslmode=verify-full&sslrootcert={right}"),
        format!("sslmode=verify-full&sslrootcert={both}"),
        format!("sslmode=verify-ca&sslrootcert={right}"),
        format!("sslrootcert={right}"),
    ] {
        assert_eq!(with("localhost", parameters).await, Ok(true));
    }
    let by_address = async |mode: &str, roots: &str| {
        let parameters = format!("sslmode={mode}&sslrootcert={roots}");
        with("127.0.0.1", parameters).await
    };
    assert_eq!(by_address("verify-ca", &right).await, Ok(true));
    assert_eq!(by_address("require", &right).await, Ok(true));
    let other_name = format!("sslmode=verify-full&sslrootcert={right}");
    refused("127.0.0.1", other_name, "not valid for name \"127.0.0.1\"").await;
    for mode in ["verify-full", "verify-ca", "require"] {
        for roots in [&wrong, &namesake] {
            let parameters = format!("sslmode={mode}&sslrootcert={roots}");
            let reason =
                format!("sslmode={mode}: the server's certificate is signed by none of the roots in {roots}");
            refused("localhost", parameters, &reason).await;
        }
    }
    refused("localhost", "sslmode=verify-full".to_owned(), "this machine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_signed_by_itself_is_believed_when_it_is_the_root_until_it_expires() {
    let shown = |(certificate, key): (Certificate, KeyPair)| (certificate.pem(), key);
    let (own, expired) = (shown(by_itself(2090)), shown(by_itself(2001)));
    let postgres = Server::presenting(&own).await;
    let full = |name: &str, pem: &str| {
        let roots = postgres.roots(name, pem);
        format!("sslmode=verify-full&sslrootcert={roots}")
    };
    let known = full("own.pem", &own.0);
    assert_eq!(postgres.try_with("postgres", "localhost", &known).await, Ok(true));
    let by_address = postgres.try_with("postgres", "127.0.0.1", &known).await;
    assert!(by_address.unwrap_err().contains("not valid for name"));

    postgres.present(&expired).await;
    let refused = postgres.try_with("postgres", "localhost", &known).await;
    assert!(refused.is_err(), "another certificate than the one given");
    let known = full("expired.pem", &expired.0);
    let refused = postgres.try_with("postgres", "localhost", &known).await;
    assert!(refused.unwrap_err().contains("expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_version_1_encrypts_and_proves_nothing() {
    let old = of_version_1();
    let postgres = Server::presenting(&old).await;
    let roots = postgres.roots("old.pem", &old.0);
    let with = async |parameters: &str| postgres.try_with("postgres", "localhost", parameters).await;
    assert_eq!(with("sslmode=require").await, Ok(true));
    assert_eq!(with("").await, Ok(true));
    let verified = with(&format!("sslmode=verify-ca&sslrootcert={roots}")).await;
    assert!(verified.unwrap_err().contains("is of X.509 version 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_where_it_can_be_unless_it_is_switched_off() {
    let authority = Authority::new();
    let postgres = Server::presenting(&authority.certify("localhost")).await;
    let wrong = postgres.roots("wrong.pem", &Authority::named("Another").pem());
    postgres
        .by_socket(&format!(
            "CREATE ROLE plain LOGIN; CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"
        ))
        .await;
    let with = async |user: &str, parameters: &str| postgres.try_with(user, "127.0.0.1", parameters).await;

    assert_eq!(with("postgres", "").await, Ok(true));
    let off = with("postgres", "sslmode=disable").await.unwrap_err();
    assert!(
        off.contains("with sslmode=disable") && off.contains("no encryption"),
        "{off}"
    );
    assert_eq!(with("plain", "").await, Ok(false));
    assert_eq!(with("plain", "sslmode=disable").await, Ok(false));
    let required = with("plain", "sslmode=require").await.unwrap_err();
    assert!(required.contains("SSL encryption"), "{required}");
    let doubtful = format!("sslmode=prefer&sslrootcert={wrong}");
    assert_eq!(with("plain", &doubtful).await, Ok(false));
    let neither = with("postgres", &doubtful).await.unwrap_err();
    assert!(
        neither.contains("no encryption") && neither.contains("with TLS: the server's certificate"),
        "{neither}"
    );

    let bound = "sslmode=require&channel_binding=require";
    assert_eq!(with("app", bound).await, Ok(true));
    let unbound = with("app", "sslmode=disable&channel_binding=require").await;
    assert!(unbound.is_err());

    let url = format!("{}?sslmode=verify-full", postgres.socket_url());
    let (client, line) = connected(&url).await;
    let row = client.query_one(IS_ENCRYPTED, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "false");
    line.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_at_its_start_whose_certificate_it_does_not_believe_and_ends() {
    let postgres = Server::presenting(&Authority::new().certify("localhost")).await;
    let wrong = postgres.roots("wrong.pem", &Authority::named("Another").pem());
    let url = postgres.url("postgres", "localhost", "");
    let serve = |settings: &[(&str, &str)]| {
        let ended = Command::new(env!("CARGO_BIN_EXE_penstock"))
            .arg("serve")
            .env_clear()
            .envs(settings.iter().copied())
            .env("PENSTOCK_SECRET", SECRET)
            .env("PENSTOCK_LISTEN", "127.0.0.1:0")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && !said.contains(PASSWORD), "{said}");
        said
    };
    let said = serve(&[("DATABASE_URL", &url), ("DATABASE_SSLROOTCERT", &wrong)]);
    let reason = format!(
        "DATABASE_URL: cannot connect to Postgres at localhost:{} with sslmode=verify-full: \
         the server's certificate is signed by none of the roots in {wrong}",
        postgres.port
    );
    assert!(said.contains(&reason), "{said}");

    let (good, bad) = (format!("{url}sslmode=require"), format!("{url}sslmode=disable"));
    let said = serve(&[("DATABASE_URL", &good), ("DATABASE_ADMIN_URL", &bad)]);
    assert!(said.contains("DATABASE_ADMIN_URL: cannot connect"), "{said}");
    let said = serve(&[("DATABASE_URL", &format!("{url}sslmode=full"))]);
    assert!(
        said.contains("DATABASE_URL cannot be used: sslmode=full is none of"),
        "{said}"
    );
}
