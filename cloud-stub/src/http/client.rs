//! Who a request comes from. What a header says of it is believed only from loopback and from proxies that the operator
//! has named; anybody else could write anything.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::HeaderMap;

/// The address that a request came from, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub IpAddr);

/// Who may speak for others.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<[IpAddr]>);

impl Proxies {
    /// Loopback and these.
    pub fn new(named: &[IpAddr]) -> Self {
        Self(named.iter().map(IpAddr::to_canonical).collect())
    }

    /// Whether this address may speak for others.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || self.0.contains(&address)
    }

    /// The named ones and loopback, for limits that must not count them as one visitor.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
        self.0.iter().copied().chain(loopback).collect()
    }

    /// The last address of `X-Forwarded-For` that is not a proxy's own: each proxy appends whom it heard.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Client {
        let mut client = peer.ip().to_canonical();
        let lists: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|list| list.to_str().ok()).collect();
        for address in lists.iter().rev().flat_map(|list| list.rsplit(',')) {
            if !self.trusts(client) {
                break;
            }
            let Ok(before) = address.trim().parse::<IpAddr>() else { break };
            client = before.to_canonical();
        }
        Client(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[&str]) -> String {
        let proxies = Proxies::new(&["192.0.2.7".parse().unwrap()]);
        let mut map = HeaderMap::new();
        for header in headers {
            map.append("x-forwarded-for", header.parse().unwrap());
        }
        proxies.client(SocketAddr::new(peer.parse().unwrap(), 1), &map).0.to_string()
    }

    #[test]
    fn only_a_proxy_is_believed() {
        assert_eq!(client("203.0.113.5", &["198.51.100.1"]), "203.0.113.5");
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:192.0.2.7", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["nonsense"]), "127.0.0.1");
    }

    #[test]
    fn what_the_stranger_wrote_before_the_proxy_is_not_believed() {
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 198.51.100.1, 192.0.2.7"]), "198.51.100.1");
    }
}
