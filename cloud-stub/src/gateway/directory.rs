//! What the gateway must know of the world: which camera a public id stands for, and how it was last seen.
//!
//! A link that is switched off, a revoked box and an id that never was are the same here: nothing. The gateway cannot tell
//! them apart, so no answer of its can either.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use model::status::CameraReport;
use model::{CameraId, CameraState};

use crate::nodes::{elsewhere, holder};
use crate::store::{Access, From};

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
    /// The camera's name there: a box's own, the public id at another cloud.
    pub camera: CameraId,
}

/// Who has a camera's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// The box with this address inside the tunnel.
    Box(Ipv4Addr),
    /// Another cloud, at this address of the clouds' own network.
    Node(SocketAddr),
    /// This cloud itself.
    Here,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Box(address) => address.fmt(f),
            Self::Node(address) => address.fmt(f),
            Self::Here => f.write_str("here"),
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
        let link = self.link(public_id.as_str()).filter(|link| link.on)?;
        let node = match link.from {
            From::Box(from, _) => from.node.as_str(),
            From::Source(_) => holder(self, public_id.as_str()).unwrap_or_default(),
        };
        Some(match (elsewhere(self, node), link.from) {
            (Some(address), _) => Place { at: At::Node(address), camera: public_id.clone() },
            (None, From::Box(from, camera)) => {
                Place { at: At::Box(from.address), camera: camera.camera_id.clone() }
            }
            (None, From::Source(_)) => Place { at: At::Here, camera: public_id.clone() },
        })
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
        let link = self.link(public_id.as_str()).filter(|link| link.on)?;
        let name = link.title().to_owned();
        Some(match link.from {
            From::Box(from, camera) => Camera {
                name,
                state: Some(camera.report.state.clone()),
                since_ms: Some(camera.since_ms),
                heard_ms: from.seen.last_ms(),
            },
            From::Source(source) => {
                let report = serde_json::from_str::<CameraReport>(&source.report).ok();
                let state = report.map(|report| report.state);
                Camera { name, state, since_ms: Some(source.since_ms), heard_ms: None }
            }
        })
    }
}
