//! SADP, by which Hikvision's devices and their rebrands are found (UDP 37020): an inquiry out, descriptions in.
//!
//! The maker publishes no specification. Inquiry and fields are as several independent programs describe them:
//! UniversalScanner's `Hikvision` engine and the Python package `hiktools` among them. Most devices answer to the group and not to
//! who asked, and they do so in whatever subnet they are configured for, so that a new camera at 192.168.1.64 is heard from
//! anywhere on its wire. Of SADP only the inquiry is spoken here: its other requests change devices.

use std::net::{IpAddr, Ipv4Addr};

use model::Source;

use crate::{
    Answer, Error,
    mac::Mac,
    maker, place,
    soap::{self, Step},
    text,
};

/// The IPv4 multicast group, for questions and for answers.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// The UDP port, for questions and for answers.
pub const PORT: u16 = 37020;
/// Largest message that is read, in bytes; descriptions of recorders have about 2,500.
pub const MAX_MESSAGE: usize = 8192;

/// Deepest element that is looked at: the root and what is directly in it.
const DEPTH: usize = 2;

/// An inquiry for the group. Its identifier is written in capitals, as the maker's own tool does.
pub fn inquiry(random: [u8; 16]) -> Vec<u8> {
    let uuid = soap::uuid(random).to_ascii_uppercase();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Probe><Uuid>{uuid}</Uuid><Types>inquiry</Types></Probe>"
    )
    .into_bytes()
}

/// Reads a message that came from `from`. Inquiries of others, and answers to requests that are not ours, give `None`.
///
/// # Errors
/// [`Error`] when it is not XML or breaks a limit.
pub fn read(bytes: &[u8], from: IpAddr) -> Result<Option<Answer>, Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::TooLarge { limit: MAX_MESSAGE });
    }
    let mut told = Description::default();
    let (mut depth, mut is_answer) = (0, false);
    soap::walk(&whole(bytes), |step| match step {
        Step::Open(name) => {
            depth += 1;
            is_answer |= depth == 1 && name.eq_ignore_ascii_case("ProbeMatch");
        }
        Step::Close(name, text, _) => {
            if depth == DEPTH {
                told.take(&name.to_ascii_lowercase(), text);
            }
            depth -= 1;
        }
    })?;
    Ok(if is_answer && !told.foreign { told.answer(from) } else { None })
}

/// Some firmware writes an ampersand as it is, which is no XML.
fn whole(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'&') {
        let (before, from) = rest.split_at(at + 1);
        out.extend(before);
        let name =
            from.iter().take(9).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'#').count();
        if name == 0 || from.get(name) != Some(&b';') {
            out.extend(b"amp;");
        }
        rest = from;
    }
    out.extend(rest);
    out
}

#[derive(Default)]
struct Description {
    /// An answer to something else than an inquiry.
    foreign: bool,
    mac: Option<Mac>,
    address: Option<Ipv4Addr>,
    kind: Option<String>,
    serial: Option<String>,
    brand: Option<String>,
    firmware: Option<String>,
    http_port: Option<u16>,
    activated: Option<bool>,
}

impl Description {
    /// Names of elements differ in case from firmware to firmware.
    fn take(&mut self, element: &str, value: &str) {
        match element {
            "types" => self.foreign |= !value.eq_ignore_ascii_case("inquiry"),
            "mac" => self.mac = self.mac.or_else(|| Mac::parse(value)),
            "ipv4address" => self.address = self.address.or_else(|| value.parse().ok()),
            "devicedescription" => self.kind = self.kind.take().or_else(|| text::clean(value)),
            "devicesn" => self.serial = self.serial.take().or_else(|| text::clean(value)),
            "oeminfo" => self.brand = self.brand.take().or_else(|| text::clean(value)),
            "softwareversion" => self.firmware = self.firmware.take().or_else(|| text::clean(value)),
            "httpport" => self.http_port = self.http_port.or_else(|| value.parse().ok()),
            "activated" => {
                let told = match value.to_ascii_lowercase().as_str() {
                    "true" | "1" | "yes" => Some(true),
                    "false" | "0" | "no" => Some(false),
                    _ => None,
                };
                self.activated = self.activated.or(told);
            }
            _ => {}
        }
    }

    fn answer(self, from: IpAddr) -> Option<Answer> {
        // Whoever says neither is no device that anybody could find again.
        if self.mac.is_none() && self.address.is_none() {
            return None;
        }
        let model = self.serial.as_deref().and_then(model_in).map(ToOwned::to_owned);
        let brand = self.brand.as_deref().and_then(maker::named_in);
        Some(Answer {
            mac: self.mac,
            maker: brand.or_else(|| Some("Hikvision".to_owned())),
            // A description is a model for some firmware, and a kind of device (`IPCamera`) for other.
            model: model.or(self.kind),
            firmware: self.firmware,
            http_port: self.http_port.filter(|port| *port != 0),
            activated: self.activated,
            claims: self.address.and_then(|address| place::claim(address, from)).into_iter().collect(),
            ..Answer::new(Source::Sadp)
        })
    }
}

/// The model at the head of a serial number, which goes on with the day on which the device was made:
/// `DS-2CD2143G0-I` of `DS-2CD2143G0-I20200114AAWRD12345678`.
fn model_in(serial: &str) -> Option<&str> {
    let day = |at: usize| {
        let digits = serial.get(at..at + 8).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        let number = |from: usize, to: usize| digits.get(from..to).and_then(|text| text.parse::<u16>().ok());
        let fits = (2005..2100).contains(&number(0, 4)?)
            && (1..=12).contains(&number(4, 6)?)
            && (1..=31).contains(&number(6, 8)?);
        fits.then_some(at)
    };
    let at = (1..serial.len()).find_map(day)?;
    serial.get(..at).map(|head| head.trim_end_matches('-')).filter(|head| head.len() >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = include_str!("../../fuzz/corpus/discovery_answer/sadp-new.xml");
    const RECORDER: &str = include_str!("../../fuzz/corpus/discovery_answer/sadp-recorder.xml");

    fn told(message: &str, from: [u8; 4]) -> Option<Answer> {
        read(message.as_bytes(), IpAddr::from(from)).unwrap()
    }

    #[test]
    fn a_new_camera_says_that_it_is_not_activated() {
        let answer = told(NEW, [192, 168, 1, 64]).unwrap();
        assert_eq!(answer.activated, Some(false));
        assert_eq!(answer.mac, Mac::parse("44:19:b6:11:22:33"));
        assert_eq!(
            (answer.maker.as_deref(), answer.model.as_deref()),
            (Some("Hikvision"), Some("DS-2CD2347G2-LU"))
        );
        assert_eq!((answer.http_port, answer.firmware.as_deref()), (Some(80), Some("V5.7.3build 220315")));
        assert!(answer.claims.is_empty(), "it is where it says");
        assert!(answer.onvif.is_empty() && answer.rtsp.is_empty(), "nobody has seen it answer there");
    }

    #[test]
    fn an_address_that_did_not_send_is_a_claim() {
        assert_eq!(told(NEW, [169, 254, 7, 7]).unwrap().claims, [IpAddr::from([192, 168, 1, 64])]);
        for lure in ["127.0.0.1", "0.0.0.0", "239.255.255.250", "255.255.255.255", "evil.example", ""] {
            let answer = told(&NEW.replace("192.168.1.64", lure), [169, 254, 7, 7]).unwrap();
            assert!(answer.claims.is_empty(), "{lure}");
        }
    }

    #[test]
    fn firmware_writes_names_brands_and_ampersands_as_it_likes() {
        let answer = told(RECORDER, [10, 0, 20, 11]).unwrap();
        assert_eq!((answer.activated, answer.model.as_deref()), (Some(true), Some("DS-7616NI-K2/16P16")));
        assert_eq!(answer.maker.as_deref(), Some("Hikvision"));
        let odd = NEW
            .replace("ProbeMatch", "Probematch")
            .replace("Activated", "ACTIVATED")
            .replace("IPCamera", "A & B &amp; C");
        assert_eq!(told(&odd, [10, 0, 0, 1]).unwrap().activated, Some(false));
        let unnamed = odd.replace("DS-2CD2347G2-LU20260401AAWRJ98765432", "0123");
        assert_eq!(told(&unnamed, [10, 0, 0, 1]).unwrap().model.as_deref(), Some("A & B & C"));
    }

    #[test]
    fn what_is_no_answer_to_an_inquiry_is_nobody() {
        assert_eq!(told(&String::from_utf8(inquiry([7; 16])).unwrap(), [10, 0, 0, 1]), None);
        assert_eq!(told(&NEW.replace("inquiry", "activate"), [10, 0, 0, 1]), None);
        assert_eq!(told("<ProbeMatch><MAC>nonsense</MAC></ProbeMatch>", [10, 0, 0, 1]), None);
        assert_eq!(told("<a><ProbeMatch><MAC>44-19-b6-11-22-33</MAC></ProbeMatch></a>", [10, 0, 0, 1]), None);
        let long = format!("<ProbeMatch>{}</ProbeMatch>", "x".repeat(MAX_MESSAGE));
        assert_eq!(
            read(long.as_bytes(), IpAddr::from([10, 0, 0, 1])),
            Err(Error::TooLarge { limit: MAX_MESSAGE })
        );
        assert_eq!(read(b"<!DOCTYPE a []><ProbeMatch/>", IpAddr::from([10, 0, 0, 1])), Err(Error::Entity));
    }

    #[test]
    fn the_inquiry_is_as_devices_know_it() {
        assert_eq!(
            String::from_utf8(inquiry([0xab; 16])).unwrap(),
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <Probe><Uuid>ABABABAB-ABAB-4BAB-ABAB-ABABABABABAB</Uuid><Types>inquiry</Types></Probe>"
        );
    }
}
