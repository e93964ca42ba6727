//! Where people find the box's page: by which names and addresses, over TLS with which fingerprint, and by which code of the
//! label. A [`Whereabouts`] is a handle, cheap to clone; what is told of it is true at that moment.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use enrol::LabelCode;
use model::enrol::Findable;
use setup::desk::Secure;

use crate::names::Names;
use crate::names::interfaces::{self, Interface};
use crate::state::lock;

/// Where the set-up page is on the box.
const PATH: &str = "/setup/";

/// A handle on where the box is found.
#[derive(Clone, Default)]
pub(crate) struct Whereabouts(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Where the front door listens.
    door: Option<SocketAddr>,
    /// Where it listens for TLS.
    secure_door: Option<SocketAddr>,
    /// The names that are the box's, by interface.
    names: BTreeMap<Interface, Vec<String>>,
    /// What the box calls itself.
    called: Option<Names>,
    fingerprint: Option<String>,
    label: Option<LabelCode>,
}

impl Whereabouts {
    /// The front door listens here.
    pub(crate) fn set_door(&self, door: SocketAddr) {
        lock(&self.0).door = Some(door);
    }

    /// It listens here, too, with a certificate.
    pub(crate) fn set_secure_door(&self, door: SocketAddr) {
        lock(&self.0).secure_door = Some(door);
    }

    /// What the box calls itself.
    pub(crate) fn set_called(&self, names: Names) {
        lock(&self.0).called = Some(names);
    }

    /// What the box calls itself; `None` when it is not announced.
    pub(crate) fn called(&self) -> Option<Names> {
        lock(&self.0).called.clone()
    }

    /// These names are the box's now.
    pub(crate) fn set_names(&self, names: BTreeMap<Interface, Vec<String>>) {
        lock(&self.0).names = names;
    }

    /// The certificate that is shown has this fingerprint.
    pub(crate) fn set_fingerprint(&self, fingerprint: String) {
        lock(&self.0).fingerprint = Some(fingerprint);
    }

    /// The code on the box's label.
    pub(crate) fn set_label(&self, label: LabelCode) {
        lock(&self.0).label = Some(label);
    }

    /// The code on the box's label.
    pub(crate) fn label(&self) -> Option<LabelCode> {
        lock(&self.0).label.clone()
    }

    /// What the cloud is told, so that it leads whoever has the label to the page; `None` for a box without a label, and while
    /// the page is open to this machine only.
    pub(crate) fn findable(&self) -> Option<Findable> {
        let (label, pages) = (self.label()?.hash(), self.pages());
        (!pages.is_empty()).then_some(Findable { label, pages })
    }

    /// The names that are the box's on any interface, such as `streambox.local`.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in lock(&self.0).names.values().flatten() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The page's addresses on the LAN: by name first, then by address. Empty while the door is open to this machine only.
    pub(crate) fn pages(&self) -> Vec<String> {
        let Some(door) = lock(&self.0).door else { return Vec::new() };
        self.pages_at("http", door)
    }

    /// The same over TLS; `None` while there is no certificate.
    pub(crate) fn secure(&self) -> Option<Secure> {
        let (door, fingerprint) = {
            let inner = lock(&self.0);
            (inner.secure_door?, inner.fingerprint.clone()?)
        };
        Some(Secure { pages: self.pages_at("https", door), fingerprint })
    }

    fn pages_at(&self, scheme: &str, door: SocketAddr) -> Vec<String> {
        if door.ip().is_loopback() {
            return Vec::new();
        }
        let port = door.port();
        let names = self.names().into_iter().map(|name| page(scheme, &name, port));
        let addresses = addresses(door).into_iter().map(|address| page(scheme, &host(address), port));
        names.chain(addresses).collect()
    }

    /// The page by the address that is nearest to a peer: the one in its own subnet.
    pub(crate) fn page_near(&self, peer: IpAddr) -> Option<String> {
        let door = lock(&self.0).door?;
        let port = door.port();
        if !door.ip().is_unspecified() {
            return Some(page("http", &host(door.ip()), port));
        }
        let IpAddr::V4(peer) = peer.to_canonical() else { return None };
        if peer.is_loopback() {
            return Some(page("http", "127.0.0.1", port));
        }
        let interfaces = interfaces::list().ok()?;
        let near = interfaces.iter().find(|interface| interface.holds(peer))?;
        Some(page("http", &near.address.to_string(), port))
    }
}

/// The addresses of a listening socket on networks.
fn addresses(door: SocketAddr) -> Vec<IpAddr> {
    if !door.ip().is_unspecified() {
        return vec![door.ip()];
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for interface in interfaces::list().unwrap_or_default() {
        let address = IpAddr::from(interface.address);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn page(scheme: &str, host: &str, port: u16) -> String {
    match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{host}{PATH}"),
        _ => format!("{scheme}://{host}:{port}{PATH}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_first_and_the_usual_port_goes_without_saying() {
        let whereabouts = Whereabouts::default();
        assert!(whereabouts.pages().is_empty());
        whereabouts.set_door("10.0.0.5:80".parse().unwrap());
        let interface = |index| Interface {
            name: format!("eth{index}"),
            index,
            address: [10, 0, 0, 5].into(),
            mask: [255, 255, 255, 0].into(),
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        whereabouts.set_names(BTreeMap::from([
            (interface(1), names(&["streambox.local", "streambox-abcd.local"])),
            (interface(2), names(&["streambox-abcd.local"])),
        ]));
        assert_eq!(
            whereabouts.pages(),
            ["http://streambox.local/setup/", "http://streambox-abcd.local/setup/", "http://10.0.0.5/setup/"]
        );
        assert_eq!(whereabouts.secure(), None);
        whereabouts.set_secure_door("10.0.0.5:8443".parse().unwrap());
        assert_eq!(whereabouts.secure(), None, "no certificate yet");
        whereabouts.set_fingerprint("AB".to_owned());
        assert_eq!(whereabouts.secure().unwrap().pages[2], "https://10.0.0.5:8443/setup/");
        let near = whereabouts.page_near("10.0.0.77".parse().unwrap());
        assert_eq!(near.as_deref(), Some("http://10.0.0.5/setup/"));
    }

    #[test]
    fn a_door_that_is_open_to_this_machine_only_is_told_to_nobody() {
        let whereabouts = Whereabouts::default();
        whereabouts.set_door("127.0.0.1:8080".parse().unwrap());
        assert!(whereabouts.pages().is_empty());
    }
}
