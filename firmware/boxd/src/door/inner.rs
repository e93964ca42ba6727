//! The door inside the tunnel: the cloud's gateway fetches media here, and nothing else is behind it. No pages, no API,
//! no set-up.
//!
//! WireGuard says who is there: a packet from any other address than the hub's is dropped before it comes this far.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Body, hls, not_found, text};
use crate::cloud::{Connection, Counters, Meter};
use crate::state::Shared;

/// Most connections: one gateway, some for each of 32 cameras.
const CONNECTIONS: usize = 256;
/// A request's head must be there after this, and the next one of an open connection must come in this: the gateway keeps
/// connections of cameras that are watched.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;
/// A connection that acknowledges nothing for this long is gone: its other end lost its memory, or the way changed.
const UNREAD_TIME: Duration = Duration::from_secs(20);
/// Wait after an error of `accept`: it would come again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves for ever; dropped, it cuts off whoever is there.
pub(crate) async fn serve(listener: TcpListener, shared: Shared, meter: Arc<Meter>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, shared.clone(), meter.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection from the tunnel");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Shared, meter: Arc<Meter>) {
    let socket = socket2::SockRef::from(&stream);
    // Both only make it better.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(UNREAD_TIME));
    let Ok(watched) = meter.connection(&stream) else { return };
    let service = service_fn(|request| answer(&shared, &meter, &watched, request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection from the tunnel ended early");
    }
}

async fn answer(
    shared: &Shared,
    meter: &Meter,
    connection: &Connection,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, _unread) = request.into_parts();
    let response = route(shared, meter, connection, &parts).await;
    let counters = shared.cloud().counters();
    Counters::add(&counters.requests, 1);
    if parts.method == Method::GET {
        let bytes = hyper::body::Body::size_hint(response.body()).lower();
        Counters::add(&counters.media_bytes, bytes);
    }
    Ok(response)
}

async fn route(shared: &Shared, meter: &Meter, connection: &Connection, request: &Parts) -> Response<Body> {
    let path = request.uri.path().strip_prefix('/').unwrap_or_default();
    let method_understood = [Method::GET, Method::HEAD].contains(&request.method);
    if path == "healthz" && method_understood {
        return text(StatusCode::OK, "ok\n");
    }
    let Some((id, name)) = path.split_once('/') else { return not_found() };
    let Some(camera) = shared.camera(id) else { return not_found() };
    if !method_understood {
        return text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are understood.\n");
    }
    meter.asked(connection, camera.id());
    Counters::add(&shared.cloud().counters().objects, 1);
    hls::answer(shared, id, name, request).await
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::client::conn::http1 as client;
    use media::Stream;
    use model::CameraId;

    use super::*;
    use crate::cloud::Cloud;
    use feed::Feed;

    #[tokio::test(flavor = "current_thread")]
    async fn only_media_is_behind_this_door() {
        let shared = Shared::new(Cloud::new(None, None));
        let feed = Feed::new(Stream::new(media::Options::default(), 1));
        let trouble = model::Trouble::Busy;
        feed.set_state(model::CameraState::Waiting { trouble, retry_in_ms: 1000 });
        shared.add(CameraId::new("gate").unwrap(), None, feed).unwrap();
        assert_eq!(shared.quiet(), None);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let meter = Arc::new(Meter::default());
        tokio::spawn(serve(listener, shared.clone(), meter.clone()));
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for (method, path, expected) in [
            ("GET", "/healthz", 200),
            ("GET", "/gate/live.m3u8", 503),
            ("GET", "/gate/1.m4s", 404),
            // Nothing that the LAN's door shows.
            ("GET", "/", 404),
            ("GET", "/gate/", 404),
            ("GET", "/gate", 404),
            ("GET", "/join", 404),
            ("GET", "/metrics", 404),
            ("GET", "/assets/style.css", 404),
            ("GET", "/api/v1/join", 404),
            ("GET", "/api/v1/cameras", 404),
            ("GET", "/api/v1/cameras/gate", 404),
            ("POST", "/api/v1/join", 404),
            ("GET", "/setup/", 404),
            ("GET", "/api/v1/setup/state", 404),
            ("POST", "/api/v1/setup/claim", 404),
            ("POST", "/api/v1/setup/login", 404),
            ("DELETE", "/gate/live.m3u8", 405),
        ] {
            let request = Request::builder().method(method).uri(path).header("host", "10.13.1.1");
            sender.ready().await.unwrap();
            let answer = sender.send_request(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), expected, "{method} {path}");
            answer.into_body().collect().await.unwrap();
        }
        let watched = meter.look().watched;
        assert_eq!(watched.keys().map(CameraId::as_str).collect::<Vec<_>>(), ["gate"]);
        let objects = shared.cloud().counters().objects.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(objects, 3, "what was asked of a camera");
        assert!(shared.quiet().is_some(), "the box does not know that somebody watches");
    }
}
