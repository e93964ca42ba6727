//! Tells the cloud how the cameras are, through the tunnel, and takes what it answers: its time, and the public links.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdTcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::tunnel::client::ClientStatus;
use ::tunnel::io::Handle;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use media::Mark;
use model::CameraId;
use model::enrol::Hub;
use model::status::{Answer, CameraReport, Picture, Report, Uplink};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use super::time::Time;
use super::view::Counters;
use crate::door;
use crate::state::{Camera, Shared};

/// Between two reports.
pub(crate) const EVERY: Duration = Duration::from_secs(30);
/// Between two looks at the cameras, and how long they must have been the same before that is reported: what changes
/// twice in a moment is told once.
const LOOK: Duration = Duration::from_millis(200);
/// At most this long after a change, however often it changes again.
const AT_MOST: Duration = Duration::from_millis(600);
/// After a report that failed.
const AGAIN: Duration = Duration::from_secs(2);
/// A report and its answer take at most this long.
const TIME: Duration = Duration::from_secs(8);
/// Most bytes of an answer.
const MOST: usize = 256 << 10;
/// Where every hub listens inside the tunnel.
const PORT: u16 = 80;

/// Most ended outages in one report, all cameras together; the rest comes with the next one.
const OUTAGES: usize = 200;

/// What makes a report worth sending at once: of each camera what it does, which picture goes out, whether its port
/// answers, and whether there is a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gist(Vec<(CameraId, &'static str, Picture, bool, bool)>);

/// How far each camera's outages are in a report.
type Marks = Vec<(Arc<Camera>, Mark)>;

/// Reports for ever, while the tunnel stands and at once when it does again, or when it leads to another hub: by its reports
/// the cloud knows where the box is. `inner` is the hub in use; what the cloud says of its hubs goes to `hubs`.
pub(crate) async fn keep(
    shared: &Shared,
    time: &Time,
    handle: &Handle,
    mut way: watch::Receiver<ClientStatus>,
    inner: impl Fn() -> Ipv4Addr,
    hubs: &watch::Sender<Vec<Hub>>,
) {
    let mut told: Option<Gist> = None;
    let mut next = Instant::now();
    // Since when something else is true than was told.
    let mut differs: Option<Instant> = None;
    let mut seen = gist(shared);
    let mut at = None;
    loop {
        let stood = way.borrow().stands;
        // A sender that is gone stays so: nothing is reported any more.
        if !stood && way.wait_for(|way| way.stands).await.is_err() {
            return pending().await;
        }
        let hub = way.borrow().hub.clone();
        if std::mem::replace(&mut at, hub.clone()) != hub || !stood {
            next = Instant::now();
        }
        let now = Instant::now();
        let gist = gist(shared);
        let settled = gist == seen;
        seen.clone_from(&gist);
        differs = if told.as_ref() == Some(&gist) { None } else { differs.or(Some(now)) };
        let urgent = told.is_some()
            && differs.is_some_and(|since| {
                settled && now > since || now.saturating_duration_since(since) >= AT_MOST
            });
        if urgent || now >= next {
            let (report, marks) = report(shared, time);
            let sent = tokio::time::timeout(TIME, send(&report, handle, inner())).await;
            match sent.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(answer) => {
                    Counters::add(&shared.cloud().counters().reports, 1);
                    for (camera, mark) in marks {
                        camera.feed().acknowledge(mark);
                    }
                    hubs.send_replace(answer.hubs.clone());
                    take(shared, time, answer);
                    told = Some(gist);
                    differs = None;
                    next = Instant::now() + EVERY;
                }
                Err(error) => {
                    Counters::add(&shared.cloud().counters().reports_failed, 1);
                    tracing::debug!(%error, "a report did not reach the cloud");
                    next = Instant::now() + AGAIN;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn gist(shared: &Shared) -> Gist {
    let row = |camera: &Arc<Camera>| {
        // Trouble lasts over the next tries: they are not worth a report each.
        let trouble = camera.feed().trouble().map(|(trouble, _)| trouble.code());
        let word = trouble.unwrap_or_else(|| door::state_word(&camera.feed().state()));
        let (answers, out) = camera.feed().pulse(|pulse, now| (pulse.ping_ms().is_some(), pulse.is_out(now)));
        (camera.id().clone(), word, camera.picture(), answers, out)
    };
    Gist(shared.cameras().iter().map(row).collect())
}

/// What is reported now, and how far outages are in it.
fn report(shared: &Shared, time: &Time) -> (Report, Marks) {
    let status = shared.cloud().status();
    let (mut marks, mut room) = (Marks::new(), OUTAGES);
    let cameras = door::camera_views(shared)
        .into_iter()
        .filter_map(|view| {
            let id = CameraId::new(&view.id).ok()?;
            let camera = shared.camera(&view.id)?;
            let report = CameraReport {
                stream: camera.picture(),
                id,
                name: view.name,
                state: view.state,
                fps: view.facts.fps as f32,
                bit_rate: view.facts.bit_rate,
                last_frame_age_ms: None,
                keyframe_age_ms: None,
                latency_ms: None,
                ping_ms: None,
                outages: Vec::new(),
            };
            let (told, mark) = camera.feed().measure(report, room);
            room -= told.outages.len();
            marks.push((camera, mark));
            Some(told)
        })
        .collect();
    let report = Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: shared.uptime().as_secs(),
        time_ms: u64::try_from(time.now().as_millis()).unwrap_or(u64::MAX),
        cameras,
        uplink: Uplink {
            via: status.tunnel.map(|tunnel| tunnel.via).unwrap_or_default(),
            sent_bit_rate: status.uplink.sent_bit_rate,
            short: status.uplink.short,
            cap_bit_rate: status.uplink.cap_bit_rate,
        },
        findable: shared.whereabouts().findable(),
    };
    (report, marks)
}

/// Takes what the cloud answered.
fn take(shared: &Shared, time: &Time, answer: Answer) {
    time.told(Duration::from_millis(answer.time_ms));
    shared.cloud().update(|status| {
        status.links = answer
            .cameras
            .into_iter()
            // A link is shown and opened: it must be one.
            .filter(|link| {
                url::Url::parse(&link.url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"))
            })
            .map(|link| (link.id.clone(), link))
            .collect();
    });
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn send(report: &Report, handle: &Handle, inner: Ipv4Addr) -> Result<Answer, Failure> {
    let body = serde_json::to_vec(report)?;
    let stream = connect(handle, SocketAddr::from((inner, PORT))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/box/v1/status")
        .header(HOST, inner.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST).collect().await?.to_bytes();
        if !status.is_success() {
            return Err(Failure::from(format!("status {status}")));
        }
        Ok(serde_json::from_slice(&body)?)
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

/// A connection inside the tunnel.
async fn connect(handle: &Handle, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::from_std_stream(StdTcpStream::from(handle.tcp_socket()?));
    socket.connect(to).await
}

#[cfg(test)]
mod tests {
    use media::Stream;
    use model::status::CameraLink;
    use model::{CameraState, Trouble};

    use super::*;
    use crate::cloud::files::tests::Scratch;
    use crate::cloud::time::tests::Fake;
    use crate::cloud::view::Cloud;
    use feed::Feed;

    fn shared() -> Shared {
        let shared = Shared::new(Cloud::new(None, Some(5)));
        let feed = Feed::new(Stream::new(media::Options::default(), 1));
        shared.add(CameraId::new("gate").unwrap(), None, feed).unwrap();
        shared
    }

    #[test]
    fn a_change_of_state_is_worth_a_report_and_each_further_try_is_not() {
        let shared = shared();
        let gate = shared.camera("gate").unwrap();
        let connecting = gist(&shared);
        let trouble = Trouble::Unreachable { address: "10.0.0.7:554".into() };
        gate.feed().set_state(CameraState::Waiting { trouble: trouble.clone(), retry_in_ms: 500 });
        let waiting = gist(&shared);
        assert_ne!(connecting, waiting);
        gate.feed().set_state(CameraState::Connecting);
        gate.feed().set_state(CameraState::Waiting { trouble, retry_in_ms: 900 });
        assert_eq!(gist(&shared), waiting);
        gate.set_picture(Picture::Sub);
        assert_ne!(gist(&shared), waiting);
    }

    #[test]
    fn a_camera_whose_port_stops_answering_is_worth_a_report() {
        let shared = shared();
        let gate = shared.camera("gate").unwrap();
        gate.feed().pulse(|pulse, _| pulse.set_ping(Some(3)));
        let answering = gist(&shared);
        gate.feed().pulse(|pulse, _| pulse.set_ping(Some(250)));
        assert_eq!(gist(&shared), answering, "a slower answer is an answer");
        gate.feed().pulse(|pulse, _| pulse.set_ping(None));
        assert_ne!(gist(&shared), answering);
    }

    #[test]
    fn a_report_tells_each_camera_and_its_answer_gives_the_links_and_the_time() {
        let scratch = Scratch::new("report");
        let clock = Fake::at(4_000_000_000);
        let time = Time::open(scratch.files(), Box::new(clock));
        let shared = shared();
        shared.camera("gate").unwrap().set_picture(Picture::Sub);
        let (told, _) = report(&shared, &time);
        assert_eq!(told.time_ms, 4_000_000_000_000);
        assert_eq!((told.cameras[0].id.as_str(), told.cameras[0].stream), ("gate", Picture::Sub));
        assert_eq!(told.uplink.cap_bit_rate, Some(5));

        let link = |id: &str, url: &str, on| CameraLink {
            id: CameraId::new(id).unwrap(),
            public_id: CameraId::new("abcdefghijklmnopqrstuvwxyz").unwrap(),
            url: url.to_owned(),
            on,
        };
        let cameras = vec![
            link("gate", "https://video.example.org/x/", true),
            link("hall", "https://video.example.org/y/", false),
            link("yard", "javascript:alert(1)", true),
        ];
        take(&shared, &time, Answer { time_ms: 4_000_000_100_000, cameras, hubs: Vec::new() });
        let public = |id: &str| shared.cloud().link(&CameraId::new(id).unwrap());
        assert_eq!(public("gate").as_deref(), Some("https://video.example.org/x/"));
        assert_eq!(public("hall"), None, "switched off");
        assert_eq!(public("yard"), None, "no link that a page may open");
        assert_eq!(time.now(), Duration::from_secs(4_000_000_100));
    }
}
