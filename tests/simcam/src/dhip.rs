//! DHIP's search (UDP 37810), as Dahua's cameras answer it: only questions behind the header of 32 bytes are heard. Who asks from
//! the camera's own subnet is answered directly, anybody else through the group and by broadcast.

use std::sync::Arc;

use crate::{
    camera::{Camera, lock},
    station::{Group, Station},
};

/// IPv4 group and port.
pub(crate) const GROUP: Group = Group { address: [239, 255, 255, 251], port: 37810, broadcast: true };

/// Bytes before the JSON.
const HEADER: usize = 32;

/// Answers on one interface for all cameras, for ever.
pub(crate) async fn serve(cameras: Arc<Vec<Arc<Camera>>>, station: Station) {
    loop {
        let (question, from) = station.hear().await;
        if !is_search(&question) {
            continue;
        }
        for camera in cameras.iter() {
            let answer = framed(&description(camera, &station));
            if station.is_near(from) {
                station.tell(&answer, from).await;
            } else {
                station.tell_all(&answer).await;
            }
        }
    }
}

fn is_search(message: &[u8]) -> bool {
    let Some((header, body)) = message.split_at_checked(HEADER) else { return false };
    let length = header[16..20].try_into().map(u32::from_le_bytes).unwrap_or_default();
    header.starts_with(b"\x20\0\0\0DHIP")
        && length as usize == body.len()
        && String::from_utf8_lossy(body).contains("\"DHDiscover.search\"")
}

fn framed(body: &str) -> Vec<u8> {
    let length = (body.len() as u64).to_le_bytes();
    [b"\x20\0\0\0DHIP".as_slice(), &[0; 8], &length, &length, body.as_bytes()].concat()
}

fn description(camera: &Camera, station: &Station) -> String {
    // bits 0 and 1: 1, nobody has set a password; 2, somebody has
    let init = if lock(&camera.quirks).activated { 0x96 } else { 0x95 };
    let mac = station.mac(camera.index).map(|byte| format!("{byte:02x}")).join(":");
    let text = |text: &str| text.replace(['"', '\\'], "'");
    format!(
        "{{ \"mac\" : \"{mac}\", \"method\" : \"client.notifyDevInfo\", \"params\" : {{ \"deviceInfo\" : {{ \
         \"AlarmInputChannels\" : 0, \"DeviceClass\" : \"IPC\", \"DeviceType\" : \"{model}\", \"HttpPort\" : {http}, \
         \"IPv4Address\" : {{ \"DefaultGateway\" : \"0.0.0.0\", \"DhcpEnable\" : false, \"IPAddress\" : \"{address}\", \
         \"SubnetMask\" : \"255.255.255.0\" }}, \"Init\" : {init}, \"MachineName\" : \"{name}\", \"Manufacturer\" : \"Private\", \
         \"Port\" : 37777, \"RemoteVideoInputChannels\" : 0, \"SerialNo\" : \"6G0E022PAG{index:05}\", \"Vendor\" : \"General\", \
         \"Version\" : \"2.840.0000000.1.R\", \"VideoInputChannels\" : 1 }} }} }}\n",
        model = text(&camera.model),
        http = camera.http_port,
        address = station.address,
        name = text(&camera.name),
        index = camera.index,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_question_with_its_header_is_heard() {
        let body = "{\"method\":\"DHDiscover.search\",\"params\":{\"mac\":\"\",\"uni\":1}}\n";
        assert!(is_search(&framed(body)));
        assert!(!is_search(body.as_bytes()));
        assert!(!is_search(&[framed(body).as_slice(), b"more"].concat()));
        assert!(!is_search(&framed("{\"method\":\"client.notifyDevInfo\"}")));
    }
}
