//! What browsers, CDNs and players from other sites get.

use cloud_stub::gateway::routes;
use hyper::Method;
use model::{CameraState, CodecKind, StreamFacts};

use crate::stage::{GATE, Stage, found, id, ordinary, start_box};

#[tokio::test]
async fn a_segment_is_given_whole_in_ranges_and_not_twice() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let path = format!("/{GATE}/7.m4s");
    let whole = stage.get(&path).await;
    assert_eq!((whole.status, whole.body.as_ref()), (200, b"0123456789".as_slice()));
    for (name, value) in [
        ("content-type", "video/mp4"),
        ("cache-control", "public, max-age=60, immutable"),
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
    let etag = whole.header("etag").to_owned();
    let part = stage.ask(Method::GET, &path, &[("range", "bytes=2-4")]).await;
    assert_eq!(
        (part.status, part.body.as_ref(), part.header("content-range")),
        (206, b"234".as_slice(), "bytes 2-4/10")
    );
    assert_eq!(part.header("etag"), etag);
    let last = stage.ask(Method::GET, &path, &[("range", "bytes=-3"), ("if-range", &etag)]).await;
    assert_eq!((last.status, last.body.as_ref()), (206, b"789".as_slice()));
    let changed = stage.ask(Method::GET, &path, &[("range", "bytes=-3"), ("if-range", "\"old\"")]).await;
    assert_eq!((changed.status, changed.body.len()), (200, 10));
    let beyond = stage.ask(Method::GET, &path, &[("range", "bytes=10-")]).await;
    assert_eq!((beyond.status, beyond.header("content-range"), beyond.body.len()), (416, "bytes */10", 0));
    let list = format!("\"x\", W/{etag}");
    let again = stage.ask(Method::GET, &path, &[("if-none-match", &list)]).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, etag.as_str()));
    let head = stage.ask(Method::HEAD, &path, &[("range", "bytes=2-4")]).await;
    assert_eq!((head.status, &head.headers), (200, &whole.headers), "the same headers as GET");
    assert_eq!(fetches.all(), ["/gate/7.m4s"], "all from one fetch");
}

#[tokio::test]
async fn pages_of_other_sites_may_play_and_nobody_may_write() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let preflight =
        stage.ask(Method::OPTIONS, &format!("/{GATE}/7.m4s"), &[("origin", "https://a.example")]).await;
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-headers")),
        (204, "range, authorization")
    );
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::CONNECT, Method::TRACE] {
        let got = stage.ask(method, &format!("/{GATE}/7.m4s"), &[]).await;
        assert_eq!((got.status, got.header("allow")), (405, "GET, HEAD, OPTIONS"));
    }
    assert!(fetches.all().is_empty());
}

#[tokio::test]
async fn a_box_cannot_bring_a_page_or_a_cookie_to_this_site() {
    let (port, _) = start_box(|_| async {
        let mut response = found("no-store", "<script>alert(1)</script>");
        response.headers_mut().insert("content-type", "text/html".parse().unwrap());
        response.headers_mut().insert("set-cookie", "a=b".parse().unwrap());
        response.headers_mut().insert("location", "https://evil.example".parse().unwrap());
        response
    })
    .await;
    let stage = Stage::before(port);
    for (name, kind) in [
        ("live.m3u8", "application/vnd.apple.mpegurl"),
        ("ts/7.ts", "video/mp2t"),
        ("init-0.mp4", "video/mp4"),
    ] {
        let got = stage.get(&format!("/{GATE}/{name}")).await;
        assert_eq!((got.header("content-type"), got.header("x-content-type-options")), (kind, "nosniff"));
        assert_eq!((got.header("set-cookie"), got.header("location")), ("", ""));
    }
}

#[tokio::test]
async fn what_a_box_says_beside_media_stays_inside() {
    let (port, _) = start_box(ordinary).await;
    let stage = Stage::before(port);
    for name in ["404.m4s", "503.m4s"] {
        let got = stage.get(&format!("/{GATE}/{name}")).await;
        assert!(!String::from_utf8_lossy(&got.body).contains("what a box says"), "{got:?}");
    }
    let malformed = stage.get(&format!("/{GATE}/live.m3u8?_HLS_msn=minus")).await;
    assert_eq!(malformed.status, 400);
}

#[tokio::test]
async fn a_link_has_a_page_a_status_and_a_picture_of_itself() {
    let (port, fetches) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let redirect = stage.get(&format!("/{GATE}")).await;
    assert_eq!((redirect.status, redirect.header("location")), (308, format!("/{GATE}/").as_str()));
    stage.change(|links| {
        let camera = &mut links.0.get_mut(&id(GATE)).unwrap().1;
        camera.name = "Gate <1>".into();
        camera.since_ms = Some(5);
        camera.state = Some(CameraState::Streaming(StreamFacts {
            url: "rtsp://192.168.1.64/main".into(),
            video: CodecKind::H264,
            size: (1, 1),
            audio: None,
            notes: vec![],
        }));
    });
    let page = stage.get(&format!("/{GATE}/")).await;
    let html = std::str::from_utf8(&page.body).unwrap();
    assert!(html.contains("<h1>Gate &lt;1&gt;</h1>") && html.contains("data-status=\"status\""), "{html}");
    assert_eq!(
        (page.header("content-type"), page.header("cache-control")),
        ("text/html; charset=utf-8", "no-store")
    );
    let status = stage.get(&format!("/{GATE}/status")).await;
    assert_eq!(status.header("cache-control"), "no-store");
    let status = status.json();
    assert_eq!((&status["state"]["state"], &status["state"]["video"]), (&"streaming".into(), &"h264".into()));
    assert!(!status.to_string().contains("192.168"), "a viewer learns nothing of the factory: {status}");
    let code = stage.get(&format!("/{GATE}/qr.svg")).await;
    assert_eq!((code.status, code.header("content-type")), (200, "image/svg+xml"));
    let svg = String::from_utf8(code.body.to_vec()).unwrap();
    let expected = qrcode::QrCode::new(format!("https://video.example.org/{GATE}/")).unwrap();
    let expected = expected.render::<qrcode::render::svg::Color<'_>>().min_dimensions(256, 256).build();
    assert_eq!(svg, expected, "the code holds the full link");
    assert!(fetches.all().is_empty(), "none of this asks the box");
}

#[tokio::test]
async fn the_page_finds_its_files_and_a_link_beside_the_other_rooms_of_the_cloud() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    let (port, _) = start_box(ordinary).await;
    let stage = Stage::before(port);
    let routes = routes(stage.gateway.clone());
    let get = |path: String| {
        let request = hyper::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let routes = routes.clone();
        async move {
            let response = routes.oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            (status, response.into_body().collect().await.unwrap().to_bytes())
        }
    };
    let (status, page) = get(format!("/{GATE}/")).await;
    assert_eq!(status, 200);
    let page = String::from_utf8(page.to_vec()).unwrap();
    let mut files = 0;
    for reference in page.split("\"/assets/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert_eq!(get(format!("/assets/{name}")).await.0, 200, "{name}");
        files += 1;
    }
    assert!(files >= 4, "{page}");
    let nothing = get("/nobody/".to_owned()).await;
    assert_eq!(nothing.0, 404);
    for path in ["/", "/assets/x.js", "/assets/", "/a/b/c/d"] {
        assert_eq!(get(path.to_owned()).await, nothing, "{path}");
    }
    assert_eq!(get(format!("/{GATE}/7.m4s")).await.1, "0123456789");
}
