use super::*;

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const RTSP_ANSWER: &[u8] = include_bytes!("../../../fuzz/corpus/discovery_answer/mdns-rtsp.bin");

#[test]
fn a_service_is_an_rtsp_address_on_the_host_that_answered() {
    let heard = read(RTSP_ANSWER, FROM).unwrap();
    assert_eq!(heard.answers.len(), 1);
    assert_eq!(heard.answers[0].name.as_deref(), Some("Gate camera"));
    assert_eq!(heard.answers[0].rtsp, ["rtsp://192.0.2.7:8554/live"]);
    assert_eq!(heard.unresolved, [""; 0]);
}

#[test]
fn records_of_another_host_are_left_alone() {
    assert_eq!(read(RTSP_ANSWER, IpAddr::from([192, 0, 2, 8])), Ok(Heard::default()));
    let proxy = include_bytes!("../../../fuzz/corpus/discovery_answer/mdns-proxy.bin");
    assert_eq!(read(proxy, FROM), Ok(Heard::default()));
}

#[test]
fn a_bare_pointer_is_asked_about() {
    let heard =
        read(include_bytes!("../../../fuzz/corpus/discovery_answer/mdns-pointer-only.bin"), FROM).unwrap();
    assert_eq!(heard.unresolved, ["Gate camera._rtsp._tcp.local"]);
    let question = follow_up(&heard.unresolved[0]);
    let packet = Packet::parse(&question).unwrap();
    assert_eq!(packet.questions.len(), 2);
    let labels: Vec<_> = packet.questions[0].qname.as_bytes().collect();
    assert_eq!(labels, [&b"Gate camera"[..], b"_rtsp", b"_tcp", b"local"]);
}

#[test]
fn an_axis_camera_gives_no_rtsp_address_for_its_web_port() {
    let heard = read(include_bytes!("../../../fuzz/corpus/discovery_answer/mdns-axis.bin"), FROM).unwrap();
    assert_eq!(heard.answers[0].maker.as_deref(), Some("Axis"));
    assert_eq!(heard.answers[0].name.as_deref(), Some("AXIS P1375 - ACCC8E251272"));
    assert_eq!(heard.answers[0].rtsp, [""; 0]);
}

#[test]
fn a_goodbye_ends_what_was_announced() {
    let mut registry = crate::Registry::new();
    let told = |bytes: &[u8]| read(bytes, FROM).unwrap().answers.remove(0);
    assert!(registry.heard(told(RTSP_ANSWER), FROM, "lan0", 0));
    let goodbye = told(include_bytes!("../../../fuzz/corpus/discovery_answer/mdns-goodbye.bin"));
    assert!(registry.heard(goodbye, FROM, "lan0", 1));
    assert!(registry.devices().is_empty());
}

#[test]
fn hostile_messages_are_refused_and_questions_give_nothing() {
    let counts = include_bytes!("../../../fuzz/corpus/discovery_answer/mdns-counts.bin");
    assert_eq!(read(counts, FROM), Err(NOT_MDNS));
    assert_eq!(
        read(include_bytes!("../../../fuzz/corpus/discovery_answer/mdns-loop.bin"), FROM),
        Err(NOT_MDNS)
    );
    assert_eq!(read(&[0; MAX_MESSAGE + 1], FROM), Err(Error::TooLarge { limit: MAX_MESSAGE }));
    assert_eq!(read(&query(), FROM), Ok(Heard::default()));
}

#[test]
fn the_question_is_for_both_services() {
    let question = query();
    let packet = Packet::parse(&question).unwrap();
    let names: Vec<_> = packet.questions.iter().map(|question| question.qname.to_string()).collect();
    assert_eq!(names, [RTSP, AXIS]);
}
