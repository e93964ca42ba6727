//! What a camera does wrong: a table of keys and values, set at start (`--quirk KEY=VALUE`) or at run time
//! (`set KEY=VALUE` on the control socket).
//!
//! Invariant: [`KEYS`] names every key that [`Quirks::set`] takes; the help is made from it.

/// What a camera does wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Quirks {
    /// Nothing is sent, TCP stays up.
    pub stall: bool,
    /// Every request but OPTIONS gets this status; 0: none. 461: UDP only; 453: only beyond `sessions`.
    pub refuse: u16,
    /// UDP is refused with 461.
    pub no_udp: bool,
    /// Sessions beyond this many get 453.
    pub sessions: usize,
    /// After this many wrong passwords every login fails; 0: never.
    pub lockout: u32,
    /// How long a lock-out lasts, seconds.
    pub lockout_seconds: u64,
    /// Every 2 s one frame is stamped 9,800 s early or 37,600 s late.
    pub stamp_jumps: bool,
    /// Every so many seconds silence of so many seconds.
    pub gap: Option<(f64, f64)>,
    /// Parameter sets in the SDP.
    pub sprop: Sprop,
    /// What the SDP says of the video.
    pub video: Video,
    /// The SDP is padded to this many bytes.
    pub sdp_size: usize,
    /// The SDP has this many media more.
    pub sdp_media: usize,
    /// Control addresses in the SDP are absolute.
    pub absolute_control: bool,
    /// Host in XAddrs and service addresses instead of the true one.
    pub xaddrs_host: Option<String>,
    /// Host in GetStreamUri instead of the true one.
    pub uri_host: Option<String>,
    /// Every request but OPTIONS, over RTSP and HTTP, is sent to this address with 302.
    pub redirect: Option<String>,
    /// Host in Content-Base and absolute control addresses instead of the true one.
    pub control_host: Option<String>,
    /// Host that RTP over UDP is said to come from.
    pub rtp_source: Option<String>,
    /// The camera's clock is this many seconds ahead.
    pub clock_offset: i64,
    /// The session ends after so many seconds without a keepalive.
    pub session_timeout: u64,
    /// What counts as a keepalive.
    pub keepalive: Keepalive,
    /// The first frame that a client gets is not a keyframe.
    pub mid_gop: bool,
    /// The second clip plays instead of the first.
    pub second_clip: bool,
    /// ONVIF answers; otherwise 404.
    pub onvif: bool,
    /// Which WS-Discovery probes are answered.
    pub probe: Probe,
    /// The camera has a password; otherwise everything is refused with 401.
    pub activated: bool,
    /// A locked camera says so, and for how long.
    pub lockout_told: bool,
    /// How ONVIF asks for a login.
    pub onvif_auth: OnvifAuth,
    /// What becomes of new settings for an encoder.
    pub encoder: Obedience,
    /// There is a second media service.
    pub media2: bool,
    /// What ONVIF answers with.
    pub xml: Xml,
    /// Where the entities of `xml` lie.
    pub xml_url: Option<String>,
}

/// How ONVIF asks for a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnvifAuth {
    /// By HTTP, and a UsernameToken does as well.
    Any,
    /// A UsernameToken only: no challenge in HTTP.
    Token,
    /// HTTP only.
    Http,
}

/// What becomes of new settings for an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obedience {
    /// They hold.
    Obeyed,
    /// A fault.
    Refused,
    /// Yes is said and nothing is done.
    Ignored,
}

/// What ONVIF answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Xml {
    /// What was asked for.
    Right,
    /// An external entity that is used.
    Entities,
    /// Entities of entities, a billion in the end.
    Bomb,
    /// An external document type.
    Dtd,
    /// Elements 10,000 deep.
    Deep,
    /// 100 MB.
    Huge,
}

/// Parameter sets in the SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sprop {
    /// As in the stream.
    Right,
    /// None.
    Missing,
    /// The picture parameter set is empty.
    EmptyPps,
    /// Bytes that are no parameter set.
    Invalid,
}

/// What the SDP says of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Video {
    /// What it is.
    Right,
    /// Nothing: there is no video.
    None,
    /// JPEG (RFC 2435).
    Mjpeg,
}

/// What counts as a keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    /// Any request, and any RTCP.
    Any,
    /// OPTIONS only.
    Options,
    /// GET_PARAMETER only.
    GetParameter,
}

/// Which WS-Discovery probes are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// For both types.
    Both,
    /// For `tds:Device` only.
    Device,
    /// For `dn:NetworkVideoTransmitter` only.
    Transmitter,
    /// None, and no Hello.
    None,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            stall: false,
            refuse: 0,
            no_udp: false,
            sessions: usize::MAX,
            lockout: 0,
            lockout_seconds: 1800,
            stamp_jumps: false,
            gap: None,
            sprop: Sprop::Right,
            video: Video::Right,
            sdp_size: 0,
            sdp_media: 0,
            absolute_control: false,
            xaddrs_host: None,
            uri_host: None,
            redirect: None,
            control_host: None,
            rtp_source: None,
            clock_offset: 0,
            session_timeout: 60,
            keepalive: Keepalive::Any,
            mid_gop: false,
            second_clip: false,
            onvif: true,
            probe: Probe::Both,
            activated: true,
            lockout_told: false,
            onvif_auth: OnvifAuth::Any,
            encoder: Obedience::Obeyed,
            media2: true,
            xml: Xml::Right,
            xml_url: None,
        }
    }
}

/// Every key with its values and its effect.
pub const KEYS: &[(&str, &str, &str)] = &[
    ("stall", "on|off", "no video, no sound, but TCP stays up and requests are answered"),
    ("refuse", "off|401|404|453|500|...", "every request but OPTIONS gets this status"),
    ("udp", "on|off", "off: SETUP over UDP gets 461"),
    ("sessions", "N|off", "SETUP of a session beyond N gets 453"),
    ("lockout", "N|off", "after N wrong logins (RTSP, HTTP, ONVIF together) even the right one fails"),
    ("lockout-seconds", "S", "how long that lasts (1800)"),
    ("stamp-jumps", "on|off", "every 2 s one frame stamped -9,800 s, the next time +37,600 s"),
    (
        "gap",
        "EVERY,LENGTH|off",
        "every EVERY seconds a silence of LENGTH seconds; pictures go on where they were",
    ),
    ("sprop", "right|missing|empty-pps|invalid", "parameter sets in the SDP"),
    ("video", "right|none|mjpeg", "what the SDP says of the video"),
    ("sdp-size", "BYTES", "pads the SDP to this size"),
    ("sdp-media", "N", "adds N media to the SDP"),
    ("control", "relative|absolute", "control addresses in the SDP"),
    ("xaddrs-host", "HOST|off", "a wrong host in XAddrs and service addresses"),
    ("uri-host", "HOST|off", "a wrong host in GetStreamUri"),
    ("redirect", "URL|off", "every request but OPTIONS gets 302 to this address; ONVIF's too"),
    ("control-host", "HOST|off", "a wrong host in Content-Base and in absolute control addresses"),
    ("rtp-source", "HOST|off", "a wrong host as source of RTP over UDP (RFC 2326, 12.39)"),
    ("clock-offset", "SECONDS", "the camera's clock is ahead (negative: behind); 15552000 is 180 days"),
    ("session-timeout", "S", "the session ends after S seconds without a keepalive (60)"),
    ("keepalive", "any|options|get_parameter", "what counts as one"),
    ("start", "keyframe|mid-gop", "the first frame that a client gets"),
    ("clip", "first|second", "which clip plays (--second FILE): another resolution in mid-stream"),
    ("onvif", "on|off", "off: 404 from the device service"),
    ("probe", "both|device|transmitter|none", "which WS-Discovery probes are answered"),
    ("activated", "on|off", "off: it has no password yet, and everything gets 401"),
    ("lockout-told", "on|off", "a locked camera says so, and for how many seconds more"),
    (
        "onvif-auth",
        "any|token|http",
        "how ONVIF asks for a login; any: HTTP, and a UsernameToken does as well",
    ),
    (
        "encoder",
        "obeyed|refused|ignored",
        "what becomes of new settings; ignored: yes is said, nothing is done",
    ),
    ("media2", "on|off", "off: there is only the first media service, which has no word for H.265"),
    (
        "xml",
        "right|entities|bomb|dtd|deep|huge",
        "what ONVIF answers with; deep: 10,000 elements, huge: 100 MB",
    ),
    ("xml-url", "URL|off", "where the entities and the document type of `xml` lie"),
];

impl Quirks {
    /// Sets one key: `KEY=VALUE`.
    ///
    /// # Errors
    /// A sentence naming the key and its values.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("{text}: a quirk is KEY=VALUE"))?;
        let (_, values, _) = KEYS
            .iter()
            .find(|(known, ..)| *known == key)
            .ok_or_else(|| format!("{key}: no such quirk, see simcam --help"))?;
        self.try_set(key, value).ok_or_else(|| format!("{key}={value}: its values are {values}"))
    }

    fn try_set(&mut self, key: &str, value: &str) -> Option<()> {
        let named = |name: &str| (value != "off").then(|| name.to_owned());
        match key {
            "stall" => self.stall = switch(value)?,
            "refuse" => self.refuse = if value == "off" { 0 } else { value.parse().ok()? },
            "udp" => self.no_udp = !switch(value)?,
            "sessions" => self.sessions = if value == "off" { usize::MAX } else { value.parse().ok()? },
            "lockout" => self.lockout = if value == "off" { 0 } else { value.parse().ok()? },
            "lockout-seconds" => self.lockout_seconds = value.parse().ok()?,
            "stamp-jumps" => self.stamp_jumps = switch(value)?,
            "gap" => self.gap = if value == "off" { None } else { Some(pair(value)?) },
            "sprop" => {
                self.sprop = one_of(
                    value,
                    &[
                        ("right", Sprop::Right),
                        ("missing", Sprop::Missing),
                        ("empty-pps", Sprop::EmptyPps),
                        ("invalid", Sprop::Invalid),
                    ],
                )?;
            }
            "video" => {
                self.video = one_of(
                    value,
                    &[("right", Video::Right), ("none", Video::None), ("mjpeg", Video::Mjpeg)],
                )?;
            }
            "sdp-size" => self.sdp_size = value.parse().ok()?,
            "sdp-media" => self.sdp_media = value.parse().ok()?,
            "control" => self.absolute_control = one_of(value, &[("relative", false), ("absolute", true)])?,
            "xaddrs-host" => self.xaddrs_host = named(value),
            "uri-host" => self.uri_host = named(value),
            "redirect" => self.redirect = named(value),
            "control-host" => self.control_host = named(value),
            "rtp-source" => self.rtp_source = named(value),
            "clock-offset" => self.clock_offset = value.parse().ok()?,
            "session-timeout" => self.session_timeout = value.parse().ok().filter(|&seconds| seconds > 0)?,
            "keepalive" => {
                self.keepalive = one_of(
                    value,
                    &[
                        ("any", Keepalive::Any),
                        ("options", Keepalive::Options),
                        ("get_parameter", Keepalive::GetParameter),
                    ],
                )?;
            }
            "start" => self.mid_gop = one_of(value, &[("keyframe", false), ("mid-gop", true)])?,
            "clip" => self.second_clip = one_of(value, &[("first", false), ("second", true)])?,
            "onvif" => self.onvif = switch(value)?,
            "probe" => {
                self.probe = one_of(
                    value,
                    &[
                        ("both", Probe::Both),
                        ("device", Probe::Device),
                        ("transmitter", Probe::Transmitter),
                        ("none", Probe::None),
                    ],
                )?;
            }
            "activated" => self.activated = switch(value)?,
            "lockout-told" => self.lockout_told = switch(value)?,
            "onvif-auth" => {
                self.onvif_auth = one_of(
                    value,
                    &[("any", OnvifAuth::Any), ("token", OnvifAuth::Token), ("http", OnvifAuth::Http)],
                )?;
            }
            "encoder" => {
                self.encoder = one_of(
                    value,
                    &[
                        ("obeyed", Obedience::Obeyed),
                        ("refused", Obedience::Refused),
                        ("ignored", Obedience::Ignored),
                    ],
                )?;
            }
            "media2" => self.media2 = switch(value)?,
            "xml" => {
                self.xml = one_of(
                    value,
                    &[
                        ("right", Xml::Right),
                        ("entities", Xml::Entities),
                        ("bomb", Xml::Bomb),
                        ("dtd", Xml::Dtd),
                        ("deep", Xml::Deep),
                        ("huge", Xml::Huge),
                    ],
                )?;
            }
            "xml-url" => self.xml_url = named(value),
            _ => return None,
        }
        Some(())
    }
}

fn switch(value: &str) -> Option<bool> {
    one_of(value, &[("on", true), ("off", false)])
}

fn one_of<T: Copy>(value: &str, known: &[(&str, T)]) -> Option<T> {
    known.iter().find(|(name, _)| *name == value).map(|(_, meaning)| *meaning)
}

fn pair(value: &str) -> Option<(f64, f64)> {
    let (every, length) = value.split_once(',')?;
    let (every, length) = (every.parse().ok()?, length.parse().ok()?);
    (every > length && length > 0.0).then_some((every, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_help_takes_its_first_value_and_refuses_nonsense() {
        for (key, values, _) in KEYS {
            let mut quirks = Quirks::default();
            let first = values.split('|').next().unwrap();
            let example = match first {
                "N" | "S" | "BYTES" | "SECONDS" => "7",
                "EVERY,LENGTH" => "20,5",
                other => other,
            };
            quirks.set(&format!("{key}={example}")).unwrap();
            // these take any text
            if !key.ends_with("host") && !["redirect", "rtp-source", "xml-url"].contains(key) {
                let error = quirks.set(&format!("{key}=nonsense")).unwrap_err();
                assert!(error.contains(key) && error.contains(values), "{error}");
            }
        }
        assert!(Quirks::default().set("stale=on").unwrap_err().contains("no such quirk"));
    }
}
