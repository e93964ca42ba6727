//! The pages for people, and their files.
//!
//! Every text that comes from outside (device names, errors) goes through [`Escaped`]; templates are filled in one
//! pass, so that a value is never taken for a placeholder.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use model::{CameraState, CodecKind, Fact, Source};

use super::api::{self, CameraView, FoundView};
use super::{Body, not_found, reply};
use crate::state::Shared;

const INDEX: &str = include_str!(concat!(env!("OUT_DIR"), "/index.html"));
const PLAYER: &str = include_str!(concat!(env!("OUT_DIR"), "/player.html"));
const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Scripts, styles and media come from this box only; nothing is inline. hls.js feeds the picture through `blob:`.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'";

/// A file of the pages, under a name that changes with its content.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    etag: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

/// The list of cameras and devices. `host` is the (checked) Host of the request, for links that can be given away.
pub(crate) fn index(shared: &Shared, host: Option<&str>) -> Response<Body> {
    let mut cameras = String::new();
    for camera in api::cameras(shared) {
        let _ = camera_card(&mut cameras, &camera, host);
    }
    if cameras.is_empty() {
        cameras.push_str(
            "<li class=\"empty\" id=\"no-camera\" data-digest=\"\">No camera yet. Add one below to box.toml, or a \
             [[camera]] with its address, and restart the box.</li>",
        );
    }
    let mut devices = String::new();
    for device in api::devices(shared) {
        let _ = device_card(&mut devices, &device);
    }
    if devices.is_empty() {
        devices.push_str(
            "<li class=\"empty\" id=\"no-device\" data-digest=\"\">Nothing found yet: the search goes on.</li>",
        );
    }
    page(fill(INDEX, &[("cameras", &cameras), ("devices", &devices)]))
}

/// The player of one camera.
pub(crate) fn player(shared: &Shared, id: &str) -> Response<Body> {
    let Some(camera) = api::camera(shared, id) else { return not_found() };
    let sentence = camera.sentence.as_deref().unwrap_or_default();
    let values = [
        ("id", Escaped(&camera.id).to_string()),
        ("name", Escaped(&camera.name).to_string()),
        ("sentence", Escaped(sentence).to_string()),
        ("hidden", if sentence.is_empty() { "hidden" } else { "" }.to_owned()),
    ];
    page(fill(PLAYER, &values.each_ref().map(|(name, value)| (*name, value.as_str()))))
}

/// A file under `/assets/`.
pub(crate) fn asset(name: &str, request: &HeaderMap) -> Response<Body> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else { return not_found() };
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = known
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag));
    let gzip = accepts_gzip(request);
    let mut response = if fresh {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        reply(
            StatusCode::OK,
            asset.content_type,
            Bytes::from_static(if gzip { asset.gzip } else { asset.plain }),
        )
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::ETAG, HeaderValue::from_static(asset.etag));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if gzip && !fresh {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether gzip is welcome (RFC 9110, 12.5.3); `q=0` forbids it.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let lists = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0))
        });
        named && !refused
    })
}

fn page(html: String) -> Response<Body> {
    let mut response = reply(StatusCode::OK, "text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Puts values in the place of `{{name}}`, in one pass. An unknown placeholder becomes nothing.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page =
        String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        page.push_str(before);
        page.extend(values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// One card of the list of cameras.
fn camera_card(out: &mut String, camera: &CameraView, host: Option<&str>) -> fmt::Result {
    let mut card = String::new();
    let (class, words) = match &camera.state {
        _ if camera.sentence.is_some() => ("bad", "Trouble"),
        CameraState::Streaming(_) => ("good", "Live"),
        _ => ("wait", "Connecting"),
    };
    let (id, name) = (Escaped(&camera.id), Escaped(&camera.name));
    write!(card, "<h3>{name}</h3><p><span class=\"state {class}\">{words}</span>")?;
    if camera.name != camera.id {
        write!(card, " <span class=\"soft\">{id}</span>")?;
    }
    card.push_str("</p>");
    if let Some(sentence) = &camera.sentence {
        write!(card, "<p>{}</p>", Escaped(sentence))?;
    }
    if let CameraState::Streaming(stream) = &camera.state {
        let (width, height) = stream.size;
        let fps = camera.facts.fps.round();
        let rate = camera.facts.bit_rate as f64 / 1e6;
        write!(
            card,
            "<p class=\"soft\">{} {width}×{height}, {fps:.0} pictures/s, {rate:.1} Mbit/s",
            codec(stream.video)
        )?;
        if let Some(audio) = stream.audio {
            write!(card, ", sound {}", codec(audio))?;
        }
        card.push_str("</p>");
        for note in &stream.notes {
            write!(card, "<p class=\"soft\">{}</p>", Escaped(note))?;
        }
    }
    let link = match host {
        Some(host) => format!("http://{host}{}", camera.links.page),
        None => camera.links.page.clone(),
    };
    write!(card, "<a class=\"button\" href=\"{}\">Watch</a>", Escaped(&camera.links.page))?;
    write!(
        card,
        "<div class=\"copy\"><code id=\"link-{id}\">{}</code><button data-copy=\"link-{id}\">Copy link</button></div>",
        Escaped(&link)
    )?;
    item(out, "camera", &camera.id, &card)
}

/// One card of the list of discovered devices.
fn device_card(out: &mut String, device: &FoundView) -> fmt::Result {
    let mut card = String::new();
    let address = device.addresses.first().map(ToString::to_string).unwrap_or_default();
    let text = |fact: &Option<Fact<String>>| fact.as_ref().map(|fact| fact.value.clone()).unwrap_or_default();
    let (name, maker, model) = (text(&device.name), text(&device.maker), text(&device.model));
    let title = [&name, &model, &maker, &address].into_iter().find(|text| !text.trim().is_empty());
    write!(card, "<h3>{}</h3>", Escaped(title.map_or("?", String::as_str)))?;
    let made = [maker, model].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    if !made.is_empty() {
        write!(card, "<p>{}</p>", Escaped(&made))?;
    }
    let addresses = device.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let sources = device.sources.iter().map(|source| source_name(*source)).collect::<Vec<_>>().join(", ");
    write!(card, "<p class=\"soft\">{} · found by {sources}</p>", Escaped(&addresses))?;
    if let Some(camera) = &device.camera {
        let camera = Escaped(camera);
        write!(
            card,
            "<p><span class=\"state good\">Added</span> as <a href=\"/{camera}/\">{camera}</a></p>"
        )?;
    } else {
        let id = item_id("config", &device.key);
        write!(
            card,
            "<details><summary>Add to box.toml</summary><pre id=\"{id}\">{}</pre><p class=\"soft\">Fill in the \
             camera's own user and password, then restart the box.</p><button data-copy=\"{id}\">Copy lines</button></details>",
            Escaped(&device.config)
        )?;
    }
    item(out, "device", &device.key, &card)
}

/// A list item whose digest changes with its content.
fn item(out: &mut String, kind: &str, key: &str, card: &str) -> fmt::Result {
    write!(out, "<li id=\"{}\" data-digest=\"{:x}\">{card}</li>", item_id(kind, key), fnv1a(card))
}

/// An element id that any key fits into.
fn item_id(kind: &str, key: &str) -> String {
    format!("{kind}-{:x}", fnv1a(key))
}

/// FNV-1a, 64 bits. A device that makes two cards collide only confuses the page of whoever invited it.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

const fn codec(kind: CodecKind) -> &'static str {
    match kind {
        CodecKind::H264 => "H.264",
        CodecKind::H265 => "H.265",
        CodecKind::Aac => "AAC",
    }
}

const fn source_name(source: Source) -> &'static str {
    match source {
        Source::WsDiscovery => "ONVIF",
        Source::Mdns => "mDNS",
        Source::Ssdp => "SSDP",
        Source::RtspSweep => "RTSP search",
    }
}

/// Text that means itself in HTML, in an element and in a quoted attribute. Characters that reorder or hide text
/// are shown as �, so that a device cannot pose as another.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\n' | '\t' => f.write_char(character),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                f.write_char('\u{fffd}')
            }
            control if control.is_control() => f.write_char('\u{fffd}'),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
