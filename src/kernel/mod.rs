//! What every room speaks: who is asking, what may be refused and how, money, text, permissions. No HTTP, no SQL statements.

pub mod ctx;
pub mod error;
pub mod expression;
pub mod fault;
pub mod likeness;
pub mod money;
pub mod nearest;
pub mod permission;
pub mod problem;
pub mod search;
pub mod text;
