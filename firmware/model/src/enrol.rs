//! What box and cloud say to each other while a box joins. Signatures over these are the room `enrol`'s.
//!
//! ```text
//! box                                   cloud                               owner
//!  │ POST /api/v1/enrol        Hello ──▶ │                                    │
//!  │ ◀── Session (code)                  │                                    │
//!  │        the box's page shows the code│ ◀─────────── claims the code ──────│
//!  │ GET  /api/v1/enrol/{session}  ────▶ │                                    │
//!  │ ◀── Progress::Claimed (owner)       │        both show the same check words
//!  │        "Join ACME?" yes             │                                    │
//!  │ POST /api/v1/enrol/{session}/join ─▶│ one transaction: address, peer     │
//!  │ ◀── Joined                          │                                    │
//!  ┆ later, when its tunnel is dead      ┆
//!  │ POST /api/v1/enrol/standing Hello ─▶│
//!  │ ◀── Standing                        │
//! ```

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::BoxId;

/// The first words of a box. Signed, so that nobody can speak for its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who it is: the name of `identity`.
    pub box_id: BoxId,
    /// Its Ed25519 public key, base64.
    pub identity: String,
    /// Its WireGuard public key (X25519), base64.
    pub tunnel_key: String,
    /// Its firmware's version.
    pub version: String,
    /// The cloud that it means to speak to: scheme, host and port of its address.
    pub cloud: String,
    /// 16 random bytes, base64: no two hellos are equal.
    pub nonce: String,
    /// How people who stand before it find its page; boxes of older versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findable: Option<Findable>,
    /// Ed25519 over all of the above, base64.
    pub signature: String,
}

/// How people who stand before a box find its page: whoever types the label's code gets the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Findable {
    /// A hash of the code on its label, base64.
    pub label: String,
    /// Where its page is on its own network, best first: `http://192.168.1.5/setup/`.
    pub pages: Vec<String>,
}

/// The cloud's answer to a [`Hello`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Names this attempt in the addresses that follow: 26 letters and digits.
    pub session: String,
    /// What the owner types: 8 letters, written `ABCD-EFGH`. A secret until it is claimed.
    pub code: String,
    /// Seconds for which the code can be claimed.
    pub expires_in_s: u32,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session").field("expires_in_s", &self.expires_in_s).finish_non_exhaustive()
    }
}

/// The cloud's answer to a [`Hello`] of a box that doubts whether it still belongs to it. A revoked box gets 410 instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether the box has an owner in this cloud, and a peer with the key that it named.
    pub member: bool,
}

/// How far a session has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case")]
pub enum Progress {
    /// Nobody has claimed the code yet.
    Waiting {
        /// Seconds for which it can be claimed.
        expires_in_s: u32,
    },
    /// Somebody has; the box is to ask whoever stands before it.
    Claimed {
        /// By what name.
        owner: String,
    },
    /// The box has joined by this session.
    Joined,
    /// The code was not claimed in time, or died of wrong claims; say hello again.
    Expired,
}

/// The box's yes. Signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The session that was claimed.
    pub session: String,
    /// Who joins.
    pub box_id: BoxId,
    /// The owner's name as it was shown and accepted.
    pub owner: String,
    /// The WireGuard public key (X25519) that the peer shall have, base64.
    pub tunnel_key: String,
    /// Ed25519 over all of the above, base64.
    pub signature: String,
}

/// All that a box needs to reach its cloud from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The box's own address inside the tunnel, a /32.
    pub address: Ipv4Addr,
    /// To whom it belongs.
    pub owner: String,
    /// Where the public links begin, without a slash at the end.
    pub url: String,
    /// The hubs, best first; at least one.
    pub hubs: Vec<Hub>,
    /// The cloud's clock, milliseconds since 1970.
    pub time_ms: u64,
}

/// One end of the tunnel in the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hub {
    /// Its WireGuard public key (X25519), base64.
    pub public_key: String,
    /// Where it takes UDP: `host:port`, best first.
    pub endpoints: Vec<String>,
    /// Where it takes the same datagrams in a WebSocket: `wss://host/tunnel/v1`.
    pub carrier: Option<String>,
    /// Its address inside the tunnel.
    pub inner: Ipv4Addr,
}
