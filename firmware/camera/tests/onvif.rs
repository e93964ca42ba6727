//! A scripted ONVIF device on the loopback.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "the device's own sockets and clock"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml exempts only what stands under cfg(test)"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camera::{DeviceFacts, Event, Output, Source, StreamChoice, run};
use model::{CameraId, CameraState, Trouble};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

#[derive(Clone, Copy, PartialEq)]
enum Wants {
    Nothing,
    Token,
    Digest(&'static str),
    /// A token even for the clock.
    TokenForAll,
    /// Refuses whatever comes.
    Other,
}

type Requests = Arc<Mutex<Vec<String>>>;

/// Serves a device whose streams are at port `rtsp` of a host that is not its own.
async fn device(wants: Wants, rtsp: u16) -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut received = Vec::new();
            let mut chunk = [0; 4096];
            while !received.windows(11).any(|end| end == b"s:Envelope>")
                || !received.ends_with(b"</s:Envelope>")
            {
                match stream.read(&mut chunk).await {
                    Ok(len @ 1..) => received.extend_from_slice(&chunk[..len]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&received).into_owned();
            seen.lock().unwrap().push(request.clone());
            let (status, headers, body) = answer(wants, rtsp, &request);
            let text = format!(
                "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    (address, requests)
}

fn answer(wants: Wants, rtsp: u16, request: &str) -> (&'static str, String, String) {
    let envelope = |inner: &str| {
        format!(
            "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>{inner}</s:Body></s:Envelope>"
        )
    };
    let fault = || {
        envelope(
            "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code></s:Fault>",
        )
    };
    let asks = |operation: &str| request.contains(&format!("<{operation} "));
    let clock = asks("GetSystemDateAndTime");
    match wants {
        Wants::Token if !clock && !request.contains("PasswordDigest") => {
            return ("400 Bad Request", String::new(), fault());
        }
        Wants::TokenForAll if !request.contains("PasswordDigest") => {
            return ("400 Bad Request", String::new(), fault());
        }
        Wants::Digest(challenge)
            if !clock && !request.to_lowercase().contains("authorization: digest username=\"admin\"") =>
        {
            return ("401 Unauthorized", format!("WWW-Authenticate: {challenge}\r\n"), String::new());
        }
        Wants::Other if !clock => return ("400 Bad Request", String::new(), fault()),
        _ => {}
    }
    let body = if clock {
        "<GetSystemDateAndTimeResponse><UTCDateTime><Time><Hour>0</Hour><Minute>0</Minute><Second>0</Second></Time><Date><Year>2001</Year><Month>1</Month><Day>1</Day></Date></UTCDateTime></GetSystemDateAndTimeResponse>".to_owned()
    } else if asks("GetDeviceInformation") {
        "<GetDeviceInformationResponse><Manufacturer>Acme</Manufacturer><Model>X1</Model></GetDeviceInformationResponse>".into()
    } else if asks("GetServices") {
        "<GetServicesResponse><Service><Namespace>http://www.onvif.org/ver10/media/wsdl</Namespace><XAddr>http://127.0.1.1:9/onvif/media</XAddr></Service></GetServicesResponse>".into()
    } else if asks("GetProfiles") {
        "<GetProfilesResponse><Profiles token=\"m\"><Name>Main</Name><VideoEncoderConfiguration><Encoding>H265</Encoding><Resolution><Width>3840</Width><Height>2160</Height></Resolution></VideoEncoderConfiguration></Profiles><Profiles token=\"s\"><Name>Sub</Name><VideoEncoderConfiguration><Encoding>H264</Encoding><Resolution><Width>640</Width><Height>360</Height></Resolution></VideoEncoderConfiguration></Profiles></GetProfilesResponse>".into()
    } else if asks("GetStreamUri") {
        let token = if request.contains("<ProfileToken>s</ProfileToken>") { "sub" } else { "main" };
        format!(
            "<GetStreamUriResponse><MediaUri><Uri>rtsp://192.0.2.1:{rtsp}/{token}?a=1&amp;b=2</Uri></MediaUri></GetStreamUriResponse>"
        )
    } else {
        "<GetSnapshotUriResponse><MediaUri><Uri>http://u:p@192.0.2.1/snap.jpg</Uri></MediaUri></GetSnapshotUriResponse>".into()
    };
    ("200 OK", "Content-Type: application/soap+xml\r\n".into(), envelope(&body))
}

struct Told(mpsc::UnboundedSender<Event>);

impl Output for Told {
    async fn send(&mut self, event: Event) -> io::Result<()> {
        self.0.send(event).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Runs a camera until it tells its facts, if it does, and its first trouble.
async fn first(url: &str) -> (Option<DeviceFacts>, CameraState) {
    first_of(url, StreamChoice::Auto).await
}

/// The same for one of its streams.
async fn first_of(url: &str, stream: StreamChoice) -> (Option<DeviceFacts>, CameraState) {
    let source = Source::new(CameraId::new("cam").unwrap(), url, None, None).unwrap();
    let source = Source { stream, ..source };
    let (told, mut events) = mpsc::unbounded_channel();
    let running = tokio::spawn(async move {
        let _ = run(source, &mut Told(told), 3).await;
    });
    let mut facts = None;
    let state = loop {
        match timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap() {
            Event::Facts(said) => facts = Some(said),
            Event::State(state) if state.trouble().is_some() => break state,
            _ => {}
        }
    };
    running.abort();
    (facts, state)
}

/// An RTSP port that knows no stream but remembers what it was asked.
async fn rtsp() -> (u16, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut chunk = [0; 4096];
            let len = stream.read(&mut chunk).await.unwrap_or(0);
            seen.lock().unwrap().push(String::from_utf8_lossy(&chunk[..len]).into_owned());
            let _ = stream.write_all(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n").await;
        }
    });
    (port, requests)
}

#[tokio::test]
async fn the_sub_stream_is_asked_for_at_the_address_that_answered() {
    for wants in [
        Wants::Nothing,
        Wants::Token,
        Wants::TokenForAll,
        Wants::Digest("Digest realm=\"x\", nonce=\"n\", qop=\"auth\""),
        Wants::Digest("Digest realm=\"x\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\""),
    ] {
        let (port, asked) = rtsp().await;
        let (address, requests) = device(wants, port).await;
        let (facts, state) = first(&format!("http://admin:canary@{address}/onvif/device_service")).await;
        assert_eq!(state.trouble(), Some(&Trouble::NoSuchStream));
        let facts = facts.unwrap();
        assert_eq!((facts.maker.as_deref(), facts.profiles.len()), (Some("Acme"), 2));
        assert_eq!(facts.snapshot.as_deref(), Some("http://127.0.0.1/snap.jpg"));
        let asked = asked.lock().unwrap();
        assert!(asked[0].starts_with(&format!("DESCRIBE rtsp://127.0.0.1:{port}/sub?a=1&b=2 ")), "{asked:?}");
        let requests = requests.lock().unwrap();
        assert!(requests.iter().all(|request| !request.contains("canary")));
        if wants != Wants::TokenForAll {
            // The device's clock stands in 2001: a token of today would be refused.
            let tokens = requests.iter().filter(|request| request.contains("PasswordDigest"));
            assert!(tokens.into_iter().all(|request| request.contains(">2001-01-01T00:00:0")));
        }
    }
}

#[tokio::test]
async fn a_device_tells_whether_there_is_a_smaller_picture_than_the_chosen_one() {
    // Auto takes the sub-stream here, for the main stream is H.265.
    let choices = [(StreamChoice::Main, true), (StreamChoice::Auto, false), (StreamChoice::Sub, false)];
    for (stream, has_small) in choices {
        let (port, _asked) = rtsp().await;
        let (address, _requests) = device(Wants::Nothing, port).await;
        let (facts, _) = first_of(&format!("http://{address}/onvif/device_service"), stream).await;
        assert_eq!(facts.unwrap().has_small, has_small, "{stream:?}");
    }
}

#[tokio::test]
async fn a_refused_login_is_shown_once_by_onvif_and_never_by_rtsp() {
    for wants in [Wants::Other, Wants::Digest("Digest realm=\"x\", nonce=\"n\"")] {
        let (address, requests) = device(wants, 9).await;
        let (facts, state) = first(&format!("http://wrong:canary@{address}")).await;
        assert_eq!((facts, state), (None, CameraState::Stopped { trouble: Trouble::WrongPassword }));
        let requests = requests.lock().unwrap();
        let shown = match wants {
            Wants::Other => requests.iter().filter(|request| request.contains("PasswordDigest")).count(),
            _ => requests
                .iter()
                .filter(|request| request.to_lowercase().contains("authorization: digest"))
                .count(),
        };
        assert_eq!(shown, 1);
    }
}

#[tokio::test]
async fn a_device_that_wants_a_login_and_gets_none_says_so() {
    let (address, _) = device(Wants::Token, 9).await;
    let (_, state) = first(&format!("http://{address}")).await;
    assert_eq!(state, CameraState::Stopped { trouble: Trouble::PasswordNeeded });
}

#[tokio::test]
async fn hostile_answers_end_in_a_plain_sentence() {
    for body in [
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'http://192.0.2.1/'>]><a>&x;</a>".to_owned(),
        "<a>".repeat(10_000),
        "x".repeat(2 << 20),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut chunk = [0; 8192];
                let _ = stream.read(&mut chunk).await;
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(body.as_bytes()).await;
            }
        });
        let (_, state) = first(&format!("http://{address}")).await;
        assert!(
            matches!(state.trouble(), Some(Trouble::Protocol { .. } | Trouble::TooLarge { .. })),
            "{state:?}"
        );
    }
}
