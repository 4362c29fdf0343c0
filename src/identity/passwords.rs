//! Passwords: argon2id, at least 15 characters, the common ones refused, at most four computed at a time.

use super::guessable::is_guessable;
use crate::kernel::error::{AppError, AppResult};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Fewest characters of a password. Source: NIST SP 800-63B rev. 4, where a password is the only factor.
pub const LEAST_CHARACTERS: usize = 15;
/// Most characters; longer ones are refused before they cost anything.
pub const MOST_CHARACTERS: usize = 256;

/// How many hashes are computed at a time, so that a flood of sign-ins costs bounded memory.
static AT_A_TIME: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(4)));

/// 19 MiB, two passes, one lane. Source: OWASP's password storage advice.
fn argon() -> AppResult<Argon2<'static>> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| AppError::internal(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Why a password cannot be used; `None` when it can. `about`: what is known of its person, as their name and e-mail
/// address, of which a password is not made.
pub fn weakness(password: &str, about: &[&str]) -> Option<(&'static str, &'static str)> {
    let characters = password.chars().count();
    if characters < LEAST_CHARACTERS {
        return Some(("needs at least 15 characters", "至少需要 15 个字符"));
    }
    if characters > MOST_CHARACTERS {
        return Some(("has more than 256 characters", "超过 256 个字符"));
    }
    is_guessable(password, about).then_some(("is too easy to guess", "过于容易被猜到"))
}

/// Hashes a password, off the async threads.
///
/// # Errors
/// When hashing fails.
pub async fn hash(password: &str) -> AppResult<String> {
    let password = password.to_owned();
    computed(&AT_A_TIME, move || {
        let hash = argon()?
            .hash_password(password.as_bytes())
            .map_err(|error| AppError::internal(error.to_string()))?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether the password is the one hashed. Without a hash (no such user) it costs the same time and is false.
///
/// # Errors
/// When the stored hash cannot be read.
pub async fn verify(password: &str, hash: Option<&str>) -> AppResult<bool> {
    let is_real = hash.is_some();
    let (password, hash) = (password.to_owned(), hash.unwrap_or(DUMMY).to_owned());
    let matches = computed(&AT_A_TIME, move || {
        let parsed = PasswordHash::new(&hash).map_err(|error| AppError::internal(error.to_string()))?;
        Ok(argon()?.verify_password(password.as_bytes(), &parsed).is_ok())
    })
    .await?;
    Ok(matches && is_real)
}

/// Hash of a random text that nobody knows.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$b1xwJ9z5c5m0pJd5bq2nF1s0o8kqv5Gq0kq3wH1v0tY";

/// The permit goes with the work, not with whoever waits for it: a request given up half way frees no place while its hash
/// is still computed.
async fn computed<T: Send + 'static>(
    at_a_time: &Arc<Semaphore>,
    work: impl FnOnce() -> AppResult<T> + Send + 'static,
) -> AppResult<T> {
    let permit = Arc::clone(at_a_time).acquire_owned().await;
    let permit = permit.map_err(AppError::internal)?;
    let work = move || {
        let done = work();
        drop(permit);
        done
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(AppError::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_common_and_repeated_passwords_are_refused() {
        for weak in [
            "short",
            "passwordpassword",
            "aaaaaaaaaaaaaaaaaaaa",
            "Password1234567890!",
        ] {
            assert!(weakness(weak, &[]).is_some(), "{weak}");
        }
        assert!(weakness("correct horse battery staple", &[]).is_none());
        assert!(weakness("十五个以上字符的中文密码没有任何问题", &[]).is_none());
    }

    #[tokio::test]
    async fn a_request_given_up_half_way_keeps_its_place_until_its_hash_is_computed() {
        let places = Arc::new(Semaphore::new(1));
        let (go_on, is_told) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let work = computed(&places, move || {
            let _ = begun.send(());
            let _ = is_told.recv();
            Ok(())
        });
        tokio::select! {
            _ = work => unreachable!("it waits to be told"),
            _ = has_begun => {}
        }
        assert_eq!(places.available_permits(), 0);
        drop(go_on);
        let place = tokio::time::timeout(std::time::Duration::from_secs(5), places.acquire()).await;
        assert!(place.unwrap().is_ok());
    }

    #[tokio::test]
    async fn only_the_password_that_was_hashed_verifies() {
        let hashed = hash("correct horse battery staple").await.unwrap();
        assert!(
            verify("correct horse battery staple", Some(&hashed))
                .await
                .unwrap()
        );
        assert!(
            !verify("another horse battery staple", Some(&hashed))
                .await
                .unwrap()
        );
        assert!(!verify("anything at all here", None).await.unwrap());
    }
}
