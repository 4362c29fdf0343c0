//! What a text is found by, and what a query asks for. Pure; both sides fold alike (`likeness::plain`: NFKC, case, accents,
//! traditional to simplified Chinese), so a hit never depends on spelling.
//!
//! Chinese, Japanese and Korean have no spaces: a run of such characters is entered as its overlapping pairs at
//! consecutive positions, and a query as the phrase of its pairs, which is exact containment. Other scripts are entered as
//! words, and asked for by their beginnings. A phone is entered as all its endings of four and more digits, so that the
//! beginning of an ending is any part of the number. Every term carries the mark of the kind of record, in upper case
//! when only some may read it.

mod index;
mod piece;
mod query;

#[cfg(test)]
mod tests;

pub use index::{Form, Source, vector};
pub use piece::{Piece, piece};
pub use query::{LEAST, MOST_WORDS, Query, Unfit};

use super::likeness::plain;

/// Longest term; what is longer is cut on both sides.
const LONGEST: usize = 40;

/// A part of a folded text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    /// A run of characters that are written without spaces.
    Run(Vec<char>),
    Word(String),
}

/// Whether a script is written without spaces between words: ideographs, kana, Hangul.
fn is_unspaced(letter: char) -> bool {
    matches!(letter, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The parts of a text, folded.
fn units(text: &str) -> Vec<Unit> {
    let folded = plain(text);
    let mut units = Vec::new();
    for word in folded.split(' ').filter(|word| !word.is_empty()) {
        let mut letters = word.chars().peekable();
        while let Some(first) = letters.next() {
            let is_run = is_unspaced(first);
            let mut part = vec![first];
            while let Some(next) = letters.next_if(|next| is_unspaced(*next) == is_run) {
                part.push(next);
            }
            units.push(if is_run {
                Unit::Run(part)
            } else {
                Unit::Word(part.into_iter().take(LONGEST).collect())
            });
        }
    }
    units
}

/// An address with what joins its parts as spaces.
fn parted(address: &str) -> String {
    address.replace(['.', '\''], " ")
}

/// The digits of a text that is a phone number and nothing else, or the beginning or end of one.
fn digits(text: &str) -> String {
    plain(text).chars().filter(char::is_ascii_digit).collect()
}
