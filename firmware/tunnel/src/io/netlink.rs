//! Interfaces, addresses and routes of the calling thread's network namespace, by rtnetlink (RFC 3549).
//!
//! Requests only; an answer is read for its error code. Each function works in whatever namespace the socket was opened.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::net::Cidr;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Actions and flags of routing rules (linux/fib_rules.h): look into a table; for packets without the mark.
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;
/// Attributes of routing rules (linux/fib_rules.h).
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;

/// A socket that speaks rtnetlink.
pub(super) struct Netlink {
    socket: OwnedFd,
}

/// A request that grows by attributes.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: i32, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(((libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16).to_ne_bytes());
        bytes.extend([0; 8]); // sequence and port: one request at a time
        bytes.extend(body);
        Self(bytes)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() as u32).to_ne_bytes();
        self.0.iter_mut().zip(length).for_each(|(to, from)| *to = from);
        self.0
    }
}

const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace.
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        // The kernel answers within the call; a limit keeps a surprise from hanging the thread.
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(5))?;
        Ok(Self { socket })
    }

    fn ask(&self, message: Message) -> io::Result<()> {
        send(self.socket.as_raw_fd(), &message.finish(), MsgFlags::empty())?;
        let mut answer = [0; 4096];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let code = answer.get(HEADER..HEADER + 4).filter(|_| length >= HEADER + 4);
        match code.and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(Errno::from_raw(code.wrapping_neg()).into()),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Brings an interface up.
    pub(super) fn up(&self, index: u32) -> io::Result<()> {
        let up = libc::IFF_UP as u32;
        self.ask(link(index, up))
    }

    /// Sets an interface's MTU in bytes.
    pub(super) fn set_mtu(&self, index: u32, mtu: u16) -> io::Result<()> {
        self.ask(link(index, 0).attribute(libc::IFLA_MTU, &u32::from(mtu).to_ne_bytes()))
    }

    /// Gives an interface an address, with a route to its network.
    pub(super) fn add_address(&self, index: u32, address: Cidr) -> io::Result<()> {
        self.ask(self::address(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, index, address))
    }

    /// Takes an address from an interface.
    pub(super) fn remove_address(&self, index: u32, address: Cidr) -> io::Result<()> {
        self.ask(self::address(libc::RTM_DELADDR, 0, index, address))
    }

    /// Sends a network into an interface, in this table of routes. A route that is there already, to wherever it leads, is
    /// an error: this machine needs it.
    pub(super) fn add_route(&self, index: u32, network: Cidr, table: u32) -> io::Result<()> {
        let network = network.network();
        let mut body = vec![family(network.address), network.prefix, 0, 0];
        body.extend([libc::RT_TABLE_UNSPEC, libc::RTPROT_STATIC, libc::RT_SCOPE_LINK, libc::RTN_UNICAST]);
        body.extend([0; 4]);
        let message = Message::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body)
            .attribute(libc::RTA_DST, &octets(network.address))
            .attribute(libc::RTA_OIF, &index.to_ne_bytes())
            .attribute(libc::RTA_TABLE, &table.to_ne_bytes());
        self.ask(message)
    }

    /// Adds a rule for addresses of this one's kind.
    pub(super) fn add_rule(&self, like: IpAddr, rule: Rule) -> io::Result<()> {
        self.ask(self::rule(libc::RTM_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, like, rule))
    }

    /// Removes one such rule.
    pub(super) fn remove_rule(&self, like: IpAddr, rule: Rule) -> io::Result<()> {
        self.ask(self::rule(libc::RTM_DELRULE, 0, like, rule))
    }
}

/// Which table of routes is asked when.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// The main table at this priority, but for its default routes.
    MainWithoutDefault(u32),
    /// At this priority this table, for all packets but those of sockets with this mark.
    Unmarked(u32, u32, u32),
}

fn rule(kind: u16, flags: i32, like: IpAddr, rule: Rule) -> Message {
    let invert = if matches!(rule, Rule::Unmarked(..)) { FIB_RULE_INVERT } else { 0 };
    let mut body = vec![family(like), 0, 0, 0, libc::RT_TABLE_UNSPEC, 0, 0, FR_ACT_TO_TBL];
    body.extend(invert.to_ne_bytes());
    let message = Message::new(kind, flags, &body);
    match rule {
        Rule::MainWithoutDefault(priority) => message
            .attribute(FRA_PRIORITY, &priority.to_ne_bytes())
            .attribute(FRA_TABLE, &u32::from(libc::RT_TABLE_MAIN).to_ne_bytes())
            .attribute(FRA_SUPPRESS_PREFIXLEN, &0_u32.to_ne_bytes()),
        Rule::Unmarked(priority, table, mark) => message
            .attribute(FRA_PRIORITY, &priority.to_ne_bytes())
            .attribute(FRA_TABLE, &table.to_ne_bytes())
            .attribute(FRA_FWMARK, &mark.to_ne_bytes()),
    }
}

fn link(index: u32, up: u32) -> Message {
    let mut body = vec![0; 4]; // family, padding, type
    body.extend(index.to_ne_bytes());
    body.extend(up.to_ne_bytes());
    body.extend(up.to_ne_bytes()); // which flags to change
    Message::new(libc::RTM_NEWLINK, 0, &body)
}

fn address(kind: u16, flags: i32, index: u32, address: Cidr) -> Message {
    // Without duplicate address detection: nobody else is on this link, and IPv6 would wait a second.
    let no_dad = libc::IFA_F_NODAD as u8;
    let mut body = vec![family(address.address), address.prefix, no_dad, 0];
    body.extend(index.to_ne_bytes());
    let octets = octets(address.address);
    Message::new(kind, flags, &body).attribute(libc::IFA_LOCAL, &octets).attribute(libc::IFA_ADDRESS, &octets)
}
