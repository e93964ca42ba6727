//! Links and snippets that an owner gives away.

use cloud_stub::store::{Access, Role};
use serde_json::json;

use crate::stage::{Browser, Stage, URL};

/// Everything that a player and a person may ask for below a link.
const OBJECTS: [&str; 10] = [
    "",
    "status",
    "qr.svg",
    "index.m3u8",
    "live.m3u8",
    "ts/index.m3u8",
    "7.m4s",
    "7.1.m4s",
    "init-1.mp4",
    "ts/7.ts",
];

#[tokio::test]
async fn a_share_shows_all_of_its_camera_to_whoever_has_it_and_no_cache_keeps_it() {
    let stage = Stage::new().await;
    let gate = stage.gate(1, "ACME").await;
    let (_, link) = stage.share(&gate, &json!({ "kind": "link", "label": "Guard" })).await;
    for name in OBJECTS {
        let answer = stage.stranger(&format!("{link}/{name}")).await;
        assert_eq!(answer.status, 200, "{name}");
        let header = |name| answer.headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("cache-control"), "private, no-store", "{name}");
        assert_eq!(header("vary"), "cookie, authorization", "{name}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{name}");
        let media = name.contains('.') && name != "qr.svg";
        assert_eq!(header("access-control-allow-origin"), if media { "*" } else { "" }, "{name}");
    }
    let range = [("range", "bytes=2-4")];
    let part = stage.with_headers(&format!("{link}/7.m4s"), &range).await;
    assert_eq!((part.status.as_u16(), part.body.as_ref()), (206, &b"234"[..]));

    // Only relative names, so whatever is asked for next keeps the secret by itself.
    let page = String::from_utf8(stage.stranger(&format!("{link}/")).await.body.to_vec()).unwrap();
    assert!(page.contains("Gate &amp; Yard") && !page.contains(&link), "{page}");
    for own in ["href=\"index.m3u8\"", "data-status=\"status\""] {
        assert!(page.contains(own), "{page}");
    }
    let moved = stage.stranger(&link).await;
    assert_eq!(moved.status, 308);
    assert_eq!(moved.headers["location"], format!("{link}/").as_str());
    assert_eq!(moved.headers["cache-control"], "private, no-store");
    let code = |link: &str| {
        let code = qrcode::QrCode::new(format!("{URL}{link}/")).unwrap();
        code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(256, 256).build()
    };
    let shown = stage.stranger(&format!("{link}/qr.svg")).await;
    assert_eq!(shown.body, code(&link), "the code leads where this viewer is");
}

#[tokio::test]
async fn a_secret_in_the_query_is_led_into_the_path() {
    let stage = Stage::new().await;
    let gate = stage.gate(1, "ACME").await;
    let (_, link) = stage.share(&gate, &json!({ "kind": "embed" })).await;
    let secret = link.split_once('~').unwrap().1;
    for (path, place) in [
        (format!("/{}/?token={secret}", gate.id), format!("{link}/")),
        (format!("/{}?token={secret}", gate.id), format!("{link}/")),
        (
            format!("/{}/live.m3u8?token={secret}&_HLS_skip=YES", gate.id),
            format!("{link}/live.m3u8?_HLS_skip=YES"),
        ),
    ] {
        let moved = stage.stranger(&path).await;
        assert_eq!(
            (moved.status.as_u16(), moved.headers["location"].to_str().unwrap()),
            (307, place.as_str())
        );
        assert_eq!(moved.headers["cache-control"], "private, no-store");
        assert_eq!(moved.headers["referrer-policy"], "no-referrer");
        assert_eq!(stage.stranger(&place).await.status, 200);
    }
}

#[tokio::test]
async fn a_public_camera_is_kept_by_caches_as_ever_but_not_under_a_secret() {
    let stage = Stage::new().await;
    let gate = stage.gate(1, "ACME").await;
    let (_, link) = stage.share(&gate, &json!({ "kind": "link" })).await;
    stage.set_access(&gate, Access::Public).await;
    let open = stage.stranger(&format!("/{}/7.m4s", gate.id)).await;
    assert_eq!(open.headers["cache-control"], "public, max-age=60, immutable");
    assert!(!open.headers.contains_key("vary") && !open.headers.contains_key("referrer-policy"));
    let secret = stage.stranger(&format!("{link}/7.m4s")).await;
    assert_eq!(
        (secret.status.as_u16(), secret.headers["cache-control"].to_str().unwrap()),
        (200, "private, no-store")
    );
    let member = stage.get(&gate.owner, &format!("/{}/7.m4s", gate.id)).await;
    assert_eq!(member.headers["cache-control"], "public, max-age=60, immutable");
}

#[tokio::test]
async fn whoever_has_a_role_in_the_tenant_watches_without_a_secret() {
    let stage = Stage::new().await;
    let gate = stage.gate(1, "ACME").await;
    let viewer = stage.person("viewer@acme.example", Some(("ACME", Role::Viewer))).await;
    let operator = stage.person("operator@cloud.example", None).await;
    let other = stage.person("owner@other.example", Some(("Other", Role::Owner))).await;
    for (who, status) in
        [(&gate.owner, 200), (&viewer, 200), (&operator, 200), (&other, 404), (&Browser::new(), 404)]
    {
        for name in ["", "status", "live.m3u8", "7.m4s"] {
            let answer = stage.get(who, &format!("/{}/{name}", gate.id)).await;
            assert_eq!(answer.status.as_u16(), status, "{name}");
            if status == 200 {
                assert_eq!(answer.headers["cache-control"], "private, no-store", "{name}");
                assert_eq!(answer.headers["vary"], "cookie, authorization", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn owners_alone_make_list_and_take_back_and_the_secret_is_told_once() {
    let stage = Stage::new().await;
    let gate = stage.gate(1, "ACME").await;
    let shares = format!("/api/v1/cameras/{}/shares", gate.id);
    let now = stage.store.now_ms();
    let words = json!({ "kind": "embed", "label": " Web site ", "expires_ms": now + 60_000 });
    let made = stage.post(&gate.owner, &shares, &words).await.ok();
    let url = made["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{URL}/{}~", gate.id)) && url.ends_with('/'), "{url}");
    let embed = made["embed"].as_str().unwrap();
    assert!(embed.starts_with(&format!("<iframe src=\"{url}\" title=\"Gate &amp; Yard\"")), "{embed}");
    stage.post(&gate.owner, &shares, &json!({ "kind": "link" })).await.ok();

    let listed = stage.get(&gate.owner, &shares).await;
    let list = listed.ok();
    let mine = list.as_array().unwrap().iter().find(|share| share["id"] == made["id"]).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!((mine["kind"].as_str(), mine["label"].as_str()), (Some("embed"), Some("Web site")));
    assert_eq!(mine["expires_ms"], words["expires_ms"]);
    assert_eq!(mine["made_by"], "owner@acme.example");
    let secret = url.trim_end_matches('/').rsplit('~').next().unwrap();
    assert!(!String::from_utf8_lossy(&listed.body).contains(secret));

    let viewer = stage.person("viewer@acme.example", Some(("ACME", Role::Installer))).await;
    let other = stage.person("owner@other.example", Some(("Other", Role::Owner))).await;
    let one = format!("{shares}/{}", made["id"].as_str().unwrap());
    for (who, status) in [(&viewer, 403), (&other, 404), (&Browser::new(), 401)] {
        assert_eq!(stage.get(who, &shares).await.status.as_u16(), status);
        assert_eq!(stage.post(who, &shares, &json!({ "kind": "link" })).await.status.as_u16(), status);
        assert_eq!(stage.delete(who, &one).await.status.as_u16(), status);
    }
    let yard = stage.gate(2, "Yards").await;
    let elsewhere = format!("/api/v1/cameras/{}/shares/{}", yard.id, made["id"].as_str().unwrap());
    assert_eq!(stage.delete(&yard.owner, &elsewhere).await.status, 404, "another camera's share");
    for unfit in [
        json!({ "kind": "key" }),
        json!({ "kind": "link", "expires_ms": now - 1 }),
        json!({ "kind": "link", "label": "x".repeat(101) }),
        json!({ "kind": "link", "label": "a\nb" }),
        json!({ "kind": "link", "secret": "mine" }),
    ] {
        assert_eq!(stage.post(&gate.owner, &shares, &unfit).await.status, 400, "{unfit}");
    }
    stage.delete(&gate.owner, &one).await.ok();
    assert_eq!(stage.delete(&gate.owner, &one).await.status, 404, "it is gone already");
    assert_eq!(stage.get(&gate.owner, &shares).await.ok().as_array().unwrap().len(), 1);
}
