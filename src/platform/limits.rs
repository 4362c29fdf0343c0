//! Rate limits per person and per company, and the slowing of failed sign-ins. Counted by each server on its own.

use super::clock;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use chrono::{DateTime, TimeDelta, Utc};
use governor::clock::{Clock, DefaultClock, QuantaInstant};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use moka::sync::Cache;
use serde_json::json;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
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

/// Failures in a row that cost nothing but a refusal.
const FREE_FAILURES: u32 = 10;
/// The first wait after them; each further failure doubles it.
const FIRST_WAIT_SECONDS: i64 = 15;
const LONGEST_WAIT_SECONDS: i64 = 900;

#[derive(Default)]
struct Failures {
    count: u32,
    wait_until: Option<DateTime<Utc>>,
}

impl Failures {
    fn seconds_to_wait(&self, now: DateTime<Utc>) -> Option<u64> {
        let left = self.wait_until.filter(|until| *until > now)? - now;
        u64::try_from(left.num_seconds() + 1).ok()
    }

    fn add(&mut self, now: DateTime<Utc>) {
        self.count = self.count.saturating_add(1);
        if self.count >= FREE_FAILURES {
            let doublings = (self.count - FREE_FAILURES).min(10);
            let seconds = (FIRST_WAIT_SECONDS << doublings).min(LONGEST_WAIT_SECONDS);
            self.wait_until = Some(now + TimeDelta::seconds(seconds));
        }
    }
}

/// Slows whoever guesses passwords, by account and source together, and never locks an account: the true owner signs in
/// from elsewhere meanwhile, and from there after the wait.
pub struct SignIns {
    failures: Cache<(String, Option<IpAddr>), Arc<Mutex<Failures>>>,
}

impl Default for SignIns {
    fn default() -> SignIns {
        SignIns {
            failures: Cache::builder()
                .max_capacity(50_000)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
        }
    }
}

/// One try at a password. Tries at the same account from the same source wait for each other, so that a volley counts
/// shot by shot.
pub struct Attempt(OwnedMutexGuard<Failures>);

impl Attempt {
    pub fn failed(mut self) {
        self.0.add(clock::real_now());
    }

    pub fn succeeded(mut self) {
        *self.0 = Failures::default();
    }
}

impl SignIns {
    /// Begins a try. `account`: the lower-cased e-mail.
    ///
    /// # Errors
    /// `too_many_requests` with the seconds to wait.
    pub async fn attempt(&self, account: &str, source: Option<IpAddr>) -> AppResult<Attempt> {
        let key = (account.to_owned(), source);
        let failures = self.failures.get_with(key, Arc::default).lock_owned().await;
        match failures.seconds_to_wait(clock::real_now()) {
            None => Ok(Attempt(failures)),
            Some(wait) => Err(AppError::refuse(
                Code::TooManyRequests,
                say(
                    "Too many failed sign-ins; wait before the next",
                    "登录失败次数过多,请稍后再试",
                ),
            )
            .retry_after(wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenth_failure_brings_a_wait_that_doubles_up_to_a_quarter_of_an_hour() {
        let now = clock::real_now();
        let mut failures = Failures::default();
        for _ in 0..9 {
            failures.add(now);
        }
        assert_eq!(failures.seconds_to_wait(now), None);
        failures.add(now);
        assert_eq!(failures.seconds_to_wait(now), Some(16));
        assert_eq!(failures.seconds_to_wait(now + TimeDelta::seconds(15)), None);
        failures.add(now);
        assert_eq!(failures.seconds_to_wait(now), Some(31));
        for _ in 0..100 {
            failures.add(now);
        }
        assert_eq!(failures.seconds_to_wait(now), Some(901));
    }
}
