//! pgbench over the same data: so many clients, prepared statements, for so long.

use crate::Failure;
use crate::machine;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// What pgbench came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub per_second: f64,
    /// Processor time of Postgres a transaction, in microseconds.
    pub postgres_micros: f64,
}

/// A run of pgbench.
pub struct Run<'a> {
    pub program: &'a Path,
    pub url: &'a str,
    pub script: &'a Path,
    pub clients: usize,
    pub seconds: u64,
    /// Numbers the run, so that its ids are its own.
    pub number: u64,
    /// The first deal that it may move.
    pub base: i64,
    pub postmaster_pid: Option<u32>,
}

/// The program: on the path, or where Debian and others keep it.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).collect::<Vec<_>>();
    let versions = (15..=18)
        .rev()
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    folders
        .into_iter()
        .chain(versions)
        .map(|folder| folder.join("pgbench"))
        .find(|file| file.is_file())
}

/// # Errors
/// When pgbench fails or a transaction of it does.
pub async fn run(run: Run<'_>) -> Result<Figures, Failure> {
    let before = run.postmaster_pid.map_or(0.0, machine::family_seconds);
    let output = Command::new(run.program)
        .args(["-n", "-M", "prepared", "-f"])
        .arg(run.script)
        .args(["-c", &run.clients.to_string()])
        .args(["-j", &run.clients.min(2).to_string()])
        .args(["-T", &run.seconds.to_string()])
        .args(["-D", "i=0"])
        .args(["-D", &format!("run={}", run.number)])
        .args(["-D", &format!("base={}", run.base)])
        .args(["-D", &format!("clients={}", run.clients)])
        .arg(run.url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = |before: &str| {
        let (_, rest) = said.split_once(before)?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    let is_whole = number("number of failed transactions: ") == Some(0.0);
    let (Some(per_second), Some(count), true) = (
        number("tps = "),
        number("number of transactions actually processed: "),
        output.status.success() && is_whole,
    ) else {
        return Err(format!("pgbench: {errors}{said}").into());
    };
    let spent = run.postmaster_pid.map_or(0.0, machine::family_seconds) - before;
    Ok(Figures {
        per_second,
        postgres_micros: spent * 1e6 / count,
    })
}
