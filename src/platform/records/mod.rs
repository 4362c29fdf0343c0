//! The record store: a resource is declared once (`Resource`), and its JSON, schema, list parameters, scope, SQL and
//! events follow from that. What is particular to a resource stands in its hooks.

pub mod batch;
pub mod bulk;
pub mod catch_up;
pub mod custom;
pub mod docs;
pub mod entry;
pub mod fields;
pub mod http;
mod many_docs;
mod member;
pub mod merged;
mod paging;
pub mod query;
mod rendering;
pub mod rules;
pub mod search;
pub mod spec;
pub mod sql;
pub mod store;
pub mod together;
pub mod tree;
pub mod versions;
pub mod vocabulary;

pub use spec::{Access, Act, Beside, Change, Embed, Hooks, Kind, Member, Resource, Verbs, Verdicts, Within};
