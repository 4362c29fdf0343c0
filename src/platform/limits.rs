//! Rate limits per person and per company, and the slowing of failed sign-ins. Counted by each server on its own.

use super::clock;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use actix_web::http::header::HeaderValue;
use chrono::{DateTime, TimeDelta, Utc};
use governor::clock::{Clock, DefaultClock, QuantaInstant};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{NotUntil, Quota, RateLimiter};
use moka::sync::Cache;
use serde_json::json;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

/// Counts by key, and tells how much of the quota is left.
type Counter = RateLimiter<Uuid, DefaultKeyedStateStore<Uuid>, DefaultClock, StateInformationMiddleware>;

pub struct Limits {
    users: Counter,
    tenants: Counter,
    per_user: NonZeroU32,
    per_tenant: NonZeroU32,
    policy: HeaderValue,
    clock: DefaultClock,
}

/// What an admitted call leaves of its limits, as the `RateLimit` and `RateLimit-Policy` fields of its answer.
#[derive(Debug, Clone)]
pub struct Allowance {
    pub left: HeaderValue,
    pub policy: HeaderValue,
}

impl Limits {
    /// Requests a minute that one person, and one company, may make.
    pub fn new(per_user: NonZeroU32, per_tenant: NonZeroU32) -> Limits {
        let policy = format!(
            "{}, {}",
            policy_of(USER, per_user),
            policy_of(COMPANY, per_tenant)
        );
        Limits {
            users: counter(per_user),
            tenants: counter(per_tenant),
            per_user,
            per_tenant,
            policy: field(&policy),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one call and tells what is left.
    ///
    /// # Errors
    /// `too_many_requests` with the seconds to wait, and the share that is used up.
    pub fn take(&self, user: Uuid, tenant: Uuid) -> AppResult<Allowance> {
        let user = self.users.check_key(&user);
        let user = user.map_err(|denied| self.denied(USER, self.per_user, &denied))?;
        let company = self.tenants.check_key(&tenant);
        let company = company.map_err(|denied| self.denied(COMPANY, self.per_tenant, &denied))?;
        let left = format!("{}, {}", left_of(USER, &user), left_of(COMPANY, &company));
        Ok(Allowance {
            left: field(&left),
            policy: self.policy.clone(),
        })
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
        .with("rate_limit_policy", json!(policy_of(whose, quota)))
    }

    /// Forgets those who have been quiet, so that memory stays bounded.
    pub fn sweep(&self) {
        for counter in [&self.users, &self.tenants] {
            counter.retain_recent();
            counter.shrink_to_fit();
        }
    }

    /// How many people and companies are being counted.
    pub fn counted(&self) -> usize {
        self.users.len() + self.tenants.len()
    }
}

/// The names of the two limits in the `RateLimit` fields.
const USER: &str = "user";
const COMPANY: &str = "company";
/// Quotas are by the minute.
const WINDOW_SECONDS: u32 = 60;

fn counter(quota: NonZeroU32) -> Counter {
    RateLimiter::keyed(Quota::per_minute(quota)).with_middleware()
}

fn policy_of(whose: &str, quota: NonZeroU32) -> String {
    format!("\"{whose}\";q={quota};w={WINDOW_SECONDS}")
}

/// What is left, and the seconds until all of it is there again.
fn left_of(whose: &str, state: &StateSnapshot) -> String {
    let (all, left) = (state.quota().burst_size().get(), state.remaining_burst_capacity());
    let used = u64::from(all.saturating_sub(left));
    let seconds = (used * u64::from(WINDOW_SECONDS)).div_ceil(u64::from(all));
    format!("\"{whose}\";r={left};t={seconds}")
}

fn field(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
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
    fn who_has_been_quiet_is_forgotten_and_who_has_not_is_still_counted() {
        let (fast, slow) = (NonZeroU32::new(600_000).unwrap(), NonZeroU32::new(1).unwrap());
        let limits = Limits::new(fast, slow);
        for _ in 0..100 {
            limits.take(Uuid::now_v7(), Uuid::now_v7()).unwrap();
        }
        assert_eq!(limits.counted(), 200);
        std::thread::sleep(Duration::from_millis(20));
        limits.sweep();
        assert_eq!(
            limits.counted(),
            100,
            "the people's quotas are whole again, those of their companies are not"
        );
    }

    #[test]
    fn an_admitted_call_is_told_what_is_left() {
        let limits = Limits::new(NonZeroU32::new(3).unwrap(), NonZeroU32::new(120).unwrap());
        let (user, tenant) = (Uuid::now_v7(), Uuid::now_v7());
        let first = limits.take(user, tenant).unwrap();
        assert_eq!(first.policy, "\"user\";q=3;w=60, \"company\";q=120;w=60");
        assert_eq!(first.left, "\"user\";r=2;t=20, \"company\";r=119;t=1");
        let second = limits.take(user, tenant).unwrap();
        assert_eq!(second.left, "\"user\";r=1;t=40, \"company\";r=118;t=1");
    }

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
