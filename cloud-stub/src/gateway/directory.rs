//! What the gateway must know of the world: which camera a public id stands for, and how it was last seen.
//!
//! A link that is switched off, a revoked box and an id that never was are the same here: nothing. The gateway cannot tell
//! them apart, so no answer of its can either.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use model::{CameraId, CameraState};

use crate::store::Access;

/// Where public links lead.
pub trait Directory: Send + Sync + 'static {
    /// Where this link's pictures are; asked once a request.
    fn place(&self, public_id: &CameraId) -> Option<Place>;

    /// Whether everybody who has the link may watch. Whoever else may is for an [`Admission`](super::Admission) to say.
    fn public(&self, public_id: &CameraId) -> bool;

    /// What is known of this link's camera; asked by pages. `Some` exactly when [`Directory::place`] is.
    fn camera(&self, public_id: &CameraId) -> Option<Camera>;
}

/// One camera, and who has its pictures.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Who has its pictures.
    pub at: At,
    /// The camera's name there.
    pub camera: CameraId,
}

/// Who has a camera's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// The box with this address inside the tunnel.
    Box(Ipv4Addr),
    /// Another cloud, at this address of the clouds' own network.
    Node(SocketAddr),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Box(address) => address.fmt(f),
            Self::Node(address) => address.fmt(f),
        }
    }
}

/// A camera as its box last reported it.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// What people call it.
    pub name: String,
    /// What it was doing; `None` before the first report.
    pub state: Option<CameraState>,
    /// Since when, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// When its box was last heard, milliseconds since 1970.
    pub heard_ms: Option<u64>,
}

impl Directory for crate::store::Directory {
    fn place(&self, public_id: &CameraId) -> Option<Place> {
        let watched = self.watched(public_id.as_str())?;
        Some(Place { at: At::Box(watched.from.address), camera: watched.camera.camera_id.clone() })
    }

    fn public(&self, public_id: &CameraId) -> bool {
        match self.camera(public_id.as_str()) {
            Some(camera) => camera.access == Access::Public,
            None => self
                .portal()
                .sources
                .get(public_id.as_str())
                .is_some_and(|source| source.access == Access::Public),
        }
    }

    fn camera(&self, public_id: &CameraId) -> Option<Camera> {
        let watched = self.watched(public_id.as_str())?;
        Some(Camera {
            name: watched.camera.name.clone(),
            state: Some(watched.camera.report.state.clone()),
            since_ms: Some(watched.camera.since_ms),
            heard_ms: watched.from.seen.last_ms(),
        })
    }
}
