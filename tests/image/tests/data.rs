//! What the box remembers outlives its medium's accidents: the data partition is mended, and only made anew when it must be, with
//! what could still be read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use board::map::Region;
use image::{
    build::{self, Options},
    qemu::{Machine, Net},
};

/// From the switch to the box's own programs.
const START: Duration = Duration::from_secs(90);
/// Something that an owner would miss.
const KEPT: &str = "what the owner chose";

/// A data partition outside of a disk.
struct Partition {
    file: PathBuf,
    region: Region,
}

impl Partition {
    /// A file system with a file in it that must be kept, made with these words to mke2fs.
    fn new(folder: &Path, region: Region, words: &[&str]) -> Self {
        let content = folder.join("content");
        fs::create_dir_all(&content).unwrap();
        fs::write(content.join("core.json"), "{}").unwrap();
        fs::write(content.join("kept"), KEPT).unwrap();
        let file = folder.join("data.img");
        File::create(&file).unwrap().set_len(region.bytes).unwrap();
        let mut command = Command::new("/sbin/mke2fs");
        command.args(["-q", "-F", "-t", "ext4", "-d"]).arg(content).args(words).arg(&file);
        assert!(command.status().unwrap().success());
        Self { file, region }
    }

    fn damage(&self, at: u64, bytes: &[u8]) {
        File::options().write(true).open(&self.file).unwrap().write_all_at(bytes, at).unwrap();
    }

    fn onto(&self, disk: &Path) {
        let disk = File::options().write(true).open(disk).unwrap();
        disk.write_all_at(&fs::read(&self.file).unwrap(), self.region.at).unwrap();
    }

    /// What a file of the partition on this disk holds.
    fn read(&self, disk: &Path, name: &str) -> String {
        let mut bytes = vec![0; self.region.bytes as usize];
        File::open(disk).unwrap().read_exact_at(&mut bytes, self.region.at).unwrap();
        fs::write(&self.file, bytes).unwrap();
        // After a power cut the last of it is in the journal.
        Command::new("/sbin/e2fsck").args(["-p"]).arg(&self.file).output().unwrap();
        let cat = ["-R", &format!("cat {name}")];
        let output = Command::new("/sbin/debugfs").args(cat).arg(&self.file).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Starts an image on such a partition, cuts the power when it runs, and gives what it said and what it kept.
fn outlived(name: &str, words: &[&str], damage: impl FnOnce(&Partition)) -> (String, String) {
    let built = build::ensure(&Options::default()).unwrap();
    let folder = build::home().join("data").join(name);
    let parts = built.machine(&folder, Net::None).unwrap();
    let partition = Partition::new(&folder, built.board.partitions.data(), words);
    damage(&partition);
    partition.onto(&parts.disk);
    let mut machine = Machine::start(&parts).unwrap();
    machine.console.expect("box: version=", START).unwrap();
    let said = machine.console.said();
    drop(machine);
    (said, partition.read(&parts.disk, "kept"))
}

#[test]
fn a_torn_first_block_is_mended() {
    // A page, as flash writes it: the superblock and group descriptors.
    let (said, kept) = outlived("torn", &[], |partition| partition.damage(0, &[0; 4096]));
    assert!(said.contains("data: repairing it"), "{said}");
    assert!(!said.contains("making it"), "{said}");
    assert_eq!(kept, KEPT, "{said}");
}

#[test]
fn what_no_kernel_mounts_is_carried_over() {
    // Blocks larger than a page: every tool reads them, the kernel does not.
    let (said, kept) = outlived("foreign", &["-b", "65536"], |_| {});
    assert!(said.contains("data: cannot be mounted") && said.contains("data: carrying over"), "{said}");
    assert_eq!(kept, KEPT, "{said}");
}

#[test]
fn a_box_whose_data_is_rubble_runs() {
    let rubble: Vec<u8> = (0..16_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (said, kept) = outlived("rubble", &[], |partition| {
        for at in (0..partition.region.bytes - rubble.len() as u64).step_by(rubble.len()) {
            partition.damage(at, &rubble);
        }
    });
    assert!(said.contains("data: cannot be mounted") && !said.contains("in memory only"), "{said}");
    assert_eq!(kept, "", "{said}");
}
