//! The private Postgres server, for whoever has not named one in `DATABASE_URL`.
//!
//! A server is *adopted* when one already lives in the folder and *started* otherwise. A thread of
//! its own watches over it as long as the [`PrivateServer`] exists: a postmaster that dies is
//! started again, whoever had started it before. Reached by Unix socket only, never by network.

mod error;
mod find;
mod folder;
mod install;
mod keeper;
mod launch;
mod pidfile;
mod process;
mod settings;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use nix::unistd::{Uid, User};
use tokio::sync::{oneshot, watch};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use super::connect::Target;
pub use error::StartError;
use keeper::Order;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The port in the name of the socket. Nothing listens on the network, so it is never in the way.
const PORT: u16 = 5432;

/// Which server to run, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder for data, log and socket. Made when it is missing; absolute or relative.
    pub folder: PathBuf,
    pub purpose: Purpose,
    /// Whether Postgres may be installed on this machine when none is found.
    pub may_install: bool,
}

/// What the data are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Every acknowledged write survives a crash. The server ends with the process that started it.
    Durable,
    /// For tests: fast and forgetful, with room for many connections. The server outlives the
    /// process that started it, so that other processes can share it and the next run adopt it;
    /// only [`PrivateServer::stop`] ends it. Data it cannot start from are thrown away.
    Throwaway,
}

/// The state of the server as its keeper last saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The postmaster takes connections. `ours` is whether this process started it.
    Up { ours: bool, pid: u32 },
    /// The postmaster is gone and is being started again.
    Down,
}

/// A running private server. Dropping it is a `stop` in the background that nobody waits for,
/// except that a [`Purpose::Throwaway`] server stays.
#[derive(Debug)]
pub struct PrivateServer {
    socket_folder: PathBuf,
    orders: mpsc::Sender<Order>,
    condition: watch::Receiver<Condition>,
}

/// Where data go when nobody says: `/var/lib/penstock` for root (whose home is closed to the
/// unprivileged user that Postgres must run as), else the data folder of the user.
pub fn default_folder() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/var/lib/penstock");
    }
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return data.join("penstock");
    }
    let home = absolute("HOME").or_else(|| Some(User::from_uid(Uid::effective()).ok()??.dir));
    let below_home = if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else {
        ".local/share"
    };
    home.unwrap_or_default().join(below_home).join("penstock")
}

impl PrivateServer {
    /// Adopts the server that lives in the folder or starts one, making its data at the first
    /// start. Returns when it takes connections.
    ///
    /// # Errors
    /// Says in words for the person at the keyboard what stands in the way, and what to do.
    pub async fn start(settings: &Settings) -> Result<PrivateServer, StartError> {
        let (orders, inbox) = mpsc::channel();
        let (report, condition) = watch::channel(Condition::Down);
        let (tell, started) = oneshot::channel();
        keeper::spawn(settings.clone(), inbox, report, tell)?;
        let socket_folder = started.await.map_err(|_| StartError::Interrupted)??;
        Ok(PrivateServer {
            socket_folder,
            orders,
            condition,
        })
    }

    /// The address of a database of this server, as the superuser `postgres`, over the socket.
    pub fn url(&self, database: &str) -> String {
        url(&self.socket_folder, database)
    }

    /// Creates the database when there is none of that name; safe to call from several processes
    /// at once.
    ///
    /// # Errors
    /// [`StartError::Database`] with what Postgres said.
    pub async fn create_database_if_missing(&self, name: &str) -> Result<(), StartError> {
        let failed = |source| StartError::Database {
            name: name.to_owned(),
            source,
        };
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls)
            .await
            .map_err(failed)?;
        let pump = tokio::spawn(connection);
        let result = create_if_missing(&client, name).await.map_err(failed);
        drop(client);
        pump.abort();
        result
    }

    /// Whether the running server was started by this process rather than adopted.
    pub fn is_ours(&self) -> bool {
        matches!(*self.condition.borrow(), Condition::Up { ours: true, .. })
    }

    /// Whether the postmaster lives, for `/health/ready`. A death is noticed within a quarter of
    /// a second.
    pub fn is_up(&self) -> bool {
        matches!(*self.condition.borrow(), Condition::Up { .. })
    }

    /// Follows the state of the server. The receiver stays valid after the server is stopped.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.clone()
    }

    /// Ends the server if it is ours and returns when it is gone: fast shutdown, after 30 seconds
    /// immediate shutdown. An adopted server is left alone. Close the pools first.
    pub async fn stop(self) {
        let (tell, stopped) = oneshot::channel();
        if self.orders.send(Order::Stop(tell)).is_ok() {
            // An error only means that the keeper is gone, and the server with it.
            let _ = stopped.await;
        }
    }
}

async fn create_if_missing(client: &tokio_postgres::Client, name: &str) -> Result<(), tokio_postgres::Error> {
    let known = client
        .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
        .await?;
    if known.is_some() {
        return Ok(());
    }
    let quoted = name.replace('"', "\"\"");
    // template0 because nobody can be connected to it, which would make the copy fail.
    match client
        .batch_execute(&format!("CREATE DATABASE \"{quoted}\" TEMPLATE template0"))
        .await
    {
        // Somebody else was faster. Both codes occur, depending on how close the race was.
        Err(e) if e.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        Err(e) if e.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
        result => result,
    }
}

/// Which of the wanted extensions the server at `url` cannot offer. Ask before the first
/// migration: a missing one is a package to install, not a broken migration.
///
/// # Errors
/// When the server cannot be asked.
pub async fn missing_extensions(url: &str, wanted: &[&str]) -> Result<Vec<String>, Failure> {
    let (client, connection) = Target::new(url)?.connect().await?;
    let pump = tokio::spawn(connection);
    let missing = "SELECT w FROM unnest($1::text[]) AS w
        WHERE w NOT IN (SELECT name FROM pg_available_extensions) ORDER BY w";
    let rows = client.query(missing, &[&wanted]).await;
    drop(client);
    pump.abort();
    Ok(rows?.iter().map(|row| row.get(0)).collect())
}

fn url(socket_folder: &Path, database: &str) -> String {
    let host = percent_encoded(socket_folder.as_os_str().as_encoded_bytes());
    let database = percent_encoded(database.as_bytes());
    format!("postgres://postgres@{host}:{PORT}/{database}?application_name=penstock")
}

fn percent_encoded(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |&byte: &u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    bytes.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_any_folder_is_read_back_as_that_folder() {
        let folder = Path::new("/tmp/a b/ü%40?x=1");
        let read: tokio_postgres::Config = url(folder, "penstock/1").parse().unwrap();
        assert_eq!(
            read.get_hosts(),
            [tokio_postgres::config::Host::Unix(folder.to_owned())]
        );
        assert_eq!(read.get_dbname(), Some("penstock/1"));
        assert_eq!(read.get_user(), Some("postgres"));
        assert_eq!(read.get_application_name(), Some("penstock"));
    }
}
