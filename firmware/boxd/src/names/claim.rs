//! One name that the box wants to be called by, and how far it has come with it.
//!
//! A name is probed for before it is used, and given up to whoever else has it (RFC 6762 sections 8 and 9).

use std::time::Duration;

/// What the page is, and the list of everything that there is (RFC 6763 section 9).
pub(super) const SERVICE: &str = "_http._tcp.local";
pub(super) const SERVICES: &str = "_services._dns-sd._udp.local";

/// One name that the box wants.
#[derive(Debug)]
pub(super) struct Claim {
    /// Names to try, one after the other, without `.local`.
    pub(super) names: Vec<String>,
    /// Which of them it is now.
    pub(super) at: usize,
    pub(super) phase: Phase,
    pub(super) conflicts: u32,
    pub(super) conflicts_since: Duration,
    /// Whether the service is told under this name.
    pub(super) serves: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Probing { sent: u8, next: Duration },
    Announcing { sent: u8, next: Duration },
    Held,
    Lost { until: Duration },
}

impl Claim {
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.phase, Phase::Announcing { .. } | Phase::Held)
    }

    pub(super) fn label(&self) -> &str {
        self.names.get(self.at).map_or("streambox", String::as_str)
    }

    /// `streambox.local`.
    pub(super) fn host(&self) -> String {
        format!("{}.local", self.label())
    }

    /// The service's own name: what browsers of services show.
    pub(super) fn instance(&self) -> String {
        format!("{}.{SERVICE}", self.label())
    }

    /// Somebody else has the name.
    pub(super) fn lose(&mut self, until: Duration) {
        (self.conflicts, self.conflicts_since) = (0, until);
        if self.at + 1 < self.names.len() {
            self.at += 1;
            self.phase = Phase::Probing { sent: 0, next: Duration::ZERO };
        } else {
            self.phase = Phase::Lost { until };
        }
    }
}
