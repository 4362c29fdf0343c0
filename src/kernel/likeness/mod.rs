//! Whether two records may be one: names brought into a common form, and how like they are. Pure.

mod fold;
mod score;
mod words;

pub use fold::{CompanyName, company, key_text, letters, person, plain, tax_number, without_chinese_form};
pub use score::{Profile, Reason, Rule, Score, score};

/// Fewest characters between which likeness means something.
pub const LEAST: usize = 3;

/// How like two folded texts are, 0–1: the better of their edits and of the pairs of letters that they share, since the
/// one forgives a slip and the other another order. `None` when either has fewer than three characters.
pub fn likeness(one: &str, other: &str) -> Option<f64> {
    let is_long = |text: &str| fold::size(text) >= LEAST;
    if !(is_long(one) && is_long(other)) {
        return None;
    }
    if one == other {
        return Some(1.0);
    }
    let edits = strsim::normalized_damerau_levenshtein(one, other);
    Some(edits.max(strsim::sorensen_dice(one, other)))
}

#[cfg(test)]
mod tests;
