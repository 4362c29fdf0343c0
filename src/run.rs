//! What the subcommands do.

use crate::app;
use crate::config::Config;
use crate::demo;
use crate::identity::bootstrap::{NewCompany, NewPerson, make_company};
use crate::identity::sandbox;
use crate::kernel::fault::Fault;
use crate::platform::connect::{ConnectError, Target};
use crate::platform::contract::Contract;
use crate::platform::db::Db;
use crate::platform::postgres::{PrivateServer, Purpose, Settings};
use crate::platform::tokens;
use crate::platform::{fitness, grants, migrations};
use crate::server::{self, Running};
use clap::Args;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Most lines that wait to be written to the log; room for all of them is taken at the start.
const MOST_LINES: usize = 32_768;

/// Name of the private server's database.
const DATABASE: &str = "penstock";

/// Sets up the log: to standard error, never blocking a request. The guard writes out what is left when dropped.
pub fn logging(config: &Config) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MOST_LINES)
        .finish(std::io::stderr());
    let filter = tracing_subscriber::EnvFilter::new(&config.log_filter);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    if config.is_log_json {
        log.json().flatten_event(true).init()
    } else {
        log.init()
    }
    guard
}

/// The OpenAPI document as it is committed.
pub fn openapi() -> String {
    Contract::new(&app::document()).text
}

/// Where the database is, and the server to stop at the end if we started it.
struct Database {
    url: String,
    server: Option<PrivateServer>,
}

impl Database {
    /// Opens the database there is, or makes one.
    async fn open(config: &Config, may_install: bool) -> Result<Database, Failure> {
        let database = Database::find(config, may_install).await?;
        if let Some(server) = &database.server {
            server.create_database_if_missing(DATABASE).await?;
        }
        Ok(database)
    }

    async fn find(config: &Config, may_install: bool) -> Result<Database, Failure> {
        if let Some(url) = &config.database_url {
            return Ok(Database {
                url: url.clone(),
                server: None,
            });
        }
        let settings = Settings {
            folder: config.data_dir.join("pg"),
            purpose: Purpose::Durable,
            may_install,
        };
        let server = PrivateServer::start(&settings).await?;
        Ok(Database {
            url: server.url(DATABASE),
            server: Some(server),
        })
    }

    async fn close(self) {
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

/// `penstock demo`
///
/// # Errors
/// Whatever keeps it from starting, in words.
pub async fn demo(config: Config) -> Result<(), Failure> {
    fs::create_dir_all(&config.data_dir)
        .map_err(|error| format!("PENSTOCK_DATA_DIR {}: {error}", config.data_dir.display()))?;
    let secret = match &config.secret {
        Some(_) => config.strong_secret()?.to_owned(),
        None => kept_secret(&config.data_dir.join("secret"))?,
    };
    let database = Database::open(&config, true).await?;
    let outcome = demo_on(&config, &database.url, &secret).await;
    database.close().await;
    outcome
}

async fn demo_on(config: &Config, url: &str, secret: &str) -> Result<(), Failure> {
    let running = prepare(config, url, secret).await?;
    let facts = demo::seed(&config.data_dir, url, running.address).await;
    match facts {
        Ok(facts) => {
            match config.is_log_json {
                // Passwords belong on the terminal, not into a log.
                true => {
                    tracing::info!("the demo is ready; who is who stands in demo.json in the data directory")
                }
                false => println!("{facts}"),
            }
            until_told_to_stop(config).await?;
            running.stop().await;
            Ok(())
        }
        Err(error) => {
            running.stop().await;
            Err(error)
        }
    }
}

/// `penstock serve`
///
/// # Errors
/// Whatever keeps it from starting, in words.
pub async fn serve(config: Config) -> Result<(), Failure> {
    let secret = config.strong_secret()?.to_owned();
    let url = config
        .database_url
        .clone()
        .ok_or("DATABASE_URL is not set; `penstock demo` brings a Postgres of its own")?;
    let running = prepare(&config, &url, &secret).await?;
    say(
        &config,
        format!(
            "Penstock listens on http://{}; its documentation is at /docs/",
            running.address
        ),
    );
    until_told_to_stop(&config).await?;
    running.stop().await;
    Ok(())
}

/// Tells whoever started it, among the log lines in their form where these are for machines.
fn say(config: &Config, text: impl std::fmt::Display) {
    match config.is_log_json {
        true => tracing::info!("{text}"),
        false => println!("{text}"),
    }
}

/// Checks the database, migrates it, and starts the server.
async fn prepare(config: &Config, url: &str, secret: &str) -> Result<Running, Failure> {
    config.strong_previous_secret()?;
    let durable = fitness::require_durable(url).await;
    durable.map_err(|error| naming(config, url, error))?;
    migrate_as_owner(config, url).await?;
    if config.database_url.is_some() {
        for doubt in fitness::doubts(url).await? {
            tracing::warn!("{doubt}");
        }
    }
    if let Some(read_url) = &config.database_read_url {
        fitness::require_replica(url, read_url).await?;
    }
    if let Some(coordinator) = &config.database_coordinator_url {
        let reached = Target::new(coordinator)?.connect().await;
        drop(reached.map_err(|error| naming(config, coordinator, error.into()))?);
    }
    server::start(config, url, server::platform(config, secret)?).await
}

/// Names the variable whose URL leads to no database, for whoever has to mend it.
fn naming(config: &Config, url: &str, error: Failure) -> Failure {
    let known = [
        ("DATABASE_URL", &config.database_url),
        ("DATABASE_ADMIN_URL", &config.database_admin_url),
        ("DATABASE_COORDINATOR_URL", &config.database_coordinator_url),
        ("DATABASE_READ_URL", &config.database_read_url),
    ];
    let named = known.iter().find(|(_, known)| known.as_deref() == Some(url));
    match named {
        Some((variable, _)) if error.is::<ConnectError>() => format!("{variable}: {error}").into(),
        _ => error,
    }
}

/// Says what to do where the server's own role was asked to change the schema.
fn for_its_owner(error: Failure) -> Failure {
    if error.is::<ConnectError>() || !error.to_string().contains("permission denied") {
        return error;
    }
    format!("the schema is not up to date, and this role may not change it ({error}); run `penstock migrate` with DATABASE_ADMIN_URL").into()
}

/// Brings the schema up to date as its owner, and lets the server's own role do what it needs and no more. Answers how
/// many migrations ran.
async fn migrate_as_owner(config: &Config, url: &str) -> Result<usize, Failure> {
    let owner = config.database_admin_url.as_deref().unwrap_or(url);
    let ran = migrations::run(owner).await;
    let ran = ran.map_err(|error| naming(config, owner, for_its_owner(error)))?;
    if let Some(role) = config.server_role()?
        && grants::give(owner, &role).await?
    {
        tracing::info!(%role, "the server's database role may read and add, and change what is no history");
    }
    Ok(ran)
}

async fn until_told_to_stop(config: &Config) -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    say(config, "stopping: requests under way are finished first");
    Ok(())
}

/// The demo's secret: made once, kept readable by its owner alone.
fn kept_secret(path: &Path) -> Result<String, Failure> {
    if let Ok(secret) = fs::read_to_string(path) {
        return Ok(secret.trim().to_owned());
    }
    let secret = tokens::random_text()?;
    write_private(path, &secret)?;
    Ok(secret)
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// `penstock migrate`
///
/// # Errors
/// When the database is out of reach or a migration fails.
pub async fn migrate(config: &Config) -> Result<(), Failure> {
    let url = config
        .database_admin_url
        .as_ref()
        .or(config.database_url.as_ref());
    let ran = migrate_as_owner(config, url.ok_or("DATABASE_URL is not set")?).await?;
    println!("{ran} migration(s) run; the schema is present");
    Ok(())
}

/// A company to be made from the command line.
#[derive(Args)]
pub struct Bootstrap {
    /// Name of the company
    #[arg(long)]
    company: String,
    /// Short name for sign-in, e.g. acme
    #[arg(long)]
    slug: String,
    /// E-mail of the first administrator
    #[arg(long)]
    email: String,
    /// Name of the first administrator
    #[arg(long, default_value = "Administrator")]
    name: String,
    /// Currency (ISO 4217)
    #[arg(long, default_value = "CNY")]
    currency: String,
    /// Time zone (IANA)
    #[arg(long, default_value = "Asia/Shanghai")]
    time_zone: String,
    /// Language: en, zh-CN or ru
    #[arg(long, default_value = "zh-CN")]
    locale: String,
    /// Password, at least 15 characters; better by the variable, since command lines can be seen by others
    #[arg(long, env = "PENSTOCK_ADMIN_PASSWORD", hide_env_values = true)]
    password: String,
}

/// `penstock bootstrap`
///
/// # Errors
/// When something given cannot be used: all of it is named, and nothing is begun.
pub async fn bootstrap(config: &Config, new: Bootstrap) -> Result<(), Failure> {
    let company = NewCompany {
        name: new.company,
        slug: new.slug,
        time_zone: new.time_zone,
        currency: new.currency,
        locale: new.locale,
        sandbox_now: None,
        administrator: NewPerson {
            name: new.name,
            email: new.email,
            password: new.password,
        },
    };
    let faults = sandbox::faults(&company)?;
    if !faults.is_empty() {
        return Err(options_in_words(&faults).into());
    }
    let database = Database::open(config, false).await?;
    migrate_as_owner(config, &database.url).await?;
    let db = Db::new(&database.url, 1)?;
    let made = make_company(&db, &company, app::SHIPS).await.map_err(in_words)?;
    println!(
        "made company {} with administrator {}",
        made.tenant, made.administrator
    );
    drop(db);
    database.close().await;
    Ok(())
}

/// The option that says what a member of a company to be is.
const OPTIONS: [(&str, &str); 4] = [
    ("/name", "--company"),
    ("/administrator/name", "--name"),
    ("/administrator/email", "--email"),
    ("/administrator/password", "--password"),
];

/// The faults of what was given, each on a line of its own.
fn options_in_words(faults: &[Fault]) -> String {
    let lines = faults.iter().map(|fault| {
        let option = OPTIONS.iter().find(|(pointer, _)| *pointer == fault.pointer);
        let option = option.map_or_else(
            || fault.pointer.replacen('/', "--", 1).replace('_', "-"),
            |(_, option)| (*option).to_owned(),
        );
        format!("\n  {option} {}", fault.message.en)
    });
    format!("nothing was made:{}", lines.collect::<String>())
}

/// A refusal as a person at a terminal reads it.
fn in_words(error: crate::kernel::error::AppError) -> Failure {
    let refusal = error.to_refusal();
    let faults = refusal
        .faults
        .iter()
        .map(|fault| format!("; {} {}", fault.pointer, fault.message.en));
    format!("{}{}", refusal.detail.en, faults.collect::<String>()).into()
}

/// Says in words why a database cannot be used, where the work itself would only say that it does not answer.
async fn reach(url: &str) -> Result<(), Failure> {
    Target::new(url)?.establish().await?;
    Ok(())
}

/// What `penstock check` exits with when it could not be made; 1 says that an invariant is broken.
const UNCHECKED: u8 = 3;

/// `penstock check`
pub async fn check(config: &Config) -> ExitCode {
    let database = match existing(config).await {
        Ok(database) => database,
        Err(error) => return unchecked(&error),
    };
    let outcome = check_on(config, &database.url).await;
    database.close().await;
    outcome.unwrap_or_else(|error| unchecked(&error))
}

fn unchecked(error: &Failure) -> ExitCode {
    eprintln!("penstock: the check could not be made: {error}");
    ExitCode::from(UNCHECKED)
}

/// The database that is there: none is made.
async fn existing(config: &Config) -> Result<Database, Failure> {
    let folder = config.data_dir.join("pg");
    if config.database_url.is_none() && !folder.join("data").join("PG_VERSION").is_file() {
        let here = config.data_dir.display();
        return Err(
            format!("DATABASE_URL is not set, and PENSTOCK_DATA_DIR {here} holds no database").into(),
        );
    }
    Database::find(config, false).await
}

/// Says why the database at `url` cannot be checked.
async fn require_present(config: &Config, url: &str) -> Result<(), Failure> {
    let reached = reach(url).await;
    reached.map_err(|error| naming(config, url, error))?;
    let missing = migrations::missing(url).await?;
    let Some(first) = missing.first() else {
        return Ok(());
    };
    if missing.len() == migrations::ALL.len() {
        return Err(
            "the database has no schema of Penstock's; is it the right one? `penstock migrate` would make it"
                .into(),
        );
    }
    let count = missing.len();
    Err(format!("the database's schema is old: {count} migration(s) have not run, from {first} on; run `penstock migrate` first").into())
}

async fn check_on(config: &Config, url: &str) -> Result<ExitCode, Failure> {
    require_present(config, url).await?;
    let findings = crate::check::run(url).await?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("every invariant holds");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} breach(es)", findings.len());
    Ok(ExitCode::FAILURE)
}

/// `penstock health`
///
/// # Errors
/// When the request cannot be made.
pub async fn health(config: &Config) -> Result<ExitCode, Failure> {
    let host = if config.listen.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        config.listen.ip()
    };
    let address = SocketAddr::new(host, config.listen.port());
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(3))
        .build()?;
    let answer = client
        .get(format!("http://{address}/health/ready"))
        .send()
        .await?;
    Ok(if answer.status().is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
