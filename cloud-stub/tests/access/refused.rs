//! Row 18: whoever guesses, or comes with what is over, sees what is shown for a link that never was.

use cloud_stub::store::Role;
use serde_json::json;

use crate::others::{Server, Signer, jwks};
use crate::stage::{Browser, Stage};

const NAMES: [&str; 8] = [
    "/",
    "",
    "/status",
    "/qr.svg",
    "/index.m3u8",
    "/live.m3u8?_HLS_msn=x",
    "/live.m3u8?_HLS_msn=9",
    "/nonsense",
];
const NEVER: &str = "/aaaaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test]
async fn everything_that_is_refused_looks_like_an_id_that_never_was() {
    let signer = Signer::new(1);
    let server = Server::start(&jwks(&[&signer])).await;
    let stage = Stage::with(&format!("jwks = \"http://{}/\"\naudience = \"cameras\"", server.address)).await;
    let gate = stage.gate(1, "ACME").await;
    let yard = stage.gate(2, "Yards").await;
    let (id, back) = stage.share(&gate, &json!({ "kind": "link" })).await;
    stage.take_back(&gate, &id).await;
    let now = stage.store.now_ms();
    let (_, over) = stage.share(&gate, &json!({ "kind": "link", "expires_ms": now + 1000 })).await;
    let (_, of_yard) = stage.share(&yard, &json!({ "kind": "link" })).await;
    let foreign = of_yard.split_once('~').unwrap().1.to_owned();
    stage.forward_ms(1000);

    let exp = now / 1000 + 3600;
    let camera = gate.id.as_str();
    let good = json!({ "exp": exp, "aud": "cameras", "camera": camera });
    let changed = |key: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[key] = value;
        claims
    };
    let token = signer.sign(&good);
    let (head, rest) = token.split_once('.').unwrap();
    let none = crate::others::encode(json!({ "alg": "none", "kid": "key-1" }).to_string());
    let mut links = vec![
        format!("/{camera}"),
        format!("/{camera}~{}", "a".repeat(26)),
        format!("/{camera}~{foreign}"),
        format!("/{camera}~{id}"),
        format!("/{camera}~"),
        format!("/{camera}~%2e%2e"),
        format!("/{camera}~{}", "x".repeat(5000)),
        back,
        over,
        format!("/{camera}~{}", signer.sign(&changed("exp", json!(now / 1000)))),
        format!("/{camera}~{}", signer.sign(&changed("nbf", json!(exp)))),
        format!("/{camera}~{}", signer.sign(&changed("aud", json!("others")))),
        format!("/{camera}~{}", signer.sign(&changed("camera", json!(yard.id.as_str())))),
        format!("/{camera}~{}", signer.sign(&changed("tenant", json!(yard.tenant)))),
        format!("/{camera}~{}", Signer::new(2).sign(&good)),
        format!("/{camera}~{head}.{rest}x"),
        format!("/{camera}~{none}.{}.", rest.split_once('.').unwrap().0),
    ];
    links.extend(links.clone().iter().map(|link| link.replace(camera, &NEVER[1..])));
    links.push(format!("{NEVER}~{}", signer.sign(&changed("camera", json!(&NEVER[1..])))));
    let stranger = stage.person("owner@other.example", Some(("Other", Role::Owner))).await;
    let asked_before = stage.fetches.lock().unwrap().len();
    for name in NAMES {
        let never = stage.stranger(&format!("{NEVER}{name}")).await;
        assert_eq!(never.status, 404);
        for link in &links {
            for who in [&Browser::new(), &stranger] {
                let refused = stage.get(who, &format!("{link}{name}")).await;
                assert_eq!(refused.looks(), never.looks(), "{link}{name}");
            }
        }
    }
    assert_eq!(stage.fetches.lock().unwrap().len(), asked_before, "no box is asked");
    assert_eq!(stage.stranger(&format!("/{camera}~{token}/7.m4s")).await.status, 200, "the good one is good");
}

/// No database, no other server and no box is in the way of a no, so an id that is there takes no longer than one that is not.
#[tokio::test]
async fn a_no_takes_as_long_as_any_other() {
    let stage = Stage::new().await;
    let gate = stage.gate(1, "ACME").await;
    let (there, never) = (
        format!("/{}~{}/live.m3u8", gate.id, "a".repeat(26)),
        format!("{NEVER}~{}/live.m3u8", "a".repeat(26)),
    );
    let mut times: [Vec<std::time::Duration>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..100 {
        for (path, times) in [&there, &never].into_iter().zip(&mut times) {
            let began = std::time::Instant::now();
            assert_eq!(stage.stranger(path).await.status, 404);
            times.push(began.elapsed());
        }
    }
    let median = |times: &mut Vec<std::time::Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let [there, never] = &mut times;
    let (there, never) = (median(there), median(never));
    assert!((there - never).abs() < 0.5 * never.max(0.001), "{there} s and {never} s");
}
