//! Every committed corpus file, and seeded mutations of it, through its target on stable Rust: no panic, no endless loop.

use std::fs;
use std::path::Path;

/// Mutations of each corpus file. More are the fuzzer's work.
const MUTATIONS: u64 = 200;

/// A small generator (splitmix64): the seed is the file's place, so that a failure comes back.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Flips, cuts, repeats or overwrites a few places.
fn mutate(data: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = data.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len());
        match random.below(5) {
            0 if !out.is_empty() => out[at] ^= 1 << random.below(8),
            1 if !out.is_empty() => out[at] = [0, 0xff, 0x7f, 0x80, b'<', b'&'][random.below(6)],
            2 => out.truncate(at),
            3 => out.insert(at, random.next() as u8),
            _ => {
                let piece = out[at..(at + random.below(64)).min(out.len())].to_vec();
                let to = random.below(out.len());
                out.splice(to..to, piece);
            }
        }
    }
    out
}

#[test]
fn corpora_replay_without_a_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in fuzz::TARGETS {
        let mut files: Vec<_> = fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("corpus/{name}: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 4, "corpus/{name} has only {} files", files.len());
        for (place, file) in files.iter().enumerate() {
            let data = fs::read(file).unwrap();
            target(&data);
            let mut random = Random(place as u64);
            for _ in 0..MUTATIONS {
                target(&mutate(&data, &mut random));
            }
        }
    }
}
