//! Joining a cloud: `/api/v1/join` for programs and for the set-up page.
//!
//! The answer to the question "Join ACME?" changes what the box is: it is the set-up page that takes it, from whoever has signed
//! in there (see [`super::setup`]).

use std::time::Instant;

use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::setup::{From, Way};
use super::{Body, api};
use crate::cloud::{Claim, Phase, Status};
use crate::state::Shared;

/// How the box stands with its cloud.
#[derive(Debug, Serialize)]
pub(crate) struct JoinView {
    /// `off`, `asking`, `code`, `claimed`, `joining`, `joined` or `stopped`.
    pub(crate) state: &'static str,
    /// What stands in the way, in plain words with what to do; null when nothing does.
    pub(crate) sentence: Option<String>,
    /// The cloud's address; null when none is wanted.
    pub(crate) cloud: Option<String>,
    /// The box's name, once it has one.
    pub(crate) box_id: Option<String>,
    /// What the owner types at the cloud: eight letters.
    pub(crate) code: Option<String>,
    /// Seconds for which the code can be claimed.
    pub(crate) expires_in_s: Option<u64>,
    /// Where the owner types it; the address holds it already.
    pub(crate) claim_url: Option<String>,
    /// Names the question; it belongs into the answer.
    pub(crate) session: Option<String>,
    /// Who has claimed the code, or to whom the box belongs.
    pub(crate) owner: Option<String>,
    /// What the cloud shows, too, when it means this box and this owner.
    pub(crate) check_words: Option<String>,
    /// What is wrong with the box's clock, in plain words; null when nothing is.
    pub(crate) clock: Option<String>,
    /// The tunnel, once the box has joined.
    pub(crate) tunnel: Option<TunnelView>,
    /// The way out.
    pub(crate) uplink: UplinkView,
}

/// The tunnel to the cloud.
#[derive(Debug, Serialize)]
pub(crate) struct TunnelView {
    /// Whether the hub answered lately.
    pub(crate) up: bool,
    /// `udp`, or `tls` while UDP gets no answer; null before the first answer.
    pub(crate) via: Option<String>,
    /// Where the hub is reached.
    pub(crate) hub: Option<String>,
    /// The box's address inside.
    pub(crate) address: String,
    /// Seconds since the last handshake.
    pub(crate) last_handshake_s: Option<u64>,
    /// Bytes sent since the start.
    pub(crate) sent_bytes: u64,
    /// Bytes received since the start.
    pub(crate) received_bytes: u64,
    /// Largest packet inside, bytes.
    pub(crate) mtu: u16,
    /// What stands in the way, in plain words with what to do; null when nothing does.
    pub(crate) sentence: Option<String>,
}

/// The box's way out.
#[derive(Debug, Serialize)]
pub(crate) struct UplinkView {
    /// It carries less than what is watched needs.
    pub(crate) short: bool,
    /// Bits per second that went out through the tunnel lately.
    pub(crate) sent_bit_rate: u64,
    /// Most bits per second that the owner allows; null: no limit.
    pub(crate) cap_bit_rate: Option<u64>,
}

/// How the box stands with its cloud now.
pub(crate) fn view(shared: &Shared) -> JoinView {
    let cloud = shared.cloud();
    let Status { box_id, phase, obstacle, tunnel, clock, uplink, .. } = cloud.status();
    let origin = cloud.address().map(ToString::to_string);
    let mut view = JoinView {
        state: phase.word(),
        sentence: obstacle,
        cloud: origin.clone(),
        box_id: box_id.map(|id| id.to_string()),
        code: None,
        expires_in_s: None,
        claim_url: None,
        session: None,
        owner: None,
        check_words: None,
        clock,
        tunnel: tunnel.map(|tunnel| TunnelView {
            up: tunnel.up,
            via: Some(tunnel.via).filter(|via| !via.is_empty()),
            hub: Some(tunnel.hub).filter(|hub| !hub.is_empty()),
            address: tunnel.address,
            last_handshake_s: tunnel.last_handshake.map(|since| since.as_secs()),
            sent_bytes: tunnel.sent_bytes,
            received_bytes: tunnel.received_bytes,
            mtu: tunnel.mtu,
            sentence: tunnel.obstacle,
        }),
        uplink: UplinkView {
            short: uplink.short,
            sent_bit_rate: uplink.sent_bit_rate,
            cap_bit_rate: uplink.cap_bit_rate,
        },
    };
    match phase {
        Phase::Off | Phase::Asking | Phase::Stopped => {}
        Phase::Code { session, code, until } => {
            view.claim_url = origin.map(|origin| format!("{origin}/claim#{code}"));
            view.expires_in_s = Some(until.saturating_duration_since(Instant::now()).as_secs());
            view.session = Some(session);
            view.code = Some(code);
        }
        Phase::Claimed(Claim { session, owner, words }) => {
            view.session = Some(session);
            view.owner = Some(owner);
            view.check_words = Some(words);
        }
        Phase::Joining { owner } | Phase::Joined { owner } => view.owner = Some(owner),
    }
    view
}

/// Answers whoever asks how the box stands: what only its owner may see, only the owner sees.
pub(super) async fn answer(
    shared: &Shared,
    way: Option<&Way>,
    from: From,
    headers: &HeaderMap,
) -> Response<Body> {
    let owner = match way {
        Some(way) => way.signed_in(from, headers).await,
        None => false,
    };
    let view = view(shared);
    api::json(StatusCode::OK, &if owner { view } else { view.for_anybody() })
}

impl JoinView {
    /// Without what lets somebody claim the box, or answer in its owner's place.
    pub(super) fn for_anybody(self) -> Self {
        Self {
            box_id: None,
            code: None,
            expires_in_s: None,
            claim_url: None,
            session: None,
            check_words: None,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{Cloud, CloudAddress};

    #[test]
    fn strangers_see_neither_code_nor_question() {
        let cloud = Cloud::new(CloudAddress::parse("https://video.example.org").ok(), None);
        let shared = Shared::new(cloud.clone());
        let canary = || "canary".to_owned();
        let code = Phase::Code { session: canary(), code: canary(), until: Instant::now() };
        let claim = Claim { session: canary(), owner: "ACME".to_owned(), words: canary() };
        for (phase, state) in [(code, "code"), (Phase::Claimed(claim), "claimed")] {
            cloud.set_phase(phase);
            let all = serde_json::to_string(&view(&shared)).unwrap();
            let some = serde_json::to_string(&view(&shared).for_anybody()).unwrap();
            assert!(all.contains("canary") && !some.contains("canary"), "{some}");
            assert!(some.contains(state) && some.contains("video.example.org"), "{some}");
        }
    }
}
