//! What `/metrics` tells of the cloud. Nothing where no cloud is wanted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use model::status::Picture;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::cloud::Phase;
use crate::state::Shared;

/// Writes them.
pub(super) fn encode(encoder: &mut DescriptorEncoder, shared: &Shared) -> fmt::Result {
    let cloud = shared.cloud();
    let status = cloud.status();
    if matches!(status.phase, Phase::Off) {
        return Ok(());
    }
    let tunnel = status.tunnel.unwrap_or_default();
    let bits_per_second = Unit::Other("bits_per_second".to_owned());
    let mut gauge = |name, help, unit: Option<&Unit>, value: f64| {
        ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
    };
    let is = |yes: bool| f64::from(u8::from(yes));
    gauge(
        "cloud_joined",
        "1 when the box belongs to a cloud",
        None,
        is(matches!(status.phase, Phase::Joined { .. })),
    )?;
    gauge("tunnel_up", "1 while the hub answers", None, is(tunnel.up))?;
    if let Some(since) = tunnel.last_handshake {
        gauge(
            "tunnel_handshake_age",
            "Time since the last handshake",
            Some(&Unit::Seconds),
            since.as_secs_f64(),
        )?;
    }
    gauge(
        "uplink_short",
        "1 while it carries less than what is watched needs",
        None,
        is(status.uplink.short),
    )?;
    gauge(
        "uplink_rate",
        "What went out through the tunnel lately",
        Some(&bits_per_second),
        status.uplink.sent_bit_rate as f64,
    )?;
    if let Some(cap) = status.uplink.cap_bit_rate {
        gauge("uplink_cap", "Most that the owner allows", Some(&bits_per_second), cap as f64)?;
    }
    let mut family =
        encoder.encode_descriptor("tunnel_via", "1 for what carries the tunnel", None, MetricType::Gauge)?;
    for via in ["udp", "tls"] {
        ConstGauge::new(is(tunnel.up && tunnel.via == via)).encode(family.encode_family(&[("via", via)])?)?;
    }
    let mut family = encoder.encode_descriptor(
        "camera_small_picture",
        "1 while its small picture goes out for the uplink's sake",
        None,
        MetricType::Gauge,
    )?;
    for camera in shared.cameras() {
        ConstGauge::new(is(camera.picture() == Picture::Sub))
            .encode(family.encode_family(&[("camera", camera.id().as_str())])?)?;
    }

    let counters = cloud.counters();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let all: [(&str, &str, Option<&Unit>, f64); 8] = [
        ("tunnel_sent", "Bytes of datagrams sent", Some(&Unit::Bytes), tunnel.sent_bytes as f64),
        ("tunnel_received", "Bytes of datagrams received", Some(&Unit::Bytes), tunnel.received_bytes as f64),
        ("tunnel_requests", "Requests through the tunnel", None, read(&counters.requests)),
        ("tunnel_objects", "Media objects asked for through the tunnel", None, read(&counters.objects)),
        (
            "tunnel_media",
            "Bytes of answers through the tunnel",
            Some(&Unit::Bytes),
            read(&counters.media_bytes),
        ),
        ("reports", "Reports that the cloud took", None, read(&counters.reports)),
        ("reports_failed", "Reports that did not reach it", None, read(&counters.reports_failed)),
        (
            "picture_changes",
            "Changes of pictures for the uplink's sake",
            None,
            read(&counters.picture_changes),
        ),
    ];
    for (name, help, unit, value) in all {
        ConstCounter::new(value).encode(encoder.encode_descriptor(
            name,
            help,
            unit,
            MetricType::Counter,
        )?)?;
    }
    Ok(())
}
