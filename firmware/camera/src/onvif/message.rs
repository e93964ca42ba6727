//! SOAP requests to an ONVIF device and its answers. Pure; hostile bytes never panic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::encoder::Encoder;
use super::xml::{Element, XmlError};
use crate::choice::Profile;
use crate::session::probe::Login;

/// Longest text kept of what a device says of itself, characters.
const MAX_TEXT: usize = 256;
/// Most profiles kept of a device.
const MAX_PROFILES: usize = 64;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Request<'a> {
    /// Device: the clock; needs no login (Core, 8.3.6).
    GetSystemDateAndTime,
    /// Device: maker, model, firmware, serial number.
    GetDeviceInformation,
    /// Device: where its services are (Core, 8.1.1).
    GetServices,
    /// Device: the same, for old devices (Core, 8.1.2).
    GetCapabilities,
    /// Media 1: the profiles.
    GetProfiles,
    /// Media 1: a profile's stream.
    GetStreamUri(&'a str),
    /// Media 1: a profile's still picture.
    GetSnapshotUri(&'a str),
    /// Media 2: the profiles.
    GetProfiles2,
    /// Media 2: a profile's stream.
    GetStreamUri2(&'a str),
    /// Media 2: a profile's still picture.
    GetSnapshotUri2(&'a str),
    /// Media 1: one video encoder configuration.
    GetEncoder(&'a str),
    /// Media 1: what it could be; the configuration's token and the profile's.
    GetEncoderOptions(&'a str, &'a str),
    /// Media 1: changes it.
    SetEncoder(&'a Encoder),
    /// Media 2: one video encoder configuration, or all.
    GetEncoders2(Option<&'a str>),
    /// Media 2: what it could be; the configuration's token and the profile's.
    GetEncoderOptions2(&'a str, &'a str),
    /// Media 2: changes it.
    SetEncoder2(&'a Encoder),
}

impl Request<'_> {
    const DEVICE: &'static str = "http://www.onvif.org/ver10/device/wsdl";
    const MEDIA: &'static str = "http://www.onvif.org/ver10/media/wsdl";
    const MEDIA2: &'static str = "http://www.onvif.org/ver20/media/wsdl";

    fn namespace(&self) -> &'static str {
        match self {
            Self::GetSystemDateAndTime
            | Self::GetDeviceInformation
            | Self::GetServices
            | Self::GetCapabilities => Self::DEVICE,
            Self::GetProfiles
            | Self::GetStreamUri(_)
            | Self::GetSnapshotUri(_)
            | Self::GetEncoder(_)
            | Self::GetEncoderOptions(..)
            | Self::SetEncoder(_) => Self::MEDIA,
            Self::GetProfiles2
            | Self::GetStreamUri2(_)
            | Self::GetSnapshotUri2(_)
            | Self::GetEncoders2(_)
            | Self::GetEncoderOptions2(..)
            | Self::SetEncoder2(_) => Self::MEDIA2,
        }
    }

    fn operation(&self) -> &'static str {
        match self {
            Self::GetSystemDateAndTime => "GetSystemDateAndTime",
            Self::GetDeviceInformation => "GetDeviceInformation",
            Self::GetServices => "GetServices",
            Self::GetCapabilities => "GetCapabilities",
            Self::GetProfiles | Self::GetProfiles2 => "GetProfiles",
            Self::GetStreamUri(_) | Self::GetStreamUri2(_) => "GetStreamUri",
            Self::GetSnapshotUri(_) | Self::GetSnapshotUri2(_) => "GetSnapshotUri",
            Self::GetEncoder(_) => "GetVideoEncoderConfiguration",
            Self::GetEncoders2(_) => "GetVideoEncoderConfigurations",
            Self::GetEncoderOptions(..) | Self::GetEncoderOptions2(..) => {
                "GetVideoEncoderConfigurationOptions"
            }
            Self::SetEncoder(_) | Self::SetEncoder2(_) => "SetVideoEncoderConfiguration",
        }
    }

    /// The SOAP action: some devices look at nothing else.
    pub fn action(&self) -> String {
        format!("{}/{}", self.namespace(), self.operation())
    }

    fn body(&self) -> String {
        let (operation, namespace) = (self.operation(), self.namespace());
        let inner = match self {
            Self::GetSystemDateAndTime
            | Self::GetDeviceInformation
            | Self::GetProfiles
            | Self::GetEncoders2(None) => String::new(),
            Self::GetServices => "<IncludeCapability>false</IncludeCapability>".into(),
            Self::GetCapabilities => "<Category>All</Category>".into(),
            Self::GetProfiles2 => "<Type>VideoSource</Type><Type>VideoEncoder</Type>".into(),
            Self::GetStreamUri(token) => format!(
                "<StreamSetup><Stream xmlns=\"{SCHEMA}\">RTP-Unicast</Stream><Transport xmlns=\"{SCHEMA}\"><Protocol>RTSP</Protocol></Transport></StreamSetup><ProfileToken>{}</ProfileToken>",
                quick_xml::escape::escape(*token)
            ),
            Self::GetStreamUri2(token) => {
                format!(
                    "<Protocol>RTSP</Protocol><ProfileToken>{}</ProfileToken>",
                    quick_xml::escape::escape(*token)
                )
            }
            Self::GetSnapshotUri(token) | Self::GetSnapshotUri2(token) => {
                format!("<ProfileToken>{}</ProfileToken>", quick_xml::escape::escape(*token))
            }
            Self::GetEncoder(token) | Self::GetEncoders2(Some(token)) => {
                format!("<ConfigurationToken>{}</ConfigurationToken>", quick_xml::escape::escape(*token))
            }
            Self::GetEncoderOptions(encoder, profile) | Self::GetEncoderOptions2(encoder, profile) => {
                format!(
                    "<ConfigurationToken>{}</ConfigurationToken><ProfileToken>{}</ProfileToken>",
                    quick_xml::escape::escape(*encoder),
                    quick_xml::escape::escape(*profile)
                )
            }
            Self::SetEncoder(new) => format!("{}<ForcePersistence>true</ForcePersistence>", new.xml(false)),
            Self::SetEncoder2(new) => new.xml(true),
        };
        format!("<{operation} xmlns=\"{namespace}\" xmlns:tt=\"{SCHEMA}\">{inner}</{operation}>")
    }

    /// The whole envelope; `security` is a header of [`security`] or empty.
    pub fn envelope(&self, security: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Header>{security}</s:Header><s:Body>{}</s:Body></s:Envelope>",
            self.body()
        )
    }
}

const SCHEMA: &str = "http://www.onvif.org/ver10/schema";

/// A WS-Security header with a UsernameToken in its digest form (OASIS WSS UsernameToken Profile 1.0, 3.1).
/// `created_s` is seconds since 1970 on the device's clock.
pub fn security(login: &Login, nonce: [u8; 16], created_s: i64) -> String {
    let created = timestamp(created_s);
    let mut sha = Sha1::new();
    sha.update(nonce);
    sha.update(created.as_bytes());
    sha.update(login.password.expose().as_bytes());
    let digest = STANDARD.encode(sha.finalize());
    let nonce = STANDARD.encode(nonce);
    let user = quick_xml::escape::escape(login.user.as_str());
    format!(
        "<Security s:mustUnderstand=\"1\" xmlns=\"{WSSE}-secext-1.0.xsd\"><UsernameToken><Username>{user}</Username><Password Type=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest\">{digest}</Password><Nonce EncodingType=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary\">{nonce}</Nonce><Created xmlns=\"{WSSE}-utility-1.0.xsd\">{created}</Created></UsernameToken></Security>"
    )
}

const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity";

/// Seconds since 1970 as `2026-11-21T10:00:00Z` (proleptic Gregorian; years 0 to 9999).
fn timestamp(seconds: i64) -> String {
    let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Days since 1970 to year, month, day (H. Hinnant, "chrono-compatible low-level date algorithms").
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

/// Year, month, day to days since 1970; `None` for what is no date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468)
}

/// What an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The body's content.
    Body(Element),
    /// A fault because of the login (ONVIF Core, 5.11.2.1: `NotAuthorized`; WS-Security: `FailedAuthentication`).
    NotAuthorized,
    /// Another fault, with its reason.
    Fault(String),
}

/// Reads an answer.
///
/// # Errors
/// [`XmlError`] when it is not XML within the limits.
pub fn reply(bytes: &[u8]) -> Result<Reply, XmlError> {
    let document = Element::read(bytes)?;
    let body = document.find("Body").ok_or(XmlError::Malformed)?;
    let Some(fault) = body.child("Fault") else {
        return Ok(Reply::Body(body.children.first().cloned().unwrap_or_default()));
    };
    let mut codes = String::new();
    collect(fault, &mut codes);
    let codes = codes.to_ascii_lowercase();
    let refused =
        ["notauthorized", "failedauthentication", "not authorized", "unauthorized", "authority failure"];
    if refused.iter().any(|word| codes.contains(word)) {
        return Ok(Reply::NotAuthorized);
    }
    let reason = fault
        .find("Reason")
        .and_then(|reason| reason.text_of("Text"))
        .or_else(|| fault.text_of("faultstring"));
    Ok(Reply::Fault(kept(reason.unwrap_or("no reason given"))))
}

fn collect(element: &Element, into: &mut String) {
    into.push_str(&element.text);
    into.push(' ');
    for child in &element.children {
        collect(child, into);
    }
}

/// The device's clock, seconds since 1970 (GetSystemDateAndTimeResponse).
pub fn clock(answer: &Element) -> Option<i64> {
    let utc = answer.find("UTCDateTime").or_else(|| answer.find("LocalDateTime"))?;
    let number = |name: &str| utc.text_of(name).and_then(|text| text.parse::<i64>().ok());
    let days = days(number("Year")?, number("Month")?, number("Day")?)?;
    let (hour, minute, second) = (number("Hour")?, number("Minute")?, number("Second")?);
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return None;
    }
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Addresses of the media services, version 1 and 2, as the device claims them
/// (GetServicesResponse or GetCapabilitiesResponse).
pub fn media_services(answer: &Element) -> (Option<String>, Option<String>) {
    let of = |namespace: &str| {
        let is = |service: &&Element| service.child("Namespace").is_some_and(|name| name.text == namespace);
        let service = answer.children.iter().find(is)?;
        service.text_of("XAddr").map(ToOwned::to_owned)
    };
    let old = || answer.child("Capabilities")?.child("Media")?.text_of("XAddr").map(ToOwned::to_owned);
    (of(Request::MEDIA).or_else(old), of(Request::MEDIA2))
}

/// The profiles with video (GetProfilesResponse of Media 1 or 2), at most 64.
pub fn profiles(answer: &Element, media2: bool) -> Vec<Profile> {
    answer
        .children
        .iter()
        .filter(|profile| profile.name == "Profiles")
        .filter_map(|profile| {
            let encoder = if media2 {
                profile.child("Configurations")?.child("VideoEncoder")?
            } else {
                profile.child("VideoEncoderConfiguration")?
            };
            let encoder = Encoder::read(encoder);
            let source = if media2 {
                profile.child("Configurations").and_then(|all| all.child("VideoSource"))
            } else {
                profile.child("VideoSourceConfiguration")
            };
            let of_source = |name| source.and_then(|source| source.text_of(name)).map(kept);
            let mut found = Profile {
                token: profile.attribute("token").filter(|token| token.len() <= MAX_TEXT)?.to_owned(),
                name: kept(profile.child("Name").map_or("", |name| name.text.as_str())),
                media2,
                source: of_source("SourceToken"),
                source_name: of_source("Name"),
                ..Profile::default()
            };
            found.describe(encoder);
            Some(found)
        })
        .take(MAX_PROFILES)
        .collect()
}

/// The settings in a GetVideoEncoderConfiguration(s)Response of Media 1 or 2, at most 64.
pub fn encoders(answer: &Element) -> Vec<Encoder> {
    let all = answer
        .children
        .iter()
        .filter(|child| matches!(child.name.as_str(), "Configuration" | "Configurations"));
    all.map(Encoder::read).take(MAX_PROFILES).collect()
}

/// The address in a GetStreamUriResponse or GetSnapshotUriResponse, as the device claims it.
pub fn uri(answer: &Element) -> Option<&str> {
    answer.text_of("Uri").filter(|uri| uri.len() <= 2048)
}

/// A text of the device, cut, without control characters.
pub fn kept(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(inner: &str) -> Element {
        let text = format!(
            "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body>{inner}</e:Body></e:Envelope>"
        );
        match reply(text.as_bytes()) {
            Ok(Reply::Body(element)) => element,
            other => panic!("{other:?}"),
        }
    }

    /// The worked example of the ONVIF Application Programmer's Guide, 6.1.1.3.
    #[test]
    fn a_username_token_is_what_the_guide_computes() {
        let login = Login { user: "user".into(), password: "userpassword".to_owned().into() };
        let nonce: [u8; 16] = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap().try_into().unwrap();
        let header = security(&login, nonce, 1_284_623_445);
        assert!(header.contains("2010-09-16T07:50:45Z"), "{header}");
        assert!(header.contains("tuOSpGlFlIXsozq4HFNeeGeFLEI="), "{header}");
        assert!(!header.contains("userpassword"));
    }

    #[test]
    fn a_request_escapes_what_the_camera_named() {
        let envelope = Request::GetStreamUri("a<b&\"c").envelope("");
        let document = Element::read(envelope.as_bytes()).unwrap();
        assert_eq!(document.text_of("ProfileToken"), Some("a<b&\"c"));
    }

    #[test]
    fn a_clock_180_days_off_is_read() {
        let answer = body(
            "<tds:GetSystemDateAndTimeResponse xmlns:tds=\"x\"><tds:SystemDateAndTime><tt:UTCDateTime xmlns:tt=\"y\"><tt:Time><tt:Hour>7</tt:Hour><tt:Minute>50</tt:Minute><tt:Second>45</tt:Second></tt:Time><tt:Date><tt:Year>2010</tt:Year><tt:Month>9</tt:Month><tt:Day>16</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>",
        );
        assert_eq!(clock(&answer), Some(1_284_623_445));
        assert_eq!(clock(&body("<GetSystemDateAndTimeResponse/>")), None);
    }

    #[test]
    fn profiles_of_both_services_are_read() {
        let one = body(
            "<GetProfilesResponse><Profiles token=\"p1\"><Name>Main</Name><VideoEncoderConfiguration token=\"e\"><Encoding>H264</Encoding><Resolution><Width>1920</Width><Height>1080</Height></Resolution></VideoEncoderConfiguration></Profiles><Profiles token=\"p2\"><Name>Sound only</Name></Profiles></GetProfilesResponse>",
        );
        let found = profiles(&one, false);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].token.as_str(), found[0].encoding.as_str(), found[0].size),
            ("p1", "H264", (1920, 1080))
        );
        let two = body(
            "<GetProfilesResponse><Profiles token=\"q\"><Name>M</Name><Configurations><VideoEncoder token=\"e\"><Encoding>H265</Encoding></VideoEncoder></Configurations></Profiles></GetProfilesResponse>",
        );
        assert_eq!(profiles(&two, true)[0].encoding, "H265");
    }

    #[test]
    fn a_refused_login_is_told_from_another_fault() {
        let fault =
            |inner: &str| reply(format!("<E><Body><Fault>{inner}</Fault></Body></E>").as_bytes()).unwrap();
        assert_eq!(
            fault("<Code><Value>s:Sender</Value><Subcode><Value>ter:NotAuthorized</Value></Subcode></Code>"),
            Reply::NotAuthorized
        );
        assert_eq!(fault("<faultcode>wsse:FailedAuthentication</faultcode>"), Reply::NotAuthorized);
        assert_eq!(
            fault("<Reason><Text>No such profile</Text></Reason>"),
            Reply::Fault("No such profile".into())
        );
    }

    proptest! {
        #[test]
        fn hostile_answers_never_panic(bytes: Vec<u8>, text in "(<(e:)?(Body|Fault|Profiles|Year|a b='&#[0-9]{1,9};')/?>|</(Body|e)>|&(amp|x|#x?[0-9a-f]{1,8});|<!\\[CDATA\\[|\\]\\]>|[ -~]{0,5}){0,40}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                if let Ok(Reply::Body(answer)) = reply(bytes) {
                    let _ = (clock(&answer), media_services(&answer), profiles(&answer, false), profiles(&answer, true), uri(&answer).is_some());
                }
            }
        }

        #[test]
        fn dates_go_there_and_back(second in -62_167_219_200_i64..253_402_300_800) {
            let text = timestamp(second);
            let number = |range: core::ops::Range<usize>| text[range].parse::<i64>().unwrap();
            let day = days(number(0..4), number(5..7), number(8..10)).unwrap();
            prop_assert_eq!(day * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19), second);
        }
    }
}
