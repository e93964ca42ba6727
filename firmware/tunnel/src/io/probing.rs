//! Runs a [`Probe`] beside the traffic: its echoes go to the peer as packets of any size, past the device's MTU.

use std::net::Ipv4Addr;
use std::time::Instant;

use crate::keys::PublicKey;
use crate::mtu::Probe;
use crate::peers::{PeerSet, Remote};

/// A probe, and the path that it looked at.
pub(super) struct Probing {
    probe: Probe,
    peer: PublicKey,
    remote: Option<Remote>,
    /// Bytes that had gone either way when an echo was last sent.
    carried: u64,
}

/// After so many bytes it is worth a large echo to know that large packets still arrive.
const WORTH: u64 = 64 << 10;

impl Probing {
    pub(super) fn new(peer: PublicKey, own: Ipv4Addr, inner: Ipv4Addr, now: Instant) -> Self {
        // The interface has no other user who could choose the same number.
        let identifier = u16::from_be_bytes([own.octets()[2], own.octets()[3]]);
        Self { probe: Probe::new(own, inner, identifier, now), peer, remote: None, carried: 0 }
    }

    pub(super) fn mtu(&self) -> u16 {
        self.probe.mtu()
    }

    /// See [`Probe::answer`].
    #[expect(clippy::option_option, reason = "as there")]
    pub(super) fn answer(&mut self, ip: &[u8], now: Instant) -> Option<Option<u16>> {
        self.probe.answer(ip, now)
    }

    /// Gives the MTU to set, and packets for the peer. A peer that moved is on another path.
    pub(super) fn tick(&mut self, peers: &PeerSet, now: Instant) -> (Option<u16>, Vec<Vec<u8>>) {
        let mut echoes = Vec::new();
        let Some(status) = peers.peer(&self.peer, now).filter(|peer| peer.last_handshake.is_some()) else {
            return (None, echoes);
        };
        let moved = status.remote != self.remote;
        self.remote = status.remote;
        let restarted = moved.then(|| self.probe.restart(now));
        let carried = status.rx_bytes + status.tx_bytes;
        let busy = carried.abs_diff(self.carried) >= WORTH;
        let mtu = self.probe.poll(now, busy, &mut |echo: &[u8]| echoes.push(echo.to_vec()));
        if !echoes.is_empty() {
            self.carried = carried;
        }
        (mtu.or(restarted), echoes)
    }
}
