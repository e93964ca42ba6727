//! A camera's playlists and media: its feed answers.

use hyper::Response;
use hyper::http::request::Parts;
use media::ObjectName;

use super::Body;
use crate::state::Shared;

/// Answers `/{id}/{name}`.
pub(super) async fn answer(shared: &Shared, id: &str, name: &str, request: &Parts) -> Response<Body> {
    match (shared.camera(id), ObjectName::parse(name)) {
        (Some(camera), Some(object)) => {
            camera.count_request();
            shared.watch();
            feed::answer(camera.feed(), object, request).await
        }
        _ => feed::not_found(),
    }
}
