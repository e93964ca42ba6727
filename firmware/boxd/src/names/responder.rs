//! The box's names on one network interface, as a state machine without sockets: multicast DNS (RFC 6762) and service
//! discovery (RFC 6763) for IPv4.
//!
//! ```text
//! Probing ── three probes unanswered ──> Announcing ── twice ──> Held
//!   │  ^                                     │                     │ somebody else says it has the name
//!   │  └─────────────────────────────────────┴─────────────────────┘
//!   │ somebody else has it ──> the next name to try, or Lost ── a while, or the other's goodbye ──> Probing
//! ```
//!
//! Invariant: nothing is said of a name that is not the box's on this interface (Announcing, Held). Two names are claimed, each for
//! itself: the plain one, which one box of a LAN has, and a unique one, made of the box's identity. Whoever asks is answered
//! only from the interface's own subnet, and no record goes to the group twice within a second but to defend it, so that
//! a flood is not answered by a flood.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use simple_dns::rdata::{A, NSEC, NsecTypeBitMap, PTR, RData, SRV, TXT};
use simple_dns::{CLASS, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE, rdata::RData as Data};

use super::claim::{Claim, Phase, SERVICE, SERVICES};
use super::interfaces::Interface;
use super::record::{Record, counts_fit, message, name, plain};
use super::{Said, Speaker};

/// Largest message that is read, in bytes (RFC 6762 section 17).
const MAX_MESSAGE: usize = 9000;
/// Where everybody listens.
const PORT: u16 = 5353;
/// Where the set-up page is (the key `path` of `_http._tcp`).
const TXT_PATH: &str = "path=/setup/";

/// Lifetimes of records that hold a host's name and of others, seconds (RFC 6762 section 10).
const HOST_TTL: u32 = 120;
const OTHER_TTL: u32 = 4500;
/// Probes, and the time from one to the next (section 8.1).
const PROBES: u8 = 3;
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// Announcements, and the time between them (section 8.3).
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);
/// Who loses to another's probe waits this long (section 8.2).
const YIELD: Duration = Duration::from_secs(1);
/// No record goes to the group again before this, and none that is defended before that (section 6).
const REST: Duration = Duration::from_secs(1);
const REST_DEFENDED: Duration = Duration::from_millis(250);
/// When a lost name is tried for again: the other box may have left without a word.
const AGAIN: Duration = Duration::from_secs(120);
/// After this many conflicts within [`AGAIN`] a name counts as lost (section 8.1 asks to slow down after fifteen).
const CONFLICTS: u32 = 15;
/// Most answers to single askers in a second.
const SINGLE_ANSWERS: u32 = 50;

/// What the box wants to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `streambox`: for the box that has it first.
    pub(super) plain: String,
    /// The unique names, in the order in which they are tried; none while the box has no identity.
    pub(super) unique: Vec<String>,
    /// The page's port.
    pub(super) port: u16,
}

/// The responder of one interface.
#[derive(Debug)]
pub(super) struct Responder {
    interface: Interface,
    /// All addresses of the box: what another interface of ours says is no conflict.
    own: Vec<Ipv4Addr>,
    port: u16,
    claims: Vec<Claim>,
    /// When each record went to the group, by name and type.
    told: BTreeMap<(String, u16), Duration>,
    /// Shared records wait a little, so that several boxes do not answer in one moment (section 6).
    waiting: Option<(Duration, Vec<Record>)>,
    single: (Duration, u32),
    random: u64,
}

impl Responder {
    /// Claims `wanted` on `interface` from `now` on; `own` are all addresses of the box, `random` anything.
    pub(super) fn new(
        wanted: &Wanted,
        interface: Interface,
        own: Vec<Ipv4Addr>,
        random: u64,
        now: Duration,
    ) -> Self {
        let mut responder = Self {
            interface,
            own,
            port: wanted.port,
            claims: Vec::new(),
            told: BTreeMap::new(),
            waiting: None,
            single: (now, 0),
            random: random | 1,
        };
        let lists = [(vec![wanted.plain.clone()], wanted.unique.is_empty()), (wanted.unique.clone(), true)];
        for (names, serves) in lists.into_iter().filter(|(names, _)| !names.is_empty()) {
            // All boxes start at once when the power comes back (section 8.1).
            let next = now + responder.jitter(0, 250);
            let phase = Phase::Probing { sent: 0, next };
            let claim = Claim { names, at: 0, phase, conflicts: 0, conflicts_since: now, serves };
            responder.claims.push(claim);
        }
        responder
    }

    /// The box has these addresses now.
    pub(super) fn set_own(&mut self, own: Vec<Ipv4Addr>) {
        self.own = own;
    }

    /// The names that are the box's here, such as `streambox.local`.
    pub(super) fn names(&self) -> Vec<String> {
        self.claims.iter().filter(|claim| claim.is_ours()).map(Claim::host).collect()
    }

    /// From `from` to `to` milliseconds.
    fn jitter(&mut self, from: u64, to: u64) -> Duration {
        // xorshift: nobody gains anything by guessing it.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Duration::from_millis(from + self.random % (to - from))
    }

    fn address(&self, claim: &Claim) -> Record {
        let address = self.interface.address.to_bits();
        Record::unique(claim.host(), TYPE::A, HOST_TTL, RData::A(A { address }))
    }

    fn server(&self, claim: &Claim) -> Option<Record> {
        let target = name(&claim.host())?;
        let server = SRV { priority: 0, weight: 0, port: self.port, target };
        Some(Record::unique(claim.instance(), TYPE::SRV, HOST_TTL, RData::SRV(server)))
    }

    fn text(claim: &Claim) -> Option<Record> {
        let text = TXT::new().with_string(TXT_PATH).ok()?;
        Some(Record::unique(claim.instance(), TYPE::TXT, OTHER_TTL, RData::TXT(text)))
    }

    fn pointer(claim: &Claim) -> Option<Record> {
        let data = RData::PTR(PTR(name(&claim.instance())?));
        Some(Record { name: SERVICE.to_owned(), kind: TYPE::PTR, unique: false, ttl: OTHER_TTL, data })
    }

    fn kinds() -> Option<Record> {
        let data = RData::PTR(PTR(name(SERVICE)?));
        Some(Record { name: SERVICES.to_owned(), kind: TYPE::PTR, unique: false, ttl: OTHER_TTL, data })
    }

    /// Says that there is nothing else under a name (section 6.1): who asks for an IPv6 address need not wait.
    fn nothing_else(of: &str, bitmap: &'static [u8], ttl: u32) -> Option<Record> {
        let types = vec![NsecTypeBitMap { window_block: 0, bitmap: bitmap.into() }];
        let data = RData::NSEC(NSEC { next_name: name(of)?, type_bit_maps: types });
        Some(Record::unique(of.to_owned(), TYPE::NSEC, ttl, data))
    }

    fn only_address(claim: &Claim) -> Option<Record> {
        // The bit of type 1, A (RFC 4034 section 4.1.2).
        Self::nothing_else(&claim.host(), &[0b0100_0000], HOST_TTL)
    }

    fn only_service(claim: &Claim) -> Option<Record> {
        // The bits of types 16, TXT, and 33, SRV.
        Self::nothing_else(&claim.instance(), &[0, 0, 0b1000_0000, 0, 0b0100_0000], OTHER_TTL)
    }

    /// Everything that is told of a claim.
    fn records(&self, claim: &Claim) -> Vec<Record> {
        let mut records = vec![self.address(claim)];
        records.extend(Self::only_address(claim));
        if claim.serves {
            records
                .extend([self.server(claim), Self::text(claim), Self::pointer(claim)].into_iter().flatten());
        }
        records
    }

    /// What answers one question, and what the asker will ask next.
    fn answers(&self, question: &Question<'_>, answers: &mut Vec<Record>, more: &mut Vec<Record>) {
        let class = question.qclass;
        if class != QCLASS::CLASS(CLASS::IN) && class != QCLASS::ANY {
            return;
        }
        let (asked, any) = (plain(&question.qname), question.qtype == QTYPE::ANY);
        let wants = |kind| any || question.qtype == QTYPE::TYPE(kind);
        for claim in self.claims.iter().filter(|claim| claim.is_ours()) {
            if asked == claim.host() {
                if wants(TYPE::A) {
                    answers.push(self.address(claim));
                    more.extend(Self::only_address(claim));
                } else {
                    answers.extend(Self::only_address(claim));
                    more.push(self.address(claim));
                }
            }
            if !claim.serves {
                continue;
            }
            if asked == SERVICE && wants(TYPE::PTR) {
                answers.extend(Self::pointer(claim));
                more.extend([self.server(claim), Self::text(claim)].into_iter().flatten());
                more.push(self.address(claim));
            }
            if asked == SERVICES && wants(TYPE::PTR) {
                answers.extend(Self::kinds());
            }
            if asked == claim.instance().to_ascii_lowercase() {
                let (before, server, text) = (answers.len(), self.server(claim), Self::text(claim));
                answers.extend(server.filter(|_| wants(TYPE::SRV)));
                answers.extend(text.filter(|_| wants(TYPE::TXT)));
                if answers.len() == before {
                    answers.extend(Self::only_service(claim));
                } else {
                    more.push(self.address(claim));
                }
            }
        }
    }

    /// Answers a query.
    fn asked(&mut self, packet: &Packet<'_>, from: SocketAddrV4, now: Duration) -> Vec<Said> {
        self.yield_to_probes(packet, from, now);
        if from.port() != PORT {
            return self.asked_plainly(packet, from, now);
        }
        let defends = !packet.name_servers.is_empty();
        let (mut group, mut single, mut later, mut more) = (vec![], vec![], vec![], vec![]);
        for question in &packet.questions {
            let mut answers = Vec::new();
            self.answers(question, &mut answers, &mut more);
            for answer in answers.into_iter().filter(|answer| !answer.is_known(packet)) {
                let fresh = Duration::from_secs(u64::from(answer.ttl / 4));
                let told = self.told.get(&answer.key()).copied();
                if question.unicast_response && told.is_some_and(|at| now.saturating_sub(at) < fresh) {
                    single.push(answer);
                } else if told
                    .is_some_and(|at| now.saturating_sub(at) < if defends { REST_DEFENDED } else { REST })
                {
                    // Everybody has just heard it.
                } else if answer.unique {
                    group.push(answer);
                } else {
                    later.push(answer);
                }
            }
        }
        let mut said = Vec::new();
        if !group.is_empty() {
            said.extend(self.tell(&group, &more, now));
        }
        if !single.is_empty() && self.may_answer_single(now) {
            said.extend(message(0, &[], &single, &more, false).map(|bytes| Said { to: Some(from), bytes }));
        }
        if !later.is_empty() {
            let at = now + self.jitter(20, 120);
            let (_, waiting) = self.waiting.get_or_insert_with(|| (at, Vec::new()));
            later.retain(|record| !waiting.iter().any(|other| other.key() == record.key()));
            waiting.extend(later);
        }
        said
    }

    /// Answers a resolver that knows nothing of multicast DNS (section 6.7), as Android's: to itself, with its question.
    fn asked_plainly(&mut self, packet: &Packet<'_>, from: SocketAddrV4, now: Duration) -> Vec<Said> {
        let (mut answers, mut more) = (Vec::new(), Vec::new());
        for question in &packet.questions {
            self.answers(question, &mut answers, &mut more);
        }
        if answers.is_empty() || !self.may_answer_single(now) {
            return Vec::new();
        }
        // A plain resolver knows no NSEC in multicast DNS's sense: an answer without records says the same.
        answers.retain(|record| record.kind != TYPE::NSEC);
        let bytes = message(packet.id(), &packet.questions, &answers, &[], true);
        bytes.map(|bytes| Said { to: Some(from), bytes }).into_iter().collect()
    }

    fn may_answer_single(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.single.0) >= Duration::from_secs(1) {
            self.single = (now, 0);
        }
        self.single.1 += 1;
        self.single.1 <= SINGLE_ANSWERS
    }

    /// Somebody else probes for a name at the same time: the one with the later records has it (section 8.2).
    fn yield_to_probes(&mut self, packet: &Packet<'_>, from: SocketAddrV4, now: Duration) {
        if self.own.contains(from.ip()) {
            return;
        }
        let address = self.interface.address.to_bits();
        for claim in &mut self.claims {
            let Phase::Probing { .. } = claim.phase else { continue };
            let host = claim.host();
            let mut theirs: Vec<(u16, Option<u32>)> = packet
                .name_servers
                .iter()
                .filter(|record| plain(&record.name) == host)
                .map(|record| match &record.rdata {
                    Data::A(a) => (u16::from(TYPE::A), Some(a.address)),
                    other => (u16::from(other.type_code()), None),
                })
                .collect();
            theirs.sort_unstable();
            if theirs > vec![(u16::from(TYPE::A), Some(address))] {
                claim.phase = Phase::Probing { sent: 0, next: now + YIELD };
            }
        }
    }

    /// Hears what another responder says: perhaps it has a name that is ours, or gives one back.
    fn told(&mut self, packet: &Packet<'_>, now: Duration) {
        let pause = self.jitter(0, 250);
        let soon = self.jitter(1000, 3000);
        for record in packet.answers.iter().chain(&packet.additional_records) {
            let said = plain(&record.name);
            for claim in &mut self.claims {
                let host = said == claim.host();
                let instance = claim.serves && said == claim.instance().to_ascii_lowercase();
                if !host && !instance {
                    continue;
                }
                let same = match &record.rdata {
                    Data::A(a) => self.own.contains(&Ipv4Addr::from_bits(a.address)),
                    Data::SRV(server) => plain(&server.target) == claim.host() && server.port == self.port,
                    // Equal for all boxes, and for ours on all its interfaces.
                    Data::TXT(_) | Data::NSEC(_) => true,
                    // An address of IPv6 stands beside ours; while we probe, the name is taken.
                    _ => claim.is_ours(),
                };
                match claim.phase {
                    // A goodbye: the name is free.
                    Phase::Lost { until } if record.ttl == 0 && host => {
                        claim.phase = Phase::Lost { until: until.min(now + soon) };
                    }
                    Phase::Lost { .. } => {}
                    _ if same || record.ttl == 0 => {}
                    Phase::Probing { .. } => claim.lose(now + AGAIN + pause),
                    // Section 9: whoever is told so probes again, and the other one defends.
                    Phase::Announcing { .. } | Phase::Held => {
                        if now.saturating_sub(claim.conflicts_since) > AGAIN {
                            (claim.conflicts, claim.conflicts_since) = (0, now);
                        }
                        claim.conflicts += 1;
                        if claim.conflicts > CONFLICTS {
                            claim.lose(now + AGAIN + pause);
                        } else {
                            claim.phase = Phase::Probing { sent: 0, next: now + pause };
                        }
                    }
                }
            }
        }
    }

    /// Records to the group.
    fn tell(&mut self, records: &[Record], more: &[Record], now: Duration) -> Option<Said> {
        for record in records {
            self.told.insert(record.key(), now);
        }
        message(0, &[], records, more, false).map(|bytes| Said { to: None, bytes })
    }

    /// The probe for a claim (section 8.1): all records of the name, and what ours would be.
    fn probe(&self, claim: &Claim) -> Option<Said> {
        let mut packet = Packet::new_query(0);
        let mut records = vec![self.address(claim)];
        let mut asked = vec![claim.host()];
        if claim.serves {
            records.extend(self.server(claim));
            asked.push(claim.instance());
        }
        for of in &asked {
            // Not for an answer to us alone, as is usual: our socket hears the group only.
            packet.questions.push(Question::new(name(of)?, QTYPE::ANY, QCLASS::CLASS(CLASS::IN), false));
        }
        for record in &records {
            packet.name_servers.push(record.wire(false)?);
        }
        packet.build_bytes_vec().ok().map(|bytes| Said { to: None, bytes })
    }
}

impl Speaker for Responder {
    fn hear(&mut self, bytes: &[u8], from: SocketAddrV4, now: Duration) -> Vec<Said> {
        if bytes.len() > MAX_MESSAGE || !counts_fit(bytes) || !self.interface.holds(*from.ip()) {
            return Vec::new();
        }
        let Ok(packet) = Packet::parse(bytes) else { return Vec::new() };
        if packet.has_flags(PacketFlag::RESPONSE) {
            // Section 6: what comes from another port is no response.
            if from.port() == PORT {
                self.told(&packet, now);
            }
            return Vec::new();
        }
        self.asked(&packet, from, now)
    }

    fn poll(&mut self, now: Duration) -> Vec<Said> {
        let mut said = Vec::new();
        if self.waiting.as_ref().is_some_and(|(at, _)| *at <= now)
            && let Some((_, records)) = self.waiting.take()
        {
            let claims = self.claims.iter().filter(|claim| claim.is_ours() && claim.serves);
            let more: Vec<Record> = claims
                .flat_map(|claim| self.records(claim))
                .filter(|record| record.unique && record.kind != TYPE::NSEC)
                .collect();
            said.extend(self.tell(&records, &more, now));
        }
        let mut claims = std::mem::take(&mut self.claims);
        for claim in &mut claims {
            match claim.phase {
                Phase::Probing { sent, next } if next <= now => {
                    claim.phase = if sent < PROBES {
                        said.extend(self.probe(claim));
                        Phase::Probing { sent: sent + 1, next: now + PROBE_EVERY }
                    } else {
                        Phase::Announcing { sent: 0, next: now }
                    };
                }
                Phase::Lost { until } if until <= now => {
                    claim.at = 0;
                    claim.phase = Phase::Probing { sent: 0, next: now };
                }
                _ => {}
            }
            if let Phase::Announcing { sent, next } = claim.phase
                && next <= now
            {
                let records = self.records(claim);
                said.extend(self.tell(&records, &[], now));
                let sent = sent + 1;
                claim.phase = if sent < ANNOUNCEMENTS {
                    Phase::Announcing { sent, next: now + ANNOUNCE_EVERY }
                } else {
                    Phase::Held
                };
            }
        }
        self.claims = claims;
        said
    }

    fn wake(&self) -> Option<Duration> {
        let claims = self.claims.iter().filter_map(|claim| match claim.phase {
            Phase::Probing { next, .. } | Phase::Announcing { next, .. } => Some(next),
            Phase::Lost { until } => Some(until),
            Phase::Held => None,
        });
        claims.chain(self.waiting.as_ref().map(|(at, _)| *at)).min()
    }

    /// Gives the names back (section 10.1).
    fn goodbye(&mut self) -> Vec<Said> {
        let mut records = Vec::new();
        for claim in self.claims.iter().filter(|claim| claim.is_ours()) {
            records.extend(self.records(claim));
        }
        for record in &mut records {
            record.ttl = 0;
        }
        let bytes = if records.is_empty() { None } else { message(0, &[], &records, &[], false) };
        bytes.map(|bytes| Said { to: None, bytes }).into_iter().collect()
    }
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
