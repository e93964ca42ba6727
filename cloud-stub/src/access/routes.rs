//! `/api/v1/cameras/{camera}/shares`: an owner makes, lists and takes back what lets others watch one camera.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use axum::{Extension, Router};
use hyper::Request;
use model::CameraId;
use player::Escaped;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http::{Client, json, told};
use crate::people::{Answer, Refusal, Who};
use crate::store::{Directory, NewShare, Role, Share, Store};

/// What is under `/api/v1` for shares. Needs [`Gate`](crate::people::Gate) as an extension.
pub fn routes(store: Store) -> Router {
    Router::new()
        .route("/api/v1/cameras/{camera}/shares", get(list).post(add))
        .route("/api/v1/cameras/{camera}/shares/{share}", delete(remove))
        .with_state(store)
}

/// The camera and its tenant, for somebody who may share it.
fn shared<'a>(directory: &'a Directory, who: &Who, camera: &str) -> Result<(CameraId, &'a str), Refusal> {
    let id = CameraId::new(camera).map_err(|_| Refusal::NotThere)?;
    let link = directory.link(camera).ok_or(Refusal::NotThere)?;
    who.may(link.tenant, Role::Owner)?;
    Ok((id, link.tenant))
}

async fn list(State(store): State<Store>, who: Who, Path(camera): Path<String>) -> Answer {
    let directory = store.directory().borrow().clone();
    let (camera, _) = shared(&directory, &who, &camera)?;
    let shares = directory.portal().shares.iter().filter(|(_, share)| share.public_id == camera);
    let mut shares: Vec<(&str, &Share)> = shares.map(|(id, share)| (id, &**share)).collect();
    shares.sort_by_key(|(id, share)| (std::cmp::Reverse(share.made_ms), *id));
    let shares: Vec<Value> = shares.into_iter().map(|(id, share)| described(&directory, id, share)).collect();
    Ok(told(shares))
}

/// A share without its secret.
fn described(directory: &Directory, id: &str, share: &Share) -> Value {
    let maker = directory.portal().people.get(&share.made_by);
    json!({
        "id": id,
        "kind": share.kind,
        "label": share.label,
        "made_by": maker.map(|person| if person.name.is_empty() { &person.email } else { &person.name }),
        "made_ms": share.made_ms,
        "expires_ms": share.expires_ms,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    kind: Kind,
    #[serde(default)]
    label: String,
    expires_ms: Option<u64>,
}

#[derive(Deserialize, Serialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Link,
    Embed,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Embed => "embed",
        }
    }
}

async fn add(
    State(store): State<Store>,
    Extension(client): Extension<Client>,
    who: Who,
    Path(camera): Path<String>,
    request: Request<Body>,
) -> Answer {
    let directory = store.directory().borrow().clone();
    let (camera, tenant) = shared(&directory, &who, &camera)?;
    let Wanted { kind, label, expires_ms } = json(request).await?;
    let new = NewShare { kind: kind.name(), label: &label, expires_ms };
    let (id, secret) = store.add_share(&camera, tenant, &new, who.by(client)).await?;
    let url = store.share_link(&camera, &secret);
    let title = directory.link(camera.as_str()).map(|link| link.title().to_owned()).unwrap_or_default();
    Ok(told(json!({
        "id": id,
        "kind": kind,
        "label": label.trim(),
        "expires_ms": expires_ms,
        "url": url,
        "embed": frame(&url, &title),
    })))
}

/// What shows the camera in a page of somebody else's.
fn frame(url: &str, title: &str) -> String {
    let (url, title) = (Escaped(url), Escaped(title));
    format!(
        "<iframe src=\"{url}\" title=\"{title}\" width=\"640\" height=\"360\" style=\"border:0\" \
         allow=\"autoplay; fullscreen\" referrerpolicy=\"no-referrer\" loading=\"lazy\"></iframe>"
    )
}

async fn remove(
    State(store): State<Store>,
    Extension(client): Extension<Client>,
    who: Who,
    Path((camera, share)): Path<(String, String)>,
) -> Answer {
    let directory = store.directory().borrow().clone();
    let (camera, tenant) = shared(&directory, &who, &camera)?;
    store.remove_share(&camera, tenant, &share, who.by(client)).await?;
    Ok(told(json!({})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_the_snippet() {
        let snippet = frame("https://video.example.org/gate~s/", "\"><script>alert(1)</script>");
        assert!(
            snippet.starts_with(
                "<iframe src=\"https://video.example.org/gate~s/\" title=\"&quot;&gt;&lt;script"
            ),
            "{snippet}"
        );
        assert_eq!((snippet.matches('<').count(), snippet.matches('"').count() % 2), (2, 0));
    }
}
