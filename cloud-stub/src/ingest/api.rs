//! Cameras without a box as tenants add and remove them. Passwords go in, stream keys and peers' configurations come out once,
//! and are never told again.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{delete, post};
use axum::{Extension, Router};
use camera::Source as Target;
use hyper::{Request, StatusCode};
use model::{CameraId, Private};
use serde::Deserialize;
use serde_json::{Value, json};
use tunnel::keys::PrivateKey;

use super::pull::resolve;
use super::seal::Safe;
use super::settings::Pull;
use super::target::Rule;
use super::wired::{Wired, Wiring};
use crate::http::{Client, json, told};
use crate::peer;
use crate::people::{Answer, Failure, Refusal, Who};
use crate::push::settings_of;
use crate::store::{From, NewSource, Role, Store};
use crate::things;

/// Longest login, characters.
const LONGEST: usize = 256;

/// What is under `/api/v1` for cameras without a box.
pub struct SourceDesk {
    store: Store,
    rule: Rule,
    /// Where encoders send RTMP to; `None`: this cloud takes none.
    push_url: Option<String>,
    wiring: Wiring,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    title: String,
    #[serde(default)]
    site: String,
    source: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    Pull { url: String, user: Option<String>, password: Option<Private<String>> },
    Push {},
    Peer { target: String, user: Option<String>, password: Option<Private<String>>, path: Option<String> },
}

/// What is told once, by its name in the answer.
type Once = Option<(&'static str, Value)>;

impl SourceDesk {
    /// A desk for the cameras of this store, at addresses that the rule allows; `push_url` is where encoders send RTMP to, if
    /// this cloud takes any, and `wiring` where peers find its hub.
    pub fn new(store: Store, rule: Rule, push_url: Option<String>, wiring: Wiring) -> Self {
        Self { store, rule, push_url, wiring }
    }

    /// Its routes. They need [`Gate`](crate::people::Gate) as an extension.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/api/v1/tenants/{tenant}/cameras", post(add))
            .route("/api/v1/cameras/{camera}", delete(remove))
            .route("/api/v1/cameras/{camera}/key", post(key))
            .with_state(Arc::new(self))
    }

    /// A new stream key and what is kept of it.
    fn new_key(&self) -> Result<(Private<String>, Private<String>), Failure> {
        let key = Private::new(self.store.secret("make a stream key")?);
        let settings = Private::new(settings_of(&key));
        Ok((key, settings))
    }

    /// Judges what is to be asked for pictures, and what is kept of it.
    async fn pull(
        &self,
        url: &str,
        user: Option<String>,
        password: Option<Private<String>>,
    ) -> Result<Private<String>, Failure> {
        let unfit = |words: &str| Failure::new(StatusCode::BAD_REQUEST, words);
        let id = CameraId::new("new").map_err(|_| broken())?;
        let source = Target::new(id, url, user.filter(|user| !user.is_empty()), password)
            .map_err(|error| unfit(&format!("The address cannot be used: {error}.")))?;
        let long = |text: Option<&str>| text.is_some_and(|text| text.chars().count() > LONGEST);
        let password = source.password.as_ref().map(|password| password.expose().as_str());
        if long(source.user.as_deref()) || long(password) || url.len() > 8 * LONGEST {
            return Err(unfit("The address or the login is too long."));
        }
        resolve(&self.rule, &source).await.map_err(|trouble| unfit(&trouble.to_string()))?;
        let safe = Safe::new(&self.store.password_key().await?).ok_or_else(broken)?;
        let kept = Pull::of(&source, &safe, self.store.salt()?).ok_or_else(broken)?;
        serde_json::to_string(&kept).map(Private::new).map_err(|_| broken())
    }
}

impl SourceDesk {
    /// What is kept of a camera behind a peer.
    async fn wired(
        &self,
        target: peer::Target,
        user: Option<String>,
        password: Option<Private<String>>,
        path: &str,
    ) -> Result<Private<String>, Failure> {
        let unfit = || Failure::new(StatusCode::BAD_REQUEST, "The path or the login cannot be used.");
        let long = |text: Option<&str>| text.is_some_and(|text| text.chars().count() > LONGEST);
        let user = user.filter(|user| !user.is_empty());
        if long(user.as_deref()) || long(password.as_ref().map(|password| password.expose().as_str())) {
            return Err(unfit());
        }
        let safe = Safe::new(&self.store.password_key().await?).ok_or_else(broken)?;
        let kept = Wired::of(target, path, user, password.as_ref(), &safe, self.store.salt()?);
        serde_json::to_string(&kept.ok_or_else(unfit)?).map(Private::new).map_err(|_| broken())
    }

    /// Random bits for a tunnel key.
    fn random(&self) -> Result<[u8; 32], Failure> {
        let mut bits = [0; 32];
        let halves = [self.store.salt()?, self.store.salt()?].concat();
        bits.iter_mut().zip(halves).for_each(|(to, byte)| *to = byte);
        Ok(bits)
    }
}

fn broken() -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "This cannot be kept.")
}

async fn add(
    State(desk): State<Arc<SourceDesk>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(tenant): Path<String>,
    request: Request<Body>,
) -> Answer {
    who.may(&tenant, Role::Installer)?;
    let Words { title, site, source } = json(request).await?;
    let (kind, settings, key) = match source {
        Kind::Pull { url, user, password } => ("pull", desk.pull(&url, user, password).await?, None),
        Kind::Push {} => {
            let (key, settings) = desk.new_key()?;
            ("push", settings, Some(key))
        }
        Kind::Peer { target, user, password, path } => {
            let target: peer::Target = target.parse().map_err(|error: peer::InvalidTarget| {
                Failure::new(StatusCode::BAD_REQUEST, &error.to_string())
            })?;
            let settings = desk.wired(target, user, password, path.as_deref().unwrap_or_default()).await?;
            let private = PrivateKey::from_bytes(desk.random()?);
            let tunnel_key = Some(*private.public().as_bytes());
            let new = NewSource { title: &title, site: &site, kind: "peer", settings, tunnel_key };
            let (id, address) = desk.store.add_source(&tenant, &new, who.by(client)).await?;
            let hub = PrivateKey::from_bytes(desk.store.hub_key().await?).public();
            let directory = desk.store.directory().borrow().clone();
            let address = address.ok_or_else(broken)?;
            let offer = desk.wiring.offer(&directory, &hub, &id, &private, address, target);
            return desk.tell(&id, Some(("peer", offer)));
        }
    };
    let new = NewSource { title: &title, site: &site, kind, settings, tunnel_key: None };
    let (id, _) = desk.store.add_source(&tenant, &new, who.by(client)).await?;
    let once = key.map(|key| desk.push(&key));
    desk.tell(&id, once)
}

async fn remove(
    State(desk): State<Arc<SourceDesk>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
) -> Answer {
    let (id, tenant) = desk.source(&who, &id, None)?;
    desk.store.remove_source(&id, &tenant, who.by(client)).await?;
    Ok(told(json!({})))
}

async fn key(
    State(desk): State<Arc<SourceDesk>>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(id): Path<String>,
) -> Answer {
    let (id, tenant) = desk.source(&who, &id, Some("push"))?;
    let (key, settings) = desk.new_key()?;
    desk.store.set_source_settings(&id, &tenant, &settings, "camera.key", who.by(client)).await?;
    let once = desk.push(&key);
    desk.tell(&id, Some(once))
}

impl SourceDesk {
    /// A camera without a box, of this kind if one is named, for whoever may change it, and its tenant.
    fn source(&self, who: &Who, id: &str, kind: Option<&str>) -> Result<(CameraId, String), Failure> {
        let directory = self.store.directory().borrow().clone();
        let tenant = things::camera_for(&directory, who, id, Role::Installer)?;
        let fits = match directory.link(id).ok_or(Refusal::NotThere)?.from {
            From::Source(source) => kind.is_none_or(|kind| source.kind == kind),
            From::Box(..) => false,
        };
        if !fits {
            return Err(Failure::new(StatusCode::CONFLICT, "This camera is not of that kind."));
        }
        Ok((CameraId::new(id).map_err(|_| Refusal::NotThere)?, tenant))
    }

    fn push(&self, key: &Private<String>) -> (&'static str, Value) {
        ("push", json!({ "url": self.push_url, "key": key.expose() }))
    }

    /// The camera, and what is told this once.
    fn tell(&self, id: &CameraId, once: Once) -> Answer {
        let mut camera = things::camera_view(&self.store, id.as_str())?;
        if let (Some((name, told)), Value::Object(camera)) = (once, &mut camera) {
            camera.insert(name.to_owned(), told);
        }
        Ok(told(camera))
    }
}
