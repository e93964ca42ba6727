//! Whatever arrives, nothing panics, nothing names another host than the one that answered.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::IpAddr;

use discovery::{Protocol, read, read_as_all};
use proptest::prelude::*;

const FROM: [u8; 4] = [192, 0, 2, 7];

fn check(bytes: &[u8]) {
    for protocol in Protocol::ALL {
        for answer in read(protocol, bytes, IpAddr::from(FROM)).unwrap_or_default() {
            for url in answer.onvif.iter().chain(&answer.rtsp) {
                let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next());
                assert_eq!(host, Some("192.0.2.7"), "{url}");
            }
            // What is claimed stands apart, bounded, and is never somebody's inside.
            assert!(answer.claims.len() <= discovery::Answer::MAX_ADDRESSES);
            assert!(answer.claims.iter().all(|claim| *claim != IpAddr::from(FROM) && !claim.is_loopback()));
            for text in [&answer.name, &answer.maker, &answer.model, &answer.firmware].into_iter().flatten() {
                assert!(text.chars().count() <= 64 && !text.contains(char::is_control), "{text:?}");
            }
        }
    }
    read_as_all(bytes);
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/discovery_answer");
    let seeds: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(seeds.len() >= 8, "the corpus is there");
    seeds
}

#[test]
fn every_seed_is_read() {
    for seed in seeds() {
        check(&seed);
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&bytes);
    }

    #[test]
    fn any_mutation_of_a_real_message(
        pick in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut seeds = seeds();
        let mut bytes = seeds.swap_remove(pick.index(seeds.len()));
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check(&bytes);
        bytes.truncate(cut.index(bytes.len() + 1));
        check(&bytes);
    }
}
