//! Which sightings are one device. It looks at what they said all together, so the order in which they came cannot matter.
//!
//! 1. The same ONVIF endpoint, or the same told MAC address, is the same device, on whatever address. A MAC address that was only
//!    seen on the wire counts as well where a device told it; alone it says nothing, because a router or a radio bridge puts its
//!    own in front of all that are behind it.
//! 2. An endpoint and a MAC address are the same device where they are the only ones at an address, and one of them was heard at no
//!    other address than the other: somebody who borrows the endpoint of one camera and the MAC address of another joins
//!    nothing.
//! 3. What nobody signed belongs to the device at its address; where there are several, to none of them. New cameras of one
//!    maker, all at the same address, are told apart by this.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{Answer, mac::Mac};
use model::{DeviceKey, Source};

/// Who said something at an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    /// An ONVIF endpoint.
    Endpoint(String),
    /// A device that told its MAC address.
    Told(Mac),
    /// A network card, seen on the wire.
    Seen(Mac),
    /// Nobody in particular.
    None,
}

impl Identity {
    pub(super) fn of(answer: &Answer) -> Self {
        match (&answer.endpoint, answer.mac) {
            (Some(endpoint), _) => Self::Endpoint(endpoint.clone()),
            (None, Some(mac)) if answer.source == Source::Neighbour => Self::Seen(mac),
            (None, Some(mac)) => Self::Told(mac),
            (None, None) => Self::None,
        }
    }

    /// What it joins wherever that is heard.
    pub(super) fn akin(&self) -> impl Iterator<Item = Self> + use<> {
        let (one, other) = match self {
            Self::Endpoint(_) => (Some(self.clone()), None),
            Self::Told(mac) | Self::Seen(mac) => (Some(Self::Told(*mac)), Some(Self::Seen(*mac))),
            Self::None => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// Whether it names a device, wherever it is heard.
    pub(super) const fn is_named(&self) -> bool {
        matches!(self, Self::Endpoint(_) | Self::Told(_))
    }
}

/// How many devices the sightings are.
pub(super) fn count<'a>(sightings: impl Iterator<Item = (IpAddr, &'a Identity)> + Clone) -> usize {
    keys(sightings).into_iter().collect::<BTreeSet<_>>().len()
}

/// The key of the device that each sighting belongs to, in the same order.
pub(super) fn keys<'a>(sightings: impl Iterator<Item = (IpAddr, &'a Identity)> + Clone) -> Vec<DeviceKey> {
    let mut sets = Sets { parents: (0..sightings.clone().count()).collect() };
    let mut endpoints: BTreeMap<&str, usize> = BTreeMap::new();
    let mut told: BTreeMap<Mac, usize> = BTreeMap::new();
    let mut here: BTreeMap<IpAddr, Vec<usize>> = BTreeMap::new();
    let all: Vec<(IpAddr, &Identity)> = sightings.collect();
    for (at, (address, identity)) in all.iter().enumerate() {
        let first = match identity {
            Identity::Endpoint(endpoint) => *endpoints.entry(endpoint).or_insert(at),
            Identity::Told(mac) => *told.entry(*mac).or_insert(at),
            Identity::Seen(_) | Identity::None => at,
        };
        sets.join(first, at);
        here.entry(*address).or_default().push(at);
    }
    for (at, (_, identity)) in all.iter().enumerate() {
        if let Identity::Seen(mac) = identity
            && let Some(first) = told.get(mac)
        {
            sets.join(*first, at);
        }
    }
    let identity = |at: &usize| all.get(*at).map(|(_, identity)| *identity);
    let mut heard_at: BTreeMap<&Identity, BTreeSet<IpAddr>> = BTreeMap::new();
    for (address, identity) in all.iter().filter(|(_, identity)| identity.is_named()) {
        heard_at.entry(identity).or_default().insert(*address);
    }
    for members in here.values() {
        let named: Vec<usize> =
            members.iter().copied().filter(|at| identity(at).is_some_and(Identity::is_named)).collect();
        if let [one, other] = named.as_slice()
            && let (Some(first), Some(second)) = (identity(one), identity(other))
            && matches!(
                (first, second),
                (Identity::Endpoint(_), Identity::Told(_)) | (Identity::Told(_), Identity::Endpoint(_))
            )
            && let (Some(some), Some(others)) = (heard_at.get(first), heard_at.get(second))
            && (some.is_subset(others) || others.is_subset(some))
        {
            sets.join(*one, *other);
        }
        let devices: BTreeSet<usize> = named.iter().map(|at| sets.root(*at)).collect();
        let mut nameless = members.iter().copied().filter(|at| {
            let elsewhere = matches!(identity(at), Some(Identity::Seen(mac)) if told.contains_key(mac));
            !named.contains(at) && (devices.len() <= 1 || !elsewhere)
        });
        let owner = if devices.len() == 1 { devices.first().copied() } else { nameless.next() };
        if let Some(owner) = owner {
            nameless.for_each(|other| sets.join(owner, other));
        }
    }
    let mut best: BTreeMap<usize, DeviceKey> = BTreeMap::new();
    for (at, (address, identity)) in all.iter().enumerate() {
        let key = match identity {
            Identity::Endpoint(endpoint) => DeviceKey::Endpoint(endpoint.clone()),
            Identity::Told(mac) => DeviceKey::Mac(mac.to_string()),
            Identity::Seen(_) | Identity::None => DeviceKey::Address(*address),
        };
        let root = sets.root(at);
        // The order of the kinds is the order of their worth.
        best.entry(root).and_modify(|known| *known = key.clone().min(known.clone())).or_insert(key);
    }
    (0..all.len()).filter_map(|at| best.get(&sets.root(at)).cloned()).collect()
}

/// Disjoint sets of numbers, each named by its smallest.
struct Sets {
    parents: Vec<usize>,
}

impl Sets {
    fn root(&mut self, mut at: usize) -> usize {
        while let Some(&parent) = self.parents.get(at).filter(|parent| **parent != at) {
            let above = self.parents.get(parent).copied().unwrap_or(parent);
            if let Some(slot) = self.parents.get_mut(at) {
                *slot = above;
            }
            at = above;
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if let Some(parent) = self.parents.get_mut(one.max(other)) {
            *parent = one.min(other);
        }
    }
}
