//! The supervisor's end of the link to a worker: what the worker sends goes into the camera's feed.

use std::convert::Infallible;
use std::time::Duration;

use camera::{Event, Login};
use feed::{Link, LinkError};
use model::CameraState;
use model::status::Picture;

use crate::logins::Gate;
use crate::state::Camera;

/// Why a worker's time was over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The link ended.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The camera's format passed the worker but cannot be packaged.
    #[error(transparent)]
    Format(#[from] media::UnusableFormat),
    /// The camera refused the login, now or before.
    #[error("the camera refused the login")]
    Refused,
}

/// Moves everything that the worker sends into the feed, until the link ends. `gate` says when the camera's login may
/// be shown.
///
/// # Errors
/// Always: why the link ended.
pub(crate) async fn feed(link: &mut Link, camera: &Camera, gate: &Gate) -> Result<Infallible, Ended> {
    let feed = camera.feed();
    let mut permit = None;
    loop {
        match link.next().await? {
            Event::Login(Login::Wanted) => {
                permit = gate.permit().await.map_err(|_| Ended::Refused)?;
                link.allow_login().await.map_err(LinkError::from)?;
            }
            Event::Login(outcome) => {
                let shown = permit.take();
                match (outcome, shown) {
                    (Login::Accepted, Some(mut permit)) => permit.accepted(),
                    (Login::Refused { locked_s }, shown) => {
                        // ONVIF may have taken what RTSP refuses.
                        if let Some(mut permit) = shown.or(gate.late_permit()) {
                            permit.refused(Duration::from_secs(locked_s.into()));
                            return Err(Ended::Refused);
                        }
                    }
                    // Dropped, a permit says that nothing is known.
                    _ => {}
                }
            }
            Event::Unit(unit) => feed.push(unit),
            Event::Format(format) => feed.set_format(format)?,
            Event::State(state) => report(camera, state),
            Event::Interrupted => feed.interrupt(),
            Event::Facts(facts) => {
                // Asked for its small picture, a device has no smaller one.
                if facts.has_small && camera.picture() == Picture::Main {
                    camera.set_small(true);
                }
                feed.set_device(facts);
            }
        }
    }
}

/// Notes a camera's state, and logs what an operator would ask about: a picture that came, trouble that is new.
pub(crate) fn report(camera: &Camera, state: CameraState) {
    let before = camera.feed().trouble();
    match &state {
        CameraState::Streaming(facts) => {
            tracing::info!(camera = %camera.id(), video = ?facts.video, size = ?facts.size, "streaming");
        }
        CameraState::Waiting { trouble, .. } | CameraState::Stopped { trouble } => {
            if before.is_none_or(|(before, _)| before.code() != trouble.code()) {
                tracing::warn!(camera = %camera.id(), trouble = trouble.code(), "{trouble}");
            }
        }
        CameraState::Connecting => {}
    }
    camera.feed().set_state(state);
}
