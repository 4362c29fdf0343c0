//! The names an expression may use, with their kinds.
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kind of a member of the facts, and how it stands in their JSON.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits: a JSON number.
    Int,
    /// An exact decimal: a JSON string such as `"12.50"` (a whole JSON number is taken too).
    Decimal,
    /// Text: a JSON string.
    Text,
    /// Text that is one of these.
    Choice(Arc<[String]>),
    /// A calendar day: `"2024-03-05"`.
    Day,
    /// A point in time: RFC 3339, `"2024-03-05T08:00:00Z"`.
    Instant,
    /// A list of texts.
    Texts,
    /// A list of records with the same members.
    Records(Arc<Vocabulary>),
    /// One record.
    Record(Arc<Vocabulary>),
}

/// The members that expressions of one place (a gate, an approval step, a scoring rule) may read.
///
/// `today` (a day) and `now` (an instant) need not be declared: they are always known at the top.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    members: BTreeMap<String, Kind>,
}

impl Vocabulary {
    /// A vocabulary without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member, or replaces the one of the same name. A name that [`is_name`] refuses can
    /// never be read.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, kind: Kind) -> Self {
        self.members.insert(name.into(), kind);
        self
    }

    /// Adds a record with members of its own.
    #[must_use]
    pub fn with_record(self, name: impl Into<String>, members: Vocabulary) -> Self {
        self.with(name, Kind::Record(Arc::new(members)))
    }

    /// Adds a list of records, all with these members.
    #[must_use]
    pub fn with_records(self, name: impl Into<String>, members: Vocabulary) -> Self {
        self.with(name, Kind::Records(Arc::new(members)))
    }

    /// The kind of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.members.get(name)
    }

    /// The names of all members, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }
}

/// Words of the language; none can name a member.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Whether a key, of a custom field say, can be read by expressions: `[a-z][a-z0-9_]*` and no word
/// of the language.
#[must_use]
pub fn is_name(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_lowercase())
        && key
            .chars()
            .all(|each| matches!(each, 'a'..='z' | '0'..='9' | '_'))
        && !RESERVED.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_lower_case_letters_digits_and_underscores_and_no_word_of_the_language() {
        for good in ["a", "budget_2024", "inn", "x1"] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "", "1a", "_a", "Budget", "预算", "a-b", "a.b", "in", "null", "for",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
