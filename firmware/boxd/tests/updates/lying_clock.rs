//! Row 10 of the threat table, end to end: somebody on the LAN has told the box's clock 2038, or 1970. The updater's own clock is
//! wrong in it, by a library that is loaded before the C library, so this test is its main process: the one of a whole box is
//! not asked for the time of anything that an update depends on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::siege::{Siege, Updater};

/// 2026-11-21T12:00:00Z: what the cloud's clock shows in the beginning. Seconds since 1970.
const NOON: u64 = 1_795_262_400;
/// 2038-01-19T03:14:07Z.
const LATE: u64 = 2_147_483_647;

/// A clock for one program.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    fn new(folder: &Path) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/lab/shim/clock.c");
        let library = folder.join("clock.so");
        let built =
            Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).output();
        let built = built.expect("Rust needs a C compiler, too");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self { library, file: folder.join("clock") }
    }

    /// An updater whose clock begins at `time`, seconds since 1970.
    fn updater(&self, siege: &Siege, time: u64) -> Updater {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        fs::write(&self.file, (time as i64 * 1_000_000_000 - now).to_ne_bytes()).unwrap();
        let mut command = siege.machine.command(&["updater"]);
        command.env("LD_PRELOAD", &self.library).env("LAB_CLOCK", &self.file);
        Updater::new(command)
    }
}

#[test]
fn row_10_a_lying_clock_moves_no_floor_and_updates_recover() {
    let mut siege = Siege::new("row-10");
    let clock = Clock::new(&siege.machine.home);
    let by_the_clock = format!("cloud = false\nurl = [\"{}/updates\"]\n", siege.front.url);
    let before = siege.before();

    // 1970: the cloud's word is the time, and it says to stay.
    clock.updater(&siege, 0).finds(true, "there is no other version for this box than 1.0");
    let floors = siege.floors();
    assert!((NOON..NOON + 3600).contains(&floors.time), "what was signed is kept: {floors:?}");

    // 2038 without the cloud's word: everything has expired, and nothing is learned from it.
    siege.publish();
    siege.configure(&by_the_clock);
    clock.updater(&siege, LATE).finds(false, "the root metadata expired on 2038-01-01T00:00:00Z");
    assert_eq!(siege.floors(), floors);
    siege.is_untouched(&before);
    // 1970 without it: what had expired when the cloud spoke last has expired.
    siege.publisher.expires = "2026-11-20T00:00:00Z";
    siege.announce();
    clock.updater(&siege, 0).finds(false, "the timestamp metadata expired on 2026-11-20T00:00:00Z");
    assert_eq!(siege.floors(), floors);
    siege.is_untouched(&before);

    // 2038 again, and the cloud is asked: whatever the clock says, the box updates, and keeps the signed time only.
    siege.publisher.expires = "2030-01-01T00:00:00Z";
    siege.announce();
    siege.configure("");
    siege.offer();
    let mut updater = clock.updater(&siege, LATE);
    updater.finds(true, "version 1.1 is installed");
    siege.took_it();
    assert!((NOON..NOON + 3600).contains(&siege.floors().time), "{:?}", siege.floors());
}
