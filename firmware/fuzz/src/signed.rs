//! Metadata and assignments that are signed properly, whatever they say: the bytes are the signed part, so that a fuzzer gets
//! past the signatures.

use std::sync::LazyLock;

use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use update::assignment::{Assignment, AssignmentError, Expected};
use update::tuf::{Answer, Freshness, Role, Root, State, Verifier, key_entry, key_id, sign};
use update::{Floors, ImageKind, Release};

/// 2026-06-01, in seconds since 1970.
const NOW: u64 = 1_780_272_000;
/// One key for everything: who signs what is for the tests of the verifier.
static KEY: LazyLock<Option<Ed25519KeyPair>> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).ok());
static ROOT: LazyLock<Vec<u8>> = LazyLock::new(|| signed(&document(Role::Root)).unwrap_or_default());

fn signed(document: &Value) -> Option<Vec<u8>> {
    Some(sign(document, KEY.as_ref()).ok()?.to_string().into_bytes())
}

/// What an honest publisher says first. No lengths and hashes, so that another document may take the place of one.
fn document(role: Role) -> Value {
    let mut document = json!({"_type": role.name(), "spec_version": "1.0.34", "version": 1, "expires": "2027-01-01T00:00:00Z"});
    match role {
        Role::Root => {
            let entry = key_entry(KEY.as_ref().map(|key| key.public_key().as_ref()).unwrap_or_default());
            let id = key_id(&entry).unwrap_or_default();
            let by = json!({"keyids": [id], "threshold": 1});
            document["keys"] = json!({id: entry});
            document["roles"] = json!({"root": by, "timestamp": by, "snapshot": by, "targets": by});
        }
        Role::Timestamp => document["meta"] = json!({"snapshot.json": {"version": 1}}),
        Role::Snapshot => document["meta"] = json!({"targets.json": {"version": 1}}),
        _ => document["targets"] = json!({}),
    }
    document
}

/// The metadata of the role that the first byte names (`0` root, `1` timestamp, `2` snapshot, `3` targets): the signed part,
/// from a server and as what the box has kept; and once as a whole file, unsigned.
pub fn tuf_metadata(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let roles = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets];
    let Some(role) = roles.get(usize::from(first & 3)).copied() else { return };
    let whole = run(role, text, None);
    assert!(whole.is_none_or(|state| state.floors.timestamp <= 1), "unsigned metadata moved a floor");
    let Some(bytes) = serde_json::from_slice(text).ok().and_then(|document| signed(&document)) else {
        return;
    };
    let once = run(role, &bytes, None);
    // The second time all is known already, and stays so.
    if let Some(state) = once {
        let twice = run(role, &bytes, Some(state.clone()));
        assert_eq!(twice.map(|twice| twice.floors), Some(state.floors), "a second run came to another end");
    }
}

/// One run in which a file takes the place of a role's metadata; the state of a box that trusted it.
fn run(role: Role, file: &[u8], known: Option<State>) -> Option<State> {
    let again = known.is_some();
    let start = known.unwrap_or_else(|| State { root: ROOT.clone(), ..State::default() });
    let floors = start.floors;
    let mut verifier = Verifier::new(start, Freshness::Clock(NOW)).ok()?;
    while let Some(want) = verifier.wants() {
        let asked = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets]
            .into_iter()
            .find(|asked| want.path.contains(asked.name()))?;
        let answer = match asked {
            _ if asked == role && !(role == Role::Root && again) => Answer::Bytes(file.to_vec()),
            Role::Root => Answer::Missing,
            _ => Answer::Bytes(signed(&document(asked))?),
        };
        verifier.give(answer).ok()?;
    }
    let state = verifier.state();
    assert!(state.floors.root >= floors.root && state.floors.security == floors.security);
    verifier.trusted().map(|_| state.clone())
}

/// An assignment, unsigned and signed.
pub fn assignment(data: &[u8]) {
    static TRUSTED: LazyLock<Option<Root>> = LazyLock::new(|| {
        let state = State { root: ROOT.clone(), ..State::default() };
        Verifier::new(state, Freshness::Clock(NOW)).ok().map(|verifier| verifier.root().clone())
    });
    let Some(root) = TRUSTED.as_ref() else { return };
    let expected = Expected { box_id: "abcdefgh234567ab".to_owned(), nonce: "5a".repeat(32) };
    assert!(Assignment::verify(data, root, &expected).is_err(), "an unsigned assignment was taken");
    let Ok(document) = serde_json::from_slice::<Value>(data) else { return };
    let Some(bytes) = signed(&document) else { return };
    let verdict = Assignment::verify(&bytes, root, &expected);
    assert!(!matches!(verdict, Err(AssignmentError::Unsigned { .. })), "a signature does not count");
    if let Ok(assignment) = verdict {
        assert_eq!(document["nonce"], expected.nonce);
        assert_eq!(document["box"], expected.box_id);
        assert!(assignment.issued <= assignment.deadline);
    }
}

/// The description of a release, and what else a box reads of its own past.
pub fn release(data: &[u8]) {
    if let Ok(floors) = Floors::decode(data) {
        assert_eq!(Floors::decode(&floors.encode()), Ok(floors));
    }
    let Ok(release) = Release::parse(data) else { return };
    for kind in [ImageKind::Fit, ImageKind::Root] {
        let image = release.image(kind);
        let mut end = 0;
        for index in 0..image.chunks.len() {
            let range = release.range(kind, index).unwrap_or_default();
            assert!(range.start == end && range.end > end, "chunks are not in a row");
            end = range.end;
        }
        assert_eq!(end, image.bytes);
        assert!(release.range(kind, image.chunks.len()).is_none());
    }
    let again = serde_json::to_vec(&release).unwrap_or_default();
    assert_eq!(Release::parse(&again), Ok(release));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else the fuzzer would knock at a door that never opens.
    #[test]
    fn what_is_signed_here_is_trusted() {
        for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
            assert!(run(role, &signed(&document(role)).unwrap(), None).is_some(), "{role}");
        }
        let mut next = document(Role::Root);
        next["version"] = json!(2);
        let mut verifier =
            Verifier::new(State { root: ROOT.clone(), ..State::default() }, Freshness::Clock(NOW)).unwrap();
        verifier.give(Answer::Bytes(signed(&next).unwrap())).unwrap();
        assert_eq!(verifier.root().version(), 2);
    }
}
