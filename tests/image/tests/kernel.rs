//! What the kernel's two fragments, every board's and this board's, ask for is what the image runs on, and no less than it uses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs};

use image::{build, build::Options, debian::Debian, kernel};
use lab::paths;

/// Option and the module that it is in Debian's kernel, if any.
fn fragment() -> Vec<(String, Option<String>)> {
    let own = Options::default().board_file().with_file_name("kernel.fragment");
    let common = paths::workspace().join("buildroot/kernel/common.fragment");
    let text = [common, own].map(|path| fs::read_to_string(path).unwrap()).concat();
    let mut module = None;
    let mut options = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# modprobe ") {
            assert_eq!(module.replace(name.to_owned()), None, "{line}: the one before has no option");
        } else if line.is_empty() || line.starts_with("# ") {
            // For people.
        } else {
            let (option, value) = line.split_once('=').unwrap();
            assert_eq!(value, "y", "{option}: an image without modules needs it built in");
            options.push((option.to_owned(), module.take()));
        }
    }
    options
}

#[test]
fn the_kernel_of_the_image_has_each_option_and_loads_what_is_a_module() {
    fs::create_dir_all(build::home()).unwrap();
    let debian = Debian::ensure().unwrap();
    let configuration = kernel::configuration(&debian).unwrap();
    let set: BTreeMap<&str, &str> = configuration.lines().filter_map(|line| line.split_once('=')).collect();
    // Modules are files with - or _, as their authors liked.
    let plain = |name: &str| name.replace('-', "_");
    let mut loaded: Vec<String> = kernel::loaded(&debian).unwrap().iter().map(|name| plain(name)).collect();
    let options = fragment();
    assert!(options.len() > 40);
    for (option, module) in &options {
        if let Some((name, parameter)) = module.as_deref().and_then(|module| module.split_once(' ')) {
            let mut lines = kernel::MODULES.iter().map(|line| line.split(' ').collect::<Vec<_>>());
            let given = lines.any(|words| words[0] == name && words.contains(&parameter));
            assert!(given, "{option}: the image does not load {name} with {parameter}");
            continue;
        }
        match (set.get(option.as_str()).copied(), module) {
            (Some("y"), None) => {}
            (Some("m"), Some(module)) => {
                let module = plain(module);
                let at = loaded.iter().position(|loaded| *loaded == module);
                loaded.remove(at.unwrap_or_else(|| panic!("{option}: the image does not load {module}")));
            }
            (is, _) => panic!("{option} is {is:?}, and its module {module:?}, in the kernel of the image"),
        }
    }
    // What is left of the modules are parts that no option is named after: they come with those that are.
    let parts = [
        "dax",
        "dm_bufio",
        "failover",
        "net_failover",
        "reed_solomon",
        "virtio_pci_legacy_dev",
        "virtio_pci_modern_dev",
        "virtio_ring",
        "watchdog",
    ];
    loaded.retain(|module| !parts.contains(&module.as_str()));
    assert_eq!(loaded, Vec::<String>::new(), "loaded, and not among the options");
}

#[test]
fn each_file_system_that_a_script_mounts_is_among_the_options() {
    let options = fragment();
    let scripts = paths::workspace().join("buildroot");
    let mut mounted = 0;
    for script in ["initramfs/init", "overlay/etc/init.d/rcS", "overlay/usr/lib/streambox/data"] {
        let text = fs::read_to_string(scripts.join(script)).unwrap();
        for kind in text.split("mount -t ").skip(1).filter_map(|rest| rest.split(' ').next()) {
            mounted += 1;
            let name = format!("CONFIG_{}", kind.to_uppercase());
            let known = options.iter().any(|(option, _)| {
                *option == name || *option == format!("{name}_FS") || *option == name.replace("FS", "_FS")
            });
            assert!(known, "{script} mounts {kind}");
        }
    }
    assert!(mounted >= 8, "{mounted}");
}
