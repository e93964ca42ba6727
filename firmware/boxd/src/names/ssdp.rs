//! The box as a UPnP device on one network interface, as a state machine without sockets (UPnP Device Architecture 1.1, section 1):
//! Windows lists it under "Network", and a double click opens the set-up page.
//!
//! Searches are answered only to the interface's own subnet, and at most [`SINGLE_ANSWERS`] a second, so that nobody can be
//! flooded through the box.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::interfaces::Interface;
use super::{Said, Speaker};

/// Where everybody listens.
pub(super) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// The UDP port.
pub(super) const PORT: u16 = 1900;
/// Where the description is, at the front door.
pub(crate) const PATH: &str = "/ssdp.xml";

const ROOT: &str = "upnp:rootdevice";
const BASIC: &str = "urn:schemas-upnp-org:device:Basic:1";
const SERVER: &str = concat!("Linux UPnP/1.1 streambox/", env!("CARGO_PKG_VERSION"));
/// How long an announcement holds, seconds (at least 1800 are asked for).
const MAX_AGE: u32 = 1800;
/// Announcements begin this close to each other, and go on at a third of [`MAX_AGE`].
const QUICK: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(600);
/// Longest that a search waits, seconds, whatever it says (section 1.3.2).
const LONGEST: u64 = 5;
/// Largest message that is read, bytes.
const MAX_MESSAGE: usize = 2048;
/// Most answers in a second, and most that wait.
const SINGLE_ANSWERS: usize = 20;

/// What tells the box from other devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    /// Its UUID, as UPnP writes it.
    pub(super) uuid: String,
    /// The page's port.
    pub(super) port: u16,
}

/// The device on one interface.
#[derive(Debug)]
pub(super) struct Announcer {
    device: Device,
    interface: Interface,
    announced: u32,
    next: Duration,
    /// Answers that wait for their moment.
    waiting: Vec<(Duration, SocketAddrV4, &'static str)>,
    random: u64,
}

/// What a searcher may look for; `Uuid` is the box's own.
const KINDS: [&str; 3] = [ROOT, "uuid", BASIC];

impl Announcer {
    /// Announces `device` on `interface` from `now` on; `random` may be anything.
    pub(super) const fn new(device: Device, interface: Interface, random: u64, now: Duration) -> Self {
        Self { device, interface, announced: 0, next: now, waiting: Vec::new(), random: random | 1 }
    }

    /// NT or ST and USN of a kind.
    fn names(&self, kind: &str) -> (String, String) {
        let uuid = format!("uuid:{}", self.device.uuid);
        if kind == "uuid" { (uuid.clone(), uuid) } else { (kind.to_owned(), format!("{uuid}::{kind}")) }
    }

    fn location(&self) -> String {
        format!("http://{}:{}{PATH}", self.interface.address, self.device.port)
    }

    fn notify(&self, kind: &str, alive: bool) -> Said {
        let (nt, usn) = self.names(kind);
        let rest = if alive {
            let location = self.location();
            format!(
                "NTS: ssdp:alive\r\nCACHE-CONTROL: max-age={MAX_AGE}\r\nLOCATION: {location}\r\nSERVER: {SERVER}\r\n"
            )
        } else {
            "NTS: ssdp:byebye\r\n".to_owned()
        };
        let text =
            format!("NOTIFY * HTTP/1.1\r\nHOST: {GROUP}:{PORT}\r\nNT: {nt}\r\nUSN: {usn}\r\n{rest}\r\n");
        Said { to: None, bytes: text.into_bytes() }
    }

    fn answer(&self, kind: &str, to: SocketAddrV4) -> Said {
        let (st, usn) = self.names(kind);
        let text = format!(
            "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age={MAX_AGE}\r\nEXT:\r\nLOCATION: {}\r\nSERVER: {SERVER}\r\nST: {st}\r\n\
             USN: {usn}\r\n\r\n",
            self.location()
        );
        Said { to: Some(to), bytes: text.into_bytes() }
    }

    /// Milliseconds below `most`.
    fn jitter(&mut self, most: u64) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Duration::from_millis(self.random % most.max(1))
    }

    /// Which kinds a search asks for, and how long an answer may wait.
    fn searched(&self, bytes: &[u8]) -> Option<(Vec<&'static str>, u64)> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        if !lines.next()?.starts_with("M-SEARCH * HTTP/1.") {
            return None;
        }
        let header = |wanted: &str| {
            let mut found = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
            found.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
        };
        if header("MAN")? != "\"ssdp:discover\"" {
            return None;
        }
        let st = header("ST")?;
        let kinds: Vec<&'static str> = match st {
            "ssdp:all" => KINDS.to_vec(),
            _ => KINDS.into_iter().filter(|kind| self.names(kind).0.eq_ignore_ascii_case(st)).collect(),
        };
        let wait = header("MX").and_then(|seconds| seconds.parse().ok()).unwrap_or(1).min(LONGEST);
        Some((kinds, wait))
    }
}

impl Speaker for Announcer {
    fn hear(&mut self, bytes: &[u8], from: SocketAddrV4, now: Duration) -> Vec<Said> {
        if bytes.len() > MAX_MESSAGE
            || !self.interface.holds(*from.ip())
            || *from.ip() == self.interface.address
        {
            return Vec::new();
        }
        if let Some((kinds, wait)) = self.searched(bytes) {
            for kind in kinds {
                if self.waiting.len() < SINGLE_ANSWERS {
                    let at = now + self.jitter(wait * 800);
                    self.waiting.push((at, from, kind));
                }
            }
        }
        Vec::new()
    }

    fn poll(&mut self, now: Duration) -> Vec<Said> {
        let due = |(at, _, _): &(Duration, SocketAddrV4, &'static str)| *at <= now;
        let ready: Vec<_> = self.waiting.iter().filter(|entry| due(entry)).copied().collect();
        self.waiting.retain(|entry| !due(entry));
        let mut said: Vec<Said> = ready.into_iter().map(|(_, to, kind)| self.answer(kind, to)).collect();
        if self.next <= now {
            said.extend(KINDS.iter().map(|kind| self.notify(kind, true)));
            self.announced = self.announced.saturating_add(1);
            self.next = now + if self.announced < 3 { QUICK } else { EVERY };
        }
        said
    }

    fn wake(&self) -> Option<Duration> {
        self.waiting.iter().map(|(at, _, _)| *at).chain([self.next]).min()
    }

    fn goodbye(&mut self) -> Vec<Said> {
        KINDS.iter().map(|kind| self.notify(kind, false)).collect()
    }
}

/// The description of the device (section 2.3). `at` is host and port by which it was asked for.
pub(crate) fn description(uuid: &str, name: &str, at: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let [name, at] = [name, at].map(escaped);
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <root xmlns=\"urn:schemas-upnp-org:device-1-0\">\n\
         <specVersion><major>1</major><minor>1</minor></specVersion>\n\
         <device>\n\
         <deviceType>{BASIC}</deviceType>\n\
         <friendlyName>{name}</friendlyName>\n\
         <manufacturer>Streambox</manufacturer>\n\
         <modelName>Streambox</modelName>\n\
         <modelNumber>{version}</modelNumber>\n\
         <UDN>uuid:{uuid}</UDN>\n\
         <presentationURL>http://{at}/setup/</presentationURL>\n\
         </device>\n\
         </root>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "12345678-1234-5234-9234-123456789abc";

    fn announcer() -> Announcer {
        let interface = Interface {
            name: "eth0".to_owned(),
            index: 2,
            address: Ipv4Addr::new(10, 0, 0, 5),
            mask: Ipv4Addr::new(255, 255, 255, 0),
        };
        let device = Device { uuid: UUID.to_owned(), port: 8080 };
        Announcer::new(device, interface, 7, Duration::ZERO)
    }

    fn search(st: &str) -> Vec<u8> {
        format!("M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nMan: \"ssdp:discover\"\r\nmx: 1\r\nST: {st}\r\n\r\n")
            .into_bytes()
    }

    fn asker(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 50_000)
    }

    fn answers(of: &mut Announcer, from: SocketAddrV4, bytes: &[u8]) -> Vec<String> {
        of.poll(Duration::ZERO);
        assert!(of.hear(bytes, from, Duration::ZERO).is_empty(), "answers wait a little");
        let said = of.poll(Duration::from_millis(900));
        said.into_iter()
            .filter(|said| said.to == Some(from))
            .map(|said| String::from_utf8(said.bytes).unwrap())
            .collect()
    }

    #[test]
    fn windows_and_others_find_it_by_any_of_its_names_and_not_by_strange_ones() {
        let uuid = format!("uuid:{UUID}");
        for (st, count) in
            [("ssdp:all", 3), (ROOT, 1), (BASIC, 1), (uuid.as_str(), 1), ("uuid:other", 0), ("urn:x", 0)]
        {
            let found = answers(&mut announcer(), asker(9), &search(st));
            assert_eq!(found.len(), count, "{st}");
            for answer in found {
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                assert!(answer.contains("\r\nLOCATION: http://10.0.0.5:8080/ssdp.xml\r\n"), "{answer}");
                assert!(answer.contains(&format!("\r\nUSN: uuid:{UUID}")), "{answer}");
            }
        }
    }

    #[test]
    fn strangers_are_not_answered_and_neighbours_only_so_often() {
        let outside = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 50_000);
        assert!(answers(&mut announcer(), outside, &search("ssdp:all")).is_empty());
        let mut announcer = announcer();
        for _ in 0..1000 {
            announcer.hear(&search("ssdp:all"), asker(9), Duration::ZERO);
        }
        let said = announcer.poll(Duration::from_secs(6));
        assert_eq!(said.iter().filter(|said| said.to.is_some()).count(), SINGLE_ANSWERS);
    }

    #[test]
    fn it_says_that_it_is_there_now_and_then_and_that_it_leaves() {
        let mut announcer = announcer();
        let mut at = Vec::new();
        let mut now = Duration::ZERO;
        while now < Duration::from_secs(1300) {
            let said = announcer.poll(now);
            if !said.is_empty() {
                assert_eq!(said.len(), 3);
                assert!(String::from_utf8(said[0].bytes.clone()).unwrap().contains("NTS: ssdp:alive\r\n"));
                at.push(now.as_secs());
            }
            now = announcer.wake().unwrap();
        }
        assert_eq!(at, [0, 1, 2, 602, 1202]);
        let bye = announcer.goodbye();
        assert!(
            bye.iter().all(|said| said.to.is_none() && said.bytes.ends_with(b"NTS: ssdp:byebye\r\n\r\n"))
        );
    }

    #[test]
    fn the_description_leads_to_the_page_and_stays_xml() {
        let text = description(UUID, "A & <B>", "10.0.0.5:8080");
        assert!(text.contains("<presentationURL>http://10.0.0.5:8080/setup/</presentationURL>"), "{text}");
        assert!(text.contains("<friendlyName>A &amp; &lt;B&gt;</friendlyName>"), "{text}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, st in "\\PC*", last: u8) {
            let mut announcer = announcer();
            announcer.hear(&bytes, asker(last), Duration::ZERO);
            announcer.hear(&search(&st), asker(last), Duration::ZERO);
            prop_assert!(announcer.poll(Duration::from_secs(9)).len() <= 6);
        }
    }
}
