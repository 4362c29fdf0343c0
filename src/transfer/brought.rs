//! What a file itself brings, for a trial that keeps nothing: a row may name an account of another row of the same file.

use super::draft::{Draft, Sought};
use super::plan::Plan;
use super::targets::EXTERNAL_ID;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Most names and ids that are noted: behind them rows are told that their parent is not there.
const MOST: usize = 100_000;

/// The names and foreign ids of rows that would have been taken, as numbers that stand for them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Brought(HashSet<u64>);

impl Brought {
    /// Notes what others may name a row by, in a trial of a file whose rows name others.
    pub fn note(&mut self, plan: &Plan, draft: &Draft) {
        if !plan.has("parent_id") {
            return;
        }
        let name = draft.members.get("name").and_then(|name| name.as_str());
        let external = draft.extras.get(EXTERNAL_ID).map(String::as_str);
        for text in [name, external].into_iter().flatten() {
            if self.0.len() < MOST {
                self.0.insert(number(text));
            }
        }
    }

    /// Takes the fault from those rows whose only one is that they name what the file itself brings.
    pub fn excuse(&self, drafts: &mut [Draft]) {
        let is_brought = |sought: &Sought| self.0.contains(&number(&sought.text));
        for draft in drafts.iter_mut().filter(|draft| is_waiting(draft)) {
            if draft.missing.iter().all(is_brought) {
                draft.faults.clear();
            }
        }
    }
}

/// A row whose only fault is that it names a record of its own kind, which may stand further down.
pub fn is_waiting(draft: &Draft) -> bool {
    !draft.faults.is_empty()
        && draft
            .faults
            .iter()
            .all(|fault| fault.code == "not_found" && fault.pointer == "/parent_id")
}

/// Sixty-three bits, which JSON and the database keep as they are.
fn number(text: &str) -> u64 {
    let digest = Sha256::digest(text.to_lowercase());
    let first = digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    first >> 1
}
