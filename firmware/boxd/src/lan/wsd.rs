//! WS-Discovery on one link: two probes a round, and a Resolve for a device that announced itself without addresses.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use discovery::{
    Kind, MAX_DATAGRAM,
    wsd::{self, Wanted},
};

use super::{
    found::Found,
    group::{Group, Heard, converse},
    interfaces::Link,
};

const GROUP: Group =
    // SOAP-over-UDP section 3.4 and appendix I: one hop.
    Group {
        name: "WS-Discovery",
        address: wsd::GROUP,
        port: wsd::PORT,
        ttl: 1,
        max_message: MAX_DATAGRAM,
        own_port: false,
        broadcast: false,
    };

pub(super) async fn run(link: Link, found: Arc<Found>) {
    let ask = || [Wanted::Device, Wanted::Transmitter].map(|wanted| wsd::probe(wanted, fresh())).to_vec();
    converse(GROUP, &link, &found, ask, |bytes, from| {
        let answers = wsd::read(bytes, from).unwrap_or_default();
        let silent = answers.iter().filter(|answer| answer.kind == Kind::Alive && answer.onvif.is_empty());
        let unresolved = silent.filter_map(|answer| answer.endpoint.as_deref());
        let follow_ups = unresolved.map(|endpoint| wsd::resolve(endpoint, fresh())).collect();
        Heard { answers, follow_ups }
    })
    .await;
}

/// Sixteen bytes that were not used before. Message ids must differ, they need not be secret, so the keys that the
/// standard library draws from the kernel for its hash maps are good enough.
pub(super) fn fresh() -> [u8; 16] {
    let half = |which: u8| u128::from(RandomState::new().hash_one(which));
    (half(0) << 64 | half(1)).to_be_bytes()
}
