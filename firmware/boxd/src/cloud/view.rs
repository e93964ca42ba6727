//! What the box shows of its cloud, and what the owner answers: the one place where the parts of `cloud` and the front
//! door meet.
//!
//! A [`Cloud`] is a handle, cheap to clone. Its lock is held for a copy, never over an await.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::enrol::Joined;
use model::status::CameraLink;
use model::{BoxId, CameraId};
use tokio::sync::watch;

use super::address::CloudAddress;
use crate::state::lock;

/// A handle on what is known of the cloud.
#[derive(Clone)]
pub(crate) struct Cloud(Arc<Inner>);

struct Inner {
    /// `None`: the owner wants no cloud.
    address: Option<CloudAddress>,
    status: Mutex<Status>,
    answer: watch::Sender<Option<OwnersAnswer>>,
    counters: Counters,
}

/// What is known of the cloud at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    /// The box's name.
    pub(crate) box_id: Option<BoxId>,
    /// How far joining has come.
    pub(crate) phase: Phase,
    /// What stands in the way of joining, in plain words.
    pub(crate) obstacle: Option<String>,
    /// The tunnel, once the box has joined.
    pub(crate) tunnel: Option<TunnelStatus>,
    /// What is wrong with the box's clock, in plain words.
    pub(crate) clock: Option<String>,
    /// The public links, by camera.
    pub(crate) links: BTreeMap<CameraId, CameraLink>,
    /// The way out.
    pub(crate) uplink: UplinkStatus,
}

/// How far joining has come.
#[derive(Debug, Clone, Default)]
pub(crate) enum Phase {
    /// No cloud is wanted.
    #[default]
    Off,
    /// The cloud is being asked for a code.
    Asking,
    /// The owner may claim the code.
    Code {
        /// Names this attempt.
        session: String,
        /// Eight letters, `ABCD-EFGH`.
        code: String,
        /// The code dies then, and another one comes.
        until: Instant,
    },
    /// Somebody has claimed it: is that the owner?
    Claimed(Claim),
    /// The owner has said yes; the cloud is being told.
    Joining {
        /// The owner's name.
        owner: String,
    },
    /// The box belongs to a cloud.
    Joined {
        /// The owner's name.
        owner: String,
    },
    /// Nothing is tried any more; the obstacle says why.
    Stopped,
}

/// Who has claimed a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Names this attempt.
    pub(crate) session: String,
    /// By what name.
    pub(crate) owner: String,
    /// What the cloud shows, too.
    pub(crate) words: String,
}

/// The tunnel at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct TunnelStatus {
    /// Whether the hub answered lately.
    pub(crate) up: bool,
    /// `udp` or `tls`.
    pub(crate) via: String,
    /// Where the hub is reached.
    pub(crate) hub: String,
    /// The box's address inside.
    pub(crate) address: String,
    /// Since the last handshake.
    pub(crate) last_handshake: Option<Duration>,
    /// Bytes of datagrams sent since the start.
    pub(crate) sent_bytes: u64,
    /// Bytes of datagrams received since the start.
    pub(crate) received_bytes: u64,
    /// Largest packet inside, bytes.
    pub(crate) mtu: u16,
    /// What stands in the way, in plain words.
    pub(crate) obstacle: Option<String>,
}

/// The way out at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct UplinkStatus {
    /// It carries less than what is watched needs.
    pub(crate) short: bool,
    /// Bits per second of media that went out lately.
    pub(crate) sent_bit_rate: u64,
    /// Most bits per second that the owner allows.
    pub(crate) cap_bit_rate: Option<u64>,
}

/// What is counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Reports that the cloud took.
    pub(crate) reports: AtomicU64,
    /// Reports that it did not.
    pub(crate) reports_failed: AtomicU64,
    /// Media objects that went out through the tunnel.
    pub(crate) objects: AtomicU64,
    /// Bytes of them.
    pub(crate) media_bytes: AtomicU64,
    /// Requests through the tunnel that were answered.
    pub(crate) requests: AtomicU64,
    /// Times that a camera's picture was changed for the uplink.
    pub(crate) picture_changes: AtomicU64,
}

/// What the owner said to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnersAnswer {
    /// The attempt that was answered.
    pub(crate) session: String,
    /// Yes or no.
    pub(crate) accept: bool,
}

/// The page answered a question that is not asked, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("This question is no longer asked: load the page again.")]
pub(crate) struct NotAsked;

impl Cloud {
    /// Of a box whose owner wants this cloud, or none.
    pub(crate) fn new(address: Option<CloudAddress>, cap_bit_rate: Option<u64>) -> Self {
        let phase = if address.is_some() { Phase::Asking } else { Phase::Off };
        let uplink = UplinkStatus { cap_bit_rate, ..UplinkStatus::default() };
        Self(Arc::new(Inner {
            address,
            status: Mutex::new(Status { phase, uplink, ..Status::default() }),
            answer: watch::Sender::new(None),
            counters: Counters::default(),
        }))
    }

    /// Where it is; `None` when the owner wants none.
    pub(crate) fn address(&self) -> Option<&CloudAddress> {
        self.0.address.as_ref()
    }

    /// What is known now.
    pub(crate) fn status(&self) -> Status {
        lock(&self.0.status).clone()
    }

    /// What is counted.
    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// The public link of a camera, once the cloud gave one and while it is on.
    pub(crate) fn link(&self, id: &CameraId) -> Option<String> {
        lock(&self.0.status).links.get(id).filter(|link| link.on).map(|link| link.url.clone())
    }

    /// Most bits per second that the owner allows.
    pub(crate) fn cap(&self) -> Option<u64> {
        lock(&self.0.status).uplink.cap_bit_rate
    }

    /// The owner allows so many bits per second, from now on.
    pub(crate) fn set_cap(&self, cap_bit_rate: Option<u64>) {
        self.update(|status| status.uplink.cap_bit_rate = cap_bit_rate);
    }

    /// Changes what is known.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.0.status));
    }

    /// Joining has come so far; nothing stands in the way.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.update(|status| {
            status.phase = phase;
            status.obstacle = None;
        });
    }

    /// Something stands in the way of joining. Logged when it is new.
    pub(crate) fn set_obstacle(&self, sentence: String) {
        let mut status = lock(&self.0.status);
        if status.obstacle.as_ref() != Some(&sentence) {
            tracing::warn!("{sentence}");
        }
        status.obstacle = Some(sentence);
    }

    /// The box belongs to a cloud.
    pub(crate) fn set_joined(&self, joined: &Joined) {
        self.set_phase(Phase::Joined { owner: joined.owner.clone() });
    }

    /// The owner answers the question of a session.
    ///
    /// # Errors
    /// [`NotAsked`] when that is not what the box asks.
    pub(crate) fn answer(&self, answer: OwnersAnswer) -> Result<(), NotAsked> {
        match &lock(&self.0.status).phase {
            Phase::Claimed(claim) if claim.session == answer.session => {}
            _ => return Err(NotAsked),
        }
        self.0.answer.send_replace(Some(answer));
        Ok(())
    }

    /// What the owner answers, from now on.
    pub(crate) fn answers(&self) -> watch::Receiver<Option<OwnersAnswer>> {
        self.0.answer.subscribe()
    }
}

impl Counters {
    /// Adds.
    pub(crate) fn add(counter: &AtomicU64, many: u64) {
        counter.fetch_add(many, Ordering::Relaxed);
    }
}

impl Phase {
    /// A word for programs.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Asking => "asking",
            Self::Code { .. } => "code",
            Self::Claimed(_) => "claimed",
            Self::Joining { .. } => "joining",
            Self::Joined { .. } => "joined",
            Self::Stopped => "stopped",
        }
    }
}
