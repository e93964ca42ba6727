//! What may be installed: metadata is fetched from one mirror after the other until it is whole and signed, and what was
//! verified is kept.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use update::assignment::{Assignment, admit};
use update::install::Fault;
use update::tuf::{Answer, Freshness, Role, State, Trusted, Verifier};
use update::{Floors, Release};

use super::choose::{is_newer, newest};
use super::machine::Machine;
use super::source::{Bounds, Source};
use crate::cloud::Files;

/// Longest silence, and longest time for a file of metadata.
const STALL: Duration = Duration::from_secs(30);
const WHOLE: Duration = Duration::from_secs(120);
/// Most bytes of a release's description: 2 GiB in chunks of 64 KiB are 32,768 lines of some 75 bytes.
const DESCRIPTION: u64 = 4 << 20;

/// A release that this box may install.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its description.
    pub(crate) release: Release,
    /// The mirror that had it.
    pub(crate) mirror: usize,
}

/// What a look has found.
#[derive(Debug)]
pub(crate) struct Looked {
    /// The release that this box is to have; `None` when it has it already, or is to have none.
    pub(crate) found: Option<Found>,
    /// The cloud's word, if it was asked.
    pub(crate) assignment: Option<Assignment>,
}

/// How far a place may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Than<'a> {
    /// The version that runs.
    pub(crate) running: Option<&'a str>,
    /// Only what is newer than these.
    pub(crate) newer: &'a [String],
}

/// Looks for the release that this box is to have.
///
/// # Errors
/// When no mirror has metadata that can be believed, or what is signed is not for this box.
pub(crate) async fn look(
    machine: &Machine,
    files: &Files,
    first_root: &Path,
    sources: &mut [Source],
    freshness: &Freshness,
    than: Than<'_>,
) -> anyhow::Result<Looked> {
    if sources.is_empty() {
        bail!("there is nowhere to look for updates: give [update] url, or boxd update --from");
    }
    let mut whys = Vec::new();
    for (mirror, source) in sources.iter_mut().enumerate() {
        // Floors and files may have risen with the mirror before.
        let state = load(machine, files, first_root)?;
        match look_at(machine, files, source, state, freshness.clone(), than).await {
            Ok((release, assignment)) => {
                let found = release.map(|release| Found { release, mirror });
                return Ok(Looked { found, assignment });
            }
            Err(error) => whys.push(format!("{}: {error:#}", source.name())),
        }
    }
    bail!(whys.join("; "))
}

async fn look_at(
    machine: &Machine,
    files: &Files,
    source: &mut Source,
    state: State,
    freshness: Freshness,
    Than { running, newer }: Than<'_>,
) -> anyhow::Result<(Option<Release>, Option<Assignment>)> {
    let mut verifier = Verifier::new(state, freshness)?;
    let mut kept = verifier.state().clone();
    while let Some(want) = verifier.wants() {
        let bounds = Bounds { most: want.most_bytes, exact: false, stall: STALL, whole: WHOLE };
        let answer = match source.get(&format!("metadata/{}", want.path), bounds).await {
            Ok(bytes) => Answer::Bytes(bytes),
            Err(Fault::Status { code: 403 | 404, .. }) => Answer::Missing,
            Err(fault) => return Err(anyhow!(fault).context(format!("cannot fetch {}", want.path))),
        };
        let outcome = verifier.give(answer);
        keep(machine, files, &kept, verifier.state())?;
        kept = verifier.state().clone();
        outcome?;
    }
    let trusted = verifier.trusted().context("the metadata does not say what may be installed")?;
    let floors = &kept.floors;
    let mut chosen = match &trusted.assignment {
        Some(assignment) => {
            let chosen = assignment.choose(&trusted.targets)?.map(|(name, _)| name);
            let same = format!("{}/{}.json", machine.map.name, running.unwrap_or_default());
            chosen.filter(|name| *name != same)
        }
        None => newest(&trusted.targets, &machine.map.name, running, floors.security),
    };
    for old in newer {
        let version = |name: &str| Some(name.split_once('/')?.1.strip_suffix(".json")?.to_owned());
        let Some(version) = chosen.and_then(version) else { break };
        if version == *old {
            chosen = None;
        } else if !is_newer(&trusted.targets, &machine.map.name, &version, old) {
            bail!(
                "its newest release for this box is {version}, which is not newer than {old}, which the box has"
            );
        }
    }
    let release = match chosen {
        Some(name) => Some(describe(source, trusted, name, floors).await?),
        None => None,
    };
    Ok((release, trusted.assignment.clone()))
}

async fn describe(
    source: &mut Source,
    trusted: &Trusted,
    name: &str,
    floors: &Floors,
) -> anyhow::Result<Release> {
    let file = trusted.target(name).with_context(|| format!("{name} is not signed"))?;
    let path = trusted.path(name, file).with_context(|| format!("{name} has no place"))?;
    let most = file.length;
    if most > DESCRIPTION {
        bail!("the description of {name} has {most} bytes, more than a release needs");
    }
    let bounds = Bounds { most, exact: true, stall: STALL, whole: WHOLE };
    let description = source.get(&format!("targets/{path}"), bounds).await;
    let description = description.map_err(|fault| anyhow!(fault).context(format!("cannot fetch {path}")))?;
    Ok(admit(name, file, &description, floors)?)
}

/// In the order of a [`State`].
const FILES: [(&str, Role); 4] = [
    ("update/root.json", Role::Root),
    ("update/timestamp.json", Role::Timestamp),
    ("update/snapshot.json", Role::Snapshot),
    ("update/targets.json", Role::Targets),
];

/// What is kept. Of the root that came with the system and the kept one, the newer one that carries its own signatures.
fn load(machine: &Machine, files: &Files, first_root: &Path) -> anyhow::Result<State> {
    let floors = machine.floors()?;
    let [root, timestamp, snapshot, targets] = kept(files);
    let came = std::fs::read(first_root);
    let version = |root: &Vec<u8>| {
        let state = State { root: root.clone(), ..State::default() };
        Verifier::new(state, Freshness::Clock(0)).ok().map(|verifier| verifier.root().version())
    };
    let roots = [root, came.as_ref().ok().cloned()].into_iter().flatten();
    let newest = roots.filter_map(|root| Some((version(&root)?, root))).max_by_key(|(version, _)| *version);
    let Some((_, root)) = newest else {
        let name = first_root.display();
        came.with_context(|| format!("cannot read {name} ([update] root)"))?;
        bail!("{name} ([update] root) is no root metadata that carries its own signatures");
    };
    Ok(State { root, timestamp, snapshot, targets, floors })
}

/// The files. All that is taken is read again: what is not would be fetched at each look.
fn kept(files: &Files) -> [Option<Vec<u8>>; 4] {
    FILES.map(|(name, role)| files.read_within(name, role.most_bytes()).ok().flatten())
}

/// Keeps what is new. Floors come first: a box that has lost its files must still not go back.
fn keep(machine: &Machine, files: &Files, before: &State, now: &State) -> anyhow::Result<()> {
    if before.floors != now.floors {
        machine.raise_floors(&now.floors)?;
    }
    let pairs = [
        (Some(&before.root), Some(&now.root)),
        (before.timestamp.as_ref(), now.timestamp.as_ref()),
        (before.snapshot.as_ref(), now.snapshot.as_ref()),
        (before.targets.as_ref(), now.targets.as_ref()),
    ];
    for ((name, _), (before, now)) in FILES.into_iter().zip(pairs) {
        if let Some(now) = now.filter(|now| before != Some(*now)) {
            // A full or broken data partition does not hold back an update: they are fetched again the next time.
            if let Err(error) = files.write(name, now) {
                tracing::warn!(%error, file = name, "cannot keep metadata for the next look");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::files_tests::Scratch;

    #[test]
    fn what_some_hundred_releases_list_is_kept_for_the_next_look() {
        let scratch = Scratch::new("metadata");
        let files = scratch.files();
        for (name, role) in FILES {
            files.write(name, &vec![b' '; role.most_bytes() as usize]).unwrap();
        }
        let lengths = kept(&files).map(|kept| kept.map(|bytes| bytes.len() as u64));
        assert_eq!(lengths, FILES.map(|(_, role)| Some(role.most_bytes())));
        files.write("update/timestamp.json", &vec![b' '; 16 * 1024 + 1]).unwrap();
        assert_eq!(kept(&files)[1], None, "nor more than is taken");
    }
}
