//! How long each camera's RTSP port takes to accept a TCP connection, every half minute, whether pictures come or not.
//!
//! Only an address that has given pictures is ever asked: that of the stream that runs or ran last, when its link names
//! one. A host name would have to be resolved anew and might mean another machine: such a camera has no ping. Nothing is
//! sent over the connection, so that no login is seen and no session taken.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use model::{CameraId, CameraState};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use url::{Host, Url};

use crate::state::Shared;

/// Between two pings of one camera.
const EVERY: Duration = Duration::from_secs(30);
/// Looks for a camera that has just begun to stream, which is asked at once.
const LOOK: Duration = Duration::from_secs(1);
/// A port that has not answered by then does not.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks every camera's port, for ever.
pub(crate) async fn keep(shared: Shared) {
    let mut known: BTreeMap<CameraId, (SocketAddr, Instant)> = BTreeMap::new();
    let mut under_way = JoinSet::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        while under_way.try_join_next().is_some() {}
        let now = Instant::now();
        let cameras = shared.cameras();
        known.retain(|id, _| cameras.iter().any(|camera| camera.id() == id));
        for camera in cameras {
            let before = known.get(camera.id()).copied();
            let streams = match camera.feed().state() {
                CameraState::Streaming(facts) => address(&facts.url),
                _ => None,
            };
            let Some(at) = streams.or(before.map(|(at, _)| at)) else { continue };
            let due = before.is_none_or(|(old, due)| old != at || due <= now);
            if due {
                known.insert(camera.id().clone(), (at, now + EVERY));
                under_way.spawn(async move {
                    let ping = ping(at).await;
                    camera.feed().pulse(|pulse, _| pulse.set_ping(ping));
                });
            }
        }
    }
}

/// How long the port took to accept a connection, milliseconds; `None`: it did not.
async fn ping(at: SocketAddr) -> Option<u32> {
    let began = Instant::now();
    let stream = timeout(DEADLINE, TcpStream::connect(at)).await.ok()?.ok()?;
    let took = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    drop(stream);
    Some(took)
}

/// The address of a stream's link, when it is one and no name.
fn address(url: &str) -> Option<SocketAddr> {
    let url = Url::parse(url).ok()?;
    let usual = if url.scheme() == "rtsps" { 322 } else { 554 };
    // The host of a scheme that is not special to the parser is kept as it was written.
    let ip: IpAddr = match url.host()? {
        Host::Ipv4(ip) => ip.into(),
        Host::Ipv6(ip) => ip.into(),
        Host::Domain(text) => text.parse().ok()?,
    };
    Some(SocketAddr::new(ip, url.port().unwrap_or(usual)))
}

#[cfg(test)]
mod tests {
    use feed::Feed;
    use media::Stream;
    use model::{CodecKind, StreamFacts};

    use super::*;
    use crate::cloud::Cloud;

    #[test]
    fn only_an_address_is_asked_and_no_name() {
        let at = |url| address(url).map(|at| at.to_string());
        assert_eq!(at("rtsp://10.0.0.7/main").as_deref(), Some("10.0.0.7:554"));
        assert_eq!(at("rtsps://[fe80::7]:5554/main").as_deref(), Some("[fe80::7]:5554"));
        assert_eq!(at("rtsps://10.0.0.7/").as_deref(), Some("10.0.0.7:322"));
        assert_eq!(at("rtsp://camera.example/main"), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_camera_is_asked_from_its_first_picture_on_also_when_it_has_gone() {
        let shared = Shared::new(Cloud::new(None, None));
        let feed = Feed::new(Stream::new(media::Options::default(), 0));
        let gate = shared.add(CameraId::new("gate").unwrap(), None, feed).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let keeper = tokio::spawn(keep(shared.clone()));
        let answers = || gate.feed().pulse(|pulse, _| pulse.ping_ms());
        let accepted = timeout(Duration::from_millis(1_200), listener.accept()).await;
        assert!(accepted.is_err(), "a camera that has shown nothing is not contacted");
        gate.feed().set_state(CameraState::Streaming(StreamFacts {
            url: format!("rtsp://{at}/main"),
            video: CodecKind::H264,
            size: (16, 16),
            audio: None,
            notes: Vec::new(),
        }));
        timeout(Duration::from_secs(5), listener.accept()).await.expect("asked within a second").unwrap();
        while answers().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(listener);
        assert_eq!(ping(at).await, None, "nobody accepts any more");
        keeper.abort();
    }
}
