//! TCP packets larger than the MTU. The kernel hands them over whole and takes them whole (TSO and GRO over a TUN device);
//! the tunnel carries packets of the MTU. [`cut`](cut::cut) and [`Joined`](join::Joined) translate, in memory only.
//!
//! Cutting what was joined gives the same packets, byte for byte, in the same order.

pub mod checksum;
pub mod cut;
pub mod join;

/// Bytes of `struct virtio_net_hdr` (virtio 1.2, 5.1.6), which the TUN device puts before each packet.
pub const VIRTIO: usize = 10;
/// Bytes of an IPv4 header without options.
const V4_HEADER: usize = 20;
/// Bytes of an IPv6 header.
const V6_HEADER: usize = 40;
/// Bytes of a TCP header without options.
const TCP_HEADER: usize = 20;
/// Where TCP's checksum is in its header.
const TCP_CHECKSUM: usize = 16;
/// Where TCP's flags are in its header.
const TCP_FLAGS: usize = 13;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;
/// IP's number of TCP.
const TCP: u8 = 6;

/// The checksum from `start` on is unfinished; it goes `offset` behind `start`.
const NEEDS_CHECKSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCP4: u8 = 1;
const GSO_TCP6: u8 = 4;
const GSO_ECN: u8 = 0x80;

/// What the kernel says of a packet. Numbers are in the machine's byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Virtio {
    flags: u8,
    gso: u8,
    header: u16,
    segment: u16,
    start: u16,
    offset: u16,
}

impl Virtio {
    /// Reads it.
    pub fn read(bytes: [u8; VIRTIO]) -> Self {
        let [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1] = bytes;
        let number = |a, b| u16::from_ne_bytes([a, b]);
        Self {
            flags,
            gso,
            header: number(h0, h1),
            segment: number(s0, s1),
            start: number(c0, c1),
            offset: number(o0, o1),
        }
    }

    /// Writes it.
    pub fn bytes(self) -> [u8; VIRTIO] {
        let mut bytes = [self.flags, self.gso, 0, 0, 0, 0, 0, 0, 0, 0];
        let numbers = [self.header, self.segment, self.start, self.offset];
        for (to, from) in bytes.iter_mut().skip(2).zip(numbers.into_iter().flat_map(u16::to_ne_bytes)) {
            *to = from;
        }
        bytes
    }
}

/// A 16-bit number in network order.
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Writes bytes over others, if they fit.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(to) = bytes.get_mut(at..at + value.len()) {
        to.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests;
