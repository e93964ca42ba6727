//! What the gateway counts, for `/metrics`. Labels are fixed words only.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::shelf::{Failure, Shelf};

/// By what an answer came about, or how a fetch ended.
type ByWord = Family<[(&'static str, &'static str); 1], Counter>;

/// Counters since the start.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    answers: ByWord,
    fetches: ByWord,
    fetched: Counter,
    sent: Counter,
}

/// How the answer to a viewer's request for an object came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// It was at hand.
    Hit,
    /// It was on its way for somebody else.
    Wait,
    /// It was fetched for this request.
    Fetch,
    /// This cloud has it itself.
    Here,
    /// No such link or object name.
    Nothing,
    /// A request that cannot be answered as asked.
    Refused,
}

impl Numbers {
    /// Counts an answer and the bytes of its body.
    pub(super) fn answered(&self, by: By, bytes: u64) {
        let word = match by {
            By::Hit => "hit",
            By::Wait => "wait",
            By::Fetch => "fetch",
            By::Here => "here",
            By::Nothing => "nothing",
            By::Refused => "refused",
        };
        self.answers.get_or_create(&[("by", word)]).inc();
        self.sent.inc_by(bytes);
    }

    /// Counts a fetch that ended.
    pub(super) fn fetched(&self, outcome: Result<u64, Failure>) {
        let word = match outcome {
            Ok(_) => "ok",
            Err(Failure::Unreachable | Failure::Offline) => "unreachable",
            Err(Failure::Broken) => "broken",
            Err(Failure::Late) => "late",
            Err(Failure::TooLarge) => "too_large",
            Err(Failure::Busy) => "busy",
            Err(Failure::Gone) => "gone",
        };
        self.fetches.get_or_create(&[("outcome", word)]).inc();
        self.fetched.inc_by(outcome.unwrap_or(0));
    }

    /// Answers so far that came about this way.
    pub fn answers(&self, by: &'static str) -> u64 {
        self.answers.get_or_create(&[("by", by)]).get()
    }

    /// Fetches so far that ended this way.
    pub fn fetches(&self, outcome: &'static str) -> u64 {
        self.fetches.get_or_create(&[("outcome", outcome)]).get()
    }

    /// Puts everything under `gateway_` into a registry.
    pub(super) fn register(&self, registry: &mut Registry, shelf: &Arc<Shelf>) {
        let registry = registry.sub_registry_with_prefix("gateway");
        registry.register("answers", "Answers to viewers, by how they came about", self.answers.clone());
        registry.register("fetches", "Fetches from boxes, by how they ended", self.fetches.clone());
        registry.register("fetched_bytes", "Bytes of bodies that came from boxes", self.fetched.clone());
        registry.register("sent_bytes", "Bytes of bodies for viewers", self.sent.clone());
        registry.register_collector(Box::new(Kept(shelf.clone())));
    }
}

struct Kept(Arc<Shelf>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl Collector for Kept {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (bytes, objects) = self.0.kept();
        for (name, help, value) in [
            ("gateway_cache_bytes", "Bytes in the cache", bytes),
            ("gateway_cache_objects", "Objects in the cache", objects as u64),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
