//! Buildroot reads whole defconfigs; people write what boards share once. `configs/` is made of `fragments/`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn buildroot() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The boards that have a fragment, by the names of their folders.
fn boards() -> Vec<String> {
    let entries = fs::read_dir(buildroot().join("fragments/boards")).unwrap();
    let name = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap().path())).collect();
    names.sort();
    names
}

fn file(board: &str) -> PathBuf {
    buildroot().join(format!("configs/box_{}_defconfig", board.replace('-', "_")))
}

#[test]
fn each_defconfig_is_its_board_over_what_all_share() {
    let common = fs::read_to_string(buildroot().join("fragments/common.config")).unwrap();
    assert!(!boards().is_empty());
    for board in boards() {
        let own = buildroot().join(format!("fragments/boards/{board}.config"));
        let made = format!(
            "# Made of fragments/boards/{board}.config and fragments/common.config; a test holds it equal to them.\n\n{}\n{common}",
            fs::read_to_string(own).unwrap()
        );
        let file = file(&board);
        if std::env::var_os("STREAMBOX_BLESS").is_some() {
            fs::write(&file, &made).unwrap();
        }
        let is = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(is, made, "{}: STREAMBOX_BLESS=1 makes it anew", file.display());
    }
}

#[test]
fn no_board_says_again_what_all_share_and_each_is_a_folder() {
    let key = |line: &str| {
        let line = line.trim_start_matches("# ");
        let end = line.find(['=', ' ']).unwrap_or(line.len());
        line.starts_with("BR2_").then(|| line[..end].to_owned())
    };
    let keys = |path: PathBuf| -> Vec<String> {
        fs::read_to_string(path).unwrap().lines().filter_map(key).collect()
    };
    let common: BTreeSet<String> = keys(buildroot().join("fragments/common.config")).into_iter().collect();
    for board in boards() {
        let own = keys(buildroot().join(format!("fragments/boards/{board}.config")));
        let twice: Vec<_> = own.iter().filter(|key| common.contains(*key)).collect();
        assert!(twice.is_empty(), "{board}: {twice:?}");
        let folder = buildroot().join("../board/boards").join(&board);
        for name in ["board.toml", "kernel.fragment", "u-boot.fragment"] {
            assert!(folder.join(name).is_file(), "{board} has no {name}");
        }
    }
}

#[test]
fn nobody_logs_in_and_nothing_is_downloaded_unchecked() {
    for board in boards() {
        let text = fs::read_to_string(file(&board)).unwrap();
        for wanted in [
            "BR2_DOWNLOAD_FORCE_CHECK_HASHES=y",
            "# BR2_TARGET_ENABLE_ROOT_LOGIN is not set",
            "# BR2_TARGET_GENERIC_GETTY is not set",
            "# BR2_TARGET_GENERIC_REMOUNT_ROOTFS_RW is not set",
            "BR2_REPRODUCIBLE=y",
        ] {
            assert!(text.lines().any(|line| line == wanted), "{board}: {wanted}");
        }
        for server in ["OPENSSH", "DROPBEAR", "TELNET", "SHELLINABOX"] {
            assert!(!text.contains(&format!("BR2_PACKAGE_{server}")), "{board}: {server}");
        }
    }
}
