//! What Buildroot made of `buildroot/` serves its page from both slots and is small. Making it takes an hour and a checkout of Buildroot,
//! so this looks at what is there: `STREAMBOX_BUILDROOT_IMAGES` names the folder `images` of a finished build for `qemu-aarch64`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::FileExt,
    path::PathBuf,
    time::Duration,
};

use board::{
    env::Env,
    slot::{Record, SlotName, State, Vars},
};
use image::{
    build::{self, Options},
    disk::{self, Slot},
    lan,
    qemu::{Machine, Net, Parts},
};
use imaging::system;
use lab::http::Site;

/// Most bytes of what is shipped, compressed as a release is.
const COMPRESSED: usize = 32 << 20;
/// From the switch to the page, on a machine that is busy with other things.
const SERVING: Duration = Duration::from_secs(180);

/// The folder of images, if there is one.
fn images() -> Option<PathBuf> {
    let folder = std::env::var_os("STREAMBOX_BUILDROOT_IMAGES").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: STREAMBOX_BUILDROOT_IMAGES names no images of a finished Buildroot");
    }
    folder
}

/// A port of this host's loopback that nobody listens at.
fn port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn it_serves_its_page_from_both_slots() {
    let Some(images) = images() else { return };
    let folder = build::home().join("buildroot");
    fs::create_dir_all(&folder).unwrap();
    let disk_path = folder.join("disk.img");
    fs::copy(images.join("disk.img"), &disk_path).unwrap();
    let map = system::Machine::read(&Options::default().board_file()).unwrap().map.partitions;
    let disk = File::options().read(true).write(true).open(&disk_path).unwrap();

    for slot in SlotName::BOTH {
        if slot == SlotName::B {
            // As an update that has proved itself leaves it.
            let header = fs::read(images.join("header.bin")).unwrap();
            let (fit, root) = (images.join("box.fit"), images.join("root.img"));
            disk::fill(&disk, &map, slot, Slot { header: &header, fit: &fit, root: &root }).unwrap();
            let good = Record { state: State::Good, tries: 3, rounds: 0 };
            let [_, second] = map.env();
            let vars = Vars { first: slot, a: good, b: good };
            disk.write_all_at(&Env { seq: 7, vars }.encode(), second.at).unwrap();
        }
        let port = port();
        let machine = Machine::start(&Parts {
            disk: disk_path.clone(),
            tree: Some(images.join("u-boot.dtb")),
            boot_loader: images.join("u-boot.bin"),
            net: Net::User(vec![(port, 80)]),
            memory: Vec::new(),
            log: folder.join(format!("{}.log", slot.letter())),
        })
        .unwrap();
        let site = Site::new(Ipv4Addr::LOCALHOST, port);
        let serving = lan::serving_at(&machine, site, SERVING).unwrap();
        println!("slot {}: power to /healthz: {:.1} s", slot.letter(), serving.as_secs_f64());
        let start = site.ask("/", Duration::from_secs(10)).unwrap();
        assert_eq!(
            (start.status, start.header("location")),
            (302, Some("/setup/")),
            "a new box is to be set up"
        );
        let page = site.ask("/setup/", Duration::from_secs(10)).unwrap();
        assert_eq!(page.status, 200);
        assert!(page.text().contains("<html"), "{}", page.text());
        let said = machine.console.said();
        assert!(said.contains(&format!("initramfs: slot={} ", slot.letter())), "{said}");
        assert!(!said.contains("login:") && !said.contains("not found"), "{said}");
        assert!(
            said.contains("U-Boot ") && !said.contains("Debian"),
            "of the build's own boot loader:\n{said}"
        );
    }
}

#[test]
fn it_is_small() {
    let Some(images) = images() else { return };
    let packed = |name: &str| -> usize {
        let bytes = fs::read(images.join(name)).unwrap();
        let small = zstd::bulk::compress(&bytes, 19).unwrap().len();
        println!("{name}: {} bytes, {small} compressed", bytes.len());
        small
    };
    let sum: usize = ["box.fit", "root.img"].map(packed).iter().sum();
    assert!(sum <= COMPRESSED, "{sum} bytes");
}

#[test]
fn its_root_has_no_way_in() {
    let Some(images) = images() else { return };
    let target = images.join("../target");
    for server in ["dropbear", "sshd", "telnetd", "getty", "login", "su", "httpd", "ftpd"] {
        for folder in ["bin", "sbin", "usr/bin", "usr/sbin"] {
            let path = target.join(folder).join(server);
            assert!(path.symlink_metadata().is_err(), "{}", path.display());
        }
    }
    let accounts = fs::read_to_string(target.join("etc/passwd")).unwrap();
    for line in accounts.lines() {
        assert!(line.ends_with(":/bin/false") && line.split(':').nth(1) == Some("x"), "{line}");
    }
    let shadow = fs::read_to_string(target.join("etc/shadow")).unwrap();
    assert_eq!(shadow, "root:*:::::::\n", "no password fits");
}
