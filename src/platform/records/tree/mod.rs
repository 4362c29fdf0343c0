//! Filter trees: conditions over a resource's members, over the company's own fields and over the members of what a
//! record refers to, one step away. A tree is read and typed by the declaration, then written as SQL with bound values.
//!
//! A test of an empty member is false, and `not` turns exactly that round: there is no third value.

mod operand;
mod read;
mod write;

pub use operand::{beginning, literally};
pub use read::{Mode, Terms, names, read, with_fields};

use super::spec::Resource;
use super::sql::Bind;

/// Deepest nesting of `and`, `or` and `not`, the outermost node counted.
pub const MOST_DEPTH: usize = 8;
/// Most nodes of one tree.
pub const MOST_NODES: usize = 100;
/// Most values of one `in`.
pub const MOST_VALUES: usize = 100;
/// Farthest day from today, in days.
pub const MOST_DAYS: i64 = 36_500;

/// A tree that fits its resource.
#[derive(Debug, Clone)]
pub enum Tree {
    /// All of these; true when there are none.
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
    Test(Test),
}

/// One test of one member.
#[derive(Debug, Clone)]
pub struct Test {
    /// The reference that is followed first: its SQL over `t`, and where it leads.
    via: Option<(Box<str>, &'static Resource)>,
    subject: Subject,
    is: Is,
}

/// What is tested.
#[derive(Debug, Clone)]
enum Subject {
    /// A member: its SQL over `t`.
    Member {
        sql: String,
        form: Form,
        /// Whether lists are ordered by it as a name, and indexes with them.
        is_name: bool,
    },
    /// One of the company's own fields.
    Field {
        resource: &'static str,
        key: String,
        form: Form,
        /// Whether the typed copy is complete; else the record's own JSON is read.
        is_indexed: bool,
    },
}

/// What values look like, and with that which operators fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// A text from a closed set.
    Choice,
    Id,
    Int,
    Number,
    Flag,
    Day,
    Instant,
    Texts,
}

/// What is asked of it.
#[derive(Debug, Clone)]
enum Is {
    Equal(Bind),
    Among(Vec<Bind>),
    /// By one of `<`, `<=`, `>`, `>=`.
    Compared(&'static str, Bind),
    /// Both ends included.
    Between(Bind, Bind),
    /// The end left out.
    Within(Bind, Bind),
    /// A pattern of ILIKE.
    Like(String),
    /// A set that has one of these.
    Overlapping(Vec<String>),
    Empty,
}

#[cfg(test)]
mod tests;
