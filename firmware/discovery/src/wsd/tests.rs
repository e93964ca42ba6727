use super::*;

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 64));

fn one(xml: &str) -> Answer {
    let mut answers = read(xml.as_bytes(), FROM).unwrap();
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

#[test]
fn hikvision() {
    let answer = one(include_str!("../../../fuzz/corpus/discovery_answer/wsd-hikvision.xml"));
    assert_eq!(answer.endpoint.as_deref(), Some("cea94000-fb96-11b3-8260-686dbc5cb15d"));
    assert_eq!(answer.name.as_deref(), Some("HIKVISION DS-2CD2042WD-I"));
    assert_eq!(answer.model.as_deref(), Some("DS-2CD2042WD-I"));
    assert_eq!(answer.maker.as_deref(), Some("Hikvision"));
    // The IPv6 address is the same service on the address that answered.
    assert_eq!(answer.onvif, ["http://192.168.1.64/onvif/device_service"]);
}

#[test]
fn dahua_names_a_foreign_lan() {
    let answer = one(include_str!("../../../fuzz/corpus/discovery_answer/wsd-dahua-foreign-xaddr.xml"));
    assert_eq!(answer.onvif, ["http://192.168.1.64:8080/onvif/device_service"]);
    assert_eq!(answer.maker.as_deref(), Some("Dahua"));
    assert_eq!(answer.model.as_deref(), Some("IPC-HFW2431S"));
}

#[test]
fn axis_says_hello_without_addresses() {
    let answer = one(include_str!("../../../fuzz/corpus/discovery_answer/wsd-axis-hello.xml"));
    assert_eq!(answer.endpoint.as_deref(), Some("5581ad80-95b0-11e0-b883-accc8e251272"));
    assert_eq!((answer.kind, answer.onvif.len()), (Kind::Alive, 0));
    assert_eq!(answer.maker.as_deref(), Some("Axis"));
    assert_eq!(answer.model.as_deref(), Some("P1375-E"));
}

#[test]
fn uniview_has_a_cyrillic_name_and_an_address_without_scheme() {
    let answer = one(include_str!("../../../fuzz/corpus/discovery_answer/wsd-uniview.xml"));
    assert_eq!(answer.name.as_deref(), Some("Цех 1"));
    assert_eq!(answer.maker.as_deref(), Some("Uniview"));
    assert_eq!(
        answer.onvif,
        ["http://192.168.1.64:81/onvif/device_service", "https://192.168.1.64/onvif/device_service"]
    );
}

#[test]
fn tapo_listens_elsewhere_and_leaves_its_prefix_unbound() {
    let answer = one(include_str!("../../../fuzz/corpus/discovery_answer/wsd-tapo.xml"));
    assert_eq!(answer.onvif, ["http://192.168.1.64:2020/onvif/device_service"]);
    assert_eq!(answer.maker.as_deref(), Some("TP-Link"));
    assert_eq!(answer.name.as_deref(), Some("TP-IPC"));
}

#[test]
fn a_bye_and_a_resolve_match() {
    let bye = one(include_str!("../../../fuzz/corpus/discovery_answer/wsd-bye.xml"));
    assert_eq!(
        (bye.kind, bye.endpoint.as_deref()),
        (Kind::Gone, Some("5581ad80-95b0-11e0-b883-accc8e251272"))
    );
    let found = one(include_str!("../../../fuzz/corpus/discovery_answer/wsd-resolve-match.xml"));
    assert_eq!(found.onvif, ["http://192.168.1.64/onvif/device_service"]);
    assert_eq!(found.endpoint, bye.endpoint);
}

#[test]
fn printers_empty_matches_and_probes_of_others_are_no_cameras() {
    for xml in [
        include_str!("../../../fuzz/corpus/discovery_answer/wsd-printer.xml"),
        include_str!("../../../fuzz/corpus/discovery_answer/wsd-empty-matches.xml"),
        &String::from_utf8(probe(Wanted::Device, [1; 16])).unwrap(),
        &String::from_utf8(resolve("x", [1; 16])).unwrap(),
    ] {
        assert_eq!(read(xml.as_bytes(), FROM), Ok(Vec::new()), "{xml}");
    }
}

#[test]
fn a_message_repeated_inside_itself_counts_once_and_many_stop_at_the_limit() {
    let one = |n: usize| {
        format!(
            "<ProbeMatch><EndpointReference><Address>urn:uuid:cam-{n}</Address></EndpointReference>\
             <Types xmlns:x='{NETWORK_NAMESPACE}'>x:NetworkVideoTransmitter</Types></ProbeMatch>"
        )
    };
    let twice = format!("<E>{}{}</E>", one(1), one(1));
    assert_eq!(read(twice.as_bytes(), FROM).unwrap().len(), 1);
    let many: String = (0..100).map(one).collect();
    assert_eq!(read(format!("<E>{many}</E>").as_bytes(), FROM).unwrap().len(), MAX_ANSWERS);
}

#[test]
fn probes_say_what_they_look_for() {
    let text = String::from_utf8(probe(Wanted::Transmitter, [7; 16])).unwrap();
    let mut seen = Vec::new();
    soap::walk(text.as_bytes(), |step| {
        if let Step::Close(name, text, bound) = step {
            if name == "Types" {
                assert_eq!(bound("dn").as_deref(), Some(NETWORK_NAMESPACE));
            }
            seen.push((name.to_owned(), text.to_owned()));
        }
    })
    .unwrap();
    let text = |wanted: &str| seen.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.as_str());
    assert_eq!(text("Types"), Some("dn:NetworkVideoTransmitter"));
    assert_eq!(text("Action"), Some("http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe"));
    assert_eq!(text("MessageID"), Some("urn:uuid:07070707-0707-4707-8707-070707070707"));
    assert_ne!(probe(Wanted::Device, [1; 16]), probe(Wanted::Device, [2; 16]));
}

#[test]
fn endpoints_are_compared_in_one_form() {
    for text in ["urn:uuid:ABC-1", "uuid:abc-1", " {ABC-1} ", "URN:UUID:abc-1"] {
        assert_eq!(endpoint(text).as_deref(), Some("abc-1"), "{text}");
    }
    let long = "x".repeat(200);
    for nothing in ["", "urn:uuid:00000000-0000-0000-0000-000000000000", "a b", "ж", long.as_str()] {
        assert_eq!(endpoint(nothing), None, "{nothing}");
    }
}

#[test]
fn no_endpoint_looks_like_the_key_of_another_device() {
    for lure in ["urn:uuid:44:19:b6:11:22:33", "192.168.1.64", "uuid:fe80::1", "44:19:B6:11:22:33"] {
        assert_eq!(endpoint(lure), None, "{lure}");
    }
    assert_eq!(endpoint("urn:uuid:4419b6112233").as_deref(), Some("4419b6112233"));
}
