//! Which logins cameras have refused: each is shown to an address once, however many cameras share both, so that nothing
//! locks out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use camera::Source;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// What is known of one login at one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Known {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It was accepted before.
    Works,
    /// It was refused and has never worked.
    Refused,
}

/// One login at one address; whoever shows it has its turn.
pub(super) type Login = Arc<Turn<Known>>;

/// All of them, as long as a camera has them.
#[derive(Default)]
pub(super) struct Logins(Mutex<HashMap<[u8; 32], Weak<Turn<Known>>>>);

impl Logins {
    /// The login of a source at an address.
    pub(super) fn of(&self, source: &Source, at: SocketAddr) -> Login {
        let user = source.user.as_deref().unwrap_or_default();
        let password =
            source.password.as_ref().map(|password| password.expose().as_str()).unwrap_or_default();
        let mut digest = Sha256::new();
        for part in [&at.to_string(), user, password] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let key: [u8; 32] = digest.finalize().into();
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|_, login| login.strong_count() > 0);
        if let Some(login) = logins.get(&key).and_then(Weak::upgrade) {
            return login;
        }
        let login = Login::default();
        logins.insert(key, Arc::downgrade(&login));
        login
    }
}

/// The turn to show a login; `None` when it was refused before.
pub(super) async fn turn(login: &Login) -> Option<OwnedMutexGuard<Known>> {
    let turn = login.clone().lock_owned().await;
    (*turn != Known::Refused).then_some(turn)
}

#[cfg(test)]
mod tests {
    use model::CameraId;

    use super::*;

    #[tokio::test]
    async fn a_login_that_one_camera_saw_refused_is_shown_by_no_other() {
        let logins = Logins::default();
        let source = |password: &str| {
            let id = CameraId::new("gate").unwrap();
            Source::new(id, "rtsp://8.8.8.8/", Some("u".into()), Some(password.to_owned().into())).unwrap()
        };
        let at = "8.8.8.8:554".parse().unwrap();
        let (one, two) = (logins.of(&source("p"), at), logins.of(&source("p"), at));
        *turn(&one).await.unwrap() = Known::Refused;
        assert!(turn(&two).await.is_none());
        assert!(turn(&logins.of(&source("q"), at)).await.is_some(), "another password");
        assert!(
            turn(&logins.of(&source("p"), "8.8.8.8:8554".parse().unwrap())).await.is_some(),
            "another device"
        );
        drop((one, two));
        assert!(turn(&logins.of(&source("p"), at)).await.is_some(), "whoever says it anew may be right now");
    }
}
