//! Who may know whom: read from the `use crate::` lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Areas in the direction of the sales process: each may use those before it, and never one behind it.
const ORDER: &[&str] = &[
    "kernel",
    "platform",
    "identity",
    "catalog",
    "approval",
    "pipeline",
    "crm",
    "opportunity",
    "transfer",
    "view",
    "search",
    "insight",
];
/// Called by all, and calling only the foundation.
const SERVING: &[&str] = &["event", "time", "jobs"];
/// They assemble: nothing in an area may use them.
const ASSEMBLING: &[&str] = &["app", "server", "run", "demo", "check", "config"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn rank(area: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == area)
}

/// Why this area may not use that one.
fn forbidden(from: &str, to: &str) -> bool {
    if from == to || to == "schema" || ASSEMBLING.contains(&from) {
        return false;
    }
    if ASSEMBLING.contains(&to) {
        return true;
    }
    match (rank(from), rank(to)) {
        (Some(from), Some(to)) => to > from,
        (Some(_), None) => !SERVING.contains(&to),
        (None, Some(to)) => SERVING.contains(&from) && to > 2,
        (None, None) => false,
    }
}

#[test]
fn areas_know_only_those_before_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut broken = Vec::new();
    for file in files {
        let inner = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        // Unit tests may arrange with what later areas declare; nothing ships with them.
        if inner.ends_with("/tests.rs") {
            continue;
        }
        let from = inner
            .split('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            for part in line.split("crate::").skip(1) {
                let to = part
                    .split(|c: char| !c.is_ascii_lowercase() && c != '_')
                    .next()
                    .unwrap();
                if forbidden(&from, to) {
                    broken.push(format!("{inner}: {}", line.trim()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_kernel_knows_neither_http_nor_sql() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernel"),
        &mut files,
    );
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in ["actix", "diesel"] {
            assert!(
                !text.contains(&format!("use {word}")),
                "{} uses {word}",
                file.display()
            );
        }
    }
}

#[test]
fn connections_to_the_database_are_opened_in_one_place() {
    // The private server is reached by its socket, which speaks no TLS.
    let doors = ["platform/connect.rs", "platform/postgres/mod.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in files {
        let inner = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        if doors.contains(&inner.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for way in [
            "tokio_postgres::connect",
            "NoTls",
            "AsyncPgConnection::establish",
            "cancel_token(",
        ] {
            assert!(
                !text.contains(way),
                "{inner} goes by {way}: connections come from platform::connect"
            );
        }
    }
}

/// The names under which this text's types stand in the document.
fn component_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut described = false;
    let mut renamed = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[derive(") {
            described = line.contains("ToSchema");
            renamed = None;
        }
        if let Some((_, name)) = line.split_once("schema(as = ") {
            renamed = name.split([',', ')']).next().map(str::to_owned);
        }
        let Some((_, rest)) = line
            .split_once("struct ")
            .or_else(|| line.split_once("enum "))
            .filter(|(before, _)| described && (before.is_empty() || before.starts_with("pub")))
        else {
            continue;
        };
        let own = rest.split(|c: char| !c.is_alphanumeric()).next();
        names.extend(renamed.take().or(own.map(str::to_owned)));
        described = false;
    }
    names
}

#[test]
fn no_two_types_share_a_name_in_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut homes: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        for name in component_names(&fs::read_to_string(&file).unwrap()) {
            homes.entry(name).or_default().push(file.clone());
        }
    }
    assert!(homes.len() > 100, "the types of the document were found");
    homes.retain(|_, files| files.len() > 1);
    assert!(homes.is_empty(), "one of each would be lost: {homes:#?}");
}
