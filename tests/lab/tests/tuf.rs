//! Two verifiers of metadata, ours and python-tuf's, on the same repositories: right ones, and some hundred that are wrong in
//! one to three ways, properly signed or not. What python-tuf refuses, a box must not accept, and what both accept they must
//! read alike. The other direction is printed: there a box is merely stricter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

#[path = "../../../firmware/update/tests/publisher/mod.rs"]
mod publisher;
mod tuf_cases;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use lab::{paths, setup};
use publisher::run;
use serde_json::{Value, json};
use tuf_cases::{Case, case};
use update::tuf::Freshness;

/// Cases; fifty a second on a machine that does nothing else.
const CASES: u64 = 600;

/// A target's name, length and SHA-256.
type Listing = BTreeMap<String, (u64, Option<String>)>;

/// python-tuf in one process for all cases.
struct Reference {
    process: Child,
    verdicts: BufReader<ChildStdout>,
}

impl Reference {
    fn start() -> Self {
        setup::check().unwrap();
        let mut process = Command::new(paths::python())
            .arg(paths::sources().join("judges/tuf_verdicts.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let verdicts = BufReader::new(process.stdout.take().unwrap());
        Self { process, verdicts }
    }

    fn judge(&mut self, case: &Case) -> Result<Listing, String> {
        let text = |bytes: &Vec<u8>| STANDARD.encode(bytes);
        let state = &case.state;
        let kept: BTreeMap<_, _> = [
            ("timestamp.json", &state.timestamp),
            ("snapshot.json", &state.snapshot),
            ("targets.json", &state.targets),
        ]
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, text(bytes.as_ref()?))))
        .collect();
        let files: BTreeMap<_, _> = case.files.iter().map(|(path, bytes)| (path, text(bytes))).collect();
        let question = json!({"now": case.now, "root": text(&state.root), "kept": kept, "files": files});
        writeln!(self.process.stdin.as_mut().unwrap(), "{question}").unwrap();
        let mut verdict = String::new();
        self.verdicts.read_line(&mut verdict).unwrap();
        let verdict: Value = serde_json::from_str(&verdict).expect("python-tuf answers each case");
        if let Some(why) = verdict["refused"].as_str() {
            return Err(why.to_owned());
        }
        Ok(listing(&verdict["targets"], |file| (&file[0], &file[1])))
    }
}

/// Targets out of JSON in which each has its length and hashes somewhere. A hash of another length than it has is read as
/// none, as we do: no file fits either.
fn listing(targets: &Value, parts: impl Fn(&Value) -> (&Value, &Value)) -> Listing {
    let listed = targets.as_object().unwrap().iter().map(|(name, file)| {
        let (length, hashes) = parts(file);
        let hash = hashes["sha256"].as_str().filter(|hash| hash.len() == 64).map(str::to_owned);
        (name.clone(), (length.as_u64().unwrap(), hash))
    });
    listed.collect()
}

/// What a box listed before the case began.
fn kept(case: &Case) -> Option<Listing> {
    let targets: Value = serde_json::from_slice(case.state.targets.as_ref()?).ok()?;
    Some(listing(&targets["signed"]["targets"], |file| (&file["length"], &file["hashes"])))
}

impl Drop for Reference {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ours(case: &Case) -> Result<Listing, String> {
    let trusted =
        run(&case.state, &case.files, Freshness::Clock(case.now)).1.map_err(|error| error.to_string())?;
    let listed = trusted.targets.names().map(|name| {
        let file = trusted.target(name).unwrap();
        (name.to_owned(), (file.length, file.hashes.sha256().map(str::to_owned)))
    });
    Ok(listed.collect())
}

#[test]
fn a_box_accepts_nothing_that_python_tuf_refuses() {
    let mut reference = Reference::start();
    let (mut both_accept, mut both_refuse, mut two_of_one_version) = (0, 0, 0);
    let mut stricter: BTreeMap<String, u32> = BTreeMap::new();
    let mut wrong = Vec::new();
    for number in 0..CASES {
        let case = case(number);
        match (ours(&case), reference.judge(&case)) {
            (Ok(ours), Ok(theirs)) if ours == theirs => both_accept += 1,
            // A publisher made two snapshots of one version: python-tuf stays with the one it kept, we take the one whose
            // hash the timestamp lists (5.5.2).
            (Ok(_), Ok(theirs)) if kept(&case).is_some_and(|kept| kept == theirs) => two_of_one_version += 1,
            (Ok(ours), Ok(theirs)) => {
                wrong.push(format!("{:?}\n  we read {ours:?}\n  python-tuf {theirs:?}", case.story));
            }
            (Ok(_), Err(why)) => {
                wrong.push(format!("{:?}\n  we accept, python-tuf does not: {why}", case.story));
            }
            (Err(_), Err(_)) => both_refuse += 1,
            (Err(why), Ok(_)) => *stricter.entry(why).or_default() += 1,
        }
    }
    println!(
        "{CASES} repositories: both accept {both_accept}, and {two_of_one_version} with two snapshots of one version; \
         both refuse {both_refuse}; only we refuse:"
    );
    for (why, count) in &stricter {
        println!("  {count:4}  {why}");
    }
    assert!(wrong.is_empty(), "{} of {CASES} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(both_accept > CASES / 8 && both_refuse > CASES / 4, "the cases no longer tell the two apart");
    assert!(u64::from(stricter.values().sum::<u32>()) < CASES / 8, "a box refuses too much that is right");
}
