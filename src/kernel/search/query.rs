//! What somebody types, as a `tsquery` in text form. Only letters and digits of it ever reach that form.

use super::index::LEAST_DIGITS;
use super::{Unit, digits, is_unspaced, parted, units};
use crate::kernel::likeness::{company, plain, without_chinese_form};

/// Fewest letters and digits that can be looked for.
pub const LEAST: usize = 2;
/// Most words that can be looked for at once.
pub const MOST_WORDS: usize = 20;
/// Words of so many letters are asked for by their beginnings; shorter ones only alone.
const LEAST_BEGINNING: usize = 3;
/// Fewest letters of a word that is looked for with a slip.
const LEAST_ALIKE: usize = 4;
/// Fewest digits behind `00` that are a country and the beginning of a number there.
const LEAST_ABROAD: usize = 6;
/// Fewest digits behind `0` that are a town and a number there.
const LEAST_NATIONAL: usize = 9;
/// Longest run of characters that is looked for with a slip.
const LONGEST_SLIP: usize = 12;
/// Characters beside a slip from which on a name is long.
const LONG: usize = 5;

/// Why nothing can be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    TooShort,
    TooManyWords,
}

/// A word as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    /// It is found in one of these.
    ways: Vec<Vec<Unit>>,
    /// Whether it is the beginning of an address, whose last part may be short.
    is_address: bool,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Each must be found.
    words: Vec<Word>,
    /// Or else a phone with these digits.
    phones: Vec<String>,
    /// The folded text.
    pub plain: String,
}

impl Query {
    /// Reads what was typed. `e164`: the phone in normal form, where it is one.
    ///
    /// # Errors
    /// When there is too little or too much of it.
    pub fn read(typed: &str, e164: Option<&str>) -> Result<Query, Unfit> {
        let plain = plain(typed);
        if plain.chars().filter(|letter| *letter != ' ').count() < LEAST {
            return Err(Unfit::TooShort);
        }
        let mut words = Vec::new();
        for word in typed.split_whitespace() {
            let mut ways = vec![units(word), units(&parted(word))];
            ways.retain(|way| !way.is_empty());
            ways.dedup();
            let is_address = word.contains(['@', '＠']);
            let read = Word { ways, is_address };
            if !read.ways.is_empty() && !words.contains(&read) {
                words.push(read);
            }
        }
        if words.iter().map(|word| word.ways[0].len()).sum::<usize>() > MOST_WORDS {
            return Err(Unfit::TooManyWords);
        }
        Ok(Query {
            words,
            phones: phones(typed, &plain, e164),
            plain,
        })
    }

    /// Everything that is looked for, in terms of any of these marks and of any of these weights (all, when empty).
    pub fn wanted(&self, marks: &[char], weights: &str) -> String {
        let is_single = self.words.len() == 1 && self.words[0].ways.iter().all(|way| way.len() == 1);
        let words = self.words.iter().map(|word| {
            any(word.ways.iter().map(|way| {
                all(way.iter().enumerate().map(|(place, unit)| {
                    let begins = is_single || (word.is_address && place + 1 == way.len());
                    any(marks.iter().map(|mark| wanted(unit, *mark, weights, begins)))
                }))
            }))
        });
        let words = all(words);
        let phones = self.phones.iter().flat_map(|phone| {
            marks
                .iter()
                .map(move |mark| format!("'{mark}#{phone}':*{weights}"))
        });
        any(std::iter::once(words).chain(phones))
    }

    /// What is looked for with one slip in a run of characters: one written wrong, one too many, one left out. `None` where
    /// there is no run of at least three. Words with slips are found by likeness instead.
    pub fn with_slip(&self, marks: &[char]) -> Option<String> {
        let [word] = self.words.as_slice() else {
            return None;
        };
        let [Unit::Run(letters)] = word.ways.first()?.as_slice() else {
            return None;
        };
        let letters = without_form(letters);
        if !(3..=LONGEST_SLIP).contains(&letters.len()) {
            return None;
        }
        let slips = marks.iter().flat_map(|mark| slips(letters, *mark));
        Some(any(slips))
    }

    /// The words to be found by likeness, those that very many names have left out; `None` when none is long enough to be
    /// known in spite of a slip.
    pub fn alike(&self) -> Option<String> {
        let words = company(&self.plain).distinctive?;
        let is_word = |word: &str| {
            word.chars()
                .all(|letter| letter.is_alphabetic() && !is_unspaced(letter))
        };
        let words = words
            .split(' ')
            .filter(|word| is_word(word) && word.chars().count() >= LEAST_ALIKE);
        let words = words.collect::<Vec<_>>().join(" ");
        (!words.is_empty()).then_some(words)
    }

    /// The folded words, for showing where they stand.
    pub fn texts(&self) -> Vec<String> {
        let ways = self.words.iter().flat_map(|word| &word.ways);
        let mut texts = ways
            .flatten()
            .map(|unit| match unit {
                Unit::Run(letters) => letters.iter().collect(),
                Unit::Word(word) => word.clone(),
            })
            .collect::<Vec<String>>();
        texts.sort_by_key(|text| std::cmp::Reverse(text.chars().count()));
        texts.dedup();
        texts
    }

    /// The digits of phones that are looked for.
    pub fn phones(&self) -> &[String] {
        &self.phones
    }
}

/// The ways in which a phone may be written, when what was typed can be one.
fn phones(typed: &str, plain: &str, e164: Option<&str>) -> Vec<String> {
    let is_phone = plain
        .chars()
        .all(|letter| letter.is_ascii_digit() || letter == ' ');
    let digits = digits(typed);
    if !is_phone || digits.len() < LEAST_DIGITS || digits.len() > 20 {
        return Vec::new();
    }
    let mut phones = vec![digits.clone()];
    phones.extend(without_prefix(&digits).map(str::to_owned));
    phones.extend(e164.map(|e164| e164.trim_start_matches('+').to_owned()));
    phones.retain(|phone| phone.len() >= LEAST_DIGITS);
    phones.sort();
    phones.dedup();
    phones
}

/// Digits without what leads out of a country (`00`), or out of a town (`0`): the number that is kept has neither. The zeros of
/// a mere fragment are its own.
fn without_prefix(digits: &str) -> Option<&str> {
    let (bare, least) = match digits.strip_prefix("00") {
        Some(bare) => (bare, LEAST_ABROAD),
        None => (digits.strip_prefix('0')?, LEAST_NATIONAL),
    };
    (!bare.starts_with('0') && bare.len() >= least).then_some(bare)
}

fn wanted(unit: &Unit, mark: char, weights: &str, begins: bool) -> String {
    match unit {
        Unit::Word(word) if begins || word.chars().count() >= LEAST_BEGINNING => {
            format!("'{mark}{word}':*{weights}")
        }
        Unit::Word(word) => term(mark, word, weights),
        Unit::Run(letters) => {
            let phrase = run(letters).map(|(text, is_whole)| match is_whole {
                true => term(mark, &text, weights),
                false => format!("'{mark}{text}':*{weights}"),
            });
            bracketed(phrase.collect::<Vec<_>>().join(" <-> "))
        }
    }
}

fn term(mark: char, text: &str, weights: &str) -> String {
    let joint = if weights.is_empty() { "" } else { ":" };
    format!("'{mark}{text}'{joint}{weights}")
}

/// The terms of a run, each with whether it is a whole pair.
fn run(letters: &[char]) -> impl Iterator<Item = (String, bool)> + '_ {
    let count = letters.len().saturating_sub(1).max(1);
    (0..count.min(letters.len())).map(|start| {
        let text = letters[start..].iter().take(2).collect::<String>();
        let is_whole = letters.len() > 1;
        (text, is_whole)
    })
}

/// A company's name without its legal form, where enough of it remains: what half of all names have tells nothing of one
/// with a slip, and is dear to look for as often as such a name is.
fn without_form(letters: &[char]) -> &[char] {
    let name = letters.iter().collect::<String>();
    let count = without_chinese_form(&name).chars().count();
    if count < 3 { letters } else { &letters[..count] }
}

fn slips(letters: &[char], mark: char) -> Vec<String> {
    let mut slips = Vec::new();
    let mut push = |left, right, begins| {
        let slip = joined(left, right, begins, mark);
        if !slips.contains(&slip) {
            slips.push(slip);
        }
    };
    for place in 0..letters.len() {
        let (left, right) = (&letters[..place], &letters[place + 1..]);
        push(left, right, place + 1);
        if letters.len() > 3 {
            push(left, right, place);
            if place > 0 {
                push(left, &letters[place..], place + 1);
            }
        }
    }
    slips
}

/// Two runs as one phrase, the second beginning so many characters after the first begins.
fn joined(left: &[char], right: &[char], begins: usize, mark: char) -> String {
    let chain = |letters: &[char]| {
        let terms = run(letters).map(|(text, is_whole)| {
            let beginning = if is_whole { "" } else { ":*" };
            format!("'{mark}{text}'{beginning}")
        });
        terms.collect::<Vec<_>>().join(" <-> ")
    };
    // Of a long name a single character before or behind the slip says little, and very many terms begin with it.
    let is_long = left.len() + right.len() >= LONG;
    let says_nothing = |part: &[char]| part.is_empty() || is_long && part.len() == 1;
    if says_nothing(left) || says_nothing(right) {
        let longer = if left.len() < right.len() { right } else { left };
        return bracketed(chain(longer));
    }
    let last = left.len().saturating_sub(2);
    bracketed(format!("{} <{}> {}", chain(left), begins - last, chain(right)))
}

fn bracketed(text: String) -> String {
    format!("({text})")
}

fn all(parts: impl Iterator<Item = String>) -> String {
    combined(parts, " & ")
}

fn any(parts: impl Iterator<Item = String>) -> String {
    combined(parts, " | ")
}

fn combined(parts: impl Iterator<Item = String>, joint: &str) -> String {
    let mut parts = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>();
    parts.dedup();
    match parts.as_slice() {
        [one] => one.clone(),
        _ => bracketed(parts.join(joint)),
    }
}
