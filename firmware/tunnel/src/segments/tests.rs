use proptest::prelude::*;

use super::join::Joined;
use super::*;

/// One TCP packet as a host would send it, checksums right.
#[derive(Debug, Clone)]
struct Segment {
    v4: bool,
    sequence: u32,
    id: u16,
    port: u16,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Segment {
    fn bytes(&self) -> Vec<u8> {
        let tcp = TCP_HEADER + self.options.len();
        let length = tcp + self.payload.len();
        let mut bytes = if self.v4 {
            let mut ip = vec![0x45, 0];
            ip.extend(((V4_HEADER + length) as u16).to_be_bytes());
            ip.extend(self.id.to_be_bytes());
            ip.extend([0x40, 0, 64, TCP, 0, 0, 10, 13, 1, 1, 10, 13, 0, 1]);
            let sum = checksum::finished(checksum::add(0, &ip));
            put(&mut ip, 10, &sum);
            ip
        } else {
            let mut ip = vec![0x60, 0, 0, 0];
            ip.extend((length as u16).to_be_bytes());
            ip.extend([TCP, 64]);
            ip.extend([0xfd; 16]);
            ip.extend([0xfc; 16]);
            ip
        };
        let ip = bytes.len();
        let addresses = bytes[if self.v4 { 12..20 } else { 8..40 }].to_vec();
        bytes.extend(self.port.to_be_bytes());
        bytes.extend([0, 80]);
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend([1, 2, 3, 4, (tcp as u8 / 4) << 4, self.flags, 0xff, 0, 0, 0, 0, 0]);
        bytes.extend(&self.options);
        bytes.extend(&self.payload);
        let sum = checksum::add(checksum::pseudo(&addresses, TCP, length), &bytes[ip..]);
        put(&mut bytes, ip + TCP_CHECKSUM, &checksum::finished(sum));
        bytes
    }
}

fn joined(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (mut joined, mut out) = (Joined::default(), Vec::new());
    for packet in packets {
        joined.push(packet, &mut |bytes: &[u8]| out.push(bytes.to_vec()));
    }
    joined.flush(&mut |bytes: &[u8]| out.push(bytes.to_vec()));
    out
}

fn cut_all(joined: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for bytes in joined {
        let (virtio, packet) = bytes.split_first_chunk::<VIRTIO>().unwrap();
        let virtio = Virtio::read(*virtio);
        cut::cut(virtio, &mut packet.to_vec(), |packet| out.push(packet.to_vec())).unwrap();
    }
    out
}

/// A download: segments of one size, the last shorter and pushed.
fn flow(v4: bool, count: u16, size: usize, last: usize, options: usize) -> Vec<Segment> {
    let mut sequence = u32::MAX - 3000;
    (0..count)
        .map(|at| {
            let end = at + 1 == count;
            let segment = Segment {
                v4,
                sequence,
                id: 65_530_u16.wrapping_add(at),
                port: 5000,
                flags: if end { ACK | PSH } else { ACK },
                options: vec![1; options],
                payload: (0..if end { last } else { size }).map(|byte| byte as u8 ^ at as u8).collect(),
            };
            sequence = sequence.wrapping_add(segment.payload.len() as u32);
            segment
        })
        .collect()
}

#[test]
fn a_download_becomes_one_packet_and_comes_back() {
    for (v4, options) in [(true, 12), (false, 0)] {
        let packets: Vec<Vec<u8>> = flow(v4, 45, 1368, 700, options).iter().map(Segment::bytes).collect();
        let joined = joined(&packets);
        assert_eq!(joined.len(), 1);
        assert!(joined[0].len() > 60_000);
        assert!(joined[0].len() <= VIRTIO + 65_535);
        assert_eq!(cut_all(&joined), packets);
    }
}

#[test]
fn checksums_are_those_of_others() {
    // RFC 1071 section 3.
    let sum = checksum::add(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    assert_eq!(checksum::folded(sum), [0xdd, 0xf2]);
    // A header that carries its right checksum, b861: a sum over it is all ones.
    let header =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
    assert_eq!(checksum::folded(checksum::add(0, &header)), [0xff, 0xff]);
}

#[test]
fn what_differs_is_not_joined() {
    let base = flow(true, 2, 1000, 1000, 12);
    let count = |change: &dyn Fn(&mut Segment)| {
        let mut packets = base.clone();
        change(&mut packets[1]);
        joined(&packets.iter().map(Segment::bytes).collect::<Vec<_>>()).len()
    };
    assert_eq!(count(&|_| ()), 1);
    assert_eq!(count(&|next| next.sequence += 1), 2);
    assert_eq!(count(&|next| next.id += 1), 2);
    assert_eq!(count(&|next| next.port += 1), 2);
    assert_eq!(count(&|next| next.flags |= FIN), 2);
    assert_eq!(count(&|next| next.flags |= 0x04), 2);
    assert_eq!(count(&|next| next.flags |= 0x40), 2);
    assert_eq!(count(&|next| next.options[3] = 2), 2);
    assert_eq!(count(&|next| next.payload.push(1)), 2);
    for broken in 0..2 {
        let mut packets: Vec<Vec<u8>> = base.iter().map(Segment::bytes).collect();
        *packets[broken].last_mut().unwrap() ^= 1;
        assert_eq!(joined(&packets).len(), 2, "a wrong checksum must reach its receiver");
        assert_eq!(cut_all(&joined(&packets)), packets);
    }
}

#[test]
fn an_unfinished_checksum_is_finished() {
    let right = flow(true, 1, 0, 500, 0).remove(0).bytes();
    let mut packet = right.clone();
    let pseudo = checksum::pseudo(&[10, 13, 1, 1, 10, 13, 0, 1], TCP, 520);
    put(&mut packet, V4_HEADER + TCP_CHECKSUM, &checksum::folded(pseudo));
    let virtio =
        Virtio { flags: NEEDS_CHECKSUM, start: 20, offset: TCP_CHECKSUM as u16, ..Virtio::default() };
    let mut out = Vec::new();
    cut::cut(virtio, &mut packet, |packet| out.push(packet.to_vec())).unwrap();
    assert_eq!(out, [right]);
}

fn segment() -> impl Strategy<Value = Segment> {
    let payload = prop::collection::vec(any::<u8>(), 0..1500);
    let flags = prop_oneof![8 => Just(ACK), 2 => Just(ACK | PSH), 1 => any::<u8>()];
    (any::<bool>(), any::<u32>(), any::<u16>(), 0_u16..2, flags, 0_usize..3, payload).prop_map(
        |(v4, sequence, id, port, flags, options, payload)| Segment {
            v4,
            sequence,
            id,
            port,
            flags,
            options: vec![1; options * 4],
            payload,
        },
    )
}

/// Flows as they arrive: parts in order, strangers and broken packets between them.
fn arrivals() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let part = prop_oneof![
        4 => (any::<bool>(), 1_u16..60, 1_usize..1449, 1_usize..1449, 0_usize..3).prop_map(
            |(v4, count, size, last, options)| {
                flow(v4, count, size, last, options * 4).iter().map(Segment::bytes).collect()
            }
        ),
        1 => segment().prop_map(|segment| vec![segment.bytes()]),
        1 => (segment(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(segment, at, value)| {
            let mut bytes = segment.bytes();
            let at = at.index(bytes.len());
            bytes[at] = value;
            vec![bytes]
        }),
        1 => prop::collection::vec(any::<u8>(), 1..100).prop_map(|bytes| vec![bytes]),
    ];
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn cutting_restores_what_was_joined(packets in arrivals()) {
        let joined = joined(&packets);
        prop_assert!(joined.iter().all(|bytes| bytes.len() <= VIRTIO + 65_535));
        prop_assert_eq!(cut_all(&joined), packets);
    }

    #[test]
    fn any_virtio_header_and_packet_is_cut_or_refused(
        virtio in any::<[u8; VIRTIO]>(),
        gso in prop::sample::select(vec![0_u8, 1, 4, 0x81, 3]),
        start in 0_u16..80,
        size in 0_u16..2000,
        mut packet in prop::collection::vec(any::<u8>(), 0..4000),
        first in prop::sample::select(vec![0x45_u8, 0x60, 0x46]),
    ) {
        let virtio = Virtio { gso, start, segment: size, ..Virtio::read(virtio) };
        if let Some(byte) = packet.first_mut() {
            *byte = first;
        }
        let (mut bytes, whole) = (0, packet.len());
        let cut = cut::cut(virtio, &mut packet, |piece| bytes += piece.len());
        prop_assert!(cut.is_err() && bytes == 0 || bytes >= whole);
    }

    #[test]
    fn sums_do_not_depend_on_how_bytes_are_grouped(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut slow: u32 = 0;
        for pair in bytes.chunks(2) {
            slow += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
        while slow > 0xffff {
            slow = (slow >> 16) + (slow & 0xffff);
        }
        prop_assert_eq!(checksum::folded(checksum::add(0, &bytes)), (slow as u16).to_be_bytes());
    }
}
