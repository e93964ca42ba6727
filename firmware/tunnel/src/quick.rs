//! A tunnel as a wg-quick file describes it (wg(8), wg-quick(8)): one `[Interface]`, any number of `[Peer]`.
//!
//! Read as text, nothing is resolved or opened. An error names the file and the line, never a secret.

use crate::keys::{PresharedKey, PrivateKey, PublicKey};
use crate::net::Cidr;

/// The smallest and largest MTU: what IPv4 (RFC 791) needs, and what a packet can be.
const MTU: core::ops::RangeInclusive<u16> = 576..=65_535;
/// Keys of wg-quick that change this machine rather than the tunnel; they are named as ignored.
const IGNORED: [&str; 8] = ["dns", "fwmark", "table", "preup", "postup", "predown", "postdown", "saveconfig"];

/// What the file says.
#[derive(Debug, Clone)]
pub struct Quick {
    /// `PrivateKey`.
    pub private: PrivateKey,
    /// `Address`.
    pub addresses: Vec<Cidr>,
    /// `ListenPort`.
    pub listen_port: Option<u16>,
    /// `MTU`, in bytes.
    pub mtu: Option<u16>,
    /// Keys that have no effect here, with their lines.
    pub ignored: Vec<(usize, String)>,
    /// The `[Peer]` sections.
    pub peers: Vec<QuickPeer>,
}

/// One `[Peer]` section.
#[derive(Debug, Clone)]
pub struct QuickPeer {
    /// `PublicKey`.
    pub public: PublicKey,
    /// `PresharedKey`.
    pub preshared: Option<PresharedKey>,
    /// `AllowedIPs`.
    pub allowed: Vec<Cidr>,
    /// `Endpoint`.
    pub endpoint: Option<Endpoint>,
    /// `PersistentKeepalive`, in seconds.
    pub keepalive_s: Option<u16>,
}

/// A host, by name or address, and its UDP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct QuickError {
    /// The file's name as it was given.
    pub file: String,
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// Which section a line is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    None,
    Interface,
    Peer,
}

#[derive(Default)]
struct Draft {
    interface_at: Option<usize>,
    private: Option<PrivateKey>,
    addresses: Vec<Cidr>,
    listen_port: Option<u16>,
    mtu: Option<u16>,
    ignored: Vec<(usize, String)>,
    peers: Vec<PeerDraft>,
}

#[derive(Default)]
struct PeerDraft {
    line: usize,
    public: Option<PublicKey>,
    preshared: Option<PresharedKey>,
    allowed: Vec<Cidr>,
    endpoint: Option<Endpoint>,
    keepalive_s: Option<u16>,
}

impl Quick {
    /// Reads a file's text; `file` is its name for errors.
    ///
    /// # Errors
    /// At the first line that is wrong, or when a key that must be there is not.
    pub fn parse(file: &str, text: &str) -> Result<Self, QuickError> {
        let wrong = |line, what| QuickError { file: file.to_owned(), line, what };
        let (mut draft, mut section) = (Draft::default(), Section::None);
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            if let Some(name) = text.strip_prefix('[') {
                section = draft
                    .begin(name.strip_suffix(']').unwrap_or(name), line)
                    .map_err(|what| wrong(line, what))?;
                continue;
            }
            let Some((key, value)) = text.split_once('=') else {
                return Err(wrong(line, "this is neither `[Section]` nor `Key = value`".to_owned()));
            };
            let (key, value) = (key.trim(), value.trim());
            draft.set(section, line, key, value).map_err(|what| wrong(line, what))?;
        }
        draft.finish().map_err(|(line, what)| wrong(line, what))
    }
}

impl Draft {
    fn begin(&mut self, name: &str, line: usize) -> Result<Section, String> {
        match name.trim().to_ascii_lowercase().as_str() {
            "interface" => match self.interface_at.replace(line) {
                None => Ok(Section::Interface),
                Some(first) => Err(format!("a second [Interface]; the first is in line {first}")),
            },
            "peer" => {
                self.peers.push(PeerDraft { line, ..PeerDraft::default() });
                Ok(Section::Peer)
            }
            _ => Err(format!("unknown section [{}]: there are [Interface] and [Peer]", shown(name))),
        }
    }

    fn set(&mut self, section: Section, line: usize, key: &str, value: &str) -> Result<(), String> {
        let name = key.to_ascii_lowercase();
        match (section, self.peers.last_mut()) {
            (Section::None, _) => Err("a key before [Interface] or [Peer]".to_owned()),
            (Section::Peer, Some(peer)) => peer.set(&name, key, value),
            _ if IGNORED.contains(&name.as_str()) => {
                self.ignored.push((line, key.to_owned()));
                Ok(())
            }
            _ => {
                match name.as_str() {
                    "privatekey" => {
                        self.private = Some(PrivateKey::from_base64(value).map_err(|e| e.to_string())?);
                    }
                    "address" => list(value, &mut self.addresses)?,
                    "listenport" => self.listen_port = Some(number(key, value)?),
                    "mtu" => {
                        let mtu = number(key, value)?;
                        if !MTU.contains(&mtu) {
                            return Err(format!("MTU must be {} to {}", MTU.start(), MTU.end()));
                        }
                        self.mtu = Some(mtu);
                    }
                    _ => return Err(unknown(key, "Interface")),
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Quick, (usize, String)> {
        let Some(line) = self.interface_at else {
            return Err((1, "there is no [Interface]".to_owned()));
        };
        let private = self.private.ok_or((line, "this [Interface] has no PrivateKey".to_owned()))?;
        let peers = self.peers.into_iter().map(|peer| {
            let public = peer.public.ok_or((peer.line, "this [Peer] has no PublicKey".to_owned()))?;
            if public == private.public() {
                return Err((peer.line, "this [Peer] has the interface's own key".to_owned()));
            }
            let PeerDraft { preshared, allowed, endpoint, keepalive_s, .. } = peer;
            Ok(QuickPeer { public, preshared, allowed, endpoint, keepalive_s })
        });
        let peers = peers.collect::<Result<_, _>>()?;
        let Self { addresses, listen_port, mtu, ignored, .. } = self;
        Ok(Quick { private, addresses, listen_port, mtu, ignored, peers })
    }
}

impl PeerDraft {
    fn set(&mut self, name: &str, key: &str, value: &str) -> Result<(), String> {
        match name {
            "publickey" => {
                self.public = Some(value.parse().map_err(|e: crate::keys::InvalidKey| e.to_string())?);
            }
            "presharedkey" => {
                self.preshared = Some(PresharedKey::from_base64(value).map_err(|e| e.to_string())?);
            }
            "allowedips" => list(value, &mut self.allowed)?,
            "endpoint" => self.endpoint = Some(endpoint(value)?),
            "persistentkeepalive" => {
                let seconds = if value.eq_ignore_ascii_case("off") { 0 } else { number(key, value)? };
                self.keepalive_s = Some(seconds).filter(|&seconds| seconds > 0);
            }
            _ => return Err(unknown(key, "Peer")),
        }
        Ok(())
    }
}

fn unknown(key: &str, section: &str) -> String {
    format!("unknown key {} in [{section}]", shown(key))
}

/// A word of the file in an error: short and on one line.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(40).collect()
}

/// Commas separate; an empty list is one (`AllowedIPs =`).
fn list(value: &str, into: &mut Vec<Cidr>) -> Result<(), String> {
    for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        into.push(item.parse().map_err(|error: crate::net::InvalidCidr| error.to_string())?);
    }
    Ok(())
}

fn number(key: &str, value: &str) -> Result<u16, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    number.ok_or_else(|| format!("{} must be a number from 0 to 65535", shown(key)))
}

fn endpoint(value: &str) -> Result<Endpoint, String> {
    let invalid =
        || format!("{:?} is no endpoint like hub.example.org:51820 or [2001:db8::1]:51820", shown(value));
    let (host, port) = value.rsplit_once(':').ok_or_else(invalid)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) if v6.parse::<core::net::Ipv6Addr>().is_ok() => v6,
        None if !host.is_empty()
            && !host.contains([':', '[', ']'])
            && !host.contains(char::is_whitespace) =>
        {
            host
        }
        _ => return Err(invalid()),
    };
    let port = number("the port", port).ok().filter(|&port| port > 0).ok_or_else(invalid)?;
    Ok(Endpoint { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "qFyO+I3SP2NzN1UyY8WeaCgOoeITp2Gkv9Uuy45vOFM=";
    const PEER: &str = "hX0Px4dSbqqf+r8Ea8KaGTB7enbiQzaoESs4bQXXDCY=";
    const OTHER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";

    #[test]
    fn a_file_of_a_provider_is_read() {
        let text = format!(
            "# made by a portal\n[Interface]\nPrivateKey = {KEY} # secret\nAddress = 10.66.1.2/32, fd00::2/128\n\
             address=10.67.0.1/24\nDNS = 1.1.1.1\nMTU = 1380\nListenPort = 51820\n\n[Peer]\nPublicKey={OTHER}\n\
             PresharedKey = {KEY}\nAllowedIPs = 10.66.0.0/16,\t10.1.0.0/24\nAllowedIPs =\nEndpoint = vpn.example.org:51820\n\
             PersistentKeepalive = 25\n[peer]\nPublicKey = {OTHER}\nEndpoint = [2001:db8::1]:9\npersistentkeepalive = off\n"
        );
        let quick = Quick::parse("wg0.conf", &text).unwrap();
        assert_eq!(quick.private.public().to_string(), PEER);
        assert_eq!(
            quick.addresses.iter().map(Cidr::to_string).collect::<Vec<_>>().join(" "),
            "10.66.1.2/32 fd00::2/128 10.67.0.1/24"
        );
        assert_eq!((quick.mtu, quick.listen_port), (Some(1380), Some(51820)));
        assert_eq!(quick.ignored, [(6, "DNS".to_owned())]);
        let [first, second] = quick.peers.as_slice() else { panic!() };
        assert_eq!(first.endpoint, Some(Endpoint { host: "vpn.example.org".into(), port: 51820 }));
        assert_eq!((first.allowed.len(), first.keepalive_s, first.preshared.is_some()), (2, Some(25), true));
        assert_eq!(second.endpoint, Some(Endpoint { host: "2001:db8::1".into(), port: 9 }));
        assert_eq!(second.keepalive_s, None);
    }

    #[test]
    fn errors_name_file_and_line_and_no_secret() {
        let interface = format!("[Interface]\nPrivateKey = {KEY}\n");
        let peer = format!("{interface}[Peer]\nPublicKey = {OTHER}\n");
        let cases = [
            (String::new(), "f:1: there is no [Interface]"),
            ("PrivateKey = x".into(), "f:1: a key before [Interface] or [Peer]"),
            (
                "[Interface]\n\nPrivateKey = secret".into(),
                "f:3: a key is 32 bytes in base64: 44 characters, the last one `=`",
            ),
            ("[Interface]\nAddress = 1.2.3.4".into(), "f:1: this [Interface] has no PrivateKey"),
            (format!("{interface}[Interface]"), "f:3: a second [Interface]; the first is in line 1"),
            (
                format!("{interface}[Server]"),
                "f:3: unknown section [Server]: there are [Interface] and [Peer]",
            ),
            (format!("{interface}Adress = 1.2.3.4"), "f:3: unknown key Adress in [Interface]"),
            (format!("{interface}MTU = 100"), "f:3: MTU must be 576 to 65535"),
            (format!("{interface}ListenPort = 65536"), "f:3: ListenPort must be a number from 0 to 65535"),
            (format!("{interface}[Peer]\nEndpoint = a:1"), "f:3: this [Peer] has no PublicKey"),
            (
                format!("{interface}[Peer]\nPublicKey = {PEER}"),
                "f:3: this [Peer] has the interface's own key",
            ),
            (
                format!("{peer}AllowedIPs = 10.0.0.0/40"),
                "f:5: \"10.0.0.0/40\" is no address like 10.13.0.1 or network like 10.13.0.0/16",
            ),
            (
                format!("{peer}Endpoint = ::1:51820"),
                "f:5: \"::1:51820\" is no endpoint like hub.example.org:51820 or [2001:db8::1]:51820",
            ),
            (format!("{peer}nonsense"), "f:5: this is neither `[Section]` nor `Key = value`"),
        ];
        for (text, wanted) in cases {
            let said = Quick::parse("f", &text).unwrap_err().to_string();
            assert_eq!(said, wanted);
            assert!(!said.contains("secret"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_line_of_it(
            lines in prop::collection::vec(prop_oneof![
                Just("[Interface]".to_owned()), Just("[Peer]".to_owned()),
                Just(format!("PrivateKey = {KEY}")), Just(format!("PublicKey = {OTHER}")),
                "[A-Za-z]{0,12} ?=.{0,40}", ".{0,30}",
            ], 0..12)
        ) {
            let text = lines.join("\n");
            if let Err(error) = Quick::parse("f", &text) {
                prop_assert!(error.line >= 1 && error.line <= text.lines().count().max(1));
                prop_assert!(!error.to_string().contains(KEY));
            }
        }
    }
}
