//! The same sources and key give the same image, wherever they are put together, and the program is the same on another machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use image::{build, debian::Debian, fit::Key, toolchain};
use lab::paths;

/// The files of an image. Disk, FIT and root are what people get; the device tree is the boot loader's.
const FILES: [&str; 5] = ["disk.img", "box.fit", "root.img", "header.bin", "u-boot.dtb"];

/// Makes an image under `home` with a program that lies there, and gives its folder.
fn image(home: &Path, keys: &Path, umask: &str) -> PathBuf {
    let _ = fs::remove_dir_all(home);
    fs::create_dir_all(home).unwrap();
    symlink(build::home().join("debian"), home.join("debian")).unwrap();
    symlink(keys, home.join("keys")).unwrap();
    // It is not run here: what it is, makes no difference.
    let program = home.join("program");
    fs::write(&program, vec![0x5a; 300_000]).unwrap();
    let made = Command::new("sh")
        .args(["-c", "umask \"$0\"; exec \"$@\"", umask, env!("CARGO_BIN_EXE_xtask"), "image"])
        .env("STREAMBOX_IMAGE", home)
        .env("STREAMBOX_FIRMWARE", &program)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut builds = fs::read_dir(home.join("builds")).unwrap();
    builds.next().unwrap().unwrap().path()
}

#[test]
fn two_images_of_the_same_sources_in_different_folders_are_the_same_bytes() {
    fs::create_dir_all(build::home()).unwrap();
    Debian::ensure().unwrap();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reproducible");
    let keys = scratch.join("keys");
    let _ = fs::remove_dir_all(&scratch);
    Key::generate(&keys, "dev").unwrap();
    let one = image(&scratch.join("one"), &keys, "022");
    // Other places, of other lengths, and other habits of whoever builds.
    let two = image(&scratch.join("somewhere/else/altogether"), &keys, "077");
    let read = |folder: &Path| -> BTreeMap<&str, Vec<u8>> {
        FILES.into_iter().map(|name| (name, fs::read(folder.join(name)).unwrap())).collect()
    };
    let (first, second) = (read(&one), read(&two));
    for (name, bytes) in &first {
        assert!(!bytes.is_empty(), "{name}");
        let differs = bytes.iter().zip(&second[name]).position(|(a, b)| a != b);
        assert_eq!((differs, bytes.len()), (None, second[name].len()), "{name} differs at this byte");
        let place = scratch.to_str().unwrap().as_bytes();
        assert!(!bytes.windows(place.len()).any(|window| window == place), "{name} names the folder");
    }
    fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn the_program_names_no_folder_of_this_machine() {
    // In a full run it has been compiled for the image already.
    let program = toolchain::firmware().unwrap();
    let bytes = fs::read(&program).unwrap();
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    for place in [home.join(".cargo"), paths::workspace()] {
        let place = place.to_str().unwrap().as_bytes();
        assert!(
            !bytes.windows(place.len()).any(|window| window == place),
            "{} names a folder",
            program.display()
        );
    }
}
