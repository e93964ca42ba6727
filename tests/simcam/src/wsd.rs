//! WS-Discovery (OASIS 1.0 as ONVIF Core 7 profiles it): Hello, ProbeMatches, ResolveMatches, Bye, on each interface.
//!
//! Invariant: an answer leaves through the interface that heard the question and names that interface's address.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::{
    camera::{Camera, lock},
    onvif::escape,
    quirks::Probe,
};

/// IPv4 group and port of WS-Discovery.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 3702);

static MESSAGE: AtomicU32 = AtomicU32::new(1);

/// A discovery socket on one interface.
#[derive(Debug)]
pub(crate) struct Port {
    socket: UdpSocket,
    address: Ipv4Addr,
}

/// Opens a socket on each interface that is up; loopback too when there is no other.
pub(crate) fn ports() -> io::Result<Vec<Port>> {
    let mut found: Vec<(Ipv4Addr, bool)> = Vec::new();
    for interface in getifaddrs()? {
        let Some(address) = interface.address.and_then(|address| Some(address.as_sockaddr_in()?.ip())) else {
            continue;
        };
        if interface.flags.contains(InterfaceFlags::IFF_UP) {
            found.push((address, interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)));
        }
    }
    if found.iter().any(|(_, loopback)| !loopback) {
        found.retain(|(_, loopback)| !loopback);
    }
    found.into_iter().map(|(address, _)| open(address)).collect()
}

fn open(address: Ipv4Addr) -> io::Result<Port> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // only what this interface hears, although every socket is bound to the same port
    socket.set_multicast_all_v4(false)?;
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(*GROUP.ip(), GROUP.port())).into())?;
    socket.join_multicast_v4(GROUP.ip(), &address)?;
    socket.set_multicast_if_v4(&address)?;
    Ok(Port { socket: UdpSocket::from_std(socket.into())?, address })
}

/// Answers on one interface for all cameras, for ever.
pub(crate) async fn serve(cameras: Arc<Vec<Arc<Camera>>>, port: Arc<Port>) {
    announce(&cameras, &port, "Hello").await;
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok((count, from)) = port.socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let question = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
        for camera in cameras.iter() {
            if let Some(answer) = answer(camera, port.address, &question) {
                let _ = port.socket.send_to(answer.as_bytes(), from).await; // UDP promises nothing
            }
        }
    }
}

/// Says Hello or Bye for all cameras.
pub(crate) async fn announce(cameras: &[Arc<Camera>], port: &Port, action: &str) {
    for camera in cameras {
        if lock(&camera.quirks).probe == Probe::None {
            continue;
        }
        let body = format!("<d:{action}>{}</d:{action}>", device(camera, port.address));
        let _ = port.socket.send_to(envelope(action, "", &body).as_bytes(), GROUP).await; // UDP promises nothing
    }
}

fn answer(camera: &Camera, address: Ipv4Addr, question: &str) -> Option<String> {
    let relates = element(question, "MessageID")?;
    let relates = format!("<a:RelatesTo>{}</a:RelatesTo>", escape(relates));
    let device = device(camera, address);
    let probe = lock(&camera.quirks).probe;
    if element(question, "Resolve").is_some() {
        let asked = probe != Probe::None && question.contains(&camera.uuid);
        let body = format!("<d:ResolveMatches><d:ResolveMatch>{device}</d:ResolveMatch></d:ResolveMatches>");
        return asked.then(|| envelope("ResolveMatches", &relates, &body));
    }
    let types = element(element(question, "Probe")?, "Types").unwrap_or_default();
    let wants = |word: &str| types.split_whitespace().any(|kind| kind.rsplit(':').next() == Some(word));
    let (wants_device, wants_transmitter) = (wants("Device"), wants("NetworkVideoTransmitter"));
    let wants_any = types.trim().is_empty();
    let matches = match probe {
        Probe::Both => wants_any || wants_device || wants_transmitter,
        Probe::Device => wants_device,
        Probe::Transmitter => wants_transmitter,
        Probe::None => false,
    };
    let body = format!("<d:ProbeMatches><d:ProbeMatch>{device}</d:ProbeMatch></d:ProbeMatches>");
    matches.then(|| envelope("ProbeMatches", &relates, &body))
}

fn device(camera: &Camera, address: Ipv4Addr) -> String {
    let host = lock(&camera.quirks).xaddrs_host.clone().unwrap_or_else(|| address.to_string());
    let name: String = camera
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c.to_string() } else { percent(c) })
        .collect();
    format!(
        "<a:EndpointReference><a:Address>urn:uuid:{uuid}</a:Address></a:EndpointReference>\
         <d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>\
         <d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/Profile/Streaming \
         onvif://www.onvif.org/name/{name} onvif://www.onvif.org/hardware/simcam</d:Scopes>\
         <d:XAddrs>http://{host}:{port}/onvif/device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>",
        uuid = camera.uuid,
        port = camera.http_port,
    )
}

fn percent(c: char) -> String {
    c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn envelope(action: &str, relates: &str, body: &str) -> String {
    let number = MESSAGE.fetch_add(1, Ordering::Relaxed);
    let random = crate::random();
    let (a, b) = (random >> 32, random & 0xffff_ffff_ffff);
    let to = if relates.is_empty() {
        "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
    } else {
        "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\" \
         xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\"><s:Header>\
         <a:MessageID>urn:uuid:{a:08x}-0000-4000-8000-{b:012x}</a:MessageID>{relates}<a:To>{to}</a:To>\
         <a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/{action}</a:Action>\
         <d:AppSequence InstanceId=\"1\" MessageNumber=\"{number}\"/></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// The inside of the first element of this local name. Enough for what a well-meaning client asks.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let tag = &rest[..rest.find('>')?];
        let qualified = tag.split([' ', '\t', '\r', '\n', '/']).next().unwrap_or_default();
        if !tag.starts_with('/') && qualified.rsplit(':').next() == Some(name) {
            let inside = &rest[tag.len() + 1..];
            return Some(if tag.ends_with('/') {
                ""
            } else {
                &inside[..inside.find(&format!("</{qualified}"))?]
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_local_name() {
        let xml = "<?xml version='1.0'?><e:Env xmlns:e='x'><p:Types a='b'> dn:X </p:Types><Empty/></e:Env>";
        assert_eq!(element(xml, "Types"), Some(" dn:X "));
        assert_eq!(element(xml, "Empty"), Some(""));
        assert_eq!(element(xml, "Probe"), None);
    }
}
