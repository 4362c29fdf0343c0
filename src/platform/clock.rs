//! The one place that reads the real clock.

use chrono::{DateTime, SubsecRound, Utc};

/// Real time, to the microsecond that the database keeps.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the real clock"
)]
pub fn real_now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
