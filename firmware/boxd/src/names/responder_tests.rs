//! Several boxes on one switch, in virtual time, and askers of every kind.

use proptest::prelude::*;
use simple_dns::{Name, ResourceRecord};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn interface(last: u8) -> Interface {
    Interface {
        name: "eth0".to_owned(),
        index: 2,
        address: Ipv4Addr::new(10, 0, 0, last),
        mask: Ipv4Addr::new(255, 255, 255, 0),
    }
}

fn responder(last: u8, unique: &str, now: Duration) -> Responder {
    let unique = vec![format!("streambox-{unique}"), format!("streambox-{unique}{unique}")];
    let wanted = Wanted { plain: "streambox".to_owned(), unique, port: 8080 };
    let own = vec![interface(last).address];
    Responder::new(&wanted, interface(last), own, u64::from(last).wrapping_mul(0x9e37_79b9_7f4a_7c15), now)
}

/// Boxes that hear each other, and what went over the switch.
struct Lan {
    boxes: Vec<(u8, Responder)>,
    now: Duration,
    heard: Vec<(u8, Said)>,
}

impl Lan {
    fn new(boxes: &[(u8, &str)]) -> Self {
        let boxes = boxes.iter().map(|(last, unique)| (*last, responder(*last, unique, Duration::ZERO)));
        Self { boxes: boxes.collect(), now: Duration::ZERO, heard: Vec::new() }
    }

    /// Delivers to everybody, the sender too, as multicast does.
    fn deliver(&mut self, from: u8, said: Vec<Said>) {
        for said in said {
            self.heard.push((from, said.clone()));
            if said.to.is_some() {
                continue;
            }
            let source = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, from), PORT);
            let mut answers = Vec::new();
            for (last, responder) in &mut self.boxes {
                answers.push((*last, responder.hear(&said.bytes, source, self.now)));
            }
            for (last, answer) in answers {
                self.deliver(last, answer);
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let wake = self.boxes.iter().filter_map(|(_, responder)| responder.wake()).min();
            let Some(next) = wake.filter(|wake| *wake <= end) else { break };
            self.now = self.now.max(next);
            for index in 0..self.boxes.len() {
                let (last, said) = (self.boxes[index].0, self.boxes[index].1.poll(self.now));
                self.deliver(last, said);
            }
        }
        self.now = end;
    }

    fn names(&self, last: u8) -> Vec<String> {
        self.boxes.iter().find(|(other, _)| *other == last).unwrap().1.names()
    }

    fn holders(&self, name: &str) -> Vec<u8> {
        let has = |(_, responder): &&(u8, Responder)| responder.names().iter().any(|own| own == name);
        self.boxes.iter().filter(has).map(|(last, _)| *last).collect()
    }

    fn ask(&mut self, name: &str, kind: QTYPE, port: u16, unicast: bool) -> Vec<Said> {
        let bytes = query(name, kind, unicast);
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 200), port);
        let mut said = Vec::new();
        for (_, responder) in &mut self.boxes {
            said.extend(responder.hear(&bytes, from, self.now));
        }
        said
    }
}

fn query(name: &str, kind: QTYPE, unicast: bool) -> Vec<u8> {
    let mut packet = Packet::new_query(0x1234);
    packet.questions.push(Question::new(Name::new(name).unwrap(), kind, QCLASS::CLASS(CLASS::IN), unicast));
    packet.build_bytes_vec().unwrap()
}

fn addresses(said: &Said) -> Vec<Ipv4Addr> {
    let packet = Packet::parse(&said.bytes).unwrap();
    let address = |record: &ResourceRecord<'_>| match &record.rdata {
        Data::A(a) => Some(Ipv4Addr::from_bits(a.address)),
        _ => None,
    };
    packet.answers.iter().filter_map(address).collect()
}

const A_RECORD: QTYPE = QTYPE::TYPE(TYPE::A);

#[test]
fn one_box_has_both_names_after_a_second_and_a_half() {
    let mut lan = Lan::new(&[(5, "abcd")]);
    assert!(lan.ask("streambox.local", A_RECORD, PORT, false).is_empty(), "nothing is said before probing");
    lan.run(Duration::from_millis(1500));
    assert_eq!(lan.names(5), ["streambox.local", "streambox-abcd.local"]);
    let probes =
        lan.heard.iter().filter(|(_, said)| !Packet::parse(&said.bytes).unwrap().name_servers.is_empty());
    assert_eq!(probes.count(), 6, "three for each name");
    lan.run(10 * SECOND);
    let said = lan.ask("StreamBox.LOCAL", A_RECORD, PORT, false);
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].to, addresses(&said[0])), (None, vec![Ipv4Addr::new(10, 0, 0, 5)]));
}

#[test]
fn two_boxes_that_start_together_end_with_one_plain_name_and_both_unique_names() {
    for seconds in [0, 1, 30] {
        let mut lan = Lan::new(&[(5, "abcd"), (6, "efgh")]);
        // The second one comes later.
        lan.boxes[1].1 = responder(6, "efgh", Duration::from_secs(seconds));
        lan.run(60 * SECOND);
        assert_eq!(lan.holders("streambox.local").len(), 1, "{seconds} s apart");
        assert_eq!(lan.holders("streambox-abcd.local"), [5]);
        assert_eq!(lan.holders("streambox-efgh.local"), [6]);
        if seconds > 3 {
            assert_eq!(lan.holders("streambox.local"), [5], "whoever has it keeps it");
        }
    }
}

#[test]
fn the_plain_name_goes_over_when_its_box_says_goodbye_and_also_when_it_does_not() {
    let mut lan = Lan::new(&[(5, "abcd")]);
    lan.run(10 * SECOND);
    lan.boxes.push((6, responder(6, "efgh", lan.now)));
    lan.run(10 * SECOND);
    assert_eq!(lan.holders("streambox.local"), [5]);
    let mut last = lan.boxes.remove(0).1;
    let goodbye = last.goodbye();
    assert_eq!(goodbye.len(), 1);
    let packet = Packet::parse(&goodbye[0].bytes).unwrap();
    assert!(packet.answers.len() >= 6 && packet.answers.iter().all(|record| record.ttl == 0));
    lan.deliver(5, goodbye);
    lan.run(6 * SECOND);
    assert_eq!(lan.holders("streambox.local"), [6]);

    lan.boxes.push((7, responder(7, "ijkl", lan.now)));
    lan.run(10 * SECOND);
    assert_eq!(lan.holders("streambox.local"), [6]);
    // A cut of the power.
    lan.boxes.remove(0);
    lan.run(AGAIN + 5 * SECOND);
    assert_eq!(lan.holders("streambox.local"), [7]);
}

#[test]
fn two_boxes_with_the_same_short_name_both_get_a_unique_one() {
    let mut lan = Lan::new(&[(5, "abcd"), (6, "abcd")]);
    lan.boxes[1].1.claims[1].names[1] = "streambox-abcdwxyz".to_owned();
    lan.run(60 * SECOND);
    let all = [lan.names(5), lan.names(6)].concat();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.contains(&"streambox-abcd.local".to_owned()), "{all:?}");
}

#[test]
fn two_interfaces_of_one_box_on_one_switch_do_not_fight() {
    let mut lan = Lan::new(&[(5, "abcd"), (6, "abcd")]);
    let own: Vec<Ipv4Addr> = [5, 6].map(|last| interface(last).address).to_vec();
    for (_, responder) in &mut lan.boxes {
        responder.set_own(own.clone());
    }
    lan.run(20 * SECOND);
    assert_eq!(lan.holders("streambox.local"), [5, 6]);
    assert_eq!(lan.holders("streambox-abcd.local"), [5, 6]);
}

/// Somebody else's probe for the plain name.
fn probe(last: u8) -> (Vec<u8>, SocketAddrV4) {
    let address = Ipv4Addr::new(10, 0, 0, last);
    let name = || Name::new("streambox.local").unwrap();
    let mut probe = Packet::new_query(0);
    probe.questions.push(Question::new(name(), QTYPE::ANY, QCLASS::CLASS(CLASS::IN), false));
    let theirs = RData::A(A { address: address.to_bits() });
    probe.name_servers.push(ResourceRecord::new(name(), CLASS::IN, 120, theirs));
    (probe.build_bytes_vec().unwrap(), SocketAddrV4::new(address, PORT))
}

#[test]
fn of_two_that_probe_in_one_moment_the_one_with_the_later_records_goes_first() {
    for (other, waits) in [(99, true), (2, false), (5, false)] {
        let mut lan = Lan::new(&[(5, "abcd")]);
        lan.run(Duration::from_millis(300));
        let (probe, from) = probe(other);
        assert!(lan.boxes[0].1.hear(&probe, from, lan.now).is_empty());
        lan.run(SECOND);
        assert_eq!(lan.holders("streambox.local").is_empty(), waits, "against 10.0.0.{other}");
        lan.run(SECOND);
        assert_eq!(lan.holders("streambox.local"), [5], "the other one went away");
    }
}

#[test]
fn a_name_is_defended_against_a_probe_even_right_after_it_was_told() {
    let mut lan = Lan::new(&[(5, "abcd")]);
    lan.run(10 * SECOND);
    assert_eq!(lan.ask("streambox.local", A_RECORD, PORT, false).len(), 1);
    lan.now += Duration::from_millis(300);
    assert!(lan.ask("streambox.local", A_RECORD, PORT, false).is_empty(), "everybody has just heard it");
    let (probe, from) = probe(77);
    let said = lan.boxes[0].1.hear(&probe, from, lan.now);
    assert_eq!(said.len(), 1, "the owner answers a probe");
}

#[test]
fn a_plain_resolver_gets_its_own_answer_with_its_question() {
    let mut lan = Lan::new(&[(5, "abcd")]);
    lan.run(10 * SECOND);
    let said = lan.ask("streambox-abcd.local", A_RECORD, 40_000, false);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].to.unwrap().port(), 40_000);
    let packet = Packet::parse(&said[0].bytes).unwrap();
    assert_eq!((packet.id(), packet.questions.len(), packet.answers.len()), (0x1234, 1, 1));
    assert!(packet.answers[0].ttl <= 10 && !packet.answers[0].cache_flush);
    // No IPv6 address: an answer all the same, so that nobody waits for one.
    let said = lan.ask("streambox-abcd.local", QTYPE::TYPE(TYPE::AAAA), 40_000, false);
    assert!(Packet::parse(&said[0].bytes).unwrap().answers.is_empty());
    assert!(lan.ask("other.local", A_RECORD, 40_000, false).is_empty());
}

#[test]
fn who_asks_for_an_ipv6_address_hears_that_there_is_none() {
    let mut lan = Lan::new(&[(5, "abcd")]);
    lan.run(10 * SECOND);
    let said = lan.ask("streambox.local", QTYPE::TYPE(TYPE::AAAA), PORT, false);
    let packet = Packet::parse(&said[0].bytes).unwrap();
    let Data::NSEC(nsec) = &packet.answers[0].rdata else { panic!("{packet:?}") };
    assert_eq!(nsec.type_bit_maps[0].bitmap.as_ref(), [0x40], "only A");
    assert!(packet.answers[0].cache_flush);
}

#[test]
fn the_service_leads_to_the_page_in_one_answer() {
    let mut lan = Lan::new(&[(5, "abcd")]);
    lan.run(10 * SECOND);
    assert!(
        lan.ask("_http._tcp.local", QTYPE::TYPE(TYPE::PTR), PORT, false).is_empty(),
        "shared: not at once"
    );
    lan.heard.clear();
    lan.run(SECOND);
    let packet = Packet::parse(&lan.heard[0].1.bytes).unwrap();
    let all: Vec<&Data<'_>> =
        packet.answers.iter().chain(&packet.additional_records).map(|record| &record.rdata).collect();
    assert!(all.iter().any(|data| matches!(data, Data::PTR(_))), "{all:?}");
    assert!(all.iter().any(|data| matches!(data, Data::SRV(server) if server.port == 8080)), "{all:?}");
    assert!(
        all.iter().any(|data| matches!(data, Data::TXT(_)))
            && all.iter().any(|data| matches!(data, Data::A(_)))
    );
    let again = Packet::parse(&lan.heard[0].1.bytes).unwrap();
    // Whoever knows it is not told again.
    let mut known = Packet::new_query(0);
    let name = Name::new("_http._tcp.local").unwrap();
    let kind = QTYPE::TYPE(TYPE::PTR);
    known.questions.push(Question::new(name, kind, QCLASS::CLASS(CLASS::IN), false));
    known.answers = again.answers.clone();
    lan.now += 5 * SECOND;
    let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 200), PORT);
    lan.boxes[0].1.hear(&known.build_bytes_vec().unwrap(), from, lan.now);
    assert_eq!(lan.boxes[0].1.wake(), None);
}

#[test]
fn a_flood_of_questions_is_not_answered_by_a_flood() {
    let mut lan = Lan::new(&[(5, "abcd")]);
    lan.run(10 * SECOND);
    let group: usize = (0..5000).map(|_| lan.ask("streambox.local", A_RECORD, PORT, false).len()).sum();
    assert_eq!(group, 1);
    let single: usize = (0..5000).map(|_| lan.ask("streambox.local", A_RECORD, 40_000, false).len()).sum();
    assert_eq!(single, SINGLE_ANSWERS as usize);
    let outside = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 9), 40_000);
    lan.now += 5 * SECOND;
    let bytes = query("streambox.local", A_RECORD, false);
    assert!(lan.boxes[0].1.hear(&bytes, outside, lan.now).is_empty(), "only the own subnet");
}

#[test]
fn somebody_who_always_claims_the_name_gets_it_and_the_unique_one_stays() {
    let mut lan = Lan::new(&[(5, "abcd")]);
    lan.run(10 * SECOND);
    let theirs =
        Record::unique("streambox.local".to_owned(), TYPE::A, 120, RData::A(A { address: 0x0a00_0063 }));
    let bytes = message(0, &[], &[theirs], &[], false).unwrap();
    let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 99), PORT);
    for _ in 0..100 {
        lan.boxes[0].1.hear(&bytes, from, lan.now);
        lan.run(Duration::from_millis(1100));
    }
    assert_eq!(lan.names(5), ["streambox-abcd.local"]);
    let before = lan.heard.len();
    lan.run(60 * SECOND);
    assert!(lan.heard.len() - before <= 5, "one more try at most, and no fight");
    // From another port it is nobody's word.
    let mut other = Lan::new(&[(5, "abcd")]);
    other.run(10 * SECOND);
    let liar = SocketAddrV4::new(*from.ip(), 40_000);
    other.boxes[0].1.hear(&bytes, liar, other.now);
    assert_eq!(other.boxes[0].1.wake(), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes: Vec<u8>, at: usize, by: u8, port: u16, seconds in 0u64..300) {
        let mut responder = responder(5, "abcd", Duration::ZERO);
        for second in 0..4 {
            responder.poll(second * SECOND);
        }
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), port);
        let now = Duration::from_secs(seconds + 4);
        responder.hear(&bytes, from, now);
        bytes = query("streambox.local", QTYPE::ANY, true);
        let at = at % bytes.len();
        bytes[at] = by;
        responder.hear(&bytes, from, now);
        responder.hear(&bytes[..at], from, now);
        responder.poll(now);
        responder.goodbye();
    }
}
