//! `/metrics`: the box in OpenMetrics text, as Prometheus reads it. Every name starts with `streambox_`.
//!
//! Nothing is kept for the metrics' sake: each scrape reads what the parts count anyway. Labels are camera ids and
//! fixed words only, so a hostile device cannot add series.

use std::fmt;
use std::sync::atomic::Ordering;

use hyper::{Response, StatusCode};
use model::CameraState;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::api::{self, CameraView};
use super::cloud_metrics as cloud;
use super::{Body, reply};
use crate::state::Shared;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const STATES: [&str; 4] = ["connecting", "streaming", "waiting", "stopped"];

/// All metrics of the box.
pub(crate) fn answer(shared: &Shared) -> Response<Body> {
    let mut registry = Registry::with_prefix("streambox");
    registry.register_collector(Box::new(Scrape(shared.clone())));
    let mut text = String::with_capacity(8192);
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => reply(StatusCode::OK, CONTENT_TYPE, text),
        Err(_) => super::text(StatusCode::INTERNAL_SERVER_ERROR, "The metrics could not be written.\n"),
    }
}

struct Scrape(Shared);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let shared = &self.0;
        box_metrics(encoder, shared)?;
        cloud::encode(encoder, shared)?;
        let cameras: Vec<Row> = shared
            .cameras()
            .iter()
            .filter_map(|camera| {
                Some(Row {
                    view: api::camera(shared, camera.id().as_str())?,
                    trouble: camera.feed().trouble().map(|(trouble, _)| trouble.code()),
                    received: camera.feed().received_bytes(),
                    requests: camera.requests(),
                    worker: camera.worker().and_then(|pid| Process::read(&pid.to_string())),
                })
            })
            .collect();
        camera_metrics(encoder, &cameras)
    }
}

/// How one number is read; `None` where there is none to tell.
type Read = fn(&Row) -> Option<f64>;

/// One camera at the moment of the scrape.
struct Row {
    view: CameraView,
    trouble: Option<&'static str>,
    received: u64,
    requests: u64,
    worker: Option<Process>,
}

fn box_metrics(encoder: &mut DescriptorEncoder, shared: &Shared) -> fmt::Result {
    let family = encoder.encode_descriptor("build", "What runs here", None, MetricType::Gauge)?;
    labelled(family, &[("version", env!("CARGO_PKG_VERSION"))], 1.0)?;
    let mut gauge = |name, help, unit: Option<&Unit>, value: f64| {
        ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
    };
    let door = shared.door();
    gauge(
        "uptime",
        "How long the box has been running",
        Some(&Unit::Seconds),
        shared.uptime().as_secs_f64(),
    )?;
    gauge("devices", "Devices that discovery knows", None, shared.devices().len() as f64)?;
    gauge("connections_open", "Connections open now", None, door.open.load(Ordering::Relaxed) as f64)?;
    let own = Process::read("self");
    if let Some(own) = &own {
        gauge(
            "process_resident",
            "Resident memory of the front door",
            Some(&Unit::Bytes),
            own.resident_bytes as f64,
        )?;
        gauge("process_open_files", "Open files of the front door", None, open_files() as f64)?;
    }
    let mut counter = |name, help, unit: Option<&Unit>, value: f64| {
        ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Counter)?)
    };
    if let Some(own) = &own {
        counter("process_cpu", "CPU time of the front door", Some(&Unit::Seconds), own.cpu_seconds)?;
    }
    counter("connections_accepted", "Connections taken", None, door.accepted.load(Ordering::Relaxed) as f64)?;
    counter(
        "connections_refused",
        "Connections over a limit",
        None,
        door.refused.load(Ordering::Relaxed) as f64,
    )?;
    counter("requests", "Requests answered", None, door.requests.load(Ordering::Relaxed) as f64)?;
    counter("sent", "Bytes of answers", Some(&Unit::Bytes), door.bytes.load(Ordering::Relaxed) as f64)
}

fn camera_metrics(encoder: &mut DescriptorEncoder, rows: &[Row]) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "camera_state",
        "1 for the state that the camera is in",
        None,
        MetricType::Gauge,
    )?;
    for row in rows {
        let now = state_word(&row.view.state);
        for state in STATES {
            let labels = [("camera", row.view.id.as_str()), ("state", state)];
            ConstGauge::new(i64::from(state == now)).encode(family.encode_family(&labels)?)?;
        }
    }
    let mut family = encoder.encode_descriptor(
        "camera_trouble",
        "1 for what stands in the way",
        None,
        MetricType::Gauge,
    )?;
    for row in rows {
        if let Some(trouble) = row.trouble {
            let labels = [("camera", row.view.id.as_str()), ("trouble", trouble)];
            ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
        }
    }

    let bits_per_second = Unit::Other("bits_per_second".to_owned());
    let gauges: [(&str, &str, Option<&Unit>, Read); 9] = [
        ("fps", "Pictures per second", None, |row| Some(row.view.facts.fps)),
        ("rate", "Bit rate of all tracks", Some(&bits_per_second), |row| {
            Some(row.view.facts.bit_rate as f64)
        }),
        ("gop", "Time between the last two keyframes", Some(&Unit::Seconds), |row| {
            Some(row.view.facts.gop_seconds)
        }),
        ("window", "Video in memory", Some(&Unit::Seconds), |row| Some(row.view.facts.window_seconds)),
        ("window_media", "Access units in memory", Some(&Unit::Bytes), |row| {
            Some(row.view.facts.window_bytes as f64)
        }),
        ("window_packaging", "What packaging added to them", Some(&Unit::Bytes), |row| {
            Some(row.view.facts.packaged_bytes as f64)
        }),
        ("last_unit_age", "Time since the last access unit came", Some(&Unit::Seconds), |row| {
            row.view.facts.last_unit_age_ms.map(|age| age as f64 / 1000.0)
        }),
        ("window_segments", "Segments that the playlists list", None, |row| {
            Some(row.view.facts.segments as f64)
        }),
        ("worker_resident", "Resident memory of the camera's reader", Some(&Unit::Bytes), |row| {
            row.worker.as_ref().map(|worker| worker.resident_bytes as f64)
        }),
    ];
    for (name, help, unit, read) in gauges {
        let name = format!("camera_{name}");
        let mut family = encoder.encode_descriptor(&name, help, unit, MetricType::Gauge)?;
        for row in rows {
            if let Some(value) = read(row) {
                ConstGauge::new(value).encode(family.encode_family(&[("camera", row.view.id.as_str())])?)?;
            }
        }
    }
    let counters: [(&str, &str, Option<&Unit>, Read); 9] = [
        ("units", "Access units received", None, |row| Some(row.view.facts.units as f64)),
        ("received", "Bytes of access units received", Some(&Unit::Bytes), |row| Some(row.received as f64)),
        ("lost_units", "Access units with packets lost before or in them", None, |row| {
            Some(row.view.facts.lost_units as f64)
        }),
        ("repaired_stamps", "Time stamps that were replaced", None, |row| {
            Some(row.view.facts.repaired_stamps as f64)
        }),
        ("dropped_units", "Access units that no playlist can hold", None, |row| {
            Some(row.view.facts.dropped_units as f64)
        }),
        ("interruptions", "Sessions with the camera that ended", None, |row| {
            Some(row.view.facts.interruptions as f64)
        }),
        ("worker_restarts", "Starts of the reader after its first", None, |row| {
            Some(row.view.facts.worker_restarts as f64)
        }),
        ("requests", "Viewers' requests", None, |row| Some(row.requests as f64)),
        ("worker_cpu", "CPU time of the camera's present reader", Some(&Unit::Seconds), |row| {
            row.worker.as_ref().map(|worker| worker.cpu_seconds)
        }),
    ];
    for (name, help, unit, read) in counters {
        let name = format!("camera_{name}");
        let mut family = encoder.encode_descriptor(&name, help, unit, MetricType::Counter)?;
        for row in rows {
            if let Some(value) = read(row) {
                ConstCounter::new(value)
                    .encode(family.encode_family(&[("camera", row.view.id.as_str())])?)?;
            }
        }
    }
    Ok(())
}

/// A camera's state in one word.
pub(crate) const fn state_word(state: &CameraState) -> &'static str {
    match state {
        CameraState::Connecting => "connecting",
        CameraState::Streaming(_) => "streaming",
        CameraState::Waiting { .. } => "waiting",
        CameraState::Stopped { .. } => "stopped",
    }
}

fn labelled(mut family: MetricEncoder<'_>, labels: &[(&str, &str)], value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(family.encode_family(&labels)?)
}

/// What the kernel says of a process (proc(5)).
struct Process {
    resident_bytes: u64,
    cpu_seconds: f64,
}

impl Process {
    /// Of this process id, or of `self`; `None` when it is gone.
    fn read(pid: &str) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&status, &stat)
    }

    fn parse(status: &str, stat: &str) -> Option<Self> {
        /// Clock ticks per second in /proc: USER_HZ is 100 on every Linux that the box runs on.
        const USER_HZ: f64 = 100.0;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
        // The second field is the process's name in parentheses and may hold anything. utime and stime are fields
        // 14 and 15.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self { resident_bytes: kibibytes * 1024, cpu_seconds: (user + system) as f64 / USER_HZ })
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
