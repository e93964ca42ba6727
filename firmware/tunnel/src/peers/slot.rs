//! One peer: its session, what waits for it, and when it was last heard.

use std::time::{Duration, Instant};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::{Tunn, TunnResult};

use super::{DATA, Kind, PeerStatus, Remote, Sink, Slot};

impl Slot {
    /// Starts without sessions.
    pub(super) fn renew_state(&mut self, tunn: Tunn) {
        self.tunn = tunn;
        self.waiting = 0;
        self.answered = None;
        self.sent = None;
    }

    pub(super) fn authentic(&mut self, bytes: &[u8], now: Instant) {
        self.received = Some(now);
        self.rx_bytes += bytes.len() as u64;
    }

    /// A data message was authentic: this, and nothing else, moves the remote.
    pub(super) fn data(&mut self, kind: Kind, from: Remote, bytes: &[u8], now: Instant) {
        self.authentic(bytes, now);
        if let Kind::Data(index) = kind {
            self.data = Some(now);
            self.peer.remote = Some(from);
            if self.answered == Some(index) {
                self.answered = None;
                self.handshake = Some((now, from));
            }
        }
    }

    /// Sends what waited for a session.
    pub(super) fn flush(&mut self, scratch: &mut [u8], out: &mut impl Sink, now: Instant) {
        let Some(to) = self.peer.remote else { return };
        while self.waiting > 0 {
            match self.tunn.decapsulate(None, &[], scratch) {
                TunnResult::WriteToNetwork(bytes) if bytes.first() == Some(&DATA) => {
                    self.waiting -= 1;
                    self.sent = Some(now);
                    self.tx_bytes += bytes.len() as u64;
                    out.datagram(to, bytes);
                }
                // No session after all: boringtun queued the packet again and may ask for a handshake.
                TunnResult::WriteToNetwork(bytes) => {
                    out.datagram(to, bytes);
                    return;
                }
                _ => return,
            }
        }
    }

    pub(super) fn tick(&mut self, scratch: &mut [u8], out: &mut impl Sink, now: Instant) {
        let keepalive = self.peer.keepalive_s.filter(|&seconds| seconds > 0);
        let timers = match self.tunn.update_timers(scratch) {
            TunnResult::WriteToNetwork(bytes) => Some(bytes),
            TunnResult::Err(WireGuardError::ConnectionExpired) => {
                // boringtun gave up and dropped what waited; it stays silent until it is asked again.
                self.waiting = 0;
                self.sent = None;
                None
            }
            _ => None,
        };
        let Some(to) = self.peer.remote else { return };
        if let Some(bytes) = timers {
            self.sent = Some(now);
            self.tx_bytes += bytes.len() as u64;
            out.datagram(to, bytes);
            return;
        }
        let silence = Duration::from_secs(keepalive.unwrap_or_default().into());
        if keepalive.is_none() || self.sent.is_some_and(|sent| now.saturating_duration_since(sent) < silence)
        {
            return;
        }
        self.ping(scratch, out, now);
    }

    pub(super) fn status(&self, now: Instant) -> PeerStatus {
        let since = |then: Instant| now.saturating_duration_since(then);
        PeerStatus {
            public: self.peer.public,
            remote: self.peer.remote,
            last_handshake: self.handshake.map(|(then, _)| since(then)),
            handshake_over: self.handshake.map(|(_, over)| over),
            last_received: self.received.map(since),
            last_data: self.data.map(since),
            last_empty: self.since_empty(now),
            rx_bytes: self.rx_bytes,
            tx_bytes: self.tx_bytes,
        }
    }
}
