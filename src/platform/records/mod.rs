//! The record store: a resource is declared once (`Resource`), and its JSON, schema, list parameters, scope, SQL and
//! events follow from that. What is particular to a resource stands in its hooks.

pub mod bulk;
pub mod custom;
pub mod docs;
pub mod http;
pub mod merged;
pub mod query;
pub mod rules;
pub mod spec;
pub mod sql;
pub mod store;
pub mod together;
pub mod vocabulary;

pub use spec::{Access, Act, Change, Hooks, Kind, Member, Resource, Verbs};
