//! Installs Postgres where that was allowed and none was found.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use super::StartError;

/// Keeps the distribution from making and starting a server of its own beside ours.
const CLUSTER_SETTINGS: &str = "/etc/postgresql-common/createcluster.d/penstock.conf";

/// Installs by the first means this machine has, saying so on stderr. `own` is a folder of ours
/// for programs, `wanted` the major version when only that one will do.
pub(super) fn install(own: &Path, wanted: Option<u32>) -> Result<(), StartError> {
    let is_root = Uid::effective().is_root();
    if is_root && has("apt-get") {
        return by_apt(wanted);
    }
    if !is_root && has("brew") {
        let formula = format!("postgresql@{}", wanted.unwrap_or(17));
        return run(Command::new("brew").args(["install", &formula]));
    }
    // Only the newest version can be had there by name.
    if wanted.is_none() && has("npm") && npm_platform().is_some() {
        return by_npm(own);
    }
    Err(StartError::NotFound)
}

/// Where `by_npm` puts the programs.
pub(super) fn npm_binaries(own: &Path) -> PathBuf {
    npm_package(own).join("native/bin")
}

fn by_apt(wanted: Option<u32>) -> Result<(), StartError> {
    let settings = Path::new(CLUSTER_SETTINGS);
    if let Some(folder) = settings.parent() {
        fs::create_dir_all(folder).map_err(StartError::on("make", folder))?;
    }
    fs::write(settings, "create_main_cluster = false\n").map_err(StartError::on("write", settings))?;
    let package = wanted.map_or("postgresql".to_owned(), |major| format!("postgresql-{major}"));
    let attempt = || run(apt().args(["install", "--yes", "--no-install-recommends", &package]));
    // A fresh container has no package lists.
    attempt().or_else(|_| run(apt().arg("update")).and_then(|()| attempt()))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn by_npm(own: &Path) -> Result<(), StartError> {
    fs::create_dir_all(own).map_err(StartError::on("make", own))?;
    let package = format!("@embedded-postgres/{}", npm_platform().unwrap_or_default());
    let quiet = [
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
    ];
    run(Command::new("npm").args(quiet).arg(own).arg(package))?;
    // A package cannot hold links, so a script of its makes them. Newer versions of npm do not run
    // it by themselves.
    run(Command::new("node")
        .arg("scripts/hydrate-symlinks.js")
        .current_dir(npm_package(own)))
}

fn npm_package(own: &Path) -> PathBuf {
    own.join("node_modules/@embedded-postgres")
        .join(npm_platform().unwrap_or_default())
}

fn npm_platform() -> Option<&'static str> {
    match (OS, ARCH) {
        ("linux", "x86_64") => Some("linux-x64"),
        ("linux", "aarch64") => Some("linux-arm64"),
        ("macos", "x86_64") => Some("darwin-x64"),
        ("macos", "aarch64") => Some("darwin-arm64"),
        _ => None,
    }
}

fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|answer| answer.status.success())
}

fn run(command: &mut Command) -> Result<(), StartError> {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .collect();
    let spelled = words.join(" ".as_ref()).to_string_lossy().into_owned();
    eprintln!("PostgreSQL was not found; installing it: {spelled}");
    let failed = |reason| StartError::Install {
        command: spelled,
        reason,
    };
    let answer = match command.output() {
        Ok(answer) => answer,
        Err(e) => return Err(failed(e.to_string())),
    };
    if answer.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    Err(failed(format!("{}, {}", answer.status, said.trim())))
}
