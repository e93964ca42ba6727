//! SSDP on one link: one search a round; and the description of each device that has one on its own address, read
//! once in a while, one device at a time, because most devices do not say in a datagram whether they are cameras.

use std::{collections::BTreeMap, net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use discovery::{Answer, MAX_DATAGRAM, ssdp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    sync::mpsc,
    time::{Instant, timeout},
};
use url::Url;

use super::{
    found::Found,
    group::{Group, Heard, converse},
    interfaces::Link,
};

const GROUP: Group =
    // UPnP Device Architecture 1.1 section 1.3.2: 2 hops.
    Group {
        name: "SSDP",
        address: ssdp::GROUP,
        port: ssdp::PORT,
        ttl: 2,
        max_message: ssdp::MAX_MESSAGE,
        own_port: false,
        broadcast: false,
    };

/// How long a description counts before it is read again.
const READ_AGAIN: Duration = Duration::from_secs(600);
/// Most descriptions that are remembered.
const MAX_KNOWN: usize = 256;
/// Longest time that reading one may take.
const DEADLINE: Duration = Duration::from_secs(3);

pub(super) async fn run(link: Link, found: Arc<Found>) {
    // A full queue loses a description until the next round.
    let (wanted, queue) = mpsc::channel(16);
    let talk = converse(
        GROUP,
        &link,
        &found,
        || vec![ssdp::search()],
        |bytes, from| {
            let heard = ssdp::read(bytes, from).unwrap_or_default();
            if let Some(url) = heard.description {
                let _full = wanted.try_send((url, from));
            }
            Heard { answers: heard.answer.into_iter().collect(), follow_ups: Vec::new() }
        },
    );
    tokio::join!(talk, describe(queue, &link, &found));
}

async fn describe(mut queue: mpsc::Receiver<(String, IpAddr)>, link: &Link, found: &Found) {
    let mut known: BTreeMap<String, (Instant, Option<Answer>)> = BTreeMap::new();
    while let Some((url, from)) = queue.recv().await {
        known.retain(|_, (at, _)| at.elapsed() < READ_AGAIN);
        if !known.contains_key(&url) {
            if known.len() >= MAX_KNOWN {
                continue;
            }
            let body = timeout(DEADLINE, get(&url, link)).await.ok().flatten();
            known.insert(url.clone(), (Instant::now(), body.as_deref().and_then(ssdp::read_description)));
        }
        if let Some((_, Some(answer))) = known.get(&url) {
            found.hear(answer.clone(), from, &link.name);
        }
    }
}

/// One plain GET; the URL's host is the address that answered. Redirects are not followed.
async fn get(url: &str, link: &Link) -> Option<Vec<u8>> {
    let url = Url::parse(url).ok()?;
    let address: IpAddr = url.host_str()?.parse().ok()?;
    let port = url.port_or_known_default()?;
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((link.network.own, 0))).ok()?;
    let mut stream = socket.connect(SocketAddr::new(address, port)).await.ok()?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    // HTTP/1.0, so that the body ends with the connection and never comes in chunks.
    let request = format!(
        "GET {}{query} HTTP/1.0\r\nHost: {address}:{port}\r\nUser-Agent: streambox\r\n\r\n",
        url.path()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(MAX_DATAGRAM as u64).read_to_end(&mut answer).await.ok()?;
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let ok = answer.starts_with(b"HTTP/1.") && answer.get(8..12).is_some_and(|code| code == b" 200");
    ok.then(|| answer.split_off(at + 4))
}
