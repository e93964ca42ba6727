//! SSDP (UPnP Device Architecture 1.1 section 1): a search out; its answers and NOTIFY in; and a device's own
//! description, when its LOCATION is on the host that answered.
//!
//! Most that speaks SSDP on a LAN is a router or a television. A camera is told by its headers, else by its
//! description; what stays unknown is left out.

use std::net::{IpAddr, Ipv4Addr};

use model::Source;

use crate::{
    Answer, Error, Kind, maker, place,
    soap::{self, Step},
    text,
};

/// The IPv4 multicast group.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// The UDP port.
pub const PORT: u16 = 1900;
/// Largest message that is read, in bytes: one that fits into a frame or two.
pub const MAX_MESSAGE: usize = 4096;

/// What a message held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The camera, where the headers alone tell one.
    pub answer: Option<Answer>,
    /// The device's description (`http://...`), only if the message puts it on the very host that answered:
    /// worth a GET, for [`read_description`]. A foreign host is never given.
    pub description: Option<String>,
}

/// A search for all root devices (section 1.3.2). Answers come within two seconds.
pub fn search() -> Vec<u8> {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:{PORT}\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: upnp:rootdevice\r\n\r\n"
    )
    .into_bytes()
}

/// Reads a message that came from `from`. Searches of others give nothing.
///
/// # Errors
/// [`Error`] when it is too large or not SSDP.
pub fn read(bytes: &[u8], from: IpAddr) -> Result<Heard, Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::TooLarge { limit: MAX_MESSAGE });
    }
    let message = String::from_utf8_lossy(bytes);
    let mut lines = message.lines();
    let start = lines.next().unwrap_or_default().trim().to_ascii_uppercase();
    let headers: Vec<(&str, &str)> = lines
        .take(64)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or("", |(_, value)| *value)
    };
    if start.starts_with("M-SEARCH ") {
        return Ok(Heard::default());
    }
    let notify = start.starts_with("NOTIFY ");
    let found = start.starts_with("HTTP/1.") && start.contains(" 200");
    if !notify && !found {
        return Err(Error::Not("SSDP"));
    }
    if notify && header("NTS").eq_ignore_ascii_case("ssdp:byebye") {
        let answer = Answer { kind: Kind::Gone, ..Answer::new(Source::Ssdp) };
        return Ok(Heard { answer: Some(answer), description: None });
    }
    let says = [header("SERVER"), header("ST"), header("NT"), header("USN")];
    let camera = says.iter().any(|text| maker::means_camera(text) || is_camera_word(text));
    let description = place::http(header("LOCATION"), from)
        .filter(|place| !place.foreign && place.url.starts_with("http://"))
        .map(|place| place.url);
    let answer = camera.then(|| {
        let maker = says.iter().find_map(|text| maker::named_in(text));
        Answer { maker, ..Answer::new(Source::Ssdp) }
    });
    Ok(Heard { answer, description })
}

/// Reads a device description (section 2.3) that a device served; `None` when it is not a camera's. Addresses in it
/// are not followed.
pub fn read_description(bytes: &[u8]) -> Option<Answer> {
    let mut fields: [Option<String>; 5] = Default::default();
    let names = ["deviceType", "friendlyName", "manufacturer", "modelName", "modelDescription"];
    soap::walk(bytes, |step| {
        if let Step::Close(element, text, _) = step
            && let Some(at) = names.iter().position(|name| *name == element)
            && let Some(field) = fields.get_mut(at)
        {
            // The root device comes first, embedded ones after it.
            *field = field.take().or_else(|| text::clean(text));
        }
    })
    .ok()?;
    let camera = fields.iter().flatten().any(|text| maker::means_camera(text) || is_camera_word(text));
    let [_, name, manufacturer, model, _] = fields;
    let maker = manufacturer.map(|text| maker::named_in(&text).unwrap_or(text));
    camera.then(|| Answer { name, maker, model, ..Answer::new(Source::Ssdp) })
}

/// Words of cameras that name no maker.
fn is_camera_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "digitalsecuritycamera",
        "axis-com",
        "ipcam",
        "ip camera",
        "ip-camera",
        "network camera",
        "networkcamera",
        "embeddednetdevice",
    ]
    .iter()
    .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;
