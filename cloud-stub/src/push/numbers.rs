//! What the encoders' door counts, for `/metrics`. Labels are fixed words only.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters since the start.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) connections: Counter,
    pub(super) open: Gauge,
    pub(super) publishers: Gauge,
    pub(super) received: Counter,
    pub(super) pictures: Counter,
    ended: Family<[(&'static str, &'static str); 1], Counter>,
}

/// Why a connection was not let in, or ended otherwise than by its encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There were too many.
    Crowded,
    /// No such key.
    Key,
    /// Too many wrong keys from its address.
    Tries,
    /// Another encoder sends for the camera.
    Busy,
    /// No key in time, or its answers were not taken.
    Late,
    /// It broke the protocol, or spoke another one.
    Broken,
    /// Pictures that cannot be passed on.
    Unusable,
    /// No picture for long.
    Silent,
    /// Another encoder took its place, here or at another cloud.
    Replaced,
    /// Its key counts no more.
    TakenBack,
}

impl Numbers {
    pub(super) fn refused(&self, why: Refused) {
        let word = match why {
            Refused::Crowded => "crowded",
            Refused::Key => "key",
            Refused::Tries => "tries",
            Refused::Busy => "busy",
            Refused::Late => "late",
            Refused::Broken => "broken",
            Refused::Unusable => "unusable",
            Refused::Silent => "silent",
            Refused::Replaced => "replaced",
            Refused::TakenBack => "taken_back",
        };
        self.ended.get_or_create(&[("why", word)]).inc();
    }

    /// Puts everything under `rtmp_` into a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("rtmp");
        registry.register("connections", "Connections taken from encoders", self.connections.clone());
        registry.register("connections_open", "Connections of encoders open now", self.open.clone());
        registry.register("publishers", "Encoders that send now", self.publishers.clone());
        registry.register("received_bytes", "Bytes received from encoders", self.received.clone());
        registry.register("pictures", "Pictures received from encoders", self.pictures.clone());
        registry.register("refused", "Connections that the cloud ended, by why", self.ended.clone());
    }
}
