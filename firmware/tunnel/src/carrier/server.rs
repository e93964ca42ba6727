//! The hub's end: judges a request for an upgrade, and makes a WebSocket of the stream that was upgraded.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response, header};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{SUBPROTOCOL, config};

/// The answer 101 to a request that asks for a WebSocket with the subprotocol `wireguard` as RFC 6455 section 4.2.1 says;
/// none where it does not.
pub fn answer<T, B: Default>(request: &Request<T>) -> Option<Response<B>> {
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let wanted = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if !wanted {
        return None;
    }
    let mut response = create_response_with_body(request, B::default).ok()?;
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Some(response)
}

/// A WebSocket on a stream whose request was answered by [`answer`].
pub async fn upgraded<S>(stream: S) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await
}
