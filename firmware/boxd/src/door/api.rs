//! `/api/v1`: what the pages show, for programs. Described by `openapi.json`, which a test holds to these types.
//!
//! Everything here is a copy taken at the moment of asking; nothing waits.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::{Response, StatusCode};
use model::status::Picture;
use model::{CameraState, Device, Fact, Source};
use serde::Serialize;

use super::snippet;
use super::{Body, reply, update_view};
use crate::cloud;
use crate::state::{Camera, Shared};

/// The description of every route and field, OpenAPI 3.1.
const OPENAPI: &str = include_str!("openapi.json");
const JSON: &str = "application/json";

/// A camera of the box.
#[derive(Debug, Serialize)]
pub(crate) struct CameraView {
    /// First path segment of its links.
    pub(crate) id: String,
    /// What a person calls it: the owner's name for it, else the device's, else maker and model, else the id.
    pub(crate) name: String,
    /// What it is doing.
    pub(crate) state: CameraState,
    /// What stands in the way, in plain words with what to do; null when nothing does.
    pub(crate) sentence: Option<String>,
    /// Since when, milliseconds since 1970 on the box's clock: the trouble if there is one, else the state.
    pub(crate) since_ms: u64,
    /// The box's clock at this answer, milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// Which of its pictures is streamed: `main`, or `sub` (the small one) while the uplink is short.
    pub(crate) picture: Picture,
    /// Why it is not the picture that the owner would expect; null when it is.
    pub(crate) notice: Option<&'static str>,
    /// Where it can be watched.
    pub(crate) links: Links,
    /// What the device says of itself, once it did.
    pub(crate) device: Option<DeviceView>,
    /// Numbers of its stream.
    pub(crate) facts: FactsView,
}

/// Paths on this box.
#[derive(Debug, Serialize)]
pub(crate) struct Links {
    /// The player page: the one link to give away.
    pub(crate) page: String,
    /// Low-latency HLS, fMP4.
    pub(crate) hls: String,
    /// HLS with MPEG-TS segments, for old players.
    pub(crate) ts: String,
    /// The player page for the whole Internet, through the cloud; null without a cloud or while it is switched off.
    pub(crate) public: Option<String>,
}

/// What a device says of itself. Any text may be in it.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceView {
    /// Maker.
    pub(crate) maker: Option<String>,
    /// Model.
    pub(crate) model: Option<String>,
    /// Firmware version.
    pub(crate) firmware: Option<String>,
    /// Names of the profiles that it offers.
    pub(crate) profiles: Vec<String>,
    /// Its clock minus the box's clock, seconds.
    pub(crate) clock_offset_s: Option<i64>,
}

/// Numbers of a stream.
#[derive(Debug, Serialize)]
pub(crate) struct FactsView {
    /// Pictures per second.
    pub(crate) fps: f64,
    /// Bits per second of all tracks.
    pub(crate) bit_rate: u64,
    /// Seconds between the last two keyframes.
    pub(crate) gop_seconds: f64,
    /// Bytes of access units in memory.
    pub(crate) window_bytes: u64,
    /// Bytes that packaging added to them.
    pub(crate) packaged_bytes: u64,
    /// Access units in memory.
    pub(crate) window_units: u64,
    /// Seconds of video in memory.
    pub(crate) window_seconds: f64,
    /// Segments that the playlists list.
    pub(crate) segments: u64,
    /// Access units since the box started.
    pub(crate) units: u64,
    /// Access units before or in which packets were lost, since the box started.
    pub(crate) lost_units: u64,
    /// Access units whose time stamp could not be believed and was replaced, since the box started.
    pub(crate) repaired_stamps: u64,
    /// Access units that no playlist can hold, since the box started.
    pub(crate) dropped_units: u64,
    /// Milliseconds since the last access unit came; null before the first.
    pub(crate) last_unit_age_ms: Option<u64>,
    /// How often the session with the camera ended, since the box started.
    pub(crate) interruptions: u64,
    /// How often the camera's reader process had to be started again.
    pub(crate) worker_restarts: u64,
}

/// A device that discovery heard.
#[derive(Debug, Serialize)]
pub(crate) struct FoundView {
    /// What tells it from others: ONVIF endpoint reference, else its address.
    pub(crate) key: String,
    /// Addresses that answered, best first.
    pub(crate) addresses: Vec<IpAddr>,
    /// The box's network interfaces on which it was heard.
    pub(crate) interfaces: Vec<String>,
    /// Its name and who said so.
    pub(crate) name: Option<Fact<String>>,
    /// Its maker and who said so.
    pub(crate) maker: Option<Fact<String>>,
    /// Its model and who said so.
    pub(crate) model: Option<Fact<String>>,
    /// ONVIF device services.
    pub(crate) onvif: Vec<Fact<String>>,
    /// RTSP addresses.
    pub(crate) rtsp: Vec<Fact<String>>,
    /// Every protocol that spoke of it.
    pub(crate) sources: Vec<Source>,
    /// The id of the camera that is already streamed from it.
    pub(crate) camera: Option<String>,
    /// Lines for box.toml that add it.
    pub(crate) config: String,
}

/// Every error of the API.
#[derive(Debug, Serialize)]
struct ErrorView {
    /// What went wrong, in plain words.
    error: String,
}

/// Answers `/api/v1/{rest}`.
pub(crate) fn answer(shared: &Shared, rest: &str) -> Response<Body> {
    match rest {
        "cameras" => json(StatusCode::OK, &cameras(shared)),
        "devices" => json(StatusCode::OK, &devices(shared)),
        "update" => json(StatusCode::OK, &update_view(shared)),
        "openapi.json" => reply(StatusCode::OK, JSON, OPENAPI),
        _ => match rest.strip_prefix("cameras/") {
            Some(id) => match camera(shared, id) {
                Some(camera) => json(StatusCode::OK, &camera),
                None => error(StatusCode::NOT_FOUND, "This box has no camera of that id."),
            },
            None => error(StatusCode::NOT_FOUND, "The API has no such address: see /api/v1/openapi.json."),
        },
    }
}

/// An error of the API: JSON with one sentence.
pub(crate) fn error(status: StatusCode, sentence: &str) -> Response<Body> {
    json(status, &ErrorView { error: sentence.to_owned() })
}

/// One camera.
pub(crate) fn camera(shared: &Shared, id: &str) -> Option<CameraView> {
    shared.camera(id).map(|camera| view(shared, &camera, &shared.devices(), now()))
}

/// Every camera, in the owner's order.
pub(crate) fn cameras(shared: &Shared) -> Vec<CameraView> {
    let (devices, now) = (shared.devices(), now());
    shared.cameras().iter().map(|camera| view(shared, camera, &devices, now)).collect()
}

/// Every device that discovery knows.
pub(crate) fn devices(shared: &Shared) -> Vec<FoundView> {
    let cameras = shared.cameras();
    let mut taken: Vec<String> = cameras.iter().map(|camera| camera.id().to_string()).collect();
    let mut found: Vec<FoundView> = Vec::new();
    for device in shared.devices() {
        let camera =
            cameras.iter().find(|camera| streams(camera, &device)).map(|camera| camera.id().to_string());
        let (id, config) = snippet::config(&device, &taken);
        taken.push(id);
        found.push(FoundView {
            key: device.key.to_string(),
            addresses: device.addresses,
            interfaces: device.interfaces,
            name: device.name,
            maker: device.maker,
            model: device.model,
            onvif: device.onvif,
            rtsp: device.rtsp,
            sources: device.sources,
            camera,
            config,
        });
    }
    found
}

/// Whether the camera is this device: it was adopted from it, or its stream comes from one of its addresses.
pub(crate) fn streams(camera: &Camera, device: &Device) -> bool {
    if camera.device().is_some_and(|key| *key == device.key) {
        return true;
    }
    let CameraState::Streaming(facts) = camera.feed().state() else { return false };
    let Ok(url) = url::Url::parse(&facts.url) else { return false };
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.is_ok_and(|address| device.addresses.contains(&address))
        && device
            .rtsp
            .iter()
            .all(|fact| url::Url::parse(&fact.value).is_ok_and(|known| port(&known) == port(&url)))
}

/// RTSP's port: 554 unless the address names one.
fn port(url: &url::Url) -> u16 {
    url.port().unwrap_or(554)
}

fn view(shared: &Shared, camera: &Camera, devices: &[Device], now: Duration) -> CameraView {
    let feed = camera.feed();
    let state = feed.state();
    let (sentence, age) = match feed.trouble() {
        Some((trouble, age)) => (Some(trouble.to_string()), age),
        None => (None, feed.state_age()),
    };
    let facts = feed.with(|stream| stream.facts());
    let device = feed.device();
    let id = camera.id().to_string();
    let discovered = devices
        .iter()
        .find(|device| camera.device() == Some(&device.key))
        .and_then(|device| Some(device.name.as_ref()?.value.clone()));
    let said = device.as_ref().and_then(|device| {
        let words = [device.maker.as_deref(), device.model.as_deref()];
        let name = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Some(name).filter(|name| !name.trim().is_empty())
    });
    CameraView {
        name: camera.name().or(discovered).or(said).unwrap_or_else(|| id.clone()),
        state,
        sentence,
        since_ms: millis(now.saturating_sub(age)),
        now_ms: millis(now),
        picture: camera.picture(),
        notice: (camera.picture() == Picture::Sub).then_some(cloud::SHORT),
        links: Links {
            page: format!("/{id}/"),
            hls: format!("/{id}/index.m3u8"),
            ts: format!("/{id}/ts/index.m3u8"),
            public: shared.cloud().link(camera.id()),
        },
        device: device.map(|device| DeviceView {
            maker: device.maker,
            model: device.model,
            firmware: device.firmware,
            profiles: device.profiles,
            clock_offset_s: device.clock_offset_s,
        }),
        facts: FactsView {
            fps: facts.fps,
            bit_rate: facts.bit_rate,
            gop_seconds: facts.gop_seconds,
            window_bytes: facts.window_bytes,
            packaged_bytes: facts.packaged_bytes,
            window_units: facts.window_units,
            window_seconds: facts.window_seconds,
            segments: facts.segments,
            units: facts.units,
            lost_units: feed.lost_units(),
            repaired_stamps: facts.repaired_stamps,
            dropped_units: facts.dropped_units,
            last_unit_age_ms: facts.last_wall_us.map(|at| {
                let at = Duration::from_micros(u64::try_from(at).unwrap_or(0));
                millis(now.saturating_sub(at))
            }),
            interruptions: feed.interruptions(),
            worker_restarts: camera.restarts(),
        },
        id,
    }
}

/// The box's clock, since 1970.
#[allow(clippy::disallowed_methods, reason = "the shell owns the clock")]
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => reply(status, JSON, bytes),
        // None of the types here can fail to serialise: their keys are strings.
        Err(_) => {
            reply(StatusCode::INTERNAL_SERVER_ERROR, JSON, "{\"error\":\"The answer could not be written.\"}")
        }
    }
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
