//! Fuzz targets: each takes any bytes that a hostile camera or LAN peer could send, and must neither panic nor hang.
//!
//! `cargo xtask fuzz NAME` runs one under libFuzzer (nightly); `tests/replay.rs` runs each over its committed corpus on
//! stable Rust. A crash found by fuzzing goes into `corpus/NAME/` under a name that says what it was.

mod signed;

use board::block::BlockDevice as _;
use board::boot::Table;
use board::boot::script::{self, Board, Purpose};
use board::env::{self, Env};
use board::header::{self, Header};
use board::map::BoardMap;
use board::mem_disk::MemDisk;
use board::store::{self, Store};
use camera::onvif::{message, xml};
use camera::session::message::Response;
use camera::session::sdp;
use camera::wire;
use tunnel::peers::{Peer, PeerSet, Remote, Sink};
use tunnel::segments::{VIRTIO, Virtio, cut, join::Joined};

pub use signed::{assignment, release, tuf_metadata};

/// A target takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("discovery_answer", discovery_answer),
    ("soap", soap),
    ("sdp", sdp),
    ("wire", wire),
    ("nal", nal),
    ("rtmp", rtmp),
    ("wireguard", wireguard),
    ("wg_quick", wg_quick),
    ("tuf_metadata", tuf_metadata),
    ("assignment", assignment),
    ("release", release),
    ("disk", disk),
];

/// A datagram or RTSP answer during discovery, read as every protocol and merged.
pub fn discovery_answer(data: &[u8]) {
    let devices = discovery::read_as_all(data);
    assert!(devices <= discovery::MAX_DEVICES);
}

/// An answer of an ONVIF service.
pub fn soap(data: &[u8]) {
    if let Ok(reply) = message::reply(data) {
        drop(reply);
    }
    if let Ok(root) = xml::Element::read(data) {
        let _ = message::clock(&root);
        let _ = message::media_services(&root);
        let _ = message::profiles(&root, false);
        let _ = message::profiles(&root, true);
        let _ = message::uri(&root);
    }
}

/// An RTSP response and the session description in it.
pub fn sdp(data: &[u8]) {
    if let Ok(Some(response)) = Response::read(data) {
        let _ = sdp::examine(&response.body);
    }
    let _ = sdp::examine(data);
}

/// What a worker that was taken over could write to the box: frame after frame.
pub fn wire(data: &[u8]) {
    let mut rest = data;
    while let Some((head, after)) = rest.split_first_chunk::<{ wire::HEADER_BYTES }>() {
        let Ok(header) = wire::Header::decode(head) else { return };
        let Some(body) = after.get(..header.body_len()) else { return };
        let _ = wire::decode_source(&header, body);
        let _ = wire::decode_event(&header, body.to_vec().into());
        rest = after.get(header.body_len()..).unwrap_or_default();
    }
}

/// An access unit as length-prefixed NAL units: parameter sets, slice headers, conversion to Annex B, AAC configuration.
pub fn nal(data: &[u8]) {
    let mut annex_b = Vec::new();
    media::nal::write_annex_b(data, &mut annex_b);
    assert_eq!(annex_b.len(), media::nal::annex_b_len(data));
    let (mut h264, mut h265, mut pps) = (None, None, None);
    for unit in media::nal::units(data) {
        h264 = media::h264::Sps::parse(unit).ok().or(h264);
        h265 = media::h265::Sps::parse(unit).ok().or(h265);
        pps = media::h265::Pps::parse(unit).or(pps);
        if let Ok(config) = media::aac::AudioConfig::parse(unit) {
            let _ = (config.codec(), config.adts_header(unit.len()));
        }
    }
    if let Some(sps) = &h264 {
        assert!(sps.facts().width <= media::MAX_SIDE);
        let _ = sps.slice_order(data);
    }
    if let Some((sps, pps)) = h265.as_ref().zip(pps) {
        assert!(sps.facts(&[]).width <= media::MAX_SIDE);
        let _ = (sps.codec(), sps.slice_order(pps, data));
    }
}

/// What an RTMP publisher sends: as a stranger from its first byte on, and after a handshake, with every key accepted.
pub fn rtmp(data: &[u8]) {
    let mut stranger = rtmp::Session::new(1);
    let mut rest = data;
    while let Ok(Some(_)) = stranger.next(&mut rest) {}
    assert!(stranger.held_bytes() < rtmp::STRANGER_BYTES);

    let (mut session, mut tracks) = (rtmp::Session::new(2), rtmp::Tracks::new());
    let mut hello = vec![3];
    hello.resize(1 + 2 * 1536, 0);
    let _ = session.next(&mut hello.as_slice());
    for mut piece in data.chunks(1000) {
        while let Ok(Some(event)) = session.next(&mut piece) {
            let taken = match event {
                rtmp::Event::Publish(_) => {
                    session.accept();
                    continue;
                }
                rtmp::Event::Video { timestamp, body } => tracks.video(timestamp, &body, 0),
                rtmp::Event::Audio { timestamp, body } => tracks.audio(timestamp, &body, 0),
                rtmp::Event::End => return,
            };
            if let Ok(Some(unit)) = taken.map(|taken| taken.unit) {
                assert!(unit.data.len() <= rtmp::MOST_UNIT_BYTES);
            }
        }
        session.output();
        assert!(session.held_bytes() < rtmp::PUBLISHER_BYTES);
    }
}

/// Counts what comes out of the tunnel.
#[derive(Default)]
struct Counter {
    packets: usize,
}

impl Sink for Counter {
    fn datagram(&mut self, _: Remote, _: &[u8]) {}

    fn packet(&mut self, _: &[u8]) {
        self.packets += 1;
    }
}

/// A datagram from the Internet and a packet from the device, and TCP packets as the kernel hands them over, cut and joined.
#[allow(clippy::disallowed_methods, reason = "the fuzzer is the shell: time starts here")]
pub fn wireguard(data: &[u8]) {
    let now = std::time::Instant::now();
    let key = |seed| tunnel::keys::PrivateKey::from_bytes([seed; 32]);
    let from = Remote::Udp(([192, 0, 2, 2], 51820).into());
    let mut peers = PeerSet::new(&key(1), 10);
    let allowed = vec![tunnel::net::Cidr::host([10, 13, 0, 2].into())];
    let peer =
        Peer { public: key(2).public(), preshared: None, allowed, remote: Some(from), keepalive_s: Some(25) };
    assert!(peers.put(peer));
    let mut out = Counter::default();
    peers.datagram(from, data, &mut out, now);
    peers.packet(data, &mut out, now);
    peers.tick(&mut out, now);
    assert_eq!(out.packets, 0, "nobody here has the peer's key");

    let (mut joined, mut given) = (Joined::default(), 0);
    joined.push(data, &mut |bytes: &[u8]| given += bytes.len());
    joined.push(data, &mut |bytes: &[u8]| given += bytes.len());
    joined.flush(&mut |bytes: &[u8]| given += bytes.len());
    assert!(given >= data.len());
    if let Some((virtio, packet)) = data.split_first_chunk::<VIRTIO>() {
        let mut pieces = 0;
        if cut::cut(Virtio::read(*virtio), &mut packet.to_vec(), |piece| pieces += piece.len()).is_ok() {
            assert!(pieces >= packet.len());
        }
    }
}

/// A wg-quick file.
pub fn wg_quick(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(error) = tunnel::quick::Quick::parse("wg0.conf", &text) {
        assert!(error.line <= text.lines().count().max(1));
    }
}

/// What somebody who had the disk in his hands wrote to it: the boot environment, a slot's header, small state, a board's file and
/// its table. Check sums are put right, since he would do so, too.
pub fn disk(data: &[u8]) {
    let block = |bytes: usize| {
        let mut block = data.to_vec();
        block.resize(bytes, 0);
        block
    };
    let mut copy = block(env::BYTES);
    let right = crc32fast::hash(copy.get(4..).unwrap_or_default());
    copy.splice(..4, right.to_le_bytes());
    if let Some(env) = Env::decode(&copy) {
        assert_eq!(Env::decode(&env.encode()), Some(env));
    }
    let mut sector = block(header::ENCODED);
    sector.truncate(header::ENCODED - 4);
    sector.extend(crc32fast::hash(&sector).to_le_bytes());
    if let Some(header) = Header::decode(&sector) {
        assert_eq!(header.encode().ok().and_then(|bytes| Header::decode(&bytes)), Some(header));
    }
    small_state(block(store::MOST));
    let text = String::from_utf8_lossy(data);
    let _ = Table::parse(&text);
    if let (Ok(map), Ok(board), Ok(table)) = (BoardMap::parse(&text), Board::parse(&text), Table::ours()) {
        let _ = script::script(&table, &map, &board, Purpose::Box);
    }
}

/// Small state with these bytes as its first copy: whatever they say, what is kept then is found.
fn small_state(mut copy: Vec<u8>) {
    let length = copy.get(12..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let end = (20 + length as usize).min(copy.len());
    let mut right = crc32fast::Hasher::new();
    right.update(copy.get(..16).unwrap_or_default());
    right.update(copy.get(20..end).unwrap_or_default());
    copy.splice(16..20, right.finalize().to_le_bytes());
    let mut disk = MemDisk::new(4 * store::MOST as u64);
    assert!(disk.write(0, &copy).is_ok());
    let mut store = Store::new(disk);
    if store.set("floors", b"7").is_ok() {
        assert_eq!(store.get("floors").ok().flatten().as_deref(), Some(b"7".as_slice()));
    }
}
