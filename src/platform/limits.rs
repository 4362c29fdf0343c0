//! Rate limits per person and per company, and the slowing of failed sign-ins. Counted by each server on its own.

use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use governor::clock::{Clock, DefaultClock, QuantaInstant};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use serde_json::json;
use std::num::NonZeroU32;
use uuid::Uuid;

pub struct Limits {
    users: DefaultKeyedRateLimiter<Uuid>,
    tenants: DefaultKeyedRateLimiter<Uuid>,
    per_user: NonZeroU32,
    per_tenant: NonZeroU32,
    clock: DefaultClock,
}

impl Limits {
    /// Requests a minute that one person, and one company, may make.
    pub fn new(per_user: NonZeroU32, per_tenant: NonZeroU32) -> Limits {
        Limits {
            users: RateLimiter::keyed(Quota::per_minute(per_user)),
            tenants: RateLimiter::keyed(Quota::per_minute(per_tenant)),
            per_user,
            per_tenant,
            clock: DefaultClock::default(),
        }
    }

    /// # Errors
    /// `too_many_requests` with the seconds to wait, and the share that is used up.
    pub fn take(&self, user: Uuid, tenant: Uuid) -> AppResult<()> {
        if let Err(denied) = self.users.check_key(&user) {
            return Err(self.denied("user", self.per_user, &denied));
        }
        self.tenants
            .check_key(&tenant)
            .map_err(|denied| self.denied("company", self.per_tenant, &denied))
    }

    /// The refusal, with the `RateLimit` fields as their draft writes them.
    fn denied(&self, whose: &str, quota: NonZeroU32, denied: &NotUntil<QuantaInstant>) -> AppError {
        let wait = denied.wait_time_from(self.clock.now()).as_secs() + 1;
        AppError::refuse(
            Code::TooManyRequests,
            say("Too many requests; slow down", "请求过于频繁,请稍后再试"),
        )
        .retry_after(wait)
        .with("rate_limit", json!(format!("\"{whose}\";r=0;t={wait}")))
        .with("rate_limit_policy", json!(format!("\"{whose}\";q={quota};w=60")))
    }

    /// Forgets those who have been quiet, so that memory stays bounded.
    pub fn sweep(&self) {
        self.users.retain_recent();
        self.tenants.retain_recent();
    }
}
