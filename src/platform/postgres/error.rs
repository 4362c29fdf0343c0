use std::io;
use std::path::{Path, PathBuf};

use super::find::{Binaries, OLDEST};

/// Why there is no private server. Each text tells a person what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error("no PostgreSQL {OLDEST} or newer was found on this machine.\n{choices}", choices = choices(None))]
    NotFound,

    #[error(
        "the data in {} were made by PostgreSQL {wanted}, which was not found (found: {}).\n{choices}\n  \
         - or move the data to a newer version with `pg_upgrade` or `pg_dump`",
        data.display(), listed(found), choices = choices(Some(*wanted))
    )]
    OtherVersion {
        data: PathBuf,
        wanted: u32,
        found: Vec<Binaries>,
    },

    #[error("PENSTOCK_PG_BIN names {}, which does not hold `initdb` and `postgres` of version {OLDEST} or newer", .0.display())]
    BadBinaries(PathBuf),

    #[error("PostgreSQL is missing and could not be installed by `{command}`: {reason}\n{choices}", choices = choices(None))]
    Install { command: String, reason: String },

    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor a user `nobody` to run it as: \
         create one, or start Penstock as an ordinary user"
    )]
    NoOrdinaryUser,

    #[error(
        "PostgreSQL has to run as the user `{user}`, who may not enter {}: \
         set PENSTOCK_DATA_DIR to a folder outside of it, or open it with `chmod o+x`",
        closed.display()
    )]
    Closed { user: String, closed: PathBuf },

    #[error("cannot {doing} {}: {source}", path.display())]
    Folder {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("{} belongs to somebody else; remove it or set PENSTOCK_DATA_DIR to a shorter path", .0.display())]
    ForeignSocketFolder(PathBuf),

    #[error(
        "a PostgreSQL that was not started by Penstock runs on {} (process {pid}): \
         stop it, or set DATABASE_URL to use it as it is", data.display()
    )]
    ForeignServer { data: PathBuf, pid: u32 },

    #[error("cannot run {}: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },

    #[error("`initdb` could not make a database in {}:\n{output}", data.display())]
    Initdb { data: PathBuf, output: String },

    #[error("PostgreSQL ended while starting ({status}). The end of {}:\n{tail}", log.display())]
    Ended {
        status: String,
        log: PathBuf,
        tail: String,
    },

    #[error("PostgreSQL has been starting for {seconds} seconds and takes no connections yet; see {}", log.display())]
    TooSlow { seconds: u64, log: PathBuf },

    #[error("another process has been starting the server for {seconds} seconds and holds {}", lock.display())]
    Locked { seconds: u64, lock: PathBuf },

    #[error("the start was interrupted")]
    Interrupted,

    #[error("the database `{name}` could not be created: {}", spelled_out(source))]
    Database {
        name: String,
        source: tokio_postgres::Error,
    },
}

impl StartError {
    /// For `map_err` on anything done to a path.
    pub(super) fn on(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
        let path = path.to_owned();
        move |source| StartError::Folder { doing, path, source }
    }
}

fn choices(version: Option<u32>) -> String {
    let dashed = version.map(|major| format!("-{major}")).unwrap_or_default();
    let at = version
        .map(|major| format!("@{major}"))
        .unwrap_or_else(|| "@17".to_owned());
    format!(
        "Do one of these and start again:\n  \
         - install it: `apt-get install postgresql{dashed}`, `dnf install postgresql-server` or `brew install postgresql{at}`\n  \
         - set PENSTOCK_PG_BIN to the folder that holds `initdb` and `postgres`\n  \
         - set DATABASE_URL to a server that is already running"
    )
}

fn listed(found: &[Binaries]) -> String {
    if found.is_empty() {
        return "none".to_owned();
    }
    let each = |one: &Binaries| format!("{} in {}", one.major, one.folder.display());
    found.iter().map(each).collect::<Vec<_>>().join(", ")
}

/// The client library keeps the server's words in the source of the error.
fn spelled_out(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => error.to_string(),
    }
}
