//! Names in a common form: width, case, accents, simplified Chinese, word order, legal form, place.

use super::LEAST;
use super::words::{CHINESE_COMMON, CHINESE_FORMS, CHINESE_PLACES, CHINESE_TRADES, COMMON, FORMS};
use std::collections::HashMap;
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Of how many Chinese characters the same in another order are no chance.
const LEAST_TRANSPOSED: usize = 4;

static SIMPLIFIED: LazyLock<HashMap<char, char>> = LazyLock::new(|| {
    let lines = include_str!("simplified.txt").lines();
    let pairs = lines.filter(|line| !line.starts_with('#')).flat_map(|line| {
        let characters = line.chars().collect::<Vec<_>>();
        let pairs = characters.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        pairs.collect::<Vec<_>>()
    });
    pairs.collect()
});

/// A text without what spelling alone makes: NFKC, lower case, no accents, simplified Chinese; dots and apostrophes gone,
/// other punctuation as single spaces.
pub fn plain(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let bare = text
        .nfkd()
        .filter(|letter| !is_combining_mark(*letter))
        .nfc()
        .flat_map(char::to_lowercase);
    for letter in bare {
        if letter.is_alphanumeric() {
            folded.push(SIMPLIFIED.get(&letter).copied().unwrap_or(letter));
        } else if !matches!(letter, '.' | '\'' | '’' | '·') && !folded.ends_with(' ') && !folded.is_empty()
        {
            folded.push(' ');
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Characters, spaces apart.
pub(super) fn size(text: &str) -> usize {
    text.chars().filter(|letter| *letter != ' ').count()
}

/// A company's name, folded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompanyName {
    /// What is left without legal form, trade and place, its words in order of the alphabet; `None` when that has fewer
    /// than three characters.
    pub core: Option<String>,
    /// What is left of the core without the words that many names have; all of it, when it has no others.
    pub distinctive: Option<String>,
    /// The place that the name begins or ends with.
    pub place: Option<String>,
    /// The whole name without spaces, legal form and all; empty when it consists of nothing else.
    pub whole: String,
}

/// Folds a company's name. Where too little remains without the place, or without the trade, they stay.
pub fn company(name: &str) -> CompanyName {
    let plain = plain(name);
    let mut words = plain
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>();
    let own = |word: &&str| !is_form(word) && !CHINESE_FORMS.contains(word);
    strip_forms(&mut words);
    let words = words
        .into_iter()
        .map(without_chinese_form)
        .filter(|word| !word.is_empty() && own(word))
        .collect::<Vec<_>>();
    let (bare, place) = without_place(&words);
    let says_nothing = bare.iter().all(|word| CHINESE_TRADES.contains(word));
    if says_nothing {
        return CompanyName {
            place,
            ..CompanyName::default()
        };
    }
    let short = bare.iter().map(|word| without_trade(word)).collect::<Vec<_>>();
    let core = [short, bare, words]
        .into_iter()
        .map(joined)
        .find(|core| size(core) >= LEAST);
    CompanyName {
        distinctive: core.as_deref().map(distinctive),
        core,
        place,
        whole: plain.replace(' ', ""),
    }
}

fn is_form(word: &str) -> bool {
    FORMS.contains(&word)
}

/// Takes legal forms off both ends, as long as something else remains.
fn strip_forms(words: &mut Vec<&str>) {
    while words.len() > 1 && words.last().is_some_and(|word| is_form(word)) {
        words.pop();
    }
    let leading = words.iter().take_while(|word| is_form(word)).count();
    words.drain(..leading.min(words.len().saturating_sub(1)));
}

/// A word without these endings, however many it has.
fn without_ending<'a>(mut word: &'a str, endings: &[&str]) -> &'a str {
    while let Some(rest) = endings.iter().find_map(|ending| word.strip_suffix(ending)) {
        word = rest;
    }
    word
}

/// A name without the legal forms that it ends with.
pub fn without_chinese_form(name: &str) -> &str {
    without_ending(name, CHINESE_FORMS)
}

fn without_trade(word: &str) -> &str {
    let rest = without_ending(word, CHINESE_TRADES);
    if size(rest) >= LEAST { rest } else { word }
}

/// The words without the place that they begin or end with, and that place.
fn without_place<'a>(words: &[&'a str]) -> (Vec<&'a str>, Option<String>) {
    let mut place = None;
    let mut rest = Vec::new();
    for word in words {
        let found = CHINESE_PLACES.iter().find(|known| word.starts_with(**known));
        match found {
            Some(known) => {
                place = Some((*known).to_owned());
                let tail = word.strip_prefix(known).unwrap_or(word);
                let tail = tail.strip_prefix(['市', '省']).unwrap_or(tail);
                rest.push(tail);
            }
            None => rest.push(word),
        }
    }
    rest.retain(|word| !word.is_empty());
    (rest, place)
}

fn joined(mut words: Vec<&str>) -> String {
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

/// A core without common words and endings, as long as two characters remain.
fn distinctive(core: &str) -> String {
    let words = core.split(' ').map(|word| {
        let mut rest = word;
        while let Some(shorter) = CHINESE_COMMON.iter().find_map(|ending| rest.strip_suffix(ending)) {
            if size(shorter) < 2 {
                break;
            }
            rest = shorter;
        }
        rest
    });
    let words = words.collect::<Vec<_>>();
    let is_common = |word: &str| COMMON.contains(&word) || CHINESE_COMMON.contains(&word);
    let rare = words
        .iter()
        .copied()
        .filter(|word| !is_common(word))
        .collect::<Vec<_>>();
    let kept = if rare.is_empty() { words } else { rare };
    kept.join(" ")
}

/// The Chinese characters of a core in the order of their code points, where they are four at least, and then its other
/// letters as they stand: written without spaces, words in another order make another name of the same letters. The database
/// looks such names up by its function `letters_of`, which is the same.
pub fn letters(core: &str) -> Option<String> {
    let (mut han, others): (Vec<char>, Vec<char>) = core
        .chars()
        .filter(|letter| *letter != ' ')
        .partition(|letter| is_han(*letter));
    if han.len() < LEAST_TRANSPOSED {
        return None;
    }
    han.sort_unstable();
    Some(han.into_iter().chain(others).collect())
}

fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// A person's name, folded: words in order of the alphabet, Chinese names without the space between.
pub fn person(name: &str) -> String {
    let plain = plain(name);
    if plain.chars().all(|letter| letter == ' ' || is_han(letter)) {
        return plain.replace(' ', "");
    }
    joined(plain.split(' ').collect())
}

/// A tax number in its one spelling: upper case, letters and digits only. `None` when it has fewer than six.
pub fn tax_number(typed: &str) -> Option<String> {
    let folded = key_text(typed).to_uppercase();
    (folded.chars().count() >= 6).then_some(folded)
}

/// Letters and digits of a text, NFKC, lower case.
pub fn key_text(typed: &str) -> String {
    let letters = typed.nfkc().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}
