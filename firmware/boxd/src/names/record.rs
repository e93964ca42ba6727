//! One record of ours, and the messages that records travel in (RFC 6762 section 18).
//!
//! No message that comes in can make the parser take more room than the message itself.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, ResourceRecord, TYPE};

/// Longest lifetime for resolvers that know nothing of multicast DNS, seconds (section 6.7).
const LEGACY_TTL: u32 = 10;

/// One record of ours.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) kind: TYPE,
    /// Nobody else has records of this name and type.
    pub(super) unique: bool,
    pub(super) ttl: u32,
    pub(super) data: RData<'static>,
}

impl Record {
    pub(super) const fn unique(name: String, kind: TYPE, ttl: u32, data: RData<'static>) -> Self {
        Self { name, kind, unique: true, ttl, data }
    }

    pub(super) fn key(&self) -> (String, u16) {
        (self.name.clone(), u16::from(self.kind))
    }

    /// Whether the asker has it already, for at least half its life (section 7.1).
    pub(super) fn is_known(&self, query: &Packet<'_>) -> bool {
        query.answers.iter().any(|known| {
            known.ttl >= self.ttl / 2
                && known.rdata == self.data
                && plain(&known.name) == self.name.to_ascii_lowercase()
        })
    }

    pub(super) fn wire(&self, flush: bool) -> Option<ResourceRecord<'static>> {
        let record = ResourceRecord::new(name(&self.name)?, CLASS::IN, self.ttl, self.data.clone());
        Some(record.with_cache_flush(flush && self.unique))
    }
}

/// A response. `plainly`: for a resolver that knows nothing of multicast DNS.
pub(super) fn message(
    id: u16,
    questions: &[Question<'_>],
    answers: &[Record],
    more: &[Record],
    plainly: bool,
) -> Option<Vec<u8>> {
    let mut packet = Packet::new_reply(id);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet.questions = questions.iter().map(|question| question.clone().into_owned()).collect();
    let mut seen: Vec<(String, u16)> = Vec::new();
    for (index, record) in answers.iter().chain(more).enumerate() {
        if seen.contains(&record.key()) {
            continue;
        }
        seen.push(record.key());
        let mut wire = record.wire(!plainly)?;
        if plainly {
            wire.ttl = wire.ttl.min(LEGACY_TTL);
        }
        if index < answers.len() {
            packet.answers.push(wire);
        } else {
            packet.additional_records.push(wire);
        }
    }
    packet.build_bytes_vec().ok()
}

pub(super) fn name(text: &str) -> Option<Name<'static>> {
    Name::new(text).ok().map(Name::into_owned)
}

/// How names are compared: without regard to case.
pub(super) fn plain(name: &Name<'_>) -> String {
    name.to_string().to_ascii_lowercase()
}

/// Whether the header's counts can fit into the message at all, each entry having 5 bytes at least: the parser makes room
/// for as many as the header claims.
pub(super) fn counts_fit(bytes: &[u8]) -> bool {
    let Some([_, _, _, _, counts @ ..]) = bytes.first_chunk::<12>() else { return false };
    let entries: usize = counts
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
        .sum();
    12 + 5 * entries <= bytes.len()
}
