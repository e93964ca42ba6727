//! Multicast DNS on one link: one question a round, and one for each instance that came without its port.
//!
//! Not the crate mdns-sd: it tells which addresses a record claims, never which address answered, and only the
//! latter may be contacted.

use std::sync::Arc;

use discovery::mdns;

use super::{
    found::Found,
    group::{Group, Heard, converse},
    interfaces::Link,
};

const GROUP: Group =
    // RFC 6762 section 11: 255, so that a receiver may check that nothing was routed.
    Group {
        name: "mDNS",
        address: mdns::GROUP,
        port: mdns::PORT,
        ttl: 255,
        max_message: mdns::MAX_MESSAGE,
        own_port: false,
        broadcast: false,
    };

pub(super) async fn run(link: Link, found: Arc<Found>) {
    converse(
        GROUP,
        &link,
        &found,
        || vec![mdns::query()],
        |bytes, from| {
            let heard = mdns::read(bytes, from).unwrap_or_default();
            let follow_ups = heard.unresolved.iter().map(|instance| mdns::follow_up(instance)).collect();
            Heard { answers: heard.answers, follow_ups }
        },
    )
    .await;
}
