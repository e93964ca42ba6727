//! DHIP's search on one link: one question a round, to the group and to everybody. A device in another subnet cannot answer to
//! who asked; it answers the same way.

use std::sync::Arc;

use discovery::dhip;

use super::{
    found::Found,
    group::{Group, Heard, converse},
    interfaces::Link,
};

const GROUP: Group =
    // One hop: a device that is found is on this very wire.
    Group {
        name: "DHIP",
        address: dhip::GROUP,
        port: dhip::PORT,
        ttl: 1,
        max_message: dhip::MAX_MESSAGE,
        own_port: true,
        broadcast: true,
    };

pub(super) async fn run(link: Link, found: Arc<Found>) {
    let ask = || vec![dhip::search()];
    converse(GROUP, &link, &found, ask, |bytes, from| {
        let answer = dhip::read(bytes, from).unwrap_or_default();
        Heard { answers: answer.into_iter().collect(), follow_ups: Vec::new() }
    })
    .await;
}
