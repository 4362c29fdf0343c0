//! The Postgres of the benchmark and its two databases: the server's, and its copy on which pgbench works.

use crate::Failure;
use penstock::platform::postgres::{Condition, PrivateServer, Purpose, Settings};
use std::path::PathBuf;
use tokio_postgres::{Client, NoTls};

const NAME: &str = "penstock_bench";
const COPY: &str = "penstock_bench_copy";

/// Where the data are.
pub struct Databases {
    private: Option<(PrivateServer, PathBuf)>,
    admin_url: String,
    /// The server's database.
    pub url: String,
    /// pgbench's.
    pub copy_url: String,
    /// The log of Postgres, when it can be read.
    pub log: Option<PathBuf>,
}

/// A connection whose work goes on in the background.
pub async fn connect(url: &str) -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The same server's database of another name.
fn with_database(url: &str, name: &str) -> Result<String, Failure> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let after_scheme = address.find("://").ok_or("DATABASE_URL is not a URL")? + 3;
    let end = address[after_scheme..]
        .find('/')
        .map_or(address.len(), |at| after_scheme + at);
    let joint = if query.is_empty() { "" } else { "?" };
    Ok(format!("{}/{name}{joint}{query}", &address[..end]))
}

impl Databases {
    /// Uses the server of `DATABASE_URL`, or starts a private one in a temporary folder.
    pub async fn start() -> Result<Databases, Failure> {
        let given = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
        let databases = match given {
            Some(url) => Databases {
                private: None,
                url: with_database(&url, NAME)?,
                copy_url: with_database(&url, COPY)?,
                admin_url: url,
                log: std::env::var_os("BENCH_POSTGRES_LOG").map(PathBuf::from),
            },
            None => Databases::private().await?,
        };
        databases.drop_all().await?;
        let admin = connect(&databases.admin_url).await?;
        admin
            .batch_execute(&format!("CREATE DATABASE {NAME} TEMPLATE template0"))
            .await?;
        Ok(databases)
    }

    async fn private() -> Result<Databases, Failure> {
        let folder = std::env::temp_dir().join(format!("penstock-bench-{}", std::process::id()));
        let settings = Settings {
            folder: folder.clone(),
            purpose: Purpose::Durable,
            may_install: false,
        };
        let private = PrivateServer::start(&settings).await?;
        Ok(Databases {
            admin_url: private.url("postgres"),
            url: private.url(NAME),
            copy_url: private.url(COPY),
            log: Some(folder.join("log")),
            private: Some((private, folder)),
        })
    }

    /// The postmaster's process, when it is ours.
    pub fn postmaster(&self) -> Option<u32> {
        let (private, _) = self.private.as_ref()?;
        match *private.condition().borrow() {
            Condition::Up { pid, .. } => Some(pid),
            Condition::Down => None,
        }
    }

    /// Makes pgbench's database as the server's is now.
    pub async fn copy(&self) -> Result<(), Failure> {
        let admin = connect(&self.admin_url).await?;
        self.end_sessions(&admin).await?;
        admin
            .batch_execute(&format!("CREATE DATABASE {COPY} TEMPLATE {NAME}"))
            .await?;
        Ok(())
    }

    async fn end_sessions(&self, admin: &Client) -> Result<(), Failure> {
        let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
        admin.query(sessions, &[&NAME]).await?;
        Ok(())
    }

    /// Whether new sessions of the server's database log each statement.
    pub async fn log_statements(&self, all: bool) -> Result<(), Failure> {
        let admin = connect(&self.admin_url).await?;
        let change = if all {
            "SET log_statement = 'all'"
        } else {
            "RESET log_statement"
        };
        admin
            .batch_execute(&format!("ALTER DATABASE {NAME} {change}"))
            .await?;
        Ok(())
    }

    /// What `penstock check` says of the database that was worked on.
    pub async fn check(&self) -> String {
        let command = tokio::process::Command::new(env!("CARGO_BIN_EXE_penstock"))
            .arg("check")
            .env("DATABASE_URL", &self.url)
            .env("PENSTOCK_SECRET", crate::server::SECRET)
            .output()
            .await;
        match command {
            Ok(output) if output.status.success() => "clean".to_owned(),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let said = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
                let lines = said.lines().collect::<Vec<_>>();
                let (first, last) = (lines.iter().take(3), lines.iter().skip(3).next_back());
                format!(
                    "{}: {}",
                    output.status,
                    first.chain(last).copied().collect::<Vec<_>>().join("; ")
                )
            }
            Err(error) => error.to_string(),
        }
    }

    async fn drop_all(&self) -> Result<(), Failure> {
        let admin = connect(&self.admin_url).await?;
        for name in [COPY, NAME] {
            admin
                .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                .await?;
        }
        Ok(())
    }

    /// Removes everything that was made.
    pub async fn stop(self) -> Result<(), Failure> {
        match self.private {
            None => self.drop_all().await,
            Some((private, folder)) => {
                private.stop().await;
                Ok(std::fs::remove_dir_all(folder)?)
            }
        }
    }
}
