//! Which block devices are on USB, as sysfs tells: a device's link leads through the controller's `usbN`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Most devices that are looked at: a hub full of sticks with partitions.
const MOST: usize = 32;

/// Names of partitions on USB, and of disks there that have none.
pub(super) fn on_usb(blocks: &Path) -> BTreeSet<String> {
    let listed = fs::read_dir(blocks).into_iter().flatten().flatten();
    let names = listed.filter_map(|entry| {
        let name = entry.file_name().into_string().ok().filter(|name| is_plain(name))?;
        let place = fs::canonicalize(entry.path()).ok()?;
        let on_usb = place.components().any(|part| is_bus(&part.as_os_str().to_string_lossy()));
        (on_usb && !has_partitions(&place)).then_some(name)
    });
    names.take(MOST).collect()
}

/// `usb1`, `usb2` and so on.
fn is_bus(part: &str) -> bool {
    let number = part.strip_prefix("usb").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn has_partitions(place: &Path) -> bool {
    let listed = fs::read_dir(place).into_iter().flatten().flatten();
    listed.into_iter().any(|entry| entry.path().join("partition").exists())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::cloud::files_tests::Scratch;

    #[test]
    fn sticks_are_told_from_the_box_s_own_disks() {
        let scratch = Scratch::new("blocks");
        let (blocks, devices) = (scratch.0.join("class/block"), scratch.0.join("devices"));
        fs::create_dir_all(&blocks).unwrap();
        let device = |place: &str, partition: bool| {
            let folder = devices.join(place);
            fs::create_dir_all(&folder).unwrap();
            if partition {
                fs::write(folder.join("partition"), "1\n").unwrap();
            }
            symlink(&folder, blocks.join(folder.file_name().unwrap())).unwrap();
        };
        device("platform/soc/usb1/1-1/1-1:1.0/host0/target0:0:0/0:0:0:0/block/sda", false);
        device("platform/soc/usb1/1-1/1-1:1.0/host0/target0:0:0/0:0:0:0/block/sda/sda1", true);
        device("pci0000:00/usb12/12-2/12-2:1.0/host1/target1:0:0/1:0:0:0/block/sdb", false);
        device("platform/soc/mmc0/block/mmcblk0", false);
        device("platform/soc/mmc0/block/mmcblk0/mmcblk0p1", true);
        device("virtual/block/loop0", false);
        device("platform/usbx/block/sdc", false);
        symlink("nowhere", blocks.join("sdd")).unwrap();
        let found: Vec<_> = on_usb(&blocks).into_iter().collect();
        assert_eq!(found, ["sda1", "sdb"]);
        assert!(on_usb(&scratch.0.join("absent")).is_empty());
    }
}
