use hyper::StatusCode;

use super::*;
use crate::cloud::Cloud;

const NASTY: &str = "\"><script>alert(1)</script>'&{{id}}\u{202e}\0";

#[test]
fn a_hostile_device_cannot_break_out_of_its_card() {
    let fact = |value: &str| Some(Fact { value: value.to_owned(), source: Source::Ssdp });
    let device = FoundView {
        key: NASTY.into(),
        addresses: vec!["10.0.0.7".parse().unwrap()],
        interfaces: vec![],
        name: fact(NASTY),
        maker: fact(NASTY),
        model: fact(NASTY),
        onvif: vec![],
        rtsp: vec![],
        sources: vec![Source::Ssdp],
        camera: None,
        config: format!("url = \"{NASTY}\""),
    };
    let mut card = String::new();
    device_card(&mut card, &device).unwrap();
    let own = ["li", "h3", "p", "details", "summary", "pre", "button"];
    for tag in card.split('<').skip(1) {
        let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap();
        assert!(own.contains(&name), "<{name} is not ours: {card}");
    }
    assert_eq!(card.matches("<li ").count(), 1, "{card}");
    assert!(card.contains("found by SSDP"), "{card}");
}

#[test]
fn an_empty_box_says_what_to_do() {
    let response = index(&Shared::new(Cloud::new(None, None)), true, Some("box.local:8080"));
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(player(&Shared::new(Cloud::new(None, None)), "gate").status(), StatusCode::NOT_FOUND);
}
