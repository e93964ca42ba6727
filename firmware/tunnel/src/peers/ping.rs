//! Pings: empty packets, which one end may be told to answer (the hub does), so that the other learns within a round trip
//! that both directions work. WireGuard's own keepalive (section 6.5) is never answered, and any peer takes ours for one.

use std::time::{Duration, Instant};

use boringtun::noise::TunnResult;

use super::{Kind, PeerSet, Sink, Slot};
use crate::keys::PublicKey;

impl PeerSet {
    /// Whether each empty packet is answered by another. Two ends that both did so would never stop.
    pub fn answer_pings(&mut self, answer: bool) {
        self.answers_pings = answer;
    }

    /// Sends an empty packet at once, or begins a handshake where there is no session. False when the peer is not known.
    pub fn ping(&mut self, public: &PublicKey, out: &mut impl Sink, now: Instant) -> bool {
        let Some(&at) = self.names.get(public) else { return false };
        let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::as_mut) else { return false };
        slot.ping(&mut self.scratch, out, now);
        true
    }
}

impl Slot {
    /// An empty packet came, perhaps to be answered.
    pub(super) fn pinged(
        &mut self,
        kind: Kind,
        answer: bool,
        scratch: &mut [u8],
        out: &mut impl Sink,
        now: Instant,
    ) {
        if matches!(kind, Kind::Data(_)) {
            self.empty = Some(now);
            if answer {
                self.ping(scratch, out, now);
            }
        }
    }

    pub(super) fn ping(&mut self, scratch: &mut [u8], out: &mut impl Sink, now: Instant) {
        let Some(to) = self.peer.remote else { return };
        let due = if self.tunn.time_since_last_handshake().is_some() {
            self.tunn.encapsulate(&[], scratch)
        } else {
            self.tunn.format_handshake_initiation(scratch, false)
        };
        self.sent = Some(now);
        if let TunnResult::WriteToNetwork(bytes) = due {
            self.tx_bytes += bytes.len() as u64;
            out.datagram(to, bytes);
        }
    }

    /// Since the last empty packet.
    pub(super) fn since_empty(&self, now: Instant) -> Option<Duration> {
        self.empty.map(|then| now.saturating_duration_since(then))
    }
}
