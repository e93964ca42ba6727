//! Where a camera is in its peer's network: an IPv4 address and a port, because the peer's kernel is told to forward to it and
//! resolves no names.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use crate::hub::RTSP;

/// Address and port of a camera beside its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target(SocketAddrV4);

/// Why a text is no [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The camera's address in its own network is written like 192.168.1.64 or 192.168.1.64:554.")]
pub struct InvalidTarget;

impl Target {
    /// The camera's address.
    pub fn address(&self) -> Ipv4Addr {
        *self.0.ip()
    }

    /// Its port for RTSP.
    pub fn port(&self) -> u16 {
        self.0.port()
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let text = text.trim();
        let at = text
            .parse::<SocketAddrV4>()
            .or_else(|_| text.parse::<Ipv4Addr>().map(|address| SocketAddrV4::new(address, RTSP)))
            .map_err(|_| InvalidTarget)?;
        let address = at.ip();
        let nowhere = address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast()
            || address.is_link_local()
            || address.octets()[0] == 0
            || address.octets()[0] >= 240;
        if nowhere || at.port() == 0 { Err(InvalidTarget) } else { Ok(Self(at)) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_be_left_out() {
        let target: Target = " 192.168.1.64 ".parse().unwrap();
        assert_eq!(target.to_string(), "192.168.1.64:554");
        assert_eq!("10.0.0.9:8554".parse::<Target>().unwrap().port(), 8554);
    }

    #[test]
    fn names_commands_and_addresses_of_nobody_are_refused() {
        for text in [
            "",
            "camera.local",
            "192.168.1.64; reboot",
            "192.168.1.64:554\nPostUp = reboot",
            "192.168.1.64:0",
            "192.168.1.64:65536",
            "[::1]:554",
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.1:554",
            "255.255.255.255",
        ] {
            assert_eq!(text.parse::<Target>(), Err(InvalidTarget), "{text:?}");
        }
    }
}
