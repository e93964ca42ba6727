//! `[[camera]]`: cameras without a box that the operator names, and `[pull]`: what may be contacted for any camera.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use camera::{Address, Source};
use model::{CameraId, Private};
use settings::{Section, Table};
use url::Host;

use super::Error;
use crate::ingest::Rule;

/// First segments of the cloud's own addresses, beside [`CameraId::RESERVED`].
const OWN: [&str; 11] = [
    "box",
    "cluster",
    "find",
    "invitation",
    "login",
    "player",
    "portal",
    "robots",
    "tunnel",
    "updates",
    "wall",
];

/// A camera of the configuration: public, and nobody's.
#[derive(Debug, Clone)]
pub struct Camera {
    /// The first segment of its link.
    pub id: CameraId,
    /// Where its pictures come from.
    pub from: From,
}

/// Where a camera's pictures come from.
#[derive(Debug, Clone)]
pub enum From {
    /// RTSP, asked for by the cloud.
    Pull(Box<Source>),
    /// A command that writes MPEG-TS to its standard output, with its arguments.
    Exec(Vec<String>),
    /// RTMP, sent to the cloud with this key.
    Push(Private<String>),
}

/// Whether cameras at addresses that are not public may be contacted.
pub(super) fn allow_private(table: &Section<'_>) -> Result<bool, Error> {
    Ok(table.boolean("allow_private")?.unwrap_or(false))
}

/// Every `[[camera]]`.
pub(super) fn cameras(root: &Table<'_>, allow_private: bool) -> Result<Vec<Camera>, Error> {
    let mut cameras = Vec::new();
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    for table in root.sections("camera")? {
        let camera = camera(&table, allow_private)?;
        if !ids.insert(camera.id.clone()) {
            return Err(table.error("id", "is another camera's, too"));
        }
        if let From::Push(key) = &camera.from
            && !keys.insert(key.expose().clone())
        {
            return Err(table.error("rtmp_key", "is another camera's, too"));
        }
        cameras.push(camera);
    }
    Ok(cameras)
}

fn camera(table: &Section<'_>, allow_private: bool) -> Result<Camera, Error> {
    let form =
        "1 to 32 of a-z, 0-9, - and _, beginning with a letter or digit, and none of the cloud's own names";
    let id = table.parsed("id", form, |text| CameraId::new(text).ok().filter(|_| !OWN.contains(&text)))?;
    let id = table.required("id", id)?;
    let url = table.string("url")?;
    let exec = table.strings("exec")?;
    let key = table.string("rtmp_key")?;
    let user = table.string("user")?.map(str::to_owned);
    let password = table.string("password")?.map(|password| Private::new(password.to_owned()));
    let from = match (url, exec.is_empty(), key) {
        (Some(url), true, None) => {
            let source = Source::new(id.clone(), url, user, password)
                .map_err(|error| table.error("url", &error.to_string()))?;
            judge(&source, allow_private).map_err(|reason| table.error("url", &reason))?;
            return Ok(Camera { id, from: From::Pull(Box::new(source)) });
        }
        (None, false, None) => From::Exec(exec),
        (None, true, Some(key)) => {
            // As an encoder's stream key is typed, and not one to be guessed.
            let fits = (16..=128).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
            if !fits {
                return Err(table.error("rtmp_key", "is not 16 to 128 of A-Z, a-z, 0-9, - and _"));
            }
            From::Push(Private::new(key.to_owned()))
        }
        _ => return Err(table.error("id", "needs one of url, exec and rtmp_key")),
    };
    for key in ["user", "password"] {
        if table.string(key)?.is_some() {
            return Err(table.error(key, "belongs to url only"));
        }
    }
    Ok(Camera { id, from })
}

/// Refuses what could never be contacted; names are resolved when they are.
fn judge(source: &Source, allow_private: bool) -> Result<(), String> {
    let Address::Rtsp(url) = &source.address else {
        return Err("is not rtsp:// or rtsps://".to_owned());
    };
    let literal = match source.address.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        _ => return Ok(()),
    };
    let port = url.port().unwrap_or(if url.scheme() == "rtsps" { 322 } else { 554 });
    let rule = Rule { private: allow_private, own: Vec::new() };
    rule.check(SocketAddr::new(literal, port)).map_err(|forbidden| forbidden.to_string())
}
