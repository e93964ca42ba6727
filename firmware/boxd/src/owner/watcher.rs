//! What is looked at once a second: events, and whether a camera is still the one that the owner picked.
//!
//! Invariant: while somebody else is at a camera's address, its worker is ended and nobody there is shown its login; only the
//! owner ends that, by picking again, or the camera itself, by being back. Words in datagrams take nothing from a camera whose
//! pictures arrive: who is at the other end of that session was there when the owner picked it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use model::{CameraState, Device, DeviceKey, Trouble};

use super::core::Kept;
use super::events::Observer;
use super::roster::source;
use super::{Owner, adopt_address};
use crate::logins::millis;
use crate::state::lock;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

impl Owner {
    /// Looks for ever.
    pub(crate) async fn watch(&self) {
        let began = Instant::now();
        let mut observer = Observer::default();
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let inner = &self.0;
            observer.look(&inner.shared, &inner.events, began.elapsed(), millis(inner.time.now()));
            inner.events.keep(false);
            self.compare();
        }
    }

    /// Compares who is at the cameras' addresses with whom the owner picked.
    fn compare(&self) {
        let kept = self.0.store.with(|core| core.cameras.clone());
        if kept.is_empty() {
            return;
        }
        let devices = self.0.shared.devices();
        for camera in kept.iter().filter(|camera| camera.on) {
            let Some(shown) = self.0.shared.camera(camera.id.as_str()) else { continue };
            let facts = shown.feed().device();
            let serial = facts.and_then(|facts| facts.serial).filter(|serial| !serial.trim().is_empty());
            let other_serial = match (&camera.serial, &serial) {
                (Some(known), Some(now)) => known != now,
                (None, Some(_)) => {
                    self.learn(camera, |kept| kept.serial.clone_from(&serial));
                    false
                }
                _ => false,
            };
            let at = adopt_address(camera).map(|address| at(&devices, address)).unwrap_or_default();
            let live = matches!(shown.feed().state(), CameraState::Streaming(_));
            let stranger = stranger(camera, &at).filter(|_| !live);
            if camera.device.is_none()
                && shown.feed().state().trouble().is_none()
                && let [device] = at[..]
                && !matches!(device.key, DeviceKey::Address(_))
            {
                self.learn(camera, |kept| {
                    kept.device = Some(device.key.to_string());
                    if let Some(mac) = &device.mac {
                        kept.other.insert("mac".to_owned(), mac.value.clone().into());
                    }
                });
            }
            let mut changed = lock(&self.0.changed);
            match (stranger, other_serial, changed.contains_key(&camera.id)) {
                (None, false, false) | (Some(_), _, true) | (_, true, true) => {}
                (None, false, true) => {
                    // Back again, as the owner picked it. A serial number is only told after a login: it stays held.
                    if changed.get(&camera.id).is_some_and(|who| who != SERIAL) {
                        changed.remove(&camera.id);
                        drop(changed);
                        if let Ok(source) = source(camera)
                            && let Err(error) = self.0.supervisor.change(&source)
                        {
                            tracing::warn!(camera = %camera.id, %error, "a camera cannot be started");
                        }
                    }
                }
                (stranger, ..) => {
                    changed.insert(camera.id.clone(), stranger.unwrap_or_else(|| SERIAL.to_owned()));
                    drop(changed);
                    self.0.supervisor.hold(&camera.id, Trouble::ChangedDevice);
                    tracing::warn!(camera = %camera.id, "another device is at this camera's address: it is shown no login");
                    let name = camera.name.as_deref().unwrap_or(camera.id.as_str());
                    let sentence = format!("{name}: another device is at its address.");
                    self.event("changed_device", Some(&camera.id), sentence);
                }
            }
        }
    }

    fn learn(&self, camera: &Kept, learn: impl FnOnce(&mut Kept)) {
        // Only a comparison is lost when this cannot be kept.
        let _ = self.keep(|core| {
            if let Some(kept) = core.camera_mut(&camera.id) {
                learn(kept);
            }
        });
    }
}

/// Answers to one probe come within this, milliseconds.
const TOGETHER_MS: u64 = 3_000;

/// What is noted of a device whose serial number is another one.
pub(super) const SERIAL: &str = "serial";

fn at(devices: &[Device], address: IpAddr) -> Vec<&Device> {
    devices.iter().filter(|device| device.addresses.contains(&address)).collect()
}

/// Who is at a camera's address instead of it; `None` when that cannot be said.
fn stranger(camera: &Kept, at: &[&Device]) -> Option<String> {
    let known = camera.device.as_deref()?;
    let known_mac = camera.other.get("mac").and_then(|mac| mac.as_str());
    // Both answer the same probe when both are there.
    let itself = at.iter().find(|device| device.key.to_string() == known).map(|device| device.last_heard_ms);
    // Only what is of one kind can be compared: who told a MAC address yesterday may tell an ONVIF endpoint today.
    let is_mac = |text: &str| text.len() == 17 && text.bytes().filter(|byte| *byte == b':').count() == 5;
    let is_endpoint = |text: &str| !is_mac(text) && text.parse::<IpAddr>().is_err();
    let others = at.iter().filter(|device| device.key.to_string() != known);
    let mut newer =
        others.filter(|device| itself.is_none_or(|heard| device.last_heard_ms > heard + TOGETHER_MS));
    newer.find_map(|device| {
        let mac = device.mac.as_ref().map(|mac| mac.value.as_str());
        let other = match &device.key {
            DeviceKey::Endpoint(_) if is_endpoint(known) => true,
            _ => match (known_mac.or(Some(known).filter(|known| is_mac(known))), mac) {
                (Some(known), Some(mac)) => known != mac,
                _ => false,
            },
        };
        other.then(|| device.key.to_string())
    })
}

#[cfg(test)]
mod tests {
    use model::{CameraId, Fact, Private, Source as From};

    use super::*;

    fn kept(device: Option<&str>, mac: Option<&str>) -> Kept {
        let mut other = serde_json::Map::new();
        if let Some(mac) = mac {
            other.insert("mac".into(), mac.into());
        }
        Kept {
            id: CameraId::new("gate").unwrap(),
            name: None,
            address: Private::new("rtsp://10.0.0.7/1".into()),
            identity: "x".into(),
            device: device.map(str::to_owned),
            serial: None,
            login: None,
            channel: None,
            on: true,
            other,
        }
    }

    fn device(key: DeviceKey, mac: Option<&str>) -> Device {
        let mac = mac.map(|mac| Fact { value: mac.to_owned(), source: From::Sadp });
        Device { addresses: vec!["10.0.0.7".parse().unwrap()], mac, ..Device::new(key) }
    }

    #[test]
    fn another_device_at_the_address_is_noticed_and_the_same_one_told_otherwise_is_not() {
        let (ours, other) = ("00:11:22:33:44:55", "00:11:22:33:44:66");
        let endpoint = |name: &str| DeviceKey::Endpoint(name.into());
        let is = |camera: &Kept, devices: &[Device]| stranger(camera, &devices.iter().collect::<Vec<_>>());
        let camera = kept(Some("aaaa"), Some(ours));
        assert_eq!(is(&camera, &[device(endpoint("aaaa"), None)]), None);
        assert_eq!(is(&camera, &[device(endpoint("bbbb"), None)]).as_deref(), Some("bbbb"));
        // Somebody forges its address while it is there itself: nothing is taken from the owner.
        assert_eq!(is(&camera, &[device(endpoint("bbbb"), None), device(endpoint("aaaa"), None)]), None);
        let late = Device { last_heard_ms: 30_000, ..device(endpoint("bbbb"), None) };
        let is_late = is(&camera, &[device(endpoint("aaaa"), None), late]);
        assert_eq!(is_late.as_deref(), Some("bbbb"), "it took the camera's place a moment ago");
        // ONVIF is silent for a while; only its maker's protocol, or nobody, speaks.
        assert_eq!(is(&camera, &[device(DeviceKey::Mac(ours.into()), Some(ours))]), None);
        assert!(is(&camera, &[device(DeviceKey::Mac(other.into()), Some(other))]).is_some());
        assert_eq!(is(&camera, &[device(DeviceKey::Address("10.0.0.7".parse().unwrap()), None)]), None);
        assert_eq!(is(&camera, &[]), None);
        // Picked before ONVIF answered.
        let early = kept(Some(ours), None);
        assert_eq!(is(&early, &[device(endpoint("aaaa"), Some(ours))]), None);
        assert_eq!(is(&early, &[device(endpoint("aaaa"), None)]), None);
        assert!(is(&early, &[device(endpoint("aaaa"), Some(other))]).is_some());
        assert_eq!(is(&kept(None, None), &[device(endpoint("bbbb"), None)]), None);
    }
}
