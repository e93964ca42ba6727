use super::*;

const NASTY: &str = "\"><script>alert(1)</script>'&{{id}}\u{202e}\0";

#[test]
fn a_hostile_name_stays_text() {
    let escaped = Escaped(NASTY).to_string();
    assert!(!escaped.contains(['<', '>', '"', '\'', '\0', '\u{202e}']), "{escaped}");
    assert!(escaped.starts_with("&quot;&gt;&lt;script&gt;"), "a reader still sees what it was: {escaped}");
}

#[test]
fn a_value_is_never_a_placeholder() {
    assert_eq!(
        fill("<p>{{name}}</p>{{id}}{{none}}!", &[("name", "{{id}}"), ("id", "gate")]),
        "<p>{{id}}</p>gate!"
    );
    assert_eq!(fill("a {{ b", &[("b", "c")]), "a {{ b", "an open brace is text");
}

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
fn pages_have_no_inline_script_and_every_file_they_name_is_served() {
    for page in [INDEX, PLAYER] {
        assert!(!page.contains("<style") && !page.contains("onclick") && !page.contains("style="));
        for script in page.split("<script").skip(1) {
            assert!(
                script
                    .split_once('>')
                    .is_some_and(|(tag, rest)| tag.contains("src=") && rest.starts_with("</script>"))
            );
        }
        let mut named = 0;
        for reference in page.split("\"/assets/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert_eq!(asset(name, &HeaderMap::new()).status(), StatusCode::OK, "{name}");
            named += 1;
        }
        assert!(named >= 3, "the page names its files");
    }
    for script in
        ASSETS.iter().filter(|asset| asset.name.starts_with("player-") || asset.name.starts_with("index-"))
    {
        let text = std::str::from_utf8(script.plain).unwrap();
        for import in text.split("from \"./").skip(1) {
            let name = import.split('"').next().unwrap();
            assert_eq!(
                asset(name, &HeaderMap::new()).status(),
                StatusCode::OK,
                "{} imports {name}",
                script.name
            );
        }
    }
}

#[test]
fn the_player_is_small_on_the_wire() {
    let own = ASSETS.iter().filter(|asset| !asset.name.starts_with("hls-"));
    let bytes = PLAYER.len() + own.map(|asset| asset.gzip.len()).sum::<usize>();
    assert!(bytes < 20 * 1024, "{bytes} bytes without hls.js");
}

#[test]
fn a_file_is_kept_for_ever_gzipped_when_welcome_and_not_sent_twice() {
    let style = ASSETS.iter().find(|asset| asset.name.starts_with("style-")).unwrap();
    let ask = |name, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        asset(style.name, &headers)
    };
    let plain = asset(style.name, &HeaderMap::new());
    assert!(plain.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert!(plain.headers().get("content-encoding").is_none());
    for welcome in ["gzip", "br, gzip;q=0.8", "*", "GZIP"] {
        assert_eq!(ask(header::ACCEPT_ENCODING, welcome).headers()["content-encoding"], "gzip", "{welcome}");
    }
    for not in ["br", "gzip;q=0", "identity, gzip; q=0.0"] {
        assert!(ask(header::ACCEPT_ENCODING, not).headers().get("content-encoding").is_none(), "{not}");
    }
    let again = ask(header::IF_NONE_MATCH, plain.headers()["etag"].to_str().unwrap());
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(asset("nothing.js", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
}

#[test]
fn an_empty_box_says_what_to_do() {
    let response = index(&Shared::new(), Some("box.local:8080"));
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(player(&Shared::new(), "gate").status(), StatusCode::NOT_FOUND);
}
