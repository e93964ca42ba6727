//! Joining a cloud: `/join` for people, `/api/v1/join` for programs.
//!
//! The answer to the question "Join ACME?" changes what the box is, so it is taken from the box's own page only: as JSON
//! (which no form can send) and with the page's own origin (which no other page can claim).

use std::time::Instant;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Body, api};
use crate::cloud::{Claim, OwnersAnswer, Phase, Status};
use crate::state::Shared;

/// Most bytes of an answer to the question.
const MOST: usize = 4 << 10;

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

/// The owner's answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    accept: bool,
    session: String,
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

/// Takes the owner's answer.
pub(super) async fn answered(shared: &Shared, headers: &HeaderMap, body: Incoming) -> Response<Body> {
    if !from_own_page(headers) {
        return api::error(
            StatusCode::FORBIDDEN,
            "Only the box's own page may answer: JSON, with the page's own origin.",
        );
    }
    let Ok(body) = Limited::new(body, MOST).collect().await else {
        return api::error(StatusCode::PAYLOAD_TOO_LARGE, "An answer has at most 4 KiB.");
    };
    let Ok(Said { accept, session }) = serde_json::from_slice(&body.to_bytes()) else {
        return api::error(
            StatusCode::BAD_REQUEST,
            "An answer is {\"accept\": true or false, \"session\": \"the session of the question\"}.",
        );
    };
    match shared.cloud().answer(OwnersAnswer { session, accept }) {
        Ok(()) => api::json(StatusCode::ACCEPTED, &view(shared)),
        Err(error) => api::error(StatusCode::CONFLICT, &error.to_string()),
    }
}

/// Whether a request says that it is JSON from a page of this very server. A browser sends no foreign page's JSON
/// without asking first, and lets no page choose its `Origin`.
fn from_own_page(headers: &HeaderMap) -> bool {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    };
    let json = only(CONTENT_TYPE)
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let own = match (only(ORIGIN), only(HOST)) {
        (Some(origin), Some(host)) => {
            let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
        }
        _ => false,
    };
    json && own
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    fn own(headers: &[(HeaderName, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), value.parse().unwrap());
        }
        from_own_page(&map)
    }

    #[test]
    fn only_the_boxs_own_page_may_say_yes() {
        let json = (CONTENT_TYPE, "application/json");
        let host = (HOST, "192.168.1.5:8080");
        let origin = (ORIGIN, "http://192.168.1.5:8080");
        assert!(own(&[json.clone(), host.clone(), origin.clone()]));
        assert!(own(&[(CONTENT_TYPE, "Application/JSON; charset=utf-8"), host.clone(), origin.clone()]));
        // A form, a plain fetch, another page, a sandboxed page, no page at all, two origins.
        assert!(!own(&[(CONTENT_TYPE, "application/x-www-form-urlencoded"), host.clone(), origin.clone()]));
        assert!(!own(&[(CONTENT_TYPE, "text/plain"), host.clone(), origin.clone()]));
        assert!(!own(&[host.clone(), origin.clone()]));
        assert!(!own(&[json.clone(), host.clone(), (ORIGIN, "http://evil.example")]));
        assert!(!own(&[json.clone(), host.clone(), (ORIGIN, "http://192.168.1.5")]));
        assert!(!own(&[json.clone(), host.clone(), (ORIGIN, "null")]));
        assert!(!own(&[json.clone(), host.clone()]));
        assert!(!own(&[json, host, origin, (ORIGIN, "http://evil.example")]));
    }
}
