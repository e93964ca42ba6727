//! Cameras behind a WireGuard peer that is no box: what is kept of one, and what its owner gets once.

use std::net::{Ipv4Addr, SocketAddr};

use camera::Source as Camera;
use model::{CameraId, Private};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tunnel::keys::{PrivateKey, PublicKey};

use super::seal::Safe;
use crate::config::Config;
use crate::nodes::{endpoints, holder};
use crate::peer::{Offer, Target};
use crate::store::Directory;

/// Longest path of a stream, bytes.
const PATH: usize = 1000;

/// Where peers find the hub.
#[derive(Debug, Clone)]
pub struct Wiring {
    address: Ipv4Addr,
    endpoints: Vec<String>,
}

impl Wiring {
    /// As the configuration says.
    pub fn new(config: &Config) -> Self {
        let endpoints = std::iter::once(&config.hub.endpoint).chain(&config.hub.more).cloned().collect();
        Self { address: config.hub.network.hub(), endpoints }
    }

    /// What the owner of a new camera gets once.
    pub(super) fn offer(
        &self,
        directory: &Directory,
        hub: &PublicKey,
        id: &CameraId,
        private: &PrivateKey,
        address: Ipv4Addr,
        target: Target,
    ) -> Value {
        // WireGuard speaks with one hub. The first one is that of the cloud that waits for the camera already.
        let holder = holder(directory, id.as_str()).and_then(|node| directory.portal().nodes.get(node));
        let first: Vec<String> =
            holder.map(|node| &node.endpoint).into_iter().chain(&self.endpoints).cloned().collect();
        let endpoints = endpoints(&first, directory);
        let offer = Offer { private, address, hub, hub_address: self.address, endpoints: &endpoints, target };
        json!({ "config": offer.file().expose(), "qr": offer.code().map(|code| code.expose().clone()) })
    }
}

/// What is kept of such a camera beside its row.
#[derive(Serialize, Deserialize)]
pub(super) struct Wired {
    /// Where it is in its own network, for its owner to read.
    target: String,
    /// The path and query of its stream.
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl Wired {
    /// What is kept; `None` when the path is none, or nothing can be sealed.
    pub(super) fn of(
        target: Target,
        path: &str,
        user: Option<String>,
        password: Option<&Private<String>>,
        safe: &Safe,
        random: [u8; 16],
    ) -> Option<Self> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let fits = path.len() <= PATH && path.bytes().all(|byte| byte.is_ascii_graphic());
        let password = match password {
            Some(password) => Some(safe.seal(password, random)?),
            None => None,
        };
        fits.then(|| Self { target: target.to_string(), path: format!("/{path}"), user, password })
    }

    /// The camera at the near end of its pipe.
    ///
    /// # Errors
    /// A sentence for its owner.
    pub(super) fn camera(self, id: &CameraId, safe: &Safe, at: SocketAddr) -> Result<Camera, String> {
        let password = self.password.map(|sealed| safe.open(&sealed)).transpose();
        let password = password.map_err(|error| error.to_string())?;
        let url = format!("rtsp://{at}{}", self.path);
        let camera = Camera::new(id.clone(), &url, None, None).map_err(|error| error.to_string())?;
        Ok(Camera { user: self.user, password, pinned: Some(at.ip()), ..camera })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_holds_no_secret_and_gives_the_camera_at_its_pipe() {
        let id = CameraId::new("gate").unwrap();
        let safe = Safe::new(&[3; 32]).unwrap();
        let target = "192.168.1.64".parse().unwrap();
        let password = Private::new("canary".to_owned());
        let kept =
            |path: &str| Wired::of(target, path, Some("admin".into()), Some(&password), &safe, [1; 16]);
        let text = serde_json::to_string(&kept("Streaming/101?a=b").unwrap()).unwrap();
        assert!(text.contains("192.168.1.64:554") && !text.contains("canary"), "{text}");
        let at = "127.9.8.7:4000".parse().unwrap();
        let camera = serde_json::from_str::<Wired>(&text).unwrap().camera(&id, &safe, at).unwrap();
        assert_eq!(camera.address.to_string(), "rtsp://127.9.8.7:4000/Streaming/101?a=b");
        assert_eq!((camera.user.as_deref(), camera.password), (Some("admin"), Some(password.clone())));
        assert_eq!(camera.pinned, Some(at.ip()));
        assert!(kept("/a b").is_none() && kept("/\r\nX: y").is_none());
        assert!(kept(&"a".repeat(PATH + 1)).is_none());
        // Whatever the path, it stays a path.
        for path in ["//example.org/x", "@example.org/", "\\example.org", "#x", ":80/"] {
            let camera = kept(path).unwrap().camera(&id, &safe, at).unwrap();
            assert!(camera.address.to_string().starts_with("rtsp://127.9.8.7:4000/"), "{path}");
        }
    }
}
