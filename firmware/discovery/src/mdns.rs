//! Multicast DNS service discovery (RFC 6762, RFC 6763) for `_rtsp._tcp` and `_axis-video._tcp`.
//!
//! Questions are one-shot (RFC 6762 section 5.1): they leave from a port of our own and the answers come back to
//! it, so another responder on this machine is not disturbed. An answer counts only for the address that sent it:
//! records for a host with other addresses are a proxy's, and are left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use model::Source;
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE, rdata::RData,
};

use crate::{Answer, Error, Kind, MAX_ANSWERS, maker, place, text};

/// The IPv4 multicast group (RFC 6762 section 3).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// The UDP port.
pub const PORT: u16 = 5353;
/// Largest message, in bytes (RFC 6762 section 17).
pub const MAX_MESSAGE: usize = 9000;

const RTSP: &str = "_rtsp._tcp.local";
const AXIS: &str = "_axis-video._tcp.local";
const NOT_MDNS: Error = Error::Not("multicast DNS");

/// What a message held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What is known of devices.
    pub answers: Vec<Answer>,
    /// Instances that were named without their port: worth a [`follow_up`].
    pub unresolved: Vec<String>,
}

/// A question for all instances of both services.
pub fn query() -> Vec<u8> {
    ask(&[(RTSP, TYPE::PTR), (AXIS, TYPE::PTR)])
}

/// A question for the port and text of one instance of [`Heard::unresolved`].
pub fn follow_up(instance: &str) -> Vec<u8> {
    ask(&[(instance, TYPE::SRV), (instance, TYPE::TXT)])
}

fn ask(questions: &[(&str, TYPE)]) -> Vec<u8> {
    let mut packet = Packet::new_query(0);
    for (name, kind) in questions {
        if let Ok(name) = Name::new(name) {
            packet.questions.push(Question::new(name, QTYPE::TYPE(*kind), QCLASS::CLASS(CLASS::IN), false));
        }
    }
    packet.build_bytes_vec().unwrap_or_default()
}

/// Reads a message that came from `from`.
///
/// # Errors
/// [`Error`] when it is too large or not DNS. Questions of others give nothing.
pub fn read(bytes: &[u8], from: IpAddr) -> Result<Heard, Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Error::TooLarge { limit: MAX_MESSAGE });
    }
    if !counts_fit(bytes) {
        return Err(NOT_MDNS);
    }
    let packet = Packet::parse(bytes).map_err(|_| NOT_MDNS)?;
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return Ok(Heard::default());
    }
    let mut instances: BTreeMap<String, Instance> = BTreeMap::new();
    let mut hosts: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    for record in packet.answers.iter().chain(&packet.additional_records) {
        collect(record, &mut instances, &mut hosts);
    }
    let mut heard = Heard::default();
    for (full_name, instance) in instances.into_iter().take(MAX_ANSWERS) {
        let elsewhere =
            instance.target.as_ref().and_then(|target| hosts.get(target)).is_some_and(|addresses| {
                // Only addresses of the family that answered can contradict it.
                addresses.iter().any(|a| a.is_ipv4() == from.is_ipv4()) && !addresses.contains(&from)
            });
        if elsewhere {
            continue;
        }
        if instance.port.is_none() && !instance.gone {
            heard.unresolved.push(full_name);
        } else {
            heard.answers.push(instance.answer(from));
        }
    }
    Ok(heard)
}

/// Whether the header's counts can fit into the message at all (a question has 5 bytes at least, a record 11): the
/// parser makes room for as many as the header claims.
fn counts_fit(bytes: &[u8]) -> bool {
    let Some([_, _, _, _, counts @ ..]) = bytes.first_chunk::<12>() else { return false };
    let mut least = 12;
    for (index, count) in counts.chunks_exact(2).enumerate() {
        let count = count.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        least += count * if index == 0 { 5 } else { 11 };
    }
    least <= bytes.len()
}

#[derive(Default)]
struct Instance {
    axis: bool,
    label: String,
    port: Option<u16>,
    target: Option<String>,
    path: Option<String>,
    gone: bool,
}

impl Instance {
    fn answer(self, from: IpAddr) -> Answer {
        let mut answer = Answer { name: text::clean(&self.label), ..Answer::new(Source::Mdns) };
        answer.maker = if self.axis { Some("Axis".to_owned()) } else { maker::named_in(&self.label) };
        if self.gone {
            answer.kind = Kind::Gone;
        }
        // The port of `_axis-video` is the web server's.
        if let Some(port) = self.port.filter(|port| !self.axis && *port != 0) {
            answer.rtsp.push(place::rtsp(from, port, self.path.as_deref().unwrap_or_default()));
        }
        answer
    }
}

fn collect(
    record: &ResourceRecord<'_>,
    instances: &mut BTreeMap<String, Instance>,
    hosts: &mut BTreeMap<String, BTreeSet<IpAddr>>,
) {
    match &record.rdata {
        RData::PTR(pointer) => {
            if service(&record.name) == Some((0, record.name.to_string().eq_ignore_ascii_case(AXIS)))
                && let Some(found) = instance(&pointer.0, instances)
            {
                found.gone |= record.ttl == 0;
            }
        }
        RData::SRV(server) => {
            if let Some(found) = instance(&record.name, instances) {
                found.port = Some(server.port);
                found.target = Some(server.target.to_string().to_ascii_lowercase());
                found.gone |= record.ttl == 0;
            }
        }
        RData::TXT(txt) => {
            if let Some(found) = instance(&record.name, instances) {
                let path = txt
                    .iter_raw()
                    .find(|(key, _)| key.eq_ignore_ascii_case(b"path"))
                    .and_then(|(_, path)| path);
                found.path = path.map(|path| String::from_utf8_lossy(path).into_owned());
            }
        }
        RData::A(a) => {
            let host = record.name.to_string().to_ascii_lowercase();
            hosts.entry(host).or_default().insert(IpAddr::from(a.address.to_be_bytes()));
        }
        RData::AAAA(aaaa) => {
            let host = record.name.to_string().to_ascii_lowercase();
            hosts.entry(host).or_default().insert(IpAddr::from(aaaa.address.to_be_bytes()));
        }
        _ => {}
    }
}

/// How many labels stand before one of our services, and whether it is the one of Axis.
fn service(name: &Name<'_>) -> Option<(usize, bool)> {
    let labels: Vec<&[u8]> = name.as_bytes().collect();
    let (before, [service, protocol, domain]) = labels.split_last_chunk::<3>()?;
    let local = protocol.eq_ignore_ascii_case(b"_tcp") && domain.eq_ignore_ascii_case(b"local");
    let axis = service.eq_ignore_ascii_case(b"_axis-video");
    (local && (axis || service.eq_ignore_ascii_case(b"_rtsp"))).then_some((before.len(), axis))
}

fn instance<'i>(name: &Name<'_>, instances: &'i mut BTreeMap<String, Instance>) -> Option<&'i mut Instance> {
    let (before, axis) = service(name)?;
    if before != 1 {
        return None;
    }
    let label = String::from_utf8_lossy(name.as_bytes().next()?).into_owned();
    let found = instances.entry(name.to_string()).or_default();
    found.axis = axis;
    found.label = label;
    Some(found)
}

#[cfg(test)]
mod tests;
