//! SADP (UDP 37020), as Hikvision's cameras answer it: to the group, never to who asked, on each interface.
//!
//! Invariant: the camera tells the truth of its addresses and of its activation; `activated=off` is told here, too.

use std::sync::Arc;

use crate::{
    camera::{Camera, lock},
    onvif::escape,
    station::{Group, Station},
};

/// IPv4 group and port.
pub(crate) const GROUP: Group = Group { address: [239, 255, 255, 250], port: 37020, broadcast: false };

/// Answers on one interface for all cameras, for ever.
pub(crate) async fn serve(cameras: Arc<Vec<Arc<Camera>>>, station: Station) {
    loop {
        let (question, _) = station.hear().await;
        let question = String::from_utf8_lossy(&question).into_owned();
        if !question.contains("<Probe>") || !question.contains("<Types>inquiry</Types>") {
            continue;
        }
        let uuid = crate::wsd::element(&question, "Uuid").unwrap_or_default();
        for camera in cameras.iter() {
            station.tell_all(description(camera, &station, uuid).as_bytes()).await;
        }
    }
}

fn description(camera: &Camera, station: &Station, uuid: &str) -> String {
    let activated = lock(&camera.quirks).activated;
    let mac = station.mac(camera.index).map(|byte| format!("{byte:02x}")).join("-");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ProbeMatch>\n<Uuid>{uuid}</Uuid>\n<Types>inquiry</Types>\n\
         <DeviceType>0</DeviceType>\n<DeviceDescription>IPCamera</DeviceDescription>\n\
         <DeviceSN>{model}20260401AAWRJ{index:08}</DeviceSN>\n<CommandPort>8000</CommandPort>\n<HttpPort>{http}</HttpPort>\n\
         <MAC>{mac}</MAC>\n<IPv4Address>{address}</IPv4Address>\n<IPv4SubnetMask>255.255.255.0</IPv4SubnetMask>\n\
         <IPv4Gateway>0.0.0.0</IPv4Gateway>\n<IPv6Address>::</IPv6Address>\n<DHCP>false</DHCP>\n\
         <AnalogChannelNum>0</AnalogChannelNum>\n<DigitalChannelNum>0</DigitalChannelNum>\n\
         <SoftwareVersion>V5.7.3build 220315</SoftwareVersion>\n<Activated>{activated}</Activated>\n\
         <PasswordResetAbility>true</PasswordResetAbility>\n</ProbeMatch>\n",
        uuid = escape(uuid),
        model = escape(&camera.model),
        index = camera.index,
        http = camera.http_port,
        address = station.address,
    )
}
