//! Whether the box still has the addresses that it had.
//!
//! A connection from an address that is gone hears nothing more, not even an end: silence would have to tell. A DHCP
//! server, or an owner who plugs the box in elsewhere, changes all of them at once.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{SockaddrIn, SockaddrStorage};
use tokio::sync::watch;

/// How often the addresses are looked at: one call to the kernel.
const LOOK: Duration = Duration::from_secs(1);

/// Tells `moved` each time that an address of the box is gone. Never returns.
pub(crate) async fn watch(moved: &watch::Sender<()>) -> Infallible {
    let mut known = addresses().unwrap_or_default();
    loop {
        tokio::time::sleep(LOOK).await;
        // When the kernel does not tell, nothing is known to be gone.
        let Some(now) = addresses() else { continue };
        if !known.is_subset(&now) {
            tracing::info!("an address of this box is gone: connecting to the cameras anew");
            moved.send_replace(());
        }
        known = now;
    }
}

/// The IPv4 addresses of all interfaces. Those of IPv6 come and go by themselves (RFC 8981), and cameras are not spoken to
/// from them.
fn addresses() -> Option<BTreeSet<Ipv4Addr>> {
    let own = |address: SockaddrStorage| address.as_sockaddr_in().map(SockaddrIn::ip);
    // Addresses that the box borrows for a while come and go without anybody moving.
    let kept = getifaddrs().ok()?.filter(|interface| !crate::lan::is_borrowed(&interface.interface_name));
    Some(kept.filter_map(|interface| own(interface.address?)).collect())
}
