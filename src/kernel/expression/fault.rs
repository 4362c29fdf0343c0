//! What is wrong with the text of an expression.
use std::fmt;

use crate::kernel::text::Say;

/// One reason why a text is refused as an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable: `expression_too_long`, `expression_too_deep`, `expression_too_large`,
    /// `expression_syntax`, `unsupported_syntax`, `unknown_member`, `unknown_function`,
    /// `wrong_arguments`, `type_mismatch`, `invalid_literal`, `nested_comprehension`,
    /// `not_a_condition`, `unknown_value`; or `expression_not_checked` when the server has no room to check it now.
    pub code: &'static str,
    /// For people: names the member and what is allowed.
    pub message: Say,
    /// Where it begins, when that can be said.
    pub position: Option<Position>,
}

/// A place in the source; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// The place of a byte offset.
    pub(super) fn of(source: &str, offset: usize) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(&self.message.en)
    }
}
