//! Datagrams on their way out, gathered so that one system call takes many: to one address and of one size they go as one
//! message, which the kernel cuts (UDP_SEGMENT); different messages go in one call (sendmmsg).
//!
//! Small datagrams may be fragmented on the way; larger ones than every path carries are sent whole or not at all, so that
//! probing the MTU finds out the truth.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};

use super::kernel::{self, BATCH, Message};
use crate::peers::DATA_OVERHEAD;

/// Bytes after which what was gathered is sent.
const FULL: usize = 1 << 18;
/// Datagrams in one message: what any kernel with UDP_SEGMENT takes.
const MAX_SEGMENTS: u16 = 64;
/// Bytes in one message: the largest UDP payload over IPv4.
const MAX_MESSAGE: usize = 65_507;
/// The largest datagram that may be fragmented: a packet of 1280 bytes, which IPv6 paths carry (RFC 8200 section 5).
const MAY_FRAGMENT: usize = 1280 + DATA_OVERHEAD;

/// One message to be.
#[derive(Debug, Clone, Copy)]
struct Gathered {
    to: SocketAddr,
    start: usize,
    end: usize,
    segment: u16,
    count: u16,
}

/// What is gathered, and where it will go.
#[derive(Debug)]
pub(super) struct Outbox {
    socket: UdpSocket,
    v6: bool,
    /// Whether the kernel cuts for us.
    cuts: bool,
    /// What was last asked of the kernel.
    fragments: Option<bool>,
    bytes: Vec<u8>,
    messages: Vec<Gathered>,
}

/// As the socket wants it: one for both versions takes IPv4 addresses mapped into IPv6 (RFC 4291 section 2.5.5.2).
fn outward(address: SocketAddr, v6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v6 => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        other => other,
    }
}

/// As everybody else knows it.
pub(super) fn inward(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => {
            v6.ip().to_ipv4_mapped().map_or(address, |v4| SocketAddr::new(IpAddr::V4(v4), v6.port()))
        }
        SocketAddr::V4(_) => address,
    }
}

impl Outbox {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let v6 = socket.local_addr()?.is_ipv6();
        let (bytes, messages) = (Vec::with_capacity(FULL + MAX_MESSAGE), Vec::with_capacity(256));
        Ok(Self { socket, v6, cuts: true, fragments: None, bytes, messages })
    }

    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub(super) fn push(&mut self, to: SocketAddr, datagram: &[u8]) {
        if datagram.len() > MAX_MESSAGE {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        let end = self.bytes.len();
        match self.messages.last_mut() {
            Some(last)
                if self.cuts
                    && last.to == to
                    && datagram.len() <= usize::from(last.segment)
                    && last.end - last.start == usize::from(last.segment) * usize::from(last.count)
                    && last.count < MAX_SEGMENTS
                    && end - last.start <= MAX_MESSAGE =>
            {
                last.end = end;
                last.count += 1;
            }
            _ => self.messages.push(Gathered { to, start, end, segment: datagram.len() as u16, count: 1 }),
        }
        if end >= FULL {
            self.flush();
        }
    }

    /// Sends what was gathered. What the socket does not take is dropped, as networks do.
    pub(super) fn flush(&mut self) {
        let messages = core::mem::take(&mut self.messages);
        let mut rest = messages.as_slice();
        while let Some(first) = rest.first() {
            let fragments = usize::from(first.segment) <= MAY_FRAGMENT;
            let alike = rest
                .iter()
                .take(BATCH)
                .take_while(|message| (usize::from(message.segment) <= MAY_FRAGMENT) == fragments)
                .count();
            let (now, later) = rest.split_at(alike);
            self.allow_fragments(fragments);
            self.send(now);
            rest = later;
        }
        self.messages = messages;
        self.messages.clear();
        self.bytes.clear();
    }

    fn allow_fragments(&mut self, allowed: bool) {
        if self.fragments != Some(allowed) {
            self.fragments = Some(allowed);
            if let Err(error) = kernel::allow_fragments(&self.socket, self.v6, allowed) {
                tracing::debug!("the kernel does not let us choose fragments: {error}");
            }
        }
    }

    /// Sends messages of one kind, at most [`BATCH`].
    fn send(&mut self, gathered: &[Gathered]) {
        let empty = Message { to: kernel::NOTHING.from, bytes: &[], segment: 0 };
        let mut messages = [empty; BATCH];
        for (message, one) in messages.iter_mut().zip(gathered) {
            let bytes = self.bytes.get(one.start..one.end).unwrap_or_default();
            *message = Message { to: outward(one.to, self.v6), bytes, segment: one.segment };
        }
        let mut rest = messages.get(..gathered.len()).unwrap_or_default();
        let mut cuts = self.cuts;
        while let Some(first) = rest.first() {
            let taken = match kernel::send(&self.socket, rest) {
                Ok(taken) => taken.max(1),
                // The socket is full: so is the path.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if first.bytes.len() > usize::from(first.segment) {
                        // EIO: this device cannot finish checksums of what is cut. EINVAL: this path takes smaller ones.
                        cuts &= error.raw_os_error() != Some(nix::libc::EIO);
                        for datagram in first.bytes.chunks(first.segment.into()) {
                            let _ = kernel::send(&self.socket, &[Message { bytes: datagram, ..*first }]);
                        }
                    } else {
                        tracing::trace!("cannot send to {}: {error}", first.to);
                    }
                    1
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        if !cuts && self.cuts {
            tracing::debug!(
                "the kernel does not cut UDP on this path: {} datagrams were sent one by one",
                gathered.len()
            );
            self.cuts = false;
        }
    }
}
