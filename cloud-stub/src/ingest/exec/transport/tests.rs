use proptest::prelude::*;

use super::*;

/// A packet that carries all of `payload`, filled up by its adaptation field.
fn packet(pid: u16, begins: bool, counter: u8, payload: &[u8]) -> Vec<u8> {
    let stuffing = PACKET - 4 - payload.len();
    let mut out = vec![SYNC, u8::from(begins) << 6 | (pid >> 8) as u8, pid as u8, 0x10 | counter & 15];
    if stuffing > 0 {
        out[3] |= 0x20;
        out.push(stuffing as u8 - 1);
        out.extend([0_u8].iter().chain([0xff; PACKET].iter()).take(stuffing - 1));
    }
    out.extend(payload);
    assert_eq!(out.len(), PACKET);
    out
}

fn table(id: u8, body: &[u8]) -> Vec<u8> {
    let mut section = vec![0, id, 0xb0, (body.len() + 9) as u8, 0, 1, 0xc1, 0, 0];
    section.extend(body);
    section.extend([0; 4]); // CRC
    section
}

fn head() -> Vec<u8> {
    let mut out = packet(0, true, 0, &table(0, &[0, 1, 0xe1, 0]));
    out.extend(packet(0x100, true, 0, &table(2, &[0xe1, 1, 0xf0, 0, H264, 0xe1, 1, 0xf0, 0])));
    out
}

fn pes(pts: u64, data: &[u8]) -> Vec<u8> {
    let pts_bytes = [
        0x21 | (pts >> 29 & 0xe) as u8,
        (pts >> 22) as u8,
        1 | (pts >> 14 & 0xfe) as u8,
        (pts >> 7) as u8,
        1 | (pts << 1) as u8,
    ];
    let mut out = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5];
    out.extend(pts_bytes);
    out.extend(data);
    out
}

const KEY: &[u8] =
    &[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 4, 5, 6];
const DELTA: &[u8] = &[0, 0, 0, 1, 0x41, 7, 8];

fn read(bytes: &[u8], piece: usize) -> Vec<Item> {
    let (mut demux, mut out) = (Demux::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        demux.push(piece, 7, &mut out).unwrap();
    }
    out
}

#[test]
fn pictures_come_out_as_they_went_in_however_the_bytes_are_cut() {
    let mut bytes = vec![SYNC, 1, 2]; // joined in the middle of a packet
    bytes.extend(head());
    // The stamp's 33 bits run over between the two.
    let (before, after) = ((1 << 33) - 1800, 1800);
    bytes.extend(packet(0x101, true, 0, &pes(before, KEY)));
    bytes.extend(packet(0x101, true, 1, &pes(after, DELTA)));
    bytes.extend(packet(0x101, true, 2, &pes(after + 3600, DELTA)));
    for size in [1, 187, 188, 189, bytes.len()] {
        let items = read(&bytes, size);
        let Item::Format(format) = &items[0] else { panic!("{items:?}") };
        let sets = VideoFormat::H264 { sps: [0x67, 1, 2][..].into(), pps: [0x68, 3][..].into() };
        assert_eq!((&format.video, &format.audio), (&sets, &None));
        let units: Vec<_> = items[1..]
            .iter()
            .map(|item| match item {
                Item::Unit(unit) => (unit.stamp, unit.random_access, unit.loss, unit.data.to_vec()),
                Item::Format(_) => panic!("told twice"),
            })
            .collect();
        let first = (before as i64, true, false, vec![0, 0, 0, 4, 0x65, 4, 5, 6]);
        let second = (before as i64 + 3600, false, false, vec![0, 0, 0, 3, 0x41, 7, 8]);
        assert_eq!(units, [first, second], "by {size}");
    }
}

#[test]
fn a_lost_packet_costs_its_picture_and_is_told() {
    let mut bytes = head();
    bytes.extend(packet(0x101, true, 0, &pes(0, KEY)));
    bytes.extend(packet(0x101, true, 1, &pes(3600, DELTA)));
    bytes.extend(packet(0x101, true, 3, &pes(7200, DELTA)));
    bytes.extend(packet(0x101, true, 4, &pes(10800, DELTA)));
    let items = read(&bytes, 1000);
    let losses: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            Item::Unit(unit) => Some((unit.stamp, unit.loss)),
            Item::Format(_) => None,
        })
        .collect();
    assert_eq!(losses, [(0, false), (7200, true)], "nobody knows whether the second one was whole");
}

#[test]
fn endless_bytes_that_are_no_stream_are_told() {
    let mut demux = Demux::default();
    let mut out = Vec::new();
    let outcome = (0..1000).try_for_each(|_| demux.push(&[0x46; 1000], 0, &mut out));
    assert_eq!(outcome, Err(Garbage));
    // A picture that never ends takes no more than one that is too large.
    let mut demux = Demux::default();
    demux.push(&head(), 0, &mut out).unwrap();
    demux.push(&packet(0x101, true, 0, &pes(0, KEY)), 0, &mut out).unwrap();
    for count in 1..60_000_u32 {
        demux.push(&packet(0x101, false, count as u8, &[1; 184]), 0, &mut out).unwrap();
    }
    let held = demux.video.as_ref().unwrap().pes.capacity();
    assert!(held <= 2 * UNIT && out.is_empty(), "{held}");
}

proptest! {
    #[test]
    fn whatever_comes_is_survived(
        mut noise in proptest::collection::vec(any::<u8>(), 0..1500),
        at in 0..20_usize,
        byte in any::<u8>(),
    ) {
        let mut bytes = head();
        bytes.extend(packet(0x101, true, 0, &pes(0, KEY)));
        bytes.append(&mut noise);
        bytes.extend(packet(0x101, true, 1, &pes(0, DELTA)));
        let index = at * 37 % bytes.len();
        bytes[index] = byte;
        let (mut demux, mut out) = (Demux::default(), Vec::new());
        for piece in bytes.chunks(97) {
            let _ = demux.push(piece, 0, &mut out);
        }
        prop_assert!(demux.rest.len() <= PACKET);
        let _ = adts(&bytes[index..]);
    }
}
