//! Where in a text the words of a query stand.

use super::Query;
use super::index::Form;
use crate::kernel::likeness::plain;

/// Characters that are shown before a match, and after it.
const BEFORE: usize = 20;
const AFTER: usize = 40;

/// A cut from a text, around what was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub before: String,
    pub matched: String,
    pub after: String,
}

/// The piece of a text in which a query, or its longest word that is there, stands; `None` when none is there.
pub fn piece(text: &str, form: Form, query: &Query) -> Option<Piece> {
    let letters = text.chars().collect::<Vec<_>>();
    let folded = folded(&letters);
    if form == Form::Phone {
        let digits = folded
            .iter()
            .filter(|(letter, _)| letter.is_ascii_digit())
            .copied()
            .collect::<Vec<_>>();
        let mut phones = query.phones().to_vec();
        // What is kept may lack the country that was typed.
        phones.extend(query.phones().iter().filter_map(|phone| {
            let skipped = (0..phone.len()).find(|start| find(&digits, &phone[*start..], false).is_some());
            skipped
                .filter(|start| phone.len() - start >= 4)
                .map(|start| phone[start..].to_owned())
        }));
        return phones
            .iter()
            .find_map(|phone| find(&digits, phone, false))
            .map(|span| cut(&letters, span));
    }
    let whole = std::iter::once(query.plain.clone());
    whole
        .chain(query.texts())
        .find_map(|word| find(&folded, &word, true))
        .map(|span| cut(&letters, span))
}

/// Each folded letter with the place of the letter that it comes from; everything else as spaces.
fn folded(letters: &[char]) -> Vec<(char, usize)> {
    let mut folded = Vec::with_capacity(letters.len());
    for (place, letter) in letters.iter().enumerate() {
        if matches!(letter, '.' | '\'' | '’' | '·') {
            continue;
        }
        let plain = plain(letter.encode_utf8(&mut [0; 4]));
        if plain.is_empty() && !unicode_normalization::char::is_combining_mark(*letter) {
            folded.push((' ', place));
        }
        folded.extend(plain.chars().map(|letter| (letter, place)));
    }
    folded
}

/// First and last place of a word; at the beginning of a word, where its script has such.
fn find(folded: &[(char, usize)], word: &str, at_beginning: bool) -> Option<(usize, usize)> {
    let word = word.chars().collect::<Vec<_>>();
    let first = *word.first()?;
    let begins = |start: usize| {
        !at_beginning
            || super::is_unspaced(first)
            || start == 0
            || !folded[start - 1].0.is_alphanumeric()
            || super::is_unspaced(folded[start - 1].0)
            || folded[start].1 > folded[start - 1].1 + 1
    };
    let start = folded
        .windows(word.len())
        .enumerate()
        .position(|(start, window)| {
            begins(start)
                && window
                    .iter()
                    .zip(&word)
                    .all(|((letter, _), wanted)| letter == wanted)
        })?;
    Some((folded[start].1, folded[start + word.len() - 1].1))
}

fn cut(letters: &[char], (first, last): (usize, usize)) -> Piece {
    let from = first.saturating_sub(BEFORE);
    let until = letters.len().min(last + 1 + AFTER);
    let text = |part: &[char]| part.iter().collect::<String>();
    let mut before = text(&letters[from..first]);
    let mut after = text(&letters[last + 1..until]);
    if from > 0 {
        before.insert(0, '…');
    }
    if until < letters.len() {
        after.push('…');
    }
    Piece {
        before,
        matched: text(&letters[first..=last]),
        after,
    }
}
