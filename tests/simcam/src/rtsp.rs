//! The RTSP server (RFC 2326): one task per connection, at most one session on it.
//!
//! Invariant: a session ends with its connection, and its client is off the stream's list from then on.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

use crate::{
    camera::{Camera, Stream, Track, lock},
    client::{Client, Lane, Way},
    pipe::Pipe,
    quirks::Keepalive,
    request::{Message, Request, take},
    rtp::VIDEO_TYPE,
    sdp,
};

/// Serves a camera's RTSP port.
pub(crate) async fn serve(camera: Arc<Camera>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let camera = Arc::clone(&camera);
                tokio::spawn(async move {
                    let _ = connection(&camera, stream, peer).await; // a client that is gone is no news
                });
            }
            // out of descriptors: wait for clients to leave
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

struct Connection<'a> {
    camera: &'a Camera,
    pipe: Arc<Pipe>,
    peer: SocketAddr,
    local: SocketAddr,
    session: Option<Session<'a>>,
    alive: Instant,
    closing: bool,
}

struct Session<'a> {
    id: String,
    client: Arc<Client>,
    stream: &'a Stream,
    playing: bool,
}

async fn connection(camera: &Camera, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let pipe = Arc::new(Pipe::new(stream));
    let mut connection = Connection {
        camera,
        pipe: Arc::clone(&pipe),
        peer,
        local,
        session: None,
        alive: Instant::now(),
        closing: false,
    };
    let mut dropped = camera.dropped.subscribe();
    let mut bytes = Vec::new();
    while !connection.closing {
        let patience = Duration::from_secs(lock(&camera.quirks).session_timeout);
        tokio::select! {
            read = pipe.read(&mut bytes) => {
                if read? == 0 {
                    break;
                }
                while let Some(message) = take(&mut bytes).map_err(io::Error::other)? {
                    connection.message(&message)?;
                }
            }
            stuck = pipe.stuck() => {
                stuck?;
                pipe.flush(&camera.log)?;
            }
            _ = dropped.changed() => break,
            () = sleep_until(connection.alive + patience) => break,
        }
    }
    Ok(())
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.end_session();
    }
}

/// A reply: status, headers, body.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn text(&self, cseq: &str) -> String {
        let reason = match self.status {
            200 => "OK",
            302 => "Moved Temporarily",
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            453 => "Not Enough Bandwidth",
            454 => "Session Not Found",
            455 => "Method Not Valid in This State",
            461 => "Unsupported Transport",
            503 => "Service Unavailable",
            _ => "Refused",
        };
        let mut text = format!("RTSP/1.0 {} {reason}\r\nCSeq: {cseq}\r\nServer: simcam\r\n", self.status);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text + "\r\n" + &self.body
    }
}

impl<'a> Connection<'a> {
    fn message(&mut self, message: &Message) -> io::Result<()> {
        let keepalive = lock(&self.camera.quirks).keepalive;
        let Message::Request(request) = message else {
            if keepalive == Keepalive::Any {
                self.alive = Instant::now();
            }
            return Ok(());
        };
        let counts = match keepalive {
            Keepalive::Any => true,
            Keepalive::Options => request.method == "OPTIONS",
            Keepalive::GetParameter => request.method == "GET_PARAMETER",
        };
        if counts || !self.session.as_ref().is_some_and(|session| session.playing) {
            self.alive = Instant::now();
        }
        let reply = self.answer(request)?;
        let starts = request.method == "PLAY" && reply.status == 200;
        let text = reply.text(request.header("cseq").unwrap_or("0"));
        self.pipe.send(text.as_bytes(), None, &self.camera.log);
        if starts && let Some(session) = &mut self.session {
            // after the reply, so that no packet overtakes it
            if !std::mem::replace(&mut session.playing, true) {
                lock(&session.stream.clients).push(Arc::clone(&session.client));
            }
        }
        Ok(())
    }

    fn answer(&mut self, request: &Request) -> io::Result<Reply> {
        let quirks = self.camera.quirks();
        if request.method == "OPTIONS" {
            let methods = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER, SET_PARAMETER";
            return Ok(Reply::new(200).with("Public", methods));
        }
        if let Some(elsewhere) = quirks.redirect {
            return Ok(Reply::new(302).with("Location", elsewhere));
        }
        if let Some(refusal) = self.check_login(request) {
            return Ok(refusal);
        }
        if quirks.refuse != 0 {
            return Ok(Reply::new(quirks.refuse));
        }
        let path = path(&request.target);
        let under = |stream: &&Stream| {
            path.strip_prefix(stream.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let Some(stream) = self.camera.streams.iter().find(under) else { return Ok(Reply::new(404)) };
        let base = match &quirks.control_host {
            Some(host) => format!("rtsp://{host}{}", stream.path),
            None => format!("rtsp://{}{}", self.local, stream.path),
        };
        match request.method.as_str() {
            "DESCRIBE" => {
                let mut reply = Reply::new(200)
                    .with("Content-Type", "application/sdp")
                    .with("Content-Base", base.clone() + "/");
                reply.body = sdp::describe(stream, &base, &quirks);
                Ok(reply)
            }
            "SETUP" => self.set_up(request, stream, path.ends_with("/sound")),
            "PLAY" => Ok(self.in_session(request, |session, camera| {
                let info: Vec<String> = [(Track::Video, "video"), (Track::Sound, "sound")]
                    .into_iter()
                    .filter_map(|(track, name)| {
                        let sequence = lock(session.client.lane(track)).as_ref()?.sequence;
                        let stamp = camera.next_stamp(session.stream, track);
                        Some(format!("url={base}/{name};seq={sequence};rtptime={stamp}"))
                    })
                    .collect();
                Reply::new(200).with("Range", "npt=now-").with("RTP-Info", info.join(","))
            })),
            "GET_PARAMETER" | "SET_PARAMETER" if self.session.is_none() => Ok(Reply::new(200)),
            "GET_PARAMETER" | "SET_PARAMETER" => Ok(self.in_session(request, |_, _| Reply::new(200))),
            "TEARDOWN" => {
                let reply = self.in_session(request, |_, _| Reply::new(200));
                self.end_session();
                Ok(reply)
            }
            _ => Ok(Reply::new(405)),
        }
    }

    fn in_session(&self, request: &Request, answer: impl FnOnce(&Session<'_>, &Camera) -> Reply) -> Reply {
        let asked = request.header("session").map(|text| text.split(';').next().unwrap_or_default().trim());
        match &self.session {
            Some(session) if asked == Some(&session.id) => {
                answer(session, self.camera).with("Session", session.id.clone())
            }
            _ => Reply::new(454),
        }
    }

    /// 401 unless the login is right.
    fn check_login(&mut self, request: &Request) -> Option<Reply> {
        let given = request.header("authorization");
        if !lock(&self.camera.quirks).activated {
            if given.is_some() {
                self.camera.login_passes(false);
            }
            return Some(Reply::new(401).with("WWW-Authenticate", "Digest realm=\"simcam\", nonce=\"0\""));
        }
        let login = self.camera.login.as_ref()?;
        if let Some(given) = given
            && self.camera.login_passes(login.accepts(&request.method, given))
        {
            return None;
        }
        let challenges = login.challenges().into_iter();
        Some(challenges.fold(Reply::new(401), |reply, challenge| reply.with("WWW-Authenticate", challenge)))
    }

    fn set_up(&mut self, request: &Request, stream: &'a Stream, sound: bool) -> io::Result<Reply> {
        let quirks = self.camera.quirks();
        let offers = request.header("transport").unwrap_or_default();
        let wanted = |offer: &&str| offer.contains("/TCP") || !quirks.no_udp && !offer.contains("multicast");
        let Some(offer) = offers.split(',').map(str::trim).find(wanted) else { return Ok(Reply::new(461)) };
        let kind = match (&stream.sound, sound) {
            (Some(has), true) => has.kind,
            (None, true) => return Ok(Reply::new(404)),
            _ => VIDEO_TYPE,
        };
        let (way, transport) = if offer.contains("/TCP") {
            let channel =
                parameter(offer, "interleaved").map_or(u8::from(sound) * 2, |(first, _)| first as u8 & 0xfe);
            (Way::Interleaved(channel), format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1))
        } else {
            let Some((first, second)) = parameter(offer, "client_port") else { return Ok(Reply::new(400)) };
            let (rtp, rtcp) = pair(self.local.ip())?;
            let (ours, theirs) = (rtp.local_addr()?.port(), self.peer.ip());
            let source = quirks.rtp_source.map_or_else(String::new, |host| format!(";source={host}"));
            let transport = format!(
                "RTP/AVP;unicast{source};client_port={first}-{second};server_port={ours}-{}",
                ours + 1
            );
            let way = Way::Udp { rtp: (rtp, (theirs, first).into()), rtcp: (rtcp, (theirs, second).into()) };
            (way, transport)
        };
        if self.session.is_none() {
            if self.camera.sessions.load(Ordering::Relaxed) as usize >= quirks.sessions {
                return Ok(Reply::new(453));
            }
            self.camera.sessions.fetch_add(1, Ordering::Relaxed);
            let id = crate::random();
            let client = Arc::new(Client::new(id, Arc::clone(&self.pipe)));
            self.session = Some(Session { id: format!("{id:016x}"), client, stream, playing: false });
        }
        let Some(session) = &self.session else { return Ok(Reply::new(454)) };
        let lane = Lane::new(way, kind);
        let transport = format!("{transport};ssrc={:08X}", lane.ssrc);
        *lock(session.client.lane(if sound { Track::Sound } else { Track::Video })) = Some(lane);
        let id = format!("{};timeout={}", session.id, quirks.session_timeout);
        Ok(Reply::new(200).with("Transport", transport).with("Session", id))
    }

    fn end_session(&mut self) {
        if let Some(session) = self.session.take() {
            lock(&session.stream.clients).retain(|client| client.id != session.client.id);
            self.camera.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The path of an RTSP address, without query.
fn path(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let path = path.split('?').next().unwrap_or_default();
    if path.len() > 1 { path.trim_end_matches('/') } else { path }
}

/// `name=A-B` in a Transport header.
fn parameter(offer: &str, name: &str) -> Option<(u16, u16)> {
    let value = offer.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
    let (first, second) = value.split_once('-')?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

/// Two UDP sockets on an even port and the next.
fn pair(ip: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    let mut error = io::ErrorKind::AddrInUse.into();
    for _ in 0..64 {
        let first = UdpSocket::bind((ip, 0))?;
        let port = first.local_addr()?.port();
        if port % 2 == 0 {
            match UdpSocket::bind((ip, port + 1)) {
                Ok(second) => {
                    first.set_nonblocking(true)?;
                    second.set_nonblocking(true)?;
                    return Ok((first, second));
                }
                Err(taken) => error = taken,
            }
        }
    }
    Err(error)
}
