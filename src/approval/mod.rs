//! Approvals: processes in which named people decide (room 6). What stands here is the pure part, without
//! database or HTTP: the process document and what may be published, who is asked, what a decision does,
//! the preview of a chain, and the hash that binds a grant to what was granted.
//!
//! A request is the fold of its recorded [`state::Act`]s over its planned steps: every rule in [`rules`]
//! returns the acts that it adds and the state after them, and [`state::replay`] comes to the same.

pub mod content;
pub mod definition;
pub mod facts;
pub mod people;
pub mod preview;
pub mod publishing;
pub mod refusal;
pub mod rules;
pub mod seating;
pub mod shipped;
pub mod state;

#[cfg(test)]
mod tests;
