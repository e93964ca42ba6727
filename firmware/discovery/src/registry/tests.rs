use proptest::prelude::*;

use super::*;
use crate::mac::Mac;

fn camera(endpoint: &str) -> Answer {
    Answer {
        endpoint: Some(endpoint.to_owned()),
        name: Some(format!("name of {endpoint}")),
        onvif: vec!["http://10.0.0.7/onvif/device_service".to_owned()],
        ..Answer::new(Source::WsDiscovery)
    }
}

fn swept(port: u16) -> Answer {
    Answer { rtsp: vec![format!("rtsp://10.0.0.7:{port}/")], ..Answer::new(Source::RtspSweep) }
}

fn told(mac: u8, activated: bool) -> Answer {
    Answer {
        mac: Mac::new([0x44, 0x19, 0xb6, 0, 0, mac]),
        activated: Some(activated),
        ..Answer::new(Source::Sadp)
    }
}

fn seen(mac: u8) -> Answer {
    Answer { mac: Mac::new([0x44, 0x19, 0xb6, 0, 0, mac]), ..Answer::new(Source::Neighbour) }
}

fn mac_key(mac: u8) -> DeviceKey {
    DeviceKey::Mac(format!("44:19:b6:00:00:{mac:02x}"))
}

fn at(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

#[test]
fn all_that_is_said_of_one_address_is_one_device() {
    let mut registry = Registry::new();
    assert!(registry.heard(swept(8554), at(7), "lan0", 0));
    assert_eq!(registry.devices()[0].key, DeviceKey::Address(at(7)));
    assert!(registry.heard(camera("e"), at(7), "lan0", 1));
    assert!(registry.heard(swept(554), at(7), "lan1", 2));
    assert!(!registry.heard(camera("e"), at(7), "lan0", 3), "nothing new");
    let devices = registry.devices();
    assert_eq!(devices.len(), 1);
    let device = &devices[0];
    assert_eq!(device.key, DeviceKey::Endpoint("e".into()));
    assert_eq!(device.interfaces, ["lan0", "lan1"]);
    assert_eq!(device.sources, [Source::WsDiscovery, Source::RtspSweep]);
    assert_eq!(device.rtsp.len(), 2);
    assert_eq!(device.name.as_ref().map(|fact| fact.source), Some(Source::WsDiscovery));
    assert_eq!(device.last_heard_ms, 3);
}

#[test]
fn a_mac_address_joins_what_protocols_say_of_one_device() {
    let mut registry = Registry::new();
    registry.heard(told(1, true), at(7), "lan0", 0);
    assert_eq!(registry.devices()[0].key, mac_key(1));
    registry.heard(swept(554), at(7), "lan0", 0);
    registry.heard(seen(1), at(9), "lan0", 0);
    registry.heard(camera("e"), at(7), "lan0", 0);
    let devices = registry.devices();
    assert_eq!(devices.len(), 1, "{devices:#?}");
    assert_eq!(devices[0].key, DeviceKey::Endpoint("e".into()));
    assert_eq!(devices[0].addresses, [at(7), at(9)]);
    assert_eq!(devices[0].mac.as_ref().map(|mac| mac.source), Some(Source::Sadp));
    assert_eq!(devices[0].sources, [Source::WsDiscovery, Source::RtspSweep, Source::Sadp, Source::Neighbour]);
}

#[test]
fn new_cameras_at_one_address_stay_as_many_as_they_are() {
    let mut registry = Registry::new();
    for mac in 1..=5 {
        registry.heard(told(mac, false), at(64), "lan0", 0);
        registry.heard(seen(mac), at(64), "lan0", 0);
    }
    registry.heard(swept(554), at(64), "lan0", 0);
    let devices = registry.devices();
    let keys: Vec<_> = devices.iter().map(|device| device.key.clone()).collect();
    let mut expected: Vec<_> = (1..=5).map(mac_key).collect();
    expected.push(DeviceKey::Address(at(64)));
    assert_eq!(keys, expected, "and nobody knows whose RTSP it is");
    assert!(
        devices[..5].iter().all(|device| device.activated == Some(false) && device.addresses == [at(64)])
    );
}

#[test]
fn whoever_is_behind_a_bridge_is_not_the_bridge() {
    let mut registry = Registry::new();
    for last in 1..=3 {
        registry.heard(swept(554), at(last), "lan0", 0);
        registry.heard(seen(9), at(last), "lan0", 0);
    }
    assert_eq!(registry.devices().len(), 3);
}

#[test]
fn a_borrowed_mac_address_changes_nothing_of_its_owner() {
    let mut registry = Registry::new();
    registry.heard(told(1, true), at(7), "lan0", 0);
    for last in 10..20 {
        let fake = Answer { model: Some("fake".into()), claims: vec![at(99)], ..told(1, false) };
        registry.heard(fake, at(last), "lan0", 1);
    }
    let device = registry.devices().remove(0);
    assert_eq!((device.addresses[0], device.addresses.len()), (at(7), MAX_ADDRESSES));
    assert_eq!(device.activated, Some(true));
}

#[test]
fn whoever_borrows_from_two_cameras_does_not_make_them_one() {
    let mut registry = Registry::new();
    registry.heard(camera("e"), at(7), "lan0", 0);
    registry.heard(told(8, true), at(8), "lan0", 0);
    registry.heard(camera("e"), at(66), "lan0", 1);
    registry.heard(told(8, true), at(66), "lan0", 1);
    registry.heard(swept(554), at(66), "lan0", 1);
    let keys: Vec<_> = registry.devices().into_iter().map(|device| device.key).collect();
    assert_eq!(keys, [DeviceKey::Endpoint("e".into()), mac_key(8), DeviceKey::Address(at(66))]);
}

#[test]
fn activation_and_a_new_address_are_heard() {
    let mut registry = Registry::new();
    registry.heard(Answer { claims: vec![at(64)], ..told(1, false) }, at(7), "lan0", 0);
    assert_eq!(registry.devices()[0].claims, [at(64)]);
    assert!(registry.heard(told(1, true), at(64), "lan0", 50_000));
    assert!(registry.heard(told(1, true), at(7), "lan0", 50_000));
    let device = registry.devices().remove(0);
    assert_eq!((device.activated, device.claims), (Some(true), vec![]), "it sends from there now");
    registry.expire(DATAGRAM_LIFE_MS);
    assert_eq!(registry.devices().len(), 1);
}

#[test]
fn two_cameras_behind_one_address_stay_two() {
    let mut registry = Registry::new();
    for endpoint in ["a", "b"] {
        registry.heard(camera(endpoint), at(7), "lan0", 0);
    }
    assert_eq!(registry.devices().len(), 2);
}

#[test]
fn an_answer_that_says_less_takes_nothing_away() {
    let mut registry = Registry::new();
    registry.heard(camera("e"), at(7), "lan0", 0);
    let hello = Answer { endpoint: Some("e".into()), ..Answer::new(Source::WsDiscovery) };
    assert!(!registry.heard(hello, at(7), "lan0", 1));
    assert_eq!(registry.devices()[0].onvif.len(), 1);
}

#[test]
fn a_borrowed_endpoint_comes_last_and_changes_nothing() {
    let mut registry = Registry::new();
    registry.heard(camera("e"), at(7), "lan0", 0);
    for last in 1..=6 {
        let fake = Answer { name: Some("fake".into()), ..camera("e") };
        registry.heard(fake, at(last), "lan0", 10);
    }
    let device = registry.devices().remove(0);
    assert_eq!(device.addresses[0], at(7));
    assert_eq!(device.addresses.len(), MAX_ADDRESSES);
    assert_eq!(device.name.map(|fact| fact.value).as_deref(), Some("name of e"));
    assert!(!registry.heard(Answer { kind: Kind::Gone, ..camera("e") }, at(99), "lan0", 11));
}

#[test]
fn facts_expire_with_the_message_that_carried_them() {
    let mut registry = Registry::new();
    registry.heard(camera("e"), at(7), "lan0", 0);
    registry.heard(swept(554), at(7), "lan0", 0);
    assert!(!registry.expire(DATAGRAM_LIFE_MS - 1));
    assert!(registry.expire(DATAGRAM_LIFE_MS));
    let device = registry.devices().remove(0);
    assert_eq!((device.key, device.sources), (DeviceKey::Address(at(7)), vec![Source::RtspSweep]));
    assert!(registry.expire(SWEEP_LIFE_MS));
    assert!(registry.devices().is_empty());
}

#[test]
fn a_flood_pushes_nobody_out_and_stays_under_the_cap() {
    let mut registry = Registry::new();
    for last in 1..=20 {
        registry.heard(camera(&format!("real-{last}")), at(last), "lan0", 0);
    }
    for fake in 0..5_000_u32 {
        let from = IpAddr::from((0x0a01_0000 + fake).to_be_bytes());
        registry.heard(camera(&format!("fake-{fake}")), from, "lan0", 1);
        registry.heard(camera(&format!("same-{fake}")), at(200), "lan0", 1);
    }
    let devices = registry.devices();
    assert_eq!(devices.len(), MAX_DEVICES);
    assert_eq!(
        devices
            .iter()
            .filter(|device| matches!(&device.key, DeviceKey::Endpoint(e) if e.starts_with("real")))
            .count(),
        20
    );
    assert!(devices.iter().filter(|device| device.addresses == [at(200)]).count() <= MAX_PER_ADDRESS);
    // A camera that proves its address by TCP still comes in, and so does one by datagram once the flood is silent.
    assert!(registry.heard(swept(554), at(77), "lan0", 2));
    assert!(!registry.heard(camera("late"), at(78), "lan0", 3));
    for last in 1..=20 {
        registry.heard(camera(&format!("real-{last}")), at(last), "lan0", 30_000);
    }
    assert!(registry.heard(camera("late"), at(78), "lan0", 1 + DOUBTFUL_MS));
    let devices = registry.devices();
    assert_eq!(devices.len(), MAX_DEVICES);
    for last in (1..=20).chain([77, 78]) {
        assert!(devices.iter().any(|device| device.addresses.contains(&at(last))), "{last}");
    }
}

#[test]
fn nobody_answers_from_nowhere() {
    let mut registry = Registry::new();
    for from in [[0, 0, 0, 0], [255, 255, 255, 255], [239, 255, 255, 250]] {
        assert!(!registry.heard(camera("e"), IpAddr::from(from), "lan0", 0));
    }
}

fn answers() -> impl Strategy<Value = Vec<(Answer, IpAddr, String)>> {
    let one = (0..6_u8, 0..6_u8, 0..6_u8, 0..3_u8).prop_map(|(kind, endpoint, from, interface)| {
        let answer = match kind {
            4 => told(endpoint % 3 + 1, true),
            5 => seen(endpoint % 3 + 1),
            0 => camera(&format!("e{endpoint}")),
            1 => swept(554 + u16::from(endpoint) % 2),
            2 => Answer { name: Some(format!("m{endpoint}")), ..Answer::new(Source::Mdns) },
            _ => Answer::new(Source::Ssdp),
        };
        (answer, at(from + 1), format!("lan{interface}"))
    });
    // At most three endpoints per address and three addresses per endpoint: no cap is in reach.
    prop::collection::vec(one, 0..24).prop_map(|mut all| {
        for (answer, from, _) in &mut all {
            let IpAddr::V4(v4) = from else { continue };
            let half = v4.octets()[3] / 3;
            answer.endpoint = answer.endpoint.take().map(|e| format!("{e}-{half}"));
            answer.mac = answer.mac.and_then(|mac| {
                let mut bytes = mac.bytes();
                bytes[4] = half;
                Mac::new(bytes)
            });
        }
        all
    })
}

fn keys(answers: &[(Answer, IpAddr, String)]) -> (Vec<DeviceKey>, Registry) {
    let mut registry = Registry::new();
    for (answer, from, interface) in answers {
        registry.heard(answer.clone(), *from, interface, 0);
    }
    (registry.devices().into_iter().map(|device| device.key).collect(), registry)
}

proptest! {
    #[test]
    fn the_order_of_answers_does_not_matter_and_repeating_them_changes_nothing(
        (all, shuffled) in answers().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        let (found, mut registry) = keys(&all);
        prop_assert_eq!(&found, &keys(&shuffled).0);
        let before = registry.devices();
        // What was last said stands; saying the last of each again changes nothing.
        for (answer, from, interface) in &all {
            registry.heard(answer.clone(), *from, interface, 0);
        }
        prop_assert_eq!(before, registry.devices());
    }

}

proptest! {
    // Each case is a flood; a few are enough.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_caps_hold_whatever_comes(all in prop::collection::vec((0..400_u16, 0..60_u8, any::<bool>()), 0..800)) {
        let mut registry = Registry::new();
        for (index, (endpoint, from, sweep)) in all.into_iter().enumerate() {
            let answer = match endpoint % 3 {
                _ if sweep => swept(endpoint),
                0 => camera(&endpoint.to_string()),
                1 => told(endpoint as u8, true),
                _ => seen(endpoint as u8),
            };
            registry.heard(answer, at(from), "lan0", index as u64 * 100);
        }
        let devices = registry.devices();
        prop_assert!(devices.len() <= MAX_DEVICES);
        for device in devices {
            prop_assert!(device.addresses.len() <= MAX_ADDRESSES);
        }
    }
}
