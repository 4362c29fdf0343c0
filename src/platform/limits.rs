//! Rate limits per person and per company, and the slowing of failed sign-ins. Counted by each server on its own.

use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use uuid::Uuid;

pub struct Limits {
    users: DefaultKeyedRateLimiter<Uuid>,
    tenants: DefaultKeyedRateLimiter<Uuid>,
    clock: DefaultClock,
}

impl Limits {
    /// Requests a minute that one person, and one company, may make.
    pub fn new(per_user: NonZeroU32, per_tenant: NonZeroU32) -> Limits {
        Limits {
            users: RateLimiter::keyed(Quota::per_minute(per_user)),
            tenants: RateLimiter::keyed(Quota::per_minute(per_tenant)),
            clock: DefaultClock::default(),
        }
    }

    /// # Errors
    /// `too_many_requests` with the seconds to wait.
    pub fn take(&self, user: Uuid, tenant: Uuid) -> AppResult<()> {
        let user = self.users.check_key(&user);
        let verdict = user.and_then(|()| self.tenants.check_key(&tenant));
        verdict.map_err(|denied| {
            let wait = denied.wait_time_from(self.clock.now()).as_secs() + 1;
            AppError::refuse(
                Code::TooManyRequests,
                say("Too many requests; slow down", "请求过于频繁,请稍后再试"),
            )
            .retry_after(wait)
        })
    }

    /// Forgets those who have been quiet, so that memory stays bounded.
    pub fn sweep(&self) {
        self.users.retain_recent();
        self.tenants.retain_recent();
    }
}
