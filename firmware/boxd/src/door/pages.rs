//! The pages for people: values of this box in the templates of the `player` room.
//!
//! Every text that comes from outside (device names, errors) goes through [`Escaped`].

use std::fmt::{self, Write as _};

use hyper::Response;
use hyper::header::HeaderMap;
use model::{CameraState, CodecKind, Fact, Source};
use player::{Escaped, INDEX, Player, fill, fnv1a};

use super::api::{self, CameraView, FoundView};
use super::join::{self, JoinView};
use super::{Body, not_found, qr};
use crate::state::Shared;

/// The list of cameras and devices. `setup`: there is a set-up page. `host` is the (checked) Host of the request, for links that can be given away.
pub(crate) fn index(shared: &Shared, setup: bool, host: Option<&str>) -> Response<Body> {
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
    let mut cloud = String::new();
    if setup {
        let card = "<p><a class=\"button\" href=\"/setup/\">Set up</a></p>";
        let _ = item(&mut cloud, "setup", "setup", card);
    }
    let _ = cloud_card(&mut cloud, &join::view(shared));
    page(fill(INDEX, &[("cloud", &cloud), ("cameras", &cameras), ("devices", &devices)]))
}

/// The player of one camera.
pub(crate) fn player(shared: &Shared, id: &str) -> Response<Body> {
    let Some(camera) = api::camera(shared, id) else { return not_found() };
    page(player::player(Player {
        id: &camera.id,
        name: &camera.name,
        sentence: camera.sentence.as_deref(),
        status: &format!("/api/v1/cameras/{}", camera.id),
        list: true,
    }))
}

/// A file under `/assets/`.
pub(crate) fn asset(name: &str, request: &HeaderMap) -> Response<Body> {
    player::asset(name, request).map_or_else(not_found, |response| response.map(Body::from))
}

fn page(html: String) -> Response<Body> {
    player::page(html).map(Body::from)
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
    if let Some(notice) = camera.notice {
        write!(card, "<p class=\"soft\">{notice}</p>")?;
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
    if let Some(public) = &camera.links.public {
        write!(
            card,
            "<p class=\"soft\">From anywhere:</p><div class=\"copy\"><code id=\"public-{id}\">{0}</code>\
             <button data-copy=\"public-{id}\">Copy link</button></div><details><summary>QR code</summary>{1}</details>",
            Escaped(public),
            qr::svg(public).unwrap_or_default()
        )?;
    }
    item(out, "camera", &camera.id, &card)
}

/// The line about the cloud above the list of cameras; nothing when none is wanted and nothing is wrong.
fn cloud_card(out: &mut String, view: &JoinView) -> fmt::Result {
    let mut card = String::new();
    let more = "<p><a class=\"button\" href=\"/setup/#join\">Public links</a></p>";
    match view.state {
        "off" => return Ok(()),
        "code" => {
            write!(
                card,
                "<p><span class=\"state wait\">Not joined yet</span>: a code is waiting.</p>{more}"
            )?;
        }
        "claimed" => {
            write!(card, "<p><span class=\"state wait\">A question is waiting for you.</span></p>{more}")?;
        }
        "joined" => {
            let owner = view.owner.as_deref().unwrap_or_default();
            let (class, words) = match &view.tunnel {
                Some(tunnel) if tunnel.up => ("good", "Online"),
                _ => ("wait", "Connecting"),
            };
            write!(
                card,
                "<p><span class=\"state {class}\">{words}</span> <span class=\"soft\">for {}</span></p>",
                Escaped(owner)
            )?;
            if view.tunnel.as_ref().is_some_and(|tunnel| tunnel.sentence.is_some()) || view.clock.is_some() {
                card.push_str(more);
            }
        }
        _ => card.push_str(more),
    }
    let sentences =
        [&view.sentence, &view.tunnel.as_ref().and_then(|tunnel| tunnel.sentence.clone()), &view.clock];
    for sentence in sentences.into_iter().flatten() {
        write!(card, "<p>{}</p>", Escaped(sentence))?;
    }
    item(out, "cloud", "cloud", &card)
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
        Source::Sadp => "SADP",
        Source::Dhip => "DHIP",
        Source::Neighbour => "network card",
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
