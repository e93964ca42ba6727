//! Cameras without a box as tenants add and remove them. Passwords and stream keys go in or come out once, and are never
//! told again.

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

use super::pull::resolve;
use super::seal::Safe;
use super::settings::Pull;
use super::target::Rule;
use crate::http::{Client, json, told};
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
}

impl SourceDesk {
    /// A desk for the cameras of this store, at addresses that the rule allows; `push_url` is where encoders send RTMP to, if
    /// this cloud takes any.
    pub fn new(store: Store, rule: Rule, push_url: Option<String>) -> Self {
        Self { store, rule, push_url }
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
    };
    let new = NewSource { title: &title, site: &site, kind, settings, tunnel_key: None };
    let (id, _) = desk.store.add_source(&tenant, &new, who.by(client)).await?;
    desk.tell(&id, key)
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
    desk.tell(&id, Some(key))
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

    /// The camera, and its key this once.
    fn tell(&self, id: &CameraId, key: Option<Private<String>>) -> Answer {
        let mut camera = things::camera_view(&self.store, id.as_str())?;
        if let (Some(key), Value::Object(camera)) = (key, &mut camera) {
            camera.insert("push".to_owned(), json!({ "url": self.push_url, "key": key.expose() }));
        }
        Ok(told(camera))
    }
}
