//! Buying signals of a lead: need, budget and the window in which they decide. Each has its value among the lead's own
//! members, and beside the lead whether somebody confirmed it: who, when and how.

pub mod http;
pub mod keep;
pub mod members;
pub mod rules;
