//! Opportunities: running deals, and the rules by which they move.

pub mod advance;
