//! Every folder of `boards/`: what is in it is whole, agrees with itself, and fits the hardware that it is named after.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use board::block::SECTOR;
use board::boot::script::Board;
use board::env;
use board::map::{BoardMap, ERASE, Region};
use board::slot::SlotName;
use board::{ButtonAt, LightsAt};

/// What an SD card or eMMC may erase at once (boards/README.md).
const CARD: u64 = 4 << 20;
/// The files that a real board's folder has. QEMU brings its own boot loader and device tree.
const FILES: [&str; 4] = ["board.toml", "boot.cmd", "kernel.fragment", "u-boot.fragment"];

struct Folder {
    path: PathBuf,
    name: String,
    map: BoardMap,
    boot: Board,
}

fn folders() -> Vec<Folder> {
    let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards");
    let mut folders = Vec::new();
    for entry in fs::read_dir(boards).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let text = fs::read_to_string(path.join("board.toml")).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let map = BoardMap::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let boot = Board::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            folders.push(Folder { path, name, map, boot });
        }
    }
    assert!(folders.len() >= 3);
    folders
}

fn folder(name: &str) -> Folder {
    folders().into_iter().find(|folder| folder.name == name).unwrap()
}

#[test]
fn a_board_is_called_as_its_folder_and_has_every_file() {
    for Folder { path, name, map, .. } in folders() {
        assert_eq!(map.name, name);
        let qemu = name.starts_with("qemu-");
        for file in FILES.iter().filter(|file| !(qemu && **file == "u-boot.fragment")) {
            assert!(path.join(file).is_file(), "{name} has no {file}");
        }
    }
}

#[test]
fn what_is_written_in_the_field_shares_no_erase_block_of_a_card() {
    for Folder { name, map, .. } in folders() {
        let blocks = |region: Region| region.at / CARD..region.end().div_ceil(CARD);
        let id = map.partitions.id();
        let [first, second] = map.partitions.env();
        let half = id.bytes / 2;
        let written = [
            first,
            second,
            Region { at: id.at, bytes: half },
            Region { at: id.at + half, bytes: half },
            map.partitions.data(),
            map.partitions.fit(SlotName::A),
            map.partitions.fit(SlotName::B),
            map.partitions.root(SlotName::A),
            map.partitions.root(SlotName::B),
        ];
        for region in written {
            for (other, partition) in map.partitions.partitions() {
                let within = region.at >= partition.at && region.end() <= partition.end();
                let apart = blocks(region).end <= blocks(partition).start
                    || blocks(partition).end <= blocks(region).start;
                assert!(within || apart, "{name}: {region:?} shares a block with {other}");
            }
        }
        assert!(blocks(written[2]).end <= blocks(written[3]).start, "{name}: the two halves of id");
        const { assert!(CARD.is_multiple_of(ERASE)) };
    }
}

#[test]
fn slots_are_alike_and_large_enough_for_years() {
    for Folder { name, map, .. } in folders() {
        let both = |of: fn(&BoardMap, SlotName) -> u64| SlotName::BOTH.map(|slot| of(&map, slot));
        let [fit_a, fit_b] = both(|map, slot| map.partitions.fit(slot).bytes);
        let [root_a, root_b] = both(|map, slot| map.partitions.root(slot).bytes);
        assert_eq!((fit_a, root_a), (fit_b, root_b), "{name}: a system that fits one slot fits the other");
        assert!(fit_a >= 64 << 20 && root_a >= 128 << 20, "{name}");
        assert!(map.partitions.data().bytes >= 64 << 20, "{name}");
    }
}

/// What lies in memory while the script runs, and while the kernel begins.
fn memory(map: &BoardMap, boot: &Board) -> Vec<(&'static str, Region)> {
    let fit = map.partitions.fit(SlotName::A).bytes;
    vec![
        // As much of a FIT as its partition holds may be kernel.
        ("kernel", Region { at: boot.kernel, bytes: fit }),
        ("load", Region { at: boot.load, bytes: fit }),
        ("scratch", Region { at: boot.scratch, bytes: 2 * env::BYTES as u64 }),
        ("marker", Region { at: boot.marker & !0xfff, bytes: 0x1000 }),
    ]
}

#[test]
fn nothing_in_memory_lies_over_anything_else_and_the_kernel_where_it_can_run() {
    for Folder { name, map, boot, .. } in folders() {
        // Documentation/arch/arm64/booting.rst: the image is placed on 2 MiB.
        assert!(boot.kernel.is_multiple_of(2 << 20), "{name}");
        assert!(boot.marker.is_multiple_of(4), "{name}: U-Boot and devmem take it as one word");
        let parts = memory(&map, &boot);
        for (index, (one, a)) in parts.iter().enumerate() {
            for (other, b) in &parts[index + 1..] {
                assert!(a.end() <= b.at || b.end() <= a.at, "{name}: {one} and {other}");
            }
        }
    }
}

#[test]
fn memory_that_is_used_is_there_and_nobody_elses() {
    /// What a board has of memory that neither U-Boot nor a processor before it uses.
    const FREE: [(&str, std::ops::Range<u64>); 3] = [
        ("qemu-aarch64", 0x4020_0000..0x5d80_0000),
        // Below: the Pi's own stub and U-Boot as it is loaded. Above: device tree, VideoCore's share of a board with 1 GiB.
        ("rpi4", 0x0100_0000..0x2e00_0000),
        // Below: the secure world. Above: where U-Boot moves to, at the end of 1 GiB.
        ("nanopi-r2s", 0x0020_0000..0x3c00_0000),
    ];
    for Folder { name, map, boot, .. } in folders() {
        let (_, free) = FREE.iter().find(|(board, _)| *board == name).expect("say what memory the board has");
        for (what, region) in memory(&map, &boot) {
            let register = name == "nanopi-r2s" && what == "marker";
            assert!(register || free.start <= region.at && region.end() <= free.end, "{name}: {what}");
        }
    }
    // GRF_OS_REG4 of the RK3328: the general register file is at 0xff100000, its eight free words from 0x5c8 on.
    assert_eq!(folder("nanopi-r2s").boot.marker, 0xff10_0000 + 0x5c8 + 4 * 4);
}

#[test]
fn the_boot_roms_find_their_loaders() {
    // Rockchip: the ROM looks at sector 64; SPL for u-boot.itb at CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR, 0x4000.
    let r2s = folder("nanopi-r2s").map;
    let at = |name: &str| r2s.partitions.partition(name).unwrap().at / SECTOR;
    assert_eq!((at("idbloader"), at("u_boot")), (64, 0x4000));
    let file = |name: &str| r2s.contents.get(name).map(String::as_str);
    assert_eq!((file("idbloader"), file("u_boot")), (Some("idbloader.img"), Some("u-boot.itb")));
    assert_eq!(r2s.mbr, None);
    // Raspberry Pi: a FAT partition that the old partition table names, first of all.
    let pi = folder("rpi4").map;
    assert_eq!(pi.mbr.as_deref(), Some("boot"));
    assert_eq!(pi.partitions.partitions().next().unwrap().0, "boot");
    assert_eq!(pi.contents.get("boot").map(String::as_str), Some("boot.vfat"));
    // What config.txt names is in it.
    let read = |file: &str| fs::read_to_string(folder("rpi4").path.join(file)).unwrap();
    let (chosen, made) = (read("config.txt"), read("boot.genimage"));
    assert!(made.contains("image boot.vfat {"), "{made}");
    for key in ["start_file", "fixup_file", "kernel", "device_tree"] {
        let file = chosen.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).expect(key);
        assert!(made.contains(&format!("file {file} {{")), "{file} of config.txt is on the partition");
    }
}

#[test]
fn a_real_board_shows_how_it_is_and_can_be_reset() {
    for Folder { name, map, .. } in folders().into_iter().filter(|folder| !folder.name.starts_with("qemu-")) {
        assert!(matches!(map.panel.lights, LightsAt::Sysfs(_)), "{name}");
        assert!(matches!(map.panel.button, ButtonAt::Evdev(_)), "{name}");
    }
}

#[test]
fn the_kernel_speaks_on_a_serial_port_and_restarts_after_a_panic() {
    for Folder { name, boot, .. } in folders() {
        let words: Vec<&str> = boot.arguments.split(' ').collect();
        assert!(words.iter().any(|word| word.starts_with("console=tty")), "{name}");
        assert!(words.contains(&"panic=5"), "{name}");
        for said in ["slot=", "reset=", "marker=", "root=", "init="] {
            assert!(!words.iter().any(|word| word.starts_with(said)), "{name}: {said} is not the board's");
        }
    }
}

/// The options of a Kconfig fragment; each once.
fn options(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut options = BTreeMap::new();
    for line in text.lines() {
        let unset = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        let (name, value) = match unset {
            Some(name) => (name, "n"),
            None if line.is_empty() || line.starts_with("# ") => continue,
            None => line.split_once('=').unwrap_or_else(|| panic!("{}: {line}", path.display())),
        };
        assert!(name.starts_with("CONFIG_"), "{}: {line}", path.display());
        let twice = options.insert(name.to_owned(), value.to_owned());
        assert_eq!(twice, None, "{}: {name} twice", path.display());
    }
    options
}

/// What every board has and what this one has beside it.
fn all_options(board: &Path, of: &str) -> BTreeMap<String, String> {
    let shared = board.join(format!("../../../buildroot/{of}/common.fragment"));
    let mut all = options(&shared);
    for (option, value) in options(&board.join(format!("{of}.fragment"))) {
        let twice = all.insert(option.clone(), value);
        assert!(twice.is_none(), "{}: {option} is every board's already", board.display());
    }
    all
}

#[test]
fn a_real_boards_u_boot_runs_the_script_and_nothing_else() {
    for Folder { path, name, map, .. } in
        folders().into_iter().filter(|folder| !folder.name.starts_with("qemu-"))
    {
        let all = all_options(&path, "u-boot");
        let is = |option: &str| all.get(&format!("CONFIG_{option}")).map_or("", String::as_str);
        for wanted in [
            // Only what is signed.
            "FIT",
            "FIT_SIGNATURE",
            "RSA",
            // The script's own words.
            "HUSH_PARSER",
            "CMD_BOOTM",
            "CMD_EXPORTENV",
            "CMD_IMPORTENV",
            "CMD_ITEST",
            "CMD_MEMORY",
            "CMD_MMC",
            "CMD_RUN",
            "CMD_SETEXPR",
            "CMD_SLEEP",
            "REGEX",
            // Nothing on the disk is U-Boot's environment.
            "ENV_IS_NOWHERE",
            // Nobody is asked, and no key ends the script.
            "AUTOBOOT_KEYED",
            // The watchdog runs from here on.
            "WATCHDOG",
            "WDT",
            "WATCHDOG_AUTOSTART",
            "NO_NET",
        ] {
            assert_eq!(is(wanted), "y", "{name}: CONFIG_{wanted}");
        }
        // Key and script are in U-Boot's own device tree.
        assert_eq!(is("DEVICE_TREE_INCLUDES"), "\"box-trust.dtsi\"", "{name}");
        for unwanted in [
            "ANDROID_BOOT_IMAGE",
            "LEGACY_IMAGE_FORMAT",
            "ENV_IS_IN_FAT",
            "ENV_IS_IN_FLASH",
            "ENV_IS_IN_MMC",
            "AUTOBOOT_KEYED_CTRLC",
            "BOOTSTD",
            "EFI_LOADER",
            "PCI",
            "USB",
            "USE_PREBOOT",
        ] {
            assert_eq!(is(unwanted), "n", "{name}: CONFIG_{unwanted}");
        }
        assert_eq!(is("BOOTDELAY"), "-2", "{name}");
        let bites: u64 = is("WATCHDOG_TIMEOUT_MSECS").parse().unwrap();
        assert!((10_000..=60_000).contains(&bites), "{name}");
        assert!(map.device.starts_with("/dev/mmcblk"), "{name}: the script speaks to cards");
    }
}

#[test]
fn a_real_boards_kernel_has_its_disk_its_light_its_button_and_a_watchdog_that_runs_already() {
    for Folder { path, name, .. } in folders() {
        let all = all_options(&path, "kernel");
        let is = |option: &str| all.get(&format!("CONFIG_{option}")).map_or("", String::as_str);
        for (option, value) in &all {
            let module = value == "m";
            assert!(!module, "{name}: {option}: an image without modules needs it built in");
        }
        if name.starts_with("qemu-") {
            continue;
        }
        for wanted in [
            "MMC_BLOCK",
            "EFI_PARTITION",
            "SERIAL_8250_CONSOLE",
            "LEDS_GPIO",
            "LEDS_TRIGGER_TIMER",
            "KEYBOARD_GPIO",
            "INPUT_EVDEV",
            "USB_STORAGE",
            "VFAT_FS",
            "EXFAT_FS",
            "WATCHDOG_HANDLE_BOOT_ENABLED",
            "WATCHDOG_NOWAYOUT",
        ] {
            assert_eq!(is(wanted), "y", "{name}: CONFIG_{wanted}");
        }
        // A kernel that feeds the watchdog for ever would hide that nobody opens it.
        let opens: u64 = is("WATCHDOG_OPEN_TIMEOUT").parse().unwrap();
        assert!((20..=120).contains(&opens), "{name}");
    }
}
