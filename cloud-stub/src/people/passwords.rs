//! Passwords are hashed slowly on purpose, so it is bounded how many are at a time: two, off the threads that serve
//! everybody, and a short queue. Whoever finds the queue full is asked to come back.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use model::Private;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Fewest characters of a password.
const FEWEST: usize = 10;
/// Most bytes of a password: far more than anybody types.
const MOST_BYTES: usize = 1024;
/// Passwords that are worked on at a time; each takes 19 MiB.
const AT_ONCE: usize = 2;
/// Passwords that are worked on or wait. At 50 ms each the last one waits a second.
const QUEUE: usize = 40;
/// What is compared with when there is no such person, so that it takes as long as if there were one. Nobody knows a
/// password that has this hash.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IG5vYm9keQ$bm9ib2R5IG5vYm9keSBub2JvZHkgbm9ib2R5IG5vYm8";

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("A password has at least {FEWEST} characters.")]
    TooShort,
    /// Too long.
    #[error("A password has at most {MOST_BYTES} bytes.")]
    TooLong,
    /// Too many wait already.
    #[error("Too many sign in at the moment: try again in a few seconds.")]
    Busy,
}

/// Hashes and compares passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    queue: Arc<Semaphore>,
    slots: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { queue: Arc::new(Semaphore::new(QUEUE)), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    /// The hash of a new password, argon2id in PHC form. `salt` is random.
    ///
    /// # Errors
    /// When it is too short or too long, or too many wait.
    pub async fn hash(
        &self,
        password: Private<String>,
        salt: [u8; 16],
    ) -> Result<Private<String>, PasswordError> {
        if password.expose().chars().count() < FEWEST {
            return Err(PasswordError::TooShort);
        }
        if password.expose().len() > MOST_BYTES {
            return Err(PasswordError::TooLong);
        }
        self.work(move || {
            let salt = SaltString::encode_b64(&salt).ok()?;
            let hash = argon2()?.hash_password(password.expose().as_bytes(), Salt::from(&salt)).ok()?;
            Some(Private::new(hash.to_string()))
        })
        .await?
        .ok_or(PasswordError::Busy)
    }

    /// Whether a password has this hash; `None` is nobody's, which no password has, and takes as long.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn fits(
        &self,
        password: Private<String>,
        hash: Option<Private<String>>,
    ) -> Result<bool, PasswordError> {
        if password.expose().len() > MOST_BYTES {
            return Ok(false);
        }
        self.work(move || {
            let known = hash.as_ref().map(|hash| hash.expose().as_str()).filter(|hash| !hash.is_empty());
            let fits = PasswordHash::new(known.unwrap_or(NOBODY)).ok().zip(argon2()).is_some_and(
                |(hash, argon2)| argon2.verify_password(password.expose().as_bytes(), &hash).is_ok(),
            );
            fits && known.is_some()
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = self.queue.clone().try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        // Whoever has asked may leave; the work goes on to its end and keeps its place until then.
        let held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, slot);
        let job = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(held);
            done
        });
        job.await.map_err(|_| PasswordError::Busy)
    }
}

/// 19 MiB, two passes, one lane (OWASP's password storage cheat sheet).
fn argon2() -> Option<Argon2<'static>> {
    Params::new(19 * 1024, 2, 1, None)
        .ok()
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Private<String> {
        Private::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_password_itself_fits() {
        let passwords = Passwords::default();
        let hash = passwords.hash(word("құпия сөздер"), [7; 16]).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.fits(word("құпия сөздер"), Some(hash.clone())).await.unwrap());
        for wrong in ["құпия сөздер ", "", "Құпия сөздер"] {
            assert!(!passwords.fits(word(wrong), Some(hash.clone())).await.unwrap());
        }
        assert!(!passwords.fits(word(""), Some(word(""))).await.unwrap(), "nobody has chosen one yet");
        assert_eq!(passwords.hash(word("құпия сөз"), [7; 16]).await, Err(PasswordError::TooShort));
        assert_eq!(passwords.hash(word(&"x".repeat(1025)), [7; 16]).await, Err(PasswordError::TooLong));
    }

    #[test]
    fn nobodys_hash_costs_what_others_cost() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        let others = argon2().unwrap().hash_password(b"x", Salt::from(&salt)).unwrap();
        assert_eq!((nobody.algorithm, nobody.version), (others.algorithm, others.version));
        assert_eq!(nobody.params, others.params);
        assert_eq!(nobody.hash.unwrap().len(), others.hash.unwrap().len());
    }

    #[tokio::test]
    async fn no_more_than_two_are_worked_on_and_the_queue_ends() {
        use std::sync::{Mutex, mpsc};
        let passwords = Passwords::default();
        let (begin, begun) = mpsc::channel::<()>();
        let (end, ended) = mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let job = || {
            let (passwords, begin, ended) = (passwords.clone(), begin.clone(), ended.clone());
            tokio::spawn(async move {
                let work = move || {
                    begin.send(()).unwrap();
                    let _ = ended.lock().unwrap().recv();
                };
                passwords.work(work).await
            })
        };
        let jobs: Vec<_> = (0..QUEUE).map(|_| job()).collect();
        while passwords.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.fits(word("x"), None).await, Err(PasswordError::Busy));
        let soon = std::time::Duration::from_millis(200);
        let at_work = (0..QUEUE).take_while(|_| begun.recv_timeout(soon).is_ok()).count();
        assert_eq!(at_work, AT_ONCE);
        drop(end);
        for job in jobs {
            job.await.unwrap().unwrap();
        }
        assert_eq!(passwords.fits(word("x"), None).await, Ok(false));
    }
}
