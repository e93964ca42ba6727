//! How a pick of the owner's becomes a camera.
//!
//! Invariant: an id belongs to one picture of one device for ever, over removal too; and a stored login goes to no address but
//! the one that the owner picked: whoever turns up elsewhere with a camera's name gets nothing before the owner picks again
//! and enters the login.

use camera::Source;
use model::{CameraId, Device, DeviceKey, Private};
use serde_json::Map;
use setup::desk::{Login, Pick, Refusal};

use super::core::{Core, Kept};
use super::roster::{MOST, cleaned, source};
use super::{Owner, refusal};
use crate::adopt;
use crate::state::lock;

/// Most bytes of a user name, a password and an address.
pub(super) const LONGEST: usize = 1024;

/// A pick, looked up.
struct Picked {
    identity: String,
    words: Option<String>,
    name: Option<String>,
    address: String,
    device: Option<DeviceKey>,
    mac: Option<String>,
    channel: Option<String>,
    login: Option<Login>,
}

impl Owner {
    /// Makes cameras of devices or addresses, one outcome a pick.
    pub(super) async fn add(&self, picks: Vec<Pick>, login: Option<Login>) -> Vec<Result<CameraId, Refusal>> {
        let _turn = self.0.turn.lock().await;
        let mut outcomes = Vec::new();
        for pick in picks.into_iter().take(MOST) {
            outcomes.push(self.add_one(pick, login.clone()));
        }
        outcomes
    }

    fn add_one(&self, pick: Pick, login: Option<Login>) -> Result<CameraId, Refusal> {
        let picked = self.look_up(pick, login)?;
        let key = picked.device.as_ref().map(ToString::to_string);
        let known = self.0.store.with(|core| {
            // A recorder that was picked as a whole streams its first picture.
            let same = |camera: &&Kept| {
                camera.identity == picked.identity
                    || picked.channel.is_some() && camera.channel == picked.channel && camera.device == key
            };
            core.cameras.iter().find(same).cloned()
        });
        if let Some(known) = known {
            return self.add_again(&known, picked);
        }
        let taken = self.0.shared.cameras();
        if let Some(device) = &picked.device
            && picked.channel.is_none()
            && let Some(camera) = taken.iter().find(|camera| camera.device() == Some(device))
            && self.0.store.with(|core| core.camera(camera.id()).is_none())
        {
            return Err(refusal(
                "configured",
                "This camera is streamed already: the configuration file says so.",
            ));
        }
        if self.0.store.with(|core| core.cameras.len()) >= MOST {
            return Err(refusal("too_many", "A box has at most 128 cameras: remove one first."));
        }
        let ids: Vec<CameraId> = lock(&self.0.sources).keys().cloned().collect();
        let id = self.0.store.with(|core| free_id(core, &ids, picked.words.as_deref(), &picked.identity));
        let id = id.ok_or_else(|| refusal("no_id", "No name for this camera's link is free."))?;
        let login = picked.login.clone().or_else(|| self.login_of_device(&picked));
        let mut other = Map::new();
        if let Some(mac) = picked.mac {
            other.insert("mac".to_owned(), mac.into());
        }
        let kept = Kept {
            id: id.clone(),
            name: picked.name,
            address: Private::new(picked.address),
            identity: picked.identity,
            device: picked.device.map(|key| key.to_string()),
            serial: None,
            login,
            channel: picked.channel,
            on: true,
            other,
        };
        let source = source(&kept)?;
        self.keep(|core| {
            core.retired.retain(|(retired, _)| *retired != id);
            if !core.order.contains(&id) {
                core.order.push(id.clone());
            }
            core.cameras.push(kept.clone());
        })?;
        self.show(&kept, &source);
        let name = kept.name.as_deref().unwrap_or(id.as_str());
        self.event("camera_added", Some(&id), format!("{name} was added."));
        Ok(id)
    }

    /// For another picture of a recorder, the login of the one that was picked before, at the same address.
    fn login_of_device(&self, picked: &Picked) -> Option<Login> {
        picked.channel.as_ref()?;
        let key = picked.device.as_ref()?.to_string();
        let changed = lock(&self.0.changed).clone();
        self.0.store.with(|core| {
            let same = |camera: &&Kept| {
                camera.device.as_ref() == Some(&key)
                    && *camera.address.expose() == picked.address
                    && !changed.contains_key(&camera.id)
            };
            core.cameras.iter().find(same)?.login.clone()
        })
    }

    /// The owner picks a camera that there is already: another login, or the same device at another address.
    fn add_again(&self, known: &Kept, picked: Picked) -> Result<CameraId, Refusal> {
        let id = known.id.clone();
        let host = |text: &str| {
            Source::new(id.clone(), text, None, None).ok().and_then(|source| source.address.host())
        };
        let moved = host(&picked.address) != host(known.address.expose());
        let changed = lock(&self.0.changed).contains_key(&id);
        // Whoever borrows a camera's name gets its login only if its owner enters it once more.
        if (moved || changed) && picked.login.is_none() {
            return Err(refusal(
                "changed_device",
                "This camera answers at another address than before, or is another one: if that is right, add it again and enter its user name and password.",
            ));
        }
        let mut next = known.clone();
        next.on = true;
        if moved || changed {
            next.address = Private::new(picked.address);
            next.device = picked.device.map(|key| key.to_string());
            next.serial = None;
        }
        next.login = picked.login.or(next.login);
        let source = source(&next)?;
        self.keep(|core| {
            if let Some(camera) = core.camera_mut(&id) {
                *camera = next.clone();
            }
        })?;
        lock(&self.0.changed).remove(&id);
        self.apply(&next, &source, known.on);
        self.event(
            "camera_changed",
            Some(&id),
            format!("{} was set anew.", next.name.as_deref().unwrap_or(id.as_str())),
        );
        Ok(id)
    }

    fn look_up(&self, pick: Pick, login: Option<Login>) -> Result<Picked, Refusal> {
        let (key, channel) = match pick {
            Pick::Address(text) => return self.look_up_address(&text, login),
            Pick::Device(key) => (key, None),
            Pick::Channel(key, token) => (key, Some(token)),
        };
        let gone = || {
            refusal("no_such_device", "This device is not on the network any more: look at the list again.")
        };
        let device = Device::find(&self.0.shared.devices(), &key).cloned().ok_or_else(gone)?;
        if device.activated == Some(false) {
            return Err(refusal(
                "not_activated",
                "The camera is new and has no password yet: open its own page, give it one, then add it.",
            ));
        }
        let address =
            adopt::best_address(&device).or_else(|| device.addresses.first().map(ToString::to_string));
        let address = address.ok_or_else(|| {
            refusal("no_address", "This device has not said where its picture is: add it by its address.")
        })?;
        let mut identity = adopt::identity(&device.key);
        let mut name = [&device.name, &device.model, &device.maker]
            .into_iter()
            .flatten()
            .map(|fact| fact.value.clone())
            .next();
        let mut words = adopt::device_words(&device);
        if let Some(token) = &channel {
            if token.len() > LONGEST {
                return Err(gone());
            }
            identity = format!("{identity} channel {token}");
            let channels = lock(&self.0.channels);
            let said = channels.get(&key).and_then(|all| all.iter().find(|channel| channel.token == *token));
            name = said.map(|channel| channel.name.clone()).or(name);
            words = said
                .map(|channel| crate::door::slug(&channel.name))
                .filter(|slug| !slug.is_empty())
                .or(words);
        }
        Ok(Picked {
            identity,
            words,
            name: name.as_deref().and_then(cleaned),
            address,
            mac: device.mac.as_ref().map(|mac| mac.value.clone()),
            device: Some(device.key),
            channel,
            login,
        })
    }

    fn look_up_address(&self, text: &str, login: Option<Login>) -> Result<Picked, Refusal> {
        let wrong = |sentence: String| Refusal { code: "bad_address".to_owned(), sentence };
        if text.len() > LONGEST {
            return Err(wrong("An address has at most 1024 characters.".to_owned()));
        }
        let Ok(any) = CameraId::new("x") else { return Err(wrong(String::new())) };
        let source = Source::new(any, text, None, None)
            .map_err(|error| wrong(format!("This is no camera's address: {error}.")))?;
        let address = source.address.unmasked();
        let own = source.user.map(|user| Login { user, password: source.password.unwrap_or_default() });
        let host = adopt::address(&source.address);
        let device = host.and_then(|host| self.device(|device| device.addresses.contains(&host)));
        if device.as_ref().is_some_and(|device| device.activated == Some(false)) {
            return Err(refusal(
                "not_activated",
                "The camera is new and has no password yet: open its own page, give it one, then add it.",
            ));
        }
        Ok(Picked {
            identity: format!("url {address}"),
            words: device.as_ref().and_then(adopt::device_words),
            name: None,
            address,
            mac: device.as_ref().and_then(|device| Some(device.mac.as_ref()?.value.clone())),
            device: device.map(|device| device.key),
            channel: None,
            login: own.or(login),
        })
    }
}

/// An id that belongs to nobody else: the one that it had before, else one of its words and its identity.
fn free_id(core: &Core, others: &[CameraId], words: Option<&str>, identity: &str) -> Option<CameraId> {
    if let Some((id, _)) = core.retired.iter().find(|(id, of)| of == identity && !others.contains(id)) {
        return Some(id.clone());
    }
    (1_u32..100).find_map(|number| {
        let salted = if number == 1 { identity.to_owned() } else { format!("{identity} {number}") };
        let id = adopt::named_id(words, &salted)?;
        let free = !others.contains(&id) && !core.retired.iter().any(|(retired, _)| *retired == id);
        free.then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CameraId {
        CameraId::new(text).unwrap()
    }

    #[test]
    fn an_id_is_the_cameras_own_for_ever_and_nobody_elses() {
        let mut core = Core::default();
        let first = free_id(&core, &[], Some("ipc"), "address 10.0.0.2").unwrap();
        assert_eq!(first.as_str(), "ipc-e42a50", "as adoption makes it: links stay the same");
        let second = free_id(&core, std::slice::from_ref(&first), Some("ipc"), "address 10.0.0.2").unwrap();
        assert_ne!(first, second);
        // Removed: nobody else gets it, though the same words and digest came up; the camera itself does.
        core.retired.push((first.clone(), "address 10.0.0.2".into()));
        core.retired.push((id("ipc-other"), "x".into()));
        assert_eq!(free_id(&core, &[], Some("renamed"), "address 10.0.0.2"), Some(first.clone()));
        core.retired[0].1 = "another camera".into();
        assert_ne!(free_id(&core, &[], Some("ipc"), "address 10.0.0.2"), Some(first));
    }
}
