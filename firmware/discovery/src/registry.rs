//! What was heard, merged into devices. It holds sightings, not devices: what each address said, by endpoint and
//! source. Devices are a view of them, so the order in which answers came cannot matter, and a fact goes when the
//! message that carried it is too old.
//!
//! * One device per ONVIF endpoint reference, on whatever addresses and interfaces it answers. What is known only
//!   of an address (RTSP, mDNS, SSDP) belongs to the endpoint there; if there is none or several, to a device of
//!   its own.
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
/// Milliseconds after which what a sweep found is forgotten: two sweeps, 5 minutes apart, and some grace.
const SWEEP_LIFE_MS: u64 = 660_000;
/// Milliseconds of silence after which a device heard only once has missed a probe.
const DOUBTFUL_MS: u64 = 40_000;
/// Milliseconds between two answers that make them answers to two probes.
const AGAIN_MS: u64 = 5_000;

/// Everything heard.
#[derive(Debug, Default)]
pub struct Registry {
    seen: BTreeMap<IpAddr, BTreeMap<Option<String>, Sighting>>,
}

/// What one address said as one endpoint (or as none).
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
        let key = answer.endpoint.clone();
        let known = self.seen.get(&from).is_some_and(|endpoints| endpoints.contains_key(&key));
        if !known && !self.make_room(key.as_ref(), from, answer.source, now_ms) {
            return false;
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
        self.seen.retain(|_, endpoints| {
            endpoints.retain(|_, sighting| {
                sighting.told.retain(|(source, _), (_, at)| {
                    let life = if *source == Source::RtspSweep { SWEEP_LIFE_MS } else { DATAGRAM_LIFE_MS };
                    let lives = now_ms.saturating_sub(*at) < life;
                    changed |= !lives;
                    lives
                });
                let before = sighting.interfaces.len();
                sighting.interfaces.retain(|_, at| now_ms.saturating_sub(*at) < SWEEP_LIFE_MS);
                changed |= before != sighting.interfaces.len();
                !sighting.told.is_empty()
            });
            !endpoints.is_empty()
        });
        changed
    }

    /// The devices, by key.
    pub fn devices(&self) -> Vec<Device> {
        let mut groups: BTreeMap<DeviceKey, Vec<(IpAddr, &Sighting)>> = BTreeMap::new();
        for (address, endpoints) in &self.seen {
            for (endpoint, sighting) in endpoints {
                groups
                    .entry(key_of(*address, endpoint.as_ref(), endpoints))
                    .or_default()
                    .push((*address, sighting));
            }
        }
        // A device that comes apart (one of its addresses forgot the endpoint) may be one too many until it expires.
        groups.into_iter().take(MAX_DEVICES).map(|(key, sightings)| device(key, sightings)).collect()
    }

    /// How many devices there are.
    fn count(&self) -> usize {
        let mut endpoints = BTreeSet::new();
        let mut alone = 0;
        for here in self.seen.values() {
            endpoints.extend(here.keys().flatten());
            alone += usize::from(here.contains_key(&None) && here.keys().flatten().count() != 1);
        }
        endpoints.len() + alone
    }

    /// How many devices there would be with one sighting more.
    fn count_with(&self, endpoint: Option<&String>, from: IpAddr) -> usize {
        let here = self.seen.get(&from);
        let endpoints_here = here.map_or(0, |here| here.keys().flatten().count());
        let bare_here = here.is_some_and(|here| here.contains_key(&None));
        let count = self.count();
        match endpoint {
            // What is known of an address alone joins its only endpoint.
            None => count + usize::from(endpoints_here != 1),
            Some(endpoint) => {
                let known = self.seen.values().any(|here| here.keys().flatten().any(|key| key == endpoint));
                let count = count + usize::from(!known);
                match endpoints_here {
                    0 if bare_here => count.saturating_sub(1),
                    1 if bare_here => count + 1,
                    _ => count,
                }
            }
        }
    }

    fn gone(&mut self, answer: &Answer, from: IpAddr) -> bool {
        let Some(endpoints) = self.seen.get_mut(&from) else { return false };
        let Some(sighting) = endpoints.get_mut(&answer.endpoint) else { return false };
        let before = sighting.told.len();
        let topic = topic(answer);
        sighting.told.retain(|(source, about), _| *source != answer.source || *about != topic);
        let changed = before != sighting.told.len();
        if sighting.told.is_empty() {
            endpoints.remove(&answer.endpoint);
        }
        if endpoints.is_empty() {
            self.seen.remove(&from);
        }
        changed
    }

    /// Whether a new sighting may come in; lets a doubtful one go where that helps.
    fn make_room(&mut self, endpoint: Option<&String>, from: IpAddr, source: Source, now_ms: u64) -> bool {
        let here = self.seen.get(&from);
        if here.is_some_and(|endpoints| endpoints.len() > MAX_PER_ADDRESS) {
            return false;
        }
        if endpoint.is_some()
            && here.is_some_and(|endpoints| endpoints.keys().flatten().count() >= MAX_PER_ADDRESS)
        {
            return false;
        }
        // A known endpoint at too many addresses: somebody else borrows it.
        let wanted = endpoint.cloned();
        let borrowed =
            self.seen.values().filter(|endpoints| wanted.is_some() && endpoints.contains_key(&wanted));
        if borrowed.count() >= MAX_ADDRESSES {
            return false;
        }
        if self.count_with(endpoint, from) <= MAX_DEVICES {
            return true;
        }
        let doubtful = |sighting: &Sighting| {
            let silent = now_ms.saturating_sub(sighting.last_ms()) >= DOUBTFUL_MS;
            !sighting.proven && (silent || source == Source::RtspSweep)
        };
        let first = |here: &BTreeMap<_, Sighting>| here.values().map(|sighting| sighting.first_ms).max();
        // A whole address goes, and the newest of the doubtful: what stood before the flood stays longest.
        let candidates =
            self.seen.iter().filter(|(address, here)| **address != from && here.values().all(doubtful));
        let Some(evicted) =
            candidates.max_by_key(|(address, here)| (first(here), **address)).map(|(a, _)| *a)
        else {
            return false;
        };
        self.seen.remove(&evicted);
        self.count_with(endpoint, from) <= MAX_DEVICES
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
        Source::WsDiscovery | Source::Ssdp => None,
    };
    about.cloned().unwrap_or_default()
}

fn key_of<T>(address: IpAddr, endpoint: Option<&String>, here: &BTreeMap<Option<String>, T>) -> DeviceKey {
    let mut endpoints = here.keys().flatten();
    match (endpoint, endpoints.next(), endpoints.next()) {
        (Some(endpoint), ..) | (None, Some(endpoint), None) => DeviceKey::Endpoint(endpoint.clone()),
        _ => DeviceKey::Address(address),
    }
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
    Device {
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
