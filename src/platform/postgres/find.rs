//! Finds the Postgres programs on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::StartError;
use super::install;

/// The oldest major version that will do.
pub(super) const OLDEST: u32 = 15;

/// A folder that holds `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    pub folder: PathBuf,
    pub major: u32,
}

/// The programs to run `data` with: the named ones, else the newest that suit. Data that exist
/// demand the version that made them. `own` is the folder of programs we installed ourselves.
pub(super) fn find(data: &Path, own: &Path) -> Result<Binaries, StartError> {
    let wanted = version_of(data);
    let found = match env::var_os("PENSTOCK_PG_BIN").filter(|name| !name.is_empty()) {
        Some(named) => {
            vec![inspect(Path::new(&named)).ok_or_else(|| StartError::BadBinaries(named.into()))?]
        }
        None => search(own),
    };
    match (choose(&found, wanted), wanted) {
        (Some(chosen), _) => Ok(chosen.clone()),
        (None, None) => Err(StartError::NotFound),
        (None, Some(wanted)) => Err(StartError::OtherVersion {
            data: data.to_owned(),
            wanted,
            found,
        }),
    }
}

/// The major version that made the data, when there are any.
pub(super) fn version_of(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The newest, or the one of the wanted version; among equals the one found first.
fn choose(found: &[Binaries], wanted: Option<u32>) -> Option<&Binaries> {
    let suits = |one: &&Binaries| wanted.is_none_or(|major| major == one.major);
    found.iter().filter(suits).rev().max_by_key(|one| one.major)
}

fn search(own: &Path) -> Vec<Binaries> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in candidates(own)
        .iter()
        .filter_map(|folder| fs::canonicalize(folder).ok())
    {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders.iter().filter_map(|folder| inspect(folder)).collect()
}

fn candidates(own: &Path) -> Vec<PathBuf> {
    let mut folders = on_path();
    folders.extend(by_pg_config());
    folders.extend(each_below("/usr/lib/postgresql", "", "bin"));
    folders.extend(each_below("/usr", "pgsql-", "bin"));
    folders.extend(each_below("/opt/homebrew/opt", "postgresql@", "bin"));
    folders.extend(each_below("/usr/local/opt", "postgresql@", "bin"));
    folders.extend(each_below(
        "/Applications/Postgres.app/Contents/Versions",
        "",
        "bin",
    ));
    folders.push(install::npm_binaries(own));
    folders
}

/// Behind the links of the PATH: a distribution links single programs into a common folder.
fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let real = |folder: PathBuf| {
        Some(
            fs::canonicalize(folder.join("postgres"))
                .ok()?
                .parent()?
                .to_owned(),
        )
    };
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .filter_map(real)
        .collect()
}

fn by_pg_config() -> Option<PathBuf> {
    let answer = Command::new("pg_config").arg("--bindir").output().ok()?;
    answer
        .status
        .success()
        .then(|| PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()))
}

/// `<folder>/<prefix>*/<inner>`, in the order of the names.
fn each_below(folder: &str, prefix: &str, inner: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let mut folders: Vec<PathBuf> = named.map(|entry| entry.path().join(inner)).collect();
    folders.sort();
    folders
}

fn inspect(folder: &Path) -> Option<Binaries> {
    if !folder.join("initdb").is_file() {
        return None;
    }
    let answer = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let major = major_in(&String::from_utf8_lossy(&answer.stdout))?;
    (major >= OLDEST).then(|| Binaries {
        folder: folder.to_owned(),
        major,
    })
}

/// The major version in the answer to `postgres --version`.
fn major_in(answer: &str) -> Option<u32> {
    let number = answer.trim().strip_prefix("postgres (PostgreSQL) ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(majors: &[u32]) -> Vec<Binaries> {
        let at = |(place, &major): (usize, &u32)| Binaries {
            folder: format!("/{place}").into(),
            major,
        };
        majors.iter().enumerate().map(at).collect()
    }

    #[test]
    fn the_major_version_is_read_from_releases_betas_and_packaged_builds() {
        assert_eq!(
            major_in("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_in("postgres (PostgreSQL) 19beta2\n"), Some(19));
        assert_eq!(major_in("postgres (PostgreSQL) 9.6.24\n"), Some(9));
        assert_eq!(major_in("postgres: command not found"), None);
        assert_eq!(major_in(""), None);
    }

    #[test]
    fn the_newest_version_is_chosen_and_among_equals_the_first_found() {
        let found = installed(&[15, 17, 16, 17]);
        assert_eq!(choose(&found, None), Some(&found[1]));
    }

    #[test]
    fn existing_data_are_only_opened_by_the_version_that_made_them() {
        let found = installed(&[17, 15]);
        assert_eq!(choose(&found, Some(15)), Some(&found[1]));
        assert_eq!(choose(&found, Some(16)), None);
    }

    #[test]
    fn the_version_of_a_missing_data_folder_is_unknown() {
        assert_eq!(version_of(Path::new("/nonexistent")), None);
    }
}
