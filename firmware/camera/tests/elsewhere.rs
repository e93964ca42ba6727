//! A camera that names other addresses in its answers: nobody but the camera hears from the box.

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
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use camera::{Event, Output, Source, Transport, run};
use model::{CameraId, CameraState, StreamFacts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Somebody who has nothing to do with the camera.
const VICTIM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How long a lie may work: longer than the first three connections that retina would make after a session.
const LISTEN: Duration = Duration::from_secs(4);
/// SPS and PPS of 240x160, and a key frame.
const FRAMES: [&[u8]; 3] = [
    &[
        0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x03, 0xc5, 0x68, 0x40, 0, 0, 3, 0, 0x40, 0, 0, 0x0c, 3, 0xc5, 0x8b,
        0x92,
    ],
    &[0x68, 0xcb, 0x8c, 0xb2],
    &[0x65, 0x88, 0x84, 0, 0x10],
];

/// What a camera says beside the truth.
#[derive(Clone, Copy, Default)]
struct Lies {
    /// `source=` of its Transport.
    source: Option<Ipv4Addr>,
    /// Content-Base.
    base: Option<SocketAddr>,
    /// Old servers of this kind keep sending after a session: its clients must be stubborn about TEARDOWN.
    stubborn: bool,
    /// It leaves as soon as it has sent its pictures.
    leaves: bool,
    /// The first transport that it is asked for is refused.
    refuses: Option<&'static str>,
}

#[derive(Default)]
struct Seen {
    /// Packets to the victim's RTP port.
    greetings: AtomicUsize,
    /// Packets to its own.
    greeted: AtomicUsize,
    teardowns: AtomicUsize,
}

async fn serve(ip: Ipv4Addr, lies: Lies) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, lies, Arc::clone(&told)));
        }
    });
    (address, seen)
}

/// A socket on this port, and what counts its packets.
async fn counted(at: (Ipv4Addr, u16), seen: Arc<Seen>, which: fn(&Seen) -> &AtomicUsize) -> Arc<UdpSocket> {
    let socket = Arc::new(UdpSocket::bind(at).await.unwrap());
    let receiving = Arc::clone(&socket);
    tokio::spawn(async move {
        while receiving.recv(&mut [0; 64]).await.is_ok() {
            which(&seen).fetch_add(1, Ordering::Relaxed);
        }
    });
    socket
}

async fn converse(mut stream: TcpStream, lies: Lies, seen: Arc<Seen>) -> Option<()> {
    let ip = match stream.local_addr().unwrap() {
        SocketAddr::V4(address) => *address.ip(),
        SocketAddr::V6(_) => return None,
    };
    let peer = stream.peer_addr().unwrap().ip();
    let mut udp: Option<(Arc<UdpSocket>, u16)> = None;
    let mut received = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let len = stream.read(&mut chunk).await.ok().filter(|len| *len > 0)?;
        received.extend_from_slice(&chunk[..len]);
        while let Some(end) = received.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end + 4);
            let cseq = head.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap();
            let (mut status, mut more, mut body) =
                ("200 OK", "Session: 1;timeout=60\r\n".to_owned(), String::new());
            match head.split(' ').next().unwrap() {
                "DESCRIBE" => {
                    let tool =
                        if lies.stubborn { "a=tool:LIVE555 Streaming Media v2013.04.08\r\n" } else { "" };
                    body = format!(
                        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\n{tool}m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:video\r\n"
                    );
                    more = lies
                        .base
                        .map_or_else(String::new, |base| format!("Content-Base: rtsp://{base}/x/\r\n"));
                }
                "SETUP" if lies.refuses.is_some_and(|refused| head.contains(refused)) => {
                    status = "461 Unsupported Transport";
                }
                "SETUP" => {
                    let client = head.split("client_port=").nth(1).and_then(|ports| ports.split('-').next());
                    let transport = match client {
                        Some(client) => {
                            let ours = counted((ip, 0), Arc::clone(&seen), |seen| &seen.greeted).await;
                            let port = ours.local_addr().unwrap().port();
                            let source =
                                lies.source.map_or_else(String::new, |source| format!(";source={source}"));
                            if let Some(source) = lies.source {
                                counted((source, port), Arc::clone(&seen), |seen| &seen.greetings).await;
                            }
                            udp = Some((ours, client.parse().unwrap()));
                            format!("Transport: RTP/AVP;unicast{source};server_port={port}-{}\r\n", port + 1)
                        }
                        None => "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n".to_owned(),
                    };
                    more.push_str(&transport);
                }
                "TEARDOWN" => {
                    seen.teardowns.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
            let answer = format!(
                "RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{more}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.ok()?;
            if head.starts_with("PLAY") {
                for (number, nal) in (0u8..).zip(FRAMES) {
                    let marker = if nal[0] == 0x65 { 0xe0 } else { 0x60 };
                    let header = [0x80, marker, 0, number, 0, 0, 0, 0, 0, 0, 0, 9];
                    let packet = [&header[..], nal].concat();
                    if let Some((socket, port)) = &udp {
                        socket.send_to(&packet, (peer, *port)).await.ok()?;
                    } else {
                        let framed = [&[b'$', 0, 0, packet.len() as u8][..], &packet].concat();
                        stream.write_all(&framed).await.ok()?;
                    }
                }
                if lies.leaves {
                    sleep(Duration::from_millis(200)).await;
                    return None;
                }
            }
        }
    }
}

struct Told(mpsc::UnboundedSender<Event>);

impl Output for Told {
    async fn send(&mut self, event: Event) -> io::Result<()> {
        self.0.send(event).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A box that streams this camera.
fn watch(address: SocketAddr, transport: Transport) -> mpsc::UnboundedReceiver<Event> {
    let url = format!("rtsp://{address}/x");
    let source = Source::new(CameraId::new("cam").unwrap(), &url, None, None).unwrap();
    let (told, events) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let _ = run(Source { transport, ..source }, &mut Told(told), 7).await;
    });
    events
}

/// Waits for a picture, and gives what was said of the stream before.
async fn picture(events: &mut mpsc::UnboundedReceiver<Event>) -> StreamFacts {
    let mut facts = None;
    loop {
        match timeout(Duration::from_secs(20), events.recv()).await.expect("in time").unwrap() {
            Event::State(CameraState::Streaming(told)) => facts = Some(told),
            Event::Unit(_) => return facts.expect("told before"),
            Event::State(CameraState::Waiting { trouble, .. }) => panic!("{trouble}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_foreign_sender_of_pictures_gets_nothing() {
    let (address, seen) = serve(Ipv4Addr::LOCALHOST, Lies { source: Some(VICTIM), ..Lies::default() }).await;
    let mut events = watch(address, Transport::Udp);
    picture(&mut events).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(seen.greetings.load(Ordering::Relaxed), 0, "the victim was greeted");
    assert_eq!(
        seen.greeted.load(Ordering::Relaxed),
        1,
        "the camera was not, and a firewall would stay closed"
    );
}

#[tokio::test]
async fn the_pictures_come_from_the_camera_wherever_the_pipe_is() {
    // The box's end of the connection is 127.0.0.1 then, and so is the pipe.
    let (address, seen) = serve(Ipv4Addr::new(127, 0, 0, 5), Lies::default()).await;
    let mut events = watch(address, Transport::Udp);
    picture(&mut events).await;
    assert_eq!(seen.greeted.load(Ordering::Relaxed), 1);
    // The session ends for want of pictures, and the camera is told.
    while !matches!(events.recv().await.unwrap(), Event::Interrupted) {}
    assert_eq!(seen.teardowns.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_end_of_a_session_is_not_told_elsewhere() {
    let check = async |transport, stubborn| {
        let victim = TcpListener::bind((VICTIM, 0)).await.unwrap();
        let base = Some(victim.local_addr().unwrap());
        let (address, _) =
            serve(Ipv4Addr::LOCALHOST, Lies { base, stubborn, leaves: true, ..Lies::default() }).await;
        let mut events = watch(address, transport);
        picture(&mut events).await;
        assert!(timeout(LISTEN, victim.accept()).await.is_err(), "the victim was called: {transport:?}");
    };
    tokio::join!(check(Transport::Udp, false), check(Transport::Tcp, false), check(Transport::Tcp, true));
}

#[tokio::test]
async fn a_refused_transport_is_followed_by_the_other_one() {
    let check = async |first, refused, said: &str| {
        let (address, _) =
            serve(Ipv4Addr::LOCALHOST, Lies { refuses: Some(refused), ..Lies::default() }).await;
        let facts = picture(&mut watch(address, first)).await;
        assert!(facts.notes.len() == 1 && facts.notes[0].contains(said), "{facts:?}");
    };
    tokio::join!(
        check(Transport::Udp, "RTP/AVP/UDP", "refuses UDP"),
        check(Transport::Tcp, "RTP/AVP/TCP", "refuses TCP"),
    );
}
