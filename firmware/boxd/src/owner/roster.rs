//! The cameras that the owner added: they come, change and go while the box runs.
//!
//! Invariant: what is streamed of them is what is kept of them; a change that cannot be kept is not made.

use camera::Source;
use model::{CameraId, Device};
use setup::desk::{Change, Login, Refusal};

use super::adding::LONGEST;
use super::core::{Core, Kept};
use super::{Owner, refusal};
use crate::state::lock;

/// Most cameras of a box.
pub(super) const MOST: usize = 128;
/// Most characters of a name.
const NAME: usize = 64;
impl Owner {
    /// Starts the cameras that were kept.
    pub(crate) fn start(&self) {
        let kept: Vec<Kept> = self.0.store.with(|core| core.cameras.clone());
        for camera in kept {
            match source(&camera) {
                Ok(source) => self.show(&camera, &source),
                Err(refusal) => {
                    tracing::warn!(camera = %camera.id, "a kept camera cannot be streamed: {}", refusal.sentence);
                }
            }
        }
    }

    /// Puts a camera on show, if it is on.
    pub(super) fn show(&self, kept: &Kept, source: &Source) {
        lock(&self.0.sources).insert(kept.id.clone(), source.clone());
        if !kept.on {
            return;
        }
        let key = self.device(|device| Some(device.key.to_string()) == kept.device).map(|device| device.key);
        match self.0.supervisor.add(source, key) {
            Ok(Some(camera)) => {
                camera.set_name(kept.name.clone());
                camera.set_rank(self.0.store.with(|core| core.rank(&kept.id)));
                self.keep_reached();
            }
            Ok(None) => {
                tracing::warn!(camera = %kept.id, "the configuration has a camera of this id already");
            }
            Err(error) => tracing::warn!(camera = %kept.id, %error, "a camera cannot be started"),
        }
    }

    pub(super) fn device(&self, which: impl Fn(&Device) -> bool) -> Option<Device> {
        self.0.shared.devices().into_iter().find(which)
    }

    /// Streams a camera as it is kept now.
    pub(super) fn apply(&self, kept: &Kept, source: &Source, was_on: bool) {
        if !kept.on {
            lock(&self.0.sources).insert(kept.id.clone(), source.clone());
            self.0.supervisor.remove(&kept.id);
            self.keep_reached();
        } else if was_on && self.0.shared.camera(kept.id.as_str()).is_some() {
            lock(&self.0.sources).insert(kept.id.clone(), source.clone());
            if let Err(error) = self.0.supervisor.change(source) {
                tracing::warn!(camera = %kept.id, %error, "a camera cannot be started");
            }
            self.keep_reached();
        } else {
            self.show(kept, source);
        }
    }

    /// Changes one camera.
    pub(super) async fn alter(&self, id: &CameraId, change: Change) -> Result<(), Refusal> {
        let _turn = self.0.turn.lock().await;
        let known = self.ours(id)?;
        let mut next = known.clone();
        if let Some(name) = change.name {
            next.name = cleaned(&name);
        }
        next.on = change.on.unwrap_or(next.on);
        let new_login = change.login.is_some();
        if new_login && lock(&self.0.changed).contains_key(id) {
            return Err(refusal(
                "changed_device",
                "Another device is at this camera's address now: pick it in the list of devices if it is the right one.",
            ));
        }
        next.login = change.login.or(next.login);
        let source = source(&next)?;
        self.keep(|core| {
            if let Some(camera) = core.camera_mut(id) {
                *camera = next.clone();
            }
        })?;
        if let Some(camera) = self.0.shared.camera(id.as_str()) {
            camera.set_name(next.name.clone());
        }
        if new_login || next.on != known.on {
            self.apply(&next, &source, known.on);
        }
        let name = next.name.as_deref().unwrap_or(id.as_str());
        let what = match (known.on, next.on) {
            (true, false) => "was switched off",
            (false, true) => "was switched on",
            _ if new_login => "has another login",
            _ => "has this name now",
        };
        self.event("camera_changed", Some(id), format!("{name} {what}."));
        Ok(())
    }

    /// Forgets a camera. Its id stays its own.
    pub(super) async fn remove(&self, id: &CameraId) -> Result<(), Refusal> {
        let _turn = self.0.turn.lock().await;
        let known = self.ours(id)?;
        self.keep(|core| {
            core.cameras.retain(|camera| camera.id != *id);
            core.order.retain(|other| other != id);
            core.retired.push((id.clone(), known.identity.clone()));
            // Ids of cameras that were tried years ago: the file must not grow for ever.
            let spare = core.retired.len().saturating_sub(4 * MOST);
            core.retired.drain(..spare);
        })?;
        lock(&self.0.sources).remove(id);
        lock(&self.0.changed).remove(id);
        self.0.supervisor.remove(id);
        self.keep_reached();
        self.event(
            "camera_removed",
            Some(id),
            format!("{} was removed.", known.name.as_deref().unwrap_or(id.as_str())),
        );
        Ok(())
    }

    /// Puts the cameras into this order.
    pub(super) async fn order(&self, ids: Vec<CameraId>) -> Result<(), Refusal> {
        let _turn = self.0.turn.lock().await;
        let known: Vec<CameraId> = lock(&self.0.sources).keys().cloned().collect();
        self.keep(|core| {
            let mut order: Vec<CameraId> = Vec::new();
            for id in ids.into_iter().chain(core.order.clone()) {
                if known.contains(&id) && !order.contains(&id) {
                    order.push(id);
                }
            }
            core.order = order;
        })?;
        for camera in self.0.shared.cameras() {
            camera.set_rank(self.0.store.with(|core| core.rank(camera.id())));
        }
        Ok(())
    }

    /// A camera that the page may change.
    fn ours(&self, id: &CameraId) -> Result<Kept, Refusal> {
        self.0.store.with(|core| core.camera(id).cloned()).ok_or_else(|| {
            match self.0.shared.camera(id.as_str()) {
                Some(_) => refusal(
                    "configured",
                    "This camera is set in the box's configuration file: change it there.",
                ),
                None => {
                    refusal("no_such_camera", "There is no such camera any more: look at the list again.")
                }
            }
        })
    }

    /// Any camera's source.
    pub(super) fn source(&self, id: &CameraId) -> Result<Source, Refusal> {
        let source = lock(&self.0.sources).get(id).cloned();
        if lock(&self.0.changed).contains_key(id) {
            return Err(refusal(
                "changed_device",
                "Another device is at this camera's address now: pick it in the list of devices if it is the right one.",
            ));
        }
        source.ok_or_else(|| {
            refusal("no_such_camera", "There is no such camera any more: look at the list again.")
        })
    }

    pub(super) fn keep<T>(&self, change: impl FnOnce(&mut Core) -> T) -> Result<T, Refusal> {
        self.0.store.change(change).map_err(|error| Refusal {
            code: "cannot_keep".to_owned(),
            sentence: format!("The box cannot keep this ({error}), so nothing was changed: restart it, and if that does not help, replace its memory card."),
        })
    }
}

/// What a worker is told of a camera.
pub(super) fn source(kept: &Kept) -> Result<Source, Refusal> {
    let long = |login: &Login| login.user.len().max(login.password.expose().len()) > LONGEST;
    if kept.login.as_ref().is_some_and(long) {
        return Err(refusal("too_long", "A user name or password has at most 1024 characters."));
    }
    let (user, password) = match &kept.login {
        Some(login) => (Some(login.user.clone()), Some(login.password.clone())),
        None => (None, None),
    };
    let source = Source::new(kept.id.clone(), kept.address.expose(), user, password).map_err(|error| {
        Refusal { code: "bad_address".to_owned(), sentence: format!("This is no camera's address: {error}.") }
    })?;
    Ok(Source { channel: kept.channel.clone(), ..source })
}

/// A name as it may be shown: without control characters, at most [`NAME`] characters; `None` when nothing is left.
pub(super) fn cleaned(name: &str) -> Option<String> {
    let name: String = name.chars().filter(|character| !character.is_control()).take(NAME).collect();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_people_may_see() {
        assert_eq!(cleaned("  Цех\u{7} 1\n "), Some("Цех 1".into()));
        assert_eq!(cleaned(" \u{0} "), None);
        assert_eq!(cleaned(&"ж".repeat(99)).unwrap().chars().count(), 64);
    }
}
