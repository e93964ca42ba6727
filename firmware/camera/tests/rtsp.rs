//! Scripted cameras on the loopback, and what the owner is told of each.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "the cameras' own sockets and deadlines"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml exempts only what stands under cfg(test)"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camera::{Event, Output, Source, run};
use model::{CameraId, CameraState, StreamFacts, Trouble};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// SPS and PPS of 240x160, as a camera puts them into its description.
const SPROP: &str = "Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==";
const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x03, 0xc5, 0x68, 0x40, 0, 0, 3, 0, 0x40, 0, 0, 0x0c, 3, 0xc5, 0x8b, 0x92,
];
const PPS: &[u8] = &[0x68, 0xcb, 0x8c, 0xb2];
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0, 0x10];

fn h264(fmtp: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{fmtp}a=control:video\r\n"
    )
}

fn sprop() -> String {
    format!("a=fmtp:96 packetization-mode=1;sprop-parameter-sets={SPROP}\r\n")
}

/// How a camera answers.
#[derive(Clone, Default)]
struct Camera {
    sdp: String,
    /// Head of the answer to each method, instead of `200 OK`.
    status: Vec<(&'static str, &'static str)>,
    /// `WWW-Authenticate` headers; without a matching `Authorization` nothing else is answered.
    challenges: Vec<&'static str>,
    /// What an `Authorization` must contain.
    login: &'static str,
    /// NAL units after PLAY, one frame each; then silence or the end.
    frames: Vec<&'static [u8]>,
    closes: bool,
    refuses_udp: bool,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    logins: AtomicUsize,
    sessions: AtomicUsize,
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn serve(camera: Camera) -> (SocketAddr, Arc<Seen>) {
    let (listener, address) = listen().await;
    let seen = Arc::new(Seen::default());
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(camera.clone(), stream, Arc::clone(&told)));
        }
    });
    (address, seen)
}

async fn converse(camera: Camera, mut stream: TcpStream, seen: Arc<Seen>) {
    let mut received = Vec::new();
    // The camera's end and the box's, when the pictures go over UDP.
    let mut udp: Option<(UdpSocket, u16)> = None;
    loop {
        while let Some(end) = received.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end + 4);
            let method = head.split(' ').next().unwrap().to_owned();
            let cseq = head.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap().to_owned();
            seen.requests.lock().unwrap().push(head.clone());
            let authorization = head.lines().find(|line| line.starts_with("Authorization:"));
            if authorization.is_some() {
                seen.logins.fetch_add(1, Ordering::Relaxed);
            }
            let mut status = "200 OK";
            let mut more = String::new();
            let mut body = "";
            if !camera.challenges.is_empty()
                && !authorization.is_some_and(|value| value.contains(camera.login))
            {
                status = "401 Unauthorized";
                for challenge in &camera.challenges {
                    more.push_str("WWW-Authenticate: ");
                    more.push_str(challenge);
                    more.push_str("\r\n");
                }
            } else if let Some((_, other)) = camera.status.iter().find(|(name, _)| *name == method) {
                status = other;
            } else if method == "DESCRIBE" {
                body = &camera.sdp;
                more = "Content-Type: application/sdp\r\n".into();
            } else if method == "SETUP" {
                let client = head.split("client_port=").nth(1).and_then(|ports| ports.split('-').next());
                if camera.refuses_udp && client.is_some() {
                    status = "461 Unsupported Transport";
                } else if let Some(client) = client {
                    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                    let port = socket.local_addr().unwrap().port();
                    more = format!(
                        "Session: 1;timeout=60\r\nTransport: RTP/AVP;unicast;client_port={client}-0;server_port={port}-{}\r\n",
                        port.wrapping_add(1).max(1)
                    );
                    udp = Some((socket, client.parse().unwrap()));
                } else {
                    let interleaved = if head.contains("interleaved=2-3") { "2-3" } else { "0-1" };
                    more = format!(
                        "Session: 1;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved={interleaved}\r\n"
                    );
                }
            } else if method == "PLAY" {
                seen.sessions.fetch_add(1, Ordering::Relaxed);
                more = "Session: 1\r\n".into();
            }
            let answer = format!(
                "RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{more}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            if method == "PLAY" && status == "200 OK" {
                for (number, nal) in camera.frames.iter().enumerate() {
                    let packet = packet(number as u16, nal);
                    let _ = match &udp {
                        Some((socket, port)) => {
                            socket.send_to(&packet[4..], ("127.0.0.1", *port)).await.map(drop)
                        }
                        None => stream.write_all(&packet).await,
                    };
                }
                if camera.closes {
                    return;
                }
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(len @ 1..) => received.extend_from_slice(&chunk[..len]),
            _ => return,
        }
    }
}

/// One NAL unit in one interleaved RTP packet; parameter sets share the stamp of what follows and have no marker.
fn packet(number: u16, nal: &[u8]) -> Vec<u8> {
    let marker = if matches!(nal[0] & 0x1f, 1 | 5) { 0x80 } else { 0 };
    let stamp = u32::from(number / 8) * 3600;
    let len = (12 + nal.len()) as u16;
    let mut out = vec![b'$', 0, (len >> 8) as u8, len as u8, 0x80, 0x60 | marker];
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&stamp.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 9]);
    out.extend_from_slice(nal);
    out
}

struct Told(mpsc::UnboundedSender<Event>, Arc<AtomicBool>);

impl Output for Told {
    async fn send(&mut self, event: Event) -> io::Result<()> {
        self.0.send(event).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn may_wait(&mut self, may: bool) {
        self.1.store(may, Ordering::Relaxed);
    }
}

struct Listener {
    events: mpsc::UnboundedReceiver<Event>,
    may_wait: Arc<AtomicBool>,
}

impl Listener {
    fn of(url: &str) -> Self {
        Self::with(url, |_| {})
    }

    fn with(url: &str, change: impl FnOnce(&mut Source)) -> Self {
        let mut source = Source::new(CameraId::new("cam").unwrap(), url, None, None).unwrap();
        change(&mut source);
        let (told, events) = mpsc::unbounded_channel();
        let may_wait = Arc::<AtomicBool>::default();
        let told = Told(told, Arc::clone(&may_wait));
        tokio::spawn(async move {
            let _ = run(source, &mut { told }, 7).await;
        });
        Self { events, may_wait }
    }

    async fn event(&mut self) -> Event {
        timeout(Duration::from_secs(25), self.events.recv())
            .await
            .expect("an event in time")
            .expect("the run goes on")
    }

    async fn trouble(&mut self) -> (Trouble, bool) {
        loop {
            match self.event().await {
                Event::State(CameraState::Waiting { trouble, .. }) => return (trouble, false),
                Event::State(CameraState::Stopped { trouble }) => return (trouble, true),
                _ => {}
            }
        }
    }

    async fn streaming(&mut self) -> StreamFacts {
        loop {
            if let Event::State(CameraState::Streaming(facts)) = self.event().await {
                return facts;
            }
        }
    }

    async fn unit(&mut self) -> media::AccessUnit {
        loop {
            if let Event::Unit(unit) = self.event().await {
                return unit;
            }
        }
    }
}

async fn trouble(camera: Camera) -> Trouble {
    let (address, _) = serve(camera).await;
    Listener::of(&format!("rtsp://admin:secret@{address}/live")).trouble().await.0
}

const DIGEST: &str = "Digest realm=\"cam\", nonce=\"abc\"";
const SHA256: &str = "Digest realm=\"cam\", nonce=\"abc\", algorithm=SHA-256, qop=\"auth\"";

#[tokio::test]
async fn a_wrong_password_is_shown_to_the_camera_once() {
    let (address, seen) =
        serve(Camera { challenges: vec![DIGEST], login: "never", ..Camera::default() }).await;
    let mut listener = Listener::of(&format!("rtsp://admin:canary@{address}/live"));
    let (trouble, stopped) = listener.trouble().await;
    assert_eq!((trouble, stopped), (Trouble::WrongPassword, true));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(seen.logins.load(Ordering::Relaxed), 1);
    assert!(
        !seen.requests.lock().unwrap().iter().any(|request| request.contains("canary")),
        "digest tells no password"
    );
}

#[tokio::test]
async fn no_password_is_another_thing_than_a_wrong_one() {
    let (address, seen) =
        serve(Camera { challenges: vec![DIGEST], login: "never", ..Camera::default() }).await;
    assert_eq!(
        Listener::of(&format!("rtsp://{address}/live")).trouble().await,
        (Trouble::PasswordNeeded, true)
    );
    assert_eq!(seen.logins.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn every_way_of_logging_in_works_without_a_failed_one() {
    for (challenges, login) in [
        (vec![SHA256], "algorithm=SHA-256"),
        (vec![SHA256, DIGEST], "algorithm=SHA-256"),
        (vec![DIGEST, SHA256], "nonce=\"abc\""),
        (vec!["Basic realm=\"cam\"", DIGEST], "Digest"),
        (vec![DIGEST, "Basic realm=\"cam\""], "Digest"),
        (vec!["Basic realm=\"cam\""], "Basic YWRtaW46c2VjcmV0"),
        (vec!["Digest realm=\"cam\", nonce=\"abc\", algorithm=XYZ", "Basic realm=\"cam\""], "Basic"),
    ] {
        let frames = vec![SPS, PPS, IDR];
        let (address, seen) =
            serve(Camera { challenges, login, sdp: h264(&sprop()), frames, ..Camera::default() }).await;
        let facts = Listener::of(&format!("rtsp://admin:secret@{address}/live")).streaming().await;
        assert_eq!(facts.url, format!("rtsp://{address}/live"));
        let requests = seen.requests.lock().unwrap();
        let refused =
            requests.iter().filter(|request| request.contains("Authorization") && !request.contains(login));
        assert_eq!(refused.count(), 0, "{requests:?}");
    }
}

#[tokio::test]
async fn what_the_camera_answers_is_told_in_its_own_words() {
    let answering = |status| Camera { status: vec![("DESCRIBE", status)], ..Camera::default() };
    assert_eq!(trouble(answering("404 Not Found")).await, Trouble::NoSuchStream);
    assert_eq!(trouble(answering("453 Not Enough Bandwidth")).await, Trouble::Busy);
    assert!(matches!(trouble(answering("302 Moved")).await, Trouble::Protocol { .. }));
    let describing = |sdp: &str| Camera { sdp: sdp.to_owned(), ..Camera::default() };
    assert_eq!(trouble(describing("v=0\r\nm=audio 0 RTP/AVP 8\r\n")).await, Trouble::NoVideo);
    assert_eq!(
        trouble(describing("v=0\r\nm=video 0 RTP/AVP 26\r\n")).await,
        Trouble::UnsupportedCodec { codec: "MJPEG".into() }
    );
    assert!(matches!(trouble(describing(&"a=x\r\n".repeat(20_000))).await, Trouble::TooLarge { .. }));
    assert!(matches!(trouble(describing(&h264("").repeat(17))).await, Trouble::TooLarge { .. }));
    let busy =
        Camera { sdp: h264(""), status: vec![("SETUP", "453 Not Enough Bandwidth")], ..Camera::default() };
    assert_eq!(trouble(busy).await, Trouble::Busy);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (other, theirs) = serve(Camera { sdp: h264(""), ..Camera::default() }).await;
    let location: &'static str = format!("302 Moved\r\nLocation: rtsp://{other}/live").leak();
    let _ = trouble(Camera { status: vec![("DESCRIBE", location)], ..Camera::default() }).await;
    assert!(theirs.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_speak_rtsp_is_said() {
    for banner in [
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\u{3}\u{0}\u{0}",
        "",
    ] {
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(banner.as_bytes()).await;
            }
        });
        let (trouble, _) = Listener::of(&format!("rtsp://{address}/live")).trouble().await;
        assert_eq!(trouble, Trouble::NotRtsp { address: address.to_string() }, "{banner:?}");
    }
}

#[tokio::test]
async fn nothing_there_is_unreachable_and_an_unknown_name_is_unknown() {
    let (listener, address) = listen().await;
    drop(listener);
    let (trouble, stopped) = Listener::of(&format!("rtsp://{address}/live")).trouble().await;
    assert_eq!((trouble, stopped), (Trouble::Unreachable { address: address.to_string() }, false));
    let (trouble, _) = Listener::of("rtsp://camera.invalid/live").trouble().await;
    assert_eq!(trouble, Trouble::UnknownHost { host: "camera.invalid".into() });
}

#[tokio::test]
async fn a_silent_port_is_unreachable_in_time() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = listener.accept().await {
            held.push(connection);
        }
    });
    let (trouble, _) = Listener::of(&format!("rtsp://{address}/live")).trouble().await;
    assert_eq!(trouble, Trouble::Unreachable { address: address.to_string() });
}

#[tokio::test]
async fn parameter_sets_may_come_with_the_pictures() {
    for fmtp in [
        "",
        "a=fmtp:96 sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,\r\n",
        "a=fmtp:96 sprop-parameter-sets=AAAA,AAAA\r\n",
    ] {
        let (address, _) =
            serve(Camera { sdp: h264(fmtp), frames: vec![SPS, PPS, IDR], ..Camera::default() }).await;
        let mut listener = Listener::of(&format!("rtsp://{address}/live"));
        let format = loop {
            match listener.event().await {
                Event::Format(format) => break format,
                Event::Unit(_) => panic!("a unit before its format"),
                _ => {}
            }
        };
        assert_eq!(format.video, media::VideoFormat::H264 { sps: SPS.into(), pps: PPS.into() });
        let unit = listener.unit().await;
        assert_eq!((&unit.data[..], unit.random_access), (&[&[0, 0, 0, 5], IDR].concat()[..], true));
    }
}

#[tokio::test]
async fn a_camera_that_closes_is_asked_again_soon() {
    let camera =
        Camera { sdp: h264(&sprop()), frames: vec![SPS, PPS, IDR], closes: true, ..Camera::default() };
    let (address, _) = serve(camera).await;
    let mut listener = Listener::of(&format!("rtsp://{address}/live"));
    listener.unit().await;
    assert_eq!(listener.event().await, Event::Interrupted);
    let Event::State(CameraState::Waiting { trouble: Trouble::Closed, retry_in_ms }) = listener.event().await
    else {
        panic!("closed");
    };
    assert!((500..=1000).contains(&retry_in_ms), "{retry_in_ms}");
    timeout(Duration::from_secs(3), listener.unit()).await.expect("back soon");
}

#[tokio::test]
async fn a_stream_without_pictures_is_stalled() {
    let (address, seen) =
        serve(Camera { sdp: h264(&sprop()), frames: vec![SPS, PPS, IDR], ..Camera::default() }).await;
    let mut listener = Listener::of(&format!("rtsp://{address}/live"));
    listener.unit().await;
    let began = std::time::Instant::now();
    assert_eq!(listener.trouble().await.0, Trouble::Stalled { seconds: 10 });
    assert!(began.elapsed() < Duration::from_secs(13));
    listener.unit().await;
    assert_eq!(seen.sessions.load(Ordering::Relaxed), 2);
    assert!(
        seen.requests.lock().unwrap().iter().any(|request| request.starts_with("TEARDOWN")),
        "cameras have few sessions"
    );
}

#[tokio::test]
async fn only_what_tcp_keeps_may_wait() {
    let check = async |transport, kept| {
        let frames = vec![SPS, PPS, IDR];
        let (address, _) = serve(Camera { sdp: h264(&sprop()), frames, ..Camera::default() }).await;
        let mut listener =
            Listener::with(&format!("rtsp://{address}/live"), |source| source.transport = transport);
        listener.unit().await;
        assert_eq!(listener.may_wait.load(Ordering::Relaxed), kept, "{transport:?}");
        listener.trouble().await;
        assert!(!listener.may_wait.load(Ordering::Relaxed), "a session is opened without rests");
    };
    tokio::join!(check(camera::Transport::Tcp, true), check(camera::Transport::Udp, false));
}

#[tokio::test]
async fn a_camera_without_udp_is_asked_for_tcp() {
    let camera =
        Camera { sdp: h264(&sprop()), frames: vec![SPS, PPS, IDR], refuses_udp: true, ..Camera::default() };
    let (address, _) = serve(camera).await;
    let facts =
        Listener::with(&format!("rtsp://{address}/live"), |source| source.transport = camera::Transport::Udp)
            .streaming()
            .await;
    assert_eq!(facts.notes.len(), 1, "{facts:?}");
}

#[tokio::test]
async fn sound_that_browsers_cannot_play_is_left_out_and_said() {
    let sdp = h264(&sprop()) + "m=audio 0 RTP/AVP 8\r\na=control:audio\r\n";
    let (address, seen) = serve(Camera { sdp, frames: vec![SPS, PPS, IDR], ..Camera::default() }).await;
    let facts = Listener::of(&format!("rtsp://{address}/live")).streaming().await;
    assert!(facts.audio.is_none() && facts.notes[0].contains("G.711"), "{facts:?}");
    let requests = seen.requests.lock().unwrap();
    assert_eq!(requests.iter().filter(|request| request.starts_with("SETUP")).count(), 1);
}

#[tokio::test]
async fn the_same_parameter_sets_again_are_no_new_format() {
    let frames = vec![
        SPS,
        PPS,
        IDR,
        &[0x41, 1, 2, 3],
        &[0x41, 1, 2, 4],
        &[0x41, 1, 2, 5],
        &[0x41, 1, 2, 6],
        &[0x41, 1, 2, 7],
        SPS,
        PPS,
        IDR,
    ];
    let (address, _) = serve(Camera { sdp: h264(&sprop()), frames, closes: true, ..Camera::default() }).await;
    let mut listener = Listener::of(&format!("rtsp://{address}/live"));
    let mut formats = 0;
    let mut units = 0;
    loop {
        match listener.event().await {
            Event::Format(_) => formats += 1,
            Event::Unit(_) => units += 1,
            Event::Interrupted => break,
            _ => {}
        }
    }
    assert_eq!((formats, units), (1, 7));
}
