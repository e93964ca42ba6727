//! DHIP's search, by which Dahua's devices and their many rebrands are found (UDP 37810): a question out, descriptions in.
//!
//! The maker publishes no specification. Frame and fields are as UniversalScanner's `Dahua2` engine, the integration
//! `rroller/dahua` of Home Assistant (`discovery.py`) and Rapid7's captures of Lorex cameras have them: a header of 32 bytes and a
//! JSON object. Devices ignore the object without its header. They answer to who asked, those in another subnet to the group or by
//! broadcast.

use std::net::{IpAddr, Ipv4Addr};

use model::Source;
use serde_json::Value;

use crate::{Answer, Error, mac::Mac, maker, place, text};

/// The IPv4 multicast group, for questions and for answers.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 251);
/// The UDP port, for questions and for answers.
pub const PORT: u16 = 37810;
/// Largest message that is read, in bytes; descriptions have about 800.
pub const MAX_MESSAGE: usize = 8192;

/// Bytes of the header.
const HEADER: usize = 32;
/// What every frame starts with: the header's length, little endian, and the name.
const MAGIC: [u8; 8] = *b"\x20\0\0\0DHIP";

/// A question for the group and for broadcast.
pub fn search() -> Vec<u8> {
    frame(b"{\"method\":\"DHDiscover.search\",\"params\":{\"mac\":\"\",\"uni\":1}}\n")
}

/// A frame around a JSON object: the object's length stands in the header twice, little endian.
fn frame(object: &[u8]) -> Vec<u8> {
    let length = u64::try_from(object.len()).unwrap_or_default().to_le_bytes();
    [MAGIC.as_slice(), &[0; 8], &length, &length, object].concat()
}

/// Reads a message that came from `from`. Questions of others and messages of other kinds give `None`.
///
/// # Errors
/// [`Error`] when it is too large or not DHIP.
pub fn read(bytes: &[u8], from: IpAddr) -> Result<Option<Answer>, Error> {
    const NOT_DHIP: Error = Error::Not("DHIP");
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::TooLarge { limit: MAX_MESSAGE });
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(NOT_DHIP);
    }
    // Some firmware ends the object with a zero, as C does.
    let object = bytes.get(HEADER..).unwrap_or_default().trim_ascii();
    let end = object.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let object = String::from_utf8_lossy(object.get(..end).unwrap_or_default());
    let message: Value = serde_json::from_str(&object).map_err(|_| NOT_DHIP)?;
    let about = &message["params"]["deviceInfo"];
    if message["method"] != "client.notifyDevInfo" || !about.is_object() {
        return Ok(None);
    }
    let word = |value: &Value| value.as_str().and_then(text::clean);
    let address = about["IPv4Address"]["IPAddress"].as_str().and_then(|text| text.parse().ok());
    let mac = message["mac"].as_str().or_else(|| about["Mac"].as_str()).and_then(Mac::parse);
    let model = word(&about["DeviceType"]);
    if mac.is_none() && model.is_none() {
        return Ok(None);
    }
    // `General` and `Private` stand where a rebrand has no name of its own.
    let named =
        |value: &Value| word(value).filter(|name| !matches!(name.as_str(), "General" | "Private" | "Dahua"));
    let brand = named(&about["Vendor"]).map(|name| maker::named_in(&name).unwrap_or(name));
    Ok(Some(Answer {
        mac,
        maker: brand.or_else(|| Some("Dahua".to_owned())),
        model,
        name: word(&about["MachineName"]).filter(|name| Some(name.as_str()) != about["SerialNo"].as_str()),
        firmware: word(&about["Version"]),
        http_port: about["HttpPort"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0),
        activated: about["Init"].as_u64().and_then(initialised),
        claims: address.and_then(|address| place::claim(address, from)).into_iter().collect(),
        ..Answer::new(Source::Dhip)
    }))
}

/// The two lowest bits: 1, no account has been set up; 2, one has; 0, the device is too old to know (`byInitStatus` of the maker's
/// NetSDK, `DEVICE_NET_INFO_EX`).
const fn initialised(state: u64) -> Option<bool> {
    match state & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: &[u8] = include_bytes!("../../fuzz/corpus/discovery_answer/dhip-camera.bin");
    const NEW: &[u8] = include_bytes!("../../fuzz/corpus/discovery_answer/dhip-new.bin");

    fn told(message: &[u8], from: [u8; 4]) -> Option<Answer> {
        read(message, IpAddr::from(from)).unwrap()
    }

    #[test]
    fn a_camera_describes_itself() {
        let answer = told(CAMERA, [192, 168, 86, 81]).unwrap();
        assert_eq!(answer.mac, Mac::parse("00:1f:54:a9:2e:58"));
        assert_eq!((answer.maker.as_deref(), answer.model.as_deref()), (Some("Lorex"), Some("W461ASC")));
        assert_eq!((answer.http_port, answer.activated), (Some(80), Some(true)));
        assert_eq!((answer.name, answer.claims), (None, vec![]), "a serial number is no name");
    }

    #[test]
    fn a_new_camera_of_another_subnet_claims_its_address() {
        let answer = told(NEW, [169, 254, 3, 4]).unwrap();
        assert_eq!((answer.maker.as_deref(), answer.activated), (Some("Dahua"), Some(false)));
        assert_eq!(answer.name.as_deref(), Some("Gate"));
        assert_eq!(answer.claims, [IpAddr::from([192, 168, 1, 108])]);
    }

    #[test]
    fn the_question_has_the_header_without_which_nobody_answers() {
        let question = search();
        assert_eq!(&question[..8], b"\x20\0\0\0DHIP");
        let length = u32::try_from(question.len() - 32).unwrap().to_le_bytes();
        assert_eq!((&question[16..20], &question[24..28]), (length.as_slice(), length.as_slice()));
        let object: Value = serde_json::from_slice(&question[32..]).unwrap();
        assert_eq!(object["method"], "DHDiscover.search");
        assert_eq!(told(&question, [10, 0, 0, 1]), None, "our own question comes back and is nobody");
    }

    #[test]
    fn what_is_no_description_is_nobody() {
        let object = &CAMERA[32..];
        assert_eq!(
            read(object, IpAddr::from([10, 0, 0, 1])),
            Err(Error::Not("DHIP")),
            "bare JSON is not DHIP"
        );
        let read = |object: &str| read(&frame(object.as_bytes()), IpAddr::from([10, 0, 0, 1]));
        for nobody in [
            "{}",
            "[]",
            "null",
            r#"{"method":"client.notifyDevInfo"}"#,
            r#"{"method":"client.notifyDevInfo","params":{"deviceInfo":"text"}}"#,
            r#"{"method":"client.notifyDevInfo","params":{"deviceInfo":{"Vendor":"General"}}}"#,
            r#"{"method":"other","mac":"3c:ef:8c:00:00:01","params":{"deviceInfo":{"DeviceType":"IPC"}}}"#,
        ] {
            assert_eq!(read(nobody), Ok(None), "{nobody}");
        }
        assert!(
            read(r#"{"method":"client.notifyDevInfo","mac":"3c:ef:8c:00:00:01","params":{"deviceInfo":{}}}"#)
                .unwrap()
                .is_some()
        );
        assert_eq!(read(&"[".repeat(5_000)), Err(Error::Not("DHIP")));
        assert_eq!(read(&" ".repeat(MAX_MESSAGE)), Err(Error::TooLarge { limit: MAX_MESSAGE }));
    }
}
