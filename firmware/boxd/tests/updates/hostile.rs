//! Rows 11, 12 and 13 of the threat table, end to end: whoever serves the releases to the real box, over HTTP, repeats the past,
//! mixes two releases, or never ends. The box stays as it is, says why, and takes the good release as soon as somebody serves it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use board::slot::SlotName;
use model::update::Phase;

use crate::departs::stop;
use crate::front::{Asked, Does, Front, RELEASES, replay};
use crate::guarded::guard;
use crate::siege::{PATIENCE, Siege};
use crate::world::{CHUNK, System, first, until};

const CHUNKS: &str = "updates/chunks/";

/// The files of a folder with releases, by the path under which they are asked for.
fn bundle(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut open, mut files) = (vec![PathBuf::new()], BTreeMap::new());
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(folder.join(&inside)).unwrap() {
            let path = inside.join(entry.unwrap().file_name());
            if folder.join(&path).is_dir() {
                open.push(path);
            } else {
                let bytes = fs::read(folder.join(&path)).unwrap();
                files.insert(format!("{RELEASES}{}", path.display()), bytes);
            }
        }
    }
    files
}

#[test]
fn row_11_the_past_served_for_thirty_days_is_stale_on_the_page_and_nothing_of_it_is_installed() {
    let mut siege = Siege::new("row-11");
    siege.publisher.expires = "2026-12-01T00:00:00Z";
    siege.announce();
    siege.updater().finds(true, "there is no other version for this box than 1.0");
    let past = siege.front.heard();
    assert!(past.contains_key("updates/metadata/timestamp.json"), "{:?}", past.keys());
    let (before, floors, asked) = (siege.before(), siege.floors(), siege.cloud.asked());
    siege.publish();
    siege.offer();

    // Whoever is on the way repeats every answer of that day, signatures and all.
    siege.front.lies(replay(past.clone(), ""));
    let running = guard(&siege.machine);
    siege.page_says("the assignment is stale: it does not answer this box's question");
    stop(running);
    siege.is_untouched(&before);
    assert_eq!((siege.floors(), siege.cloud.asked()), (floors, asked), "the cloud was not heard at all");

    // The cloud is heard, and only the mirror stands still.
    siege.front.lies(replay(past, RELEASES));
    let mut updater = siege.updater();
    updater.finds(false, "\"test/1.1.json\" is not among the releases that the offline keys have signed");
    siege.cloud.answers().issued = "2026-12-21T12:00:00Z";
    updater.finds(false, "the timestamp metadata expired on 2026-12-01T00:00:00Z");
    siege.is_untouched(&before);
    assert!(siege.cloud.phases().is_empty(), "the operator sees that it does not begin");

    siege.publisher.expires = "2038-01-01T00:00:00Z";
    siege.announce();
    siege.front.is_honest();
    updater.finds(true, "version 1.1 is installed");
    siege.took_it();
}

#[test]
fn row_12_an_older_bundle_and_the_files_of_two_leave_the_slot_untouched() {
    let mut siege = Siege::new("row-12");
    let releases = siege.machine.releases();
    let older = bundle(&releases);
    siege.publish();
    siege.updater().finds(true, "there is no other version for this box than 1.0");
    let newer = bundle(&releases);
    let before = siege.before();
    siege.offer();

    // The whole older bundle.
    let serving = older.clone();
    let whole = move |asked: &Asked| match serving.get(&asked.path) {
        Some(file) => Does::Says(file.clone()),
        None => Does::Passes,
    };
    siege.front.lies(whole);
    let running = guard(&siege.machine);
    let older_than_seen =
        "the timestamp metadata of version 1 is older than version 2, which this box has seen";
    siege.page_says(older_than_seen);
    stop(running);
    siege.is_untouched(&before);
    // On a box whose data is gone, too.
    fs::remove_dir_all(siege.machine.home.join("state/update")).unwrap();
    let mut updater = siege.updater();
    updater.finds(false, older_than_seen);

    // Files of the one among those of the other.
    siege.announce();
    let mut mixed = |place: &str, file: &[u8], words: &str| {
        let (place, file) = (place.to_owned(), file.to_vec());
        siege.front.lies(
            move |asked| {
                if asked.path == place { Does::Says(file.clone()) } else { Does::Passes }
            },
        );
        updater.finds(false, words);
        siege.is_untouched(&before);
    };
    let signed = |kind: &str| &newer[&format!("{RELEASES}metadata/2.{kind}.json")];
    mixed(
        "updates/metadata/3.snapshot.json",
        signed("snapshot"),
        "snapshot.json is not the file that was signed",
    );
    mixed(
        "updates/metadata/3.targets.json",
        signed("targets"),
        "targets.json is not the file that was signed",
    );
    let description =
        |version: &str| newer.iter().find(|(path, _)| path.ends_with(&format!(".{version}.json"))).unwrap();
    mixed(description("1.1").0, description("1.0").1, "test/1.1.json is not the file that was signed");
    // Chunks of the one under the names of the other's.
    let chunk = older.iter().find(|(path, _)| path.starts_with(CHUNKS)).unwrap().1.clone();
    siege.front.lies(
        move |asked| {
            if asked.path.starts_with(CHUNKS) { Does::Says(chunk.clone()) } else { Does::Passes }
        },
    );
    updater.look();
    until("it has tried a few times", PATIENCE, || siege.front.asked(CHUNKS) >= 3);
    siege.is_untouched(&before);
    assert_eq!(siege.cloud.phases(), [Phase::Fetching]);

    // The same installation goes on with what is good.
    siege.front.is_honest();
    let end = updater.ends();
    assert_eq!((&end["good"], &end["version"]), (&true.into(), &"1.1".into()), "{end}");
    siege.took_it();
}

/// A mirror that is asked before the cloud's own, and serves chunks so.
fn mirror(siege: &Siege, lie: impl Fn(&Asked, Vec<u8>) -> Does + Send + Sync + 'static) -> Front {
    let front = Front::new(&siege.cloud.url, &siege.server.url);
    let releases = siege.machine.releases();
    front.lies(move |asked| {
        let chunk = asked.path.strip_prefix(RELEASES).filter(|_| asked.path.starts_with(CHUNKS));
        match chunk {
            Some(chunk) => lie(asked, fs::read(releases.join(chunk)).unwrap()),
            None => Does::Passes,
        }
    });
    front
}

fn among(siege: &Siege, mirrors: &[&Front]) {
    let urls: Vec<String> = mirrors.iter().map(|mirror| format!("\"{}/updates\"", mirror.url)).collect();
    siege.configure(&format!("url = [{}]\n", urls.join(", ")));
}

/// 256 MiB of zeros as valid zstd of just so many bytes: what is left is a frame that is skipped (RFC 8878, 3.1.2).
fn bomb(length: usize) -> Vec<u8> {
    let mut packed = zstd::bulk::compress(&vec![0; 256 << 20], 1).unwrap();
    let rest = length.checked_sub(packed.len() + 8).expect("the bomb is shorter than the chunk");
    packed.extend(0x184D_2A50_u32.to_le_bytes());
    packed.extend((rest as u32).to_le_bytes());
    packed.resize(length, 0);
    packed
}

/// Most memory that a process ever had, MiB.
fn peak_mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn row_13_floods_and_bombs_end_at_the_signed_size_and_another_mirror_serves() {
    let mut siege = Siege::new("row-13");
    siege.publish();
    siege.offer();
    let endless_metadata = Front::new(&siege.cloud.url, &siege.server.url);
    endless_metadata.lies(|_| Does::Floods);
    let endless = mirror(&siege, |_, _| Does::Floods);
    let bombs = mirror(&siege, |_, file| Does::Says(bomb(file.len())));
    let long = mirror(&siege, |_, file| Does::Says([file, vec![0; 64 << 20]].concat()));
    let short = mirror(&siege, |_, file| Does::Says(file[..file.len() - 1].to_vec()));
    among(&siege, &[&endless_metadata, &endless, &bombs, &long, &short]);

    let mut updater = siege.updater();
    updater.finds(true, "version 1.1 is installed");
    siege.took_it();
    for bad in [&endless, &bombs, &long, &short] {
        assert_eq!(bad.asked(CHUNKS), 1, "it is left alone while another one serves");
    }
    assert_eq!(siege.front.asked(CHUNKS), 4, "of the cloud itself: each chunk that has changed, once");
    for flood in [&endless_metadata, &endless] {
        until("the flood is stopped", PATIENCE, || flood.hung_up().1 >= 1);
        let (taken, _) = flood.hung_up();
        assert!(taken < 32 << 20, "it stopped after {taken} bytes, kernels' buffers included");
    }
    let peak = peak_mib(updater.process.0.id());
    assert!(peak < 100, "it took {peak} MiB of memory");
}

#[test]
fn row_13_a_mirror_that_drips_is_given_up_and_another_one_serves() {
    let mut siege = Siege::new("row-13-slow");
    // One chunk has changed, into one that packs into some 20 bytes: they may take 30 s.
    let mut root = first().root;
    root[5 * CHUNK..6 * CHUNK].fill(7);
    siege.new = System { version: "1.1", root, ..first() };
    siege.publish();
    siege.offer();
    // It is never silent for long.
    let slow = mirror(&siege, |_, file| Does::Drips(file, Duration::from_secs(3)));
    among(&siege, &[&slow]);
    let mut updater = siege.updater();
    updater.finds(true, "version 1.1 is installed");
    siege.took_it();
    assert_eq!((slow.asked(CHUNKS), siege.front.asked(CHUNKS)), (1, 1));
    until("the box has hung up", PATIENCE, || slow.hung_up().1 == 1);
    assert!(siege.machine.holds(SlotName::A, &siege.old));
}
