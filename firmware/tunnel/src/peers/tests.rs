//! Two and more peer sets that talk without a socket. Time is ours but for boringtun's own timers, which only the test of
//! repeated handshakes needs: it waits for real.
#![allow(clippy::disallowed_methods, reason = "boringtun reads the clock, and tests start somewhere")]

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_bytes([seed; 32])
}

fn udp(last: u8) -> Remote {
    Remote::Udp(SocketAddr::from(([192, 0, 2, last], 51820)))
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 13, 0, last])
}

/// An IPv4 packet with a payload.
fn packet(from: u8, to: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 13, 0, from, 10, 13, 0, to]);
    packet.extend(payload);
    packet
}

/// What one set gave.
#[derive(Default)]
struct Out {
    datagrams: VecDeque<(Remote, Vec<u8>)>,
    packets: Vec<Vec<u8>>,
}

impl Sink for Out {
    fn datagram(&mut self, to: Remote, bytes: &[u8]) {
        self.datagrams.push_back((to, bytes.to_vec()));
    }

    fn packet(&mut self, ip: &[u8]) {
        self.packets.push(ip.to_vec());
    }
}

/// One end: host `n` has key `n`, inner address 10.13.0.n and outer address 192.0.2.n.
struct End {
    number: u8,
    at: Remote,
    set: PeerSet,
    out: Out,
}

impl End {
    fn new(number: u8, others: &[(u8, Option<Remote>)]) -> Self {
        let mut set = PeerSet::new(&key(number), 1000);
        for &(other, remote) in others {
            assert!(set.put(peer(other, remote)));
        }
        Self { number, at: udp(number), set, out: Out::default() }
    }

    fn send(&mut self, to: u8, payload: &[u8], now: Instant) {
        self.set.packet(&packet(self.number, to, payload), &mut self.out, now);
    }

    fn take(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.out.packets)
    }

    fn status(&self, other: u8) -> PeerStatus {
        self.set.peer(&key(other).public(), Instant::now()).unwrap()
    }
}

fn peer(number: u8, remote: Option<Remote>) -> Peer {
    Peer {
        public: key(number).public(),
        preshared: None,
        allowed: vec![Cidr::host(address(number))],
        remote,
        keepalive_s: None,
    }
}

/// Carries datagrams until nobody says anything more; gives what was carried.
fn settle(ends: &mut [&mut End], now: Instant) -> Vec<Vec<u8>> {
    let mut carried = Vec::new();
    loop {
        let Some((from, to, bytes)) = ends.iter_mut().find_map(|end| {
            let (to, bytes) = end.out.datagrams.pop_front()?;
            Some((end.at, to, bytes))
        }) else {
            return carried;
        };
        carried.push(bytes.clone());
        if let Some(end) = ends.iter_mut().find(|end| end.at == to) {
            end.set.datagram(from, &bytes, &mut end.out, now);
        }
        assert!(carried.len() < 10_000, "they never stop");
    }
}

/// A box (2) and its hub (1), greeted.
fn pair(now: Instant) -> (End, End) {
    let mut hub = End::new(1, &[(2, None)]);
    let mut node = End::new(2, &[(1, Some(udp(1)))]);
    node.send(1, b"hello", now);
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(hub.take(), [packet(2, 1, b"hello")]);
    (hub, node)
}

#[test]
fn the_first_packet_makes_the_handshake_and_arrives() {
    let now = Instant::now();
    let (mut hub, mut node) = pair(now);
    hub.send(2, b"answer", now);
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(node.take(), [packet(1, 2, b"answer")]);
    for status in [hub.status(2), node.status(1)] {
        assert!(status.last_handshake.is_some() && status.last_received.is_some());
        assert_eq!(status.handshake_over, status.remote);
        assert!(status.rx_bytes > 0 && status.tx_bytes > 0);
    }
}

#[test]
fn preshared_keys_must_agree_and_a_change_ends_the_session() {
    let now = Instant::now();
    let (mut hub, mut node) = pair(now);
    let shared = |seed| Some(PresharedKey::from_bytes([seed; 32]));
    hub.set.put(Peer { preshared: shared(1), ..peer(2, None) });
    node.set.put(Peer { preshared: shared(2), ..peer(1, None) });
    node.send(1, b"secret", now);
    settle(&mut [&mut hub, &mut node], now);
    assert!(hub.take().is_empty());
    node.set.put(Peer { preshared: shared(1), ..peer(1, None) });
    node.send(1, b"secret", now);
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(hub.take(), [packet(2, 1, b"secret")]);
}

#[test]
fn changing_a_peer_keeps_its_session() {
    let now = Instant::now();
    let (mut hub, mut node) = pair(now);
    let more = Cidr::host(address(77));
    hub.set.put(Peer { allowed: vec![Cidr::host(address(2)), more], keepalive_s: Some(25), ..peer(2, None) });
    node.set.packet(&packet(77, 1, b"from the new address"), &mut node.out, now);
    let carried = settle(&mut [&mut hub, &mut node], now);
    assert_eq!(carried.len(), 1, "no handshake");
    assert_eq!(hub.take(), [packet(77, 1, b"from the new address")]);
}

#[test]
fn a_peer_cannot_send_from_anothers_address_nor_reach_another() {
    let now = Instant::now();
    let mut hub = End::new(1, &[(2, None), (3, None)]);
    let mut a = End::new(2, &[(1, Some(udp(1)))]);
    let mut b = End::new(3, &[(1, Some(udp(1)))]);
    a.send(1, b"a", now);
    b.send(1, b"b", now);
    settle(&mut [&mut hub, &mut a, &mut b], now);
    assert_eq!(hub.take().len(), 2);

    // With the hub's key a peer may write any packet: from another box, from the hub, to another box.
    a.set.put(Peer { allowed: vec!["0.0.0.0/0".parse().unwrap()], ..peer(1, None) });
    for from in [3, 1, 99] {
        a.set.packet(&packet(from, 1, b"forged"), &mut a.out, now);
    }
    a.set.packet(&packet(2, 3, b"sideways"), &mut a.out, now);
    let carried = settle(&mut [&mut hub, &mut a, &mut b], now);
    assert_eq!(carried.len(), 4, "the hub sends nothing on");
    assert_eq!(
        hub.take(),
        [packet(2, 3, b"sideways")],
        "it is for the device to drop, never for another peer"
    );
    assert!(b.take().is_empty());
}

#[test]
fn a_removed_peer_is_deaf_and_mute_at_once() {
    let now = Instant::now();
    let (mut hub, mut node) = pair(now);
    assert!(hub.set.remove(&key(2).public()));
    assert!(!hub.set.remove(&key(2).public()));
    node.send(1, b"still here?", now);
    node.set.renew(&key(1).public(), &mut node.out, None, now);
    hub.send(2, b"gone", now);
    settle(&mut [&mut hub, &mut node], now);
    assert!(hub.take().is_empty() && node.take().is_empty());
    assert!(hub.set.is_empty());
    // Its slot is taken by another, whom its old session does not reach.
    hub.set.put(peer(3, None));
    node.send(1, b"old session", now);
    settle(&mut [&mut hub, &mut node], now);
    assert!(hub.take().is_empty());
}

#[test]
fn replayed_and_stray_datagrams_are_dropped() {
    let now = Instant::now();
    let (mut hub, mut node) = pair(now);
    node.send(1, b"once", now);
    let (_, data) = node.out.datagrams.pop_front().unwrap();
    for _ in 0..3 {
        hub.set.datagram(udp(9), &data, &mut hub.out, now);
    }
    assert_eq!(hub.take(), [packet(2, 1, b"once")]);
    let mut unknown = data.clone();
    unknown[5] ^= 0xff;
    hub.set.datagram(udp(9), &unknown, &mut hub.out, now);
    let mut broken = data.clone();
    *broken.last_mut().unwrap() ^= 1;
    broken[8] += 1;
    hub.set.datagram(udp(9), &broken, &mut hub.out, now);
    assert!(hub.out.datagrams.is_empty() && hub.take().is_empty());
}

#[test]
fn a_replayed_initiation_changes_nothing() {
    let now = Instant::now();
    let mut hub = End::new(1, &[(2, None)]);
    let mut node = End::new(2, &[(1, Some(udp(1)))]);
    node.send(1, b"hello", now);
    let initiation = node.out.datagrams[0].1.clone();
    settle(&mut [&mut hub, &mut node], now);
    hub.take();
    hub.set.datagram(udp(66), &initiation, &mut hub.out, now);
    assert!(hub.out.datagrams.is_empty(), "not even answered");
    node.send(1, b"again", now);
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(hub.take(), [packet(2, 1, b"again")]);
    assert!(hub.status(2).last_data.is_some());
    // Another hub of the same key cannot know that it is an old one. It answers, and has heard nothing of the peer.
    let mut other = End::new(1, &[(2, None)]);
    other.set.datagram(udp(66), &initiation, &mut other.out, now);
    let status = other.status(2);
    assert!(status.last_received.is_some() && status.last_data.is_none(), "{status:?}");
}

#[test]
fn the_remote_moves_on_data_only() {
    let now = Instant::now();
    let (mut hub, mut node) = pair(now);
    assert_eq!(hub.status(2).remote, Some(udp(2)));
    // A new handshake from elsewhere is answered there, and moves nobody until data come from there.
    node.at = udp(20);
    node.set.renew(&key(1).public(), &mut node.out, None, now);
    let (_, initiation) = node.out.datagrams.pop_front().unwrap();
    hub.set.datagram(udp(20), &initiation, &mut hub.out, now);
    assert_eq!(hub.out.datagrams[0].0, udp(20));
    assert_eq!(hub.status(2).remote, Some(udp(2)));
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(hub.status(2).remote, Some(udp(20)), "the keepalive that ends the handshake is data");
    node.at = udp(21);
    node.send(1, b"moved", now);
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(hub.status(2).remote, Some(udp(21)));
}

#[test]
fn a_handshake_over_another_way_leaves_the_peer_where_it_is() {
    let now = Instant::now();
    let (mut hub, mut node) = pair(now);
    let carrier = Remote::Carrier(CarrierId(7));
    assert!(node.set.renew(&key(1).public(), &mut node.out, Some(carrier), now));
    let (to, _) = node.out.datagrams.pop_front().unwrap();
    assert_eq!(to, carrier);
    node.send(1, b"meanwhile", now);
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(hub.take(), [packet(2, 1, b"meanwhile")], "the old session lives");
    assert_eq!(node.status(1).remote, Some(udp(1)));
}

#[test]
fn under_load_a_handshake_needs_a_cookie() {
    let now = Instant::now();
    let mut hub = End::new(1, &[]);
    hub.set = PeerSet::new(&key(1), 2);
    hub.set.put(peer(2, None));
    let mut node = End::new(2, &[(1, Some(udp(1)))]);
    let kinds = |carried: &[Vec<u8>]| carried.iter().map(|bytes| bytes[0]).collect::<Vec<_>>();
    for _ in 0..2 {
        node.set.renew(&key(1).public(), &mut node.out, None, now);
        assert_eq!(kinds(&settle(&mut [&mut hub, &mut node], now)), [1, 2, 4]);
    }
    node.set.renew(&key(1).public(), &mut node.out, None, now);
    assert_eq!(kinds(&settle(&mut [&mut hub, &mut node], now)), [1, 3], "a cookie is all it gets");
    node.set.renew(&key(1).public(), &mut node.out, None, now);
    assert_eq!(kinds(&settle(&mut [&mut hub, &mut node], now)), [1, 2, 4], "with the cookie it is let in");
    // From another address the cookie is worth nothing; a carrier's is its own.
    node.at = Remote::Carrier(CarrierId(1));
    node.set.renew(&key(1).public(), &mut node.out, None, now);
    assert_eq!(kinds(&settle(&mut [&mut hub, &mut node], now)), [1, 3]);
    node.set.renew(&key(1).public(), &mut node.out, None, now);
    assert_eq!(kinds(&settle(&mut [&mut hub, &mut node], now)), [1, 2, 4]);
}

#[test]
fn strangers_get_no_answer() {
    let now = Instant::now();
    let mut hub = End::new(1, &[(2, None)]);
    let mut stranger = End::new(3, &[(1, Some(udp(1)))]);
    stranger.send(1, b"let me in", now);
    let carried = settle(&mut [&mut hub, &mut stranger], now);
    assert_eq!(carried.len(), 1);
    assert!(hub.take().is_empty());
}

#[test]
fn keepalives_keep_their_period_and_ask_for_a_session_first() {
    let start = Instant::now();
    let mut hub = End::new(1, &[(2, None)]);
    let mut node = End::new(2, &[]);
    node.set.put(Peer { keepalive_s: Some(5), ..peer(1, Some(udp(1))) });
    let mut sent = Vec::new();
    for quarter in 0..80 {
        let now = start + Duration::from_millis(250) * quarter;
        node.set.tick(&mut node.out, now);
        hub.set.tick(&mut hub.out, now);
        sent.extend(settle(&mut [&mut hub, &mut node], now).iter().map(|bytes| (quarter / 4, bytes[0])));
        if quarter == 30 {
            node.send(1, b"traffic is as good as a keepalive", now);
        }
    }
    assert_eq!(sent, [(0, 1), (0, 2), (0, 4), (5, 4), (7, 4), (12, 4), (17, 4)]);
}

#[test]
fn clocks_that_were_set_need_a_new_start() {
    let now = Instant::now();
    let (mut hub, mut node) = pair(now);
    node.set.rebuild_clock();
    node.send(1, b"after the clock", now);
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(hub.take(), [packet(2, 1, b"after the clock")]);
}

#[test]
fn a_peer_without_a_way_costs_no_queue() {
    let now = Instant::now();
    let mut hub = End::new(1, &[(2, None)]);
    for _ in 0..1000 {
        hub.send(2, &[0; 1000], now);
    }
    assert!(hub.out.datagrams.is_empty());
    let mut node = End::new(2, &[(1, Some(udp(1)))]);
    for _ in 0..1000 {
        node.send(1, &[0; 1000], now);
    }
    assert_eq!(node.out.datagrams.len(), 1, "one handshake at a time");
    settle(&mut [&mut hub, &mut node], now);
    assert_eq!(
        hub.take().len(),
        usize::from(MAX_WAITING),
        "what waited is sent, and no more than a bounded queue"
    );
}

/// The only test that waits: boringtun repeats a lost initiation after 5 s of its own clock.
#[test]
fn a_lost_initiation_is_repeated() {
    let mut node = End::new(2, &[(1, Some(udp(1)))]);
    node.send(1, b"into the void", Instant::now());
    let (_, first) = node.out.datagrams.pop_front().unwrap();
    let begin = Instant::now();
    while node.out.datagrams.is_empty() && begin.elapsed() < Duration::from_secs(8) {
        std::thread::sleep(Duration::from_millis(50));
        node.set.tick(&mut node.out, Instant::now());
    }
    let (to, second) = node.out.datagrams.pop_front().unwrap();
    assert_eq!((to, second[0], second.len()), (udp(1), 1, first.len()));
    assert_ne!(first, second);
    assert!(begin.elapsed() >= Duration::from_secs(4));
    // The hub is there now: what waited arrives.
    let mut hub = End::new(1, &[(2, None)]);
    node.out.datagrams.push_back((to, second));
    settle(&mut [&mut hub, &mut node], Instant::now());
    assert_eq!(hub.take(), [packet(2, 1, b"into the void")]);
}

fn chance() -> impl Strategy<Value = Vec<u8>> {
    let typed = (1_u8..=4, prop::sample::select(vec![64_usize, 92, 148, 32, 100]), any::<u64>()).prop_map(
        |(kind, length, seed)| {
            let mut bytes: Vec<u8> =
                (0..length as u64).map(|at| (seed.wrapping_mul(at | 1) >> 24) as u8).collect();
            bytes[..4].copy_from_slice(&[kind, 0, 0, 0]);
            bytes
        },
    );
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), typed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_datagram_and_packet_is_survived(datagrams in prop::collection::vec(chance(), 0..20)) {
        let now = Instant::now();
        let (mut hub, mut node) = pair(now);
        for bytes in &datagrams {
            hub.set.datagram(udp(2), bytes, &mut hub.out, now);
            hub.set.packet(bytes, &mut hub.out, now);
        }
        prop_assert!(hub.take().is_empty());
        hub.out.datagrams.clear();
        node.send(1, b"still works", now);
        settle(&mut [&mut hub, &mut node], now);
        prop_assert_eq!(hub.take(), [packet(2, 1, b"still works")]);
    }

    #[test]
    fn a_damaged_datagram_is_dropped(at in any::<prop::sample::Index>(), bit in 0_u8..8, size in 0_usize..100) {
        let now = Instant::now();
        let (mut hub, mut node) = pair(now);
        node.send(1, &vec![7; size], now);
        let (_, mut bytes) = node.out.datagrams.pop_front().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        hub.set.datagram(udp(2), &bytes, &mut hub.out, now);
        prop_assert!(hub.take().is_empty());
    }

    #[test]
    fn only_own_sources_pass(from in any::<u32>(), inside in any::<bool>(), to in any::<u8>()) {
        let now = Instant::now();
        let (mut hub, mut node) = pair(now);
        node.set.put(Peer { allowed: vec!["0.0.0.0/0".parse().unwrap()], ..peer(1, None) });
        let mut forged = packet(2, to, b"x");
        if !inside {
            forged[12..16].copy_from_slice(&from.to_be_bytes());
        }
        let own = forged[12..16] == [10, 13, 0, 2];
        node.set.packet(&forged, &mut node.out, now);
        settle(&mut [&mut hub, &mut node], now);
        prop_assert_eq!(hub.take().len(), usize::from(own));
    }
}
