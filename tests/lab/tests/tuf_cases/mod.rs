//! Repositories that are wrong in up to three ways. A case's number is its seed, so that a failure comes back.

use serde_json::{Value, json};
use update::Floors;
use update::tuf::{Freshness, Role, State};

use crate::publisher::{DAY, Files, NOW, Publisher, entry, run};

const ROLES: [Role; 4] = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp];

/// A small generator (splitmix64).
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

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// What a box that knows `state` meets on a server at a time.
pub(crate) struct Case {
    pub(crate) state: State,
    pub(crate) files: Files,
    pub(crate) now: u64,
    /// What was done to it.
    pub(crate) story: Vec<String>,
}

/// A publisher with some history, and a box somewhere on its way through it.
fn history(random: &mut Random, story: &mut Vec<String>) -> (Publisher, State) {
    let mut publisher = Publisher::new();
    let mut state = publisher.new_box();
    publisher.release("1.0.0", 1);
    if random.below(2) == 0 {
        state = run(&state, &publisher.files, Freshness::Clock(NOW)).0;
        story.push("a box that has 1.0.0".into());
    }
    match random.below(4) {
        0 => {
            let keys: &[u8] = random.one_of(&[&[8][..], &[8, 9]]);
            publisher.appoint(Role::Timestamp, keys, 1);
            publisher.appoint(Role::Snapshot, keys, 1);
            publisher.next(&[Role::Root]);
            story.push(format!("online keys {keys:?}"));
        }
        1 => {
            publisher.appoint(Role::Root, &[1, 4, 5], 2);
            publisher.signers.insert(Role::Root, vec![1, 2, 4]);
            publisher.next(&[Role::Root]);
            story.push("root keys rotated".into());
        }
        _ => {}
    }
    publisher.release("1.1.0", 2);
    if random.below(4) == 0 {
        state = run(&state, &publisher.files, Freshness::Clock(NOW)).0;
        story.push("a box that has 1.1.0".into());
    }
    // Floors only make a box stricter, so most cases do without.
    if random.below(4) != 0 {
        state.floors = Floors::default();
    }
    (publisher, state)
}

/// Changes a document. It may be signed afterwards.
fn change(document: &mut Value, role: Role, random: &mut Random) -> String {
    let any = |random: &mut Random| match random.below(6) {
        0 => (
            "version",
            random.one_of(&[
                json!(0),
                json!(1),
                json!(2),
                json!(3),
                json!(100),
                json!(-1),
                json!("2"),
                json!(null),
                json!(u64::MAX),
            ]),
        ),
        1 => (
            "expires",
            random.one_of(&[
                json!("2026-05-31T12:00:00Z"),
                json!("2026-06-01T12:00:00Z"),
                json!("2026-06-01T12:00:01Z"),
                json!("9999-12-31T23:59:59Z"),
                json!("2026-13-01T12:00:00Z"),
                json!("2026-06-31T12:00:00Z"),
                json!("2026-07-01T12:00:60Z"),
                json!("2027-6-1T0:0:0Z"),
                json!("2027-06-01"),
                json!("0000-00-00T00:00:00Z"),
                json!(2027),
            ]),
        ),
        2 => (
            "spec_version",
            random
                .one_of(&["1.0", "1.0.0", "1", "2.0.0", "1.99.99", "1.0.0.0", "", "1.a", "01.0.0", "1.-1"])
                .into(),
        ),
        3 => ("_type", random.one_of(&ROLES).name().into()),
        4 => ("x-note", random.one_of(&[json!({"a": [1, null, true]}), json!("тест"), json!("\u{1}\n\"\\")])),
        _ => ("consistent_snapshot", random.one_of(&[json!(true), json!(false), json!(null)])),
    };
    if random.below(3) == 0 {
        let (name, value) = any(random);
        let told = format!("{role}.{name} = {value}");
        document[name] = value;
        return told;
    }
    match role {
        Role::Root => change_root(document, random),
        Role::Targets => change_target(document, random),
        _ => change_listing(document, role, random),
    }
}

fn change_root(document: &mut Value, random: &mut Random) -> String {
    let name = random.one_of(&ROLES).name();
    let known = document["roles"][name].clone();
    let Some(id) = known["keyids"][0].as_str() else { return format!("{name} stays without keys") };
    match random.below(9) {
        0 => {
            let threshold =
                random.one_of(&[json!(0), json!(1), json!(2), json!(3), json!(100), json!(-1), json!("1")]);
            let told = format!("threshold of {name} = {threshold}");
            document["roles"][name]["threshold"] = threshold;
            told
        }
        1 => {
            let again = known["keyids"][0].clone();
            document["roles"][name]["keyids"].as_array_mut().unwrap().push(again);
            format!("a key id of {name} twice")
        }
        2 => {
            document["roles"][name]["keyids"].as_array_mut().unwrap().pop();
            format!("a key less for {name}")
        }
        3 => {
            let key = document["keys"][id].clone();
            document["keys"]["another id"] = key;
            document["roles"][name]["keyids"].as_array_mut().unwrap().push(json!("another id"));
            format!("a key of {name} under another id")
        }
        4 => {
            let other = random.one_of(&ROLES).name();
            document["roles"][name] = document["roles"][other].clone();
            document["roles"][other] = known;
            format!("keys of {name} and {other} swapped")
        }
        5 => {
            document["roles"].as_object_mut().unwrap().remove(name);
            format!("no role {name}")
        }
        6 => {
            document["roles"]["extra"] = known;
            "an extra role".into()
        }
        7 => {
            document["keys"][id]["keyval"]["public"] =
                random.one_of(&[json!(""), json!("00"), json!("zz"), entry(7).1["keyval"]["public"].clone()]);
            format!("another public key for {name}")
        }
        _ => {
            document["keys"].as_object_mut().unwrap().remove(id);
            format!("no key for {name}")
        }
    }
}

fn change_listing(document: &mut Value, role: Role, random: &mut Random) -> String {
    let name = if role == Role::Snapshot { "targets.json" } else { "snapshot.json" };
    let file = &mut document["meta"][name];
    let (field, value) = match random.below(4) {
        0 => (
            "version",
            random.one_of(&[
                json!(0),
                json!(1),
                json!(2),
                json!(3),
                json!(4),
                json!(-1),
                json!("3"),
                json!(null),
            ]),
        ),
        1 => (
            "length",
            random.one_of(&[json!(0), json!(1), json!(-1), json!(null), json!(1_u64 << 40), json!("9")]),
        ),
        2 => (
            "hashes",
            random.one_of(&[
                json!(null),
                json!({}),
                json!({"sha256": "00"}),
                json!({"sha256": 7}),
                json!({"md7": "00"}),
                json!({"sha256": file["hashes"]["sha256"], "sha512": "00"}),
                json!({"sha256": file["hashes"]["sha256"].as_str().unwrap_or_default().to_uppercase()}),
            ]),
        ),
        _ => {
            let told = format!("{role} lists one more file");
            document["meta"]["more.json"] =
                random.one_of(&[json!({"version": 1}), json!({"version": 0}), json!({}), json!(1)]);
            return told;
        }
    };
    let told = format!("{role} lists {name} with {field} = {value}");
    file[field] = value;
    if file[field].is_null() {
        file.as_object_mut().unwrap().remove(field);
    }
    told
}

fn change_target(document: &mut Value, random: &mut Random) -> String {
    let name = "qemu-aarch64/1.1.0.json";
    let file = &mut document["targets"][name];
    let (field, value) = match random.below(4) {
        0 => ("length", random.one_of(&[json!(0), json!(-1), json!(null), json!("1"), json!(1_u64 << 40)])),
        1 => (
            "hashes",
            random.one_of(&[
                json!({}),
                json!(null),
                json!({"md7": "00"}),
                json!({"sha256": "00"}),
                json!({"sha256": 1}),
            ]),
        ),
        2 => ("custom", random.one_of(&[json!({"a": 1}), json!(null), json!("x")])),
        _ => {
            document["targets"].as_object_mut().unwrap().remove(name);
            return format!("{name} is no target");
        }
    };
    let told = format!("target {field} = {value}");
    file[field] = value;
    told
}

/// Changes a document of the publisher, signs it by those who should or by others, and lists it anew or not.
fn republish(publisher: &mut Publisher, random: &mut Random, story: &mut Vec<String>) {
    let role = random.one_of(&ROLES);
    story.push(change(publisher.document(role), role, random));
    if role != Role::Root && random.below(2) == 0 {
        let version = publisher.document(role)["version"].as_u64().unwrap_or(1);
        if version < 100 {
            publisher.document(role)["version"] = json!(version + 1);
            story.push("in a next version".into());
        }
    }
    if role == Role::Root && random.below(4) != 0 {
        let last = (1..9).rev().find(|version| publisher.files.contains_key(&format!("{version}.root.json")));
        publisher.document(role)["version"] = json!(last.unwrap_or_default() + 1);
        story.push("as the next root".into());
    }
    let proper = publisher.signers[&role].clone();
    if random.below(3) == 0 {
        let signers = random.one_of(&[vec![], vec![7], vec![1], vec![9], vec![2, 3], vec![1, 2, 3, 4, 5]]);
        story.push(format!("signed by {signers:?}"));
        publisher.signers.insert(role, signers);
    }
    let mut signed = publisher.signed(role);
    let signatures = signed["signatures"].as_array_mut().unwrap();
    if random.below(4) == 0 && !signatures.is_empty() {
        let at = random.below(signatures.len());
        let mut copy = signatures[at].clone();
        match random.below(6) {
            0 => signatures.push(copy),
            1 => {
                copy["keyid"] = json!("another id");
                signatures.push(copy);
            }
            2 => {
                copy["keyid"] = json!(entry(random.one_of(&[1, 2, 3, 8, 9])).0);
                signatures[at] = copy;
            }
            3 => {
                signatures[at]["sig"] =
                    random.one_of(&[json!(""), json!("zz"), json!("00"), json!(1), json!(null)]);
            }
            4 => signatures[at]["sig"] = copy["sig"].as_str().unwrap().to_uppercase().into(),
            _ => drop(signatures.remove(at)),
        }
        story.push("and a signature changed".into());
    }
    publisher.put(role, signed.to_string().into_bytes());
    publisher.signers.insert(role, proper);
    // Whoever has the online keys lists what he likes.
    if matches!(role, Role::Targets | Role::Snapshot) && random.below(4) != 0 {
        story.push("and listed".into());
        if role == Role::Targets {
            publisher.next(&[Role::Snapshot]);
        }
        publisher.next(&[Role::Timestamp]);
    }
}

/// Changes bytes behind everybody's back.
fn tamper(files: &mut Files, random: &mut Random, story: &mut Vec<String>) {
    let paths: Vec<_> =
        files.keys().filter(|path| path.contains("json") && !path.contains('/')).cloned().collect();
    let (path, other) = (random.one_of(&paths), random.one_of(&paths));
    let mut bytes = files[&path].clone();
    let at = random.below(bytes.len());
    story.push(match random.below(9) {
        0 | 1 => {
            bytes[at] ^= 1 << random.below(8);
            format!("a bit of {path}")
        }
        2 => {
            bytes.truncate(at);
            format!("{path} cut")
        }
        3 => {
            bytes.insert(at, random.one_of(b" \n0\"{}[]:,\xff\0"));
            format!("a byte more in {path}")
        }
        4 => {
            bytes.clone_from(&files[&other]);
            files.insert(other.clone(), files[&path].clone());
            format!("{path} and {other} swapped")
        }
        5 => {
            bytes.clone_from(&files[&other]);
            format!("{other} served as {path}")
        }
        6 => {
            files.remove(&path);
            story.push(format!("no {path}"));
            return;
        }
        7 => {
            let text =
                String::from_utf8_lossy(&bytes).replacen("\"signed\":{", "\"signed\":{\"version\":9,", 1);
            bytes = text.into_bytes();
            format!("a key twice in {path}")
        }
        _ => {
            bytes.extend_from_slice(random.one_of(&[&b" "[..], b"\n\n", b"{}", b"x"]));
            format!("a tail behind {path}")
        }
    });
    files.insert(path, bytes);
}

/// A box, and the repository that it meets.
pub(crate) fn case(number: u64) -> Case {
    let mut random = Random(number);
    let mut story = vec![format!("case {number}")];
    let (mut publisher, mut state) = history(&mut random, &mut story);
    let mut now = NOW;
    for _ in 0..random.below(4) {
        match random.below(8) {
            0..4 => republish(&mut publisher, &mut random, &mut story),
            4..7 => tamper(&mut publisher.files, &mut random, &mut story),
            _ => {
                now = random.one_of(&[NOW + 8 * DAY, NOW + 400 * DAY, NOW - 400 * DAY, 0]);
                story.push(format!("the clock says {now}"));
            }
        }
    }
    // What a box has kept may be damaged, too.
    if random.below(8) == 0 {
        for kept in [&mut state.timestamp, &mut state.snapshot, &mut state.targets].into_iter().flatten() {
            let at = random.below(kept.len());
            kept[at] ^= 1 << random.below(8);
        }
        story.push("and what was kept is damaged".into());
    }
    Case { state, files: publisher.files, now, story }
}
