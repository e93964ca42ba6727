//! The hubs by which the box may reach its cloud: those of the day it joined, and from then on those that the cloud last told
//! of. The list is kept on disk; it is taken up when the hub in use is silent, so that no tunnel that works is disturbed.

use std::collections::BTreeSet;

use model::enrol::{Hub, Joined};
use tunnel::keys::PublicKey;

/// Most hubs that are kept.
const MOST: usize = 8;
/// Longest endpoint, characters: a host name has at most 253.
const LONGEST: usize = 270;

/// What of a list that the cloud told is of use, if any of it is. The hub in use, by which it came, stays in it: that one is
/// known to work.
pub(super) fn usable(told: &[Hub], known: &[Hub], used: Option<&String>) -> Option<Vec<Hub>> {
    let fits = |hub: &&Hub| {
        let endpoint = |endpoint: &String| endpoint.len() <= LONGEST && endpoint.contains(':');
        hub.public_key.parse::<PublicKey>().is_ok()
            && !hub.endpoints.is_empty()
            && hub.endpoints.iter().all(endpoint)
    };
    let mut usable: Vec<Hub> = told.iter().filter(fits).take(MOST).cloned().collect();
    if usable.is_empty() {
        return None;
    }
    let is_used = |hub: &&Hub| used.is_some() && hub.endpoints.first() == used;
    if !usable.iter().any(|hub| is_used(&hub)) {
        let kept = known.iter().find(is_used).cloned();
        usable.extend(kept.map(|hub| Hub { carrier: None, ..hub }));
    }
    Some(usable)
}

/// Whether both lists lead to the same places: which of them is first changes with the hub that tells.
pub(super) fn same(a: &[Hub], b: &[Hub]) -> bool {
    fn places(hubs: &[Hub]) -> (BTreeSet<(&String, &Vec<String>)>, BTreeSet<&String>) {
        let ends = hubs.iter().map(|hub| (&hub.public_key, &hub.endpoints));
        (ends.collect(), hubs.iter().filter_map(|hub| hub.carrier.as_ref()).collect())
    }
    places(a) == places(b)
}

/// The membership with these hubs.
pub(super) fn with(joined: &Joined, hubs: &[Hub]) -> Joined {
    Joined { hubs: hubs.to_vec(), ..joined.clone() }
}

/// The order in which they are tried once this one was found silent: it comes last.
pub(super) fn after(hubs: &[Hub], silent: Option<&String>) -> Vec<Hub> {
    let is_silent = |hub: &&Hub| silent.is_some() && hub.endpoints.first() == silent;
    let mut order: Vec<Hub> = hubs.iter().filter(|hub| !is_silent(hub)).cloned().collect();
    order.extend(hubs.iter().filter(is_silent).cloned());
    // The WebSocket belongs to whoever is first: it leads to whichever cloud answers.
    let carrier = hubs.iter().find_map(|hub| hub.carrier.clone());
    for (place, hub) in order.iter_mut().enumerate() {
        hub.carrier = carrier.clone().filter(|_| place == 0);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(endpoint: &str, carrier: Option<&str>) -> Hub {
        Hub {
            public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(),
            endpoints: vec![endpoint.into()],
            carrier: carrier.map(Into::into),
            inner: "10.13.0.1".parse().unwrap(),
        }
    }

    #[test]
    fn a_list_of_no_use_changes_nothing() {
        let good = hub("a.example.org:51820", None);
        let bad = [
            Hub { public_key: "x".into(), ..good.clone() },
            Hub { endpoints: Vec::new(), ..good.clone() },
            Hub { endpoints: vec!["a".repeat(300) + ":1"], ..good.clone() },
            Hub { endpoints: vec!["nonsense".into()], ..good.clone() },
        ];
        assert_eq!(usable(&bad, &[], None), None);
        assert_eq!(usable(&[], &[], None), None);
        assert_eq!(usable(&[bad[0].clone(), good.clone()], &[], None), Some(vec![good.clone()]));
        let many: Vec<Hub> = (0..100).map(|n| hub(&format!("{n}:1"), None)).collect();
        assert_eq!(usable(&many, &[], None).map(|hubs| hubs.len()), Some(MOST));
        // A list without the hub that told it would cut the box off if it were wrong.
        let (used, told) = (hub("b:1", Some("wss://v/tunnel/v1")), [good.clone()]);
        let both = vec![good, hub("b:1", None)];
        assert_eq!(usable(&told, &[used], Some(&"b:1".to_owned())), Some(both));
    }

    #[test]
    fn the_order_is_no_difference_and_the_silent_one_comes_last() {
        let (a, b) = (hub("a:1", Some("wss://v/tunnel/v1")), hub("b:1", None));
        let turned = [hub("b:1", Some("wss://v/tunnel/v1")), hub("a:1", None)];
        assert!(same(&[a.clone(), b.clone()], &turned));
        assert!(!same(std::slice::from_ref(&a), &turned) && !same(&[hub("a:1", None), b.clone()], &turned));
        assert_eq!(after(&[a.clone(), b.clone()], Some(&"a:1".to_owned())), turned);
        assert_eq!(after(&[a.clone(), b.clone()], Some(&"c:1".to_owned())), [a.clone(), b.clone()]);
        assert_eq!(after(&[a.clone(), b.clone()], None), [a, b]);
    }
}
