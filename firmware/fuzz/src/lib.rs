//! Fuzz targets: each takes any bytes that a hostile camera or LAN peer could send, and must neither panic nor hang.
//!
//! `cargo xtask fuzz NAME` runs one under libFuzzer (nightly); `tests/replay.rs` runs each over its committed corpus on
//! stable Rust. A crash found by fuzzing goes into `corpus/NAME/` under a name that says what it was.

use camera::onvif::{message, xml};
use camera::session::message::Response;
use camera::session::sdp;
use camera::wire;

/// A target takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: &[(&str, Target)] =
    &[("discovery_answer", discovery_answer), ("soap", soap), ("sdp", sdp), ("wire", wire), ("nal", nal)];

/// A datagram or RTSP answer during discovery, read as every protocol and merged.
pub fn discovery_answer(data: &[u8]) {
    let devices = discovery::read_as_all(data);
    assert!(devices <= discovery::MAX_DEVICES);
}

/// An answer of an ONVIF service.
pub fn soap(data: &[u8]) {
    if let Ok(reply) = message::reply(data) {
        drop(reply);
    }
    if let Ok(root) = xml::Element::read(data) {
        let _ = message::clock(&root);
        let _ = message::media_services(&root);
        let _ = message::profiles(&root, false);
        let _ = message::profiles(&root, true);
        let _ = message::uri(&root);
    }
}

/// An RTSP response and the session description in it.
pub fn sdp(data: &[u8]) {
    if let Ok(Some(response)) = Response::read(data) {
        let _ = sdp::examine(&response.body);
    }
    let _ = sdp::examine(data);
}

/// What a worker that was taken over could write to the box: frame after frame.
pub fn wire(data: &[u8]) {
    let mut rest = data;
    while let Some((head, after)) = rest.split_first_chunk::<{ wire::HEADER_BYTES }>() {
        let Ok(header) = wire::Header::decode(head) else { return };
        let Some(body) = after.get(..header.body_len()) else { return };
        let _ = wire::decode_source(&header, body);
        let _ = wire::decode_event(&header, body.to_vec().into());
        rest = after.get(header.body_len()..).unwrap_or_default();
    }
}

/// An access unit as length-prefixed NAL units: parameter sets, slice headers, conversion to Annex B, AAC configuration.
pub fn nal(data: &[u8]) {
    let mut annex_b = Vec::new();
    media::nal::write_annex_b(data, &mut annex_b);
    assert_eq!(annex_b.len(), media::nal::annex_b_len(data));
    let (mut h264, mut h265, mut pps) = (None, None, None);
    for unit in media::nal::units(data) {
        h264 = media::h264::Sps::parse(unit).ok().or(h264);
        h265 = media::h265::Sps::parse(unit).ok().or(h265);
        pps = media::h265::Pps::parse(unit).or(pps);
        if let Ok(config) = media::aac::AudioConfig::parse(unit) {
            let _ = (config.codec(), config.adts_header(unit.len()));
        }
    }
    if let Some(sps) = &h264 {
        assert!(sps.facts().width <= media::MAX_SIDE);
        let _ = sps.slice_order(data);
    }
    if let Some((sps, pps)) = h265.as_ref().zip(pps) {
        assert!(sps.facts(&[]).width <= media::MAX_SIDE);
        let _ = (sps.codec(), sps.slice_order(pps, data));
    }
}
