//! Figures for Prometheus (OpenMetrics text). They name no box, camera, owner or viewer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::body::Body;
use hyper::{Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::reply;
use crate::store::{BoxState, Store};

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// What `source` counts, and whatever else was put into `registry`.
    pub fn new(mut registry: Registry, source: Source) -> Self {
        registry.register_collector(Box::new(source));
        Self(registry)
    }

    pub(super) fn answer(&self) -> Response<Body> {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.0).is_err() {
            return reply::text(StatusCode::INTERNAL_SERVER_ERROR, "The figures cannot be written down.\n");
        }
        reply::typed("application/openmetrics-text; version=1.0.0; charset=utf-8", text)
    }
}

/// What the front itself knows.
#[derive(Debug, Clone)]
pub struct Source {
    /// Boxes and cameras.
    pub store: Store,
    /// Connections and requests.
    pub door: Arc<door::Counters>,
}

impl Collector for Source {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let directory = self.store.directory().borrow().clone();
        let boxes = |state| directory.boxes().filter(|row| row.state == state).count() as f64;
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let gauges = [
            ("store_up", "1 while the database answers", f64::from(u8::from(self.store.up()))),
            ("boxes_active", "Boxes that may come in", boxes(BoxState::Active)),
            ("boxes_released", "Boxes that anybody may claim", boxes(BoxState::Released)),
            ("boxes_revoked", "Boxes that are refused", boxes(BoxState::Revoked)),
            ("cameras", "Cameras that boxes have reported", directory.cameras().count() as f64),
            (
                "clouds",
                "Clouds that share the database and live, this one included",
                directory.alive().len().max(1) as f64,
            ),
            ("connections_open", "Connections open now", read(&self.door.open) as f64),
        ];
        for (name, help, value) in gauges {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        let counters = [
            ("connections", "Connections taken", read(&self.door.accepted)),
            ("connections_refused", "Connections closed for there were too many", read(&self.door.refused)),
            ("requests", "Requests answered", read(&self.door.requests)),
            ("sent_bytes", "Bytes of bodies handed to connections", read(&self.door.bytes)),
        ];
        for (name, help, value) in counters {
            let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(counter)?;
        }
        Ok(())
    }
}

/// Whether something works, as far as the last try has shown.
#[derive(Debug)]
pub(crate) struct Up(AtomicBool);

impl Default for Up {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Up {
    /// Notes it; true when it is news.
    pub(crate) fn set(&self, up: bool) -> bool {
        self.0.swap(up, Ordering::Relaxed) != up
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
