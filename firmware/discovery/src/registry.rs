//! What was heard, merged into devices. It holds sightings, not devices: what each address said, by endpoint and
//! source. Devices are a view of them, so the order in which answers came cannot matter, and a fact goes when the
//! message that carried it is too old.
//!
//! * One device per ONVIF endpoint reference or told MAC address, on whatever addresses and interfaces it answers. What is known
//!   only of an address (RTSP, mDNS, SSDP) belongs to the device there; if there are several, to a device of its own
//!   ([`grouping`]).
//! * The address that an endpoint was first heard from stays the best one while it lives: somebody who borrows a
//!   known endpoint comes last in its list and changes neither its name nor its first address.
//! * At most [`MAX_DEVICES`], at most [`MAX_PER_ADDRESS`] of them at an address. When full, a newcomer is refused,
//!   unless something doubtful can go: an entry heard only once, in datagrams (a forged sender shows nothing else),
//!   which has been silent through a probe; or, for a newcomer that proved its address by a TCP connection, any
//!   entry heard only once in datagrams.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use model::{Device, DeviceKey, Fact, Source};

use crate::{Answer, Kind};

mod grouping;

use grouping::Identity;

/// Most devices that are kept.
pub const MAX_DEVICES: usize = 256;
/// Most endpoints, and most different statements of one kind, that one address may hold.
pub const MAX_PER_ADDRESS: usize = 8;

/// Most addresses of one device.
const MAX_ADDRESSES: usize = 4;
/// Most interfaces of one sighting.
const MAX_INTERFACES: usize = 8;
/// Milliseconds after which what a datagram said is forgotten: three probes, 30 s apart, and some grace.
const DATAGRAM_LIFE_MS: u64 = 100_000;
/// Milliseconds after which what a sweep found is forgotten: two sweeps, 5 minutes apart, and some grace. A quiet neighbour is
/// asked for by the kernel only when a sweep knocks there.
const SWEEP_LIFE_MS: u64 = 660_000;
/// Milliseconds of silence after which a device heard only once has missed a probe.
const DOUBTFUL_MS: u64 = 40_000;
/// Milliseconds between two answers that make them answers to two probes.
const AGAIN_MS: u64 = 5_000;

/// Everything heard.
#[derive(Debug, Default)]
pub struct Registry {
    seen: BTreeMap<IpAddr, BTreeMap<Identity, Sighting>>,
    /// How many devices that is; `None` after a change of who is seen where.
    count: Option<usize>,
}

/// What one address said as one of those who speak there.
#[derive(Debug)]
struct Sighting {
    first_ms: u64,
    /// Answered two probes, or a TCP connection.
    proven: bool,
    interfaces: BTreeMap<String, u64>,
    told: BTreeMap<(Source, String), (Answer, u64)>,
}

impl Sighting {
    fn last_ms(&self) -> u64 {
        self.told.values().map(|(_, at)| *at).max().unwrap_or(self.first_ms)
    }
}

impl Registry {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an answer that came from `from` on a network interface at this time (milliseconds of any clock that
    /// does not go back). Gives whether [`Self::devices`] changed in more than its times.
    pub fn heard(&mut self, answer: Answer, from: IpAddr, interface: &str, now_ms: u64) -> bool {
        if from.is_unspecified() || from.is_multicast() || from == IpAddr::from([255; 4]) {
            return false;
        }
        if answer.kind == Kind::Gone {
            return self.gone(&answer, from);
        }
        let key = Identity::of(&answer);
        let known = self.seen.get(&from).is_some_and(|here| here.contains_key(&key));
        if !known && !self.make_room(&key, from, answer.source, now_ms) {
            return false;
        }
        if !known {
            self.count = None;
        }
        let sighting = self.seen.entry(from).or_default().entry(key).or_insert_with(|| Sighting {
            first_ms: now_ms,
            proven: false,
            interfaces: BTreeMap::new(),
            told: BTreeMap::new(),
        });
        sighting.proven |=
            answer.source == Source::RtspSweep || now_ms.saturating_sub(sighting.first_ms) >= AGAIN_MS;
        let mut changed = !known;
        let room = sighting.interfaces.len() < MAX_INTERFACES;
        if let Some(at) = sighting.interfaces.get_mut(interface) {
            *at = now_ms;
        } else if room {
            sighting.interfaces.insert(interface.to_owned(), now_ms);
            changed = true;
        }
        changed | sighting.tell(answer, now_ms)
    }

    /// Forgets what is too old. Gives whether [`Self::devices`] changed.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let mut changed = false;
        self.count = None;
        self.seen.retain(|_, here| {
            here.retain(|_, sighting| {
                sighting.told.retain(|(source, _), (_, at)| {
                    let life = match source {
                        Source::RtspSweep | Source::Neighbour => SWEEP_LIFE_MS,
                        _ => DATAGRAM_LIFE_MS,
                    };
                    let lives = now_ms.saturating_sub(*at) < life;
                    changed |= !lives;
                    lives
                });
                let before = sighting.interfaces.len();
                sighting.interfaces.retain(|_, at| now_ms.saturating_sub(*at) < SWEEP_LIFE_MS);
                changed |= before != sighting.interfaces.len();
                !sighting.told.is_empty()
            });
            !here.is_empty()
        });
        changed
    }

    /// The devices, by key.
    pub fn devices(&self) -> Vec<Device> {
        let all = || self.seen.iter().flat_map(|(address, here)| here.iter().map(move |one| (*address, one)));
        let keys = grouping::keys(all().map(|(address, (identity, _))| (address, identity)));
        let mut groups: BTreeMap<DeviceKey, Vec<(IpAddr, &Sighting)>> = BTreeMap::new();
        for (key, (address, (_, sighting))) in keys.into_iter().zip(all()) {
            groups.entry(key).or_default().push((address, sighting));
        }
        // A device that comes apart (one of its addresses forgot the endpoint) may be one too many until it expires.
        groups.into_iter().take(MAX_DEVICES).map(|(key, sightings)| device(key, sightings)).collect()
    }

    /// How many devices there would be with one sighting more.
    fn count_with(&mut self, identity: &Identity, from: IpAddr) -> usize {
        // Most of a flood: nobody else at the address, and nobody elsewhere whom it could join.
        let akin = |here: &BTreeMap<Identity, Sighting>| identity.akin().any(|key| here.contains_key(&key));
        if !self.seen.contains_key(&from) && !self.seen.values().any(akin) {
            let known =
                self.seen.iter().flat_map(|(address, here)| here.keys().map(move |key| (*address, key)));
            return 1 + *self.count.get_or_insert_with(|| grouping::count(known));
        }
        let known = self.seen.iter().flat_map(|(address, here)| here.keys().map(move |key| (*address, key)));
        let all = known.chain([(from, identity)]);
        // Devices are at most as many as sightings, and counting those is quicker.
        let sightings = all.clone().count();
        if sightings <= MAX_DEVICES { sightings } else { grouping::count(all) }
    }

    fn gone(&mut self, answer: &Answer, from: IpAddr) -> bool {
        let identity = Identity::of(answer);
        self.count = None;
        let Some(here) = self.seen.get_mut(&from) else { return false };
        let Some(sighting) = here.get_mut(&identity) else { return false };
        let before = sighting.told.len();
        let topic = topic(answer);
        sighting.told.retain(|(source, about), _| *source != answer.source || *about != topic);
        let changed = before != sighting.told.len();
        if sighting.told.is_empty() {
            here.remove(&identity);
        }
        if here.is_empty() {
            self.seen.remove(&from);
        }
        changed
    }

    /// Whether a new sighting may come in; lets a doubtful one go where that helps.
    fn make_room(&mut self, identity: &Identity, from: IpAddr, source: Source, now_ms: u64) -> bool {
        let like = |key: &&Identity| key.is_named() == identity.is_named();
        let here = self.seen.get(&from).map_or(0, |here| here.keys().filter(like).count());
        if here >= MAX_PER_ADDRESS && *identity != Identity::None {
            return false;
        }
        // A known device at too many addresses: somebody else borrows its name.
        let borrowed =
            self.seen.values().filter(|here| *identity != Identity::None && here.contains_key(identity));
        if borrowed.count() >= MAX_ADDRESSES {
            return false;
        }
        if self.count_with(identity, from) <= MAX_DEVICES {
            return true;
        }
        let doubtful = |sighting: &Sighting| {
            let silent = now_ms.saturating_sub(sighting.last_ms()) >= DOUBTFUL_MS;
            !sighting.proven && (silent || source == Source::RtspSweep)
        };
        let first =
            |here: &BTreeMap<Identity, Sighting>| here.values().map(|sighting| sighting.first_ms).max();
        // A whole address goes, and the newest of the doubtful: what stood before the flood stays longest.
        let candidates =
            self.seen.iter().filter(|(address, here)| **address != from && here.values().all(doubtful));
        let Some(evicted) =
            candidates.max_by_key(|(address, here)| (first(here), **address)).map(|(a, _)| *a)
        else {
            return false;
        };
        self.seen.remove(&evicted);
        self.count = None;
        self.count_with(identity, from) <= MAX_DEVICES
    }
}

impl Sighting {
    /// Keeps a statement. One that says less than before takes nothing away.
    fn tell(&mut self, answer: Answer, now_ms: u64) -> bool {
        let key = (answer.source, topic(&answer));
        let of_source = self.told.keys().filter(|(source, _)| *source == answer.source).count();
        match self.told.get_mut(&key) {
            Some((known, at)) => {
                let mut newer = answer;
                newer.name = newer.name.or_else(|| known.name.clone());
                newer.maker = newer.maker.or_else(|| known.maker.clone());
                newer.model = newer.model.or_else(|| known.model.clone());
                newer.mac = newer.mac.or(known.mac);
                newer.activated = newer.activated.or(known.activated);
                newer.http_port = newer.http_port.or(known.http_port);
                newer.firmware = newer.firmware.or_else(|| known.firmware.clone());
                if newer.onvif.is_empty() {
                    newer.onvif.clone_from(&known.onvif);
                }
                if newer.rtsp.is_empty() {
                    newer.rtsp.clone_from(&known.rtsp);
                }
                *at = now_ms.max(*at);
                let changed = *known != newer;
                *known = newer;
                changed
            }
            None if of_source < MAX_PER_ADDRESS => {
                self.told.insert(key, (answer, now_ms));
                true
            }
            None => false,
        }
    }
}

/// What a statement is about, so that two services of one host stand side by side instead of replacing each other.
fn topic(answer: &Answer) -> String {
    let about = match answer.source {
        Source::Mdns => answer.name.as_ref(),
        Source::RtspSweep => answer.rtsp.first(),
        Source::WsDiscovery | Source::Ssdp | Source::Sadp | Source::Dhip | Source::Neighbour => None,
    };
    about.cloned().unwrap_or_default()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn device(key: DeviceKey, mut sightings: Vec<(IpAddr, &Sighting)>) -> Device {
    let mut first_heard: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for (address, sighting) in &sightings {
        let first = first_heard.entry(*address).or_insert(sighting.first_ms);
        *first = sighting.first_ms.min(*first);
    }
    let rank = |address: &IpAddr| (is_link_local(*address), first_heard.get(address).copied(), *address);
    sightings.sort_by_key(|(address, _)| rank(address));
    let mut addresses: Vec<IpAddr> = sightings.iter().map(|(address, _)| *address).collect();
    addresses.dedup();
    // A name and a MAC address that are each borrowed elsewhere may bring more; what comes last is believed least.
    addresses.truncate(MAX_ADDRESSES);
    sightings.retain(|(address, _)| addresses.contains(address));

    let mut told: Vec<(usize, &Source, &Answer)> = Vec::new();
    for (address, sighting) in &sightings {
        let place = addresses.iter().position(|known| known == address).unwrap_or_default();
        told.extend(sighting.told.iter().map(|((source, _), (answer, _))| (place, source, answer)));
    }
    told.sort_by_key(|(place, source, _)| (*place, **source));
    let first = |pick: fn(&Answer) -> &Option<String>| {
        let fact = |(_, source, answer): &(usize, &Source, &Answer)| {
            pick(answer).clone().map(|value| Fact { value, source: **source })
        };
        told.iter().find_map(fact)
    };
    let all = |pick: fn(&Answer) -> &Vec<String>| {
        let mut facts: Vec<Fact<String>> = Vec::new();
        for (_, source, answer) in &told {
            for value in pick(answer) {
                if !facts.iter().any(|known| known.value == *value) {
                    facts.push(Fact { value: value.clone(), source: **source });
                }
            }
        }
        facts
    };
    let interfaces: BTreeSet<_> =
        sightings.iter().flat_map(|(_, sighting)| sighting.interfaces.keys()).collect();
    let sources: BTreeSet<Source> = told.iter().map(|(_, source, _)| **source).collect();
    let mac = told.iter().find(|(_, source, answer)| **source != Source::Neighbour && answer.mac.is_some());
    let mac = mac.or_else(|| told.iter().find(|(.., answer)| answer.mac.is_some()));
    let mut claims: Vec<IpAddr> =
        told.iter().flat_map(|(.., answer)| answer.claims.iter().copied()).collect();
    claims.sort();
    claims.dedup();
    claims.retain(|claim| !addresses.contains(claim));
    claims.truncate(MAX_ADDRESSES);
    Device {
        claims,
        mac: mac
            .and_then(|(_, source, answer)| Some(Fact { value: answer.mac?.to_string(), source: **source })),
        activated: told.iter().find_map(|(.., answer)| answer.activated),
        http_port: told.iter().find_map(|(.., answer)| answer.http_port),
        firmware: first(|answer| &answer.firmware),
        name: first(|answer| &answer.name),
        maker: first(|answer| &answer.maker),
        model: first(|answer| &answer.model),
        onvif: all(|answer| &answer.onvif),
        rtsp: all(|answer| &answer.rtsp),
        interfaces: interfaces.into_iter().cloned().collect(),
        sources: sources.into_iter().collect(),
        last_heard_ms: sightings.iter().map(|(_, sighting)| sighting.last_ms()).max().unwrap_or_default(),
        addresses,
        key,
    }
}

#[cfg(test)]
mod tests;
