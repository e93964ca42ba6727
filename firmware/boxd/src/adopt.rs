//! Discovered devices that become cameras by themselves, when the owner wants that.
//!
//! A device is adopted once, under an id that depends only on what tells it from others, and stays a camera when
//! discovery no longer hears it: its links keep working.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use camera::{Address, Source};
use model::{CameraId, Device, DeviceKey, Private};
use url::Host;

use crate::door::slug;

/// A device found by one protocol often answers another a moment later, with a better name and address.
const SETTLE: Duration = Duration::from_secs(2);

/// Decides which devices become cameras.
pub(crate) struct Adoption {
    user: Option<String>,
    password: Option<Private<String>>,
    /// Addresses that are streamed already, configured or adopted.
    streamed: BTreeSet<IpAddr>,
    /// Devices that were seen but have not settled yet: their best address, and since when.
    waiting: Vec<(IpAddr, Instant)>,
}

impl Adoption {
    /// Adopts with this user and password; what is configured is not adopted again.
    pub(crate) fn new(
        user: Option<String>,
        password: Option<Private<String>>,
        configured: &[Source],
    ) -> Self {
        let streamed = configured.iter().filter_map(|source| address(&source.address)).collect();
        Self { user, password, streamed, waiting: Vec::new() }
    }

    /// The devices that become cameras now, and when to look again at the latest.
    pub(crate) fn look(
        &mut self,
        devices: &[Device],
        now: Instant,
    ) -> (Vec<(Source, DeviceKey)>, Option<Instant>) {
        let mut adopted = Vec::new();
        let mut next = None;
        for device in devices {
            let Some(best) = device.addresses.first().copied() else { continue };
            // Before its first password is set no login can work, and each try brings a lock-out nearer.
            if device.activated == Some(false)
                || device.addresses.iter().any(|address| self.streamed.contains(address))
            {
                continue;
            }
            let known = self.waiting.iter().find(|(address, _)| *address == best).map(|(_, since)| *since);
            if known.is_none() {
                self.waiting.push((best, now));
            }
            let due = known.unwrap_or(now) + SETTLE;
            if now < due {
                next = Some(next.map_or(due, |next: Instant| next.min(due)));
                continue;
            }
            let Some(source) = self.source(device) else { continue };
            self.streamed.extend(&device.addresses);
            adopted.push((source, device.key.clone()));
        }
        self.waiting.retain(|(address, _)| {
            devices.iter().any(|device| device.addresses.first() == Some(address))
                && !self.streamed.contains(address)
        });
        (adopted, next)
    }

    /// How a device is streamed with the owner's login.
    fn source(&self, device: &Device) -> Option<Source> {
        let text = best_address(device)?;
        Source::new(id(device)?, &text, self.user.clone(), self.password.clone()).ok()
    }

    /// Addresses that the owner has made cameras of meanwhile are not adopted.
    pub(crate) fn taken(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.streamed.extend(addresses);
    }
}

/// How a device is streamed: by ONVIF, else by the path that it announced, else by what cameras of its maker use.
pub(crate) fn best_address(device: &Device) -> Option<String> {
    let has_path = |url: &&str| url::Url::parse(url).is_ok_and(|url| !matches!(url.path(), "" | "/"));
    let rtsp = || device.rtsp.iter().map(|fact| fact.value.as_str());
    let bare = || match rtsp().next().map(url::Url::parse)?.ok()? {
        url if url.port().is_none_or(|port| port == 554) => url.host_str().map(str::to_owned),
        url => Some(url.to_string()),
    };
    let onvif = device.onvif.first().map(|fact| fact.value.clone());
    onvif.or_else(|| rtsp().find(has_path).map(str::to_owned)).or_else(bare)
}

/// The address of a configured camera, when it is one.
pub(crate) fn address(address: &Address) -> Option<IpAddr> {
    match address.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// An id for links: the device's own words, then a short digest of its key, which keeps two of a kind apart.
fn id(device: &Device) -> Option<CameraId> {
    named_id(device_words(device).as_deref(), &identity(&device.key))
}

/// What an id is made from: which device it is.
pub(crate) fn identity(key: &DeviceKey) -> String {
    match key {
        DeviceKey::Endpoint(endpoint) => format!("endpoint {endpoint}"),
        DeviceKey::Mac(mac) => format!("mac {mac}"),
        DeviceKey::Address(address) => format!("address {address}"),
    }
}

/// The device's own words, as far as an id can hold them.
pub(crate) fn device_words(device: &Device) -> Option<String> {
    let words = [&device.name, &device.model, &device.maker];
    words.into_iter().flatten().map(|fact| slug(&fact.value)).find(|slug| !slug.is_empty())
}

/// An id of these words and a digest of what tells the camera from others.
pub(crate) fn named_id(words: Option<&str>, identity: &str) -> Option<CameraId> {
    // FNV-1a, 64 bits: part of the links, so it must never change.
    let digest = identity.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    CameraId::new(&format!("{}-{:06x}", words.unwrap_or("cam"), digest & 0xff_ffff)).ok()
}

#[cfg(test)]
mod tests {
    use model::{Fact, Source as From};

    use super::*;

    fn device(address: &str, onvif: &[&str], rtsp: &[&str], name: Option<&str>) -> Device {
        let facts = |values: &[&str]| {
            values
                .iter()
                .map(|value| Fact { value: (*value).to_owned(), source: From::WsDiscovery })
                .collect()
        };
        Device {
            addresses: vec![address.parse().unwrap()],
            name: name.map(|name| Fact { value: name.into(), source: From::Mdns }),
            onvif: facts(onvif),
            rtsp: facts(rtsp),
            ..Device::new(DeviceKey::Address(address.parse().unwrap()))
        }
    }

    fn adopted(devices: &[Device], configured: &[Source]) -> Vec<(String, String)> {
        let mut adoption = Adoption::new(Some("admin".into()), Some(Private::new("x".into())), configured);
        let now = Instant::now();
        let (early, next) = adoption.look(devices, now);
        assert!(early.is_empty(), "nothing is adopted before it has settled");
        let Some(next) = next else { return Vec::new() };
        let (sources, _) = adoption.look(devices, next);
        let (again, _) = adoption.look(devices, next + SETTLE);
        assert!(again.is_empty(), "a device is adopted once");
        sources.iter().map(|(source, _)| (source.id.to_string(), source.address.to_string())).collect()
    }

    #[test]
    fn a_device_is_streamed_by_the_best_address_that_it_gave() {
        let onvif = device(
            "10.0.0.2",
            &["http://10.0.0.2/onvif/device_service"],
            &["rtsp://10.0.0.2/"],
            Some("Gate 1"),
        );
        let path = device("10.0.0.3", &[], &["rtsp://10.0.0.3/", "rtsp://10.0.0.3/live"], None);
        let bare = device("10.0.0.4", &[], &["rtsp://10.0.0.4:554/"], None);
        let other = device("10.0.0.5", &[], &["rtsp://10.0.0.5:8554/"], None);
        let nothing = device("10.0.0.6", &[], &[], Some("printer"));
        let sources = adopted(&[onvif, path, bare, other, nothing], &[]);
        let addresses: Vec<_> = sources.iter().map(|(_, address)| address.as_str()).collect();
        assert_eq!(
            addresses,
            [
                "http://10.0.0.2/onvif/device_service",
                "rtsp://10.0.0.3/live",
                "10.0.0.4",
                "rtsp://10.0.0.5:8554/"
            ]
        );
        assert!(sources[0].0.starts_with("gate-1-"), "{sources:?}");
    }

    #[test]
    fn links_stay_the_same_over_restarts_and_two_of_a_kind_differ() {
        let one = device("10.0.0.2", &[], &["rtsp://10.0.0.2/a"], Some("IPC"));
        let two = device("10.0.0.3", &[], &["rtsp://10.0.0.3/a"], Some("IPC"));
        assert_eq!(id(&one).unwrap().as_str(), "ipc-e42a50");
        assert_ne!(id(&one), id(&two));
    }

    #[test]
    fn a_camera_without_its_first_password_is_left_alone() {
        let ready = device("10.0.0.2", &["http://10.0.0.2/onvif/device_service"], &[], None);
        let fresh = Device { activated: Some(false), ..ready.clone() };
        assert!(adopted(&[fresh], &[]).is_empty());
        assert_eq!(adopted(&[Device { activated: Some(true), ..ready }], &[]).len(), 1);
    }

    #[test]
    fn what_is_configured_is_not_adopted_again() {
        let configured =
            Source::new(CameraId::new("gate").unwrap(), "rtsp://10.0.0.2/main", None, None).unwrap();
        assert!(adopted(&[device("10.0.0.2", &[], &["rtsp://10.0.0.2/a"], None)], &[configured]).is_empty());
    }
}
