//! Who may know whom: read from the `use crate::` lines.

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
