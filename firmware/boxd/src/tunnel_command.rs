//! `boxd tunnel --config wg0.conf`: any standard WireGuard server, from a wg-quick file. The interface lives in the current
//! network namespace, under the file's name, until a signal ends the program.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tunnel::io::{Handle, Namespace, Options, Tunnel};
use tunnel::peers::{Peer, Remote};
use tunnel::quick::{Endpoint, Quick, QuickPeer};

/// Bytes of the largest packet where the file says nothing: what fits an Ethernet path, as wg-quick assumes.
const MTU: u16 = 1420;
/// Handshakes per second beyond which cookies are asked for.
const HANDSHAKES_PER_SECOND: u64 = 100;
/// How often endpoints given by name are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// A session that was not renewed for so long is dead: REJECT_AFTER_TIME (WireGuard paper section 6.1).
const DEAD: Duration = Duration::from_secs(180);
/// The longest name of an interface.
const NAME: usize = 15;

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(file: &Path) -> Result<()> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let quick = Quick::parse(&shown, &text)?;
    let interface = interface(file)?;
    for (line, key) in &quick.ignored {
        tracing::warn!("{shown}:{line}: {key} has no effect here: set it on this machine where you want it");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&quick, interface))
}

/// The file's name without its ending, as with wg-quick.
fn interface(file: &Path) -> Result<String> {
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let fits = (1..=NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_=+.-".contains(&byte));
    anyhow::ensure!(
        fits,
        "the file names the interface: call it like wg0.conf, 1 to 15 letters or digits before the dot"
    );
    Ok(name.to_owned())
}

async fn serve(quick: &Quick, interface: String) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let any = |port| SocketAddr::from(([0_u16; 8], port));
    let tunnel = Tunnel::start(Options {
        private: quick.private.clone(),
        addresses: quick.addresses.clone(),
        mtu: quick.mtu.unwrap_or(MTU),
        listen: quick.listen_port.map(any),
        handshakes_per_second: HANDSHAKES_PER_SECOND,
        interface: interface.clone(),
        namespace: Namespace::Current,
    })?;
    let handle = tunnel.handle();
    // Names are looked up before anything is sent elsewhere: the way to whoever knows them may lead into the tunnel.
    let mut outside = Vec::new();
    for peer in &quick.peers {
        let remote = resolved(peer.endpoint.as_ref()).await;
        if let Some(Remote::Udp(address)) = remote {
            outside.push(address.ip().to_canonical());
        }
        handle.put(Peer {
            public: peer.public,
            preshared: peer.preshared.clone(),
            allowed: peer.allowed.clone(),
            remote,
            keepalive_s: peer.keepalive_s,
        });
    }
    let mut everything = false;
    for network in quick.peers.iter().flat_map(|peer| &peer.allowed) {
        let around = network.prefix == 0 || outside.iter().any(|address| network.contains(*address));
        let added = if around { handle.add_route_around(*network) } else { handle.add_route(*network) };
        added.with_context(|| {
            format!(
                "cannot send {network} into {interface}: see `ip route show table all` for who has it already"
            )
        })?;
        everything |= around;
    }
    if everything {
        strict_filters();
    }
    tracing::info!(
        port = handle.local_port(),
        peers = quick.peers.len(),
        "the tunnel {interface} is up; Ctrl-C ends it"
    );
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = look.tick() => follow(quick, &handle).await,
        }
    }
    tracing::info!("the tunnel {interface} is down");
    Ok(())
}

/// Says which interfaces would drop the server's datagrams, because answers to them would go into the tunnel.
fn strict_filters() {
    let Ok(interfaces) = std::fs::read_dir("/proc/sys/net/ipv4/conf") else { return };
    let strict = |entry: &std::fs::DirEntry| {
        std::fs::read_to_string(entry.path().join("rp_filter")).is_ok_and(|value| value.trim() == "1")
    };
    for entry in interfaces.flatten().filter(strict) {
        let name = entry.file_name().to_string_lossy().into_owned();
        tracing::warn!(
            "a strict reverse-path filter may drop what the server sends: set net.ipv4.conf.{name}.rp_filter to 2"
        );
    }
}

/// Looks up again the names of peers that are not heard any more: a server may have moved.
async fn follow(quick: &Quick, handle: &Handle) {
    let lost = |peer: &&QuickPeer| {
        let status = handle.peer(&peer.public);
        status.is_none_or(|status| status.last_received.is_none_or(|silent| silent > DEAD))
    };
    for peer in quick.peers.iter().filter(lost) {
        if let Some(remote) = resolved(peer.endpoint.as_ref()).await
            && handle.peer(&peer.public).is_none_or(|status| status.remote != Some(remote))
        {
            tracing::info!(peer = %peer.public, "the peer is now looked for elsewhere");
            handle.set_remote(&peer.public, remote);
        }
    }
}

async fn resolved(endpoint: Option<&Endpoint>) -> Option<Remote> {
    let Endpoint { host, port } = endpoint?;
    match tokio::net::lookup_host((host.as_str(), *port)).await {
        Ok(mut addresses) => addresses.next().map(Remote::Udp),
        Err(error) => {
            tracing::warn!("cannot find the endpoint {host}: {error}; trying again");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_the_interface() {
        assert_eq!(interface(Path::new("/etc/wireguard/wg0.conf")).unwrap(), "wg0");
        for wrong in ["/etc/wireguard/a name.conf", "/a-name-that-is-too-long.conf", "/"] {
            assert!(interface(Path::new(wrong)).unwrap_err().to_string().contains("wg0.conf"), "{wrong}");
        }
    }
}
