//! Every shell script of the repository is one that shellcheck has nothing to say about, and the Buildroot tree one that Buildroot's own
//! check-package has nothing to say about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lab::paths;

/// Files that git has in a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = paths::workspace();
    let output =
        Command::new("git").args(["ls-files", "-z", "--", folder]).current_dir(&root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).unwrap();
    let names = list.split('\0').filter(|name| !name.is_empty());
    // What somebody has just removed is still listed.
    names.map(|name| root.join(name)).filter(|path| path.is_file()).collect()
}

/// Whether a file is a shell script: by its first line, which the kernel looks at, too.
fn shell(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    first.starts_with("#!") && ["/sh", "/bash", " sh", " bash"].iter().any(|shell| first.contains(shell))
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let scripts: Vec<PathBuf> = files(".").into_iter().filter(|path| shell(path)).collect();
    assert!(scripts.len() >= 10, "{scripts:?}");
    for one in [".ci/run", "buildroot/initramfs/init", "buildroot/overlay/etc/init.d/rcS"] {
        assert!(scripts.contains(&paths::workspace().join(one)), "{one} is looked at");
    }
    let Ok(output) = Command::new("shellcheck").args(["--format", "gcc"]).args(&scripts).output() else {
        eprintln!("skipped without shellcheck: cargo xtask setup installs it");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// A checkout of Buildroot, if somebody names one.
fn checkout() -> Option<PathBuf> {
    let named = std::env::var_os("STREAMBOX_BUILDROOT").map(PathBuf::from);
    if named.is_none() {
        eprintln!("skipped: STREAMBOX_BUILDROOT names no checkout of Buildroot");
    }
    named
}

#[test]
fn each_defconfig_loads_without_a_warning_and_survives_being_saved() {
    let Some(buildroot) = checkout() else { return };
    let external = paths::workspace().join("buildroot");
    let mut seen = 0;
    for entry in fs::read_dir(external.join("configs")).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        let make = |words: &[&str]| {
            let mut make = Command::new("make");
            make.arg("-C").arg(&buildroot).arg(format!("BR2_EXTERNAL={}", external.display()));
            let made = make.arg(format!("O={}", output.display())).args(words).output().unwrap();
            let said = String::from_utf8_lossy(&[made.stdout, made.stderr].concat()).to_lowercase();
            assert!(made.status.success(), "{name}: {said}");
            for word in ["warning", "override"] {
                assert!(!said.contains(word), "{name}: {said}");
            }
            let config = fs::read_to_string(output.join(".config")).unwrap();
            let options =
                config.lines().filter(|line| line.starts_with("BR2_") && !line.starts_with("BR2_DEFCONFIG"));
            options.map(str::to_owned).collect::<Vec<_>>()
        };
        let loaded = make(&[&name]);
        for line in fs::read_to_string(&file).unwrap().lines().filter(|line| line.starts_with("BR2_")) {
            assert!(loaded.iter().any(|option| option == line), "{name}: Buildroot drops {line}");
        }
        assert_eq!(make(&["olddefconfig"]), loaded, "{name}");
        let saved = format!("BR2_DEFCONFIG={}", output.join("saved").display());
        make(&["savedefconfig", &saved]);
        assert_eq!(make(&["defconfig", &saved]), loaded, "{name}");
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn check_package_has_nothing_to_say() {
    let Some(buildroot) = checkout() else { return };
    // Rust and its manifests, and what Buildroot copies as it is, have rules of their own.
    let ours = |path: &PathBuf| {
        let name = path.strip_prefix(paths::workspace()).unwrap().to_str().unwrap();
        !["buildroot/imaging/", "buildroot/overlay/", "buildroot/initramfs/"]
            .iter()
            .any(|own| name.starts_with(own))
    };
    let files: Vec<PathBuf> = files("buildroot").into_iter().filter(ours).collect();
    let mut check = Command::new(buildroot.join("utils/check-package"));
    let output = check.arg("--br2-external").args(&files).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
