//! Joins TCP segments of one flow that follow one another into one packet for the TUN device.
//!
//! Only what cutting can restore is joined: equal headers but for length, IPv4's identification counting up, the sequence
//! number, the checksum and PSH on the last; flags no other than ACK and PSH; checksums right. Everything else passes as it is, and
//! order is kept.

use super::{
    ACK, GSO_TCP4, GSO_TCP6, NEEDS_CHECKSUM, PSH, TCP, TCP_CHECKSUM, TCP_FLAGS, TCP_HEADER, V4_HEADER,
    V6_HEADER, VIRTIO, Virtio, checksum, put, word,
};

/// The largest IP packet.
const MAX_PACKET: usize = 65_535;

/// A packet that may still grow. Each piece that is given out starts with a virtio header.
#[derive(Debug)]
pub struct Joined {
    /// Virtio header and packet.
    bytes: Vec<u8>,
    /// What can be joined to it; `None` when nothing can or nothing is there.
    open: Option<Open>,
    count: u16,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    shape: Shape,
    /// Payload bytes of each segment but the last.
    size: usize,
    next: u32,
    id: u16,
}

/// Where things are in a segment that may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    v4: bool,
    ip: usize,
    whole: usize,
}

impl Default for Joined {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(VIRTIO + MAX_PACKET), open: None, count: 0 }
    }
}

/// The shape of a segment that may be joined, as far as headers tell; checksums are looked at when there are two.
fn shape(packet: &[u8]) -> Option<Shape> {
    let (v4, ip, length) = match *packet.first()? {
        // Without options; neither a fragment nor its first part.
        0x45 if *packet.get(9)? == TCP && word(packet, 6)? & 0xbfff == 0 => {
            (true, V4_HEADER, usize::from(word(packet, 2)?))
        }
        first if first >> 4 == 6 && *packet.get(6)? == TCP => {
            (false, V6_HEADER, V6_HEADER + usize::from(word(packet, 4)?))
        }
        _ => return None,
    };
    let whole = ip + usize::from(packet.get(ip + TCP_FLAGS - 1)? >> 4) * 4;
    let flags = *packet.get(ip + TCP_FLAGS)?;
    let good = whole >= ip + TCP_HEADER && length == packet.len() && whole < length && flags & !PSH == ACK;
    good.then_some(Shape { v4, ip, whole })
}

fn sequence(packet: &[u8], shape: Shape) -> Option<u32> {
    Some(u32::from_be_bytes(packet.get(shape.ip + 4..shape.ip + 8)?.try_into().ok()?))
}

fn addresses(packet: &[u8], shape: Shape) -> &[u8] {
    packet.get(if shape.v4 { 12..20 } else { 8..40 }).unwrap_or_default()
}

/// Whether both checksums of a segment are right. A sum of 0xffff is a right one (RFC 1071 section 1).
fn sound(packet: &[u8], shape: Shape) -> bool {
    let segment = packet.get(shape.ip..).unwrap_or_default();
    let pseudo = checksum::pseudo(addresses(packet, shape), TCP, segment.len());
    let header = packet.get(..shape.ip).unwrap_or_default();
    checksum::folded(checksum::add(pseudo, segment)) == [0xff; 2]
        && (!shape.v4 || checksum::folded(checksum::add(0, header)) == [0xff; 2])
}

/// Whether two segments of one shape differ only in what cutting sets anew.
fn alike(a: &[u8], b: &[u8], shape: Shape) -> bool {
    let same = |from: usize, to: usize| a.get(from..to) == b.get(from..to);
    let ip = if shape.v4 { same(0, 2) && same(6, 10) && same(12, 20) } else { same(0, 4) && same(6, 40) };
    let tcp = shape.ip;
    ip && same(tcp, tcp + 4)
        && same(tcp + 8, tcp + TCP_FLAGS)
        && same(tcp + TCP_FLAGS + 1, tcp + TCP_CHECKSUM)
        && same(tcp + TCP_CHECKSUM + 2, shape.whole)
}

impl Joined {
    /// Takes a packet; gives what cannot grow any more to `out`.
    pub fn push(&mut self, packet: &[u8], out: &mut impl FnMut(&[u8])) {
        let shape = shape(packet);
        if let Some(shape) = shape
            && self.join(packet, shape).is_some()
        {
            return;
        }
        self.flush(out);
        self.bytes.extend_from_slice(&[0; VIRTIO]);
        self.bytes.extend_from_slice(packet);
        self.count = 1;
        self.open = shape.and_then(|shape| {
            let size = packet.len() - shape.whole;
            let closed = packet.get(shape.ip + TCP_FLAGS)? & PSH != 0;
            let next = sequence(packet, shape)?.wrapping_add(size as u32);
            (!closed).then_some(Open { shape, size, next, id: word(packet, 4)? })
        });
        if self.open.is_none() {
            self.flush(out);
        }
    }

    /// Appends a segment, or gives `None` and leaves all as it was.
    fn join(&mut self, packet: &[u8], shape: Shape) -> Option<()> {
        let open = self.open?;
        let payload = packet.get(shape.whole..)?;
        let held = self.bytes.get(VIRTIO..)?;
        let id = open.id.wrapping_add(self.count);
        let follows = open.shape == shape
            && sequence(packet, shape)? == open.next
            && (!shape.v4 || word(packet, 4)? == id)
            && payload.len() <= open.size
            && held.len() + payload.len() <= MAX_PACKET
            && alike(held, packet, shape);
        if !follows || !sound(packet, shape) {
            return None;
        }
        if self.count == 1 && !sound(held, shape) {
            self.open = None;
            return None;
        }
        let flags = *packet.get(shape.ip + TCP_FLAGS)?;
        self.bytes.extend_from_slice(payload);
        self.count += 1;
        if flags & PSH != 0 {
            *self.bytes.get_mut(VIRTIO + shape.ip + TCP_FLAGS)? |= PSH;
        }
        let last = flags & PSH != 0 || payload.len() < open.size;
        let next = open.next.wrapping_add(payload.len() as u32);
        self.open = Some(Open { next, size: if last { 0 } else { open.size }, ..open });
        if last {
            // Nothing follows a short segment or a pushed one: a size of 0 takes no more.
            self.finish(open);
        }
        Some(())
    }

    /// Writes the headers of a packet that was joined.
    fn finish(&mut self, open: Open) {
        let Open { shape, size, .. } = open;
        let Some((virtio, packet)) = self.bytes.split_at_mut_checked(VIRTIO) else { return };
        let length = packet.len();
        if shape.v4 {
            put(packet, 2, &(length as u16).to_be_bytes());
            put(packet, 10, &[0, 0]);
            let sum = checksum::finished(checksum::add(0, packet.get(..shape.ip).unwrap_or_default()));
            put(packet, 10, &sum);
        } else {
            put(packet, 4, &((length - shape.ip) as u16).to_be_bytes());
        }
        let pseudo = checksum::pseudo(addresses(packet, shape), TCP, length - shape.ip);
        put(packet, shape.ip + TCP_CHECKSUM, &checksum::folded(pseudo));
        let header = Virtio {
            flags: NEEDS_CHECKSUM,
            gso: if shape.v4 { GSO_TCP4 } else { GSO_TCP6 },
            header: shape.whole as u16,
            segment: size as u16,
            start: shape.ip as u16,
            offset: TCP_CHECKSUM as u16,
        };
        virtio.copy_from_slice(&header.bytes());
    }

    /// Gives out what is there.
    pub fn flush(&mut self, out: &mut impl FnMut(&[u8])) {
        if self.count == 0 {
            return;
        }
        if let Some(open) = self.open.take()
            && self.count > 1
            && open.size > 0
        {
            self.finish(open);
        }
        out(&self.bytes);
        self.bytes.clear();
        self.count = 0;
    }
}
