//! SADP on one link: one inquiry a round. Most devices answer to the group, so the answers come to the listening socket.

use std::sync::Arc;

use discovery::sadp;

use super::{
    found::Found,
    group::{Group, Heard, converse},
    interfaces::Link,
    wsd::fresh,
};

const GROUP: Group =
    // One hop, as the maker's own tool: a device that is found is on this very wire.
    Group {
        name: "SADP",
        address: sadp::GROUP,
        port: sadp::PORT,
        ttl: 1,
        max_message: sadp::MAX_MESSAGE,
        own_port: true,
        broadcast: false,
    };

pub(super) async fn run(link: Link, found: Arc<Found>) {
    let ask = || vec![sadp::inquiry(fresh())];
    converse(GROUP, &link, &found, ask, |bytes, from| {
        let answer = sadp::read(bytes, from).unwrap_or_default();
        Heard { answers: answer.into_iter().collect(), follow_ups: Vec::new() }
    })
    .await;
}
