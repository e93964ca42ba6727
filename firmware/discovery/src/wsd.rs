//! ONVIF WS-Discovery (ONVIF Core section 7, WS-Discovery April 2005): probes out; ProbeMatches, ResolveMatches,
//! Hello and Bye in.
//!
//! Two probes are needed: some cameras answer only `tds:Device`, some only `dn:NetworkVideoTransmitter`. Printers
//! and PCs answer WS-Discovery too, so a match counts only when its types, scopes or addresses are ONVIF's.

use std::net::{IpAddr, Ipv4Addr};

use model::Source;

use crate::{
    Answer, Error, Kind, MAX_ANSWERS,
    mac::Mac,
    maker, place,
    soap::{self, Step},
    text,
};

/// The IPv4 multicast group (WS-Discovery section 2.4).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// The UDP port.
pub const PORT: u16 = 3702;

const DEVICE_NAMESPACE: &str = "http://www.onvif.org/ver10/device/wsdl";
const NETWORK_NAMESPACE: &str = "http://www.onvif.org/ver10/network/wsdl";
/// Longest endpoint reference that is kept, in bytes.
const MAX_ENDPOINT: usize = 128;
/// Most scopes of one match that are read; cameras send about ten.
const MAX_SCOPES: usize = 64;

/// What a probe looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `tds:Device`: every ONVIF device of today's specification.
    Device,
    /// `dn:NetworkVideoTransmitter`: cameras, the only type of ONVIF 1.
    Transmitter,
}

/// A Probe for the group.
pub fn probe(wanted: Wanted, random: [u8; 16]) -> Vec<u8> {
    let (prefix, namespace, name) = match wanted {
        Wanted::Device => ("tds", DEVICE_NAMESPACE, "Device"),
        Wanted::Transmitter => ("dn", NETWORK_NAMESPACE, "NetworkVideoTransmitter"),
    };
    let body =
        format!("<d:Probe><d:Types xmlns:{prefix}=\"{namespace}\">{prefix}:{name}</d:Types></d:Probe>");
    soap::envelope("Probe", &body, random)
}

/// A Resolve for the group: asks the device of this endpoint (as in [`Answer::endpoint`]) for its addresses.
pub fn resolve(endpoint: &str, random: [u8; 16]) -> Vec<u8> {
    let endpoint = quick_xml::escape::escape(endpoint);
    let body = format!(
        "<d:Resolve><a:EndpointReference><a:Address>urn:uuid:{endpoint}</a:Address></a:EndpointReference></d:Resolve>"
    );
    soap::envelope("Resolve", &body, random)
}

/// Reads a message that came from `from`. Messages that announce no ONVIF device (probes of others, printers) give
/// an empty list. An answer without [`Answer::onvif`] addresses is worth a [`resolve`].
///
/// # Errors
/// [`Error`] when it is not XML or breaks a limit.
pub fn read(bytes: &[u8], from: IpAddr) -> Result<Vec<Answer>, Error> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut current: Option<Match> = None;
    soap::walk(bytes, |step| match step {
        Step::Open(name) => {
            if let Some(kind) = announces(name) {
                current = Some(Match { kind, ..Match::default() });
            }
        }
        Step::Close(name, text, bound) => {
            if announces(name).is_some() {
                let answer = current.take().and_then(|found| found.answer(from));
                if let Some(answer) =
                    answer.filter(|answer| !answers.contains(answer) && answers.len() < MAX_ANSWERS)
                {
                    answers.push(answer);
                }
            } else if let Some(found) = &mut current {
                found.take(name, text, bound);
            }
        }
    })?;
    Ok(answers)
}

fn announces(element: &str) -> Option<Kind> {
    match element {
        "ProbeMatch" | "ResolveMatch" | "Hello" => Some(Kind::Alive),
        "Bye" => Some(Kind::Gone),
        _ => None,
    }
}

#[derive(Default)]
struct Match {
    kind: Kind,
    endpoint: Option<String>,
    onvif_type: bool,
    scopes: Vec<String>,
    addresses: Vec<String>,
}

impl Match {
    fn take(&mut self, element: &str, text: &str, bound: &dyn Fn(&str) -> Option<String>) {
        match element {
            "Address" => self.endpoint = self.endpoint.take().or_else(|| endpoint(text)),
            "Types" => self.onvif_type |= text.split_whitespace().any(|name| is_onvif_type(name, bound)),
            "Scopes" => {
                let room = MAX_SCOPES.saturating_sub(self.scopes.len());
                self.scopes.extend(text.split_whitespace().take(room).map(ToOwned::to_owned));
            }
            "XAddrs" => {
                let room = MAX_ANSWERS.saturating_sub(self.addresses.len());
                self.addresses.extend(text.split_whitespace().take(room).map(ToOwned::to_owned));
            }
            _ => {}
        }
    }

    fn answer(self, from: IpAddr) -> Option<Answer> {
        if self.kind == Kind::Gone {
            // A Bye carries the endpoint and little else; it can only end what was announced from the same address.
            self.endpoint.as_ref()?;
            return Some(Answer {
                kind: Kind::Gone,
                endpoint: self.endpoint,
                ..Answer::new(Source::WsDiscovery)
            });
        }
        let scoped = self.scopes.iter().any(|scope| onvif_scope(scope).is_some());
        let at_onvif = self.addresses.iter().any(|address| address.contains("/onvif/"));
        if !(self.onvif_type || scoped || at_onvif) {
            return None;
        }
        let mut answer = Answer { endpoint: self.endpoint, ..Answer::new(Source::WsDiscovery) };
        let mut places: Vec<_> = self.addresses.iter().filter_map(|claim| place::http(claim, from)).collect();
        // Addresses that the message itself put on the answering host come first.
        places.sort_by_key(|place| place.foreign);
        for place in places {
            if !answer.onvif.contains(&place.url) && answer.onvif.len() < Answer::MAX_ADDRESSES {
                answer.onvif.push(place.url);
            }
        }
        for scope in &self.scopes {
            let Some((category, value)) = onvif_scope(scope) else { continue };
            let slot = match category.to_ascii_lowercase().as_str() {
                "name" => &mut answer.name,
                "hardware" => &mut answer.model,
                "manufacturer" | "mfr" => &mut answer.maker,
                _ => continue,
            };
            *slot = slot.take().or_else(|| text::decoded(value));
        }
        let says = [&answer.maker, &answer.name, &answer.model];
        let maker = says.into_iter().flatten().find_map(|text| maker::named_in(text));
        answer.maker = maker.or(answer.maker);
        Some(answer)
    }
}

/// `onvif://www.onvif.org/<category>/<value>` (ONVIF Core section 7.3.3).
fn onvif_scope(scope: &str) -> Option<(&str, &str)> {
    let rest = scope.strip_prefix("onvif://www.onvif.org/").or_else(|| scope.strip_prefix("odm:"))?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

fn is_onvif_type(name: &str, bound: &dyn Fn(&str) -> Option<String>) -> bool {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    match local {
        "NetworkVideoTransmitter" => true,
        // Printers call themselves `wsdp:Device`: only the namespace tells them apart. Some cameras forget to bind
        // the prefix that everyone uses.
        "Device" => bound(prefix).map_or(prefix == "tds", |namespace| namespace == DEVICE_NAMESPACE),
        _ => false,
    }
}

/// The endpoint reference, lower case, without `urn:uuid:`; `None` when it says nothing or could not be told from
/// other text on a page.
fn endpoint(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let mut rest = lower.as_str();
    for prefix in ["urn:", "uuid:"] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let rest = rest.trim_start_matches('{').trim_end_matches('}');
    let role = rest.starts_with("http://schemas.xmlsoap.org/") || rest.starts_with("http://www.w3.org/");
    let empty = rest.bytes().all(|byte| matches!(byte, b'0' | b'-'));
    let fits = rest.len() <= MAX_ENDPOINT && rest.bytes().all(|byte| byte.is_ascii_graphic());
    // The owner names devices by their keys: nobody may look like the network card or the address of another.
    let borrowed =
        Mac::parse(rest).is_some_and(|mac| mac.to_string() == rest) || rest.parse::<IpAddr>().is_ok();
    (fits && !role && !empty && !borrowed).then(|| rest.to_owned())
}

#[cfg(test)]
mod tests;
