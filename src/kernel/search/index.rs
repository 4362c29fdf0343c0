//! Texts to terms.

use super::{Unit, digits, parted, units};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Fewest digits by which a phone is found.
pub(super) const LEAST_DIGITS: usize = 4;
/// Last position that Postgres keeps.
const LAST: usize = 16_000;
/// Most positions of one term.
const MOST_POSITIONS: usize = 200;
/// Bytes of terms after which the rest of a text is not entered; a `tsvector` has room for 1 MiB.
const MOST_BYTES: usize = 400_000;

/// How a text is cut into terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Words,
    Email,
    Phone,
}

/// One text of a record.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub text: &'a str,
    pub form: Form,
    /// How much a hit in it says: `A` for names, `B` for phones and e-mails, `D` for notes.
    pub weight: char,
    /// The mark of its terms.
    pub mark: char,
}

/// The terms of a record as a `tsvector` in text form.
pub fn vector(sources: &[Source<'_>]) -> String {
    let mut terms = Terms::default();
    for source in sources {
        match source.form {
            Form::Words => terms.words(source, source.text),
            Form::Email => terms.words(source, &parted(source.text)),
            Form::Phone => terms.phone(source),
        }
        // A phrase does not reach from one text into the next.
        terms.next += 2;
    }
    terms.written()
}

#[derive(Default)]
struct Terms {
    places: BTreeMap<String, Vec<(usize, char)>>,
    next: usize,
    bytes: usize,
}

impl Terms {
    fn add(&mut self, source: &Source<'_>, term: &str) {
        self.bytes += term.len();
        if self.bytes > MOST_BYTES {
            return;
        }
        let places = self.places.entry(format!("{}{term}", source.mark)).or_default();
        if places.len() < MOST_POSITIONS {
            places.push((self.next.clamp(1, LAST), source.weight));
        }
    }

    fn words(&mut self, source: &Source<'_>, text: &str) {
        for unit in units(text) {
            match unit {
                Unit::Word(word) => {
                    self.next += 1;
                    self.add(source, &word);
                }
                Unit::Run(letters) => self.run(source, &letters),
            }
        }
    }

    /// Pairs, and the last character by itself: every character then begins a term.
    fn run(&mut self, source: &Source<'_>, letters: &[char]) {
        for start in 0..letters.len() {
            self.next += 1;
            let term = letters[start..].iter().take(2).collect::<String>();
            self.add(source, &term);
        }
        // Two runs are never one, though nothing but a letter stands between them.
        self.next += 1;
    }

    fn phone(&mut self, source: &Source<'_>) {
        let digits = digits(source.text);
        self.next += 1;
        for start in 0..=digits.len().saturating_sub(LEAST_DIGITS) {
            if digits.len() >= LEAST_DIGITS {
                self.add(source, &format!("#{}", &digits[start..]));
            }
        }
    }

    fn written(self) -> String {
        let mut text = String::new();
        for (term, mut places) in self.places {
            places.sort_unstable();
            places.dedup_by_key(|(place, _)| *place);
            let places = places
                .iter()
                .map(|(place, weight)| format!("{place}{weight}"))
                .collect::<Vec<_>>();
            let _ = write!(text, "'{term}':{} ", places.join(","));
        }
        text.truncate(text.trim_end().len());
        text
    }
}
